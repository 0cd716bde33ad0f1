"""A change of an average split into change within groups and change of the groups' shares.

A growing slice with a low mean pulls the average down though nothing changed in it: that is mix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .cells import Cells
from .compare import two_sided
from .estimate import Estimate
from .intervals import critical


@dataclass(frozen=True, eq=False)
class Mix:
    """after - before of the average = ``within`` + ``mix``; per group its part of either, and its shares before and after."""

    total: Estimate
    within: Estimate
    mix: Estimate
    within_of: np.ndarray
    mix_of: np.ndarray
    share_before: np.ndarray
    share_after: np.ndarray


def decompose(before: np.ndarray, after: np.ndarray, *, deff: float = 1.0, level: float = 0.95) -> Mix | None:
    """Kitagawa's (1955) decomposition over G disjoint groups that make up all traffic.

    ``before`` and ``after`` are 3 × G: counts, sums, sums of squares. Levels change at the average of both shares, shares at the
    average of both levels, so the parts add up and swapping the windows turns their sign. A group's part in ``mix_of`` is counted from
    the overall average: a share that grows at the average level changes nothing. A group that is empty in one window is all
    mix. Standard errors by linearisation over rows; ``deff`` (variance of clustered or shocked data over that of
    independent rows) multiplies the variance. None when a window is empty.
    """
    (n0, s0, q0), (n1, s1, q1) = (np.asarray(x, float) for x in (before, after))
    if n0.sum() <= 0 or n1.sum() <= 0:
        return None
    share0, share1 = n0 / n0.sum(), n1 / n1.sum()
    level0, level1 = _ratio(s0, n0), _ratio(s1, n1)
    level0, level1 = np.where(n0 > 0, level0, level1), np.where(n1 > 0, level1, level0)
    middle, share = (level0 + level1) / 2, (share0 + share1) / 2
    within, mix = share * (level1 - level0), (share1 - share0) * (middle - share @ middle)
    noise = _noise(n0, s0, q0) + _noise(n1, s1, q1)
    sampled = [(share0, n0.sum()), (share1, n1.sum())]
    se_within = math.sqrt(deff * (share**2 @ noise + sum(_spread(level1 - level0, w) / 4 / n for w, n in sampled)))
    se_mix = math.sqrt(deff * ((share1 - share0) ** 2 @ noise / 4 + sum(_spread(middle, w) / n for w, n in sampled)))
    se_total = math.sqrt(deff * sum(_noise(*(np.atleast_1d(x.sum()) for x in part))[0] for part in ((n0, s0, q0), (n1, s1, q1))))
    rows = int(n0.sum() + n1.sum())
    parts = (
        (float(s1.sum() / n1.sum() - s0.sum() / n0.sum()), se_total),
        (float(within.sum()), se_within),
        (float(mix.sum()), se_mix),
    )
    estimates = (_estimate(value, se, rows, level) for value, se in parts)
    return Mix(*estimates, within, mix, share0, share1)


def cell_mix(
    cells: Cells, cell: int, onset: int, end: int | None = None, *, deff: float = 1.0, level: float = 0.95
) -> Mix | None:
    """:func:`decompose` for one cell (group 0) against the rest of traffic (group 1), after the onset against before it."""
    inside = np.zeros(cells.n.shape[1], bool)
    inside[onset:end] = True
    own = np.stack([cells.n[cell], cells.s[cell], cells.q[cell]])
    both = np.stack([own, cells.total - own], axis=1)
    return decompose(both[..., ~inside].sum(axis=-1), both[..., inside].sum(axis=-1), deff=deff, level=level)


def _ratio(s, n) -> np.ndarray:
    return np.divide(s, n, out=np.zeros_like(s), where=n > 0)


def _noise(n, s, q) -> np.ndarray:
    """Variance of each group's mean; 0 where the group is empty (its level is borrowed)."""
    scatter = np.maximum(q - _ratio(s * s, n), 0)
    return np.divide(scatter, n * np.maximum(n - 1, 1), out=np.zeros_like(n), where=n > 0)


def _spread(values: np.ndarray, share: np.ndarray) -> float:
    return float(share @ (values - share @ values) ** 2)


def _estimate(value: float, se: float, n: int, level: float) -> Estimate:
    half = critical(level) * se
    p = two_sided(value / se) if se > 0 else float(value == 0)
    return Estimate(value, value - half, value + half, n, level, se=se, p=p)
