"""Budgets as somebody writes them, and how much of each is used: by users, features and tenants a day, by all of it an hour, a day, a month."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd

from ... import units
from ... import windows as w
from ...columns import literal
from ...errors import InputError, UsageError, choose
from ...text import terminal
from ..reductions import moment, rows
from ..said import Quoted, Said
from .forecast import forecast
from .hours import HOUR, Clock, clock_of
from .result import Forecast
from .window import Plan

COLUMNS = ("name", "scope", "limit_usd", "spent_usd", "share", "state", "told")
SCOPES = {"total": None, "user": "user_id", "tenant": "tenant_id", "feature": "feature"}
PERIODS = ("hour", "day", "month")
KEYS = ("name", "scope", "per", "limit_usd", "value", "warn_at")
WARN_AT = 0.8
MOST_VALUES = 10


@dataclass(frozen=True)
class Budget:
    """``limit_usd`` for each value of a scope (or the one ``value``) per hour, day or month; above ``warn_at`` of it is a warning."""

    name: str
    scope: str
    per: str
    limit_usd: float
    value: str | None = None
    warn_at: float = WARN_AT


def read_budgets(budgets: Any = None) -> tuple[Budget, ...]:
    """Budgets from a YAML file or a dict; none of None.

    Short: ``{"user/day": 2, "total/month": 900}``. Long: a list, or ``budgets:`` with a list, of ``name, scope, per, limit_usd, value,
    warn_at``. Raises InputError for a file that cannot be read, UsageError for what is not understood in it.
    """
    told = _read_yaml(os.fspath(budgets)) if isinstance(budgets, (str, os.PathLike)) else budgets
    if told is None:
        return ()
    if isinstance(told, Mapping) and set(told) == {"budgets"}:
        told = told["budgets"]
    if isinstance(told, Mapping):
        told = [_short(k, v) for k, v in told.items()]
    if not isinstance(told, (list, tuple)):
        raise UsageError(
            f"budgets={terminal(told, 60)!r} are no budgets; give a YAML file or a dict such as {{'total/month': 900}}"
        )
    out = tuple(b if isinstance(b, Budget) else _budget(b, k) for k, b in enumerate(told, 1))
    names = [b.name for b in out]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice:
        raise UsageError(f"budget {twice!r} stands twice; give each budget a name of its own")
    return out


def burn_down(obs, plan: Plan, budgets: Any = None) -> pd.DataFrame:
    """One row per budget and value that spends most of it, the fullest first; no rows without budgets or without dated spans.

    Columns: name, scope (``total``, or the column and its value), limit_usd, spent_usd, share, state, told. Of a day or hour the
    fullest of the window counts, of a month the one of the window's last span. ``exceeded`` is over the limit, ``will_exceed`` a
    month whose forecast is, ``warning`` above the budget's warn_at (0.8) or a month whose 80 % interval reaches the limit, else
    ``within``. A month of one user, tenant or feature is forecast as its share of the total's.
    Per budget at most ten values, and at least one. UsageError and InputError as :func:`read_budgets`.
    """
    read = read_budgets(budgets)
    clock = clock_of(obs, plan.tz) if read else None
    monthly = clock is not None and any(b.per == "month" for b in read)
    known = obs.between(until=plan.window.end) if monthly and plan.window.end <= clock.last else obs
    coming = forecast(known, month=f"{_month(plan, clock):%Y-%m}", tz=plan.tz) if monthly else None
    told = [row for b in read for row in _rows(obs, plan, clock, b, coming)] if clock is not None else []
    # As objects: a column of strings would forget which parts of a sentence are quoted.
    quoted = {n: pd.Series([row[COLUMNS.index(n)] for row in told], dtype=object) for n in ("scope", "told")}
    frame = pd.DataFrame(told, columns=list(COLUMNS)).assign(**quoted)
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _rows(obs, plan: Plan, clock: Clock, budget: Budget, coming: Forecast | None) -> list[tuple]:
    column = SCOPES[budget.scope]
    out = []
    for r in _spent(obs, plan, clock, budget) or [{"value": budget.value, "usd": 0.0, "bin": None}]:
        share = r["usd"] / budget.limit_usd
        told = _scaled(coming, r["usd"]) if budget.per == "month" else None
        state, value = _state(budget, share, told), r["value"]
        scope = "total" if column is None else column if value is None else Said(f"{column} ", Quoted(value))
        out.append((budget.name, scope, budget.limit_usd, r["usd"], share, state, _words(budget, r, share, state, clock, told)))
    return out


def _scaled(coming: Forecast | None, spent: float) -> tuple[float, float, float] | None:
    """What a value's month comes to and its 80 % limits, if it keeps its share of the cost; None without a forecast."""
    if coming is None or coming.value is None or not coming.spent_usd:
        return None
    return tuple(v * spent / coming.spent_usd for v in (coming.value, coming.low80, coming.high80))


def _spent(obs, plan: Plan, clock: Clock, budget: Budget) -> list[dict]:
    """The values that spend most of the budget in one period: value, usd, bin (its first hour)."""
    column = SCOPES[budget.scope]
    low, high = plan.window.start, min(plan.window.end, clock.last + timedelta(microseconds=1))
    if budget.per == "month":
        low = w.aware(_month(plan, clock), plan.tz)
    value = column or "CAST(NULL AS VARCHAR)"
    where = [f"start_time >= {moment(low)}", f"start_time < {moment(high)}", "cost_usd IS NOT NULL"]
    where += [f"{column} IS NOT NULL"] if column else []
    where += [f"{column} = {literal(budget.value)}"] if budget.value is not None else []
    return rows(
        obs,
        f"""WITH sums AS (SELECT {value} AS value, {_period(plan, clock, budget.per)} AS bin, sum(cost_usd) AS usd FROM spans
          WHERE {" AND ".join(where)} GROUP BY 1, 2),
        ranked AS (SELECT value, bin, usd, row_number() OVER (PARTITION BY value ORDER BY usd DESC, bin) AS place FROM sums)
        SELECT value, bin, usd FROM ranked WHERE place = 1 ORDER BY usd DESC, value LIMIT {MOST_VALUES}""",
    )


def _period(plan: Plan, clock: Clock, per: str) -> str:
    """The place of the hour that a span's period begins with, as SQL."""
    if per == "month":
        return "0"
    if per == "hour":
        return clock.bin
    starts = [(w.aware(d, plan.tz) - clock.begin) // HOUR for d in clock.dates]
    if all(b - a == 24 for a, b in pairwise(starts)):
        return f"24 * CAST(floor({clock.bin} / 24.0) AS INTEGER)"
    return "CASE " + " ".join(f"WHEN {clock.bin} >= {s} THEN {s}" for s in reversed(starts)) + " ELSE 0 END"


def _month(plan: Plan, clock: Clock) -> date:
    """The first day of the month that holds the window's last span."""
    last: datetime = min(plan.window.end - timedelta(microseconds=1), clock.last)
    return w.local_date(last, plan.tz).replace(day=1)


def _state(budget: Budget, share: float, coming: tuple | None) -> str:
    if share > 1:
        return "exceeded"
    if coming is not None and coming[0] > budget.limit_usd:
        return "will_exceed"
    if coming is not None and coming[2] > budget.limit_usd:
        return "warning"
    return "warning" if share > budget.warn_at else "within"


def _words(budget: Budget, r: Mapping, share: float, state: str, clock: Clock, coming: tuple | None) -> Said:
    """One sentence on the fullest period."""
    if r["bin"] is None:
        return Said("nothing was spent")
    zone = w.zone(clock.tz)
    when = (
        ""
        if budget.per == "month"
        else f" on {clock.at(r['bin']).astimezone(zone):%Y-%m-%d{' %H:%M' if budget.per == 'hour' else ''}}"
    )
    text = f"{units.money(r['usd'])} of {units.money(budget.limit_usd)} {'an' if budget.per == 'hour' else 'a'} {budget.per}{when} ({units.rate(share)})"
    if coming is not None and state != "exceeded":
        text += "; the month will come to {} ({} to {}, 80 %)".format(*map(units.money, coming))
    return Said(text)


def _short(key: Any, limit: Any) -> dict:
    parts = str(key).split("/")
    if len(parts) != 2:
        raise UsageError(
            f"budget {terminal(key, 60)!r} is not understood; write it as scope/period, such as user/day or total/month"
        )
    return {"scope": parts[0], "per": parts[1], "limit_usd": limit}


def _budget(told: Any, place: int) -> Budget:
    where = f"budget {place}"
    if not isinstance(told, Mapping):
        raise UsageError(f"{where}: {terminal(told, 60)!r} is no budget; give {', '.join(KEYS)}")
    for key in told:
        choose(f"{where}: key", key, KEYS)
    missing = [k for k in ("scope", "per", "limit_usd") if k not in told]
    if missing:
        raise UsageError(f"{where} has no {missing[0]}; a budget needs scope, per and limit_usd")
    scope, per = choose(f"{where}: scope", told["scope"], SCOPES), choose(f"{where}: per", told["per"], PERIODS)
    value = told.get("value")
    if value is not None and scope == "total":
        raise UsageError(
            f"{where}: value={terminal(value, 60)!r} does not go with scope total; remove it, or name a scope that has values"
        )
    name = str(told.get("name") or "/".join([scope, per, *([str(value)] if value is not None else [])]))
    limit = _number(f"{where}: limit_usd", told["limit_usd"])
    warn_at = _number(f"{where}: warn_at", told.get("warn_at", WARN_AT), high=1.0)
    return Budget(name, scope, per, limit, None if value is None else str(value), warn_at)


def _number(where: str, value: Any, *, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= high or math.isinf(value):
        raise UsageError(
            f"{where}={terminal(value, 60)!r} is no number above 0{f' and up to {high:g}' if high < math.inf else ''}; give such as 0.9"
        )
    return float(value)


def _read_yaml(path: str) -> Any:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            told = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(
            f"budgets {terminal(path)!r} cannot be read: {why}; give a YAML file such as 'total/month: 900'"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"budgets {terminal(path)!r} are no YAML: {terminal(error, 160)}; write one budget a line") from None
    if told is None:
        raise UsageError(f"budgets {terminal(path)!r} hold nothing; write one budget a line, such as 'total/month: 900'")
    return told
