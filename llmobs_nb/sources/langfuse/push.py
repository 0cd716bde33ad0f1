"""Labels, golden items and queue entries to Langfuse, through the SDK's plain API client: no tracing, no threads, no singleton.

Langfuse tells two scores apart by id, name and the day of their time, so a score that is sent again keeps the time it stands
there with. Scores and items bear our ids and may be sent twice; a queue entry bears none, so before it is sent again the queue
is read again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...errors import SourceError
from ...text import terminal
from ..pushing import (
    Absent,
    Entry,
    Golden,
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
from .credentials import ADDRESS, PUBLIC_KEY, SECRET_KEY, resolve

if TYPE_CHECKING:
    import httpx
    from langfuse.api import LangfuseAPI

CURE = ", ".join((*PUBLIC_KEY, *SECRET_KEY, *ADDRESS))
AT_ONCE = 50
PAGE = 100
LONGEST_TEXT = 500


class Target:
    """One Langfuse project to write to. ``client`` is a ``langfuse.api.LangfuseAPI``; without it, one of the environment's keys."""

    def __init__(self, client: LangfuseAPI | None = None, env: Mapping[str, str] = os.environ):
        self._secrets: tuple[str, ...] = ()
        self._where = "Langfuse"
        self._http: httpx.Client | None = None
        self._api = client or self._connect(env)

    def _connect(self, env: Mapping[str, str]) -> LangfuseAPI:
        import httpx
        from langfuse.api import LangfuseAPI

        told = resolve(env)
        self._secrets, self._where = (told.secret_key, told.public_key), f"Langfuse at {told.base_url}"
        # A redirect is not followed: it would carry the keys to another place.
        self._http = httpx.Client(timeout=60.0, follow_redirects=False)
        return LangfuseAPI(base_url=told.base_url, username=told.public_key, password=told.secret_key, httpx_client=self._http)

    def close(self) -> None:
        """Close the connections, where they are ours."""
        if self._http is not None:
            self._http.close()

    def scores(self, labels: Sequence[Label]) -> Iterator[Sent]:
        """Send labels as scores of source API; one that says the same already is left as it stands."""
        for some in parts(labels, AT_ONCE):
            there = self._standing(some)
            yield from each(some, lambda label, there=there: self._score(label, there.get(label.id)))

    def _standing(self, labels: Sequence[Label]) -> dict[str, Any]:
        """Those scores of ours that are there, by id."""
        ids = ",".join(label.id for label in labels)
        found = self._read(self._api.scores.get_many, id=ids, limit=PAGE, fields="details")
        return {score.id: score for score in found.data} if found else {}

    def _score(self, label: Label, stands: Any) -> str:
        from langfuse.api.scores import CreateScoreRequest

        value, kind = _value(label), label.kind.upper()
        if stands and (stands.data_type, stands.value, stands.comment or None) == (kind, value, label.comment):
            return "stood"
        when = stands.timestamp if stands else label.created_at or (label.home and label.home.start_time)
        if when is None:
            raise Refused("it has no created_at, by which Langfuse knows a score again; give one, or the store of its trace")
        request = CreateScoreRequest(
            id=label.id,
            name=label.name,
            value=float(value) if isinstance(value, bool) else value,
            data_type=kind,
            timestamp=when,
            metadata=label.rater,
            **_given(trace_id=label.trace_id, observation_id=label.span_id, comment=label.comment),
            **({} if label.trace_id else {"session_id": label.session_id}),
        )
        answer = self._write(self._api.scores.create, request=[request])
        if getattr(answer, "rejected", 0):
            raise Refused(terminal("; ".join(e.message for e in answer.errors)) or "Langfuse rejects it without a reason")
        return "went"

    def items(self, dataset: str, goldens: Sequence[Golden]) -> Iterator[Sent]:
        """Send golden items to a dataset, which is made where there is none; one that stands there as it is stays."""
        place = self._known(self._dataset(dataset))
        there = {item.id: item for item in self._pages(self._api.dataset_items.list, dataset_name=dataset) or ()}
        yield from each(goldens, lambda golden: self._item(golden, place, there))

    def _dataset(self, name: str) -> Any:
        try:
            return patiently(lambda: self._call(self._api.datasets.get, quote(name, safe="")))
        except Absent:
            pass
        try:
            return self._write(self._api.datasets.create, name=name)
        except Refused as error:
            raise SourceError(f"{self._where} makes no dataset {terminal(name)!r}: {error}; choose another name") from None

    def _item(self, golden: Golden, place: Any, there: Mapping[str, Any]) -> str:
        item = identity("langfuse", "item", place.id, *golden.key)
        stands, ours = there.get(item), [golden.input, golden.expected]
        if stands and [stands.input, stands.expected_output] == ours and holds(stands.metadata, golden.metadata):
            return "stood"
        told = _given(
            expected_output=golden.expected,
            metadata=golden.metadata or None,
            source_trace_id=golden.trace_id,
            source_observation_id=golden.span_id,
        )
        self._write(self._api.dataset_items.create, dataset_name=place.name, id=item, input=golden.input, **told)
        return "went"

    def entries(self, queue: str, entries: Sequence[Entry]) -> Iterator[Sent]:
        """Put traces into an annotation queue, but for those that are in it, whether reviewed or not."""
        queues = self._known(self._pages(self._api.annotation_queues.list_queues))
        queue_id = quote(one_named([(q.id, q.name) for q in queues], queue, "annotation queue"), safe="")
        there = self._queued(queue_id)
        yield from each(entries, lambda entry: "stood" if entry.trace_id in there else self._enter(queue_id, entry))

    def _queued(self, queue_id: str) -> set[str]:
        items = self._known(self._pages(self._api.annotation_queues.list_queue_items, queue_id))
        return {item.object_id for item in items if item.object_type == "TRACE"}

    def _enter(self, queue_id: str, entry: Entry) -> str:
        create, there = self._api.annotation_queues.create_queue_item, lambda: entry.trace_id in self._queued(queue_id)
        self._write(create, queue_id, object_id=entry.trace_id, object_type="TRACE", there=there)
        return "went"

    def _pages(self, call: Callable, *args: Any, **asked: Any) -> list | None:
        """All pages of a list; None where the SDK's model does not fit one."""
        found, page, last = [], 1, 1
        while page <= last:
            got = self._read(call, *args, page=page, limit=PAGE, **asked)
            if got is None:
                return None
            found += got.data
            page, last = page + 1, got.meta.total_pages
        return found

    def _known(self, found: Any) -> Any:
        """An answer that nothing can be sent without."""
        if found is None:
            raise SourceError(f"{self._where} answers what this langfuse package cannot read; update one of the two")
        return found

    def _read(self, call: Callable, *args: Any, **asked: Any) -> Any:
        """The answer of a call that reads; None where the SDK's model does not fit it."""
        try:
            return patiently(lambda: self._call(call, *args, **asked))
        except Absent as error:
            raise SourceError(f"{self._where} has no such API ({error}); it needs a Langfuse server of version 4") from None
        except Refused as error:
            raise SourceError(f"{self._where} refuses to be read ({error}); update the langfuse package or the server") from None

    def _write(self, call: Callable, *args: Any, there: Callable[[], bool] = lambda: False, **asked: Any) -> Any:
        """The answer of a call that writes; None where the SDK's model does not fit the answer: it was taken all the same."""
        return patiently(lambda: self._call(call, *args, **asked), there=there)

    def _call(self, call: Callable, *args: Any, **asked: Any) -> Any:
        import httpx
        from langfuse.api.core import ApiError
        from pydantic import ValidationError

        try:
            return call(*args, request_options={"max_retries": 0}, **asked)
        except httpx.TransportError as error:
            raise Passing(
                f"{self._where} cannot be reached ({type(error).__name__}); check the address in {ADDRESS[0]}"
            ) from None
        except ApiError as error:
            told = {"cure": CURE, "headers": error.headers, "secrets": self._secrets}
            raise trouble(self._where, error.status_code, error.body, **told) from None
        except ValidationError:
            return None
        except (TypeError, ValueError) as error:
            raise Refused(f"it cannot be written as JSON ({type(error).__name__})") from None


def _given(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None}


def check(record: Label | Golden | Entry) -> None:
    """Raise Refused for what Langfuse would not take."""
    if isinstance(record, Label) and record.kind == "text" and len(record.label or "") > LONGEST_TEXT:
        raise Refused(f"a text score of Langfuse has at most {LONGEST_TEXT} characters, this one has {len(record.label):,}")


def _value(label: Label) -> float | bool | str | None:
    """The value as Langfuse gives it back: a word for categories and texts, true or false, or a number."""
    if label.kind in ("categorical", "text"):
        return label.label
    return bool(label.value) if label.kind == "boolean" else label.value
