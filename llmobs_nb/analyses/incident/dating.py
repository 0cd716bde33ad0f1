"""Since when: the day from the slice's own series, then the hour, with an interval; and until when."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from scipy.special import logsumexp

from ...columns import literal
from ...stats import changes
from ...stats.contrast import adjusted
from ..reductions import rows
from .axes import CODED
from .result import Onset
from .suspects import where_sql
from .theories import FINGERPRINTS, Room, Theory

LEVEL = 0.95
NEAR = 6  # days that the search and the series of the slice may differ
SHORT_DAYS = 3.0
GAPS = 6
HOURS_MORE = 3  # on either side of what the likelihood of hours says: rows of an hour go together
DISPERSION = 1.6  # rows of an hour go together: the likelihood is taken as that much weaker


def date(room: Room, theory: Theory) -> tuple[Onset, datetime | None]:
    """Onset and end of a theory."""
    if room.plan.onset is not None and not (room.plan.windows and theory.suspect is not None):
        at = room.plan.onset
        return Onset(at, at, at, "step" if theory.end is None else "burst"), _end(room.plan, theory.end)
    if theory.suspect is not None and theory.suspect.at is not None:
        return _of_suspect(room, theory)
    return _of_lead(room, theory)


def _of_suspect(room: Room, theory: Theory) -> tuple[Onset, datetime | None]:
    """What was logged is known to the moment: the first trace that has it.

    It began between the trace before and that one: as early as a few of the gaps between the first marked traces; a rollout
    reaches few at first.
    """
    s, plan = theory.suspect, room.plan
    shape, spread = "step", max(timedelta(days=1), GAPS * _gap(room, theory))
    if s.wording is not None and s.wording.column != "system_prompt":
        spread += timedelta(days=1)  # people and models do not begin to use words at once
    if s.flag is not None:
        n, k = theory.sums[:2, s.flag, s.day :]
        share = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
        full = share[n > 0]
        if len(full) >= 6 and full[1:4].mean() < 0.6 * max(full[-max(3, len(full) // 3) :].mean(), 1e-9):
            shape, spread = "ramp", max(timedelta(days=3), spread)
    end = None if s.end is None else plan.at(s.end)
    if end is not None and end - s.at < timedelta(days=SHORT_DAYS):
        shape = "burst"
    return Onset(s.at, s.at - min(spread, timedelta(days=5)), s.at + timedelta(hours=1), shape), end


def _gap(room: Room, theory: Theory) -> timedelta:
    """The usual time between two of the first traces that have it."""
    s = theory.suspect
    marked = where_sql(theory.label) + (f" AND m{s.flag} = 1" if s.flag is not None else "")
    sql = f"SELECT started FROM {CODED} WHERE {marked} AND started >= TIMESTAMPTZ {literal(s.at.isoformat())} ORDER BY started LIMIT 6"
    found = rows(room.counter.obs, sql)
    return (found[-1]["started"] - s.at) / (len(found) - 1) if len(found) > 1 else timedelta(days=1)


def _of_lead(room: Room, theory: Theory) -> tuple[Onset, datetime | None]:
    plan, theory = room.plan, replace(theory, metric=_clearest(room, theory))
    if theory.hours is not None:
        return _of_burst(room, theory)
    series = adjusted(room.cells(theory.sums, theory.metric), 0, shock=room.shock(theory.metric))
    found = changes.find(series, draws=2)
    if found is None or abs(found.onset - theory.day) > NEAR:
        low, high, shape, end = theory.day - 1, theory.day + 1, "step", theory.end
        start = theory.day
    else:
        start, low, high, shape, end = found.onset, found.low, found.high, found.shape, found.end
    if shape == "ramp":
        return Onset(plan.at(start + 0.5), plan.at(low - 1), plan.at(high + 2), shape), None
    return _by_hour(room, theory, start, low, high, end)


def _clearest(room: Room, theory: Theory) -> int:
    """The fingerprint of the theory's kind, where it is seen more clearly than the metric that was found; else that metric."""
    own = abs(theory.lead.z) if theory.lead else 0.0
    best = (own, theory.metric)
    for name, sign, kind, _ in FINGERPRINTS:
        i = room.names.get(name)
        if kind == theory.kind and i in theory.tests and theory.tests[i][2].ok and theory.tests[i][2].se:
            best = max(best, (sign * theory.tests[i][2].value / theory.tests[i][2].se, i))
    return best[1]


def _by_hour(room: Room, theory: Theory, start: int, low: int, high: int, end: int | None) -> tuple[Onset, datetime | None]:
    """The hour of a step or burst: likelihood of every hour of the interval, means and spread of either side as they are."""
    plan = room.plan
    first, last = max(low - 1, 0), min(max(high, start) + 2, plan.days)
    inside = (start, end if end is not None else plan.days)
    n, s = _hours(room, theory, first, last)
    before, after, spread = _levels(room, theory, inside)
    if not spread or before == after:
        return Onset(plan.at(start), plan.at(low), plan.at(high + 1), "burst" if end else "step"), _end(plan, end)
    gain = _gain(n, s, before, after, spread) / DISPERSION
    at, onset = _likeliest(plan, first, np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]]))
    until, shape = _end(plan, end), "step"
    if end is not None:
        until = _end_hour(room, theory, 24 * first + at, end, before, after, spread)
        shape = "burst" if until - onset[0] < timedelta(days=SHORT_DAYS) else "step"
    return Onset(*onset, shape), until


def _likeliest(plan, first: int, likelihood: np.ndarray) -> tuple[int, list[datetime]]:
    """Of the log likelihood that it began in each hour from a day on: the likeliest hour; its time, and the interval's."""
    weight = np.exp(likelihood - logsumexp(likelihood))
    at, cum = int(weight.argmax()), weight.cumsum()
    lo, hi = int(np.searchsorted(cum, (1 - LEVEL) / 2)), int(np.searchsorted(cum, 1 - (1 - LEVEL) / 2))
    return at, [plan.at(first + h / 24) for h in (at, min(lo, at) - HOURS_MORE, max(hi, at) + HOURS_MORE)]


def _of_burst(room: Room, theory: Theory) -> tuple[Onset, datetime | None]:
    """A burst of hours: for every hour that it may have begun in, the likeliest hour that it ended in."""
    plan, (begin, stop) = room.plan, theory.hours
    first, last = max(theory.day - 1, 0), min(theory.end + 1, plan.days)
    n, s = _hours(room, theory, first, last)
    before, _, spread = _levels(room, theory, (theory.day, theory.end))
    inside = slice(begin - 24 * first, stop - 24 * first)
    after = s[inside].sum() / max(n[inside].sum(), 1)
    if not spread or before == after or (spread < 0 and after <= 0):
        return Onset(*(plan.at(h / 24) for h in (begin, begin - 4, begin + 4)), "burst"), plan.at(stop / 24)
    sofar = np.concatenate(
        [[0.0], np.cumsum(_gain(n, s, before, min(after, 1 - 1e-4) if spread < 0 else after, spread) / DISPERSION)]
    )
    reached = np.maximum.accumulate(sofar[:0:-1])[::-1]
    at, onset = _likeliest(plan, first, reached - sofar[:-1])
    return Onset(*onset, "burst"), plan.at(first + (at + 1 + int(sofar[at + 1 :].argmax())) / 24)


def _end(plan, end: int | None) -> datetime | None:
    return None if end is None else plan.at(end)


def _end_hour(room: Room, theory: Theory, begin: int, end: int, before: float, after: float, spread: float) -> datetime:
    """The likeliest hour in which it was over, later than the hour ``begin`` in which it began."""
    first, last = max(end - 2, begin // 24), min(max(end, begin // 24) + 1, room.plan.days)
    n, s = _hours(room, theory, first, last)
    began = max(begin - 24 * first, 0)
    sofar = np.cumsum(np.append(_gain(n, s, before, after, spread)[began:], 0.0))
    return room.plan.at(first + (began + 1 + int(sofar.argmax())) / 24)


def _gain(n, s, before: float, after: float, spread: float) -> np.ndarray:
    """Log likelihood of each hour's rows at the later level over that at the earlier one (normal rows, or 0 and 1)."""
    if 0 < before < 1 and 0 < after < 1 and spread < 0:
        return s * math.log(after / before) + (n - s) * math.log((1 - after) / (1 - before))
    return ((after - before) * s - n * (after**2 - before**2) / 2) / abs(spread)


def _levels(room: Room, theory: Theory, inside: tuple[int, int]) -> tuple[float, float, float]:
    """Mean before, mean inside, variance of rows (negative for a rate, whose rows are 0 and 1)."""
    n, s, q = theory.sums[:, theory.metric]
    mask = np.zeros(len(n), bool)
    mask[inside[0] : inside[1]] = True
    core = mask.copy()
    if inside[1] - inside[0] > 3:
        core[inside[0]] = False
    if not n[core].sum() or not n[~mask].sum():
        return 0.0, 0.0, 0.0
    before, after = s[~mask].sum() / n[~mask].sum(), s[core].sum() / n[core].sum()
    if room.plan.metrics[theory.metric].kind == "rate":
        before, after = (min(max(p, 1e-4), 1 - 1e-4) for p in (before, after))
        return float(before), float(after), -1.0
    variance = (q[~mask].sum() - s[~mask].sum() ** 2 / n[~mask].sum()) / n[~mask].sum()
    return float(before), float(after), float(max(variance, 1e-12))


def _hours(room: Room, theory: Theory, first: int, last: int) -> np.ndarray:
    """Counts and sums of the metric per hour of some days (2 × hours)."""
    i = theory.metric
    out = np.zeros((2, (last - first) * 24))
    sql = f"""SELECT hour - {first * 24} AS h, count(m{i}) AS n, sum(m{i}) AS s FROM {CODED}
        WHERE {where_sql(theory.label)} AND day >= {first} AND day < {last} GROUP BY 1"""
    for r in rows(room.counter.obs, sql):
        if r["n"]:
            out[:, int(r["h"])] = r["n"], r["s"]
    return out
