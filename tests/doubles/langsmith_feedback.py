"""Feedback of the LangSmith double: rows of GET /feedback, and what runs and projects show of them as statistics."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .langsmith_rows import NAMES, Run, naive, uid
from .traffic import ScoreT

SOURCES = {"human": "app", "judge": "auto_eval", "api": "api"}
"""How LangSmith names who judged: a person in the UI or a queue, an online evaluator, anybody's code."""


@dataclass(slots=True)
class Feedback:
    """One judgement of a run; of a whole experiment where ``run`` is None. ``source`` is app, auto_eval, model or api."""

    id: str
    key: str
    source: str
    project_id: str
    created: datetime
    modified: datetime
    run: Run | None = None
    score: float | bool | None = None
    value: object = None
    comment: str | None = None
    correction: object = None
    author: str | None = None
    arrived: datetime | None = None

    def row(self, *, names: bool) -> dict:
        """As GET /feedback gives it; ``names`` as ``include_user_names`` asks."""
        run = self.run
        return {
            "id": self.id,
            "created_at": naive(self.created),
            "modified_at": naive(self.modified),
            "key": self.key,
            "score": self.score,
            "value": self.value,
            "comment": self.comment,
            "correction": self.correction,
            "run_id": run.id if run else None,
            "trace_id": run.trace_id if run else None,
            "session_id": self.project_id,
            "start_time": naive(run.span.start) if run else None,
            "is_root": run is not None and not run.parents,
            "feedback_source": self._source(names=names),
            "feedback_group_id": None,
            "comparative_experiment_id": None,
            "feedback_thread_id": None,
            "extra": None,
        }

    def _source(self, *, names: bool) -> dict:
        judged = self.source in ("auto_eval", "model")
        return {
            "type": self.source,
            "metadata": {"__run": {"run_id": str(uuid.uuid5(NAMES, f"judge of {self.id}"))}} if judged else {},
            "user_id": uid(self.author) if self.author else None,
            "user_name": self.author if names else None,
        }


def feedback_of(score: ScoreT, run: Run) -> Feedback:
    """A neutral score as feedback on its run."""
    return Feedback(
        id=uid(score.id),
        key=score.name,
        source=SOURCES[score.rater],
        project_id=run.project_id,
        created=score.created,
        modified=score.updated or score.created,
        run=run,
        score=score.value,
        comment=score.comment,
        author=score.author,
        arrived=score.arrived,
    )


def feedback_stats(given: Sequence[Feedback]) -> dict[str, dict]:
    """Per key what ``feedback_stats`` shows: numbers summed up, labels counted, a sample of comments and sources."""
    keys: dict[str, list[Feedback]] = {}
    for one in given:
        keys.setdefault(one.key, []).append(one)
    return {key: _stats(some) for key, some in keys.items()}


def _stats(given: Sequence[Feedback]) -> dict:
    numbers = [float(f.score) for f in given if isinstance(f.score, (int, float))]
    labels = [f.value for f in given if isinstance(f.value, str)]
    return {
        "n": len(given),
        "avg": statistics.fmean(numbers) if numbers else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "stdev": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "errors": 0,
        "values": {label: labels.count(label) for label in labels},
        "comments": [f.comment for f in given if f.comment][:3],
        "sources": sorted({f.source for f in given}),
        "contains_thread_feedback": False,
    }
