"""Damage by the thousand, at the readers; and what whole folders, odd files and huge values come to in a store."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
import time
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storekit import column, langfuse_score, load, observation, rows, write_lines

from llmobs_nb.errors import InputError, LlmobsError
from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad
from llmobs_nb.sources.files import expand

OBSERVATIONS = [observation(f"o{n}", metadata={"n": n, "nested": {"deep": ["a", None]}}) for n in range(6)]
LANGFUSE = {"traceId": "t", "projectId": "p", "startTime": "2026-01-05T10:00:00Z", "type": "SPAN"}


def read(path, wanted: str = "auto") -> tuple[list, list[Bad]]:
    """What a file's own reader gives: records and bad ones."""
    item = expand([path])[0]
    head = registry.head_of(item)
    found = list(registry.recognise(item, head, wanted).read(item, head))
    return [r for r in found if not isinstance(r, Bad)], [r for r in found if isinstance(r, Bad)]


def survives(path, wanted: str = "auto") -> tuple[list, list[Bad]] | None:
    """``read``, or None where nothing is found or the file is refused with a word of ours; no other error may come out."""
    try:
        found = read(path, wanted)
    except LlmobsError as error:
        assert "\n" not in str(error)
        return None
    return found if any(found) else None


# Small files of every kind


def _otlp() -> dict:
    attributes = [
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}},
    ]
    times = {"startTimeUnixNano": "1767607200000000000", "endTimeUnixNano": "1767607201000000000"}
    spans = [
        {"traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "chat", "attributes": attributes, **times} for n in (1, 2, 3)
    ]
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}


def _langsmith(n: int) -> dict:
    return {
        "id": f"00000000-0000-4000-8000-00000000000{n}", "trace_id": "00000000-0000-4000-8000-000000000001", "run_type": "llm", "name": "ChatOpenAI",
        "start_time": "2026-01-05T10:00:00", "end_time": "2026-01-05T10:00:01", "session_id": "p", "dotted_order": "20260105T100000000000Z0",
        "inputs": {"messages": [{"role": "user", "content": "hi"}]}, "outputs": {"text": "ho"}, "prompt_tokens": 3, "completion_tokens": 4,
    }  # fmt: skip


def _canonical(n: int) -> dict:
    return {
        "trace_id": f"t{n}", "span_id": f"s{n}", "kind": "llm", "name": 'a "quoted", name', "start_time": "2026-01-05T10:00:00Z", "model": "gpt-4o",
        "tokens_in": n, "input": "text\nin two lines",
    }  # fmt: skip


def _litellm(n: int) -> dict:
    return {
        "id": f"c{n}", "trace_id": f"t{n}", "call_type": "acompletion", "model": "gpt-4o", "startTime": 1767607200.0, "endTime": 1767607201.0,
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "response_cost": 0.01, "messages": [{"role": "user", "content": "hi"}],
        "response": {"choices": []}, "metadata": {"user_api_key_hash": "h"}, "hidden_params": {}, "status": "success",
    }  # fmt: skip


def _document() -> dict:
    return {
        "id": "t1",
        "projectId": "p",
        "timestamp": "2026-01-05T10:00:00Z",
        "name": "n",
        "observations": OBSERVATIONS[:3],
        "scores": [langfuse_score("s1")],
    }


def _text(values) -> bytes:
    return "\n".join(json.dumps(v) for v in values).encode()


SOURCES = {
    "langfuse.jsonl": lambda: _text([*OBSERVATIONS, langfuse_score("s1")]),
    "langfuse.json": lambda: json.dumps(OBSERVATIONS).encode(),
    "page.json": lambda: json.dumps({"data": OBSERVATIONS, "meta": {"page": 1}}, indent=1).encode(),
    "trace.json": lambda: json.dumps(_document()).encode(),
    "otlp.json": lambda: json.dumps(_otlp()).encode(),
    "otlp.jsonl": lambda: _text(_otlp() for _ in range(3)),
    "langsmith.jsonl": lambda: _text(_langsmith(n) for n in range(4)),
    "litellm.jsonl": lambda: _text(_litellm(n) for n in range(4)),
    "spans.jsonl": lambda: _text(_canonical(n) for n in range(4)),
    "spans.csv": lambda: pd.DataFrame([_canonical(n) for n in range(4)]).to_csv(index=False).encode(),
    "changes.csv": lambda: (
        b'at,kind,ref,note,author\n2026-01-05T10:00:00Z,release,v1,,x\n2026-01-06T10:00:00Z,prompt,p@2,"a, b",y\n'
    ),
    "prompts.json": lambda: json.dumps({"p@1": "You are brief.", "p@2": "You are {mood}."}).encode(),
}
ONE_A_LINE = ("langfuse.jsonl", "langsmith.jsonl", "litellm.jsonl", "spans.jsonl")


def _zipped(raw: bytes, name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, raw)
    return out.getvalue()


PACKED = {
    "gz": lambda raw, name: gzip.compress(raw, mtime=0),
    "zst": lambda raw, name: pa.compress(raw, "zstd", asbytes=True),
    "zip": _zipped,
}
STRUCTURE = [b'"', b"{", b"}", b"[", b"]", b"\n", b"\\", b",", b"\0", b"\xff", b"1e999", b"null"]


def damaged(raw: bytes, luck: random.Random) -> bytes:
    """Cut off, cut out, put in, overwritten, or a few bits flipped."""
    kind, at = luck.randrange(5), luck.randrange(len(raw))
    if kind == 0:
        return raw[: max(1, at)]
    if kind == 1:
        return raw[:at] + raw[at + luck.randrange(1, 20) :]
    if kind == 2:
        return raw[:at] + luck.randbytes(luck.randrange(1, 8)) + raw[at:]
    if kind == 3:
        return raw[:at] + luck.choice(STRUCTURE) + raw[at + 1 :]
    flipped = bytearray(raw)
    for _ in range(luck.choice([1, 1, 1, 4])):
        flipped[luck.randrange(len(raw))] ^= 1 << luck.randrange(8)
    return bytes(flipped)


@pytest.mark.parametrize("name", SOURCES)
def test_the_small_files_are_whole_to_begin_with(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SOURCES[name]())
    records, bads = read(path)
    assert records and not bads
    for packing, pack in PACKED.items():
        packed = tmp_path / f"{name}.{packing}"
        packed.write_bytes(pack(SOURCES[name](), name))
        assert [r.data for r in read(packed)[0]] == [r.data for r in records], packing


@pytest.mark.parametrize("name", SOURCES)
def test_a_reader_survives_damage_anywhere(tmp_path, name):
    """300 damages each; of files with a record a line, every line is kept or counted."""
    raw, path, luck = SOURCES[name](), tmp_path / name, random.Random(name)
    read_any = 0
    for _ in range(300):
        broken = damaged(raw, luck)
        path.write_bytes(broken)
        found = survives(path)
        read_any += found is not None
        if found and name in ONE_A_LINE:
            assert len(found[0]) + len(found[1]) >= len([p for p in broken.split(b"\n") if p.strip()])
    assert read_any > 30


@pytest.mark.parametrize(
    "name", ["langfuse.jsonl", "langfuse.json", "spans.csv", "otlp.json", "langsmith.jsonl", "litellm.jsonl"]
)
@pytest.mark.parametrize("packing", PACKED)
def test_less_than_all_of_a_packed_file_is_never_without_a_word(tmp_path, name, packing):
    """150 damages each."""
    raw, path, luck = SOURCES[name](), tmp_path / f"{name}.{packing}", random.Random(name + packing)
    packed = PACKED[packing](raw, name)
    path.write_bytes(packed)
    whole = len(read(path)[0])
    for _ in range(150):
        path.write_bytes(damaged(packed, luck))
        found = survives(path)
        assert found is None or found[1] or len(found[0]) >= whole


def test_no_line_suffers_from_its_neighbours(tmp_path):
    """Every third byte of a file of lines becomes each of several others: all other lines are kept, every piece is counted."""
    lines = [json.dumps({"id": f"o{n}", **LANGFUSE}).encode() for n in range(4)]
    raw, path = b"\n".join(lines), tmp_path / "lf.jsonl"
    for at in range(0, len(raw), 3):
        for new in (b"\n", b'"', b"\\", b"{", b"\xff"):
            broken = raw[:at] + new + raw[at + 1 :]
            path.write_bytes(broken)
            records, bads = survives(path, "langfuse")
            untouched = {json.loads(line)["id"] for line in broken.split(b"\n") if line in lines}
            assert {r.data.get("id") for r in records} >= untouched
            assert len(records) + len(bads) == len([p for p in broken.split(b"\n") if p.strip()])


def test_nothing_of_an_array_is_lost_without_a_word(tmp_path):
    """Every byte of an array of records, one after the other, becomes each structural one."""
    raw = json.dumps([{"id": f"o{n}", **LANGFUSE, "a": {"b": ["}"]}} for n in range(3)]).encode()
    path = tmp_path / "lf.json"
    for at in range(len(raw)):
        for new in b'"\\{}[],:\n0':
            path.write_bytes(raw[:at] + bytes([new]) + raw[at + 1 :])
            found = survives(path, "langfuse")
            assert found is None or found[1] or len(found[0]) == 3, (at, chr(new))


STARTS = [b"", b"{", b"[", b'{"a":1}\n', b"a,b\n", b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"]
ASKED = ("auto", "canonical", "langfuse", "langsmith", "otel", "phoenix", "mlflow", "litellm", "helicone", "logs", "tables")


@given(raw=st.binary(max_size=200), start=st.sampled_from(STARTS))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_bytes_under_any_format_are_survived(tmp_path_factory, raw, start):
    path = tmp_path_factory.mktemp("any", numbered=True) / "x"
    path.write_bytes(start + raw)
    for wanted in ASKED:
        survives(path, wanted)


PARQUET_CHILD = """
import pathlib, random, sys
from storekit import load
from test_damage import damaged
from llmobs_nb.errors import LlmobsError
folder, luck = pathlib.Path(sys.argv[1]), random.Random(7)
good = (folder / "good.parquet").read_bytes()
for number in range(int(sys.argv[2])):
    (folder / "bad.parquet").write_bytes(good[:4] + damaged(good[4:], luck))
    try:
        done = load(folder / "store", folder / "bad.parquet")
        print("kept", done.tally.kept.get("spans", 0), done.tally.quarantined, flush=True)
    except LlmobsError as error:
        assert chr(10) not in str(error)
        print("refused", type(error).__name__, flush=True)
"""


def test_damaged_parquet_is_read_or_refused_and_brings_nobody_down(tmp_path):
    """40 damages, in a process of its own: a fault in the engine's C++ would end it."""
    frame = pa.table({
        "trace_id": [f"t{n}" for n in range(6)], "span_id": [f"s{n}" for n in range(6)], "kind": ["llm"] * 6, "tokens_in": list(range(6)),
        "metadata": pa.array([[("k", str(n))] for n in range(6)], pa.map_(pa.string(), pa.string())), "tags": [["a", "b"]] * 6, "input": ["text " * 9] * 6,
    })  # fmt: skip
    pq.write_table(frame, tmp_path / "good.parquet")
    here = os.path.dirname(os.path.abspath(__file__))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(here), here])}
    done = subprocess.run(
        [sys.executable, "-c", PARQUET_CHILD, str(tmp_path), "40"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == 40
    assert {a.split()[0] for a in answers} == {"kept", "refused"}


# Whole folders, odd files


def test_a_folder_with_all_sorts_of_files_keeps_what_can_be_read(root, tmp_path):
    folder = tmp_path / "exports"
    (folder / "deeper" / "still").mkdir(parents=True)
    write_lines(folder / "a.jsonl", OBSERVATIONS[:2])
    write_lines(folder / "deeper" / "still" / "b.jsonl", OBSERVATIONS[2:4])
    written = {
        "empty.jsonl": b"", "blank.jsonl": b"\n \n\n", "picture.bin": b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "zeros.dat": bytes(1000),
        "broken.gz": b"\x1f\x8b\x08broken", "broken.zip": b"PK\x03\x04broken", "broken.parquet": b"PAR1broken", "README.md": b"prose",
    }  # fmt: skip
    for name, raw in written.items():
        (folder / name).write_bytes(raw)
    pq.write_table(
        pa.table({"trace_id": ["t"] * 9, "span_id": ["s"] * 9, "kind": ["llm"] * 9}), folder / "cut.parquet", compression="none"
    )
    whole = (folder / "cut.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[:4] + bytes(40) + whole[44:])
    (folder / "again").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    done = load(root, folder)
    assert sorted(column(root, "span_id")) == ["o0", "o1", "o2", "o3"]
    refused = {os.path.basename(r["file"]): r["reason"] for r in rows(root, "quarantine")}
    assert refused.keys() == {"picture.bin", "zeros.dat", "broken.gz", "broken.zip", "broken.parquet", "cut.parquet", "pipe"} | (
        {"again"} & refused.keys()
    )
    assert refused["cut.parquet"].startswith("the file is damaged from here: file ")
    assert refused["broken.zip"].startswith("unreadable file: archive ")
    assert done.summary().startswith(f"kept 4 of {4 + len(refused)} records; {len(refused)} quarantined")


REFUSED = {
    "nothing": (b"", r"file '.*' has a format that is not known \(empty\); name it with --format, one of: auto, "),
    "blank": (b"\n\n  \n", r"format that is not known \(empty\)"),
    "text": (b"hello world\nthis is text\n", r"format that is not known \(no JSON, CSV or Parquet\)"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), r"format that is not known"),
    "numbers": (b"[1, 2, 3]", r"format that is not known"),
    "an empty array": (b"[]", r"format that is not known"),
    "strange records": (b'{"colour": "red"}\n', r"format that is not known \(lines, first record has colour\)"),
    "strange table": (b"colour,shape\nred,round\n", r"format that is not known \(csv, first record has colour, shape\)"),
    "a name in two lines": (b'"col\nour",shape\nred,round\n', r"format that is not known \(csv, first record has col our, shape\)"),
    "a header alone": (b"trace_id,span_id,start_time,kind\n", r"nothing to keep in .*: it holds no record; check the file, or say what it is"),
    "only bad rows": (json.dumps(observation("o", startTime="yesterday")).encode(), r"nothing to keep in .*: startTime is not a time \(1\)"),
    "gzip": (b"\x1f\x8b", r"file '.*' cannot be read: .*; export it again"),
    "zstd": (b"\x28\xb5\x2f\xfd", r"file '.*' cannot be read: .*; export it again"),
    "zip": (b"PK\x03\x04", r"archive '.*' cannot be read: .*; write it again or name its files one by one"),
    "parquet": (b"PAR1" + b"x" * 50 + b"PAR1", r"file '.*' is not readable Parquet: .*; export it again"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_of_which_nothing_can_be_kept_is_refused_with_a_word(root, tmp_path, case):
    raw, message = REFUSED[case]
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        load(root, tmp_path / "file")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_vendor_that_is_named_reads_what_nobody_recognises(root, tmp_path):
    (tmp_path / "file").write_bytes(b'[{"id": "cut')
    with pytest.raises(InputError, match=r"nothing to keep in .*file: not JSON \(1\); check the file"):
        load(root, tmp_path / "file", format="langfuse")


def test_paths_that_are_no_files_are_refused_with_a_word(root, tmp_path):
    with pytest.raises(
        InputError, match=r"path '.*gone\.jsonl' does not exist; name a file, a glob or a folder that holds exports"
    ):
        load(root, tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match=r"path '.*\*\.none' does not exist"):
        load(root, tmp_path / "*.none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"no file to read in .*folder; name a file, a glob or a folder that holds exports"):
        load(root, tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"'.*pipe' is no regular file; write its content to a file first"):
        load(root, tmp_path / "pipe")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(InputError, match=r"path '.*one' does not exist"):
        load(root, tmp_path / "one")
    assert not os.path.exists(f"{root}/spans")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused_with_a_word(root, tmp_path):
    path = tmp_path / "secret.jsonl"
    write_lines(path, OBSERVATIONS)
    path.chmod(0)
    with pytest.raises(
        InputError, match=r"file '.*secret\.jsonl' cannot be read: Permission denied; check the path and its permissions"
    ):
        load(root, path)


ODD_NAMES = [
    "with space.jsonl",
    "br[1].jsonl",
    "st*r.jsonl",
    "qu?stion.jsonl",
    "quote's.jsonl",
    "ü%41.jsonl",
    "back\\slash.jsonl",
    "-dash.jsonl",
]


def test_files_of_any_name_are_read_and_only_they(root, tmp_path):
    """Glob characters in a name are part of the name: only the very file is read, by the engine's fast paths too."""
    for number, name in enumerate(ODD_NAMES):
        write_lines(tmp_path / name.replace("*", "x").replace("?", "x"), [observation("other")])
        write_lines(tmp_path / name, [observation(f"o{number}")])
        frame = pa.table({"trace_id": ["t1"], "span_id": [f"p{number}"], "kind": ["llm"]})
        pq.write_table(frame, tmp_path / name.replace("jsonl", "parquet"))
    load(root, *(tmp_path / n for n in ODD_NAMES), *(tmp_path / n.replace("jsonl", "parquet") for n in ODD_NAMES))
    assert sorted(column(root, "span_id")) == sorted(f"{c}{n}" for c in "op" for n in range(len(ODD_NAMES)))


def test_a_parquet_file_may_stand_in_any_packing(root, tmp_path):
    frame = pa.table(
        {
            "trace_id": ["t"],
            "span_id": ["a"],
            "kind": ["llm"],
            "metadata": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(frame, tmp_path / "spans.parquet")
    raw = (tmp_path / "spans.parquet").read_bytes()
    for number, (packing, pack) in enumerate(PACKED.items()):
        (tmp_path / f"spans.parquet.{packing}").write_bytes(pack(raw, "spans.parquet"))
        load(f"{root}{number}", tmp_path / f"spans.parquet.{packing}")
        assert column(f"{root}{number}", "metadata") == {"a": {"k": "v"}}


# Large values


def test_long_texts_are_kept_whole_whatever_is_in_them(root, tmp_path):
    long, quoted = "ab" * 5_000_000, '"\\\n' * 1_000_000
    records = [
        observation("a", input=long),
        observation("b", output=[{"role": "assistant", "content": quoted}]),
        observation("c"),
    ]
    (tmp_path / "array.json").write_text(json.dumps(records))
    for number, path in enumerate([write_lines(tmp_path / "lines.jsonl", records), tmp_path / "array.json"]):
        load(f"{root}{number}", path)
        found = {r["span_id"]: r for r in rows(f"{root}{number}", "payloads")}
        assert found["a"]["input"] == long
        assert json.loads(found["b"]["output"])[0]["content"] == quoted
        assert column(f"{root}{number}", "input_chars") == {"a": len(long), "b": 2, "c": 2}


def test_a_huge_line_that_is_nothing_is_quarantined_with_its_beginning(root, tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [observation("a"), b'{"id": "' + b"x" * 20_000_000, observation("b")])
    load(root, path)
    (bad,) = rows(root, "quarantine")
    assert (bad["line"], bad["raw"][:12], len(bad["raw"]) < 1_100_000) == (2, '{"id": "xxxx', True)
    assert sorted(column(root, "span_id")) == ["a", "b"]


HUGE = {
    "an array with a long quoted string": lambda: json.dumps(
        [observation("a", input='x"\\' * 2_000_000), observation("b")]
    ).encode(),
    "a string without an end": lambda: b'[{"id": "' + b'x\\"' * 3_000_000,
    "brackets": lambda: b"[" * 1_000_000,
    "braces": lambda: b'{"a":' * 300_000,
    "quotes": lambda: b'["' + b'"' * 1_000_000,
    "closing brackets": lambda: b"[" + b"]" * 1_000_000,
    "short strings": lambda: b'[{"a":[' + b'"",' * 1_000_000,
}


@pytest.mark.parametrize("case", HUGE)
def test_no_input_takes_more_time_than_its_size_deserves(tmp_path, case):
    """A few megabytes; what grew with the square of the size took minutes."""
    (tmp_path / "a.json").write_bytes(HUGE[case]())
    began = time.process_time()
    survives(tmp_path / "a.json", "langfuse")
    assert time.process_time() - began < 20


def test_deep_nesting_is_kept_or_quarantined(root, tmp_path):
    """With a broken line at the end, so that the reader works line by line."""
    head = {n: json.dumps(observation(f"d{n}")).encode()[:-1] + b', "metadata": {"a": ' for n in (400, 900, 1100, 100_000)}
    deep = [start + b"[" * n + b"]" * n + b"}}" for n, start in head.items()]
    load(root, write_lines(tmp_path / "a.jsonl", [observation("shallow"), *deep, b"{"]))
    assert sorted(column(root, "span_id")) == ["d400", "shallow"]
    reasons = {r["line"]: r["reason"] for r in rows(root, "quarantine")}
    assert reasons.keys() == {3, 4, 5, 6}
    assert reasons[3] == "nested more than 500 deep"
    assert all(r.startswith("not JSON") for line, r in reasons.items() if line > 3)
