"""The effect of a pick, not inflated by having been picked: choose on one half of the data, estimate on the other, and swap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cells import Cells
from .compare import two_sided
from .estimate import Estimate
from .intervals import critical, pooled_df
from .scan import Finding, effects, scan


@dataclass(frozen=True)
class CrossFit:
    """``effect`` averaged over the two halves (inverse variance), each estimated where the other half pointed; ``picks`` are those."""

    effect: Estimate
    picks: tuple[Finding, Finding]

    @property
    def agree(self) -> bool:
        """Whether both halves chose the same cell."""
        return self.picks[0].cell == self.picks[1].cell


def day_halves(bins: int, *, period: int = 7) -> np.ndarray:
    """Which bins belong to the first half: a chessboard of weeks and weekdays, so that both halves see every weekday and stretch."""
    week, place = np.divmod(np.arange(bins), period)
    return (week + place) % 2 == 0


def by_days(cells: Cells) -> tuple[Cells, Cells]:
    """Two halves of the same cells by days."""
    first = day_halves(cells.n.shape[1], period=cells.period)
    return cells.on(first), cells.on(~first)


def crossfit(
    first: Cells, second: Cells, *, among: Sequence[int] | None = None, shock: float = math.inf, level: float = 0.95, **options
) -> CrossFit | None:
    """Pick cell and onset on one half, estimate the change there on the other half; both ways.

    The halves hold the same cells of one metric with different rows: two halves of the tenants or sessions (the caller splits), or
    :func:`by_days`. ``among`` restricts the picks (e.g. to a pick of the whole data and its rivals). ``options`` are those of
    :func:`~llmobs_nb.stats.scan.scan`. None where a half has no candidate or nothing to estimate from.
    """
    parts, picks = [], []
    for chosen_on, estimated_on in ((first, second), (second, first)):
        found = scan([chosen_on], shocks=[shock], **options).top(len(chosen_on))
        found = [f for f in found if among is None or f.cell in set(among)]
        if not found:
            return None
        picks.append(found[0])
        parts.append(effects(estimated_on, [found[0].cell], found[0].onset, found[0].end, shock=shock, level=level)[0][2])
    if not all(e.ok for e in parts):
        return None
    return CrossFit(_pooled(parts, level), tuple(picks))


def _pooled(parts: Sequence[Estimate], level: float) -> Estimate:
    weight = np.array([1 / e.se**2 for e in parts])
    weight /= weight.sum()
    value = float(sum(w * e.value for w, e in zip(weight, parts, strict=True)))
    variances = [((w * e.se) ** 2, e.df) for w, e in zip(weight, parts, strict=True)]
    se, df = math.sqrt(sum(v for v, _ in variances)), pooled_df(*variances)
    half = critical(level, df) * se
    return Estimate(value, value - half, value + half, sum(e.n for e in parts), level, se=se, df=df, p=two_sided(value / se, df))
