"""What a rule can watch: metrics of single traces (those of the incident analysis), totals, quantiles, scores, and events."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from ...errors import UsageError
from ...text import terminal
from ..incident.watched import REFUSAL, SCORE, SESSION_SCORE, WATCHED, Metric, score_metric
from ..weekly.kpis import DOWN_IS_BETTER

Kind = Literal["rate", "mean", "log", "total", "distinct", "quantile", "event", "declared"]
EVENTS = {
    "prompt_changed": "a version of a prompt (a rendered system prompt, where versions are not logged) that was not there before",
    "unexpected_model": "an answering model that was not there before, or that is not allowed",
    "new_error_class": "a class of errors that was not there before",
}
WAITING = {
    "drift:": "is not computed by a check; run the drift analysis",
    "calibration:": "is not computed by a check; run the judge calibration",
    "forecast:": "is not computed by a check; run the cost attribution",
}
_OF_TRACE = {m.name: m for m in (*WATCHED, REFUSAL)}
_EMBEDDING = Metric(
    "embedding_cost", "Cost of embeddings", "sum(CASE WHEN kind = 'embedding' THEN cost_usd END)", "log", "usd", "down", 0.0
)
_TOKENS = Metric(
    "total_tokens", "Tokens", "sum(CASE WHEN kind = 'llm' THEN tokens_in + tokens_out END)", "log", "tokens", "", 0.0
)
# Spans that judge the product are not of its traffic; their cost is read apart.
JUDGE_COST = Metric("judge_cost", "Cost of judging", "cost_usd", "log", "usd", "down", 0.0)
_LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Measure:
    """How a metric of a rule is measured.

    ``metric`` gives one value per trace (None where traces, users or sessions are counted). Of ``kind`` rate, mean and log the level
    is the mean, of total the sum, of quantile the ``p`` quantile; distinct counts the values of ``column``; an event counts values
    that are seen for the first time; declared ones wait for another analysis. ``better`` is up, down or "".
    """

    name: str
    label: str
    kind: Kind
    unit: str
    better: str
    metric: Metric | None = None
    p: float = 0.0
    column: str = ""

    @property
    def pattern(self) -> bool:
        """Whether it stands for all scores that match."""
        return self.name.startswith((SCORE, SESSION_SCORE)) and any(c in self.name for c in "*?[")


def _table() -> dict[str, Measure]:
    out = {m.name: Measure(m.name, m.label, m.kind, m.unit, m.better, m) for m in _OF_TRACE.values()}
    for name, of in (("latency", "latency_ms"), ("ttft", "ttft_ms"), ("cost", "cost_usd")):
        base = _OF_TRACE[of]
        for level, p in _LEVELS.items():
            out[f"{name}_{level}"] = Measure(f"{name}_{level}", f"{base.label} {level}", "quantile", base.unit, "down", base, p=p)
    out["requests"] = Measure("requests", "Requests", "total", "count", "")
    for name, label, metric in (("total_cost", "Total cost", _OF_TRACE["cost_usd"]), ("total_tokens", "Tokens", _TOKENS),
                                ("embedding_cost", "Cost of embeddings", _EMBEDDING), ("judge_cost", "Cost of judging", JUDGE_COST)):  # fmt: skip
        out[name] = Measure(name, label, "total", metric.unit, metric.better, metric)
    for name, column in (("users", "user_id"), ("sessions", "session_id")):
        out[name] = Measure(name, name.capitalize(), "distinct", "count", "", column=column)
    out |= {name: Measure(name, about, "event", "count", "down") for name, about in EVENTS.items()}
    return out


MEASURES = _table()


def measure_of(name: Any, *, where: str = "rule") -> Measure:
    """The measure of a metric's name. Raises UsageError that lists the choices."""
    if isinstance(name, str):
        if name in MEASURES:
            return MEASURES[name]
        if name.startswith((SCORE, SESSION_SCORE)) and all(name.split(":", 1)[1].rpartition(":")[::2]):
            return _of_score(name)
        if name.startswith(tuple(WAITING)):
            return Measure(name, name, "declared", "score", "")
    menu = ", ".join([*MEASURES, f"{SCORE}NAME:RATER", f"{SESSION_SCORE}NAME:RATER (* for any)", *(f"{w}NAME" for w in WAITING)])
    raise UsageError(f"{where}: metric={terminal(name, 80)!r} is not known; choose one of: {menu}")


def _of_score(name: str) -> Measure:
    start, rest = name.split(":", 1)
    scored, rater = rest.rsplit(":", 1)
    metric = score_metric(scored, rater, 0.0, 1.0, session=f"{start}:" == SESSION_SCORE)
    better = "down" if any(word in scored.lower() for word in DOWN_IS_BETTER) else "up"
    return Measure(name, metric.label, "mean", "score", better, metric)


def waiting(measure: Measure) -> str:
    """Why a declared metric has no value."""
    return f"{measure.name} " + next(why for start, why in WAITING.items() if measure.name.startswith(start))


def matching(pattern: str, found: list[tuple[str, str]]) -> list[str]:
    """The metrics of scores (name, rater) that a pattern such as ``score:*:judge`` stands for, in the order found."""
    start, rest = pattern.split(":", 1)
    scored, rater = rest.rsplit(":", 1)
    return [f"{start}:{n}:{r}" for n, r in found if fnmatchcase(n, scored) and fnmatchcase(r, rater)]
