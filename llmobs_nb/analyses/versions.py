"""Scoreboards of prompt versions and of model versions: each against its predecessor on the same traffic, with a rollback hint."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from .. import units
from ..columns import literal
from ..errors import choose
from ..stats import noninferiority as ni
from ..stats.estimate import Estimate, finite
from ..stats.multiplicity import holm
from ..text import terminal
from ..windows import Window
from .gate import compare, sums
from .gate.dimensions import WATCHED_DIMENSIONS, Dimension, score_dimensions
from .gate.measured import same_trace, traces_sql
from .reductions import data_range, moment, rows
from .result import claim

Axis = Literal["prompt_version", "model"]
USES, TRACES, PAIR = "version_uses", "version_traces", "version_pair"
DAYS = timedelta(days=56)
REACH = timedelta(days=14)
LEAST, LEAST_A_DAY = 30, 3
MOST_PAIRS = 40
# Of each axis: whose versions, the version, and what a hint says.
_AXES = {
    "prompt_version": ("coalesce(prompt_name, '')", "prompt_version", "roll {name} back to {against}"),
    "model": ("model_requested", "model", "pin {name} to {against}"),
}
DESIGNS = {
    "side_by_side": "on the days when both ran, weighted to the same mix of week, feature and tenant tier",
    "before_after_with_control": "two weeks before against after, net of the rest of traffic; days as clusters",
    "before_after": "two weeks before against after, without other traffic to compare with; days as clusters",
}


@dataclass(frozen=True)
class _Life:
    """One version of one prompt (or requested model): its traces and when it was first and last seen."""

    name: str
    version: str
    n: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class _Pair:
    """A version and its predecessor, and the design in which they can be compared; ``live``: nothing newer of that name."""

    new: _Life
    old: _Life
    live: bool
    design: str
    days: tuple[str, ...] = ()


def scoreboard(obs, when=None, *, axis: Axis = "prompt_version", level: float = 0.95) -> list[dict]:
    """One row per version, predecessor and dimension, as dicts that strict JSON can carry.

    ``when`` is a window, or the plan of a review (all of its days); default: the last eight weeks of data. A version needs 30
    requests. Where both ran on the same days (30 requests each there) those days are compared; else the two weeks before
    with the two after, net of the rest of traffic where there is some. A request counts for every prompt it used; one that used
    both versions is left out. ``verdict`` is ``better`` or ``worse`` where Holm's p over all rows is below 1 - level, ``same``
    where the interval lies inside the margin, else ``cannot_tell``. ``rollback`` is a hint where the newest version is worse and
    that is not only time. UsageError for an axis that is not known; an empty store gives no rows.
    """
    choose("axis", axis, _AXES)
    start, end = _window(obs, when)
    if start is None:
        return []
    dimensions = (*(d for d in WATCHED_DIMENSIONS if d.sql), *score_dimensions(obs))
    with _measured(obs, axis, dimensions, start, end):
        found = [(p, c) for p in _pairs(obs) for c in _compared(obs, p, dimensions, level)]
    return _judged(axis, found, level)


def beside(obs, plan) -> list[dict]:
    """Both scoreboards over the days of a review, for its ``versions``."""
    return [row for axis in _AXES for row in scoreboard(obs, plan, axis=axis)]


def claims(board: Sequence[dict]) -> list[dict]:
    """A claim for every number of a scoreboard: both levels and the change of each row."""
    out = []
    for row in board:
        at = f"versions.{row['axis']}.{row['name']}.{row['version']}.{row['metric']}"
        for side in ("this", "last", "change"):
            e = Estimate(*(row[side][k] for k in ("value", "ci_low", "ci_high", "n")), reason=row[side].get("reason"))
            unit = "relative" if side == "change" and row["change_kind"] == "relative" else row["unit"]
            out.append(claim(f"{at}.{side}", f"{_what(row)}, {side}: {_told(row, side)}", e, unit=unit, how=row["how"]))
    return out


def change_text(row: dict) -> str:
    """The change of a row with its interval; n/a where it is refused."""
    e, unit, kind = row["change"], row["unit"], row["change_kind"]
    if e["value"] is None:
        return units.MISSING
    told = units.change(e["value"], unit, kind, low=e["ci_low"], high=e["ci_high"])
    return f"{told} ({units.interval(e['ci_low'], e['ci_high'], unit, kind=kind)})"


def _told(row: dict, side: str) -> str:
    e = row[side]
    return change_text(row) if side == "change" else units.quantity(e["value"], row["unit"], low=e["ci_low"], high=e["ci_high"])


def _what(row: dict) -> str:
    name = terminal(row["name"], 60) or "unnamed"
    return f"{row['label']} of {name} {terminal(row['version'], 60)} against {terminal(row['against'], 60)}"


def _window(obs, when) -> tuple[datetime | None, datetime | None]:
    if isinstance(when, Window):
        return when.start, when.end
    if when is not None:
        return min(d.start for d in when.days), max(d.end for d in when.days)
    first, last = data_range(obs)
    return (None, None) if first is None else (max(first, last - DAYS), last + timedelta(microseconds=1))


@contextmanager
def _measured(obs, axis: Axis, dimensions: Sequence[Dimension], start: datetime, end: datetime) -> Iterator[None]:
    """While the block runs: USES (a trace, a name, a version) and TRACES (every trace of the product in the window, measured)."""
    name, version, _ = _AXES[axis]
    inside = f"""purpose IS NULL AND start_time >= {moment(start)} AND start_time < {moment(end)}
      AND day BETWEEN DATE '{start - timedelta(days=1):%Y-%m-%d}' AND DATE '{end + timedelta(days=1):%Y-%m-%d}'"""
    uses = f"""SELECT source, project, trace_id, {name} AS name, min({version}) AS version, min(start_time) AS begun FROM spans
      WHERE {inside} AND {name} IS NOT NULL AND {version} IS NOT NULL
      GROUP BY source, project, trace_id, {name} HAVING count(DISTINCT {version}) = 1"""
    traces = traces_sql(f"SELECT DISTINCT source, project, trace_id FROM spans WHERE {inside}", dimensions)
    dated = f"""SELECT *, CAST(CAST(started AS DATE) AS VARCHAR) AS on_day,
      CAST(CAST(date_trunc('week', started) AS DATE) AS VARCHAR) AS in_week FROM ({traces}) t"""
    with obs.kept(USES, uses), obs.kept(TRACES, dated):
        yield


def _pairs(obs) -> list[_Pair]:
    """Every version with its predecessor by first sight, newest first."""
    found = rows(
        obs,
        f"""SELECT name, version, count(*) AS n, min(begun) AS first, max(begun) AS last FROM {USES}
      GROUP BY name, version HAVING count(*) >= {LEAST} ORDER BY name, first, version""",
    )
    lives = [_Life(**r) for r in found]
    out = []
    for _, group in itertools.groupby(lives, key=lambda v: v.name):
        versions = list(group)
        out += [_designed(obs, new, old, new is versions[-1]) for old, new in itertools.pairwise(versions)]
    return sorted(out, key=lambda p: p.new.first, reverse=True)[:MOST_PAIRS]


def _designed(obs, new: _Life, old: _Life, live: bool) -> _Pair:
    """The pair side by side where both ran on the same days often enough, else before and after."""
    shared = rows(
        obs,
        f"""SELECT t.on_day AS on_day, sum(CASE WHEN u.version = {literal(new.version)} THEN 1 ELSE 0 END) AS new,
        sum(CASE WHEN u.version = {literal(old.version)} THEN 1 ELSE 0 END) AS old
      FROM {USES} u JOIN {TRACES} t ON {same_trace("u", "t")} WHERE u.name = {literal(new.name)} GROUP BY t.on_day""",
    )
    days = [r for r in shared if min(r["new"], r["old"]) >= LEAST_A_DAY]
    if min(sum(r[side] for r in days) for side in ("new", "old")) >= LEAST:
        return _Pair(new, old, live, "side_by_side", tuple(sorted(r["on_day"] for r in days)))
    (rest,) = rows(
        obs,
        f"""SELECT coalesce(sum(CASE WHEN arm = 1 THEN 1 ELSE 0 END), 0) AS after,
        coalesce(sum(CASE WHEN arm = 0 THEN 1 ELSE 0 END), 0) AS before FROM ({_rest_sql(new)}) r""",
    )
    enough = min(rest["after"], rest["before"]) >= LEAST
    return _Pair(new, old, live, "before_after_with_control" if enough else "before_after")


def _compared(obs, pair: _Pair, dimensions: Sequence[Dimension], level: float) -> list[compare.Compared]:
    """Every dimension that both versions have, compared in the pair's design."""
    with obs.kept(PAIR, _pair_sql(pair)):
        treated = _arms(obs, dimensions, level)
    if pair.design == "before_after_with_control":
        with obs.kept(PAIR, _rest_sql(pair.new)):
            controls = _arms(obs, dimensions, level)
        treated = [
            replace(t, contrast=_net(t, c), how=f"{t.how}; {DESIGNS[pair.design]}")
            for t, c in zip(treated, controls, strict=True)
        ]
    return [c for c in treated if c.baseline.n and c.candidate.n]


def _arms(obs, dimensions: Sequence[Dimension], level: float) -> list[compare.Compared]:
    arms = sums.weighted(obs, PAIR, len(dimensions))
    return [compare.independent(d, b, c, level=level) for d, b, c in zip(dimensions, arms[0], arms[1], strict=True)]


def _net(treated: compare.Compared, control: compare.Compared) -> ni.Contrast | None:
    parts = [_as_shift(c.contrast) for c in (treated, control)]
    return None if None in parts else ni.net(*parts)


def _as_shift(contrast: ni.Contrast | None) -> ni.Shift | None:
    """A contrast by its interval's mean half-width, so that rates near 0 keep their score intervals' width."""
    if contrast is None or isinstance(contrast, ni.Shift):
        return contrast
    low, high = contrast.limits(0.95)
    return ni.Shift(contrast.value, (high - low) / (2 * ni.critical(0.95)), REACH.days - 1, contrast.n)


def _pair_sql(pair: _Pair) -> str:
    """Arm 1 is the version, arm 0 its predecessor."""
    new, old = pair.new, pair.old
    if pair.design == "side_by_side":
        inside, cluster = f"t.on_day IN ({', '.join(map(literal, pair.days))})", "t.cluster"
        stratum = "concat(t.in_week, ' / ', t.stratum)"
    else:
        inside, cluster, stratum = _around(new), "t.on_day", "t.stratum"
        inside += f" AND (u.version = {literal(new.version)}) = (t.started >= {moment(new.first)})"
    return f"""SELECT CASE WHEN u.version = {literal(new.version)} THEN 1 ELSE 0 END AS arm, t.* REPLACE ({cluster} AS cluster, {stratum} AS stratum)
      FROM {USES} u JOIN {TRACES} t ON {same_trace("u", "t")}
      WHERE u.name = {literal(new.name)} AND u.version IN ({literal(new.version)}, {literal(old.version)}) AND {inside}"""


def _rest_sql(new: _Life) -> str:
    """The traffic that does not use this prompt (or model), before (arm 0) and after (arm 1) the version came."""
    return f"""SELECT CASE WHEN t.started >= {moment(new.first)} THEN 1 ELSE 0 END AS arm, t.* REPLACE (t.on_day AS cluster)
      FROM {TRACES} t LEFT JOIN (SELECT source, project, trace_id FROM {USES} WHERE name = {literal(new.name)}) u
        ON {same_trace("u", "t")} WHERE u.trace_id IS NULL AND {_around(new)}"""


def _around(new: _Life) -> str:
    return f"t.started >= {moment(new.first - REACH)} AND t.started < {moment(new.first + REACH)}"


def _judged(axis: Axis, found: Sequence[tuple[_Pair, compare.Compared]], level: float) -> list[dict]:
    adjusted = holm([None if c.contrast is None else ni.p_no_difference(c.contrast) for _, c in found])
    return [_row(axis, pair, c, finite(float(p)), level) for (pair, c), p in zip(found, adjusted, strict=True)]


def _row(axis: Axis, pair: _Pair, c: compare.Compared, p: float | None, level: float) -> dict:
    d, change = c.dimension, _change(c, level)
    verdict, reason = _verdict(c, change, p, level)
    row = {"axis": axis, "name": pair.new.name, "version": pair.new.version, "against": pair.old.version, "live": pair.live}
    row |= {"since": pair.new.first.isoformat(), "design": pair.design, "metric": d.name, "label": d.label, "unit": d.unit}
    row |= {"better": d.better, "this": c.candidate.json(), "last": c.baseline.json(), "change": change.json()}
    row |= {"change_kind": d.change_kind, "margin": d.margin, "verdict": verdict, "p_holm": p, "reason": reason, "how": c.how}
    return row | {"rollback": _hint(row) if verdict == "worse" and reason is None and pair.live else None}


def _change(c: compare.Compared, level: float) -> Estimate:
    n = c.baseline.n + c.candidate.n
    if c.contrast is None:
        return Estimate.refused(c.reason or "too few data on both sides", n=n, level=level)
    (judged,) = ni.judge([(c.contrast, c.dimension.edge, c.dimension.better)], level=level)
    return replace(judged.change, n=n)


def _verdict(c: compare.Compared, change: Estimate, p: float | None, level: float) -> tuple[str, str | None]:
    """The verdict, and what stands against taking it as it is."""
    d = c.dimension
    if not change.ok:
        return "cannot_tell", change.reason
    low, high = c.contrast.limits(level)
    inside = -d.edge <= low and high <= d.edge
    if p < 1 - level and d.better:
        verdict = "better" if (change.value > 0) == (d.better == "up") else "worse"
        return verdict, "smaller than the margin" if inside else None
    if inside:
        return "same", None
    if p < 1 - level:
        return "cannot_tell", "it changed, but neither direction is better by itself"
    return "cannot_tell", "the interval reaches beyond the margin: too few data"


def _hint(row: dict) -> str | None:
    """What to undo; None where only time could be the cause."""
    if row["design"] == "before_after":
        return None
    named = {k: terminal(row[k], 60) or "the prompt without a name" for k in ("name", "against")}
    return f"{_AXES[row['axis']][2].format(**named)}: {row['label']} {change_text(row)}"
