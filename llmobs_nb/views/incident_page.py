"""The incident page: verdict, levels, causes, prompt diff, timeline, slices, traces, checks. Each piece is a view."""

from __future__ import annotations

import re
from datetime import datetime

from .. import units
from ..html import LINE, Head, Html, badge, bullets, details, heading, join, paragraph, stack, table, tag
from ..text import terminal
from . import incident_charts as charts
from . import incident_words as words
from .bundle import View, chart
from .claimed import claimed, quoting, said, unclaimed
from .common_words import cue, day_name, effect, level, moment, share, tz_of, with_interval
from .parts import (
    BLUE,
    ORANGE,
    findings,
    left_out,
    number_heads,
    numbers,
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

_OTHERS = {
    "verdict": Head("verdict"),
    "since": Head("since, 90 % interval"),
    "where": Head("where"),
    "kind": Head("what goes with it"),
    "change": Head("change at least, at most", number=True),
    "margin": Head("margin", number=True),
}


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
    made = chart(charts.timeline, result, words.timeline(result), _days(result))
    return View(_quoting("div", made.html, result=result), made.text, figures=made.figures)


def slices(result) -> View:
    """The slices that moved most as bars, and as a table."""
    made = chart(charts.slices, result, words.slices(result), slice_table(result))
    return View(_quoting("div", made.html, result=result), made.text, figures=made.figures)


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
    return View(stack(claimed("p", f"{text}:", ids=["checks", "checks.odd"]), _checks(frame)), text)


def slice_table(result, chosen: str | None = None) -> Html:
    """The slices as a table; ``chosen`` (a value of ``slice``) shows that one alone."""
    frame = result.slices.assign(id=[f"slice.{k}" for k in range(len(result.slices))])
    rows = frame if chosen is None else frame[frame.slice == chosen]
    records = rows.head(MAX_ROWS).to_dict("records")
    limit = 1.1 * max((abs(r[k]) for r in records for k in ("low", "high", "effect") if is_number(r[k])), default=0)
    return table([_slice_row(r, result.unit, limit) for r in records], _SLICES, empty="no slice was compared")


# --- the top: what moved, when


def _top(result) -> Html:
    """Verdict and headline, and what stands under them."""
    mark = verdict_badge(words.VERDICTS, result.verdict, _COLOURS)
    ids = ["before", "after", "minimum_detectable", "others", "others.*", "values_needed"]
    ids += ["other.*"] if any("margin" in o for o in result.others) else []
    head = claimed("p", mark, " ", tag("b", terminal(result.headline, 600)), ids=ids)
    least = claimed("span", words.detectable(result), ids=["minimum_detectable"])
    lines = [words.meaning(result), _levels(result), words.onset(result), least if words.detectable(result) else ""]
    return _quoting("div", head, *(paragraph(line) for line in lines if line), result=result)


def _levels(result) -> Html:
    """The line of the levels, each with its claim; nothing where nothing was compared."""
    told = words.level_parts(result)
    if not told:
        return Html("")
    before, after = (claimed("span", text, ids=[side]) for side, text in zip(("before", "after"), told[1:], strict=True))
    return join([told[0], ": ", before, " before, ", after, " after."])


def _quoting(name: str, *children: object, result) -> Html:
    """A tag in whose words the metric, the slices and the remembered incident stand as the data name them."""
    slices = (label(words.where(words.pairs(s)), 120) for s in result.slices.slice)
    return quoting(name, *children, texts=[words.metric(result), terminal(result.label, 80), *words.places(result), *slices])


def _days(result) -> Html:
    head = [Head("day"), Head("part"), *number_heads("level, 95 % interval", "n")]
    rows = []
    for r in result.timeline.sort_values(["day", "part"], kind="stable").to_dict("records"):
        ids = [f"timeline.{r['part']}.{r['day']}"]
        told = claimed("span", with_interval(r["value"], r["low"], r["high"], result.unit), ids=ids)
        part = words.SIDES.get(r["part"]) or unclaimed(label(r["part"]))
        rows.append([day_name(r["day"]), part, told, claimed("span", units.count(r["n"]), ids=ids)])
    return numbers(head, rows)


def _slice_row(row: dict, unit: str, limit: float) -> list[object]:
    low, value, high = row["low"], row["effect"], row["high"]
    moved = units.change(value, unit, "absolute", low=low, high=high)
    between = units.interval(low, high, unit, kind="absolute")
    levels = [claimed("span", units.quantity(row[k], unit), ids=[f"{row['id']}.{k}"]) for k in ("before", "after")]
    name = unclaimed(label(words.where(words.pairs(row["slice"])), 120))
    picked = join([tag("b", name), badge("picked", "▶")], " ") if row["picked"] == 1 else name
    drawn = strip(low, value, high, limit=limit, title=between)
    change, n = (claimed("span", told, ids=[row["id"]]) for told in (two_lines(moved, between), units.count(row["n"])))
    return [picked, *levels, change, drawn, n]


# --- causes and what the prompt says


def _causes(result) -> list[Html]:
    cards = [_card(n, cause, result) for n, cause in enumerate(result.causes[:MAX_CAUSES], 1)]
    return [heading("Why, the likeliest first"), *cards, left_out(len(result.causes) - MAX_CAUSES)] if cards else []


def _card(n: int, cause, result) -> Html:
    mark = f"cause.{n - 1}.{cause.kind}"
    part = f"; it explains {share(cause.share_explained)} of the whole change" if is_number(cause.share_explained) else ""
    since = f", since {moment(cause.since, tz_of(result))}" if cause.since else ""
    told = [
        paragraph(tag("b", f"{n}. {words.kind(cause)}"), ": ", unclaimed(words.where(cause.where), name="code"), since),
        paragraph(f"Effect there: {effect(cause.effect, result.unit)}{part}. Confidence {share(cause.confidence)}."),
        bullets([said(e) for e in cause.evidence]),
    ]
    if cause.without.ok:
        told.append(paragraph(f"Without it {words.metric(result)} would have been {level(cause.without, result.unit)}."))
    if cause.undo:
        told.append(paragraph(tag("b", "To undo it: "), said(cause.undo)))
    style = f"border:1px solid {LINE};border-radius:6px;padding:.4em .9em;margin:.6em 0;"
    return _quoting("div", claimed("div", *told, ids=[f"{mark}.*"], style=style), result=result)


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
    when = moment(at, tz_of(result)) if isinstance(at, datetime) else unclaimed(label(at))
    value = units.quantity(row["value"], result.unit) if is_number(row["value"]) else units.MISSING
    shown = claimed("span", value, ids=[f"exemplar.{row['trace_id']}"])
    names = [unclaimed(label(row[k], most)) for k, most in (("side", 20), ("matched_on", 80))]
    return [trace_name(row["trace_id"], row["url"]), names[0], when, shown, names[1]]


def _checks(frame) -> Html:
    """A matrix of traces and checks, both in the order in which they come."""
    checks = list(dict.fromkeys(frame.check))
    traces = list(dict.fromkeys(frame.trace_id))[:MAX_TRACES]
    cells = {(r["trace_id"], r["check"]): _check(r) for r in frame.to_dict("records")}
    rows = [[trace_name(t, limit=40), *(cells.get((t, c), "") for c in checks)] for t in traces]
    return table(rows, [Head("trace"), *(Head(unclaimed(label(c, 40))) for c in checks)])


def _check(row: dict) -> Html:
    value, usual = _measured(row) if isinstance(row["unit"], str) else tuple(_named(row[k]) for k in ("value", "usual"))
    if row["verdict"] == "ok":
        icon, told, _ = cue(words.CHECKS, "ok")
        return tag("span", f"{icon} {told}", title=re.sub("<[^>]*>", "", value) or None)
    known = join([p for p in (value, join(["usually ", usual]) if usual else "") if p], "; ")
    mark = verdict_badge(words.CHECKS, row["verdict"], _COLOURS)
    return join([mark, tag("small", known)], "<br>") if known else mark


def _measured(row: dict) -> tuple[Html, Html]:
    """A number of a trace and between what it usually lies, in its unit."""
    low, high = (units.quantity(row[k], row["unit"]) for k in ("low", "high"))
    value = claimed("span", units.quantity(row["value"], row["unit"]), ids=[f"check.{row['trace_id']}.{row['check']}"])
    between = claimed("span", f"{low} to {high}", ids=[f"usual.{row['check']}.*"]) if is_number(row["low"]) else Html("")
    return value, between


def _named(value: object) -> Html:
    """Words from the data, nothing for what is missing."""
    return Html("") if value is None or value != value or value == "" else unclaimed(label(value, 80))


# --- what stands below


def _changes(result) -> Html:
    rows = []
    for n, r in enumerate(result.changes.head(MAX_ROWS).to_dict("records"), 1):
        at = moment(r["at"], tz_of(result))
        mark = badge("matches", "◆") if r["matched"] == 1 else ""
        names = [unclaimed(label(r[k], most)) for k, most in (("kind", 40), ("ref", 60), ("note", 160))]
        rows.append([unclaimed(n), at, *names, mark])
    head = [Head("no."), Head("at"), Head("kind"), Head("ref"), Head("note"), Head("goes with the incident")]
    return stack(heading("Change log around it"), table(rows, head)) if rows else Html("")


def _others(result) -> Html:
    """The other metrics as a table; what no row has is no column."""
    told = [words.Other.of(o, tz_of(result)) for o in result.others]
    kept = [(name, head) for name, head in _OTHERS.items() if any(getattr(o, name) for o in told)]
    rows = [[unclaimed(o.metric), *(_other(f"other.{k}", o, name) for name, _ in kept)] for k, o in enumerate(told)]
    title = join(["Other metrics (", claimed("span", len(told), ids=["others"]), ")"])
    return details(title, table(rows, [Head("metric"), *(head for _, head in kept)])) if told else Html("")


def _other(id: str, told: words.Other, name: str) -> Html | str:
    value = getattr(told, name)
    if name == "verdict":
        return verdict_badge(words.OTHERS, value, _COLOURS)
    if name in ("change", "margin") and value:
        return claimed("span", value, ids=[f"{id}.*"])
    return unclaimed(value) if name in ("where", "kind") else value
