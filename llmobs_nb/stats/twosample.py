"""Two windows compared as distributions: counts, numbers or vectors, against a null that moves whole days or whole sessions.

Rows of one day share its shocks, rows of one session share a person, and Mondays are not Sundays. So labels are never permuted
row by row: whole days change sides within their weekday; where there are too few days for that, blocks of whole sessions
do. What is compared is averaged over weekdays with the same weights on both sides, so another mix of weekdays is no drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse, stats

from .estimate import Estimate
from .intervals import critical

PERMUTATIONS = 1_999
LEAST_ROWS = 30
LEAST_ASSIGNMENTS = 1_000
LEAST_STRATA = 3
FOLDS = 5
LEVEL, POWER = 0.95, 0.8
PRIOR = 50.0
EPSILON = 1e-12


@dataclass(frozen=True, eq=False)
class Design:
    """Which rows stand together and may change sides together.

    ``group`` gives each row its group; per group ``side`` says whether it lies in the later window, ``stratum`` among which
    others it is exchanged. ``unit`` names the groups. ``chosen`` (1 + permutations × groups) holds the sides as they are,
    then those of every permutation.
    """

    group: np.ndarray
    side: np.ndarray
    stratum: np.ndarray
    unit: Literal["days", "sessions"]
    chosen: np.ndarray

    def of(self, rows: np.ndarray) -> Design:
        """The design of some of the rows: the same groups, some of them smaller or empty."""
        return replace(self, group=self.group[rows])

    def sizes(self) -> tuple[int, int]:
        """How many rows the earlier and the later window hold."""
        later = self.side[self.group]
        return int((~later).sum()), int(later.sum())

    @property
    def member(self) -> sparse.csr_array:
        """Groups × rows, 1 where a row belongs to a group: times a matrix of rows it gives sums per group."""
        n = len(self.group)
        return sparse.csr_array((np.ones(n), (self.group, np.arange(n))), shape=(len(self.side), n))

    def table(self, codes: np.ndarray, size: int) -> np.ndarray:
        """Counts of codes 0 … size - 1 per group (groups × size); a negative code is missing and is not counted."""
        there = codes >= 0
        flat = np.bincount(self.group[there] * size + codes[there], minlength=len(self.side) * size)
        return flat.reshape(len(self.side), size).astype(float)


class Moved(NamedTuple):
    """Per item: log odds of its share after against before, with simultaneous 95 % limits, and both shares."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share_before: np.ndarray
    share_after: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """One comparison: ``effect`` with interval, n and p, n of both sides, and what would have been seen four times out of five."""

    effect: Estimate
    n_before: int
    n_after: int
    detectable: float | None = None


def design(later, day, weekday, cluster, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Design:
    """Days within weekdays where these can be exchanged in 1,000 ways or more over three weekdays, else blocks of sessions.

    Per row: whether it lies in the later window, the number of its day, its weekday, and its session.
    """
    later, day, weekday = np.asarray(later, bool), np.asarray(day, int), np.asarray(weekday, int)
    keys, group = np.unique(np.stack([day, later, weekday], axis=1), axis=0, return_inverse=True)
    side, stratum, unit = keys[:, 1].astype(bool), keys[:, 2], "days"
    if not _exchangeable(side, stratum):
        group, side, stratum = _blocks(later, np.unique(np.asarray(cluster), return_inverse=True)[1], seed)
        unit = "sessions"
    return Design(np.asarray(group).reshape(-1), side, stratum, unit, _permuted(side, stratum, permutations, seed))


def compare_counts(d: Design, codes: np.ndarray, size: int, *, ordered: bool) -> Comparison:
    """Distance between two distributions over ``size`` codes: Kolmogorov-Smirnov's where they are ordered, else Jensen-Shannon's.

    Both are metrics between 0 and 1 (the second the square root of the divergence in bits). p is the share of permutations as
    far apart as the windows. The interval is value ± the 95 % quantile of the permutations, by the triangle inequality, so it
    leaves out 0 exactly when p < 0.05; it errs on the wide side. Where all rows have one code the distance is 0, at most that of a
    share of 3 / n with another code on the smaller side, and nothing is tested. Refused below 30 rows on a side.
    """
    before, after = d.of(codes >= 0).sizes()
    counts = d.table(codes, size)
    if refusal := _too_few(before, after):
        return Comparison(Estimate.refused(refusal, n=before + after), before, after)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return _one_value(before, after, ordered=ordered)
    found = (_ks if ordered else _jensen_shannon)(*_profiles(d, counts))
    observed, null = float(found[0]), found[1:]
    p = _share_as_large(null, observed)
    reach = _quantile(null)
    low = observed - reach if p < 1 - LEVEL else 0.0
    effect = Estimate(observed, max(low, 0.0), min(observed + reach, 1.0), before + after, p=p)
    return Comparison(effect, before, after, min(reach + float(stats.norm.ppf(POWER)) * float(null.std()), 1.0))


def ordered_codes(values: np.ndarray, *, bins: int = 200) -> tuple[np.ndarray, int]:
    """Numbers as ranks in at most ``bins`` classes cut at quantiles of all of them; missing ones are -1. Returns codes and size."""
    values = np.asarray(values, float)
    there = np.isfinite(values)
    edges = np.unique(np.quantile(values[there], np.linspace(0, 1, bins + 1)[1:-1])) if there.any() else np.zeros(0)
    codes = np.where(there, np.searchsorted(edges, values, side="left"), -1)
    return codes, len(edges) + 1


def dominance(d: Design, codes: np.ndarray, size: int) -> float | None:
    """Cliff's delta of ordered codes: P(after > before) - P(after < before), averaged over strata; None where a side is empty."""
    later, earlier = (side[0] for side in _profiles(d, d.table(codes, size), only=1))
    if not later.sum():
        return None
    below = np.cumsum(earlier) - earlier
    return float(later @ below - later @ (1 - np.cumsum(earlier)))


def stability_index(d: Design, codes: np.ndarray, size: int) -> float | None:
    """Population stability index, at most ten classes of about equal size where there are more; half a row is added to each."""
    counts = d.table(codes, size)
    if size > 10:
        place = np.minimum((10 * (np.cumsum(counts.sum(axis=0)) - 1) / max(counts.sum(), 1)).astype(int), 9)
        counts = np.stack([counts[:, place == k].sum(axis=1) for k in range(10)], axis=1)
    after, before = counts[d.side].sum(axis=0) + 0.5, counts[~d.side].sum(axis=0) + 0.5
    after, before = after / after.sum(), before / before.sum()
    return float(((after - before) * np.log(after / before)).sum())


def compare_vectors(d: Design, x) -> Comparison:
    """Can a classifier tell which window a row's vector comes from? AUC, cross-fitted over strata.

    ``x`` (rows × columns, dense or sparse) is fitted on both windows together. The classifier is the difference of the two means with
    every column in its own standard deviations, so that rare words count as much as frequent ones (without it, a tenth of new topic
    in 2,000 rows is mostly missed); rows of a weekday are scored by the difference seen on the other weekdays. The interval is Student's over strata.
    p is from the agreement of the differences of all pairs of weekdays under permutation: one odd day is no drift.
    0.5 is "cannot be told apart"; were a share s of texts of a kind never seen before, the AUC would be at most 0.5 + s / 2.
    """
    before, after = d.sizes()
    refusal = _too_few(before, after)
    if refusal:
        return Comparison(Estimate.refused(refusal, n=before + after), before, after)
    x = _standardised(x)
    sums, sizes = d.member @ x, np.bincount(d.group, minlength=len(d.side)).astype(float)
    weights = _contrasts(d, sizes)
    agreement = _agreement(d, sums, weights)
    p = _share_as_large(agreement[1:], float(agreement[0]))
    areas, share = _areas(d, x, sums, weights[0], sizes)
    if len(areas) < LEAST_STRATA:
        reason = f"only {len(areas)} weekdays hold both windows: {LEAST_STRATA} are needed"
        return Comparison(Estimate.refused(reason, n=before + after), before, after)
    value, df = float(share @ areas), len(areas) - 1
    se = math.sqrt(len(areas) / df * float((share**2) @ (areas - value) ** 2))
    half = critical(LEVEL, df) * se
    effect = Estimate(value, max(value - half, 0.0), min(value + half, 1.0), before + after, se=se, df=df, p=p)
    return Comparison(effect, before, after, min(0.5 + half + float(stats.norm.ppf(POWER)) * se, 1.0))


def moved(d: Design, counts: np.ndarray, sizes: np.ndarray) -> Moved:
    """Which of many items (words, clusters, labels) are in more or fewer rows after than before.

    ``counts`` (groups × items) are rows with the item, ``sizes`` rows of each group. Log odds ratios with an informative prior:
    50 rows on each side that have every item as often as all rows do (Monroe, Colaresi and Quinn 2008), so rare items are
    pulled to 0. Limits are simultaneous over items: the largest |z| of permutations, from which each window's own level is taken
    out, so that what moved does not widen its own interval.
    """
    n, y = float(sizes.sum()), counts.sum(axis=0)
    pooled = y / max(n, 1.0)
    value, se, shares = _log_odds(d.side[None, :].astype(float), counts, sizes, pooled)
    centred = counts.copy()
    for part, share in ((d.side, shares[1][0]), (~d.side, shares[0][0])):
        rest = counts[part] - sizes[part, None] * share
        centred[part] = sizes[part, None] * pooled + rest * math.sqrt(part.sum() / max(part.sum() - 1, 1))
    null, spread, _ = _log_odds(d.chosen[1:500], centred, sizes, pooled)
    z = _quantile(np.abs(null / spread).max(axis=1)) if counts.shape[1] else 0.0
    return Moved(value[0], (value - z * se)[0], (value + z * se)[0], shares[0][0], shares[1][0])


# --- groups and permutations


def _exchangeable(side: np.ndarray, stratum: np.ndarray) -> bool:
    parts = [(int((stratum == k).sum()), int((side & (stratum == k)).sum())) for k in np.unique(stratum)]
    both = [(n, m) for n, m in parts if 0 < m < n]
    return len(both) >= LEAST_STRATA and math.prod(math.comb(n, m) for n, m in both) >= LEAST_ASSIGNMENTS


def _blocks(later: np.ndarray, cluster: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole sessions in five folds, and in each fold blocks of about equal size, two to four of the smaller window."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(cluster.max() + 1 if len(cluster) else 0)[cluster]
    fold, rest = place % FOLDS, place // FOLDS
    n = np.array([max((~later).sum(), 1), max(later.sum(), 1)], float)
    least = int(np.clip(n.min() // (FOLDS * 10), 2, 4))
    per_side = np.clip(np.round(least * n / n.min()), 2, 5 * least).astype(int)
    block = rest % per_side[later.astype(int)]
    keys, group = np.unique(np.stack([fold, later, block], axis=1), axis=0, return_inverse=True)
    return group, keys[:, 1].astype(bool), keys[:, 0]


def _permuted(side: np.ndarray, stratum: np.ndarray, count: int, seed: int) -> np.ndarray:
    rng, out = np.random.default_rng(seed), np.tile(side.astype(float), (count + 1, 1))
    for k in np.unique(stratum):
        here = np.flatnonzero(stratum == k)
        out[1:, here] = rng.permuted(out[1:, here], axis=1)
    return out


# --- distances of counts


def _profiles(d: Design, counts: np.ndarray, *, only: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Shares of each code after and before, per permutation, averaged over strata with the same weights on both sides."""
    chosen = d.chosen[:only]
    later, earlier = (np.zeros((len(chosen), counts.shape[1])) for _ in range(2))
    total = np.zeros((len(chosen), 1))
    for k in np.unique(d.stratum):
        h = counts[d.stratum == k]
        a = chosen[:, d.stratum == k] @ h
        b = h.sum(axis=0) - a
        na, nb = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
        weight = na * nb / np.maximum(na + nb, 1)
        later += a * (weight / np.maximum(na, 1))
        earlier += b * (weight / np.maximum(nb, 1))
        total += weight
    return later / np.maximum(total, EPSILON), earlier / np.maximum(total, EPSILON)


def _ks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(np.cumsum(a - b, axis=1)).max(axis=1)


def _jensen_shannon(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    middle = np.maximum((a + b) / 2, EPSILON)
    bits = sum((x * np.log2(np.maximum(x, EPSILON) / middle)).sum(axis=1) for x in (a, b)) / 2
    return np.sqrt(np.maximum(bits, 0))


# --- agreement and areas of vectors


def _standardised(x):
    """Each column divided by its standard deviation; one without spread becomes 0."""
    squares = x.multiply(x) if sparse.issparse(x) else x * x
    mean, square = (np.asarray(part.mean(axis=0)).ravel() for part in (x, squares))
    variance = square - mean**2
    flat = variance <= EPSILON * square
    scale = np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, variance)))
    return sparse.csr_array(x @ sparse.diags_array(scale)) if sparse.issparse(x) else x * scale


def _contrasts(d: Design, sizes: np.ndarray) -> np.ndarray:
    """Per permutation and group the coefficient of its sum in "mean after - mean before", times the weight of its stratum."""
    out, total = np.zeros_like(d.chosen), np.zeros((len(d.chosen), 1))
    for k in np.unique(d.stratum):
        here = d.stratum == k
        s = d.chosen[:, here]
        na = s @ sizes[here]
        nb = sizes[here].sum() - na
        weight = na * nb / np.maximum(na + nb, 1)
        out[:, here] = (s / np.maximum(na, 1)[:, None] - (1 - s) / np.maximum(nb, 1)[:, None]) * weight[:, None]
        total += weight[:, None]
    return out / np.maximum(total, EPSILON)


def _agreement(d: Design, sums, weights: np.ndarray) -> np.ndarray:
    """Sum over pairs of different strata of the inner products of their differences, per permutation."""
    gram = sums @ sums.T
    gram = gram.toarray() if sparse.issparse(gram) else np.asarray(gram)
    apart = d.stratum[:, None] != d.stratum[None, :]
    return ((weights @ (gram * apart)) * weights).sum(axis=1)


def _areas(d: Design, x, sums, weights: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC of each stratum by the direction of all others, and the weights of the strata; strata with one side only are left out."""
    areas, share, of_row = [], [], d.stratum[d.group]
    for k in np.unique(d.stratum):
        rows, others = np.flatnonzero(of_row == k), d.stratum != k
        direction = sums[others].T @ weights[others]
        later = d.side[d.group[rows]]
        na, nb = int(later.sum()), int((~later).sum())
        if na and nb:
            ranks = stats.rankdata(x[rows] @ direction)
            areas.append((ranks[later].sum() - na * (na + 1) / 2) / (na * nb))
            share.append(na * nb / (na + nb))
    return np.array(areas), np.array(share) / (sum(share) or 1)


# --- small parts


def _log_odds(chosen: np.ndarray, counts: np.ndarray, sizes: np.ndarray, pooled: np.ndarray):
    after, n_after = np.maximum(chosen @ counts, 0), chosen @ sizes
    before, n_before = np.maximum((1 - chosen) @ counts, 0), (1 - chosen) @ sizes
    has, lacks = PRIOR * pooled, PRIOR * (1 - pooled)
    odds, variance = [], 0.0
    for y, n in ((before, n_before), (after, n_after)):
        other = np.maximum(n[:, None] - y, 0)
        odds.append(np.log(y + has + EPSILON) - np.log(other + lacks + EPSILON))
        variance = variance + 1 / (y + has + EPSILON) + 1 / (other + lacks + EPSILON)
    shares = before / np.maximum(n_before, 1)[:, None], after / np.maximum(n_after, 1)[:, None]
    return odds[1] - odds[0], np.sqrt(variance), shares


def _share_as_large(null: np.ndarray, observed: float) -> float:
    return float((1 + (null >= observed - EPSILON).sum()) / (1 + len(null)))


def _quantile(null: np.ndarray) -> float:
    """The value that fewer than 5 % of the permutations, the observed one among them, reach."""
    rank = math.ceil(LEVEL * (len(null) + 1))
    return float(np.sort(null)[min(rank, len(null)) - 1])


def _one_value(before: int, after: int, *, ordered: bool) -> Comparison:
    share = 3 / min(before, after)
    reach = share if ordered else math.sqrt(share / 2)
    return Comparison(Estimate(0.0, 0.0, reach, before + after), before, after, reach)


def _too_few(before: int, after: int) -> str | None:
    if min(before, after) >= LEAST_ROWS:
        return None
    return f"{before:,} rows before and {after:,} after: {LEAST_ROWS} are needed on each side"
