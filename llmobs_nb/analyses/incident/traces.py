"""One row per trace of the product: its time, what it can be sliced by, and every metric that is watched; kept in the engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...columns import literal, quote
from ...errors import UsageError
from ...ingest.fill import FROM_METADATA
from ...schema import SPANS
from ..reductions import data_range, rows
from .expectations import Expected
from .watched import SESSION_SCORE, WATCHED, Metric, score_metric, score_of

Window = tuple[datetime, datetime] | None
MOMENT = timedelta(microseconds=1)
RAW = "incident_raw"
DAYS = 56
HOUR_US = 3_600_000_000
LEAST_SCORES = 30
MOST_SCORES, MOST_SESSION_SCORES = 6, 3
_OF_SESSIONS = "trace_id IS NULL AND session_id IS NOT NULL"
# What the answering model call says; the others are said by any span of the trace.
OF_CALLS = ("provider", "model_requested", "model", "prompt_name", "prompt_version", "model_params")
_NO_SLICE = {
    "kind", "name", "status", "error_class", "finish_reason", "system_prompt_hash", "tool_name", "response_cached", "source",
    "retries", "attempt", "turn",
}  # fmt: skip
NOT_PRODUCTION = re.compile(
    r"(^|[^a-z])(stag(e|ing)?|dev(el(opment)?)?|test(ing)?|sandbox|pre-?prod(uction)?|qa|uat|ci|local(host)?)([^a-z]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dimension:
    """Something to slice by: its name as a cause tells it, and the expression that gives its value for a trace."""

    name: str
    sql: str


@dataclass(frozen=True)
class Plan:
    """The window in whole days from ``start`` on, the metrics (in the order of the columns m0, m1 …) and the dimensions (d0 …).

    ``environments`` are left out; ``chosen`` is the one metric and ``onset`` the moment that was asked for, if any;
    of ``windows`` (before, after), where they are given, nothing outside counts. ``expected`` says what should have been live.
    """

    start: datetime
    days: int
    metrics: tuple[Metric, ...]
    dimensions: tuple[Dimension, ...]
    environments: tuple[str, ...]
    chosen: str | None = None
    onset: datetime | None = None
    windows: tuple[tuple[datetime, datetime], ...] = ()
    expected: tuple[Expected, ...] = ()

    @property
    def end(self) -> datetime:
        """The first moment after the window."""
        return self.start + timedelta(days=self.days)

    @property
    def onset_day(self) -> int | None:
        """The day of the given onset."""
        return None if self.onset is None else max(int((self.onset - self.start).total_seconds() // 86_400), 1)

    def watches(self, i: int) -> bool:
        """Whether a metric was asked for."""
        return self.chosen is None or self.metrics[i].name == self.chosen

    def at(self, day: float) -> datetime:
        """A moment, given in days from the start."""
        return self.start + timedelta(days=float(day))


def make_plan(
    obs, *, before: Window = None, after: Window = None, metrics: tuple[Metric, ...] = (), expected: tuple[Expected, ...] = ()
) -> Plan | None:
    """What to look at: the last eight weeks of data, or the windows, every score and every dimension. None for an empty store."""
    first, last = data_range(obs)
    if first is None:
        return None
    end, begin = midnight(last) + timedelta(days=1), midnight(first)
    windows = windows_of(before, after, begin, end)
    if windows:
        begin, end = max(begin, midnight(windows[0][0])), min(end, midnight(windows[1][1] - MOMENT) + timedelta(days=1))
    days = (end - begin).days if windows else min((end - begin).days, DAYS)
    start = end - timedelta(days=days)
    dims, environments = _dimensions(obs)
    onset = windows[1][0] if windows else None
    watched = (*_scores(obs, start), *_scores(obs, start, sessions=True), *WATCHED, *metrics)
    return Plan(start, days, watched, dims, environments, onset=onset, windows=windows, expected=expected)


def midnight(at: datetime) -> datetime:
    """The start of the day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def windows_of(before: Window, after: Window, begin: datetime, end: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Both windows where one is given: the other is all that lies before it, or after it. UsageError for windows that hold no data."""
    if before is None and after is None:
        return ()
    after = after or (before[1], end)
    before = before or (begin, after[0])
    if not (before[0] < before[1] <= after[0] < after[1]) or before[1] <= begin or after[0] >= end:
        told = " and ".join(
            f"{name}={lo:%Y-%m-%d %H:%M} to {hi:%Y-%m-%d %H:%M}" for name, (lo, hi) in (("before", before), ("after", after))
        )
        raise UsageError(
            f"{told}: give two windows, the first before the second, within the data ({begin:%Y-%m-%d} to {end:%Y-%m-%d})"
        )
    return before, after


def _scores(obs, start: datetime, *, sessions: bool = False) -> tuple[Metric, ...]:
    """The most frequent scores with a number, of traces or of whole sessions; judges before users before humans."""
    about = _OF_SESSIONS if sessions else "trace_id IS NOT NULL"
    found = rows(
        obs,
        f"""SELECT name, coalesce(rater, 'unknown') AS rater, count(*) AS n, min(value) AS low, max(value) AS high
        FROM scores WHERE value IS NOT NULL AND {about} AND created_at >= {_at(start)}
        GROUP BY 1, 2 HAVING count(*) >= {LEAST_SCORES} AND max(value) > min(value)
        ORDER BY n DESC, name, rater LIMIT {MOST_SESSION_SCORES if sessions else MOST_SCORES}""",
    )
    order = {"judge": 0, "unknown": 1, "code": 2, "user": 3, "human": 4}
    found.sort(key=lambda r: (order.get(r["rater"], 9), -r["n"], r["name"]))
    return tuple(score_metric(r["name"], r["rater"], r["low"], r["high"], session=sessions) for r in found)


def _dimensions(obs) -> tuple[tuple[Dimension, ...], tuple[str, ...]]:
    frame = obs.dimensions().sort_values("kind", kind="stable")  # a column goes before a key of the same name
    out = []
    for row in frame.itertuples():
        if row.name in _NO_SLICE or row.kind == "tag":
            continue
        if row.kind == "metadata":
            out.append(Dimension(row.name, f"max(metadata[{literal(row.name)}])"))
        elif row.name not in OF_CALLS:
            out.append(Dimension(row.name, f"max(CAST({quote(row.name)} AS VARCHAR))"))
    named = {d.name for d in out}
    copies = {key for column, keys in FROM_METADATA.items() if column in named for key in keys} - {*SPANS.names}
    columns = {d.name: d for d in reversed(out)}
    out = [d for name, d in sorted(columns.items()) if name not in copies]
    calls = [Dimension(c, f"arg_max({c}, start_time) FILTER (WHERE kind = 'llm')") for c in OF_CALLS]
    out = [d for d in out if not (d.name == "trace_name" and "feature" in named)]
    environments = [r["e"] for r in rows(obs, "SELECT DISTINCT environment AS e FROM spans WHERE environment IS NOT NULL")]
    other = tuple(sorted(e for e in environments if NOT_PRODUCTION.search(e)))
    return (*out, *calls), other if len(other) < len(environments) else ()


def raw_sql(plan: Plan) -> str:
    """One row per trace: identity, started, hour since the start, d0 …, m0 …, and where its texts are."""
    since, until = _at(plan.start), _at(plan.end)
    dims = ", ".join(f"{d.sql} AS d{i}" for i, d in enumerate(plan.dimensions))
    metrics = ", ".join(f"CAST({m.sql} AS DOUBLE) AS m{i}" for i, m in enumerate(plan.metrics) if m.sql)
    left_out = f" WHERE environment IS NULL OR environment NOT IN ({', '.join(map(literal, plan.environments))})"
    start_us = int(plan.start.timestamp() * 1e6)
    inside = " OR ".join(f"(start_time >= {_at(lo)} AND start_time < {_at(hi)})" for lo, hi in plan.windows) or "true"
    scored = _scored(plan)
    session = "max(session_id) AS session_of," if "sessions" in scored else ""
    traces = f"""SELECT source, project, trace_id, min(start_time) AS started, max(turn) AS turn, {session}
        max(environment) AS environment, {dims}, {metrics},
        arg_max(span_id, start_time) FILTER (WHERE kind = 'llm') AS call_id,
        max(CASE WHEN kind = 'retriever' THEN len(retrieval_ids) END) AS documents
      FROM spans WHERE purpose IS NULL AND start_time >= {since} AND start_time < {until}
        AND day >= DATE {literal(str(plan.start.date()))} - 1 AND ({inside}) GROUP BY source, project, trace_id"""
    parts = "".join(f", {name} AS ({sql})" for name, sql in scored.items())
    joins = "".join(f" LEFT JOIN {name} USING (source, project, trace_id)" for name in scored)
    hour = f"CAST(floor((epoch_us(started) - {start_us}) / {HOUR_US}) AS INTEGER) AS hour"
    return f"WITH traces AS ({traces}){parts} SELECT *, {hour} FROM traces{joins}{left_out if plan.environments else ''}"


def _scored(plan: Plan) -> dict[str, str]:
    """The tables of scores by trace, by name. A session's score stands once, at its last trace, so that it counts once."""
    columns: dict[bool, list[str]] = {False: [], True: []}
    for i, m in enumerate(plan.metrics):
        if m.is_score:
            columns[m.name.startswith(SESSION_SCORE)].append(f"avg(value) FILTER ({_of(m)}) AS m{i}")
    out = {}
    if columns[False]:
        out["scored"] = f"""SELECT source, project, trace_id, {", ".join(columns[False])} FROM scores WHERE value IS NOT NULL
            GROUP BY source, project, trace_id"""
    if columns[True]:
        out["sessions"] = f"""SELECT t.source, t.project, t.trace_id, {", ".join(columns[True])}
            FROM (SELECT source, project, trace_id, session_of, row_number() OVER (PARTITION BY source, project, session_of
              ORDER BY started DESC, trace_id DESC) AS place FROM traces) t
            JOIN (SELECT * FROM scores WHERE value IS NOT NULL AND {_OF_SESSIONS}) s
              ON s.source = t.source AND s.project = t.project AND s.session_id = t.session_of
            WHERE t.place = 1 GROUP BY 1, 2, 3"""
    return out


def _at(at: datetime) -> str:
    return f"TIMESTAMPTZ {literal(at.isoformat())}"


def _of(metric: Metric) -> str:
    name, rater = score_of(metric)
    return f"WHERE name = {literal(name)} AND coalesce(rater, 'unknown') = {literal(rater)}"
