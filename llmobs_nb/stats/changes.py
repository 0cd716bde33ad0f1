"""When did a series change, how, and by how much: steps, ramps and bursts, with the rhythm estimated in the same breath.

The levels are those of generalised least squares under each point of :mod:`.noise`; the statistic is the log of the average
likelihood ratio over all candidates (Andrews and Ploberger 1994), its p is simulated from the noise that the data allow, search
and estimation repeated; the onset's interval is that of its posterior under a flat prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.special import expit, logsumexp

from .candidates import BURST, RAMP, SHAPES, STEP, Candidates, candidates, curve, information, scores, step_gram
from .compare import two_sided
from .estimate import Estimate
from .intervals import critical
from .noise import Model, Noise, assumed, models, simulate, summary
from .nulls import exponential_tail
from .series import Series

EDGE = 3
DRAWS = 300
REACH = (2, 5, 2)
ONSET_LEVEL = 0.92


@dataclass(frozen=True)
class Change:
    """What changed in a series, if anything: ask ``p`` first.

    ``onset`` is the first changed bin, ``low`` and ``high`` its interval; ``end`` the first bin after a burst (None: it lasts);
    ``full`` the first bin with the full effect. ``before`` and ``after`` are levels at the average rhythm, ``effect`` their
    difference, at the full height of a ramp. ``z`` is effect over its standard error at the best candidate, not corrected for
    the search; ``p`` is. ``shapes`` are posterior probabilities, given that there is a change.
    """

    shape: str
    onset: int
    low: int
    high: int
    full: int
    end: int | None
    before: Estimate
    after: Estimate
    effect: Estimate
    z: float
    p: float
    shapes: dict[str, float]
    noise: Noise

    def curve(self, length: int) -> np.ndarray:
        """The share of the effect in each of ``length`` bins."""
        stop = {"step": length, "ramp": self.full + 1, "burst": self.end}[self.shape]
        return curve(SHAPES.index(self.shape), self.onset, stop, length)


def find(series: Series, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Change | None:
    """The best single change of a series with its p, the search over shapes and onsets included.

    None where there is nothing to look at: fewer than ``2 * EDGE + 1`` bins with rows, or levels that never vary. Costs about
    T³ per point of the noise grid: meant for up to some 400 bins; of hours give the fortnight around a suspect.
    """
    what = _candidates(series)
    if what is None:
        return None
    grid = models(series)
    fit = _Fit.of(series, grid, what)
    best = _best(fit.log_ratio, what)
    out = _describe(series, fit, best, level)
    p = _p(series, fit, draws, np.random.default_rng(seed))
    low, high = _interval(fit.log_ratio, what)
    return replace(out, p=p, low=min(low, out.onset), high=max(high, out.onset), shapes=_shapes(fit.log_ratio, what))


def at(series: Series, onset: int, *, end: int | None = None, level: float = 0.95) -> Change | None:
    """The change at a known onset (and end), nothing searched: a step, or a burst where ``end`` is given.

    None where either side has no bin with rows, or the levels never vary. Bins outside the series raise ValueError.
    """
    stop = len(series) if end is None else end
    if not 0 < onset < stop <= len(series):
        raise ValueError(f"onset={onset!r}, end={end!r}: give bins with 0 < onset < end <= {len(series)}")
    what = Candidates(np.array([STEP if end is None else BURST]), np.array([onset]), np.array([stop]), np.zeros(1))
    inside = series.present & (curve(int(what.shape[0]), onset, stop, len(series)) > 0)
    if not inside.any() or not (series.present & ~inside).any() or not _varies(series):
        return None
    fit = _Fit.of(series, models(series), what)
    if not np.isfinite(fit.log_ratio[0]):
        return None
    out = _describe(series, fit, 0, level)
    return replace(out, p=two_sided(out.z))


def without(series: Series, change: Change) -> Series:
    """The series as it would have been had the change not happened; for a search for the next one."""
    return replace(series, level=series.level - change.effect.value * change.curve(len(series)))


class StepEffects(NamedTuple):
    """A step at each of K onsets: its effect, standard error, and how the K effects correlate when nothing changes (K × K)."""

    onset: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    correlation: np.ndarray


def step_effects(series: Series, *, edge: int = 7) -> StepEffects:
    """Every step with ``edge`` bins with rows on either side, noise averaged; nothing searched. Of length 0 where there is none."""
    what = candidates(series.present, edge=edge)
    what = what.only(what.shape == STEP)
    if not len(what) or not _varies(series):
        return StepEffects(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros((0, 0)))
    grid = models(series)
    fit = _Fit.of(series, grid, what)
    weights = fit.weights()
    effect, se = fit.effects(weights)
    covariance = step_gram(grid[int(weights.argmax())].precision)[np.ix_(what.start, what.start)]
    root = np.sqrt(np.diag(covariance))
    return StepEffects(what.start, effect, se, covariance / root / root[:, None])


class _Fit:
    """All candidates under all points of the noise grid, for one series."""

    def __init__(self, grid: list[Model], what: Candidates, chosen: list[int], info: np.ndarray, score, quiet) -> None:
        self.grid, self.what, self.chosen = grid, what, chosen
        self.info, self.score, self.quiet = info, score, quiet
        self.usable = info > 1e-9 * info.max(axis=1, keepdims=True)
        self.root = np.where(self.usable, np.sqrt(np.where(self.usable, info, 1)), np.inf)
        self.gain = 0.5 * (score / self.root) ** 2
        prior = np.log([m.prior for m in grid])
        self.posterior0 = quiet + prior
        chosen_gain = self.gain[chosen] + quiet[chosen, None]
        self.log_ratio = logsumexp(chosen_gain, axis=0) - logsumexp(quiet[chosen]) + what.log_prior
        self.log_ratio[~self.usable.all(axis=0)] = -np.inf

    @classmethod
    def of(cls, series: Series, grid: list[Model], what: Candidates) -> _Fit:
        y = np.where(series.present, series.level, 0.0)
        y = (y - y[series.present].mean() * series.present)[:, None]
        info, score, quiet = [], [], []
        for m in grid:
            weighted = m.precision @ y
            info.append(information(what, m.precision))
            score.append(scores(what, weighted)[:, 0])
            quiet.append(m.log_likelihood(y, weighted)[0])
        return cls(grid, what, assumed(grid, series), np.array(info), np.array(score), np.array(quiet))

    @property
    def statistic(self) -> float:
        return float(logsumexp(self.log_ratio))

    def weights(self, k: int | None = None) -> np.ndarray:
        """Posterior of the grid given a change at candidate k; without k, averaged over "no change" and all candidates."""
        if k is not None:
            log = self.posterior0 + self.gain[:, k]
            return np.exp(log - logsumexp(log))
        changed = self.posterior0 + logsumexp(self.gain + self.what.log_prior, axis=1, b=self.usable)
        odds = logsumexp(changed) - logsumexp(self.posterior0)
        pi = float(expit(odds))
        return (1 - pi) * np.exp(self.posterior0 - logsumexp(self.posterior0)) + pi * np.exp(changed - logsumexp(changed))

    def effects(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Effect and standard error of every candidate, averaged over the grid."""
        each = self.score / self.root**2
        effect = weights @ each
        variance = weights @ (1 / self.root**2 + (each - effect) ** 2)
        return effect, np.sqrt(variance)


def _candidates(series: Series) -> Candidates | None:
    if series.present.sum() < 2 * EDGE + 1 or not _varies(series):
        return None
    what = candidates(series.present, edge=EDGE)
    return what if len(what) else None


def _varies(series: Series) -> bool:
    levels = series.level[series.present]
    return len(levels) > 1 and float(np.ptp(levels)) > 1e-12 * float(np.abs(levels).max())


def _p(series: Series, fit: _Fit, draws: int, rng: np.random.Generator) -> float:
    quiet = simulate(fit.grid, fit.weights(), draws, series, rng)
    grid, what = [fit.grid[i] for i in fit.chosen], fit.what
    alone, changed = [], []
    for m, root in zip(grid, fit.root[fit.chosen], strict=True):
        weighted = m.precision @ quiet
        gain = scores(what, weighted)
        gain /= root[:, None]
        np.multiply(gain, gain, out=gain)
        gain *= 0.5
        gain += what.log_prior[:, None]
        most = gain.max(axis=0)
        gain -= most
        alone.append(m.log_likelihood(quiet, weighted))
        changed.append(alone[-1] + most + np.log(np.exp(gain, out=gain).sum(axis=0)))
    null = logsumexp(changed, axis=0) - logsumexp(alone, axis=0)
    return exponential_tail(null, fit.statistic)


def _shapes(log_ratio: np.ndarray, what: Candidates) -> dict[str, float]:
    weight = np.exp(log_ratio - logsumexp(log_ratio))
    return {name: float(weight[what.shape == k].sum()) for k, name in enumerate(SHAPES)}


def _best(log_ratio: np.ndarray, what: Candidates) -> int:
    """The candidate to name: the likeliest shape, the onset around which most of its posterior lies, the best of those."""
    chances = _shapes(log_ratio, what)
    shape = max(range(3), key=lambda k: chances[SHAPES[k]])
    of_shape = np.flatnonzero(what.shape == shape)
    weight = np.exp(log_ratio[of_shape] - log_ratio[of_shape].max())
    reach = REACH[shape]
    mass = np.bincount(what.start[of_shape], weight, minlength=2 * reach)
    near = np.convolve(mass, 1 - np.abs(np.arange(1 - reach, reach)) / reach, "same") * (mass > 0)
    here = of_shape[what.start[of_shape] == int(near.argmax())]
    return int(here[log_ratio[here].argmax()])


def _interval(log_ratio: np.ndarray, what: Candidates) -> tuple[int, int]:
    """First and last onset of the smallest set that holds the posterior's ``ONSET_LEVEL``."""
    mass = np.bincount(what.start, np.exp(log_ratio - logsumexp(log_ratio)))
    order = np.argsort(-mass, kind="stable")
    held = order[: 1 + int(np.searchsorted(np.cumsum(mass[order]), ONSET_LEVEL))]
    return int(held.min()), int(held.max())


def _describe(series: Series, fit: _Fit, k: int, level: float) -> Change:
    """The change of one candidate; p and the onset's interval are not set."""
    what, weights = fit.what, fit.weights(k)
    shape, start, stop = (int(x[k]) for x in (what.shape, what.start, what.stop))
    effect, se = (float(x[k]) for x in fit.effects(weights))
    share = curve(shape, start, stop, len(series))
    before, errors = _level_before(series, fit.grid[int(weights.argmax())], share)
    rows = [int(series.n[side].sum()) for side in (share == 0, share == 1)]
    half = critical(level)
    values = (before, errors[0], rows[0]), (before + effect, errors[1], rows[1]), (effect, se, sum(rows))
    levels = [Estimate(value, value - half * error, value + half * error, n, level, se=error) for value, error, n in values]
    end = stop if shape == BURST else None
    full = stop - 1 if shape == RAMP else start
    return Change(
        SHAPES[shape], start, start, start, full, end, *levels, effect / se, 1.0, {SHAPES[shape]: 1.0}, summary(fit.grid, weights)
    )


def _level_before(series: Series, model: Model, share: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Level before the change at the average rhythm (rows as weights), and the standard errors of the levels before and after."""
    full = series.present
    places = model.places
    design = linalg.solve_triangular(model.root, np.column_stack([places, share[full]]), lower=True)
    inverse = np.linalg.inv(design.T @ design)
    y = linalg.solve_triangular(model.root, series.level[full], lower=True)
    mean = np.append(series.n[full] @ places / series.n.sum(), 0.0)
    later = mean + np.eye(len(mean))[-1]
    return float(mean @ inverse @ (design.T @ y)), tuple(float(np.sqrt(c @ inverse @ c)) for c in (mean, later))
