"""Where the canonical columns stand in MLflow's traces, spans and assessments.

A span record is that of otel (MLflow's spans are OpenTelemetry spans) with MLflow's own attributes decoded, the trace's tags
and metadata under ``trace``, and what was worked out under plain names.
"""

from __future__ import annotations

from ...columns import Column
from ..otel import columns as otel

KINDS = {
    "llm": "llm", "chat_model": "llm", "chain": "chain", "agent": "agent", "tool": "tool", "retriever": "retriever",
    "parser": "chain", "embedding": "embedding", "reranker": "reranker", "memory": "tool", "workflow": "chain", "task": "chain",
    "guardrail": "guardrail", "evaluator": "evaluator",
}  # fmt: skip
RATERS = {"human": "human", "llm_judge": "judge", "ai_judge": "judge", "code": "code"}

KIND = "mlflow.spanType"
INPUTS = "mlflow.spanInputs"
OUTPUTS = "mlflow.spanOutputs"
USAGE = "mlflow.chat.tokenUsage"
COST = "mlflow.llm.cost"
TRACE_USAGE = "mlflow.trace.tokenUsage"
TRACE_COST = "mlflow.trace.cost"
PROMPTS = "mlflow.linkedPrompts"
TRACE_SESSION = "mlflow.trace.session"
# Attributes that only MLflow's columns read or that hold texts.
OWN = frozenset(
    (
        KIND, INPUTS, OUTPUTS, USAGE, COST, PROMPTS, "mlflow.llm.model", "mlflow.llm.provider", "mlflow.traceRequestId",
        "mlflow.experimentId", "mlflow.chat.tools", "mlflow.chat.messages", "mlflow.spanFunctionName", "mlflow.message.format",
        "mlflow.spanStartTimeNs", "mlflow.trace_schema.version", "mlflow.trace.intermediate_outputs", "mlflow.invocation_params",
    )
)  # fmt: skip
# Keys of the trace's tags and metadata that are texts, sums or MLflow's own bookkeeping: no dimensions.
BOOKKEEPING = frozenset(
    (
        "mlflow.traceInputs", "mlflow.traceOutputs", "mlflow.artifactLocation", "mlflow.trace.sizeBytes",
        "mlflow.trace.sizeStats", "mlflow.trace_schema.version", "mlflow.traceSpans", "mlflow.trace.infoFinalized",
        "mlflow.trace.spansLocation",
        "mlflow.trace.archiveLocation", "mlflow.traceName", "mlflow.trace.user", TRACE_SESSION, TRACE_USAGE, TRACE_COST, PROMPTS,
        "mlflow.trace.working_directory",
    )
)  # fmt: skip
TRACE = [
    Column("trace_id", "trace_id"),
    Column("trace_name", ("trace", "mlflow.traceName")),
    Column("user_id", ("trace", "mlflow.trace.user"), also=(("trace", "user_id"),)),
    Column("session_id", ("trace", TRACE_SESSION), also=(("trace", "session_id"),)),
    Column("environment", ("trace", "environment"), also=(("trace", "deployment.environment"),)),
    Column("release", ("trace", "release"), also=(("trace", "mlflow.source.git.commit"),)),
    Column("app_version", ("trace", "app_version"), also=(("trace", "mlflow.modelId"),)),
    Column("project", "project"),
]
_MODEL = {c.name: c for c in otel.SPAN}


def _mine(name: str, *paths, **options) -> Column:
    """A column that looks in MLflow's places first and then where OpenTelemetry's conventions have it."""
    first, *rest = [*paths, *_MODEL[name].paths]
    values = {"values": _MODEL[name].values} if _MODEL[name].values else {}
    return Column(name, first, also=tuple(rest), **{**values, **options})


_TRACED = [_mine(c.name, *c.paths) for c in TRACE if c.name in _MODEL]
_SPAN = [
    *_TRACED,
    _mine("model", ("response_model",), ("attributes", "mlflow.llm.model")),
    _mine("model_requested", ("request_model",)),
    _mine("provider", ("attributes", "mlflow.llm.provider")),
    _mine("tokens_in", ("attributes", USAGE, "input_tokens"), ("attributes", USAGE, "prompt_tokens")),
    _mine("tokens_out", ("attributes", USAGE, "output_tokens"), ("attributes", USAGE, "completion_tokens")),
    _mine("tokens_total", ("attributes", USAGE, "total_tokens")),
    _mine("tokens_cache_read", ("attributes", USAGE, "cache_read_input_tokens")),
    _mine("tokens_cache_write", ("attributes", USAGE, "cache_creation_input_tokens")),
    _mine("tokens_reasoning", ("attributes", USAGE, "reasoning_tokens")),
    _mine("cost_recorded_usd", ("attributes", COST, "total_cost"), ("cost",)),
    _mine("prompt_name", ("prompt", "name")),
    _mine("prompt_version", ("prompt", "version")),
    _mine("request_id", ("client_request_id",)),
    _mine("feature", ("trace", "feature")),
    _mine("tenant_id", ("trace", "tenant_id")),
    _mine("tool_name", ("mlflow_tool",)),
]
_NAMES = {c.name for c in _SPAN}
SPAN = [*_SPAN, *(c for c in otel.SPAN if c.name not in _NAMES)]

TRACE_FACTS = [
    *TRACE,
    Column("start_time", "start_time"),
    Column("input", "input"),
    Column("output", "output"),
    Column("metadata", "metadata"),
]

SCORE = [
    Column("score_id", "assessment_id"),
    Column("trace_id", "trace_id"),
    Column("span_id", "span_id"),
    Column("session_id", "session_id"),
    Column("name", "name"),
    Column("value_text", "value_text"),
    Column("label", "label"),
    Column("data_type", "data_type"),
    Column("rater", "source.source_type", values=RATERS, other="unknown", default="unknown"),
    Column("rater_word", "source.source_type"),
    Column("rater_id", "source.source_id"),
    Column("judge_model", "judge_model"),
    Column("comment", "rationale"),
    Column("created_at", "create_time", also=("create_time_ms",)),
    Column("updated_at", "last_update_time", also=("last_update_time_ms",)),
    Column("metadata", "metadata"),
    Column("project", "project"),
]
