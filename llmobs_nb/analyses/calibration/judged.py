"""Scores as numbers, and everything the judge judged by week and verdict: SQL, so that only sums travel."""

from __future__ import annotations

import pandas as pd

from ...columns import literal
from ..reductions import rows
from .chosen import Named
from .result import empty

PASS = ("pass", "passed", "true", "yes", "good", "correct", "ok", "accept", "accepted", "thumbs_up", "positive", "1")
FAIL = ("fail", "failed", "false", "no", "bad", "incorrect", "wrong", "reject", "rejected", "thumbs_down", "negative", "0")
FIRST = ("a", "first", "left", "answer a", "model a", "model_a", "answer_a")
SECOND = ("b", "second", "right", "answer b", "model b", "model_b", "answer_b")
TIE = ("tie", "both", "neither", "equal", "same")
TARGET = "source, project, trace_id, span_id, session_id"


def said() -> str:
    """SQL of a score as a number: its value, else 1 and 0 for words of praise and blame, 1, 0 and -1 for the answer preferred.

    A preference asked with the second answer standing first (metadata ``swapped``) is turned round.
    """
    word = "lower(trim(label))"
    numbers = ((PASS, "1e0"), (FAIL, "0e0"), (FIRST, "1e0"), (SECOND, "-1e0"), (TIE, "0e0"))
    cases = " ".join(f"WHEN {word} IN ({_list(words)}) THEN {value}" for words, value in numbers)
    turned = "CASE WHEN lower(metadata['swapped']) IN ('true', '1', 'yes') THEN -1e0 ELSE 1e0 END"
    return f"{turned} * CASE {cases} WHEN data_type = 'categorical' AND label IS NOT NULL THEN NULL ELSE value END"


def preferred() -> str:
    """SQL: 1 where a score says which of two answers is better, else 0."""
    return f"CASE WHEN lower(trim(label)) IN ({_list((*FIRST, *SECOND))}) OR metadata['swapped'] IS NOT NULL THEN 1 ELSE 0 END"


def version() -> str:
    """SQL of the version of the judge; its model where it has none."""
    return "coalesce(judge_version, judge_model, '')"


def scale_of(obs, named: Named) -> dict:
    """Of all scores of a name: n, numbers, low, high, fractions (not whole), words (no numbers), preferred; least and most probability."""
    (row,) = rows(
        obs,
        f"""SELECT count(*) AS n, count(v) AS numbers, min(v) AS low, max(v) AS high, sum(CASE WHEN v <> floor(v) THEN 1 ELSE 0 END) AS fractions,
        sum(CASE WHEN v IS NULL AND label IS NOT NULL THEN 1 ELSE 0 END) AS words, coalesce(sum(preferred), 0) AS preferred,
        min(CASE WHEN inclusion_prob > 0 AND inclusion_prob <= 1 THEN inclusion_prob ELSE 0 END) AS least,
        max(coalesce(inclusion_prob, 0)) AS most
        FROM (SELECT {said()} AS v, label, inclusion_prob, {preferred()} AS preferred FROM scores WHERE {named.sql}) s""",
    )
    return row


def newest(named: Named) -> str:
    """SQL of every judgement by the version that judged its target last, with the number it says."""
    return f"""SELECT {TARGET}, {said()} AS said, label, created_at, inclusion_prob, version FROM (SELECT *, {version()} AS version,
      first_value({version()}) OVER (PARTITION BY {TARGET} ORDER BY created_at DESC, score_id DESC) AS newest
      FROM scores WHERE {named.sql}) s WHERE version = newest"""


def targets(named: Named, *, whole: bool) -> str:
    """SQL of one row per judged target: mean said (of two values: their majority, ``whole``), when it was made, its session, version, probability."""
    value = "CASE WHEN avg(said) >= 5e-1 THEN 1e0 ELSE 0e0 END" if whole else "avg(said)"
    return f"""SELECT j.source, j.project, j.trace_id, j.span_id, {value} AS said, coalesce(min(o.started), min(j.created_at)) AS placed_at,
      coalesce(max(j.session_id), max(o.session_id), max(j.trace_id)) AS cluster, max(j.trace_id) AS trace, min(j.inclusion_prob) AS prob,
      max(j.version) AS version, count(said) AS numbers
      FROM ({newest(named)}) j LEFT JOIN (SELECT trace_id, min(start_time) AS started, max(session_id) AS session_id FROM spans GROUP BY trace_id) o
      ON j.trace_id = o.trace_id GROUP BY j.source, j.project, j.trace_id, j.span_id, j.session_id"""


def production(obs, named: Named, verdict: str, *, whole: bool, weighted: bool, cluster: str) -> pd.DataFrame:
    """Every judged target by week (its Monday) and verdict: n, clusters, and weight, square and cross as ``Paired.production`` says.

    ``verdict`` is SQL of 1, 0 or null from ``said``. A target without a verdict stands under a null one.
    """
    by = {"session_id": "cluster", "trace_id": "coalesce(trace, cluster)"}.get(cluster, "coalesce(span_id, trace, cluster)")
    weight = "1e0 / prob" if weighted else "1e0"
    sides = ", ".join(
        f"sum(CASE WHEN v = {v} THEN {what} ELSE 0e0 END) AS {name}{v}"
        for v in (1, 0)
        for name, what in (("n", "1e0"), ("w", "w"))
    )
    found = rows(
        obs,
        f"""SELECT week, sum(n1) AS n1, sum(n0) AS n0, sum(w1) AS w1, sum(w0) AS w0, sum(w1 * w1) AS s1, sum(w0 * w0) AS s0,
        sum(w1 * w0) AS cross_, sum(CASE WHEN n1 > 0 THEN 1 ELSE 0 END) AS c1, sum(CASE WHEN n0 > 0 THEN 1 ELSE 0 END) AS c0, sum(lost) AS lost
        FROM (SELECT week, who, {sides}, sum(CASE WHEN v IS NULL THEN 1 ELSE 0 END) AS lost FROM (SELECT CAST(date_trunc('week', placed_at) AS DATE) AS week, {by} AS who,
          {verdict} AS v, {weight} AS w FROM ({targets(named, whole=whole)}) t) v GROUP BY week, who) c GROUP BY week ORDER BY week""",
    )
    out = []
    for r in found:
        for v in (1, 0):
            counted = {"n": int(r[f"n{v}"]), "clusters": int(r[f"c{v}"]), "weight": r[f"w{v}"], "square": r[f"s{v}"]}
            out.append({"week": r["week"], "judge_pass": float(v), **counted, "cross": r["cross_"]})
        if r["lost"]:
            out.append(
                {
                    "week": r["week"],
                    "judge_pass": None,
                    "n": int(r["lost"]),
                    "clusters": 0,
                    "weight": 0.0,
                    "square": 0.0,
                    "cross": 0.0,
                }
            )
    frame = pd.DataFrame(out) if out else empty("week", "judge_pass", "n", "clusters", "weight", "square", "cross")
    return _scaled(frame)


def versions(obs, named: Named, *, whole: bool) -> dict[str, int]:
    """How many targets each version of the judge judged last."""
    sql = f"SELECT version, count(*) AS n FROM ({targets(named, whole=whole)}) t GROUP BY version ORDER BY n DESC"
    return {row["version"]: row["n"] for row in rows(obs, sql)}


def _scaled(frame: pd.DataFrame) -> pd.DataFrame:
    """Weights that sum to the number of targets with a verdict."""
    known = frame[frame["judge_pass"].notna()]
    total = known["weight"].sum() if len(known) else 0.0
    factor = known["n"].sum() / total if total else 1.0
    return frame.assign(weight=frame["weight"] * factor, square=frame["square"] * factor**2, cross=frame["cross"] * factor**2)


def _list(words) -> str:
    return ", ".join(literal(w) for w in words)
