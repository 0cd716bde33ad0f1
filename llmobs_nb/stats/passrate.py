"""The true pass rate of judged traffic from labels of a part of it: which estimator is valid depends on how the part was drawn.

The judge's verdict is known of everything, a label of some. What is not known are rates: how often humans pass what the judge passed
and what it failed (post-stratification), or how often the judge passes what humans pass and fail (Rogan and Gladen 1978). Each rate
has Jeffreys' beta posterior at its effective counts; the pass rate's is computed from them at fixed quasi-random points, so that
the same data give the same interval. Sessions (clusters) and sampling weights make counts smaller than the rows are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .beta import lattice, quantiles
from .estimate import Estimate
from .intervals import critical, effective_n, proportion_from
from .moments import Moments, moments

LEAST_APART = 0.05
LEAST_FACTOR = 0.5
GUESS, WORTH = 0.2, 4


@dataclass(frozen=True)
class Share:
    """A rate as it was counted: its value (NaN where nothing was), the effective number of trials behind it, and its rows."""

    value: float
    trials: float
    rows: int = 0

    def posterior(self) -> np.ndarray:
        """The posterior's quantiles, in order."""
        return quantiles(self.value * self.trials if self.trials else 0.0, self.trials)


def naive(judged: Moments, *, level: float = 0.95) -> Estimate:
    """The share that the judge passes, as if it were never wrong."""
    return proportion_from(judged, level=level)


def post_stratified(judge, human, judged: Moments, *, weights=None, clusters=None, level: float = 0.95) -> Estimate:
    """What humans would pass: their rate among what the judge passed and failed, mixed as the judge's verdicts are in production.

    ``judge`` and ``human`` are 0/1 of the labelled, ``judged`` the moments of the judge's passes over all. Valid where labels were
    drawn at random, or by verdict, or (with ``weights`` = 1 / inclusion probability) in any known way; not for labels drawn by
    what they say or at another time. Refused without labels or without judged targets.
    """
    judge, human = np.asarray(judge, float) > 0.5, np.asarray(human, float)
    if not len(human) or judged.n <= 0:
        return Estimate.refused("no labels" if judged.n > 0 else "nothing was judged", n=len(human), level=level)
    passed, failed = verdict_shares(judge, human, judged.ratio, weights=weights, clusters=clusters)
    return mixed(passed, failed, judged_share(judged), level=level)


def rogan_gladen(
    judge, human, judged: Moments, *, weights=None, clusters=None, inside: bool = True, level: float = 0.95
) -> Estimate:
    """What humans would pass: the judge's pass rate of production, corrected by how often it passes what humans pass and fail.

    Valid where labels were drawn by what humans say, and where they come from another time at which the judge erred as often.
    ``inside`` says that the labelled are among the judged. Refused without labels of both kinds, and for a judge whose verdict
    hardly depends on what a human would say, or goes against it.
    """
    judge, human = np.asarray(judge, float), np.asarray(human, float) > 0.5
    if judged.n <= 0:
        return Estimate.refused("nothing was judged", n=len(judge), level=level)
    if human.all() or not human.any():
        return Estimate.refused(
            f"all {len(human):,} labels say the same: the judge's errors on the others are not known", n=len(human), level=level
        )
    guess = _corrected(judged.ratio, judge[human].mean(), judge[~human].mean())
    right, wrong = _shares(human, judge, guess, weights, clusters)
    return unmixed(right, wrong, judged_share(judged), inside=inside, level=level)


def judged_share(judged: Moments) -> Share:
    """The judge's pass rate of production at its effective number of targets."""
    return Share(judged.ratio, effective_n(judged) if judged.m > 1 else 1.0, int(judged.n))


def mixed(passed: Share, failed: Share, judged: Share, *, level: float = 0.95) -> Estimate:
    """judged · passed + (1 - judged) · failed."""
    q, a, b = (s.posterior()[at] for s, at in zip((judged, passed, failed), lattice(3), strict=True))
    middle = [s.value if s.trials else 0.5 for s in (judged, passed, failed)]
    value = middle[0] * middle[1] + (1 - middle[0]) * middle[2]
    return _between(value, q * a + (1 - q) * b, passed.rows + failed.rows, level)


def unmixed(right: Share, wrong: Share, judged: Share, *, inside: bool = False, level: float = 0.95) -> Estimate:
    """(judged - wrong) / (right - wrong): ``right`` is how often the judge passes what humans pass, ``wrong`` what they fail.

    With ``inside`` the rows behind those two are part of the judged: what they add to its rate is not counted as chance twice.
    """
    n = right.rows + wrong.rows
    a, b, u = (s.posterior()[at] for s, at in zip((right, wrong, judged), lattice(3), strict=True))
    if inside and (rest := _rest(right, wrong, judged)) is not None:
        shares = right.rows / judged.rows, wrong.rows / judged.rows
        u = shares[0] * a + shares[1] * b + (1 - sum(shares)) * rest.posterior()[lattice(3)[2]]
    if np.quantile(a - b, (1 - level) / 2) < LEAST_APART:
        text = f"the judge passes {right.value:.0%} of what humans pass and {wrong.value:.0%} of what they fail: too much alike to correct by"
        return Estimate.refused(text, n=n, level=level)
    value = _corrected(judged.value, right.value, wrong.value)
    return _between(value, np.clip((u - b) / (a - b), 0, 1), n, level)


def _rest(right: Share, wrong: Share, judged: Share) -> Share | None:
    """The judge's pass rate of what is not labelled; None where the labelled cannot all be among the judged."""
    left = judged.rows - right.rows - wrong.rows
    rate = (judged.value * judged.rows - right.value * right.rows - wrong.value * wrong.rows) / left if left > 0 else -1.0
    return Share(rate, judged.trials * left / judged.rows, left) if 0 <= rate <= 1 else None


def _corrected(judged: float, right: float, wrong: float) -> float:
    return min(max((judged - wrong) / (right - wrong), 0.0), 1.0) if abs(right - wrong) > 1e-9 else 0.5


def verdict_shares(judge, human, rate: float, *, weights=None, clusters=None) -> tuple[Share, Share]:
    """What humans pass of what the judge passed and of what it failed; ``rate`` is the judge's pass rate of production."""
    return _shares(np.asarray(judge, float) > 0.5, np.asarray(human, float), rate, weights, clusters)


def _shares(group: np.ndarray, said: np.ndarray, rate: float, weights, clusters) -> tuple[Share, Share]:
    """The rate of ``said`` in the group and outside of it, as counted; ``rate`` is how much of their mixture is the group."""
    sides = group, ~group
    weight = np.ones(len(said)) if weights is None else np.asarray(weights, float)
    code = np.arange(len(said)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    alone = len(np.unique(code)) == len(code)
    if alone and all(np.ptp(weight[g]) <= 1e-9 * weight[g].max() for g in sides if g.any()):
        return tuple(Share(float(said[g].mean()) if g.any() else math.nan, float(g.sum()), int(g.sum())) for g in sides)
    parts = [_part(said[g], weight[g], code[g]) for g in sides]
    factor = _mixture_effect(parts, (rate, 1 - rate), int(code.max()) + 1)
    return tuple(
        Share(min(max(p.m.ratio, 0.0), 1.0) if p.rows else math.nan, min(p.kish / factor, p.rows), p.rows) for p in parts
    )


@dataclass(frozen=True)
class _Part:
    """One side: its moments over rows, each row's pull on its rate, to which cluster that belongs, and how much a row weighs."""

    m: Moments
    pull: np.ndarray
    code: np.ndarray
    weight: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.code)

    @property
    def kish(self) -> float:
        """How many equally weighted rows are as good (Kish 1965)."""
        return self.m.n**2 / self.m.nn if self.rows else 0.0


def _part(said, weight, code) -> _Part:
    weight = weight / weight.mean() if len(weight) else weight
    m = moments(weight * said, n=weight)
    return _Part(m, weight * (said - m.ratio) / m.n if m.n else weight, code, weight)


def _mixture_effect(parts, rates, size: int) -> float:
    """One design effect for both sides: sessions are good or bad in both, and a side without an exception tells none of its own."""
    usual = sum(r**2 * p.m.ratio * (1 - p.m.ratio) / p.kish for p, r in zip(parts, rates, strict=True) if p.rows)
    pull = sum(np.bincount(p.code, r * p.pull, size) for p, r in zip(parts, rates, strict=True))
    weight = sum(np.bincount(p.code, p.weight, size) for p in parts)
    return design_effect(pull, usual, weight, sum(p.kish for p in parts))


def design_effect(pull: np.ndarray, usual: float, weight: np.ndarray, rows: float) -> float:
    """How many times more a rate varies than ``rows`` independent rows would, and Student's t than the normal at so few clusters.

    ``pull`` and ``weight`` are what each cluster adds to the rate and how much it holds, ``usual`` the variance of independent
    rows. What few clusters say is drawn towards a correlation of 0.2 inside them, worth 4 clusters; where nothing varies, a
    cluster counts as one row.
    """
    there = np.count_nonzero(weight)
    clusters = weight.sum() ** 2 / float(weight @ weight)
    if usual <= 0:
        return max(rows / clusters, 1.0)
    found = float(pull @ pull) * there / max(there - 1, 1) / usual
    df, guess = max(clusters - 1, 1.0), 1 + GUESS * (rows / clusters - 1)
    factor = (df * found + WORTH * guess) / (df + WORTH)
    return max(factor, LEAST_FACTOR) * (critical(df=df + WORTH) / critical()) ** 2


def _between(value: float, draws: np.ndarray, n: int, level: float) -> Estimate:
    low, high = (float(x) for x in np.quantile(draws, ((1 - level) / 2, (1 + level) / 2)))
    low, high = 0.0 if value <= 0 else min(low, value), 1.0 if value >= 1 else max(high, value)
    return Estimate(value, low, high, n, level, se=float(draws.std()))
