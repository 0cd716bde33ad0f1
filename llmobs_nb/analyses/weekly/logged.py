"""What the data of a review say at all, so that the tables hold only columns that are there: one scan, and a few lists of values."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from ...columns import literal
from ...prices.names import normalise
from ..reductions import moment, rows
from .plan import Plan
from .sql import scan

MOST_CLASSES, MOST_PARTS, MOST_TEXTS = 9, 6, 500
BLOCKED = "guardrails LIKE '%\"block%'"
RELEVANT_KEYS = ("relevant_ids", "relevant_documents", "expected_ids", "gold_ids")
RELEVANCE = r"(?i)^(relevance|relevant|hit)"
_COUNTS = {
    "spans": "count(*)",
    "attempts": "count(attempt)",
    "request_ids": "count(request_id)",
    "cached": "count(response_cached)",
    "guardrails": "count(guardrails)",
    "tools": "sum(CASE WHEN kind = 'tool' THEN 1 ELSE 0 END)",
    "ttft": "sum(CASE WHEN kind = 'llm' AND ttft_ms IS NOT NULL THEN 1 ELSE 0 END)",
    "retrievals": "sum(CASE WHEN kind = 'retriever' THEN 1 ELSE 0 END)",
    "ids": "sum(CASE WHEN kind = 'retriever' AND retrieval_ids IS NOT NULL THEN 1 ELSE 0 END)",
    "tops": "sum(CASE WHEN kind = 'retriever' AND retrieval_scores IS NOT NULL THEN 1 ELSE 0 END)",
    "sessions": "count(session_id)",
    "cache": "count(tokens_cache_read)",
    "texts": "sum(CASE WHEN output_chars > 0 OR input_chars > 0 THEN 1 ELSE 0 END)",
}


@dataclass(frozen=True)
class Logged:
    """Counts by name, error classes of the days read (most frequent first), texts of guardrails by the part they blocked on, and context windows by model."""

    counts: dict[str, int]
    error_classes: tuple[str, ...] = ()
    blocks: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    contexts: dict[tuple[str | None, str], int] = field(default_factory=dict)
    relevance: tuple[bool, bool] = (False, False)

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name) or 0


def logged(obs, plan: Plan) -> Logged:
    """Look once at the days of a plan."""
    counted = ", ".join(f"{sql} AS {name}" for name, sql in _COUNTS.items())
    (counts,) = rows(obs, f"SELECT {counted} FROM spans WHERE {scan(plan)}")
    classes = rows(
        obs,
        f"""SELECT coalesce(error_class, 'other') AS error_class, count(*) AS n FROM spans
        WHERE {scan(plan)} AND status = 'error' GROUP BY coalesce(error_class, 'other') ORDER BY n DESC, error_class""",
    )
    names = tuple(r["error_class"] for r in classes[:MOST_CLASSES])
    blocks = _blocks(obs, plan) if counts["guardrails"] else {}
    return Logged(counts, names, blocks, _contexts(obs, plan), _relevance(obs, plan) if counts["ids"] else (False, False))


def _blocks(obs, plan: Plan) -> dict[tuple[str, str], tuple[str, ...]]:
    """Which texts of guardrails block on which dimension or policy, the most frequent parts only."""
    found = rows(
        obs,
        f"""SELECT guardrails, count(*) AS n FROM spans WHERE {scan(plan)} AND {BLOCKED}
        GROUP BY guardrails ORDER BY n DESC, guardrails LIMIT {MOST_TEXTS}""",
    )
    texts: dict[tuple[str, str], list[str]] = {}
    often: Counter = Counter()
    for row in found:
        for part in _parts(row["guardrails"]):
            texts.setdefault(part, []).append(row["guardrails"])
            often[part] += row["n"]
    kept = [p for kind in ("dimension", "policy") for p, _ in [c for c in often.most_common() if c[0][0] == kind][:MOST_PARTS]]
    out: dict[tuple[str, str], tuple[str, ...]] = {}
    for part in kept:
        if tuple(texts[part]) not in out.values():  # a policy that blocks on one dimension only is told once
            out[part] = tuple(texts[part])
    return out


def _parts(text: str) -> set[tuple[str, str]]:
    try:
        checks = json.loads(text)
    except ValueError:
        return set()
    blocked = (
        [c for c in checks if isinstance(c, dict) and str(c.get("action", "")).startswith("block")]
        if isinstance(checks, list)
        else []
    )
    return {(kind, str(c[kind])) for c in blocked for kind in ("dimension", "policy") if c.get(kind)}


def _contexts(obs, plan: Plan) -> dict[tuple[str | None, str], int]:
    """Context window in tokens of every model that the price table knows one for."""
    found = rows(
        obs,
        f"""SELECT provider, coalesce(model, model_requested) AS model, count(*) AS n FROM spans
        WHERE {scan(plan)} AND kind = 'llm' AND tokens_in IS NOT NULL AND coalesce(model, model_requested) IS NOT NULL
        GROUP BY provider, coalesce(model, model_requested) ORDER BY n DESC LIMIT 200""",
    )
    known = {(r["provider"], r["model"]): context_window(r["provider"], r["model"]) for r in found}
    return {key: size for key, size in known.items() if size}


def context_window(provider: str | None, model: str) -> int | None:
    """How many tokens a model takes, as the price table has it; None where it does not say or is not installed."""
    name, snapshot = normalise(provider, model), _snapshot()
    if name.model is None or name.provider is None or snapshot is None:
        return None
    try:
        return snapshot.find_provider_model(name.model, None, name.provider, None)[1].context_window
    except LookupError:
        return None


@cache
def _snapshot():
    """The price table that is installed, or None."""
    try:
        from genai_prices import data, data_snapshot
    except ImportError:
        return None
    return data_snapshot.DataSnapshot(providers=data.providers, from_auto_update=False)


def _relevance(obs, plan: Plan) -> tuple[bool, bool]:
    """Whether spans name their relevant documents, and whether scores judge documents."""
    named = " OR ".join(f"metadata[{literal(key)}] IS NOT NULL" for key in RELEVANT_KEYS)
    (spans,) = rows(obs, f"SELECT count(*) AS n FROM spans WHERE {scan(plan)} AND kind = 'retriever' AND ({named})")
    first, last = plan.ranges()[0][0], plan.ranges()[-1][1]
    (scores,) = rows(
        obs,
        f"""SELECT count(*) AS n FROM scores WHERE metadata['document_id'] IS NOT NULL AND value IS NOT NULL
        AND regexp_matches(name, {literal(RELEVANCE)}) AND created_at >= {moment(first)} AND created_at < {moment(last)}""",
    )
    return spans["n"] > 0, scores["n"] > 0
