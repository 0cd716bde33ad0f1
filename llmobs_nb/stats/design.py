"""Samples drawn with known, unequal probabilities: what they say about everything they were drawn from, and how to share them out.

Each unit is drawn by itself (Poisson sampling), so that the probabilities alone describe the design. A mean weighs every unit by
1 / probability (Hájek 1971); it is about the process behind the traffic, so that a unit drawn for certain still counts as
one observation of it. A total (Horvitz and Thompson 1952) is about the finite set of units that were there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from .estimate import Estimate
from .intervals import critical, variance, wilson
from .moments import moments


def union_probability(*probs) -> np.ndarray:
    """Probability of being drawn by any of several independent rules: 1 - product of (1 - p)."""
    missed = np.ones(1)
    for p in probs:
        missed = missed * (1 - np.asarray(p, float))
    return 1 - missed


def hajek_mean(values, probs, clusters=None, level: float = 0.95) -> Estimate:
    """Mean of what the sample was drawn from: sum of value / prob over sum of 1 / prob.

    Linearised over ``clusters`` (every row its own by default), as survey packages do, with Satterthwaite's degrees of freedom
    under unequal weights. Values that are only 0 and 1 give a share with a Wilson interval at the effective sample size (Korn and
    Graubard 1998), others a t interval. Rows whose value is missing are left out; a missing probability, or one outside (0, 1],
    raises ValueError. Fewer than two clusters, or no spread of values that are not 0 or 1, is refused.
    """
    x, p, clusters = _checked(values, probs, clusters)
    if not len(x):
        return Estimate.refused("no values", level=level)
    weight = (1 / p) / np.mean(1 / p)
    m = moments(weight * x, n=weight, clusters=clusters)
    if m.m < 2:
        return Estimate.refused("1 cluster only: no spread to estimate from", n=len(x), level=level)
    share = bool(np.isin(x, (0, 1)).all())
    spread = variance(m)
    if spread == 0 and not share:
        return Estimate.refused(f"all {m.m:,.0f} clusters have the same value: no spread to estimate from", n=len(x), level=level)
    df = _weighted_df(weight, clusters)
    if share:
        return _share(m, spread, df, len(x), level)
    se = math.sqrt(spread)
    half = critical(level, df) * se
    return Estimate(m.ratio, m.ratio - half, m.ratio + half, len(x), level, se=se, df=df)


def horvitz_thompson_total(values, probs, level: float = 0.95) -> Estimate:
    """Sum over all units of a finite set: sum of value / prob over the drawn ones, exact in expectation.

    Variance of independent draws, sum of (1 - p) · (value / p)² (Särndal, Swensson and Wretman 1992, result 3.5.1); t interval with
    Satterthwaite's degrees of freedom, cut below at what was seen where no value is negative. Missing values and
    probabilities as in :func:`hajek_mean`. All units drawn for certain give an exact total.
    """
    x, p, _ = _checked(values, probs, None)
    if not len(x):
        return Estimate.refused("no values", level=level)
    total, parts = float(np.sum(x / p)), (1 - p) * (x / p) ** 2
    spread = float(parts.sum())
    if spread == 0:
        if (p < 1).any():
            return Estimate.refused("all that was drawn by chance is 0: no spread to estimate from", n=len(x), level=level)
        return Estimate(total, total, total, len(x), level, se=0.0)
    df = max(1.0, spread**2 / float((parts**2).sum()))
    half = critical(level, df) * math.sqrt(spread)
    low = max(total - half, float(x.sum())) if (x >= 0).all() else total - half
    return Estimate(total, low, total + half, len(x), level, se=math.sqrt(spread), df=df)


def allocate(sizes: Sequence[float], total: float, *, spreads: Sequence[float] | None = None, power: float = 1.0) -> np.ndarray:
    """Expected sample size of each stratum: in proportion to size ** power · spread, never more than the stratum holds.

    Power 1 is proportional, with ``spreads`` (standard deviations) Neyman's optimum (1934); 0 gives each stratum the same; between
    them is Bankier's power allocation (1988). What a full stratum cannot take goes to the others. ``total`` at or above the sum of
    sizes takes everything.
    """
    size = np.asarray(sizes, float)
    spread = np.ones(len(size)) if spreads is None else np.asarray(spreads, float)
    if total < 0 or (size < 0).any() or (spread < 0).any():
        raise ValueError(f"total={total!r}, sizes and spreads must not be negative")
    if total >= size.sum():
        return size.copy()
    pull, out = np.where(size > 0, size, 0) ** power * spread * (size > 0), np.zeros(len(size))
    open_ = pull > 0
    while open_.any():
        left = total - out[~open_].sum()
        share = left * pull * open_ / pull[open_].sum()
        full = open_ & (share >= size)
        if not full.any():
            return np.where(open_, share, out)
        out[full] = size[full]
        open_ &= ~full
    return out


def seen_at_least(k: int, n: int, share: float) -> float:
    """Probability that n random draws hold at least k of a slice that makes up ``share`` of the traffic."""
    return float(stats.binom.sf(k - 1, n, share))


def _checked(values, probs, clusters) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    x, p = np.asarray(values, float), np.asarray(probs, float)
    if x.shape != p.shape:
        raise ValueError(f"{x.size} values and {p.size} probabilities: give each value its own")
    keep = np.isfinite(x)
    x, p = x[keep], p[keep]
    bad = ~((p > 0) & (p <= 1))
    if bad.any():
        raise ValueError(f"probs holds {p[bad][0]:g}; a probability of being drawn is above 0 and at most 1")
    return x, p, None if clusters is None else np.asarray(clusters)[keep]


def _totals(weight: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    if clusters is None:
        return weight
    return np.bincount(np.unique(clusters, return_inverse=True)[1], weight)


def _weighted_df(weight: np.ndarray, clusters: np.ndarray | None) -> float:
    """How many equal clusters would make the variance as uncertain as these do, less the one that the mean takes."""
    square = _totals(weight, clusters) ** 2
    return max(1.0, float(square.sum() ** 2 / (square**2).sum()) - 1)


def _share(m, spread: float, df: float, n: int, level: float) -> Estimate:
    p = min(max(m.ratio, 0.0), 1.0)
    if spread == 0 or not 0 < p < 1:
        at = m.n**2 / m.nn
    else:
        at = min(m.n, p * (1 - p) / spread) * (critical(level) / critical(level, df)) ** 2
    inner = wilson(p * at, at, level=level)
    return Estimate(p, inner.ci_low, inner.ci_high, n, level, se=math.sqrt(p * (1 - p) / at), df=df)
