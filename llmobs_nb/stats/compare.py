"""Two independent levels compared: their difference or their relative change, with interval and p.

Every p agrees with its interval: p < 1 - level exactly when the interval leaves 0 out.
"""

from __future__ import annotations

import math

from scipy import special

from .estimate import Estimate
from .intervals import critical, pooled_df, wilson


def two_sided(t: float, df: float = math.inf) -> float:
    """Two-sided p of a t (or z) statistic."""
    return float(2 * (special.ndtr(-abs(t)) if math.isinf(df) else special.stdtr(df, -abs(t))))


def difference(this: Estimate, last: Estimate) -> Estimate:
    """this - last for means and ratios that carry se and df: Welch's t."""
    if (refusal := _refusal(this, last)) is not None:
        return refusal
    parts = (this.se**2, this.df), (last.se**2, last.df)
    se, df = math.sqrt(parts[0][0] + parts[1][0]), pooled_df(*parts)
    d, half = this.value - last.value, critical(this.level, df) * se
    return Estimate(d, d - half, d + half, this.n + last.n, this.level, se=se, df=df, p=two_sided(d / se, df))


def relative_change(this: Estimate, last: Estimate, *, covariance: float = 0.0) -> Estimate:
    """this / last - 1 for positive means and ratios that carry se and df: delta method on the log scale, Welch's df.

    ``covariance`` is that of the two, where the same units are behind both; it takes at most nine tenths of their variance.
    """
    if (refusal := _refusal(this, last) or _not_positive(this, last)) is not None:
        return refusal
    parts = ((this.se / this.value) ** 2, this.df), ((last.se / last.value) ** 2, last.df)
    both = parts[0][0] + parts[1][0]
    shared = min(2 * covariance / (this.value * last.value), 0.9 * both)
    return from_log(
        math.log(this.value / last.value), math.sqrt(both - shared), pooled_df(*parts), n=this.n + last.n, level=this.level
    )


def quotient(above: Estimate, below: Estimate) -> Estimate:
    """above / below for independent positive estimates that carry se: delta method and t interval on the log scale; n is the smaller one."""
    n = min(above.n, below.n)
    for one in (above, below):
        if not one.ok or not one.se or one.value <= 0:
            return Estimate.refused(
                one.reason or f"one of the two is {one.value:g} or has no standard error", n=n, level=above.level
            )
    parts = ((above.se / above.value) ** 2, above.df), ((below.se / below.value) ** 2, below.df)
    value, spread, df = above.value / below.value, math.sqrt(parts[0][0] + parts[1][0]), pooled_df(*parts)
    factor = math.exp(critical(above.level, df) * spread)
    return Estimate(value, value / factor, value * factor, n, above.level, se=value * spread, df=df)


def mover(this: Estimate, last: Estimate) -> Estimate:
    """this - last from the two intervals alone, which may be lopsided (quantiles, proportions).

    MOVER: the method of variance estimates recovery (Zou and Donner 2008). With Wilson limits it is Newcombe's.
    """
    if (refusal := _refusal(this, last, se=False)) is not None:
        return refusal
    d, low, high, p = _mover(_limits(this), _limits(last), this.level)
    return Estimate(d, low, high, this.n + last.n, this.level, p=p)


def mover_relative(this: Estimate, last: Estimate) -> Estimate:
    """this / last - 1 from two intervals of positive quantities (quantiles): MOVER on the log scale."""
    if (refusal := _refusal(this, last, se=False) or _not_positive(this, last)) is not None:
        return refusal
    if min(this.ci_low, last.ci_low) <= 0:
        return Estimate.refused("an interval reaches 0: no relative change", n=this.n + last.n, level=this.level)
    logs = ([math.log(v) for v in _limits(e)] for e in (this, last))
    d, low, high, p = _mover(*logs, this.level)
    return Estimate(math.expm1(d), math.expm1(low), math.expm1(high), this.n + last.n, this.level, p=p)


def from_log(theta: float, se: float, df: float, *, n: int, level: float = 0.95) -> Estimate:
    """A relative change, exp(theta) - 1, from a log ratio and its se: t interval and the p of "no change"."""
    half = critical(level, df) * se
    low, high = (math.expm1(min(theta + s * half, 700.0)) for s in (-1, 1))
    return Estimate(math.expm1(theta), low, high, n, level, se=se, df=df, p=two_sided(theta / se, df))


def newcombe(successes: int, n: int, successes_last: int, n_last: int, *, level: float = 0.95) -> Estimate:
    """Difference of two independent proportions, Newcombe's (1998) method 10: Wilson limits combined."""
    return mover(wilson(successes, n, level=level), wilson(successes_last, n_last, level=level))


def _limits(e: Estimate) -> tuple[float, float, float]:
    return e.value, e.ci_low, e.ci_high


def _mover(a, b, level: float) -> tuple[float, float, float, float]:
    d = a[0] - b[0]
    down = math.hypot(a[0] - a[1], b[2] - b[0])
    up = math.hypot(a[2] - a[0], b[0] - b[1])
    toward = down if d > 0 else up
    p = 1.0 if d == 0 else two_sided(critical(level) * d / toward) if toward > 0 else 0.0
    return d, d - down, d + up, p


def _refusal(this: Estimate, last: Estimate, *, se: bool = True) -> Estimate | None:
    if this.level != last.level:
        raise ValueError(f"levels differ: {this.level!r} and {last.level!r}; give both estimates the same")
    n = this.n + last.n
    for name, one in (("this", this), ("last", last)):
        if not one.ok:
            return Estimate.refused(f"{name}: {one.reason}", n=n, level=this.level)
        if se and not one.se:
            return Estimate.refused(f"{name}: no standard error", n=n, level=this.level)
    return None


def _not_positive(this: Estimate, last: Estimate) -> Estimate | None:
    for name, one in (("this", this), ("last", last)):
        if one.value <= 0:
            return Estimate.refused(f"{name} is {one.value:g}: no relative change", n=this.n + last.n, level=this.level)
    return None
