"""Chat requests and answers, whichever provider or framework wrote them: messages, texts, finish reasons, models.

Known: OpenAI chat, completions and responses; Anthropic messages; Gemini; LangChain constructors and result objects. All
functions take any JSON value (or JSON text of one) and give None or nothing where there is none; none raises.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from .reading import embedded

ROLES = {"human": "user", "ai": "assistant", "humanmessage": "user", "aimessage": "assistant", "systemmessage": "system"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SYSTEM_ROLES = ("system", "developer")
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
}
PARAMS = (
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "max_output_tokens", "stop", "seed", "stream",
    "frequency_penalty", "presence_penalty", "n", "reasoning_effort", "response_format", "tool_choice", "parallel_tool_calls",
)  # fmt: skip
_SECRET = ("api_key", "apikey", "api-key", "secret", "password", "authorization", "access_token", "credential")
_INT64 = 2**63


def mapping(value: Any) -> dict:
    """A nested object, as it is or as JSON text; empty where it is none."""
    if isinstance(value, dict):
        return value
    value = embedded(value)
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list:
    """A nested list, as it is or as JSON text; empty where it is none."""
    if isinstance(value, list):
        return value
    value = embedded(value)
    return value if isinstance(value, list) else []


def word(value: Any) -> str | None:
    """A scalar as text; None for nothing, blank text, objects and lists."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\x00", "").strip() or None


def number(value: Any) -> float | int | None:
    """A finite number, also from its text; None for anything else, true and false included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return value if isinstance(value, int) and abs(value) < _INT64 else _finite(float(value))
    except (ValueError, OverflowError):
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def count(value: Any) -> int | None:
    """A count that fits 64 bits; None for anything else."""
    found = number(value)
    return None if found is None or abs(found) >= _INT64 else round(found)


def moment(value: Any) -> Any:
    """A time with epoch seconds that have decimals as ISO text, to the microsecond; anything else as it stands."""
    found = number(value)
    if not isinstance(found, float) or found.is_integer() or not 0 < found < 1e11:
        return value
    try:
        return (EPOCH + timedelta(microseconds=round(found * 1e6))).isoformat()
    except OverflowError:
        return value


def first(*values: Any) -> Any:
    """The first value that is neither None nor blank text."""
    return next((v for v in values if v is not None and v != ""), None)


def is_secret(key: str) -> bool:
    """Whether a field's name says that its value is a credential."""
    low = key.lower()
    return any(s in low for s in _SECRET)


def fingerprint(value: Any) -> str:
    """md5 of a value's JSON with sorted keys: the id of a record that has none."""
    return hashlib.md5(raw(value, sort_keys=True).encode("utf-8", "replace")).hexdigest()


def raw(value: Any, *, sort_keys: bool = False) -> str:
    """A record as JSON text; of one nested beyond what can be written, its keys."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str, sort_keys=sort_keys)
    except RecursionError:
        return json.dumps(sorted(value) if isinstance(value, dict) else type(value).__name__)


def messages(body: Any) -> list[dict]:
    """The messages of a request as ``{role, content, …}``, in order; of a LangChain batch the first conversation."""
    body = embedded(body)
    found = first(body.get("messages"), body.get("input")) if isinstance(body, dict) else body
    found = sequence(found)
    if found and isinstance(found[0], list) and not _is_pair(found[0]):
        found = found[0]
    return [m for m in map(_message, found) if m is not None]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _message(value: Any) -> dict | None:
    if _is_pair(value):
        return {"role": _role(value[0]), "content": value[1]}
    if isinstance(value, str):
        return {"role": "user", "content": value}
    if not isinstance(value, dict):
        return None
    inner = value.get("kwargs") if isinstance(value.get("kwargs"), dict) else value.get("data")
    inner = inner if isinstance(inner, dict) else value
    if "content" not in inner and "tool_calls" not in inner:
        return None
    kept = {k: inner[k] for k in ("tool_calls", "tool_call_id", "name") if inner.get(k)}
    return {"role": _role(_role_word(value, inner)), "content": inner.get("content"), **kept}


def _role_word(value: dict, inner: dict) -> Any:
    path = value.get("id")
    cls = path[-1] if isinstance(path, list) and path else None
    return first(inner.get("role"), inner.get("type") if inner is not value else None, cls, value.get("type"))


def _role(value: Any) -> str | None:
    low = str(value).lower().removesuffix("chunk") if isinstance(value, str) else None
    return ROLES.get(low, low)


def content_text(content: Any) -> str | None:
    """The text of a message's content: itself, or its text blocks one below the other."""
    if isinstance(content, list):
        return "\n".join(_blocks(content)) or None
    return content if isinstance(content, str) and content else None


def _blocks(content: list) -> Iterator[str]:
    for block in content:
        text = block.get("text") if isinstance(block, dict) else block
        if isinstance(text, str) and text:
            yield text


def system_prompt(body: Any) -> str | None:
    """The rendered system prompt of a request: its system and developer messages and its ``system`` or ``instructions``."""
    beside = mapping(body)
    texts = [content_text(beside.get(k)) for k in ("system", "instructions")]
    texts += [content_text(m["content"]) for m in messages(body) if m["role"] in SYSTEM_ROLES]
    return "\n\n".join(t for t in texts if t) or None


def asked(body: Any) -> Any:
    """What went in: the messages where there are any, else the body."""
    return messages(body) or first(embedded(body, body))


def reply(body: Any) -> dict:
    """The assistant's message of an answer, as ``{content, tool_calls, …}``; empty where there is none."""
    spots = _spots(mapping(body))
    return next((s for s in spots if isinstance(s, dict) and ("content" in s or s.get("tool_calls"))), {})


def _spots(body: dict) -> Iterator[Any]:
    """Where an assistant's message may stand: OpenAI, LangChain, OpenAI responses, Ollama, a chain, Gemini, Anthropic."""
    choice = _object(body.get("choices"))
    yield from (choice.get("message"), choice.get("delta"), _text_of(choice))
    generation = _object(body.get("generations"))
    yield from (mapping(generation.get("message")).get("kwargs"), generation.get("message"), _text_of(generation))
    yield _responses(body.get("output"))
    yield from (mapping(body.get("message")), mapping(body.get("output")), _gemini(body), body)


def _text_of(value: dict) -> dict | None:
    return {"content": value["text"]} if value.get("text") else None


def _object(value: Any) -> dict:
    """The first object of a list, or of the first list of a list."""
    found = sequence(value)
    while found and isinstance(found[0], list):
        found = found[0]
    return found[0] if found and isinstance(found[0], dict) else {}


def _responses(output: Any) -> dict | None:
    """OpenAI responses: the items of ``output`` as one message."""
    items = [i for i in sequence(output) if isinstance(i, dict)]
    calls = [i for i in items if i.get("type") == "function_call"]
    texts = [content_text(i.get("content")) for i in items if i.get("type") == "message"]
    if not calls and not texts:
        return None
    return {"content": "\n".join(t for t in texts if t) or None, "tool_calls": calls}


def _gemini(body: dict) -> dict | None:
    parts = mapping(_object(body.get("candidates")).get("content")).get("parts")
    return {"content": content_text(parts)} if isinstance(parts, list) else None


def answer(body: Any) -> Any:
    """What came out: the answer's text; with tool calls an object of both; None where the body is no chat answer."""
    message = reply(body)
    text = first(content_text(message.get("content")), message.get("content"))
    return {"content": text, "tool_calls": message["tool_calls"]} if message.get("tool_calls") else text


def response_metadata(body: Any) -> dict:
    """LangChain's notes on an answer: response_metadata of the message over generation_info and llm_output."""
    body = mapping(body)
    return {
        **mapping(body.get("llm_output")),
        **mapping(_object(body.get("generations")).get("generation_info")),
        **mapping(reply(body).get("response_metadata")),
    }


def finish_reason(body: Any, *, notes: dict | None = None) -> str | None:
    """Why the answer ended, in one vocabulary (stop, length, tool_calls, content_filter), else the provider's word."""
    body = mapping(body)
    notes = response_metadata(body) if notes is None else notes
    choice, candidate = _object(body.get("choices")), _object(body.get("candidates"))
    found = choice.get("finish_reason")
    if isinstance(found, dict):  # the JavaScript SDK puts the whole last chunk here
        found = found.get("finish_reason")
    found = first(
        found, body.get("stop_reason"), notes.get("finish_reason"), notes.get("stop_reason"), candidate.get("finishReason")
    )
    low = word(found)
    return None if low is None else FINISH.get(low.lower(), low.lower())


def answered_model(body: Any, *, notes: dict | None = None) -> str | None:
    """The model that answered, as the answer names it."""
    body = mapping(body)
    notes = response_metadata(body) if notes is None else notes
    return word(first(body.get("model"), notes.get("model_name"), notes.get("model"), body.get("modelVersion")))


def provider_id(body: Any, *, notes: dict | None = None) -> str | None:
    """The provider's id of the call."""
    notes = response_metadata(body) if notes is None else notes
    return word(first(mapping(body).get("id"), notes.get("id")))


def params(*bodies: Any) -> dict | None:
    """The sampling parameters named in any of the bodies, the first one that names one winning; None for none."""
    found: dict = {}
    for body in map(mapping, bodies):
        found.update({k: body[k] for k in PARAMS if body.get(k) is not None and k not in found})
    return found or None
