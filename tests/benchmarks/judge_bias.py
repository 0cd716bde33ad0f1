"""The figures of what a judge leans on: ``python tests/benchmarks/judge_bias.py [--sets 1000] [--seed 1800000]``.

Longer answers are better by ``rise`` (log odds per standard deviation); humans pass ``p`` of the middling ones and err in ``error`` of
their labels; the judge has TPR .9 and TNR .75 and leans on length by 0 or 5 points per standard deviation. Three covariates that have
nothing to do with anything are looked at besides. The table has, per regime and n: the false discovery rate (share of data sets of
an honest judge with anything flagged) and the power (share with length flagged), both after Benjamini-Hochberg at 5 %, beside how
often the marginal regression flags the honest judge. Judging seeds start at 1,800,000; those below 10,000 were used for tuning.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(os.path.dirname(HERE)), os.path.dirname(HERE)]

from llmobs_nb.stats import leaning  # noqa: E402
from llmobs_nb.stats.multiplicity import benjamini_hochberg  # noqa: E402

JUDGING = 1_800_000
TPR, TNR, LEAN, OTHERS, ALPHA = 0.9, 0.75, 0.05, 3, 0.05
REGIMES = [(p, rise, session) for p in (0.7, 0.8, 0.9) for rise, session in ((0.5, 1), (1.0, 1), (0.5, 4))]
SIZES, ERRORS = (400, 800), (0.0, 0.05, 0.15)


def draw(rng: np.random.Generator, n: int, p: float, rise: float, session: int, error: float, lean: float):
    """Judge, human, covariates (length first) and sessions of one data set."""
    of = np.arange(n) // session
    covariates = rng.normal(size=(OTHERS + 1, n))
    if session > 1:
        covariates = 0.6 * rng.normal(size=(OTHERS + 1, n // session + 1))[:, of] + 0.8 * covariates
    length = covariates[0]
    good = rng.random(n) < 1 / (1 + np.exp(-(np.log(p / (1 - p)) + rise * length)))
    judge = rng.random(n) < np.clip(np.where(good, TPR, 1 - TNR) + lean * length, 0, 1)
    human = np.where(rng.random(n) < error, ~good, good)
    return judge.astype(float), human.astype(float), covariates, of if session > 1 else None


def flags(how, data) -> np.ndarray:
    """Which covariates a question flags."""
    judge, human, covariates, clusters = data
    found = [how(judge, human, x / x.std(), clusters=clusters) for x in covariates]
    return benjamini_hochberg([e.p if e.ok else None for e in found]) < ALPHA


def regime(n: int, at: tuple, sets: int, seed: int) -> list[float]:
    """FDR by human error, power by human error, and how often the marginal question flags an honest judge."""
    out = []
    for lean in (0.0, LEAN):
        for error in ERRORS:
            found = [flags(leaning.given, draw(np.random.default_rng(seed + i), n, *at, error, lean)) for i in range(sets)]
            out.append(float(np.mean([f[0] if lean else f.any() for f in found])))
    few = range(max(sets // 5, 1))
    out.append(
        float(np.mean([flags(leaning.marginal, draw(np.random.default_rng(seed + i), n, *at, 0.0, 0.0)).any() for i in few]))
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=JUDGING)
    asked = parser.parse_args()
    heads = [f"{what} e={e:g}" for what in ("FDR", "power") for e in ERRORS] + ["marginal"]
    print(f"{'n':>4} {'p':>4} {'rise':>4} {'session':>7} " + " ".join(f"{h:>12}" for h in heads))
    table = []
    for n in SIZES:
        for i, at in enumerate(REGIMES):
            row = regime(n, at, asked.sets, asked.seed + 1_000 * i * len(SIZES) + 100_000 * SIZES.index(n))
            table.append((n, row))
            print(f"{n:>4} {at[0]:>4} {at[1]:>4} {at[2]:>7} " + " ".join(f"{v:>12.3f}" for v in row), flush=True)
    for n in SIZES:
        mean = np.mean([row for size, row in table if size == n], axis=0)
        print(f"{n:>4} {'mean':>17} " + " ".join(f"{v:>12.3f}" for v in mean))


if __name__ == "__main__":
    main()
