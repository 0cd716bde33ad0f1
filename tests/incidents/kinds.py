"""What each kind of incident does to the traces it hits: its fingerprint, as strong as the story wants it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from . import words
from .behaviour import ALLOWED, BLOCKED, BLOCKED_QUALITY, State
from .product import pick
from .story import Story

SCORE = "score"
RARE = 1e-9
MOST_REACHED = 0.74  # of the slice after the onset, or no conjunction would describe the affected traces


@dataclass
class Work:
    """One incident at work: ``hit`` are the affected traces, ``before`` their like before the onset.

    ``weight`` says how strongly each hit trace is affected by now (1 where the change is in or out, with nothing between).
    """

    rng: np.random.Generator
    state: State
    story: Story
    where: dict[str, str]
    before: np.ndarray
    hit: np.ndarray
    weight: np.ndarray
    details: dict = field(default_factory=dict)

    @property
    def rows(self) -> np.ndarray:
        return np.flatnonzero(self.hit)

    def drawn(self) -> np.ndarray:
        """A uniform number per hit trace; those below ``strength * weight`` are touched."""
        return self.rng.random(len(self.rows))

    def solve(self, after, *, most: float, base: np.ndarray, share: float = 1.0) -> float:
        """The strength in (0, most] at which the mean of ``after(strength)`` over the hit traces is ``story.z`` standard errors off.

        ``base`` are the values before, ``share`` the part of the traces on which the metric is seen.
        """
        calm = after(0.0).mean()
        low, high = 0.0, most
        for _ in range(14):
            middle = (low + high) / 2
            now = after(middle)
            spread = np.sqrt(base.var() / max(len(base) * share, 1) + now.var() / max(len(now) * share, 1))
            low, high = (middle, high) if abs(now.mean() - calm) < self.story.z * max(spread, RARE) else (low, middle)
        return high

    def solve_score(self, quality, *, most: float) -> float:
        """``solve`` for the judge's score; ``quality(strength)`` are the qualities of the hit traces."""
        state, rows, judging = self.state, self.rows, self.state.product.judging
        before = np.flatnonzero(self.before)
        base = state.graded(state.quality[before], before)
        return self.solve(lambda s: state.graded(quality(s), rows), most=most, base=base, share=judging.judged)

    def spoil(self) -> float:
        """Lower the quality of all, or of a part, of the hit traces; returns the mean loss of a fully affected one."""
        state, rows = self.state, self.rows
        part = float(self.rng.choice([1.0, 0.6, 0.35], p=[0.6, 0.25, 0.15]))
        touched = (self.drawn() < part) * self.weight
        old = state.quality[rows]
        lost = self.solve_score(lambda s: old - s * touched, most=0.6)
        state.quality[rows] = old - lost * touched
        return lost * part

    def restyle(self, lost: float) -> None:
        """Make answers shorter or longer, the more the worse they have become; one time in four not at all."""
        if self.rng.random() < 0.25:
            return
        state, rows = self.state, self.rows
        by = min(1.0, lost / 0.2) * self.rng.uniform(0.1, 0.6) * (-1 if self.rng.random() < 0.7 else 1)
        state.sentences[rows] = np.clip(np.round(state.sentences[rows] * (1 + by * self.weight)), 1, 20)


def prompt_text(work: Work) -> tuple[str, ...]:
    state = work.state
    at = int(work.rng.integers(len(words.BLOCKS)))
    state.block[work.hit] = at
    work.details |= {"block": words.BLOCKS[at]}
    work.restyle(work.spoil())
    return SCORE, "output_chars"


def prompt_version(work: Work) -> tuple[str, ...]:
    state = work.state
    old = state.dims["prompt_version"].words[state.dims["prompt_version"].codes[work.rows[0]]]
    new = following(old)
    state.dims["prompt_version"].put(work.hit, new)
    state.revised[work.hit] = True
    work.where |= {"prompt_version": new}
    name = state.dims["prompt_name"].words[state.dims["prompt_name"].codes[work.rows[0]]]
    work.details |= {"prompt": name, "from": old, "to": new}
    work.restyle(work.spoil())
    return SCORE, "output_chars"


def following(version: str) -> str:
    """The version after a version."""
    return f"v{int(version[1:]) + 1}" if version.startswith("v") else str(int(version) + 1)


def model_version(work: Work) -> tuple[str, ...]:
    state, asked = work.state, work.where.pop("model_requested")
    new = next(m.successor for m in state.product.models if m.requested == asked)
    state.dims["model"].put(work.hit, new)
    work.where |= {"model": new}
    work.details |= {"requested": asked, "to": new}
    work.restyle(work.spoil())
    return SCORE, "output_chars"


def model_behaviour(work: Work) -> tuple[str, ...]:
    state, rows = work.state, work.rows
    lost = work.spoil()
    work.restyle(lost)
    strength = min(1.0, lost / 0.2)
    hedged = work.drawn() < work.rng.uniform(0.1, 0.7) * strength * work.weight
    state.opener[rows[hedged]] = int(work.rng.integers(len(words.HEDGES)))
    refused = work.drawn() < work.rng.uniform(0, 0.06) * strength * work.weight
    state.refused[rows[refused]] = True
    return SCORE, "output_chars", "refusal_rate"


def configuration(work: Work) -> tuple[str, ...]:
    state, rng = work.state, work.rng
    rag = bool((state.of_feature("form")[work.hit] == "rag").all())
    what = pick(rng, ("temperature", "examples", "reasoning_effort", *(["top_k"] if rag else [])))
    if what == "examples":
        state.examples[work.hit] = False
    elif what == "top_k":
        state.documents[work.hit] = 1
    else:
        new = {"temperature": 1.2} if what == "temperature" else {"reasoning_effort": "minimal"}
        for told in state.params.used():
            state.params.put(work.hit & state.params.holds(told), json.dumps(json.loads(told) | new))
    work.details |= {"changed": what}
    work.restyle(work.spoil())
    return SCORE, "output_chars"


def retrieval(work: Work) -> tuple[str, ...]:
    state, rows, rng = work.state, work.rows, work.rng
    if rng.random() < 0.5:
        state.dims["index"].put(work.hit, "kb-3")
        work.details |= {"index": "kb-3"}
    old, base = state.top_score[rows], state.top_score[work.before]
    if rng.random() < 0.75:
        lost = work.spoil()
        state.top_score[rows] = np.clip(old - min(0.3, 0.03 + lost * rng.uniform(0.5, 1.5)) * work.weight, 0.05, 1)
        return SCORE, "retrieval_top_score"
    lost = work.solve(lambda s: np.clip(old - s * work.weight, 0.05, 1), most=0.4, base=base)
    state.top_score[rows] = np.clip(old - lost * work.weight, 0.05, 1)
    state.quality[rows] -= lost * work.weight
    return "retrieval_top_score", SCORE


def guardrail(work: Work) -> tuple[str, ...]:
    state, rows, rng = work.state, work.rows, work.rng
    drawn, poor = work.drawn(), rng.normal(BLOCKED_QUALITY, 0.08, len(rows))
    old, already = state.quality[rows], state.guard[rows] == BLOCKED

    def blocked(strength):
        return already | (drawn < strength * work.weight)

    if rng.random() < 0.6 or work.story.shape == "burst":
        metrics = ("guardrail_block_rate", SCORE)
        strength = work.solve(
            lambda s: blocked(s).astype(float), most=0.7, base=(state.guard[work.before] == BLOCKED).astype(float)
        )
    else:
        metrics = (SCORE, "guardrail_block_rate")
        strength = work.solve_score(lambda s: np.where(blocked(s), poor, old), most=0.7)
    new = blocked(strength) & ~already
    policy = pick(rng, words.POLICIES[1:])
    state.quality[rows[new]] = poor[new]
    state.guard[rows[new]] = BLOCKED
    state.policy.put(rows[new], policy)
    work.details |= {"policy": policy}
    return metrics


def truncation(work: Work) -> tuple[str, ...]:
    """A ceiling on the tokens of answers, so low that it cuts as large a share of them as the story needs."""
    state, rows, rng = work.state, work.rows, work.rng
    tokens, reached = state.tokens_out()[rows], work.drawn() < work.weight
    lost, old = rng.uniform(0.15, 0.4), state.quality[rows]
    order = np.argsort(np.argsort(-tokens + rng.random(len(rows)))) / len(rows)

    def cut(strength):
        return reached & (order < strength)

    if rng.random() < 0.5 or work.story.shape == "burst":
        metrics = ("length_rate", SCORE)
        strength = work.solve(lambda s: cut(s).astype(float), most=0.8, base=np.zeros(int(work.before.sum())))
    else:
        metrics = (SCORE, "length_rate")
        strength = work.solve_score(lambda s: old - lost * cut(s), most=0.8)
    state.capped[rows[reached]] = True
    state.cut_share, state.cut_loss = strength, lost
    return metrics


def input_mix(work: Work) -> tuple[str, ...]:
    state, rows = work.state, work.rows
    drawn, gap, old = work.drawn(), work.rng.uniform(0.15, 0.4), state.quality[rows]
    share = work.solve_score(lambda s: old - gap * (drawn < s * work.weight), most=0.9)
    new = drawn < share * work.weight
    state.quality[rows] = old - gap * new
    state.fresh[rows[new]] = int(work.rng.integers(len(words.NEW_TOPICS)))
    work.details |= {"topic": words.NEW_TOPICS[int(state.fresh[rows].max())] if new.any() else None}
    return SCORE, "input_wording"


def agent_loop(work: Work) -> tuple[str, ...]:
    state, rows = work.state, work.rows
    drawn, more = work.drawn(), work.rng.integers(4, 15, len(rows))
    old = state.rounds[rows]
    share = work.solve(lambda s: 2.0 * (old + more * (drawn < s * work.weight)), most=0.8, base=2.0 * state.rounds[work.before])
    looping = drawn < share * work.weight
    state.repeats[rows[looping]] = more[looping]
    state.quality[rows[looping]] -= 0.1
    return "spans_per_trace", "cost_usd", "latency_ms"


def prompt_cache(work: Work) -> tuple[str, ...]:
    """Nothing is read from the cache any more, on a part of the calls or on all."""
    state, rows, rng = work.state, work.rows, work.rng
    drawn, cost, slower = work.drawn(), state.cost(), rng.uniform(1.15, 1.6)
    bare = state.cost(np.zeros(len(cost)))[rows]
    had = state.cached[rows] > 0

    def lost(strength):
        return had & (drawn < strength * work.weight)

    if rng.random() < 0.7:
        metrics = ("cost_usd", "ttft_ms", "cache_read_share")
        strength = work.solve(lambda s: np.where(lost(s), bare, cost[rows]), most=1.0, base=cost[work.before])
    else:
        metrics = ("ttft_ms", "cost_usd", "cache_read_share")
        after = lambda s: state.ttft[rows] * np.where(lost(s), slower, 1)  # noqa: E731
        strength = work.solve(after, most=1.0, base=state.ttft[work.before])
    strength = max(strength, 0.25)
    state.ttft[rows] *= np.where(lost(strength), slower, 1)
    state.cached[rows[lost(strength)]] = 0
    if rng.random() < 0.6:
        state.volatile[rows[drawn < strength * work.weight]] = True
        work.details |= {"volatile": "a line with request id and time at the top of the prompt"}
    return metrics


def price(work: Work) -> tuple[str, ...]:
    state, rows, cost = work.state, work.rows, work.state.cost()
    rise = max(0.03, work.solve(lambda s: cost[rows] * (1 + s * work.weight), most=1.5, base=cost[work.before]))
    state.price[rows] *= 1 + rise * work.weight
    work.details |= {"factor": round(1 + rise, 3)}
    return "cost_usd", "cost_per_token"


def provider_latency(work: Work) -> tuple[str, ...]:
    state, rows = work.state, work.rows
    old, spread = state.ttft[rows], work.rng.lognormal(-0.045, 0.3, len(rows))
    rise = work.solve(lambda s: old * (1 + s * work.weight * spread), most=8.0, base=state.ttft[work.before])
    state.ttft[rows] = old * (1 + rise * work.weight * spread)
    return "ttft_ms", "latency_ms"


def provider_errors(work: Work) -> tuple[str, ...]:
    state, rows = work.state, work.rows
    drawn, old = work.drawn(), state.failed[rows]
    share = work.solve(
        lambda s: (old | (drawn < s * work.weight)).astype(float), most=0.85, base=state.failed[work.before].astype(float)
    )
    new = rows[(drawn < share * work.weight) & ~old]
    state.failed[new] = True
    state.guard[new] = ALLOWED
    kind = pick(work.rng, ("rate_limit", "timeout", "provider_5xx"))
    state.error.put(new, kind)
    work.details |= {"error_class": kind}
    return "error_rate", "latency_ms"


CAUSES = {
    f.__name__: f
    for f in (
        prompt_text, prompt_version, model_version, model_behaviour, configuration, retrieval, guardrail, truncation, input_mix,
        agent_loop, prompt_cache, price, provider_latency, provider_errors,
    )
}  # fmt: skip


def strike(
    rng: np.random.Generator, state: State, story: Story, where: dict[str, str], mask: np.ndarray
) -> tuple[Work, tuple[str, ...]]:
    """Let the incident happen in a slice; the work done and the metrics it moves, the affected one first."""
    during = mask & story.during(state.traffic.at)
    hit = during & reached(rng, state, story, during)
    slow = story.rollout is None
    weight = story.weight(state.traffic.at[hit]) if slow else np.ones(int(hit.sum()))
    work = Work(rng, state, story, dict(where), mask & (state.traffic.at < story.onset), hit, weight)
    return work, CAUSES[story.kind](work)


def reached(rng: np.random.Generator, state: State, story: Story, during: np.ndarray) -> np.ndarray:
    """Whom the change has reached by the time of each trace: all, a canary's users, or user after user, account after account."""
    traffic = state.traffic
    users, tenants = rng.random(len(state.product.users.tenant)), rng.random(len(state.product.tenants.share))
    if story.canary:
        return users[traffic.user] < story.canary
    if story.rollout is None:
        return np.ones(len(traffic), bool)
    come = story.weight(traffic.at)
    by_tenant = tenants[traffic.tenant] < come
    # A few big accounts can keep a rollout from ever reaching most of the slice.
    if story.rollout == "tenants" and by_tenant[during].mean() >= MOST_REACHED:
        return by_tenant
    while (users[traffic.user] < come)[during].mean() < MOST_REACHED:
        come = np.minimum(1.1 * come, 1) if come.max() > 0 else np.ones(len(come))
    return users[traffic.user] < come
