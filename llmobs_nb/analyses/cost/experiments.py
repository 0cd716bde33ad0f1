"""What a treatment costs more per request than the control, and what it is worth: with intervals, by the units that were assigned."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ... import units
from ...columns import literal, quote
from ...errors import UsageError
from ...prices.marks import CALL
from ...schema import SPANS
from ...stats.compare import difference, two_sided
from ...stats.estimate import Estimate
from ...stats.intervals import critical, pooled_df
from ...windows import Window, ending
from ..reductions import rows
from ..result import Finding, Result, claim, plain, provenance
from .quality import judged
from .result import NONE, empty
from .window import Plan, inside, make_plan

UNITS = ("user_id", "session_id")
COVERED = 0.9
LEAST_FREE = 8  # degrees of freedom that a fit to the past must leave
ARMS = ("treatment", "control")
# Per unit: USD and requests now, USD and requests before, and whether it was there before.
_SUMMED = ("usd", "requests", "usd_before", "requests_before", "seen_before")
_TRACE = "source, project, trace_id"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExperimentCost(Result):
    """The answer of :func:`experiment_cost`; USD per request.

    ``treatment`` and ``control`` are the plain means, ``difference`` their difference adjusted for what the units spent before,
    ``plain_difference`` without that, ``reduction`` the share of the variance that the adjustment took away (null: nothing was known
    of before). ``unit`` is what was taken as assigned (user_id, session_id, trace_id). ``quality`` has one row per judge's score (score,
    treatment, control, difference, ci_low, ci_high, n, reason).
    """

    window: Window | None = None
    before: Window | None = None
    unit: str = ""
    treatment: Estimate = NONE
    control: Estimate = NONE
    difference: Estimate = NONE
    plain_difference: Estimate = NONE
    reduction: float | None = None
    quality: pd.DataFrame = field(default_factory=empty)

    def json(self) -> dict:
        """The whole result as strict JSON can carry it."""
        names = ("window", "before", "unit", *ARMS, "difference", "plain_difference", "reduction", "quality")
        return super().json() | {n: plain(getattr(self, n)) for n in names}

    def claims(self) -> list[dict]:
        """Both means, their difference, and the differences of the scores."""
        how = f"cost over requests, clustered by {self.unit}"
        told = {"treatment": "Cost per request of the treatment", "control": "Cost per request of the control"}
        told |= {"difference": "What the treatment costs more per request"}
        out = [claim(f"experiment:{n}", text, getattr(self, n), unit="usd", how=how) for n, text in told.items()]
        for q in self.quality.itertuples():
            one = Estimate(q.difference, q.ci_low, q.ci_high, q.n, reason=q.reason)
            out.append(
                claim(
                    f"experiment:score:{q.score}",
                    f"Difference of {q.score}",
                    one,
                    unit="score",
                    how=f"mean of the judge, clustered by {self.unit}",
                )
            )
        return out


@dataclass(frozen=True)
class _Arm:
    """Units of an arm: how many, the means of what is summed per unit, and their covariance."""

    m: int
    mean: np.ndarray
    cov: np.ndarray

    @property
    def ratio(self) -> float:
        return float(self.mean[0] / self.mean[1])

    @property
    def line(self) -> np.ndarray:
        """The weights with which a unit's sums move the ratio."""
        return np.array([1.0, -self.ratio, 0, 0, 0]) / self.mean[1]


def experiment_cost(
    obs,
    *,
    arm: str = "experiment",
    treatment: str,
    control: str,
    since: Any = None,
    until: Any = None,
    tz: str = "UTC",
    unit: str | None = None,
) -> ExperimentCost:
    """The marginal cost of a treatment over its control, USD per request, and what judges say of both.

    ``arm`` is the column or metadata key whose values ``treatment`` and ``control`` name the arms of a trace. ``unit`` is what was
    assigned to an arm: ``user_id``, ``session_id`` or ``trace_id`` (default: the first that nine in ten traces carry); units
    seen in both arms are left out and counted. The window is from the first trace of either arm to the last, within ``since`` and ``until``.

    The interval is that of a ratio of sums over units (linearised, Welch's t); what units spent in as long a time before the
    window is regressed out (CUPED: Deng, Xu, Kohavi and Walker 2013), which moves no expectation where units were assigned at
    random. Calls whose cost is not known count as 0 and are told. UsageError for an arm that no trace has.
    """
    began = time.perf_counter()
    asked = {"arm": arm, "treatment": treatment, "control": control, "tz": tz} | {
        k: v if v is None else str(v) for k, v in {"since": since, "until": until, "unit": unit}.items() if v is not None
    }
    plan = make_plan(obs, since=since, until=until, tz=tz)
    column = _column(obs, arm)
    arms = f"CASE {column} WHEN {literal(treatment)} THEN 'treatment' WHEN {literal(control)} THEN 'control' END"
    window, before = _windows(obs, plan, arms, {"treatment": treatment, "control": control}, arm, column)
    unit = unit or _unit(obs, window, arms)
    if unit not in (*UNITS, "trace_id"):
        raise UsageError(f"unit={unit!r} is not known; choose one of: {', '.join((*UNITS, 'trace_id'))}")
    found, both, unknown = _arms(obs, window, before, arms, unit)
    known = _compared(found)
    quality = _quality(obs, _traces(window, arms, unit))
    return ExperimentCost(
        name="experiment_cost", headline=_headline(treatment, control, known["difference"], quality), parameters=asked,
        provenance=provenance(obs, window.json(), began), findings=_findings(both, unknown, found, unit), window=window, before=before,
        unit=unit, quality=quality, **known,
    )  # fmt: skip


def _column(obs, name: str) -> str:
    if name in SPANS:
        return f"CAST({quote(name)} AS VARCHAR)"
    if not rows(obs, f"SELECT 1 AS one FROM spans WHERE metadata[{literal(name)}] IS NOT NULL LIMIT 1"):
        raise UsageError(f"arm={name!r} is neither a column nor a metadata key of these spans; name where the arm is logged")
    return f"metadata[{literal(name)}]"


def _windows(obs, plan: Plan | None, arms: str, asked: dict[str, str], arm: str, column: str) -> tuple[Window, Window]:
    """From the first to the last trace of the arms, and as long before."""
    found = rows(
        obs,
        f"""SELECT {arms} AS arm, min(start_time) AS first, max(start_time) AS last FROM spans
        WHERE {inside(plan.window) if plan else "false"} AND {arms} IS NOT NULL GROUP BY 1""",
    )
    for name, value in asked.items():
        if name not in {r["arm"] for r in found}:
            seen = rows(
                obs,
                f"SELECT {column} AS v, count(*) AS n FROM spans WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, v LIMIT 12",
            )
            raise UsageError(
                f"{name}={value!r}: no span has it as {arm}; choose from: {', '.join(str(r['v']) for r in seen) or 'nothing'}"
            )
    low, high = min(r["first"] for r in found), max(r["last"] for r in found) + timedelta(microseconds=1)
    return Window(low, high, ending(low, high, plan.tz)), Window(low - (high - low), low, "as long before")


def _unit(obs, window: Window, arms: str) -> str:
    """The first of user and session that nine in ten traces of the arms carry; else each trace is one."""
    counts = ", ".join(f"sum(CASE WHEN {u} IS NOT NULL THEN 1 ELSE 0 END) AS {u}" for u in UNITS)
    picked = ", ".join(f"max({u}) AS {u}" for u in UNITS)
    (found,) = rows(
        obs,
        f"""SELECT count(*) AS n, {counts} FROM (SELECT {picked} FROM spans WHERE {inside(window)}
        GROUP BY {_TRACE} HAVING max({arms}) IS NOT NULL) t""",
    )
    return next((u for u in UNITS if found[u] >= COVERED * found["n"]), "trace_id")


def _traces(window: Window, arms: str, unit: str) -> str:
    """One row per trace that is in one arm only: its arm, its cost and its unit (a trace without one is its own)."""
    return f"""SELECT {_TRACE}, max({arms}) AS arm, coalesce(max({unit}), trace_id) AS cluster, sum(coalesce(cost_usd, 0)) AS usd,
        sum(CASE WHEN {CALL} AND cost_usd IS NULL AND coalesce(tokens_in, tokens_out) IS NOT NULL THEN 1 ELSE 0 END) AS unknown
        FROM spans WHERE {inside(window)} AND coalesce(purpose, '') <> 'judging' GROUP BY {_TRACE} HAVING max({arms}) = min({arms})"""


def _arms(obs, window: Window, before: Window, arms: str, unit: str) -> tuple[dict[str, _Arm], int, int]:
    """The arms, the units that were in both, and the calls whose cost is not known."""
    past = f"""SELECT {unit} AS cluster, sum(coalesce(cost_usd, 0)) AS usd, count(DISTINCT trace_id) AS requests FROM spans
        WHERE {inside(before)} AND coalesce(purpose, '') <> 'judging' AND {unit} IS NOT NULL GROUP BY {unit}"""
    pairs = [(i, j) for i in range(len(_SUMMED)) for j in range(i, len(_SUMMED))]
    sums = ", ".join(
        [f"sum({c} * 1e0) AS s{i}" for i, c in enumerate(_SUMMED)]
        + [f"sum({_SUMMED[i]} * 1e0 * {_SUMMED[j]}) AS q{i}{j}" for i, j in pairs]
    )
    found = rows(
        obs,
        f"""WITH traces AS ({_traces(window, arms, unit)}),
        assigned AS (SELECT cluster, min(arm) AS arm, max(arm) AS other, sum(usd) AS usd, count(*) AS requests, sum(unknown) AS unknown
          FROM traces GROUP BY cluster),
        past AS ({past}),
        known AS (SELECT a.arm, a.other, a.usd, a.requests, a.unknown, coalesce(p.usd, 0) AS usd_before, coalesce(p.requests, 0) AS requests_before,
          CASE WHEN p.cluster IS NULL THEN 0 ELSE 1 END AS seen_before FROM assigned a LEFT JOIN past p ON p.cluster = a.cluster)
        SELECT CASE WHEN arm = other THEN arm ELSE 'both' END AS arm, count(*) AS m, sum(unknown) AS unknown, {sums} FROM known GROUP BY 1""",
    )
    both = sum(r["m"] for r in found if r["arm"] == "both")
    return {r["arm"]: _arm(r, pairs) for r in found if r["arm"] != "both"}, both, int(sum(r["unknown"] for r in found))


def _arm(row: dict, pairs: list[tuple[int, int]]) -> _Arm:
    m, k = int(row["m"]), len(_SUMMED)
    mean = np.array([row[f"s{i}"] for i in range(k)], float) / m
    cov = np.zeros((k, k))
    for i, j in pairs:
        cov[i, j] = cov[j, i] = (row[f"q{i}{j}"] - m * mean[i] * mean[j]) / max(m - 1, 1)
    return _Arm(m, mean, cov)


def _compared(found: dict[str, _Arm]) -> dict[str, Any]:
    """Both means, the difference plain and adjusted, and how much of its variance the adjustment took."""
    arms = [found.get(name) for name in ARMS]
    if any(a is None or a.m < 2 for a in arms):
        few = Estimate.refused("an arm has fewer than two units that were in no other arm", n=sum(a.m for a in arms if a))
        return {"treatment": few, "control": few, "difference": few, "plain_difference": few}
    means = [_estimate(a.ratio, [(a.line @ a.cov @ a.line / a.m, a.m - 1)], round(a.m * a.mean[1])) for a in arms]
    n = sum(e.n for e in means)
    bare = _gap(arms, np.zeros(3), n)
    theta = _slopes(arms)
    moved = _gap(arms, theta, n)
    useful = bool(theta.any()) and moved.ok and bare.ok and moved.se < bare.se
    return {
        "treatment": means[0], "control": means[1], "difference": moved if useful else bare, "plain_difference": bare,
        "reduction": 1 - (moved.se / bare.se) ** 2 if useful else None,
    }  # fmt: skip


def _slopes(arms: Sequence[_Arm]) -> np.ndarray:
    """How a unit's cost now goes with its cost and requests before, and with having been there; the same in both arms."""
    inner = sum((a.m - 1) * a.cov[2:, 2:] for a in arms)
    across = sum((a.m - 1) * a.cov[2:, :] @ a.line for a in arms)
    scale = np.sqrt(np.diag(inner))
    live = scale > 0
    theta = np.zeros(3)
    if live.any():
        shape = inner[np.ix_(live, live)] / np.outer(scale[live], scale[live])
        theta[live] = np.linalg.pinv(shape, rcond=1e-8) @ (across[live] / scale[live]) / scale[live]
    return theta


def _gap(arms: Sequence[_Arm], theta: np.ndarray, n: int) -> Estimate:
    """Treatment less control, net of what the units were before; the variance pays for each slope that was fitted."""
    lines = [a.line - np.concatenate([np.zeros(2), theta]) for a in arms]
    value = arms[0].ratio - arms[1].ratio - float(theta @ (arms[0].mean[2:] - arms[1].mean[2:]))
    free = sum(a.m - 1 for a in arms)
    fitted = int((theta != 0).sum())
    if free - fitted < LEAST_FREE and fitted:
        return Estimate.refused("too few units to fit what they were before", n=n)
    paid = (free / (free - fitted)) ** 2
    return _estimate(
        value, [(paid * float(x @ a.cov @ x) / a.m, a.m - 1 - fitted / 2) for x, a in zip(lines, arms, strict=True)], n
    )


def _estimate(value: float, parts: list[tuple[float, float]], n: int) -> Estimate:
    variance, df = float(sum(v for v, _ in parts)), float(pooled_df(*parts))
    if variance <= 0:
        return Estimate.refused("all units cost the same: no spread to estimate from", n=n)
    se = math.sqrt(variance)
    half = critical(0.95, df) * se
    return Estimate(value, value - half, value + half, n, se=se, df=df, p=two_sided(value / se, df))


def _quality(obs, traces: str) -> pd.DataFrame:
    """Every judge's score in both arms and the difference."""
    by: dict[str, dict[str, Estimate]] = {}
    for key, score, mean in judged(obs, traces, ("arm",)):
        by.setdefault(score, {})[key["arm"]] = mean
    lines = []
    for score, means in by.items():
        one, other = (means.get(name, Estimate.refused("not judged")) for name in ARMS)
        gap = difference(one, other)
        lines.append((score, one.value, other.value, gap.value, gap.ci_low, gap.ci_high, gap.n, gap.reason))
    return pd.DataFrame(lines, columns=["score", *ARMS, "difference", "ci_low", "ci_high", "n", "reason"])


def _findings(both: int, unknown: int, found: dict[str, _Arm], unit: str) -> tuple[Finding, ...]:
    out = []
    if both:
        out.append(
            Finding(
                "warning",
                f"{units.count(both)} values of {unit} were in both arms and are left out: the assignment was not by {unit}.",
                both,
            )
        )
    if unknown:
        out.append(Finding("warning", f"{units.count(unknown)} calls of the arms have no known cost and count as 0.", unknown))
    if unit == "trace_id":
        out.append(
            Finding(
                "info",
                "Each trace is taken as assigned by itself: traces of one user or session may go together and the interval is then too narrow.",
            )
        )
    if found and not any(a.mean[4] for a in found.values()):
        out.append(Finding("info", "No unit was seen before the experiment: nothing could be adjusted for."))
    return tuple(out)


def _headline(treatment: str, control: str, gap: Estimate, quality: pd.DataFrame) -> str:
    if not gap.ok:
        return f"What {treatment} costs more than {control} cannot be told: {gap.reason}."
    limits = units.interval(gap.ci_low, gap.ci_high, "usd", kind="absolute")
    text = f"{treatment} costs {units.change(gap.value, 'usd', 'absolute', low=gap.ci_low, high=gap.ci_high)} per request against {control} ({limits})"
    sure = [q for q in quality.itertuples() if q.difference is not None and q.difference == q.difference]
    told = [f"{q.score} {units.signed(q.difference, low=q.ci_low, high=q.ci_high)}" for q in sure[:2]]
    return f"{text}{'; ' + ', '.join(told) if told else '; no judge scored both'}."
