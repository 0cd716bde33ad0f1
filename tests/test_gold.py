"""Gold: each example once, in a file that only grows, whole after any crash; counted by the store, loaded by both vendors."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import reviewkit as kit
import storekit
from doubles.http import serving
from pushkit import Langfuse, LangSmith

import llmobs_nb as lm
from llmobs_nb.analyses.review import gold, golden, goldfile, promote, promoted, push_gold
from llmobs_nb.errors import LockedError, UsageError
from llmobs_nb.sources import pushing
from llmobs_nb.sources.tables.frames import read_table
from llmobs_nb.store.store import Store

ROOT = Path(__file__).parents[1]
KEY = "sk-lf-abcdefgh12345678"


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """Six traces: t003 asks what t000 asks, in other case and spacing; t004 has a corrected answer and a secret, t005 no input."""
    made = [kit.trace(n) for n in range(6)]
    made[3]["payloads"][0]["input"] = "  how ABOUT the refund of an\norder paid by card? (0) "
    made[4]["payloads"][0]["output"] = f"use {KEY}"
    made[5]["payloads"][0]["input"] = None
    tables = {name: [row for one in made for row in one[name]] for name in made[0]}
    given = {"trace_id": "t004", "source": "langfuse", "project": "shop", "created_at": kit.DAY}
    fixes = [
        given | {"correction_id": f"c{n}", "expected": f"answer {n}", "updated_at": kit.DAY + dt.timedelta(hours=n)}
        for n in (2, 1)
    ]
    root = tmp_path_factory.mktemp("shop") / "store"
    storekit.put(root, corrections=fixes, **tables)
    return root


@pytest.fixture
def obs(stocked, root):
    return lm.open(shutil.copytree(stocked, root), threads=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sets" / "gold.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_what_an_evaluation_needs(obs, path):
    kit.queue(obs.store, count=1).label("t000", "fail", note="wrong page", categories=["citation"])
    done = promote(lm.open(obs.store), ["t000"], to=path, expected="See page 7.")
    assert (done.new, done.there, done.left, done.note) == (1, 0, (), "")
    (row,) = lines(path)
    at = dt.datetime.fromisoformat(row.pop("promoted_at"))
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=5)
    assert len(row.pop("id")) == 16
    verdict = next(one for one in row.pop("labels") if one["name"] == "review:verdict")
    assert verdict == {
        "name": "review:verdict",
        "value": 0.0,
        "label": "fail",
        "rater": "human",
        "rater_id": "ana",
        "comment": "wrong page",
    }
    assert row == {
        "input": "How about the refund of an order paid by card? (0)", "expected": "See page 7.",
        "actual": "For the refund of an order paid by card see page 0.", "retrieval_ids": ["doc-0", "doc-x"], "prompt_name": "answer",
        "prompt_version": "v12", "source_url": "https://shop.example/t000", "category": ["citation"], "trace_id": "t000",
    }  # fmt: skip


def test_an_example_is_there_once_whatever_its_case_and_spacing(obs, path):
    assert repr(promote(obs, ["t000", "t001"], to=path)) == f"<Promoted {path}: 2 new, 0 already there>"
    before = path.read_bytes()
    assert promote(obs, ["t000", "t003", "t001"], to=path).new == 0
    assert path.read_bytes() == before
    assert promote(obs, ["t003"], to=path, expected="else").new == 1
    assert promote(obs, ["t000"], to=path, expected=" ELSE").there == 1
    assert path.read_bytes().startswith(before)
    assert [row["expected"] for row in lines(path)] == [None, None, "else"]


def test_the_order_of_json_keys_makes_no_other_example():
    keys = [{"input": '{"a": 1, "b": "X"}', "expected": None}, {"input": '{"b": "x",  "a": 1}'}, {"input": '{"a": 2, "b": "X"}'}]
    made = {golden._key(one) for one in keys}
    assert len(made) == 2


def test_without_an_answer_the_newest_correction_is_expected(obs, path):
    promote(obs, SimpleNamespace(reading_list=["t004"]), to=path)
    assert lines(path)[0]["expected"] == "answer 2"


def test_what_looks_like_a_credential_is_masked(obs, path):
    promote(obs, "t004", to=path, expected={"t004": {"never": f"say {KEY}"}})
    assert KEY not in path.read_text()
    assert lines(path)[0]["actual"].startswith("use sk-")


def test_a_trace_without_input_is_left_out_with_the_reason(obs, path):
    done = promote(obs, ["t005", "t000"], to=path)
    assert (done.new, done.left) == (1, (("t005", "it has no input"),))
    assert "1 left out (it has no input)" in repr(done)
    assert promote(obs, ["t005"], to=path).new == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"traces": ["no"]}, r"traces: the store holds no no \(1 of 1 are unknown\)"),
        ({"traces": ["t000", "t001"], "expected": "x"}, r"expected is one answer for 2 traces; give \{trace_id: answer\}"),
        ({"traces": ["t000"], "expected": {"t000": "x", "t9": "y"}}, r"expected: trace 't9' is not among the traces; name it there"),
        ({"traces": ["t000"], "to": "s3://b/gold.jsonl"}, r"to='s3://b/gold.jsonl' is no local file; give a path such as gold.jsonl"),
    ],
)  # fmt: skip
def test_what_cannot_be_promoted_says_why(obs, path, given, said):
    with pytest.raises(UsageError, match=said):
        promote(obs, **({"to": path} | given))
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_named(obs, tmp_path):
    with pytest.raises(UsageError, match=r"file '.*' cannot be used: Is a directory; give to= a file that you may write"):
        promote(obs, ["t000"], to=tmp_path)


# --- the file


def add(path, *rows):
    return goldfile.append(path, [{"k": k} for k in rows], key=lambda row: str(row.get("k")))


@pytest.mark.parametrize("written", [0, 1, 9, 25])
def test_an_interrupted_batch_is_finished_by_the_next_writer(path, monkeypatch, written):
    add(path, "before")
    real = goldfile._write

    def cut(file, told):
        file.write(told[:written])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(goldfile, "_write", cut)
        with pytest.raises(KeyboardInterrupt):
            add(path, "one", "two")
    assert goldfile._write is real
    assert len(add(path, "two", "three").there) == 1
    assert [row["k"] for row in lines(path)] == ["before", "one", "two", "three"]
    assert [p.name for p in path.parent.iterdir()] == ["gold.jsonl"]


@pytest.mark.parametrize("copy", [b"", b"12", b"0\n", b'0\n{"k": "ne', b'7\n{"k": "other"}\n', b"x\ny\n"])
def test_a_copy_that_does_not_fit_is_dropped_and_nothing_is_lost(path, copy):
    add(path, "one")
    path.with_name(".gold.jsonl.adding").write_bytes(copy)
    add(path, "two")
    assert [row["k"] for row in lines(path)] == ["one", "two"]


def test_a_line_that_somebody_else_cut_is_counted_and_stays(path):
    add(path, "one")
    with open(path, "ab") as file:
        file.write(b'{"k": "tor')
    assert add(path, "two").damaged == 1
    assert path.read_bytes() == b'{"k": "one"}\n{"k": "tor\n{"k": "two"}\n'
    assert goldfile.read(path) == ([{"k": "one"}, {"k": "two"}], 1)


def test_a_file_that_another_holds_is_waited_for_then_refused(path):
    add(path, "one")
    with (
        open(path, "ab") as file,
        goldfile._locked(file, path, 0),
        pytest.raises(LockedError, match=r"gold.jsonl' is being written by another process; run the same again"),
    ):
        goldfile.append(path, [{"k": "two"}], key=str, wait_seconds=0.1)
    assert len(lines(path)) == 1


def test_many_processes_at_once_write_each_example_once(path):
    code = (
        "import sys\nfrom llmobs_nb.analyses.review import goldfile\n"
        "for n in range(60): goldfile.append(sys.argv[1], [{'k': str(n)}], key=lambda row: row['k'])"
    )
    given = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    running = [subprocess.Popen([sys.executable, "-c", code, path], env=given) for _ in range(2)]
    assert [p.wait(timeout=120) for p in running] == [0, 0]
    assert sorted(int(row["k"]) for row in lines(path)) == list(range(60))


# --- the store


def test_the_store_counts_what_became_gold_and_when(obs, path):
    began = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    promote(obs, ["t000", "t001"], to=path)
    promote(obs, ["t001", "t002"], to=path)
    now = lm.open(obs.store)
    assert promoted(now, began, began + dt.timedelta(days=7)) == 3
    assert promoted(now, began - dt.timedelta(days=7), began) == 0
    assert promoted(now.where(feature="search").between("2026-11-02", "2026-11-03"), began, began + dt.timedelta(days=7)) == 3
    now.erase(trace_id="t001")
    assert promoted(lm.open(obs.store), began, began + dt.timedelta(days=7)) == 2


def test_a_store_that_cannot_be_written_does_not_lose_the_gold(obs, path, monkeypatch):
    began = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)

    def locked(self, **_):
        raise LockedError("store 's' is being written by process 7")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "writing", locked)
        done = promote(obs, ["t000"], to=path)
    assert done.new == 1
    assert "the store does not count them yet, run the same again: store 's' is being written by process 7" in repr(done)
    assert promoted(lm.open(obs.store), began, dt.datetime.now(dt.UTC)) == 0
    assert promote(obs, ["t000"], to=path).there == 1
    assert promoted(lm.open(obs.store), began, dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)) == 1


def test_lines_of_others_are_examples_but_not_of_our_making(obs, path):
    path.parent.mkdir()
    path.write_text('{"input": "How about the refund of an order paid by card? (0)", "expected": null}\n[1]\n')
    done = promote(obs, ["t000", "t001"], to=path)
    assert (done.new, done.there, done.damaged) == (1, 1, 1)
    assert "lines of the file that are no record: 1" in repr(done)
    assert len(storekit.rows(obs.store, "dataset_items")) == 1


# --- to the vendors


@pytest.mark.parametrize(("to", "kind"), [("langfuse", Langfuse), ("langsmith", LangSmith)])
def test_gold_loads_into_a_dataset_of_a_vendor_once(obs, path, monkeypatch, to, kind):
    monkeypatch.setattr(pushing, "PAUSES", (0.0,))
    promote(obs, ["t000", "t004"], to=path, expected={"t004": "Page 9."})
    told = push_gold(obs, path, to=to)
    assert told.dry_run and [line.word for line in told.lines] == ["would"] * 2
    recorder = kind()
    with serving(recorder) as url:
        for name, value in recorder.env(url).items():
            monkeypatch.setenv(name, value)
        assert [line.word for line in push_gold(obs, path, to=to, dry_run=False).lines] == ["went"] * 2
        assert [line.word for line in push_gold(obs, path, to=to, dry_run=False).lines] == ["stood"] * 2
    held = list((recorder.items if to == "langfuse" else recorder.examples).values())
    assert len(held) == 2
    assert all(part in repr(held) for part in ("How about the refund", "Page 9.", "prompt_version", "v12", "doc-x"))


def test_the_file_itself_is_what_the_command_line_pushes(obs, path):
    promote(obs, ["t000", "t001"], to=path)
    assert [line.word for line in lm.push(obs, to="langfuse", dataset=("gold", read_table(str(path)))).lines] == ["would"] * 2


def test_gold_reads_back_as_a_table_of_examples(obs, path):
    promote(obs, ["t000"], to=path, expected="x")
    with open(path, "a") as file:
        file.write('{"note": "no input"}\nnothing\n')
    table = gold(path)
    assert list(table.columns) == ["input", "expected", "metadata", "trace_id"]
    assert (len(table), table.expected[0], table.metadata[0]["prompt_version"]) == (1, "x", "v12")
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize(
    ("text", "said"), [("", "holds no example; make some"), ("junk\n", "holds no example; lines of it that are no record: 1")]
)
def test_a_file_without_examples_says_so(path, text, said):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        gold(path)
    path.unlink()
    with pytest.raises(UsageError, match=r"holds no example; make some with lm\.promote"):
        gold(path)
