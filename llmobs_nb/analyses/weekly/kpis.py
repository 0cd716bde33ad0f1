"""The KPIs of the review, declared once: name, unit, which way is better, how much change matters, how estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...text import terminal

Kind = Literal["volume", "rate", "mean", "quantile", "quotient"]

_DAYS = "change: ratio of sums, jackknife over pairs of same weekdays (counts at least Poisson), t interval on the log scale"
_SHOCK = "plus between-day variance (Paule-Mandel, week and weekday taken out)"
_WILSON = f"Wilson interval at the effective n of clustered sessions, {_SHOCK}; change: Newcombe (MOVER)"
_LINEAR = f"ratio of sums linearised over sessions, {_SHOCK}; change: delta method on the log scale"
EVERY = "1"


# What a review is held for counts four times: is it worse for its users, does it fail, is it slow, what does it cost.
HEADLINE = 4.0
FIRST_FAMILIES = ("quality", "feedback", "reliability")
FIRST_NAMES = ("requests", "latency_p95", "ttft_p95", "cost_per_request")


@dataclass(frozen=True)
class Kpi:
    """One KPI of one slice.

    ``kind`` picks the estimator: ``volume`` (an exact total, compared day by day), ``rate`` (share of ones), ``mean``
    (sum of ``x`` over sum of ``n``), ``quantile`` (``p`` of the times of a ``stage``), ``quotient`` (of two other KPIs). ``x`` and
    ``n`` are SQL over rows of one trace each (see traces.py); both are null where the trace has none. ``once`` says that each
    ``cluster`` counts once in a window, whatever it holds there. ``margin`` is the change that starts to matter, in the unit
    itself or as a share of last week (``change_kind``). ``bounds`` are those of its possible levels: intervals stop there.
    ``family`` is the part of the page it belongs to.
    """

    name: str
    label: str
    unit: str
    better: Literal["up", "down", "none"]
    kind: Kind
    margin: float
    change_kind: Literal["absolute", "relative"]
    how: str
    family: str = ""
    slice: str = "all"
    x: str = ""
    n: str = EVERY
    once: bool = False
    stage: str = ""
    p: float = 0.0
    exemplars: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others of a page."""
        return self.name, self.slice

    @property
    def weight(self) -> float:
        """How much it counts among the KPIs of a page when their number is corrected for: fixed here, before any data are seen."""
        return HEADLINE if self.slice == "all" and (self.family in FIRST_FAMILIES or self.name in FIRST_NAMES) else 1.0


def there(column: str) -> str:
    """SQL: 1 where a column holds a value."""
    return f"CASE WHEN {column} IS NOT NULL THEN 1 END"


def volume(name: str, label: str, unit: str, better, how: str, **more) -> Kpi:
    """A total of the window."""
    return Kpi(name, label, unit, better, "volume", 0.10, "relative", f"{how}, exact; {_DAYS}", x=name, **more)


def rate(name: str, label: str, better, x: str, n: str, how: str, margin: float = 0.005, **more) -> Kpi:
    """A share; ``x`` is 0 or 1."""
    return Kpi(name, label, "rate", better, "rate", margin, "absolute", f"{how}; {_WILSON}", x=x, n=n, bounds=(0.0, 1.0), **more)


def mean(name: str, label: str, unit: str, better, x: str, n: str, how: str, margin: float = 0.10, **more) -> Kpi:
    """A ratio of sums that is not negative."""
    how, bounds = f"{how}; {_LINEAR}", more.pop("bounds", (0.0, math.inf))
    return Kpi(name, label, unit, better, "mean", margin, "relative", how, x=x, n=n, bounds=bounds, **more)


def share(name: str, label: str, better, x: str, n: str, how: str, margin: float = 0.02, **more) -> Kpi:
    """A share of amounts rather than of things counted: part ``x`` of ``n``."""
    how = f"{how}; ratio of sums linearised over sessions, {_SHOCK}; change: Welch"
    return Kpi(name, label, "rate", better, "mean", margin, "absolute", how, x=x, n=n, bounds=(0.0, 1.0), **more)


def _quantile(stage: str, p: float) -> Kpi:
    short, label, what = STAGES[stage]
    how = (
        f"{100 * p:g} % quantile of {what}; binomial order-statistic interval at the effective n of clustered sessions, "
        f"{_SHOCK}; change: MOVER on the log scale"
    )
    shown = "slow" if stage == "total" else ""
    name, said = f"{short}_p{100 * p:g}", f"{label} p{100 * p:g}"
    return Kpi(name, said, "ms", "down", "quantile", 0.10, "relative", how, "latency", stage=stage, p=p, exemplars=shown)


STAGES = {
    "total": ("latency", "Latency", "the root span, or last end - first start where a trace has no single root"),
    "ttft": ("ttft", "Time to first token", "first token - start over llm calls that log it"),
    "llm": ("llm_latency", "Model calls", "one model call, end - start"),
    "retriever": ("retrieval_latency", "Retrieval", "one retrieval, end - start"),
    "tool": ("tool_latency", "Tools", "one tool call, end - start"),
}
LEVELS = (0.5, 0.95, 0.99)
DAILY_STAGES, DAILY_LEVELS = ("total", "ttft"), (0.5, 0.95)
QUANTILES = tuple(_quantile(stage, p) for stage in STAGES for p in LEVELS)

VOLUMES = (
    volume("requests", "Requests", "count", "up", "distinct traces by their start", family="volume"),
    volume("users", "Users", "count", "up", "distinct user ids (change from distinct users a day)", family="volume"),
    volume("sessions", "Sessions", "count", "up", "distinct session ids (change from distinct sessions a day)", family="volume"),
    volume("total_cost", "Total cost", "usd", "down", "sum of cost_usd over spans", family="cost"),
)

RATIOS = (
    mean("turns_per_session", "Requests per session", "number", "none", there("session_id"),
         there("session_id"), "requests over sessions of the window", family="volume", once=True),
    Kpi("history_growth", "Input tokens added per turn", "tokens", "down", "mean", 50.0, "absolute",
        f"largest prompt of a turn minus that of the turn before it in the session; linearised over sessions, {_SHOCK}; change: Welch",
        "volume", x="grown", n=there("grown")),
    rate("error_rate", "Error rate", "down", "failed", EVERY, "traces with any error span / traces",
         family="reliability", exemplars="failed"),
    mean("retries_per_request", "Retries per request", "number", "down", "retries", there("retries"),
         "attempts after the first (or calls that share a request id) over requests", family="reliability", exemplars="retried"),
    rate("response_cache_rate", "Answers from the response cache", "none", "cached", there("cached"),
         "traces with a cached answer / traces that say whether", margin=0.02, family="cost"),
    mean("decode_speed", "Decode speed", "tokens a second", "up", "decoded", "decode_s",
         "output tokens after the first over the seconds after it, calls that log their first token", family="latency"),
    mean("tool_calls_per_request", "Tool round trips per request", "number", "none", "tool_calls", there("tool_calls"),
         "tool spans over requests of features that use tools", family="latency"),
    rate("guardrail_block_rate", "Guardrail block rate", "none", "blocked", there("blocked"),
         "traces a guardrail blocked / traces a guardrail looked at", margin=0.01, family="guardrails", exemplars="blocked"),
    rate("refusal_rate", "Refusal rate", "down", "refused", there("refused"),
         "answers whose first 160 characters refuse (English word list) / answers with a text",
         margin=0.01, family="guardrails", exemplars="refused"),
    mean("retrieval_top_score", "Retrieval top score", "score", "up", "top_score", "top_scores",
         "mean score of the best hit over retrievals", margin=0.05, family="retrieval", bounds=(-math.inf, math.inf)),
    rate("retrieval_hit_rate", "Retrieval hit rate", "up", "hits", "ranked",
         "retrievals judged for relevance with a relevant document among those returned", margin=0.02, family="retrieval"),
    share("retrieval_mrr", "Retrieval MRR", "up", "reciprocals", "ranked",
          "mean of 1 / rank of the first relevant document, 0 where there is none", family="retrieval"),
    share("chunk_utilisation", "Chunk utilisation", "up", "cited", "citable",
          "retrieved ids that the answer names / retrieved ids", family="retrieval"),
    share("context_fill", "Context fill", "none", "filled", "fillable",
          "input tokens over the model's context window, mean over calls of models whose window the price table knows",
          family="cost"),
    rate("follow_up_rate", "Clarifying follow-ups", "down", "clarified", there("clarified"),
         "requests followed within 2 minutes by a turn that opens like a clarification (English word list)",
         margin=0.01, family="feedback", exemplars="clarified"),
    rate("escalation_rate", "Escalation phrases", "down", "escalated", there("escalated"),
         "requests that ask for a person or complain (English word list)", margin=0.01, family="feedback", exemplars="escalated"),
    mean("tokens_in_per_request", "Input tokens per request", "tokens", "none", "tokens_in", there("tokens_in"),
         "over traces that report them", family="cost"),
    mean("tokens_out_per_request", "Output tokens per request", "tokens", "none", "tokens_out", there("tokens_out"),
         "over traces that report them", family="cost"),
    mean("cost_per_request", "Cost per request", "usd", "down", "cost_usd", there("cost_usd"),
         "over traces with a known cost", family="cost", exemplars="costly"),
    share("prompt_cache_share", "Input read from the prompt cache", "none", "cache_read", "cacheable",
          "tokens read from the cache / input tokens of calls that report them", family="cost"),
)  # fmt: skip
COST_PER_USER = mean(
    "cost_per_user", "Cost per user", "usd", "down", "cost_usd", there("cost_usd"), "cost over distinct users of the window, "
    "users are the clusters", family="cost", once=True,
)  # fmt: skip
GOOD_COST = Kpi(
    "cost_per_good_answer", "Cost per good answer", "usd", "down", "quotient", 0.10, "relative",
    f"cost per request / share of good answers, both as estimated; delta method on the log scale, {_SHOCK}",
    "cost", bounds=(0.0, math.inf),
)  # fmt: skip
FALSE_BLOCKS = rate(
    "false_block_rate", "Blocks that reviewers call wrong", "down", "wrong_block", there("wrong_block"),
    "reviewed blocked traces that a reviewer failed / those reviewed", 0.05, family="guardrails", exemplars="wrong_block",
)  # fmt: skip
SATISFACTION_HOW = "weighted mean of the signals that a trace has, each between 0 and 1: {}"
# What the other KPIs are named by where the data say nothing of them.
FAMILIES = ("volume", "reliability", "latency", "guardrails", "retrieval", "quality", "feedback", "cost", "outside", "own")

DOWN_IS_BETTER = ("toxic", "hallucinat", "error", "bias", "refusal", "regenerat", "edited", "abandon", "escalat", "report")
UNIT_MARGIN = 0.02


def score_kpi(
    name: str,
    rater: str,
    *,
    low: float,
    high: float,
    binary: bool,
    session: bool = False,
    weighted: bool = False,
    slice: str = "all",
) -> Kpi:
    """The KPI of one score by one kind of rater; ``low`` and ``high`` are the values seen, ``binary`` when only 0 and 1 are.

    The margin is 0.02 on a 0-1 scale, else 2 % of the range seen. Names that hold a word of ``DOWN_IS_BETTER`` go down to
    get better. ``weighted`` judgements count 1 / inclusion probability.
    """
    better = "down" if any(word in name.lower() for word in DOWN_IS_BETTER) else "up"
    unit_scale = low >= 0 and high <= 1
    margin = UNIT_MARGIN if unit_scale else UNIT_MARGIN * (high - low)
    bounds = (0.0, 1.0) if unit_scale else (-math.inf, math.inf)
    first = f"repeated judgements of a {'session' if session else 'trace'} averaged, then "
    weights = ", weighted by 1 / inclusion probability (Hajek)" if weighted else " (every judgement counts the same)"
    if binary:
        how = f"{first}the share of ones{weights}; {_WILSON}"
    else:
        how = f"{first}their mean{weights}; t interval, linearised over sessions, {_SHOCK}; change: Welch"
    kind = "rate" if binary else "mean"
    at, label = f"{'session_score' if session else 'score'}:{name}:{rater}", f"{terminal(name, 80)} ({rater})"
    label = f"{label} of sessions" if session else label
    return Kpi(at, label, "score", better, kind, margin, "absolute", how, "quality", slice, exemplars=at, bounds=bounds)


def label_kpi(name: str, rater: str, value: str) -> Kpi:
    """How often one label was given, among the labelled."""
    label = f"{terminal(name, 60)} = {terminal(value, 40)} ({rater})"
    how = "traces or sessions with this label / those with a label"
    return rate(f"label:{name}:{rater}", label, "none", "", "", how, 0.02, family="feedback", slice=f"label={value}")


def event_kpi(name: str, column: str) -> Kpi:
    """How often an event of feedback was logged, over all requests."""
    how = "traces with this event / traces; an event that is not logged counts as none"
    label = terminal(name, 60).replace("_", " ").capitalize()
    better = "down" if any(word in name.lower() for word in DOWN_IS_BETTER) else "none"
    return rate(f"event:{name}", label, better, column, EVERY, how, 0.01, family="feedback")


def series_kpi(name: str) -> Kpi:
    """A series from outside: mean of its values, weighted by how many answers stand behind each."""
    how = f"mean of the values of the window, weighted by their n; t interval over the values, {_SHOCK}; change: Welch"
    label = terminal(name, 80)
    return Kpi(f"series:{name}", label, "number", "none", "mean", 0.05, "absolute", how, "outside", bounds=(-math.inf, math.inf))


def own_kpi(metric, column: str) -> Kpi:
    """A metric of one's own, declared with ``lm.metric``, as a KPI over the traces that have it."""
    n, better = there(column), metric.better or "none"
    if metric.kind == "rate":
        return rate(metric.name, metric.label, better, column, n, "own metric: share of traces", metric.margin, family="own")
    made = mean(
        metric.name, metric.label, metric.unit, better, column, n, "own metric: mean over traces", metric.margin, family="own"
    )
    if metric.kind == "log":
        return made
    values = {**made.__dict__, "change_kind": "absolute", "bounds": (-math.inf, math.inf)}
    return Kpi(**values | {"how": f"own metric: mean over traces, linearised over sessions, {_SHOCK}; change: Welch"})
