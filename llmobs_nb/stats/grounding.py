"""What a text says against what it was given and against itself: citations, overlap, contradictions, hedging. No model is called.

Pure functions over plain text. Each gives None where its question does not arise (nothing cited, nothing to compare), so that
"not applicable" is never read as "fine". The lists of words are English; overlap and citations work in any script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise, product

STEM = 6  # letters of a word that are compared: enough to tell words apart, few enough to forgive their endings
SAME_TOPIC = 0.7
LEAST_WORDS = 3
MOST_SENTENCES = 200

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.S)
_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_STEP = re.compile(r"^\s*(?:[-*•]\s+|\(?\d{1,2}[.)]\s+)")
_STOP_WORDS = """
a an the and or but if then than that this these those there here it its is are was were be been being am do does did done has have
had having of to in on at by for from with without into onto over under about as so such can could may might must shall should will
would you your we our they their he she his her i my me us them not no nor also only just very more most some any each which who
whom whose what when where why how all both either per via up out off again once please
"""
_STOP = frozenset(_STOP_WORDS.split())

_URL = re.compile(r"\bhttps?://[^\s<>()\[\]\"'`]+", re.I)
_BRACKET = re.compile(r"(?<![\w\]])\[\^?([^\[\]\n]{1,80})\](?!\()")
_SOURCE = re.compile(r"\((?:source|sources|see|ref|quelle|fuente)s?:\s*([^()\n]{1,160})\)", re.I)
_ID = re.compile(r"(?=.*\d)[A-Za-z][\w.:/#-]*", re.A)
_NUMBERS = re.compile(r"\d{1,3}")
_SPLIT = re.compile(r"\s*[,;]\s*")


def citations(answer: str) -> list[str]:
    """What an answer cites, in order, each once: ``[1]``, ``[doc-3]``, ``(source: x)`` and addresses.

    Code is left out, and so is a bracket that holds neither a number nor something like an id (letters with a digit).
    """
    text = _CODE.sub(" ", answer)
    found = [url.rstrip(".,;:!?*_") for url in _URL.findall(text)]
    for inside in _BRACKET.findall(text):
        parts = [part.removeprefix("^") for part in _SPLIT.split(inside.strip())]
        if all(_NUMBERS.fullmatch(p) or _ID.fullmatch(p) for p in parts):
            found += parts
    for inside in _SOURCE.findall(text):
        found += [part.strip("[] ") for part in _SPLIT.split(inside) if part.strip("[] ") and not _URL.match(part)]
    return list(dict.fromkeys(found))


def unknown_citations(answer: str, ids: Sequence[str], context: str = "") -> tuple[list[str], int] | None:
    """Citations that name nothing that was retrieved, and how many citations there are; None where there is none or no retrieval.

    ``[3]`` is known where at least three documents were retrieved, an id where one has it (with or without its path, ending or
    chunk number), anything where it stands word for word in ``context``.
    """
    cited = citations(answer)
    if not cited or not (ids or context):
        return None
    names, text = {name for one in ids for name in _names(one)}, context.casefold()
    return [c for c in cited if not _known(c, names, len(ids), text)], len(cited)


def _known(cited: str, names: set[str], count: int, context: str) -> bool:
    if _NUMBERS.fullmatch(cited):
        return 1 <= int(cited) <= count or cited in names or f"[{cited}]" in context
    if _names(cited) & names:
        return True
    plain = _address(cited) if _URL.match(cited) else cited.casefold()
    return re.search(rf"(?<![\w-]){re.escape(plain)}(?![\w-])", context) is not None


def _names(one: str) -> set[str]:
    """The names that an id goes by: itself, its last part, and both without chunk number and ending."""
    whole = _address(one)
    forms = {whole, whole.split("#")[0], whole.rsplit("/", 1)[-1] if not _URL.match(one) else whole}
    return forms | {re.sub(r"\.(?:md|txt|pdf|html?|docx?)$", "", form) for form in (*forms, *(f.split("#")[0] for f in forms))}


def _address(one: str) -> str:
    return re.sub(r"^https?://(?:www\.)?", "", one.strip().casefold()).rstrip("/.,;:!?")


def content_words(text: str) -> list[str]:
    """The words that carry content, by their first letters, in order; runs of a script without blanks as pairs of characters."""
    out: list[str] = []
    for word in _WORDS.findall(text.casefold()):
        if _CJK.search(word):
            out += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        elif word.isdigit() or (len(word) > 2 and word not in _STOP):
            out.append(word.removesuffix("s")[:STEM])
    return out


def containment(answer: str, context: str) -> float | None:
    """Share of what the answer says that stands in the context: mean of its content words and of their neighbouring pairs.

    Each word and pair counts once. 1 is a copy, 0 shares nothing; None for an answer of fewer than five content words, or no context.
    """
    said, given = content_words(_CODE.sub(" ", answer)), content_words(context)
    words = set(said)
    if len(words) < 5 or not given:
        return None
    pairs, there = set(pairwise(said)), set(pairwise(given))
    return 0.5 * len(words & set(given)) / len(words) + 0.5 * len(pairs & there) / len(pairs)


_MONTH_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS = {m: i for i, m in enumerate(_MONTH_NAMES.split("|"), 1)}
_MONTH = rf"({_MONTH_NAMES})[a-z]*\.?"
_DATES = (
    (re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b"), ("year", "month", "day")),
    (re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+(\d{{4}}))?\b", re.I), ("day", "month", "year")),
    (re.compile(rf"\b{_MONTH}\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(\d{{4}}))?\b", re.I), ("month", "day", "year")),
)
_AMOUNT = re.compile(r"(?<![\w.,])([$€£])?(\d+(?:[,.]\d{3})*(?:\.\d+)?|\d+)(?![\w]*\d)\s*(%|percent\b|[^\W\d_]{2,})?")
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|can't|won't|isn't|aren't|doesn't|don't|didn't|wasn't|without|unable)\b|n['’]t\b", re.I
)
_CONTRAST = re.compile(
    r"\b(?:instead|rather than|unlike|except|otherwise|previously|formerly|used to|before|after|until|unless|if|when|whereas|while"
    r"|however|but|or|from .+ to|between)\b",
    re.I,
)

# "Departure: 17:00", "Option 2:": a field of a listing, of which the next entry has another value.
_FIELD = re.compile(r"\W*[^.:!?]{1,60}:(?:\W|$)")
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b")
STATEMENT = 4  # words of the shortest sentence that another one can contradict


@dataclass(frozen=True)
class Conflict:
    """Two sentences that cannot both be so: ``kind`` is number, date or negation."""

    kind: str
    first: str
    second: str


@dataclass(frozen=True)
class _Said:
    """One sentence as it is compared: its content words, amounts by unit, dates, and whether it is negated."""

    text: str
    words: frozenset[str]
    amounts: dict[str, frozenset[float]]
    dates: tuple[dict[str, int], ...]
    negated: bool


def sentences(text: str) -> list[str]:
    """The sentences and list items of a text, without code and without the marks and numbers of lists."""
    parts = (_STEP.sub("", part).strip() for part in _SENTENCE.split(_CODE.sub(" ", text)))
    return [part for part in parts if part][:MOST_SENTENCES]


def contradictions(answer: str) -> list[Conflict] | None:
    """Pairs of sentences of one answer about the same thing that give it another number or date, or deny one another.

    Two sentences are about the same thing where seven in ten of their content words agree. Sentences that contrast or set a
    condition ("but", "if", "between"), fields of listings ("Price: $3") and fragments are not compared. None where no two
    sentences are about the same thing.
    """
    return _conflicts(combinations(_compared(answer), 2), SAME_TOPIC)


def disagreement(answer: str, others: Iterable[str]) -> float | None:
    """Share of other answers to the same question that say something else; None without another answer.

    Two answers disagree where a number, a date or a denial of one conflicts with the other's (half of the words in common are
    enough: the question is the same), where one begins with yes and the other with no, or where both are of at most three
    content words and differ.
    """
    told = [_disagree(answer, other) for other in others]
    return sum(told) / len(told) if told else None


def _disagree(a: str, b: str) -> bool:
    if a == b:
        return False
    short = [content_words(text) for text in (a, b)]
    if max(map(len, short)) <= LEAST_WORDS:
        return short[0] != short[1] or _yes_no(a) != _yes_no(b)
    if {_yes_no(a), _yes_no(b)} == {"yes", "no"}:
        return True
    return bool(_conflicts(product(_compared(a), _compared(b)), 0.5))


@lru_cache(maxsize=4096)  # an answer is compared with several others
def _compared(answer: str) -> tuple[_Said, ...]:
    return tuple(_said(s) for s in sentences(answer) if _is_statement(s))


def _is_statement(sentence: str) -> bool:
    """Whether a sentence says something that another one can contradict."""
    return not (_CONTRAST.search(sentence) or _FIELD.match(sentence)) and len(_WORDS.findall(sentence)) >= STATEMENT


def _yes_no(text: str) -> str | None:
    found = re.match(r"\W*(yes|no)\b", text, re.I)
    return found.group(1).lower() if found else None


def _conflicts(pairs: Iterable[tuple[_Said, _Said]], same: float) -> list[Conflict] | None:
    compared, out = False, []
    for a, b in pairs:
        both = a.words | b.words
        if not both or len(a.words & b.words) < max(same * len(both), 1):
            continue
        if a.text.casefold() == b.text.casefold():
            continue
        compared = True
        kind = _kind(a, b)
        if kind:
            out.append(Conflict(kind, a.text, b.text))
    return out if compared else None


def _kind(a: _Said, b: _Said) -> str | None:
    if a.negated != b.negated:
        return "negation" if len(a.words & b.words) >= LEAST_WORDS and a.amounts == b.amounts else None
    if a.dates and b.dates and not any(_agree(x, y) for x in a.dates for y in b.dates):
        return "date"
    shared = a.amounts.keys() & b.amounts.keys()
    return "number" if any(not (a.amounts[u] & b.amounts[u]) for u in shared) else None


def _agree(x: dict[str, int], y: dict[str, int]) -> bool:
    return all(x[k] == y[k] for k in x.keys() & y.keys())


def _said(sentence: str) -> _Said:
    dates, rest = _dates(sentence)
    rest = _BRACKET.sub(" ", _CLOCK.sub(" ", rest))
    amounts: dict[str, set[float]] = {}
    for currency, value, unit in _AMOUNT.findall(rest):
        name = currency or ("%" if unit in ("%", "percent") else _unit(unit))
        amounts.setdefault(name, set()).add(_value(value))
    words = frozenset(w for w in content_words(_NEGATION.sub(" ", rest)) if not w.isdigit())
    return _Said(sentence, words, {u: frozenset(v) for u, v in amounts.items()}, dates, bool(_NEGATION.search(sentence)))


def _unit(word: str) -> str:
    low = word.casefold()
    return "" if low in _STOP else low.removesuffix("s")


def _value(text: str) -> float:
    return float(re.sub(r"[,.](?=\d{3}(?:\D|$))", "", text)) if re.search(r"[,.]\d{3}", text) else float(text.replace(",", "."))


def _dates(sentence: str) -> tuple[tuple[dict[str, int], ...], str]:
    """The dates of a sentence, with what of day, month and year they tell, and the sentence without them."""
    found: list[dict[str, int]] = []
    for pattern, names in _DATES:
        for match in pattern.finditer(sentence):
            parts = zip(names, match.groups(), strict=True)
            found.append({n: _MONTHS.get(v[:3].lower()) or int(v) for n, v in parts if v})
        sentence = pattern.sub(" ", sentence)
    return tuple(found), sentence


_HEDGE = re.compile(
    r"\b(?:I(?:'m| am) not (?:sure|certain|confident)|I (?:think|believe|guess|assume|suppose)|as far as I know|to (?:the best of )?my knowledge"
    r"|it (?:seems|appears)|probably|perhaps|maybe|possibly|presumably|might be|may be|could be|not entirely (?:sure|clear)|unclear whether"
    r"|I (?:could not|couldn't|cannot|can't|was unable to) (?:find|verify|confirm)|double[- ]check|please verify)\b",
    re.I,
)
_CONFIDENCE = (
    re.compile(r"\bconfidence(?:[_ ](?:score|level))?[\"']?\s*(?:[:=]|is|of)\s*[\"']?(\d+(?:\.\d+)?\s*(?:%|/\s*10\b)?|very low|low|medium|moderate|high|very high)", re.I),
    re.compile(r"\b(\d{1,3}(?:\.\d+)?\s*%)\s*(?:confident|sure|certain)\b", re.I),
)  # fmt: skip
_CONFIDENCE_WORDS = {"very low": 0.1, "low": 0.3, "medium": 0.5, "moderate": 0.5, "high": 0.8, "very high": 0.95}


def hedging(answer: str) -> float | None:
    """Share of the sentences that hedge ("I think", "probably", "could not verify"); None for an answer without a sentence."""
    parts = sentences(answer)
    return sum(bool(_HEDGE.search(s)) for s in parts) / len(parts) if parts else None


def stated_confidence(answer: str) -> float | None:
    """How sure the answer says it is, from 0 to 1: ``confidence: 0.7``, ``80 % sure``, ``confidence: low``; None where it says nothing."""
    for pattern in _CONFIDENCE:
        if match := pattern.search(answer):
            return _confidence(re.sub(r"\s+", " ", match.group(1).lower()))
    return None


def _confidence(told: str) -> float | None:
    if told in _CONFIDENCE_WORDS:
        return _CONFIDENCE_WORDS[told]
    value = float(re.match(r"[\d.]+", told).group())
    value /= 100 if "%" in told else 10 if "/" in told else 1
    value = value / 100 if 1 < value <= 100 and not re.search(r"[%/]", told) else value
    return value if 0 <= value <= 1 else None


def question_key(question: str) -> str:
    """A question as it is compared with others: lower case, words and numbers only, one blank between them."""
    return " ".join(_WORDS.findall(question.casefold()))
