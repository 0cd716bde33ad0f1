"""Rows of any layout as ``(line, dict)``: the one loop that every format's ``read`` goes through."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..errors import InputError
from . import jsonstream, tabular
from .base import Bad, Head, Input


def rows(item: Input, head: Head) -> Iterator[tuple[int, dict] | Bad]:
    """Every record of an input as ``(line, dict)``, lists and wrappers opened; Bad for what is none."""
    if head.layout == "parquet":
        yield from _parquet(item)
        return
    with item.open() as stream:
        found = tabular.csv_rows(stream) if head.layout == "csv" else jsonstream.values(stream, head.layout)
        for one in found:
            if isinstance(one, Bad) or isinstance(one[1], dict):
                yield one
            else:
                yield Bad(one[0], f"not a record but {type(one[1]).__name__}", json.dumps(one[1])[: jsonstream.RAW_KEPT])


def _parquet(item: Input) -> Iterator[tuple[int, dict] | Bad]:
    line = 0
    try:
        for line, row in tabular.parquet_rows(item):
            yield line, row
    except InputError as error:
        yield Bad(line + 1, f"the file is damaged from here: {str(error).split(';')[0]}", "")


def embedded(value, otherwise=None):
    """A nested value that may stand as JSON text: the parsed value; ``otherwise`` where it is missing or not JSON."""
    if isinstance(value, (str, bytes)):
        parsed = jsonstream.parse(value.encode("utf-8", "replace") if isinstance(value, str) else value) if value else otherwise
        return otherwise if isinstance(parsed, Bad) else parsed
    return otherwise if value is None else value
