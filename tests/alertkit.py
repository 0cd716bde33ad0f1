"""For tests of alerts: four weeks of a small product whose last days can be made bad, and rules for it."""

from __future__ import annotations

import datetime as dt

import incidentkit as kit
import numpy as np

DAYS = 28
END = kit.moment(DAYS)


def product(*, days: int = DAYS, per_day: int = 24, seed: int = 3, change=None):
    """Traces an hour apart: latency 1,000 ms, $0.01, a judge's score around 0.8, one user in six.

    ``change(day, k, one)`` may alter ``one``: root, call, scores of the trace (a dict of dicts), or give None for no trace.
    """
    rng = np.random.default_rng(seed)
    for day in range(days):
        for k in range(per_day):
            one = {
                "root": {"latency_ms": 1000.0, "feature": f"f{k % 2}", "user_id": f"u{k % 6}", "session_id": f"s{day}-{k}"},
                "call": {"model": "m-1", "prompt_name": "p", "prompt_version": "1", "cost_usd": 0.01, "status": "ok"},
                "scores": {"quality": round(float(np.clip(rng.normal(0.8, 0.1), 0, 1)), 3)},
            }
            one = one if change is None else change(day, k, one)
            if one is not None:
                yield kit.trace(
                    f"{day:02d}-{k:03d}", kit.moment(day + k / per_day), call=one["call"], scores=one["scores"], **one["root"]
                )


def failing(day, k, one):
    """On the last day every other call fails."""
    if day == DAYS - 1 and k % 2:
        one["call"] |= {"status": "error", "error_class": "timeout"}
    return one


def rule(**more) -> dict:
    """A rule that the error rate of the last day be at most 10 %."""
    return {"name": "errors", "metric": "error_rate", "compare": {"above": 0.1}} | more


def at_end(**more) -> dt.datetime:
    return END + dt.timedelta(**more)
