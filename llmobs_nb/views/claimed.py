"""How a piece of a page says which claims its numbers come from, and what in it is no claim: attributes that the checker reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from ..analyses.said import Quoted
from ..html import Html, join, tag
from ..text import safe, terminal

ATTRIBUTE = "data-claims"
UNCLAIMED = "data-unclaimed"
EVERY = ".*"


def claim_mark(id: object) -> str:
    """The id of a claim as it stands in the attribute: cleaned, secrets masked, no white space; ``.*`` at its end stays."""
    return quote(safe(id, None), safe=":.,=*+@/()[]-_")


def claimed(name: str, *children: object, ids: Iterable[str], **attributes: object) -> Html:
    """A tag whose numbers all come from the claims ``ids``; one that ends with ``.*`` names all that begin so."""
    marks = " ".join(dict.fromkeys(map(claim_mark, ids)))
    return tag(name, *children, **{ATTRIBUTE: marks or None}, **attributes)


def unclaimed(*children: object, name: str = "span", **attributes: object) -> Html:
    """A tag of which nothing is a claim: text and names from the data, a number that only gives the order."""
    return tag(name, *children, **{UNCLAIMED: ""}, **attributes)


def quoting(name: str, *children: object, texts: Iterable[str], **attributes: object) -> Html:
    """A tag in whose words (those of its pictures too) these texts from the data stand; a text without a letter marks nothing."""
    texts = [t for t in dict.fromkeys(texts) if any(map(str.isalpha, t))]
    return tag(name, *children, **{UNCLAIMED: json.dumps(texts, ensure_ascii=False) if texts else None}, **attributes)


def said(sentence: str) -> Html:
    """A sentence with what it quotes from the data marked, where it knows its ``parts``; a long part is cut."""
    parts = getattr(sentence, "parts", (terminal(sentence, None),))
    return join(unclaimed(p) if isinstance(p, Quoted) else p for p in parts)
