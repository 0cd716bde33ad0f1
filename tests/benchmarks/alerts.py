"""False alarms and delay of the default alert preset on quiet and on sliding traffic, replayed day by day.

``python tests/benchmarks/alerts.py --first 0 --count 50 [--traces 5000] [--jobs 2] [--keep DIR | --stores]``

Seeds ``first`` to ``first + count`` are quiet cases of the incident generator, the next ``count`` are other quiet cases into which a
slide is put: from an onset on, the judge's score falls or calls begin to fail, more each day for one to three weeks, everywhere. The
oracle knows the onset and compares all traces since with all before (Welch); the delay is counted from the midnight at which its z
first reaches 3. Seeds 0 to 9,999 are for tuning; those from 1,000,000 on are for judging. The values of traces are read off the
generator's tables and summed as the engine would (tests/test_alerts_backtest.py compares the two); ``--keep`` keeps them.
With ``--stores`` the tables, slide and all, are ingested into a store and ``lm.backtest`` replays it: the whole path, slower. Quiet
and sliding stores then take turns and each prints a line, so that a run that is cut short tells of both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
from benchmarks.incidents import exact  # noqa: E402
from incidents import Case, case  # noqa: E402
from incidents.measure import Written, measured, welch  # noqa: E402

import llmobs_nb as lm  # noqa: E402
from llmobs_nb.analyses.alerts.metrics import matching  # noqa: E402
from llmobs_nb.analyses.alerts.reduce import expand  # noqa: E402
from llmobs_nb.analyses.alerts.replay import Replay, replay  # noqa: E402
from llmobs_nb.analyses.alerts.rules import Rule, read_rules  # noqa: E402
from llmobs_nb.analyses.alerts.sums import BUCKET, ORIGIN, Buckets, Moments, Sums  # noqa: E402
from llmobs_nb.analyses.incident.watched import REFUSES  # noqa: E402
from llmobs_nb.stats.counts import rate_per  # noqa: E402

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
MONTH = 30.4375
OF_TRACES = ("error_rate", "guardrail_block_rate", "ttft_ms", "latency_ms", "cost_usd")


@dataclass(frozen=True, eq=False)
class Store:
    """Values per trace by metric, NaN where a trace has none; ``at`` in microseconds since the first midnight, a weekday by ``phase``."""

    at: np.ndarray
    days: int
    phase: int
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class Mark:
    """What the preset did on one store: false alarms by rule, days judged, and of a slide the delay after the oracle in days."""

    false: dict[str, int]
    days: float
    slid: str | None = None
    oracle: bool = False
    delay: float | None = None


def read_store(seed: int, traces: int, keep: str | None) -> Store:
    """A quiet case of the generator, reduced to its values per trace."""
    path = Path(keep or ".") / f"alerts-{seed}-{traces}.npz"
    if keep and path.exists():
        with np.load(path) as found:
            told = {name: found[name] for name in found.files}
        return Store(told.pop("at"), 56, int(told.pop("phase")), told)
    store = values_of(case(seed, traces=traces, kind="quiet"))
    if keep:
        np.savez(path, at=store.at, phase=store.phase, **store.values)
    return store


def values_of(made: Case) -> Store:
    """The values per trace of a case, as its written tables say."""
    written = made.written
    out = {m: measured(m, written) for m in OF_TRACES if m != "cost_usd" or "cost_recorded_usd" in written.spans.column_names}
    raters = written.scores["rater" if "rater" in written.scores.column_names else "source"].to_pylist()
    for name, rater in sorted(set(zip(written.scores["name"].to_pylist(), raters, strict=True))):
        out[f"score:{name}:{rater}"] = measured(f"score:{name}:{rater}", written)
    refused = pc.match_substring_regex(pc.utf8_slice_codeunits(written.column("output"), 0, 160), REFUSES)
    out["refusal_rate"] = written.mean(written.number(refused.cast("int8")), written.root)
    first = int(made.at.min() // DAY_US)
    phase = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=first)).weekday()
    return Store(made.at - first * DAY_US, 56, phase, out)


def slide(store: Store, seed: int) -> tuple[Store, str, int]:
    """The store with a slide put into it; its metric and the day of its onset. The strength is the oracle's z at the end, 4 to 20."""
    rng = np.random.default_rng([seed, 99])
    judged = sorted(m for m in store.values if m.endswith(":judge"))
    name = judged[int(rng.integers(len(judged)))] if rng.random() < 0.6 else "error_rate"
    onset, length = int(rng.integers(24, 42)), rng.uniform(7, 21)
    ramp = np.clip((store.at / DAY_US - onset) / length, 0, 1)
    strength = float(np.exp(rng.uniform(np.log(4), np.log(20))))
    values, drawn = store.values[name], rng.random(len(store.at))
    after = ramp > 0
    low, high = 0.0, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        z = abs(welch(_moved(values, ramp, middle, drawn)[after], values[~after]))
        low, high = (middle, high) if z < strength else (low, middle)
    return replace(store, values=store.values | {name: _moved(values, ramp, high, drawn)}), name, onset


def _moved(values: np.ndarray, ramp: np.ndarray, size: float, drawn: np.ndarray) -> np.ndarray:
    """Scores fall by ``size`` of their range on average, whole grades at a time; a share ``size`` more of the calls fails."""
    seen = np.unique(values[~np.isnan(values)])
    if set(seen) <= {0.0, 1.0}:
        failed = 1.0 if seen.mean() < 0.5 or np.nanmean(values) < 0.5 else 0.0
        return np.where(~np.isnan(values) & (drawn < size * ramp), failed, values)
    step = float(np.diff(seen).min()) if len(seen) < 30 else 1e-4
    fall = size * ramp * (seen[-1] - seen[0]) / step
    return np.maximum(values - step * (np.floor(fall) + (drawn < fall % 1)), seen[0])


def oracle_day(store: Store, name: str, onset: int) -> int | None:
    """The first midnight (days since the start) at which the oracle's z is 3 or more."""
    values, day = store.values[name], store.at // DAY_US
    before = values[day < onset]
    return next(
        (d for d in range(onset + 1, store.days + 1) if abs(welch(values[(day >= onset) & (day < d)], before)) >= 3), None
    )


def expanded(store: Store) -> list[Rule]:
    """The default preset on the metrics that this store has."""
    scores = [tuple(m.split(":", 1)[1].rsplit(":", 1)) for m in store.values if m.startswith("score:")]
    out = []
    for rule in read_rules("default"):
        named = matching(rule.metric, scores) if rule.measure.pattern else [rule.metric]
        out += [replace(rule, name=f"{rule.name}[{m}]", metric=m) for m in named]
    return [r for r in out if r.measure.metric.name in store.values]


def sums_of(rule: Rule, store: Store) -> Sums:
    """The sums that the engine would give for a rule without a split."""
    values = store.values[rule.measure.metric.name]
    there = ~np.isnan(values)
    bin, v = (store.at[there] // HOUR_US).astype(int), values[there]
    bins = 24 * store.days
    begin = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=store.phase)  # a Monday, moved to the weekday of the store
    shared = {"measure": rule.measure, "begin": begin, "keys": ((),), "bins": bins}
    if rule.measure.kind == "quantile":
        code = np.where(v > 0, np.floor(np.log(np.maximum(v, 1e-300)) / BUCKET) + ORIGIN, 0).astype(int)
        order = np.argsort(bin, kind="stable")
        return Buckets(**shared, bin=bin[order], key=np.zeros(len(bin), int), code=code[order], count=np.ones(len(bin)))
    logs = np.where(v > 0, np.log(np.maximum(v, 1e-300)), 0)
    parts = (np.ones(len(v)), v, v * v, (v > 0).astype(float), logs, logs * logs)
    running = np.zeros((6, 1, bins + 1))
    running[:, 0, 1:] = [np.bincount(bin, p, bins)[:bins] for p in parts]
    return Moments(**shared, running=running.cumsum(axis=2))


def one(seed: int, traces: int, sliding: bool, keep: str | None) -> Mark:
    """Replay the preset over one store."""
    store, name, onset = read_store(seed, traces, keep), None, 10**6
    if sliding:
        store, name, onset = slide(store, seed)
    replays = [replay(rule, sums_of(rule, store)) for rule in expanded(store)]
    false = {r.rule.name.split("[")[0]: 0 for r in replays}
    found, days = [], 0.0
    for r in replays:
        alarms, judged = _days(r)
        false[r.rule.name.split("[")[0]] += sum(d <= onset for d in alarms)
        days = max(days, float(sum(j <= onset for j in judged)))
        found += [d for d in alarms if d > onset] if r.rule.measure.metric.name == name else []
    if not sliding:
        return Mark(false, days)
    oracle = oracle_day(store, name, onset)
    delay = None if oracle is None else min(found) - oracle if found else np.inf
    return Mark(false, days, name.split(":")[0], oracle is not None, delay)


def stored(seed: int, traces: int, sliding: bool) -> Mark:
    """The same through the whole path: written, ingested, replayed by ``lm.backtest``; only the oracle reads the generator's tables."""
    made, name, onset = case(seed, traces=traces, kind="quiet"), None, 10**6
    store = values_of(made)
    if sliding:
        store, name, onset = slide(store, seed)
        made = replace(made, written=_with(made.written, name, store.values[name]))
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(made.at.min() // DAY_US))
    with tempfile.TemporaryDirectory() as folder:
        lm.load(made.write(f"{folder}/data"), store=f"{folder}/store", threads=1)
        obs = lm.open(f"{folder}/store", threads=1)
        result = lm.backtest("default", obs, truth=[first + timedelta(days=onset)] if sliding else "quiet")
        metrics = {r.name: r.metric for r in expand(obs, read_rules("default"), first)[0]}
    false = {rule.split("[")[0]: 0 for rule in metrics}
    found = []
    for alarm in result.alarms.itertuples():
        day = (alarm.at - first) / timedelta(days=1)
        if day <= onset:
            false[alarm.rule.split("[")[0]] += 1
        elif metrics[alarm.rule] == name:
            found.append(day)
    days = float(result.rules["days"].max())
    if not sliding:
        return Mark(false, days)
    oracle = oracle_day(store, name, onset)
    return Mark(
        false, days, name.split(":")[0], oracle is not None, None if oracle is None else min(found, default=np.inf) - oracle
    )


def _with(written: Written, name: str, values: np.ndarray) -> Written:
    """The tables with these values of a score, or with the last call of a trace failed where the error rate's value became 1."""
    if name == "error_rate":
        calls = np.flatnonzero(written.flags("kind", "llm"))
        last = np.full(len(written.ids), -1)
        last[written.trace[calls]] = calls
        fails = np.zeros(len(written.trace), bool)
        fails[last[(values == 1) & (last >= 0)]] = True
        return replace(written, spans=_put(written.spans, "status", fails, "error"))
    _, score, rater = name.split(":")
    scores = written.scores
    raters = scores["rater" if "rater" in scores.column_names else "source"]
    mine = pc.and_(pc.equal(scores["name"], score), pc.equal(raters, rater))
    of = pc.fill_null(pc.index_in(scores["trace_id"], written.ids), 0).to_numpy()
    return replace(written, scores=_put(scores, "value", mine, pa.array(values[of])))


def _put(table: pa.Table, column: str, mask, values) -> pa.Table:
    """The table with other values in the rows of the mask, in the column's type."""
    at, typed = table.column_names.index(column), table[column].type
    new = pa.scalar(values, typed) if isinstance(values, str) else values.cast(typed)
    return table.set_column(at, column, pc.if_else(pa.array(mask) if isinstance(mask, np.ndarray) else mask, new, table[column]))


def through_stores(first: int, count: int, traces: int, pool) -> list[Mark]:
    """Marks of quiet and sliding stores in turn, a line each as they come."""
    jobs = [(s + k * count, traces, bool(k)) for s in range(first, first + count) for k in (0, 1)]
    marks, began = [], time.monotonic()
    for (seed, _, sliding), mark in zip(jobs, pool(stored, *zip(*jobs, strict=True)), strict=True):
        marks.append(mark)
        told = f"delay {mark.delay} days of {mark.slid}" if sliding else f"{mark.days:.0f} days"
        print(f"{seed} {told}, false alarms {sum(mark.false.values())}, {time.monotonic() - began:,.0f} s", flush=True)
    return marks


def _days(r: Replay) -> tuple[list[int], list[int]]:
    """Midnights (days since the start) of alarms, and of moments at which the rule could say something."""
    day = lambda i: round((r.times[i] - r.times[-1]) / timedelta(days=1)) + 56  # noqa: E731
    return [day(i) for i in np.flatnonzero(r.starts().any(axis=1))], [day(i) for i in np.flatnonzero(r.judged)]


def report(marks: list[Mark]) -> None:
    """All tables."""
    quiet, slid = [m for m in marks if m.slid is None], [m for m in marks if m.slid]
    months = sum(m.days for m in quiet) / MONTH
    print(f"\n{len(quiet)} quiet stores, {months:.0f} months judged; false alarms a month of the whole preset:")
    for name in ("all", *read_names(quiet)):
        count = sum(sum(m.false.values()) if name == "all" else m.false.get(name, 0) for m in quiet)
        e = rate_per(count, months)
        print(f"  {name:20s} {count:4d}  {e.value:.3f} [{e.ci_low:.3f}, {e.ci_high:.3f}]")
    print(f"  stores with any: {exact(sum(any(m.false.values()) for m in quiet), len(quiet))}")
    before = sum(m.days for m in slid) / MONTH
    e = rate_per(sum(sum(m.false.values()) for m in slid), before)
    print(f"before the onset of slides: {e.n} in {before:.0f} months, {e.value:.3f} [{e.ci_low:.3f}, {e.ci_high:.3f}]")
    print(f"\n{len(slid)} sliding stores; days from the oracle's z of 3 to the alarm (negative: before it):")
    for name in ("all", "score", "error_rate"):
        mine = [m for m in slid if name in ("all", m.slid)]
        delays = np.array([m.delay for m in mine if m.delay is not None])
        if len(delays):
            low, middle, high = np.quantile(delays, [0.25, 0.5, 0.75], method="nearest")
            missed = int(np.isinf(delays).sum())
            print(f"  {name:12s} n {len(delays):4d} (oracle never there {len(mine) - len(delays)})  quartiles {low:.0f} / {middle:.0f} / {high:.0f}"
                  f"  not found by the end {missed}  within 3 days {exact(int((delays <= 3).sum()), len(delays))}")  # fmt: skip


def read_names(marks: list[Mark]) -> list[str]:
    """The rules of the preset, as named in the marks."""
    return list(dict.fromkeys(name for m in marks for name in m.false))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--traces", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep")
    parser.add_argument("--stores", action="store_true")
    args = parser.parse_args(argv)
    if args.keep:
        Path(args.keep).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.jobs) if args.jobs > 1 else nullcontext() as workers:
        pool = workers.map if workers else map
        if args.stores:
            report(through_stores(args.first, args.count, args.traces, pool))
            return
        seeds = range(args.first, args.first + 2 * args.count)
        jobs = [(s, args.traces, s >= args.first + args.count, args.keep) for s in seeds]
        report(list(pool(one, *zip(*jobs, strict=True))))


if __name__ == "__main__":
    main()
