"""Alerts on their way: one message per incident, naming the clearest value of a split; what did not arrive is tried again next time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ...errors import StoreError, UsageError
from ...routes import Message, send
from ...routes.routes import failures
from ...store.store import Store
from ..result import Finding
from . import state as memory
from .result import Row
from .rules import Rule, read_rules


def deliver(
    held: Store, rules: Mapping[str, Rule], due: Sequence[memory.Known], rows: Sequence[Row], *, out: TextIO | None = None
) -> list[Finding]:
    """Send what is due by the routes that have not taken it, and note in the store which did; what failed, as findings."""
    known = memory.recall(held.root)
    groups: dict[tuple[str, str], list[memory.Known]] = {}
    for one in due:
        groups.setdefault((one.alert, one.state), []).append(one)
    sent: dict[tuple, tuple[str, list[str]]] = {}
    findings = []
    for (alert, state), group in groups.items():
        rule = rules[group[0].rule]
        owed = [r for r in rule.routes if any(r.name in k.owed for k in group)]
        still = state == "resolved" and any(k.alert == alert and k.state == "firing" for k in known.values())
        bad = {} if still else failures(_message(rule, alert, state, group, rows), owed, out=out)
        took = [r.name for r in owed if r.name not in bad]
        sent |= {k.id: (state, took) for k in group}
        findings += [Finding("warning", f"the alert of {rule.name} did not go out by {why}", 1) for why in bad.values()]
    try:
        memory.settle(held, sent)
    except (StoreError, OSError) as error:
        findings.append(Finding("warning", f"that alerts went out could not be noted, they may go out again: {error}", len(sent)))
    return findings


def send_report(report: str | os.PathLike, rules: Any = None, *, title: str | None = None, out: TextIO | None = None) -> None:
    """Send a finished report (the HTML file) by every route that the rules name, each once.

    Raises UsageError where no rule has a route or the file is not there, RouteError where a route did not take it.
    """
    ways = {route.name: route for rule in read_rules(rules) for route in rule.routes}
    if not ways:
        raise UsageError("the report has no way to go: no rule names a route; give one, such as route: slack")
    send(report=report, routes=tuple(ways.values()), title=title, out=out)


def _message(rule: Rule, alert: str, state: str, group: Sequence[memory.Known], rows: Sequence[Row]) -> Message:
    mine = {(r.rule, tuple(r.by.values())): r for r in rows}
    shown = [mine[k.id] for k in group if k.id in mine]
    shown.sort(key=lambda r: memory.alert_key(r.rule, tuple(r.by.values()), r.since) != alert if r.since else True)
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    top = f" {shown[0].slice}" if shown and shown[0].by else ""
    title = f"{rule.name}{top}{more}: {'is over' if state == 'resolved' else 'fires'} ({rule.severity})"
    lines = [r.text() for r in shown[:10]]
    lines += [f"Owner: {rule.owner}"] * bool(rule.owner) + [f"Runbook: {rule.runbook}"] * bool(rule.runbook)
    traces = [t for r in shown for t in r.traces][:5]
    lines += [f"Traces: {', '.join(traces)}"] * bool(traces)
    return Message(title, alert, rule.severity, state, tuple(lines), {"rows": [r.json() for r in shown[:10]]})
