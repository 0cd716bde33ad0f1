"""One canonical table as a Delta table: its files at a version, and a commit that adds and removes files."""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Schema, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from ..errors import StoreError
from ..schema import ARROW, Table
from .place import Folder, place_of

WRITER = WriterProperties(compression="ZSTD", compression_level=3)
KEEP_HOURS = 7 * 24
# Table features of every store: files outlive their version by a week, whoever vacuums; no values in the log, which no
# erasure rewrites; a checkpoint every ten versions (opening a table reads every version since).
CONFIGURATION = {
    "delta.checkpointInterval": "10",
    "delta.logRetentionDuration": "interval 8 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
    "delta.dataSkippingNumIndexedCols": "0",
}


@dataclass
class NewFile:
    """A Parquet file written but not committed: where it is, the day it holds, its rows."""

    path: str
    day: str | None
    rows: int


@dataclass
class Change:
    """What one commit does to a table: files that come, files that go, columns that the table did not have."""

    add: list[NewFile] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


class DeltaFiles:
    """The Delta table behind one canonical table of a store at ``root``."""

    def __init__(self, root: str | Folder, table: Table):
        self.table = table
        self.place = place_of(root)
        self.folder = self.place.join(table.name)

    def at(self, version: int | None = None) -> DeltaTable | None:
        """The table at a version (None: the newest); None where it does not exist yet. Raises StoreError when damaged."""
        try:
            return DeltaTable(self.folder, version=version, storage_options=self.place.options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError, ValueError) as error:
            if told := self.place.refusal(error):
                raise told from None
            if version is None and not self.place.exists(os.path.join(self.folder, "_delta_log")):
                return None
            reason = str(error).strip().splitlines()[0]
            raise StoreError(
                f"table {self.folder!r} cannot be read: {reason}; restore it, or ingest again into a new --store"
            ) from None

    def paths(self, found: DeltaTable) -> list[str]:
        """The files of a version as plain paths (Delta's own are percent-encoded URIs)."""
        inside = 2 if self.table.partitioned else 1
        return [os.path.join(self.folder, *uri.split("/")[-inside:]) for uri in found.file_uris()]

    def version(self) -> int | None:
        """The newest version, without opening the table; None where there is none."""
        try:
            names = self.place.names(os.path.join(self.folder, "_delta_log"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return max((int(n[:-5]) for n in names if n.endswith(".json") and n[:-5].isdecimal()), default=None)

    def create(self, extra: dict[str, str]) -> DeltaTable:
        """The newest table, made or widened so that it has every canonical column and the ``extra`` ones (name: type)."""
        fields = [*self.table.arrow(), *(pa.field(name, ARROW[kind]) for name, kind in extra.items())]
        found = self.at()
        if found is None:
            partition = ["day"] if self.table.partitioned else None
            return DeltaTable.create(
                self.folder, schema=pa.schema(fields), partition_by=partition, mode="ignore", configuration=CONFIGURATION,
                storage_options=self.place.options,
            )  # fmt: skip
        have = {f.name for f in found.schema().fields}
        missing = [f for f in fields if f.name not in have]
        if missing:
            wanted = Schema.from_arrow(pa.schema(missing)).fields
            found.alter.add_columns([Field(f.name, f.type, nullable=True) for f in wanted])
            found = self.at()
        return found

    def new_path(self, day: str | None) -> str:
        """A fresh file name in the table's folder (of that day), its folder made."""
        folder = self.folder if day is None else os.path.join(self.folder, f"day={day}")
        self.place.make(folder)
        return os.path.join(folder, f"part-{uuid.uuid4().hex}.parquet")

    def commit(self, change: Change, extra: dict[str, str], *, tries: int = 5) -> int:
        """Commit a change on the newest version and return the new version; nothing to do returns the old one.

        Raises CommitFailedError when another writer got in between: whoever calls finds out anew what to change.
        """
        self.place.check_lock()
        found = self.create(extra)
        if not change:
            return found.version()
        sizes = _sizes(found) if change.remove else {}
        actions = [self._add(f) for f in change.add] + [self._remove(p, sizes) for p in change.remove]
        found.create_write_transaction(
            actions=actions,
            mode="append",
            schema=found.schema(),
            partition_by=["day"] if self.table.partitioned else None,
            commit_properties=CommitProperties(max_commit_retries=tries),
            post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
        )
        return self.version()

    def _name(self, path: str) -> str:
        return path.removeprefix(self.folder).lstrip("/")

    def _add(self, file: NewFile) -> AddAction:
        return AddAction(
            path=self._name(file.path),
            size=self.place.size(file.path),
            partition_values={"day": file.day} if self.table.partitioned else {},
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": file.rows}),
        )

    def _remove(self, path: str, sizes: dict[str, int]) -> RemoveAction:
        name = self._name(path)
        return RemoveAction(
            path=name,
            data_change=True,
            deletion_timestamp=int(time.time() * 1000),
            size=sizes.get(name),
            partition_values={"day": day_of(path)} if self.table.partitioned else {},
        )

    def compact(self, *, most: int) -> bool:
        """Join the small files of partitions that hold more than ``most``; whether anything was done."""
        found = self.at()
        if found is None:
            return False
        crowded: dict[str | None, int] = {}
        for path in self.paths(found):
            crowded[day_of(path)] = crowded.get(day_of(path), 0) + 1
        days = [d for d, n in crowded.items() if n > most]
        if not days:
            return False
        where = [("day", "in", [d for d in days if d])] if self.table.partitioned else None
        found.optimize.compact(partition_filters=where, writer_properties=WRITER, max_concurrent_tasks=1)
        return True

    def vacuum(self, *, hours: int = KEEP_HOURS) -> int:
        """Remove files that no version younger than ``hours`` needs, those of interrupted writes included; how many."""
        found = self.at()
        if found is None:
            return 0
        gone = found.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=hours >= KEEP_HOURS, full=True)
        return len(gone)


def day_of(path: str) -> str | None:
    """The day of a partitioned file from its path; None for a file of a table without days."""
    at = path.rfind("day=")
    return path[at + 4 :].split("/", 1)[0].split(os.sep, 1)[0] if at >= 0 else None


def _sizes(found: DeltaTable) -> dict[str, int]:
    actions = pa.table(found.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))


__all__ = ["KEEP_HOURS", "WRITER", "Change", "CommitFailedError", "DeltaFiles", "NewFile", "day_of"]
