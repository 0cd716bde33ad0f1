"""From a row per trace to a few sums: of pairs of the same item, and of independent arms on the same mix of traffic.

Arms are 0 (baseline) and 1 (candidate). The relation has the columns arm, cluster, stratum, m0, m1 …, and ``key`` for pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...columns import literal
from ...stats.moments import Moments
from ..reductions import rows

LEAST = 5
MOST_STRATA = 300
REST = "\x00rest"


class Pairs(NamedTuple):
    """Over the items that both arms have: how many, sums of candidate a and baseline b, and of their differences."""

    n: float
    a: float
    b: float
    aa: float
    bb: float
    ab: float
    dd: float
    ups: float
    downs: float

    def side(self, *, candidate: bool) -> Moments:
        """Moments of one arm's values, an item each."""
        x, xx = (self.a, self.aa) if candidate else (self.b, self.bb)
        return Moments(self.n, self.n, x, xx, self.n, x)

    def differences(self) -> Moments:
        """Moments of candidate minus baseline."""
        d = self.ups - self.downs
        return Moments(self.n, self.n, d, self.dd, self.n, d)

    def ratio(self) -> Moments:
        """Moments of candidate (x) over baseline (n)."""
        return Moments(self.n, self.b, self.a, self.aa, self.bb, self.ab)


def paired(obs, relation: str, count: int) -> list[Pairs]:
    """Per dimension, the sums over the keys that both arms measured; repeats of an item are averaged first."""
    items = ", ".join(
        f"avg(CASE WHEN arm = 1 THEN m{i} END) AS a{i}, avg(CASE WHEN arm = 0 THEN m{i} END) AS b{i}" for i in range(count)
    )
    sums = ", ".join(f"{sql.format(i=i)} AS {name}{i}_" for i in range(count) for name, sql in _PAIR_SUMS.items())
    (row,) = rows(
        obs, f"WITH items AS (SELECT {items} FROM {relation} WHERE key IS NOT NULL GROUP BY key) SELECT {sums} FROM items"
    )
    return [Pairs(*(float(row[f"{name}{i}_"] or 0) for name in _PAIR_SUMS)) for i in range(count)]


_BOTH = "CASE WHEN a{i} IS NOT NULL AND b{i} IS NOT NULL THEN"
_PAIR_SUMS = {
    "n": f"sum({_BOTH} 1 END)", "a": f"sum({_BOTH} a{{i}} END)", "b": f"sum({_BOTH} b{{i}} END)",
    "aa": f"sum({_BOTH} a{{i}} * a{{i}} END)", "bb": f"sum({_BOTH} b{{i}} * b{{i}} END)", "ab": f"sum({_BOTH} a{{i}} * b{{i}} END)",
    "dd": "sum((a{i} - b{i}) * (a{i} - b{i}))",
    "ups": "sum(CASE WHEN a{i} > b{i} THEN a{i} - b{i} END)", "downs": "sum(CASE WHEN a{i} < b{i} THEN b{i} - a{i} END)",
}  # fmt: skip


@dataclass(frozen=True)
class Weighted:
    """One arm of one dimension on the common mix: moments by cluster of weighted rows centred on their stratum, and what was taken off.

    ``kish`` is the effective n of the weights, ``n`` the rows, ``compared`` the share of the arm's rows in strata that both have.
    """

    moments: Moments
    offset: float
    n: int
    kish: float
    compared: float


def weighted(obs, relation: str, count: int) -> dict[int, list[Weighted]]:
    """Per arm and dimension, the arm as if it had the mix of strata of both arms together (post-stratification).

    Strata that one arm lacks are left out; those with fewer than ``LEAST`` rows in an arm are one stratum. Rows are centred on the
    mean of their stratum, so that what differs between strata does not count as noise.
    """
    found = _strata(obs, relation, count)
    plans = [_plan(found, i) for i in range(count)]
    keys = sorted({(arm, stratum) for p in plans for arm, stratum in p.weights}, key=str)
    if not keys:
        nothing = Weighted(Moments(0, 0, 0, 0, 0, 0), 0.0, 0, 0.0, 0.0)
        return {arm: [nothing] * count for arm in (0, 1)}
    answer = {row["arm"]: row for row in rows(obs, _weighted_sql(relation, plans, keys))}
    return {arm: [_of_arm(answer.get(arm, {}), plans[i], arm, i) for i in range(count)] for arm in (0, 1)}


@dataclass(frozen=True)
class _Plan:
    """Of one dimension: weight by (arm, stratum), the stratum's centre, rows and Kish n of each arm, the mean of the centres."""

    weights: Mapping[tuple[int, str], float]
    centres: Mapping[str, float]
    n: tuple[int, int]
    kish: tuple[float, float]
    offset: float
    compared: tuple[float, float]


def _strata(obs, relation: str, count: int) -> list[dict]:
    sums = ", ".join(f"count(m{i}) AS n{i}, sum(m{i}) AS x{i}" for i in range(count))
    return rows(obs, f"SELECT arm, stratum, {sums} FROM {relation} GROUP BY arm, stratum")


def _plan(found: Sequence[Mapping], i: int) -> _Plan:
    counts: dict[str, list[float]] = {}
    sums: dict[str, float] = {}
    for row in found:
        counts.setdefault(row["stratum"], [0, 0])[row["arm"]] += row[f"n{i}"]
        sums[row["stratum"]] = sums.get(row["stratum"], 0.0) + (row[f"x{i}"] or 0.0)
    every = tuple(sum(c[arm] for c in counts.values()) for arm in (0, 1))
    both = sorted((s for s, c in counts.items() if min(c) > 0), key=lambda s: (-sum(counts[s]), s))
    home = {s: s if min(counts[s]) >= LEAST and k < MOST_STRATA else REST for k, s in enumerate(both)}
    merged: dict[str, list[float]] = {}
    for s in both:
        into = merged.setdefault(home[s], [0.0, 0.0, 0.0])
        for k, v in enumerate((*counts[s], sums[s])):
            into[k] += v
    total = sum(m[0] + m[1] for m in merged.values())
    n = tuple(int(sum(m[arm] for m in merged.values())) for arm in (0, 1))
    raw = {(arm, h): (m[0] + m[1]) / total / m[arm] for h, m in merged.items() for arm in (0, 1)}
    squares = tuple(sum(m[arm] * raw[arm, h] ** 2 for h, m in merged.items()) for arm in (0, 1))
    centre = {h: m[2] / (m[0] + m[1]) for h, m in merged.items()}
    offset = sum((m[0] + m[1]) / total * centre[h] for h, m in merged.items())
    weights = {(arm, s): n[arm] * raw[arm, home[s]] for s in both for arm in (0, 1)}
    compared = tuple(n[arm] / every[arm] if every[arm] else 0.0 for arm in (0, 1))
    return _Plan(weights, {s: centre[home[s]] for s in both}, n, tuple(1 / q if q else 0.0 for q in squares), offset, compared)


def _weighted_sql(relation: str, plans: Sequence[_Plan], keys: Sequence[tuple[int, str]]) -> str:
    count = range(len(plans))
    given = ", ".join(f"({arm}, {literal(s)}, {_numbers(plans, arm, s)})" for arm, s in keys)
    names = ", ".join(f"w{i}, c{i}" for i in count)
    sums = ", ".join(f"sum(w{i} * (m{i} - c{i})) AS x{i}, sum(CASE WHEN m{i} IS NOT NULL THEN w{i} END) AS n{i}" for i in count)
    moments = ", ".join(f"{sql.format(i=i)} AS {name}{i}_" for i in count for name, sql in _CLUSTER_SUMS.items())
    return f"""WITH weights(arm, stratum, {names}) AS (VALUES {given}),
    clusters AS (SELECT r.arm, r.cluster, {sums} FROM {relation} r JOIN weights w ON w.arm = r.arm AND w.stratum = r.stratum
      GROUP BY r.arm, r.cluster)
    SELECT arm, {moments} FROM clusters GROUP BY arm"""


_CLUSTER_SUMS = {
    "m": "count(n{i})", "n": "sum(n{i})", "x": "sum(CASE WHEN n{i} > 0 THEN x{i} END)", "xx": "sum(x{i} * x{i})",
    "nn": "sum(n{i} * n{i})", "xn": "sum(x{i} * n{i})",
}  # fmt: skip


def _numbers(plans: Sequence[_Plan], arm: int, stratum: str) -> str:
    pairs = [(p.weights.get((arm, stratum)), p.centres.get(stratum)) for p in plans]
    return ", ".join("CAST(NULL AS DOUBLE)" if v is None else f"CAST({v!r} AS DOUBLE)" for pair in pairs for v in pair)


def _of_arm(row: Mapping, plan: _Plan, arm: int, i: int) -> Weighted:
    moments = Moments(*(float(row.get(f"{name}{i}_") or 0) for name in _CLUSTER_SUMS))
    return Weighted(moments, plan.offset, plan.n[arm], plan.kish[arm], plan.compared[arm])
