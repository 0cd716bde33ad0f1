"""OTLP-JSON files and console-exporter dumps of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator

from .. import jsonstream
from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import rows
from . import columns
from .attributes import indexed, span_data
from .logbook import LogBook
from .scores import EVALUATION, evaluation, span_scores
from .spans import Log, Span, attributes, child, console_log, console_span, list_of, object_of, otlp_log, otlp_span, scoped
from .values import plain

SPAN_GROUPS = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
LOG_GROUPS = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs", "instrumentation_library_logs")
HOLDERS = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs")
_OTHER_SIGNALS = ("resourceMetrics", "resource_metrics", "scopeMetrics", "scope_metrics", "resourceProfiles")
_LOGS = (b"Logs", b"_logs", b'"severity_number"', b'"severity_text"')

SHAPES = {"span": Shape("spans", columns.SPAN), "score": Shape("scores", columns.SCORE)}
Piece = tuple[int, Span | Log] | Bad


def _is_otlp(head: Head) -> bool:
    first = head.first
    if any(k in first for k in (*HOLDERS, *SPAN_GROUPS, *LOG_GROUPS, *_OTHER_SIGNALS)):
        return True
    return _is_bare_span(first)


def _is_bare_span(record: dict) -> bool:
    named = child(record, "traceId", "trace_id") and child(record, "spanId", "span_id")
    return bool(named) and ("startTimeUnixNano" in record or "start_time_unix_nano" in record)


def _is_console(head: Head) -> bool:
    return any(_is_console_span(v) or _is_console_log(v) for v in head.values if isinstance(v, dict))


def _is_console_span(record: dict) -> bool:
    context = object_of(record.get("context"))
    return (
        "trace_id" in context
        and "span_kind" not in record
        and "start_time" in record
        and ("kind" in record or "resource" in record)
    )


def _is_console_log(record: dict) -> bool:
    return "severity_number" in record and "trace_id" in record and "body" in record


def _otlp(item: Input, head: Head) -> Iterator[Piece]:
    for row in rows(item, head):
        yield from [row] if isinstance(row, Bad) else _request(*row)


def _request(line: int, record: dict) -> Iterator[Piece]:
    """The spans and logs of one request, of one of its resources, or one bare span; Bad for anything else."""
    holders = [h for k in HOLDERS for h in list_of(record.get(k))]
    if any(k in record for k in (*SPAN_GROUPS, *LOG_GROUPS)):
        holders.append(record)
    if not holders and _is_bare_span(record):
        yield line, otlp_span(record, {}, {})
    elif not holders and not any(k in record for k in HOLDERS):
        what = "metrics or profiles" if any(k in record for k in _OTHER_SIGNALS) else "no spans and no logs"
        yield bad_record(line, f"OTLP-JSON record holds {what}", record)
    for holder in holders:
        yield from _holder(line, holder) if isinstance(holder, dict) else [bad_record(line, "not a resource", holder)]


def _holder(line: int, holder: dict) -> Iterator[Piece]:
    resource = attributes(object_of(holder.get("resource")).get("attributes"))
    for record, scope in scoped(holder, "Span"):
        yield (line, otlp_span(record, resource, scope)) if isinstance(record, dict) else bad_record(line, "not a span", record)
    for record, _ in scoped(holder, "Log"):
        yield (line, otlp_log(record, resource)) if isinstance(record, dict) else bad_record(line, "not a log record", record)


def _console(item: Input, head: Head) -> Iterator[Piece]:
    for row in rows(item, head):
        if isinstance(row, Bad):
            yield row
        elif _is_console_log(row[1]):
            yield row[0], console_log(plain(row[1]))
        elif isinstance(row[1].get("context"), dict):
            yield row[0], console_span(plain(row[1]))
        else:
            yield bad_record(row[0], "not a span: it has no context", row[1])


def bad_record(line: int, reason: str, record: object) -> Bad:
    """A record that cannot be kept, with its text."""
    return Bad(line, reason, jsonstream.raw_text(_dumped(record)))


def _dumped(record: object) -> bytes:
    import orjson

    return orjson.dumps(plain(record))


def _records(pieces, item: Input, head: Head) -> Iterator[Record | Bad]:
    """Records of a file's spans and scores; where the file has logs it is read twice, the first time for them alone."""
    with LogBook() as book:
        if _mentions_logs(item):
            for piece in pieces(item, head):
                if not isinstance(piece, Bad) and isinstance(piece[1], Log):
                    book.keep(*piece)
        for piece in pieces(item, head):
            yield from [piece] if isinstance(piece, Bad) else _of_piece(*piece, book)
        yield from book.left()


def _mentions_logs(item: Input) -> bool:
    try:
        with item.open() as stream:
            tail = b""
            while chunk := stream.read(1 << 20):
                if any(word in tail + chunk for word in _LOGS):
                    return True
                tail = chunk[-32:]
    except (OSError, EOFError, ValueError):
        return True
    return False


def _of_piece(line: int, piece: Span | Log, book: LogBook) -> Iterator[Record | Bad]:
    if isinstance(piece, Span):
        yield from span_records(line, piece._replace(events=[*piece.events, *book.events(piece.trace_id, piece.span_id)]))
    elif piece.event.name == EVALUATION:
        yield score_record(line, evaluation(piece.event, piece.trace_id, piece.span_id, piece.resource))


def span_records(line: int, span: Span) -> Iterator[Record | Bad]:
    """The record of a span, and those of the scores on it."""
    yield Record("span", line, span_data(span))
    for score in span_scores(span, indexed(span.attributes)[0]):
        yield score_record(line, score)


def score_record(line: int, score: dict) -> Record | Bad:
    """The record of a score; Bad where it has no name."""
    return Record("score", line, score) if score["name"] else bad_record(line, "score without a name", score)


def read_otlp(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Spans and scores of OTLP-JSON."""
    return _records(_otlp, item, head)


def read_console(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Spans and scores of a console dump.

    A span printed at its start and at its end gives two records with the same id, which may stand far apart. Neither sets
    ``updated_at``, so the derivation takes the end time, else the start time: the finished one is the newer and wins.
    """
    return _records(_console, item, head)


FORMATS = [
    Format("otel.otlp", "otel", "OTLP-JSON: a request a line, or one document", _is_otlp, read_otlp, SHAPES),
    Format("otel.console", "otel", "spans printed by OpenTelemetry's console exporter", _is_console, read_console, SHAPES),
]
