"""Wording that was not there before: word shingles first seen late, put together to the passage that they come from.

A shingle of words that occurs in k of n texts, all of them after some moment, would do so by chance with probability of about
(share of texts after it) to the power of k. No time of change needs to be known.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WORDS = 4
LEAST = 8
SURE = 14.0
SAME = 0.8
FRONT = 60
SHORTEST = 12  # characters of a probe: anything shorter is found everywhere
_WORD = re.compile(r"\S+")
_DIGITS = re.compile(r"\d+")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HIGH, _LOW, _BITS = np.uint64(42), np.uint64(20), np.uint64((1 << 22) - 1)


@dataclass(frozen=True, eq=False)
class Phrase:
    """A passage that some texts have from a moment on.

    ``text`` is the passage as one text has it, ``probe`` a part of it that lies in one line and can be searched for; ``docs`` are
    the texts of the sample that have it, ``since`` the place of the first of them in time; ``surprise`` is minus the log of the
    chance that so many came so late. ``text`` may be long; it is hostile.
    """

    text: str
    probe: str
    docs: np.ndarray
    since: int
    surprise: float


def new_phrases(texts: Sequence[str], *, most: int = 5, words: int = WORDS) -> list[Phrase]:
    """The passages that begin to occur somewhere in ``texts``, which are in the order of time; the most surprising first.

    Numbers are all alike, so that dates and ids are no news. Empty for fewer than 50 texts, or where nothing is new. For
    passages that vanish give the texts in reverse. Texts count as independent: what one person repeats counts as often.
    """
    if len(texts) < 50:
        return []
    shingles = _shingles(texts, words)
    late = _late(shingles, len(texts))
    out = []
    for docs, surprise in _groups(shingles, late, most):
        shared = late.code[late.size >= SAME * len(docs)]
        found = _passage(texts, shingles, shared, docs, surprise, words)
        out += [found] if found else []
    return out


@dataclass(frozen=True, eq=False)
class _Shingles:
    """One element per shingle of a text: which text, which shingle, at which word it starts."""

    doc: np.ndarray
    code: np.ndarray
    word: np.ndarray


@dataclass(frozen=True, eq=False)
class _Late:
    """One element per shingle that is new, the most surprising first: in how many texts, which (as a key), how surprising."""

    code: np.ndarray
    size: np.ndarray
    key: np.ndarray
    surprise: np.ndarray


def _shingles(texts: Sequence[str], words: int) -> _Shingles:
    """All shingles within a line that may be chosen: not those of the first texts, nor those of too few."""
    ids, doc, line, place = _read(texts)
    length = len(ids) - words + 1
    if length <= 0:
        return _Shingles(*(np.zeros(0, int) for _ in range(3)))
    mixed = np.zeros(length, np.uint64)
    for k in range(words):
        mixed = mixed * _MIX + ids[k : k + length].astype(np.uint64) + np.uint64(1)
    here = np.flatnonzero(line[:length] == line[words - 1 :])
    # No number of texts makes a shingle that the first of them have surprising.
    first = len(texts) * -math.expm1(-SURE / (len(texts) - 1))
    here = here[~_among(mixed[here], mixed[here][doc[here] <= first])]
    bucket = (mixed[here] >> _HIGH).astype(np.int64)
    here = here[np.bincount(bucket, minlength=1)[bucket] >= LEAST]
    code = np.unique(mixed[here], return_inverse=True)[1]
    return _Shingles(doc[here], code, place[here])


def _read(texts: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Every word of all texts: which word, in which text, in which line, at which place of its text. A line is read once."""
    known: defaultdict[str, int] = defaultdict()
    known.default_factory = known.__len__
    lines: dict[str, np.ndarray] = {}
    parts, docs = [np.zeros(0, np.int64)], [0]
    for d, text in enumerate(texts):
        for line in text.splitlines():
            if line not in lines:
                lines[line] = np.array([known[w] for w in _DIGITS.sub("0", line).split()], np.int64)
            parts.append(lines[line])
            docs.append(d)
    sizes = np.array([len(part) for part in parts])
    doc = np.repeat(docs, sizes)
    counts = np.bincount(doc, minlength=len(texts))
    place = np.arange(len(doc)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.concatenate(parts), doc, np.repeat(np.arange(len(parts)), sizes), place


def _among(values: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Which hashes are among some others, by two tables of their bits: wrong for one in millions."""
    out = np.ones(len(values), bool)
    for shift in (_HIGH, _LOW):
        table = np.zeros(1 << 22, bool)
        table[(some >> shift) & _BITS] = True
        out &= table[(values >> shift) & _BITS]
    return out


def _late(shingles: _Shingles, texts: int) -> _Late:
    if not len(shingles.doc):
        return _Late(*(np.zeros(0) for _ in range(4)))
    code, doc = np.divmod(np.unique(shingles.code * texts + shingles.doc), texts)
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    size = np.diff(np.append(starts, len(code)))
    first = doc[starts]  # of one code the texts are in order
    key = np.add.reduceat(np.random.default_rng(0).integers(1, 2**40, texts)[doc], starts)
    surprise = -(size - 1) * np.log(1 - first / texts)
    chosen = np.flatnonzero((size >= LEAST) & (surprise > SURE))
    order = chosen[np.lexsort((-size[chosen], -surprise[chosen]))]
    return _Late(code[starts][order], size[order], key[order], surprise[order])


def _groups(shingles: _Shingles, late: _Late, most: int) -> list[tuple[np.ndarray, float]]:
    """Sets of texts that share new shingles, one for each passage, with its surprise."""
    distinct = np.sort(np.unique(late.key, return_index=True)[1])[:FRONT]
    out: list[tuple[np.ndarray, float]] = []
    for at in distinct:
        docs = np.unique(shingles.doc[shingles.code == late.code[at]])
        if not any(_alike(docs, other) for other, _ in out):
            out.append((docs, float(late.surprise[at])))
        if len(out) >= most:
            break
    return out


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both >= SAME * (len(a) + len(b) - both) or both >= 0.95 * len(a)


def _passage(texts, shingles: _Shingles, codes: np.ndarray, docs: np.ndarray, surprise: float, words: int) -> Phrase | None:
    """The longest run of new shingles in a text of the group; a line break does not end it."""
    doc = int(docs[len(docs) // 2])
    mine = (shingles.doc == doc) & np.isin(shingles.code, codes)
    if not mine.any():
        return None
    text = texts[doc]
    spans = [m.span() for m in _WORD.finditer(text)]
    first, last = max(_runs(shingles.word[mine], words, text, spans), key=lambda r: r[1] - r[0])
    passage = text[spans[first][0] : spans[last - 1][1]]
    parts = [part.strip() for line in passage.splitlines() for part in _DIGITS.split(line)]
    probe = max(parts, key=len)
    return Phrase(passage, probe, docs, int(docs[0]), surprise) if len(probe) >= SHORTEST else None


def _runs(starts: np.ndarray, words: int, text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of words (from, to) that the shingles cover; two that only a line break parts are one."""
    runs: list[tuple[int, int]] = []
    for w in np.sort(starts):
        joined = runs and (w <= runs[-1][1] and (w < runs[-1][1] or "\n" in text[spans[w - 1][1] : spans[w][0]]))
        runs = [*runs[:-1], (runs[-1][0], int(w) + words)] if joined else [*runs, (int(w), int(w) + words)]
    return runs
