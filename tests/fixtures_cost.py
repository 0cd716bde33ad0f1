"""A hand-made CostResult with all tables filled: known numbers, hostile names, a missing value, a part that lowers the cost."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from llmobs_nb.analyses.cost.result import Change, CostResult, Forecast
from llmobs_nb.analyses.result import Estimate, Finding
from llmobs_nb.analyses.said import Quoted, Said
from llmobs_nb.windows import Window

UTC = dt.UTC
HOSTILE = "<script>alert(1)</script> **bold** $x^2$ \x1b[31mred\x1b[0m \u202eabc\u202c sk-abcdefgh12345678"
AFTER = Window(dt.datetime(2026, 11, 2, tzinfo=UTC), dt.datetime(2026, 11, 16, tzinfo=UTC), "2026-11-02 to 2026-11-15")
BEFORE = Window(dt.datetime(2026, 10, 19, tzinfo=UTC), dt.datetime(2026, 11, 2, tzinfo=UTC), "as long before")
SLICES = "where before_usd after_usd change_usd share effect effect_low effect_high n"
PARTS = {"volume": 14.0, "mix": 3.0, "model": -9.0, "tokens_in": 20.0, "tokens_out": 4.0, "cache": -2.0, "price": 10.0}


def frame(columns: str, *rows) -> pd.DataFrame:
    """A table of these rows under these columns."""
    return pd.DataFrame(list(rows), columns=columns.split())


def lines() -> pd.DataFrame:
    return frame(
        "line told spans cost_usd recorded_usd list_usd share",
        ("answering", "model calls that worked at the first try", 9000, 98.0, 97.0, 98.5, 0.7),
        ("judging", "judges and other evaluators", 700, 28.0, 28.0, 28.0, 0.2),
        ("retry", "model calls made again for the same request", 120, 14.0, 14.0, 14.0, 0.1),
    )


def by() -> pd.DataFrame:
    return frame(
        "feature model cost_usd share requests cost_per_request",
        ("chat", "model-large", 70.0, 0.5, 3000, Estimate(0.0233, 0.0211, 0.0255, 3000)),
        (HOSTILE, "model-small", 42.0, 0.3, 5000, Estimate(0.0084, 0.0079, 0.0089, 5000)),
        (None, "model-small", 28.0, 0.2, 3, Estimate.refused("fewer than 5 requests", n=3)),
    )


def spenders() -> pd.DataFrame:
    return frame(
        "key value cost_usd share",
        ("feature", "chat", 70.0, 0.5), ("feature", HOSTILE, 42.0, 0.3), ("feature", None, 28.0, 0.2),
        ("tenant_id", "tenant-7", 91.0, 0.65), ("tenant_id", "tenant-2", 21.0, 0.15),
    )  # fmt: skip


def pairs() -> pd.DataFrame:
    return frame(
        "key value other_key other_value cost_usd share",
        ("feature", "chat", "model", "model-large", 70.0, 0.5),
        ("feature", HOSTILE, "model", "model-small", 42.0, 0.3),
        ("feature", None, "model", "model-small", 28.0, 0.2),
    )


def change() -> Change:
    columns = f"feature before_usd after_usd {' '.join(PARTS)}"
    return Change(
        after=AFTER, before=BEFORE, before_usd=100.0, after_usd=140.0, parts=dict(PARTS),
        features=frame(columns, ("chat", 60.0, 95.0, *(v - 5 / 7 for v in PARTS.values())), (None, 40.0, 45.0, *[5 / 7] * 7)),
        slices=frame(SLICES, ({"tenant_id": "tenant-7"}, 30.0, 66.0, 36.0, 0.9, 1.2, 0.9, 1.6, 3000)),
        beside=frame("name before after unit", ("output tokens of a call", 310.0, 402.0, "tokens"), ("time of a call", 2100.0, 2600.0, "ms")),
    )  # fmt: skip


def forecast() -> Forecast:
    """November 2026 from the 16th on: $10 a day, less on days off."""
    first, spent, rows, running = dt.date(2026, 11, 1), 0.0, [], []
    for at in range(30):
        day, is_past, expected = first + dt.timedelta(days=at), at < 15, 10.0 if at % 7 else 4.0
        spent += expected
        rows.append((day, expected if is_past else None, expected, *(expected * k for k in (0.8, 1.2, 0.6, 1.5))))
        wide = 0 if is_past else at - 14
        running.append((day, spent if is_past else None, spent, spent - wide, spent + wide, spent - 2 * wide, spent + 2 * wide))
    columns = "day spent_usd expected_usd low80 high80 low95 high95"
    return Forecast(
        month="2026-11", value=spent, low80=spent - 15, high80=spent + 15, low95=spent - 30, high95=spent + 30, spent_usd=132.0,
        n=58, at=dt.datetime(2026, 11, 16, tzinfo=UTC), days=frame(columns, *rows), total=frame(columns, *running),
        backtest=frame("method origins cover80_rate cover95_rate pinball_usd", ("model", 9, 0.78, 1.0, 3.21), ("seasonal naive", 9, 0.56, 0.89, 5.4)),
    )  # fmt: skip


def daily() -> pd.DataFrame:
    rows = []
    for at in range(14):
        day = dt.date(2026, 11, 2) + dt.timedelta(days=at)
        rows += [(day, "answering", 7.0, 700), (day, "judging", 2.0, 50), (day, "retry", 1.0, 9)]
    return frame("day line cost_usd requests", *rows)


def hours() -> pd.DataFrame:
    """Two days of each weekday; Tuesday at 14 costs most."""
    return frame(
        "weekday hour cost_usd days", *((d, h, 1.8 if (d, h) == (1, 14) else 0.8, 2) for d in range(7) for h in range(24))
    )


def anomalies() -> pd.DataFrame:
    at = dt.datetime(2026, 11, 10, 7, tzinfo=UTC)
    told = Said("Tenant ", Quoted("tenant-7"), " spent $18.00 in 2 hours, where $2.00 are usual: 9.0 times as much")
    return frame(
        "at hours scope key value cost_usd usual_usd factor z told traces",
        (at, 2, "tenant_id", "tenant_id", "tenant-7", 18.0, 2.0, 9.0, 6.4, told, ["trace-1", HOSTILE]),
    )


def budgets() -> pd.DataFrame:
    return frame(
        "name scope limit_usd spent_usd share state told",
        ("total/month", "total", 200.0, 132.0, 0.66, "will_exceed", Said("$132.00 of $200.00 a month (66.0 %)")),
        (
            "user/day",
            Said("user_id ", Quoted(HOSTILE)),
            5.0,
            1.0,
            0.2,
            "within",
            Said("$1.00 of $5.00 a day on 2026-11-05 (20.0 %)"),
        ),
    )


def waste() -> pd.DataFrame:
    return frame(
        "line told cost_usd share requests traces",
        ("judging", "judges and other evaluators", 28.0, 0.2, 700, ["trace-3"]),
        ("retry", "model calls made again", 14.0, 0.1, 120, ["trace-4", HOSTILE]),
    )


def cost(**given) -> CostResult:
    """The result; ``given`` replaces fields."""
    made = {
        "name": "cost", "headline": "$140.00 were spent, 2026-11-02 to 2026-11-15; up 40.0 % on as long before.",
        "parameters": {"by": ["feature", "model"], "tz": "UTC"}, "provenance": {"store": ".llmobs", "seconds": 1.5},
        "findings": (Finding("warning", "3 spans have a negative recorded cost; they are kept as recorded.", 3),),
        "window": AFTER, "total_usd": 140.0, "recorded_usd": 139.0, "list_usd": 140.5, "unpriced_spans": 12, "keys": ("feature", "model"),
        "lines": lines(), "by": by(), "pairs": pairs(), "spenders": spenders(), "daily": daily(), "hours": hours(),
        "concentration": frame("key values top_1_share top_10_share for_80_percent", ("feature", 3, 0.5, 1.0, 2), ("tenant_id", 40, 0.65, 0.97, 2)),
        "per": {
            "request": Estimate(0.0175, 0.0161, 0.0189, 8000), "session": Estimate(0.07, 0.062, 0.078, 2000),
            "good_answer": Estimate.refused("no score says which answers are good"),
        },
        "gaps": frame("provider model spans recorded_usd list_usd factor", ("acme", "model-large", 40, 3.0, 6.0, 0.5)),
        "unpriced": frame("model reason spans", ("model-new", "unknown_model", 12)),
        "waste": waste(), "change": change(), "anomalies": anomalies(), "budgets": budgets(), "forecast": forecast(),
    }  # fmt: skip
    return CostResult(**(made | given))


def nothing() -> CostResult:
    """The answer of an empty store."""
    text = "The store holds no dated spans: there is no cost to attribute."
    return CostResult(name="cost", headline=text, findings=(Finding("warning", text),))
