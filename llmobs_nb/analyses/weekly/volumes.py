"""Exact counts by day and window: requests, users, sessions and cost, of all traffic or by slice; and what users have in common."""

from __future__ import annotations

from ..reductions import rows
from .plan import Plan
from .sql import pairs, within
from .traces import TRACES

_COUNTS = (
    "count(*) AS requests, count(DISTINCT user_id) AS users, count(DISTINCT session_id) AS sessions, "
    "sum(cost_usd) AS total_cost, count(cost_usd) AS costed"
)


def daily(obs) -> dict[int, dict]:
    """Per day with requests: requests, users, sessions, total_cost, first and last start."""
    found = rows(obs, f"SELECT day_no, {_COUNTS}, min(started) AS first, max(started) AS last FROM {TRACES} GROUP BY day_no")
    return {row["day_no"]: row for row in found}


def totals(obs, plan: Plan) -> dict[str, dict]:
    """Per window: requests, users, sessions, total_cost; for the baseline one row a week, under ``baseline0`` and on."""
    weeks = {f"baseline{k}": plan.chosen(week) for k, week in enumerate(plan.whole())}
    named = {"this": plan.chosen(plan.this), "last": plan.chosen(plan.last)} | weeks
    names = list(named)
    sql = f"""WITH members AS ({pairs("win", [(i, d) for i, name in enumerate(names) for d in named[name]])})
    SELECT win, {_COUNTS} FROM {TRACES} t JOIN members ON t.day_no = members.day_no GROUP BY win"""
    return {names[row["win"]]: row for row in rows(obs, sql)}


def by_slice(obs, code: str) -> dict[int, dict[int, int]]:
    """Requests by slice and day; ``code`` is the number of the slice as SQL over the traces."""
    found = rows(obs, f"SELECT {code} AS slice, day_no, count(*) AS requests FROM {TRACES} GROUP BY {code}, day_no")
    out: dict[int, dict[int, int]] = {}
    for row in found:
        out.setdefault(row["slice"], {})[row["day_no"]] = row["requests"]
    return out


def shared_users(obs, plan: Plan) -> float:
    """Covariance of this and last week's cost per user, from the users who were there in both."""
    chosen = plan.members()
    each = ", ".join(f"sum(CASE WHEN day_no IN ({within(chosen[w])}) THEN cost_usd END) AS {w}" for w in ("this", "last"))
    sql = f"""WITH users AS (SELECT user_id, {each} FROM {TRACES} WHERE user_id IS NOT NULL GROUP BY user_id)
    SELECT count(this) AS n1, count(last) AS n0, sum(this) AS x1, sum(last) AS x0,
      CAST(sum(CASE WHEN this IS NOT NULL AND last IS NOT NULL THEN 1 ELSE 0 END) AS DOUBLE) AS n,
      sum(CASE WHEN last IS NOT NULL THEN this END) AS this_both, sum(CASE WHEN this IS NOT NULL THEN last END) AS last_both,
      sum(this * last) AS cross FROM users"""
    (row,) = rows(obs, sql)
    if not row["n"] or not row["n1"] or not row["n0"]:
        return 0.0
    r1, r0 = row["x1"] / row["n1"], row["x0"] / row["n0"]
    return (row["cross"] - r0 * row["this_both"] - r1 * row["last_both"] + row["n"] * r1 * r0) / (row["n1"] * row["n0"])
