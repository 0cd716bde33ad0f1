"""Langfuse: where each canonical column stands in an observation, a score, a trace.

One list serves the v2 and v1 API (camelCase), the UI exports (events and observations) and the blob export (snake_case).
"""

from ... import schema
from ...columns import Column

KINDS = {
    "generation": "llm", "span": "chain", "event": "event", "agent": "agent", "tool": "tool", "chain": "chain",
    "retriever": "retriever", "evaluator": "evaluator", "embedding": "embedding", "guardrail": "guardrail",
}  # fmt: skip
RATERS = {"eval": "judge", "annotation": "human", **{r: r for r in schema.RATERS}}
# Environments that Langfuse and its SDK name themselves.
PURPOSES = {
    "langfuse-llm-as-a-judge": "judging", "langfuse-evaluation": "judging", "langfuse-code-eval": "judging",
    "langfuse-prompt-experiment": "experiment", "sdk-experiment": "experiment",
    "langfuse-natural-language-filter": "platform", "langfuse-in-app-agent": "platform",
}  # fmt: skip
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
    return f'coalesce(llm_blank("{camel}"), llm_blank("{snake}"))'


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
_CACHE, _WROTE = "contains(e.key, 'cach')", "(contains(e.key, 'creation') OR contains(e.key, 'write'))"
_THOUGHT = "(contains(e.key, 'reason') OR contains(e.key, 'think') OR contains(e.key, 'thought'))"
_OUT = f"(contains(e.key, 'output') OR e.key LIKE 'completion%' OR {_THOUGHT})"
_IN = f"(NOT {_OUT} AND (contains(e.key, 'input') OR e.key LIKE 'prompt%' OR {_CACHE}))"
_UNIT = "upper(coalesce(json_extract_string(llm_object(usage), '$.unit'), 'TOKENS')) = 'TOKENS'"
_GIVEN = {"_buckets": _entries("usageDetails", "usage_details"), "_older": f"CASE WHEN {_UNIT} THEN llm_object(usage) END"}


def _tokens(name: str, buckets: str, older: str = "NULL") -> Column:
    """A count summed over the buckets that a condition picks, else what an older API says."""
    sql = f"TRY_CAST(round(coalesce({_sum('_buckets', buckets)}, {older})) AS BIGINT)"
    return Column(name, sql=sql, needs=_USAGE, given=_GIVEN)


def _older(key: str, oldest: str) -> str:
    """The count of an older API, which says 0 where nothing was counted."""
    return f"nullif(llm_number(json_extract_string(_older, '$.{key}')), 0), nullif(llm_number(\"{oldest}\"), 0)"


# A total of 0 beside empty details means that nothing was priced, not that it was free; -1 stands for "not asked for".
_COST = f"""CASE WHEN llm_number(_total_cost) < 0 THEN NULL ELSE coalesce(
  llm_number(json_extract_string(llm_object(_cost_details), '$.total')),
  nullif(llm_number(_total_cost), 0), nullif(llm_number("calculatedTotalCost"), 0),
  CASE WHEN _cost_details <> '{{}}' THEN {_sum(_entries("costDetails", "cost_details"), "e.key <> 'total'")} END) END"""
_COST_GIVEN = {"_cost_details": _json(_either("costDetails", "cost_details")), "_total_cost": _either("totalCost", "total_cost")}

# An input that the application sent with the cached tokens inside: Langfuse adds their price to that of the whole.
_TWICE = f"""CASE WHEN {_sum("_buckets", _CACHE)} > 0
  AND {_sum("_buckets", _one_of(_TOTAL))} = coalesce({_sum("_buckets", _one_of((*_MAIN_IN, *_MAIN_OUT)))}, 0)
  THEN 'cache_counted_twice' END"""

# Version 4 of the SDK wrote str(True), version 5 writes JSON.
_METADATA = r"""llm_map(CASE WHEN contains(metadata, '"True"') OR contains(metadata, '"False"')
  THEN regexp_replace(regexp_replace(metadata, ':\s*"True"', ':"true"', 'g'), ':\s*"False"', ':"false"', 'g')
  ELSE metadata END)"""

_MODEL_PARAMS = "CASE WHEN json_valid(_params) THEN _params ELSE CAST(to_json(_params) AS VARCHAR) END"
_PARAMS_GIVEN = {"_params": _json(_either("modelParameters", "model_parameters"))}

_PURPOSE = Column("purpose", "environment", values=PURPOSES, other="")

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
    Column("model_params", sql=_MODEL_PARAMS, needs=("modelParameters", "model_parameters"), given=_PARAMS_GIVEN),
    Column("finish_reason", "modelParameters.finishReason", also=("modelParameters.finish_reason", "metadata.finish_reason")),
    Column("provider", "metadata.ls_provider", also=(
        ("modelParameters", "system"),
        ("metadata", "attributes", "gen_ai.provider.name"),
        ("metadata", "attributes", "gen_ai.system"),
    )),
    Column("prompt_name", "promptName", also=("prompt_name",)),
    Column("prompt_version", "promptVersion", also=("prompt_version",)),
    Column("input", "input"),
    Column("output", "output"),
    _tokens("tokens_in", _one_of(_MAIN_IN), _older("input", "promptTokens")),
    _tokens("tokens_out", _one_of(_MAIN_OUT), _older("output", "completionTokens")),
    _tokens("tokens_total", _one_of(_TOTAL), _older("total", "totalTokens")),
    _tokens("tokens_cache_read", f"{_CACHE} AND NOT {_WROTE}"),
    _tokens("tokens_cache_write", f"{_CACHE} AND {_WROTE}"),
    _tokens("tokens_reasoning", _THOUGHT),
    _tokens("tokens_in_parts", f"{_IN} AND NOT {_one_of(_MAIN_IN)}"),
    _tokens("tokens_out_parts", f"{_OUT} AND NOT {_one_of(_MAIN_OUT)}"),
    Column("usage_rule", default="disjoint"),
    Column("usage_flag", sql=_TWICE, needs=_USAGE, given=_GIVEN),
    Column("cost_recorded_usd", sql=_COST, needs=_COSTS, given=_COST_GIVEN),
    Column("user_id", "userId", also=("user_id",)),
    Column("session_id", "sessionId", also=("session_id",)),
    Column("environment", "environment"),
    _PURPOSE,
    Column("release", "release"),
    Column("app_version", "version"),
    Column("tags", sql="llm_texts(_tags)", needs=("tags", "traceTags"), given={"_tags": _json(_either("tags", "traceTags"))}),
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
    Column("rater", "_rater", also=("source",), values=RATERS, other="unknown"),
    Column(
        "rater_id",
        "authorUserId",
        also=("authorUserName", "_metadata.rater_id", "_metadata.evaluator_id", "_metadata.job_configuration_id"),
    ),
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
    _PURPOSE,
    Column("release", "release"),
    Column("app_version", "version"),
    Column("tags", "tags"),
    Column("metadata", sql=_METADATA, needs=("metadata",)),
    Column("input", "input"),
    Column("output", "output"),
    Column("start_time", "timestamp"),
    Column("updated_at", "updatedAt", also=("updated_at",)),
]
