"""Full reconciliation: which stored rows the source no longer has, and which it has again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from ..columns import literal
from ..observations import Observations

# Table: id, time, and the id that the source gave the row.
_ROWS = {"spans": ("span_id", "start_time", "span_id"), "scores": ("score_id", "created_at", "split_part(score_id, ':', 1)")}


def compare(
    obs: Observations,
    fetched: Mapping[str, Sequence[str]],
    *,
    source: str,
    project: str,
    since: datetime,
    until: datetime,
    now: datetime,
) -> pa.Table:
    """Rows for the table ``vanished``: one per stored row of [since, until) that the fetched files do not hold, and one with
    ``gone`` false per row that was missed before and is there again.

    ``fetched`` maps ``spans`` and ``scores`` to the JSON-lines files that hold all that the source has, each row with its
    ``id``. A score that is derived from another (``id:correction``) goes with that one.
    """
    parts = [_entity(obs, table, files, source, project, since, until, now) for table, files in fetched.items()]
    return pa.concat_tables(parts)


def _entity(
    obs, table: str, files: Sequence[str], source: str, project: str, since: datetime, until: datetime, now: datetime
) -> pa.Table:
    row_id, time, given = _ROWS[table]
    mine = f"source = {literal(source)} AND project = {literal(project)}"
    between = f"{time} >= TIMESTAMPTZ {literal(since.isoformat())} AND {time} < TIMESTAMPTZ {literal(until.isoformat())}"
    listed = ", ".join(literal(f) for f in files)
    there = f"SELECT DISTINCT id FROM read_json([{listed}], format = 'newline_delimited', columns = {{id: 'VARCHAR'}})"
    there = there if files else "SELECT NULL::VARCHAR AS id WHERE false"
    told = f"{literal(table)} AS entity, {literal(source)} AS source, {literal(project)} AS project"
    noticed = f"TIMESTAMPTZ {literal(now.isoformat())} AS noticed_at"
    return obs.query(f"""WITH there AS ({there}), missed AS (SELECT row_id FROM vanished WHERE {mine} AND entity = {literal(table)} AND gone)
        SELECT {told}, trace_id, {row_id} AS row_id, true AS gone, {noticed} FROM {table}
          WHERE {mine} AND {between} AND {given} NOT IN (SELECT id FROM there)
          AND {row_id} NOT IN (SELECT row_id FROM missed)
        UNION ALL SELECT {told}, trace_id, {row_id} AS row_id, false AS gone, {noticed} FROM {table}
          WHERE {mine} AND {row_id} IN (SELECT row_id FROM missed) AND {given} IN (SELECT id FROM there)""")
