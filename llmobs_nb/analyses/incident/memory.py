"""Incidents that were reported before: kept in the head of the store, so that next week's report knows them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...errors import StoreError, UsageError
from ...store.store import Store
from ...windows import parse_since
from ..result import plain
from .result import IncidentResult

KEY = "incidents"
CLOSE = timedelta(days=4)
MOST = 200


@dataclass(frozen=True)
class Known:
    """An incident as it was remembered: ``id``, kind and slice of its first cause, metric, onset, end (None: still open), the sentence,
    when it was first and last reported, and ``fixed_at`` where somebody said so."""

    id: str
    kind: str
    where: dict[str, str]
    metric: str | None
    onset: datetime
    end: datetime | None
    headline: str
    first_reported: datetime
    last_reported: datetime
    fixed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it had neither ended nor been fixed when it was last reported."""
        return self.end is None and self.fixed_at is None

    @property
    def words(self) -> str:
        """How a later report speaks of it."""
        state = (
            "still open" if self.open else f"fixed on {self.fixed_at:%d %B}" if self.fixed_at else f"over since {self.end:%d %B}"
        )
        return f"the one of {self.onset:%d %B}, {state}"


def known(store: str) -> tuple[Known, ...]:
    """All remembered incidents of a store, the latest onset first; empty where there is none, or the store has none of its own."""
    try:
        told = Store(store).head().get(KEY, [])
    except (OSError, UsageError):
        return ()
    try:
        return tuple(sorted((_read(one) for one in told), key=lambda k: k.onset, reverse=True))
    except (TypeError, ValueError, AttributeError):
        raise StoreError(
            f"store {store!r}: what it remembers of incidents cannot be read; remove {KEY!r} from its head file"
        ) from None


def recognise(result: IncidentResult, store: str) -> Known | None:
    """The remembered incident that a result is: same kind, same slice, onset within its interval or four days; None for a new one."""
    if result.verdict != "incident" or result.onset is None or not result.causes:
        return None
    first = result.causes[0]
    low, high = min(result.onset.low, result.onset.time - CLOSE), max(result.onset.high, result.onset.time + CLOSE)
    return next((k for k in known(store) if k.kind == first.kind and k.where == first.where and low <= k.onset <= high), None)


def remember(result: IncidentResult, *, store: str | None = None, fixed_at: Any = None) -> Known | None:
    """Keep an incident in its store, or bring what is kept up to date; None for a result that is none.

    ``store`` defaults to the one that the result was computed from; ``fixed_at`` is a time or ISO text. Raises UsageError where neither names one.
    """
    where = store or result.provenance.get("store")
    if not where:
        raise UsageError("remember: the result names no store; give store=, the folder or address it came from")
    if result.verdict != "incident" or result.onset is None or not result.causes:
        return None
    fixed_at = parse_since(str(fixed_at)) if fixed_at and not isinstance(fixed_at, datetime) else fixed_at
    now, before = datetime.now(UTC), recognise(result, where)
    first = result.causes[0]
    one = Known(
        id=before.id if before else _id(first.kind, first.where, result.onset.time), kind=first.kind, where=dict(first.where),
        metric=result.metric, onset=before.onset if before else result.onset.time, end=result.end, headline=result.headline,
        first_reported=before.first_reported if before else now, last_reported=now,
        fixed_at=fixed_at or (before.fixed_at if before else None),
    )  # fmt: skip
    held = Store(where)
    with held.writing():
        head = held.head()
        others = [k for k in head.get(KEY, []) if k.get("id") != one.id]
        held.write_head({**head, KEY: [*others, plain(vars(one))][-MOST:]})
    return one


def _id(kind: str, where: Mapping[str, Any], onset: datetime) -> str:
    text = json.dumps([kind, sorted(where.items()), f"{onset:%Y-%m-%d}"])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _read(told: Mapping[str, Any]) -> Known:
    times = ("onset", "end", "first_reported", "last_reported", "fixed_at")
    return Known(**{k: datetime.fromisoformat(v) if k in times and v else v for k, v in told.items()})
