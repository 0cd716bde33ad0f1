"""Proof that a page says nothing of its own: each number a reader sees must be the number of a claim, as it is written there.

Left out, by rule: dates, times and names of weeks; what stands in ``code``, ``samp``, ``kbd``, ``pre`` and links (names from the
data), and the same names elsewhere; words that hold letters and digits (``p95``, ``gpt-4o``); the level of intervals; how much of a text
is cut; the list of arguments ("How this was made"); sentences quoted word for word from a claim. The text of pictures is seen in ``alt`` only.
Numbers written as words are not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from typing import NamedTuple

from .. import units
from ..stats.estimate import finite
from ..text import terminal
from ..views import stakeholder_numbers as plain
from ..views.claimed import ATTRIBUTE, EVERY, claim_mark
from ..views.common_words import share

Claims = Sequence[Mapping[str, object]]

ARGUMENTS = "How this was made"
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "code",
        "del",
        "em",
        "i",
        "ins",
        "kbd",
        "mark",
        "q",
        "s",
        "samp",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
        "var",
        "wbr",
    ]
)
_ALONE = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
_SILENT = frozenset(["script", "style", "template", "title", "head"])
_NAMES = frozenset(["a", "code", "kbd", "pre", "samp"])
_NAME = "\ufffc"
_QUOTED_WORDS = 3

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]*"
_LEFT_OUT = re.compile(
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?"  # ISO date and time
    r"|\b\d{4}-(?:W\d\d|Q[1-4]|(?:0[1-9]|1[0-2])(?![\d-]))"  # week, quarter, month
    r"|\b\d\d:\d\d(?::\d\d)?\b"
    rf"|\b\d{{1,2}} {_MONTH}\b(?: \d{{4}}\b)?"
    r"|\b\d\d(?:\.\d)? % (?:confidence )?intervals?\b"
    r"|\bslowest (?:half|\d+ %)"
    r"|^\d{1,2}\. "  # number of an item
    r"|… \[[\d,]+ characters more\]"
)
_UNIT = r"\s?(?:%|pp\b|ms\b|s\b|min\b|h\b)|[kKMBx]\b|×"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_RUN = re.compile(r"[\w@#./+$-]+")
_PLAIN = re.compile(rf"[-+]?\$?(?:{_DIGITS})(?:{_UNIT})?[.]?")
_NUMBER = re.compile(
    r"(?P<long>(?<![\w.])-?[\d,]+ (?:h \d\d min|min \d\d s)\b)"
    rf"|(?P<sign>(?<![\w.)])[-+])?(?<![\w.])(?P<usd>\$)?(?P<digits>{_DIGITS})"
    rf"(?:(?P<hundred> (?:in|of) every 100\b)|(?P<unit>{_UNIT}))?(?![\w]|[.,]\d)"
)
_RANGE = re.compile(r"\s*(?:to|and|-|–)\s*$")
_TURN = re.compile(r"\s*(?:points?|tokens?|requests?|answers?|users?)?\s*\b(?:(?P<up>more|higher|longer|slower|up|dearer)"
                   r"|(?P<down>less|fewer|lower|shorter|faster|down|cheaper)|(?P<any>worse|better))\b")  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A number that no claim carries (or none of those that its sentence names): as shown, where, and why."""

    number: str
    sentence: str
    reason: str

    def __str__(self) -> str:
        return f"{terminal(self.number, 40)} in {terminal(self.sentence, 160)!r}: {self.reason}"


class Number(NamedTuple):
    """A number as it is written: sign (``-``, ``+`` or none), digits, unit, and where it stands."""

    sign: str
    digits: str
    unit: str
    at: int = 0
    end: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.sign, self.digits, self.unit


class Block(NamedTuple):
    """A stretch of text that a reader reads in one go, and the claims that it names (None: any)."""

    text: str
    scope: tuple[str, ...] | None


def check(html: str, claims: Claims) -> list[Problem]:
    """What in ``html`` is not proved by the ``claims`` (those of ``claims.json``), in the order of the page; [] when all is.

    A piece marked ``data-claims`` is compared with the claims it names only, any other with all. A number that is followed by
    "more" or "less" (or a word like them) must be the size of a number of that sign, one before "worse" or "better" of either.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.flush()
    book = _Book(claims)
    names = sorted((n for n in reader.names if len(n) > 2 and re.search(r"[^\W\d]", n)), key=len, reverse=True)
    return [problem for block in reader.blocks for problem in _problems(block, book, names)]


# --- the visible text


class _Reader(HTMLParser):
    """Blocks of visible text with the claims that they name, and the names that stand in it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.names: set[str] = set()
        self.open: list[tuple[str, tuple[str, ...] | None]] = []
        self.words: list[str] = []
        self.summary = ""
        self.silent: int | None = None

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(reversed(attrs))
        named = given.get(ATTRIBUTE)
        if tag not in _INLINE or named is not None:
            self.flush()
        if tag == "img" and given.get("alt"):
            self.words.append(given["alt"])
            self.flush()
        if tag in _ALONE:
            return
        self.open.append((tag, self._scope() if named is None else tuple(named.split())))
        if tag in _SILENT and self.silent is None:
            self.silent = len(self.open)
        if tag == "summary":
            self.summary = ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in (t for t, _ in self.open):
            return
        outer = self.open[-2][1] if len(self.open) > 1 else None
        if tag not in _INLINE or outer != self._scope():
            self.flush()
        while self.open.pop()[0] != tag:
            pass
        if self.silent is not None and len(self.open) < self.silent:
            self.silent = None
        if tag == "summary" and self.summary.strip() == ARGUMENTS and self.silent is None:
            self.silent = len(self.open)

    def handle_data(self, data: str) -> None:
        if self.silent is not None:
            return
        tags = {t for t, _ in self.open}
        if tags & _NAMES:
            self.names.add(_one_line(data))
            data = _NAME
        self.words.append(data)
        if "summary" in tags:
            self.summary += data

    def flush(self) -> None:
        """End the block that is being read."""
        text = _one_line("".join(self.words))
        if any(c.isdigit() for c in text):
            self.blocks.append(Block(text, self._scope()))
        self.words.clear()

    def _scope(self) -> tuple[str, ...] | None:
        return self.open[-1][1] if self.open else None


def _one_line(text: str) -> str:
    return " ".join(text.replace("−", "-").split())


# --- the numbers in it


def numbers(text: str) -> list[Number]:
    """The numbers of a text as they are written; one that opens a range has the unit of the one that closes it."""
    text = _LEFT_OUT.sub(lambda m: " " * len(m.group()), text)
    text = _RUN.sub(lambda m: _NAME * len(m.group()) if _is_name(m.group()) else m.group(), text)
    found = [_number(m) for m in _NUMBER.finditer(text)]
    for at in range(len(found) - 2, -1, -1):
        one, other = found[at], found[at + 1]
        if not one.unit and other.unit and _RANGE.fullmatch(text[one.end : other.at]):
            found[at] = one._replace(unit=other.unit)
    return found


def _is_name(run: str) -> bool:
    return any(map(str.isdigit, run)) and any(c.isalpha() or c == "_" for c in run) and not _PLAIN.fullmatch(run)


def _number(match: re.Match) -> Number:
    at, end = match.span()
    if match["long"]:
        long = match["long"]
        return Number("-" if long.startswith("-") else "", long.lstrip("-"), "long", at, end)
    unit = "$" if match["usd"] else "%%" if match["hundred"] else (match["unit"] or "").strip()
    return Number(match["sign"] or "", match["digits"], unit, at, end)


# --- what claims carry


class _Book:
    """Every way in which the numbers of claims may be written, and who carries each."""

    def __init__(self, claims: Claims):
        self.carriers: dict[tuple[str, ...], set[str]] = {}
        self.marks = [claim_mark(c["id"]) for c in claims]
        self.known = set(self.marks)
        self.texts = [_one_line(terminal(c.get("text"), None)) for c in claims]
        for claim, mark in zip(claims, self.marks, strict=True):
            for key in _written(claim):
                self.carriers.setdefault(key, set()).add(mark)

    def who(self, number: Number, turn: str | None) -> set[str]:
        """The claims that carry a number; with a ``turn`` (up, down, any) those whose number has that sign and this size."""
        return self.carriers.get((*number.key, turn) if turn else number.key, set())

    def without_quotes(self, text: str) -> str:
        """``text`` without the sentences that stand in it, or that it stands in, word for word."""
        if _is_sentence(text) and any(text in whole for whole in self.texts):
            return ""
        for quote in self.texts:
            if len(quote) <= len(text) and quote in text and _is_sentence(quote):
                text = text.replace(quote, _NAME)
        return text

    def unknown(self, scope: Iterable[str]) -> list[str]:
        """The marks of a scope that no claim has."""
        new = [mark for mark in scope if mark not in self.known and not any(_fits(m, mark) for m in self.marks)]
        self.known.update(set(scope).difference(new))
        return new


def _fits(mark: str, wanted: str) -> bool:
    return mark.startswith(wanted[:-1]) if wanted.endswith(EVERY) else mark == wanted


def _written(claim: Mapping) -> Iterable[tuple[str, ...]]:
    """The numbers of a claim as they may be written: sign, digits and unit; for a size without sign its direction too."""
    unit = str(claim.get("unit") or "")
    limits = finite(claim.get("ci_low")), finite(claim.get("ci_high"))
    for value in {finite(claim.get("value")), *limits} - {None}:
        turns = [t for t, fits in (("up", value >= 0), ("down", value <= 0), ("any", True)) if fits]
        ways = (limits, plain.NO_LIMITS)
        for text in {text for digits in ways for text in _signed(value, unit, digits)}:
            yield from _keys(text)
        for text in {text for digits in ways for text in _unsigned(value, unit, digits)}:
            yield from ((*key, turn) for key in _keys(text) for turn in turns)
    if claim.get("n") is not None:
        yield from _keys(units.count(claim["n"]))


@lru_cache(maxsize=50_000)
def _keys(text: str) -> tuple[tuple[str, str, str], ...]:
    """The numbers of a short text; claims hold the same ones again and again."""
    return tuple(n.key for n in numbers(text))


def _unsigned(value: float, unit: str, limits: plain.Limits) -> list[str]:
    """How large a number is, as a level and as a change."""
    return [plain.size(value, unit, limits), *(text.lstrip("+-") for text in _signed(value, unit, limits))]


def _signed(value: float, unit: str, limits: plain.Limits) -> list[str]:
    """A number as a level and as a change."""
    low, high = limits
    if unit == "relative":
        return [units.relative(value, low=low, high=high)]
    ways = [units.quantity(value, unit, low=low, high=high), units.change(value, unit, "absolute", low=low, high=high)]
    return [*ways, plain.amount(value, unit, limits), share(value)] if unit == "rate" else ways


# --- the comparison


def _problems(block: Block, book: _Book, names: Sequence[str]) -> list[Problem]:
    unknown = book.unknown(block.scope or ())
    if unknown:
        return [Problem(unknown[0], block.text, "the page names a claim that is not there")]
    found = _unproved(block.text, block, book, names)
    return _unproved(book.without_quotes(block.text), block, book, names) if found else []


def _unproved(text: str, block: Block, book: _Book, names: Sequence[str]) -> list[Problem]:
    for name in names:
        text = text.replace(name, _NAME)
    found = numbers(text)
    reasons = [_missing(n, turn, block, book) for n, turn in zip(found, _turns(found, text), strict=True)]
    return [Problem(text[n.at : n.end], block.text, why) for n, why in zip(found, reasons, strict=True) if why]


def _turns(found: Sequence[Number], text: str) -> list[str | None]:
    """The direction that is said of each number, ``up`` or ``down``; one that opens a range has that of the one that closes it."""
    turns = [m and m.lastgroup for m in (_TURN.match(text, n.end) for n in found)]
    for at in range(len(found) - 2, -1, -1):
        if _RANGE.fullmatch(text[found[at].end : found[at + 1].at]):
            turns[at] = turns[at] or turns[at + 1]
    return turns


def _missing(number: Number, turn: str | None, block: Block, book: _Book) -> str | None:
    """Why a number is not proved; None when it is."""
    found = book.who(number, turn)
    if not found:
        return "no claim carries it"
    if block.scope is not None and not any(_fits(mark, wanted) for mark in found for wanted in block.scope):
        return "none of the claims that it names carries it"
    return None


def _is_sentence(text: str) -> bool:
    """Whether a text is long enough to be a quote rather than a number with its name."""
    return len(re.findall(r"[^\W\d_]{2,}", text)) >= _QUOTED_WORDS
