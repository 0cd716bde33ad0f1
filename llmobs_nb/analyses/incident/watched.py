"""What an incident is looked for in: one value per trace and metric, as SQL over the spans of the trace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ...errors import UsageError, choose

_LLM = "kind = 'llm'"
SCORE, SESSION_SCORE = "score:", "session_score:"


def _of_root(column: str) -> str:
    return f"max(CASE WHEN is_root THEN {column} END)"


def _of_calls(column: str, how: str = "sum") -> str:
    return f"{how}(CASE WHEN {_LLM} THEN {column} END)"


def _stage(kind: str) -> str:
    return f"sum(CASE WHEN kind = '{kind}' THEN latency_ms END)"


def _any(condition: str, among: str = _LLM) -> str:
    return f"max(CASE WHEN {among} THEN CASE WHEN {condition} THEN 1e0 ELSE 0e0 END END)"


_PLAIN = (
    "sum(CASE WHEN kind = 'llm' AND coalesce(tokens_cache_read, 0) = 0 AND cost_recorded_usd IS NOT NULL "
    "AND cost_list_usd IS NOT NULL THEN {} END)"
)


@dataclass(frozen=True)
class Metric:
    """A quantity of one trace.

    ``sql`` aggregates the spans of a trace. A ``rate`` is 0 or 1, a ``mean`` is taken as it is, a ``log`` is positive and its
    logarithm is compared, so that effects are ratios and one dear trace does not hide the others. ``better`` says which way is
    good, "" for neither. ``margin`` is the change (of a log: of the logarithm) that is too small to matter.
    """

    name: str
    label: str
    sql: str
    kind: Literal["rate", "mean", "log"]
    unit: str
    better: Literal["up", "down", ""]
    margin: float

    @property
    def is_score(self) -> bool:
        """Whether it is a judgement, of traces or of sessions."""
        return self.name.startswith((SCORE, SESSION_SCORE))


# Retrieval and tools are a part of the latency: by themselves only larger changes matter.
WATCHED = (
    Metric("error_rate", "Error rate", _any("status = 'error'", f"({_LLM} OR is_root)"), "rate", "rate", "down", 0.02),
    Metric("guardrail_block_rate", "Guardrail block rate",
           "max(CASE WHEN guardrails IS NOT NULL THEN CASE WHEN guardrails LIKE '%\"block%' THEN 1e0 ELSE 0e0 END END)",
           "rate", "rate", "down", 0.03),
    Metric("length_rate", "Rate of answers cut at a ceiling", _any("finish_reason = 'length'", f"{_LLM} AND finish_reason IS NOT NULL"),
           "rate", "rate", "down", 0.03),
    Metric("ttft_ms", "Time to first token", _of_calls("ttft_ms", "avg"), "log", "ms", "down", 0.15),
    Metric("latency_ms", "Latency", _of_root("latency_ms"), "log", "ms", "down", 0.15),
    Metric("llm_latency_ms", "Time in model calls", _stage("llm"), "log", "ms", "down", 0.15),
    Metric("retrieval_latency_ms", "Time in retrieval", _stage("retriever"), "log", "ms", "down", 0.3),
    Metric("tool_latency_ms", "Time in tools", _stage("tool"), "log", "ms", "down", 0.3),
    Metric("cost_usd", "Cost per trace", "sum(cost_usd)", "log", "usd", "down", 0.15),
    Metric("unit_price", "Recorded cost over list price, calls without cache",
           f"{_PLAIN.format('cost_recorded_usd')} / nullif({_PLAIN.format('cost_list_usd')}, 0)", "log", "ratio", "down", 0.1),
    Metric("cost_per_token", "Cost per token",
           f"{_of_calls('cost_usd')} / nullif(sum(CASE WHEN {_LLM} AND cost_usd IS NOT NULL THEN tokens_in + tokens_out END), 0)",
           "log", "usd", "down", 0.1),
    Metric("tokens_in", "Input tokens", _of_calls("tokens_in"), "log", "tokens", "", 0.15),
    Metric("output_chars", "Length of answers", f"coalesce({_of_root('output_chars')}, max(CASE WHEN {_LLM} THEN output_chars END))",
           "log", "characters", "", 0.15),
    Metric("spans_per_trace", "Spans per trace", "CAST(count(*) AS DOUBLE)", "log", "spans", "down", 0.4),
    Metric("repeated_tool_rate", "Rate of traces that call a tool again and again",
           "max(CASE WHEN kind = 'tool' THEN 0e0 END) + CASE WHEN sum(CASE WHEN kind = 'tool' THEN 1 ELSE 0 END) "
           "- count(DISTINCT CASE WHEN kind = 'tool' THEN coalesce(input_hash, span_id) END) >= 3 THEN 1e0 ELSE 0e0 END",
           "rate", "rate", "down", 0.03),
    Metric("cache_read_share", "Share of input read from the cache",
           f"{_of_calls('coalesce(tokens_cache_read, 0)')} / nullif({_of_calls('tokens_in')}, 0)", "mean", "rate", "up", 0.05),
    Metric("retrieval_top_score", "Retrieval top score", "avg(retrieval_scores[1])", "mean", "score", "up", 0.05),
)  # fmt: skip


def score_metric(name: str, rater: str, low: float, high: float, *, session: bool = False) -> Metric:
    """The metric of one score, of traces or of sessions, by one kind of rater; its margin is 5 % of the range seen."""
    spread = 1.0 if low >= 0 and high <= 1 else high - low
    start, label = (SESSION_SCORE, f"{name} of sessions ({rater})") if session else (SCORE, f"{name} ({rater})")
    return Metric(f"{start}{name}:{rater}", label, "", "mean", "score", "up", 0.05 * (spread or 1.0))


def score_of(metric: Metric) -> tuple[str, str]:
    """Name and rater of the score that a metric is."""
    name, rater = metric.name.split(":", 1)[1].rsplit(":", 1)
    return name, rater


# Said by the text of the answer; their columns come with the wordings.
REFUSAL = Metric("refusal_rate", "Refusal rate", "", "rate", "rate", "down", 0.02)
REFUSES = (
    r"(?i)(i'm|i am|we are) (sorry|afraid|unable|not able|not allowed)|(cannot|can't|can not|unable to|not able to) "
    r"(help|assist|provide|comply|answer|do that|share)|as an ai\b"
)
TONE = Metric("negative_tone_rate", "Rate of answers that regret, fail or blame", "", "rate", "rate", "down", 0.03)
# English only. Regret, then what the speaker failed at ("if the upload failed" is help, not failure), then blame.
NEGATIVE = (
    r"(?i)\bsorry\b|\bunfortunately\b|\bregrettabl[ey]\b|\b((my|our|sincere) apologies|apologies for)\b"
    r"|\b(i|we) (regret|((sincerely|deeply|do|must) )?apologi[sz]e)\b|\b(i|we)( am| are|['’](m|re)) afraid\b"
    r"|\b(i|we) (could(n['’]t| not)|failed to|(was|were|am|are) (not able|unable))\b|\b(something|this) went wrong\b"
    r"|\byour (own )?(fault|mistake)\b|\byou (failed to|should have (read|checked|known|asked|said|done|told))\b"
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


def metric(name: str, *, sql: str, unit: str, better: str = "down", kind: str = "mean", margin: float = 0.05) -> Metric:
    """A metric of one's own for ``lm.incident(obs, metrics=[…])``: ``sql`` aggregates the spans of one trace to a number.

    ``lm.metric("resolved", sql="max(CASE WHEN metadata['resolved'] = 'true' THEN 1e0 ELSE 0e0 END)", unit="rate", better="up",
    kind="rate")``. A ``rate`` is 0 or 1, a ``log`` is positive and compared by ratio. Raises UsageError for a name that is taken or
    no lower-case identifier, and for a ``better`` or ``kind`` that is not known.
    """
    choose("better", better, ["up", "down", ""])
    choose("kind", kind, ["rate", "mean", "log"])
    if not _NAME.fullmatch(name) or name in {m.name for m in (*WATCHED, REFUSAL, TONE)}:
        raise UsageError(f"metric: name={name!r} is taken or no lower-case identifier; choose another, such as resolved_rate")
    if not sql.strip():
        raise UsageError(f"metric: sql={sql!r} is empty; give an aggregate over the spans of a trace, such as max(cost_usd)")
    return Metric(name, name.replace("_", " "), sql, kind, unit, better, margin)
