"""How a piece of a page says which claims its numbers come from: an attribute that the checker of reports reads."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from ..html import Html, tag
from ..text import safe

ATTRIBUTE = "data-claims"
EVERY = ".*"


def claim_mark(id: object) -> str:
    """The id of a claim as it stands in the attribute: cleaned, secrets masked, no white space; ``.*`` at its end stays."""
    return quote(safe(id, None), safe=":.,=*+@/()[]-_")


def claimed(name: str, *children: object, ids: Iterable[str], **attributes: object) -> Html:
    """A tag whose numbers all come from the claims ``ids``; one that ends with ``.*`` names all that begin so."""
    marks = " ".join(dict.fromkeys(map(claim_mark, ids)))
    return tag(name, *children, **{ATTRIBUTE: marks or None}, **attributes)
