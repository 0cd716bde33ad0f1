"""Whether the judge's mean moved as a whole, and then because of what: traffic, sample, judge, or really.

The mean of a day is split into what the day's traffic is expected to get, what the day's sample is expected to get beyond
that, and what it got beyond that; each part is a series of its own, and the change is dated in their sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...stats import changes
from ...stats.estimate import Estimate
from ...stats.series import Series, of_sums
from ..reductions import rows
from .axes import CODED, has_judge
from .theories import Room

ALPHA = 0.01
PARTS = ("mix", "sampling", "within")


@dataclass(frozen=True)
class Overall:
    """The change of the judge's mean over all traffic: ``change`` (its p pays for the search), and its parts at that onset."""

    change: changes.Change
    raw: Estimate
    parts: dict[str, float]
    errors: dict[str, float]

    @property
    def verdict(self) -> str:
        """Which part carries it: traffic_mix_changed, sampling_changed, or within for a judge or an incident."""
        total = self.raw.value
        towards = {k: v / total for k, v in self.parts.items()}
        strong = {k: towards[k] for k in PARTS if abs(self.parts[k]) > 2.5 * self.errors[k]}
        best = max(PARTS, key=lambda k: towards[k])
        if best != "within" and best in strong and towards["within"] < 0.6:
            return "traffic_mix_changed" if best == "mix" else "sampling_changed"
        return "within"


def overall(room: Room, *, seed: int = 0) -> Overall | None:
    """The change of the judge's mean over all traffic; None without a judge, or where nothing moved beyond doubt."""
    plan = room.plan
    if not has_judge(plan):
        return None
    found = rows(room.counter.obs, f"""SELECT day, count(raw) AS n, sum(raw) AS s, sum(raw * raw) AS q,
        sum(CASE WHEN raw IS NOT NULL THEN expected END) AS js, sum(CASE WHEN raw IS NOT NULL THEN expected * expected END) AS jq,
        count(*) AS alln, sum(expected) AS alls, sum(expected * expected) AS allq, sum(raw * expected) AS re
        FROM {CODED} GROUP BY day""")
    data = {k: np.zeros(plan.days) for k in ("n", "s", "q", "js", "jq", "alln", "alls", "allq", "re")}
    for r in found:
        for k, column in data.items():
            column[int(r["day"])] = r[k] or 0.0
    phase = plan.start.weekday()
    series = of_sums(data["n"], data["s"], data["q"], phase=phase)
    change = changes.find(series, seed=seed)
    if change is None or change.p >= ALPHA:
        return None
    parts, errors = {}, {}
    for name, part in _series(data, phase).items():
        at = changes.at(part, change.onset, end=change.end) if change.shape != "ramp" else _ramp(part, change)
        parts[name], errors[name] = (at.effect.value, at.effect.se) if at else (0.0, 1e-9)
    return Overall(change, change.effect, parts, errors)


def _series(data: dict[str, np.ndarray], phase: int) -> dict[str, Series]:
    """The three parts of the mean per day, with the variance that sampling gives each."""
    n, alln = data["n"], data["alln"]
    full = n > 1

    def mean(s, k):
        return np.divide(s, k, out=np.zeros_like(s), where=k > 0)

    population, sample, got = mean(data["alls"], alln), mean(data["js"], n), mean(data["s"], n)
    spread = max(float(data["allq"].sum() / alln.sum() - (data["alls"].sum() / alln.sum()) ** 2), 1e-12)
    rest_q = data["q"] - 2 * data["re"] + data["jq"]
    rest = max(float(rest_q.sum() / n.sum() - ((data["s"] - data["js"]).sum() / n.sum()) ** 2), 1e-12)
    present = np.where(full, n, 0)
    inverse = np.divide(1, n, out=np.zeros_like(n), where=full)
    every = np.divide(1, alln, out=np.zeros_like(alln), where=alln > 0)
    return {
        "mix": Series(population, spread * every * full, present, 7, phase),
        "sampling": Series(np.where(full, sample - population, 0), spread * inverse, present, 7, phase),
        "within": Series(np.where(full, got - sample, 0), rest * inverse, present, 7, phase),
    }


def _ramp(part: Series, change: changes.Change):
    """The part's step at the middle of the ramp stands in for its ramp."""
    middle = min((change.onset + change.full) // 2, len(part) - 2)
    return changes.at(part, max(middle, 1))


def moved_outside(room: Room, sums: np.ndarray, day: int, end: int | None, metric: int) -> tuple[float, float]:
    """(z, effect) of a metric in the traffic outside of a slice, against itself before; (0, 0) where little is left."""
    rest = np.maximum(room.cube.total - sums, 0)
    if rest[0, metric].sum() < 0.05 * room.cube.total[0, metric].sum():
        return 0.0, 0.0
    n, s, q = rest[:, metric]
    series = of_sums(n, s, q, phase=room.plan.start.weekday())
    found = changes.at(series, max(day, 1), end=end)
    if found is None or not found.effect.se or not math.isfinite(found.z):
        return 0.0, 0.0
    return float(found.z), float(found.effect.value)
