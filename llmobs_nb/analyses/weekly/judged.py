"""Judgements as the review counts them: repeated ones averaged, by day of their trace, weighted by how they were drawn.

One kept row per trace (or session) and score; a composite of several scores, the share of good answers and the shares of labels
are rows with numbers of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ...columns import literal
from ...errors import UsageError
from ...text import terminal
from ..reductions import rows
from .kpis import Kpi, label_kpi, rate, score_kpi
from .levels import Review, review_ratio
from .plan import Plan
from .sql import WINDOWS, Found, days, moments
from .traces import TRACES

GIVEN, JUDGED = "weekly_given", "weekly_judged"
MOST_SCORES, MOST_LABELS, LEAST_LABELS = 40, 6, 20
# Names of scores that say that something happened, logged only when it did.
EVENTS = re.compile(r"(?i)^(regenerat\w*|edit(ed|s)?|cop(y|ied)|abandon\w*|retr(y|ied)|report(ed)?|share[ds]?|undo(ne)?)$")
# The seed's composite: which scores each part may be called, and what it weighs. Scores of 1 to 5 are mapped to 0 to 1.
COMPOSITE = {
    "relevance": 0.4,
    "accuracy|correctness|groundedness|faithfulness": 0.3,
    "completeness|helpfulness": 0.2,
    "coherence|clarity|conciseness": 0.1,
}
GOOD_FROM = 0.7
PICKED = re.compile(r"(?i)help|correct|accura|quality|ground|faith|relevan|resolved|satisf")


@dataclass(frozen=True)
class Score:
    """One score of the page: its number, whose it is, what the days under review hold of it."""

    key: int
    name: str
    rater: str
    of_session: bool
    low: float = 0.0
    high: float = 1.0
    graded: bool = True
    n: int = 0
    drawn: int = 0
    weight: float = 1.0

    @property
    def weighted(self) -> bool:
        """Whether every judgement tells with what probability it was drawn, and the probabilities differ."""
        return self.n > 0 and self.drawn == self.n

    @property
    def scaled(self) -> str:
        """The value on a scale of 0 to 1, as SQL."""
        return "(value - 1) / 4.0" if self.high > 1 and self.low >= 1 and self.high <= 5 else "value"


@dataclass(frozen=True)
class Judged:
    """What is judged: a KPI per key, the names of events, and what a reader must know of it."""

    scores: tuple[Score, ...] = ()
    kpis: dict[int, Kpi] = field(default_factory=dict)
    good: int | None = None
    told: tuple[tuple[str, str, int], ...] = ()
    made: Mapping[int, tuple[Score, ...]] = field(default_factory=dict)

    def weight(self) -> str:
        """The weight of a judgement as SQL over the kept table; 1 on average. What is made of scores is weighted as they are."""
        weights = {s.key: s.weight for s in self.scores if s.weighted}
        weights |= {key: parts[0].weight for key, parts in self.made.items() if all(s.weighted for s in parts)}
        cases = [f"WHEN key = {key} THEN 1e0 / (prob * {weight!r})" for key, weight in weights.items()]
        return f"(CASE {' '.join(cases)} ELSE 1e0 END)" if cases else "1e0"


@dataclass(frozen=True)
class Survey:
    """The scores of the store by what they are: with numbers, with labels only, and events."""

    numbers: tuple[Mapping, ...]
    labels: tuple[Mapping, ...]
    events: tuple[str, ...]
    names: int


def survey(obs) -> Survey:
    """Which scores there are, most frequent first."""
    found = rows(
        obs,
        """SELECT name, coalesce(rater, 'unknown') AS rater, CASE WHEN trace_id IS NULL AND session_id IS NOT NULL THEN 1 ELSE 0 END AS of_session,
          count(*) AS n, count(value) AS valued, count(label) AS labelled, min(value) AS low, max(value) AS high
        FROM scores GROUP BY name, coalesce(rater, 'unknown'), CASE WHEN trace_id IS NULL AND session_id IS NOT NULL THEN 1 ELSE 0 END
        ORDER BY n DESC, name, rater, of_session""",
    )
    events = dict.fromkeys(
        r["name"] for r in found if EVENTS.match(r["name"]) and (not r["valued"] or r["low"] == r["high"] != 0)
    )
    rest = [r for r in found if r["name"] not in events]
    numbers = [r for r in rest if r["valued"]]
    labels = [r for r in rest if not r["valued"] and r["labelled"]]
    return Survey(tuple(numbers[:MOST_SCORES]), tuple(labels[:MOST_LABELS]), tuple(events)[:MOST_LABELS], len(numbers))


def keep(
    stack: ExitStack,
    obs,
    plan: Plan,
    seen: Survey,
    *,
    composite: Mapping[str, float],
    good: tuple[str, float] | None,
    mapped: tuple[str, str] | None = None,
) -> Judged:
    """Keep the judgements of the days under review while ``stack`` lasts.

    ``mapped`` is a judge's score and the SQL that makes of it the probability that humans pass.
    """
    if not (seen.numbers or seen.labels):
        return Judged()
    numbered = list(enumerate((*seen.numbers, *seen.labels)))
    stack.enter_context(obs.kept(GIVEN, _given(plan, numbered)))
    scores = _described(obs, [(k, r) for k, r in numbered if r["valued"]])
    kpis = {s.key: _kpi(s) for s in scores}
    mixed, parts = _composite(obs, scores, composite)
    better, judge = _good(scores, good)
    made, extra, of = [mixed, better], {}, {}
    if mixed:
        of[1000] = parts
        extra[1000] = score_kpi("composite", "judge", low=0, high=1, binary=False, weighted=all(s.weighted for s in parts))
    if better:
        of[1001] = (judge,)
        how = f"share of judged traces with {judge.name} of {_from(good)} or more on a scale of 0 to 1"
        how += ", weighted by 1 / inclusion probability (Hajek)" if judge.weighted else ""
        extra[1001] = rate("good_rate", f"Good answers ({judge.name})", "up", "", "", how, 0.02, family="quality", exemplars="")
    passed = _mapped(scores, mapped)
    if passed is not None:
        s, sql = passed
        made.append(sql)
        of[1002] = (s,)
        extra[1002] = score_kpi(f"{s.name} calibrated", s.rater, low=0, high=1, binary=False, weighted=s.weighted)
    labels = _labels(obs, [(k, r) for k, r in numbered if not r["valued"]])
    made += [_label(key, number, value) for key, (number, _, value) in labels.items()]
    extra |= {key: label_kpi(row["name"], row["rater"], value) for key, (_, row, value) in labels.items()}
    union = "".join(f" UNION ALL {sql}" for sql in made if sql)
    stack.enter_context(
        obs.kept(
            JUDGED,
            f"SELECT key, day_no, placed_at, cluster, cell, trace_id, unit, value, prob FROM {GIVEN} WHERE value IS NOT NULL{union}",
        )
    )
    told = _told(scores, parts)
    return Judged(scores, kpis | extra, 1001 if better else None, told, of)


def columns(judged: Judged) -> list[tuple[str, str, bool]]:
    """What moments are taken of: the weighted values, and how many there are."""
    w = judged.weight()
    return [(f"{w} * value", w, False), ("1e0", "1e0", False)]


def measured(obs, plan: Plan, judged: Judged, *, source: str = JUDGED, key: str = "key") -> Found:
    """Moments over session clusters by key; column 0 the values, column 1 their number."""
    return moments(obs, plan, source, columns(judged), key=key) if judged.kpis else {}


def review(kpi: Kpi, plan: Plan, found: Found, key: int) -> Review:
    """The review of a score; n is how many were judged, whatever they weigh."""
    made, counts = review_ratio(kpi, plan, found.get((key, 0), {})), found.get((key, 1), {})
    n = {w: int(counts[WINDOWS[w]].n) if WINDOWS[w] in counts else 0 for w in WINDOWS}
    levels = {w: replace(getattr(made, w), n=n[w]) for w in WINDOWS}
    return replace(made, **levels, change=replace(made.change, n=n["this"] + n["last"]))


def busy_days(obs) -> dict[int, dict]:
    """Per day with judgements: the first and last time one was given, or its trace started."""
    sql = f"SELECT day_no, min(placed_at) AS first, max(placed_at) AS last FROM {JUDGED} GROUP BY day_no"
    return {row["day_no"]: row for row in rows(obs, sql)}


def _given(plan: Plan, numbered: Sequence[tuple[int, Mapping]]) -> str:
    known = ", ".join(f"({k}, {literal(r['name'])}, {literal(r['rater'])}, {r['of_session']})" for k, r in numbered)
    about = "CASE WHEN trace_id IS NULL AND session_id IS NOT NULL THEN 1 ELSE 0 END"
    return f"""WITH {days(plan)}, known(key, name, rater, of_session) AS (VALUES {known}),
    given AS (SELECT source, project, name, coalesce(rater, 'unknown') AS rater, {about} AS of_session,
        coalesce(trace_id, session_id, score_id) AS unit, trace_id, session_id, value, label, inclusion_prob, created_at FROM scores),
    averaged AS (SELECT k.key, g.source, g.project, g.unit, max(g.trace_id) AS trace_id, max(g.session_id) AS session_id,
        avg(g.value) AS value, min(g.value) AS low, max(g.value) AS high, max(g.label) AS label, min(g.created_at) AS given_at,
        min(CASE WHEN g.inclusion_prob > 0 AND g.inclusion_prob <= 1 THEN g.inclusion_prob END) AS prob,
        max(CASE WHEN g.value = 0 OR g.value = 1 THEN 0 ELSE 1 END) AS graded
      FROM given g JOIN known k ON g.name = k.name AND g.rater = k.rater AND g.of_session = k.of_session
      GROUP BY k.key, g.source, g.project, g.unit),
    origins AS (SELECT trace_id, min(start_time) AS started, max(session_id) AS session_id FROM spans
      WHERE trace_id IN (SELECT trace_id FROM given WHERE trace_id IS NOT NULL) GROUP BY trace_id),
    mixes AS (SELECT trace_id, max(cell) AS cell FROM {TRACES} GROUP BY trace_id)
    SELECT a.key, days.day_no, coalesce(o.started, a.given_at) AS placed_at, coalesce(a.session_id, o.session_id, a.unit) AS cluster,
      m.cell, a.trace_id, a.unit, a.value, a.label, a.low, a.high, a.graded, a.prob
    FROM averaged a LEFT JOIN origins o ON a.trace_id = o.trace_id LEFT JOIN mixes m ON a.trace_id = m.trace_id
    JOIN days ON coalesce(o.started, a.given_at) >= days.lo AND coalesce(o.started, a.given_at) < days.hi"""


def _described(obs, numbered: Sequence[tuple[int, Mapping]]) -> tuple[Score, ...]:
    sql = f"""SELECT key, count(*) AS n, count(prob) AS drawn, avg(1e0 / prob) AS weight, min(low) AS low, max(high) AS high, max(graded) AS graded,
        max(prob) - min(prob) AS spread FROM {GIVEN} WHERE value IS NOT NULL GROUP BY key"""
    found = {row["key"]: row for row in rows(obs, sql)}
    out = []
    for key, r in numbered:
        if (row := found.get(key)) is not None:
            drawn = row["drawn"] if row["spread"] else 0
            ends = (row["low"], row["high"], bool(row["graded"]))
            out.append(Score(key, r["name"], r["rater"], bool(r["of_session"]), *ends, row["n"], drawn, row["weight"] or 1.0))
    return tuple(out)


def _kpi(s: Score) -> Kpi:
    return score_kpi(s.name, s.rater, low=s.low, high=s.high, binary=not s.graded, session=s.of_session, weighted=s.weighted)


def _composite(obs, scores: Sequence[Score], weights: Mapping[str, float]) -> tuple[str, tuple[Score, ...]]:
    """SQL of the composite, over traces that carry all of its parts that are judged at all; at least two."""
    judges = [s for s in scores if s.rater in ("judge", "code", "unknown") and not s.of_session and s.graded]
    picked: dict[int, tuple[float, Score]] = {}
    for names, weight in weights.items():
        match = next((s for s in judges if re.fullmatch(names, s.name, re.IGNORECASE) and s.key not in picked), None)
        if match:
            picked[match.key] = (weight, match)
    if len(picked) < 2:
        return "", ()
    total = sum(w for w, _ in picked.values())
    parts = " ".join(f"WHEN key = {key} THEN {w / total!r} * {s.scaled}" for key, (w, s) in picked.items())
    sql = f"""SELECT 1000 AS key, max(day_no) AS day_no, max(placed_at) AS placed_at, max(cluster) AS cluster, max(cell) AS cell,
        max(trace_id) AS trace_id, unit, sum(CASE {parts} END) AS value, min(prob) AS prob
      FROM {GIVEN} WHERE key IN ({", ".join(map(str, picked))}) AND value IS NOT NULL GROUP BY unit HAVING count(*) = {len(picked)}"""
    (row,) = rows(obs, f"SELECT count(*) AS n FROM ({sql}) c")
    return (sql, tuple(s for _, s in picked.values())) if row["n"] else ("", ())


def _good(scores: Sequence[Score], good: tuple[str, float] | None) -> tuple[str, Score | None]:
    """SQL of 1 for good answers, 0 for others, and the score that says so: the one named, or the most frequent judge of quality."""
    judges = [s for s in scores if not s.of_session and s.low >= 0 and s.high <= 5]
    if good is not None:
        judges = [s for s in judges if s.name == good[0]]
    order = {"judge": 0, "human": 1, "unknown": 2, "code": 3, "user": 4}
    judges.sort(key=lambda s: (order.get(s.rater, 9), not PICKED.search(s.name), -s.n, s.name))
    if not judges or (good is None and not PICKED.search(judges[0].name)):
        return "", None
    s = judges[0]
    passes = f"CASE WHEN {s.scaled} >= {_from(good)!r} THEN 1e0 ELSE 0e0 END"
    prob = "prob" if s.weighted else "CAST(NULL AS DOUBLE)"
    return (
        f"SELECT 1001, day_no, placed_at, cluster, cell, trace_id, unit, {passes}, {prob} FROM {GIVEN} WHERE key = {s.key} AND value IS NOT NULL",
        s,
    )


def _mapped(scores: Sequence[Score], mapped: tuple[str, str] | None) -> tuple[Score, str] | None:
    """The score that a map was made of, and SQL of what the map makes of it."""
    if mapped is None:
        return None
    s = next((s for s in scores if s.name == mapped[0] and s.rater != "human" and not s.of_session), None)
    if s is None:
        names = ", ".join(sorted({s.name for s in scores})) or "none"
        raise UsageError(f"judge_map: the score {terminal(mapped[0], 60)!r} is not in the weeks under review; there are: {names}")
    return s, (
        f"SELECT 1002, day_no, placed_at, cluster, cell, trace_id, unit, {mapped[1]}, prob FROM {GIVEN} "
        f"WHERE key = {s.key} AND value IS NOT NULL"
    )


def _from(good: tuple[str, float] | None) -> float:
    return GOOD_FROM if good is None else float(good[1])


def _labels(obs, numbered: Sequence[tuple[int, Mapping]]) -> dict[int, tuple[int, Mapping, str]]:
    """The most frequent labels of scores without numbers, by key: which score, its row, the label."""
    if not numbered:
        return {}
    sql = f"SELECT key, label, count(*) AS n FROM {GIVEN} WHERE value IS NULL AND label IS NOT NULL GROUP BY key, label ORDER BY n DESC, label"
    found, out = rows(obs, sql), {}
    for number, row in numbered:
        told = [r for r in found if r["key"] == number]
        if sum(r["n"] for r in told) >= LEAST_LABELS:
            for r in told[:MOST_LABELS]:
                out[2000 + len(out)] = (number, row, r["label"])
    return out


def _label(key: int, number: int, label: str) -> str:
    given = f"CASE WHEN label = {literal(label)} THEN 1e0 ELSE 0e0 END"
    return (
        f"SELECT {key}, day_no, placed_at, cluster, cell, trace_id, unit, {given}, CAST(NULL AS DOUBLE) FROM {GIVEN} "
        f"WHERE key = {number} AND label IS NOT NULL"
    )


def _told(scores: Sequence[Score], parts: Sequence[Score]) -> tuple[tuple[str, str, int], ...]:
    """Findings: which scores count by their sampling weights, which could only in part, and what the composite is made of."""
    out = []
    weighted = [s.name for s in scores if s.weighted]
    partly = [s for s in scores if 0 < s.drawn < s.n]
    plain = [s.name for s in scores if not s.drawn]
    if weighted and (partly or plain):
        names = ", ".join(dict.fromkeys(plain))
        out.append(
            ("info", f"scores without inclusion probabilities count every judgement the same: {names}", len(plain))
            if plain
            else ()
        )
    out += [
        (
            "warning",
            f"{s.name} ({s.rater}): {s.n - s.drawn:,} of {s.n:,} judgements have no inclusion probability: all count the same",
            s.n - s.drawn,
        )
        for s in partly
    ]
    if parts:
        out.append(("info", f"composite of {', '.join(s.name for s in parts)}, over traces that carry all of them", len(parts)))
    return tuple(t for t in out if t)
