"""Values out of OpenTelemetry's encodings as plain JSON: typed attribute values, ids, times, dotted and indexed keys."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from ..reading import embedded

DEEPEST = 64
_CUT = "…"
_HEX = re.compile(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{32}")
_HEX_0X = re.compile(r"0[xX]([0-9a-fA-F]+)")
_BASE64_SIZES = {12: 8, 24: 16}
_INT64 = range(-(2**63), 2**63)


def plain(value: Any, depth: int = 0) -> Any:
    """Any value as plain JSON that every writer takes.

    Times become ISO text, bytes base64 text, NaN and infinities null, integers beyond 64 bits text; what is nested deeper
    than ``DEEPEST`` levels becomes "…".
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= DEEPEST:
        return _CUT
    if isinstance(value, dict):
        return {str(k): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, depth + 1) for v in value]
    return _foreign(value)


def opened(value: Any, otherwise: Any = None) -> Any:
    """An object or a list that may stand as JSON text; ``otherwise`` where the text is none, any other value as it is."""
    if isinstance(value, str):
        return plain(embedded(value, otherwise)) if value.lstrip()[:1] in ("{", "[") else otherwise
    return otherwise if value is None else value


def _foreign(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def any_value(value: Any, depth: int = 0) -> Any:
    """One OTLP ``AnyValue`` (camel or snake case) as plain JSON; an empty one is null, one without a type stays."""
    if not isinstance(value, dict):
        return plain(value, depth)
    if depth >= DEEPEST:
        return _CUT
    for key, given in value.items():
        read = _TYPED.get(key)
        if read is not None:
            return read(given, depth)
    return plain(value, depth) if value else None


def _int(given: Any, depth: int) -> Any:
    try:
        return plain(int(given) if isinstance(given, str) and len(given) < 40 else given, depth)
    except ValueError:
        return given


def _double(given: Any, depth: int) -> Any:
    return number(given) if isinstance(given, str) else plain(given, depth)


def _bool(given: Any, depth: int) -> Any:
    return {"true": True, "false": False}.get(given.lower()) if isinstance(given, str) else plain(given, depth)


def _array(given: Any, depth: int) -> Any:
    values = given.get("values") if isinstance(given, dict) else given
    return [any_value(v, depth + 1) for v in values] if isinstance(values, list) else []


def _kvlist(given: Any, depth: int) -> Any:
    return attributes(given.get("values") if isinstance(given, dict) else given, depth + 1)


_TYPED = {
    "stringValue": plain, "intValue": _int, "doubleValue": _double, "boolValue": _bool,
    "arrayValue": _array, "kvlistValue": _kvlist, "bytesValue": plain,
    "string_value": plain, "int_value": _int, "double_value": _double, "bool_value": _bool,
    "array_value": _array, "kvlist_value": _kvlist, "bytes_value": plain,
}  # fmt: skip


def attributes(given: Any, depth: int = 0) -> dict[str, Any]:
    """A dict of attributes out of OTLP's list of ``{key, value}`` or out of a plain dict; missing values are left out."""
    if isinstance(given, dict):
        return {k: v for k, v in plain(given, depth).items() if v is not None} if depth < DEEPEST else {}
    pairs = [p for p in given if isinstance(p, dict) and isinstance(p.get("key"), str)] if isinstance(given, list) else []
    found = ((p["key"], any_value(p.get("value"), depth)) for p in pairs)
    return {k: v for k, v in found if v is not None}


def hex_id(value: Any) -> str | None:
    """A trace or span id in lower-case hex without 0x, from hex, 0x-hex or base64; other text as it is; all zeros is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()
    if (prefixed := _HEX_0X.fullmatch(text)) is not None:
        text = prefixed.group(1).lower()
    elif _HEX.fullmatch(text):
        text = text.lower()
    else:
        text = _from_base64(text) or text
    return text if text.strip("0") else None


def _from_base64(text: str) -> str | None:
    size = _BASE64_SIZES.get(len(text))
    if size is None or text[-1] != "=":
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == size else None


def moment(value: Any) -> Any:
    """A time as it was given (text or number); 0, "0" and "" mean that there is none, as in a span that is still open."""
    if isinstance(value, (dict, list, bool)) or value in (None, 0, "0", ""):
        return None
    return plain(value)


def seconds(value: Any) -> float | None:
    """Epoch seconds of a time given as ISO text or as a count of seconds, ms, µs or ns (told by its size)."""
    count = number(value)
    if count is None:
        return _iso_seconds(value) if isinstance(value, str) else None
    for limit, scale in ((1e11, 1), (1e14, 1e3), (1e17, 1e6)):
        if abs(count) < limit:
            return count / scale
    return count / 1e9


def _iso_seconds(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def number(value: Any) -> float | None:
    """A finite number, also out of text; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text_of(value: Any) -> str | None:
    """Text that is not empty, numbers and booleans as text; else None."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def flatten(nested: dict, *, whole: Iterable[str], indexed: Iterable[str]) -> dict[str, Any]:
    """Nested attributes under dotted keys: ``{"llm": {"system": "x"}}`` -> ``{"llm.system": "x"}``.

    Keys in ``whole`` keep what they hold; lists stay lists but for those in ``indexed``, whose elements get ``key.N.…``.
    """
    return dict(_leaves(nested, "", frozenset(whole), frozenset(indexed)))


def _leaves(value: Any, path: str, whole: frozenset, indexed: frozenset) -> Iterator[tuple[str, Any]]:
    inside = any(path.startswith(f"{name}.") for name in indexed)
    if isinstance(value, dict) and path not in whole and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), whole, indexed)
    elif isinstance(value, list) and (path in indexed or (inside and any(isinstance(v, dict) for v in value))):
        for at, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{at}", whole, indexed)
    elif value is not None and path:
        yield path, value


def nest(flat: dict[str, Any], depth: int = 0) -> Any:
    """Dotted keys back into nested objects, numbered ones into lists: ``{"a.0.b": 1}`` -> ``{"a": [{"b": 1}]}``."""
    if list(flat) == [""]:
        return flat[""]
    if depth >= DEEPEST:
        return flat
    groups: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        head, _, rest = key.partition(".")
        groups.setdefault(head, {})[rest] = value
    inner = {head: nest(group, depth + 1) if "" not in group else group[""] for head, group in groups.items()}
    if inner and all(k.isdecimal() and k.isascii() for k in inner):
        return [inner[k] for k in sorted(inner, key=lambda k: (len(k), k))]
    return inner
