"""The tables of the page: both windows by day, latency by day, cost by feature, scores by day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from ...stats.estimate import Estimate
from ...stats.intervals import proportion_from, ratio_from
from ...stats.moments import NOTHING, Moments
from ..reductions import rows
from .judged import Judged
from .kpis import DAILY_LEVELS, DAILY_STAGES, QUANTILES
from .levels import bounded
from .plan import Plan
from .sql import WINDOWS, Found, members, moments_of, scan, squares
from .traces import TRACES


def two_windows(plan: Plan):
    """(day number, date, this or last) of the days of both windows."""
    for week, numbers in (("last", plan.last), ("this", plan.this)):
        for d in sorted((n for n in numbers if n is not None), key=lambda n: plan.days[n].start):
            yield d, date.fromisoformat(plan.days[d].label), week


def daily(plan: Plan, errors: Mapping[int, Moments]) -> list[dict]:
    """Requests and failures of a day."""
    out = []
    for d, day, week in two_windows(plan):
        m = errors.get(d, NOTHING)
        rate = proportion_from(m)
        limits = {"error_rate": rate.value, "error_low": rate.ci_low, "error_high": rate.ci_high}
        out.append({"day": day, "week": week, "requests": int(m.n), "errors": int(m.x), **limits})
    return out


def latency(plan: Plan, answers: Mapping[tuple[str, int], Estimate]) -> list[dict]:
    """Median and 95th percentile of a day, of the whole request and to the first token."""
    out = []
    for kpi in (k for k in QUANTILES if k.stage in DAILY_STAGES and k.p in DAILY_LEVELS):
        for d, day, week in two_windows(plan):
            e = answers.get((kpi.name, d))
            if e is not None and e.n:
                limits = {"value_ms": e.value, "low_ms": e.ci_low, "high_ms": e.ci_high, "n": e.n}
                out.append({"day": day, "week": week, "stage": kpi.stage, "quantile": kpi.p, **limits})
    return out


def quality(plan: Plan, judged: Judged, found: Found) -> list[dict]:
    """Every score of a day, of traces and of sessions."""
    out = []
    for s in sorted(judged.scores, key=lambda s: (s.name, s.rater, s.of_session)):
        kpi, values, counts = judged.kpis[s.key], found.get((s.key, 0), {}), found.get((s.key, 1), {})
        level = proportion_from if kpi.kind == "rate" else ratio_from
        rater = f"{s.rater}, sessions" if s.of_session else s.rater
        for d, day, week in two_windows(plan):
            if d in values:
                e = bounded(level(values[d]), kpi.bounds)
                limits = {"mean": e.value, "low": e.ci_low, "high": e.ci_high, "n": int(counts[d].n)}
                out.append({"day": day, "week": week, "score": s.name, "rater": rater, **limits})
    return out


def cost(obs, plan: Plan) -> list[dict]:
    """Cost by feature of the span: what it was, what it is, and of one request; null is a row of its own."""
    two = members(plan, ("this", "last"))
    sql = f"""WITH members AS ({two}), parts AS (
        SELECT t.day_no, t.cluster, s.feature, s.source, s.project, s.trace_id, sum(s.cost_usd) AS cost_usd
        FROM (SELECT source, project, trace_id, feature, cost_usd FROM spans WHERE {scan(plan)} AND cost_usd IS NOT NULL) s
        JOIN {TRACES} t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
        WHERE t.day_no IN (SELECT day_no FROM members) GROUP BY t.day_no, t.cluster, s.feature, s.source, s.project, s.trace_id),
      clusters AS (SELECT win, feature, cluster, sum(cost_usd) AS x0, CAST(count(*) AS DOUBLE) AS n0
        FROM parts JOIN members ON parts.day_no = members.day_no GROUP BY win, feature, cluster)
      SELECT win, feature, {squares(1)} FROM clusters GROUP BY win, feature"""
    found: dict[str | None, dict[int, Moments]] = {}
    for row in rows(obs, sql):
        found.setdefault(row["feature"], {})[row["win"]] = moments_of(row, 0)
    return _cost_rows(list(found.items()))


def _cost_rows(found) -> list[dict]:
    this, last = WINDOWS["this"], WINDOWS["last"]
    total = sum(by[this].x for _, by in found if this in by)
    out = []
    for feature, by in found:
        now, before = by.get(this, NOTHING), by.get(last, NOTHING)
        per = bounded(ratio_from(now), (0.0, math.inf))
        row = {"feature": feature, "this_usd": now.x, "last_usd": before.x, "change_usd": now.x - before.x}
        row |= {"share": now.x / total if total else None, "requests": int(now.n)}
        out.append(row | {"cost_per_request": per.value, "low": per.ci_low, "high": per.ci_high})
    return sorted(out, key=lambda r: (-r["this_usd"], -r["last_usd"], r["feature"] or ""))
