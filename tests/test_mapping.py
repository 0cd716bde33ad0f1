"""Mappings: a user's table in one line, columns beside a vendor's, raters; every error names its cure."""

import json

import pandas as pd
import pytest
import yaml
from rows import extracted

import llmobs_nb as lm
from llmobs_nb.columns import Column
from llmobs_nb.errors import InputError, MappingError
from llmobs_nb.sources.mapping import Mapping, read_mapping

CALLS = pd.DataFrame(
    {
        "req": ["r1", "r2"],
        "took": [1.5, 2.0],
        "when": pd.to_datetime(["2026-11-01 10:00", "2026-11-01 11:00"]),
        "m": ["gpt-4o", "gpt-4o-mini"],
        "in": [100, 200],
        "out": [10, 20],
        "team": ["a", "b"],
        "ok": ["yes", "no"],
        "dollars": [0.25, None],
    }
)
ONE_LINE = {
    "trace_id": "req",
    "latency_ms": {"path": "took", "unit": "s"},
    "start_time": "when",
    "model": "m",
    "tokens_in": "in",
    "tokens_out": "out",
    "status": {"path": "ok", "values": {"no": "error"}, "other": "ok"},
    "cost_usd": "dollars",
}


def rows(frame, mapping, **more):
    return lm.load(frame, mapping=mapping, **more).spans().sort_values("trace_id", ignore_index=True)


class TestFrames:
    def test_a_table_in_one_line(self):
        found = rows(CALLS, ONE_LINE)
        assert found["latency_ms"].tolist() == [1500.0, 2000.0]
        assert found["status"].tolist() == ["ok", "error"]
        assert found["tokens_in"].tolist() == [100, 200]
        assert found["kind"].tolist() == ["llm", "llm"]
        assert found["cost_source"].tolist() == ["recorded", "list"]
        assert found["cost_recorded_usd"][0] == 0.25
        assert found["source"].tolist() == ["tables", "tables"]

    def test_columns_nobody_names_become_dimensions(self):
        assert [m["team"] for m in rows(CALLS, ONE_LINE)["metadata"]] == ["a", "b"]
        assert set(rows(CALLS, ONE_LINE)["metadata"][0]) == {"team"}

    def test_a_new_column_appears_in_spans_and_is_typed(self):
        found = rows(CALLS, ONE_LINE | {"squad": "team", "dollars_seen": {"path": "dollars", "type": "double"}})
        assert found["squad"].tolist() == ["a", "b"]
        assert found["dollars_seen"].tolist()[0] == 0.25

    def test_a_duration_of_a_new_column_is_milliseconds(self):
        assert rows(CALLS, ONE_LINE | {"queued": {"path": "took", "unit": "s"}})["queued"].tolist() == [1500.0, 2000.0]

    def test_rows_without_an_id_are_named_by_their_content(self):
        first, again = rows(CALLS, ONE_LINE), rows(CALLS, ONE_LINE)
        assert first["span_id"].nunique() == 2
        assert first["span_id"].tolist() == again["span_id"].tolist()

    def test_a_constant(self):
        assert rows(CALLS, ONE_LINE | {"environment": {"default": "staging"}})["environment"].tolist() == ["staging", "staging"]

    def test_a_default_fills_what_is_missing(self):
        assert rows(CALLS, ONE_LINE | {"spent": {"path": "dollars", "type": "double", "default": 0}})["spent"].tolist() == [
            0.25,
            0.0,
        ]

    def test_also_is_tried_next(self):
        assert rows(CALLS, ONE_LINE | {"model": {"path": "nowhere", "also": "m"}})["model"].tolist() == ["gpt-4o", "gpt-4o-mini"]

    def test_flattened_columns_with_dots_in_their_names(self):
        frame = pd.json_normalize([{"a": {"id": "s1"}, "meta": {"team": "x"}}])
        found = rows(frame, {"span_id": "a.id", "squad": "meta.team"})
        assert (found["span_id"][0], found["squad"][0]) == ("s1", "x")

    def test_paths_into_dicts_and_lists(self):
        frame = pd.DataFrame({"id": ["s1"], "body": [{"choices": [{"finish_reason": "length"}], "0": "zero"}]})
        found = rows(frame, {"span_id": "id", "finish_reason": "body.choices.0.finish_reason", "odd": "body.0"})
        assert (found["finish_reason"][0], found["odd"][0]) == ("length", "zero")

    def test_scores_with_words_for_values(self):
        frame = pd.DataFrame({"call": ["a", "b"], "stars": ["good", "4"], "by": ["human", "judge"], "lang": ["de", "en"]})
        told = {
            "table": "scores",
            "columns": {"trace_id": "call", "value": "stars", "rater": "by", "name": {"default": "quality"}},
        }
        found = lm.load(frame, mapping=told).scores().sort_values("trace_id", ignore_index=True)
        assert found["label"][0] == "good"
        assert found["value"][1] == 4.0
        assert found["rater"].tolist() == ["human", "judge"]
        assert [m["lang"] for m in found["metadata"]] == ["de", "en"]

    def test_series_with_dimensions(self):
        frame = pd.DataFrame({"week": ["2026-11-02", "2026-11-09"], "nps": [31, 28], "region": ["eu", "us"]})
        told = {"table": "series", "columns": {"time": "week", "value": "nps", "name": {"default": "nps"}}}
        found = lm.load(frame, mapping=told).sql("SELECT name, value, dimensions['region'] AS region FROM series ORDER BY time")
        assert found.values.tolist() == [["nps", 31.0, "eu"], ["nps", 28.0, "us"]]

    def test_source_is_the_users_word(self):
        assert rows(CALLS, {"source": "myapp", "columns": ONE_LINE})["source"].unique().tolist() == ["myapp"]

    def test_a_column_that_is_no_time_quarantines_its_rows_only(self):
        frame = CALLS.assign(when=["2026-11-01", "soon"])
        obs = lm.load(frame, mapping=ONE_LINE)
        assert len(obs.spans()) == 1
        assert obs.sql("SELECT reason FROM quarantine")["reason"][0] == "when is not a time: soon"


MAPPING = {
    "columns": {
        "trace_id": "request.id",
        "start_time": "at",
        "latency_ms": {"path": "took", "unit": "s"},
        "model": "llm",
        "team": "who.team",
    }
}


class TestFiles:
    @pytest.mark.parametrize("layout", ["jsonl", "csv", "parquet"])
    def test_any_layout_with_a_yaml_file(self, tmp_path, layout):
        told = tmp_path / "mapping.yaml"
        told.write_text(yaml.safe_dump(MAPPING))
        row = {
            "request": {"id": "r1"},
            "at": "2026-11-01T10:00:00Z",
            "took": 0.5,
            "llm": "gpt-4o",
            "who": {"team": "x"},
            "plan": "pro",
        }
        path = tmp_path / f"calls.{layout}"
        if layout == "jsonl":
            path.write_text(json.dumps(row) + "\n")
        elif layout == "csv":
            flat = {"request.id": "r1", "at": row["at"], "took": "0.5", "llm": "gpt-4o", "who.team": "x", "plan": "pro"}
            path.write_text(",".join(flat) + "\n" + ",".join(flat.values()) + "\n")
        else:
            pd.DataFrame([row]).to_parquet(path)
        found = lm.load(path, mapping=told).spans().iloc[0]
        assert (found["trace_id"], found["latency_ms"], found["model"], found["team"], found["metadata"]["plan"]) == (
            "r1",
            500.0,
            "gpt-4o",
            "x",
            "pro",
        )

    def test_columns_beside_a_vendors_own(self, tmp_path):
        row = {
            "id": "o1",
            "traceId": "t1",
            "projectId": "p",
            "startTime": "2026-11-20T10:00:00Z",
            "type": "GENERATION",
            "name": "answer",
            "metadata": {"org": {"unit": "x"}},
            "tier": "gold",
            "parentObservationId": None,
        }
        (tmp_path / "o.jsonl").write_text(json.dumps(row) + "\n")
        told = {"unit": "metadata.org.unit", "tenant_id": "tier", "name": {"path": "name", "values": {"answer": "Answer"}}}
        for fast in (True, False):
            name, tables = extracted(tmp_path / "o.jsonl", mapping=told, fast=fast)
            found = tables["spans"][0]
            assert (name, found["unit"], found["tenant_id"], found["name"]) == ("langfuse.export", "x", "gold", "Answer")
        assert lm.load(tmp_path / "o.jsonl", mapping=told).spans()["unit"].tolist() == ["x"]

    def test_a_users_format_may_be_named(self, tmp_path):
        (tmp_path / "c.jsonl").write_text(
            json.dumps({"trace_id": "t", "span_id": "s", "start_time": "2026-11-01", "model": "m", "squad": "x"}) + "\n"
        )
        found = lm.load(tmp_path / "c.jsonl", mapping={"team": "squad"}, format="tables.spans").spans().iloc[0]
        assert (found["source"], found["team"]) == ("tables", "x")
        assert found["metadata"] is None

    def test_without_a_mapping_an_unknown_format_is_refused(self, tmp_path):
        (tmp_path / "c.jsonl").write_text('{"foo": 1}\n')
        with pytest.raises(InputError, match=r"has a format that is not known .*first record has foo.*; name it with --format"):
            lm.load(tmp_path / "c.jsonl")


def test_read_mapping_gives_columns_as_data():
    told = read_mapping({"table": "scores", "source": "x", "columns": {"name": "n"}, "raters": {"thumbs": "user"}})
    assert told == Mapping((Column("name", ("n",)),), {"thumbs": "user"}, "scores", "x")
    assert read_mapping(told) is told
    assert read_mapping({"raters": {"thumbs": "user"}}).columns == ()
    assert read_mapping({}).columns == ()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"columns": {}, "colums": {}}, "mapping key='colums' is not known; choose one of: table, source, columns, raters"),
        ({"table": "traces", "columns": {}}, "mapping table='traces' is not known; choose one of: spans, scores, series"),
        ({"columns": ["a"]}, r"mapping columns=\['a'\] is not a list of name: path; write one line per column"),
        ({"raters": ["a"]}, r"mapping raters=\['a'\] is not a list of score name: rater; raters are: human, judge"),
        (
            {"raters": {"thumbs": "robot"}},
            "rater of score 'thumbs'='robot' is not known; choose one of: human, judge, user, code, unknown",
        ),
        ({"source": 3, "columns": {}}, "mapping source=3 is not a name; write a word such as myapp"),
        ([1], r"mapping=\[1\] is neither a dict nor a YAML file"),
        ({"day": "d"}, "mapping column 'day' is always computed; leave it out"),
        ({"cost_list_usd": "d"}, "mapping column 'cost_list_usd' is always computed; leave it out"),
        ({"a b": "d"}, "mapping column 'a b' is not a name for a column; use letters, digits and underscores, a letter first"),
        ({"_reason": "d"}, "mapping column '_reason' is not a name for a column"),
        ({"filename": "d"}, "mapping column 'filename' is not a name for a column"),
        ({1: "d"}, "mapping column 1 is not a name for a column"),
        ({"Model": "d"}, "mapping column 'Model' differs only in case from 'model'; write 'model'"),
        ({"cost_usd": "a", "cost_recorded_usd": "b"}, "mapping column 'cost_recorded_usd' stands twice; keep one of them"),
        ({"team": "a", "Team": "b"}, "mapping column 'Team' stands twice; keep one of them"),
        (
            {"table": "series", "columns": {"region": "r"}},
            "mapping column 'region' is none of series .*leave it out: what is not named becomes a dimension",
        ),
        ({"team": 5}, "mapping column 'team': 5 is no path; write a dotted path, or {path: …, unit: …}"),
        ({"team": ""}, "mapping column 'team': '' is no path"),
        ({"team": None}, "mapping column 'team': None is no path"),
        ({"team": {}}, "mapping column 'team': {} is no path"),
        ({"team": {"unit": "s"}}, "mapping column 'team': {'unit': 's'} is no path"),
        (
            {"team": {"path": "a", "uni": "s"}},
            "option of mapping column 'team'='uni' is not known; choose one of: path, also, type, unit",
        ),
        (
            {"team": {"path": "a", "type": "number"}},
            "type of mapping column 'team'='number' is not known; choose one of: text, json, int, double",
        ),
        (
            {"tokens_in": {"path": "a", "type": "text"}},
            "mapping column 'tokens_in': type='text' does not fit, it is int; leave the type out",
        ),
        ({"latency_ms": {"path": "a", "unit": "h"}}, "column 'latency_ms': unit='h' is not known; choose one of: s, ms, us, ns"),
        (
            {"name": {"path": "a", "unit": "s"}},
            "mapping column 'name': unit='s' needs a number, the column is text; leave the unit out",
        ),
        (
            {"status": {"path": "a", "values": "error"}},
            "mapping column 'status': values='error' is not a list of their word: our word",
        ),
        (
            {"tokens_in": {"path": "a", "default": "many"}},
            "mapping column 'tokens_in': default='many' is not a number; the column is int",
        ),
        (
            {"tags": {"path": "a", "default": "x"}},
            "mapping column 'tags': default='x' cannot be given for a list_text; leave it out",
        ),
    ],
)
def test_every_error_names_the_cure(raw, message):
    with pytest.raises(MappingError, match=message):
        read_mapping(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "mapping file .* is not YAML: .*; write lines of name: path"),
        ("just words", "mapping file .* holds no keys; write a 'columns:' part with lines of name: path"),
        ("", "mapping file .* holds no keys"),
    ],
)
def test_every_error_of_a_file_names_the_cure(tmp_path, text, message):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(MappingError, match=message):
        read_mapping(tmp_path / "m.yaml")


def test_a_mapping_file_that_is_not_there(tmp_path):
    with pytest.raises(MappingError, match=r"mapping file .* cannot be read: .*; check the path"):
        read_mapping(tmp_path / "none.yaml")


def test_yaml_words_for_truth_are_read_as_words(tmp_path):
    (tmp_path / "m.yaml").write_text("status: {path: ok, values: {no: error, yes: ok}}\nspan_id: id\n")
    (tmp_path / "c.jsonl").write_text('{"id": "a", "ok": false, "x": 1}\n{"id": "b", "ok": true}\n')
    found = lm.load(tmp_path / "c.jsonl", mapping=tmp_path / "m.yaml").spans().set_index("span_id")
    assert found["status"].to_dict() == {"a": "error", "b": "ok"}
