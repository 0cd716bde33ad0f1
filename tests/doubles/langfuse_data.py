"""What the Langfuse double holds: observation rows, scores and traces, in the order of the API; all of it can change."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from . import langfuse_scores as extra
from .langfuse_rows import Row
from .langfuse_scores import Score, judge_run, score_of, share
from .traffic import TraceT, Traffic

EXTRAS = ("corrections", "labels", "subjects", "judges", "prompts")
DELAY = timedelta(minutes=15)


class Ordered:
    """Rows in the order of their key, whose first part is a time in milliseconds; read from the newest down."""

    def __init__(self, rows=()):
        self._rows = sorted(rows, key=_key)
        self._keys = [r.key for r in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row) -> None:
        at = bisect_left(self._keys, row.key)
        self._keys.insert(at, row.key)
        self._rows.insert(at, row)

    def remove(self, row) -> None:
        at = bisect_left(self._keys, row.key)
        del self._keys[at], self._rows[at]

    def down(self, *, below: tuple | None = None, start: int | None = None, end: int | None = None) -> Iterator:
        """Rows with start <= time < end and a key below one, newest first."""
        high = len(self._rows) if end is None else bisect_left(self._keys, (end,))
        if below is not None:
            high = min(high, bisect_left(self._keys, below))
        low = 0 if start is None else bisect_left(self._keys, (start,))
        for at in range(high - 1, low - 1, -1):
            yield self._rows[at]


def _key(row) -> tuple:
    return row.key


class Data:
    """One project.

    ``duplicates`` is the share of observations that come twice, the older row as it stood before the span ended; ``extras``
    names what Langfuse has beyond the traffic: corrections, labels (categories and texts), subjects (scores of sessions),
    judges (the runs of the judges, in an environment of their own), prompts (generations linked to a prompt).
    """

    def __init__(self, traffic: Traffic, *, project: str, seed: int, duplicates: float, extras: Iterable[str]):
        self.project, self.seed, self.duplicates, self.extras = project, seed, duplicates, frozenset(extras)
        if unknown := self.extras - set(EXTRAS):
            raise ValueError(f"extras holds {', '.join(sorted(unknown))}; possible are {', '.join(EXTRAS)}")
        self.traces: dict[str, TraceT] = {}
        self.by_trace: dict[str, list[Row]] = defaultdict(list)
        self.by_span: dict[str, Row] = {}
        made = [self._make(t) for t in self._with_judges(traffic.traces)]
        self.rows = Ordered(r for rows, _ in made for r in rows)
        self.by_score = {s.id: s for _, scores in made for s in scores}
        self.scores = Ordered(self.by_score.values())

    def add(self, trace: TraceT) -> None:
        """A trace more; one with its id is replaced."""
        for one in self._with_judges([trace]):
            self.delete(one.id)
            rows, scores = self._make(one)
            for row in rows:
                self.rows.add(row)
            for score in scores:
                self.put(score)

    def late(self, trace: TraceT) -> None:
        """A trace more whose rows say that they arrived after everything that is here, however old they are."""
        now = max((r.updated for r in self.by_span.values()), default=trace.spans[0].start) + DELAY
        self.add(
            replace(
                trace,
                spans=tuple(replace(s, arrived=now) for s in trace.spans),
                scores=tuple(replace(s, arrived=now) for s in trace.scores),
            )
        )

    def put(self, score: Score) -> None:
        """A score more, or another version of one."""
        if old := self.by_score.get(score.id):
            self.scores.remove(old)
        self.scores.add(score)
        self.by_score[score.id] = score

    def edit_score(self, id: str, value: float | bool | str, author: str | None) -> None:
        """A second annotator overwrites value and author; the timestamp stays, ``updatedAt`` moves."""
        old = self.by_score[id]
        self.put(replace(old, value=value, author=author, updated=old.updated + DELAY))

    def end_span(self, id: str, end: datetime) -> None:
        """An open span gets its end; ``updatedAt`` moves."""
        row = self.by_span[id]
        row.change(replace(row.span, end=end), max(row.updated, end) + timedelta(seconds=3))

    def delete(self, trace_id: str) -> None:
        """A trace with its rows and scores is gone; nothing happens without it."""
        for row in self.by_trace.pop(trace_id, ()):
            self.rows.remove(row)
            self.by_span.pop(row.span.id, None)
        self.traces.pop(trace_id, None)
        for score in [s for s in self.by_score.values() if s.of_trace == trace_id]:
            self.scores.remove(score)
            del self.by_score[score.id]

    def current(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows without those that an update has replaced."""
        return (r for r in rows if self.by_span[r.span.id] is r)

    def _with_judges(self, traces: Iterable[TraceT]) -> Iterator[TraceT]:
        for trace in traces:
            yield trace
            if "judges" in self.extras:
                yield from (judge_run(trace, s) for s in trace.scores if s.rater == "judge")

    def _make(self, trace: TraceT) -> tuple[list[Row], list[Score]]:
        self.traces[trace.id] = trace
        rows = [r for span in trace.spans for r in self._rows(trace, span)]
        self.by_trace[trace.id] = rows
        scores = [score_of(self.project, trace, s, judged="judges" in self.extras) for s in trace.scores]
        for what in ("corrections", "labels", "subjects"):
            if what in self.extras:
                scores += getattr(extra, what)(self.project, trace, self.seed)
        return rows, scores

    def _rows(self, trace: TraceT, span) -> Iterator[Row]:
        linked = "prompts" in self.extras and span.kind == "llm"
        twice = share(self.seed, f"twice {span.id}")
        row = Row(
            self.project, trace, span, prompt=("answer", 1 + span.start.day % 2) if linked else None,
            copy=int(twice < self.duplicates / 2),
        )  # fmt: skip
        self.by_span[span.id] = row
        yield row
        if twice < self.duplicates:
            yield row.stale
