"""What a search finds when there is nothing to find: permuted weeks, and the tail of the best of many.

A search over thousands of slices and dozens of onsets finds something large in any data. Its honest p repeats the whole
search on data in which nothing can have happened at any particular time: the weeks of each weekday shuffled.
"""

from __future__ import annotations

import numpy as np

TAIL = 0.15
# Scores closer than this are equal: running sums in single precision depend a little on the order of the bins.
TIE = 1e-3
# A log likelihood ratio exceeds a high value by 1 on average. Permutations of few weeks repeat each other, and a handful of
# equal draws would promise a tail of no length: any score beyond them would have p = 0.
LEAST_EXCESS = 1.0
LEAST_P = 1e-300


def week_permutations(length: int, count: int, *, period: int = 7, blocks: int = 7, seed: int = 0) -> np.ndarray:
    """``count`` orders (count × length) of bins that keep each bin's place in the period.

    The period is cut into ``blocks`` runs of neighbouring bins; the runs of one place are shuffled over the periods, each place
    by an order of its own. 7 shuffles each weekday by itself; 2 keeps half weeks together, so that shocks that last
    two or three days stay whole; 1 moves whole weeks, of which there are too few to tell a change by. A last period that is
    cut short takes part where it has bins. ValueError unless 1 <= blocks <= period.
    """
    if not 1 <= blocks <= period:
        raise ValueError(f"blocks={blocks!r}: give 1 to {period}, the bins of a period")
    rng, turns = np.random.default_rng(seed), -(-length // period)
    out = np.tile(np.arange(length), (count, 1))
    for places in np.array_split(np.arange(period), blocks):
        whole = [k for k in range(turns) if k * period + places[-1] < length]
        homes = np.array(whole, int)[:, None] * period + places
        orders = rng.permuted(np.tile(np.arange(len(whole)), (count, 1)), axis=1)
        out[:, homes.ravel()] = homes[orders].reshape(count, -1)
    return out


def exponential_tail(null: np.ndarray, observed: float) -> float:
    """Chance of a null statistic as large as the observed one, for statistics on the scale of a log likelihood.

    Within the simulated values their share, (1 + larger) / (1 + all); beyond the largest 15 % of them an exponential with their
    mean excess, so that p can be smaller than one over the number of draws. The log of a likelihood ratio has such a tail.
    Never 0. Where most simulated values are minus infinity (nothing to find) nothing is said beyond them.
    """
    return float(_tail(null, np.array([observed], float))[0])


def smallest_p(observed: np.ndarray, null: np.ndarray) -> tuple[np.ndarray, float]:
    """Several searches at once: p of each (M), and p of the smallest of them.

    ``observed`` holds the best score of M searches, ``null`` (B × M) those of the same B permutations. Each search's scores are
    put on one scale by its own null before the smallest p is compared with the smallest p of every permutation (Westfall and
    Young 1993): a metric with long tails costs the others nothing, and metrics that move together count as one.
    """
    observed, null = np.asarray(observed, float), np.asarray(null, float)
    each = np.array([exponential_tail(column, value) for column, value in zip(null.T, observed, strict=True)])
    ranked = np.stack([_tail(column, column) for column in null.T])
    return each, exponential_tail(-np.log(ranked.min(axis=0)), float(-np.log(each.min())))


def _tail(null: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """:func:`exponential_tail` of several observed values."""
    null, observed = np.sort(np.asarray(null, float)), observed - TIE
    count = int(np.ceil(TAIL * len(null)))
    start = null[-count - 1] if count < len(null) else null[0]
    p = (1 + len(null) - np.searchsorted(null, observed)) / (1 + len(null))
    beyond = observed > start
    if np.isfinite(start) and beyond.any():
        excess = max(float((null[-count:] - start).mean()), LEAST_EXCESS)
        p[beyond] = np.maximum(count / len(null) * np.exp((start - observed[beyond]) / excess), LEAST_P)
    return p
