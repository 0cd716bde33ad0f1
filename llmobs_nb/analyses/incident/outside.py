"""Series from outside (NPS, CSAT, tickets): whether each moved in the window, and when."""

from __future__ import annotations

import numpy as np

from ...columns import literal
from ...stats import changes
from ...stats.series import Series
from ..reductions import rows
from .result import Onset
from .traces import Plan

ALPHA = 0.01
MOST = 20


def outside(obs, plan: Plan) -> tuple[dict, ...]:
    """One entry per series that moved beyond doubt: metric ``series:NAME``, verdict ``moved``, direction and onset. Days are its bins."""
    start, end = (f"TIMESTAMPTZ {literal(t.isoformat())}" for t in (plan.start, plan.end))
    found = rows(
        obs,
        f"""SELECT name, CAST(floor((epoch_us("time") - {int(plan.start.timestamp() * 1e6)}) / 86400000000) AS INTEGER) AS day,
        sum(value * coalesce(n, 1)) / sum(coalesce(n, 1)) AS value, sum(coalesce(n, 1)) AS n FROM series
        WHERE "time" >= {start} AND "time" < {end} AND value IS NOT NULL GROUP BY 1, 2 ORDER BY name, day""",
    )
    names = list(dict.fromkeys(r["name"] for r in found))[:MOST]
    out = []
    for name in names:
        moved = changes.find(_series(plan, [r for r in found if r["name"] == name]))
        if moved is not None and moved.p < ALPHA / len(names):
            onset = Onset(plan.at(moved.onset), plan.at(moved.low), plan.at(moved.high + 1), moved.shape)
            direction = "down" if moved.effect.value < 0 else "up"
            out.append({"metric": f"series:{name}", "verdict": "moved", "direction": direction, "onset": onset.json()})
    return tuple(out)


def _series(plan: Plan, told: list[dict]) -> Series:
    """Levels per day; what sampling alone gives is not known, so the scatter between days stands in for it."""
    level, n = np.zeros(plan.days), np.zeros(plan.days)
    for r in told:
        level[r["day"]], n[r["day"]] = r["value"], r["n"]
    full = n > 0
    scatter = float(np.median(np.abs(np.diff(level[full]))) * 1.05) ** 2 / 2 if full.sum() > 2 else 0.0
    variance = np.divide(scatter * n[full].mean() if full.any() else 0.0, n, out=np.zeros(plan.days), where=full)
    return Series(level, variance, n, 7, plan.start.weekday())
