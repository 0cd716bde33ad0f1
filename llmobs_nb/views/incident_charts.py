"""The two incident charts: IncidentResult in, Figure out, the message as title, intervals drawn, nothing computed.

The slice is a blue line with filled marks, the rest of traffic a dashed grey one with hollow marks.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import units
from . import incident_words as words
from .chart_parts import date_axis, finish, noon, nothing_to_draw, reach, value_axis, value_axis_across
from .common_words import local, tz_of
from .theme import LIGHT, Theme, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_SLICES = 12
MAX_MARKS = 20


@themed
def timeline(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Level of the slice and of the rest by day with their intervals; onset, end and change log as marks.

    A day stands at its noon, moments where they are, both on the clock of the result's time zone.
    """
    frame = result.timeline[result.timeline.value.notna()] if len(result.timeline) else result.timeline
    if not len(frame):
        return nothing_to_draw(figure, words.timeline(result), theme)
    figure = figure or new_figure(3.9)
    ax = figure.subplots()
    frame = frame.assign(x=[noon(day) for day in frame.day]).sort_values("x", kind="stable")
    for part, look in _looks(theme).items():
        _line(ax, frame[frame.part == part], part, look)
    value_axis(ax, lambda v: units.quantity(v, result.unit))
    date_axis(ax, frame.x)
    _onset(ax, result, theme)
    _marks(ax, result, theme)
    return finish(figure, words.timeline(result), ax, theme, columns=3)


@themed
def slices(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """The change of each slice net of the rest, with its interval; the picked one is blue, hatched and marked with an arrow."""
    frame = _largest(result.slices)
    if not len(frame):
        return nothing_to_draw(figure, words.slices(result), theme)
    figure = figure or new_figure(1.5 + 0.34 * len(frame))
    ax = figure.subplots()
    y, picked = np.arange(len(frame))[::-1], frame.picked.to_numpy(bool)
    for one, name in ((picked, "picked"), (~picked, "other slices")):
        look = {"color": theme.this, "hatch": "//"} if name == "picked" else {"color": theme.last}
        if one.any():
            ax.barh(y[one], frame.effect[one], height=0.55, label=name, **look)
    reaches = reach(frame.effect, frame.low, frame.high)
    ax.errorbar(frame.effect, y, xerr=reaches, fmt="none", ecolor=theme.ink, elinewidth=1.3, capsize=3)
    ax.axvline(0, color=theme.muted, lw=1)
    names = [("▶ " if p else "") + label(words.where(words.pairs(s)), 44) for s, p in zip(frame.slice, picked, strict=True)]
    ax.set_yticks(y, names, color=theme.ink)
    ax.set_title("Change net of the rest of traffic, with 95 % interval")
    value_axis_across(ax, lambda v: units.change(v, result.unit, "absolute"))
    return finish(figure, words.slices(result), ax, theme)


def _looks(theme: Theme) -> dict[str, dict[str, object]]:
    return {
        "rest": {"color": theme.last, "marker": "D", "ls": "--", "mfc": theme.card, "lw": 1.1, "ms": 3.5},
        "slice": {"color": theme.this, "marker": "o", "ls": "-", "ms": 4},
    }


def _line(ax: Axes, part: pd.DataFrame, name: str, look: dict[str, object]) -> None:
    if len(part):
        ax.fill_between(part.x, part.low.astype(float), part.high.astype(float), color=look["color"], alpha=0.22, lw=0)
        ax.plot(part.x, part.value.astype(float), label=f"{words.SIDES[name]}, 95 % interval", **look)


def _clock(at, result) -> datetime:
    return local(at, tz_of(result)).replace(tzinfo=None)


def _onset(ax: Axes, result, theme: Theme) -> None:
    """The onset as a line in its band with dashed edges, the end as a dotted line."""
    if result.onset is None:
        return
    low, at, high = (_clock(t, result) for t in (result.onset.low, result.onset.time, result.onset.high))
    ax.axvspan(low, high, facecolor=theme.muted, alpha=0.2, lw=0, label="onset, 90 % interval")
    for edge in (low, high):
        ax.axvline(edge, color=theme.muted, lw=0.9, ls="--")
    ax.axvline(at, color=theme.ink, lw=1.6, label="onset")
    if result.end is not None:
        ax.axvline(_clock(result.end, result), color=theme.ink, lw=1.4, ls=":", label="end")


def _marks(ax: Axes, result, theme: Theme) -> None:
    """The change log along the top, numbered as in its table; entries that match the incident are filled."""
    from matplotlib.dates import date2num

    left, right = ax.get_xlim()
    rows = enumerate(result.changes.head(MAX_MARKS).itertuples(), 1)
    named = set()
    for n, row in ((n, r) for n, r in rows if isinstance(r.at, datetime) and r.at == r.at):
        x, matched = date2num(_clock(row.at, result)), row.matched == 1
        if left <= x <= right:
            name = "change log, matching" if matched else "change log"
            look = {"mfc": theme.ink if matched else theme.card, "mec": theme.ink, "ls": "none", "clip_on": False}
            over = ax.get_xaxis_transform()
            ax.plot([x], [1.0], "v", transform=over, label=f"{'_' if name in named else ''}{name}", **look)
            ax.annotate(str(n), (x, 1.0), (0, 5), xycoords=over, textcoords="offset points", ha="center", fontsize=7.5)
            named.add(name)


def _largest(frame: pd.DataFrame) -> pd.DataFrame:
    """The slices with an effect, in the order given, as many as can be read; the picked one is always among them."""
    if not len(frame):
        return frame
    frame = frame[frame.effect.notna()]
    frame = frame.assign(picked=frame.picked == 1)
    kept = frame.iloc[:MAX_SLICES]
    if len(frame) > MAX_SLICES and not kept.picked.any() and frame.picked.any():
        kept = pd.concat([frame.iloc[: MAX_SLICES - 1], frame[frame.picked].iloc[:1]])
    return kept.reset_index(drop=True).astype({"effect": float, "low": float, "high": float})
