"""The two pictures of drift: words that moved with their intervals, and the questions on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .chart_parts import finish, nothing_to_draw, reach, value_axis_across
from .theme import Theme, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 14
MARKERS = "os^DvP*X"


def words_message(result, name: str) -> str:
    """What the bars show, in a sentence."""
    found = result.moved[result.moved["name"] == name]
    titles = result.rows.set_index("name")["label"]
    title = label(titles.get(name, name), 60)
    if not len(found):
        return f"{title}: nothing in it moved beyond doubt"
    up = int((found["log_odds"] > 0).sum())
    return f"{title}: {up} more often and {len(found) - up} less often than before"


@themed
def words(result, *, name: str, theme: Theme) -> Figure:
    """Bars of log odds with simultaneous 95 % limits, at most 14, the surest first; more is filled, less is hatched."""
    found = result.moved[result.moved["name"] == name].head(MOST_BARS).iloc[::-1]
    message = words_message(result, name)
    if not len(found):
        return nothing_to_draw(None, message, theme)
    figure = new_figure(1.3 + 0.26 * len(found))
    ax = figure.subplots()
    up = (found["log_odds"] > 0).to_numpy()
    at = np.arange(len(found))
    for side, colour, hatch, told in ((up, theme.this, None, "more often"), (~up, theme.last, "////", "less often")):
        if side.any():
            ax.barh(at[side], found["log_odds"].to_numpy()[side], color=colour, hatch=hatch, height=0.7, label=told)
    error = reach(found["log_odds"], found["ci_low"], found["ci_high"])
    ax.errorbar(found["log_odds"], at, xerr=error, fmt="none", ecolor=theme.ink, elinewidth=1.1, capsize=2.5)
    ax.axvline(0, color=theme.muted, linewidth=0.8)
    ax.set_yticks(at, [label(w, 40) for w in found["word"]])
    value_axis_across(ax, lambda v: f"{v:+.1f}" if v else "0")
    ax.set_xlabel("log odds, after against before (bars: simultaneous 95 % limits)")
    return finish(figure, message, ax, theme)


def map_message(result) -> str:
    """What the map shows, in a sentence."""
    n = len(result.places)
    return f"{n:,} questions on a map, alike ones near each other: before as rings, after filled; a mark for each topic"


@themed
def places(result, *, theme: Theme) -> Figure:
    """Both windows on one map: before as grey rings, after as filled marks, a shape and a name for every topic."""
    if not len(result.places):
        return nothing_to_draw(None, "no map: too few questions with texts", theme)
    figure = new_figure(4.6)
    ax = figure.subplots()
    for k, (topic, part) in enumerate(result.places.groupby("topic", sort=True)):
        marker = MARKERS[k % len(MARKERS)]
        old, new = part[part["window"] == "before"], part[part["window"] == "after"]
        ax.scatter(old["x"], old["y"], s=16, marker=marker, facecolors="none", edgecolors=theme.last, linewidths=0.7)
        ax.scatter(new["x"], new["y"], s=16, marker=marker, color=theme.this, alpha=0.75, linewidths=0, label=label(topic, 40))
        middle = part[["x", "y"]].median()
        box = {"facecolor": theme.card, "edgecolor": "none", "alpha": 0.8, "pad": 1}
        ax.text(middle["x"], middle["y"], label(topic, 26), ha="center", fontsize=8, color=theme.ink, bbox=box)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("leading directions of the TF-IDF vectors (no units)")
    return finish(figure, map_message(result), ax, theme, columns=3)
