"""Sufficient statistics of a ratio of sums over clusters: six numbers, which add up over disjoint sets of clusters.

A mean is the ratio with n = how many values the cluster holds; a rate the same with 0/1 values; cost per request has
x = dollars and n = requests. An engine can compute them by SQL, so rows need not travel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Over ``m`` clusters with totals x and n each: sums of n, x, x², n² and x·n."""

    m: float
    n: float
    x: float
    xx: float
    nn: float
    xn: float

    @property
    def ratio(self) -> float:
        """Sum of x over sum of n."""
        return self.x / self.n

    @property
    def scatter(self) -> float:
        """Sum over clusters of (x - ratio · n)²; rounding dust is 0."""
        r = self.ratio
        out = self.xx - 2 * r * self.xn + r * r * self.nn
        return out if out > 1e-12 * max(self.xx, r * r * self.nn) else 0.0


NOTHING = Moments(0, 0, 0, 0, 0, 0)


def add(parts: Iterable[Moments]) -> Moments:
    """The moments of the union of disjoint sets of clusters."""
    return Moments(*map(float, np.sum([NOTHING, *parts], axis=0)))


def moments(x, *, n=None, clusters=None) -> Moments:
    """Moments from rows; ``n`` is 1 a row by default, ``clusters`` every row its own. Rows with x or n missing are left out."""
    x = np.asarray(x, float)
    n = np.ones(len(x)) if n is None else np.asarray(n, float)
    keep = np.isfinite(x) & np.isfinite(n)
    if clusters is not None:
        _, code = np.unique(np.asarray(clusters)[keep], return_inverse=True)
        x, n = np.bincount(code, x[keep]), np.bincount(code, n[keep])
    else:
        x, n = x[keep], n[keep]
    return Moments(float(len(x)), float(n.sum()), float(x.sum()), float(x @ x), float(n @ n), float(x @ n))
