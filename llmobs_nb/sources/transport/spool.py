"""The raw rows of one pull on local disk: per slice a file of JSON lines and a note of how far it got.

A page is appended first and noted after; a pull that is killed in between cuts the file back to what was noted. So a row is
there once for each page that held it, and no page is half there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from .job import Slice


@dataclass(frozen=True)
class Progress:
    """How far a slice got: rows and bytes that are safe, where the next page begins, whether all is there, or why not.

    ``split`` means that two halves took its place.
    """

    rows: int = 0
    bytes: int = 0
    cursor: str | None = None
    done: bool = False
    split: bool = False


class Spool:
    """The folder of one pull."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = os.fspath(folder)

    @property
    def exists(self) -> bool:
        return os.path.exists(self._path("plan.json"))

    def _path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def plan(self) -> dict:
        """What was planned; empty where nothing was."""
        try:
            with open(self._path("plan.json"), "rb") as file:
                return orjson.loads(file.read())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}

    def write_plan(self, plan: dict) -> None:
        """Replace the plan in one step."""
        self._replace(self._path("plan.json"), orjson.dumps(plan, default=str))

    def progress(self, slice: Slice) -> Progress:
        """How far a slice got."""
        return _progress(self._path(slice.entity, f"{slice.key}.json"))

    def begin(self, slice: Slice) -> Progress:
        """How far a slice got, its file cut back to what was noted."""
        got = self.progress(slice)
        os.makedirs(self._path(slice.entity), exist_ok=True)
        with open(self._data(slice), "ab") as file:
            file.truncate(got.bytes)
        return got

    def add(self, slice: Slice, got: Progress, rows: Sequence[dict], cursor: str | None) -> Progress:
        """Append a page and note it; without a cursor the slice is done."""
        data = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        with open(self._data(slice), "ab") as file:
            file.write(data)
        got = Progress(got.rows + len(rows), got.bytes + len(data), cursor, cursor is None)
        self._note(slice, got)
        return got

    def give_up(self, slice: Slice, got: Progress) -> None:
        """Note that halves took the place of a slice; what it had stays, the store drops what comes twice."""
        self._note(slice, replace(got, split=True))

    def _note(self, slice: Slice, got: Progress) -> None:
        self._replace(self._path(slice.entity, f"{slice.key}.json"), orjson.dumps(asdict(got)))

    def _data(self, slice: Slice) -> str:
        return self._path(slice.entity, f"{slice.key}.jsonl")

    def _replace(self, path: str, data: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "wb") as file:
            file.write(data)
        os.replace(f"{path}.new", path)

    def entities(self) -> list[str]:
        """The entities that have rows."""
        if not os.path.isdir(self.folder):
            return []
        return sorted(e.name for e in os.scandir(self.folder) if e.is_dir() and self.files(e.name))

    def files(self, entity: str) -> list[str]:
        """The files of an entity that hold rows."""
        folder = self._path(entity)
        names = sorted(n for n in os.listdir(folder) if n.endswith(".jsonl")) if os.path.isdir(folder) else []
        return [path for n in names if os.path.getsize(path := os.path.join(folder, n))]

    def count(self, entity: str) -> int:
        """How many rows of an entity were fetched; one that came twice counts twice."""
        notes = [path.removesuffix("l") for path in self.files(entity)]
        return sum(_progress(note).rows for note in notes)

    def joined(self, entity: str) -> str:
        """All rows of an entity in one file: one file is read faster than a hundred, and a trace is in it as a whole."""
        path = self._path(f"{entity}.jsonl")
        with open(path, "wb") as out:
            for part in self.files(entity):
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, out, 1 << 20)
        return path

    def rows(self, entity: str) -> Iterator[dict]:
        """Every row of an entity, as fetched."""
        for path in self.files(entity):
            with open(path, "rb") as file:
                for line in file:
                    yield orjson.loads(line)

    def remove(self) -> None:
        """Forget the pull."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _progress(note: str) -> Progress:
    try:
        with open(note, "rb") as file:
            return Progress(**orjson.loads(file.read()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Progress()
