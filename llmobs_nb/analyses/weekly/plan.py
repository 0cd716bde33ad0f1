"""Which days a review compares: windows, their days in pairs of same weekdays, and which days have data.

A week is compared Monday with Monday. A month or a quarter is compared by its first, second, third … Monday with that of the other
one, so that both hold every weekday equally often; a day that has no partner (a fifth Friday) is left out of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

from ...errors import UsageError
from ...windows import Window, aware, back, blocks, local_date, parse_week, week_of

Period = Literal["week", "month", "quarter"]
BASELINE = {"week": 4, "month": 3, "quarter": 4}
MONTHS = {"month": 1, "quarter": 3}
SLACK = timedelta(hours=3)
Days = tuple[int | None, ...]


@dataclass(frozen=True)
class Activity:
    """When a day with data was busy: the first and the last start."""

    first: datetime
    last: datetime


@dataclass(frozen=True)
class Plan:
    """The days of all windows in one list.

    ``days`` holds every day once; ``positions`` gives (window, weekday) of each. ``this``, ``last`` and each of ``baseline``
    list day numbers by place, so that equal places are equal weekdays (None where a window lacks the place). ``kept`` are the
    places compared; not ``comparable`` means that no place has data in both windows (then ``kept`` is all of them).
    ``pinned`` names a baseline that was asked for.
    """

    week: Window
    against: Window
    tz: str
    period: Period
    days: tuple[Window, ...]
    positions: tuple[tuple[int, int], ...]
    this: Days
    last: Days
    baseline: tuple[Days, ...]
    kept: tuple[int, ...] = ()
    comparable: bool = True
    pinned: Window | None = None

    def members(self) -> dict[str, list[int]]:
        """Day numbers of each window, restricted to the places compared."""
        out = {"this": self.chosen(self.this), "last": self.chosen(self.last)}
        return out | {"baseline": list(dict.fromkeys(d for week in self.baseline for d in self.chosen(week)))}

    def chosen(self, days: Days) -> list[int]:
        """The compared days of one window."""
        return [days[k] for k in self.kept if k < len(days) and days[k] is not None]

    def whole(self) -> list[Days]:
        """The baseline windows that hold every place compared."""
        return [days for days in self.baseline if len(self.chosen(days)) == len(self.kept)]

    def of_this(self) -> list[int]:
        """All days of the window under review, compared or not."""
        return [d for d in self.this if d is not None]

    def ranges(self) -> list[tuple[datetime, datetime]]:
        """The stretches of time to read, merged."""
        out: list[tuple[datetime, datetime]] = []
        for day in sorted(self.days, key=lambda d: d.start):
            if out and day.start <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], day.end))
            else:
                out.append((day.start, day.end))
        return out


def plan_days(week: Window, against: Window, *, tz: str, period: Period = "week", pinned: Window | None = None) -> Plan:
    """All days of the window, of what it is compared with, and of the baseline (the windows before it, or the pinned one)."""
    before = [] if pinned else [earlier(week, k, tz, period) for k in range(1, BASELINE[period] + 1)]
    windows = [_placed(blocks(w, tz), week, tz, period) for w in (week, against, *before)]
    windows += _weeks(pinned, week, tz, period) if pinned else []
    numbers: dict[tuple[datetime, datetime], int] = {}
    days: list[Window] = []
    positions: list[tuple[int, int]] = []
    lists: list[Days] = []
    for index, places in enumerate(windows):
        for place, day in places.items():
            if numbers.setdefault((day.start, day.end), len(days)) == len(days):
                days.append(day)
                positions.append((index, place % 7))
        held = {place: numbers[day.start, day.end] for place, day in places.items()}
        lists.append(tuple(held.get(k) for k in range(max(held, default=-1) + 1)))
    this, last, *baseline = lists
    kept = tuple(k for k in range(min(len(this), len(last))) if this[k] is not None and last[k] is not None)
    given = tuple(days), tuple(positions), this, last, tuple(baseline)
    return Plan(week, against, tz, period, *given, kept, pinned=pinned)


def earlier(window: Window, count: int, tz: str, period: Period) -> Window:
    """The window so many periods before."""
    if period == "week":
        return back(window, count, tz)
    first = local_date(window.start, tz)
    return calendar(_months_on(first, -count * MONTHS[period]), period, tz)


def calendar(day: date, period: Period, tz: str) -> Window:
    """The week, month or quarter that holds a day: ``2026-W46``, ``2026-11``, ``2026-Q4``."""
    if period == "week":
        return week_of(day, tz)
    length = MONTHS[period]
    first = date(day.year, (day.month - 1) // length * length + 1, 1)
    label = f"{first:%Y-%m}" if period == "month" else f"{first.year}-Q{(first.month + 2) // 3}"
    return Window(aware(first, tz), aware(_months_on(first, length), tz), label)


def named(text, period: Period, tz: str) -> Window:
    """The window of a name: an ISO week, ``2026-11``, ``2026-Q4``, or a date in it."""
    if period == "week":
        return parse_week(text, tz)
    if isinstance(text, date):
        return calendar(local_date(text, tz) if isinstance(text, datetime) else text, period, tz)
    try:
        year, _, rest = text.strip().upper().partition("-")
        if period == "quarter" and rest.startswith("Q") and rest[1:] in tuple("1234"):
            return calendar(date(int(year), 3 * int(rest[1:]) - 2, 1), period, tz)
        return calendar(date.fromisoformat(text.strip() if "-" in rest else f"{year}-{rest}-01"), period, tz)
    except (ValueError, AttributeError) as error:
        example = "2026-11" if period == "month" else "2026-Q4"
        raise UsageError(f"{period} {text!r} is not understood; give it as {example}, or a date in it (2026-11-12)") from error


def pinned_window(text: str, week: Window, tz: str, period: Period) -> Window:
    """A baseline of one's own: ``2026-09-01/2026-09-14`` (both days inside) or a week; UsageError where it overlaps the review."""
    first, slash, last = text.strip().partition("/")
    if not slash:
        window = named(text, period, tz)
    else:
        try:
            start, end = (date.fromisoformat(part.strip()) for part in (first, last))
        except ValueError as error:
            raise UsageError(
                f"baseline={text!r} is not understood; give two dates (2026-09-01/2026-09-14) or a {period}"
            ) from error
        if end < start:
            raise UsageError(f"baseline={text!r} ends before it starts; swap the dates")
        window = Window(aware(start, tz), aware(end + timedelta(days=1), tz), f"{start} to {end}")
    if window.start < week.end and week.start < window.end:
        raise UsageError(f"baseline={text!r} overlaps {week.label}, which is under review; choose days before it")
    return window


def keep_covered(plan: Plan, activity: Mapping[int, Activity], first: datetime | None, last: datetime | None) -> Plan:
    """The plan with only the places that the data (from ``first`` to ``last`` start) cover in both windows.

    A day counts as not covered when it lies outside the data or is cut by their end, while its partner in the other window
    was busy in the part that is missing. Baseline windows the data do not reach are dropped.
    """
    if first is None or last is None:
        return plan
    seen = (activity, first, last)
    pairs = ((k, plan.this[k], plan.last[k]) for k in plan.kept)
    kept = tuple(k for k, a, b in pairs if not (_cut(plan, a, b, *seen) or _cut(plan, b, a, *seen)))
    comparable = all(any(days[k] in activity for k in kept) for days in (plan.this, plan.last))
    plan = replace(plan, kept=kept if comparable else plan.kept, comparable=comparable)
    reached = tuple(w for w in plan.baseline if plan.chosen(w) and all(plan.days[d].end > first for d in plan.chosen(w)))
    return replace(plan, baseline=reached)


def _cut(plan: Plan, day: int, partner: int, activity: Mapping[int, Activity], first: datetime, last: datetime) -> bool:
    if partner not in activity:
        return False
    window, other = plan.days[day], activity[partner]
    if window.start > last or window.end <= first:
        return True
    opened, closed = other.first - plan.days[partner].start, other.last - plan.days[partner].start
    late = first in window and first - window.start > opened + SLACK
    return late or (last in window and last - window.start < closed - SLACK)


def _placed(days: Sequence[Window], week: Window, tz: str, period: Period) -> dict[int, Window]:
    """Days by place: their order in a week; the how-manieth of its weekday, and the weekday, in a longer window."""
    if period == "week":
        return dict(enumerate(days))
    out, seen = {}, [0] * 7
    for day in days:
        weekday = local_date(day.start, tz).weekday()
        out[7 * seen[weekday] + weekday] = day
        seen[weekday] += 1
    return out


def _weeks(pinned: Window, week: Window, tz: str, period: Period) -> list[dict[int, Window]]:
    """A pinned baseline in pieces as long as what is reviewed; the last may lack days."""
    days = blocks(pinned, tz)
    if period != "week":
        return [_placed(days, week, tz, period)]
    first = local_date(week.start, tz).weekday()
    pieces = (days[k : k + 7] for k in range(0, len(days), 7))
    return [{(local_date(d.start, tz).weekday() - first) % 7: d for d in piece} for piece in pieces]


def _months_on(day: date, months: int) -> date:
    at = day.year * 12 + day.month - 1 + months
    return date(at // 12, at % 12 + 1, 1)
