"""A question for runs, in the words of both generations of the API, and the pages that come back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..transport.http import Absent
from ..transport.job import Page, Slice

NARROW = timedelta(days=7)
MOST = {"v2": 1000, "v1": 100}
# What the mapping reads; a query of v2 that names nothing gives ids alone, one of v1 leaves the token details out.
_BOTH = (
    "id", "name", "run_type", "status", "start_time", "end_time", "first_token_time", "error", "extra", "tags",
    "trace_id", "thread_id", "dotted_order", "parent_run_ids", "reference_example_id", "reference_dataset_id",
    "total_tokens", "prompt_tokens", "completion_tokens", "prompt_token_details", "completion_token_details",
    "total_cost", "prompt_cost", "completion_cost", "app_path",
)  # fmt: skip
_TEXTS = ("inputs", "outputs", "events")
_OWN = {"v2": ("project_id", "metadata", "latency_seconds", "is_root"), "v1": ("session_id", "parent_run_id")}
# The longest window that is answered is 401 days.
WIDEST = timedelta(days=399)


@dataclass(frozen=True)
class RunQuery:
    """Runs of projects that start in [start, end), or those of ``ids`` among them.

    ``texts``: with inputs, outputs and events. ``edited`` is (feedback key, since, until): only ids of runs whose feedback
    of this key changed in that time.
    """

    projects: Sequence[str]
    start: datetime
    end: datetime
    ids: Sequence[str] = ()
    texts: bool = False
    edited: tuple[str, datetime, datetime] | None = None

    @classmethod
    def of(cls, slice: Slice) -> RunQuery:
        """What a slice of a pull asks for.

        ``around`` is the end of the widest window, for what is asked for by id or by its feedback.
        """
        params = slice.params
        told = {"projects": tuple(params["projects"]), "ids": slice.ids, "texts": bool(params.get("texts"))}
        if "around" in params:
            end = datetime.fromisoformat(params["around"]) + timedelta(days=1)
            edited = (params["key"], slice.start, slice.end) if "key" in params else None
            return cls(**told, start=end - WIDEST, end=end, edited=edited)
        return cls(**told, start=slice.start, end=slice.end)

    @property
    def wide(self) -> bool:
        """Whether the window is one of those that may be asked for less often."""
        return self.end - self.start > NARROW

    def body(self, api: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """The body of the request. Raises Absent for edited feedback on v1, which cannot be asked for it."""
        common = {"cursor": cursor} if cursor else {}
        selects = _selects(api, self.texts)
        if api == "v1":
            if self.edited:
                raise Absent("edited feedback cannot be asked for on this server")
            common |= {"id": list(self.ids)} if self.ids else {}
            bounds = {"start_time": stamp(self.start), "filter": f'lt(start_time, "{stamp(self.end)}")'}
            return {"session": list(self.projects), **bounds, "select": selects, "limit": min(limit, MOST[api]), **common}
        common |= {"ids": list(self.ids)} if self.ids else {}
        if self.edited:
            key, since, until = self.edited
            selects = ["ID"]
            common |= {"filter": f"eq(feedback_key, {json.dumps(key, ensure_ascii=False)})"}
            common |= {"min_feedback_modified_at": stamp(since), "max_feedback_modified_at": stamp(until)}
        bounds = {"min_start_time": stamp(self.start), "max_start_time": stamp(self.end)}
        return {"project_ids": list(self.projects), **bounds, "selects": selects, "page_size": min(limit, MOST[api]), **common}


def _selects(api: str, texts: bool) -> list[str]:
    names = [*_BOTH, *_OWN[api], *(_TEXTS if texts else ())]
    return [n.upper() for n in names] if api == "v2" else names


def page(api: str, answer: Mapping[str, Any]) -> tuple[Any, str | None]:
    """(rows as they came, cursor of the next page) of an answer."""
    if api == "v1":
        cursors = answer.get("cursors")
        return answer.get("runs"), cursors.get("next") if isinstance(cursors, dict) else None
    return answer.get("items"), answer.get("next_cursor") if answer.get("has_more", True) else None


def stamp(at: datetime) -> str:
    """A time as the API takes it: UTC with a Z, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def named(page: Page, projects: Mapping[str, Mapping | None]) -> Page:
    """The rows with what is known of their project where they do not say it themselves."""
    if any(projects.values()):
        for row in page.rows:
            known = projects.get(row.get("project_id") or row.get("session_id")) or {}
            row.update({k: v for k, v in known.items() if row.get(k) is None})
    return page
