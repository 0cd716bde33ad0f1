"""Sentences that know which of their parts are quoted from the data, and which numbers stand in them."""

from __future__ import annotations

from collections.abc import Iterable

from ..stats.estimate import Estimate


class Quoted(str):
    """A text from the data that stands in a sentence: no number in it is ours."""


class Said(str):
    """A sentence made of ``parts``, of which a :class:`Quoted` is from the data, and its ``numbers``: estimates with their units."""

    parts: tuple[str, ...]
    numbers: tuple[tuple[Estimate, str], ...]

    def __new__(cls, *parts: str, numbers: Iterable[tuple[Estimate, str]] = ()):
        made = super().__new__(cls, "".join(parts))
        made.parts, made.numbers = parts, tuple(numbers)
        return made
