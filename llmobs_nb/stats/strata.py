"""Do two yes-or-no properties go together, within strata that were sampled at different rates: exact, however few there are."""

from __future__ import annotations

import numpy as np
from scipy import stats


def exact_association(a, b, strata=None) -> float:
    """Two-sided p of "within each stratum ``a`` and ``b`` have nothing to do with each other" for two arrays of 0 and 1.

    Given the margins of each stratum, the number of rows with both is a sum of hypergeometric ones, whose distribution is
    computed exactly (Birch 1964; with one stratum it is Fisher's test); p sums what is no likelier than what was seen. Rows
    count as independent: give one per cluster. Sampling rates that differ between strata do not bias it. 1 without rows.
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    groups = np.zeros(len(a), int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    if not len(a) == len(b) == len(groups):
        raise ValueError(f"{len(a)}, {len(b)} and {len(groups)} rows: give each row both properties and its stratum")
    chance, least = np.ones(1), 0
    for group in np.unique(groups):
        inside = groups == group
        n, with_a, with_b = int(inside.sum()), int(a[inside].sum()), int(b[inside].sum())
        low, high = max(0, with_a + with_b - n), min(with_a, with_b)
        chance = np.convolve(chance, stats.hypergeom.pmf(np.arange(low, high + 1), n, with_a, with_b))
        least += low
    seen = chance[int((a & b).sum()) - least]
    return float(min(1.0, chance[chance <= seen * (1 + 1e-9)].sum()))
