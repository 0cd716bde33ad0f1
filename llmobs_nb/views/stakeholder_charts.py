"""The pictures of the page for stakeholders: what moved and how sure that is, and how much was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import weekly_words as words
from .chart_parts import chart_title, nothing_to_draw
from .parts import BLUE, ORANGE
from .stakeholder_sentences import important
from .stakeholder_words import saying
from .theme import LIGHT, Theme, is_number, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 10
_REACH = 4.0
_MARKS = {
    "worse": ("v", "worse", ORANGE),
    "better": ("^", "better", BLUE),
    "same": ("s", "the same", None),
    "cannot_tell": ("o", "cannot tell yet", None),
}


def message(result) -> str:
    """What the picture says."""
    found = words.counts(words.kpi_rows(result))
    n = sum(found.values())
    if not _rows(result):
        return f"Nothing can be compared with last {words.span(result)}"
    told = [f"{found[v]} got {v}" for v in ("worse", "better") if v in found]
    return f"Of {n} numbers {' and '.join(told)} beyond doubt" if told else "No number is better or worse beyond doubt"


@themed
def moves(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """A line a number: where the change lies, in units of the change that matters, to the right when it is for the better."""
    rows = _rows(result)[:MOST]
    if not rows:
        return nothing_to_draw(figure, message(result), theme)
    figure = figure or new_figure(1.5 + 0.3 * len(rows))
    ax = figure.subplots()
    ax.axvspan(-1, 1, color=theme.grid, lw=0)
    ax.axvline(0, color=theme.muted, lw=0.8)
    for at, row in enumerate(reversed(rows)):
        low, value, high = _scaled(row)
        mark, said, colour = _MARKS[row["verdict"]]
        look = {"color": colour or theme.last, "mfc": colour or theme.card}
        ax.plot(np.clip([low, high], -_REACH, _REACH), [at, at], color=look["color"], lw=1.8)
        _ends(ax, low, high, at, look["color"])
        ax.plot([np.clip(value, -_REACH, _REACH)], [at], mark, ms=7, mew=1.4, label=said, **look)
    ax.set_yticks(range(len(rows)), [label(saying(r).short.format(), 34) for r in reversed(rows)], color=theme.ink)
    ax.set_xticks([-2.5, 0, 2.5], ["← worse", "too small to matter", "better →"], color=theme.ink)
    ax.set_xlim(-_REACH - 0.1, _REACH + 0.1)
    ax.grid(visible=False)
    return _once(figure, message(result), ax, theme)


def _ends(ax, low: float, high: float, at: int, colour: str) -> None:
    """An arrow where an interval goes on beyond the picture."""
    for beyond, x, mark in ((low < -_REACH, -_REACH, "<"), (high > _REACH, _REACH, ">")):
        if beyond:
            ax.plot([x], [at], mark, ms=5, color=colour, clip_on=False)


def _once(figure: Figure, told: str, ax, theme: Theme) -> Figure:
    """The legend with each mark once."""
    handles, names = ax.get_legend_handles_labels()
    seen = dict(zip(names, handles, strict=True))
    order = [name for _, name, _ in _MARKS.values() if name in seen]
    chart_title(figure, told, theme)
    figure.legend([seen[name] for name in order], order, loc="outside lower left", ncols=4)
    return figure


def _rows(result) -> list[dict]:
    """The rows that can get better or worse and have an interval and a margin: what moved, then what matters most."""
    rows = [r for r in important(words.kpi_rows(result)) if r["better"] in ("up", "down") and r["verdict"] in _MARKS]
    parts = ("change_value", "change_low", "change_high", "margin")
    drawn = [r for r in rows if all(is_number(r[k]) for k in parts) and r["margin"] > 0]
    moved = words.moved(drawn)
    return [*moved, *(r for r in drawn if r not in moved and saying(r).known)]


def _scaled(row: dict) -> tuple[float, float, float]:
    """Low, value and high in units of the margin, better upwards."""
    sign = 1 if row["better"] == "up" else -1
    low, value, high = (sign * row[f"change_{k}"] / row["margin"] for k in ("low", "value", "high"))
    return min(low, high), value, max(low, high)
