"""A change of a ratio split exactly into traffic mix and what happened within the cells of the mix, each with its uncertainty.

within = what the ratio would have done at the earlier mix (direct standardisation); mix = the rest, shares that moved at the later
levels (Kitagawa 1955). Both are functions of sums, so their variance follows from how each unit moves them (linearisation): a
coefficient of x and one of n per cell and window, which an engine can sum over clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .estimate import Estimate
from .intervals import critical, pooled_df

LEAST = 20.0


@dataclass(frozen=True, eq=False)
class Split:
    """Both parts, and per cell the influence of a unit's x and n on them: arrays of (this, last) × cells.

    ``level`` is the ratio each cell is valued at when shifts are weighed; both parts are in units of ``unit``.
    """

    within: float
    mix: float
    within_x: np.ndarray
    within_n: np.ndarray
    mix_x: np.ndarray
    mix_n: np.ndarray
    level: np.ndarray
    unit: float = 1.0


def split(this_n, this_x, last_n, last_x, *, pooled=None, relative: bool = False, least: float = LEAST) -> Split | None:
    """Split the change of sum(x) / sum(n) over cells; ``relative`` divides both parts by last's ratio.

    ``pooled`` are (n, x) of the cells over a longer time, by default both windows: the levels by which shifts of traffic are
    weighed in the uncertainty, where the noise of one window's levels would pass for differences between cells.

    Cells with fewer than ``least`` in one window, and some in both, are pooled. A cell that is gone counts as mix wholly, as does
    one that is new. None where a window is empty, or the last ratio is not positive and the change relative.
    """
    n1, x1, n0, x0 = (np.asarray(v, float) for v in (this_n, this_x, last_n, last_x))
    if n1.sum() <= 0 or n0.sum() <= 0 or (relative and x0.sum() <= 0):
        return None
    small = (np.minimum(n1, n0) < least) & (n1 + n0 > 0) & ~((n1 == 0) & (n0 >= least)) & ~((n0 == 0) & (n1 >= least))
    n1, x1, n0, x0 = (np.where(small, v[small].sum(), v) for v in (n1, x1, n0, x0))
    weight = np.where(small, 1 / max(small.sum(), 1), 1.0)
    total1, total0 = (n1 * weight).sum(), (n0 * weight).sum()
    r1, r0 = (x1 * weight).sum() / total1, (x0 * weight).sum() / total0
    gone = n1 <= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(gone, np.where(n0 > 0, x0 / n0, 0.0), x1 / n1)
    share = n0 / total0
    standard = float((level * share * weight).sum())
    calm = _calm(level, n1 + n0 if pooled is None else pooled[0], x1 + x0 if pooled is None else pooled[1], small)
    parts = _influence(
        n1, share, level, gone, r0, standard, total1, total0, calm, r1 - standard + float((calm * share * weight).sum()), weight
    )
    within, mix = standard - r0, r1 - standard
    if relative:
        parts, within, mix = _per_last(parts, within, mix, r0, total0)
    return Split(float(within), float(mix), *parts, calm, float(r0) if relative else 1.0)


def estimate(
    value: float, this: tuple[float, float], last: tuple[float, float], extra, *, n: int, level: float = 0.95
) -> Estimate:
    """A part of the split from (clusters, sum of squared influences) of both windows and ``extra`` (variance, df) of shared shocks."""
    if min(this[0], last[0]) < 2:
        return Estimate.refused("1 cluster only: no spread to estimate from", n=n, level=level)
    own = [(m / (m - 1) * square, m - 1) for m, square in (this, last)]
    total = sum(v for v, _ in (*own, *extra))
    if total <= 0:
        return Estimate.refused("no spread to estimate from", n=n, level=level)
    df, se = pooled_df(*own, *extra), math.sqrt(total)
    half = critical(level, df) * se
    return Estimate(value, value - half, value + half, n, level, se=se, df=df)


def _calm(level: np.ndarray, n, x, small: np.ndarray) -> np.ndarray:
    """The level of each cell over all that is known of it; small cells share one."""
    n, x = (np.asarray(v, float) for v in (n, x))
    n, x = (np.where(small, v[small].sum(), v) for v in (n, x))
    return np.divide(x, n, out=level.astype(float), where=n > 0)


def _influence(n1, share, level, gone, r0, standard, total1, total0, calm, centre, weight):
    """Rows are (this, last): what a unit's x and n of a cell add to within and to mix."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(gone, 0.0, share / n1)
    calm_standard = float((calm * share * weight).sum())
    within_x = np.stack([each, np.where(gone, 0.0, -1 / total0)])
    within_n = np.stack([-each * level, np.where(gone, r0 - standard, level - standard + r0) / total0])
    mix_x = np.stack([1 / total1 - each, np.where(gone, -1 / total0, 0.0)])
    mix_n = np.stack(
        [-centre / total1 + each * calm, np.where(gone, level - calm + calm_standard, calm_standard - calm) / total0]
    )
    return within_x, within_n, mix_x, mix_n


def _per_last(parts, within: float, mix: float, r0: float, total0: float):
    """The same as shares of the last ratio, which is itself uncertain."""
    within_x, within_n, mix_x, mix_n = (p / r0 for p in parts)
    for x, n, value in ((within_x, within_n, within), (mix_x, mix_n, mix)):
        x[1] -= value / r0**2 / total0
        n[1] += value / r0 / total0
    return (within_x, within_n, mix_x, mix_n), within / r0, mix / r0
