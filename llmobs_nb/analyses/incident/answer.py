"""The answer: verdict, when, where, why and which traces, put together from suspects, leads and the judge's mean."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from ...stats import changes, margins
from ...stats.series import of_sums
from . import axes as ax
from . import traces as tr
from . import wording as wo
from .cube import Counter, build
from .dating import date
from .exemplars import affected
from .leads import find_leads
from .overall import Overall, moved_outside, overall
from .result import NOTHING, Cause, IncidentResult
from .suspects import find_suspects
from .theories import Room, Theory, of_leads, of_suspects

SUSPECT_ALPHA = 0.004
LEAD_ALPHA = 0.006
NEAR = 0.5
MOST_CAUSES = 5


def incident(obs) -> IncidentResult:
    began = time.perf_counter()
    plan = tr.make_plan(obs)
    if plan is None:
        return IncidentResult(name="incident", headline="The store holds nothing to look at.", seconds=time.perf_counter() - began)
    with ExitStack() as kept:
        room = _room(obs, plan, kept)
        result = _answer(room)
    return replace(result, seconds=time.perf_counter() - began)


def _room(obs, plan, kept: ExitStack) -> Room:
    kept.enter_context(obs.kept(tr.RAW, tr.raw_sql(obs, plan)))
    wordings = wo.find_wordings(obs)
    first = len(plan.metrics)
    plan = replace(plan, metrics=plan.metrics + wo.metrics(wordings))
    if wordings:
        kept.enter_context(obs.kept(wo.TEXTS, wo.texts_sql(wordings, first)))
    axes = ax.find_axes(obs, plan)
    kept.enter_context(obs.kept(ax.CODED, ax.coded_sql(obs, plan, axes, len(wordings))))
    counter = Counter(obs, plan, axes)
    cube = build(counter)
    room = Room(counter, cube, find_leads(counter, cube))
    room.suspects = of_suspects(room, find_suspects(counter, cube, wordings))
    return room


def _answer(room: Room) -> IncidentResult:
    theories = ranked(room)
    sure = [t for t in theories if t.support > -math.log(SUSPECT_ALPHA if t.suspect else LEAD_ALPHA)]
    everywhere = overall(room)
    if everywhere is not None and not _explains(room, sure, everywhere):
        return _false(room, everywhere)
    if sure:
        return _incident(room, sure, theories)
    return _nothing(room)


def ranked(room: Room) -> list[Theory]:
    """Theories, the best first: a suspect goes before a lead that it overlaps, unless the lead is far surer."""
    leads = of_leads(room)
    best = leads[0].support if leads else 0.0
    suspects = [t for t in room.suspects if t.support > 0]
    ahead = [t for t in suspects if t.support >= NEAR * best]
    rest = sorted([*leads, *(t for t in suspects if t not in ahead)], key=lambda t: -t.support)
    return [*ahead, *rest]


def _explains(room: Room, sure: list[Theory], everywhere: Overall) -> bool:
    """Whether a theory accounts for the move of the mean: the rest of traffic stays where it was."""
    for t in sure[:2]:
        if room.plan.metrics[t.metric].name.startswith("score:") or 0 in t.tests:
            if not t.label and t.suspect is not None:
                return True
            z, effect = moved_outside(room, t.sums, t.day, t.end, 0)
            inside = t.tests[0][2].value if 0 in t.tests and t.tests[0][2].ok else 0.0
            if abs(z) < 3.5 or abs(effect) < 0.35 * abs(inside):
                return True
    return False


def _false(room: Room, everywhere: Overall) -> IncidentResult:
    verdict = everywhere.verdict
    verdict = "judge_changed" if verdict == "within" else verdict
    change = everywhere.change
    m = room.plan.metrics[0]
    return IncidentResult(
        name="incident", headline=verdict, verdict=verdict, metric=m.name, label=m.label, unit=m.unit,
        direction="down" if change.effect.value < 0 else "up", before=change.before, after=change.after,
    )  # fmt: skip


def _incident(room: Room, sure: list[Theory], theories: list[Theory]) -> IncidentResult:
    first = sure[0]
    onset, end = date(room, first)
    m = room.plan.metrics[first.metric]
    before, after, effect = first.tests[first.metric]
    supports = np.array([t.support for t in theories[:MOST_CAUSES]])
    weight = np.exp((supports - supports.max()) / 4)
    causes = tuple(
        Cause(t.kind, where(room, t.label), t.tests[t.metric][2] if t.metric in t.tests else NOTHING, None, float(w), (), "")
        for t, w in zip(theories[:MOST_CAUSES], weight / weight.sum(), strict=True)
    )
    return IncidentResult(
        name="incident", headline=f"{m.label}", verdict="incident", metric=m.name, label=m.label, unit=m.unit,
        direction="down" if (effect.value or 0) < 0 else "up", before=before, after=after, onset=onset, end=end, causes=causes,
        traces=affected(room, first, onset, end),
    )  # fmt: skip


def where(room: Room, label) -> dict[str, str]:
    return {room.counter.axes[a].name: room.counter.axes[a].values[v] for a, v in label}


def _nothing(room: Room) -> IncidentResult:
    """Nothing happened, where the intervals of all watched metrics say so; else what could have been seen."""
    plan = room.plan
    watched = [i for i in room.leads.metrics if not plan.metrics[i].name.endswith((":human", ":user"))]
    steps = [changes.step_effects(of_sums(*room.cube.total[:, i], phase=plan.start.weekday())) for i in watched]
    bounds = margins.bounds(steps, [plan.metrics[i].margin for i in watched])
    inside = bool(bounds) and all(b.inside for b in bounds)
    judged = [b for i, b in zip(watched, bounds, strict=True) if plan.metrics[i].name.startswith("score:")] or bounds
    detectable = min((b.detectable for b in judged), default=None)
    verdict = "no_change" if inside else "not_enough_evidence"
    return IncidentResult(name="incident", headline=verdict, verdict=verdict, minimum_detectable=detectable,
                          others=tuple({"metric": plan.metrics[i].name, "low": b.low, "high": b.high, "margin": b.margin, "verdict": "inside" if b.inside else "open", "onset": None} for i, b in zip(watched, bounds, strict=True)))  # fmt: skip
