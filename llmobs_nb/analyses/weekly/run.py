"""The review itself: choose the windows, keep the tables, ask the reductions, judge all KPIs together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from ... import windows as w
from ...errors import LlmobsError, UsageError, choose
from ...stats.estimate import Estimate
from ...text import terminal
from ...windows import Window
from ..reductions import data_range, last_start_before
from ..result import Finding, provenance
from . import claims as say
from . import feedback as fb
from . import frames, mix, outside, reading, slices, times, traces, volumes
from . import judged as jd
from .findings import findings_of
from .kpis import COST_PER_USER, GOOD_COST, QUANTILES, VOLUMES, Kpi
from .levels import Review, ask_quantiles, judge, review_quantile, review_quotient, review_ratio, review_volume, with_slo
from .logged import logged
from .plan import BASELINE, Activity, Plan, calendar, earlier, keep_covered, named, pinned_window, plan_days
from .result import WeeklyResult, frame
from .sql import Found, moments

CELLS, SCORE_CELLS = "weekly_cells", "weekly_score_cells"


@dataclass(frozen=True)
class Options:
    """What a caller may set beside the windows."""

    by: tuple[str, ...] = ()
    slo: Mapping[str, float] = ()
    metrics: tuple = ()
    composite: Mapping[str, float] = ()
    satisfaction: Mapping[str, float] = ()
    good: tuple[str, float] | None = None
    beside: Mapping[str, Callable] = ()
    mapped: tuple[str, str] | None = None


def weekly(
    obs,
    *,
    week=None,
    against=None,
    baseline: str | None = None,
    period: str = "week",
    tz: str = "UTC",
    where: Mapping | None = None,
    by: Sequence[str] = (),
    slo: Mapping[str, float] | None = None,
    metrics: Sequence = (),
    composite: Mapping[str, float] | None = None,
    satisfaction: Mapping[str, float] | None = None,
    good: tuple[str, float] | None = None,
    beside: Mapping[str, Callable] | str | None = None,
    judge_map: Mapping | str | None = None,
) -> WeeklyResult:
    """Compare a week with an earlier one, KPI by KPI, with intervals, verdicts and the traces to read.

    ``week`` and ``against`` are ISO weeks (``2026-W46``) or dates in them; by default the last complete week with data (the
    last seven days of data where no week is complete) and the week before it. ``period`` "month" or "quarter" compares those
    (``2026-11``, ``2026-Q4``), the first Monday with the first Monday and so on. ``baseline`` pins what stands beside them:
    ``2026-09-01/2026-09-14`` or a week; by default the four weeks (three months, four quarters) before. ``where`` filters:
    ``{column: value}``. ``by`` shows a short list of KPIs for the values of columns or metadata keys.

    ``slo`` holds objectives by KPI (``{"latency_p95": 4000}``, of a slice ``{"latency_p95@feature=chat": 2500}``), ``metrics``
    those of ``lm.metric``; ``composite`` and ``satisfaction`` are weights, ``good`` the score and the value (0 to 1) that make
    an answer good. ``beside`` fills ``versions``, ``alerts``, ``promoted`` and ``signals`` ("usual"; signals read the texts of a sample), ``drift`` too ("all"), or
    what functions (obs, plan) give by name; by default nothing. ``judge_map`` (of ``lm.save_map``, or its file) adds what the
    judge's score means in answers that humans pass.

    Weekdays without data in one of the two windows are left out of both. A KPI that the data say nothing of is left out and named
    in a finding, one that cannot be estimated is refused with a reason. An empty store gives a result that says so.
    """  # fmt: skip
    began = time.perf_counter()
    w.zone(tz)
    choose("period", period, BASELINE)
    fb.check_weights(satisfaction or {})
    asked = {"week": _text(week), "against": _text(against), "tz": tz, "where": dict(where or {})}
    asked |= {"baseline": baseline, "period": period, "by": list(by), "slo": dict(slo or {})}
    options = Options(tuple(by), slo or {}, tuple(metrics), jd.COMPOSITE if composite is None else composite,
                      fb.SATISFACTION if satisfaction is None else satisfaction, good, _hooks(beside), _mapped(judge_map))  # fmt: skip
    obs = obs.where(**where) if where else obs
    first, last = data_range(obs)
    window, findings = _choose(obs, week, period, tz, first, last)
    before = _against(window, against, period, tz)
    pinned = pinned_window(baseline, window, tz, period) if baseline else None
    if first is None:
        before = before if week or against else replace(before, label="no week")
        text = "The store holds no spans of the product and no scores: there is nothing to review."
        empty = (Finding("warning", text, 0),)
        return WeeklyResult(name="weekly", headline=text, parameters=asked, findings=empty, week=window, against=before,
                            provenance=provenance(obs, window.json(), began))  # fmt: skip
    plan = plan_days(window, before, tz=tz, period=period, pinned=pinned)
    result = _compute(obs, plan, first, last, asked, findings, options)
    result.provenance.update(provenance(obs, window.json(), began))
    return result


def _compute(
    obs, plan: Plan, first: datetime, last: datetime, asked: dict, findings: list[Finding], options: Options
) -> WeeklyResult:
    with ExitStack() as stack:
        told, seen = logged(obs, plan), jd.survey(obs)
        extra = fb.feedback(obs, seen, told, options.satisfaction)
        kept = traces.keep(stack, obs, plan, told, by=options.by, own=options.metrics, events=extra.sql, more=extra.kpis)
        scores = jd.keep(stack, obs, plan, seen, composite=options.composite, good=options.good, mapped=options.mapped)
        daily = volumes.daily(obs)
        busy = {d: Activity(r["first"], r["last"]) for d, r in (daily or (jd.busy_days(obs) if scores.kpis else {})).items()}
        plan = keep_covered(plan, busy, first, last)
        made = slices.slices(obs, options.by)
        times.keep(stack, obs, plan, told, slices.conditions(made))
        ratios = [(k.x, k.n, k.once) for k in kept.kpis]
        found, judged = moments(obs, plan, traces.TRACES, ratios), jd.measured(obs, plan, scores)
        reviews, answers = _reviews(obs, plan, daily, kept.kpis, found, scores, judged, made)
        shown, absent = _there(reviews)
        shown = _split(stack, obs, plan, kept.kpis, scores, shown)
        shown = _with_slos(judge(shown), options.slo)
        classes, examples = reading.new_errors(obs, plan, busy), reading.exemplars(obs, plan, shown, scores)
        absent = tuple(dict.fromkeys((*kept.absent, *absent)))
        notes = findings_of(obs, plan, daily, absent, scores.told, made, seen.names)
        errors = found.get((0, next(i for i, k in enumerate(kept.kpis) if k.key == ("error_rate", "all"))), {})
        tables = {
            "daily": frames.daily(plan, errors), "latency": frames.latency(plan, answers), "cost": frames.cost(obs, plan),
            "quality": frames.quality(plan, scores, judged), "new_error_classes": classes,
        }  # fmt: skip
        others, refused = asked_beside(obs, plan, options.beside)
        first = reading.reading_list(classes, examples, shown)
        urls = reading.urls(obs, plan, [*first, *(t for c in classes for t in c["traces"]), *reading.named(others)])
    return WeeklyResult(
        name="weekly", headline=say.headline(plan.week.label, plan.against.label, shown), parameters=asked,
        findings=(*findings, *notes, *refused), week=plan.week, against=plan.against, baseline=plan.pinned, reviews=shown,
        kpis=say.kpi_frame(shown), reading_list=first, exemplars=examples, absent=absent,
        urls=urls, beside=others, **{name: frame(name, rows) for name, rows in tables.items()},
    )  # fmt: skip


def _mapped(judge_map: Mapping | str | None) -> tuple[str, str] | None:
    """The score of a map and the map as SQL."""
    if not judge_map:
        return None
    from ..calibration.maps import load_map, map_sql

    found = judge_map if isinstance(judge_map, Mapping) else load_map(judge_map)
    return str(found.get("score", "")), map_sql(found)


def _hooks(beside: Mapping[str, Callable] | str | None) -> Mapping[str, Callable]:
    if not isinstance(beside, str):
        return beside or {}
    from .company import ALL, USUAL

    choose("beside", beside, ["usual", "all"])
    return ALL if beside == "all" else USUAL


def asked_beside(obs, plan: Plan, hooks: Mapping[str, Callable]) -> tuple[dict[str, object], list[Finding]]:
    """What other analyses put beside the KPIs: each hook gets (obs, plan) and gives what its field holds.

    One that refuses leaves its field empty, and a finding says why.
    """
    out, notes = {}, []
    for name, hook in dict(hooks).items():
        try:
            out[name] = hook(obs, plan)
        except LlmobsError as error:
            notes.append(Finding("warning", f"{name}: {terminal(error, 300)}"))
    return out, notes


def _reviews(
    obs, plan: Plan, daily, kpis: Sequence[Kpi], found: Found, scores: jd.Judged, judged: Found, made: Sequence[slices.Slices]
) -> tuple[list[Review], dict[tuple[str, int], Estimate]]:
    """Every KPI reviewed by itself, and the quantiles by KPI and group."""
    totals = volumes.totals(obs, plan)
    out = [review_volume(kpi, plan, daily, totals) for kpi in VOLUMES]
    quantiles, answers = _quantiles(obs, plan, made)
    ratios = [review_ratio(k, plan, found.get((0, i), {})) for i, k in enumerate(kpis)]
    out = [*out[:3], *ratios, *quantiles, out[3], _cost_per_user(obs, plan)]
    out += [jd.review(kpi, plan, judged, key) for key, kpi in scores.kpis.items()]
    if scores.good is not None:
        per = next(r for r in ratios if r.kpi.name == "cost_per_request")
        good = next(r for r in out if r.kpi.name == "good_rate")
        out.append(review_quotient(GOOD_COST, plan, per, good))
    return [*out, *outside.reviews(obs, plan), *slices.reviews(obs, plan, made, scores)], answers


def _quantiles(obs, plan: Plan, made: Sequence[slices.Slices]) -> tuple[list[Review], dict[tuple[str, int], Estimate]]:
    below = times.below(obs, plan, times.thresholds(obs))
    wanted = [*((k, times.KEYS[k.stage]) for k in QUANTILES), *slices.times(made)]
    asked = {
        (kpi.key, key): ask_quantiles(kpi, plan, key, below.get((key, times.LEVELS.index(kpi.p)), {}), times.groups(plan, key))
        for kpi, key in wanted
    }
    values = times.order_statistics(obs, plan, [rank for one in asked.values() for a in one for rank in a.ranks()])
    answers = {(kpi.key, a.group): a.estimate(values) for kpi, key in wanted for a in asked[kpi.key, key]}
    reviews = [review_quantile(kpi, plan, {g: e for (at, g), e in answers.items() if at == kpi.key}) for kpi, _ in wanted]
    return reviews, {(name, g): e for ((name, part), g), e in answers.items() if part == "all"}


def _cost_per_user(obs, plan: Plan) -> Review:
    source = f"(SELECT * FROM {traces.TRACES} WHERE user_id IS NOT NULL) t"
    kpi = COST_PER_USER
    found = moments(obs, plan, source, [(kpi.x, kpi.n, kpi.once)], cluster="user_id")
    return review_ratio(kpi, plan, found.get((0, 0), {}), covariance=volumes.shared_users(obs, plan))


def _there(reviews: Sequence[Review]) -> tuple[list[Review], list[str]]:
    """The reviews with any data, and the names of the others."""
    there = [r for r in reviews if r.n or r.kpi.name == "requests"]
    names = [r.kpi.label.removesuffix(f" p{100 * r.kpi.p:g}") for r in reviews if not r.n and r.slice == "all"]
    return there, [n for n in names if n != "Requests"]


def _split(stack: ExitStack, obs, plan: Plan, kpis: Sequence[Kpi], scores: jd.Judged, reviews: Sequence[Review]) -> list[Review]:
    """The reviews with their changes split into mix and within where traffic has parts."""
    changed = {r.kpi.key for r in reviews if r.change.ok}
    plain = [k for k in kpis if k.key in changed and not k.once]
    columns = [(k.x, k.n, False) for k in plain]
    relative = {(0, i): k.change_kind == "relative" for i, k in enumerate(plain)}
    found = {plain[i].key: p for (_, i), p in mix.parts(stack, obs, plan, CELLS, traces.TRACES, columns, relative).items()}
    judged = {(key, 0): False for key, k in scores.kpis.items() if k.key in changed}
    if judged:
        by_score = mix.parts(stack, obs, plan, SCORE_CELLS, jd.JUDGED, jd.columns(scores)[:1], judged, key="key")
        found |= {scores.kpis[key].key: p for (key, _), p in by_score.items()}
    return [replace(r, mix=found[r.kpi.key].mix, within=found[r.kpi.key].within) if r.kpi.key in found else r for r in reviews]


def _with_slos(reviews: Sequence[Review], slo: Mapping[str, float]) -> tuple[Review, ...]:
    known = {r.kpi.name if r.slice == "all" else f"{r.kpi.name}@{r.slice}" for r in reviews}
    for name in slo:
        if name not in known:
            shown = ", ".join(sorted(k for k in known if "@" not in k))
            raise UsageError(
                f"slo: {name!r} is no KPI of this page; choose from: {shown}, of a slice as latency_p95@feature=chat"
            )
    return tuple(with_slo(r, slo.get(r.kpi.name if r.slice == "all" else f"{r.kpi.name}@{r.slice}")) for r in reviews)


def _choose(obs, week, period: str, tz: str, first: datetime | None, last: datetime | None) -> tuple[Window, list[Finding]]:
    if week is not None:
        return named(week, period, tz), []
    if first is None:
        return replace(w.week_of(date(1970, 1, 1), tz), label="no week"), []
    chosen = calendar(w.local_date(last, tz), period, tz)
    if last < w.blocks(chosen, tz)[-1].start:
        before = last_start_before(obs, chosen.start)
        chosen = None if before is None else calendar(w.local_date(before, tz), period, tz)
    if chosen is not None and (first < w.blocks(chosen, tz)[0].end or period != "week"):
        return chosen, []
    if period != "week":
        return calendar(w.local_date(last, tz), period, tz), []
    end = last + timedelta(microseconds=1)
    start = w.back(Window(end, end), 1, tz).start
    text = "no ISO week is complete in the data: the last seven days of data stand in for one"
    return Window(start, end, w.ending(start, end, tz)), [Finding("warning", text, 1)]


def _against(window: Window, against, period: str, tz: str) -> Window:
    if against is None:
        return earlier(window, 1, tz, period)
    chosen = named(against, period, tz)
    if chosen.start < window.end and window.start < chosen.end:
        raise UsageError(f"against={chosen.label} overlaps week={window.label}; choose another {period} to compare with")
    return chosen


def _text(week) -> str | None:
    return None if week is None else week if isinstance(week, str) else week.isoformat()
