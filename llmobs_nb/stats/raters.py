"""Krippendorff's alpha of any number of raters, each of whom may have left units out; with an interval.

Exact (Krippendorff 2011): the disagreement of all pairs of values within units, by that of all pairs of values whatsoever. Both
are functions of the coincidence matrix, which adds up over units, so the jackknife takes matrices away and never reads rows again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .agreement import MOST_CATEGORIES
from .estimate import Estimate
from .intervals import wilson
from .jackknife import CHUNK, Parts, fisher, spread

METRICS = ("nominal", "ordinal", "interval", "ratio")


def alpha(units, values, *, metric: str = "nominal", clusters=None, level: float = 0.95) -> Estimate:
    """Alpha of ratings in long form: what ``values`` were given to which of ``units``, by whomever; n counts units with two or more.

    ``metric`` is nominal, ordinal (categories in their sorted order), interval or ratio (both of numbers). Missing values are left
    out, and units with one value. ``clusters`` holds the cluster of each rating's unit; by default every unit is its own. Refused
    without two such units, and where everybody says one and the same thing of everything. Where no two values of a unit differ,
    the lower limit is that of the share of units which agree.
    """
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} is not known; choose one of: {', '.join(METRICS)}")
    units, values = np.asarray(units), np.asarray(values)
    there = (
        np.isfinite(values) if values.dtype.kind in "fiu" else np.array([v is not None and v == v for v in values.tolist()], bool)
    )
    units, values = units[there], values[there]
    clusters = units if clusters is None else np.asarray(clusters)[there]
    _, of_unit, size = np.unique(units, return_inverse=True, return_counts=True) if len(units) else (units, units, units)
    keep = size[of_unit] > 1 if len(units) else np.zeros(0, bool)
    n = int((size > 1).sum()) if len(units) else 0
    if n < 2:
        return Estimate.refused("fewer than 2 units with two values", n=n, level=level)
    if metric in ("interval", "ratio") and values.dtype.kind not in "fiu":
        return Estimate.refused(f"labels are no numbers: no {metric} distance", n=n, level=level)
    _, first, code = np.unique(of_unit[keep], return_index=True, return_inverse=True)
    if metric == "interval":
        return _of_moments(values[keep].astype(float), code, clusters[keep][first], n, level)
    seen, value = np.unique(values[keep], return_inverse=True)
    if len(seen) > MOST_CATEGORIES:
        return Estimate.refused(
            f"{len(seen)} distinct values: cut them into at most {MOST_CATEGORIES} categories first", n=n, level=level
        )
    return _of_matrix(_counts(code, value, n, len(seen)), clusters[keep][first], seen, metric, level)


def _counts(unit: np.ndarray, value: np.ndarray, n: int, k: int) -> np.ndarray:
    return np.bincount(unit * k + value, minlength=n * k).reshape(n, k).astype(float)


def _of_matrix(counts: np.ndarray, clusters: np.ndarray, seen: np.ndarray, metric: str, level: float) -> Estimate:
    n, k = counts.shape
    total = sum(part.sums.sum(axis=0) for part in _parts(counts, clusters))

    def disagreement(sums):
        o = sums.reshape(-1, k, k)
        used = o.sum(axis=2)
        apart, all_ = _apart(metric, seen, used), used.sum(axis=1)
        observed = (o * apart).sum(axis=(1, 2)) / all_
        return observed, np.einsum("pi,pij,pj->p", used, np.broadcast_to(apart, o.shape), used) / (all_ * (all_ - 1))

    observed, expected = (float(x[0]) for x in disagreement(total[None]))
    if expected <= 1e-12:
        return Estimate.refused(
            "everybody says one and the same thing of everything: no agreement beyond chance is defined", n=n, level=level
        )
    if observed <= 1e-12:
        independent = len(np.unique(clusters))
        least = wilson(independent, independent, level=level).ci_low
        return Estimate(1.0, max(1 - (1 - least) / expected, -1.0), 1.0, n, level)

    def statistic(sums):
        with np.errstate(all="ignore"):
            do, de = disagreement(sums)
            return np.where(de > 1e-12, 1 - do / de, np.nan)

    return fisher(1 - observed / expected, spread(_parts(counts, clusters), total, statistic), n=n, level=level)


def _parts(counts: np.ndarray, clusters: np.ndarray) -> Iterator[Parts]:
    """Coincidence matrices of clusters, flat, some at a time: of a unit with m values each pair counts 1 / (m - 1)."""
    n, k = counts.shape
    _, code = np.unique(clusters, return_inverse=True)
    order = np.argsort(code, kind="stable")
    code, counts = code[order], counts[order]
    bounds = np.searchsorted(code, np.arange(0, code[-1] + 1, max(CHUNK // (k * k), 1)))
    for low, high in zip(bounds, [*bounds[1:], n], strict=True):
        c, inside = counts[low:high], code[low:high]
        o = c[:, :, None] * c[:, None, :]
        o[:, np.arange(k), np.arange(k)] -= c
        o /= (c.sum(axis=1) - 1)[:, None, None]
        starts = np.flatnonzero(np.r_[True, inside[1:] != inside[:-1]])
        sums = np.add.reduceat(o.reshape(len(c), k * k), starts, axis=0)
        yield Parts(sums, np.ones(len(sums)), np.add.reduceat(c.sum(axis=1), starts))


def _apart(metric: str, seen: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Squared distances of categories, (1 or P) x K x K."""
    if metric == "nominal":
        return (1 - np.eye(len(seen)))[None]
    if metric == "ordinal":
        middle = used.cumsum(axis=1) - used / 2
        return (middle[:, :, None] - middle[:, None, :]) ** 2
    value = seen.astype(float)
    total = np.add.outer(value, value)
    return (np.divide(np.subtract.outer(value, value), total, out=np.zeros_like(total), where=total != 0) ** 2)[None]


def _of_moments(value: np.ndarray, unit: np.ndarray, clusters: np.ndarray, n: int, level: float) -> Estimate:
    """Squared differences need sums only, however many distinct values there are."""
    value = value - value.mean()  # differences alone matter; large offsets would drown them
    m, x, xx = (np.bincount(unit, w) for w in (np.ones(len(value)), value, value**2))
    columns = np.stack([m, x, xx, 2 * (m * xx - x**2) / (m - 1)], axis=1)
    _, code = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(code, c) for c in columns.T], axis=1)
    total = sums.sum(axis=0)

    def statistic(s):
        m, x, xx, within = s.T
        with np.errstate(all="ignore"):
            chance = 2 * (m * xx - x**2) / (m * (m - 1))
            return np.where(chance > 1e-12, 1 - within / m / chance, np.nan)

    whole = float(statistic(total[None])[0])
    return fisher(whole, spread([Parts(sums, np.ones(len(sums)), sums[:, 0])], total, statistic), n=n, level=level)
