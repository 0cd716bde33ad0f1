"""Ingest: inputs into a store, one commit at the end; a report of what was kept, refused and why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Mapped
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ..engine.duck import connect
from ..errors import InputError
from ..prices import PriceBook
from ..schema import TABLES
from ..sources import registry
from ..sources.base import Bad, Format, Head, Input
from ..sources.files import expand
from ..sources.mapping import Mapping, read_mapping
from ..sources.tables.export import format_of
from ..sources.tables.frames import arrow_of
from ..store.stage import Stager
from ..store.store import Commit, Store
from . import derive
from .extract import Extractor, NotFast, Tally, quarantine

SMALL_FILE = 4 << 20


@dataclass
class Ingested:
    """What one ingest did: per input its format, per table the rows kept, the rows refused with reasons, the commit.

    ``notes`` are sentences that a reader of the data must know, each once: what was left out, what a file cannot tell.
    """

    inputs: list[tuple[str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    commit: Commit = field(default_factory=Commit)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, text: str) -> None:
        """Remember a note once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def kept(self) -> int:
        return sum(self.tally.kept.values())

    @property
    def seen(self) -> int:
        return self.kept + self.tally.quarantined

    def summary(self) -> str:
        """One line: ``kept K of N; Q quarantined, first reasons …``."""
        line = f"kept {self.kept:,} of {self.seen:,} records"
        if self.tally.quarantined:
            top = sorted(self.tally.reasons.items(), key=lambda r: -r[1])[:3]
            line += f"; {self.tally.quarantined:,} quarantined, first reasons: " + "; ".join(f"{r} ({n:,})" for r, n in top)
        repeated = sum(self.repeated().values())
        return line + (f"; {repeated:,} stood there already or twice" if repeated else "")

    def repeated(self) -> dict[str, int]:
        """Rows that came twice or stood there already, by table; a payload is no row of its own."""
        return {table: n for table, n in self.commit.duplicates.items() if table != "payloads"}

    def formats(self) -> dict[str, int]:
        """How many inputs were recognised as which format."""
        out: dict[str, int] = {}
        for _, name in self.inputs:
            out[name] = out.get(name, 0) + 1
        return out


def ingest(
    paths: Sequence[str | os.PathLike],
    store: Store,
    *,
    format: str | Mapped[str, str] = "auto",
    mapping=None,
    prices=None,
    frames: Iterable[tuple[str, object]] = (),
    notes: Sequence[str] = (),
    memory: str = "600MB",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ingested:
    """Read files, folders, globs and DataFrames into the store; one commit, so an interrupted run changes nothing.

    ``format`` is one for all, or a mapping of path to format. ``frames`` are (table, DataFrame) pairs; ``notes`` are kept with
    those of the files. ``mapping`` is a dict, a YAML file or a Mapping; ``prices`` a table of dated
    overrides. Raises InputError when not one record can be kept, a path is missing or a format is not known.
    """
    began = time.monotonic()
    told = read_mapping(mapping) if mapping is not None else None
    book = prices if isinstance(prices, PriceBook) else PriceBook(prices)
    out = Ingested(notes=list(dict.fromkeys(notes)))
    inputs, strangers = _recognised(expand(paths, note=out.note), format, told) if paths else ([], [])
    frames = list(frames)
    extra = _extra(told)
    with store.writing():
        stager = store.stager(extra)
        con = connect(memory=memory, threads=threads, spill=store.place.spill)
        con.execute(derive.MACROS)
        try:
            run = _Run(Extractor(con, book, mapping=told), stager, out)
            for at, (item, head, fmt) in enumerate(inputs):
                run.take(item, head, fmt)
                if progress:
                    progress(f"{at + 1}/{len(inputs)} {os.path.basename(item.name)}: {fmt.name}, {out.kept:,} kept")
            run.refuse(strangers)
            for table, frame in frames:
                run.take_frame(table, frame)
            run.finish()
            _refuse_nothing(out, paths)
            staged = stager.close()
        except BaseException:
            stager.discard()
            raise
        finally:
            con.close()
        out.commit = store.commit(staged, stager, memory=memory, threads=threads)
        store.note(
            {
                "inputs": len(out.inputs),
                "formats": out.formats(),
                "kept": out.tally.kept,
                "quarantined": out.tally.quarantined,
                "duplicates": out.repeated(),
                "notes": out.notes,
            }
        )
    out.seconds = time.monotonic() - began
    return out


def _recognised(
    items: list[Input], wanted: str | Mapped[str, str], told: Mapping | None
) -> tuple[list[tuple[Input, Head, Format]], list[tuple[Input, str]]]:
    """Inputs with their formats; and those, only found on the way, of which nothing can be read, with the reason."""
    known, strangers = [], []
    for item in items:
        try:
            head = registry.head_of(item)
            if head.layout != "empty" or len(items) == 1:
                known.append((item, head, _format(item, head, wanted if isinstance(wanted, str) else wanted[item.path], told)))
        except InputError as error:
            if item.named or len(items) == 1:
                raise
            strangers.append((item, str(error).split(";")[0]))
    if not known and strangers:
        raise InputError(f"none of {len(strangers):,} files can be read, first: {strangers[0][1]}; llmobs formats lists what can")
    return known, strangers


def _format(item: Input, head: Head, wanted: str, told: Mapping | None) -> Format:
    try:
        fmt = registry.recognise(item, head, wanted)
    except InputError:
        if told is None or wanted != "auto" or not told.columns or head.layout == "empty":
            raise
        return format_of(told)
    return format_of(told) if told is not None and fmt.name == f"tables.{told.table}" else fmt


def _extra(told: Mapping | None) -> dict[str, dict[str, str]]:
    if told is None:
        return {}
    drafted = {c.name: c.type_in(told.table) for c in told.columns}
    return {told.table: derive.extras(told.table, drafted)}


def _refuse_nothing(out: Ingested, paths) -> None:
    if out.kept == 0:
        named = ", ".join(os.fspath(p) for p in list(paths)[:3])
        why = "; ".join(f"{r} ({n:,})" for r, n in list(out.tally.reasons.items())[:3]) or "it holds no record"
        raise InputError(
            f"nothing to keep in {named or 'the data'}: {why}; check the file, or say what it is with --format or --mapping"
        )


class _Run:
    """One ingest in progress: each input goes through the fastest path that takes it."""

    def __init__(self, extractor: Extractor, stager: Stager, out: Ingested):
        self.extractor = extractor
        self.stager = stager
        self.out = out

    def take(self, item: Input, head: Head, fmt: Format) -> None:
        self.out.inputs.append((item.name, fmt.name))
        for text in fmt.notes(head):
            self.out.note(text)
        if fmt.lines and fmt.lines_when(head):
            if head.layout == "parquet" and self._whole(self.extractor.parquet, item, head, fmt):
                return
            if head.layout == "lines" and item.plain and self._whole(self.extractor.fast, item, head, fmt):
                return
        self._stage(self.extractor.slow(item, head, fmt, self.out.tally))

    def refuse(self, strangers: list[tuple[Input, str]]) -> None:
        """Quarantine whole files that were found on the way and cannot be read."""
        for item, reason in strangers:
            self.out.note(f"left out: {reason}")
            bad = Bad(1, f"unreadable file: {reason}", "")
            self._put("quarantine", quarantine(item.name, "unknown", [bad], self.out.tally))

    def finish(self) -> None:
        """Stage the records that still wait for company."""
        self._stage(self.extractor.flush(self.out.tally))

    def take_frame(self, table: str, frame) -> None:
        """Rows of a DataFrame under the mapping, or under our own names."""
        arrow = arrow_of(frame, f"DataFrame of {table}")
        head = Head(f"DataFrame of {table}", b"", "parquet", [], arrow.column_names)
        told = self.extractor.mapping
        fmt = format_of(told) if told and told.columns and told.table == table else registry.formats()[f"canonical.{table}"]
        self.out.inputs.append((head.name, fmt.name))
        self.extractor.con.register("frame", arrow.append_column("\x01at", pa.array(range(arrow.num_rows), pa.int64())))
        self._stage(self.extractor.relational("frame", head, fmt, head.name, self.out.tally))
        self.extractor.con.unregister("frame")

    def _whole(self, read: Callable, item: Input, head: Head, fmt: Format) -> bool:
        """Whether the engine could read the file itself; nothing of it is staged when it could not."""
        tally = Tally()
        if item.size <= SMALL_FILE:
            try:
                tables = list(read(item, head, fmt, tally))
            except NotFast:
                return False
            self._stage(tables)
            self.out.tally.add(tally)
            return True
        aside = Stager(self.stager.root, extra=self.stager.extra)
        mine, self.stager = self.stager, aside
        try:
            self._stage(read(item, head, fmt, tally))
        except NotFast:
            aside.discard()
            return False
        except BaseException:
            aside.discard()
            raise
        finally:
            self.stager = mine
        mine.paths += aside.paths
        for name, files in aside.close().items():
            mine.done[name].extend(files)
        self.out.tally.add(tally)
        return True

    def _stage(self, tables: Iterable[tuple[str, pa.Table]]) -> None:
        for table, rows in tables:
            self._put(table, rows)

    def _put(self, table: str, rows: pa.Table) -> None:
        if table == "spans":
            self.stager.write("payloads", _payloads(rows))
        self.stager.write(table, rows)


def _payloads(rows: pa.Table) -> pa.Table:
    """The rows that have a text."""
    texts = [pc.is_valid(rows[t]) for t in ("input", "output", "system_prompt")]
    worded = pc.or_(pc.or_(texts[0], texts[1]), texts[2])
    payloads = rows.select(TABLES["payloads"].names)
    return payloads if pc.all(worded).as_py() else payloads.filter(worded)
