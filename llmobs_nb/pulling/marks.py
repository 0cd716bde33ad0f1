"""How far a project was pulled: stretches of time, kept in the head of the store, so that they move with its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..store.store import Store

FIRST_PULL = timedelta(days=14)
# Rows arrive up to so much later than they began (older SDKs send in batches).
ARRIVAL = timedelta(minutes=15)

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True)
class Mark:
    """The stretches of time for which a project is complete, oldest first, none touching another."""

    covered: tuple[Stretch, ...] = ()

    @property
    def until(self) -> datetime | None:
        """Where the newest stretch ends: the watermark."""
        return self.covered[-1][1] if self.covered else None

    @property
    def since(self) -> datetime | None:
        """Where the oldest stretch begins."""
        return self.covered[0][0] if self.covered else None

    def adding(self, stretch: Stretch) -> Mark:
        """The mark with one more stretch; what overlaps or touches becomes one."""
        if stretch[0] >= stretch[1]:
            return self
        merged: list[Stretch] = []
        for start, end in sorted([*self.covered, stretch]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return Mark(tuple(merged))

    def covers(self, start: datetime, end: datetime) -> bool:
        """Whether all of [start, end) was pulled."""
        return any(a <= start and end <= b for a, b in self.covered)


def read(store: Store, key: str) -> Mark:
    """The mark of a project; an empty one where it was never pulled."""
    told = store.head().get("pulls", {}).get(key, [])
    return Mark(tuple((_time(a), _time(b)) for a, b in told))


def write(store: Store, key: str, mark: Mark) -> None:
    """Keep the mark of a project."""
    with store.writing():
        head = store.head()
        pulls = head.get("pulls", {}) | {key: [[a.isoformat(), b.isoformat()] for a, b in mark.covered]}
        store.write_head(head | {"pulls": pulls})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def window(
    mark: Mark, since: datetime | None, until: datetime | None, now: datetime, overlap: timedelta, *, full: bool
) -> Stretch:
    """What a pull is to be complete for.

    Named ends hold. Without ``since``: from the watermark less ``overlap`` on, since rows change and arrive late; from the
    beginning of what was ever pulled where it is ``full``; fourteen days back where nothing was.
    """
    if since is None:
        if mark.until is None:
            since = now - FIRST_PULL
        else:
            since = mark.since if full else mark.until - overlap
    return since, until or now


def windows(overlaps: dict[str, timedelta], mark: Mark, stretch: Stretch, *, whole: bool) -> dict[str, Sequence[Stretch]]:
    """Per entity the stretch to fetch: all of it, or from the watermark less the entity's own overlap on."""
    if whole or mark.until is None:
        return dict.fromkeys(overlaps, (stretch,))
    return {name: ((mark.until - overlap, stretch[1]),) for name, overlap in overlaps.items()}
