"""The spans of one request: what ran below it, how long it took, what it used and what it answered."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from random import Random

from . import texts, world
from .traffic import Request, pick
from .world import Model


class Trace:
    """One request played through: ``rows`` are its spans, ``quality`` its true helpfulness in 0-1 (null where it failed)."""

    def __init__(self, request: Request, number: int, rng: Random):
        self.request, self.rng = request, rng
        self.id = f"tr-{number:06d}"
        self.clock = request.at
        self.rows: list[dict] = []
        self.failed = False
        self.cites: list[str] = []
        self.prompt = rendered(request)
        self._shared = shared(request)
        self._root = f"{number:06d}-1"
        _PLAYS[request.feature.name](self)
        self.quality = None if self.failed else self._quality()

    def _quality(self) -> float:
        base = self.request.feature.helpfulness - world.HELPFULNESS_LOST * self.request.affected
        return min(max(self.rng.gauss(0.35 if self.blocked else base, 0.06), 0.0), 1.0)

    @property
    def blocked(self) -> bool:
        return any("block" in (row.get("guardrails") or "") for row in self.rows)

    def span(self, kind: str, name: str, ms: float, **values) -> dict:
        """Add a span that starts now and takes ``ms``; the clock moves on unless it is the root."""
        number = len(self.rows) + 1
        start = self.clock
        row = {
            **self._shared,
            "trace_id": self.id,
            "span_id": f"{self._root[:-1]}{number}",
            "parent_id": None if number == 1 else self._root,
            "kind": kind,
            "name": name,
            "start_time": start,
            "end_time": start + timedelta(milliseconds=round(ms)),
            "status": "ok",
            **values,
        }
        self.rows.append(row)
        if number > 1:
            self.clock = row["end_time"] + timedelta(milliseconds=self.rng.randrange(1, 6))
        return row

    def call(self, question: str, answer: str, *, context_tokens: int, finish: str = "stop", fails: float) -> dict:
        """Add a model call of the feature's own model."""
        request, rng = self.request, self.rng
        model, prompt = request.model, request.feature.prompt
        own = {
            "model_requested": model.requested,
            "provider": model.provider,
            "prompt_name": prompt,
            "prompt_version": request.version,
            "model_params": '{"temperature": 0.2}',
            "input": question,
            "system_prompt": self.prompt,
        }
        if rng.random() < fails:
            return self._failure(own)
        into = len(self.prompt) // 4 + len(question) // 4 + context_tokens
        out = max(len(answer) // 4 + rng.randrange(-4, 5), 3)
        ttft = lognormal(rng, model.ttft_ms, 0.35)
        read = into * 3 // 4 // 128 * 128 if rng.random() < 0.6 else 0
        return self.span(
            "llm",
            prompt,
            ttft + lognormal(rng, out * model.ms_per_token, 0.2),
            **own,
            model=model.resolved,
            ttft_ms=float(ttft),
            tokens_in=into,
            tokens_out=out,
            tokens_cache_read=read,
            finish_reason=finish,
            output=answer,
        )

    def _failure(self, own: dict) -> dict:
        self.failed = True
        kind = pick(self.rng, world.ERRORS)
        ms = 30_000 if kind == "timeout" else lognormal(self.rng, 300, 0.4)
        error = {"status": "error", "error_class": kind, "error_message": f"{kind} from {own['provider']}"}
        return self.span("llm", own["prompt_name"], ms, **own, **error, finish_reason="error")

    def root(self, kind: str, question: str) -> None:
        self.span(kind, self.request.feature.name, 0, input=question)

    def close(self, answer: str | None) -> None:
        """End the root: it lasts until now, and has failed if a model call failed."""
        root = self.rows[0]
        root["end_time"] = self.clock
        if self.failed:
            root.update({k: self.rows[-1][k] for k in ("status", "error_class", "error_message")})
        else:
            root["output"] = answer

    def answer(self) -> tuple[str, str]:
        """A question and its answer: the short one where the block is in the prompt."""
        question, full, short = texts.MAKERS[self.request.feature.name](self.rng, self.cites)
        return question, short if self.request.affected else full

    def retrieve(self, question: str) -> None:
        """Add a retriever span; its documents are the ones in ``cites``."""
        rng = self.rng
        scores = sorted((round(rng.uniform(0.62, 0.93), 2) for _ in self.cites), reverse=True)
        found = {"retrieval_ids": self.cites, "retrieval_scores": scores, "retrieval_index_version": self.request.index}
        self.span("retriever", "kb_search", lognormal(rng, 60, 0.4), input=question, **found)


def lognormal(rng: Random, median: float, sigma: float) -> int:
    """A whole number of milliseconds."""
    return round(median * math.exp(rng.gauss(0.0, sigma)))


def rendered(request: Request) -> str:
    """The system prompt with its variables filled in, and the block where it has been rolled out."""
    user = request.user
    text = world.PROMPTS[f"{request.feature.prompt}@{request.version}"]
    values = {"account": user.tenant.id, "plan": user.tenant.tier, "locale": user.locale, "date": f"{request.at:%Y-%m-%d}"}
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    return f"{text}\n\n{world.BLOCK}" if request.affected else text


def shared(request: Request) -> dict:
    """What every span of a request carries."""
    user = request.user
    return {
        "trace_name": request.feature.name,
        "feature": request.feature.name,
        "tenant_id": user.tenant.id,
        "user_id": user.id,
        "user_tier": user.tenant.tier,
        "session_id": request.session,
        "turn": request.turn,
        "environment": request.environment,
        "release": request.release,
        "locale": user.locale,
        "region": user.region,
        "metadata": {"auth": user.auth, "client": user.client},
        "source": "demo",
        "project": "",
    }


def _support(trace: Trace) -> None:
    trace.cites = documents(trace.rng)
    question, answer = trace.answer()
    trace.root("chain", question)
    trace.retrieve(question)
    trace.call(question, answer, context_tokens=lognormal(trace.rng, 1100, 0.25), fails=world.ERROR_RATE)
    if not trace.failed:
        answer = _guard(trace, answer)
    trace.close(answer)


def _guard(trace: Trace, answer: str) -> str:
    drawn = trace.rng.random()
    action = "block" if drawn < world.BLOCKED else "redact" if drawn < world.BLOCKED + world.REDACTED else "allow"
    verdict = [{"stage": "output", "action": action, "dimension": "personal_data", "policy": "p-2"}]
    trace.span("guardrail", "output_check", lognormal(trace.rng, 25, 0.3), guardrails=json.dumps(verdict))
    return "I cannot help with that here." if action == "block" else answer


def _search(trace: Trace) -> None:
    trace.cites = documents(trace.rng)
    question, answer = trace.answer()
    trace.root("chain", question)
    _embed(trace, world.EMBEDDER, question)
    trace.retrieve(question)
    trace.call(question, answer, context_tokens=lognormal(trace.rng, 1500, 0.25), fails=world.ERROR_RATE)
    trace.close(answer)


def _embed(trace: Trace, model: Model, question: str) -> None:
    names = {"model_requested": model.requested, "model": model.resolved, "provider": model.provider}
    trace.span("embedding", "embed_query", lognormal(trace.rng, 45, 0.3), tokens_in=len(question) // 4, **names)


def _summarise(trace: Trace) -> None:
    question, answer = trace.answer()
    trace.call(question, answer, context_tokens=lognormal(trace.rng, 700, 0.4), fails=world.ERROR_RATE)


def _analyse(trace: Trace) -> None:
    question, answer = trace.answer()
    trace.root("agent", question)
    context, rounds = 500, pick(trace.rng, ((1, 6), (2, 3), (3, 1)))
    for _ in range(rounds):
        trace.call(question, "run_sql(query)", context_tokens=context, finish="tool_calls", fails=world.ERROR_RATE / 3)
        if trace.failed:
            return trace.close(None)
        context += _run_sql(trace, question)
    trace.call(question, answer, context_tokens=context, fails=world.ERROR_RATE / 3)
    return trace.close(answer)


def _run_sql(trace: Trace, question: str) -> int:
    table, days = question.split()[2], int(question.split()[-2])
    query = texts.sql(table, question.split()[4], days)
    error = {"status": "error", "error_class": "tool", "error_message": "query ran longer than 10 s"}
    broken = error if trace.rng.random() < world.TOOL_ERROR_RATE else {"output": f"{trace.rng.randrange(3, 9)} rows"}
    trace.span("tool", "run_sql", lognormal(trace.rng, 180, 0.6), tool_name="run_sql", input=query, **broken)
    return trace.rng.randrange(80, 240)


def documents(rng: Random) -> list[str]:
    """Ids of three articles."""
    return [f"kb-{n:03d}" for n in rng.sample(range(1, 240), 3)]


_PLAYS = {"support_chat": _support, "search_answers": _search, "summarise": _summarise, "sql_agent": _analyse}
