"""What to label next: how many for an interval of a wanted width, of which verdicts and slices, and which traces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ...columns import literal, quote
from ...stats.intervals import critical
from ..reductions import rows
from .chosen import choose_scores
from .judged import targets
from .result import Paired, empty

PLAN = ("stratum", "judge_pass", "slice", "size", "labelled", "labels", "inclusion_prob", "human_rate")
NEXT = ("trace_id", "stratum", "inclusion_prob")
SLICE = "feature"
MOST_SLICES, LEAST_SHARE = 4, 0.05
SHRINK = 10.0
OF_VERDICT = 10
OTHER = "other"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelPlan:
    """How many labels bring the pass rate's interval to ± ``target_half_width``, and which traces to label.

    ``labels`` are those still to come when they are shared out over verdict x slice (Neyman 1934), ``labels_random`` when they are drawn
    at random from all that was judged; both with the judge's verdicts of the rest in the estimate. ``half_width_now`` is what the labels at hand
    give. ``plan`` has one row per stratum (judge_pass, slice, size, labelled, labels to come, inclusion_prob, human_rate: the share
    that humans are expected to pass), ``next`` the traces (trace_id, stratum, inclusion_prob), in the order of a hash.
    """

    target_half_width: float
    labels: int | None = None
    labels_random: int | None = None
    half_width_now: float | None = None
    reason: str | None = None
    plan: pd.DataFrame = field(default_factory=lambda: empty(*PLAN))
    next: pd.DataFrame = field(default_factory=lambda: empty(*NEXT))

    @property
    def next_labels(self) -> tuple[str, ...]:
        """The trace ids to label, for ``lm.push(obs, to=..., queue=(name, ids))``."""
        return tuple(self.next["trace_id"])

    def draw(self) -> pd.DataFrame:
        """The traces with the probability of being drawn, as ``lm.review_queue(obs, plan=...)`` takes them."""
        return self.next

    def json(self) -> dict:
        """Everything by name; ``plan`` and ``next`` as frames."""
        names = ("labels", "labels_random", "target_half_width", "half_width_now", "reason", "plan", "next")
        return {name: getattr(self, name) for name in names}


def plan_labels(obs, paired: Paired, design, *, target_half_width: float) -> LabelPlan:
    """The plan of :class:`LabelPlan`. Labels at hand count where each verdict's were drawn at random (designs random and by_verdict).

    A width that the labels at hand reach asks for none. Without a pass mark, or nothing left to label, ``reason`` says so.
    """
    none = LabelPlan(target_half_width=target_half_width)
    if paired.pass_at is None or paired.kind in ("categorical", "preference"):
        return replace(none, reason="the judge's scores are not cut into pass and fail: give pass_at")
    strata = _strata(obs, paired, counted=design.used in ("random", "by_verdict"))
    if not len(strata) or strata["size"].sum() == 0:
        return replace(none, reason="no judged trace is left to label")
    held = (strata["size"] + strata["seen"]).to_numpy(float)
    weight, spread = held / held.sum(), np.sqrt(strata["human_rate"] * (1 - strata["human_rate"])).to_numpy(float)
    have, size, verdict = (strata[c].to_numpy(float) for c in ("labelled", "size", "judge_pass"))
    more = shares(weight, spread, have, size, verdict, target_half_width)
    strata["labels"], strata["inclusion_prob"] = more, np.divide(more, size, out=np.zeros(len(more)), where=size > 0)
    return replace(
        none, labels=int(more.sum()), labels_random=at_random(weight, spread, have, verdict, target_half_width),
        half_width_now=half_width(weight, spread, have), plan=strata[list(PLAN)], next=_drawn(obs, paired, strata),
    )  # fmt: skip


def half_width(weight: np.ndarray, spread: np.ndarray, labels: np.ndarray) -> float:
    """Of the interval of a share post-stratified with Jeffreys' prior, which counts as one label in each stratum."""
    return critical() * math.sqrt(float((weight**2 * spread**2 / (labels + 1)).sum()))


def at_random(weight, spread, have, verdict, target: float) -> int:
    """Labels still to come at random, which fall on strata by their size; ten or more of each verdict."""
    lacking = [max(OF_VERDICT - have[verdict == v].sum(), 0) / weight[verdict == v].sum() for v in np.unique(verdict)]
    return math.ceil(max(_least(lambda n: half_width(weight, spread, have + weight * n) <= target), *lacking))


def shares(weight, spread, have, size, verdict, target: float) -> np.ndarray:
    """Labels still to come per stratum, in proportion to weight x spread with those at hand, so that they reach the target.

    Each verdict gets ten or more, without which nobody knows how often it is right, and no stratum more than it holds. Where all
    of it together does not reach the target, all is labelled.
    """
    of = [max(OF_VERDICT - have[verdict == v].sum(), 0) / max(size[verdict == v].sum(), 1) for v in verdict]
    first = np.ceil(np.array(of) * size - 1e-9)

    def more(scale: float) -> np.ndarray:
        return np.minimum(np.maximum(np.ceil(scale * weight * spread - have), first), size)

    if half_width(weight, spread, have + size) > target:
        return size.astype(int)
    return more(_least(lambda scale: half_width(weight, spread, have + more(scale)) <= target)).astype(int)


def _least(reached: Callable[[float], bool]) -> float:
    """The smallest number that reaches, of those above which all do; 0 where nothing is needed."""
    if reached(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not reached(high):
        low, high = high, high * 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _strata(obs, paired: Paired, *, counted: bool) -> pd.DataFrame:
    """One row per verdict x slice: size (traces without a label), seen (with one), labelled (that count), the share humans pass."""
    found = rows(obs, f"""SELECT judge_pass, slice, count(*) AS n, sum(CASE WHEN labelled = 1 THEN 1 ELSE 0 END) AS seen
        FROM ({_judged(obs, paired)}) j GROUP BY judge_pass, slice""")  # fmt: skip
    table = pd.DataFrame(found, columns=["judge_pass", "slice", "n", "seen"])
    by_slice = table.groupby("slice", dropna=True)["n"].sum().sort_values(ascending=False)
    kept = [s for s in by_slice.index[:MOST_SLICES] if by_slice[s] >= LEAST_SHARE * table["n"].sum()]
    kept = kept if len(by_slice) > 1 else []
    table["slice"] = [None if not kept else s if s in kept else OTHER for s in table["slice"]]
    table["slices"] = [tuple(kept)] * len(table)
    table = table.groupby(["judge_pass", "slice", "slices"], dropna=False, as_index=False).agg(
        n=("n", "sum"), seen=("seen", "sum")
    )
    table["slice"] = table["slice"].astype(object).where(table["slice"].notna(), None)
    table["size"] = table["n"] - table["seen"]
    said = {1.0: "pass", 0.0: "fail"}
    table["stratum"] = [said[v] + (f" × {s}" if s else "") for v, s in zip(table["judge_pass"], table["slice"], strict=True)]
    return _expected(obs, paired, table, counted)


def _expected(obs, paired: Paired, table: pd.DataFrame, counted: bool) -> pd.DataFrame:
    """With what the labels at hand say: each slice's share leans on that of its verdict by ten labels' worth."""
    pairs = paired.pairs.dropna(subset=["trace_id", "judge_pass", "human_pass"])
    slice_of = _slice_of(obs, list(pairs["trace_id"].unique())) if table["slice"].notna().any() else {}
    kept = set(table["slice"]) - {OTHER, None}
    own = pd.Series(
        [(s if (s := slice_of.get(t)) in kept else OTHER) if slice_of else None for t in pairs["trace_id"]],
        index=pairs.index,
        dtype=object,
    )
    have, rate = [], []
    for row in table.itertuples():
        verdict = pairs[pairs["judge_pass"] == row.judge_pass]
        base = (verdict["human_pass"].sum() + 0.5) / (len(verdict) + 1)
        inside = verdict[own[verdict.index] == row.slice] if row.slice else verdict
        have.append(len(inside) if counted else 0)
        rate.append((inside["human_pass"].sum() + SHRINK * base) / (len(inside) + SHRINK))
    return table.assign(labelled=have, human_rate=rate)


def _slice_of(obs, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    listed = ", ".join(map(literal, ids))
    found = rows(obs, f"SELECT trace_id, max({quote(SLICE)}) AS slice FROM spans WHERE trace_id IN ({listed}) GROUP BY trace_id")
    return {r["trace_id"]: r["slice"] for r in found}


def _judged(obs, paired: Paired) -> str:
    """SELECT of one row per judged trace: its verdict, its slice, and whether a human labelled it."""
    judge, human = choose_scores(obs, paired.judge_name, paired.human_name)
    return f"""SELECT j.trace_id, CASE WHEN j.said >= {float(paired.pass_at)!r} - 1e-12 THEN 1e0 ELSE 0e0 END AS judge_pass, t.slice,
          CASE WHEN h.trace_id IS NULL THEN 0 ELSE 1 END AS labelled
        FROM (SELECT trace AS trace_id, avg(said) AS said FROM ({targets(judge, whole=paired.kind == "binary")}) g
          WHERE trace IS NOT NULL AND said IS NOT NULL GROUP BY trace) j
        LEFT JOIN (SELECT trace_id, max({quote(SLICE)}) AS slice FROM spans
          WHERE trace_id IN (SELECT trace_id FROM scores WHERE {judge.sql}) GROUP BY trace_id) t ON j.trace_id = t.trace_id
        LEFT JOIN (SELECT DISTINCT trace_id FROM scores WHERE {human.sql} AND trace_id IS NOT NULL) h ON j.trace_id = h.trace_id"""


def _drawn(obs, paired: Paired, strata: pd.DataFrame) -> pd.DataFrame:
    """The first of each stratum by a hash of their ids, which has nothing to do with what they are."""
    kept = next(iter(strata["slices"]))
    inside = (
        f"CASE WHEN slice IN ({', '.join(map(literal, kept))}) THEN slice ELSE {literal(OTHER)} END"
        if kept
        else "CAST(NULL AS VARCHAR)"
    )
    most = int(strata["labels"].max())
    found = rows(obs, f"""SELECT trace_id, judge_pass, slice, nth FROM (SELECT trace_id, judge_pass, slice, row_number() OVER (
          PARTITION BY judge_pass, slice ORDER BY md5(trace_id), trace_id) AS nth
        FROM (SELECT trace_id, judge_pass, {inside} AS slice FROM ({_judged(obs, paired)}) j WHERE labelled = 0) u) r
        WHERE nth <= {most} ORDER BY md5(trace_id), trace_id""")  # fmt: skip
    by = {(r.judge_pass, r.slice): r for r in strata.itertuples()}
    out = [
        (r["trace_id"], s.stratum, s.inclusion_prob) for r in found if r["nth"] <= (s := by[r["judge_pass"], r["slice"]]).labels
    ]
    return pd.DataFrame(out, columns=list(NEXT))
