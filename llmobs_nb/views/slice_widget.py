"""The slice explorer: choose a metric, an attribute, a value; see before and after, and get the arguments of that search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import choose
from ..html import Html, paragraph, stack
from . import incident_words as words
from .bundle import View
from .incident_page import slice_table
from .theme import label
from .widget_parts import html_widget, menu

if TYPE_CHECKING:
    from ipywidgets import Widget

ALL = "all traffic"
_KEPT = ("onset", "before", "after", "tz")


class Explorer(View):
    """A view of slices whose state reads back as arguments."""

    def __init__(self, result, params: dict):
        self._result = result
        said = f"{len(result.slices)} slices of {words.metric(result)} to choose from"
        super().__init__(slice_table(result), said, widget=lambda view: _widget(result, view), params=params)

    def kwargs(self) -> dict:
        """The keyword arguments of :func:`incident` that look at what is chosen: ``lm.incident(obs, **explorer.kwargs())``.

        The filter and the spans of time of the result go along.
        """
        given = self._result.parameters
        kept = {name: given[name] for name in _KEPT if given.get(name)}
        chosen = _table(self._result)[self.params["attribute"], self.params["value"]]
        return kept | {"metric": self.params["metric"], "where": {**(given.get("where") or {}), **words.pairs(chosen)}}


def slice_explorer(result, *, metric: str | None = None, attribute: str = ALL, value: str | None = None) -> Explorer:
    """The slices of the result to choose from; ``metric``, ``attribute`` and ``value`` are what its menus start with.

    ``explorer.params`` is where the menus stand, ``explorer.kwargs()`` what to give to the analysis. The slices were computed
    for the metric of the result; for another one there is no table, only the arguments.
    """
    metric = _metrics(result)[0] if metric is None else choose("metric", metric, _metrics(result))
    choose("attribute", attribute, _attributes(result))
    values = _values(result, attribute)
    value = values[0] if value is None else choose("value", value, values)
    return Explorer(result, {"metric": metric, "attribute": attribute, "value": value})


def _metrics(result) -> list[str]:
    found = [result.metric or "auto", *(o.get("metric") for o in result.others)]
    return list(dict.fromkeys(str(m) for m in found if m))


def _table(result) -> dict[tuple[str, str], str | None]:
    """Attribute and value, as they stand in the menus, to the slice; a slice of two attributes joins both with ``+``."""
    found: dict[tuple[str, str], str | None] = {(ALL, ALL): None}
    for slice in result.slices.slice:
        where = words.pairs(slice)
        if where:
            found[" + ".join(where), " + ".join(where.values())] = slice
    return found


def _attributes(result) -> list[str]:
    return list(dict.fromkeys(attribute for attribute, _ in _table(result)))


def _values(result, attribute: str) -> list[str]:
    return [value for name, value in _table(result) if name == attribute]


def _shown(result, params: dict) -> Html:
    chosen = _table(result)[params["attribute"], params["value"]]
    if params["metric"] != _metrics(result)[0]:
        told = (
            f"The slices were computed for {words.metric(result)}. For {label(params['metric'], 60)} run the analysis again with "
        )
        return paragraph(told, "lm.incident(obs, **explorer.kwargs()).")
    levels = words.levels(result) if chosen is None else ""
    return stack(paragraph(levels) if levels else "", slice_table(result, chosen))


def _widget(result, view: View) -> Widget:
    """Three menus and the table; another attribute offers its own values."""
    from ipywidgets import HBox, VBox

    shown = html_widget(_shown(result, view.params))

    def redraw(_chosen: object) -> None:
        shown.value = str(_shown(result, view.params))

    def offer(attribute: str) -> None:
        known = _values(result, attribute)
        view.params["value"] = known[0]
        value.options = _options(known)
        redraw(attribute)

    metric = menu(view, "metric", _options(_metrics(result)), redraw)
    value = menu(view, "value", _options(_values(result, view.params["attribute"])), redraw)
    attribute = menu(view, "attribute", _options(_attributes(result)), offer)
    return VBox([HBox([metric, attribute, value]), shown])


def _options(values: list[str]) -> list[tuple[str, str]]:
    return [(label(v, 60), v) for v in values]
