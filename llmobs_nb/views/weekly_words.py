"""The sentence on each weekly chart, made from the numbers that the chart and the KPI table show."""

from __future__ import annotations

from collections.abc import Iterable

from .. import units
from ..text import terminal
from .theme import is_number, label

VERDICTS = {
    "better": ("✓", "better", "solid"),
    "worse": ("✗", "worse", "double"),
    "same": ("=", "same", "dotted"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}


def verdict_word(verdict: object) -> str:
    """The verdict as a reader says it; an unknown one as it stands, a missing one as n/a."""
    if verdict in VERDICTS:
        return VERDICTS[verdict][1]
    return terminal(verdict, 40) if isinstance(verdict, str) else "n/a"


def kpi_rows(result, *, slice: str = "all", names: Iterable[str] = ()) -> list[dict]:
    """KPI rows of one slice as dicts, in the result's order; only those named when names are given."""
    wanted = set(names)
    rows = result.kpis[result.kpis["slice"] == slice].to_dict("records")
    return [r for r in rows if not wanted or r["name"] in wanted]


def sums(frame, column: str, week: str) -> float:
    """Sum of a column over the days of ``week`` ("this" or "last"); 0 when there are none."""
    return float(frame.loc[frame["week"] == week, column].sum()) if len(frame) else 0.0


def volume(result) -> str:
    """How many requests and how many failed, against last week."""
    daily = result.daily
    this, last = sums(daily, "requests", "this"), sums(daily, "requests", "last")
    if not this:
        return f"No requests this week; {units.count(last)} last week" if last else "No requests in these two weeks"
    failed = units.rate(sums(daily, "errors", "this") / this)
    if not last:
        return f"{units.count(this)} requests, {failed} failed; nothing to compare with last week"
    before = units.rate(sums(daily, "errors", "last") / last)
    judged = _judged(result, "error_rate")
    return f"{units.count(this)} requests ({_relative(this, last)}); {failed} failed, {before} last week{judged}"


def _relative(this: float, last: float) -> str:
    if this == last:
        return "as many as last week"
    return f"{units.relative((this - last) / last)} on last week"


def _judged(result, name: str) -> str:
    rows = kpi_rows(result, names=[name])
    return f": {verdict_word(rows[0]['verdict'])}" if rows else ""


def latency(result) -> str:
    """The weekly p95 and the time to first token where the KPIs have them, else that there is none."""
    if not len(result.latency):
        return "No latencies in these two weeks"
    if result.latency["value_ms"].isna().all():
        return "Too few requests to estimate latency by day"
    rows = [r for r in kpi_rows(result) if r["unit"] == "ms" and is_number(r["this_value"])]
    return "; ".join(_moved(r) for r in _tails(rows)) or "Latency by day: median and 95th percentile"


def _tails(rows: list[dict]) -> list[dict]:
    tails = [r for r in rows if "95" in r["name"]] or rows
    whole = [r for r in tails if "ttft" not in r["name"]][:1]
    return whole + [r for r in tails if "ttft" in r["name"]][:1]


def _moved(row: dict) -> str:
    this = units.quantity(row["this_value"], row["unit"], low=row["this_low"], high=row["this_high"])
    last = units.quantity(row["last_value"], row["unit"], low=row["last_low"], high=row["last_high"])
    before = f", {last} last week: {verdict_word(row['verdict'])}" if is_number(row["last_value"]) else " (no last week)"
    return f"{label(row['label'], 40)} {this}{before}"


def cost(result) -> str:
    """What was spent, against last week, and which feature takes most."""
    frame = result.cost
    this, last = float(frame["this_usd"].sum()), float(frame["last_usd"].sum())
    if not this:
        return f"Nothing spent this week; {units.money(last)} last week" if last else "No priced requests in these two weeks"
    top = frame.iloc[frame["this_usd"].fillna(0).to_numpy().argmax()]
    part = f"{label(top['feature'])} takes {units.rate(float(top['this_usd']) / this)}"
    return f"{units.money(this)} spent ({_relative(this, last) if last else 'nothing last week'}); {part}"


def quality(result, *, score: str | None = None) -> str:
    """Which scores moved, worse ones first; what cannot be told is said. ``score`` speaks of one alone."""
    if not len(result.quality):
        return "No scores in these two weeks"
    rows = score_rows(result, score=score)
    if score is not None and rows:
        return "; ".join(_moved(r) for r in rows)
    if not rows:
        return "Scores by day" if score is None else f"{label(score, 40)} by day"
    told = [r for verdict in ("worse", "better") for r in rows if r["verdict"] == verdict]
    if told:
        rest = f"; {len(rows) - len(told)} more with no change we can be sure of" if len(rows) > len(told) else ""
        return "; ".join(_moved(r) for r in told[:2]) + (f"; {len(told) - 2} more moved" if len(told) > 2 else "") + rest
    same = sum(r["verdict"] == "same" for r in rows)
    if same == len(rows):
        return f"Quality held: {_scores(len(rows))} the same as last week"
    told = f"{_scores(same)} the same, {len(rows) - same}" if same else _scores(len(rows))
    return f"No change in quality we can be sure of: {told} cannot be told"


def _scores(n: int) -> str:
    return f"{n} score" if n == 1 else f"{n} scores"


def score_rows(result, *, score: str | None = None) -> list[dict]:
    """The overall KPI rows that are scores (of one name)."""
    start = "score:" if score is None else f"score:{score}:"
    return [r for r in kpi_rows(result) if str(r["name"]).startswith(start)]
