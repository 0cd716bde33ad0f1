"""One input to Arrow tables of canonical rows, plus the records that could not be kept.

Fast path: the engine reads a file of JSON lines (or Parquet rows) itself. Anything it cannot take sends the file through
the format's own ``read``, whose records are spooled in chunks and go through the same compiled SELECT.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..columns import compile_select, fields_of, literal, quote
from ..engine.duck import is_interrupt
from ..prices.apply import price
from ..schema import TABLES
from ..sources.base import Bad, Format, Head, Input, Record, Shape
from ..sources.jsonstream import raw_text
from ..sources.tabular import first_line
from .derive import derive
from .fill import filled
from .prompts import with_system_prompts

CHUNK_ROWS = 8_000
CHUNK_BYTES = 32 << 20
LINE_BYTES = 4 << 20
BATCH_ROWS = 8_192
# A result that streams through Arrow gives the engine's errors as Arrow's.
_ENGINE_ERRORS = (duckdb.Error, pa.ArrowException, OSError)


def _told(error: Exception) -> BaseException:
    """What an engine's error means to whoever reads a file: stopped by the user, or not to be read this way."""
    return KeyboardInterrupt() if is_interrupt(error) else NotFast(str(error))


class NotFast(Exception):
    """The fast path met something it cannot take; the file is read again line by line."""


@dataclass
class Tally:
    """Rows seen, kept and refused."""

    kept: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def keep(self, table: str, rows: int) -> None:
        self.kept[table] = self.kept.get(table, 0) + rows

    def refuse(self, reason: str) -> None:
        self.quarantined += 1
        kind = reason.split(": ")[0]
        self.reasons[kind] = self.reasons.get(kind, 0) + 1

    def add(self, other: Tally) -> None:
        for table, rows in other.kept.items():
            self.keep(table, rows)
        self.quarantined += other.quarantined
        for reason, n in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + n


class Extractor:
    """Turns inputs into tables; ``shape`` may add a user's columns, ``raters`` maps score names to raters."""

    def __init__(self, con: duckdb.DuckDBPyConnection, book, *, mapping=None):
        self.con = con
        self.book = book
        self.mapping = mapping
        self.spools: dict[tuple[str, str, str], _Spool] = {}

    def fast(self, item: Input, head: Head, fmt: Format, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of a file read by the engine itself; raises NotFast before or between tables."""
        shape = self._shape(fmt.shapes[fmt.lines])
        names = fields_of(shape.columns)
        listed = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in names)
        relation = (
            f"read_json({literal(glob.escape(item.path))}, format = 'newline_delimited', columns = {{{listed}}}, "
            f"maximum_object_size = {LINE_BYTES}, compression = 'none')"
        )
        try:
            for table, rows in self._tables(shape, relation, fmt.source, strict=True):
                tally.keep(table, rows.num_rows)
                yield table, rows
        except _ENGINE_ERRORS as error:
            raise _told(error) from None

    def parquet(self, item: Input, head: Head, fmt: Format, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of a Parquet file read by the engine itself; raises NotFast before or between tables."""
        path = literal(glob.escape(item.path))
        options = "file_row_number = true, hive_partitioning = false, binary_as_string = true"
        relation = f'(SELECT * EXCLUDE (file_row_number), file_row_number AS "\x01at" FROM read_parquet({path}, {options}))'
        try:
            yield from self.relational(relation, head, fmt, item.name, tally)
        except _ENGINE_ERRORS as error:
            raise _told(error) from None

    def relational(self, relation: str, head: Head, fmt: Format, file: str, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of rows that the engine already sees (Parquet, a DataFrame), every column given as text.

        ``relation`` must number its rows in a column ``\\x01at``.
        """
        shape = fmt.widened(head, self._shape(fmt.shapes[fmt.lines]))
        text = f"(SELECT {', '.join(self._as_text(relation, fields_of(shape.columns)))} FROM {relation})"
        lost: list[tuple[int, str]] = []
        for table, rows in self._tables(shape, text, fmt.source, strict=False, passing=("\x01at",)):
            kept, refused = _refused(rows)
            lost += refused
            tally.keep(table, kept.num_rows)
            yield table, kept
        for start in range(0, len(lost), BATCH_ROWS):
            yield self._quarantine(file, fmt, self._bads(relation, lost[start : start + BATCH_ROWS]), tally)

    def _as_text(self, relation: str, names: list[str]) -> Iterator[str]:
        """The columns of a relation as text, nested ones as JSON; a null for one it does not have."""
        have = dict(self.con.sql(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {relation})").fetchall())
        yield quote("\x01at")
        for name in names:
            kind = have.get(name)
            if kind is None:
                yield f"NULL::VARCHAR AS {quote(name)}"
            elif kind.startswith(("MAP", "STRUCT")) or kind.endswith("]"):
                yield f"CAST(to_json({quote(name)}) AS VARCHAR) AS {quote(name)}"
            else:
                yield f"CAST({quote(name)} AS VARCHAR) AS {quote(name)}"

    def _bads(self, relation: str, lost: list[tuple[int, str]]) -> list[Bad]:
        """The refused rows as they stood. The connection must have no open result."""
        listed = ", ".join(str(at) for at, _ in lost)
        found = self.con.sql(
            f'SELECT "\x01at", CAST(to_json(t) AS VARCHAR) FROM {relation} t WHERE "\x01at" IN ({listed})'
        ).fetchall()
        raws = {at: raw_text(raw.encode("utf-8", "replace")) for at, raw in found}
        return [Bad(at + 1, reason, raws[at]) for at, reason in lost]

    def slow(self, item: Input, head: Head, fmt: Format, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of a file read record by record; what cannot be kept comes as quarantine tables.

        Records wait in spools that many small files share; ``flush`` gives what still waits.
        """
        bads: list[Bad] = []
        for record in fmt.read(item, head):
            if isinstance(record, Bad):
                bads.append(record)
                if len(bads) >= 1000:
                    yield self._quarantine(item.name, fmt, bads, tally)
                    bads = []
                continue
            spool = self.spools.setdefault((fmt.name, fmt.source, record.shape), _Spool(fmt))
            spool.add(item.name, record)
            if spool.full:
                yield from self._drain(record.shape, spool, tally)
        if bads:
            yield self._quarantine(item.name, fmt, bads, tally)

    def flush(self, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of the records that still wait."""
        for (_, _, name), spool in self.spools.items():
            yield from self._drain(name, spool, tally)

    def _drain(self, name: str, spool: _Spool, tally: Tally) -> Iterator[tuple[str, pa.Table]]:
        fmt, records = spool.fmt, spool.take()
        if records:
            yield from self._mapped(fmt, self._shape(fmt.shapes[name]), records, tally)

    def _mapped(
        self, fmt: Format, shape: Shape, records: list[tuple[str, Record]], tally: Tally
    ) -> Iterator[tuple[str, pa.Table]]:
        """Canonical tables of records; one that the engine cannot take is found by halving and goes to quarantine."""
        mine = Tally()
        try:
            tables = list(self._chunk(fmt, shape, records, mine))
        except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
            if len(records) > 1:
                half = len(records) // 2
                yield from self._mapped(fmt, shape, records[:half], tally)
                yield from self._mapped(fmt, shape, records[half:], tally)
                return
            file, record = records[0]
            bad = Bad(record.line, f"a value cannot be taken: {first_line(error)[:200]}", raw_text(encode(record.data)))
            tables = [self._quarantine(file, fmt, [bad], mine)]
        tally.add(mine)
        yield from tables

    def _chunk(
        self, fmt: Format, shape: Shape, records: list[tuple[str, Record]], tally: Tally
    ) -> Iterator[tuple[str, pa.Table]]:
        names = fields_of(shape.columns)
        with tempfile.TemporaryDirectory(prefix="llmobs-") as folder:
            path = os.path.join(folder, "chunk.jsonl")
            longest = _write_chunk(path, records, names)
            listed = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in ("\x01at", *names))
            relation = (
                f"read_json({literal(path)}, format = 'newline_delimited', columns = {{{listed}}}, "
                f"maximum_object_size = {max(longest + 1024, 1 << 20)}, compression = 'none')"
            )
            for table, rows in self._tables(shape, relation, fmt.source, strict=False, passing=("\x01at",)):
                kept, refused = _refused(rows)
                tally.keep(table, kept.num_rows)
                yield table, kept
                bads: dict[str, list[Bad]] = {}
                for at, reason in refused:
                    file, record = records[at]
                    bads.setdefault(file, []).append(Bad(record.line, reason, raw_text(encode(record.data))))
                for file, found in bads.items():
                    yield self._quarantine(file, fmt, found, tally)

    def _shape(self, shape: Shape) -> Shape:
        return shape if self.mapping is None else self.mapping.applied(shape)

    def _tables(self, shape: Shape, relation: str, source: str, *, strict: bool, passing=()) -> Iterator[tuple[str, pa.Table]]:
        drafted = {c.name: c.type_in(shape.table) for c in shape.columns}
        selected = compile_select(shape.columns, shape.table, relation, passing=passing, required=shape.required)
        raters = self.mapping.raters if self.mapping else None
        sql = derive(shape.table, selected, drafted, source=source, passing=passing, raters=raters)
        for batch in self.con.sql(sql).to_arrow_reader(BATCH_ROWS):
            rows = pa.Table.from_batches([batch])
            if strict and rows["_reason"].null_count < rows.num_rows:
                raise NotFast("a row cannot be kept")
            if shape.table == "spans":
                rows = price(filled(with_system_prompts(rows)), self.book)
            yield shape.table, rows if not strict else rows.drop_columns("_reason")

    def _quarantine(self, file: str, fmt: Format, bads: list[Bad], tally: Tally) -> tuple[str, pa.Table]:
        return "quarantine", quarantine(file, fmt.name, bads, tally)


def quarantine(file: str, fmt: str, bads: list[Bad], tally: Tally) -> pa.Table:
    """Quarantine rows for records that could not be kept; each is counted."""
    rows = []
    for bad in bads:
        tally.refuse(bad.reason)
        raw = bad.raw.encode("utf-8", "backslashreplace").decode()
        key = hashlib.md5(f"{file}\x1f{bad.line}\x1f{raw}".encode(), usedforsecurity=False).hexdigest()
        rows.append({"record_id": key, "file": file, "line": bad.line, "format": fmt, "reason": bad.reason, "raw": raw})
    return pa.Table.from_pylist(rows, schema=TABLES["quarantine"].arrow())


class _Spool:
    """Records of one shape, of one or many files, waiting to be mapped together."""

    def __init__(self, fmt: Format):
        self.fmt = fmt
        self.records: list[tuple[str, Record]] = []
        self.bytes = 0

    def add(self, file: str, record: Record) -> None:
        self.records.append((file, record))
        self.bytes += sum(len(v) for v in record.data.values() if isinstance(v, str)) + 200

    @property
    def full(self) -> bool:
        return len(self.records) >= CHUNK_ROWS or self.bytes >= CHUNK_BYTES

    def take(self) -> list[tuple[str, Record]]:
        records, self.records, self.bytes = self.records, [], 0
        return records


def _write_chunk(path: str, records: list[tuple[str, Record]], names: list[str]) -> int:
    """One JSON line per record with the fields the columns read, and its place in the chunk; the longest line's bytes."""
    longest = 0
    with open(path, "wb") as out:
        for at, (_, record) in enumerate(records):
            data = {n: record.data[n] for n in names if n in record.data}
            line = encode(data | {"\x01at": at})
            longest = max(longest, len(line))
            out.write(line + b"\n")
    return longest


def encode(value) -> bytes:
    """JSON bytes of a value that may hold anything a reader gave: huge numbers and lone surrogates are mended."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        return _encode_any(value)


def _encode_any(value) -> bytes:
    """What orjson will not do: integers of any size, any depth."""
    out: list[bytes] = []
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, _Written):
            out.append(one)
        elif isinstance(one, dict):
            pairs = [(_Written(b"," * (at > 0) + _scalar(str(key)) + b":"), v) for at, (key, v) in enumerate(one.items())]
            todo += [_Written(b"}"), *(part for key, v in reversed(pairs) for part in (v, key)), _Written(b"{")]
        elif isinstance(one, (list, tuple)):
            parts = [part for at, v in enumerate(one) for part in ((_Written(b","), v) if at else (v,))]
            todo += [_Written(b"]"), *reversed(parts), _Written(b"[")]
        else:
            out.append(_scalar(one))
    return b"".join(out)


class _Written(bytes):
    """JSON that is done."""


def _scalar(value) -> bytes:
    if isinstance(value, (str, int)):
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return orjson.dumps(value, default=str)


def _refused(rows: pa.Table) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Rows that are kept, and (number, reason) of the others."""
    reasons = rows["_reason"]
    plain = rows.drop_columns(["_reason", "\x01at"])
    if reasons.null_count == rows.num_rows:
        return plain, []
    lost = rows.filter(pc.is_valid(reasons))
    pairs = zip(lost["\x01at"].to_pylist(), lost["_reason"].to_pylist(), strict=True)
    return plain.filter(pc.is_null(reasons)), [(int(at), reason) for at, reason in pairs]
