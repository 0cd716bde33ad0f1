"""A judge's scores as probabilities: are they, how are they mapped to some, and from which score on should an answer pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...stats import calibration as cal
from ..result import Estimate
from .agree import design_weights
from .maps import apply_map
from .result import Paired, empty

CURVE = ("score", "low", "high", "n", "human_rate", "ci_low", "ci_high")
COSTS = ("threshold", "false_pass_rate", "false_fail_rate", "pass_rate", "cost")


@dataclass(frozen=True, eq=False)
class _Scored:
    """Pairs with a score and a human pass or fail."""

    score: np.ndarray
    passed: np.ndarray
    weight: np.ndarray | None
    clusters: np.ndarray

    @property
    def both(self) -> bool:
        return len(self.passed) > 0 and 0 < self.passed.mean() < 1


def _scored(paired: Paired, design) -> _Scored:
    if paired.kind in ("categorical", "preference"):
        none = np.zeros(0)
        return _Scored(none, none, None, none)
    score, passed = (pd.to_numeric(paired.pairs[c], errors="coerce").to_numpy(float) for c in ("judge", "human_pass"))
    keep, weight = np.isfinite(score) & np.isfinite(passed), design_weights(paired, design)
    return _Scored(score[keep], passed[keep], None if weight is None else weight[keep], paired.clusters[keep])


def curve(paired: Paired, design) -> dict:
    """``curve`` (frame: what humans pass among answers of about the same score), ``ece`` (estimate), ``maps`` (dicts by kind).

    Scores that leave 0 to 1 are taken from their lowest to their highest value for the calibration error; maps take them as they
    are. A map tells ``brier``, the mean squared error of what it says of sessions that it was not fitted on, and ``brier_raw``,
    that of the score itself. Verdicts without a scale have no calibration error and no maps.
    """
    s = _scored(paired, design)
    found = cal.reliability(s.score, s.passed, weight=s.weight, clusters=s.clusters)
    rows = [(b.score, b.low, b.high, b.rate.n, b.rate.value, b.rate.ci_low, b.rate.ci_high) for b in found]
    table = pd.DataFrame(rows, columns=list(CURVE)) if rows else empty(*CURVE)
    if paired.kind not in ("ordinal", "continuous"):
        return {"curve": table, "ece": Estimate.refused("the judge gives verdicts without a scale", n=len(s.score)), "maps": {}}
    ece = cal.calibration_error(_unit(s.score), s.passed, weight=s.weight, clusters=s.clusters)
    return {"curve": table, "ece": ece, "maps": _maps(paired, s) if ece.ok and s.both else {}}


def _unit(score: np.ndarray) -> np.ndarray:
    if not len(score) or (score.min() >= 0 and score.max() <= 1):
        return score
    return (score - score.min()) / (np.ptp(score) or 1.0)


def _isotonic(score, passed, weight=None) -> dict:
    x, y = cal.isotonic(score, passed, weight)
    return {"kind": "isotonic", "scores": x.tolist(), "probabilities": y.tolist()}


def _platt(score, passed, weight=None) -> dict:
    intercept, slope = cal.platt(score, passed, weight)
    return {"kind": "platt", "intercept": intercept, "slope": slope}


def _maps(paired: Paired, s: _Scored) -> dict[str, dict]:
    named = {"judge": paired.judge_name, "human": paired.human_name, "human_pass_at": paired.human_pass_at, "n": len(s.score)}
    raw, out = _brier(_unit(s.score), s), {}
    for fit in (_isotonic, _platt):
        said = cal.crossfitted(s.score, s.passed, fit, apply_map, weight=s.weight, clusters=s.clusters)
        made = fit(s.score, s.passed, s.weight)
        out[made["kind"]] = made | named | {"brier": _brier(said, s), "brier_raw": raw}
    return out


def _brier(probability: np.ndarray, s: _Scored) -> float:
    return float(np.average((probability - s.passed) ** 2, weights=s.weight))


def threshold(paired: Paired, design, cost_false_pass: float, cost_false_fail: float) -> dict:
    """The score from which on an answer should pass, by what a false pass and a false fail cost; with an interval.

    ``value, ci_low, ci_high, n, cost_false_pass, cost_false_fail``, ``curve`` (frame: threshold, shares of all answers that pass
    and fail wrongly, share that passes, cost per answer), ``now`` (the same of ``pass_at``). A threshold above every score passes
    nothing. Without both human passes and fails, or a scale, value is None and ``reason`` says why.
    """
    s = _scored(paired, design)
    out = {"value": None, "ci_low": None, "ci_high": None, "n": len(s.score)}
    out |= {"cost_false_pass": cost_false_pass, "cost_false_fail": cost_false_fail, "curve": empty(*COSTS), "now": None}
    if paired.kind not in ("ordinal", "continuous"):
        return out | {"reason": "the judge gives verdicts without a scale: there is no threshold to choose"}
    if design.used == "none":
        return out | {"reason": f"no design is valid for these labels: {design.reason}"}
    if not s.both:
        return out | {"reason": "humans pass all of the labelled answers, or none: any threshold would do"}
    found = cal.best_threshold(s.score, s.passed, cost_false_pass, cost_false_fail, weight=s.weight, clusters=s.clusters)
    cost = cost_false_pass * found.false_pass + cost_false_fail * found.false_fail
    table = pd.DataFrame(
        dict(zip(COSTS, (found.candidates, found.false_pass, found.false_fail, found.passes, cost), strict=True))
    )
    at = {"value": found.value, "ci_low": found.low, "ci_high": found.high}
    return out | at | {"curve": table, "now": _now(table, paired.pass_at)}


def _now(table: pd.DataFrame, pass_at: float | None) -> dict | None:
    """The row of the threshold in use: the first candidate at or above it passes the same scores."""
    at = table[table["threshold"] >= pass_at] if pass_at is not None else table[:0]
    return at.iloc[0].to_dict() if len(at) else None
