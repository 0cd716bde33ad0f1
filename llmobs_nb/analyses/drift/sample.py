"""What is read: one row per trace of both windows inside the engine, and a sample of whole sessions with their texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ... import windows as w
from ...columns import literal, quote
from ...windows import Window
from ..reductions import rows

TRACES, SAMPLE = "drift_traces", "drift_sample"
WIDER = 4  # the earlier window may be this many times as large
OF_SESSION = 20
LONGEST = 16_000
LABELS = 40_000
PAD = timedelta(days=1)
_NUMBERS = ("input_chars", "output_chars", "top_score", "hits")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that can be compared: whether each lies in the later window, the number and weekday of its session's first day, its session."""

    later: np.ndarray
    day: np.ndarray
    weekday: np.ndarray
    cluster: np.ndarray

    def __len__(self) -> int:
        return len(self.later)


@dataclass(frozen=True, eq=False)
class Sample:
    """Traces of both windows, drawn at the same ``rate``: their columns as lists, and texts where there are any."""

    rows: Rows
    columns: Mapping[str, list]
    rate: float
    total_before: int
    total_after: int


@dataclass(frozen=True)
class Dimension:
    """A categorical column: its name and the SQL of one value per trace."""

    name: str
    sql: str


@contextmanager
def traces(obs, before: Window, after: Window, dimensions: Sequence[Dimension]) -> Iterator[None]:
    """One row per trace of the product in either window, as the view ``drift_traces`` while the block runs."""
    dims = "".join(f", {d.sql} AS d{i}" for i, d in enumerate(dimensions))
    inside = " OR ".join(f"(started >= {_time(x.start)} AND started < {_time(x.end)})" for x in (before, after))
    best = "max(CASE WHEN len(retrieval_scores) > 0 THEN retrieval_scores[1] END)"
    with obs.kept(TRACES, f"""WITH t AS (SELECT source, project, trace_id, min(start_time) AS started,
          coalesce(max(session_id), trace_id) AS cluster, max(CASE WHEN is_root THEN span_id END) AS root_id,
          arg_max(CASE WHEN kind = 'llm' THEN span_id END, CASE WHEN kind = 'llm' THEN start_time END) AS call_id,
          max(CASE WHEN is_root THEN input_chars END) AS root_input, max(CASE WHEN is_root THEN output_chars END) AS root_output,
          max(CASE WHEN kind = 'llm' THEN input_chars END) AS call_input, max(CASE WHEN kind = 'llm' THEN output_chars END) AS call_output,
          {best} AS top_score, max(CASE WHEN kind = 'retriever' THEN len(retrieval_ids) END) AS hits{dims}
        FROM spans WHERE purpose IS NULL AND start_time >= {_time(before.start)} AND start_time < {_time(after.end)}
          AND {days(before, after)}
        GROUP BY source, project, trace_id),
      placed AS (SELECT *, started >= {_time(after.start)} AS later, coalesce(root_input, call_input) AS input_chars,
          coalesce(root_output, call_output) AS output_chars FROM t WHERE {inside})
      SELECT *, min(started) OVER (PARTITION BY source, project, cluster, later) AS session_start FROM placed"""):  # fmt: skip
        yield


def days(before: Window, after: Window) -> str:
    """SQL for the days of storage that may hold the two windows."""
    low, high = (literal(str(at.date())) for at in (before.start - PAD, after.end + PAD))
    return f"day BETWEEN DATE {low} AND DATE {high}"


def draw(obs, dimensions: Sequence[Dimension], between: str, *, sample: int, seed: int, tz: str) -> Sample:
    """Whole sessions by their hash, both windows at the same rate: about ``sample`` traces of the later one, at most four times as many before.

    ``between`` is :func:`days`. Of a session at most 20 traces count. Texts come with them: those of the root span, else of the last model call.
    """
    (n,) = rows(
        obs, f"SELECT sum(CASE WHEN later THEN 0 ELSE 1 END) AS b, sum(CASE WHEN later THEN 1 ELSE 0 END) AS a FROM {TRACES}"
    )
    before, after = int(n["b"] or 0), int(n["a"] or 0)
    rate = min(1.0, sample / max(after, 1), WIDER * sample / max(before, 1))
    drawn = (
        "true"
        if rate == 1
        else f"substr(md5(concat({literal(str(seed))}, cluster)), 1, 8) < {literal(f'{int(rate * 2**32):08x}')}"
    )
    dims = "".join(f", d{i}" for i in range(len(dimensions)))
    with obs.kept(SAMPLE, f"""SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY source, project, cluster, later
          ORDER BY started, trace_id) AS nth FROM {TRACES} WHERE {drawn}) s WHERE nth <= {OF_SESSION}"""):  # fmt: skip
        found = obs.query(f"""SELECT s.later, s.started, s.session_start, concat(s.source, ' ', s.project, ' ', s.cluster) AS cluster,
            s.trace_id, {", ".join(_NUMBERS)}{dims}, t.input, t.output, t.system_prompt
          FROM {SAMPLE} s LEFT JOIN ({_texts(between)}) t USING (source, project, trace_id) ORDER BY s.started, s.trace_id""")
    columns = {name: found[name].to_pylist() for name in found.column_names if name not in ("later", "session_start", "cluster")}
    named = {d.name: columns.pop(f"d{i}") for i, d in enumerate(dimensions)}
    return Sample(_rows(found, tz), columns | {f"column:{k}": v for k, v in named.items()}, rate, before, after)


def labels(obs, tz: str) -> dict[tuple[str, str], tuple[Rows, list[str]]]:
    """Per score name and rater: its labels, with the rows of the traces they were given to; at most 40,000 in all, by hash."""
    found = obs.query(f"""SELECT s.name, coalesce(s.rater, 'unknown') AS rater, s.label, t.later, t.session_start,
          concat(t.source, ' ', t.project, ' ', t.cluster) AS cluster
        FROM scores s JOIN {TRACES} t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
        WHERE s.label IS NOT NULL AND coalesce(s.data_type, '') <> 'text' ORDER BY md5(s.score_id), s.score_id LIMIT {LABELS}""")
    everything = _rows(found, tz)
    at: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(found["name"].to_pylist(), found["rater"].to_pylist(), strict=True)):
        at.setdefault(key, []).append(i)
    label = found["label"].to_pylist()
    return {key: (_some(everything, np.array(some)), [label[i] for i in some]) for key, some in sorted(at.items())}


def _texts(between: str) -> str:
    """Question and answer of the root span, else of the last model call, its prompt first; of very long texts the end, where the last question stands."""
    keys = " UNION ALL ".join(
        f"SELECT source, project, trace_id, {at} AS span_id, {nth} AS nth FROM {SAMPLE}"
        for nth, at in enumerate(("root_id", "call_id"))
    )
    picked = ", ".join(
        f"coalesce(max(CASE WHEN nth = {first} THEN {c} END), max(CASE WHEN nth = {1 - first} THEN {c} END)) AS {c}"
        for c, first in (("input", 0), ("output", 0), ("system_prompt", 1))
    )
    return f"""SELECT source, project, trace_id, {picked} FROM (SELECT k.source, k.project, k.trace_id, k.nth,
          right(p.input, {LONGEST}) AS input, right(p.output, {LONGEST}) AS output, left(p.system_prompt, {LONGEST}) AS system_prompt
        FROM payloads p JOIN ({keys}) k ON p.trace_id = k.trace_id AND p.span_id = k.span_id AND p.source = k.source AND p.project = k.project
        WHERE {between}) x GROUP BY source, project, trace_id"""


def _rows(table, tz: str) -> Rows:
    started = table["session_start"].to_numpy().astype("datetime64[us]").astype(np.int64)
    if not len(started):
        return Rows(*(np.zeros(0, t) for t in (bool, int, int)), np.zeros(0, str))
    low, high = (datetime.fromtimestamp(int(x) / 1e6, tz=w.zone("UTC")) for x in (started.min(), started.max()))
    cut = w.days(Window(low, high + timedelta(seconds=1)), tz)
    day = np.searchsorted([int(d.start.timestamp() * 1e6) for d in cut], started, side="right") - 1
    first = w.local_date(low, tz).weekday()
    return Rows(table["later"].to_numpy().astype(bool), day, (day + first) % 7, np.array(table["cluster"].to_pylist(), str))


def _some(rows: Rows, at: np.ndarray) -> Rows:
    return Rows(rows.later[at], rows.day[at], rows.weekday[at], rows.cluster[at])


def _time(at: datetime) -> str:
    return f"TIMESTAMPTZ {literal(at.isoformat())}"


def dimension(name: str, *, kind: str) -> Dimension:
    """The categorical column of a name: of the model call for what a call decides, else of any span."""
    if kind == "metadata":
        return Dimension(name, f"max(metadata[{literal(name)}])")
    if kind == "call":
        return Dimension(name, f"max(CASE WHEN kind = 'llm' THEN {quote(name)} END)")
    return Dimension(name, f"max(CAST({quote(name)} AS VARCHAR))")
