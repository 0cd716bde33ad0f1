"""The figures of cost forecasts and cost anomalies: ``python tests/benchmarks/forecast.py [--months 1200] [--quiet 100] [--loops 300]``.

Months are forecast from the mornings of days 5, 15 and 25 with what was known then, some hours of that day included. Their generator is
not the model: a log-AR(1) level, exponential growth, weekday factors, pay-day bumps, gamma noise, counts. What is counted is how often
the month's end lies in the 80 and 95 % intervals, and the pinball loss of five quantiles beside seasonal naive, in parts of the
month's mean day. Months with a level shift or a burst after the origin's history began stand apart. Judging seeds start at
1,700,000; those below 10,000 were used for tuning.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(os.path.dirname(HERE))]

from llmobs_nb.analyses.cost.anomalies import Event, Scope, events  # noqa: E402
from llmobs_nb.analyses.cost.hours import HOUR, Clock, make_clock  # noqa: E402
from llmobs_nb.stats import forecast as f  # noqa: E402

JUDGING = 1_700_000
ORIGINS = (5, 15, 25)
KINDS = ("quiet", "shift", "burst")
MONDAY, DAYS = datetime(2026, 9, 7, tzinfo=UTC), 56
TENANTS, FEATURES = 20, 4


def month(seed: int, kind: str = "quiet") -> tuple[np.ndarray, int, int, date]:
    """Daily sums with some weeks before a month, where the month begins in them, its length and the first date."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    begin = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 24)) * 31)
    begin = begin.replace(day=1)
    length = ((begin.replace(day=28) + timedelta(days=4)).replace(day=1) - begin).days
    before = int(rng.integers(21, 110))
    first, total = begin - timedelta(days=before), before + length
    rho, sd = rng.uniform(0.8, 0.97), rng.uniform(0.02, 0.15)
    level = np.zeros(total)
    level[0] = rng.normal(0, sd)
    for t in range(1, total):
        level[t] = rho * level[t - 1] + rng.normal(0, sd * np.sqrt(1 - rho**2))
    growth = np.log1p(rng.uniform(-0.1, 0.35)) / 30
    week = np.append(rng.lognormal(0, 0.05, 5), rng.uniform(0.25, 1.05, 2))
    dates = [first + timedelta(days=t) for t in range(total)]
    bump = rng.uniform(1, 1.25)
    payday = np.array([bump if d.day in (1, 2, 15) else 1.0 for d in dates])
    mean = np.exp(level + growth * np.arange(total)) * week[[d.weekday() for d in dates]] * payday
    place = before + int(rng.integers(3, length - 3))
    if kind == "shift":
        mean[place:] *= rng.choice([0.6, 1.7])
    if kind == "burst":
        mean[place : place + int(rng.integers(1, 4))] *= 3
    cv, per_day = rng.uniform(0.03, 0.15), 10 ** rng.uniform(2, 4)
    y = rng.poisson(per_day * mean * rng.gamma(1 / cv**2, cv**2, total)) * rng.gamma(100, 0.01, total)
    return y, before, length, first


def forecasts(seed: int, kind: str) -> list[tuple]:
    """Per origin: inside 80, inside 95, pinball of the model and of seasonal naive, in mean days."""
    y, before, length, first = month(seed, kind)
    rng = np.random.default_rng([seed, 9])
    out = []
    for origin in ORIGINS:
        k = before + origin - 1
        share = rng.uniform(0.02, 0.6)
        gone = min(share * rng.lognormal(0, 0.05), 0.95)
        rest = y[k + 1 : before + length].sum() + (1 - gone) * y[k]
        sums = f.draws(y[:k], ahead=before + length - k, phase=first.weekday(), begun=f.Begun(gone * y[k], share)).sum(axis=1)
        q = np.quantile(sums, f.QUANTILES)
        naive = f.seasonal_naive(y[:k], before + length - k) - gone * y[k]
        unit = y[before:].mean()
        out.append((q[1] <= rest <= q[3], q[0] <= rest <= q[4], f.pinball(q, rest) / unit, f.pinball(naive, rest) / unit,
                    naive[1] <= rest <= naive[3]))  # fmt: skip
    return out


def months(first: int, count: int, kind: str) -> None:
    found = np.array([forecasts(first + k, kind) for k in range(count)], float)
    for place, origin in enumerate((*map(str, ORIGINS), "all")):
        cell = found[:, place] if place < len(ORIGINS) else found.reshape(-1, found.shape[2])
        c80, c95, ours, naive, naive80 = cell.mean(axis=0)
        print(f"{kind:7} {origin:>4} {len(cell):6} {c80:8.3f} {c95:8.3f} {ours:9.3f} {naive:9.3f} {naive80:9.3f}", flush=True)


class World:
    """Eight weeks of a product: unequal tenants with a rhythm, a growth and busy days of their own, sessions of several requests, lognormal costs."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        hours = 24 * DAYS
        t = np.arange(hours)
        day, hour = t // 24, t % 24
        size = rng.uniform(5, 60) / np.arange(1, TENANTS + 1) ** rng.uniform(0.7, 1.3)
        peak, width = rng.normal(14, 2, TENANTS), rng.uniform(3, 7, TENANTS)
        rhythm = 0.05 + np.exp(-0.5 * ((hour[None] - peak[:, None]) / width[:, None]) ** 2)
        weekend = np.where(day % 7 >= 5, rng.uniform(0.2, 1.0, TENANTS)[:, None], 1.0)
        shocks = np.zeros((TENANTS, DAYS))
        for d in range(1, DAYS):
            shocks[:, d] = 0.7 * shocks[:, d - 1] + rng.normal(0, rng.uniform(0.05, 0.2), TENANTS)
        growth = np.exp(rng.normal(0, 0.15, TENANTS)[:, None] * t / 720)
        rate = size[:, None] * rhythm * weekend * growth * np.exp(shocks[:, day])
        sessions = rng.poisson(rate)
        of = np.repeat(np.arange(sessions.size), sessions.ravel())
        turns = rng.geometric(0.4, len(of))
        feature = np.repeat(rng.integers(0, FEATURES, len(of)), turns)
        of = np.repeat(of, turns)
        cost = rng.lognormal(-5, rng.uniform(0.6, 1.2), len(of)) * rng.lognormal(0, 0.5, FEATURES)[feature]
        self.tenants = np.bincount(of, cost, sessions.size).reshape(TENANTS, hours)
        self.features = np.stack([np.bincount((of % hours)[feature == k], cost[feature == k], hours) for k in range(FEATURES)])
        self.scopes = [
            Scope(None, None),
            *(Scope("tenant_id", f"t{k}") for k in range(TENANTS)),
            *(Scope("feature", f"f{k}") for k in range(FEATURES)),
        ]

    def found(self, clock: Clock) -> list[Event]:
        """Events of what was known at the clock's end."""
        sums = np.vstack([self.tenants.sum(axis=0), self.tenants, self.features])[:, : len(clock)]
        return events(self.scopes, sums, clock)

    def loop(self, factor: float) -> tuple[bool, bool]:
        """Whether a loop in a tenant is named, told by the tenant's scope, when it has run for an hour; and whether anything is named of that hour."""
        rng = self.rng
        tenant = rng.choice(np.flatnonzero(np.quantile(self.tenants, 0.99, axis=1) > 0))
        start = rng.uniform(24 * 28, 24 * DAYS - 2)
        first, last = int(start), int(start + 1)
        rate = factor * np.quantile(self.tenants[tenant], 0.99)
        gone = start + 1 - last
        feature = rng.integers(0, FEATURES)
        for rows, k in ((self.tenants, tenant), (self.features, feature)):
            rows[k, last] *= gone
            rows[k, first] += rate * (1 - gone)
            rows[k, last] += rate * gone
        self.tenants[np.arange(TENANTS) != tenant, last] *= gone
        self.features[np.arange(FEATURES) != feature, last] *= gone
        clock = make_clock(MONDAY, MONDAY + (start + 1) * HOUR)
        told = [e for e in self.found(clock) if e.high > first]
        return any(e.scope == Scope("tenant_id", f"t{tenant}") for e in told), bool(told)


def alarms(first: int, quiet: int, loops: int) -> None:
    """False anomalies a month in quiet worlds; loops found within the hour, by size."""
    clock = make_clock(MONDAY, MONDAY + DAYS * 24 * HOUR - timedelta(seconds=1))
    counts = [World(first + k).found(clock) for k in range(quiet)]
    total = np.array([len(c) for c in counts])
    months = quiet * DAYS / 30
    by = {str(key): sum(e.scope.key == key for c in counts for e in c) for key in (None, "tenant_id", "feature")}
    daily = sum(e.daily for c in counts for e in c)
    print(f"quiet worlds {quiet}: {total.sum() / months:.3f} false anomalies a month; by scope {by}, {daily} of them of days")
    for factor in (3.0, 5.0, 10.0):
        hits = np.array([World(first + 50_000 + k).loop(factor) for k in range(loops)])
        print(
            f"loops of {factor:g} x the tenant's hourly p99: {hits[:, 0].mean():.3f} of {loops} named within the hour", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, default=600)
    parser.add_argument("--quiet", type=int, default=100, help="quiet worlds of eight weeks")
    parser.add_argument("--loops", type=int, default=200, help="planted loops of each size")
    parser.add_argument("--first", type=int, default=JUDGING)
    asked = parser.parse_args()
    began = time.process_time()
    if asked.months:
        print("months   day      n  cover80  cover95   pinball     naive   naive80")
    for kind in KINDS if asked.months else ():
        months(asked.first, asked.months if kind == "quiet" else asked.months // 4, kind)
    if asked.quiet and asked.loops:
        alarms(asked.first, asked.quiet, asked.loops)
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
