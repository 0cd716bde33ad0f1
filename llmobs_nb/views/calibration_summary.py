"""The calibration answer as lines for a terminal."""

from __future__ import annotations

from .. import units
from ..text import terminal
from . import calibration_numbers as numbers
from . import calibration_words as words
from .common_words import cue
from .theme import label

_LINES, _TOP = 30, 4


def summary(result) -> str:
    """The whole answer, at most thirty lines: verdict, why, pass rate, agreement, mistakes, leanings, slices, drift, labels, findings."""
    lines = [f"{cue(words.VERDICTS, result.verdict)[1].upper()}: {terminal(result.headline, 600)}"]
    if result.n:
        made = (_why, _counts, _passes, _agrees, _mistakes, _leans, _slices, _moves, _labels, _reads)
        lines += [line for part in made for line in part(result)]
    return "\n".join([*lines, *_findings(result)][:_LINES])


def _why(result) -> list[str]:
    told = [terminal(result.reason, 400)] if result.reason else []
    return [f"why: {t}" for t in told if t != terminal(result.headline, 400)]


def _counts(result) -> list[str]:
    n = {k: units.count(v) for k, v in result.n.items()}
    told = f"{words.who(result)}: {n['paired']} pairs in {n['clusters']} clusters, {n['judged']} judged, {n['human']} labelled"
    used = f"labels drawn {words.design(result.design.get('used'))} (said: {words.design(result.design.get('declared'))})"
    return [told, used]


def _passes(result) -> list[str]:
    method = terminal(result.pass_rate.get("method"), 120)
    return [f"pass rate: {words.pass_rate(result)}{f' ({method})' if method else ''}"]


def _agrees(result) -> list[str]:
    known = [f"{words.measure(name)} {words.told(e, words.agreement_unit(name))}" for name, e in numbers.agreed(result)[:_TOP]]
    rest = [f"{words.CEILING} {words.told(result.ceiling, 'score')}", f"{words.FLOOR} {words.told(result.floor, 'score')}"]
    return [f"  {line}" for line in (*known, *rest)]


def _mistakes(result) -> list[str]:
    rates = [f"  {words.RATES[name]}: {words.told(e, 'rate')}" for name, e in numbers.rates(result)[:2]]
    return [f"mistakes: {words.confusion(result)}", *rates]


def _leans(result) -> list[str]:
    return [f"leanings: {words.bias(result)}"] if len(result.bias) else []


def _slices(result) -> list[str]:
    return [f"slices: {words.slices(result)}"] if len(result.slices) else []


def _moves(result) -> list[str]:
    return [f"drift: {words.drift(result)}"] if len(result.drift) else []


def _labels(result) -> list[str]:
    told = [f"threshold: {words.threshold(result)}"] if numbers.thresholds(result) else []
    known = ", ".join(label(t, 60) for t in result.next_labels[:_TOP])
    return [*told, f"labels: {words.planner(result)}{f'; next: {known}' if known else ''}"]


def _reads(result) -> list[str]:
    known = ", ".join(
        label(r["trace_id"] if isinstance(r["trace_id"], str) else r["session_id"], 60)
        for r in numbers.rows(result.disagreements, _TOP)
    )
    return [f"read first: {known}"] if known else []


def _findings(result) -> list[str]:
    return [f"{f.severity}: {terminal(f.text, 300)}" for f in result.findings if terminal(f.text) != terminal(result.headline)]
