"""Which slice it was, once it is known what moved and when: the one under which "it changed here and nowhere else" is likeliest.

A slice too wide dilutes the change, one too narrow leaves a change outside; both cost likelihood.
"""

from __future__ import annotations

import numpy as np

from ...stats.likelihood import binomial_fit
from ..reductions import rows
from .axes import CODED, DERIVED
from .cube import Counter, Cube, Label, where_sql
from .suspects import penalty

TRIED = 3
ROUNDS = 2
MOST_HAVE = 0.7
IMPURE = 6.0


def best_slice(counter: Counter, cube: Cube, metric: int, start: int, stop: int | None, sign: int) -> Label:
    """The likeliest slice of a change of one metric between two bins of the counter; all traffic is the empty one."""
    inside = np.zeros(counter.bins, bool)
    inside[start:stop] = True
    rate = counter.plan.metrics[metric].kind == "rate"
    total = _sides(cube.total[:, metric], inside)
    parts = _sides(cube.sums[:, metric], inside)
    variance = _variance(total)
    cost = np.array([penalty(counter, label) for label in cube.labels])
    score = _score(parts, total, rate, variance, sign) - cost - IMPURE * _without_metric(counter, cube, metric)
    score[list(cube.exposures)] = -np.inf
    whole = float(_gain(total[..., None], rate, variance)[0]) / 2
    out: list[tuple[float, Label]] = []
    out += [(float(score[c]), cube.labels[c]) for c in np.argsort(-score)[: 3 * TRIED] if np.isfinite(score[c])]
    if _everywhere(counter, cube, metric) or not out:
        out.append((whole, ()))
    for _ in range(ROUNDS):
        out = _narrower(counter, metric, start, stop, total, out, rate, variance, sign)
    return max(out, key=lambda b: b[0])[1]


def _everywhere(counter: Counter, cube: Cube, metric: int) -> bool:
    """Whether most traffic has the metric; else "all traffic" would mean those features that have it, and they can be named."""
    every = next(i for i, m in enumerate(counter.plan.metrics) if m.name == "spans_per_trace")
    scored = counter.plan.metrics[metric].is_score
    return scored or cube.total[0, metric].sum() > MOST_HAVE * cube.total[0, every].sum()


def _without_metric(counter: Counter, cube: Cube, metric: int) -> np.ndarray:
    """Per slice the share of traces that do not have the metric: of two slices that hold the same values the purer one is meant."""
    every = next(i for i, m in enumerate(counter.plan.metrics) if m.name == "spans_per_trace")
    if counter.plan.metrics[metric].is_score:
        return np.zeros(len(cube.labels))
    n, count = cube.sums[0, metric].sum(axis=1), cube.sums[0, every].sum(axis=1)
    return 1 - np.divide(n, count, out=np.ones_like(n), where=count > 0)


def _sides(sums: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(3 × …, bins) → 2 × 3 × …: before (or outside of a burst) and inside."""
    return np.stack([sums[..., ~inside].sum(axis=-1), sums[..., inside].sum(axis=-1)]).astype(float)


def _variance(total: np.ndarray) -> float:
    n, s, q = total.sum(axis=0)
    return max(float(q / max(n, 1) - (s / max(n, 1)) ** 2), 1e-12)


def _score(parts: np.ndarray, total: np.ndarray, rate: bool, variance: float, sign: int) -> np.ndarray:
    """Gain of a change inside less that of one outside; minus infinity where it moved the other way or nobody is on one side."""
    rest = total[:, :, None] - parts
    gain = _gain(parts, rate, variance) - np.where(rest[:, 0].min(axis=0) > 5, _gain(rest, rate, variance), 0.0)
    gain = (gain + _apart(parts, rest, total, rate, variance)) / 2
    n, s = parts[:, 0], parts[:, 1]
    mean = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
    wrong = (np.sign(mean[1] - mean[0]) != sign) & (sign != 0)
    return np.where(wrong | (n.min(axis=0) < 5), -np.inf, gain)


def _apart(parts: np.ndarray, rest: np.ndarray, total: np.ndarray, rate: bool, variance: float) -> np.ndarray:
    """How much is gained by letting the slice move apart from the rest: difference in differences.

    Of a rate, how much clearer it stands out after the onset than before: where next to nothing happened before (errors,
    truncation), two levels in time gain as much in all traffic as in the slice.
    """
    if not rate:
        n, s = (np.stack([parts[:, k], rest[:, k]]) for k in (0, 1))
        mean = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
        (inside, outside), weight = mean[:, 1] - mean[:, 0], np.divide(1, n, out=np.full_like(n, np.inf), where=n > 0)
        return (inside - outside) ** 2 / weight.sum(axis=(0, 1)) / (2 * variance)
    before, after = (_gain(np.stack([parts[k], rest[k]]), rate, variance) for k in (0, 1))
    return after - before * total[1, 0] / max(total[0, 0], 1.0)


def _gain(parts: np.ndarray, rate: bool, variance: float) -> np.ndarray:
    """Log likelihood gained by two levels instead of one."""
    n, s = parts[:, 0], parts[:, 1]
    if rate:
        return binomial_fit(s[0], n[0]) + binomial_fit(s[1], n[1]) - binomial_fit(s.sum(axis=0), n.sum(axis=0))
    mean = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
    weight = np.divide(n[0] * n[1], n.sum(axis=0), out=np.zeros_like(mean[0]), where=n.sum(axis=0) > 0)
    return weight * (mean[1] - mean[0]) ** 2 / (2 * variance)


def _narrower(counter: Counter, metric: int, start: int, stop: int | None, total, out, rate, variance, sign):
    """Each of the best with one attribute more."""
    known = {tuple(sorted(label)) for _, label in out}
    later = f"{counter.bin_sql} >= {start}" + (f" AND {counter.bin_sql} < {stop}" if stop is not None else "")
    flag = f"CASE WHEN {later} THEN 1 ELSE 0 END"
    found = list(out)
    for _, label in sorted(out, key=lambda b: -b[0])[:TRIED]:
        if not 1 <= len(label) < 3:
            continue
        for a, axis in enumerate(counter.axes):
            if a in {x for x, _ in label} or not axis.still or axis.name in DERIVED:
                continue
            sql = f"""SELECT c{a} AS c, {flag} AS later, count(m{metric}) AS n, sum(m{metric}) AS s, sum(m{metric} * m{metric}) AS q
                FROM {CODED} WHERE {where_sql(label)} AND c{a} IS NOT NULL GROUP BY 1, 2"""
            parts = np.zeros((2, 3, len(axis.values)))
            for r in rows(counter.obs, sql):
                if r["n"]:
                    parts[int(r["later"]), :, int(r["c"])] = r["n"], r["s"], r["q"]
            score = _score(parts, total, rate, variance, sign)
            for code in np.flatnonzero(np.isfinite(score)):
                more = (*label, (a, int(code)))
                if tuple(sorted(more)) not in known:
                    known.add(tuple(sorted(more)))
                    found.append((float(score[code]) - penalty(counter, more), more))
    return found
