"""Incidents that were reported before: kept in the head of the store, so that next week's report knows them again."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...errors import LockedError, StoreError, UsageError
from ...store.store import Store
from ...text import terminal
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

    ``store`` defaults to the one that the result was computed from; ``fixed_at`` is a time or ISO text. Where the store cannot
    be written, whatever the reason, the answer is the same, nothing is kept, and one line on stderr says so: a report does not
    end for it. Raises UsageError where no store is named, LockedError where another writer does not let go of it.
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
    try:
        _keep(one, held)
    except LockedError:
        raise
    except (StoreError, OSError) as error:
        _say_not_kept(where, error)
    return one


def _keep(one: Known, held: Store) -> None:
    with held.writing():
        head = held.head()
        others = [k for k in head.get(KEY, []) if k.get("id") != one.id]
        held.write_head({**head, KEY: [*others, plain(vars(one))][-MOST:]})


def _say_not_kept(where: str, error: StoreError | OSError) -> None:
    """One line on stderr, as the command line writes its notes; a StoreError names the store and the cure itself."""
    why = str(error)
    if isinstance(error, OSError):
        why = f"store {where!r} cannot be written: {error.strerror or error}; give a folder that you may write"
    told = f"the incident is not remembered, later reports will not know it again: {why}"
    print(f"llmobs: note: {terminal(told, 1000)}", file=sys.stderr, flush=True)


def _id(kind: str, where: Mapping[str, Any], onset: datetime) -> str:
    text = json.dumps([kind, sorted(where.items()), f"{onset:%Y-%m-%d}"])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _read(told: Mapping[str, Any]) -> Known:
    times = ("onset", "end", "first_reported", "last_reported", "fixed_at")
    return Known(**{k: datetime.fromisoformat(v) if k in times and v else v for k, v in told.items()})
