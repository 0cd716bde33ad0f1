"""What a reviewer reads of a trace: question, answer, what was retrieved, the system prompt, the scores it has; and the same raw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ... import units
from ...columns import literal
from ...sources import chat
from ...text import safe, terminal
from ..reductions import rows
from .categories import SOURCE

LONGEST = 20_000
COMPARED = 4_000
MOST_SPANS, MOST_CONTEXTS, MOST_SCORES = 300, 30, 40
_TEXT_KEYS = ("page_content", "pageContent", "text", "content", "document", "chunk", "snippet")
_RETRIEVING = ("retriever", "reranker")


@dataclass(frozen=True, eq=False)
class Trace:
    """One trace with its texts as they stand in the store; they are hostile. What is not there is None or empty."""

    trace_id: str
    source: str
    project: str
    input: str | None
    output: str | None
    system_prompt: str | None
    retrieval_ids: tuple[str, ...]
    contexts: tuple[dict, ...]
    prompt_name: str | None
    prompt_version: str | None
    source_url: str | None
    facts: Mapping[str, Any]


def traces(obs, ids: Iterable[str]) -> dict[str, Trace]:
    """The traces of these ids, by id; one that the store does not hold is left out. Of several of one id the first source's."""
    listed = ", ".join(map(literal, ids))
    if not listed:
        return {}
    found = rows(
        obs,
        f"""SELECT s.trace_id, s.source, s.project, s.span_id, s.is_root, s.kind, s.name, s.trace_name, s.start_time, s.latency_ms,
          s.status, s.error_class, s.error_message, s.model_requested, s.model, s.prompt_name, s.prompt_version, s.feature, s.tenant_id,
          s.user_tier, s.environment, s.cost_usd, s.retrieval_ids, s.retrieval_scores, s.source_url, p.input, p.output, p.system_prompt
        FROM (SELECT *, row_number() OVER (PARTITION BY trace_id, source, project ORDER BY start_time, span_id) AS place
          FROM spans WHERE trace_id IN ({listed})) s
        LEFT JOIN payloads p ON s.source = p.source AND s.project = p.project AND s.trace_id = p.trace_id AND s.span_id = p.span_id
        WHERE s.place <= {MOST_SPANS} ORDER BY s.trace_id, s.source, s.project, s.place""",
    )
    by: dict[str, list[dict]] = {}
    for row in found:
        spans = by.setdefault(row["trace_id"], [])
        if not spans or (spans[0]["source"], spans[0]["project"]) == (row["source"], row["project"]):
            spans.append(row)
    return {trace: _trace(spans) for trace, spans in by.items()}


def _trace(spans: list[dict]) -> Trace:
    """The root speaks for the trace; where it has no texts the first question and the last answer of a model do."""
    root = next((s for s in spans if s["is_root"]), spans[0])
    calls = [s for s in spans if s["kind"] == "llm"]
    searches = [s for s in spans if s["kind"] in _RETRIEVING]
    prompted = next((s for s in reversed([root, *calls]) if s["prompt_name"] or s["prompt_version"]), root)
    return Trace(
        root["trace_id"], root["source"], root["project"],
        root["input"] or _first(calls, "input"), root["output"] or _first(reversed(calls), "output"),
        root["system_prompt"] or _first(reversed(calls), "system_prompt"),
        tuple(dict.fromkeys(i for s in [*searches, root] for i in s["retrieval_ids"] or ())),
        tuple(c for s in searches for c in _contexts(s))[:MOST_CONTEXTS],
        prompted["prompt_name"], prompted["prompt_version"], _first(spans, "source_url"), _facts(root, spans, calls),
    )  # fmt: skip


def _first(spans: Iterable[dict], column: str) -> Any:
    return next((s[column] for s in spans if s[column]), None)


def _facts(root: dict, spans: list[dict], calls: list[dict]) -> dict[str, Any]:
    costs = [s["cost_usd"] for s in spans if s["cost_usd"] is not None]
    failed = next((s for s in spans if s["status"] == "error"), None)
    models = dict.fromkeys(m for s in calls if (m := s["model"] or s["model_requested"]))
    when = f"{root['start_time']:%Y-%m-%d %H:%M} UTC" if root["start_time"] else None
    told = {name: root[name] for name in ("feature", "tenant_id", "user_tier", "environment")}
    return {
        "when": when, "latency": units.milliseconds(root["latency_ms"]) if root["latency_ms"] is not None else None,
        "cost": units.money(sum(costs)) if costs else None, "model": ", ".join(models) or None, **told, "spans": str(len(spans)),
        "error": failed and f"{failed['error_class'] or 'error'} in {failed['name'] or failed['kind']}: {failed['error_message'] or ''}",
    }  # fmt: skip


def _contexts(search: dict) -> list[dict]:
    """What one search brought: id, score and text of each document, as far as they are logged."""
    ids, scores, texts = search["retrieval_ids"] or [], search["retrieval_scores"] or [], _documents(search["output"])
    longest = max(len(ids), len(texts))
    return [{"id": _at(ids, i), "score": _at(scores, i), "text": _at(texts, i)} for i in range(longest)]


def _at(values: Sequence, place: int) -> Any:
    return values[place] if place < len(values) else None


def _documents(output: str | None) -> list[str]:
    """The texts of a search's output: one per document of a list, else the whole."""
    if not output:
        return []
    body = chat.mapping(output)
    found = chat.sequence(next((body[k] for k in ("documents", "results", "matches", "chunks") if k in body), output))
    return [_document(one) for one in found] or [output]


def _document(value: Any) -> str:
    body = chat.mapping(value)
    body = chat.mapping(body.get("kwargs")) or chat.mapping(body.get("document")) or body
    text = next((body[k] for k in _TEXT_KEYS if isinstance(body.get(k), str)), None)
    return text if text is not None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def shown(trace: Trace, scores: Sequence[Mapping]) -> dict:
    """The trace as a reviewer reads it: clean text with secrets masked, long texts cut with a count of what is left out."""
    contexts = [
        {
            "id": terminal(c["id"], 120),
            "score": units.number(c["score"]) if c["score"] is not None else "",
            "text": safe(c["text"], LONGEST),
        }
        for c in trace.contexts
    ]
    facts = {k: v for k, v in trace.facts.items() if v}
    prompt = ", ".join(p for p in (trace.prompt_name, trace.prompt_version) if p)
    return {
        "trace_id": trace.trace_id, "title": terminal(trace.trace_id, 80), "url": trace.source_url or "",
        "facts": [[k, terminal(v, 300)] for k, v in (facts | ({"prompt": prompt} if prompt else {})).items()],
        "input": safe(_asked(trace.input), LONGEST), "output": safe(_answered(trace.output), LONGEST),
        "system_prompt": safe(trace.system_prompt, LONGEST), "contexts": contexts, "scores": [_score(s) for s in scores[:MOST_SCORES]],
    }  # fmt: skip


def answers(obs, ids: Iterable[str]) -> dict[str, str]:
    """The beginning of each trace's answer, the root's where it has one; a trace without one is left out."""
    found = rows(
        obs,
        f"""SELECT s.trace_id, substring(p.output, 1, {COMPARED}) AS output FROM spans s
        JOIN payloads p ON s.source = p.source AND s.project = p.project AND s.trace_id = p.trace_id AND s.span_id = p.span_id
        WHERE s.trace_id IN ({", ".join(map(literal, ids))}) AND (s.is_root OR s.kind = 'llm') AND p.output IS NOT NULL
        ORDER BY s.trace_id, CASE WHEN s.is_root THEN 1 ELSE 0 END, s.start_time, s.span_id""",
    )
    return {row["trace_id"]: row["output"] for row in found}


def scores(obs, ids: Iterable[str], *, reviews: bool) -> dict[str, list[dict]]:
    """The judgements of traces that say something, by trace, oldest first; with those of reviewers or without."""
    theirs = "" if reviews else f"AND source <> {literal(SOURCE)}"
    found = rows(
        obs,
        f"""SELECT trace_id, name, value, label, rater, rater_id, comment FROM scores WHERE (value IS NOT NULL OR label IS NOT NULL)
        AND trace_id IN ({", ".join(map(literal, ids))}) {theirs} ORDER BY created_at, name, label, score_id""",
    )
    out: dict[str, list[dict]] = {}
    for row in found:
        out.setdefault(row["trace_id"], []).append(row)
    return out


def _score(score: Mapping) -> dict:
    value = score["label"] if score["value"] is None else units.number(score["value"])
    who = " ".join(w for w in (score["rater"], score["rater_id"]) if w)
    told = {"name": score["name"], "value": value, "rater": who}
    return {k: terminal(v, 120) for k, v in told.items()} | {"comment": safe(score["comment"], 2_000)}


def _asked(text: str | None) -> str | None:
    """A chat request as ``role: words`` without its system prompt, which is shown apart; any other text as it stands."""
    told = [(m["role"], chat.content_text(m["content"])) for m in (chat.messages(text) if _is_json(text) else ())]
    lines = [f"{role or 'message'}: {words}" for role, words in told if words and role not in chat.SYSTEM_ROLES]
    return "\n\n".join(lines) or text


def _answered(text: str | None) -> str | None:
    found = chat.answer(text) if _is_json(text) else None
    return found if isinstance(found, str) else text


def _is_json(text: str | None) -> bool:
    return bool(text) and text.lstrip()[:1] in ("{", "[")
