"""Labels, golden items and queue entries to LangSmith, never at the price of a longer retention.

Feedback on a trace, and a place in an annotation queue, make LangSmith keep the trace 400 days for ten times the price unless
the request says ``extend_trace_retention: false``: every request here that knows the word says so, and no change is made by
one that does not know it. Through the SDK's generated client: ``langsmith.Client`` would drop feedback where tracing is sampled,
log parts of the key, and has no such word for queues. Each run is named with its project and start, so none is looked up.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import SourceError
from ...text import terminal
from ..pushing import (
    Absent,
    Conflict,
    Entry,
    Golden,
    Home,
    Label,
    Passing,
    Refused,
    Sent,
    each,
    holds,
    identity,
    one_named,
    parts,
    patiently,
    trouble,
)
from .credentials import ADDRESS, API_KEY, WORKSPACE, resolve

if TYPE_CHECKING:
    import httpx2
    from langsmith import Langsmith

CURE = ", ".join((API_KEY[0], ADDRESS[0], WORKSPACE[0]))
AT_ONCE = 50
PAGE = 100
SECTIONS = ("needs_my_review", "needs_others_review", "archived")
_FIXED = (
    "another value stands there, and LangSmith changes one only by a request that may extend the trace's retention; "
    "change it in LangSmith"
)


class Target:
    """One LangSmith workspace to write to. ``client`` is a ``langsmith.Langsmith``; without it, one of the environment's key."""

    def __init__(self, client: Langsmith | None = None, env: Mapping[str, str] = os.environ):
        self._secrets: tuple[str, ...] = ()
        self._where = "LangSmith"
        self._http: httpx2.Client | None = None
        self._api = (client or self._connect(env)).with_options(max_retries=0)
        self._projects: dict[str, str] = {}

    def _connect(self, env: Mapping[str, str]) -> Langsmith:
        from langsmith import DefaultHttpxClient, Langsmith

        told = resolve(env)
        self._secrets, self._where = (told.api_key,), f"LangSmith at {told.api_url}"
        # A redirect is not followed: it would carry the key to another place.
        self._http = DefaultHttpxClient(follow_redirects=False)
        return Langsmith(api_key=told.api_key, tenant_id=told.workspace_id, base_url=told.api_url, http_client=self._http)

    def close(self) -> None:
        """Close the connections, where they are ours."""
        if self._http is not None:
            self._http.close()

    def scores(self, labels: Sequence[Label]) -> Iterator[Sent]:
        """Send labels as feedback of source api; one that says the same already is left as it stands."""
        for some in parts(labels, AT_ONCE):
            there = self._standing(some)
            yield from each(some, lambda label, there=there: self._feedback(label, there.get(label.id)))

    def _standing(self, labels: Sequence[Label]) -> dict[str, dict]:
        """Those feedback rows of ours that are there, by id."""
        runs = sorted({label.home.run_id for label in labels})
        return {row["id"]: row for row in self._pages("/api/v1/feedback", run=runs)}

    def _feedback(self, label: Label, stands: dict | None) -> str:
        from langsmith.schemas import APIFeedbackSource, FeedbackCreate

        home, now, said = self._home(label.home), datetime.now(UTC), _said(label)
        if stands and _heard(stands) == said:
            return "stood"
        feedback = FeedbackCreate(
            id=label.id,
            key=label.name,
            run_id=home.run_id,
            trace_id=label.trace_id,
            session_id=home.project,
            start_time=home.start_time,
            created_at=label.created_at or now,
            modified_at=now,
            feedback_source=APIFeedbackSource(metadata=label.rater),
            extend_trace_retention=False,
            **said,
        )
        try:
            self._write("post", "/api/v1/feedback", feedback.model_dump(mode="json", exclude_none=True))
        except Conflict:
            found = self._read(f"/api/v1/feedback/{label.id}")
            if not isinstance(found, dict) or _heard(found) != said:
                raise Refused(_FIXED) from None
        return "went"

    def items(self, dataset: str, goldens: Sequence[Golden]) -> Iterator[Sent]:
        """Send golden items to a dataset, which is made where there is none; one that stands there as it is stays."""
        dataset_id = self._dataset(dataset) or self._made(dataset)
        for some in parts(goldens, AT_ONCE):
            ids = [_example(golden, dataset_id)["id"] for golden in some]
            found = self._pages("/api/v1/examples", id=ids, dataset=dataset_id, inline_s3_urls=True)
            there = {row["id"]: row for row in found}
            yield from each(some, lambda golden, there=there: self._item(_example(golden, dataset_id), there))

    def _dataset(self, name: str) -> str | None:
        """The id of the dataset of that name; None where there is none."""
        return next((row["id"] for row in self._rows("/api/v1/datasets", name=name, limit=1) if row.get("name") == name), None)

    def _made(self, name: str) -> str:
        try:
            self._write("post", "/api/v1/datasets", {"name": name, "data_type": "kv"})
        except Conflict:  # another try, or somebody else, has made it meanwhile
            pass
        except Refused as error:
            raise SourceError(f"{self._where} makes no dataset {terminal(name)!r}: {error}; choose another name") from None
        found = self._dataset(name)
        if found is None:
            raise SourceError(f"{self._where} shows no dataset {terminal(name)!r} though it was made; run the same again")
        return found

    def _item(self, body: dict, there: Mapping[str, dict]) -> str:
        stands, ours = there.get(body["id"]), [body["inputs"], body.get("outputs")]
        if (
            stands
            and [stands.get("inputs"), stands.get("outputs")] == ours
            and holds(stands.get("metadata"), body.get("metadata", {}))
        ):
            return "stood"
        try:
            if not stands:
                self._write("post", "/api/v1/examples", body)
                return "went"
        except Conflict:
            pass
        change = {k: v for k, v in body.items() if k not in ("id", "source_run_id")}
        self._write("patch", f"/api/v1/examples/{body['id']}", change)
        return "went"

    def entries(self, queue: str, entries: Sequence[Entry]) -> Iterator[Sent]:
        """Put the root runs of traces into an annotation queue, but for those that are in it, whether reviewed or not."""
        queues = self._pages("/api/v1/annotation-queues")
        queue_id = one_named([(str(q.get("id")), str(q.get("name"))) for q in queues], queue, "annotation queue")
        there = self._queued(queue_id)
        yield from each(entries, lambda entry: self._enter(queue_id, entry, there))

    def _queued(self, queue_id: str) -> set[str]:
        """The runs of a queue, in every section."""
        listed = self._api.annotation_queues.items.list
        found = (
            self._reading(lambda section=section: list(listed(queue_id, status=section, page_size=PAGE))) for section in SECTIONS
        )
        return {item.run_id for items in found for item in items if item.run_id}

    def _enter(self, queue_id: str, entry: Entry, there: set[str]) -> str:
        home = self._home(entry.home)
        if home.run_id in there:
            return "stood"
        item = {"item_type": "RUN", "run_id": home.run_id, "session_id": home.project, "start_time": home.start_time}
        create = self._api.annotation_queues.items.create
        patiently(
            lambda: self._call(lambda: create(queue_id, items=[item], extend_trace_retention=False)),
            there=lambda: home.run_id in self._queued(queue_id),
        )
        return "went"

    def _home(self, home: Home) -> Home:
        """Where a run lives, its project by id: that of a name is asked for once."""
        if home.project not in self._projects:
            self._projects[home.project] = home.project if _is_uuid(home.project) else self._project_id(home.project)
        return replace(home, project=self._projects[home.project])

    def _project_id(self, name: str) -> str:
        found = self._rows("/api/v1/sessions", name=name, limit=1)
        project = next((str(row["id"]) for row in found if row.get("name") == name), "")
        if not _is_uuid(project):
            raise Refused(f"LangSmith has no project {terminal(name)!r}; it was renamed or deleted")
        return project

    def _pages(self, path: str, **asked: Any) -> list[dict]:
        """All rows of a list."""
        found: list[dict] = []
        while True:
            page = self._rows(path, **asked, limit=PAGE, offset=len(found))
            if len(page) < PAGE or page == found[-PAGE:]:
                return found + page
            found += page

    def _rows(self, path: str, **asked: Any) -> list[dict]:
        """One page of a list of things with ids."""
        rows = self._read(path, **asked)
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
            raise trouble(self._where, None, None, cure=CURE)
        return rows

    def _read(self, path: str, **asked: Any) -> Any:
        return self._reading(lambda: self._json("get", path, options={"params": asked}))

    def _reading(self, call: Callable) -> Any:
        try:
            return patiently(lambda: self._call(call))
        except Absent as error:
            raise SourceError(f"{self._where} has no such API ({error}); check the address in {ADDRESS[0]}") from None
        except Refused as error:
            raise SourceError(f"{self._where} refuses to be read ({error}); update the langsmith package or the server") from None

    def _write(self, method: str, path: str, body: dict) -> Any:
        return patiently(lambda: self._call(lambda: self._json(method, path, body=body)))

    def _json(self, method: str, path: str, **request: Any) -> Any:
        answer = getattr(self._api, method)(path, cast_to=object, **request)
        if not isinstance(answer, (dict, list)):
            raise trouble(self._where, None, None, cure=CURE)
        return answer

    def _call(self, call: Callable) -> Any:
        from langsmith import APIConnectionError, APIStatusError

        try:
            return call()
        except APIStatusError as error:
            told = {"cure": CURE, "headers": error.response.headers, "secrets": self._secrets}
            raise trouble(self._where, error.status_code, error.body, **told) from None
        except APIConnectionError as error:
            why = type(error.__cause__ or error).__name__
            raise Passing(f"{self._where} cannot be reached ({why}); check the address in {ADDRESS[0]}") from None
        except (TypeError, ValueError) as error:
            raise Refused(f"it cannot be written as JSON ({type(error).__name__})") from None


def check(record: Label | Golden | Entry) -> None:
    """Raise Refused for what LangSmith would not take, or could only find by a search that it is about to end."""
    if isinstance(record, Golden):
        return
    if record.trace_id is None:
        raise Refused("LangSmith takes labels of traces and spans, not of sessions")
    if record.home is None or not record.home.project:
        raise Refused("its project is not known; give the store that holds the trace")
    for one in (record.trace_id, record.home.run_id):
        if not _is_uuid(one):
            raise Refused(f"{terminal(one, 60)!r} is no id of a LangSmith run")
    if isinstance(record, Entry) and record.home.start_time is None:
        raise Refused("the start of its root is not known; pull the trace again")


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _said(label: Label) -> dict[str, Any]:
    """Score, value and comment as LangSmith keeps them: a number, a word, a note; its SDK rounds numbers to four places too."""
    number = None if label.value is None else bool(label.value) if label.kind == "boolean" else round(label.value, 4)
    return {"score": number, "value": label.label, "comment": label.comment}


def _heard(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same three of a feedback row."""
    score = row.get("score")
    return {
        "score": round(score, 4) if isinstance(score, float) else score,
        "value": row.get("value"),
        "comment": row.get("comment") or None,
    }


def _example(golden: Golden, dataset_id: str) -> dict[str, Any]:
    """The example of a golden item: what is no object becomes one of a single key, as LangSmith's datasets want."""
    run = golden.span_id or golden.trace_id
    told = {
        "outputs": None if golden.expected is None else _object(golden.expected, "output"),
        "metadata": golden.metadata or None,
        "source_run_id": str(uuid.UUID(run)) if run and _is_uuid(run) else None,
    }
    return {
        "id": identity("langsmith", "item", dataset_id, *golden.key),
        "dataset_id": dataset_id,
        "inputs": _object(golden.input, "input"),
        **{k: v for k, v in told.items() if v is not None},
    }


def _object(value: Any, key: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else {key: value}
