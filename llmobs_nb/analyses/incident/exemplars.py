"""The traces that a person reads: affected ones, clearest first, and their like from before."""

from __future__ import annotations

from datetime import datetime

from ...columns import literal
from ..reductions import rows
from .axes import CODED
from .result import Onset
from .suspects import where_sql
from .theories import Room, Theory

MOST = 20


def affected(room: Room, theory: Theory, onset: Onset, end: datetime | None) -> tuple[str, ...]:
    """Up to 20 traces of the slice after the onset; those with the passage or version, and those in which the metric is worst, first."""
    conditions = [where_sql(theory.label), f"started >= TIMESTAMPTZ {literal(onset.time.isoformat())}"]
    if end is not None:
        conditions.append(f"started < TIMESTAMPTZ {literal(end.isoformat())}")
    order = []
    flag = theory.suspect.details.get("metric") if theory.suspect is not None else None
    if flag is not None:
        order.append(f"coalesce(m{flag}, 0) DESC")
    if theory.suspect is not None and theory.suspect.version is not None:
        name, value = theory.suspect.version
        k = next(k for k, a in enumerate(room.counter.axes) if a.name == name)
        code = room.counter.axes[k].values.index(value)
        order.append(f"CASE WHEN c{k} = {code} THEN 0 ELSE 1 END")
    bad = room.bad(theory.metric)
    if onset.shape == "ramp":
        order.append("day DESC")
    order.append(f"coalesce(m{theory.metric}, {-1e9 * (bad or 1)}) {'DESC' if bad >= 0 else 'ASC'}")
    sql = f"SELECT trace_id FROM {CODED} WHERE {' AND '.join(conditions)} ORDER BY {', '.join(order)}, trace_id LIMIT {MOST}"
    return tuple(r["trace_id"] for r in rows(room.counter.obs, sql))
