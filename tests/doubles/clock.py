"""A clock for tests: waiting takes no time, it only moves the clock on."""

from __future__ import annotations

import threading

from llmobs_nb.sources.transport.clock import Clock, Stopped


class FastClock(Clock):
    """``now`` begins at 0 and moves by what is waited for; a double that shares it sees the same time."""

    def __init__(self):
        super().__init__()
        self._now, self._lock = 0.0, threading.Lock()
        self.waited: list[float] = []

    def now(self) -> float:
        return self._now

    def wait(self, seconds: float) -> None:
        if self.stopped:
            raise Stopped
        with self._lock:
            self._now += max(seconds, 0.0) + 1e-6
            self.waited.append(seconds)
