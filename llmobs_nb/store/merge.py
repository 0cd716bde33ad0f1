"""Upsert by identity: which version of a row wins, and which files must be written anew for it.

The winner does not depend on the order in which versions arrive: newest ``updated_at``, then ``end_time``, then the row
with most and longest texts (so that a span and its payload are of one version), then the row that knows most, then a hash of
its content. A row keeps the day under which it was first stored.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..columns import literal, quote
from ..engine.duck import parquet
from ..schema import Table
from . import settle
from .delta import Change, DeltaFiles, NewFile, day_of
from .stage import Stager, zstd_level

WRITERS = 2
# Not part of what the source said: they may differ between two readings of the same row.
DERIVED = ("day", "own", "cost_list_usd", "cost_usd", "cost_source", "price_version", "price_reason", "usage_flag")
# What both tables know of a row's texts: whether there is one, how long it is.
_TEXTS = {
    "spans": (("input_hash", "output_hash", "system_prompt_hash"), ("input_chars", "output_chars")),
    "payloads": (("input", "output", "system_prompt"), ("length(input)", "length(output)")),
}


@dataclass
class Merged:
    """What a merge would do: the change to commit, and how many rows it found twice or older than what is stored."""

    change: Change = field(default_factory=Change)
    duplicates: int = 0
    updated: int = 0


def merge(
    con, files: DeltaFiles, staged: list[NewFile], current: list[str], stager: Stager, *, touched: str | None = None
) -> Merged:
    """Plan the upsert of ``staged`` files into the table whose files are ``current``; writes new files, commits nothing.

    ``touched`` is a relation of (source, project, trace_id) whose spans need settling though no staged span is theirs.
    """
    table, extra = files.table, stager.extra.get(files.table.name, {})
    new = [f.path for f in staged]
    hit = _find_hot(con, table, extra, new, current)
    both = parquet([*new, *hit], table, extra, rows=True)
    _find_losers(con, table, extra, hit, both)
    out = Merged()
    counts = con.sql("SELECT count(*) FILTER (NOT stored), count(*) FILTER (stored) FROM losers WHERE place > 1").fetchall()[0]
    out.duplicates, out.updated = counts[0], counts[1]
    con.execute("CREATE OR REPLACE TEMP TABLE resettled (filename VARCHAR, row BIGINT)")
    if table.name == "spans":
        settle.settle(con, new, current, extra, stager, touched=touched)
    _move_days(con, files, stager, both)
    out.change = rewrite(con, files, staged, current, extra)
    out.change.add += [f for f in stager.close().get(table.name, []) if f.rows]
    return out


def _find_hot(con, table: Table, extra: dict[str, str], new: list[str], current: list[str]) -> list[str]:
    """Temp table ``hot``: keys of rows that are staged twice or stored already; the stored files that hold any."""
    key = f"hash({', '.join(quote(c) for c in table.identity)})"
    staged = parquet(new, table, extra)
    con.execute(f"CREATE OR REPLACE TEMP TABLE hot AS SELECT {key} AS h FROM {staged} GROUP BY ALL HAVING count(*) > 1")
    if not current:
        return []
    con.execute(f"""CREATE OR REPLACE TEMP TABLE stored_hot AS SELECT DISTINCT {key} AS h, filename
        FROM {parquet(current, table, extra, rows=True)} WHERE {key} IN (SELECT {key} FROM {staged})""")
    con.execute("INSERT INTO hot SELECT DISTINCT h FROM stored_hot")
    return [r[0] for r in con.sql("SELECT DISTINCT filename FROM stored_hot ORDER BY 1").fetchall()]


def _find_losers(con, table: Table, extra: dict[str, str], current: list[str], both: str) -> None:
    """Table ``losers`` (not a temporary one: the writers have cursors of their own): the rows (file, row number) that another version of the same row beats, or that must move."""
    con.execute("CREATE OR REPLACE TABLE losers (filename VARCHAR, row BIGINT, place BIGINT, stored BOOLEAN, home DATE)")
    if con.sql("SELECT count(*) FROM hot").fetchall()[0][0] == 0:
        return
    key = f"hash({', '.join(quote(c) for c in table.identity)})"
    told = [settle.restored(n) if table.name == "spans" else quote(n) for n in _told(table, extra)]
    content = "md5(concat_ws(chr(31), " + ", ".join(f"coalesce(({c})::VARCHAR, chr(30))" for c in told) + "))"
    filled = " + ".join(f"(({c}) IS NOT NULL)::INT" for c in told)
    newest = [f"{quote(c)} DESC NULLS LAST" for c in table.newest]
    order = ", ".join([*newest, "worded DESC", "filled DESC", "content DESC", "stored DESC", "filename", "row"])
    ident = ", ".join(quote(c) for c in table.identity)
    day = "day" if table.partitioned else "NULL::DATE"
    inside = f"filename IN ({', '.join(literal(c) for c in current)})" if current else "false"
    con.execute(f"""
        CREATE OR REPLACE TABLE losers AS
        WITH v AS (SELECT filename, file_row_number AS row, {ident}, {_plain(table.newest, table.identity)}
                     {day} AS held, {inside} AS stored, {_worded(table)} AS worded, {content} AS content, {filled} AS filled FROM {both} WHERE {key} IN (SELECT h FROM hot)),
             r AS (SELECT *, row_number() OVER (PARTITION BY {ident} ORDER BY {order}) AS place,
                     coalesce(min(CASE WHEN stored THEN held END) OVER (PARTITION BY {ident}), min(held) OVER (PARTITION BY {ident})) AS home FROM v)
        SELECT filename, row, place, stored, home FROM r WHERE place > 1 OR held IS DISTINCT FROM home""")


def _worded(table: Table) -> str:
    """SQL for how much text a version has: a list that compares like its members, the first first."""
    there, lengths = _TEXTS.get(table.name, ((), ()))
    count = " + ".join(f"({t} IS NOT NULL)::BIGINT" for t in there) or "0::BIGINT"
    return f"[{', '.join([count, *(f'coalesce({x}, -1)' for x in lengths)])}]"


def _plain(names: tuple[str, ...], but: tuple[str, ...]) -> str:
    return "".join(f"{quote(n)}, " for n in names if n not in but)


def _told(table: Table, extra: dict[str, str]) -> list[str]:
    return [n for n in (*table.names, *extra) if n not in DERIVED and n not in table.identity]


def _move_days(con, files: DeltaFiles, stager: Stager, both: str) -> None:
    """Winners that were first stored under another day go there."""
    if not files.table.partitioned or not con.sql("SELECT count(*) FROM losers WHERE place = 1").fetchall()[0][0]:
        return
    moved = f"""SELECT b.* EXCLUDE (filename, file_row_number) REPLACE (l.home AS day) FROM {both} b
                JOIN losers l ON l.filename = b.filename AND l.row = b.file_row_number
                ANTI JOIN resettled n ON n.filename = b.filename AND n.row = b.file_row_number WHERE l.place = 1"""
    stager.write(files.table.name, con.sql(moved).to_arrow_table())


def rewrite(con, files: DeltaFiles, staged: list[NewFile], current: list[str], extra: dict[str, str]) -> Change:
    """Files without lost rows stay as they are; the others are written again without them."""
    lost = {r[0] for r in con.sql("SELECT DISTINCT filename FROM losers").fetchall()}
    change = Change(add=[f for f in staged if f.path not in lost], remove=[path for path in current if path in lost])
    spoilt = [(f.path, f.day) for f in staged if f.path in lost] + [(path, day_of(path)) for path in change.remove]
    # A file is written by one thread of the engine, so several are written at once.
    with ThreadPoolExecutor(WRITERS) as pool:
        kept = list(pool.map(lambda file: _without_lost(con.cursor(), files, *file, extra), spoilt))
    change.add += [file for file in kept if file]
    for file in staged:
        if file.path in lost:
            files.place.remove(file.path)
    return change


def _without_lost(con, files: DeltaFiles, path: str, day: str | None, extra: dict[str, str]) -> NewFile | None:
    target = NewFile(files.new_path(day), day, 0)
    source = parquet([path], files.table, extra, rows=True)
    drop = "filename, file_row_number" + (", day" if files.table.partitioned else "")
    level = zstd_level(files.table.names)
    written = con.sql(f"""COPY (SELECT * EXCLUDE ({drop}) FROM {source}
        WHERE file_row_number NOT IN (SELECT row FROM losers WHERE filename = {literal(path)}))
        TO {literal(target.path)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {level})""")
    target.rows = written.fetchall()[0][0] if written is not None else _rows(files, target.path)
    if target.rows == 0:
        files.place.remove(target.path)
        return None
    return target


def _rows(files: DeltaFiles, path: str) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(files.place.key(path), filesystem=files.place.arrow).num_rows
