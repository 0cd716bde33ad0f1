"""A pull in one process: a vendor's double, its client over the wire, a clock that waits in no time."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from doubles.clock import FastClock
from doubles.faults import KINDS, Faults
from doubles.http import Wire
from doubles.langfuse import LangfuseDouble
from doubles.langsmith import LangsmithDouble
from doubles.traffic import START, Traffic, traffic

from llmobs_nb import completeness
from llmobs_nb.errors import LlmobsError
from llmobs_nb.observations import Observations, open_store
from llmobs_nb.pulling.result import Pulled
from llmobs_nb.pulling.run import pull
from llmobs_nb.sources.clients import client_of

SINCE, UNTIL = START - timedelta(days=1), START + timedelta(days=7)
NOW = datetime(2026, 11, 9, tzinfo=UTC)
SERVERS = ("langfuse v4", "langfuse v3", "langsmith v2", "langsmith v1")
LANGFUSE = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test", "LANGFUSE_SECRET_KEY": "sk-lf-test"}
LANGSMITH = {"LANGSMITH_API_KEY": "lsv2_pt_test"}


def double_of(server: str, data: Traffic, *, clock=None, now: Callable[[], datetime] = lambda: NOW, **settings):
    """The double of a server named as in ``SERVERS``."""
    vendor, version = server.split()
    if vendor == "langfuse":
        return LangfuseDouble(data, server=version, clock=clock, **settings)
    backend = {"v2": "smithdb", "v1": "clickhouse"}[version]
    return LangsmithDouble(data, backend=backend, clock=clock, now=now, **settings)


def env_of(vendor: str, url: str = "http://double.test") -> dict[str, str]:
    """The environment that a user would set for a double."""
    if vendor == "langfuse":
        return LANGFUSE | {"LANGFUSE_BASE_URL": url}
    return LANGSMITH | {"LANGSMITH_ENDPOINT": url}


@dataclass
class Bench:
    """A double and the store it is pulled into; ``now`` is the pull's time, moved by ``later``."""

    server: str
    store: str
    data: Traffic
    settings: dict = field(default_factory=dict)
    now: datetime = NOW

    def __post_init__(self):
        self.vendor = self.server.split()[0]
        self.clock = FastClock()
        self.double = double_of(self.server, self.data, clock=self.clock, now=lambda: self.now, **self.settings)

    def pull(self, **asked) -> Pulled:
        """One pull of the one project there is."""
        client = client_of(self.vendor, transport=Wire(self.double, self.clock), clock=self.clock, env=env_of(self.vendor))
        given = {"since": SINCE, "until": UNTIL, "now": lambda: self.now} | asked
        return pull(self.vendor, client=client, store=self.store, **given)[0]

    def goes_on(self, **asked) -> Pulled:
        """A pull from where the last one ended."""
        return self.pull(**({"since": None, "until": None} | asked))

    def later(self, **time: float) -> None:
        """Move the pull's time on."""
        self.now += timedelta(**time)

    def obs(self) -> Observations:
        return open_store(self.store)

    def ids(self, table: str = "spans", column: str = "span_id") -> list[str]:
        """The ids in the store, sorted; twice where a row is there twice."""
        return sorted(self.obs().query(f"SELECT {column} FROM {table}").column(0).to_pylist())


@dataclass
class Outcome:
    """What became of one seeded pull."""

    seed: int
    server: str
    runs: int = 0
    met: dict = field(default_factory=dict)
    dropped: int = 0
    late: int = 0
    lost: int = 0
    doubled: int = 0
    unsaid: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unsaid or self.broken)


def seeded_pull(seed: int, folder: str, *, most_runs: int = 8) -> Outcome:
    """A pull under the faults of a seed: even seeds meet one kind, odd ones any; run again until it is finished.

    A run that does not finish must say what is missing and how to go on, or (before anything could be fetched) why. Some of
    the sources drop rows from their pages, which the proof must find; some get rows under an older time after the pull.
    """
    chance = random.Random(seed)
    server = SERVERS[seed % len(SERVERS)]
    at = (seed // len(SERVERS)) % (2 * len(KINDS))
    kinds = (KINDS[at],) if at < len(KINDS) else KINDS
    faults = Faults(kinds, chance.choice((0.1, 0.3, 0.5)), seed, chance.choice((2, 3, 25)))
    settings = {"faults": faults, "seed": seed, "duplicates": chance.choice((0.0, 0.1))}
    if server == "langfuse v4" and chance.random() < 0.2:
        settings["dropped_scores"] = 0.1
    data = traffic(seed, traces=chance.randrange(8, 40), days=chance.randrange(1, 4), text_chars=60)
    bench = Bench(server, os.path.join(folder, f"s{seed}"), data, settings)
    out = Outcome(seed, server)
    io = chance.choice(("none", "none", "all", "errors", "sampled"))
    while out.runs < most_runs and not _run(bench, out, io):
        if out.runs == most_runs - 2:
            bench.double.faults.kinds = ()
    if chance.random() < 0.25 and not out.broken:
        _late(bench, out, seed)
    out.met = dict(faults.met)
    _compare(bench, out)
    return out


def _late(bench: Bench, out: Outcome, seed: int) -> None:
    """Rows that arrive after the pull under an older time; the next pull must bring them."""
    made = traffic(seed + 10**7, traces=2, days=1, start=UNTIL - timedelta(hours=24), text_chars=60)
    late = Traffic([replace(trace, scores=()) for trace in made.traces])
    for trace in late.traces:
        bench.double.late(trace)
    bench.data = Traffic([*bench.data.traces, *late.traces])
    out.late, out.runs = len(late.spans), 0
    asked = {"since": None, "until": None}
    while out.runs < 8 and not _run(bench, out, "none", **asked):
        if out.runs == 6:
            bench.double.faults.kinds = ()


def _run(bench: Bench, out: Outcome, io: str, **asked) -> bool:
    out.runs += 1
    try:
        done = bench.pull(io=io, **asked)
    except LlmobsError as error:
        said = str(error)
        if error.exit_code != 3 or ";" not in said or "\n" in said or "sk-lf-test" in said or "lsv2_pt_test" in said:
            out.unsaid.append(said)
        return False
    except Exception as error:
        out.broken.append(f"{type(error).__name__}: {error}")
        return True
    told = "\n".join(done.missing())
    if done.undone and ("missing: " not in told or "run the same command again" not in told):
        out.unsaid.append(told)
    return done.finished


def _compare(bench: Bench, out: Outcome) -> None:
    if out.broken:
        return
    try:
        have = {"spans": bench.ids(), "scores": bench.ids("scores", "score_id")}
    except LlmobsError as error:
        out.broken.append(f"no store: {error}")
        return
    want = {"spans": {s.id for s in bench.data.spans}, "scores": {s.id for s in bench.data.scores}}
    # What the source itself leaves out of its pages cannot be had; then the proof must miss as many.
    checked = completeness.compare(bench.obs().query)
    out.dropped = sum(row["missing"] for row in checked if row["entity"] == "scores")
    out.lost = -out.dropped
    for table, ids in have.items():
        out.lost += len(want[table] - set(ids))
        out.doubled += len(ids) - len(set(ids)) + len(set(ids) - want[table])


def outcomes(seeds: Sequence[int], folder: str) -> list[Outcome]:
    """The outcome of each seed."""
    return [seeded_pull(seed, folder) for seed in seeds]
