"""A claim for every number that a page of the cost may show: id, value, interval, n, how it was computed, traces behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ... import units
from ...stats.estimate import Estimate, finite
from ...text import terminal
from ..result import claim

if TYPE_CHECKING:
    from .result import CostResult

MOST_ROWS = 100  # of a partition: no page shows more
_SUM = "sum over the spans of the window"
_LINE = {"cost_usd": "usd", "recorded_usd": "usd", "list_usd": "usd", "share": "rate", "spans": "count"}
_BY = {"cost_usd": "usd", "share": "rate", "requests": "count"}
_ANOMALY = {"cost_usd": "usd", "usual_usd": "usd", "factor": "number", "z": "number", "hours": "count"}
_HOW_PART = "Shapley value over the named factors: the parts add up to the difference"
_PER = {
    "request": "cost over requests of the product with a known cost; linearised over sessions",
    "session": "cost over sessions of the product with a known cost",
    "user": "cost over users of the product with a known cost",
    "good_answer": "cost per request / share of good answers among the judged ones, weighted by how they were drawn; delta method",
}


def claims(result: CostResult) -> list[dict]:
    """All claims of a result, each with a unique id; a result without data has none."""
    if result.window is None:
        return []
    parts = (_totals, _lines, _by, _per, _change, _waste, _forecast, _anomalies)
    return [one for part in parts for one in part(result)]


def _totals(result: CostResult) -> Iterable[dict]:
    told = {
        "total_usd": ("used", "recorded cost where there is one, else the list price, summed over the spans of the window"),
        "recorded_usd": ("as recorded by the sources", _SUM),
        "list_usd": ("at the list prices of the day", _SUM),
    }
    for name, (text, how) in told.items():
        value = getattr(result, name)
        yield claim(
            name, f"{units.money(value)} {text}, {result.window.label}", _exact(value, _spans(result)), unit="usd", how=how
        )
    n = result.unpriced_spans
    yield claim(
        "unpriced_spans",
        f"{n:,} model calls with usage have no known price",
        _exact(n, n),
        unit="count",
        how="counted; in no sum",
    )


def _spans(result: CostResult) -> int:
    return int(result.lines["spans"].sum()) if len(result.lines) else 0


def _lines(result: CostResult) -> Iterable[dict]:
    for row in result.lines.to_dict("records"):
        yield from _row(f"line.{row['line']}", terminal(row["told"], 120), row, _LINE, n=row["spans"])


def _by(result: CostResult) -> Iterable[dict]:
    for at, row in enumerate(result.by.head(MOST_ROWS).to_dict("records")):
        text = ", ".join(f"{k} {terminal(_named(row[k]), 80)}" for k in result.keys)
        yield from _row(f"by.{at}", text, row, _BY, n=row["requests"])
        one = row["cost_per_request"]
        how = "cost over requests with a known cost; linearised over sessions, traces where there are none"
        yield claim(f"by.{at}.cost_per_request", f"{text}: one request {_money(one)}", one, unit="usd", how=how)


def _named(value: object) -> str:
    return "null" if value is None or value != value else str(value)


def _per(result: CostResult) -> Iterable[dict]:
    for name, one in result.per.items():
        yield claim(f"per.{name}", f"one {name.replace('_', ' ')} cost {_money(one)}", one, unit="usd", how=_PER.get(name, _SUM))


def _change(result: CostResult) -> Iterable[dict]:
    moved = result.change
    if moved is None:
        return
    for name, window in (("before_usd", moved.before), ("after_usd", moved.after)):
        value = getattr(moved, name)
        yield claim(f"change.{name}", f"{units.money(value)} spent, {window.label}", _exact(value, 0), unit="usd", how=_SUM)
    for name, value in moved.parts.items():
        text = f"{units.change(value, 'usd', 'absolute')} of the change by {name.replace('_', ' ')}"
        yield claim(f"change.{name}", text, _exact(value, 0), unit="usd", how=_HOW_PART)


def _waste(result: CostResult) -> Iterable[dict]:
    for row in result.waste.to_dict("records"):
        yield from _row(f"waste.{row['line']}", terminal(row["told"], 120), row, _BY, n=row["requests"], traces=row["traces"])


def _forecast(result: CostResult) -> Iterable[dict]:
    coming = result.forecast
    if coming is None or coming.value is None:
        return
    how = "seasonal model of daily sums, back-tested on the store's own history"
    for level, low, high in ((0.8, coming.low80, coming.high80), (0.95, coming.low95, coming.high95)):
        e = Estimate(coming.value, low, high, int(coming.n), level)
        text = (
            f"{coming.month} will come to {units.money(e.value)} ({units.money(low)} to {units.money(high)}, {100 * level:g} %)"
        )
        yield claim(f"forecast.{100 * level:g}", text, e, unit="usd", how=how)
    if coming.spent_usd is not None:
        text = f"{units.money(coming.spent_usd)} of {coming.month} are spent"
        yield claim(
            "forecast.spent_usd", text, _exact(coming.spent_usd, 0), unit="usd", how="sum over the spans of the month so far"
        )


def _anomalies(result: CostResult) -> Iterable[dict]:
    for at, row in enumerate(result.anomalies.to_dict("records")):
        yield from _row(f"anomaly.{at}", terminal(row["told"], 200), row, _ANOMALY, n=row["hours"], traces=row["traces"])


def _row(id: str, text: str, row: Mapping, columns: Mapping[str, str], *, n: int, traces: Sequence[str] = ()) -> Iterable[dict]:
    """A claim for each of these columns of a row; what is missing is refused."""
    for name, unit in columns.items():
        value = finite(row[name])
        told = f"{text}: {name.removesuffix('_usd').replace('_', ' ')} {units.quantity(value, unit)}"
        yield claim(f"{id}.{name}", told, _exact(value, n), unit=unit, how=_SUM, traces=traces)


def _exact(value: float | None, n: int) -> Estimate:
    return Estimate.refused("nothing known to add up", n=n) if value is None else Estimate(value, value, value, int(n))


def _money(one: Estimate) -> str:
    return units.money(one.value, low=one.ci_low, high=one.ci_high) if one.ok else f"n/a ({one.reason})"
