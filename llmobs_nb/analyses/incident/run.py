"""``lm.incident``: from a store to the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from threadpoolctl import threadpool_limits

from ...errors import UsageError, choose
from ...windows import parse_since, two_times
from ..result import Finding, provenance
from . import axes as ax
from . import traces as tr
from . import wording as wo
from .answer import answer
from .cube import Counter, build
from .expectations import differing, find_expected
from .leads import HOURS, find_leads
from .memory import recognise
from .outside import outside
from .result import IncidentResult
from .suspects import find_suspects
from .theories import Room, of_suspects
from .watched import REFUSAL, TONE, Metric


def incident(
    obs,
    *,
    metric: str = "auto",
    metrics: Sequence[Metric] = (),
    onset: Any = None,
    before: Any = None,
    after: Any = None,
    tz: str = "UTC",
    where: dict[str, Any] | None = None,
    expected: Mapping[str, Any] | str | None = None,
) -> IncidentResult:
    """What became worse in the last eight weeks, since when, for whom, because of what; or that nothing did.

    ``metric`` is ``auto`` (all scores, errors, latency, cost, tokens, retrieval, guardrails, refusals, tone) or the name of one;
    ``metrics`` are own ones that are watched too (:func:`metric`). ``onset`` is a time (ISO text, datetime) when it is known.
    ``before`` and ``after`` are windows (``2026-10-01/2026-10-14`` or two times) to be compared instead: a baseline pinned to the
    launch, the first fortnight of a prompt. ``where`` looks at some traffic only. ``expected`` says what should be live, such as
    ``{"model": "gpt-4o-2026-08-06", "prompt_version": {"support": "v12"}}``: findings and checklist tell what is not. The search
    over slices, days and metrics pays for all that it tried: of quiet weeks about one in a hundred is called an incident.
    ``not_enough_evidence`` says what could have been seen. Raises UsageError for a metric that is not there, an onset outside of
    the data, a window that is none, an expectation that cannot be read.
    """
    began = time.perf_counter()
    asked = {"metric": metric, "onset": str(onset) if onset else None, "tz": tz, "where": where or {}}
    asked |= {name: str(w) for name, w in (("before", before), ("after", after)) if w}
    asked |= {"expected": expected} if expected else {}
    live = find_expected(obs, expected)
    obs = obs.where(**where) if where else obs
    windows = {"before": _window("before", before, tz), "after": _window("after", after, tz)}
    plan = tr.make_plan(obs, **windows, metrics=tuple(metrics), expected=live)
    if plan is None:
        text = "The store holds no spans of the product: there is nothing to look at."
        return IncidentResult(name="incident", headline=text, parameters=asked, findings=(Finding("warning", text),))
    plan = _narrowed(plan, metric, onset, tz)
    # The matrices are small: threads of the linear algebra would only wait for each other.
    with ExitStack() as kept, threadpool_limits(1, user_api="blas"):
        result = answer(_room(obs, plan, kept))
    result = replace(result, others=(*result.others, *outside(obs, plan)))
    seen = recognise(result, obs.store)
    if seen is not None:
        result = replace(result, headline=f"{result.headline} Known: {seen.words}.", known=seen.words)
    seconds = time.perf_counter() - began
    return replace(
        result,
        parameters=asked,
        provenance=provenance(obs, {"start": plan.start.isoformat(), "end": plan.end.isoformat()}, began),
        findings=(*_findings(plan), *differing(obs, plan)),
        seconds=seconds,
    )


def _window(name: str, value: Any, tz: str) -> tuple[datetime, datetime] | None:
    """Two times, or ISO text with a slash between them; a date as the end is whole."""
    if not value:
        return None
    times = two_times(value, tz)
    if times is None:
        raise UsageError(
            f"{name}={value!r} is no window; give two times with a slash between them, such as 2026-10-01/2026-10-14"
        )
    return times


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _narrowed(plan: tr.Plan, metric: str, onset: Any, tz: str) -> tr.Plan:
    if metric != "auto":
        choose("metric", metric, ["auto", *(m.name for m in (*plan.metrics, REFUSAL, TONE))])
        plan = replace(plan, chosen=metric)
    if onset:
        at = onset if isinstance(onset, datetime) else parse_since(str(onset), tz=tz)
        at = _aware(at)
        if not plan.start < at < plan.end:
            raise UsageError(
                f"onset={onset!r} is outside of the data; give a time between {plan.start:%Y-%m-%d} and {plan.end:%Y-%m-%d}"
            )
        plan = replace(plan, onset=at)
    return plan


def _room(obs, plan: tr.Plan, kept: ExitStack) -> Room:
    """Everything that the answer is made of, computed once."""
    kept.enter_context(obs.kept(tr.RAW, tr.raw_sql(plan)))
    with ThreadPoolExecutor(1) as beside:  # reads words while the engine counts
        found = beside.submit(wo.find_wordings, wo.read_texts(obs))
        axes = ax.find_axes(obs, plan)
        expected = ax.expect(obs, plan, axes)
        wordings = found.result()
    first = len(plan.metrics)
    plan = replace(plan, metrics=plan.metrics + wo.metrics(wordings))
    kept.enter_context(obs.kept(wo.TEXTS, wo.texts_sql(wordings, first)))
    kept.enter_context(obs.kept(ax.CODED, ax.coded_sql(plan, axes, expected)))
    counter = Counter(obs, plan, axes)
    cube = build(counter, {i: e.skew for i, e in expected.of.items()})
    fine = Counter(obs, plan, axes, HOURS)
    with ThreadPoolExecutor(1) as beside:  # counts by hours while the days are searched
        hours = beside.submit(build, fine, cube.skew)
        leads = find_leads(counter, cube, hours.result)
    room = Room(counter, cube, leads, fine, hours.result())
    room.judged = set(expected.judged)
    room.suspects = of_suspects(room, find_suspects(counter, cube, wordings))
    return room


def _findings(plan: tr.Plan) -> tuple[Finding, ...]:
    out = []
    if plan.environments:
        names = ", ".join(plan.environments)
        out.append(Finding("info", f"not production, left out: environment {names}", len(plan.environments)))
    if plan.days < 14:
        out.append(
            Finding(
                "warning",
                f"{plan.days} {'day' if plan.days == 1 else 'days'} of data: slices are searched from 14 days on",
                plan.days,
            )
        )
    return tuple(out)
