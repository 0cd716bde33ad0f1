"""For tests of the cost analysis: small stores of made-up calls whose every cent is known, written past the readers."""

from __future__ import annotations

import datetime as dt

import storekit

import llmobs_nb as lm

MONDAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOSTILE = "o'pro\x1b[31m; DROP TABLE spans --"


def moment(day: float) -> dt.datetime:
    """A moment so many days after the first one, a Monday at midnight."""
    return MONDAY + day * DAY


def call(trace: str, *, day: float = 0.0, part: str = "c", **fields) -> dict:
    """A model call of a trace: 1,000 tokens in, 100 out, one cent, as recorded; keyword arguments replace or add columns."""
    row = {
        "trace_id": trace, "start_time": moment(day), "end_time": moment(day) + dt.timedelta(seconds=1), "kind": "llm",
        "provider": "openai", "model_requested": "gpt-4o", "model": "gpt-4o-2024-08-06", "tokens_in": 1000, "tokens_out": 100,
        "cost_recorded_usd": 0.01, "cost_list_usd": 0.01, "cost_source": "recorded", "feature": "chat", "is_root": part == "c",
    } | fields  # fmt: skip
    if "cost_usd" not in row:
        recorded = row["cost_recorded_usd"]
        row["cost_usd"] = recorded if recorded is not None else row["cost_list_usd"]
    return storekit.span(f"{trace}/{part}", **row)


def step(trace: str, part: str, *, day: float = 0.0, kind: str = "chain", **fields) -> dict:
    """A span of a trace that costs nothing."""
    return storekit.span(f"{trace}/{part}", trace_id=trace, start_time=moment(day), kind=kind, is_root=False, **fields)


def event(trace: str, name: str, *, day: float = 0.0, value: float | None = 1.0, **fields) -> dict:
    """A score of a trace: by default something that a user did."""
    given = {"trace_id": trace, "name": name, "value": value, "rater": "user", "created_at": moment(day)} | fields
    return storekit.score(f"{trace}/{name}", **given)


def product(days: int = 28, per_day: int = 12) -> list[dict]:
    """Calls of a product whose costs are all different: two features, two models, three tenants, one of them hostile by name.

    Every session has two requests, every fourth request has a second call; tags, a plan in the metadata and the environment go
    in cycles of different length, and some are null.
    """
    out = []
    for day in range(days):
        for k in range(per_day):
            n = day * per_day + k
            fields = {
                "feature": ("chat", "search", None)[n % 3], "model": ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18")[n // 3 % 2],
                "tenant_id": ("t1", "t2", HOSTILE, None)[n % 4], "user_id": f"u{n % 7}", "session_id": f"s{n // 2}",
                "tags": (["b", "a"], ["a"], None, ["a", "b"])[n % 4], "metadata": {"plan": ("free", "team")[n % 2]} if n % 5 else None,
                "cost_recorded_usd": 0.001 * (1 + n % 13) + 1e-7 * n,
            }  # fmt: skip
            at = day + (k + 0.5) / per_day
            out.append(call(f"t{n:05d}", day=at, **fields))
            if n % 4 == 0:
                out.append(call(f"t{n:05d}", day=at, part="d", tokens_in=300, **fields))
    return out


def opened(root, spans, scores=(), **options):
    """A store of these rows, as a handle."""
    storekit.put(root, **{name: list(rows) for name, rows in (("spans", spans), ("scores", scores)) if rows})
    return lm.open(str(root), threads=1, **options)
