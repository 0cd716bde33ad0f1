"""From reductions to estimates: the levels of a KPI in the three windows, their change, and what they mean together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import special

from ...stats.compare import difference, from_log, mover, mover_relative, quotient, relative_change, two_sided
from ...stats.days import DayShock, day_shock, paired_change
from ...stats.estimate import Estimate
from ...stats.intervals import (
    Ranks,
    critical,
    effective_n,
    pooled_df,
    proportion_from,
    quantile_position,
    quantile_ranks,
    ratio_from,
    too_few_for_quantile,
    variance,
)  # fmt: skip
from ...stats.margins import minimum_detectable
from ...stats.moments import NOTHING, Moments, add
from ...stats.multiplicity import benjamini_hochberg, weighted_benjamini_hochberg
from .kpis import Kpi
from .plan import Plan
from .sql import WINDOWS

ALPHA = 0.05
NO_PAIR = "no weekday has data in both windows"
NO_BASELINE = "no data in the baseline"


@dataclass(frozen=True)
class Review:
    """One KPI of one slice: its levels, its change, and the verdict on it.

    ``detectable`` is the change for the worse that would have been called with probability 0.8 beside the other KPIs of the page.
    ``mix`` and ``within`` add up to the change; None where there is nothing to split by. ``slo`` is the objective for the
    level and ``slo_verdict`` whether the level keeps it: met, missed or cannot_tell.
    """

    kpi: Kpi
    this: Estimate
    last: Estimate
    baseline: Estimate
    change: Estimate
    verdict: str = "cannot_tell"
    q: float | None = None
    reason: str | None = None
    detectable: float | None = None
    mix: Estimate | None = None
    within: Estimate | None = None
    slo: float | None = None
    slo_verdict: str | None = None

    @property
    def slice(self) -> str:
        """Which part of the traffic it is about."""
        return self.kpi.slice

    @property
    def n(self) -> int:
        """How much there is in any of the windows."""
        return self.this.n + self.last.n + self.baseline.n


class Asked(NamedTuple):
    """What a quantile needs: its KPI, key and group, n, the ranks of its limits and those around its value, the df of its change."""

    kpi: Kpi
    key: int
    group: int
    n: int
    limits: Ranks | None
    position: tuple[int, int, float]
    df: float = math.inf

    def ranks(self) -> list[tuple[int, int, int]]:
        """(key, group, rank) of the order statistics to fetch."""
        ranks = () if self.limits is None else (*self.limits[:2], *self.position[:2])
        return [(self.key, self.group, rank) for rank in ranks]

    def estimate(self, values: Mapping[tuple[int, int, int], float]) -> Estimate:
        """The quantile with its interval, once the order statistics are there."""
        if self.limits is None:
            return Estimate.refused(too_few_for_quantile(self.kpi.p, self.n) if self.n else "no values", n=self.n)
        low, high, below, above = (values[key] for key in self.ranks())
        return Estimate(below + self.position[2] * (above - below), low, high, self.n, df=self.df)


def review_volume(kpi: Kpi, plan: Plan, daily: Mapping[int, Mapping], totals: Mapping[str, Mapping]) -> Review:
    """Exact totals of the windows (of the mean baseline week); their change by pairs of days."""
    weeks = [_total(kpi, totals.get(f"baseline{k}")) for k in range(len(plan.whole()))]
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


def review_ratio(kpi: Kpi, plan: Plan, found: Mapping[int, Moments], *, covariance: float = 0.0) -> Review:
    """Levels of a rate or mean from moments by day and window; sessions and days both add to the uncertainty.

    Both levels lean on one estimate of the shocks of days, so that its degrees of freedom count once, not once a level: each of
    the two gives half. ``covariance`` is that of the two levels where the same clusters are in both windows.
    """
    shock = _shock(plan, found)
    level = proportion_from if kpi.kind == "rate" else ratio_from
    this, last, baseline = (level(found.get(WINDOWS[w], NOTHING), extra=_extra(shock, plan, found, w)) for w in WINDOWS)
    if kpi.kind == "rate":
        change = student(mover(this, last), _df(shock, plan, found))
    else:
        levels = [replace(e, df=e.df / 2) if shock.variance else e for e in (this, last)]
        absolute = kpi.change_kind == "absolute"
        change = difference(*levels) if absolute else relative_change(*levels, covariance=covariance)
    return _review(kpi, plan, *(bounded(e, kpi.bounds) for e in (this, last, baseline)), change)


def review_quotient(kpi: Kpi, plan: Plan, above: Review, below: Review) -> Review:
    """A KPI that is one KPI over another, such as cost per good answer: both are taken as independent."""
    levels = [quotient(*(getattr(r, at) for r in (above, below))) for at in ("this", "last", "baseline")]
    change = relative_change(levels[0], levels[1])
    return _review(kpi, plan, *(bounded(e, kpi.bounds) for e in levels), change)


def bounded(e: Estimate, bounds: tuple[float, float]) -> Estimate:
    """The estimate with its interval cut at what is possible."""
    return replace(e, ci_low=max(e.ci_low, bounds[0]), ci_high=min(e.ci_high, bounds[1])) if e.ok else e


def ask_quantiles(kpi: Kpi, plan: Plan, key: int, found: Mapping[int, Moments], groups: Sequence[int]) -> list[Asked]:
    """What to fetch for a quantile KPI: its windows, and days (no day shock within a day)."""
    shock = _shock(plan, found)
    extras: dict[int, tuple[float, float]] = {WINDOWS[w]: _extra(shock, plan, found, w) for w in WINDOWS}
    df = _df(shock, plan, found)
    return [_ask(kpi, key, g, found.get(g, NOTHING), extras.get(g), df) for g in groups]


def review_quantile(kpi: Kpi, plan: Plan, answers: Mapping[int, Estimate]) -> Review:
    """Levels of a quantile from fetched order statistics; the change by MOVER on the log scale."""
    this, last, baseline = (answers[WINDOWS[w]] for w in WINDOWS)
    return _review(kpi, plan, this, last, baseline, student(mover_relative(this, last), min(this.df, last.df)))


def judge(reviews: Sequence[Review]) -> tuple[Review, ...]:
    """Verdicts of all KPIs of a page together.

    ``better`` or ``worse`` when q is below 0.05, ``same`` when the whole interval of the change lies inside the margin, else
    ``cannot_tell`` with the reason. See :func:`corrected` for q.
    """
    qs, asked = corrected(reviews), [r for r in reviews if r.change.ok]
    directed = [r.kpi.weight for r in asked if r.kpi.better != "none"]
    share = {r.kpi.key: r.kpi.weight / sum(directed) if directed else 1.0 for r in asked}
    return tuple(
        _judged(r, None if math.isnan(q) else float(q), len(asked), share.get(r.kpi.key, 1.0))
        for r, q in zip(reviews, qs, strict=True)
    )


def corrected(reviews: Sequence[Review]) -> np.ndarray:
    """q of every change, corrected for how many KPIs the page has; NaN for one that is refused.

    "Did any get worse?" and "did any get better?" are two questions, each answered one-sided at 0.05 by weighted
    Benjamini-Hochberg: in a quiet week one in twenty pages calls anything worse. A KPI counts by its ``weight``. q is
    never below the p of the change alone, so that a verdict never contradicts an interval that holds 0. KPIs of which neither
    direction is better are a third question.
    """
    out, weights = np.full(len(reviews), np.nan), [r.kpi.weight for r in reviews]
    for verdict in ("worse", "better"):
        sides = [_one_sided(r, verdict) for r in reviews]
        qs = weighted_benjamini_hochberg(sides, weights)
        for i, r in enumerate(reviews):
            if sides[i] is not None and _direction(r) == verdict:
                out[i] = max(qs[i], r.change.p)
    neither = benjamini_hochberg([r.change.p if r.change.ok and r.kpi.better == "none" else None for r in reviews])
    return np.where(np.isnan(out), neither, out)


def _direction(r: Review) -> str:
    return "better" if (r.change.value > 0) == (r.kpi.better == "up") else "worse"


def _one_sided(r: Review, verdict: str) -> float | None:
    """The p of "no change, or one the other way"; None where there is no change or no direction."""
    if not r.change.ok or r.kpi.better == "none":
        return None
    return r.change.p / 2 if _direction(r) == verdict else 1 - r.change.p / 2


def detectable(kpi: Kpi, change: Estimate, share: float) -> float | None:
    """The smallest change for the worse that is called with probability 0.8; as the change is given.

    ``share`` is that of the KPI's weight in the weight of the page: the part of the page's error that it may use, one-sided.
    """
    se = _se(kpi, change)
    if se is None:
        return None
    size = minimum_detectable(se, critical(1 - ALPHA * min(2 * share, 1), change.df))
    if kpi.change_kind == "absolute":
        return size
    return -math.expm1(-size) if kpi.better == "up" else math.expm1(min(size, 700.0))


def with_slo(review: Review, objective: float | None) -> Review:
    """The review against an objective for its level: met or missed when the whole interval says so."""
    if objective is None or not review.this.ok:
        return replace(review, slo=objective, slo_verdict=None if objective is None else "cannot_tell")
    ends = (review.this.ci_low, review.this.ci_high)
    bad, good = (
        (ends[0] > objective, ends[1] <= objective) if review.kpi.better != "up" else (ends[1] < objective, ends[0] >= objective)
    )
    return replace(review, slo=objective, slo_verdict="missed" if bad else "met" if good else "cannot_tell")


def _se(kpi: Kpi, change: Estimate) -> float | None:
    """The standard error of a change on the scale it is tested on; from the interval where the method gives none."""
    if change.se is not None or not change.ok:
        return change.se
    low, high = change.ci_low, change.ci_high
    if kpi.change_kind == "relative":
        if low <= -1:
            return None
        low, high = math.log1p(low), math.log1p(high)
    return (high - low) / 2 / critical(change.level)


def _judged(review: Review, q: float | None, asked: int, share: float) -> Review:
    kpi, change = review.kpi, review.change
    if not change.ok:
        return replace(review, reason=change.reason)
    inside = -kpi.margin <= change.ci_low and change.ci_high <= kpi.margin
    if q < ALPHA and kpi.better != "none":
        return replace(review, q=q, verdict=_direction(review), reason="smaller than the margin" if inside else None)
    if inside:
        return replace(review, q=q, verdict="same")
    return replace(review, q=q, reason=_why_not(review, q, asked), detectable=detectable(kpi, change, share))


def _why_not(review: Review, q: float, asked: int) -> str:
    if q < ALPHA:
        return "it changed, but neither direction is better by itself"
    if review.change.p < ALPHA:
        return f"the interval leaves out 0, but not after correction for {asked} KPIs (q = {q:.2g})"
    return "the interval holds 0 and reaches beyond the margin: too few data"


def _review(kpi: Kpi, plan: Plan, this: Estimate, last: Estimate, baseline: Estimate, change: Estimate) -> Review:
    if not plan.baseline:
        baseline = Estimate.refused(NO_BASELINE)
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
        return weeks[0] if weeks else Estimate.refused(NO_BASELINE)
    value = sum(w.value for w in good) / len(good)
    return Estimate(value, value, value, sum(w.n for w in good))


def _shock(plan: Plan, found: Mapping[int, Moments]) -> DayShock:
    at = [d for d in range(len(plan.days)) if d in found]
    week, place = ([plan.positions[d][k] for d in at] for k in (0, 1))
    return day_shock([found[d] for d in at], week=week, weekday=place)


def _extra(shock: DayShock, plan: Plan, found: Mapping[int, Moments], window: str) -> tuple[float, float]:
    """What shared shocks of days add to the variance of a window's ratio, with its degrees of freedom.

    Where a cluster counts once in a window, however many days it is there, the ratio of the window is not that of its days; the
    shock is then carried over in proportion. The shock is what the scatter of days leaves when that of their clusters is taken
    off: it is as uncertain as the two together, which its degrees of freedom say (a difference has fewer than its minuend).
    """
    days = [found[d] for d in plan.members()[window] if d in found]
    whole = found.get(WINDOWS[window], NOTHING)
    added, df = shock.extra([m.n for m in days])
    total = add(days)
    if added and total.n > 0 and total.x and whole.n > 0:
        added *= (whole.ratio / total.ratio) ** 2
    if added and whole.m > 1:
        df *= (added / (added + variance(whole))) ** 2
    return added, df


def _df(shock: DayShock, plan: Plan, found: Mapping[int, Moments]) -> float:
    """The degrees of freedom of a change between the two windows: the fewer of theirs, as they share the estimate of the shock."""
    both = [(found.get(WINDOWS[w], NOTHING), _extra(shock, plan, found, w)) for w in ("this", "last")]
    return min((pooled_df((variance(m), m.m - 1), extra) for m, extra in both if m.m > 1), default=math.inf)


def student(change: Estimate, df: float) -> Estimate:
    """A change with the p of Student's distribution in place of the normal: the interval, which has the df already, stays."""
    if not change.ok or math.isinf(df):
        return change
    z = -float(special.ndtri(change.p / 2)) if change.p > 0 else math.inf
    return replace(change, df=df, p=two_sided(z * critical(change.level, df) / critical(change.level), df))


def _ask(kpi: Kpi, key: int, group: int, m: Moments, extra: tuple[float, float] | None, df: float) -> Asked:
    n = int(m.n)
    keywords = {} if extra is None else {"extra": extra}
    n_eff = effective_n(m, **keywords) if m.m >= 2 else 0
    ranks = quantile_ranks(kpi.p, n, n_eff=n_eff) if n_eff >= 1 else None
    return Asked(kpi, key, group, n, ranks, quantile_position(kpi.p, n) if n else (0, 0, 0.0), df)
