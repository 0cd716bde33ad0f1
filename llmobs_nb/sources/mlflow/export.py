"""MLflow's traces as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..otel.export import bad_record
from ..otel.spans import child, object_of
from ..otel.values import moment, opened, plain
from ..reading import rows
from . import columns
from .assessments import assessment_records
from .traces import (
    Trace,
    as_span,
    info_of,
    is_info,
    project_of,
    span_record,
    trace_metadata,
    trace_of,
    with_trace_state,
    with_trace_sums,
)

SHAPES = {
    "span": Shape("spans", columns.SPAN),
    "trace": Shape("trace_facts", columns.TRACE_FACTS),
    "score": Shape("scores", columns.SCORE),
}


def _is_traces(head: Head) -> bool:
    if head.header:
        return is_info(dict.fromkeys(head.header))
    first = head.first
    holder = object_of(opened(first.get("trace"))) or first
    info = info_of(holder)
    if info is not None:
        return is_info(info) or ("data" in holder and ("trace_id" in info or "request_id" in info))
    return is_info(first) and bool({"trace_metadata", "request_metadata", "trace_location"} & first.keys())


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Spans, assessments, and what is told of a trace that comes without spans."""
    for row in rows(item, head):
        if isinstance(row, Bad):
            yield row
        else:
            yield from _trace_records(row[0], trace_of(plain(row[1])))


def _trace_records(line: int, trace: Trace) -> Iterator[Record | Bad]:
    if trace.trace_id is None and not trace.spans:
        yield bad_record(line, "not a trace: it has no trace id and no spans", trace.record)
        return
    yield from (bad_record(line, "not a span", s) for s in trace.spans if not isinstance(s, dict))
    spans = [as_span(s, trace) for s in trace.spans if isinstance(s, dict)]
    for span in with_trace_state(with_trace_sums(spans, trace), trace):
        yield Record("span", line, span_record(span, trace))
    if not spans:
        yield Record("trace", line, _facts(trace))
    yield from assessment_records(line, trace)


def _facts(trace: Trace) -> dict:
    info = trace.info
    return {
        "trace_id": trace.trace_id,
        "trace": trace.about,
        "project": project_of(info),
        "start_time": moment(child(info, "request_time", "timestamp_ms")),
        "input": child(trace.about, "mlflow.traceInputs") or child(info, "request", "request_preview"),
        "output": child(trace.about, "mlflow.traceOutputs") or child(info, "response", "response_preview"),
        "metadata": trace_metadata(trace) or None,
    }


FORMATS = [
    Format(
        "mlflow.traces", "mlflow", "MLflow traces: info with spans and assessments, or rows of a search", _is_traces, read, SHAPES
    ),
]
