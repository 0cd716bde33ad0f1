"""The store: canonical tables in one folder, one writer, a head that says which version of each table belong together."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from ..engine.duck import connect, parquet
from ..errors import StoreError
from ..schema import ARROW, TABLES
from .delta import CommitFailedError, DeltaFiles, NewFile
from .erase import erasing, find_gone
from .merge import Merged, merge, rewrite
from .place import place_of
from .settle import FROM_FACTS
from .stage import Stager

CROWDED = 12
VACUUM_EVERY = 20
EMPTY_HEAD = {"versions": {}, "commits": 0, "log": []}
# The tables that a user's mapping may give columns of their own.
WIDENED = ("spans", "scores", "series")
ERASED = (*(name for name, table in TABLES.items() if "trace_id" in table and name != "spans"), "quarantine", "spans")


@dataclass(frozen=True)
class Snapshot:
    """Which version of each table belong together, and their files; what a reader holds."""

    root: str
    versions: dict[str, int]
    files: dict[str, list[str]]
    extra: dict[str, dict[str, str]]

    def relation(self, name: str, *, rows: bool = False) -> str:
        """A FROM expression over one table as of this snapshot."""
        return parquet(self.files.get(name, []), TABLES[name], self.extra.get(name), rows=rows)


@dataclass
class Commit:
    """What one commit did, per table: rows found twice or older than the stored ones, and rows that replaced stored ones."""

    duplicates: dict[str, int] = field(default_factory=dict)
    updated: dict[str, int] = field(default_factory=dict)


class Store:
    """The store at ``root``. Reading never waits; writing takes the store's one lock."""

    def __init__(self, root: str | os.PathLike):
        self.place = place_of(_checked(os.fspath(root)))
        self.root = self.place.name
        self.tables = {name: DeltaFiles(self.place, table) for name, table in TABLES.items()}

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed to it."""
        return bool(self.head()["versions"])

    def _own(self, name: str) -> str:
        return self.place.join("_llmobs", name)

    @property
    def _head_path(self) -> str:
        return self._own("head.json")

    def head(self) -> dict:
        """The head as written by the last finished commit; empty where nothing was committed. Raises StoreError when damaged."""
        try:
            return _read_head(json.loads(self.place.read(self._head_path)))
        except (FileNotFoundError, NotADirectoryError):
            return dict(EMPTY_HEAD)
        except (OSError, ValueError) as error:
            raise StoreError(f"store {self.root!r} has a damaged head ({error}); {self._cure}") from None

    @property
    def _cure(self) -> str:
        return f"put {self._own('head.old.json')!r} in the place of {self._head_path!r} and ingest the newest exports again"

    def snapshot(self) -> Snapshot:
        """The committed state. Raises StoreError where there is no store."""
        if not self.exists:
            raise StoreError(f"store {self.root!r} does not exist; make one with: llmobs ingest PATH --store {self.root}")
        versions = self.head()["versions"]
        files, extra = {}, {}
        for name, version in versions.items():
            found = self.tables[name].at(version)
            if found is None:
                raise self._gone(name)
            files[name] = sorted(self.tables[name].paths(found))
            extra[name] = _extra_columns(name, found)
        return Snapshot(self.root, versions, files, extra)

    def _gone(self, name: str) -> StoreError:
        return StoreError(f"table {name!r} of store {self.root!r} is gone; ingest again into a new --store")

    @contextlib.contextmanager
    def writing(self, *, wait_seconds: float = 30.0) -> Iterator[None]:
        """Hold the writer lock; what an interrupted writer left half done is taken back first."""
        with self.place.lock(wait_seconds=wait_seconds), self.place.telling():
            shutil.rmtree(self.place.spill, ignore_errors=True)
            self._begin()
            self._take_back()
            if self.head().get("erasing"):
                self._forget()
            yield

    def _begin(self) -> None:
        """A head before the first table, so that tables without one mean that it was lost."""
        if self.place.exists(self._head_path):
            return
        found = [name for name, files in self.tables.items() if (table := files.at()) is not None and table.file_uris()]
        if found:
            raise StoreError(f"store {self.root!r} has lost its head, but holds {', '.join(found)}; {self._cure}")
        self.write_head(EMPTY_HEAD)

    def _take_back(self) -> None:
        """Tables that are ahead of the head belong to a commit that never finished."""
        head = self.head()
        versions = dict(head["versions"])
        for name, files in self.tables.items():
            newest, version = files.version(), versions.get(name)
            if newest == version:
                continue
            if version is not None and (newest is None or newest < version):
                raise self._gone(name)
            found = files.at()
            if version is None and not found.file_uris():
                continue
            self._restore(name, found, version or 0)
            if version is not None:
                versions[name] = files.version()
        if versions != head["versions"]:
            self.write_head(head | {"versions": versions})

    def _restore(self, name: str, found, version: int) -> None:
        try:
            found.restore(version)
        except DeltaError as error:
            raise StoreError(
                f"table {name!r} of store {self.root!r} cannot be taken back to version {version}: {_line(error)}; ingest again into a new --store"
            ) from None

    def stager(self, extra: dict[str, dict[str, str]] | None = None) -> Stager:
        """A stager for rows of this store. Raises StoreError when an extra column has another type than before."""
        merged: dict[str, dict[str, str]] = {}
        for name, files in self.tables.items():
            found = files.at() if name in WIDENED or name in (extra or {}) else None
            have = _extra_columns(name, found) if found is not None else {}
            lower = {column.casefold(): column for column in have}
            for column, kind in (extra or {}).get(name, {}).items():
                if ARROW[have.get(column, kind)] != ARROW[kind]:
                    raise StoreError(
                        f"column {column!r} of {name} is {have[column]} in the store, not {kind}; give it another name"
                    )
                if lower.get(column.casefold(), column) != column:
                    raise StoreError(
                        f"column {column!r} of {name} is {lower[column.casefold()]!r} in the store; write it the same way"
                    )
            merged[name] = (extra or {}).get(name, {}) | have
        return Stager(self.place, extra=merged)

    def commit(
        self, staged: dict[str, list[NewFile]], stager: Stager, *, memory: str = "600MB", threads: int | None = None
    ) -> Commit:
        """Merge staged files into the tables, payloads before spans, and move the head: old state or new, never a mix."""
        out = Commit()
        con = connect(memory=memory, threads=threads, spill=self.place.spill)
        self.place.attach(con)
        try:
            self._new_facts(con, staged, stager)
            for name in ("payloads", *(n for n in TABLES if n not in ("payloads", "spans")), "spans"):
                if name == "spans":
                    self._facts(con)
                touched = "new_facts" if name == "spans" and "trace_facts" in staged else None
                if name in staged or touched:
                    merged = self._commit_table(con, name, staged.get(name, []), stager, touched)
                    out.duplicates[name], out.updated[name] = merged.duplicates, merged.updated
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise StoreError(
                f"store {self.root!r} cannot be read or written: {_line(error)}; make room, or ingest again into a new --store"
            ) from None
        finally:
            con.close()
        if self._move_head()["commits"] % VACUUM_EVERY == 0:
            for files in self.tables.values():
                files.vacuum()
        return out

    def _new_facts(self, con, staged: dict[str, list[NewFile]], stager: Stager) -> None:
        """Temp table ``new_facts``: the traces of which something was staged apart from their spans."""
        new = parquet([f.path for f in staged.get("trace_facts", [])], TABLES["trace_facts"], stager.extra.get("trace_facts"))
        con.execute(f"CREATE OR REPLACE TEMP TABLE new_facts AS SELECT DISTINCT source, project, trace_id FROM {new}")

    def _facts(self, con) -> None:
        """Temp table ``facts``: what each trace says of itself, as just committed."""
        files = self.tables["trace_facts"]
        found = files.at()
        stored = parquet(files.paths(found) if found is not None else [], files.table)
        told = ", ".join(f"{sql} AS {column}" for column, sql in FROM_FACTS.items())
        con.execute(f"CREATE OR REPLACE TEMP TABLE facts AS SELECT source, project, trace_id, {told} FROM {stored}")

    def _commit_table(self, con, name: str, staged: list[NewFile], stager: Stager, touched: str | None) -> Merged:
        files, extra = self.tables[name], stager.extra.get(name, {})
        for _ in range(5):
            found = files.create(extra)
            merged = merge(con, files, staged, files.paths(found), stager, touched=touched)
            try:
                files.commit(merged.change, extra)
            except CommitFailedError:
                staged = merged.change.add
                continue
            files.compact(most=CROWDED)
            return merged
        raise StoreError(f"table {name!r} of store {self.root!r} is being written by somebody else; try again when they are done")

    def _move_head(self, **more) -> dict:
        head = self.head()
        versions = {name: v for name, files in self.tables.items() if (v := files.version()) is not None}
        head |= {"versions": versions, "commits": head["commits"] + 1, **more}
        self.write_head(head)
        return head

    def write_head(self, head: dict) -> None:
        """Replace the head in one step; the one before stays beside it."""
        if self.place.exists(self._head_path):
            self.place.replace(self._own("head.old.json"), self.place.read(self._head_path))
        self.place.replace(self._head_path, json.dumps(head))

    def note(self, entry: dict, *, keep: int = 50) -> None:
        """Remember one line about a run (what was read, when) in the head."""
        head = self.head()
        head["log"] = [*head.get("log", []), entry | {"at": time.time()}][-keep:]
        self.write_head(head)

    def erase(self, where: dict[str, str]) -> dict[str, int]:
        """Remove every row of the traces, users or tenants that match, from the files too; rows removed per table.

        ``where`` maps trace_id, user_id or tenant_id to a value. A matching span takes its whole trace along; quarantined
        records go when their text names the value or such a trace, what was said of a session when no trace of it is left.
        Old versions go at once: readers of them must reopen. An interrupted erasure is finished by the next writer.
        """
        with self.writing():
            snapshot = self.snapshot()
            con = connect(spill=self.place.spill)
            self.place.attach(con)
            try:
                find_gone(con, snapshot, where)
                counts = {name: self._erase_from(con, name, snapshot, where) for name in ERASED}
            finally:
                con.close()
            self._move_head(erasing=True)
            self._forget()
        return counts

    def _erase_from(self, con, name: str, snapshot: Snapshot, where: dict[str, str]) -> int:
        if name not in snapshot.versions:
            return 0
        files, extra = self.tables[name], snapshot.extra.get(name, {})
        matching = erasing(name, where)
        con.execute(
            f"CREATE OR REPLACE TABLE losers AS SELECT filename, file_row_number AS row FROM {snapshot.relation(name, rows=True)} WHERE {matching}"
        )
        removed = con.sql("SELECT count(*) FROM losers").fetchall()[0][0]
        files.commit(rewrite(con, files, [], snapshot.files[name], extra), extra)
        return removed

    def _forget(self) -> None:
        """Remove every file that the newest versions do not need."""
        for files in self.tables.values():
            files.vacuum(hours=0)
        head = self.head()
        head.pop("erasing", None)
        self.write_head(head)


def _checked(root: str) -> str:
    if "://" in root:
        return root
    parts = os.path.abspath(root).split(os.sep)
    if not root or "\0" in root or any(set(part) & set("%=\\") for part in parts):
        raise StoreError(f"store {root!r} cannot be a store; give a folder whose path has no %, = or backslash in it")
    return root


def _read_head(head) -> dict:
    """A head that has what a head has; raises ValueError."""
    versions = head.get("versions") if isinstance(head, dict) else None
    if not isinstance(versions, dict) or not all(type(v) is int for v in versions.values()):
        raise ValueError("it names no versions")
    if strange := [name for name in versions if name not in TABLES]:
        raise ValueError(f"it names a table {strange[0]!r} that is not known")
    head = EMPTY_HEAD | head
    if type(head["commits"]) is not int or not isinstance(head["log"], list):
        raise ValueError("its count or log is none")
    return head


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _extra_columns(name: str, found) -> dict[str, str]:
    """The columns of a Delta table that the declaration does not know, with their types in our words."""
    schema = pa.schema(found.schema().to_arrow())
    return {f.name: next((k for k, v in ARROW.items() if v == f.type), "text") for f in schema if f.name not in TABLES[name]}
