"""For tests: canonical rows of records or files, through reading, mapping and derivation, without a store."""

from functools import cache
from pathlib import Path

import pytest

from llmobs_nb.engine.duck import connect
from llmobs_nb.ingest import derive
from llmobs_nb.ingest.extract import Extractor, NotFast, Tally
from llmobs_nb.prices import PriceBook
from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Format, Head, Input, Record, Shape
from llmobs_nb.sources.files import expand
from llmobs_nb.sources.mapping import read_mapping

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts):
    """A file or folder of the real data; the test is skipped where it is absent."""
    path = SHARED.joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"real data {'/'.join(parts)} is not beside this repository")
    return path


@cache
def _book():
    return PriceBook(None)


@cache
def _plain():
    return _new(None)


def extractor(mapping=None):
    return _plain() if mapping is None else _new(read_mapping(mapping))


def _new(mapping):
    con = connect(memory="400MB", threads=1)
    con.execute(derive.MACROS)
    return Extractor(con, _book(), mapping=mapping)


def rows_of(tables):
    """{table: rows}, each row without its nulls."""
    out = {}
    for table, rows in tables:
        told = [
            {k: dict(v) if k in ("metadata", "own", "dimensions") and v is not None else v for k, v in r.items()}
            for r in rows.to_pylist()
        ]
        out.setdefault(table, []).extend({k: v for k, v in r.items() if v is not None} for r in told)
    return out


def derived(shape: Shape, *datas: dict, source="t", mapping=None):
    """{table: rows} of records given as dicts."""
    fmt = Format(
        "t.t",
        source,
        "",
        lambda head: False,
        lambda item, head: (Record("s", n, d) for n, d in enumerate(datas, 1)),
        {"s": shape},
    )
    ex, tally = extractor(mapping), Tally()
    ex.spools.clear()
    head = Head("t", b"", "lines", [])
    return rows_of([*ex.slow(Input("t", "t", open), head, fmt, tally), *ex.flush(tally)])


def extracted(path, *, mapping=None, fast=None):
    """(format name, {table: rows}) of one file; ``fast`` True or False insists on one of the two ways of reading."""
    item = expand([path])[0]
    head = registry.head_of(item)
    fmt = registry.recognise(item, head)
    ex, tally = extractor(mapping), Tally()
    ex.spools.clear()
    able = fmt.lines is not None and fmt.lines_when(head) and item.plain and head.layout == "lines"
    if fast is not False and able:
        try:
            return fmt.name, rows_of(ex.fast(item, head, fmt, tally))
        except NotFast:
            assert not fast, "the fast path refused the file"
    assert not fast, "the file does not qualify for the fast path"
    return fmt.name, rows_of([*ex.slow(item, head, fmt, tally), *ex.flush(tally)])
