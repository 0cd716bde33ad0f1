"""The figures of the pull: ``python tests/benchmarks/pull.py [--rows 100000] [--faults N]``.

Throughput against the vendors' own typed clients on the same server, which runs in a process of its own on loopback; memory
at a fifth of the rows and at all of them. ``--faults N`` instead runs N seeded pulls through everything that can go wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, os.path.dirname(TESTS)]
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC)
VENDORS = ("langfuse", "langsmith")
DAYS = 8


def serve(vendor: str, rows: int) -> None:
    """The double of a vendor with about so many spans of 2 kB; prints its address and serves until stdin ends."""
    from doubles.http import serving
    from doubles.traffic import traffic
    from pullkit import double_of

    data = traffic(5, traces=rows // 3, days=DAYS, text_chars=650)
    settings = {} if vendor == "langfuse" else {"limits": False}
    double = double_of(f"{vendor} {'v4' if vendor == 'langfuse' else 'v2'}", data, **settings)
    if vendor == "langfuse":
        from llmobs_nb.sources.langfuse.pull_v4 import FIELDS

        double.warm(f"{FIELDS},io")
        double.warm()
    with serving(double) as url:
        print(url, flush=True)
        sys.stdin.read()


def sdk(vendor: str, url: str, folder: str) -> int:
    """The vendor's typed client, page by page at its largest; how many rows it gave."""
    if vendor == "langfuse":
        from langfuse.api import LangfuseAPI

        api = LangfuseAPI(base_url=url, username="pk-lf-test", password="sk-lf-test", timeout=60)
        fields, cursor, n = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context", None, 0
        while True:
            page = api.observations.get_many(fields=fields, limit=1000, cursor=cursor, from_start_time=SINCE, to_start_time=UNTIL)
            n += len(page.data)
            cursor = page.meta.cursor
            if not cursor:
                return n
    from langsmith import Langsmith

    from llmobs_nb.sources.langsmith.queries import RunQuery

    client = Langsmith(api_key="lsv2_pt_test", base_url=url)
    with contextlib.closing(client):
        project = client.get("/api/v1/sessions", cast_to=object)[0]["id"]
        selects = [s.upper() for s in RunQuery((project,), SINCE, UNTIL, texts=True).body("v2", None, 1000)["selects"]]
        found = client.runs.query(
            project_ids=[project], min_start_time=SINCE, max_start_time=UNTIL, selects=selects, page_size=1000
        )
        return sum(1 for _ in found)


def _client(vendor: str, url: str):
    from pullkit import env_of

    from llmobs_nb.sources.clients import client_of

    return client_of(vendor, plan="self-hosted", env=env_of(vendor, url))


def fetch(vendor: str, url: str, folder: str) -> int:
    """Our transport alone: every row on disk as it came."""
    from llmobs_nb.sources.transport.clock import Clock
    from llmobs_nb.sources.transport.drain import drain
    from llmobs_nb.sources.transport.job import Job
    from llmobs_nb.sources.transport.spool import Spool

    client = _client(vendor, url)
    (project,) = client.projects(())
    job = Job(project, SINCE, UNTIL, "all", windows={key: [(SINCE, UNTIL)] for key in client.overlaps})
    entity = {"langfuse": "observations", "langsmith": "runs"}[vendor]
    spool = Spool(folder)
    slices = [s for s in next(iter(client.stages(job)))(spool) if s.entity == entity]
    assert drain(client, spool, slices, clock=Clock(), workers=client.workers) == []
    return sum(spool.progress(s).rows for s in slices)


def whole(vendor: str, url: str, folder: str) -> int:
    """All of ``llmobs pull``: fetched, mapped, priced, committed, proved."""
    from llmobs_nb.observations import open_store
    from llmobs_nb.pulling.run import pull

    (done,) = pull(vendor, client=_client(vendor, url), store=folder, since=SINCE, until=UNTIL, io="all")
    assert done.complete
    return open_store(folder).query("SELECT count(*) AS n FROM spans")["n"][0].as_py()


TASKS = {"sdk": sdk, "fetch": fetch, "whole": whole}


def measure(task: str, vendor: str, url: str) -> dict:
    """One task in a process of its own: wall and CPU seconds, rows, peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "--task", task, "--vendor", vendor, "--url", url, "--folder", os.path.join(folder, "x")],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _task(task: str, vendor: str, url: str, folder: str) -> None:
    import resource

    began, cpu = time.perf_counter(), time.process_time()
    rows = TASKS[task](vendor, url, folder)
    told = {"rows": rows, "s": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    print(json.dumps(told | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


@contextlib.contextmanager
def server(vendor: str, rows: int):
    """The address of a double in a process of its own."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--task", "serve", "--vendor", vendor, "--rows", str(rows)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def throughput(rows: int) -> None:
    """The table of throughput and memory."""
    print(
        f"{'vendor':<10} {'task':<7} {'rows':>8} {'seconds':>8} {'cpu s':>7} {'rows/s':>8} {'MB':>6} {'x SDK':>6} {'x SDK cpu':>9}"
    )
    for vendor in VENDORS:
        for n in (rows // 5, rows):
            with server(vendor, n) as url:
                found = {task: measure(task, vendor, url) for task in TASKS}
            base = found["sdk"]
            for task, m in found.items():
                ratio, spent = base["s"] / m["s"], base["cpu"] / m["cpu"]
                print(
                    f"{vendor:<10} {task:<7} {m['rows']:>8,} {m['s']:>8.2f} {m['cpu']:>7.2f} {m['rows'] / m['s']:>8,.0f} {m['mb']:>6.0f}"
                    f" {ratio:>6.2f} {spent:>9.2f}",
                    flush=True,
                )


def _outcome(seed: int):
    from pullkit import seeded_pull

    with tempfile.TemporaryDirectory() as folder:
        return seeded_pull(seed, folder)


def faults(n: int, first: int) -> int:
    """N seeded pulls; the table of what they met and what became of them. 1 when any lost, doubled or broke something."""
    began, found = time.monotonic(), []
    with ProcessPoolExecutor(2) as pool:
        for at, out in enumerate(pool.map(_outcome, range(first, first + n), chunksize=4)):
            found.append(out)
            if not out.good:
                print(out, flush=True)
            if (at + 1) % 50 == 0:
                print(f"{at + 1} of {n} in {timedelta(seconds=round(time.monotonic() - began))}", file=sys.stderr, flush=True)
    met: dict[str, int] = {}
    for out in found:
        for kind, times in out.met.items():
            met[kind] = met.get(kind, 0) + times
    print("faults met: " + ", ".join(f"{kind} {times:,}" for kind, times in sorted(met.items())))
    print(
        f"pulls {len(found):,}, finished at once {sum(o.runs == 1 for o in found):,}, after more runs {sum(o.runs > 1 for o in found):,}"
    )
    sums = {"rows lost": sum(o.lost for o in found), "rows doubled": sum(o.doubled for o in found)}
    sums |= {"tracebacks": sum(len(o.broken) for o in found), "unclear refusals": sum(len(o.unsaid) for o in found)}
    print(", ".join(f"{what} {n}" for what, n in sums.items()))
    return int(any(sums.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--faults", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="first seed of --faults")
    for hidden in ("--task", "--vendor", "--url", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task == "serve":
        serve(args.vendor, args.rows)
    elif args.task:
        _task(args.task, args.vendor, args.url, args.folder)
    elif args.faults:
        return faults(args.faults, args.first)
    else:
        throughput(args.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
