"""``lm.signals``: sample, measure, weigh, compare with the weeks before."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ... import windows as w
from ...errors import UsageError, choose
from ...stats.compare import mover
from ...stats.design import hajek_mean, horvitz_thompson_total
from ...stats.estimate import Estimate
from ...stats.multiplicity import benjamini_hochberg
from ...text import terminal
from ...windows import Window
from ..result import Finding, provenance
from ..sampling.population import window_of
from ..sampling.shadow import sessions
from .measures import NAMES, SEED_WEIGHTS, SIGNALS, band, external, measure, risk
from .read import Sample, read_samples
from .result import TRACES, Prevalence, SignalsResult, headline

ALPHA, MARGIN, BEFORE = 0.05, 0.02, 4
BANDS = (0.5, 0.7)
EXEMPLARS, READING = 5, 20
_BANDS = {"high": "At high risk", "medium": "At medium risk"}


def signals(
    obs,
    *,
    since: Any = None,
    until: Any = None,
    sample: int = 2000,
    validate: Callable[[str, str, str], float | bool | None] | None = None,
    weights: Mapping[str, float] | None = None,
    bands: tuple[float, float] = BANDS,
    tz: str = "UTC",
    seed: int = 0,
) -> SignalsResult:
    """Signs of hallucination in a random sample of a window's traces, and their change against the four windows before.

    No model is called; signs are no proof. ``weights`` name the signals that make up the risk (default: the seed preset, unknown
    citations .3, low overlap .4, contradiction .3); they are renormalised over what is known of a trace, and a trace of which
    none is known has no risk. ``bands`` are where medium and high begin. ``validate(question, answer, context)`` is your own check: a
    risk from 0 to 1, true, false or None; one that raises is counted and leaves a null. The window defaults to the last seven days of
    data. Without traces the result says so. Raises UsageError for unknown signals and bands out of order.
    """
    began = time.perf_counter()
    weights = dict(SEED_WEIGHTS if weights is None else weights)
    _check(weights, bands, sample)
    asked = {
        "since": since and str(since),
        "until": until and str(until),
        "sample": sample,
        "weights": weights,
        "bands": list(bands),
        "tz": tz,
        "seed": seed,
    }
    window = window_of(obs, since, until, tz=tz)
    if not window:
        return _nothing(None, asked)
    start = window.start - BEFORE * (window.end - window.start)
    now, past = read_samples(obs, (window, Window(start, window.start, w.ending(start, window.start, tz))), sample, seed)
    if not now.rows:
        return _nothing(window, asked)
    result = weighed(now, past, weights=weights, bands=bands, validate=validate)
    return replace(result, parameters=asked, provenance=provenance(obs, window.json(), began))


def weighed(
    now: Sample,
    past: Sample,
    *,
    weights: Mapping[str, float] = SEED_WEIGHTS,
    bands: tuple[float, float] = BANDS,
    validate: Callable[[str, str, str], float | bool | None] | None = None,
) -> SignalsResult:
    """The signals of a sample against those of an earlier one."""
    failed: list[str] = []
    traces, earlier = (_measured(one, weights, bands, validate, failed) for one in (now, past))
    found = _judged([_prevalence(traces, earlier, *told) for told in _asked(traces)])
    high = next(p for p in found if p.name == "band.high")
    moved = {v: [p.label.lower() for p in found if p.verdict == v] for v in ("worse", "better")}
    reading = traces[traces["risk"].notna()].sort_values(["risk", "trace_id"], ascending=[False, True]).head(READING)
    return SignalsResult(
        name="signals", headline=headline(now.window, high, moved), findings=_findings(now, past, traces, failed), window=now.window,
        before=past.window, traces=traces, prevalences=found, high_risk=_total(traces),
        reading_list=tuple(reading.loc[reading["risk"] >= bands[0], "trace_id"]),
    )  # fmt: skip


def _nothing(window: Window | None, asked: Mapping) -> SignalsResult:
    text = "No traces of the product in the window: there is nothing to look at."
    return SignalsResult(name="signals", headline=text, parameters=asked, findings=(Finding("warning", text),), window=window)


def _check(weights: Mapping[str, float], bands: tuple[float, float], sample: int) -> None:
    for name, weight in weights.items():
        choose("weights", name, NAMES)
        if not (isinstance(weight, (int, float)) and 0 <= weight < math.inf):
            raise UsageError(f"weights: {name}={weight!r} is no weight; give a number from 0 on")
    if not any(weights.values()):
        raise UsageError("weights: all are 0; give at least one signal a weight")
    if len(bands) != 2 or not 0 < bands[0] < bands[1] <= 1:
        raise UsageError(f"bands={bands!r} are not in order; give where medium and high begin, such as (0.5, 0.7)")
    if sample < 1:
        raise UsageError(f"sample={sample!r} is too small; give how many traces to look at, such as 2000")


def _measured(sample: Sample, weights, bands, validate, failed: list[str]) -> pd.DataFrame:
    rows = []
    for key, row in sample.rows.items():
        one = sample.texts.get(key)
        values: dict[str, float | None] = dict.fromkeys(NAMES)
        if one:
            values = measure(one, sample.others.get(key, ()), sample.feedback.get(key))
            if validate and one.answer:
                values["external"] = _external(one, validate, failed)
        score = risk(values, weights)
        fired = ", ".join(s.name for s in SIGNALS if values[s.name] is not None and values[s.name] >= s.fires)
        told = {"risk": score, "band": band(score, bands), "fired": fired or None, "inclusion_prob": sample.probability}
        rows.append({**row, "feature": one and one.about["feature"], **values, **told})
    return pd.DataFrame(rows, columns=list(TRACES)).astype(dict.fromkeys((*NAMES, "risk"), float))


def _external(one, validate, failed: list[str]) -> float | None:
    try:
        return external(one, validate)
    except Exception as error:  # a user's own check may raise anything
        failed.append(terminal(f"{type(error).__name__}: {error}", 160))
        return None


def _asked(traces: pd.DataFrame) -> list[tuple]:
    """(name, label, how, column, where it fires) of every prevalence."""
    out = [
        (s.name, s.label, s.how, s.name, lambda x, at=s.fires: x >= at)
        for s in SIGNALS
        if s.name != "external" or traces["external"].notna().any()
    ]
    for name, label in _BANDS.items():
        out.append((f"band.{name}", label, "risk: weighted mean of the known signals", "band", lambda x, name=name: x == name))
    return out


def _prevalence(traces: pd.DataFrame, earlier: pd.DataFrame, name: str, label: str, how: str, column: str, fires) -> Prevalence:
    this, before = (_share(frame, column, fires) for frame in (traces, earlier))
    hit = traces[traces[column].notna() & fires(traces[column])].sort_values(["risk", "trace_id"], ascending=[False, True])
    return Prevalence(name, label, how, this, before, mover(this, before), traces=tuple(hit["trace_id"].head(EXEMPLARS)))


def _share(frame: pd.DataFrame, column: str, fires) -> Estimate:
    known = frame[frame[column].notna()]
    if known.empty:
        return Estimate.refused("it applies to no trace" if len(frame) else "no traces")
    return hajek_mean(fires(known[column]).astype(float), known["inclusion_prob"], sessions(known))


def _judged(found: list[Prevalence]) -> tuple[Prevalence, ...]:
    """Verdicts of all prevalences together, corrected for their number; ``same`` where the change lies inside two points."""
    qs = benjamini_hochberg([p.change.p if p.change.ok else None for p in found])
    return tuple(
        replace(p, q=None if np.isnan(q) else float(q), verdict=_verdict(p.change, q)) for p, q in zip(found, qs, strict=True)
    )


def _verdict(change: Estimate, q: float) -> str:
    if change.ok and q < ALPHA:
        return "worse" if change.value > 0 else "better"
    inside = change.ok and change.ci_low >= -MARGIN and change.ci_high <= MARGIN
    return "same" if inside else "cannot_tell"


def _total(traces: pd.DataFrame) -> Estimate:
    """How many traces of the window are at high risk; where none was drawn, as many as their share allows."""
    known = traces[traces["band"].notna()]
    if known.empty:
        return Estimate.refused("no trace has a risk")
    high, probs = (known["band"] == "high").astype(float), known["inclusion_prob"]
    total = horvitz_thompson_total(high, probs)
    if total.ok:
        return total
    share, size = hajek_mean(high, probs, sessions(known)), float((1 / probs).sum())
    return Estimate(0.0, 0.0, share.ci_high * size, share.n) if share.ok else share


def _findings(now: Sample, past: Sample, traces: pd.DataFrame, failed: list[str]) -> tuple[Finding, ...]:
    drawn, bare = len(traces), len(traces) - sum(bool(e.answer) for e in now.texts.values())
    none = int(traces["risk"].isna().sum())
    out = [
        (now.probability < 1, "info", f"{drawn:,} of {now.traces:,} traces were looked at, drawn at random", drawn),
        (bare, "info", f"traces without an answer in the store: {bare:,} of {drawn:,}", bare),
        (none, "info", f"traces of which no weighted signal is known, without a risk: {none:,} of {drawn:,}", none),
        (not past.rows, "info", f"no traces in {past.window.label}: nothing to compare with", 0),
        (failed, "warning", f"validate failed on {len(failed):,} answers (such as: {failed[0] if failed else ''})", len(failed)),
    ]
    return tuple(Finding(severity, text, count) for said, severity, text, count in out if said)
