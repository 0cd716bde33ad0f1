"""Judgements that spans carry: evaluation events and OpenInference annotations, one record each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import columns
from .spans import Event, Span, object_of
from .values import moment, nest, opened, text_of

EVALUATION = "gen_ai.evaluation.result"
PROJECT = "openinference.project.name"
_EVALUATION_READ = {
    "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label", "gen_ai.evaluation.explanation",
    "event.name",
}  # fmt: skip


class Target(NamedTuple):
    """What was judged; ``level`` is span, trace or session. ``at`` is the time to take where the judgement has none."""

    level: str
    trace_id: str | None
    span_id: str | None
    session_id: str | None
    at: Any = None
    project: str | None = None


def target_of(span: Span, level: str) -> Target:
    """A span, its trace or its session as what was judged; a session without an id counts as the trace."""
    session = text_of(span.attributes.get("session.id")) or text_of(span.attributes.get("gen_ai.conversation.id"))
    at, project = span.end or span.start, span.resource.get(PROJECT)
    if level == "session" and session:
        return Target("session", None, None, session, at, project)
    return Target(
        "span" if level == "span" else "trace", span.trace_id, span.span_id if level == "span" else None, None, at, project
    )


def stable_id(*parts: Any) -> str:
    """An id that is the same whenever the same judgement is read again."""
    text = json.dumps(parts, ensure_ascii=False, default=str)
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def span_scores(span: Span, groups: dict) -> Iterator[dict[str, Any]]:
    """The scores on a span: its evaluation events and its annotations. ``name`` is null where the span gives none."""
    for event in span.events:
        if event.name == EVALUATION:
            yield evaluation(event, span.trace_id, span.span_id, span.resource)
    for group, (level, word) in columns.ANNOTATIONS.items():
        items = [nest(flat) for flat in groups.get(group, {}).values()]
        given = [object_of(i.get(word, i)) for i in items if isinstance(i, dict)]
        yield from annotations(given, target_of(span, level))


def annotations(given: list[dict], target: Target) -> Iterator[dict[str, Any]]:
    """The scores of several annotations of one target; those that share name, kind and identifier are numbered."""
    seen: dict[tuple, int] = {}
    for one in given:
        key = _key(one)
        seen[key] = seen.get(key, -1) + 1
        yield annotation(one, target, seen[key])


def _key(given: dict) -> tuple:
    return tuple(text_of(given.get(k)) for k in ("name", "annotator_kind", "identifier"))


def annotation(given: dict, target: Target, nth: Any = 0) -> dict[str, Any]:
    """A score from an annotation.

    Its id is made of what was judged, name, kind of annotator and identifier, so that an annotation that is repeated on
    several spans, read from two exports or given again is one score, the newest.
    """
    name, kind, identifier = _key(given)
    label = text_of(given.get("label"))
    judged = target.span_id or (target.session_id if target.level == "session" else target.trace_id)
    return {
        "score_id": stable_id("annotation", target.level, judged, name, kind, identifier, nth),
        "trace_id": target.trace_id,
        "span_id": target.span_id,
        "session_id": target.session_id,
        "name": name,
        "value_text": value_word(given.get("score")) or label,
        "label": label,
        "rater_word": kind,
        "rater_id": text_of(given.get("user_id")) or identifier,
        "comment": text_of(given.get("explanation")),
        "created_at": moment(given.get("created_at")) or target.at,
        "updated_at": moment(given.get("updated_at")),
        "metadata": object_of(opened(given.get("metadata"))) or None,
        "project": target.project,
    }


def evaluation(event: Event, trace_id: str | None, span_id: str | None, resource: dict) -> dict[str, Any]:
    """A score from a ``gen_ai.evaluation.result`` event; the conventions do not say who judged, so the rater is unknown."""
    attrs = event.attributes
    name, explanation = text_of(attrs.get("gen_ai.evaluation.name")), text_of(attrs.get("gen_ai.evaluation.explanation"))
    value, label = attrs.get("gen_ai.evaluation.score.value"), text_of(attrs.get("gen_ai.evaluation.score.label"))
    return {
        "score_id": stable_id("evaluation", trace_id, span_id, name, value, label, event.time),
        "trace_id": trace_id,
        "span_id": span_id,
        "name": name,
        "value_text": value_word(value) or label,
        "label": label,
        "comment": explanation,
        "created_at": event.time,
        "metadata": {k: v for k, v in attrs.items() if k not in _EVALUATION_READ} or None,
        "project": resource.get(PROJECT),
    }


def value_word(value: Any) -> str | None:
    """A value as text: a number, true or false, or a word."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else text_of(value)
