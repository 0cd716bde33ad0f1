"""The store: which version of a row wins, what a commit leaves behind, who may read and write, what damage says."""

import contextlib
import datetime as dt
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import pandas as pd
import pyarrow.parquet as pq
import pytest
import storekit
from deltalake import DeltaTable
from storekit import at, column, holding, langfuse_score, load, observation, parquet_under, put, rows, score, span, write_lines

from llmobs_nb import observations
from llmobs_nb.errors import LockedError, StoreError
from llmobs_nb.schema import ARROW, SCORES, SERIES, SPANS, TABLES
from llmobs_nb.store import store as store_module
from llmobs_nb.store.store import Store

SECOND = {"updatedAt": "2026-01-05T11:00:00Z"}


# Which version wins


VERSIONS = {
    "updated_at": (span("a", name="old", updated_at=at(1)), span("a", name="new", updated_at=at(2))),
    "end_time": (
        span("a", name="old", updated_at=at(9), end_time=at(1)),
        span("a", name="new", updated_at=at(9), end_time=at(2)),
    ),
    "no end_time": (span("a", name="old", updated_at=at(9)), span("a", name="new", updated_at=at(9), end_time=at(2))),
    "no updated_at": (
        span("a", name="old", updated_at=None, end_time=at(9), start_time=None),
        span("a", name="new", updated_at=at(1), start_time=None),
    ),
    "most texts": (
        span("a", name="old", model="m", tenant_id="x", feature="f"),
        span("a", name="new", input_hash="h", input_chars=1),
    ),
    "longest text": (
        span("a", name="old", input_hash="z", input_chars=3, output_hash="o", output_chars=9),
        span("a", name="new", input_hash="a", input_chars=4, output_hash="o", output_chars=1),
    ),
    "fullest": (span("a", name="old"), span("a", name="new", model="m")),
}


@pytest.mark.parametrize("case", VERSIONS)
@pytest.mark.parametrize("how", ["new last", "new first", "together", "together, new first"])
def test_the_same_version_wins_in_any_order(root, case, how):
    old, new = VERSIONS[case]
    batches = {"new last": [[old], [new]], "new first": [[new], [old]], "together": [[old, new]]}.get(how, [[new, old]])
    for batch in batches:
        put(root, spans=batch)
    assert column(root, "name") == {"a": "new"}


def test_full_ties_are_broken_by_content_not_by_order(tmp_path):
    tied = [span("a", name=n) for n in ("x", "y", "z")]
    winners = set()
    for number, order in enumerate(itertools.permutations(tied)):
        put(str(tmp_path / str(number)), spans=order[:1])
        put(str(tmp_path / str(number)), spans=order[1:])
        winners.add(column(str(tmp_path / str(number)), "name")["a"])
    assert len(winners) == 1


def test_a_span_and_its_texts_are_of_one_version(root, tmp_path):
    """Equal times: the span that wins and the payload that wins must be the same record."""
    asked = observation("o", name="asked", input="a question", output=None, metadata={"k1": 1, "k2": 2})
    answered = observation("o", name="answered", input="a question", output="an answer")
    for number, batch in enumerate([[asked, answered], [answered, asked]]):
        store = f"{root}{number}"
        load(store, write_lines(tmp_path / "a.jsonl", batch[:1]))
        load(store, write_lines(tmp_path / "b.jsonl", batch[1:]))
        assert column(store, "name") == {"o": "answered"}
        assert column(store, "output", "payloads") == {"o": "an answer"}
        assert column(store, "output_chars") == {"o": len("an answer")}


def test_identity_keeps_sources_projects_and_traces_apart(root):
    apart = [span("a"), span("a", source="other"), span("a", project="other"), span("a", trace_id="other"), span("b")]
    put(root, spans=apart)
    put(root, spans=apart)
    assert len(rows(root)) == 5


def test_the_same_export_twice_changes_nothing(root, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [*(observation(f"o{i}") for i in range(5)), langfuse_score("s"), b"{broken"])
    first = load(root, path)
    before = Store(root).head()["versions"], parquet_under(root), os.listdir(f"{root}/spans/_delta_log")
    again = load(root, path)
    assert (Store(root).head()["versions"], parquet_under(root), os.listdir(f"{root}/spans/_delta_log")) == before
    assert first.summary() == "kept 6 of 7 records; 1 quarantined, first reasons: not JSON (1)"
    assert again.repeated() == {"spans": 5, "scores": 1, "quarantine": 1}
    assert again.summary().endswith("; 7 stood there already or twice")


def test_a_row_whose_day_moved_stays_under_the_first_one(root):
    put(root, spans=[span("a", start_time=at(0), updated_at=at(0)), span("b")])
    put(root, spans=[span("a", start_time=at(86400 * 3), updated_at=at(86400 * 4))])
    assert column(root, "day") == {"a": dt.date(2026, 1, 5), "b": dt.date(2026, 1, 5)}
    assert column(root, "start_time")["a"] == at(86400 * 3)
    put(root, spans=[span("a", start_time=at(86400 * -3), updated_at=at(86400 * 5))])
    assert column(root, "day") == {"a": dt.date(2026, 1, 5), "b": dt.date(2026, 1, 5)}


def test_two_days_in_one_batch_give_one_row_under_the_earlier(root):
    put(root, spans=[span("a", start_time=at(86400), updated_at=at(1)), span("a", start_time=at(0), updated_at=at(0))])
    assert column(root, "day") == {"a": dt.date(2026, 1, 5)}
    assert column(root, "start_time") == {"a": at(86400)}


def test_a_span_without_start_stands_under_1970_and_is_not_doubled(root, tmp_path):
    lost = {"trace_id": "t", "span_id": "o", "kind": "llm"}
    for _ in range(2):
        load(root, write_lines(tmp_path / "a.jsonl", [lost]))
    assert column(root, "day") == {"o": dt.date(1970, 1, 1)}
    load(root, write_lines(tmp_path / "b.jsonl", [lost | {"start_time": "2026-01-05T10:00:00Z"}]))
    assert column(root, "day") == {"o": dt.date(1970, 1, 1)}
    assert column(root, "start_time") == {"o": at(0)}


def test_a_null_day_is_written_under_1970(root):
    put(root, spans=[span("a", day=None), span("b")])
    put(root, spans=[span("a", day=None), span("b")])
    assert column(root, "day") == {"a": dt.date(1970, 1, 1), "b": dt.date(2026, 1, 5)}


def test_late_scores_join_and_change(root, tmp_path):
    load(root, write_lines(tmp_path / "a.jsonl", [observation("o")]))
    load(root, write_lines(tmp_path / "b.jsonl", [langfuse_score("s")]))
    load(root, write_lines(tmp_path / "c.jsonl", [langfuse_score("s", value=0.9, updatedAt="2026-01-09T00:00:00Z")]))
    load(root, write_lines(tmp_path / "d.jsonl", [langfuse_score("s", value=0.1, updatedAt="2026-01-08T00:00:00Z")]))
    found = observations.open_store(root).query("SELECT s.value FROM scores s JOIN spans USING (source, project, trace_id)")
    assert found["value"].to_pylist() == [0.9]


def test_series_and_changes_are_upserted_by_their_own_identity(root):
    point = {"name": "nps", "time": at(0), "value": 30.0, "dimensions": [("region", "eu")]}
    other = point | {"dimensions": [("region", "us")], "value": 40.0}
    change = {"at": at(0), "kind": "release", "ref": "v2"}
    for _ in range(2):
        put(root, series=[point, other, point | {"dimensions": None}], changes=[change, change | {"ref": None}])
    assert len(rows(root, "series")) == 3
    assert len(rows(root, "changes")) == 2


def test_a_raw_copy_of_every_row_is_kept_as_given(root):
    """A value of each type comes back as it went in."""
    given = span(
        "a", tags=["x", "y,z", ""], metadata=[("k", "v"), ("n", None)], retrieval_scores=[0.1, None], response_cached=False,
        tokens_in=2**62, cost_recorded_usd=1e-12, end_time=at(1e-6),
    )  # fmt: skip
    put(root, spans=[given])
    put(root, spans=[span("b")])
    (found,) = [r for r in rows(root) if r["span_id"] == "a"]
    assert found == dict.fromkeys(SPANS.names) | given | {"metadata": {"k": "v", "n": None}}


# What is on disk


def test_tables_are_read_by_others_without_us(root, tmp_path):
    load(root, write_lines(tmp_path / "a.jsonl", [observation(f"o{i}", metadata={"team": "x"}, tags=["t"]) for i in range(3)]))
    table = DeltaTable(f"{root}/spans").to_pyarrow_table()
    assert sorted(table["span_id"].to_pylist()) == ["o0", "o1", "o2"]
    assert SPANS.problems(table.schema) == []
    assert [dict(m) for m in table["metadata"].to_pylist()] == [{"team": "x"}] * 3
    assert table["start_time"].to_pylist() == [at(0)] * 3
    assert table["tags"].to_pylist() == [["t"]] * 3
    assert table["day"].to_pylist() == [dt.date(2026, 1, 5)] * 3
    texts = DeltaTable(f"{root}/payloads").to_pandas()
    assert texts["output"].tolist() == ["ho"] * 3


def test_every_file_is_zstd_whichever_way_it_was_written(root, monkeypatch):
    monkeypatch.setattr(store_module, "CROWDED", 2)
    for number in range(4):
        put(root, spans=[span(f"s{number}"), span("again", updated_at=at(number))], scores=[score(f"s{number}")])
    files = parquet_under(root)
    codecs = {
        meta.row_group(g).column(c).compression
        for meta in map(pq.read_metadata, files)
        for g in range(meta.num_row_groups)
        for c in range(meta.num_columns)
    }
    assert len(files) > 8
    assert codecs == {"ZSTD"}


def test_the_log_holds_no_values(root, monkeypatch):
    """Statistics in the log would outlive an erasure."""
    monkeypatch.setattr(store_module, "CROWDED", 1)
    for number in range(3):
        put(root, spans=[span(f"s{number}", user_id="a-user-id")])
    log = [f for f in storekit.files_under(root) if "_delta_log" in f]
    assert log
    assert not [f for f in log if f in holding(root, "a-user-id")]


def test_small_files_are_joined_and_no_row_is_lost(root, monkeypatch):
    monkeypatch.setattr(store_module, "CROWDED", 3)
    for number in range(9):
        put(
            root,
            spans=[span(f"s{number}", tokens_in=number), span("moving", start_time=at(86400 * number), updated_at=at(number))],
        )
    assert column(root, "tokens_in") == {f"s{n}": n for n in range(9)} | {"moving": None}
    assert len(Store(root).snapshot().files["spans"]) <= 4


def test_old_versions_stay_for_a_week_and_orphans_go_after_it(root, monkeypatch):
    monkeypatch.setattr(store_module, "VACUUM_EVERY", 1)
    put(root, spans=[span("a", name="first")])
    old = Store(root).snapshot()
    fresh, stale = (f"{root}/spans/day=2026-01-05/part-{n}.parquet" for n in ("fresh", "stale"))
    for orphan in (fresh, stale):
        shutil.copy(old.files["spans"][0], orphan)
    os.utime(stale, (time.time() - 8 * 86400,) * 2)
    put(root, spans=[span("a", name="second", updated_at=at(9))])
    assert [r["name"] for r in rows(root, snapshot=old)] == ["first"]
    assert column(root, "name") == {"a": "second"}
    assert (os.path.exists(fresh), os.path.exists(stale)) == (True, False)


def test_staged_files_that_were_rewritten_do_not_stay(root, tmp_path):
    twice = write_lines(tmp_path / "a.jsonl", [observation("o"), observation("o", **SECOND)])
    load(root, twice)
    assert sorted(parquet_under(root)) == sorted(f for files in Store(root).snapshot().files.values() for f in files)


ODD_FOLDERS = [
    "with space",
    "ünïcode",
    "br[1]",
    "st*r",
    "qu?stion",
    "quote's",
    'double"quote',
    "hash#tag",
    "semi;colon",
    "{brace}",
]


@pytest.mark.parametrize("name", ODD_FOLDERS)
def test_a_store_may_stand_in_a_folder_of_any_name(tmp_path, name, monkeypatch):
    monkeypatch.setattr(store_module, "CROWDED", 1)
    root = str(tmp_path / name / "st ore")
    for number in range(3):
        put(root, spans=[span("a", name=str(number), updated_at=at(number)), span(f"s{number}")])
    assert column(root, "name") == {"a": "2", "s0": None, "s1": None, "s2": None}
    assert observations.open_store(root).erase(trace_id="t1")["spans"] == 4


@pytest.mark.parametrize("name", ["100%", "model=x/store", "back\\slash", ""])
def test_folders_that_tables_cannot_stand_under_are_refused(tmp_path, name):
    with pytest.raises(StoreError, match=r"cannot be a store; give a folder whose path has no %, = or backslash in it"):
        Store(str(tmp_path / name) if name else "")


def test_a_relative_store_survives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put("store", spans=[span("a")])
    obs = observations.open_store("store")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert obs.query("SELECT span_id FROM spans")["span_id"].to_pylist() == ["a"]


# Columns of a user's own


def test_a_new_column_is_null_in_rows_of_before(root, tmp_path):
    load(root, write_lines(tmp_path / "a.jsonl", [observation("old", metadata={"team": "x"})]))
    load(
        root,
        write_lines(tmp_path / "b.jsonl", [observation("new", metadata={"team": "y", "n": 3})]),
        mapping={"squad": "metadata.team"},
    )
    mapping = {"columns": {"size": {"path": "metadata.n", "type": "int"}}}
    load(root, write_lines(tmp_path / "c.jsonl", [observation("newer", metadata={"n": 4})]), mapping=mapping)
    assert column(root, "squad") == {"old": None, "new": "y", "newer": None}
    assert column(root, "size") == {"old": None, "new": None, "newer": 4}
    load(
        root,
        write_lines(tmp_path / "d.jsonl", [observation("old", metadata={"team": "x"}, **SECOND)]),
        mapping={"squad": "metadata.team"},
    )
    assert column(root, "squad") == {"old": "x", "new": "y", "newer": None}
    assert DeltaTable(f"{root}/spans").to_pandas().set_index("span_id")["size"]["newer"] == 4


def test_a_column_keeps_its_type(root):
    put(root, extra={"spans": {"size": "int"}}, spans=[span("a", size=3)])
    with pytest.raises(StoreError, match=r"column 'size' of spans is int in the store, not text; give it another name"):
        put(root, extra={"spans": {"size": "text"}}, spans=[span("b", size="big")])
    with pytest.raises(StoreError, match=r"column 'Size' of spans is 'size' in the store; write it the same way"):
        put(root, extra={"spans": {"Size": "int"}}, spans=[span("b", Size=4)])
    assert column(root, "size") == {"a": 3}


@pytest.mark.parametrize("kind", sorted(ARROW))
def test_a_column_of_any_type_survives_an_upsert(root, kind):
    value = {
        "text": "x", "json": "{}", "int": 1, "double": 0.5, "bool": True, "timestamp": at(1), "date": dt.date(2026, 1, 1),
        "list_text": ["x"], "list_double": [0.5], "map": [("k", "v")],
    }[kind]  # fmt: skip
    extra = {"spans": {"mine": kind}}
    put(root, extra=extra, spans=[span("a", mine=value), span("b", mine=value)])
    put(root, extra=extra, spans=[span("a", mine=value, updated_at=at(5)), span("c")])
    put(root, spans=[span("d")])
    wanted = {"k": "v"} if kind == "map" else value
    assert column(root, "mine") == {"a": wanted, "b": wanted, "c": None, "d": None}


# Writers and readers


def _holder(root, seconds: float) -> subprocess.Popen:
    """Another process that holds the writer lock and says so."""
    code = "import sys, time; from llmobs_nb.store.lock import writer_lock\nwith writer_lock(sys.argv[1]): print('held', flush=True); time.sleep(float(sys.argv[2]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, root, str(seconds)], stdout=subprocess.PIPE, cwd=os.path.dirname(os.path.dirname(__file__))
    )
    assert process.stdout.readline() == b"held\n"
    return process


@contextlib.contextmanager
def _held(root, seconds: float):
    process = _holder(root, seconds)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_writer_waits_then_gives_up_with_a_word(root):
    put(root, spans=[span("a")])
    with _held(root, 60) as holder:
        began = time.monotonic()
        with (
            pytest.raises(
                LockedError,
                match=rf"store '.*' is being written by process {holder.pid}; wait for it to end, or use another --store",
            ),
            Store(root).writing(wait_seconds=0.4),
        ):
            pass
        assert 0.4 <= time.monotonic() - began < 5
        assert column(root, "span_id") == {"a": "a"}
    put(root, spans=[span("b")])
    assert sorted(column(root, "span_id")) == ["a", "b"]


def test_a_second_writer_gets_in_when_the_first_ends(root):
    with _held(root, 1.0):
        put(root, spans=[span("a")])
    assert column(root, "span_id") == {"a": "a"}


def test_a_reader_keeps_its_version_while_others_write(root):
    put(root, spans=[span("a", name="first")], scores=[score("x")])
    early = observations.open_store(root)
    put(root, spans=[span("a", name="second", updated_at=at(9)), span("b")], scores=[score("y")])
    late = observations.open_store(root)
    assert early.query("SELECT name FROM spans")["name"].to_pylist() == ["first"]
    assert late.query("SELECT count(*) AS n FROM spans")["n"].to_pylist() == [2]
    assert (len(early.scores()), len(late.scores())) == (1, 2)


def test_a_reader_sees_nothing_of_a_commit_that_broke_half_way(root, monkeypatch):
    put(root, spans=[span("a")], scores=[score("x")], payloads=[span("a", input="one")])
    before = storekit.content(root)

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_facts", broken)
        with pytest.raises(KeyboardInterrupt):
            put(root, spans=[span("b")], scores=[score("y")], payloads=[span("b", input="two")])
    assert DeltaTable(f"{root}/scores").version() > Store(root).head()["versions"]["scores"]
    assert storekit.content(root) == before
    put(root, spans=[span("c")])
    assert sorted(column(root, "span_id")) == ["a", "c"]
    assert sorted(column(root, "value", "scores")) == ["x"]
    assert sorted(column(root, "input", "payloads")) == ["a"]


def test_taking_back_is_done_once(root, monkeypatch):
    """Runs that fail before they commit must not add a version each."""
    put(root, spans=[span("a")])
    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_move_head", lambda self, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            put(root, spans=[span("b")])
    for _ in range(3):
        with Store(root).writing():
            versions = DeltaTable(f"{root}/spans").version()
    assert versions == 3
    assert column(root, "span_id") == {"a": "a"}


def test_an_interrupted_first_commit_leaves_no_store(root, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_move_head", lambda self, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            put(root, spans=[span("a")])
    with pytest.raises(StoreError, match=r"store '.*' does not exist; make one with: llmobs ingest PATH --store "):
        observations.open_store(root)
    put(root, spans=[span("b")])
    assert column(root, "span_id") == {"b": "b"}


def test_a_column_added_by_an_interrupted_commit_is_taken_back(root, monkeypatch):
    put(root, spans=[span("a")])
    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_move_head", lambda self, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            put(root, extra={"spans": {"size": "int"}}, spans=[span("b", size=1)])
    put(root, extra={"spans": {"size": "text"}}, spans=[span("c", size="big")])
    assert column(root, "size") == {"a": None, "c": "big"}


# Damage


DAMAGED_HEADS = {
    "empty": "", "cut": '{"versions": {"sp', "list": "[]", "no versions": "{}", "null": "null", "versions list": '{"versions": []}',
    "version text": '{"versions": {"spans": "x"}}', "version null": '{"versions": {"spans": null}}', "binary": "\xff\xfe",
    "unknown table": '{"versions": {"nope": 1}}', "log": '{"versions": {}, "log": 5}', "commits": '{"versions": {}, "commits": "x"}',
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED_HEADS)
def test_a_damaged_head_is_named_and_the_cure_works(root, case):
    put(root, spans=[span("a")])
    put(root, spans=[span("b")])
    head, old = f"{root}/_llmobs/head.json", f"{root}/_llmobs/head.old.json"
    with open(head, "w", encoding="latin-1") as out:
        out.write(DAMAGED_HEADS[case])
    message = r"store '.*' has a damaged head \(.*\); put '.*head\.old\.json' in the place of '.*head\.json' and ingest the newest exports again"
    for act in (lambda: observations.open_store(root), lambda: put(root, spans=[span("c")]), lambda: Store(root).exists):
        with pytest.raises(StoreError, match=message) as caught:
            act()
        assert "\n" not in str(caught.value)
    shutil.copy(old, head)
    put(root, spans=[span("b")])
    assert sorted(column(root, "span_id")) == ["a", "b"]


def test_a_lost_head_does_not_make_a_writer_start_over(root):
    put(root, spans=[span("a")])
    put(root, spans=[span("b")])
    os.remove(f"{root}/_llmobs/head.json")
    with pytest.raises(StoreError, match=r"store '.*' has lost its head, but holds spans; put '.*head\.old\.json' in the place"):
        put(root, spans=[span("c")])
    with pytest.raises(StoreError, match=r"does not exist; make one with"):
        observations.open_store(root)
    shutil.copy(f"{root}/_llmobs/head.old.json", f"{root}/_llmobs/head.json")
    assert set(column(root, "span_id")) <= {"a", "b"} and "a" in column(root, "span_id")


def test_a_missing_table_is_named(root):
    put(root, spans=[span("a")], scores=[score("x")])
    shutil.rmtree(f"{root}/scores")
    for act in (lambda: observations.open_store(root), lambda: put(root, spans=[span("b")])):
        with pytest.raises(StoreError, match=r"table 'scores' of store '.*' is gone; ingest again into a new --store"):
            act()


def test_a_damaged_log_is_named(root):
    put(root, spans=[span("a")])
    with open(f"{root}/spans/_delta_log/00000000000000000001.json", "w") as out:
        out.write("garbage")
    for act in (lambda: observations.open_store(root), lambda: put(root, spans=[span("b")])):
        with pytest.raises(
            StoreError, match=r"table '.*spans' cannot be read: .*; restore it, or ingest again into a new --store"
        ) as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_log_that_lost_its_end_is_named(root):
    put(root, spans=[span("a")])
    os.remove(f"{root}/spans/_delta_log/00000000000000000001.json")
    with pytest.raises(StoreError, match=r"table '.*spans' cannot be read"):
        observations.open_store(root)
    with pytest.raises(StoreError, match=r"table 'spans' of store '.*' is gone"):
        put(root, spans=[span("b")])


@pytest.mark.parametrize("damage", ["gone", "garbage", "empty"])
def test_damaged_files_stop_a_writer_with_a_word(root, damage):
    put(root, spans=[span("a")])
    (path,) = parquet_under(root)
    os.remove(path)
    if damage != "gone":
        with open(path, "wb") as out:
            out.write(b"PAR1 garbage PAR1" if damage == "garbage" else b"")
    with pytest.raises(
        StoreError, match=r"store '.*' cannot be read or written: .*; make room, or ingest again into a new --store"
    ) as caught:
        put(root, spans=[span("a", updated_at=at(5))])
    assert "\n" not in str(caught.value)


def test_a_store_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(StoreError, match=r"store '.*' cannot be written: Not a directory; give a folder that you may write"):
            put(str(root), spans=[span("a")])
        with pytest.raises(StoreError, match=r"does not exist"):
            observations.open_store(root)


def test_no_store_is_named_with_the_cure(root):
    with pytest.raises(StoreError, match=r"store '.*' does not exist; make one with: llmobs ingest PATH --store .*store"):
        observations.open_store(root)
    assert not os.path.exists(root)


# Erasing


MARK = "marker-of-the-erased-9f3b"


def _around(trace: str, told: dict) -> list[dict]:
    """What a source keeps beside the traffic of a user: two comments, an item of a queue, a dataset and an experiment."""
    return [
        {"id": f"c1-{trace}", "objectType": "OBSERVATION", "objectId": f"{trace}-1", "content": told["userId"]},
        {"id": f"c2-{trace}", "objectType": "SESSION", "objectId": told["sessionId"], "content": told["userId"]},
        {"id": f"q-{trace}", "queueId": "q", "objectType": "TRACE", "objectId": trace},
        {"id": f"d-{trace}", "datasetId": "d", "expectedOutput": told["userId"], "sourceTraceId": trace},
        {"id": f"e-{trace}", "datasetRunId": "r", "datasetItemId": f"d-{trace}", "traceId": trace},
    ]


def _two_users(root, tmp_path) -> None:
    """A store in which one user left traces in every table, some overwritten, some joined, some orphaned; and another user."""
    gone = {"userId": MARK, "traceId": f"t-{MARK}", "sessionId": f"s-{MARK}"}
    kept = {"userId": "kept", "traceId": "t-kept", "sessionId": "s-kept"}
    for round_ in range(3):
        update = {"updatedAt": f"2026-01-05T1{round_}:30:00Z"}
        records = []
        for told in (gone, kept):
            trace = told["traceId"]
            records += [
                observation(
                    f"{trace}-1",
                    **told,
                    **update,
                    input=f"said by {told['userId']}",
                    metadata={"tenant_id": f"of-{told['userId']}"},
                ),
                observation(f"{trace}-{round_}-2", traceId=trace, parentObservationId=f"{trace}-1", output=told["userId"]),
                langfuse_score(
                    f"{trace}-{round_}-s", traceId=trace, comment=told["userId"], updatedAt=f"2026-01-06T1{round_}:00:00Z"
                ),
                langfuse_score(f"{trace}-{round_}-q", traceId=None, sessionId=told["sessionId"], comment=told["userId"]),
                langfuse_score(f"{trace}-{round_}-c", traceId=trace, dataType="CORRECTION", stringValue=told["userId"]),
                {
                    "id": trace,
                    "projectId": "p",
                    "name": told["userId"],
                    "userId": told["userId"],
                    "timestamp": "2026-01-05T10:00:00Z",
                    **update,
                    "sessionId": told["sessionId"],
                },
                *_around(trace, told),
                f'{{"broken {round_}": "{told["userId"]}"'.encode(),
            ]
        load(root, write_lines(tmp_path / f"{round_}.jsonl", records))


@pytest.mark.parametrize(
    "where", [{"user_id": MARK}, {"tenant_id": f"of-{MARK}"}, {"trace_id": f"t-{MARK}"}], ids=lambda w: next(iter(w))
)
def test_an_erased_one_is_in_no_file_any_more(root, tmp_path, monkeypatch, where):
    monkeypatch.setattr(store_module, "CROWDED", 1)
    _two_users(root, tmp_path)
    others = {name: [r for r in found if MARK not in repr(r)] for name, found in storekit.content(root).items()}
    assert holding(root, MARK)
    counts = observations.open_store(root).erase(**where)
    traffic = {"payloads": 4, "scores": 6, "corrections": 3, "trace_facts": 1, "spans": 4}
    pulled = {"dataset_items": 1, "experiment_items": 1, "queue_items": 1, "comments": 2, "vanished": 0}
    assert counts == traffic | pulled | {"quarantine": 3 if "user_id" in where else 0}
    left = holding(root, MARK)
    assert [f for f in left if "/quarantine/" not in f] == []
    assert bool(left) == ("user_id" not in where)
    assert {name: [r for r in found if MARK not in repr(r)] for name, found in storekit.content(root).items()} == others


def test_erasing_finds_the_traces_in_quarantine_too(root, tmp_path):
    lines = [
        observation("o", userId="u1"),
        b'{"broken": 1, "traceId": "t1"',
        b'{"broken": 2, "traceId": "t12"',
        b'{"broken": 3, "user": "u1"',
    ]
    load(root, write_lines(tmp_path / "a.jsonl", [*lines, observation("p", traceId="t12")]))
    assert observations.open_store(root).erase(user_id="u1")["quarantine"] == 2
    assert [r["raw"] for r in rows(root, "quarantine")] == ['{"broken": 2, "traceId": "t12"']


def test_erasing_takes_no_neighbour_along(root):
    put(root, spans=[span("a", trace_id="t1", user_id="1"), span("b", trace_id="t2", user_id="12"), span("c", trace_id="t3")])
    assert observations.open_store(root).erase(user_id="1")["spans"] == 1
    assert observations.open_store(root).erase(user_id="nobody")["spans"] == 0
    assert observations.open_store(root).erase(user_id="' OR 1=1 --")["spans"] == 0
    assert sorted(column(root, "span_id")) == ["b", "c"]


def test_erasing_by_two_things_takes_what_matches_both(root):
    people = [
        span("a", trace_id="t1", user_id="u", tenant_id="x"),
        span("b", trace_id="t2", user_id="u", tenant_id="y"),
        span("c", trace_id="t3", user_id="v", tenant_id="x"),
    ]
    put(root, spans=people)
    assert observations.open_store(root).erase(user_id="u", tenant_id="x")["spans"] == 1
    assert sorted(column(root, "span_id")) == ["b", "c"]


def test_scores_of_a_session_stay_while_a_trace_of_it_stays(root):
    whole = {"trace_id": None, "session_id": "s"}
    put(
        root,
        spans=[span("a", trace_id="t1", session_id="s"), span("b", trace_id="t2", session_id="s")],
        scores=[score("x", **whole)],
    )
    assert observations.open_store(root).erase(trace_id="t1")["scores"] == 0
    assert observations.open_store(root).erase(trace_id="t2")["scores"] == 1


def test_erasing_a_trace_of_which_only_scores_are_stored(root):
    put(root, scores=[score("x", trace_id="t1"), score("y", trace_id="t2")])
    assert observations.open_store(root).erase(trace_id="t1")["scores"] == 1
    assert sorted(column(root, "value", "scores")) == ["y"]


def test_an_interrupted_erasure_is_taken_back_or_finished(root, monkeypatch):
    put(
        root,
        spans=[span("a", trace_id="t1", user_id=MARK), span("b", trace_id="t2")],
        payloads=[span("a", trace_id="t1", input=MARK)],
    )
    before = storekit.content(root)
    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_move_head", lambda self, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            observations.open_store(root).erase(user_id=MARK)
    assert storekit.content(root) == before
    put(root, spans=[span("c", trace_id="t2")])
    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "_forget", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            observations.open_store(root).erase(user_id=MARK)
    assert sorted(column(root, "span_id")) == ["b", "c"]
    assert holding(root, MARK)
    put(root, spans=[span("d", trace_id="t2")])
    assert holding(root, MARK) == []
    assert sorted(column(root, "span_id")) == ["b", "c", "d"]


def test_what_an_interrupted_run_spilled_is_gone_with_the_next(root):
    put(root, spans=[span("a")])
    os.makedirs(f"{root}/_llmobs/spill")
    with open(f"{root}/_llmobs/spill/left.tmp", "w") as out:
        out.write(MARK)
    put(root, spans=[span("b")])
    assert holding(root, MARK) == []


# The declaration


def test_the_head_remembers_what_was_read(root, tmp_path):
    load(root, write_lines(tmp_path / "a.jsonl", [observation("o")]))
    with open(f"{root}/_llmobs/head.json") as handle:
        head = json.load(handle)
    assert head["commits"] == 1
    assert head["versions"].keys() == {"spans", "payloads"}
    assert head["log"][0]["formats"] == {"langfuse.export": 1}


def test_every_table_takes_a_row_of_nulls_but_its_identity(root):
    """No column may be needed that a source may leave out."""
    for table in TABLES.values():
        given = {
            f.name: {"timestamp": at(0), "map": None, "date": None}.get(f.type, "x") for f in table if f.name in table.identity
        }
        for _ in range(2):
            put(root, **{table.name: [given]})
        assert len(rows(root, table.name)) == 1, table.name


def test_frames_upsert_like_files(root):
    frame = pd.DataFrame(
        {"trace_id": ["t", "t"], "span_id": ["a", "b"], "start_time": ["2026-01-05T10:00:00Z"] * 2, "kind": "llm"}
    )
    for _ in range(2):
        observations.load(frame, store=root)
    assert sorted(column(root, "span_id")) == ["a", "b"]
    assert SCORES.identity == ("source", "project", "score_id") and SERIES.newest == ()
