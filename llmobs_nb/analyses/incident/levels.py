"""The metric of an incident in its own unit: levels per day inside and outside of the slice, before, after, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...stats.cells import Cells
from ...stats.crossfit import by_days, crossfit
from ...stats.estimate import Estimate
from ...stats.intervals import critical
from ...stats.scan import effects
from ..reductions import rows
from .axes import CODED, value_sql
from .cube import where_sql
from .leads import lengths
from .result import NOTHING
from .theories import Room, Theory
from .traces import RAW
from .wording import TEXTS


def daily(room: Room, theory: Theory, hours: bool = False) -> np.ndarray:
    """2 × 3 × T: counts, sums, sums of squares of the metric (its logarithm, where ratios are compared), in the slice and outside.

    By days, or by ``hours``.
    """
    i, bin = theory.metric, "hour" if hours else "day"
    inside = f"CASE WHEN {where_sql(theory.label)} THEN 1 ELSE 0 END"
    out = np.zeros((2, 3, room.plan.days * (24 if hours else 1)))
    sql = f"""SELECT c.{bin} AS bin, c.inside, count(r.v) AS n, sum(r.v) AS s, sum(r.v * r.v) AS q
        FROM (SELECT source, project, trace_id, {bin}, {inside} AS inside FROM {CODED}) c
        JOIN {_values(room, i)} r
          ON c.source = r.source AND c.project = r.project AND c.trace_id = r.trace_id GROUP BY 1, 2"""
    for r in rows(room.counter.obs, sql):
        if r["n"]:
            out[1 - int(r["inside"]), :, int(r["bin"])] = r["n"], r["s"], r["q"]
    return out


def _values(room: Room, i: int) -> str:
    """The metric of every trace on the scale that is compared, from the table where it stands."""
    of_texts = not room.plan.metrics[i].sql and not room.plan.metrics[i].is_score
    return f"(SELECT source, project, trace_id, {value_sql(room.plan, i)} AS v FROM {TEXTS if of_texts else RAW})"


def scale(room: Room, i: int) -> Callable[[float], float]:
    """From the scale that is compared to the unit that is shown."""
    return math.exp if room.plan.metrics[i].kind == "log" else float


def shown(room: Room, i: int, estimate: Estimate) -> Estimate:
    """A level in its own unit."""
    if not estimate.ok:
        return estimate
    f, kind = scale(room, i), room.plan.metrics[i].kind
    low, high = estimate.ci_low, estimate.ci_high
    if kind == "rate":
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(f(estimate.value), f(low), f(high), estimate.n, estimate.level)


def before_after(room: Room, theory: Theory, sums: np.ndarray) -> tuple[Estimate, Estimate]:
    """Level of the slice before and after, in its own unit; of a burst "before" is all that is outside of it."""
    cells, (start, stop) = _cells(room, theory, sums), theory.hours or (max(theory.day, 1), theory.end)
    before, after, _ = effects(cells, [0], start, stop)[0]
    if not before.ok:  # the slice is all traffic: nothing else tells of the shocks of days
        before, after, _ = effects(cells, [0], start, stop, shock=1e-12)[0]
    return shown(room, theory.metric, before), shown(room, theory.metric, after)


def _cells(room: Room, theory: Theory, sums: np.ndarray) -> Cells:
    n, s, q = (x[None] for x in sums[0])
    rhythm = {"period": 24} if theory.hours else {"phase": room.plan.start.weekday()}
    return Cells(n, s, q, sums.sum(axis=0), [1], rate=room.plan.metrics[theory.metric].kind == "rate", **rhythm)


def effect_and_without(room: Room, theory: Theory, before: Estimate, after: Estimate) -> tuple[Estimate, Estimate]:
    """The change net of the rest of traffic, and the level without it, both in the metric's unit with intervals."""
    if theory.metric not in theory.tests or not theory.tests[theory.metric][2].ok or not after.ok:
        return NOTHING, NOTHING
    e = fair(room, theory)
    if room.plan.metrics[theory.metric].kind == "log":
        without = Estimate(*(after.value / math.exp(v) for v in (e.value, e.ci_high, e.ci_low)), e.n, e.level)
        change = Estimate(after.value - without.value, after.value - without.ci_high, after.value - without.ci_low, e.n, e.level)
        return change, without
    return Estimate(e.value, e.ci_low, e.ci_high, e.n, e.level), Estimate(
        after.value - e.value, after.value - e.ci_high, after.value - e.ci_low, e.n
    )


def fair(room: Room, theory: Theory) -> Estimate:
    """The effect of a theory; of a slice that was searched for, not inflated by that: picked on one half of the days, measured on the other.

    A suspect was not picked by its effect. Where a half is too small to find the change again, the plain estimate stands.
    """
    plain, i = theory.tests[theory.metric][2], theory.metric
    if theory.lead is None or theory.label not in room.cube.labels:
        return plain
    cell = room.cube.labels.index(theory.label)
    halves = by_days(room.cube.cells(room.plan, i))
    found = crossfit(*halves, among=[cell], shock=room.shock(i), bursts=lengths(room.plan.days)) if theory.end is None else None
    return found.effect if found is not None and found.effect.value * plain.value > 0 else plain


def share_explained(theory: Theory, sums: np.ndarray) -> float | None:
    """How much of the move of the whole mean the slice accounts for; None where the mean did not move its way."""
    inside = np.zeros(sums.shape[-1], bool)
    inside[slice(*(theory.hours or (theory.day, theory.end)))] = True
    total = sums.sum(axis=0)
    n, s = total[0], total[1]
    if not n[inside].sum() or not n[~inside].sum() or theory.metric not in theory.tests or not theory.tests[theory.metric][2].ok:
        return None
    moved = s[inside].sum() / n[inside].sum() - s[~inside].sum() / n[~inside].sum()
    part = theory.tests[theory.metric][2].value * sums[0, 0, inside].sum() / n[inside].sum()
    return float(np.clip(part / moved, 0, 1)) if moved * part > 0 else None


def timeline(room: Room, theory: Theory, sums: np.ndarray) -> list[dict]:
    """One row per day and part: level with a 95 % interval by the rows of the day."""
    out, f = [], scale(room, theory.metric)
    for part, (n, s, q) in zip(("slice", "rest"), sums, strict=True):
        full = n > 1
        variance = (
            max(float((q[full].sum() - (s[full] ** 2 / n[full]).sum()) / max((n[full] - 1).sum(), 1)), 0.0) if full.any() else 0.0
        )
        for day in np.flatnonzero(n > 0):
            mean = s[day] / n[day]
            half = critical(0.95) * math.sqrt(variance / n[day])
            low, high = mean - half, mean + half
            if room.plan.metrics[theory.metric].kind == "rate":
                low, high = max(low, 0.0), min(high, 1.0)
            row = {"day": room.plan.at(day).date(), "part": part, "value": f(mean), "low": f(low), "high": f(high)}
            out.append(row | {"n": int(n[day])})
    return out


def means(room: Room, theory: Theory, label) -> tuple[float | None, float | None]:
    """Level of a slice before and after the onset of a theory, in the metric's unit; None where nobody is."""
    i = theory.metric
    late = f"c.day >= {theory.day}" + (f" AND c.day < {theory.end}" if theory.end is not None else "")
    sql = f"""SELECT CASE WHEN {late} THEN 1 ELSE 0 END AS late, avg(r.v) AS m FROM (SELECT * FROM {CODED} WHERE {where_sql(label)}) c
        JOIN {_values(room, i)} r
          ON c.source = r.source AND c.project = r.project AND c.trace_id = r.trace_id GROUP BY 1"""
    found = {int(r["late"]): r["m"] for r in rows(room.counter.obs, sql)}
    f = scale(room, i)
    return tuple(None if found.get(k) is None else f(found[k]) for k in (0, 1))


def in_units(room: Room, i: int, effect: Estimate, after: float | None) -> dict[str, float | None]:
    """A change with its limits in the metric's unit; of a logarithm what it comes to at the level after."""
    limits = {"effect": effect.value, "low": effect.ci_low, "high": effect.ci_high}
    if room.plan.metrics[i].kind != "log":
        return limits
    return {k: None if after is None else after * (1 - math.exp(-v)) for k, v in limits.items()}
