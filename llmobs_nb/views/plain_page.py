"""What the pages in plain words share: sentences with their claims as a list, and the page as text."""

from __future__ import annotations

from collections.abc import Sequence

from ..html import Html, tag
from .claimed import claimed
from .stakeholder_sentences import Sentence


def lead(sentence: Sentence) -> Html:
    """The sentence that sums up."""
    return claimed("p", sentence.text, ids=sentence.ids, style="margin:.3em 0;font-size:1.1em;")


def listed(sentences: Sequence[Sentence]) -> Html:
    """Sentences one below the other."""
    items = [claimed("li", s.text, ids=s.ids) for s in sentences]
    return tag("ul", *items, style="margin:.3em 0;padding-left:1.4em;line-height:1.6;")


def written(title: str, told) -> str:
    """A story (lead and sections) as plain text below its title."""
    lines = [title, told.lead.text]
    for name, sentences in told.sections.items():
        lines += [f"{name}:", *(f"  {s.text}" for s in sentences)]
    return "\n".join(lines)
