"""A claim for every number of a calibration: id, value, interval, n, how it was computed, the traces behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from ...stats.estimate import Estimate, finite
from ...text import terminal
from ..result import claim

if TYPE_CHECKING:
    from .result import CalibrationResult

_RATES = {
    "tpr": "share of what humans pass that the judge passes",
    "tnr": "share of what humans fail that the judge fails",
    "ppv": "share of what the judge passes that humans pass",
    "npv": "share of what the judge fails that humans fail",
}
_COUNTS = {
    "paired": "targets with a judgement and a label",
    "judged": "targets that the judge judged",
    "human": "targets with a label and a judgement",
    "clusters": "sessions of the pairs",
}
_CELLS = {
    "tp": "judge and human pass",
    "fp": "the judge passes, the human fails",
    "fn": "the judge fails, the human passes",
    "tn": "judge and human fail",
}
_WEIGHED = "weighted as the design says, interval clustered by session"


def claims(result: CalibrationResult) -> list[dict]:
    """All claims of a result, each with a unique id; a result without pairs has none."""
    if not result.n:
        return []
    parts = (_counts, _agreement, _shares, _pass_rate, _weekly, _limits, _threshold, _planner, _cells, _dropped)
    return [one for part in parts for one in part(result)]


def _counts(result: CalibrationResult) -> Iterable[dict]:
    for name, text in _COUNTS.items():
        yield _exact(f"n.{name}", text, result.n[name], result.n[name])
    for name, text in _CELLS.items():
        if name in result.confusion:
            yield _exact(f"confusion.{name}", f"pairs where {text}", result.confusion[name], result.n["paired"])
    if (p := result.design.get("p_value")) is not None:
        yield _exact(
            "design.p_value",
            f"p of: {terminal(result.design['test'], 200)}",
            p,
            result.n["paired"],
            unit="number",
            how="test of the design",
        )


def _agreement(result: CalibrationResult) -> Iterable[dict]:
    for name, found in result.agreement.items():
        if found is not None:
            unit = "rate" if name == "raw" else "score"
            yield claim(f"agreement.{name}", f"{name.replace('_', ' ')} of judge and humans", found, unit=unit, how=_WEIGHED)
    for name, found in result.prevalence.items():
        yield claim(f"prevalence.{name}", f"passed by the {name}", found, unit="rate", how="share of the pairs")


def _shares(result: CalibrationResult) -> Iterable[dict]:
    for name, text in _RATES.items():
        yield claim(name, text, getattr(result, name), unit="rate", how=_WEIGHED)
    yield claim("auc", "a pass scores above a fail this often", result.auc, unit="score", how=f"placements; {_WEIGHED}")


def _pass_rate(result: CalibrationResult) -> Iterable[dict]:
    told = {
        "naive": ("what the judge passes", "counted over all that was judged; Wilson at the effective number"),
        "corrected": ("what humans would pass", str(result.pass_rate.get("method", ""))),
    }
    for name, (text, how) in told.items():
        if isinstance(found := result.pass_rate.get(name), Estimate):
            yield claim(f"pass_rate.{name}", f"pass rate of production: {text}", found, unit="rate", how=how)


def _weekly(result: CalibrationResult) -> Iterable[dict]:
    for row in _rows(result.pass_rate.get("weekly")):
        e = Estimate(
            finite(row["value"]), finite(row["ci_low"]), finite(row["ci_high"]), int(row["n"]), reason=row["reason"] or None
        )
        yield claim(
            f"pass_rate.weekly.{row['week']}", f"what humans would pass, week of {row['week']}", e, unit="rate", how=row["how"]
        )


def _limits(result: CalibrationResult) -> Iterable[dict]:
    yield claim(
        "ceiling",
        "agreement of humans with one another",
        result.ceiling,
        unit="score",
        how="Krippendorff's alpha over all raters",
    )
    yield claim(
        "floor",
        "agreement of the judge with itself",
        result.floor,
        unit="score",
        how="Krippendorff's alpha over repeats of one version",
    )
    yield claim(
        "ece", "expected calibration error", result.ece, unit="rate", how="mean gap between score and share that humans pass"
    )


def _threshold(result: CalibrationResult) -> Iterable[dict]:
    t = result.threshold
    if t.get("value") is not None:
        e = Estimate(finite(t["value"]), finite(t["ci_low"]), finite(t["ci_high"]), int(t.get("n", result.n["paired"])))
        how = f"cheapest at {t['cost_false_pass']:g} a false pass and {t['cost_false_fail']:g} a false fail"
        yield claim("threshold", "score from which on an answer should pass", e, unit="number", how=how)


def _planner(result: CalibrationResult) -> Iterable[dict]:
    told = {"labels": ("labels to come, shared out over verdict and slice", "count"), "labels_random": ("labels to come at random", "count"),
            "half_width_now": ("half-width of the pass rate's interval now", "rate"), "target_half_width": ("half-width to reach", "rate")}  # fmt: skip
    for name, (text, unit) in told.items():
        if (value := result.planner.get(name)) is not None:
            yield _exact(
                f"planner.{name}",
                text,
                value,
                result.n["paired"],
                unit=unit,
                how="Neyman's allocation",
                traces=result.next_labels[:20],
            )


def _cells(result: CalibrationResult) -> Iterable[dict]:
    """Every estimate in a table of slices, biases and drift."""
    for table, names in (("slices", ("where",)), ("bias", ("covariate",)), ("drift", ("by", "period"))):
        for at, row in enumerate(_rows(getattr(result, table))):
            what = " ".join(terminal(str(row[n]), 60) for n in names if n in row)
            for column, value in row.items():
                if isinstance(value, Estimate):
                    yield claim(
                        f"{table}.{at}.{column}",
                        f"{table}, {what}: {column.replace('_', ' ')}",
                        value,
                        unit="score",
                        how=_WEIGHED,
                    )


def _dropped(result: CalibrationResult) -> Iterable[dict]:
    for at, row in enumerate(_rows(result.dropped)):
        yield _exact(f"dropped.{at}", f"left out: {row['reason']}", row["count"], row["count"])


def _rows(frame) -> list[dict]:
    return frame.to_dict("records") if isinstance(frame, pd.DataFrame) else []


def _exact(id: str, text: str, value, n, *, unit: str = "count", how: str = "counted", traces=()) -> dict:
    number = finite(float(value))
    return claim(id, text, Estimate(number, number, number, int(n)), unit=unit, how=how, traces=traces)
