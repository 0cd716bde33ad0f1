"""What the calibration page takes out of the tables of the result, or counts itself: rows with an estimate, cells, costs of thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from ..analyses.result import Estimate
from .incident_words import where
from .theme import is_number

MAX_ROWS, MAX_WEEKS, MAX_THRESHOLDS = 40, 12, 9
_REFUSED = Estimate.refused("not estimated")
# Judge and human of a cell, in the order in which a matrix is read.
CELLS = {"tp": ("pass", "pass"), "fp": ("pass", "fail"), "fn": ("fail", "pass"), "tn": ("fail", "fail")}


def rows(frame: pd.DataFrame, most: int = MAX_ROWS) -> list[dict]:
    """The first rows of a table as dicts."""
    return frame.head(most).to_dict("records")


def estimate(value: object) -> Estimate:
    """What a cell of a table holds as an estimate; a refused one where it holds none."""
    return value if isinstance(value, Estimate) else _REFUSED


def agreed(result) -> list[tuple[str, Estimate]]:
    """The measures of agreement that this kind of score has, by name."""
    return [(name, e) for name, e in result.agreement.items() if isinstance(e, Estimate)]


def rates(result) -> list[tuple[str, Estimate]]:
    """How often one side says what the other said, by name, and the AUC."""
    return [(name, getattr(result, name)) for name in ("tpr", "tnr", "ppv", "npv", "auc")]


def slice_name(row: Mapping) -> str:
    """A slice as a reader names it: ``locale = de``."""
    return where({row["dimension"]: row["value"]})


# --- over time


def whole(result) -> dict | None:
    """The row of the drift table that is about all pairs; None without one."""
    return next((r for r in rows(result.drift) if r["by"] == "all"), None)


def periods(result) -> list[dict]:
    """The rows of the drift table that are a week, a version, or two versions on the same answers."""
    return [r for r in rows(result.drift) if r["by"] != "all"]


# --- the confusion matrix


def pairs(result) -> int:
    """How many pairs the confusion matrix holds."""
    return sum(int(result.confusion.get(name, 0)) for name in CELLS)


def agreeing(result) -> int:
    """How many of them judge and human agree on."""
    return int(result.confusion.get("tp", 0)) + int(result.confusion.get("tn", 0))


def wrong(result) -> str:
    """The larger of the two kinds of disagreement: ``fp`` or ``fn``."""
    return max(("fp", "fn"), key=lambda name: result.confusion.get(name, 0))


# --- the pass rate


def weeks(result) -> list[dict]:
    """The last weeks that were judged, in the order of time."""
    frame = result.pass_rate.get("weekly")
    return frame.sort_values("week").to_dict("records")[-MAX_WEEKS:] if frame is not None and len(frame) else []


def of_week(row: Mapping) -> Estimate:
    """The corrected pass rate of a week, n counts what was judged in it; a refused one with its reason."""
    return estimate_of(row, row["n"]) if is_number(row["value"]) else Estimate.refused(row["reason"] or "not estimated")


def estimate_of(row: Mapping, n: object) -> Estimate:
    """A row with value, ci_low and ci_high as an estimate."""
    value, low, high = (float(row[k]) if is_number(row[k]) else None for k in ("value", "ci_low", "ci_high"))
    return Estimate(value, low, high, int(n) if is_number(n) else 0)


# --- the reliability curve


def are_shares(result) -> bool:
    """Whether the scores lie between 0 and 1, so that they may be read as a share that humans pass."""
    return bool(len(result.curve)) and bool(result.curve.score.between(0, 1).all())


def furthest(result) -> dict | None:
    """The stretch of scores whose human rate lies furthest from the score, beyond its interval; None where none does."""
    frame = result.curve
    apart = frame[(frame.score < frame.ci_low) | (frame.score > frame.ci_high)]
    if not len(apart):
        return None
    return apart.loc[(apart.score - apart.human_rate).astype(float).abs().idxmax()].to_dict()


# --- thresholds


def priced(result, cost_false_pass: float, cost_false_fail: float) -> pd.DataFrame:
    """The thresholds at which something passes, the least first, with what an answer costs at each (``cost``) for these two costs."""
    frame = result.threshold["curve"]
    frame = frame[frame.pass_rate > 0].sort_values("threshold", ignore_index=True)
    cost = cost_false_pass * frame.false_pass_rate.astype(float) + cost_false_fail * frame.false_fail_rate.astype(float)
    return frame.assign(cost=cost)


def thresholds(result) -> list[float]:
    """The thresholds at which something passes, the least first; [] where the score has none to choose."""
    frame = result.threshold.get("curve")
    return sorted(float(t) for t in frame[frame.pass_rate > 0].threshold) if frame is not None and len(frame) else []


def at_threshold(frame: pd.DataFrame, threshold: float) -> dict:
    """The row of a threshold."""
    return frame.loc[(frame.threshold.astype(float) - threshold).abs().idxmin()].to_dict()


def cheapest(frame: pd.DataFrame) -> float:
    """The threshold at which an answer costs least; the lowest of several that differ by rounding only."""
    cost = frame.set_index("threshold").cost.astype(float)
    return float((cost <= cost.min() + 1e-12).idxmax())


def shown_thresholds(frame: pd.DataFrame, *always: float) -> pd.DataFrame:
    """Some thresholds spread over all of them, those that matter among them, the least first."""
    step = max((len(frame) - 1) / (MAX_THRESHOLDS - 1), 1)
    kept = {min(round(i * step), len(frame) - 1) for i in range(MAX_THRESHOLDS)}
    kept |= {int((frame.threshold.astype(float) - t).abs().idxmin()) for t in always}
    return frame.iloc[sorted(kept)]


# --- the label plan


def strata(result) -> list[dict]:
    """The strata of the label plan, the one with most labels first."""
    plan = result.planner.get("plan")
    if plan is None or not len(plan):
        return []
    return rows(plan.sort_values("labels", ascending=False, kind="stable"))


# --- may the judge replace a human


def panel(result) -> list[tuple[str, Estimate]]:
    """Agreement with humans of each version of the judge and of their majority; [] where no panel could be looked at."""
    found = (result.replace or {}).get("panel") or {"raw": {}}
    return [(name, Estimate(*(e.get(k) for k in ("value", "ci_low", "ci_high", "n")))) for name, e in found["raw"].items()]


# --- all of it


def shown(result) -> Iterator[Estimate]:
    """Every estimate that the page shows, refused ones too."""
    yield from (estimate(result.pass_rate.get(k)) for k in ("naive", "corrected"))
    yield from (of_week(r) for r in weeks(result))
    yield from (e for _, e in (*agreed(result), *rates(result)))
    yield from (result.ceiling, result.floor, result.ece, *map(estimate, result.prevalence.values()))
    for frame in (result.bias, result.slices, result.drift):
        yield from (value for row in rows(frame) for value in row.values() if isinstance(value, Estimate))
