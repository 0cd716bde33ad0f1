"""What a pull is made of: slices to fetch, pages that come back, and the client that fetches them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Project:
    """A project of the vendor: its id (goes to the ``project`` column) and the name that people use."""

    id: str
    name: str


@dataclass(frozen=True)
class Slice:
    """One piece of work: an entity, half-open in time [start, end) or by ids, with what else the client must know.

    ``params`` are plain JSON. Two slices with the same content have the same key, which names their file.
    """

    entity: str
    start: datetime | None = None
    end: datetime | None = None
    ids: tuple[str, ...] = ()
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.entity}-{hashlib.md5(json.dumps(self.json(), sort_keys=True).encode(), usedforsecurity=False).hexdigest()}"

    def __str__(self) -> str:
        if self.start and self.end:
            return f"{self.entity} {_short(self.start)} to {_short(self.end)}"
        return f"{self.entity} ({len(self.ids):,} ids)" if self.ids else self.entity

    def json(self) -> dict:
        """Plain JSON that ``of`` reads back."""
        return asdict(self) | {k: v.isoformat() for k in ("start", "end") if (v := getattr(self, k))}

    @classmethod
    def of(cls, told: Mapping) -> Slice:
        times = {k: datetime.fromisoformat(told[k]) if told[k] else None for k in ("start", "end")}
        return cls(told["entity"], times["start"], times["end"], tuple(told["ids"]), told["params"])

    def halves(self) -> list[Slice]:
        """Two slices that are together this one; none where it cannot be cut."""
        if len(self.ids) > 1:
            half = len(self.ids) // 2
            return [replace(self, ids=self.ids[:half]), replace(self, ids=self.ids[half:])]
        if self.start and self.end and self.end - self.start > timedelta(seconds=1):
            middle = self.start + (self.end - self.start) / 2
            middle = middle.replace(microsecond=middle.microsecond // 1000 * 1000)
            return [replace(self, end=middle), replace(self, start=middle)]
        return []


def _short(at: datetime) -> str:
    return at.strftime("%Y-%m-%d" if at.time() == datetime.min.time() else "%Y-%m-%dT%H:%M:%S")


class Page(NamedTuple):
    """Rows as the vendor gave them (plus what the client adds) and where the next page begins; no cursor: that was all."""

    rows: Sequence[dict]
    cursor: str | None = None


@dataclass(frozen=True)
class Pages:
    """How an entity is paged and read: rows a page to begin with, the fewest to fall to, the format that ingests its rows."""

    first: int
    least: int
    format: str


@dataclass(frozen=True)
class Job:
    """What to pull of one project.

    ``windows`` holds per entity the half-open stretches of time to fetch (watermark and overlap are already in them);
    ``since`` and ``until`` are what the pull is to be complete for. ``open_spans`` are (trace_id, span_id) of stored spans
    without an end. ``unknown`` gives, of some trace ids, those of which the store has no span.
    """

    project: Project
    since: datetime
    until: datetime
    io: str = "none"
    windows: Mapping[str, Sequence[tuple[datetime, datetime]]] = field(default_factory=dict)
    open_spans: Sequence[tuple[str, str]] = ()
    unknown: Callable[[Sequence[str]], list[str]] = lambda ids: list(ids)


class Rows(Protocol):
    """What a later stage may read of the earlier ones: the rows already fetched."""

    def rows(self, entity: str) -> Iterator[dict]: ...


class Client(Protocol):
    """One vendor, as a pull uses it. All methods but ``fetch`` are called from one thread; ``fetch`` from several.

    ``traffic`` names the entities whose rows become spans and scores.
    """

    source: str
    traffic: tuple[str, str]
    pages: Mapping[str, Pages]
    overlaps: Mapping[str, timedelta]
    workers: int

    def projects(self, wanted: Sequence[str]) -> list[Project]: ...
    def stages(self, job: Job) -> Iterator[Callable[[Rows], list[Slice]]]: ...
    def fetch(self, slice: Slice, cursor: str | None, limit: int) -> Page: ...
    def totals(self, job: Job) -> Iterator[dict]: ...
    def notes(self, job: Job) -> list[str]: ...


def days(start: datetime, end: datetime, step: timedelta = DAY) -> list[tuple[datetime, datetime]]:
    """[start, end) cut at UTC midnights (for steps of a day) or at whole steps from the epoch; newest first."""
    out = []
    while start < end:
        whole = datetime.fromtimestamp((start.timestamp() // step.total_seconds() + 1) * step.total_seconds(), start.tzinfo)
        stop = min(whole, end)
        out.append((start, stop))
        start = stop
    return out[::-1]


def chunks(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The ids in tuples of at most ``size``."""
    for start in range(0, len(ids), size):
        yield tuple(ids[start : start + size])
