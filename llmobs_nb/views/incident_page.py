"""The incident page: verdict, levels, causes, prompt diff, timeline, slices, traces, checks. Each piece is a view."""

from __future__ import annotations

from datetime import datetime

from .. import units
from ..html import LINE, Head, Html, badge, bullets, details, heading, join, paragraph, stack, table, tag
from ..text import terminal
from . import incident_charts as charts
from . import incident_words as words
from .bundle import View, chart
from .common_words import cue, day_name, effect, level, moment, share, tz_of, with_interval
from .parts import (
    BLUE,
    ORANGE,
    findings,
    left_out,
    number_heads,
    numbers,
    page_head,
    provenance,
    strip,
    trace_name,
    trace_names,
    two_lines,
    verdict_badge,
)
from .theme import is_number, label
from .wording_diff import diff_html

MAX_ROWS = 60
MAX_CAUSES = 8
MAX_TRACES = 40
_COLOURS = {"incident": ORANGE, "wrong": ORANGE, "unusual": BLUE}
_SLICES = (
    Head("slice"),
    Head("before", number=True),
    Head("after", number=True),
    Head("change", number=True, hint="change net of the rest of traffic, and 95 % interval below it"),
    Head("", hint="the change: dark is its interval, blue its value, the line is zero"),
    Head("n", number=True),
)


# --- the views


def incident(result) -> View:
    """The whole page of an IncidentResult. What a verdict does not have (causes, onset, traces) has no section."""
    pieces = {"By day": timeline(result), "Where": slices(result)}
    pictures = [part for name, view in pieces.items() for part in (heading(name), view.html)]
    parts = [_top(result), *_causes(result), *_diffs(result), *pictures, *_traces(result), _changes(result), _others(result)]
    figures = tuple(f for v in pieces.values() for f in v.figures)
    return View(stack(*parts, findings(result), provenance(result)), words.brief(result), figures=figures)


def timeline(result) -> View:
    """Level by day of the slice and of the rest, with onset, end and change log; the numbers below."""
    return chart(charts.timeline, result, words.timeline(result), _days(result))


def slices(result) -> View:
    """The slices that moved most as bars, and as a table."""
    return chart(charts.slices, result, words.slices(result), slice_table(result))


def prompt_diff(result) -> View:
    """The passage that entered or left the prompt, for each cause that has one; without any it says so."""
    found = [c for c in result.causes if c.diff]
    if not found:
        return View(paragraph("No change in the wording of a prompt goes with this."), "no prompt diff")
    text = "; ".join(f"{words.sign(c.diff)} {terminal(c.diff.passage, 160)}" for c in found)
    return View(stack(*(diff_html(c, result) for c in found)), text)


def checklist(result) -> View:
    """One row per trace, one column per check; what is not as usual shows its value and the usual one."""
    frame = result.checklist
    odd = frame[frame.verdict != "ok"] if len(frame) else frame
    if not len(frame):
        return View(paragraph("No traces were checked."), "no checks")
    text = f"{units.count(len(odd))} of {units.count(len(frame))} checks are not as usual"
    return View(stack(paragraph(text, ":"), _checks(frame)), text)


def slice_table(result, chosen: str | None = None) -> Html:
    """The slices as a table; ``chosen`` (a value of ``slice``) shows that one alone."""
    rows = result.slices if chosen is None else result.slices[result.slices.slice == chosen]
    records = rows.head(MAX_ROWS).to_dict("records")
    limit = 1.1 * max((abs(r[k]) for r in records for k in ("low", "high", "effect") if is_number(r[k])), default=0)
    return table([_slice_row(r, result.unit, limit) for r in records], _SLICES, empty="no slice was compared")


# --- the top: what moved, when


def _top(result) -> Html:
    mark = verdict_badge(words.VERDICTS, result.verdict, _COLOURS)
    return page_head(result, *map(paragraph, words.opening(result)), mark=mark)


def _days(result) -> Html:
    head = [Head("day"), Head("part"), *number_heads("level, 95 % interval", "n")]
    rows = []
    for r in result.timeline.sort_values(["day", "part"], kind="stable").to_dict("records"):
        told = with_interval(r["value"], r["low"], r["high"], result.unit)
        rows.append([day_name(r["day"]), words.SIDES.get(r["part"], label(r["part"])), told, units.count(r["n"])])
    return numbers(head, rows)


def _slice_row(row: dict, unit: str, limit: float) -> list[object]:
    low, value, high = row["low"], row["effect"], row["high"]
    moved = units.change(value, unit, "absolute", low=low, high=high)
    between = units.interval(low, high, unit, kind="absolute")
    levels = [units.quantity(row[k], unit, low=low, high=high) for k in ("before", "after")]
    name = label(words.where(words.pairs(row["slice"])), 120)
    picked = join([tag("b", name), badge("picked", "▶")], " ") if row["picked"] == 1 else name
    drawn = strip(low, value, high, limit=limit, title=between)
    return [picked, *levels, two_lines(moved, between), drawn, units.count(row["n"])]


# --- causes and what the prompt says


def _causes(result) -> list[Html]:
    cards = [_card(n, cause, result) for n, cause in enumerate(result.causes[:MAX_CAUSES], 1)]
    return [heading("Why, the likeliest first"), *cards, left_out(len(result.causes) - MAX_CAUSES)] if cards else []


def _card(n: int, cause, result) -> Html:
    part = f"; it explains {share(cause.share_explained)} of the whole change" if is_number(cause.share_explained) else ""
    since = f", since {moment(cause.since, tz_of(result))}" if cause.since else ""
    told = [
        paragraph(tag("b", f"{n}. {words.kind(cause)}"), ": ", tag("code", words.where(cause.where)), since),
        paragraph(f"Effect there: {effect(cause.effect, result.unit)}{part}. Confidence {share(cause.confidence)}."),
        bullets([terminal(e, 600) for e in cause.evidence]),
    ]
    if cause.without.ok:
        told.append(paragraph(f"Without it {words.metric(result)} would have been {level(cause.without, result.unit)}."))
    if cause.undo:
        told.append(paragraph(tag("b", "To undo it: "), terminal(cause.undo, 400)))
    return tag("div", *told, style=f"border:1px solid {LINE};border-radius:6px;padding:.4em .9em;margin:.6em 0;")


def _diffs(result) -> list[Html]:
    return [heading("What the prompt says now"), prompt_diff(result).html] if any(c.diff for c in result.causes) else []


# --- the traces


def _traces(result) -> list[Html]:
    parts = []
    if len(result.exemplars):
        head = [Head("trace"), Head("side"), Head("started"), Head("value", number=True), Head("matched on")]
        shown = result.exemplars.head(MAX_TRACES).to_dict("records")
        parts += [heading("Read these traces"), table([_exemplar(r, result) for r in shown], head)]
    elif result.traces:
        parts += [heading("Read these traces"), trace_names(result.traces[:MAX_TRACES])]
    if len(result.checklist):
        parts += [heading("What is unusual about them"), checklist(result).html]
    return parts


def _exemplar(row: dict, result) -> list[object]:
    at = row["started"]
    when = moment(at, tz_of(result)) if isinstance(at, datetime) else label(at)
    value = units.quantity(row["value"], result.unit) if is_number(row["value"]) else units.MISSING
    return [trace_name(row["trace_id"], row["url"]), label(row["side"], 20), when, value, label(row["matched_on"], 80)]


def _checks(frame) -> Html:
    """A matrix of traces and checks, both in the order in which they come."""
    checks = list(dict.fromkeys(frame.check))
    traces = list(dict.fromkeys(frame.trace_id))[:MAX_TRACES]
    cells = {(r["trace_id"], r["check"]): _check(r) for r in frame.to_dict("records")}
    rows = [[trace_name(t, limit=40), *(cells.get((t, c), "") for c in checks)] for t in traces]
    return table(rows, [Head("trace"), *(Head(label(c, 40)) for c in checks)])


def _check(row: dict) -> Html:
    value, usual = (_plain(row[k]) for k in ("value", "usual"))
    if row["verdict"] == "ok":
        icon, told, _ = cue(words.CHECKS, "ok")
        return tag("span", f"{icon} {told}", title=value or None)
    known = "; ".join(p for p in (value, f"usually {usual}" if usual else "") if p)
    mark = verdict_badge(words.CHECKS, row["verdict"], _COLOURS)
    return join([mark, tag("small", known)], "<br>") if known else mark


def _plain(value: object) -> str:
    """A value of a check: words as they are, a number with four digits, nothing for what is missing."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,.4g}" if is_number(value) else ""
    return "" if value is None or value != value else label(value, 80)


# --- what stands below


def _changes(result) -> Html:
    rows = []
    for n, r in enumerate(result.changes.head(MAX_ROWS).to_dict("records"), 1):
        at = moment(r["at"], tz_of(result))
        mark = badge("matches", "◆") if r["matched"] == 1 else ""
        rows.append([units.count(n), at, label(r["kind"], 40), label(r["ref"], 60), label(r["note"], 160), mark])
    head = [Head("no."), Head("at"), Head("kind"), Head("ref"), Head("note"), Head("goes with the incident")]
    return stack(heading("Change log around it"), table(rows, head)) if rows else Html("")


def _others(result) -> Html:
    told = [words.other(o, tz_of(result)) for o in result.others]
    return details(f"Other metrics ({len(told)})", bullets(told[:MAX_ROWS])) if told else Html("")
