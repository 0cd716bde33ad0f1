"""The canonical tables, declared once: documentation, validation, empty frames and the Parquet schema come from here.

Times are UTC microseconds, money is USD, a missing value is null (never 0, never "").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

ARROW = {
    "text": pa.string(),
    "json": pa.string(),
    "int": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "list_text": pa.list_(pa.string()),
    "list_double": pa.list_(pa.float64()),
    "map": pa.map_(pa.string(), pa.string()),
}
SQL = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "int": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "list_text": "VARCHAR[]",
    "list_double": "DOUBLE[]",
    "map": "MAP(VARCHAR, VARCHAR)",
}

KINDS = ("llm", "embedding", "retriever", "reranker", "tool", "agent", "chain", "guardrail", "evaluator", "event")
MODEL_KINDS = ("llm", "embedding", "reranker")
ERROR_CLASSES = (
    "rate_limit", "timeout", "context_overflow", "provider_5xx", "content_filter", "invalid_output", "empty", "tool", "other",
)  # fmt: skip
RATERS = ("human", "judge", "user", "code", "unknown")


@dataclass(frozen=True)
class Field:
    """One column of a canonical table: its name, type (a key of ``ARROW``), unit, whether null is allowed, its meaning."""

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = True

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, ARROW[self.type], nullable=True)

    @property
    def sql(self) -> str:
        return SQL[self.type]


@dataclass(frozen=True)
class Table:
    """A canonical table: what one row is, its fields, what identifies a row, which fields decide between versions."""

    name: str
    grain: str
    fields: tuple[Field, ...]
    identity: tuple[str, ...]
    newest: tuple[str, ...] = ("updated_at",)
    partitioned: bool = False

    def __iter__(self):
        return iter(self.fields)

    def __contains__(self, name: str) -> bool:
        return any(f.name == name for f in self.fields)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.fields]

    def arrow(self) -> pa.Schema:
        """The Parquet schema of the table."""
        return pa.schema([f.arrow for f in self.fields])

    def empty(self) -> pa.Table:
        """A table with every column and no row."""
        return self.arrow().empty_table()

    def markdown(self) -> str:
        """The schema page of the table, one line a column."""
        head = (
            f"### {self.name}\n\nOne row per {self.grain}.\n\n| column | type | unit | null | meaning |\n|---|---|---|---|---|\n"
        )
        rows = (
            f"| {f.name} | {f.type} | {f.unit} | {'yes' if f.nullable else 'no'} | {f.meaning.replace('|', '/')} |\n"
            for f in self.fields
        )
        return head + "".join(rows)

    def problems(self, schema: pa.Schema) -> list[str]:
        """What is wrong with an Arrow schema that claims to be this table: missing columns and types that differ."""
        out = []
        for field in self.fields:
            at = schema.get_field_index(field.name)
            if at < 0:
                out.append(f"{self.name}.{field.name} is missing")
            elif schema.field(at).type != ARROW[field.type]:
                out.append(f"{self.name}.{field.name} is {schema.field(at).type}, not {ARROW[field.type]}")
        return out


def _fields(*rows: tuple) -> tuple[Field, ...]:
    return tuple(Field(*row) if len(row) > 3 else Field(row[0], row[1], row[2]) for row in rows)


SPANS = Table(
    "spans",
    "span (Langfuse observation, LangSmith run, OpenTelemetry span, one logged LLM call)",
    _fields(
        ("trace_id", "text", "the request this span belongs to", "", False),
        ("span_id", "text", "unique within source, project and trace", "", False),
        ("parent_id", "text", "span_id of the caller; null at the root, an orphan keeps its parent id"),
        ("kind", "text", "one of " + ", ".join(KINDS)),
        ("name", "text", "what the application called the step"),
        ("trace_name", "text", "what the application called the request"),
        ("start_time", "timestamp", "start", "UTC"),
        ("end_time", "timestamp", "end; null while the span is open", "UTC"),
        ("latency_ms", "double", "end - start, recomputed where both exist", "ms"),
        ("ttft_ms", "double", "first token - start", "ms"),
        ("status", "text", "ok or error"),
        ("error_class", "text", "one of " + ", ".join(ERROR_CLASSES)),
        ("error_message", "text", "as reported"),
        ("model_requested", "text", "the model asked for"),
        ("model", "text", "the model that answered (resolved snapshot)"),
        ("provider", "text", "normalised provider"),
        ("model_params", "json", "temperature, max_tokens and the like, as JSON text"),
        ("prompt_name", "text", "name of the managed prompt"),
        ("prompt_version", "text", "version of the managed prompt, as text"),
        ("system_prompt_hash", "text", "XXH3 hash of the rendered system prompt"),
        ("input_chars", "int", "length of the input", "characters"),
        ("output_chars", "int", "length of the output", "characters"),
        ("tokens_in", "int", "input tokens, cached ones included", "tokens"),
        ("tokens_out", "int", "output tokens, reasoning included", "tokens"),
        ("tokens_cache_read", "int", "part of tokens_in read from the prompt cache", "tokens"),
        ("tokens_cache_write", "int", "part of tokens_in written to the prompt cache", "tokens"),
        ("tokens_reasoning", "int", "part of tokens_out spent on reasoning", "tokens"),
        (
            "usage_flag",
            "text",
            "why the counts or the cost need care: total_mismatch, cache_exceeds_input, cache_counted_twice, negative; else null",
        ),
        ("cost_recorded_usd", "double", "what the source said", "USD"),
        ("cost_list_usd", "double", "what the dated price table says", "USD"),
        ("cost_usd", "double", "the one used: recorded where there is one, else list", "USD"),
        ("cost_source", "text", "recorded, list or none"),
        ("price_version", "text", "the price row behind cost_list_usd: table, version, provider/model, valid from"),
        ("price_reason", "text", "why there is no list price; null where there is one or none is due"),
        ("request_id", "text", "retries of one request share it"),
        ("provider_request_id", "text", "the provider's id of the call"),
        ("attempt", "int", "1 for the first try"),
        ("input_hash", "text", "as logged, else XXH3 hash of the input"),
        ("output_hash", "text", "as logged, else XXH3 hash of the output"),
        ("turn", "int", "turn within its session, from 1"),
        ("response_cached", "bool", "answered from a response cache"),
        ("finish_reason", "text", "stop, length, tool_calls, content_filter, error, or the provider's word"),
        ("feature", "text", "product feature"),
        ("tenant_id", "text", "customer account"),
        ("user_id", "text", "end user"),
        ("user_tier", "text", "plan of the end user"),
        ("session_id", "text", "conversation"),
        ("environment", "text", "production, staging and the like"),
        ("release", "text", "release of the application"),
        ("app_version", "text", "version of the component"),
        ("locale", "text", "language or region of the user"),
        ("tags", "list_text", "labels"),
        ("metadata", "map", "every other key; nested values as JSON text"),
        ("retrieval_ids", "list_text", "ids of the retrieved documents, best first"),
        ("retrieval_scores", "list_double", "their scores"),
        ("retrieval_index_version", "text", "version of the index searched"),
        ("tool_name", "text", "tool called"),
        ("guardrails", "json", "list of {stage, action, dimension, policy} as JSON text"),
        ("is_root", "bool", "has no parent"),
        ("source", "text", "langfuse, langsmith, otel, …", "", False),
        ("project", "text", "project in the source; empty text where the source has none", "", False),
        ("source_url", "text", "opens the trace in its product"),
        ("updated_at", "timestamp", "the source's, else end_time, else start_time", "UTC"),
        ("day", "date", "UTC date of the first seen start_time, 1970-01-01 if unknown; never changes", "", False),
        ("own", "map", "own values of the columns that the rest of the trace overruled (inherited or rolled up); else null"),
    ),
    identity=("source", "project", "trace_id", "span_id"),
    newest=("updated_at", "end_time"),
    partitioned=True,
)

PAYLOADS = Table(
    "payloads",
    "span that has a text",
    _fields(
        ("trace_id", "text", "as in spans", "", False),
        ("span_id", "text", "as in spans", "", False),
        ("source", "text", "as in spans", "", False),
        ("project", "text", "as in spans", "", False),
        ("input", "text", "what went in (JSON text or plain)"),
        ("output", "text", "what came out (JSON text or plain)"),
        ("system_prompt", "text", "rendered system prompt"),
        ("updated_at", "timestamp", "as in spans", "UTC"),
        ("end_time", "timestamp", "as in spans", "UTC"),
        ("day", "date", "as in spans", "", False),
    ),
    identity=SPANS.identity,
    newest=SPANS.newest,
    partitioned=True,
)

SCORES = Table(
    "scores",
    "judgement of a trace, span or session",
    _fields(
        ("score_id", "text", "unique within source and project", "", False),
        ("trace_id", "text", "what was judged"),
        ("span_id", "text", "null when the whole trace or session was judged"),
        ("session_id", "text", "set when a session was judged, or known from the trace"),
        ("name", "text", "name of the score", "", False),
        ("value", "double", "numeric value; 1 and 0 for true and false"),
        ("label", "text", "categorical or text value"),
        ("data_type", "text", "numeric, boolean, categorical or text"),
        ("rater", "text", "one of " + ", ".join(RATERS)),
        ("rater_id", "text", "who, or which evaluator"),
        ("judge_model", "text", "model of the judge"),
        ("judge_version", "text", "version of the judge"),
        ("comment", "text", "reasoning or note"),
        ("created_at", "timestamp", "when it was given", "UTC"),
        ("updated_at", "timestamp", "when it last changed", "UTC"),
        ("source", "text", "as in spans", "", False),
        ("project", "text", "as in spans", "", False),
        ("stratum", "text", "stratum of a designed sample"),
        ("inclusion_prob", "double", "probability with which it was drawn", "rate"),
        ("metadata", "map", "every other key"),
        ("day", "date", "UTC date of the first seen created_at, 1970-01-01 if unknown", "", False),
    ),
    identity=("source", "project", "score_id"),
    newest=("updated_at", "created_at"),
    partitioned=True,
)

CORRECTIONS = Table(
    "corrections",
    "corrected answer that a human gave",
    _fields(
        ("correction_id", "text", "unique within source and project", "", False),
        ("trace_id", "text", "what was corrected"),
        ("span_id", "text", "null when the trace's answer was corrected"),
        ("expected", "text", "the right answer"),
        ("rater_id", "text", "who"),
        ("comment", "text", "note"),
        ("created_at", "timestamp", "when it was given", "UTC"),
        ("updated_at", "timestamp", "when it last changed", "UTC"),
        ("source", "text", "as in spans", "", False),
        ("project", "text", "as in spans", "", False),
    ),
    identity=("source", "project", "correction_id"),
)

TRACE_FACTS = Table(
    "trace_facts",
    "trace that a source describes apart from its spans",
    _fields(
        ("trace_id", "text", "the trace", "", False),
        ("source", "text", "as in spans", "", False),
        ("project", "text", "as in spans", "", False),
        ("trace_name", "text", "as in spans"),
        ("user_id", "text", "as in spans"),
        ("session_id", "text", "as in spans"),
        ("environment", "text", "as in spans"),
        ("release", "text", "as in spans"),
        ("app_version", "text", "as in spans"),
        ("tags", "list_text", "as in spans"),
        ("metadata", "map", "as in spans"),
        ("input", "text", "input of the trace"),
        ("output", "text", "output of the trace"),
        ("start_time", "timestamp", "start of the trace", "UTC"),
        ("updated_at", "timestamp", "when it last changed", "UTC"),
    ),
    identity=("source", "project", "trace_id"),
)

SERIES = Table(
    "series",
    "value of an outside measure at a time (NPS, CSAT, tickets, deflections)",
    _fields(
        ("name", "text", "name of the measure", "", False),
        ("time", "timestamp", "when it was measured", "UTC", False),
        ("value", "double", "the value"),
        ("n", "double", "how many answers stand behind it"),
        ("dimensions", "map", "what it was measured for"),
    ),
    identity=("name", "time", "dimensions"),
    newest=(),
)

PROMPTS = Table(
    "prompts",
    "version of a managed prompt",
    _fields(
        ("name", "text", "name of the prompt", "", False),
        ("version", "text", "its version", "", False),
        ("template", "text", "its text before variables are filled in"),
        ("first_seen", "timestamp", "first use or registration", "UTC"),
        ("last_seen", "timestamp", "last use", "UTC"),
        ("author", "text", "who registered it"),
    ),
    identity=("name", "version"),
    newest=("last_seen", "first_seen"),
)

CHANGES = Table(
    "changes",
    "change to the application that somebody logged",
    _fields(
        ("at", "timestamp", "when it went live", "UTC", False),
        ("kind", "text", "release, prompt, model, index, experiment, …"),
        ("ref", "text", "what changed"),
        ("note", "text", "why"),
        ("author", "text", "who"),
    ),
    identity=("at", "kind", "ref"),
    newest=(),
)

QUARANTINE = Table(
    "quarantine",
    "record that could not be read",
    _fields(
        ("record_id", "text", "md5 of file name, line and text", "", False),
        ("file", "text", "where it stood", "", False),
        ("line", "int", "its line or row, from 1", ""),
        ("format", "text", "the format it was read as"),
        ("reason", "text", "why it was not kept", "", False),
        ("raw", "text", "the text as it stood"),
    ),
    identity=("record_id",),
    newest=(),
)

TABLES = {t.name: t for t in (SPANS, PAYLOADS, SCORES, CORRECTIONS, TRACE_FACTS, SERIES, PROMPTS, CHANGES, QUARANTINE)}

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
