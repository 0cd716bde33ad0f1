"""Rows out of CSV and Parquet, as dicts, with memory for one batch."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ..errors import InputError
from .base import Bad, Input
from .jsonstream import DAMAGE

csv.field_size_limit(2**31 - 1)
DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"(?:[^"]|"")*+"')


def csv_header(start: bytes) -> list[str]:
    """The column names of a CSV head; empty where it does not look like a header."""
    text = start.decode("utf-8-sig", "replace")
    names = _names(io.StringIO(text, newline=""), _delimiter(text))
    named = [n for n in names if n]
    return named if len(names) > 1 and named and all(names[1:]) else []


def _names(lines: Iterable[str], delimiter: str) -> list[str]:
    """The header's names; blank for the first column of a table that was written with its index."""
    try:
        return [n.strip() for n in next(csv.reader(lines, delimiter=delimiter), [])]
    except csv.Error:
        return []


def _delimiter(text: str) -> str:
    """What separates the names of a header, which may hold the other candidates inside quotes."""
    line = _QUOTED.sub("", text[:100_000]).split("\n", 1)[0]
    return max(DELIMITERS, key=line.count)


def csv_rows(stream: BinaryIO) -> Iterator[tuple[int, dict[str, str]] | Bad]:
    """One dict per CSV row under the header's names, an empty cell as ""; Bad for a row with other than its cells."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _rows_of(text)
    finally:
        if not stream.closed:
            text.detach()


def _rows_of(text: io.TextIOWrapper) -> Iterator[tuple[int, dict[str, str]] | Bad]:
    try:
        first = text.readline()
        reader = csv.reader(itertools.chain([first], text), delimiter=_delimiter(first))
        names = [_readable(n.strip()) for n in next(reader, [])]
    except (csv.Error, *DAMAGE) as error:
        yield Bad(1, f"not CSV from here: {error}", "")
        return
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except (csv.Error, *DAMAGE) as error:
            yield Bad(line, f"not CSV from here: {error}", "")
            return
        if row is None:
            return
        if row:
            yield _csv_row(line, names, row)


def _csv_row(line: int, names: list[str], row: list[str]) -> tuple[int, dict[str, str]] | Bad:
    if len(row) != len(names):
        return Bad(line, f"{len(row)} cells, not {len(names)}", _csv_text(row))
    if any(not cell.isascii() and _escaped(cell) for cell in row):
        return Bad(line, "not UTF-8", _csv_text(row))
    return line, {name: cell for name, cell in zip(names, row, strict=True) if name}


def _escaped(cell: str) -> bool:
    return any("\udc80" <= c <= "\udcff" for c in cell)


def _csv_text(row: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(row)
    return _readable(out.getvalue().rstrip("\r\n"))


def _readable(text: str) -> str:
    """What was not UTF-8, escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def parquet_rows(item: Input, columns: list[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """One dict per Parquet row; raises InputError where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(item.path) as file:
            line = 0
            for batch in file.iter_batches(batch_size=5_000, columns=columns):
                for row in batch.to_pylist(maps_as_pydicts="lossy"):
                    line += 1
                    yield line, row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"file {item.name!r} is not readable Parquet: {first_line(error)}; export it again") from None


def parquet_columns(item: Input) -> list[str]:
    """The column names of a Parquet file; raises InputError where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(item.path).names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"file {item.name!r} is not readable Parquet: {first_line(error)}; export it again") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
