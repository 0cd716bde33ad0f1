"""Langfuse files: trace JSON, API pages, UI exports, blob exports."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import embedded, rows
from . import columns

_TRACE_FIELDS = {
    "projectId": "projectId", "name": "traceName", "userId": "userId", "sessionId": "sessionId", "release": "release",
    "environment": "environment", "tags": "tags",
}  # fmt: skip
_UI_EXPORT = re.compile(r"\d{10,}-lf-(?P<table>[a-z_]+)-export-(?P<project>[^.!/\\]+)\.")
_NOT_READ = "not a span, score or trace"


def manifest_files(folder: str) -> list[str]:
    """The files that the manifests of a blob export in ``folder`` list and that are there, in order; [] without manifests."""
    found: dict[str, None] = {}
    for manifest in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "manifests", "*.json"), recursive=True)):
        try:
            with open(manifest, encoding="utf-8") as stream:
                listed = [f["key"] for f in json.load(stream)["files"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        root = os.path.dirname(os.path.dirname(manifest))
        for key in listed:
            if path := _locate(root, str(key)):
                found[path] = None
    return list(found)


def _locate(root: str, key: str) -> str | None:
    """The local file of an object key: the download may have kept all, some or none of the key's folders."""
    parts = key.split("/")
    for at in range(len(parts)):
        path = os.path.normpath(os.path.join(root, *parts[at:]))
        if path.startswith(os.path.normpath(root) + os.sep) and os.path.isfile(path):
            return path
    return None


def shape_of(row: dict) -> str:
    """Which record a Langfuse object is: document, observation, correction, score, trace or other."""
    keys = row.keys()
    if isinstance(row.get("trace"), dict) or _has_nested(row):
        return "document"
    if keys & {"startTime", "start_time"} and keys & {"traceId", "trace_id"} and not keys & {"experimentItemId"}:
        return "observation"
    if "name" in keys and keys & {"dataType", "data_type", "stringValue", "string_value"} and keys & {"value", "stringValue"} and keys & _TARGETS:
        kind = row.get("dataType") or row.get("data_type")
        return "correction" if str(kind).upper() == "CORRECTION" else "score"
    if "id" in keys and "timestamp" in keys and keys & {"userId", "user_id", "sessionId", "session_id", "bookmarked"}:
        return "trace"
    return "other"


_TARGETS = {"traceId", "trace_id", "subject", "sessionId", "session_id", "observationId", "observation_id"}


def _has_nested(row: dict) -> bool:
    nested = [v for k in ("observations", "scores") for v in [row.get(k)] if isinstance(v, list)]
    return "id" in row and any(isinstance(e, dict) for v in nested for e in v)


def _pages(row: dict) -> list[dict] | None:
    """The records of a document that holds several API answers, each an object with ``data``."""
    pages = [v["data"] for v in row.values() if isinstance(v, dict) and isinstance(v.get("data"), list)]
    return [r for page in pages for r in page if isinstance(r, dict)] if pages else None


def sniff(head: Head) -> bool:
    """Whether an input is Langfuse's: by its first records, a CSV or Parquet header, or the export's file name."""
    samples = [r for v in head.values if isinstance(v, dict) for r in (_pages(v) or [v])]
    if head.header:
        samples = [dict.fromkeys(head.header)]
    return any(_is_ours(r) for r in samples) or _UI_EXPORT.search(os.path.basename(head.name)) is not None


_MARKS = {
    "projectId", "parentObservationId", "parent_observation_id", "usageDetails", "usage_details", "costDetails", "bookmarked",
    "provided_model_name", "providedModelName", "statusMessage", "dataType", "string_value", "stringValue", "datasetRunId",
    "completionStartTime", "executionTraceId", "dataset_run_id", "traceName", "trace_name",
}  # fmt: skip


def _is_ours(row: dict) -> bool:
    if isinstance(row.get("trace"), dict):
        row = row["trace"]
    return shape_of(row) != "other" and bool(row.keys() & _MARKS) and not row.keys() & {"run_type", "response_cost", "spend"}


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """Every observation, score, correction and trace of a file; nested ones take what their trace says."""
    project = _UI_EXPORT.search(os.path.basename(item.name))
    for one in rows(item, head):
        if isinstance(one, Bad):
            yield one
            continue
        line, row = one
        for record in _pages(row) or [row]:
            if project and not record.get("projectId"):
                record = record | {"projectId": project["project"]}
            yield from _records(line, record)


def _records(line: int, row: dict) -> Iterator[Record | Bad]:
    shape = shape_of(row)
    if shape == "document":
        yield from _document(line, row)
    elif shape == "score":
        yield Record("score", line, _score(row))
    elif shape == "correction":
        yield Record("correction", line, row | _subject(row))
    elif shape == "other":
        yield Bad(line, _NOT_READ, json.dumps(row, default=str))
    else:
        yield Record(shape, line, row)


def _document(line: int, row: dict) -> Iterator[Record | Bad]:
    """A trace with its observations and scores; the full observations stand beside the trace where both are given."""
    trace = row["trace"] if isinstance(row.get("trace"), dict) else row
    nested = row.get("observations") if isinstance(row.get("trace"), dict) else None
    observations = nested or trace.get("observations") or []
    yield Record("trace", line, {k: v for k, v in trace.items() if k not in ("observations", "scores", "corrections")})
    for observation in observations:
        if not isinstance(observation, dict):
            if not isinstance(observation, str):
                yield Bad(line, "not an observation", json.dumps(observation))
            continue
        yield from _of_trace(line, observation, trace)
    for score in _dicts(trace.get("scores")) + _dicts(trace.get("corrections")) + _dicts(row.get("scores") if row is not trace else None):
        yield from _records(line, {"traceId": trace.get("id")} | score)


def _dicts(value) -> list[dict]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _of_trace(line: int, observation: dict, trace: dict) -> Iterator[Record]:
    told = {ours: trace[theirs] for theirs, ours in _TRACE_FIELDS.items() if trace.get(theirs) not in (None, "", [])}
    own = {k: v for k, v in observation.items() if v is not None}
    metadata = _merged(embedded(trace.get("metadata")), embedded(observation.get("metadata")))
    yield Record("observation", line, {"traceId": trace.get("id")} | observation | told | own | ({"metadata": metadata} if metadata else {}))


def _merged(outer, inner):
    if isinstance(outer, dict) and isinstance(inner, dict):
        return outer | inner
    return inner if inner not in (None, "", {}) else outer


def _score(row: dict) -> dict:
    """A score with its value, label and target where the columns look for them."""
    kind = str(row.get("dataType") or row.get("data_type") or "NUMERIC").upper()
    value = row.get("value")
    text = row.get("stringValue") or row.get("string_value") or row.get("longStringValue")
    metadata = embedded(row.get("metadata"))
    extra = dict(metadata) if isinstance(metadata, dict) else {}
    out = row | _subject(row)
    if kind in ("CATEGORICAL", "TEXT"):
        out["_label"] = text if text not in (None, "") else (value if isinstance(value, str) else None)
        if kind == "CATEGORICAL" and out["_label"] is not None and value != out["_label"] and value not in (None, ""):
            extra["category_index"] = value
        if out["_label"] is None:
            out["_value"] = value
    else:
        out["_value"] = value if value not in (None, "") else text
    run = row.get("datasetRunId") or row.get("dataset_run_id") or out.get("_experiment")
    out["_metadata"] = extra | ({"experiment_id": run} if run else {})
    return out


def _subject(row: dict) -> dict:
    """The target of a v3 score, which stands in ``subject``."""
    subject = embedded(row.get("subject"))
    if not isinstance(subject, dict):
        return {}
    key = {"trace": "_subject_trace", "observation": "_subject_observation", "session": "_subject_session"}.get(subject.get("kind"), "_experiment")
    return {key: subject.get("id")}


def _plain_lines(head: Head) -> bool:
    """Whether every JSON line is one observation that needs nothing from Python."""
    known = [v for v in head.values if isinstance(v, dict)]
    return bool(known) and all(shape_of(v) == "observation" and v.get("projectId") for v in known)


FORMATS = [
    Format(
        name="langfuse.export",
        source="langfuse",
        about="trace JSON, API pages, UI exports (CSV, JSON, JSONL), blob exports (Parquet, JSONL, CSV)",
        sniff=sniff,
        read=read,
        shapes={
            "observation": Shape("spans", columns.OBSERVATION, required=("span_id", "trace_id")),
            "score": Shape("scores", columns.SCORE, required=("score_id",)),
            "correction": Shape("corrections", columns.CORRECTION),
            "trace": Shape("trace_facts", columns.TRACE),
        },
        lines="observation",
        lines_when=_plain_lines,
    )
]
