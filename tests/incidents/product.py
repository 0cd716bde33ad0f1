"""A made-up product, drawn at random: features, models, tenants, users, what is logged under which name, rhythm and noise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from . import words

FIRST_START = datetime(2025, 11, 3, tzinfo=UTC)
# What a cause needs to be there.
NEEDS = {
    "retrieval": "rag", "agent_loop": "agent", "guardrail": "guarded", "price": "costs", "prompt_cache": "costs",
    "model_version": "costs",  # a snapshot without a list price would be another incident
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model: provider, the name asked for, the one that answers now and the one after it, speed and prices."""

    provider: str
    requested: str
    resolved: str
    successor: str
    ttft_ms: float
    ms_per_token: float
    usd_in: float
    usd_out: float
    cached: float  # price of a cached input token as a share of ``usd_in``


@dataclass(frozen=True)
class Feature:
    """A feature: form of its traces, prompt, mean quality, chance of a next turn, length of answers, its model by tier."""

    name: str
    form: str
    prompt: str
    version: str
    topics: tuple[str, ...]
    share: float
    level: float
    next_turn: float
    sentences: float
    context: float
    guarded: bool
    models: tuple[tuple[int, ...], tuple[float, ...]]
    premium: int | None  # model of the highest tier


@dataclass(frozen=True)
class Tenants:
    """One array per property of the accounts; ``region`` has shares by region, ``favourite`` (0-1) a place among the features."""

    share: np.ndarray
    tier: np.ndarray
    sso: np.ndarray
    region: np.ndarray
    level: np.ndarray
    favourite: np.ndarray


@dataclass(frozen=True)
class Users:
    """One array per property of the end users; codes into the vocabularies of the product."""

    tenant: np.ndarray
    weight: np.ndarray
    auth: np.ndarray
    locale: np.ndarray
    region: np.ndarray
    client: np.ndarray
    bucket: np.ndarray
    level: np.ndarray


@dataclass(frozen=True)
class Axis:
    """A dimension that the product logs: its role here, and the name and place (column, metadata, extra) there."""

    role: str
    place: str
    name: str


@dataclass(frozen=True)
class Rhythm:
    """Weights of weekdays (from Monday) and hours, growth a week, and the sizes of what days share."""

    weekdays: np.ndarray
    hours: np.ndarray
    growth: float
    shock: float
    memory: float


@dataclass(frozen=True)
class Judging:
    """Who judges what: name and scale of the overall score, criteria, the user's score, shares and noise."""

    name: str
    criteria: tuple[str, ...]
    thumbs: str
    scale: str  # unit, twentieths, five, binary
    noise: float
    judged: float
    thumbed: float
    human: float
    nightly: bool
    logs_version: bool
    logs_chance: bool


@dataclass(frozen=True)
class Writing:
    """How the product logs: which spans carry the dimensions, costs, older names, JSON text instead of lists and maps."""

    everywhere: bool
    costs: bool
    older_names: bool
    json_text: bool
    retries: bool
    embedder: tuple[str, str] | None
    prefix: str


@dataclass(frozen=True)
class Product:
    """All of it.

    ``values`` are the words of each role, ``start`` is midnight UTC of the first day, ``taste`` the share of sessions that go
    to the favourite feature of their account.
    """

    start: datetime
    days: int
    features: tuple[Feature, ...]
    models: tuple[Model, ...]
    tenants: Tenants
    users: Users
    axes: tuple[Axis, ...]
    values: dict[str, tuple[str, ...]]
    rhythm: Rhythm
    judging: Judging
    writing: Writing
    staging: float
    errors: float
    taste: float


def draw_product(rng: np.random.Generator, *, traces: int, weeks: int, kind: str) -> Product:
    """A product on which an incident of ``kind`` can happen."""
    need = NEEDS.get(kind)
    values = _values(rng)
    models = _models(rng)
    tenants = _tenants(rng, values)
    return Product(
        start=FIRST_START + timedelta(days=int(rng.integers(0, 300))),
        days=7 * weeks,
        features=_features(rng, models, need),
        models=models,
        tenants=tenants,
        users=_users(rng, tenants, values, traces),
        axes=_axes(rng),
        values=values | {"tenant": tuple(f"t-{n:03d}" for n in rng.permutation(len(tenants.share)) + 1)},
        rhythm=_rhythm(rng),
        judging=_judging(rng),
        writing=_writing(rng, need),
        staging=float(rng.uniform(0.005, 0.03)),
        errors=float(rng.uniform(0.004, 0.02)),
        taste=float(rng.uniform(0, 0.4)) if rng.random() < 0.5 else 0.0,
    )


def pick(rng: np.random.Generator, options):
    """One of a sequence."""
    return options[int(rng.integers(len(options)))]


def shares(rng: np.random.Generator, count: int, steepness: float) -> np.ndarray:
    """Zipf shares in random order, steeper with ``steepness``."""
    weights = rng.permutation(1.0 / np.arange(1, count + 1) ** steepness)
    return weights / weights.sum()


def _values(rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    locales = rng.permutation(words.LOCALES)[: rng.integers(2, 6)]
    return {
        "tier": pick(rng, words.TIERS),
        "auth": pick(rng, words.AUTHS),
        "locale": tuple(map(str, locales)),
        "region": pick(rng, words.REGIONS),
        "client": pick(rng, words.CLIENTS),
        "bucket": tuple("abcd"[: rng.integers(2, 5)]),
        "worker": tuple(f"w-{n}" for n in range(rng.integers(3, 9))),
        "environment": ("production", "staging"),
    }


def _models(rng: np.random.Generator) -> tuple[Model, ...]:
    """Two to six models of two providers or more (now and then of one)."""
    names = sorted({m[0] for m in words.MODELS})
    kept = set(rng.permutation(names)[: rng.choice([1, 2, 3, 4], p=[0.08, 0.32, 0.4, 0.2])])
    known = [m for m in words.MODELS if m[0] in kept]
    chosen = rng.permutation(len(known))[: rng.integers(2, 7)]
    return tuple(Model(*known[i], cached=float(rng.choice([0.1, 0.25, 0.5]))) for i in sorted(chosen))


def _features(rng: np.random.Generator, models: tuple[Model, ...], need: str | None) -> tuple[Feature, ...]:
    count = int(rng.integers(3, 9))
    names = [str(n) for n in rng.permutation(list(words.FEATURES))]
    if need in ("rag", "agent"):
        names.sort(key=lambda n: words.FEATURES[n][0] != need)
    names = [n for i, n in enumerate(names) if words.FEATURES[n][0] != "agent" or i == 0 or rng.random() < 0.3][:count]
    weights = np.sort(shares(rng, len(names), rng.uniform(0.3, 1.1)))[::-1]
    guarded = rng.random(len(names)) < rng.choice([0.0, 0.3, 0.7])
    guarded[0] |= need == "guarded"
    weights = rng.permutation(weights) if need is None else weights
    return tuple(_feature(rng, n, models, float(w), guarded=bool(g)) for n, w, g in zip(names, weights, guarded, strict=True))


def _feature(rng: np.random.Generator, name: str, models: tuple[Model, ...], share: float, *, guarded: bool) -> Feature:
    form, prompt, topics = words.FEATURES[name]
    own = tuple(int(i) for i in rng.permutation(len(models))[: rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])])
    version = int(rng.integers(1, 14))
    return Feature(
        name=name,
        form=form,
        prompt=prompt,
        version=f"v{version}" if rng.random() < 0.3 else str(version),
        topics=topics,
        share=share,
        level=float(rng.uniform(0.62, 0.86)),
        next_turn=0.0 if form == "single" else float(rng.uniform(0.1, 0.6)),
        sentences=float(rng.uniform(3, 7)),
        context=float(rng.uniform(150, 1800)),
        guarded=guarded,
        models=(own, tuple(float(w) for w in rng.dirichlet(np.full(len(own), 3.0)))),
        premium=int(rng.integers(len(models))) if rng.random() < 0.2 else None,
    )


def _tenants(rng: np.random.Generator, values: dict) -> Tenants:
    """Zipf sizes; big accounts tend to the higher tiers, and these to SSO and to one region."""
    count = int(np.exp(rng.uniform(np.log(5), np.log(90))))
    share = shares(rng, count, rng.uniform(0.4, 1.2))
    tiers, regions = len(values["tier"]), len(values["region"])
    rank = np.argsort(np.argsort(share)) / max(count - 1, 1)
    tied = rng.uniform(0.2, 1.0)
    tier = np.clip(((tied * rank + (1 - tied) * rng.random(count)) * tiers).astype(int), 0, tiers - 1)
    base = np.linspace(0.02, rng.uniform(0.3, 0.9), tiers)
    return Tenants(
        share=share,
        tier=tier,
        sso=np.clip(base[tier] + rng.normal(0, 0.12, count), 0, 0.95) * (rng.random(count) < 0.85),
        region=rng.dirichlet(np.full(regions, rng.choice([0.15, 0.6, 3.0])), count),
        level=rng.normal(0, 0.025, count),
        favourite=rng.random(count),
    )


def _users(rng: np.random.Generator, tenants: Tenants, values: dict, traces: int) -> Users:
    count = max(60, int(traces * rng.uniform(0.02, 0.12)))
    tenant = rng.choice(len(tenants.share), count, p=tenants.share)
    others = rng.choice(np.arange(1, len(values["auth"])), count, p=shares(rng, len(values["auth"]) - 1, 1.0))
    region = (rng.random(count)[:, None] > tenants.region.cumsum(1)[tenant]).sum(1).clip(max=len(values["region"]) - 1)
    tongue = rng.dirichlet(np.full(len(values["locale"]), 0.8), len(values["region"]))
    locale = (rng.random(count)[:, None] > tongue.cumsum(1)[region]).sum(1).clip(max=len(values["locale"]) - 1)
    return Users(
        tenant=tenant,
        weight=rng.gamma(0.8, 1.0, count) + 0.05,
        auth=np.where(rng.random(count) < tenants.sso[tenant], 0, others),
        locale=locale,
        region=region,
        client=rng.choice(len(values["client"]), count, p=shares(rng, len(values["client"]), 1.0)),
        bucket=rng.integers(0, len(values["bucket"]), count),
        level=rng.normal(0, rng.uniform(0.02, 0.06), count),
    )


def _axes(rng: np.random.Generator) -> tuple[Axis, ...]:
    """Feature, tenant and environment are always logged, the others by most products."""
    always = ("feature", "tenant", "environment")
    roles = [r for r in words.NAMES if r in always or rng.random() < 0.8]
    return tuple(Axis(r, *pick(rng, words.NAMES[r])) for r in roles)


def _rhythm(rng: np.random.Generator) -> Rhythm:
    weekend = rng.uniform(0.15, 1.0)
    hours = np.arange(24)
    peak, flat = rng.uniform(9, 18), rng.uniform(0.03, 0.5)
    day = np.exp(-0.5 * (((hours - peak + 12) % 24 - 12) / rng.uniform(2.5, 5)) ** 2)
    return Rhythm(
        weekdays=np.array([1, 1.04, 1.06, 1.03, 0.94, weekend, weekend * 0.9]) * rng.uniform(0.95, 1.05, 7),
        hours=(day + flat) / (day + flat).sum(),
        growth=float(rng.uniform(-0.02, 0.06)),
        shock=float(rng.uniform(0.0, 0.012)),
        memory=float(rng.uniform(0.0, 0.7)),
    )


def _judging(rng: np.random.Generator) -> Judging:
    count = int(rng.choice([0, 1, 2], p=[0.25, 0.45, 0.3]))
    return Judging(
        name=pick(rng, words.JUDGED),
        criteria=tuple(map(str, rng.permutation(words.CRITERIA)[:count])),
        thumbs=pick(rng, words.THUMBS),
        scale=str(rng.choice(["unit", "twentieths", "five", "binary"], p=[0.3, 0.35, 0.25, 0.1])),
        noise=float(rng.uniform(0.03, 0.1)),
        judged=0.15,
        thumbed=float(rng.uniform(0.03, 0.07)),
        human=float(rng.uniform(0.005, 0.015)),
        nightly=bool(rng.random() < 0.2),
        logs_version=bool(rng.random() < 0.6),
        logs_chance=bool(rng.random() < 0.3),
    )


def _writing(rng: np.random.Generator, need: str | None) -> Writing:
    return Writing(
        everywhere=bool(rng.random() < 0.7),
        costs=need == "costs" or bool(rng.random() < 0.6),
        older_names=bool(rng.random() < 0.25),
        json_text=bool(rng.random() < 0.3),
        retries=bool(rng.random() < 0.4),
        embedder=words.EMBEDDERS[int(rng.choice(3, p=[0.4, 0.4, 0.2]))] if rng.random() < 0.3 else None,
        prefix=pick(rng, ("tr-", "req_", "", "t")),
    )
