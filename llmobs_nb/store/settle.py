"""Rows of one trace brought into agreement, whichever came first: what the trace says of itself reaches every span, and a
span that repeats its descendants' usage does not count it again.

Own values that are overruled stay in the span's ``own`` map, so settling can be done again from the start whenever more of
the trace arrives: the result does not depend on the order.
"""

from __future__ import annotations

import pyarrow as pa

from ..columns import literal, quote
from ..engine.duck import parquet
from ..prices.marks import REPEATS
from ..schema import MODEL_KINDS, SPANS
from .stage import Stager

INHERITED = (
    "trace_name", "user_id", "session_id", "tenant_id", "user_tier", "environment", "purpose", "release", "feature", "locale",
)  # fmt: skip
# Missing, these say something too: a judge inside a trace of the product makes no judge of the rest.
ONLY_FROM_ROOT = ("purpose",)
# Column <- what a trace that stands apart from its spans says of it, over trace_facts.
FROM_FACTS = {c: c for c in ("trace_name", "user_id", "session_id", "environment", "purpose", "release")} | {
    "feature": "metadata['feature']",
    "tenant_id": "coalesce(metadata['tenant_id'], metadata['tenant'])",
    "user_tier": "coalesce(metadata['user_tier'], metadata['tier'])",
    "locale": "metadata['locale']",
}
TOKENS = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning")
COSTS = ("cost_recorded_usd", "cost_list_usd", "cost_usd")
ROLLED = (*TOKENS, *COSTS, "cost_source", "price_reason")
DEEPEST = 500
_TRACE = "source, project, trace_id"
_OVERRULED = {"cost_source": literal("none"), "price_reason": literal(REPEATS)}


def restored(name: str) -> str:
    """SQL for a span's own value of a column, whatever the trace made of it."""
    if name not in INHERITED and name not in ROLLED:
        return quote(name)
    own = f"own[{literal(name)}]"
    return f"CASE WHEN map_contains(own, {literal(name)}) THEN TRY_CAST({own} AS {SPANS[name].sql}) ELSE {quote(name)} END"


def settle(
    con, staged: list[str], current: list[str], extra: dict[str, str], stager: Stager, *, touched: str | None = None
) -> None:
    """Find the spans of touched traces that must change, mark their rows as lost and stage the new ones.

    ``staged`` and ``current`` are the files that come and the stored ones; ``losers`` is extended. ``touched`` is a relation
    of further traces to settle.
    """
    both = _touched_spans(con, staged, current, extra, touched)
    _inheritance(con)
    _rollups(con)
    con.execute(f"CREATE OR REPLACE TEMP TABLE resettled AS {_changed_sql()}")
    if not con.sql("SELECT count(*) FROM resettled").fetchall()[0][0]:
        return
    replace = ", ".join(f"n.{quote(c)} AS {quote(c)}" for c in (*INHERITED, *ROLLED, "own"))
    rows = con.sql(f"""SELECT b.* EXCLUDE (filename, file_row_number) REPLACE ({replace}, coalesce(l.home, b.day) AS day) FROM {both} b
                       JOIN resettled n ON n.filename = b.filename AND n.row = b.file_row_number
                       LEFT JOIN losers l ON l.place = 1 AND l.filename = b.filename AND l.row = b.file_row_number""")
    for batch in rows.to_arrow_reader(50_000):
        stager.write("spans", pa.Table.from_batches([batch]))
    con.execute("INSERT INTO losers BY NAME SELECT filename, row, 0 AS place, false AS stored FROM resettled")


def _touched_spans(con, staged: list[str], current: list[str], extra: dict[str, str], touched: str | None) -> str:
    """``touched_spans``: the surviving spans of every trace that has a staged span or a new fact; the rows they come from."""
    more = f" UNION SELECT {_TRACE} FROM {touched}" if touched else ""
    con.execute(f"CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT {_TRACE} FROM {parquet(staged, SPANS, extra)}{more}")
    near = _files_of_touched(con, current, extra)
    both = parquet([*staged, *near], SPANS, extra, rows=True)
    semi = f"SEMI JOIN touched USING ({_TRACE})" if near else ""
    beaten = "SELECT 1 FROM losers l WHERE l.place > 1 AND l.filename = b.filename AND l.row = b.file_row_number"
    alive = f"WHERE NOT EXISTS ({beaten})" if con.sql("SELECT count(*) FROM losers").fetchall()[0][0] else ""
    columns = ", ".join(f"{restored(c)} AS {quote(c)}" for c in (*INHERITED, *ROLLED))
    now = ", ".join(f"{quote(c)} AS {quote('now_' + c)}" for c in (*INHERITED, *ROLLED))
    found = f"""SELECT {_TRACE}, span_id, parent_id, kind, start_time, is_root, {columns}, {now}, own, filename, file_row_number AS row
        FROM {both} b {semi} {alive}"""
    # A first load reads its own files as they are; what is picked out of a store is read once and kept.
    if near:
        con.execute(f"CREATE OR REPLACE TEMP TABLE picked AS {found}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW touched_spans AS {'FROM picked' if near else found}")
    return both


def _files_of_touched(con, current: list[str], extra: dict[str, str]) -> list[str]:
    """The stored files that hold spans of touched traces."""
    if not current:
        return []
    found = con.sql(
        f"SELECT DISTINCT filename FROM {parquet(current, SPANS, extra, rows=True)} SEMI JOIN touched USING ({_TRACE}) ORDER BY 1"
    )
    return [r[0] for r in found.fetchall()]


def _inheritance(con) -> None:
    """Temp table ``trace_values``: what each needy trace says of itself: its facts, else its root, else its first span."""
    gaps = " OR ".join(f"count({quote(c)}) BETWEEN 1 AND count(*) - 1" for c in INHERITED)
    con.execute(f"""CREATE OR REPLACE TEMP TABLE needy AS
        SELECT {_TRACE} FROM touched_spans GROUP BY ALL HAVING {gaps} OR bool_or(own IS NOT NULL)
        UNION SELECT {_TRACE} FROM touched SEMI JOIN facts USING ({_TRACE})""")
    picks = []
    for c in INHERITED:
        q = quote(c)
        first = f"arg_min(s.{q}, (coalesce(s.start_time, TIMESTAMPTZ '2200-01-01'), s.span_id))"
        fact = f"any_value(f.{q}), " if c in FROM_FACTS else ""
        anyone = "" if c in ONLY_FROM_ROOT else f", {first} FILTER (WHERE s.{q} IS NOT NULL)"
        picks.append(f"coalesce({fact}{first} FILTER (WHERE s.is_root AND s.{q} IS NOT NULL){anyone}) AS {q}")
    con.execute(f"""CREATE OR REPLACE TEMP TABLE trace_values AS
        SELECT {_TRACE}, {", ".join(picks)} FROM touched_spans s SEMI JOIN needy USING ({_TRACE})
        LEFT JOIN facts f USING ({_TRACE}) GROUP BY {_TRACE}""")


def _rollups(con) -> None:
    """Temp table ``rollups``: spans whose usage repeats what spans below them report.

    A span that is no model call repeats as soon as something below it reports usage; a model call only where its tokens
    (its cost, where it reports no tokens) equal those of one span below it, or their sum within one per cent: a call inside
    a call may be a real one. Of spans that stand above each other in a circle, the last by id is taken as the lowest.
    """
    _lineage(con)
    models = ", ".join(literal(k) for k in MODEL_KINDS)
    total = "(coalesce({0}.tokens_in, 0) + coalesce({0}.tokens_out, 0))"
    near = "abs(sum({1}) - any_value({0})) <= 0.01 * any_value({0})"
    silent = "any_value(coalesce(a.tokens_in, a.tokens_out)) IS NULL"
    con.execute("""CREATE OR REPLACE TEMP TABLE pairs AS SELECT u.above AS upper, u.origin AS lower, w.origin IS NOT NULL AS circle
        FROM up u JOIN node n ON n.n = u.above AND n.used LEFT JOIN up w ON w.origin = u.above AND w.above = u.origin
        WHERE u.above <> u.origin""")
    con.execute(f"""CREATE OR REPLACE TEMP TABLE rollups AS
        SELECT a.source, a.project, a.trace_id, a.span_id FROM pairs p JOIN node a ON a.n = p.upper JOIN node d ON d.n = p.lower
        WHERE NOT (p.circle AND a.span_id > d.span_id)
        GROUP BY ALL
        HAVING NOT any_value(a.kind) IN ({models})
          OR bool_or(a.tokens_in = d.tokens_in AND a.tokens_out = d.tokens_out)
          OR NOT {silent} AND {near.format(total.format("a"), total.format("d"))}
          OR {silent} AND {near.format("a.cost_usd", "d.cost_usd")}""")


def _lineage(con) -> None:
    """Temp tables ``node``, the spans of traces in which something with usage stands above another span, numbered, and
    ``up``: which of them (``above``) stands above which that has usage (``origin``).

    One statement per level, over numbers: a recursive query of the engine neither stops for Ctrl-C nor keeps to the order of
    joins that a trace of many thousand spans needs. Levels above the ``DEEPEST``-th are not looked at.
    """
    used = " OR ".join(f"{quote(c)} IS NOT NULL" for c in (*TOKENS, *COSTS))
    same = "p.source = c.source AND p.project = c.project AND p.trace_id = c.trace_id AND p.span_id = c.parent_id"
    con.execute(f"""CREATE OR REPLACE TEMP TABLE nested AS SELECT DISTINCT p.source, p.project, p.trace_id
        FROM (SELECT {_TRACE}, span_id FROM touched_spans WHERE {used}) p JOIN touched_spans c ON {same}""")
    con.execute(f"""CREATE OR REPLACE TEMP TABLE node AS SELECT row_number() OVER () AS n, {_TRACE}, span_id, parent_id, kind,
        {", ".join((*TOKENS, *COSTS))}, ({used}) AS used FROM touched_spans SEMI JOIN nested USING ({_TRACE})""")
    con.execute(f"CREATE OR REPLACE TEMP TABLE edge AS SELECT c.n, p.n AS above, c.used FROM node c JOIN node p ON {same}")
    con.execute("CREATE OR REPLACE TEMP TABLE up AS SELECT n AS origin, above FROM edge WHERE used")
    con.execute("CREATE OR REPLACE TEMP TABLE front AS FROM up")
    for _ in range(DEEPEST):
        con.execute("""CREATE OR REPLACE TEMP TABLE front AS SELECT DISTINCT f.origin, e.above FROM front f
            JOIN edge e ON e.n = f.above ANTI JOIN up ON up.origin = f.origin AND up.above = e.above""")
        if not con.sql("SELECT count(*) FROM front").fetchall()[0][0]:
            return
        con.execute("INSERT INTO up FROM front")


def _changed_sql() -> str:
    """The spans whose stored values differ from the settled ones, with the settled values and their own ones kept."""
    new, kept, differs = [], [], []
    for c in INHERITED:
        q = quote(c)
        new.append(f"coalesce(s.{q}, v.{q}) AS {q}")
        kept.append(f"CASE WHEN s.{q} IS NULL AND v.{q} IS NOT NULL THEN {{'k': {literal(c)}, 'v': NULL::VARCHAR}} END")
        differs.append(f"coalesce(s.{q}, v.{q}) IS DISTINCT FROM s.{quote('now_' + c)}")
    for c in ROLLED:
        q = quote(c)
        value = f"CASE WHEN r.span_id IS NULL THEN s.{q} ELSE {_OVERRULED.get(c, 'NULL')} END"
        new.append(f"{value} AS {q}")
        kept.append(
            f"CASE WHEN r.span_id IS NOT NULL AND s.{q} IS DISTINCT FROM {_OVERRULED.get(c, 'NULL')} THEN {{'k': {literal(c)}, 'v': s.{q}::VARCHAR}} END"
        )
        differs.append(f"({value}) IS DISTINCT FROM s.{quote('now_' + c)}")
    own = f"list_filter([{', '.join(kept)}], lambda e: e IS NOT NULL)"
    own = f"CASE WHEN len({own}) = 0 THEN NULL ELSE map_from_entries({own}) END"
    return f"""SELECT s.filename, s.row, {", ".join(new)}, {own} AS own FROM touched_spans s
        LEFT JOIN trace_values v USING ({_TRACE}) LEFT JOIN rollups r USING ({_TRACE}, span_id)
        WHERE {" OR ".join(differs)}"""
