"""The figures of ingest, upsert and status, as ratios in one run: ``python tests/benchmarks/ingest.py [--big] [--folder DIR]``.

Each task runs in a process of its own; CPU is that of the process and its threads, memory its peak. ``--big`` adds the
million rows (about 2.5 GB on disk and some minutes).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import make  # noqa: E402

TYPED = {
    "id": "VARCHAR", "traceId": "VARCHAR", "startTime": "TIMESTAMPTZ", "endTime": "TIMESTAMPTZ", "projectId": "VARCHAR",
    "parentObservationId": "VARCHAR", "type": "VARCHAR", "name": "VARCHAR", "level": "VARCHAR", "statusMessage": "VARCHAR",
    "version": "VARCHAR", "environment": "VARCHAR", "bookmarked": "BOOLEAN", "public": "BOOLEAN", "userId": "VARCHAR",
    "sessionId": "VARCHAR", "isRootObservation": "BOOLEAN", "createdAt": "TIMESTAMPTZ", "updatedAt": "TIMESTAMPTZ",
    "completionStartTime": "TIMESTAMPTZ", "input": "VARCHAR", "output": "VARCHAR", "metadata": "MAP(VARCHAR, VARCHAR)",
    "latency": "DOUBLE", "timeToFirstToken": "DOUBLE", "traceName": "VARCHAR", "tags": "VARCHAR[]", "release": "VARCHAR",
    "model": "VARCHAR", "internalModelId": "VARCHAR", "modelParameters": "VARCHAR", "usageDetails": "MAP(VARCHAR, DOUBLE)",
    "costDetails": "MAP(VARCHAR, DOUBLE)", "totalCost": "DOUBLE", "promptName": "VARCHAR", "promptVersion": "VARCHAR",
}  # fmt: skip


def floor(file: str, folder: str) -> None:
    """DuckDB reads the file with explicit columns and writes typed zstd Parquet."""
    import duckdb

    con = duckdb.connect()
    con.execute("SET threads = 2; SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    columns = ", ".join(f"'{n}': '{t}'" for n, t in TYPED.items())
    relation = f"read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"
    con.execute(f"COPY (SELECT * FROM {relation}) TO '{folder}/floor.parquet' (FORMAT parquet, COMPRESSION zstd)")


def pandas(file: str, folder: str) -> None:
    """pandas reads the lines and flattens them."""
    import pandas as pd

    frame = pd.read_json(file, lines=True)
    pd.json_normalize(frame.to_dict("records"))


def ours(file: str, folder: str) -> None:
    """llmobs ingest, into a fresh store or, with a file of newer versions, into the one that is there."""
    from llmobs_nb.ingest.run import ingest
    from llmobs_nb.store.store import Store

    ingest([file], Store(os.path.join(folder, "store")), threads=2)


def status(file: str, folder: str) -> None:
    """llmobs status."""
    from llmobs_nb.cli import main

    main(["status", "--store", os.path.join(folder, "store"), "--quiet"])


TASKS = {f.__name__: f for f in (floor, pandas, ours, status)}


def measured(task: str, file: str, folder: str) -> dict:
    """Wall and CPU seconds and peak memory (MB) of one task in a fresh process."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, __file__, "--task", task, file, folder], stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(child.pid, 0)
    if code:
        raise SystemExit(f"{task} failed with {code}")
    return {"wall": time.monotonic() - began, "cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def median(runs: list[dict], key: str) -> float:
    return statistics.median(r[key] for r in runs)


def fresh(task: str, file: str, folder: str, times: int) -> list[dict]:
    """Several runs, each into a fresh folder; the last one's store stays."""
    runs = []
    for _ in range(times):
        shutil.rmtree(os.path.join(folder, "store"), ignore_errors=True)
        runs.append(measured(task, file, folder))
    return runs


def row(name: str, runs: list[dict], base: float | None = None) -> None:
    ratio = f"{median(runs, 'cpu') / base:6.2f} x floor" if base else ""
    print(
        f"{name:<28} {median(runs, 'cpu'):8.1f} s CPU {median(runs, 'wall'):8.1f} s wall {median(runs, 'peak_mb'):8.0f} MB {ratio}",
        flush=True,
    )


def small(folder: str, times: int) -> None:
    file = os.path.join(folder, "small.jsonl")
    make.write(file, 200_000)
    print(f"200,000 observations, {os.path.getsize(file) / 1e6:.0f} MB", flush=True)
    base = fresh("floor", file, folder, times)
    row("floor", base)
    row("llmobs ingest", fresh("ours", file, folder, times), median(base, "cpu"))
    row("pandas", fresh("pandas", file, folder, 1), median(base, "cpu"))
    row("llmobs ingest, same again", [measured("ours", file, folder)])
    os.remove(file)


def big(folder: str) -> None:
    file = os.path.join(folder, "big.jsonl")
    make.write(file, 1_000_000)
    print(f"1,000,000 observations, {os.path.getsize(file) / 1e6:.0f} MB", flush=True)
    base = fresh("floor", file, folder, 1)
    row("floor", base)
    row("llmobs ingest", fresh("ours", file, folder, 1), median(base, "cpu"))
    row("llmobs status", [measured("status", file, folder) for _ in range(3)])
    os.remove(file)
    for days in (4, 52):
        newer = os.path.join(folder, f"newer-{days}.jsonl")
        _newer(newer, 50_000, days, folder)
        row(f"upsert 50,000 over {days} days", [measured("ours", newer, folder)])
        os.remove(newer)


def _newer(path: str, rows: int, days: int, folder: str) -> None:
    """Newer versions of stored rows: half of them stand in the store already, half are new."""
    from llmobs_nb.observations import open_store

    end = make.START + dt.timedelta(days=days)
    obs = open_store(os.path.join(folder, "store"))
    known = obs.query(f"""SELECT span_id, trace_id, strftime(start_time, '%Y-%m-%dT%H:%M:%S.%gZ') AS at FROM spans
        WHERE start_time < TIMESTAMPTZ '{end.isoformat()}Z' USING SAMPLE {rows // 2} ROWS""").to_pylist()
    make.write(path, rows, days=days, seed=days, later=dt.timedelta(days=90))
    with open(path, "rb") as stream:
        lines = [json.loads(line) for line in stream]
    for line, old in zip(lines, known, strict=False):
        line.update(id=old["span_id"], traceId=old["trace_id"], startTime=old["at"], endTime=old["at"], parentObservationId=None)
    with open(path, "w") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", nargs=3, metavar=("NAME", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--only-big", action="store_true")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder")
    args = parser.parse_args()
    if args.task:
        TASKS[args.task[0]](*args.task[1:])
        return
    folder = args.folder or tempfile.mkdtemp(prefix="llmobs-bench-")
    os.makedirs(folder, exist_ok=True)
    if not args.only_big:
        small(folder, args.times)
    if args.big or args.only_big:
        big(folder)
    if not args.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
