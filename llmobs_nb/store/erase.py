"""Which rows an erasure takes: those of the traces that match, whatever table they stand in."""

from __future__ import annotations

from ..columns import literal, quote
from ..schema import TABLES


def find_gone(con, snapshot, where: dict[str, str]) -> None:
    """Temp tables ``gone`` (trace ids that match ``where``), ``gone_spans`` (their spans), ``gone_sessions`` (no trace left)."""
    con.execute("CREATE OR REPLACE TEMP TABLE gone (trace_id VARCHAR)")
    for name in ("spans", "trace_facts"):
        if condition := _direct(name, where):
            con.execute(f"INSERT INTO gone SELECT DISTINCT trace_id FROM {snapshot.relation(name)} WHERE {condition}")
    if set(where) == {"trace_id"}:
        con.execute(f"INSERT INTO gone VALUES ({literal(where['trace_id'])})")
    con.execute(f"""CREATE OR REPLACE TEMP TABLE gone_spans AS SELECT DISTINCT source, span_id
        FROM {snapshot.relation("spans")} WHERE trace_id IN (SELECT trace_id FROM gone)""")
    con.execute(f"""CREATE OR REPLACE TEMP TABLE gone_sessions AS SELECT session_id FROM {snapshot.relation("spans")}
        WHERE session_id IS NOT NULL GROUP BY session_id HAVING bool_and(trace_id IN (SELECT trace_id FROM gone))""")


def erasing(name: str, where: dict[str, str]) -> str:
    """SQL for whether a row of table ``name`` goes."""
    if name == "quarantine":
        named = [f"({_names(literal(v))})" for v in where.values()]
        return f"({' AND '.join(named)}) OR EXISTS (SELECT 1 FROM gone WHERE {_names('gone.trace_id')})"
    parts = ["trace_id IN (SELECT trace_id FROM gone)", _direct(name, where)]
    # What names no trace is found by its span, or by a session of which nothing is left.
    if "span_id" in TABLES[name]:
        parts.append("(trace_id IS NULL AND (source, span_id) IN (SELECT source, span_id FROM gone_spans))")
    if "session_id" in TABLES[name]:
        parts.append("(trace_id IS NULL AND session_id IN (SELECT session_id FROM gone_sessions))")
    return " OR ".join(p for p in parts if p)


def _direct(name: str, where: dict[str, str]) -> str:
    """SQL for a row that matches by itself; empty where the table does not have the columns."""
    if any(column not in TABLES[name] for column in where):
        return ""
    return "(" + " AND ".join(f"{quote(c)} = {literal(v)}" for c, v in where.items()) + ")"


def _names(value: str) -> str:
    """SQL for a text that names a value as a whole word: user 1 is not user 12."""
    edge = "[^A-Za-z0-9_]"
    return f"contains(raw, {value}) AND regexp_matches(raw, '(^|{edge})' || regexp_escape({value}) || '($|{edge})')"
