"""The HTML parts that every page is made of: head, verdict, numbers, traces, what a reader must know, how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .. import units
from ..html import STRONG, Head, Html, badge, bullets, details, escape, heading, interval, join, paragraph, stack, table, tag
from ..text import terminal
from .common_words import Cue, cue
from .links import link
from .theme import is_number, label

# Blue and orange of Okabe and Ito: both read on light and on dark, and apart in every kind of colour vision.
BLUE, ORANGE = "#0072b2", "#d55e00"
_ICONS = {"info": "i", "warning": "!", "critical": "‼"}


# --- above and below everything


def page_head(result, *below: object, mark: Html | None = None) -> Html:
    """The headline of a result in bold, its verdict (``mark``) before it where it has one, and what stands ``below``."""
    first = [mark, " "] if mark else []
    return stack(paragraph(*first, tag("b", terminal(result.headline, 600))), *below)


def findings(result) -> Html:
    """What a reader must know about the data, one line a finding; nothing where there is none."""
    found = [stack(badge(f.severity, _ICONS.get(f.severity, "")), f" {terminal(f.text, 400)}") for f in result.findings]
    return stack(heading("About the data"), bullets(found)) if found else Html("")


def provenance(result) -> Html:
    """Arguments and origin of a result, to open on a click."""
    given = {**result.parameters, **result.provenance}
    rows = [[terminal(k), terminal(v, 300)] for k, v in given.items()]
    return details("How this was made", table(rows, [Head("what"), Head("value")]))


# --- numbers


def verdict_badge(menu: Mapping[str, Cue], value: object, colours: Mapping[str, str]) -> Html:
    """A verdict as a word in a frame: its icon, word and line from the ``menu``, its colour (grey without one) on top."""
    icon, told, line = cue(menu, value)
    return badge(told, icon, line=line, colour=colours.get(value, STRONG))


def number_heads(*names: str) -> list[Head]:
    """Heads of columns that hold numbers."""
    return [Head(n, number=True) for n in names]


def numbers(head: Sequence[Head | str], rows: Sequence[Sequence[object]]) -> Html:
    """The numbers behind a chart as a table, to open on a click; nothing without rows."""
    return details("The numbers", table(rows, head)) if rows else Html("")


def two_lines(value: str, between: str) -> Html:
    """A number with its interval small below it; a missing interval (n/a) is left out."""
    small = tag("small", between, style="opacity:.8;") if between != units.MISSING else ""
    return join([value, small], "<br>") if small else escape(value)


def strip(
    low: object, value: object, high: object, *, limit: float | None = None, margin: object = None, title: str = ""
) -> Html:
    """A change as a picture in a cell: its interval, its value, zero and the margin around it.

    It reaches to ``limit`` on both sides, by default a tenth beyond what is drawn. Nothing where a number is missing.
    """
    if not all(is_number(v) for v in (low, value, high)):
        return Html("")
    margin = margin if is_number(margin) else None
    limit = 1.1 * max(abs(low), abs(high), abs(value), margin or 0) if limit is None else limit
    return interval(low, value, high, limit=limit, margin=margin, title=title) if limit else Html("")


def left_out(count: int, what: str = "more") -> Html:
    """How many rows are not shown and where they are; nothing where all are."""
    return paragraph(f"{count} {what} are in result.json", small=True) if count > 0 else Html("")


# --- traces


def trace_name(trace_id: object, url: object = None, *, limit: int = 80) -> Html:
    """The id of a trace, a link to it in its product where ``url`` is a plain web address."""
    return tag("code", link(url, label(trace_id, limit)))


def trace_names(traces: Iterable[object]) -> Html:
    """Ids of traces side by side."""
    return paragraph(join(map(trace_name, traces), " &nbsp; "))
