"""What was said about the answers: a judge on a sample, thumbs of users, a few humans; and the ways a judge or a sample misleads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .behaviour import State, graded
from .decoys import Decoys
from .product import pick
from .story import DAY, HOUR, Story

JUDGE_MODELS = ("gpt-4.1-mini", "gpt-5-mini", "claude-haiku-4-5")
SECOND = 1_000_000


@dataclass
class Scores:
    """One element per judgement. ``trace`` is the index of the trace, times are microseconds since the first day."""

    trace: np.ndarray
    name: np.ndarray
    value: np.ndarray
    rater: np.ndarray
    rater_id: np.ndarray
    model: np.ndarray
    version: np.ndarray
    chance: np.ndarray
    created: np.ndarray


def judge(rng: np.random.Generator, state: State, story: Story, decoys: Decoys, details: dict) -> Scores:
    """All scores of a case; ``details`` takes what the truth must tell about a judge or a sample that changed."""
    traffic, judging = state.traffic, state.product.judging
    n = len(traffic)
    thumbed = np.flatnonzero((rng.random(n) < judging.thumbed) & ~state.dims["environment"].holds("staging"))
    up = rng.random(len(thumbed)) < np.clip(0.84 + 1.1 * (state.quality[thumbed] - 0.75), 0.03, 0.98)
    chance = np.full(n, judging.judged)
    if story.kind == "sampling_changed":
        down = np.zeros(n, bool)
        down[thumbed[~up]] = True
        chance = _tilted(rng, state, story, down, details)
    judged = np.flatnonzero((rng.random(n) < chance) & ~state.lost)
    human = np.flatnonzero((rng.random(n) < judging.human) & ~state.lost)
    parts = [
        *_judged(rng, state, story, decoys, judged, chance, details),
        _thumbs(rng, state, thumbed, up),
        _human(rng, state, human),
    ]
    return Scores(*(np.concatenate([p[i] for p in parts]) for i in range(9)))


def _part(rows, name, value, rater, rater_id, created, *, model=None, version=None, chance=None):
    n = len(rows)
    full = lambda v: v if isinstance(v, np.ndarray) else np.full(n, v, object)  # noqa: E731
    chance = np.full(n, np.nan) if chance is None else chance
    return rows, full(name), value.astype(float), full(rater), full(rater_id), full(model), full(version), chance, created


def _judged(rng, state: State, story: Story, decoys: Decoys, rows: np.ndarray, chance: np.ndarray, details: dict):
    """The overall score and the criteria, given within the hour or in the night after."""
    judging, at = state.product.judging, state.traffic.at[rows]
    quality = state.quality[rows]
    created = at + rng.integers(20 * SECOND, HOUR, len(rows))
    if judging.nightly:
        created = (at // DAY + 1) * DAY + rng.integers(HOUR, 3 * HOUR, len(rows))
    harsh, version, model = _temper(rng, state, story, decoys, rows, created, details)
    told = {"model": model, "version": version, "chance": chance[rows] if judging.logs_chance else None}
    values = graded(quality + state.unlucky[rows] + harsh, judging)
    yield _part(rows, judging.name, values, "judge", f"judge-{judging.name}", created, **told)
    too = rng.random() < 0.6
    for name in judging.criteria:
        seen = 0.75 + rng.uniform(0.5, 1.0) * (quality - 0.75) + rng.normal(0, 0.08, len(rows)) + too * harsh
        yield _part(rows, name, graded(seen, judging), "judge", f"judge-{name}", created, **told)


def _temper(rng, state: State, story: Story, decoys: Decoys, rows, created, details: dict):
    """What the judge adds to every score, and the version and model it logs."""
    judging = state.product.judging
    model = pick(rng, JUDGE_MODELS)
    versions, models = np.full(len(rows), "1" if judging.logs_version else None, object), np.full(len(rows), model, object)
    harsh = np.zeros(len(rows))
    if story.kind == "judge_changed":
        weight = story.weight(created)
        harsh = _harsh(rng, state, story, rows, weight)
        told = judging.logs_version and story.shape == "step" and rng.random() < 0.6
        if told:
            versions[weight > 0] = "2"
        elif story.shape == "step" and rng.random() < 0.4:
            models[weight > 0] = next(m for m in JUDGE_MODELS if m != model)
        details |= {"by": round(float(harsh[weight > 0].mean()), 3) if (weight > 0).any() else 0.0, "version_logged": bool(told)}
    elif decoys.judge_bump:
        versions[created >= decoys.judge_bump] = "2"
    return harsh, versions, models


def _harsh(rng, state: State, story: Story, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A shift of every score, mostly down, as strong as the story wants it."""
    sign = -1 if rng.random() < 0.7 else 1
    after, before = rows[weight > 0], rows[weight == 0]
    base = state.graded(state.quality[before], before)
    low, high = 0.0, 0.5
    for _ in range(12):
        middle = (low + high) / 2
        now = state.graded(state.quality[after] + sign * middle * weight[weight > 0], after)
        error = np.sqrt(base.var() / max(len(base), 1) + now.var() / max(len(now), 1))
        calm = state.graded(state.quality[after], after).mean() if len(after) else 0.0
        low, high = (middle, high) if len(after) and abs(now.mean() - calm) < story.z * error else (low, middle)
    return sign * high * weight


def _tilted(rng, state: State, story: Story, down: np.ndarray, details: dict) -> np.ndarray:
    """The chance to be judged, after the onset higher or lower for a group of unusual quality."""
    traffic, rate = state.traffic, state.product.judging.judged
    late = (traffic.at >= story.onset) & ~state.lost
    name, group = _group(rng, state, late, down)
    inside, outside = state.quality[late & group].mean(), state.quality[late & ~group].mean()
    share = group[late].mean()
    error = state.quality.std() * np.sqrt(1 / (rate * max(1, (~late).sum())) + 1 / (rate * max(1, late.sum())))
    wanted = np.clip(share - story.z * error / (inside - outside), 0.02, 0.95)
    factor = wanted * (1 - share) / (share * (1 - wanted))
    tilt = np.where(group, factor, 1.0)
    chance = np.full(len(traffic), rate)
    scale = tilt[late].mean() if rng.random() < 0.6 else max(1.0, factor) ** 0.5
    chance[late] = np.clip(rate * tilt / scale, 0.002, 1.0)[late]
    details |= {"group": name, "factor": round(float(factor), 2)}
    return chance


def _group(rng, state: State, late: np.ndarray, down: np.ndarray) -> tuple[str, np.ndarray]:
    """A group by which sampling could have been changed: one of the few that differ most from the rest."""
    groups = {"turn 3 or later": state.traffic.turn >= 3, "long answers": state.sentences > np.quantile(state.sentences, 0.7)}
    groups["thumbs down"] = down
    for role in ("feature", "tier", "locale", "region", "tenant"):
        groups |= {f"{role} {word}": state.dims[role].holds(word) for word in state.dims[role].used()}

    def reach(mask):
        """How far the mean can be moved: a group of share s can become s / rate of the sample."""
        share = mask[late].mean()
        if not 0.005 < share < 0.7:
            return 0.0
        gap = state.quality[late & mask].mean() - state.quality[late & ~mask].mean()
        return -gap * (min(0.9, share / state.product.judging.judged) - share) if gap < 0 else gap * share

    best = sorted(groups, key=lambda g: -reach(groups[g]))[:3]
    name = "thumbs down" if (down & late).sum() >= 5 and rng.random() < 0.15 else pick(rng, best[: 1 + (rng.random() < 0.3) * 2])
    return name, groups[name]


def _thumbs(rng, state: State, rows: np.ndarray, up: np.ndarray):
    users = np.array([f"u-{n:05d}" for n in range(len(state.product.users.tenant))], object)
    created = state.traffic.at[rows] + rng.integers(10 * SECOND, HOUR // 4, len(rows))
    return _part(rows, state.product.judging.thumbs, up, "user", users[state.traffic.user[rows]], created)


def _human(rng, state: State, rows: np.ndarray):
    judging = state.product.judging
    values = graded(state.quality[rows] + rng.normal(0, 0.06, len(rows)), judging)
    people = np.array(["h-1", "h-2", "h-3"], object)[rng.integers(0, 3, len(rows))]
    return _part(rows, judging.name, values, "human", people, state.traffic.at[rows] + rng.integers(HOUR, 4 * DAY, len(rows)))
