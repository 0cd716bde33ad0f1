"""The claims of what the cost pages add up or take from the tables, to stand beside those of the result in ``claims.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from ..analyses.result import Estimate, claim
from ..stats.estimate import finite
from ..text import terminal
from ..windows import Window
from . import cost_numbers as numbers
from . import cost_tables as tables
from . import cost_words as words
from .incident_words import where
from .theme import is_number
from .weekly_claims import counted

_COUNTED = "counted over the rows of the result"
_ADDED = "sum over the rows of the result"
_TABLE = "taken from the table of the result"


def cost_claims(result) -> list[dict]:
    """Sums by day and hour, what stands behind the charts, rows of the tables that the result claims not itself, and counts."""
    if result.window is None:
        return []
    made = (_headline, _days, _hours, _running, _spenders, _tables, _moved, _left_out, _rest)
    return [one for part in made for one in part(result)]


def window_days(result) -> dict:
    """The claim of how many days the window of a result has, as its label says."""
    return _length("page.window.days", result.window)


def _length(id: str, window: Window) -> dict:
    return counted(
        id, f"days of {terminal(window.label, 80)}", round((window.end - window.start) / timedelta(days=1)), how="its length"
    )


# --- the headline


def _headline(result) -> Iterable[dict]:
    yield window_days(result)
    moved = result.change
    if moved is not None:
        yield _length("page.change.after.days", moved.after)
        yield _length("page.change.before.days", moved.before)
        if moved.before_usd:
            up = moved.after_usd / moved.before_usd - 1
            yield counted(
                "page.change.size", "how far the cost moved", abs(up), "rate", "cost after over cost before, less one", 0
            )


# --- over time


def _days(result) -> Iterable[dict]:
    for r in numbers.drawn_days(result):
        yield _usd(f"day.{r['day']}", f"cost of {r['day']}", r["cost_usd"])
    if (usual := numbers.usual_day(result)) is not None:
        yield _usd("page.usual_day", "median cost of a day", usual, "median over the days with a cost")
    for r in numbers.days_to_come(result.forecast, "days"):
        yield from _expected(f"coming.{r['day']}", f"{r['day']}, expected", r)


def _running(result) -> Iterable[dict]:
    for r in result.forecast.total.to_dict("records") if result.forecast is not None else ():
        id, text = f"running.{r['day']}", f"cost of the month until {r['day']}"
        yield _usd(f"{id}.spent", text, r["spent_usd"]) if is_number(r["spent_usd"]) else next(iter(_expected(id, text, r)))


def _expected(id: str, text: str, row: Mapping) -> Iterable[dict]:
    value, low, high = (finite(row[k]) for k in ("expected_usd", "low80", "high80"))
    yield claim(f"{id}.80", text, Estimate(value, low, high, 0, level=0.8), unit="usd", how="the forecast, its 80 % interval")


def _hours(result) -> Iterable[dict]:
    how = "cost of this hour over all such days, by their number"
    for r in numbers.by_hour(result).to_dict("records"):
        yield _usd(f"hour.{int(r['weekday'])}.{int(r['hour'])}", f"cost of an hour, {words.hour(r)}", r["usd"], how)
    if (found := numbers.dearest_hour(result)) is not None:
        yield _usd("page.usual_hour", "median cost of an hour of the week", found[1], "median over the hours of a week")


# --- the tables


def _spenders(result) -> Iterable[dict]:
    for key in numbers.splits(result):
        for r in numbers.split(result, key).to_dict("records"):
            text = f"{terminal(key, 40)} {terminal(r['value'], 80)}"
            yield _usd(f"{r['id']}.cost_usd", f"cost of {text}", r["cost_usd"], _ADDED)
            yield _share(f"{r['id']}.share", f"share of {text}", r["share"])


_COLUMNS: dict[str, tuple[str, dict[str, str]]] = {
    "pairs": ("pair", {"cost_usd": "usd", "share": "rate"}),
    "gaps": ("gap", {"spans": "count", "recorded_usd": "usd", "list_usd": "usd", "factor": "number"}),
    "unpriced": ("unpriced", {"spans": "count"}),
    "budgets": ("budget", {"limit_usd": "usd", "spent_usd": "usd", "share": "rate"}),
}


def _tables(result) -> Iterable[dict]:
    for name, (id, columns) in _COLUMNS.items():
        for at, r in enumerate(getattr(result, name).head(tables.MAX_ROWS).to_dict("records")):
            yield from _row(f"{id}.{at}", f"{name}, row {at}", r, columns)
    for at, told in enumerate(result.budgets.told if len(result.budgets) else ()):
        yield counted(f"budget.{at}.told", terminal(told, 200), 1, how=_COUNTED)
    columns = {"values": "count", "top_1_share": "rate", "top_10_share": "rate", "for_80_percent": "count"}
    for r in result.concentration.to_dict("records"):
        yield from _row(f"concentration.{r['key']}", f"concentration by {terminal(r['key'], 60)}", r, columns)
    columns = {"origins": "count", "cover80_rate": "rate", "cover95_rate": "rate", "pinball_usd": "usd"}
    for r in result.forecast.backtest.to_dict("records") if result.forecast is not None else ():
        yield from _row(f"backtest.{r['method']}", f"back-test of {terminal(r['method'], 60)}", r, columns)


def _row(id: str, text: str, row: Mapping, columns: Mapping[str, str]) -> Iterable[dict]:
    for name, unit in columns.items():
        if is_number(row[name]):
            yield counted(f"{id}.{name}", f"{text}: {name}", float(row[name]), unit, _TABLE, 0 if unit != "count" else None)


# --- the change


def _moved(result) -> Iterable[dict]:
    moved = result.change
    if moved is None:
        return
    yield _usd(
        "page.change.moved", "cost after less cost before", moved.after_usd - moved.before_usd, "difference of both windows"
    )
    for name, value in numbers.parts(moved):
        yield _usd(f"change.drawn.{name}", f"the change by the {words.part(name)}", value, "the part, without what is rounding")
    levels = {"before_usd": "usd", "after_usd": "usd"}
    for at, r in enumerate(numbers.features(moved)[: tables.MAX_ROWS]):
        columns = levels | {name: "usd" for name, _ in numbers.parts(moved)}
        yield from _row(f"change.feature.{at}", f"change of {terminal(r['feature'], 60)}", r, columns)
    columns = levels | {"change_usd": "usd", "share": "rate", "n": "count"}
    for at, r in enumerate(moved.slices.head(tables.MAX_ROWS).to_dict("records")):
        id, text = f"change.slice.{at}", f"change where {where(r['where'])}"
        yield from _row(id, text, r, columns)
        e = Estimate(*(finite(r[k]) for k in ("effect", "effect_low", "effect_high")), int(r["n"]))
        yield claim(f"{id}.effect", f"{text}, against the rest", e, unit="relative", how=_TABLE)
    for at, r in enumerate(moved.beside.to_dict("records")):
        yield from _row(f"change.beside.{at}", terminal(r["name"], 80), r, {"before": r["unit"], "after": r["unit"]})


# --- counts


def _left_out(result) -> Iterable[dict]:
    features = result.change.features if result.change is not None else ()
    long = {
        "by": result.by,
        "pairs": result.pairs,
        "anomalies": result.anomalies,
        "gaps": result.gaps,
        "unpriced": result.unpriced,
    }
    for name, frame in (long | {"features": features}).items():
        left = max(len(frame) - tables.MAX_ROWS, 0)
        yield counted(f"page.{name}.left_out", f"rows of {name} that are not shown", left, how=_COUNTED)


def _rest(result) -> Iterable[dict]:
    """What the words count, and the sentences that they quote."""
    yield counted("page.waste", "lines of waste with a cost", len(numbers.wasted(result)), how=_COUNTED)
    yield counted("page.gaps.all", "models whose recorded cost is not the list price", len(result.gaps), how=_COUNTED)
    if result.forecast is not None and result.forecast.reason:
        yield claim(
            "page.forecast.reason",
            terminal(result.forecast.reason, 200),
            Estimate.refused("no forecast"),
            unit="usd",
            how=_COUNTED,
        )
    for at, one in enumerate(result.findings):
        yield counted(f"finding.{at}", terminal(one.text, 400), one.count, how="counted in the data")


def _usd(id: str, text: str, value: float, how: str = _ADDED) -> dict:
    return counted(id, text, float(value), "usd", how, 0)


def _share(id: str, text: str, value: float | None) -> dict:
    e = Estimate.refused("nothing was spent") if value is None else Estimate(float(value), float(value), float(value), 0)
    return claim(id, text, e, unit="rate", how=_TABLE)
