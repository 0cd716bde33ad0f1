"""Many questions at once: adjusted p values. Missing ones (refused questions) stay missing and are not counted."""

from __future__ import annotations

import numpy as np


def benjamini_hochberg(p) -> np.ndarray:
    """q values: reject q < alpha and the expected share of false discoveries stays below alpha (Benjamini, Hochberg 1995)."""
    return _adjust(p, lambda sorted_p, k: np.minimum.accumulate((sorted_p * len(k) / k)[::-1])[::-1])


def holm(p) -> np.ndarray:
    """Adjusted p: reject below alpha and the chance of any false rejection stays below alpha (Holm 1979)."""
    return _adjust(p, lambda sorted_p, k: np.maximum.accumulate(sorted_p * (len(k) - k + 1)))


def _adjust(p, rule) -> np.ndarray:
    p = np.array([np.nan if v is None else v for v in p], float)
    asked = np.flatnonzero(~np.isnan(p))
    if ((p[asked] < 0) | (p[asked] > 1)).any():
        raise ValueError(f"p={p[asked].tolist()!r} holds values outside 0 to 1")
    order = asked[np.argsort(p[asked], kind="stable")]
    if len(order):
        p[order] = np.minimum(rule(p[order], np.arange(1, len(order) + 1)), 1.0)
    return p
