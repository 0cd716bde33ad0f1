"""How far two raters order the same things alike: Pearson, Spearman, Kendall's tau-b, and the area under the ROC curve.

Arrays, weights and clusters as in :mod:`~llmobs_nb.stats.agreement`. Rank statistics are smooth functionals of the joint
distribution: each pair's influence is computed exactly in n log n, summed by cluster, and gives the standard error (the infinitesimal
jackknife); the interval is on Fisher's scale.
"""

from __future__ import annotations

import math

import numpy as np

from .agreement import Pairs, of_numbers, pairs
from .estimate import Estimate
from .intervals import critical
from .jackknife import Spread, by_cluster, fisher

LEAST_PAIRS = 5


def pearson(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Pearson's product-moment correlation."""
    return of_numbers(pairs(judge, human, sample_weight=sample_weight, clusters=clusters), _pearson, level)


def spearman(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Spearman's rank correlation, ties at the middle of their ranks."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters)
    return _ranked(p, _spearman, level)


def kendall_tau_b(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Kendall's tau-b (1945): pairs of targets in the same order less those in the other, ties taken out of either side."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters)
    return _ranked(p, _kendall, level)


def auc(score, positive, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """P(a positive scores above a negative), ties half; interval by placements (DeLong 1988; clustered: Obuchowski 1997) on the logit.

    ``positive`` is 1 or 0. Refused without both, and where the two are apart altogether (AUC 0 or 1: no spread).
    """
    score, truth = np.asarray(score, float), np.asarray(positive, float)
    keep = np.isfinite(score) & np.isfinite(truth)
    weight = np.ones(len(score)) if sample_weight is None else np.asarray(sample_weight, float)
    score, truth, weight = score[keep], truth[keep] > 0.5, weight[keep]
    clusters = None if clusters is None else np.asarray(clusters)[keep]
    if truth.all() or not truth.any():
        return Estimate.refused("only one of positives and negatives is there", n=len(score), level=level)
    place = np.empty(len(score))
    place[truth] = _below(score[truth], score[~truth], weight[~truth])
    place[~truth] = 1 - _below(score[~truth], score[truth], weight[truth])
    value = float(weight[truth] @ place[truth] / weight[truth].sum())
    psi = np.where(truth, (place - value) / weight[truth].sum(), (place - value) / weight[~truth].sum()) * weight.sum()
    found = _scatter(psi, weight, clusters)
    if not 1e-9 < value < 1 - 1e-9 or found is None or found.se <= 1e-12:
        return Estimate.refused(f"AUC {value:.3g} without spread to estimate an interval from", n=len(score), level=level)
    half = critical(level, found.df) * found.se / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(math.log(value / (1 - value)) + side * half))) for side in (-1, 1))
    return Estimate(value, low, high, len(score), level, se=found.se, df=found.df)


def _pearson(s):
    n, x, y, xx, yy, xy = s.T
    spread = (xx - x * x / n) * (yy - y * y / n)
    return np.where(spread > 1e-18, (xy - x * y / n) / np.sqrt(np.maximum(spread, 1e-300)), math.nan)


def _ranked(p: Pairs, statistic, level: float) -> Estimate:
    if len(p) < LEAST_PAIRS:
        return Estimate.refused(f"fewer than {LEAST_PAIRS} pairs", n=len(p), level=level)
    if min(len(np.unique(p.judge)), len(np.unique(p.human))) < 2:
        return Estimate.refused("one of the two says the same of everything: there is no order", n=len(p), level=level)
    value, influence = statistic(p.judge, p.human, p.weight)
    return fisher(value, _scatter(influence, p.weight, p.clusters), n=len(p), level=level)


def _scatter(influence: np.ndarray, weight: np.ndarray, clusters) -> Spread | None:
    """Standard error of a mean of influences that sum to zero by clusters."""
    part = by_cluster((weight * influence)[:, None], clusters, weight)
    g = len(part.sums)
    if g < 2:
        return None
    se = math.sqrt(g / (g - 1) * float((part.sums**2).sum())) / float(weight.sum())
    df = max(float(part.weight.sum()) ** 2 / float(part.weight @ part.weight) - 1, 1.0)
    return Spread(se, math.nan, df, g)


def _spearman(x, y, w):
    """Pearson's correlation of mid-ranks and, per pair, what its mass moves: its own product and everybody's ranks."""
    total = w.sum()
    f, g = _middle(x, w) / total - 0.5, _middle(y, w) / total - 0.5
    c, vx, vy = (float(w @ (a * b)) / total for a, b in ((f, g), (f, f), (g, g)))
    rho = c / math.sqrt(vx * vy)
    d_c = f * g + _moved(x, w, g, f) + _moved(y, w, f, g) - c
    d_x, d_y = f * f + 2 * _moved(x, w, f, f) - vx, g * g + 2 * _moved(y, w, g, g) - vy
    return rho, d_c / math.sqrt(vx * vy) - rho / 2 * (d_x / vx + d_y / vy)


def _middle(code, w) -> np.ndarray:
    """Weight below, and half of that at the same value."""
    at = np.bincount(code, w)
    return (at.cumsum() - at / 2)[code]


def _moved(code, w, other, own) -> np.ndarray:
    """Mean over all j of (weight of i counts at or below j's value - rank of j) x other_j."""
    at = np.bincount(code, w * other)
    above = at.sum() - at.cumsum() + at / 2
    return (above[code] - float((w * (own + 0.5)) @ other)) / w.sum()


def _kendall(x, y, w):
    total = w.sum()
    both = _concordance(x, y, w) / total
    apart = [1 - np.bincount(code, w)[code] / total for code in (x, y)]
    t, px, py = (float(w @ v) / total for v in (both, *apart))
    tau = t / math.sqrt(px * py)
    d = [2 * (v - m) for v, m in ((both, t), (apart[0], px), (apart[1], py))]
    return tau, d[0] / math.sqrt(px * py) - tau / 2 * (d[1] / px + d[2] / py)


def _concordance(x, y, w) -> np.ndarray:
    """Per pair i the weight of pairs in the same order as it, less those in the other: blocks are merged, doubling each time."""
    order = np.lexsort((y, x))
    x, y, w = x[order], y[order], w[order]
    out, place = np.zeros(len(x)), np.arange(len(x))
    width = 1
    while width < len(x):
        block, right = place // (2 * width), place // width % 2 == 1
        out += _across(block, right, y, w)
        width *= 2
    # Equal x was counted in the order of y: it is neither.
    same_x = np.bincount(x, w)[x]
    _, both = np.unique(x * (int(y.max()) + 1) + y, return_inverse=True)
    out -= same_x - np.bincount(both, w)[both]
    back = np.empty(len(out))
    back[order] = out
    return back


def _across(block, right, y, w) -> np.ndarray:
    """For each row the weight of rows of the other half of its block with a fitting y, less that of those with a contrary one."""
    key = block * (int(y.max()) + 1) + y
    order = np.argsort(key, kind="stable")
    key, side = key[order], right[order]
    _, first, at = np.unique(key, return_index=True, return_inverse=True)
    start = np.searchsorted(block[order], block[order], "left")
    end = np.searchsorted(block[order], block[order], "right")
    last = np.append(first[1:], len(key))
    out = np.zeros(len(key))
    for mine, theirs, sign in ((side, ~side, 1.0), (~side, side, -1.0)):
        run = np.concatenate([[0.0], np.cumsum(np.where(theirs, w[order], 0.0))])
        below, above = run[first[at]] - run[start], run[end] - run[last[at]]
        out[mine] = sign * (below - above)[mine]
    back = np.empty(len(out))
    back[order] = out
    return back


def _below(values, among, weight) -> np.ndarray:
    """Share of ``among`` below each value, ties half."""
    order = np.argsort(among, kind="stable")
    run = np.concatenate([[0.0], np.cumsum(weight[order])])
    low, high = (np.searchsorted(among[order], values, side) for side in ("left", "right"))
    return (run[low] + run[high]) / 2 / run[-1]
