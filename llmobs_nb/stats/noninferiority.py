"""Is a candidate no worse than a baseline by more than a margin: contrasts of two arms, one-sided tests, power, n.

A contrast is candidate minus baseline (of logarithms where it is ``relative``). It passes when its two-sided interval at ``level``
ends on the good side of the margin: a one-sided test at (1 - level) / 2, 2.5 % for 0.95, the convention of ICH E9 and E10. The
interval holds the score-type corrections that make this true near the ends of a scale: Tango's for pairs of 0/1, Newcombe's
for independent rates, and for bounded means one unseen row at the end of the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from scipy import optimize, stats

from .compare import mover
from .estimate import Estimate
from .intervals import critical, pooled_df, variance, wilson
from .moments import Moments
from .multiplicity import holm

Better = Literal["up", "down", ""]
Called = Literal["pass", "fail", "inconclusive"]
POWER = 0.8
# Rows at the end of the scale that may have gone unseen: n equal values then bound a mean as n zeros bound a rate, by 3.7 / n at 97.5 %.
UNSEEN = 1.25
_MOST, _LEAST = 1 - 1e-12, 1e-6
_LARGEST = 1e7


class Contrast(Protocol):
    """Candidate against baseline: what a judgement needs to know."""

    value: float
    n: int
    se: float
    relative: bool

    def limits(self, level: float) -> tuple[float, float]:
        """The two-sided interval."""

    def scaled(self, k: float) -> Contrast:
        """The same with k times the data and no difference: what an experiment of that size would see."""


@dataclass(frozen=True)
class Shift:
    """A difference of means (of mean logarithms, or of logarithms of means) with Student's t.

    ``down`` and ``up`` are how far unseen rows at the worst and best end of the scale would move it, 0 on an open scale.
    """

    value: float
    se: float
    df: float
    n: int
    down: float = 0.0
    up: float = 0.0
    relative: bool = False

    def limits(self, level: float) -> tuple[float, float]:
        t = critical(level, self.df)
        low = self.value + self.down - t * math.hypot(self.se, self.down)
        return low, self.value + self.up + t * math.hypot(self.se, self.up)

    def scaled(self, k: float) -> Shift:
        df = max(self.df * k, 1.0)
        return replace(self, value=0.0, se=self.se / math.sqrt(k), df=df, n=self.n * k, down=self.down / k, up=self.up / k)


@dataclass(frozen=True)
class PairedRates:
    """Difference of two rates over the same n items; ``up`` items changed from 0 to 1 and ``down`` from 1 to 0 (Tango 1998).

    Items with repeats may change by a part: each counts with its part, which is on the safe side.
    """

    up: float
    down: float
    n: float
    relative: bool = False

    @property
    def value(self) -> float:
        return (self.up - self.down) / self.n

    @property
    def se(self) -> float:
        return math.sqrt(max(self.up + self.down - (self.up - self.down) ** 2 / self.n, 0.0)) / self.n

    def limits(self, level: float) -> tuple[float, float]:
        z, d = critical(level), self.value
        low = -1.0 if d <= -1 else optimize.brentq(lambda at: self._z(at) - z, -1.0, d, xtol=1e-10)
        high = 1.0 if d >= 1 else optimize.brentq(lambda at: self._z(at) + z, d, 1.0, xtol=1e-10)
        return low, high

    def scaled(self, k: float) -> PairedRates:
        half = k * (self.up + self.down) / 2
        return PairedRates(half, half, k * self.n)

    def _z(self, d: float) -> float:
        """The score statistic of a difference d, with the rate of downs that is likeliest under it."""
        b, c, n = self.up, self.down, self.n
        one, two = (2 * n - b + c) * d - b - c, -c * d * (1 - d)
        downs = (math.sqrt(max(one * one - 8 * n * two, 0.0)) - one) / (4 * n)
        spread, gap = n * (2 * downs + d * (1 - d)), b - c - n * d
        if spread > 1e-14 * n:
            return gap / math.sqrt(spread)
        return 0.0 if abs(gap) < 1e-9 * n else math.copysign(1e9, gap)


@dataclass(frozen=True)
class PairedRatio:
    """Logarithm of the ratio of two positive means over the same n items, from their variances and covariance: Fieller's (1954) limits.

    They test the differences a - r b themselves, which stay symmetric for skewed costs. A limit that the data do not give (a mean
    that may be 0) is infinite.
    """

    a: float
    b: float
    aa: float
    ab: float
    bb: float
    n: float
    relative: bool = True

    @property
    def value(self) -> float:
        return math.log(self.a / self.b)

    @property
    def se(self) -> float:
        r = self.a / self.b
        return math.sqrt(max(self.aa - 2 * r * self.ab + r * r * self.bb, 0.0) / self.n) / self.a

    def limits(self, level: float) -> tuple[float, float]:
        g = critical(level, max(self.n - 1, 1.0)) ** 2 / self.n
        square, cross, free = self.b**2 - g * self.bb, self.a * self.b - g * self.ab, self.a**2 - g * self.aa
        inside = cross * cross - square * free
        if square <= 0 or inside < 0:
            return -math.inf, math.inf
        low, high = ((cross + sign * math.sqrt(inside)) / square for sign in (-1, 1))
        return math.log(low) if low > 0 else -math.inf, math.log(high)

    def scaled(self, k: float) -> PairedRatio:
        r = self.a / self.b
        return replace(self, a=self.b, aa=self.aa / r**2, ab=self.ab / r, n=self.n * k)


class Arm(NamedTuple):
    """The level of one arm: mean or rate, standard error, its degrees of freedom, rows, and what independent rows would know as much."""

    value: float
    se: float
    df: float
    n: int
    n_eff: float

    def estimate(self, *, rate: bool, level: float) -> Estimate:
        """The level with its interval: Wilson's at the effective n for a rate, Student's else."""
        if rate:
            return replace(wilson(self.value * self.n_eff, self.n_eff, level=level), value=self.value, n=self.n)
        half = critical(level, self.df) * self.se
        return Estimate(self.value, self.value - half, self.value + half, self.n, level, se=self.se, df=self.df)


@dataclass(frozen=True)
class TwoRates:
    """Difference of two independent rates at their effective n: Newcombe's (1998) method 10."""

    candidate: float
    candidate_n: float
    baseline: float
    baseline_n: float
    n: int
    relative: bool = False

    @property
    def value(self) -> float:
        return self.candidate - self.baseline

    @property
    def se(self) -> float:
        parts = (self.candidate, self.candidate_n), (self.baseline, self.baseline_n)
        return math.sqrt(sum(p * (1 - p) / n for p, n in parts))

    def limits(self, level: float) -> tuple[float, float]:
        parts = (self.candidate, self.candidate_n), (self.baseline, self.baseline_n)
        out = mover(*(wilson(p * n, n, level=level) for p, n in parts))
        return out.ci_low, out.ci_high

    def scaled(self, k: float) -> TwoRates:
        known = self.candidate_n + self.baseline_n
        pooled = (self.candidate * self.candidate_n + self.baseline * self.baseline_n) / known
        return TwoRates(pooled, k * self.candidate_n, pooled, k * self.baseline_n, self.n * k)


def arm(m: Moments, *, rate: bool, offset: float = 0.0, n: float | None = None, kish: float | None = None) -> Arm | None:
    """The level of an arm from its moments by cluster; None below two clusters.

    ``offset`` is added to the ratio (rows that were centred). ``n`` counts rows where weights stand in the moments, ``kish`` is
    the effective n of these weights.
    """
    if m.m < 2 or m.n <= 0:
        return None
    value, own = m.ratio + offset, variance(m)
    most = min(m.n if kish is None else kish, m.n if n is None else n)
    at = most
    if rate:
        value = min(max(value, 0.0), 1.0)
        if own == 0 or not 0 < value < 1:
            at = min(m.m, most)
        else:
            at = min(most, value * (1 - value) / own) * (critical() / critical(df=m.m - 1)) ** 2
    return Arm(value, math.sqrt(own), m.m - 1, int(m.n if n is None else n), at)


def two_means(
    candidate: Arm, baseline: Arm, *, bounds: tuple[float, float] | None = None, relative: bool = False
) -> Shift | None:
    """Difference of independent means (of mean logarithms where ``relative``); None without any spread on an open scale."""
    parts = (candidate.se**2, candidate.df), (baseline.se**2, baseline.df)
    se, df = math.sqrt(parts[0][0] + parts[1][0]), pooled_df(*parts)
    if se == 0 and bounds is None:
        return None
    df = min(candidate.df, baseline.df) if se == 0 else df
    shift = Shift(candidate.value - baseline.value, se, df, candidate.n + baseline.n, relative=relative)
    if bounds is None:
        return shift
    low, high = bounds
    down = _unseen(low - candidate.value, candidate) - _unseen(high - baseline.value, baseline)
    return replace(shift, down=down, up=_unseen(high - candidate.value, candidate) - _unseen(low - baseline.value, baseline))


def two_rates(candidate: Arm, baseline: Arm) -> TwoRates:
    """Difference of independent rates."""
    return TwoRates(candidate.value, candidate.n_eff, baseline.value, baseline.n_eff, candidate.n + baseline.n)


def two_ratios(candidate: Arm, baseline: Arm) -> Shift | None:
    """Ratio of two positive independent means, as a difference of logarithms (delta method); None where one is not positive.

    An arm's relative variance is at least that of both together: a small arm that has not met the dear requests of the other
    would seem cheap and sure of it (of lognormal costs with sigma 1.5, 12 % of canaries at the margin would pass).
    """
    if min(candidate.value, baseline.value) <= 0 or candidate.se + baseline.se == 0:
        return None
    own = [(one.se / one.value) ** 2 * (one.df + 1) for one in (candidate, baseline)]
    dfs = candidate.df, baseline.df
    pooled = (own[0] * dfs[0] + own[1] * dfs[1]) / sum(dfs)
    parts = [(max(v, pooled) / (df + 1), df) for v, df in zip(own, dfs, strict=True)]
    value, se = math.log(candidate.value / baseline.value), math.sqrt(parts[0][0] + parts[1][0])
    return Shift(value, se, pooled_df(*parts), candidate.n + baseline.n, relative=True)


def paired_means(m: Moments, *, bounds: tuple[float, float] | None = None, relative: bool = False) -> Shift | None:
    """Mean of the differences of pairs, one cluster a pair; None below two, or without any spread on an open scale."""
    if m.m < 2 or (m.scatter == 0 and bounds is None):
        return None
    shift = Shift(m.ratio, math.sqrt(variance(m)), m.m - 1, int(m.m), relative=relative)
    if bounds is None:
        return shift
    widest = bounds[1] - bounds[0]
    return replace(shift, down=UNSEEN * (-widest - m.ratio) / m.m, up=UNSEEN * (widest - m.ratio) / m.m)


def paired_ratio(m: Moments) -> PairedRatio | None:
    """Ratio of two means over the same items (x: candidate, n: baseline), as a logarithm; None below two items, at 0 or without spread."""
    if m.m < 2 or m.n <= 0 or m.x <= 0 or m.scatter == 0:
        return None
    a, b, bessel = m.x / m.m, m.n / m.m, m.m / (m.m - 1)
    return PairedRatio(a, b, bessel * (m.xx / m.m - a * a), bessel * (m.xn / m.m - a * b), bessel * (m.nn / m.m - b * b), m.m)


@dataclass(frozen=True)
class Judgement:
    """What a contrast says about a margin.

    ``p_pass`` is the one-sided p of "worse by the margin or more", ``p_fail`` that of "worse by the margin or less", after Holm
    where several were judged together. ``power`` is the chance to pass at this n if there is no difference; ``n_needed`` the n
    for a power of 0.8 with the same design, None where more data of this kind would not do.
    """

    change: Estimate
    verdict: Called
    p_pass: float | None = None
    p_fail: float | None = None
    power: float | None = None
    n_needed: int | None = None


def judge(contrasts: Sequence[tuple[Contrast | None, float, Better]], *, level: float = 0.95) -> list[Judgement]:
    """The verdict on each contrast, (contrast, margin, better): ``pass``, ``fail`` or ``inconclusive``.

    All must pass for the candidate to pass, so passing needs no correction (intersection-union, Berger 1982); one failure blocks
    it, so failures are Holm's over all. ``better`` "" takes a move beyond the margin either way as bad. Margins are positive, on
    the scale of the contrast (a logarithm where it is relative). A contrast that is None is inconclusive.
    """
    for _, margin, _ in contrasts:
        if not margin > 0:
            raise ValueError(f"margin={margin!r} is not above 0; give the loss that starts to matter")
    passes = [None if c is None else _p_pass(c, margin, better) for c, margin, better in contrasts]
    fails = holm([None if c is None else _p_fail(c, margin, better) for c, margin, better in contrasts])
    out = []
    for (c, margin, better), ok, bad in zip(contrasts, passes, fails, strict=True):
        if c is None:
            out.append(Judgement(Estimate.refused("too few data to compare", level=level), "inconclusive"))
            continue
        alpha = (1 - level) / 2
        verdict = "pass" if ok < alpha else "fail" if bad < alpha else "inconclusive"
        low, high = c.limits(level)
        value, low, high = (_ratio(v) for v in (c.value, low, high)) if c.relative else (c.value, low, high)
        change = Estimate(value, low, high, int(c.n), level)
        out.append(
            Judgement(
                change, verdict, ok, float(bad), power(c, margin, better, level=level), n_needed(c, margin, better, level=level)
            )
        )
    return out


def power(contrast: Contrast, margin: float, better: Better, *, times: float = 1.0, level: float = 0.95) -> float:
    """The chance to pass with ``times`` the data if there is no difference (normal approximation)."""
    c = contrast.scaled(times)
    low, high = c.limits(level)
    room = {"up": [margin - (c.value - low)], "down": [margin - (high - c.value)]}.get(better)
    room = [margin - (c.value - low), margin - (high - c.value)] if room is None else room
    chances = [float(stats.norm.cdf(r / c.se)) if c.se > 0 else float(r > 0) for r in room]
    return max(0.0, sum(chances) - len(chances) + 1)


def n_needed(contrast: Contrast, margin: float, better: Better, *, wanted: float = POWER, level: float = 0.95) -> int | None:
    """The n at which a design of this kind passes with the ``wanted`` power if there is no difference; None beyond 10 million times."""

    def short(log_k: float) -> float:
        return wanted - power(contrast, margin, better, times=math.exp(log_k), level=level)

    low, high = math.log(2 / max(contrast.n, 2)), math.log(_LARGEST)
    if short(high) > 0:
        return None
    if short(low) <= 0:
        return 2
    at = optimize.bisect(short, low, high, xtol=1e-3)
    return math.ceil(contrast.n * math.exp(at))


def p_no_difference(contrast: Contrast) -> float:
    """Two-sided p of "no difference"; it agrees with the interval."""
    return min(1.0, 2 * min(_above(contrast, 0.0), _below(contrast, 0.0)))


def net(treated: Shift, control: Shift) -> Shift:
    """A shift beyond what happened to a control in the same time (difference in differences); the two are taken as independent."""
    parts = (treated.se**2, treated.df), (control.se**2, control.df)
    se, df = math.hypot(treated.se, control.se), pooled_df(*parts)
    value, df = treated.value - control.value, treated.df if se == 0 else df
    return Shift(value, se, df, treated.n, treated.down, treated.up, treated.relative)


def _ratio(log: float) -> float:
    return math.expm1(log) if log < 700 else math.inf


def _unseen(gap: float, one: Arm) -> float:
    return UNSEEN * gap / one.n_eff


def _p_pass(c: Contrast, margin: float, better: Better) -> float:
    sides = {"up": [_above(c, -margin)], "down": [_below(c, margin)]}.get(better)
    return max(sides or [_above(c, -margin), _below(c, margin)])


def _p_fail(c: Contrast, margin: float, better: Better) -> float:
    if better == "":
        return min(1.0, 2 * min(_above(c, margin), _below(c, -margin)))
    return _below(c, -margin) if better == "up" else _above(c, margin)


def _above(c: Contrast, edge: float) -> float:
    """One-sided p of "at most edge"."""
    return _one_sided(lambda level: c.limits(level)[0] - edge)


def _below(c: Contrast, edge: float) -> float:
    """One-sided p of "at least edge"."""
    return _one_sided(lambda level: edge - c.limits(level)[1])


def _one_sided(clear: Callable[[float], float]) -> float:
    """The p at which the interval's limit reaches the edge; ``clear(level)`` is how far it stays away. 1 where it never does."""

    def near(level: float) -> float:
        return min(max(clear(level), -1e6), 1e6)

    if near(_LEAST) <= 0:
        return 1.0
    if near(_MOST) > 0:
        return (1 - _MOST) / 2
    return (1 - float(optimize.brentq(near, _LEAST, _MOST, xtol=1e-12))) / 2
