"""Rates of counted things, such as alarms a month, with their exact interval."""

from __future__ import annotations

from scipy.stats import chi2

from .estimate import Estimate


def rate_per(count: int, exposure: float, *, level: float = 0.95) -> Estimate:
    """``count`` events over ``exposure`` (in the unit of the rate's time), exact Poisson interval (Garwood 1936); no exposure is refused."""
    if not exposure > 0:
        return Estimate.refused("no time was observed", level=level)
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return Estimate(count / exposure, low / exposure, float(chi2.isf(tail, 2 * count + 2)) / 2 / exposure, count, level)
