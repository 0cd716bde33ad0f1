"""Coverage, false alarms, power and speed of the review: ``python tests/benchmarks/weekly.py [--sets 2000] [--seeds 1400000]``.

Judging seeds start at 1,400,000; those below 10,000 were used for tuning. Every data set is a page of five weeks: sessions that
cluster, a weekday rhythm, shocks that a day shares, judgements drawn with unequal probabilities, KPIs that depend on each other.
All weeks are alike, so every change is 0 (mix and within too), and every level has a known truth. The statistics are those of the
review itself, on sufficient statistics. ``--store DIR`` times the review of a store instead.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy import stats

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]
from llmobs_nb.analyses.weekly import kpis as k  # noqa: E402
from llmobs_nb.analyses.weekly.levels import ask_quantiles, judge, review_quantile, review_quotient, review_ratio, review_volume  # noqa: E402
from llmobs_nb.analyses.weekly.plan import plan_days  # noqa: E402
from llmobs_nb.analyses.weekly.sql import WINDOWS  # noqa: E402
from llmobs_nb.stats.days import day_shock  # noqa: E402
from llmobs_nb.stats.mix import estimate, split  # noqa: E402
from llmobs_nb.stats.moments import Moments, moments  # noqa: E402
from llmobs_nb.windows import Window, back  # noqa: E402

WEEK = Window(datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC) + timedelta(days=7), "2026-W46")
PLAN = plan_days(WEEK, back(WEEK, 1), tz="UTC")
RHYTHM = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.4, 0.35])
DAYS, MEMBERS = len(PLAN.days), PLAN.members()
CELLS, USERS = 6, 400
SLOW = np.array([0.85, 0.9, 1.0, 1.05, 1.1, 1.2])


@dataclass(frozen=True)
class Regime:
    """Sessions a day, and the spread (log scale) of what a session, a user and a day share."""

    name: str
    sessions: int
    session: float
    day: float
    errors: float = 0.04
    judged: float = 0.3


REGIMES = (
    Regime("500 requests a day", 200, 0.4, 0.04),
    Regime("120 requests a day", 50, 0.4, 0.04, errors=0.06, judged=0.5),
    Regime("500 a day, no day shocks", 200, 0.4, 0.0, errors=0.01),
)


class Rows:
    """The rows of one data set: the day, session and user of every request, and what was measured of it."""

    def __init__(self, regime: Regime, seed: int):
        rng = np.random.default_rng(seed)
        weekday = np.array([place for _, place in PLAN.positions])
        busy = np.exp(rng.normal(0, max(regime.day, 0.03), DAYS))
        count = rng.poisson(regime.sessions * RHYTHM[weekday] * busy) + 2
        self.session_day = np.repeat(np.arange(DAYS), count)
        length = 1 + rng.binomial(4, 0.35, len(self.session_day))
        self.session = np.repeat(np.arange(len(length)), length)
        self.day = self.session_day[self.session]
        self.user = rng.integers(0, USERS, len(length))[self.session]
        self.cell = rng.choice(CELLS, len(length), p=[0.3, 0.25, 0.2, 0.15, 0.07, 0.03])[self.session]
        size = len(self.session)
        common = np.exp(rng.normal(0, regime.session, len(length)) - regime.session**2 / 2)[self.session]
        self.shock = np.exp(rng.normal(0, regime.day, DAYS) - regime.day**2 / 2)[self.day]
        late = 1 + 0.05 * (weekday > 4)[self.day]
        person = np.exp(rng.normal(0, 0.3, USERS))[self.user]
        slow = SLOW[self.cell]
        self.latency = 900 * slow * late * common * self.shock * np.exp(rng.normal(0, 0.6, size))
        self.failed = rng.random(size) < np.minimum(regime.errors * late * common * self.shock * slow, 0.9)
        self.rare = rng.random(size) < 0.004 * common * self.shock
        self.tokens = 400 * slow * common * self.shock * rng.lognormal(0, 0.5, size)
        self.seconds = self.tokens / 80 * rng.lognormal(0, 0.3, size)
        self.cost = 1e-5 * self.tokens * person * rng.lognormal(0, 0.9, size)
        mood = 0.12 * rng.standard_normal(len(length))[self.session] + 0.5 * np.log(self.shock)
        self.score = 0.72 - 0.03 * (slow - 1) - 0.02 * (late > 1) + mood - 0.2 * self.failed + rng.normal(0, 0.15, size)
        self.good = self.score > 0.7
        self.prob = np.where(self.failed, 1.0, np.where(self.cell > 2, regime.judged, regime.judged / 3))
        self.drawn = rng.random(size) < self.prob
        self.chance = rng.random(size)


def by_group(x, n, session, session_day, windows: bool = True) -> dict[int, Moments]:
    """Moments by day and window over sessions, from rows."""
    count = len(session_day)
    xs, ns = np.bincount(session, x, count), np.bincount(session, n, count)
    columns = (ns > 0, ns, xs, xs * xs, ns * ns, xs * ns)
    days = np.stack([np.bincount(session_day, c, DAYS) for c in columns], axis=1)
    out = {d: Moments(*days[d]) for d in range(DAYS) if days[d][0]}
    return out | {WINDOWS[w]: Moments(*days[chosen].sum(axis=0)) for w, chosen in MEMBERS.items()} if windows else out


def page(r: Rows, change: dict[str, float], only: str | None = None) -> dict:
    """All KPIs of a data set as reviews, or one; ``change`` moves this week's values of one (a shift, or a share)."""
    this = np.isin(r.day, MEMBERS["this"])
    one = np.ones(len(r.day))
    weight = r.drawn / r.prob
    weight *= r.drawn.sum() / weight.sum()
    score = r.score - (change.get("mean", 0.0) + change.get("mean, weighted", 0.0)) * this
    cost = r.cost * np.where(this, 1 + change.get("mean, relative", 0.0), 1)
    latency = np.where(this, r.latency * (1 + change.get("p95", 0.0)), r.latency)
    worse = ~_more(r, ~r.good, change.get("rate, weighted", 0.0), this)
    made = {
        "rate": lambda: _ratio(r, "rate", "down", _more(r, r.failed, change.get("rate", 0.0), this), one),
        "rate, rare": lambda: _ratio(r, "rate", "down", r.rare, one),
        "rate, weighted": lambda: _ratio(r, "rate", "up", worse * weight, weight),
        "mean": lambda: _ratio(r, "absolute", "up", score * r.drawn, r.drawn),
        "mean, weighted": lambda: _ratio(r, "absolute", "up", score * weight, weight),
        "mean, relative": lambda: _ratio(r, "relative", "down", cost, one),
        "ratio": lambda: _ratio(r, "relative", "down", r.tokens, r.seconds),
        "tokens": lambda: _ratio(r, "relative", "down", r.tokens, one),
        **{f"p{100 * kpi.p:g}": lambda kpi=kpi: quantile(r, kpi, latency) for kpi in k.QUANTILES[:3]},
        "volume": lambda: volume(r, one, counts=True),
        "volume, cost": lambda: volume(r, r.cost, counts=False),
        "cost per user": lambda: per_user(r),
    }
    if only:
        return {only: made[only]()}
    out = {name: make() for name, make in made.items()}
    return out | {"cost per good answer": review_quotient(k.GOOD_COST, PLAN, out["mean, relative"], out["rate, weighted"])}


def _ratio(r: Rows, kind: str, better: str, x, n):
    """The review of a rate, or of a mean whose change is absolute or relative."""
    kpi = k.rate("rate", "rate", better, "", "", "") if kind == "rate" else replace(
        k.mean("mean", "mean", "usd", better, "", "", ""), change_kind=kind, bounds=(-np.inf, np.inf)
    )  # fmt: skip
    return review_ratio(kpi, PLAN, by_group(x, n, r.session, r.session_day))


def _more(r: Rows, flags, share: float, this):
    """Ones added by chance among this week's zeros."""
    return flags | (this & (r.chance < share))


def quantile(r: Rows, kpi, latency):
    """A quantile by the same two steps as the review: moments of "at or below a rough threshold", then order statistics."""
    ordered = {WINDOWS[w]: np.sort(latency[np.isin(r.day, chosen)]) for w, chosen in MEMBERS.items()}
    found = by_group(latency <= np.quantile(latency, kpi.p), np.ones(len(latency)), r.session, r.session_day)
    asked = ask_quantiles(kpi, PLAN, 0, found, tuple(WINDOWS.values()))
    values = {rank: float(ordered[rank[1]][rank[2] - 1]) for a in asked for rank in a.ranks()}
    return review_quantile(kpi, PLAN, {a.group: a.estimate(values) for a in asked})


def volume(r: Rows, x, *, counts: bool):
    """A total by pairs of days."""
    kpi = k.VOLUMES[0] if counts else k.VOLUMES[3]
    sums = np.bincount(r.day, x, DAYS)
    daily = {d: {kpi.x: sums[d]} for d in range(DAYS)}
    weeks = {"this": MEMBERS["this"], "last": MEMBERS["last"]}
    totals = {w: {kpi.x: sums[days].sum(), "costed": len(x)} for w, days in weeks.items()}
    return review_volume(kpi, PLAN, daily, totals)


def per_user(r: Rows):
    """Cost per user: users are the clusters, and many of them come in both weeks."""
    found: dict[int, Moments] = {}
    cost = {}
    for name, days in [*((d, [d]) for d in range(DAYS)), *MEMBERS.items()]:
        here = np.isin(r.day, days)
        total = np.bincount(r.user[here], r.cost[here], USERS)
        seen = np.bincount(r.user[here], minlength=USERS) > 0
        found[WINDOWS.get(name, name)], cost[name] = moments(total[seen]), (total, seen)
    (x1, s1), (x0, s0) = cost["this"], cost["last"]
    both = s1 & s0
    covariance = ((x1[both] - x1[s1].mean()) * (x0[both] - x0[s0].mean())).sum() / (s1.sum() * s0.sum())
    return review_ratio(k.COST_PER_USER, PLAN, found, covariance=float(covariance))


def mixed(r: Rows) -> dict:
    """Mix and within of the latency's mean, as the review computes them."""
    table = np.zeros((2, 2, CELLS))
    for w, name in enumerate(("this", "last")):
        here = np.isin(r.day, MEMBERS[name])
        table[w] = np.bincount(r.cell[here], minlength=CELLS), np.bincount(r.cell[here], r.latency[here], CELLS)
    pooled = np.bincount(r.cell, minlength=CELLS), np.bincount(r.cell, r.latency, CELLS)
    made = split(*table[0], *table[1], pooled=pooled, relative=True)
    out = {}
    level = made.level[r.cell]
    for part, x_in, n_in, rest, value in (
        ("mix", made.mix_x, made.mix_n, level, made.mix), ("within", made.within_x, made.within_n, r.latency - level, made.within),
    ):  # fmt: skip
        squares, extra = [], []
        days = by_group(rest, np.ones(len(level)), r.session, r.session_day, windows=False)
        shock = day_shock(
            [days[d] for d in days], week=[PLAN.positions[d][0] for d in days], weekday=[PLAN.positions[d][1] for d in days]
        )
        for w, name in enumerate(("this", "last")):
            here = np.isin(r.day, MEMBERS[name])
            moved = np.bincount(r.session[here], x_in[w][r.cell[here]] * r.latency[here] + n_in[w][r.cell[here]])
            squares.append((float(len(np.unique(r.session[here]))), float((moved**2).sum())))
            variance, df = shock.extra([days[d].n for d in MEMBERS[name]])
            extra.append((variance / made.unit**2, df))
        out[part] = estimate(value, *squares, extra, n=len(level))
    return out


POWERED = ("rate", "mean", "mean, weighted", "mean, relative", "rate, weighted", "p95")
MANY = 3


def one(task) -> tuple[dict, tuple[bool, bool | None], dict]:
    """Of one data set: per KPI (level, change, holds 0, width), whether anything is called worse (on a longer page), and power."""
    regime, seed, moves = task
    rows = Rows(regime, seed)
    reviews = page(rows, {})
    # The page is as long as a real one: what other stages, features and error classes would show, from other data of the regime.
    others = [x for j in range(MANY) for x in page(Rows(regime, seed + 500_000 * (j + 1)), {}).values()] if moves else []
    reviews, others = {n: _as(r, "all") for n, r in reviews.items()}, [_as(r, "part") for r in others]
    verdicts = judge([*reviews.values(), *others])
    out = {}
    for name, review in reviews.items():
        e = review.change
        out[name] = (review.this, e.value, e.ci_low <= 0 <= e.ci_high if e.ok else None, e.ci_high - e.ci_low if e.ok else None)
    for name, e in mixed(rows).items():
        out[name] = (None, e.value, e.ci_low <= 0 <= e.ci_high if e.ok else None, e.ci_high - e.ci_low if e.ok else None)
    alone = any(v.verdict == "worse" for v in (verdicts if not others else judge(list(reviews.values()))))
    return out, (alone, any(v.verdict == "worse" for v in verdicts) if others else None), powers(rows, reviews, others, moves)


def _as(review, slice: str):
    """The review as that of a headline KPI (slice "all"), or of a part of the traffic, which weighs less."""
    return replace(review, kpi=replace(review.kpi, slice=slice, family=k.FIRST_FAMILIES[0]))


def powers(rows: Rows, reviews: dict, others: list, moves: dict[str, float]) -> dict[str, tuple[bool, ...]]:
    """Whether a change for the worse of one KPI, the others quiet, is called: on the short page, and on the long one as headline and as part."""
    out = {}
    for name, size in moves.items():
        changed = page(rows, {name: size}, only=name)[name]
        at, short = list(reviews).index(name), [_as(changed, "all") if n == name else r for n, r in reviews.items()]
        part = [*reviews.values(), *others[:at], _as(changed, "part"), *others[at + 1 :]]
        pages = (short, at), (short + others, at), (part, len(reviews) + at)
        out[name] = tuple(judge(found)[place].verdict == "worse" for found, place in pages)
    return out


def exact(hits: int, n: int) -> str:
    """A share with its exact 95 % interval."""
    low, high = stats.beta.ppf(0.025, hits, n - hits + 1), stats.beta.ppf(0.975, hits + 1, n - hits)
    return f"{hits / n:.3f} [{0 if hits == 0 else low:.3f}, {1 if hits == n else high:.3f}]"


def truths(results: list) -> dict[str, float]:
    """What levels scatter around: the mean (median of quantiles and volumes have no level) over the data sets."""
    out = {}
    for name in results[0][0]:
        values = [r[0][name][0].value for r in results if r[0][name][0] is not None and r[0][name][0].ok]
        if values:
            out[name] = float(np.mean(values))
    return out


def table(regime: Regime, results: list) -> None:
    """One line a KPI type."""
    truth = truths(results)
    print(f"\n{regime.name}\n{'KPI':<22} {'change holds 0':<24} {'level holds the truth':<24} {'width':>8} {'refused':>8}")
    for name in results[0][0]:
        held = [r[0][name][2] for r in results if r[0][name][2] is not None]
        widths = [r[0][name][3] for r in results if r[0][name][3] is not None]
        levels = [r[0][name][0] for r in results if r[0][name][0] is not None and r[0][name][0].ok and name[:6] != "volume"]
        inside = sum(e.ci_low <= truth[name] <= e.ci_high for e in levels)
        level = exact(inside, len(levels)) if levels else "exact"
        print(f"{name:<22} {exact(sum(held), len(held)):<24} {level:<24} {np.median(widths):8.3g} {len(results) - len(held):8d}")
    long = [r[1][1] for r in results if r[1][1] is not None]
    print(f"weeks with any of {len(results[0][0]) - 2} KPIs called worse: {exact(sum(r[1][0] for r in results), len(results))}")
    print(f"weeks with any of {(MANY + 1) * (len(results[0][0]) - 2)} KPIs called worse: {exact(sum(long), len(long))}")
    asked, count = sum(bool(r[2]) for r in results), len(results[0][0]) - 2
    for name in POWERED if asked else ():
        short, long, part = (sum(r[2][name][i] for r in results if r[2]) for i in range(3))
        print(
            f"4.5 standard errors worse, {name}: of {count} {exact(short, asked)}; of {(MANY + 1) * count} {exact(long, asked)}; there, of a slice {exact(part, asked)}"
        )


def sizes(pool, regime: Regime, count: int) -> dict[str, float]:
    """A change of 4.5 of its own standard errors, from tuning seeds, as the benchmark moves it: a shift, or a share.

    The standard error is that of a week with the change, on the scale of the test (logarithm of a relative change). It is known
    to one part in the root of twice ``count``: 600 sets tell 4.4 from 4.6, 100 do not tell 4.2 from 4.8, and power with it.
    """
    moves: dict[str, float] = dict.fromkeys(POWERED, 0.0)
    for _ in range(2):
        found = list(pool.map(moved, [(regime, 5_000 + s, dict(moves)) for s in range(count)], chunksize=10))
        for name in POWERED:
            levels, changes = (np.array(v) for v in zip(*(f[name] for f in found), strict=True))
            relative = name in ("mean, relative", "p95")
            size = 4.5 * float(np.std(np.log1p(changes) if relative else changes))
            spare = {"rate": 1 - levels.mean(), "rate, weighted": levels.mean()}.get(name, 1.0)
            moves[name] = float(np.expm1(size)) if relative else size / float(spare)
    return moves


def moved(task) -> dict[str, tuple[float, float]]:
    """Last week's level of each KPI and its change, in a data set in which this week moved."""
    regime, seed, moves = task
    rows = Rows(regime, seed)
    reviews = {name: page(rows, {name: size}, only=name)[name] for name, size in moves.items()}
    return {name: (r.last.value, r.change.value) for name, r in reviews.items()}


def timed(store: str) -> None:
    """Seconds and memory of the review of a store."""
    import llmobs_nb as lm

    began = time.perf_counter()
    result = lm.weekly(lm.open(store, threads=2))
    peak = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{result!r}\n{time.perf_counter() - began:.1f} s on the clock, {peak.ru_utime + peak.ru_stime:.1f} s of processor, {peak.ru_maxrss / 1e6:.2f} GB"
    )


def main() -> None:
    """Every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1_400_000)
    parser.add_argument("--power", type=int, default=300, help="data sets of a regime that also tell power and the long page")
    parser.add_argument("--only", type=int, help="one regime, from 0")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--store")
    asked = parser.parse_args()
    if asked.store:
        return timed(asked.store)
    with ProcessPoolExecutor(asked.workers) as pool:
        for i, regime in enumerate(REGIMES):
            if asked.only in (None, i):
                began, moves = time.perf_counter(), sizes(pool, regime, 600)
                seeds = range(asked.seeds + 10_000 * i, asked.seeds + 10_000 * i + asked.sets)
                tasks = [(regime, s, moves if n < asked.power else {}) for n, s in enumerate(seeds)]
                table(regime, list(pool.map(one, tasks, chunksize=10)))
                print(f"{asked.sets} data sets in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
