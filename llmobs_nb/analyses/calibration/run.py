"""``lm.calibrate``: from scores of a judge and of humans to whether the judge may be trusted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import choose
from ..result import Finding, provenance
from .agree import agreement, auc_of, ceiling, confusion, floor, prevalence, rates
from .bias import bias
from .curve import curve, threshold
from .design import find_design
from .drift import drift
from .findings import findings_of
from .pairing import pair
from .passrate import pass_rate
from .planner import plan_labels
from .reading import disagreements
from .replace import may_replace
from .result import DESIGNS, CalibrationResult
from .slices import slices
from .verdict import verdict

CLUSTERS = ("session_id", "trace_id", "none")


def calibrate(
    obs,
    *,
    judge: str | None = None,
    human: str | None = None,
    pass_at: float | None = None,
    human_pass_at: float | None = None,
    design: str = "auto",
    by: Sequence[str] = (),
    cluster: str = "session_id",
    since: Any = None,
    until: Any = None,
    tz: str = "UTC",
    where: Mapping | None = None,
    cost_false_pass: float = 1.0,
    cost_false_fail: float = 1.0,
    target_half_width: float = 0.03,
) -> CalibrationResult:
    """May this judge be trusted, what is the true pass rate, and what is labelled next.

    ``judge`` and ``human`` are names of scores (by default the one of which most targets have both). A score passes at
    ``pass_at`` (default: 1 of two values, the middle of a range) and a label at ``human_pass_at`` (default the same).
    ``design`` says how the labelled traces were drawn: ``random``, ``by_verdict`` (so many of what the judge passed and failed),
    ``by_label``, ``weights`` (inclusion probabilities in the scores), ``period`` (another time than production's); ``auto`` uses
    what is recorded and tests the rest. ``by`` are columns or metadata keys of slices. Sessions are ``cluster``; a store that
    holds scores only is enough. Where no estimator is valid the pass rate is refused, with what would repair it.

    UsageError for names that are no scores, thresholds out of range, designs and clusters that are not known.
    """
    began = time.perf_counter()
    choose("design", design, DESIGNS)
    choose("cluster", cluster, CLUSTERS)
    asked = {"judge": judge, "human": human, "pass_at": pass_at, "human_pass_at": human_pass_at, "design": design, "by": list(by)}
    asked |= {"cluster": cluster, "tz": tz, "where": dict(where or {}), "target_half_width": target_half_width}
    obs = obs.where(**where) if where else obs
    obs = obs.between(since, until, tz=tz) if since or until else obs
    paired = pair(obs, judge=judge, human=human, pass_at=pass_at, human_pass_at=human_pass_at, cluster=cluster)
    if paired is None:
        text = "No target has both a judge's score and a human label: there is nothing to compare."
        return CalibrationResult(
            name="calibrate", headline=text, reason=text, parameters=asked, findings=(Finding("warning", text),)
        )
    asked |= {"pass_at": paired.pass_at, "human_pass_at": paired.human_pass_at}
    found = find_design(paired, design)
    agreed, told = agreement(paired, found), confusion(paired)
    rate = pass_rate(paired, found)
    drifted = drift(obs, paired, found)
    seen = slices(obs, paired, found, by)
    leaning = bias(obs, paired, found)
    top, bottom = ceiling(paired), floor(paired)
    planned = plan_labels(obs, paired, found, target_half_width=target_half_width)
    said = verdict(paired, found, agreed, rate, top, bottom, seen, leaning, drifted)
    result = CalibrationResult(
        name="calibrate", headline=said.headline, parameters=asked, verdict=said.verdict, reason=said.reason, kind=paired.kind,
        judge_name=paired.judge_name, human_name=paired.human_name, design=found.json(), agreement=agreed, prevalence=prevalence(paired), confusion=told,
        n={"paired": len(paired.pairs), "judged": paired.judged, "human": paired.labelled, "clusters": int(paired.pairs["cluster"].nunique())},
        **rates(paired, found), auc=auc_of(paired, found), pass_rate=rate, ceiling=top, floor=bottom, bias=leaning, slices=seen,
        **curve(paired, found), threshold=threshold(paired, found, cost_false_pass, cost_false_fail), drift=drifted,
        planner=planned.json(), next_labels=planned.next_labels, disagreements=disagreements(obs, paired),
        replace=may_replace(paired), dropped=paired.dropped, findings=findings_of(paired, found, seen, leaning, drifted),
    )  # fmt: skip
    window = {"since": str(since) if since else None, "until": str(until) if until else None}
    result.provenance.update(provenance(obs, window, began))
    return result
