"""Failure categories for the next trace: those of the labelled traces whose notes and answers read most like it. No model is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...stats.wording import read, tfidf

NEAREST = 5
LEAST = 0.1
MOST = 3
FAINT = 0.5


@dataclass(frozen=True)
class Said:
    """What reviewers said of a trace: their notes as one text, and the categories they named."""

    note: str
    categories: tuple[str, ...]


class Suggester:
    """Nearest labelled traces by TF-IDF cosine, fitted on the ``answers`` of all traces at hand and on the notes of labelled ones.

    A labelled trace stands twice, alone and with its note, so that what it shares with one other answer is a term already.
    """

    def __init__(self, answers: Mapping[str, str], said: Mapping[str, Said]):
        self._place = {trace: at for at, trace in enumerate(answers)}
        self._traces = [trace for trace in said if trace in answers]
        self._said = said
        labelled = [f"{said[t].note}\n{answers[t]}" for t in self._traces]
        self._vectors = tfidf(read([*answers.values(), *labelled])).matrix if labelled else None

    def __call__(self, trace_id: str) -> list[str]:
        """Up to three categories, the likeliest first: each weighs as much as the near traces that bear it are like this one.

        Traces without a failure vote for none; what weighs less than half of the first is left out, for all answers of a
        product share some words.
        """
        if self._vectors is None or trace_id not in self._place:
            return []
        mine = self._vectors[[self._place[trace_id]]]
        near = (self._vectors[len(self._place) :] @ mine.T).toarray().ravel()
        return self._voted([at for at in near.argsort(kind="stable")[::-1] if self._traces[at] != trace_id], near)

    def _voted(self, order: Sequence[int], near: Sequence[float]) -> list[str]:
        weight: Counter[str] = Counter()
        for at in [at for at in order if near[at] >= LEAST][:NEAREST]:
            weight.update(dict.fromkeys(self._said[self._traces[at]].categories or ("",), float(near[at])))
        first = max(weight.values(), default=0.0)
        return [name for name, told in weight.most_common() if name and told >= FAINT * first][:MOST]
