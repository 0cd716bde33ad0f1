"""Two answers to one question against each other: the order is drawn by hash, or both orders are asked, so that the first seat wins nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .cache import Cache, key_of
from .prompts import prompt
from .replies import Judgement
from .rubrics import HIGHEST, LOWEST, PAIRWISE, rubric
from .run import Asked, judge_all


@dataclass(frozen=True)
class Preference:
    """How far the first answer is preferred: from -1 (the second, clearly) to 1, 0 is a tie; null where no judgement came.

    ``consistent`` says whether both orders named the same winner; null where only one order was asked. ``swapped`` says, of
    each judgement, whether the second answer stood first.
    """

    value: float | None
    consistent: bool | None
    swapped: tuple[bool, ...]
    judgements: tuple[Judgement, ...]


def prefer(
    pairs: Sequence[tuple[str, str, str]],
    judge: Callable,
    *,
    both_orders: bool = True,
    seed: int = 0,
    cache: Cache | None = None,
    workers: int = 4,
    progress: Callable[[str], None] | None = None,
) -> list[Preference]:
    """Judge (question, first answer, second answer) triples. One order is drawn by hash of the seed; ``both_orders`` asks the other too."""
    orders = [_orders(pair, both_orders, seed) for pair in pairs]
    asked = [_asked(pair, swapped) for pair, some in zip(pairs, orders, strict=True) for swapped in some]
    made = iter(judge_all(asked, judge, cache=cache, workers=workers, progress=progress))
    return [_preference(some, [next(made) for _ in some]) for some in orders]


def _orders(pair: Any, both: bool, seed: int) -> tuple[bool, ...]:
    swapped = int(key_of("order", seed, *pair)[:8], 16) % 2 == 1
    return (swapped, not swapped) if both else (swapped,)


def _asked(pair: tuple[str, str, str], swapped: bool) -> Asked:
    question, first, second = pair
    a, b = (second, first) if swapped else (first, second)
    return Asked(prompt(rubric(PAIRWISE), {"QUESTION": question, "ANSWER A": a, "ANSWER B": b}))


def _preference(swapped: tuple[bool, ...], made: list[Judgement]) -> Preference:
    middle, half = (LOWEST + HIGHEST) / 2, (HIGHEST - LOWEST) / 2
    scored = [(m.score - middle) / half * (-1 if s else 1) for s, m in zip(swapped, made, strict=True) if m.score is not None]
    value = sum(scored) / len(scored) if scored else None
    signs = {(v > 0) - (v < 0) for v in scored}
    return Preference(value, len(signs) == 1 if len(scored) == 2 else None, swapped, tuple(made))
