"""What happens in a case: verdict, kind, shape in time, how strong; drawn before any row is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INCIDENTS = (
    "prompt_text", "prompt_version", "model_version", "model_behaviour", "configuration", "retrieval", "guardrail", "truncation",
    "input_mix", "agent_loop", "prompt_cache", "price", "provider_latency", "provider_errors",
)  # fmt: skip
FALSE = ("judge_changed", "traffic_mix_changed", "sampling_changed")
QUIET = "quiet"
KINDS = (*INCIDENTS, *FALSE, QUIET)
# Chances of step, ramp and burst.
SHAPES = {
    "prompt_text": (0.6, 0.4, 0),
    "prompt_version": (0.75, 0.25, 0),
    "model_version": (0.7, 0.3, 0),
    "model_behaviour": (0.6, 0.4, 0),
    "configuration": (0.85, 0.15, 0),
    "retrieval": (0.6, 0.4, 0),
    "guardrail": (0.7, 0.1, 0.2),
    "truncation": (0.8, 0.1, 0.1),
    "input_mix": (0.4, 0.6, 0),
    "agent_loop": (0.5, 0.15, 0.35),
    "prompt_cache": (0.8, 0.1, 0.1),
    "price": (1, 0, 0),
    "provider_latency": (0.4, 0.15, 0.45),
    "provider_errors": (0.3, 0.05, 0.65),
    "judge_changed": (0.75, 0.25, 0),
    "traffic_mix_changed": (0.5, 0.5, 0),
    "sampling_changed": (1, 0, 0),
}
# Kinds that reach users one by one or account by account when they come slowly; the others grow everywhere at once.
ROLLED_OUT = ("prompt_text", "prompt_version", "model_version", "configuration")
NEVER_ENDS = ("price", *FALSE)
WEAKEST, STRONGEST = 1.5, 25.0
HOUR = 3_600_000_000
DAY = 24 * HOUR


@dataclass(frozen=True)
class Story:
    """Times are microseconds since the first day. ``z`` is the strength aimed at; ``rollout`` says who a slow change reaches first."""

    verdict: str
    kind: str
    shape: str | None = None
    onset: int = 0
    end: int | None = None
    ramp: int = 0
    z: float = 0.0
    rollout: str | None = None  # users, tenants
    canary: float | None = None

    def weight(self, at: np.ndarray) -> np.ndarray:
        """How far the change has come at each time: 0 before and after it, 1 when it is fully there."""
        if self.verdict == "no_change":
            return np.zeros(len(at))
        there = np.clip((at - self.onset) / self.ramp, 0, 1) if self.ramp else np.ones(len(at))
        return there * self.during(at)

    def during(self, at: np.ndarray) -> np.ndarray:
        """Which times lie in [onset, end)."""
        return (at >= self.onset) & (at < (self.end if self.end is not None else np.iinfo(np.int64).max))


def any_kind(rng: np.random.Generator) -> str:
    """Three cases in five are incidents, one is a false incident, one is quiet."""
    drawn = rng.random()
    group = INCIDENTS if drawn < 0.6 else FALSE if drawn < 0.8 else (QUIET,)
    return group[int(rng.integers(len(group)))]


def draw_story(rng: np.random.Generator, kind: str, days: int) -> Story:
    """When and how strongly an incident of ``kind`` happens in a window of that many days."""
    if kind == QUIET:
        return Story("no_change", kind)
    chances = np.array(SHAPES[kind], float)
    shape = str(rng.choice(["step", "ramp", "burst"], p=chances / chances.sum()))
    rollout = str(rng.choice(["users", "tenants"])) if shape == "ramp" and kind in ROLLED_OUT else None
    onset = _onset(rng, shape, days, rolled=rollout is not None)
    left = days * DAY - onset
    ramp = min(int(rng.uniform(7, 21) * DAY), int(0.45 * left) if rollout else 21 * DAY) if shape == "ramp" else 0
    canary = float(rng.uniform(0.1, 0.5)) if kind == "prompt_version" and shape == "step" and rng.random() < 0.4 else None
    return Story(
        verdict=kind if kind in FALSE else "incident",
        kind=kind,
        shape=shape,
        onset=onset,
        end=None if canary else _end(rng, kind, shape, onset, left),
        ramp=ramp,
        z=float(np.exp(rng.uniform(np.log(WEAKEST), np.log(STRONGEST)))),
        rollout=rollout,
        canary=canary,
    )


def _onset(rng: np.random.Generator, shape: str, days: int, *, rolled: bool) -> int:
    last = days - 4 if shape != "ramp" else days - 17 if rolled else days - 10
    hour = rng.uniform(7, 19) if rng.random() < 0.75 else rng.uniform(0, 24)
    return int(rng.integers(10, last + 1)) * DAY + int(hour * HOUR)


def _end(rng: np.random.Generator, kind: str, shape: str, onset: int, left: int) -> int | None:
    """Bursts last 3 to 30 hours; one step in five is undone after some days."""
    if shape == "burst":
        return onset + int(rng.uniform(3, 30) * HOUR)
    if shape == "step" and kind not in NEVER_ENDS and rng.random() < 0.2 and left > 9 * DAY:
        return onset + int(rng.uniform(4 * DAY, min(20 * DAY, left - 3 * DAY)))
    return None
