"""Any JSONL, CSV, Parquet or DataFrame whose columns a mapping names; columns nobody names become dimensions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import orjson

from ..base import Bad, Format, Head, Input, Record, Shape
from ..canonical.columns import MAPS, fields_read, with_extra_keys, with_extras
from ..mapping import Mapping
from ..reading import rows
from .columns import ROW_HASH, TABLES, own_names, with_row_hash


def format_of(told: Mapping) -> Format:
    """The format of a table of its own kind under a user's mapping."""
    return _format(told.table, told)


def _format(table: str, told: Mapping) -> Format:
    shape = Shape(table, own_names(table))
    return Format(
        name=f"tables.{table}",
        source=told.source or "tables",
        about=f"your own {table}, with --mapping",
        sniff=lambda head: False,
        read=_reader(table, fields_read(told.applied(shape).columns)),
        shapes={table: shape},
        lines=table,
        lines_when=lambda head: head.layout == "parquet",
        widened=_widened,
    )


def _reader(table: str, known: set[str]) -> Callable[[Input, Head], Iterator[Record | Bad]]:
    def read(item: Input, head: Head) -> Iterator[Record | Bad]:
        for one in rows(item, head):
            if isinstance(one, Bad):
                yield one
                continue
            line, row = one
            hashed = {ROW_HASH: _hash(row)} if table == "spans" else {}
            yield Record(table, line, with_extra_keys(row, known, MAPS[table]) | hashed)

    return read


def _hash(row: dict) -> str:
    try:
        text = orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits
        text = json.dumps(row, default=str, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def _widened(head: Head, shape: Shape) -> Shape:
    columns = with_extras(shape.columns, head.header, MAPS[shape.table])
    if shape.table == "spans":
        columns = with_row_hash(columns, head.header)
    return Shape(shape.table, columns, shape.required)


FORMATS = [_format(table, Mapping(table=table)) for table in TABLES]
