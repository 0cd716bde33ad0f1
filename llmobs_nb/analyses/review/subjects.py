"""Which traces are reviewed: ids, the reading list of a result, a plan that drew them, or the ones that a score likes least."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...columns import literal
from ...errors import UsageError, choose
from ...sources.tables.frames import arrow_of
from ...text import terminal
from ..reductions import rows
from .categories import PREFIX
from .labels import Subject

_DRAWN = ("trace_id", "stratum", "inclusion_prob")


def trace_ids(value: Any) -> list[str]:
    """Trace ids, each once: of one id, of several, or of a result that has a ``reading_list`` or ``traces``."""
    found = getattr(value, "reading_list", None) if not isinstance(value, (str, bytes)) else [value]
    found = getattr(value, "traces", value) if found is None else found
    if not isinstance(found, Iterable):
        raise UsageError(f"traces={terminal(value, 60)!r} are no trace ids; give ids, or a result with a reading list")
    ids = list(dict.fromkeys(one.strip() if isinstance(one, str) else one for one in found))
    for one in ids:
        if not isinstance(one, str) or not one:
            raise UsageError(f"traces holds {terminal(one, 60)!r}, which is no trace id; give them as texts")
    if not ids:
        raise UsageError("traces is empty; give trace ids, or a result with a reading list")
    return ids


def subjects(obs, ids: Iterable[str], drawn: Mapping[str, Mapping] | None = None) -> tuple[Subject, ...]:
    """The traces of these ids, in order, with how they were drawn. Raises UsageError for ids that the store does not hold."""
    ids, drawn = list(ids), drawn or {}
    found = rows(
        obs,
        f"""SELECT trace_id, source, project, max(session_id) AS session_id FROM spans
        WHERE trace_id IN ({", ".join(map(literal, ids))}) GROUP BY trace_id, source, project ORDER BY source DESC, project DESC""",
    )
    homes = {row["trace_id"]: row for row in found}
    if lost := [one for one in ids if one not in homes]:
        named = ", ".join(terminal(one, 60) for one in lost[:3])
        raise UsageError(
            f"traces: the store holds no {named} ({len(lost):,} of {len(ids):,} are unknown); pull or ingest them first"
        )
    return tuple(Subject(**homes[one], **drawn.get(one, {})) for one in ids)


def drawn_by(plan: Any) -> dict[str, dict]:
    """How a plan drew each trace, by trace id: a table of trace_id, stratum and inclusion_prob, or what has a ``draw()`` that gives one.

    The order is that of a hash of the ids: whoever stops half way has read a random part of the plan, in the same order as others.
    """
    table = arrow_of(plan.draw() if hasattr(plan, "draw") else plan, "plan")
    if missing := [c for c in _DRAWN if c not in table.column_names]:
        raise UsageError(f"plan has no column {', '.join(missing)}; give trace_id, stratum and inclusion_prob of every trace")
    out: dict[str, dict] = {}
    for row in table.select(list(_DRAWN)).to_pylist():
        p = row["inclusion_prob"]
        if not isinstance(p, (int, float)) or not 0 < p <= 1:
            raise UsageError(
                f"plan: inclusion_prob={p!r} of trace {terminal(row['trace_id'], 60)} is no probability above 0 and at most 1"
            )
        out[str(row["trace_id"])] = {"stratum": row["stratum"] and str(row["stratum"]), "inclusion_prob": float(p)}
    if not out:
        raise UsageError("plan draws no trace; raise its rates, or widen its window")
    return {trace: out[trace] for trace in sorted(out, key=lambda one: hashlib.sha256(one.encode()).hexdigest())}


def lowest(obs, score: str, most: int) -> list[str]:
    """The traces with the lowest mean of a score. Raises UsageError for a score that no trace has."""
    known = rows(obs, "SELECT DISTINCT name FROM scores WHERE value IS NOT NULL AND trace_id IS NOT NULL ORDER BY name")
    choose("low", score, [row["name"] for row in known if not row["name"].startswith(PREFIX)])
    found = rows(
        obs,
        f"""SELECT trace_id FROM scores WHERE name = {literal(score)} AND value IS NOT NULL
        AND trace_id IN (SELECT trace_id FROM spans) GROUP BY trace_id ORDER BY avg(value), trace_id LIMIT {int(most)}""",
    )
    return [row["trace_id"] for row in found]
