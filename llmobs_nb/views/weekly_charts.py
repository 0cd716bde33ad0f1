"""The four weekly charts: WeeklyResult in, Figure out, one message each, intervals drawn, nothing computed.

This week is a filled blue mark on a solid line, last week a hollow grey one on a dashed line, laid weekday on weekday.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import units
from ..windows import local_date
from . import weekly_words as words
from .chart_parts import finish, nothing_to_draw, reach, value_axis, value_axis_across
from .common_words import tz_of
from .theme import LIGHT, Theme, is_number, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FEATURES = 8
MAX_PANELS = 6


@themed
def volume(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Requests a day above, share that failed with its interval below."""
    if not len(result.daily):
        return nothing_to_draw(figure, words.volume(result), theme)
    figure = figure or new_figure(3.9)
    frame = _placed(result.daily, result)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    this, last = frame[frame.week == "this"], frame[frame.week == "last"]
    top.bar(this.x, this.requests, width=0.62, color=theme.this, label=f"this {words.span(result)}")
    top.plot(last.x, last.requests, "D--", color=theme.ink, mfc=theme.card, lw=1.1, label=f"last {words.span(result)}")
    top.set_title("Requests a day")
    _weeks(below, result, frame, "error_rate", "error_low", "error_high", theme)
    below.set_title("Share that failed, with 95 % interval")
    below.set_ylim(0, max([0.01, *_finite(frame.error_high), *_finite(frame.error_rate)]) * 1.08)
    value_axis(top, units.count, whole=True)
    value_axis(below, units.rate)
    _days(below, frame, result)
    return finish(figure, words.volume(result), top, theme, first="this")


@themed
def latency(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Median and 95th percentile by day with intervals; time to first token in a panel of its own."""
    frame = result.latency[result.latency.value_ms.notna()] if len(result.latency) else result.latency
    if not len(frame):
        return nothing_to_draw(figure, words.latency(result), theme)
    figure = figure or new_figure(3.5)
    frame = _placed(frame, result)
    stages = [s for s in ("total", "ttft") if (frame.stage == s).any()]
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for ax, stage in zip(panels, stages, strict=True):
        part = frame[frame.stage == stage]
        for quantile, marks in ((0.95, "^v"), (0.5, "os")):
            _weeks(
                ax,
                result,
                part[part["quantile"] == quantile],
                "value_ms",
                "low_ms",
                "high_ms",
                theme,
                marks,
                f"p{quantile * 100:.0f} ",
            )
        ax.set_title({"total": "Whole request", "ttft": "Time to first token"}[stage])
        ax.set_ylim(0, max([1.0, *_finite(part.high_ms), *_finite(part.value_ms)]) * 1.08)
        value_axis(ax, units.milliseconds)
        _days(ax, part, result, short=len(stages) > 1)
    return finish(figure, words.latency(result), panels[0], theme, columns=4, first="this")


@themed
def cost(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What each feature cost in both weeks, and beside it the cost of one request with its interval."""
    frame = _largest(result.cost)
    if not len(frame):
        return nothing_to_draw(figure, words.cost(result), theme)
    figure = figure or new_figure(1.7 + 0.32 * max(len(frame), 2))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    y = np.arange(len(frame))[::-1]
    left.barh(y, frame.this_usd, height=0.55, color=theme.this, label=f"this {words.span(result)}")
    left.plot(
        frame.last_usd,
        y,
        "D",
        color=theme.ink,
        mfc=theme.card,
        mew=1.3,
        label=f"last {words.span(result)}",
        ls="none",
        clip_on=False,
    )
    for at, this, last in zip(y, frame.this_usd, frame.last_usd, strict=True):
        tip = np.nanmax([this, last, 0])
        left.annotate(units.money(this), (tip, at), (7, 0), textcoords="offset points", va="center", fontsize=8, color=theme.ink)
    left.set_yticks(y, [label(f, 24) for f in frame.feature], color=theme.ink)
    left.set_title(f"Spent this {words.span(result)}")
    _points(right, frame.cost_per_request, y, frame.low, frame.high, theme)
    right.set_title("One request, with 95 % interval")
    for ax in (left, right):
        ax.set_xlim(0, max(ax.get_xlim()[1], 1e-9) * (1.18 if ax is left else 1.0))
        value_axis_across(ax, lambda v: f"${v:,.6g}")
    return finish(figure, words.cost(result), left, theme, first="this")


@themed
def quality(result, *, score: str | None = None, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Each score by day with its interval, one panel a score and rater; ``score`` shows one score alone."""
    frame = result.quality if score is None or not len(result.quality) else result.quality[result.quality.score == score]
    groups = list(frame.groupby(["score", "rater"], dropna=False, sort=True))[:MAX_PANELS] if len(frame) else []
    if not groups:
        return nothing_to_draw(figure, words.quality(result, score=score), theme)
    columns = 2 if len(groups) == 4 else min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure = figure or new_figure(1.3 + (2.0 if columns > 1 else 2.4) * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for ax, ((name, rater), part) in zip(panels, groups, strict=False):
        part = _placed(part, result)
        _weeks(ax, result, part, "mean", "low", "high", theme)
        ax.set_title(f"{label(name, 24)} ({label(rater, 12)})")
        _within_scale(ax, part["mean"])
        value_axis(ax, units.number)
        _days(ax, part, result, short=columns > 1)
        ax.tick_params(labelbottom=True)
    for ax in panels[len(groups) :]:
        ax.set_visible(False)
    return finish(figure, words.quality(result, score=score), panels[0], theme, first="this")


# --- shared by the charts


def _placed(frame: pd.DataFrame, result) -> pd.DataFrame:
    """``frame`` with ``x``: days since the start of its own week, in the week's time zone; sorted by it."""
    first = {"this": _first_day(result, result.week), "last": _first_day(result, result.against)}
    x = [(_date(day) - first[week]).days for day, week in zip(frame.day, frame.week, strict=True)]
    return frame.assign(x=x).sort_values("x", kind="stable")


def _first_day(result, window) -> dt.date:
    return local_date(window.start, tz_of(result))


def _date(day) -> dt.date:
    return day.date() if isinstance(day, dt.datetime) else day


def _weeks(ax: Axes, result, frame, value: str, low: str, high: str, theme: Theme, marks: str = "oD", what: str = "") -> None:
    """Both weeks as points with error bars; ``marks`` are the markers of this and of last week."""
    looks = {
        "last": {"color": theme.last, "fmt": marks[1] + "--", "mfc": theme.card, "elinewidth": 0.9, "lw": 1.1, "capsize": 0},
        "this": {"color": theme.this, "fmt": marks[0] + "-", "elinewidth": 1.6, "capsize": 2.5},
    }
    if frame[value].isna().all():
        ax.text(0.5, 0.5, "too few for an estimate", transform=ax.transAxes, ha="center", va="center", color=theme.muted)
    for week, look in looks.items():
        part = frame[(frame.week == week) & frame[value].notna()]
        if len(part):
            reaches = reach(part[value], part[low], part[high])
            shift = 0.06 if week == "this" else -0.06
            ax.errorbar(part.x + shift, part[value], yerr=reaches, label=f"{what}{week} {words.span(result)}", **look)


def _within_scale(ax: Axes, values: pd.Series) -> None:
    """A score between 0 and 1 keeps to that scale, however far an interval from few judgements reaches."""
    if values.min() >= 0 and values.max() <= 1:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.03), min(high, 1.03))


def _points(ax: Axes, value: pd.Series, y: np.ndarray, low: pd.Series, high: pd.Series, theme: Theme) -> None:
    there = value.notna().to_numpy()
    reaches = reach(value[there], low[there], high[there])
    ax.errorbar(
        value[there], y[there], xerr=reaches, fmt="o", color=theme.this, capsize=2.5, elinewidth=1.6, label="_one request"
    )
    ax.tick_params(labelleft=False)


def _largest(frame: pd.DataFrame) -> pd.DataFrame:
    """The features that cost most, the rest summed in one row that has no cost per request."""
    if not len(frame):
        return frame
    frame = frame.sort_values("this_usd", ascending=False, na_position="last").reset_index(drop=True)
    if len(frame) <= MAX_FEATURES:
        return frame
    rest = frame.iloc[MAX_FEATURES - 1 :]
    row = {"feature": f"{len(rest)} others", "this_usd": rest.this_usd.sum(), "last_usd": rest.last_usd.sum()}
    return pd.concat([frame.iloc[: MAX_FEATURES - 1], pd.DataFrame([row])], ignore_index=True)


def _days(ax: Axes, frame: pd.DataFrame, result, *, short: bool = False) -> None:
    """Days under the axis: each of a week, one a week of a longer window."""
    first = _first_day(result, result.week)
    last = max(6, int(frame.x.max()))
    shown = range(0, last + 1, 1 if last < 14 else 7 if last < 40 else 14)
    days = [first + dt.timedelta(days=i) for i in shown]
    ax.set_xticks(shown, [f"{d:%a}" if short and last < 14 else f"{d:%a} {d.day} {d:%b}" for d in days])
    ax.set_xlim(-0.55, last + 0.55)


def _finite(values: pd.Series) -> list[float]:
    return [float(v) for v in values if is_number(v)]
