"""Intervals of one level: proportion, mean, ratio of sums, quantile; with clusters where rows come in bunches.

Array functions take rows; the ``*_from`` functions take :class:`~llmobs_nb.stats.moments.Moments` and, as ``extra``, a variance
that the scatter between clusters does not show (shocks that all clusters of a day share), with its degrees of freedom.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from .estimate import Estimate
from .moments import Moments, moments

NO_EXTRA = (0.0, math.inf)


def critical(level: float = 0.95, df: float = math.inf) -> float:
    """Two-sided Student quantile (normal for infinite df)."""
    if not 0 < level < 1:
        raise ValueError(f"level={level!r} is not between 0 and 1; give 0.95 for 95 %")
    tail = (1 + level) / 2
    return float(special.ndtri(tail) if math.isinf(df) else special.stdtrit(df, tail))


def wilson(successes: float, n: float, *, level: float = 0.95) -> Estimate:
    """Proportion with the Wilson score interval (Wilson 1927). ``n`` may be an effective, fractional one; n = 0 is refused."""
    if n <= 0:
        return Estimate.refused("nothing counted", level=level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes!r} is not between 0 and n={n!r}")
    p, z = successes / n, critical(level)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Estimate(p, low, high, int(n), level, se=math.sqrt(p * (1 - p) / n))


def mean(x, *, clusters=None, level: float = 0.95) -> Estimate:
    """Mean with Student's t; with ``clusters`` robust to dependence inside them (linearised, df = clusters - 1).

    Missing values are left out. Fewer than two clusters, or no spread, is refused.
    """
    return ratio_from(moments(x, clusters=clusters), level=level)


def ratio(x, n, *, clusters=None, level: float = 0.95) -> Estimate:
    """Sum of x over sum of n, e.g. cost per request, by linearisation over clusters (Cochran 1977, section 6.3)."""
    return ratio_from(moments(x, n=n, clusters=clusters), level=level)


def proportion(x, *, clusters=None, level: float = 0.95) -> Estimate:
    """Share of ones among 0/1 values: Wilson at the effective sample size of clustered data, see :func:`proportion_from`."""
    return proportion_from(moments(x, clusters=clusters), level=level)


def variance(m: Moments) -> float:
    """Linearised variance of the ratio: m / (m - 1) · scatter / n²."""
    return m.m / (m.m - 1) * m.scatter / m.n**2


def pooled_df(*parts: tuple[float, float]) -> float:
    """Satterthwaite's degrees of freedom of a sum of independent (variance, df) parts."""
    total = sum(v for v, _ in parts)
    spread = sum(v * v / df for v, df in parts)
    return total * total / spread if spread > 0 else math.inf


def ratio_from(m: Moments, *, extra: tuple[float, float] = NO_EXTRA, level: float = 0.95) -> Estimate:
    """Ratio of sums with a t interval; refused below two clusters and where all clusters agree (no spread to estimate from)."""
    if m.m < 2 or m.n <= 0:
        return Estimate.refused(_too_few(m), n=m.n, level=level)
    own = variance(m)
    if own == 0:
        return Estimate.refused(f"all {m.m:,.0f} clusters have the same value: no spread to estimate from", n=m.n, level=level)
    se, df = math.sqrt(own + extra[0]), pooled_df((own, m.m - 1), extra)
    half = critical(level, df) * se
    return Estimate(m.ratio, m.ratio - half, m.ratio + half, int(m.n), level, se=se, df=df)


def proportion_from(m: Moments, *, extra: tuple[float, float] = NO_EXTRA, level: float = 0.95) -> Estimate:
    """Proportion with the Wilson interval at the effective n (Korn and Graubard 1998: deff >= 1, corrected for df)."""
    if m.m < 2 or m.n <= 0:
        return Estimate.refused(_too_few(m), n=m.n, level=level)
    at = effective_n(m, extra=extra, level=level)
    p = min(max(m.ratio, 0.0), 1.0)
    out = wilson(p * at, at, level=level)
    return Estimate(p, out.ci_low, out.ci_high, int(m.n), level, se=math.sqrt(p * (1 - p) / at))


def effective_n(m: Moments, *, extra: tuple[float, float] = NO_EXTRA, level: float = 0.95) -> float:
    """How many independent 0/1 values would know as much; at a proportion of 0 or 1 each cluster counts once."""
    p, own = m.ratio, variance(m)
    if own == 0 or not 0 < p < 1:
        guess = 1 / (m.m + 2) if not 0 < p < 1 else p
        return m.m / (1 + extra[0] * m.m / (guess * (1 - guess)))
    total, df = own + extra[0], pooled_df((own, m.m - 1), extra)
    return min(m.n, p * (1 - p) / total) * (critical(level) / critical(level, df)) ** 2


class Ranks(NamedTuple):
    """Order statistics (from 1) that bound a quantile, and the probability with which they do for independent values."""

    low: int
    high: int
    coverage: float


def quantile_ranks(p: float, n: int, *, n_eff: float | None = None, level: float = 0.95) -> Ranks | None:
    """Which order statistics of n values form a distribution-free interval of the p-quantile; each tail misses at most its half.

    Binomial, exact for independent values (Conover 1999, section 3.2). With ``n_eff`` < n (clustered values) the
    binomial runs at n_eff and its ranks are stretched to n, rounded outward. None when n is too small for both limits.
    """
    if not 0 < p < 1:
        raise ValueError(f"p={p!r} is not between 0 and 1")
    at = int(n if n_eff is None else min(n, n_eff))
    if at < 1:
        return None
    tail = (1 - level) / 2
    low, high = (int(k) for k in stats.binom.ppf([tail, 1 - tail], at, p))
    high += 1
    if low < 1 or high > at:
        return None
    coverage = float(stats.binom.cdf(high - 1, at, p) - stats.binom.cdf(low - 1, at, p))
    return Ranks(math.floor(low * n / at) or 1, min(n, math.ceil(high * n / at)), coverage)


def smallest_n(p: float, *, level: float = 0.95) -> int:
    """The smallest number of independent values that bounds the p-quantile on both sides."""
    tail = (1 - level) / 2
    return max(math.ceil(math.log(tail) / math.log(q)) for q in (p, 1 - p))


def quantile_position(p: float, n: int) -> tuple[int, int, float]:
    """The two order statistics (from 1) around the p-quantile and the weight of the second (Hyndman and Fan's type 7)."""
    at = 1 + (n - 1) * p
    return math.floor(at), min(n, math.floor(at) + 1), at - math.floor(at)


def quantile(x, p: float, *, clusters=None, level: float = 0.95) -> Estimate:
    """The p-quantile with a distribution-free interval; clusters enter by the effective n of "at or below the quantile".

    Missing values are left out; too few values to bound it on both sides is refused.
    """
    x = np.asarray(x, float)
    keep = np.isfinite(x)
    x, n_eff = x[keep], None
    if clusters is not None and len(x):
        below = moments(x <= np.quantile(x, p), clusters=np.asarray(clusters)[keep])
        n_eff = effective_n(below, level=level) if below.m > 1 else 0
    ranks = quantile_ranks(p, len(x), n_eff=n_eff, level=level) if len(x) else None
    if ranks is None:
        return Estimate.refused(too_few_for_quantile(p, len(x), level=level), n=len(x), level=level)
    x = np.sort(x)
    return Estimate(float(np.quantile(x, p)), float(x[ranks.low - 1]), float(x[ranks.high - 1]), len(x), level)


def too_few_for_quantile(p: float, n: int, *, level: float = 0.95) -> str:
    """The reason a quantile is refused."""
    return f"{n:,} values do not bound the {100 * p:g} % quantile on both sides: {smallest_n(p, level=level)} independent ones do"


def _too_few(m: Moments) -> str:
    return "no values" if m.m < 1 or m.n <= 0 else "1 cluster only: no spread to estimate from"
