"""Where and when something became worse, whatever the reason: the search over all slices, days and watched metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ...stats import changes
from ...stats.cells import whole
from ...stats.scan import Search, search
from ...stats.series import of_sums
from .cube import Counter, Cube, Label

BURSTS = (1, 2, 6, 14)
PERMUTATIONS = 24
# What a few hours tell: of costs and numbers of spans a single trace may make a burst.
BY_HOURS = {
    "error_rate", "guardrail_block_rate", "length_rate", "refusal_rate", "repeated_tool_rate", "ttft_ms", "latency_ms",
    "llm_latency_ms",
}  # fmt: skip
HOURS = 4  # of a bin of the second search
HOUR_BURSTS = (1, 2, 4)
HOUR_PERMUTATIONS = 16
MEDIAN_CHI2 = 0.4549
TRIMMED, TRIMMED_CHI2 = 0.98, 0.873  # the mean of the lower 98 % of a squared normal
HOUR_SHARE = 10.0  # a lead of hours pays for the search over days too
LEAST_VALUES = 100
LEAST_HUMAN = 1_000


@dataclass(frozen=True)
class Lead:
    """A slice in which a metric became worse: first day, first day after (None: it lasts), signed z, p over the whole search.

    ``hours`` are first hour and first hour after of a burst of hours.
    """

    metric: int
    cell: int
    label: Label
    day: int
    end: int | None
    z: float
    score: float
    p: float
    hours: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Leads:
    """All of them, the surest first; ``metrics`` are those that were searched, ``shocks`` what days share in each."""

    leads: tuple[Lead, ...]
    metrics: tuple[int, ...]
    search: Search | None
    shocks: dict[int, float] = field(default_factory=dict)


def find_leads(counter: Counter, cube: Cube, fine: Callable[[], Cube]) -> Leads:
    """The best slices of every watched metric with a bad way, best first; bursts of hours from the cube that ``fine`` brings."""
    plan = counter.plan
    metrics = [i for i, m in enumerate(plan.metrics) if m.better and plan.watches(i) and cube.total[0, i].sum() >= LEAST_VALUES]
    metrics = [i for i in metrics if _worth(plan, cube, i)]
    if not metrics or plan.days < 14:
        return Leads((), tuple(metrics), None)
    cells = [whole(cube.cells(plan, i)) for i in metrics]
    shocks = [shock(c.total, plan.start.weekday()) for c in cells]
    onsets = None if plan.onset is None else [min(max(plan.onset_day, 2), plan.days - 2)]
    found = search(cells, onsets=onsets, bursts=lengths(plan.days), shocks=shocks, permutations=PERMUTATIONS)
    out = _worse(plan, cube, metrics, found)
    if onsets is None:
        out += _of_hours(plan, fine(), metrics)
    return Leads(
        tuple(sorted(out, key=lambda x: (x.p, -x.score))), tuple(metrics), found, dict(zip(metrics, shocks, strict=True))
    )


def lengths(days: int) -> tuple[int, ...]:
    """The bursts, in days, that fit into so many days."""
    return tuple(length for length in BURSTS if length < days)


def _worse(plan, cube: Cube, metrics: list[int], found: Search) -> list[Lead]:
    """The best slices of each metric that moved the wrong way."""
    out = []
    for j, i in enumerate(metrics):
        bad = -1 if plan.metrics[i].better == "up" else 1
        for f in [f for f in found.scan.top(12, metric=j) if np.sign(f.z) == bad][:4]:
            label = () if f.cell >= len(cube.labels) else cube.labels[f.cell]
            out.append(Lead(i, f.cell, label, f.onset, f.end, f.z, f.score, found.p_of(f)))
    return out


def _of_hours(plan, fine: Cube, metrics: list[int]) -> list[Lead]:
    """Bursts of up to 16 hours, which a day dilutes; their days say where they lie."""
    metrics = [i for i in metrics if plan.metrics[i].is_score or plan.metrics[i].name in BY_HOURS]
    if not metrics:
        return []
    cells = [whole(fine.cells(plan, i)) for i in metrics]
    shocks = [_shared(c.total, c.period) for c in cells]
    found = search(cells, bursts=HOUR_BURSTS, steps=False, shocks=shocks, permutations=HOUR_PERMUTATIONS)
    per_day, out = fine.per_day, []
    for lead in _worse(plan, fine, metrics, found):
        stop = lead.end if lead.end is not None else fine.total.shape[-1]
        days = {"day": lead.day // per_day, "end": -(-stop // per_day)}
        out.append(replace(lead, **days, p=min(HOUR_SHARE * lead.p, 1.0), hours=(HOURS * lead.day, HOURS * stop)))
    return out


def _shared(total: np.ndarray, period: int) -> float:
    """Variance that bins share beyond sampling, by the median and the trimmed mean of squared deviations: a burst does not count."""
    n, s, q = total
    there = n > 0
    place = np.arange(len(n)) % period
    usual = np.bincount(place, s, period) / np.maximum(np.bincount(place, n, period), 1)
    variance = max(float(q.sum() - (usual[place] * s).sum()), 0.0) / max(float(n.sum()), 1.0)
    if not there.any() or not variance:
        return 0.0
    z2 = (s[there] - n[there] * usual[place][there]) ** 2 / n[there] / variance
    most = float(np.quantile(z2, TRIMMED))
    over = max(float(np.median(z2)) / MEDIAN_CHI2, float(z2[z2 <= most].mean()) / TRIMMED_CHI2)
    return max(over - 1, 0.0) * variance / float(np.median(n[there]))


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
