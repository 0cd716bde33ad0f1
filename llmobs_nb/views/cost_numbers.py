"""What the cost pages add up themselves: sums by day, hours of a week, what a chart cannot name, the limit of a month."""

from __future__ import annotations

import pandas as pd

from .theme import is_number

MAX_BARS = 10
MAX_DAYS = 92
NOISE = 1e-9
# In the order in which a waterfall is read: how much traffic, of what, with which tokens, at which price.
PARTS = ("volume", "mix", "model", "tokens_in", "tokens_out", "cache", "price")
_REST = "rest"


def by_day(result) -> pd.DataFrame:
    """One row a day: day and cost_usd over all lines, in the order of time; a day without traffic has no row."""
    if not len(result.daily):
        return pd.DataFrame(columns=["day", "cost_usd"])
    return result.daily.groupby("day", as_index=False, sort=True)["cost_usd"].sum()


def drawn_days(result) -> list[dict]:
    """The days that are drawn: the last of them, in the order of time."""
    return by_day(result).tail(MAX_DAYS).to_dict("records")


def days_to_come(forecast, name: str) -> list[dict]:
    """The days of a forecast that are not over; ``name`` is ``days`` or ``total``; [] without a forecast."""
    if forecast is None or forecast.value is None:
        return []
    return [r for r in getattr(forecast, name).to_dict("records") if not is_number(r["spent_usd"])]


def usual_day(result) -> float | None:
    """The median cost of a day; None without days."""
    days = by_day(result)
    return float(days.cost_usd.median()) if len(days) else None


def by_hour(result) -> pd.DataFrame:
    """``result.hours`` with ``usd``, the cost of one such hour; what is no number is left out."""
    frame = result.hours
    if not len(frame):
        return frame.assign(usd=[])
    frame = frame[frame.days.astype(float) > 0]
    return frame.assign(usd=frame.cost_usd.astype(float) / frame.days.astype(float)).dropna(subset=["usd"])


def dearest_hour(result) -> tuple[dict, float] | None:
    """The hour of a week that costs most, and the median of all; None where no hour costs anything."""
    frame = by_hour(result)
    if not len(frame) or not (frame.usd > 0).any():
        return None
    return frame.loc[frame.usd.idxmax()].to_dict(), float(frame.usd.median())


def splits(result) -> list[str]:
    """The columns of which the top spenders are known."""
    return list(dict.fromkeys(result.spenders["key"])) if len(result.spenders) else []


def split(result, key: str) -> pd.DataFrame:
    """The top spenders of a column, the largest first: id (of the claim), value, cost_usd, share; last what all others cost.

    ``value`` of that last row is how many they are where that is known, its ``id`` ends with ``rest``.
    """
    frame = result.spenders[result.spenders["key"] == key].sort_values("cost_usd", ascending=False, kind="stable")
    head = frame.head(MAX_BARS).assign(id=[f"spender.{key}.{at}" for at in range(min(len(frame), MAX_BARS))])
    rest = result.total_usd - float(head.cost_usd.sum())
    columns = ["id", "value", "cost_usd", "share"]
    if rest <= 1e-9 * max(abs(result.total_usd), 1e-9):
        return head[columns].reset_index(drop=True)
    row = [[f"spender.{key}.{_REST}", "all others", rest, rest / result.total_usd if result.total_usd else None]]
    return pd.concat([head[columns].astype(object), pd.DataFrame(row, columns=columns, dtype=object)], ignore_index=True)


def is_rest(id: str) -> bool:
    """Whether a row of :func:`split` stands for all that are not named."""
    return id.endswith(f".{_REST}")


def crossed(result, key: str, value: object) -> list[dict]:
    """What a value of a column is spent on: the rows of ``pairs`` that hold it, ``at`` which place, with the other side; largest first."""
    found = []
    for at, row in enumerate(result.pairs.to_dict("records")):
        for mine, other in (("", "other_"), ("other_", "")):
            if row[f"{mine}key"] == key and same(row[f"{mine}value"], value):
                found.append({**row, "at": at, "column": row[f"{other}key"], "of": row[f"{other}value"]})
    return sorted(found, key=lambda r: -r["cost_usd"])


def same(one: object, other: object) -> bool:
    """Whether two values from tables are the same; a missing one (None, NaN) is like another."""
    missing = [v is None or v != v for v in (one, other)]
    return all(missing) or (not any(missing) and one == other)


def parts(change) -> list[tuple[str, float]]:
    """The parts of a change as they are drawn, in the order of :data:`PARTS`; what is no more than rounding is zero."""
    return [(p, _without_noise(change.parts[p], change)) for p in PARTS if p in change.parts]


def features(change) -> list[dict]:
    """The parts of the change of each feature, as :func:`parts`."""
    known = [p for p, _ in parts(change)]
    return [{**row, **{p: _without_noise(row[p], change) for p in known}} for row in change.features.to_dict("records")]


def _without_noise(value: float, change) -> float:
    """A part of a change, zero where it is as small as what sums of floats leave over."""
    return value if abs(value) > NOISE * max(abs(change.before_usd), abs(change.after_usd)) else 0.0


def largest(change) -> tuple[str, float] | None:
    """The part that explains most of the direction in which cost went; None where it did not move."""
    moved = change.after_usd - change.before_usd
    name, value = max(parts(change), key=lambda p: p[1] * moved, default=(None, 0.0))
    return (name, value) if name and value * moved > 0 else None


def month_limit(result) -> tuple[int, float] | None:
    """The position in ``budgets`` of the limit of all cost of a month and the limit; None without one."""
    for at, row in enumerate(result.budgets.to_dict("records")):
        if row["scope"] == "total" and " a month" in row["told"]:
            return at, float(row["limit_usd"])
    return None


def wasted(result) -> list[dict]:
    """The lines of waste that cost something, the largest first."""
    rows = [r for r in result.waste.to_dict("records") if is_number(r["cost_usd"]) and r["cost_usd"] > 0]
    return sorted(rows, key=lambda r: -r["cost_usd"])
