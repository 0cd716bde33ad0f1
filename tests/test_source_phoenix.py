"""Phoenix exports to draft rows: spans nested and flat, annotations on spans, traces and sessions."""

import io
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft import draft
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.sources.base import Bad, Input
from llmobs_nb.sources.phoenix import export
from llmobs_nb.sources.registry import head_of

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
T0 = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
NESTED = {
    "llm": {
        "model_name": "gpt-4o",
        "provider": "azure",
        "token_count": {"prompt": 10, "completion": 4, "total": 14, "prompt_details": {"cache_read": 6}},
        "cost": {"total": 0.125},
        "invocation_parameters": '{"temperature": 0.1}',
        "input_messages": [
            {"message": {"role": "system", "content": "Be kind."}},
            {"message": {"role": "user", "contents": [{"message_content": {"type": "text", "text": "hi"}}]}},
        ],
        "output_messages": [
            {"message": {"role": "assistant", "tool_calls": [{"tool_call": {"function": {"name": "f", "arguments": "{}"}}}]}}
        ],
    },
    "input": {"value": '{"messages": []}', "mime_type": "application/json"},
    "metadata": {"tenant_id": "t1", "nested": {"a": 1}},
    "tag": {"tags": ["x", "y"]},
    "session": {"id": "s1"},
    "user": {"id": "u1"},
}


def span(**changes):
    """A span as Phoenix's API gives it."""
    return {
        "id": "U3Bhbjox",
        "name": "ChatCompletion",
        "context": {"trace_id": TRACE, "span_id": SPAN},
        "span_kind": "LLM",
        "parent_id": PARENT,
        "start_time": "2026-11-20T10:00:00+00:00",
        "end_time": "2026-11-20T10:00:02+00:00",
        "status_code": "OK",
        "status_message": "",
        "attributes": NESTED,
        "events": [],
        **changes,
    }


def write(tmp_path, *rows, name="spans.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def one(path):
    name, tables, bads = draft(path)
    assert (name, bads, len(tables["spans"])) == ("phoenix.spans", [], 1)
    return tables["spans"][0]


def test_nested_attributes(tmp_path):
    row = one(write(tmp_path, span()))
    assert (row["trace_id"], row["span_id"], row["parent_id"], row["kind"]) == (TRACE, SPAN, PARENT, "llm")
    assert (row["start_time"], row["end_time"], row["status"]) == (T0, T0 + timedelta(seconds=2), "ok")
    assert (row["model"], row["provider"], row["cost_recorded_usd"]) == ("gpt-4o", "azure", 0.125)
    assert [row[f"tokens_{n}"] for n in ("in", "out", "total", "cache_read")] == [10, 4, 14, 6]
    assert json.loads(row["model_params"]) == {"temperature": 0.1}
    assert (row["tags"], row["session_id"], row["user_id"], row["tenant_id"]) == (["x", "y"], "s1", "u1", "t1")
    assert json.loads(dict(row["metadata"])["nested"]) == {"a": 1}


def test_messages_and_system_prompt(tmp_path):
    row = one(write(tmp_path, span()))
    assert row["system_prompt"] == "Be kind."
    assert json.loads(row["input"])[0] == {"role": "system", "content": "Be kind."}
    assert json.loads(row["output"])[0]["tool_calls"][0]["tool_call"]["function"]["name"] == "f"


def test_wrapped_api_page_without_ids_is_not_opened_at_its_events(tmp_path):
    event = {
        "name": "exception",
        "timestamp": "2026-11-20T10:00:01Z",
        "attributes": {"exception.type": "E", "exception.message": "m"},
    }
    record = span(events=[event], status_code="ERROR")
    del record["id"]
    row = one(write(tmp_path, {"data": [record], "next_cursor": None}))
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "E", "m")
    assert one(write(tmp_path, record))["error_type"] == "E"


FLAT = {
    "name": "Retriever",
    "span_kind": "RETRIEVER",
    "parent_id": None,
    "start_time": 1795168800000,
    "end_time": 1795168802000,
    "status_code": "UNSET",
    "status_message": "",
    "events": [],
    "context.span_id": SPAN,
    "context.trace_id": TRACE,
    "attributes.input.value": "where?",
    "attributes.metadata": {"team": "blue"},
    "attributes.retrieval.documents": [
        {"document.id": "d1", "document.score": 0.75, "document.content": "text"},
        {"document.id": "d2", "document.content": "more"},
    ],
    "attributes.llm.model_name": None,
    "cumulative_llm_token_count_prompt": 99,
}


def check_flat(row):
    assert (row["trace_id"], row["span_id"], row["kind"], row["input"]) == (TRACE, SPAN, "retriever", "where?")
    assert (row["start_time"], row["end_time"]) == (T0, T0 + timedelta(seconds=2))
    assert (row["retrieval_ids"], row["retrieval_scores"], row["status"]) == (["d1", "d2"], [0.75, None], None)
    assert (dict(row["metadata"]), row["tokens_in"], row["model"]) == ({"team": "blue"}, None, None)


def test_dataframe_as_records(tmp_path):
    check_flat(one(write(tmp_path, [FLAT])))


def test_dataframe_as_columns(tmp_path):
    check_flat(one(write(tmp_path, {k: {"0": v} for k, v in FLAT.items()})))


def test_dataframe_as_index(tmp_path):
    check_flat(one(write(tmp_path, {"0": FLAT})))


def test_parquet(tmp_path):
    path = tmp_path / "spans.parquet"
    rows = [{**FLAT, "start_time": T0, "end_time": T0 + timedelta(seconds=2)}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    check_flat(one(path))


def test_rerank_and_error_kinds(tmp_path):
    attributes = {"reranker": {"model_name": "rr", "output_documents": [{"document": {"id": "b", "score": 2}}]}}
    row = one(write(tmp_path, span(span_kind="RERANKER", attributes=attributes, status_code="ERROR", status_message="boom")))
    assert (row["kind"], row["model"], row["retrieval_ids"], row["error_message"]) == ("reranker", "rr", ["b"], "boom")


def test_first_token_event(tmp_path):
    event = {"name": "First Token Stream Event", "timestamp": "2026-11-20T10:00:00.250Z", "attributes": {}}
    assert one(write(tmp_path, span(events=[event])))["first_token_time"] == T0 + timedelta(milliseconds=250)


def test_a_trace_that_holds_its_spans(tmp_path):
    _, tables, bads = draft(
        write(tmp_path, {"traceId": TRACE, "spans": [span(), span(context={"trace_id": TRACE, "span_id": PARENT})]})
    )
    assert ([r["span_id"] for r in tables["spans"]], bads) == ([SPAN, PARENT], [])


def test_project(tmp_path):
    assert one(write(tmp_path, span(project_name="shop")))["project"] == "shop"


def test_a_row_without_ids_is_bad(tmp_path):
    _, tables, bads = draft(write(tmp_path, span(), {"name": "x", "span_kind": "LLM"}))
    assert len(tables["spans"]) == 1
    assert [(b.line, b.reason) for b in bads] == [(2, "not a span: it has no span id and no trace id")]


# --- annotations -------------------------------------------------------------------------------------------------------


def test_trace_and_session_annotations_are_never_put_on_each_span(tmp_path):
    about = {
        "annotations": [{"annotation": {"name": "a", "score": 1, "annotator_kind": "HUMAN", "identifier": "r7"}}],
        "trace": {"annotations": [{"annotation": {"name": "b", "label": "good", "annotator_kind": "LLM"}}]},
        "session": {"id": "s1", "annotations": [{"annotation": {"name": "c", "score": 0.5, "annotator_kind": "CODE"}}]},
    }
    both = [span(attributes=about), span(attributes=about, context={"trace_id": TRACE, "span_id": PARENT})]
    scores = draft(write(tmp_path, *both))[1]["scores"]
    found = {s["score_id"]: (s["name"], s["trace_id"], s["span_id"], s["session_id"], s["rater"]) for s in scores}
    assert len(found) == 4
    assert set(found.values()) == {
        ("a", TRACE, SPAN, None, "human"),
        ("a", TRACE, PARENT, None, "human"),
        ("b", TRACE, None, None, "judge"),
        ("c", None, None, "s1", "code"),
    }
    assert {s["rater_id"] for s in scores if s["name"] == "a"} == {"r7"}


def annotation(**changes):
    return {
        "id": "QW5ub3RhdGlvbjox",
        "span_id": SPAN,
        "name": "correctness",
        "annotator_kind": "LLM",
        "result": {"label": "correct", "score": 0.85, "explanation": "fine"},
        "metadata": {"model": "judge-1"},
        "identifier": "run-3",
        "created_at": "2026-11-20T11:00:00Z",
        "updated_at": "2026-11-20T12:00:00Z",
        "source": "API",
        **changes,
    }


def test_annotation_rows(tmp_path):
    name, tables, bads = draft(write(tmp_path, {"data": [annotation()], "next_cursor": None}))
    (score,) = tables["scores"]
    assert (name, bads) == ("phoenix.annotations", [])
    assert (score["trace_id"], score["span_id"], score["name"], score["rater"]) == (None, SPAN, "correctness", "judge")
    assert (score["value_text"], score["label"], score["comment"], score["rater_id"]) == ("0.85", "correct", "fine", "run-3")
    assert (score["created_at"], score["updated_at"]) == (T0 + timedelta(hours=1), T0 + timedelta(hours=2))
    assert dict(score["metadata"]) == {"model": "judge-1", "source": "API"}


def test_annotation_rows_of_traces_sessions_and_dataframes(tmp_path):
    flat = {k: v for k, v in annotation().items() if k not in ("result", "span_id", "name")}
    flat |= {"context.span_id": SPAN, "annotation_name": "tone", "result.label": "kind", "result.score": None}
    rows = [annotation(trace_id=TRACE, span_id=None), annotation(session_id="s1", span_id=None, annotator_kind="HUMAN"), flat]
    scores = draft(write(tmp_path, *rows))[1]["scores"]
    assert [(s["name"], s["trace_id"], s["span_id"], s["session_id"]) for s in scores] == [
        ("correctness", TRACE, None, None),
        ("correctness", None, None, "s1"),
        ("tone", None, SPAN, None),
    ]
    assert scores[2]["value_text"] == "kind"


def test_the_same_annotation_on_the_span_and_in_its_own_export_is_one_score(tmp_path):
    on_span = span(annotations=[{k: v for k, v in annotation().items() if k != "id"}], attributes={})
    (here,) = draft(write(tmp_path, on_span))[1]["scores"]
    (there,) = draft(write(tmp_path, annotation(), name="a.jsonl"))[1]["scores"]
    assert here["score_id"] == there["score_id"]
    assert (here["trace_id"], here["updated_at"]) == (TRACE, there["updated_at"])


def test_one_given_again_keeps_its_id_and_another_identifier_is_another(tmp_path):
    again = annotation(result={"score": 0.1}, updated_at="2026-11-21T12:00:00Z")
    rows = [annotation(), again, annotation(identifier="run-4"), annotation(document_position=1)]
    found = [s["score_id"] for s in draft(write(tmp_path, *rows))[1]["scores"]]
    assert found[0] == found[1] and len(set(found)) == 3


def test_evaluation_columns_of_a_dataframe(tmp_path):
    row = {**FLAT, "eval.Hallucination.score": 1, "eval.Hallucination.label": "factual", "eval.Other.score": None}
    (score,) = draft(write(tmp_path, row))[1]["scores"]
    assert (score["name"], score["value_text"], score["label"], score["rater"]) == ("Hallucination", "1", "factual", "unknown")


@pytest.mark.parametrize(
    "changes, reason",
    [({"name": None}, "score without a name"), ({"span_id": None}, "annotation without a span, a trace or a session")],
)
def test_annotations_that_cannot_be_kept(tmp_path, changes, reason):
    _, tables, bads = draft(write(tmp_path, annotation(), annotation(**changes)))
    assert len(tables["scores"]) == 1
    assert [(b.line, b.reason) for b in bads] == [(2, reason)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
INNER = ("llm", "input", "metadata", "tag", "session", "annotations", "retrieval", "openinference", "trace", "evaluations")


def read(function, *rows):
    raw = "".join(json.dumps(r) + "\n" for r in rows).encode()
    item = Input("x.jsonl", "x.jsonl", lambda: io.BytesIO(raw))
    return list(function(item, head_of(item)))


@settings(max_examples=100, deadline=None)
@given(
    field=st.sampled_from([*sorted(span()), *INNER, "attributes.llm.input_messages", "annotations", "eval.x.score"]),
    value=anything,
)
def test_no_value_in_a_span_raises(field, value):
    record = span(attributes={**NESTED, field: value}) if field in INNER else span(**{field: value})
    found = read(export.read_spans, record)
    assert found and all(isinstance(r, Bad) or json.dumps(r.data, allow_nan=False) for r in found)


@settings(max_examples=60, deadline=None)
@given(field=st.sampled_from(sorted(annotation())), value=anything)
def test_no_value_in_an_annotation_raises(field, value):
    assert len(read(export.read_annotations, annotation(**{field: value}))) == 1
