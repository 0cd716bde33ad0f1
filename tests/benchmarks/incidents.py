"""How right the incident analysis is on incidents with known truth, by kind and by strength.

``python tests/benchmarks/incidents.py --first 0 --count 50 [--traces 20000] [--only kind] [--jobs 2] [--stores DIR] [--rows FILE]``

Seeds 0 to 9,999 are for tuning; those from 1,000,000 on are for judging, and of them only the tables are shown. ``--stores``
keeps the ingested stores for the next run (of the same generator), ``--rows`` adds one JSON line per case (tuning seeds only).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
from incidents import FALSE, INCIDENTS, JUDGING, KINDS, QUIET, case  # noqa: E402
from incidents.marks import STRENGTHS, Mark, failed, mark  # noqa: E402


def analysis():
    """``lm.incident``, looked up when it is needed: the tables can be tested without it."""
    return import_module("llmobs_nb.analyses.incident").incident


def edition() -> str:
    """A short hash of the generator: a kept store is of no use to another one."""
    sources = sorted((HERE.parent / "incidents").glob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:8]


def one(seed: int, traces: int, kind: str | None, stores: str | None) -> Mark:
    """Make a case, ingest it (or open the store that was kept), ask the analysis, mark the answer."""
    import llmobs_nb as lm

    made = case(seed, traces=traces, kind=kind)
    folder = tempfile.mkdtemp(prefix="llmobs-case-")
    store = os.path.join(stores or folder, f"{made.truth.kind}-{seed}-{traces}-{edition()}")
    try:
        if not os.path.isdir(store):
            lm.load(made.write(os.path.join(folder, "data")), store=store, threads=1)
        obs, ask = lm.open(store), analysis()
        began = time.monotonic()
        try:
            answer = ask(obs).json()
        except Exception as error:  # a case that breaks the analysis must not stop the others
            return failed(made, f"{type(error).__name__}: {error}", time.monotonic() - began)
        return mark(made, answer, time.monotonic() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def share(hits) -> str:
    """``3/4 .75``; a dash for nothing."""
    hits = [bool(h) for h in hits if h is not None]
    return f"{sum(hits)}/{len(hits)} {sum(hits) / len(hits):.2f}" if hits else "-"


def exact(hits: int, of: int) -> str:
    """A count with its share and its exact (Clopper-Pearson) 95 % interval."""
    from scipy.stats import beta

    if not of:
        return "0 of 0"
    low = beta.ppf(0.025, hits, of - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1.0
    return f"{hits} of {of}: {hits / of:.3f} [{low:.3f}, {high:.3f}]"


COLUMNS = {
    "all right": lambda m: m.all_right,
    "verdict": lambda m: m.verdict_right,
    "onset": lambda m: m.onset_right,
    "slice": lambda m: m.slice_right,
    "in three": lambda m: m.slice_in_three,
    "kind": lambda m: m.kind_right,
}


def table(title: str, groups: dict[str, list[Mark]]) -> None:
    """One line per group: how many, and the share of each thing that was right."""
    print(f"\n{title:22s} {'n':>5s}" + "".join(f"{c:>14s}" for c in COLUMNS))
    for name, marks in groups.items():
        if marks:
            print(f"{name:22s} {len(marks):5d}" + "".join(f"{share(map(f, marks)):>14s}" for f in COLUMNS.values()))


def report(marks: list[Mark]) -> None:
    """All tables."""
    real = [m for m in marks if m.verdict == "incident"]
    strengths = [name for name, _, _ in STRENGTHS]
    table("incidents by strength", {s: [m for m in real if m.strength == s] for s in strengths})
    table("by shape, |z| >= 5", {s: [m for m in real if m.shape == s and abs(m.z) >= 5] for s in ("step", "ramp", "burst")})
    table("by kind, |z| >= 5", {k: [m for m in real if m.kind == k and abs(m.z) >= 5] for k in INCIDENTS})
    table("by kind, |z| 3-5", {k: [m for m in real if m.kind == k and m.strength == "3-5"] for k in INCIDENTS})
    weak = [m for m in real if m.strength == "<3"]
    print(f"\n|z| < 3: all right or not enough evidence {share(m.all_right or m.said == 'not_enough_evidence' for m in weak)}")
    _false(marks)
    _calibration(real)
    _mistaken(marks)
    seconds = [m.seconds for m in marks]
    print(f"seconds: median {np.median(seconds):.2f}, 95 % {np.quantile(seconds, 0.95):.2f}, most {max(seconds):.2f}")
    errors = Counter(m.error for m in marks if m.error)
    for text, count in errors.most_common(10):
        print(f"raised {count} times: {text}")


def _false(marks: list[Mark]) -> None:
    quiet = [m for m in marks if m.kind == QUIET]
    print(f"\nquiet called an incident: {exact(sum(m.said == 'incident' for m in quiet), len(quiet))}")
    print(f"quiet said: {dict(Counter(m.said for m in quiet))}")
    print(f"\n{'false incidents':22s} {'n':>5s} {'called real':>14s} {'named':>14s} {'named |z|>=5':>14s}")
    for kind in (*FALSE, "all"):
        some = [m for m in marks if m.kind == kind or (kind == "all" and m.kind in FALSE)]
        if some:
            called, named = share(m.said == "incident" for m in some), share(m.verdict_right for m in some)
            print(
                f"{kind:22s} {len(some):5d} {called:>14s} {named:>14s} {share(m.verdict_right for m in some if abs(m.z) >= 5):>14s}"
            )


def _calibration(real: list[Mark]) -> None:
    found = [m for m in real if m.said == "incident"]
    first, widths = [m.first for m in found if m.first is not None], [m.width_days for m in found if m.width_days is not None]
    sure, right = sum(m.sure for m in real), sum(m.sure_right for m in real)
    print(f"\nfirst 20 traces truly affected: {np.mean(first):.3f} of {len(first)} answers" if first else "\nno traces named")
    print(f"causes with confidence >= .9 that are right: {exact(right, sure)}")
    print(f"onset interval holds the onset: {share(m.covered for m in found)}", end="")
    print(f", median width {np.median(widths):.1f} days" if widths else "")


def _mistaken(marks: list[Mark]) -> None:
    """What was said instead, most frequent first; never single cases."""
    wrong = Counter(
        (m.kind, m.said, m.said_kind) for m in marks if not m.all_right and m.said is not None and abs(m.z) >= 3
    ).most_common(15)
    print("\nmistakes at |z| >= 3 (true kind: verdict, first kind)")
    for (kind, said, said_kind), count in wrong:
        print(f"  {count:4d} {kind}: {said}, {said_kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--traces", type=int, default=20_000)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--stores", help="keep the ingested stores in this folder")
    parser.add_argument("--rows", help="add one JSON line per case to this file (tuning seeds only)")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.count)
    if args.rows and args.first + args.count > JUDGING[0]:
        parser.error("--rows shows single cases, which judging seeds must not; use --first below 10,000")
    report(list(marked(seeds, args)))


def marked(seeds: range, args: argparse.Namespace) -> Iterator[Mark]:
    """The marks of the seeds in their order, in so many processes; each is added to the file of rows when it is there."""
    constant = (args.traces, args.only, args.stores)
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, found in enumerate(pool.map(one, seeds, *([c] * len(seeds) for c in constant)), 1):
            print(f"\r{done}/{len(seeds)}", end="" if done < len(seeds) else "\n", file=sys.stderr, flush=True)
            if args.rows:
                with open(args.rows, "a") as out:
                    out.write(json.dumps(asdict(found) | {"all_right": found.all_right}) + "\n")
            yield found


if __name__ == "__main__":
    main()
