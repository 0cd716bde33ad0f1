"""Which stretch of time is attributed, and which two are compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ... import windows as w
from ...errors import UsageError
from ...windows import Window
from ..reductions import moment, rows

COMPARED_DAYS = 28
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Plan:
    """``window`` is attributed; ``now`` is compared with ``against`` (None: nothing lies before it). Days are those of ``tz``.

    Without a window asked for, ``window`` is all the data and ``now`` the last four weeks of it, or its later half.
    """

    window: Window
    now: Window
    against: Window | None
    tz: str = "UTC"


def make_plan(obs, *, since=None, until=None, against: str | None = None, tz: str = "UTC") -> Plan | None:
    """The windows of an answer; None for a store without dated spans.

    ``since`` and ``until`` are times, ISO text or an age such as 7d (back from the end of the data); ``against`` is
    ``2026-09-01/2026-09-14``, by default what lies as long before. UsageError for windows that are none or hold no data.
    """
    w.zone(tz)
    first, last = _range(obs)
    if first is None:
        return None
    begin, end = _midnight(first, tz), _midnight(last, tz, days=1)
    low = w.parse_since(since, now=last + _TICK, tz=tz) if since else begin
    high = w.parse_since(until, now=last + _TICK, tz=tz) if until else end
    if low >= high:
        raise UsageError(
            f"since={since!r}, until={until!r}: nothing lies between them; the data go from {begin:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    if high <= begin or low >= end:
        raise UsageError(f"since={since!r}, until={until!r}: no data there; the data go from {begin:%Y-%m-%d} to {last:%Y-%m-%d}")
    window = Window(low, high, w.ending(low, high, tz))
    now = window if since or until else _latest(begin, end, tz)
    before = _pinned(against, tz) if against else _same_before(now, begin)
    return Plan(window, now, before, tz)


def inside(window: Window, column: str = "start_time") -> str:
    """The condition on spans that start in a window, with the partition column beside it."""
    low, high = window.start.date() - timedelta(days=1), window.end.date() + timedelta(days=1)
    return (
        f"({column} >= {moment(window.start)} AND {column} < {moment(window.end)} "
        f"AND day >= DATE '{low.isoformat()}' AND day <= DATE '{high.isoformat()}')"
    )


def _range(obs) -> tuple[datetime | None, datetime | None]:
    (row,) = rows(obs, "SELECT min(start_time) AS a, max(start_time) AS b FROM spans")
    return row["a"], row["b"]


def _midnight(at: datetime, tz: str, *, days: int = 0) -> datetime:
    return w.aware(w.local_date(at, tz) + timedelta(days=days), tz)


def _latest(begin: datetime, end: datetime, tz: str) -> Window:
    days = min(COMPARED_DAYS, max(round((end - begin) / timedelta(days=1)) // 2, 1))
    low = max(w.aware(w.local_date(end, tz) - timedelta(days=days), tz), begin)
    return Window(low, end, w.ending(low, end, tz))


def _same_before(now: Window, begin: datetime) -> Window | None:
    length = now.end - now.start
    if now.start <= begin:
        return None
    return Window(now.start - length, now.start, "as long before")


def _pinned(text: str, tz: str) -> Window:
    times = w.two_times(str(text), tz)
    if times is None:
        raise UsageError(
            f"against={text!r} is no window; give two times with a slash between them, such as 2026-10-01/2026-10-14"
        )
    low, high = times
    if low >= high:
        raise UsageError(f"against={text!r} ends before it begins; swap the two times")
    return Window(low, high, w.ending(low, high, tz))
