"""Eval runs over time beside production: every score of every experiment, and the week's level of the same score in production."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from ...stats.intervals import proportion_from, ratio_from
from ...stats.moments import Moments
from ..reductions import rows
from ..weekly.levels import bounded

COLUMNS = ("of", "dataset", "run", "at", "metric", "rater", "mean", "low", "high", "n")
_SUMS = "count(*) AS m, sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(n * n) AS nn, sum(x * n) AS xn"
_SCALE = "min(low) AS low, max(high) AS high, max(graded) AS graded"


def eval_runs(obs, *, level: float = 0.95, scores: Collection[tuple[str, str]] | None = None) -> pd.DataFrame:
    """One row per run of an experiment and score (``of`` is ``eval``), and per ISO week of production (``production``), by time.

    Columns: of, dataset, run (name of the experiment, or the Monday of the week), at, metric, rater, mean, low, high, n
    (items; in production judged traces). Judgements of a trace by one kind of rater are averaged; repeats of an item are one
    cluster, sessions in production. Of production only scores that a run has as well are told. A refused interval is
    NaN. ``scores`` keeps (name, rater) pairs. A store without experiments gives no rows.
    """
    found = rows(obs, _eval_sql())
    known = {(r["metric"], r["rater"]) for r in found}
    if scores is not None:
        known &= set(scores)
    weeks = rows(obs, _production_sql()) if known else []
    records = [_record(r, level) for r in (*found, *weeks) if (r["metric"], r["rater"]) in known]
    return run_frame(sorted(records, key=lambda r: (r["at"] is None, r["at"], r["of"], r["run"], r["metric"], r["rater"])))


def run_frame(records: Sequence[dict]) -> pd.DataFrame:
    """The frame of :func:`eval_runs`."""
    frame = pd.DataFrame(list(records), columns=list(COLUMNS))
    return frame.astype({"mean": float, "low": float, "high": float})


def _judged(condition: str) -> str:
    """One row per trace, score and rater."""
    return f"""SELECT s.source, s.project, s.trace_id, s.name AS metric, coalesce(s.rater, 'unknown') AS rater, avg(s.value) AS value,
        max(CASE WHEN s.value = 0 OR s.value = 1 THEN 0 ELSE 1 END) AS graded FROM scores s
      WHERE s.value IS NOT NULL AND s.trace_id IS NOT NULL {condition}
      GROUP BY s.source, s.project, s.trace_id, s.name, coalesce(s.rater, 'unknown')"""


def _eval_sql() -> str:
    return f"""WITH judged AS ({_judged("AND s.trace_id IN (SELECT trace_id FROM experiment_items)")}),
    names AS (SELECT source, project, dataset_id, max(dataset) AS dataset FROM dataset_items GROUP BY source, project, dataset_id),
    begun AS (SELECT source, project, experiment_id, min(started_at) AS begun_at FROM experiment_items GROUP BY source, project, experiment_id),
    of_items AS (SELECT e.source, e.project, e.experiment_id, max(e.experiment) AS run, max(e.dataset_id) AS dataset_id, j.metric, j.rater,
        e.item_id, avg(j.value) AS x, 1e0 AS n, min(j.value) AS low, max(j.value) AS high, max(j.graded) AS graded
      FROM experiment_items e JOIN judged j ON j.trace_id = e.trace_id AND j.source = e.source AND j.project = e.project
      GROUP BY e.source, e.project, e.experiment_id, j.metric, j.rater, e.item_id),
    runs AS (SELECT source, project, experiment_id, max(run) AS run, max(dataset_id) AS dataset_id, metric, rater, {_SUMS}, {_SCALE}
      FROM of_items GROUP BY source, project, experiment_id, metric, rater)
    SELECT 'eval' AS "of", coalesce(d.dataset, r.dataset_id) AS dataset, coalesce(r.run, r.experiment_id) AS run, b.begun_at,
      r.metric, r.rater, r.m, r.n, r.x, r.xx, r.nn, r.xn, r.low, r.high, r.graded
    FROM runs r JOIN begun b ON b.source = r.source AND b.project = r.project AND b.experiment_id = r.experiment_id
    LEFT JOIN names d ON d.source = r.source AND d.project = r.project AND d.dataset_id = r.dataset_id"""


def _production_sql() -> str:
    return f"""WITH judged AS ({_judged("AND s.name IN (SELECT name FROM scores WHERE trace_id IN (SELECT trace_id FROM experiment_items))")}),
    origins AS (SELECT source, project, trace_id, date_trunc('week', min(start_time)) AS begun_at,
        coalesce(max(session_id), trace_id) AS cluster FROM spans WHERE purpose IS NULL
        AND trace_id NOT IN (SELECT trace_id FROM experiment_items) GROUP BY source, project, trace_id),
    clusters AS (SELECT o.begun_at, j.metric, j.rater, o.cluster, sum(j.value) AS x, CAST(count(*) AS DOUBLE) AS n, min(j.value) AS low,
        max(j.value) AS high, max(j.graded) AS graded
      FROM judged j JOIN origins o ON o.trace_id = j.trace_id AND o.source = j.source AND o.project = j.project
      GROUP BY o.begun_at, j.metric, j.rater, o.cluster)
    SELECT 'production' AS "of", CAST(NULL AS VARCHAR) AS dataset, CAST(begun_at AS VARCHAR) AS run, begun_at, metric, rater, {_SUMS}, {_SCALE}
    FROM clusters GROUP BY begun_at, metric, rater"""


def _record(row: dict, level: float) -> dict:
    m = Moments(*(float(row[k] or 0) for k in Moments._fields))
    e = (ratio_from if row["graded"] else proportion_from)(m, level=level)
    inside = row["low"] >= 0 and row["high"] <= 1
    e = bounded(e, (0.0, 1.0) if inside else (row["low"], row["high"]))
    mean = m.ratio if m.n > 0 else None
    run = f"{row['begun_at']:%G-W%V}" if row["of"] == "production" else row["run"]
    shown = {k: row[k] for k in ("of", "dataset", "metric", "rater")}
    return shown | {"at": row["begun_at"], "run": run, "mean": mean, "low": e.ci_low, "high": e.ci_high, "n": int(m.n)}
