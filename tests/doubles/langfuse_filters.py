"""Filters of the Langfuse API: the JSON conditions of ``filter`` and of a metrics query."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import orjson

from .langfuse_wire import Bad, when

Test = Callable[[object], bool]
_ORDER = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
_TEXT = {
    "=": operator.eq,
    "contains": lambda have, want: want in have,
    "does not contain": lambda have, want: want not in have,
    "starts with": lambda have, want: have.startswith(want),
    "ends with": lambda have, want: have.endswith(want),
    "matches": lambda have, want: want.lower() in have.lower(),
}
_SETS = {
    "any of": lambda have, want: bool(_set(have) & set(want)),
    "none of": lambda have, want: not _set(have) & set(want),
    "all of": lambda have, want: set(want) <= _set(have),
}
_NULL = {"is null": lambda have, want: have in (None, ""), "is not null": lambda have, want: have not in (None, "")}
OPERATORS = {
    "datetime": _ORDER,
    "number": {"=": operator.eq, **_ORDER},
    "string": _TEXT,
    "stringObject": _TEXT,
    "stringOptions": {k: _SETS[k] for k in ("any of", "none of")},
    "arrayOptions": _SETS,
    "boolean": {"=": operator.eq, "<>": operator.ne},
    "null": _NULL,
}
_TRUE_OF_NOTHING = ("none of", "<>", "does not contain")


def _set(have: object) -> set:
    return set(have) if isinstance(have, (list, tuple)) else {have}


def parsed(text: str | None) -> list[dict]:
    """The conditions of a ``filter`` parameter; none without one. Raises Bad for what is no JSON list of objects."""
    if not text:
        return []
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Bad("Invalid JSON in filter parameter") from None
    if not isinstance(told, list) or not all(isinstance(c, dict) for c in told):
        raise Bad("filter: Invalid input: expected array")
    return told


def tests(told: list[dict], columns: Mapping[str, Callable]) -> list[Test]:
    """One test of a row per condition. Raises Bad for an unknown type, column or operator."""
    return [_test(c, columns) for c in told]


def _test(told: dict, columns: Mapping[str, Callable]) -> Test:
    kind, column, name, want = (told.get(k) for k in ("type", "column", "operator", "value"))
    if kind not in OPERATORS:
        raise Bad(f"filter: unknown type {kind!r}")
    if name not in OPERATORS[kind]:
        raise Bad(f"filter: unknown operator {name!r} for {kind}")
    if column not in columns:
        raise Bad(f"Invalid filter column {column}. Must be one of {', '.join(columns)}")
    if kind == "datetime":
        want = when(want, f"filter {column}")
    if OPERATORS[kind] is _SETS or kind == "stringOptions":
        want = tuple(want or ())
    get, key, compare = columns[column], told.get("key"), OPERATORS[kind][name]

    def test(row) -> bool:
        have = get(row)
        if kind == "stringObject":
            have = (have or {}).get(key)
        return compare(have, want) if have is not None or kind == "null" else name in _TRUE_OF_NOTHING

    return test
