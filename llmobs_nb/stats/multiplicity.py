"""Many questions at once: adjusted p values. Missing ones (refused questions) stay missing and are not counted."""

from __future__ import annotations

import numpy as np


def benjamini_hochberg(p) -> np.ndarray:
    """q values: reject q < alpha and the expected share of false discoveries stays below alpha (Benjamini, Hochberg 1995)."""
    return _adjust(p, _up)


def weighted_benjamini_hochberg(p, weights) -> np.ndarray:
    """q values where some questions were given more weight before the data were seen (Genovese, Roeder and Wasserman 2006).

    The weights of the questions asked are scaled to a mean of 1, so that the error over all of them stays what it is without
    weights: a heavy question is answered sooner, the light ones pay for it. A weight that is not above 0 raises ValueError.
    """
    p, weights = (np.array([np.nan if v is None else v for v in values], float) for values in (p, weights))
    if len(p) != len(weights):
        raise ValueError(f"{len(p)} p values against {len(weights)} weights: each question has one of both")
    if not (weights > 0).all():
        raise ValueError(f"weights={weights.tolist()!r} holds values that are not above 0")
    _check(p)
    asked = ~np.isnan(p)
    scaled = weights / weights[asked].mean() if asked.any() else weights
    return np.minimum(_stepped(p / scaled, _up), 1.0)


def holm(p) -> np.ndarray:
    """Adjusted p: reject below alpha and the chance of any false rejection stays below alpha (Holm 1979)."""
    return _adjust(p, lambda sorted_p, k: np.maximum.accumulate(sorted_p * (len(k) - k + 1)))


def _up(sorted_p: np.ndarray, k: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate((sorted_p * len(k) / k)[::-1])[::-1]


def _adjust(p, rule) -> np.ndarray:
    p = np.array([np.nan if v is None else v for v in p], float)
    _check(p)
    return np.minimum(_stepped(p, rule), 1.0)


def _check(p: np.ndarray) -> None:
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p={p[~np.isnan(p)].tolist()!r} holds values outside 0 to 1")


def _stepped(p: np.ndarray, rule) -> np.ndarray:
    """The rule along the sorted values that are there."""
    out, asked = p.copy(), np.flatnonzero(~np.isnan(p))
    order = asked[np.argsort(p[asked], kind="stable")]
    if len(order):
        out[order] = rule(p[order], np.arange(1, len(order) + 1))
    return out
