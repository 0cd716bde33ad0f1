"""What an hour or a day usually sums to, by weekday and hour, and how far above it a sum lies: for sums that are lumpy and mostly small.

The usual sum is a slowly moving level times a rhythm. Scatter around it is that of a gamma distribution with variance
a * usual + b * usual squared (few and unequal requests; busy days); its tail probability is told as a z. Where the tail of a scope's own
history is heavier than that, its z are scaled down to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc, ndtri

HOURS = 24
FORGET = 0.9
# A scope is judged when it had sums on so many of the last days.
LEAST_DAYS, RECENT_DAYS = 7, 28
# A scope's rhythm weighs as much as that of the whole when it holds so many days of usual traffic.
SHRINK = 14.0
CLIP_AT = 0.98
# No hour is thought to be quieter than this part of the scope's mean hour.
LEAST_USUAL = 0.02
TAILS = (0.95, 0.99)
# Variance of busy and idle days, in parts of the usual squared.
BUSY = (0.01, 0.2)
# What departs is at least so many times the usual and so many times the scope's high sums.
LEAST_FACTOR = 1.6
HIGH, HIGH_FACTOR = 0.99, 2.5


class Calendar(NamedTuple):
    """Bins in the order of time: the ``day`` each belongs to (0, 1, …), its ``weekday`` (0 Monday) and ``hour``, how much of it has ``gone`` (0 to 1)."""

    day: np.ndarray
    weekday: np.ndarray
    hour: np.ndarray
    gone: np.ndarray


class Departures(NamedTuple):
    """The ``usual`` sums and the ``z`` above them (K x T); NaN where too little is known of a scope at that time."""

    usual: np.ndarray
    z: np.ndarray


def profile(y: np.ndarray, weekday: np.ndarray, hour: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """How a day's sum is shared among its hours, on workdays and at weekends (K x 2 x 24, adding up to 1), shrunk to the ``prior``.

    Without a prior both kinds of days are shrunk to their mean; an even day where nothing was summed.
    """
    weekend = (weekday >= 5).astype(int)
    sums = np.zeros((len(y), 2, HOURS))
    np.add.at(sums, (slice(None), weekend, hour), y)
    if prior is None:
        both = sums.sum(axis=(1, 2))[:, None, None]
        whole = np.divide(sums.sum(axis=1, keepdims=True), both, out=np.full((len(y), 1, HOURS), 1 / HOURS), where=both > 0)
        prior = np.broadcast_to(whole, sums.shape)
    days = np.maximum(np.bincount(weekend, minlength=2) / HOURS, 1.0)[None, :, None]
    usual = sums.sum(axis=2, keepdims=True) / days
    weight = np.where(usual > 0, SHRINK / 7 * usual, 1.0)
    mixed = sums + weight * prior
    return mixed / mixed.sum(axis=2, keepdims=True)


def departures(y: np.ndarray, calendar: Calendar, *, looks: Sequence[int] = (1,)) -> Departures:
    """How far each sum of each scope lies above its usual one; ``y`` is K x T, the first scope the whole. Only what came before a day
    makes its level (of the first week: the days around it); NaN before a scope had sums on seven of the last 28 days. A bin's z is the largest of the ``looks`` (so many bins in a row) that
    hold it and to which it adds more than is usual."""
    calm = np.minimum(y, _high(y)[:, None])
    usual = _level(calm, calendar) * _rhythm(calm, calendar) * calendar.gone
    known = np.isfinite(usual)
    mean = np.where(known, usual, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    usual = np.maximum(usual, LEAST_USUAL * mean[:, None])
    z = np.full(y.shape, np.nan)
    for look in looks:
        if look <= y.shape[1]:
            z = np.fmax(z, np.where((look == 1) | (y > LEAST_FACTOR * usual), _spread(_looked(y, usual, look), look), np.nan))
    return Departures(usual, z)


def _looked(y: np.ndarray, usual: np.ndarray, look: int) -> np.ndarray:
    """z of so many bins in a row (K x T + 1 - look); at most 0 for what is not much above the usual and the scope's high sums."""
    y, usual = (np.lib.stride_tricks.sliding_window_view(v, look, axis=1).sum(axis=2) for v in (y, usual))
    z = _scaled(_z(y, usual, *_scatter(y, usual)))
    least = LEAST_FACTOR * usual
    if _enough(y.shape[1], HIGH):
        least = np.maximum(least, HIGH_FACTOR * np.quantile(y, HIGH, axis=1)[:, None])
    return np.where(y >= least, z, np.minimum(z, 0.0))


def _enough(count: int, quantile: float) -> bool:
    """Whether so many bins hold three beyond the quantile, so that one loud one does not make it."""
    return count * (1 - quantile) >= 3


def _spread(z: np.ndarray, look: int) -> np.ndarray:
    """Each bin's largest z of the looks that hold it."""
    padded = np.pad(z, ((0, 0), (look - 1, look - 1)), constant_values=np.nan)
    return np.fmax.reduce(np.lib.stride_tricks.sliding_window_view(padded, look, axis=1), axis=2)


def _high(y: np.ndarray) -> np.ndarray:
    """Sums above this are drawn in before anything is learnt from them: a high quantile of the hours with any."""
    out = np.zeros(len(y))
    for k, row in enumerate(y):
        some = row[row > 0]
        out[k] = np.quantile(some, CLIP_AT) if len(some) else 0.0
    return out


def _rhythm(y: np.ndarray, c: Calendar) -> np.ndarray:
    """The bins' parts of an average day (K x T)."""
    prior = profile(y[:1], c.weekday, c.hour)
    hours = profile(y, c.weekday, c.hour, prior) if c.hour.any() else np.ones((len(y), 2, HOURS))
    return _weekdays(y, c)[:, c.weekday] * hours[:, (c.weekday >= 5).astype(int), c.hour]


def _weekdays(y: np.ndarray, c: Calendar) -> np.ndarray:
    """Factors of weekdays (K x 7), shrunk to those of the whole, and these to 1."""
    sums = np.zeros((len(y), 7))
    np.add.at(sums, (slice(None), c.weekday), y)
    per_day = np.maximum(np.bincount(c.weekday, c.gone, 7) / (np.bincount(c.day).max() or 1), 1e-9)
    mean = np.maximum(sums.sum(axis=1, keepdims=True) / per_day.sum(), 1e-300)
    whole = (sums[:1] / mean[:1] + 1.0) / (per_day + 1.0)
    return (sums / mean + SHRINK / 7 * whole) / (per_day + SHRINK / 7)


def _level(y: np.ndarray, c: Calendar) -> np.ndarray:
    """The average day's sum at each bin (K x T), from the days before it since the scope was first seen."""
    days = int(c.day.max()) + 1
    sums, exposed = np.zeros((len(y), days)), np.zeros((len(y), days))
    np.add.at(sums, (slice(None), c.day), y)
    np.add.at(exposed, (slice(None), c.day), _rhythm(y, c) * c.gone)
    first = np.where((sums > 0).any(axis=1), (sums > 0).argmax(axis=1), days)
    exposed *= np.arange(days)[None, :] > first[:, None] - (first == 0)[:, None]
    sums = np.where(exposed > 0, sums, 0.0)
    gap = np.arange(days)[:, None] - np.arange(days)[None, :]
    weights = np.where(gap > 0, FORGET ** np.abs(gap), 0.0)
    early = np.arange(days) < LEAST_DAYS
    weights[early] = np.where(gap[early] != 0, FORGET ** np.abs(gap[early]), 0.0)
    behind = (sums > 0).astype(float) @ (weights >= FORGET**RECENT_DAYS).T
    level = np.divide(sums @ weights.T, exposed @ weights.T, out=np.full_like(sums, np.nan), where=behind >= LEAST_DAYS)
    return level[:, c.day]


def _scatter(y: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a and b of the variance a * usual + b * usual², by weighted least squares on squared errors, large ones drawn in.

    b stays within ``BUSY``: what scatters more than that scatters because requests are few, and less of it where they are many.
    """
    known = np.isfinite(usual)
    m = np.where(known, usual, 0.0)
    errors = np.where(known, (y - m) ** 2, 0.0)
    # From below, so that one large error does not make itself usual.
    a = 0.02 * np.divide(errors.sum(axis=1), m.sum(axis=1), out=np.ones(len(y)), where=m.sum(axis=1) > 0)
    b = np.full(len(y), BUSY[0])
    for _ in range(8):
        v = np.where(m > 0, a[:, None] * m + b[:, None] * m**2, 1.0)
        calm, weight = np.minimum(errors, 16 * v), np.where(m > 0, 1 / v**2, 0.0)
        aa, ab, bb = ((weight * m**p).sum(axis=1) for p in (2, 3, 4))
        ya, yb = ((weight * calm * m**p).sum(axis=1) for p in (1, 2))
        det = aa * bb - ab**2
        # Where all sums are alike, a and b cannot be told apart: b is at most what it is without any a.
        most = np.clip(np.divide(yb, bb, out=np.zeros_like(yb), where=bb > 0), *BUSY)
        b = np.clip(np.divide(aa * yb - ab * ya, det, out=np.zeros_like(det), where=det > 0), BUSY[0], most)
        a = np.maximum(np.divide(ya - b * ab, aa, out=np.zeros_like(ya), where=aa > 0), 1e-12)
    return a, b


def _z(y: np.ndarray, usual: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    known = np.isfinite(usual) & (usual > 0)
    m = np.where(known, usual, 1.0)
    v = a[:, None] * m + b[:, None] * m**2
    p = gammaincc(m * m / v, y * m / v)
    return np.where(known, -ndtri(np.clip(p, 1e-300, 1 - 1e-12)), np.nan)


def _scaled(z: np.ndarray) -> np.ndarray:
    """z over what the scope's own history makes of its tail, where it holds enough bins."""
    out = z.copy()
    for k, row in enumerate(z):
        known = row[np.isfinite(row)]
        if len(known):
            out[k] /= max([1.0, *(np.quantile(known, t) / -ndtri(1 - t) for t in TAILS if len(known) * (1 - t) >= 3)])
    return out
