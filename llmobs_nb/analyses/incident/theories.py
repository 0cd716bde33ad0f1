"""What may have happened, each with how surely something became worse there: suspects tested where they point, leads as they were found.

Support is minus the log of a p that pays for everything that was tried on its way: a suspect for its rivals and its metrics,
a lead for all slices, days and metrics. So both are on one scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ...stats.cells import Cells
from ...stats.estimate import Estimate
from ...stats.scan import effects
from ..reductions import rows
from .axes import CODED
from .cube import Counter, Cube, Label, where_sql
from .leads import Lead, Leads, shock
from .refine import best_slice
from .suspects import Suspect, sums_of

JUDGED_WEIGHT = 0.6
NEUTRAL_WEIGHT = 0.04
SEEN = 3.5
MOST_LEADS = 4
NEAR_DAYS = 3
LARGEST = 600.0
# What shows by itself what kind of change it is: metric, the way it moves, the kind, and metrics that follow from it.
FINGERPRINTS = (
    ("error_rate", 1, "provider_errors", ("latency_ms", "spans_per_trace", "length_rate")),
    ("repeated_tool_rate", 1, "agent_loop", ("spans_per_trace", "cost_usd", "latency_ms", "tokens_in", "ttft_ms", "error_rate")),
    ("spans_per_trace", 1, "agent_loop", ("cost_usd", "latency_ms", "tokens_in", "ttft_ms", "error_rate")),
    ("guardrail_block_rate", 1, "guardrail", ("output_chars",)),
    ("length_rate", 1, "truncation", ("output_chars",)),
    ("cache_read_share", -1, "prompt_cache", ("unit_price", "cost_per_token", "cost_usd", "ttft_ms", "latency_ms")),
    ("unit_price", 1, "price", ("cost_per_token", "cost_usd")),
    ("cost_per_token", 1, "price", ("cost_usd",)),
    ("ttft_ms", 1, "provider_latency", ("latency_ms",)),
    ("retrieval_top_score", -1, "retrieval", ()),
)
FALLBACK = {
    **dict.fromkeys(("latency_ms", "llm_latency_ms", "retrieval_latency_ms", "tool_latency_ms"), "provider_latency"),
    "cost_usd": "price",
}


@dataclass(eq=False)
class Theory:
    """One explanation: kind, slice (codes by axis), sums of all metrics there, first day, first day after, and the metric that tells most.

    ``tests`` are (before, after, effect) per metric at that onset, nothing searched. Of a burst of hours ``hours`` are the first
    and the first after, and the tests are of these, not of the days around them.
    """

    kind: str
    label: Label
    sums: np.ndarray
    day: int
    end: int | None
    metric: int
    support: float
    tests: dict[int, tuple[Estimate, Estimate, Estimate]] = field(default_factory=dict)
    suspect: Suspect | None = None
    lead: Lead | None = None
    hours: tuple[int, int] | None = None


class Room:
    """The data that theories are tested on."""

    def __init__(self, counter: Counter, cube: Cube, leads: Leads, fine: Counter, hours: Cube) -> None:
        self.counter, self.cube, self.leads = counter, cube, leads
        self.fine, self.hours = fine, hours
        self.plan = counter.plan
        self.names = {m.name: i for i, m in enumerate(self.plan.metrics)}
        self.suspects: list[Theory] = []
        self._shocks = dict(leads.shocks)
        self.judged: set[int] = set()

    def bad(self, i: int) -> int:
        """The sign of a change for the worse; 0 where there is none."""
        return {"up": -1, "down": 1, "": 0}[self.plan.metrics[i].better]

    def cells(self, sums: np.ndarray, i: int) -> Cells:
        """One metric of one slice against all traffic, by days or, where the sums are, by parts of a day."""
        whole = self.cube if sums.shape[-1] == self.plan.days else self.hours
        return whole.cells(self.plan, i, sums)

    def tests(self, sums: np.ndarray, start: int, stop: int | None) -> dict:
        """(before, after, effect) per metric of a slice, net of the rest of traffic as far as that tells of shared shocks."""
        out = {}
        for i, m in enumerate(self.plan.metrics):
            if not m.name.startswith("text:") and sums[0, i].sum() >= 10:
                shock = self.shock(i) * (self.hours.per_day if sums.shape[-1] != self.plan.days else 1)
                out[i] = effects(self.cells(sums, i), [0], max(start, 1), stop, shock=shock)[0]
        return out

    def by_hours(self, label: Label, hours: tuple[int, int]) -> dict:
        """:meth:`tests` of a burst of hours, rounded to the bins that they touch."""
        size = 24 // self.fine.per_day
        return self.tests(sums_of(self.fine, self.hours, label), hours[0] // size, -(-hours[1] // size))

    def shock(self, i: int) -> float:
        """Variance that days share in a metric, beyond sampling and over long stretches."""
        if i not in self._shocks:
            self._shocks[i] = shock(self.cube.total[:, i], self.plan.start.weekday())
        return self._shocks[i]


def weights(room: Room) -> dict[int, float]:
    """How the allowed error is shared among metrics: half for the judges, little for what is neither good nor bad."""
    metrics = [i for i, m in enumerate(room.plan.metrics) if not m.name.startswith("text:")]
    judged = [i for i in metrics if room.plan.metrics[i].name.endswith(":judge")]
    neutral = [i for i in metrics if not room.plan.metrics[i].better]
    rest = [i for i in metrics if i not in judged and i not in neutral]
    out = {i: JUDGED_WEIGHT / len(judged) for i in judged}
    out |= {i: NEUTRAL_WEIGHT / len(neutral) for i in neutral}
    left = 1 - sum(out.values())
    return out | {i: left / len(rest) for i in rest}


def of_suspects(room: Room, suspects: list[Suspect]) -> list[Theory]:
    """Each suspect with the metric in which most surely something became worse from its day on."""
    share, out = weights(room), []
    suspects = [s for s in suspects if _asked_for(room, s)]
    for s in suspects:
        tests = room.tests(s.sums, s.day, s.end)
        best = (0.0, None)
        for i, (_, _, effect) in tests.items():
            support = _support(effect, room.bad(i)) if room.plan.watches(i) else 0.0
            if support > 0:
                best = max(best, (support + math.log(share[i]) - math.log(len(suspects)), i), key=lambda b: b[0])
        if best[1] is not None:
            out.append(Theory(_kind_of(room, s, tests), s.label, s.sums, s.day, s.end, best[1], best[0], tests, suspect=s))
    return sorted(out, key=lambda t: -t.support)


def _asked_for(room: Room, s: Suspect) -> bool:
    """Whether a suspect came when the onset was said to be, or within the later of two windows."""
    given = room.plan.onset_day
    return given is None or abs(s.day - given) <= NEAR_DAYS or (bool(room.plan.windows) and s.day > given)


def _kind_of(room: Room, s: Suspect, tests: dict) -> str:
    """A passage that empties the cache and leaves quality alone is something volatile at the top of the prompt."""
    cache = room.names["cache_read_share"]
    if s.wording is None or s.kind != "prompt_text" or cache not in tests or not tests[cache][2].ok:
        return s.kind
    lost = _support(tests[cache][2], -1)
    judged = [_support(tests[i][2], -1) for i in tests if room.plan.metrics[i].name.endswith(":judge")]
    return "prompt_cache" if lost > 12 and lost > 2 * max(judged, default=0.0) else s.kind


def _support(effect: Estimate, bad: int) -> float:
    """Minus log p of a change for the worse (one-sided), of any change where neither way is bad."""
    if not effect.ok or not effect.se:
        return 0.0
    if bad and np.sign(effect.value) != bad:
        return 0.0
    p = (effect.p or 1e-300) / (2 if bad else 1)
    return min(-math.log(max(p, 1e-260)), LARGEST)


def of_leads(room: Room) -> list[Theory]:
    """The surest leads as theories, each with the slice under which it is likeliest; what kind each is, its fingerprint says."""
    out: list[Theory] = []
    seen: list[Lead] = []
    for lead in room.leads.leads:
        if len(seen) >= MOST_LEADS or (seen and lead.p > 0.05):
            break
        if any(s.metric == lead.metric and _near(s.day, lead.day) for s in seen):
            continue
        seen.append(lead)
        exposed = lead.hours is None and lead.cell in room.cube.exposures
        label = lead.label if exposed else _slice(room, lead)
        sums = room.cube.sums[:, :, lead.cell].astype(float) if exposed else sums_of(room.counter, room.cube, label)
        tests = room.by_hours(label, lead.hours) if lead.hours else room.tests(sums, lead.day, lead.end)
        known = {"tests": tests, "lead": lead, "hours": lead.hours}
        support = -math.log(max(lead.p, 1e-260))
        out.append(Theory(_kind(room, lead, tests), label, sums, lead.day, lead.end, lead.metric, support, **known))
    return out


def _slice(room: Room, lead: Lead) -> Label:
    bad = room.bad(lead.metric)
    if lead.hours is None:
        return best_slice(room.counter, room.cube, lead.metric, lead.day, lead.end, bad)
    start, stop = (h * room.fine.per_day // 24 for h in lead.hours)
    return best_slice(room.fine, room.hours, lead.metric, start, stop, bad)


def overlap(room: Room, a: Theory, b: Theory) -> float:
    """Jaccard of the rows of two theories from the later of their onsets on."""
    day = max(a.day, b.day)
    sql = [where_sql(t.label) for t in (a, b)]
    (row,) = rows(
        room.counter.obs,
        f"""SELECT sum(CASE WHEN ({sql[0]}) AND ({sql[1]}) THEN 1 ELSE 0 END) AS both,
        sum(CASE WHEN ({sql[0]}) OR ({sql[1]}) THEN 1 ELSE 0 END) AS either FROM {CODED} WHERE day >= {day}""",
    )
    return float(row["both"] or 0) / max(float(row["either"] or 0), 1.0)


def _near(a: int, b: int) -> bool:
    return abs(a - b) <= NEAR_DAYS


def _kind(room: Room, lead: Lead, tests: dict) -> str:
    """The fingerprint that is seen most clearly in the lead's slice, what follows from another one left out."""
    seen = fingerprints(room, lead.metric, lead.z, tests)
    if not seen:
        return FALLBACK.get(room.plan.metrics[lead.metric].name, "model_behaviour")
    return max(seen, key=lambda k: seen[k])


def fingerprints(room: Room, metric: int, z: float, tests: dict) -> dict[str, float]:
    """Kind → |z| of its fingerprint, for those that are seen and do not follow from another."""
    found = {}
    for name, sign, kind, _ in FINGERPRINTS:
        i = room.names.get(name)
        if i is None or i not in tests:
            continue
        effect = tests[i][2]
        value = effect.value / effect.se if effect.ok and effect.se else 0.0
        if i == metric:
            value = max(value, z, key=abs)
        if value * sign >= SEEN:
            found[name] = (abs(value), kind)
    for name, _, _, follow in FINGERPRINTS:
        if name in found:
            for other in follow:
                if other not in found:
                    continue
                theirs, own = found[other][0], found[name][0]
                if theirs < (own if other == "error_rate" else 3 * own):
                    found.pop(other)
    out: dict[str, float] = {}
    for value, kind in found.values():
        out[kind] = max(out.get(kind, 0.0), value)
    return out
