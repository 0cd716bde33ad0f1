"""Everything that a change in a series may look like: steps, ramps and bursts at every bin, and their fit in one pass.

A burst is the difference of two steps and a ramp the mean of consecutive ones, so all candidates follow from how the steps
correlate: no T × K matrix of shapes is built.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEP, RAMP, BURST = 0, 1, 2
SHAPES = ("step", "ramp", "burst")
PRIOR = (0.6, 0.2, 0.2)
RAMPS = (5, 7, 10, 14, 21, 28, 42)


class Candidates(NamedTuple):
    """K candidates: shape, first changed bin, and ``stop``: of a burst the first bin after it, of a ramp one past the bin at
    which it is complete, of a step the end of the series. ``log_prior`` shares each shape's prior among its candidates."""

    shape: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    log_prior: np.ndarray

    def __len__(self) -> int:
        return len(self.shape)

    def only(self, keep: np.ndarray) -> Candidates:
        """The kept ones, with the prior shared anew."""
        shape = self.shape[keep]
        count = np.bincount(shape, minlength=3)
        prior = np.where(count > 0, PRIOR, 0.0)
        share = prior / max(prior.sum(), 1e-300) / np.maximum(count, 1)
        return Candidates(shape, self.start[keep], self.stop[keep], np.log(share[shape]))


def candidates(present: np.ndarray, *, edge: int = 3) -> Candidates:
    """All candidates for a series whose bins hold rows where ``present``.

    A step or ramp has ``edge`` bins with rows before it and after it, a burst at least one inside and ``edge`` outside, and
    lasts half the series at most. A ramp is seen under way in ``edge`` bins. Onsets inside a run of empty bins are the same
    change and are counted once, at its end.
    """
    length, seen = len(present), np.concatenate([[0], np.cumsum(present)])
    rows = [(STEP, a, length) for a in range(1, length)]
    rows += [(RAMP, a, a + k) for k in RAMPS for a in range(1, length - k + 1)]
    rows += [(RAMP, a, length) for a in range(1, length - RAMPS[0]) if length - a not in RAMPS]
    rows += [(BURST, a, a + k) for k in burst_lengths(length) for a in range(1, length - k)]
    shape, start, stop = np.array(rows, int).reshape(-1, 3).T
    inside = np.where(shape == BURST, seen[stop], seen[-1]) - seen[start]
    keep = (inside >= np.where(shape == BURST, 1, edge)) & (seen[-1] - inside >= edge)
    keep &= np.where(shape == BURST, True, seen[start] >= edge) & present[start]
    keep &= np.where(shape == BURST, present[stop - 1], True)
    keep &= np.where(shape == RAMP, seen[stop - 1] - seen[start] >= edge, True)
    return Candidates(shape, start, stop, np.zeros(len(shape))).only(keep)


def burst_lengths(length: int) -> list[int]:
    """1, 2, 3 … and from about five on growing by a quarter, up to half of the series."""
    grown = np.round(1.25 ** np.arange(60)).astype(int)
    return [int(k) for k in np.unique(grown) if k <= length // 2]


def curve(shape: int, start: int, stop: int, length: int) -> np.ndarray:
    """The share of the effect that each bin has under one candidate."""
    t = np.arange(length)
    if shape == RAMP:
        return np.clip((t - start + 1) / (stop - start), 0, 1)
    return ((t >= start) & (t < stop)).astype(float)


def scores(what: Candidates, weighted: np.ndarray) -> np.ndarray:
    """Inner products (K × B) of every candidate's curve with the columns of ``weighted`` (T × B)."""
    step = _from_right(weighted)
    run = np.concatenate([np.zeros((1, step.shape[1])), np.cumsum(step, axis=0)])
    steps, ramps, bursts = (np.flatnonzero(what.shape == k) for k in (STEP, RAMP, BURST))
    out = np.empty((len(what), weighted.shape[1]))
    out[steps] = step[what.start[steps]]
    out[ramps] = (run[what.stop[ramps]] - run[what.start[ramps]]) / (what.stop - what.start)[ramps, None]
    out[bursts] = step[what.start[bursts]] - step[what.stop[bursts]]
    return out


def information(what: Candidates, precision: np.ndarray) -> np.ndarray:
    """Curve' · precision · curve of every candidate."""
    gram = step_gram(precision)
    sums = np.pad(np.cumsum(np.cumsum(gram, axis=0), axis=1), ((1, 0), (1, 0)))
    a, b = what.start, what.stop
    block = (sums[b, b] - sums[a, b] - sums[b, a] + sums[a, a]) / (b - a) ** 2
    burst = gram[a, a] - 2 * gram[a, b] + gram[b, b]
    return np.select([what.shape == RAMP, what.shape == BURST], [block, burst], gram[a, a])


def step_gram(precision: np.ndarray) -> np.ndarray:
    """Step' · precision · step for steps at every two bins; the last row and column, steps after the end, are 0."""
    return _from_right(_from_right(precision).T)


def _from_right(x: np.ndarray) -> np.ndarray:
    """Sums from each row to the last, and a row of zeros after it."""
    return np.concatenate([np.cumsum(x[::-1], axis=0)[::-1], np.zeros((1, x.shape[1]))])
