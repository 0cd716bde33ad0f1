"""Observation rows in the words of the Langfuse API, serialised once for the field groups that are asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import orjson
import xxhash

from .langfuse_wire import iso, ms
from .traffic import SpanT, TraceT

TYPES = {"chain": "SPAN", "llm": "GENERATION", "retriever": "RETRIEVER", "tool": "TOOL"}
GROUPS = ("core", "basic", "time", "io", "metadata", "model", "usage", "prompt", "metrics", "trace_context")
METADATA_CHARS = 200
MAY_BE_JSON = tuple('{["-0123456789tfn \t\n')
# USD per token and bucket, of the models that have a price; the longer name first.
PRICES = {
    "gpt-4.1-mini": {"input": 0.4e-6, "input_cached_tokens": 0.1e-6, "output": 1.6e-6},
    "gpt-4.1": {"input": 2e-6, "input_cached_tokens": 0.5e-6, "output": 8e-6},
}


def priced(model: str | None) -> str | None:
    """The name of the price that a model has; None without one."""
    return next((name for name in PRICES if (model or "").startswith(name)), None)


def value(text: object) -> object:
    """A metadata value as the API gives it: text that is JSON is parsed, other text stays."""
    if not isinstance(text, str) or text[:1] not in MAY_BE_JSON:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def usage(span: SpanT) -> dict[str, int]:
    """Tokens in buckets that exclude each other, and their total; empty where none were counted."""
    if span.tokens_in is None and span.tokens_out is None:
        return {}
    cached, tokens_in, tokens_out = span.tokens_cache_read or 0, span.tokens_in or 0, span.tokens_out or 0
    held = {"input_cached_tokens": cached} if cached else {}
    return {"input": tokens_in - cached, **held, "output": tokens_out, "total": tokens_in + tokens_out}


def costs(span: SpanT) -> dict[str, float]:
    """USD per bucket where the model has a price, and the total; empty where nothing was priced."""
    if span.cost_usd is None:
        return {}
    price = PRICES.get(priced(span.model), {})
    parts = {k: round(n * price[k], 12) for k, n in usage(span).items() if k in price}
    return parts | {"total": round(span.cost_usd, 12)}


def seconds(start: datetime, end: datetime | None) -> float | None:
    """Seconds between two times, to the millisecond; None without an end."""
    return None if end is None else (ms(end) - ms(start)) / 1000


def decimal(price: float | None) -> str | None:
    """A price as text, as JavaScript's Decimal writes it: 0.000002, but 4e-7."""
    if price is None:
        return None
    told = Decimal(repr(price)).normalize()
    if told.adjusted() > -7:
        return format(told, "f")
    digits = "".join(map(str, told.as_tuple().digits))
    return f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{told.adjusted()}"


class Row:
    """One observation row. ``copy`` tells two rows of one observation apart; ``prompt`` is the (name, version) it used."""

    __slots__ = ("bodies", "copy", "created", "key", "project", "prompt", "span", "trace", "updated")

    def __init__(self, project: str, trace: TraceT, span: SpanT, *, prompt=None, copy: int = 0):
        self.project, self.trace, self.prompt, self.copy = project, trace, prompt, copy
        self.key = (ms(span.start), xxhash.xxh32_intdigest(span.trace_id.encode()), span.id, copy)
        self.created = span.arrived or span.start
        self.change(span, (span.arrived or span.end or span.start) + timedelta(seconds=3))

    def change(self, span: SpanT, updated: datetime) -> None:
        """The row says this from now on; its place in the order stays."""
        self.span, self.updated = span, updated
        self.bodies: dict[tuple[str, ...], bytes] = {}

    @property
    def stale(self) -> Row:
        """The row as it stood before the span had ended, for one that comes twice."""
        span = self.span
        open_ = replace(
            span, end=None, first_token=None, output=None, error=None,
            tokens_in=None, tokens_out=None, tokens_cache_read=None, cost_usd=None,
        )  # fmt: skip
        old = Row(self.project, self.trace, open_, prompt=self.prompt, copy=1 - self.copy)
        old.change(open_, self.created)
        return old

    def body(self, parts: tuple[str, ...]) -> bytes:
        """The parts as one JSON object, serialised once for each set of parts."""
        made = self.bodies.get(parts)
        if made is None:
            # A copy, because the serialiser's own buffer is larger than what is in it.
            made = self.bodies[parts] = bytes(memoryview(orjson.dumps(self.object(parts))))
        return made

    def object(self, parts: tuple[str, ...]) -> dict:
        """The parts as one object."""
        out: dict = {}
        for part in parts:
            out |= PARTS[part](self)
        return out

    def metadata(self, expand: frozenset[str] = frozenset()) -> dict:
        """Metadata with values cut to 200 characters, but those of the named keys."""
        told = self.trace.metadata
        cut = {k: v if k in expand or not isinstance(v, str) else v[:METADATA_CHARS] for k, v in told.items()}
        return {"metadata": {k: value(v) for k, v in cut.items()}}


def _core(row: Row) -> dict:
    s = row.span
    return {
        "id": s.id, "traceId": s.trace_id, "startTime": iso(s.start), "endTime": iso(s.end),
        "projectId": row.project, "parentObservationId": s.parent_id, "type": TYPES[s.kind],
    }  # fmt: skip


def _basic(row: Row) -> dict:
    s, t = row.span, row.trace
    return {
        "name": s.name, "level": "ERROR" if s.error else "DEFAULT", "statusMessage": s.error, "version": None,
        "environment": t.environment, "bookmarked": False, "public": False, "userId": t.user_id, "sessionId": t.session_id,
        "isRootObservation": s.parent_id is None,
    }  # fmt: skip


def _time(row: Row) -> dict:
    return {
        "completionStartTime": iso(row.span.first_token),
        "createdAt": iso(row.created),
        "updatedAt": iso(row.updated),
    }


def _model(row: Row) -> dict:
    name = priced(row.span.model)
    params = {"temperature": 0.2} if row.span.model else {}
    return {"model": row.span.model, "internalModelId": f"model-{name}" if name else None, "modelParameters": params}


def _usage(row: Row) -> dict:
    used, paid = usage(row.span), costs(row.span)
    tier = "Standard" if priced(row.span.model) and paid else None
    return {
        "usageDetails": used, "costDetails": paid, "totalCost": paid.get("total", 0), "usagePricingTierName": tier,
        "usagePricingTierId": tier and "tier-standard", "inputUsage": side(used, "input"), "outputUsage": side(used, "output"),
        "totalUsage": used.get("total", 0), "inputCost": side(paid, "input"), "outputCost": side(paid, "output"),
    }  # fmt: skip


def side(buckets: dict, name: str) -> float:
    """The sum of the buckets whose key holds a word, as Langfuse sums them."""
    return sum(v for k, v in buckets.items() if name in k)


def _prompt(row: Row) -> dict:
    name, version = row.prompt or (None, None)
    return {"promptId": f"prompt-{name}-{version}" if name else None, "promptName": name, "promptVersion": version}


def _tail(row: Row, *, model: bool, time: bool, metrics: bool) -> dict:
    """What comes whatever is asked for: prices without ``model`` are null, so is the first token without ``time`` or ``metrics``."""
    s = row.span
    latency, first = seconds(s.start, s.end), seconds(s.start, s.first_token)
    name = priced(s.model) if model else None
    price = PRICES.get(name, {})
    return {
        "modelId": f"model-{name}" if name else None, "inputPrice": decimal(price.get("input")),
        "outputPrice": decimal(price.get("output")), "totalPrice": None,
        "latency": (latency or None) if metrics else latency,
        "timeToFirstToken": (first or None) if metrics else first if time else None,
    }  # fmt: skip


def parts(groups: set[str], *, metadata: str = "metadata") -> tuple[str, ...]:
    """The parts that answer these field groups, with what comes whatever is asked for; ``metadata`` is cut or whole."""
    told = [metadata if g == "metadata" else g for g in GROUPS if g in groups and g != "metrics"]
    return (*told, "tail" + "".join("01"[g in groups] for g in ("model", "time", "metrics")))


PARTS = {
    "core": _core,
    "basic": _basic,
    "time": _time,
    "io": lambda row: {"input": row.span.input, "output": row.span.output},
    "metadata": Row.metadata,
    "metadata_whole": lambda row: row.metadata(frozenset(row.trace.metadata)),
    "model": _model,
    "usage": _usage,
    "prompt": _prompt,
    "trace_context": lambda row: {"tags": list(row.trace.tags), "release": row.trace.release, "traceName": row.trace.name},
} | {
    f"tail{m}{t}{x}": lambda row, m=m, t=t, x=x: _tail(row, model=bool(m), time=bool(t), metrics=bool(x))
    for m in (0, 1)
    for t in (0, 1)
    for x in (0, 1)
}
# What conditions and metrics read of a row.
COLUMNS = {
    "id": lambda r: r.span.id,
    "traceId": lambda r: r.span.trace_id,
    "parentObservationId": lambda r: r.span.parent_id,
    "type": lambda r: TYPES[r.span.kind],
    "name": lambda r: r.span.name,
    "startTime": lambda r: r.span.start,
    "endTime": lambda r: r.span.end,
    "level": lambda r: "ERROR" if r.span.error else "DEFAULT",
    "statusMessage": lambda r: r.span.error,
    "version": lambda r: None,
    "environment": lambda r: r.trace.environment,
    "userId": lambda r: r.trace.user_id,
    "sessionId": lambda r: r.trace.session_id,
    "isRootObservation": lambda r: r.span.parent_id is None,
    "traceName": lambda r: r.trace.name,
    "release": lambda r: r.trace.release,
    "traceTags": lambda r: r.trace.tags,
    "tags": lambda r: r.trace.tags,
    "model": lambda r: r.span.model,
    "providedModelName": lambda r: r.span.model,
    "promptName": lambda r: r.prompt and r.prompt[0],
    "promptVersion": lambda r: r.prompt and r.prompt[1],
    "latency": lambda r: seconds(r.span.start, r.span.end),
    "timeToFirstToken": lambda r: seconds(r.span.start, r.span.first_token),
    "inputTokens": lambda r: side(usage(r.span), "input"),
    "outputTokens": lambda r: side(usage(r.span), "output"),
    "totalTokens": lambda r: usage(r.span).get("total", 0),
    "totalCost": lambda r: costs(r.span).get("total"),
    "inputCost": lambda r: side(costs(r.span), "input"),
    "outputCost": lambda r: side(costs(r.span), "output"),
    "input": lambda r: r.span.input,
    "output": lambda r: r.span.output,
    "metadata": lambda r: r.trace.metadata,
}
