"""Where and when something became worse, whatever the reason: the search over all slices, days and watched metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...stats import changes
from ...stats.cells import whole
from ...stats.scan import Search, search
from ...stats.series import of_sums
from .cube import Counter, Cube, Label

BURSTS = (1, 2, 6, 14)
PERMUTATIONS = 24
LEAST_VALUES = 100
LEAST_HUMAN = 1_000


@dataclass(frozen=True)
class Lead:
    """A slice in which a metric became worse: first day, first day after (None: it lasts), signed z, p over the whole search."""

    metric: int
    cell: int
    label: Label
    day: int
    end: int | None
    z: float
    score: float
    p: float


@dataclass(frozen=True, eq=False)
class Leads:
    """All of them, the surest first; ``metrics`` are those that were searched, ``shocks`` what days share in each."""

    leads: tuple[Lead, ...]
    metrics: tuple[int, ...]
    search: Search | None
    shocks: dict[int, float] = field(default_factory=dict)


def find_leads(counter: Counter, cube: Cube) -> Leads:
    """The best slices of every watched metric with a bad way, best first."""
    plan = counter.plan
    metrics = [i for i, m in enumerate(plan.metrics) if m.better and plan.watches(i) and cube.total[0, i].sum() >= LEAST_VALUES]
    metrics = [i for i in metrics if _worth(plan, cube, i)]
    if not metrics or plan.days < 14:
        return Leads((), tuple(metrics), None)
    cells = [whole(cube.cells(plan, i)) for i in metrics]
    shocks = [shock(c.total, plan.start.weekday()) for c in cells]
    onsets = None if plan.onset is None else [min(max(plan.onset_day, 2), plan.days - 2)]
    found = search(cells, onsets=onsets, bursts=BURSTS, shocks=shocks, permutations=PERMUTATIONS)
    out = []
    for j, i in enumerate(metrics):
        bad = -1 if plan.metrics[i].better == "up" else 1
        some = [f for f in found.scan.top(12, metric=j) if np.sign(f.z) == bad][:4]
        for f in some:
            label = () if f.cell >= len(cube.labels) else cube.labels[f.cell]
            out.append(Lead(i, f.cell, label, f.onset, f.end, f.z, f.score, found.p_of(f)))
    return Leads(
        tuple(sorted(out, key=lambda x: (x.p, -x.score))), tuple(metrics), found, dict(zip(metrics, shocks, strict=True))
    )


def _worth(plan, cube: Cube, i: int) -> bool:
    """Whether a metric varies, has enough values (people judge too few to search in), and says what no better one says."""
    m, n = plan.metrics[i], cube.total[0, i].sum()
    if m.name.endswith(":human") and n < LEAST_HUMAN:
        return False
    if m.name == "cost_per_token":
        listed = next(k for k, other in enumerate(plan.metrics) if other.name == "unit_price")
        return cube.total[0, listed].sum() < 0.2 * n
    return float(cube.total[2, i].sum()) > 1e-9 * n


def shock(total: np.ndarray, phase: int) -> float:
    """Variance that days share beyond sampling, over long stretches, averaged over what the days allow; 0 where nothing varies."""
    found = changes.find(of_sums(*total, phase=phase), draws=2)
    return found.noise.long_run if found else 0.0
