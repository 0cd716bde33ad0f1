"""For tests of the review: a stand-in for the store, spans and scores of it, and some weeks of a small product."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from llmobs_nb.schema import PAYLOADS, SCORES, SERIES, SPANS

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)  # of 2026-W41; six weeks later begins 2026-W47
DAY = timedelta(days=1)


class Store:
    """What the analysis needs of an Observations: ``query`` and ``kept`` over tables with the canonical columns."""

    store, versions = "stand-in", {"spans": 1}

    def __init__(self, spans=(), scores=(), payloads=(), series=()):
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute("SET TimeZone = 'UTC'")
        for table, rows in ((SPANS, spans), (SCORES, scores), (PAYLOADS, payloads), (SERIES, series)):
            filled = pa.Table.from_pylist([{f.name: row.get(f.name) for f in table.fields} for row in rows], schema=table.arrow())
            self.con.register(table.name, filled)
        self.asked = []

    def query(self, sql, params=None):
        """One statement as an Arrow table."""
        self.asked.append(sql)
        return self.con.sql(sql, params=params).to_arrow_table()

    @contextmanager
    def kept(self, name, sql):
        """A table for as long as the block runs."""
        self.asked.append(sql)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")
        yield
        self.con.execute(f"DROP TABLE {name}")

    def where(self, **filters):
        """Another one with some of the spans."""
        other = Store()
        keep = " AND ".join(f"{k} = '{v}'" for k, v in filters.items())
        for name in ("spans", "scores"):
            rows = self.con.sql(
                f"SELECT * FROM {name} WHERE {keep}" if name == "spans" else f"SELECT * FROM {name}"
            ).to_arrow_table()
            other.con.register(name, rows)
        return other


def span(trace, at, *, ms=100.0, root=True, **more):
    """A span: the root, or a model call below it."""
    row = {
        "trace_id": trace,
        "span_id": f"{trace}/{'r' if root else at.isoformat()}",
        "is_root": root,
        "kind": "chain" if root else "llm",
    }
    row |= {"parent_id": None if root else f"{trace}/r", "status": "ok", "source": "langfuse", "project": "", "latency_ms": ms}
    return row | {"start_time": at, "end_time": at + timedelta(milliseconds=ms), "day": at.date(), **more}


def score(trace, value, *, name="helpful", rater="judge", at=MONDAY, **more):
    """A judgement."""
    row = {
        "score_id": f"{trace}/{name}/{rater}/{more.pop('k', 0)}",
        "trace_id": trace,
        "name": name,
        "value": value,
        "rater": rater,
    }
    return row | {"source": "langfuse", "project": "", "created_at": at, "day": at.date(), **more}


def traffic(*, weeks=6, per_day=60, errors=lambda week: 0.05, quality=lambda week: 0.7, seed=1):
    """Spans and scores of a small product: two requests a session, a root and an llm call each, one in two judged."""
    rng = np.random.default_rng(seed)
    spans, scores = [], []
    for d in range(7 * weeks):
        for k in range(per_day + int(rng.integers(0, 7))):
            trace, at, week = (
                f"t{d}-{k}",
                MONDAY + d * DAY + timedelta(minutes=20 * (k % 72), seconds=int(rng.integers(0, 60))),
                d // 7,
            )
            own = {"session_id": f"s{d}-{k // 2}", "user_id": f"u{k % 20}", "feature": f"f{k % 3}"}
            failed = {"status": "error", "error_class": "timeout"} if rng.random() < errors(week) else {}
            spans.append(span(trace, at, ms=float(rng.lognormal(6, 0.4)), **own, **failed))
            usage = {
                "tokens_in": int(rng.integers(400, 600)),
                "tokens_out": int(rng.integers(40, 60)),
                "cost_usd": float(rng.uniform(0.001, 0.002)),
            }
            spans.append(
                span(trace, at + timedelta(milliseconds=5), root=False, ttft_ms=float(rng.uniform(80, 120)), **own, **usage)
            )
            if k % 2 == 0:
                scores.append(score(trace, float(np.clip(rng.normal(quality(week), 0.1), 0, 1))))
    return spans, scores
