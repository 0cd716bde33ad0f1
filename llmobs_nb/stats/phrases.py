"""Wording that was not there before: word shingles first seen late, put together to the passage that they come from.

A shingle of words that occurs in k of n texts, all of them after some moment, would do so by chance with probability of about
(share of texts after it) to the power of k. No time of change needs to be known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

WORDS = 4
LEAST = 8
SURE = 14.0
SAME = 0.8
_WORD = re.compile(r"\S+")
_BREAK = "\n"
_END = "\u0001"
_DIGITS = re.compile(r"\d+")


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

    Empty for fewer than 50 texts, or where nothing is new. For passages that vanish give the texts in reverse.
    """
    if len(texts) < 50:
        return []
    shingles = _shingles(texts, words)
    if not len(shingles.doc):
        return []
    late = _late(shingles, len(texts))
    return _passages(texts, shingles, late, most)


@dataclass(frozen=True, eq=False)
class _Shingles:
    """One element per shingle of a text, in order: which text, which shingle, at which word it starts."""

    doc: np.ndarray
    code: np.ndarray
    word: np.ndarray
    count: int


def _shingles(texts: Sequence[str], words: int) -> _Shingles:
    split = [_masked(t).split() for t in texts]
    sizes = np.array([len(s) for s in split])
    ids, known = pd.factorize(np.array(list(chain.from_iterable(split)), dtype=object))
    doc = np.repeat(np.arange(len(texts)), sizes)
    word = np.arange(len(ids)) - np.repeat(np.concatenate([[0], sizes.cumsum()[:-1]]), sizes)
    length = len(ids) - words + 1
    if length <= 0:
        return _Shingles(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int), 0)
    ends = np.flatnonzero(known == _END)
    is_end = ids == (ends[0] if len(ends) else -1)
    mixed = np.zeros(length, np.uint64)
    whole = doc[:length] == doc[words - 1 :]
    for k in range(words):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + ids[k : k + length].astype(np.uint64) + np.uint64(1)
        whole &= ~is_end[k : k + length]
    code, unique = pd.factorize(mixed[whole])
    return _Shingles(doc[:length][whole], code, word[:length][whole], len(unique))


def _masked(text: str) -> str:
    """Numbers all alike, so that dates and ids are not new wording every day; line breaks as words."""
    return _DIGITS.sub("0", text).replace(_BREAK, f" {_END} ")


def _late(shingles: _Shingles, texts: int) -> pd.DataFrame:
    """Per shingle that is new: in how many texts, the first of them, how surprising."""
    once = pd.DataFrame({"code": shingles.code, "doc": shingles.doc}).drop_duplicates()
    by = once.groupby("code")["doc"].agg(["size", "min", "sum"])
    weight = np.random.default_rng(0).integers(1, 2**40, texts)
    by["key"] = np.bincount(once["code"], weight[once["doc"]], minlength=shingles.count)
    after = 1 - by["min"] / texts
    by["surprise"] = -(by["size"] - 1) * np.log(after.clip(upper=1.0))
    return by[(by["size"] >= LEAST) & (by["surprise"] > SURE)].sort_values(["surprise", "size"], ascending=False)


def _passages(texts: Sequence[str], shingles: _Shingles, late: pd.DataFrame, most: int) -> list[Phrase]:
    """One passage per set of texts that share their new shingles."""
    keep = late.drop_duplicates("key").head(60)
    members = _documents(shingles, keep.index.to_numpy())
    groups: list[tuple[np.ndarray, float]] = []
    for code in keep.index:
        docs = members[code]
        if not any(_jaccard(docs, other) >= SAME or _inside(docs, other) for other, _ in groups):
            groups.append((docs, float(keep.at[code, "surprise"])))
        if len(groups) >= most:
            break
    out = []
    for docs, surprise in groups:
        shared = set(late.index[late["size"] >= SAME * len(docs)])
        found = _passage(texts, shingles, shared, docs, surprise)
        out += [found] if found else []
    return out


def _documents(shingles: _Shingles, codes: np.ndarray) -> dict[int, np.ndarray]:
    chosen = np.isin(shingles.code, codes)
    frame = pd.DataFrame({"code": shingles.code[chosen], "doc": shingles.doc[chosen]}).drop_duplicates()
    return {int(code): np.sort(docs.to_numpy()) for code, docs in frame.groupby("code")["doc"]}


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _inside(a: np.ndarray, b: np.ndarray) -> bool:
    return len(np.intersect1d(a, b, assume_unique=True)) >= 0.95 * len(a)


def _passage(texts, shingles: _Shingles, codes: set[int], docs: np.ndarray, surprise: float) -> Phrase | None:
    """The longest run of new shingles in a text of the group, widened over line breaks."""
    doc = int(docs[len(docs) // 2])
    mine = shingles.doc == doc
    words = [w for w, c in zip(shingles.word[mine], shingles.code[mine], strict=True) if c in codes]
    if not words:
        return None
    tokens = texts[doc].replace(_BREAK, f" {_END} ").split()
    runs = _runs(sorted(words), tokens)
    first, last = max(runs, key=lambda r: r[1] - r[0])
    plain = " ".join(_END if _DIGITS.search(t) else t for t in tokens[first:last])
    probe = max((line.strip() for line in plain.split(_END)), key=len)
    raw = _raw(texts[doc], tokens, first, last)
    if not probe or probe not in texts[doc]:
        return None
    return Phrase(raw, probe, docs, int(docs[0]), surprise)


def _runs(words: list[int], tokens: list[str]) -> list[tuple[int, int]]:
    """Runs of words covered by the shingles; a line break between two of them does not end a run."""
    runs: list[tuple[int, int]] = []
    for w in words:
        if runs and (w <= runs[-1][1] or set(tokens[runs[-1][1] : w]) <= {_END}):
            runs[-1] = (runs[-1][0], w + WORDS)
        else:
            runs.append((w, w + WORDS))
    return runs


def _raw(text: str, tokens: list[str], first: int, last: int) -> str:
    """The passage with its own white space: words are counted, line breaks are not."""
    spans = [m.span() for m in _WORD.finditer(text)]
    before = sum(t != _END for t in tokens[:first])
    inside = sum(t != _END for t in tokens[first:last])
    return text[spans[before][0] : spans[before + inside - 1][1]]
