"""What is compared, declared once: a name, how its distance is measured, and the distance that starts to matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Statistic = Literal["classifier_auc", "ks", "jensen_shannon"]

# Of texts of a kind never seen before, a tenth makes an AUC of 0.55 at most; a tenth of the rows on another side of some value is
# a Kolmogorov-Smirnov distance of 0.1; 2 % of a new label is a Jensen-Shannon distance of 0.1, 60:40 instead of 50:50 is 0.085.
MARGINS: dict[str, float] = {"classifier_auc": 0.05, "ks": 0.1, "jensen_shannon": 0.1}
NULLS: dict[str, float] = {"classifier_auc": 0.5, "ks": 0.0, "jensen_shannon": 0.0}
HOW: dict[str, str] = {
    "classifier_auc": "AUC of a classifier that tells the windows apart, trained on the other weekdays; Student's interval over weekdays, "
    "p from permuting whole {unit} within weekdays",
    "ks": "Kolmogorov-Smirnov distance, averaged over weekdays with equal weights on both sides; p and interval from permuting whole {unit}",
    "jensen_shannon": "Jensen-Shannon distance (root of the divergence in bits), averaged over weekdays with equal weights on both sides; "
    "p and interval from permuting whole {unit}",
}


@dataclass(frozen=True)
class Measure:
    """One thing that may drift: ``name`` for programs, ``label`` for people, the statistic, the unit of its levels, what it is made of."""

    name: str
    label: str
    statistic: Statistic
    unit: str = ""
    what: str = ""

    @property
    def margin(self) -> float:
        """How far the statistic may be from "the same" before it matters."""
        return MARGINS[self.statistic]

    @property
    def null(self) -> float:
        """The value of the statistic where nothing differs."""
        return NULLS[self.statistic]


TEXTS = {
    "input": (
        Measure("input_wording", "Wording of the questions", "classifier_auc", what="TF-IDF of words"),
        Measure("input_topics", "Topics of the questions", "jensen_shannon", what="k-means over 12 singular directions of the vectors"),
        Measure("input_language", "Language of the questions", "jensen_shannon", what="texts of 20 letters or more"),
        Measure("input_sentiment", "Sentiment of the questions", "ks", "score", "English word list, texts with a word of it"),
    ),
    "output": (
        Measure("output_wording", "Wording of the answers", "classifier_auc", what="TF-IDF of words"),
        None,
        Measure("output_language", "Language of the answers", "jensen_shannon", what="texts of 20 letters or more"),
        Measure("output_sentiment", "Sentiment of the answers", "ks", "score", "English word list, texts with a word of it"),
    ),
}  # fmt: skip
RICHNESS = Measure(
    "output_richness", "Richness of vocabulary of the answers", "ks", "score", "different words per word in windows of 25 words"
)
PROMPTS = Measure("prompt_wording", "Rendered system prompts", "classifier_auc", what="TF-IDF of lines and sentences")
NUMBERS = {
    "input_chars": Measure("input_length", "Length of the questions", "ks", "count", "characters of the input as logged"),
    "output_chars": Measure("output_length", "Length of the answers", "ks", "count", "characters of the output as logged"),
    "top_score": Measure("retrieval_top_score", "Best retrieval score", "ks", "score", "score of the first document"),
    "hits": Measure("retrieval_documents", "Documents retrieved", "ks", "count", "documents of the longest retrieval of a trace"),
}


def column(name: str) -> Measure:
    """The mix of values of a categorical column."""
    return Measure(f"column:{name}", f"Mix of {name}", "jensen_shannon", what="values of the column, rare ones together")


def embedding(column: str | None) -> Measure:
    """Vectors that a user brings: those of a column, or of a callable over the questions (None)."""
    if column is None:
        return Measure(
            "input_embedding", "Embedding of the questions", "classifier_auc", what="vectors of the callable that was given"
        )
    return Measure(f"embedding:{column}", f"Vectors of {column}", "classifier_auc", what="vectors of the column")


def label(name: str, rater: str) -> Measure:
    """The mix of labels that one kind of rater gives."""
    return Measure(
        f"label:{name}:{rater}", f"Labels of {name} ({rater})", "jensen_shannon", what="labels as given, rare ones together"
    )
