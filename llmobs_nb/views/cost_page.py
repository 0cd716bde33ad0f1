"""The cost page for engineers: ledger, change, days, month, rhythm, spenders, unit costs, waste, anomalies, budgets, gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..html import Head, Html, details, heading, paragraph, stack
from ..text import terminal
from . import cost_charts as charts
from . import cost_tables as tables
from . import cost_words as words
from .bundle import View, chart
from .claimed import claimed, quoting
from .cost_drill import ALL, Drill, spenders
from .parts import findings, number_heads, page_head, provenance
from .parts import numbers as opened
from .theme import label
from .widget_parts import html_widget

if TYPE_CHECKING:
    from ipywidgets import Widget


class CostPage(View):
    """The page; the menus of its top spenders read back as arguments."""

    def __init__(self, html: Html, text: str, drill: Drill, build: Callable[[View], Widget], figures: tuple):
        super().__init__(html, text, widget=build if drill.params["split"] else None, figures=figures)
        self.params, self._drill = drill.params, drill

    def kwargs(self) -> dict:
        """The keyword arguments of :func:`llmobs_nb.cost` that look at what is chosen: ``lm.cost(obs, **page.kwargs())``."""
        return self._drill.kwargs()


# --- the views


def cost(result, *, split: str | None = None, value: str = ALL) -> CostPage:
    """The whole page of a CostResult. ``split`` and ``value`` are what the menus of the top spenders start with."""
    drill = spenders(result, split=split, value=value)
    parts, charted = _sections(result, drill)
    static = stack(*(part.html if isinstance(part, View) else part for part in parts))
    figures = tuple(f for v in charted for f in v.figures)
    return CostPage(static, words.summary(result), drill, lambda _: _page_widget(parts), figures)


def trend(result) -> View:
    """What each day cost and what the days to come are expected to."""
    head = [Head("day"), *number_heads("cost, 80 % interval"), Head("")]
    return chart(charts.trend, result, words.trend(result), opened(head, tables.days(result)))


def month(result) -> View:
    """The month day upon day, what it will come to, and its limit."""
    head = [Head("day"), *number_heads("cost of the month, 80 % interval"), Head("")]
    rows = tables.running(result) if result.forecast is not None else []
    return chart(charts.month, result, words.month(result), opened(head, rows))


def waterfall(result) -> View:
    """The change in its parts, which add up."""
    rows = tables.parts(result) if result.change is not None else Html("")
    return chart(charts.waterfall, result, words.change(result), rows)


def rhythm(result) -> View:
    """What an hour costs, by weekday and hour."""
    rows = tables.hours(result)
    return chart(
        charts.rhythm,
        result,
        words.rhythm(result),
        opened([Head("day"), *number_heads(*(f"{h:02d}:00" for h in range(24)))], rows),
    )


def partition(result) -> View:
    """What each row of the partition cost, and one request of it."""
    made = chart(charts.by, result, words.by(result), tables.by(result))
    texts = [label(v, 40) for k in result.keys for v in (result.by[k] if len(result.by) else ())]
    return View(quoting("div", made.html, texts=texts), made.text, figures=made.figures)


# --- the sections


def _top(result) -> Html:
    if result.window is None:
        return page_head(result)
    when = f"{result.window.start:%Y-%m-%d %H:%M} to {result.window.end:%Y-%m-%d %H:%M} UTC"
    line = f"{terminal(result.window.label, 80)} ({when}); days are cut in {terminal(result.tz, 40)}; all money is US dollars."
    return page_head(result, paragraph(line, small=True))


def _sections(result, drill: Drill) -> tuple[list[View | Html], list[View]]:
    """The page from top to bottom, and those of its parts that are charts."""
    if result.window is None:
        return [_top(result), findings(result), provenance(result)], []
    moved, days, months, split, when = (draw(result) for draw in (waterfall, trend, month, partition, rhythm))
    by = ", ".join(label(k, 40) for k in result.keys)
    parts = [
        _top(result), heading("What was spent"), tables.totals(result), tables.ledger(result),
        heading(_moved_title(result)), moved.html, *([tables.slices(result), tables.beside(result)] if result.change is not None else []),
        heading("Day by day"), days.html,
        heading("What the month will come to"), months.html, *_section("Budgets", tables.budgets(result)),
        *_section("How well such forecasts did", tables.backtest(result)),
        heading("Who and what spends"), tables.concentration(result), drill,
        heading(f"By {by}" if by else "All of it"), split.html, _folded("Two columns crossed", tables.pairs(result)),
        heading("What one of each costs"), tables.per_unit(result),
        heading("When it is spent"), when.html,
        heading("Where the waste is"), _waste(result),
        heading("What was unusual"), tables.anomalies(result),
        *_section("Recorded cost that is not the list price", tables.gaps(result)),
        *_section("Calls without a price", tables.unpriced(result)),
        findings(result), provenance(result),
    ]  # fmt: skip
    return parts, [moved, days, months, split, when]


def _moved_title(result) -> str:
    moved = result.change
    return (
        "Why it moved"
        if moved is None
        else f"Why it moved: {terminal(moved.after.label, 60)} against {terminal(moved.before.label, 60)}"
    )


def _waste(result) -> Html:
    told = "These lines may overlap, so they do not add up; they say what is looked at first, not what can be saved."
    return stack(
        claimed("p", words.waste(result), ids=["waste.*", "page.waste"]), paragraph(told, small=True), tables.waste(result)
    )


def _section(title: str, body: Html) -> list[Html]:
    """A part with its heading; nothing where there is nothing to show."""
    return [heading(title), body] if body else []


def _folded(title: str, body: Html) -> Html:
    return details(title, body) if body else Html("")


# --- the widget


def _page_widget(parts: Sequence[View | Html]) -> Widget:
    """The page with the widget of the top spenders in its place; what stands above it and below is one piece each."""
    from ipywidgets import VBox

    at = next(i for i, part in enumerate(parts) if isinstance(part, View))
    return VBox([html_widget(stack(*parts[:at])), parts[at].widget, html_widget(stack(*parts[at + 1 :]))])
