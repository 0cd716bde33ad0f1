"""Helicone requests to draft rows."""

import io
import json
from datetime import UTC, datetime

import pytest
from draft import draft, mapped
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.helicone import export


def request(**changes):
    row = {
        "request_id": "req-1", "request_created_at": "2026-11-20T10:00:00.000Z",
        "response_created_at": "2026-11-20T10:00:01.500Z",
        "request_path": "https://api.openai.com/v1/chat/completions", "request_user_id": "u-1", "response_status": 200,
        "request_model": "gpt-4o", "response_model": "gpt-4o-2024-11-20", "model": "gpt-4o", "provider": "OPENAI",
        "delay_ms": 1500, "time_to_first_token": 220, "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_cache_read_tokens": 60, "prompt_cache_write_tokens": 0, "reasoning_tokens": 5, "costUSD": 0.0021, "cost": None,
        "prompt_id": "greet", "prompt_version": "7", "country_code": "DE",
        "properties": {"Helicone-Session-Id": "s-1", "Helicone-Session-Path": "/trip/flights", "Helicone-Session-Name": "Trip",
                       "feature": "search", "Helicone-Auth-Secret": "no"},
        "request_body": {"model": "gpt-4o", "temperature": 0.3, "messages": [{"role": "system", "content": "Be brief."},
                                                                             {"role": "user", "content": "hi"}]},
        "response_body": {"id": "chatcmpl-1", "choices": [{"finish_reason": "stop", "message": {"content": "hello"}}]},
        "feedback_id": "fb-1", "feedback_rating": True, "feedback_created_at": "2026-11-20T12:00:00Z",
        "scores": {"correctness": 87, "tone": 1},
    }  # fmt: skip
    return {**row, **changes}


def tables(tmp_path, value):
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(value))
    name, found, bads = draft(path)
    assert name == "helicone.requests"
    assert all(r["_reason"] is None for rows in found.values() for r in rows)
    return found, bads


def one(tmp_path, row):
    found, bads = tables(tmp_path, [row])
    assert bads == []
    return found["spans"][0]


def test_request_becomes_a_span(tmp_path):
    row = one(tmp_path, request())
    assert (row["trace_id"], row["span_id"], row["request_id"], row["session_id"]) == ("req-1", "req-1", "req-1", "s-1")
    assert row["start_time"] == datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
    assert row["end_time"] == datetime(2026, 11, 20, 10, 0, 1, 500_000, tzinfo=UTC)
    assert (row["latency_ms"], row["ttft_ms"], row["status"], row["kind"]) == (1500, 220, "ok", "llm")
    assert (row["model_requested"], row["model"], row["provider"]) == ("gpt-4o", "gpt-4o-2024-11-20", "OPENAI")
    assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (100, 20, 120)
    assert (row["tokens_cache_read"], row["tokens_cache_write"], row["tokens_reasoning"], row["tokens_in_parts"]) == (
        60,
        0,
        5,
        60,
    )
    assert (row["cost_recorded_usd"], row["prompt_name"], row["prompt_version"]) == (0.0021, "greet", "7")
    assert (row["system_prompt"], row["output"], row["finish_reason"]) == ("Be brief.", "hello", "stop")
    assert (row["user_id"], row["locale"], row["name"], row["trace_name"]) == ("u-1", "DE", "/trip/flights", "Trip")
    assert json.loads(row["model_params"]) == {"temperature": 0.3}


def test_properties_are_metadata_but_for_the_session_and_secrets(tmp_path):
    meta = dict(one(tmp_path, request())["metadata"])
    assert meta["feature"] == "search"
    assert not {"Helicone-Session-Id", "Helicone-Auth-Secret"} & set(meta)


def test_properties_under_their_older_name(tmp_path):
    row = request(request_properties={"team": "blue", "Helicone-Session-Id": "s-2"}, properties=None)
    found = one(tmp_path, row)
    assert (found["session_id"], dict(found["metadata"])["team"]) == ("s-2", "blue")


@pytest.mark.parametrize(
    ("status", "word", "kind"), [(429, "error", "429"), (400, "error", "400"), (399, "ok", None), (-2, None, None)]
)
def test_status_of_400_and_above_is_an_error(tmp_path, status, word, kind):
    row = one(tmp_path, request(response_status=status, response_body={"error": {"message": "slow down"}}))
    assert (row["status"], row["error_type"]) == (word, kind)
    assert row["error_message"] == ("slow down" if word == "error" else None)


def test_zeros_of_a_failed_request_are_missing(tmp_path):
    zero = dict.fromkeys(
        ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_read_tokens", "reasoning_tokens", "costUSD"), 0
    )
    row = one(tmp_path, request(response_status=500, **zero))
    assert [row[k] for k in ("tokens_in", "tokens_out", "tokens_total", "cost_recorded_usd")] == [None] * 4


def test_cost_under_its_other_name(tmp_path):
    assert one(tmp_path, request(costUSD=None, cost=0.004))["cost_recorded_usd"] == 0.004


def test_overridden_model_is_the_one_asked_for(tmp_path):
    assert one(tmp_path, request(model_override="gpt-4o-mini"))["model_requested"] == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("reference", "cached"), [("00000000-0000-0000-0000-000000000000", False), ("0199-1", True), (None, None)]
)
def test_answer_from_the_cache(tmp_path, reference, cached):
    assert one(tmp_path, request(cache_reference_id=reference))["response_cached"] is cached


def test_thumb_is_the_users_and_scores_are_of_nobody_known(tmp_path):
    found, _ = tables(tmp_path, {"data": [request()], "error": None})
    thumb, correctness, tone = found["scores"]
    assert (thumb["name"], thumb["value_text"], thumb["rater"], thumb["data_type"]) == (
        "feedback_rating",
        "true",
        "user",
        "boolean",
    )
    assert (thumb["score_id"], thumb["created_at"]) == ("fb-1", datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert (correctness["name"], correctness["value_text"], correctness["rater"]) == ("correctness", "87", "unknown")
    assert {r["span_id"] for r in found["scores"]} == {"req-1"}
    assert (tone["trace_id"], tone["session_id"]) == ("req-1", "s-1")


def test_request_without_feedback_has_no_scores(tmp_path):
    found, _ = tables(tmp_path, [request(feedback_rating=None, scores=None)])
    assert "scores" not in found


def test_bodies_as_json_text_and_anthropic_shape(tmp_path):
    asked = {"system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]}
    answer = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}
    row = one(tmp_path, request(request_body=json.dumps(asked), response_body=json.dumps(answer)))
    assert (row["system_prompt"], row["output"], row["finish_reason"]) == ("Be brief.", "hello", "stop")


def test_embeddings_are_embeddings(tmp_path):
    assert one(tmp_path, request(request_path="/v1/embeddings"))["kind"] == "embedding"


def test_request_without_an_id_is_quarantined(tmp_path):
    found, bads = tables(tmp_path, [request(), {"hello": 1}])
    assert len(found["spans"]) == 1
    assert "no request_id" in bads[0].reason


def read_bytes(data):
    item = Input("x", "x", lambda: io.BytesIO(data))
    head = registry.head_of(item)
    return list(registry.recognise(item, head, "helicone").read(item, head))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*request(), "request_properties"]), JSON)
def test_any_value_under_any_key_never_raises(key, value):
    value = dict.fromkeys("ab", value) if key == "scores" and isinstance(value, list) else value  # a list there is a wrapper
    assert read_bytes(json.dumps([{**request(), key: value}]).encode())


HOSTILE = [None, True, -1, 0, 1.5, "", "x", "1e5", "\x00", [], [None], [[1]], {}, {"a": {"b": [1]}}, "{bad", 10**30]


def test_hostile_values_reach_the_columns_or_the_quarantine():
    found = read_bytes(json.dumps([{**request(), key: value} for key in request() for value in HOSTILE]).encode())
    for shape in ("request", "score"):
        kept = mapped(export.SHAPES[shape], [f.data for f in found if not isinstance(f, Bad) and f.shape == shape])
        assert kept
        assert all(r["_reason"] is None or "is not a" in r["_reason"] for r in kept)
