"""Slices that carry their own request: a pull that goes on later, or on another machine, asks the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from ..transport.job import DAY, Job, Slice, days

Window = tuple[datetime, datetime]
STARTS = ("fromStartTime", "toStartTime")
STAMPS = ("fromTimestamp", "toTimestamp")
TEXTS = ("input", "output")


def slice_of(
    job: Job,
    entity: str,
    path: str,
    *,
    reader: str = "numbered",
    bucket: str = "public",
    query: Mapping[str, object] | None = None,
    add: Mapping[str, object] | None = None,
    ids: Sequence[str] = (),
    window: Window | None = None,
    **more: object,
) -> Slice:
    """A slice of ``entity`` that is read from ``path`` below /api/public.

    ``reader`` is ``cursor``, ``numbered`` (pages by number) or ``each`` (one request for each id). ``add`` is put into rows
    that do not say it themselves, beside the project. ``more``: ``between``, the names of the two times of the window;
    ``time``, the field by which a numbered list goes down; ``share``, how many times smaller a page must be than that of the
    entity; ``drop``, fields that are not kept; ``each``, the parameter that takes one id (without it the id ends the path);
    ``optional``, not every server has it.
    """
    told = {"path": path, "reader": reader, "bucket": bucket, "query": dict(query or {})} | more
    told["add"] = {"projectId": job.project.id} | dict(add or {})
    start, end = window or (None, None)
    return Slice(entity, start, end, tuple(ids), told)


def list_of(job: Job, entity: str, path: str, **more: object) -> Slice:
    """The slice of a short list that is read whole, by page number; a server that does not have it has no rows."""
    return slice_of(job, entity, path, optional=True, **more)


def query_of(slice: Slice, moment: str | None = None) -> dict[str, object]:
    """The parameters of a slice's request but for the page: its own, its window (half-open, in UTC), its trace ids.

    ``moment``: only of this millisecond, in the API's words.
    """
    query = dict(slice.params["query"])
    start, end = slice.start, slice.end
    if moment:
        start = datetime.fromisoformat(moment)
        end = start + timedelta(milliseconds=1)
    if start and end:
        query |= dict(zip(slice.params["between"], (when(start), when(end)), strict=True))
    if slice.ids and slice.params["reader"] == "cursor":
        query["filter"] = json.dumps(
            [{"type": "stringOptions", "column": "traceId", "operator": "any of", "value": list(slice.ids)}],
            separators=(",", ":"),
        )
    return query


def one_of(slice: Slice, at: int) -> tuple[str, dict[str, object]]:
    """The path and the parameters that ask for the thing with the id at this place."""
    path, query, id = slice.params["path"], dict(slice.params["query"]), slice.ids[at]
    if name := slice.params.get("each"):
        return path, query | {name: id}
    return f"{path}/{quote(id, safe='')}", query


def when(at: datetime) -> str:
    """A time as the API takes it. Langfuse counts milliseconds: finer parts are cut, at both ends of a window alike."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def windows(job: Job, entity: str, step=DAY) -> list[Window]:
    """The windows of an entity cut into days or longer steps, newest first; none where the job has none."""
    return [piece for start, end in job.windows.get(entity, ()) for piece in days(start, end, step)]


def uncovered(these: Iterable[Window], those: Iterable[Window]) -> list[Window]:
    """The parts of some windows that no other window covers."""
    left = list(these)
    for start, end in those:
        left = [part for a, b in left for part in ((a, min(b, start)), (max(a, end), b)) if part[0] < part[1]]
    return left
