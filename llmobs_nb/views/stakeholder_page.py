"""The weekly review on one page for those who do not work with it: plain sentences, each with its claims, and one picture."""

from __future__ import annotations

from ..html import Html, heading, paragraph, stack, tag
from ..text import terminal
from ..windows import blocks
from . import stakeholder_charts as charts
from .bundle import View, chart
from .claimed import claimed
from .common_words import local, tz_of
from .plain_page import lead, listed, written
from .stakeholder_sentences import story


def stakeholder(result) -> View:
    """What improved, what to watch, what comes next and what cannot be told yet, of a WeeklyResult, in at most a dozen sentences."""
    told = story(result)
    picture = chart(charts.moves, result, charts.message(result), Html(""))
    parts = [part for name, said in told.sections.items() for part in (heading(name), listed(said))]
    page = stack(
        paragraph(tag("b", _title(result))), lead(told.lead), claimed("div", picture.html, ids=["page.all.*"]), *parts, _how()
    )
    return View(page, written(_title(result), told), figures=picture.figures)


def _title(result) -> str:
    return f"{_when(result, result.week)}, compared with {_when(result, result.against)}"


def _when(result, window) -> str:
    """A window as people say it: ``26 October to 1 November 2026``; by its label where it has no length."""
    days = blocks(window, tz_of(result))
    if not days:
        return terminal(window.label, 40)
    first, last = (local(d.start, tz_of(result)) for d in (days[0], days[-1]))
    return f"{first.day} {first:%B} to {last.day} {last:%B} {last:%Y}"


def _how() -> Html:
    text = (
        "“Between … and …” is the range in which the true change lies, as far as this much data can tell. "
        "Something is called better or worse only when chance is no good explanation."
    )
    return paragraph(text, small=True)
