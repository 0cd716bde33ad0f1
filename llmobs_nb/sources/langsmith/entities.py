"""What LangSmith's API lists beside runs and feedback: examples, feedback configs, annotation queue items, model prices."""

from __future__ import annotations

from .. import chat
from . import feedback

# Shape <- keys that only its records have, the most telling first.
_TOLD_BY = (
    ("queue_item", {"queue_run_id"}),
    ("queue_item", {"queue_id", "added_at"}),
    ("feedback_config", {"feedback_key", "feedback_config"}),
    ("price", {"match_pattern", "prompt_cost"}),
    ("example", {"dataset_id", "inputs", "outputs"}),
)


def shape_of(row: dict) -> str | None:
    """Which of these a record is; None for a run, feedback or a stranger. A run as a queue lists it is a queue item."""
    return next((shape for shape, keys in _TOLD_BY if keys <= row.keys()), None)


def made(shape: str, row: dict) -> dict:
    """A record with its ``_`` keys."""
    make = {"queue_item": _queue_item, "example": _example, "price": _price}.get(shape)
    return row if make is None else row | make(row)


def _queue_item(row: dict) -> dict:
    """What is to be judged, and whether it was: the queue's own section where the pull noted it, else any review."""
    section, reviewed = chat.word(row.get("queue_status")), row.get("last_reviewed_time")
    done = section == "archived" if section else bool(reviewed)
    run = chat.first(row.get("run_id"), row.get("id") if "queue_run_id" in row else None)
    return {
        **feedback.target(row | {"run_id": run}),
        "_thread": row.get("thread_id") if run is None else None,
        "_status": "completed" if done else "pending",
        "_completed_at": reviewed if done else None,
    }


def _example(row: dict) -> dict:
    split = chat.mapping(row.get("metadata")).get("dataset_split")
    return {"_split": ", ".join(map(str, split)) if isinstance(split, list) else split}


def _price(row: dict) -> dict:
    told = {"input": "prompt_cost_details", "output": "completion_cost_details", "provider": "provider"}
    return {"_prices": {ours: row[theirs] for ours, theirs in told.items() if row.get(theirs)} or None}
