"""Where an incident happens: a conjunction of values that real slices have, big enough to hold it."""

from __future__ import annotations

import numpy as np

from .behaviour import State
from .product import NEEDS
from .story import Story

# Roles that spans carry in canonical columns whatever the product logs.
OF_CALLS = {
    "provider": "provider",
    "model_requested": "model_requested",
    "model": "model",
    "prompt_name": "prompt_name",
    "prompt_version": "prompt_version",
    "index": "retrieval_index_version",
}
_BY_USER = ("auth", "tier", "tenant", "feature", "locale", "region", "client")
_BY_MODEL = (
    ("provider",), ("model_requested",), ("provider", "region"), ("model_requested", "region"), ("model_requested", "feature"),
)  # fmt: skip
PLACES = {
    "prompt_text": (
        *((r,) for r in _BY_USER), ("feature", "locale"), ("auth", "region"), ("feature", "tier"), ("feature", "auth"),
        ("tier", "client"), ("feature", "auth", "region"),
    ),
    "prompt_version": (("feature",), ("feature",), ("feature", "tier"), ("feature", "region")),
    "model_version": (("model_requested",), ("model_requested",), ("model_requested", "region"), ("model_requested", "feature")),
    "model_behaviour": (*_BY_MODEL, ("model_requested", "locale")),
    "configuration": (("feature",), ("feature", "client"), ("feature", "region")),
    "retrieval": (("feature",), ("feature", "locale"), ("feature", "region"), ("feature", "tier")),
    "guardrail": (("feature",), ("feature", "locale"), ("feature", "tier"), ("feature", "tenant")),
    "truncation": (("feature",), ("model_requested",), ("feature", "locale"), ("model_requested", "client")),
    "input_mix": (("tenant",), ("feature",), ("locale",), ("feature", "tier"), ("feature", "region"), ("feature", "client", "tier")),
    "agent_loop": (("feature",), ("feature", "tier"), ("feature", "client")),
    "prompt_cache": (("feature",), ("provider",), ("model_requested",), ("feature", "tier")),
    "price": (("model_requested",), ("provider",)),
    "provider_latency": _BY_MODEL,
    "provider_errors": _BY_MODEL,
}  # fmt: skip
EVERYWHERE = {"prompt_text": 0.06, "price": 0.15}  # chance that all traffic is affected
TRIES = 80
SMALLEST, SMALLEST_BURST, USUAL = 0.009, 0.002, 0.1  # of all traces: after the onset, of a burst; and most that is asked for
BIGGEST = 0.85
SAME = 0.6


def mask_of(state: State, where: dict[str, str]) -> np.ndarray:
    """The traces with all these values, by role."""
    mask = np.ones(len(state.traffic), bool)
    for role, word in where.items():
        mask &= state.dims[role].holds(word)
    return mask


def draw_slice(rng: np.random.Generator, state: State, story: Story) -> tuple[dict[str, str], bool]:
    """Values by role: of some tries the first that fits, else the one with most traces; and whether these are enough."""
    if rng.random() < EVERYWHERE.get(story.kind, 0):
        return {}, True
    logged = {a.role for a in state.product.axes} | set(OF_CALLS)
    places = [p for p in PLACES[story.kind] if logged >= set(p)]
    rows = np.flatnonzero(_possible(state, story.kind) & ~state.dims["environment"].holds("staging"))
    share = SMALLEST_BURST if story.shape == "burst" else np.exp(rng.uniform(np.log(SMALLEST), np.log(USUAL)))
    tried: dict[tuple, float] = {}
    for _ in range(TRIES):
        place = places[int(rng.integers(len(places)))]
        row = int(rows[rng.integers(len(rows))])
        where = tuple((role, state.dims[role].words[state.dims[role].codes[row]]) for role in place)
        if where not in tried:
            tried[where] = _room(state, story, dict(where), share)
            if tried[where] >= 1 and _distinct(state, dict(where)):
                return dict(where), True
    best = max(tried, key=tried.get)
    return dict(best), tried[best] >= 1


def _possible(state: State, kind: str) -> np.ndarray:
    need = NEEDS.get(kind)
    if need == "guarded":
        return state.of_feature("guarded")
    return state.of_feature("form") == need if need in ("rag", "agent") else np.ones(len(state.traffic), bool)


def _room(state: State, story: Story, where: dict[str, str], share: float) -> float:
    """How many times the slice has the traces that are needed, before the onset and during the incident."""
    at = state.traffic.at[mask_of(state, where)]
    after = story.during(at).sum() * (story.canary or 1) / share
    before = (at < story.onset).sum() / SMALLEST
    return float(min(before, after)) / len(state.traffic)


def _distinct(state: State, where: dict[str, str]) -> bool:
    """Whether the slice is not nearly everything, nor nearly the same without one of its predicates."""
    mask = mask_of(state, where)
    return mask.mean() <= BIGGEST and all(_matters(state, where, role, mask) for role in where if len(where) > 1)


def _matters(state: State, where: dict[str, str], role: str, mask: np.ndarray) -> bool:
    """Whether the slice would be clearly another one without one of its predicates."""
    wider = mask_of(state, {r: w for r, w in where.items() if r != role})
    return mask.sum() < SAME * wider.sum()
