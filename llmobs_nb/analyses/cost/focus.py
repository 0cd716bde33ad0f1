"""What was spent as a table in the column names of FOCUS, the FinOps Open Cost and Usage Specification (version 1.2).

Cost tools load it as they load the bill of a cloud. Columns of ours begin with ``x_``, as the specification asks.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd

from ... import windows as w
from ...errors import UsageError
from ...prices import normalise
from ...prices.marks import USED
from ..reductions import rows
from .ledger import day_number, family
from .lines import LINE, MODEL
from .window import Plan, inside, make_plan

VERSION = "1.2"
SERVICES = {"llm": "Model inference", "embedding": "Embeddings", "reranker": "Reranking"}
TAGS = ("feature", "tenant_id", "user_tier", "environment", "prompt_version")
TOKENS = {
    "x_InputTokens": "tokens_in", "x_OutputTokens": "tokens_out", "x_CacheReadTokens": "tokens_cache_read",
    "x_CacheWriteTokens": "tokens_cache_write", "x_ReasoningTokens": "tokens_reasoning",
}  # fmt: skip
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "ResourceId", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "Tags",
    "x_Line", "x_Calls", *TOKENS,
)  # fmt: skip
_KEYS = {
    "line": LINE,
    "of_provider": "provider",
    "of_model": MODEL,
    "of_kind": "kind",
    "account": "coalesce(nullif(project, ''), source)",
}
_COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
_TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
_COUNTS = ("ConsumedQuantity", "PricingQuantity", "x_Calls", *TOKENS)
_TEXTS = tuple(c for c in COLUMNS if c not in (*_COSTS, *_TIMES, *_COUNTS))
_TYPES = {"float64": _COSTS, "Int64": _COUNTS, "datetime64[us, UTC]": _TIMES, "str": _TEXTS}
_REFUND = "CASE WHEN cost_usd < 0 THEN 1 ELSE 0 END"
_NOT_SAID = "not said"
_ARMED = ("=", "+", "-", "\t", "\r")  # a spreadsheet would compute what begins so


@dataclass(frozen=True)
class FocusExport:
    """What was written: where, how many rows, their sum (that of the ledger), and how many calls stand in no row for want of a price."""

    path: str
    rows: int
    total_usd: float
    unpriced_spans: int


def focus(obs, path, *, since=None, until=None, tz: str = "UTC") -> FocusExport:
    """Write what was spent as FOCUS: CSV or Parquet by the ending of ``path``. An older file there is replaced.

    One row per day of ``tz``, provider, model, kind of call, line of the ledger, feature, tenant, tier, environment and prompt version;
    BilledCost and EffectiveCost add up to the ledger's total. Tokens are not rows of their own, as sources record one cost a call:
    they stand beside it. Negative recorded costs are rows of ChargeCategory Credit. ListCost is null where the list price of a call
    is not known; calls without any cost stand in no row and are counted. UsageError for another ending, a file that cannot be
    written, a window without data.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise UsageError(f"focus: {os.fspath(path)!r} ends in neither .csv nor .parquet; name the file with one of the two")
    plan = make_plan(obs, since=since, until=until, tz=tz)
    if plan is None:
        raise UsageError(f"focus: the store {obs.store} holds no dated spans; ingest or pull some first")
    frame = focus_frame(obs, plan)
    try:
        disarmed(frame).to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path, index=False)
    except OSError as error:
        raise UsageError(
            f"focus: {os.fspath(path)} cannot be written ({error.strerror or error}); name a folder that is there"
        ) from None
    (left,) = rows(obs, f"SELECT count(*) AS n FROM spans WHERE {inside(plan.window)} AND {USED} AND cost_usd IS NULL")
    return FocusExport(os.fspath(path), len(frame), math.fsum(frame["BilledCost"]), left["n"])


def focus_frame(obs, plan: Plan) -> pd.DataFrame:
    """The rows of the export, by day and then by cost; times are UTC."""
    days = w.days(plan.window, plan.tz)
    keys = {"nth_day": day_number(days), "refund": _REFUND, **_KEYS, **{name: name for name in TAGS}}
    named, listed = (f"{sql} AS {name}" if sql != name else name for name, sql in keys.items()), ", ".join(keys)
    sums = ", ".join(f"CAST(sum({column}) AS BIGINT) AS {column}" for column in TOKENS.values())
    found = rows(
        obs,
        f"""SELECT {listed}, count(*) AS calls, {sums}, sum(cost_usd) AS cost_usd, count(cost_list_usd) AS listed, sum(cost_list_usd) AS list_usd
        FROM (SELECT {", ".join(named)}, cost_usd, cost_list_usd, {", ".join(TOKENS.values())} FROM spans
          WHERE {inside(plan.window)} AND cost_usd IS NOT NULL) s
        GROUP BY {listed} ORDER BY nth_day, cost_usd DESC""",
    )
    frame = pd.DataFrame([_row(r, days[int(r["nth_day"])], plan.tz) for r in found], columns=list(COLUMNS))
    return frame.astype({c: kind for kind, columns in _TYPES.items() for c in columns})


def disarmed(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts that a spreadsheet would take for a formula with an apostrophe in front."""
    return frame.assign(**{c: [f"'{v}" if isinstance(v, str) and v.startswith(_ARMED) else v for v in frame[c]] for c in _TEXTS})


def _row(r: dict, day: w.Window, tz: str) -> dict:
    """A row of the export: what it cost, when, for what."""
    cost, refund = r["cost_usd"], r["refund"]
    provider, model = r["of_provider"] or normalise(None, r["of_model"]).provider or _NOT_SAID, r["of_model"] or _NOT_SAID
    service = SERVICES.get(r["of_kind"], "Other")
    tokens = None if refund else (r["tokens_in"] or 0) + (r["tokens_out"] or 0)
    unit = None if refund else "Tokens"
    begin, end = _month(w.local_date(day.start, tz), tz)
    tags = {name: r[name] for name in TAGS if r[name] is not None}
    return {
        "BilledCost": cost, "EffectiveCost": cost, "ContractedCost": cost, "BillingCurrency": "USD",
        "ListCost": r["list_usd"] if r["listed"] == r["calls"] else None,
        "BillingAccountId": r["account"], "BillingAccountName": r["account"], "InvoiceIssuerName": provider,
        "BillingPeriodStart": begin, "BillingPeriodEnd": end, "ChargePeriodStart": day.start, "ChargePeriodEnd": day.end,
        "ChargeCategory": "Credit" if refund else "Usage", "ChargeDescription": f"{service}, {model}", "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": tokens, "ConsumedUnit": unit, "PricingQuantity": tokens, "PricingUnit": unit,
        "PricingCategory": None if refund else "Standard", "ProviderName": provider, "PublisherName": _maker(r["of_model"]) or provider,
        "ResourceId": f"{provider}/{model}", "ResourceType": "Model", "ServiceCategory": "AI and Machine Learning",
        "ServiceName": service, "ServiceSubcategory": "Generative AI", "SkuId": model, "SkuMeter": "Tokens",
        "Tags": json.dumps(tags, ensure_ascii=False), "x_Line": r["line"], "x_Calls": r["calls"],
        **{name: r[column] for name, column in TOKENS.items()},
    }  # fmt: skip


def _maker(model: str | None) -> str | None:
    """Who makes a model, by the family of its name, whoever serves it."""
    return normalise(None, family(None, model)).provider if model else None


def _month(day: date, tz: str) -> tuple[datetime, datetime]:
    """The month of a day, from its first midnight to that of the next one."""
    first = day.replace(day=1)
    return w.aware(first, tz), w.aware((first + timedelta(days=32)).replace(day=1), tz)
