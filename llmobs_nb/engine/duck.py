"""DuckDB, embedded: a connection with our settings, and Parquet files as relations."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence

import duckdb

from ..columns import MACROS, literal, quote
from ..errors import UsageError
from ..schema import SQL, Table

_SIZE = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?B)", re.IGNORECASE)


def connect(*, memory: str = "2GB", threads: int | None = None, spill: str | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in UTC with a memory limit that spills to disk, no extension downloads, our macros loaded.

    Raises UsageError when ``memory`` is no size (``2GB``, ``600MB``) or ``threads`` is below one.
    """
    if not _SIZE.fullmatch(memory.strip()):
        raise UsageError(f"memory={memory!r} is not a size; give a number and a unit, such as 600MB or 2GB")
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads!r} is not a count; give 1 or more")
    con = duckdb.connect(
        config={
            "memory_limit": memory,
            "temp_directory": spill or os.path.join(tempfile.gettempdir(), f"llmobs-spill-{os.getuid()}"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **({"threads": threads} if threads else {}),
        }
    )
    con.execute(
        "SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET streaming_buffer_size = '1MB'; SET parquet_metadata_cache = true"
    )
    con.execute(MACROS)
    return con


def parquet(files: Sequence[str], table: Table, extra: dict[str, str] | None = None, *, rows: bool = False) -> str:
    """A FROM expression over the Parquet files of a table with every canonical column and the ``extra`` ones typed.

    A column that no file has is a typed null. ``rows`` adds ``filename`` and ``file_row_number``. No file gives no row.
    """
    fields = {f.name: f.sql for f in table.fields} | {n: SQL[t] for n, t in (extra or {}).items()}
    where = "filename VARCHAR, file_row_number BIGINT" if rows else ""
    none = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in fields.items())
    more = ", NULL::VARCHAR AS filename, NULL::BIGINT AS file_row_number" if where else ""
    empty = f"SELECT {none}{more} WHERE false"
    if not files:
        return f"({empty})"
    listed = ", ".join(literal(f) for f in files)
    options = "union_by_name = true" + (", filename = true, file_row_number = true" if rows else "")
    if table.partitioned:
        options += ", hive_partitioning = true, hive_types = {'day': DATE}"
    return f"({empty} UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], {options}))"


def is_interrupt(error: BaseException) -> bool:
    """Whether an error of the engine, or of Arrow reading its answer, only says that the user stopped it."""
    text = str(error).rstrip()
    return "INTERRUPT Error" in text or text.endswith("Query interrupted")
