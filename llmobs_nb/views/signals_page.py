"""The page of hallucination signals: how often each fires now and before, a chart of it, and the answers to read first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import units
from ..html import Head, Html, heading, paragraph, stack, table
from ..text import terminal
from .bundle import View, chart
from .chart_parts import finish, nothing_to_draw, value_axis_across
from .parts import (
    BLUE,
    ORANGE,
    findings,
    left_out,
    number_heads,
    page_head,
    provenance,
    strip,
    trace_name,
    two_lines,
    verdict_badge,
)
from .theme import LIGHT, Theme, new_figure, themed
from .weekly_words import VERDICTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_TRACES = 20
MARGIN = 0.02
_COLOURS = {"better": BLUE, "worse": ORANGE}
_NO_PROOF = "Signs, not proof: nothing here was checked by a model or a person. A signal that does not apply to an answer is left out of its share."


def signals(result) -> View:
    """The page of a SignalsResult."""
    picture = chart(draw, result, terminal(result.headline, 400), Html(""))
    static = stack(
        page_head(result, paragraph(_NO_PROOF, small=True)),
        heading("How often each signal fires"), _table(result), picture.html,
        heading("Answers to read first"), _traces(result), findings(result), provenance(result),
    )  # fmt: skip
    return View(static, _text(result), figures=picture.figures)


@themed
def draw(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Share of answers on which each signal fires, now and in the weeks before, with 95 % intervals."""
    shown = [p for p in result.prevalences if p.this.ok]
    message = terminal(result.headline, 400)
    if not shown:
        return nothing_to_draw(figure, message, theme)
    figure = figure or new_figure(0.9 + 0.42 * len(shown))
    ax, at = figure.subplots(), np.arange(len(shown))[::-1]
    looks = {
        "before": (theme.last, "D", -0.15, "the weeks before", theme.card),
        "this": (theme.this, "o", 0.15, "this window", theme.this),
    }
    for name, (colour, mark, shift, told, fill) in looks.items():
        points = [(y, getattr(p, name)) for y, p in zip(at, shown, strict=True) if getattr(p, name).ok]
        if points:
            y, x = np.array([p[0] + shift for p in points]), np.array([p[1].value for p in points])
            reach = [[e.value - e.ci_low for _, e in points], [e.ci_high - e.value for _, e in points]]
            ax.errorbar(x, y, xerr=np.maximum(reach, 0), fmt=mark, color=colour, mfc=fill, ms=6, lw=1.4, label=told)
    ax.set_yticks(at, [p.label for p in shown])
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_xlim(left=0)
    value_axis_across(ax, units.rate)
    return finish(figure, message, ax, theme, first="this")


def _table(result) -> Html:
    head = [
        Head("signal"),
        *number_heads("this window", "before", "change"),
        Head("", hint="the change and its margin"),
        Head("n", number=True),
        Head("verdict"),
    ]
    return table([_row(p) for p in result.prevalences], head, empty="no traces")


def _row(p) -> list:
    change = p.change
    told = units.points(change.value, low=change.ci_low, high=change.ci_high) if change.ok else units.MISSING
    between = units.interval(change.ci_low, change.ci_high, "rate", kind="absolute") if change.ok else (change.reason or "")
    picture = strip(change.ci_low, change.value, change.ci_high, margin=MARGIN) if change.ok else ""
    n = two_lines(units.count(p.this.n), units.count(p.before.n))
    return [
        p.label,
        _level(p.this),
        _level(p.before),
        two_lines(told, terminal(between, 120)),
        picture,
        n,
        verdict_badge(VERDICTS, p.verdict, _COLOURS),
    ]


def _level(e) -> Html:
    if not e.ok:
        return two_lines(units.MISSING, terminal(e.reason, 120))
    return two_lines(units.rate(e.value, low=e.ci_low, high=e.ci_high), units.interval(e.ci_low, e.ci_high, "rate"))


def _traces(result) -> Html:
    rows = (
        result.traces.set_index("trace_id").loc[list(result.reading_list)[:MAX_TRACES]].reset_index()
        if len(result.traces)
        else result.traces
    )
    cells = [
        [
            trace_name(r["trace_id"]),
            units.number(r["risk"]),
            terminal(r["band"], 20),
            terminal(str(r["fired"] or "").replace("_", " "), 200),
        ]
        for r in rows.to_dict("records")
    ]
    listed = table(
        cells, [Head("trace"), Head("risk", number=True), Head("band"), Head("what fired")], empty="none at medium or high risk"
    )
    return stack(listed, left_out(len(result.reading_list) - len(cells)))


def _text(result) -> str:
    lines = [terminal(result.headline, 600)]
    for p in result.prevalences:
        now = (
            units.rate(p.this.value, low=p.this.ci_low, high=p.this.ci_high)
            if p.this.ok
            else f"n/a ({terminal(p.this.reason, 80)})"
        )
        lines.append(f"  {p.label}: {now}, {p.verdict.replace('_', ' ')}")
    return "\n".join(lines)
