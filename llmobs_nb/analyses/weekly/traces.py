"""One row per trace of the days under review, kept in the engine: when, whose, what it can be sliced by, and what every KPI counts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ...columns import literal, quote
from ...errors import UsageError
from ...schema import SPANS
from . import retrieval, said
from .kpis import RATIOS, Kpi, own_kpi, rate
from .logged import BLOCKED, Logged
from .plan import Plan
from .sql import days, scan

TRACES, BASE = "weekly_traces", "weekly_base"
CELLS = ("feature", "model_requested", "user_tier")
# What the answering model call says; other columns are said by any span of the trace.
OF_CALLS = ("provider", "model_requested", "model", "prompt_name", "prompt_version")
_ELAPSED_MS = "date_diff('microsecond', min(start_time), max(end_time)) / 1000.0"
_DECODES = "kind = 'llm' AND ttft_ms IS NOT NULL AND latency_ms > ttft_ms AND tokens_out > 1"
_CACHE = "kind = 'llm' AND tokens_cache_read IS NOT NULL AND tokens_in IS NOT NULL"
_TOOLED = "max(CASE WHEN tools > 0 THEN 1 ELSE 0 END) OVER (PARTITION BY feature)"
_EARLIER = "OVER (PARTITION BY source, project, session_id ORDER BY started, trace_id)"
_SPAN = "source, project, trace_id"


@dataclass(frozen=True)
class Traces:
    """The KPIs whose columns the kept table has, and the names of those that the data say nothing of."""

    kpis: tuple[Kpi, ...]
    absent: tuple[str, ...]


def keep(
    stack: ExitStack,
    obs,
    plan: Plan,
    told: Logged,
    *,
    by: Sequence[str] = (),
    own: Sequence = (),
    events: str = "",
    more: Sequence[Kpi] = (),
) -> Traces:
    """Keep the table of traces while ``stack`` lasts; what it can say becomes KPIs.

    ``events`` is SQL that gives (trace_id, columns) joined to the traces, ``more`` the KPIs over these. ``by`` are columns or
    metadata keys to slice by, ``own`` metrics of ``lm.metric``.
    """  # fmt: skip
    columns = {**_logged(told), **_parts(told), **{f"own_{i}": m.sql for i, m in enumerate(own)}}
    stack.enter_context(obs.kept(BASE, _base(plan, columns, [_value(obs, name) for name in by])))
    late = _late(told)
    joins = [*said.keep(stack, obs, plan, told), *retrieval.keep(stack, obs, plan, told)]
    late |= {column: f"{join.table}.{column}" for join in joins for column in join.columns}
    stack.enter_context(obs.kept(TRACES, _traces(plan, late, joins, events)))
    made = {"failed", "session_id", "tokens_in", "tokens_out", "cost_usd", *columns, *late}
    made |= {"clarified"} if "clarifies" in late else set()
    kpis = [k for k in RATIOS if set(_needs(k)) <= made]
    absent = tuple(k.label for k in RATIOS if not set(_needs(k)) <= made)
    kpis += [*_part_kpis(told), *(own_kpi(m, f"own_{i}") for i, m in enumerate(own)), *more]
    return Traces(tuple(kpis), absent)


def cells(alias: str = "") -> str:
    """What the traffic mix is made of, as one text."""
    dot = f"{alias}." if alias else ""
    return "concat(" + ", '|', ".join(f"coalesce({dot}{c}, '')" for c in CELLS) + ")"


def _needs(kpi: Kpi) -> list[str]:
    text = f"{kpi.x} {kpi.n}".replace("CASE WHEN", " ").replace("IS NOT NULL THEN 1 END", " ")
    return [word for word in text.split() if not word.isdigit()]


def _logged(told: Logged) -> dict[str, str]:
    """Columns of a trace that are sums over its spans, of what is logged at all."""
    out: dict[str, str] = {}
    if told["attempts"]:
        out["retries"] = "sum(CASE WHEN attempt > 1 THEN 1 WHEN attempt IS NOT NULL THEN 0 END)"
    elif told["request_ids"]:
        out["retries"] = "CASE WHEN count(request_id) > 0 THEN count(request_id) - count(DISTINCT request_id) END"
    if told["cached"]:
        out["cached"] = "max(CASE WHEN response_cached THEN 1 WHEN response_cached IS NOT NULL THEN 0 END)"
    if told["ttft"]:
        out["decoded"] = f"sum(CASE WHEN {_DECODES} THEN tokens_out - 1 END)"
        out["decode_s"] = f"sum(CASE WHEN {_DECODES} THEN (latency_ms - ttft_ms) / 1000.0 END)"
    if told["guardrails"]:
        out["blocked"] = f"max(CASE WHEN {BLOCKED} THEN 1 WHEN guardrails IS NOT NULL THEN 0 END)"
    if told["tops"]:
        out["top_score"] = "sum(CASE WHEN kind = 'retriever' THEN retrieval_scores[1] END)"
        out["top_scores"] = "sum(CASE WHEN kind = 'retriever' AND retrieval_scores[1] IS NOT NULL THEN 1 END)"
    if told["cache"]:
        out["cache_read"] = f"sum(CASE WHEN {_CACHE} THEN tokens_cache_read END)"
        out["cacheable"] = f"sum(CASE WHEN {_CACHE} THEN tokens_in END)"
    if told.contexts:
        size = _context_sql(told)
        out["filled"] = f"sum(CASE WHEN kind = 'llm' THEN tokens_in * 1e0 / {size} END)"
        out["fillable"] = f"sum(CASE WHEN kind = 'llm' AND tokens_in IS NOT NULL AND {size} IS NOT NULL THEN 1 END)"
    return out


def _late(told: Logged) -> dict[str, str]:
    """Columns that need the other traces: of the session, or of the feature."""
    out = {}
    if told["sessions"]:
        out["grown"] = f"CASE WHEN session_id IS NOT NULL THEN prompt_in - lag(prompt_in) {_EARLIER} END"
    if told["tools"]:
        out["tool_calls"] = f"CASE WHEN {_TOOLED} = 1 THEN tools END"
    return out


def _parts(told: Logged) -> dict[str, str]:
    """Columns of the classes of errors and of the parts of guardrails."""
    errors = {
        f"err_{i}": f"max(CASE WHEN status = 'error' AND coalesce(error_class, 'other') = {literal(name)} THEN 1 ELSE 0 END)"
        for i, name in enumerate(told.error_classes)
    }
    blocks = {}
    for i, texts in enumerate(told.blocks.values()):
        among = ", ".join(literal(t) for t in texts)
        blocks[f"block_{i}"] = f"max(CASE WHEN guardrails IN ({among}) THEN 1 WHEN guardrails IS NOT NULL THEN 0 END)"
    return errors | blocks


def _part_kpis(told: Logged) -> list[Kpi]:
    of_errors = [
        rate("error_rate", "Error rate", "down", f"err_{i}", "1", "traces with an error span of this class / traces",
             family="reliability", slice=f"error_class={name}")
        for i, name in enumerate(told.error_classes) if len(told.error_classes) > 1
    ]  # fmt: skip
    of_blocks = [
        rate("guardrail_block_rate", "Guardrail block rate", "none", f"block_{i}", f"CASE WHEN block_{i} IS NOT NULL THEN 1 END",
             f"traces blocked on this {kind} / traces a guardrail looked at", 0.01, family="guardrails", slice=f"{kind}={name}")
        for i, (kind, name) in enumerate(told.blocks)
    ]  # fmt: skip
    return of_errors + of_blocks


def _context_sql(told: Logged) -> str:
    cases = " ".join(
        f"WHEN coalesce(model, model_requested) = {literal(model)} AND "
        + (f"provider = {literal(provider)}" if provider is not None else "provider IS NULL")
        + f" THEN {size}"
        for (provider, model), size in told.contexts.items()
    )
    return f"(CASE {cases} END)"


def _value(obs, name: str) -> str:
    """The expression that gives the value of a trace in a dimension to slice by."""
    if name in SPANS:
        return (
            f"max(CASE WHEN kind = 'llm' THEN {quote(name)} END)" if name in OF_CALLS else f"max(CAST({quote(name)} AS VARCHAR))"
        )
    known = set(obs.dimensions()["name"])
    if name not in known:
        raise UsageError(f"by: {name!r} is neither a column nor a metadata key; choose from: {', '.join(sorted(known)[:25])}")
    return f"max(metadata[{literal(name)}])"


def _base(plan: Plan, columns: dict[str, str], by: Sequence[str]) -> str:
    named = {**columns, **{f"by_{i}": sql for i, sql in enumerate(by)}}
    more = "".join(f", {sql} AS {name}" for name, sql in named.items())
    return f"""SELECT {_SPAN}, min(start_time) AS started,
        max(CASE WHEN status = 'error' THEN 1 ELSE 0 END) AS failed, max(session_id) AS session_id, max(user_id) AS user_id,
        sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost_usd,
        max(CASE WHEN kind = 'llm' THEN tokens_in END) AS prompt_in,
        sum(CASE WHEN kind = 'tool' THEN 1 ELSE 0 END) AS tools,
        CASE WHEN sum(CASE WHEN is_root THEN 1 ELSE 0 END) = 1 THEN max(CASE WHEN is_root THEN latency_ms END)
          ELSE {_ELAPSED_MS} END AS latency_ms,
        max(feature) AS feature, max(user_tier) AS user_tier,
        max(CASE WHEN kind = 'llm' THEN model_requested END) AS model_requested,
        coalesce(max(CASE WHEN is_root AND output_chars > 0 THEN span_id END),
          max(CASE WHEN kind = 'llm' AND output_chars > 0 THEN span_id END)) AS text_id{more}
      FROM spans WHERE {scan(plan)} GROUP BY {_SPAN}"""


def _traces(plan: Plan, late: dict[str, str], joins: Sequence, events: str) -> str:
    """The days' traces with what comes from their texts, retrievals and feedback; sessions are numbered."""
    columns = "".join(f", {sql} AS {name}" for name, sql in late.items())
    if "clarifies" in late:
        columns += f", {said.FOLLOWED} AS clarified"
    tables = "".join(f" LEFT JOIN {j.table} USING ({_SPAN})" for j in joins)
    joined = f" LEFT JOIN ({events}) events ON t.trace_id = events.of_trace" if events else ""
    marks = "SELECT t.*, events.* " if events else "SELECT t.* "
    return f"""WITH {days(plan)}, made AS (
      SELECT b.*, {cells("b")} AS cell,
        dense_rank() OVER (ORDER BY source, project, coalesce(session_id, trace_id)) AS cluster{columns}
      FROM {BASE} b{tables}),
    t AS (SELECT days.day_no, made.* FROM made JOIN days ON made.started >= days.lo AND made.started < days.hi)
    {marks} FROM t{joined}"""
