"""Why a cause is believed, in sentences with numbers, what undoes it, and the passage of the prompt as a diff."""

from __future__ import annotations

import math

from ... import units
from ...columns import literal
from ...text import terminal
from ..reductions import rows
from .axes import CODED
from .result import Onset, PromptDiff
from .suspects import where_sql
from .theories import SEEN, Room, Theory
from .traces import RAW

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


def sentences(room: Room, theory: Theory, where: dict[str, str], onset: Onset, log: list[dict]) -> tuple[str, ...]:
    """The evidence of one theory, the most telling first."""
    out = [*_of_suspect(room, theory, where), *_of_metrics(room, theory), *_of_errors(room, theory)]
    for change in log:
        if change["matched"]:
            said = " ".join(str(change[k]) for k in ("kind", "ref", "note") if change[k])
            out.append(f"the change log has {terminal(said, 160)} at {change['at']:%Y-%m-%d %H:%M}, close to the onset")
    if not out:
        out.append("nothing that is logged changed there: prompt, versions, settings and retrieval are as before")
    return tuple(dict.fromkeys(out))


def _of_suspect(room: Room, theory: Theory, where: dict[str, str]) -> list[str]:
    s = theory.suspect
    if s is None:
        return []
    out, since = [], f"{s.at:%Y-%m-%d %H:%M} UTC"
    if s.version is not None:
        name, value = s.version
        before = previous(room, theory)
        was = f", {terminal(before, 120)} before" if before else ""
        out.append(f"{name} is {terminal(value, 120)} since {since}{was}")
    if s.wording is not None:
        text = terminal(s.wording.text, PASSAGE)
        place = {"system_prompt": "the rendered system prompt", "input": "the questions", "output": "the answers"}[
            s.wording.column
        ]
        verb = "is missing from" if s.wording.kind == "prompt_gone" else "is new in"
        share = units.rate(s.presence)
        out.append(f"“{text}” {verb} {place} of {where_text(where)} since {since} ({share} of its traces)")
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


def _of_metrics(room: Room, theory: Theory) -> list[str]:
    """What moved in the slice, the surest first."""
    found = []
    for i, (before, after, effect) in theory.tests.items():
        if effect.ok and effect.se and abs(effect.value / effect.se) >= SEEN:
            found.append((abs(effect.value / effect.se), i, before, after, effect))
    out = []
    for _, i, before, after, effect in sorted(found, key=lambda f: -f[0])[:4]:
        m = room.plan.metrics[i]
        if m.kind == "rate":
            out.append(f"{m.label.lower()} {units.rate(before.value)} before, {units.rate(after.value)} after")
        elif m.kind == "log":
            low, value, high = (math.expm1(v) for v in (effect.ci_low, effect.value, effect.ci_high))
            out.append(f"{m.label.lower()} {value:+.0%} ({low:+.0%} to {high:+.0%})")
        else:
            out.append(f"{terminal(m.label, 80)} {effect.value:+.3g} ({effect.ci_low:+.3g} to {effect.ci_high:+.3g})")
    return out


def _of_errors(room: Room, theory: Theory) -> list[str]:
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
    moved = f"{units.rate(r['early'] / early)} before, {units.rate(r['late'] / later)} after"
    return [f"errors of the class {terminal(r['class'], 40)}: {moved}"]


def undo(room: Room, theory: Theory, where: dict[str, str]) -> str:
    """What to do about it."""
    before, after = previous(room, theory), theory.suspect.version[1] if theory.suspect and theory.suspect.version else ""
    name = where.get("prompt_name") or where.get("model_requested") or where.get("feature") or "it"
    what = theory.suspect.wording.text if theory.suspect and theory.suspect.wording else after or "see the evidence"
    words = {"who": where_text(where), "name": terminal(name, 80), "before": terminal(before or "the previous version", 120)}
    return UNDO[theory.kind].format(**words, after=terminal(after, 120), what=f"“{terminal(what, 120)}”")


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
