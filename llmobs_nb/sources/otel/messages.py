"""The texts of a span (input, output, system prompt) from wherever its conventions put them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from . import columns
from .spans import Event
from .values import nest, opened, text_of

SYSTEM_ROLES = ("system", "developer")
_ROLE_EVENTS = {
    "gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}  # fmt: skip
_CHOICE = "gen_ai.choice"
DETAILS = "gen_ai.client.inference.operation.details"
TEXT_EVENTS = frozenset((*_ROLE_EVENTS, _CHOICE, DETAILS, "gen_ai.content.prompt", "gen_ai.content.completion"))
_ITEMS = {
    "llm.input_messages": "message",
    "llm.output_messages": "message",
    "llm.prompts": "prompt",
    "llm.completions": "completion",
}
_ENVELOPE = frozenset(("gen_ai.system", "gen_ai.provider.name", "event.name", "gen_ai.event.content"))


class Texts(NamedTuple):
    """What went in, what came out (text, or messages as JSON), the rendered system prompt and the finish reason."""

    input: str | None
    output: str | None
    system_prompt: str | None
    finish_reason: str | None


def texts(attrs: dict, groups: dict[str, dict], events: list[Event]) -> Texts:
    """The texts of a span from its attributes, its indexed attributes and its events; null where it holds none.

    ``input.value`` and ``output.value`` win where they are plain text; where they are JSON (a whole request), the messages
    that were cut out of it are preferred.
    """
    sent = _sent(attrs, groups, events)
    came = _came(attrs, groups, events)
    given = _plain_value(attrs, "input") or sent or _first(attrs, columns.INPUTS) or _embedding_texts(groups)
    result = _plain_value(attrs, "output") or came or _first(attrs, columns.OUTPUTS) or _documents(groups)
    return Texts(as_text(given), as_text(result), _system(attrs, sent, given), _finish(attrs, came))


def as_text(value: Any) -> str | None:
    """Text as it is, anything else as JSON text; nothing for what is empty."""
    if value in (None, "", [], {}):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sent(attrs: dict, groups: dict, events: list[Event]) -> Any:
    return (
        opened(attrs.get("gen_ai.input.messages"), attrs.get("gen_ai.input.messages"))
        or _messages(groups, "llm.input_messages", "gen_ai.prompt", "llm.prompts")
        or _event_messages(events)
        or _content_event(events, "gen_ai.content.prompt", "gen_ai.prompt")
    )


def _came(attrs: dict, groups: dict, events: list[Event]) -> Any:
    return (
        opened(attrs.get("gen_ai.output.messages"), attrs.get("gen_ai.output.messages"))
        or _messages(groups, "llm.output_messages", "gen_ai.completion", "llm.completions", "llm.choices")
        or _choices(events)
        or _content_event(events, "gen_ai.content.completion", "gen_ai.completion")
    )


def _messages(groups: dict[str, dict], *names: str) -> list:
    name = next((n for n in names if groups.get(n)), None)
    if name is None:
        return []
    found = (nest(flat) for flat in groups[name].values())
    level = _ITEMS.get(name)
    return [m[level] if isinstance(m, dict) and level in m else m for m in found]


def _event_messages(events: list[Event]) -> list:
    return [{"role": _ROLE_EVENTS[e.name], **_content(e)} for e in events if e.name in _ROLE_EVENTS]


def _choices(events: list[Event]) -> list:
    return [_choice(_content(e)) for e in events if e.name == _CHOICE]


def _choice(content: dict) -> dict:
    message = opened(content.get("message"), content.get("message"))
    inner = message if isinstance(message, dict) else {"content": message} if message is not None else {}
    rest = {k: v for k, v in content.items() if k not in ("message", "index")}
    return {"role": "assistant", **inner, **rest}


def _content(event: Event) -> dict:
    """The message of an event: its attributes but for the envelope; a body that is one text is the content."""
    inner = {k: v for k, v in event.attributes.items() if k not in _ENVELOPE}
    whole = opened(event.attributes.get("gen_ai.event.content"))
    if isinstance(whole, dict):
        inner = {**whole, **inner}
    if "content" not in inner and isinstance(inner.get("body"), str):
        inner["content"] = inner.pop("body")
    return inner


def _content_event(events: list[Event], name: str, key: str) -> Any:
    found = next((e.attributes.get(key) for e in events if e.name == name), None)
    return opened(found, found)


def _plain_value(attrs: dict, side: str) -> str | None:
    """``input.value`` or ``output.value`` where it is plain text."""
    value = attrs.get(f"{side}.value")
    if not isinstance(value, str) or "json" in str(attrs.get(f"{side}.mime_type", "")).lower():
        return None
    return None if isinstance(opened(value), (dict, list)) else value or None


def _first(attrs: dict, names: tuple[str, ...]) -> Any:
    return next((attrs[n] for n in names if attrs.get(n) not in (None, "", {}, [])), None)


def _embedding_texts(groups: dict) -> list:
    found = [flat.get("embedding.text") for flat in groups.get("embedding.embeddings", {}).values()]
    return [t for t in found if t]


def _documents(groups: dict) -> list:
    found = groups.get("reranker.output_documents") or groups.get("retrieval.documents") or {}
    items = (nest(flat) for flat in found.values())
    return [i["document"] if isinstance(i, dict) and "document" in i else i for i in items]


def _system(attrs: dict, sent: Any, given: Any) -> str | None:
    told = attrs.get("gen_ai.system_instructions")
    return (
        content_text(opened(told, told))
        or system_of(sent)
        or system_of(opened(given))
        or system_of(opened(attrs.get("input.value")))
    )


def system_of(given: Any) -> str | None:
    """The rendered system prompt in an input: its first system or developer message, or the ``system`` of the request."""
    if isinstance(given, dict):
        told = content_text(given.get("system") or given.get("instructions") or given.get("system_instruction"))
        return told or system_of(given.get("messages") or (given.get("input") if isinstance(given.get("input"), list) else None))
    messages = given if isinstance(given, list) else []
    if messages and isinstance(messages[0], list):
        messages = messages[0]
    for message in messages:
        inner = message.get("kwargs", message) if isinstance(message, dict) else None
        if isinstance(inner, dict) and (inner.get("role") or inner.get("type")) in SYSTEM_ROLES:
            return content_text(inner)
    return None


def content_text(content: Any, depth: int = 0) -> str | None:
    """The text of a message or of its parts, one part a line; None where there is none."""
    if isinstance(content, str):
        parts = opened(content) if content[:1] == "[" and depth == 0 else None
        return (content_text(parts, 1) if isinstance(parts, list) else None) or content or None
    if depth > 8:
        return None
    if isinstance(content, list):
        return "\n".join(t for t in (content_text(p, depth + 1) for p in content) if t) or None
    if isinstance(content, dict):
        keys = ("content", "text", "parts", "contents", "message_content")
        return next((t for t in (content_text(content.get(k), depth + 1) for k in keys) if t), None)
    return None


def _finish(attrs: dict, came: Any) -> str | None:
    """The finish reason of the first answer; a list of reasons may also stand as JSON text."""
    for name in columns.FINISH_KEYS:
        given = attrs.get(name)
        if isinstance(given, str) and given[:1] == "[":
            given = opened(given, given)
        if found := text_of(given[0] if isinstance(given, list) and given else given):
            return found
    first = came[0] if isinstance(came, list) and came and isinstance(came[0], dict) else {}
    return text_of(first.get("finish_reason"))
