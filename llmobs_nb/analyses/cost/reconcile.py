"""The ledger beside a provider's own bill: by day and model what agrees, what stands on one side only, and why the rest differs."""

from __future__ import annotations

import csv
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ... import units
from ... import windows as w
from ...columns import literal
from ...errors import InputError, UsageError
from ...prices.marks import USED
from ...text import terminal
from ..reductions import rows
from ..result import Result, plain, provenance
from .ledger import day_number, family
from .lines import MODEL
from .result import empty
from .window import inside, make_plan

CLOSE, CLOSE_USD = 0.005, 0.01
COLUMNS = ("day", "model", "here_usd", "there_usd", "gap_usd", "state", "line")
LINES = {
    "unpriced": "calls here without a known price, which the provider charged for",
    "not_here": "days and models that the provider charged for and the store has no call of",
    "not_there": "days and models with calls here that are not in the export",
    "judging": "judges and experiments here that are not in the export",
    "days": "charged on another day: over the whole export the model agrees",
    "price": "the same days and models at another cost",
    "rounding": "differences within half a per cent or one cent",
}
# The columns of an export by what they are: the first that is there counts.
_NAMES = {
    "day": ("usage_date_utc", "start_time_iso", "start_time", "date", "day", "usage_date", "timestamp"),
    "model": ("model", "model_version", "line_item", "description"),
    "cost": ("cost_usd", "amount_value", "cost", "amount"),
}
_CURRENCY = ("amount_currency", "currency")
_EPOCH = re.compile(r"\d{9,13}(\.0)?")


class Charge(NamedTuple):
    """One line of an export: its UTC day, the model's family, what it cost in USD."""

    day: date
    model: str
    cost: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Reconciliation(Result):
    """The answer of :func:`reconcile` (USD).

    ``rows`` has one row per day and model family (day, model, here_usd, there_usd, gap_usd, state: matched, differs, only_here or
    only_there, line: why). ``lines`` says how the gap is made up (line, told, gap_usd, rows) and adds up to ``gap_usd``, that of there
    minus here.
    """

    here_usd: float = 0.0
    there_usd: float = 0.0
    gap_usd: float = 0.0
    rows: pd.DataFrame = field(default_factory=lambda: empty(*COLUMNS))
    lines: pd.DataFrame = field(default_factory=lambda: empty("line", "told", "gap_usd", "rows"))

    def json(self) -> dict:
        """The result with its sums and both tables."""
        return super().json() | plain({n: getattr(self, n) for n in ("here_usd", "there_usd", "gap_usd", "rows", "lines")})


def reconcile(obs, export, *, since=None, until=None, provider: str | None = None) -> Reconciliation:
    """Compare what is stored with a provider's cost export (CSV) by UTC day and model.

    Read are the cost exports of the consoles of OpenAI and Anthropic and plain files with the columns day, model and cost_usd.
    Models are compared by family (``gpt-4o-2024-08-06, input`` is gpt-4o). Without ``since`` and ``until`` the days are those of
    the export. ``provider`` looks at its spans only. InputError for a file that cannot be read; UsageError for a window without data.
    """
    began = time.perf_counter()
    charges = read_export(export)
    low, high = since or min(c.day for c in charges), until or date.fromordinal(max(c.day for c in charges).toordinal() + 1)
    plan = make_plan(obs, since=low, until=high)
    if plan is None:
        raise UsageError(f"reconcile: the store {obs.store} holds no dated spans; ingest or pull some first")
    here = _here(obs, plan, provider)
    there: dict[tuple[date, str], float] = {}
    for c in charges:
        if w.aware(c.day) in plan.window:
            there[c.day, c.model] = there.get((c.day, c.model), 0.0) + c.cost
    frame = _compared(here, there)
    lines = _lines(frame)
    sums = {side: math.fsum(frame[f"{side}_usd"]) for side in ("here", "there", "gap")}
    asked = {"export": os.fspath(export), "since": str(low), "until": str(high), "provider": provider}
    return Reconciliation(
        name="reconcile", headline=_headline(sums, lines, plan.window.label), parameters=asked,
        provenance=provenance(obs, plan.window.json(), began), rows=frame, lines=lines, **{f"{k}_usd": v for k, v in sums.items()},
    )  # fmt: skip


def read_export(path) -> list[Charge]:
    """The charges of an export, lines of one day and model apart; InputError that names the file and what it lacks."""
    name = os.fspath(path)
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            found = _columns(name, [c for c in reader.fieldnames or () if c])
            charges = [c for n, row in enumerate(reader, 2) if (c := _charge(name, n, row, found))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"reconcile: {name} cannot be read as CSV ({error}); give the cost export of the provider") from None
    if not charges:
        raise InputError(f"reconcile: {name} holds no charge; export the days that the store has")
    return charges


def _columns(path: str, header: list[str]) -> dict[str, str]:
    known = {c.strip().lower(): c for c in header}
    found = {what: next((known[n] for n in names if n in known), None) for what, names in _NAMES.items()}
    lacks = [f"{what} ({' or '.join(_NAMES[what])})" for what, column in found.items() if column is None]
    if lacks:
        there = terminal(", ".join(header), 200) or "none"
        raise InputError(
            f"reconcile: {path} has no column for {', '.join(lacks)}; its columns are: {there}; give a cost export, not one of usage"
        )
    return found | {"currency": next((known[n] for n in _CURRENCY if n in known), None)}


def _charge(path: str, line: int, row: Mapping, found: Mapping) -> Charge | None:
    """The charge of a line; None for a line without one."""
    day, model, cost = ((row[found[c]] or "").strip() for c in ("day", "model", "cost"))
    if not cost:
        return None
    currency = (row[found["currency"]] or "usd").strip().lower() if found["currency"] else "usd"
    if currency != "usd":
        raise InputError(f"reconcile: {path}, line {line}: {terminal(currency, 20)!r} is not USD; convert the costs first")
    try:
        value = float(cost)
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise InputError(
            f"reconcile: {path}, line {line}: {found['cost']}={terminal(cost, 40)!r} is not a number; write it like 1.25"
        ) from None
    named = model.split(",")[0]
    return Charge(_day(path, line, found["day"], day), family(None, named) or "no model", value)


def _day(path: str, line: int, column: str, text: str) -> date:
    """A UTC day from an ISO date or time, or from seconds of the epoch."""
    try:
        if _EPOCH.fullmatch(text):
            return datetime.fromtimestamp(float(text) / (1000 if float(text) > 1e11 else 1), UTC).date()
        return w.local_date(w.aware(datetime.fromisoformat(text)))
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"reconcile: {path}, line {line}: {column}={terminal(text, 40)!r} is not a day; write it like 2026-11-02"
        ) from None


def _here(obs, plan, provider: str | None) -> dict[tuple[date, str], dict]:
    """Cost of the store by UTC day and model family, of judges and experiments apart, and calls without a price."""
    days = w.days(plan.window)
    only = f" AND provider = {literal(provider)}" if provider else ""
    found = rows(
        obs,
        f"""SELECT {day_number(days)} AS nth_day, provider, {MODEL} AS model, sum(cost_usd) AS usd,
          sum(CASE WHEN purpose IN ('judging', 'experiment') THEN cost_usd END) AS judging,
          sum(CASE WHEN {USED} AND cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced
        FROM spans WHERE {inside(plan.window)} AND (cost_usd IS NOT NULL OR {USED}){only} GROUP BY 1, 2, 3""",
    )
    out: dict[tuple[date, str], dict] = {}
    for r in found:
        key = w.local_date(days[int(r["nth_day"])].start), family(r["provider"], r["model"]) or "no model"
        sums = out.setdefault(key, {"usd": 0.0, "judging": 0.0, "unpriced": 0})
        for name in sums:
            sums[name] += r[name] or 0
    return out


def _compared(here: Mapping, there: Mapping) -> pd.DataFrame:
    """One row per day and model, the largest gaps first."""
    totals: dict[str, list[float]] = {}
    for key in {*here, *there}:
        sums = totals.setdefault(key[1], [0.0, 0.0])
        sums[0] += here[key]["usd"] if key in here else 0.0
        sums[1] += there.get(key, 0.0)
    told = []
    for day, model in sorted({*here, *there}):
        own, charged = here.get((day, model)), there.get((day, model))
        a, b = own["usd"] if own else 0.0, charged or 0.0
        state = "matched" if _agree(a, b) else "only_there" if own is None else "only_here" if charged is None else "differs"
        told.append((day, model, a, b, b - a, state, _why(state, own, a, b, settled=_agree(*totals[model]))))
    return pd.DataFrame(sorted(told, key=lambda r: -abs(r[4])), columns=list(COLUMNS))


def _agree(a: float, b: float) -> bool:
    return abs(b - a) <= max(CLOSE_USD, CLOSE * abs(b))


def _why(state: str, own: Mapping | None, a: float, b: float, *, settled: bool) -> str:
    """The line that a row's gap stands on."""
    if state == "matched":
        return "rounding"
    if settled:
        return "days"
    if own and own["unpriced"] and b > a:
        return "unpriced"
    if own and own["judging"] and _agree(a - own["judging"], b):
        return "judging"
    return {"only_there": "not_here", "only_here": "not_there"}.get(state, "price")


def _lines(frame: pd.DataFrame) -> pd.DataFrame:
    told = []
    for line, words in LINES.items():
        own = frame[frame["line"] == line]
        if len(own):
            told.append((line, words, math.fsum(own["gap_usd"]), len(own)))
    return pd.DataFrame(sorted(told, key=lambda r: -abs(r[2])), columns=["line", "told", "gap_usd", "rows"])


def _headline(sums: Mapping[str, float], lines: pd.DataFrame, label: str) -> str:
    text = f"{units.money(sums['here'])} here, {units.money(sums['there'])} in the export, {label}"
    if _agree(sums["here"], sums["there"]):
        return f"{text}: they agree within half a per cent or one cent."
    first = lines.iloc[0]
    return f"{text}: a gap of {units.money(sums['gap'])}, most of it {first['told']} ({units.money(first['gap_usd'])})."
