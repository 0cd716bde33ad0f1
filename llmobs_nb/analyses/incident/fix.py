"""Did the fix work: the metric in the slice before the incident, during it and since the fix."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ...columns import literal
from ...errors import UsageError
from ...stats import changes
from ...stats.estimate import Estimate
from ...stats.series import of_sums
from ...windows import parse_since
from ..reductions import rows
from ..result import Result, claim
from . import traces as tr
from .axes import value_sql
from .result import IncidentResult

WORKED, SOME = 0.5, 0.1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FixResult(Result):
    """Whether a fix worked.

    ``verdict`` is ``worked`` (at least half of the loss is back beyond doubt), ``partly``, ``did_not_work`` (less than half is
    back beyond doubt) or ``not_enough_evidence``; ``recovered`` the share of the loss that is back, ``change`` the step at the
    fix in units of the metric (of its logarithm where ratios are compared), with intervals.
    """

    verdict: str
    recovered: Estimate
    change: Estimate
    fixed_at: datetime

    def json(self) -> dict:
        out = super().json() | {"verdict": self.verdict, "recovered": self.recovered.json(), "change": self.change.json()}
        return out | {"fixed_at": self.fixed_at.isoformat()}

    def claims(self) -> list[dict]:
        how = "step at the fix in the daily series of the slice, noise of days honoured"
        return [
            claim("recovered", self.headline, self.recovered, unit="rate", how=how),
            claim("change", "step at the fix", self.change, unit="", how=how),
        ]


def did_it_work(incident: IncidentResult, *, fixed_at: Any, obs=None, tz: str = "UTC") -> FixResult:
    """Compare the days since ``fixed_at`` (a time or ISO text) with those of the incident and those before it.

    ``obs`` defaults to the store that the incident was computed from, opened anew. Raises UsageError for a result that is no
    incident, and for a fix before the onset or without a day of data after it.
    """
    from ...observations import open_store

    if incident.verdict != "incident" or incident.onset is None or not incident.causes:
        raise UsageError(f"did_it_work: the result says {incident.verdict!r}; give one whose verdict is 'incident'")
    at = fixed_at if isinstance(fixed_at, datetime) else parse_since(str(fixed_at), tz=tz)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    obs = obs if obs is not None else open_store(incident.provenance.get("store"))
    plan = tr.make_plan(obs)
    if plan is None or not incident.onset.time < at < plan.end - timedelta(days=1):
        end = "no data" if plan is None else f"{plan.end - timedelta(days=1):%Y-%m-%d %H:%M}"
        raise UsageError(
            f"fixed_at={fixed_at!r} must lie after the onset ({incident.onset.time:%Y-%m-%d %H:%M}) and a day before the end of the data ({end})"
        )
    return _judge(incident, at, _series(obs, plan, incident), plan)


def _series(obs, plan: tr.Plan, incident: IncidentResult) -> np.ndarray:
    """Counts, sums and sums of squares per day of the metric in the slice (3 × T)."""
    place = next((i for i, m in enumerate(plan.metrics) if m.name == incident.metric), None)
    if place is None:
        raise UsageError(
            f"did_it_work: metric {incident.metric!r} is not in the store; choose one of: {', '.join(m.name for m in plan.metrics)}"
        )
    names = {d.name: f"d{i}" for i, d in enumerate(plan.dimensions)}
    lost = [k for k in _lasting(incident) if k not in names]
    if lost:
        raise UsageError(
            f"did_it_work: {', '.join(lost)} of the incident's slice is no dimension of the store; choose from: {', '.join(names)}"
        )
    condition = " AND ".join(f"{names[k]} = {literal(str(v))}" for k, v in _lasting(incident).items()) or "true"
    value, out = value_sql(plan, place), np.zeros((3, plan.days))
    with obs.kept(tr.RAW, tr.raw_sql(plan)):
        sql = f"""SELECT hour // 24 AS day, count(v) AS n, sum(v) AS s, sum(v * v) AS q
            FROM (SELECT hour, {value} AS v FROM {tr.RAW} WHERE {condition}) GROUP BY 1"""
        for r in rows(obs, sql):
            if r["n"]:
                out[:, int(r["day"])] = r["n"], r["s"], r["q"]
    return out


def _lasting(incident: IncidentResult) -> dict[str, str]:
    """The slice without the version that came with the incident: the fix takes it away."""
    first = incident.causes[0]
    gone = {"prompt_version": "prompt_version", "model_version": "model"}.get(first.kind)
    return {k: v for k, v in first.where.items() if k != gone}


def _judge(incident: IncidentResult, at: datetime, sums: np.ndarray, plan: tr.Plan) -> FixResult:
    day = lambda t: int((t - plan.start).total_seconds() // 86_400)  # noqa: E731
    onset, fixed = max(day(incident.onset.time), 1), day(at)
    sums = np.where(np.arange(plan.days) == fixed, 0.0, sums)  # the day of the fix is neither
    n, s, _ = sums
    during = slice(onset, fixed)
    series = of_sums(*(x[onset:] for x in sums), phase=(plan.start.weekday() + onset) % 7)
    step = changes.at(series, fixed - onset + 1) if fixed - onset + 1 < len(series) and fixed > onset else None
    lost = _mean(s[during], n[during]) - _mean(s[:onset], n[:onset])
    refused = Estimate.refused("no days with data on both sides of the fix")
    if step is None or not np.isfinite(lost) or lost == 0:
        return _result(incident, at, "not_enough_evidence", refused, refused)
    e = step.effect
    shares = sorted((-e.ci_low / lost, -e.ci_high / lost))
    recovered = Estimate(-e.value / lost, shares[0], shares[1], int(n[onset:].sum()), e.level)
    low, high = shares
    verdict = (
        "worked" if low >= WORKED else "did_not_work" if high < WORKED else "partly" if low > SOME else "not_enough_evidence"
    )
    return _result(incident, at, verdict, recovered, e)


def _mean(s: np.ndarray, n: np.ndarray) -> float:
    return float(s.sum() / n.sum()) if n.sum() else float("nan")


def _result(incident: IncidentResult, at: datetime, verdict: str, recovered: Estimate, change: Estimate) -> FixResult:
    said = {"worked": "The fix worked", "partly": "The fix worked in part", "did_not_work": "The fix did not work well enough",
            "not_enough_evidence": "Not enough evidence yet whether the fix worked"}[verdict]  # fmt: skip
    share = (
        f": {recovered.value:.0%} of the loss is back ({recovered.ci_low:.0%} to {recovered.ci_high:.0%})" if recovered.ok else ""
    )
    text = f"{said}{share}, {incident.label} since {at:%d %B %Y %H:%M} UTC."
    return FixResult(name="did_it_work", headline=text, verdict=verdict, recovered=recovered, change=change, fixed_at=at,
                     parameters={"fixed_at": at.isoformat()}, provenance=dict(incident.provenance))  # fmt: skip
