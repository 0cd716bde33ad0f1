"""The SQL reductions of the weekly review: a few scans whose answers are small whatever the size of the store.

Plain SQL (sums, counts, CASE, row_number, joins), so that sqlglot can carry it; the one elapsed time is ``_ELAPSED_MS``
and the only quantile function gives thresholds that need not be exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ..stats.moments import Moments
from .kpis import KPIS, Kpi
from .plan import Plan

PAD = timedelta(days=1)
MOST_SCORES = 40
EXEMPLARS = 5
WINDOWS = {"this": 1_000_000, "last": 1_000_001, "baseline": 1_000_002}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ELAPSED_MS = "date_diff('microsecond', min(start_time), max(end_time)) / 1000.0"
_SUMS = {
    "m": "CASE WHEN n{i} > 0 THEN 1 ELSE 0 END", "n": "n{i}", "x": "x{i}",
    "xx": "x{i} * x{i}", "nn": "n{i} * n{i}", "xn": "x{i} * n{i}",
}  # fmt: skip


def rows(obs, sql: str) -> list[dict]:
    """The rows of a small answer; timestamps as aware datetimes."""
    table = obs.query(sql)
    columns = [_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def data_range(obs) -> tuple[datetime | None, datetime | None]:
    """First and last start of a span of the product; of a judgement, where there are no spans."""
    for sql in (
        "SELECT min(start_time) AS a, max(start_time) AS b FROM spans WHERE purpose IS NULL",
        "SELECT min(created_at) AS a, max(created_at) AS b FROM scores",
    ):
        (row,) = rows(obs, sql)
        if row["a"] is not None:
            return row["a"], row["b"]
    return None, None


def last_start_before(obs, at: datetime) -> datetime | None:
    """The last start of a span of the product before a moment; the last judgement, where there are no spans before it."""
    for table, time in (("(SELECT * FROM spans WHERE purpose IS NULL) s", "start_time"), ("scores", "created_at")):
        (row,) = rows(obs, f"SELECT max({time}) AS latest FROM {table} WHERE {time} < {_time(at)}")
        if row["latest"] is not None:
            return row["latest"]
    return None


def daily(obs, plan: Plan) -> dict[int, dict]:
    """Per day with requests: requests, users, sessions, total_cost, first and last start."""
    sql = f"""{_placed(plan)}
    SELECT day_no, count(*) AS requests, count(DISTINCT user_id) AS users, count(DISTINCT session_id) AS sessions,
      sum(cost_usd) AS total_cost, count(cost_usd) AS costed, min(started) AS first, max(started) AS last
    FROM placed GROUP BY day_no"""
    return {row["day_no"]: row for row in rows(obs, sql)}


def totals(obs, plan: Plan) -> dict[str, dict]:
    """Per window: requests, users, sessions, total_cost; for ``baseline`` one row a week, under ``baseline0`` and on."""
    weeks = {f"baseline{k}": plan.chosen(week) for k, week in enumerate(plan.baseline)}
    named = {"this": plan.chosen(plan.this), "last": plan.chosen(plan.last)} | weeks
    names = list(named)
    sql = f"""{_placed(plan)}, members AS ({_pairs("win", [(i, d) for i, name in enumerate(names) for d in named[name]])})
    SELECT win, count(*) AS requests, count(DISTINCT user_id) AS users, count(DISTINCT session_id) AS sessions,
      sum(cost_usd) AS total_cost, count(cost_usd) AS costed
    FROM placed JOIN members ON placed.day_no = members.day_no GROUP BY win"""
    return {names[row["win"]]: row for row in rows(obs, sql)}


def thresholds(obs, plan: Plan) -> dict[tuple[str, float], float]:
    """Roughly the p50 and p95 of each stage over all days of the plan; stages without values are absent."""
    levels = [(k.stage, k.p) for k in KPIS if k.kind == "quantile"]
    picks = ", ".join(
        f"quantile_cont({'latency_ms' if s == 'total' else 'ttft_ms'}, {p}) AS q{i}" for i, (s, p) in enumerate(levels)
    )
    sql = f"""{_placed(plan)}, pooled AS (
      SELECT latency_ms, CAST(NULL AS DOUBLE) AS ttft_ms FROM placed UNION ALL SELECT NULL, ttft_ms FROM ({_calls(plan)}) calls)
    SELECT {picks} FROM pooled"""
    (row,) = rows(obs, sql)
    return {level: row[f"q{i}"] for i, level in enumerate(levels) if row[f"q{i}"] is not None}


def moments(obs, plan: Plan, limits: Mapping[tuple[str, float], float]) -> dict[str, dict[int, Moments]]:
    """Per KPI, per day number and per window code: moments over session clusters.

    A session that runs over days is one cluster of a window. For quantiles the moments are those of "at or below the
    threshold".
    """
    kpis = [k for k in KPIS if k.kind in ("rate", "mean") or (k.stage, k.p) in limits]
    parts = [_parts(k, limits) for k in kpis]
    sums = ", ".join(f"CAST(sum({x}) AS DOUBLE) AS x{i}, CAST(sum({n}) AS DOUBLE) AS n{i}" for i, (x, n) in enumerate(parts))
    sql = f"""{_placed(plan, limits=limits)}, clusters AS (
      SELECT day_no, source, project, coalesce(session_id, trace_id) AS cluster, {sums}
      FROM placed GROUP BY day_no, source, project, coalesce(session_id, trace_id)),
    {_by_window(plan, len(kpis), "source, project, cluster")}
    SELECT day_no AS grp, {_sums(len(kpis))} FROM clusters GROUP BY day_no
    UNION ALL SELECT win AS grp, {_sums(len(kpis))} FROM windowed GROUP BY win"""
    answer = rows(obs, sql)
    return {k.name: {row["grp"]: _moments(row, i) for row in answer} for i, k in enumerate(kpis)}


def order_statistics(obs, plan: Plan, wanted: Sequence[tuple[str, int, int]]) -> dict[tuple[str, int, int], float]:
    """The values at given ranks: (stage, day number or window code, rank from 1) → milliseconds."""
    if not wanted:
        return {}
    asked = ", ".join(f"('{stage}', {grp}, {rank})" for stage, grp, rank in sorted(set(wanted)))
    sql = f"""{_placed(plan)}, members AS ({_members(plan)}), asked(stage, grp, r) AS (VALUES {asked}),
    times AS (SELECT 'total' AS stage, day_no, latency_ms AS v FROM placed WHERE latency_ms IS NOT NULL
      UNION ALL SELECT 'ttft' AS stage, day_no, ttft_ms AS v FROM ({_calls(plan)}) calls),
    grouped AS (SELECT stage, day_no AS grp, v FROM times
      UNION ALL SELECT stage, win AS grp, v FROM times JOIN members ON times.day_no = members.day_no),
    ranked AS (SELECT stage, grp, v, row_number() OVER (PARTITION BY stage, grp ORDER BY v) AS r FROM grouped)
    SELECT ranked.stage AS stage, ranked.grp AS grp, ranked.r AS r, ranked.v AS v
    FROM ranked JOIN asked ON ranked.stage = asked.stage AND ranked.grp = asked.grp AND ranked.r = asked.r"""
    return {(row["stage"], row["grp"], row["r"]): row["v"] for row in rows(obs, sql)}


def cost_by_feature(obs, plan: Plan) -> list[dict]:
    """Per feature and window code: cost, requests with a cost, moments of cost per such request; null is a row of its own."""
    sql = f"""{_placed(plan)}, parts AS (
      SELECT day_no, s.source, s.project, s.trace_id, s.feature, max(t.session) AS session_id, sum(s.cost_usd) AS cost_usd
      FROM (SELECT source, project, trace_id, feature, cost_usd FROM spans WHERE {_scan(plan)} AND cost_usd IS NOT NULL) s
      JOIN (SELECT day_no, source, project, trace_id, session_id AS session FROM placed) t
        ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
      GROUP BY day_no, s.source, s.project, s.trace_id, s.feature),
    members AS ({_members(plan)}),
    clusters AS (SELECT win, feature, source, project, coalesce(session_id, trace_id) AS cluster,
        sum(cost_usd) AS x0, CAST(count(*) AS DOUBLE) AS n0
      FROM parts JOIN members ON parts.day_no = members.day_no
      WHERE win < {WINDOWS["baseline"]} GROUP BY win, feature, source, project, coalesce(session_id, trace_id))
    SELECT win, feature, {_sums(1)} FROM clusters GROUP BY win, feature"""
    return [{"win": row["win"], "feature": row["feature"], "moments": _moments(row, 0)} for row in rows(obs, sql)]


def new_error_classes(obs, plan: Plan) -> list[dict]:
    """Error classes of this week that none of the other days of the plan saw: error_class, n spans."""
    this = ", ".join(str(d) for d in plan.this)
    sql = f"""{_placed(plan)}, errors AS ({_error_spans(plan)})
    SELECT error_class, sum(CASE WHEN day_no IN ({this}) THEN 1 ELSE 0 END) AS n,
      sum(CASE WHEN day_no IN ({this}) THEN 0 ELSE 1 END) AS before
    FROM errors GROUP BY error_class"""
    found = [row for row in rows(obs, sql) if row["n"] and not row["before"]]
    return sorted(({"error_class": r["error_class"], "n": int(r["n"])} for r in found), key=lambda r: (-r["n"], r["error_class"]))


def error_traces(obs, plan: Plan, classes: Sequence[str]) -> dict[str, list[str]]:
    """Up to five traces of this week per error class."""
    if not classes:
        return {}
    this = ", ".join(str(d) for d in plan.this)
    named = ", ".join("'" + c.replace("'", "''") + "'" for c in classes)
    sql = f"""{_placed(plan)}, errors AS ({_error_spans(plan)}),
    ranked AS (SELECT error_class, trace_id, row_number() OVER (PARTITION BY error_class ORDER BY trace_id) AS r
      FROM (SELECT DISTINCT error_class, trace_id FROM errors WHERE day_no IN ({this}) AND error_class IN ({named})) d)
    SELECT error_class, trace_id FROM ranked WHERE r <= {EXEMPLARS} ORDER BY error_class, r"""
    return _lists(rows(obs, sql), "error_class")


def exemplars(obs, plan: Plan) -> dict[str, list[str]]:
    """Traces of this week to read, five each: ``failed`` (latest first), ``slow``, ``costly``."""
    picks = {
        "failed": ("failed = 1", "started DESC"),
        "slow": ("latency_ms IS NOT NULL", "latency_ms DESC"),
        "costly": ("cost_usd > 0", "cost_usd DESC"),
    }
    this = ", ".join(str(d) for d in plan.this)
    parts = " UNION ALL ".join(
        f"SELECT '{what}' AS what, trace_id, row_number() OVER (ORDER BY {order}, trace_id) AS r "
        f"FROM placed WHERE {where} AND day_no IN ({this})"
        for what, (where, order) in picks.items()
    )
    sql = f"{_placed(plan)}, ranked AS ({parts}) SELECT what, trace_id FROM ranked WHERE r <= {EXEMPLARS} ORDER BY what, r"
    return _lists(rows(obs, sql), "what")


def scores(obs, plan: Plan) -> list[dict]:
    """Per score name, rater, and day number or window code: moments over session clusters, the range seen, whether only 0 and 1.

    Judgements of one trace by one kind of rater are averaged first. A judgement counts on the day its trace started, or
    was given where the trace is not in the store. The most frequent names only.
    """
    scale = "min(low) AS low, max(high) AS high, sum(graded) AS graded"
    sql = f"""{_judged(plan)}, clusters AS (
      SELECT day_no, name, rater, cluster, sum(value) AS x0, CAST(count(*) AS DOUBLE) AS n0, {scale}
      FROM judged GROUP BY day_no, name, rater, cluster),
    {_by_window(plan, 1, "name, rater, cluster", more=scale)}
    SELECT day_no AS grp, name, rater, {scale}, {_sums(1)} FROM clusters GROUP BY day_no, name, rater
    UNION ALL SELECT win AS grp, name, rater, {scale}, {_sums(1)} FROM windowed GROUP BY win, name, rater"""
    return [{**row, "moments": _moments(row, 0)} for row in rows(obs, sql)]


def score_days(obs, plan: Plan) -> dict[int, dict]:
    """Per day with judgements: the first and last time one was given, or its trace started."""
    sql = f"{_judged(plan)} SELECT day_no, min(placed_at) AS first, max(placed_at) AS last FROM judged GROUP BY day_no"
    return {row["day_no"]: row for row in rows(obs, sql)}


def score_exemplars(obs, plan: Plan) -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """Per score name and rater: up to five lowest and five highest traces of this week."""
    this = ", ".join(str(d) for d in plan.this)
    sql = f"""{_judged(plan)}, ranked AS (SELECT name, rater, trace_id,
        row_number() OVER (PARTITION BY name, rater ORDER BY value, trace_id) AS lowest,
        row_number() OVER (PARTITION BY name, rater ORDER BY value DESC, trace_id) AS highest
      FROM judged WHERE trace_id IS NOT NULL AND day_no IN ({this}))
    SELECT * FROM ranked WHERE lowest <= {EXEMPLARS} OR highest <= {EXEMPLARS} ORDER BY name, rater, lowest"""
    out: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for row in rows(obs, sql):
        low, high = out.setdefault((row["name"], row["rater"]), ([], []))
        if row["lowest"] <= EXEMPLARS:
            low.append(row["trace_id"])
        if row["highest"] <= EXEMPLARS:
            high.insert(0, row["trace_id"])
    return out


def gaps(obs, plan: Plan) -> dict:
    """What the numbers of this week leave out: model calls without a price, scores without a number, spans of no product.

    ``names`` is how many score names there are in all.
    """
    week = f"start_time >= {_time(plan.week.start)} AND start_time < {_time(plan.week.end)}"
    sql = f"""SELECT (SELECT count(*) FROM spans WHERE {_scan(plan)} AND kind = 'llm' AND tokens_in IS NOT NULL
        AND cost_usd IS NULL AND {week}) AS unpriced,
      (SELECT count(*) FROM spans WHERE {_days(plan)} AND purpose IS NOT NULL AND {week}) AS other,
      (SELECT count(*) FROM scores WHERE value IS NULL) AS worded,
      (SELECT count(DISTINCT concat(name, ' ', coalesce(rater, 'unknown'))) FROM scores WHERE value IS NOT NULL) AS names"""
    return rows(obs, sql)[0]


def _placed(plan: Plan, *, limits: Mapping[tuple[str, float], float] | None = None) -> str:
    below = "".join(
        f", sum(CASE WHEN kind = 'llm' AND ttft_ms <= {value!r} THEN 1 ELSE 0 END) AS ttft_below_{_tag(p)}"
        for (stage, p), value in (limits or {}).items() if stage == "ttft"
    )  # fmt: skip
    days = ", ".join(f"({i}, {_time(d.start)}, {_time(d.end)})" for i, d in enumerate(plan.days))
    return f"""WITH days(day_no, lo, hi) AS (VALUES {days}),
    traces AS (SELECT source, project, trace_id, min(start_time) AS started,
        max(CASE WHEN status = 'error' THEN 1 ELSE 0 END) AS failed, max(session_id) AS session_id, max(user_id) AS user_id,
        sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost_usd,
        CASE WHEN sum(CASE WHEN is_root THEN 1 ELSE 0 END) = 1 THEN max(CASE WHEN is_root THEN latency_ms END)
          ELSE {_ELAPSED_MS} END AS latency_ms,
        sum(CASE WHEN kind = 'llm' AND ttft_ms IS NOT NULL THEN 1 ELSE 0 END) AS ttft_calls{below}
      FROM spans WHERE {_scan(plan)} GROUP BY source, project, trace_id),
    placed AS (SELECT days.day_no, traces.* FROM traces JOIN days ON traces.started >= days.lo AND traces.started < days.hi)"""


def _calls(plan: Plan) -> str:
    return f"""SELECT t.day_no, s.ttft_ms
      FROM (SELECT source, project, trace_id, ttft_ms FROM spans WHERE {_scan(plan)} AND kind = 'llm' AND ttft_ms IS NOT NULL) s
      JOIN placed t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id"""


def _error_spans(plan: Plan) -> str:
    return f"""SELECT t.day_no, t.trace_id, coalesce(s.error_class, 'other') AS error_class
      FROM (SELECT source, project, trace_id, error_class FROM spans WHERE {_scan(plan)} AND status = 'error') s
      JOIN placed t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id"""


def _judged(plan: Plan) -> str:
    days = ", ".join(f"({i}, {_time(d.start)}, {_time(d.end)})" for i, d in enumerate(plan.days))
    return f"""WITH days(day_no, lo, hi) AS (VALUES {days}),
    given AS (SELECT source, project, name, coalesce(rater, 'unknown') AS rater, coalesce(trace_id, session_id, score_id) AS unit,
        trace_id, session_id, value, created_at FROM scores WHERE value IS NOT NULL),
    known AS (SELECT name, rater FROM given GROUP BY name, rater ORDER BY count(*) DESC, name, rater LIMIT {MOST_SCORES}),
    averaged AS (SELECT g.name, g.rater, g.source, g.project, g.unit, max(g.trace_id) AS trace_id,
        max(g.session_id) AS session_id, avg(g.value) AS value, min(g.value) AS low, max(g.value) AS high,
        min(g.created_at) AS given_at, max(CASE WHEN g.value = 0 OR g.value = 1 THEN 0 ELSE 1 END) AS graded
      FROM given g JOIN known k ON g.name = k.name AND g.rater = k.rater GROUP BY g.name, g.rater, g.source, g.project, g.unit),
    origins AS (SELECT trace_id, min(start_time) AS started, max(session_id) AS session_id FROM spans
      WHERE trace_id IN (SELECT trace_id FROM given WHERE trace_id IS NOT NULL) GROUP BY trace_id),
    judged AS (SELECT days.day_no, coalesce(o.started, a.given_at) AS placed_at, a.name, a.rater, a.trace_id,
        a.value, a.low, a.high, a.graded, coalesce(a.session_id, o.session_id, a.unit) AS cluster
      FROM averaged a LEFT JOIN origins o ON a.trace_id = o.trace_id
      JOIN days ON coalesce(o.started, a.given_at) >= days.lo AND coalesce(o.started, a.given_at) < days.hi)"""


def _parts(kpi: Kpi, limits: Mapping[tuple[str, float], float]) -> tuple[str, str]:
    if kpi.kind != "quantile":
        return kpi.x, f"CASE WHEN {kpi.n} THEN 1 ELSE 0 END"
    if kpi.stage == "ttft":
        return f"ttft_below_{_tag(kpi.p)}", "ttft_calls"
    limit = limits[kpi.stage, kpi.p]
    return f"CASE WHEN latency_ms <= {limit!r} THEN 1 ELSE 0 END", "CASE WHEN latency_ms IS NOT NULL THEN 1 ELSE 0 END"


def _by_window(plan: Plan, kpis: int, keys: str, *, more: str = "") -> str:
    sums = ", ".join(f"sum(x{i}) AS x{i}, sum(n{i}) AS n{i}" for i in range(kpis)) + (f", {more}" if more else "")
    return f"""members AS ({_members(plan)}),
    windowed AS (SELECT win, {keys}, {sums}
      FROM clusters JOIN members ON clusters.day_no = members.day_no GROUP BY win, {keys})"""


def _members(plan: Plan) -> str:
    return _pairs("win", [(WINDOWS[name], d) for name, days in plan.members().items() for d in days])


def _pairs(name: str, pairs: Sequence[tuple[int, int]]) -> str:
    values = ", ".join(f"({a}, {b})" for a, b in pairs)
    return f"SELECT * FROM (VALUES {values}) AS pairs({name}, day_no)"


def _sums(kpis: int) -> str:
    return ", ".join(f"sum({sql.format(i=i)}) AS {name}{i}_" for i in range(kpis) for name, sql in _SUMS.items())


def _moments(row: Mapping, i: int) -> Moments:
    return Moments(*(float(row[f"{name}{i}_"] or 0) for name in _SUMS))


def _scan(plan: Plan) -> str:
    """The spans of the product's own traffic on the days of the plan."""
    return f"{_days(plan)} AND purpose IS NULL"


def _days(plan: Plan) -> str:
    return (
        "(" + " OR ".join(f"day BETWEEN DATE '{a - PAD:%Y-%m-%d}' AND DATE '{b + PAD:%Y-%m-%d}'" for a, b in plan.ranges()) + ")"
    )


def _time(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"


def _tag(p: float) -> str:
    return f"{100 * p:g}".replace(".", "_")


def _values(column: pa.ChunkedArray) -> list:
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    micros = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if v is None else _EPOCH + timedelta(microseconds=v) for v in micros]


def _lists(answer: Sequence[Mapping], key: str) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for row in answer:
        out.setdefault(row[key], []).append(row["trace_id"])
    return out
