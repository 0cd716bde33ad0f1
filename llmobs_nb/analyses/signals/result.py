"""What the signals say: one row per trace, one per signal and band with its prevalence and change, and a claim for every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ... import units
from ...stats.estimate import Estimate
from ...windows import Window
from ..result import Result, claim, plain
from .measures import NAMES

TRACES = ("trace_id", "started", "session_id", "feature", *NAMES, "risk", "band", "fired", "inclusion_prob", "source", "project")
HOW = "share of the traces to which it applies; random sample, Wilson at the effective n, clustered by session; change: Newcombe (MOVER)"


@dataclass(frozen=True)
class Prevalence:
    """How often a signal fires (or a band is reached), now and in the weeks before; the change with its verdict and q."""

    name: str
    label: str
    how: str
    this: Estimate
    before: Estimate
    change: Estimate
    verdict: str = "cannot_tell"
    q: float | None = None
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SignalsResult(Result):
    """Hallucination signals of a window.

    ``traces``: one row per sampled trace: each signal from 0 to 1 (null: not applicable), risk, band, what fired. ``prevalences``: one per
    signal and per band medium and high. ``high_risk``: how many traces of the whole window are in the band high.
    """

    window: Window | None
    before: Window | None = None
    traces: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(TRACES)))
    prevalences: tuple[Prevalence, ...] = ()
    high_risk: Estimate = field(default_factory=lambda: Estimate.refused("no traces"))
    reading_list: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """``prevalences`` as a tidy table: one row each; refused numbers are NaN."""
        rows = []
        for p in self.prevalences:
            row = {"name": p.name, "label": p.label}
            for at in ("this", "before", "change"):
                e = getattr(p, at)
                row |= {f"{at}_value": e.value, f"{at}_low": e.ci_low, f"{at}_high": e.ci_high, f"{at}_n": e.n}
            rows.append(row | {"verdict": p.verdict, "q": p.q, "reason": p.this.reason or p.change.reason, "how": p.how})
        return pd.DataFrame(rows)

    def json(self) -> dict:
        """The result as strict JSON."""
        out = {"window": plain(self.window), "before": plain(self.before), "high_risk": plain(self.high_risk)}
        told = [plain({**vars(p), "traces": list(p.traces)}) for p in self.prevalences]
        return super().json() | out | {"signals": told, "traces": plain(self.traces), "reading_list": list(self.reading_list)}

    def claims(self) -> list[dict]:
        """The prevalence of each signal and band now and before, its change, and the number of traces at high risk."""
        how = "sum over sampled traces of 1 / inclusion probability, variance of independent draws"
        told = units.count(self.high_risk.value) if self.high_risk.ok else f"refused ({self.high_risk.reason})"
        out = [
            claim(
                "signals.high_risk",
                f"traces at high risk: {told}",
                self.high_risk,
                unit="count",
                how=how,
                traces=self.reading_list,
            )
        ]
        return out + [one for p in self.prevalences for one in _claims(p)]


def _claims(p: Prevalence) -> list[dict]:
    out = []
    for at, when in (("this", "in the window"), ("before", "in the weeks before")):
        e = getattr(p, at)
        told = units.rate(e.value, low=e.ci_low, high=e.ci_high) if e.ok else f"refused ({e.reason})"
        traces = p.traces if at == "this" else ()
        out.append(
            claim(f"signals.{p.name}.{at}", f"{p.label}, {when}: {told}", e, unit="rate", how=f"{p.how}; {HOW}", traces=traces)
        )
    c = p.change
    told = f"{units.points(c.value, low=c.ci_low, high=c.ci_high)}: {p.verdict}" if c.ok else f"refused ({c.reason})"
    return [*out, claim(f"signals.{p.name}.change", f"{p.label}, change: {told}", c, unit="rate", how=HOW, traces=p.traces)]


def headline(window: Window, high: Prevalence, moved: Mapping[str, list[str]]) -> str:
    """One sentence: how much is at high risk, and which signals went up or down beyond doubt."""
    e = high.this
    told = f"{units.rate(e.value, low=e.ci_low, high=e.ci_high)} of the answers are at high risk ({units.interval(e.ci_low, e.ci_high, 'rate')})"
    told = told if e.ok else f"no risk can be said ({e.reason})"
    parts = [f"{word}: {', '.join(names)}" for word, names in moved.items() if names]
    return f"{window.label}: {told}; {'; '.join(parts) or 'no signal moved beyond doubt'}."
