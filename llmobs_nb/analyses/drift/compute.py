"""From a sample to comparisons: each measure of texts, numbers and categories with its distance, its levels and what moved in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...stats import twosample as two
from ...stats import wording
from ...stats.twosample import Comparison, Design
from ...stats.wording import Topics, Vectors, Words
from . import measures as m
from .measures import Measure
from .tone import languages, sentiment

BUDGET = 6_000_000  # characters of one column that are read; of each text the same number
SHORTEST, LONGEST = 300, 2_000
MOST_VALUES = 30
MOST_TERMS, LEAST_WITH = 3_000, 8
MOST_ITEMS = 20
SPOKEN = 2_000  # texts whose language is looked up
OTHER, MISSING = "(other)", "(none)"


@dataclass(frozen=True)
class Item:
    """A word, topic or value that moved: log odds of its share after against before, simultaneous 95 % limits, both shares."""

    word: str
    log_odds: float
    ci_low: float
    ci_high: float
    share_before: float
    share_after: float


@dataclass(frozen=True)
class Shift:
    """One measure compared: levels are medians of numbers; ``delta`` is Cliff's; ``items`` have limits that leave out 0."""

    measure: Measure
    comparison: Comparison
    unit: str
    before: float | None = None
    after: float | None = None
    delta: float | None = None
    psi: float | None = None
    items: tuple[Item, ...] = ()
    verdict: str = "cannot_tell"
    q: float | None = None
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Said:
    """What a column of texts says: its shifts, the topics of its texts (rows that have a text), and their vectors."""

    shifts: tuple[Shift, ...]
    rows: np.ndarray
    topics: Topics | None = None


def number(d: Design, measure: Measure, values) -> Shift:
    """Two distributions of a number; missing ones are left out."""
    values = np.array([np.nan if v is None else v for v in values], float)
    codes, size = two.ordered_codes(values)
    found = two.compare_counts(d, codes, size, ordered=True)
    if not found.effect.ok:
        return Shift(measure, found, d.unit)
    later = d.side[d.group]
    before, after = (float(np.nanmedian(values[side])) for side in (~later, later))
    delta, psi = two.dominance(d, codes, size), two.stability_index(d, codes, size)
    return Shift(measure, found, d.unit, before, after, delta, psi)


def category(d: Design, measure: Measure, values: Sequence[str | None], *, missing: bool = False) -> Shift:
    """Two mixes of values: the 30 most frequent, the others together; a missing value is a value of its own with ``missing``."""
    given = [MISSING if v is None and missing else v for v in values]
    frequent = [v for v, _ in Counter(v for v in given if v is not None).most_common(MOST_VALUES)]
    at = {v: i for i, v in enumerate(frequent)}
    codes = np.array([-1 if v is None else at.get(v, MOST_VALUES) for v in given], int)
    return mix(d, measure, codes, [*frequent, OTHER])


def mix(d: Design, measure: Measure, codes: np.ndarray, names: Sequence[str]) -> Shift:
    """Two distributions over named codes; -1 is missing."""
    found = two.compare_counts(d, codes, len(names), ordered=False)
    if not found.effect.ok:
        return Shift(measure, found, d.unit)
    counts = d.table(codes, len(names))
    items = moved_items(d, counts, counts.sum(axis=1), names)
    return Shift(measure, found, d.unit, psi=two.stability_index(d, codes, len(names)), items=items)


def texts(d: Design, column: str, given: Sequence[str], *, seed: int) -> Iterator[Said]:
    """Everything that is measured on a column of texts (``input`` or ``output``); nothing where no text was pulled."""
    rows = np.flatnonzero([bool(t and t.strip()) for t in given])
    if not len(rows):
        return
    wanted, topical, spoken, felt = m.TEXTS[column]
    length = int(np.clip(BUDGET // len(rows), SHORTEST, LONGEST))
    some = [given[i][:length] for i in rows]
    words, part = wording.read(some), d.of(rows)
    vectors = wording.tfidf(words)
    found = wording.topics(vectors, seed=seed) if topical else None
    shifts = [of_vectors(part, wanted, vectors)]
    shifts += [mix(part, topical, found.topic, found.names)] if found else []
    every = -(-len(rows) // SPOKEN)
    shifts.append(category(part.of(np.arange(len(rows))[::every]), spoken, languages(some[::every])))
    shifts.append(number(part, felt, sentiment(words)))
    shifts += [number(part, m.RICHNESS, wording.richness(words))] if column == "output" else []
    yield Said(tuple(shifts), rows, found)


def of_vectors(d: Design, measure: Measure, vectors: Vectors) -> Shift:
    """Two windows of texts told apart by their terms, and the terms that moved."""
    found = two.compare_vectors(d, vectors.matrix)
    if not found.effect.ok:
        return Shift(measure, found, d.unit)
    has = vectors.matrix.astype(bool).astype(float)
    spread = np.asarray(has.sum(axis=0)).ravel()
    kept = np.argsort(-spread, kind="stable")[:MOST_TERMS]
    kept = kept[spread[kept] >= LEAST_WITH]
    counts = (d.member @ has[:, kept]).toarray()
    sizes = np.bincount(d.group, minlength=len(d.side)).astype(float)
    return Shift(measure, found, d.unit, items=moved_items(d, counts, sizes, [vectors.terms[k] for k in kept]))


def of_embedding(d: Design, measure: Measure, vectors: np.ndarray) -> Shift:
    """Two windows told apart by vectors that the user brought."""
    return Shift(measure, two.compare_vectors(d, vectors), d.unit)


def prompts(d: Design, words: Words) -> Shift:
    """Rendered system prompts told apart by their lines and sentences."""
    return of_vectors(d, m.PROMPTS, wording.tfidf(words))


def moved_items(d: Design, counts: np.ndarray, sizes: np.ndarray, names: Sequence[str]) -> tuple[Item, ...]:
    """The items whose limits leave out 0, the surest and largest first."""
    if not counts.size:
        return ()
    found = two.moved(d, counts, sizes)
    sure = np.maximum(found.low, -found.high)
    best = [k for k in np.argsort(-sure, kind="stable")[:MOST_ITEMS] if sure[k] > 0]
    return tuple(Item(names[k], *(float(column[k]) for column in found)) for k in best)
