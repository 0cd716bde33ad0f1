"""Hallucination signals on the weekly page: how often each fires in a sample of this week and the last, and what they are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .. import units
from ..analyses.signals import week
from ..html import Head, Html, heading, paragraph, stack, table, tag
from ..text import terminal
from .claimed import claimed
from .common_words import with_interval
from .parts import BLUE, ORANGE, number_heads, strip, two_lines, verdict_badge
from .theme import label
from .weekly_traces import names
from .weekly_words import VERDICTS, beside, span

MAX_READ, TRACES = 6, 3
_COLOURS = {"better": BLUE, "worse": ORANGE}


def told(result) -> Mapping:
    """What the signals say beside the KPIs; {} where nobody looked, or no answer has its text in the store."""
    return beside(result, "signals")


def risky(result) -> Mapping | None:
    """The row of answers at high risk; None where there is none."""
    return next((r for r in told(result).get("rows", ()) if r["name"] == "band.high"), None)


def claims(result) -> Iterable[dict]:
    """A claim for every number of the section."""
    return week.claims(told(result))


def section(result) -> Html:
    """The section with its heading; nothing where there is nothing to say."""
    found = told(result)
    if not found:
        return Html("")
    head = [Head("signal"), *number_heads(f"this {span(result)}", f"last {span(result)}", "change, 95 % interval"), Head(""),
            Head("n", number=True), Head("verdict"), Head("read")]  # fmt: skip
    rows = table([_row(result, r) for r in found["rows"]], head)
    first = found["reading"][:MAX_READ]
    read = paragraph(tag("b", "Read first"), " (highest risk): ", names(result, first)) if first else ""
    return stack(heading("Hallucination signals"), _note(result, found), rows, read)


def _note(result, found: Mapping) -> Html:
    parts = []
    for side in ("this", "last"):
        drawn, of = (units.count(found[k][side]) for k in ("drawn", "of"))
        parts.append(f"{drawn} of {of} traces of {side} {span(result)}")
    text = f"{terminal(found['note'], 300)}. Looked at: {' and '.join(parts)}, drawn at random. A signal that does not apply to an answer is left out of its share."
    return claimed("p", tag("small", text[0].upper() + text[1:]), ids=["signals.drawn.*", "signals.of.*"])


def _row(result, row: Mapping) -> list[object]:
    ids, change = [f"signals.{row['name']}.*"], row["change"]
    limits = (change["ci_low"], change["value"], change["ci_high"])
    between = units.interval(change["ci_low"], change["ci_high"], "rate", kind="absolute")
    moved = units.points(change["value"], low=change["ci_low"], high=change["ci_high"])
    return [
        tag("samp", label(row["label"], 60), style="font-family:inherit;"),
        *(claimed("div", _level(row[side]), ids=ids) for side in ("this", "last")),
        claimed("div", two_lines(moved, between), ids=ids),
        strip(*limits),
        claimed("div", two_lines(units.count(row["this"]["n"]), units.count(row["last"]["n"])), ids=ids),
        verdict_badge(VERDICTS, row["verdict"], _COLOURS),
        names(result, row["traces"][:TRACES]),
    ]


def _level(side: Mapping) -> Html:
    if side["value"] is None:
        return two_lines(units.MISSING, label(side.get("reason"), 120))
    return with_interval(side["value"], side["ci_low"], side["ci_high"], "rate")
