"""Which days a week-over-week review compares: windows, their days in pairs of same weekdays, and which days have data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..windows import Window, back, blocks

BASELINE_WEEKS = 4
SLACK = timedelta(hours=3)


@dataclass(frozen=True)
class Activity:
    """When a day with data was busy: the first and the last start."""

    first: datetime
    last: datetime


@dataclass(frozen=True)
class Plan:
    """The days of three windows in one list.

    ``days`` holds every day once; ``positions`` gives (week, place in the week) of each; ``this``, ``last`` and each of
    ``baseline`` list day numbers by place, so that equal places are equal weekdays. ``kept`` are the places compared;
    not ``comparable`` means that no weekday has data in both windows (then ``kept`` is all of them).
    """

    week: Window
    against: Window
    tz: str
    days: tuple[Window, ...]
    positions: tuple[tuple[int, int], ...]
    this: tuple[int, ...]
    last: tuple[int, ...]
    baseline: tuple[tuple[int, ...], ...]
    kept: tuple[int, ...] = ()
    comparable: bool = True

    def members(self) -> dict[str, list[int]]:
        """Day numbers of each window, restricted to the places compared."""
        out = {"this": self.chosen(self.this), "last": self.chosen(self.last)}
        return out | {"baseline": [d for week in self.baseline for d in self.chosen(week)]}

    def chosen(self, week: tuple[int, ...]) -> list[int]:
        """The compared days of one week."""
        return [week[k] for k in self.kept if k < len(week)]

    def ranges(self) -> list[tuple[datetime, datetime]]:
        """The stretches of time to read, merged."""
        out: list[tuple[datetime, datetime]] = []
        for day in sorted(self.days, key=lambda d: d.start):
            if out and day.start <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], day.end))
            else:
                out.append((day.start, day.end))
        return out


def plan_weeks(week: Window, against: Window, *, tz: str) -> Plan:
    """All days of the week, of what it is compared with, and of the four weeks before it."""
    weeks = [week, against, *(back(week, k, tz) for k in range(1, BASELINE_WEEKS + 1))]
    numbers: dict[tuple[datetime, datetime], int] = {}
    days, positions, lists = [], [], []
    for index, window in enumerate(weeks):
        lists.append([])
        for place, day in enumerate(blocks(window, tz)):
            at = numbers.setdefault((day.start, day.end), len(days))
            if at == len(days):
                days.append(day)
                positions.append((index, place))
            lists[-1].append(at)
    this, last, *baseline = (tuple(one) for one in lists)
    places = tuple(range(min(len(this), len(last))))
    return Plan(week, against, tz, tuple(days), tuple(positions), this, last, tuple(baseline), places)


def keep_covered(plan: Plan, activity: Mapping[int, Activity], first: datetime | None, last: datetime | None) -> Plan:
    """The plan with only the weekdays that the data (from ``first`` to ``last`` start) cover in both windows.

    A day counts as not covered when it lies outside the data or is cut by their end, while its partner in the other window
    was busy in the part that is missing. Baseline weeks the data do not reach are dropped.
    """
    if first is None or last is None:
        return plan
    seen = (activity, first, last)
    pairs = ((k, plan.this[k], plan.last[k]) for k in plan.kept)
    kept = tuple(k for k, a, b in pairs if not (_cut(plan, a, b, *seen) or _cut(plan, b, a, *seen)))
    comparable = all(any(week[k] in activity for k in kept) for week in (plan.this, plan.last))
    kept = kept if comparable else plan.kept
    reached = tuple(w for w in plan.baseline if all(plan.days[w[k]].end > first for k in kept))
    return replace(plan, kept=kept, baseline=reached, comparable=comparable)


def _cut(plan: Plan, day: int, partner: int, activity: Mapping[int, Activity], first: datetime, last: datetime) -> bool:
    if partner not in activity:
        return False
    window, other = plan.days[day], activity[partner]
    if window.start > last or window.end <= first:
        return True
    opened, closed = other.first - plan.days[partner].start, other.last - plan.days[partner].start
    late = first in window and first - window.start > opened + SLACK
    return late or (last in window and last - window.start < closed - SLACK)
