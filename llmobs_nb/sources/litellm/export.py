"""LiteLLM files: what its loggers are given (StandardLoggingPayload) and what its proxy keeps (SpendLogs rows).

One call is one span. Keys and their hashes are never kept. ``completionStartTime`` of a call that was not streamed is its
end, which says nothing of a first token. A failed call logs no tokens and no cost, as zeros: they are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import chat, reading
from ..base import Bad, Format, Head, Input, Record, Shape
from .columns import CALL

KEYS = {
    "api_key", "user_api_key", "user_api_key_hash", "user_api_key_token", "user_api_key_auth", "token",
    "requester_custom_headers", "proxy_server_request",
}  # fmt: skip
DEPTH = 20
HAVE_COLUMNS = {
    "usage_object", "guardrail_information", "error_information", "prompt_management_metadata", "requester_metadata",
    "spend_logs_metadata", "additional_usage_values", "mcp_tool_call_metadata", "vector_store_request_metadata",
    "model_map_information", "cost_breakdown", "status", "batch_models", "usage", "session_id", "environment",
}  # fmt: skip
OWNERS = ("team_id", "organization_id", "user", "end_user", "requester_ip_address", "api_base", "model_id")
REDACTED = "redacted-by-litellm"
_ACTIONS = {"success": "allow", "blocked": "block", "guardrail_intervened": "block", "failure": "error", "not_run": "skip",
            "guardrail_failed_to_respond": "error"}  # fmt: skip


def is_payload(row: dict) -> bool:
    """Whether a record is a StandardLoggingPayload."""
    return "startTime" in row and "endTime" in row and "response_cost" in row and any(k in row for k in ("id", "trace_id"))


def is_spend(row: dict) -> bool:
    """Whether a record is a SpendLogs row."""
    return "request_id" in row and "spend" in row and ("startTime" in row or "call_type" in row)


def unwrapped(row: dict) -> dict:
    """The payload out of the callback's keyword arguments."""
    inner = row.get("standard_logging_object")
    return inner if isinstance(inner, dict) else row


def _sniff(head: Head, test) -> bool:
    found = [unwrapped(v) for v in head.values if isinstance(v, dict)] or [dict.fromkeys(head.header)]
    return any(test(v) for v in found)


def sniff_payload(head: Head) -> bool:
    return _sniff(head, is_payload)


def sniff_spend(head: Head) -> bool:
    return _sniff(head, is_spend)


def read(item: Input, head: Head) -> Iterator[Record | Bad]:
    """A record per call; what is neither a payload nor a spend log is bad."""
    for one in reading.rows(item, head):
        if isinstance(one, Bad):
            yield one
            continue
        row = keyless(unwrapped(one[1]))
        if is_payload(row) or is_spend(row):
            yield Record("call", one[0], enrich(row))
        else:
            yield Bad(one[0], "neither a StandardLoggingPayload (startTime, response_cost) nor a SpendLogs row", chat.raw(row))


def keyless(row: dict) -> dict:
    """The record without API keys and their hashes, its notes on every level, JSON text included."""
    kept = {k: v for k, v in row.items() if k not in KEYS}
    return {**kept, **{k: _keyless(chat.mapping(kept[k]), 0) for k in ("metadata", "hidden_params") if kept.get(k)}}


def _keyless(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        return None
    if isinstance(value, list):
        return [_keyless(v, depth + 1) for v in value]
    return {k: _keyless(v, depth + 1) for k, v in value.items() if k not in KEYS} if isinstance(value, dict) else value


def enrich(row: dict) -> dict:
    """The record with its ``_`` keys."""
    notes, hidden = chat.mapping(row.get("metadata")), chat.mapping(row.get("hidden_params"))
    error = chat.mapping(row.get("error_information")) or chat.mapping(notes.get("error_information"))
    asker = {**chat.mapping(notes.get("spend_logs_metadata")), **chat.mapping(notes.get("requester_metadata"))}
    answer, asked = chat.mapping(row.get("response")), _messages(row)
    span = chat.first(*(chat.word(row.get(k)) for k in ("id", "request_id", "litellm_call_id"))) or chat.fingerprint(row)
    failed, said = _failed(row, notes, error), chat.response_metadata(answer)
    return {
        **row,
        "_span_id": span,
        "_trace_id": chat.word(row.get("trace_id")) or span,
        "_status": "error" if failed else "ok",
        "_error": error,
        "_error_type": chat.first(*(chat.word(error.get(k)) for k in ("error_class", "error_code"))) if failed else None,
        "_error_message": chat.first(*map(chat.word, (row.get("error_str"), error.get("error_message")))) if failed else None,
        "_start_time": chat.moment(row.get("startTime")),
        "_end_time": chat.moment(row.get("endTime")),
        "_first_token_time": None
        if row.get("completionStartTime") == row.get("endTime")
        else chat.moment(row.get("completionStartTime")),
        "_model": chat.first(*map(chat.word, (hidden.get("litellm_model_name"), answer.get("model"), row.get("model")))),
        "_model_params": chat.params(row.get("model_parameters"), row.get("optional_params")),
        "_prompt": chat.mapping(notes.get("prompt_management_metadata")),
        "_input": asked or None,
        "_output": _answer(row, answer),
        "_system_prompt": chat.system_prompt({"messages": asked}),
        "_finish_reason": chat.finish_reason(answer, notes=said),
        "_provider_request_id": chat.provider_id(answer, notes=said),
        "_response_cached": chat.word(row.get("cache_hit")),
        "_user_id": _user(row, notes),
        "_asker": asker,
        "_tags": chat.sequence(row.get("request_tags")) or None,
        "_metadata": _metadata(row, notes, asker),
        "_guardrails": guardrails(row, notes),
        "_tool": chat.mapping(notes.get("mcp_tool_call_metadata")),
        **_usage(row, notes, hidden, answer, failed),
        "_cost": _cost(row, failed),
    }


def _failed(row: dict, notes: dict, error: dict) -> bool:
    word = chat.first(chat.word(row.get("status")), chat.word(notes.get("status")))
    return word == "failure" if word else bool(chat.word(row.get("error_str")) or any(map(chat.word, error.values())))


def _messages(row: dict) -> Any:
    """The messages; nothing where the proxy was told to keep no texts (``{}`` or a note in their place)."""
    found = chat.embedded(row.get("messages"), row.get("messages"))
    texts = [m.get("content") for m in found if isinstance(m, dict)] if isinstance(found, list) else [found]
    return None if texts and all(t == REDACTED or t in ("", {}, None) for t in texts) else found


def _answer(row: dict, answer: dict) -> Any:
    text = chat.answer(answer)
    given = chat.first(text, answer or None, row.get("response") if isinstance(row.get("response"), str) else None)
    return None if given in (REDACTED, "{}", {"text": REDACTED}) else given


def _user(row: dict, notes: dict) -> str | None:
    """The end user, not the owner of the key."""
    return chat.first(*map(chat.word, (row.get("end_user"), notes.get("user_api_key_end_user_id"))))


def _metadata(row: dict, notes: dict, asker: dict) -> dict | None:
    """Team, organisation, owner of the key and whatever the caller sent along, the caller's own keys as they are."""
    kept = {k: v for k, v in notes.items() if k not in HAVE_COLUMNS}
    kept.update({k: row[k] for k in OWNERS if row.get(k)})
    kept.update({k: v for k, v in asker.items() if k not in HAVE_COLUMNS})
    return {
        k: v for k, v in kept.items() if v not in (None, "", [], {}) and not (chat.is_secret(k) and k[:13] != "user_api_key_")
    } or None


def _usage(row: dict, notes: dict, hidden: dict, answer: dict, failed: bool) -> dict:
    """Counts with their parts, from the usage object of the provider where it was kept. A failure's zeros are none."""
    counts = [chat.count(row.get(k)) for k in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if failed and not any(counts):
        counts = [None] * 3
    spots = (notes.get("usage_object"), hidden.get("usage_object"), answer.get("usage"))
    used = next((m for m in map(chat.mapping, spots) if m), {})
    into = chat.mapping(used.get("prompt_tokens_details"))
    read = chat.count(chat.first(used.get("cache_read_input_tokens"), into.get("cached_tokens")))
    written = chat.count(chat.first(used.get("cache_creation_input_tokens"), into.get("cache_creation_tokens")))
    parts = [p for p in (read, written, chat.count(into.get("audio_tokens"))) if p is not None]
    return {
        **dict(zip(("_tokens_in", "_tokens_out", "_tokens_total"), counts, strict=True)),
        "_tokens_cache_read": read,
        "_tokens_cache_write": written,
        "_tokens_reasoning": chat.count(chat.mapping(used.get("completion_tokens_details")).get("reasoning_tokens")),
        "_tokens_in_parts": sum(parts) if parts else None,
    }


def _cost(row: dict, failed: bool) -> float | int | None:
    """The recorded cost. A zero stands (a cached answer costs nothing) unless the call failed or could not be priced."""
    found = chat.number(chat.first(row.get("response_cost"), row.get("spend")))
    return None if found == 0 and (failed or row.get("response_cost_failure_debug_info")) else found


def guardrails(row: dict, notes: dict) -> list[dict] | None:
    """The guardrails that ran, as {stage, action, dimension, policy, provider}."""
    found = chat.embedded(chat.first(row.get("guardrail_information"), notes.get("guardrail_information")))
    listed = [found] if isinstance(found, dict) else found if isinstance(found, list) else []
    return [_guardrail(g) for g in listed if isinstance(g, dict)] or None


def _guardrail(ran: dict) -> dict:
    mode, status = ran.get("guardrail_mode"), chat.word(ran.get("guardrail_status"))
    masked = [k for k, n in chat.mapping(ran.get("masked_entity_count")).items() if chat.number(n)]
    return {
        "stage": chat.word(mode[0] if isinstance(mode, list) and mode else mode),
        "action": "mask" if masked and status in ("success", "guardrail_intervened") else _ACTIONS.get(status, status),
        "dimension": ",".join(masked) or None,
        "policy": chat.word(ran.get("guardrail_name")),
        "provider": chat.word(chat.first(ran.get("guardrail_provider"), ran.get("provider"))),
    }


SHAPES = {"call": Shape("spans", CALL)}
FORMATS = [
    Format("litellm.payload", "litellm", "StandardLoggingPayload objects", sniff_payload, read, SHAPES),
    Format("litellm.spend", "litellm", "SpendLogs rows of the proxy", sniff_spend, read, SHAPES),
]
