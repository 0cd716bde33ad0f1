"""How quantities are written: one function a unit, plain text, ``n/a`` for what is missing.

Storage keeps full floats; only here are digits dropped. With an interval at hand a number gets as many digits as the
interval deserves: up to the first digit that its half-width moves (the second, where that digit is a 1).
"""

from __future__ import annotations

import math

MISSING = "n/a"
_MAX_DECIMALS = 8


def _given(*values) -> bool:
    return all(v is not None and math.isfinite(v) for v in values)


def decimals(low: float | None, high: float | None, *, default: int = 2) -> int:
    """Decimals that an interval deserves; ``default`` without an interval or with one of no width."""
    if not _given(low, high) or high <= low:
        return default
    half = (high - low) / 2
    if half < 10.0**-_MAX_DECIMALS:
        return _MAX_DECIMALS
    power = math.floor(math.log10(half))
    leading_one = round(half / 10.0**power, 6) < 2
    return min(_MAX_DECIMALS, max(0, -power + leading_one))


def number(value: float | None, *, low: float | None = None, high: float | None = None, default: int = 2) -> str:
    """A plain number: ``0.734``."""
    return f"{value:,.{decimals(low, high, default=default)}f}" if _given(value) else MISSING


def count(value: float | None) -> str:
    """A count with thousands separators: ``12,345``."""
    return f"{value:,.0f}" if _given(value) else MISSING


def tokens(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """Tokens: ``812``, ``1,204.3``."""
    return number(value, low=low, high=high, default=0)


def rate(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A share between 0 and 1 as per cent: ``1.2 %``."""
    if not _given(value):
        return MISSING
    low, high = (100 * v if _given(v) else None for v in (low, high))
    return f"{100 * value:,.{decimals(low, high, default=1)}f} %"


def points(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A difference of two shares in percentage points, with its sign: ``+0.4 pp``."""
    if not _given(value):
        return MISSING
    low, high = (100 * v if _given(v) else None for v in (low, high))
    return f"{100 * value:+,.{decimals(low, high, default=1)}f} pp"


def relative(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A relative change with its sign: ``+12 %`` for 0.12."""
    text = rate(value, low=low, high=high)
    return text if text == MISSING or text.startswith("-") else f"+{text}"


def signed(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A plain difference with its sign: ``-0.05``."""
    return f"{value:+,.{decimals(low, high)}f}" if _given(value) else MISSING


def money(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """US dollars: cents above a dollar, three digits that count below: ``$1,204.50``, ``$0.00123``."""
    if not _given(value):
        return MISSING
    value = 0.0 if abs(value) < 1e-12 else value  # the dust of a sum is no money
    size = abs(value)
    default = 2 if size >= 1 or size == 0 else min(_MAX_DECIMALS, 2 - math.floor(math.log10(size)) if size >= 1e-8 else 8)
    places = decimals(low, high, default=default) if size < 1 else 2
    return f"{'-' if value < 0 else ''}${size:,.{max(places, 2)}f}"


def milliseconds(value: float | None, *, low: float | None = None, high: float | None = None) -> str:
    """A duration given in milliseconds: ``850 ms``, ``2.41 s``, ``3 min 05 s``, ``2 h 04 min``."""
    if not _given(value):
        return MISSING
    size = abs(value)
    sign = "-" if value < 0 else ""
    if size < 999.5:
        return f"{sign}{size:,.{min(decimals(low, high, default=0), 1)}f} ms"
    if size < 59_995:
        low, high = (v / 1000 if _given(v) else None for v in (low, high))
        return f"{sign}{size / 1000:.{min(decimals(low, high), 2)}f} s"
    if size < 3_599_500:
        minutes, seconds = divmod(round(size / 1000), 60)
        return f"{sign}{minutes} min {seconds:02d} s"
    hours, minutes = divmod(round(size / 60_000), 60)
    return f"{sign}{hours:,} h {minutes:02d} min"


_FORMATS = {"rate": rate, "usd": money, "ms": milliseconds, "tokens": tokens, "score": number}


def quantity(value: float | None, unit: str, *, low: float | None = None, high: float | None = None) -> str:
    """A level in its unit: ``count``, ``rate``, ``usd``, ``ms``, ``tokens``, ``score``; another unit reads as a number."""
    if unit == "count":
        return count(value)
    return _FORMATS.get(unit, number)(value, low=low, high=high)


def change(value: float | None, unit: str, kind: str, *, low: float | None = None, high: float | None = None) -> str:
    """A change, ``kind`` ``relative`` (a share of the earlier value) or ``absolute`` (in the unit itself)."""
    if kind == "relative":
        return relative(value, low=low, high=high)
    if unit == "rate":
        return points(value, low=low, high=high)
    if unit in ("usd", "ms") and _given(value):
        text = quantity(value, unit, low=low, high=high)
        return text if text.startswith("-") else f"+{text}"
    return signed(value, low=low, high=high)


def interval(low: float | None, high: float | None, unit: str, *, kind: str | None = None) -> str:
    """``low to high`` in the unit; with ``kind`` the limits are those of a change. One of no width (an exact count) is none."""
    if not _given(low, high) or low == high:
        return MISSING
    write = quantity if kind is None else lambda v, u, **k: change(v, u, kind, **k)
    return f"{write(low, unit, low=low, high=high)} to {write(high, unit, low=low, high=high)}"
