"""Ingest does not depend on order, split, repetition, packing or path: the same records give the same store."""

import gzip
import itertools
import json

import duckdb
import pytest
import storekit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storekit import load, observation, rows, write_lines

from llmobs_nb.ingest.extract import Extractor

FEW = settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

# Records as hypothesis makes them: few ids and few times, so that versions and ties are common.

TIMES = ["2026-01-05T10:00:00Z", "2026-01-05T10:00:01.5Z", "2026-01-06T00:30:00+02:00", "2026-01-09T00:00:00Z"]
times = st.sampled_from(TIMES)
span_ids = st.sampled_from(["s0", "s1", "s2", "s3"])
trace_ids = st.sampled_from(["t0", "t1"])
words = st.sampled_from(["", "a", "bb", "a longer text", "Ωmega \u202e\x00", '{"k": 1}', "null"])
counts = st.sampled_from([0, 5, 10, 10, 20])
maybe_names = st.sampled_from([None, "u1", "u2"])


def _some(**fields) -> dict:
    """Fields that a record may have or lack."""
    return fields


langfuse_observations = st.fixed_dictionaries(
    {"id": span_ids, "traceId": trace_ids, "projectId": st.just("p"), "type": st.sampled_from(["GENERATION", "AGENT", "SPAN", "TOOL"]), "startTime": times},
    optional={
        "endTime": times, "updatedAt": times, "name": words, "model": st.sampled_from(["gpt-4o", "no-such-model"]), "input": words, "output": st.one_of(words, st.just({"a": [1, None]})),
        "parentObservationId": st.sampled_from(["s0", "s1", "s2", "lost"]), "usageDetails": st.fixed_dictionaries({"input": counts, "output": counts}),
        "costDetails": st.fixed_dictionaries({"total": st.sampled_from([0.1, 0.2, 0.3])}), "metadata": st.dictionaries(st.sampled_from(["a", "b"]), words),
        "userId": maybe_names, "sessionId": maybe_names, "level": st.sampled_from(["DEFAULT", "ERROR"]), "statusMessage": words, "tags": st.lists(words, max_size=2),
    },
)  # fmt: skip
langfuse_scores = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["q0", "q1"]), "projectId": st.just("p"), "name": st.just("quality"), "dataType": st.just("NUMERIC"),
        "value": st.sampled_from([0, 0.5, 1]), "traceId": trace_ids, "timestamp": times, "source": st.sampled_from(["API", "EVAL"]),
    },
    optional={"updatedAt": times, "observationId": span_ids, "comment": words},
)  # fmt: skip
langfuse_traces = st.fixed_dictionaries(
    {"id": trace_ids, "projectId": st.just("p"), "timestamp": times, "userId": maybe_names, "bookmarked": st.just(False)},
    optional={"updatedAt": times, "name": words, "sessionId": maybe_names, "input": words, "tags": st.lists(words, max_size=1)},
)
langfuse_documents = st.builds(
    lambda trace, inner: trace | {"observations": inner}, langfuse_traces, st.lists(langfuse_observations, min_size=1, max_size=2)
)
langfuse_records = st.one_of(langfuse_observations, langfuse_observations, langfuse_scores, langfuse_traces, langfuse_documents)

canonical_spans = st.fixed_dictionaries(
    {"trace_id": trace_ids, "span_id": span_ids, "kind": st.sampled_from(["llm", "agent", "tool"]), "start_time": times},
    optional={
        "end_time": times, "updated_at": times, "parent_id": span_ids, "tokens_in": counts, "tokens_out": counts, "cost_usd": st.sampled_from([0.1, 0.3]), "input": words,
        "output": words, "user_id": maybe_names, "feature": maybe_names, "metadata": st.dictionaries(st.sampled_from(["a", "b"]), words), "own_key": words,
    },
)  # fmt: skip


class Plan:
    """How records reach the store: repeated and mixed, cut into files of several kinds, the files spread over ingests."""

    def __init__(self, draw, records: list):
        again = draw(st.lists(st.sampled_from(records), max_size=3))
        mixed = draw(st.permutations([*records, *again]))
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(mixed) - 1)), max_size=2)))
        self.files = [mixed[a:b] for a, b in itertools.pairwise([0, *cuts, len(mixed)]) if mixed[a:b]]
        self.kinds = [draw(st.sampled_from(["lines", "array", "gzip", "pretty"])) for _ in self.files]
        self.together = draw(st.booleans())

    def run(self, root, folder, stem: str) -> None:
        paths = [
            _written(folder / f"{stem}-{n}", kind, records)
            for n, (kind, records) in enumerate(zip(self.kinds, self.files, strict=True))
        ]
        for batch in [paths] if self.together else [[p] for p in paths]:
            load(root, *batch)


def _written(path, kind: str, records) -> str:
    path.parent.mkdir(exist_ok=True)
    name = str(path) + {"lines": ".jsonl", "array": ".json", "gzip": ".jsonl.gz", "pretty": ".json"}[kind]
    if kind == "lines":
        return write_lines(name, records)
    opener = gzip.open if kind == "gzip" else open
    text = (
        "\n".join(json.dumps(r) for r in records)
        if kind == "gzip"
        else json.dumps(records)
        if kind == "array"
        else "\n".join(json.dumps(r, indent=1) for r in records)
    )
    with opener(name, "wt", encoding="utf-8") as out:
        out.write(text)
    return name


@given(data=st.data(), records=st.lists(langfuse_records, min_size=2, max_size=9))
@FEW
def test_langfuse_records_in_any_order_split_and_repetition_give_one_store(tmp_path_factory, data, records):
    folder = tmp_path_factory.mktemp("order")
    whole, parts = str(folder / "whole"), str(folder / "parts")
    load(whole, write_lines(folder / "1767607200000-lf-observations-export-p.jsonl", records))
    Plan(data.draw, records).run(parts, folder / "files", "1767607200000-lf-observations-export-p")
    assert storekit.content(whole) == storekit.content(parts)


@given(data=st.data(), records=st.lists(canonical_spans, min_size=2, max_size=9))
@FEW
def test_canonical_spans_in_any_order_split_and_repetition_give_one_store(tmp_path_factory, data, records):
    folder = tmp_path_factory.mktemp("order")
    whole, parts = str(folder / "whole"), str(folder / "parts")
    load(whole, write_lines(folder / "spans.jsonl", records), format="canonical.spans")
    plan = Plan(data.draw, records)
    for number, (kind, part) in enumerate(zip(plan.kinds, plan.files, strict=True)):
        load(parts, _written(folder / "files" / f"spans-{number}", kind, part), format="canonical.spans")
    assert storekit.content(whole) == storekit.content(parts)


def test_a_trace_that_spans_three_files_is_one_trace_whatever_comes_first(tmp_path):
    root_span = observation("root", type="SPAN", userId="u", usageDetails={"input": 30, "output": 3}, model=None)
    calls = [observation(f"c{n}", parentObservationId="root", usageDetails={"input": 15, "output": n}) for n in (1, 2)]
    paths = [write_lines(tmp_path / f"{n}.jsonl", [r]) for n, r in enumerate([root_span, *calls])]
    found = []
    for number, order in enumerate(itertools.permutations(paths)):
        root = str(tmp_path / f"store{number}")
        for path in order if number % 2 else [order]:
            load(root, *([path] if isinstance(path, str) else path))
        found.append(storekit.content(root))
    assert all(f == found[0] for f in found)
    assert {r["span_id"]: (r["user_id"], r["tokens_in"]) for r in found[0]["spans"]} == {
        "root": ("u", None),
        "c1": ("u", 15),
        "c2": ("u", 15),
    }


# The fast path and the slow path


HOSTILE = {
    "nul": {"name": "a\0b", "metadata": {"k\0": "v\0"}, "userId": "\0"},
    "emoji": {"name": "😀", "input": "👩‍👩‍👧", "metadata": {"😀": "\U0010ffff"}},
    "controls": {"name": "\t\n\r\x1b[31m\x7f", "input": "\u2028\u2029\ufeff", "metadata": {"\n": "\\"}},
    "right to left": {"name": "\u202eevil\u2066", "sessionId": "\u200f"},
    "markup": {"name": "<script>alert(1)</script>", "input": "`${x}`</script>", "metadata": {"<b>": "&amp;"}},
    "quotes": {"name": "'; DROP TABLE spans; --", "metadata": {'"': '"', "'": "''", "$.a": "x", "a.b": "y", "[0]": "z"}},
    "empty": {"name": "", "userId": "", "input": "", "output": "", "metadata": {"": ""}, "tags": [], "model": ""},
    "empty nested": {"metadata": {}, "input": {}, "output": [], "tags": ["", None], "usageDetails": {}, "costDetails": {}},
    "null": {"name": None, "metadata": None, "input": None, "tags": None, "usageDetails": None, "endTime": None},
    "wrong types": {"name": 1.5, "userId": True, "sessionId": {"a": 1}, "tags": "x", "metadata": [1, {"a": 2}], "usageDetails": [1], "input": 7, "model": ["m"]},
    "text in numbers": {"usageDetails": {"input": "12", "output": " 5 "}, "costDetails": {"total": "0.25"}},
    "nested": {"metadata": {"a": {"b": [1, 2.0, None, True, {"c": "é"}]}}, "input": [{"role": "system", "content": "be \\ brief"}, {"role": "user", "content": ["x"]}]},
    "big integers": {"version": 2**70, "metadata": {"a": 2**64, "b": -(2**63) - 2**40, "c": 10**30}, "input": {"id": 12345678901234567890123}},
    "floats": {"metadata": {"a": 1.0, "b": 1e22, "c": 1e-7, "d": 0.1, "e": -0.0, "f": 5e-324, "g": 123456789012345680.0}, "version": 1e16, "input": [1e100, 0.1234567890123456789]},
    "odd times": {"startTime": 1767607200, "endTime": 1767607201500, "updatedAt": "2026-01-05 10:00:02"},
    "deep": {"input": json.loads("[" * 300 + "]" * 300), "metadata": {"a": json.loads('{"a":' * 300 + "1" + "}" * 300)}},
    "text that looks like JSON": {"metadata": '{"a": 1}', "input": '{"messages": [', "tags": '["x"]', "usageDetails": '{"input": 3}'},
    "case": {"Name": "other", "ID": "other", "TraceId": "other"},
}  # fmt: skip
FAST_ANYWAY = [observation(f"o{n}", traceId=f"t{n}", **fields) for n, fields in enumerate(HOSTILE.values())]


def _slow_calls(monkeypatch) -> list:
    calls, slow = [], Extractor.slow
    monkeypatch.setattr(Extractor, "slow", lambda self, item, *rest: (calls.append(item.name), slow(self, item, *rest))[1])
    return calls


def _by_paths(folder, lines: list[bytes]) -> tuple[dict, dict, dict]:
    """What stands in the store after the same lines plain, gzipped, and plain with one broken line at the end."""
    plain, packed, broken = (str(folder / name) for name in ("plain", "packed", "broken"))
    load(plain, write_lines(folder / "a.jsonl", lines))
    with gzip.open(folder / "b.jsonl.gz", "wb") as out:
        out.write(b"\n".join(lines))
    load(packed, folder / "b.jsonl.gz")
    load(broken, write_lines(folder / "c.jsonl", [*lines, b'{"id": "cut']))
    last = storekit.content(broken)
    assert [r["raw"] for r in last.pop("quarantine")] == ['{"id": "cut']
    return storekit.content(plain), storekit.content(packed), last


def test_hostile_values_are_the_same_on_both_paths(tmp_path, monkeypatch):
    calls = _slow_calls(monkeypatch)
    fast, packed, broken = _by_paths(
        tmp_path, [json.dumps(o, ensure_ascii=bool(n % 2)).encode() for n, o in enumerate(FAST_ANYWAY)]
    )
    assert [c.rsplit("/", 1)[-1] for c in calls] == ["b.jsonl.gz", "c.jsonl"], (
        "the plain file must take the fast path, the others the slow one"
    )
    assert fast == packed == broken
    found = {r["span_id"]: r for r in fast["spans"]}
    at = {name: found[f"o{n}"] for n, name in enumerate(HOSTILE)}
    assert len(found) == len(HOSTILE)
    assert at["nul"]["name"] == "a\0b" and at["nul"]["metadata"] == {"k\0": "v\0"}
    assert (at["empty"]["name"], at["empty"]["user_id"], at["empty"]["model"], at["empty"]["tags"]) == (None, None, None, None)
    assert at["big integers"]["app_version"] == str(2**70)
    assert at["big integers"]["metadata"] == {"a": str(2**64), "b": str(-(2**63) - 2**40), "c": str(10**30)}
    assert at["text in numbers"]["tokens_in"] == 12 and at["text in numbers"]["cost_recorded_usd"] == 0.25
    assert at["odd times"]["latency_ms"] == 1500.0
    assert at["case"]["name"] == "answer"


MENDED = {
    "lone surrogate": (b'"name": "a\\ud800b"', {"name": "a\ufffdb"}),
    "lone surrogate in a map": (b'"metadata": {"\\udfff": "\\ud83d"}', {"metadata": {"\ufffd": "\ufffd"}}),
    "too large": (b'"metadata": {"a": 1e400}, "version": -1e999', {"metadata": {"a": "1e400"}, "app_version": "-1e999"}),
    "too large, with a big integer": (
        b'"metadata": {"a": 1e400, "b": 123456789012345678901234567890}',
        {"metadata": {"a": "1e400", "b": "123456789012345678901234567890"}},
    ),
    "twice": (b'"name": "first", "name": "second"', {"name": "second"}),
    "raw control character": (b'"name": "a\tb"', {"name": "a\tb"}),
    "byte order mark inside": ('"name": "\ufeffx"'.encode(), {"name": "\ufeffx"}),
    "many digits": (b'"metadata": {"a": 0.123456789012345678901234567890}', {"metadata": {"a": "0.12345678901234568"}}),
}


def test_values_that_json_does_not_quite_allow_are_the_same_on_both_paths(tmp_path):
    lines = [
        json.dumps(observation(f"o{n}", name=None)).replace('"name": null, ', "").encode()[:-1] + b", " + raw + b"}"
        for n, (raw, _) in enumerate(MENDED.values())
    ]
    fast, packed, broken = _by_paths(tmp_path, lines)
    assert fast == packed == broken
    for number, (name, (_, wanted)) in enumerate(MENDED.items()):
        (row,) = [r for r in fast["spans"] if r["span_id"] == f"o{number}"]
        assert {k: row[k] for k in wanted} == wanted, name


@pytest.mark.parametrize("name", [n for n in MENDED if n not in ("lone surrogate", "lone surrogate in a map")])
def test_each_of_them_alone(tmp_path, name):
    """Alone in a file the value may take the fast path; it must come out the same."""
    raw, wanted = MENDED[name]
    line = json.dumps(observation("o", name=None)).replace('"name": null, ', "").encode()[:-1] + b", " + raw + b"}"
    load(str(tmp_path / "store"), write_lines(tmp_path / "a.jsonl", [line]))
    (row,) = rows(str(tmp_path / "store"))
    assert {k: row[k] for k in wanted} == wanted


texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.one_of(st.integers(-(10**25), 10**25), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
leaves = st.one_of(texts, numbers)
shallow = st.one_of(leaves, st.lists(leaves, max_size=3), st.dictionaries(texts, leaves, max_size=3))
values = st.one_of(shallow, st.lists(shallow, max_size=2), st.dictionaries(texts, shallow, max_size=2))
FIELDS = (
    "name", "model", "input", "output", "metadata", "tags", "userId", "sessionId", "version", "environment", "modelParameters", "promptVersion",
    "parentObservationId", "level", "statusMessage", "type", "traceName", "unknown",
)  # fmt: skip


@given(records=st.lists(st.dictionaries(st.sampled_from(FIELDS), values, min_size=1, max_size=5), min_size=4, max_size=14))
@FEW
def test_any_value_in_any_field_is_the_same_on_both_paths(tmp_path_factory, records):
    lines = [json.dumps(observation(f"o{n}") | r, ensure_ascii=False).encode() for n, r in enumerate(records)]
    fast, packed, broken = _by_paths(tmp_path_factory.mktemp("paths"), lines)
    assert fast == packed
    assert fast == broken


LAYOUTS = {
    "array": lambda rs: json.dumps(rs),
    "array of lines": lambda rs: "[\n" + ",\n".join(json.dumps(r) for r in rs) + "\n]\n",
    "wrapper": lambda rs: json.dumps({"data": rs, "meta": {"page": 1}}),
    "wrapper, meta first": lambda rs: json.dumps({"meta": {"page": 1, "data": 3}, "data": rs}),
    "pretty wrapper": lambda rs: json.dumps({"data": rs, "meta": {}}, indent=2),
    "a page a line": lambda rs: "".join(json.dumps({"data": rs[n : n + 3]}) + "\n" for n in range(0, len(rs), 3)),
    "pretty": lambda rs: "\n".join(json.dumps(r, indent=4) for r in rs),
    "side by side": lambda rs: "".join(json.dumps(r) for r in rs),
    "windows lines": lambda rs: "\r\n".join(json.dumps(r) for r in rs),
    "byte order mark": lambda rs: "\ufeff" + "\n".join(json.dumps(r) for r in rs),
    "blank lines": lambda rs: "\n\n" + "\n \n".join(json.dumps(r) for r in rs) + "\n\n",
}


def test_every_layout_gives_the_same_store(tmp_path):
    records = [o for o in FAST_ANYWAY if not o["input"] or len(json.dumps(o["input"])) < 500]
    load(str(tmp_path / "lines"), write_lines(tmp_path / "lines.jsonl", records))
    wanted = storekit.content(str(tmp_path / "lines"))
    for number, (name, written) in enumerate(LAYOUTS.items()):
        path = tmp_path / f"{number}.json"
        path.write_text(written(records), encoding="utf-8")
        load(str(tmp_path / f"store{number}"), path)
        assert storekit.content(str(tmp_path / f"store{number}")) == wanted, name


def test_a_record_that_the_engine_cannot_take_costs_only_itself(root, tmp_path, monkeypatch):
    """Whatever the engine trips over is found by halving; its neighbours are kept."""
    chunk = Extractor._chunk

    def tripping(self, fmt, shape, records, tally):
        if any(record.data.get("id") in ("o3", "o9") for _, record in records):
            raise duckdb.ConversionException("a stone\nin the way")
        return chunk(self, fmt, shape, records, tally)

    monkeypatch.setattr(Extractor, "_chunk", tripping)
    path = write_lines(tmp_path / "a.jsonl", [*(observation(f"o{n}") for n in range(12)), b"{"])
    done = load(root, path)
    assert sorted(r["span_id"] for r in rows(root)) == sorted(f"o{n}" for n in range(12) if n not in (3, 9))
    assert done.summary().startswith("kept 10 of 13 records; 3 quarantined, first reasons: a value cannot be taken (2)")
    assert {(r["line"], r["reason"]) for r in rows(root, "quarantine")} >= {
        (n, "a value cannot be taken: a stone") for n in (4, 10)
    }
