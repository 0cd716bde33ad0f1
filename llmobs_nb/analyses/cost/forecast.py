"""What a month will come to: what was spent and what is to come of it, tested on the store's own history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ...errors import UsageError, choose
from ...stats import forecast as f
from ...stats.hourly import profile
from ...text import terminal
from .hours import Clock, clock_of, hourly
from .result import Forecast

FACTORS = ("volume", "price", "mix")
ORIGINS = (5, 15, 25)
FEW, MOST, ROLLING = 6, 12, 7
FARTHEST_DAYS = 62
LIMITS = {"low95": 0.025, "low80": 0.1, "expected_usd": 0.5, "high80": 0.9, "high95": 0.975}
COLUMNS = ("day", "spent_usd", "expected_usd", "low80", "high80", "low95", "high95")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
# The first day counts when no more of it than this usually lies before the first span.
MISSED = 0.05


def forecast(obs, *, month: str | None = None, tz: str = "UTC", scenario: Mapping[str, float] | None = None) -> Forecast | None:
    """The month's known cost, spent and to come, USD; None for a store without dated spans.

    ``month`` (``2026-11``) is that of the last span by default; of a month that is over it is what was spent, of one that began before
    the data the days that have any. ``scenario`` multiplies what is to come: ``{"volume": 1.2, "price": 0.9, "mix": 1.0}``. Values
    are medians, so those of days do not quite add up to the month's. Less than fourteen whole days with a cost, or a month that ends more than 62
    days after the data, give a reason and no value. UsageError for months and scenarios that are none.
    """
    factor = _factor(scenario)
    asked = _month(month) if month is not None else None
    clock = clock_of(obs, tz)
    if clock is None:
        return None
    start, end = asked or _bounds(clock.dates[-1].replace(day=1))
    if end <= clock.dates[0]:
        raise UsageError(f"month={month!r} lies before the data, which begin on {clock.dates[0]}; give that month or a later one")
    history = History.of(clock, hourly(obs, clock))
    shared = {"month": f"{start:%Y-%m}", "at": clock.last, "scenario": dict(scenario or {}), "n": len(history.whole)}
    spent = sum(v for d, v in zip(clock.dates, history.daily, strict=True) if start <= d < end)
    paths, reason = history.paths(end)
    if reason:
        return Forecast(**shared, spent_usd=float(spent), reason=reason)
    return _told(shared, history, paths * factor, start, end)


class History:
    """Daily sums of a store (``daily``; ``whole`` those of whole days, from the day ``skip`` on) and the day that has begun."""

    def __init__(self, clock: Clock, daily: np.ndarray, skip: int, begun: f.Begun) -> None:
        self.dates, self.daily, self.skip, self.begun = clock.dates, daily, skip, begun
        self.whole = daily[skip:-1]
        self.phase = clock.dates[skip].weekday() if skip < len(clock.dates) else 0

    @classmethod
    def of(cls, clock: Clock, y: np.ndarray) -> History:
        """Of hourly sums."""
        c = clock.calendar
        shares = profile(y[None], c.weekday, c.hour)[0, (c.weekday >= 5).astype(int), c.hour]
        missed = float(shares[(c.day == 0) & (c.gone == 0)].sum())
        today = c.day == c.day[-1]
        # Hours that the clock skips or repeats do not matter here.
        share = min(float(shares[today] @ c.gone[today]), 1.0)
        return cls(clock, clock.daily(y), int(missed > MISSED), f.Begun(float(y[today].sum()), share))

    def paths(self, end: date) -> tuple[np.ndarray | None, str | None]:
        """Simulated sums of today's rest and the days before ``end``; or why there are none."""
        ahead = (end - self.dates[-1]).days
        if ahead <= 0:
            return np.zeros((1, 0)), None
        if ahead > FARTHEST_DAYS:
            return None, f"the month ends {ahead} days after the data; a forecast reaches {FARTHEST_DAYS} days"
        if len(self.whole) < f.LEAST_DAYS:
            return None, f"{len(self.whole)} whole days of data; a forecast needs {f.LEAST_DAYS}"
        recent = self.whole[-f.MOST_DAYS :]
        some = int((recent > 0).sum())
        if some < f.LEAST_DAYS:
            return None, f"{some} of the last {len(recent)} days have a cost; a forecast needs {f.LEAST_DAYS}"
        return f.draws(self.whole, ahead=ahead, phase=self.phase, begun=self.begun), None


def _told(shared: dict, history: History, paths: np.ndarray, start: date, end: date) -> Forecast:
    """The tables: days of the past have their sum for every limit, today what was spent and the rest of it."""
    month = [start + timedelta(days=k) for k in range((end - start).days)]
    known = dict(zip(history.dates, history.daily, strict=True))
    spent = np.array([known.get(d, np.nan) for d in month])
    coming = np.zeros((len(paths), len(month)))
    if paths.shape[1]:
        offset = (history.dates[-1] - start).days
        inside = paths[:, max(-offset, 0) :]
        coming[:, max(offset, 0) :] = inside
    days = np.where(np.isfinite(spent), spent, 0.0) + coming
    gone = np.array([d <= history.dates[-1] for d in month])
    told = [
        _frame(month, v, gone & np.isfinite(spent), p) for v, p in ((spent, days), (np.nancumsum(spent), days.cumsum(axis=1)))
    ]
    q = {n: float(v) for n, v in zip(LIMITS, np.quantile(days.sum(axis=1), list(LIMITS.values())), strict=True)}
    return Forecast(**shared, value=q.pop("expected_usd"), **q, spent_usd=float(np.nansum(spent)), days=told[0], total=told[1],
                    backtest=backtest(history))  # fmt: skip


def _frame(month: list[date], spent: np.ndarray, gone: np.ndarray, paths: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(np.quantile(paths, list(LIMITS.values()), axis=0).T, columns=list(LIMITS))
    frame["day"], frame["spent_usd"] = month, np.where(gone, spent, np.nan)
    return frame[list(COLUMNS)]


def backtest(history: History) -> pd.DataFrame:
    """The model and seasonal naive on what came after days of the past: one row per method.

    Columns: method, origins, cover80_rate, cover95_rate, pinball_usd (mean of five quantiles). The origins are days 5, 15 and 25 of
    months, until the month's end; with fewer than six of them every seventh day, until a week later. No rows without any.
    """
    y, first = history.whole, history.dates[min(history.skip, len(history.dates) - 1)]
    found: dict[str, list] = {"seasonal model": [], "seasonal naive": []}
    for origin, ahead in _origins(len(y), first):
        past, came = y[:origin], float(y[origin : origin + ahead].sum())
        paths = f.draws(past, ahead=ahead, phase=first.weekday())
        if paths is None:
            continue
        for method, q in zip(found, (np.quantile(paths.sum(axis=1), f.QUANTILES), f.seasonal_naive(past, ahead)), strict=True):
            found[method].append((q[1] <= came <= q[3], q[0] <= came <= q[4], f.pinball(q, came)))
    told = [(m, len(v), *(float(x) for x in np.mean(v, axis=0))) for m, v in found.items() if v]
    return pd.DataFrame(told, columns=["method", "origins", "cover80_rate", "cover95_rate", "pinball_usd"])


def _origins(days: int, first: date) -> list[tuple[int, int]]:
    """How many days were known, and how many came."""
    out = []
    for k in range(f.LEAST_DAYS, days):
        today = first + timedelta(days=k)
        ahead = (_bounds(today.replace(day=1))[1] - today).days
        if today.day in ORIGINS and k + ahead <= days:
            out.append((k, ahead))
    if len(out) < FEW:
        out = [(k, ROLLING) for k in range(days - ROLLING, f.LEAST_DAYS - 1, -ROLLING)][::-1]
    return out[-MOST:]


def _factor(scenario: Mapping[str, float] | None) -> float:
    out = 1.0
    for name, value in (scenario or {}).items():
        choose("scenario", name, FACTORS)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise UsageError(
                f"scenario: {name}={terminal(value, 40)!r} is no factor; give a number from 0 on, such as 1.2 for 20 % more"
            )
        out *= value
    return out


def _month(text: str) -> tuple[date, date]:
    match = _MONTH.fullmatch(str(text).strip())
    if not match or not 1 <= int(match[2]) <= 12 or not 1 <= int(match[1]) <= 9998:
        raise UsageError(f"month={terminal(text, 40)!r} is no month; write it as 2026-11")
    return _bounds(date(int(match[1]), int(match[2]), 1))


def _bounds(first: date) -> tuple[date, date]:
    """The first day of a month and that of the next."""
    return first, (first + timedelta(days=32)).replace(day=1)
