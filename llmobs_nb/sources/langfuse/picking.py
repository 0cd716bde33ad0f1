"""Which traces a pull must ask for once more, told by the rows it already has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple

import xxhash

from ..transport.job import Job, Rows
from .columns import PURPOSES

SAMPLE_A_DAY = 200


class Picked(NamedTuple):
    """Trace ids: ``texts``, whose inputs and outputs are wanted, by the day they began; ``missing``, to be fetched whole."""

    texts: list[str]
    missing: list[str]


@dataclass
class _Found:
    """Of the observations of this pull: the day each trace began, traces that Langfuse made itself (to judge, to experiment),
    traces with an error, open spans that came again.
    """

    days: dict[str, str] = field(default_factory=dict)
    internal: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    again: set[tuple[str, str]] = field(default_factory=set)


def pick(job: Job, rows: Rows) -> Picked:
    """The traces to ask for, each once; the observations are read once, and only where they matter.

    Missing are those of open spans that did not come again, and those that scores point to and neither this pull nor the
    store has. Texts are wanted where ``io`` is errors or sampled: of traces with an error; sampled adds those with a score
    and of the product's own traces of each day the ``SAMPLE_A_DAY`` whose hashed ids are the lowest, so that every pull of
    a day takes the same.
    """
    scored = {trace for score in rows.rows("scores") if (trace := _trace_of(score))}
    unknown = set(job.unknown(sorted(scored))) if scored else set()
    open_spans = set(job.open_spans)
    chosen = job.io in ("errors", "sampled")
    if not (chosen or unknown or open_spans):
        return Picked([], [])
    found = _look(rows.rows("observations"), open_spans)
    wanted = set(found.errors) if chosen else set()
    if job.io == "sampled":
        wanted |= (scored & found.days.keys()) | set(_sample(found))
    missing = (unknown - found.days.keys()) | {trace for trace, _ in open_spans - found.again}
    return Picked(sorted(wanted, key=lambda trace: (found.days[trace], trace)), sorted(missing - wanted))


def _look(observations: Iterable[dict], open_spans: set[tuple[str, str]]) -> _Found:
    found = _Found()
    days = found.days
    for row in observations:
        trace = row.get("traceId")
        if not trace:
            continue
        day = str(row.get("startTime"))[:10]
        if day < days.get(trace, "~"):
            days[trace] = day
        if row.get("environment") in PURPOSES:
            found.internal.add(trace)
        if row.get("level") == "ERROR":
            found.errors.add(trace)
        if open_spans and (span := (trace, row.get("id"))) in open_spans:
            found.again.add(span)
    return found


def _sample(found: _Found) -> Iterator[str]:
    by_day: dict[str, list[str]] = {}
    for trace, day in found.days.items():
        if trace not in found.internal:
            by_day.setdefault(day, []).append(trace)
    for traces in by_day.values():
        yield from nsmallest(SAMPLE_A_DAY, traces, key=lambda trace: (xxhash.xxh64_intdigest(trace.encode()), trace))


def _trace_of(score: dict) -> str | None:
    """The trace that a score points to; None for one of a session or an experiment."""
    subject = score.get("subject")
    if not isinstance(subject, dict):
        return score.get("traceId")
    return subject.get("id") if subject.get("kind") == "trace" else subject.get("traceId")
