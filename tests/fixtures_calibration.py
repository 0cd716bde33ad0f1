"""A hand-made CalibrationResult with all tables filled, and what it looks like with too little data, a bad judge, or nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd

from llmobs_nb.analyses.calibration.result import AGREEMENT, CalibrationResult
from llmobs_nb.analyses.result import Estimate, Finding

HOSTILE = "<script>alert(1)</script> **bold** $x^2$ \x1b[31mred\x1b[0m \u202eabc\u202c sk-abcdefgh12345678"
FEW = Estimate.refused("fewer than 20 pairs", n=11)
LABELS = "No label was drawn at random: the true pass rate is refused; label 60 traces drawn at random."


def frame(columns: str, *rows) -> pd.DataFrame:
    """A table of these rows under these columns."""
    return pd.DataFrame(list(rows), columns=columns.split())


def at(value: float, half: float, n: int = 480) -> Estimate:
    """An estimate with an interval of this half-width."""
    return Estimate(value, value - half, value + half, n)


def agreement() -> dict[str, Estimate | None]:
    known = {
        "raw": at(0.9083, 0.026), "kappa": at(0.6640, 0.08), "ac1": at(0.8705, 0.04), "pabak": at(0.8167, 0.052),
        "alpha_nominal": at(0.6641, 0.08), "pearson": at(0.6660, 0.079), "spearman": at(0.6660, 0.079),
    }  # fmt: skip
    return {name: known.get(name) for name in AGREEMENT}


def pass_rate() -> dict:
    own, all_ = "labels of the week", "labels of all weeks, by verdict"
    weekly = frame(
        "week n labels naive value ci_low ci_high how reason",
        (dt.date(2026, 10, 19), 900, 150, 0.88, 0.846, 0.80, 0.885, own, ""),
        (dt.date(2026, 10, 26), 1000, 160, 0.87, 0.832, 0.79, 0.87, own, ""),
        (dt.date(2026, 11, 2), 990, 170, 0.89, 0.741, 0.69, 0.79, own, ""),
        (dt.date(2026, 11, 9), 10, 0, 0.9, None, None, None, all_, FEW.reason),
    )
    return {
        "naive": Estimate(0.8724, 0.8598, 0.8842, 2900),
        "corrected": Estimate(0.8063, 0.7781, 0.8327, 480),
        "method": "post-stratified on the judge's verdict",
        "weekly": weekly,
    }


def bias() -> pd.DataFrame:
    return frame(
        "covariate unit marginal given_human q flagged",
        ("length", "points per standard deviation", at(6.1, 2.0), at(5.2, 2.1), 0.002, True),
        ("self_family", "points, yes against no", at(3.0, 5.0), at(1.0, 6.0, 200), 0.71, False),
        ("time_of_day", "points per standard deviation", at(-0.4, 0.2), at(-0.2, 0.22), 0.83, False),
        ("sentiment", "points per standard deviation", FEW, FEW, None, False),
    )


def slices() -> pd.DataFrame:
    rows = [
        ("locale", "de", 90, at(0.04, 0.2, 90), at(0.52, 0.1, 90), at(-0.82, 0.21, 90), 0.0004, "at_chance"),
        ("locale", "en", 390, at(0.86, 0.06, 390), at(0.97, 0.02, 390), at(0.82, 0.21, 390), 0.0004, "better"),
        ("feature", HOSTILE, 200, at(0.68, 0.11, 200), at(0.91, 0.04, 200), at(0.01, 0.05, 200), 0.8, "same"),
        ("feature", "search", 11, FEW, FEW, FEW, None, "cannot_tell"),
    ]
    return frame("where dimension value n kappa raw difference q verdict", *((f"{d}={v}", d, v, *rest) for d, v, *rest in rows))


def curve() -> pd.DataFrame:
    return frame(
        "score low high n human_rate ci_low ci_high",
        (0.12, 0.0, 0.2, 40, 0.09, 0.03, 0.2),
        (0.48, 0.4, 0.6, 60, 0.44, 0.32, 0.56),
        (0.71, 0.6, 0.8, 130, 0.66, 0.57, 0.74),
        (0.94, 0.8, 1.0, 250, 0.80, 0.74, 0.85),
    )


def threshold() -> dict:
    rows = [(0.1, 0.16, 0.0), (0.3, 0.1, 0.01), (0.5, 0.0625, 0.0292), (0.7, 0.03, 0.07), (0.9, 0.01, 0.21)]
    table = frame(
        "threshold false_pass_rate false_fail_rate pass_rate cost",
        *((t, fp, ff, 0.8208 + fp - ff, fp + ff) for t, fp, ff in rows),
    )
    return {
        "value": 0.5, "ci_low": 0.3, "ci_high": 0.7, "n": 480, "cost_false_pass": 1.0, "cost_false_fail": 1.0, "curve": table,
        "now": table.iloc[3].to_dict(),
    }  # fmt: skip


def no_threshold() -> dict:
    """What a score of two values has instead of a threshold."""
    none = {"value": None, "ci_low": None, "ci_high": None, "now": None, "reason": "the judge gives verdicts without a scale"}
    return threshold() | none | {"curve": threshold()["curve"].head(0)}


def drift() -> pd.DataFrame:
    none = Estimate.refused("not measured")
    alike, apart = "judge and humans stand to each other as elsewhere", "the judge stands to the humans otherwise than elsewhere"
    return frame(
        "by period n agreement judge human users difference q verdict reason",
        ("all", "all", 480, at(0.666, 0.079), at(0.854, 0.03), at(0.821, 0.03), none, at(0.033, 0.02), None, "cannot_tell", "the interval has 0.7 in it"),
        ("week", "2026-10-19", 150, at(0.93, 0.03, 150), at(0.84, 0.04), at(0.82, 0.05), at(0.71, 0.06), at(0.02, 0.04, 150), 0.6, "none", alike),
        ("week", "2026-11-02", 170, at(0.81, 0.05, 170), at(0.91, 0.04), at(0.81, 0.05), none, at(0.09, 0.04, 170), 0.001, "judge_drift", apart),
        ("version", HOSTILE, 30, at(0.7, 0.2, 30), at(0.9, 0.1), at(0.8, 0.1), none, FEW, None, "cannot_tell", "30 pairs do not tell a tenth"),
        ("anchor", "judge-2 against judge-1", 40, none, none, none, none, at(0.14, 0.05, 40), 0.002, "judge_drift", "other words for the same answers"),
    )  # fmt: skip


def planner() -> dict:
    plan = frame(
        "stratum judge_pass slice size labelled labels inclusion_prob human_rate",
        ("pass × chat", 1.0, "chat", 2000, 300, 90, 0.045, 0.93),
        ("fail × chat", 0.0, "chat", 220, 40, 40, 0.18, 0.2),
        (f"pass × {HOSTILE}", 1.0, HOSTILE, 300, 30, 15, 0.05, 0.9),
        ("fail", 0.0, None, 80, 10, 10, 0.125, 0.3),
    )
    drawn = frame("trace_id stratum inclusion_prob", ("t-901", "pass", 0.05), ("t-902", "fail", 0.2), ("t-903", "pass", 0.05))
    return {
        "labels": 155, "labels_random": 206, "target_half_width": 0.03, "half_width_now": 0.041, "reason": None, "plan": plan, "next": drawn,
    }  # fmt: skip


def disagreements() -> pd.DataFrame:
    when = pd.Timestamp("2026-11-02", tz="UTC")
    return frame(
        "trace_id span_id session_id judge human difference comment human_comment url at",
        ("t-17", None, "s-1", 1.0, 0.0, 1.0, "Clear.", "It cites a page that does not exist.", "https://lf.example/trace/t-17", when),
        ("t-18", None, "s-2", 1.0, 0.0, 1.0, HOSTILE, HOSTILE, "javascript:alert(1)", when),
        (None, None, "s-3", 0.0, 1.0, -1.0, None, None, None, when),
    )  # fmt: skip


def dropped() -> pd.DataFrame:
    return frame("reason count", ("judged, without a human label", 2420), ("labelled, never judged", 32))


def replace_test() -> dict:
    raters = [
        {"rater_id": "ada", "n": 80, "judge": 0.91, "human": 0.84, "p": 0.0003, "won": True},
        {"rater_id": HOSTILE, "n": 75, "judge": 0.88, "human": 0.83, "p": 0.012, "won": True},
        {"rater_id": "cy", "n": 44, "judge": 0.71, "human": 0.92, "p": 0.62, "won": False},
    ]
    panel = {"n": 60, "raw": {"judge-1": at(0.86, 0.05, 60).json(), "majority": at(0.9, 0.04, 60).json()}}
    return {
        "test": "alternative annotator test", "epsilon": 0.15, "winning_rate": 2 / 3, "replace": True, "advantage": 0.8333, "raters": raters,
        "reason": "1 of 4 humans share fewer than 30 targets with others", "panel": panel,
    }  # fmt: skip


def maps() -> dict:
    named = {"judge": "helpfulness", "human": "helpfulness", "human_pass_at": 0.5, "n": 480, "brier_raw": 0.121}
    isotonic = {"kind": "isotonic", "scores": [0.1, 0.9], "probabilities": [0.08, 0.81], "brier": 0.094}
    return {"isotonic": isotonic | named, "platt": {"kind": "platt", "intercept": -1.2, "slope": 3.1, "brier": 0.097} | named}


def trust(**fields) -> CalibrationResult:
    """A judge that may be used with the corrected pass rate."""
    given = {
        "name": "calibrate",
        "headline": "The judge can be used, with the corrected pass rate: 80.6% (77.8% to 83.3%) pass, not 87.2%.",
        "verdict": "trust_with_correction",
        "reason": "It agrees with humans well above chance, but it passes more than they do.",
        "kind": "binary", "judge_name": "helpfulness", "human_name": "helpfulness", "parameters": {"pass_at": 0.5, "tz": "UTC", "where": {}},
        "provenance": {"store": "demo", "seconds": 0.8},
        "findings": (Finding("warning", "In locale = de judge and humans agree no better than chance: 90 pairs.", 90),),
        "design": {
            "declared": "auto", "used": "random", "test": "verdict rate of labelled and of all judged targets", "p_value": 0.41,
            "reason": "the labelled traces are judged like all others", "repair": "",
        },
        "n": {"paired": 480, "judged": 2900, "human": 512, "clusters": 210},
        "agreement": agreement(), "prevalence": {"judge": at(0.8542, 0.03), "human": at(0.8208, 0.03)},
        "confusion": {"tp": 380, "fp": 30, "fn": 14, "tn": 56},
        "tpr": at(0.9645, 0.018, 394), "tnr": at(0.6512, 0.1, 86), "ppv": at(0.9268, 0.025, 410), "npv": at(0.8, 0.093, 70),
        "auc": at(0.871, 0.04), "pass_rate": pass_rate(), "ceiling": at(0.78, 0.075, 120), "floor": at(0.88, 0.045, 90),
        "bias": bias(), "slices": slices(), "curve": curve(), "ece": at(0.071, 0.03),
        "maps": maps(),
        "threshold": threshold(), "drift": drift(), "planner": planner(), "next_labels": ("t-901", "t-902", "t-903"),
        "disagreements": disagreements(), "replace": replace_test(), "dropped": dropped(),
    }  # fmt: skip
    return CalibrationResult(**given | fields)


def cannot_tell() -> CalibrationResult:
    """Labels that were drawn in a way from which no pass rate follows."""
    rate = {
        "naive": pass_rate()["naive"],
        "corrected": Estimate.refused(LABELS),
        "method": "none",
        "weekly": pass_rate()["weekly"].head(0),
    }
    kept = {name: e and (at(0.5, 0.3, 30) if name == "kappa" else e) for name, e in agreement().items()}
    design = {
        "declared": "auto",
        "used": "none",
        "test": "verdict rate",
        "p_value": 0.0001,
        "reason": LABELS,
        "repair": "label a random sample of 60 traces",
    }
    return trust(
        verdict="cannot_tell", headline="Whether the judge can be trusted cannot be told from these labels.", reason=LABELS,
        design=design, pass_rate=rate, agreement=kept, ppv=Estimate.refused(LABELS), npv=Estimate.refused(LABELS),
        ceiling=Estimate.refused("fewer than two humans labelled the same target"), floor=Estimate.refused("no target was judged twice"),
        replace=None, findings=(Finding("critical", LABELS, 60),),
    )  # fmt: skip


def below_chance() -> CalibrationResult:
    """A judge that says the opposite of humans."""
    told = {"raw": at(0.28, 0.04), "kappa": at(-0.41, 0.09), "ac1": at(-0.42, 0.08), "pabak": at(-0.44, 0.08)}
    return trust(
        verdict="do_not_trust", headline="Do not trust this judge: it agrees with humans less than chance would.",
        reason="Kappa is -0.41 (-0.50 to -0.32).", agreement=dict.fromkeys(AGREEMENT) | told, confusion={"tp": 60, "fp": 170, "fn": 175, "tn": 75},
        auc=at(0.27, 0.04),
    )  # fmt: skip


def bare() -> CalibrationResult:
    """Only what two columns of passes give: none of the tables beside them."""
    return replace(
        trust(), bias=frame(""), slices=frame(""), curve=frame(""), ece=Estimate.refused("two values have no curve"), maps={},
        threshold=no_threshold(), drift=frame(""), planner={}, next_labels=(), disagreements=frame(""), replace=None, dropped=frame(""), findings=(),
    )  # fmt: skip


def nothing() -> CalibrationResult:
    """No target has both."""
    text = "No target has both a judge's score and a human label: there is nothing to compare."
    return CalibrationResult(
        name="calibrate", headline=text, reason=text, parameters={"tz": "UTC"}, findings=(Finding("warning", text),)
    )
