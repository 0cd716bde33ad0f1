"""Langfuse: where each canonical column stands in an observation, a score, a trace.

One list serves the v2 and v1 API (camelCase), the UI exports (events and observations) and the blob export (snake_case).
"""

from ...columns import Column

KINDS = {
    "generation": "llm", "span": "chain", "event": "event", "agent": "agent", "tool": "tool", "chain": "chain",
    "retriever": "retriever", "evaluator": "evaluator", "embedding": "embedding", "guardrail": "guardrail",
}  # fmt: skip
RATERS = {"eval": "judge", "annotation": "human"}
_USAGE = 'coalesce(llm_object("usageDetails"), llm_object(usage_details))'
_PARTS = f"map_entries(TRY(CAST(CAST({_USAGE} AS JSON) AS MAP(VARCHAR, DOUBLE))))"


def _parts(side: str, other: str) -> str:
    """Sum of the usage buckets of one side but for the main one; a bucket's side is told by its name, as Langfuse does."""
    mine = f"(contains(e.key, '{side}') OR e.key LIKE '{other}%' OR (e.key LIKE 'cache_%' AND '{side}' = 'input'))"
    kept = f"list_filter({_PARTS}, lambda e: {mine} AND e.key <> '{side}' AND e.value IS NOT NULL)"
    return f"CAST(round(list_sum(list_transform({kept}, lambda e: e.value))) AS BIGINT)"


# A total of 0 beside empty details means that nothing was priced, not that it was free.
_COST = """coalesce(
  llm_number(json_extract_string(coalesce(llm_object("costDetails"), llm_object(cost_details)), '$.total')),
  nullif(llm_number(coalesce("totalCost", total_cost)), 0))"""


OBSERVATION = [
    Column("span_id", "id"),
    Column("trace_id", "traceId", also=("trace_id",)),
    Column("parent_id", "parentObservationId", also=("parent_observation_id",)),
    Column("project", "projectId", also=("project_id",)),
    Column("kind", "type", values=KINDS, other="chain"),
    Column("name", "name"),
    Column("trace_name", "traceName", also=("trace_name",)),
    Column("start_time", "startTime", also=("start_time",)),
    Column("end_time", "endTime", also=("end_time",)),
    Column("first_token_time", "completionStartTime", also=("completion_start_time",)),
    Column("ttft_ms", "timeToFirstTokenMs"),
    Column("status", "level", values={"error": "error"}, other="ok"),
    Column("error_message", "statusMessage", also=("status_message",)),
    Column("model", "model", also=("providedModelName", "provided_model_name", "modelId")),
    Column("model_params", "modelParameters", also=("model_parameters",)),
    Column("finish_reason", "modelParameters.finishReason", also=("modelParameters.finish_reason", "metadata.finish_reason")),
    Column("provider", "metadata.ls_provider", also=(("modelParameters", "system"), ("metadata", "attributes", "gen_ai.system"))),
    Column("prompt_name", "promptName", also=("prompt_name",)),
    Column("prompt_version", "promptVersion", also=("prompt_version",)),
    Column("input", "input"),
    Column("output", "output"),
    Column("tokens_in", "usageDetails.input", also=("usage_details.input",)),
    Column("tokens_out", "usageDetails.output", also=("usage_details.output",)),
    Column("tokens_total", "usageDetails.total", also=("usage_details.total",)),
    Column("tokens_cache_read", ("usageDetails", "input_cached_tokens"), also=tuple(
        (u, k) for u in ("usageDetails", "usage_details")
        for k in ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "prompt_details.cache_read")
    )),
    Column("tokens_cache_write", ("usageDetails", "input_cache_creation"), also=tuple(
        (u, k) for u in ("usageDetails", "usage_details")
        for k in ("input_cache_creation", "input_cache_write", "cache_creation_input_tokens", "prompt_details.cache_creation",
                  "input_cache_creation_5m", "input_cache_creation_1h")
    )),
    Column("tokens_reasoning", ("usageDetails", "output_reasoning_tokens"), also=tuple(
        (u, k) for u in ("usageDetails", "usage_details")
        for k in ("output_reasoning_tokens", "output_reasoning", "completion_details.reasoning")
    )),
    Column("tokens_in_parts", sql=_parts("input", "prompt_details"), needs=("usageDetails", "usage_details")),
    Column("tokens_out_parts", sql=_parts("output", "completion_details"), needs=("usageDetails", "usage_details")),
    Column("usage_rule", default="disjoint"),
    Column("cost_recorded_usd", sql=_COST, needs=("costDetails", "cost_details", "totalCost", "total_cost")),
    Column("user_id", "userId", also=("user_id",)),
    Column("session_id", "sessionId", also=("session_id",)),
    Column("environment", "environment"),
    Column("release", "release"),
    Column("app_version", "version"),
    Column("tags", "tags", also=("traceTags",)),
    Column("metadata", "metadata"),
    Column("tool_name", sql="CASE WHEN upper(type) = 'TOOL' THEN name END", needs=("type", "name")),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]  # fmt: skip

SCORE = [
    Column("score_id", "id"),
    Column("trace_id", "traceId", also=("trace_id", "subject.traceId", "_subject_trace")),
    Column("span_id", "observationId", also=("observation_id", "_subject_observation")),
    Column("session_id", "sessionId", also=("session_id", "_subject_session")),
    Column("project", "projectId", also=("project_id",)),
    Column("name", "name"),
    Column("value_text", "_value"),
    Column("label", "_label"),
    Column("data_type", "dataType", also=("data_type",)),
    Column("rater", "source", values=RATERS, other="unknown"),
    Column("rater_id", "authorUserId", also=("authorUserName", "metadata.evaluator_id", "metadata.job_configuration_id")),
    Column("judge_version", "metadata.evaluator_version_id"),
    Column("comment", "comment"),
    Column("created_at", "timestamp", also=("createdAt", "created_at")),
    Column("updated_at", "updatedAt", also=("updated_at",)),
    Column("metadata", "_metadata"),
]

CORRECTION = [
    Column("correction_id", "id"),
    Column("trace_id", "traceId", also=("trace_id", "subject.traceId", "_subject_trace")),
    Column("span_id", "observationId", also=("observation_id", "_subject_observation")),
    Column("project", "projectId", also=("project_id",)),
    Column("expected", "longStringValue", also=("stringValue", "string_value", "value")),
    Column("rater_id", "authorUserId"),
    Column("comment", "comment"),
    Column("created_at", "timestamp", also=("createdAt", "created_at")),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]

TRACE = [
    Column("trace_id", "id"),
    Column("project", "projectId", also=("project_id",)),
    Column("trace_name", "name"),
    Column("user_id", "userId", also=("user_id",)),
    Column("session_id", "sessionId", also=("session_id",)),
    Column("environment", "environment"),
    Column("release", "release"),
    Column("app_version", "version"),
    Column("tags", "tags"),
    Column("metadata", "metadata"),
    Column("input", "input"),
    Column("output", "output"),
    Column("start_time", "timestamp"),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]
