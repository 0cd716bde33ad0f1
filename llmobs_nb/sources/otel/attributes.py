"""From one span to one record: everything that takes more than one path to read. Shared with phoenix and mlflow."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from . import columns
from .messages import DETAILS, texts
from .spans import Event, Span, object_of
from .values import flatten, nest, number, opened, seconds, text_of

_INDEX = re.compile(rf"({'|'.join(re.escape(n) for n in columns.INDEXED)})\.(\d{{1,9}})(?:\.(.*))?", re.S)
_SECRET = re.compile(
    r"api[._-]?key|secret|passw(?:or)?d|authorization|cookie|credential|private[._-]?key|(?:access|auth|bearer|refresh|id|session)[._-]?token",
    re.I,
)  # fmt: skip
LONGEST = 4_000
GUARDRAIL_EVENT = "gen_ai.guardrail.result"


def nested(attributes: Any) -> dict[str, Any]:
    """Attributes that may be nested, as dotted ones."""
    return flatten(object_of(attributes), whole=columns.WHOLE, indexed=columns.INDEXED)


def span_data(span: Span) -> dict[str, Any]:
    """The record of one span, which ``columns.SPAN`` reads."""
    attrs = {**_details(span.events), **span.attributes}
    groups, loose = indexed(attrs)
    said = texts(loose, groups, span.events)
    status, error_type, error_message, handled = outcome(span, loose)
    ids, scores = retrieved(loose, groups)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "start_time": span.start,
        "end_time": span.end,
        "kind": kind_of(loose, groups),
        "status": status,
        "error_type": error_type,
        "error_message": error_message,
        **said._asdict(),
        **first_token(span, loose),
        "model_params": model_params(loose) or None,
        "tokens_in_parts": _sum(loose, columns.IN_PARTS),
        "tokens_out_parts": _sum(loose, columns.OUT_PARTS),
        "cost_parts": _sum(loose, [(n,) for n in columns.COST_PARTS]),
        "retrieval_ids": ids,
        "retrieval_scores": scores,
        "tool_name": _traceloop_tool(loose),
        "guardrails": guardrails(span, loose),
        "tags": tags(loose),
        "attributes": {k: v for k, v in loose.items() if k not in columns.TEXTS},
        "resource": span.resource,
        "metadata": metadata(span, loose, handled),
    }


def _details(events: list[Event]) -> dict[str, Any]:
    """What the operation-details event says; it may carry the texts instead of the span."""
    found: dict[str, Any] = {}
    for event in events:
        if event.name == DETAILS:
            found.update({k: v for k, v in event.attributes.items() if k != "event.name"})
    return found


def indexed(attrs: dict[str, Any]) -> tuple[dict[str, dict[int, dict]], dict[str, Any]]:
    """(indexed attributes as ``{name: {N: {rest: value}}}`` in the order of N, all others).

    An indexed name may also hold a list, or JSON text of one.
    """
    groups: dict[str, dict[int, dict]] = {}
    loose = {}
    for key, value in attrs.items():
        found = _INDEX.fullmatch(key)
        if found is not None:
            groups.setdefault(found[1], {}).setdefault(int(found[2]), {})[found[3] or ""] = value
        elif key in columns.INDEXED and isinstance(items := opened(value), list):
            groups[key] = {n: _item(v) for n, v in enumerate(items)}
        else:
            loose[key] = value
    return {name: dict(sorted(items.items())) for name, items in groups.items()}, loose


def _item(value: Any) -> dict[str, Any]:
    return flatten(value, whole=(), indexed=()) if isinstance(value, dict) else {"": value}


def kind_of(attrs: dict, groups: dict) -> str:
    """The canonical kind: what the conventions say, else what the attributes are about, else chain."""
    words = (str(attrs.get(k, "")).lower() for k in columns.KIND_KEYS)
    said = next((columns.KINDS[w] for w in words if w in columns.KINDS), None)
    if said is not None:
        return said
    if any(k in attrs for k in columns.MODEL_KEYS):
        return "llm"
    if "embedding.model_name" in attrs:
        return "embedding"
    if "reranker.output_documents" in groups:
        return "reranker"
    if "retrieval.documents" in groups or "gen_ai.retrieval.documents" in attrs:
        return "retriever"
    return "tool" if "gen_ai.tool.name" in attrs or "tool.name" in attrs else "chain"


def outcome(span: Span, attrs: dict) -> tuple[str | None, str | None, str | None, str | None]:
    """(status, error type, error message, type of an exception that was handled).

    A span failed when its status says so, or when it has ``error.type`` and its status is unset. An exception event alone is
    no failure: the exception may have been handled.
    """
    exception = next((e.attributes for e in reversed(span.events) if e.name == "exception"), {})
    kind, text = text_of(exception.get("exception.type")), text_of(exception.get("exception.message"))
    failed = span.status == "error" or (span.status is None and text_of(attrs.get("error.type")) is not None)
    if not failed:
        return span.status, None, None, kind
    message = span.message or text_of(attrs.get("error.message")) or text or text_of(attrs.get("exception.message"))
    return "error", text_of(attrs.get("error.type")) or kind or text_of(attrs.get("exception.type")), message, None


def first_token(span: Span, attrs: dict) -> dict[str, Any]:
    """Time of the first token: the first chunk event, else duration less the time spent generating after it."""
    chunks = [e for e in span.events if _is_first_chunk(e.name) and seconds(e.time) is not None]
    if chunks:
        return {"first_token_time": min(chunks, key=lambda e: seconds(e.time)).time}
    start, end = seconds(span.start), seconds(span.end)
    rest = next((v for v in (number(attrs.get(n)) for n in columns.TIME_TO_GENERATE) if v is not None), None)
    if None in (start, end, rest) or not 0 <= rest <= end - start:
        return {}
    return {"ttft_s": round(end - start - rest, 6)}


def _is_first_chunk(name: str) -> bool:
    low = name.lower()
    return low in columns.CHUNK_EVENTS or ("first" in low and ("token" in low or "chunk" in low))


def model_params(attrs: dict) -> dict[str, Any]:
    """Request parameters under their usual names."""
    given = object_of(opened(attrs.get("llm.invocation_parameters")))
    params = {k: v for k, v in given.items() if k not in ("messages", "tools", "model", "input") and v is not None}
    params.update({name: attrs[key] for key, name in columns.MODEL_PARAMS.items() if attrs.get(key) is not None})
    return params


def _sum(attrs: dict, parts: Any) -> float | None:
    found = [
        v for names in parts if (v := next((x for x in (number(attrs.get(n)) for n in names) if x is not None), None)) is not None
    ]
    return sum(found) if found else None


def retrieved(attrs: dict, groups: dict) -> tuple[list | None, list | None]:
    """(ids, scores) of the retrieved documents, best first as they stand; null where none is known."""
    found = groups.get("reranker.output_documents") or groups.get("retrieval.documents")
    if found:
        documents = [object_of(_unwrapped(nest(flat))) for flat in found.values()]
    else:
        listed = opened(attrs.get("gen_ai.retrieval.documents"))
        documents = [object_of(d) for d in listed] if isinstance(listed, list) else []
    ids = [text_of(d.get("id")) for d in documents]
    scores = [number(d.get("score")) for d in documents]
    return ids if any(ids) else None, scores if any(s is not None for s in scores) else None


def _unwrapped(item: Any) -> Any:
    return item["document"] if isinstance(item, dict) and isinstance(item.get("document"), dict) else item


def _traceloop_tool(attrs: dict) -> str | None:
    return text_of(attrs.get("traceloop.entity.name")) if attrs.get("traceloop.span.kind") == "tool" else None


def guardrails(span: Span, attrs: dict) -> list[dict] | None:
    """Guardrail results as ``{stage, action, dimension, policy, …}``, from result events, else from the span itself."""
    told = [e.attributes for e in span.events if e.name == GUARDRAIL_EVENT]
    if not told and any(k.startswith("gen_ai.guardrail.") for k in attrs):
        told = [attrs]
    return [_guardrail(t) for t in told] or None


def _guardrail(attrs: dict) -> dict[str, Any]:
    found = {name: next((attrs[k] for k in keys if attrs.get(k) is not None), None) for name, keys in columns.GUARDRAIL.items()}
    return {k: v for k, v in found.items() if v is not None}


def tags(attrs: dict) -> list[str] | None:
    """Labels from ``tag.tags``, a list or JSON text of one."""
    given = opened(attrs.get("tag.tags"), attrs.get("tag.tags"))
    listed = given if isinstance(given, list) else [given]
    return [t for t in (text_of(v) for v in listed) if t] or None


def metadata(span: Span, attrs: dict, handled: str | None) -> dict[str, Any]:
    """Every attribute that no column reads and that holds no text, the resource's and the user's own metadata.

    The user's metadata (``metadata``, ``traceloop.association.properties.*``) stand under their own names and win. Values
    of names that say secret are masked, long texts are cut and counted.
    """
    found = {
        k: v for k, v in span.resource.items() if k not in columns.READ_OF_RESOURCE and not k.startswith(columns.SYSTEM_NOISE)
    }
    found.update({f"otel.scope.{k}": span.scope[k] for k in ("name", "version") if span.scope.get(k)})
    found.update({"exception.type": handled} if handled else {})
    found.update({k: v for k, v in attrs.items() if _is_extra(k)})
    for key, value in attrs.items():
        if key in columns.METADATA_KEYS:
            own = opened(value, value)
            found.update(own if isinstance(own, dict) else {key: own})
        elif key.startswith(columns.ASSOCIATION) or key.startswith("metadata."):
            found[key.removeprefix(columns.ASSOCIATION).removeprefix("metadata.")] = value
    return {k: safe_value(k, v) for k, v in found.items() if v is not None}


@lru_cache(maxsize=4096)
def _is_extra(key: str) -> bool:
    mine = key in columns.READ or key in columns.TEXTS or key in columns.METADATA_KEYS or key in columns.INDEXED
    return not mine and not key.startswith((columns.ASSOCIATION, "metadata.", "gen_ai.guardrail."))


def safe_value(key: str, value: Any) -> Any:
    """A metadata value without what its name calls secret, its texts not longer than ``LONGEST`` characters."""
    if _is_secret(key):
        return "…"
    if isinstance(value, dict):
        return {k: safe_value(k, v) for k, v in value.items()}
    if isinstance(value, list):
        return [safe_value(key, v) for v in value]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}… [{len(value) - LONGEST:,} characters more]"
    return value


@lru_cache(maxsize=4096)
def _is_secret(key: str) -> bool:
    return _SECRET.search(key) is not None
