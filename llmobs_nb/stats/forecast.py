"""What the coming days add up to: a seasonal model of daily sums with few weeks to learn from.

The logarithm of a day is level + weekday + slope + shock. The level is a random walk, so days count less the older they are; the
weekday's effect and the slope are shrunk to nothing, the slope dies away into the future; shocks are partly shared with the day before
and have heavy tails. How much of each there is is not known well from some weeks: a grid of shares is carried along, weighted by its
marginal likelihood (a Gaussian process with conjugate scale, so the noise has the t distribution of its degrees of freedom).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

LEAST_DAYS = 14
MOST_DAYS = 84
DRAWS = 2000
# Variances as parts of the shocks' own: the level's steps, the shocks that are shared with the day before, the slope (per day), weekdays.
WALK, SHARED, SLOPE, WEEKDAY = (0.0, 0.01, 0.05, 0.25), (0.0, 0.5), (0.0, 0.07), (0.3, 10.0, 300.0)
PRIOR = ((0.42, 0.3, 0.2, 0.08), (0.75, 0.25), (0.4, 0.6), (0.3, 0.4, 0.3))
LEAST_WEIGHT = 0.002
RHO, DAMPED = 0.6, 0.98
LEVEL = 1000.0
# Belief about the shocks' variance before any data: as of three days whose standard deviation is 0.08.
SHAPE, SCALE = 1.5, 1.5 * 0.08**2
TAIL = 8.0
CLIP = 4.0
# Below this share of its usual hours a day that has begun says nothing about its sum.
LEAST_SHARE = 0.1
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)


class Begun(NamedTuple):
    """The day that has begun: what was summed, and the share of a day that such hours usually hold (0 to 1)."""

    spent: float
    share: float


@dataclass(frozen=True, eq=False)
class _Grid:
    """What covaries over past and coming days, in parts of the shocks' variance: ``parts`` (5 x n x n) of level, walk, shared
    shocks, slope and weekday; ``points`` (G x 5) how much of each; the ``prior`` of each point."""

    parts: np.ndarray
    points: np.ndarray
    prior: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """The share of the shocks that a day has for itself."""
        return 1 - self.points[:, 2]

    def alone(self, n: int, extra: np.ndarray) -> np.ndarray:
        """The diagonal (G x n x n) of what the first n days have for themselves."""
        return (self.own[:, None] + extra)[:, :, None] * np.eye(n)


def draws(
    y, *, ahead: int, phase: int = 0, begun: Begun | None = None, count: int = DRAWS, rng: np.random.Generator | None = None
) -> np.ndarray | None:
    """Simulated sums of coming days (count x ahead), the first the day after the last of ``y``; all uncertainty is in them.

    ``y`` are sums of whole days in the order of time, ``phase`` the weekday of the first. Where a day has ``begun`` it is the first of
    the coming ones, and its column holds what is still to come of it. None for fewer than fourteen days, or when nothing was ever
    summed; a negative day counts as zero.
    """
    y = np.maximum(np.asarray(y, float), 0)
    if len(y) < LEAST_DAYS or not y.sum() > 0 or ahead < 1:
        return None
    rng = rng or np.random.default_rng(0)
    if len(y) > MOST_DAYS:
        phase, y = phase + len(y) - MOST_DAYS, y[-MOST_DAYS:]
    floor = _floor(y)
    z = np.log(y + floor)
    middle = float(np.median(z))
    z = _calm(z - middle, phase)
    grid = _grid(len(z), ahead, phase)
    seen = begun is not None and begun.share >= LEAST_SHARE
    z, extra = _with_begun(z, begun, floor, middle) if seen else (z, np.zeros(len(z)))
    paths = _simulated(grid, z, extra, len(y), count, rng)
    out = np.maximum(np.exp(np.clip(paths + middle, -700, 700)) - floor, 0)
    if begun is not None:
        out[:, 0] *= 1 - min(max(begun.share, 0.0), 1.0)
    return out


def seasonal_naive(y, ahead: int) -> np.ndarray:
    """Quantiles (``QUANTILES``) of the sum of the coming days when each repeats its weekday of the week before.

    Normal around the repeated sum; an error of a day is that of last week's repetition, and is made anew each week.
    """
    from scipy.special import ndtri

    y = np.asarray(y, float)
    weeks = np.arange(ahead) // 7 + 1
    repeated = y[len(y) - 7 + np.arange(ahead) % 7]
    errors = y[7:] - y[:-7]
    spread = float(np.sqrt(np.mean(errors**2) * weeks.sum())) if len(errors) else float(repeated.std())
    return repeated.sum() + spread * ndtri(QUANTILES)


def pinball(quantiles, actual: float, levels=QUANTILES) -> float:
    """Mean pinball loss of a few quantiles: a distance from what came, smaller is better, in its unit."""
    miss = actual - np.asarray(quantiles, float)
    levels = np.asarray(levels)
    return float(np.mean(np.maximum(levels * miss, (levels - 1) * miss)))


def _floor(y: np.ndarray) -> float:
    """What is added before the logarithm, so that days of nothing or next to it do not rule."""
    usual = float(np.median(y[y > 0]))
    return 0.0 if y.min() > 0.02 * usual else 0.1 * float(y.mean())


def _calm(z: np.ndarray, phase: int) -> np.ndarray:
    """Days drawn in to some robust standard deviations around the weekday's level in the weeks near them."""
    weekday = (np.arange(len(z)) + phase) % 7
    effect = np.array([np.median(z[weekday == w]) for w in range(7)])[weekday]
    rest = z - effect
    near = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(rest, 7, mode="reflect"), 15), axis=1)
    rest = rest - near
    limit = CLIP * max(1.4826 * float(np.median(np.abs(rest))), 0.02)
    return effect + near + np.clip(rest, -limit, limit)


def _grid(past: int, ahead: int, phase: int) -> _Grid:
    t = np.arange(past + ahead)
    weekday = (t + phase) % 7
    slope = np.concatenate([t[:past] - (past - 1.0), np.cumsum(DAMPED ** np.arange(1, ahead + 1))])
    parts = np.stack([
        np.ones((len(t), len(t))), np.minimum.outer(t, t), RHO ** np.abs(np.subtract.outer(t, t)), np.outer(slope, slope),
        np.equal.outer(weekday, weekday),
    ])  # fmt: skip
    points = np.array(list(product([LEVEL], WALK, SHARED, [s * s for s in SLOPE], WEEKDAY)))
    return _Grid(parts, points, np.array([np.prod(p) for p in product(*PRIOR)]))


def _with_begun(z: np.ndarray, begun: Begun, floor: float, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """The day that has begun as one more day, less certain the less of it has gone."""
    whole = begun.spent / begun.share + floor
    value = np.log(whole) - middle if whole > 0 else float(z.min())
    return np.append(z, value), np.append(np.zeros(len(z)), (1 - min(begun.share, 1.0)) / begun.share)


def _simulated(grid: _Grid, z: np.ndarray, extra: np.ndarray, first: int, count: int, rng) -> np.ndarray:
    """Paths (count x coming days) of the logarithm; ``z`` may reach one day into what is coming."""
    n, coming = len(z), grid.parts.shape[1] - first
    root = np.linalg.cholesky(np.tensordot(grid.points, grid.parts[:, :n, :n], 1) + grid.alone(n, extra))
    solved = np.linalg.solve(root, np.broadcast_to(z[:, None], (len(root), n, 1)))[:, :, 0]
    half = SCALE + 0.5 * (solved**2).sum(axis=1)
    log = np.log(grid.prior) - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) - (SHAPE + n / 2) * np.log(half)
    weights = np.exp(log - log.max())
    weights[weights < LEAST_WEIGHT * weights.sum()] = 0
    picked = rng.multinomial(count, weights / weights.sum())
    paths = []
    for g in np.flatnonzero(picked):
        smooth = np.tensordot(grid.points[g], grid.parts[:, first:], 1)
        gain = np.linalg.solve(root[g], smooth[:, :n].T)
        chol = np.linalg.cholesky(smooth[:, first:] - gain.T @ gain + 1e-6 * np.eye(coming))
        scale = np.sqrt(half[g] / rng.gamma(SHAPE + n / 2, size=picked[g]))[:, None]
        noise = rng.standard_t(TAIL, (picked[g], coming)) * np.sqrt((TAIL - 2) / TAIL * grid.own[g])
        paths.append(gain.T @ solved[g] + scale * (rng.standard_normal(noise.shape) @ chol.T + noise))
    return np.concatenate(paths)
