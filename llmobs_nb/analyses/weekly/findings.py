"""What a reader must know about the data behind the review: days left out, calls without a price, KPIs that the data say nothing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ...text import terminal
from ..reductions import moment, rows
from ..result import Finding
from .judged import MOST_SCORES
from .plan import BASELINE, Plan
from .slices import Slices
from .sql import partitions, scan


def findings_of(
    obs,
    plan: Plan,
    daily: Mapping[int, Mapping],
    absent: Sequence[str],
    told: Sequence[tuple[str, str, int]],
    made: Sequence[Slices],
    names: int,
) -> list[Finding]:
    """All findings of a review, coverage first; ``told`` are those of the scores, ``names`` how many scores there are."""  # fmt: skip
    gaps, reached, most = _gaps(obs, plan), len(plan.baseline), MOST_SCORES
    unpriced, worded, wanted = gaps["unpriced"], gaps["worded"], BASELINE[plan.period]
    pooled = [s for s in made if s.pooled]
    said = [
        (
            reached < wanted and not plan.pinned,
            "info",
            f"the data reach back {reached} of the {wanted} baseline {plan.period}s",
            reached,
        ),
        (plan.pinned and not reached, "warning", f"the data do not reach the baseline {plan.pinned and plan.pinned.label}", 0),
        (unpriced, "warning", f"llm calls of the week without a cost, left out of the sums: {unpriced:,}", unpriced),
        (gaps["other"], "info", f"spans of judging, experiments or the platform, left out: {gaps['other']:,}", gaps["other"]),
        (worded, "info", f"scores with a label and no number, left out of the means: {worded:,}", worded),
        (names > most, "info", f"of {names:,} scores the {most} most frequent are reviewed", names),
        *((True, *one) for one in told),
        *((True, "info", f"{s.pooled:,} more values of {s.name} are shown as one, other", s.pooled) for s in pooled),
        (absent, "info", f"not logged, left out: {', '.join(terminal(a, 60) for a in absent)}", len(absent)),
    ]
    return [*_coverage(plan, daily), *(Finding(severity, text, count) for shown, severity, text, count in said if shown)]


def _coverage(plan: Plan, daily: Mapping[int, Mapping]) -> list[Finding]:
    this, last = plan.week.label, plan.against.label
    if not any(d in daily for d in plan.of_this()):
        return [Finding("warning", f"no requests in {this}", 0)]
    if not plan.comparable:
        return [Finding("warning", f"no weekday has data in both {this} and {last}: nothing is compared", 0)]
    places = [k for k in range(len(plan.this)) if plan.this[k] is not None]
    if plan.period != "week":
        return _matched(plan, len(places))
    if len(plan.kept) == len(places):
        return []
    names = ", ".join(f"{date.fromisoformat(plan.days[plan.this[k]].label):%a}" for k in plan.kept)
    text = f"one of the two weeks is incomplete: {this} and {last} are compared on {names} only"
    return [Finding("warning", text, len(plan.kept))]


def _matched(plan: Plan, whole: int) -> list[Finding]:
    """A longer window is compared on pairs of same weekdays: how many, and what has no partner."""
    left, pairs = whole - len(plan.kept), len(plan.kept)
    text = f"{plan.week.label} and {plan.against.label} are compared on {pairs} pairs of same weekdays; days without a partner: {left}"
    return [Finding("info" if left <= 3 * (1 if plan.period == "month" else 3) else "warning", text, pairs)]


def _gaps(obs, plan: Plan) -> dict:
    """What the numbers of this window leave out: model calls without a price, scores without a number, spans of no product."""
    week = f"start_time >= {moment(plan.week.start)} AND start_time < {moment(plan.week.end)}"
    sql = f"""SELECT (SELECT count(*) FROM spans WHERE {scan(plan)} AND kind = 'llm' AND tokens_in IS NOT NULL
        AND cost_usd IS NULL AND {week}) AS unpriced,
      (SELECT count(*) FROM spans WHERE {partitions(plan)} AND purpose IS NOT NULL AND {week}) AS other,
      (SELECT count(*) FROM scores WHERE value IS NULL) AS worded"""
    return rows(obs, sql)[0]
