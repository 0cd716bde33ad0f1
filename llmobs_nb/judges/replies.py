"""What a judge said, read strictly: one JSON object with a whole score in range, a reason and the mark; anything else is no judgement."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .prompts import Prompt
from .rubrics import HIGHEST, LOWEST

LONGEST_REASON = 1_000
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.S)
Word = Literal["scored", "refused", "unreadable", "failed"]


@dataclass(frozen=True)
class Judgement:
    """One reply: ``scored`` (score 1 to 5), ``refused`` by the judge, ``unreadable``, or ``failed`` to arrive; and its tokens.

    ``reason`` is the judge's own (hostile text) or, without a score, why there is none. ``cached`` replies cost nothing now.
    """

    word: Word
    score: float | None = None
    reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    model: str | None = None
    cached: bool = False

    @property
    def value(self) -> float | None:
        """The score from 0 to 1."""
        return None if self.score is None else (self.score - LOWEST) / (HIGHEST - LOWEST)


@dataclass(frozen=True)
class Reply:
    """The text of a judge and what it cost, before it is read."""

    text: str | None
    tokens_in: int = 0
    tokens_out: int = 0
    model: str | None = None
    refused: bool = False


def read(given: Any, asked: Prompt) -> Judgement:
    """A judgement from whatever a judge gave: a Reply, a text, ``(score, reason)``, a mapping with score, or a bare number."""
    if isinstance(given, Reply):
        found = Judgement("refused", reason="the judge refused") if given.refused else _text(given.text or "", asked)
        costs = {"tokens_in": given.tokens_in, "tokens_out": given.tokens_out, "model": given.model}
        return Judgement(**{**vars(found), **costs})
    if isinstance(given, str):
        return _text(given, asked)
    if isinstance(given, Mapping):
        return _scored(given.get("score"), given.get("reason"))
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return _scored(*given)
    return _scored(given, "")


def _text(text: str, asked: Prompt) -> Judgement:
    fenced = _FENCE.fullmatch(text)
    try:
        told = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError):
        return Judgement("unreadable", reason="the reply is not one JSON object")
    if not isinstance(told, dict) or set(told) != {"score", "reason", "check"}:
        return Judgement("unreadable", reason="the reply does not have exactly the keys score, reason and check")
    if told["check"] != asked.mark:
        return Judgement("unreadable", reason="the reply does not bear the mark of its prompt")
    return _scored(told["score"], told["reason"])


def _scored(score: Any, reason: Any) -> Judgement:
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not LOWEST <= score <= HIGHEST:
        return Judgement("unreadable", reason=f"the score is not a number from {LOWEST} to {HIGHEST}")
    return Judgement("scored", float(score), str(reason or "")[:LONGEST_REASON])
