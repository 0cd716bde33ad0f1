"""One writer per store. In a folder: an operating-system lock on a file, gone when its holder ends, however it ends.

In an object store, which has no locks: a ticket. Whoever wants to write puts an object of its own, then lists all of them,
and goes on if its ticket is the only one, else takes it back and tries again. As listings show every object put before,
of two writers at least one sees the other. A ticket that is not renewed for ``STALE_SECONDS``, by the store's own clock, is
that of a dead writer; its owner, should it wake up, stops by itself after ``LOST_SECONDS``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import LockedError, StoreError

if TYPE_CHECKING:
    from .place import Bucket

STALE_SECONDS = 300.0
LOST_SECONDS = 200.0
RENEW_SECONDS = 30.0


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
        raise StoreError(
            f"store {root!r} cannot be written: {error.strerror or error}; give a folder that you may write"
        ) from None


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


@contextlib.contextmanager
def ticket_lock(place: Bucket, *, wait_seconds: float = 30.0) -> Iterator[None]:
    """Hold the writer lock of the store in an object store. Raises LockedError as ``writer_lock`` does."""
    ticket = place.join("_llmobs", "lock", uuid.uuid4().hex)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(place, ticket, ended), daemon=True)
    try:
        _stand_alone(place, ticket, wait_seconds)
        renewing.start()
        yield
    finally:
        ended.set()
        if renewing.ident:
            renewing.join()
        _withdraw(place, ticket)
        place.renewed = None


def _stand_alone(place: Bucket, ticket: str, wait_seconds: float) -> None:
    """Put the ticket, again and again until there is no other one; those of the dead are removed."""
    deadline = time.monotonic() + wait_seconds
    while True:
        _put_ticket(place, ticket)
        written = place.written(os.path.dirname(ticket))
        mine = written.pop(ticket, 0)
        dead = [t for t, at in written.items() if mine - at > STALE_SECONDS * 1e9]
        for other in dead:
            _withdraw(place, other)
        if mine and len(dead) == len(written):
            return
        holder = _ticket_of(place, [t for t in written if t not in dead])
        _withdraw(place, ticket)
        if time.monotonic() >= deadline:
            raise LockedError(f"store {place.name!r} is being written by {holder}; wait for it to end, or use another --store")
        time.sleep(random.uniform(0.2, 1.0))


def _put_ticket(place: Bucket, ticket: str) -> None:
    now = time.time()
    place.put(ticket, json.dumps({"pid": os.getpid(), "host": platform.node(), "at": now}))
    place.renewed = now


def _withdraw(place: Bucket, ticket: str) -> None:
    with contextlib.suppress(StoreError, OSError):
        place.remove(ticket)


def _renew(place: Bucket, ticket: str, ended: threading.Event) -> None:
    """Renew the ticket until the end, or until it may have been taken for that of a dead writer."""
    while not ended.wait(RENEW_SECONDS):
        with contextlib.suppress(StoreError, OSError):
            place.check_lock()
            _put_ticket(place, ticket)


def _ticket_of(place: Bucket, tickets: list[str]) -> str:
    with contextlib.suppress(StoreError, OSError, ValueError, KeyError, IndexError):
        told = json.loads(place.read(tickets[0]))
        return f"process {int(told['pid'])} on {str(told['host'])[:80]}"
    return "another process"
