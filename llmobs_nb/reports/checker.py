"""Proof that a page says nothing of its own: each number a reader sees must be the number of a claim, as it is written there.

Left out where a page marks it so (``data-unclaimed``, see :mod:`llmobs_nb.views.claimed`): text from the data, numbers that only order.
Left out, by rule: dates, times and names of weeks; what stands in ``code``, ``samp``, ``kbd``, ``pre`` and links (names from the
data), and the same names elsewhere (not those of ``pre``); words that hold letters and digits (``p95``, ``gpt-4o``); the level of intervals; how much of a text
is cut; the list of arguments ("How this was made"); sentences quoted word for word from a claim. The text of pictures is seen in ``alt`` only.
Numbers written as words are not seen.
"""

from __future__ import annotations

import json
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
from ..views.claimed import ATTRIBUTE, EVERY, UNCLAIMED, claim_mark
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
_NAMES = frozenset(["a", "code", "kbd", "samp"])
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_NAME = "\ufffc"
_QUOTED_WORDS = 3
_NOT_THERE = "the page names a claim that is not there"

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
    r"(?P<long>(?<![\w.,])-?[\d,]+ (?:h \d\d min|min \d\d s)\b)"
    rf"|(?P<sign>(?<![\w.)])[-+])?(?<![\w.])(?P<usd>\$)?(?P<digits>{_DIGITS})"
    rf"(?:(?P<hundred> (?:in|of) every 100\b)|(?P<unit>{_UNIT}))?(?![\w]|[.,]\d)"
)
_RANGE = re.compile(r"\s*(?:to|and|-|–)\s*$")
_TURN = re.compile(r"\s*(?:points?|tokens?|requests?|answers?|users?)?\s*\b(?:(?P<up>more|higher|longer|slower|up|dearer)"
                   r"|(?P<down>less|fewer|lower|shorter|faster|down|cheaper)|(?P<any>worse|better))\b")  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A number that no claim carries (or none of those that its sentence names): as shown, why, and under which heading."""

    number: str
    sentence: str
    reason: str
    heading: str = ""

    def __str__(self) -> str:
        return f"{terminal(self.number, 40)} in {terminal(self.sentence, 160)!r}: {self.reason}"


@dataclass(frozen=True)
class Checked:
    """What the check of a page saw: how many numbers, how many of them a claim carries, and what is not proved."""

    numbers: int
    claimed: int
    problems: tuple[Problem, ...]


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
    """A stretch of text that a reader reads in one go, the claims that it names (None: any), the texts from the data in it, its heading."""

    text: str
    scope: tuple[str, ...] | None
    quotes: tuple[str, ...] = ()
    heading: str = ""


class Open(NamedTuple):
    """A tag that is open: its name, the claims that hold inside, and what in it is no claim: texts, or all of it."""

    tag: str
    scope: tuple[str, ...] | None
    quotes: tuple[str, ...]
    silent: bool = False


def check(html: str, claims: Claims) -> list[Problem]:
    """What in ``html`` is not proved by the ``claims`` (those of ``claims.json``), in the order of the page; [] when all is.

    A piece marked ``data-claims`` is compared with the claims it names only, any other with all. A number that is followed by
    "more" or "less" (or a word like them) must be the size of a number of that sign, one before "worse" or "better" of either.
    """
    return list(examine(html, claims).problems)


def examine(html: str, claims: Claims) -> Checked:
    """:func:`check` with the count of numbers it saw and of those that are proved; of a claim that is not there none is."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.flush()
    book, names = _Book(claims), _any_of(n for n in reader.names if len(n) > 2 and re.search(r"[^\W\d]", n))
    seen = [(len(numbers(_without(block, names))), _problems(block, book, names)) for block in reader.blocks]
    proved = sum(n - min(n, len(found)) if not _unnamed(found) else 0 for n, found in seen)
    return Checked(sum(n for n, _ in seen), proved, tuple(p for _, found in seen for p in found))


# --- the visible text


class _Reader(HTMLParser):
    """Blocks of visible text with the claims that they name, and the names that stand in it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.names: set[str] = set()
        self.open: list[Open] = []
        self.words: list[str] = []
        self.summary = ""
        self.heading = ""
        self.silent: int | None = None

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(reversed(attrs))
        quotes = _texts(given.get(UNCLAIMED))
        if tag not in _INLINE or ATTRIBUTE in given or quotes:
            self.flush()
        if tag not in _ALONE:
            self._enter(tag, given, quotes)
        if tag == "img" and given.get("alt"):
            self.words.append(given["alt"])
            self.flush()

    def _enter(self, tag: str, given: dict, quotes: tuple[str, ...]) -> None:
        outer = self._inside()
        scope = tuple((given[ATTRIBUTE] or "").split()) if ATTRIBUTE in given else outer.scope
        whole = tag == "pre" or (UNCLAIMED in given and not given[UNCLAIMED])
        self.open.append(Open(tag, scope, (*outer.quotes, *quotes), outer.silent or whole))
        if tag in _SILENT and self.silent is None:
            self.silent = len(self.open)
        if tag == "summary":
            self.summary = ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in (t.tag for t in self.open):
            return
        outer = self.open[-2] if len(self.open) > 1 else _OUTSIDE
        if tag not in _INLINE or (outer.scope, outer.quotes) != (self._inside().scope, self._inside().quotes):
            self.flush()
        while self.open.pop().tag != tag:
            pass
        if self.silent is not None and len(self.open) < self.silent:
            self.silent = None
        if tag == "summary" and self.summary.strip() == ARGUMENTS and self.silent is None:
            self.silent = len(self.open)

    def handle_data(self, data: str) -> None:
        if self.silent is not None:
            return
        tags = {t.tag for t in self.open}
        if "summary" in tags:
            self.summary += data
        if self._inside().silent:
            data = _NAME
        elif tags & _NAMES:
            self.names.add(_one_line(data))
            data = _NAME
        self.words.append(data)

    def flush(self) -> None:
        """End the block that is being read."""
        text, inside = _one_line("".join(self.words)), self._inside()
        if any(t.tag in _HEADINGS for t in self.open) and text:
            self.heading = text
        if any(c.isdigit() for c in text):
            self.blocks.append(Block(text, inside.scope, inside.quotes, self.heading))
        self.words.clear()

    def _inside(self) -> Open:
        return self.open[-1] if self.open else _OUTSIDE


_OUTSIDE = Open("", None, ())


def _texts(mark: str | None) -> tuple[str, ...]:
    """The texts from the data that a mark lists; one without a letter is none, a list that is broken lists none."""
    try:
        listed = json.loads(mark) if mark else []
    except ValueError:
        return ()
    listed = listed if isinstance(listed, list) else []
    return tuple(_one_line(t) for t in listed if isinstance(t, str) and re.search(r"[^\W\d]", t))


def _any_of(texts: Iterable[str]) -> re.Pattern | None:
    """A pattern for any of these texts as whole words, the longest first; None without a text."""
    ways = [re.escape(t) for t in sorted(set(texts), key=len, reverse=True)]
    return re.compile(rf"(?<!\w)(?:{'|'.join(ways)})(?!\w)") if ways else None


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
        moved = units.relative(value, low=low, high=high)
        return [moved, moved.lstrip("+")]
    moved = units.change(value, unit, "absolute", low=low, high=high)
    ways = [units.quantity(value, unit, low=low, high=high), moved, moved.lstrip("+")]
    return [*ways, plain.amount(value, unit, limits), share(value)] if unit == "rate" else ways


# --- the comparison


def _problems(block: Block, book: _Book, names: re.Pattern | None) -> list[Problem]:
    unknown = book.unknown(block.scope or ())
    if unknown:
        return [Problem(unknown[0], block.text, _NOT_THERE, block.heading)]
    found = _unproved(block, book, names)
    return _unproved(block._replace(text=book.without_quotes(block.text)), book, names, whole=block.text) if found else []


def _unnamed(found: Sequence[Problem]) -> bool:
    return any(p.reason == _NOT_THERE for p in found)


def _without(block: Block, names: re.Pattern | None) -> str:
    """The text of a block without the names in it."""
    for pattern in (_any_of(block.quotes), names):
        block = block._replace(text=pattern.sub(_NAME, block.text)) if pattern else block
    return block.text


def _unproved(block: Block, book: _Book, names: re.Pattern | None, whole: str | None = None) -> list[Problem]:
    text = _without(block, names)
    found = numbers(text)
    reasons = [_missing(n, turn, block, book) for n, turn in zip(found, _turns(found, text), strict=True)]
    told = zip(found, reasons, strict=True)
    return [Problem(text[n.at : n.end], whole or block.text, why, block.heading) for n, why in told if why]


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
