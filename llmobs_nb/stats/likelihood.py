"""The largest likelihood of counts: what two slices gain over one is a difference of three of these."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

EDGE = 1e-9


def binomial_fit(k: ArrayLike, n: ArrayLike) -> np.ndarray:
    """The log likelihood of ``k`` of ``n`` at its own share k / n, without the binomial coefficient; elementwise.

    Only differences over the same rows mean anything: there the coefficients cancel. 0 where n is 0. A share of none or all is
    taken as 1e-9 away from the edge, so that the result is always finite.
    """
    k, n = np.asarray(k, float), np.asarray(n, float)
    p = np.clip(np.divide(k, n, out=np.zeros_like(k), where=n > 0), EDGE, 1 - EDGE)
    return k * np.log(p) + (n - k) * np.log1p(-p)
