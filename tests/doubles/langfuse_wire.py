"""What the routes of the Langfuse double share: parameters, cursors, refusals, rate limits."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from .http import Answer, Request

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
MINUTE, HOUR, DAY = 60, 3600, 86400
# Requests and seconds of each bucket; the last of them is refused already.
LIMITS = {
    "hobby": {
        "public-api": (30, MINUTE), "public-api-legacy": (15, MINUTE), "v2-metrics": (100, DAY),
        "daily-metrics": (10, DAY), "datasets": (100, MINUTE), "annotation-queues": (100, MINUTE),
    },
    "core": {
        "public-api": (1000, MINUTE), "public-api-legacy": (30, MINUTE), "v2-metrics": (100, HOUR),
        "daily-metrics": (200, DAY), "datasets": (1000, MINUTE), "annotation-queues": (1000, MINUTE),
    },
    "pro": {
        "public-api": (1000, MINUTE), "public-api-legacy": (100, MINUTE), "v2-metrics": (500, HOUR),
        "daily-metrics": (200, DAY), "datasets": (1000, MINUTE), "annotation-queues": (1000, MINUTE),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """A path below /api/public, the rate limit it draws from, and who answers it; ``server`` where only one version has it."""

    name: str
    bucket: str | None
    handler: Callable[..., Answer]
    server: str | None = None


class Bad(Exception):
    """A request that is refused as wrong (400), or that names what is not there (404)."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status

    @property
    def answer(self) -> Answer:
        kind = "InvalidRequestError" if self.status == 400 else "LangfuseNotFoundError"
        return Answer(self.status, {"message": str(self), "error": kind})


def iso(at: datetime | None) -> str | None:
    """A time as JavaScript writes it: UTC, milliseconds, Z."""
    if at is None:
        return None
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat(timespec="milliseconds")[:-6] + "Z"


def ms(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - EPOCH) // MILLISECOND


def when(text: str | None, name: str) -> datetime | None:
    """A time of a request; None without one. Raises Bad for what is no ISO time with a zone."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        at = None
    if at is None or at.tzinfo is None:
        raise Bad(f"{name}: Invalid ISO datetime")
    return at.astimezone(UTC)


def whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number of a request between two bounds. Raises Bad."""
    text = request.one(name)
    if text in (None, ""):
        return default
    try:
        told = int(text)
    except ValueError:
        raise Bad(f"{name}: Invalid input: expected number, received NaN") from None
    if told < least:
        raise Bad(f"{name}: Too small: expected number to be >={least}")
    if told > most:
        raise Bad(f"{name}: Too big: expected number to be <={most}")
    return told


def listed(request: Request, name: str) -> list[str]:
    """The values of a comma-separated parameter; empty without it."""
    return [v.strip() for v in (request.one(name) or "").split(",") if v.strip()]


def encode(cursor: Mapping, *, url: bool) -> str:
    """A cursor as text: base64 of JSON, in the alphabet for addresses (without padding) where ``url``."""
    told = orjson.dumps(cursor)
    return base64.urlsafe_b64encode(told).decode().rstrip("=") if url else base64.b64encode(told).decode()


def decode(text: str | None, *names: str) -> dict | None:
    """A cursor of a request; None without one. Raises Bad for what no answer held."""
    if not text:
        return None
    try:
        told = orjson.loads(base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)))
        return {"lastTime": ms(datetime.fromisoformat(told[names[0]]))} | told | {n: told[n] for n in names}
    except (ValueError, KeyError, TypeError):
        raise Bad("Invalid cursor format") from None


def paged(rows: list[dict], request: Request) -> Answer:
    """One numbered page of a list, at most 100 rows."""
    page = whole(request, "page", 1, 1, 10**9)
    limit = whole(request, "limit", 50, 1, 100)
    meta = {"page": page, "limit": limit, "totalItems": len(rows), "totalPages": math.ceil(len(rows) / limit)}
    return Answer(body=orjson.dumps({"data": rows[(page - 1) * limit : page * limit], "meta": meta}))


class Limiter:
    """Fixed windows that begin with the first request of a bucket; no plan is no limit (self-hosted)."""

    def __init__(self, plan: str | None, clock):
        self._limits = LIMITS[plan] if plan else {}
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def refuse(self, bucket: str | None) -> Answer | None:
        """The 429 of a request, or None where it may pass."""
        if bucket not in self._limits:
            return None
        points, seconds = self._limits[bucket]
        now = self._clock.now()
        began, used = self._windows.get(bucket, (now, 0))
        if now - began >= seconds:
            began, used = now, 0
        self._windows[bucket] = (began, used + 1)
        remaining = max(points - used - 1, 0)
        return _limited(points, began + seconds - now) if remaining < 1 else None


def _limited(points: int, seconds: float) -> Answer:
    after, reset = math.ceil(seconds), datetime.now(UTC) + timedelta(seconds=seconds)
    headers = {
        "retry-after": str(after), "x-ratelimit-limit": str(points), "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": reset.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    }  # fmt: skip
    details = {"retryAfterSeconds": after, "limit": points, "remaining": 0, "resetAt": iso(reset)}
    return Answer(429, {"message": "Rate limit exceeded", "code": "rate_limited", "details": details}, headers)
