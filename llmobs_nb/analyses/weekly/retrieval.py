"""Whether retrieval found what was relevant, where somebody says what is, and whether the answer used what it was given."""

from __future__ import annotations

from contextlib import ExitStack

from ...columns import literal
from ..reductions import rows
from .logged import RELEVANCE, RELEVANT_KEYS, Logged
from .plan import Plan
from .said import BASE, Join, sampled
from .sql import partitions, scan

RANKED, USED = "weekly_ranked", "weekly_used"
K = 10
# Shorter ids occur in answers by chance.
LEAST_ID = 4
_SPAN = "source, project, trace_id"


def keep(stack: ExitStack, obs, plan: Plan, told: Logged) -> list[Join]:
    """Keep, per trace, hits and reciprocal ranks where relevance is logged, and how many retrieved ids the answer names."""
    out = []
    if any(told.relevance):
        stack.enter_context(obs.kept(RANKED, _ranked(plan, *told.relevance)))
        out.append(Join(RANKED, ("ranked", "hits", "reciprocals")))
    if told["ids"] and told["texts"]:
        stack.enter_context(obs.kept(USED, _used(plan, sampled(obs))))
        (row,) = rows(obs, f"SELECT sum(cited) AS n FROM {USED}")
        out += [Join(USED, ("cited", "citable"))] if row["n"] else []
    return out


def _ranked(plan: Plan, spans: bool, scores: bool) -> str:
    """The first K documents of a retrieval against those that its metadata, or scores of its trace, call relevant."""
    key = "coalesce(" + ", ".join(f"metadata[{literal(k)}]" for k in RELEVANT_KEYS) + ")"
    given = [
        f"SELECT {_SPAN}, span_id, unnest(regexp_extract_all({key}, '[^\\[\\]\", ]+')) AS id, 1 AS good FROM retrievals WHERE {key} IS NOT NULL"
    ] * spans
    given += [
        f"""SELECT r.source, r.project, r.trace_id, r.span_id, s.metadata['document_id'] AS id, CASE WHEN s.value >= 0.5 THEN 1 ELSE 0 END AS good
        FROM retrievals r JOIN scores s ON r.trace_id = s.trace_id AND (s.span_id IS NULL OR s.span_id = r.span_id)
        WHERE s.metadata['document_id'] IS NOT NULL AND s.value IS NOT NULL AND regexp_matches(s.name, {literal(RELEVANCE)})"""
    ] * scores
    return f"""WITH retrievals AS (SELECT {_SPAN}, span_id, retrieval_ids, metadata FROM spans
        WHERE {scan(plan)} AND kind = 'retriever' AND retrieval_ids IS NOT NULL),
      given AS ({" UNION ALL ".join(given)}),
      judged AS (SELECT {_SPAN}, span_id, id, max(good) AS good FROM given GROUP BY {_SPAN}, span_id, id),
      returned AS (SELECT {_SPAN}, span_id, unnest(retrieval_ids) AS id, generate_subscripts(retrieval_ids, 1) AS place FROM retrievals),
      firsts AS (SELECT j.source, j.project, j.trace_id, j.span_id, min(CASE WHEN j.good = 1 AND r.place <= {K} THEN r.place END) AS place
        FROM judged j LEFT JOIN returned r ON j.source = r.source AND j.project = r.project AND j.trace_id = r.trace_id
          AND j.span_id = r.span_id AND j.id = r.id GROUP BY j.source, j.project, j.trace_id, j.span_id)
    SELECT {_SPAN}, count(*) AS ranked, sum(CASE WHEN place IS NOT NULL THEN 1 ELSE 0 END) AS hits,
      sum(coalesce(1e0 / place, 0e0)) AS reciprocals FROM firsts GROUP BY {_SPAN}"""


def _used(plan: Plan, picked: str) -> str:
    """Distinct ids that the traces retrieved, and how many of them stand in the answer."""
    return f"""WITH ids AS (SELECT DISTINCT s.source, s.project, s.trace_id, u.id
        FROM spans s, unnest(s.retrieval_ids) AS u(id) WHERE {scan(plan)} AND s.kind = 'retriever' AND s.retrieval_ids IS NOT NULL)
    SELECT b.source, b.project, b.trace_id, count(*) AS citable,
      sum(CASE WHEN strpos(p.output, ids.id) > 0 THEN 1 ELSE 0 END) AS cited
    FROM {BASE} b JOIN ids ON b.trace_id = ids.trace_id AND b.source = ids.source AND b.project = ids.project
      JOIN payloads p ON b.trace_id = p.trace_id AND b.text_id = p.span_id AND b.source = p.source AND b.project = p.project
    WHERE {picked} AND {partitions(plan).replace("day BETWEEN", "p.day BETWEEN")} AND p.output IS NOT NULL AND length(ids.id) >= {LEAST_ID}
    GROUP BY b.source, b.project, b.trace_id"""
