"""Where the canonical columns stand in a span of OpenTelemetry's GenAI conventions, OpenInference or OpenLLMetry.

A record holds the span's own fields, ``attributes`` and ``resource`` under their dotted names, and what was worked out from
several attributes or events under plain names.
"""

from __future__ import annotations

from ...columns import Column

KINDS = {
    "chat": "llm", "generate_content": "llm", "text_completion": "llm", "completion": "llm", "fetch_response": "llm",
    "llm": "llm", "embeddings": "embedding", "embedding": "embedding", "retrieval": "retriever", "retriever": "retriever",
    "search_memory": "retriever", "rerank": "reranker", "reranker": "reranker", "execute_tool": "tool", "tool": "tool",
    "create_memory": "tool", "update_memory": "tool", "upsert_memory": "tool", "delete_memory": "tool",
    "create_memory_store": "tool", "delete_memory_store": "tool",
    "invoke_agent": "agent", "create_agent": "agent", "agent": "agent", "invoke_workflow": "chain", "plan": "chain",
    "workflow": "chain", "task": "chain", "chain": "chain", "prompt": "chain", "decision": "chain",
    "apply_guardrail": "guardrail", "guardrail": "guardrail", "evaluator": "evaluator",
}  # fmt: skip
KIND_KEYS = (
    "openinference.span.kind", "gen_ai.operation.name", "llm.request.type", "traceloop.span.kind", "gen_ai.task.kind",
)  # fmt: skip
PROVIDERS = {
    "aws.bedrock": "aws", "bedrock": "aws", "azure.ai.openai": "azure", "azure.ai.inference": "azure", "az.ai.openai": "azure",
    "az.ai.inference": "azure", "gcp.vertex_ai": "google", "gcp.gemini": "google", "gcp.gen_ai": "google", "vertex_ai": "google",
    "vertexai": "google", "gemini": "google", "x_ai": "x-ai", "xai": "x-ai", "mistral_ai": "mistral", "mistralai": "mistral",
    "moonshot_ai": "moonshotai", "openai": "openai", "anthropic": "anthropic", "google": "google", "azure": "azure", "aws": "aws",
    "_other": "",
}  # fmt: skip
RATERS = {"human": "human", "llm": "judge", "code": "code"}

# Indexed attributes: name.N.rest, a list, or JSON text.
INDEXED = (
    "gen_ai.prompt", "gen_ai.completion", "llm.input_messages", "llm.output_messages", "llm.prompts", "llm.completions",
    "llm.choices", "llm.request.functions", "llm.tools", "retrieval.documents", "reranker.input_documents",
    "reranker.output_documents", "embedding.embeddings", "annotations", "evaluations", "trace.annotations", "session.annotations",
)  # fmt: skip
ANNOTATIONS = {
    "annotations": ("span", "annotation"), "evaluations": ("span", "evaluation"),
    "trace.annotations": ("trace", "annotation"), "session.annotations": ("session", "annotation"),
}  # fmt: skip
INPUTS = (
    "input.value", "gen_ai.prompt", "traceloop.entity.input", "gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text",
    "tool.parameters", "embedding.text",
)  # fmt: skip
OUTPUTS = ("output.value", "gen_ai.completion", "traceloop.entity.output", "gen_ai.tool.call.result")
TEXTS = frozenset(
    (
        *INPUTS, *OUTPUTS, "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "input.mime_type",
        "output.mime_type", "tool.json_schema", "tool.description", "gen_ai.tool.definitions", "gen_ai.tool.description",
        "gen_ai.retrieval.documents", "llm.prompt_template.template", "llm.prompt_template.variables", "embedding.vector",
        "llm.invocation_parameters", "gen_ai.guardrail.content.input.value", "gen_ai.guardrail.content.output.value",
        "llm.function_call", "message.tool_calls", "traceloop.prompt.template", "traceloop.prompt.template_variables",
        "gen_ai.agent.description",
    )
)  # fmt: skip
# Objects that are values, not levels, where attributes come nested.
WHOLE = TEXTS | {"metadata", "session.metadata", "user.metadata"}
METADATA_KEYS = ("metadata", "traceloop.association.properties")
ASSOCIATION = "traceloop.association.properties."
SYSTEM_NOISE = ("telemetry.", "process.", "service.instance.id")

MODEL_PARAMS = {
    "gen_ai.request.temperature": "temperature", "gen_ai.request.top_p": "top_p", "gen_ai.request.top_k": "top_k",
    "gen_ai.request.max_tokens": "max_tokens", "gen_ai.request.frequency_penalty": "frequency_penalty",
    "gen_ai.request.presence_penalty": "presence_penalty", "gen_ai.request.stop_sequences": "stop_sequences",
    "gen_ai.request.seed": "seed", "gen_ai.request.choice.count": "n", "gen_ai.request.encoding_formats": "encoding_formats",
    "gen_ai.request.reasoning.level": "reasoning_effort", "gen_ai.request.reasoning_effort": "reasoning_effort",
    "gen_ai.request.stream": "stream", "gen_ai.output.type": "output_type", "llm.is_streaming": "stream",
    "llm.frequency_penalty": "frequency_penalty", "llm.presence_penalty": "presence_penalty", "llm.top_k": "top_k",
    "llm.chat.stop_sequences": "stop_sequences", "gen_ai.openai.request.response_format": "response_format",
    "gen_ai.openai.request.seed": "seed", "gen_ai.openai.request.service_tier": "service_tier",
    "openai.request.service_tier": "service_tier",
}  # fmt: skip
FINISH_KEYS = (
    "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason", "llm.response.finish_reason",
    "stop_reason", "llm.response.stop_reason",
)  # fmt: skip
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "llm.token_count.prompt_details.cache_read",
    "llm.token_count.prompt_details.cache_input", "llm.usage.cache_read_input_tokens",
)  # fmt: skip
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write", "llm.usage.cache_creation_input_tokens",
)  # fmt: skip
REASONING = (
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)  # fmt: skip
# Names of one part; a part counts once, under the first name that is there.
IN_PARTS = (
    CACHE_READ, CACHE_WRITE, ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
    ("gen_ai.usage.image.input_tokens",), ("gen_ai.usage.video.input_tokens",),
)  # fmt: skip
OUT_PARTS = (REASONING, ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"))
COST_PARTS = ("llm.cost.prompt", "llm.cost.completion")
TIME_TO_GENERATE = (
    "llm.chat_completions.streaming_time_to_generate", "gen_ai.chat_completions.streaming_time_to_generate",
)  # fmt: skip
CHUNK_EVENTS = ("llm.content.completion.chunk", "gen_ai.content.chunk", "gen_ai.choice.chunk", "new_token", "mlflow.chunk.item.0")
MODEL_KEYS = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "llm.request.model_name",
    "llm.response.model_name",
)
GUARDRAIL = {
    "stage": ("gen_ai.guardrail.source",),
    "action": ("gen_ai.guardrail.result.value",),
    "dimension": ("gen_ai.guardrail.risk.category", "gen_ai.guardrail.result.type"),
    "policy": ("gen_ai.guardrail.policy.id", "gen_ai.guardrail.policy.rule.id", "gen_ai.guardrail.component.name"),
    "policy_version": ("gen_ai.guardrail.policy.version",),
    "reason": ("gen_ai.guardrail.result.reason",),
    "score": ("gen_ai.guardrail.risk.score",),
}


def at(*names: str) -> list[tuple]:
    """Paths of attributes."""
    return [("attributes", name) for name in names]


def _attribute(column: str, *names: str, after: tuple = (), **options) -> Column:
    first, *rest = [*at(*names), *after]
    return Column(column, first, also=tuple(rest), **options)


SPAN = [
    Column("trace_id", "trace_id"),
    Column("span_id", "span_id"),
    Column("parent_id", "parent_id"),
    Column("kind", "kind"),
    Column("name", "name"),
    _attribute("trace_name", "gen_ai.workflow.name", "traceloop.workflow.name"),
    Column("start_time", "start_time"),
    Column("end_time", "end_time"),
    Column("first_token_time", "first_token_time"),
    _attribute(
        "ttft_ms", "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token",
        "gen_ai.latency.time_to_first_token", after=(("ttft_s",),), unit="s",
    ),
    Column("status", "status"),
    Column("error_type", "error_type"),
    Column("error_message", "error_message"),
    _attribute("model_requested", "gen_ai.request.model", "llm.request.model_name"),
    _attribute(
        "model", "gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name",
        "reranker.model_name",
    ),
    _attribute("provider", "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", values=PROVIDERS),
    Column("model_params", "model_params"),
    _attribute("prompt_name", "gen_ai.prompt.name", "traceloop.prompt.key", "prompt.name", "prompt.id"),
    _attribute(
        "prompt_version", "traceloop.prompt.version", "traceloop.prompt.version_name", "traceloop.prompt.version_hash",
        "gen_ai.prompt.version", "llm.prompt_template.version", "prompt.version",
        after=(("metadata", "prompt_version"),),
    ),
    Column("system_prompt", "system_prompt"),
    Column("input", "input"),
    Column("output", "output"),
    _attribute("tokens_in", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
               "llm.usage.prompt_tokens"),
    _attribute("tokens_out", "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
               "llm.usage.completion_tokens"),
    _attribute("tokens_total", "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    _attribute("tokens_cache_read", *CACHE_READ),
    _attribute("tokens_cache_write", *CACHE_WRITE),
    _attribute("tokens_reasoning", *REASONING),
    Column("tokens_in_parts", "tokens_in_parts"),
    Column("tokens_out_parts", "tokens_out_parts"),
    Column("usage_rule", default="inclusive"),
    _attribute("cost_recorded_usd", "llm.cost.total", "gen_ai.usage.cost", "operation.cost", after=(("cost_parts",),)),
    _attribute("request_id", "request_id", "llm.request_id"),
    _attribute("provider_request_id", "gen_ai.response.id", "llm.response.id"),
    Column("finish_reason", "finish_reason"),
    _attribute("feature", "feature", after=(("metadata", "feature"), *at("gen_ai.workflow.name", "traceloop.workflow.name"))),
    _attribute("tenant_id", "tenant.id", "tenant_id", after=(("metadata", "tenant_id"), ("metadata", "tenant.id"))),
    _attribute("user_id", "user.id", "enduser.id", "gen_ai.user", "llm.user", after=(("metadata", "user_id"),)),
    _attribute(
        "session_id", "session.id", "gen_ai.conversation.id",
        after=(("metadata", "session_id"), ("metadata", "conversation_id"), ("metadata", "thread_id")),
    ),
    _attribute(
        "environment", "deployment.environment.name", "deployment.environment",
        after=(("resource", "deployment.environment.name"), ("resource", "deployment.environment"), ("metadata", "environment")),
    ),
    Column("release", ("resource", "service.version"), also=(("metadata", "release"),)),
    _attribute("app_version", "gen_ai.agent.version", after=(("metadata", "app_version"),)),
    Column("tags", "tags"),
    Column("metadata", "metadata"),
    Column("retrieval_ids", "retrieval_ids"),
    Column("retrieval_scores", "retrieval_scores"),
    _attribute("retrieval_index_version", "retrieval.index_version", "retrieval.index.version",
               after=(("metadata", "retrieval_index_version"),)),
    _attribute("tool_name", "gen_ai.tool.name", "tool.name", "tool_call.function.name", after=(("tool_name",),)),
    Column("guardrails", "guardrails"),
    Column("project", ("resource", "openinference.project.name")),
]  # fmt: skip

SCORE = [
    Column("score_id", "score_id"),
    Column("trace_id", "trace_id"),
    Column("span_id", "span_id"),
    Column("session_id", "session_id"),
    Column("name", "name"),
    Column("value_text", "value_text"),
    Column("label", "label"),
    Column("rater", "rater_word", values=RATERS, other="unknown", default="unknown"),
    Column("rater_word", "rater_word"),
    Column("rater_id", "rater_id"),
    Column("comment", "comment"),
    Column("created_at", "created_at"),
    Column("updated_at", "updated_at"),
    Column("metadata", "metadata"),
    Column("project", "project"),
]

# Attributes that a column reads (they are not repeated in metadata).
READ = frozenset(
    {p[1] for c in SPAN for p in c.paths if p[0] == "attributes"}
    | {*KIND_KEYS, *MODEL_PARAMS, *FINISH_KEYS, *COST_PARTS, *TIME_TO_GENERATE, "error.type", "error.message", "tag.tags", "tags"}
    | {n for part in (*IN_PARTS, *OUT_PARTS) for n in part}
    | {"exception.type", "exception.message", "exception.stacktrace"}
)
READ_OF_RESOURCE = frozenset(p[1] for c in SPAN for p in c.paths if p[0] == "resource")
