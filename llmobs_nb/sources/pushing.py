"""What goes back to a vendor, in nobody's words, how each piece fared, and the patience that sends nothing twice."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

from ..errors import SourceError
from ..text import terminal

NAMESPACE = uuid.UUID("6b1f3c52-9d0e-5a47-8c11-2f6f0d4b7e93")
PAUSES = (0.5, 1.0, 2.0, 4.0)
LONGEST_WAIT = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class Home:
    """Where a judged run lives: its own id, its project (id or name), when it began."""

    run_id: str
    project: str
    start_time: datetime | None


@dataclass(frozen=True)
class Label:
    """What one person says of one span, trace or session. ``id`` does not depend on what is said, so a new word replaces the old.

    ``value`` is the number (1 and 0 for true and false), ``label`` the word; ``kind`` numeric, boolean, categorical or text.
    """

    id: str
    name: str
    trace_id: str | None
    span_id: str | None
    session_id: str | None
    value: float | None
    label: str | None
    kind: str
    rater_id: str | None
    comment: str | None
    created_at: datetime | None
    home: Home | None

    def __str__(self) -> str:
        said = self.label if self.label is not None else f"{self.value:g}"
        target = next(f"{word} {v}" for word, v in self.target if v)
        return f"label {self.name} = {said}{f' by {self.rater_id}' if self.rater_id else ''} on {target}"

    @property
    def target(self) -> tuple[tuple[str, str | None], ...]:
        return ("span", self.span_id), ("trace", self.trace_id), ("session", self.session_id)

    @property
    def rater(self) -> dict[str, str]:
        """Who judged, as the vendor keeps it beside the label."""
        return {"rater": "human"} | ({"rater_id": self.rater_id} if self.rater_id else {})


@dataclass(frozen=True)
class Golden:
    """One item of a dataset: what goes in and, where it is known, what should come out.

    ``key`` makes it this item: the span it was taken from, else its input. ``trace_id`` and ``span_id`` are the vendor's own.
    """

    input: Any
    expected: Any
    metadata: dict[str, Any]
    trace_id: str | None
    span_id: str | None
    key: tuple[str | None, ...]

    def __str__(self) -> str:
        shown = self.input if isinstance(self.input, str) else json.dumps(self.input, ensure_ascii=False, default=str)
        return f"item {terminal(shown, 80)}{f' of trace {self.trace_id}' if self.trace_id else ''}"


@dataclass(frozen=True)
class Entry:
    """One trace to be put into an annotation queue."""

    trace_id: str
    home: Home | None

    def __str__(self) -> str:
        return f"queue entry: trace {self.trace_id}"


class Sent(NamedTuple):
    """How one record fared: it went, stood there already, or failed for a reason."""

    record: Label | Golden | Entry
    word: Literal["went", "stood", "failed"]
    reason: str = ""


class Refused(Exception):
    """The vendor does not take this record; the others may go on."""


class Absent(Refused):
    """The vendor has no such thing."""


class Conflict(Refused):
    """The vendor holds something under this id already."""


class Passing(Exception):
    """It failed in a way that may pass: a broken connection, too many requests. ``seconds``: how long the vendor asks to wait."""

    def __init__(self, reason: str, seconds: float = 0.0):
        super().__init__(reason)
        self.seconds = seconds


def identity(vendor: str, what: str, *parts: Any) -> str:
    """The id of a record: the same parts give the same id, in every run and on every machine."""
    return str(uuid.uuid5(NAMESPACE, json.dumps([vendor, what, *parts], sort_keys=True, default=str)))


def each(records: Iterable[T], send: Callable[[T], str]) -> Iterator[Sent]:
    """Send one record after the other; one that is refused does not stop the rest."""
    for record in records:
        try:
            yield Sent(record, send(record))
        except Refused as error:
            yield Sent(record, "failed", str(error))


def patiently(call: Callable[[], T], *, there: Callable[[], bool] = lambda: False) -> T | None:
    """What ``call`` gives, called again after what may pass; None as soon as ``there`` says that a broken try was kept after all.

    Without ``there`` a call must be one that may be made twice. Raises SourceError when patience ends.
    """
    for pause in PAUSES:
        try:
            return call()
        except Passing as error:
            time.sleep(max(pause, min(error.seconds, LONGEST_WAIT)))
            if there():
                return None
    try:
        return call()
    except Passing as error:
        raise SourceError(str(error)) from None


def trouble(
    where: str, status: int | None, said: Any, *, cure: str, headers: Any = None, secrets: Sequence[str] = ()
) -> Exception:
    """The error that an answer of the vendor stands for; what it said is repeated only where it is about one record.

    ``where`` names vendor and address, ``cure`` the variables to check.
    """
    if status in (401, 403):
        return SourceError(f"{where} refuses the key or what it asks for (HTTP {status}); check {cure}, and what the key may do")
    if status in (408, 429) or (status or 0) >= 500:
        return Passing(f"{where} does not get to it (HTTP {status}); run the same again later", _seconds(headers))
    if status is None or status < 400:
        shown = f" (HTTP {status})" if status else ""
        return SourceError(f"{where} answers as its API never does{shown}; check the address in {cure}")
    reason = f"HTTP {status}{_words(said, secrets)}"
    return {404: Absent, 405: Absent, 410: Absent, 409: Conflict}.get(status, Refused)(reason)


def _seconds(headers: Any) -> float:
    try:
        return max(float((headers or {}).get("retry-after") or 0), 0.0)
    except ValueError:
        return 0.0


def _words(said: Any, secrets: Sequence[str]) -> str:
    """The sentence in a refusal, without our secrets and on one line."""
    words = said
    for name in ("message", "detail", "error", "title"):
        words = words.get(name, words) if isinstance(words, dict) else words
    if isinstance(words, list):
        words = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in words)
    words = words if isinstance(words, str) else json.dumps(words, default=str)
    for secret in secrets:
        words = words.replace(secret, "…")
    return f": {terminal(words, 200)}" if words.strip() not in ("", "null") else ""


def holds(theirs: dict | None, ours: dict) -> bool:
    """Whether an object that stands there holds all that ours holds; a vendor may have put more beside it."""
    return all((theirs or {}).get(k) == v for k, v in ours.items())


def parts(records: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The records, ``size`` at a time."""
    return (records[at : at + size] for at in range(0, len(records), size))


def one_named(found: Iterable[tuple[str, str]], wanted: str, what: str) -> str:
    """The id of the only one of ``(id, name)`` that is called so. Raises SourceError with the names there are."""
    pairs = list(found)
    ids = [i for i, name in pairs if wanted in (i, name)]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise SourceError(f"{what} {terminal(wanted)!r} is the name of {len(ids)}; give the id of one: {', '.join(ids)}")
    names = ", ".join(terminal(name, 60) for _, name in pairs[:20]) or "none"
    raise SourceError(f"{what} {terminal(wanted)!r} is not there; there are: {names}; make it there first, or correct the name")
