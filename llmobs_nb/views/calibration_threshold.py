"""The threshold explorer: a threshold and the costs of both mistakes; what they bring, and the arguments that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .. import units
from ..errors import UsageError, choose
from ..html import Head, Html, paragraph, stack, table
from . import calibration_numbers as numbers
from . import calibration_words as words
from .bundle import View
from .claimed import claimed
from .parts import BLUE, number_heads, verdict_badge
from .theme import is_number, label
from .widget_parts import html_widget

if TYPE_CHECKING:
    from ipywidgets import Widget

MAX_COST = 1000.0
_COSTS = ("cost_false_pass", "cost_false_fail")
_KEPT = ("judge", "human", "human_pass_at", "design", "by", "cluster", "since", "until", "tz", "where", "target_half_width")
_MARKS = {"now": ("▶", "chosen", "solid"), "best": ("★", "costs least", "double")}


class Thresholds(View):
    """A view of thresholds; ``params`` (pass_at, cost_false_pass, cost_false_fail) are arguments of :func:`llmobs_nb.calibrate`."""

    def __init__(self, result, params: dict):
        self._result = result
        known = bool(numbers.thresholds(result))
        build = (lambda view: _widget(result, view)) if known else None
        super().__init__(_static(result, params), words.threshold(result), widget=build, params=params)

    def kwargs(self) -> dict:
        """All keyword arguments that ask again with what is chosen: ``lm.calibrate(obs, **explorer.kwargs())``."""
        given = self._result.parameters | (self._result.provenance.get("window") or {})
        return {name: given[name] for name in _KEPT if given.get(name) not in (None, "", [], {})} | self.params


def threshold(
    result, *, pass_at: float | None = None, cost_false_pass: float | None = None, cost_false_fail: float | None = None
) -> Thresholds:
    """The thresholds of a CalibrationResult to choose from; the arguments say where slider and costs start.

    By default at the threshold at which mistakes cost least, with the costs of the result; ``explorer.params`` is where they stand.
    A score without thresholds says so. UsageError for a threshold that was not looked at, or a cost that is none.
    """
    menu = numbers.thresholds(result)
    if not menu:
        return Thresholds(result, {})
    known = result.threshold
    costs = {k: _cost(k, known[k] if v is None else v) for k, v in zip(_COSTS, (cost_false_pass, cost_false_fail), strict=True)}
    frame = numbers.priced(result, *costs.values())
    pass_at = numbers.cheapest(frame) if pass_at is None else float(choose("pass_at", pass_at, menu))
    return Thresholds(result, {"pass_at": pass_at, **costs})


def _cost(name: str, value: float) -> float:
    if not is_number(value) or not 0 <= value <= MAX_COST:
        raise UsageError(f"threshold: {name}={label(value, 40)} is no cost; give a number from 0 to {MAX_COST:g}")
    return float(value)


# --- what is shown


def _static(result, params: dict) -> Html:
    """Some thresholds as a table: the chosen one and the cheapest are among them and marked."""
    if not params:
        return paragraph(words.threshold(result))
    frame = numbers.priced(result, *(params[k] for k in _COSTS))
    best, chosen = numbers.cheapest(frame), params["pass_at"]
    shown = numbers.shown_thresholds(frame, best, chosen)
    head = [
        Head("threshold", number=True),
        *number_heads("false passes", "false fails", "cost of an answer", "pass rate"),
        Head(""),
    ]
    return table([_row(at, r, best, chosen) for at, r in shown.to_dict("index").items()], head)


def _row(at: int, row: dict, best: float, chosen: float) -> list[Html]:
    marks = ["now"] * (row["threshold"] == chosen) + ["best"] * (row["threshold"] == best)
    shares = [units.rate(row[k]) for k in ("false_pass_rate", "false_fail_rate")]
    cells = [units.number(row["threshold"]), *shares, units.number(row["cost"]), units.rate(row["pass_rate"])]
    proved = [claimed("span", c, ids=[f"page.at.{at}.*"]) for c in cells]
    return [*proved, stack(*(verdict_badge(_MARKS, m, dict.fromkeys(_MARKS, BLUE)) for m in marks))]


def _chosen(result, params: dict) -> Html:
    """What the chosen threshold brings, in one line."""
    frame: pd.DataFrame = numbers.priced(result, *(params[k] for k in _COSTS))
    row = numbers.at_threshold(frame, params["pass_at"])
    told = f"At {units.number(row['threshold'])}: {units.rate(row['false_pass_rate'])} false passes, {units.rate(row['false_fail_rate'])} false fails"
    return paragraph(f"{told}; the judge passes {units.rate(row['pass_rate'])}, an answer costs {units.number(row['cost'])}.")


def _widget(result, view: View) -> Widget:
    """A slider over the thresholds and a field for each cost, above the table."""
    from ipywidgets import BoundedFloatText, HBox, Layout, SelectionSlider, VBox

    def drawn() -> str:
        return str(stack(_chosen(result, view.params), _static(result, view.params)))

    shown = html_widget(Html(drawn()))

    def listen(control, name: str):
        def moved(change: dict) -> None:
            view.params[name] = float(change["new"])
            shown.value = drawn()

        control.observe(moved, names="value")
        return control

    wide = {"description_width": "9em"}
    options = [(f"{t:.4g}", t) for t in numbers.thresholds(result)]
    slider = SelectionSlider(
        options=options, value=view.params["pass_at"], description="threshold", continuous_update=False, style=wide
    )
    costs = [
        BoundedFloatText(value=view.params[k], min=0, max=MAX_COST, step=0.5, description=k.replace("_", " "), style=wide)
        for k in _COSTS
    ]
    controls = [listen(c, k) for c, k in zip((slider, *costs), ("pass_at", *_COSTS), strict=True)]
    return VBox([HBox(controls, layout=Layout(flex_flow="row wrap")), shown])
