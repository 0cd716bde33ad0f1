"""``lm.cost``: from a store to the ledger, its movements and what it will come to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ... import units
from ..result import Finding, provenance
from .anomalies import anomalies
from .attribution import attribute, per_unit, spread
from .budgets import burn_down
from .change import change
from .forecast import forecast
from .ledger import daily, ledger, rhythm
from .result import CostResult
from .waste import waste
from .window import Plan, make_plan

BY = ("feature", "model")


def cost(
    obs,
    *,
    since: Any = None,
    until: Any = None,
    against: str | None = None,
    by: Sequence[str] = BY,
    tz: str = "UTC",
    where: Mapping | None = None,
    budgets: Any = None,
    month: str | None = None,
    scenario: Mapping[str, float] | None = None,
    good: tuple[str, float] | None = None,
) -> CostResult:
    """Who and what spends, why it moved, what the month will cost, what is wasted; in USD, and it adds up.

    ``since`` and ``until`` bound what is attributed (default: all data); the change is that of the window against ``against``
    (``2026-09-01/2026-09-14``; default: as long before; of all data the last four weeks against those before). ``by`` are
    columns or metadata keys: the partition is by all of them together, null a row of its own. ``where`` looks at some traffic only.

    ``budgets`` are those of :func:`~llmobs_nb.analyses.cost.budgets.read_budgets`, ``month`` (``2026-11``; default that of the
    last day of data) is forecast, under ``scenario`` where one is given (``{"volume": 1.2, "price": 0.9}``). ``good`` is the
    score and the value (0 to 1) that make an answer good. Cost that is not known is null and counted, never guessed. An empty store
    gives a result that says so. UsageError for windows, keys, budgets or months that are none.
    """
    began = time.perf_counter()
    asked = {
        "since": _text(since),
        "until": _text(until),
        "against": against,
        "by": list(by),
        "tz": tz,
        "where": dict(where or {}),
    }
    asked |= {"month": month, "scenario": dict(scenario or {})}
    obs = obs.where(**where) if where else obs
    plan = make_plan(obs, since=since, until=until, against=against, tz=tz)
    if plan is None:
        text = "The store holds no dated spans: there is no cost to attribute."
        return CostResult(name="cost", headline=text, parameters=asked, findings=(Finding("warning", text),), tz=tz)
    told = ledger(obs, plan)
    found, spent = attribute(obs, plan, by), spread(obs, plan)
    coming = forecast(obs, month=month, tz=tz, scenario=scenario)
    moved = change(obs, plan)
    result = CostResult(
        name="cost", headline=_headline(plan, told.total_usd, moved, coming), parameters=asked,
        provenance=provenance(obs, plan.window.json(), began), findings=told.findings, window=plan.window, tz=tz,
        total_usd=told.total_usd, recorded_usd=told.recorded_usd, list_usd=told.list_usd, unpriced_spans=told.unpriced_spans,
        keys=tuple(by), lines=told.lines, by=found, pairs=spent.pairs, spenders=spent.spenders,
        concentration=spent.concentration, per=per_unit(obs, plan, good=good), gaps=told.gaps,
        unpriced=told.unpriced, waste=waste(obs, plan), change=moved, anomalies=anomalies(obs, plan),
        budgets=burn_down(obs, plan, budgets), forecast=coming, daily=daily(obs, plan), hours=rhythm(obs, plan),
    )  # fmt: skip
    result.provenance["seconds"] = round(time.perf_counter() - began, 3)
    return result


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _headline(plan: Plan, total: float, moved, coming) -> str:
    """One sentence: what was spent, how it moved, what the month will come to."""
    text = f"{units.money(total)} were spent, {plan.window.label}"
    if moved and moved.before_usd:
        share = moved.after_usd / moved.before_usd - 1
        text += "; " if plan.now == plan.window else f"; in the {plan.now.label} "
        text += f"{'up' if share >= 0 else 'down'} {units.rate(abs(share))} on {moved.before.label}"
        name, part = max(moved.parts.items(), key=lambda p: p[1] * share)  # of those that go the way the total went
        text += f", most of it by {name.replace('_', ' ')} ({units.money(part)})" if moved.after_usd != moved.before_usd else ""
    if coming and coming.value is not None:
        text += f"; {coming.month} will come to {units.money(coming.value)} ({units.money(coming.low80)} to {units.money(coming.high80)}, 80 % interval)"
    return text + "."
