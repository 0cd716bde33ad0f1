"""Langfuse files: UI exports, blob exports, traces that come apart from their observations."""

import datetime as dt
import gzip
import itertools
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from langfusekit import BLOB, ROW, SCORE, SHAPES, as_csv, lines
from rows import derived, extracted

import llmobs_nb as lm
from llmobs_nb.errors import InputError
from llmobs_nb.ingest.run import ingest
from llmobs_nb.sources.files import expand
from llmobs_nb.sources.langfuse.export import notes
from llmobs_nb.sources.registry import head_of
from llmobs_nb.store.store import Store

UI_EVENT = {
    "id": "o1",
    "traceId": "t1",
    "traceName": "chat",
    "type": "GENERATION",
    "name": "answer",
    "startTime": "2026-11-20 10:00:00.120000",
    "endTime": "2026-11-20 10:00:02.480000",
    "completionStartTime": None,
    "environment": "production",
    "version": None,
    "userId": "u-1",
    "sessionId": None,
    "level": "DEFAULT",
    "statusMessage": None,
    "promptName": "p",
    "promptId": "x",
    "promptVersion": 7,
    "modelId": "clm1",
    "providedModelName": "gpt-4o",
    "modelParameters": {"temperature": 0},
    "usageDetails": {"input": 5, "output": 3, "total": 8},
    "costDetails": {"total": 0.01},
    "totalCost": 0.01,
    "input": "hi",
    "output": 'he said "x, y"\nand left',
    "metadata": {"tenant": "acme"},
    "latencyMs": 2360,
    "timeToFirstTokenMs": 490,
    "tags": ["beta"],
    "release": "r1",
    "parentObservationId": None,
    "comments": [],
    "helpfulness": [0.5],
    "thumbs": ["up"],
}


class TestUiExports:
    NAME = "1763632800000-lf-{}-export-prj77.{}"

    @pytest.mark.parametrize("layout", ["csv", "json", "jsonl"])
    def test_events_in_all_three_layouts_read_the_same(self, tmp_path, layout):
        rows = [UI_EVENT, UI_EVENT | {"id": "o2", "parentObservationId": "o1", "environment": None}]
        text = {"csv": as_csv(rows), "json": json.dumps(rows), "jsonl": "".join(json.dumps(r) + "\n" for r in rows)}[layout]
        path = tmp_path / self.NAME.format("events", layout)
        path.write_text(text)
        name, tables = extracted(path)
        first, second = sorted(tables["spans"], key=lambda r: r["span_id"])
        assert name == "langfuse.export"
        assert list(tables) == ["spans"], "score columns must not become scores"
        assert (first["project"], first["user_id"], first["model"], first["tokens_in"], first["cost_recorded_usd"]) == (
            "prj77",
            "u-1",
            "gpt-4o",
            5,
            0.01,
        )
        assert (first["latency_ms"], first["ttft_ms"], first["tags"], first["tenant_id"]) == (
            pytest.approx(2360),
            490.0,
            ["beta"],
            "acme",
        )
        assert first["is_root"]
        assert first["output_chars"] == len(UI_EVENT["output"])
        assert not {"session_id", "app_version", "error_message"} & first.keys(), "an empty cell is missing"
        assert second["parent_id"] == "o1"
        assert "environment" not in second

    def test_observations_export_of_v3(self, tmp_path):
        row = {k: v for k, v in UI_EVENT.items() if k not in ("providedModelName", "latencyMs", "timeToFirstTokenMs", "tags")} | {
            "model": "gpt-4o",
            "internalModelId": "clm1",
            "latency": 2.36,
            "timeToFirstToken": 0.49,
            "traceTags": ["beta"],
            "traceTimestamp": "2026-11-20T10:00:00.000Z",
            "providedCostDetails": {},
            "toolCallsCount": None,
        }
        path = tmp_path / self.NAME.format("observations", "csv")
        path.write_text(as_csv([row]))
        found = extracted(path)[1]["spans"][0]
        assert (found["ttft_ms"], found["latency_ms"], found["tags"], found["model"]) == (
            pytest.approx(490),
            pytest.approx(2360),
            ["beta"],
            "gpt-4o",
        )

    def test_traces_export_gives_facts_and_no_span(self, tmp_path):
        row = {
            "id": "t1",
            "timestamp": "2026-11-20T10:00:00.000Z",
            "name": "chat",
            "userId": "u-1",
            "sessionId": "",
            "release": None,
            "version": None,
            "environment": "production",
            "tags": ["a"],
            "bookmarked": False,
            "public": False,
            "input": {"q": 1},
            "output": None,
            "metadata": {"k": "v"},
            "comments": [],
            "helpfulness": [0.5],
        }
        path = tmp_path / self.NAME.format("traces", "csv")
        path.write_text(as_csv([row]))
        _, tables = extracted(path)
        assert list(tables) == ["trace_facts"]
        facts = tables["trace_facts"][0]
        assert (facts["trace_id"], facts["project"], facts["trace_name"], facts["tags"], facts["input"]) == (
            "t1",
            "prj77",
            "chat",
            ["a"],
            '{"q": 1}',
        )

    def test_scores_export(self, tmp_path):
        row = {
            "id": "s1",
            "traceId": "t1",
            "sessionId": None,
            "datasetRunId": None,
            "timestamp": "2026-11-20T10:00:00.000Z",
            "source": "ANNOTATION",
            "name": "quality",
            "dataType": "CATEGORICAL",
            "value": 1,
            "stringValue": "good",
            "comment": "ok",
            "metadata": {},
            "observationId": "o1",
            "traceName": "chat",
            "userId": "u-1",
            "traceTags": [],
            "environment": "production",
            "authorUserName": "rater-1",
        }
        path = tmp_path / self.NAME.format("scores", "csv")
        path.write_text(
            as_csv([row, row | {"id": "s2", "dataType": "NUMERIC", "value": 0.5, "stringValue": None, "source": "EVAL"}])
        )
        _, tables = extracted(path)
        first, second = sorted(tables["scores"], key=lambda s: s["score_id"])
        assert (first["label"], first["rater"], first["rater_id"], first["span_id"], first["project"]) == (
            "good",
            "human",
            "rater-1",
            "o1",
            "prj77",
        )
        assert (second["value"], second["rater"]) == (0.5, "judge")

    def test_a_score_name_with_a_line_break_in_the_header(self, tmp_path):
        path = tmp_path / self.NAME.format("events", "csv")
        path.write_text(as_csv([{"a\nb": [1], "c;d;e": [1]} | UI_EVENT]))
        assert extracted(path)[1]["spans"][0]["span_id"] == "o1"

    def test_sessions_export_is_quarantined_with_what_it_is(self, tmp_path):
        path = tmp_path / self.NAME.format("sessions", "csv")
        path.write_text(
            as_csv([{"id": "s", "userIds": ["u"], "countTraces": 2, "sessionDuration": 3.0, "createdAt": "2026-11-20T10:00:00Z"}])
        )
        assert extracted(path)[1]["quarantine"][0]["reason"] == "not a span, score or trace: a session"

    @pytest.mark.parametrize("layout", ["csv", "json"])
    def test_score_columns_are_told_once(self, tmp_path, layout):
        path = tmp_path / self.NAME.format("events", layout)
        path.write_text(as_csv([UI_EVENT]) if layout == "csv" else json.dumps([UI_EVENT]))
        done = ingest([path], Store(tmp_path / "store"))
        assert len(done.notes) == 1
        assert "('helpfulness', 'thumbs') are averages" in done.notes[0]
        assert "scores table" in done.notes[0]
        assert "scores" not in done.tally.kept

    def test_files_without_score_columns_need_no_note(self, tmp_path):
        for row in (ROW, {k: v for k, v in UI_EVENT.items() if k not in ("helpfulness", "thumbs")}, SCORE):
            assert notes(head_of(expand([lines(tmp_path / "x.jsonl", row)])[0])) == []


def manifest(*keys, **more):
    return {
        "version": 1,
        "projectId": "prj",
        "exportSource": "OBSERVATIONS_V2",
        "window": {"minTimestamp": "a", "maxTimestamp": "b"},
        "files": [
            {"key": k, "table": k.split("/")[-2], "fileType": "JSONL", "compressed": k.endswith(".gz"), "rowCount": None}
            for k in keys
        ],
    } | more


class TestBlobExports:
    def test_rows_in_snake_case(self):
        row = derived(SHAPES["observation"], BLOB)["spans"][0]
        assert (row["trace_id"], row["project"], row["model"], row["tokens_in"], row["tokens_out"]) == (
            "t1",
            "prj",
            "gpt-4o",
            5,
            3,
        )
        assert (row["latency_ms"], row["ttft_ms"]) == (pytest.approx(2360), pytest.approx(490)), (
            "recomputed, whatever the unit of latency"
        )
        assert (row["cost_recorded_usd"], row["session_id"], row["trace_name"], row["tags"]) == (
            pytest.approx(0.003),
            "s-9",
            "chat",
            ["beta"],
        )
        assert row["is_root"]
        assert not {"user_id", "error_message", "app_version", "release", "prompt_name", "prompt_version"} & row.keys(), (
            '"" is missing'
        )

    def test_jsonl_takes_the_fast_path(self, tmp_path):
        assert extracted(lines(tmp_path / "a.jsonl", BLOB), fast=True)[1]["spans"][0]["project"] == "prj"

    @pytest.mark.parametrize("layout", ["jsonl", "jsonl.gz", "json", "csv", "parquet"])
    def test_every_file_type_reads_the_same(self, tmp_path, layout):
        path = tmp_path / f"2026-11-20T10-00-00.{layout}"
        if layout == "parquet":
            _parquet(path)
        elif layout == "csv":
            path.write_text(as_csv([BLOB]))
        else:
            text = json.dumps([BLOB]) if layout == "json" else json.dumps(BLOB) + "\n"
            path.write_bytes(gzip.compress(text.encode()) if layout.endswith("gz") else text.encode())
        got = lm.load(path).spans().iloc[0]
        plain = lm.load(lines(tmp_path / "plain.jsonl", BLOB)).spans().iloc[0]
        differing = [c for c in got.index if repr(got[c]) != repr(plain[c])]
        assert differing == []

    def test_only_what_manifests_list_is_read_and_the_rest_is_told(self, tmp_path):
        root = tmp_path / "team" / "prj"
        for folder in ("observations_v2", "scores", "manifests"):
            (root / folder).mkdir(parents=True)
        at = "2026-11-20T1{}-00-00"
        first, second, boundary = (
            BLOB,
            BLOB | {"id": "o2", "parent_observation_id": "o1"},
            BLOB | {"id": "o3", "parent_observation_id": "o1"},
        )
        lines(root / "observations_v2" / f"{at.format(0)}.jsonl", first, boundary)
        (root / "observations_v2" / f"{at.format(1)}.jsonl.gz").write_bytes(
            gzip.compress("".join(json.dumps(r) + "\n" for r in (boundary, second)).encode())
        )
        lines(root / "observations_v2" / f"{at.format(2)}.jsonl", BLOB | {"id": "unfinished"})
        lines(
            root / "scores" / f"{at.format(0)}.jsonl",
            {
                "id": "s1",
                "timestamp": "2026-11-20 10:00:00.000000",
                "project_id": "prj",
                "trace_id": "t1",
                "observation_id": "",
                "name": "q",
                "value": 1.0,
                "source": "EVAL",
                "data_type": "NUMERIC",
                "string_value": "",
            },
        )
        key = "exports/team/prj/{}/{}"
        files = [key.format("observations_v2", f"{at.format(0)}.jsonl"), key.format("scores", f"{at.format(0)}.jsonl")]
        (root / "manifests" / f"{at.format(0)}.json").write_text(json.dumps(manifest(*files)))
        late = [key.format("observations_v2", f"{at.format(1)}.jsonl.gz"), key.format("observations_v2", "gone.jsonl")]
        (root / "manifests" / f"{at.format(1)}.json").write_text(json.dumps(manifest(*late)))
        (root / "manifests" / "broken.json").write_text("{")
        lines(tmp_path / "team" / "beside.jsonl", ROW | {"id": "beside", "traceId": "t9"})

        done = ingest([tmp_path], Store(tmp_path / "store"))
        obs = lm.open(tmp_path / "store")
        assert sorted(obs.spans()["span_id"]) == ["beside", "o1", "o2", "o3"]
        assert len(obs.scores()) == 1
        assert done.commit.duplicates["spans"] == 1, "the row on the boundary of two windows"
        told = " ".join(done.notes)
        assert "1 file is in no manifest" in told
        assert "12-00-00.jsonl" in told
        assert "1 file is listed in a manifest but not there" in told
        assert "broken.json' cannot be read" in told

    def test_a_bare_folder_without_manifest_is_read_whole(self, tmp_path):
        (tmp_path / "prj" / "observations").mkdir(parents=True)
        lines(tmp_path / "prj" / "observations" / "a.jsonl", BLOB)
        (tmp_path / "prj" / "traces").mkdir()
        lines(
            tmp_path / "prj" / "traces" / "a.jsonl",
            {
                "id": "t1",
                "timestamp": "2026-11-20 10:00:00.000000",
                "name": "chat",
                "project_id": "prj",
                "user_id": "u-1",
                "session_id": "",
                "bookmarked": False,
                "metadata": {"k": "v"},
            },
        )
        obs = lm.load(tmp_path / "prj")
        assert list(obs.spans()["user_id"]) == ["u-1"]

    def test_a_manifest_itself_may_be_named(self, tmp_path):
        for folder in ("scores", "observations_v2", "manifests"):
            (tmp_path / folder).mkdir()
        lines(tmp_path / "observations_v2" / "a.jsonl", BLOB)
        lines(tmp_path / "observations_v2" / "b.jsonl", BLOB | {"id": "o2"})
        path = tmp_path / "manifests" / "x.json"
        path.write_text(json.dumps(manifest("p/prj/observations_v2/a.jsonl")))
        assert [i.name for i in expand([path])] == [str(tmp_path / "observations_v2" / "a.jsonl")]

    def test_a_manifest_whose_files_are_all_elsewhere_does_not_hide_the_folder(self, tmp_path):
        (tmp_path / "manifests").mkdir()
        (tmp_path / "manifests" / "x.json").write_text(json.dumps(manifest("p/prj/observations_v2/other.jsonl")))
        told = []
        path = lines(tmp_path / "a.jsonl", BLOB)
        assert [i.name for i in expand([tmp_path], note=told.append)] == [str(path)]
        assert "every file is read" in told[0]

    def test_a_key_that_climbs_out_of_the_folder_is_not_followed(self, tmp_path):
        lines(tmp_path / "secret.jsonl", BLOB)
        root = tmp_path / "prj"
        (root / "manifests").mkdir(parents=True)
        lines(root / "a.jsonl", BLOB)
        (root / "manifests" / "x.json").write_text(json.dumps(manifest("../secret.jsonl", "x/../../secret.jsonl", "prj/a.jsonl")))
        assert [i.name for i in expand([root])] == [str(root / "a.jsonl")]

    def test_a_manifest_inside_a_zip_is_no_error(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
            archive.writestr("prj/manifests/x.json", json.dumps(manifest("prj/observations_v2/a.jsonl")))
            archive.writestr("prj/observations_v2/a.jsonl", json.dumps(BLOB) + "\n")
        assert len(lm.load(tmp_path / "e.zip").spans()) == 1


def _parquet(path):
    """The row as ClickHouse writes it: typed times without zone, maps, binary text."""
    times = {k: dt.datetime.fromisoformat(BLOB[k]) for k in ("start_time", "end_time", "completion_start_time", "updated_at")}
    maps = {k: list(BLOB[k].items()) for k in ("usage_details", "cost_details", "metadata")}
    kinds = {k: pa.timestamp("us") for k in times} | {
        "usage_details": pa.map_(pa.string(), pa.int64()),
        "cost_details": pa.map_(pa.string(), pa.float64()),
        "metadata": pa.map_(pa.string(), pa.string()),
        "tags": pa.list_(pa.string()),
        "total_cost": pa.float64(),
        "latency": pa.float64(),
        "time_to_first_token": pa.float64(),
        "prompt_version": pa.int32(),
        "output": pa.binary(),
        "name": pa.binary(),
    }
    row = BLOB | times | maps | {"output": b"hello", "name": b"answer"}
    schema = pa.schema([pa.field(k, kinds.get(k, pa.string())) for k in row])
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)


FACTS = {
    "id": "t1",
    "timestamp": "2026-11-20T10:00:00Z",
    "projectId": "prj",
    "name": "chat",
    "userId": "u-1",
    "sessionId": "s-1",
    "release": "r1",
    "environment": "production",
    "updatedAt": "2026-11-20T11:00:00Z",
}


class TestTracesApart:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_a_trace_reaches_its_observations_in_any_order(self, tmp_path, order):
        files = [
            lines(tmp_path / "a.jsonl", ROW),
            lines(tmp_path / "b.jsonl", ROW | {"id": "o0", "parentObservationId": None, "type": "SPAN"}),
            lines(tmp_path / "c.jsonl", FACTS),
        ]
        for at in order:
            ingest([files[at]], Store(tmp_path / "store"))
        rows = lm.open(tmp_path / "store").spans().set_index("span_id")
        assert list(rows.loc[["o0", "o1"], "user_id"]) == ["u-1", "u-1"]
        assert list(rows.loc[["o0", "o1"], "trace_name"]) == ["chat", "chat"]
        assert list(rows.loc[["o0", "o1"], "release"]) == ["r1", "r1"]
        assert len(rows) == 2

    def test_a_trace_alone_invents_no_span(self, tmp_path):
        obs = lm.load(lines(tmp_path / "c.jsonl", FACTS))
        assert len(obs.spans()) == 0

    def test_the_newest_of_two_versions_of_a_row_wins(self, tmp_path):
        newer = ROW | {"name": "newer", "updatedAt": "2026-11-20T12:00:00Z"}
        for n, order in enumerate(([ROW, newer], [newer, ROW])):
            obs = lm.load(lines(tmp_path / f"{n}.jsonl", *order))
            assert list(obs.spans()["name"]) == ["newer"]


def test_an_empty_manifest_folder_alone_is_one_clear_line(tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "x.json").write_text(json.dumps(manifest()))
    with pytest.raises(InputError, match=r"no file to read in .*name a file, a glob or a folder"):
        lm.load(tmp_path)


def test_the_command_line_shows_the_notes_beside_the_answer(tmp_path, capsys):
    from llmobs_nb.cli import main

    path = tmp_path / "1763632800000-lf-events-export-prj77.json"
    path.write_text(json.dumps([UI_EVENT]))
    assert main(["ingest", str(path), "--store", str(tmp_path / "store"), "--quiet"]) == 0
    told = capsys.readouterr()
    assert "are averages" in told.err
    assert "are averages" not in told.out
    assert "kept 1 of 1 records" in told.out
