"""For the false incidents of mix and sampling: a part of the traffic that is clearly worse, and the sessions that go there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .product import Product
from .story import DAY, Story
from .traffic import Redirect

GAP = 0.08
SPREAD = 0.15  # of the quality of single answers, about
MOST = 0.6


@dataclass(frozen=True)
class Part:
    """A feature or a tenant, its share of the traffic and how much worse it is than the rest."""

    role: str
    value: int
    share: float
    gap: float


def with_worse_part(rng: np.random.Generator, product: Product) -> tuple[Product, Part]:
    """The product with one feature or account that is worse than the rest by ``GAP`` or more, and which one it is."""
    role = "feature" if rng.random() < 0.6 else "tenant"
    features = role == "feature"
    shares = np.array([f.share for f in product.features]) if features else product.tenants.share
    levels = np.array([f.level for f in product.features]) if features else product.tenants.level
    value = int(rng.choice(np.flatnonzero(shares <= max(0.4, shares.min()))))
    rest = float(np.delete(levels, value) @ np.delete(shares, value) / np.delete(shares, value).sum())
    gap = min(float(levels[value]) - rest, -float(rng.uniform(GAP, 0.3)))
    return _with_level(product, role, value, rest + gap), Part(role, value, float(shares[value]), -gap)


def _with_level(product: Product, role: str, value: int, level: float) -> Product:
    if role == "feature":
        features = list(product.features)
        features[value] = replace(features[value], level=level)
        return replace(product, features=tuple(features))
    levels = product.tenants.level.copy()
    levels[value] = level
    return replace(product, tenants=replace(product.tenants, level=levels))


def moved(product: Product, story: Story, part: Part, traces: int) -> Redirect:
    """The sessions that go to the worse part from the onset on, so many that the mean moves as far as the story wants."""
    left = 1 - story.onset / (product.days * DAY)
    seen = product.judging.judged * traces
    error = SPREAD * np.sqrt(1 / (seen * (1 - left)) + 1 / (seen * left))
    reached = 1 - 0.5 * min(1.0, story.ramp / (left * product.days * DAY))
    share = float(np.clip(story.z * error / (part.gap * (1 - part.share) * reached), 0.02, MOST))
    return Redirect(part.role, part.value, lambda at: share * story.weight(at))
