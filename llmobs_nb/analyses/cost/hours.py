"""Cost by hour of a time zone: what forecasts, anomalies and burn-down ask the store for, each with one small query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ... import windows as w
from ...stats.hourly import Calendar
from ..reductions import rows

HOUR = timedelta(hours=1)


@dataclass(frozen=True, eq=False)
class Clock:
    """The hours from the local midnight before the first span to the last one.

    ``first`` and ``last`` are when the first and the last span start, ``dates`` the local days, ``at`` of each hour its beginning.
    """

    begin: datetime
    first: datetime
    last: datetime
    tz: str
    dates: tuple[date, ...]
    calendar: Calendar

    @property
    def bin(self) -> str:
        """The place of a span's hour as SQL."""
        began = (self.begin - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return f"CAST(floor((epoch_us(start_time) - {began}) / 3600000000) AS INTEGER)"

    def __len__(self) -> int:
        return len(self.calendar.day)

    def at(self, place: int) -> datetime:
        """When an hour begins."""
        return self.begin + int(place) * HOUR

    def daily(self, y: np.ndarray) -> np.ndarray:
        """Sums of hours (… x T) as sums of days (… x days)."""
        out = np.zeros((*y.shape[:-1], len(self.dates)))
        np.add.at(out, (..., self.calendar.day), y)
        return out


def clock_of(obs, tz: str = "UTC") -> Clock | None:
    """The hours of a store; None where no span has a start."""
    (r,) = rows(obs, "SELECT min(start_time) AS a, max(start_time) AS b FROM spans")
    return make_clock(r["a"], r["b"], tz) if r["a"] is not None else None


def make_clock(first: datetime, last: datetime, tz: str = "UTC") -> Clock:
    """The hours between two moments; the first is reckoned from its beginning on, the last hour until ``last``."""
    begin, zone = w.aware(w.local_date(first, tz), tz), w.zone(tz)
    count = (last - begin) // HOUR + 1
    local = [(begin + k * HOUR).astimezone(zone) for k in range(count)]
    dates = sorted({t.date() for t in local})
    place = {d: i for i, d in enumerate(dates)}
    gone = np.ones(count)
    gone[: (first - begin) // HOUR] = 0.0
    gone[-1] = max((last - begin) / HOUR - (count - 1), 1 / 60)
    day, weekday, hour = (np.array(v) for v in zip(*((place[t.date()], t.weekday(), t.hour) for t in local), strict=True))
    return Clock(begin, first, last, tz, tuple(dates), Calendar(day, weekday, hour, gone))


def hourly(obs, clock: Clock) -> np.ndarray:
    """Known cost of each hour (T), USD."""
    out = np.zeros(len(clock))
    for r in rows(obs, f"SELECT {clock.bin} AS bin, sum(cost_usd) AS usd FROM spans WHERE cost_usd IS NOT NULL GROUP BY 1"):
        if r["bin"] is not None:
            out[r["bin"]] = r["usd"]
    return out
