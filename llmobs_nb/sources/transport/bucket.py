"""Rate limits kept on our side, so that the vendor has nothing to refuse."""

from __future__ import annotations

import threading
from collections import deque

from .clock import Clock


class Bucket:
    """At most ``calls`` in any stretch of ``seconds``, shared by all workers.

    No stretch ever holds more, so a vendor's fixed window is kept too, wherever it begins. A vendor that refuses the n-th of
    n calls is given ``calls = n - 1``. ``close`` makes everybody wait, as a vendor's Retry-After asks.
    """

    def __init__(self, calls: int, seconds: float, clock: Clock):
        self.calls, self.seconds = max(calls, 1), seconds
        self._clock = clock
        self._taken: deque[float] = deque()
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for a turn."""
        while (wait := self._turn()) > 0:
            self._clock.wait(wait)

    def close(self, seconds: float) -> None:
        """Let nobody through for so long."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock.now() + seconds)

    def _turn(self) -> float:
        """0 when the turn is taken, else how long to wait before asking again."""
        with self._lock:
            now = self._clock.now()
            while self._taken and now - self._taken[0] >= self.seconds:
                self._taken.popleft()
            if self._closed_until > now:
                return self._closed_until - now
            if len(self._taken) >= self.calls:
                return self._taken[0] + self.seconds - now
            self._taken.append(now)
            return 0.0
