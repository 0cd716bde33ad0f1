"""What the review returns: KPIs and tidy tables by day, feature, score and error class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ...windows import Window
from ..result import Result, plain
from . import claims as say
from .levels import Review

COLUMNS = {
    "daily": ("day", "week", "requests", "errors", "error_rate", "error_low", "error_high"),
    "latency": ("day", "week", "stage", "quantile", "value_ms", "low_ms", "high_ms", "n"),
    "cost": ("feature", "this_usd", "last_usd", "change_usd", "share", "requests", "cost_per_request", "low", "high"),
    "quality": ("day", "week", "score", "rater", "mean", "low", "high", "n"),
    "new_error_classes": ("error_class", "n", "traces"),
}
NOT_FLOAT = {"day", "week", "stage", "feature", "score", "rater", "error_class", "traces", "n", "requests", "errors"}


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """A table of the result with its columns, whatever the rows."""
    made = pd.DataFrame(rows, columns=list(COLUMNS[name]))
    return made.astype(dict.fromkeys((c for c in made.columns if c not in NOT_FLOAT), float))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WeeklyResult(Result):
    """A week (month, quarter) against the one before, as tidy tables.

    ``kpis``: one row per KPI and slice. ``daily``, ``latency``, ``quality``: one row per day (and stage, quantile, score,
    rater) of the two windows (``week`` is ``this`` or ``last``). ``cost``: one row per feature, a missing
    one is null. A refused number is NaN. ``beside`` holds what other analyses add: versions, drift, alerts, promoted,
    signals. ``urls`` holds where traces that are named open in their product, by trace id, where the source says it.
    """

    week: Window
    against: Window
    baseline: Window | None = None
    reviews: tuple[Review, ...] = ()
    kpis: pd.DataFrame = field(default_factory=lambda: say.kpi_frame(()))
    daily: pd.DataFrame = field(default_factory=lambda: frame("daily", []))
    latency: pd.DataFrame = field(default_factory=lambda: frame("latency", []))
    cost: pd.DataFrame = field(default_factory=lambda: frame("cost", []))
    quality: pd.DataFrame = field(default_factory=lambda: frame("quality", []))
    new_error_classes: pd.DataFrame = field(default_factory=lambda: frame("new_error_classes", []))
    reading_list: tuple[str, ...] = ()
    exemplars: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    beside: Mapping[str, object] = field(default_factory=dict)

    def json(self) -> dict:
        """The ``weekly`` document of the contract."""
        out = super().json() | {"week": self.week.label, "against": self.against.label}
        windows = {"this": self.week.json(), "last": self.against.json()}
        windows |= {"baseline": self.baseline.json()} if self.baseline else {}
        out |= {"windows": windows, "kpis": [say.kpi_json(r) for r in self.reviews], "absent": list(self.absent)}
        frames = {name: plain(getattr(self, name)) for name in COLUMNS}
        others = {"versions": [], "drift": [], "promoted": None, "alerts": [], "signals": {}} | plain(dict(self.beside))
        return out | frames | others | {"reading_list": list(self.reading_list), "urls": dict(self.urls)}

    def claims(self) -> list[dict]:
        """Every number of the review: verdict counts, KPIs, then the rows of the tables."""
        return say.claims(self)
