"""The answer: verdict, when, where, why and which traces, put together from suspects, leads and the judge's mean."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import numpy as np

from ...stats import changes, margins
from ...stats.estimate import Estimate
from ...stats.scan import effects
from ...stats.series import of_sums
from . import levels, words
from .dating import date
from .evidence import prompt_diff, sentences, undo
from .exemplars import SHOWN, affected, checklist, matched, spans_of
from .log import change_log
from .overall import Overall, held_up, moved_outside, overall
from .result import NOTHING, Cause, IncidentResult, Onset, frame
from .theories import Room, Theory, of_leads, overlap
from .watched import Metric

SUSPECT_ALPHA = 0.01
LEAD_ALPHA = 0.006
LEAST_BEFORE = 25  # values of a slice that was searched for: fewer do not say what was usual there
MATTERS = 0.25  # of the metric's margin
NEAR = 0.5
MOST_CAUSES = 5
MOST_SLICES = 10
SOFT = 4.0
DOUBT = 0.03


def answer(room: Room) -> IncidentResult:
    """Look at everything that was found and say what it means."""
    theories = ranked(room)
    certain = [t for t in theories if sure(room, t)]
    everywhere = overall(room)
    if everywhere is not None and not _explains(room, certain, everywhere):
        return _false(room, everywhere)
    return _incident(room, certain, theories) if certain else _nothing(room)


def ranked(room: Room) -> list[Theory]:
    """Theories, the best first. A sure suspect goes before a lead that is the same traffic at the same time: it says why."""
    leads = of_leads(room)
    suspects = [t for t in room.suspects if t.support > 0]
    best = leads[0].support if leads else 0.0
    ahead = [t for t in suspects if t.support >= NEAR * best or (sure(room, t) and leads and _same(room, t, leads[0]))]
    said = [t for t in leads if t.kind != "model_behaviour" or not any(_same(room, s, t) for s in ahead)]
    rest = sorted([*said, *(t for t in suspects if t not in ahead)], key=lambda t: -t.support)
    return [*ahead, *rest]


def sure(room: Room, theory: Theory) -> bool:
    """Whether it is beyond the doubt that its kind of search allows, and not too small to matter to anybody."""
    (before, _, effect), margin = theory.tests[theory.metric], room.plan.metrics[theory.metric].margin
    matters = effect.ok and abs(effect.value) >= MATTERS * margin and (theory.suspect is not None or before.n >= LEAST_BEFORE)
    return matters and theory.support > -math.log(SUSPECT_ALPHA if theory.suspect else LEAD_ALPHA)


def _same(room: Room, suspect: Theory, lead: Theory) -> bool:
    return abs(suspect.day - lead.day) <= 3 and overlap(room, suspect, lead) > 0.5


def _explains(room: Room, certain: list[Theory], everywhere: Overall) -> bool:
    """Whether a theory accounts for the move of the judge's mean: the rest of traffic stays where it was."""
    i, composed = everywhere.metric, everywhere.verdict != "within"
    for t in certain[:2]:
        if not t.label:
            if not composed and t.kind != "model_behaviour":
                return True
            continue
        if i not in t.tests or not t.tests[i][2].ok:
            continue
        inside = t.tests[i][2].value
        if composed and not held_up(room, i, t.label, t.day, t.end, inside):
            continue
        z, effect = moved_outside(room, t.sums, t.day, t.end, i)
        if abs(z) < 3.5 or abs(effect) < 0.35 * abs(inside):
            return True
    return False


def _false(room: Room, everywhere: Overall) -> IncidentResult:
    verdict, change = everywhere.verdict.replace("within", "judge_changed"), everywhere.change
    m, plan = room.plan.metrics[everywhere.metric], room.plan
    onset = Onset(plan.at(change.onset), plan.at(change.low), plan.at(change.high + 1), change.shape)
    return IncidentResult(
        name="incident", headline=words.false(verdict, m, everywhere, onset), verdict=verdict, metric=m.name, label=m.label,
        unit=m.unit, direction="down" if change.effect.value < 0 else "up", before=change.before, after=change.after, onset=onset,
        end=None if change.end is None else plan.at(change.end), changes=frame("changes", change_log(room, onset)),
    )  # fmt: skip


def _incident(room: Room, certain: list[Theory], theories: list[Theory]) -> IncidentResult:
    first = certain[0]
    m, (onset, end) = room.plan.metrics[first.metric], date(room, first)
    first, log = at_hours(room, first, onset, end), change_log(room, onset)
    daily = levels.daily(room, first)
    sums = levels.daily(room, first, hours=True) if first.hours else daily
    before, after = levels.before_after(room, first, sums)
    causes = _causes(room, first, theories, onset, log, sums, before, after)
    traces = affected(room, first, onset, end)
    pairs = matched(room, first, onset, traces)
    some = [p["trace_id"] for p in pairs]
    effect = first.tests[first.metric][2].value
    return IncidentResult(
        name="incident", headline=words.headline(m, causes[0], onset, end, before, after), verdict="incident", metric=m.name,
        label=m.label, unit=m.unit, direction="down" if effect < 0 else "up", before=before, after=after, onset=onset, end=end,
        minimum_detectable=_detectable(room, first), detectable_unit=_unit(m), causes=causes, traces=traces, others=_others(room, certain),
        timeline=frame("timeline", levels.timeline(room, first, daily)), slices=frame("slices", _slices(room, first)),
        exemplars=frame("exemplars", pairs), checklist=frame("checklist", checklist(room, first, onset, some)),
        spans=frame("spans", spans_of(room, some[: 2 * SHOWN])), changes=frame("changes", log),
    )  # fmt: skip


def at_hours(room: Room, theory: Theory, onset: Onset, end: datetime | None) -> Theory:
    """A burst tested in its hours, not in the days around it; anything else as it is."""
    if onset.shape != "burst" or end is None or theory.suspect is not None:
        return theory
    hours = tuple(math.floor((at - room.plan.start).total_seconds() / 3600) for at in (onset.time, end))
    tests = room.by_hours(theory.label, hours)
    return replace(theory, hours=hours, tests=tests) if theory.metric in tests and hours[0] < hours[1] else theory


def _causes(room: Room, first: Theory, theories, onset: Onset, log, sums, before, after) -> tuple[Cause, ...]:
    """The theories as causes; the first one's numbers in the unit of the metric, and how likely each is among them."""
    chosen = [first]
    for t in theories:
        if t.support > 0 and all((t.kind, sorted(t.label)) != (c.kind, sorted(c.label)) for c in chosen):
            chosen.append(t)
    chosen = chosen[:MOST_CAUSES]
    supports = np.array([t.support for t in chosen])
    supports[0] = supports.max()
    weight = np.exp((supports - supports.max()) / SOFT)
    weight = (1 - DOUBT) * weight / weight.sum()
    out = []
    for k, (t, w) in enumerate(zip(chosen, weight, strict=True)):
        where = named(room, t.label)
        change, without, share, diff = NOTHING, NOTHING, None, None
        if k == 0:
            change, without = levels.effect_and_without(room, t, before, after)
            share, diff = levels.share_explained(t, sums), prompt_diff(room, t)
        elif t.metric == first.metric and room.plan.metrics[t.metric].kind != "log":
            e = t.tests[t.metric][2]
            change = Estimate(e.value, e.ci_low, e.ci_high, e.n, e.level, e.reason)
        told = sentences(room, t, where, onset, log if k == 0 else [])
        since = t.suspect.at if t.suspect is not None else room.plan.at(t.day)
        out.append(Cause(t.kind, where, change, share, float(w), told, undo(room, t, where), without, since, diff))
    return tuple(out)


def named(room: Room, label) -> dict[str, str]:
    """A slice in names and values."""
    return {room.counter.axes[a].name: room.counter.axes[a].values[v] for a, v in label}


def _others(room: Room, certain: list[Theory]) -> tuple[dict, ...]:
    """Further incidents: other traffic, or another time."""
    out, kept = [], [certain[0]]
    for t in certain[1:]:
        if all(abs(t.day - k.day) > 3 or overlap(room, t, k) < 0.3 for k in kept):
            kept.append(t)
            onset, _ = date(room, t)
            out.append(
                {
                    "metric": room.plan.metrics[t.metric].name,
                    "verdict": "incident",
                    "onset": onset.json(),
                    "kind": t.kind,
                    "where": named(room, t.label),
                }
            )
    return tuple(out)


def _slices(room: Room, first: Theory) -> list[dict]:
    """The slices that moved most in the metric, all at the onset of the first cause; the picked one is marked."""
    i = first.metric
    chosen = [(first.label, first.tests[i][2], True)]
    search = room.leads.search
    if search is not None and i in room.leads.metrics:
        found = search.scan.top(2 * MOST_SLICES, metric=room.leads.metrics.index(i))
        cells = [f.cell for f in found if f.cell < len(room.cube.labels) and f.cell not in room.cube.exposures]
        cells = [c for c in cells if sorted(room.cube.labels[c]) != sorted(first.label)][:MOST_SLICES]
        got = effects(room.cube.cells(room.plan, i), cells, max(first.day, 1), first.end, shock=room.shock(i))
        chosen += [(room.cube.labels[c], e[2], False) for c, e in zip(cells, got, strict=True)]
    out = []
    for label, e, picked in chosen:
        if e.ok:
            before, after = levels.means(room, first, label)
            text = ", ".join(f"{k}={v}" for k, v in named(room, label).items()) or "all traffic"
            row = {
                "slice": text,
                "before": before,
                "after": after,
                "n": e.n,
                "z": e.value / e.se if e.se else 0.0,
                "picked": picked,
            }
            out.append(row | levels.in_units(room, i, e, after))
    return out


def _detectable(room: Room, first: Theory) -> float | None:
    effect = first.tests[first.metric][2]
    return margins.minimum_detectable(effect.se, 3.5) if effect.se else None


def _unit(metric: Metric) -> str:
    """The unit in which changes of a metric are compared."""
    return "log" if metric.kind == "log" else metric.unit


def _nothing(room: Room) -> IncidentResult:
    """Nothing happened, where the intervals of all watched metrics say so; else what could have been seen."""
    plan = room.plan
    watched = [i for i in room.leads.metrics if not plan.metrics[i].name.endswith((":human", ":user"))]
    steps = [changes.step_effects(of_sums(*room.cube.total[:, i], phase=plan.start.weekday())) for i in watched]
    bounds = margins.bounds(steps, [plan.metrics[i].margin for i in watched])
    inside = bool(bounds) and all(b.inside for b in bounds)
    seen = [(plan.metrics[i], b.detectable) for i, b in zip(watched, bounds, strict=True) if math.isfinite(b.detectable)]
    seen = [(m, d) for m, d in seen if m.is_score] or seen
    first, detectable = (
        min(seen, key=lambda s: s[1] / s[0].margin) if seen else (plan.metrics[watched[0]] if watched else None, None)
    )
    others = tuple(
        {
            "metric": plan.metrics[i].name,
            "verdict": "inside" if b.inside else "open",
            "onset": None,
            "low": b.low,
            "high": b.high,
            "margin": b.margin,
            "unit": _unit(plan.metrics[i]),
        }
        for i, b in zip(watched, bounds, strict=True)
    )
    verdict = "no_change" if inside else "not_enough_evidence"
    return IncidentResult(
        name="incident", headline=words.nothing(verdict, plan, first, detectable, others), verdict=verdict, minimum_detectable=detectable,
        detectable_unit=_unit(first) if first else "",
        label=first.label if first else "", unit=first.unit if first else "", others=others,
    )  # fmt: skip
