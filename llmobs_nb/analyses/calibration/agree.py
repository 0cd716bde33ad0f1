"""How far judge and humans agree, weighted by how the labels were drawn; what of it each design can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ...stats import agreement as ag
from ...stats import association as ass
from ...stats.intervals import proportion
from ...stats.raters import alpha
from ..result import Estimate
from .result import AGREEMENT, Paired

# Which of the four rates a sample can tell: drawn by label it knows what the judge says of each label, not how frequent labels are.
OF_LABEL, OF_VERDICT = ("tpr", "tnr"), ("ppv", "npv")
METRIC = {"ordinal": "ordinal", "continuous": "interval"}
NOMINAL = ("raw", "kappa", "ac1", "pabak", "alpha_nominal")
ORDERED = ("weighted_kappa_linear", "weighted_kappa_quadratic", "alpha_ordinal")
NUMBERS = ("alpha_interval", "spearman", "pearson", "kendall_tau_b", "icc")
_HOW: dict[str, Callable[..., Estimate]] = {
    "raw": ag.raw, "kappa": ag.kappa, "ac1": ag.ac1, "pabak": ag.pabak, "alpha_nominal": ag.krippendorff_alpha,
    "weighted_kappa_linear": lambda j, h, **k: ag.weighted_kappa(j, h, weights="linear", **k),
    "weighted_kappa_quadratic": lambda j, h, **k: ag.weighted_kappa(j, h, weights="quadratic", **k),
    "alpha_ordinal": lambda j, h, **k: ag.krippendorff_alpha(j, h, metric="ordinal", **k),
    "alpha_interval": lambda j, h, **k: ag.krippendorff_alpha(j, h, metric="interval", **k),
    "spearman": ass.spearman, "pearson": ass.pearson, "kendall_tau_b": ass.kendall_tau_b, "icc": ag.icc,
}  # fmt: skip


def design_weights(paired: Paired, design) -> np.ndarray | None:
    """What each pair counts for so that the pairs stand for all that was judged; None where all count the same.

    Recorded probabilities are inverted; labels drawn by verdict get production's shares of verdicts; labels drawn by label the
    shares of labels that production's verdicts imply (Rogan and Gladen 1978), where the judge tells labels apart at all. Either
    share is taken as known.
    """
    if design.used == "weights":
        return paired.weights
    judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
    passed = production_rate(paired)
    if design.used not in ("by_verdict", "by_label") or passed is None or not np.isfinite([*judge, *human]).all():
        return None
    if design.used == "by_verdict":
        return _shared(judge, passed)
    good, bad = judge[human > 0.5], judge[human < 0.5]
    if not len(good) or not len(bad) or good.mean() - bad.mean() < 0.05:
        return None
    return _shared(human, float(np.clip((passed - bad.mean()) / (good.mean() - bad.mean()), 0.01, 0.99)))


def production_rate(paired: Paired) -> float | None:
    """The share of all judged targets that the judge passes; None where nothing was cut."""
    table = paired.production
    if not len(table) or not table["n"].sum():
        return None
    return float((table["judge_pass"] * table["n"]).sum() / table["n"].sum())


def _shared(side: np.ndarray, share: float) -> np.ndarray | None:
    passed = side > 0.5
    if passed.all() or not passed.any():
        return None
    return np.where(passed, share / passed.mean(), (1 - share) / (1 - passed.mean()))


def agreement(paired: Paired, design) -> dict[str, Estimate | None]:
    """Estimates by the names of ``AGREEMENT``; None where the kind of score has none.

    Nominal ones compare pass and fail of continuous scores and the values as they stand of all others; ordered ones need grades;
    correlations need numbers of which there are more than two.
    """
    judge, human = compared(paired)
    numbers = paired.kind in ("ordinal", "continuous")
    named = NOMINAL if judge is not None else ()
    common = {"sample_weight": design_weights(paired, design), "clusters": paired.clusters}
    out: dict[str, Estimate | None] = dict.fromkeys(AGREEMENT)
    out |= {name: _HOW[name](judge, human, **common) for name in named}
    if numbers:
        values = [paired.pairs[c].to_numpy(float) for c in ("judge", "human")]
        ordered = ORDERED if paired.kind == "ordinal" else ()
        out |= {
            name: _HOW[name](*(graded(v, paired) if name in ORDERED else v for v in values), **common)
            for name in (*ordered, *NUMBERS)
        }
    return out


def compared(paired: Paired) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What is compared as it stands: labels and grades, or pass and fail where scores are continuous."""
    pairs = paired.pairs
    if paired.kind in ("binary", "continuous"):
        judge, human = (pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
        return (judge, human) if np.isfinite(judge).any() and np.isfinite(human).any() else (None, None)
    if paired.kind == "ordinal":
        return tuple(graded(pairs[c].to_numpy(float), paired) for c in ("judge", "human"))
    return pairs["judge"].to_numpy(), pairs["human"].to_numpy()


def graded(values: np.ndarray, paired: Paired) -> np.ndarray:
    """Means of several raters or repeats as the nearest grade, where grades are whole numbers."""
    whole = all(np.mean(v % 1 == 0) > 0.5 for v in (paired.pairs["judge"].to_numpy(float), paired.pairs["human"].to_numpy(float)))
    return np.floor(values + 0.5) if whole else values


def prevalence(paired: Paired) -> dict[str, Estimate]:
    """The share of the pairs that each side passes, as drawn: ``judge`` and ``human``; {} where nothing was cut."""
    out = {}
    for side in ("judge", "human"):
        passes = paired.pairs[f"{side}_pass"]
        if passes.notna().any():
            there = passes.notna().to_numpy()
            out[side] = proportion(passes[there].to_numpy(float), clusters=paired.clusters[there])
    return out


def confusion(paired: Paired) -> dict[str, int]:
    """Counts of pairs as they were labelled, whatever the design: tp fp fn tn, judge pass = positive; empty where nothing was cut."""
    judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
    cut = np.isfinite(judge) & np.isfinite(human)
    if not cut.any():
        return {}
    judge, human = judge[cut] > 0.5, human[cut] > 0.5
    cells = {"tp": judge & human, "fp": judge & ~human, "fn": ~judge & human, "tn": ~judge & ~human}
    return {name: int(where.sum()) for name, where in cells.items()}


def rates(paired: Paired, design) -> dict[str, Estimate]:
    """tpr, tnr (of what humans pass and fail, what the judge does), ppv, npv (of what the judge passes and fails, what humans do).

    A sample drawn by label, or in another period, tells the first two only, one by verdict the last two unless production's share
    of verdicts is known; the others are refused with the reason. A design that is not valid refuses all four.
    """
    judge, human = (paired.pairs[c].to_numpy(float) for c in ("judge_pass", "human_pass"))
    told = (("tpr", human, judge, 1.0), ("tnr", human, judge, 0.0), ("ppv", judge, human, 1.0), ("npv", judge, human, 0.0))
    weights = design_weights(paired, design)
    if not (np.isfinite(judge) & np.isfinite(human)).any():
        return {name: Estimate.refused("nothing is cut into pass and fail") for name, *_ in told}
    out = {}
    for name, given, said, value in told:
        reason = _untold(name, design, weights)
        weight = weights if design.used == "weights" or (design.used == "by_verdict" and name in OF_LABEL) else None
        out[name] = (
            Estimate.refused(reason, n=int((given == value).sum())) if reason else _share(given, said, value, weight, paired)
        )
    return out


def _untold(name: str, design, weights: np.ndarray | None) -> str | None:
    if design.used == "none":
        return f"no design is valid for these labels: {design.reason}"
    if design.used == "by_label" and name in OF_VERDICT:
        return "labels were drawn by what humans said: how often a verdict is right depends on shares that the sample was given"
    if design.used == "period" and name in OF_VERDICT:
        return "labels come from another period: how often a verdict is right depends on how much was good in it"
    if design.used == "by_verdict" and name in OF_LABEL and weights is None:
        return "labels were drawn by verdict, and production's share of verdicts is not known"
    return None


def _share(given, said, value: float, weight, paired: Paired) -> Estimate:
    found = ag.pairs(said, given, sample_weight=weight, clusters=paired.clusters, categories=(0.0, 1.0))
    out = found.share(found.judge == value, found.human == value)
    return out if out.ok else Estimate.refused("no such pairs" if not out.n else out.reason, n=out.n)


def auc_of(paired: Paired, design) -> Estimate:
    """P(the judge scores an answer that humans pass above one they fail), ties half; refused for verdicts without a scale."""
    if paired.kind not in ("ordinal", "continuous"):
        return Estimate.refused("the judge gives no scores to order answers by")
    human = paired.pairs["human_pass"].to_numpy(float)
    weights = None if design.used == "by_label" else design_weights(paired, design)
    return ass.auc(paired.pairs["judge"].to_numpy(float), human, sample_weight=weights, clusters=paired.clusters)


def ceiling(paired: Paired) -> Estimate:
    """How far humans agree with one another: Krippendorff's alpha over the targets with two of them or more."""
    if not len(paired.humans):
        return Estimate.refused("no target has labels of two humans")
    return _alpha(paired, paired.humans, paired.humans["target"], paired.human_pass_at)


def floor(paired: Paired) -> Estimate:
    """How far the judge agrees with itself: Krippendorff's alpha over targets that one version judged more than once."""
    table = paired.repeats
    if not len(table):
        return Estimate.refused("the judge judged no target twice")
    version = table["judge_version"].astype(object).where(table["judge_version"].notna(), "")
    found = _alpha(paired, table, pd.Series(list(zip(table["target"], version, strict=True))), paired.pass_at)
    return replace(found, reason="no version of the judge judged two targets twice") if not found.ok and found.n < 2 else found


def _alpha(paired: Paired, table: pd.DataFrame, unit: pd.Series, pass_at: float | None) -> Estimate:
    values = table["value"].to_numpy()
    if paired.kind == "binary" and pass_at is not None and values.dtype.kind in "fiu":
        values = np.where(np.isfinite(values), values >= pass_at, np.nan)
    return alpha(
        pd.factorize(unit)[0], values, metric=METRIC.get(paired.kind, "nominal"), clusters=pd.factorize(table["target"])[0]
    )
