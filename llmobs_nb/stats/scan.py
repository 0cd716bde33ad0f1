"""Where did it change: the slice scan over many cells, onsets and metrics at once, and the honest p of the best of them.

Every cell is set against the rest of traffic, after against before (difference in differences, variance by bins). A candidate's
score is the gain in log likelihood, less a penalty for each attribute beyond the first. The null repeats the whole search on shuffled
weeks. For triples, give the children of the best pairs as cells of order 3 and scan again: the penalty decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .cells import Cells
from .compare import two_sided
from .contrast import PRIOR_BINS, Candidates, Standard, best_contrasts, join, largest_contrasts, left_over, standardise, without
from .estimate import Estimate
from .intervals import critical
from .nulls import smallest_p, week_permutations

PENALTY = 3.0
BURST_PENALTY = 2.0
EDGE = 2
PERMUTATIONS = 200
CALM = 1.0
BLOCKS = 2


@dataclass(frozen=True)
class Finding:
    """One cell of one metric and when it changed: first changed bin, first bin after a burst (None: it lasts), signed z, score.

    ``z`` is that of the best candidate, overdispersion honoured, the search not.
    """

    metric: int
    cell: int
    onset: int
    end: int | None
    z: float
    score: float


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan found: per metric and cell (M × C) score and signed z of the best candidate, its onset and stop."""

    score: np.ndarray
    z: np.ndarray
    onset: np.ndarray
    stop: np.ndarray
    bins: int

    def finding(self, metric: int, cell: int) -> Finding:
        """The best candidate of one cell in one metric."""
        stop = int(self.stop[metric, cell])
        end = None if stop >= self.bins else stop
        at = metric, cell
        return Finding(metric, cell, int(self.onset[at]), end, float(self.z[at]), float(self.score[at]))

    def top(self, k: int = 10, *, metric: int | None = None) -> list[Finding]:
        """The k best cells, each in its best metric (or in the given one), best first; cells with no candidate are left out."""
        score = self.score if metric is None else self.score[[metric]]
        rows, best = score.argmax(axis=0), score.max(axis=0)
        order = np.argsort(-best, kind="stable")[:k]
        return [self.finding(int(rows[c]) if metric is None else metric, int(c)) for c in order if best[c] > -math.inf]


@dataclass(frozen=True, eq=False)
class Search:
    """A scan with its null: ``p`` of the best finding over all cells, onsets and metrics, ``p_metric`` of each metric's best.

    ``null`` (B × M) holds the best score of every permutation and metric.
    """

    scan: Scan
    p: float
    p_metric: np.ndarray
    null: np.ndarray

    @cached_property
    def best(self) -> Finding | None:
        """The best cell of the metric with the smallest p; None where no cell had a candidate."""
        found = self.scan.top(1, metric=int(np.argmin(self.p_metric)))
        return found[0] if found else None

    def p_of(self, finding: Finding) -> float:
        """p of any finding against the best that shuffled weeks give in any metric."""
        observed = np.full(self.null.shape[1], -math.inf)
        observed[finding.metric] = finding.score
        return smallest_p(observed, self.null)[1]


def scan(
    metrics: Sequence[Cells],
    *,
    onsets: Sequence[int] | None = None,
    bursts: Sequence[int] = (),
    steps: bool = True,
    shocks: Sequence[float] | None = None,
) -> Scan:
    """Scan the same cells in several metrics.

    ``onsets`` are candidate first bins of a change (default: all but the first and last two bins), ``bursts`` lengths in bins of changes
    that end, at the same bins; without ``steps`` these alone. ``shocks`` per metric what :func:`~llmobs_nb.stats.contrast.standardise` calls ``shock`` (default: all infinite,
    plain difference in differences). ValueError for metrics whose cells or bins differ.
    """
    return _Prepared(metrics, onsets, bursts, steps, shocks).scan()


def search(
    metrics: Sequence[Cells],
    *,
    onsets: Sequence[int] | None = None,
    bursts: Sequence[int] = (),
    steps: bool = True,
    shocks: Sequence[float] | None = None,
    permutations: int = PERMUTATIONS,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Search:
    """:func:`scan` with its null: the same search on ``permutations`` shuffles of the weeks of each weekday.

    The rows of a bin stay together, cells and metrics are shuffled alike: whatever tenants, sessions and correlated
    attributes do within a bin is in the null. What moved beyond doubt is taken out of a cell before its bins are shuffled.
    ``blocks`` is that of :func:`~llmobs_nb.stats.nulls.week_permutations`.
    """
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: give 1 or more")
    prepared = _Prepared(metrics, onsets, bursts, steps, shocks)
    found = prepared.scan()
    period = len(prepared.standard.inverse)
    orders = week_permutations(found.bins, permutations, period=period, blocks=min(blocks, period), seed=seed)
    null = prepared.calmed().null(orders)
    each, p = smallest_p(found.score.max(axis=1), null)
    return Search(found, p, each, null)


class _Prepared:
    """Metrics put on one scale side by side, and the candidates to try."""

    def __init__(self, metrics: Sequence[Cells], onsets, bursts, steps, shocks) -> None:
        self.metrics = list(metrics)
        shapes = [m.n.shape for m in self.metrics]
        if len(set(shapes)) != 1 or not shapes[0][0]:
            raise ValueError(f"metrics need the same cells and bins, and a cell at least: {shapes}")
        bins = shapes[0][1]
        onsets = list(range(EDGE, bins - EDGE + 1) if onsets is None else onsets)
        if onsets and not (min(onsets) > 0 and max(onsets) < bins):
            raise ValueError(f"onsets {min(onsets)} to {max(onsets)}: give bins from 1 to {bins - 1}")
        if any(not 1 <= length < bins for length in bursts):
            raise ValueError(f"bursts={tuple(bursts)}: give lengths from 1 to {bins - 1} bins")
        self.candidates = Candidates(onsets, tuple(bursts), 2 * BURST_PENALTY if steps else 0.0, steps)
        shocks = [math.inf] * len(self.metrics) if shocks is None else list(shocks)
        if len(shocks) != len(self.metrics):
            raise ValueError(f"{len(self.metrics)} metrics and {len(shocks)} shocks: give each metric its shock")
        self.standard = join([standardise(m, shock=k) for m, k in zip(self.metrics, shocks, strict=True)])
        self.penalty = _penalty(np.concatenate([m.order for m in self.metrics]))

    def scan(self) -> Scan:
        best = best_contrasts(self.standard, self.candidates)
        short = best.stop < len(self.standard.w)
        handicap = np.where(short, self.candidates.handicap, 0.0)
        score, z2 = self._scored(best.value, handicap, left_over(self.standard, best))
        shape = len(self.metrics), len(self.metrics[0])
        columns = score, best.sign * np.sqrt(z2), best.start, best.stop
        return Scan(*(x.reshape(shape) for x in columns), bins=len(self.standard.w))

    def calmed(self) -> _Prepared:
        """The same with what is beyond doubt taken out: a burst of one bin stays whatever the order, a step looks like noise.

        Only candidates whose score exceeds the log of how many one metric tries by ``CALM`` are taken out, each from its own
        cell, until none is left (three times at most); what the best of so many shows in quiet data stays in.
        """
        out, tried = copy(self), len(self.metrics[0]) * len(self.candidates.onsets) * (1 + len(self.candidates.lengths))
        for _ in range(3):
            best = best_contrasts(out.standard, out.candidates)
            score, _ = out._scored(best.value, left=left_over(out.standard, best))
            loud = np.flatnonzero(score > math.log(max(tried, 1)) + CALM)
            if not len(loud):
                break
            out.standard = without(out.standard, loud, best.start[loud], best.stop[loud])
        return out

    def null(self, orders: np.ndarray) -> np.ndarray:
        """The best score of each metric on bins in other orders."""
        values = largest_contrasts(self.standard, self.candidates, orders)
        return np.stack([self._scored(v)[0].reshape(len(self.metrics), -1).max(axis=1) for v in values])

    def _scored(self, value: np.ndarray, handicap: np.ndarray | float = 0.0, left=None) -> tuple[np.ndarray, np.ndarray]:
        """Penalised score, and squared z over the overdispersion that is left when the candidate is taken out.

        ``left`` is the scatter that is left; where it is not given, the scatter less the squared z: the same, but for rare events
        that became frequent. The handicap of a burst stays in what is left: the null does not know which it was.
        """
        s = self.standard
        df = PRIOR_BINS + np.maximum(s.df - 1, 0)
        left = np.maximum(s.scatter - value, 0) if left is None else left
        over = np.maximum((left + PRIOR_BINS * s.spread) / df, 1)
        return np.where(value > 0, df / 2 * np.log1p(value / over / df) - self.penalty, -math.inf), (value + handicap) / over


def _penalty(order):
    return PENALTY * np.maximum(np.asarray(order) - 1, 0)


def effects(
    cells: Cells, which: Sequence[int], onset: int, end: int | None = None, *, shock: float = math.inf, level: float = 0.95
) -> list[tuple[Estimate, Estimate, Estimate]]:
    """(before, after, effect) of cells at one given onset (and end): plain levels, and the change net of what the rest of traffic did.

    Nothing is searched. For a burst "before" is all that is outside it. Overdispersion between bins widens all three. Refused
    without rows on either side, and where nothing is left to compare with.
    """
    s = standardise(cells, shock=shock)
    inside = np.zeros(len(s.w), bool)
    inside[onset:end] = True
    return [_effect(cells, s, c, inside, level) for c in which]


def _effect(cells: Cells, s: Standard, c: int, inside: np.ndarray, level: float) -> tuple[Estimate, Estimate, Estimate]:
    n = [int(cells.n[c, side].sum()) for side in (~inside, inside)]
    places = np.bincount(s.place[inside], s.w[inside, c], minlength=len(s.inverse))
    info, sums = float(s.w[inside, c].sum() - places**2 @ s.inverse[:, c]), float(s.r[inside, c].sum())
    if min(n) == 0 or info <= 1e-9:
        reason = (
            "no rows on one side of the onset" if min(n) == 0 else "nothing to compare with: no other traffic, or no such weekday"
        )
        refused = Estimate.refused(reason, n=sum(n), level=level)
        return refused, refused, refused
    df = PRIOR_BINS + max(s.df[c] - 1, 0)
    left = max(s.scatter[c] - sums**2 / info, 0) + PRIOR_BINS * s.spread[c]
    error = float(s.scale[c]) * math.sqrt(max(left / df, 1))
    means = [float(cells.s[c, side].sum() / cells.n[c, side].sum()) for side in (~inside, inside)]
    values = [(means[0], error / math.sqrt(n[0]), n[0]), (means[1], error / math.sqrt(n[1]), n[1])]
    values.append((float(s.scale[c]) * sums / info, error / math.sqrt(info), sum(n)))
    half = critical(level, df)
    before, after, change = (Estimate(v, v - half * e, v + half * e, k, level, se=e, df=df) for v, e, k in values)
    p = two_sided(change.value / change.se, df)
    return before, after, Estimate(**{**vars(change), "p": p})
