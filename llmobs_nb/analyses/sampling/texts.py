"""The texts of chosen traces as plain text: what was asked, what was answered, what the answer had to go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...sources import chat

MOST_CONTEXT = 60_000
LEAST_PROMPT = 1_000  # characters: a shorter prompt holds instructions, not documents


@dataclass(frozen=True)
class Exchange:
    """One trace as a judge reads it; everything in it is hostile.

    ``context`` is what the retrievers gave; without a retriever, what the model was given besides the question, where that is
    long enough to hold documents. ``retrieved`` are the ids of the documents; ``model`` answered. A text that is not in the store
    is "".
    """

    source: str
    project: str
    trace_id: str
    question: str = ""
    answer: str = ""
    context: str = ""
    retrieved: tuple[str, ...] = ()
    model: str | None = None
    provider: str | None = None
    about: dict = field(default_factory=dict)


def exchanges(obs, traces: str) -> list[Exchange]:
    """The exchanges of the traces that a SELECT of source, project, trace_id gives, in the order of their ids.

    The question and the answer are the root's, else those of the last model call.
    """
    sql = f"""SELECT s.source, s.project, s.trace_id, s.kind, s.is_root, s.retrieval_ids, s.model, s.model_requested, s.provider,
        s.feature, s.tenant_id, s.input_hash, p.input, p.output, p.system_prompt
      FROM spans s JOIN ({traces}) drawn ON s.source = drawn.source AND s.project = drawn.project AND s.trace_id = drawn.trace_id
      LEFT JOIN payloads p ON p.day = s.day AND p.source = s.source AND p.project = s.project AND p.trace_id = s.trace_id AND p.span_id = s.span_id
      WHERE s.is_root OR s.kind IN ('llm', 'retriever', 'reranker')
      ORDER BY s.source, s.project, s.trace_id, s.start_time, s.span_id"""
    found: dict[tuple, list[dict]] = {}
    for row in obs.query(sql).to_pylist():
        found.setdefault((row["source"], row["project"], row["trace_id"]), []).append(row)
    return [_exchange(key, spans) for key, spans in found.items()]


def _exchange(key: tuple, spans: Sequence[dict]) -> Exchange:
    roots = [s for s in spans if s["is_root"]]
    calls = [s for s in spans if s["kind"] == "llm"]
    retrievers = [s for s in spans if s["kind"] in ("retriever", "reranker")]
    order = [*roots, *reversed(calls)]
    last = calls[-1] if calls else {}
    ids = dict.fromkeys(one for s in retrievers for one in s["retrieval_ids"] or ())
    question = next(filter(None, (asked(s["input"]) for s in order)), "")
    return Exchange(
        *key, question=question, answer=next(filter(None, (answered(s["output"]) for s in order)), ""),
        context=_context(retrievers, last, question), retrieved=tuple(ids), model=last.get("model") or last.get("model_requested"),
        provider=last.get("provider"), about={k: (roots or spans)[0][k] for k in ("feature", "tenant_id", "input_hash")},
    )  # fmt: skip


def asked(value: str | None) -> str:
    """The last message of a user as text; the text itself where it is no chat request."""
    if not value:
        return ""
    told = [chat.content_text(m["content"]) for m in chat.messages(value) if m["role"] == "user"] if value[0] in "[{" else []
    return next(filter(None, reversed(told)), value)


def answered(value: str | None) -> str:
    """The text of an answer; the text itself where it is no chat answer."""
    if not value:
        return ""
    told = chat.answer(value) if value[0] in "[{" else None
    return told if isinstance(told, str) else value


def _context(retrievers: Sequence[dict], call: dict, question: str) -> str:
    if retrievers:
        return "\n\n".join(s["output"] for s in retrievers if s["output"])[:MOST_CONTEXT]
    told = chat.messages(call["input"]) if (call.get("input") or "x")[0] in "[{" else []
    spoken = (chat.content_text(m["content"]) for m in told)
    prompt = "\n\n".join(t for t in (call.get("system_prompt"), *spoken) if t and t != question)
    return prompt[:MOST_CONTEXT] if len(prompt) >= LEAST_PROMPT else ""
