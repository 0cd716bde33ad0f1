"""How each request goes where nothing happens: quality, length, speed, errors, retrieval, loops, cache."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from .coded import Coded
from .product import Judging, Product
from .traffic import Traffic

ALLOWED, REDACTED, BLOCKED = 0, 1, 2
BLOCKED_QUALITY = 0.3
CHARS_PER_SENTENCE = 55
CHARS_PER_TOKEN = 4
OUTCOMES = ("rate_limit", "timeout", "provider_5xx", "content_filter", "invalid_output")


@dataclass
class State:
    """One array per property, one element per trace; causes and decoys alter it, then it is written.

    ``quality`` is the true quality in 0-1, ``unlucky`` what the judge adds to it; ``block`` and ``benign`` are indices of the
    blocks in the rendered prompt, ``fresh`` of a new topic and ``opener`` of a first sentence (-1: none); ``recovered`` are
    failed requests whose second attempt succeeded, ``capped`` those under a ceiling that cuts ``cut_share`` of them.
    """

    product: Product
    traffic: Traffic
    quality: np.ndarray
    unlucky: np.ndarray
    sentences: np.ndarray
    refused: np.ndarray
    guard: np.ndarray
    policy: Coded
    capped: np.ndarray
    rounds: np.ndarray
    repeats: np.ndarray
    top_score: np.ndarray
    documents: np.ndarray
    context: np.ndarray
    cached: np.ndarray
    ttft: np.ndarray
    pace: np.ndarray
    failed: np.ndarray
    recovered: np.ndarray
    error: Coded
    price: np.ndarray
    params: Coded
    block: np.ndarray
    benign: np.ndarray
    fresh: np.ndarray
    opener: np.ndarray
    volatile: np.ndarray
    examples: np.ndarray
    revised: np.ndarray
    cut_share: float = 0.0
    cut_loss: float = 0.0

    @property
    def dims(self) -> dict[str, Coded]:
        return self.traffic.dims

    @property
    def lost(self) -> np.ndarray:
        """Which requests have no answer."""
        return self.failed & ~self.recovered

    def of_feature(self, name: str) -> np.ndarray:
        """A property of each trace's feature."""
        return np.array([getattr(f, name) for f in self.product.features])[self.traffic.feature]

    def of_model(self, name: str) -> np.ndarray:
        """A property of each trace's model."""
        return np.array([getattr(m, name) for m in self.product.models])[self.traffic.model]

    def graded(self, quality: np.ndarray, rows=slice(None)) -> np.ndarray:
        """What the judge gives to answers of a quality."""
        return graded(quality + self.unlucky[rows], self.product.judging)

    def tokens_out(self) -> np.ndarray:
        """About how many tokens each answer has."""
        return self.sentences * CHARS_PER_SENTENCE / CHARS_PER_TOKEN

    def cost(self, cached: np.ndarray | None = None) -> np.ndarray:
        """About what each trace costs."""
        cached = self.cached if cached is None else cached
        into = (self.context + 250) * (1 + self.rounds + self.repeats)
        paid = into * (1 - cached * (1 - self.of_model("cached"))) * self.of_model("usd_in")
        return (paid + self.tokens_out() * self.of_model("usd_out")) * self.price / 1e6


def graded(quality: np.ndarray, judging: Judging) -> np.ndarray:
    """A quality on the judge's scale."""
    if judging.scale == "binary":
        return (quality > 0.65).astype(float)
    held = np.clip(quality, 0, 1)
    if judging.scale == "five":
        return 1 + np.round(held * 4)
    return np.round(held * 20) / 20 if judging.scale == "twentieths" else np.round(held, 4)


def behave(rng: np.random.Generator, product: Product, traffic: Traffic) -> State:
    """Every request of the traffic, on ordinary days."""
    n = len(traffic)
    staging = traffic.dims["environment"].holds("staging")
    quality = _quality(rng, product, traffic, staging)
    state = State(
        product=product,
        traffic=traffic,
        quality=quality,
        unlucky=rng.normal(0, product.judging.noise, n),
        sentences=np.zeros(n, np.int64),
        refused=rng.random(n) < 0.006,
        guard=np.zeros(n, np.int8),
        policy=Coded.empty(n),
        capped=np.zeros(n, bool),
        rounds=np.zeros(n, np.int64),
        repeats=np.zeros(n, np.int64),
        top_score=np.clip(rng.normal(0.8, 0.07, n) + 0.15 * (quality - quality.mean()), 0.3, 0.98),
        documents=np.full(n, int(rng.integers(3, 7))),
        context=np.zeros(n),
        cached=np.zeros(n),
        ttft=np.zeros(n),
        pace=np.zeros(n),
        failed=np.zeros(n, bool),
        recovered=np.zeros(n, bool),
        error=Coded.empty(n),
        price=np.ones(n),
        params=Coded.empty(n),
        block=np.full(n, -1),
        benign=np.full(n, -1),
        fresh=np.full(n, -1),
        opener=np.full(n, -1),
        volatile=np.zeros(n, bool),
        examples=np.ones(n, bool),
        revised=np.zeros(n, bool),
    )
    _answers(rng, state)
    _calls(rng, state)
    _failures(rng, state, staging)
    return state


def _shared(rng: np.random.Generator, product: Product, memory: float) -> np.ndarray:
    """What the days of the window share, with memory from day to day; standard deviation 1."""
    noise = rng.normal(0, 1, product.days)
    out = noise.copy()
    for day in range(1, product.days):
        out[day] = memory * out[day - 1] + np.sqrt(1 - memory**2) * noise[day]
    return out


def _quality(rng: np.random.Generator, product: Product, traffic: Traffic, staging: np.ndarray) -> np.ndarray:
    rhythm = product.rhythm
    topics = rng.normal(0, 0.03, (len(product.features), 6))
    levels = np.array([f.level for f in product.features])
    days = rhythm.shock * _shared(rng, product, rhythm.memory)
    sessions = rng.normal(0, rng.uniform(0.01, 0.05), int(traffic.session.max()) + 1)
    return (
        levels[traffic.feature]
        + topics[traffic.feature, traffic.topic]
        + product.tenants.level[traffic.tenant]
        + product.users.level[traffic.user]
        + sessions[traffic.session]
        + days[traffic.day]
        - 0.01 * np.minimum(traffic.turn - 1, 4)
        - 0.08 * staging
        + rng.normal(0, rng.uniform(0.06, 0.11), len(traffic))
    )


def _answers(rng: np.random.Generator, state: State) -> None:
    """Length of answers, refusals, guardrails."""
    n = len(state.traffic)
    spread = rng.lognormal(0, 0.3, n) * (1 + 0.4 * (state.quality - state.quality.mean()))
    state.sentences[:] = np.clip(np.round(state.of_feature("sentences") * spread), 1, 20)
    state.quality[state.refused] = rng.normal(BLOCKED_QUALITY, 0.08, state.refused.sum())
    guarded, drawn = state.of_feature("guarded"), rng.random(n)
    often = rng.uniform(0.004, 0.02)
    state.guard[guarded & (drawn < often + 0.03)] = REDACTED
    state.guard[guarded & (drawn < often)] = BLOCKED
    state.policy.put(guarded, "personal_data")
    blocked = state.guard == BLOCKED
    state.quality[blocked] = rng.normal(BLOCKED_QUALITY, 0.08, blocked.sum())


def _calls(rng: np.random.Generator, state: State) -> None:
    """Tokens of context, cache, speed, rounds of agents, parameters."""
    n, product = len(state.traffic), state.product
    state.context[:] = state.of_feature("context") * rng.lognormal(0, 0.25, n)
    hits = rng.uniform(0.4, 0.85, len(product.features))[state.traffic.feature]
    state.cached[:] = np.where(rng.random(n) < hits, rng.uniform(0.4, 0.85, n), 0)
    agent = state.of_feature("form") == "agent"
    state.rounds[agent] = rng.choice([1, 2, 3], int(agent.sum()), p=[0.55, 0.3, 0.15])
    days = 0.03 * _shared(rng, product, 0.5)[state.traffic.day]
    busy = 0.1 * product.rhythm.hours[state.traffic.hour] / product.rhythm.hours.max()
    state.ttft[:] = state.of_model("ttft_ms") * np.exp(rng.normal(0, 0.35, n) + days + busy) * (1 - 0.2 * (state.cached > 0))
    state.pace[:] = state.of_model("ms_per_token") * rng.lognormal(0, 0.15, n)
    for at, _ in enumerate(product.features):
        told = json.dumps({"temperature": round(float(rng.choice([0.0, 0.2, 0.3, 0.7])), 1), "max_tokens": 2048})
        state.params.put(state.traffic.feature == at, told)


def _failures(rng: np.random.Generator, state: State, staging: np.ndarray) -> None:
    n = len(state.traffic)
    days = np.exp(0.2 * _shared(rng, state.product, 0.4))[state.traffic.day]
    state.failed[:] = rng.random(n) < state.product.errors * days * np.where(staging, 4, 1)
    classes = rng.choice(len(OUTCOMES), n, p=[0.3, 0.25, 0.25, 0.1, 0.1])
    for at, name in enumerate(OUTCOMES):
        state.error.put(state.failed & (classes == at), name)


def retry(rng: np.random.Generator, state: State) -> None:
    """Give half of the failed requests a second attempt that succeeds, where the product retries."""
    if state.product.writing.retries:
        state.recovered[:] = state.failed & (rng.random(len(state.failed)) < 0.5)
