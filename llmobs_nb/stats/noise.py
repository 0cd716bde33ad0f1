"""What levels of bins do when nothing changes: rhythm, sampling error, and shocks that bins share with the bin before (AR(1)).

Neither the size of the shocks nor their autocorrelation is known well from eight weeks, so a grid of both is carried along and
weighted by its likelihood (restricted, so that the rhythm costs its degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import linalg

from .series import HOURLY, Series, rhythm

STEPS = tuple(2.0**-k for k in range(7))


class Beliefs(NamedTuple):
    """Autocorrelations that are possible from bin to bin, their prior, and the one that the test statistic assumes.

    A statistic that assumes little autocorrelation finds more than one that fits it, at the same rate of false alarms, as long
    as its null is simulated with the autocorrelation that the data allow (measured in tests/benchmarks/when_where.py).
    """

    rho: tuple[float, ...]
    prior: tuple[float, ...]
    assumed: float


DAYS = Beliefs((0.0, 0.2, 0.4, 0.6), (1 / 7, 2 / 7, 2 / 7, 2 / 7), 0.2)
HOURS = Beliefs((0.0, 0.4, 0.8, 0.95), (1 / 7, 2 / 7, 2 / 7, 2 / 7), 0.4)


@dataclass(frozen=True)
class Noise:
    """Shock variance and autocorrelation of a series, and the variance that counts over long stretches."""

    variance: float
    rho: float
    long_run: float


@dataclass(frozen=True, eq=False)
class Model:
    """One point of the grid: its covariance (as a Cholesky root over the bins that hold rows), the design of their rhythm and what it makes of the data.

    ``precision`` is the T × T precision with the rhythm projected out, 0 for empty bins; ``constant`` the part of the log
    likelihood that does not depend on the data.
    """

    shock: float
    rho: float
    prior: float
    root: np.ndarray
    places: np.ndarray
    precision: np.ndarray
    constant: float

    def log_likelihood(self, y: np.ndarray, weighted: np.ndarray) -> np.ndarray:
        """Of the columns of y (T × B), given ``precision @ y``: no change, rhythm integrated out."""
        return self.constant - 0.5 * np.einsum("tb,tb->b", y, weighted)


def models(series: Series) -> list[Model]:
    """The grid for one series; shock variances reach from nothing to well beyond what day-to-day scatter shows."""
    beliefs = HOURS if series.period == HOURLY else DAYS
    full = np.flatnonzero(series.present)
    design = _rhythm_of(series)
    sampling, top = _scales(series)
    points = [(0.0, beliefs.assumed, 1.0)]
    points += [(top * k, rho, p) for k in STEPS for rho, p in zip(beliefs.rho, beliefs.prior, strict=True)]
    return [_model(len(series), full, design, sampling, *point) for point in points]


def assumed(grid: Sequence[Model], series: Series) -> list[int]:
    """Places in the grid that carry the autocorrelation the test statistic assumes."""
    rho = (HOURS if series.period == HOURLY else DAYS).assumed
    return [i for i, m in enumerate(grid) if m.rho == rho]


def simulate(grid: Sequence[Model], weights: np.ndarray, count: int, series: Series, rng: np.random.Generator) -> np.ndarray:
    """Levels (T × count) of quiet series without rhythm, each from a point of the grid drawn by its weight."""
    out, full = np.zeros((len(series), count)), series.present
    drawn = rng.choice(len(grid), count, p=weights)
    for i in np.unique(drawn):
        columns = np.flatnonzero(drawn == i)
        root = grid[i].root
        out[np.ix_(full, columns)] = root @ rng.standard_normal((len(root), len(columns)))
    return out


def summary(grid: Sequence[Model], weights: np.ndarray) -> Noise:
    """The noise averaged over the grid."""
    shock, rho = (np.array([getattr(m, name) for m in grid]) for name in ("shock", "rho"))
    variance = float(weights @ shock)
    long_run = float(weights @ (shock * (1 + rho) / (1 - rho)))
    return Noise(variance, float(weights @ (shock * rho)) / variance if variance > 0 else 0.0, long_run)


def _scales(series: Series) -> tuple[np.ndarray, float]:
    """Sampling variance of the bins that hold rows, never 0, and the largest shock variance worth thinking of.

    The scatter between neighbours (median, so that neither a step nor a burst moves it) bounds the shocks.
    """
    full = series.present
    y, v = series.level[full], series.variance[full]
    design = _rhythm_of(series)
    rest = y - design @ np.array([np.median(y[column > 0]) for column in design.T])
    jumps = np.abs(np.diff(rest))
    scatter = (1.4826 * float(np.median(jumps))) ** 2 / 2 or float(np.mean(jumps**2)) / 2
    scatter = scatter or float(np.var(y))
    v = np.maximum(v, 1e-4 * scatter)
    return v, max(8 / float(np.mean(1 / v)), 4 * scatter)


def _rhythm_of(series: Series) -> np.ndarray:
    design = rhythm(len(series), series.period, series.phase)[series.present]
    return design[:, design.any(axis=0)]


def _model(length: int, full: np.ndarray, design: np.ndarray, sampling, shock: float, rho: float, prior: float) -> Model:
    cov = np.diag(sampling) + shock * rho ** np.abs(full[:, None] - full[None, :]) if shock else np.diag(sampling)
    root = np.linalg.cholesky(cov)
    inverse = linalg.cho_solve((root, True), np.eye(len(full)))
    weighted = inverse @ design
    normal = np.linalg.cholesky(design.T @ weighted)
    part = linalg.solve_triangular(normal, weighted.T, lower=True)
    precision = np.zeros((length, length))
    precision[np.ix_(full, full)] = inverse - part.T @ part
    logs = float(np.log(np.diag(root)).sum() + np.log(np.diag(normal)).sum())
    return Model(shock, rho, prior, root, design, precision, -logs)
