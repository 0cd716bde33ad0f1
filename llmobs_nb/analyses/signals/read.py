"""What the signals need from a store: a random sample of traces with texts, other answers to the same questions, what users said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...columns import literal
from ...stats.grounding import question_key
from ...windows import Window
from ..sampling import population as pop
from ..sampling.shadow import identities_of
from ..sampling.texts import Exchange, exchanges
from .measures import Feedback

MOST_OTHERS = 5
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Sample:
    """Traces of a window drawn at random, each with the same probability, out of ``traces``."""

    window: Window
    traces: int
    probability: float
    rows: dict[Key, dict]
    texts: dict[Key, Exchange]
    others: dict[Key, list[str]]
    feedback: dict[Key, Feedback]


def read_sample(obs, window: Window, size: int, seed: int) -> Sample:
    """About ``size`` traces of a window with all that the signals look at; all of them where there are fewer."""
    traces = pop.traces_sql(window)
    total = obs.query(f"SELECT count(*) AS n FROM ({traces}) t")["n"][0].as_py()
    probability = min(1.0, size / total) if total else 1.0
    drawn = f"SELECT source, project, trace_id, session_id, started, low_rating FROM ({traces}) t"
    drawn += f" WHERE {pop.below(literal(pop.threshold(probability)), 'signals', seed)} ORDER BY source, project, trace_id"
    rows = {_key(row): row for row in obs.query(drawn).to_pylist()}
    texts = {_key(vars(e)): e for e in exchanges(obs, identities_of(rows))}
    return Sample(window, total, probability, rows, texts, _others(obs, window, texts), _feedback(obs, rows))


def _key(row) -> Key:
    return row["source"], row["project"], row["trace_id"]


def _others(obs, window: Window, texts: dict[Key, Exchange]) -> dict[Key, list[str]]:
    """Per trace the other answers of the window to its question, asked of the same feature by the same tenant; some of each."""
    hashes = sorted({e.about["input_hash"] for e in texts.values() if e.about["input_hash"]})
    if not hashes:
        return {}
    named = ", ".join(map(literal, hashes))
    sql = f"""SELECT source, project, trace_id FROM (SELECT s.source, s.project, s.trace_id,
          row_number() OVER (PARTITION BY s.input_hash, s.feature, s.tenant_id ORDER BY md5(s.trace_id), s.trace_id) AS place
        FROM spans s JOIN ({pop.traces_sql(window)}) t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
        WHERE s.is_root AND s.input_hash IN ({named})) ranked WHERE place <= {MOST_OTHERS + 1}"""
    more = {_key(vars(e)): e for e in exchanges(obs, sql)}
    asked: dict[tuple, dict[Key, str]] = {}
    for key, e in {**more, **texts}.items():
        if e.question and e.answer:
            asked.setdefault(_question(e), {})[key] = e.answer
    return {key: _not(key, asked.get(_question(e), {})) for key, e in texts.items()}


def _question(e: Exchange) -> tuple:
    return question_key(e.question), e.about["feature"], e.about["tenant_id"]


def _not(key: Key, answers: dict[Key, str]) -> list[str]:
    return [text for other, text in sorted(answers.items()) if other != key][:MOST_OTHERS]


def _feedback(obs, rows: dict[Key, dict]) -> dict[Key, Feedback]:
    """Per trace that a user rated or commented: whether low, and why."""
    sql = f"""SELECT s.trace_id, s.label, s.comment, s.name, s.value FROM scores s
      JOIN (SELECT DISTINCT trace_id FROM ({identities_of(rows)}) k) k ON s.trace_id = k.trace_id
      WHERE s.rater = 'user' ORDER BY s.trace_id, s.created_at, s.score_id"""
    found: dict[str, list[str]] = {}
    for row in obs.query(sql).to_pylist():
        found.setdefault(row["trace_id"], []).extend(_reasons(row))
    return {key: Feedback(bool(row["low_rating"]), tuple(found[key[2]])) for key, row in rows.items() if key[2] in found}


def _reasons(row: dict) -> Sequence[str]:
    label = row["label"] if row["value"] is None else None  # the label of a thumb says which thumb, not why
    named = row["name"] if "hallucin" in row["name"].lower() and row["value"] else None
    return [text for text in (label, row["comment"], named) if text]
