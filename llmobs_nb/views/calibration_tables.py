"""The tables of the calibration page: each row names the claims of its numbers; names from the data are marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import units
from ..html import LINE, Head, Html, join, paragraph, stack, table, tag
from ..text import terminal
from . import calibration_numbers as numbers
from . import calibration_words as words
from .claimed import claimed, quoting, said, unclaimed
from .parts import BLUE, ORANGE, left_out, number_heads, trace_name, trace_names, two_lines, verdict_badge
from .theme import is_number, label

_COLOURS = {
    "trust": BLUE, "trust_with_correction": BLUE, "do_not_trust": ORANGE, "worse": ORANGE, "at_chance": ORANGE, "judge_drift": ORANGE, "both": ORANGE,
}  # fmt: skip
MAX_NEXT = 30
COMMENT = 300
LEAST_P = 0.01
CHANGES = {"points": "rate", "difference": "score"}


# --- the verdict


def verdict(result) -> Html:
    """The verdict card: the verdict in a word, a mark and a line, why, and what follows from it."""
    mark = verdict_badge(words.VERDICTS, result.verdict, _COLOURS)
    told = [
        paragraph(tag("span", mark, style="font-size:1.25em;"), " ", tag("b", said(result.headline))),
        paragraph("Why: ", said(result.reason)) if result.reason else "",
        paragraph("So: ", words.ADVICE.get(result.verdict, "")),
    ]
    return quoting(
        "div",
        *told,
        texts=[label(result.judge_name, 60)],
        style=f"border:1px solid {LINE};border-radius:6px;padding:.4em .9em;margin:.3em 0;",
    )


def compared(result) -> Html:
    """Which scores are compared."""
    judge, human = (_name(n) for n in (result.judge_name, result.human_name))
    return paragraph("judge ", judge, " against human ", human, f"; {label(result.kind, 20)} scores.", small=True)


def counts(result) -> Html:
    """How much there is of what."""
    told = {
        "paired": "targets with both",
        "judged": "judged targets",
        "human": "targets with a human label",
        "clusters": "clusters (sessions) of pairs",
    }
    rows = [[text, *_proved([units.count(result.n[k])], f"n.{k}")] for k, text in told.items() if k in result.n]
    return table(rows, [Head("there are"), *number_heads("n")])


def design(result) -> Html:
    """How the labels were drawn: what was said, what is used, by which test."""
    found = result.design
    rows = [["as declared", words.design(found.get("declared"))], ["as used", words.design(found.get("used"))]]
    for key, told in words.DESIGN_ROWS.items():
        if found.get(key):
            rows.append([told, claimed("span", terminal(found[key], 400), ids=[f"page.design.{key}"])])
    if is_number(found.get("p_value")):
        rows.append(["p of that test", _p(found["p_value"], "design.p_value")])
    return table(rows, [Head("how labels were drawn"), Head("")])


# --- numbers


def pass_rate(result) -> Html:
    """The judge's own pass rate, the corrected one, and that of each week."""
    head = [Head("pass rate"), *number_heads("value, 95 % interval", "n"), Head("method")]
    naive, corrected = (numbers.estimate(result.pass_rate.get(k)) for k in ("naive", "corrected"))
    rows = [
        ["as the judge says", *_estimate(naive, "rate", "pass_rate.naive"), "counted over all judged targets"],
        [
            "corrected",
            *_estimate(corrected, "rate", "pass_rate.corrected"),
            terminal(result.pass_rate.get("method"), 160),
        ],
    ]
    for r in numbers.weeks(result):
        rows.append(
            [
                f"week of {label(r['week'], 12)}",
                *_estimate(numbers.of_week(r), "rate", f"pass_rate.weekly.{r['week']}"),
                terminal(r["how"], 160),
            ]
        )
    return table(rows, head)


def agreement(result) -> Html:
    """Every measure of agreement with its interval; below it ceiling and floor, and how often each side passes."""
    rows = [
        [words.measure(name), *_estimate(e, words.agreement_unit(name), f"agreement.{name}")]
        for name, e in numbers.agreed(result)
    ]
    rows += [
        [words.CEILING, *_estimate(result.ceiling, "score", "ceiling")],
        [words.FLOOR, *_estimate(result.floor, "score", "floor")],
    ]
    for side, e in result.prevalence.items():
        rows.append([f"passed by the {label(side, 20)}", *_estimate(numbers.estimate(e), "rate", f"prevalence.{side}")])
    return table(rows, [Head("agreement"), *number_heads("value, 95 % interval", "n")])


def rates(result) -> Html:
    """How often one side says what the other said."""
    rows = [[words.RATES[name], *_estimate(e, "rate" if name != "auc" else "score", name)] for name, e in numbers.rates(result)]
    return table(rows, [Head("how often"), *number_heads("value, 95 % interval", "n")])


def confusion(result) -> Html:
    """The four cells; nothing where nothing is cut into pass and fail."""
    if not numbers.pairs(result):
        return Html("")
    cells = {
        name: claimed("span", units.count(result.confusion.get(name, 0)), ids=[f"confusion.{name}"]) for name in numbers.CELLS
    }
    rows = [["human passes", cells["tp"], cells["fn"]], ["human fails", cells["fp"], cells["tn"]]]
    return table(rows, [Head("pairs"), *number_heads("judge passes", "judge fails")])


def curve(result) -> list[list[object]]:
    """The reliability curve, a row a stretch of scores."""
    rows = []
    for at, r in enumerate(numbers.rows(result.curve)):
        between = f"{units.number(r['low'])} to {units.number(r['high'])}"
        human = two_lines(units.rate(r["human_rate"]), units.interval(r["ci_low"], r["ci_high"], "rate"))
        rows.append(
            [
                claimed("span", between, ids=[f"page.curve.{at}.*"]),
                *_proved([units.number(r["score"]), human, units.count(r["n"])], f"page.curve.{at}.*"),
            ]
        )
    return rows


def maps(result) -> Html:
    """The calibration error, and what the maps are for."""
    told = [paragraph("Expected calibration error: ", claimed("span", words.told(result.ece, "rate"), ids=["ece"]))]
    rows = []
    for name, r in result.maps.items():
        rows.append([label(name, 20), *_proved([units.number(r[k]) for k in ("brier", "brier_raw")], f"page.map.{name}.*")])
    head = [
        Head("map from score to share that humans pass"),
        *number_heads("mean squared error on sessions it has not seen", "without a map"),
    ]
    return stack(*told, table(rows, head) if rows else "")


# --- where it fails


def bias(result) -> Html:
    """What the judge leans on, both ways of asking."""
    head = [
        Head("covariate"),
        Head("unit"),
        *number_heads("at the same human label", "judge minus human, over all", "q"),
        Head(""),
    ]
    rows = []
    for at, r in enumerate(numbers.rows(result.bias)):
        effects = [_cell(numbers.estimate(r[k]), "difference", f"bias.{at}.{k}") for k in ("given_human", "marginal")]
        mark = verdict_badge({"flag": ("▲", "leans", "double")}, "flag", {"flag": ORANGE}) if r["flagged"] else ""
        rows.append(
            [_name(words.covariate(r["covariate"])), label(r["unit"], 60), *effects, _p(r["q"], f"page.bias.{at}.q"), mark]
        )
    return table(rows, head, empty="no covariate is known")


def slices(result) -> Html:
    """Agreement of each slice, and how far it is from the rest."""
    head = [Head("slice"), Head("verdict"), *number_heads("n", "share that agrees", "kappa", "kappa against the rest", "q")]
    rows = []
    for at, r in enumerate(numbers.rows(result.slices)):
        id, mark = f"page.slice.{at}", verdict_badge(words.SLICES, r["verdict"], _COLOURS)
        n, q = claimed("span", units.count(r["n"]), ids=[f"{id}.n"]), _p(r["q"], f"{id}.q")
        cells = [_cell(numbers.estimate(r["raw"]), "rate", f"{id}.raw")]
        cells += [
            _cell(numbers.estimate(r[k]), u, f"slices.{at}.{k}") for k, u in (("kappa", "score"), ("difference", "difference"))
        ]
        rows.append([_name(numbers.slice_name(r), 90), mark, n, *cells, q])
    return stack(table(rows, head, empty="no slice has enough pairs"), _rest(result.slices, "slices"))


def drift(result) -> list[list[object]]:
    """A row for all pairs, a week, a version, or two versions: agreement, what each witness passes, what moved and why."""
    rows = []
    for at, r in enumerate(numbers.rows(result.drift)):
        id = f"page.drift.{at}"
        cells = [_cell(numbers.estimate(r[k]), u, f"{id}.{k}") for k, u in words.drift_units(r).items()]
        mark = verdict_badge(words.DRIFT, r["verdict"], _COLOURS)
        why = claimed("span", terminal(r["reason"], 300), ids=[f"{id}.reason"])
        rows.append([_name(words.period(r)), *cells, _p(r["q"], f"{id}.q"), mark, why])
    return rows


def _cell(e, unit: str, id: str) -> Html:
    if not e.ok:
        return _why(e)
    limits = {"low": e.ci_low, "high": e.ci_high}
    if unit in CHANGES:
        shown = (
            units.change(e.value, CHANGES[unit], "absolute", **limits),
            units.interval(*limits.values(), CHANGES[unit], kind="absolute"),
        )
    else:
        shown = units.quantity(e.value, unit, **limits), units.interval(*limits.values(), unit)
    return claimed("span", two_lines(*shown), ids=[id])


# --- what to do


def plan(result) -> Html:
    """How many labels of which stratum, and the traces that come next."""
    rows = []
    for at, r in enumerate(numbers.strata(result)):
        counts = [units.count(r[k]) for k in ("size", "labelled", "labels")]
        rows.append([_name(r["stratum"], 90), *_proved([*counts, units.rate(r["human_rate"])], f"page.stratum.{at}.*")])
    head = [
        Head("judge's verdict × slice"),
        *number_heads("without a label", "labelled", "to label", "humans are expected to pass"),
    ]
    told = paragraph(words.planner(result))
    return stack(told, table(rows, head, empty="no stratum") if rows else "", _next(result))


def _next(result) -> Html:
    known = result.next_labels
    if not known:
        return Html("")
    rest = claimed("div", left_out(len(known) - MAX_NEXT), ids=["page.next.left_out"]) if len(known) > MAX_NEXT else ""
    return stack(paragraph(tag("b", "Label these next"), ":"), trace_names(known[:MAX_NEXT]), rest)


def disagreements(result) -> Html:
    """The pairs that differ most, each with a link to its trace and what was written."""
    rows = []
    for at, r in enumerate(numbers.rows(result.disagreements)):
        values = (_said(r[k], f"page.disagreement.{at}.{k}") for k in ("judge", "human"))
        comments = (unclaimed(terminal(r[k], COMMENT)) if isinstance(r[k], str) else "" for k in ("comment", "human_comment"))
        rows.append([_target(r), *values, *comments])
    head = [Head("trace"), *number_heads("judge", "human"), Head("the judge wrote"), Head("humans wrote")]
    return stack(table(rows, head, empty="judge and humans differ on no target"), _rest(result.disagreements, "disagreements"))


def _said(value: object, id: str) -> Html:
    """A score, or a word that was given as one."""
    return claimed("span", units.number(value), ids=[id]) if is_number(value) else unclaimed(label(value, 40))


def _target(row: dict) -> Html:
    """What was judged and labelled: a trace with its link, or a session."""
    known = isinstance(row["trace_id"], str)
    return trace_name(row["trace_id"], row["url"]) if known else join(["session ", trace_name(row["session_id"])])


def replacement(result) -> Html:
    """The alternative annotator test: its answer, a row a human that was left out, and a panel of judges where there is one."""
    found = result.replace
    rows = []
    for at, r in enumerate(found["raters"]):
        id = f"page.rater.{at}"
        cells = _proved([units.count(r["n"]), *(units.rate(r[k]) for k in ("judge", "human"))], f"{id}.*")
        rows.append([_name(r["rater_id"]), *cells, _p(r["p"], f"{id}.p"), "yes" if r["won"] else "no"])
    head = [Head("human left out"), *number_heads("targets", "judge as good", "human as good", "p"), Head("judge wins")]
    told = [claimed("p", words.replacement(result), ids=["page.replace.*"])]
    told += [paragraph(terminal(found["reason"], 300), small=True)] if found.get("reason") else []
    return stack(*told, table(rows, head), _panel(result))


def _panel(result) -> Html:
    rows = [[_name(name), *_estimate(e, "rate", f"page.panel.{at}")] for at, (name, e) in enumerate(numbers.panel(result))]
    return table(rows, [Head("judge of a panel"), *number_heads("agrees with humans", "n")]) if rows else Html("")


def dropped(result) -> Html:
    """What was left out and why."""
    rows = [
        [unclaimed(terminal(r["reason"], 200)), *_proved([units.count(r["count"])], f"dropped.{at}")]
        for at, r in enumerate(numbers.rows(result.dropped))
    ]
    return table(rows, [Head("left out"), *number_heads("n")], empty="nothing was left out")


# --- shared


def _p(value: object, id: str) -> Html:
    """A p or q: two decimals; a smaller one is only said to be so, a missing one is nothing."""
    if not is_number(value):
        return Html("")
    return claimed("span", f"below {LEAST_P}" if value < LEAST_P else units.number(value), ids=[id, "page.least_p"])


def _estimate(e, unit: str, id: str) -> Sequence[Html]:
    """Value with interval, and n; why where it is refused."""
    if not e.ok:
        return [_why(e), ""]
    return [_cell(e, unit, id), claimed("span", units.count(e.n), ids=[id])]


def _why(e) -> Html:
    """Why a number is refused, on lines of its own in a column of numbers; the sentence is that of the analysis."""
    style = "display:inline-block;max-width:17em;white-space:normal;font-size:.9em;opacity:.85;"
    return tag("span", terminal(e.reason or "not estimated", 300), style=style)


def _proved(cells: Iterable[object], *ids: str) -> list[Html]:
    return [claimed("div", cell, ids=ids) for cell in cells]


def _name(text: object, limit: int = 60) -> Html:
    """A name from the data: whatever numbers it holds are its own."""
    return tag("samp", label(text, limit), style="font-family:inherit;")


def _rest(frame, name: str) -> Html:
    """How many rows are in the result only."""
    left = left_out(len(frame) - numbers.MAX_ROWS)
    return claimed("div", left, ids=[f"page.{name}.left_out"]) if left else Html("")
