"""What the gate returns: the verdict, every dimension with its levels, interval, margin, power and n, and what to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

import pandas as pd

from ... import units
from ...stats.estimate import Estimate, finite
from ...stats.noninferiority import Judgement
from ...text import terminal
from ..result import Result, claim, plain
from .compare import Compared
from .runs import run_frame

Verdict = Literal["pass", "blocked", "inconclusive"]
READING = 20
_HEAD = ("name", "label", "unit", "better", "verdict")
_LEVELS = ("baseline", "candidate", "change")
_TAIL = ("change_kind", "margin", "p_pass", "p_fail", "power", "n_needed", "reason", "how")
_PARTS = ("value", "low", "high", "n")
COLUMNS = (*_HEAD, *(f"{at}_{part}" for at in _LEVELS for part in _PARTS), *_TAIL)


class Arms(NamedTuple):
    """One arm: its traces, sessions, pairs (None where the arms are independent), first and last start."""

    traces: int
    sessions: int
    pairs: int | None
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Row:
    """One dimension: what was compared, the judgement, and why it is not a pass."""

    compared: Compared
    judgement: Judgement
    reason: str | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GateResult(Result):
    """Whether the candidate may replace the baseline.

    ``verdict`` is ``pass`` (every dimension passes), ``blocked`` (one fails) or ``inconclusive``. ``dimensions`` has one row a
    dimension; ``eval_runs`` one row per run and week of production, see :func:`llmobs_nb.analyses.gate.runs.eval_runs`;
    ``traces`` names by dimension what to read. A refused number is NaN.
    """

    verdict: Verdict
    design: str
    arms: tuple[Arms, Arms]
    rows: tuple[Row, ...] = ()
    eval_runs: pd.DataFrame = field(default_factory=lambda: run_frame([]))
    traces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 where the candidate passes, 1 where it is blocked or nothing can be said."""
        return 0 if self.verdict == "pass" else 1

    @property
    def dimensions(self) -> pd.DataFrame:
        """One row a dimension: levels, change, margin, verdict, p values, power, n needed."""
        frame = pd.DataFrame([_record(r) for r in self.rows], columns=list(COLUMNS))
        floats = [c for c in COLUMNS if c.endswith(("_value", "_low", "_high"))] + [
            "margin",
            "p_pass",
            "p_fail",
            "power",
            "n_needed",
        ]
        return frame.astype(dict.fromkeys(floats, float))

    @property
    def reading_list(self) -> tuple[str, ...]:
        """Traces of the candidate to read, of failed dimensions first."""
        order = sorted(self.rows, key=lambda r: r.judgement.verdict != "fail")
        found = (t for r in order for t in self.traces.get(r.compared.dimension.name, ()))
        return tuple(dict.fromkeys(found))[:READING]

    def json(self) -> dict:
        """The ``gate`` document."""
        arms = {name: plain(a._asdict()) for name, a in zip(("baseline", "candidate"), self.arms, strict=True)}
        arms = {name: {"selection": self.parameters[name], **a} for name, a in arms.items()}
        out = super().json() | {"verdict": self.verdict, "design": self.design, **arms, "exit_code": self.exit_code}
        runs = plain(self.eval_runs)
        return out | {"dimensions": [_json(r) for r in self.rows], "eval_runs": runs, "traces": list(self.reading_list)}

    def claims(self) -> list[dict]:
        """Every number of the page: levels and change of each dimension, and the runs."""
        return [one for r in self.rows for one in _claims(r, self.traces)] + _run_claims(self.eval_runs)


def overall(rows: Sequence[Row]) -> Verdict:
    """``pass`` only where all pass (and there is one), ``blocked`` where one fails."""
    verdicts = {r.judgement.verdict for r in rows}
    return "blocked" if "fail" in verdicts else "pass" if verdicts == {"pass"} else "inconclusive"


def headline(verdict: Verdict, arms: Sequence, rows: Sequence[Row]) -> str:
    """One sentence: the verdict and what it rests on."""
    base, new = (terminal(a.text, 80) for a in arms)
    count = {v: [r for r in rows if r.judgement.verdict == v] for v in ("pass", "fail", "inconclusive")}
    if verdict == "pass":
        return f"{new} passes: no worse than {base} by its margin in any of {len(rows)} dimensions."
    if verdict == "blocked":
        told = ", ".join(f"{r.compared.dimension.label} {change_text(r)}" for r in count["fail"][:3])
        more = f" and {len(count['fail']) - 3} more" if len(count["fail"]) > 3 else ""
        return f"{new} is blocked: worse than {base} by more than the margin in {told}{more}."
    if not rows:
        return f"{new} against {base}: nothing is measured, so nothing can be said."
    open_ = ", ".join(r.compared.dimension.label for r in count["inconclusive"][:3])
    more = f" and {len(count['inconclusive']) - 3} more" if len(count["inconclusive"]) > 3 else ""
    return f"{new} against {base}: inconclusive in {open_}{more}; {len(count['pass'])} of {len(rows)} dimensions pass."


def change_text(row: Row) -> str:
    """The change with its interval: ``-0.06 (-0.09 to -0.03)``."""
    d, e = row.compared.dimension, row.judgement.change
    if not e.ok:
        return units.MISSING
    told = units.change(e.value, d.unit, d.change_kind, low=e.ci_low, high=e.ci_high)
    return f"{told} ({units.interval(e.ci_low, e.ci_high, d.unit, kind=d.change_kind)})"


def _estimates(row: Row) -> dict:
    return {"baseline": row.compared.baseline, "candidate": row.compared.candidate, "change": row.judgement.change}


def _record(row: Row) -> dict:
    d, j = row.compared.dimension, row.judgement
    out = {name: getattr(d, name) for name in _HEAD[:-1]} | {"verdict": j.verdict}
    for at, e in _estimates(row).items():
        out |= {f"{at}_value": e.value, f"{at}_low": e.ci_low, f"{at}_high": e.ci_high, f"{at}_n": e.n}
    out |= {"change_kind": d.change_kind, "margin": d.margin, "reason": row.reason, "how": row.compared.how}
    return out | {name: getattr(j, name) for name in ("p_pass", "p_fail", "power", "n_needed")}


def _json(row: Row) -> dict:
    d, j = row.compared.dimension, row.judgement
    out = {name: getattr(d, name) for name in _HEAD[:-1]} | {
        "verdict": j.verdict,
        "change_kind": d.change_kind,
        "margin": d.margin,
    }
    out |= {at: e.json() for at, e in _estimates(row).items()}
    numbers = {k: v for k, v in asdict(j).items() if k in ("p_pass", "p_fail", "power", "n_needed")}
    return (
        out
        | {k: v if isinstance(v, int) else finite(v) for k, v in numbers.items()}
        | {"reason": row.reason, "how": row.compared.how}
    )


def _claims(row: Row, traces: Mapping[str, tuple[str, ...]]) -> list[dict]:
    d, out = row.compared.dimension, []
    for at, e in _estimates(row).items():
        if at == "change":
            text, unit = change_text(row) + f": {row.judgement.verdict}", d.unit if d.change_kind == "absolute" else "relative"
        else:
            text, unit = units.quantity(e.value, d.unit, low=e.ci_low, high=e.ci_high), d.unit
        shown = () if at == "baseline" else traces.get(d.name, ())
        out.append(claim(f"gate.{d.name}.{at}", f"{d.label}, {at}: {text}", e, unit=unit, how=row.compared.how, traces=shown))
    return out


def _run_claims(frame: pd.DataFrame) -> list[dict]:
    out = []
    for k, row in enumerate(frame.to_dict("records")):
        value = finite(row["mean"])
        e = (
            Estimate.refused("too few", n=row["n"])
            if value is None
            else Estimate(value, finite(row["low"]), finite(row["high"]), int(row["n"]))
        )
        text = f"{terminal(row['metric'], 80)} ({row['rater']}) of {terminal(row['run'], 80)}: {units.number(value, low=e.ci_low, high=e.ci_high)}"
        out.append(claim(f"eval_runs.{k}", text, e, unit="score", how="mean over items (weeks: over sessions)"))
    return out
