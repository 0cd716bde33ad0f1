"""What was said about the answers: a judge on a random share, thumbs of users, a few labels of humans."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from . import world
from .spans import Trace


def scores(rng: Random, traces: list[Trace], end: datetime) -> list[dict]:
    """All scores given before ``end``, in order of their traces; failed and staging requests get none."""
    out: list[dict] = []
    for trace in traces:
        draws = [rng.random() for _ in range(3)]
        if trace.quality is None or trace.request.environment != "production":
            continue
        if draws[0] < world.JUDGED:
            out.extend(_judged(rng, trace))
            if draws[1] < world.HUMAN:
                out.append(_human(rng, trace))
        if draws[2] < world.THUMBS:
            out.append(_thumb(rng, trace))
    return [score for score in out if score["created_at"] < end]


def _judged(rng: Random, trace: Trace) -> list[dict]:
    rater, model, version = world.JUDGE
    judge = {"rater": "judge", "rater_id": rater, "judge_model": model, "judge_version": version, "inclusion_prob": world.JUDGED}
    rows = [_score(rng, trace, "helpfulness", grade(rng.gauss(trace.quality, 0.05)), minutes=60, **judge)]
    if trace.cites:
        lost = world.GROUNDEDNESS_LOST * trace.request.affected
        rows.append(_score(rng, trace, "groundedness", grade(rng.gauss(0.87 - lost, 0.07)), minutes=60, **judge))
    return rows


def _human(rng: Random, trace: Trace) -> dict:
    value = round(min(max(rng.gauss(trace.quality, 0.08), 0), 1) * 4) / 4
    return _score(rng, trace, "helpfulness", value, minutes=4000, rater="human", rater_id=f"h-{rng.randrange(1, 4)}")


def _thumb(rng: Random, trace: Trace) -> dict:
    up = rng.random() < min(max(0.84 + 1.1 * (trace.quality - 0.8), 0.05), 0.98)
    row = _score(rng, trace, "thumbs", float(up), minutes=5, rater="user", rater_id=trace.request.user.id)
    return {**row, "data_type": "boolean", "label": "up" if up else "down"}


def _score(rng: Random, trace: Trace, name: str, value: float, *, minutes: int, rater: str, **values) -> dict:
    at = trace.rows[0]["end_time"] + timedelta(seconds=rng.randrange(10, minutes * 60))
    return {
        "score_id": f"{trace.id}-{name}-{rater}",
        "trace_id": trace.id,
        "session_id": trace.request.session,
        "name": name,
        "value": value,
        "data_type": "numeric",
        "rater": rater,
        "created_at": at,
        "source": "demo",
        "project": "",
        **values,
    }


def grade(value: float) -> float:
    """A judge's grade: 0 to 1 in steps of 0.05."""
    return round(min(max(value, 0.0), 1.0) * 20) / 20
