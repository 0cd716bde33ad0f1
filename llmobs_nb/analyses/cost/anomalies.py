"""Hours and days that cost far more than they usually do: of everything, of a tenant, of a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ... import units
from ...columns import literal
from ...stats.hourly import Calendar, departures
from ..reductions import moment, rows
from ..said import Quoted, Said
from .hours import HOUR, Clock, clock_of, hourly
from .window import Plan

COLUMNS = ("at", "hours", "scope", "key", "value", "cost_usd", "usual_usd", "factor", "z", "told", "traces")
KEYS = ("tenant_id", "feature")
MOST_VALUES, MOST_ROWS, MOST_TRACES = 50, 30, 5
# How many false ones a month of 30 days may hold by the model, of all scopes, hours and days together.
FALSE_A_MONTH = 0.35
# Hours that are looked at together: what begins within an hour shows in two.
LOOKS = (1, 2)
# Hours of one scope that are so near to each other are one event.
APART = 3
EXPLAINS = 0.5


class Scope(NamedTuple):
    """What was summed: everything (no key), or one value of a key."""

    key: str | None
    value: str | None


@dataclass(frozen=True)
class Event:
    """Hours of a scope, from ``low`` to before ``high``, that cost far more than usual; ``daily`` where only the day as a whole shows it."""

    scope: Scope
    low: int
    high: int
    cost: float
    usual: float
    z: float
    daily: bool = False

    @property
    def factor(self) -> float | None:
        """How many times the usual; None where nothing is usual."""
        return self.cost / self.usual if self.usual > 0 else None

    def covers(self, other: Event) -> bool:
        """Whether it lies in another's hours and explains most of what was too much in them."""
        meets = self.low < other.high and other.low < self.high
        return meets and self.cost - self.usual >= EXPLAINS * (other.cost - other.usual)


def anomalies(obs, plan: Plan) -> pd.DataFrame:
    """One row per event of the window, largest excess first; at most thirty.

    Columns: at (its first hour begins), hours, scope (total, tenant_id, feature), key and value (null of the total), cost_usd and
    usual_usd of these hours, factor, z (of the clearest hour or day), told, traces (the five most expensive). A scope is looked at when
    it had a cost on seven of the last 28 days. Spans without a known cost are not seen. No rows for a store without dated spans.
    """
    clock = clock_of(obs, plan.tz)
    if clock is None:
        return pd.DataFrame(columns=list(COLUMNS))
    scopes, y = _sums(obs, clock)
    low, high = ((t - clock.begin) / HOUR for t in (plan.window.start, plan.window.end))
    found = [e for e in events(scopes, y, clock) if e.low < high and e.high > low]
    found = sorted(found, key=lambda e: e.usual - e.cost)[:MOST_ROWS]
    told = pd.DataFrame([_row(obs, clock, e) for e in found], columns=list(COLUMNS))
    # As objects: a column of strings would forget which parts of a sentence are quoted.
    return told.assign(told=pd.Series([_words(e) for e in found], dtype=object))


def events(scopes: Sequence[Scope], y: np.ndarray, clock: Clock) -> list[Event]:
    """What departs from its usual sums (K x T by hour, the first scope the whole); what another event explains is left out."""
    days = clock.daily(y)
    limit = float(-ndtri(FALSE_A_MONTH / (len(y) * 30 * (24 + 1))))
    found = _over(scopes, y, clock.calendar, limit, looks=LOOKS, apart=APART)
    whole = slice(0, len(clock.dates) - 1)
    places = [np.flatnonzero(clock.calendar.day == d) for d in range(len(clock.dates))]
    found += [
        Event(e.scope, int(places[e.low][0]), int(places[e.high - 1][-1]) + 1, e.cost, e.usual, e.z, daily=True)
        for e in _over(scopes, days[:, whole], _daily(clock, whole), limit)
    ]
    return _explained(found)


def _daily(clock: Clock, whole: slice) -> Calendar:
    weekday = np.array([d.weekday() for d in clock.dates[whole]], int)
    gone = np.ones(len(weekday))
    if len(gone):
        first = clock.calendar.gone[clock.calendar.day == 0]
        gone[0] = max(float(first.mean()), 1 / 24)
    return Calendar(np.arange(len(weekday)), weekday, np.zeros(len(weekday), int), gone)


def _over(
    scopes: Sequence[Scope], y: np.ndarray, calendar: Calendar, limit: float, *, looks: Sequence[int] = (1,), apart: int = 1
) -> list[Event]:
    """Runs of bins above the limit, alone or as ``looks`` of several, those near to each other as one event."""
    if not y.shape[1]:
        return []
    found = departures(y, calendar, looks=looks)
    out = []
    for k in np.flatnonzero((found.z > limit).any(axis=1)):
        places = np.flatnonzero(found.z[k] > limit)
        for run in np.split(places, np.flatnonzero(np.diff(places) > apart) + 1):
            some = slice(int(run[0]), int(run[-1]) + 1)
            sums = float(y[k, some].sum()), float(found.usual[k, some].sum())
            out.append(Event(scopes[k], some.start, some.stop, *sums, float(found.z[k, run].max())))
    return out


def _explained(found: list[Event]) -> list[Event]:
    """Without the days that an hourly event of the scope explains, and without what a narrower scope explains."""
    order = [None, "feature", "tenant_id"]
    kept = [e for e in found if not (e.daily and any(o.scope == e.scope and not o.daily and o.covers(e) for o in found))]
    return [e for e in kept if not any(order.index(o.scope.key) > order.index(e.scope.key) and o.covers(e) for o in kept)]


def _sums(obs, clock: Clock) -> tuple[list[Scope], np.ndarray]:
    """Hourly cost of everything and of the values with the most expensive hours of each key."""
    scopes, parts = [Scope(None, None)], [hourly(obs, clock)]
    for key in KEYS:
        found = obs.query(
            f"""WITH hours AS (SELECT {key} AS value, {clock.bin} AS bin, sum(cost_usd) AS usd FROM spans
              WHERE cost_usd IS NOT NULL AND start_time IS NOT NULL AND {key} IS NOT NULL GROUP BY 1, 2),
            top AS (SELECT value FROM hours GROUP BY value ORDER BY max(usd) DESC, value LIMIT {MOST_VALUES})
            SELECT value, bin, usd FROM hours JOIN top USING (value)"""
        )
        names, place = np.unique(found["value"].to_numpy().astype(str), return_inverse=True)
        sums = np.zeros((len(names), len(clock)))
        sums[place, found["bin"].to_numpy()] = found["usd"].to_numpy()
        scopes += [Scope(key, str(n)) for n in names]
        parts += list(sums)
    return scopes, np.stack(parts)


def _row(obs, clock: Clock, event: Event) -> dict:
    begin, end = clock.at(event.low), clock.at(event.high)
    key, value = event.scope
    return {
        "at": begin, "hours": event.high - event.low, "scope": key or "total", "key": key, "value": value, "cost_usd": event.cost,
        "usual_usd": event.usual, "factor": event.factor, "z": event.z, "traces": _dearest(obs, event.scope, begin, end),
    }  # fmt: skip


def _words(event: Event) -> Said:
    """One sentence; the value is quoted, for it comes from the data."""
    key, value = event.scope
    hours = event.high - event.low
    who = ("All traffic",) if key is None else (f"{key.removesuffix('_id').capitalize()} ", Quoted(value))
    long = f" in {hours} hour{'' if hours == 1 else 's'}"
    usual = f" spent {units.money(event.cost)}{long}, where {units.money(event.usual)} are usual"
    return Said(*who, usual, f": {event.factor:,.1f} times as much" if event.factor else "")


def _dearest(obs, scope: Scope, begin: datetime, end: datetime) -> list[str]:
    """The most expensive traces of these hours."""
    mine = f" AND {scope.key} = {literal(scope.value)}" if scope.key else ""
    found = rows(
        obs,
        f"""SELECT trace_id, sum(cost_usd) AS usd FROM spans WHERE start_time >= {moment(begin)} AND start_time < {moment(end)}
        AND cost_usd IS NOT NULL{mine} GROUP BY source, project, trace_id ORDER BY usd DESC, trace_id LIMIT {MOST_TRACES}""",
    )
    return [r["trace_id"] for r in found]
