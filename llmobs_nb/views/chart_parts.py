"""The matplotlib parts that the charts are made of: the message on top, axes, reaches of error bars, the legend, an empty chart."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from .theme import Theme, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

_NOON = timedelta(hours=12)


# --- the figure


def chart_title(figure: Figure, message: str, theme: Theme) -> None:
    """The message of a chart as its title: bold, on the left, at most three lines."""
    text = textwrap.fill(message[:1].upper() + message[1:], 84, max_lines=3, placeholder=" …")
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold", color=theme.ink)


def nothing_to_draw(figure: Figure | None, message: str, theme: Theme) -> Figure:
    """A chart with nothing on it says so in words, below its message."""
    figure = figure or new_figure(1.1)
    ax = figure.subplots()
    ax.set_axis_off()
    ax.text(0.5, 0.5, "nothing to draw", ha="center", va="center", color=theme.muted)
    chart_title(figure, message, theme)
    return figure


def finish(figure: Figure, message: str, ax: Axes, theme: Theme, *, columns: int = 2, first: str = "") -> Figure:
    """The message on top and the legend of ``ax`` below everything; labels that hold ``first`` lead."""
    chart_title(figure, message, theme)
    entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=lambda e: first not in e[1])
    figure.legend([h for h, _ in entries], [n for _, n in entries], loc="outside lower left", ncols=columns)
    return figure


# --- axes


def few_ticks(*, whole: bool = False) -> MaxNLocator:
    """At most five ticks at round numbers; ``whole`` keeps to integers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4, integer=whole)


def value_axis(ax: Axes, text: Callable[[float], str], *, whole: bool = False) -> None:
    """Values upwards, written by ``text``."""
    ax.yaxis.set_major_formatter(lambda v, _: text(v))
    ax.yaxis.set_major_locator(few_ticks(whole=whole))


def value_axis_across(ax: Axes, text: Callable[[float], str]) -> None:
    """Values to the right, as for bars that lie: written by ``text``, the grid with them."""
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(lambda v, _: text(v))
    ax.xaxis.set_major_locator(few_ticks())


def noon(day: date) -> datetime:
    """Where a day stands on an axis of moments: in its middle."""
    whole = day.date() if isinstance(day, datetime) else day
    return datetime.combine(whole, time()) + _NOON


def date_axis(ax: Axes, noons: pd.Series) -> None:
    """Moments to the right, from the begin of the first day to the end of the last; ``noons`` are the days drawn."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set_xlim(noons.min() - _NOON, noons.max() + _NOON)


# --- intervals


def reach(value: pd.Series, low: pd.Series, high: pd.Series) -> list[np.ndarray]:
    """How far error bars go down and up; 0 where the edge is missing or lies on the other side."""
    return [_reach(value, low, -1), _reach(value, high, 1)]


def _reach(value: pd.Series, edge: pd.Series, side: int) -> np.ndarray:
    return np.nan_to_num(np.clip(side * (edge.to_numpy(float) - value.to_numpy(float)), 0, None))
