"""What the incident analysis returns: verdict, onset, causes with their evidence, the traces, and what the pictures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from ...stats.estimate import Estimate, finite
from ..result import Result, plain
from .claims import of_incident

VERDICTS = ("incident", "no_change", "not_enough_evidence", "judge_changed", "traffic_mix_changed", "sampling_changed")
NOTHING = Estimate.refused("nothing to compare")
FRAMES = {
    "timeline": ("day", "part", "value", "low", "high", "n"),
    "slices": ("slice", "before", "after", "effect", "low", "high", "n", "z", "picked"),
    "exemplars": ("trace_id", "side", "started", "value", "matched_on", "url"),
    "checklist": ("trace_id", "check", "verdict", "value", "usual", "low", "high", "unit"),
    "spans": ("trace_id", "span_id", "parent_id", "name", "kind", "start_ms", "latency_ms", "tokens", "cost_usd", "status"),
    "changes": ("at", "kind", "ref", "note", "matched"),
}  # fmt: skip


@dataclass(frozen=True)
class Onset:
    """When it began: the best guess, its interval (90 %), and how it came (step, ramp, burst)."""

    time: datetime
    low: datetime
    high: datetime
    shape: str

    def json(self) -> dict:
        return {"time": plain(self.time), "low": plain(self.low), "high": plain(self.high), "shape": self.shape}


@dataclass(frozen=True)
class PromptDiff:
    """A passage that entered (or left) the rendered system prompt: a prompt without it, one with it, the passage, who gets it.

    ``sign`` is ``+`` for a passage that entered and ``-`` for one that left. ``share_rate`` is the share of the slice's traces
    that have it (lack it) from then on. All texts are hostile.
    """

    before: str
    after: str
    passage: str
    sign: str
    since: datetime
    share_rate: float


@dataclass(frozen=True)
class Cause:
    """A candidate cause, the likeliest first.

    ``where`` is a conjunction of equalities, ``effect`` the change of the metric there net of the rest of traffic,
    ``share_explained`` how much of the overall change it explains, ``confidence`` how likely it is among those considered,
    ``evidence`` sentences, ``undo`` what to do about it, ``without`` what the metric would have been without it.
    """

    kind: str
    where: dict[str, str]
    effect: Estimate
    share_explained: float | None
    confidence: float
    evidence: tuple[str, ...]
    undo: str
    without: Estimate = NOTHING
    since: datetime | None = None
    diff: PromptDiff | None = None

    def json(self) -> dict:
        out = {
            "kind": self.kind,
            "where": self.where,
            "effect": self.effect.json(),
            "share_explained": finite(self.share_explained),
        }
        out |= {"confidence": finite(self.confidence), "evidence": list(self.evidence), "undo": self.undo}
        out |= {"without": self.without.json(), "since": plain(self.since)}
        diff = self.diff and {k: getattr(self.diff, k) for k in ("passage", "sign", "since", "share_rate")}
        return out | {"prompt_diff": plain(diff) if diff else None}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class IncidentResult(Result):
    """The answer of :func:`incident`, as CONTRACTS.md writes it, and the tables behind its pictures.

    ``metric`` is the name of the metric that tells most, ``label`` its words, ``unit`` its unit; ``before`` and ``after`` are its
    levels in the slice of the first cause; ``minimum_detectable`` is in ``detectable_unit`` (``log``: of the logarithm), in ``unit``
    without one. ``timeline`` has one row per day and part (``slice``, ``rest``), ``slices`` the slices
    that moved most, ``exemplars`` traces after and, matched, before; ``checklist`` one row per exemplar and check (a number has a
    ``unit`` and lies usually between ``low`` and ``high``); ``spans`` the spans of some exemplars for the waterfall; ``changes`` the change log around the onset. ``known`` says which remembered
    incident it is.
    """

    verdict: str = "not_enough_evidence"
    metric: str | None = None
    label: str = ""
    unit: str = ""
    direction: str | None = None
    before: Estimate = NOTHING
    after: Estimate = NOTHING
    minimum_detectable: float | None = None
    detectable_unit: str = ""
    onset: Onset | None = None
    end: datetime | None = None
    causes: tuple[Cause, ...] = ()
    traces: tuple[str, ...] = ()
    others: tuple[dict[str, Any], ...] = ()
    known: str | None = None
    seconds: float = 0.0
    timeline: pd.DataFrame = field(default_factory=lambda: frame("timeline"))
    slices: pd.DataFrame = field(default_factory=lambda: frame("slices"))
    exemplars: pd.DataFrame = field(default_factory=lambda: frame("exemplars"))
    checklist: pd.DataFrame = field(default_factory=lambda: frame("checklist"))
    spans: pd.DataFrame = field(default_factory=lambda: frame("spans"))
    changes: pd.DataFrame = field(default_factory=lambda: frame("changes"))

    def json(self) -> dict:
        out = super().json() | {"verdict": self.verdict, "metric": self.metric, "direction": self.direction}
        out |= {"before": self.before.json(), "after": self.after.json(), "minimum_detectable": finite(self.minimum_detectable)}
        out |= {"onset": self.onset.json() if self.onset else None, "end": plain(self.end)}
        out |= {"causes": [c.json() for c in self.causes], "traces": list(self.traces), "others": plain(list(self.others))}
        out |= {"known": self.known}
        return out | {"seconds": round(self.seconds, 3), "unit": self.unit}

    def claims(self) -> list[dict]:
        return of_incident(self)


def frame(name: str, rows=()) -> pd.DataFrame:
    """One of the tables of the result."""
    return pd.DataFrame(list(rows), columns=list(FRAMES[name]))
