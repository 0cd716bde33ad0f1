"""What ``lm.cost`` returns: the ledger, who and what spends, why it moved, what it will come to, what is wasted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from ...windows import Window
from ..result import Estimate, Result, plain

NONE = Estimate.refused("nothing to compute it from")


def empty(*columns: str) -> pd.DataFrame:
    """A table of no rows."""
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True)
class Change:
    """Cost in two windows and the parts of the difference, which add up to it (USD).

    ``parts`` has volume, mix, model, tokens_in, tokens_out, cache and price, ``features`` the same per feature (feature,
    before_usd, after_usd and the parts), ``slices`` the few slices that explain most of it (where, before_usd, after_usd,
    change_usd, share, effect, n), ``beside`` what goes with it (name, before, after, unit: output tokens against latency, context
    fill, turns). Cost of spans without tokens or a model
    stands within volume and mix.
    """

    after: Window
    before: Window
    before_usd: float
    after_usd: float
    parts: dict[str, float]
    features: pd.DataFrame = field(default_factory=empty)
    slices: pd.DataFrame = field(default_factory=empty)
    beside: pd.DataFrame = field(default_factory=empty)

    def json(self) -> dict:
        """The shape of the contract, with the windows and the tables beside it."""
        told = {"before_usd": self.before_usd, "after_usd": self.after_usd, **self.parts}
        told |= {"window": self.after, "against": self.before}
        return plain(told | {n: getattr(self, n) for n in ("features", "slices", "beside")})


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a month will come to (USD): ``value`` and its 80 and 95 % limits, what was ``spent`` until ``at``.

    ``days`` has one row per day of the month (day, spent_usd or null, expected_usd, low80, high80, low95, high95: of the day),
    ``total`` the same running over the month; ``backtest`` compares with seasonal naive on the store's own history (method,
    origins, cover80_rate, cover95_rate, pinball_usd). ``reason`` says why there is none.
    """

    month: str
    value: float | None = None
    low80: float | None = None
    high80: float | None = None
    low95: float | None = None
    high95: float | None = None
    spent_usd: float | None = None
    n: int = 0
    at: object = None
    scenario: dict[str, float] = field(default_factory=dict)
    days: pd.DataFrame = field(default_factory=empty)
    total: pd.DataFrame = field(default_factory=empty)
    backtest: pd.DataFrame = field(default_factory=empty)
    reason: str | None = None

    def json(self) -> dict:
        """The shape of the contract, with what it rests on beside it."""
        return plain({k: getattr(self, k) for k in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CostResult(Result):
    """The answer of :func:`llmobs_nb.cost`; all money is USD.

    ``lines`` has one row per line of the ledger (line, told, spans, cost_usd, recorded_usd, list_usd, share), exclusive, adding up
    to ``total_usd``. ``by`` is a partition by ``keys`` (the keys' columns, cost_usd, share, requests, cost_per_request), ``pairs`` two
    keys crossed, ``spenders`` one row per split and value of the largest (key, value, cost_usd, share), ``concentration`` per key how
    few make 80 % of it (key, values, top_1_share, top_10_share, for_80_percent). ``per`` are unit costs by name: request, session,
    user, good_answer. ``gaps`` are models whose recorded cost is not the list price (provider, model, spans, recorded_usd, list_usd,
    factor), ``unpriced`` why spans have no cost (model, reason, spans). ``waste`` lines may overlap with each other (line, told,
    cost_usd, share, requests, traces). ``anomalies``: at, hours, scope, key, value, cost_usd, usual_usd, factor, z, told, traces.
    ``budgets``: name, scope, limit_usd, spent_usd, share, state, told. ``hours``: weekday (0 Monday), hour, cost_usd, days.
    ``daily``: day, line, cost_usd, requests.
    """

    window: Window | None = None
    tz: str = "UTC"
    total_usd: float = 0.0
    recorded_usd: float = 0.0
    list_usd: float = 0.0
    unpriced_spans: int = 0
    keys: tuple[str, ...] = ()
    lines: pd.DataFrame = field(default_factory=empty)
    by: pd.DataFrame = field(default_factory=empty)
    pairs: pd.DataFrame = field(default_factory=empty)
    spenders: pd.DataFrame = field(default_factory=empty)
    concentration: pd.DataFrame = field(default_factory=empty)
    per: dict[str, Estimate] = field(default_factory=dict)
    gaps: pd.DataFrame = field(default_factory=empty)
    unpriced: pd.DataFrame = field(default_factory=empty)
    waste: pd.DataFrame = field(default_factory=empty)
    change: Change | None = None
    anomalies: pd.DataFrame = field(default_factory=empty)
    budgets: pd.DataFrame = field(default_factory=empty)
    forecast: Forecast | None = None
    daily: pd.DataFrame = field(default_factory=empty)
    hours: pd.DataFrame = field(default_factory=empty)

    def json(self) -> dict:
        """The shape of CONTRACTS.md, with the tables beside it."""
        names = ("window", "tz", "total_usd", "recorded_usd", "list_usd", "unpriced_spans", "lines", "pairs", "spenders",
                 "concentration", "per", "gaps", "unpriced", "waste", "anomalies", "budgets", "daily", "hours")  # fmt: skip
        told = {n: plain(getattr(self, n)) for n in names}
        told["by"] = [self._row(row) for row in self.by.to_dict("records")]
        told["change"] = self.change.json() if self.change else None
        told["forecast"] = self.forecast.json() if self.forecast else None
        return super().json() | told

    def _row(self, row: dict) -> dict:
        keys = {k: plain(row[k]) if row[k] == row[k] else None for k in self.keys}
        return {"keys": keys, **{k: plain(v) for k, v in row.items() if k not in self.keys}}

    def claims(self) -> list[dict]:
        """Every number the page shows."""
        from .claims import claims

        return claims(self)
