"""The true pass rate beside a review: what humans would pass in the week and the week before, as the labels and their design allow."""

from __future__ import annotations

from collections.abc import Mapping

from ...stats.compare import mover
from ...stats.estimate import Estimate
from ...windows import local_date
from ..result import claim, plain
from .design import find_design
from .pairing import pair
from .passrate import pass_rate

LEAST_LABELS = 10
SIDES = {"this": "in the week", "last": "in the week before"}


def beside(obs, plan) -> dict:
    """The judge's pass rate and the one corrected by human labels, this week and last, with the change between the two.

    The labels of all time before the end of the week count, as :func:`~llmobs_nb.analyses.calibration.passrate.pass_rate` says for
    each week. {} where no judge has ten targets with a human label, and for months and quarters.
    """
    weeks = {"this": plan.week, "last": plan.against}
    if plan.period != "week":
        return {}
    paired = pair(
        obs.between(until=plan.week.end), judge=None, human=None, pass_at=None, human_pass_at=None, cluster="session_id"
    )
    if paired is None or len(paired.pairs) < LEAST_LABELS:
        return {}
    design = find_design(paired, "auto")
    told = pass_rate(paired, design)
    table = {row["week"]: row for row in told["weekly"].to_dict("records")}
    found = {side: _side(table.get(local_date(w.start, plan.tz))) for side, w in weeks.items()}
    this, last = found["this"]["corrected"], found["last"]["corrected"]
    change = mover(this, last) if this.ok and last.ok else Estimate.refused(this.reason or last.reason or "", n=this.n)
    names = {"judge": paired.judge_name, "human": paired.human_name, "design": design.used, "method": told["method"]}
    return plain(names | found | {"change": change, "labels": len(paired.pairs)})


def _side(row: Mapping | None) -> dict:
    if row is None:
        none = Estimate.refused("nothing was judged in the week")
        return {"naive": none, "corrected": none, "labels": 0}
    n = int(row["n"])
    naive = Estimate(row["naive"], None, None, n) if row["naive"] is not None else Estimate.refused("nothing was judged", n=n)
    if row["value"] is None or row["value"] != row["value"]:
        corrected = Estimate.refused(row["reason"] or "refused", n=n)
    else:
        corrected = Estimate(row["value"], row["ci_low"], row["ci_high"], n)
    return {"naive": naive, "corrected": corrected, "labels": int(row["labels"])}


def claims(told: Mapping) -> list[dict]:
    """A claim for every number of :func:`beside`; [] for {}."""
    if not told:
        return []
    out = [_claim("labels", "targets with a judge's score and a human label", _count(told["labels"]), "count", "counted")]
    for side, when in SIDES.items():
        for name, what in (("naive", "passed by the judge"), ("corrected", "would be passed by humans")):
            out.append(_claim(f"{side}.{name}", f"share that {what} {when}", _estimate(told[side][name]), "rate", told["method"]))
        out.append(_claim(f"{side}.labels", f"labels {when}", _count(told[side]["labels"]), "count", "counted"))
    how = "difference of the two corrected rates, limits by Zou and Donner's MOVER"
    return [*out, _claim("change", "change of the corrected pass rate", _estimate(told["change"]), "rate", how)]


def _claim(id: str, text: str, e: Estimate, unit: str, how: str) -> dict:
    text = text if e.ok else f"{text}: refused ({e.reason})"
    return claim(f"pass_rate.{id}", text, e, unit=unit, how=how)


def _count(n: int) -> Estimate:
    return Estimate(n, n, n, n)


def _estimate(told: Mapping) -> Estimate:
    return Estimate(*(told[k] for k in ("value", "ci_low", "ci_high", "n")), reason=told.get("reason"))
