"""MLflow traces to draft rows: MLflow 3 and 2, search rows, assessments."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from draft import draft
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.mlflow import export
from llmobs_nb.sources.registry import head_of

TRACE, ROOT, CHAT = "tr-5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b173", "eee19b7ec3c1b174"
T0 = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
NANO = 1_795_168_800_000_000_000  # T0
ASKED = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
}
ANSWER = {
    "id": "c-1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": "hello"}}],
}
USAGE = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42, "cache_read_input_tokens": 8}


def encoded(attributes):
    """Every attribute as JSON text, as MLflow stores them."""
    return {k: json.dumps(v) for k, v in attributes.items()}


def span(span_id=CHAT, parent=ROOT, *, name="Completions", kind="CHAT_MODEL", attributes=None, **changes):
    return {
        "trace_id": TRACE,
        "span_id": span_id,
        "parent_span_id": parent,
        "name": name,
        "start_time_unix_nano": NANO,
        "end_time_unix_nano": NANO + 2_500_000_000,
        "events": [],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": encoded({"mlflow.traceRequestId": TRACE, "mlflow.spanType": kind, **(attributes or {})}),
        **changes,
    }


def chat(**changes):
    about = {"mlflow.spanInputs": ASKED, "mlflow.spanOutputs": ANSWER, "mlflow.chat.tokenUsage": USAGE}
    return span(attributes={**about, **changes})


def root(**changes):
    return span(ROOT, None, name="answer", kind="CHAIN", **changes)


def trace(*spans, metadata=None, tags=None, assessments=(), **info):
    told = {
        "trace_id": TRACE,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "7"}},
        "request_time": "2026-11-20T10:00:00Z",
        "execution_duration_ms": 2500,
        "state": "OK",
        "trace_metadata": metadata or {},
        "tags": {"mlflow.traceName": "answer", **(tags or {})},
        "assessments": list(assessments),
    }
    return {"info": {**told, **info}, "data": {"spans": list(spans)}}


def write(tmp_path, *rows, indent=None):
    path = tmp_path / "traces.json"
    path.write_text("".join(json.dumps(r, indent=indent) + "\n" for r in rows))
    return path


def tables(tmp_path, *rows, refused=0):
    name, found, bads = draft(write(tmp_path, *rows))
    assert (name, len(bads)) == ("mlflow.traces", refused)
    return found


def test_a_chat_span(tmp_path):
    row = tables(tmp_path, trace(chat()))["spans"][0]
    assert (row["trace_id"], row["span_id"], row["parent_id"], row["kind"], row["status"]) == (TRACE, CHAT, ROOT, "llm", "ok")
    assert (row["start_time"], row["end_time"]) == (T0, T0 + timedelta(seconds=2.5))
    assert (row["model_requested"], row["model"], row["finish_reason"]) == ("gpt-4o", "gpt-4o-2024-08-06", "length")
    assert [row[f"tokens_{n}"] for n in ("in", "out", "total", "cache_read", "cache_write")] == [30, 12, 42, 8, None]
    assert (json.loads(row["input"]), json.loads(row["output"]), row["system_prompt"]) == (ASKED, ANSWER, "Be kind.")
    assert json.loads(row["model_params"]) == {"temperature": 0.2}
    assert (row["project"], row["trace_name"], row["usage_rule"]) == ("7", "answer", "inclusive")


def test_texts_that_are_json_strings_are_decoded_once(tmp_path):
    row = tables(tmp_path, trace(span(attributes={"mlflow.spanInputs": "hi", "version": "1.10", "flag": True})))["spans"][0]
    assert (row["input"], dict(row["metadata"])["version"], dict(row["metadata"])["flag"]) == ("hi", "1.10", "true")


@pytest.mark.parametrize(
    "word, kind",
    [
        ("LLM", "llm"),
        ("CHAT_MODEL", "llm"),
        ("EMBEDDING", "embedding"),
        ("RETRIEVER", "retriever"),
        ("RERANKER", "reranker"),
        ("TOOL", "tool"),
        ("AGENT", "agent"),
        ("CHAIN", "chain"),
        ("PARSER", "chain"),
        ("UNKNOWN", "chain"),
        ("my own type", "chain"),
    ],
)
def test_kinds(tmp_path, word, kind):
    assert tables(tmp_path, trace(span(kind=word)))["spans"][0]["kind"] == kind


def test_model_provider_and_cost_attributes(tmp_path):
    about = {
        "mlflow.llm.model": "claude",
        "mlflow.llm.provider": "anthropic",
        "mlflow.llm.cost": {"total_cost": 0.25, "input_cost": 0.1},
    }
    row = tables(tmp_path, trace(span(attributes=about)))["spans"][0]
    assert (row["model"], row["provider"], row["cost_recorded_usd"]) == ("claude", "anthropic", 0.25)
    parts = {"mlflow.llm.cost": {"input_cost": 0.25, "output_cost": 0.5}}
    assert tables(tmp_path, trace(span(attributes=parts)))["spans"][0]["cost_recorded_usd"] == 0.75


def test_trace_usage_counts_only_when_no_span_has_any(tmp_path):
    sums = {"mlflow.trace.tokenUsage": json.dumps({"input_tokens": 99}), "mlflow.trace.cost": json.dumps({"total_cost": 0.5})}
    found = tables(tmp_path, trace(root(), chat(), metadata=sums))["spans"]
    assert [(r["tokens_in"], r["cost_recorded_usd"]) for r in found] == [(None, 0.5), (30, None)]
    found = tables(tmp_path, trace(root(), span(), metadata=sums))["spans"]
    assert [(r["tokens_in"], r["cost_recorded_usd"]) for r in found] == [(99, 0.5), (None, None)]
    own = span(attributes={"gen_ai.usage.input_tokens": 5})
    assert [r["tokens_in"] for r in tables(tmp_path, trace(root(), own, metadata=sums))["spans"]] == [None, 5]


def test_base64_ids_become_the_hex_that_parents_name(tmp_path):
    def b64(text):
        return base64.b64encode(bytes.fromhex(text)).decode()

    first = {**root(), "span_id": b64(ROOT), "trace_id": b64(TRACE[3:]), "parent_span_id": ""}
    second = {**chat(), "span_id": b64(CHAT), "parent_span_id": b64(ROOT)}
    found = tables(tmp_path, trace(first, second))["spans"]
    assert [(r["trace_id"], r["span_id"], r["parent_id"]) for r in found] == [(TRACE, ROOT, None), (TRACE, CHAT, ROOT)]


def old_trace():
    record = {
        "name": "Completions",
        "context": {"trace_id": f"0x{TRACE[3:]}", "span_id": f"0x{CHAT}"},
        "parent_id": f"0x{ROOT}",
        "start_time": NANO,
        "end_time": NANO + 1_000_000_000,
        "status_code": "ERROR",
        "status_message": "boom",
        "attributes": encoded({"mlflow.traceRequestId": "old-1", "mlflow.spanType": "LLM", "mlflow.spanInputs": {"q": 1}}),
        "events": [
            {"name": "exception", "timestamp": NANO, "attributes": {"exception.type": "ValueError", "exception.message": "bad"}}
        ],
    }
    info = {
        "request_id": "old-1",
        "experiment_id": "3",
        "timestamp_ms": NANO // 1_000_000,
        "execution_time_ms": 1000,
        "status": "ERROR",
        "request_metadata": {"mlflow.trace.session": "s"},
        "tags": {},
    }
    return {"info": info, "data": {"spans": [record], "request": "{}", "response": None}}


def test_mlflow_2(tmp_path):
    row = tables(tmp_path, old_trace())["spans"][0]
    assert (row["trace_id"], row["span_id"], row["parent_id"], row["project"]) == ("old-1", CHAT, ROOT, "3")
    assert (row["start_time"], row["end_time"], row["session_id"]) == (T0, T0 + timedelta(seconds=1), "s")
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "ValueError", "boom")


@pytest.mark.parametrize("indent", [None, 2])
def test_layouts(tmp_path, indent):
    for rows in ([trace(chat()), trace(chat())], [[trace(chat()), trace(chat())]], [{"traces": [trace(chat()), trace(chat())]}]):
        name, found, bads = draft(write(tmp_path, *rows, indent=indent))
        assert (name, len(found["spans"]), bads) == ("mlflow.traces", 2, [])


def test_search_rows_and_rest_answers(tmp_path):
    whole = trace(chat())
    row = {**whole["info"], "trace": json.dumps(whole), "spans": whole["data"]["spans"], "request": "q", "response": "a"}
    assert tables(tmp_path, row)["spans"][0]["tokens_in"] == 30
    flat = {**whole["info"], "spans": whole["data"]["spans"]}
    assert tables(tmp_path, flat)["spans"][0]["tokens_in"] == 30
    rest = {"trace": {"trace_info": whole["info"], "spans": whole["data"]["spans"]}}
    assert tables(tmp_path, rest)["spans"][0]["tokens_in"] == 30


def test_who_where_and_which_release(tmp_path):
    about = {
        "mlflow.trace.user": "u1",
        "mlflow.trace.session": "s1",
        "mlflow.source.git.commit": "abc",
        "mlflow.modelId": "m-1",
        "plan": "pro",
    }
    tags = {"environment": "production", "feature": "search", "tenant_id": "t1", "mlflow.artifactLocation": "somewhere"}
    row = tables(tmp_path, trace(chat(), metadata=about, tags=tags, client_request_id="req-1"))["spans"][0]
    found = [
        row[n] for n in ("user_id", "session_id", "release", "app_version", "environment", "feature", "tenant_id", "request_id")
    ]
    assert found == ["u1", "s1", "abc", "m-1", "production", "search", "t1", "req-1"]
    metadata = dict(row["metadata"])
    assert metadata["plan"] == "pro"
    assert not {"mlflow.artifactLocation", "mlflow.trace.user", "mlflow.spanInputs", "mlflow.chat.tokenUsage"} & set(metadata)


def test_one_linked_prompt_is_the_prompt_and_several_are_not_guessed(tmp_path):
    prompts = [{"name": "answer", "version": "4"}, {"name": "tone", "version": "1"}]
    row = tables(tmp_path, trace(chat(), tags={"mlflow.linkedPrompts": json.dumps(prompts[:1])}))["spans"][0]
    assert (row["prompt_name"], row["prompt_version"]) == ("answer", "4")
    row = tables(tmp_path, trace(chat(), tags={"mlflow.linkedPrompts": json.dumps(prompts)}))["spans"][0]
    assert (row["prompt_name"], json.loads(dict(row["metadata"])["mlflow.linkedPrompts"])) == (None, prompts)
    own = chat(**{"mlflow.linkedPrompts": prompts[1:]})
    assert tables(tmp_path, trace(own, tags={"mlflow.linkedPrompts": json.dumps(prompts)}))["spans"][0]["prompt_name"] == "tone"


def test_first_chunk_event_retriever_and_tool(tmp_path):
    chunk = {"name": "mlflow.chunk.item.0", "time_unix_nano": NANO + 250_000_000, "attributes": {}}
    later = {"name": "mlflow.chunk.item.1", "time_unix_nano": NANO + 350_000_000, "attributes": {}}
    row = tables(tmp_path, trace({**chat(), "events": [later, chunk]}))["spans"][0]
    assert row["first_token_time"] == T0 + timedelta(milliseconds=250)
    documents = [
        {"page_content": "x", "metadata": {"doc_uri": "d1", "score": 0.5}},
        {"page_content": "y", "id": "d2", "metadata": {}},
    ]
    row = tables(tmp_path, trace(span(kind="RETRIEVER", attributes={"mlflow.spanOutputs": documents})))["spans"][0]
    assert (row["retrieval_ids"], row["retrieval_scores"]) == (["d1", "d2"], [0.5, None])
    assert tables(tmp_path, trace(span(kind="TOOL", name="weather")))["spans"][0]["tool_name"] == "weather"


def test_trace_state_speaks_for_a_root_that_says_nothing(tmp_path):
    unset = {"code": "STATUS_CODE_UNSET"}
    found = tables(tmp_path, trace({**root(), "status": unset}, {**chat(), "status": unset}, state="ERROR"))["spans"]
    assert [r["status"] for r in found] == ["error", None]


def test_a_trace_without_spans_gives_facts_and_invents_no_span(tmp_path):
    about = {"mlflow.trace.user": "u1", "mlflow.traceInputs": "in", "mlflow.traceOutputs": "out", "plan": "pro"}
    found = tables(tmp_path, trace(metadata=about))
    assert set(found) == {"trace_facts"}
    (row,) = found["trace_facts"]
    assert (row["trace_id"], row["user_id"], row["input"], row["output"], row["start_time"]) == (TRACE, "u1", "in", "out", T0)
    assert dict(row["metadata"]) == {"plan": "pro"}


def test_what_is_no_trace_and_no_span_is_bad(tmp_path):
    _, found, bads = draft(write(tmp_path, trace(chat(), "x"), {"other": 1}))
    assert len(found["spans"]) == 1
    assert [(b.line, b.reason) for b in bads] == [(1, "not a span"), (2, "not a trace: it has no trace id and no spans")]


# --- assessments -------------------------------------------------------------------------------------------------------


def assessment(name="correct", value=True, who="HUMAN", number=1, **changes):
    return {
        "assessment_id": f"a-{number}",
        "assessment_name": name,
        "trace_id": TRACE,
        "source": {"source_type": who, "source_id": "rater-1"},
        "create_time": "2026-11-20T11:00:00Z",
        "last_update_time": "2026-11-20T12:00:00Z",
        "feedback": {"value": value},
        "rationale": "because",
        "valid": True,
        **changes,
    }


def scores(tmp_path, *assessments, refused=0):
    return tables(tmp_path, trace(chat(), assessments=assessments), refused=refused)["scores"]


def test_feedback(tmp_path):
    (row,) = scores(tmp_path, assessment())
    assert (row["score_id"], row["trace_id"], row["span_id"], row["name"]) == ("a-1", TRACE, None, "correct")
    assert (row["value_text"], row["data_type"], row["rater"], row["rater_id"]) == ("true", "boolean", "human", "rater-1")
    assert (row["comment"], row["created_at"], row["project"]) == ("because", T0 + timedelta(hours=1), "7")


@pytest.mark.parametrize(
    "word, rater", [("HUMAN", "human"), ("LLM_JUDGE", "judge"), ("AI_JUDGE", "judge"), ("CODE", "code"), ("X", "unknown")]
)
def test_raters(tmp_path, word, rater):
    assert scores(tmp_path, assessment(who=word))[0]["rater"] == rater


@pytest.mark.parametrize(
    "value, text, label, kind",
    [
        (0.5, "0.5", None, "numeric"),
        (False, "false", None, "boolean"),
        ("good", "good", None, "categorical"),
        ("yes", "true", "yes", "boolean"),
        ("No", "false", "No", "boolean"),
        (["a"], '["a"]', None, "text"),
    ],
)
def test_values(tmp_path, value, text, label, kind):
    (row,) = scores(tmp_path, assessment(value=value))
    assert (row["value_text"], row["label"], row["data_type"]) == (text, label, kind)


def test_a_span_is_judged(tmp_path):
    assert scores(tmp_path, assessment(span_id=f"0x{CHAT}"))[0]["span_id"] == CHAT


def test_judge_cost_and_model(tmp_path):
    about = {"mlflow.assessment.judgeCost": "0.002", "mlflow.assessment.judgeInputTokens": "120"}
    source = {"source_type": "LLM_JUDGE", "source_id": "openai:/gpt-4o-mini"}
    (row,) = scores(tmp_path, assessment(metadata=about, source=source))
    assert dict(row["metadata"]) == about
    assert (row["judge_model"], row["rater_id"]) == ("gpt-4o-mini", "openai:/gpt-4o-mini")


def test_an_expectation_is_a_label_of_type_text(tmp_path):
    one = assessment(name="expected", expectation={"value": 5}, feedback=None)
    two = assessment(
        name="facts",
        number=2,
        feedback=None,
        expectation={"serialized_value": {"serialization_format": "JSON_FORMAT", "value": '["x"]'}},
    )
    first, second = scores(tmp_path, one, two)
    assert (first["label"], first["data_type"], first["rater"], dict(first["metadata"])) == (
        "5",
        "text",
        "human",
        {"mlflow.assessmentKind": "expectation"},
    )
    assert second["label"] == '["x"]'


def test_only_the_latest_of_an_overridden_chain_counts_and_it_keeps_the_others(tmp_path):
    chain = [
        assessment(value=0.1, valid=False),
        assessment(value=0.2, number=2, overrides="a-1", valid=False),
        assessment(value=0.3, number=3, overrides="a-2"),
    ]
    (row,) = scores(tmp_path, *chain)
    assert (row["score_id"], row["value_text"]) == ("a-3", "0.3")
    assert [o["feedback"]["value"] for o in json.loads(dict(row["metadata"])["mlflow.overridden"])] == [0.2, 0.1]


def test_an_invalid_one_that_nothing_replaced_is_quarantined_with_its_text(tmp_path):
    dead = assessment(number=2, value=0.77, valid=False)
    _, found, bads = draft(write(tmp_path, trace(chat(), assessments=[assessment(), dead])))
    assert [s["score_id"] for s in found["scores"]] == ["a-1"]
    assert [(b.reason, "0.77" in b.raw) for b in bads] == [("assessment is no longer valid and nothing replaced it", True)]


def test_a_ring_of_overrides_loses_nothing(tmp_path):
    ring = [assessment(overrides="a-2"), assessment(number=2, overrides="a-1")]
    _, found, bads = draft(write(tmp_path, trace(chat(), assessments=ring)))
    assert "scores" not in found and len(bads) == 2


def test_a_session_score_is_not_put_on_the_trace_that_carries_it(tmp_path):
    (row,) = scores(tmp_path, assessment(metadata={"mlflow.trace.session": "s1"}, who="LLM_JUDGE"))
    assert (row["trace_id"], row["span_id"], row["session_id"]) == (None, None, "s1")
    assert dict(row["metadata"])["mlflow.traceOfSession"] == TRACE


def test_older_assessments_and_failed_judges(tmp_path):
    old = {
        "name": "tone",
        "source": {"source_type": "CODE", "source_id": "f"},
        "create_time_ms": NANO // 1_000_000,
        "feedback": {"value": 1},
    }
    failed = assessment(number=2, feedback={"value": None, "error": {"error_code": "TIMEOUT"}})
    first, second = scores(tmp_path, old, failed)
    assert (first["name"], first["created_at"], len(first["score_id"])) == ("tone", T0, 32)
    assert (second["value_text"], json.loads(dict(second["metadata"])["mlflow.error"])) == (None, {"error_code": "TIMEOUT"})


def test_assessments_that_cannot_be_kept(tmp_path):
    odd = [assessment(assessment_name=None), assessment(number=2, feedback=None), "x"]
    _, found, bads = draft(write(tmp_path, trace(chat(), assessments=odd)))
    assert "scores" not in found
    assert sorted(b.reason for b in bads) == [
        "assessment without a name",
        "assessment without feedback and no expectation",
        "not an assessment",
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def read(record):
    raw = json.dumps(record).encode() + b"\n"
    item = Input("x.json", "x.json", lambda: io.BytesIO(raw))
    return list(export.read(item, head_of(item)))


def check(found):
    assert found and all(isinstance(r, Bad) or json.dumps(r.data, allow_nan=False) for r in found)


@settings(max_examples=80, deadline=None)
@given(field=st.sampled_from(sorted({*trace()["info"], "spans", "request_metadata"})), value=anything)
def test_no_value_in_a_trace_raises(field, value):
    whole = trace(chat())
    whole["info"][field] = value
    check(read(whole))
    check(read({**trace(chat()), "data": value, "info": {**trace()["info"], "assessments": value}}))


@settings(max_examples=80, deadline=None)
@given(field=st.sampled_from([*sorted(span()), "context"]), key=st.sampled_from(sorted(export.columns.OWN)), value=anything)
def test_no_value_in_a_span_raises(field, key, value):
    check(
        read(
            trace(
                {**chat(), field: value},
                {**chat(), "attributes": {key: value}},
                {**chat(), "attributes": {key: json.dumps(value)}},
            )
        )
    )


@settings(max_examples=60, deadline=None)
@given(field=st.sampled_from([*sorted(assessment()), "metadata", "overrides", "expectation", "span_id"]), value=anything)
def test_no_value_in_an_assessment_raises(field, value):
    check(
        read(
            trace(
                assessments=[
                    assessment(**({} if field in ("name", "value") else {field: value})),
                    assessment(number=2, overrides="a-1"),
                ]
            )
        )
    )
