"""The store: canonical tables in one folder, one writer, a head that says which version of each table belong together."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..columns import literal, quote
from ..engine.duck import connect, parquet
from ..errors import StoreError
from ..schema import ARROW, TABLES
from .delta import CommitFailedError, DeltaFiles, NewFile
from .lock import writer_lock
from .merge import Merged, merge
from .stage import Stager

CROWDED = 12
VACUUM_EVERY = 20


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
        self.root = os.fspath(root)
        if "://" in self.root:
            raise StoreError(f"store {self.root!r} is a URL; object stores are not supported yet, give a folder")
        self.tables = {name: DeltaFiles(self.root, table) for name, table in TABLES.items()}

    @property
    def exists(self) -> bool:
        return os.path.isfile(self._head_path)

    @property
    def _head_path(self) -> str:
        return os.path.join(self.root, "_llmobs", "head.json")

    def head(self) -> dict:
        """The head as written by the last finished commit; empty where nothing was committed. Raises StoreError when damaged."""
        try:
            with open(self._head_path) as handle:
                return json.load(handle)
        except FileNotFoundError:
            return {"versions": {}, "commits": 0, "log": []}
        except (OSError, ValueError) as error:
            raise StoreError(f"store {self.root!r} has a damaged head ({error}); remove {self._head_path!r} to use the newest tables") from None

    def snapshot(self) -> Snapshot:
        """The committed state. Raises StoreError where there is no store."""
        if not self.exists:
            raise StoreError(f"store {self.root!r} does not exist; make one with: llmobs ingest PATH --store {self.root}")
        versions = self.head()["versions"]
        files, extra = {}, {}
        for name, version in versions.items():
            found = self.tables[name].at(version)
            if found is None:
                raise StoreError(f"table {name!r} of store {self.root!r} is gone; ingest again into a new --store")
            files[name] = sorted(found.file_uris())
            extra[name] = _extra_columns(name, found)
        return Snapshot(self.root, versions, files, extra)

    @contextlib.contextmanager
    def writing(self, *, wait_seconds: float = 30.0) -> Iterator[None]:
        """Hold the writer lock; what an interrupted writer left half done is taken back first."""
        os.makedirs(self.root, exist_ok=True)
        with writer_lock(self.root, wait_seconds=wait_seconds):
            self._take_back()
            yield

    def _take_back(self) -> None:
        """Tables that are ahead of the head belong to a commit that never finished."""
        versions = self.head()["versions"]
        for name, files in self.tables.items():
            found = files.at()
            if found is None:
                continue
            if name not in versions:
                if found.file_uris():
                    found.restore(0)
            elif found.version() > versions[name]:
                found.restore(versions[name])

    def stager(self, extra: dict[str, dict[str, str]] | None = None) -> Stager:
        """A stager for rows of this store. Raises StoreError when an extra column has another type than before."""
        merged: dict[str, dict[str, str]] = {}
        for name, files in self.tables.items():
            found = files.at()
            have = _extra_columns(name, found) if found is not None else {}
            for column, kind in (extra or {}).get(name, {}).items():
                if have.get(column, kind) != kind:
                    raise StoreError(f"column {column!r} of {name} is {have[column]} in the store, not {kind}; give it another name")
            merged[name] = have | (extra or {}).get(name, {})
        return Stager(self.root, extra=merged)

    def commit(self, staged: dict[str, list[NewFile]], stager: Stager, *, memory: str = "600MB", threads: int | None = None) -> Commit:
        """Merge staged files into the tables, payloads before spans, and move the head: old state or new, never a mix."""
        out = Commit()
        con = connect(memory=memory, threads=threads, spill=os.path.join(self.root, "_llmobs", "spill"))
        try:
            self._facts(con, staged, stager)
            for name in ("payloads", *(n for n in TABLES if n not in ("payloads", "spans")), "spans"):
                touched = "new_facts" if name == "spans" and "trace_facts" in staged else None
                if name in staged or touched:
                    merged = self._commit_table(con, name, staged.get(name, []), stager, touched)
                    out.duplicates[name], out.updated[name] = merged.duplicates, merged.updated
        finally:
            con.close()
        self._move_head()
        return out

    def _facts(self, con, staged: dict[str, list[NewFile]], stager: Stager) -> None:
        """Temp tables ``facts`` (newest facts of every trace, staged ones included) and ``new_facts`` (the staged traces)."""
        table, extra = TABLES["trace_facts"], stager.extra.get("trace_facts")
        new = [f.path for f in staged.get("trace_facts", [])]
        found = self.tables["trace_facts"].at()
        old = found.file_uris() if found is not None else []
        con.execute(f"""CREATE OR REPLACE TEMP TABLE facts AS SELECT * FROM {parquet([*new, *old], table, extra)}
            QUALIFY row_number() OVER (PARTITION BY source, project, trace_id ORDER BY updated_at DESC NULLS LAST,
              md5(concat_ws('|', trace_name, user_id, session_id, environment, release)) DESC) = 1""")
        con.execute(f"CREATE OR REPLACE TEMP TABLE new_facts AS SELECT DISTINCT source, project, trace_id FROM {parquet(new, table, extra)}")

    def _commit_table(self, con, name: str, staged: list[NewFile], stager: Stager, touched: str | None) -> Merged:
        files, extra = self.tables[name], stager.extra.get(name, {})
        for _ in range(5):
            found = files.create(extra)
            merged = merge(con, files, staged, found.file_uris(), stager, touched=touched)
            try:
                files.commit(merged.change, extra)
            except CommitFailedError:
                staged = merged.change.add
                continue
            if files.compact(most=CROWDED) and self.head()["commits"] % VACUUM_EVERY == VACUUM_EVERY - 1:
                files.vacuum()
            return merged
        raise StoreError(f"table {name!r} of store {self.root!r} is being written by somebody else; try again when they are done")

    def _move_head(self, **more) -> None:
        head = self.head()
        versions = {name: v for name, files in self.tables.items() if (v := files.version()) is not None}
        head.update(versions=versions, commits=head.get("commits", 0) + 1, **more)
        self.write_head(head)

    def write_head(self, head: dict) -> None:
        """Replace the head in one step."""
        os.makedirs(os.path.dirname(self._head_path), exist_ok=True)
        temporary = f"{self._head_path}.{uuid.uuid4().hex}"
        with open(temporary, "w") as handle:
            json.dump(head, handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, self._head_path)

    def note(self, entry: dict, *, keep: int = 50) -> None:
        """Remember one line about a run (what was read, when) in the head."""
        head = self.head()
        head["log"] = [*head.get("log", []), entry | {"at": time.time()}][-keep:]
        self.write_head(head)

    def erase(self, where: dict[str, str]) -> dict[str, int]:
        """Remove every row of the traces, users or tenants that match, from the files too; rows removed per table.

        ``where`` maps trace_id, user_id or tenant_id to a value. Old versions go at once: readers of them must reopen.
        """
        condition = " AND ".join(f"{quote(c)} = {literal(v)}" for c, v in where.items())
        with self.writing():
            snapshot = self.snapshot()
            con = connect()
            con.execute(f"CREATE TEMP TABLE gone AS SELECT DISTINCT source, project, trace_id, session_id FROM {snapshot.relation('spans')} WHERE {condition}")
            if "trace_id" in where:
                con.execute(f"INSERT INTO gone (trace_id) VALUES ({literal(where['trace_id'])})")
            counts = {}
            for name in ("payloads", "scores", "corrections", "trace_facts", "quarantine", "spans"):
                counts[name] = self._erase_from(con, name, snapshot, where)
            con.close()
            self._move_head()
        return counts

    def _erase_from(self, con, name: str, snapshot: Snapshot, where: dict[str, str]) -> int:
        from .merge import _rewrite

        if name not in snapshot.versions:
            return 0
        files, extra = self.tables[name], snapshot.extra.get(name, {})
        both = snapshot.relation(name, rows=True)
        if name == "quarantine":
            condition = " OR ".join(f"contains(raw, {literal(v)})" for v in where.values())
        else:
            condition = "trace_id IN (SELECT trace_id FROM gone)"
            direct = [c for c in where if c in TABLES[name]]
            condition += "".join(f" OR {quote(c)} = {literal(where[c])}" for c in direct)
        con.execute(f"CREATE OR REPLACE TEMP TABLE losers AS SELECT filename, file_row_number AS row FROM {both} WHERE {condition}")
        removed = con.sql("SELECT count(*) FROM losers").fetchall()[0][0]
        change = _rewrite(con, files, [], snapshot.files[name], extra)
        files.commit(change, extra)
        files.vacuum(hours=0)
        return removed


def _extra_columns(name: str, found) -> dict[str, str]:
    """The columns of a Delta table that the declaration does not know, with their types in our words."""
    import pyarrow as pa

    words = {str(v): k for k, v in reversed(ARROW.items())}
    schema = pa.schema(found.schema().to_arrow())
    return {f.name: words.get(str(f.type), "text") for f in schema if f.name not in TABLES[name]}
