"""LiteLLM payloads and spend logs to draft rows."""

import io
import json
from datetime import UTC, datetime

import pytest
from draft import draft, mapped
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.litellm import export

T0 = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
SECONDS = T0.timestamp()


def payload(**changes):
    row = {
        "id": "chatcmpl-1", "trace_id": "tr-1", "litellm_call_id": "call-1", "session_id": "s-1", "call_type": "acompletion",
        "stream": True, "status": "success", "custom_llm_provider": "azure", "response_cost": 0.002,
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "startTime": SECONDS, "completionStartTime": SECONDS + 0.25, "endTime": SECONDS + 1.5,
        "model": "gpt-4o", "model_group": "smart", "cache_hit": False, "request_tags": ["prod"], "end_user": "u-1",
        "metadata": {"user_api_key_hash": "88dc28", "user_api_key_team_alias": "blue", "user_api_key_org_id": "org-1",
                     "user_api_key_user_id": "owner", "requester_metadata": {"feature": "search", "tenant_id": "acme"},
                     "requester_custom_headers": {"authorization": "x"}, "prompt_management_metadata": None},
        "hidden_params": {"litellm_model_name": "azure/gpt-4o-2024-11-20", "usage_object": {
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0}, "cache_creation_input_tokens": 8,
            "completion_tokens_details": {"reasoning_tokens": 5}}},
        "model_parameters": {"temperature": 0.1, "api_key": "sk-never"},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "response": {"id": "chatcmpl-1", "model": "gpt-4o-2024-11-20",
                     "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]},
        "error_str": None, "guardrail_information": None,
    }  # fmt: skip
    return {**row, **changes}


def spend(**changes):
    row = {
        "request_id": "chatcmpl-2", "call_type": "acompletion", "api_key": "88dc28", "spend": 0.0031, "total_tokens": 120,
        "prompt_tokens": 100, "completion_tokens": 20, "startTime": "2025-01-24 09:20:46.847371",
        "endTime": "2025-01-24 09:20:48.000000", "completionStartTime": "2025-01-24 09:20:47.347371", "model": "gpt-4o",
        "model_id": "m1", "model_group": "smart", "custom_llm_provider": "openai", "user": "owner", "team_id": "team-7",
        "end_user": "u-1", "organization_id": "org-1", "cache_hit": "False", "request_tags": '["prod", "eu"]',
        "session_id": "s-1",
        "status": "success", "messages": "{}", "response": "{}",
        "metadata": json.dumps({"user_api_key": "88dc28", "user_api_key_team_alias": "blue", "usage_object": {
                                    "cache_read_input_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 5}},
                                "guardrail_information": [{"guardrail_name": "pii", "guardrail_mode": "pre_call",
                                                           "guardrail_status": "blocked"}]}),
    }  # fmt: skip
    return {**row, **changes}


def one(tmp_path, row, wanted="litellm.payload"):
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps(row))
    name, tables, bads = draft(path, "litellm")
    assert (name, bads) == (wanted, [])
    (found,) = tables["spans"]
    assert found["_reason"] is None
    return found


@pytest.mark.parametrize(("make", "wanted"), [(payload, "litellm.payload"), (spend, "litellm.spend")])
def test_both_shapes_are_recognised_by_content(tmp_path, make, wanted):
    (tmp_path / "calls.jsonl").write_text(json.dumps(make()))
    assert draft(tmp_path / "calls.jsonl")[0] == wanted


def test_payload_times_are_seconds_and_the_first_token_is_a_time(tmp_path):
    row = one(tmp_path, payload())
    assert row["start_time"] == T0
    assert row["end_time"] == T0.replace(second=1, microsecond=500_000)
    assert row["first_token_time"] == T0.replace(microsecond=250_000)


def test_first_token_of_a_call_that_was_not_streamed_is_not_its_end(tmp_path):
    assert one(tmp_path, payload(completionStartTime=SECONDS + 1.5))["first_token_time"] is None


def test_payload_ids_models_and_money(tmp_path):
    row = one(tmp_path, payload())
    assert (row["trace_id"], row["span_id"], row["request_id"], row["session_id"]) == ("tr-1", "chatcmpl-1", "call-1", "s-1")
    assert (row["model_requested"], row["model"], row["provider"]) == ("smart", "azure/gpt-4o-2024-11-20", "azure")
    assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (100, 20, 120)
    assert (row["tokens_cache_read"], row["tokens_cache_write"], row["tokens_reasoning"], row["tokens_in_parts"]) == (
        60,
        8,
        5,
        68,
    )
    assert (row["cost_recorded_usd"], row["response_cached"], row["status"], row["kind"]) == (0.002, False, "ok", "llm")
    assert (row["finish_reason"], row["output"], row["system_prompt"]) == ("stop", "hello", "Be brief.")
    assert json.loads(row["model_params"]) == {"temperature": 0.1}
    assert (row["user_id"], row["tags"]) == ("u-1", ["prod"])


def test_the_callers_own_metadata_and_the_team_are_dimensions(tmp_path):
    meta = dict(one(tmp_path, payload())["metadata"])
    assert {
        "feature": "search",
        "tenant_id": "acme",
        "user_api_key_team_alias": "blue",
        "user_api_key_org_id": "org-1",
    }.items() <= meta.items()


@pytest.mark.parametrize("row", [payload(), spend(), payload(metadata={"user_api_key_auth": {"user_api_key": "88dc28"}})])
def test_keys_and_their_hashes_are_never_kept(tmp_path, row):
    name = "litellm.spend" if "spend" in row else "litellm.payload"
    text = repr(one(tmp_path, row, name))
    assert "88dc28" not in text
    assert "sk-never" not in text
    assert "authorization" not in text


def test_keys_are_not_kept_in_the_quarantine_either():
    (bad,) = read_bytes(json.dumps({"api_key": "88dc28", "metadata": json.dumps({"user_api_key_hash": "88dc28"})}).encode())
    assert "88dc28" not in bad.raw
    assert "neither a StandardLoggingPayload" in bad.reason


def test_spend_row_with_json_in_text(tmp_path):
    row = one(tmp_path, spend(), "litellm.spend")
    assert row["start_time"] == datetime(2025, 1, 24, 9, 20, 46, 847_371, tzinfo=UTC)
    assert row["first_token_time"] == datetime(2025, 1, 24, 9, 20, 47, 347_371, tzinfo=UTC)
    assert (row["trace_id"], row["span_id"], row["session_id"]) == ("chatcmpl-2", "chatcmpl-2", "s-1")
    assert (row["model_requested"], row["model"], row["cost_recorded_usd"]) == ("smart", "gpt-4o", 0.0031)
    assert (row["tokens_cache_read"], row["tokens_reasoning"]) == (60, 5)
    assert row["tags"] == ["prod", "eu"]
    assert (row["input"], row["output"]) == (None, None)
    meta = dict(row["metadata"])
    assert {
        "team_id": "team-7",
        "user": "owner",
        "organization_id": "org-1",
        "user_api_key_team_alias": "blue",
    }.items() <= meta.items()
    assert json.loads(row["guardrails"]) == [
        {"stage": "pre_call", "action": "block", "dimension": None, "policy": "pii", "provider": None}
    ]


def test_masked_entities_are_a_mask(tmp_path):
    ran = {
        "guardrail_name": "presidio", "guardrail_mode": ["pre_call"], "guardrail_status": "success",
        "guardrail_provider": "presidio", "masked_entity_count": {"PERSON": 2, "PHONE": 0},
    }  # fmt: skip
    row = one(tmp_path, payload(guardrail_information=ran))
    assert json.loads(row["guardrails"]) == [
        {"stage": "pre_call", "action": "mask", "dimension": "PERSON", "policy": "presidio", "provider": "presidio"}
    ]


def test_failure_has_an_error_and_its_zeros_are_missing(tmp_path):
    error = {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "azure", "error_message": "slow down"}
    zeros = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "response_cost"), 0)
    text = "litellm.RateLimitError: slow down"
    row = one(tmp_path, payload(status="failure", error_information=error, error_str=text, response=None, **zeros))
    assert (row["status"], row["error_type"], row["error_message"]) == (
        "error",
        "RateLimitError",
        "litellm.RateLimitError: slow down",
    )
    assert [row[k] for k in ("tokens_in", "tokens_out", "tokens_total", "cost_recorded_usd")] == [None] * 4


def test_error_information_of_a_success_is_no_error(tmp_path):
    blank = {"error_code": "", "error_class": "", "llm_provider": "", "traceback": ""}
    assert one(tmp_path, payload(error_information=blank))["status"] == "ok"


def test_spend_failure_in_its_metadata(tmp_path):
    meta = {"status": "failure", "error_information": {"error_class": "Timeout", "error_message": "too long"}}
    row = one(tmp_path, spend(status=None, metadata=json.dumps(meta)), "litellm.spend")
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "Timeout", "too long")


def test_cached_answer_costs_nothing_and_says_so(tmp_path):
    row = one(tmp_path, payload(cache_hit=True, response_cost=0))
    assert (row["response_cached"], row["cost_recorded_usd"]) == (True, 0)
    assert one(tmp_path, spend(cache_hit="True", spend=0), "litellm.spend")["response_cached"] is True


def test_cost_that_could_not_be_computed_is_missing(tmp_path):
    row = one(tmp_path, payload(response_cost=0, response_cost_failure_debug_info={"error_str": "This model isn't mapped yet"}))
    assert row["cost_recorded_usd"] is None


def test_redacted_texts_are_missing(tmp_path):
    row = one(
        tmp_path, payload(messages=[{"role": "user", "content": "redacted-by-litellm"}], response={"text": "redacted-by-litellm"})
    )
    assert (row["input"], row["output"]) == (None, None)


@pytest.mark.parametrize(
    ("call", "kind"), [("aembedding", "embedding"), ("rerank", "reranker"), ("call_mcp_tool", "tool"), (None, "llm")]
)
def test_kind_is_the_call_type(tmp_path, call, kind):
    assert one(tmp_path, payload(call_type=call))["kind"] == kind


def test_payload_inside_the_callbacks_arguments_and_prompt_version(tmp_path):
    row = payload()
    row["metadata"]["prompt_management_metadata"] = {"prompt_id": "greet", "prompt_version": 3}
    found = one(tmp_path, {"standard_logging_object": row})
    assert (found["span_id"], found["prompt_name"], found["prompt_version"]) == ("chatcmpl-1", "greet", "3")


def test_spend_rows_as_csv(tmp_path):
    import csv

    with open(tmp_path / "spend.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, spend())
        writer.writeheader()
        writer.writerow(spend())
    name, tables, bads = draft(tmp_path / "spend.csv")
    assert (name, bads, tables["spans"][0]["cost_recorded_usd"], tables["spans"][0]["tags"]) == (
        "litellm.spend",
        [],
        0.0031,
        ["prod", "eu"],
    )


def read_bytes(data):
    item = Input("x", "x", lambda: io.BytesIO(data))
    head = registry.head_of(item)
    return list(registry.recognise(item, head, "litellm").read(item, head))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([payload, spend]), st.data())
def test_any_value_under_any_key_never_raises(make, data):
    record = make()
    record[data.draw(st.sampled_from(list(record)))] = data.draw(JSON)
    assert len(read_bytes(json.dumps([record, record]).encode())) == 2


HOSTILE = [None, True, -1, 0, 1.5, "", "x", "1e5", "\x00", [], [None], [[1]], {}, {"a": {"b": [1]}}, "{bad", 10**30]


def test_hostile_values_reach_the_columns_or_the_quarantine():
    rows = [{**make(), key: value} for make in (payload, spend) for key in make() for value in HOSTILE]
    found = read_bytes(json.dumps(rows).encode())
    assert len(found) == len(rows)
    kept = mapped(export.SHAPES["call"], [f.data for f in found if not isinstance(f, Bad)])
    assert all(r["_reason"] is None or "is not a" in r["_reason"] for r in kept)
    assert all(r["trace_id"] and r["span_id"] for r in kept)
