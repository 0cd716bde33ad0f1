"""The failure taxonomy: how often each failure that reviewers named happens in the traffic, where it gathers, and what it looks like."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from ... import units
from ...columns import literal, quote
from ...errors import UsageError, choose
from ...schema import SPANS
from ...stats.compare import mover_relative
from ...stats.design import hajek_mean
from ...stats.estimate import Estimate, finite
from ...stats.multiplicity import benjamini_hochberg
from ...stats.strata import exact_association
from ...text import terminal
from ..reductions import rows
from ..result import Finding, Result, claim, plain, provenance
from .labels import VERDICTS, labels
from .subjects import drawn_by

SLICES = ("feature", "tenant_id", "user_tier", "model", "prompt_version", "locale", "environment")
EXAMPLES, NOTES = 5, 3
FEWEST = 3
MOST_SLICES = 40
CATEGORIES = ("category", "share", "low", "high", "n", "traces", "reason", "examples", "notes")
LIFTS = ("category", "attribute", "value", "lift", "low", "high", "share_with", "share_passing", "traces", "passing", "q", "p")
_HOW = "sum of 1/p over labelled traces that bear it, over that of all labelled ones (Hájek), linearised over sessions"
_LIFT_HOW = "share of the slice among traces of the category over its share among passing traces, both weighted by 1/p"
_REPAIR = (
    "label a queue made with plan=lm.sampling_plan(…), or give design= a table of trace_id, stratum and inclusion_prob of how they"
    " were drawn, or undesigned='leave_out' to estimate from the others alone"
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TaxonomyResult(Result):
    """Failures by category.

    ``categories``: one row per category, the most frequent first: ``share`` of the traffic with interval, n labelled traces,
    ``traces`` that bear it, examples, notes; a refused share is NaN with its ``reason``. ``lifts``: one row per category and
    slice: how much more of the slice is among its traces than among passing ones. ``passing``: the share of verdicts pass.
    """

    categories: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CATEGORIES)))
    lifts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(LIFTS)))
    passing: Estimate = field(default_factory=lambda: Estimate.refused("nothing labelled"))
    shares: Mapping[str, Estimate] = field(default_factory=dict)

    def json(self) -> dict:
        """The result as a dict that strict JSON can carry; ``share`` of a category is an estimate."""
        told = [row | {"share": self.shares[row["category"]].json()} for row in plain(self.categories)]
        told = [{k: v for k, v in row.items() if k not in ("low", "high", "n", "reason")} for row in told]
        return super().json() | {"passing": self.passing.json(), "categories": told, "lifts": plain(self.lifts)}

    def claims(self) -> list[dict]:
        """The pass rate, the share of each category, and each lift."""
        out = [claim("review.passing", f"verdicts pass: {_told(self.passing)}", self.passing, unit="rate", how=_HOW)]
        for row in self.categories.to_dict("records"):
            e = self.shares[row["category"]]
            text = f"{row['category']}: {_told(e)}"
            out.append(claim(f"taxonomy.{row['category']}.share", text, e, unit="rate", how=_HOW, traces=row["examples"]))
        return out + [_lift_claim(row) for row in self.lifts.to_dict("records")]


def taxonomy(
    obs,
    *,
    by: Sequence[str] = SLICES,
    design: Any = None,
    undesigned: Literal["refuse", "leave_out"] = "refuse",
    level: float = 0.95,
) -> TaxonomyResult:
    """How often each failure category happens, from the labels of review queues, with where it gathers and examples.

    A trace with several reviewers counts as the mean of what they say. Shares are about the traffic that the labelled traces
    were drawn from: each weighs 1 / ``inclusion_prob``. Where a labelled trace has none, all shares are refused and the reason
    says how to repair it: ``design`` is a plan, or a table of trace_id, stratum and inclusion_prob that goes before what was
    stored; ``undesigned="leave_out"`` keeps hand-picked traces out of the shares. A plan that was labelled in part counts as a
    random part of it. ``by`` are columns or metadata keys; q is Benjamini-Hochberg over all categories and slices, p an exact
    test within strata with one vote a session. Without labels the result says so.
    """
    began = time.perf_counter()
    choose("undesigned", undesigned, ("refuse", "leave_out"))
    by = (by,) if isinstance(by, str) else tuple(by)
    asked = {"by": list(by), "design": design is not None, "undesigned": undesigned, "level": level}
    told = _labelled(obs, drawn_by(design) if design is not None else {}, by)
    loose = told.prob.isna()
    if undesigned == "leave_out":
        told = told[~loose]
    reason = ""
    if undesigned == "refuse" and loose.any():
        reason = f"{loose.sum():,} of {len(told):,} labelled traces have no inclusion_prob; {_REPAIR}"
    names = list(dict.fromkeys(c for one in told.named for c in one))
    shares = {c: _share([one.get(c, 0.0) for one in told.named], told, reason, level) for c in names}
    passing = _share(told.passed, told, reason, level)
    table = _categories(told, shares)
    return TaxonomyResult(
        name="taxonomy", headline=_headline(table, passing, len(told)), parameters=asked,
        provenance=provenance(obs, {"labelled": len(told)}, began), findings=tuple(_findings(told, loose, undesigned, reason)),
        categories=table, lifts=_lifts(told, names, by, reason), passing=passing, shares=shares,
    )  # fmt: skip


# --- the labelled traces


def _labelled(obs, drawn: Mapping[str, Mapping], by: Sequence[str]) -> pd.DataFrame:
    """One row per labelled trace: share of its reviewers who name each category, mean verdict, how it was drawn, its slices."""
    said = labels(obs)
    facts = {row["trace_id"]: row for row in _facts(obs, by)}
    out = []
    for trace in sorted(set(said) & set(facts)):
        of, fact = list(said[trace].values()), facts[trace]
        verdicts = [v for one in of if (v := VERDICTS[one.verdict]) is not None]
        named = {c: sum(c in one.categories for one in of) / len(of) for one in of for c in one.categories}
        how = drawn.get(trace, {"stratum": fact["stratum"], "inclusion_prob": fact["inclusion_prob"]})
        notes = [one.note for one in of if one.note]
        out.append(
            {
                "trace_id": trace, "named": named, "passed": np.mean(verdicts) if verdicts else np.nan, "notes": notes,
                "stratum": how["stratum"] or "", "prob": how["inclusion_prob"], "session": fact["session"], "turn": hashlib.sha256(trace.encode()).hexdigest(),
            } | {f"by:{name}": fact[f"by{i}"] for i, name in enumerate(by)}
        )  # fmt: skip
    columns = ["trace_id", "named", "passed", "notes", "stratum", "prob", "session", "turn", *(f"by:{name}" for name in by)]
    return pd.DataFrame(out, columns=columns).astype({"prob": float, "passed": float})


def _facts(obs, by: Sequence[str]) -> list[dict]:
    """How each labelled trace was drawn (the newest that is told), its session, its slices."""
    slices = "".join(f", max({_column(name)}) AS by{i}" for i, name in enumerate(by))
    return rows(
        obs,
        f"""WITH drawn AS (SELECT trace_id, stratum, inclusion_prob, row_number() OVER (PARTITION BY trace_id
            ORDER BY CASE WHEN inclusion_prob IS NULL THEN 1 ELSE 0 END, updated_at DESC, score_id) AS place
          FROM scores WHERE source = 'review' AND trace_id IS NOT NULL)
        SELECT d.trace_id, d.stratum, d.inclusion_prob, coalesce(max(s.session_id), d.trace_id) AS session{slices}
        FROM drawn d JOIN spans s ON s.trace_id = d.trace_id WHERE d.place = 1 GROUP BY d.trace_id, d.stratum, d.inclusion_prob""",
    )


def _column(name: str) -> str:
    if name in SPANS and SPANS[name].type != "text":
        raise UsageError(f"by: {name!r} is not a word but {SPANS[name].type}; slice by {', '.join(SLICES)} or a metadata key")
    return f"s.{quote(name)}" if name in SPANS else f"s.metadata[{literal(name)}]"


# --- shares


def _share(values: Sequence[float], told: pd.DataFrame, reason: str, level: float) -> Estimate:
    if reason:
        return Estimate.refused(reason, n=len(told), level=level)
    e = hajek_mean(values, told.prob, clusters=told.session, level=level)
    return replace(e, ci_low=max(e.ci_low, 0.0), ci_high=min(e.ci_high, 1.0)) if e.ok else e


def _categories(told: pd.DataFrame, shares: Mapping[str, Estimate]) -> pd.DataFrame:
    out = []
    for name, e in shares.items():
        bear = told[[name in one for one in told.named]]
        clear = bear.iloc[np.argsort([-one[name] for one in bear.named], kind="stable")]
        notes = [note for some in clear.notes for note in some][:NOTES]
        numbers = (e.value, e.ci_low, e.ci_high, e.n, len(bear))
        out.append((name, *numbers, e.reason or "", list(clear.trace_id[:EXAMPLES]), notes))
    out.sort(key=lambda row: (-(row[1] or 0.0), -row[5], row[0]))
    return pd.DataFrame(out, columns=list(CATEGORIES)).astype({"share": float, "low": float, "high": float})


# --- lifts


def _lifts(told: pd.DataFrame, names: Sequence[str], by: Sequence[str], reason: str) -> pd.DataFrame:
    """Each category against passing traces, by slices that at least three of its traces lie in; the largest evidence first."""
    out = []
    for name in names if not reason else ():
        bears = np.array([one.get(name, 0.0) >= 0.5 for one in told.named])
        passes = (told.passed >= 0.5).to_numpy() & np.array([not one for one in told.named])
        if not passes.any():
            continue
        for attribute in by:
            column = told[f"by:{attribute}"]
            counts = column[bears].value_counts()
            for value in counts[counts >= FEWEST].index[:MOST_SLICES]:
                if not (column[bears | passes] == value).all():
                    out.append((name, attribute, value, *_lift(told, bears, passes, (column == value).to_numpy())))
    frame = pd.DataFrame(out, columns=[c for c in LIFTS if c != "q"])
    frame["q"] = benjamini_hochberg(frame.p)
    return frame[list(LIFTS)].sort_values(["q", "p", "category", "attribute", "value"], kind="stable").reset_index(drop=True)


def _lift(told: pd.DataFrame, bears: np.ndarray, passes: np.ndarray, inside: np.ndarray) -> tuple:
    """lift, low, high, share with the category and among passing traces, traces of the slice in both, p."""
    have, usual = (hajek_mean(inside[g], told.prob[g], clusters=told.session[g]) for g in (bears, passes))
    change = mover_relative(have, usual)
    lift = (1 + change.value, 1 + change.ci_low, 1 + change.ci_high) if change.ok else (np.nan, np.nan, np.nan)
    votes = told.assign(bears=bears, inside=inside)[bears | passes]
    votes = votes.sort_values("turn").drop_duplicates("session")  # one of each session, whatever was said of it
    p = exact_association(votes.bears, votes.inside, votes.stratum)
    shares = (finite(have.value), finite(usual.value))
    return (*lift, *shares, int((bears & inside).sum()), int((passes & inside).sum()), p)


# --- words


def _told(e: Estimate) -> str:
    if not e.ok:
        return f"refused ({e.reason})"
    low, high = e.ci_low, e.ci_high
    return f"{units.rate(e.value, low=low, high=high)} of the traffic ({units.interval(low, high, 'rate')}, n {units.count(e.n)})"


def _lift_claim(row: Mapping) -> dict:
    e = Estimate.refused("too few traces for an interval", n=row["traces"])
    if finite(row["lift"]) is not None:
        e = Estimate(row["lift"], row["low"], row["high"], row["traces"] + row["passing"])
    where = f"{row['attribute']} = {terminal(row['value'], 80)}"
    text = f"{row['category']}: {where} {units.number(row['lift'])} times as often as among passing traces, q {units.number(row['q'], default=3)}"
    return claim(f"taxonomy.{row['category']}.lift.{row['attribute']}.{row['value']}", text, e, unit="ratio", how=_LIFT_HOW)


def _headline(table: pd.DataFrame, passing: Estimate, n: int) -> str:
    if not n:
        return "No trace has been reviewed yet: there are no failures to count."
    if not len(table):
        return f"{n:,} traces reviewed, no failure named; verdicts pass: {_told(passing)}."
    if not passing.ok:
        told = ", ".join(f"{row.category} ({row.traces:,})" for row in table.head(3).itertuples())
        return f"{len(table)} failures named in {n:,} reviewed traces, most often {told}; how often they happen in the traffic cannot be told."
    told = "; ".join(
        f"{row.category} {units.rate(row.share, low=row.low, high=row.high)} ({units.interval(row.low, row.high, 'rate')})"
        for row in table.head(3).itertuples()
    )
    return f"{len(table)} failures named in {n:,} reviewed traces, most often: {told} of the traffic."


def _findings(told: pd.DataFrame, loose: pd.Series, undesigned: str, reason: str) -> list[Finding]:
    out = [Finding("warning", reason, int(loose.sum()))] if reason else []
    if undesigned == "leave_out" and loose.any():
        out.append(Finding("info", f"labelled traces without inclusion_prob, left out: {loose.sum():,}", int(loose.sum())))
    unsure = int(told.passed.isna().sum())
    if unsure:
        out.append(Finding("info", f"traces of which reviewers are unsure, left out of the pass rate: {unsure:,}", unsure))
    return out
