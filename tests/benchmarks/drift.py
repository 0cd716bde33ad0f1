"""The figures of drift: ``python tests/benchmarks/drift.py [--quiet 300] [--power 40]``.

Quiet weeks have a weekday rhythm, sessions of one topic, user and language, and shocks that a day shares; what is counted is how
many weeks have any drift. Power is the share of worlds whose questions are called drifted (wording or topics) when a share of this week's
sessions asks something new. Judging seeds start at 1,300,000; those below 10,000 were used for tuning.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import numpy as np
from scipy import stats

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(os.path.dirname(HERE))]

from llmobs_nb.analyses.drift import measures, run  # noqa: E402
from llmobs_nb.analyses.drift.compute import mix, of_vectors  # noqa: E402
from llmobs_nb.analyses.drift.sample import Dimension, Rows, Sample  # noqa: E402
from llmobs_nb.analyses.drift.verdicts import ALPHA, judge  # noqa: E402
from llmobs_nb.stats import wording  # noqa: E402

JUDGING = 1_300_000
ASKED = 15
TOPICS, WORDS, SHARED = 8, 40, 400
DIMENSIONS = tuple(Dimension(name, "") for name in ("feature", "tenant_id", "finish_reason", "model"))
SPOKEN = {
    "en": "please could you tell me what to do about the following thing in my account because it does not work",
    "de": "bitte sagen Sie mir was ich mit der folgenden Sache in meinem Konto tun soll denn es funktioniert nicht",
    "fr": "veuillez me dire ce que je dois faire avec la chose suivante dans mon compte car cela ne marche pas",
}
FEELING = np.array(["", "thanks", "great", "it is slow", "terrible", "not helpful", "wrong again", "i love it"])


def vocabulary(rng: np.random.Generator, size: int) -> np.ndarray:
    letters = np.array(list("abcdefghijklmnoprstuvw"))
    return np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(size)])


def world(seed: int, *, after: int, share: float = 0.0, shock: float = 0.15) -> tuple[Sample, dict]:
    """Five weeks of about ``after`` traces each; in the last one ``share`` of the sessions asks about a topic that nobody asked about before."""
    rng = np.random.default_rng(seed)
    words = vocabulary(rng, SHARED + (TOPICS + 1) * WORDS)
    zipf = 1 / np.arange(1, SHARED + 1) ** 0.9
    busy = np.array([1.2, 1.2, 1.1, 1.1, 1.0, 0.5, 0.4])
    volume = rng.poisson(after / 2.2 * busy[np.arange(35) % 7] / busy.sum() * rng.lognormal(0, 0.1, 35))
    day = np.repeat(np.arange(35), volume)  # of sessions
    rhythm = np.where((day % 7 >= 5)[:, None], rng.normal(0, 0.5, TOPICS), 0)
    logits = rng.normal(0, 0.7, TOPICS) + rhythm + rng.normal(0, shock, (35, TOPICS))[day]
    topic = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    topic = np.where((day >= 28) & (rng.random(len(day)) < share), TOPICS, topic)
    turns = rng.geometric(0.45, len(day))
    language = rng.choice(["en", "de", "fr"], len(day), p=[0.85, 0.1, 0.05])
    mood, tenant = rng.normal(0, 1, len(day)), rng.choice(12, len(day), p=(w := 1 / np.arange(1, 13)) / w.sum())
    of = np.repeat(np.arange(len(day)), turns)
    n = len(of)
    asked, said = (_texts(rng, words, zipf, topic[of], k) for k in (8, 14))
    feeling = FEELING[rng.integers(0, len(FEELING), n)]
    asked = [f"{SPOKEN[language[s]]} {a} {f}" for s, a, f in zip(of, asked, feeling, strict=True)]
    shocks = rng.normal(0, shock, (3, 35))[:, day[of]]
    weekend = 0.2 * (day[of] % 7 >= 5)
    columns = {
        "input": asked, "output": said, "system_prompt": [None] * n, "trace_id": [f"t{i}" for i in range(n)],
        "input_chars": list(rng.lognormal(5 + weekend + 0.3 * mood[of] + 0.3 * shocks[0], 0.5)),
        "output_chars": list(rng.lognormal(6 - weekend + 0.3 * shocks[1], 0.5)),
        "top_score": list(1 / (1 + np.exp(-rng.normal(0.5 + 0.3 * mood[of] + 0.5 * shocks[2], 0.8)))), "hits": list(rng.integers(3, 6, n)),
        "column:feature": [f"f{k // 3}" for k in topic[of]], "column:tenant_id": [f"t{k}" for k in tenant[of]],
        "column:finish_reason": list(np.where(rng.random(n) < 0.03, "length", "stop")),
        "column:model": list(np.where(rng.random(n) < 0.3, "m-small", "m-large")),
    }  # fmt: skip
    rows = Rows(day[of] >= 28, day[of], day[of] % 7, np.array([f"s{s}" for s in of]))
    given = np.flatnonzero(rng.random(n) < 0.1)
    thumbs = [("down", "up")[int(mood[of[i]] + rng.normal() > -0.5)] for i in given]
    few = Rows(*(getattr(rows, name)[given] for name in ("later", "day", "weekday", "cluster")))
    return Sample(rows, columns, 1.0, 0, 0), {("thumbs", "user"): (few, thumbs)}


def _texts(rng, words: np.ndarray, zipf: np.ndarray, topic: np.ndarray, length: int) -> list[str]:
    """Half of the words are everybody's, half the topic's."""
    common = rng.choice(SHARED, (len(topic), length), p=zipf / zipf.sum())
    own = SHARED + topic[:, None] * WORDS + rng.integers(0, WORDS, (len(topic), length))
    return [" ".join(row) for row in words[np.where(rng.random(own.shape) < 0.5, own, common)]]


def any_drift(seed: int, after: int, shock: float = 0.15) -> list[str]:
    """Names of what is called drift in a quiet world."""
    drawn, labels = world(seed, after=after, shock=shock)
    d = run.design_of(drawn.rows, 0)
    shifts = [s for one in run.text_shifts(d, drawn.columns["input"], drawn.columns["output"], 0) for s in one.shifts]
    shifts = judge([*shifts, *run.plain_shifts(d, drawn, DIMENSIONS, labels, 0)])
    return [s.measure.name for s in shifts if s.verdict == "drift"]


def found(seed: int, after: int, share: float) -> bool:
    """Whether the wording or the topics of the questions are called drifted, each at 0.05 / 15: harder than a page of fifteen asks."""
    drawn, _ = world(seed, after=after, share=share)
    d, (wanted, topical, *_) = run.design_of(drawn.rows, 0), measures.TEXTS["input"]
    vectors = wording.tfidf(wording.read(drawn.columns["input"]))
    topics = wording.topics(vectors)
    about = [of_vectors(d, wanted, vectors), mix(d, topical, topics.topic, topics.names)]
    return any(
        s.comparison.effect.p < ALPHA / ASKED and s.comparison.effect.ci_high > s.measure.null + s.measure.margin for s in about
    )


def exact(hits: int, n: int) -> str:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    low, high = stats.beta.ppf(0.025, hits, n - hits + 1), stats.beta.ppf(0.975, hits + 1, n - hits)
    return f"{hits / n:.3f} [{0 if hits == 0 else low:.3f}, {1 if hits == n else high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", type=int, default=300, help="quiet worlds")
    parser.add_argument("--power", type=int, default=40, help="worlds a cell with a new topic")
    parser.add_argument("--first", type=int, default=JUDGING)
    parser.add_argument("--after", type=int, default=500, help="traces a week of the quiet worlds")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 2000, 4000])
    parser.add_argument("--shares", type=float, nargs="*", default=[0.05, 0.1, 0.2, 0.4])
    args = parser.parse_args()
    began, called = time.perf_counter(), []
    for k in range(args.quiet):
        called.append(any_drift(args.first + k, args.after))
        if k % 50 == 49:
            told = sum(map(bool, called))
            print(f"quiet weeks of {args.after} traces with any drift: {exact(told, len(called))} of {len(called)}", flush=True)
    print("called:", sorted({name for one in called for name in one}), f"{time.perf_counter() - began:.0f} s", flush=True)
    for n in args.sizes:
        for share in args.shares:
            hits = sum(found(args.first + 100_000 + k, n, share) for k in range(args.power))
            print(
                f"new topic in {share:.0%} of this week's sessions, {n} traces a week: found {exact(hits, args.power)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
