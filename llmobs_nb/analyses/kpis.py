"""The KPIs of the weekly review, declared once: name, unit, which way is better, how much change matters, how estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..text import terminal

Kind = Literal["volume", "rate", "mean", "quantile"]

_DAYS = "change: ratio of sums, jackknife over pairs of same weekdays (counts at least Poisson), t interval on the log scale"
_SHOCK = "plus between-day variance (Paule-Mandel, week and weekday taken out)"


@dataclass(frozen=True)
class Kpi:
    """One KPI.

    ``kind`` picks the estimator: ``volume`` (an exact total, compared day by day), ``rate`` (share of requests), ``mean``
    (sum of ``x`` over sum of ``n``), ``quantile`` (``p`` of the times of a ``stage``). ``x`` and ``n`` are SQL over the
    traces of a reduction; a volume's ``x`` names its column of daily totals. ``margin`` is the change that starts to
    matter, in the unit itself or as a share of last week (``change_kind``). ``bounds`` are those of its possible levels:
    intervals of levels stop there.
    """

    name: str
    label: str
    unit: str
    better: Literal["up", "down", "none"]
    kind: Kind
    margin: float
    change_kind: Literal["absolute", "relative"]
    how: str
    x: str = ""
    n: str = ""
    stage: str = ""
    p: float = 0.0
    exemplars: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)


def _volume(name: str, label: str, unit: str, better, how: str) -> Kpi:
    return Kpi(name, label, unit, better, "volume", 0.10, "relative", f"{how}, exact; {_DAYS}", x=name)


def _mean(name: str, label: str, unit: str, better, column: str, how: str, exemplars: str = "") -> Kpi:
    how = f"{how}; ratio of sums linearised over sessions, {_SHOCK}; change: delta method on the log scale"
    n = f"{column} IS NOT NULL"
    at_least_0 = (0.0, math.inf)
    return Kpi(name, label, unit, better, "mean", 0.10, "relative", how, x=column, n=n, exemplars=exemplars, bounds=at_least_0)


def _quantile(name: str, label: str, stage: str, p: float, what: str) -> Kpi:
    how = (
        f"{100 * p:g} % quantile of {what}; binomial order-statistic interval at the effective n of clustered sessions, "
        f"{_SHOCK}; change: MOVER on the log scale"
    )
    shown = "slow" if stage == "total" else ""
    return Kpi(name, label, "ms", "down", "quantile", 0.10, "relative", how, stage=stage, p=p, exemplars=shown)


_TOTAL = "the root span, or last end - first start where a trace has no single root"
_TTFT = "first token - start over llm calls that log it"

KPIS: tuple[Kpi, ...] = (
    _volume("requests", "Requests", "count", "up", "distinct traces by their start"),
    _volume("users", "Users", "count", "up", "distinct user ids (change from distinct users a day)"),
    _volume("sessions", "Sessions", "count", "up", "distinct session ids (change from distinct sessions a day)"),
    Kpi(
        "error_rate", "Error rate", "rate", "down", "rate", 0.005, "absolute",
        f"traces with any error span / traces; Wilson interval at the effective n of clustered sessions, {_SHOCK}; "
        "change: Newcombe (MOVER)",
        x="failed", n="TRUE", exemplars="failed",
    ),
    _quantile("latency_p50", "Latency p50", "total", 0.5, _TOTAL),
    _quantile("latency_p95", "Latency p95", "total", 0.95, _TOTAL),
    _quantile("ttft_p50", "Time to first token p50", "ttft", 0.5, _TTFT),
    _quantile("ttft_p95", "Time to first token p95", "ttft", 0.95, _TTFT),
    _mean("tokens_in_per_request", "Input tokens per request", "tokens", "none", "tokens_in", "over traces that report them"),
    _mean("tokens_out_per_request", "Output tokens per request", "tokens", "none", "tokens_out", "over traces that report them"),
    _mean("cost_per_request", "Cost per request", "usd", "down", "cost_usd", "over traces with a known cost", "costly"),
    _volume("total_cost", "Total cost", "usd", "down", "sum of cost_usd over spans"),
)  # fmt: skip

DOWN_IS_BETTER = ("toxic", "hallucinat", "error", "bias", "refusal")
UNIT_MARGIN = 0.02


def score_kpi(name: str, rater: str, *, low: float, high: float, binary: bool) -> Kpi:
    """The KPI of one score by one kind of rater; ``low`` and ``high`` are the values seen, ``binary`` when only 0 and 1 are.

    The margin is 0.02 on a 0-1 scale, else 2 % of the range seen. Names that hold a word of ``DOWN_IS_BETTER`` go down to
    get better.
    """
    better = "down" if any(word in name.lower() for word in DOWN_IS_BETTER) else "up"
    unit_scale = low >= 0 and high <= 1
    margin = UNIT_MARGIN if unit_scale else UNIT_MARGIN * (high - low)
    bounds = (0.0, 1.0) if unit_scale else (-math.inf, math.inf)
    first = "repeated judgements of a trace averaged, then "
    if binary:
        how = f"{first}the share of ones; Wilson at the effective n of clustered sessions, {_SHOCK}; change: Newcombe (MOVER)"
    else:
        how = f"{first}their mean; t interval, linearised over sessions, {_SHOCK}; change: Welch"
    kind = "rate" if binary else "mean"
    at = f"score:{name}:{rater}"
    return Kpi(at, f"{terminal(name, 80)} ({rater})", "score", better, kind, margin, "absolute", how, exemplars=at, bounds=bounds)
