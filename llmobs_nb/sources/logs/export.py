"""Call logs as JSON lines: the call records of the three seeds, as written, by structlog, by a JSON formatter, or from Java.

One line is one call. Choices:

- A line is a call if its event says so (``llm_call``, ``llm_completion``) or its fields are those of one of the records; any
  other line goes to the quarantine, so that nothing is lost.
- ``LlmCallMeta`` (event ``llm_completion``, no measures) is a note on a call that has a line of its own: where both stand
  within 1,000 lines of calls, the note is joined by request id; a note left over is kept as a span of kind ``event``,
  which no count of calls takes in.
- A record without span or call id gets the md5 of its line: retries share a request id and must stay two spans.
- A failed call logs 0 tokens and $0 because nothing was measured: those are missing. What is not zero stands.
- The cost is the one that was logged, also where the writer fell back on a price it made up; prices are checked later.
- The only time in a line is when it was written. Without one the call is kept, its start unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .. import chat, jsonstream, reading
from ..base import Bad, Format, Head, Input, Record, Shape
from .columns import CALL, KNOWN, MADE_FROM, NOISE, PARAMS, TIMES

EVENTS = ("llm_call", "llm_completion")
IDS = {"trace_id", "span_id", "request_id", "call_id"}
MODELS = {"model", "model_requested", "model_resolved"}
TOKENS = {"input_tokens", "tokens_in", "prompt_tokens"}
MEASURES = TOKENS | {"output_tokens", "tokens_out", "completion_tokens", "latency_ms", "cost_usd", "estimated_cost_usd"}
OWN_WORDS = {"span_name", "call_id", "model_requested", "model_resolved"}
NOTES = {"response_hash", "seed", "temperature"}
HAVE_COLUMNS = {p[0] for c in CALL for p in c.paths} | set(MADE_FROM) | set(NOISE)
WINDOW = 1_000
_SEEN = 200
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_CLASS = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(?:\(|:|$)")
_COMMA = re.compile(r"(:\d\d),(\d+)")


def snake(row: dict) -> dict:
    """The record under the names of the Python schemas; fields that are none of theirs keep their own."""
    made = {}
    for key, value in row.items():
        low = _snake_key(key)
        made[low if low in KNOWN and low not in row else key] = value
    return made


@lru_cache(4096)
def _snake_key(key: str) -> str:
    return _CAMEL.sub(r"_\1", key).lower()


def event(row: dict) -> str | None:
    """The name of the logged event."""
    return next((v for v in (row.get(k) for k in ("event", "message", "msg")) if isinstance(v, str)), None)


def is_note(row: dict) -> bool:
    """Whether a record is LlmCallMeta: notes on a call by its request id, with nothing measured."""
    named = event(row) == "llm_completion" or "response_hash" in row
    return named and "request_id" in row and bool(NOTES & set(row)) and not MEASURES & set(row)


def is_call(row: dict) -> bool:
    """Whether a record is a logged call of one of the three schemas."""
    keys = set(row)
    if event(row) in EVENTS and keys & (MEASURES | MODELS):
        return True
    return all(keys & group for group in (IDS, MODELS, TOKENS, OWN_WORDS))


def sniff(head: Head) -> bool:
    """JSON records some of which, among the first 200, are calls or notes on calls."""
    if head.header:
        return False
    found = list(head.values)
    if head.layout == "lines":
        found += [jsonstream.parse(line) for line in head.start.split(b"\n")[:_SEEN] if line.strip()]
    return any(isinstance(v, dict) and (is_call(snake(v)) or is_note(snake(v))) for v in found)


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """A record per call, in file order; notes joined to their calls."""
    join = Join()
    for one in _sorted_out(reading.rows(item, head)):
        if isinstance(one, Bad):
            yield one
            continue
        join.add(*one)
        yield from join.done(join.place - WINDOW)
    yield from join.done(join.place)


def _sorted_out(found: Iterator) -> Iterator[tuple[int, dict] | Bad]:
    for one in found:
        row = None if isinstance(one, Bad) else snake(one[1])
        if row is None:
            yield one
        elif is_call(row) or is_note(row):
            yield one[0], row
        else:
            yield Bad(one[0], _why_not(row), chat.raw(one[1]))


def _why_not(row: dict) -> str:
    named = event(row)
    return f"not a call record: event {named[:60]!r}" if named else "not a call record: no event llm_call and none of its fields"


class Join:
    """Calls and notes of the last lines, joined by request id: a note takes the latest free call, a call the oldest free note."""

    def __init__(self):
        self.place = 0
        self._waiting: dict[int, _Line] = {}
        self._free: dict[tuple[bool, str], list[int]] = {}

    def add(self, line: int, row: dict) -> None:
        """Put a call or a note beside its other half, or let it wait for that."""
        self.place += 1
        new = _Line(line, row, is_note(row), chat.word(row.get("request_id")))
        others = self._free.get((not new.is_note, new.request)) if new.request else None
        if not others:
            self._waiting[self.place] = new
            if new.request:
                self._free.setdefault((new.is_note, new.request), []).append(self.place)
            return
        other = others[-1 if new.is_note else 0]
        self._forget(other)
        if new.is_note:
            self._waiting[other].note = row
        else:
            new.note = self._waiting.pop(other).row
            self._waiting[self.place] = new

    def done(self, upto: int) -> Iterator[Record]:
        """Everything up to a place, with what was joined to it; a note that is left over as an event."""
        while self._waiting and (oldest := next(iter(self._waiting))) <= upto:
            self._forget(oldest)
            one = self._waiting.pop(oldest)
            yield Record("call", one.line, enrich({**(one.note or {}), **one.row}, one.row, "event" if one.is_note else "llm"))

    def _forget(self, place: int) -> None:
        """Nothing can be joined to this line any more."""
        key = (self._waiting[place].is_note, self._waiting[place].request)
        left = [p for p in self._free.pop(key, []) if p != place]
        if left:
            self._free[key] = left


@dataclass
class _Line:
    line: int
    row: dict
    is_note: bool
    request: str | None
    note: dict | None = None


def enrich(row: dict, own: dict, kind: str) -> dict:
    """The record with its ``_`` keys; ``own`` is the line without what was joined to it."""
    span = chat.first(*(chat.word(own.get(k)) for k in ("span_id", "call_id"))) or chat.fingerprint(own)
    failed = has_failed(row)
    return {
        **row,
        "_span_id": span,
        "_trace_id": chat.first(*(chat.word(row.get(k)) for k in ("trace_id", "request_id"))) or span,
        "_kind": kind,
        "_start_time": start(row),
        "_status": "error" if failed else "ok",
        "_error_type": _error_type(row) if failed else None,
        "_error_message": _error_text(row) if failed else None,
        "_model_params": {k: row[k] for k in PARAMS if row.get(k) is not None} or None,
        "_tool_name": _tool(row),
        "_metadata": metadata(row),
        **_latency(row),
        **_measured(row, failed),
    }


def has_failed(row: dict) -> bool:
    """Whether the call failed: success is false, an error is named, or it finished with one."""
    success, ended = chat.word(row.get("success")), (chat.word(row.get("finish_reason")) or "").lower()
    return (success or "").lower() in ("false", "0") or row.get("error") not in (None, "", False, {}, []) or ended == "error"


def _error_text(row: dict) -> str | None:
    error = row.get("error")
    if isinstance(error, dict):
        return chat.first(chat.word(error.get("message")), chat.raw(error))
    return None if isinstance(error, bool) else chat.word(error)


def _error_type(row: dict) -> str | None:
    """The class in ``"Class: message"``."""
    error = row.get("error")
    text = chat.word(chat.first(error.get("type"), error.get("class"))) if isinstance(error, dict) else _error_text(row)
    named = _CLASS.match(text) if text else None
    return named.group(1).rpartition(".")[2] if named else None


def start(row: dict) -> Any:
    """The logged time; naive is UTC, and the comma of Python's ``asctime`` is a decimal point."""
    found = next((row[k] for k in TIMES if row.get(k) not in (None, "")), None)
    return chat.moment(_COMMA.sub(r"\1.\2", found, count=1) if isinstance(found, str) else found)


def _latency(row: dict) -> dict:
    """latency_ms as a number, or as {ttft, total, tools}."""
    parts = chat.mapping(row.get("latency_ms"))
    return {
        "_latency_ms": parts.get("total") if parts else row.get("latency_ms"),
        "_ttft_ms": chat.first(parts.get("ttft"), row.get("time_to_first_token_ms"), row.get("ttft_ms")),
    }


def _measured(row: dict, failed: bool) -> dict:
    names = {
        "_tokens_in": ("tokens_in", "input_tokens", "prompt_tokens"),
        "_tokens_out": ("tokens_out", "output_tokens", "completion_tokens"),
        "_tokens_total": ("total_tokens",),
        "_tokens_cache_read": ("cached_tokens",),
        "_cost": ("cost_usd", "estimated_cost_usd"),
        "_output_chars": ("output_length",),
    }
    found = {ours: chat.first(*(row.get(n) for n in theirs)) for ours, theirs in names.items()}
    return {k: None if _too_big(v) or (failed and chat.number(v) == 0) else v for k, v in found.items()}


def _too_big(value: Any) -> bool:
    """Whether a count is a number that no 64 bits hold."""
    found = chat.number(value)
    return found is not None and chat.count(found) is None


def _tool(row: dict) -> str | None:
    """The tool where the call named exactly one; all of them stay in the metadata."""
    listed = [*chat.sequence(row.get("tool_names")), *chat.sequence(row.get("tool_calls"))]
    names = {chat.word(t.get("name")) if isinstance(t, dict) else chat.word(t) for t in listed}
    return names.pop() if len(names) == 1 else None


def metadata(row: dict) -> dict | None:
    """Everything that has no column: the record's metadata, and what a logger flattened to the top level."""
    kept = {k: v for k, v in row.items() if k not in HAVE_COLUMNS and not chat.is_secret(k)}
    given = row.get("metadata")
    kept.update({k: v for k, v in chat.mapping(given).items() if not chat.is_secret(k)})
    tools = chat.mapping(row.get("latency_ms")).get("tools")
    kept["latency_tools_ms"] = tools
    if given is not None and not chat.mapping(given):
        kept["metadata"] = given or None
    return {k: v for k, v in kept.items() if v is not None} or None


SHAPES = {"call": Shape("spans", CALL)}
FORMATS = [Format("logs.calls", "logs", "call records as JSON lines: structlog, JSON formatters, Java", sniff, read, SHAPES)]
