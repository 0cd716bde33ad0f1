"""What the LangSmith double knows: projects with their runs and feedback in the order of time, and who may still see them."""

from __future__ import annotations

import heapq
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from .langsmith_feedback import Feedback, feedback_of, feedback_stats
from .langsmith_rows import DAYS, NAMES, Run, runs_of, uid
from .traffic import START, TraceT

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Place = tuple[datetime, str]


class Shelf:
    """Things in the order of (time, id)."""

    def __init__(self):
        self._places: list[Place] = []
        self._things: dict[str, object] = {}
        self._sorted = True

    def put(self, at: datetime, id: str, thing: object) -> None:
        if id not in self._things:
            self._places.append((at, id))
            self._sorted = False
        self._things[id] = thing

    def drop(self, ids: Iterable[str]) -> None:
        gone = {i for i in ids if self._things.pop(i, None) is not None}
        self._places = [p for p in self._places if p[1] not in gone]

    def walk(
        self,
        since: datetime = FIRST,
        until: datetime = LAST,
        *,
        after: Place | None = None,
        up: bool = False,
        closed: bool = False,
    ) -> Iterator[tuple[Place, object]]:
        """Things of [since, until) (``closed``: and of ``until``), newest first or ``up``, from behind the place ``after``."""
        if not self._sorted:
            self._places.sort()
            self._sorted = True
        low = bisect_left(self._places, (since, ""))
        high = bisect_right(self._places, (until, "~")) if closed else bisect_left(self._places, (until, ""))
        if after is not None and up:
            low = max(low, bisect_right(self._places, after))
        elif after is not None:
            high = min(high, bisect_left(self._places, after))
        for at in range(low, high) if up else range(high - 1, low - 1, -1):
            place = self._places[at]
            yield place, self._things[place[1]]


@dataclass
class Project:
    """A tracing project, or an experiment where it has a dataset."""

    id: str
    name: str
    dataset_id: str | None = None
    runs: Shelf = field(default_factory=Shelf)
    feedback: Shelf = field(default_factory=Shelf)


@dataclass
class Filed:
    """A trace as it was given, and the ids of its runs."""

    trace: TraceT
    project: Project
    received: datetime | None
    example: str | None
    runs: list[str]


class Store:
    """All projects. ``now`` gives the server's time; without it, it is an hour after the last thing that happened."""

    def __init__(self, *, now: Callable[[], datetime] | None, retention_days: int | None, hub_prompts: bool):
        self._now, self.retention_days, self.hub_prompts = now, retention_days, hub_prompts
        self._last = START
        self.projects: dict[str, Project] = {}
        self.traces: dict[str, Filed] = {}
        self.runs: dict[str, Run] = {}
        self.feedback: dict[str, Feedback] = {}
        self.judged: dict[str, list[Feedback]] = {}
        self._kept: set[str] = set()
        self._hides = retention_days is not None

    def now(self) -> datetime:
        return self._now() if self._now else self._last + timedelta(hours=1)

    def add(self, trace: TraceT, project: Project, *, received: datetime | None = None, example: str | None = None) -> None:
        """Take a trace with its scores; one that is known is replaced, with all that was said of it."""
        if uid(trace.id) in self.traces:
            self.delete(trace.id)
        self._file(Filed(trace, project, received, example, []))
        for score in trace.scores:
            self.judge(feedback_of(score, self.run_of(trace.id, score.span_id)))
        for run in self.traces[uid(trace.id)].runs:
            self._prepare(self.runs[run])

    def _file(self, filed: Filed) -> None:
        runs = runs_of(filed.trace, filed.project.id, filed.received, self.hub_prompts)
        filed.runs = [r.id for r in runs]
        for run in runs:
            run.example, run.dataset = (filed.example, filed.project.dataset_id) if not run.parents else (None, None)
            self.runs[run.id] = run
            self._hides |= run.span.arrived is not None
            filed.project.runs.put(run.span.start, run.id, run)
            self._happened(run.span.end or run.span.start)
        self.traces[runs[0].trace_id] = filed

    def _happened(self, at: datetime) -> None:
        self._last = max(self._last, at)

    def _prepare(self, run: Run) -> None:
        run.prepare(feedback_stats(self.judged.get(run.id, ())))

    def run_of(self, trace_id: str, span_id: str | None) -> Run:
        """The run of a neutral span; the root without one."""
        filed = self.traces[uid(trace_id)]
        root = filed.trace.spans[0].id
        return self.runs[uid(trace_id) if span_id in (None, root) else uid(span_id)]

    def judge(self, given: Feedback) -> None:
        """Take a judgement. All but one from the UI upgrades the retention of its trace."""
        self.feedback[given.id] = given
        self._hides |= given.arrived is not None
        self.projects[given.project_id].feedback.put(given.created, given.id, given)
        self._happened(given.modified)
        if given.run is not None:
            self.judged.setdefault(given.run.id, []).append(given)
            if given.source != "app":
                self._kept.add(given.run.trace_id)

    def judge_late(self, given: Feedback) -> None:
        """Take a judgement of a run that is there already."""
        self.judge(given)
        if given.run is not None:
            self._prepare(given.run)

    def edit(self, id: str, changes: dict) -> None:
        """Change a judgement; ``modified`` moves to the server's now, ``created`` stays."""
        given = self.feedback[id]
        for name, value in {**changes, "modified": self.now()}.items():
            setattr(given, name, value)
        self._happened(given.modified)
        if given.run is not None:
            self._prepare(given.run)

    def end(self, run_id: str, end: datetime) -> None:
        """A run that was pending has ended; the usage it has all along shows from now on."""
        run = self.runs[run_id]
        filed = self.traces[run.trace_id]
        spans = tuple(replace(s, end=end) if s is run.span else s for s in filed.trace.spans)
        self._file(replace(filed, trace=replace(filed.trace, spans=spans)))
        for id in self.traces[run.trace_id].runs:
            fresh = self.runs[id]
            for given in self.judged.get(id, ()):
                given.run = fresh
            self._prepare(fresh)

    def delete(self, trace_id: str) -> None:
        """Forget a trace with all that was said of it."""
        filed = self.traces.pop(uid(trace_id))
        gone = [f.id for r in filed.runs for f in self.judged.pop(r, ())]
        self._kept.discard(uid(trace_id))
        filed.project.runs.drop(filed.runs)
        filed.project.feedback.drop(gone)
        for run in filed.runs:
            del self.runs[run]
        for id in gone:
            del self.feedback[id]

    def tier(self, trace_id: str) -> str:
        """How long a trace is kept: ``shortlived`` (base) or, once judged, ``longlived`` (extended)."""
        return "longlived" if trace_id in self._kept else "shortlived"

    def visible(self, run: Run, now: datetime) -> bool:
        """Whether a run has arrived and its trace has not expired yet."""
        if run.span.arrived is not None and run.span.arrived > now:
            return False
        if self.retention_days is None:
            return True
        days = DAYS["longlived"] if run.trace_id in self._kept else self.retention_days
        return self.runs[run.trace_id].span.start >= now - timedelta(days=days)

    def heard(self, given: Iterable[Feedback]) -> Iterable[Feedback]:
        """The judgements that have arrived and whose runs are there to be seen."""
        now = self.now()
        return (f for f in given if self._arrived(f, now)) if self._hides else given

    def _arrived(self, given: Feedback, now: datetime) -> bool:
        return (given.arrived is None or given.arrived <= now) and (given.run is None or self.visible(given.run, now))

    def walk(
        self,
        projects: Sequence[Project],
        since: datetime = FIRST,
        until: datetime = LAST,
        *,
        after: Place | None = None,
        up: bool = False,
    ) -> Iterator[tuple[Place, Run]]:
        """The visible runs of some projects that begin in [since, until), newest first or ``up``."""
        now = self.now()
        walks = [p.runs.walk(since, until, after=after, up=up) for p in projects]
        found = walks[0] if len(walks) == 1 else heapq.merge(*walks, key=lambda pair: pair[0], reverse=not up)
        return (pair for pair in found if self.visible(pair[1], now)) if self._hides else found


def project_id(name: str) -> str:
    """The id of a project that is only known by its name."""
    return str(uuid.uuid5(NAMES, f"project {name}"))
