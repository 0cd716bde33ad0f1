"""For tests of store and ingest: small records, small stores, and what stands in them."""

import datetime as dt
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq

from llmobs_nb.engine.duck import connect
from llmobs_nb.ingest.run import ingest
from llmobs_nb.schema import ARROW, TABLES
from llmobs_nb.store.store import Store

T0 = dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC)
FIXED = {"source": "test", "project": "p", "trace_id": "t1"}


def at(seconds: float) -> dt.datetime:
    """A moment that many seconds after the test's epoch, a Monday at ten."""
    return T0 + dt.timedelta(seconds=seconds)


def span(span_id: str, **fields) -> dict:
    """A finished row of ``spans``; what is not given is null."""
    row = FIXED | {"span_id": span_id, "kind": "llm", "status": "ok", "start_time": at(0)} | fields
    row.setdefault("updated_at", row.get("end_time") or row["start_time"])
    row.setdefault("is_root", row.get("parent_id") is None)
    row.setdefault("day", row["start_time"].date() if row["start_time"] else dt.date(1970, 1, 1))
    return row


def score(score_id: str, **fields) -> dict:
    """A finished row of ``scores``."""
    row = FIXED | {"score_id": score_id, "name": "quality", "value": 1.0, "created_at": at(0), "updated_at": at(0)} | fields
    return row | {"day": row["created_at"].date()}


def put(root, *, extra=None, **tables):
    """One commit of finished rows, past the readers: ``put(root, spans=[...], scores=[...])``."""
    store = Store(root)
    with store.writing():
        stager = store.stager(extra)
        for name, rows in tables.items():
            more = [pa.field(n, ARROW[t]) for n, t in (extra or {}).get(name, {}).items()]
            stager.write(name, pa.Table.from_pylist(list(rows), pa.schema([*TABLES[name].arrow(), *more])))
        return store.commit(stager.close(), stager, threads=1)


def rows(root, table: str = "spans", *, snapshot=None) -> list[dict]:
    """Every row of a table as it is committed, in the order of its identity."""
    snapshot = snapshot or Store(root).snapshot()
    con = connect(threads=1)
    found = con.sql(f"SELECT * FROM {snapshot.relation(table)}").to_arrow_table().to_pylist(maps_as_pydicts="strict")
    con.close()
    return sorted(found, key=lambda r: [str(r[c]) for c in TABLES[table].identity])


def column(root, name: str, table: str = "spans") -> dict:
    """One column by the last part of the identity: ``{span_id: value}``."""
    return {r[TABLES[table].identity[-1]]: r[name] for r in rows(root, table)}


def content(root, *, but=("day", "file", "line", "record_id")) -> dict[str, list[dict]]:
    """All tables of a store, comparable: without what may depend on the order in which files came."""
    found = {name: rows(root, name) for name in Store(root).snapshot().versions}
    return {
        name: sorted(({k: v for k, v in r.items() if k not in but} for r in found[name]), key=repr)
        for name in found
        if found[name]
    }


def files_under(root) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


def parquet_under(root) -> list[str]:
    return [f for f in files_under(root) if f.endswith(".parquet")]


def holding(root, marker: str) -> list[str]:
    """The files under a folder that hold a text, in their bytes or, for Parquet, in any value of any row."""
    found = []
    for path in files_under(root):
        with open(path, "rb") as stream:
            there = marker.encode() in stream.read()
        if path.endswith(".parquet"):
            there = there or marker in repr(pq.ParquetFile(path).read().to_pylist())
        if there:
            found.append(path)
    return found


def observation(span_id: str, **fields) -> dict:
    """A Langfuse observation as the v2 API gives it."""
    return {
        "id": span_id, "traceId": "t1", "projectId": "p", "type": "GENERATION", "name": "answer",
        "startTime": "2026-01-05T10:00:00Z", "endTime": "2026-01-05T10:00:01Z", "updatedAt": "2026-01-05T10:00:02Z",
        "model": "gpt-4o-2024-08-06", "usageDetails": {"input": 10, "output": 5, "total": 15}, "input": "hi", "output": "ho",
    } | fields  # fmt: skip


def langfuse_score(score_id: str, **fields) -> dict:
    """A Langfuse score as the API gives it."""
    return {
        "id": score_id, "traceId": "t1", "projectId": "p", "name": "quality", "value": 0.5, "dataType": "NUMERIC",
        "source": "EVAL", "timestamp": "2026-01-06T10:00:00Z", "updatedAt": "2026-01-06T10:00:00Z",
    } | fields  # fmt: skip


def write_lines(path, records) -> str:
    """A file of JSON lines; bytes stand as they are."""
    with open(path, "wb") as out:
        for record in records:
            out.write((record if isinstance(record, bytes) else json.dumps(record).encode()) + b"\n")
    return str(path)


def load(root, *paths, **options):
    """Ingest paths into the store at ``root``."""
    return ingest([str(p) for p in paths], Store(root), threads=1, **options)
