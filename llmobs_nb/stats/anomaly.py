"""Has a metric left its usual level: its last days against the weeks before, with all noise that days share.

The level of a day is mean + weekday + shock + sampling error. Shocks are autocorrelated from day to day; their size is not known
well from some weeks, so a grid of sizes is carried along, weighted by the likelihood of the days before the looks. Each look is a
step at a known place, estimated by generalised least squares; its tail probability is averaged over the grid. A rate of few events is
skewed: there the exact predictive probability of a beta-binomial must agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import betabinom

from .series import row_variance

LEAST_DAYS = 14
RHO = 0.4
# Variance of the shocks as parts of the largest worth thinking of, and their prior.
SHOCKS = (0.0, 0.01, 0.04, 0.12, 0.32, 1.0)
PRIOR = (0.2, 0.2, 0.2, 0.2, 0.1, 0.1)
CLIP = 3.5
EXACT_FROM = 1.5


class Slide(NamedTuple):
    """The clearest look: how many bins it takes, its z (signed, one-sided tail), the level now, the one expected and its standard error."""

    z: float
    look: int
    level: float
    expected: float
    error: float
    n: float


def slide(n, s, q, *, looks=(1, 3, 7, 14), phase: int = 0, side: int = 0) -> Slide | None:
    """The clearest departure of the last bins from the ones before.

    ``n``, ``s``, ``q`` are counts, sums and sums of squares of bins in the order of time, the last one the newest; ``phase`` is the
    weekday of the first bin. ``side`` 1 looks for rises, -1 for falls, 0 for both. None where fewer than fourteen bins with rows lie
    before the longest look that fits, or where no look holds rows, or nothing ever varies.
    """
    n, s, q = (np.asarray(x, float) for x in (n, s, q))
    fit = _Fit.of(n, s, q, phase, _fitting(n, looks))
    if fit is None:
        return None
    found = [fit.look(look, side) for look in fit.looks]
    return max(found, key=lambda f: f.z * side if side else abs(f.z))


def _fitting(n: np.ndarray, looks) -> list[int]:
    """Looks that hold rows and leave enough bins with rows before them."""
    full = n > 0
    return [k for k in sorted(looks) if full[len(n) - k :].any() and full[: len(n) - k].sum() >= LEAST_DAYS]


class _Fit:
    """The levels under each size of the shocks, whitened: ordinary sums of squares there are those of generalised least squares.

    ``ones``, ``y`` are G x T, ``steps`` G x T x looks; ``weights`` how likely each of the G sizes is.
    """

    def __init__(self, n, s, looks: list[int], recent: np.ndarray, white: np.ndarray, known: int, *, rate: bool) -> None:
        self.n, self.s, self.looks, self.recent, self.rate = n, s, looks, recent, rate
        self.ones, self.y, self.steps = white[:, :, 0], white[:, :, 1], white[:, :, 2:]
        self.info = (self.ones**2).sum(axis=1)
        self.weights = np.zeros(len(white))
        self.known = known

    @classmethod
    def of(cls, n, s, q, phase: int, looks: list[int]) -> _Fit | None:
        if not looks:
            return None
        places, end = np.flatnonzero(n > 0), len(n)
        known = int(np.searchsorted(places, end - looks[-1]))
        n, s, q = n[places], s[places], q[places]
        rate = bool(np.allclose(s, q))
        variance = _sampling(n, s, q, known, rate=rate)
        if variance is None:
            return None
        y = s / n
        y[:known] = _calm(y[:known], variance[:known])
        recent = places[:, None] >= end - np.array(looks)
        root = np.linalg.cholesky(_covariances(places, variance, y, known, phase))
        white = np.linalg.inv(root) @ np.column_stack([np.ones(len(y)), y, recent])
        out = cls(n, s, looks, recent, white, known, rate=rate)
        out.weights = out._likely(np.log(np.diagonal(root, axis1=1, axis2=2)[:, :known]).sum(axis=1))
        return out

    def _likely(self, log_root: np.ndarray) -> np.ndarray:
        """Posterior of the sizes given the bins before the looks, their mean integrated out."""
        ones, y = self.ones[:, : self.known], self.y[:, : self.known]
        info = (ones**2).sum(axis=1)
        rest = (y**2).sum(axis=1) - (ones * y).sum(axis=1) ** 2 / info
        log = np.log(PRIOR) - log_root - 0.5 * np.log(info) - 0.5 * rest
        weights = np.exp(log - log.max())
        return weights / weights.sum()

    def look(self, k: int, side: int) -> Slide:
        place = self.looks.index(k)
        recent, x = self.recent[:, place], self.steps[:, :, place]
        x = x - (x * self.ones).sum(axis=1, keepdims=True) / self.info[:, None] * self.ones
        info = (x**2).sum(axis=1)
        effect = (x * self.y).sum(axis=1) / info
        sign = side or (1 if self.weights @ effect >= 0 else -1)
        z = sign * _tail(float(self.weights @ ndtr(-sign * effect * np.sqrt(info))))
        level = float(self.s[recent].sum() / self.n[recent].sum())
        if self.rate and sign * z > EXACT_FROM:
            z = sign * min(sign * z, self._exact(recent, sign))
        change = float(self.weights @ effect)
        error = abs(change) / abs(z) if z and change else float(self.weights @ (1 / np.sqrt(info)))
        return Slide(z, k, level, level - change, error, float(self.n[recent].sum()))

    def _exact(self, recent: np.ndarray, sign: int) -> float:
        """z of the mid-p of as many events or more (fewer), given those before (Jeffreys prior)."""
        k, count = self.s[recent].sum(), self.n[recent].sum()
        a, b = self.s[~recent].sum() + 0.5, (self.n - self.s)[~recent].sum() + 0.5
        k, count = round(k), round(count)
        here = betabinom.pmf(k, count, a, b)
        beyond = betabinom.sf(k, count, a, b) if sign > 0 else betabinom.cdf(k - 1, count, a, b)
        return _tail(float(beyond + here / 2))


def _tail(p: float) -> float:
    return float(-ndtri(min(max(p, 1e-300), 1 - 1e-16)))


def _sampling(n, s, q, known: int, *, rate: bool) -> np.ndarray | None:
    """Sampling variance of each bin, by the rows of the first ``known`` ones; None where nothing varies."""
    if rate:
        p = (s[:known].sum() + 0.5) / (n[:known].sum() + 1)
        return p * (1 - p) / n
    v = row_variance(n[:known], s[:known], q[:known])
    return v / n if v > 1e-18 * max(float(np.abs(q).max()), 1e-300) else None


def _calm(y: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Bins of the past drawn in to 3.5 robust standard deviations, so that an old incident does not hide a new one."""
    middle = np.median(y)
    scaled = (y - middle) / np.sqrt(variance)
    spread = max(1.0, 1.4826 * float(np.median(np.abs(scaled))))
    return middle + np.clip(scaled, -CLIP * spread, CLIP * spread) * np.sqrt(variance)


def _covariances(places, variance, y, known: int, phase: int) -> np.ndarray:
    """One T × T covariance per size of the shocks."""
    most = max(5 / float(np.mean(1 / variance)), 4 * float(np.var(y[:known])))
    weekday = (places + phase) % 7
    rhythm = _rhythm(y[:known], variance[:known], weekday[:known])
    gap = np.abs(places[:, None] - places[None, :])
    base = np.diag(variance) + rhythm * (weekday[:, None] == weekday[None, :])
    return base[None] + np.array(SHOCKS)[:, None, None] * most * RHO ** gap[None]


def _rhythm(y, variance, weekday) -> float:
    """Variance between weekdays beyond what sampling gives (moments), never nothing."""
    weights = 1 / variance
    total = np.bincount(weekday, weights, 7)
    means = np.bincount(weekday, weights * y, 7)[total > 0] / total[total > 0]
    own = 1 / total[total > 0]
    return max(float(np.var(means)) - float(own.mean()), 0.05 * float(own.mean()))
