"""A JSONL file that only ever grows: one line a record, nothing rewritten, nothing half there after a crash.

A batch is first written beside the file, with the length that the file has; then appended; then the copy goes. Whoever opens
the file after a crash appends the rest of the copy. The file itself is the lock, as it is never replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import LockedError, UsageError
from ...text import terminal


def read(path: str | os.PathLike) -> tuple[list[dict], int]:
    """The records of a file, and how many of its lines are none; nothing where there is no file. Raises UsageError as ``append``."""
    try:
        return _parsed(Path(path).read_bytes())
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise _refused(path, error) from None


@dataclass(frozen=True)
class Appended:
    """The records that were ``new`` and are in the file now, those that were ``there`` (as the file has them), lines that are no record."""

    new: list[dict]
    there: list[dict]
    damaged: int


def append(
    path: str | os.PathLike, records: Sequence[dict], *, key: Callable[[dict], str], wait_seconds: float = 10.0
) -> Appended:
    """Append the records whose key the file does not have yet, all of them or none; on return they are on the disk.

    Reading and appending happen under one lock, so two who add the same do not both. Raises UsageError when the file cannot be
    written, LockedError when another holds it for longer than ``wait_seconds``.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file, _locked(file, path, wait_seconds):
            _finish(file, path)
            file.seek(0)
            text = file.read()
            found, damaged = _parsed(text)
            known = {key(row): row for row in found}
            wanted = {key(row): row for row in records}
            new = [row for k, row in wanted.items() if k not in known]
            if new:
                told = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in new).encode("utf-8", "replace")
                _add(file, path, (b"\n" if text and not text.endswith(b"\n") else b"") + told)
    except OSError as error:
        raise _refused(path, error) from None
    return Appended(new, [known[k] for k in wanted if k in known], damaged)


def _parsed(raw: bytes) -> tuple[list[dict], int]:
    found, damaged = [], 0
    for line in raw.splitlines():
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            found += [row] if isinstance(row, dict) else []
            damaged += not isinstance(row, dict)
    return found, damaged


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.adding")


def _add(file, path: Path, told: bytes) -> None:
    aside = _aside(path)
    with open(aside, "wb") as copy:
        copy.write(b"%d\n" % os.fstat(file.fileno()).st_size + told)
        _sync(copy)
    _sync_folder(path)
    _write(file, told)
    aside.unlink()


def _finish(file, path: Path) -> None:
    """Append what an interrupted writer did not come to. A copy that was itself cut short is of a batch that never began."""
    aside = _aside(path)
    with contextlib.suppress(FileNotFoundError):
        head, _, told = aside.read_bytes().partition(b"\n")
        if head.isdigit():
            file.seek(int(head))
            there = file.read()
            if told.startswith(there) and told.endswith(b"\n"):
                _write(file, told[len(there) :])
        aside.unlink()


def _write(file, told: bytes) -> None:
    """All of it; a raw file may take less at a time."""
    while told:
        told = told[file.write(told) :]
    _sync(file)


def _sync(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _locked(file, path: Path, wait_seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(f"file {terminal(path)!r} is being written by another process; run the same again") from None
            time.sleep(0.05)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _refused(path: str | os.PathLike, error: OSError) -> UsageError:
    return UsageError(f"file {terminal(path)!r} cannot be used: {error.strerror or error}; give to= a file that you may write")
