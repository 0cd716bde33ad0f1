"""Where bytes come from: files, folders, globs, packed files; CSV and Parquet rows."""

import gzip
import json
import os
import zipfile

import pandas as pd
import pyarrow as pa
import pytest

from llmobs_nb.errors import InputError
from llmobs_nb.sources import reading, registry, tabular
from llmobs_nb.sources.base import Bad
from llmobs_nb.sources.files import expand

LINE = b'{"trace_id": "t", "span_id": "s", "start_time": "2026-11-20T10:00:00Z", "model": "m"}\n'


def names(*paths):
    return [os.path.basename(i.name) for i in expand(paths)]


def content(path):
    (item,) = expand([path])
    with item.open() as stream:
        return stream.read()


def rows(path):
    (item,) = expand([path])
    return list(reading.rows(item, registry.head_of(item)))


def zstd(raw):
    return pa.Codec("zstd").compress(raw, asbytes=True)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)


class TestExpand:
    def test_a_folder_gives_its_files_but_for_prose_and_hidden_ones(self, tmp_path):
        for name in (
            "b.jsonl",
            "sub/a.json",
            ".hidden.json",
            "README.md",
            "LICENSE",
            "notes.txt",
            ".git/x.json",
            "_delta_log/0.json",
            "sub/.DS_Store",
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(LINE)
        assert names(tmp_path) == ["b.jsonl", "a.json"]

    def test_a_file_named_twice_is_read_once(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(LINE)
        assert names(tmp_path / "a.jsonl", tmp_path, str(tmp_path / "*.jsonl")) == ["a.jsonl"]

    def test_a_glob(self, tmp_path):
        for name in ("a.jsonl", "b.jsonl", "c.csv"):
            (tmp_path / name).write_bytes(LINE)
        assert names(str(tmp_path / "*.jsonl")) == ["a.jsonl", "b.jsonl"]

    def test_a_name_with_glob_signs_is_a_file_first(self, tmp_path):
        (tmp_path / "a[1].jsonl").write_bytes(LINE)
        assert content(tmp_path / "a[1].jsonl") == LINE

    def test_a_zip_gives_its_members(self, tmp_path):
        zipped(tmp_path / "x.zip", {"b": LINE, "sub/a": LINE, "__MACOSX/b": b"junk", "sub/._a": b"junk", "README.md": b"prose"})
        assert [i.name.split("!")[1] for i in expand([tmp_path / "x.zip"])] == ["b", "sub/a"]

    def test_a_path_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match=r"path '.*none' does not exist; name a file, a glob or a folder that holds exports"):
            expand([tmp_path / "none"])

    def test_a_glob_that_finds_nothing(self, tmp_path):
        with pytest.raises(InputError, match=r"path '.*\*.json' does not exist"):
            expand([str(tmp_path / "*.json")])

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"no file to read in .*; name a file, a glob or a folder that holds exports"):
            expand([tmp_path])

    def test_an_archive_that_is_damaged(self, tmp_path):
        (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + b"junk" * 20)
        with pytest.raises(
            InputError, match=r"archive '.*x.zip' cannot be read: .*; write it again or name its files one by one"
        ):
            expand([tmp_path / "x.zip"])

    def test_something_that_is_no_file(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="pipe' is no regular file; write its content to a file first"):
            expand([tmp_path / "pipe"])


class TestPacking:
    @pytest.mark.parametrize(
        ("name", "pack"),
        [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.gz.but.not.by.name", gzip.compress), ("a.jsonl.zst", zstd)],
    )
    def test_packing_is_told_by_content(self, tmp_path, name, pack):
        (tmp_path / name).write_bytes(pack(LINE * 3))
        assert content(tmp_path / name) == LINE * 3

    def test_a_packed_member_of_a_zip(self, tmp_path):
        zipped(tmp_path / "x.zip", {"a": gzip.compress(LINE)})
        assert content(tmp_path / "x.zip") == LINE

    def test_several_gzip_members_in_one_file(self, tmp_path):
        (tmp_path / "a.gz").write_bytes(gzip.compress(LINE) + gzip.compress(LINE))
        assert content(tmp_path / "a.gz") == LINE * 2

    def test_a_packed_file_that_is_cut_gives_what_stood_before(self, tmp_path):
        raw = b"".join(json.dumps({"id": n, "x": os.urandom(20).hex()}).encode() + b"\n" for n in range(2000))
        packed = gzip.compress(raw)
        (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
        found = rows(tmp_path / "a.gz")
        assert isinstance(found[-1], Bad)
        assert "damaged from here" in found[-1].reason
        kept = [r for r in found if not isinstance(r, Bad)]
        assert [r[1]["id"] for r in kept] == list(range(len(kept)))
        assert len(kept) > 100


class TestCsv:
    def test_cells_under_their_names_and_blank_ones_empty(self, tmp_path):
        (tmp_path / "a.csv").write_text('\ufeffid,"na,me",x\n1,"a ""b""\nc",\n', encoding="utf-8")
        assert rows(tmp_path / "a.csv") == [(2, {"id": "1", "na,me": 'a "b"\nc', "x": ""})]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiters(self, tmp_path, delimiter):
        (tmp_path / "a.csv").write_text(delimiter.join(["id", '"a,b;c"', "x"]) + "\n" + delimiter.join("123") + "\n")
        assert rows(tmp_path / "a.csv") == [(2, {"id": "1", "a,b;c": "2", "x": "3"})]

    def test_a_line_break_inside_a_name(self, tmp_path):
        (tmp_path / "a.csv").write_text('id,"a\nb",x\n1,2,3\n')
        assert rows(tmp_path / "a.csv") == [(3, {"id": "1", "a\nb": "2", "x": "3"})]

    def test_a_table_written_with_its_index(self, tmp_path):
        pd.DataFrame({"id": ["a"], "x": [1]}).to_csv(tmp_path / "a.csv")
        assert registry.head_of(expand([tmp_path / "a.csv"])[0]).header == ["id", "x"]
        assert rows(tmp_path / "a.csv") == [(2, {"id": "a", "x": "1"})]

    def test_rows_with_other_than_their_cells_and_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"id,x\n1\n2,b\n3,\xff\n4,d,e\n")
        found = rows(tmp_path / "a.csv")
        assert found[1] == (3, {"id": "2", "x": "b"})
        assert [(b.line, b.reason) for b in found if isinstance(b, Bad)] == [
            (2, "1 cells, not 2"),
            (4, "not UTF-8"),
            (5, "3 cells, not 2"),
        ]

    @pytest.mark.parametrize("text", [b"just text\n", b"a,,b\n", b",\n", b"\x00\x01\x02"])
    def test_what_does_not_look_like_a_header(self, text):
        assert tabular.csv_header(text) == []


class TestParquet:
    def test_rows_as_dicts_and_maps_as_objects(self, tmp_path):
        import pyarrow.parquet as pq

        schema = pa.schema([("id", pa.int64()), ("m", pa.map_(pa.string(), pa.int64())), ("l", pa.list_(pa.string()))])
        pq.write_table(pa.Table.from_pylist([{"id": 1, "m": [("a", 1)], "l": ["x"]}], schema=schema), tmp_path / "a.parquet")
        assert rows(tmp_path / "a.parquet") == [(1, {"id": 1, "m": {"a": 1}, "l": ["x"]})]

    def test_a_damaged_file(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"junk" * 10)
        with pytest.raises(InputError, match=r"file '.*a.parquet' is not readable Parquet: .*; export it again"):
            registry.head_of(expand([tmp_path / "a.parquet"])[0])

    def test_a_packed_one(self, tmp_path):
        pd.DataFrame({"id": [1]}).to_parquet(tmp_path / "a.parquet")
        (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
        assert rows(tmp_path / "a.parquet.gz") == [(1, {"id": 1})]


class TestReading:
    def test_what_is_no_record_says_so(self, tmp_path):
        (tmp_path / "a.jsonl").write_text('{"id": 1}\n[1, "x"]\n5\n')
        reasons = [r.reason for r in rows(tmp_path / "a.jsonl") if isinstance(r, Bad)]
        assert reasons == ["not a record but int", "not a record but str", "not a record but int"]

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ('{"a": 1}', {"a": 1}),
            ({"a": 1}, {"a": 1}),
            ("not json", None),
            ("", None),
            (None, None),
            ([1], [1]),
            (b"[1]", [1]),
            (0, 0),
        ],
    )
    def test_embedded_values(self, told, expected):
        assert reading.embedded(told) == expected
        assert reading.embedded("{", "otherwise") == "otherwise"


class TestRegistry:
    def test_a_format_by_name_vendor_or_content(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(LINE)
        (item,) = expand([tmp_path / "a.jsonl"])
        head = registry.head_of(item)
        assert registry.recognise(item, head).name == "canonical.spans"
        assert registry.recognise(item, head, "canonical").name == "canonical.spans"
        assert registry.recognise(item, head, "langfuse.export").name == "langfuse.export"

    def test_an_unknown_name(self, tmp_path):
        (tmp_path / "a.jsonl").write_bytes(LINE)
        (item,) = expand([tmp_path / "a.jsonl"])
        with pytest.raises(InputError, match="format='langsmth' is not known; choose one of: auto, canonical, langfuse"):
            registry.recognise(item, registry.head_of(item), "langsmth")

    @pytest.mark.parametrize(
        ("raw", "seen"),
        [(b"", "empty"), (b"just words", "no JSON, CSV or Parquet"), (b'{"foo": 1}\n', "lines, first record has foo")],
    )
    def test_an_unknown_content(self, tmp_path, raw, seen):
        (tmp_path / "a.bin").write_bytes(raw)
        (item,) = expand([tmp_path / "a.bin"])
        with pytest.raises(
            InputError, match=rf"file '.*a.bin' has a format that is not known \({seen}\); name it with --format, one of: auto"
        ):
            registry.recognise(item, registry.head_of(item))

    def test_every_format_says_what_it_is_for(self):
        assert all(f.about and f.source and f.name.count(".") == 1 for f in registry.formats().values())
        assert set(registry.VENDORS) == {name.split(".")[0] for name in registry.formats()}
