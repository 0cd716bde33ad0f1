"""Words that all pages share: a verdict in three cues, a number with its interval, a moment, a share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from .. import units
from ..text import terminal
from ..windows import aware, zone
from .theme import is_number

Cue = tuple[str, str, str]


def cue(menu: Mapping[str, Cue], value: object) -> Cue:
    """Icon, words and line of a verdict; one that is not on the menu stands for itself, a missing one is n/a."""
    if value in menu:
        return menu[value]
    return ("", terminal(value, 40) if isinstance(value, str) and value else units.MISSING, "solid")


def with_interval(value: float | None, low: float | None, high: float | None, unit: str) -> str:
    """A level from a table with its interval: ``0.79 (0.71 to 0.87)``; alone where it has none, n/a where it is missing."""
    shown, between = units.quantity(value, unit, low=low, high=high), units.interval(low, high, unit)
    return shown if between == units.MISSING else f"{shown} ({between})"


def level(estimate, unit: str) -> str:
    """A level with its interval and n: ``0.79 (0.77 to 0.81, n 1,204)``; a refused one with its reason."""
    return _estimate(estimate, unit, units.quantity, {})


def effect(estimate, unit: str) -> str:
    """A change with its interval and n, signed."""
    return _estimate(estimate, unit, lambda v, u, **k: units.change(v, u, "absolute", **k), {"kind": "absolute"})


def _estimate(estimate, unit: str, write, how: dict) -> str:
    if not estimate.ok:
        return f"{units.MISSING} ({terminal(estimate.reason or 'not estimated', 120)})"
    low, high = estimate.ci_low, estimate.ci_high
    between = units.interval(low, high, unit, **how)
    known = [between] if between != units.MISSING else []
    return f"{write(estimate.value, unit, low=low, high=high)} ({', '.join([*known, f'n {units.count(estimate.n)}'])})"


def share(value: float | None) -> str:
    """A share in whole per cent, n/a where it is missing."""
    return f"{100 * value:.0f} %" if is_number(value) else units.MISSING


def day_name(day: date) -> str:
    """A day of a table: ``Mon 2026-10-26``."""
    return f"{day:%a %Y-%m-%d}"


def tz_of(result) -> str:
    """The time zone in which the result speaks of days."""
    return str(result.parameters.get("tz") or "UTC")


def local(at: datetime, tz: str) -> datetime:
    """A moment on the clock of ``tz``."""
    return aware(at, tz).astimezone(zone(tz))


def moment(at: object, tz: str) -> str:
    """``2026-10-26 07:00 UTC``; what is no moment is n/a."""
    if not isinstance(at, datetime) or at != at:
        return units.MISSING
    return f"{local(at, tz):%Y-%m-%d %H:%M} {terminal(tz, 40)}"
