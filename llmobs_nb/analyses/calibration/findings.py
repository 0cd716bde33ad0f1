"""What a reader of a calibration must know before its numbers: who labelled, how, how many, and where the judge fails."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ...stats.agreement import kappa
from ...text import terminal
from ..result import Finding
from .design import Design
from .result import Paired
from .verdict import LEAST_OF_A_KIND, LEAST_PAIRS

MOST_NAMED = 5
_OVERWRITTEN = (
    "Langfuse keeps one label per target and score config of its annotation screen (a second annotator overwrites the first), "
    "so the agreement of humans with one another cannot be had from it: let each rater label under a name of their own, or by the API"
)


def findings_of(
    paired: Paired, design: Design, slices: pd.DataFrame, bias: pd.DataFrame, drift: pd.DataFrame
) -> tuple[Finding, ...]:
    """Findings, the most severe first: a judge below chance, slices at chance, design, few labels, raters, drift, what was dropped."""
    parts = (
        _below_chance(paired),
        _slices(slices),
        _design(paired, design),
        _few(paired),
        _raters(paired),
        _drift(drift),
        _bias(bias),
        _dropped(paired),
    )
    order = {"critical": 0, "warning": 1, "info": 2}
    return tuple(sorted((one for part in parts for one in part), key=lambda f: order[f.severity]))


def _below_chance(paired: Paired) -> Iterable[Finding]:
    both = paired.pairs.dropna(subset=["judge_pass", "human_pass"])
    if not len(both):
        return
    found = kappa(both["judge_pass"], both["human_pass"], clusters=both["cluster"].to_numpy())
    if found.ok and found.ci_high < 0:
        text = f"the judge agrees with humans less than chance would (kappa {found.value:.2f}): its scale may be reversed, or pass_at is wrong"
        yield Finding("critical", text, len(both))


def _slices(slices: pd.DataFrame) -> Iterable[Finding]:
    if "verdict" not in slices:
        return
    for row in slices[slices["verdict"] == "at_chance"].head(MOST_NAMED).itertuples():
        text = f"where {terminal(row.where, 80)}, judge and humans agree no better than chance, and elsewhere they do: labels or judge are corrupt there"
        yield Finding("critical", text, int(row.n))
    worse = slices[slices["verdict"] == "worse"]
    if len(worse):
        named = ", ".join(terminal(w, 60) for w in worse["where"].head(MOST_NAMED))
        yield Finding("warning", f"judge and humans agree less in some slices than elsewhere: {named}", len(worse))


def _design(paired: Paired, design: Design) -> Iterable[Finding]:
    if design.used == "none":
        yield Finding("critical", f"no estimator of the pass rate is valid: {design.reason} Repair: {design.repair}")
    elif design.misdeclared:
        yield Finding("warning", f"design={design.declared} was declared, and the data contradict it. {design.reason}")
    elif design.declared == "auto" and design.used != "weights":
        text = "how the labelled were drawn is not recorded: it was found from the data; give design=, or label a queue made with a sampling plan"
        yield Finding("info", text, len(paired.pairs))
    unseen = paired.versions[paired.versions["labelled"] == 0] if len(paired.versions) else paired.versions
    if len(unseen):
        named = ", ".join(terminal(v, 40) or "(no version)" for v in unseen["judge_version"].head(MOST_NAMED))
        yield Finding("warning", f"no label of what these versions of the judge judged: {named}", int(unseen["n"].sum()))
    some = paired.pairs["inclusion_prob"].notna()
    if some.any() and not some.all():
        yield Finding("warning", "some labels have an inclusion probability and some have none: none is used", int((~some).sum()))


def _few(paired: Paired) -> Iterable[Finding]:
    n = len(paired.pairs)
    if n < LEAST_PAIRS:
        yield Finding("warning", f"only {n} targets have both a judgement and a label: intervals are wide", n)
    human = paired.pairs["human_pass"].dropna()
    for value, said in ((1.0, "pass"), (0.0, "fail")):
        count = int((human == value).sum())
        if len(human) >= LEAST_PAIRS and count < LEAST_OF_A_KIND:
            yield Finding(
                "warning", f"{count} of {len(human):,} labels say {said}: how the judge does on those is hardly known", count
            )


def _raters(paired: Paired) -> Iterable[Finding]:
    if len(paired.humans):
        return
    yield Finding("info", "no target was labelled by two humans: there is no ceiling to hold the judge's agreement against")
    if (paired.pairs["source"] == "langfuse").any():
        yield Finding("info", _OVERWRITTEN)


def _drift(drift: pd.DataFrame) -> Iterable[Finding]:
    if "verdict" not in drift:
        return
    for verdict, text in (
        ("recalibrate", "recalibrate the judge"),
        ("judge_drift", "the judge drifted"),
        ("both", "judge and product drifted"),
    ):
        rows = drift[drift["verdict"] == verdict]
        if len(rows):
            named = ", ".join(terminal(p, 40) for p in rows["period"].head(MOST_NAMED))
            yield Finding("warning", f"{text} ({named}): {terminal(rows['reason'].iloc[0], 160)}", len(rows))


def _bias(bias: pd.DataFrame) -> Iterable[Finding]:
    if "flagged" in bias and bias["flagged"].astype(bool).any():
        named = ", ".join(terminal(str(c), 40) for c in bias.loc[bias["flagged"].astype(bool), "covariate"])
        yield Finding("warning", f"at the same human label the judge leans by: {named}", int(bias["flagged"].astype(bool).sum()))


def _dropped(paired: Paired) -> Iterable[Finding]:
    for row in paired.dropped.to_dict("records"):
        yield Finding("info", f"left out: {row['reason']}", int(row["count"]))
