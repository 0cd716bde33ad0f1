"""One LangSmith feedback row as a score and, where a person corrected it, a second score or a correction.

Who judged: ``auto_eval`` and ``model`` are a judge; ``app``, or a user's id on anything else, is a human; ``api`` may be an
end user's thumb or somebody's code, so it is unknown until a user maps it, unless we pushed it and said who judged. A correction that holds a score on a judge's row is a
person overruling the judge: a score of its own, by a human, on the same run. Any other correction is the right answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import schema
from .. import chat
from .columns import RATERS

CLOUD_KEYS = ("feedback_group_id", "comparative_experiment_id")


def looks_like(row: dict) -> bool:
    """Whether a record is a feedback row."""
    return "key" in row and ("feedback_source" in row or ("score" in row and ("run_id" in row or "session_id" in row)))


def records(row: dict) -> Iterator[tuple[str, dict]]:
    """(shape, data) of everything that one feedback row says."""
    source = chat.mapping(row.get("feedback_source"))
    word = (chat.word(source.get("type")) or "").lower()
    notes = chat.mapping(source.get("metadata"))
    pushed = notes.get("rater") if word == "api" and notes.get("rater") in schema.RATERS else None
    person = chat.word(chat.first(notes.get("rater_id") if pushed else None, source.get("user_id"), source.get("ls_user_id")))
    rater = RATERS.get(word) or pushed or ("human" if person else "unknown")
    base = {**row, **target(row), "_score_id": row.get("id"), "_rater_id": person, "_created_at": row.get("created_at")}
    correction = chat.first(chat.embedded(row.get("correction"), row.get("correction")))
    overruled = _override(row, correction) if rater == "judge" else None
    if correction not in (None, {}, []) and overruled is None:
        yield "correction", {**base, "correction": correction}
    if overruled is not None:
        yield "feedback", {**base, **overruled, "_rater": "human", "_rater_word": "correction", "_rater_id": None}
    if not _silent(row) or correction in (None, {}, []):
        given = {**_value(row.get("score"), row.get("value")), "_comment": row.get("comment")}
        yield "feedback", {**base, **given, "_rater": rater, "_rater_word": word or None, "_metadata": _metadata(row, source)}


def _silent(row: dict) -> bool:
    """Whether the row judges nothing: no score, value or comment."""
    return all(row.get(k) in (None, "") for k in ("score", "value", "comment"))


def target(row: dict) -> dict:
    """What was judged: the run is the span; its root, or a run that is its own trace, stands for the whole trace."""
    run, trace = chat.word(row.get("run_id")), chat.word(row.get("trace_id"))
    root = chat.word(row.get("is_root")) == "true" or (run is not None and run == trace)
    return {"_trace_id": trace or (run if root else None), "_span_id": None if root else run}


def _value(score: Any, value: Any) -> dict:
    """The number (or true/false) as value, a text beside it as label; a value alone is itself."""
    if chat.word(score) is None:
        score, value = value, None
    kind = "boolean" if isinstance(score, bool) else "numeric" if chat.number(score) is not None else None
    return {
        "_value_text": chat.word(score) if not isinstance(score, (dict, list)) else chat.raw(score),
        "_label": chat.word(value),
        "_data_type": kind or ("categorical" if score not in (None, "") else "text"),
    }


def _override(row: dict, correction: Any) -> dict | None:
    """The score that a person put in the judge's place."""
    body = correction if isinstance(correction, dict) else {"score": correction}
    score, value = body.get("score", body.get(row.get("key")) if isinstance(row.get("key"), str) else None), body.get("value")
    if chat.word(score) is None and chat.word(value) is None:
        return None
    return {
        **_value(score, value),
        "_score_id": f"{row.get('id')}:correction" if row.get("id") else None,
        "_comment": chat.word(chat.first(body.get("comment"), body.get("explanation"))),
        "_created_at": chat.first(row.get("modified_at"), row.get("created_at")),
    }


def _metadata(row: dict, source: dict) -> dict | None:
    """What has no column: the judge's own run, the evaluator's notes, groups; the experiment that was scored as a whole."""
    notes = {k: v for k, v in chat.mapping(source.get("metadata")).items() if k != "__run" and not chat.is_secret(k)}
    judge = chat.word(chat.mapping(chat.mapping(source.get("metadata")).get("__run")).get("run_id"))
    kept = {**chat.mapping(row.get("extra")), **notes, **{k: row[k] for k in CLOUD_KEYS if row.get(k)}}
    if judge:
        kept["judge_run_id"] = judge
    if not row.get("run_id") and not row.get("trace_id") and not row.get("feedback_thread_id"):
        kept["experiment_id"] = row.get("session_id")
    return kept or None
