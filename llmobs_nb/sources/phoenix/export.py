"""Phoenix's spans and annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..base import Bad, Format, Head, Input, Record, Shape
from ..otel.attributes import nested
from ..otel.export import bad_record, score_record, span_records
from ..otel.scores import PROJECT, Target, annotation, annotations, target_of
from ..otel.spans import Span, child, events, ids, list_of, object_of, status_of
from ..otel.values import hex_id, moment, opened, plain, text_of
from ..reading import rows
from . import columns

SHAPES = {
    "span": Shape("spans", columns.SPAN),
    "score": Shape("scores", columns.SCORE),
}


def _keys(head: Head) -> set[str]:
    return set(head.header or head.first)


def _is_spans(head: Head) -> bool:
    keys = _keys(head)
    context = object_of(opened(head.first.get("context")))
    has_ids = "context.trace_id" in keys or "trace_id" in context or ("context" in keys and bool(head.header))
    has_span = "span_kind" in keys or "status_code" in keys or any(k.startswith(columns.ATTRIBUTES) for k in keys)
    return (has_ids and has_span) or _is_trace(head.first) or _holds_rows(head.first)


def _is_trace(record: dict) -> bool:
    """A trace that holds its spans, as the command line of Phoenix writes it."""
    spans = [s for s in list_of(record.get("spans")) if isinstance(s, dict)]
    return bool(spans) and "context" in spans[0] and ("span_kind" in spans[0] or "status_code" in spans[0])


def _is_annotations(head: Head) -> bool:
    keys = _keys(head)
    judged = {"annotator_kind"} <= keys and bool(keys & {"result", "score", "label", "result.score", "result.label"})
    return judged and bool(keys & {"span_id", "trace_id", "session_id", "context.span_id"})


def read_spans(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Spans and the annotations on them."""
    for row in rows(item, head):
        if isinstance(row, Bad):
            yield row
            continue
        for record in _spans_in(plain(row[1])):
            yield from _span(row[0], record)


def _spans_in(record: dict) -> Iterator[Any]:
    """The spans in a record: itself, those of a trace, or the rows of a DataFrame written column by column or by index."""
    if _is_trace(record):
        yield from record["spans"]
    elif isinstance(record.get("context.span_id"), dict):
        for row in record["context.span_id"]:
            yield {k: v.get(row) if isinstance(v, dict) else None for k, v in record.items()}
    elif "span_kind" not in record and _holds_rows(record):
        yield from record.values()
    else:
        yield record


def _holds_rows(record: dict) -> bool:
    return bool(record) and all(isinstance(v, dict) and ("context.span_id" in v or "span_kind" in v) for v in record.values())


def _span(line: int, record: Any) -> Iterator[Record | Bad]:
    if not isinstance(record, dict) or not (_id(record, columns.SPAN_ID) or _id(record, columns.TRACE_ID)):
        yield bad_record(line, "not a span: it has no span id and no trace id", record)
        return
    span = _as_span(record)
    yield from span_records(line, span)
    listed = [a for k in columns.ANNOTATIONS for a in list_of(opened(record.get(k))) if isinstance(a, dict)]
    for score in annotations([_result(a) for a in listed], target_of(span, "span")):
        yield score_record(line, score)
    yield from _evals(line, record, span)


def _id(record: dict, names: tuple[str, ...]) -> Any:
    context = object_of(opened(record.get("context")))
    return context.get(names[0].removeprefix("context.")) or child(record, *names)


def _as_span(record: dict) -> Span:
    trace_id, span_id = ids(_id(record, columns.TRACE_ID), _id(record, columns.SPAN_ID), record)
    return Span(
        trace_id,
        span_id,
        hex_id(child(record, *columns.PARENT_ID)),
        text_of(record.get("name")),
        moment(record.get("start_time")),
        moment(record.get("end_time")),
        status_of(record.get("status_code")),
        text_of(record.get("status_message")),
        _attributes(record),
        events(opened(record.get("events"))),
        _project(record),
        {},
    )


def _attributes(record: dict) -> dict[str, Any]:
    """The span's attributes under dotted names, from a nested object and from columns that are named ``attributes.…``."""
    columnar = {k.removeprefix(columns.ATTRIBUTES): v for k, v in record.items() if k.startswith(columns.ATTRIBUTES) and v != ""}
    found = nested({**object_of(opened(record.get("attributes"))), **columnar})
    kind = text_of(record.get("span_kind"))
    extra = {k: v for k, v in record.items() if _is_extra(k) and v != ""}
    return {**extra, **found, **({"openinference.span.kind": kind} if kind else {})}


def _is_extra(key: str) -> bool:
    return key not in columns.KNOWN and not key.startswith((columns.ATTRIBUTES, columns.SUMS, columns.EVALS))


def _project(record: dict) -> dict[str, Any]:
    project = text_of(child(record, *columns.PROJECT))
    return {PROJECT: project} if project else {}


def _result(given: dict) -> dict[str, Any]:
    """An annotation with its score, label and explanation beside its name, wherever they stood."""
    inner = object_of(opened(given.get("result")))
    found = {k: inner.get(k, given.get(f"result.{k}", given.get(k))) for k in ("score", "label", "explanation")}
    return {**given, **found, "name": child(given, "name", "annotation_name")}


def _evals(line: int, record: dict, span: Span) -> Iterator[Record | Bad]:
    """Evaluations that a DataFrame carries as columns ``eval.NAME.score``, ``.label`` and ``.explanation``."""
    found: dict[str, dict] = {}
    for key, value in record.items():
        name, _, field = key.removeprefix(columns.EVALS).rpartition(".")
        if key.startswith(columns.EVALS) and name and value is not None:
            found.setdefault(name, {"name": name})[field] = value
    for score in annotations(list(found.values()), target_of(span, "span")):
        yield score_record(line, score)


def read_annotations(item: Input, head: Head) -> Iterator[Record | Bad]:
    """One score per annotation row, on a span, a trace or a session."""
    for row in rows(item, head):
        yield row if isinstance(row, Bad) else _annotation_row(row[0], plain(row[1]))


def _annotation_row(line: int, row: dict) -> Record | Bad:
    span_id, trace_id = hex_id(_id(row, columns.SPAN_ID)), hex_id(_id(row, columns.TRACE_ID))
    session_id = text_of(row.get("session_id"))
    if not (span_id or trace_id or session_id):
        return bad_record(line, "annotation without a span, a trace or a session", row)
    level = "span" if span_id else "trace" if trace_id else "session"
    target = Target(level, trace_id, span_id, session_id, None, _project(row).get(PROJECT))
    given = {**_result(row), "metadata": _annotation_metadata(row)}
    return score_record(line, annotation(given, target, row.get("document_position") or 0))


def _annotation_metadata(row: dict) -> dict | None:
    own = opened(row.get("metadata"))
    rest = {k: v for k, v in row.items() if k not in columns.ANNOTATION_READ and v not in (None, "")}
    return {**rest, **(own if isinstance(own, dict) else {})} or None


FORMATS = [
    Format(
        "phoenix.spans", "phoenix", "Phoenix spans: JSON, JSON lines, Parquet, DataFrame as JSON", _is_spans, read_spans, SHAPES
    ),
    Format(
        "phoenix.annotations",
        "phoenix",
        "Phoenix annotations of spans, traces and sessions",
        _is_annotations,
        read_annotations,
        SHAPES,
    ),
]
