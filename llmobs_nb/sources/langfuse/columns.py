"""Langfuse: where each canonical column stands in an observation, a score, a trace.

One list serves the v2 and v1 API (camelCase), the UI exports (events and observations) and the blob export (snake_case).
"""

from ...columns import Column

KINDS = {
    "generation": "llm", "span": "chain", "event": "event", "agent": "agent", "tool": "tool", "chain": "chain",
    "retriever": "retriever", "evaluator": "evaluator", "embedding": "embedding", "guardrail": "guardrail",
}  # fmt: skip
RATERS = {"eval": "judge", "annotation": "human"}
_USAGE = ("usageDetails", "usage_details", "usage", "promptTokens", "completionTokens", "totalTokens")
_COSTS = ("costDetails", "cost_details", "totalCost", "total_cost", "calculatedTotalCost")
_MAIN_IN = ("input", "input_tokens", "inputTokens", "prompt_tokens", "promptTokens")
_MAIN_OUT = ("output", "output_tokens", "outputTokens", "completion_tokens", "completionTokens")
_TOTAL = ("total", "total_tokens", "totalTokens")


def _json(text: str) -> str:
    """JSON text of a value that may stand as the literal of a Python or ClickHouse object; what is neither stays."""
    words = f"replace({text}, '''', '\"')"
    for theirs, ours in (("None", "null"), ("True", "true"), ("False", "false")):
        words = rf"regexp_replace({words}, '([:,\[] ?){theirs}\b', '\1{ours}', 'g')"
    return f"CASE WHEN {text} IS NULL OR json_valid({text}) THEN {text} WHEN json_valid({words}) THEN {words} ELSE {text} END"


def _either(camel: str, snake: str) -> str:
    return f'coalesce(llm_blank("{camel}"), llm_blank({snake}))'


def _entries(camel: str, snake: str) -> str:
    """The (key, value) pairs of an object of numbers; null where there is none."""
    told = f"nullif({_json(_either(camel, snake))}, '{{}}')"
    return f"map_entries(TRY(CAST(CAST(llm_object({told}) AS JSON) AS MAP(VARCHAR, VARCHAR))))"


def _sum(entries: str, condition: str) -> str:
    """Sum of the numbers whose key ``e.key`` fulfils a condition; null where there is none."""
    return f"list_sum(list_transform(list_filter({entries}, lambda e: {condition}), lambda e: llm_number(e.value)))"


def _one_of(names: tuple[str, ...]) -> str:
    return f"e.key IN ({', '.join(repr(n) for n in names)})"


# A bucket's side is told by its name, as Langfuse does; buckets are exclusive, so those of one meaning add up.
_BUCKETS = _entries("usageDetails", "usage_details")
_CACHE, _WROTE = "contains(lower(e.key), 'cach')", "(contains(lower(e.key), 'creation') OR contains(lower(e.key), 'write'))"
_THOUGHT = "regexp_matches(e.key, 'reason|think|thought', 'i')"
_OUT = f"(regexp_matches(e.key, 'output|^completion', 'i') OR {_THOUGHT})"
_IN = f"(NOT {_OUT} AND (regexp_matches(e.key, 'input|^prompt', 'i') OR {_CACHE}))"
_CACHED = f"coalesce({_sum(_BUCKETS, _CACHE)}, 0) > 0"


def _count(expression: str) -> str:
    return f"CAST(round({expression}) AS BIGINT)"


def _side(names: tuple[str, ...], older: str, oldest: str) -> Column:
    """The main bucket of a side, else the count of an older API, which says 0 where nothing was counted."""
    unit = "upper(coalesce(json_extract_string(llm_object(usage), '$.unit'), 'TOKENS')) = 'TOKENS'"
    earlier = f"CASE WHEN {unit} THEN nullif(llm_number(json_extract_string(llm_object(usage), '$.{older}')), 0) END"
    found = f"coalesce({_sum(_BUCKETS, _one_of(names))}, {earlier}, nullif(llm_number(\"{oldest}\"), 0))"
    return Column({"input": "tokens_in", "output": "tokens_out", "total": "tokens_total"}[older], sql=_count(found), needs=_USAGE)


# A total of 0 beside empty details means that nothing was priced, not that it was free; -1 stands for "not asked for".
_PRICES = _entries("costDetails", "cost_details")
_COST = f"""CASE WHEN llm_number(coalesce("totalCost", total_cost)) < 0 THEN NULL ELSE coalesce(
  {_sum(_PRICES, "e.key = 'total'")},
  nullif(llm_number(coalesce("totalCost", total_cost)), 0), nullif(llm_number("calculatedTotalCost"), 0),
  {_sum(_PRICES, "e.key <> 'total'")}) END"""

# An inclusive input that the application sent beside cache buckets: Langfuse adds the cached tokens' price to the full one.
_TWICE = f"""CASE WHEN {_CACHED} AND {_sum(_BUCKETS, _one_of(_TOTAL))} = coalesce({_sum(_BUCKETS, _one_of(_MAIN_IN))}, 0)
  + coalesce({_sum(_BUCKETS, _one_of(_MAIN_OUT))}, 0) THEN 'cache_counted_twice' END"""

# Version 4 of the SDK wrote str(True), version 5 writes JSON.
_METADATA = """CASE WHEN contains(metadata, '"True"') OR contains(metadata, '"False"')
  THEN map_from_entries(list_transform(map_entries(llm_map(metadata)), lambda e: {'k': e.key, 'v': CASE e.value
    WHEN 'True' THEN 'true' WHEN 'False' THEN 'false' ELSE e.value END})) ELSE llm_map(metadata) END"""

_PARAMETERS = _json(_either("modelParameters", "model_parameters"))


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
    Column(
        "ttft_ms", sql='coalesce(llm_number("timeToFirstTokenMs"), llm_number("timeToFirstToken") * 1000)',
        needs=("timeToFirstTokenMs", "timeToFirstToken"),
    ),
    Column("status", "level", values={"error": "error"}, other="ok"),
    Column("error_message", "statusMessage", also=("status_message",)),
    Column("model", "model", also=("providedModelName", "provided_model_name")),
    Column("model_params", sql=f"CASE WHEN json_valid({_PARAMETERS}) THEN {_PARAMETERS} ELSE to_json({_PARAMETERS})::VARCHAR END",
           needs=("modelParameters", "model_parameters")),
    Column("finish_reason", "modelParameters.finishReason", also=("modelParameters.finish_reason", "metadata.finish_reason")),
    Column("provider", "metadata.ls_provider", also=(
        ("modelParameters", "system"), ("metadata", "attributes", "gen_ai.provider.name"), ("metadata", "attributes", "gen_ai.system"),
    )),
    Column("prompt_name", "promptName", also=("prompt_name",)),
    Column("prompt_version", "promptVersion", also=("prompt_version",)),
    Column("input", "input"),
    Column("output", "output"),
    _side(_MAIN_IN, "input", "promptTokens"),
    _side(_MAIN_OUT, "output", "completionTokens"),
    _side(_TOTAL, "total", "totalTokens"),
    Column("tokens_cache_read", sql=_count(_sum(_BUCKETS, f"{_CACHE} AND NOT {_WROTE}")), needs=_USAGE),
    Column("tokens_cache_write", sql=_count(_sum(_BUCKETS, f"{_CACHE} AND {_WROTE}")), needs=_USAGE),
    Column("tokens_reasoning", sql=_count(_sum(_BUCKETS, _THOUGHT)), needs=_USAGE),
    Column("tokens_in_parts", sql=_count(_sum(_BUCKETS, f"{_IN} AND NOT {_one_of(_MAIN_IN)}")), needs=_USAGE),
    Column("tokens_out_parts", sql=_count(_sum(_BUCKETS, f"{_OUT} AND NOT {_one_of(_MAIN_OUT)}")), needs=_USAGE),
    Column("usage_rule", default="disjoint"),
    Column("usage_flag", sql=_TWICE, needs=_USAGE),
    Column("cost_recorded_usd", sql=_COST, needs=_COSTS),
    Column("user_id", "userId", also=("user_id",)),
    Column("session_id", "sessionId", also=("session_id",)),
    Column("environment", "environment"),
    Column("release", "release"),
    Column("app_version", "version"),
    Column("tags", sql=f'llm_texts({_json("coalesce(llm_blank(tags), llm_blank(" + chr(34) + "traceTags" + chr(34) + "))")})', needs=("tags", "traceTags")),
    Column("metadata", sql=_METADATA, needs=("metadata",)),
    Column("tool_name", sql="CASE WHEN upper(type) = 'TOOL' THEN llm_blank(name) END", needs=("type", "name")),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]  # fmt: skip

SCORE = [
    Column("score_id", "id"),
    Column("trace_id", "traceId", also=("trace_id", "_trace")),
    Column("span_id", "observationId", also=("observation_id", "_observation")),
    Column("session_id", "sessionId", also=("session_id", "_session")),
    Column("project", "projectId", also=("project_id",)),
    Column("name", "name"),
    Column("value_text", "_value"),
    Column("label", "_label"),
    Column("data_type", "dataType", also=("data_type",)),
    Column("rater", "source", values=RATERS, other="unknown"),
    Column("rater_id", "authorUserId", also=("authorUserName", "_metadata.evaluator_id", "_metadata.job_configuration_id")),
    Column("judge_version", "_metadata.evaluator_version_id"),
    Column("comment", "comment"),
    Column("created_at", "timestamp", also=("createdAt", "created_at")),
    Column("updated_at", "updatedAt", also=("updated_at",)),
    Column("metadata", "_metadata"),
]

CORRECTION = [
    Column("correction_id", "id"),
    Column("trace_id", "traceId", also=("trace_id", "_trace")),
    Column("span_id", "observationId", also=("observation_id", "_observation")),
    Column("project", "projectId", also=("project_id",)),
    Column("expected", "_expected"),
    Column("rater_id", "authorUserId", also=("authorUserName",)),
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
    Column("metadata", sql=_METADATA, needs=("metadata",)),
    Column("input", "input"),
    Column("output", "output"),
    Column("start_time", "timestamp"),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]
