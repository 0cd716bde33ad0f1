"""Where the raw rows of a pull wait until they are in the store: beside a local store, in the user's cache for an object store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator

from ..errors import LockedError, UsageError
from ..store.lock import writer_lock
from ..store.place import Bucket, Folder

KEPT_SECONDS = 7 * 86400


def folder_of(place: Folder, key: str) -> str:
    """The folder for the pulls of one project into one store."""
    if isinstance(place, Bucket):
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        return os.path.join(cache, "llmobs", "pull", _short(f"{place.root} {key}"))
    return place.join("_llmobs", "pull", _short(key))


def request_folder(folder: str, request: str) -> str:
    """The folder of one request; the same request finds it again. Others that nobody came back to for a week are removed."""
    mine = os.path.join(folder, _short(request))
    with contextlib.suppress(FileNotFoundError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir() and entry.path != mine and entry.name != "_llmobs" and _age(entry.path) > KEPT_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)
    return mine


@contextlib.contextmanager
def alone(folder: str, what: str) -> Iterator[None]:
    """Hold the pulls of one project; raises UsageError while another process pulls it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(folder, wait_seconds=0.0))
        except LockedError:
            raise UsageError(f"{what} is being pulled into this store already; wait until that has ended") from None
        yield


def _age(path: str) -> float:
    newest = max((e.stat().st_mtime for e in os.scandir(path)), default=os.stat(path).st_mtime)
    return time.time() - newest


def _short(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]
