"""The calibration page: may the judge be trusted, what passes in truth, where it fails, what is labelled and read next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..html import Head, Html, details, heading, stack
from . import calibration_charts as charts
from . import calibration_numbers as numbers
from . import calibration_tables as tables
from . import calibration_words as words
from .bundle import View, chart
from .calibration_summary import summary
from .calibration_threshold import Thresholds, threshold
from .claimed import quoting
from .parts import findings, number_heads, page_head, provenance
from .parts import numbers as opened
from .widget_parts import html_widget

if TYPE_CHECKING:
    from ipywidgets import Widget


class CalibrationPage(View):
    """The page; where its slider and its costs stand reads back as ``params``."""

    def __init__(
        self, html: Html, text: str, explorer: Thresholds | None, build: Callable[[View], Widget] | None, figures: tuple
    ):
        super().__init__(html, text, widget=build, figures=figures)
        self._explorer = explorer
        self.params = explorer.params if explorer else {}

    def kwargs(self) -> dict:
        """All keyword arguments that ask again with what is chosen: ``lm.calibrate(obs, **page.kwargs())``."""
        return self._explorer.kwargs() if self._explorer else {}


def calibration(result, **start: float) -> CalibrationPage:
    """The whole page of a CalibrationResult. ``start`` (pass_at, cost_false_pass, cost_false_fail) is where the explorer starts."""
    if not result.n:
        static = stack(page_head(result), findings(result), provenance(result))
        return CalibrationPage(static, summary(result), None, None, ())
    explorer = threshold(result, **start)
    parts, charted = _sections(result, explorer)
    static = stack(*(part.html if isinstance(part, View) else part for part in parts))
    build = (lambda _: _page_widget(parts)) if explorer.params else None
    return CalibrationPage(static, summary(result), explorer, build, tuple(f for v in charted for f in v.figures))


# --- the charts, each with its numbers below


def pass_rate(result) -> View:
    """The judge's own pass rate beside the corrected one."""
    return chart(charts.pass_rate, result, words.pass_rate(result), tables.pass_rate(result))


def agreement(result) -> View:
    """Every measure of agreement beside ceiling and floor."""
    return chart(charts.agreement, result, words.agreement(result), tables.agreement(result))


def confusion(result) -> View:
    """The confusion matrix, and how often one side says what the other said."""
    return chart(charts.confusion, result, words.confusion(result), stack(tables.confusion(result), tables.rates(result)))


def curve(result) -> View:
    """What humans pass by score."""
    head = [Head("scores"), *number_heads("mean score", "humans pass, 95 % interval", "n")]
    below = stack(tables.maps(result), opened(head, tables.curve(result)))
    return chart(charts.curve, result, words.curve(result), below)


def costs(result) -> View:
    """Both kinds of mistake and their cost by threshold."""
    return chart(charts.threshold, result, words.threshold(result), Html(""))


def bias(result) -> View:
    """What the judge leans on."""
    return chart(charts.bias, result, words.bias(result), tables.bias(result))


def slices(result) -> View:
    """Agreement by slice."""
    texts = [numbers.slice_name(r) for r in numbers.rows(result.slices)]
    return _quoting(chart(charts.slices, result, words.slices(result), tables.slices(result)), texts)


def drift(result) -> View:
    """Judge and product over time."""
    names = ("agreement, 95 % interval", "the judge passes", "humans pass", "users' thumbs up", "judge minus human", "q")
    head = [Head("when"), *number_heads(*names), Head("what moved"), Head("why")]
    made = chart(charts.drift, result, words.drift(result), opened(head, tables.drift(result)))
    return _quoting(made, [words.period(r) for r in numbers.rows(result.drift)])


def _quoting(view: View, texts: Sequence[str]) -> View:
    """A chart in whose message these texts from the data stand."""
    return View(quoting("div", view.html, texts=texts), view.text, figures=view.figures)


# --- the sections


def _sections(result, explorer: Thresholds) -> tuple[list[View | Html], list[View]]:
    """The page from top to bottom, and those of its parts that are charts."""
    drawn = {make: make(result) for make in (pass_rate, agreement, confusion, bias, slices, drift)}
    curves = [make(result) for make in (curve, costs)] if len(result.curve) or explorer.params else []
    read, below = (curves[0].html, curves[1].html) if curves else ("", "")
    parts = [
        tables.verdict(result), tables.compared(result), tables.counts(result),
        heading("What passes in truth"), drawn[pass_rate].html,
        heading("How the labels were drawn"), tables.design(result),
        heading("How far judge and humans agree"), drawn[agreement].html,
        heading("Which mistakes it makes"), drawn[confusion].html,
        *([heading("Does a score mean what it says"), read, heading("Where the threshold lies"), below] if curves else []), explorer,
        heading("What the judge leans on"), drawn[bias].html,
        heading("Where it agrees less"), drawn[slices].html,
        heading("Did the judge move, or the product"), drawn[drift].html,
        heading("What to label next"), tables.plan(result),
        *([heading("May the judge replace a human here"), tables.replacement(result)] if result.replace else []),
        heading("Read these disagreements"), tables.disagreements(result),
        details("What was left out", tables.dropped(result)),
        findings(result), provenance(result),
    ]  # fmt: skip
    return parts, [*drawn.values(), *curves]


def _page_widget(parts: Sequence[View | Html]) -> Widget:
    """The page with the widget of the threshold explorer in its place; what stands above it and below is one piece each."""
    from ipywidgets import VBox

    at = next(i for i, part in enumerate(parts) if isinstance(part, View))
    return VBox([html_widget(stack(*parts[:at])), parts[at].widget, html_widget(stack(*parts[at + 1 :]))])
