"""What the signals need from a store: a random sample of traces with texts, other answers to the same questions, what users said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ...columns import literal
from ...stats.grounding import question_key
from ...windows import Window
from ..reductions import moment
from ..sampling import population as pop
from ..sampling.shadow import identities_of
from ..sampling.texts import Exchange, exchanges
from .measures import Feedback

MOST_OTHERS = 5
TEXTS = "signals_texts"
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


def read_samples(
    obs, windows: Sequence[Window], size: int, seed: int, *, days: Mapping[Window, Sequence[Window]] | None = None
) -> list[Sample]:
    """Per window about ``size`` traces with all that the signals look at; all of them where there are fewer.

    ``days`` restricts a window to some of its days. The texts of all windows are read at once: they are the dear part.
    """
    found = [(w, _population(w, (days or {}).get(w, ()))) for w in windows]
    drawn = [_draw(obs, traces, size, seed) for _, traces in found]
    same = [_same_question(w, rows) for w, (_, _, rows) in zip(windows, drawn, strict=True)]
    chosen = " UNION ".join(f"SELECT {at} AS place, * FROM ({sql}) k" for at, sql in enumerate(same))
    with obs.kept(TEXTS, chosen):
        every = {_key(vars(e)): e for e in exchanges(obs, f"SELECT DISTINCT source, project, trace_id FROM {TEXTS}")}
        keys: list[list[Key]] = [[] for _ in windows]
        for row in obs.query(f"SELECT * FROM {TEXTS}").to_pylist():
            keys[row["place"]].append(_key(row))
    out = []
    for window, (total, probability, rows), here in zip(windows, drawn, keys, strict=True):
        texts = {key: every[key] for key in rows if key in every}
        others = _others(texts, {key: every[key] for key in here if key in every})
        out.append(Sample(window, total, probability, rows, texts, others, _feedback(obs, rows)))
    return out


def _key(row) -> Key:
    return row["source"], row["project"], row["trace_id"]


def _population(window: Window, days: Sequence[Window]) -> str:
    inside = " OR ".join(f"(started >= {moment(d.start)} AND started < {moment(d.end)})" for d in days) or "true"
    return f"SELECT * FROM ({pop.traces_sql(window)}) every WHERE {inside}"


def _draw(obs, traces: str, size: int, seed: int) -> tuple[int, float, dict[Key, dict]]:
    """How many traces there are, with which probability each is drawn, and those that were."""
    total = obs.query(f"SELECT count(*) AS n FROM ({traces}) t")["n"][0].as_py()
    probability = min(1.0, size / total) if total else 1.0
    drawn = f"SELECT source, project, trace_id, session_id, started, low_rating FROM ({traces}) t"
    drawn += f" WHERE {pop.below(literal(pop.threshold(probability)), 'signals', seed)} ORDER BY source, project, trace_id"
    return total, probability, {_key(row): row for row in obs.query(drawn).to_pylist()}


def _same_question(window: Window, rows: dict[Key, dict]) -> str:
    """The drawn traces, and some others of the window with the same question, asked of the same feature by the same tenant."""
    drawn, roots = identities_of(rows), f"s.is_root AND {_span_days(window)}"
    return f"""{drawn} UNION SELECT source, project, trace_id FROM (SELECT s.source, s.project, s.trace_id,
          row_number() OVER (PARTITION BY s.input_hash, s.feature, s.tenant_id ORDER BY md5(s.trace_id), s.trace_id) AS place,
          count(*) OVER (PARTITION BY s.input_hash, s.feature, s.tenant_id) AS alike
        FROM spans s WHERE {roots} AND s.purpose IS NULL AND s.start_time >= {moment(window.start)} AND s.start_time < {moment(window.end)}
          AND s.input_hash IN (SELECT s.input_hash FROM spans s JOIN ({drawn}) d
            ON s.source = d.source AND s.project = d.project AND s.trace_id = d.trace_id WHERE {roots})) ranked
      WHERE alike > 1 AND place <= {MOST_OTHERS + 1}"""


def _span_days(window: Window) -> str:
    """The partitions that may hold the spans of a window's traces."""
    first, last = (at + timedelta(days=d) for at, d in ((window.start, -1), (window.end, 1)))
    return f"s.day BETWEEN DATE '{first:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}'"


def _others(texts: dict[Key, Exchange], every: dict[Key, Exchange]) -> dict[Key, list[str]]:
    """Per trace the other answers of its window to its question."""
    asked: dict[tuple, dict[Key, str]] = {}
    for key, e in every.items():
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
