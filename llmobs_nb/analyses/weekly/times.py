"""Quantiles of times without moving a row: rough thresholds, moments of "at or below" them, then the order statistics asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from ..reductions import rows
from .kpis import DAILY_STAGES, LEVELS, STAGES
from .logged import Logged
from .plan import Plan
from .sql import WINDOWS, Found, members, moments, scan, within
from .traces import TRACES

TIMES = "weekly_times"
KEYS = {stage: at for at, stage in enumerate(STAGES)}
# Keys from here on are slices of the whole request.
SLICE = 100
Limits = dict[tuple[int, float], float]
_COLUMN = {
    "ttft": ("llm", "ttft_ms"),
    "llm": ("llm", "latency_ms"),
    "retriever": ("retriever", "latency_ms"),
    "tool": ("tool", "latency_ms"),
}


def keep(stack: ExitStack, obs, plan: Plan, told: Logged, slices: Sequence[tuple[int, str]]) -> None:
    """Keep every time of the days under review while ``stack`` lasts; ``slices`` are (number, condition on a trace)."""
    parts = [f"SELECT {KEYS['total']} AS key, day_no, cluster, latency_ms AS v FROM {TRACES} WHERE latency_ms IS NOT NULL"]
    parts += [
        f"SELECT {SLICE + k} AS key, day_no, cluster, latency_ms AS v FROM {TRACES} WHERE latency_ms IS NOT NULL AND {condition}"
        for k, condition in slices
    ]
    parts += [
        _spans(plan, stage) for stage, there in (("ttft", "ttft"), ("retriever", "retrievals"), ("tool", "tools")) if told[there]
    ]
    stack.enter_context(obs.kept(TIMES, " UNION ALL ".join([*parts, _spans(plan, "llm")])))


def thresholds(obs) -> Limits:
    """Roughly the quantiles of each key over all days; keys without values are absent."""
    picks = ", ".join(f"quantile_cont(v, {p}) AS q{i}" for i, p in enumerate(LEVELS))
    found = rows(obs, f"SELECT key, {picks} FROM {TIMES} GROUP BY key")
    return {(row["key"], p): row[f"q{i}"] for row in found for i, p in enumerate(LEVELS)}


def below(obs, plan: Plan, limits: Limits) -> Found:
    """Moments of "at or below the threshold" by key and place in ``LEVELS``."""
    if not limits:
        return {}
    columns = []
    for p in LEVELS:
        cases = " ".join(f"WHEN {key} THEN {limit!r}" for (key, q), limit in limits.items() if q == p)
        columns.append((f"CASE WHEN v <= (CASE key {cases} END) THEN 1 ELSE 0 END", "1", False))
    return moments(obs, plan, TIMES, columns, key="key")


def order_statistics(obs, plan: Plan, wanted: Sequence[tuple[int, int, int]]) -> Mapping[tuple[int, int, int], float]:
    """The values at given ranks: (key, day number or window code, rank from 1) → milliseconds."""
    if not wanted:
        return {}
    asked = ", ".join(f"({key}, {grp}, {rank})" for key, grp, rank in sorted(set(wanted)))
    two_weeks = within([d for d in (*plan.this, *plan.last) if d is not None])
    daily = within([KEYS[stage] for stage in DAILY_STAGES])
    sql = f"""WITH members AS ({members(plan)}), asked(key, grp, r) AS (VALUES {asked}),
    grouped AS (SELECT key, day_no AS grp, v FROM {TIMES} WHERE key IN ({daily}) AND day_no IN ({two_weeks})
      UNION ALL SELECT key, win AS grp, v FROM {TIMES} t JOIN members ON t.day_no = members.day_no),
    ranked AS (SELECT key, grp, v, row_number() OVER (PARTITION BY key, grp ORDER BY v) AS r FROM grouped)
    SELECT ranked.key AS key, ranked.grp AS grp, ranked.r AS r, ranked.v AS v
    FROM ranked JOIN asked ON ranked.key = asked.key AND ranked.grp = asked.grp AND ranked.r = asked.r"""
    return {(row["key"], row["grp"], row["r"]): row["v"] for row in rows(obs, sql)}


def groups(plan: Plan, key: int) -> tuple[int, ...]:
    """The groups whose quantiles are asked for: the windows, and of the daily stages each day of the two compared."""
    daily = key in [KEYS[stage] for stage in DAILY_STAGES]
    return (*WINDOWS.values(), *(d for d in (*plan.this, *plan.last) if daily and d is not None))


def _spans(plan: Plan, stage: str) -> str:
    kind, column = _COLUMN[stage]
    return f"""SELECT {KEYS[stage]} AS key, t.day_no, t.cluster, s.v FROM (SELECT source, project, trace_id, {column} AS v FROM spans
        WHERE {scan(plan)} AND kind = '{kind}' AND {column} IS NOT NULL) s
      JOIN {TRACES} t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id"""
