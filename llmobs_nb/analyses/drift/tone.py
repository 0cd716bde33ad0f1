"""Sentiment by a word list that fits on a page, and the language of a text by a model that comes with its package.

The list is ours: everyday English words of praise and complaint, no names, no jargon. It knows nothing of irony, and nothing but
English. A text counts where it has a word of the list; how many do is reported as n.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...stats.wording import Words

GOOD = frozenset((
    "amazing", "appreciate", "awesome", "best", "better", "brilliant", "clean", "clear", "comfortable", "correct", "delighted",
    "easy", "excellent", "fantastic", "fast", "fine", "friendly", "glad", "good", "great", "happy", "helped", "helpful",
    "impressive", "improved", "kind", "like", "love", "lovely", "nice", "perfect", "perfectly", "pleasant", "pleased", "pretty",
    "quick", "recommend", "reliable", "right", "satisfied", "smart", "smooth", "solved", "super", "thank", "thankful", "thanks",
    "useful", "welcome", "well", "wonderful", "works", "worth",
))  # fmt: skip
BAD = frozenset((
    "afraid", "angry", "annoyed", "annoying", "awful", "bad", "bored", "boring", "broke", "broken", "bug", "bugs", "cannot",
    "complain", "complaint", "complicated", "confused", "confusing", "crash", "crashed", "crashes", "difficult", "disappointed",
    "disappointing", "error", "errors", "fail", "failed", "failing", "fails", "failure", "fault", "frustrated", "frustrating",
    "garbage", "hate", "hard", "horrible", "impossible", "inaccurate", "incorrect", "issue", "issues", "lost", "mess",
    "missing", "mistake", "mistakes", "never", "nonsense", "poor", "poorly", "problem", "problems", "refused", "regret",
    "regrettably", "ridiculous", "rude", "sad", "slow", "sorry", "stuck", "stupid", "terrible", "trouble", "ugly", "unable",
    "unacceptable", "unclear", "unfortunately", "unhappy", "unhelpful", "upset", "useless", "waste", "wasted", "weird", "worse",
    "worst", "wrong",
))  # fmt: skip
TURNS = frozenset((
    "not", "no", "never", "without", "hardly", "don't", "doesn't", "didn't", "isn't", "wasn't", "aren't", "weren't", "won't",
    "can't", "couldn't", "wouldn't",
))  # fmt: skip
REACH = 3
SHORTEST = 20
FEATURES = 120


def sentiment(words: Words) -> np.ndarray:
    """(praise - complaint) / (praise + complaint) per text, from -1 to 1; NaN where the list knows no word of it.

    One of the three words before that denies turns a word round.
    """
    sign = np.array([(v in GOOD) - float(v in BAD) for v in words.vocabulary])
    turns = np.array([v.replace("’", "'") in TURNS for v in words.vocabulary], bool)
    if not len(sign):
        return np.full(words.texts, np.nan)
    value, turned = sign[words.word], np.zeros(len(words.word), bool)
    for back in range(1, min(REACH, len(turned) - 1) + 1):
        turned[back:] |= turns[words.word][:-back] & (words.text[back:] == words.text[:-back])
    value = np.where(turned & (value != 0), -value, value)
    total, known = words.per_text(value), words.per_text(np.abs(value))
    return np.divide(total, known, out=np.full(words.texts, np.nan), where=known > 0)


def languages(texts: Sequence[str | None]) -> list[str | None]:
    """ISO 639-1 code of each text, from its first 120 characters; None below 20 letters, where guesses are worth little."""
    known: dict[str | None, str | None] = dict.fromkeys(texts)
    for text in known:
        head = (text or "")[:FEATURES]
        if sum(map(str.isalpha, head)) >= SHORTEST:
            known[text] = _classify(head)
    return [known[t] for t in texts]


@cache
def _identifier():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _classify(text: str) -> str:
    return _identifier().classify(text.encode("utf-8", "replace").decode("utf-8"))[0]
