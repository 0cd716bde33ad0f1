"""LangSmith files: API pages of both generations, plain lists, tracer batches, bulk-export Parquet, feedback rows, the rest."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .. import chat, reading, tabular
from ..base import Bad, Format, Head, Input, Record, Shape
from . import columns, entities, feedback, runs, usage

MOST_OPEN = 20_000
HUB = b"lc_hub_commit_hash"
PROMPT_FIELDS = ("id", "trace_id", "parent_run_id", "parent_run_ids", "dotted_order", "run_type", "start_time", "extra")
_BATCH = re.compile(rb'\s*\{\s*"(?:post|patch)"\s*:\s*\[')
_SESSION_FOLDER = re.compile(r"session_id=([^/\\]+)")
_NONE = (None, None)


def looks_like_run(row: dict) -> bool:
    """Whether a record is a run, or the half of one that a tracer sends to finish it."""
    if "run_type" in row:
        return any(k in row for k in ("start_time", "dotted_order", "trace_id", "session_id", "project_id"))
    return isinstance(row.get("root_run"), dict) or ("trace_id" in row and bool(runs.lineage(row.get("dotted_order"))))


def _is_batch(head: Head) -> bool:
    return _BATCH.match(head.start.removeprefix(b"\xef\xbb\xbf")) is not None


def sniff_runs(head: Head) -> bool:
    """Runs in any of their wrappers, a tracer's batch, or a table with the columns of the bulk export."""
    if head.header:
        return {"id", "run_type"} < set(head.header) and bool({"dotted_order", "trace_id", "start_time"} & set(head.header))
    if any(isinstance(v, dict) and looks_like_run(v) for v in head.values):
        return True
    return _is_batch(head) and b'"dotted_order"' in head.start


def sniff_feedback(head: Head) -> bool:
    """Feedback rows, as GET /feedback gives them."""
    return feedback.looks_like(dict.fromkeys(head.header)) or any(
        isinstance(v, dict) and feedback.looks_like(v) for v in head.values
    )


def sniff_entities(head: Head) -> bool:
    """Examples, feedback configs, queue items or model prices, as the API gives them."""
    return any(isinstance(v, dict) and entities.shape_of(v) for v in head.values)


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """A record per run, judgement and entity; what is none is bad. Hub prompts are joined to the llm runs they were made for."""
    prompts = Prompts()
    for run in _prompt_runs(item, head):
        prompts.add(run)
    for one in _rows(item, head):
        if isinstance(one, Bad):
            yield one
            continue
        line, row = one
        if shape := entities.shape_of(row):
            yield Record(shape, line, entities.made(shape, row))
        elif feedback.looks_like(row) and "run_type" not in row:
            yield from (Record(shape, line, data) for shape, data in feedback.records(row))
        else:
            yield from _run(line, row, prompts)


def _run(line: int, run: dict, prompts: Prompts) -> Iterator[Record | Bad]:
    """A run as a span; the root of an experiment's run also as an item of the experiment."""
    if not looks_like_run(run) and set(run) != {"id"}:
        yield runs.bad(line, "neither a run (no run_type) nor a feedback row (no key)", run)
        return
    made = runs.enrich(run, prompts.of(run))
    if isinstance(made, str):
        yield runs.bad(line, made, run)
        return
    yield Record("run", line, made)
    if run.get("reference_example_id") and made["_parent_id"] is None and made["_project"]:
        yield Record("experiment_item", line, made)


def _rows(item: Input, head: Head) -> Iterator[tuple[int, dict] | Bad]:
    """Every run and feedback row: children out of their parents, halves of a batch put together, Parquet made plain."""
    found = reading.rows(item, replace(head, layout="pieces") if _is_batch(head) else head)
    if head.layout == "parquet":
        found = _plain_rows(item, found)
    return _merged(found) if _is_batch(head) else _flat(found)


def _flat(found: Iterator[tuple[int, dict] | Bad]) -> Iterator[tuple[int, dict] | Bad]:
    for one in found:
        if isinstance(one, Bad):
            yield one
            continue
        waiting = [one[1]]
        while waiting:
            row = waiting.pop()
            row = row["root_run"] if isinstance(row.get("root_run"), dict) else row
            waiting.extend(c for c in chat.sequence(row.pop("child_runs", None)) if isinstance(c, dict))
            yield one[0], row


def _merged(found: Iterator[tuple[int, dict] | Bad]) -> Iterator[tuple[int, dict] | Bad]:
    """Posts and patches of the same run as one. A run waits until it has both ends; of too many, the oldest goes as it is."""
    waiting: dict[str, tuple[int, dict]] = {}
    for one in _flat(found):
        ids = None if isinstance(one, Bad) else runs.identity(one[1])
        if not isinstance(ids, dict):
            yield one
            continue
        line, run = waiting.pop(ids["_span_id"], one)
        run = run if run is one[1] else _patched(run, one[1])
        if run.get("run_type") and run.get("end_time"):
            yield line, run
            continue
        waiting[ids["_span_id"]] = (line, run)
        if len(waiting) > MOST_OPEN:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _patched(run: dict, patch: dict) -> dict:
    """The later half over the earlier one; metadata of both. What the later one leaves empty stays."""
    if not run.get("end_time") and not patch.get("end_time") and run.get("run_type") is None:
        run, patch = patch, run
    merged = {**run, **{k: v for k, v in patch.items() if v not in (None, "", [], {})}}
    extras = [chat.mapping(r.get("extra")) for r in (run, patch)]
    notes = {**chat.mapping(extras[0].get("metadata")), **chat.mapping(extras[1].get("metadata"))}
    return {**merged, "extra": {**extras[0], **extras[1], "metadata": notes}}


def _plain_rows(item: Input, found: Iterator) -> Iterator[tuple[int, dict]]:
    """Parquet values as JSON has them; times without a zone (format v1) are UTC. The folder may name the project."""
    folder = _SESSION_FOLDER.search(item.name)
    for line, row in found:
        made = {k: plain(v) for k, v in row.items()}
        if folder and not made.get("session_id"):
            made["session_id"] = folder.group(1)
        yield line, made


def plain(value: Any) -> Any:
    """A Parquet value as plain JSON: times as ISO text in UTC to the microsecond, decimals as numbers, bytes as text."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [plain(v) for v in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


class Prompts:
    """The hub prompts of a file: LangSmith notes them on the prompt run only, not on the llm run that was sent its text."""

    def __init__(self):
        self._siblings: dict[tuple, list[tuple[float, tuple]]] = {}
        self._sorted = True

    def add(self, run: dict) -> None:
        """Note a prompt run that names its hub prompt."""
        ids, named = runs.identity(run), runs.hub_prompt(runs.metadata(run))
        at = None if isinstance(ids, str) else runs.instant(run.get("start_time") or ids["_start_time"])
        if usage.kind(run) == "prompt" and named != _NONE and at is not None:
            self._siblings.setdefault((ids["_trace_id"], ids["_parent_id"]), []).append((at, named))
            self._sorted = False

    def of(self, run: dict) -> tuple[str | None, str | None]:
        """(name, commit) of the nearest prompt run before an llm run under the same parent; of others nothing."""
        ids = runs.identity(run) if self._siblings and usage.kind(run) == "llm" else ""
        if isinstance(ids, str):
            return _NONE
        if not self._sorted:
            for found in self._siblings.values():
                found.sort(key=lambda pair: pair[0])
            self._sorted = True
        at = runs.instant(run.get("start_time") or ids["_start_time"])
        before = self._siblings.get((ids["_trace_id"], ids["_parent_id"]), []) if at is not None else []
        place = bisect_right(before, at, key=lambda pair: pair[0]) if before else 0
        return before[place - 1][1] if place else _NONE


def _prompt_runs(item: Input, head: Head) -> Iterator[dict]:
    """The prompt runs of a file, read ahead since the API gives newest runs first; nothing where no hub prompt is named."""
    if head.layout == "parquet":
        names = [c for c in PROMPT_FIELDS if c in head.header]
        ahead = tabular.parquet_rows(item, names) if "extra" in names else ()
        yield from ({k: plain(v) for k, v in row.items()} for _, row in ahead if HUB.decode() in str(row["extra"]))
    elif _mentions(item, HUB):
        yield from (one[1] for one in _rows(item, head) if not isinstance(one, Bad) and usage.kind(one[1]) == "prompt")


def _mentions(item: Input, needle: bytes) -> bool:
    tail = b""
    with item.open() as stream:
        try:
            while chunk := stream.read(1 << 20):
                if needle in tail + chunk:
                    return True
                tail = chunk[-len(needle) :]
        except (OSError, EOFError, ValueError):
            return False
    return False


SHAPES = {
    "run": Shape("spans", columns.RUN),
    "feedback": Shape("scores", columns.FEEDBACK),
    "correction": Shape("corrections", columns.CORRECTION),
    "experiment_item": Shape("experiment_items", columns.EXPERIMENT_ITEM),
    "feedback_config": Shape("score_configs", columns.FEEDBACK_CONFIG),
    "example": Shape("dataset_items", columns.EXAMPLE),
    "queue_item": Shape("queue_items", columns.QUEUE_ITEM),
    "price": Shape("source_prices", columns.PRICE),
}
_ENTITIES = "examples, feedback configs, annotation queue items, model prices"
FORMATS = [
    Format("langsmith.runs", "langsmith", "runs: API v1 and v2, tracer payloads, bulk-export Parquet", sniff_runs, read, SHAPES),
    Format("langsmith.feedback", "langsmith", "feedback rows of GET /feedback", sniff_feedback, read, SHAPES),
    Format("langsmith.entities", "langsmith", _ENTITIES, sniff_entities, read, SHAPES),
]
