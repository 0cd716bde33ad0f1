"""Any JSONL, CSV or Parquet whose columns a mapping names."""

from __future__ import annotations

from collections.abc import Iterator

from ..base import Bad, Format, Head, Input, Record, Shape
from ..reading import rows
from .columns import same_names

TABLES = ("spans", "scores", "series")


def read_as(table: str):
    def read(item: Input, head: Head) -> Iterator[Record | Bad]:
        for one in rows(item, head):
            yield one if isinstance(one, Bad) else Record(table, one[0], one[1])

    return read


FORMATS = [
    Format(
        name=f"tables.{table}",
        source="tables",
        about=f"your own {table}, with --mapping",
        sniff=lambda head: False,
        read=read_as(table),
        shapes={table: Shape(table, same_names(table))},
        lines=table,
        lines_when=lambda head: head.layout == "parquet",
    )
    for table in TABLES
]
