"""From sums to contrasts and levels: which estimator a dimension takes, paired or independent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...stats import noninferiority as ni
from ...stats.estimate import Estimate
from .dimensions import Dimension
from .sums import Pairs, Weighted


@dataclass(frozen=True)
class Compared:
    """A dimension in both arms: levels, contrast (None: too few data, ``reason`` says why), and how it was estimated."""

    dimension: Dimension
    baseline: Estimate
    candidate: Estimate
    contrast: ni.Contrast | None
    how: str
    reason: str | None = None


_PAIRED = {
    "rate": "difference over the same items: Tango's score interval",
    "mean": "mean difference over the same items: Student's t, one unseen item at the end of the scale",
    "log": "ratio of geometric means over the same items: t on logarithms",
    "ratio": "ratio of means over the same items: Fieller",
}
_INDEPENDENT = {
    "rate": "difference of rates: Newcombe's interval at the effective n of clusters",
    "mean": "difference of means: Welch's t over clusters, one unseen row at the end of the scale",
    "log": "ratio of geometric means: Welch's t on logarithms over clusters",
    "ratio": "ratio of means: delta method over clusters, each arm's relative variance at least that of both",
}


def paired(d: Dimension, p: Pairs, *, level: float = 0.95) -> Compared:
    """A dimension over the items that both arms measured."""
    how = f"{d.said}; {_PAIRED[d.how]}"
    arms = [ni.arm(p.side(candidate=c), rate=d.how == "rate") for c in (False, True)]
    if None in arms:
        return _refused(d, [int(p.n)] * 2, how, "fewer than two items were measured in both arms", level)
    if d.how == "rate":
        contrast = ni.PairedRates(p.ups, p.downs, p.n)
    elif d.how == "ratio":
        contrast = ni.paired_ratio(p.ratio())
    else:
        contrast = ni.paired_means(p.differences(), bounds=d.bounds, relative=d.how == "log")
    return _compared(d, arms, contrast, how, level)


def independent(d: Dimension, baseline: Weighted, candidate: Weighted, *, level: float = 0.95) -> Compared:
    """A dimension over independent rows, both arms on the same mix."""
    how = f"{d.said}; {_INDEPENDENT[d.how]}; both arms weighted to the same mix of feature and tenant tier"
    given = [(baseline, "baseline"), (candidate, "candidate")]
    arms = [ni.arm(w.moments, rate=d.how == "rate", offset=w.offset, n=w.n, kish=w.kish) for w, _ in given]
    for one, (w, name) in zip(arms, given, strict=True):
        if one is None:
            said = "has none on traffic that both arms have" if w.n == 0 else f"has one cluster only ({w.n} rows)"
            return _refused(d, [w.n for w, _ in given], how, f"the {name} {said}", level)
    b, c = arms
    if d.how == "rate":
        contrast = ni.two_rates(c, b)
    elif d.how == "ratio":
        contrast = ni.two_ratios(c, b)
    else:
        contrast = ni.two_means(c, b, bounds=d.bounds, relative=d.how == "log")
    return _compared(d, arms, contrast, how, level)


def _compared(d: Dimension, arms: list, contrast: ni.Contrast | None, how: str, level: float) -> Compared:
    levels = [_level(d, one, level) for one in arms]
    reason = None if contrast is not None else "all rows have the same value, or none is above 0: no spread to estimate from"
    return Compared(d, *levels, contrast, how, reason)


def _level(d: Dimension, one: ni.Arm, level: float) -> Estimate:
    e = one.estimate(rate=d.how == "rate", level=level)
    if d.how == "log":
        return replace(e, value=math.exp(e.value), ci_low=math.exp(e.ci_low), ci_high=math.exp(e.ci_high), se=None)
    low, high = (0.0, math.inf) if d.how == "ratio" else d.bounds or (-math.inf, math.inf)
    return replace(e, ci_low=max(e.ci_low, low), ci_high=min(e.ci_high, high))


def _refused(d: Dimension, n: list[int], how: str, reason: str, level: float) -> Compared:
    levels = [Estimate.refused(reason, n=k, level=level) for k in n]
    return Compared(d, *levels, None, how, reason)
