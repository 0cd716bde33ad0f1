"""A rule over its whole history: the statistic at every moment from what lies before it, and the alarms that follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from .evaluate import read
from .rules import Rule
from .sums import Sums


@dataclass(frozen=True, eq=False)
class Replay:
    """One rule at M moments and K by-values: ``statistic`` and ``value`` (M x K), ``limit`` that the statistic must beat.

    A moment is the end of a day (of an hour for windows below a day), plus the ``lag`` after which what is measured is known.
    """

    rule: Rule
    keys: tuple[tuple[str, ...], ...]
    times: tuple[datetime, ...]
    statistic: np.ndarray
    value: np.ndarray
    limit: float

    @property
    def judged(self) -> np.ndarray:
        """Moments from the first one on at which something could be said of some by-value; later gaps are quiet time."""
        return np.logical_or.accumulate((~np.isnan(self.statistic)).any(axis=1))

    def starts(self, limit: float | None = None) -> np.ndarray:
        """Where alarms begin (M x K): as a check at every moment would raise them, with ``for`` and cooldown."""
        with np.errstate(invalid="ignore"):
            holds = self.statistic > (self.limit if limit is None else limit)
        known = ~np.isnan(self.statistic)
        wait = int(self.rule.hold // self.rule.step)
        for k in range(1, wait + 1):
            holds[k:] &= (self.statistic > (self.limit if limit is None else limit))[:-k]
        holds[:wait] = False
        quiet = -(-self.rule.cooldown // self.rule.step)
        firing, since = np.zeros(len(self.keys), bool), np.full(len(self.keys), -(10**9))
        out = np.zeros(holds.shape, bool)
        for i in range(len(holds)):
            now = np.where(known[i], holds[i] & (firing | (i >= since + quiet)), firing)
            out[i] = now & ~firing
            since[out[i]] = i
            firing = now
        return out

    def suggested(self, most: int, among: np.ndarray) -> float | None:
        """The lowest limit with at most so many alarms at the moments ``among``; None where there is nothing to go by."""
        known = np.unique(self.statistic[~np.isnan(self.statistic) & among[:, None]])
        if not len(known):
            return None
        low, high = 0, len(known) - 1
        while low < high:
            middle = (low + high) // 2
            raised = self.starts(float(known[middle])).any(axis=1) & among
            low, high = (low, middle) if raised.sum() <= most else (middle + 1, high)
        return float(known[low])


def replay(rule: Rule, sums: Sums, *, lag: timedelta = timedelta()) -> Replay:
    """Read a rule at every moment that has data before it, the last one the end of the sums."""
    step = max(1, rule.step // rule.width)
    highs = np.arange(sums.bins, sums.first, -step)[::-1]
    shape = (len(highs), len(sums.keys))
    statistic, value = np.full(shape, np.nan), np.full(shape, np.nan)
    limit = np.inf
    for i, high in enumerate(highs):
        reading = read(rule, sums, int(high))
        if reading.known.any():
            statistic[i], value[i], limit = reading.statistic, reading.value, reading.limit
    late = round(lag / rule.step) * rule.step
    return Replay(rule, sums.keys, tuple(sums.begin + int(h) * rule.width + late for h in highs), statistic, value, limit)
