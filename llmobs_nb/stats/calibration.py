"""Scores as probabilities: reliability by bins, calibration error, maps to probabilities (isotonic, Platt), the threshold that costs least.

``score`` is a judge's number, ``passed`` what a human said (1 or 0), ``weight`` what a row counts for, ``clusters`` which rows depend
on one another; rows are complete.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse, special

from .design import hajek_mean
from .estimate import Estimate
from .intervals import proportion

BINS = 10
FOLDS = 10
DRAWS = 1000
LEAST_DRAWS = 100
MOST_DRAWN = 20_000_000
STEPS = 50
RIDGE = 1e-6
MOST_THRESHOLDS = 60
MOST_FACTOR, FACTORS = 3.0, 121


class Bin(NamedTuple):
    """Scores from ``low`` to ``high``, ``score`` on average; the share of them that humans pass."""

    score: float
    low: float
    high: float
    rate: Estimate


def bins(score: np.ndarray, weight: np.ndarray | None = None, *, most: int = BINS) -> np.ndarray:
    """The bin of each row, from 0: of about the same weight each; of few distinct scores each its own."""
    seen, code = np.unique(score, return_inverse=True)
    if len(seen) <= most:
        return code
    at = np.bincount(code, weight)
    place = (at.cumsum() - at / 2) / at.sum()
    return np.unique(np.minimum((place * most).astype(int), most - 1)[code], return_inverse=True)[1]


def reliability(score, passed, *, weight=None, clusters=None, level: float = 0.95) -> list[Bin]:
    """What humans pass among answers of about the same score, lowest first; with an interval each."""
    score, passed = np.asarray(score, float), np.asarray(passed, float)
    if not len(score):
        return []
    code, out = bins(score, weight), []
    for b in range(code.max() + 1):
        at = code == b
        inside = None if clusters is None else clusters[at]
        if weight is None:
            rate = proportion(passed[at], clusters=inside, level=level)
        else:
            rate = hajek_mean(passed[at], weight[at].min() / weight[at], clusters=inside, level=level)
        mean = float(np.average(score[at], weights=None if weight is None else weight[at]))
        out.append(Bin(mean, float(score[at].min()), float(score[at].max()), rate))
    return out


def calibration_error(probability, passed, *, weight=None, clusters=None, level: float = 0.95, seed: int = 0) -> Estimate:
    """Expected calibration error: mean over bins of |mean probability - share that humans pass|, without its upward bias.

    The plug-in adds the size of noise in each bin, so that a perfect judge errs by some points. Here the differences of the bins are
    scaled by a factor until the plug-in that noise would make of them (normal, with the clustered covariance of the bins) is, by
    its median, the one that was seen; the interval has the factors for which it lies among the middle 95 %. Refused below 10 clusters.
    """
    score, passed = np.asarray(probability, float), np.asarray(passed, float)
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, float)
    groups, of = np.unique(np.arange(len(score)) if clusters is None else clusters, return_inverse=True)
    if len(groups) < FOLDS:
        return Estimate.refused(f"fewer than {FOLDS} clusters", n=len(score), level=level)
    gap, noise = _gaps(bins(score, weight), weight * (passed - score) / weight.sum(), of, len(groups), seed)
    seen, factors = float(np.abs(gap).sum()), np.linspace(0, MOST_FACTOR, FACTORS)
    made = np.stack([np.abs(f * gap + noise).sum(axis=1) for f in factors])
    tails = np.quantile(made, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=1)
    high, middle, low = (float(np.interp(seen, np.maximum.accumulate(t), factors)) * seen for t in tails)
    return Estimate(middle, low, high, len(score), level)


def _gaps(code: np.ndarray, gap: np.ndarray, of: np.ndarray, groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of the bins in the error, and draws of their noise."""
    size = int(code.max()) + 1
    total = np.bincount(code, gap, size)
    sums = sparse.csr_array((gap, (of, code)), shape=(groups, size))
    scatter = (sums.T @ sums).toarray() - np.outer(total, total) / groups
    values, vectors = np.linalg.eigh(scatter * groups / (groups - 1))
    draws = np.random.default_rng(seed).standard_normal((DRAWS, size)) * np.sqrt(np.maximum(values, 0))
    return total, draws @ vectors.T


def folds(clusters, count: int = FOLDS, seed: int = 0) -> np.ndarray:
    """The fold of each row: whole clusters, dealt out in a seeded order."""
    _, code = np.unique(np.asarray(clusters), return_inverse=True)
    size = code.max() + 1 if len(code) else 0
    return (np.random.default_rng(seed).permutation(size) % count)[code]


def isotonic(score, passed, weight=None) -> tuple[np.ndarray, np.ndarray]:
    """The rising steps that fit best by squares (pool adjacent violators): knots, and the probability at each; linear between them."""
    x, code = np.unique(np.asarray(score, float), return_inverse=True)
    w = np.ones(len(code)) if weight is None else np.asarray(weight, float)
    at = np.bincount(code, w)
    y = optimize.isotonic_regression(np.bincount(code, w * passed) / at, weights=at).x
    # Knots inside a flat step say nothing.
    keep = np.r_[True, (np.diff(y)[:-1] != 0) | (np.diff(y)[1:] != 0), True] if len(x) > 2 else np.ones(len(x), bool)
    return x[keep], y[keep]


def platt(score, passed, weight=None) -> tuple[float, float]:
    """Intercept and slope of the log odds, Newton's method; labels pulled in by Platt's (1999) counts, so that both stay finite."""
    x, y = np.asarray(score, float), np.asarray(passed, float)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, float) / np.mean(weight)
    good, bad = float(w @ y), float(w @ (1 - y))
    target = np.where(y > 0.5, (good + 1) / (good + 2), 1 / (bad + 2))
    middle, scale = x.mean(), x.std() or 1.0
    z = np.stack([np.ones(len(x)), (x - middle) / scale], axis=1)

    b = np.zeros(2)
    for _ in range(STEPS):
        at = special.expit(z @ b)
        curve = (z * (w * at * (1 - at))[:, None]).T @ z + RIDGE * np.eye(2)
        step = np.linalg.solve(curve, z.T @ (w * (target - at)) - RIDGE * b)
        b = b + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return float(b[0] - b[1] * middle / scale), float(b[1] / scale)


def crossfitted(score, passed, fit, apply, *, weight=None, clusters=None) -> np.ndarray:
    """What a map says of each row that was fitted without the row's cluster."""
    fold = folds(np.arange(len(score)) if clusters is None else clusters)
    out = np.empty(len(score))
    for k in np.unique(fold):
        on = fold != k
        out[~on] = apply(fit(score[on], passed[on], None if weight is None else weight[on]), score[~on])
    return out


class Threshold(NamedTuple):
    """The threshold (a score passes at it) that costs least, its interval, and per candidate the rates of what goes wrong and passes."""

    value: float
    low: float
    high: float
    candidates: np.ndarray
    false_pass: np.ndarray
    false_fail: np.ndarray
    passes: np.ndarray


def best_threshold(
    score, passed, false_pass: float, false_fail: float, *, weight=None, clusters=None, level: float = 0.95, seed: int = 0
) -> Threshold:
    """Where to cut so that cost x rate of false passes + cost x rate of false fails is least, among 60 candidates at most.

    Candidates lie between scores that occur; the last one passes nothing. The interval is the cluster bootstrap's, of sums per cluster.
    """
    score, passed = np.asarray(score, float), np.asarray(passed, float)
    w = np.ones(len(score)) if weight is None else np.asarray(weight, float)
    candidates = _candidates(score, w)
    place = np.searchsorted(candidates, score, side="right")  # how many candidates this score passes
    k = len(candidates) + 1
    _, code = np.unique(np.arange(len(score)) if clusters is None else clusters, return_inverse=True)
    cell = place + k * (passed > 0.5)
    total = np.bincount(cell, w, 2 * k)
    drawn = _resampled(code, cell, w, 2 * k, seed)
    chosen = candidates[_least(drawn, false_pass, false_fail)]
    tail = (1 - level) / 2
    low, high = np.quantile(chosen, [tail, 1 - tail], method="inverted_cdf")
    wrong_pass, wrong_fail, good = _rates(total[None])
    value = candidates[_least(total[None], false_pass, false_fail)[0]]
    return Threshold(
        float(value), float(min(low, value)), float(max(high, value)), candidates, wrong_pass[0], wrong_fail[0], good[0]
    )


def _candidates(score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    seen, code = np.unique(score, return_inverse=True)
    if len(seen) > MOST_THRESHOLDS:
        at = np.bincount(code, weight).cumsum()
        seen = np.unique(seen[np.searchsorted(at, at[-1] * np.linspace(0, 1, MOST_THRESHOLDS + 1)[:-1], side="right")])
    return np.append(seen, score.max() + max(np.ptp(score), 1.0) / 100)


def _rates(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per candidate the share of all answers that pass wrongly, that fail wrongly, and that pass."""
    bad, good = np.split(sums, 2, axis=1)
    n = sums.sum(axis=1, keepdims=True)
    below = [side.cumsum(axis=1)[:, :-1] for side in (bad, good)]
    wrong = (bad.sum(axis=1, keepdims=True) - below[0]) / n
    return wrong, below[1] / n, 1 - (below[0] + below[1]) / n


def _least(sums: np.ndarray, false_pass: float, false_fail: float) -> np.ndarray:
    wrong_pass, wrong_fail, _ = _rates(sums)
    cost = false_pass * wrong_pass + false_fail * wrong_fail
    # Of candidates that cost the same the lowest, whatever the last bit says.
    return np.argmax(cost <= cost.min(axis=1, keepdims=True) + 1e-12, axis=1)


def _resampled(code: np.ndarray, cell: np.ndarray, weight: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Sums per cell in resamples of whole clusters: Poisson counts of the clusters, seeded; fewer resamples of very many rows."""
    rng, g = np.random.default_rng(seed), int(code.max()) + 1
    draws = int(min(DRAWS, max(MOST_DRAWN // len(code), LEAST_DRAWS)))
    out = np.empty((draws, size))
    for i in range(draws):
        times = rng.poisson(1.0, g)
        out[i] = np.bincount(cell, weight * times[code], size)
    return out[out.sum(axis=1) > 0]
