"""The simple anomaly rules that people bring along, as they are usually written; presets name them, with their false alarms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import kolmogi
from scipy.special import kolmogorov as kolmogorov_sf

from .sums import Buckets


def sigma(n, s, look: int, side: int, limit: float, scale: Callable[[float], float], *, mean: bool) -> tuple | None:
    """Level of the last ``look`` days against mean and standard deviation of the days before, no weekday and no noise told apart.

    Days are grouped by ``look``, so that a week is compared with weeks. Level, expected, threshold, z on the bad side, look.
    """
    groups = len(n) // look
    if groups < 4:
        return None
    n, s = (np.asarray(x, float)[len(n) - groups * look :].reshape(groups, look).sum(axis=1) for x in (n, s))
    levels = np.divide(s, n, out=np.full_like(s, np.nan), where=n > 0) if mean else s / np.maximum(n, 1)
    past, now = levels[:-1][~np.isnan(levels[:-1])], levels[-1]
    spread = float(past.std(ddof=1)) if len(past) > 2 else 0.0
    if not spread > 0 or np.isnan(now):
        return None
    z = float((now - past.mean()) / spread)
    sign = side or (1 if z > 0 else -1)
    edge = past.mean() + sign * limit * spread
    return scale(now), scale(float(past.mean())), scale(float(edge)), sign * z, float(look)


def kolmogorov(sums: Buckets, k: int, high: int, window: int, before: int, p: float) -> tuple | None:
    """Kolmogorov-Smirnov distance of the window's values to those before it; the statistic is 1 - p.

    Level is the distance, threshold the distance at p (asymptotic).
    """
    if high - window - before < sums.first:
        return None
    now, past = sums.table(high - window, high)[k], sums.table(high - window - before, high - window)[k]
    if not now.sum() or not past.sum():
        return None
    distance = float(np.abs(np.cumsum(now) / now.sum() - np.cumsum(past) / past.sum()).max())
    root = float(np.sqrt(now.sum() * past.sum() / (now.sum() + past.sum())))
    return distance, 0.0, float(kolmogi(p)) / root, 1 - float(kolmogorov_sf(distance * root)), 1.0
