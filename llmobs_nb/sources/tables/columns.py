"""A user's own table: our own names, older ones included, until the mapping says where else a column stands."""

from collections.abc import Sequence

from ...columns import Column, quote
from ..canonical import columns as canonical

TABLES = {"spans": canonical.spans, "scores": canonical.scores, "series": canonical.series}
ROW_HASH = "_row_hash"


def own_names(table: str) -> list[Column]:
    """The columns tried when the mapping does not say; a span without an id is named by its content."""
    columns = TABLES[table]()
    if table != "spans":
        return columns
    return [Column("span_id", "span_id", also=(ROW_HASH,)) if c.name == "span_id" else c for c in columns]


def with_row_hash(columns: Sequence[Column], header: Sequence[str]) -> list[Column]:
    """The columns with a span id out of the whole row where the table has no column for one."""
    given = next((c for c in columns if c.name == "span_id"), None)
    if given is None or given.sql is not None or any(p[0] in header for p in given.paths):
        return list(columns)
    cells = ", ".join(f"coalesce({quote(h)}, chr(30))" for h in sorted(header))
    made = Column("span_id", sql=f"md5(concat_ws(chr(31), {cells}))", needs=tuple(header))
    return [made if c.name == "span_id" else c for c in columns]
