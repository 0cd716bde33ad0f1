"""Passages that entered or left the rendered system prompts between two windows, few-shot examples named as such."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...stats import twosample as two
from ...stats.phrases import Phrase, new_phrases
from ...stats.twosample import Design

MOST = 4
READ = 6_000
_EXAMPLE = re.compile(
    r"(?im)^\W*(?:few[- ]shot|examples?\b|for (?:example|instance)\b|e\.g\.|(?:q|question|user|human|customer|input|query)\s*:)"
)
_NAMED = re.compile(r"(?im)^\W*(example[^\n:]{0,40})")


@dataclass(frozen=True)
class Block:
    """A passage: ``new`` or ``gone``, its text (hostile), whether it reads like an example and its name, shares with limits."""

    kind: str
    text: str
    example: str | None
    share_before: float
    share_after: float
    log_odds: float
    ci_low: float
    ci_high: float
    n: int


def blocks(d: Design, prompts: Sequence[str]) -> tuple[Block, ...]:
    """Passages that began or ceased to occur in prompts (in the order of time), in one window more than in the other; limits as for words that moved.

    A passage counts where its share at least doubled or halved, and the simultaneous limits leave out 0.
    """
    later = d.side[d.group]
    found: list[tuple[str, Phrase]] = [("new", p) for p in new_phrases(prompts, most=MOST)]
    found += [("gone", p) for p in new_phrases(prompts[::-1], most=MOST)]
    if not found:
        return ()
    has = np.array([[p.probe in text for text in prompts] for _, p in found], float)
    sizes = np.bincount(d.group, minlength=len(d.side)).astype(float)
    odds = two.moved(d, (d.member @ has.T), sizes)
    out = []
    for k, (kind, phrase) in enumerate(found):
        rare, common = sorted((odds.share_before[k], odds.share_after[k]))
        moved = (odds.low[k] > 0) if kind == "new" else (odds.high[k] < 0)
        if moved and common >= 2 * rare:
            values = (odds.share_before[k], odds.share_after[k], odds.value[k], odds.low[k], odds.high[k])
            out.append(Block(kind, phrase.text, example_name(phrase.text), *map(float, values), len(later)))
    return tuple(out)


def example_name(text: str) -> str | None:
    """How a passage that reads like a few-shot example calls itself ("Example 2"), else its first words; None for other passages."""
    if not _EXAMPLE.search(text):
        return None
    named = _NAMED.search(text)
    return (named.group(1) if named else " ".join(text.split()[:8])).strip()
