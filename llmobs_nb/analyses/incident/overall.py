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
from .axes import CODED, judges
from .suspects import where_sql
from .theories import Room

ALPHA = 0.01
HELD = 0.5
PARTS = ("mix", "sampling", "within")


@dataclass(frozen=True)
class Overall:
    """The change of a judge's mean over all traffic: which score, ``change`` (its p pays for the search), and its parts at that onset."""

    metric: int
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
    """The surest change of a judge's mean over all traffic; None without a judge, or where nothing moved beyond doubt."""
    asked = [i for i in judges(room.plan) if room.plan.watches(i) and i in room.judged]
    found = [one for i in asked if (one := _of(room, i, ALPHA / len(asked), seed)) is not None]
    return min(found, key=lambda o: (o.change.p, -abs(o.change.z)), default=None)


def _of(room: Room, i: int, alpha: float, seed: int) -> Overall | None:
    plan, data = room.plan, _sums(room, i, "true")
    phase = plan.start.weekday()
    series = of_sums(data["n"], data["s"], data["q"], phase=phase)
    given = plan.onset_day
    change = changes.find(series, seed=seed) if given is None else changes.at(series, given)
    if change is None or change.p >= alpha:
        return None
    parts, errors = {}, {}
    for name, part in _series(data, phase).items():
        at = changes.at(part, change.onset, end=change.end) if change.shape != "ramp" else _ramp(part, change)
        parts[name], errors[name] = (at.effect.value, at.effect.se) if at else (0.0, 1e-9)
    return Overall(i, change, change.effect, parts, errors)


COLUMNS = {
    "n": "count(raw{i})", "s": "sum(raw{i})", "q": "sum(raw{i} * raw{i})", "alln": "count(*)", "plain": "sum(plain{i})",
    "plainq": "sum(plain{i} * plain{i})", "every": "sum(expected{i})", "judged": "sum(CASE WHEN raw{i} IS NOT NULL THEN expected{i} END)",
    "judgedq": "sum(CASE WHEN raw{i} IS NOT NULL THEN expected{i} * expected{i} END)", "both": "sum(raw{i} * expected{i})",
}  # fmt: skip


def _sums(room: Room, i: int, condition: str) -> dict[str, np.ndarray]:
    """Per day: what judged traces of some traffic got, what they and all of it were expected to get."""
    parts = ", ".join(f"{sql.format(i=i)} AS {name}" for name, sql in COLUMNS.items())
    out = {name: np.zeros(room.plan.days) for name in COLUMNS}
    for r in rows(room.counter.obs, f"SELECT day, {parts} FROM {CODED} WHERE {condition} GROUP BY day"):
        for name, column in out.items():
            column[int(r["day"])] = r[name] or 0.0
    return out


def _series(data: dict[str, np.ndarray], phase: int) -> dict[str, Series]:
    """The three parts of the mean per day, with the variance that sampling gives each.

    The mix is what the traffic is expected to get by who asked for what. The sample is set against the traffic by all that is
    known, how long the answers are included; but answers that became shorter are no mix.
    """
    n, alln = data["n"], data["alln"]
    full = n > 1

    def mean(s, k):
        return np.divide(s, k, out=np.zeros_like(s), where=k > 0)

    mix, got = mean(data["plain"], alln), mean(data["s"], n)
    sampling = mean(data["judged"], n) - mean(data["every"], alln)
    spread = max(float(data["plainq"].sum() / alln.sum() - (data["plain"].sum() / alln.sum()) ** 2), 1e-12)
    drawn = max(float(data["judgedq"].sum() / n.sum() - (data["judged"].sum() / n.sum()) ** 2), 1e-12)
    left = data["q"] - 2 * data["both"] + data["judgedq"]
    rest = max(float(left.sum() / n.sum() - ((data["s"] - data["judged"]).sum() / n.sum()) ** 2), 1e-12)
    present = np.where(full, n, 0)
    inverse = np.divide(1, n, out=np.zeros_like(n), where=full)
    every = np.divide(1, alln, out=np.zeros_like(alln), where=alln > 0)
    return {
        "mix": Series(mix * full, spread * every * full, present, 7, phase),
        "sampling": Series(sampling * full, drawn * inverse, present, 7, phase),
        "within": Series((got - mix - sampling) * full, rest * inverse, present, 7, phase),
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


def held_up(room: Room, i: int, label, day: int, end: int | None, effect: float) -> bool:
    """Whether a slice's change of the judge's score remains once mix and sample of the slice's own traffic are taken out."""
    data = _sums(room, i, where_sql(label))
    if data["n"].sum() < 20:
        return False
    within = _series(data, room.plan.start.weekday())["within"]
    found = changes.at(within, max(day, 1), end=end)
    return bool(found and found.effect.value * effect > 0 and abs(found.effect.value) > HELD * abs(effect))
