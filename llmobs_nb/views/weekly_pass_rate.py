"""The true pass rate on the weekly page: what the judge passes, what humans would, this week and last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .. import units
from ..analyses.calibration import week
from ..html import Head, Html, heading, stack, table, tag
from .claimed import claimed
from .common_words import with_interval
from .parts import number_heads, two_lines
from .theme import label
from .weekly_words import beside, span


def told(result) -> Mapping:
    """What the calibration says beside the KPIs; {} where too few humans have labelled what a judge judged."""
    return beside(result, "pass_rate")


def claims(result) -> Iterable[dict]:
    """A claim for every number of the section."""
    return week.claims(told(result))


def section(result) -> Html:
    """The section with its heading; nothing where there is nothing to say."""
    found = told(result)
    if not found:
        return Html("")
    head = [Head(""), *number_heads(f"this {span(result)}", f"last {span(result)}", "change, 95 % interval")]
    rows = [_row("passed by the judge", found, "naive"), [*_row("humans would pass", found, "corrected")[:3], _change(found)]]
    note = (
        f"{label(found['judge'], 60)} against {units.count(found['labels'])} labels of {label(found['human'], 60)}, drawn "
        f"{found['design'].replace('_', ' ')}. {found['method'].capitalize()}."
    )
    return stack(heading("The true pass rate"), claimed("p", tag("small", note), ids=["pass_rate.*"]), table(rows, head))


def _row(name: str, found: Mapping, which: str) -> list[object]:
    cells = [claimed("div", _level(found[side][which]), ids=[f"pass_rate.{side}.*"]) for side in week.SIDES]
    return [name, *cells, ""]


def _level(e: Mapping) -> Html:
    if e["value"] is None:
        return two_lines(units.MISSING, label(e.get("reason"), 160))
    return with_interval(e["value"], e["ci_low"], e["ci_high"], "rate")


def _change(found: Mapping) -> Html:
    e = found["change"]
    if e["value"] is None:
        return two_lines(units.MISSING, "")
    between = units.interval(e["ci_low"], e["ci_high"], "rate", kind="absolute")
    return claimed(
        "div", two_lines(units.points(e["value"], low=e["ci_low"], high=e["ci_high"]), between), ids=["pass_rate.change"]
    )
