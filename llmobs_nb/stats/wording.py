"""Texts as numbers: words, TF-IDF vectors, richness of vocabulary, topics and a map.

Everything is fitted on all texts that are given, so give both windows at once: vectors fitted on the baseline alone do not see
new words. Numbers are no words, so that dates and ids are no news. Chinese and Japanese signs count as words of their own.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.cluster.vq import kmeans2, vq
from scipy.sparse.linalg import svds

LEAST_TEXTS = 3
MOST_TERMS = 40_000
FITTED = 4_000
COMPONENTS = 12
NAME_WORDS = 3
_SIGN = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_SIGN}]|[^\W\d_{_SIGN}]+(?:['’][^\W\d_{_SIGN}]+)?")
_PART = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class Words:
    """The words of ``texts`` many texts in their order: which word (a place in ``vocabulary``), in which text."""

    vocabulary: tuple[str, ...]
    word: np.ndarray
    text: np.ndarray
    texts: int

    def per_text(self, values: np.ndarray) -> np.ndarray:
        """Sum over each text of a value per occurrence."""
        return np.bincount(self.text, weights=values, minlength=self.texts)


@dataclass(frozen=True, eq=False)
class Vectors:
    """TF-IDF vectors of length 1 (texts × terms) of the words in ``terms``."""

    matrix: sparse.csr_array
    terms: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Topics:
    """Groups of alike texts: the topic of each text (-1 for one without known words), a place on a map, names by words."""

    topic: np.ndarray
    place: np.ndarray
    names: tuple[str, ...]


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without numbers."""
    return _WORD.findall(text.lower())


def parts_of(text: str) -> list[str]:
    """The lines and sentences of a text as they stand, numbers as 0."""
    return [part for part in _PART.split(_DIGITS.sub("0", text).strip()) if part]


def read(texts: Iterable[str], *, split: Callable[[str], list[str]] = words_of) -> Words:
    """Split texts into words (or into parts: ``split=parts_of``). A text that was seen before is not read again."""
    known: defaultdict[str, int] = defaultdict()
    known.default_factory = known.__len__
    seen: dict[str, np.ndarray] = {}
    parts = [np.zeros(0, np.int64)]
    for text in texts:
        if text not in seen:
            seen[text] = np.array([known[w] for w in split(text)], np.int64)
        parts.append(seen[text])
    sizes = [len(part) for part in parts[1:]]
    return Words(tuple(known), np.concatenate(parts), np.repeat(np.arange(len(sizes)), sizes), len(sizes))


def tfidf(words: Words) -> Vectors:
    """1 + log of the count of a word times log((1 + texts) / (1 + texts with it)) + 1, then length 1.

    Words in 3 texts or more count, the 40,000 most frequent of them; a text without one is a row of zeros. Pairs of words are
    left out: they found less new wording than words alone, in twice the time.
    """
    shape = (words.texts, len(words.vocabulary))
    counts = sparse.csr_array((np.ones(len(words.word)), (words.text, words.word)), shape=shape)
    counts.sum_duplicates()
    spread = np.bincount(counts.indices, minlength=shape[1])
    kept = np.argsort(-spread, kind="stable")[:MOST_TERMS]
    kept = np.sort(kept[spread[kept] >= LEAST_TEXTS])
    out = counts[:, kept]
    out.data = (1 + np.log(out.data)) * (np.log((1 + words.texts) / (1 + spread[kept])) + 1)[out.indices]
    norm = np.sqrt(out.multiply(out).sum(axis=1))
    out = sparse.csr_array(sparse.diags_array(1 / np.where(norm > 0, norm, 1)) @ out)
    return Vectors(out, tuple(words.vocabulary[k] for k in kept))


def richness(words: Words, *, window: int = 25) -> np.ndarray:
    """Different words per word in a moving window (MATTR, Covington and McFall 2010), per text: it does not fall with length.

    NaN for texts of fewer words than the window.
    """
    n = len(words.word)
    lengths = np.bincount(words.text, minlength=words.texts)
    start = np.cumsum(lengths) - lengths
    order = np.lexsort((np.arange(n), words.word, words.text))
    previous = np.full(n, -1)
    same = (np.diff(words.word[order]) == 0) & (np.diff(words.text[order]) == 0)
    place = np.arange(n) - start[words.text]
    previous[order[1:][same]] = place[order[:-1][same]]
    # An occurrence counts in the windows that hold it and none of the same word before it.
    last = np.minimum(place, lengths[words.text] - window)
    first = np.maximum(np.maximum(previous + 1, place - window + 1), 0)
    found = words.per_text(np.maximum(last - first + 1, 0).astype(float))
    windows = np.maximum(lengths - window + 1, 0)
    return np.divide(found, windows * window, out=np.full(words.texts, np.nan), where=windows > 0)


def topics(vectors: Vectors, *, count: int = 8, seed: int = 0) -> Topics | None:
    """K-means over the leading twelve singular directions, and the leading two of those as a map; None below 100 texts with words.

    Directions and centres are found on at most 4,000 evenly spread texts, all texts are assigned.
    """
    x = vectors.matrix
    known = np.flatnonzero(np.diff(x.indptr) > 0)
    some = known[:: max(1, -(-len(known) // FITTED))]
    size = min(COMPONENTS, min(len(some), x.shape[1]) - 1)
    if len(known) < 100 or size < 3:
        return None
    _, strength, right = svds(x[some], k=size, v0=np.ones(min(len(some), x.shape[1])))
    right = right[strength > 1e-9] * np.where(right[strength > 1e-9].sum(axis=1) < 0, -1, 1)[:, None]
    reduced = x @ right.T
    centre = reduced[some].mean(axis=0)
    count = min(count, len(np.unique(reduced[some].round(9), axis=0)))
    with warnings.catch_warnings():  # fewer kinds of texts than centres: those that stay empty are left out below
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        centres, _ = kmeans2(reduced[some], count, minit="++", rng=np.random.default_rng(seed), iter=25)
    topic = np.full(x.shape[0], -1)
    topic[known] = vq(reduced[known], centres)[0]
    found, topic[known] = np.unique(topic[known], return_inverse=True)
    axes = np.linalg.svd(reduced[some] - centre, full_matrices=False)[2][:2]
    place = np.zeros((x.shape[0], 2))
    place[:, : len(axes)] = (reduced - centre) @ axes.T  # texts that differ in one direction only lie on a line
    return Topics(topic, place, tuple(_names(vectors, topic, len(found))))


def _names(vectors: Vectors, topic: np.ndarray, count: int) -> list[str]:
    """The words that a topic has more of than all texts."""
    everywhere = np.asarray(vectors.matrix.mean(axis=0)).ravel()
    out = []
    for k in range(count):
        mean = np.asarray(vectors.matrix[topic == k].mean(axis=0)).ravel()
        own = mean * np.log(np.maximum(mean, 1e-12) / np.maximum(everywhere, 1e-12))
        best = [vectors.terms[at] for at in np.argsort(-own)[:NAME_WORDS] if own[at] > 0]
        out.append(", ".join(best) or f"topic {k + 1}")
    return out
