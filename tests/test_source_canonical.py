"""The canonical interchange: section 3 of the design, and DataFrames in our own names."""

import datetime as dt
import hashlib
import json
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rows import derived, extracted

import llmobs_nb as lm
from llmobs_nb.errors import InputError
from llmobs_nb.sources.canonical import columns
from llmobs_nb.sources.canonical.export import FORMATS

SHAPES = {f.name.split(".")[1]: next(iter(f.shapes.values())) for f in FORMATS}
UTC = dt.UTC
SPAN = {
    "trace_id": "t1",
    "span_id": "s1",
    "start_time": "2026-11-20T10:00:00Z",
    "end_time": "2026-11-20T10:00:01Z",
    "kind": "llm",
    "model": "gpt-4o",
}
SCORE = {"trace_id": "t1", "span_id": "s1", "name": "quality", "value": 0.5, "created_at": "2026-11-20T10:00:00Z"}


def span(**changes):
    return derived(SHAPES["spans"], SPAN | changes)["spans"][0]


def score(**changes):
    return derived(SHAPES["scores"], SCORE | changes)["scores"][0]


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        first = SPAN | {"feature": "chat", "auth": "sso", "guardrails": '[{"stage":"input","action":"block"}]', "input": "hi"}
        spans = pd.DataFrame([first, SPAN | {"trace_id": "t2", "auth": "password"}])
        spans.to_parquet(tmp_path / "spans.parquet")
        pd.DataFrame([SCORE | {"rater": "human", "queue": "q1"}]).to_parquet(tmp_path / "scores.parquet")
        (tmp_path / "changes.csv").write_text("at,kind,ref,note,author\n2026-11-01T00:00:00Z,release,v2,bigger,a-1\n")
        (tmp_path / "prompts.json").write_text(json.dumps({"support@7": "You are {{x}}", "a@b@1": "t"}, indent=1))
        (tmp_path / "series.csv").write_text("name,time,value,n,region\nnps,2026-11-01,31.5,40,eu\nnps,2026-11-01,28,30,us\n")
        return tmp_path

    def test_every_file_goes_to_its_table(self, folder):
        obs = lm.load(folder)
        assert sorted(m["auth"] for m in obs.spans()["metadata"]) == ["password", "sso"]
        found = obs.spans(texts=True).set_index("trace_id").loc["t1"]
        assert found["input"] == "hi"
        assert json.loads(found["guardrails"]) == [{"stage": "input", "action": "block"}]
        assert obs.scores()[["value", "rater", "source"]].to_dict("records") == [
            {"value": 0.5, "rater": "human", "source": "canonical"}
        ]
        assert obs.sql("SELECT kind, ref, note, author FROM changes").to_dict("records") == [
            {"kind": "release", "ref": "v2", "note": "bigger", "author": "a-1"}
        ]
        prompts = obs.sql("SELECT name, version, template FROM prompts ORDER BY name").values.tolist()
        assert prompts == [["a@b", "1", "t"], ["support", "7", "You are {{x}}"]]
        series = obs.sql("SELECT name, value, n, dimensions['region'] AS region FROM series ORDER BY region")
        assert series.values.tolist() == [["nps", 31.5, 40.0, "eu"], ["nps", 28.0, 30.0, "us"]]
        assert obs.sql("SELECT count(*) AS n FROM quarantine")["n"][0] == 0

    def test_extra_columns_are_dimensions(self, folder):
        assert "auth" in set(lm.load(folder).dimensions()["name"])

    def test_scores_alone_are_enough(self, folder):
        obs = lm.load(folder / "scores.parquet")
        assert len(obs.scores()) == 1
        assert len(obs.spans()) == 0

    @pytest.mark.parametrize("text", ["{}", "{\n}\n"])
    def test_an_empty_prompt_file_does_not_stop_the_folder(self, folder, text):
        (folder / "prompts.json").write_text(text)
        assert lm.load(folder).sql("SELECT count(*) AS n FROM prompts")["n"][0] == 0

    @pytest.mark.parametrize("key", ["support", "@7", "support@"])
    def test_a_prompt_without_name_or_version_is_quarantined(self, folder, key):
        (folder / "prompts.json").write_text(json.dumps({key: "t", "ok@1": "t"}))
        obs = lm.load(folder)
        assert list(obs.sql("SELECT name FROM prompts")["name"]) == ["ok"]
        assert obs.sql("SELECT reason FROM quarantine")["reason"][0] == 'not a prompt: expected "name@version": "template"'

    def test_an_extra_column_of_any_name_does_not_hide_the_file(self, tmp_path):
        pd.DataFrame([SPAN | {"context": "x", "value": "y", "event": "z"}]).to_parquet(tmp_path / "spans.parquet")
        name, _ = extracted(tmp_path / "spans.parquet")
        assert name == "canonical.spans"
        assert lm.load(tmp_path).spans()["metadata"][0] == {"context": "x", "value": "y", "event": "z"}

    @pytest.mark.parametrize("layout", ["parquet", "csv", "jsonl"])
    def test_every_layout_gives_the_same_rows(self, tmp_path, layout):
        row = SPAN | {
            "tags": ["a", "b"],
            "retrieval_ids": ["d1"],
            "retrieval_scores": [0.5, 0.25],
            "metadata": {"k": "v", "team": "inner"},
            "team": "outer",
            "guardrails": [{"stage": "output"}],
            "tokens_in": 10,
            "tokens_out": 5,
            "cached_tokens": 4,
            "cost_usd": 0.5,
            "parent_span_id": "p",
        }
        path = tmp_path / f"spans.{layout}"
        if layout == "parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        elif layout == "jsonl":
            path.write_text(json.dumps(row) + "\n")
        else:
            cells = [v if isinstance(v, str) else json.dumps(v) for v in row.values()]
            path.write_text(",".join(row) + "\n" + ",".join('"' + c.replace('"', '""') + '"' for c in cells) + "\n")
        found = lm.load(path).spans().iloc[0]
        assert (list(found["tags"]), list(found["retrieval_ids"]), list(found["retrieval_scores"])) == (
            ["a", "b"],
            ["d1"],
            [0.5, 0.25],
        )
        assert found["metadata"] == {"k": "v", "team": "inner"}, "the map's own key goes before a column beside it"
        assert json.loads(found["guardrails"]) == [{"stage": "output"}]
        assert (found["tokens_cache_read"], found["cost_recorded_usd"], found["parent_id"], found["is_root"]) == (
            4,
            0.5,
            "p",
            False,
        )


class TestOlderNames:
    @pytest.mark.parametrize(
        ("older", "value", "name", "expected"),
        [
            ("guardrail_decisions", '[{"a":1}]', "guardrails", '[{"a":1}]'),
            ("parent_span_id", "p", "parent_id", "p"),
            ("cached_tokens", 3, "tokens_cache_read", 3),
            ("model_resolved", "gpt-4o-2024-08-06", "model", "gpt-4o-2024-08-06"),
            ("cost_usd", 0.5, "cost_recorded_usd", 0.5),
        ],
    )
    def test_older_names(self, older, value, name, expected):
        row = {k: v for k, v in SPAN.items() if k != name} | {"tokens_in": 10, older: value}
        assert derived(SHAPES["spans"], row)["spans"][0][name] == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("server_error", "provider_5xx"),
            ("timeout", "timeout"),
            ("rate_limit", "rate_limit"),
            ("gremlins", "other"),
            ("Server_Error", "provider_5xx"),
            (True, "other"),
        ],
    )
    def test_error_gives_class_and_status(self, error, expected):
        row = span(error=error)
        assert (row["status"], row["error_class"]) == ("error", expected)

    @pytest.mark.parametrize("error", [None, "", False, "none"])
    def test_no_error_is_ok(self, error):
        row = span(error=error)
        assert row["status"] == "ok"
        assert "error_class" not in row

    def test_cost_usd_is_recorded_only_where_nothing_says_what_it_was_made_of(self):
        assert span(cost_usd=0.5)["cost_recorded_usd"] == 0.5
        assert "cost_recorded_usd" not in span(cost_usd=0.5, cost_source="list")
        assert "cost_recorded_usd" not in span(cost_usd=0.5, cost_list_usd=0.5)
        assert span(cost_usd=0.5, cost_recorded_usd=0.4)["cost_recorded_usd"] == 0.4

    @pytest.mark.parametrize(
        ("word", "rater"),
        [
            ("human", "human"),
            ("annotation", "human"),
            ("eval", "judge"),
            ("JUDGE", "judge"),
            ("user", "user"),
            ("code", "code"),
            ("x", "unknown"),
        ],
    )
    def test_source_of_a_score_is_its_rater(self, word, rater):
        row = score(source=word)
        assert (row["rater"], row["source"]) == (rater, "t")

    def test_source_stays_where_a_rater_is_given(self):
        row = score(source="langfuse", rater="human")
        assert (row["rater"], row["source"]) == ("human", "langfuse")


class TestScores:
    def test_absent_score_id_is_a_stable_hash_of_what_names_the_judgement(self):
        row = score(rater="judge", rater_id="r", judge_version="3")
        told = "|".join(["t1", "s1", "quality", "judge", "r", "3", "2026-11-20 10:00:00+00"])
        assert row["score_id"] == hashlib.md5(told.encode()).hexdigest()
        assert score(rater="judge", rater_id="r", judge_version="3", value=0.9, comment="x")["score_id"] == row["score_id"]
        others = [
            score(rater="judge", rater_id="r", judge_version="4"),
            score(rater="human"),
            score(name="other"),
            score(created_at="2026-11-21"),
        ]
        assert len({row["score_id"], *(o["score_id"] for o in others)}) == 5

    @pytest.mark.parametrize(
        ("value", "number", "label", "kind"),
        [
            (0.5, 0.5, None, "numeric"),
            (True, 1.0, None, "boolean"),
            ("false", 0.0, None, "boolean"),
            ("good", None, "good", "categorical"),
            ("3", 3.0, None, "numeric"),
        ],
    )
    def test_the_value_tells_its_type(self, value, number, label, kind):
        row = score(value=value)
        assert (row.get("value"), row.get("label"), row["data_type"]) == (number, label, kind)

    def test_a_declared_type_holds(self):
        assert (score(value="yes", data_type="boolean")["value"], score(value=1, data_type="BOOLEAN")["data_type"]) == (
            1.0,
            "boolean",
        )

    def test_a_designed_sample_keeps_its_design(self):
        row = score(stratum="a", inclusion_prob=0.25)
        assert (row["stratum"], row["inclusion_prob"]) == ("a", 0.25)


class TestTimes:
    @pytest.mark.parametrize(
        "told",
        [
            "2026-11-20T11:00:00+01:00",
            "2026-11-20 10:00:00",
            "2026-11-20T10:00:00.000000000Z",
            1795168800,
            1795168800000,
            1795168800000000,
            "1795168800.0",
        ],
    )
    def test_zones_naive_nanoseconds_and_epochs(self, told):
        assert span(start_time=told, end_time=None)["start_time"] == dt.datetime(2026, 11, 20, 10, tzinfo=UTC)

    @pytest.mark.parametrize(
        "kind",
        [pa.timestamp("ns"), pa.timestamp("us", tz="UTC"), pa.timestamp("ms", tz="Europe/Berlin"), pa.timestamp("s"), pa.int64()],
    )
    def test_every_arrow_time(self, tmp_path, kind):
        at = pa.array([1795168800], pa.int64()).cast(pa.timestamp("s"))
        at = (
            pa.array([1795168800], pa.int64())
            if kind == pa.int64()
            else at.cast(pa.timestamp("us")).cast(pa.timestamp(kind.unit)).cast(kind)
            if kind.tz is None
            else pa.array([1795168800 * 1000 ** ("s", "ms", "us").index(kind.unit)], pa.int64()).cast(kind)
        )
        table = pa.table({"trace_id": ["t"], "span_id": ["s"], "start_time": at, "model": ["m"]})
        assert lm.load(table).query("SELECT start_time FROM spans")["start_time"][0].as_py() == dt.datetime(
            2026, 11, 20, 10, tzinfo=UTC
        )

    def test_a_time_that_is_none_is_quarantined_with_its_text(self):
        assert (
            derived(SHAPES["spans"], SPAN | {"start_time": "yesterday"})["quarantine"][0]["reason"]
            == "start_time is not a time: yesterday"
        )

    def test_day_is_the_utc_date_of_the_start_and_unknown_is_1970(self):
        assert span(start_time="2026-11-20T23:30:00-02:00", end_time=None)["day"] == dt.date(2026, 11, 21)
        assert span(start_time=None, end_time=None)["day"] == dt.date(1970, 1, 1)


class TestRoundTrip:
    def test_our_own_table_read_again_is_the_same(self, tmp_path):
        first = lm.load(pd.DataFrame([SPAN | {"tokens_in": 1000, "tokens_out": 100, "team": "a", "tags": '["x"]'}]))
        pq.write_table(first.query("SELECT * FROM spans"), tmp_path / "spans.parquet")
        second = lm.load(tmp_path / "spans.parquet")
        one, two = first.spans().iloc[0].drop("own", errors="ignore"), second.spans().iloc[0].drop("own", errors="ignore")
        assert [c for c in one.index if repr(one[c]) != repr(two[c])] == []
        assert one["cost_source"] == "list", "a list price must not come back as a recorded one"


class TestFrames:
    def test_in_our_names(self):
        obs = lm.load(pd.DataFrame([SPAN | {"plan": "pro"}]), scores=pd.DataFrame([SCORE]))
        assert (len(obs.spans()), len(obs.scores()), obs.spans()["metadata"][0]) == (1, 1, {"plan": "pro"})

    def test_list_of_dicts_series_and_changes_beside(self):
        series = pd.DataFrame(
            {
                "name": ["csat", "csat"],
                "time": pd.to_datetime(["2026-11-01", "2026-11-02"]),
                "value": [4.5, 4.0],
                "region": ["eu", None],
            }
        )
        changes = pd.DataFrame({"at": ["2026-11-01"], "kind": ["release"], "ref": ["v1"]})
        obs = lm.load(pd.DataFrame([SPAN]), series=series, changes=changes)
        assert obs.sql("SELECT value, dimensions['region'] AS r FROM series ORDER BY time").values.tolist()[0] == [4.5, "eu"]
        assert len(obs.sql("SELECT * FROM changes")) == 1

    def test_series_alone_nps_by_region(self):
        obs = lm.load(
            series=pd.DataFrame(
                {"name": "nps", "time": ["2026-11-01", "2026-11-01"], "value": [31, 28], "n": [40, 30], "region": ["eu", "us"]}
            )
        )
        assert obs.sql("SELECT sum(n) AS n FROM series")["n"][0] == 70

    def test_a_series_without_value_is_refused(self):
        with pytest.raises(InputError, match=r"nothing to keep in the data: no value \(1\)"):
            lm.load(series=pd.DataFrame({"name": ["nps"], "time": ["2026-11-01"], "value": [None]}))

    def test_cells_of_mixed_kinds_dicts_lists_and_nan(self):
        frame = pd.DataFrame(
            {
                "trace_id": ["a", "b"],
                "span_id": [1, "2"],
                "model": ["m", np.nan],
                "metadata": [{"k": 1}, {"other": [2]}],
                "tags": [["x"], None],
            }
        )
        rows = lm.load(frame).spans().set_index("trace_id")
        assert rows.loc["a", "metadata"] == {"k": "1"}
        assert rows.loc["b", "metadata"] == {"other": "[2]"}
        assert (rows.loc["a", "span_id"], rows.loc["b", "span_id"]) == ("1", "2")
        assert rows["model"].isna().tolist() == [False, True]

    def test_an_index_with_a_name_is_a_column(self):
        assert lm.load(pd.DataFrame([SPAN]).set_index(["trace_id", "span_id"])).spans()["trace_id"][0] == "t1"

    def test_durations_and_categories(self):
        frame = pd.DataFrame(
            [{k: v for k, v in SPAN.items() if k != "end_time"} | {"latency_ms": pd.Timedelta(seconds=1.5)}]
        ).astype({"model": "category"})
        row = lm.load(frame).spans().iloc[0]
        assert (row["latency_ms"], row["model"]) == (1500.0, "gpt-4o")

    def test_two_columns_of_one_name(self):
        frame = pd.DataFrame([["t", "s", "m", "n"]], columns=["trace_id", "span_id", "model", "Model"])
        with pytest.raises(InputError, match=r"DataFrame of spans has more than one column 'model' \(case aside\); rename one"):
            lm.load(frame)

    def test_rows_without_span_id_are_refused_with_a_reason(self):
        with pytest.raises(InputError, match=r"no span_id \(1\); check the file, or say what it is with --format or --mapping"):
            lm.load(pd.DataFrame({"trace_id": ["t"], "model": ["m"]}))

    def test_bad_rows_of_a_frame_are_quarantined_and_the_good_ones_kept(self):
        frame = pd.DataFrame([SPAN, SPAN | {"span_id": "s2", "start_time": "soon"}])
        obs = lm.load(frame)
        assert len(obs.spans()) == 1
        found = obs.sql("SELECT line, reason, raw FROM quarantine").iloc[0]
        assert (found["line"], found["reason"]) == (2, "start_time is not a time: soon")
        assert json.loads(found["raw"])["span_id"] == "s2"

    @pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "select", "ключ", "x; DROP TABLE spans", "a.b", "{k}"])
    def test_hostile_column_names_become_dimensions(self, name):
        assert lm.load(pd.DataFrame([SPAN | {name: "v"}])).spans()["metadata"][0] == {name: "v"}


class TestExtras:
    def test_only_unknown_columns_fold_and_blank_ones_leave_no_key(self):
        row = derived(SHAPES["spans"], SPAN)["spans"][0]
        assert "metadata" not in row
        assert columns.with_extra_keys({"a": 1, "b": "", "c": None, "m": {"x": 1}}, {"a", "m"}, "m") == {
            "a": 1,
            "b": "",
            "c": None,
            "m": {"x": 1},
        }
        assert columns.with_extra_keys({"a": 1, "z": 2, "m": '{"x":1}'}, {"a", "m"}, "m")["m"] == {"z": 2, "x": 1}

    def test_computed_columns_of_an_older_store_are_not_dimensions(self):
        assert {"day", "own", "is_root", "cost_usd", "cost_list_usd"} <= columns.fields_read(columns.spans())


def test_three_hundred_thousand_rows_of_parquet_take_seconds(tmp_path):
    n = 300_000
    at = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="s")
    frame = pd.DataFrame(
        {
            "trace_id": [f"t{i // 3}" for i in range(n)],
            "span_id": [f"s{i}" for i in range(n)],
            "start_time": at,
            "end_time": at + pd.Timedelta(seconds=2),
            "kind": "llm",
            "model": "gpt-4o",
            "tokens_in": np.arange(n) % 2000,
            "tokens_out": 50,
            "feature": "chat",
            "auth": np.where(np.arange(n) % 2, "sso", "password"),
        }
    )
    frame.to_parquet(tmp_path / "spans.parquet")
    began = time.process_time()
    obs = lm.load(tmp_path)
    assert obs.sql("SELECT count(*) AS n, count(DISTINCT metadata['auth']) AS k FROM spans").iloc[0].tolist() == [n, 2]
    assert time.process_time() - began < 25, "CPU seconds on a busy machine; a few on a free one"
