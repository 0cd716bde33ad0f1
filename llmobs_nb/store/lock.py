"""One writer per store: an operating-system lock on a file, gone when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from ..errors import LockedError, StoreError


@contextlib.contextmanager
def writer_lock(root: str, *, wait_seconds: float = 30.0) -> Iterator[None]:
    """Hold the writer lock of the store at ``root``, made where it is missing.

    Raises LockedError when another holds it longer than ``wait_seconds``, StoreError when the folder cannot be written.
    """
    path = os.path.join(root, "_llmobs", "lock")
    with _opened(path, root) as handle:
        _acquire(handle, path, root, wait_seconds)
        handle.seek(0)
        handle.truncate()
        json.dump({"pid": os.getpid(), "since": time.time()}, handle)
        handle.flush()
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _opened(path: str, root: str):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "a+")
    except OSError as error:
        raise StoreError(f"store {root!r} cannot be written: {error.strerror or error}; give a folder that you may write") from None


def _acquire(handle, path: str, root: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"store {root!r} is being written by {_holder(path)}; wait for it to end, or use another --store"
                ) from None
            time.sleep(0.05)


def _holder(path: str) -> str:
    try:
        with open(path) as handle:
            return f"process {json.load(handle)['pid']}"
    except (OSError, ValueError, KeyError):
        return "another process"
