"""The change of each rate and mean apart from traffic mix: cells of feature × model × tier, in the engine; the split in stats/mix.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from ...columns import literal
from ...stats.days import day_shock
from ...stats.estimate import Estimate
from ...stats.mix import Split, estimate, split
from ..reductions import rows
from .plan import Plan
from .sql import ONE, WINDOWS, Found, members, moments, sums

MOST_CELLS = 40
BOTH = ("this", "last")
ALL_DAYS = 0


class Parts(NamedTuple):
    """How much of a change is traffic mix and how much happened within its cells."""

    mix: Estimate
    within: Estimate


def parts(
    stack: ExitStack,
    obs,
    plan: Plan,
    name: str,
    source: str,
    columns: Sequence[tuple[str, str, bool]],
    relative: Mapping[tuple[int, int], bool],
    *,
    key: str = ONE,
) -> dict[tuple[int, int], Parts]:
    """Split the changes of a kept table's columns; ``relative`` holds (key, column) of those to split.

    Empty where traffic has one cell only, or the two windows cannot be compared. ``name`` is that of the table kept for it.
    """  # fmt: skip
    found = rows(
        obs,
        f"SELECT cell, count(*) AS n FROM {source} WHERE cell IS NOT NULL GROUP BY cell ORDER BY n DESC, cell LIMIT {MOST_CELLS}",
    )
    if len(found) < 2 or not relative or not plan.comparable:
        return {}
    codes = " ".join(f"WHEN {literal(row['cell'])} THEN {i}" for i, row in enumerate(found))
    of_cell = f"(CASE cell {codes} ELSE {len(found)} END)"
    sql = f"""SELECT {key} AS key, day_no, {of_cell} AS cell, cluster, {sums(columns)} FROM {source} GROUP BY {key}, day_no, {of_cell}, cluster"""
    stack.enter_context(obs.kept(name, sql))
    cells = len(found) + 1
    splits = _splits(obs, plan, name, len(columns), cells, relative)
    return _estimated(obs, plan, name, splits, cells) if splits else {}


def _splits(
    obs, plan: Plan, name: str, count: int, cells: int, relative: Mapping[tuple[int, int], bool]
) -> dict[tuple[int, int], Split]:
    added = ", ".join(f"sum(x{i}) AS x{i}, sum(n{i}) AS n{i}" for i in range(count))
    sql = f"""WITH members AS ({members(plan, BOTH)}), placed AS (SELECT c.*, members.win FROM {name} c
        JOIN members ON c.day_no = members.day_no UNION ALL SELECT c.*, {ALL_DAYS} AS win FROM {name} c)
      SELECT win, key, cell, {added} FROM placed GROUP BY win, key, cell"""
    tables: dict[tuple[int, int], np.ndarray] = {}
    places = {WINDOWS["this"]: 0, WINDOWS["last"]: 1, ALL_DAYS: 2}
    for row in rows(obs, sql):
        for i in range(count):
            if (row["key"], i) in relative:
                table = tables.setdefault((row["key"], i), np.zeros((3, 2, cells)))
                table[places[row["win"]], :, row["cell"]] = row[f"n{i}"] or 0.0, row[f"x{i}"] or 0.0
    made = {at: split(*t[0], *t[1], pooled=t[2], relative=relative[at]) for at, t in tables.items()}
    return {at: s for at, s in made.items() if s is not None}


def _estimated(obs, plan: Plan, name: str, splits: Mapping[tuple[int, int], Split], cells: int) -> dict[tuple[int, int], Parts]:
    squares = _squares(obs, plan, name, splits, cells)
    shocks = _shocks(obs, plan, name, splits, cells)
    out = {}
    for at, made in splits.items():
        n, days, scale = int(squares[at, "n"]), shocks[at], shocks[at, "scale"]
        made_parts = []
        for place, value in enumerate((made.mix, made.within)):
            this, last = (squares[at, place, w] for w in (0, 1))
            extra = [(v * scale, df) for v, df in days[place]]
            made_parts.append(estimate(value, this, last, extra, n=n))
        out[at] = Parts(*made_parts)
    return out


def _coefficients(splits: Mapping[tuple[int, int], Split], cells: int) -> str:
    """A table of what x and n of a cluster add: win, key, cell, and per column of the table four coefficients."""
    columns = sorted({i for _, i in splits})
    names = ", ".join(f"mx{i}, mn{i}, wx{i}, wn{i}" for i in columns)
    values = []
    for window, win in enumerate((WINDOWS["this"], WINDOWS["last"])):
        for key in sorted({k for k, _ in splits}):
            for cell in range(cells):
                row = [_four(splits.get((key, i)), window, cell) for i in columns]
                values.append(f"({win}, {key}, {cell}, {', '.join(row)})")
    return f"coefficients(win, key, cell, {names}) AS (VALUES {', '.join(values)})"


def _four(made: Split | None, window: int, cell: int) -> str:
    if made is None:
        return "0e0, 0e0, 0e0, 0e0"
    return ", ".join(double(a[window, cell]) for a in (made.mix_x, made.mix_n, made.within_x, made.within_n))


def double(value: float) -> str:
    """A number as SQL that no engine takes for a decimal."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def _squares(obs, plan: Plan, name: str, splits: Mapping[tuple[int, int], Split], cells: int) -> dict:
    """Per split: clusters and squared influences of both parts in both windows, and n of both windows."""
    columns = sorted({i for _, i in splits})
    each = ", ".join(
        f"sum(coalesce(mx{i} * x{i}, 0) + coalesce(mn{i} * n{i}, 0)) AS m{i}, "
        f"sum(coalesce(wx{i} * x{i}, 0) + coalesce(wn{i} * n{i}, 0)) AS w{i}, sum(n{i}) AS n{i}"
        for i in columns
    )
    total = ", ".join(
        f"sum(m{i} * m{i}) AS m{i}, sum(w{i} * w{i}) AS w{i}, sum(n{i}) AS n{i}, sum(CASE WHEN n{i} > 0 THEN 1 ELSE 0 END) AS c{i}"
        for i in columns
    )
    sql = f"""WITH members AS ({members(plan, BOTH)}), {_coefficients(splits, cells)},
    placed AS (SELECT c.*, members.win FROM {name} c JOIN members ON c.day_no = members.day_no),
    moved AS (SELECT p.win, p.key, p.cluster, {each} FROM placed p
      JOIN coefficients k ON p.win = k.win AND p.key = k.key AND p.cell = k.cell GROUP BY p.win, p.key, p.cluster)
    SELECT win, key, {total} FROM moved GROUP BY win, key"""
    out: dict = {}
    for row in rows(obs, sql):
        window = row["win"] - WINDOWS["this"]
        for i in columns:
            at = (row["key"], i)
            for place, part in enumerate("mw"):
                out[at, place, window] = (float(row[f"c{i}"] or 0), float(row[f"{part}{i}"] or 0.0))
            out[at, "n"] = out.get((at, "n"), 0) + (row[f"n{i}"] or 0)
    return out


def _shocks(obs, plan: Plan, name: str, splits: Mapping[tuple[int, int], Split], cells: int) -> dict:
    """Per split: what days add to the variance of both parts, (variance, df) of this and last, in the unit of the ratio; and the square of the scale."""
    columns = sorted({i for _, i in splits})
    keys = sorted({k for k, _ in splits})
    levels = ", ".join(f"level{i}" for i in columns)
    values = ", ".join(
        f"({key}, {cell}, " + ", ".join(double(splits[key, i].level[cell]) if (key, i) in splits else "0e0" for i in columns) + ")"
        for key in keys for cell in range(cells)
    )  # fmt: skip
    source = f"(SELECT c.*, {levels} FROM {name} c JOIN (SELECT * FROM (VALUES {values}) AS l(key, cell, {levels})) l ON c.key = l.key AND c.cell = l.cell) r"
    asked = [(x, f"n{i}", False) for i in columns for x in (f"level{i} * n{i}", f"x{i} - level{i} * n{i}")]
    found = moments(obs, plan, source, asked, key="r.key")
    out: dict = {}
    for key, i in splits:
        place = columns.index(i)
        out[key, i] = [_extra(plan, found, (key, 2 * place + part)) for part in (0, 1)]
        out[(key, i), "scale"] = splits[key, i].unit ** -2
    return out


def _extra(plan: Plan, found: Found, at: tuple[int, int]) -> list[tuple[float, float]]:
    by = found.get(at, {})
    days = [d for d in range(len(plan.days)) if d in by]
    window, weekday = ([plan.positions[d][k] for d in days] for k in (0, 1))
    shock = day_shock([by[d] for d in days], week=window, weekday=weekday)
    chosen = plan.members()
    return [shock.extra([by[d].n for d in chosen[w] if d in by]) for w in BOTH]
