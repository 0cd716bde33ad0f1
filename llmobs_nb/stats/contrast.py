"""The arithmetic of a scan: cells put on one scale against the rest of traffic, and all contrasts of all cells in one pass.

Bins run along the first axis and cells (of all metrics side by side) along the second, so that every step of the running sums
is one operation on all cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .cells import Cells
from .series import Series

PRIOR_ROWS = 2.0
PRIOR_BINS = 6.0
LEAST = 8.0
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Standard:
    """Cells in units of their own row deviation, common shocks and rhythm taken out.

    ``w`` (T × C) is the weight of a bin (how many independent rows it is worth) and ``r`` weight times deviation from the cell's
    usual level at that place of the period; ``inverse`` (period × C) one over the weight of each place; ``lean`` the third
    cumulant of the deviations over 3 times their weight (a spike of the rest pulls the other way); ``scatter`` and ``df`` the
    weighted squares of the deviations and their degrees of freedom; ``spread`` the overdispersion that cells of this metric
    usually have; ``scale`` the row deviation; ``place`` each bin's place.
    """

    w: np.ndarray
    r: np.ndarray
    inverse: np.ndarray
    lean: np.ndarray
    scatter: np.ndarray
    df: np.ndarray
    spread: np.ndarray
    scale: np.ndarray
    place: np.ndarray

    def only(self, columns: np.ndarray) -> Standard:
        """Some of the cells."""
        parts = {k: getattr(self, k)[..., columns] for k in self.__annotations__ if k != "place"}
        return Standard(**parts, place=self.place)


class Best(NamedTuple):
    """Per cell: the largest squared z over the candidates less its handicap, its sign, where the candidate starts and stops."""

    value: np.ndarray
    sign: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def standardise(cells: Cells, *, shock: float = math.inf) -> Standard:
    """Put one metric's cells on one scale, each against the rest of traffic.

    ``shock`` is the variance of what all traffic shares from bin to bin (long-run, in squared units of the metric). The rest of
    traffic tells of it as well as its rows allow: with much rest or large shocks this is difference in differences (infinite:
    always), with little rest or none the cell stands alone and carries the shocks as variance. Shocks act in units of a
    row's deviation, so that a cheap slice is not corrected by the pennies of a dear one.
    """
    w, r, _, scale, lean = _against_the_rest(cells, shock)
    place = (np.arange(len(w)) + cells.phase) % cells.period
    weight = np.stack([w[place == k].sum(axis=0) for k in range(cells.period)])
    inverse = np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0)
    usual = np.stack([r[place == k].sum(axis=0) for k in range(cells.period)]) * inverse
    r = np.where(w > 0, r - w * usual[place], 0.0)
    scatter = np.divide(r * r, w, out=np.zeros_like(r), where=w > 0).sum(axis=0)
    df = (w > 0).sum(axis=0) - (weight > 0).sum(axis=0).astype(float)
    tried = df >= 5
    spread = max(1.0, float(np.median(scatter[tried] / df[tried]))) if tried.any() else 1.0
    return Standard(w, r, inverse, lean, scatter, df, np.full(len(scale), spread), scale, place)


def adjusted(cells: Cells, cell: int, *, shock: float = math.inf) -> Series:
    """One cell as a series: its levels net of what the rest of traffic did, rhythm left in; to date a change in."""
    one = replace(cells, n=cells.n[[cell]], s=cells.s[[cell]], q=cells.q[[cell]], order=cells.order[[cell]])
    w, r, mean, scale, _ = _against_the_rest(one, shock)
    w, r, full = w[:, 0], r[:, 0], w[:, 0] > 0
    level = np.divide(r, w, out=np.zeros_like(r), where=full) * scale[0] + mean[0]
    variance = np.divide(scale[0] ** 2, w, out=np.zeros_like(r), where=full)
    return Series(level, variance, np.where(full, one.n[0], 0), cells.period, cells.phase)


class _Net(NamedTuple):
    """Cells net of the rest: weights and weighted deviations (T × C); mean, row deviation and lean of each cell."""

    w: np.ndarray
    r: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    lean: np.ndarray


def _against_the_rest(cells: Cells, shock: float) -> _Net:
    total = np.broadcast_to(cells.total[:, None, :], (3, *cells.n.shape))
    rest = total - np.stack([cells.n, cells.s, cells.q])
    floor = _levels(*cells.total[:, None, :], 0.0)[1][0] ** 2
    mean, scale = _levels(cells.n, cells.s, cells.q, floor, cells.least)
    mean_r, scale_r = _levels(*rest, floor, cells.least)
    known = 1 / np.maximum(floor / shock + rest[0], 1e-300) if shock > 0 else np.zeros_like(cells.n)
    w = cells.n / (1 + cells.n * known)
    own = (cells.s - cells.n * mean[:, None]) / scale[:, None]
    others = (rest[1] - rest[0] * mean_r[:, None]) / scale_r[:, None] * known
    r = np.divide(own, cells.n, out=np.zeros_like(own), where=cells.n > 0) * w - w * others
    w[w < 1e-9] = 0.0
    skew, skew_r = ((1 - 2 * m) / k if cells.rate else cells.skew for m, k in ((mean, scale), (mean_r, scale_r)))
    lean = (skew * _third(w, cells.n) - skew_r * _third(w * known * rest[0], rest[0])) / np.maximum(w.sum(axis=1), 1e-300) / 3
    return _Net(w.T.copy(), r.T.copy(), mean, scale, lean)


def _third(w, n) -> np.ndarray:
    """Third cumulant of the sum over bins of w times a mean of n rows, in those of one row."""
    return (n * np.divide(w, n, out=np.zeros_like(w), where=n > 0) ** 3).sum(axis=1)


def _levels(n, s, q, floor: float, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and row deviation of each cell over all bins; a few rows' worth of the floor keeps tiny cells from looking exact.

    No variance is below ``least``.
    """
    n, s, q = (x.sum(axis=-1) for x in (n, s, q))
    mean = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
    scatter = np.maximum(q - mean * s, 0) + PRIOR_ROWS * floor
    variance = scatter / (np.maximum(n - 1, 0) + (PRIOR_ROWS if floor else 0)).clip(1e-300)
    variance = np.maximum(variance, least)
    return mean, np.sqrt(np.where(variance > 0, variance, 1.0))


def join(parts: Sequence[Standard]) -> Standard:
    """Metrics side by side; they must share their bins and period."""
    if len({(p.w.shape[0], len(p.inverse), int(p.place[0])) for p in parts}) != 1:
        raise ValueError("metrics searched together need the same bins, period and phase")
    columns = {k: np.concatenate([getattr(p, k) for p in parts], axis=-1) for k in Standard.__annotations__ if k != "place"}
    return Standard(**columns, place=parts[0].place)


def without(what: Standard, columns: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Standard:
    """The same with the fitted change between ``start`` and ``stop`` taken out of some columns; scatter and df follow."""
    part = fitted_out(what, columns, start, stop)
    r, scatter, df = what.r.copy(), what.scatter.copy(), what.df.copy()
    r[:, columns] = part
    scatter[columns], df[columns] = _scatter(what.w[:, columns], part), np.maximum(what.df[columns] - 1, 0)
    return replace(what, r=r, scatter=scatter, df=df)


def left_over(what: Standard, best: Best) -> np.ndarray:
    """Per cell: the scatter that is left when its best candidate is taken out, by least squares."""
    out = np.empty(what.w.shape[1])
    for here in _chunks(len(out)):
        columns = np.arange(here.start, here.stop)
        out[here] = _scatter(what.w[:, here], fitted_out(what, columns, best.start[here], best.stop[here]))
    return out


def fitted_out(what: Standard, columns: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The weighted deviations (T × columns) less the change between ``start`` and ``stop``, rhythm estimated in the same breath."""
    bins = np.arange(len(what.w))[:, None]
    inside = ((bins >= start) & (bins < stop)).astype(float)
    w, r = what.w[:, columns], what.r[:, columns]
    places = np.stack([(w * inside)[what.place == k].sum(axis=0) for k in range(len(what.inverse))]) * what.inverse[:, columns]
    centred = inside - places[what.place]
    info = (w * centred * inside).sum(axis=0)
    effect = np.divide((r * inside).sum(axis=0), info, out=np.zeros_like(info), where=info > 1e-9)
    return r - w * effect * centred


def _scatter(w: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.divide(r * r, w, out=np.zeros_like(r), where=w > 0).sum(axis=0)


def best_contrasts(what: Standard, candidates: Candidates) -> Best:
    """Per cell the best of: a step at each onset, a burst of each length at each onset (less its handicap)."""
    columns = what.w.shape[1]
    value, sign = np.zeros(columns), np.zeros(columns)
    start, stop = np.zeros(columns, int), np.full(columns, len(what.w))
    for here in _chunks(columns):
        for first, last, handicap, z2, sums in candidates.walk(_Columns.of(what, here)):
            better = np.flatnonzero(z2 - handicap > value[here])
            at = better + here.start
            value[at], sign[at] = z2[better] - handicap, np.sign(sums[better])
            start[at], stop[at] = first, last
    return Best(value, sign, start, stop)


def largest_contrasts(what: Standard, candidates: Candidates, orders: np.ndarray) -> Iterator[np.ndarray]:
    """Per order of the bins: what :func:`best_contrasts` calls ``value`` of every cell, with the bins in that order.

    Cells too small to be a candidate whatever the order are left out: their value is 0.
    """
    big = np.flatnonzero(what.w.sum(axis=0) >= 2 * LEAST)
    size, what = what.w.shape[1], what.only(big)
    parts = [_Columns.of(what, here) for here in _chunks(len(big))]
    for order in orders:
        out = np.zeros(size)
        value = [np.zeros(part.w.shape[1], part.w.dtype) for part in parts]
        for part, best in zip(parts, value, strict=True):
            for _, _, handicap, z2, _ in candidates.walk(part, order):
                np.maximum(best, z2 - handicap if handicap else z2, out=best)
        out[big] = np.concatenate(value) if value else 0.0
        yield out


class _Columns:
    """A run of columns in the precision and order of memory that the running sums like best."""

    def __init__(self, w, r, inverse, lean, place) -> None:
        self.w, self.r, self.place, self.inverse = w, r, place, inverse
        part = w * inverse[place]
        self.own, self.shared = w - w * part, 2 * part
        self.lean = lean if lean.any() else None
        self.lean_slope = 2 * lean / np.maximum(w.sum(axis=0), 1e-30)

    @classmethod
    def of(cls, what: Standard, here: slice) -> _Columns:
        small = len(what.w) <= 100 and float(what.w.sum(axis=0).max(initial=0.0)) < 1e5
        parts = (what.w, what.r, what.inverse, what.lean)
        return cls(*(np.ascontiguousarray(x[..., here], np.float32 if small else float) for x in parts), what.place)

    def z2(self, sums, info, weight) -> np.ndarray:
        """Squared z. The third cumulant corrects the tail: for counts the result is close to twice Poisson's deviance."""
        width = info
        if self.lean is not None:
            width = self.lean - weight * self.lean_slope
            width *= sums
            width += info
            np.maximum(width, 0.5 * info, out=width)
        out = sums * sums
        out /= np.maximum(width, 1e-6)
        out *= info >= LEAST
        return out


class Candidates(NamedTuple):
    """Steps at ``onsets`` (unless told not) and bursts of ``lengths`` from them on; a burst's squared z counts ``handicap`` less."""

    onsets: Sequence[int]
    lengths: Sequence[int] = ()
    handicap: float = 0.0
    steps: bool = True

    def walk(self, columns: _Columns, order: np.ndarray | None = None) -> Iterator[tuple]:
        """(start, stop, handicap, z2, sums) of every candidate, all columns at once."""
        bins = len(columns.w)
        order, wanted = np.arange(bins) if order is None else order, set(self.onsets)
        if self.steps:
            yield from _steps(columns, order, wanted)
        for length in self.lengths:
            for candidate in _bursts(columns, order, wanted, length):
                yield *candidate[:2], self.handicap, *candidate[2:]


def _chunks(columns: int) -> Iterator[slice]:
    return (slice(low, min(low + CHUNK, columns)) for low in range(0, columns, CHUNK))


def _steps(c: _Columns, order, wanted) -> Iterator[tuple]:
    """Steps at every wanted bin, from the last bin backwards, by running sums."""
    weight, sums, info = (np.zeros(c.w.shape[1], c.w.dtype) for _ in range(3))
    seen = np.zeros_like(c.inverse)
    for t in range(len(c.w) - 1, 0, -1):
        at = order[t]
        there = seen[c.place[at]]
        info += c.own[at]
        info -= there * c.shared[at]
        there += c.w[at]
        weight += c.w[at]
        sums += c.r[at]
        if t in wanted:
            yield t, len(c.w), 0.0, c.z2(sums, info, weight), sums


def _bursts(c: _Columns, order, wanted, length: int) -> Iterator[tuple]:
    """Bursts of one length at every wanted bin: running sums over a moving window."""
    weight, sums, info = (np.zeros(c.w.shape[1], c.w.dtype) for _ in range(3))
    seen = np.zeros_like(c.inverse)
    for t in range(len(c.w) - 1):
        if t >= length:
            gone = order[t - length]
            there = seen[c.place[gone]]
            there -= c.w[gone]
            info -= c.own[gone]
            info += there * c.shared[gone]
            weight -= c.w[gone]
            sums -= c.r[gone]
        at = order[t]
        there = seen[c.place[at]]
        info += c.own[at]
        info -= there * c.shared[at]
        there += c.w[at]
        weight += c.w[at]
        sums += c.r[at]
        if t - length + 1 in wanted:
            yield t - length + 1, t + 1, c.z2(sums, info, weight), sums
