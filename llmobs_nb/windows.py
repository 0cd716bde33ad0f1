"""Windows of time: half-open, in UTC, cut at the days and ISO weeks of a time zone.

Clock changes are honoured: a day in a zone may last 23 or 25 hours, its window says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .errors import UsageError

WEEK = timedelta(days=7)
_BACK = re.compile(r"(\d+)\s*([hdw])")
_ISO_WEEK = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": WEEK}


@dataclass(frozen=True)
class Window:
    """A half-open span of time ``[start, end)``: aware datetimes, kept in UTC, with the label a reader knows it by."""

    start: datetime
    end: datetime
    label: str = ""

    def __post_init__(self):
        for name in ("start", "end"):
            at = getattr(self, name)
            if at.tzinfo is None:
                raise UsageError(f"Window {name}={at.isoformat()} has no time zone; give an aware datetime")
            object.__setattr__(self, name, at.astimezone(UTC))
        if self.end < self.start:
            raise UsageError(f"Window end={self.end.isoformat()} lies before start={self.start.isoformat()}; swap them")

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    @property
    def seconds(self) -> float:
        """Its length in elapsed seconds."""
        return (self.end - self.start).total_seconds()

    def json(self) -> dict:
        """``{"label", "start", "end"}`` with times in ISO 8601."""
        return {"label": self.label, "start": self.start.isoformat(), "end": self.end.isoformat()}


def zone(tz: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise UsageError(f"tz={tz!r} is not a known time zone; give an IANA name such as UTC or Europe/Berlin") from error


def aware(when: datetime | date, tz: str = "UTC") -> datetime:
    """``when`` as an aware UTC datetime; a naive one is read as local time in ``tz``, a date as its midnight there."""
    if not isinstance(when, datetime):
        when = datetime.combine(when, time())
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone(tz))
    return when.astimezone(UTC)


def local_date(when: datetime, tz: str = "UTC") -> date:
    """The date on the calendar of ``tz``."""
    return aware(when, tz).astimezone(zone(tz)).date()


def parse_since(text: str | datetime | date, *, now: datetime | None = None, tz: str = "UTC") -> datetime:
    """A moment from ``7d``, ``24h`` or ``2w`` back from ``now``, or from an ISO date or time (local in ``tz`` without offset).

    ``7d`` is 168 elapsed hours. Returns an aware UTC datetime.
    """
    if isinstance(text, date):
        return aware(text, tz)
    try:
        back = _BACK.fullmatch(text.strip().lower())
        if back:
            return (now or datetime.now(UTC)).astimezone(UTC) - int(back[1]) * _UNITS[back[2]]
        return aware(datetime.fromisoformat(text.strip()), tz)
    except (ValueError, OverflowError, AttributeError) as error:
        raise UsageError(f"time {text!r} is not understood; give 7d, 24h or 2w back, or an ISO date or time") from error


def two_times(value: object, tz: str = "UTC") -> tuple[datetime, datetime] | None:
    """Two times: a pair, or text with a slash between them; a date in text as the end is whole, with its night. None for anything else.

    UsageError for a part that is no time. Their order is not looked at.
    """
    parts = value.split("/") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or len(parts) != 2:
        return None
    low, high = (parse_since(p, tz=tz) for p in parts)
    whole = isinstance(parts[1], str) and len(parts[1].strip()) == 10
    return low, aware(local_date(high, tz) + timedelta(days=1), tz) if whole else high


def iso_week(text: str, tz: str = "UTC") -> Window:
    """The ISO week ``2026-W46`` (Monday to Sunday) in ``tz``."""
    match = _ISO_WEEK.fullmatch(text.strip()) if isinstance(text, str) else None
    try:
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return _week_from(monday, tz)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"week {text!r} is not an ISO week; write it as 2026-W46 (weeks 01 to 52 or 53)") from error


def week_of(when: datetime | date, tz: str = "UTC") -> Window:
    """The ISO week in ``tz`` that holds ``when``."""
    day = local_date(when, tz) if isinstance(when, datetime) else when
    return _week_from(day - timedelta(days=day.weekday()), tz)


def parse_week(week: str | datetime | date, tz: str = "UTC") -> Window:
    """The ISO week named by ``2026-W46`` or holding an ISO date or time."""
    if isinstance(week, date):
        return week_of(week, tz)
    if isinstance(week, str) and _ISO_WEEK.fullmatch(week.strip()):
        return iso_week(week, tz)
    try:
        return week_of(datetime.fromisoformat(week.strip()), tz)
    except (ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"week {week!r} is not understood; give an ISO week (2026-W46) or a date in it (2026-11-12)") from error


def back(window: Window, weeks: int, tz: str = "UTC") -> Window:
    """The same local clock times ``weeks`` weeks earlier; an ISO week stays one, and gets its own label."""
    start, end = (_shift(at, -weeks, tz) for at in (window.start, window.end))
    whole = week_of(start, tz)
    if (whole.start, whole.end) == (start, end):
        return whole
    return Window(start, end, ending(start, end, tz))


def ending(start: datetime, end: datetime, tz: str = "UTC") -> str:
    """The label of a stretch of days that is no ISO week: ``7 days to 2026-11-17``, its last day in ``tz``."""
    count = round((end - start) / timedelta(days=1))
    return f"{count} day{'' if count == 1 else 's'} to {local_date(end - timedelta(microseconds=1), tz)}"


def days(window: Window, tz: str = "UTC") -> list[Window]:
    """The calendar days of ``tz`` inside the window, first and last clipped to it; labels are ISO dates."""
    out, day = [], local_date(window.start, tz)
    while (start := aware(day, tz)) < window.end:
        day += timedelta(days=1)
        end = aware(day, tz)
        if end > window.start:
            out.append(Window(max(start, window.start), min(end, window.end), (day - timedelta(days=1)).isoformat()))
    return out


def blocks(window: Window, tz: str = "UTC") -> list[Window]:
    """The window cut into local 24-hour steps from its own start (calendar days where it starts at midnight)."""
    local = window.start.astimezone(zone(tz)).replace(tzinfo=None)
    out, start = [], window.start
    while start < window.end:
        local += timedelta(days=1)
        end = min(aware(local, tz), window.end)
        out.append(Window(start, end, (local - timedelta(days=1)).date().isoformat()))
        start = end
    return out


def _week_from(monday: date, tz: str) -> Window:
    year, number, _ = monday.isocalendar()
    return Window(aware(monday, tz), aware(monday + WEEK, tz), f"{year}-W{number:02d}")


def _shift(at: datetime, weeks: int, tz: str) -> datetime:
    return aware(at.astimezone(zone(tz)).replace(tzinfo=None) + weeks * WEEK, tz)
