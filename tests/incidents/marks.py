"""How right an answer is: the Result's JSON of an incident analysis against the truth of a case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from .build import Case

DAYS_OFF = {"step": 1, "burst": 1, "ramp": 4}
SAME_SLICE = 0.7
SURE = 0.9
STRENGTHS = (("<3", 0, 3), ("3-5", 3, 5), (">=5", 5, np.inf))
NOTHING = ("no_change", "not_enough_evidence")


@dataclass(frozen=True)
class Mark:
    """One row per case. A field is None where it does not apply: only incidents that were called one have an onset to compare.

    ``first`` is the share of truly affected traces among the first 20 named, ``sure`` and ``sure_right`` count causes with a
    confidence of ``SURE`` or more, ``covered`` says whether the interval of the onset holds it.
    """

    seed: int
    kind: str
    verdict: str
    shape: str | None
    z: float
    said: str | None
    said_kind: str | None = None
    verdict_right: bool = False
    onset_right: bool = False
    slice_right: bool = False
    slice_in_three: bool = False
    kind_right: bool = False
    jaccard: float | None = None
    days_off: float | None = None
    covered: bool | None = None
    width_days: float | None = None
    first: float | None = None
    sure: int = 0
    sure_right: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def all_right(self) -> bool:
        """For an incident verdict, onset, slice and kind; else the verdict (a quiet case may also lack evidence)."""
        if self.verdict != "incident":
            return self.verdict_right
        return self.verdict_right and self.onset_right and self.slice_right and self.kind_right

    @property
    def strength(self) -> str:
        return next(name for name, low, high in STRENGTHS if low <= abs(self.z) < high)


def failed(case: Case, error: str, seconds: float) -> Mark:
    """The mark of an analysis that raised."""
    truth = case.truth
    return Mark(truth.seed, truth.kind, truth.verdict, truth.shape, truth.oracle_z, None, seconds=seconds, error=error)


def mark(case: Case, answer: dict, seconds: float = 0.0) -> Mark:
    """Compare an answer (the shape of the contract) with the truth of its case."""
    truth, said = case.truth, answer["verdict"]
    right = said in NOTHING if truth.verdict == "no_change" else said == truth.verdict
    base = {"seed": truth.seed, "kind": truth.kind, "verdict": truth.verdict, "shape": truth.shape, "z": truth.oracle_z}
    base |= {"said": said, "verdict_right": right, "seconds": seconds}
    causes = answer.get("causes") or []
    base["said_kind"] = causes[0]["kind"] if causes else None
    base["sure"] = sum((c.get("confidence") or 0) >= SURE for c in causes)
    if not (truth.incident and said == "incident"):
        return Mark(**base)
    overlaps = [overlap(case, c["where"]) for c in causes[:3]] or [0.0]
    return Mark(
        **base,
        **_onset(case, answer.get("onset") or {}),
        slice_right=overlaps[0] >= SAME_SLICE,
        slice_in_three=max(overlaps) >= SAME_SLICE,
        kind_right=base["said_kind"] == truth.kind,
        jaccard=round(overlaps[0], 3),
        first=_first(case, answer.get("traces") or []),
        sure_right=sum(_right(case, c) for c in causes if (c.get("confidence") or 0) >= SURE),
    )


def _right(case: Case, cause: dict) -> bool:
    return cause["kind"] == case.truth.kind and overlap(case, cause["where"]) >= SAME_SLICE


def overlap(case: Case, where: dict[str, str]) -> float:
    """Jaccard of the traces that ``where`` selects between onset and end with the affected ones."""
    chosen = set(case.trace_ids[case.select(where) & during(case)])
    affected = case.truth.affected
    return len(chosen & affected) / max(1, len(chosen | affected))


def during(case: Case) -> np.ndarray:
    """Which traces with a span left lie between the onset and the end of the incident."""
    truth = case.truth
    micros = [None if t is None else round(t.timestamp() * 1e6) for t in (truth.onset, truth.end)]
    late = case.at >= micros[0]
    there = np.bincount(case.written.trace, minlength=len(case.at)) > 0
    return there & late & (case.at < micros[1] if micros[1] is not None else True)


def _onset(case: Case, told: dict) -> dict:
    truth = case.truth
    if not told.get("time"):
        return {}
    off = abs(_time(told["time"]) - truth.onset) / timedelta(days=1)
    out = {"onset_right": off <= DAYS_OFF[truth.shape], "days_off": round(off, 2)}
    if told.get("low") and told.get("high"):
        low, high = _time(told["low"]), _time(told["high"])
        out |= {"covered": low <= truth.onset <= high, "width_days": round((high - low) / timedelta(days=1), 2)}
    return out


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _first(case: Case, traces: list[str]) -> float | None:
    """The share of affected ones among the first 20 named; None where none is named."""
    named = traces[:20]
    return sum(t in case.truth.affected for t in named) / len(named) if named else None
