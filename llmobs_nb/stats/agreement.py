"""How far two raters agree: raw, kappa, weighted kappa, AC1, AC2, PABAK, Krippendorff's alpha, ICC; each with an interval.

All take two arrays of what was said of the same targets (numbers or labels; pairs with a missing side are left out), weights by
which a sample was drawn, and clusters (sessions) whose rows depend on one another, and give an :class:`Estimate` whose n counts
pairs. All but ICC are 1 - observed disagreement / disagreement expected by chance, functions of the contingency table, so the
jackknife takes tables away, never rows. Weights are scaled to sum to n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .design import hajek_mean
from .estimate import Estimate
from .intervals import proportion
from .jackknife import CHUNK, Parts, by_cluster, fisher, spread

MOST_CATEGORIES = 60
Disagreement = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def raw(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Share of pairs that agree: Wilson's interval at the effective number of pairs (Korn and Graubard 1998)."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters)
    return p.share(p.judge == p.human, level=level)


def kappa(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Cohen's kappa (1960): chance by both raters' own margins. Refused where both say one and the same thing of everything."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters)
    return _corrected(p, _cohen(1 - np.eye(len(p.categories))), level)


def weighted_kappa(
    judge, human, *, weights: str = "quadratic", categories: Sequence | None = None, sample_weight=None, clusters=None,
    level: float = 0.95,
) -> Estimate:  # fmt: skip
    """Cohen's weighted kappa (1968): disagreement grows with the distance of the places in the order of the categories.

    ``weights`` are linear or quadratic; ``categories`` give the order (sorted by default) and those that nobody used.
    """
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters, categories=categories)
    return _corrected(p, _cohen(_distance(weights, len(p.categories))), level)


def ac1(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Gwet's AC1 (2008): chance by how evenly the categories are used; stays put where one category is rare."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters, least=2)
    return _corrected(p, _gwet(1 - np.eye(len(p.categories))), level)


def ac2(
    judge, human, *, weights: str = "quadratic", categories: Sequence | None = None, sample_weight=None, clusters=None,
    level: float = 0.95,
) -> Estimate:  # fmt: skip
    """Gwet's AC2: AC1 for ordered categories, weights as in :func:`weighted_kappa`."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters, categories=categories, least=2)
    return _corrected(p, _gwet(_distance(weights, len(p.categories))), level)


def pabak(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Prevalence- and bias-adjusted kappa (Byrt 1993): all categories equally likely by chance."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters, least=2)
    share = p.share(p.judge == p.human, level=level)
    k = max(len(p.categories), 2)
    if not share.ok:
        return share
    value, low, high = ((k * v - 1) / (k - 1) for v in (share.value, share.ci_low, share.ci_high))
    return replace(share, value=value, ci_low=low, ci_high=high, se=share.se * k / (k - 1) if share.se else share.se)


def krippendorff_alpha(
    judge, human, *, metric: str = "nominal", categories: Sequence | None = None, sample_weight=None, clusters=None,
    level: float = 0.95,
) -> Estimate:  # fmt: skip
    """Krippendorff's alpha (2011) of two raters: chance by the pooled use of the categories. ``metric``: nominal, ordinal, interval.

    ``interval`` needs numbers; ``ordinal`` goes by the order of ``categories`` (sorted by default).
    """
    if metric not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"metric={metric!r} is not known; choose one of: nominal, ordinal, interval")
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters, categories=categories)
    if metric == "interval":
        return of_numbers(p, _alpha_interval, level)
    return _corrected(p, _alpha_ordinal if metric == "ordinal" else _alpha_nominal, level)


def icc(judge, human, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Intraclass correlation ICC(A,1) of McGraw and Wong (1996): two-way random effects, absolute agreement, one rating."""
    p = pairs(judge, human, sample_weight=sample_weight, clusters=clusters)
    return of_numbers(p, _icc, level)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Complete pairs as codes of ``categories``, with weights that sum to n, and clusters."""

    judge: np.ndarray
    human: np.ndarray
    categories: tuple
    weight: np.ndarray
    clusters: np.ndarray | None
    weighted: bool

    def __len__(self) -> int:
        return len(self.judge)

    def share(self, said: np.ndarray, among: np.ndarray | None = None, *, level: float = 0.95) -> Estimate:
        """The share of pairs of which ``said`` holds, among some of them."""
        among = np.ones(len(self), bool) if among is None else among
        said, clusters = said[among].astype(float), None if self.clusters is None else self.clusters[among]
        if not len(said):
            return Estimate.refused("no such pairs", level=level)
        if not self.weighted:
            return proportion(said, clusters=clusters, level=level)
        weight = self.weight[among]
        return hajek_mean(said, weight.min() / weight, clusters=clusters, level=level)

    def table(self) -> np.ndarray:
        """Weighted contingency table, judge by human."""
        k = len(self.categories)
        return np.bincount(self.judge * k + self.human, self.weight, k * k).reshape(k, k)

    def parts(self) -> Iterator[Parts]:
        """The tables of clusters, flat, some at a time; rows that look alike stand once with their number."""
        k = len(self.categories)
        cell = self.judge * k + self.human
        if self.clusters is None:
            cells, weights, count = _alike(cell, self.weight)
            yield Parts(_one_hot(cells, weights, k * k), count, weights)
            return
        _, code = np.unique(self.clusters, return_inverse=True)
        order = np.argsort(code, kind="stable")
        code, cell, weight = code[order], cell[order], self.weight[order]
        size, step = int(code[-1]) + 1, max(CHUNK // (k * k), 1)
        for first in range(0, size, step):
            lo, hi = np.searchsorted(code, [first, first + step])
            some = min(step, size - first)
            at = (code[lo:hi] - first) * k * k + cell[lo:hi]
            sums = np.bincount(at, weight[lo:hi], some * k * k).reshape(some, k * k)
            yield Parts(sums, np.ones(some), sums.sum(axis=1))


def pairs(judge, human, *, sample_weight=None, clusters=None, categories: Sequence | None = None, least: int = 1) -> Pairs:
    """The complete pairs of two arrays. ValueError for lengths that differ, weights that are negative or not finite, unknown categories."""
    judge, human = _column(judge), _column(human)
    if len(judge) != len(human):
        raise ValueError(f"{len(judge)} judgements and {len(human)} human labels: give one of each for every target")
    keep = _there(judge) & _there(human)
    weight = np.ones(len(judge)) if sample_weight is None else np.asarray(sample_weight, float)
    if len(weight) != len(judge) or not np.isfinite(weight[keep]).all() or (weight[keep] < 0).any():
        raise ValueError("sample_weight: give one finite number of 0 or more for every pair")
    keep &= weight > 0
    clusters = None if clusters is None else np.asarray(clusters)[keep]
    judge, human, weight = judge[keep], human[keep], weight[keep]
    seen = _sorted(judge, human)
    named = tuple(categories) if categories is not None else seen
    if set(seen) - set(named):
        raise ValueError(f"categories: {sorted(map(str, set(seen) - set(named)))[:5]} are used and not among those given")
    if categories is None and len(named) < least:
        named = (0, 1) if set(named) <= {0, 1} else (*named, *[f"not {named[0]}"] * bool(named))
    place = {c: i for i, c in enumerate(named)}
    code = [np.fromiter((place[v] for v in side), int, len(side)) for side in (judge.tolist(), human.tolist())]
    if len(weight):
        weight = weight * (len(weight) / weight.sum())
    return Pairs(code[0], code[1], named, weight, clusters, sample_weight is not None)


def _column(values) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(float) if values.dtype.kind in "biu" else values


def _there(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isfinite(values)
    return np.array([v is not None and v == v for v in values.tolist()], bool)


def _sorted(judge: np.ndarray, human: np.ndarray) -> tuple:
    seen = set(judge.tolist()) | set(human.tolist())
    return tuple(sorted(seen)) if len({isinstance(v, str) for v in seen}) < 2 else tuple(sorted(seen, key=str))


def _alike(cell: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weights, code = np.unique(weight, return_inverse=True)
    keys, count = np.unique(cell * max(len(weights), 1) + code, return_counts=True)
    return keys // max(len(weights), 1), weights[keys % max(len(weights), 1)], count.astype(float)


def _one_hot(cells: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros((len(cells), size))
    out[np.arange(len(cells)), cells] = weights
    return out


def _distance(weights: str, k: int) -> np.ndarray:
    if weights not in ("linear", "quadratic"):
        raise ValueError(f"weights={weights!r} are not known; choose one of: linear, quadratic")
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / max(k - 1, 1)
    return apart if weights == "linear" else apart**2


def _cohen(apart: np.ndarray) -> Disagreement:
    def of(t):
        n = t.sum(axis=(-1, -2))
        rows, columns = t.sum(axis=-1), t.sum(axis=-2)
        return (t * apart).sum(axis=(-1, -2)) / n, np.einsum("...i,ij,...j->...", rows, apart, columns) / n**2

    return of


def _gwet(apart: np.ndarray) -> Disagreement:
    k = len(apart)

    def of(t):
        n = t.sum(axis=(-1, -2))
        used = (t.sum(axis=-1) + t.sum(axis=-2)) / (2 * n[..., None])
        chance = (1 - apart).sum() / (k * (k - 1)) * (used * (1 - used)).sum(axis=-1)
        return (t * apart).sum(axis=(-1, -2)) / n, 1 - chance

    return of


def _alpha_nominal(t):
    n, used = t.sum(axis=(-1, -2)), t.sum(axis=-1) + t.sum(axis=-2)
    same = np.diagonal(t, axis1=-2, axis2=-1).sum(axis=-1)
    return 1 - same / n, 1 - (used * (used - 1)).sum(axis=-1) / (2 * n * (2 * n - 1))


def _alpha_ordinal(t):
    """The distance of two categories is how many values lie between their middles, squared."""
    n, used = t.sum(axis=(-1, -2)), t.sum(axis=-1) + t.sum(axis=-2)
    middle = used.cumsum(axis=-1) - used / 2
    apart = (middle[..., :, None] - middle[..., None, :]) ** 2
    total = 2 * n
    chance = 2 * (total * (used * middle**2).sum(axis=-1) - (used * middle).sum(axis=-1) ** 2)
    return (t * apart).sum(axis=(-1, -2)) / n, chance / (total * (total - 1))


def _corrected(p: Pairs, disagreement: Disagreement, level: float) -> Estimate:
    """1 - observed / expected disagreement with its interval; where all pairs agree, the lower limit is that of the raw agreement."""
    n, k = len(p), len(p.categories)
    if not n:
        return Estimate.refused("no pairs", level=level)
    if k > MOST_CATEGORIES:
        return Estimate.refused(
            f"{k} distinct values: cut them into at most {MOST_CATEGORIES} categories first", n=n, level=level
        )
    table = p.table()
    observed, expected = (float(x) for x in disagreement(table))
    if expected <= 1e-12:
        return Estimate.refused(
            "both say one and the same thing of everything: no agreement beyond chance is defined", n=n, level=level
        )
    if observed <= 1e-12:
        least = p.share(p.judge == p.human, level=level)
        if not least.ok:
            return replace(least, n=n)
        return Estimate(1.0, max(1 - (1 - least.ci_low) / expected, -1.0), 1.0, n, level)

    def statistic(sums):
        with np.errstate(all="ignore"):
            do, de = disagreement(sums.reshape(len(sums), k, k))
            return np.where(de > 1e-12, 1 - do / de, np.nan)

    value = 1 - observed / expected
    if value <= -1:  # chance-corrected agreement may fall below -1 for few pairs: no interval on that scale
        return Estimate.refused(f"agreement {value:.2f} lies below -1: too few pairs", n=n, level=level)
    return fisher(value, spread(p.parts(), table.ravel(), statistic), n=n, level=level)


def of_numbers(p: Pairs, statistic, level: float) -> Estimate:
    """A statistic of (n, Σx, Σy, Σx², Σy², Σxy)."""
    if len(p) < 3:
        return Estimate.refused("fewer than 3 pairs", n=len(p), level=level)
    if not all(isinstance(c, (int, float, np.number)) for c in p.categories):
        return Estimate.refused("labels are no numbers", n=len(p), level=level)
    value = np.array(p.categories, float)
    value = value - value.mean()  # differences alone matter; large offsets would drown them
    x, y, w = value[p.judge], value[p.human], p.weight
    columns = np.stack([w, w * x, w * y, w * x * x, w * y * y, w * x * y], axis=1)
    parts = by_cluster(columns, p.clusters, w)
    total = columns.sum(axis=0)
    with np.errstate(all="ignore"):
        whole = float(statistic(total[None])[0])
        return fisher(whole, spread([parts], total, statistic), n=len(p), level=level)


def _alpha_interval(s):
    n, x, y, xx, yy, xy = s.T
    observed = (xx + yy - 2 * xy) / n
    total = 2 * n
    chance = 2 * (total * (xx + yy) - (x + y) ** 2) / (total * (total - 1))
    return np.where(chance > 1e-12, 1 - observed / chance, math.nan)


def _icc(s):
    n, x, y, xx, yy, xy = s.T
    mean = (x + y) / (2 * n)
    rows = 2 * ((xx + yy + 2 * xy) / 4 - n * mean**2)
    columns = n * ((x / n - mean) ** 2 + (y / n - mean) ** 2)
    rest = np.maximum(xx + yy - 2 * n * mean**2 - rows - columns, 0)
    row, error = rows / (n - 1), rest / (n - 1)
    return np.where(rows + rest > 1e-12, (row - error) / (row + error + 2 / n * (columns - error)), math.nan)
