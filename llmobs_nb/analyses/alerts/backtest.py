"""``lm.backtest``: alert rules and spending caps over the history of a store, day by day, each day from what lay before it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ...columns import literal
from ...errors import UsageError
from ...stats.counts import rate_per
from ...stats.estimate import Estimate, finite
from ...text import terminal
from ...windows import parse_since
from ..incident.watched import SCORE, score_of
from ..reductions import data_range, rows
from ..result import Finding, Result, claim, plain, provenance
from .caps import read_caps, replay_caps
from .reduce import TRACES, Reducer, expand
from .replay import Replay, replay
from .rules import Rule, read_rules

MONTH = 30.4375
ALARMS = ("rule", "by", "at", "value", "false", "onset", "delay_days")
RULES = ("rule", "severity", "days", "alarms", "false_alarms", "false_per_month", "low", "high", "detected", "onsets", "delay_days", "threshold", "suggested")  # fmt: skip
CAPS = ("cap", "requests", "requests_cut", "who_cut", "spent_usd", "saved_usd", "who")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BacktestResult(Result):
    """Tidy frames.

    ``alarms``: one row per alarm (by-values that begin together are one): rule, by, at, value, false, onset, delay_days. ``rules``: one
    row per rule: days judged, alarms, false alarms and their rate a month with its exact interval, of ``onsets`` how many detected,
    median delay in days, threshold, and the ``suggested`` one. ``caps``: one row per cap.
    """

    alarms: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(ALARMS)))
    rules: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(RULES)))
    caps: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CAPS)))

    def json(self) -> dict:
        """Headline and the three tables."""
        return super().json() | {name: plain(getattr(self, name)) for name in ("alarms", "rules", "caps")}

    def claims(self) -> list[dict]:
        """False alarms a month of each rule, and what each cap would have saved."""
        out = []
        for row in self.rules.itertuples():
            rate = Estimate(finite(row.false_per_month), finite(row.low), finite(row.high), int(row.alarms))
            if rate.ok:
                out.append(
                    claim(
                        f"backtest:{row.rule}",
                        f"False alarms a month of {row.rule}",
                        rate,
                        unit="count",
                        how="exact Poisson interval",
                    )
                )
        for k, row in enumerate(self.caps.itertuples()):
            saved = Estimate(float(row.saved_usd), None, None, int(row.requests))
            out.append(
                claim(f"backtest:cap{k}", f"Saved by {row.cap}", saved, unit="usd", how="the cap replayed over the requests")
            )
        return out


def backtest(rules: Any, obs, *, truth: Any = None, caps: Any = None, wanted: float = 1.0) -> BacktestResult:
    """Replay rules and caps over all the data of a handle (narrow it with ``obs.between``).

    ``truth`` says what happened: ``quiet``, or a list of incidents, each a start or (start, end); an alarm outside all of them is
    false, the first one inside is the detection. Without it no alarm is called false. ``suggested`` is the lowest threshold that
    leaves at most ``wanted`` false alarms a month (where no truth is given, alarms of any kind). ``caps`` is a list such as
    ``[{"per": "user_id", "usd": 2.0}, {"per": "request", "usd": 0.5}]``. A day ends at midnight UTC. Scores are known only as long
    after their traces as nine in ten of them were given, to the nearest day (hour). Raises UsageError for what is not understood.
    """
    began = time.perf_counter()
    checked, limits, happened = read_rules(rules), read_caps(caps), _truth(truth)
    if not (isinstance(wanted, (int, float)) and wanted >= 0):
        raise UsageError(f"wanted={terminal(wanted, 40)!r} is no rate; give false alarms a month, such as 1")
    first, last = data_range(obs)
    if first is None:
        text = "The store holds no spans of the product and no scores: there is nothing to replay."
        return BacktestResult(
            name="backtest", headline=text, findings=(Finding("warning", text, 0),), provenance=provenance(obs, {}, began)
        )
    end = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    ready, unmet = expand(obs, checked, first)
    replays, findings = _replay(obs, ready, end, end - first)
    alarms = [a for one in replays for a in _alarms(one, happened)]
    table = [_rule(one, [a for a in alarms if a["rule"] == one.rule.name], happened, wanted) for one in replays]
    saved = pd.DataFrame(replay_caps(obs, limits), columns=list(CAPS))
    findings += [Finding("info", text, 0) for text in unmet]
    asked = {"rules": [r.name for r in checked], "truth": plain(truth), "caps": plain(caps), "wanted": wanted}
    return BacktestResult(
        name="backtest", headline=_headline(table, happened, saved), parameters=asked, findings=tuple(findings),
        alarms=pd.DataFrame(alarms, columns=list(ALARMS)), rules=pd.DataFrame(table, columns=list(RULES)), caps=saved,
        provenance=provenance(obs, {"label": "backtest", "start": first.isoformat(), "end": end.isoformat()}, began),
    )  # fmt: skip


def _truth(truth: Any) -> list[tuple[datetime, datetime | None]] | None:
    """Incidents as (start, end or None); [] for a quiet history, None where nobody knows."""
    if truth is None or truth == "quiet":
        return None if truth is None else []
    if not isinstance(truth, (list, tuple)):
        raise UsageError(f"truth={terminal(truth, 60)!r} is not understood; give 'quiet', or a list of starts or (start, end)")
    out = []
    for one in truth:
        start, end = one if isinstance(one, (list, tuple)) and len(one) == 2 else (one, None)
        out.append((parse_since(start), None if end is None else parse_since(end)))
        if out[-1][1] is not None and out[-1][1] <= out[-1][0]:
            raise UsageError(f"truth: an incident ends at {end} and starts at {start}; swap them")
    return out


def _replay(obs, rules: Sequence[Rule], end: datetime, reach: timedelta) -> tuple[list[Replay], list[Finding]]:
    out, findings = [], []
    reducer = Reducer(obs, rules, end, reach)
    with reducer.open():
        for rule in rules:
            sums, lag = reducer.sums(rule), _lag(obs, rule)
            out.append(replay(rule, sums, lag=lag))
            if sums.missing:
                findings.append(Finding("info", f"{rule.name}: {sums.missing}", 0))
            if round(lag / rule.step):
                hours = lag.total_seconds() / 3600
                findings.append(
                    Finding(
                        "info",
                        f"{rule.name}: nine in ten scores are given within {hours:,.0f} h; the replay waits for them",
                        round(hours),
                    )
                )
    return out, findings


def _lag(obs, rule: Rule) -> timedelta:
    """How long after its trace a score is there, nine times in ten; at most a week."""
    if not rule.metric.startswith(SCORE):
        return timedelta()
    name, rater = score_of(rule.measure.metric)
    (row,) = rows(
        obs,
        f"""SELECT quantile_cont(epoch_us(s.created_at) - epoch_us(t.started), 0.9) AS late FROM scores s
        JOIN {TRACES} t ON s.source = t.source AND s.project = t.project AND s.trace_id = t.trace_id
        WHERE s.name = {literal(name)} AND coalesce(s.rater, 'unknown') = {literal(rater)}""",
    )
    return min(max(timedelta(microseconds=row["late"] or 0), timedelta()), timedelta(days=7))


def _alarms(one: Replay, happened: list | None) -> list[dict]:
    starts, out, met = one.starts(), [], set()
    for i in np.flatnonzero(starts.any(axis=1)):
        keys = np.flatnonzero(starts[i])
        top = keys[int(np.argmax(one.statistic[i, keys]))]
        where = _incident(one.times[i], happened or [])
        detects = where is not None and where not in met
        met |= {where}
        onset = happened[where][0] if where is not None else None
        out.append({
            "rule": one.rule.name, "by": _named(one, top, len(keys)), "at": one.times[i], "value": float(one.value[i, top]),
            "false": None if happened is None else where is None, "onset": onset,
            "delay_days": (one.times[i] - onset) / timedelta(days=1) if detects else math.nan,
        })  # fmt: skip
    return out


def _named(one: Replay, top: int, many: int) -> str:
    return ", ".join(one.keys[top]) + (f" and {many - 1} more" if many > 1 else "")


def _incident(at: datetime, happened: list) -> int | None:
    """The incident that a moment lies in: an alarm after its end by a day at most is still its."""
    day = timedelta(days=1)
    return next((k for k, (start, end) in enumerate(happened) if start <= at and (end is None or at <= end + day)), None)


def _rule(one: Replay, alarms: list[dict], happened: list | None, wanted: float) -> dict:
    quiet = np.array([_incident(t, happened or []) is None for t in one.times], bool) & one.judged
    days = float(quiet.sum()) * one.rule.step / timedelta(days=1)
    false = len([a for a in alarms if a["false"]]) if happened is not None else None
    rate = rate_per(false, days / MONTH) if false is not None else Estimate.refused("no truth is given")
    delays = [a["delay_days"] for a in alarms if not math.isnan(a["delay_days"])]
    limit = one.suggested(int(wanted * days / MONTH), quiet)
    sign = -1 if one.rule.compare.kind == "below" else 1
    ks = one.rule.compare.method == "ks"
    return {
        "rule": one.rule.name, "severity": one.rule.severity, "days": days, "alarms": len(alarms), "false_alarms": false,
        "false_per_month": rate.value, "low": rate.ci_low, "high": rate.ci_high, "detected": len(delays) if happened else None,
        "onsets": len(happened) if happened else None, "delay_days": float(np.median(delays)) if delays else None,
        "threshold": one.rule.compare.amount, "suggested": None if limit is None else 1 - limit if ks else sign * limit,
    }  # fmt: skip


def _headline(table: Sequence[Mapping], happened: list | None, caps: pd.DataFrame) -> str:
    judged = [r for r in table if r["days"] > 0]
    alarms = sum(r["alarms"] for r in table)
    days = max((r["days"] for r in judged), default=0.0)
    told = f"{len(judged)} of {len(table)} rules could be replayed, over {days:,.0f} days: {alarms} alarm{'s' * (alarms != 1)}"
    if happened is not None:
        told += f", {sum(r['false_alarms'] for r in table)} of them false"
    if len(caps):
        told += f"; the caps would have saved {', '.join(f'${v:,.2f}' for v in caps['saved_usd'])}"
    return f"{told}."
