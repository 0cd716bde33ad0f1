"""What a gate compares: one quantity of a trace each, how it is estimated, and the loss that starts to matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import UsageError
from ...text import terminal
from ..incident.watched import REFUSAL, WATCHED, Metric
from ..reductions import rows
from ..weekly.kpis import score_kpi

How = Literal["rate", "mean", "log", "ratio"]
MOST_SCORES = 40
SCORE_MARGIN = 0.05
# Costs add up, so their mean is compared; of times and lengths the typical value is, which one slow request does not hide.
_HOW = {"cost_usd": "ratio"}
_MARGINS = {"output_chars": 0.25}
_NAMES = ("error_rate", "guardrail_block_rate", "refusal_rate", "latency_ms", "ttft_ms", "cost_usd", "output_chars")
_SAID = {
    "rate": "share of traces",
    "mean": "mean over traces",
    "log": "geometric mean over traces",
    "ratio": "mean over traces",
}


@dataclass(frozen=True)
class Dimension:
    """One quantity that the gate compares.

    ``sql`` aggregates the spans of a trace ("" for a score or for what the text of the answer says). ``margin`` is in the unit
    itself, or a share of the baseline where the dimension is ``relative``. ``bounds`` are the ends of its scale.
    """

    name: str
    label: str
    unit: str
    better: str
    how: How
    margin: float
    sql: str = ""
    score: tuple[str, str] | None = None
    bounds: tuple[float, float] | None = None

    @property
    def relative(self) -> bool:
        """Whether changes are shares of the baseline."""
        return self.how in ("log", "ratio")

    @property
    def change_kind(self) -> str:
        """``relative`` or ``absolute``."""
        return "relative" if self.relative else "absolute"

    @property
    def edge(self) -> float:
        """The margin on the scale of the contrast: its logarithm where changes are ratios."""
        return math.log1p(self.margin) if self.relative else self.margin

    @property
    def said(self) -> str:
        """How a level is computed, in words."""
        return ("repeated judgements of a trace averaged, then the " if self.score else "") + _SAID[self.how]


def of_metric(metric: Metric) -> Dimension:
    """A watched metric, or one of the user's own, as a dimension."""
    how = _HOW.get(metric.name, metric.kind)
    bounds = (0.0, 1.0) if how == "rate" else None
    margin = _MARGINS.get(metric.name, metric.margin)
    return Dimension(metric.name, metric.label, metric.unit, metric.better, how, margin, metric.sql, bounds=bounds)


WATCHED_DIMENSIONS = tuple(of_metric(m) for name in _NAMES for m in (*WATCHED, REFUSAL) if m.name == name)


def score_dimensions(obs, picked: str = "") -> tuple[Dimension, ...]:
    """Every score with a number that traces of ``picked`` (SQL of source, project, trace_id; default: all) have, most frequent first.

    The scale is that of the score's config where there is one, else 0 to 1 where all its values lie there, else the range
    seen in the store; the margin is 5 % of it.
    """
    among = (
        f"AND EXISTS (SELECT 1 FROM ({picked}) p WHERE p.trace_id = s.trace_id AND p.source = s.source AND p.project = s.project)"
    )
    found = rows(
        obs,
        f"""SELECT name, coalesce(rater, 'unknown') AS rater, count(*) AS n,
          max(CASE WHEN value = 0 OR value = 1 THEN 0 ELSE 1 END) AS graded
        FROM scores s WHERE value IS NOT NULL AND trace_id IS NOT NULL {among if picked else ""}
        GROUP BY name, coalesce(rater, 'unknown') ORDER BY n DESC, name, rater LIMIT {MOST_SCORES}""",
    )
    ranges = {r["name"]: r for r in rows(obs, "SELECT name, min(value) AS low, max(value) AS high FROM scores GROUP BY name")}
    configs = {r["name"]: r for r in rows(obs, "SELECT name, min_value, max_value, lower_is_better FROM score_configs")}
    out = [_score(r, ranges[r["name"]], configs.get(r["name"], {})) for r in found]
    return tuple(sorted((d for d in out if d is not None), key=lambda d: d.name))


def _score(row: Mapping, seen: Mapping, config: Mapping) -> Dimension | None:
    """The dimension of one score; None for one that has a single value in the whole store and no config."""
    low = seen["low"] if config.get("min_value") is None else min(config["min_value"], seen["low"])
    high = seen["high"] if config.get("max_value") is None else max(config["max_value"], seen["high"])
    kpi = score_kpi(row["name"], row["rater"], low=low, high=high, binary=not row["graded"])
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    if high <= low:
        return None
    lower = config.get("lower_is_better")
    better = kpi.better if lower is None else "down" if lower else "up"
    how, score = ("mean" if row["graded"] else "rate"), (row["name"], row["rater"])
    return Dimension(kpi.name, kpi.label, "score", better, how, SCORE_MARGIN * (high - low), score=score, bounds=(low, high))


def chosen(found: Sequence[Dimension], metrics: Sequence[str | Metric] | None) -> tuple[Dimension, ...]:
    """The dimensions that were asked for by name (all by default); metrics of the user's own come beside them, or alone.

    Names may leave out ``score:`` and the rater. UsageError for a name that is not there.
    """
    own = tuple(of_metric(m) for m in metrics or () if not isinstance(m, str))
    names = [m for m in metrics or () if isinstance(m, str)]
    if not names:
        return (*found, *own)
    picked = dict.fromkeys(d for name in names for d in _named(found, name, "metrics"))
    return (*picked, *own)


def with_margins(dimensions: Sequence[Dimension], margin: float | Mapping[str, float] | None) -> tuple[Dimension, ...]:
    """The dimensions with the margins of the user.

    A number is for rates and scores (of scores a share of their scale); a mapping names dimensions, each in its own unit or, for
    times, costs and lengths, as a share of the baseline. UsageError for a margin that is not above 0, or a name that is not there.
    """
    if margin is None:
        return tuple(dimensions)
    if not isinstance(margin, Mapping):
        value = _positive("margin", margin)
        return tuple(
            d if d.relative else replace(d, margin=value * (d.bounds[1] - d.bounds[0] if d.bounds else 1.0)) for d in dimensions
        )
    out = {d.name: d for d in dimensions}
    for name, value in margin.items():
        for d in _named(dimensions, name, "margin"):
            out[d.name] = replace(d, margin=_positive(f"margin of {terminal(name, 80)}", value))
    return tuple(out.values())


def _named(dimensions: Sequence[Dimension], name: str, what: str) -> list[Dimension]:
    found = [d for d in dimensions if name in (d.name, *((d.score[0], ":".join(d.score)) if d.score else ()))]
    if not found:
        menu = ", ".join(terminal(d.name, 80) for d in dimensions)
        raise UsageError(f"{what}: {terminal(name, 80)!r} is not measured here; choose from: {menu}")
    return found


def _positive(what: str, value: object) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(
            f"{what}={terminal(value, 40)} is not a number above 0; give the loss that starts to matter, such as 0.05"
        )
    return number
