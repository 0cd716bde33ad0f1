"""Which traces' inputs and outputs a pull brings where it does not bring all of them, and how they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from ..transport.job import Rows
from . import runs

SAMPLE_A_DAY = 200
IDS = 100
LONGEST = timedelta(days=6)
_MARGIN = timedelta(seconds=1)

Chunk = tuple[tuple[str, ...], datetime, datetime]


def chosen(rows: Rows, io: str) -> set[str]:
    """Ids of traces with an error; for ``sampled`` also those with feedback, and at most 200 of each UTC day.

    The sample is the same in every pull: the traces of a day whose hashes are the lowest.
    """
    found: set[str] = set()
    days: dict[str, dict[int, str]] = {}
    for run in rows.rows("runs"):
        trace, start = run.get("trace_id"), run.get("start_time")
        if not isinstance(trace, str) or not isinstance(start, str):
            continue
        if run.get("error") or str(run.get("status")).lower() == "error":
            found.add(trace)
        if io == "sampled" and run.get("id") == trace:
            _keep(days.setdefault(start[:10], {}), trace)
    if io == "sampled":
        for lowest in days.values():
            found.update(lowest[h] for h in sorted(lowest)[:SAMPLE_A_DAY])
        found.update(t for f in rows.rows("feedback") if isinstance(t := f.get("trace_id") or f.get("run_id"), str))
    return found


def _keep(lowest: dict[int, str], trace: str) -> None:
    """Note a trace among the lowest of its day; now and then the others are forgotten."""
    lowest[int.from_bytes(hashlib.blake2b(trace.encode(), digest_size=8).digest(), "big")] = trace
    if len(lowest) > 4 * SAMPLE_A_DAY:
        for high in sorted(lowest)[SAMPLE_A_DAY:]:
            del lowest[high]


def chunks_of(rows: Rows, traces: Collection[str]) -> Iterator[Chunk]:
    """(run ids, start, end) of the pulled runs of traces, oldest first: at most 100 runs that begin within 7 days."""
    found: dict[str, float] = {}
    for run in rows.rows("runs") if traces else ():
        run_id, trace, at = run.get("id"), run.get("trace_id"), runs.instant(run.get("start_time"))
        if isinstance(run_id, str) and isinstance(trace, str) and trace in traces and at is not None:
            found[run_id] = at
    waiting: list[tuple[str, float]] = []
    for pair in sorted(found.items(), key=lambda pair: pair[1]):
        if waiting and (len(waiting) == IDS or pair[1] - waiting[0][1] > LONGEST.total_seconds()):
            yield _chunk(waiting)
            waiting = []
        waiting.append(pair)
    if waiting:
        yield _chunk(waiting)


def _chunk(pairs: list[tuple[str, float]]) -> Chunk:
    first, last = (datetime.fromtimestamp(at, UTC) for at in (pairs[0][1], pairs[-1][1]))
    return tuple(run_id for run_id, _ in pairs), first - _MARGIN, last + _MARGIN
