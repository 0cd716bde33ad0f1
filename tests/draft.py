"""For tests of one source: its records through its columns, before anything is derived."""

import duckdb

from llmobs_nb.columns import MACROS, compile_select, fields_of, literal, quote
from llmobs_nb.ingest.extract import encode
from llmobs_nb.sources import registry
from llmobs_nb.sources.base import Bad
from llmobs_nb.sources.files import expand


def draft(path, wanted="auto"):
    """-> (format name, {table: [row dicts]}, [Bad, ...]); rows also hold ``_reason`` (why a row would be quarantined)."""
    item = expand([path])[0]
    head = registry.head_of(item)
    fmt = registry.recognise(item, head, wanted)
    bads, groups = [], {}
    for record in fmt.read(item, head):
        if isinstance(record, Bad):
            bads.append(record)
        else:
            groups.setdefault(record.shape, []).append(record.data)
    tables = {}
    for shape, datas in groups.items():
        tables.setdefault(fmt.shapes[shape].table, []).extend(mapped(fmt.shapes[shape], datas))
    return fmt.name, tables, bads


def mapped(shape, datas):
    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'")
    con.execute(MACROS)
    names = fields_of(shape.columns)
    text = [{n: v if isinstance(v, str) or v is None else encode(v).decode() for n in names for v in [d.get(n)]} for d in datas]
    con.execute(f"CREATE TABLE r ({', '.join(quote(n) + ' VARCHAR' for n in names)})")
    for row in text:
        values = ", ".join("NULL" if v is None else literal(v.replace("\x00", "")) for v in row.values())
        con.execute(f"INSERT INTO r VALUES ({values})")
    return con.sql(compile_select(shape.columns, shape.table, "r")).to_arrow_table().to_pylist()
