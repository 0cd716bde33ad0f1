"""The cost charts: CostResult in, Figure out, one message each, intervals drawn, nothing computed.

What was spent is blue and solid with filled marks, what is to come dashed with hollow ones; more is orange and hatched, less blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import units
from . import cost_numbers as numbers
from . import cost_words as words
from .chart_parts import chart_title, date_axis, finish, noon, nothing_to_draw, reach, value_axis, value_axis_across
from .parts import BLUE, ORANGE
from .theme import LIGHT, Theme, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ZOOM = 0.15
_BANDS = (("95", 0.14), ("80", 0.28))


def _tick(value: float) -> str:
    """Money at a tick of an axis: as short as it can be."""
    return f"{'-' if value < 0 else ''}${abs(value):,.6g}"


# --- over time


@themed
def trend(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What each day cost, and what each day to come is expected to, with 80 and 95 % intervals."""
    days = pd.DataFrame(numbers.drawn_days(result))
    if not len(days):
        return nothing_to_draw(figure, words.trend(result), theme)
    figure = figure or new_figure(3.4)
    ax = figure.subplots()
    x = pd.Series([noon(d) for d in days.day])
    ax.plot(x, days.cost_usd.astype(float), "o-", color=theme.this, ms=3.5, label="spent on a day")
    coming = _to_come(result.forecast, "days")
    if len(coming):
        _band(ax, coming, theme, "expected on a day")
        x = pd.concat([x, coming.x])
    return _over_days(figure, ax, x, words.trend(result), theme)


@themed
def month(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """The cost of the month, day upon day, what it will come to with its intervals, and the limit where there is one."""
    found = result.forecast
    if found is None or not len(found.total):
        return nothing_to_draw(figure, words.month(result), theme)
    figure = figure or new_figure(3.2)
    ax = figure.subplots()
    total = found.total.assign(x=[noon(d) for d in found.total.day])
    spent = total[total.spent_usd.notna()]
    ax.plot(spent.x, spent.spent_usd.astype(float), "o-", color=theme.this, ms=3.5, label="spent so far")
    coming = _to_come(found, "total")
    if len(coming):
        _band(ax, coming, theme, "expected")
    limit = numbers.month_limit(result)
    if limit:
        ax.axhline(limit[1], color=ORANGE, lw=1.4, ls=":", label="limit of the month")
    return _over_days(figure, ax, total.x, words.month(result), theme)


def _to_come(forecast, name: str) -> pd.DataFrame:
    """The days of a forecast that are not over, placed at their noon."""
    rows = numbers.days_to_come(forecast, name)
    return pd.DataFrame([{**r, "x": noon(r["day"])} for r in rows])


def _band(ax: Axes, frame: pd.DataFrame, theme: Theme, name: str) -> None:
    for level, alpha in _BANDS:
        low, high = (frame[f"{side}{level}"].astype(float) for side in ("low", "high"))
        ax.fill_between(frame.x, low, high, color=theme.last, alpha=alpha, lw=0, label=f"{level} % interval")
    ax.plot(frame.x, frame.expected_usd.astype(float), "D--", color=theme.ink, mfc=theme.card, ms=3.5, lw=1.1, label=name)


def _over_days(figure: Figure, ax: Axes, x: pd.Series, message: str, theme: Theme) -> Figure:
    ax.set_ylim(bottom=0)
    value_axis(ax, _tick)
    date_axis(ax, x)
    return finish(figure, message, ax, theme, columns=5)


@themed
def rhythm(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What an hour costs, by weekday and hour: the darker (on a dark page the lighter) the dearer; the dearest has a frame."""
    frame, found = numbers.by_hour(result), numbers.dearest_hour(result)
    if found is None:
        return nothing_to_draw(figure, words.rhythm(result), theme)
    figure = figure or new_figure(2.9)
    ax = figure.subplots()
    grid = np.full((7, 24), np.nan)
    grid[frame.weekday.astype(int), frame.hour.astype(int)] = frame.usd
    shown = ax.imshow(grid, aspect="auto", cmap="cividis" if theme.name == "dark" else "cividis_r", vmin=0)
    day, hour = int(found[0]["weekday"]), int(found[0]["hour"])
    ax.plot([hour], [day], "s", ms=13, mfc="none", mec=theme.card, mew=2.2)
    ax.set_yticks(range(7), words.WEEKDAYS)
    ax.set_xticks(range(0, 24, 3), [f"{h:02d}:00" for h in range(0, 24, 3)])
    ax.grid(visible=False)
    bar = figure.colorbar(shown, ax=ax, format=lambda v, _: _tick(v))
    bar.outline.set_visible(False)
    chart_title(figure, words.rhythm(result), theme)
    return figure


# --- why it moved


@themed
def waterfall(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """From the cost before to the cost after, a step a part; more is orange, hatched and marked +, less is blue and marked -."""
    moved = result.change
    if moved is None:
        return nothing_to_draw(figure, words.change(result), theme)
    figure = figure or new_figure(3.5)
    ax = figure.subplots()
    steps = numbers.parts(moved)
    ends = moved.before_usd + np.cumsum([0.0, *(v for _, v in steps)])
    last = len(steps) + 1
    for at, height in {0: moved.before_usd, last: moved.after_usd}.items():
        ax.bar(at, height, color=theme.last, width=0.6)
        _write(ax, at, height, units.money(height), theme)
    for at, ((_, value), start) in enumerate(zip(steps, ends, strict=False), 1):
        look = {"color": ORANGE, "hatch": "///"} if value > 0 else {"color": BLUE}
        ax.bar(at, value, bottom=start, width=0.6, **look)
        ax.plot([at - 1, at + 0.3], [start, start], color=theme.muted, lw=0.8)
        _write(ax, at, max(start, start + value), units.change(value, "usd", "absolute"), theme)
    told = ["before", *(_wrapped(words.part(n)) for n, _ in steps), "after"]
    ax.set_xticks(range(last + 1), told, color=theme.ink, fontsize=7.5)
    _levels(ax, [*ends, moved.after_usd])
    ax.grid(visible=False, axis="x")
    value_axis(ax, _tick)
    chart_title(figure, words.change(result), theme)
    return figure


def _levels(ax: Axes, ends: Sequence[float]) -> None:
    """From zero to above the highest step; where all steps lie close together far from zero only they are shown, and it is said."""
    low, high = min(ends), max(ends)
    if 0 < high - low < ZOOM * low:
        ax.set_ylim(low - (high - low), high + 0.15 * (high - low))
        ax.set_title("The axis does not begin at zero", fontweight="normal")
    else:
        ax.set_ylim(min(0, low) * 1.1, max(high, 1e-12) * 1.12)


def _wrapped(text: str) -> str:
    """A name below a bar, at the blank nearest to its middle on two lines."""
    blanks = [at for at, c in enumerate(text) if c == " "]
    if not blanks:
        return text
    middle = min(blanks, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _write(ax: Axes, x: float, y: float, text: str, theme: Theme) -> None:
    ax.annotate(text, (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=7.5, color=theme.ink)


# --- who and what spends


@themed
def spenders(result, key: str, *, value: object = ..., figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What the values of a column cost, the largest first; all others together are grey, a chosen ``value`` has an arrow."""
    frame = numbers.split(result, key)
    if not len(frame):
        return nothing_to_draw(figure, words.spenders(result, key), theme)
    figure = figure or new_figure(1.3 + 0.3 * len(frame))
    ax = figure.subplots()
    y = np.arange(len(frame))[::-1]
    told = []
    for at, row in zip(y, frame.to_dict("records"), strict=True):
        rest, chosen = numbers.is_rest(row["id"]), value is not ... and numbers.same(row["value"], value)
        look = {"color": theme.last, "hatch": "//"} if rest else {"color": theme.this}
        ax.barh(at, row["cost_usd"], height=0.6, **look)
        text = f"{units.money(row['cost_usd'])}, {units.rate(row['share'])}"
        ax.annotate(text, (max(row["cost_usd"], 0), at), (5, 0), textcoords="offset points", va="center", fontsize=8)
        told.append(("▶ " if chosen else "") + label(row["value"], 30))
    ax.set_yticks(y, told, color=theme.ink)
    ax.set_xlim(right=max(ax.get_xlim()[1], 1e-12) * 1.2)
    value_axis_across(ax, _tick)
    chart_title(figure, words.spenders(result, key), theme)
    return figure


@themed
def by(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What each row of the partition cost, and beside it one request of it with its interval."""
    frame = result.by[result.by.cost_usd.notna()].head(numbers.MAX_BARS) if len(result.by) else result.by
    if not len(frame):
        return nothing_to_draw(figure, words.by(result), theme)
    figure = figure or new_figure(1.6 + 0.32 * max(len(frame), 2))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    y = np.arange(len(frame))[::-1]
    left.barh(y, frame.cost_usd.astype(float), height=0.55, color=theme.this)
    told = [label(words.names(r, result.keys), 34) for r in frame.to_dict("records")]
    left.set_yticks(y, told, color=theme.ink)
    left.set_title("Spent")
    _points(right, frame.cost_per_request, y, theme)
    right.set_title("One request, with 95 % interval")
    for ax in (left, right):
        ax.set_xlim(left=0)
        value_axis_across(ax, _tick)
    chart_title(figure, words.by(result), theme)
    return figure


def _points(ax: Axes, estimates: pd.Series, y: np.ndarray, theme: Theme) -> None:
    """Estimates as points with their intervals; a refused one has none."""
    there = np.array([e.ok for e in estimates])
    value, low, high = (
        pd.Series([getattr(e, k) for e in estimates if e.ok], dtype=float) for k in ("value", "ci_low", "ci_high")
    )
    ax.errorbar(value, y[there], xerr=reach(value, low, high), fmt="o", color=theme.this, capsize=2.5, elinewidth=1.6)
    ax.tick_params(labelleft=False)
