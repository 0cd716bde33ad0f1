"""What the engine gives for one rule: sums by bin of time and by value of the split; any window is a difference of two of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from .metrics import Measure

# Buckets of a quantile are 1 % wide.
BUCKET = 0.01


class Level(NamedTuple):
    """n and level of each by-value in one window; the level is NaN where it has none."""

    n: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, eq=False)
class Sums:
    """K by-values (one without a split) by T bins.

    ``begin`` is when the first bin begins. ``keys`` are the values of the split, the most frequent first; ``left`` how many others there are; ``first`` the bin of the
    first trace in reach of any rule: before it nothing is known. ``missing`` says why there is nothing to look at.
    """

    measure: Measure
    begin: datetime
    keys: tuple[tuple[str, ...], ...]
    bins: int
    first: int = 0
    left: int = 0
    missing: str | None = None

    def over(self, low: int, high: int) -> Level:
        """The level of the bins from low up to, without, high."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Moments(Sums):
    """Counts, sums and sums of squares, and those of logarithms (of what is positive): 6 x K x (T + 1), running totals."""

    running: np.ndarray = field(default_factory=lambda: np.zeros((6, 1, 1)))

    def over(self, low: int, high: int) -> Level:
        n, s = self.running[:2, :, high] - self.running[:2, :, low]
        if self.measure.kind == "total":
            return Level(n, n if self.measure.metric is None else s)
        return Level(n, np.divide(s, n, out=np.full_like(s, np.nan), where=n > 0))

    def blocks(self, high: int, width: int, every: int, count: int, *, logs: bool) -> np.ndarray:
        """n, s, q (3 x K x count) of ``count`` blocks of ``width`` bins, the last one ending at ``high``; those before the data are empty."""
        ends = high - every * np.arange(count)[::-1]
        picked = self.running[3:] if logs else self.running[:3]
        return picked[:, :, np.maximum(ends, 0)] - picked[:, :, np.maximum(ends - width, 0)]


@dataclass(frozen=True, eq=False)
class Buckets(Sums):
    """Rows by bin, by-value and code (a bucket of a quantile, a counted value, a new thing), in the order of bins.

    ``names`` are the values behind the codes of events.
    """

    bin: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    key: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    code: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    count: np.ndarray = field(default_factory=lambda: np.zeros(0))
    names: tuple[str, ...] = ()

    def table(self, low: int, high: int) -> np.ndarray:
        """Counts by by-value and code (K x codes) in the window."""
        a, b = np.searchsorted(self.bin, (max(low, 0), high))
        codes = int(self.code.max()) + 1 if len(self.code) else 1
        flat = np.bincount(self.key[a:b] * codes + self.code[a:b], self.count[a:b], len(self.keys) * codes)
        return flat.reshape(len(self.keys), codes)

    def over(self, low: int, high: int) -> Level:
        found = self.table(low, high)
        n = found.sum(axis=1)
        if self.measure.kind == "distinct":
            return Level(n, (found > 0).sum(axis=1).astype(float))
        return Level(n, np.array([quantile(row, self.measure.p) for row in found]))

    def beyond(self, code: int, key: int, high: int, width: int, every: int, count: int) -> np.ndarray:
        """n and rows above a code (2 x count) of blocks, as :meth:`Moments.blocks`."""
        begin = high - every * count
        a, b = np.searchsorted(self.bin, (max(begin, 0), high))
        block, within = np.divmod(self.bin[a:b] - begin, every)
        mine = (self.key[a:b] == key) & (within >= every - width)
        above = mine & (self.code[a:b] > code)
        rows = self.count[a:b]
        return np.array([np.bincount(block[some], rows[some], count) for some in (mine, above)])


def quantile(counts: np.ndarray, p: float) -> float:
    """The p quantile of bucket counts: the middle of its bucket on the log scale, within 0.5 % of the value; NaN of nothing.

    Bucket 0 holds what is not positive.
    """
    place = bucket_of(counts, p)
    return float("nan") if place is None else value_of(place)


def bucket_of(counts: np.ndarray, p: float) -> int | None:
    """The bucket that holds the p quantile."""
    total = counts.sum()
    if not total:
        return None
    return int(np.searchsorted(np.cumsum(counts), max(p * total, 0.5) - 1e-9))


def value_of(bucket: int) -> float:
    """The middle of a bucket; see reduce.py for where buckets begin."""
    return 0.0 if bucket == 0 else float(np.exp((bucket - ORIGIN + 0.5) * BUCKET))


# The bucket of the value 1; values down to e^-21 (nano-dollars) have one of their own.
ORIGIN = 2100
