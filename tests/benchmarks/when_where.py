"""The figures of change points and slice scan: ``python tests/benchmarks/when_where.py [--worlds 300] [--series 1000]``.

Judging seeds start at 1,000,000; those below 10,000 were used for tuning. Every share is printed with its exact interval (Clopper
and Pearson) where it is a rate of false alarms. ``--only when|where|bounds|speed`` runs one table.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy import stats

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, os.path.dirname(TESTS)]
import changekit as kit  # noqa: E402

from llmobs_nb.stats import changes, margins  # noqa: E402
from llmobs_nb.stats.cells import whole  # noqa: E402
from llmobs_nb.stats.contrast import adjusted  # noqa: E402
from llmobs_nb.stats.crossfit import by_days, crossfit  # noqa: E402
from llmobs_nb.stats.scan import effects, scan, search  # noqa: E402
from llmobs_nb.stats.series import of_sums  # noqa: E402

JUDGING = 1_000_000
WITHIN = {"step": 1, "ramp": 4, "burst": 1}
BURSTS = (1, 2, 3, 5, 8)
QUIET_SERIES = [{}, {"tau": 0.0}, {"rho": 0.6}, {"tau": 0.03, "rho": 0.5}, {"tau": 0.03, "rho": 0.0}, {"rows": 600 * 56}]
HARM_SERIES = [("step", -0.03, 0), ("step", -0.06, 0), ("step", -0.1, 0), ("ramp", -0.06, 21), ("ramp", -0.1, 21)]
HARM_SERIES += [("burst", -0.1, 4), ("burst", -0.2, 2)]
QUIET_WORLDS = [{}, {"rows": 3000}, {"session": 0.1}, {"own": 0.02}, {"tau": 0.03, "rho": 0.6}]
HARM_WORLDS = [(shape, z, rows) for rows in (3000, 15_000) for shape in ("step", "ramp", "burst") for z in (4, 6, 8, 12)]


def exact(hits: int, n: int) -> str:
    """A share with its exact 95 % interval."""
    low, high = stats.beta.ppf(0.025, hits, n - hits + 1), stats.beta.ppf(0.975, hits + 1, n - hits)
    return f"{hits / n:.3f} [{0 if hits == 0 else low:.3f}, {1 if hits == n else high:.3f}]"


def reference(n, s) -> tuple[float, int]:
    """Volume-weighted Welch split, weekday-adjusted, AR(1)-deflated, Bonferroni over onsets: the p and the onset."""
    days, y = len(n), s / np.maximum(n, 1)
    for k in range(7):
        y[k::7] -= np.average(y[k::7], weights=n[k::7])
    best, onset = 0.0, 0
    for b in range(5, days - 4):
        parts = []
        for side in (slice(None, b), slice(b, None)):
            mean, size = np.average(y[side], weights=n[side]), n[side].sum() ** 2 / (n[side] ** 2).sum()
            parts.append((mean, np.average((y[side] - mean) ** 2, weights=n[side]) / (size - 1)))
        rest = y - np.where(np.arange(days) < b, parts[0][0], parts[1][0])
        rho = np.clip((rest[1:] @ rest[:-1]) / (rest @ rest), 0, 0.8)
        z = abs(parts[1][0] - parts[0][0]) / np.sqrt(parts[0][1] + parts[1][1]) * np.sqrt((1 - rho) / (1 + rho))
        if z > best:
            best, onset = z, b
    return min(1.0, 2 * stats.norm.sf(best) * (days - 9)), onset


def one_series(task) -> tuple:
    """Our change point and the reference on one series: p, onset right, interval right, width, effect covered, p of the reference."""
    seed, shape, size, length, kw = task
    at = int(np.random.default_rng(seed).integers(14, 36 if shape == "ramp" else 43))
    true = size * kit.bent(shape, at, length) if size else 0.0
    n, s, q = kit.series(seed, true, **kw)
    found = changes.find(of_sums(n, s, q))
    p, onset = reference(n, s)
    near = abs(found.onset - at) <= WITHIN[shape]
    held = found.effect.ci_low <= size <= found.effect.ci_high
    return found.p, near, found.low <= at <= found.high, found.high - found.low, held, p, abs(onset - at) <= WITHIN[shape]


def when(pool, count: int) -> None:
    """The table of change points in single series."""
    print("\nWHEN, quiet: false alarms at .01 and .05 (ours), at .01 (reference)")
    for kw in QUIET_SERIES:
        rows = np.array(list(pool.map(one_series, [(JUDGING + i, "step", 0, 0, kw) for i in range(count)], chunksize=20)))
        hits = [int((rows[:, 0] < a).sum()) for a in (0.01, 0.05)] + [int((rows[:, 5] < 0.01).sum())]
        print(f"  {kw!s:<28}", *(exact(h, count) for h in hits), flush=True)
    print(
        "WHEN, changed: found at .01, onset within ±1 (ramps ±4), interval covers, its width, effect covered | reference found, onset"
    )
    for shape, size, length in HARM_SERIES:
        tasks = [(JUDGING + 500_000 + i, shape, size, length, {}) for i in range(max(count // 3, 50))]
        rows = np.array(list(pool.map(one_series, tasks, chunksize=10)))
        ours, theirs = rows[:, 0] < 0.01, rows[:, 5] < 0.01
        told = [
            ours.mean(),
            *(rows[ours, k].mean() for k in (1, 2, 3, 4)),
            theirs.mean(),
            rows[theirs, 6].mean() if theirs.any() else 0,
        ]
        print(f"  {shape:<6} {size:>5} " + " ".join(f"{x:6.2f}" for x in told), flush=True)


def searched(w: kit.World):
    """The whole search as an analysis would run it: labels, cells, and search of score and errors, whole traffic among the cells."""
    labels, metrics = kit.cells(w)
    metrics = [whole(m) for m in metrics]
    noise = [changes.find(of_sums(*m.total), draws=50).noise.long_run for m in metrics]
    return [*labels, ()], metrics, noise, search(metrics, bursts=BURSTS, shocks=noise)


def one_quiet(task) -> tuple:
    """p of the best finding where nothing happened."""
    seed, kw = task
    return (searched(kit.world(seed, **kw))[3].p,)


def one_harmed(task) -> tuple:
    """One incident: oracle z, p, slice right first, among the first three, onset right, interval covers, effects over the truth."""
    seed, shape, z, rows = task
    rng = np.random.default_rng(seed)
    w = kit.world(seed, rows=rows)
    labels, metrics = kit.cells(w)
    share = metrics[0].n.sum(axis=1) / len(w.day)
    fit = [i for i, label in enumerate(labels) if 0.04 < share[i] < 0.5 and all(a != 7 for a, _ in label)]
    size = 1 + int(rng.integers(2))
    label = labels[rng.choice([i for i in fit if len(labels[i]) == size])]
    at, length = (
        int(rng.integers(14, 36 if shape == "ramp" else 43)),
        {"step": 0, "ramp": 21, "burst": int(rng.integers(2, 6))}[shape],
    )
    clean = w.score.copy()
    oracle = kit.harm(w, label, shape, at, length, z)
    labels, metrics, noise, found = searched(w)
    affected = w.member(label) & (kit.bent(shape, at, length)[w.day] > 0)
    true = float((w.score - clean)[affected].min())
    top = found.scan.top(3, metric=0)
    same = [_jaccard(affected, w.member(labels[f.cell]) & _during(w, f)) > 0.7 for f in top]
    exact_slice = [_jaccard(w.member(label), w.member(labels[f.cell])) > 0.7 for f in top]
    dated = changes.find(adjusted(metrics[0], top[0].cell, shock=noise[0]))
    naive = effects(metrics[0], [top[0].cell], top[0].onset, top[0].end, shock=noise[0])[0][2]
    fair = crossfit(*by_days(metrics[0]), shock=noise[0], bursts=BURSTS)
    return (
        abs(oracle), found.p, exact_slice[0], any(exact_slice), abs(dated.onset - at) <= WITHIN[shape], dated.low <= at <= dated.high,
        naive.value / true, fair.effect.value / true if fair else np.nan, same[0],
    )  # fmt: skip


def _during(w: kit.World, finding) -> np.ndarray:
    return (w.day >= finding.onset) & (w.day < (finding.end or kit.DAYS))


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def where(pool, count: int) -> None:
    """The table of the whole search."""
    print(f"\nWHERE, quiet: false alarms of the whole search at .01, .02, .05 ({count} worlds each)")
    for kw in QUIET_WORLDS:
        p = np.array(list(pool.map(one_quiet, [(JUDGING + i, kw) for i in range(count)], chunksize=4)))[:, 0]
        print(f"  {kw!s:<28}", *(exact(int((p < a).sum()), count) for a in (0.01, 0.02, 0.05)), flush=True)
    print(
        "WHERE, changed: found at .01 | of those: slice first, among three, onset, interval covers, effect / truth naive, cross-fitted"
    )
    each = max(count // 6, 20)
    tasks = [(JUDGING + 500_000 + i, *how) for how in HARM_WORLDS for i in range(each)]
    rows = np.array(list(pool.map(one_harmed, tasks, chunksize=4)), float)
    shapes = np.array([t[1] for t in tasks])
    for shape in ("step", "ramp", "burst"):
        for low, high in ((3, 5), (5, 7), (7, 10), (10, 99)):
            here = (shapes == shape) & (rows[:, 0] >= low) & (rows[:, 0] < high)
            seen = here & (rows[:, 1] < 0.01)
            if here.any() and seen.any():
                told = [*(rows[seen, k].mean() for k in (2, 3, 4, 5)), *(np.nanmedian(rows[seen, k]) for k in (6, 7))]
                told = " ".join(f"{x:6.2f}" for x in told)
                print(
                    f"  {shape:<6} oracle {low:>2}-{high:<3} n={here.sum():<4} {seen.sum() / here.sum():5.2f} | {told}",
                    flush=True,
                )


def one_bound(task) -> tuple:
    """Whether no change is claimed, for a series that changed by ``size`` and a margin of 0.04."""
    seed, size, rows = task
    at = int(np.random.default_rng(seed).integers(14, 43))
    found = changes.step_effects(of_sums(*kit.series(seed, size * kit.bent("step", at, 0), rows=rows)))
    (bound,) = margins.bounds([found], [0.04])
    return bound.inside, bound.detectable


def bounds(pool, count: int) -> None:
    """How often "no change" is claimed, when true and when a change of the size of the margin happened."""
    print("\nBOUNDS, margin .04: no change claimed; smallest detectable change")
    for rows in (60 * 56, 270 * 56, 1800 * 56):
        for size in (0.0, -0.04):
            out = np.array(list(pool.map(one_bound, [(JUDGING + i, size, rows) for i in range(count)], chunksize=20)))
            print(f"  rows {rows:>7,} change {size:>5}: {exact(int(out[:, 0].sum()), count)}  {out[:, 1].mean():.3f}", flush=True)


def speed() -> None:
    """Seconds of one call each, alone on one core if the machine is."""
    print("\nSPEED")
    rng = np.random.default_rng(1)
    for count in (2000, 5000):
        n = rng.poisson(3.0, (count, kit.DAYS)).astype(float)
        s = n * 0.5 + np.sqrt(n) * rng.normal(0, 0.3, n.shape)
        total = np.stack([n.sum(axis=0), s.sum(axis=0), (n * 0.34).sum(axis=0)])
        cells = kit.Cells(n, s, n * 0.34, total, np.full(count, 2))
        calls = {"scan": lambda c=cells: scan([c]), "search, 200 permutations": lambda c=cells: search([c])}
        calls["scan with bursts"] = lambda c=cells: scan([c], bursts=BURSTS)
        for name, call in calls.items():
            began = time.perf_counter(), time.process_time()
            call()
            spent = time.perf_counter() - began[0], time.process_time() - began[1]
            print(f"  {count:,} cells × {kit.DAYS} bins, {name}: {spent[0]:.3f} s, cpu {spent[1]:.3f} s")
    series = of_sums(*kit.series(1))
    began = time.process_time()
    for _ in range(5):
        changes.find(series)
    print(f"  find on 56 days: cpu {(time.process_time() - began) / 5:.3f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--only", choices=("when", "where", "bounds", "speed"))
    args = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        tables = {"when": lambda: when(pool, args.series), "where": lambda: where(pool, args.worlds)}
        tables |= {"bounds": lambda: bounds(pool, args.series), "speed": speed}
        for name, table in tables.items():
            if args.only in (None, name):
                table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
