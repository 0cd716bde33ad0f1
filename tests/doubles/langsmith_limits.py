"""LangSmith's rate limits: by the window of a query, by single runs, by key."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from .langsmith_filter import BadFilter, compiled
from .langsmith_query import Refusal, Window, window_v1, window_v2
from .langsmith_store import Store

NARROW = timedelta(days=7)
Limit = tuple[str, int, float]
KEY: Limit = ("key", 2000, 60.0)
SINGLE: Limit = ("GET /runs/{id}", 30, 60.0)
FAST: Limit = ("a window of 7 days or less", 10, 10.0)
WIDE: Limit = ("no min_start_time, or more than 7 days", 3, 10.0)
SLOW: Limit = ("search or child_run_ids", 1, 10.0)


def limits_of(route: str, body: object, store: Store) -> list[Limit]:
    """The limits that a request falls under: (name, calls, seconds)."""
    if route == "GET /runs/{id}":
        return [KEY, SINGLE]
    return [KEY, _tier(route, body, store)] if route.endswith("runs/query") and isinstance(body, dict) else [KEY]


def _tier(route: str, body: dict, store: Store) -> Limit:
    try:
        searches = any(compiled(body.get(k)).search for k in ("filter", "trace_filter", "tree_filter"))
        window = (window_v2(store, body) if "v2" in route else _known(window_v1(body), store)) if not searches else None
    except (BadFilter, Refusal, TypeError):
        return FAST
    if searches or "child_run_ids" in (body.get("select") or ()):
        return SLOW
    return FAST if window.told and window.until - window.since <= NARROW else WIDE


def _known(window: Window, store: Store) -> Window:
    """A v1 window that is open at its end reaches to now."""
    return Window(window.since, min(window.until, store.now()), window.told)


class Limiter:
    """Calls in sliding windows of the clock. A call that is refused does not count."""

    def __init__(self, now: Callable[[], float]):
        self._now = now
        self._taken: dict[str, deque[float]] = {}

    def wait(self, limits: list[Limit]) -> int:
        """Take a turn and give 0, else whole seconds until all limits have room."""
        now, waits = self._now(), [0.0]
        for name, calls, seconds in limits:
            taken = self._taken.setdefault(name, deque())
            while taken and now - taken[0] >= seconds:
                taken.popleft()
            if len(taken) >= calls:
                waits.append(taken[0] + seconds - now)
        if max(waits) > 0:
            return math.ceil(max(waits))
        for name, _, _ in limits:
            self._taken[name].append(now)
        return 0
