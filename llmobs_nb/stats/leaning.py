"""Does a judge lean on something it should not see, such as the length of an answer: two different questions, answered beside each other.

The marginal one regresses judge - human on the covariate. It flags honest judges: whoever is wrong at a fixed rate on good and on bad
answers errs more on whichever is more frequent at that length. The one given the human label compares answers of the same label. It is
the bias proper, but for the humans' own errors: within a label, longer answers are truly better more often than the label says. So
it is told for every share of wrong labels from none to ``error``, and counts as found only if it holds for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .compare import difference, two_sided
from .estimate import Estimate
from .intervals import critical, mean
from .jackknife import Parts, by_cluster, spread

LEAST = 10
ERROR = 0.05


def marginal(judge, human, covariate, *, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Change of judge - human per unit of the covariate: least squares, cluster jackknife, Student's t with effective clusters.

    Rows with a missing value are left out. Refused with fewer than 10 rows, and where the covariate is the same everywhere.
    """
    y, h, x, w, clusters = _complete(judge, human, covariate, sample_weight, clusters)
    if (reason := _refusal(x)) is not None:
        return Estimate.refused(reason, n=len(x), level=level)
    d = y - h
    parts = by_cluster(np.stack([w, w * x, w * d, w * x * x, w * x * d], axis=1), clusters, w)
    (found,) = _estimates(parts, lambda s: [_slope(s)], len(x), level)
    return found


def given(judge, human, covariate, *, error: float = ERROR, sample_weight=None, clusters=None, level: float = 0.95) -> Estimate:
    """Change of the judge's word per unit of the covariate among answers of the same human label.

    Labels of 0 and 1 are strata, weighted so that few labels and labels which errors would reach count less; other numbers enter as
    a regressor. The value is that of labels without error; interval and p hold for every share of wrong labels up to ``error``
    (of 0 and 1: either way; of numbers: share of their variance). Missing values and refusals as in :func:`marginal`.
    """
    y, h, x, w, clusters = _complete(judge, human, covariate, sample_weight, clusters)
    if (reason := _refusal(x)) is not None:
        return Estimate.refused(reason, n=len(x), level=level)
    labels = np.isin(h, (0, 1)).all()
    columns = _by_label(y, h, x, w) if labels else _by_number(y, h, x, w)
    parts = by_cluster(columns, clusters, w)
    total = parts.sums.sum(axis=0)
    statistic = _strata(total, error) if labels else _regression(error)
    if statistic is None:
        return Estimate.refused("no label has enough answers that differ in it", n=len(x), level=level)
    return _all_of(_estimates(parts, statistic, len(x), level))


def position(judge, human, *, clusters=None, level: float = 0.95) -> tuple[Estimate, Estimate]:
    """Of preferences (1 = the first answer): judge - human; and errors toward the first answer less those toward the second.

    The second is the bias given the human label: a share of the humans' second choices less a share of their first ones.
    """
    judge, human = np.asarray(judge, float), np.asarray(human, float)
    toward = [np.where(human == side, judge != human, np.nan) for side in (0.0, 1.0)]
    toward = [np.where(np.isfinite(judge) & np.isfinite(human), t, np.nan) for t in toward]
    errors = (mean(v, clusters=clusters, level=level) for v in toward)
    return shown_first(judge - human, clusters=clusters, level=level), difference(*errors)


def shown_first(lead, *, clusters=None, level: float = 0.95) -> Estimate:
    """A mean that is 0 for a judge who does not mind the order, with the p of that."""
    found = mean(lead, clusters=clusters, level=level)
    return replace(found, p=two_sided(found.value / found.se, found.df)) if found.ok else found


def _complete(judge, human, covariate, weight, clusters):
    y, h, x = (np.asarray(v, float) for v in (judge, human, covariate))
    keep = np.isfinite(y) & np.isfinite(h) & np.isfinite(x)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    x = x[keep]
    return y[keep], h[keep], x - (x.mean() if len(x) else 0), w[keep], None if clusters is None else np.asarray(clusters)[keep]


def _refusal(x: np.ndarray) -> str | None:
    if len(x) < LEAST:
        return f"fewer than {LEAST} answers with a value"
    return "it is the same for all answers" if np.ptp(x) < 1e-12 else None


def _by_label(y, h, x, w) -> np.ndarray:
    sides = [w * (h == side) for side in (0, 1)]
    return np.stack([s * v for s in sides for v in (np.ones(len(y)), x, y, x * x, x * y, y * y)], axis=1)


def _by_number(y, h, x, w) -> np.ndarray:
    return np.stack([w * v for v in (np.ones(len(y)), x, h, y, x * x, x * h, h * h, x * y, h * y)], axis=1)


def _slope(s: np.ndarray) -> np.ndarray:
    """Slope from sums of (1, x, y, x², x·y) in the first columns."""
    n, x, y, xx, xy = s.T[:5]
    with np.errstate(all="ignore"):
        return (xy - x * y / n) / (xx - x * x / n)


def _strata(total: np.ndarray, error: float) -> Callable[[np.ndarray], list[np.ndarray]] | None:
    """The statistic without errors and with as many as there may be: slopes within labels less their leaks, weighted for good."""
    weight = _weights(total, error)
    if weight is None:
        return None

    def statistic(s):
        slopes = np.stack([_slope(s[:, :6]), _slope(s[:, 6:])], axis=1)
        return [np.where(weight > 0, slopes - leak, 0) @ weight for leak in (np.zeros_like(slopes), _leaks(s, error))]

    return statistic


def _weights(total: np.ndarray, error: float) -> np.ndarray | None:
    """What each label counts: least variance, where the leak is a part of it that both share."""
    variance = np.full(2, np.inf)
    for side in (0, 1):
        n, x, y, xx, xy, yy = total[6 * side : 6 * side + 6]
        if n >= 3 and (sxx := xx - x * x / n) > 1e-9 * max(xx, 1e-300):
            left = (yy - y * y / n) - (xy - x * y / n) ** 2 / sxx
            variance[side] = max(left / (n - 2), 0.25 / n) / sxx
    if not np.isfinite(variance).any():
        return None
    if not np.isfinite(variance).all():
        return np.isfinite(variance).astype(float)
    leak = _leaks(total[None], error)[0]
    pull = np.linalg.solve(np.diag(variance) + np.outer(leak, leak), np.ones(2))
    pull = np.maximum(pull, 0)
    return pull / pull.sum()


def _leaks(s: np.ndarray, error: float) -> np.ndarray:
    """Slopes within the labels 0 and 1 of a judge who sees the truth alone, where ``error`` of the labels are wrong either way.

    Among answers of one label the share of truly good ones rises with the covariate by (its rise overall) · error · (1 - error) /
    (share of the label)², to first order; the judge follows by its difference between good and bad.
    """
    a, b = s[:, :6], s[:, 6:]
    with np.errstate(all="ignore"):
        n = a[:, 0] + b[:, 0]
        q1 = b[:, 0] / n
        q0 = 1 - q1
        e = np.minimum(error, np.minimum(q0, q1) / 2)
        p = (q1 - e) / (1 - 2 * e)
        apart = (b[:, 2] / b[:, 0] - a[:, 2] / a[:, 0]) / (p * (1 - e) / q1 - p * e / q0)
        x, xx = a[:, 1] + b[:, 1], a[:, 3] + b[:, 3]
        rise = (b[:, 1] - x * q1) / (xx - x * x / n) / (1 - 2 * e)
        leak = (apart * rise * e * (1 - e))[:, None] / np.stack([q0, q1], axis=1) ** 2
    return np.where(np.isfinite(leak), leak, 0)


def _regression(error: float) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Least squares on covariate and human number; with errors, that share of the number's variance is taken off (errors in variables)."""

    def statistic(s):
        n, x, h, y, xx, xh, hh, xy, hy = s.T
        with np.errstate(all="ignore"):
            xx, xh, hh, xy, hy = xx - x * x / n, xh - x * h / n, hh - h * h / n, xy - x * y / n, hy - h * y / n
            plain = np.where(hh > 1e-12, (xy * hh - hy * xh) / (xx * hh - xh**2), xy / xx)
            less = np.maximum(hh * (1 - error), 1.02 * xh**2 / xx)
            return [plain, np.where(hh > 1e-12, (xy * less - hy * xh) / (xx * less - xh**2), xy / xx)]

    return statistic


def _estimates(parts: Parts, statistic, n: int, level: float) -> list[Estimate]:
    total = parts.sums.sum(axis=0)
    out = []
    for i, value in enumerate(statistic(total[None])):
        found, value = spread([parts], total, lambda s, i=i: statistic(s)[i]), float(value[0])
        if found is None or not math.isfinite(value) or found.se <= 1e-12:
            reason = "1 cluster only: no spread to estimate from" if found is None else "no spread to estimate from"
            return [Estimate.refused(reason, n=n, level=level)]
        half = critical(level, found.df) * found.se
        p = two_sided(value / found.se, found.df)
        out.append(Estimate(value, value - half, value + half, n, level, se=found.se, df=found.df, p=p))
    return out


def _all_of(found: list[Estimate]) -> Estimate:
    """The first of several, with an interval and a p that hold for all of them."""
    first = found[0]
    if not all(e.ok for e in found):
        return first
    same = len({e.value > 0 for e in found}) == 1
    low, high = min(e.ci_low for e in found), max(e.ci_high for e in found)
    p = max(e.p for e in found) if same else 1.0
    return Estimate(first.value, low, high, first.n, first.level, se=max(e.se for e in found), df=min(e.df for e in found), p=p)
