"""Helicone requests: one request is one span of a trace of its own; sessions, properties, feedback and scores come with it.

A status of 400 and above is an error, and the zeros that such a request counts are missing. A negative status (pending,
cancelled) is neither: it is left open. The thumb is the end user's; who gave a named score is not said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import chat, reading
from ..base import Bad, Format, Head, Input, Record, Shape
from .columns import REQUEST, SCORE

SESSION = {"Helicone-Session-Id": "_session_id", "Helicone-Session-Path": "_path", "Helicone-Session-Name": "_session_name"}
NO_ID = "00000000-0000-0000-0000-000000000000"
EXTRAS = ("country_code", "helicone_user", "target_url", "response_status")
IN_PARTS = ("prompt_cache_read_tokens", "prompt_cache_write_tokens", "prompt_audio_tokens")
OUT_PARTS = ("reasoning_tokens", "completion_audio_tokens")
COUNTS = {
    "_tokens_in": "prompt_tokens",
    "_tokens_out": "completion_tokens",
    "_tokens_total": "total_tokens",
    "_tokens_cache_read": "prompt_cache_read_tokens",
    "_tokens_cache_write": "prompt_cache_write_tokens",
    "_tokens_reasoning": "reasoning_tokens",
}


def is_request(row: dict) -> bool:
    """Whether a record is a HeliconeRequest."""
    return "request_id" in row and "request_created_at" in row


def sniff(head: Head) -> bool:
    """Requests, plain or under ``data``, or a CSV of them."""
    found = [v for v in head.values if isinstance(v, dict)] or [dict.fromkeys(head.header)]
    return any(is_request(v) for v in found)


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """A span per request and its scores; a request without an id is bad."""
    for one in reading.rows(item, head):
        if isinstance(one, Bad):
            yield one
        elif chat.word(one[1].get("request_id")) is None:
            yield Bad(one[0], "not a Helicone request: no request_id", chat.raw(one[1]))
        else:
            made = enrich(one[1])
            yield Record("request", one[0], made)
            yield from (Record("score", one[0], s) for s in scores(made))


def enrich(row: dict) -> dict:
    """The request with its ``_`` keys."""
    asked, answer = chat.mapping(row.get("request_body")), chat.mapping(row.get("response_body"))
    given = {**chat.mapping(row.get("request_properties")), **chat.mapping(row.get("properties"))}
    status = chat.number(row.get("response_status"))
    failed = status is not None and status >= 400
    error = answer.get("error")
    return {
        **row,
        "request_id": chat.word(row.get("request_id")),
        **{ours: chat.word(given.get(theirs)) for theirs, ours in SESSION.items()},
        **_usage(row, failed),
        "_kind": _kind(row, asked),
        "_status": None if status is None or status < 0 else "error" if failed else "ok",
        "_error_type": f"{status:.0f}" if failed else None,
        "_error_message": chat.first(chat.word(error), chat.word(chat.mapping(error).get("message"))) if failed else None,
        "_model": chat.first(chat.answered_model(answer), chat.word(row.get("model"))),
        "_model_params": chat.params(asked),
        "_system_prompt": chat.system_prompt(asked),
        "_input": chat.asked(asked) or _text(row.get("request_body")),
        "_output": chat.first(chat.answer(answer), answer or None, _text(row.get("response_body"))),
        "_cost": _cost(row, failed),
        "_provider_request_id": chat.first(chat.provider_id(answer), chat.word(row.get("response_id"))),
        "_response_cached": _cached(row),
        "_finish_reason": chat.finish_reason(answer),
        "_properties": given,
        "_metadata": _metadata(row, given),
    }


def _text(body: Any) -> str | None:
    return body if isinstance(body, str) and body not in ("", "{}", "null") else None


def _kind(row: dict, asked: dict) -> str:
    path = (chat.word(row.get("request_path")) or "").lower()
    if "/embeddings" in path or path.endswith(":embedcontent"):
        return "embedding"
    if "/rerank" in path:
        return "reranker"
    return {"tool": "tool", "vector_db": "retriever"}.get(chat.word(asked.get("_type")), "llm")


def _usage(row: dict, failed: bool) -> dict:
    """Counts as reported; those of a failed request only where they are not all zero."""
    counts = {ours: chat.count(row.get(theirs)) for ours, theirs in COUNTS.items()}
    if failed and not any(counts.values()):
        return {}
    sums = {"_tokens_in_parts": _sum(row, IN_PARTS), "_tokens_out_parts": _sum(row, OUT_PARTS)}
    return {**counts, **sums}


def _sum(row: dict, names: tuple[str, ...]) -> int | None:
    found = [n for n in (chat.count(row.get(k)) for k in names) if n is not None]
    return sum(found) if found else None


def _cost(row: dict, failed: bool) -> float | int | None:
    found = chat.first(*(chat.number(row.get(k)) for k in ("costUSD", "cost")))
    return None if failed and found == 0 else found


def _cached(row: dict) -> bool | None:
    """Whether another request's answer was given; not known where the field is missing."""
    reference = chat.word(row.get("cache_reference_id"))
    return None if reference is None else reference != NO_ID


def _metadata(row: dict, given: dict) -> dict | None:
    kept = {k: v for k, v in given.items() if k not in ("Helicone-Session-Id", "Helicone-User-Id") and not chat.is_secret(k)}
    kept.update({k: row[k] for k in EXTRAS if row.get(k) is not None})
    return {k: v for k, v in kept.items() if v not in (None, "")} or None


def scores(row: dict) -> Iterator[dict]:
    """The end user's thumb and the named scores of a request."""
    base = {k: row.get(k) for k in ("request_id", "_session_id")}
    thumb = chat.word(row.get("feedback_rating"))
    if thumb is not None:
        at = chat.first(row.get("feedback_created_at"), row.get("response_created_at"))
        made = {"score_id": chat.word(row.get("feedback_id")), "name": "feedback_rating", "data_type": "boolean", "rater": "user"}
        yield {**base, **made, "value": thumb, "created_at": at}
    for name, value in chat.mapping(row.get("scores")).items():
        inner = value.get("value") if isinstance(value, dict) else value
        if chat.word(inner) is not None:
            at = chat.first(row.get("response_created_at"), row.get("request_created_at"))
            yield {**base, "name": name, "value": chat.word(inner), "rater": "unknown", "created_at": at}


SHAPES = {"request": Shape("spans", REQUEST), "score": Shape("scores", SCORE)}
FORMATS = [Format("helicone.requests", "helicone", "requests of the API or the export tool", sniff, read, SHAPES)]
