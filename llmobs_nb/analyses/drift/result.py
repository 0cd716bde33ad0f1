"""The answer about drift: tidy tables, JSON rows, and a claim for every number that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import pandas as pd

from ...text import terminal
from ...windows import Window
from ..result import Estimate, Result, claim, plain
from .blocks import Block
from .compute import Shift
from .measures import HOW
from .verdicts import VERDICTS

ROWS = (
    "name", "label", "statistic", "value", "ci_low", "ci_high", "n_before", "n_after", "p", "q", "verdict", "words", "margin",
    "detectable", "unit", "before", "after", "cliffs_delta", "psi", "reason", "how",
)  # fmt: skip
MOVED = ("name", "word", "log_odds", "ci_low", "ci_high", "share_before", "share_after")
BLOCKS = ("kind", "text", "example", "share_before", "share_after", "log_odds", "ci_low", "ci_high", "n")
PLACES = ("window", "topic", "x", "y", "trace_id")
TEXT_COLUMNS = {"name", "label", "statistic", "verdict", "words", "unit", "reason", "how", "n_before", "n_after"}


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DriftResult(Result):
    """Two windows compared.

    ``rows``: one row per measure (statistic with 95 % interval, n of both sides, p, q, verdict, and what would have been seen).
    ``moved``: one row per word, topic or value whose share moved (log odds with simultaneous limits). ``blocks``: one row per passage
    that entered or left the rendered prompts. ``places``: one row per question of the map (``window`` is before or after, ``topic``
    is named by its words). A refused number is NaN, its reason in ``reason``.
    """

    before: Window
    after: Window
    shifts: tuple[Shift, ...] = ()
    rows: pd.DataFrame = field(default_factory=lambda: _empty(ROWS))
    moved: pd.DataFrame = field(default_factory=lambda: _empty(MOVED))
    blocks: pd.DataFrame = field(default_factory=lambda: _empty(BLOCKS))
    places: pd.DataFrame = field(default_factory=lambda: _empty(PLACES))

    def json(self) -> dict:
        """The document of ``llmobs drift --json``; ``drift`` are the rows that the weekly document holds under the same name."""
        out = super().json() | {"windows": {"before": self.before.json(), "after": self.after.json()}}
        return out | {"drift": drift_rows(self), "blocks": plain(self.blocks.astype(object).where(self.blocks.notna(), None))}

    def claims(self) -> list[dict]:
        """Verdict counts, every measure, every word that moved."""
        return [*_counts(self), *map(_measured, self.shifts), *_words(self)]


def drift_rows(result: DriftResult) -> list[dict]:
    """The measures as strict JSON, ``words`` with their log odds and limits."""
    return [plain(row_of(s)) for s in result.shifts]


def row_of(s: Shift) -> dict:
    """One measure as a record."""
    e, measure = s.comparison.effect, s.measure
    row = {"name": measure.name, "label": measure.label, "statistic": measure.statistic, "value": e.value}
    row |= {"ci_low": e.ci_low, "ci_high": e.ci_high, "n_before": s.comparison.n_before, "n_after": s.comparison.n_after}
    row |= {"p": e.p, "q": s.q, "verdict": s.verdict, "words": [asdict(i) for i in s.items], "margin": measure.margin}
    row |= {"detectable": s.comparison.detectable, "unit": measure.unit, "before": s.before, "after": s.after}
    return row | {"cliffs_delta": s.delta, "psi": s.psi, "reason": s.reason, "how": how(s)}


def how(s: Shift) -> str:
    """How the number of a measure was computed."""
    return f"{s.measure.what}; {HOW[s.measure.statistic].format(unit=s.unit)}"


def frames(shifts: Sequence[Shift], blocks: Sequence[Block]) -> dict[str, pd.DataFrame]:
    """The tables of a result from its parts."""
    rows = pd.DataFrame([row_of(s) for s in shifts], columns=list(ROWS))
    moved = [{"name": s.measure.name} | asdict(i) for s in shifts for i in s.items]
    return {
        "rows": rows.astype({c: float for c in ROWS if c not in TEXT_COLUMNS}),
        "moved": pd.DataFrame(moved, columns=list(MOVED)),
        "blocks": pd.DataFrame([asdict(b) for b in blocks], columns=list(BLOCKS)),
    }


def headline(shifts: Sequence[Shift], before: Window, after: Window) -> str:
    """One sentence: what drifted, how many stayed or cannot be told."""
    when = f"{after.label} against {before.label}"
    if not any(s.comparison.effect.ok for s in shifts):
        return f"{when}: nothing can be compared."
    by = {v: [s for s in shifts if s.verdict == v] for v in VERDICTS}
    rest = f"{len(by['same'])} the same, {len(by['cannot_tell'])} cannot be told"
    if not by["drift"]:
        return f"{when}: no drift found; {rest}."
    named = ", ".join(_short(s) for s in by["drift"][:3])
    more = f" and {len(by['drift']) - 3} more" if len(by["drift"]) > 3 else ""
    return f"{when}: drift in {named}{more}; {rest}."


def _short(s: Shift) -> str:
    words = ", ".join(terminal(i.word, 40) for i in s.items[:3])
    return f"{terminal(s.measure.label, 80)} ({words})" if words else terminal(s.measure.label, 80)


def _counts(result: DriftResult) -> list[dict]:
    n = len(result.shifts)
    found = {v: sum(s.verdict == v for s in result.shifts) for v in VERDICTS}
    told = "Benjamini-Hochberg q < 0.05 over all measures for drift; same: the 95 % interval lies inside the margin"
    return [
        claim(f"drift.{v}", f"{c} of {n} measures: {v}", Estimate(c, c, c, n), unit="count", how=told) for v, c in found.items()
    ]


def _measured(s: Shift) -> dict:
    e, what = s.comparison.effect, f"{terminal(s.measure.label, 80)}, {s.measure.statistic}"
    value = f"{e.value:.3f} ({e.ci_low:.3f} to {e.ci_high:.3f}): {s.verdict}" if e.ok else f"refused ({e.reason})"
    return claim(f"drift.{s.measure.name}", f"{what}: {value}", e, unit=s.measure.statistic, how=how(s))


def _words(result: DriftResult) -> list[dict]:
    how = "log odds of the share after against before, Dirichlet prior of 50 rows, simultaneous limits by permuting whole days or sessions"
    out = []
    for s in result.shifts:
        for k, i in enumerate(s.items, 1):
            e = Estimate(i.log_odds, i.ci_low, i.ci_high, s.comparison.n_before + s.comparison.n_after)
            text = f"{terminal(i.word, 60)} in {s.measure.label}: {i.share_before:.3f} before, {i.share_after:.3f} after"
            out.append(claim(f"drift.{s.measure.name}.moved.{k}", text, e, unit="log_odds", how=how))
    return out
