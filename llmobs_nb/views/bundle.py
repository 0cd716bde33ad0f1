"""A view is one thing to show in three forms at once: widget, HTML and short text. The reader's program picks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..html import Html, figure, image, stack
from .theme import DARK, LIGHT, png, style

if TYPE_CHECKING:
    from ipywidgets import Widget
    from matplotlib.figure import Figure

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


class View:
    """Something to show: ``html`` says everything with no script, ``text`` says it short, ``widget`` lets a reader choose.

    The widget is built when the view is first displayed (or asked for), drawn at once, so that a run without a reader
    stores it drawn. ``params`` are the keyword arguments that make the same view again; a click changes them.
    """

    def __init__(
        self,
        html: Html,
        text: str,
        *,
        widget: Callable[[View], Widget] | None = None,
        params: dict | None = None,
        figures: tuple[Figure, ...] = (),
    ):
        self.html = html
        self.text = text
        self.params = dict(params or {})
        self.figures = figures
        self._build = widget
        self._widget: Widget | None = None

    @property
    def widget(self) -> Widget | None:
        """The widget form, None for a view that has no choices."""
        if self._widget is None and self._build is not None:
            self._widget = self._build(self)
        return self._widget

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        data: dict[str, object] = {"text/plain": self.text, "text/html": str(self.html)}
        widget = self.widget
        if widget is not None:
            shown = widget._repr_mimebundle_() or {}
            shown = shown[0] if isinstance(shown, tuple) else shown
            data |= {k: v for k, v in shown.items() if k == WIDGET_MIME}
        kept = {k: v for k, v in data.items() if not include or k in include}
        return {k: v for k, v in kept.items() if not exclude or k not in exclude}


def chart(draw: Callable[..., Figure], result, message: str, below: Html) -> View:
    """The view of a chart: ``draw(result, theme=…)`` for light and dark readers, its ``message`` for those who do not see it.

    What stands ``below`` says the same in numbers. The view's one figure is the light one.
    """
    pictures, figures = {}, []
    for theme in (LIGHT, DARK):
        with style(theme):
            figures.append(draw(result, theme=theme))
            pictures[theme.name] = png(figures[-1])
    shown = figure(image(pictures["light"], message, dark=pictures["dark"]))
    return View(stack(shown, below), message, figures=(figures[0],))
