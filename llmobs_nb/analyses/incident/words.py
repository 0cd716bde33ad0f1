"""The verdict in a sentence that a manager can read."""

from __future__ import annotations

import math
from datetime import datetime

from ... import units
from ...stats.estimate import Estimate
from ...text import terminal
from .evidence import where_text
from .overall import Overall
from .result import Cause, Onset
from .traces import Plan
from .watched import Metric

KINDS = {
    "prompt_text": "a passage entered the rendered system prompt", "prompt_version": "a new prompt version",
    "model_version": "the model behind the same name changed", "model_behaviour": "the model answers differently; nothing that is logged changed",
    "configuration": "a setting changed", "retrieval": "retrieval finds less", "guardrail": "a guardrail blocks more",
    "truncation": "answers are cut at a ceiling", "input_mix": "users ask something new", "agent_loop": "the agent runs in loops",
    "prompt_cache": "the prompt cache is missed", "price": "the unit price rose", "provider_latency": "the provider is slower",
    "provider_errors": "the provider fails",
}  # fmt: skip
FALSE = {
    "judge_changed": "the judge moved, not the product: its scores changed for all traffic at once",
    "traffic_mix_changed": "the mix of traffic moved: within each slice the level is as before",
    "sampling_changed": "what gets judged changed: the same traffic is sampled differently",
}


def value(metric: Metric, estimate: Estimate) -> str:
    """A level in its unit, with the digits that its interval deserves."""
    if not estimate.ok:
        return "unknown"
    return units.quantity(estimate.value, metric.unit, low=estimate.ci_low, high=estimate.ci_high)


def size(metric: Metric, change: float) -> str:
    """How large a change is in its unit, of a logarithm as a share of the earlier level."""
    unit = "relative" if metric.kind == "log" else metric.unit
    value = math.expm1(change) if metric.kind == "log" else change
    return units.change(value, unit, "relative" if metric.kind == "log" else "absolute").lstrip("+")


def headline(metric: Metric, cause: Cause, onset: Onset, end: datetime | None, before: Estimate, after: Estimate) -> str:
    """What, for whom, since when, because of what."""
    label = terminal(metric.label, 80)
    until = f" until {end:%d %B %H:%M}" if end else ""
    since = f"{onset.time:%d %B %Y %H:%M} UTC" if onset.shape != "ramp" else f"about {onset.time:%d %B %Y}, slowly"
    moved = f"{label} went from {value(metric, before)} to {value(metric, after)}"
    return f"{moved} for {where_text(cause.where)} since {since}{until}: {KINDS[cause.kind]}."


def false(verdict: str, metric: Metric, everywhere: Overall, onset: Onset) -> str:
    """Which false incident it is."""
    moved = f"from {value(metric, everywhere.change.before)} to {value(metric, everywhere.change.after)}"
    since = f"since about {onset.time:%d %B %Y}"
    return f"No incident: {FALSE[verdict]} ({terminal(metric.label, 80)} went {moved} {since})."


def nothing(verdict: str, plan: Plan, metric: Metric | None, detectable: float | None, others) -> str:
    """That nothing happened, or what could have been seen."""
    window = f"{plan.start:%d %B} to {plan.at(plan.days - 1):%d %B %Y}"
    if metric is None:
        return f"Not enough evidence, {window}: no metric has enough values."
    if verdict == "no_change":
        return f"Nothing happened, {window}: no watched metric can have moved beyond its margin ({len(others)} of {len(others)} inside)."
    opened = sum(o["verdict"] == "open" for o in others)
    seen = ""
    if detectable is not None:
        seen = f"; {terminal(metric.label, 80)} would have had to move by {size(metric, detectable)} to be seen"
    if detectable is not None and detectable > metric.margin > 0:
        times = math.ceil((detectable / metric.margin) ** 2)
        seen += f", and about {times:,} times the values would be needed to see {size(metric, metric.margin)}"
    return (
        f"No incident found, {window}, but {opened} of {len(others)} metrics could have moved beyond their margins unseen{seen}."
    )
