"""The canonical interchange folder: spans.parquet, scores.parquet, changes.csv, prompts.json, series.csv; one file alone is fine."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import rows
from . import columns

SOURCE = "canonical"


def _keys(head: Head) -> set[str]:
    return set(head.header) or set(head.first)


def _named(head: Head, stem: str) -> bool:
    return os.path.basename(head.name).split(".")[0] == stem


def sniff_spans(head: Head) -> bool:
    keys = _keys(head)
    foreign = {"event", "span_name", "run_type", "attributes", "context", "call_id"}
    return {"trace_id", "span_id"} <= keys and bool(keys & {"start_time", "kind", "model"}) and not keys & foreign and "value" not in keys


def sniff_scores(head: Head) -> bool:
    keys = _keys(head)
    foreign = {"id", "observation_id", "observationId", "annotator_kind", "dataType", "data_type_v3", "run_id", "result"}
    return {"name", "value"} <= keys and bool(keys & {"trace_id", "span_id", "session_id"}) and not keys & foreign


def sniff_series(head: Head) -> bool:
    keys = _keys(head)
    return {"name", "time", "value"} <= keys and not keys & {"trace_id", "span_id", "session_id", "id"}


def sniff_changes(head: Head) -> bool:
    return {"at", "kind"} <= _keys(head) and not _keys(head) & {"trace_id", "span_id"}


def sniff_prompts(head: Head) -> bool:
    first = head.first
    pairs = bool(first) and all(isinstance(v, str) and "@" in k for k, v in first.items())
    return head.layout in ("lines", "pieces") and (pairs or (_named(head, "prompts") and {"name", "version", "template"} <= set(first)))


def _reader(into: str):
    def read(item: Input, head: Head) -> Iterator[Record | Bad]:
        """Rows under our names; keys we do not know go into the row's map."""
        known: set[str] = set()
        for one in rows(item, head):
            if isinstance(one, Bad):
                yield one
                continue
            known = known or _known(into)
            yield Record(into, one[0], _folded(one[1], known, _MAPS.get(into)))

    return read


_MAPS = {"spans": "metadata", "scores": "metadata", "series": "dimensions"}


def _known(table: str) -> set[str]:
    declared = _COLUMNS[table]()
    return {p[0] for c in declared for p in c.paths} | {n for c in declared for n in c.needs} | set(columns._NOT_READ)


def _folded(row: dict, known: set[str], into: str | None) -> dict:
    extra = {k: v for k, v in row.items() if k not in known and v not in (None, "")}
    if not extra or into is None:
        return row
    told = row.get(into)
    return {k: v for k, v in row.items() if k in known} | {into: extra | told if isinstance(told, dict) else extra}


def read_prompts(item: Input, head: Head) -> Iterator[Record | Bad]:
    """``{"name@version": "template"}``, or rows with name, version and template."""
    for one in rows(item, head):
        if isinstance(one, Bad):
            yield one
            continue
        line, row = one
        if "template" in row and "name" in row:
            yield Record("prompts", line, row)
            continue
        for key, template in row.items():
            name, _, version = str(key).rpartition("@")
            if name and isinstance(template, str):
                yield Record("prompts", line, {"name": name, "version": version, "template": template})
            else:
                yield Bad(line, "not a prompt: expected \"name@version\": \"template\"", f"{key}: {template}")


_COLUMNS = {
    "spans": columns.spans,
    "scores": columns.scores,
    "series": columns.series,
    "changes": columns.changes,
    "corrections": columns.corrections,
}


def _format(table: str, sniff, about: str, required: tuple = ()) -> Format:
    def widened(head: Head, shape: Shape) -> Shape:
        if not head.header or table not in _MAPS:
            return shape
        return Shape(shape.table, columns.with_extras(list(shape.columns), head.header, _MAPS[table]), shape.required)

    return Format(
        name=f"{SOURCE}.{table}",
        source=SOURCE,
        about=about,
        sniff=sniff,
        read=_reader(table),
        shapes={table: Shape(table, _COLUMNS[table](), required)},
        lines=table,
        lines_when=lambda head: head.layout == "parquet",
        widened=widened,
    )


FORMATS = [
    _format("spans", sniff_spans, "spans under our own names (Parquet, CSV, JSONL)", ("span_id",)),
    _format("scores", sniff_scores, "scores under our own names (Parquet, CSV, JSONL)"),
    _format("changes", sniff_changes, "a change log: at, kind, ref, note, author"),
    Format(
        name=f"{SOURCE}.prompts",
        source=SOURCE,
        about='prompt templates: {"name@version": "template"}',
        sniff=sniff_prompts,
        read=read_prompts,
        shapes={"prompts": Shape("prompts", columns.prompts())},
    ),
    _format("series", sniff_series, "outside measures: name, time, value, n, and any dimensions"),
]
