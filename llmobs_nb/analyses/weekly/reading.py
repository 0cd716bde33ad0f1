"""What to read: traces of new kinds of errors, then those of what got worse, then the rest, one of each kind in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest

from ...columns import literal
from ..reductions import rows
from .judged import JUDGED, Judged
from .levels import Review
from .plan import Activity, Plan
from .sql import lists, partitions, scan, within
from .traces import TRACES

READING, EXEMPLARS = 20, 5
_PICKS = {
    "failed": ("failed = 1", "started DESC"),
    "slow": ("latency_ms IS NOT NULL", "latency_ms DESC"),
    "costly": ("cost_usd > 0", "cost_usd DESC"),
    "retried": ("retries > 0", "retries DESC"),
    "blocked": ("blocked = 1", "started DESC"),
    "refused": ("refused = 1", "started DESC"),
    "clarified": ("clarified = 1", "started DESC"),
    "escalated": ("escalated = 1", "started DESC"),
    "wrong_block": ("blocked = 1 AND reviewed_wrong = 1", "started DESC"),
}


def new_errors(obs, plan: Plan, seen: Mapping[int, Activity]) -> list[dict]:
    """Error classes of this window that none of the other days of the plan saw: error_class, n spans, up to five traces."""
    this = plan.of_this()
    if not any(d in seen for d in range(len(plan.days)) if d not in this):
        return []
    inside = f"CASE WHEN day_no IN ({within(this)}) THEN 1 ELSE 0 END"
    sql = f"""WITH errors AS ({_error_spans(plan)}) SELECT error_class, sum({inside}) AS n, sum(1 - {inside}) AS before
      FROM errors GROUP BY error_class"""
    found = [row for row in rows(obs, sql) if row["n"] and not row["before"]]
    found.sort(key=lambda r: (-r["n"], r["error_class"]))
    traces = _error_traces(obs, plan, [r["error_class"] for r in found])
    return [{"error_class": r["error_class"], "n": int(r["n"]), "traces": traces.get(r["error_class"], [])} for r in found]


def exemplars(obs, plan: Plan, reviews: Sequence[Review], judged: Judged) -> dict[str, tuple[str, ...]]:
    """Traces of this window to read, five of each kind that a KPI of the page names."""
    kinds = {r.kpi.exemplars for r in reviews} & set(_PICKS)
    out = {what: tuple(ids) for what, ids in _picked(obs, plan, kinds).items()}
    better = {r.kpi.exemplars: r.kpi.better for r in reviews}
    for key, (low, high) in _extremes(obs, plan, judged).items():
        at = judged.kpis[key].exemplars
        out[at] = tuple(high if better.get(at) == "down" else low)
    return out


def reading_list(classes: Sequence[dict], examples: Mapping[str, tuple[str, ...]], reviews: Sequence[Review]) -> tuple[str, ...]:
    """Up to twenty traces, each once."""
    order = sorted(reviews, key=lambda r: r.verdict != "worse")
    kinds = dict.fromkeys(r.kpi.exemplars for r in order if r.kpi.exemplars)
    turns = chain.from_iterable(zip_longest(*(examples.get(kind, ()) for kind in kinds)))
    new = chain.from_iterable(c["traces"] for c in classes)
    return tuple(dict.fromkeys(t for t in chain(new, turns) if t is not None))[:READING]


def named(others: Mapping[str, object]) -> list[str]:
    """The traces that other analyses put beside the KPIs name first: of the alerts that fire and of the signals."""
    alerts, told = others.get("alerts"), others.get("signals")
    out = [t for row in alerts or () for t in list(row.get("traces") or ())[:EXEMPLARS]] if isinstance(alerts, list) else []
    return out + (list(told.get("reading", ()))[:READING] if isinstance(told, Mapping) else [])


def urls(obs, plan: Plan, traces: Sequence[str]) -> dict[str, str]:
    """Where each trace opens in its product, as its source says; a trace without such an address is left out."""
    if not traces:
        return {}
    listed = ", ".join(literal(t) for t in sorted(set(traces)))
    sql = f"""SELECT trace_id, max(source_url) AS url FROM spans WHERE {partitions(plan)} AND trace_id IN ({listed})
      AND source_url IS NOT NULL GROUP BY trace_id ORDER BY trace_id"""
    return {row["trace_id"]: row["url"] for row in rows(obs, sql)}


def _picked(obs, plan: Plan, kinds: set[str]) -> dict[str, list[str]]:
    parts = " UNION ALL ".join(
        f"SELECT '{what}' AS what, trace_id, row_number() OVER (ORDER BY {order}, trace_id) AS r "
        f"FROM {TRACES} WHERE {where} AND day_no IN ({within(plan.of_this())})"
        for what, (where, order) in _PICKS.items()
        if what in kinds
    )
    if not parts:
        return {}
    return lists(
        rows(obs, f"WITH ranked AS ({parts}) SELECT what, trace_id FROM ranked WHERE r <= {EXEMPLARS} ORDER BY what, r"), "what"
    )


def _extremes(obs, plan: Plan, judged: Judged) -> dict[int, tuple[list[str], list[str]]]:
    """Per score up to five lowest and five highest traces of this window."""
    if not judged.scores:
        return {}
    keys = within([s.key for s in judged.scores])
    sql = f"""WITH ranked AS (SELECT key, trace_id, row_number() OVER (PARTITION BY key ORDER BY value, trace_id) AS lowest,
        row_number() OVER (PARTITION BY key ORDER BY value DESC, trace_id) AS highest
      FROM {JUDGED} WHERE key IN ({keys}) AND trace_id IS NOT NULL AND day_no IN ({within(plan.of_this())}))
    SELECT * FROM ranked WHERE lowest <= {EXEMPLARS} OR highest <= {EXEMPLARS} ORDER BY key, lowest"""
    out: dict[int, tuple[list[str], list[str]]] = {}
    for row in rows(obs, sql):
        low, high = out.setdefault(row["key"], ([], []))
        if row["lowest"] <= EXEMPLARS:
            low.append(row["trace_id"])
        if row["highest"] <= EXEMPLARS:
            high.insert(0, row["trace_id"])
    return out


def _error_traces(obs, plan: Plan, classes: Sequence[str]) -> dict[str, list[str]]:
    if not classes:
        return {}
    named = ", ".join(literal(c) for c in classes)
    sql = f"""WITH errors AS ({_error_spans(plan)}),
    ranked AS (SELECT error_class, trace_id, row_number() OVER (PARTITION BY error_class ORDER BY trace_id) AS r
      FROM (SELECT DISTINCT error_class, trace_id FROM errors WHERE day_no IN ({within(plan.of_this())}) AND error_class IN ({named})) d)
    SELECT error_class, trace_id FROM ranked WHERE r <= {EXEMPLARS} ORDER BY error_class, r"""
    return lists(rows(obs, sql), "error_class")


def _error_spans(plan: Plan) -> str:
    return f"""SELECT t.day_no, t.trace_id, coalesce(s.error_class, 'other') AS error_class
      FROM (SELECT source, project, trace_id, error_class FROM spans WHERE {scan(plan)} AND status = 'error') s
      JOIN {TRACES} t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id"""
