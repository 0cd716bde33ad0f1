"""Time as a pull sees it: a wait that a stop can break. Tests put a clock of their own in its place."""

from __future__ import annotations

import threading
import time


class Stopped(Exception):
    """The pull was told to stop; what is on disk stays good."""


class Clock:
    """Monotonic seconds, and waiting."""

    def __init__(self):
        self._stop = threading.Event()

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait; raises Stopped as soon as the pull is told to stop."""
        if self._stop.wait(max(seconds, 0)):
            raise Stopped

    def stop(self) -> None:
        """Break every wait, now and later."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()
