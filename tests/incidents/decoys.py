"""What looks like a cause and is none: drawn for every case, named in its truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import words
from .behaviour import State
from .kinds import following
from .product import Product, pick
from .slices import mask_of
from .story import DAY, HOUR
from .traffic import Redirect, Traffic

CHANCE = 0.35


@dataclass
class Decoys:
    """``named`` says what there is, in words; the rest is what traffic and writing need of it."""

    named: dict[str, str]
    volume: np.ndarray
    redirects: list[Redirect] = field(default_factory=list)
    staging: tuple[int, int] | None = None
    missing: dict[str, float] = field(default_factory=dict)
    lost: float = 0.0
    judge_bump: int | None = None


def draw_decoys(rng: np.random.Generator, product: Product) -> Decoys:
    """The decoys that stand in the traffic or in the writing; those of the calls come with ``plant``."""
    out = Decoys({}, np.ones(product.days))
    for decoy in (_holiday, _loud_tenant, _growing_tenant, _staging_burst, _missing, _lost, _judge_bump):
        if rng.random() < CHANCE:
            decoy(rng, product, out)
    return out


def _holiday(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    first, days = int(rng.integers(3, product.days - 4)), int(rng.integers(1, 4))
    out.volume[first : first + days] = rng.uniform(0.15, 0.5)
    out.named["holiday"] = f"{days} quiet days from day {first}"


def _neutral_tenant(rng: np.random.Generator, product: Product) -> int:
    """An account of ordinary quality."""
    return int(rng.choice(np.argsort(np.abs(product.tenants.level))[: max(2, len(product.tenants.level) // 3)]))


def _loud_tenant(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    who, first, days = _neutral_tenant(rng, product), int(rng.integers(5, product.days - 6)), int(rng.integers(1, 5))
    share = rng.uniform(0.05, 0.2)
    out.redirects.append(Redirect("tenant", who, lambda at: share * ((at >= first * DAY) & (at < (first + days) * DAY))))
    out.named["loud_tenant"] = f"{product.values['tenant'][who]} sends {share:.0%} more for {days} days from day {first}"


def _growing_tenant(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    who, first, share = _neutral_tenant(rng, product), rng.uniform(5, product.days - 10) * DAY, rng.uniform(0.02, 0.08)
    out.redirects.append(Redirect("tenant", who, lambda at: share * (at >= first)))
    out.named["growing_tenant"] = f"{product.values['tenant'][who]} grows by {share:.0%} of all from day {first / DAY:.0f}"


def _staging_burst(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    first = int(rng.uniform(4, product.days - 6) * DAY)
    out.staging = (first, first + int(rng.uniform(12, 72) * HOUR))
    out.named["staging_burst"] = f"many staging rows from day {first / DAY:.0f}"


def _missing(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    for axis in product.axes:
        if axis.role not in ("feature", "environment") and rng.random() < 0.3:
            out.missing[axis.role] = float(rng.uniform(0.01, 0.06))
    if out.missing:
        out.named["missing_fields"] = ", ".join(
            f"{a.name} {out.missing[a.role]:.1%}" for a in product.axes if a.role in out.missing
        )


def _lost(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    out.lost = float(rng.uniform(0.003, 0.02))
    out.named["lost_spans"] = f"{out.lost:.1%} of spans"


def _judge_bump(rng: np.random.Generator, product: Product, out: Decoys) -> None:
    if product.judging.logs_version:
        out.judge_bump = int(rng.uniform(5, product.days - 5) * DAY)
        out.named["judge_bump"] = f"a new judge version on day {out.judge_bump / DAY:.0f} that judges alike"


def burst_of_staging(rng: np.random.Generator, traffic: Traffic, decoys: Decoys) -> None:
    """Turn some sessions of the burst into staging ones."""
    if decoys.staging:
        some = rng.random(int(traffic.session.max()) + 1) < 0.1
        during = (traffic.at >= decoys.staging[0]) & (traffic.at < decoys.staging[1])
        traffic.dims["environment"].put(during & some[traffic.session], "staging")


def plant(rng: np.random.Generator, state: State, where: dict[str, str], decoys: Decoys) -> None:
    """Decoys in the calls themselves, away from the feature of the incident."""
    for decoy in (_canary, _block, _trial):
        if rng.random() < CHANCE:
            decoy(rng, state, where, decoys)
    if len(state.dims["index"].used()) > 1:
        decoys.named["index_rebuild"] = "kb-2 follows kb-1 and finds the same"
    decoys.named["correlated"] = "tier, SSO, region and size go together by account"


def _when(rng: np.random.Generator, state: State) -> int:
    return int(rng.uniform(5, state.product.days - 5) * DAY + rng.uniform(7, 19) * HOUR)


def _feature(rng: np.random.Generator, state: State, where: dict[str, str]) -> str:
    others = [f.name for f in state.product.features if f.name != where.get("feature")]
    return pick(rng, others)


def _canary(rng: np.random.Generator, state: State, where: dict[str, str], decoys: Decoys) -> None:
    feature, since, share = _feature(rng, state, where), _when(rng, state), rng.uniform(0.05, 0.3)
    some = (rng.random(len(state.product.users.tenant)) < share)[state.traffic.user]
    rows = some & state.dims["feature"].holds(feature) & (state.traffic.at >= since)
    new = following(next(f.version for f in state.product.features if f.name == feature))
    state.dims["prompt_version"].put(rows, new)
    state.revised[rows] = True
    decoys.named["canary"] = f"version {new} for {share:.0%} of {feature} from day {since / DAY:.0f}"


def _block(rng: np.random.Generator, state: State, where: dict[str, str], decoys: Decoys) -> None:
    role = pick(rng, [r for r in ("auth", "tier", "locale", "client", "feature") if r not in where])
    word, since = pick(rng, state.dims[role].used()), _when(rng, state)
    at = int(rng.integers(len(words.BENIGN_BLOCKS)))
    state.benign[mask_of(state, {role: word}) & (state.traffic.at >= since)] = at
    decoys.named["benign_block"] = f"{words.BENIGN_BLOCKS[at]!r} for {role} {word} from day {since / DAY:.0f}"


def _trial(rng: np.random.Generator, state: State, where: dict[str, str], decoys: Decoys) -> None:
    """Another name of a model that is just as good and fast, and as dear where costs are recorded."""
    if not state.product.writing.costs:
        return
    feature, since, share = _feature(rng, state, where), _when(rng, state), rng.uniform(0.04, 0.15)
    some = (rng.random(len(state.product.users.tenant)) < share)[state.traffic.user]
    rows = some & state.dims["feature"].holds(feature) & (state.traffic.at >= since) & ~_asked(state, where)
    if not rows.any():
        return
    provider = state.dims["provider"].words[state.dims["provider"].codes[np.flatnonzero(rows)[0]]]
    rows &= state.dims["provider"].holds(provider)
    for role in ("model_requested", "model"):
        state.dims[role].put(rows, words.TRIALS[provider])
    decoys.named["model_trial"] = f"{words.TRIALS[provider]} for {share:.0%} of {feature} from day {since / DAY:.0f}"


def _asked(state: State, where: dict[str, str]) -> np.ndarray:
    """The traces of the model that the incident is about."""
    told = {r: w for r, w in where.items() if r in ("model_requested", "model")}
    return mask_of(state, told) if told else np.zeros(len(state.traffic), bool)
