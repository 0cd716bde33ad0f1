"""The figures of the true pass rate: ``python tests/benchmarks/calibration.py [--sets 5000] [--designs 200] [--tuning]``.

Simulated traffic of 3,000 judged traces (judge: TPR .95, TNR .8) of which n are labelled by a known design, 16 regimes of pass rate and
n, single traces and sessions of five (intraclass correlation .4, the judge's errors .2). First the coverage of the 95 % interval
under each design, and its width beside that of other methods that reach .94 in the regime; then how often a design that was
declared wrongly is left or refused, counted where the declared one's interval covers less than .80, and how often a right one is refused.
Judging seeds start at 1,800,000; those below 10,000 were used for tuning.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(os.path.dirname(HERE))]

from llmobs_nb.analyses.calibration.design import Design, find_design  # noqa: E402
from llmobs_nb.analyses.calibration.passrate import pass_rate  # noqa: E402
from llmobs_nb.stats import passrate as pr  # noqa: E402
from llmobs_nb.stats.intervals import mean, proportion  # noqa: E402
from llmobs_nb.stats.moments import moments  # noqa: E402
from tests.calibrationkit import common, drawn, paired  # noqa: E402

JUDGING = 1_800_000
RATES, LABELS = (0.5, 0.7, 0.9, 0.98), (40, 100, 200, 300)
REGIMES = [(p, n) for p in RATES for n in LABELS]
TRAFFIC, SESSION, ICC, TPR, TNR = 3000, 5, 0.4, 0.95, 0.8
EARLIER = 0.15  # by how much less passed in the period that labels come from
SWITCH = [(p, n) for p in (0.6, 0.8, 0.95) for n in (40, 100, 300)]


def judged(rng: np.random.Generator, p: float, n: int, clustered: bool):
    """Human and judge of n traces, and their sessions."""
    sessions = n // SESSION if clustered else n
    rate, tpr, tnr = (
        common(rng, np.full(sessions, r), i if clustered else 0.0) for r, i in ((p, ICC), (TPR, ICC / 2), (TNR, ICC / 2))
    )
    code = np.arange(n) // (SESSION if clustered else 1)
    human = rng.random(n) < rate[code]
    judge = rng.random(n) < np.where(human, tpr[code], 1 - tnr[code])
    return human.astype(float), judge.astype(float), code


def chosen(rng: np.random.Generator, design: str, n: int, human, judge, code) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows that are labelled, and their weights; sessions are exchangeable, so that the first ones are as good as any."""
    if design == "weights":
        pull = np.where(judge > 0.5, 1.0, 4.0) * (1 + (code % 2))
        prob = np.minimum(n * pull / pull.sum(), 1)
        rows = np.flatnonzero(rng.random(code.max() + 1)[code] < prob)
        return rows, 1 / prob[rows]
    if design in ("by_verdict", "by_label"):
        side = judge if design == "by_verdict" else human
        return np.sort(np.concatenate([np.flatnonzero(side == v)[: n // 2] for v in (0.0, 1.0)])), None
    return np.arange(n), None


def others(human, judge, all_judged, clusters) -> dict:
    """What other methods say of a random sample: the labels alone, prediction-powered inference (Angelopoulos 2023), Rogan and Gladen."""
    gap = mean(human - judge, clusters=clusters)
    out = {
        "labels alone": proportion(human, clusters=clusters),
        "rogan_gladen": pr.rogan_gladen(judge, human, all_judged, clusters=clusters),
    }
    if gap.ok:
        rate = all_judged.ratio
        half = np.hypot((gap.ci_high - gap.ci_low) / 2, 1.96 * np.sqrt(all_judged.scatter) / all_judged.n)
        out["prediction-powered"] = (rate + gap.value - half, rate + gap.value + half)
    return out


def coverage(sets: int, seed: int) -> None:
    """The table of coverage and widths."""
    print(
        f"{'design':12} {'sessions':9} {'mean':>6} {'least':>6} {'most':>6} {'refused':>8} {'width / narrowest of 3 others that reach .94 (most, mean)'}"
    )
    for design in ("random", "by_verdict", "weights", "by_label", "period"):
        for clustered in (False, True):
            rows = [regime(design, clustered, p, n, sets, seed) for p, n in REGIMES]
            cover, ratio = np.array([r[0] for r in rows]), [r[2] for r in rows if r[2]]
            told = f"{max(ratio):.3f} {np.mean(ratio):.3f}" if ratio else "-"
            print(
                f"{design:12} {'of 5' if clustered else 'single':9} {cover.mean():6.3f} {cover.min():6.3f} {cover.max():6.3f} {np.mean([r[1] for r in rows]):8.4f} {told}"
            )
            off = [
                f"p {p} n {n}: {c:.3f}"
                for (p, n), c in zip(REGIMES, cover, strict=True)
                if not (c >= 0.93 if p >= 0.95 and n < 100 else 0.93 <= c <= 0.97)
            ]
            print("    outside:", "; ".join(off) or "none", flush=True)


def regime(design: str, clustered: bool, p: float, n: int, sets: int, seed: int) -> tuple[float, float, float | None]:
    """Coverage, share refused, and the width beside the narrowest other method that reaches .94 (random samples only)."""
    hits, width = defaultdict(list), defaultdict(list)
    refused = 0
    for at in range(sets):
        rng = np.random.default_rng([seed + at, int(100 * p), n, clustered])
        human, judge, code = judged(rng, p, TRAFFIC, clustered)
        size = SESSION if clustered else 1
        total = moments(judge.reshape(-1, size).sum(axis=1), n=np.full(TRAFFIC // size, float(size)))
        if design == "period":
            human, judge, code = judged(rng, p - EARLIER, n, clustered)
        rows, weights = chosen(rng, design, n, human, judge, code)
        who = code[rows] if clustered else None
        if design in ("by_label", "period"):
            found = pr.rogan_gladen(judge[rows], human[rows], total, clusters=who, inside=design == "by_label")
        else:
            found = pr.post_stratified(judge[rows], human[rows], total, weights=weights, clusters=who)
        refused += not found.ok
        named = {"ours": found} | (others(human[rows], judge[rows], total, who) if design == "random" else {})
        for name, e in named.items():
            low, high = e if isinstance(e, tuple) else (e.ci_low, e.ci_high)
            if low is not None:
                hits[name].append(low <= p <= high)
                width[name].append(high - low)
    good = [np.mean(width[name]) for name in hits if name != "ours" and np.mean(hits[name]) >= 0.94]
    return float(np.mean(hits["ours"])), refused / sets, float(np.mean(width["ours"]) / min(good)) if good else None


def designs(sets: int, seed: int) -> None:
    """The table of designs that were declared wrongly, and rightly."""
    print(
        f"\n{'drawn':11} {'declared':11} {'sessions':9} {'regimes':>8} {'left or refused':>16} {'least':>6} | {'refused though valid':>20}"
    )
    for truth in ("random", "by_verdict", "by_label", "period", "weights"):
        for clustered in (False, True):
            told = {d: defaultdict(list) for d in ("auto", "random", "by_verdict", "by_label")}
            for p, n in SWITCH:
                for declared, (covers, left, refused) in declared_so(truth, clustered, p, n, sets, seed).items():
                    told[declared]["left" if covers < 0.8 else "refused"].append(left if covers < 0.8 else refused)
            for declared, found in told.items():
                wrong, right = found["left"], found["refused"]
                first = f"{np.mean(wrong):16.3f} {min(wrong):6.3f}" if wrong else f"{'-':>16} {'-':>6}"
                second = f"{np.mean(right):20.3f}" if right else f"{'-':>20}"
                print(
                    f"{truth:11} {declared:11} {'of 5' if clustered else 'single':9} {len(wrong):8} {first} | {second}",
                    flush=True,
                )


def declared_so(truth: str, clustered: bool, p: float, n: int, sets: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """By what was declared: how often that design's interval covers, how often it is left or refused, and how often nothing is said."""
    world = {
        "p": (p - 2 * EARLIER, p) if truth == "period" else p,
        "session": SESSION if clustered else 1,
        "icc": ICC if clustered else 0.0,
    }
    true = p - EARLIER if truth == "period" else p
    told = defaultdict(list)
    for at in range(sets):
        one = paired(drawn(seed + at, design=truth, n=n, **world))
        plain = {d: pass_rate(one, Design(d, d, "", None, ""))["corrected"] for d in ("random", "by_label")}
        for declared in ("auto", "random", "by_verdict", "by_label"):
            base = "random" if declared == "auto" else declared
            e = plain["by_label" if base == "by_label" else "random"]  # by verdict the estimator is that of random labels
            used = find_design(one, declared).used
            told[declared].append((e.ok and e.ci_low <= true <= e.ci_high, used != base, used == "none"))
    return {declared: tuple(np.mean(rows, axis=0)) for declared, rows in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=5000, help="data sets per design and regime")
    parser.add_argument("--designs", type=int, default=200, help="data sets per drawn design and regime")
    parser.add_argument("--tuning", action="store_true", help="seeds from 0 on")
    asked = parser.parse_args()
    seed, began = 0 if asked.tuning else JUDGING, time.process_time()
    coverage(asked.sets, seed)
    designs(asked.designs, seed)
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
