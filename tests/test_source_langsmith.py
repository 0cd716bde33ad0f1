"""LangSmith files to draft rows: what the shapes of two API generations, the tracer, the export and feedback must give."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft import draft, mapped
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.errors import InputError
from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.langsmith import export

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "langsmith"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/data/langsmith is not beside the repository")
ROOT, MID, LEAF = (f"0199000{n}-0000-7000-8000-000000000001" for n in (1, 2, 3))
T0 = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)


def v1(**changes):
    """An llm run as API v1 gives it, child of ROOT."""
    run = {
        "id": LEAF, "name": "ChatOpenAI", "run_type": "llm", "status": "success", "session_id": "proj-1", "trace_id": ROOT,
        "parent_run_id": ROOT, "start_time": "2026-11-20T10:00:00.250000", "end_time": "2026-11-20T10:00:00.750000",
        "first_token_time": "2026-11-20T10:00:00.350000", "error": None, "tags": ["prod"], "events": [],
        "dotted_order": f"20261120T100000000000Z{ROOT}.20261120T100000250000Z{LEAF}",
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4.1-mini", "ls_temperature": 0.2, "team": "blue",
                               "thread_id": "t-1", "user_id": "u-9", "LANGSMITH_ENDPOINT": "http://x", "LANGCHAIN_FOO": "1"}},
        "inputs": {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]},
        "outputs": {"id": "chatcmpl-1", "model": "gpt-4.1-mini-2025-04-14",
                    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]},
        "prompt_tokens": 27, "completion_tokens": 13, "total_tokens": 40, "total_cost": "0.0000316",
        "prompt_token_details": {"cache_read": 10}, "completion_token_details": {"reasoning": 4},
        "app_path": f"/o/x/projects/p/y/r/{LEAF}",
    }  # fmt: skip
    return {**run, **changes}


def v2(**changes):
    """The same run as API v2 gives it."""
    run = v1()
    for gone in ("session_id", "parent_run_id", "extra"):
        del run[gone]
    return {
        **run, "run_type": "LLM", "status": "SUCCESS", "project_id": "proj-1", "parent_run_ids": [ROOT], "thread_id": "t-1",
        "start_time": "2026-11-20T10:00:00.250000Z", "end_time": "2026-11-20T10:00:00.750000Z", "latency_seconds": 0.5,
        "first_token_time": "2026-11-20T10:00:00.350000Z", "total_cost": 3.16e-05, "is_root": False,
        "prompt_token_details": {"raw": {"cache_read": 10}}, "completion_token_details": {"raw": {"reasoning": 4}},
        "metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4.1-mini", "team": "blue", "user_id": "u-9",
                     "ls_temperature": 0.2},
        **changes,
    }  # fmt: skip


def spans(tmp_path, value, name="runs.json", wanted="auto"):
    """Rows and bad ones of a value written as one JSON document, or of a list of lines."""
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(v) for v in value) if name.endswith("jsonl") else json.dumps(value))
    _, tables, bads = draft(path, wanted)
    return tables.get("spans", []), bads


def one(tmp_path, value, **more):
    rows, bads = spans(tmp_path, value if isinstance(value, list) else [value], **more)
    assert bads == []
    (row,) = rows
    assert row["_reason"] is None
    return row


@pytest.mark.parametrize(("run", "host"), [(v1(), "http://x"), (v2(), "https://smith.langchain.com")], ids=["v1", "v2"])
def test_v1_and_v2_runs_give_the_same_row(tmp_path, run, host):
    row = one(tmp_path, run)
    assert (row["trace_id"], row["span_id"], row["parent_id"]) == (ROOT, LEAF, ROOT)
    assert (row["kind"], row["status"], row["project"], row["session_id"]) == ("llm", "ok", "proj-1", "t-1")
    assert row["start_time"] == T0.replace(microsecond=250_000)
    assert row["end_time"] == T0.replace(microsecond=750_000)
    assert row["first_token_time"] == T0.replace(microsecond=350_000)
    assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (27, 13, 40)
    assert (row["tokens_cache_read"], row["tokens_reasoning"], row["tokens_in_parts"], row["tokens_out_parts"]) == (10, 4, 10, 4)
    assert row["cost_recorded_usd"] == pytest.approx(3.16e-05)
    assert (row["model_requested"], row["model"], row["provider"]) == ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "openai")
    assert (row["finish_reason"], row["provider_request_id"]) == ("stop", "chatcmpl-1")
    assert row["system_prompt"] == "Be kind."
    assert row["output"] == "hello"
    assert json.loads(row["model_params"]) == {"temperature": 0.2}
    assert row["user_id"] == "u-9"
    assert row["tags"] == ["prod"]
    assert dict(row["metadata"]) == {"team": "blue"}
    assert row["source_url"] == f"{host}/o/x/projects/p/y/r/{LEAF}"


def test_environment_variables_of_the_sdk_are_no_metadata(tmp_path):
    row = one(
        tmp_path, v1(extra={"metadata": {"LANGSMITH_PROJECT": "p", "LANGCHAIN_REVISION": "r", "OPENAI_API_KEY": "sk-1", "a": 1}})
    )
    assert dict(row["metadata"]) == {"a": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page.json", {"runs": [v1()], "cursors": {"next": "x", "prev": None}}),
        ("page.json", {"items": [v2()], "has_more": True, "next_cursor": "opaque"}),
        ("list.json", [v1()]),
        ("lines.jsonl", [v1()]),
        ("pages.jsonl", [{"items": [v2()], "next_cursor": None}]),
        ("one.json", v2()),
    ],
)
def test_pages_lists_and_lines_are_read_alike(tmp_path, name, value):
    rows, bads = spans(tmp_path, value, name)
    assert bads == []
    assert [r["span_id"] for r in rows] == [LEAF]


def test_ids_start_and_parent_come_from_dotted_order(tmp_path):
    run = v1(trace_id=None, id=None, parent_run_id=None, start_time=None)
    row = one(tmp_path, run)
    assert (row["trace_id"], row["span_id"], row["parent_id"]) == (ROOT, LEAF, ROOT)
    assert row["start_time"] == T0.replace(microsecond=250_000)


def test_parent_is_the_last_of_parent_run_ids(tmp_path):
    row = one(tmp_path, v2(parent_run_ids=[ROOT, MID], dotted_order=None))
    assert row["parent_id"] == MID


def test_root_has_no_parent_and_names_the_trace(tmp_path):
    row = one(
        tmp_path, v1(id=ROOT, parent_run_id=None, dotted_order=f"20261120T100000000000Z{ROOT}", name="agent", run_type="chain")
    )
    assert (row["parent_id"], row["trace_name"], row["kind"]) == (None, "agent", "chain")


def test_ids_only_answer_of_v2_is_quarantined_with_the_cure(tmp_path):
    rows, bads = spans(tmp_path, {"items": [{"id": "a"}], "next_cursor": None}, wanted="langsmith")
    assert rows == []
    assert "pull again with selects" in bads[0].reason


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ({"run_type": "llm", "start_time": "2026-11-20", "name": "x"}, "without id"),
        (v1(trace_id=None, dotted_order=None), "without trace_id"),
        ({"hello": 1}, "neither a run"),
    ],
)
def test_what_cannot_be_placed_is_quarantined(tmp_path, run, reason):
    rows, bads = spans(tmp_path, [v1(), run])
    assert len(rows) == 1
    assert reason in bads[0].reason
    assert json.loads(bads[0].raw) == run


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"thread_id": "a", "session_id": "b"}, "a"),
        ({"session_id": "b", "conversation_id": "c"}, "b"),
        ({"conversation_id": "c"}, "c"),
        ({}, None),
    ],
)
def test_thread_is_the_first_of_three_metadata_keys_and_never_the_project(tmp_path, metadata, expected):
    row = one(tmp_path, v1(extra={"metadata": metadata}))
    assert (row["session_id"], row["project"]) == (expected, "proj-1")


def test_tracer_project_is_its_name(tmp_path):
    assert one(tmp_path, v1(session_name="demo", session_id=None))["project"] == "demo"


def test_millisecond_epochs_of_the_javascript_sdk(tmp_path):
    row = one(tmp_path, v1(start_time=1728803137170, end_time=1728803138285, first_token_time=None))
    assert row["start_time"] == datetime(2024, 10, 13, 7, 5, 37, 170_000, tzinfo=UTC)
    assert row["end_time"] == datetime(2024, 10, 13, 7, 5, 38, 285_000, tzinfo=UTC)


@pytest.mark.parametrize("name", ["document.json", "line.jsonl"])
def test_patch_updates_the_posted_run_also_without_an_id(tmp_path, name):
    post = {
        k: v1()[k] for k in ("id", "name", "run_type", "trace_id", "start_time", "inputs", "extra", "dotted_order", "session_id")
    }
    patch = {k: v1()[k] for k in ("end_time", "outputs", "dotted_order", "trace_id")}
    patch |= {"extra": {"metadata": {"late": "yes"}}, "tags": []}
    batch = {"post": [post], "patch": [patch]}
    rows, bads = spans(tmp_path, [batch] if name.endswith("jsonl") else batch, name)
    (row,) = rows
    assert (bads, row["name"], row["output"], row["span_id"]) == ([], "ChatOpenAI", "hello", LEAF)
    assert row["end_time"] == T0.replace(microsecond=750_000)
    assert {"team", "late"} <= set(dict(row["metadata"]))


def test_patch_before_its_post_and_patch_alone(tmp_path):
    patch = {k: v1()[k] for k in ("end_time", "outputs", "dotted_order", "trace_id")}
    post = {k: v1()[k] for k in ("id", "name", "run_type", "trace_id", "start_time", "inputs", "dotted_order")}
    rows, bads = spans(tmp_path, [{"patch": [patch]}, {"post": [post]}], "b.jsonl")
    assert (len(rows), bads, rows[0]["name"], rows[0]["output"]) == (1, [], "ChatOpenAI", "hello")
    rows, bads = spans(tmp_path, {"post": [], "patch": [patch]}, "alone.json")
    assert (len(rows), bads) == (1, [])
    assert rows[0]["start_time"] == T0.replace(microsecond=250_000)


def test_posted_run_that_was_never_patched_stays_open(tmp_path):
    post = {k: v1()[k] for k in ("id", "name", "run_type", "trace_id", "start_time", "dotted_order")}
    rows, bads = spans(tmp_path, {"post": [post], "patch": []}, "b.json")
    assert (len(rows), bads, rows[0]["end_time"]) == (1, [], None)


def test_child_runs_inside_their_parent_are_runs(tmp_path):
    root = v1(id=ROOT, parent_run_id=None, run_type="chain", dotted_order=None, child_runs=[v1()])
    rows, bads = spans(tmp_path, [root])
    assert ({r["span_id"] for r in rows}, bads) == ({ROOT, LEAF}, [])


def test_usage_metadata_goes_before_the_servers_columns(tmp_path):
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "input_token_details": {"cache_read": 1, "audio": 2}}
    row = one(tmp_path, v1(extra={"metadata": {"usage_metadata": usage}}))
    assert (row["tokens_in"], row["tokens_out"], row["tokens_total"]) == (5, 2, 7)
    assert (row["tokens_cache_read"], row["tokens_in_parts"]) == (1, 3)


def test_cache_creation_and_its_lifetimes_are_not_counted_twice(tmp_path):
    details = {"cache_creation": 100, "ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40, "cache_read": 7}
    row = one(
        tmp_path,
        v1(extra={"metadata": {"usage_metadata": {"input_tokens": 200, "output_tokens": 1, "input_token_details": details}}}),
    )
    assert (row["tokens_cache_write"], row["tokens_cache_read"], row["tokens_in_parts"]) == (100, 7, 107)


def test_zeros_of_the_server_on_an_unmeasured_run_are_missing(tmp_path):
    row = one(tmp_path, v1(prompt_tokens=0, completion_tokens=0, total_tokens=0, total_cost="0"))
    assert [row[k] for k in ("tokens_in", "tokens_out", "tokens_total", "cost_recorded_usd")] == [None] * 4


def test_zeros_of_a_failed_run_are_missing(tmp_path):
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "total_cost": 0}
    row = one(tmp_path, v1(error="TimeoutError()", extra={"metadata": {"usage_metadata": usage}}, prompt_tokens=0, total_tokens=0,
                           completion_tokens=0, total_cost=None))  # fmt: skip
    assert (row["tokens_in"], row["cost_recorded_usd"], row["status"]) == (None, None, "error")


def test_cost_zero_despite_tokens_is_no_cost(tmp_path):
    row = one(tmp_path, v1(total_cost="0"))
    assert (row["tokens_in"], row["cost_recorded_usd"]) == (27, None)


def test_cost_zero_that_the_run_reports_itself_is_a_cost(tmp_path):
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "total_cost": 0}
    assert one(tmp_path, v1(extra={"metadata": {"usage_metadata": usage}}, total_cost="0"))["cost_recorded_usd"] == 0


def test_negative_cost_is_kept_as_reported_and_flagged(tmp_path):
    row = one(tmp_path, v1(total_cost="-0.002"))
    assert (row["cost_recorded_usd"], row["usage_flag"]) == (-0.002, "negative")
    assert one(tmp_path, v1())["usage_flag"] is None


def test_cost_is_the_sum_of_its_halves_where_there_is_no_total(tmp_path):
    row = one(tmp_path, v1(total_cost=None, prompt_cost="0.001", completion_cost="0.002"))
    assert row["cost_recorded_usd"] == pytest.approx(0.003)


def test_totals_on_a_chain_are_given_as_reported_but_the_answer_of_its_child_is_not_its_usage(tmp_path):
    chain = {"id": ROOT, "trace_id": ROOT, "run_type": "chain", "start_time": "2026-11-20T10:00:00", "name": "agent"}
    message = {"content": "yo", "type": "ai", "usage_metadata": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}}
    row = one(tmp_path, {**chain, "outputs": {"output": message}, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
    assert (row["tokens_in"], row["output"]) == (None, "yo")
    row = one(tmp_path, {**chain, "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "total_cost": "0.1"})
    assert (row["tokens_total"], row["cost_recorded_usd"]) == (25, 0.1)


def test_first_token_from_events_where_the_column_is_absent(tmp_path):
    times = [("start", "2026-11-20T10:00:00.25Z"), ("new_token", None), ("new_token", "2026-11-20T10:00:00.4Z")]
    events = [{"name": name, "time": time} for name, time in [*times, ("new_token", "2026-11-20T10:00:00.5Z")]]
    assert one(tmp_path, v1(first_token_time=None, events=events))["first_token_time"] == T0.replace(microsecond=400_000)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("ValueError('boom')\n\nTraceback (most recent call last):\n", "ValueError"),
        ("openai.RateLimitError: Error code: 429", "RateLimitError"),
        ("the model gave up", None),
    ],
)
def test_error_class_from_the_error_text(tmp_path, error, kind):
    row = one(tmp_path, v1(error=error, status="error", outputs={"output": None}))
    assert (row["status"], row["error_type"], row["error_message"], row["output"]) == ("error", kind, error, None)


def test_pending_run_is_neither_ok_nor_error(tmp_path):
    assert one(tmp_path, v1(status="pending", end_time=None, outputs=None))["status"] is None


def test_interrupt_that_waits_for_a_person_is_no_error(tmp_path):
    row = one(tmp_path, v1(error="GraphInterrupt(...)", status="error", extra={"metadata": {"ls_is_error_interrupt": True}}))
    assert (row["status"], row["error_type"]) == ("ok", None)


def lc(role, text):
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", role], "kwargs": {"content": text}}


@pytest.mark.parametrize(
    "inputs",
    [
        {"messages": [[lc("SystemMessage", "S"), lc("HumanMessage", "hello")]]},
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hello"}]},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "S"}]}]},
        {"system": "S", "messages": [{"role": "user", "content": "hello"}]},
        {"system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}], "messages": []},
        {"instructions": "S", "input": "hello"},
        {"messages": [["system", "S"], ["human", "hello"]]},
    ],
)
def test_system_prompt_of_every_message_shape(tmp_path, inputs):
    assert one(tmp_path, v1(inputs=inputs))["system_prompt"] == "S"


def test_langchain_messages_become_roles_and_contents(tmp_path):
    row = one(tmp_path, v1(inputs={"messages": [[lc("SystemMessage", "S"), lc("HumanMessage", "hello")]]}))
    assert json.loads(row["input"]) == [{"role": "system", "content": "S"}, {"role": "user", "content": "hello"}]


def test_langchain_answer_model_and_finish_reason(tmp_path):
    kwargs = {"content": "yo", "response_metadata": {"model_name": "claude-x-20260101", "stop_reason": "end_turn"},
              "usage_metadata": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}}  # fmt: skip
    outputs = {
        "generations": [[{"text": "yo", "generation_info": None, "message": {"lc": 1, "kwargs": kwargs}}]],
        "llm_output": None,
    }
    row = one(tmp_path, v1(outputs=outputs, extra={"metadata": {"ls_model_name": "anthropic/claude-x"}}))
    assert (row["model_requested"], row["model"]) == ("anthropic/claude-x", "claude-x-20260101")
    assert (row["output"], row["finish_reason"], row["tokens_total"]) == ("yo", "stop", 25)


def test_finish_reason_that_is_a_whole_chunk(tmp_path):
    choice = {"index": 0, "finish_reason": {"index": 0, "delta": {}, "finish_reason": "length"}, "message": {"content": "x"}}
    assert one(tmp_path, v1(outputs={"choices": [choice]}))["finish_reason"] == "length"


def test_tool_calls_stay_in_the_output(tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
    outputs = {"choices": [{"finish_reason": "tool_calls", "message": {"content": None, "tool_calls": [call]}}]}
    row = one(tmp_path, v1(outputs=outputs))
    assert json.loads(row["output"]) == {"content": None, "tool_calls": [call]}


@pytest.mark.parametrize("key", ["documents", "output"])
def test_retriever_documents(tmp_path, key):
    documents = [
        {"page_content": "a", "type": "Document", "metadata": {"source": "kb/1", "score": 0.82}},
        {"page_content": "b", "type": "Document", "metadata": {"id": "d2", "source": "kb/2", "score": 0.5}},
    ]
    row = one(
        tmp_path,
        v1(run_type="retriever", outputs={key: documents}, prompt_tokens=None, completion_tokens=None, total_tokens=None),
    )
    assert (row["kind"], row["retrieval_ids"], row["retrieval_scores"]) == ("retriever", ["kb/1", "d2"], [0.82, 0.5])


def test_tool_run_names_its_tool(tmp_path):
    row = one(tmp_path, v1(run_type="tool", name="lookup", inputs={"q": "x"}, outputs={"answer": 42}))
    assert (row["kind"], row["tool_name"], json.loads(row["output"])) == ("tool", "lookup", {"answer": 42})


def prompt_run(at, commit, **changes):
    meta = {"lc_hub_owner": "me", "lc_hub_repo": "support", "lc_hub_commit_hash": commit}
    return v1(id=f"p-{commit}", run_type="prompt", dotted_order=None, start_time=at, extra={"metadata": meta}, **changes)


def test_hub_prompt_is_joined_to_the_llm_run_that_follows_it_under_the_same_parent(tmp_path):
    runs = [
        v1(),  # newest first, as the API gives them
        prompt_run("2026-11-20T10:00:00.2", "near"),
        prompt_run("2026-11-20T10:00:00.1", "far"),
        prompt_run("2026-11-20T10:00:00.6", "later"),
        prompt_run("2026-11-20T10:00:00.24", "elsewhere", parent_run_id=MID),
        prompt_run("2026-11-20T10:00:00.24", "other-trace", trace_id=MID),
    ]
    rows, bads = spans(tmp_path, runs)
    assert bads == []
    llm = next(r for r in rows if r["span_id"] == LEAF)
    assert (llm["prompt_name"], llm["prompt_version"]) == ("support", "near")
    assert {r["prompt_version"] for r in rows if r["span_id"] != LEAF} == {"near", "far", "later", "elsewhere", "other-trace"}


def test_llm_run_with_no_prompt_before_it_has_none(tmp_path):
    rows, _ = spans(tmp_path, [v1(), prompt_run("2026-11-20T10:00:00.6", "later")])
    assert next(r for r in rows if r["span_id"] == LEAF)["prompt_version"] is None


def test_reference_example_and_dataset_go_to_metadata(tmp_path):
    row = one(tmp_path, v2(reference_example_id="ex-1", reference_dataset_id="ds-1"))
    assert {"reference_example_id": "ex-1", "reference_dataset_id": "ds-1"}.items() <= dict(row["metadata"]).items()


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        (None, "https://smith.langchain.com"),
        ("https://api.smith.langchain.com", "https://smith.langchain.com"),
        ("https://eu.api.smith.langchain.com", "https://eu.smith.langchain.com"),
        ("https://ls.example.org/api/v1", "https://ls.example.org"),
    ],
)
def test_source_url_is_on_the_host_of_the_endpoint(tmp_path, endpoint, host):
    row = one(tmp_path, v1(extra={"metadata": {"LANGSMITH_ENDPOINT": endpoint}}, app_path="/o/1/r/2"))
    assert row["source_url"] == f"{host}/o/1/r/2"


def test_app_path_that_is_no_path_gives_no_link(tmp_path):
    assert one(tmp_path, v1(app_path="javascript:alert(1)"))["source_url"] is None


PARQUET = {
    "id": LEAF, "tenant_id": "t", "session_id": "proj-1", "trace_id": ROOT, "parent_run_id": ROOT, "parent_run_ids": [ROOT],
    "reference_example_id": None, "name": "ChatOpenAI", "run_type": "llm", "status": "success", "is_root": False,
    "dotted_order": v1()["dotted_order"], "trace_tier": "shortlived", "inputs": json.dumps(v1()["inputs"]),
    "outputs": json.dumps(v1()["outputs"]), "error": None, "extra": json.dumps(v1()["extra"]), "events": "[]", "tags": ["prod"],
    "feedback_stats": "{}", "total_tokens": 40, "prompt_tokens": 27, "completion_tokens": 13, "total_cost": 3.16e-05,
}  # fmt: skip


@pytest.mark.parametrize("zone", [None, "UTC"], ids=["v1 naive nanoseconds", "v2 UTC"])
def test_bulk_export_parquet_of_both_versions(tmp_path, zone):
    unit = "us" if zone else "ns"
    times = {k: v1()[k] for k in ("start_time", "end_time", "first_token_time")}
    arrays = {k: pa.array([v]) for k, v in PARQUET.items()}
    arrays |= {
        k: pa.array([datetime.fromisoformat(v)], pa.timestamp("us")).cast(pa.timestamp(unit, zone)) for k, v in times.items()
    }
    pq.write_table(pa.table(arrays), tmp_path / "part.parquet")
    name, tables, bads = draft(tmp_path / "part.parquet")
    (row,) = tables["spans"]
    assert (name, bads, row["_reason"]) == ("langsmith.runs", [], None)
    assert (row["start_time"], row["first_token_time"]) == (T0.replace(microsecond=250_000), T0.replace(microsecond=350_000))
    assert (row["session_id"], row["project"], row["tokens_in"], row["system_prompt"]) == ("t-1", "proj-1", 27, "Be kind.")
    assert (row["output"], row["model"], row["tags"]) == ("hello", "gpt-4.1-mini-2025-04-14", ["prod"])


def test_bulk_export_nanoseconds_project_folder_prompts_and_cache_tokens_from_metadata(tmp_path):
    usage = {"input_tokens": 27, "output_tokens": 13, "total_tokens": 40, "input_token_details": {"cache_read": 10}}
    hub = {"lc_hub_repo": "support", "lc_hub_commit_hash": "9f2e1c"}
    rows = [
        {**PARQUET, "extra": json.dumps({"metadata": {"usage_metadata": usage}})},
        {**PARQUET, "id": MID, "run_type": "prompt", "extra": json.dumps({"metadata": hub}), "total_tokens": None},
    ]
    table = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "session_id"} for r in rows])
    starts = pa.array([1763632800_250000001, 1763632800_100000999], pa.timestamp("ns"))
    folder = tmp_path / "export_id=e" / "session_id=proj-7" / "runs"
    folder.mkdir(parents=True)
    pq.write_table(table.append_column("start_time", starts), folder / "part.parquet")
    _, tables, bads = draft(folder / "part.parquet")
    row = next(r for r in tables["spans"] if r["span_id"] == LEAF)
    assert (bads, row["project"], row["tokens_cache_read"]) == ([], "proj-7", 10)
    assert (row["prompt_name"], row["prompt_version"]) == ("support", "9f2e1c")
    assert row["start_time"] == datetime(2025, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)


def feedback(**changes):
    row = {
        "id": "fb-1", "created_at": "2026-11-20T11:00:00", "modified_at": "2026-11-20T12:00:00", "key": "correctness",
        "score": 1.0, "value": None, "comment": "ok", "correction": None, "run_id": LEAF, "trace_id": ROOT,
        "session_id": "proj-1", "is_root": False, "extra": None,
        "feedback_source": {"type": "api", "metadata": None, "user_id": None, "user_name": None},
    }  # fmt: skip
    return {**row, **changes}


def scored(tmp_path, *rows):
    path = tmp_path / "feedback.json"
    path.write_text(json.dumps(rows))
    name, tables, bads = draft(path)
    assert (name, bads) == ("langsmith.feedback", [])
    assert all(r["_reason"] is None for t in tables.values() for r in t)
    return tables


@pytest.mark.parametrize(
    ("source", "rater"),
    [
        ({"type": "app", "user_id": "u1"}, "human"),
        ({"type": "app", "user_id": None}, "human"),
        ({"type": "api", "user_id": "u1"}, "human"),
        ({"type": "api", "user_id": None}, "unknown"),
        ({"type": "auto_eval"}, "judge"),
        ({"type": "model"}, "judge"),
        (None, "unknown"),
    ],
)
def test_who_judged(tmp_path, source, rater):
    (row,) = scored(tmp_path, feedback(feedback_source=source))["scores"]
    assert (row["rater"], row["rater_id"]) == (rater, (source or {}).get("user_id"))
    assert row["rater_word"] == (source or {}).get("type")


def test_a_label_that_we_pushed_comes_back_with_who_judged(tmp_path):
    source = {"type": "api", "metadata": {"rater": "human", "rater_id": "r-7"}, "user_id": "whose-key"}
    (row,) = scored(tmp_path, feedback(feedback_source=source))["scores"]
    assert (row["rater"], row["rater_id"]) == ("human", "r-7")


def test_feedback_row_becomes_a_score_of_its_run(tmp_path):
    (row,) = scored(tmp_path, feedback(feedback_source={"type": "auto_eval", "metadata": {"__run": {"run_id": "judge-run"}}}))[
        "scores"
    ]
    assert (row["score_id"], row["trace_id"], row["span_id"], row["project"]) == ("fb-1", ROOT, LEAF, "proj-1")
    assert (row["name"], row["value_text"], row["data_type"], row["comment"]) == ("correctness", "1.0", "numeric", "ok")
    assert row["created_at"] == datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert row["updated_at"] == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert dict(row["metadata"]) == {"judge_run_id": "judge-run"}
    assert row["session_id"] is None


@pytest.mark.parametrize("changes", [{"run_id": ROOT}, {"run_id": ROOT, "trace_id": None, "is_root": True}])
def test_feedback_on_the_root_run_judges_the_trace(tmp_path, changes):
    (row,) = scored(tmp_path, feedback(**changes))["scores"]
    assert (row["trace_id"], row["span_id"]) == (ROOT, None)


@pytest.mark.parametrize(
    ("score", "value", "expected"),
    [
        (True, None, ("true", "boolean", None)),
        (0, None, ("0", "numeric", None)),
        (None, "good", ("good", "categorical", None)),
        (0.5, "half", ("0.5", "numeric", "half")),
        (None, None, (None, "text", None)),
        (None, {"a": 1}, ('{"a": 1}', "categorical", None)),
    ],
)
def test_values_of_every_type(tmp_path, score, value, expected):
    (row,) = scored(tmp_path, feedback(score=score, value=value))["scores"]
    assert (row["value_text"], row["data_type"], row["label"]) == expected


def test_correction_of_a_judge_is_a_second_score_by_a_human(tmp_path):
    row = feedback(feedback_source={"type": "auto_eval"}, correction={"score": 0, "explanation": "wrong city"})
    tables = scored(tmp_path, row)
    judge, human = sorted(tables["scores"], key=lambda r: r["rater"], reverse=True)
    assert (judge["rater"], judge["value_text"], judge["score_id"]) == ("judge", "1.0", "fb-1")
    assert (human["rater"], human["value_text"], human["score_id"]) == ("human", "0", "fb-1:correction")
    assert (human["span_id"], human["comment"], human["name"]) == (LEAF, "wrong city", "correctness")
    assert human["created_at"] == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert "corrections" not in tables


def test_corrected_answer_is_a_correction_and_not_a_score(tmp_path):
    row = feedback(
        key="correction", score=None, comment=None, correction={"answer": "42"}, feedback_source={"type": "app", "user_id": "u1"}
    )
    tables = scored(tmp_path, row, feedback(id="fb-2"))
    (correction,) = tables["corrections"]
    assert (json.loads(correction["expected"]), correction["correction_id"], correction["rater_id"]) == (
        {"answer": "42"},
        "fb-1",
        "u1",
    )
    assert [r["score_id"] for r in tables["scores"]] == ["fb-2"]


def test_feedback_stands_in_the_project_by_its_id_as_runs_do_and_by_its_name_where_that_is_all(tmp_path):
    row = {"id": "f", "key": "k", "score": 1, "run_id": "r", "session_id": "p-1", "created_at": "2026-11-20T10:00:00"}
    path = tmp_path / "f.json"
    path.write_text(
        json.dumps(
            [
                row | {"session_name": "bot"},
                row | {"id": "g", "session_id": None, "session_name": "bot", "correction": {"a": "right"}},
            ]
        )
    )
    _, tables, bads = draft(path)
    assert [r["project"] for r in tables["scores"]] == ["p-1", "bot"]
    assert [r["project"] for r in tables["corrections"]] == ["bot"]
    assert bads == []


def test_feedback_on_a_thread_and_on_a_project(tmp_path):
    rows = [feedback(run_id=None, trace_id=None, feedback_thread_id="t-1"), feedback(id="fb-2", run_id=None, trace_id=None)]
    thread, project = scored(tmp_path, *rows)["scores"]
    assert (thread["session_id"], thread["trace_id"], thread["span_id"]) == ("t-1", None, None)
    assert (project["session_id"], project["trace_id"], dict(project["metadata"])) == (None, None, {"experiment_id": "proj-1"})


@needs_real
def test_captured_tracer_runs_are_all_kept():
    name, tables, bads = draft(REAL / "captured_runs.json")
    rows = tables["spans"]
    assert (name, len(rows), bads, {r["_reason"] for r in rows}) == ("langsmith.runs", 12, [], {None})
    assert not any(k.startswith(("LANGSMITH_", "LANGCHAIN_")) for r in rows for k in dict(r["metadata"] or {}))
    llm = [r for r in rows if r["kind"] == "llm"]
    assert [r["prompt_version"] for r in llm] == [None, "9f2e1c", "9f2e1c"]
    assert [r["system_prompt"] for r in llm] == ["s", "S", "S"]
    assert [r["tokens_in"] for r in llm] == [27, 20, None]
    assert next(r for r in rows if r["name"] == "bad")["error_type"] == "ValueError"


@needs_real
@pytest.mark.parametrize("path", sorted(REAL.glob("*wrap_openai*.json")), ids=lambda p: p.stem)
def test_recorded_ingest_batches_give_one_finished_run(path):
    name, tables, bads = draft(path)
    (row,) = tables["spans"]
    assert (name, bads, row["kind"], row["project"], row["finish_reason"]) == ("langsmith.runs", [], "llm", "default", "stop")
    assert row["end_time"] > row["start_time"]
    assert (row["tokens_in"] is None) == ("no_usage" in path.name)
    if "reasoning" in path.name:
        assert 0 < row["tokens_reasoning"] <= row["tokens_out"]


@needs_real
@pytest.mark.parametrize("path", sorted(REAL.glob("js_anthropic_managed*.jsonl")), ids=lambda p: p.stem)
def test_recordings_of_other_calls_are_no_runs(path):
    with pytest.raises(InputError, match="has a format that is not known"):
        draft(path)
    _, tables, bads = draft(path, "langsmith")
    assert tables == {}
    assert bads
    assert all(b.reason for b in bads)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def read_bytes(data, wanted="langsmith"):
    item = Input("x", "x", lambda: io.BytesIO(data))
    head = registry.head_of(item)
    return list(registry.recognise(item, head, wanted).read(item, head))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([v1, v2, feedback]), st.data())
def test_any_value_under_any_key_never_raises(make, data):
    record = make()
    record[data.draw(st.sampled_from([*record, "metadata", "correction"]))] = data.draw(JSON)
    extra = record.get("extra")
    if isinstance(extra, dict) and isinstance(extra.get("metadata"), dict):
        extra["metadata"][data.draw(st.sampled_from(["usage_metadata", "ls_model_name", "thread_id"]))] = data.draw(JSON)
    found = read_bytes(json.dumps([record, record]).encode())
    assert len(found) >= 2
    assert all(f.reason if isinstance(f, Bad) else isinstance(f.data, dict) for f in found)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["inputs", "outputs"]),
    st.sampled_from(["messages", "choices", "generations", "output", "documents"]),
    JSON,
    JSON,
)
def test_any_chat_body_never_raises(side, key, value, message):
    for run_type in ("llm", "retriever", "chain"):
        (found,) = read_bytes(
            json.dumps([v1(**{"run_type": run_type, side: {key: [value, {"message": message, "kwargs": message}]}})]).encode()
        )
        assert not isinstance(found, Bad)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 255), st.integers(0, 10_000))
def test_any_byte_flip_never_raises(byte, at):
    raw = bytearray(json.dumps({"post": [v1()], "patch": [v1(id=None)]}).encode())
    raw[at % len(raw)] = byte
    found = read_bytes(bytes(raw), "langsmith.runs")
    assert found or raw[:1] != b"{"  # without its brace it is no JSON any more but a table without rows


HOSTILE = [
    None,
    True,
    -1,
    0,
    1.5,
    "",
    "x",
    "1e5",
    "\x00",
    [],
    [None],
    [[1]],
    {},
    {"a": {"b": [1]}},
    "{bad",
    "\u202e<script>",
    10**30,
]


def test_hostile_values_reach_the_columns_or_the_quarantine():
    runs = [v1(**{key: value}) for key in v1() for value in HOSTILE]
    found = read_bytes(json.dumps(runs).encode())
    assert len(found) == len(runs)
    rows = mapped(export.SHAPES["run"], [f.data for f in found if not isinstance(f, Bad)])
    assert all(r["_reason"] is None or "is not a" in r["_reason"] for r in rows)
    assert all(r["trace_id"] and r["span_id"] for r in rows)


@pytest.mark.parametrize("inputs", [None, {}])
def test_a_model_run_whose_inputs_were_not_fetched_has_no_input(tmp_path, inputs):
    assert one(tmp_path, v1(inputs=inputs))["input"] is None
