"""Scores in the words of the Langfuse API, with those that Langfuse has beyond the neutral traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import xxhash

from .langfuse_wire import iso, ms
from .traffic import ScoreT, SpanT, TraceT

SOURCES = {"human": "ANNOTATION", "judge": "EVAL", "api": "API"}
JUDGE_ENVIRONMENT = "langfuse-llm-as-a-judge"
QUEUE = "queue-1"


@dataclass(frozen=True)
class Score:
    """One score. ``kind`` is its subject's: trace, observation, session or experiment."""

    id: str
    project: str
    name: str
    source: str
    data_type: str
    value: float | bool | str
    at: datetime
    created: datetime
    updated: datetime
    environment: str
    kind: str
    subject: str
    trace_id: str | None = None
    comment: str | None = None
    config_id: str | None = None
    metadata: dict = field(default_factory=dict)
    author: str | None = None
    queue: str | None = None

    @property
    def key(self) -> tuple[int, str]:
        return (ms(self.at), self.id)

    @property
    def of_trace(self) -> str | None:
        """The trace that it belongs to; None for a session's or an experiment's."""
        return self.subject if self.kind == "trace" else self.trace_id

    @property
    def session_id(self) -> str | None:
        return self.subject if self.kind == "session" else None

    @property
    def observation_id(self) -> str | None:
        return self.subject if self.kind == "observation" else None

    @property
    def experiment_id(self) -> str | None:
        return self.subject if self.kind == "experiment" else None


def share(seed: int, name: str) -> float:
    """A number in [0, 1) that belongs to a name, the same in every run."""
    return xxhash.xxh64_intdigest(f"{seed}:{name}".encode()) / 2**64


def score_of(project: str, trace: TraceT, told: ScoreT, *, judged: bool) -> Score:
    """A judgement of the traffic. Human labels of 0 and 1 are BOOLEAN, labels CATEGORICAL, everything else NUMERIC."""
    kind = "CATEGORICAL" if isinstance(told.value, str) else "BOOLEAN" if told.rater != "judge" else "NUMERIC"
    if kind == "BOOLEAN" and told.value not in (0, 1):
        kind = "NUMERIC"
    human = told.rater == "human"
    return Score(
        id=told.id, project=project, name=told.name, source=SOURCES[told.rater], data_type=kind,
        value=bool(told.value) if kind == "BOOLEAN" else told.value,
        at=told.created, created=told.arrived or told.created,
        updated=told.updated or told.arrived or told.created, environment=trace.environment,
        kind="observation" if told.span_id else "trace", subject=told.span_id or told.trace_id,
        trace_id=told.trace_id if told.span_id else None,
        comment=told.comment, config_id=f"config-{told.name}" if human else None,
        metadata=evaluator(told.name) if judged and told.rater == "judge" else {},
        author=told.author, queue=QUEUE if human else None,
    )  # fmt: skip


def evaluator(name: str) -> dict:
    """What the score and the run of a judge say of it."""
    return {"evaluator_id": f"evaluator-{name}", "evaluator_version_id": f"evaluator-{name}-v1"}


def corrections(project: str, trace: TraceT, seed: int) -> Iterator[Score]:
    """A human's right answer for one in ten of the scored traces."""
    if trace.scores and share(seed, f"correction {trace.id}") < 0.1:
        yield _extra(
            project, trace, "correction", name="output", source="ANNOTATION", data_type="CORRECTION",
            value="The invoice is in the billing page.", author="user-7",
        )  # fmt: skip


def labels(project: str, trace: TraceT, seed: int) -> Iterator[Score]:
    """A category and a free text for one in ten of the traces, the text on its last observation."""
    if share(seed, f"labels {trace.id}") < 0.1:
        yield _extra(project, trace, "topic", name="topic", source="API", data_type="CATEGORICAL", value="billing")
        yield replace(
            _extra(project, trace, "note", name="note", source="API", data_type="TEXT", value="The tone is too formal."),
            kind="observation", subject=trace.spans[-1].id, trace_id=trace.id,
        )  # fmt: skip


def subjects(project: str, trace: TraceT, seed: int) -> Iterator[Score]:
    """A score of the whole session for one in ten of the traces."""
    if share(seed, f"subjects {trace.id}") < 0.1:
        given = _extra(project, trace, "session", name="resolved", source="API", data_type="BOOLEAN", value=True)
        yield replace(given, kind="session", subject=trace.session_id)


def _extra(project: str, trace: TraceT, what: str, **told) -> Score:
    at = trace.spans[0].start + timedelta(minutes=5)
    return Score(
        id=f"{what}-{trace.id}", project=project, at=at, created=at, updated=at, environment=trace.environment,
        kind="trace", subject=trace.id, **told,
    )  # fmt: skip


def judge_run(trace: TraceT, told: ScoreT) -> TraceT:
    """The call of the judge that gave a score: a row like any other, in an environment of Langfuse's own."""
    start = told.created - timedelta(seconds=2)
    target = {"target_trace_id": trace.id} | ({"target_observation_id": told.span_id} if told.span_id else {})
    run = SpanT(
        f"run-{told.id}", f"judge-{told.id}", None, "llm", f"Execute evaluator: {told.name}", start, told.created,
        model="gpt-4.1-mini-2025-04-14", tokens_in=400, tokens_out=30, tokens_cache_read=0, cost_usd=400 * 0.4e-6 + 30 * 1.6e-6,
        input="Is the answer helpful?", output=f'{{"score": {told.value}}}',
    )  # fmt: skip
    metadata = evaluator(told.name) | target | {"evaluation_rule_id": "rule-1", "job_execution_id": f"job-{told.id}"}
    return TraceT(run.trace_id, run.name, "", "", JUDGE_ENVIRONMENT, "", (), metadata, (run,))


def v3(score: Score, groups: set[str]) -> dict:
    """A score of v3/scores with the field groups asked for."""
    out = {
        "id": score.id, "projectId": score.project, "name": score.name, "dataType": score.data_type, "value": score.value,
        "source": score.source, "timestamp": iso(score.at), "environment": score.environment,
        "createdAt": iso(score.created), "updatedAt": iso(score.updated),
    }  # fmt: skip
    if "details" in groups:
        out |= {"comment": score.comment, "configId": score.config_id, "metadata": score.metadata}
    if "subject" in groups:
        of = {"traceId": score.trace_id} if score.trace_id else {}
        out["subject"] = {"kind": score.kind, "id": score.subject, **of}
    if "annotation" in groups:
        out |= {"authorUserId": score.author, "queueId": score.queue}
    return out


def v2(score: Score, trace: TraceT | None) -> dict:
    """A score of v2/scores, which says a category and its text beside a number."""
    text = {"stringValue": str(score.value)} if score.data_type != "NUMERIC" else {}
    of = trace and {
        "userId": trace.user_id,
        "tags": list(trace.tags),
        "environment": trace.environment,
        "sessionId": trace.session_id,
    }
    return {
        "id": score.id, "projectId": score.project, "name": score.name, "dataType": score.data_type,
        "value": 0 if isinstance(score.value, str) else float(score.value), **text,
        "source": score.source, "timestamp": iso(score.at), "environment": score.environment,
        "createdAt": iso(score.created), "updatedAt": iso(score.updated), "comment": score.comment,
        "configId": score.config_id, "metadata": score.metadata, "authorUserId": score.author, "queueId": score.queue,
        "traceId": score.of_trace, "observationId": score.observation_id, "sessionId": score.session_id,
        "datasetRunId": score.experiment_id, "trace": of,
    }  # fmt: skip


# What conditions and metrics read of a score.
COLUMNS = {
    "id": lambda s: s.id,
    "name": lambda s: s.name,
    "source": lambda s: s.source,
    "dataType": lambda s: s.data_type,
    "environment": lambda s: s.environment,
    "configId": lambda s: s.config_id,
    "traceId": lambda s: s.of_trace,
    "observationId": lambda s: s.observation_id,
    "sessionId": lambda s: s.session_id,
    "experimentId": lambda s: s.experiment_id,
    "queueId": lambda s: s.queue,
    "authorUserId": lambda s: s.author,
    "timestamp": lambda s: s.at,
    "timestampDay": lambda s: f"{s.at:%Y-%m-%d}",
    "timestampMonth": lambda s: f"{s.at:%Y-%m}",
    "value": lambda s: s.value if isinstance(s.value, str) else float(s.value),
    "stringValue": lambda s: s.value,
    "booleanValue": lambda s: bool(s.value),
}
