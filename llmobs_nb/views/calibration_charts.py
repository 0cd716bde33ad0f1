"""The calibration charts: CalibrationResult in, Figure out, one message each, intervals drawn, nothing computed.

What the page is about is blue with filled marks, what stands beside it hollow and dashed; what needs a look is an orange triangle.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from .. import units
from ..analyses.result import Estimate
from . import calibration_numbers as numbers
from . import calibration_words as words
from .chart_parts import chart_title, finish, nothing_to_draw, reach, value_axis, value_axis_across
from .parts import BLUE, ORANGE
from .theme import LIGHT, Theme, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_SLICES = 14
_MARKS = {"judge_drift": "^", "product_drift": "s", "both": "D", "none": "o", "cannot_tell": "x"}


class Row(NamedTuple):
    """A line of a forest: its name, its number, how it looks (main, beside, flag) and how far it stands off its line."""

    name: str
    estimate: Estimate
    look: str = "main"
    off: float = 0.0


# --- forests


@themed
def pass_rate(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """The judge's own pass rate, the corrected one, and the corrected one week by week."""
    naive, corrected = (numbers.estimate(result.pass_rate.get(k)) for k in ("naive", "corrected"))
    rows = [Row("the judge alone", naive, "beside"), Row("corrected by labels", corrected)]
    rows += [Row(f"corrected, week of {label(r['week'], 12)}", numbers.of_week(r)) for r in numbers.weeks(result)]
    names = {"beside": "as the judge says", "main": "corrected, 95 % interval"}
    return _forest(figure, words.pass_rate(result), rows, names, units.rate, theme)


@themed
def agreement(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Every measure of agreement, with the humans' ceiling and the judge's own floor below it."""
    known = numbers.agreed(result)
    rows = [Row(words.measure(name), e) for name, e in known]
    beside = [Row(words.CEILING, result.ceiling, "beside"), Row(words.FLOOR, result.floor, "beside")]
    names = {"main": "judge with humans, 95 % interval", "beside": "ceiling and floor"}
    drawn = _forest(figure, words.agreement(result), [*rows, *beside] if known else [], names, units.number, theme)
    if known:
        for e, line in ((result.ceiling, "--"), (result.floor, ":")):
            if e.ok:
                drawn.axes[0].axvline(e.value, color=theme.last, lw=1, ls=line, zorder=0)
    return drawn


@themed
def bias(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What the judge leans on: at the same human label (filled) and over all answers (hollow); what is flagged is orange."""
    rows = []
    for r in numbers.rows(result.bias):
        name = words.covariate(r["covariate"])
        rows.append(Row(name, numbers.estimate(r["given_human"]), "flag" if r["flagged"] else "main"))
        rows.append(Row(name, numbers.estimate(r["marginal"]), "beside", 0.28))
    names = {"main": "at the same human label, 95 % interval", "flag": "flagged", "beside": "judge minus human, over all"}
    drawn = _forest(figure, words.bias(result), rows, names, units.signed, theme)
    if any(r.estimate.ok for r in rows):
        drawn.axes[0].axvline(0, color=theme.muted, lw=1)
    return drawn


def _forest(figure: Figure | None, message: str, rows: Sequence[Row], names: dict, text, theme: Theme) -> Figure:
    """Rows below each other, each a point with its interval; a row without a number says so."""
    if not any(r.estimate.ok for r in rows):
        return nothing_to_draw(figure, message, theme)
    lines = list(dict.fromkeys(r.name for r in rows))
    figure = figure or new_figure(1.3 + 0.3 * max(len(lines), 2))
    ax = figure.subplots()
    places = {name: len(lines) - 1 - at for at, name in enumerate(lines)}
    for look, told in names.items():
        _points(ax, [r for r in rows if r.look == look and r.estimate.ok], places, look, told, theme)
    for r in rows:
        if not r.estimate.ok and not r.off:
            told, place = "cannot be told", (0.01, places[r.name])
            ax.annotate(told, place, xycoords=("axes fraction", "data"), va="center", fontsize=8, color=theme.muted)
    ax.set_yticks(list(places.values()), list(places), color=theme.ink)
    ax.set_ylim(-0.6, len(lines) - 0.4)
    value_axis_across(ax, text)
    return finish(figure, message, ax, theme, columns=3)


def _points(ax: Axes, rows: Sequence[Row], places: dict[str, int], look: str, told: str, theme: Theme) -> None:
    if not rows:
        return
    value, low, high = (pd.Series([getattr(r.estimate, k) for r in rows], dtype=float) for k in ("value", "ci_low", "ci_high"))
    how = {
        "main": {"fmt": "o", "color": theme.this},
        "flag": {"fmt": "^", "color": ORANGE, "ms": 7},
        "beside": {"fmt": "D", "color": theme.last, "mfc": theme.card, "ms": 4.5},
    }[look]
    y = [places[r.name] - r.off for r in rows]
    drawn = ax.errorbar(value, y, xerr=reach(value, low, high), label=told, capsize=2.5, elinewidth=1.6, **how)
    if look == "beside":
        for line in drawn[2]:
            line.set_linestyle("--")


# --- matrices


@themed
def confusion(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """How many pairs fell into each cell of judge by human; the cells of a disagreement have a dashed frame and say so."""
    n = numbers.pairs(result)
    if not n:
        return nothing_to_draw(figure, words.confusion(result), theme)
    figure = figure or new_figure(2.9)
    ax = figure.subplots()
    grid = np.array([[result.confusion[k] for k in ("tp", "fn")], [result.confusion[k] for k in ("fp", "tn")]], float)
    shown = ax.imshow(grid, aspect="auto", cmap=_cmap(theme), vmin=0, vmax=max(grid.max(), 1))
    for (y, x), count in np.ndenumerate(grid):
        same = x == y
        told = f"{units.count(count)}\n{'agree' if same else 'disagree'}"
        ax.text(x, y, told, ha="center", va="center", color=_on(shown, count), fontsize=10.5)
        if not same:
            ax.add_patch(_frame(x, y))
    ax.set_xticks([0, 1], ["judge passes", "judge fails"], color=theme.ink)
    ax.set_yticks([0, 1], ["human passes", "human fails"], color=theme.ink)
    ax.grid(visible=False)
    chart_title(figure, words.confusion(result), theme)
    return figure


@themed
def slices(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Agreement of each slice with its interval in words, darker (on a dark page lighter) where it is higher; a worse one has a frame."""
    found = numbers.rows(result.slices, _MAX_SLICES)
    if not found:
        return nothing_to_draw(figure, words.slices(result), theme)
    figure = figure or new_figure(1.3 + 0.36 * max(len(found), 2))
    ax = figure.subplots()
    cells = [[numbers.estimate(r[k]) for k in ("raw", "kappa")] for r in found]
    grid = np.array([[np.nan if e.value is None else e.value for e in row] for row in cells], float)
    shown = ax.imshow(grid, aspect="auto", cmap=_cmap(theme), vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(grid):
        e, unit = cells[y][x], ("rate", "score")[x]
        told = f"{units.quantity(e.value, unit, low=e.ci_low, high=e.ci_high)} ({units.interval(e.ci_low, e.ci_high, unit)})"
        known = np.isfinite(value)
        ax.text(
            x,
            y,
            told if known else "cannot be told",
            ha="center",
            va="center",
            fontsize=8,
            color=_on(shown, value) if known else theme.muted,
        )
    for y, r in enumerate(found):
        if r["verdict"] in words.WORSE:
            ax.add_patch(_frame(0, y))
    told = [
        f"{words.SLICES.get(r['verdict'], ('', '', ''))[0]} {label(numbers.slice_name(r), 30)}, n {units.count(r['n'])}"
        for r in found
    ]
    ax.set_yticks(range(len(found)), told, color=theme.ink)
    ax.set_xticks([0, 1], ["share that agrees", "Cohen's kappa"], color=theme.ink)
    ax.xaxis.tick_top()
    ax.grid(visible=False)
    chart_title(figure, words.slices(result), theme)
    return figure


def _cmap(theme: Theme) -> str:
    return "cividis" if theme.name == "dark" else "cividis_r"


def _on(shown, value: float) -> str:
    """Black or white, whichever reads on the colour of a cell."""
    red, green, blue, _ = shown.cmap(shown.norm(value))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else "#ffffff"


def _frame(x: float, y: float):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, ec=ORANGE, lw=2, ls="--")


# --- curves


@themed
def curve(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """What share humans pass by the judge's score, with intervals; the dashed line is a score that means what it says."""
    frame = result.curve
    if not len(frame):
        return nothing_to_draw(figure, words.curve(result), theme)
    figure = figure or new_figure(3.4)
    ax = figure.subplots()
    value, low, high = (frame[k].astype(float) for k in ("human_rate", "ci_low", "ci_high"))
    ax.errorbar(
        frame.score,
        value,
        yerr=reach(value, low, high),
        fmt="o-",
        color=theme.this,
        capsize=2.5,
        label="humans pass, 95 % interval",
    )
    if numbers.are_shares(result):
        ax.plot([0, 1], [0, 1], "--", color=theme.last, lw=1.1, label="a score that means what it says")
        ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.04, 1.04)
    ax.set_xlabel("the judge's score")
    value_axis(ax, units.rate)
    return finish(figure, words.curve(result), ax, theme)


@themed
def threshold(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Both kinds of mistake by threshold above, what an answer costs in them below; the cheapest is marked with its interval."""
    if not numbers.thresholds(result):
        return nothing_to_draw(figure, words.threshold(result), theme)
    known = result.threshold
    frame = known["curve"].sort_values("threshold").astype(float)
    figure = figure or new_figure(4.2)
    top, below = figure.subplots(2, 1, sharex=True)
    top.plot(frame.threshold, frame.false_pass_rate, "o-", color=ORANGE, ms=4, label="false passes")
    top.plot(frame.threshold, frame.false_fail_rate, "D--", color=BLUE, mfc=theme.card, ms=4, label="false fails")
    top.set_title("Share of answers that are judged wrongly")
    value_axis(top, units.rate)
    below.plot(frame.threshold, frame.cost, "o-", color=theme.this, ms=4)
    below.set_title("What an answer costs in mistakes")
    below.set_xlabel("threshold: a score from here on passes")
    value_axis(below, lambda v: f"{v:,.6g}")
    for ax in (top, below):
        ax.axvspan(known["ci_low"], known["ci_high"], color=theme.muted, alpha=0.18, lw=0, label="cheapest, 95 % interval")
        ax.axvline(known["value"], color=theme.ink, lw=1.4, ls=":", label="cheapest")
    return finish(figure, words.threshold(result), top, theme, columns=4)


@themed
def drift(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Agreement by week and judge version above, the mark says what moved; below what judge, humans and users' thumbs pass."""
    found = [r for r in numbers.periods(result) if any(numbers.estimate(r[k]).ok for k in ("agreement", "judge", "human"))]
    if not found:
        return nothing_to_draw(figure, words.drift(result), theme)
    figure = figure or new_figure(4.6)
    top, below = figure.subplots(2, 1, sharex=True)
    for verdict in dict.fromkeys(r["verdict"] for r in found):
        quiet = verdict not in words.MOVED
        look = {"fmt": _MARKS.get(verdict, "*"), "color": theme.this if quiet else ORANGE, "ms": 5 if quiet else 7}
        _standing(
            top,
            found,
            "agreement",
            look,
            words.DRIFT.get(verdict, ("", label(verdict, 30), ""))[1],
            lambda r, v=verdict: r["verdict"] == v,
        )
    for at, (column, name) in enumerate(words.WITNESSES.items()):
        look = {
            "fmt": "oDv"[at],
            "color": (theme.this, theme.last, theme.ink)[at],
            "mfc": (None, theme.card, theme.card)[at],
            "ms": 5,
        }
        _standing(below, found, column, look, name, off=0.14 * (at - 1))
    top.set_title("Share of pairs that agree, with 95 % interval")
    below.set_title("What each witness passes, with 95 % interval")
    for ax in (top, below):
        ax.margins(y=0.1)
        value_axis(ax, units.rate)
    below.set_xticks(range(len(found)), [textwrap.fill(words.period(r), 16) for r in found])
    below.set_xlim(-0.5, len(found) - 0.5)
    if below.containers:
        below.legend(loc="best", ncols=3)
    return finish(figure, words.drift(result), top, theme, columns=4)


def _standing(
    ax: Axes, found: Sequence[dict], column: str, look: dict, name: str, among=lambda r: True, off: float = 0.0
) -> None:
    """One estimate of each row that is ``among`` them, as points with standing intervals."""
    there = [(x + off, e) for x, r in enumerate(found) if among(r) and (e := numbers.estimate(r[column])).ok]
    if there:
        value, low, high = (pd.Series([getattr(e, k) for _, e in there], dtype=float) for k in ("value", "ci_low", "ci_high"))
        ax.errorbar([x for x, _ in there], value, yerr=reach(value, low, high), capsize=2.5, elinewidth=1.3, label=name, **look)
