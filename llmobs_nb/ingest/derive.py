"""What every source's rows need and no source says: derived once, in SQL, the same for all of them.

Input: a relation of drafted columns (``columns.compile_select``). Output: every canonical column but prices, plus the texts,
``_reason`` (why a row cannot be kept) and the columns passed through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..columns import literal, quote
from ..schema import ERROR_CLASSES, KINDS, PURPOSES, RATERS, TABLES, draft_fields

MACROS = r"""
CREATE OR REPLACE MACRO llm_error_class(text, kind) AS list_transform([text], lambda t: CASE
  WHEN regexp_matches(t, '429|rate.?limit|quota|too many requests|throttl|resource.?exhausted', 'i') THEN 'rate_limit'
  WHEN regexp_matches(t, 'context.{0,3}(length|window|overflow|limit)|maximum context|prompt is too long|too many tokens', 'i')
    THEN 'context_overflow'
  WHEN regexp_matches(t, 'time.{0,2}out|timed out|deadline|\b(408|504|524)\b', 'i') THEN 'timeout'
  WHEN regexp_matches(t, 'content.{0,3}(filter|policy|management)|safety|moderation|responsibleai|blocked', 'i')
    THEN 'content_filter'
  WHEN regexp_matches(t, '\b5\d\d\b|server.?error|bad gateway|unavailable|overloaded|internal.{0,3}error|connection|apierr', 'i')
    THEN 'provider_5xx'
  WHEN regexp_matches(t, 'json|parse|parsing|schema|validation|invalid.{0,12}output|output.?parser', 'i') THEN 'invalid_output'
  WHEN regexp_matches(t, 'empty|no (content|output|response|choices)', 'i') THEN 'empty'
  WHEN kind = 'tool' OR regexp_matches(t, 'tool', 'i') THEN 'tool' ELSE 'other' END)[1];
CREATE OR REPLACE MACRO llm_finish(text) AS list_transform([lower(text)], lambda x: CASE
  WHEN x IN ('end_turn', 'stop_sequence', 'eos', 'complete', 'completed', 'stop', 'finish') THEN 'stop'
  WHEN x IN ('length', 'max_tokens', 'max_output_tokens', 'model_length', 'incomplete') THEN 'length'
  WHEN x IN ('tool_calls', 'tool_use', 'tool-calls', 'function_call', 'tool_call') THEN 'tool_calls'
  WHEN x IN ('content_filter', 'content-filter', 'safety', 'recitation', 'blocklist', 'prohibited_content', 'spii', 'refusal')
    THEN 'content_filter'
  WHEN x IN ('error', 'failed') THEN 'error' ELSE x END)[1];
"""

_PARTS = "coalesce(tokens_cache_read, 0) + coalesce(tokens_cache_write, 0)"
_IN_PARTS = f"coalesce(tokens_in_parts, {_PARTS})"
_OUT_PARTS = "coalesce(tokens_out_parts, tokens_reasoning, 0)"
PRICED = ("cost_list_usd", "cost_usd", "cost_source", "price_version", "price_reason", "own")
TEXTS = ("input", "output", "system_prompt")


def derive(
    table: str,
    relation: str,
    drafted: Mapping[str, str],
    *,
    source: str,
    passing: Sequence[str] = (),
    raters: Mapping[str, str] | None = None,
) -> str:
    """SELECT of a table's canonical columns (and the drafted extra ones) from a drafted relation.

    ``drafted`` names the columns the relation has, with their types. ``_reason`` and ``passing`` go through.
    ``raters`` says who gives the scores of a name, whatever the source says.
    """
    typed = _typed(table, relation, drafted, source, passing)
    if table == "spans":
        return _spans(typed, drafted, passing)
    if table == "scores":
        return _scores(typed, drafted, passing, raters or {})
    return _others(table, typed, drafted, passing)


def extras(table: str, drafted: Mapping[str, str]) -> dict[str, str]:
    """The drafted columns that the declaration does not know: a user's own."""
    known = draft_fields(table)
    return {n: t for n, t in drafted.items() if n not in known}


def _typed(table: str, relation: str, drafted: Mapping[str, str], source: str, passing: Sequence[str]) -> str:
    """Every draft field, a typed null where the source has none; source and project always there."""
    columns = []
    for field in draft_fields(table).values():
        if field.name == "source":
            columns.append(f"coalesce({'source' if 'source' in drafted else 'NULL'}, {literal(source)}) AS source")
        elif field.name in drafted:
            columns.append(quote(field.name))
        elif field.name == "project":
            columns.append("'' AS project")
        else:
            columns.append(f"NULL::{field.sql} AS {quote(field.name)}")
    columns += [quote(n) for n in extras(table, drafted)] + [quote(p) for p in passing] + ["_reason"]
    return f"(SELECT {', '.join(columns)} FROM ({relation}))"


def _spans(typed: str, drafted: Mapping[str, str], passing: Sequence[str]) -> str:
    more = [quote(n) for n in (*extras("spans", drafted), *passing)]
    named = f"(SELECT * REPLACE ({', '.join(_span_words())}) FROM {typed})"
    folded = f"(SELECT *, {_usage_rule()} AS _rule FROM {named})"
    return f"SELECT {', '.join([*_span_columns(), *TEXTS, *more])}, {_span_reason()} AS _reason FROM {folded}"


def _span_words() -> list[str]:
    kinds, purposes = (", ".join(literal(k) for k in known) for known in (KINDS, PURPOSES))
    words = [
        f"CASE WHEN lower(kind) IN ({kinds}) THEN lower(kind)"
        " WHEN kind IS NULL AND (model IS NOT NULL OR model_requested IS NOT NULL OR tokens_in IS NOT NULL) THEN 'llm'"
        " ELSE 'chain' END AS kind",
        "CASE WHEN lower(status) IN ('error', 'failed', 'failure') OR regexp_full_match(status, '[45][0-9][0-9]') THEN 'error'"
        " WHEN status IS NOT NULL THEN 'ok' WHEN error_class IS NOT NULL OR error_type IS NOT NULL THEN 'error'"
        " WHEN lower(finish_reason) IN ('error', 'failed') THEN 'error' ELSE 'ok' END AS status",
        "coalesce(project, '') AS project",
        f"CASE WHEN lower(purpose) IN ({purposes}) THEN lower(purpose) END AS purpose",
        "llm_finish(finish_reason) AS finish_reason",
        "CASE WHEN len(map_keys(metadata)) = 0 THEN NULL ELSE metadata END AS metadata",
        "CASE WHEN len(tags) = 0 THEN NULL ELSE tags END AS tags",
        "CASE WHEN len(retrieval_ids) = 0 THEN NULL ELSE retrieval_ids END AS retrieval_ids",
        "CASE WHEN len(retrieval_scores) = 0 THEN NULL ELSE retrieval_scores END AS retrieval_scores",
        "CASE WHEN guardrails IN ('[]', '{}') THEN NULL ELSE guardrails END AS guardrails",
        "CASE WHEN model_params IN ('[]', '{}') THEN NULL ELSE model_params END AS model_params",
    ]
    return words


def _usage_rule() -> str:
    """Are the reported parts inside the main counts or beside them? The source's own total decides."""
    tin, tout = "coalesce(tokens_in, 0)", "coalesce(tokens_out, 0)"
    pin, pout = _IN_PARTS, _OUT_PARTS
    return f"""CASE WHEN tokens_total IS NULL THEN CASE WHEN usage_rule = 'disjoint' THEN 'both' ELSE 'none' END
        WHEN tokens_total = {tin} + {tout} THEN 'none'
        WHEN tokens_total = {tin} + {tout} + {pin} + {pout} THEN 'both'
        WHEN tokens_total = {tin} + {tout} + {pin} THEN 'in'
        WHEN tokens_total = {tin} + {tout} + {pout} THEN 'out' ELSE 'mismatch' END"""


def _span_columns() -> list[str]:
    ms = "(epoch_us({1}) - epoch_us({0})) / 1000.0"
    tin = f"""CASE WHEN _rule IN ('both', 'in') AND (tokens_in IS NOT NULL OR {_IN_PARTS} > 0)
        THEN coalesce(tokens_in, 0) + {_IN_PARTS} ELSE tokens_in END"""
    tout = f"""CASE WHEN _rule IN ('both', 'out') AND (tokens_out IS NOT NULL OR {_OUT_PARTS} > 0)
        THEN coalesce(tokens_out, 0) + {_OUT_PARTS} ELSE tokens_out END"""
    classes = ", ".join(literal(c) for c in ERROR_CLASSES)
    ended = "CASE WHEN finish_reason NOT IN ('stop', 'tool_calls') THEN finish_reason END"
    told = f"concat_ws(' ', error_type, error_message, {ended})"
    made = {
        "latency_ms": f"""CASE WHEN end_time >= start_time THEN {ms.format("start_time", "end_time")}
            WHEN end_time < start_time THEN NULL WHEN latency_ms >= 0 THEN latency_ms END""",
        "ttft_ms": f"""CASE WHEN first_token_time >= start_time THEN {ms.format("start_time", "first_token_time")}
            WHEN ttft_ms >= 0 THEN ttft_ms END""",
        "error_class": f"""CASE WHEN status <> 'error' THEN NULL WHEN error_class IN ({classes}) THEN error_class
            WHEN error_class = 'server_error' THEN 'provider_5xx'
            WHEN error_class IS NOT NULL AND error_type IS NULL AND error_message IS NULL THEN 'other'
            ELSE llm_error_class({told}, kind) END""",
        "tokens_in": tin,
        "tokens_out": tout,
        "usage_flag": f"""CASE
            WHEN least(tokens_in, tokens_out, tokens_cache_read, tokens_cache_write, tokens_reasoning) < 0 THEN 'negative'
            WHEN _rule = 'mismatch' THEN 'total_mismatch' WHEN {_PARTS} > coalesce({tin}, 0) THEN 'cache_exceeds_input'
            ELSE usage_flag END""",
        "input_chars": "coalesce(input_chars, length(input))",
        "output_chars": "coalesce(output_chars, length(output))",
        "system_prompt_hash": "coalesce(system_prompt_hash, md5(system_prompt))",
        "is_root": "parent_id IS NULL",
        "updated_at": "coalesce(updated_at, end_time, start_time)",
        "day": "coalesce(start_time::DATE, DATE '1970-01-01')",
        "trace_id": "coalesce(trace_id, request_id, span_id)",
    }
    return [f"{made.get(n, quote(n))} AS {quote(n)}" for n in TABLES["spans"].names if n not in PRICED]


def _span_reason() -> str:
    return "coalesce(_reason, CASE WHEN span_id IS NULL THEN 'no span id' END)"


def _scores(typed: str, drafted: Mapping[str, str], passing: Sequence[str], raters: Mapping[str, str]) -> str:
    known = ", ".join(literal(r) for r in RATERS)
    named = "".join(f"WHEN name = {literal(n)} THEN {literal(r)} " for n, r in raters.items())
    typed = f"(SELECT * REPLACE (CASE {named}WHEN rater IN ({known}) THEN rater ELSE 'unknown' END AS rater) FROM {typed})"
    number = "llm_number(value_text)"
    names = ("trace_id", "span_id", "name", "rater", "rater_id", "judge_version", "created_at::VARCHAR")
    told = ", ".join(f"coalesce({c}, '')" for c in names)
    truth = """CASE WHEN lower(value_text) = 'true' THEN 1.0 WHEN lower(value_text) = 'false' THEN 0.0
        WHEN lower(data_type) = 'boolean' THEN llm_bool(value_text)::INT END"""
    made = {
        "value": f"coalesce(value, {number}, {truth})",
        "label": f"coalesce(label, CASE WHEN {number} IS NULL AND ({truth}) IS NULL THEN value_text END)",
        "data_type": f"""CASE WHEN lower(data_type) IN ('numeric', 'boolean', 'categorical', 'text') THEN lower(data_type)
            WHEN ({truth}) IS NOT NULL THEN 'boolean' WHEN coalesce(value, {number}) IS NOT NULL THEN 'numeric'
            ELSE 'categorical' END""",
        "project": "coalesce(project, '')",
        "metadata": "CASE WHEN len(map_keys(metadata)) = 0 THEN NULL ELSE metadata END",
        "created_at": "coalesce(created_at, updated_at)",
        "updated_at": "coalesce(updated_at, created_at)",
        "day": "coalesce(coalesce(created_at, updated_at)::DATE, DATE '1970-01-01')",
        "score_id": f"coalesce(score_id, md5(concat_ws('|', {told}, CASE WHEN trace_id IS NULL THEN session_id END)))",
    }
    columns = [f"{made.get(n, quote(n))} AS {quote(n)}" for n in TABLES["scores"].names]
    columns += [quote(n) for n in (*extras("scores", drafted), *passing)]
    reason = """coalesce(_reason, CASE WHEN name IS NULL THEN 'no score name'
        WHEN coalesce(trace_id, span_id, session_id, metadata['experiment_id']) IS NULL
          THEN 'a score of nothing: no trace, span or session id'
        WHEN value IS NULL AND value_text IS NULL AND label IS NULL AND comment IS NULL THEN 'no value' END)"""
    return f"SELECT {', '.join(columns)}, {reason} AS _reason FROM {typed}"


def _others(table: str, typed: str, drafted: Mapping[str, str], passing: Sequence[str]) -> str:
    declared = TABLES[table]
    made = {"project": "coalesce(project, '')"} if "project" in declared else {}
    if "updated_at" in declared:
        others = [c for c in ("created_at", "start_time") if c in declared]
        made["updated_at"] = f"coalesce({', '.join(['updated_at', *others])})"
    columns = [f"{made.get(n, quote(n))} AS {quote(n)}" for n in declared.names]
    columns += [quote(n) for n in (*extras(table, drafted), *passing)]
    required = [f.name for f in declared if not f.nullable and f.name not in ("source", "project")]
    cases = " ".join(f"WHEN {quote(c)} IS NULL THEN {literal(f'no {c}')}" for c in required)
    reason = f"coalesce(_reason, CASE {cases} END)"
    return f"SELECT {', '.join(columns)}, {reason} AS _reason FROM {typed}"
