"""Arrow tables in, one growing Parquet file per table and day out: written into the store's folders, not yet committed."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..schema import ARROW, TABLES
from .delta import DeltaFiles, NewFile
from .place import Folder, place_of

BUFFERED_BYTES = 96 << 20
GROUP_BYTES = 32 << 20
OPEN_FILES = 48
TEXTS = ("input", "output", "system_prompt", "raw", "comment", "expected", "template")
UNKNOWN_DAY = dt.date(1970, 1, 1)


class _Sheet:
    """One file in the making: what is buffered for it, and its writer once something was flushed."""

    def __init__(self, file: NewFile):
        self.file = file
        self.writer: pq.ParquetWriter | None = None
        self.parts: list[pa.Table] = []
        self.bytes = 0


class Stager:
    """Collects rows of any table and writes them by day with bounded memory; ``close`` gives the files of each table."""

    def __init__(self, root: str | Folder, *, extra: dict[str, dict[str, str]] | None = None):
        self.root = self.place = place_of(root)
        self.files = {name: DeltaFiles(self.place, table) for name, table in TABLES.items()}
        self.extra = extra or {}
        self.sheets: OrderedDict[tuple[str, str | None], _Sheet] = OrderedDict()
        self.done: dict[str, list[NewFile]] = {name: [] for name in TABLES}
        self.buffered = 0
        self.paths: list[str] = []

    def schema(self, name: str) -> pa.Schema:
        extra = [pa.field(n, ARROW[t]) for n, t in self.extra.get(name, {}).items()]
        partition = "day" if TABLES[name].partitioned else None
        return pa.schema([f for f in (*TABLES[name].arrow(), *extra) if f.name != partition])

    def write(self, name: str, rows: pa.Table) -> None:
        """Take rows of table ``name``; columns the table does not know are left out, missing ones are null."""
        if rows.num_rows == 0:
            return
        if not TABLES[name].partitioned:
            self._take(name, None, rows)
            return
        known = [n for n in (*self.schema(name).names, "day") if n in rows.column_names]
        for day, part in _by_day(rows.select(known)):
            self._take(name, day.isoformat(), part)

    def _take(self, name: str, day: str | None, rows: pa.Table) -> None:
        sheet = self.sheets.get((name, day))
        if sheet is None:
            path = self.files[name].new_path(day)
            self.paths.append(path)
            sheet = self.sheets[(name, day)] = _Sheet(NewFile(path, day, 0))
        self.sheets.move_to_end((name, day))
        part = _fit(rows, self.schema(name))
        sheet.parts.append(part)
        sheet.bytes += part.nbytes
        self.buffered += part.nbytes
        if sheet.bytes >= GROUP_BYTES:
            self._flush(sheet, name)
        while self.buffered > BUFFERED_BYTES:
            biggest = max(self.sheets, key=lambda k: self.sheets[k].bytes)
            self._flush(self.sheets[biggest], biggest[0])
        self._close_oldest()

    def _flush(self, sheet: _Sheet, name: str) -> None:
        if not sheet.parts:
            return
        rows = pa.concat_tables(sheet.parts)
        self.buffered -= sheet.bytes
        sheet.parts, sheet.bytes = [], 0
        if sheet.writer is None:
            sheet.writer = _writer(sheet.file.path, self.schema(name), self.place)
        sheet.writer.write_table(rows)
        sheet.file.rows += rows.num_rows

    def _close_oldest(self) -> None:
        open_keys = [k for k, s in self.sheets.items() if s.writer is not None]
        for key in open_keys[:-OPEN_FILES]:
            self._finish(key)

    def _finish(self, key: tuple[str, str | None]) -> None:
        sheet = self.sheets.pop(key)
        self._flush(sheet, key[0])
        if sheet.writer is not None:
            sheet.writer.close()
            self.done[key[0]].append(sheet.file)

    def close(self) -> dict[str, list[NewFile]]:
        """Write what is buffered; the files of each table that got rows since the last call."""
        for key in list(self.sheets):
            self._finish(key)
        finished, self.done = self.done, {name: [] for name in TABLES}
        return {name: files for name, files in finished.items() if files}

    def discard(self) -> None:
        """Forget everything staged and remove its files; not once a commit has begun, which may name them."""
        for sheet in self.sheets.values():
            if sheet.writer is not None:
                sheet.writer.close()
        self.sheets.clear()
        self.buffered = 0
        self.done = {name: [] for name in TABLES}
        for path in self.paths:
            if self.place.exists(path):
                self.place.remove(path)


def zstd_level(names: Iterable[str]) -> int:
    """The level for a file with these columns. Texts are most of the bytes: 1 costs half the CPU of 3 and a sixth more space."""
    return 1 if "input" in names else 3


def _writer(path: str, schema: pa.Schema, place: Folder) -> pq.ParquetWriter:
    dictionary = [f.name for f in schema if f.name not in TEXTS and pa.types.is_string(f.type)]
    dictionary += [f"{f.name}.key_value.{part}" for f in schema if pa.types.is_map(f.type) for part in ("key", "value")]
    dictionary += [f"{f.name}.list.element" for f in schema if pa.types.is_list(f.type)]
    how = {
        "compression": "zstd",
        "compression_level": zstd_level(schema.names),
        "use_dictionary": dictionary,
        "store_schema": False,
    }
    return pq.ParquetWriter(place.key(path), schema, filesystem=place.arrow, **how)


def _by_day(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    """The rows of each day.

    Texts that stand day by day, as in exports, are not copied. Narrow rows always are: a batch of the engine is freed as a
    whole, and narrow rows that wait would keep its texts in memory.
    """
    days = pc.fill_null(rows["day"], UNKNOWN_DAY).combine_chunks()
    runs = pc.run_end_encode(days)
    ends, values = runs.run_ends.to_pylist(), runs.values.to_pylist()
    if "input" in rows.column_names and len(set(values)) == len(values):
        yield from ((day, rows.slice(begin, end - begin)) for day, begin, end in zip(values, [0, *ends], ends, strict=False))
        return
    for day in sorted(set(values)):
        yield day, rows.filter(pc.equal(days, day))


def _fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        at = rows.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(rows.num_rows, field.type))
        else:
            column = rows.column(at)
            columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
