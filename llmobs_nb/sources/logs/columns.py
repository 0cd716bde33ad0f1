"""Where call logs keep what the canonical tables want: first the names of one schema, then those of the others.

Names are in snake case here; ``export`` turns the Java twins (``tokensIn``) into it. ``_`` fields are made by ``export``.
"""

from ...columns import Column

CALL = [
    Column("trace_id", "_trace_id"),
    Column("span_id", "_span_id"),
    Column("parent_id", "parent_span_id", also=["parent_id"]),
    Column("kind", "_kind"),
    Column("name", "span_name", also=["feature"]),
    Column("feature", "feature"),
    Column("start_time", "_start_time"),
    Column("end_time", "end_time"),
    Column("latency_ms", "_latency_ms"),
    Column("ttft_ms", "_ttft_ms"),
    Column("status", "_status"),
    Column("error_type", "_error_type"),
    Column("error_message", "_error_message"),
    Column("provider", "provider"),
    Column("model_requested", "model_requested", also=["model"]),
    Column("model", "model_resolved"),
    Column("model_params", "_model_params"),
    Column("prompt_name", "prompt_name"),
    Column("prompt_version", "prompt_version", also=["system_prompt_version"]),
    Column("system_prompt", "system_prompt"),
    Column("input", "input", also=["messages"]),
    Column("output", "output", also=["response"]),
    Column("tokens_in", "_tokens_in"),
    Column("tokens_out", "_tokens_out"),
    Column("tokens_total", "_tokens_total"),
    Column("tokens_in_parts", "_tokens_cache_read"),
    Column("tokens_cache_read", "_tokens_cache_read"),
    Column("usage_rule", default="inclusive"),
    Column("cost_recorded_usd", "_cost"),
    Column("request_id", "request_id"),
    Column("provider_request_id", "provider_request_id"),
    Column("attempt", "attempt"),
    Column("input_hash", "messages_hash", also=["input_hash"]),
    Column("output_hash", "response_hash", also=["output_hash"]),
    Column("output_chars", "_output_chars"),
    Column("turn", "turn"),
    Column("finish_reason", "finish_reason"),
    Column("tenant_id", "tenant_id"),
    Column("user_id", "user_id"),
    Column("user_tier", "user_tier"),
    Column("session_id", "session_id"),
    Column("environment", "environment"),
    Column("release", "release"),
    Column("app_version", "app_version"),
    Column("locale", "locale"),
    Column("tags", "tags"),
    Column("metadata", "_metadata"),
    Column("retrieval_ids", "retrieval_ids"),
    Column("retrieval_scores", "retrieval_scores"),
    Column("retrieval_index_version", "retrieval_index_version"),
    Column("guardrails", "guardrail_decisions", also=["guardrails"]),
    Column("tool_name", "_tool_name"),
]

TIMES = ("timestamp", "@timestamp", "asctime", "created", "time", "ts", "start_time")
PARAMS = ("temperature", "seed", "top_p", "max_tokens")
MADE_FROM = (
    "trace_id", "span_id", "call_id", "latency_ms", "time_to_first_token_ms", "ttft_ms", "success", "error",
    "tokens_in", "input_tokens", "prompt_tokens", "tokens_out", "output_tokens", "completion_tokens", "total_tokens",
    "cached_tokens", "cost_usd", "estimated_cost_usd", "output_length", "metadata", *TIMES, *PARAMS,
)  # fmt: skip
NOISE = (
    "event", "message", "msg", "level", "levelname", "levelno", "log_level", "logger", "logger_name", "name", "lineno",
    "pathname", "filename", "module", "funcName", "func_name", "process", "processName", "process_name", "thread", "threadName",
    "thread_name", "msecs", "relativeCreated", "taskName", "exc_info", "exc_text", "stack_info", "args",
)  # fmt: skip
KNOWN = frozenset((*MADE_FROM, *(p[0] for c in CALL for p in c.paths if not p[0].startswith("_")), "tool_names", "tool_calls"))
