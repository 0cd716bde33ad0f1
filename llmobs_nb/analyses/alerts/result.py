"""What a check found: one row per rule, or per value of its split that is not simply in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ... import units
from ...stats.estimate import Estimate, finite
from ...text import terminal
from ..result import Result, claim, plain
from .rules import SEVERITIES

ORDER = ("firing", "resolved", "cooldown", "no_data", "ok")


@dataclass(frozen=True)
class Row:
    """One rule at the moment of the check.

    ``by`` are the values of its split, ``value``, ``threshold`` and ``baseline`` in the unit of the metric, ``z`` that of an anomaly;
    ``detail`` says what is new, or why nothing can be said. ``traces`` are up to five to look at, of a firing rule only.
    """

    rule: str
    severity: str
    state: str
    metric: str
    unit: str
    by: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    threshold: float | None = None
    baseline: float | None = None
    n: int = 0
    since: datetime | None = None
    z: float | None = None
    detail: str | None = None
    runbook: str | None = None
    owner: str | None = None
    traces: tuple[str, ...] = ()

    @property
    def slice(self) -> str:
        """The by-values in words, "" without a split."""
        return ", ".join(f"{k} {v}" for k, v in self.by.items())

    def json(self) -> dict:
        """The row as the contract writes it."""
        return plain({**vars(self), "by": dict(self.by)})

    def text(self) -> str:
        """One line for a person."""
        where = f" ({self.slice})" if self.by else ""
        head = f"{self.rule}{where}: {self.state}"
        said = self.detail if self.state == "no_data" or (self.detail and self.value is None) else self._numbers()
        return terminal(f"{head}; {said}" if said else head, 400)

    def _numbers(self) -> str:
        if self.value is None:
            return ""
        told = units.quantity(self.value, self.unit)
        if self.baseline is not None:
            told += f" against {units.quantity(self.baseline, self.unit)}"
        if self.z is not None:
            told += f", z {self.z:.1f}"
        elif self.threshold is not None:
            told += f", threshold {units.quantity(self.threshold, self.unit)}"
        return f"{told}, n {self.n:,}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckResult(Result):
    """The rows, firing first. ``severity`` is the worst that fires, a rule without data whose policy is ``warn`` counts as a warning."""

    at: datetime | None = None
    rows: tuple[Row, ...] = ()
    warned: tuple[str, ...] = ()

    @property
    def severity(self) -> str | None:
        """``critical``, ``warning``, ``info`` or None."""
        found = {r.severity for r in self.rows if r.state == "firing"} | ({"warning"} if self.warned else set())
        return max(found, key=SEVERITIES.index, default=None)

    @property
    def exit_code(self) -> int:
        """2 where something critical fires, 1 for a warning, else 0."""
        return {"critical": 2, "warning": 1}.get(self.severity or "", 0)

    def json(self) -> list[dict]:
        """The document of the contract: a list of rows."""
        return [row.json() for row in self.rows]

    def claims(self) -> list[dict]:
        """The numbers of the rows that fire."""
        return [_claim(row) for row in self.rows if row.state == "firing" and row.value is not None]

    def text(self) -> str:
        """The answer for a terminal: headline, then a line per row, then what is special."""
        told = [self.headline, *(f"  {r.text()}" for r in self.rows if r.state != "ok")]
        return "\n".join([*told, *(f"  {f.severity}: {terminal(f.text, 300)}" for f in self.findings)])


def _claim(row: Row) -> dict:
    estimate = Estimate(row.value, None, None, row.n)
    at = ":".join(["alert", row.rule, *row.by.values()])
    return claim(at, row.text(), estimate, unit=row.unit, how="the alert rule's window", traces=row.traces)


def headline(rows: tuple[Row, ...], rules: int) -> str:
    """One sentence: what fires, or that nothing does."""
    firing = [r for r in rows if r.state == "firing"]
    if not firing:
        blind = len({r.rule for r in rows if r.state == "no_data"})
        return f"Nothing fires: {rules} rule{'s' * (rules != 1)} checked" + (f", {blind} without data." if blind else ".")
    named = list(dict.fromkeys(r.rule for r in firing))
    worst = max((r.severity for r in firing), key=SEVERITIES.index)
    return terminal(f"{len(named)} of {rules} rules fire ({worst}): {', '.join(named[:5])}{' …' if len(named) > 5 else ''}", 300)


def shown(values: Mapping[str, Any]) -> dict:
    """Numbers of a row: what is NaN or infinite is missing."""
    return {k: finite(v) if isinstance(v, float) else v for k, v in values.items()}
