"""The spans of every request, laid out in one table: which there are, in which order, how long, what they used and said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import words
from .behaviour import CHARS_PER_TOKEN, State
from .coded import Coded, texts
from .texts import Texts

KINDS = ("chain", "agent", "embedding", "retriever", "llm", "tool", "guardrail")
ROOT, AGENT, EMBED, RETRIEVE, LLM, TOOL, GUARD = range(7)
FAILED_MS = {"timeout": 30_000.0}
NULL = -1


@dataclass
class Rows:
    """One element per span, in order of traces and of steps. Texts are indices; a number that is missing is NaN."""

    trace: np.ndarray
    step: np.ndarray
    kind: np.ndarray
    root: np.ndarray
    ms: np.ndarray
    start: np.ndarray
    failed: np.ndarray
    error: Coded
    ttft: np.ndarray
    tokens_in: np.ndarray
    tokens_out: np.ndarray
    tokens_cached: np.ndarray
    cost: np.ndarray
    attempt: np.ndarray
    finish: Coded
    asked: np.ndarray  # index of the question, after them of tool inputs
    said: np.ndarray  # index of the answer
    planned: np.ndarray  # a model call that only calls a tool


def lay_out(rng: np.random.Generator, state: State, made: Texts) -> Rows:
    """All spans of a case."""
    kinds, trace, step = _steps(state)
    n = len(trace)
    blank = {name: np.full(n, np.nan) for name in ("ttft", "tokens_in", "tokens_out", "tokens_cached", "cost")}
    rows = Rows(
        trace=trace,
        step=step,
        kind=kinds,
        root=step == 0,
        ms=np.zeros(n),
        start=np.zeros(n, np.int64),
        failed=np.zeros(n, bool),
        error=Coded.empty(n),
        attempt=np.zeros(n, np.int64),
        finish=Coded.empty(n),
        asked=np.full(n, NULL),
        said=np.full(n, NULL),
        planned=np.zeros(n, bool),
        **blank,
    )
    _model_calls(rng, state, made, rows)
    _other_steps(rng, state, rows)
    _clock(state, rows)
    _roots(state, rows)
    return rows


def _steps(state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind, trace and place in the trace of every span."""
    form, rounds = state.of_feature("form"), state.rounds + state.repeats
    single, rag, agent = form == "single", form == "rag", form == "agent"
    embeds = rag & (state.product.writing.embedder is not None)
    guarded = state.of_feature("guarded") & ~state.lost
    parts = [
        (ROOT, ~agent & (~single | state.recovered), 0),
        (AGENT, agent, 0),
        (EMBED, embeds, 10),
        (RETRIEVE, rag, 20),
        (LLM, state.recovered, 9_000),
        (LLM, np.ones(len(form), bool), 9_500),
        (GUARD, guarded, 9_900),
    ]
    kind = [np.full(int(mask.sum()), k) for k, mask, _ in parts]
    trace = [np.flatnonzero(mask) for _, mask, _ in parts]
    order = [np.full(int(mask.sum()), at) for _, mask, at in parts]
    turns = np.repeat(np.arange(len(form)), rounds)
    number = np.arange(len(turns)) - np.repeat(rounds.cumsum() - rounds, rounds)
    for what, late in ((LLM, 0), (TOOL, 1)):
        kind.append(np.full(len(turns), what))
        trace.append(turns)
        order.append(100 + 2 * number + late)
    kind, trace, order = (np.concatenate(p) for p in (kind, trace, order))
    by = np.lexsort((order, trace))
    trace = trace[by]
    first = np.searchsorted(trace, trace)
    return kind[by], trace, np.arange(len(trace)) - first


def _model_calls(rng: np.random.Generator, state: State, made: Texts, rows: Rows) -> None:
    """Tokens, times, cost and texts of the llm spans; the last one of a trace answers, those before plan or fail."""
    at = np.flatnonzero(rows.kind == LLM)
    trace = rows.trace[at]
    last = np.append(trace[1:] != trace[:-1], True)
    tried = state.recovered[trace] & ~last & np.append(last[1:], False)
    failing = np.where(last, state.lost[trace], tried)
    plan = ~last & ~tried
    prompt, question, answer = (_chars(t) for t in (made.prompt, made.question, made.answer))
    into = np.round((prompt[trace] + question[trace]) / CHARS_PER_TOKEN + state.context[trace] + 90 * rows.step[at])
    said = np.where(plan, rng.integers(12, 40, len(at)), np.maximum(np.round(answer[trace] / CHARS_PER_TOKEN), 2))
    cached = np.floor(state.cached[trace] * into / 64) * 64
    slow = state.ttft[trace] * np.where(last, 1.0, rng.lognormal(0, 0.25, len(at)))
    ms = slow + said * state.pace[trace]
    rows.ms[at] = np.where(failing, _failed_ms(rng, state, trace), ms)
    for name, values in (("ttft", slow), ("tokens_in", into), ("tokens_out", said), ("tokens_cached", cached)):
        getattr(rows, name)[at] = np.where(failing, np.nan, values)
    rows.cost[at] = np.where(failing, np.nan, _usd(state, trace, into, cached, said))
    rows.failed[at] = failing
    rows.error = Coded(rows.error.codes, list(state.error.words))
    rows.error.codes[at[failing]] = state.error.codes[trace[failing]]
    rows.asked[at] = trace
    rows.said[at] = np.where(last & ~failing, trace, NULL)
    rows.planned[at] = plan
    rows.attempt[at] = np.where(last & state.recovered[trace], 2, 1)
    for word, mask in (("stop", last), ("length", last & made.cut[trace]), ("tool_calls", plan), ("error", failing)):
        rows.finish.put(at[mask], word)


def _chars(column: pa.Array) -> np.ndarray:
    return pc.fill_null(pc.utf8_length(column), 0).to_numpy(zero_copy_only=False)


def _failed_ms(rng: np.random.Generator, state: State, trace: np.ndarray) -> np.ndarray:
    waits = np.array([FAILED_MS.get(w, 300.0) for w in state.error.words] + [300.0])
    return waits[state.error.codes[trace]] * rng.lognormal(0, 0.2, len(trace))


def _usd(state: State, trace: np.ndarray, into: np.ndarray, cached: np.ndarray, said: np.ndarray) -> np.ndarray:
    paid = into - cached * (1 - state.of_model("cached")[trace])
    usd = paid * state.of_model("usd_in")[trace] + said * state.of_model("usd_out")[trace]
    return np.round(usd * state.price[trace] / 1e6, 9)


def _other_steps(rng: np.random.Generator, state: State, rows: Rows) -> None:
    """Embeddings, retrievers, tools and guardrails: times, and a tool that fails now and then."""
    for kind, median in ((EMBED, 40), (RETRIEVE, 70), (TOOL, 180), (GUARD, 25)):
        at = rows.kind == kind
        rows.ms[at] = median * rng.lognormal(0, 0.4, int(at.sum()))
    embeds, tools = np.flatnonzero(rows.kind == EMBED), np.flatnonzero(rows.kind == TOOL)
    rows.tokens_in[embeds] = 12
    rows.asked[rows.kind == RETRIEVE] = rows.trace[rows.kind == RETRIEVE]
    rows.asked[embeds] = rows.trace[embeds]
    # Input of a tool: one of a few, the same again and again in a loop.
    looping = state.repeats[rows.trace[tools]] > 0
    drawn = np.where(looping, rows.trace[tools] % 40, rng.integers(0, 40, len(tools)))
    rows.asked[tools] = len(state.traffic) + drawn
    broken = tools[rng.random(len(tools)) < 0.005]
    rows.failed[broken] = True
    rows.error.put(broken, "tool")


def _clock(state: State, rows: Rows) -> None:
    """Steps follow each other; a root lasts as long as all of them."""
    rows.ms = np.round(rows.ms, 3)
    lasts = (rows.ms * 1000).astype(np.int64) + np.where(rows.root, 0, 2_000)
    parent = rows.root & (rows.kind != LLM)
    lasts[parent] = 0
    passed = lasts.cumsum() - lasts
    first = np.searchsorted(rows.trace, rows.trace)
    rows.start = state.traffic.at[rows.trace] + passed - passed[first]
    whole = np.bincount(rows.trace, weights=lasts)
    rows.ms[parent] = whole[rows.trace[parent]] / 1000


def _roots(state: State, rows: Rows) -> None:
    """A root says what was asked and answered, and has failed where the answer has."""
    parent = np.flatnonzero(rows.root & (rows.kind != LLM))
    trace = rows.trace[parent]
    broken = state.lost[trace]
    rows.failed[parent] = broken
    rows.error.codes[parent[broken]] = state.error.codes[trace[broken]]
    rows.asked[parent] = trace
    rows.said[parent] = np.where(broken, NULL, trace)


def tool_inputs() -> pa.Array:
    """What tools are asked, by index after the questions."""
    return pa.array([f"query {n}: rows of the last {7 * (n % 8 + 1)} days" for n in range(40)], pa.string())


def guard_words(state: State, rows: Rows) -> pa.Array:
    """The decisions of the guardrail spans as JSON text, null elsewhere."""
    at = rows.kind == GUARD
    actions, policies = ("allow", "redact", "block"), state.policy.words
    known = [
        f'[{{"stage": "output", "action": "{a}", "dimension": "{p}", "policy": "p-{i}"}}]'
        for i, p in enumerate(policies, 1)
        for a in actions
    ]
    codes = state.policy.codes[rows.trace] * 3 + state.guard[rows.trace]
    return texts(pa.array(known, pa.string()), np.where(at, codes, NULL))


def names(state: State, rows: Rows) -> Coded:
    """What each step is called."""
    steps = ("embed_query", "kb_search", "output_check", *words.TOOLS.values())
    out = Coded.empty(len(rows.trace))
    for kind, name in ((EMBED, steps[0]), (RETRIEVE, steps[1]), (GUARD, steps[2])):
        out.put(rows.kind == kind, name)
    for number, feature in enumerate(state.product.features):
        mine = state.traffic.feature[rows.trace] == number
        out.put(mine & np.isin(rows.kind, (ROOT, AGENT)), feature.name)
        out.put(mine & (rows.kind == LLM), feature.prompt)
        out.put(mine & (rows.kind == TOOL), words.TOOLS.get(feature.name))
    return out
