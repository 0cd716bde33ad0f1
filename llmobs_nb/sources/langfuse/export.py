"""Langfuse files: trace JSON, API pages of every kind, UI exports, blob exports."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import embedded, rows
from . import columns, entities, manifests
from .records import about, correction, price, score

_TRACE_FIELDS = {
    "projectId": "projectId", "name": "traceName", "userId": "userId", "sessionId": "sessionId", "release": "release",
    "environment": "environment", "tags": "tags",
}  # fmt: skip
_UI_EXPORT = re.compile(r"\d{10,}-lf-(?P<table>[a-z_]+)-export-(?P<project>[^.!/\\]+)\.")
_TARGETS = {"traceId", "trace_id", "subject", "sessionId", "session_id", "observationId", "observation_id", "datasetRunId"}
_MARKS = {
    "projectId", "parentObservationId", "parent_observation_id", "usageDetails", "usage_details", "costDetails", "bookmarked",
    "provided_model_name", "providedModelName", "statusMessage", "dataType", "string_value", "stringValue", "datasetRunId",
    "completionStartTime", "executionTraceId", "dataset_run_id", "traceName", "trace_name", "expectedOutput", "sourceTraceId",
    "matchPattern", "objectType", "experimentItemId", "datasetItemId", "isArchived",
}  # fmt: skip
# What else the API and the UI export, told by keys that only it has: what is kept, and what is not.
_KEPT = (
    ("score_config", {"isArchived"}),
    ("queue_item", {"queueId", "objectType"}),
    ("comment", {"objectType", "content"}),
    ("experiment_item", {"experimentItemId"}),
    ("experiment_item", {"datasetRunId", "datasetItemId"}),
    ("dataset_item", {"datasetId", "expectedOutput"}),
    ("dataset_item", {"sourceTraceId"}),
    ("prompt", {"name", "version", "prompt"}),
    ("price", {"matchPattern"}),
)
_OTHERS = (
    ("an annotation queue", {"scoreConfigIds"}),
    ("an experiment", {"itemCount", "datasetId"}),
    ("a dataset", {"inputSchema"}),
    ("a list of prompt versions", {"versions", "labels"}),
    ("a row of metrics", {"time_dimension"}),
    ("a session", {"countTraces"}),
    ("a session", {"sessionDuration"}),
)
# Shapes of which something must be put where the columns look for it.
_MADE = {"score": score, "correction": correction, "queue_item": about, "comment": about, "price": price}


def shape_of(row: dict) -> str:
    """Which record a Langfuse object is: document, observation, correction, score, trace, one of ``_KEPT``, or other."""
    keys = row.keys()
    judged = "name" in keys and keys & {"dataType", "data_type", "stringValue", "string_value"} and keys & _TARGETS
    # A score of the v2 API says something of its trace, too.
    if not judged and (isinstance(row.get("trace"), dict) or _has_nested(row)):
        return "document"
    if (keys >= {"startTime", "traceId"} or keys >= {"start_time", "trace_id"}) and "experimentItemId" not in keys:
        return "observation"
    if judged:
        kind = row.get("dataType") or row.get("data_type")
        return "correction" if str(kind).upper() == "CORRECTION" else "score"
    if "id" in keys and "timestamp" in keys and keys & {"userId", "user_id", "sessionId", "session_id", "bookmarked"}:
        return "trace"
    return next((shape for shape, told in _KEPT if told <= keys), "other")


def _has_nested(row: dict) -> bool:
    nested = [v for k in ("observations", "scores") for v in [row.get(k)] if isinstance(v, list)]
    return "id" in row and "startTime" not in row and any(isinstance(e, dict) for v in nested for e in v)


def _pages(row: dict) -> list[dict]:
    """The records of an object: those of the several API answers it holds, else itself."""
    if shape_of(row) != "other":
        return [row]
    pages = [v["data"] for v in row.values() if isinstance(v, dict) and isinstance(v.get("data"), list)]
    return [r for page in pages for r in page if isinstance(r, dict)] if pages else [row]


def sniff(head: Head) -> bool:
    """Whether an input is Langfuse's: by its first records, a CSV or Parquet header, or the export's file name."""
    return any(_is_ours(r) for r in _samples(head)) or _ui_export(head.name) is not None


def _samples(head: Head) -> list[dict]:
    if head.header:
        return [dict.fromkeys(head.header)]
    return [r for v in head.values if isinstance(v, dict) for r in _pages(v)]


def _ui_export(name: str) -> re.Match | None:
    return _UI_EXPORT.search(os.path.basename(name))


def _is_ours(row: dict) -> bool:
    if isinstance(row.get("trace"), dict):
        row = row["trace"]
    return shape_of(row) != "other" and "id" in row and bool(row.keys() & _MARKS) and "run_type" not in row


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Every observation, score, correction and trace of a file; nested ones take what their trace says."""
    export = _ui_export(item.name)
    project = {"projectId": export["project"]} if export else {}
    for one in rows(item, head):
        if isinstance(one, Bad):
            yield one
            continue
        for record in _pages(one[1]):
            yield from _records(one[0], record if record.get("projectId") else record | project)


def _records(line: int, row: dict) -> Iterator[Record | Bad]:
    shape = shape_of(row)
    if shape == "document":
        yield from _document(line, row)
    elif shape == "other":
        yield Bad(line, f"not a span, score or trace: {_what(row)}", json.dumps(row, default=str))
    else:
        yield Record(shape, line, _MADE[shape](row) if shape in _MADE else row)


def _what(row: dict) -> str:
    return next((what for what, keys in _OTHERS if keys <= row.keys()), "an unknown record")


def _document(line: int, row: dict) -> Iterator[Record | Bad]:
    """A trace with its observations and scores; the full observations stand beside the trace where both are given."""
    outer = isinstance(row.get("trace"), dict)
    trace = row["trace"] if outer else row
    if outer and not trace.get("projectId") and row.get("projectId"):
        trace = trace | {"projectId": row["projectId"]}
    yield Record("trace", line, {k: v for k, v in trace.items() if k not in ("observations", "scores", "corrections")})
    observations = (row.get("observations") if outer else None) or trace.get("observations")
    for observation in _listed(observations):
        if isinstance(observation, dict):
            yield _of_trace(line, observation, trace)
        elif not isinstance(observation, str):
            yield Bad(line, "not an observation", json.dumps(observation, default=str))
    known = {"traceId": trace.get("id"), "projectId": trace.get("projectId")}
    for kind, found in _judgements(row, trace):
        told = known | {k: v for k, v in found.items() if v is not None}
        yield Record(kind, line, _MADE[kind](told))


def _judgements(row: dict, trace: dict) -> Iterator[tuple[str, dict]]:
    """(score or correction, record) of everything that a document says was judged."""
    scores = [*_listed(trace.get("scores")), *(_listed(row.get("scores")) if row is not trace else ())]
    for found in scores:
        if isinstance(found, dict):
            yield ("correction" if str(found.get("dataType")).upper() == "CORRECTION" else "score"), found
    yield from (("correction", c) for c in _listed(trace.get("corrections")) if isinstance(c, dict))


def _listed(value) -> Iterable:
    return value if isinstance(value, list) else ()


def _of_trace(line: int, observation: dict, trace: dict) -> Record:
    """An observation inside a trace: where it says nothing of user, session and the like, the trace's word holds."""
    told = {ours: trace[theirs] for theirs, ours in _TRACE_FIELDS.items() if trace.get(theirs) not in (None, "", [])}
    own = {k: v for k, v in observation.items() if v not in (None, "", [])}
    metadata = _merged(embedded(trace.get("metadata")), embedded(observation.get("metadata")))
    known = {"traceId": trace.get("id")} | told | own | ({"metadata": metadata} if metadata else {})
    return Record("observation", line, observation | known)


def _merged(outer, inner):
    if isinstance(outer, dict) and isinstance(inner, dict):
        return outer | inner
    return inner if inner not in (None, "", {}) else outer


def _plain(head: Head) -> bool:
    """Whether every JSON line (or Parquet row) is one observation that needs nothing from Python."""
    if _ui_export(head.name):
        return False
    known = [v for v in head.values if isinstance(v, dict)] or ([dict.fromkeys(head.header)] if head.layout == "parquet" else [])
    return bool(known) and all(shape_of(v) == "observation" for v in known)


# The columns of the UI's exports; any other is the average of the scores of one name.
_UI_COLUMNS = {
    "id", "timestamp", "name", "userId", "sessionId", "release", "version", "environment", "tags", "bookmarked", "public",
    "input", "output", "metadata", "comments", "traceId", "traceName", "type", "startTime", "endTime", "completionStartTime",
    "level", "statusMessage", "promptName", "promptId", "promptVersion", "modelId", "model", "providedModelName",
    "internalModelId", "internalModel", "modelParameters", "usageDetails", "costDetails", "providedUsageDetails",
    "providedCostDetails", "totalCost", "inputCost", "outputCost", "inputUsage", "outputUsage", "totalUsage", "latencyMs",
    "timeToFirstTokenMs", "latency", "timeToFirstToken", "parentObservationId", "traceTags", "traceTimestamp", "inputPrice",
    "outputPrice", "totalPrice", "toolDefinitionsCount", "toolCallsCount", "toolDefinitions", "toolCalls", "toolCallNames",
    "usagePricingTierId", "usagePricingTierName", "createdAt", "updatedAt", "projectId", "project_id", "isRootObservation",
    "unit", "promptTokens", "completionTokens", "totalTokens", "calculatedInputCost", "calculatedOutputCost",
    "calculatedTotalCost",
}  # fmt: skip


def notes(head: Head) -> list[str]:
    """That the score columns of a UI export of traces or observations are averages, which are not read as scores."""
    keys = dict.fromkeys(k for row in _samples(head) for k in row)
    if "comments" not in keys or not any(shape_of(r) in ("observation", "trace") for r in _samples(head)):
        return []
    more = [k for k in keys if k not in _UI_COLUMNS]
    if not more:
        return []
    named = ", ".join(repr(k[:40]) for k in more[:3]) + (f" and {len(more) - 3} more" if len(more) > 3 else "")
    return [
        f"{os.path.basename(head.name)}: the score columns ({named}) are averages over all who gave a score of that name,"
        " judges and humans mixed; they are not read as scores. Export the scores table and ingest it too."
    ]


FORMATS = [
    Format(
        name="langfuse.manifest",
        source="langfuse",
        about="the manifest of a blob export: holds no record, names the files of a window",
        sniff=manifests.is_manifest,
        read=lambda item, head: iter(()),
        shapes={},
    ),
    Format(
        name="langfuse.export",
        source="langfuse",
        about="trace JSON, API pages, UI exports (CSV, JSON, JSONL), blob exports (Parquet, JSONL, CSV)",
        sniff=sniff,
        read=read,
        shapes={
            "observation": Shape("spans", columns.OBSERVATION, required=("span_id", "trace_id", "start_time")),
            "score": Shape("scores", columns.SCORE, required=("score_id",)),
            "correction": Shape("corrections", columns.CORRECTION),
            "trace": Shape("trace_facts", columns.TRACE),
            "score_config": Shape("score_configs", entities.SCORE_CONFIG),
            "dataset_item": Shape("dataset_items", entities.DATASET_ITEM),
            "experiment_item": Shape("experiment_items", entities.EXPERIMENT_ITEM),
            "queue_item": Shape("queue_items", entities.QUEUE_ITEM),
            "comment": Shape("comments", entities.COMMENT),
            "price": Shape("source_prices", entities.PRICE),
            "prompt": Shape("prompts", entities.PROMPT),
        },
        lines="observation",
        lines_when=_plain,
        notes=notes,
    ),
]
