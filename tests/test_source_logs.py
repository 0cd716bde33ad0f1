"""Call logs of the three seeds to draft rows."""

import io
import json
from datetime import UTC, datetime

import pytest
from draft import draft, mapped
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.errors import InputError
from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.logs import export


def seed0(**changes):
    """structlog line of seed 000: metadata flattened to the top level, parent dropped."""
    row = {
        "event": "llm_call", "level": "info", "timestamp": "2026-11-20T10:00:00.250000Z", "trace_id": "t-1", "span_id": "s-1",
        "span_name": "answer", "model": "gpt-4o", "prompt_version": "v3", "input_tokens": 100, "output_tokens": 20,
        "cost_usd": 0.0012, "latency_ms": 840.5, "success": True, "error": None, "team": "blue", "user_id": "u-1",
    }  # fmt: skip
    return {**row, **changes}


def seed1(**changes):
    """LlmCallLog of seed 001."""
    row = {
        "request_id": "r-1", "trace_id": "t-1", "tenant_id": "acme", "feature": "search", "provider": "openai",
        "model_requested": "gpt-4o", "model_resolved": "gpt-4o-2024-11-20", "prompt_version": "v3", "tokens_in": 100,
        "tokens_out": 20, "cached_tokens": 60, "cost_usd": 0.0012, "latency_ms": {"ttft": 120, "total": 840, "tools": 300},
        "finish_reason": "stop", "tool_calls": ["lookup"], "retrieval_ids": ["d1", "d2"], "messages_hash": "abc",
        "guardrail_decisions": [{"stage": "input", "action": "block", "dimension": "pii", "policy": "p1"}],
        "metadata": {"team": "blue"},
    }  # fmt: skip
    return {**row, **changes}


def java(row):
    """The same record as its Java twin writes it."""
    head, *rest = zip(*(k.split("_") + [""] * (3 - len(k.split("_"))) for k in row), strict=True)
    names = ["".join([h, *(p.capitalize() for p in parts)]) for h, *parts in zip(head, *rest, strict=True)]
    return dict(zip(names, row.values(), strict=True))


def seed3(**changes):
    """LLMCallRecord of seed 003."""
    row = {
        "call_id": "c-1", "trace_id": "t-1", "timestamp": "2026-11-20T10:00:00.250000", "span_name": "answer", "model": "gpt-4o",
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "estimated_cost_usd": 0.000002, "latency_ms": 840.0,
        "time_to_first_token_ms": 120.0, "finish_reason": "stop", "error": None, "system_prompt_version": "v3", "user_id": "u-1",
        "environment": "production", "has_tool_calls": True, "tool_names": ["lookup", "search"], "messages_hash": "abc",
        "output_length": 512,
    }  # fmt: skip
    return {**row, **changes}


def rows(tmp_path, *lines):
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(json.dumps(v) for v in lines))
    name, tables, bads = draft(path)
    assert name == "logs.calls"
    assert all(r["_reason"] is None for r in tables["spans"])
    return tables["spans"], bads


def one(tmp_path, *lines):
    found, bads = rows(tmp_path, *lines)
    assert bads == []
    (row,) = found
    return row


def test_seed_000_structlog_line(tmp_path):
    row = one(tmp_path, seed0(parent_span_id="s-0"))
    assert (row["trace_id"], row["span_id"], row["parent_id"], row["name"]) == ("t-1", "s-1", "s-0", "answer")
    assert row["start_time"] == datetime(2026, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)
    assert (row["model_requested"], row["model"], row["prompt_version"]) == ("gpt-4o", None, "v3")
    assert (row["tokens_in"], row["tokens_out"], row["cost_recorded_usd"], row["latency_ms"]) == (100, 20, 0.0012, 840.5)
    assert (row["status"], row["kind"], row["user_id"]) == ("ok", "llm", "u-1")


def test_seed_000_metadata_that_was_flattened_to_the_top_is_metadata(tmp_path):
    assert dict(one(tmp_path, seed0())["metadata"]) == {"team": "blue"}


def test_seed_000_line_without_the_parent_that_its_emitter_drops(tmp_path):
    assert one(tmp_path, seed0())["parent_id"] is None


@pytest.mark.parametrize("twin", [dict, java], ids=["python", "java"])
def test_seed_001_and_its_java_twin(tmp_path, twin):
    row = one(tmp_path, twin(seed1()))
    assert (row["trace_id"], row["request_id"], row["parent_id"]) == ("t-1", "r-1", None)
    assert (row["tenant_id"], row["feature"], row["name"], row["provider"]) == ("acme", "search", "search", "openai")
    assert (row["model_requested"], row["model"]) == ("gpt-4o", "gpt-4o-2024-11-20")
    assert (row["tokens_in"], row["tokens_out"], row["tokens_cache_read"], row["tokens_in_parts"]) == (100, 20, 60, 60)
    assert (row["latency_ms"], row["ttft_ms"], row["finish_reason"]) == (840, 120, "stop")
    assert (row["retrieval_ids"], row["input_hash"], row["tool_name"]) == (["d1", "d2"], "abc", "lookup")
    assert json.loads(row["guardrails"])[0]["dimension"] == "pii"
    meta = dict(row["metadata"])
    assert (meta["team"], meta["latency_tools_ms"]) == ("blue", "300")


def test_java_helper_makes_the_documented_names():
    assert {"requestId", "tokensIn", "modelResolved", "guardrailDecisions", "latencyMs"} <= set(java(seed1()))


def test_seed_001_line_without_a_time_is_kept_with_no_start(tmp_path):
    assert one(tmp_path, seed1())["start_time"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "2026-11-20T10:00:00.250"),
        ("asctime", "2026-11-20 10:00:00,250"),
        ("created", 1795168800.25),
        ("@timestamp", "2026-11-20T11:00:00.250+01:00"),
        ("timestamp", 1795168800250),
    ],
)
def test_time_of_the_logging_record(tmp_path, field, value):
    assert one(tmp_path, seed1(**{field: value}))["start_time"] == datetime(2026, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)


def test_seed_003_record_with_a_naive_utc_time(tmp_path):
    row = one(tmp_path, seed3())
    assert (row["span_id"], row["trace_id"], row["name"]) == ("c-1", "t-1", "answer")
    assert row["start_time"] == datetime(2026, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)
    assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (100, 20, 120)
    assert (row["ttft_ms"], row["prompt_version"], row["environment"], row["output_chars"]) == (120, "v3", "production", 512)
    meta = dict(row["metadata"])
    assert (json.loads(meta["tool_names"]), meta["has_tool_calls"], row["tool_name"]) == (["lookup", "search"], "true", None)


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        (seed0(success=False, error="RateLimitError: slow down", input_tokens=0, output_tokens=0, cost_usd=0.0), "RateLimitError",
         "RateLimitError: slow down"),
        (seed1(finish_reason="error", tokens_in=0, tokens_out=0, cached_tokens=0, cost_usd=0), None, None),
        (seed3(finish_reason="error", error="TimeoutError: 30 s", prompt_tokens=0, completion_tokens=0, total_tokens=0,
               estimated_cost_usd=0.0, output_length=0), "TimeoutError", "TimeoutError: 30 s"),
    ],
    ids=["seed 000", "seed 001", "seed 003"],
)  # fmt: skip
def test_failed_calls_that_log_zeros_have_no_tokens_and_no_cost(tmp_path, row, kind, message):
    found = one(tmp_path, row)
    assert (found["status"], found["error_type"], found["error_message"]) == ("error", kind, message)
    assert [found[k] for k in ("tokens_in", "tokens_out", "tokens_total", "tokens_cache_read", "cost_recorded_usd")] == [None] * 5
    assert found["latency_ms"] is not None
    assert found["output_chars"] is None


def test_failed_call_that_used_tokens_keeps_them(tmp_path):
    row = one(tmp_path, seed0(success=False, error="cut off"))
    assert (row["status"], row["tokens_in"], row["cost_recorded_usd"], row["error_type"]) == ("error", 100, 0.0012, None)


def test_zeros_of_a_call_that_went_well_stand(tmp_path):
    row = one(tmp_path, seed0(output_tokens=0, cost_usd=0))
    assert (row["tokens_out"], row["cost_recorded_usd"]) == (0, 0)


def test_made_up_fallback_prices_are_kept_as_logged(tmp_path):
    """Unknown models cost $10/$30 a million tokens in seed 000 and $0.01/$0.03 in seed 003: a thousand times less."""
    dear = (100 * 10 + 20 * 30) / 1e6
    cheap = (100 * 0.01 + 20 * 0.03) / 1e6
    found, _ = rows(tmp_path, seed0(model="new", cost_usd=dear), seed3(model="new", estimated_cost_usd=cheap))
    assert [r["cost_recorded_usd"] for r in found] == [dear, cheap]
    assert dear / cheap == pytest.approx(1000)


def note(**changes):
    row = {
        "event": "llm_completion",
        "request_id": "r-1",
        "model": "gpt-4o",
        "response_hash": "fff",
        "seed": 7,
        "temperature": 0.2,
    }
    return {**row, **changes}


@pytest.mark.parametrize("order", [1, -1], ids=["call first", "note first"])
@pytest.mark.parametrize("twin", [dict, java], ids=["python", "java"])
def test_note_on_a_completion_is_joined_to_its_call(tmp_path, order, twin):
    row = one(tmp_path, *[twin(seed1()), twin(note())][::order])
    assert (row["output_hash"], row["kind"], row["tokens_in"]) == ("fff", "llm", 100)
    assert json.loads(row["model_params"]) == {"temperature": 0.2, "seed": 7}


def test_notes_of_retries_go_to_a_call_each(tmp_path):
    lines = [seed1(finish_reason="error"), note(response_hash="a"), seed1(), note(response_hash="b")]
    found, _ = rows(tmp_path, *lines)
    assert [r["output_hash"] for r in found] == ["a", "b"]


def test_note_without_its_call_is_an_event_and_not_a_call(tmp_path):
    found, bads = rows(tmp_path, seed1(), note(request_id="r-9"))
    assert bads == []
    assert [(r["kind"], r["request_id"], r["output_hash"]) for r in found] == [("llm", "r-1", None), ("event", "r-9", "fff")]
    assert found[1]["trace_id"] == "r-9"


def test_note_further_away_than_the_window_is_not_joined():
    lines = [seed1(request_id=f"r-{n}") for n in range(export.WINDOW + 1)] + [note(request_id="r-0")]
    found = read_bytes("\n".join(map(json.dumps, lines)).encode())
    assert len(found) == len(lines)
    assert [f.data["_kind"] for f in found].count("event") == 1


def test_completion_event_with_measures_is_a_call(tmp_path):
    assert one(tmp_path, note(tokens_in=5, latency_ms=10))["kind"] == "llm"


def test_retries_that_share_a_request_id_stay_two_spans(tmp_path):
    found, _ = rows(tmp_path, seed1(finish_reason="error", tokens_in=0), seed1())
    assert len({r["span_id"] for r in found}) == 2
    assert {r["request_id"] for r in found} == {"r-1"}


def test_the_same_line_is_the_same_span_wherever_it_stands(tmp_path):
    first = one(tmp_path, seed1())
    again, _ = rows(tmp_path, seed3(), seed1(), note())
    assert first["span_id"] == next(r for r in again if r["request_id"] == "r-1")["span_id"]


def test_trace_falls_back_on_the_request_and_then_on_the_span(tmp_path):
    found, _ = rows(tmp_path, seed1(trace_id=None), seed0(trace_id=None))
    assert [r["trace_id"] for r in found] == ["r-1", "s-1"]


def test_other_lines_of_the_log_are_quarantined_by_name(tmp_path):
    found, bads = rows(tmp_path, {"event": "startup"}, seed0(), {"message": "GET /", "level": "info"}, {"x": 1})
    assert len(found) == 1
    assert [b.line for b in bads] == [1, 3, 4]
    assert "event 'startup'" in bads[0].reason
    assert "event 'GET /'" in bads[1].reason
    assert "no event llm_call" in bads[2].reason


def test_call_log_is_known_also_where_calls_come_late(tmp_path):
    found, bads = rows(tmp_path, *[{"event": "startup", "n": n} for n in range(50)], seed0())
    assert (len(found), len(bads)) == (1, 50)


@pytest.mark.parametrize(
    "line",
    [
        {"event": "http_request", "status": 200},
        {"request_id": "r", "model": "gpt-4o", "prompt_tokens": 5, "score": 1},
        {"id": 1, "question": "q", "answer": "a", "model": "x"},
        {"timestamp": "2026-11-20", "prompt_tokens": 5, "completion_tokens": 3, "model": "x"},
        {"event": "llm_call"},
    ],
)
def test_unrelated_lines_are_not_taken_for_calls(tmp_path, line):
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps(line))
    with pytest.raises(InputError, match="has a format that is not known"):
        draft(path, "auto")


def test_secrets_in_a_line_are_not_metadata(tmp_path):
    row = one(tmp_path, seed0(openai_api_key="sk-1", metadata={"password": "x", "plan": "pro"}))
    assert dict(row["metadata"]) == {"team": "blue", "plan": "pro"}


def read_bytes(data):
    item = Input("x", "x", lambda: io.BytesIO(data))
    head = registry.head_of(item)
    return list(registry.recognise(item, head, "logs").read(item, head))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([seed0, seed1, seed3, note]), st.data())
def test_any_value_under_any_key_never_raises(make, data):
    record = make()
    record[data.draw(st.sampled_from([*record, "metadata", "message"]))] = data.draw(JSON)
    assert 1 <= len(read_bytes("\n".join([json.dumps(record)] * 2 + [json.dumps(seed1())]).encode())) <= 3


HOSTILE = [None, True, -1, 0, 1.5, "", "x", "1e5", "\x00", [], [None], [[1]], {}, {"a": {"b": [1]}}, "{bad", 10**30]


def test_hostile_values_reach_the_columns_or_the_quarantine():
    lines = [{**make(), key: value} for make in (seed0, seed1, seed3) for key in make() for value in HOSTILE]
    found = read_bytes("\n".join(map(json.dumps, lines)).encode())
    assert len(found) == len(lines)
    kept = mapped(export.SHAPES["call"], [f.data for f in found if not isinstance(f, Bad)])
    assert all(r["_reason"] is None or "is not a" in r["_reason"] for r in kept)
    assert all(r["trace_id"] and r["span_id"] for r in kept)


def test_notes_on_calls_of_one_request_go_to_the_latest_call_before_them_else_to_the_next(tmp_path):
    lines = [
        note(response_hash="a"),
        note(response_hash="b"),
        seed1(turn=1),
        seed1(turn=2),
        seed1(turn=3),
        note(response_hash="c"),
    ]
    found, _ = rows(tmp_path, *lines)
    assert {r["turn"]: r["output_hash"] for r in found} == {1: "a", 2: "b", 3: "c"}
