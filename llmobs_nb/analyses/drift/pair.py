"""Which two windows are compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ... import windows as w
from ...errors import UsageError
from ...windows import Window
from ..reductions import data_range

BASELINE_WEEKS = 4
MOMENT = timedelta(microseconds=1)


def choose(obs, before: Any, after: Any, tz: str) -> tuple[Window, Window] | None:
    """The earlier and the later window; None for a store without spans.

    By default the last complete week of the data (the last seven days where none is complete), and the four weeks before it as
    far as the data reach back.
    """
    first, last = data_range(obs)
    if first is None:
        return None
    begin = w.aware(w.local_date(first, tz), tz)
    later = _default_after(first, last, tz) if after is None else parse("after", after, tz)
    earlier = parse("before", before, tz) if before is not None else _before(later, begin, tz)
    if earlier.end > later.start or (before is not None and earlier.start >= earlier.end):
        told = f"before={earlier.start:%Y-%m-%d} to {earlier.end:%Y-%m-%d}, after={later.start:%Y-%m-%d} to {later.end:%Y-%m-%d}"
        raise UsageError(f"{told}: give two windows, the first before the second; the data begin on {begin:%Y-%m-%d}")
    return earlier, later


def parse(name: str, value: Any, tz: str) -> Window:
    """An ISO week (``2026-W46``), two times (a pair, or text with a slash between them; a date as the end is whole), or a Window."""
    if isinstance(value, Window):
        return value
    if isinstance(value, str) and "/" not in value:
        return w.parse_week(value, tz)
    times = w.two_times(value, tz)
    if times is None:
        raise UsageError(
            f"{name}={value!r} is no window; give an ISO week such as 2026-W46, or two times such as 2026-10-01/2026-10-14"
        )
    start, end = times
    return Window(start, end, f"{start:%Y-%m-%d} to {end - MOMENT:%Y-%m-%d}")


def _default_after(first: datetime, last: datetime, tz: str) -> Window:
    week = w.week_of(last, tz)
    if last < w.days(week, tz)[-1].start:
        week = w.back(week, 1, tz)
    if first < week.start:
        return week
    end = w.aware(w.local_date(last, tz) + timedelta(days=1), tz)
    start = w.back(Window(end, end), 1, tz).start
    return Window(start, end, w.ending(start, end, tz))


def _before(later: Window, begin: datetime, tz: str) -> Window:
    start = max(min(begin, later.start), w.back(later, BASELINE_WEEKS, tz).start)
    weeks = (later.start - start) / w.WEEK
    label = (
        f"the {weeks:.0f} weeks before"
        if weeks > 1 and weeks == int(weeks)
        else f"{start:%Y-%m-%d} to {later.start - MOMENT:%Y-%m-%d}"
    )
    return Window(start, later.start, label)
