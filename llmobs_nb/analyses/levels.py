"""From reductions to estimates: the levels of a KPI in the three windows, their change, and what they mean together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..stats.compare import difference, from_log, mover, mover_relative, relative_change
from ..stats.days import DayShock, day_shock, paired_change
from ..stats.estimate import Estimate
from ..stats.intervals import (
    Ranks,
    effective_n,
    proportion_from,
    quantile_position,
    quantile_ranks,
    ratio_from,
    too_few_for_quantile,
)  # fmt: skip
from ..stats.moments import NOTHING, Moments
from ..stats.multiplicity import benjamini_hochberg
from .kpis import Kpi
from .plan import Plan
from .reductions import WINDOWS

ALPHA = 0.05
NO_PAIR = "no weekday has data in both windows"


@dataclass(frozen=True)
class Review:
    """One KPI of one slice: its levels, its change, and the verdict on it."""

    kpi: Kpi
    this: Estimate
    last: Estimate
    baseline: Estimate
    change: Estimate
    slice: str = "all"
    verdict: str = "cannot_tell"
    q: float | None = None
    reason: str | None = None


class Asked(NamedTuple):
    """What a quantile needs from the engine: its group, n, the ranks of its limits and those around its value."""

    kpi: Kpi
    group: int
    n: int
    limits: Ranks | None
    position: tuple[int, int, float]

    def ranks(self) -> list[tuple[str, int, int]]:
        """(stage, group, rank) of the order statistics to fetch."""
        ranks = () if self.limits is None else (*self.limits[:2], *self.position[:2])
        return [(self.kpi.stage, self.group, rank) for rank in ranks]

    def estimate(self, values: Mapping[tuple[str, int, int], float]) -> Estimate:
        """The quantile with its interval, once the order statistics are there."""
        if self.limits is None:
            return Estimate.refused(too_few_for_quantile(self.kpi.p, self.n) if self.n else "no values", n=self.n)
        low, high, below, above = (values[key] for key in self.ranks())
        return Estimate(below + self.position[2] * (above - below), low, high, self.n)


def review_volume(kpi: Kpi, plan: Plan, daily: Mapping[int, Mapping], totals: Mapping[str, Mapping]) -> Review:
    """Exact totals of the windows (of the mean baseline week); their change by pairs of days."""
    weeks = [_total(kpi, totals.get(f"baseline{k}")) for k in range(len(plan.baseline))]
    this, last = (_total(kpi, totals.get(name)) for name in ("this", "last"))
    pairs = [[float(daily.get(d, {}).get(kpi.x) or 0) for d in plan.chosen(week)] for week in (plan.this, plan.last)]
    if not (this.ok and last.ok):
        change = Estimate.refused((this if last.ok else last).reason, n=this.n + last.n)
    elif min(this.value, last.value) <= 0:
        change = Estimate.refused("one of the two windows has none", n=this.n + last.n)
    else:
        change = paired_change(*pairs, counts=kpi.unit == "count")
        if change.ok:
            change = from_log(math.log(this.value / last.value), change.se, change.df, n=this.n + last.n)
    return _review(kpi, plan, this, last, _mean_week(weeks), change)


def review_ratio(kpi: Kpi, plan: Plan, found: Mapping[int, Moments]) -> Review:
    """Levels of a rate or mean from moments by day and window; sessions and days both add to the uncertainty."""
    shock = _shock(plan, found)
    level = proportion_from if kpi.kind == "rate" else ratio_from
    this, last, baseline = (level(found.get(WINDOWS[w], NOTHING), extra=_extra(shock, plan, found, w)) for w in WINDOWS)
    compare = mover if kpi.kind == "rate" else difference if kpi.change_kind == "absolute" else relative_change
    change = compare(this, last)
    return _review(kpi, plan, *(bounded(e, kpi.bounds) for e in (this, last, baseline)), change)


def bounded(e: Estimate, bounds: tuple[float, float]) -> Estimate:
    """The estimate with its interval cut at what is possible."""
    return replace(e, ci_low=max(e.ci_low, bounds[0]), ci_high=min(e.ci_high, bounds[1])) if e.ok else e


def ask_quantiles(kpi: Kpi, plan: Plan, found: Mapping[int, Moments]) -> list[Asked]:
    """What to fetch for a quantile KPI: its three windows, and each day of the two weeks (no day shock within a day)."""
    shock = _shock(plan, found)
    extras: dict[int, tuple[float, float]] = {WINDOWS[w]: _extra(shock, plan, found, w) for w in WINDOWS}
    return [_ask(kpi, g, found.get(g, NOTHING), extras.get(g)) for g in (*WINDOWS.values(), *plan.this, *plan.last)]


def review_quantile(kpi: Kpi, plan: Plan, answers: Mapping[int, Estimate]) -> Review:
    """Levels of a quantile from fetched order statistics; the change by MOVER on the log scale."""
    this, last, baseline = (answers[WINDOWS[w]] for w in WINDOWS)
    return _review(kpi, plan, this, last, baseline, mover_relative(this, last))


def judge(reviews: Sequence[Review]) -> tuple[Review, ...]:
    """Verdicts of all KPIs of a page together.

    ``better`` or ``worse`` when Benjamini-Hochberg's q over all of them is below 0.05, ``same`` when the whole interval
    of the change lies inside the margin, else ``cannot_tell`` with the reason.
    """
    qs = benjamini_hochberg([r.change.p if r.change.ok else None for r in reviews])
    asked = sum(r.change.ok for r in reviews)
    return tuple(_judged(r, None if math.isnan(q) else float(q), asked) for r, q in zip(reviews, qs, strict=True))


def _judged(review: Review, q: float | None, asked: int) -> Review:
    kpi, change = review.kpi, review.change
    if not change.ok:
        return replace(review, reason=change.reason)
    inside = -kpi.margin <= change.ci_low and change.ci_high <= kpi.margin
    if q < ALPHA and kpi.better != "none":
        verdict = "better" if (change.value > 0) == (kpi.better == "up") else "worse"
        return replace(review, q=q, verdict=verdict, reason="smaller than the margin" if inside else None)
    if inside:
        return replace(review, q=q, verdict="same")
    return replace(review, q=q, reason=_why_not(review, q, asked))


def _why_not(review: Review, q: float, asked: int) -> str:
    if q < ALPHA:
        return "it changed, but neither direction is better by itself"
    if review.change.p < ALPHA:
        return f"the interval leaves out 0, but not after correction for {asked} KPIs (q = {q:.2g})"
    return "the interval holds 0 and reaches beyond the margin: too few data"


def _review(kpi: Kpi, plan: Plan, this: Estimate, last: Estimate, baseline: Estimate, change: Estimate) -> Review:
    if not plan.baseline:
        baseline = Estimate.refused("no data in the four weeks before")
    if change.ok and not plan.comparable:
        change = Estimate.refused(NO_PAIR, n=change.n)
    return Review(kpi, this, last, baseline, change)


def _total(kpi: Kpi, row: Mapping | None) -> Estimate:
    if row is None:
        return Estimate(0.0, 0.0, 0.0, 0) if kpi.name == "requests" else Estimate.refused("no requests")
    if kpi.name == "total_cost" and not row["costed"]:
        return Estimate.refused("no cost is known", n=0)
    if kpi.name in ("users", "sessions") and not row[kpi.name]:
        return Estimate.refused(f"no {kpi.name[:-1]} id is logged", n=0)
    value = float(row[kpi.x])
    return Estimate(value, value, value, row["costed"] if kpi.name == "total_cost" else int(value))


def _mean_week(weeks: Sequence[Estimate]) -> Estimate:
    good = [w for w in weeks if w.ok]
    if not good:
        return weeks[0] if weeks else Estimate.refused("no data in the four weeks before")
    value = sum(w.value for w in good) / len(good)
    return Estimate(value, value, value, sum(w.n for w in good))


def _shock(plan: Plan, found: Mapping[int, Moments]) -> DayShock:
    at = [d for d in range(len(plan.days)) if d in found]
    week, place = ([plan.positions[d][k] for d in at] for k in (0, 1))
    return day_shock([found[d] for d in at], week=week, weekday=place)


def _extra(shock: DayShock, plan: Plan, found: Mapping[int, Moments], window: str) -> tuple[float, float]:
    return shock.extra([found[d].n for d in plan.members()[window] if d in found])


def _ask(kpi: Kpi, group: int, m: Moments, extra: tuple[float, float] | None) -> Asked:
    n = int(m.n)
    keywords = {} if extra is None else {"extra": extra}
    n_eff = effective_n(m, **keywords) if m.m >= 2 else 0
    ranks = quantile_ranks(kpi.p, n, n_eff=n_eff) if n_eff >= 1 else None
    return Asked(kpi, group, n, ranks, quantile_position(kpi.p, n) if n else (0, 0, 0.0))
