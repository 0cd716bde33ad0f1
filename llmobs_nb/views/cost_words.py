"""What the cost result says, in words: the message of each chart, names of parts and states, the answer for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from .. import units
from ..text import terminal
from . import cost_numbers as numbers
from .common_words import Cue, cue, moment, share, with_interval
from .theme import is_number, label

PARTS = {
    "volume": "number of requests",
    "mix": "mix of features",
    "model": "choice of models",
    "tokens_in": "length of prompts",
    "tokens_out": "length of answers",
    "cache": "use of the prompt cache",
    "price": "prices",
}
PER = {"request": "one request", "session": "one session", "user": "one user", "good_answer": "one good answer"}
STATES: dict[str, Cue] = {
    "within": ("✓", "within", "dotted"),
    "warning": ("!", "nearly spent", "solid"),
    "will_exceed": ("↑", "will be exceeded", "dashed"),
    "exceeded": ("✗", "exceeded", "double"),
}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EMPTY = "There is no cost to show"
_TOP = 5
_LINES = 30


# --- names


def part(name: str) -> str:
    """A part of a change as a reader says it."""
    return PARTS.get(name, label(name, 40))


def names(row: dict, keys: Iterable[str]) -> str:
    """The values of a row of a partition: ``chat, model-large``; a missing one is ``(none)``."""
    return ", ".join(label(row[k], 40) for k in keys) or "all"


def hour(row: dict) -> str:
    """An hour of the week: ``Tue 14:00``."""
    return f"{WEEKDAYS[int(row['weekday'])]} {int(row['hour']):02d}:00"


def month_end(forecast) -> str:
    """What a month will come to, with its 80 % interval; why there is no forecast where there is none."""
    if forecast is None or forecast.value is None:
        why = terminal((forecast.reason if forecast else None) or "there is nothing to forecast from", 200)
        return f"no forecast: {why.rstrip('.')}"
    return f"{forecast.month} will come to {units.money(forecast.value)} ({_between80(forecast)}, 80 % interval)"


def _between80(forecast) -> str:
    return f"{units.money(forecast.low80)} to {units.money(forecast.high80)}"


# --- the messages of the charts


def trend(result) -> str:
    """What was spent and what is to come."""
    usual = numbers.usual_day(result)
    if usual is None:
        return EMPTY
    return f"{units.money(result.total_usd)} spent, {units.money(usual)} on a usual day; {month_end(result.forecast)}"


def month(result) -> str:
    """Where the month stands against its limit."""
    told, limit = month_end(result.forecast), numbers.month_limit(result)
    if result.forecast is not None and is_number(result.forecast.spent_usd):
        told = f"{units.money(result.forecast.spent_usd)} spent so far; {told}"
    return f"{told}; the limit is {units.money(limit[1])}" if limit else told


def change(result) -> str:
    """How cost moved and what did most of it."""
    moved = result.change
    if moved is None:
        return "Nothing lies before this window: there is nothing to compare with"
    by = moved.after_usd - moved.before_usd
    if not by:
        return f"Cost stayed at {units.money(moved.after_usd)}"
    word, most = "rose" if by > 0 else "fell", numbers.largest(moved)
    told = f"Cost {word} from {units.money(moved.before_usd)} to {units.money(moved.after_usd)}"
    return f"{told}, most of it by {part(most[0])} ({units.change(most[1], 'usd', 'absolute')})" if most else told


def rhythm(result) -> str:
    """Which hour of the week costs most."""
    found = numbers.dearest_hour(result)
    if found is None:
        return EMPTY
    row, usual = found
    return f"{hour(row)} costs most: {units.money(row['usd'])} an hour, a usual one {units.money(usual)}"


def spenders(result, key: str) -> str:
    """Who or what spends most."""
    rows = [r for r in numbers.split(result, key).to_dict("records") if not numbers.is_rest(r["id"])]
    if not rows:
        return EMPTY
    return f"{label(key, 40)} {label(rows[0]['value'], 40)} takes {units.rate(rows[0]['share'])} of cost{_few(result, key)}"


def _few(result, key: str) -> str:
    for row in result.concentration.to_dict("records"):
        if row["key"] == key and is_number(row["for_80_percent"]):
            return f"; {units.count(row['for_80_percent'])} of {units.count(row['values'])} make four fifths of it"
    return ""


def by(result) -> str:
    """What takes most of the partition that was asked for."""
    if not len(result.by):
        return EMPTY
    row = result.by.iloc[0].to_dict()
    return f"Most goes to {names(row, result.keys)}: {units.rate(row['share'])} of {units.money(result.total_usd)}"


def waste(result) -> str:
    """The largest line of waste; the lines may overlap, so they are not added up."""
    rows = numbers.wasted(result)
    if not rows:
        return "No waste was found"
    return f"The largest of {units.count(len(rows))} lines: {label(rows[0]['told'], 110)}, {units.money(rows[0]['cost_usd'])}"


# --- the answer for a terminal


def summary(result) -> str:
    """The whole answer as lines for a terminal, at most thirty: totals, who spends, change, forecast, waste, anomalies."""
    lines = [terminal(result.headline, 600)]
    if result.window is None:
        return "\n".join([*lines, *_findings(result)])
    lines += [_totals(result), *_by(result), *_moved(result), *_coming(result), *_wasted(result), *_odd(result)]
    room = _LINES - len(lines)
    return "\n".join([*lines, *_findings(result)[:room]][:_LINES])


def _totals(result) -> str:
    told = f"recorded {units.money(result.recorded_usd)}, list price {units.money(result.list_usd)}"
    return f"{told}, {units.count(result.unpriced_spans)} model calls without a price"


def _by(result) -> list[str]:
    rows = result.by.head(_TOP).to_dict("records")
    lines = [f"  {names(r, result.keys)}: {_part(r)}, {_one(r['cost_per_request'])}" for r in rows]
    rest = len(result.by) - _TOP
    return [*lines, f"  and {units.count(rest)} more"] if rest > 0 else lines


def _part(row: dict) -> str:
    return f"{units.money(row['cost_usd'])} ({share(row['share'])})"


def _one(estimate) -> str:
    return f"a request {with_interval(estimate.value, estimate.ci_low, estimate.ci_high, 'usd')}"


def _moved(result) -> list[str]:
    if result.change is None:
        return []
    told = [f"{part(n)} {units.change(v, 'usd', 'absolute')}" for n, v in numbers.parts(result.change)]
    return [f"{change(result)}:", f"  {', '.join(told)}"]


def _coming(result) -> list[str]:
    found = result.forecast
    wider = (
        f" ({units.money(found.low95)} to {units.money(found.high95)}, 95 % interval)"
        if found and found.value is not None
        else ""
    )
    return [f"{month_end(found)}{wider}", *(_budget(r) for r in result.budgets.to_dict("records") if r["state"] != "within")][:4]


def _budget(row: dict) -> str:
    spent = f"{units.money(row['spent_usd'])} of {units.money(row['limit_usd'])}"
    return f"budget {label(row['name'], 40)}: {cue(STATES, row['state'])[1]}, {spent}"


def _wasted(result) -> list[str]:
    return [f"waste: {label(r['told'], 110)} {_part(r)}" for r in numbers.wasted(result)[:_TOP]]


def _odd(result) -> list[str]:
    rows = [f"unusual: {moment(r['at'], result.tz)}, {terminal(r['told'], 160)}" for r in result.anomalies.to_dict("records")]
    rest = len(rows) - _TOP
    return [*rows[:_TOP], f"and {units.count(rest)} more"] if rest > 0 else rows


def _findings(result) -> list[str]:
    return [f"{f.severity}: {terminal(f.text, 300)}" for f in result.findings if terminal(f.text) != terminal(result.headline)]
