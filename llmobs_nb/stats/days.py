"""Shocks that a whole day shares: what they add to the uncertainty of a window, and how windows compare day by day.

A busy Tuesday or a provider's bad afternoon moves all sessions of a day together; scatter between sessions alone would
call that significant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

from .compare import from_log
from .estimate import Estimate
from .intervals import NO_EXTRA
from .moments import Moments


class DayShock(NamedTuple):
    """Variance between days beyond what their own clusters explain, and its degrees of freedom (0: not estimable)."""

    variance: float
    df: float

    def extra(self, n: Sequence[float]) -> tuple[float, float]:
        """What the shock adds to the variance of a ratio over days with these n, with its df."""
        total = float(np.sum(n))
        if self.variance == 0 or total <= 0:
            return NO_EXTRA
        return self.variance * float(np.sum((np.asarray(n, float) / total) ** 2)), self.df


def day_shock(days: Sequence[Moments], *, week: Sequence[int], weekday: Sequence[int]) -> DayShock:
    """Moment estimate of the variance between days, after each week's and each weekday's own level are taken out.

    A meta-regression of the daily ratios on week and weekday with sampling variance phi / n of each day; the shock variance
    makes the weighted residual sum of squares meet its degrees of freedom (Paule and Mandel 1982; DerSimonian and Kacker
    2007). phi is pooled within days. Days below two clusters are left out; 0 when nothing is left to estimate it from.
    """
    kept = [i for i, d in enumerate(days) if d.m >= 2 and d.n > 0]
    if not kept:
        return DayShock(0.0, 0.0)
    n = np.array([days[i].n for i in kept])
    design = np.hstack([_dummies([week[i] for i in kept]), _dummies([weekday[i] for i in kept])[:, 1:]])
    df = len(kept) - np.linalg.matrix_rank(design)
    if df < 1:
        return DayShock(0.0, 0.0)
    phi = sum(days[i].m / (days[i].m - 1) * days[i].scatter for i in kept) / n.sum()
    ratios = np.array([days[i].ratio for i in kept])
    return DayShock(_paule_mandel(ratios, phi / n, design, df), float(df))


def paired_change(this: Sequence[float], last: Sequence[float], *, counts: bool = False, level: float = 0.95) -> Estimate:
    """Relative change of a sum, this / last - 1, from paired days (same weekdays); t interval on the log scale.

    The log ratio of the sums is linearised by leaving out one pair at a time (jackknife), df = pairs - 1: days, not
    requests, are the units, so rhythm that both weeks share drops out and day-to-day shocks count. ``counts`` says that
    the sums count things: then the variance is at least Poisson's, 1 / this + 1 / last.
    """
    a, b = np.asarray(this, float), np.asarray(last, float)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} days against {len(b)}: days come in pairs")
    total = int(np.nansum(a) + np.nansum(b))
    if len(a) < 2:
        return Estimate.refused(f"{len(a)} pair of days: a change from day to day needs 2 or more", n=total, level=level)
    without = np.stack([a.sum() - a, b.sum() - b])
    if not (without > 0).all():
        return Estimate.refused("one of the two windows has all of it, or nothing, on one day", n=total, level=level)
    theta, left_out = math.log(a.sum() / b.sum()), np.log(without[0] / without[1])
    floor = 1 / a.sum() + 1 / b.sum() if counts else 0.0
    se, df = math.sqrt(max(floor, (len(a) - 1) / len(a) * np.sum((left_out - left_out.mean()) ** 2))), len(a) - 1
    if se < 1e-12:
        return Estimate.refused("all pairs of days changed by the same factor: no spread to estimate from", n=total, level=level)
    return from_log(theta, se, df, n=total, level=level)


def _dummies(groups: Sequence[int]) -> np.ndarray:
    return (np.asarray(groups)[:, None] == np.unique(groups)[None, :]).astype(float)


def _paule_mandel(y: np.ndarray, v: np.ndarray, design: np.ndarray, df: int) -> float:
    left, size, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, size > 1e-9 * size.max()]

    def excess(tau2: float) -> float:
        weight = 1 / (v + tau2)
        weighted = basis * weight[:, None]
        rest = y - basis @ np.linalg.solve(basis.T @ weighted, weighted.T @ y)
        return float(rest @ (weight * rest)) - df

    spread = float(np.var(y))
    if spread == 0 or (v.min() > 0 and excess(0.0) <= 0):
        return 0.0
    low, high = (0.0 if v.min() > 0 else 1e-12 * spread), spread
    if excess(low) <= 0:
        return 0.0
    while excess(high) > 0:
        high *= 4
    return float(optimize.brentq(excess, low, high, xtol=1e-9 * spread, rtol=1e-6))
