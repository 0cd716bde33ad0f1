"""Series and worlds of slices with a known truth, by seed: rhythm, growth, autocorrelated shocks, sessions, attributes that go together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import signal

from llmobs_nb.stats.candidates import SHAPES, curve
from llmobs_nb.stats.cells import Cells

DAYS = 56
VOLUME = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.4, 0.35])
LEAST_ROWS = 30
BINS = 28


def shocks(rng, tau: float, rho: float, shape=(DAYS,)) -> np.ndarray:
    """AR(1) along the last axis with standard deviation tau from the first day on."""
    own = rng.normal(0, tau, shape)
    own[..., 1:] *= np.sqrt(1 - rho**2)
    return signal.lfilter([1], [1, -rho], own, axis=-1)


def volumes(rng, rows: float, days: int = DAYS) -> np.ndarray:
    """Expected rows per day: weekday rhythm, 30 % growth, 7 % of noise."""
    share = VOLUME[np.arange(days) % 7] * np.exp(0.3 * np.arange(days) / days + rng.normal(0, 0.07, days))
    return rows * share / share.sum()


def bent(shape: str, start: int, length: int, days: int = DAYS) -> np.ndarray:
    """The share of the effect per day of a step, a ramp or a burst."""
    stop = days if shape == "step" else min(start + length, days)
    return curve(SHAPES.index(shape), start, stop, days)


def series(seed: int, effect: np.ndarray | float = 0.0, *, rows=60 * DAYS, sd=0.25, tau=0.015, rho=0.4, dip=-0.02):
    """Counts, sums and sums of squares per day of a score around 0.75; ``effect`` is added to the daily means."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(volumes(rng, rows)).astype(float)
    level = 0.75 + dip * (np.arange(DAYS) % 7 > 4) + shocks(rng, tau, rho) + effect
    s = n * level + sd * np.sqrt(n) * rng.standard_normal(DAYS)
    within = sd**2 * rng.chisquare(np.maximum(n - 1, 1e-9))
    return n, s, np.where(n > 0, within + s**2 / np.maximum(n, 1), 0.0)


@dataclass
class World:
    """Judged rows: day, attributes (rows × K integers), score; an error flag that nothing moves."""

    day: np.ndarray
    attributes: np.ndarray
    score: np.ndarray
    error: np.ndarray

    def member(self, label) -> np.ndarray:
        """Which rows are in a cell, given as ((attribute, value), …)."""
        return np.all([self.attributes[:, a] == v for a, v in label], axis=0)


def world(seed: int, *, rows=15_000, tau=0.015, rho=0.4, session=0.05, sd=0.22, own=0.0, own_rho=0.4) -> World:
    """Eight weeks: tenants decide tier and sign-on, features the model, models the provider; releases roll out.

    ``session`` is the deviation that rows of one tenant's session share, ``own`` that of shocks which a feature, a tenant or a
    model has for itself.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), rng.poisson(volumes(rng, rows)))
    a = _attributes(rng, day)
    weekend, feature, tenant = day % 7 > 4, a[:, 3], a[:, 0]
    score = 0.75 + np.array([0, 0.03, -0.04, 0.05, 0, -0.06])[feature] + rng.normal(0, 0.02, 12)[tenant]
    score += shocks(rng, tau, rho)[day] + weekend * (np.array([0, 0.02, -0.02, 0, 0, 0.01])[feature] - 0.02)
    score += rng.normal(0, session, DAYS * 36)[day * 36 + tenant * 3 + rng.integers(0, 3, len(day))]
    for column in (3, 0, 4) if own else ():
        score += shocks(rng, own, own_rho, (12, DAYS))[a[:, column], day]
    return World(day, a, score + rng.normal(0, sd, len(day)), (rng.random(len(day)) < 0.02).astype(float))


def _attributes(rng, day: np.ndarray) -> np.ndarray:
    """tenant, tier, auth, feature, model, provider, locale, release."""
    n, popular = len(day), 1 / np.arange(1, 13) ** 0.8
    tenant = rng.choice(12, n, p=popular / popular.sum())
    tier = rng.choice(3, 12, p=[0.3, 0.4, 0.3])[tenant]
    auth = rng.random(n) < np.array([0.9, 0.3, 0.05])[tier]
    feature = rng.choice(6, n, p=[0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
    model = np.where(rng.random(n) < 0.7, np.array([0, 0, 1, 1, 2, 3])[feature], rng.integers(0, 4, n))
    locale = rng.choice(5, n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    release = np.searchsorted(np.sort(rng.choice(np.arange(5, 52), 4, replace=False)), day, side="right")
    return np.stack([tenant, tier, auth, feature, model, model // 2, locale, release], axis=1).astype(int)


def harm(w: World, label, shape: str, start: int, length: int, z: float) -> float:
    """Lower the score of one slice by so much that Welch's z of an oracle is about ``z``; returns the z that it became."""
    share = bent(shape, start, length)[w.day]
    inside = w.member(label)
    after, before = inside & (share > 0), inside & (w.day < start)
    full = z * float(np.std(w.score[inside])) * np.sqrt(1 / after.sum() + 1 / before.sum())
    w.score[after] -= full / share[after].mean() * share[after]
    return float(_welch(w.score[after], w.score[before]))


def _welch(a: np.ndarray, b: np.ndarray) -> float:
    return (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))


def cells(w: World) -> tuple[list, list[Cells]]:
    """Labels of all cells of one and two attributes with 30 rows or more, and the cells in two metrics: score, error."""
    labels, order, parts = [], [], []
    sizes = w.attributes.max(axis=0) + 1
    for size in (1, 2):
        for columns in combinations(range(len(sizes)), size):
            code = np.ravel_multi_index(w.attributes[:, columns].T, sizes[list(columns)])
            count = int(np.prod(sizes[list(columns)]))
            kept = np.flatnonzero(np.bincount(code, minlength=count) >= LEAST_ROWS)
            values = np.stack(np.unravel_index(kept, sizes[list(columns)]), axis=1)
            parts.append(_sums(w, code, count)[:, :, kept])
            labels += [tuple(zip(columns, v, strict=True)) for v in values.tolist()]
            order += [size] * len(kept)
    everyone = _sums(w, np.zeros(len(w.day), int), 1)[:, :, 0]
    found = np.concatenate(parts, axis=2)
    return labels, [Cells(*found[m], everyone[m], order, rate=m == 1) for m in (0, 1)]


def _sums(w: World, code: np.ndarray, count: int) -> np.ndarray:
    """metric × (n, s, q) × cell × day."""
    at = code * DAYS + w.day
    n, s, q, e = (np.bincount(at, v, count * DAYS).reshape(count, DAYS) for v in (None, w.score, w.score**2, w.error))
    return np.array([[n, s, q], [n, e, e]])


def tiny(seed=0, *, cells=5, bins=BINS, rows=40, jump=0.0, at=14, sd=1.0, **about) -> Cells:
    """Disjoint cells of normal values; the first one moves by ``jump`` at bin ``at``."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rows, (cells, bins)).astype(float)
    mean = rng.normal(0, 0.3, (cells, 1)) + 0.2 * (np.arange(bins) % 7 > 4) + rng.normal(0, 0.1, bins)
    mean[0, at:] += jump
    s = n * mean + sd * np.sqrt(n) * rng.standard_normal((cells, bins))
    q = s**2 / np.maximum(n, 1) + sd**2 * rng.chisquare(np.maximum(n - 1, 1e-9))
    return disjoint(n, s, q, **about)


def disjoint(n, s, q, **about) -> Cells:
    """Cells of one attribute that make up all traffic."""
    n, s, q = (np.asarray(x, float) for x in (n, s, q))
    return Cells(n, s, q, np.stack([x.sum(axis=0) for x in (n, s, q)]), np.ones(len(n), int), **about)
