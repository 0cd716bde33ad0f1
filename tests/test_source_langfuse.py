"""Langfuse records: every trap of observations, scores and traces, and of the real exports."""

import datetime as dt
import json

import pytest
from draft import draft
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langfusekit import BLOB, ROW, SCORE, SHAPES, lines
from rows import derived, extracted, shared

import llmobs_nb as lm
from llmobs_nb.sources.langfuse.export import shape_of
from llmobs_nb.sources.langfuse.records import score as langfuse_score

UTC = dt.UTC


def span(**changes):
    """The canonical row of one observation: ROW with changes."""
    found = derived(SHAPES["observation"], ROW | changes)
    assert list(found) == ["spans"], found
    return found["spans"][0]


def usage(**buckets):
    """(in, out, cache read, cache write, reasoning, flag) of usage buckets; a dot in a key is written __."""
    row = span(usageDetails={k.replace("__", "."): v for k, v in buckets.items()})
    return tuple(
        row.get(c)
        for c in ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning", "usage_flag")
    )


@pytest.fixture(scope="module")
def real():
    return lm.load(shared("langfuse", "framework-traces"))


class TestRealExports:
    def test_framework_traces_give_19_traces_135_spans_24_scores_1_correction_1_orphan(self, real):
        counts = real.sql(
            """SELECT count(*) AS spans, count(DISTINCT trace_id) AS traces, (SELECT count(*) FROM scores) AS scores,
            (SELECT count(*) FROM corrections) AS corrections, (SELECT count(*) FROM quarantine) AS lost FROM spans"""
        ).iloc[0]
        assert counts.to_dict() == {"spans": 135, "traces": 19, "scores": 24, "corrections": 1, "lost": 0}
        orphans = """SELECT count(*) AS n FROM spans c WHERE parent_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM spans p WHERE p.trace_id = c.trace_id AND p.span_id = c.parent_id)"""
        assert real.sql(orphans)["n"][0] == 1

    def test_no_root_is_invented(self, real):
        folder = shared("langfuse", "framework-traces")
        told = set()
        for file in sorted(folder.glob("*.json")):
            told |= {o["id"] for o in json.loads(file.read_text())["observations"] if not o["parentObservationId"]}
        found = real.sql("SELECT span_id FROM spans WHERE is_root")["span_id"]
        assert set(found) == told

    def test_recorded_cost_is_list_price_but_for_four(self, real):
        gaps = real.sql(
            """SELECT abs(cost_recorded_usd - cost_list_usd) / cost_list_usd AS gap FROM spans
            WHERE kind = 'llm' AND cost_recorded_usd IS NOT NULL"""
        )
        assert (gaps["gap"] > 0.005).sum() == 4
        assert gaps["gap"].notna().all()

    def test_metadata_as_json_text_and_as_object_both_become_keys(self, real):
        told = real.sql("SELECT count(*) FILTER (WHERE map_contains(metadata, 'value')) AS raw, count(metadata) AS n FROM spans")
        assert told["raw"][0] == 0
        assert told["n"][0] == 135

    def test_samples_are_kept_or_quarantined_with_a_reason(self, tmp_path):
        obs = lm.load(shared("langfuse", "samples.json"))
        document = json.loads(shared("langfuse", "samples.json").read_text())
        assert len(obs.spans()) == 1
        assert dict(obs.scores().set_index("score_id")["data_type"]) == {
            "sc-1": "numeric",
            "sc-2": "categorical",
            "sc-3": "boolean",
            "sc-4": "text",
            "sc-6": "numeric",
        }
        assert list(obs.sql("SELECT expected FROM corrections")["expected"]) == ["the right answer"]
        reasons = obs.sql("SELECT reason FROM quarantine ORDER BY reason")["reason"]
        assert [r.split(": ")[1] for r in reasons] == sorted(
            [
                "an annotation queue",
                "an experiment",
                "a row of metrics",
                "a dataset",
                "a list of prompt versions",
            ]
        )
        others = ("score_configs", "queue_items", "comments", "experiment_items", "dataset_items", "source_prices")
        assert [obs.query(f"SELECT count(*) AS n FROM {t}")["n"][0].as_py() for t in others] == [1] * 6
        kept = 1 + 5 + 1 + 6
        assert kept + len(reasons) == sum(len(v["data"]) for v in document.values())


class TestShapes:
    def test_v2_page_of_observations(self, tmp_path):
        path = tmp_path / "page.json"
        path.write_text(json.dumps({"data": [ROW, ROW | {"id": "o2"}], "meta": {"cursor": "eyJ"}}))
        name, tables = extracted(path)
        assert name == "langfuse.export"
        assert [r["span_id"] for r in tables["spans"]] == ["o1", "o2"]

    def test_v1_page_of_observations_with_page_meta(self, tmp_path):
        path = tmp_path / "v1.json"
        row = ROW | {
            "usage": {"input": 7, "output": 2, "total": 9, "unit": "TOKENS"},
            "promptTokens": 7,
            "calculatedTotalCost": 0.3,
        }
        path.write_text(json.dumps({"data": [row], "meta": {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1}}, indent=2))
        assert extracted(path)[1]["spans"][0]["tokens_in"] == 100

    def test_v1_traces_page_lists_ids_only_and_makes_no_span(self, tmp_path):
        trace = {
            "id": "t1",
            "timestamp": "2026-11-20T10:00:00Z",
            "name": "chat",
            "userId": "u-1",
            "projectId": "prj",
            "observations": ["o1"],
            "scores": ["s1"],
            "totalCost": -1,
            "latency": -1,
        }
        path = tmp_path / "traces.json"
        path.write_text(json.dumps({"data": [trace], "meta": {"page": 1}}))
        _, tables = extracted(path)
        assert list(tables) == ["trace_facts"]
        assert tables["trace_facts"][0]["user_id"] == "u-1"

    def test_pages_one_a_line(self, tmp_path):
        path = lines(tmp_path / "pages.jsonl", {"data": [ROW], "meta": {}}, {"data": [ROW | {"id": "o2"}], "meta": {}})
        assert {r["span_id"] for r in extracted(path)[1]["spans"]} == {"o1", "o2"}

    def test_trace_with_nested_observations_and_scores(self, tmp_path):
        trace = {
            "id": "t1",
            "projectId": "prj",
            "name": "chat",
            "userId": "u-1",
            "sessionId": "s-1",
            "tags": ["beta"],
            "release": "r1",
            "metadata": '{"tenant":"acme"}',
            "timestamp": "2026-11-20T10:00:00Z",
            "observations": [
                {k: v for k, v in ROW.items() if k not in ("projectId", "traceId")} | {"userId": "", "metadata": {"step": "1"}}
            ],
            "scores": [{"id": "s1", "name": "ok", "value": 1, "source": "API"}],
        }
        path = tmp_path / "t.json"
        path.write_text(json.dumps(trace, indent=1))
        _, tables = extracted(path)
        row = tables["spans"][0]
        assert (row["trace_id"], row["project"], row["trace_name"], row["user_id"], row["session_id"]) == (
            "t1",
            "prj",
            "chat",
            "u-1",
            "s-1",
        )
        assert (row["tags"], row["release"], row["tenant_id"], row["metadata"]) == (
            ["beta"],
            "r1",
            "acme",
            {"tenant": "acme", "step": "1"},
        )
        score = tables["scores"][0]
        assert (score["trace_id"], score["project"], score["value"], score["rater"]) == ("t1", "prj", 1.0, "unknown")

    def test_own_word_of_an_observation_goes_before_the_trace(self, tmp_path):
        path = tmp_path / "t.json"
        path.write_text(
            json.dumps(
                {
                    "trace": {"id": "t1", "projectId": "prj", "timestamp": "2026-11-20T10:00:00Z", "userId": "outer"},
                    "observations": [ROW | {"userId": "own"}],
                }
            )
        )
        assert extracted(path)[1]["spans"][0]["user_id"] == "own"

    def test_document_of_several_answers_is_not_confused_with_an_observation_whose_input_has_data(self, tmp_path):
        path = lines(tmp_path / "o.jsonl", ROW | {"input": {"data": [{"id": "x"}]}})
        assert extracted(path)[1]["spans"][0]["span_id"] == "o1"

    @pytest.mark.parametrize(
        ("row", "shape"),
        [
            (ROW, "observation"),
            (BLOB, "observation"),
            (SCORE, "score"),
            (SCORE | {"dataType": "CORRECTION"}, "correction"),
            ({"id": "s", "name": "q", "data_type": "TEXT", "value": 0, "string_value": "x", "trace_id": "t"}, "score"),
            ({"id": "t", "timestamp": "x", "bookmarked": False}, "trace"),
            ({"trace": {"id": "t"}}, "document"),
            ({"id": "c", "name": "quality", "dataType": "CATEGORICAL", "categories": []}, "other"),
            (ROW | {"experimentItemId": "i"}, "experiment_item"),
            ({}, "other"),
        ],
    )
    def test_shape_of(self, row, shape):
        assert shape_of(row) == shape

    def test_a_score_after_plain_observations_does_not_become_a_span(self, tmp_path):
        path = lines(tmp_path / "mixed.jsonl", *(ROW | {"id": f"o{n}"} for n in range(9)), SCORE)
        _, tables = extracted(path)
        assert len(tables["spans"]) == 9
        assert [s["score_id"] for s in tables["scores"]] == ["s1"]


class TestFields:
    def test_times_make_latency_and_ttft_not_the_reported_ones(self):
        row = span(latency=99.0, timeToFirstToken=None, completionStartTime="2026-11-20T10:00:00.610Z")
        assert (row["latency_ms"], row["ttft_ms"]) == (pytest.approx(2360.0), pytest.approx(490.0))

    def test_ttft_in_ms_in_the_events_export_and_in_seconds_in_the_api_where_there_is_no_time(self):
        assert span(timeToFirstTokenMs="490")["ttft_ms"] == 490.0
        assert span(timeToFirstToken=0.49)["ttft_ms"] == pytest.approx(490.0)
        assert "ttft_ms" not in span()

    def test_an_end_before_the_start_gives_no_latency(self):
        assert "latency_ms" not in span(endTime="2026-11-20T09:59:59Z")

    def test_open_span_has_no_end(self):
        row = span(endTime=None)
        assert "end_time" not in row
        assert "latency_ms" not in row

    def test_clickhouse_times_without_zone_are_utc(self):
        assert span(startTime="2026-11-20 10:00:00.120000")["start_time"] == dt.datetime(
            2026, 11, 20, 10, 0, 0, 120000, tzinfo=UTC
        )

    def test_an_empty_parent_is_the_root_and_an_orphan_keeps_its_parent(self):
        assert span(parentObservationId="")["is_root"] is True
        assert "parent_id" not in span(parentObservationId="")
        assert (span()["is_root"], span()["parent_id"]) == (False, "o0")

    @pytest.mark.parametrize(
        ("told", "kind"),
        [("GENERATION", "llm"), ("SPAN", "chain"), ("EMBEDDING", "embedding"), ("TOOL", "tool"), ("NEWTYPE", "chain")],
    )
    def test_unknown_type_never_rejects_a_row(self, told, kind):
        assert span(type=told)["kind"] == kind

    @pytest.mark.parametrize(
        ("level", "status"), [("ERROR", "error"), ("WARNING", "ok"), ("DEBUG", "ok"), ("FATAL", "ok"), (None, "ok"), (7, "ok")]
    )
    def test_unknown_level_never_rejects_a_row(self, level, status):
        assert span(level=level)["status"] == status

    def test_error_message_gives_the_class(self):
        assert span(level="ERROR", statusMessage="429 from provider")["error_class"] == "rate_limit"

    def test_model_falls_back_to_the_provided_name_and_never_to_the_price_id(self):
        assert span(model=None, providedModelName="gpt-4o")["model"] == "gpt-4o"
        assert "model" not in span(model=None, modelId="clm1a2b3c", internalModelId="clm1a2b3c")

    def test_resolved_model_path(self):
        row = span(model="projects/p/locations/l/publishers/google/models/gemini-2.5-flash")
        assert (row["model"], row["provider"]) == ("gemini-2.5-flash", "google")
        assert row["model_requested"].startswith("projects/")

    def test_model_parameters_as_the_text_of_a_python_dict(self):
        assert json.loads(span(modelParameters="{'temperature': 0.2, 'stop': None, 'stream': True}")["model_params"]) == {
            "temperature": 0.2,
            "stop": None,
            "stream": True,
        }
        assert json.loads(span(modelParameters="{'a': \"it's\"}")["model_params"]) == "{'a': \"it's\"}"
        assert "model_params" not in span(modelParameters={})

    @pytest.mark.parametrize("told", [{"tenant": "acme", "n": 1, "deep": {"a": [1]}}, '{"tenant":"acme","n":1,"deep":{"a":[1]}}'])
    def test_metadata_as_object_or_json_text(self, told):
        row = span(metadata=told)
        assert row["metadata"] == {"tenant": "acme", "n": "1", "deep": '{"a":[1]}'}
        assert row["tenant_id"] == "acme"

    def test_booleans_of_both_sdk_versions_read_the_same(self):
        assert span(metadata={"beta": "True", "new": "False"})["metadata"] == {"beta": "true", "new": "false"}
        assert span(metadata={"beta": True, "new": "false"})["metadata"] == {"beta": "true", "new": "false"}
        assert span(metadata={"note": 'say: "True"'})["metadata"] == {"note": 'say: "True"'}

    def test_metadata_cut_at_200_characters_stays_a_text(self):
        cut = '{"plan": {"a": "' + "x" * 200
        assert span(metadata={"plan": cut})["metadata"] == {"plan": cut}

    @pytest.mark.parametrize(
        "key", ['a"b', "a'b", "a.b", "a\\b", "$", "", "]", "select", "ключ", "a\nb", "; DROP TABLE spans", "a" * 500]
    )
    def test_hostile_metadata_keys(self, key):
        assert span(metadata={key: "v", "other": "w"})["metadata"] == {key: "v", "other": "w"}

    def test_metadata_with_a_key_twice_keeps_the_row(self):
        row = span(metadata='{"a":"1","a":"2","b":"3"}')
        assert row["metadata"]["b"] == "3"
        assert row["metadata"]["a"] in ("1", "2")

    def test_prompt_version_is_text(self):
        assert span(promptName="p", promptVersion=7)["prompt_version"] == "7"

    def test_judge_environments_stay(self):
        assert span(environment="langfuse-llm-as-a-judge")["environment"] == "langfuse-llm-as-a-judge"

    def test_tool_rows_name_their_tool(self):
        assert span(type="TOOL", name="search", model=None)["tool_name"] == "search"
        assert "tool_name" not in span()

    @pytest.mark.parametrize("told", [["a", "b"], '["a","b"]', "['a','b']"])
    def test_tags_as_list_json_or_clickhouse_text(self, told):
        assert span(tags=told)["tags"] == ["a", "b"]

    def test_trace_tags_of_the_observations_export(self):
        assert span(traceTags='["x"]')["tags"] == ["x"]

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"id": ""}, "no id"),
            ({"traceId": None}, "no traceId"),
            ({"startTime": None}, "no startTime"),
            ({"startTime": "soon"}, "startTime is not a time: soon"),
        ],
    )
    def test_rows_that_cannot_be_kept_say_why(self, changes, reason):
        assert derived(SHAPES["observation"], ROW | changes)["quarantine"][0]["reason"] == reason


class TestUsage:
    def test_buckets_are_exclusive_and_the_total_proves_it(self):
        assert usage(input=86, input_cached_tokens=17817, output=68, output_reasoning_tokens=12, total=17983) == (
            17903,
            80,
            17817,
            None,
            12,
            None,
        )

    def test_reasoning_inside_output_when_the_total_is_their_sum(self):
        assert usage(input=6, output=2055, completion_details__reasoning=1104, total=2061) == (6, 2055, None, None, 1104, None)

    def test_reasoning_beside_output_when_the_total_is_the_sum_of_all(self):
        assert usage(input=179, output=35, output_reasoning=64, input_audio=0, input_cache_read=0, output_audio=0, total=278) == (
            179,
            99,
            0,
            None,
            64,
            None,
        )

    def test_total_absent_is_the_sum_of_parts(self):
        assert usage(input=10, input_cached_tokens=5, output=7, output_reasoning_tokens=2) == (15, 9, 5, None, 2, None)

    def test_a_total_that_is_neither_is_flagged(self):
        assert usage(input=5, output=845, total=2023) == (5, 845, None, None, None, "total_mismatch")

    @pytest.mark.parametrize(
        "key",
        [
            "input_cached_tokens",
            "input_cache_read",
            "cache_read_input_tokens",
            "prompt_details__cache_read",
            "cached_tokens",
            "input_cached",
        ],
    )
    def test_every_spelling_of_a_cache_read(self, key):
        assert usage(input=10, output=1, **{key: 90}) == (100, 1, 90, None, None, None)

    @pytest.mark.parametrize(
        "key",
        [
            "input_cache_creation",
            "cache_creation_input_tokens",
            "input_cache_write",
            "prompt_details__cache_creation",
            "input_cache_creation_5m",
        ],
    )
    def test_every_spelling_of_a_cache_write(self, key):
        assert usage(input=10, output=1, **{key: 90}) == (100, 1, None, 90, None, None)

    def test_writes_of_five_minutes_and_one_hour_add_up(self):
        assert usage(input=10, output=1, input_cache_creation_5m=30, input_cache_creation_1h=20, total=61) == (
            60,
            1,
            None,
            50,
            None,
            None,
        )

    def test_audio_belongs_to_its_side(self):
        assert usage(input=10, output=1, input_audio_tokens=4, output_audio_tokens=3, total=18) == (14, 4, None, None, None, None)

    def test_cached_input_alone_counts_as_input(self):
        assert usage(input_cached_tokens=40, output=2, total=42) == (40, 2, 40, None, None, None)

    def test_fractional_counts_are_rounded(self):
        assert usage(input=10.4, output=2.0) == (10, 2, None, None, None, None)

    def test_null_buckets_and_words_are_missing(self):
        assert usage(input=None, output="20", other="x") == (None, 20, None, None, None, None)

    def test_an_inclusive_input_beside_cache_buckets_is_told_as_counted_twice(self):
        assert usage(input=1000, input_cached_tokens=900, output=50, total=1050) == (
            1000,
            50,
            900,
            None,
            None,
            "cache_counted_twice",
        )

    def test_more_cached_than_input_is_flagged(self):
        assert usage(input=10, cache_read_input_tokens=900, output=5, total=15)[-1] == "cache_exceeds_input"

    def test_negative_counts_are_flagged(self):
        assert usage(input=-5, output=1)[-1] == "negative"

    def test_counts_beyond_any_integer_do_not_stop_the_run(self):
        assert usage(input=1e300, output=1)[:2] == (None, 1)

    @pytest.mark.parametrize("told", ["{'input': 5, 'output': 3}", '{"input":5,"output":3}'])
    def test_usage_as_text(self, told):
        row = span(usageDetails=told)
        assert (row["tokens_in"], row["tokens_out"]) == (5, 3)

    @pytest.mark.parametrize("told", [{}, None, "", [], "none", {"input": {"a": 1}}])
    def test_no_usage_is_missing_not_zero(self, told):
        row = span(usageDetails=told)
        assert "tokens_in" not in row
        assert "tokens_out" not in row

    def test_older_apis_say_usage_and_their_zeros_mean_nothing(self):
        older = {"usageDetails": None, "usage": {"input": 7, "output": 2, "total": 9, "unit": "TOKENS"}}
        assert (span(**older)["tokens_in"], span(**older)["tokens_out"]) == (7, 2)
        assert "tokens_in" not in span(usageDetails=None, usage={"input": 0, "output": 0, "total": 0}, promptTokens=0)
        assert "tokens_in" not in span(usageDetails=None, usage={"input": 700, "unit": "CHARACTERS"})


class TestCost:
    @pytest.mark.parametrize(
        ("changes", "cost"),
        [
            ({}, 0.3),
            ({"costDetails": {}, "totalCost": 0}, None),
            ({"costDetails": None, "totalCost": None}, None),
            ({"costDetails": {"input": 0, "total": 0}, "totalCost": 0}, 0.0),
            ({"costDetails": {"input": 0.1, "output": None, "total": None}, "totalCost": 0.1}, 0.1),
            ({"costDetails": {"input": 0.1, "output": 0.25}, "totalCost": None}, 0.35),
            ({"costDetails": {}, "totalCost": -1}, None),
            ({"costDetails": '{"total":0.5}', "totalCost": "0.5"}, 0.5),
            ({"costDetails": {}, "totalCost": None, "calculatedTotalCost": 0.25}, 0.25),
        ],
    )
    def test_a_zero_beside_empty_details_is_missing_not_free(self, changes, cost):
        assert span(**changes).get("cost_recorded_usd") == (None if cost is None else pytest.approx(cost))

    def test_an_unpriced_model_has_no_cost_and_says_so(self):
        row = span(model="house-model", costDetails={}, totalCost=0)
        assert "cost_usd" not in row
        assert row["cost_source"] == "none"


class TestScores:
    def one(self, tmp_path, **changes):
        _, tables = extracted(lines(tmp_path / "s.jsonl", SCORE | changes))
        return tables

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("trace", {"trace_id": "x"}),
            ("session", {"session_id": "x"}),
            ("observation", {"span_id": "x", "trace_id": "t9"}),
            ("experiment", {"metadata": {"environment": "production", "experiment_id": "x"}}),
        ],
    )
    def test_v3_subjects(self, tmp_path, kind, expected):
        subject = {"kind": kind, "id": "x"} | ({"traceId": "t9"} if kind == "observation" else {})
        score = self.one(tmp_path, traceId=None, subject=subject)["scores"][0]
        targets = {
            k: v
            for k, v in score.items()
            if k in ("trace_id", "span_id", "session_id") or (k == "metadata" and "experiment_id" in v)
        }
        assert targets == expected

    @pytest.mark.parametrize("subject", [{"kind": "planet", "id": "x"}, {"kind": ["trace"], "id": "x"}, "x", None])
    def test_a_score_of_nothing_is_quarantined(self, tmp_path, subject):
        found = self.one(tmp_path, traceId=None, subject=subject)
        assert found["quarantine"][0]["reason"] == "a score of nothing: no trace, span or session id"

    @pytest.mark.parametrize(
        ("source", "rater"),
        [("EVAL", "judge"), ("ANNOTATION", "human"), ("API", "unknown"), ("NEW", "unknown"), (None, "unknown")],
    )
    def test_raters(self, tmp_path, source, rater):
        assert self.one(tmp_path, source=source)["scores"][0]["rater"] == rater

    def test_a_mapping_says_who_gave_api_scores(self, tmp_path):
        path = lines(tmp_path / "s.jsonl", SCORE | {"source": "API", "name": "thumbs"}, SCORE | {"id": "s2"})
        _, tables = extracted(path, mapping={"raters": {"thumbs": "user"}})
        assert {s["name"]: s["rater"] for s in tables["scores"]} == {"thumbs": "user", "helpfulness": "judge"}

    @pytest.mark.parametrize(
        ("changes", "value", "label", "kind"),
        [
            ({"dataType": "BOOLEAN", "value": 1, "stringValue": "True"}, 1.0, None, "boolean"),
            ({"dataType": "BOOLEAN", "value": True}, 1.0, None, "boolean"),
            ({"dataType": "BOOLEAN", "value": False}, 0.0, None, "boolean"),
            ({"dataType": "CATEGORICAL", "value": "good"}, None, "good", "categorical"),
            ({"dataType": "CATEGORICAL", "value": 2, "stringValue": "good"}, None, "good", "categorical"),
            ({"dataType": "CATEGORICAL", "value": 2}, 2.0, None, "categorical"),
            ({"dataType": "TEXT", "value": 0, "stringValue": "too long"}, None, "too long", "text"),
            ({"dataType": "TEXT", "value": "too long"}, None, "too long", "text"),
            ({"dataType": "STARS", "value": 4}, 4.0, None, "numeric"),
            ({"dataType": None, "value": 0.25, "stringValue": None}, 0.25, None, "numeric"),
        ],
    )
    def test_values_by_type_and_an_unknown_type_never_rejects_a_row(self, tmp_path, changes, value, label, kind):
        score = self.one(tmp_path, **changes)["scores"][0]
        assert (score.get("value"), score.get("label"), score["data_type"]) == (value, label, kind)

    def test_the_number_of_a_category_is_its_index_and_kept_beside(self, tmp_path):
        score = self.one(tmp_path, dataType="CATEGORICAL", value=2, stringValue="good")["scores"][0]
        assert score["metadata"]["category_index"] == "2"

    def test_a_correction_is_no_score(self, tmp_path):
        found = self.one(
            tmp_path,
            dataType="CORRECTION",
            name="output",
            value=0,
            longStringValue="right",
            source="ANNOTATION",
            authorUserId="u",
        )
        assert list(found) == ["corrections"]
        assert (found["corrections"][0]["expected"], found["corrections"][0]["rater_id"]) == ("right", "u")

    def test_a_correction_of_a_page_has_its_text_as_value(self, tmp_path):
        assert self.one(tmp_path, dataType="CORRECTION", value="right")["corrections"][0]["expected"] == "right"

    def test_evaluator_and_judge_run_are_kept(self, tmp_path):
        told = json.dumps({"evaluator_id": "e1", "evaluator_version_id": "v3"})
        score = self.one(tmp_path, metadata=told, executionTraceId="jt", configId="c1", queueId=None)["scores"][0]
        assert (score["rater_id"], score["judge_version"]) == ("e1", "v3")
        assert (score["metadata"]["execution_trace_id"], score["metadata"]["config_id"]) == ("jt", "c1")

    def test_blob_scores_have_no_author_and_an_empty_string_is_missing(self, tmp_path):
        row = {
            "id": "s1",
            "timestamp": "2026-11-20 10:00:00.000000",
            "project_id": "prj",
            "environment": "default",
            "trace_id": "t1",
            "observation_id": "",
            "session_id": "",
            "dataset_run_id": "",
            "name": "quality",
            "value": 1,
            "source": "ANNOTATION",
            "comment": "",
            "data_type": "CATEGORICAL",
            "string_value": "bad",
            "created_at": "2026-11-20 10:00:00.000000",
            "updated_at": "2026-11-20 10:00:01.000000",
        }
        score = extracted(lines(tmp_path / "s.jsonl", row))[1]["scores"][0]
        assert (score["label"], score["rater"], score["trace_id"]) == ("bad", "human", "t1")
        assert not {"rater_id", "span_id", "session_id", "comment", "value"} & score.keys()

    def test_a_score_without_value_says_so(self, tmp_path):
        assert self.one(tmp_path, value=None)["quarantine"][0]["reason"] == "no value"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{", "[]", "{}", "\x00", "2026-11-20"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def some(fields, *, most=30):
    """Lists of (field, any value)."""
    return st.lists(st.tuples(st.sampled_from(sorted(fields)), json_values), min_size=1, max_size=most)


few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class TestHostile:
    @few
    @given(
        changes=some(
            {*ROW, "usage", "metadata", "modelParameters", "tags", "input", "output", "completionStartTime", "promptVersion"}
        )
    )
    def test_any_value_in_any_field_of_an_observation(self, changes):
        found = derived(SHAPES["observation"], *(ROW | {key: value} for key, value in changes))
        assert sum(len(rows) for rows in found.values()) == len(changes)
        assert set(found) <= {"spans", "quarantine"}

    @few
    @given(changes=some({*SCORE, "subject", "stringValue", "metadata", "comment", "observationId", "configId"}))
    def test_any_value_in_any_field_of_a_score(self, tmp_path, changes):
        (tmp_path / "s.json").write_text(json.dumps([SCORE, *(SCORE | {key: value} for key, value in changes)]))
        _, tables, bads = draft(tmp_path / "s.json")
        assert sum(len(rows) for rows in tables.values()) + len(bads) == 1 + len(changes)

    @few
    @given(changes=some({"trace", "observations", "scores", "id", "metadata", "tags", "corrections"}, most=8))
    def test_any_value_in_any_field_of_a_trace_document(self, tmp_path, changes):
        trace = {
            "id": "t1",
            "projectId": "prj",
            "timestamp": "2026-11-20T10:00:00Z",
            "userId": "u",
            "observations": [ROW],
            "scores": [SCORE],
        }
        (tmp_path / "t.json").write_text(json.dumps([trace, *(trace | {key: value} for key, value in changes)]))
        name, tables, _ = draft(tmp_path / "t.json")
        assert name == "langfuse.export"
        assert tables["spans"][0]["span_id"] == "o1"

    @few
    @given(
        rows=st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["metadata", "usageDetails", "costDetails", "tags", "name", "level", "modelParameters", "totalCost", "input"]
                ),
                json_values,
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_the_fast_path_and_the_line_by_line_path_agree(self, tmp_path, rows):
        path = lines(tmp_path / "o.jsonl", *(ROW | {"id": f"o{n}"} | r for n, r in enumerate(_finite(rows))))
        assert extracted(path) == extracted(path, fast=False)


def _finite(value):
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return {k: _finite(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_a_score_that_tells_of_its_trace_is_a_score():
    row = {
        "id": "s1",
        "traceId": "t1",
        "name": "helpful",
        "value": 1,
        "dataType": "NUMERIC",
        "trace": {"userId": "u1", "tags": []},
    }
    assert shape_of(row) == "score"


def test_a_label_that_we_pushed_comes_back_with_who_judged():
    def rater(**changes):
        row = SCORE | {"source": "API", "authorUserId": None} | changes
        (told,) = derived(SHAPES["score"], langfuse_score(row))["scores"]
        return told["rater"], told.get("rater_id")

    assert rater(metadata={"rater": "human", "rater_id": "r-7"}) == ("human", "r-7")
    assert rater(metadata={}) == ("unknown", None)
    assert rater(metadata={"rater": "<b>"}) == ("unknown", None)
    assert rater(source="EVAL", metadata={"rater": "human"})[0] == "judge"
