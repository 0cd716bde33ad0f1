"""Slices of traffic over time: counts, sums and sums of squares of one metric per cell and bin, beside those of all traffic.

A cell is a conjunction of attribute values; what the attributes are called is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

Overlap = Callable[[Sequence[int]], "Sequence[Cells]"]


@dataclass(frozen=True, eq=False)
class Cells:
    """One metric of C cells in T bins.

    ``n``, ``s``, ``q`` (C × T) are counts, sums and sums of squares of the rows that carry the metric (q = s for a rate);
    ``total`` (3 × T) the same of all traffic, every row once. ``order`` is the number of attributes of each cell, 0 for the one
    that is all traffic. ``rate`` says that values are 0 or 1; ``skew`` is the skewness of the values otherwise. ``period`` and
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

    def without(self, overlap: Cells) -> Cells:
        """The same cells with some traffic taken out; ``overlap`` is what each cell, and the total, has of it."""
        return replace(self, **{k: _left(getattr(self, k), getattr(overlap, k)) for k in ("n", "s", "q", "total")})

    def on(self, bins: np.ndarray) -> Cells:
        """The same cells with only the bins where ``bins`` is true; the others become empty."""
        keep = np.asarray(bins, bool)
        return replace(self, n=self.n * keep, s=self.s * keep, q=self.q * keep, total=self.total * keep)


def whole(cells: Cells) -> Cells:
    """The cells with all traffic as one more, of order 0, at the end."""
    n, s, q = (np.vstack([x, t]) for x, t in zip((cells.n, cells.s, cells.q), cells.total, strict=True))
    return replace(cells, n=n, s=s, q=q, order=np.append(cells.order, 0))


def shares(cells: Cells) -> Cells:
    """Each cell's share of the traffic as a rate: did the mix change."""
    n = np.broadcast_to(cells.total[0], cells.n.shape)
    everyone = np.vstack([cells.total[0]] * 3)
    return replace(cells, n=n, s=cells.n, q=cells.n, total=everyone, rate=True, skew=0.0)


def of_base(n, s, q, members, order, **about) -> tuple[Cells, Overlap]:
    """Cells and their overlaps from disjoint base cells (B × T) and who belongs to what (``members``: C × B, 0 or 1).

    The overlap, given some cells, is what each cell shares with the union of those; its ``total`` is that union.
    """
    n, s, q = (np.asarray(x, float) for x in (n, s, q))
    belongs = sparse.csr_matrix(members, dtype=float)

    def inside(mask: np.ndarray) -> Cells:
        kept = [x * mask[:, None] for x in (n, s, q)]
        return Cells(*(belongs @ x for x in kept), np.stack([x.sum(axis=0) for x in kept]), order, **about)

    def overlap(cells: Sequence[int]) -> list[Cells]:
        return [inside(np.asarray(belongs[list(cells)].max(axis=0).todense()).ravel())]

    return inside(np.ones(len(n))), overlap


def _left(all_of_it: np.ndarray, part: np.ndarray) -> np.ndarray:
    left = all_of_it - part
    return np.where(np.abs(left) <= 1e-9 * np.abs(all_of_it), 0.0, left)
