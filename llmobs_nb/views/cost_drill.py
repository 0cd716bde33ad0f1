"""Who and what spends: choose a column, then a value of it; see what it costs, and get the arguments that look at it alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..errors import choose
from ..html import Html, details, join, paragraph, stack, tag
from . import cost_charts as charts
from . import cost_numbers as numbers
from . import cost_tables as tables
from . import cost_words as words
from .bundle import View, chart
from .claimed import quoting
from .theme import label
from .widget_parts import html_widget, menu

if TYPE_CHECKING:
    from ipywidgets import Widget

ALL = "all of it"
_KEPT = ("since", "until", "against", "tz", "by")


class Drill(View):
    """A view of the top spenders whose state reads back as arguments."""

    def __init__(self, result, params: dict):
        self._result = result
        keys = numbers.splits(result)
        shown = _static(result, params) if keys else paragraph("Nothing has a cost.")
        text = "; ".join(words.spenders(result, key) for key in keys) or words.EMPTY
        super().__init__(shown, text, widget=(lambda view: _widget(result, view)) if keys else None, params=params)

    def kwargs(self) -> dict:
        """The keyword arguments of :func:`llmobs_nb.cost` that look at what is chosen: ``lm.cost(obs, **drill.kwargs())``.

        The window and the filter of the result go along.
        """
        given = self._result.parameters
        kept = {name: given[name] for name in _KEPT if given.get(name)}
        chosen = dict(_values(self._result, self.params["split"])).get(self.params["value"], ...)
        where = dict(given.get("where") or {}) | ({} if chosen is ... else {self.params["split"]: chosen})
        return kept | ({"where": where} if where else {})


def spenders(result, *, split: str | None = None, value: str = ALL) -> Drill:
    """The top spenders of a CostResult by column; ``split`` and ``value`` are what its two menus start with.

    ``drill.params`` is where the menus stand, ``drill.kwargs()`` what to give to the analysis. Without a cost it says so.
    UsageError for a column or a value that is not on the menu.
    """
    keys = numbers.splits(result)
    if keys:
        split = keys[0] if split is None else choose("split", split, keys)
        choose("value", value, [name for name, _ in _values(result, split)])
    return Drill(result, {"split": split, "value": value})


def _values(result, key: str | None) -> list[tuple[str, object]]:
    """The values of a column as they stand in the menu, and in the data; what stands for all of it first."""
    rows = numbers.split(result, key).to_dict("records") if key else []
    return [(ALL, ...), *((label(r["value"], 60), _plain(r["value"])) for r in rows if not numbers.is_rest(r["id"]))]


def _plain(value: object) -> object:
    return None if value != value else value


def _drawn(result, key: str, value: object = ...) -> View:
    """The chart of a column with its table; below it what a chosen value is spent on."""
    below = [tables.spenders(result, key)] + ([] if value is ... else [tables.crossed(result, key, value)])
    made = chart(partial(charts.spenders, key=key, value=value), result, words.spenders(result, key), stack(*below))
    texts = [label(key, 40), *(label(r["value"], 40) for r in numbers.split(result, key).to_dict("records"))]
    return View(quoting("div", made.html, texts=texts), made.text, figures=made.figures)


def _static(result, params: dict) -> Html:
    """What is chosen as a chart, the other columns as tables that open on a click."""
    others = [key for key in numbers.splits(result) if key != params["split"]]
    folded = (details(join(["by ", tag("samp", label(key, 40))]), tables.spenders(result, key)) for key in others)
    return stack(_shown(result, params), *folded)


def _shown(result, params: dict) -> Html:
    return _drawn(result, params["split"], dict(_values(result, params["split"]))[params["value"]]).html


def _widget(result, view: View) -> Widget:
    """Two menus and the chart; another column offers its own values."""
    from ipywidgets import HBox, VBox

    shown = html_widget(_shown(result, view.params))

    def redraw(_chosen: object) -> None:
        shown.value = str(_shown(result, view.params))

    def offer(split: str) -> None:
        view.params["value"] = ALL
        value.options = _options(result, split)
        redraw(split)

    value = menu(view, "value", _options(result, view.params["split"]), redraw)
    split = menu(view, "split", [(label(k, 60), k) for k in numbers.splits(result)], offer)
    return VBox([HBox([split, value]), shown])


def _options(result, key: str) -> list[tuple[str, str]]:
    return [(name, name) for name, _ in _values(result, key)]
