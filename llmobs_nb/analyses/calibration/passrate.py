"""The true pass rate of production: as the judge says it, corrected by the labels as their design allows, and week by week."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ...stats import passrate as estimators
from ...stats.compare import two_sided
from ...stats.estimate import Estimate
from ...stats.moments import Moments, add
from .design import LEVEL, Design, by_week, week_of
from .result import Paired

WEEKLY = ("week", "n", "labels", "naive", "value", "ci_low", "ci_high", "how", "reason")
OWN_LABELS = 30
_VERDICT = "post-stratified on the judge's verdict with Jeffreys' beta posteriors"
METHODS = {
    "random": _VERDICT,
    "by_verdict": _VERDICT,
    "weights": f"{_VERDICT}, labels weighted by 1 / inclusion probability",
    "by_label": "Rogan and Gladen: corrected by how often the judge passes what humans pass and fail",
    "period": "Rogan and Gladen with the judge's errors of the labelled time",
    "none": "no estimator is valid",
}


def pass_rate(paired: Paired, design: Design) -> dict:
    """``naive`` (what the judge passes), ``corrected`` (what humans would; refused where no estimator is valid), ``method``, ``weekly``.

    ``weekly`` has one row per week that was judged: week (its Monday), n, labels, naive, value, ci_low, ci_high, how, reason. A week
    with 30 labels drawn at random, by verdict or with weights stands by its own; another takes all labels, by verdict where the
    judge passes as much as over all weeks, else by the judge's errors; where neither is valid it is refused.
    """
    method = METHODS[design.used]
    weeks = by_week(paired)
    total = add(weeks.values())
    if total.n <= 0:
        refused = Estimate.refused(design.reason or "nothing has a verdict of pass or fail")
        return {"naive": refused, "corrected": refused, "method": method, "weekly": pd.DataFrame(columns=list(WEEKLY))}
    labels = _Labels(paired)
    return {
        "naive": estimators.naive(total), "corrected": labels.estimate(design, total), "method": method,
        "weekly": _weekly(labels, design, weeks, total),
    }  # fmt: skip


class _Labels:
    """The labelled pairs as arrays, all of them or of one week."""

    def __init__(self, paired: Paired, keep: np.ndarray | None = None):
        there = (paired.pairs["judge_pass"].notna() & paired.pairs["human_pass"].notna()).to_numpy()
        there = there if keep is None else there & keep
        part = paired.pairs[there]
        self.paired, self.n = paired, len(part)
        self.judge, self.human = part["judge_pass"].to_numpy(float), part["human_pass"].to_numpy(float)
        self.clusters = part["cluster"].to_numpy()
        self.weights = None if paired.weights is None else paired.weights[there]

    def of_week(self, week: np.datetime64) -> _Labels:
        """Those of one week."""
        return _Labels(self.paired, week_of(self.paired.pairs) == week)

    def estimate(self, design: Design, judged: Moments) -> Estimate:
        """The pass rate of what was judged, as the design allows."""
        if design.used == "none":
            return Estimate.refused(
                f"{design.reason} To repair it: {design.repair}." if design.repair else design.reason, n=self.n
            )
        told = {"weights": self.weights, "clusters": self.clusters}
        if design.used in ("by_label", "period"):
            return estimators.rogan_gladen(self.judge, self.human, judged, inside=design.used == "by_label", **told)
        return estimators.post_stratified(self.judge, self.human, judged, **told)

    def carried(self, judged: Moments) -> Estimate:
        """The pass rate of another time, by the judge's errors among the labelled."""
        told = {"weights": self.weights, "clusters": self.clusters, "inside": False}
        return estimators.rogan_gladen(self.judge, self.human, judged, **told)


def _weekly(labels: _Labels, design: Design, weeks: dict, total: Moments) -> pd.DataFrame:
    made = []
    for week, judged in weeks.items():
        own = labels.of_week(week)
        found, how = _of_week(labels, own, design, judged, total)
        naive = judged.ratio if judged.n else None
        made.append(
            (
                pd.Timestamp(week).date(),
                round(judged.n),
                own.n,
                naive,
                found.value,
                found.ci_low,
                found.ci_high,
                how,
                found.reason or "",
            )
        )
    return pd.DataFrame(made, columns=list(WEEKLY))


def _of_week(labels: _Labels, own: _Labels, design: Design, judged: Moments, total: Moments) -> tuple[Estimate, str]:
    if design.used == "none" or judged.n <= 0:
        return labels.estimate(design, judged), METHODS[design.used]
    if design.used in ("by_label", "period"):
        return labels.carried(judged), METHODS[design.used]
    if own.n >= OWN_LABELS:
        return own.estimate(design, judged), "labels of the week"
    if not _differs(judged, total):
        return labels.estimate(design, judged), "labels of all weeks, by verdict"
    if design.used == "by_verdict":
        text = f"the judge passes {judged.ratio:.1%} in this week and {total.ratio:.1%} over all: what a verdict is worth may differ, and only {own.n} labels are of the week"
        return Estimate.refused(text, n=own.n), "none"
    return labels.carried(judged), "labels of all weeks, by the judge's errors"


def _differs(week: Moments, total: Moments) -> bool:
    """Whether the judge's pass rate of a week is not that of all weeks."""
    rest = Moments(*(a - b for a, b in zip(total, week, strict=True)))
    if min(week.m, rest.m) < 2:
        return False
    spread = sum(m.m / (m.m - 1) * m.scatter / m.n**2 for m in (week, rest))
    return spread > 0 and two_sided((week.ratio - rest.ratio) / math.sqrt(spread)) < LEVEL
