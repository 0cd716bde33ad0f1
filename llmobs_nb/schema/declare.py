"""How a canonical table is declared: types in our words, a field, a table, the words that some columns are limited to."""

from __future__ import annotations

from dataclasses import dataclass

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
# Why a span was made, where it is not the product's own traffic.
PURPOSES = ("judging", "experiment", "platform")


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


def declared(*rows: tuple) -> tuple[Field, ...]:
    """Fields from rows of (name, type, meaning) or (name, type, meaning, unit, nullable)."""
    return tuple(Field(*row) for row in rows)
