"""Declarative columns: where a canonical column stands in a source's record, and the SQL that reads it.

A source declares one list of :class:`Column` per record shape. Records reach the engine as one text column per top-level
field (nested values as JSON text), so one compiled SELECT serves the fast path and the line-by-line path alike:
there is no second mapping that could drift from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import MappingError
from .schema import SQL, draft_fields

# A list of one and a lambda stand for "compute once, use often": a macro repeats its argument wherever it is named.
MACROS = """
CREATE OR REPLACE MACRO llm_blank(x) AS CASE WHEN x = '' THEN NULL ELSE x END;
CREATE OR REPLACE MACRO llm_epoch(v) AS list_transform([v], lambda n: CASE
  WHEN abs(n) < 1e11 THEN make_timestamptz((n * 1e6)::BIGINT)
  WHEN abs(n) < 1e14 THEN make_timestamptz((n * 1e3)::BIGINT)
  WHEN abs(n) < 1e17 THEN make_timestamptz(n::BIGINT)
  ELSE make_timestamptz((n // 1000)::BIGINT) END)[1];
CREATE OR REPLACE MACRO llm_time_raw(x) AS coalesce(
  TRY_CAST(x AS TIMESTAMPTZ), TRY(llm_epoch(CASE WHEN NOT contains(x, '.') THEN TRY_CAST(x AS HUGEINT) END)),
  TRY(llm_epoch(TRY_CAST(x AS DOUBLE))));
CREATE OR REPLACE MACRO llm_time(x) AS list_filter([llm_time_raw(x)], lambda t:
  t >= TIMESTAMPTZ '1970-01-01 00:00:00+00' AND t < TIMESTAMPTZ '2200-01-01 00:00:00+00')[1];
CREATE OR REPLACE MACRO llm_number(x) AS CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) THEN TRY_CAST(x AS DOUBLE) END;
CREATE OR REPLACE MACRO llm_bool(x) AS CASE WHEN lower(x) IN ('true', '1', 't', 'yes', '1.0') THEN true
  WHEN lower(x) IN ('false', '0', 'f', 'no', '0.0') THEN false END;
CREATE OR REPLACE MACRO llm_object(x) AS CASE WHEN ltrim(x)[1] = '{' AND json_valid(x) THEN x END;
CREATE OR REPLACE MACRO llm_array(x) AS CASE WHEN ltrim(x)[1] = '[' AND json_valid(x) THEN x END;
CREATE OR REPLACE MACRO llm_texts(x) AS CASE WHEN llm_array(x) IS NOT NULL THEN from_json(x, '["VARCHAR"]')
  WHEN x IS NULL OR x = '' THEN NULL ELSE [x] END;
CREATE OR REPLACE MACRO llm_numbers(x) AS list_transform(llm_texts(x), lambda v: llm_number(v));
CREATE OR REPLACE MACRO llm_map(x) AS CASE WHEN x = '{}' OR x IS NULL THEN NULL ELSE coalesce(
  TRY(CAST(CAST(llm_object(x) AS JSON) AS MAP(VARCHAR, VARCHAR))),
  TRY(map_from_entries(list_transform(list_distinct(json_keys(llm_object(x))),
    lambda k: {'k': k, 'v': json_extract_string(x, CASE k WHEN '*' THEN '/*' ELSE concat('$."', replace(k, '"', '\\"'), '"') END)}))),
  CASE WHEN llm_object(x) IS NULL AND x <> '' THEN MAP {'value': x} END) END;
"""

_READERS = {
    "text": "llm_blank({x})",
    "json": "llm_blank({x})",
    "timestamp": "llm_time({x})",
    "date": "llm_time({x})::DATE",
    "double": "llm_number({x})",
    "int": "TRY_CAST(round(llm_number({x})) AS BIGINT)",
    "bool": "llm_bool({x})",
    "list_text": "llm_texts({x})",
    "list_double": "llm_numbers({x})",
    "map": "llm_map({x})",
}
_NOUNS = {"timestamp": "a time", "date": "a day", "double": "a number", "int": "a number"}
_SCALE_TO_MS = {"s": "1000.0", "ms": "1", "us": "0.001", "ns": "0.000001"}

Path = str | tuple


@dataclass(frozen=True)
class Column:
    """One canonical (or new) column of a record shape.

    ``path`` is dotted (``"metadata.team"``), or a tuple of exact keys where keys hold dots; ``also`` are further places,
    tried in order until one is not missing. ``type`` is a key of ``schema.ARROW`` and defaults to the canonical column's
    (text for a new one). ``unit`` (s, ms, us, ns) converts a duration to milliseconds. ``values`` renames words of the
    source (compared in lower case); a word not in it becomes ``other`` or, where that is None, stays. ``sql`` replaces all
    that by an expression over the record's top-level fields (each a text column) for the few rules no path can say;
    ``needs`` lists those fields, and ``given`` names expressions over them that it uses, computed once for all columns.
    """

    name: str
    path: Path | None = None
    also: Sequence[Path] = ()
    type: str | None = None
    unit: str | None = None
    values: Mapping[str, str] | None = None
    other: str | None = None
    default: str | None = None
    sql: str | None = None
    needs: Sequence[str] = field(default=())
    given: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self):
        if self.type is not None and self.type not in SQL:
            raise MappingError(f"column {self.name!r}: type={self.type!r} is not known; choose one of: {', '.join(SQL)}")
        if self.unit is not None and self.unit not in _SCALE_TO_MS:
            raise MappingError(f"column {self.name!r}: unit={self.unit!r} is not known; choose one of: {', '.join(_SCALE_TO_MS)}")

    @property
    def paths(self) -> list[tuple]:
        """Every place to look, as tuples of keys."""
        return [tuple(p.split(".")) if isinstance(p, str) else tuple(p) for p in (self.path, *self.also) if p]

    def type_in(self, table: str) -> str:
        known = draft_fields(table).get(self.name)
        return self.type or (known.type if known else "text")


def quote(name: str) -> str:
    """A quoted SQL identifier; any text is safe in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted SQL string; any text is safe in it."""
    return "'" + text.replace("'", "''") + "'"


def json_path(keys: Iterable) -> str:
    """The JSON path of a chain of keys, each taken as it stands; an integer is a list index.

    The engine takes a quoted star for a wildcard; a JSON pointer, which has none, stands for such a path.
    """
    keys = list(keys)
    if "*" in keys:
        return "".join("/" + str(k).replace("~", "~0").replace("/", "~1") for k in keys)
    steps = (f"[{k}]" if isinstance(k, int) else '."' + str(k).replace("\\", "\\\\").replace('"', '\\"') + '"' for k in keys)
    return "$" + "".join(steps)


def fields_of(columns: Sequence[Column]) -> list[str]:
    """The top-level fields of a record that a list of columns reads."""
    seen = dict.fromkeys(k[0] for c in columns for k in c.paths)
    seen.update(dict.fromkeys(n for c in columns for n in c.needs))
    return list(seen)


def compile_select(
    columns: Sequence[Column], table: str, relation: str, *, passing: Sequence[str] = (), required: Sequence[str] = ()
) -> str:
    """SELECT of the drafted columns from ``relation``, whose columns are the record's fields as text.

    The result has one column per name in ``columns``, those in ``passing`` as they are, and ``_reason``: null, or why the
    row cannot be kept: a ``required`` column is missing, or a time or number is none (the first one, with its value).
    """
    nested = _nested(columns)
    inner = ["*"]
    for at, (top, keys) in enumerate(nested.items()):
        paths = ", ".join(literal(json_path(k)) for k in keys)
        inner.append(f"json_extract_string(llm_object({quote(top)}), [{paths}]) AS _n{at}")
    given = {name: sql for column in columns for name, sql in column.given.items()}
    inner += [f"{sql} AS {quote(name)}" for name, sql in given.items()]
    outer, reasons = [], []
    for column in columns:
        value, reason = _column_sql(column, column.type_in(table), nested)
        outer.append(f"{value} AS {quote(column.name)}")
        reasons.extend(reason)
        if column.name in required:
            named = ".".join(str(k) for k in column.paths[0]) if column.paths else column.name
            reasons.append(f"CASE WHEN ({value}) IS NULL THEN {literal('no ' + named)} END")
    outer.extend(quote(p) for p in passing)
    outer.append(f"coalesce({', '.join(reasons)}, NULL::VARCHAR) AS _reason" if reasons else "NULL::VARCHAR AS _reason")
    return f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {relation})"


def _nested(columns: Sequence[Column]) -> dict[str, list[tuple]]:
    nested: dict[str, list[tuple]] = {}
    for column in columns:
        for keys in column.paths:
            if len(keys) > 1 and keys[1:] not in nested.setdefault(keys[0], []):
                nested[keys[0]].append(keys[1:])
    return {top: keys for top, keys in nested.items() if keys}


def _raw(keys: tuple, nested: dict[str, list[tuple]]) -> str:
    if len(keys) == 1:
        return quote(keys[0])
    return f"_n{list(nested).index(keys[0])}[{nested[keys[0]].index(keys[1:]) + 1}]"


def _column_sql(column: Column, kind: str, nested) -> tuple[str, list[str]]:
    if column.sql is not None:
        return f"({column.sql})", []
    raws = [f"llm_blank({_raw(keys, nested)})" for keys in column.paths]
    text = f"coalesce({', '.join(raws)}, NULL::VARCHAR)" if raws else "NULL::VARCHAR"
    if column.values is not None:
        cases = " ".join(f"WHEN {literal(k.lower())} THEN {literal(v)}" for k, v in column.values.items())
        rest = literal(column.other) if column.other is not None else text
        text = f"CASE WHEN {text} IS NULL THEN NULL ELSE CASE lower({text}) {cases} ELSE {rest} END END"
    value = _READERS[kind].format(x=text)
    if column.unit:
        value = f"({value}) * {_SCALE_TO_MS[column.unit]}"
    reasons = []
    if kind in _NOUNS:
        where = literal(f"{'.'.join(str(k) for k in column.paths[0]) if column.paths else column.name} is not {_NOUNS[kind]}: ")
        bad = f"llm_time({text})" if kind in ("timestamp", "date") else f"TRY_CAST({text} AS DOUBLE)"
        reasons.append(f"CASE WHEN {text} IS NOT NULL AND {bad} IS NULL THEN {where} || left({text}, 80) END")
    if column.default is not None:
        value = f"coalesce({value}, {_READERS[kind].format(x=literal(column.default))})"
    return value, reasons
