"""Nothing changed, or nothing could be seen: simultaneous intervals of every change that may have happened, and what it takes to see one.

"No significant change" is not "no change". No change is claimed only where the interval of every watched metric, whatever the onset,
lies inside the metric's margin (two one-sided tests at once).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .changes import StepEffects

DRAWS = 4000


@dataclass(frozen=True)
class Bounds:
    """How far a metric may have moved at most: simultaneous limits over onsets and metrics, and whether they keep the margin.

    ``detectable`` is the change that would have been found with probability ``power`` at the onset where that is easiest. All
    limits are infinite where there was nothing to estimate from.
    """

    low: float
    high: float
    margin: float
    detectable: float

    @property
    def inside(self) -> bool:
        """Whether no change beyond the margin is compatible with the data."""
        return -self.margin < self.low and self.high < self.margin


def bounds(
    metrics: Sequence[StepEffects],
    margins: Sequence[float],
    *,
    critical_z: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
    seed: int = 0,
) -> list[Bounds]:
    """Simultaneous bounds of the change of every metric over all of its onsets.

    ``metrics`` from :func:`~llmobs_nb.stats.changes.step_effects`; ``critical_z`` is the z that the search asks for (default: that of
    these intervals). Metrics are taken as independent, which is on the safe side of any positive dependence. Nothing has
    changed where all bounds are ``inside``.
    """
    if len(metrics) != len(margins):
        raise ValueError(f"{len(metrics)} metrics and {len(margins)} margins: give each metric its margin")
    c = simultaneous_z([m.correlation for m in metrics if len(m.onset)], level=level, seed=seed)
    asked = c if critical_z is None else critical_z
    return [_bounds(m, float(margin), c, asked, power) for m, margin in zip(metrics, margins, strict=True)]


def simultaneous_z(correlations: Sequence[np.ndarray], *, level: float = 0.95, seed: int = 0) -> float:
    """The z that no effect of any metric exceeds with probability ``level``; effects of one metric correlate as given."""
    if not len(correlations):
        return math.inf
    rng = np.random.default_rng(seed)
    largest = np.zeros(DRAWS)
    for correlation in correlations:
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0))
        largest = np.maximum(largest, np.abs(root @ rng.standard_normal((len(values), DRAWS))).max(axis=0))
    return float(np.quantile(largest, level))


def minimum_detectable(se: float, critical_z: float, *, power: float = 0.8) -> float:
    """The smallest change that a search asking for ``critical_z`` finds with probability ``power``, for an effect with this se."""
    return (critical_z + float(stats.norm.ppf(power))) * se


def _bounds(metric: StepEffects, margin: float, c: float, asked: float, power: float) -> Bounds:
    if not len(metric.onset):
        return Bounds(-math.inf, math.inf, margin, math.inf)
    low, high = (metric.effect - c * metric.se).min(), (metric.effect + c * metric.se).max()
    return Bounds(float(low), float(high), margin, minimum_detectable(float(metric.se.min()), asked, power=power))
