"""A metric over time: one level per bin (day or hour) with the variance that sampling alone gives it, and its rhythm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DAILY, HOURLY = 7, 168


@dataclass(frozen=True, eq=False)
class Series:
    """Levels of T bins in time order.

    ``level`` and ``variance`` (sampling variance of the level) are of length T, ``n`` is how many rows a bin holds; where it
    is 0 the bin is empty and its level is not looked at. ``period`` says how many bins make one turn of the rhythm: 7 for days,
    168 for hours of the week, 1 for none; ``phase`` is the place of the first bin in it (0 = Monday, midnight).
    """

    level: np.ndarray
    variance: np.ndarray
    n: np.ndarray
    period: int = DAILY
    phase: int = 0

    def __post_init__(self) -> None:
        for name in ("level", "variance", "n"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), float))
        shapes = {name: getattr(self, name).shape for name in ("level", "variance", "n")}
        if len(set(shapes.values())) > 1 or self.level.ndim != 1:
            raise ValueError(f"level, variance and n must be of one length: {shapes}")
        full = self.present
        if not (np.isfinite(self.level[full]).all() and (self.variance[full] >= 0).all()):
            raise ValueError("a bin with rows has no finite level or a negative variance")
        if self.period < 1:
            raise ValueError(f"period={self.period!r}: give 7 for days, 168 for hours, 1 for no rhythm")

    @property
    def present(self) -> np.ndarray:
        """Which bins hold rows."""
        return self.n > 0

    def __len__(self) -> int:
        return len(self.level)


def of_sums(n, s, q, *, period: int = DAILY, phase: int = 0) -> Series:
    """Series of means from counts, sums and sums of squares per bin (for a rate q = s).

    The row variance is pooled within bins, so a step or the rhythm does not enter it; where no bin holds two rows it is that
    of all rows together.
    """
    n, s, q = (np.asarray(x, float) for x in (n, s, q))
    level = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
    return Series(level, np.divide(row_variance(n, s, q), n, out=np.zeros_like(s), where=n > 0), n, period, phase)


def row_variance(n, s, q) -> float:
    """Variance of rows around the mean of their bin, pooled over bins; of all rows together where no bin holds two."""
    scatter = np.maximum(q - np.divide(s * s, n, out=np.zeros_like(s), where=n > 0), 0)
    df = float(np.maximum(n - 1, 0).sum())
    if df > 0:
        return float(scatter[n > 1].sum()) / df
    total = float(n.sum())
    return max(float(q.sum()) - float(s.sum()) ** 2 / total, 0.0) / (total - 1) if total > 1 else 0.0


def rhythm(length: int, period: int, phase: int = 0) -> np.ndarray:
    """Design matrix (length × columns) of the rhythm: one level per place in the period.

    Hours of a week are told apart by hour and by weekday or weekend (48 levels, not 168: eight weeks hold each hour of the
    week eight times only).
    """
    place = (np.arange(length) + phase) % period
    if period == HOURLY:
        place = place % 24 + 24 * (place // 24 >= 5)
    return (place[:, None] == np.unique(place)[None, :]).astype(float)
