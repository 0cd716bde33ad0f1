"""The neutral traffic as LangSmith runs: the row of API v2 (``items``) and the row of the deprecated API v1 (``runs``)."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter

import orjson

from .traffic import SpanT, TraceT

NAMES = uuid.UUID("7c0f5a3e-8f8e-4a53-9d0e-6f3f3b1c2d10")
TENANT = str(uuid.uuid5(NAMES, "workspace"))
PRICES = {
    "gpt-4.1-mini-2025-04-14": (0.4e-6, 1.6e-6, 0.1e-6),
    "gpt-4.1-2025-04-14": (2e-6, 8e-6, 0.5e-6),
}
"""USD per token in, out and read from the cache, as GET /model-price-map gives them too."""
FIELDS = (
    "id", "name", "run_type", "status", "start_time", "end_time", "latency_seconds", "first_token_time", "error",
    "error_preview", "extra", "metadata", "events", "inputs", "inputs_preview", "outputs", "outputs_preview", "manifest",
    "parent_run_ids", "project_id", "trace_id", "thread_id", "dotted_order", "is_root", "reference_example_id",
    "reference_dataset_id", "total_tokens", "prompt_tokens", "completion_tokens", "total_cost", "prompt_cost",
    "completion_cost", "prompt_token_details", "completion_token_details", "prompt_cost_details", "completion_cost_details",
    "price_model_id", "tags", "app_path", "attachments", "thread_evaluation_time", "is_in_dataset", "last_queued_at",
    "share_url", "feedback_stats", "ls_user_id",
)  # fmt: skip
V1_FIELDS = (
    "app_path", "child_run_ids", "completion_cost", "completion_cost_details", "completion_token_details",
    "completion_tokens", "dotted_order", "end_time", "error", "events", "extra", "feedback_stats", "first_token_time", "id",
    "in_dataset", "inputs", "inputs_preview", "inserted_at", "last_queued_at", "manifest_id", "name", "outputs",
    "outputs_preview", "parent_run_id", "parent_run_ids", "price_model_id", "prompt_cost", "prompt_cost_details",
    "prompt_token_details", "prompt_tokens", "reference_dataset_id", "reference_example_id", "run_type", "s3_urls",
    "serialized", "session_id", "share_token", "start_time", "status", "tags", "thread_id", "total_cost", "total_tokens",
    "trace_first_received_at", "trace_id", "trace_tier", "ttl_seconds",
)  # fmt: skip
IN_ORDER = itemgetter(*FIELDS)
NAMED = {f: f'"{f}":'.encode() for f in FIELDS}
NULLS = {f: name + b"null" for f, name in NAMED.items()}
RUNTIME = {"sdk": "langsmith-py", "library": "langsmith", "runtime": "python"}
ENVIRONMENT = {"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": "https://api.smith.langchain.com"}
TRACEBACK = '\n\nTraceback (most recent call last):\n  File "app.py", line 7, in answer\n'
PREVIEW = 120
NO_MARKS = str.maketrans("", "", "-:.")
CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DAYS = {"shortlived": 14, "longlived": 400}


def uid(neutral: str) -> str:
    """The UUID that LangSmith knows a neutral id by: the id itself where it is one."""
    return neutral if CANONICAL.fullmatch(neutral) else str(uuid.uuid5(NAMES, neutral))


def stamp(at: datetime | None) -> str | None:
    """A time as API v2 writes it."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def naive(at: datetime | None) -> str | None:
    """A time as API v1 writes it: UTC without saying so."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")[:26]


def money(usd: float | None) -> str | None:
    """An amount as API v1 writes it: a decimal text."""
    return None if usd is None else format(Decimal(repr(float(usd))), "f")


@dataclass(frozen=True)
class Usage:
    """Tokens and USD, of one run or of its whole subtree. ``cost`` is the total as the traffic has it."""

    tokens_in: int = 0
    tokens_out: int = 0
    cache_read: int | None = None
    cost: float = 0.0
    cost_out: float = 0.0
    cost_cache: float = 0.0

    @property
    def total(self) -> int:
        return self.tokens_in + self.tokens_out

    def __add__(self, other: Usage) -> Usage:
        cached = [n for n in (self.cache_read, other.cache_read) if n is not None]
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            sum(cached) if cached else None,
            self.cost + other.cost,
            self.cost_out + other.cost_out,
            self.cost_cache + other.cost_cache,
        )

    @classmethod
    def of(cls, span: SpanT) -> Usage:
        """What a span used itself; zeros where it used nothing, failed or has not ended."""
        if span.end is None or (span.tokens_in is None and span.tokens_out is None):
            return cls(cost=(span.cost_usd or 0.0) if span.end else 0.0)
        into, out, cost = span.tokens_in or 0, span.tokens_out or 0, span.cost_usd or 0.0
        prices = PRICES.get(span.model or "")
        share = min(out * prices[1], cost) if prices else cost * out / max(into + out, 1)
        return cls(into, out, span.tokens_cache_read, cost, share, (span.tokens_cache_read or 0) * prices[2] if prices else 0.0)

    def metadata(self) -> dict:
        """``usage_metadata`` as a tracer reports it: input inclusive of what came from the cache."""
        details = {} if self.cache_read is None else {"input_token_details": {"cache_read": self.cache_read}}
        return {"input_tokens": self.tokens_in, "output_tokens": self.tokens_out, "total_tokens": self.total, **details}


@dataclass(slots=True)
class Run:
    """One run. ``parents`` go from the root down; ``own`` is its usage, ``tree`` that of its subtree, itself included.

    ``values`` and ``rolled`` are the v2 row in the order of ``FIELDS``, each field as JSON with its name, without and with the
    subtree's usage. ``hub`` is what only a prompt run knows.
    """

    id: str
    trace_id: str
    project_id: str
    span: SpanT
    trace: TraceT
    parents: tuple[str, ...]
    dotted: str
    received: datetime
    example: str | None = None
    dataset: str | None = None
    own: Usage = field(default_factory=Usage)
    tree: Usage = field(default_factory=Usage)
    tree_first_token: datetime | None = None
    children: list[str] = field(default_factory=list)
    hub: dict = field(default_factory=dict)
    values: tuple[bytes, ...] = ()
    rolled: tuple[bytes, ...] = ()

    @property
    def kind(self) -> str:
        return self.span.kind if self.span.kind in ("llm", "retriever", "tool", "prompt", "embedding", "parser") else "chain"

    @property
    def name(self) -> str:
        """A root carries the name of its trace, for LangSmith has no other place for it."""
        return self.span.name if self.parents else self.trace.name

    @property
    def status(self) -> str:
        return "error" if self.span.error else "pending" if self.span.end is None else "success"

    @property
    def seconds(self) -> float | None:
        return (self.span.end - self.span.start).total_seconds() if self.span.end else None

    @property
    def metadata(self) -> dict:
        """What the run was tagged with: ``session_id`` here is the thread, not the project. The SDK adds its environment."""
        own = {}
        if self.kind == "llm":
            own = {"ls_provider": "openai", "ls_model_type": "chat", "ls_model_name": self.span.model}
            own |= {"usage_metadata": self.own.metadata()} if self.own.total else {}
        return {
            **self.trace.metadata,
            "user_id": self.trace.user_id,
            "session_id": self.trace.session_id,
            "environment": self.trace.environment,
            "release": self.trace.release,
            "ls_method": "traceable",
            **ENVIRONMENT,
            **own,
            **self.hub,
        }

    @property
    def text(self) -> str:
        """What ``search`` looks through."""
        return " ".join(t for t in (self.name, self.span.input, self.span.output, self.span.error) if t)

    def prepare(self, stats: dict) -> None:
        """Build the v2 rows; ``stats`` is the run's feedback_stats."""
        made = _written(_row(self, stats))
        self.values = self.rolled = IN_ORDER(made)
        if self.children:
            made |= _written(self.rollup())
            self.rolled = IN_ORDER(made)

    def rollup(self) -> dict:
        """The fields that ``include_subtree_usage`` fills from the subtree."""
        return {**_usage(self.tree), "first_token_time": stamp(self.tree_first_token)}


def runs_of(trace: TraceT, project_id: str, received: datetime | None, hub_prompts: bool) -> list[Run]:
    """The runs of a trace, each with its place in the tree; the rows are not prepared yet.

    The first span is the root, and its run id is the trace id. ``received``: when the server got them, if not on time.
    """
    root = trace.spans[0]
    ids = {s.id: uid(s.id) for s in trace.spans} | {root.id: uid(trace.id)}
    spans = {s.id: s for s in trace.spans}
    steps = {s.id: _step(s.start, ids[s.id]) for s in trace.spans}
    made = {s.id: _placed(s, spans, ids, steps, trace, project_id, received) for s in trace.spans}
    for run in list(made.values()):
        if hub_prompts and run.kind == "llm" and run.parents and uuid.UUID(run.trace_id).int % 2:
            prompt = _prompt(run)
            made[prompt.span.id] = prompt
    runs = list(made.values())
    by_id = {r.id: r for r in runs}
    for run in runs:
        _count(run, by_id)
    return runs


def _placed(span: SpanT, spans: dict, ids: dict, steps: dict, trace: TraceT, project_id: str, received: datetime | None) -> Run:
    line = [span]
    while line[-1].parent_id in spans:
        line.append(spans[line[-1].parent_id])
    if line[-1] is not trace.spans[0]:
        line.append(trace.spans[0])
    line.reverse()
    return Run(
        id=ids[span.id],
        trace_id=ids[line[0].id],
        project_id=project_id,
        span=span,
        trace=trace,
        parents=tuple(ids[s.id] for s in line[:-1]),
        dotted=".".join(steps[s.id] for s in line),
        received=received or span.start,
        own=Usage.of(span),
    )


def _step(start: datetime, id: str) -> str:
    return naive(start).translate(NO_MARKS) + "Z" + id


def _prompt(llm: Run) -> Run:
    """The prompt run that stands before an llm run: only it knows which hub prompt was sent."""
    start = llm.span.start - timedelta(milliseconds=4)
    span = SpanT(
        f"{llm.span.id}:prompt", llm.span.trace_id, llm.span.parent_id, "prompt", "ChatPromptTemplate", start,
        start + timedelta(milliseconds=1), input=llm.span.input, output=llm.span.input,
    )  # fmt: skip
    commit = uuid.uuid5(NAMES, llm.trace.release).hex[:8]
    hub = {"lc_hub_owner": "acme", "lc_hub_repo": f"{llm.trace.name}-answer", "lc_hub_commit_hash": commit}
    id = uid(span.id)
    dotted = f"{llm.dotted.rpartition('.')[0]}.{_step(start, id)}"
    return replace(llm, id=id, span=span, dotted=dotted, own=Usage(), children=[], hub=hub)


def _count(run: Run, by_id: dict[str, Run]) -> None:
    """Add a run's usage to itself and to everything above it."""
    first, used = run.span.first_token, run.own != Usage()
    for above in (run.id, *run.parents):
        other = by_id[above]
        if used:
            other.tree = other.tree + run.own
        if first is not None and (other.tree_first_token is None or first < other.tree_first_token):
            other.tree_first_token = first
        if other is not run:
            other.children.append(run.id)


def _inputs(run: Run) -> dict:
    text = run.span.input
    if run.kind == "llm":
        return {"messages": [{"role": "user", "content": text or ""}], "model": run.span.model}
    return {} if text is None else {"input": text}


def _outputs(run: Run) -> dict | None:
    """What came out: OpenAI's form of an llm, the value under ``output`` of anything else; a failure keeps a null there."""
    if run.span.end is None:
        return None
    text = run.span.output
    if run.kind == "llm":
        if text is None:
            return None
        message = {"role": "assistant", "content": text, "refusal": None}
        usage = {"usage_metadata": run.own.metadata()} if run.own.total else {}
        choices = [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}]
        return {"object": "chat.completion", "model": run.span.model, "choices": choices, **usage}
    if run.kind == "retriever" and text and text.startswith("["):
        return {"output": json.loads(text)}
    if run.kind == "prompt":
        return {"output": {"messages": [{"type": "human", "content": text}]}}
    return {"output": text}


def _error(span: SpanT) -> str | None:
    return f"{span.error}{TRACEBACK}{span.error}\n" if span.error else None


def _usage(usage: Usage) -> dict:
    """The server's columns. It fills them with zeros where nothing was used."""
    cached = usage.cache_read is not None
    return {
        "total_tokens": usage.total,
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_cost": usage.cost,
        "prompt_cost": usage.cost - usage.cost_out,
        "completion_cost": usage.cost_out,
        "prompt_token_details": {"raw": {"cache_read": usage.cache_read}} if cached else None,
        "completion_token_details": None,
        "prompt_cost_details": {"raw": {"cache_read": usage.cost_cache}} if cached else None,
        "completion_cost_details": None,
    }


def _row(run: Run, stats: dict) -> dict:
    span, inputs, outputs, error = run.span, _inputs(run), _outputs(run), _error(run.span)
    token = [{"name": "new_token", "time": stamp(span.first_token), "kwargs": {}}] if span.first_token else []
    return {
        "id": run.id,
        "name": run.name,
        "run_type": run.kind.upper(),
        "status": run.status.upper(),
        "start_time": stamp(span.start),
        "end_time": stamp(span.end),
        "latency_seconds": run.seconds,
        "first_token_time": stamp(span.first_token),
        "error": error,
        "error_preview": span.error,
        "extra": {"metadata": {}, "runtime": RUNTIME},
        "metadata": run.metadata,
        "events": token,
        "inputs": inputs,
        "inputs_preview": (span.input or "")[:PREVIEW],
        "outputs": outputs,
        "outputs_preview": (span.output or "")[:PREVIEW] if outputs else None,
        "manifest": None,
        "parent_run_ids": run.parents,
        "project_id": run.project_id,
        "trace_id": run.trace_id,
        "thread_id": run.trace.session_id,
        "dotted_order": run.dotted,
        "is_root": not run.parents,
        "reference_example_id": run.example,
        "reference_dataset_id": run.dataset,
        **_usage(run.own),
        "price_model_id": str(uuid.uuid5(NAMES, span.model)) if span.model in PRICES else None,
        "tags": run.trace.tags,
        "app_path": f"/o/{TENANT}/projects/p/{run.project_id}/r/{run.id}",
        "attachments": None,
        "thread_evaluation_time": None,
        "is_in_dataset": False,
        "last_queued_at": None,
        "share_url": None,
        "feedback_stats": stats,
        "ls_user_id": None,
    }


def _written(row: dict) -> dict[str, bytes]:
    """Each field as JSON with its name. Nulls are the same bytes everywhere, which keeps a big double small."""
    return {f: NULLS[f] if v is None else NAMED[f] + orjson.dumps(v) for f, v in row.items()}


def v1_row(run: Run, stats: dict, tier: str) -> dict:
    """The whole v1 row: lower case, money as text, naive times, usage of the subtree."""
    row = _row(run, stats) | _usage(run.tree)
    parents = list(run.parents)
    for name in ("total_cost", "prompt_cost", "completion_cost"):
        row[name] = money(row[name])
    for name in ("prompt_token_details", "completion_token_details", "prompt_cost_details", "completion_cost_details"):
        raw = (row[name] or {}).get("raw")
        row[name] = raw and {k: money(v) if "cost" in name else v for k, v in raw.items()}
    told = ("n", "avg", "values", "comments")
    return row | {
        "feedback_stats": {key: {k: one[k] for k in told} for key, one in stats.items()},
        "run_type": run.kind,
        "status": run.status,
        "start_time": naive(run.span.start),
        "end_time": naive(run.span.end),
        "first_token_time": naive(run.tree_first_token),
        "extra": {"metadata": run.metadata, "runtime": RUNTIME},
        "events": [e | {"time": naive(run.span.first_token)} for e in row["events"]],
        "session_id": run.project_id,
        "parent_run_id": parents[-1] if parents else None,
        "child_run_ids": run.children,
        "in_dataset": False,
        "serialized": None,
        "manifest_id": None,
        "s3_urls": None,
        "share_token": None,
        "inserted_at": naive(run.received),
        "trace_first_received_at": naive(run.received),
        "trace_tier": tier,
        "ttl_seconds": DAYS[tier] * 86400,
    }
