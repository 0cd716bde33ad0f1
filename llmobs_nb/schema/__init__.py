"""The canonical tables, declared once: documentation, validation, empty frames and the Parquet schema come from here.

Times are UTC microseconds, money is USD, a missing value is null (never 0, never "").
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from .declare import ARROW, ERROR_CLASSES, KINDS, MODEL_KINDS, PURPOSES, RATERS, SQL, Field, Table
from .pulled import PULLED
from .tables import CHANGES, CORRECTIONS, PAYLOADS, PROMPTS, QUARANTINE, SCORES, SERIES, SPANS, TRACE_FACTS

_TRAFFIC = (SPANS, PAYLOADS, SCORES, CORRECTIONS, TRACE_FACTS, SERIES, PROMPTS, CHANGES, QUARANTINE)
TABLES = {t.name: t for t in (*_TRAFFIC, *PULLED)}

# Columns a source may fill besides the canonical ones; the derivation folds them in and drops them.
DRAFT = {
    "spans": (
        Field("input", "text", "goes to payloads"),
        Field("output", "text", "goes to payloads"),
        Field("system_prompt", "text", "goes to payloads"),
        Field("first_token_time", "timestamp", "gives ttft_ms", "UTC"),
        Field("tokens_total", "int", "the source's own total; decides whether parts are inside or beside", "tokens"),
        Field("tokens_in_parts", "int", "sum of the reported parts of the input, cache included", "tokens"),
        Field("tokens_out_parts", "int", "sum of the reported parts of the output, reasoning included", "tokens"),
        Field("usage_rule", "text", "inclusive or disjoint: how this source counts parts when it gives no total"),
        Field("error_type", "text", "exception or status code, for error_class"),
    ),
    "scores": (
        Field("value_text", "text", "value before its type is known: number, true/false or label"),
        Field("rater_word", "text", "the source's own word for who judged"),
    ),
}


@cache
def draft_fields(table: str) -> dict[str, Field]:
    """The fields a source may fill for a table: the canonical ones and the draft ones."""
    return {f.name: f for f in (*TABLES[table].fields, *DRAFT.get(table, ()))}


def markdown(tables: Iterable[Table] = tuple(TABLES.values())) -> str:
    """The schema page: every table, one line a column."""
    return "\n".join(t.markdown() for t in tables)


__all__ = [
    "ARROW", "CHANGES", "CORRECTIONS", "DRAFT", "ERROR_CLASSES", "KINDS", "MODEL_KINDS", "PAYLOADS", "PROMPTS", "PULLED",
    "PURPOSES", "QUARANTINE", "RATERS", "SCORES", "SERIES", "SPANS", "SQL", "TABLES", "TRACE_FACTS", "Field", "Table",
    "draft_fields", "markdown",
]  # fmt: skip
