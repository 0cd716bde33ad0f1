"""The cost on one page for a finance reader: plain sentences, each with its claims, and two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ..html import Html, heading, paragraph, stack, tag
from . import cost_charts as charts
from . import cost_words as words
from .bundle import View, chart
from .claimed import claimed, quoting
from .common_words import local
from .cost_sentences import Story, story
from .stakeholder_sentences import Sentence


def cost_finance(result) -> View:
    """What was spent, why it moved, what the month will come to, where the waste is and what is not known, of a CostResult."""
    told = story(result)
    pictures = {
        "Why it moved": (charts.waterfall, words.change(result), result.change is not None),
        "What the month will come to": (
            charts.month,
            words.month(result),
            result.forecast is not None and len(result.forecast.total),
        ),
    }
    parts, figures = [], []
    for name, sentences in told.sections.items():
        parts += [heading(name), _said(sentences)]
        draw, message, there = pictures.get(name, (None, "", False))
        if there:
            made = chart(draw, result, message, Html(""))
            figures += made.figures
            parts.append(made.html)
    lead = claimed("p", told.lead.text, ids=told.lead.ids, style="margin:.3em 0;font-size:1.1em;")
    page = stack(paragraph(tag("b", _title(result))), lead, *parts, _how())
    return View(quoting("div", page, texts=told.texts), _text(result, told), figures=tuple(figures))


def _title(result) -> str:
    if result.window is None:
        return "Cost"
    first, last = local(result.window.start, result.tz), local(result.window.end - timedelta(microseconds=1), result.tz)
    return f"Cost, {first.day} {first:%B} to {last.day} {last:%B} {last:%Y}"


def _said(sentences: Sequence[Sentence]) -> Html:
    items = [claimed("li", s.text, ids=s.ids) for s in sentences]
    return tag("ul", *items, style="margin:.3em 0;padding-left:1.4em;line-height:1.6;")


def _how() -> Html:
    text = (
        "All money is US dollars, as recorded by the provider or, where nothing was recorded, at the list price of the day. "
        "“Between … and …” is the range in which the true number lies, as far as this much data can tell."
    )
    return paragraph(text, small=True)


def _text(result, told: Story) -> str:
    lines = [_title(result), told.lead.text]
    for name, sentences in told.sections.items():
        lines += [f"{name}:", *(f"  {s.text}" for s in sentences)]
    return "\n".join(lines)
