"""Numbers in words that need no training: shares as so many of every 100, changes with "more" and "less" instead of a sign."""

from __future__ import annotations

from .. import units
from .theme import is_number

Limits = tuple[float | None, float | None]
NO_LIMITS: Limits = (None, None)


def amount(value: float, unit: str, limits: Limits = NO_LIMITS) -> str:
    """A level: ``1.2 of every 100``, ``4.10 s``, ``$0.0042``, ``0.73``; with as many digits as its interval deserves."""
    low, high = limits
    return f"{hundredths(value, limits)} of every 100" if unit == "rate" else units.quantity(value, unit, low=low, high=high)


def hundredths(value: float, limits: Limits = NO_LIMITS) -> str:
    """A share as a number out of a hundred: ``1.2``."""
    return units.rate(value, low=limits[0], high=limits[1]).removesuffix(" %")


def size(value: float, unit: str, limits: Limits = NO_LIMITS) -> str:
    """How large a change is, without its sign; ``unit`` is ``relative`` for a share of the earlier value."""
    if unit == "rate":
        return hundredths(abs(value), limits)
    if unit == "relative":
        return units.rate(abs(value), low=limits[0], high=limits[1])
    return units.quantity(abs(value), unit, low=limits[0], high=limits[1])


def change(value: float, unit: str, limits: Limits, words: tuple[str, str], last: str) -> str:
    """A change from ``last`` and between what it lies: ``0.30 s more than last week (between 0.10 s and 0.50 s more)``."""
    up, down = words
    told = f"{size(value, unit, limits)} {up if value >= 0 else down} than {last}"
    return f"{told} ({between(unit, limits, words)})" if all(map(is_number, limits)) else told


def between(unit: str, limits: Limits, words: tuple[str, str]) -> str:
    """The limits of a change, each with its direction where they differ."""
    low, high = limits
    up, down = words
    if low < 0 < high:
        return f"between {size(low, unit, limits)} {down} and {size(high, unit, limits)} {up}"
    near, far = sorted((low, high), key=abs)
    return f"between {size(near, unit, limits)} and {size(far, unit, limits)} {up if high > 0 else down}"
