"""One pull: what to fetch, into a spool that survives a stop; then all of it into the store in one commit; then the proof."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .. import windows
from ..errors import UsageError, choose
from ..observations import Observations, default_store
from ..sources.transport.clock import Clock, Stopped
from ..sources.transport.drain import Undone, drain
from ..sources.transport.job import Client, Job, Project, Slice
from ..sources.transport.spool import Spool
from ..store.store import Store
from . import marks
from .folder import alone, folder_of, request_folder
from .known import Known
from .result import Pulled

if TYPE_CHECKING:
    from ..ingest.run import Ingested

IO = ("all", "errors", "sampled", "none")
STALE = timedelta(minutes=10)


@dataclass(frozen=True)
class Request:
    """What was asked for, in words that do not change from one run to the next: the same request goes on where it stopped."""

    since: str | None = None
    until: str | None = None
    io: str = "none"
    full: bool = False
    keys: tuple[str, ...] = ()

    def text(self) -> str:
        """The request as one text."""
        return json.dumps([self.since, self.until, self.io, self.full, self.keys])


@dataclass
class _Run:
    """What all projects of one pull share."""

    client: Client
    store: Store
    request: Request
    clock: Clock
    now: Callable[[], datetime]
    progress: Callable[[str], None] | None
    workers: int | None
    ends: tuple[datetime | None, datetime | None] = (None, None)
    options: Mapping[str, Any] = field(default_factory=dict)


def pull(
    vendor: str,
    *,
    store: str | os.PathLike | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    project: str | Sequence[str] = (),
    io: str = "none",
    full: bool = False,
    plan: str | None = None,
    keys: Sequence[str] = (),
    tz: str = "UTC",
    workers: int | None = None,
    memory: str = "600MB",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
    client: Client | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Pulled]:
    """Bring a vendor's traces, scores and all that belongs to them into a store; one result per project.

    Without ``since`` the pull goes on where the last one ended, with an overlap for what arrives late or changes (the first
    one begins 14 days back). ``io`` says of which traces inputs and outputs come too: all, errors, sampled, none. ``full``
    fetches everything from the first day ever pulled (or ``since``) on and marks what has vanished at the source. ``plan``
    is the vendor's, for its rate limits; ``keys`` are metadata keys that must come whole. Credentials come from the
    environment, under the vendor's own names. The same call again goes on where a stopped one was.

    Raises UsageError for wrong use, SourceError where the vendor refuses or cannot be reached.
    """
    from ..sources.clients import client_of

    choose("io", io, IO)
    clock = Clock()
    mine = client is None
    client = client or client_of(vendor, plan=plan, keys=keys, clock=clock)
    ends = tuple(None if t is None else _floor(windows.parse_since(t, tz=tz)) for t in (since, until))
    if ends[0] and ends[0] >= (ends[1] or now()):
        raise UsageError(f"since={since!r} is not before until={until or 'now'!r}; give an earlier one")
    request = Request(_text(since), _text(until), io, full, tuple(keys))
    run = _Run(client, Store(default_store(store)), request, getattr(client, "clock", clock), now, progress, workers, ends)
    run.options = {"memory": memory, "threads": threads}
    try:
        wanted = [project] if isinstance(project, str) else list(project)
        return [_project(run, one) for one in client.projects(wanted)]
    finally:
        if mine:
            client.close()


def _floor(at: datetime) -> datetime:
    """Vendors count milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _text(at: str | datetime | None) -> str | None:
    return at.isoformat() if isinstance(at, datetime) else at


def _project(run: _Run, project: Project) -> Pulled:
    """All of one project. A pull that goes on after a while is followed by one for the time since."""
    key = f"{run.client.source} {project.id}"
    folder = folder_of(run.store.place, key)
    with alone(folder, f"project {project.name!r}"):
        done = _once(run, project, key, folder)
        goes_on = done.resumed and done.finished and run.ends[1] is None and not run.request.full
        if goes_on and run.now() - done.until > STALE:
            done = done.followed(_once(run, project, key, folder))
    return done


def _once(run: _Run, project: Project, key: str, folder: str) -> Pulled:
    began = time.monotonic()
    spool = Spool(request_folder(folder, run.request.text()))
    mark = marks.read(run.store, key)
    resumed = bool(spool.plan())
    plan = spool.plan() or _planned(run, mark)
    spool.write_plan(plan)
    job = _job(run, project, plan)
    undone = _fetch(run, spool, job, plan)
    totals = [] if undone else list(run.client.totals(job))
    notes = [] if undone else run.client.notes(job)
    since, until = job.since, job.until
    if not undone:
        # Rows may arrive a little late: what is newer than that is not held to be complete.
        mark = mark.adding((since, min(until, datetime.fromisoformat(plan["began"]) - marks.ARRIVAL)))
    done = Pulled(run.client.source, project, since, until, resumed=resumed, undone=undone, notes=notes)
    done.rows = {entity: spool.count(entity) for entity in spool.entities()}
    done.ingested = _ingest(run, spool, project, job, totals, notes)
    if not undone:
        if run.request.full and run.store.exists:
            done.vanished = _reconcile(run, spool, project, job)
        marks.write(run.store, key, mark)
        spool.remove()
    if run.store.exists:
        done.compare(Observations(run.store.snapshot()))
    done.seconds = time.monotonic() - began
    return done


def _planned(run: _Run, mark: marks.Mark) -> dict:
    """The plan of a new pull, with all times fixed."""
    now = _floor(run.now().astimezone(UTC))
    overlaps = dict(run.client.overlaps)
    stretch = marks.window(mark, *run.ends, now, overlaps[run.client.traffic[0]], full=run.request.full)
    if stretch[0] >= stretch[1]:
        raise UsageError(
            f"until={stretch[1]:%Y-%m-%d %H:%M} lies before what a pull goes on from, {stretch[0]:%Y-%m-%d %H:%M}; give since, too"
        )
    whole = run.request.full or run.ends[0] is not None
    fetch = marks.windows(overlaps, mark, stretch, whole=whole)
    return {
        "began": now.isoformat(),
        "since": stretch[0].isoformat(),
        "until": stretch[1].isoformat(),
        "windows": {name: [[a.isoformat(), b.isoformat()] for a, b in parts] for name, parts in fetch.items()},
        "stages": [],
    }


def _job(run: _Run, project: Project, plan: dict) -> Job:
    since, until = (datetime.fromisoformat(plan[name]) for name in ("since", "until"))
    known = Known(run.store, run.client.source, project.id)
    fetch = {n: [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in w] for n, w in plan["windows"].items()}
    return Job(project, since, until, run.request.io, fetch, known.open_spans(since), known.unknown)


def _fetch(run: _Run, spool: Spool, job: Job, plan: dict) -> list[Undone]:
    """Fetch stage by stage; each stage's slices are noted before the first of them is fetched. What is left undone."""
    workers = run.workers or run.client.workers
    for at, stage in enumerate(run.client.stages(job)):
        if at == len(plan["stages"]):
            plan["stages"].append([slice.json() for slice in stage(spool)])
            spool.write_plan(plan)
        slices = [Slice.of(told) for told in plan["stages"][at]]
        try:
            undone = drain(run.client, spool, slices, clock=run.clock, workers=workers, progress=run.progress)
        except Stopped:
            raise KeyboardInterrupt from None
        if undone:
            return undone
    return []


def _ingest(run: _Run, spool: Spool, project: Project, job: Job, totals: Sequence[dict], notes: Sequence[str]) -> Ingested | None:
    """All that was fetched and counted into the store, in one commit; None where there is nothing."""
    from ..ingest.run import ingest

    formats = {spool.joined(entity): f for entity in spool.entities() if (f := run.client.pages[entity].format)}
    frames = [("source_totals", _totals(run, project, job, totals))] if totals else []
    if not formats and not frames:
        return None
    return ingest(list(formats), run.store, format=formats, frames=frames, notes=notes, progress=run.progress, **run.options)


def _totals(run: _Run, project: Project, job: Job, totals: Sequence[dict]) -> pa.Table:
    """What the vendor counted as rows of ``source_totals``."""
    checked = run.now()
    told = {"source": run.client.source, "project": project.id, "checked_at": checked, "complete": True}
    return pa.Table.from_pylist([{"tokens_in": None, "tokens_out": None, "cost_usd": None, **row, **told} for row in totals])


def _reconcile(run: _Run, spool: Spool, project: Project, job: Job) -> int:
    """Mark what the source no longer has; how many rows that are."""
    from ..ingest.run import ingest
    from .vanished import compare

    fetched = {table: spool.files(entity) for table, entity in zip(("spans", "scores"), run.client.traffic, strict=True)}
    found = compare(
        Observations(run.store.snapshot()), fetched, source=run.client.source, project=project.id,
        since=job.since, until=job.until, now=run.now(),
    )  # fmt: skip
    if found.num_rows:
        ingest([], run.store, frames=[("vanished", found)], **run.options)
    return sum(found["gone"].to_pylist())
