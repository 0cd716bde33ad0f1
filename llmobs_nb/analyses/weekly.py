"""The weekly quality review: is this week better or worse than last week, and are we sure."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import chain, zip_longest

import pandas as pd

from .. import windows as w
from ..errors import UsageError
from ..stats.estimate import Estimate
from ..stats.intervals import proportion_from, ratio_from
from ..stats.moments import NOTHING
from ..windows import Window
from . import claims as say
from . import reductions as sql
from .kpis import KPIS, Kpi, score_kpi
from .levels import Review, ask_quantiles, bounded, judge, review_quantile, review_ratio, review_volume
from .plan import Activity, Plan, keep_covered, plan_weeks
from .result import Finding, Result, plain, provenance

READING = 20
COLUMNS = {
    "daily": ("day", "week", "requests", "errors", "error_rate", "error_low", "error_high"),
    "latency": ("day", "week", "stage", "quantile", "value_ms", "low_ms", "high_ms", "n"),
    "cost": ("feature", "this_usd", "last_usd", "change_usd", "share", "requests", "cost_per_request", "low", "high"),
    "quality": ("day", "week", "score", "rater", "mean", "low", "high", "n"),
    "new_error_classes": ("error_class", "n", "traces"),
}
NOT_FLOAT = {"day", "week", "stage", "feature", "score", "rater", "error_class", "traces", "n", "requests", "errors"}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WeeklyResult(Result):
    """Week over week, as tidy tables.

    ``kpis``: one row per KPI and slice. ``daily``, ``latency``, ``quality``: one row per day (and stage, quantile, score,
    rater) of the two weeks (``week`` is ``this`` or ``last``). ``cost``: one row per feature, a missing
    one is null. A refused number is NaN.
    """

    week: Window
    against: Window
    reviews: tuple[Review, ...] = ()
    kpis: pd.DataFrame = field(default_factory=lambda: say.kpi_frame(()))
    daily: pd.DataFrame = field(default_factory=lambda: _frame("daily", []))
    latency: pd.DataFrame = field(default_factory=lambda: _frame("latency", []))
    cost: pd.DataFrame = field(default_factory=lambda: _frame("cost", []))
    quality: pd.DataFrame = field(default_factory=lambda: _frame("quality", []))
    new_error_classes: pd.DataFrame = field(default_factory=lambda: _frame("new_error_classes", []))
    reading_list: tuple[str, ...] = ()
    exemplars: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def json(self) -> dict:
        """The ``weekly`` document of the contract."""
        out = super().json() | {"week": self.week.label, "against": self.against.label}
        out |= {
            "windows": {"this": self.week.json(), "last": self.against.json()},
            "kpis": [say.kpi_json(r) for r in self.reviews],
        }
        frames = {name: plain(getattr(self, name)) for name in COLUMNS}
        open_for_later = {"versions": [], "drift": [], "promoted": None, "alerts": []}
        return out | frames | open_for_later | {"reading_list": list(self.reading_list)}

    def claims(self) -> list[dict]:
        """Every number of the review: verdict counts, KPIs, then the rows of the tables."""
        return say.claims(self)


def weekly(obs, *, week=None, against=None, tz: str = "UTC", where: Mapping | None = None) -> WeeklyResult:
    """Compare a week with an earlier one, KPI by KPI, with intervals, verdicts and the traces to read.

    ``week`` and ``against`` are ISO weeks (``2026-W46``) or dates in them; by default the last complete week with data (the
    last seven days of data where no week is complete) and the week before it. ``where`` filters: ``{column: value}``.
    Weekdays without data in one of the two weeks are left out of both; the baseline is the four weeks before the week.
    A KPI that cannot be estimated is refused with a reason. An empty store gives a result that says so.
    """
    began = time.perf_counter()
    w.zone(tz)
    asked = {"week": _text(week), "against": _text(against), "tz": tz, "where": dict(where or {})}
    obs = obs.where(**where) if where else obs
    first, last = sql.data_range(obs)
    window, findings = _choose_week(obs, week, tz, first, last)
    earlier = _choose_against(window, against, tz)
    if first is None:
        earlier = earlier if week or against else replace(earlier, label="no week")
        text = "The store holds no spans of the product and no scores: there is nothing to review."
        empty = (Finding("warning", text, 0),)
        return WeeklyResult(name="weekly", headline=text, parameters=asked, findings=empty, week=window, against=earlier,
                            provenance=provenance(obs, window.json(), began))  # fmt: skip
    result = _compute(obs, plan_weeks(window, earlier, tz=tz), first, last, asked, findings)
    result.provenance.update(provenance(obs, window.json(), began))
    return result


def _compute(obs, plan: Plan, first: datetime, last: datetime, asked: dict, findings: list[Finding]) -> WeeklyResult:
    daily = sql.daily(obs, plan)
    busy = daily or sql.score_days(obs, plan)
    seen = {d: Activity(row["first"], row["last"]) for d, row in busy.items()}
    plan = keep_covered(plan, seen, first, last)
    limits = sql.thresholds(obs, plan)
    moments = sql.moments(obs, plan, limits)
    scores = sql.scores(obs, plan)
    reviews, latency = _reviews(obs, plan, daily, moments, scores)
    examples = _exemplars(obs, plan, reviews)
    classes = _new_errors(obs, plan, seen)
    findings = [*findings, *_findings(obs, plan, daily)]
    frames = {
        "daily": _frame("daily", _daily(plan, moments["error_rate"])),
        "latency": _frame("latency", latency),
        "cost": _frame("cost", _cost(obs, plan)),
        "quality": _frame("quality", _quality(plan, scores)),
        "new_error_classes": _frame("new_error_classes", classes),
    }
    return WeeklyResult(
        name="weekly", headline=say.headline(plan.week.label, plan.against.label, reviews), parameters=asked,
        findings=tuple(findings), week=plan.week, against=plan.against, reviews=reviews, kpis=say.kpi_frame(reviews),
        reading_list=_reading_list(classes, examples, reviews), exemplars=examples, **frames,
    )  # fmt: skip


def _choose_week(obs, week, tz: str, first: datetime | None, last: datetime | None) -> tuple[Window, list[Finding]]:
    if week is not None:
        return w.parse_week(week, tz), []
    if first is None:
        return replace(w.week_of(date(1970, 1, 1), tz), label="no week"), []
    chosen = w.week_of(last, tz)
    if last < w.blocks(chosen, tz)[-1].start:
        before = sql.last_start_before(obs, chosen.start)
        chosen = None if before is None else w.week_of(before, tz)
    if chosen is not None and first < w.blocks(chosen, tz)[0].end:
        return chosen, []
    end = last + timedelta(microseconds=1)
    start = w.back(Window(end, end), 1, tz).start
    text = "no ISO week is complete in the data: the last seven days of data stand in for one"
    return Window(start, end, w.ending(start, end, tz)), [Finding("warning", text, 1)]


def _choose_against(window: Window, against, tz: str) -> Window:
    if against is None:
        return w.back(window, 1, tz)
    chosen = w.parse_week(against, tz)
    if chosen.start < window.end and window.start < chosen.end:
        raise UsageError(f"against={chosen.label} overlaps week={window.label}; choose another week to compare with")
    return chosen


def _reviews(obs, plan: Plan, daily, moments, scores) -> tuple[tuple[Review, ...], list[dict]]:
    totals = sql.totals(obs, plan)
    asked = [a for k in KPIS if k.kind == "quantile" for a in ask_quantiles(k, plan, moments.get(k.name, {}))]
    values = sql.order_statistics(obs, plan, list(chain.from_iterable(a.ranks() for a in asked)))
    answers = {(a.kpi.name, a.group): a.estimate(values) for a in asked}
    out = []
    for kpi in KPIS:
        if kpi.kind == "volume":
            out.append(review_volume(kpi, plan, daily, totals))
        elif kpi.kind == "quantile":
            out.append(review_quantile(kpi, plan, {g: e for (name, g), e in answers.items() if name == kpi.name}))
        else:
            out.append(review_ratio(kpi, plan, moments[kpi.name]))
    out.extend(_score_reviews(plan, scores))
    return judge(out), _latency(plan, answers)


def _score_reviews(plan: Plan, scores: list[dict]) -> list[Review]:
    return [review_ratio(kpi, plan, {r["grp"]: r["moments"] for r in rows}) for _, rows, kpi in _score_kpis(scores)]


def _score_kpis(scores: list[dict]) -> list[tuple[tuple[str, str], list[dict], Kpi]]:
    found: dict[tuple[str, str], list[dict]] = {}
    for row in scores:
        found.setdefault((row["name"], row["rater"]), []).append(row)
    out = []
    for (name, rater), rows in sorted(found.items()):
        low, high = min(r["low"] for r in rows), max(r["high"] for r in rows)
        kpi = score_kpi(name, rater, low=low, high=high, binary=not any(r["graded"] for r in rows))
        out.append(((name, rater), rows, kpi))
    return out


def _two_weeks(plan: Plan):
    """(day number, date, this or last) of the fourteen days."""
    for week, numbers in (("last", plan.last), ("this", plan.this)):
        for d in numbers:
            yield d, date.fromisoformat(plan.days[d].label), week


def _daily(plan: Plan, errors) -> list[dict]:
    out = []
    for d, day, week in _two_weeks(plan):
        m = errors.get(d, NOTHING)
        rate = proportion_from(m)
        limits = {"error_rate": rate.value, "error_low": rate.ci_low, "error_high": rate.ci_high}
        out.append({"day": day, "week": week, "requests": int(m.n), "errors": int(m.x), **limits})
    return out


def _latency(plan: Plan, answers: Mapping[tuple[str, int], Estimate]) -> list[dict]:
    out = []
    for kpi in (k for k in KPIS if k.kind == "quantile"):
        for d, day, week in _two_weeks(plan):
            e = answers[kpi.name, d]
            if e.n:
                limits = {"value_ms": e.value, "low_ms": e.ci_low, "high_ms": e.ci_high, "n": e.n}
                out.append({"day": day, "week": week, "stage": kpi.stage, "quantile": kpi.p, **limits})
    return out


def _quality(plan: Plan, scores: list[dict]) -> list[dict]:
    out = []
    for (name, rater), rows, kpi in _score_kpis(scores):
        at = {r["grp"]: r["moments"] for r in rows}
        level = proportion_from if kpi.kind == "rate" else ratio_from
        for d, day, week in _two_weeks(plan):
            if d in at:
                e = bounded(level(at[d]), kpi.bounds)
                limits = {"mean": e.value, "low": e.ci_low, "high": e.ci_high, "n": e.n}
                out.append({"day": day, "week": week, "score": name, "rater": rater, **limits})
    return out


def _cost(obs, plan: Plan) -> list[dict]:
    found: dict[str | None, dict[int, sql.Moments]] = {}
    for row in sql.cost_by_feature(obs, plan):
        found.setdefault(row["feature"], {})[row["win"]] = row["moments"]
    this, last = sql.WINDOWS["this"], sql.WINDOWS["last"]
    total = sum(f[this].x for f in found.values() if this in f)
    out = []
    for feature, by in found.items():
        now, before = by.get(this, NOTHING), by.get(last, NOTHING)
        per = bounded(ratio_from(now), (0.0, math.inf))
        row = {"feature": feature, "this_usd": now.x, "last_usd": before.x, "change_usd": now.x - before.x}
        row |= {"share": now.x / total if total else None, "requests": int(now.n)}
        out.append(row | {"cost_per_request": per.value, "low": per.ci_low, "high": per.ci_high})
    return sorted(out, key=lambda r: (-r["this_usd"], -r["last_usd"], r["feature"] or ""))


def _new_errors(obs, plan: Plan, seen: Mapping[int, Activity]) -> list[dict]:
    if not any(d in seen for d in range(len(plan.days)) if d not in plan.this):
        return []
    classes = sql.new_error_classes(obs, plan)
    traces = sql.error_traces(obs, plan, [c["error_class"] for c in classes])
    return [{**c, "traces": traces.get(c["error_class"], [])} for c in classes]


def _exemplars(obs, plan: Plan, reviews: tuple[Review, ...]) -> dict[str, tuple[str, ...]]:
    out = {what: tuple(ids) for what, ids in sql.exemplars(obs, plan).items()}
    extremes = sql.score_exemplars(obs, plan)
    better = {r.kpi.exemplars: r.kpi.better for r in reviews}
    for (name, rater), (low, high) in extremes.items():
        at = f"score:{name}:{rater}"
        out[at] = tuple(high if better.get(at) == "down" else low)
    return out


def _reading_list(classes: list[dict], examples: Mapping[str, tuple[str, ...]], reviews: tuple[Review, ...]) -> tuple[str, ...]:
    """Traces of new errors first, then of what got worse, then the rest, one of each kind in turn."""
    order = sorted(reviews, key=lambda r: r.verdict != "worse")
    kinds = dict.fromkeys(r.kpi.exemplars for r in order if r.kpi.exemplars)
    turns = chain.from_iterable(zip_longest(*(examples.get(kind, ()) for kind in kinds)))
    new = chain.from_iterable(c["traces"] for c in classes)
    return tuple(dict.fromkeys(t for t in chain(new, turns) if t is not None))[:READING]


def _findings(obs, plan: Plan, daily: Mapping[int, Mapping]) -> list[Finding]:
    gaps, reached, most = sql.gaps(obs, plan), len(plan.baseline), sql.MOST_SCORES
    unpriced, worded, names = gaps["unpriced"], gaps["worded"], gaps["names"]
    told = (
        (reached < 4, "info", f"the data reach back {reached} of the 4 baseline weeks", reached),
        (unpriced, "warning", f"llm calls of the week without a cost, left out of the sums: {unpriced:,}", unpriced),
        (gaps["other"], "info", f"spans of judging, experiments or the platform, left out: {gaps['other']:,}", gaps["other"]),
        (worded, "info", f"scores with a label and no number, left out of the means: {worded:,}", worded),
        (names > most, "info", f"of {names:,} scores the {most} most frequent are reviewed", names),
    )
    return [*_coverage(plan, daily), *(Finding(severity, text, count) for said, severity, text, count in told if said)]


def _coverage(plan: Plan, daily: Mapping[int, Mapping]) -> list[Finding]:
    this, last = plan.week.label, plan.against.label
    if not any(d in daily for d in plan.this):
        return [Finding("warning", f"no requests in {this}", 0)]
    if not plan.comparable:
        return [Finding("warning", f"no weekday has data in both {this} and {last}: nothing is compared", 0)]
    if len(plan.kept) == len(plan.this):
        return []
    names = ", ".join(f"{date.fromisoformat(plan.days[plan.this[k]].label):%a}" for k in plan.kept)
    text = f"one of the two weeks is incomplete: {this} and {last} are compared on {names} only"
    return [Finding("warning", text, len(plan.kept))]


def _frame(name: str, rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS[name]))
    return frame.astype(dict.fromkeys((c for c in frame.columns if c not in NOT_FLOAT), float))


def _text(value) -> str | None:
    return value if value is None or isinstance(value, str) else value.isoformat()
