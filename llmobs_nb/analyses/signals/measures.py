"""The signals, declared once: what each looks at, when it fires, and how it is computed from one exchange. None is "not applicable"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...stats import grounding as g
from ..sampling.texts import Exchange

# Share of the answer's words and pairs of words found in the context: a copy has 1, sound paraphrases seldom less than a third.
ENOUGH_OVERLAP = 0.5


@dataclass(frozen=True)
class Signal:
    """One signal: values from 0 (no sign) to 1; it fires from ``fires`` on."""

    name: str
    label: str
    fires: float
    how: str


SIGNALS = (
    Signal("unknown_citation", "Cites what was not retrieved", 1e-9, "share of the answer's citations that name no retrieved document"),
    Signal("low_overlap", "Little in common with its context", 0.5,
           f"1 - overlap / {ENOUGH_OVERLAP:g}, at least 0; overlap: mean share of content words and of pairs of them that the context holds"),
    Signal("contradiction", "Contradicts itself", 1.0, "1 where two sentences on one matter differ in number or date, or deny one another"),
    Signal("disagreement", "Disagrees with other answers", 0.5, "share of other answers to the same question, feature and tenant that conflict"),
    Signal("hedging", "Hedges", 0.5, "share of sentences with a hedge"),
    Signal("low_confidence", "Says that it is unsure", 0.5, "1 - the confidence that the answer states"),
    Signal("user_report", "Reported by its user", 0.5, "1: low rating with a reason that calls it untrue; 0.5: low rating without a reason; else 0"),
    Signal("external", "Found by your own check", 0.5, "what the validate callable gave"),
)  # fmt: skip
NAMES = tuple(s.name for s in SIGNALS)
# The preset of the first review notebooks: sources, support, consistency.
SEED_WEIGHTS = {"unknown_citation": 0.3, "low_overlap": 0.4, "contradiction": 0.3}
_UNTRUE = re.compile(
    r"hallucinat|made[ -]?up|mak(?:es|ing) (?:\w+ )?up|invent|fabricat|wrong|incorrect|inaccura|untrue|not true|false|does(?: not|n.t) exist|no such|mistake",
    re.I,
)


@dataclass(frozen=True)
class Feedback:
    """What users said of a trace: whether any rating was low, and their reasons (labels and comments)."""

    low: bool
    reasons: tuple[str, ...] = ()


def measure(one: Exchange, others: Sequence[str], feedback: Feedback | None) -> dict[str, float | None]:
    """All signals of one exchange but the external one; ``others`` are other answers to its question. No answer: all None but the report."""
    out: dict[str, float | None] = dict.fromkeys(NAMES)
    out["user_report"] = _report(feedback)
    if not one.answer:
        return out
    cited = g.unknown_citations(one.answer, one.retrieved, one.context)
    overlap, own, sure = g.containment(one.answer, one.context), g.contradictions(one.answer), g.stated_confidence(one.answer)
    return out | {
        "unknown_citation": None if cited is None else len(cited[0]) / cited[1],
        "low_overlap": None if overlap is None else max(0.0, 1 - overlap / ENOUGH_OVERLAP),
        "contradiction": None if own is None else float(bool(own)),
        "disagreement": g.disagreement(one.answer, others),
        "hedging": g.hedging(one.answer),
        "low_confidence": None if sure is None else 1 - sure,
    }


def external(one: Exchange, validate: Callable[[str, str, str], float | bool | None]) -> float | None:
    """What a user's check ``validate(question, answer, context)`` says: a risk from 0 to 1, true for untrue, None for "cannot tell".

    Raises ValueError for anything else; what the check raises goes through.
    """
    told = validate(one.question, one.answer, one.context)
    if told is None:
        return None
    if not isinstance(told, (bool, int, float)) or not 0 <= told <= 1:
        raise ValueError(f"validate gave {told!r}; a risk is a number from 0 to 1, true, false or None")
    return float(told)


def risk(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The weighted mean of the signals that are known; None where none of those with a weight is."""
    known = {name: w for name, w in weights.items() if w > 0 and values[name] is not None}
    total = sum(known.values())
    return sum(w * values[name] for name, w in known.items()) / total if total else None


def band(value: float | None, bands: tuple[float, float]) -> str | None:
    """low, medium or high; None without a risk."""
    return None if value is None else "high" if value >= bands[1] else "medium" if value >= bands[0] else "low"


def _report(feedback: Feedback | None) -> float | None:
    if feedback is None:
        return None
    if not feedback.low:
        return 0.0
    if any(_UNTRUE.search(reason) for reason in feedback.reasons):
        return 1.0
    return 0.0 if feedback.reasons else 0.5
