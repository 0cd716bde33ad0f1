"""SQL that the reductions of a review share: which spans, which days, which window a day is in, and moments over session clusters.

Plain SQL (sums, counts, CASE, window functions, joins), so that sqlglot can carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from ...stats.moments import Moments
from ..reductions import moment, rows
from .plan import Plan

# A constant that GROUP BY does not take for the place of a column.
ONE = "CAST(0 AS INTEGER)"
PAD = timedelta(days=1)
WINDOWS = {"this": 1_000_000, "last": 1_000_001, "baseline": 1_000_002}
_SUMS = {
    "m": "CASE WHEN n{i} > 0 THEN 1 ELSE 0 END", "n": "n{i}", "x": "x{i}",
    "xx": "x{i} * x{i}", "nn": "n{i} * n{i}", "xn": "x{i} * n{i}",
}  # fmt: skip
# Per key (slice, score) and column: by day number and by window code.
Found = dict[tuple[int, int], dict[int, Moments]]


def scan(plan: Plan) -> str:
    """The spans of the product's own traffic on the days of the plan."""
    return f"{partitions(plan)} AND purpose IS NULL"


def partitions(plan: Plan) -> str:
    """The partitions that may hold the days of the plan."""
    return (
        "(" + " OR ".join(f"day BETWEEN DATE '{a - PAD:%Y-%m-%d}' AND DATE '{b + PAD:%Y-%m-%d}'" for a, b in plan.ranges()) + ")"
    )


def days(plan: Plan) -> str:
    """A common table ``days``: day_no, lo, hi."""
    values = ", ".join(f"({i}, {moment(d.start)}, {moment(d.end)})" for i, d in enumerate(plan.days))
    return f"days(day_no, lo, hi) AS (VALUES {values})"


def members(plan: Plan, names: Sequence[str] = tuple(WINDOWS)) -> str:
    """A table of window code (``win``) and day number, of the days compared."""
    chosen = plan.members()
    return pairs("win", [(WINDOWS[name], d) for name in names for d in chosen[name]])


def pairs(name: str, values: Sequence[tuple[int, int]]) -> str:
    """A table of a code and a day number."""
    listed = ", ".join(f"({a}, {b})" for a, b in values)
    return f"SELECT * FROM (VALUES {listed}) AS pairs({name}, day_no)"


def within(numbers: Sequence[int]) -> str:
    """A list for IN, never empty."""
    return ", ".join(map(str, numbers)) or "-1"


def moments(
    obs, plan: Plan, source: str, columns: Sequence[tuple[str, str, bool]], *, key: str = ONE, cluster: str = "cluster"
) -> Found:
    """Moments over clusters of the rows of a kept table, by key, column, day and window.

    ``columns`` are (x, n, once) in SQL over a row: sums of a cluster, but ``once`` counts n of a cluster at most once. A cluster that
    runs over days is one cluster of a window.
    """
    if not columns:
        return {}
    again = ", ".join(f"sum(x{i}) AS x{i}, {'max' if once else 'sum'}(n{i}) AS n{i}" for i, (_, _, once) in enumerate(columns))
    sql = f"""WITH clusters AS (SELECT {key} AS key, day_no, {cluster} AS cluster, {sums(columns)}
      FROM {source} GROUP BY {key}, day_no, {cluster}),
    members AS ({members(plan)}),
    windowed AS (SELECT win, key, cluster, {again} FROM clusters JOIN members ON clusters.day_no = members.day_no
      GROUP BY win, key, cluster)
    SELECT key, day_no AS grp, {squares(len(columns))} FROM clusters GROUP BY key, day_no
    UNION ALL SELECT key, win AS grp, {squares(len(columns))} FROM windowed GROUP BY key, win"""
    found: Found = {}
    for row in rows(obs, sql):
        for i in range(len(columns)):
            if row[f"n{i}_"]:
                found.setdefault((int(row["key"]), i), {})[row["grp"]] = moments_of(row, i)
    return found


def sums(columns: Sequence[tuple[str, str, bool]]) -> str:
    """The sums of a cluster: x0, n0, x1, n1 and so on, as doubles."""
    return ", ".join(
        f"CAST(sum({x}) AS DOUBLE) AS x{i}, CAST({'max' if once else 'sum'}({n}) AS DOUBLE) AS n{i}"
        for i, (x, n, once) in enumerate(columns)
    )


def lists(answer: Sequence[Mapping], key: str) -> dict[str, list[str]]:
    """Trace ids by key, in the order they came."""
    out: dict[str, list[str]] = {}
    for row in answer:
        out.setdefault(row[key], []).append(row["trace_id"])
    return out


def squares(count: int) -> str:
    """The six sums of each column over clusters."""
    return ", ".join(f"sum({sql.format(i=i)}) AS {name}{i}_" for i in range(count) for name, sql in _SUMS.items())


def moments_of(row: Mapping, i: int) -> Moments:
    """The moments of one column from a row of these sums."""
    return Moments(*(float(row[f"{name}{i}_"] or 0) for name in _SUMS))
