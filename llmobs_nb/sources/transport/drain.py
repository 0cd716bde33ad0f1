"""Fetches slices with a few workers: pages shrink where the source cannot give so much, windows are cut where that is not enough."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .clock import Clock, Stopped
from .http import Absent, Refused, TooMuch, Unfinished
from .job import Client, Page, Slice
from .spool import Progress, Spool

EMPTY_PAGES = 200
# How long a stopped pull waits for requests under way; what comes later is not written any more.
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Undone:
    """A slice that could not be fetched to its end, and why."""

    slice: Slice
    reason: str

    def __str__(self) -> str:
        return f"{self.slice}: {self.reason}"


@dataclass
class Tally:
    """Rows fetched and slices left, for the progress line."""

    slices: int = 0
    left: int = 0
    rows: int = 0
    began: float = field(default_factory=time.monotonic)

    def line(self, what: str) -> str:
        """One line of progress: rows, rate, slices that remain."""
        rate = self.rows / max(time.monotonic() - self.began, 1e-3)
        return f"{what}: {self.rows:,} rows, {rate:,.0f}/s, {self.left:,} of {self.slices:,} slices to go"


def drain(
    client: Client,
    spool: Spool,
    slices: Sequence[Slice],
    *,
    clock: Clock,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[Undone]:
    """Fetch all slices into the spool; those that could not be finished, with the reason.

    Raises what no slice can do without: a key that is refused, a host that nobody answers at (SourceError). Ctrl-C stops the
    workers at their next page; what is noted stays.
    """
    work = _Work(client, spool, clock, slices, progress, max(1, min(workers, len(slices))))
    try:
        work.start()
        # Not Thread.join: Ctrl-C inside it makes Python 3.11 take a running thread for ended.
        while not work.ended.wait(0.2):
            pass
    except BaseException:
        clock.stop()
        work.ended.wait(STOP_SECONDS)
        raise
    if work.error is not None:
        raise work.error
    if clock.stopped:
        raise Stopped
    return work.undone


class _Work:
    """What the workers share."""

    def __init__(self, client: Client, spool: Spool, clock: Clock, slices: Sequence[Slice], progress, workers: int):
        self.client, self.spool, self.clock, self.progress = client, spool, clock, progress
        self.todo: queue.Queue[Slice] = queue.Queue()
        self.open = 0
        self.lock = threading.Lock()
        self.undone: list[Undone] = []
        self.error: BaseException | None = None
        self.workers, self.ended = workers, threading.Event()
        self.tally = Tally()
        self._add(slices)

    def _add(self, slices: Sequence[Slice]) -> None:
        with self.lock:
            self.open += len(slices)
            self.tally.slices += len(slices)
            self.tally.left += len(slices)
        for slice in slices:
            self.todo.put(slice)

    def start(self) -> None:
        """Start the workers; ``ended`` is set by the last of them."""
        for _ in range(self.workers):
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            with self.lock:
                self.workers -= 1
            if self.workers == 0:
                self.ended.set()

    def _work(self) -> None:
        """Take slices until none is open or somebody met an error that ends the pull."""
        while self.error is None and not self.clock.stopped:
            try:
                slice = self.todo.get(timeout=0.02)
            except queue.Empty:
                if self.open == 0:
                    return
                continue
            try:
                self._slice(slice)
            except Stopped:
                return
            except BaseException as error:
                self.error = self.error or error
                return
            finally:
                with self.lock:
                    self.open -= 1
                    self.tally.left -= 1

    def _slice(self, slice: Slice) -> None:
        got = self.spool.begin(slice)
        self._count(slice, got.rows)
        if got.split:
            self._add(slice.halves())
            return
        if got.done:
            return
        try:
            self._pages(slice, got)
        except TooMuch as error:
            halves = slice.halves()
            if halves:
                self.spool.give_up(slice, self.spool.progress(slice))
                self._add(halves)
            else:
                self._leave(slice, str(error))
        except (Unfinished, Refused) as error:
            self._leave(slice, str(error))
        except Absent:
            self._leave(slice, "the source does not have it any more")

    def _leave(self, slice: Slice, reason: str) -> None:
        with self.lock:
            self.undone.append(Undone(slice, reason))

    def _pages(self, slice: Slice, got: Progress) -> None:
        """Every page of a slice from where it stood. Raises TooMuch when even the smallest page is too much, or pages repeat."""
        pages = self.client.pages[slice.entity]
        limit, seen, empty = pages.first, {got.cursor}, 0
        while True:
            page, limit = self._page(slice, got.cursor, limit, pages.least)
            if self.clock.stopped:
                raise Stopped
            if page.cursor is not None and page.cursor in seen:
                raise TooMuch("the source repeats a page")
            seen.add(page.cursor)
            empty = 0 if page.rows else empty + 1
            if empty > EMPTY_PAGES:
                raise TooMuch(f"{empty} empty pages in a row")
            got = self.spool.add(slice, got, page.rows, page.cursor)
            self._count(slice, len(page.rows))
            if got.done:
                return

    def _page(self, slice: Slice, cursor: str | None, limit: int, least: int) -> tuple[Page, int]:
        """One page, asked for in smaller and smaller bites; and the size that went through."""
        while True:
            try:
                return self.client.fetch(slice, cursor, limit), limit
            except TooMuch:
                if limit <= least:
                    raise
                limit = max(limit // 2, least)

    def _count(self, slice: Slice, rows: int) -> None:
        with self.lock:
            self.tally.rows += rows
            line = self.tally.line(str(slice))
        if self.progress and rows:
            self.progress(line)
