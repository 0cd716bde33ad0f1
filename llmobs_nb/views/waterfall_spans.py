"""The spans of a trace in the order of a waterfall: parents before children, each with its depth and its stretch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from .. import units
from .theme import is_number, label

MAX_SPANS = 300
MAX_DEPTH = 12


@dataclass(frozen=True)
class Step:
    """One span as it is drawn; ``claim`` is where the ids of its claims begin.

    ``left`` and ``width`` are shares of the trace's length (width None while it is open), ``failed`` is status ``error``. Names
    are clean text; latency, tokens and cost are written out, ``n/a`` where they are missing.
    """

    depth: int
    name: str
    kind: str
    left: float
    width: float | None
    latency: str
    tokens: str
    cost: str
    failed: bool
    claim: str = field(default="", compare=False)


def traces(result) -> list[str]:
    """The traces that have spans, in the order of the result."""
    return [str(t) for t in dict.fromkeys(result.spans.trace_id)]


def steps(result, trace_id: str) -> tuple[list[Step], int]:
    """The first 300 spans of a trace in their order, and how many there are."""
    frame = result.spans[result.spans.trace_id == trace_id]
    frame = frame.assign(claim=[f"span.{trace_id}.{at}" for at in range(len(frame))])
    rows = frame.sort_values("start_ms", kind="stable", na_position="last").to_dict("records")
    start, length = _extent(frame)
    shown = [_step(row, depth, start, length) for row, depth in _walk(rows)][:MAX_SPANS]
    return shown, len(rows)


def _extent(frame: pd.DataFrame) -> tuple[float, float]:
    """Where the trace begins and how long it lasts, in milliseconds; at least 1, so that every share is a number."""
    begins = frame.start_ms.astype(float)
    ends = begins + frame.latency_ms.astype(float).fillna(0).clip(lower=0)
    if not begins.notna().any():
        return 0.0, 1.0
    return float(begins.min()), max(float(ends.max() - begins.min()), 1.0)


def _walk(rows: list[dict]) -> Iterator[tuple[dict, int]]:
    """Depth first. A span whose parent is not there begins a tree of its own; a circle of parents is cut at its first span."""
    known = {row["span_id"] for row in rows}
    children: dict[object, list[dict]] = {}
    for row in rows:
        parent = row["parent_id"] if row["parent_id"] in known and row["parent_id"] != row["span_id"] else None
        children.setdefault(parent, []).append(row)
    seen: set[int] = set()
    for root in [*children.get(None, []), *rows]:
        waiting = [(root, 0)]
        while waiting:
            row, depth = waiting.pop()
            if id(row) not in seen:
                seen.add(id(row))
                yield row, depth
                waiting += [(child, depth + 1) for child in reversed(children.get(row["span_id"], []))]


def _step(row: dict, depth: int, start: float, length: float) -> Step:
    begun = row["start_ms"] - start if is_number(row["start_ms"]) else 0.0
    width = max(row["latency_ms"], 0.0) / length if is_number(row["latency_ms"]) else None
    told = (units.milliseconds(row["latency_ms"]), units.tokens(row["tokens"]), units.money(row["cost_usd"]))
    return Step(
        min(depth, MAX_DEPTH),
        label(row["name"], 60),
        label(row["kind"], 20),
        begun / length,
        width,
        *told,
        row["status"] == "error",
        row["claim"],
    )
