"""The cost on one page for a finance reader: plain sentences, each with its claims, and two pictures."""

from __future__ import annotations

from datetime import timedelta

from ..html import Html, heading, paragraph, stack, tag
from . import cost_charts as charts
from . import cost_words as words
from .bundle import View, chart
from .claimed import quoting
from .common_words import local
from .cost_sentences import story
from .plain_page import lead, listed, written


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
        parts += [heading(name), listed(sentences)]
        draw, message, there = pictures.get(name, (None, "", False))
        if there:
            made = chart(draw, result, message, Html(""))
            figures += made.figures
            parts.append(made.html)
    page = stack(paragraph(tag("b", _title(result))), lead(told.lead), *parts, _how())
    return View(quoting("div", page, texts=told.texts), written(_title(result), told), figures=tuple(figures))


def _title(result) -> str:
    if result.window is None:
        return "Cost"
    first, last = local(result.window.start, result.tz), local(result.window.end - timedelta(microseconds=1), result.tz)
    return f"Cost, {first.day} {first:%B} to {last.day} {last:%B} {last:%Y}"


def _how() -> Html:
    text = (
        "All money is US dollars, as recorded by the provider or, where nothing was recorded, at the list price of the day. "
        "“Between … and …” is the range in which the true number lies, as far as this much data can tell."
    )
    return paragraph(text, small=True)
