"""The claims of what the calibration page counts or takes from the tables, to stand beside those of the result in ``claims.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..analyses.result import Estimate, claim
from ..text import terminal
from . import calibration_numbers as numbers
from . import calibration_tables as tables
from . import calibration_words as words
from .theme import is_number, label
from .weekly_claims import counted

_COUNTED = "counted over the rows of the result"
_TABLE = "taken from the table of the result"
_CURVE = {"score": "number", "low": "number", "high": "number", "n": "count"}
_THRESHOLD = {"threshold": "number", "false_pass_rate": "rate", "false_fail_rate": "rate", "pass_rate": "rate", "cost": "number"}
_STRATUM = {"size": "count", "labelled": "count", "labels": "count", "human_rate": "rate"}
_TEST = {"winning_rate": "rate", "advantage": "rate", "epsilon": "rate"}
_RATER = {"n": "count", "judge": "rate", "human": "rate", "p": "number"}


def calibration_claims(result) -> list[dict]:
    """Cells of the tables that the result does not claim, or in another unit; what the messages of charts count; sentences it quotes."""
    if not result.n:
        return list(_sentences(result))
    made = (_rules, _confusion, _curve, _maps, _bias, _slices, _drift, _threshold, _plan, _reading, _replace, _sentences)
    return [one for part in made for one in part(result)]


# --- numbers


def _rules(result) -> Iterable[dict]:
    yield counted("page.least_p", "a p or q below this is not written out", tables.LEAST_P, "number", "the page's own rule", 0)


def _confusion(result) -> Iterable[dict]:
    yield counted("page.pairs", "pairs in the confusion matrix", numbers.pairs(result), how=_COUNTED)
    yield counted("page.agreeing", "pairs on which judge and human agree", numbers.agreeing(result), how=_COUNTED)


def _curve(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.rows(result.curve)):
        yield from _row(f"page.curve.{at}", f"scores, stretch {at}", r, _CURVE)
        human = numbers.estimate_of({"value": r["human_rate"], **r}, r["n"])
        yield claim(
            f"page.curve.{at}.human_rate", f"scores, stretch {at}: share that humans pass", human, unit="rate", how=_TABLE
        )


def _maps(result) -> Iterable[dict]:
    for name, r in result.maps.items():
        yield from _row(
            f"page.map.{name}", f"mean squared error of the {name} map", r, {"brier": "number", "brier_raw": "number"}
        )


def _bias(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.rows(result.bias)):
        yield from _row(f"page.bias.{at}", f"leaning on {words.covariate(r['covariate'])}", r, {"q": "number"})


def _slices(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.rows(result.slices)):
        id, text = f"page.slice.{at}", f"agreement where {numbers.slice_name(r)}"
        yield claim(f"{id}.raw", f"{text}: share that agrees", numbers.estimate(r["raw"]), unit="rate", how=_TABLE)
        yield from _row(id, text, r, {"q": "number", "n": "count"})
    yield _left_out("slices", len(result.slices))


def _drift(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.rows(result.drift)):
        id, text = f"page.drift.{at}", words.period(r)
        for name, unit in words.drift_units(r).items():
            yield claim(
                f"{id}.{name}", f"{text}: {name}", numbers.estimate(r[name]), unit=tables.CHANGES.get(unit, unit), how=_TABLE
            )
        yield from _row(id, text, r, {"q": "number"})


def _threshold(result) -> Iterable[dict]:
    known = result.threshold
    if not numbers.thresholds(result):
        return
    yield from _row(
        "page.threshold", "a mistake of the judge", known, dict.fromkeys(("cost_false_pass", "cost_false_fail"), "number")
    )
    table = numbers.priced(result, known["cost_false_pass"], known["cost_false_fail"])
    for at, r in table.to_dict("index").items():
        yield from _row(f"page.at.{at}", f"threshold {r['threshold']:g}", r, _THRESHOLD)


def _plan(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.strata(result)):
        yield from _row(f"page.stratum.{at}", f"stratum {at} of the label plan", r, _STRATUM)
    left = max(len(result.next_labels) - tables.MAX_NEXT, 0)
    yield counted("page.next.left_out", "traces to label that are not shown", left, how=_COUNTED)


def _reading(result) -> Iterable[dict]:
    for at, r in enumerate(numbers.rows(result.disagreements)):
        text = f"said of trace {label(r['trace_id'], 60)}"
        yield from _row(f"page.disagreement.{at}", text, r, {"judge": "number", "human": "number"})
    yield _left_out("disagreements", len(result.disagreements))


def _replace(result) -> Iterable[dict]:
    found = result.replace or {}
    yield from _row("page.replace", "alternative annotator test", found, _TEST)
    for at, r in enumerate(found.get("raters", ())):
        yield from _row(f"page.rater.{at}", f"human {at} of the alternative annotator test", r, _RATER)
    for at, (_, e) in enumerate(numbers.panel(result)):
        yield claim(f"page.panel.{at}", f"agreement with humans, member {at} of the panel", e, unit="rate", how=_TABLE)


def _row(id: str, text: str, row: Mapping, columns: Mapping[str, str]) -> Iterable[dict]:
    """The numbers of a row that are there, each in its unit."""
    for name, unit in columns.items():
        if is_number(row.get(name)):
            n = None if unit == "count" else 0
            yield counted(f"{id}.{name}", f"{text}: {name.replace('_', ' ')}", float(row[name]), unit, _TABLE, n)


def _left_out(name: str, n: int) -> dict:
    return counted(f"page.{name}.left_out", f"rows of {name} that are not shown", max(n - numbers.MAX_ROWS, 0), how=_COUNTED)


# --- sentences


def _sentences(result) -> Iterable[dict]:
    """What the analysis says in words of its own and the page repeats word for word: design, reasons, why numbers are refused."""
    for key in words.DESIGN_ROWS:
        yield from _quote(f"page.design.{key}", result.design.get(key))
    for at, r in enumerate(numbers.rows(result.drift)):
        yield from _quote(f"page.drift.{at}.reason", r["reason"])
    yield from _quote("page.planner.reason", result.planner.get("reason"))
    yield from _quote("page.threshold.reason", result.threshold.get("reason"))
    yield from _quote("page.replace.reason", (result.replace or {}).get("reason"))
    for at, reason in enumerate(dict.fromkeys(e.reason for e in numbers.shown(result) if not e.ok)):
        yield from _quote(f"page.refused.{at}", reason)
    for at, one in enumerate(result.findings):
        yield counted(f"page.finding.{at}", terminal(one.text, 400), one.count, how="counted in the data")


def _quote(id: str, text: object) -> Iterable[dict]:
    """A sentence without its full stop, so that it is found inside a longer one; nothing for none."""
    if isinstance(text, str) and text:
        yield claim(
            id, terminal(text, 400).rstrip("."), Estimate.refused("a sentence"), unit="number", how="as the analysis says it"
        )
