"""What the calibration result says, in words: verdicts and what follows from them, names of measures, the message of each chart."""

from __future__ import annotations

from .. import units
from ..text import terminal
from . import calibration_numbers as numbers
from .common_words import Cue, level, with_interval
from .theme import is_number, label

VERDICTS: dict[str, Cue] = {
    "trust": ("✓", "trust", "solid"),
    "trust_with_correction": ("±", "trust with correction", "dashed"),
    "do_not_trust": ("✗", "do not trust", "double"),
    "cannot_tell": ("?", "cannot tell", "dotted"),
}
ADVICE = {
    "trust": "Use the judge's pass rate as it stands, and look here again after a new judge version.",
    "trust_with_correction": "Report the corrected pass rate, never the judge's own, and keep labelling by the plan below.",
    "do_not_trust": "Report none of the judge's numbers and block nothing by them. Read the disagreements below first.",
    "cannot_tell": "Collect the labels listed below, then ask again. Until then the judge's numbers are unproved.",
}
SLICES: dict[str, Cue] = {
    "at_chance": ("✗", "no better than chance", "double"),
    "worse": ("▼", "worse", "double"),
    "better": ("▲", "better", "solid"),
    "same": ("=", "no difference", "dotted"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}
WORSE = ("at_chance", "worse")
DRIFT: dict[str, Cue] = {
    "recalibrate": ("↻", "recalibrate", "double"),
    "judge_drift": ("▲", "the judge moved", "double"),
    "product_drift": ("■", "the product moved", "solid"),
    "both": ("◆", "both moved", "double"),
    "none": ("●", "nothing moved", "dotted"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}
WITNESSES = {"judge": "the judge", "human": "humans", "users": "users' thumbs"}
MOVED = ("judge_drift", "product_drift", "both")
COVARIATES = {
    "length": "length of the answer",
    "verbosity": "length of the answer against the question",
    "self_family": "an answer by a model of the judge's own maker",
    "formatting": "headings, lists, tables and code",
    "sentiment": "tone of people's comments",
    "time_of_day": "hour of the day",
    "position": "the answer that is shown first",
}
MEASURES = {
    "raw": "share that agrees",
    "kappa": "Cohen's kappa",
    "weighted_kappa_linear": "weighted kappa, linear",
    "weighted_kappa_quadratic": "weighted kappa, quadratic",
    "ac1": "Gwet's AC1",
    "pabak": "PABAK",
    "alpha_nominal": "Krippendorff's alpha, nominal",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_interval": "Krippendorff's alpha, interval",
    "spearman": "Spearman's correlation",
    "pearson": "Pearson's correlation",
    "kendall_tau_b": "Kendall's tau-b",
    "icc": "intraclass correlation",
}
RATES = {
    "tpr": "of what humans pass, the judge passes",
    "tnr": "of what humans fail, the judge fails",
    "ppv": "of what the judge passes, humans pass",
    "npv": "of what the judge fails, humans fail",
    "auc": "a passed answer scores higher than a failed one (AUC)",
}
CEILING, FLOOR = "humans with one another (ceiling)", "the judge with itself (floor)"
DESIGNS = {
    "random": "at random",
    "by_verdict": "by the judge's verdict",
    "by_label": "by the human label",
    "weights": "with recorded inclusion probabilities",
    "period": "from another period",
    "none": "in no way that can be used",
    "auto": "not said",
}
DESIGN_ROWS = {"reason": "why", "test": "tested by", "repair": "to repair it, label"}


# --- names


def measure(name: str) -> str:
    """A measure of agreement as a reader says it."""
    return MEASURES.get(name) or label(name, 40)


def agreement_unit(name: str) -> str:
    """The unit of a measure of agreement: a share, or a coefficient."""
    return "rate" if name == "raw" else "score"


def design(name: object) -> str:
    """How labels were drawn, as a reader says it."""
    return DESIGNS.get(str(name)) or label(name, 40)


def who(result) -> str:
    """Which scores are compared."""
    return f"judge {label(result.judge_name, 60)} against human {label(result.human_name, 60)}"


def covariate(name: object) -> str:
    """What a judge may lean on, as a reader names it."""
    return COVARIATES.get(str(name)) or label(name, 60)


# --- the message of each chart


def pass_rate(result) -> str:
    """The corrected pass rate beside the judge's own."""
    naive, corrected = (numbers.estimate(result.pass_rate.get(k)) for k in ("naive", "corrected"))
    if not corrected.ok:
        why = terminal(corrected.reason or "", 400).rstrip(".")
        return f"The true pass rate cannot be told: {why}"
    told = f"{_rate(corrected)} of answers pass in truth ({_between(corrected)})"
    return f"{told}; the judge alone says {_rate(naive)}" if naive.ok else told


def agreement(result) -> str:
    """Agreement beyond chance against what humans reach with one another."""
    known = dict(numbers.agreed(result))
    name = next((n for n in ("kappa", "alpha_interval", "spearman", *known) if n in known and known[n].ok), None)
    if name is None:
        return "Agreement cannot be told: there are too few pairs"
    told = f"{measure(name)} is {_plain(known[name])}"
    if result.ceiling.ok:
        return f"{told}; humans reach {_plain(result.ceiling)} with one another"
    return f"{told}; how well humans agree with one another is not known"


def confusion(result) -> str:
    """On how many they agree and which mistake is the more frequent."""
    n = numbers.pairs(result)
    if not n:
        return "No pair is cut into pass and fail on both sides"
    worse = numbers.wrong(result)
    said, meant = numbers.CELLS[worse]
    told = f"Judge and humans agree on {units.count(numbers.agreeing(result))} of {units.count(n)}"
    if not result.confusion[worse]:
        return told
    return f"{told}; the judge {said}es {units.count(result.confusion[worse])} that humans {meant}".replace("failes", "fails")


def curve(result) -> str:
    """Where a score is furthest from what it says."""
    if not len(result.curve):
        return "The score takes too few values for a curve"
    if not numbers.are_shares(result):
        return "What humans pass, by score"
    row = numbers.furthest(result)
    if row is None:
        return "Nowhere do humans pass more or less than the score says, by more than chance"
    return f"Where the judge says {units.number(row['score'])}, humans pass {_share(row)}"


def bias(result) -> str:
    """What the judge leans on at the same human label."""
    if not len(result.bias):
        return "No leaning could be looked for"
    flagged = [r for r in numbers.rows(result.bias) if r["flagged"]]
    if not flagged:
        known = any(numbers.estimate(r["given_human"]).ok for r in numbers.rows(result.bias))
        return f"{'No leaning that is larger than chance' if known else 'No leaning can be told'}, at the same human label"
    first = flagged[0]
    e = numbers.estimate(first["given_human"])
    size = units.signed(e.value, low=e.ci_low, high=e.ci_high)
    return f"At the same human label the judge leans on {covariate(first['covariate'])}: {size} {label(first['unit'], 60)}"


def slices(result) -> str:
    """Where agreement is worst."""
    if not len(result.slices):
        return "No slice has enough pairs"
    worse = [r for r in numbers.rows(result.slices) if r["verdict"] in WORSE]
    if not worse and (result.slices.verdict == "cannot_tell").all():
        return "Whether a slice agrees less than the rest cannot be told: there are too few pairs in each"
    if not worse:
        return "No slice agrees less than the rest by more than chance"
    e = numbers.estimate(worse[0]["raw"])
    told = f"In {numbers.slice_name(worse[0])} judge and humans agree on {_rate(e)} only ({_between(e)})"
    return f"{told}: no better than chance" if worse[0]["verdict"] == "at_chance" else told


def drift(result) -> str:
    """What moved last, and whether the judge has to be calibrated again."""
    if not len(result.drift):
        return "Nothing to compare over time"
    moved = [r for r in numbers.periods(result) if r["verdict"] in MOVED]
    told = f"{period(moved[-1])}: {DRIFT[moved[-1]['verdict']][1]}" if moved else _steady(result)
    all_ = numbers.whole(result)
    if all_ is None or all_["verdict"] != "recalibrate":
        return told
    return f"Recalibrate: judge and humans correlate by {_plain(numbers.estimate(all_['agreement']))} only; {told}"


def drift_units(row: dict) -> dict[str, str]:
    """The units of the estimates in a row of the drift table: of all pairs the agreement is a correlation, of two versions scores differ."""
    first, last = ("score" if row["by"] == "all" else "rate"), ("difference" if row["by"] == "anchor" else "points")
    return {"agreement": first, "judge": "rate", "human": "rate", "users": "rate", "difference": last}


def _steady(result) -> str:
    known = {r["verdict"] for r in numbers.periods(result)}
    told = {
        frozenset(["none"]): "neither judge nor product moved",
        frozenset(["cannot_tell"]): "whether judge or product moved cannot be told",
    }
    return told.get(frozenset(known), "no move of judge or product that is larger than chance")


def period(row: dict) -> str:
    """A period or a version of a judge as a reader names it."""
    name = label(row["period"], 40)
    return {"all": "all pairs", "week": f"week of {name}", "version": f"judge {name}", "anchor": f"same answers, {name}"}.get(
        row["by"], name
    )


def threshold(result) -> str:
    """Where mistakes cost least, and between which thresholds that may lie."""
    known = result.threshold
    if not known or not is_number(known.get("value")):
        return terminal(known.get("reason") or "There is no threshold to choose", 200)
    told = with_interval(known["value"], known["ci_low"], known["ci_high"], "number")
    costs = (
        f"a false pass at {units.number(known['cost_false_pass'])} and a false fail at {units.number(known['cost_false_fail'])}"
    )
    return f"With {costs}, mistakes cost least at a threshold of {told}"


def planner(result) -> str:
    """How many labels for which width, how many if drawn at random, and what the labels at hand give."""
    known = result.planner
    if known.get("labels") is None:
        return terminal(known.get("reason") or "No labels can be planned", 200)
    half, now = (_half(known.get(k)) for k in ("target_half_width", "half_width_now"))
    n = units.count(known["labels"])
    told = [f"{n} more labels bring the pass rate to {half}" if known["labels"] else f"No more labels are needed for {half}"]
    told += (
        [f"drawn at random it would take {units.count(known['labels_random'])}"]
        if known["labels"] and known.get("labels_random")
        else []
    )
    return "; ".join([*told, *([f"now it is {now}"] if now else [])])


def _half(value: object) -> str:
    return f"± {units.points(value).lstrip('+')}" if is_number(value) else ""


def replacement(result) -> str:
    """Whether the judge may take the place of a human rater."""
    found = result.replace
    if found["replace"] is None:
        return "Whether the judge may replace a human cannot be told: too few humans share targets"
    told = "The judge may replace a human here" if found["replace"] else "The judge may not replace a human here"
    epsilon = units.points(found["epsilon"]).lstrip("+")
    return f"{told}: it wins against {units.rate(found['winning_rate'])} of the humans (half is needed), given {epsilon} for its lower cost"


def _rate(e) -> str:
    return units.rate(e.value, low=e.ci_low, high=e.ci_high)


def _between(e) -> str:
    return units.interval(e.ci_low, e.ci_high, "rate")


def _plain(e) -> str:
    return with_interval(e.value, e.ci_low, e.ci_high, "score")


def _share(row: dict) -> str:
    return with_interval(row["human_rate"], row["ci_low"], row["ci_high"], "rate")


def told(e, unit: str) -> str:
    """An estimate with interval and n for a line of text; why where it is refused."""
    return level(e, unit)
