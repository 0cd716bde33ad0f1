"""The team's change log around the onset: what was written down, and what of it came shortly before."""

from __future__ import annotations

from datetime import timedelta

from ..reductions import rows
from .result import Onset
from .theories import Room

BEFORE, AFTER = timedelta(hours=36), timedelta(hours=3)
MOST = 50


def change_log(room: Room, onset: Onset) -> list[dict]:
    """Entries within a fortnight of the onset, oldest first; ``matched`` are those from a day and a half before its interval to its end."""
    found = rows(room.counter.obs, 'SELECT "at", kind, ref, note FROM changes WHERE "at" IS NOT NULL ORDER BY "at", kind, ref')
    near = [r for r in found if abs(r["at"] - onset.time) <= timedelta(days=14)]
    low, high = min(onset.low, onset.time) - BEFORE, max(onset.high, onset.time) + AFTER
    return [r | {"matched": bool(low <= r["at"] <= high)} for r in near[:MOST]]
