"""The numbers of an incident as claims: levels, causes and their evidence, days, slices, traces, checks and spans."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...stats.estimate import Estimate, finite
from ..result import claim

if TYPE_CHECKING:
    from .result import Cause, IncidentResult

LEVELS = "slice after the onset against before it; variance of days honoured"
COUNTED = "counted in the result"
SPAN = {"latency_ms": ("latency", "ms"), "tokens": ("tokens", "tokens"), "cost_usd": ("cost", "usd")}


def of_incident(result: IncidentResult) -> list[dict]:
    """Every number that the page of an incident shows, in its order."""
    parts = (_levels, _causes, _days, _slices, _others, _traces, _checks, _spans, _findings)
    return [one for part in parts for one in part(result)]


def in_words(value: float | None, unit: str) -> tuple[float | None, str]:
    """A change as it is told: that of a logarithm as a share of the earlier value."""
    value = finite(value)
    return (value, unit) if unit != "log" else (None if value is None else math.expm1(value), "relative")


def values_needed(result: IncidentResult) -> int | None:
    """How many times the values would be needed to see a change of the margin; None where they are enough, or not known."""
    least, margin = finite(result.minimum_detectable), finite(result.others[0].get("margin")) if result.others else None
    return math.ceil((least / margin) ** 2) if least and margin and least > margin > 0 else None


def _number(id: str, text: str, value, unit: str, n: int, traces=(), how: str = "see the text") -> dict:
    """A claim without an interval."""
    value = finite(value)
    e = Estimate(value, None, None, n) if value is not None else Estimate.refused("nothing to tell", n=n)
    return claim(id, text, e, unit=unit, how=how, traces=traces)


def _levels(result: IncidentResult) -> Iterable[dict]:
    n, unit = result.after.n, result.unit
    least, of = in_words(result.minimum_detectable, result.detectable_unit or unit)
    yield claim("verdict", result.headline, result.after, unit=unit, how="search over all slices, days and metrics")
    yield claim("before", f"{result.label} before", result.before, unit=unit, how=LEVELS)
    yield claim("after", f"{result.label} after", result.after, unit=unit, how=LEVELS, traces=result.traces)
    yield _number("minimum_detectable", "smallest change that would have been found", least, of, n)


def _causes(result: IncidentResult) -> Iterable[dict]:
    for k, cause in enumerate(result.causes):
        yield from _cause(f"cause.{k}.{cause.kind}", cause, result)


def _cause(name: str, cause: Cause, result: IncidentResult) -> Iterable[dict]:
    n, unit = result.after.n, result.unit
    yield claim(f"{name}.effect", "; ".join(cause.evidence), cause.effect, unit=unit, how="net of the rest of traffic")
    yield claim(f"{name}.without", f"{result.label} without it", cause.without, unit=unit, how="after less the effect")
    yield _number(f"{name}.share_explained", "share of the overall change", cause.share_explained, "rate", n)
    yield _number(f"{name}.confidence", "confidence among the causes considered", cause.confidence, "rate", n)
    if cause.diff:
        yield _number(f"{name}.share_rate", "share of the slice's traces with the passage", cause.diff.share_rate, "rate", n)
    for at, sentence in enumerate(cause.evidence):
        for j, (estimate, of) in enumerate(getattr(sentence, "numbers", ())):
            yield claim(f"{name}.evidence.{at}.{j}", str(sentence), estimate, unit=of, how="slice after against before")


def _days(result: IncidentResult) -> Iterable[dict]:
    for row in result.timeline.itertuples():
        e = Estimate(row.value, row.low, row.high, int(row.n))
        yield claim(f"timeline.{row.part}.{row.day}", f"{result.label}, {row.part}", e, unit=result.unit, how="daily mean")


def _slices(result: IncidentResult) -> Iterable[dict]:
    for k, row in enumerate(result.slices.itertuples()):
        e = Estimate(row.effect, row.low, row.high, int(row.n))
        yield claim(f"slice.{k}", str(row.slice), e, unit=result.unit, how="change net of the rest of traffic")
        for side in ("before", "after"):
            yield _number(f"slice.{k}.{side}", f"{row.slice} {side}", getattr(row, side), result.unit, int(row.n))


def _others(result: IncidentResult) -> Iterable[dict]:
    """Limits and margin of every other metric, how many there are, and what would be needed to see the margin."""
    for k, other in enumerate(result.others):
        for side in ("low", "high", "margin"):
            if side in other:
                value, unit = in_words(other[side], str(other.get("unit") or ""))
                yield _number(f"other.{k}.{side}", f"{other.get('metric')}, {side} of its change", value, unit, 0)
    total = len(result.others)
    yield _number("others", "other metrics", total, "count", total, how=COUNTED)
    for verdict in ("inside", "open"):
        n = sum(o.get("verdict") == verdict for o in result.others)
        yield _number(f"others.{verdict}", f"other metrics: {verdict}", n, "count", total, how=COUNTED)
    how = "square of the smallest change that could have been seen over the margin"
    yield _number("values_needed", "times the values to see the margin", values_needed(result), "count", total, how=how)


def _traces(result: IncidentResult) -> Iterable[dict]:
    for row in result.exemplars.drop_duplicates("trace_id").itertuples():  # one before may go with two after
        yield _number(f"exemplar.{row.trace_id}", result.label, row.value, result.unit, 1, (row.trace_id,))


def _checks(result: IncidentResult) -> Iterable[dict]:
    """Counts of checks; what each trace measured, and between what the slice lay before."""
    frame, n = result.checklist, len(result.checklist)
    yield _number("checks", "checks of traces", n, "count", n, how=COUNTED)
    yield _number("checks.odd", "checks that are not as usual", int((frame.verdict != "ok").sum()), "count", n, how=COUNTED)
    measured = frame[frame.unit.notna()]
    for row in measured.itertuples():
        how = "as measured in the trace"
        yield _number(f"check.{row.trace_id}.{row.check}", str(row.check), row.value, row.unit, 1, (row.trace_id,), how)
    for row in measured.drop_duplicates("check").itertuples():
        for side, share in (("low", "1 %"), ("high", "99 %")):
            how = f"{share} quantile of the slice before the onset"
            yield _number(
                f"usual.{row.check}.{side}", f"{row.check}, usual", getattr(row, side), row.unit, result.before.n, how=how
            )


def _spans(result: IncidentResult) -> Iterable[dict]:
    for trace, spans in result.spans.groupby("trace_id", sort=False):
        yield _number(f"spans.{trace}", "spans of the trace", len(spans), "count", len(spans), (trace,), COUNTED)
        for at, row in enumerate(spans.itertuples()):
            for column, (name, unit) in SPAN.items():
                told = f"{name} of {row.name}"
                yield _number(f"span.{trace}.{at}.{name}", told, getattr(row, column), unit, 1, (trace,), "as recorded")


def _findings(result: IncidentResult) -> Iterable[dict]:
    for at, one in enumerate(result.findings):
        yield _number(f"finding.{at}", one.text, one.count, "count", one.count, how="counted in the data")
