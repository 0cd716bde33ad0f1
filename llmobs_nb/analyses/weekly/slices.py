"""A short list of KPIs by the values of a dimension: the twelve with most requests, the others together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...columns import literal
from ..reductions import rows
from . import judged as jd
from . import volumes
from .kpis import QUANTILES, RATIOS, VOLUMES, Kpi
from .levels import Review, review_ratio, review_volume
from .plan import Plan
from .sql import moments
from .times import SLICE
from .traces import TRACES

MOST = 12
SCORES = 3
OTHER = "other"
_RATIOS = tuple(k for k in RATIOS if k.name in ("error_rate", "cost_per_request"))
_TIMES = tuple(k for k in QUANTILES if k.stage == "total" and k.p == 0.95)


@dataclass(frozen=True)
class Slices:
    """The values of one dimension that are shown: ``code`` numbers them in SQL over the traces, from ``first`` on."""

    name: str
    column: str
    first: int
    values: tuple[str, ...]
    pooled: int

    @property
    def labels(self) -> dict[int, str]:
        """What each number says: ``feature=chat``."""
        shown = [f"{self.name}={v}" for v in self.values]
        return dict(enumerate(shown + [f"{self.name}={OTHER}"] * (self.pooled > 0), self.first))

    @property
    def code(self) -> str:
        """The number of a trace's slice; null where it has no value."""
        cases = [f"WHEN {self.column} = {literal(v)} THEN {i}" for i, v in enumerate(self.values, self.first)]
        cases += [f"WHEN {self.column} IS NOT NULL THEN {self.first + len(self.values)}"] * (self.pooled > 0)
        return f"(CASE {' '.join(cases)} END)" if cases else "CAST(NULL AS INTEGER)"


def slices(obs, by: Sequence[str]) -> list[Slices]:
    """The values of each dimension by volume on the days under review."""
    out, first = [], 0
    for i, name in enumerate(by):
        found = rows(
            obs, f"SELECT by_{i} AS v, count(*) AS n FROM {TRACES} WHERE by_{i} IS NOT NULL GROUP BY by_{i} ORDER BY n DESC, v"
        )
        values = tuple(r["v"] for r in found[:MOST])
        out.append(Slices(name, f"by_{i}", first, values, len(found) - len(values)))
        first += len(out[-1].labels)
    return out


def conditions(made: Sequence[Slices]) -> list[tuple[int, str]]:
    """Which traces each number takes."""
    return [(number, f"{s.code} = {number}") for s in made for number in s.labels]


def times(made: Sequence[Slices]) -> list[tuple[Kpi, int]]:
    """The quantile KPIs of slices and the keys of their times."""
    return [(replace(k, slice=label), SLICE + number) for s in made for number, label in s.labels.items() for k in _TIMES]


def reviews(obs, plan: Plan, made: Sequence[Slices], scores: jd.Judged) -> list[Review]:
    """Volumes, rates and scores of every slice; their quantiles come with the others."""
    return [r for s in made for r in (*_volumes(obs, plan, s), *_ratios(obs, plan, s), *_scores(obs, plan, s, scores))]


def _volumes(obs, plan: Plan, s: Slices) -> list[Review]:
    found, out = volumes.by_slice(obs, s.code), []
    kpi = next(k for k in VOLUMES if k.name == "requests")
    windows = {"this": plan.chosen(plan.this), "last": plan.chosen(plan.last)}
    windows |= {f"baseline{k}": plan.chosen(week) for k, week in enumerate(plan.whole())}
    for number, label in s.labels.items():
        by_day = found.get(number, {})
        daily = {d: {"requests": n} for d, n in by_day.items()}
        totals = {name: {"requests": sum(by_day.get(d, 0) for d in days)} for name, days in windows.items()}
        out.append(review_volume(replace(kpi, slice=label), plan, daily, totals))
    return out


def _ratios(obs, plan: Plan, s: Slices) -> list[Review]:
    found = moments(
        obs, plan, f"(SELECT * FROM {TRACES} WHERE {s.column} IS NOT NULL) t", [(k.x, k.n, False) for k in _RATIOS], key=s.code
    )
    return [
        review_ratio(replace(k, slice=label), plan, found.get((number, i), {}))
        for number, label in s.labels.items()
        for i, k in enumerate(_RATIOS)
    ]


def _scores(obs, plan: Plan, s: Slices, scores: jd.Judged) -> list[Review]:
    shown: Mapping[int, Kpi] = {x.key: scores.kpis[x.key] for x in scores.scores if not x.of_session}
    shown = dict(list(shown.items())[:SCORES])
    if not shown:
        return []
    source = f"""(SELECT j.*, t.slice FROM {jd.JUDGED} j JOIN (SELECT trace_id, max({s.code}) AS slice FROM {TRACES}
        GROUP BY trace_id) t ON j.trace_id = t.trace_id WHERE t.slice IS NOT NULL AND j.key < 1000) j"""
    found = jd.measured(obs, plan, scores, source=source, key="key * 1000 + slice")
    return [
        jd.review(replace(kpi, slice=label), plan, found, key * 1000 + number)
        for number, label in s.labels.items()
        for key, kpi in shown.items()
    ]
