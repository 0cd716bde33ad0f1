"""The widgets that live pages are made of: HTML that can be redrawn, a menu that writes its choice into the view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..html import Html
from .bundle import View

if TYPE_CHECKING:
    from ipywidgets import HTML, Dropdown


def html_widget(value: Html) -> HTML:
    """HTML in a widget; set its ``value`` to redraw it."""
    from ipywidgets import HTML

    return HTML(value=str(value))


def menu(view: View, key: str, options: Sequence[tuple[str, object]], redraw: Callable[[object], None]) -> Dropdown:
    """A menu that starts with ``view.params[key]``; a choice is written there, then ``redraw`` gets it."""
    from ipywidgets import Dropdown

    made = Dropdown(options=options, value=view.params[key], description=key)

    def chosen(change: dict) -> None:
        view.params[key] = change["new"]
        redraw(change["new"])

    made.observe(chosen, names="value")
    return made
