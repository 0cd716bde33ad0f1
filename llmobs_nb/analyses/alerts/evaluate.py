"""One rule at one moment: value, threshold, baseline, and whether the condition holds, for every value of its split at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ...stats.anomaly import slide
from .anomalies import kolmogorov, sigma
from .compare import DAY, WEEK
from .rules import Rule
from .sums import Buckets, Level, Moments, Sums, bucket_of, quantile

LEAST_COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Reading:
    """One element per by-value. ``statistic`` beats ``limit`` where the condition holds; NaN where nothing can be said (``reason``).

    ``value``, ``threshold`` and ``baseline`` are in the unit of the metric. ``days`` is how far back the clearest look of an anomaly
    reaches; ``new`` are the values that an event saw for the first time.
    """

    value: np.ndarray
    n: np.ndarray
    baseline: np.ndarray
    threshold: np.ndarray
    statistic: np.ndarray
    limit: float
    reason: str | None = None
    days: np.ndarray | None = None
    new: tuple[str, ...] = ()

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.statistic)

    @property
    def holds(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return self.statistic > self.limit


def read(rule: Rule, sums: Sums, high: int) -> Reading:
    """The condition of a rule at the end of bin ``high`` (exclusive), from nothing that lies after it."""
    if sums.missing:
        return _nothing(len(sums.keys), sums.missing)
    if rule.measure.kind == "event":
        return _event(rule, sums, high)
    kind = rule.compare.kind
    reading = {"burn_rate": _burn, "anomaly": _anomaly, "drop": _change, "rise": _change}.get(kind, _level)(rule, sums, high)
    few = reading.n < rule.least
    if few.all() and reading.reason is None:
        reading = replace(reading, reason=f"{float(reading.n.max(initial=0)):,.0f} of the {rule.least:,} rows that it needs")
    return replace(reading, statistic=np.where(few, np.nan, reading.statistic))


def held(rule: Rule, sums: Sums, high: int) -> np.ndarray:
    """For each by-value how many bins back from ``high`` the condition has held without a break, looked at every step; 0 where it does not."""
    step, wide = _bins(rule, rule.step), _bins(rule, rule.hold)
    out = np.zeros(len(sums.keys), int)
    alive = np.ones(len(sums.keys), bool)
    for back in range(0, wide + step, step):
        alive &= read(rule, sums, high - back).holds
        out[alive] = back + 1
        if not alive.any():
            break
    return out


def _bins(rule: Rule, length: timedelta) -> int:
    return -(-length // rule.width)


def _nothing(count: int, reason: str, n: np.ndarray | None = None, value: np.ndarray | None = None) -> Reading:
    empty = np.full(count, np.nan)
    return Reading(empty if value is None else value, np.zeros(count) if n is None else n, empty, empty, empty, math.inf, reason)


def _window(rule: Rule, sums: Sums, high: int) -> Level:
    return sums.over(max(0, high - _bins(rule, rule.window)), high)


def _level(rule: Rule, sums: Sums, high: int) -> Reading:
    if high <= sums.first:
        return _nothing(len(sums.keys), "there are no data before this moment")
    n, value = _window(rule, sums, high)
    sign = 1 if rule.compare.kind == "above" else -1
    fixed = np.full_like(value, rule.compare.amount)
    return Reading(value, n, np.full_like(value, np.nan), fixed, sign * value, sign * rule.compare.amount)


def _change(rule: Rule, sums: Sums, high: int) -> Reading:
    n, value = _window(rule, sums, high)
    before = _baseline(rule, sums, high)
    if before is None:
        return _nothing(len(value), "there are too few data before the window for its baseline", n, value)
    c = rule.compare
    known = np.where(before.n >= max(1, rule.least), before.value, np.nan)
    sign = 1 if c.kind == "rise" else -1
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(known > 0, known, np.nan) if c.relative else np.ones_like(known)
        statistic = sign * (value - known) / scale
    why = "its baseline is empty or 0" if np.isnan(statistic).all() else None
    return Reading(value, n, known, known + sign * c.amount * scale, statistic, c.amount, why)


def _baseline(rule: Rule, sums: Sums, high: int) -> Level | None:
    """Level of the baseline; of totals what a window of the rule's length would hold. None where the data do not reach back."""
    base, window = rule.compare.baseline, _bins(rule, rule.window)
    if base.weeks:
        week = WEEK // rule.width
        parts = [sums.over(high - k * week - window, high - k * week) for k in range(1, base.weeks + 1)
                 if high - k * week - window >= sums.first]  # fmt: skip
        return _mean(sums, parts) if parts else None
    low, top = high - window - _bins(rule, base.length), high - window
    if base.pinned:
        low, top = _pinned(rule, base.pinned, sums)
    if base.pinned is None and (top - max(low, sums.first)) < LEAST_COVERED * (top - low):
        return None
    low = max(low, sums.first)
    if not 0 <= low < top:
        return None
    n, value = sums.over(low, top)
    return Level(n, value * window / (top - low) if sums.measure.kind in ("total", "distinct") else value)


def _pinned(rule: Rule, pinned: tuple[datetime, datetime], sums: Sums) -> tuple[int, int]:
    """The bins of a pinned window."""
    return tuple(int((at - sums.begin) // rule.width) for at in pinned)


def _mean(sums: Sums, parts: list[Level]) -> Level:
    """Windows of the same weekday and hours taken together: of totals their average, else weighted by rows."""
    n, value = (np.array([getattr(p, name) for p in parts]) for name in ("n", "value"))
    if sums.measure.kind in ("total", "distinct"):
        return Level(n.sum(axis=0), value.mean(axis=0))
    total = n.sum(axis=0)
    weighted = np.where(n > 0, n * np.nan_to_num(value), 0).sum(axis=0)
    return Level(total, np.divide(weighted, total, out=np.full_like(total, np.nan), where=total > 0))


def _burn(rule: Rule, sums: Sums, high: int) -> Reading:
    """Share of bad events over the budgeted share, long and short window; both must burn."""
    c = rule.compare
    long, short = (sums.over(max(0, high - _bins(rule, w)), high) for w in (c.long, c.short))
    burn = np.fmin(long.value, short.value) / c.budget
    burn = np.where(short.n > 0, burn, np.nan)
    return Reading(long.value, long.n, np.full_like(burn, c.budget), np.full_like(burn, c.amount * c.budget), burn, c.amount)


def _event(rule: Rule, sums: Buckets, high: int) -> Reading:
    """Values of the window that were not seen before it; of models with a declared list, those not in it."""
    low = high - _bins(rule, rule.window)
    now = sums.table(low, high)[0]
    allowed = rule.compare.allowed
    if allowed:
        fresh = np.array([n not in allowed for n in sums.names], bool)[: len(now)] & (now > 0)
    else:
        if low - sums.first < DAY // rule.width:
            return _nothing(1, "there is less than a day of data before the window", np.array([now.sum()]))
        fresh = (now > 0) & (sums.table(0, low)[0] == 0)
    fresh &= now >= max(1, rule.least)
    found = np.array([float(fresh.sum())])
    names = tuple(sums.names[i] for i in np.flatnonzero(fresh))
    limit = np.array([rule.compare.amount])
    return Reading(found, np.array([float(now[fresh].sum())]), np.full(1, np.nan), limit, found, rule.compare.amount, new=names)


def _anomaly(rule: Rule, sums: Sums, high: int) -> Reading:
    n, value = _window(rule, sums, high)
    many = len(sums.keys)
    out = np.full((6, many), np.nan)
    for k in range(many):
        one = _one_anomaly(rule, sums, high, k)
        if one is not None:
            out[: len(one), k] = one
    level, expected, threshold, statistic, days, looked = out
    known = ~np.isnan(statistic)
    why = None if known.any() else "it needs two weeks of days with data before the days it looks at, and levels that vary"
    limit = 1 - rule.compare.amount if rule.compare.method == "ks" else rule.compare.amount
    return Reading(
        np.where(known, level, value), np.where(np.isnan(looked), n, looked), expected, threshold, statistic, limit, why, days
    )


def _one_anomaly(rule: Rule, sums: Sums, high: int, k: int) -> tuple | None:
    """Level, expected, threshold, statistic (the z on the bad side), days of the look and, where a look is longer than the window, its rows."""
    c = rule.compare
    if c.method == "ks":
        return kolmogorov(sums, k, high, _bins(rule, rule.window), _bins(rule, c.baseline.reach), c.amount)
    daily = DAY // rule.width
    back = c.baseline.reach // DAY + max(c.looks)
    count = min(back, -(-(high - sums.first) // daily))
    if count < 2:
        return None
    n, s, q, scale = _blocks(sums, k, high, _bins(rule, rule.window), daily, count, max(c.looks))
    side = {"up": 1, "down": -1, "both": 0, "worse": {"down": 1, "up": -1}.get(rule.measure.better, 0)}[c.side]
    if c.method == "sigma":
        return sigma(n, s, c.looks[-1], side, c.amount, scale, mean=rule.measure.kind != "total")
    phase = (sums.begin + high * rule.width - count * DAY).weekday()
    found = slide(n, s, q, looks=c.looks if rule.window == DAY else (1,), phase=phase, side=side)
    if found is None or found.n < rule.least:
        return None
    sign = side or math.copysign(1, found.z)
    if rule.measure.kind == "quantile":
        return (*_quantiles(sums, k, high, daily, count, found.look, sign * found.z), found.n)
    limit = found.expected + sign * c.amount * found.error
    return scale(found.level), scale(found.expected), scale(limit), sign * found.z, float(found.look), found.n


def _quantiles(sums: Buckets, k: int, high: int, daily: int, count: int, look: int, z: float) -> tuple:
    """As quantiles what was tested as a share; a threshold in their unit there is none."""
    now, usual = (sums.table(a, b)[k] for a, b in ((high - daily * look, high), (high - daily * count, high - daily * look)))
    return quantile(now, sums.measure.p), quantile(usual, sums.measure.p), math.nan, z, float(look)


def _blocks(sums: Sums, k: int, high: int, width: int, daily: int, count: int, looks: int):
    """n, s, q of the last days, and what takes a level back to the unit of the metric.

    What is positive is compared by logarithm, a total by that of each day, a quantile as the share of rows above where it lay.
    """
    kind = sums.measure.kind
    if kind == "quantile":
        usual = sums.table(high - daily * count, high - daily * min(looks, count // 2))[k]
        code = bucket_of(usual, sums.measure.p)
        n, s = sums.beyond(len(usual) if code is None else code, k, high, width, daily, count)
        return n, s, s, float
    assert isinstance(sums, Moments)
    n, s, q = sums.blocks(high, width, daily, count, logs=kind == "log")[:, k]
    if kind != "total":
        return n, s, q, math.exp if kind == "log" else float
    total = n if sums.measure.metric is None else s
    level = np.log(np.maximum(total, 1e-12))
    rows = np.where(total > 0, n, 0)
    return rows, rows * level, rows * level**2 + rows, math.exp
