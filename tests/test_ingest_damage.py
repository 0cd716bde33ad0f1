"""Damaged input: any byte flip or cut ends in rows kept and counted, in quarantine, or in one clear error; never a traceback."""

import gzip
import io
import json
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmobs_nb.errors import LlmobsError
from llmobs_nb.ingest.run import ingest
from llmobs_nb.observations import open_store
from llmobs_nb.store.store import Store

ROWS = 12
TURNS = 15


def observations() -> list[dict]:
    return [
        {
            "id": f"o{n}", "traceId": f"t{n // 3}", "projectId": "prj", "type": "GENERATION", "startTime": f"2026-11-20T10:00:{n:02d}Z",
            "endTime": "2026-11-20T10:01:00Z", "input": '{"messages":[{"role":"system","content":"be kind"}]}', "model": "gpt-4o",
            "metadata": {"tenant": f"ten-{n}", "note": "é\u202e"}, "usageDetails": {"input": 5, "output": 2, "total": 7}, "tags": ["a"],
        }
        for n in range(ROWS)
    ]  # fmt: skip


def spans() -> list[dict]:
    return [
        {"trace_id": f"t{n}", "span_id": f"s{n}", "kind": "llm", "start_time": f"2026-11-20 10:00:{n:02d}", "model": "m"}
        for n in range(ROWS)
    ]


def as_lines() -> bytes:
    return "".join(json.dumps(o) + "\n" for o in observations()).encode()


def as_csv() -> bytes:
    rows = spans()
    return "\n".join([",".join(rows[0]), *(",".join(r.values()) for r in rows)]).encode() + b"\n"


def as_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(spans()), out)
    return out.getvalue()


def as_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/one.jsonl", as_lines())
        archive.writestr("a/two.csv", as_csv())
    return out.getvalue()


def as_zstd() -> bytes:
    return pa.compress(as_lines(), codec="zstd", asbytes=True)


def as_otlp() -> bytes:
    one = {
        "traceId": "0af7651916cd43dd8448eb211c80319c", "name": "chat", "startTimeUnixNano": "1763632800000000000",
        "endTimeUnixNano": "1763632801000000000", "attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}}],
    }  # fmt: skip
    made = [one | {"spanId": f"{n:016x}"} for n in range(ROWS)]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": made}]}]}, indent=1).encode()


MADE = {
    "lines.jsonl": as_lines,
    "lines.jsonl.gz": lambda: gzip.compress(as_lines(), mtime=0),
    "lines.jsonl.zst": as_zstd,
    "array.json": lambda: json.dumps(observations()).encode(),
    "page.json": lambda: json.dumps({"data": observations(), "meta": {"page": 1}}).encode(),
    "pretty.json": lambda: "\n".join(json.dumps(o, indent=2) for o in observations()).encode(),
    "spans.csv": as_csv,
    "spans.parquet": as_parquet,
    "both.zip": as_zip,
    "otlp.json": as_otlp,
}


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """One to three flipped bits, or a cut, or both."""
    out = bytearray(raw)
    if draw.random() < 0.7:
        for _ in range(draw.randrange(1, 4)):
            out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    if draw.random() < 0.4:
        del out[draw.randrange(len(out)) :]
    return bytes(out)


@pytest.mark.parametrize("name", MADE)
def test_undamaged_every_row_is_kept(tmp_path, name):
    (tmp_path / name).write_bytes(MADE[name]())
    done = ingest([tmp_path / name], Store(tmp_path / "s"))
    assert done.tally.kept["spans"] == (2 * ROWS if name == "both.zip" else ROWS)
    assert done.tally.quarantined == 0


@pytest.mark.parametrize("name", MADE)
def test_damage_is_counted_or_told_in_one_line(tmp_path, name):
    draw = random.Random(name)
    raw = MADE[name]()
    outcomes = {"kept": 0, "refused": 0}
    for turn in range(TURNS):
        path = tmp_path / f"{turn}-{name}"
        path.write_bytes(damaged(raw, draw))
        store = Store(tmp_path / f"s{turn}")
        try:
            done = ingest([path], store)
        except LlmobsError as error:
            assert error.exit_code == 3
            assert "\n" not in str(error)
            outcomes["refused"] += 1
            continue
        outcomes["kept"] += 1
        status = open_store(store.root).status()
        assert status["spans"] + status["quarantined"] + sum(done.repeated().values()) + status["scores"] >= 1
        assert status["quarantined"] == done.tally.quarantined
        if name == "lines.jsonl" and raw.count(b"\n") == path.read_bytes().count(b"\n"):
            assert done.seen >= ROWS
    assert sum(outcomes.values()) == TURNS


def test_one_bad_line_costs_one_line(tmp_path):
    lines = as_lines().split(b"\n")
    lines[4] = lines[4][: len(lines[4]) // 2]
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    done = ingest([tmp_path / "x.jsonl"], Store(tmp_path / "s"))
    assert (done.tally.kept["spans"], done.tally.quarantined) == (ROWS - 1, 1)
    row = open_store(tmp_path / "s").sql("SELECT line, reason, raw FROM quarantine").iloc[0]
    assert row["line"] == 5
    assert row["reason"].startswith("not JSON")
    assert row["raw"] == lines[4].decode()


def test_a_ten_megabyte_text_is_kept_whole(tmp_path):
    text = "<script>" + "x" * 10_000_000
    row = observations()[0] | {"output": text}
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(observations()[1]) + "\n")
    ingest([tmp_path / "x.jsonl"], Store(tmp_path / "s"))
    kept = open_store(tmp_path / "s").sql("SELECT output FROM payloads WHERE length(output) > 100")["output"]
    assert kept.tolist() == [text]
