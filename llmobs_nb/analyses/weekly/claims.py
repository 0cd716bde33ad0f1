"""The weekly review in words and records: KPI rows, headline, and a claim for every number that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ... import units
from ...stats.estimate import Estimate, finite
from ...text import terminal
from ..result import claim
from .levels import Review

if TYPE_CHECKING:
    from .result import WeeklyResult

VERDICTS = ("better", "worse", "same", "cannot_tell")
_COUNTED = "distinct traces by their start"
_FAILED = "traces with any error span"
_HEAD = ("name", "label", "unit", "better", "slice")
_LEVELS = ("this", "last", "baseline", "change")
_PARTS = ("mix", "within")
_TAIL = ("change_kind", "verdict", "margin", "q", "detectable", "slo", "slo_verdict", "family", "reason", "how")
_KPI_COLUMNS = (*_HEAD, *(f"{at}_{part}" for at in (*_LEVELS, *_PARTS) for part in ("value", "low", "high", "n")), *_TAIL)


def kpi_frame(reviews: Sequence[Review]) -> pd.DataFrame:
    """One row per KPI and slice; refused numbers are NaN, their reason in ``reason``."""
    frame = pd.DataFrame([_kpi_row(r) for r in reviews], columns=list(_KPI_COLUMNS))
    floats = [c for c in _KPI_COLUMNS if c.endswith(("_value", "_low", "_high"))] + ["margin", "q", "detectable", "slo"]
    return frame.astype(dict.fromkeys(floats, float))


def kpi_json(review: Review) -> dict:
    """One KPI as the contract writes it."""
    kpi = review.kpi
    out = {"name": kpi.name, "label": kpi.label, "unit": kpi.unit, "better": kpi.better, "slice": review.slice}
    out |= {at: getattr(review, at).json() for at in _LEVELS}
    out |= {at: None if getattr(review, at) is None else getattr(review, at).json() for at in _PARTS}
    out |= {"change_kind": kpi.change_kind, "verdict": review.verdict, "margin": finite(kpi.margin), "q": finite(review.q)}
    out |= {
        "detectable": finite(review.detectable),
        "slo": finite(review.slo),
        "slo_verdict": review.slo_verdict,
        "family": kpi.family,
    }
    return out | {"reason": review.reason, "how": kpi.how}


def headline(week: str, against: str, reviews: Sequence[Review]) -> str:
    """One sentence: what got worse and better, and how many KPIs stayed or cannot be told."""
    requests = next((r for r in reviews if r.kpi.name == "requests"), None)
    if not any(r.change.ok for r in reviews):
        n = f"requests: {units.count(requests.this.value)}" if requests and requests.this.n else "no requests"
        return f"{week} ({n}): nothing can be compared with {against}."
    by = {v: [r for r in reviews if r.verdict == v] for v in VERDICTS}
    by |= {v: _without_parts(by[v]) for v in ("worse", "better")}
    parts = [f"{v}: {_few(by[v])}" for v in ("worse", "better") if by[v]] or ["no KPI is better or worse beyond doubt"]
    return f"{week} against {against}: {'; '.join(parts)}; {len(by['same'])} the same, {len(by['cannot_tell'])} cannot be told."


def claims(result: WeeklyResult) -> list[dict]:
    """All claims of a review, each with a unique id."""
    parts = (_verdicts, _kpis, _daily, _latency, _cost, _quality, _errors)
    return [one for part in parts for one in part(result)]


def _few(reviews: Sequence[Review], most: int = 3) -> str:
    told = [f"{_named(r)} {_change(r)}" for r in reviews[:most]]
    return ", ".join(told) + (f" and {len(reviews) - most} more" if len(reviews) > most else "")


def _without_parts(reviews: Sequence[Review]) -> list[Review]:
    """Slices are told only where their KPI as a whole is not."""
    whole = {r.kpi.name for r in reviews if r.slice == "all"}
    return [r for r in reviews if r.slice == "all" or r.kpi.name not in whole]


def _named(review: Review) -> str:
    return review.kpi.label if review.slice == "all" else f"{review.kpi.label} ({terminal(review.slice, 60)})"


def _change(review: Review) -> str:
    kpi, e = review.kpi, review.change
    text = units.change(e.value, kpi.unit, kpi.change_kind, low=e.ci_low, high=e.ci_high)
    return f"{text} ({units.interval(e.ci_low, e.ci_high, kpi.unit, kind=kpi.change_kind)})"


def _kpi_row(review: Review) -> dict:
    kpi = review.kpi
    row = {name: getattr(kpi, name) for name in _HEAD[:-1]} | {"slice": review.slice}
    for at in (*_LEVELS, *_PARTS):
        e = getattr(review, at) or Estimate.refused("nothing to split by")
        row |= {f"{at}_value": e.value, f"{at}_low": e.ci_low, f"{at}_high": e.ci_high, f"{at}_n": e.n}
    row |= {"change_kind": kpi.change_kind, "verdict": review.verdict, "margin": kpi.margin, "q": review.q}
    row |= {"detectable": review.detectable, "slo": review.slo, "slo_verdict": review.slo_verdict, "family": kpi.family}
    return row | {"reason": review.reason or review.this.reason, "how": kpi.how}


def _verdicts(result: WeeklyResult) -> list[dict]:
    n = len(result.reviews)
    counts = {v: sum(r.verdict == v for r in result.reviews) for v in VERDICTS}
    how = "weighted Benjamini-Hochberg q < 0.05 over all KPIs, for worse and for better each; same: the 95 % interval lies inside the margin"
    return [claim(f"verdicts.{v}", f"{c} of {n} KPIs: {v}", _exact(c, n), unit="count", how=how) for v, c in counts.items()]


def _kpis(result: WeeklyResult) -> list[dict]:
    return [one for r in result.reviews for one in (*_levels(r, result), _moved(r, result), *_split(r), *_limits(r))]


def _levels(r: Review, result: WeeklyResult) -> list[dict]:
    kpi, out = r.kpi, []
    before = (
        result.baseline.label
        if result.baseline
        else {"month": "the three months before", "quarter": "the four quarters before"}.get(
            result.parameters.get("period"), "the four weeks before"
        )
    )
    names = {"this": result.week.label, "last": result.against.label, "baseline": before}
    for at, when in names.items():
        e = getattr(r, at)
        value = units.quantity(e.value, kpi.unit, low=e.ci_low, high=e.ci_high) if e.ok else f"refused ({e.reason})"
        how = f"mean week; {kpi.how}" if at == "baseline" and kpi.kind == "volume" else kpi.how
        traces = result.exemplars.get(kpi.exemplars, ()) if at == "this" else ()
        id, text = f"kpi.{kpi.name}.{r.slice}.{at}", f"{_named(r)} in {when}: {value}"
        out.append(claim(id, text, e, unit=kpi.unit, how=how, traces=traces))
    return out


def _moved(r: Review, result: WeeklyResult) -> dict:
    value = f"{_change(r)}: {r.verdict}" if r.change.ok else f"refused ({r.change.reason})"
    text = f"{_named(r)}, change from {result.against.label} to {result.week.label}: {value}"
    unit = r.kpi.unit if r.kpi.change_kind == "absolute" else "relative"
    traces = result.exemplars.get(r.kpi.exemplars, ())
    return claim(f"kpi.{r.kpi.name}.{r.slice}.change", text, r.change, unit=unit, how=r.kpi.how, traces=traces)


def _split(r: Review) -> list[dict]:
    """What of the change is traffic mix, and what happened within its cells."""
    kpi, out = r.kpi, []
    unit = kpi.unit if kpi.change_kind == "absolute" else "relative"
    words = {"mix": "because traffic shifted", "within": "at the earlier mix of traffic"}
    how = "cells of feature, model and tier, standardised to the earlier mix; linearised over sessions, plus between-day variance"
    for at in _PARTS:
        e = getattr(r, at)
        if e is not None:
            value = (
                units.change(e.value, kpi.unit, kpi.change_kind, low=e.ci_low, high=e.ci_high)
                if e.ok
                else f"refused ({e.reason})"
            )
            out.append(
                claim(f"kpi.{kpi.name}.{r.slice}.{at}", f"{_named(r)}, change {words[at]}: {value}", e, unit=unit, how=how)
            )
    return out


def _limits(r: Review) -> list[dict]:
    """The smallest change that would have been called, and the objective for the level."""
    kpi, out = r.kpi, []
    if r.detectable is not None:
        unit = kpi.unit if kpi.change_kind == "absolute" else "relative"
        size = units.relative(r.detectable) if kpi.change_kind == "relative" else units.change(r.detectable, kpi.unit, "absolute")
        text = f"{_named(r)}: a change of {size.lstrip('+-')} for the worse would have been called with probability 0.8"
        how = "standard error of the change, the level that correction for all KPIs asks for, power 0.8"
        out.append(claim(f"kpi.{kpi.name}.{r.slice}.detectable", text, _exact(r.detectable, r.change.n), unit=unit, how=how))
    if r.slo is not None:
        text = f"{_named(r)}, objective {units.quantity(r.slo, kpi.unit)}: {str(r.slo_verdict).replace('_', ' ')}"
        out.append(
            claim(
                f"kpi.{kpi.name}.{r.slice}.slo",
                text,
                _exact(r.slo, r.this.n),
                unit=kpi.unit,
                how="given; met or missed when the interval says so",
            )
        )
    return out


def _daily(result: WeeklyResult) -> list[dict]:
    out = []
    for row in result.daily.to_dict("records"):
        day, n, errors = row["day"], row["requests"], row["errors"]
        rate = _estimate(row["error_rate"], row["error_low"], row["error_high"], n)
        told = f"error rate {units.rate(rate.value, low=rate.ci_low, high=rate.ci_high)} on {day}"
        out += [
            claim(f"daily.{day}.requests", f"{n:,} requests on {day}", _exact(n, n), unit="count", how=_COUNTED),
            claim(f"daily.{day}.errors", f"{errors:,} failed on {day}", _exact(errors, n), unit="count", how=_FAILED),
            claim(f"daily.{day}.error_rate", told, rate, unit="rate", how=f"{_FAILED}; Wilson at the effective n of sessions"),
        ]
    return out


def _latency(result: WeeklyResult) -> list[dict]:
    out = []
    for row in result.latency.to_dict("records"):
        e = _estimate(row["value_ms"], row["low_ms"], row["high_ms"], row["n"])
        what = f"{row['stage']} p{100 * row['quantile']:g}"
        text = f"{what} {units.milliseconds(e.value)} on {row['day']}"
        how = "quantile of the day, binomial order-statistic interval at the effective n of sessions"
        out.append(claim(f"latency.{row['day']}.{row['stage']}.{row['quantile']:g}", text, e, unit="ms", how=how))
    return out


def _cost(result: WeeklyResult) -> list[dict]:
    return [one for at, row in enumerate(result.cost.to_dict("records")) for one in _cost_row(f"cost.{at}", row)]


def _cost_row(at: str, row: dict) -> list[dict]:
    name = terminal(row["feature"], 80) if isinstance(row["feature"], str) else "no feature"
    n, share = row["requests"], finite(row["share"])
    per = _estimate(row["cost_per_request"], row["low"], row["high"], n)
    each = f"cost per request of {name}: {units.money(per.value, low=per.ci_low, high=per.ci_high)}"
    sums = {"this_usd": "this week", "last_usd": "last week", "change_usd": "change"}
    how = "sum of cost_usd over spans"
    return [
        *(
            claim(f"{at}.{part}", f"cost of {name}, {what}: {units.money(row[part])}", _exact(row[part], n), unit="usd", how=how)
            for part, what in sums.items()
        ),
        claim(
            f"{at}.share", f"share of {name}: {units.rate(share)}", _exact(share, n), unit="rate", how="cost / total of the week"
        ),
        claim(f"{at}.requests", f"requests of {name} with a cost: {n:,}", _exact(n, n), unit="count", how=_COUNTED),
        claim(f"{at}.cost_per_request", each, per, unit="usd", how="ratio of sums linearised over sessions"),
    ]


def _quality(result: WeeklyResult) -> list[dict]:
    out = []
    for row in result.quality.to_dict("records"):
        e = _estimate(row["mean"], row["low"], row["high"], row["n"])
        value = units.number(e.value, low=e.ci_low, high=e.ci_high)
        text = f"{terminal(row['score'], 80)} ({row['rater']}) {value} on {row['day']}"
        how = "mean over judged traces, interval linearised over sessions (Wilson for 0/1)"
        out.append(claim(f"quality.{row['day']}.{row['score']}.{row['rater']}", text, e, unit="score", how=how))
    return out


def _errors(result: WeeklyResult) -> list[dict]:
    out = []
    for row in result.new_error_classes.to_dict("records"):
        name, n = row["error_class"], row["n"]
        text = f"{n:,} errors of the new class {terminal(name, 80)}"
        how = "error spans of a class not seen in the weeks compared before"
        out.append(claim(f"new_error.{name}", text, _exact(n, n), unit="count", how=how, traces=row["traces"]))
    return out


def _exact(value: float | None, n: int) -> Estimate:
    return Estimate.refused("nothing counted", n=n) if value is None else Estimate(value, value, value, int(n))


def _estimate(value: float, low: float, high: float, n: int) -> Estimate:
    if finite(value) is None:
        return Estimate.refused("too few data for an interval", n=n)
    return Estimate(float(value), finite(low), finite(high), int(n))
