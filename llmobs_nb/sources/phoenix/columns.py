"""Phoenix's spans carry OpenInference attributes, which the otel columns read; annotations become the same score records."""

from __future__ import annotations

from ..otel.columns import SCORE, SPAN

# Where the fields of a span stand: nested, or flat as in a DataFrame.
TRACE_ID = ("context.trace_id", "trace_id", "traceId")
SPAN_ID = ("context.span_id", "span_id", "spanId")
PARENT_ID = ("parent_id", "parent_span_id", "parentId")
PROJECT = ("project_name", "project", "project_id")
ANNOTATIONS = ("annotations", "span_annotations")
ATTRIBUTES = "attributes."
EVALS = "eval."
KNOWN = frozenset(
    (
        *TRACE_ID, *SPAN_ID, *PARENT_ID, *PROJECT, *ANNOTATIONS, "id", "context", "name", "span_kind", "start_time", "end_time",
        "status_code", "status_message", "attributes", "events", "latency_ms", "__index_level_0__",
    )
)  # fmt: skip
SUMS = "cumulative_"

# An annotation row's own fields; the rest of the row is its metadata.
ANNOTATION_READ = frozenset(
    (
        *TRACE_ID, *SPAN_ID, "id", "session_id", "name", "annotation_name", "annotator_kind", "result", "score", "label",
        "explanation", "result.score", "result.label", "result.explanation", "identifier", "metadata", "created_at",
        "updated_at", "user_id", "__index_level_0__",
    )
)  # fmt: skip

__all__ = ["SCORE", "SPAN"]
