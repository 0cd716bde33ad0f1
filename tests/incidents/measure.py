"""Metrics of the traces of a case, read off its written tables, and the z of an oracle that knows where and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .write import OLDER


@dataclass
class Written:
    """The tables of a case; ``trace`` is the index of each span's trace among ``ids``."""

    spans: pa.Table
    scores: pa.Table
    trace: np.ndarray
    ids: pa.Array

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of the spans by its canonical name."""
        older = OLDER.get(name)
        return self.spans[older if older in self.spans.column_names else name]

    def flags(self, name: str, word: str) -> np.ndarray:
        """The spans with a value in a column."""
        return pc.fill_null(pc.equal(self.column(name), word), False).to_numpy()

    def number(self, column: pa.ChunkedArray) -> np.ndarray:
        return column.cast(pa.float64()).to_numpy()

    def total(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """The sum per trace over spans that have a value; NaN where none has."""
        seen = ~np.isnan(values) if rows is None else rows & ~np.isnan(values)
        sums = np.bincount(self.trace[seen], weights=values[seen], minlength=len(self.ids))
        return np.where(np.bincount(self.trace[seen], minlength=len(self.ids)) > 0, sums, np.nan)

    def mean(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        return self.total(values, rows) / self.total(np.where(np.isnan(values), np.nan, 1.0), rows)

    def any(self, flags: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """1 for a trace with such a span, 0 for one without; NaN for one that has no span, or none of ``among``."""
        values = np.where(flags, 1.0, 0.0)
        return np.minimum(self.total(values, among), 1.0)

    @property
    def root(self) -> np.ndarray:
        return pc.is_null(self.column("parent_id")).to_numpy()


def _top_score(w: Written) -> np.ndarray:
    lists = w.column("retrieval_scores")
    if pa.types.is_string(lists.type):
        return w.mean(w.number(pc.struct_field(pc.extract_regex(lists, r"\[(?P<first>[0-9.]+)"), "first")))
    return w.mean(w.number(pc.list_element(lists, 0)))


def _blocked(w: Written) -> np.ndarray:
    decisions = w.column("guardrails")
    blocks = pc.fill_null(pc.match_substring(decisions, '"block"'), False).to_numpy()
    return w.any(blocks, pc.is_valid(decisions).to_numpy())


def _latency(w: Written) -> np.ndarray:
    micros = pc.microseconds_between(w.column("start_time"), w.column("end_time"))
    return w.mean(w.number(micros) / 1000, w.root)


def _cost_per_token(w: Written) -> np.ndarray:
    cost, into, out = (w.number(w.column(c)) for c in ("cost_recorded_usd", "tokens_in", "tokens_out"))
    return w.total(cost) / w.total(into + out, ~np.isnan(cost))


METRICS = {
    "ttft_ms": lambda w: w.mean(w.number(w.column("ttft_ms"))),
    "latency_ms": _latency,
    "cost_usd": lambda w: w.total(w.number(w.column("cost_recorded_usd"))),
    "cost_per_token": _cost_per_token,
    "cache_read_share": lambda w: (
        w.total(w.number(w.column("tokens_cache_read"))) / w.total(w.number(w.column("tokens_in")), w.flags("kind", "llm"))
    ),
    "retrieval_top_score": _top_score,
    "output_chars": lambda w: w.mean(w.number(pc.utf8_length(w.column("output"))), w.root),
    "spans_per_trace": lambda w: w.total(np.ones(len(w.trace))),
    "error_rate": lambda w: w.any(w.flags("status", "error"), w.flags("kind", "llm")),
    "length_rate": lambda w: w.any(w.flags("finish_reason", "length")),
    "guardrail_block_rate": _blocked,
}


def measured(metric: str, written: Written) -> np.ndarray:
    """One value per trace, NaN where a trace has none. ``score:NAME:RATER`` or a key of ``METRICS``."""
    if not metric.startswith("score:"):
        return METRICS[metric](written)
    _, name, rater = metric.split(":")
    scores = written.scores
    raters = scores["rater"] if "rater" in scores.column_names else scores["source"]
    mine = scores.filter(pc.and_(pc.equal(scores["name"], name), pc.equal(raters, rater)))
    out = np.full(len(written.ids), np.nan)
    out[pc.index_in(mine["trace_id"], written.ids).to_numpy()] = mine["value"].to_numpy()
    return out


def welch(after: np.ndarray, before: np.ndarray) -> float:
    """Welch's z of two samples; missing values are left out; 0 where one has fewer than two values or neither any spread."""
    after, before = after[~np.isnan(after)], before[~np.isnan(before)]
    if min(len(after), len(before)) < 2:
        return 0.0
    error = np.sqrt(after.var(ddof=1) / len(after) + before.var(ddof=1) / len(before))
    return float((after.mean() - before.mean()) / error) if error > 0 else 0.0
