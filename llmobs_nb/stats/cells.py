"""Slices of traffic over time: counts, sums and sums of squares of one metric per cell and bin, beside those of all traffic.

A cell is a conjunction of attribute values; what the attributes are called is the caller's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Cells:
    """One metric of C cells in T bins.

    ``n``, ``s``, ``q`` (C × T) are counts, sums and sums of squares of the rows that carry the metric (q = s for a rate);
    ``total`` (3 × T) the same of all traffic, every row once. ``order`` is the number of attributes of each cell, 0 for the one
    that is all traffic. ``rate`` says that values are 0 or 1; ``skew`` is the skewness of the values otherwise, ``least``
    the least variance that rows of a cell are taken to have: where nearly all are alike, one that is not would be a change. ``period`` and
    ``phase`` as in :class:`~llmobs_nb.stats.series.Series`. An empty cell or bin holds zeros.
    """

    n: np.ndarray
    s: np.ndarray
    q: np.ndarray
    total: np.ndarray
    order: np.ndarray
    rate: bool = False
    skew: float = 0.0
    period: int = 7
    phase: int = 0
    least: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n", "s", "q", "total"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), float))
        object.__setattr__(self, "order", np.asarray(self.order, int))
        shape = self.n.shape
        if len(shape) != 2 or self.s.shape != shape or self.q.shape != shape:
            raise ValueError(f"n, s, q must be cells × bins alike: {shape}, {self.s.shape}, {self.q.shape}")
        if self.total.shape != (3, shape[1]) or self.order.shape != (shape[0],):
            raise ValueError(
                f"total is {self.total.shape}, order {self.order.shape}; {(3, shape[1])} and {(shape[0],)} belong to it"
            )
        if self.period < 1:
            raise ValueError(f"period={self.period!r}: give 7 for days, 168 for hours, 1 for no rhythm")
        if not all(np.isfinite(getattr(self, name)).all() for name in ("n", "s", "q", "total")):
            raise ValueError("n, s, q and total must be numbers: leave missing values out of the sums")
        if (self.n < 0).any() or (self.n > self.total[0] * (1 + 1e-9)).any():
            raise ValueError("a cell holds fewer than 0 rows, or more than all traffic")

    def __len__(self) -> int:
        return len(self.n)

    def on(self, bins: np.ndarray) -> Cells:
        """The same cells with only the bins where ``bins`` is true; the others become empty."""
        keep = np.asarray(bins, bool)
        return replace(self, n=self.n * keep, s=self.s * keep, q=self.q * keep, total=self.total * keep)


def whole(cells: Cells) -> Cells:
    """The cells with all traffic as one more, of order 0, at the end."""
    n, s, q = (np.vstack([x, t]) for x, t in zip((cells.n, cells.s, cells.q), cells.total, strict=True))
    return replace(cells, n=n, s=s, q=q, order=np.append(cells.order, 0))
