"""The canonical interchange: spans.parquet, scores.parquet, changes.csv, prompts.json, series.csv; one file alone is fine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import rows
from . import columns

SOURCE = "canonical"
_COLUMNS = {
    "spans": columns.spans,
    "scores": columns.scores,
    "series": columns.series,
    "changes": columns.changes,
    "corrections": columns.corrections,
    "source_totals": columns.source_totals,
    "vanished": columns.vanished,
}


def _keys(head: Head) -> set[str]:
    return set(head.header) or {k for v in head.values if isinstance(v, dict) for k in v}


def _named(head: Head, stem: str) -> bool:
    """Whether the file bears the name of a table of the interchange; its extra columns may then have any name."""
    return os.path.basename(head.name.split("!")[-1]).split(".")[0].lower() == stem


def sniff_spans(head: Head) -> bool:
    keys = _keys(head)
    foreign = {"event", "span_name", "run_type", "attributes", "context", "call_id", "value"}
    if not {"trace_id", "span_id"} <= keys or not keys & {"start_time", "kind", "model"}:
        return False
    return not keys & foreign or (_named(head, "spans") and not keys & {"run_type", "attributes"})


def sniff_scores(head: Head) -> bool:
    keys = _keys(head)
    foreign = {"id", "observation_id", "observationId", "annotator_kind", "dataType", "run_id", "result"}
    if not {"name", "value"} <= keys or not keys & {"trace_id", "span_id", "session_id"}:
        return False
    return not keys & foreign or (_named(head, "scores") and not keys & {"id", "annotator_kind", "dataType"})


def sniff_series(head: Head) -> bool:
    keys = _keys(head)
    foreign = {"trace_id", "span_id", "session_id", "id"}
    return {"name", "time", "value"} <= keys and (_named(head, "series") or not keys & foreign)


def sniff_changes(head: Head) -> bool:
    return {"at", "kind"} <= _keys(head) and not _keys(head) & {"trace_id", "span_id"}


def sniff_corrections(head: Head) -> bool:
    keys = _keys(head)
    return {"correction_id", "expected"} <= keys and bool(keys & {"trace_id", "span_id"})


def sniff_source_totals(head: Head) -> bool:
    return {"entity", "day", "rows"} <= _keys(head)


def sniff_vanished(head: Head) -> bool:
    return {"entity", "row_id", "noticed_at"} <= _keys(head)


def sniff_prompts(head: Head) -> bool:
    first = head.first
    texts = head.layout in ("lines", "pieces") and all(isinstance(v, str) for v in first.values())
    if _named(head, "prompts") and (texts or {"name", "version", "template"} <= first.keys()):
        return True
    return texts and bool(first) and all("@" in k for k in first)


def _reader(table: str) -> Callable[[Input, Head], Iterator[Record | Bad]]:
    def read(item: Input, head: Head) -> Iterator[Record | Bad]:
        """Rows under our names; keys we do not know go into the row's map."""
        into = columns.MAPS.get(table)
        known = columns.fields_read(_COLUMNS[table]())
        for one in rows(item, head):
            if isinstance(one, Bad):
                yield one
            else:
                yield Record(table, one[0], columns.with_extra_keys(one[1], known, into) if into else one[1])

    return read


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
            if name and version and isinstance(template, str):
                yield Record("prompts", line, {"name": name, "version": version, "template": template})
            else:
                yield Bad(line, 'not a prompt: expected "name@version": "template"', f"{key}: {template}")


def widened(head: Head, shape: Shape) -> Shape:
    """The shape with the columns that only the header tells, which become keys of the row's map."""
    into = columns.MAPS.get(shape.table)
    if not head.header or into is None:
        return shape
    return Shape(shape.table, columns.with_extras(shape.columns, head.header, into), shape.required)


def _format(table: str, sniff: Callable[[Head], bool], about: str) -> Format:
    return Format(
        name=f"{SOURCE}.{table}",
        source=SOURCE,
        about=about,
        sniff=sniff,
        read=_reader(table),
        shapes={table: Shape(table, _COLUMNS[table](), ("span_id",) if table == "spans" else ())},
        lines=table,
        lines_when=lambda head: head.layout == "parquet",
        widened=widened,
    )


FORMATS = [
    _format("spans", sniff_spans, "spans under our own names (Parquet, CSV, JSONL)"),
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
    _format("corrections", sniff_corrections, "corrected answers under our own names"),
    _format("source_totals", sniff_source_totals, "what a source counts per project, kind of record and day, as a pull notes it"),
    _format("vanished", sniff_vanished, "rows that a source no longer has, as a pull notes it"),
]
