"""One span or event, whatever wrote it: OTLP-JSON (camel or snake case) and the console exporter's JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from .values import attributes, hex_id, moment, plain, text_of

ERROR_CODES = {"2", "STATUS_CODE_ERROR", "ERROR", "STATUSCODE.ERROR"}
OK_CODES = {"1", "STATUS_CODE_OK", "OK", "STATUSCODE.OK"}


class Event(NamedTuple):
    """A span event, or a log record that belongs to a span (its body's fields are among the attributes)."""

    name: str
    time: Any
    attributes: dict


class Span(NamedTuple):
    """One span: ids in hex, times as given, ``status`` ok, error or null where it is unset."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str | None
    start: Any
    end: Any
    status: str | None
    message: str | None
    attributes: dict
    events: list[Event]
    resource: dict
    scope: dict


def status_of(code: Any) -> str | None:
    """``ok``, ``error`` or None for a status code given as number or word."""
    word = str(code).upper()
    return "error" if word in ERROR_CODES else "ok" if word in OK_CODES else None


def fallback_id(record: Any) -> str:
    """An id for a record that has none: the same record gives the same id."""
    text = json.dumps(plain(record), sort_keys=True, ensure_ascii=False)
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def ids(trace_id: Any, span_id: Any, record: dict) -> tuple[str, str]:
    """(trace id, span id); a missing span id is a hash of the record, a missing trace id the span id."""
    span = hex_id(span_id) or fallback_id(record)
    return hex_id(trace_id) or span, span


def child(record: dict, *names: str) -> Any:
    """The first of several names that a record has."""
    return next((record[n] for n in names if record.get(n) is not None), None)


def object_of(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list:
    return value if isinstance(value, list) else []


def otlp_span(record: dict, resource: dict, scope: dict) -> Span:
    """A span out of OTLP-JSON."""
    trace_id, span_id = ids(child(record, "traceId", "trace_id"), child(record, "spanId", "span_id"), record)
    status = object_of(record.get("status"))
    return Span(
        trace_id,
        span_id,
        hex_id(child(record, "parentSpanId", "parent_span_id")),
        text_of(record.get("name")),
        moment(child(record, "startTimeUnixNano", "start_time_unix_nano")),
        moment(child(record, "endTimeUnixNano", "end_time_unix_nano")),
        status_of(status.get("code")),
        text_of(status.get("message")),
        attributes(record.get("attributes")),
        events(record.get("events")),
        resource,
        scope,
    )


def events(given: Any) -> list[Event]:
    """The events of a span, in the order in which they stand; what is no event is left out."""
    return [_event(e) for e in list_of(given) if isinstance(e, dict)]


def _event(given: dict) -> Event:
    at = moment(child(given, "timeUnixNano", "time_unix_nano", "timestamp"))
    return Event(text_of(given.get("name")) or "", at, attributes(given.get("attributes")))


def console_span(record: dict) -> Span:
    """A span as the console exporter prints it: ids with 0x, ISO times; ``end_time`` null when it was printed at its start."""
    context = object_of(record.get("context"))
    status = record.get("status")
    code = status.get("status_code") if isinstance(status, dict) else status
    trace_id, span_id = ids(context.get("trace_id"), context.get("span_id"), record)
    return Span(
        trace_id,
        span_id,
        hex_id(record.get("parent_id")),
        text_of(record.get("name")),
        moment(record.get("start_time")),
        moment(record.get("end_time")),
        status_of(code if code is not None else record.get("status_code")),
        text_of(object_of(status).get("description")) or text_of(record.get("status_message")),
        attributes(record.get("attributes")),
        events(record.get("events")),
        console_resource(record),
        attributes(child(record, "scope", "instrumentation_scope", "instrumentation_info")),
    )


def console_resource(record: dict) -> dict:
    """The resource attributes of a console record; older versions print them without a level between."""
    resource = object_of(record.get("resource"))
    inner = resource.get("attributes")
    return attributes(inner if isinstance(inner, dict) else resource)


class Log(NamedTuple):
    """A log record: the span it belongs to (null where it says none), and itself as an event."""

    trace_id: str | None
    span_id: str | None
    event: Event
    resource: dict


def otlp_log(record: dict, resource: dict) -> Log:
    """A log record out of OTLP-JSON; a body that is an object gives attributes."""
    attrs = attributes(record.get("attributes"))
    body = attributes({"body": record.get("body")} if not isinstance(record.get("body"), dict) else _body(record["body"]))
    name = text_of(child(record, "eventName", "event_name")) or text_of(attrs.get("event.name")) or ""
    time = moment(child(record, "timeUnixNano", "time_unix_nano")) or moment(child(record, "observedTimeUnixNano"))
    found = Event(name, time, {**body, **attrs})
    return Log(hex_id(child(record, "traceId", "trace_id")), hex_id(child(record, "spanId", "span_id")), found, resource)


def _body(body: dict) -> dict:
    typed = attributes([{"key": "body", "value": body}]).get("body")
    return typed if isinstance(typed, dict) else {"body": typed}


def console_log(record: dict) -> Log:
    """A log record as the console exporter prints it."""
    attrs = attributes(record.get("attributes"))
    body = record.get("body")
    name = text_of(record.get("event_name")) or text_of(attrs.get("event.name")) or ""
    event = Event(
        name, moment(record.get("timestamp")), {**attributes(body if isinstance(body, dict) else {"body": body}), **attrs}
    )
    return Log(hex_id(record.get("trace_id")), hex_id(record.get("span_id")), event, console_resource(record))


def scoped(holder: dict, kind: str) -> Iterator[tuple[Any, dict]]:
    """(record, scope) of one ResourceSpans or ResourceLogs, under its newer or older names; ``kind`` is Span or Log."""
    low = kind.lower()
    names = (f"scope{kind}s", f"scope_{low}s", f"instrumentationLibrary{kind}s", f"instrumentation_library_{low}s")
    records = ("spans",) if kind == "Span" else ("logRecords", "log_records", "logs")
    for group in (g for n in names for g in list_of(holder.get(n)) if isinstance(g, dict)):
        named = object_of(child(group, "scope", "instrumentationLibrary", "instrumentation_library"))
        scope = {k: text_of(named.get(k)) for k in ("name", "version")}
        for record in (r for n in records for r in list_of(group.get(n))):
            yield record, scope
