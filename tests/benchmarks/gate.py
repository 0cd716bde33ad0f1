"""The figures of the deployment gate: ``python tests/benchmarks/gate.py [--sets 2000] [--seed 1200000]``.

For every kind of metric, design and n: how often a candidate passes that is worse by exactly the margin (at most 5 %), how often one
passes that is no different, what the gate itself says that power is, and how often one is failed that is no different. Judging
seeds start at 1,200,000; those below 10,000 were used for tuning. ``--n 2000 --metric mean --design paired`` runs these regimes
only; a regime draws the same data whichever others run. A data set takes about a millisecond of one core.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(os.path.dirname(HERE)), os.path.dirname(HERE)]
from benchmarks.incidents import exact  # noqa: E402

from llmobs_nb.stats import intervals  # noqa: E402
from llmobs_nb.stats import noninferiority as ni  # noqa: E402
from llmobs_nb.stats.moments import moments  # noqa: E402

JUDGING = 1_200_000
LEVEL = 0.95
SESSION = 4
QUIET = 4  # one data set in so many is drawn without a difference as well
Draw = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


def quantile(level: float = 0.95, df: float = math.inf) -> float:
    """:func:`llmobs_nb.stats.intervals.critical` without the checks of scipy.stats: the same number, ten times as fast."""
    tail = (1 + level) / 2
    return float(ndtri(tail) if math.isinf(df) else stdtrit(df, tail))


intervals.critical = ni.critical = quantile


@dataclass(frozen=True)
class Kind:
    """A kind of metric: how a row is drawn from how hard its item is (standard normal) and the loss, and how it is judged."""

    name: str
    draw: Draw
    margin: float
    better: str
    how: str  # rate, mean, log or ratio
    bounds: tuple[float, float] | None = None


def rate(p: float, sign: int) -> Draw:
    """0 or 1; harder items are worse."""

    def draw(rng, item, loss):
        at = p + sign * loss
        return (ndtr(0.7 * item + math.sqrt(1 - 0.49) * rng.standard_normal(item.shape)) < at).astype(float)

    return draw


def ordinal(weights) -> Draw:
    """Grades 1 to 5 with these probabilities; the loss moves answers to the grade 1."""
    weights = np.asarray(weights, float)
    mean = weights @ np.arange(1, 6)

    def draw(rng, item, loss):
        share = loss / (mean - 1)
        u = ndtr(0.7 * item + math.sqrt(1 - 0.49) * rng.standard_normal(item.shape))
        grade = 1.0 + np.searchsorted(np.cumsum(weights)[:-1], u)
        return np.where(rng.random(item.shape) < share, 1.0, grade)

    return draw


def shifted(weights) -> Draw:
    """Grades 1 to 5; the loss lowers some of those above 1 by one grade."""
    weights = np.asarray(weights, float)

    def draw(rng, item, loss):
        u = ndtr(0.7 * item + math.sqrt(1 - 0.49) * rng.standard_normal(item.shape))
        grade = 1.0 + np.searchsorted(np.cumsum(weights)[:-1], u)
        return grade - (rng.random(item.shape) < loss / (1 - weights[0])) * (grade > 1)

    return draw


def unit_score(rng, item, loss):
    """A judge's score between 0 and 1, around 0.75."""
    return np.clip(0.75 + 0.07 * item + 0.1 * rng.standard_normal(item.shape) - loss, 0, 1)


def cost(sigma: float, tail: float = 0.0) -> Draw:
    """Dollars: lognormal, a share ``tail`` of runaway requests at 20 times."""

    def draw(rng, item, loss):
        z = 0.7 * item + math.sqrt(1 - 0.49) * rng.standard_normal(item.shape)
        return np.exp(sigma * z) * np.where(rng.random(item.shape) < tail, 20.0, 1.0) * math.exp(loss)

    return draw


GRADES = (0.02, 0.05, 0.13, 0.30, 0.50)
TOP = (0.005, 0.005, 0.01, 0.03, 0.95)
LN15 = math.log1p(0.15)
KINDS = (
    Kind("rate .90, margin .05", rate(0.9, -1), 0.05, "up", "rate"),
    Kind("rate .99, margin .02", rate(0.99, -1), 0.02, "up", "rate"),
    Kind("errors .01, margin .02", rate(0.01, 1), 0.02, "down", "rate"),
    Kind("errors .001, margin .02", rate(0.001, 1), 0.02, "down", "rate"),
    Kind("score 0-1", unit_score, 0.05, "up", "mean", (0.0, 1.0)),
    Kind("grades 1-5, by one", shifted(GRADES), 0.2, "up", "mean", (1.0, 5.0)),
    Kind("grades 1-5, to 1", ordinal(GRADES), 0.2, "up", "mean", (1.0, 5.0)),
    Kind("grades 95 % 5, to 1", ordinal(TOP), 0.2, "up", "mean", (1.0, 5.0)),
    Kind("latency, log", cost(0.8), LN15, "down", "log"),
    Kind("cost, sigma 0.8", cost(0.8), LN15, "down", "ratio"),
    Kind("cost, sigma 1.5", cost(1.5), LN15, "down", "ratio"),
    Kind("cost, 1 % at 20 times", cost(0.8, 0.01), LN15, "down", "ratio"),
    Kind("length, either way", cost(0.6), math.log1p(0.25), "", "log"),
)
NS = (30, 200, 2000)
DESIGNS = ("paired", "independent", "sessions", "canary")


def contrast(kind: Kind, design: str, n: int, loss: float, rng: np.random.Generator) -> ni.Contrast | None:
    """One data set of n items (paired), or n rows in the candidate's arm and n (canary: 5 n) in the baseline's."""
    if design == "paired":
        item = rng.standard_normal(n)
        return _paired(kind, kind.draw(rng, item, loss), kind.draw(rng, item, 0.0))
    return _independent(
        kind, _arm(kind, design, n, loss, rng), _arm(kind, design, n * (5 if design == "canary" else 1), 0.0, rng)
    )


def _paired(kind: Kind, a: np.ndarray, b: np.ndarray):
    if kind.how == "rate":
        d = a - b
        return ni.PairedRates(float((d > 0) @ d), float(-((d < 0) @ d)), len(d))
    if kind.how == "ratio":
        return ni.paired_ratio(moments(a, n=b))
    d = np.log(a) - np.log(b) if kind.how == "log" else a - b
    return ni.paired_means(moments(d), bounds=kind.bounds, relative=kind.how == "log")


def _arm(kind: Kind, design: str, n: int, loss: float, rng: np.random.Generator) -> ni.Arm | None:
    """Rows of sessions of four share how hard they are, with a correlation of about .3; else each has its own."""
    item, clusters = rng.standard_normal(n), None
    if design == "sessions":
        clusters = np.arange(n) // SESSION
        item = 0.8 * rng.standard_normal(n)[clusters] + 0.6 * item
    x = kind.draw(rng, item, loss)
    return ni.arm(moments(np.log(x) if kind.how == "log" else x, clusters=clusters), rate=kind.how == "rate")


def _independent(kind: Kind, a: ni.Arm, b: ni.Arm):
    if kind.how == "rate":
        return ni.two_rates(a, b)
    if kind.how == "ratio":
        return ni.two_ratios(a, b)
    return ni.two_means(a, b, bounds=kind.bounds, relative=kind.how == "log")


def passes(c: ni.Contrast | None, margin: float, better: str) -> bool:
    """As :func:`llmobs_nb.stats.noninferiority.judge` says, without p values."""
    if c is None:
        return False
    low, high = c.limits(LEVEL)
    return (better == "down" or low > -margin) and (better == "up" or high < margin)


def fails(c: ni.Contrast | None, margin: float, better: str) -> bool:
    """The interval lies wholly beyond the margin on the bad side."""
    if c is None:
        return False
    low, high = c.limits(LEVEL)
    return (better != "down" and high < -margin) or (better != "up" and low > margin)


def regime(task: tuple[int, str, int, int, int]) -> tuple:
    """(kind, design, n, passed at the margin, passed and failed without a difference, power as said) over ``sets`` data sets."""
    at, design, n, sets, seed = task
    kind, worst, same, failed, said = KINDS[at], 0, 0, 0, []
    for k in range(sets):
        rng = np.random.default_rng([seed + k, at, DESIGNS.index(design), n])
        loss = kind.margin * (1 if kind.better or k % 2 else -1)
        worst += passes(contrast(kind, design, n, loss, rng), kind.margin, kind.better)
        if k % QUIET:
            continue
        quiet = contrast(kind, design, n, 0.0, rng)
        same += passes(quiet, kind.margin, kind.better)
        failed += fails(quiet, kind.margin, kind.better)
        if k < 40 * QUIET and quiet is not None:
            said.append(ni.power(quiet, kind.margin, kind.better, level=LEVEL))
    quiets = -(-sets // QUIET)
    return kind.name, design, n, worst / sets, same / quiets, failed / quiets, float(np.mean(said)) if said else math.nan


def tasks(args: argparse.Namespace) -> list[tuple[int, str, int, int, int]]:
    """The regimes that are asked for, all by default."""
    kinds = [i for i, k in enumerate(KINDS) if args.metric in (k.how, "") or args.metric in k.name]
    out = [(i, d, n, args.sets, args.seed) for n in args.n for i in kinds for d in args.design]
    if not out:
        sys.exit(
            f"--metric {args.metric!r} is in no name; choose from: {', '.join(k.name for k in KINDS)}, rate, mean, log, ratio"
        )
    return out


def main() -> None:
    """Print the table; the worst regime last, with its exact interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=JUDGING)
    parser.add_argument("--metric", default="", help="metrics whose name holds this, or those judged as rate, mean, log or ratio")
    parser.add_argument("--design", nargs="+", choices=DESIGNS, default=DESIGNS)
    parser.add_argument("--n", nargs="+", type=int, default=NS, help="items or rows in the candidate's arm")
    args = parser.parse_args()
    todo = tasks(args)
    print(f"{'metric':<26}{'design':<13}{'n':>5}  {'at margin':>9}  {'power':>6}  {'said':>6}  {'false fail':>10}")
    worst: list[tuple] = []
    with ProcessPoolExecutor(2) as pool:
        for row in pool.map(regime, todo):
            worst.append(row)
            print(
                f"{row[0]:<26}{row[1]:<13}{row[2]:>5}  {row[3]:>9.4f}  {row[4]:>6.3f}  {row[6]:>6.3f}  {row[5]:>10.4f}",
                flush=True,
            )
    top = max(worst, key=lambda r: r[3])
    over = sum(r[3] > 0.05 for r in worst)
    passed = exact(round(top[3] * args.sets), args.sets)
    print(
        f"{len(worst)} regimes of {args.sets} data sets; {over} pass above 5 % at the margin; most often: {', '.join(map(str, top[:3]))}: {passed}"
    )


if __name__ == "__main__":
    main()
