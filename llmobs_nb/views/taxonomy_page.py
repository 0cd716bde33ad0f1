"""The failure taxonomy on a page: how often each failure happens, where it gathers, and traces to read."""

from __future__ import annotations

from .. import units
from ..html import Head, Html, bar, bullets, heading, join, paragraph, stack, table, tag
from ..text import terminal
from .bundle import View
from .common_words import with_interval
from .parts import findings, left_out, number_heads, page_head, provenance, strip, trace_name
from .theme import is_number, label

MAX_ROWS = 40
SURE = 0.05
_CATEGORIES = (
    Head("failure"),
    Head("share of the traffic", hint="weighted by how each trace was drawn, and 95 % interval"),
    *number_heads("labelled", "with it"),
    Head("in their words"),
    Head("traces to read"),
)
_LIFTS = (
    Head("failure"),
    Head("slice"),
    Head("lift", number=True, hint="share of the slice among its traces, over that among passing ones, and 95 % interval"),
    Head("", hint="lift less 1: dark is its interval, blue its value, the line is no lift"),
    *number_heads("with it", "passing", "q"),
)


def taxonomy(result) -> View:
    """The whole page of a TaxonomyResult: shares with intervals, lifts over passing traces, what a reader must know."""
    parts = [page_head(result, paragraph(f"Verdicts pass: {_passing(result)}", small=True)), _categories(result), _lifts(result)]
    return View(stack(*parts, findings(result), provenance(result)), terminal(result.headline, 400))


def _passing(result) -> str:
    e = result.passing
    return with_interval(e.value, e.ci_low, e.ci_high, "rate") if e.ok else "cannot be told for the traffic"


def _categories(result) -> Html:
    frame = result.categories
    rows = [_category(row) for row in frame.head(MAX_ROWS).to_dict("records")]
    shown = table(rows, _CATEGORIES, empty="no failure has been named")
    return stack(heading("How often"), shown, left_out(len(frame) - len(rows)))


def _category(row: dict) -> list[object]:
    told = with_interval(row["share"], row["low"], row["high"], "rate") if is_number(row["share"]) else "cannot tell"
    notes = bullets([terminal(note, 160) for note in row["notes"]])
    traces = join([trace_name(t, limit=40) for t in row["examples"]], "<br>")
    return [label(row["category"], 60), bar(row["share"], told), units.count(row["n"]), units.count(row["traces"]), notes, traces]


def _lifts(result) -> Html:
    frame = result.lifts
    rows = [_lift(row) for row in frame.head(MAX_ROWS).to_dict("records")]
    if not rows:
        return paragraph("No slice holds enough traces of a failure to be compared with passing ones.", small=True)
    sure = int((frame.q < SURE).sum())
    told = f"{sure} of {len(frame)} beyond doubt (q below 0.05, over all failures and slices)"
    return stack(heading("Where it gathers"), paragraph(told, small=True), table(rows, _LIFTS), left_out(len(frame) - len(rows)))


def _lift(row: dict) -> list[object]:
    where = f"{label(row['attribute'], 30)} = {label(row['value'], 40)}"
    lift = with_interval(row["lift"], row["low"], row["high"], "ratio")
    drawn = strip(*(v - 1 if is_number(v) else None for v in (row["low"], row["lift"], row["high"])))
    name = tag("b", where) if row["q"] < SURE else where
    return [
        label(row["category"], 60),
        name,
        lift,
        drawn,
        units.count(row["traces"]),
        units.count(row["passing"]),
        units.number(row["q"], default=3),
    ]
