"""Why a cause is believed, in sentences with numbers, what undoes it, and the passage of the prompt as a diff."""

from __future__ import annotations

import math
from itertools import chain
from string import Formatter

from ... import units
from ...columns import literal
from ...stats.estimate import Estimate
from ...text import terminal
from ..reductions import rows
from ..said import Quoted, Said
from .axes import CODED
from .result import Onset, PromptDiff
from .suspects import where_sql
from .theories import SEEN, Room, Theory
from .traces import RAW
from .watched import Metric

PASSAGE = 600
UNDO = {
    "prompt_text": "remove the passage from the rendered prompt of {who}",
    "prompt_version": "roll {name} back to {before}",
    "model_version": "pin {name} to {before}, or route {who} away from {after}",
    "model_behaviour": "route {who} to another model, and ask the provider what changed",
    "configuration": "put the setting back for {who}: {what}",
    "retrieval": "search the previous index for {who}, or rebuild it",
    "guardrail": "review the policy that blocks for {who}, or put its previous version back",
    "truncation": "raise the ceiling on output tokens for {who}",
    "input_mix": "nothing to roll back: teach the product what is asked now, {what}",
    "agent_loop": "limit the rounds of the agent for {who}, and look at the tool it repeats",
    "prompt_cache": "move what changes from call to call to the end of the prompt of {who}",
    "price": "check the contract or the price list for {who}",
    "provider_latency": "route {who} to another provider or region while it lasts",
    "provider_errors": "retry with back-off, or route {who} to another provider while it lasts",
}


def where_text(where: dict[str, str]) -> str:
    """A slice in words."""
    return " and ".join(f"{terminal(k, 40)} = {terminal(v, 80)}" for k, v in where.items()) or "all traffic"


def sentences(room: Room, theory: Theory, where: dict[str, str], onset: Onset, log: list[dict]) -> tuple[Said, ...]:
    """The evidence of one theory, the most telling first; each sentence knows its numbers and what it quotes."""
    out = [*_of_suspect(room, theory, where), *_of_metrics(room, theory), *_of_errors(room, theory)]
    for change in log:
        if change["matched"]:
            said = terminal(" ".join(str(change[k]) for k in ("kind", "ref", "note") if change[k]), 160)
            out.append(Said("the change log has ", Quoted(said), f" at {change['at']:%Y-%m-%d %H:%M}, close to the onset"))
    if not out:
        out.append(Said("nothing that is logged changed there: prompt, versions, settings and retrieval are as before"))
    return tuple(dict.fromkeys(out))


def _of_suspect(room: Room, theory: Theory, where: dict[str, str]) -> list[Said]:
    s = theory.suspect
    if s is None:
        return []
    out, since = [], f"{s.at:%Y-%m-%d %H:%M} UTC"
    if s.version is not None:
        name, value = (Quoted(terminal(v, 120)) for v in s.version)
        before = terminal(previous(room, theory), 120)
        was = [", ", Quoted(before), " before"] if before else []
        out.append(Said(name, " is ", value, f" since {since}", *was))
    if s.wording is not None:
        text, who = Quoted(terminal(s.wording.text, PASSAGE)), Quoted(where_text(where))
        place = {"system_prompt": "the rendered system prompt", "input": "the questions", "output": "the answers"}[
            s.wording.column
        ]
        verb = "is missing from" if s.wording.kind == "prompt_gone" else "is new in"
        share = Estimate(s.presence, None, None, theory.tests[theory.metric][1].n)
        told = f" since {since} ({units.rate(share.value)} of its traces)"
        out.append(Said("“", text, f"” {verb} {place} of ", who, told, numbers=[(share, "rate")]))
    return out


def previous(room: Room, theory: Theory) -> str | None:
    """The value that most traces of the context had before a version came."""
    s = theory.suspect
    if s is None or s.version is None:
        return None
    k = next(i for i, a in enumerate(room.counter.axes) if a.name == s.version[0])
    label = [pair for pair in theory.label if pair[0] != k]
    found = rows(
        room.counter.obs,
        f"""SELECT c{k} AS c, count(*) AS n FROM {CODED} WHERE {where_sql(tuple(label))} AND day < {s.day}
        AND c{k} IS NOT NULL GROUP BY 1 ORDER BY n DESC, c LIMIT 1""",
    )
    return room.counter.axes[k].values[int(found[0]["c"])] if found else None


def _of_metrics(room: Room, theory: Theory) -> list[Said]:
    """What moved in the slice, the surest first."""
    found = []
    for i, (before, after, effect) in theory.tests.items():
        if effect.ok and effect.se and abs(effect.value / effect.se) >= SEEN:
            found.append((abs(effect.value / effect.se), i, before, after, effect))
    return [_moved(room.plan.metrics[i], *told) for _, i, *told in sorted(found, key=lambda f: -f[0])[:4]]


def _moved(m: Metric, before: Estimate, after: Estimate, effect: Estimate) -> Said:
    """A rate before and after, of a logarithm the relative change, of anything else the change."""
    if m.kind == "rate":
        numbers = [(before, "rate"), (after, "rate")]
        was, now = (units.rate(e.value, low=e.ci_low, high=e.ci_high) for e in (before, after))
        return Said(Quoted(m.label.lower()), f" {was} before, {now} after", numbers=numbers)
    label, moved, unit = terminal(m.label, 80), effect, m.unit
    if m.kind == "log":
        label, unit = m.label.lower(), "relative"
        moved = Estimate(*(math.expm1(v) for v in (effect.value, effect.ci_low, effect.ci_high)), effect.n)
    kind = "relative" if m.kind == "log" else "absolute"
    value = units.change(moved.value, unit, kind, low=moved.ci_low, high=moved.ci_high)
    between = units.interval(moved.ci_low, moved.ci_high, unit, kind=kind)
    return Said(Quoted(label), f" {value} ({between})", numbers=[(moved, unit)])


def _of_errors(room: Room, theory: Theory) -> list[Said]:
    """The class of errors that grew most in the slice, where errors clearly grew there."""
    effect = theory.tests.get(room.names["error_rate"], (None, None, None))[2]
    if effect is None or not effect.ok or not effect.se or effect.value / effect.se < SEEN:
        return []
    unit, (first, stop) = ("hour", theory.hours) if theory.hours else ("day", (theory.day, theory.end))
    late = f"{unit} >= {first}" + (f" AND {unit} < {stop}" if stop is not None else "")
    found = rows(
        room.counter.obs,
        f"""SELECT s.class AS class, sum(CASE WHEN c.late THEN 0 ELSE 1 END) AS early, sum(CASE WHEN c.late THEN 1 ELSE 0 END) AS late
        FROM (SELECT source, project, trace_id, {late} AS late FROM {CODED} WHERE {where_sql(theory.label)}) c
        LEFT JOIN (SELECT DISTINCT source, project, trace_id, coalesce(error_class, 'other') AS class FROM spans
          WHERE status = 'error' AND (kind = 'llm' OR is_root)) s
          ON c.source = s.source AND c.project = s.project AND c.trace_id = s.trace_id GROUP BY 1 ORDER BY class""",
    )
    early, later = (max(sum(r[k] for r in found), 1) for k in ("early", "late"))
    classes = [(r["late"] / later - r["early"] / early, r) for r in found if r["class"] is not None]
    if not classes:
        return []
    _, r = max(classes, key=lambda c: c[0])
    was, now = Estimate(r["early"] / early, None, None, int(early)), Estimate(r["late"] / later, None, None, int(later))
    told, name = f": {units.rate(was.value)} before, {units.rate(now.value)} after", Quoted(terminal(r["class"], 40))
    return [Said("errors of the class ", name, told, numbers=[(was, "rate"), (now, "rate")])]


def undo(room: Room, theory: Theory, where: dict[str, str]) -> Said:
    """What to do about it."""
    before, after = previous(room, theory), theory.suspect.version[1] if theory.suspect and theory.suspect.version else ""
    name = where.get("prompt_name") or where.get("model_requested") or where.get("feature") or "it"
    what = theory.suspect.wording.text if theory.suspect and theory.suspect.wording else after or "see the evidence"
    words = {"who": where_text(where), "name": terminal(name, 80), "before": terminal(before or "the previous version", 120)}
    words |= {"after": terminal(after, 120), "what": f"“{terminal(what, 120)}”"}
    parts = ((plain, Quoted(words[field]) if field else "") for plain, field, _, _ in Formatter().parse(UNDO[theory.kind]))
    return Said(*chain.from_iterable(parts))


def prompt_diff(room: Room, theory: Theory) -> PromptDiff | None:
    """A rendered prompt without the passage and one with it, of the same slice, as near to the onset as they are."""
    s = theory.suspect
    if s is None or s.wording is None or s.wording.column != "system_prompt":
        return None
    gone = s.wording.kind == "prompt_gone"
    has = f"contains(p.system_prompt, {literal(s.wording.probe)})"
    texts, same = {}, ""
    for after in (True, False):
        condition = has if after != gone else f"NOT {has}"
        side = ">=" if after else "<"
        sql = f"""SELECT p.system_prompt AS t{_like(room)} FROM {CODED} c JOIN {RAW} r USING (source, project, trace_id)
            JOIN payloads p ON p.trace_id = r.trace_id AND p.span_id = r.call_id AND p.source = r.source AND p.project = r.project
            WHERE {_without_version(room, theory)} AND c.started {side} TIMESTAMPTZ {literal(s.at.isoformat())} AND {condition}{same}
            ORDER BY c.started {"ASC" if after else "DESC"} LIMIT 1"""
        found = rows(room.counter.obs, sql)
        texts[after] = found[0]["t"] if found else ""
        if found:  # the other prompt is one of the same template
            same = "".join(f" AND c.{k} = {v}" for k, v in found[0].items() if k != "t" and v is not None)
    return PromptDiff(texts[False], texts[True], s.wording.text, "-" if gone else "+", s.at, s.presence)


def _like(room: Room) -> str:
    """What tells one template from another: the codes of feature and prompt."""
    kept = [k for k, a in enumerate(room.counter.axes) if a.name in ("feature", "prompt_name")]
    return "".join(f", c.c{k}" for k in kept)


def _without_version(room: Room, theory: Theory) -> str:
    version = theory.suspect.version[0] if theory.suspect.version else None
    label = tuple(pair for pair in theory.label if room.counter.axes[pair[0]].name != version)
    return where_sql(label)
