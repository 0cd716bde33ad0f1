"""LangSmith's filter language, as much of it as a pull may use: ``and(eq(status, "error"), gt(start_time, "2026-11-02"))``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .langsmith_rows import Run

TOKEN = re.compile(r"""\s*(?:([A-Za-z_]\w*)|(-?\d+(?:\.\d+)?(?:e-?\d+)?)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([(),\[\]]))""")
COMPARE = {
    "eq": operator.eq, "neq": operator.ne, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip
TIMES = ("start_time", "end_time")
RUN_FIELDS: dict[str, Callable[[Run], object]] = {
    "id": lambda r: r.id,
    "name": lambda r: r.name,
    "run_type": lambda r: r.kind,
    "status": lambda r: r.status,
    "start_time": lambda r: r.span.start,
    "end_time": lambda r: r.span.end,
    "latency": lambda r: r.seconds,
    "error": lambda r: r.span.error,
    "trace_id": lambda r: r.trace_id,
    "thread_id": lambda r: r.trace.session_id,
    "is_root": lambda r: not r.parents,
    "total_tokens": lambda r: r.tree.total,
    "total_cost": lambda r: r.tree.cost,
    "reference_example_id": lambda r: r.example,
}
FEEDBACK_FIELDS = ("feedback_key", "feedback_score", "feedback_source")
HELD = {
    "tags": lambda r: r.trace.tags,
    "metadata_key": lambda r: r.metadata.keys(),
    "metadata_value": lambda r: r.metadata.values(),
}

Test = Callable[[Run, Sequence], bool]


class BadFilter(ValueError):
    """The filter cannot be read; the text says where."""


@dataclass(frozen=True)
class Filter:
    """``test(run, feedback)`` says whether a run passes; what the rate limits and the windows must know of it beside."""

    test: Test
    feedback: bool = False
    search: bool = False
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Filter(lambda run, feedback: True)


def compiled(text: str | None) -> Filter:
    """The filter that a text means; none means everything. Raises BadFilter."""
    if not text:
        return EVERYTHING
    reader = _Reader(text)
    found = reader.condition()
    if reader.at != len(reader.tokens):
        raise BadFilter(f"unexpected {reader.tokens[reader.at][1]!r} in filter")
    return found


def instant(text: object) -> datetime:
    """A time of a request: ISO text, UTC where it names no zone. Raises BadFilter."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadFilter(f"invalid time {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class _Reader:
    """Reads one condition after the other; ``at`` is the token that comes next."""

    def __init__(self, text: str):
        self.tokens, self.at = _tokens(text), 0

    def condition(self) -> Filter:
        word = self._take("name")
        self._take("sign", "(")
        if word in ("and", "or", "not"):
            parts = [self.condition()]
            while self._next() == ("sign", ","):
                self._take("sign", ",")
                parts.append(self.condition())
            self._take("sign", ")")
            return _joined(word, parts)
        if word == "search":
            needle = str(self._value()).lower()
            self._take("sign", ")")
            return Filter(lambda run, feedback: needle in run.text.lower(), search=True)
        field = self._take("name")
        self._take("sign", ",")
        value = self._value()
        self._take("sign", ")")
        return _comparison(word, field, value)

    def _next(self) -> tuple[str, object]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "the end")

    def _take(self, kind: str, wanted: str | None = None) -> str:
        found = self._next()
        if found[0] != kind or (wanted is not None and found[1] != wanted):
            raise BadFilter(f"expected {wanted or kind} before {found[1]!r} in filter")
        self.at += 1
        return found[1]

    def _value(self) -> object:
        kind, value = self._next()
        self.at += 1
        if (kind, value) == ("sign", "["):
            values = []
            while self._next() != ("sign", "]"):
                values.append(self._value())
                if self._next() == ("sign", ","):
                    self.at += 1
            self.at += 1
            return values
        if kind == "name" and value in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[value]
        if kind not in ("text", "number"):
            raise BadFilter(f"expected a value before {value!r} in filter")
        return value


def _tokens(text: str) -> list[tuple[str, object]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise BadFilter(f"cannot read filter at {text[at : at + 20]!r}")
        name, number, double, single, sign = match.groups()
        if name or sign:
            found.append(("name" if name else "sign", name or sign))
        elif number:
            found.append(("number", float(number)))
        else:
            found.append(("text", re.sub(r"\\(.)", r"\1", double if double is not None else single)))
        at = match.end()
    return found


def _joined(word: str, parts: list[Filter]) -> Filter:
    tests = [p.test for p in parts]
    known = {"feedback": any(p.feedback for p in parts), "search": any(p.search for p in parts)}
    if word == "or":
        return Filter(lambda run, feedback: any(t(run, feedback) for t in tests), **known)
    if word == "not":
        return Filter(lambda run, feedback: not tests[0](run, feedback), **known)
    since = max((p.since for p in parts if p.since), default=None)
    until = min((p.until for p in parts if p.until), default=None)
    return Filter(lambda run, feedback: all(t(run, feedback) for t in tests), since=since, until=until, **known)


def _comparison(word: str, field: str, value: object) -> Filter:
    if word == "has" and field in HELD:
        return Filter(lambda run, feedback: value in HELD[field](run))
    if word == "in" and isinstance(value, list):
        parts = [_comparison("eq", field, v) for v in value]
        return _joined("or", parts)
    if word not in COMPARE:
        raise BadFilter(f"unknown operator {word!r} in filter")
    compare = COMPARE[word]
    if field in FEEDBACK_FIELDS:
        name = field.removeprefix("feedback_")
        return Filter(lambda run, feedback: any(_holds(compare, getattr(f, name), value) for f in feedback), feedback=True)
    if field in ("metadata_key", "metadata_value"):
        return Filter(lambda run, feedback: any(_holds(compare, v, value) for v in HELD[field](run)))
    if field not in RUN_FIELDS:
        raise BadFilter(f"unknown attribute {field!r} in filter")
    read = RUN_FIELDS[field]
    if field in ("run_type", "status"):
        value = str(value).lower()
    if field in TIMES:
        value = instant(value)
    bounds = {"gt": "since", "gte": "since", "lt": "until", "lte": "until"} if field == "start_time" else {}
    known = {bounds[word]: value} if word in bounds else {}
    return Filter(lambda run, feedback: _holds(compare, read(run), value), **known)


def _holds(compare: Callable, found: object, value: object) -> bool:
    """Whether a comparison holds; of what cannot be compared it does not."""
    try:
        return compare(found, value)
    except TypeError:
        return False
