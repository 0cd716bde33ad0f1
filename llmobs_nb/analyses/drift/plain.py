"""The plain text of what went in and what came out: the last question of a conversation, the answer of a reply."""

from __future__ import annotations

from collections.abc import Sequence

from ...sources.chat import answer, content_text, mapping, messages

QUESTION_KEYS = ("question", "query", "input", "text", "prompt", "content", "message")
ANSWER_KEYS = ("answer", "output", "text", "response", "result", "content", "message")


def questions(texts: Sequence[str | None]) -> list[str]:
    """Per input the text of its last user message, or of its question field, or the input as it stands; "" where there is none."""
    return _each(texts, _question)


def answers(texts: Sequence[str | None]) -> list[str]:
    """Per output the text of the reply, or of its answer field, or the output as it stands; "" where there is none."""
    return _each(texts, _answer)


def _each(texts, one) -> list[str]:
    known = {t: (one(t) if t and t.lstrip()[:1] in ("{", "[") else t or "") for t in dict.fromkeys(texts)}
    return [known[t] for t in texts]


def _question(text: str) -> str:
    asked = [m for m in messages(text) if m["role"] in ("user", None)]
    return (content_text(asked[-1]["content"]) if asked else None) or _named(text, QUESTION_KEYS) or text


def _answer(text: str) -> str:
    said = answer(text)
    said = said.get("content") if isinstance(said, dict) else said
    return (said if isinstance(said, str) else None) or _named(text, ANSWER_KEYS) or text


def _named(text: str, keys: Sequence[str]) -> str | None:
    body = mapping(text)
    return next((body[k] for k in keys if isinstance(body.get(k), str) and body[k]), None)
