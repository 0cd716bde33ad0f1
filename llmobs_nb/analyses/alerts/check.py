"""``lm.check``: every rule at one moment, what was known before, and the alerts that go out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import numpy as np

from ...errors import LockedError, StoreError
from ...store.store import Store
from ...text import terminal
from ...windows import parse_since
from ..reductions import data_range
from ..result import Finding, provenance
from . import state as memory
from .deliver import deliver
from .evaluate import Reading, held, read
from .reduce import Reducer, expand
from .result import ORDER, CheckResult, Row, headline, shown
from .rules import SEVERITIES, Rule, read_rules
from .state import Outcome
from .sums import Sums

STALE = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class Looked:
    """One rule, its sums, its reading, and which by-values have held for as long as the rule wants."""

    rule: Rule
    sums: Sums
    reading: Reading
    firing: np.ndarray

    def holds(self, k: int) -> bool | None:
        """Whether the condition of a by-value is met; None where nothing can be said, unless the rule fires then."""
        if not self.reading.known[k]:
            return True if self.rule.no_data == "firing" else None
        return bool(self.firing[k])


def check(obs, rules: Any = None, *, at: Any = None, state: bool = True, out: TextIO | None = None) -> CheckResult:
    """Evaluate alert rules at a moment and tell what fires; alerts go out by the routes of their rules, once per incident.

    ``rules`` is a YAML file, a dict, a list of dicts, or a preset (``default``, ``seeds``, ``events`` or one rule of ours); see
    :func:`read_rules`. ``at`` is an ISO time, an age such as ``6h``, or ``now``; by default the end of the data, so that an
    archive gives the answer of its last day; a schedule says ``now``. ``state=False``, a store that cannot be written and an ``at``
    before the last check evaluate only: nothing is remembered and nothing is sent. ``out`` takes what the routes stdout and json print.

    A rule without enough rows or baseline is ``no_data``, and as its policy says. Raises UsageError for rules that are not understood.
    """
    began = time.perf_counter()
    checked = read_rules(rules)
    moment, findings = _moment(obs, at)
    obs = obs.between(until=moment) if at is not None else obs
    ready, unmet = expand(obs, checked, moment - max(r.reach for r in checked))
    findings += [Finding("info", text, 0) for text in unmet]
    reducer = Reducer(obs, ready, moment, _reach(ready, moment))
    with reducer.open():
        looked = [_look(rule, reducer) for rule in ready]
        findings += [_left(one) for one in looked if one.sums.left]
        outcomes = [o for one in looked for o in _outcomes(one)]
        told, due, more = _remembered(obs, outcomes, moment, keep=state)
        rows = _rows(looked, told, reducer)
    findings += more
    if due:
        findings += deliver(Store(obs.store), {r.name: r for r in ready}, due, rows, out=out)
    warned = tuple(r.rule for r in rows if r.state == "no_data" and _policy(ready, r.rule) == "warn")
    asked = {"rules": [r.name for r in checked], "at": moment.isoformat(), "state": state}
    return CheckResult(
        name="check", headline=headline(rows, len(ready)), parameters=asked, findings=tuple(findings), at=moment, rows=rows, warned=warned,
        provenance=provenance(obs, {"label": "check", "start": reducer.start.isoformat(), "end": moment.isoformat()}, began),
    )  # fmt: skip


def _moment(obs, at: Any) -> tuple[datetime, list[Finding]]:
    """When to look, and what is worth saying of it."""
    now = datetime.now(UTC)
    if at is not None:
        return (now if at == "now" else parse_since(at, now=now)), []
    last = data_range(obs)[1]
    if last is None:
        return now, [Finding("warning", "the store holds no spans of the product and no scores: no rule has data", 0)]
    moment = last + timedelta(microseconds=1)
    if now - moment <= STALE:
        return moment, []
    age = (now - moment).days
    return moment, [
        Finding(
            "warning",
            f"the newest data are {age} day{'s' * (age != 1)} old: checked as of {moment:%Y-%m-%d %H:%M} UTC; at='now' checks as of now",
            age,
        )
    ]


def _reach(rules: Sequence[Rule], moment: datetime) -> timedelta:
    """How far back any rule looks, pinned baselines included."""
    pinned = [moment - r.compare.baseline.pinned[0] for r in rules if r.compare.baseline and r.compare.baseline.pinned]
    return max([*(r.reach for r in rules), *pinned, timedelta(days=1)])


def _look(rule: Rule, reducer: Reducer) -> Looked:
    sums = reducer.sums(rule)
    bins = reducer.bins(rule.width)
    reading = read(rule, sums, bins)
    firing = reading.holds
    if rule.hold and firing.any():
        firing = held(rule, sums, bins) > rule.hold // rule.width
    return Looked(rule, sums, reading, firing)


def _left(one: Looked) -> Finding:
    by, left = " and ".join(one.rule.by), one.sums.left
    return Finding("info", f"rule {one.rule.name}: {left:,} values of {by} beyond the first 50 are not looked at", left)


def _outcomes(one: Looked) -> list[Outcome]:
    """One per by-value, the clearest first, so that the first of them names the alert."""
    r, rule = one.reading, one.rule
    order = np.argsort(-np.nan_to_num(r.statistic, nan=-np.inf), kind="stable")
    names = tuple(route.name for route in rule.routes)
    return [
        Outcome(rule.name, one.sums.keys[k], one.holds(k), shown({"v": float(r.value[k])})["v"], rule.cooldown, names)
        for k in order
    ]


def _remembered(
    obs, outcomes: list[Outcome], at: datetime, *, keep: bool
) -> tuple[list[Outcome], list[memory.Known], list[Finding]]:
    """The outcomes as shown, what must be sent, and why nothing was remembered where that is so."""
    alone = lambda: memory.step({}, outcomes, at)[1]  # noqa: E731
    if not keep:
        return alone(), [], []
    held = Store(obs.store)
    try:
        before = memory.recall(obs.store)
        latest = max((k.at for k in before.values()), default=at)
        if latest > at:
            return (
                alone(),
                [],
                [
                    Finding(
                        "warning",
                        f"a check of {latest:%Y-%m-%d %H:%M} UTC was made already: this one of an earlier moment is not remembered, nothing is sent",
                        1,
                    )
                ],
            )
        gone = _gone(before, outcomes)
        told, due = memory.remember(held, [*outcomes, *gone], at, datetime.now(UTC))
        return told, due, []
    except LockedError:
        raise
    except (StoreError, OSError) as error:
        why = terminal(error.strerror if isinstance(error, OSError) else error, 300)
        return (
            alone(),
            [],
            [Finding("warning", f"the store cannot be written: alerts are not remembered, and not sent ({why})", 1)],
        )


def _gone(before: Mapping[tuple, memory.Known], outcomes: list[Outcome]) -> list[Outcome]:
    """By-values that fired and are no longer among those looked at: over."""
    here, rules = {(o.rule, o.by) for o in outcomes}, {o.rule: o for o in outcomes}
    lost = [k for id, k in before.items() if k.state == "firing" and id not in here and k.rule in rules]
    return [Outcome(k.rule, k.by, False, None, rules[k.rule].cooldown, k.routes) for k in lost]


def _rows(looked: Sequence[Looked], told: Sequence[Outcome], reducer: Reducer) -> tuple[Row, ...]:
    """Of a rule with a split the by-values that are not in order, or its worst one where all are."""
    of: dict[str, list[Outcome]] = {}
    for one in told:
        of.setdefault(one.rule, []).append(one)
    out = []
    for one in looked:
        mine = of.get(one.rule.name, [])
        loud = [o for o in mine if o.state in ("firing", "resolved", "cooldown")]
        out += [_row(one, o, reducer) for o in loud or mine[:1]] or [_silent(one)]
    place = lambda r: (ORDER.index(r.state), -SEVERITIES.index(r.severity))  # noqa: E731
    return tuple(sorted(out, key=place))


def _silent(one: Looked) -> Row:
    rule = one.rule
    return Row(rule.name, rule.severity, "no_data", rule.metric, rule.measure.unit, detail=one.reading.reason or one.sums.missing,
               runbook=rule.runbook, owner=rule.owner)  # fmt: skip


def _row(one: Looked, outcome: Outcome, reducer: Reducer) -> Row:
    rule, r = one.rule, one.reading
    k = one.sums.keys.index(outcome.by) if outcome.by in one.sums.keys else None
    base = {
        "rule": rule.name, "severity": rule.severity, "state": outcome.state, "metric": rule.metric, "unit": rule.measure.unit,
        "by": dict(zip(rule.by, outcome.by, strict=True)), "since": outcome.since, "runbook": rule.runbook, "owner": rule.owner,
    }  # fmt: skip
    if k is None:
        return Row(**base, detail="no longer among the values looked at")
    numbers = shown({name: float(getattr(r, name)[k]) for name in ("value", "threshold", "baseline")})
    z = shown({"z": float(r.statistic[k])})["z"] if rule.compare.kind == "anomaly" and rule.compare.method != "ks" else None
    base |= {"n": int(r.n[k]), "z": z, "detail": _detail(one, k), "traces": _traces(one, k, outcome, reducer)}
    return Row(**base, **numbers)


def _detail(one: Looked, k: int) -> str | None:
    r = one.reading
    if r.new:
        return f"new: {', '.join(terminal(n, 80) for n in r.new[:5])}" + (f" and {len(r.new) - 5} more" if len(r.new) > 5 else "")
    if not r.known[k]:
        return r.reason or f"{r.n[k]:,.0f} of the {one.rule.least:,} rows that it needs, or no baseline"
    if r.days is not None and one.rule.compare.method == "robust" and np.isfinite(r.days[k]):
        return f"last {r.days[k]:.0f} day{'' if r.days[k] == 1 else 's'}"
    return None


def _traces(one: Looked, k: int, outcome: Outcome, reducer: Reducer) -> tuple[str, ...]:
    if outcome.state != "firing" or one.sums.missing:
        return ()
    rule, r = one.rule, one.reading
    back = timedelta(days=float(r.days[k])) if r.days is not None and np.isfinite(r.days[k]) else rule.window
    low = reducer.end - back
    if r.new:
        return tuple(reducer.event_examples(rule, r.new[0], low))
    return tuple(reducer.examples(rule, one.sums.keys[k], low))


def _policy(rules: Sequence[Rule], name: str) -> str:
    return next(r.no_data for r in rules if r.name == name)
