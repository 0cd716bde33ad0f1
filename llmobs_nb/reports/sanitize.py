"""HTML that a notebook made, reduced to what shows and cannot act: known tags, no scripts, no handlers, nothing that is loaded.

Of addresses only links to web pages are left, for a reader to follow.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from ..text import mask_secrets
from ..views.links import link_attributes
from ..views.theme import DARK, LIGHT


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAGS = _words(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i"
    " img ins kbd li mark meter ol p picture pre progress q s samp small source span strong sub summary sup table tbody td"
    " tfoot th thead tr u ul var wbr"
)
_ALONE = _words("br col hr img source wbr")
_SILENT = _words("script style template title noscript iframe object embed svg math textarea select xmp noembed noframes")
_ATTRIBUTES = _words(
    "alt colspan data-claims data-unclaimed dir height high lang low max media min open optimum rowspan scope start style title type value width"
)
# Inline, as every output is reduced on its own; where a browser does not know light-dark(), links look as links do there.
_LINK_STYLE = f"color:light-dark({LIGHT.this},{DARK.this});text-decoration:underline"
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_BAD_STYLE = re.compile(r"url\s*\(|image-set|expression|@import|behavior|-moz-binding|position\s*:|[\\<>]|/\*", re.I)


def sanitize(text: str) -> str:
    """``text`` without anything that runs or loads; every open tag is closed at the end.

    A link to a plain web page (see :mod:`llmobs_nb.views.links`) stays one, with its title; of any other only its text stays.
    """
    reader = _Reader()
    reader.feed(text.replace("\x00", ""))
    reader.close()
    return "".join(reader.out) + "".join(f"</{t}>" for t in reversed(reader.open))


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.open: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if self.silent or tag in _SILENT:
            if tag in _SILENT:
                self.silent.append(tag)
        elif tag == "a":
            self._link(dict(reversed(attrs)))
        elif tag in TAGS:
            self.out.append(f"<{tag}{''.join(_attribute(k, v) for k, v in attrs)}>")
            if tag not in _ALONE:
                self.open.append(tag)

    def _link(self, given: dict[str, str | None]) -> None:
        """Open a link to a web page. Links do not nest: one ends the one before it."""
        self.handle_endtag("a")
        kept = link_attributes(given.get("href"))
        if not kept:
            return
        kept |= {"style": _LINK_STYLE, "title": mask_secrets(given.get("title") or "")}
        self.out.append("<a" + "".join(f' {k}="{html.escape(v, quote=True)}"' for k, v in kept.items() if v) + ">")
        self.open.append("a")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        if tag not in _SILENT:
            self.handle_starttag(tag, attrs)
            if tag in TAGS and tag not in _ALONE:
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            if tag in self.silent:
                del self.silent[len(self.silent) - 1 - self.silent[::-1].index(tag) :]
        elif tag in self.open:
            while (last := self.open.pop()) != tag:
                self.out.append(f"</{last}>")
            self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(html.escape(mask_secrets(data), quote=False))


def _attribute(name: str, value: str | None) -> str:
    value = value or ""
    if name in ("src", "srcset"):
        kept = bool(_IMAGE.fullmatch(value.strip()))
    elif name == "style":
        value = ";".join(part for part in value.split(";") if not _BAD_STYLE.search(part))
        kept = bool(value)
    else:
        kept, value = name in _ATTRIBUTES, mask_secrets(value)
    return f' {name}="{html.escape(value, quote=True)}"' if kept else ""
