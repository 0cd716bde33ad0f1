"""What LangSmith gives in lists by offset or by queue: feedback, datasets and examples, experiments, queues, prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..transport.http import TooMuch
from ..transport.job import Page, Slice
from . import totals
from .queries import named, stamp
from .server import Server

# Offsets further in are slow; the stretch of time is cut instead.
DEEPEST = 10_000
_LISTS: dict[str, tuple[str, dict[str, Any]]] = {
    "feedback_configs": ("/feedback-configs", {}),
    "datasets": ("/datasets", {}),
    "experiments": ("/sessions", {"reference_free": False, "include_stats": False}),
    "queues": ("/annotation-queues", {}),
}


def page(server: Server, slice: Slice, cursor: str | None, limit: int) -> Page:
    """One page of any of them; raises what ``Http`` raises, and TooMuch where feedback lies too deep."""
    if slice.entity == "feedback":
        return _feedback(server, slice, int(cursor or 0), limit)
    if slice.entity == "queue_items":
        return _queue_items(server, slice, cursor, limit)
    if slice.entity == "feedback_keys":
        (project,) = slice.params["projects"]
        found = totals.feedback_keys(server, project, datetime.fromisoformat(slice.params["around"]))
        return Page([{"feedback_key": key} for key in found])
    if slice.entity == "prices":
        return Page(_dated(server.rows("/model-price-map")))
    if slice.entity == "examples":
        params = {"dataset": slice.params["dataset"], "inline_s3_urls": True}
        found = _by_offset(server, "/examples", params, int(cursor or 0), limit)
        return Page([row | {"dataset_name": slice.params["name"]} for row in found.rows], found.cursor)
    path, params = _LISTS[slice.entity]
    found = _by_offset(server, path, params, int(cursor or 0), limit)
    return Page(_dated(found.rows), found.cursor)


def _feedback(server: Server, slice: Slice, offset: int, limit: int) -> Page:
    """Feedback by time of creation or by run; the last page is an empty one, since a short one may only lack rows."""
    if slice.start and offset >= DEEPEST:
        raise TooMuch(f"more than {DEEPEST:,} rows of feedback")
    params: dict[str, Any] = {"limit": limit, "offset": offset, "include_user_names": True}
    if slice.ids:
        params["run"] = list(slice.ids)
    else:
        bounds = {"min_created_at": stamp(slice.start), "max_created_at": stamp(slice.end)}
        params |= {"session": list(slice.params["projects"]), **bounds}
    rows = server.rows("/feedback", params)
    return named(Page(rows, str(offset + len(rows)) if rows else None), slice.params["projects"])


def _queue_items(server: Server, slice: Slice, cursor: str | None, limit: int) -> Page:
    """The items of one section of a queue."""
    path = f"/platform/annotation-queues/{slice.params['queue']}/items"
    told = server.get(path, {"status": slice.params["section"], "page_size": limit, "cursor": cursor})
    body = told if isinstance(told, dict) else {}
    about = {"queue_id": slice.params["queue"], "queue_name": slice.params["name"], "queue_status": slice.params["section"]}
    return Page([row | about for row in _dated(server.checked(body.get("items"), path))], body.get("next_cursor") or None)


def _by_offset(server: Server, path: str, params: dict[str, Any], offset: int, limit: int) -> Page:
    rows = server.rows(path, {**params, "limit": limit, "offset": offset})
    return Page(rows, str(offset + len(rows)) if len(rows) == limit else None)


def _dated(rows: list[dict]) -> list[dict]:
    """The rows with the time at which they were pulled, by which the store tells the newest of what has no other date."""
    now = datetime.now(UTC).isoformat()
    return [row | {"pulled_at": now} for row in rows]
