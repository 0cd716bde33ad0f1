"""The few slices of traffic that explain most of a change of the cost: whose cost moved apart from everyone else's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...columns import literal, quote
from ...stats.compare import relative_change, two_sided
from ...stats.estimate import Estimate
from ...stats.intervals import NO_EXTRA, ratio_from, variance
from ...stats.moments import moments
from ...stats.multiplicity import benjamini_hochberg
from ..reductions import rows
from .lines import MODEL
from .window import Plan

KEPT = "cost_slices"
# In this order a slice is told by where several names select the same spend.
DIMENSIONS = {
    n: quote(n) for n in ("feature", "tenant_id", "user_tier", "environment", "prompt_name", "locale", "purpose", "name", "kind")
} | {"model": MODEL, "provider": "provider"}  # fmt: skip
# Their values follow each other: what is new in one is what another was before, and explains nothing.
FOLLOWING = ("model", "prompt_name", "name")
ALPHA, MOST, LEAST_SHARE = 0.05, 4, 0.05
HALF, NEARLY_ALL, MUCH_LESS, CLEARLY = 0.5, 0.8, 0.6, 1.1
MOST_VALUES = 400
SHORT_DAYS, LEAST_BINS, MOST_GOES_ON = 6, 3, 0.8
COLUMNS = ("where", "before_usd", "after_usd", "change_usd", "share", "effect", "effect_low", "effect_high", "n")


@dataclass(frozen=True)
class _Slice:
    where: tuple[tuple[str, str], ...]
    before: float
    after: float
    excess: float
    effect: Estimate
    p: float | None
    strength: float
    n: int


def slices(obs, plan: Plan, when: str, where: str) -> pd.DataFrame:
    """At most four slices, the one that explains most first, each looked for in what the ones before it leave.

    ``share`` is that of the whole change; ``effect`` how the slice's cost moved against that of the rest (0.5: half again as much), with
    its 95 % interval over days (hours in windows of less than six); null for a slice that was not there before. A slice must differ from
    the rest beyond a false discovery rate of 5 % over all values of all columns, and must have moved a twentieth of what moved
    most. ``n`` are spans with a cost.
    """
    days = (plan.now.end - plan.now.start).total_seconds() / 86_400
    bin_sql = "CAST(start_time AS DATE)" if days >= SHORT_DAYS else "date_trunc('hour', start_time)"
    picked = ", ".join(f"CAST({sql} AS VARCHAR) AS {quote('d_' + name)}" for name, sql in DIMENSIONS.items())
    places = ", ".join(str(i) for i in range(1, len(DIMENSIONS) + 3))
    sql = f"""SELECT {when} AS side, {bin_sql} AS bin, {picked}, sum(cost_usd) AS cost, count(*) AS n FROM spans
        WHERE {where} AND cost_usd IS NOT NULL GROUP BY {places}"""
    with obs.kept(KEPT, sql):
        return _table(_found(obs), _total(obs))


def _found(obs) -> list[_Slice]:
    out: list[_Slice] = []
    while len(out) < MOST:
        left = " AND ".join(["true", *(f"NOT coalesce({_condition(s.where)}, false)" for s in out)])
        found = best(_asked(obs, left, list(DIMENSIONS), ()), ALPHA)
        if found is None or (out and abs(found.excess) < LEAST_SHARE * abs(out[0].excess)):
            return out
        out.append(_narrowed(obs, left, found))
    return out


def _narrowed(obs, left: str, found: _Slice) -> _Slice:
    """The slice within the slice that holds nearly all that moved in it and much less of what it cost before; else the slice."""
    others = [d for d in DIMENSIONS if d not in dict(found.where)]
    inner = _asked(obs, left, others, found.where)
    limit = ALPHA / max(len(inner), 1)
    fewer = [s for s in inner if found.before > 0 and s.before <= MUCH_LESS * found.before and s.p is not None and s.p < limit]
    better = [s for s in fewer if s.excess / found.excess >= NEARLY_ALL]
    return min(better, key=lambda s: s.before, default=found)


def best(asked: list[_Slice], alpha: float) -> _Slice | None:
    """Of the slices that moved apart from the rest, half as much as any at least: the one that stands out most.

    A wider slice holds the same money among more that stood still, a narrower one less money; of slices that stand out alike the first
    in the order of the columns is told.
    """
    q = benjamini_hochberg([s.p for s in asked])
    sure = [s for s, each in zip(asked, q, strict=True) if each < alpha]
    most = max((abs(s.excess) for s in sure), default=0.0)
    near = [s for s in sure if abs(s.excess) >= HALF * most]
    strongest = max((s.strength for s in near), default=0.0)
    return next((s for s in near if CLEARLY * s.strength >= strongest), None)


def _asked(obs, left: str, names: list[str], within: tuple) -> list[_Slice]:
    """Every value of some columns, within a slice where one is given, against everything else that is left."""
    total = rows(obs, f"SELECT side, bin, sum(cost) AS cost FROM {KEPT} WHERE {left} GROUP BY side, bin ORDER BY side, bin")
    bins = {(r["side"], r["bin"]): i for i, r in enumerate(total)}
    after = np.array([r["side"] == "after" for r in total], bool)
    whole, found = np.array([r["cost"] for r in total], float), []
    inner = f"{left} AND {_condition(within)}" if within else left
    for name in names:
        for value, cost, n in zip(*_values(obs, inner, f"d_{name}", bins), strict=True):
            if name not in FOLLOWING or _stays(cost, after):
                found.append(((*within, (name, value)), cost, n))
    wider = inflation([cost for _, cost, _ in found], whole, after)
    compared = (compare(where, cost, whole, after, n, wider) for where, cost, n in found)
    return [s for s in compared if s is not None]


def inflation(costs: Sequence[np.ndarray], whole: np.ndarray, after: np.ndarray) -> float:
    """By how much the variance of a mean over bins exceeds that of bins that know nothing of each other; 1 or more.

    (1 + r) / (1 - r) with the autocorrelation r from bin to bin of the shares of all values together (one alone has too few bins
    to tell), corrected for the means that were fitted (Marriott and Pope 1954).
    """
    found = []
    for cost in costs:
        for side in (s for s in (after, ~after) if s.sum() > SHORT_DAYS):
            share = np.divide(cost[side], whole[side], out=np.zeros(int(side.sum())), where=whole[side] > 0)
            rest, power = share - share.mean(), share.var() * len(share)
            if power > 0:
                found.append((float(rest[1:] @ rest[:-1]) / power + 1 / len(share)) / (1 - 3 / len(share)))
    r = min(max(float(np.mean(found)), 0.0), MOST_GOES_ON) if found else 0.0
    return (1 + r) / (1 - r)


def _stays(cost: np.ndarray, after: np.ndarray) -> bool:
    """Whether a value costs something in half the bins of both windows."""
    return all((cost[s] != 0).mean() >= HALF for s in (after, ~after) if s.any())


def _values(obs, left: str, column: str, bins: dict) -> tuple[list[str], np.ndarray, list[int]]:
    """The values of a column that cost most, USD of each by bin, and their spans."""
    found = rows(
        obs,
        f"""SELECT {column} AS v, side, bin, sum(cost) AS cost, sum(n) AS n FROM {KEPT} WHERE {left} AND {column} IN
          (SELECT {column} FROM {KEPT} WHERE {left} AND {column} IS NOT NULL GROUP BY {column} ORDER BY sum(cost) DESC, {column} LIMIT {MOST_VALUES})
        GROUP BY {column}, side, bin ORDER BY {column}""",
    )
    values = list(dict.fromkeys(r["v"] for r in found))
    code = {v: i for i, v in enumerate(values)}
    cost, n = np.zeros((len(values), len(bins))), np.zeros(len(values), int)
    for r in found:
        cost[code[r["v"]], bins[r["side"], r["bin"]]] = r["cost"]
        n[code[r["v"]]] += int(r["n"])
    return values, cost, n.tolist()


def compare(where: tuple, cost: np.ndarray, whole: np.ndarray, after: np.ndarray, n: int, wider: float = 1.0) -> _Slice | None:
    """How a slice moved against the rest; None where it is all there is. ``wider`` is the factor of :func:`inflation`.

    p is that of "as the rest did"; of a slice that one window lacks, that of its share; one whose share stands still within each
    window moved for certain.
    """
    before, now = float(cost[~after].sum()), float(cost[after].sum())
    rest = whole - cost
    rest_before, rest_now = float(rest[~after].sum()), float(rest[after].sum())
    if rest_before <= 0 or rest_now <= 0:
        return None
    effect = relative_change(*(_ratio(cost[s], rest[s], wider) for s in (after, ~after)))
    p, strength = _sure(effect, cost, whole, after, wider)
    return _Slice(where, before, now, now - before * rest_now / rest_before, effect, p, strength, n)


def _sure(effect: Estimate, cost: np.ndarray, whole: np.ndarray, after: np.ndarray, wider: float) -> tuple[float | None, float]:
    """The p of "as the rest did", and the t of the slice's share of the whole."""
    shares = [_ratio(cost[s], whole[s], wider) for s in (after, ~after)]
    moved = float(cost[after].sum() / whole[after].sum() - cost[~after].sum() / whole[~after].sum())
    error, bins = math.hypot(*(e.se or 0.0 for e in shares)), int(min(after.sum(), (~after).sum()))
    if error > 0:
        t = moved / error
        return effect.p if effect.ok else two_sided(t, max((bins - 1) / wider, 1)), abs(t)
    steady = bins >= LEAST_BINS and abs(moved) > 1e-9
    return (0.0, math.inf) if steady else (None, 0.0)


def _ratio(x: np.ndarray, n: np.ndarray, wider: float) -> Estimate:
    """Sum over sum, with the bins as draws that go together."""
    m = moments(x, n=n)
    more = variance(m) * (wider - 1) if m.m > 1 and m.n > 0 else 0.0
    return ratio_from(m, extra=(more, max((m.m - 1) / wider, 1)) if more > 0 else NO_EXTRA)


def _condition(where: tuple[tuple[str, str], ...]) -> str:
    return " AND ".join(f"{quote('d_' + name)} = {literal(value)}" for name, value in where)


def _total(obs) -> float:
    sums = {r["side"]: float(r["cost"]) for r in rows(obs, f"SELECT side, sum(cost) AS cost FROM {KEPT} GROUP BY side")}
    return sums.get("after", 0.0) - sums.get("before", 0.0)


def _table(found: list[_Slice], total: float) -> pd.DataFrame:
    lines = [
        (dict(s.where), s.before, s.after, s.after - s.before, (s.after - s.before) / total if total else None,
         s.effect.value, s.effect.ci_low, s.effect.ci_high, s.n)
        for s in found
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(COLUMNS))
