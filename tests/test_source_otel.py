"""OpenTelemetry files to draft rows: OTLP-JSON, console dumps, and three families of attribute names."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from draft import draft
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmobs_nb.errors import InputError
from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.files import expand
from llmobs_nb.sources.otel import export
from llmobs_nb.sources.otel.values import hex_id, nest, plain, seconds
from llmobs_nb.sources.registry import head_of

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
T0 = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
NANO = 1_795_168_800_000_000_000  # T0


def typed(value):
    """A value as OTLP-JSON types it: integers are text."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [typed(v) for v in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(attributes):
    return [{"key": k, "value": typed(v)} for k, v in attributes.items()]


def span(given_=None, *, events=(), **changes):
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "name": "chat gpt-4o",
        "kind": 3,
        "startTimeUnixNano": str(NANO),
        "endTimeUnixNano": str(NANO + 2_500_000_000),
        "attributes": pairs(given_ or {}),
        "events": [{"name": n, "timeUnixNano": str(NANO + ms * 1_000_000), "attributes": pairs(a)} for n, ms, a in events],
        "status": {},
        **changes,
    }


def request(*spans, resource=None, groups="scopeSpans", scope="scope"):
    holder = {
        "resource": {"attributes": pairs(resource or {})},
        groups: [{scope: {"name": "lib", "version": "2"}, "spans": list(spans)}],
    }
    return {"resourceSpans": [holder]}


def logs(*records):
    return {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [{"scope": {}, "logRecords": list(records)}]}]}


def log(name, attributes=None, body=None, **changes):
    found = {
        "timeUnixNano": str(NANO + 5),
        "eventName": name,
        "traceId": TRACE,
        "spanId": SPAN,
        "attributes": pairs(attributes or {}),
    }
    return {**found, **({"body": typed(body)} if body is not None else {}), **changes}


def write(tmp_path, *documents, indent=None):
    path = tmp_path / "otlp.json"
    path.write_text("".join(json.dumps(d, indent=indent) + "\n" for d in documents))
    return path


@pytest.fixture
def one(tmp_path):
    """-> the draft row of one span with these attributes."""

    def read(given_=None, *, resource=None, **changes):
        name, tables, bads = draft(write(tmp_path, request(span(given_, **changes), resource=resource)))
        assert (name, bads, len(tables["spans"])) == ("otel.otlp", [], 1)
        return tables["spans"][0]

    return read


def meta(row):
    return dict(row["metadata"] or [])


# --- OTLP-JSON ---------------------------------------------------------------------------------------------------------


def test_ids_times_and_typed_values(one):
    row = one(
        {"gen_ai.usage.input_tokens": 34, "team": "blue", "n": 2, "ratio": 0.5, "on": True, "l": ["a", 1], "o": {"k": {"d": 1}}}
    )
    assert (row["trace_id"], row["span_id"], row["parent_id"]) == (TRACE, SPAN, PARENT)
    assert (row["start_time"], row["end_time"]) == (T0, T0 + timedelta(seconds=2.5))
    assert row["tokens_in"] == 34  # intValue is text in the file
    found = meta(row)
    assert {k: found[k] for k in ("team", "n", "ratio", "on", "l")} == {
        "team": "blue",
        "n": "2",
        "ratio": "0.5",
        "on": "true",
        "l": '["a",1]',
    }
    assert json.loads(found["o"]) == {"k": {"d": 1}}
    assert (found["otel.scope.name"], found["otel.scope.version"]) == ("lib", "2")


def test_upper_case_hex_is_lowered_and_base64_ids_become_hex(one):
    assert one(traceId=TRACE.upper())["trace_id"] == TRACE
    row = one(traceId=base64.b64encode(bytes.fromhex(TRACE)).decode(), spanId=base64.b64encode(bytes.fromhex(SPAN)).decode())
    assert (row["trace_id"], row["span_id"]) == (TRACE, SPAN)
    assert hex_id("checkout-42=") == "checkout-42="  # twelve characters, but no base64 of eight bytes
    assert hex_id("0x00AB") == "00ab"


@pytest.mark.parametrize("none", ["", "0000000000000000", None, "AAAAAAAAAAA="])
def test_an_empty_or_zero_parent_is_no_parent(one, none):
    assert one(parentSpanId=none)["parent_id"] is None


def test_an_open_span_has_no_end(one):
    assert one(endTimeUnixNano="0")["end_time"] is None


def test_a_span_without_ids_gets_the_same_ids_again(one):
    first, again = one(spanId=None, traceId=None), one(spanId=None, traceId=None)
    assert first["span_id"] == again["span_id"] == first["trace_id"]
    assert len(first["span_id"]) == 32


@pytest.mark.parametrize("indent", [None, 2])
def test_one_document_or_a_request_a_line(tmp_path, indent):
    several = [request(span(spanId=f"{n:016x}"), span(spanId=f"{n + 8:016x}")) for n in (1, 2)]
    _, tables, bads = draft(write(tmp_path, *several, indent=indent))
    assert [r["span_id"][-1] for r in tables["spans"]] == ["1", "9", "2", "a"] and bads == []
    _, tables, bads = draft(write(tmp_path, {"resourceSpans": [d["resourceSpans"][0] for d in several]}, indent=indent))
    assert len(tables["spans"]) == 4 and bads == []


def test_older_instrumentation_library_spans(tmp_path):
    path = write(tmp_path, request(span(), groups="instrumentationLibrarySpans", scope="instrumentationLibrary"))
    assert meta(draft(path)[1]["spans"][0])["otel.scope.name"] == "lib"


def test_snake_case_bare_spans(tmp_path):
    record = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": "",
        "name": "x",
        "start_time_unix_nano": str(NANO),
        "attributes": [{"key": "llm.token_count.prompt", "value": {"int_value": "7"}}],
        "status": {"code": 2},
    }
    name, tables, _ = draft(write(tmp_path, {"data": [record]}))
    assert (name, tables["spans"][0]["tokens_in"], tables["spans"][0]["status"]) == ("otel.otlp", 7, "error")


def test_metrics_are_refused_with_a_reason(tmp_path):
    _, tables, bads = draft(write(tmp_path, request(span()), {"resourceMetrics": [{"scopeMetrics": []}]}))
    assert len(tables["spans"]) == 1
    assert [(b.line, b.reason) for b in bads] == [(2, "OTLP-JSON record holds metrics or profiles")]


def test_a_record_that_is_no_span_is_bad_and_its_neighbours_stay(tmp_path):
    _, tables, bads = draft(write(tmp_path, request(span(), "text", None, 5)))
    assert len(tables["spans"]) == 1
    assert [b.reason for b in bads] == ["not a span"] * 3


def test_every_other_piece_that_cannot_be_read_says_what_it_is_not(tmp_path):
    _, tables, bads = draft(write(tmp_path, request(span()), {"resourceSpans": ["x"], "id": 1}, logs("x"), {"hello": 1}))
    assert len(tables["spans"]) == 1
    reasons = ["not a resource", "not a log record", "OTLP-JSON record holds no spans and no logs"]
    assert [(b.line, b.reason) for b in bads] == list(zip((2, 3, 4), reasons, strict=True))


def test_a_number_that_is_none_is_named_with_its_value(one):
    assert "input_tokens is not a number: many" in one({"gen_ai.usage.input_tokens": "many"})["_reason"]


def test_a_text_file_is_not_recognised(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"resource": 1, "spanish": []}\n')
    with pytest.raises(InputError, match="format that is not known"):
        draft(path)


# --- kinds, models, providers ------------------------------------------------------------------------------------------

KIND_CASES = [
    ({"gen_ai.operation.name": "chat"}, "llm"),
    ({"gen_ai.operation.name": "text_completion"}, "llm"),
    ({"gen_ai.operation.name": "embeddings"}, "embedding"),
    ({"gen_ai.operation.name": "retrieval"}, "retriever"),
    ({"gen_ai.operation.name": "execute_tool"}, "tool"),
    ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, "agent"),
    ({"gen_ai.operation.name": "invoke_workflow"}, "chain"),
    ({"gen_ai.operation.name": "apply_guardrail"}, "guardrail"),
    ({"llm.request.type": "rerank"}, "reranker"),
    ({"llm.request.type": "unknown", "traceloop.span.kind": "agent"}, "agent"),
    ({"traceloop.span.kind": "workflow"}, "chain"),
    ({"openinference.span.kind": "EVALUATOR"}, "evaluator"),
    ({"openinference.span.kind": "UNKNOWN", "gen_ai.operation.name": "chat"}, "llm"),
    ({"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"}, "llm"),
    ({"http.method": "GET"}, "chain"),
    ({}, "chain"),
]


@pytest.mark.parametrize("attributes, kind", KIND_CASES)
def test_kind(one, attributes, kind):
    assert one(attributes)["kind"] == kind


@pytest.mark.parametrize(
    "attributes, provider",
    [
        ({"gen_ai.provider.name": "aws.bedrock"}, "aws"),
        ({"gen_ai.provider.name": "azure.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "azure.ai.inference"}, "azure"),
        ({"gen_ai.provider.name": "gcp.vertex_ai"}, "google"),
        ({"gen_ai.system": "gemini"}, "google"),
        ({"gen_ai.system": "az.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "x_ai"}, "x-ai"),
        ({"gen_ai.provider.name": "mistral_ai"}, "mistral"),
        ({"gen_ai.provider.name": "moonshot_ai"}, "moonshotai"),
        ({"gen_ai.system": "OpenAI"}, "openai"),
        ({"llm.provider": "azure", "llm.system": "openai"}, "azure"),
        ({"gen_ai.provider.name": "groq"}, "groq"),
    ],
)
def test_provider(one, attributes, provider):
    assert one(attributes)["provider"] == provider


def test_models_asked_and_got(one):
    row = one({"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.response.id": "r-1"})
    assert (row["model_requested"], row["model"], row["provider_request_id"]) == ("gpt-4o", "gpt-4o-2024-08-06", "r-1")
    assert one({"gen_ai.request.model": "gpt-4o"})["model"] is None  # nobody said which model answered
    assert one({"llm.model_name": "gpt-4"})["model"] == "gpt-4"


# --- tokens, cost, first token -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        (
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.total_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ),
        (
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.usage.total_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "llm.usage.reasoning_tokens",
        ),
        (
            "llm.token_count.prompt",
            "llm.token_count.completion",
            "llm.token_count.total",
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_write",
            "llm.token_count.completion_details.reasoning",
        ),
    ],
)
def test_tokens_under_every_family_of_names(one, names):
    row = one(dict(zip(names, (100, 50, 150, 30, 5, 20), strict=True)))
    assert [row[f"tokens_{n}"] for n in ("in", "out", "total", "cache_read", "cache_write", "reasoning")] == [
        100,
        50,
        150,
        30,
        5,
        20,
    ]
    assert (row["tokens_in_parts"], row["tokens_out_parts"], row["usage_rule"]) == (35, 20, "inclusive")


def test_a_part_with_two_names_counts_once(one):
    row = one(
        {
            "gen_ai.usage.cache_read.input_tokens": 7,
            "gen_ai.usage.cache_read_input_tokens": 7,
            "gen_ai.usage.audio.input_tokens": 2,
        }
    )
    assert row["tokens_in_parts"] == 9


def test_no_usage_is_null_and_not_zero(one):
    row = one({"gen_ai.operation.name": "chat"})
    named = (
        "tokens_in",
        "tokens_out",
        "tokens_total",
        "tokens_in_parts",
        "tokens_out_parts",
        "cost_recorded_usd",
        "ttft_ms",
        "model_params",
    )
    assert [row[n] for n in named] == [None] * 8


def test_parent_and_child_both_keep_their_usage(tmp_path):
    """The agent span repeats the tokens of its chat span: both stay as reported, a later step marks the roll-up."""
    usage = {"gen_ai.usage.input_tokens": 10}
    chat, agent = (
        span({**usage, "gen_ai.operation.name": "chat"}),
        span({**usage, "gen_ai.operation.name": "invoke_agent"}, spanId=PARENT),
    )
    _, tables, _ = draft(write(tmp_path, request(chat, agent)))
    assert [(r["kind"], r["tokens_in"]) for r in tables["spans"]] == [("llm", 10), ("agent", 10)]


def test_cost(one):
    assert one({"llm.cost.total": 0.25, "llm.cost.prompt": 0.1})["cost_recorded_usd"] == 0.25
    assert one({"llm.cost.prompt": 0.25, "llm.cost.completion": 0.5})["cost_recorded_usd"] == 0.75


def test_first_token_from_seconds_events_or_generation_time(one):
    assert one({"gen_ai.response.time_to_first_chunk": 0.25})["ttft_ms"] == 250
    row = one(events=[("First Token Stream Event", 400, {}), ("llm.content.completion.chunk", 300, {})])
    assert row["first_token_time"] == T0 + timedelta(milliseconds=300)
    # It is the time spent AFTER the first token: 2.5 s in all, 2.0 s of them generating.
    assert one({"llm.chat_completions.streaming_time_to_generate": 2.0})["ttft_ms"] == 500
    assert one({"llm.chat_completions.streaming_time_to_generate": 9.0})["ttft_ms"] is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.response.finish_reasons": ["length", "stop"]},
        {"gen_ai.response.finish_reasons": '["length"]'},
        {"gen_ai.response.finish_reason": "length"},
        {"llm.finish_reason": "length"},
        {"gen_ai.completion.0.finish_reason": "length", "gen_ai.completion.0.content": "x"},
        {"gen_ai.output.messages": '[{"role":"assistant","parts":[],"finish_reason":"length"}]'},
    ],
)
def test_finish_reason(one, attributes):
    assert one(attributes)["finish_reason"] == "length"


def test_model_params(one):
    row = one({"gen_ai.request.temperature": 0.0, "gen_ai.request.max_tokens": 64, "gen_ai.request.stop_sequences": ["END"]})
    assert json.loads(row["model_params"]) == {"temperature": 0.0, "max_tokens": 64, "stop_sequences": ["END"]}
    row = one({"llm.invocation_parameters": '{"model": "m", "temperature": 0.5, "tools": []}'})
    assert json.loads(row["model_params"]) == {"temperature": 0.5}


# --- errors ------------------------------------------------------------------------------------------------------------

BOOM = [("exception", 100, {"exception.type": "RateLimitError", "exception.message": "slow down", "exception.stacktrace": "…"})]


def test_errors_from_status_type_and_exception_event(one):
    row = one({"error.type": "429"}, status={"code": 2, "message": "too many"}, events=BOOM)
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "429", "too many")
    row = one(status={"code": "STATUS_CODE_ERROR"}, events=BOOM)
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "RateLimitError", "slow down")
    assert one({"error.type": "timeout"})["status"] == "error"


def test_a_handled_exception_is_no_error(one):
    row = one(status={"code": 1}, events=BOOM)
    assert (row["status"], row["error_type"], row["error_message"]) == ("ok", None, None)
    assert meta(row)["exception.type"] == "RateLimitError"
    assert one(events=BOOM)["status"] is None


# --- prompts, people, places -------------------------------------------------------------------------------------------


def test_prompt_versions(one):
    row = one({"traceloop.prompt.key": "answer", "traceloop.prompt.version": 4, "traceloop.prompt.version_hash": "ab"})
    assert (row["prompt_name"], row["prompt_version"]) == ("answer", "4")
    assert one({"gen_ai.prompt.name": "p", "llm.prompt_template.version": "v2"})["prompt_version"] == "v2"


def test_session_user_tenant_feature(one):
    row = one({"gen_ai.conversation.id": "c1", "user.id": "u1", "gen_ai.workflow.name": "search", "gen_ai.agent.version": "3"})
    assert (row["session_id"], row["user_id"], row["feature"], row["app_version"]) == ("c1", "u1", "search", "3")
    mine = {"session_id": "s", "user_id": "u", "tenant_id": "t", "feature": "chat", "plan": "pro"}
    row = one({f"traceloop.association.properties.{k}": v for k, v in mine.items()} | {"traceloop.workflow.name": "flow"})
    assert (row["session_id"], row["user_id"], row["tenant_id"], row["feature"]) == ("s", "u", "t", "chat")
    assert (row["trace_name"], meta(row)["plan"]) == ("flow", "pro")


def test_openinference_metadata_json_becomes_dimensions_and_tags_a_list(one):
    row = one({"metadata": '{"tenant_id": "t9", "auth": "sso", "deep": {"a": 1}}', "tag.tags": ["a", "b"], "session.id": "s"})
    assert (row["tenant_id"], row["tags"], row["session_id"]) == ("t9", ["a", "b"], "s")
    assert (meta(row)["auth"], json.loads(meta(row)["deep"])) == ("sso", {"a": 1})


def test_resource_gives_release_environment_and_service(one):
    row = one(
        resource={
            "service.name": "shop",
            "service.version": "1.4",
            "deployment.environment": "staging",
            "telemetry.sdk.name": "x",
            "process.command_args": ["--key"],
            "cloud.region": "eu",
        }
    )
    assert (row["release"], row["environment"]) == ("1.4", "staging")
    assert {k: v for k, v in meta(row).items() if not k.startswith("otel.")} == {"service.name": "shop", "cloud.region": "eu"}


def test_metadata_holds_no_secret_and_no_text_that_has_a_column(one):
    row = one(
        {
            "input.value": "hi",
            "llm.tools.0.tool.json_schema": "{}",
            "http.request.header.authorization": "Bearer abc",
            "note": "x" * 5000,
            "headers": {"api_key": "sk-1", "ok": "1"},
        }
    )
    found = meta(row)
    assert not {"input.value", "llm.tools.0.tool.json_schema"} & set(found)
    assert (found["http.request.header.authorization"], json.loads(found["headers"])) == ("…", {"api_key": "…", "ok": "1"})
    assert found["note"] == "x" * 4000 + "… [1,000 characters more]"


# --- texts -------------------------------------------------------------------------------------------------------------

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
TOLD = [{"role": "assistant", "content": "hello"}]
TEXT_CASES = {
    "indexed": {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "Be kind.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "hi",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "hello",
    },
    "openinference": {
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "Be kind.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "hello",
        "input.value": '{"messages": ["raw request"]}',
        "input.mime_type": "application/json",
    },
    "json text": {"gen_ai.input.messages": json.dumps(ASKED), "gen_ai.output.messages": json.dumps(TOLD)},
    "structured": {"gen_ai.input.messages": ASKED, "gen_ai.output.messages": TOLD},
}


@pytest.mark.parametrize("case", TEXT_CASES)
def test_messages_from_attributes(one, case):
    row = one(TEXT_CASES[case])
    assert (json.loads(row["input"]), json.loads(row["output"]), row["system_prompt"]) == (ASKED, TOLD, "Be kind.")


def test_messages_from_span_events(one):
    row = one(
        events=[
            ("gen_ai.system.message", 1, {"gen_ai.system": "openai", "content": "Be kind."}),
            ("gen_ai.user.message", 1, {"content": "hi"}),
            ("gen_ai.choice", 2, {"index": 0, "finish_reason": "stop", "message": '{"content": "hello"}'}),
        ]
    )
    assert (json.loads(row["input"]), row["system_prompt"], row["finish_reason"]) == (ASKED, "Be kind.", "stop")
    assert json.loads(row["output"]) == [{**TOLD[0], "finish_reason": "stop"}]


def test_system_instructions_come_first_and_developer_counts_as_system(one):
    parts = [{"type": "text", "content": "Rule one."}, {"type": "text", "content": "Rule two."}]
    assert (
        one({"gen_ai.system_instructions": json.dumps(parts), "gen_ai.input.messages": ASKED})["system_prompt"]
        == "Rule one.\nRule two."
    )
    asked = [{"role": "developer", "parts": [{"type": "text", "content": "Short."}]}]
    assert one({"gen_ai.input.messages": asked})["system_prompt"] == "Short."
    assert one({"input.value": '{"system": "From the request.", "messages": []}'})["system_prompt"] == "From the request."


def test_plain_values_win_over_messages(one):
    row = one({"input.value": "hi", "output.value": "hello", "llm.output_messages.0.message.content": "other"})
    assert (row["input"], row["output"]) == ("hi", "hello")


def test_tool_call_arguments_survive_the_indexes(one):
    name = "llm.output_messages.0.message.tool_calls.0.tool_call.function"
    row = one(
        {
            f"{name}.name": "search",
            f"{name}.arguments": '{"q": 1}',
            "llm.output_messages.10.message.content": "z",
            "llm.output_messages.2.message.content": "b",
        }
    )
    first, second, last = json.loads(row["output"])
    assert first == {"tool_calls": [{"tool_call": {"function": {"name": "search", "arguments": '{"q": 1}'}}}]}
    assert (second["content"], last["content"]) == ("b", "z")


def test_tool_retrieval_and_guardrail_spans(one):
    row = one(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "weather",
            "gen_ai.tool.call.arguments": '{"city": "x"}',
            "gen_ai.tool.call.result": "rain",
        }
    )
    assert (row["tool_name"], row["input"], row["output"]) == ("weather", '{"city": "x"}', "rain")
    assert one({"traceloop.span.kind": "tool", "traceloop.entity.name": "calc"})["tool_name"] == "calc"
    row = one(
        {
            "gen_ai.retrieval.documents": '[{"id": "d1", "score": 0.9}, {"id": "d2", "score": 0.5}]',
            "gen_ai.retrieval.query.text": "q",
        }
    )
    assert (row["kind"], row["retrieval_ids"], row["retrieval_scores"], row["input"]) == (
        "retriever",
        ["d1", "d2"],
        [0.9, 0.5],
        "q",
    )
    row = one(
        {
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.score": 0.5,
            "retrieval.documents.1.document.id": 7,
            "retrieval.documents.1.document.content": "text",
        }
    )
    assert (row["retrieval_ids"], row["retrieval_scores"]) == (["d1", "7"], [0.5, None])
    row = one({"reranker.output_documents.0.document.id": "best", "reranker.input_documents.0.document.id": "worst"})
    assert (row["kind"], row["retrieval_ids"]) == ("reranker", ["best"])
    result = {
        "gen_ai.guardrail.source": "input",
        "gen_ai.guardrail.result.value": "block",
        "gen_ai.guardrail.risk.category": "pii",
        "gen_ai.guardrail.policy.id": "p1",
    }
    row = one(events=[("gen_ai.guardrail.result", 1, result)])
    assert json.loads(row["guardrails"]) == [{"stage": "input", "action": "block", "dimension": "pii", "policy": "p1"}]


# --- scores ------------------------------------------------------------------------------------------------------------

EVALUATED = {
    "gen_ai.evaluation.name": "relevance",
    "gen_ai.evaluation.score.value": 0.5,
    "gen_ai.evaluation.score.label": "fair",
    "gen_ai.evaluation.explanation": "half",
    "gen_ai.response.id": "r-1",
}


def test_evaluation_event_is_a_score(tmp_path):
    _, tables, _ = draft(write(tmp_path, request(span(events=[("gen_ai.evaluation.result", 9, EVALUATED)]))))
    (score,) = tables["scores"]
    assert (score["trace_id"], score["span_id"], score["name"], score["value_text"], score["label"]) == (
        TRACE,
        SPAN,
        "relevance",
        "0.5",
        "fair",
    )
    assert (score["rater"], score["comment"], score["created_at"]) == ("unknown", "half", T0 + timedelta(milliseconds=9))


def test_evaluation_log_without_its_span_is_still_a_score(tmp_path):
    _, tables, bads = draft(write(tmp_path, logs(log("gen_ai.evaluation.result", EVALUATED))))
    assert [s["name"] for s in tables["scores"]] == ["relevance"] and bads == []


def test_annotations_on_span_trace_and_session(tmp_path):
    given_ = {}
    for prefix, name, kind in (
        ("annotations.0", "a", "HUMAN"),
        ("trace.annotations.0", "b", "LLM"),
        ("session.annotations.0", "c", "CODE"),
    ):
        given_ |= {
            f"{prefix}.annotation.name": name,
            f"{prefix}.annotation.score": 1,
            f"{prefix}.annotation.annotator_kind": kind,
        }
    _, tables, _ = draft(write(tmp_path, request(span({**given_, "session.id": "s1"}))))
    found = {s["name"]: (s["trace_id"], s["span_id"], s["session_id"], s["rater"]) for s in tables["scores"]}
    assert found == {"a": (TRACE, SPAN, None, "human"), "b": (TRACE, None, None, "judge"), "c": (None, None, "s1", "code")}


def test_a_trace_annotation_repeated_on_each_span_is_one_score(tmp_path):
    given_ = {"trace.annotations.0.annotation.name": "ok", "trace.annotations.0.annotation.label": "yes"}
    _, tables, _ = draft(write(tmp_path, request(span(given_), span(given_, spanId=PARENT))))
    assert len({s["score_id"] for s in tables["scores"]}) == 1
    assert {s["span_id"] for s in tables["scores"]} == {None}


def test_two_annotators_of_one_name_are_two_scores_and_a_nameless_one_is_bad(tmp_path):
    given_ = {f"annotations.{n}.annotation.{k}": v for n in (0, 1, 2) for k, v in (("name", "ok"), ("score", n))}
    given_ |= {
        "annotations.1.annotation.annotator_kind": "LLM",
        "annotations.3.annotation.score": 1,
        "evaluations.0.evaluation.name": "e",
        "evaluations.0.evaluation.score": 2,
    }
    _, tables, bads = draft(write(tmp_path, request(span(given_))))
    assert len({s["score_id"] for s in tables["scores"]}) == 4
    assert [b.reason for b in bads] == ["score without a name"]


# --- logs --------------------------------------------------------------------------------------------------------------


def test_log_events_give_the_span_its_texts_wherever_they_stand(tmp_path):
    before = logs(log("gen_ai.system.message", body={"content": "Be kind."}), log("gen_ai.user.message", body={"content": "hi"}))
    after = logs(log("", {"event.name": "gen_ai.choice"}, body={"finish_reason": "stop", "message": {"content": "hello"}}))
    _, tables, bads = draft(write(tmp_path, before, request(span()), after))
    (row,) = tables["spans"]
    assert (json.loads(row["input"]), row["system_prompt"], row["finish_reason"]) == (ASKED, "Be kind.", "stop")
    assert bads == []


def test_operation_details_log_fills_what_the_span_left_out(tmp_path):
    details = {
        "gen_ai.input.messages": ASKED,
        "gen_ai.output.messages": TOLD,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.request.model": "other",
    }
    _, tables, _ = draft(
        write(
            tmp_path,
            request(span({"gen_ai.request.model": "m"})),
            logs(log("gen_ai.client.inference.operation.details", details)),
        )
    )
    (row,) = tables["spans"]
    assert (json.loads(row["input"]), json.loads(row["output"])) == (ASKED, TOLD)
    assert (row["tokens_in"], row["model_requested"], row["system_prompt"]) == (5, "m", "Be kind.")


def test_a_text_whose_span_is_elsewhere_is_not_lost(tmp_path):
    other = log("gen_ai.user.message", body={"content": "hi"}, spanId="00000000000000aa")
    _, tables, bads = draft(write(tmp_path, request(span()), logs(other, log("app.started", body="plain log line"))))
    assert len(tables["spans"]) == 1
    (bad,) = bads
    assert (bad.line, bad.reason.startswith("log event gen_ai.user.message: span 00000000000000aa"), "hi" in bad.raw) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize("indent", [None, 1])
def test_spans_and_logs_in_one_document(tmp_path, indent):
    whole = {**request(span()), **logs(log("gen_ai.user.message", body={"content": "hi"}))}
    _, tables, bads = draft(write(tmp_path, whole, indent=indent))
    assert json.loads(tables["spans"][0]["input"]) == [{"role": "user", "content": "hi"}] and bads == []


# --- console exporter --------------------------------------------------------------------------------------------------


def printed(**changes):
    return {
        "name": "chat",
        "context": {"trace_id": f"0x{TRACE}", "span_id": f"0x{SPAN}", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT",
        "parent_id": f"0x{PARENT}",
        "start_time": "2026-11-20T10:00:00.000000Z",
        "end_time": "2026-11-20T10:00:02.500000Z",
        "status": {"status_code": "UNSET"},
        "attributes": {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3},
        "events": [{"name": "gen_ai.user.message", "timestamp": "2026-11-20T10:00:00.1Z", "attributes": {"content": "hi"}}],
        "links": [],
        "resource": {"attributes": {"service.version": "9"}, "schema_url": ""},
        **changes,
    }


def test_console_dump_is_pretty_printed_json_one_after_the_other(tmp_path):
    name, tables, bads = draft(write(tmp_path, printed(), printed(name="again", parent_id=None), indent=4))
    assert (name, bads, [r["name"] for r in tables["spans"]]) == ("otel.console", [], ["chat", "again"])
    row, root = tables["spans"]
    assert (row["trace_id"], row["span_id"], row["parent_id"], root["parent_id"]) == (TRACE, SPAN, PARENT, None)
    assert (row["start_time"], row["end_time"], row["tokens_in"], row["release"]) == (T0, T0 + timedelta(seconds=2.5), 3, "9")
    assert json.loads(row["input"]) == [{"role": "user", "content": "hi"}]


def test_console_status_and_older_flat_resource(tmp_path):
    old = printed(status={"status_code": "ERROR", "description": "boom"}, resource={"service.version": "8"})
    row = draft(write(tmp_path, old, indent=4))[1]["spans"][0]
    assert (row["status"], row["error_message"], row["release"]) == ("error", "boom", "8")


def test_a_span_printed_at_start_and_end_gives_two_records_and_the_finished_one_is_newer(tmp_path):
    """The store keeps the newest of one identity by updated_at, which nothing here sets, so end time over start time."""
    others = [printed(name=f"o{n}", context={"trace_id": f"0x{TRACE}", "span_id": f"0x{n:016x}"}) for n in range(1, 40)]
    _, tables, _ = draft(write(tmp_path, printed(), *others, printed(end_time=None, attributes={}), indent=4))
    mine = [r for r in tables["spans"] if r["span_id"] == SPAN]
    assert [r["end_time"] for r in mine] == [T0 + timedelta(seconds=2.5), None]
    assert all("updated_at" not in r for r in mine)


def test_console_logs_are_joined_too(tmp_path):
    record = {
        "body": {"content": "from the log"},
        "severity_number": None,
        "severity_text": None,
        "attributes": {},
        "timestamp": "2026-11-20T10:00:00Z",
        "trace_id": f"0x{TRACE}",
        "span_id": f"0x{SPAN}",
        "event_name": "gen_ai.user.message",
        "resource": {"attributes": {}},
    }
    _, tables, bads = draft(write(tmp_path, record, printed(events=[]), indent=4))
    assert json.loads(tables["spans"][0]["input"]) == [{"role": "user", "content": "from the log"}] and bads == []


def test_a_console_record_without_context_is_bad(tmp_path):
    _, tables, bads = draft(write(tmp_path, printed(), {"level": "info", "msg": "x"}, indent=4))
    assert len(tables["spans"]) == 1
    assert [b.reason for b in bads] == ["not a span: it has no context"]


# --- anything goes -----------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted(
    {p[1] for c in export.columns.SPAN for p in c.paths if p[0] == "attributes"}
    | export.columns.TEXTS
    | set(export.columns.INDEXED)
    | {*export.columns.KIND_KEYS, "metadata", "error.type", "tag.tags", "annotations.0.annotation.name", "llm.prompts.0.", "a..b"}
)


def records_of(read, document, name="x.json"):
    raw = json.dumps(document).encode()
    item = Input(name, name, lambda: io.BytesIO(raw))
    return list(read(item, head_of(item)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    field=st.sampled_from(sorted(span())),
    key=st.sampled_from(KEYS),
    value=anything,
    place=st.sampled_from(["field", "typed", "raw", "event", "log"]),
)
def test_no_value_anywhere_raises(field, key, value, place):
    record, extra = span({"gen_ai.operation.name": "chat"}), {}
    if place == "field":
        record[field] = value
    elif place == "typed":
        record["attributes"].append({"key": key, "value": {"stringValue": value}})
    elif place == "raw":
        record["attributes"].append({"key": key, "value": value})
    elif place == "event":
        record["events"] = [{"name": "gen_ai.choice", "attributes": [{"key": "message", "value": value}, value]}, value]
    else:
        extra = logs(log("gen_ai.user.message", body="x") | {"body": value, "attributes": value})
    found = records_of(export.read_otlp, {**request(record), **extra})
    assert found and all(isinstance(r, Bad) or json.dumps(r.data, allow_nan=False) for r in found)


@settings(max_examples=60, deadline=None)
@given(field=st.sampled_from(sorted(printed())), value=anything)
def test_no_console_value_raises(field, value):
    found = records_of(export.read_console, [printed(**{field: value})])
    assert len(found) == 1


def test_deep_nesting_and_many_dots_do_not_raise(one):
    deep = {"stringValue": "x"}
    for _ in range(150):
        deep = {"arrayValue": {"values": [deep]}}
    attributes = [{"key": "deep", "value": deep}, *pairs({"gen_ai.prompt.0." + "a." * 400: "x", "gen_ai.prompt.0.content": "hi"})]
    row = one(attributes=attributes)
    assert meta(row)["deep"] == "[" * 64 + '"…"' + "]" * 64
    assert json.loads(row["input"])[0]["content"] == "hi"
    assert json.dumps(plain(json.loads("[" * 500 + "]" * 500))).count("[") == 64
    assert isinstance(nest({"a." * 500 + "b": 1}), dict)


def test_expand_reads_the_file_that_the_draft_reads(tmp_path):
    path = write(tmp_path, request(span()))
    item = expand([path])[0]
    assert export.FORMATS[0].sniff(head_of(item))
    assert seconds("2026-11-20T10:00:00Z") == seconds(str(NANO)) == seconds(NANO // 1000) == NANO / 1e9
