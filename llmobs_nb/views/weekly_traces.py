"""Traces of the weekly page by their ids, each a link to the product it came from where the store knows the address."""

from __future__ import annotations

from collections.abc import Iterable

from ..html import Html, join
from .parts import trace_name


def names(result, traces: Iterable[str]) -> Html:
    """Ids side by side; one that opens in its product is a link."""
    urls = getattr(result, "urls", {})
    return join([trace_name(t, urls.get(t)) for t in traces], " &nbsp; ")
