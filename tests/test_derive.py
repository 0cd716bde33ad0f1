"""What every source's rows need and no source says."""

import datetime as dt
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import derived

from llmobs_nb.columns import Column
from llmobs_nb.schema import ERROR_CLASSES, KINDS, RATERS, TABLES, draft_fields
from llmobs_nb.sources.base import Shape

SPANS = Shape("spans", [Column(n, n) for n in draft_fields("spans") if n not in ("day", "own", "is_root")])
SCORES = Shape("scores", [Column(n, n) for n in draft_fields("scores") if n != "day"])
AT = "2026-11-20T10:00:00Z"


def span(**fields):
    return derived(SPANS, {"trace_id": "t", "span_id": "s", "start_time": AT} | fields)["spans"][0]


def score(**fields):
    return derived(SCORES, {"trace_id": "t", "name": "q", "value_text": "1", "created_at": AT} | fields)["scores"][0]


class TestTimes:
    def test_latency_and_ttft_come_from_times_where_they_exist(self):
        row = span(end_time="2026-11-20T10:00:02Z", first_token_time="2026-11-20T10:00:00.500Z", latency_ms=9, ttft_ms=9)
        assert (row["latency_ms"], row["ttft_ms"]) == (2000.0, 500.0)

    def test_without_times_the_reported_ones_stand(self):
        assert (span(latency_ms=9, ttft_ms=3)["latency_ms"], span(ttft_ms=3)["ttft_ms"]) == (9.0, 3.0)

    def test_impossible_ones_are_missing(self):
        assert not {"latency_ms", "ttft_ms"} & span(latency_ms=-1, ttft_ms=-1).keys()
        assert "latency_ms" not in span(end_time="2026-11-20T09:00:00Z", latency_ms=9)
        assert "ttft_ms" not in span(first_token_time="2026-11-20T09:00:00Z")

    def test_updated_is_end_else_start(self):
        assert span(end_time="2026-11-20T10:00:02Z")["updated_at"] == dt.datetime(2026, 11, 20, 10, 0, 2, tzinfo=dt.UTC)
        assert span()["updated_at"] == dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)


class TestIdentity:
    def test_a_trace_is_named_by_request_else_by_span(self):
        assert span(trace_id=None, request_id="r")["trace_id"] == "r"
        assert span(trace_id=None)["trace_id"] == "s"

    def test_a_span_without_id_cannot_be_kept(self):
        assert derived(SPANS, {"trace_id": "t", "start_time": AT})["quarantine"][0]["reason"] == "no span id"

    def test_source_and_project_are_never_null(self):
        assert (span()["source"], span()["project"]) == ("t", "")
        assert (span(source="other", project="p")["source"], span(project="p")["project"]) == ("other", "p")

    def test_root_is_what_has_no_parent(self):
        assert (span()["is_root"], span(parent_id="p")["is_root"], span(parent_id="")["is_root"]) == (True, False, True)


class TestWords:
    @pytest.mark.parametrize(
        ("kind", "more", "expected"),
        [
            (None, {}, "chain"),
            (None, {"model": "m"}, "llm"),
            (None, {"tokens_in": 1}, "llm"),
            ("Tool", {}, "tool"),
            ("planet", {"model": "m"}, "chain"),
        ],
    )
    def test_kind(self, kind, more, expected):
        assert span(kind=kind, **more)["kind"] == expected

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({}, "ok"),
            ({"status": "ERROR"}, "error"),
            ({"status": "Failed"}, "error"),
            ({"status": "success"}, "ok"),
            ({"status": "429"}, "error"),
            ({"status": "200"}, "ok"),
            ({"error_type": "Boom"}, "error"),
            ({"error_class": "timeout"}, "error"),
            ({"finish_reason": "error"}, "error"),
            ({"status": "ok", "error_message": "warned"}, "ok"),
        ],
    )
    def test_status(self, fields, status):
        assert span(**fields)["status"] == status

    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            ("429 Too Many Requests", "rate_limit"),
            ("RateLimitError: quota exceeded", "rate_limit"),
            ("Request timed out", "timeout"),
            ("504 Gateway Timeout", "timeout"),
            ("This model's maximum context length is 8192 tokens", "context_overflow"),
            ("prompt is too long", "context_overflow"),
            ("content_filter triggered", "content_filter"),
            ("503 Service Unavailable", "provider_5xx"),
            ("Overloaded", "provider_5xx"),
            ("JSONDecodeError: Expecting value", "invalid_output"),
            ("pydantic validation error", "invalid_output"),
            ("empty response", "empty"),
            ("tool call failed", "tool"),
            ("gremlins", "other"),
            (None, "other"),
        ],
    )
    def test_class_of_an_error(self, message, expected):
        assert span(status="error", error_message=message)["error_class"] == expected

    def test_class_comes_from_type_kind_or_finish_too(self):
        assert span(status="error", error_type="TimeoutError")["error_class"] == "timeout"
        assert span(status="error", kind="tool", error_message="gremlins")["error_class"] == "tool"
        assert span(status="error", finish_reason="content_filter")["error_class"] == "content_filter"

    def test_an_ok_span_has_no_class(self):
        assert "error_class" not in span(status="ok", error_class="timeout")

    @pytest.mark.parametrize("known", ERROR_CLASSES)
    def test_known_classes_stay(self, known):
        assert span(error_class=known, error_message="429")["error_class"] == known

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ("end_turn", "stop"),
            ("STOP", "stop"),
            ("max_tokens", "length"),
            ("tool_use", "tool_calls"),
            ("SAFETY", "content_filter"),
            ("Pause", "pause"),
        ],
    )
    def test_finish_reason(self, told, expected):
        assert span(finish_reason=told)["finish_reason"] == expected

    def test_empty_containers_are_missing(self):
        row = span(tags=[], metadata={}, retrieval_ids="[]", guardrails=[], model_params={})
        assert not {"tags", "metadata", "retrieval_ids", "guardrails", "model_params"} & row.keys()

    def test_metadata_keys_that_name_a_column_fill_it_and_do_not_overrule(self):
        row = span(metadata={"feature": "chat", "tenant": "t1", "tier": "pro", "locale": "de", "user_id": "inner"}, user_id="own")
        assert (row["feature"], row["tenant_id"], row["user_tier"], row["locale"], row["user_id"]) == (
            "chat",
            "t1",
            "pro",
            "de",
            "own",
        )

    @pytest.mark.parametrize(
        ("path", "model"),
        [
            ("projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
            ("publishers/anthropic/models/claude-sonnet-4", "claude-sonnet-4"),
            ("models/gemini-2.0-flash", "gemini-2.0-flash"),
        ],
    )
    def test_a_model_path_is_resolved_and_kept_as_what_was_asked_for(self, path, model):
        row = span(model=path)
        assert (row["model"], row["model_requested"]) == (model, path)
        assert span(model=path, model_requested="alias")["model_requested"] == "alias"

    @pytest.mark.parametrize("model", ["openrouter/openai/gpt-4o", "azure/gpt-4o", "my/models/x/y", "gpt-4o"])
    def test_other_names_stay(self, model):
        row = span(model=model)
        assert row["model"] == model
        assert "model_requested" not in row


class TestTexts:
    def test_lengths_and_hashes(self):
        row = span(input="héllo", output="x", system_prompt="be kind")
        assert (row["input_chars"], row["output_chars"]) == (5, 1)
        assert row["system_prompt_hash"] == hashlib.md5(b"be kind").hexdigest()
        assert row["input_hash"] == span(input="héllo")["input_hash"] != row["output_hash"]

    def test_what_was_logged_stands_where_there_is_no_text(self):
        row = span(input_hash="abc", output_chars=7)
        assert (row["input_hash"], row["output_chars"]) == ("abc", 7)

    def test_no_text_has_no_length(self):
        assert not {"input_chars", "output_chars", "input_hash", "output_hash", "system_prompt_hash"} & span().keys()


def tokens(**fields):
    row = span(**fields)
    return row.get("tokens_in"), row.get("tokens_out"), row.get("usage_flag")


class TestTokens:
    def test_the_total_decides_inside_or_beside(self):
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, tokens_reasoning=10, tokens_total=150) == (
            100,
            50,
            None,
        )
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, tokens_reasoning=10, tokens_total=200) == (
            140,
            60,
            None,
        )
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, tokens_reasoning=10, tokens_total=190) == (
            140,
            50,
            None,
        )
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, tokens_reasoning=10, tokens_total=160) == (
            100,
            60,
            None,
        )
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, tokens_reasoning=10, tokens_total=155) == (
            100,
            50,
            "total_mismatch",
        )

    def test_without_a_total_the_source_decides(self):
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, usage_rule="inclusive") == (100, 50, None)
        assert tokens(tokens_in=100, tokens_out=50, tokens_cache_read=40, usage_rule="disjoint") == (140, 50, None)

    def test_parts_that_have_no_column_of_their_own_count_too(self):
        assert tokens(tokens_in=100, tokens_out=50, tokens_in_parts=7, tokens_out_parts=3, usage_rule="disjoint") == (
            107,
            53,
            None,
        )
        assert tokens(tokens_in_parts=7, usage_rule="disjoint") == (7, None, None)

    def test_flags(self):
        assert tokens(tokens_in=-1)[2] == "negative"
        assert tokens(tokens_in=10, tokens_cache_read=50)[2] == "cache_exceeds_input"
        assert tokens(usage_flag="mine", tokens_in=1)[2] == "mine"

    def test_missing_is_missing(self):
        assert tokens() == (None, None, None)
        assert tokens(tokens_out=5) == (None, 5, None)

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.tuples(*[st.none() | st.integers(0, 10**6)] * 6), min_size=1, max_size=40))
    def test_whatever_is_reported_parts_never_exceed_the_whole_unflagged(self, rows):
        names = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning", "tokens_total")
        found = derived(
            SPANS,
            *(
                {"trace_id": "t", "span_id": str(n), "start_time": AT} | dict(zip(names, r, strict=True))
                for n, r in enumerate(rows)
            ),
        )
        for row in found["spans"]:
            cached = row.get("tokens_cache_read", 0) + row.get("tokens_cache_write", 0)
            assert "usage_flag" in row or cached <= row.get("tokens_in", 0)


class TestScores:
    @pytest.mark.parametrize(
        ("fields", "value", "label", "kind"),
        [
            ({"value_text": "0.5"}, 0.5, None, "numeric"),
            ({"value_text": "TRUE"}, 1.0, None, "boolean"),
            ({"value_text": "false"}, 0.0, None, "boolean"),
            ({"value_text": "good"}, None, "good", "categorical"),
            ({"value_text": "no", "data_type": "boolean"}, 0.0, None, "boolean"),
            ({"value_text": None, "label": "x", "data_type": "TEXT"}, None, "x", "text"),
            ({"value_text": "4", "data_type": "stars"}, 4.0, None, "numeric"),
            ({"value_text": None, "value": 3}, 3.0, None, "numeric"),
        ],
    )
    def test_value_label_and_type(self, fields, value, label, kind):
        row = score(**fields)
        assert (row.get("value"), row.get("label"), row["data_type"]) == (value, label, kind)

    def test_an_unknown_rater_is_unknown_and_a_mapping_overrules(self):
        assert score(rater="alien")["rater"] == "unknown"
        told = {"raters": {"q": "user"}}
        assert (
            derived(SCORES, {"trace_id": "t", "name": "q", "value_text": "1", "rater": "judge"}, mapping=told)["scores"][0][
                "rater"
            ]
            == "user"
        )
        assert {score(rater=r)["rater"] for r in RATERS} == set(RATERS)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"name": None}, "no score name"),
            ({"trace_id": None}, "a score of nothing: no trace, span or session id"),
            ({"value_text": None}, "no value"),
        ],
    )
    def test_what_cannot_be_kept_says_why(self, fields, reason):
        found = derived(SCORES, {"trace_id": "t", "name": "q", "value_text": "1"} | fields)
        assert found["quarantine"][0]["reason"] == reason

    def test_a_session_or_an_experiment_is_a_target(self):
        assert score(trace_id=None, session_id="s")["session_id"] == "s"
        assert score(trace_id=None, metadata={"experiment_id": "e"})["metadata"] == {"experiment_id": "e"}

    def test_scores_of_two_sessions_have_two_ids(self):
        assert score(trace_id=None, session_id="a")["score_id"] != score(trace_id=None, session_id="b")["score_id"]

    def test_created_and_updated_stand_in_for_each_other(self):
        assert score(created_at=None, updated_at=AT)["created_at"] == score()["updated_at"]
        assert score(created_at=None)["day"] == dt.date(1970, 1, 1)


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("series", {"name": "nps", "time": AT}, "no value"),
        ("series", {"name": "nps", "value": 1}, "no time"),
        ("series", {"time": AT, "value": 1}, "no name"),
        ("prompts", {"name": "p", "template": "t"}, "no version"),
        ("changes", {"kind": "release"}, "no at"),
        ("corrections", {"expected": "x"}, "no correction_id"),
        ("trace_facts", {"user_id": "u"}, "no trace_id"),
    ],
)
def test_rows_of_the_small_tables_need_their_keys(table, row, reason):
    shape = Shape(table, [Column(f.name, f.name) for f in TABLES[table]])
    assert derived(shape, row)["quarantine"][0]["reason"] == reason


def test_every_kind_is_kept_as_it_is():
    found = derived(SPANS, *({"trace_id": "t", "span_id": k, "kind": k, "start_time": AT} for k in KINDS))
    assert {r["span_id"]: r["kind"] for r in found["spans"]} == {k: k for k in KINDS}
