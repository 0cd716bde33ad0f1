"""One product's traffic in nobody's words: traces of spans and scores, which each double serves in its vendor's."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 2, tzinfo=UTC)
FEATURES = ("chat", "search", "summary")
MODELS = ("gpt-4.1-mini-2025-04-14", "gpt-4.1-2025-04-14")
QUESTION = "Where do I find the invoice of last month, and who may see it? "


@dataclass(frozen=True)
class SpanT:
    """One step of a trace. ``kind`` is chain, llm, retriever or tool; tokens and cost only on llm. Times are UTC."""

    id: str
    trace_id: str
    parent_id: str | None
    kind: str
    name: str
    start: datetime
    end: datetime | None
    first_token: datetime | None = None
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cache_read: int | None = None
    cost_usd: float | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None
    arrived: datetime | None = None


@dataclass(frozen=True)
class ScoreT:
    """One judgement. ``rater`` is human, judge or api; ``value`` a number, or a label text where ``label``."""

    id: str
    trace_id: str
    span_id: str | None
    name: str
    rater: str
    value: float
    created: datetime
    comment: str | None = None
    updated: datetime | None = None
    author: str | None = None
    arrived: datetime | None = None


@dataclass(frozen=True)
class TraceT:
    """One request: its root is the first span."""

    id: str
    name: str
    user_id: str
    session_id: str
    environment: str
    release: str
    tags: tuple[str, ...]
    metadata: dict[str, str]
    spans: tuple[SpanT, ...]
    scores: tuple[ScoreT, ...] = ()


@dataclass
class Traffic:
    """All traces; ``spans`` and ``scores`` in any order."""

    traces: list[TraceT] = field(default_factory=list)

    @property
    def spans(self) -> list[SpanT]:
        return [s for t in self.traces for s in t.spans]

    @property
    def scores(self) -> list[ScoreT]:
        return [s for t in self.traces for s in t.scores]


def traffic(seed: int = 0, *, traces: int = 60, days: int = 4, start: datetime = START, text_chars: int = 200) -> Traffic:
    """Traces of three spans (root chain, retriever or tool, llm) spread over ``days``; two in five are scored, one in ten fails."""
    chance = random.Random(seed)
    return Traffic(
        [_trace(chance, start + days * timedelta(days=1) * (at + chance.random()) / traces, text_chars) for at in range(traces)]
    )


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _trace(chance: random.Random, start: datetime, text_chars: int) -> TraceT:
    start = start.replace(microsecond=start.microsecond // 1000 * 1000)
    trace_id = _id(chance)
    spans = _spans(chance, trace_id, start, text_chars)
    scores = _scores(chance, spans) if chance.random() < 0.4 else ()
    tenant = f"tenant-{chance.randrange(8)}"
    return TraceT(
        id=trace_id,
        name=chance.choice(FEATURES),
        user_id=f"user-{chance.randrange(40)}",
        session_id=f"session-{chance.randrange(30)}",
        environment=chance.choice(("production", "production", "staging")),
        release=f"1.{start.day}",
        tags=("prod", chance.choice(("eu", "us"))),
        metadata={"tenant_id": tenant, "auth": chance.choice(("sso", "password"))},
        spans=spans,
        scores=scores,
    )


def _spans(chance: random.Random, trace_id: str, start: datetime, text_chars: int) -> tuple[SpanT, ...]:
    def ms(n: int) -> timedelta:
        return timedelta(milliseconds=n)

    total, failed = chance.randrange(400, 4000), chance.random() < 0.1
    tokens_in, tokens_out, cached = chance.randrange(100, 3000), chance.randrange(10, 600), chance.choice((0, 0, 64))
    model = chance.choice(MODELS)
    question = (QUESTION * (text_chars // len(QUESTION) + 1))[:text_chars]
    answer = f"The answer {chance.randrange(10**9)} " + "is in the billing page. " * (text_chars // 24)
    root = SpanT(trace_id, trace_id, None, "chain", "handle", start, start + ms(total), input=question, output=answer)
    kind = chance.choice(("retriever", "tool"))
    helper = SpanT(_id(chance), trace_id, root.id, kind, kind, start + ms(5), start + ms(60), input=question, output="[]")
    price = {MODELS[0]: (0.4e-6, 1.6e-6, 0.1e-6), MODELS[1]: (2e-6, 8e-6, 0.5e-6)}[model]
    llm = SpanT(
        _id(chance), trace_id, root.id, "llm", "answer", start + ms(70), start + ms(total - 5), start + ms(200), model,
        tokens_in, tokens_out, cached, (tokens_in - cached) * price[0] + cached * price[2] + tokens_out * price[1], question, answer,
    )  # fmt: skip
    if failed:
        error = "RateLimitError('429 Too Many Requests')"
        llm = replace(
            llm,
            error=error,
            output=None,
            tokens_out=None,
            tokens_in=None,
            tokens_cache_read=None,
            cost_usd=None,
            first_token=None,
        )
        root = replace(root, error=error, output=None)
    return root, helper, llm


def _scores(chance: random.Random, spans: tuple[SpanT, ...]) -> tuple[ScoreT, ...]:
    root = spans[0]
    at = root.start + timedelta(seconds=chance.randrange(20, 7200))
    found = [ScoreT(_id(chance), root.trace_id, None, "helpful", "judge", round(chance.random(), 3), at, "looks right")]
    if chance.random() < 0.5:
        given = at + timedelta(hours=chance.randrange(1, 30))
        found.append(
            ScoreT(
                _id(chance), root.trace_id, None, "helpful_human", "human", float(chance.random() < 0.7), given, author="user-7"
            )
        )
    if chance.random() < 0.5:
        found.append(ScoreT(_id(chance), root.trace_id, None, "thumb", "api", float(chance.random() < 0.8), at))
    return tuple(found)
