"""Where LangSmith keeps what the canonical tables want.

Fields that begin with ``_`` are made by ``runs``, ``feedback`` and ``entities``. What a pull knows besides, it adds as
``session_name`` (the project's name), ``dataset_name``, ``queue_id``, ``queue_name``, ``queue_status`` and ``pulled_at``.
"""

from ...columns import Column

KINDS = {
    "llm": "llm",
    "chain": "chain",
    "tool": "tool",
    "retriever": "retriever",
    "embedding": "embedding",
    "prompt": "chain",
    "parser": "chain",
    "agent": "agent",
    "reranker": "reranker",
    "guardrail": "guardrail",
    "evaluator": "evaluator",
}
RATERS = {"app": "human", "auto_eval": "judge", "model": "judge"}

RUN = [
    Column("trace_id", "_trace_id"),
    Column("span_id", "_span_id"),
    Column("parent_id", "_parent_id"),
    Column("kind", "run_type", values=KINDS, other="chain"),
    Column("name", "name"),
    Column("trace_name", "_trace_name"),
    Column("start_time", "start_time", also=["_start_time"]),
    Column("end_time", "end_time"),
    Column("latency_ms", "latency_seconds", also=["latency"], unit="s"),
    Column("first_token_time", "first_token_time", also=["_first_token_time"]),
    Column("status", "_status"),
    Column("error_type", "_error_type"),
    Column("error_message", "_error_message"),
    Column("model_requested", "_model_requested"),
    Column("model", "_model"),
    Column("provider", "_metadata_all.ls_provider"),
    Column("model_params", "_model_params"),
    Column("prompt_name", "_prompt_name"),
    Column("prompt_version", "_prompt_version"),
    Column("system_prompt", "_system_prompt"),
    Column("input", "_input"),
    Column("output", "_output"),
    Column("tokens_in", "_tokens_in"),
    Column("tokens_out", "_tokens_out"),
    Column("tokens_total", "_tokens_total"),
    Column("tokens_in_parts", "_tokens_in_parts"),
    Column("tokens_out_parts", "_tokens_out_parts"),
    Column("tokens_cache_read", "_tokens_cache_read"),
    Column("tokens_cache_write", "_tokens_cache_write"),
    Column("tokens_reasoning", "_tokens_reasoning"),
    Column("usage_rule", default="inclusive"),
    Column("usage_flag", "_usage_flag"),
    Column("cost_recorded_usd", "_cost"),
    Column("provider_request_id", "_provider_request_id"),
    Column("finish_reason", "_finish_reason"),
    Column("user_id", "_metadata_all.user_id"),
    Column("session_id", "_session_id"),
    Column("environment", "_metadata_all.environment", also=["_metadata_all.env"]),
    Column("purpose", "_purpose"),
    Column("release", "_metadata_all.release", also=["_metadata_all.revision_id"]),
    Column("app_version", "_metadata_all.app_version"),
    Column("tags", "tags"),
    Column("metadata", "_metadata"),
    Column("retrieval_ids", "_retrieval_ids"),
    Column("retrieval_scores", "_retrieval_scores"),
    Column("tool_name", "_tool_name"),
    Column("project", "_project"),
    Column("source_url", "_source_url"),
]

_PROJECT = Column("project", "session_id", also=["project_id", "session_name", "project_name"])

FEEDBACK = [
    Column("score_id", "_score_id"),
    Column("trace_id", "_trace_id"),
    Column("span_id", "_span_id"),
    Column("session_id", "feedback_thread_id"),
    Column("name", "key"),
    Column("value_text", "_value_text"),
    Column("label", "_label"),
    Column("data_type", "_data_type"),
    Column("rater", "_rater"),
    Column("rater_word", "_rater_word"),
    Column("rater_id", "_rater_id"),
    Column("comment", "_comment"),
    Column("created_at", "_created_at"),
    Column("updated_at", "modified_at", also=["created_at"]),
    _PROJECT,
    Column("metadata", "_metadata"),
]

CORRECTION = [
    Column("correction_id", "_score_id"),
    Column("trace_id", "_trace_id"),
    Column("span_id", "_span_id"),
    Column("expected", "correction"),
    Column("rater_id", "_rater_id"),
    Column("comment", "comment"),
    Column("created_at", "created_at"),
    Column("updated_at", "modified_at", also=["created_at"]),
    _PROJECT,
]

EXPERIMENT_ITEM = [
    Column("experiment_id", "session_id", also=["project_id", "_project"]),
    Column("experiment", "session_name", also=["project_name"]),
    Column("dataset_id", "reference_dataset_id"),
    Column("item_id", "reference_example_id"),
    Column("trace_id", "_trace_id"),
    Column("started_at", "start_time", also=["_start_time"]),
    Column("project", "_project"),
]

FEEDBACK_CONFIG = [
    Column("config_id", "feedback_key"),
    Column("name", "feedback_key"),
    Column(
        "data_type",
        "feedback_config.type",
        values={"continuous": "numeric", "categorical": "categorical", "freeform": "text"},
    ),
    Column("min_value", "feedback_config.min"),
    Column("max_value", "feedback_config.max"),
    Column("categories", "feedback_config.categories"),
    Column("lower_is_better", "is_lower_score_better"),
    Column("updated_at", "modified_at", also=["pulled_at"]),
]

EXAMPLE = [
    Column("item_id", "id"),
    Column("dataset_id", "dataset_id"),
    Column("dataset", "dataset_name"),
    Column("input", "inputs"),
    Column("expected", "outputs"),
    Column("split", "_split"),
    Column("metadata", "metadata"),
    Column("span_id", "source_run_id"),
    Column("created_at", "created_at"),
    Column("updated_at", "modified_at"),
]

QUEUE_ITEM = [
    Column("item_id", "queue_run_id", also=["id"]),
    Column("queue_id", "queue_id"),
    Column("queue", "queue_name"),
    Column("trace_id", "_trace_id"),
    Column("span_id", "_span_id"),
    Column("session_id", "_thread"),
    Column("status", "_status"),
    Column("completed_at", "_completed_at"),
    Column("created_at", "added_at"),
    Column("updated_at", "pulled_at", also=["last_reviewed_time"]),
    _PROJECT,
]

PRICE = [
    Column("model_id", "id"),
    Column("model_name", "name"),
    Column("match_pattern", "match_pattern"),
    Column("unit", default="tokens"),
    Column("input_usd", "prompt_cost"),
    Column("output_usd", "completion_cost"),
    Column("prices", "_prices"),
    Column("start_date", "start_time"),
    Column("updated_at", "pulled_at"),
]
