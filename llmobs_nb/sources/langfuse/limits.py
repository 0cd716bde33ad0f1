"""How often each plan of Langfuse Cloud may ask, bucket by bucket; a server of one's own has no limits."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...errors import choose
from ..transport.bucket import Bucket
from ..transport.clock import Clock

PLANS = ("hobby", "core", "pro", "self-hosted")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
# (requests, seconds). For Core the documentation promises less than the server's code allows: its word is kept.
LIMITS = {
    "hobby": {
        "public": (30, MINUTE), "legacy": (15, MINUTE), "metrics": (100, DAY), "daily": (10, DAY),
        "datasets": (100, MINUTE), "queues": (100, MINUTE),
    },
    "core": {
        "public": (100, MINUTE), "legacy": (30, MINUTE), "metrics": (100, HOUR), "daily": (20, DAY),
        "datasets": (200, MINUTE), "queues": (1000, MINUTE),
    },
    "pro": {
        "public": (1000, MINUTE), "legacy": (100, MINUTE), "metrics": (500, HOUR), "daily": (200, DAY),
        "datasets": (1000, MINUTE), "queues": (1000, MINUTE),
    },
    "self-hosted": {},
}  # fmt: skip
# A plan that nobody named is taken for the smallest, and leaves it some requests for others of the organisation.
LIMITS["unknown"] = LIMITS["hobby"] | {"public": (26, MINUTE)}
WORKERS = {"hobby": 1, "unknown": 1, "core": 2, "pro": 4, "self-hosted": 4}


def plan_of(plan: str | None, base_url: str) -> str:
    """The plan whose limits hold: the named one, else ``unknown`` on Langfuse Cloud and ``self-hosted`` elsewhere.

    Raises UsageError for a name that is no plan.
    """
    if plan is not None:
        return choose("plan", plan, PLANS)
    host = urlsplit(base_url).hostname or ""
    return "unknown" if f".{host}".endswith(".langfuse.com") else "self-hosted"


def buckets(plan: str, clock: Clock) -> dict[str, Bucket]:
    """The buckets of a plan by name; what has no limit has none. The n-th of n requests is refused, so n - 1 are made."""
    return {name: Bucket(calls - 1, seconds, clock) for name, (calls, seconds) in LIMITS[plan].items()}
