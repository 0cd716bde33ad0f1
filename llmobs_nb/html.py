"""Small builders of HTML strings for reprs and reports.

Everything that is not already :class:`Html` is cleaned, masked and escaped. Notebooks strip ``<style>``, inline ``<svg>``,
``var(--…)`` and ``currentColor`` from what they do not trust, and turn to dark when their reader does, so: inline styles
only, no colour for text, grey half-transparent lines and fills. Each piece reads well without any CSS.
"""

from __future__ import annotations

import base64
import html as _stdlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .text import safe

LINE = "rgba(127,127,127,.35)"
FILL = "rgba(127,127,127,.28)"
STRONG = "rgba(127,127,127,.85)"
CELL_LIMIT = 300


class Html(str):
    """A string that is HTML already; the builders pass it through. It shows itself in a notebook."""

    __slots__ = ()

    def __html__(self) -> str:
        return self

    def _repr_html_(self) -> str:
        return self


def escape(value: object, limit: int | None = CELL_LIMIT) -> Html:
    """``value`` as HTML text: :class:`Html` as it is, None as "", anything else cleaned, shortened and escaped.

    ``$``, ``\\(``, ``\\[`` and ``\\begin`` are broken up as well: notebooks typeset them, two prices on a line are enough.
    """
    if isinstance(value, Html):
        return value
    text = _stdlib.escape(safe(value, limit), quote=True)
    return Html(text.replace("$", "<span>$</span>").replace("\\", "<span>\\</span>"))


def attribute(value: object, limit: int | None = CELL_LIMIT) -> str:
    """``value`` as the inside of a quoted attribute; :class:`Html` as it is."""
    if isinstance(value, Html):
        return value
    return _stdlib.escape(safe(value, limit), quote=True)


def join(parts: Iterable[object], between: str = "") -> Html:
    """The parts one after the other, each escaped unless it is HTML."""
    return Html(between.join(escape(p) for p in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """``<name attributes>children</name>``; a trailing ``_`` in an attribute name falls away, None leaves it out."""
    return Html(f"<{name}{_attributes(attributes)}>{join(children)}</{name}>")


def tag_alone(name: str, **attributes: object) -> Html:
    """A tag without an inside."""
    return Html(f"<{name}{_attributes(attributes)}>")


def _attributes(given: dict[str, object]) -> str:
    """Attributes as they stand in a tag; a style is ours and is only quoted."""
    kept = {k.rstrip("_"): v for k, v in given.items() if v is not None}
    return "".join(f' {k}="{_stdlib.escape(v) if k == "style" else attribute(v, None)}"' for k, v in kept.items())


def paragraph(*children: object, small: bool = False) -> Html:
    """One paragraph."""
    return tag("p", *children, style="margin:.3em 0;" + ("font-size:.9em;opacity:.85;" if small else ""))


def heading(text: object, level: int = 3) -> Html:
    """A heading; ``level`` 1 to 6."""
    return tag(f"h{level}", text, style="margin:1em 0 .3em 0;")


def bullets(items: Sequence[object]) -> Html:
    """A list; nothing when there are no items."""
    return tag("ul", *(tag("li", i) for i in items), style="margin:.3em 0;padding-left:1.4em;") if items else Html("")


@dataclass(frozen=True)
class Head:
    """A column head of :func:`table`: its words, whether its cells are numbers, and a hint."""

    text: str
    number: bool = False
    hint: str | None = None


def table(
    rows: Iterable[Sequence[object]], head: Sequence[Head | str], *, caption: object = None, empty: str = "nothing"
) -> Html:
    """A table with a head; the first cell of a row names it. Without rows it says ``empty``."""
    heads = [h if isinstance(h, Head) else Head(h) for h in head]
    body = [tag("tr", *(_cell(c, h, first=i == 0) for i, (c, h) in enumerate(zip(row, heads, strict=True)))) for row in rows]
    if not body:
        body = [tag("tr", tag("td", tag("i", empty), colspan=len(heads), style=_cell_style(Head(""))))]
    top = tag("thead", tag("tr", *(_head(h) for h in heads)))
    label = [tag("caption", caption, style="text-align:left;padding:.2em 0;caption-side:top;")] if caption else []
    inner = tag("table", *label, top, tag("tbody", *body), style="border-collapse:collapse;border:0;margin:.3em 0;")
    return tag("div", inner, style="overflow-x:auto;max-width:100%;")


def _cell_style(head: Head) -> str:
    side = "right;white-space:nowrap" if head.number else "left"
    return f"text-align:{side};padding:.25em .7em;border:0;border-bottom:1px solid {LINE};vertical-align:top;"


def _cell(value: object, head: Head, *, first: bool) -> Html:
    if first:
        return tag("th", value, scope="row", style=_cell_style(head) + "font-weight:normal;min-width:6em;")
    return tag("td", value, style=_cell_style(head))


def _head(head: Head) -> Html:
    style = _cell_style(head) + f"border-bottom:2px solid {STRONG};vertical-align:bottom;font-weight:bold;"
    return tag("th", head.text, scope="col", title=head.hint, style=style)


def badge(text: object, icon: str = "", *, line: str = "solid", colour: str = STRONG) -> Html:
    """A word in a frame; ``icon`` and the kind of ``line`` say it again for those who do not see the colour."""
    frame = f"border:1.5px {line} {colour};border-radius:.7em;"
    style = f"display:inline-block;padding:0 .45em;{frame}white-space:nowrap;line-height:1.4;"
    return tag("span", f"{icon} " if icon else "", text, style=style)


def details(summary: object, *body: object, is_open: bool = False) -> Html:
    """A part that opens on a click and needs no script."""
    head = tag("summary", summary, style="cursor:pointer;")
    return tag("details", head, *body, open_="open" if is_open else None, style="margin:.5em 0;")


def stack(*parts: object) -> Html:
    """Parts below each other."""
    return tag("div", *parts)


def bar(share: float | None, text: object) -> Html:
    """A cell with ``text`` over a grey bar of width ``share`` (0 to 1; outside it is clipped, None draws no bar)."""
    width = 0.0 if share is None or share != share else 100 * min(max(share, 0.0), 1.0)
    fill = f"background:linear-gradient(to right,{FILL} 0%,{FILL} {width:.1f}%,transparent {width:.1f}%,transparent 100%);"
    return tag("div", text, style=f"min-width:7em;padding:0 .3em;{fill}")


def interval(low: float, value: float, high: float, *, limit: float, margin: float | None = None, title: str = "") -> Html:
    """A strip from -limit to +limit: the interval dark, the value as a tick, zero as a line, the margin around it faint.

    It repeats what the cells beside it say in numbers, so without CSS nothing is lost.
    """
    marks = [(-limit, limit, "transparent")]
    if margin:
        marks.append((-margin, margin, "rgba(127,127,127,.18)"))
    marks.append((low, high, "rgba(127,127,127,.60)"))
    marks += [(-0.015 * limit, 0.015 * limit, STRONG), (value - 0.03 * limit, value + 0.03 * limit, "rgba(0,114,178,1)")]
    style = f"display:inline-block;width:7.5em;height:1em;vertical-align:middle;background:{_gradient(marks, limit)};"
    return tag("span", style=style, title=title or None)


def _gradient(marks: Sequence[tuple[float, float, str]], limit: float) -> str:
    """One linear gradient of hard-edged stretches, later marks over earlier ones."""
    edges = sorted({min(max(e, -limit), limit) for low, high, _ in marks for e in (low, high)})
    stops = []
    for left, right in pairwise(edges):
        middle = (left + right) / 2
        colour = [c for low, high, c in marks if low <= middle <= high][-1]
        stops += [f"{colour} {50 + 50 * e / limit:.2f}%" for e in (left, right)]
    return f"linear-gradient(to right,{','.join(stops)})"


def image(png: bytes, alt: str, *, dark: bytes | None = None, width: int = 760) -> Html:
    """A PNG inside the page, with its words for those who do not see it; ``dark`` is shown to readers of dark pages."""
    style = f"width:100%;max-width:{width}px;height:auto;border-radius:4px;"
    light = tag_alone("img", src=_data(png), alt=alt, style=style)
    if dark is None:
        return light
    source = tag_alone("source", media="screen and (prefers-color-scheme: dark)", srcset=_data(dark))
    return tag("picture", source, light)


def figure(picture: Html, caption: object = None) -> Html:
    """A picture with its caption below."""
    below = [tag("figcaption", caption, style="font-size:.9em;opacity:.85;")] if caption else []
    return tag("figure", picture, *below, style="margin:.8em 0;")


def _data(png: bytes) -> Html:
    return Html("data:image/png;base64," + base64.b64encode(png).decode("ascii"))
