"""MLflow's assessments as scores.

An assessment that was overridden, or is marked ``valid: false``, does not count. What an assessment overrode is kept in
its metadata under ``mlflow.overridden``; one that is not valid and that nothing valid replaced goes to the quarantine with
its text.
An expectation is a label that somebody gave: a score whose data type is text, with ``mlflow.assessmentKind`` in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..base import Bad, Record
from ..otel.export import bad_record
from ..otel.scores import value_word
from ..otel.spans import child, fallback_id, object_of
from ..otel.values import hex_id, opened, text_of
from . import columns
from .traces import Trace, project_of

# What MLflow's own judges answer.
_YES_NO = {"yes": "true", "no": "false"}


def assessment_records(line: int, trace: Trace) -> Iterator[Record | Bad]:
    """One score per assessment that counts; Bad for what cannot be read or counts no more."""
    given = [a for a in trace.assessments if isinstance(a, dict)]
    yield from (bad_record(line, "not an assessment", a) for a in trace.assessments if not isinstance(a, dict))
    known = {text_of(a.get("assessment_id")): a for a in given}
    valid = [a for a in given if a.get("valid") not in (False, "false")]
    overridden = {text_of(a.get("overrides")) for a in valid} - {None}
    current = [a for a in valid if text_of(a.get("assessment_id")) not in overridden]
    histories = [_history(a, known) for a in current]
    kept = {id(a) for a in current} | {id(old) for history in histories for old in history}
    yield from (_record(line, a, trace, history) for a, history in zip(current, histories, strict=True))
    yield from (bad_record(line, "assessment is no longer valid and nothing replaced it", a) for a in given if id(a) not in kept)


def _history(one: dict, known: dict) -> list[dict]:
    """What an assessment overrode, newest first."""
    found: list[dict] = []
    older = known.get(text_of(one.get("overrides"))) if one.get("overrides") else None
    while older is not None and older is not one and older not in found:
        found.append(older)
        older = known.get(text_of(older.get("overrides"))) if older.get("overrides") else None
    return found


def _record(line: int, one: dict, trace: Trace, history: list[dict]) -> Record | Bad:
    name = text_of(child(one, "assessment_name", "name"))
    feedback, expectation = one.get("feedback"), one.get("expectation")
    if name is None or not (isinstance(feedback, dict) or isinstance(expectation, dict)):
        what = "a name" if name is None else "feedback and no expectation"
        return bad_record(line, f"assessment without {what}", one)
    value = feedback.get("value") if isinstance(feedback, dict) else _expectation(expectation)
    word = _YES_NO.get(value.lower()) if isinstance(value, str) and isinstance(feedback, dict) else None
    about = object_of(opened(one.get("metadata")))
    session = text_of(about.get(columns.TRACE_SESSION))
    source = object_of(one.get("source"))
    return Record(
        "score",
        line,
        {
            **{k: one.get(k) for k in ("create_time", "create_time_ms", "last_update_time", "last_update_time_ms")},
            "assessment_id": text_of(one.get("assessment_id")) or fallback_id(one),
            "trace_id": None if session else text_of(one.get("trace_id")) or trace.trace_id,
            "span_id": None if session else hex_id(one.get("span_id")),
            "session_id": session,
            "name": name,
            "value_text": word or _text(value),
            "label": value if word else None if isinstance(feedback, dict) else _text(value),
            "data_type": ("boolean" if word else _data_type(value)) if isinstance(feedback, dict) else "text",
            "source": source,
            "judge_model": _judge_model(source),
            "rationale": text_of(one.get("rationale")),
            "metadata": _metadata(one, about, history, trace) or None,
            "project": project_of(trace.info),
        },
    )


def _expectation(expectation: dict) -> Any:
    serialized = expectation.get("serialized_value")
    return opened(serialized.get("value"), serialized.get("value")) if isinstance(serialized, dict) else expectation.get("value")


def _text(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value_word(value)


def _data_type(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "numeric"
    return "categorical" if isinstance(value, str) else None if value is None else "text"


def _judge_model(source: dict) -> str | None:
    """The model in a judge's id where that is a model's address (``openai:/gpt-4o``)."""
    provider, mark, model = (text_of(source.get("source_id")) or "").partition(":/")
    return model or None if mark and provider and str(source.get("source_type")).upper() != "HUMAN" else None


def _metadata(one: dict, about: dict, history: list[dict], trace: Trace) -> dict[str, Any]:
    feedback = object_of(one.get("feedback"))
    found = dict(about)
    if isinstance(one.get("expectation"), dict) and not feedback:
        found["mlflow.assessmentKind"] = "expectation"
    if history:
        found["mlflow.overridden"] = history
    error = feedback.get("error") or one.get("error")
    if error:
        found["mlflow.error"] = error
    if columns.TRACE_SESSION in about and trace.trace_id:
        found["mlflow.traceOfSession"] = trace.trace_id
    return found
