"""Who and what spends: partitions of the total by columns or metadata keys, the largest spenders and how few they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pandas as pd

from ...columns import literal, quote
from ...errors import UsageError
from ...prices.marks import CALL
from ...schema import SPANS
from ...stats.compare import quotient
from ...stats.estimate import Estimate
from ...stats.intervals import proportion_from, ratio_from
from ...stats.moments import NOTHING, Moments
from ...text import terminal
from ..reductions import rows
from ..weekly import judged as jd
from ..weekly.plan import Plan as Days
from ..weekly.sql import WINDOWS, moments_of, squares
from ..weekly.traces import TRACES
from .lines import MODEL
from .window import Plan, inside

# Spans that are attributed: those with a cost, and model calls without one.
BILLED = f"(cost_usd IS NOT NULL OR {CALL})"
TRACE = "source, project, trace_id"
CLUSTER = "source, project, coalesce(session_id, trace_id)"
SPENDERS = {
    "feature": "feature", "model": MODEL, "tenant_id": "tenant_id", "user_id": "user_id", "user_tier": "user_tier",
    "name": "name", "prompt_version": "prompt_version", "environment": "environment",
}  # fmt: skip
PAIRS = (
    ("feature", "model"), ("tenant_id", "feature"), ("user_tier", "feature"), ("feature", "prompt_version"), ("environment", "model"),
)  # fmt: skip
TOP, MOST_PAIRS, MOST_ROWS = 10, 20, 100_000
MOSTLY = 0.8
_CROSSED = 100
UNITS = ("request", "session", "user")
_SPENDERS = ("key", "value", "cost_usd", "share")
_PAIRS = ("key", "value", "other_key", "other_value", "cost_usd", "share")
_CONCENTRATION = ("key", "values", "top_1_share", "top_10_share", "for_80_percent")


def attribute(obs, plan: Plan, keys: Sequence[str]) -> pd.DataFrame:
    """The total split by all keys together: exclusive rows, null a row of its own, tags by their combination; largest first.

    Columns: the keys, cost_usd (null where no cost of the row is known), share, requests (traces with a model call or a cost in the
    row), cost_per_request (over requests with a known cost; sessions are the clusters, traces where there is none). A metadata key
    is read from the span, else from its trace. UsageError for keys that are none, are named twice, or make too many rows.
    """
    names = [keys] if isinstance(keys, str) else list(keys)
    source, values = _values(obs, plan, names)
    listed = "".join(f"k{i}, " for i in range(len(names)))
    columns = "".join(f"{sql} AS k{i}, " for i, sql in enumerate(values))
    grouped = f"GROUP BY {listed[:-2]}" if names else ""
    found = rows(
        obs,
        f"""WITH billed AS (SELECT {columns}{TRACE}, session_id, cost_usd FROM {source} WHERE {inside(plan.window)} AND {BILLED}),
        spent AS (SELECT {listed}{TRACE}, max(session_id) AS session_id, sum(cost_usd) AS cost_usd FROM billed GROUP BY {listed}{TRACE}),
        clusters AS (SELECT {listed}sum(cost_usd) AS x0, CAST(count(cost_usd) AS DOUBLE) AS n0, count(*) AS requests
          FROM spent GROUP BY {listed}{CLUSTER})
        SELECT {listed}sum(x0) AS cost_usd, CAST(sum(requests) AS BIGINT) AS requests, {squares(1)}
        FROM clusters {grouped} LIMIT {MOST_ROWS + 1}""",
    )
    if len(found) > MOST_ROWS:
        raise UsageError(
            f"by={', '.join(names)} makes more than {MOST_ROWS:,} rows; choose coarser keys, or some of the traffic by where="
        )
    return _partition(found, names)


@dataclass(frozen=True)
class Spread:
    """Who spends. ``spenders``: the ten largest values of each split, null one of them. ``concentration``: how few make most of it,
    among the known values with a cost. ``pairs``: the twenty largest cells of two splits crossed. A split of one value is in none.
    """

    spenders: pd.DataFrame
    concentration: pd.DataFrame
    pairs: pd.DataFrame


def spread(obs, plan: Plan) -> Spread:
    """The largest spenders by each of ``SPENDERS`` and of ``PAIRS``, with their shares of the total, in one scan."""
    known = "value IS NOT NULL AND cost_usd > 0"
    order = "PARTITION BY place ORDER BY cost_usd DESC, value, other"
    upto = f"({order} ROWS UNBOUNDED PRECEDING)"
    found = rows(
        obs,
        f"""{_spent(plan)},
        ranked AS (SELECT place, value, other, cost_usd, sum(cost_usd) OVER (PARTITION BY place) AS total,
          count(*) OVER (PARTITION BY place) AS size, row_number() OVER ({order}) AS rank,
          sum(CASE WHEN {known} THEN 1 ELSE 0 END) OVER (PARTITION BY place) AS known,
          sum(CASE WHEN {known} THEN cost_usd END) OVER (PARTITION BY place) AS known_usd,
          sum(CASE WHEN {known} THEN 1 ELSE 0 END) OVER {upto} AS known_rank,
          sum(CASE WHEN {known} THEN cost_usd END) OVER {upto} AS upto FROM valued),
        told AS (SELECT *, min(CASE WHEN upto >= {MOSTLY} * known_usd THEN known_rank END) OVER (PARTITION BY place) AS mostly FROM ranked)
        SELECT * FROM told WHERE rank <= {MOST_PAIRS} ORDER BY place, rank""",
    )
    by: dict[int, list[Mapping]] = {}
    for r in found:
        by.setdefault(r["place"], []).append(r)
    singles = {name: by[i] for i, name in enumerate(SPENDERS) if i in by and by[i][0]["size"] > 1}
    crossed = {pair: by[_CROSSED + i] for i, pair in enumerate(PAIRS) if set(pair) <= set(singles)}
    largest = [(k, r["value"], r["cost_usd"], _share(r["cost_usd"], r["total"])) for k, rs in singles.items() for r in rs[:TOP]]
    cells = [
        (a, r["value"], b, r["other"], r["cost_usd"], _share(r["cost_usd"], r["total"])) for (a, b), rs in crossed.items() for r in rs
    ]  # fmt: skip
    few = [_few(k, rs) for k, rs in singles.items() if rs[0]["known"] > 1]
    return Spread(*(pd.DataFrame(r, columns=list(c)) for r, c in ((largest, _SPENDERS), (few, _CONCENTRATION), (cells, _PAIRS))))


def _few(key: str, found: Sequence[Mapping]) -> tuple:
    """How many known values a split has, what share the largest one and ten of them have, how many make four fifths."""
    costs = [r["cost_usd"] for r in found if r["value"] is not None and r["cost_usd"] > 0]
    whole = found[0]["known_usd"]
    return key, int(found[0]["known"]), costs[0] / whole, math.fsum(costs[:TOP]) / whole, int(found[0]["mostly"])


def per_unit(obs, plan: Plan, *, good: tuple[str, float] | None = None) -> dict[str, Estimate]:
    """What a request, a session, a user and a good answer of the product's own traffic cost on average (USD), each with its interval.

    Over those with a known cost; sessions are the clusters of requests, users their own. A good answer is one with the score of
    ``good`` at its value or more (default: the most frequent judge of quality, from 0.7 on): cost per request over the share of
    good answers, weighted by how the judged ones were drawn.
    """
    sql = f"""WITH traces AS (SELECT {TRACE}, max(session_id) AS session_id, max(user_id) AS user_id, sum(cost_usd) AS cost_usd
      FROM spans WHERE {inside(plan.window)} AND purpose IS NULL GROUP BY {TRACE}),
    clusters AS (
      SELECT 'request' AS unit, sum(cost_usd) AS x0, CAST(count(cost_usd) AS DOUBLE) AS n0 FROM traces GROUP BY {CLUSTER}
      UNION ALL SELECT 'session', sum(cost_usd), CASE WHEN count(cost_usd) > 0 THEN 1e0 ELSE 0e0 END FROM traces
        WHERE session_id IS NOT NULL GROUP BY source, project, session_id
      UNION ALL SELECT 'user', sum(cost_usd), CASE WHEN count(cost_usd) > 0 THEN 1e0 ELSE 0e0 END FROM traces
        WHERE user_id IS NOT NULL GROUP BY user_id)
    SELECT unit, {squares(1)} FROM clusters GROUP BY unit"""
    found = {r["unit"]: moments_of(r, 0) for r in rows(obs, sql)}
    out = {unit: _of_one(found.get(unit, NOTHING)) for unit in UNITS}
    return out | {"good_answer": quotient(out["request"], good_rate(obs, plan, good))}


def _of_one(m: Moments) -> Estimate:
    """Cost of one, linearised over clusters; its interval ends at 0 where the cost is not a refund."""
    e = ratio_from(m)
    return replace(e, ci_low=max(e.ci_low, 0.0)) if e.ok and e.value >= 0 else e


def good_rate(obs, plan: Plan, good: tuple[str, float] | None) -> Estimate:
    """Share of good answers among the judged ones of the window, as the weekly review counts them."""
    with ExitStack() as stack:
        stack.enter_context(obs.kept(TRACES, f"SELECT {TRACE}, '' AS cell FROM spans WHERE false"))
        whole = Days(plan.window, plan.window, plan.tz, "week", (plan.window,), ((0, 0),), (0,), (None,), (), kept=(0,))
        scores = jd.keep(stack, obs, whole, jd.survey(obs), composite={}, good=good)
        if scores.good is None:
            named = f"score {terminal(good[0], 60)!r} of a trace" if good else "judge of quality"
            return Estimate.refused(f"no {named} tells which answers are good")
        found = jd.measured(obs, whole, scores, source=f"(SELECT * FROM {jd.JUDGED} WHERE key = {scores.good}) j")
    weighted, counted = (found.get((scores.good, i), {}).get(WINDOWS["this"], NOTHING) for i in (0, 1))
    return replace(proportion_from(weighted), n=int(counted.n)) if weighted.n else proportion_from(weighted)


def _spent(plan: Plan) -> str:
    """Common tables up to ``valued``: place (of a split, or of a pair from ``_CROSSED`` on), its value or two, cost."""
    names = list(SPENDERS)
    pairs = [(names.index(a), names.index(b)) for a, b in PAIRS]
    columns = ", ".join(f"{sql} AS k{i}" for i, sql in enumerate(SPENDERS.values()))
    listed = ", ".join(f"k{i}, grouping(k{i}) AS g{i}" for i in range(len(names)))
    sets = ", ".join([*(f"(k{i})" for i in range(len(names))), *(f"(k{a}, k{b})" for a, b in pairs)])

    def picked(single: str, crossed: str) -> str:
        cases = [f"WHEN g{a} = 0 AND g{b} = 0 THEN {crossed.format(at=_CROSSED + n, a=a, b=b)}" for n, (a, b) in enumerate(pairs)]
        return " ".join(["CASE", *cases, *(f"WHEN g{i} = 0 THEN {single.format(i=i)}" for i in range(len(names))), "END"])

    return f"""WITH spent AS (SELECT {columns}, cost_usd FROM spans WHERE {inside(plan.window)} AND cost_usd IS NOT NULL),
    sums AS (SELECT {listed}, sum(cost_usd) AS cost_usd FROM spent GROUP BY GROUPING SETS ({sets})),
    valued AS (SELECT {picked("{i}", "{at}")} AS place, {picked("k{i}", "k{a}")} AS value, {picked("NULL", "k{b}")} AS other, cost_usd FROM sums)"""


def _share(cost: float | None, total: float) -> float | None:
    return cost / total if cost is not None and total else None


def _partition(found: Sequence[Mapping], names: Sequence[str]) -> pd.DataFrame:
    """The rows of a partition, largest first."""
    total = math.fsum(r["cost_usd"] or 0.0 for r in found)
    ordered = sorted(found, key=lambda r: (-(r["cost_usd"] or 0.0), *(str(r[f"k{i}"]) for i in range(len(names)))))
    told = [
        (*(r[f"k{i}"] for i in range(len(names))), r["cost_usd"], _share(r["cost_usd"], total), r["requests"], _of_one(moments_of(r, 0)))
        for r in ordered if r["requests"]
    ]  # fmt: skip
    return pd.DataFrame(told, columns=[*names, "cost_usd", "share", "requests", "cost_per_request"])


def _values(obs, plan: Plan, names: Sequence[str]) -> tuple[str, list[str]]:
    """Where to read from, and the value of each key there as SQL."""
    if len(set(names)) < len(names):
        raise UsageError(f"by={', '.join(names)}: a key is named twice; name each once")
    keys = [n for n in names if n not in SPANS]
    for name in keys:
        if not rows(obs, f"SELECT 1 AS one FROM spans WHERE metadata[{literal(name)}] IS NOT NULL LIMIT 1"):
            known = ", ".join(obs.dimensions()["name"][:25])
            raise UsageError(
                f"by: {terminal(name, 60)!r} is neither a column nor a metadata key; choose from: {terminal(known, 600)}"
            )
    values = [f"coalesce(metadata[{literal(n)}], of_trace_{keys.index(n)})" if n in keys else _column(n) for n in names]
    if not keys:
        return "spans", values
    said = ", ".join(f"max(metadata[{literal(n)}]) AS of_trace_{i}" for i, n in enumerate(keys))
    whole = f"(SELECT {TRACE}, {said} FROM spans WHERE {inside(plan.window)} GROUP BY {TRACE})"
    return f"(SELECT * FROM spans LEFT JOIN {whole} t USING ({TRACE})) s", values


def _column(name: str) -> str:
    """A column as text; a list by the combination of its values, whatever their order."""
    if name == "model":
        return MODEL
    if SPANS[name].type.startswith("list"):
        return f"array_to_string(list_sort({quote(name)}), ', ')"
    return f"CAST({quote(name)} AS VARCHAR)"
