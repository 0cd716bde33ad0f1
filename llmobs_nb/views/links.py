"""Which addresses become a link: those of web pages, as they stand. No script, no login, no secret, nothing to be mended."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..html import Html, escape, tag
from ..text import terminal

_OUTSIDE = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
_MENDED = re.compile(r"[\s\\]")
_HOST = re.compile(r"([^\W_][\w.-]*|\[[0-9a-f:.]+\])(:[0-9]+)?", re.IGNORECASE)


def link_attributes(url: object) -> dict[str, str]:
    """The attributes of a link to ``url``; {} for what is no plain web address, or missing.

    Plain is: absolute, http or https, a host and no login before it, no control character, white space or backslash, and
    nothing that looks like a secret. Browsers mend what is broken, each in its own way, so what is broken is no link.
    """
    return {"href": url, **_OUTSIDE} if isinstance(url, str) and _is_plain(url) else {}


def _is_plain(url: str) -> bool:
    if terminal(url, None) != url or _MENDED.search(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(_HOST.fullmatch(parts.netloc)) and parts.port != 0
    except ValueError:
        return False


def link(url: object, text: object) -> Html:
    """``text`` as a link to ``url`` where that is a plain web address, else the text alone; both escaped."""
    given = link_attributes(url)
    return tag("a", text, **given) if given else escape(text)
