"""The texts of every request: question, answer, rendered system prompt; joined in Arrow, so that a hundred thousand take seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import words
from .behaviour import BLOCKED, CHARS_PER_TOKEN, State
from .coded import texts
from .product import Feature
from .story import DAY

EARLY = 80  # tokens at which an answer ends too early on any day


@dataclass
class Texts:
    """One text per trace; ``cut`` says which answers ended at a ceiling, ``ceiling`` (tokens) is that of an incident, else 0.

    A failed request has no answer.

    ``templates`` are the prompts before they are rendered, by ``name@version``.
    """

    question: pa.Array
    answer: pa.Array
    prompt: pa.Array
    cut: np.ndarray
    ceiling: int
    templates: dict[str, str]


def write_texts(rng: np.random.Generator, state: State) -> Texts:
    """All texts of a case."""
    topic = _topics(state)
    answer, cut, ceiling = _answers(rng, state, topic)
    who = words.WHO[int(rng.integers(len(words.WHO)))]
    return Texts(_questions(rng, state, topic), answer, _prompts(rng, state, who), cut, ceiling, _templates(state, who))


def _topics(state: State) -> np.ndarray:
    """The topic of each request as an index into all topics of all features, then the new ones."""
    old = state.traffic.feature * 6 + state.traffic.topic
    return np.where(state.fresh >= 0, 6 * len(state.product.features) + state.fresh, old)


def _names(state: State) -> list[str]:
    return [t for f in state.product.features for t in f.topics] + list(words.NEW_TOPICS)


def _join(*parts, between: str = "") -> pa.Array:
    """Texts and constants put together, row by row."""
    return pc.binary_join_element_wise(*parts, pa.scalar(between, pa.string()), null_handling="replace", null_replacement="")


def _some(rng: np.random.Generator, options, rows: int) -> pa.Array:
    """One of the options for each row."""
    return texts(pa.array(list(options), pa.string()), rng.integers(0, len(options), rows))


def _lists(words_: pa.Array, picked: np.ndarray, counts: np.ndarray) -> pa.Array:
    """Per row so many of the picked words, joined by a space."""
    offsets = np.concatenate([[0], counts.cumsum()])
    flat = words_.take(pa.array(picked))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat), " ")


def _questions(rng: np.random.Generator, state: State, topic: np.ndarray) -> pa.Array:
    n, form = len(topic), state.of_feature("form")
    kinds = np.where(form == "single", 1, np.where(form == "agent", 2, 0))
    openers = pa.array([*words.OPENERS, *words.ASKED["single"], *words.ASKED["agent"]], pa.string())
    starts = np.array([0, len(words.OPENERS), len(words.OPENERS) + len(words.ASKED["single"])])
    sizes = np.array([len(words.OPENERS), len(words.ASKED["single"]), len(words.ASKED["agent"])])
    opener = texts(openers, starts[kinds] + (rng.random(n) * sizes[kinds]).astype(int))
    numbers = pa.array(rng.integers(100, 9999, n)).cast(pa.string())
    tails = _join(_some(rng, words.TAILS, n), pa.scalar(" (case "), numbers, pa.scalar(")"))
    short = _join(opener, texts(pa.array(_names(state)), topic), between=" ")
    counts = np.where(form == "single", rng.integers(5, 14, n), 0)
    document = _lists(pa.array(words.DOCUMENT), rng.integers(0, len(words.DOCUMENT), counts.sum()), counts)
    return _join(short, pc.if_else(pa.array(form == "single"), _join(pa.scalar(". "), document), tails))


def _answers(rng: np.random.Generator, state: State, topic: np.ndarray) -> tuple[pa.Array, np.ndarray, int]:
    names = _names(state)
    pool = [s.format(t=name) for name in names for s in (*words.FIRST, *words.ABOUT)]
    about, first = len(words.FIRST) + len(words.ABOUT), len(words.FIRST)
    every = pa.array([*pool, *words.SENTENCES], pa.string())
    counts, n = state.sentences, len(topic)
    picked = len(pool) + rng.integers(0, len(words.SENTENCES), counts.sum())
    starts = counts.cumsum() - counts
    own = rng.random(len(picked)) < 0.2
    of_row = np.repeat(np.arange(n), counts)
    picked[own] = topic[of_row[own]] * about + first + rng.integers(0, len(words.ABOUT), own.sum())
    picked[starts] = topic * about + rng.integers(0, first, n)
    body = _lists(every, picked, counts)
    hedged = _join(texts(pa.array(words.HEDGES), state.opener), body, between=" ")
    body = pc.if_else(pa.array(state.opener >= 0), hedged, body)
    body = pc.if_else(pa.array(state.refused), _some(rng, words.REFUSALS, n), body)
    body = pc.if_else(pa.array(state.guard == BLOCKED), pa.scalar(words.BLOCKED), body)
    body, cut, ceiling = _cut(rng, state, body)
    return pc.if_else(pa.array(state.lost), pa.scalar(None, pa.string()), body), cut, ceiling


def _cut(rng: np.random.Generator, state: State, body: pa.Array) -> tuple[pa.Array, np.ndarray, int]:
    """Answers end at their ceiling; a few long ones end early on any day."""
    tokens = pc.utf8_length(body).to_numpy(zero_copy_only=False) / CHARS_PER_TOKEN
    whole = ~state.lost & ~state.refused & (state.guard != BLOCKED)
    capped = state.capped & whole
    ceiling = max(16, int(np.quantile(tokens[capped], 1 - state.cut_share))) if capped.any() else 0
    cut = np.zeros(len(tokens), bool)
    for at, mine in ((ceiling, capped), (EARLY, whole & (rng.random(len(tokens)) < 0.004))):
        over = mine & (tokens > at)
        body = pc.if_else(pa.array(over), pc.utf8_slice_codeunits(body, 0, at * CHARS_PER_TOKEN), body)
        cut |= over
    return body, cut, ceiling


def _fixed(feature: Feature, *, revised: bool, examples: bool) -> tuple[str, str]:
    """The fixed text of a prompt before and after the lines about who asks; the same for the same prompt and version."""
    rng = np.random.default_rng(list((feature.prompt + feature.version).encode()))
    rules = [words.RULES[i] for i in rng.permutation(len(words.RULES))[: rng.integers(4, 9)]]
    role = words.ROLES[int(rng.integers(len(words.ROLES)))].format(f=feature.name.replace("_", " "))
    shown, half = words.EXAMPLES[int(rng.integers(len(words.EXAMPLES)))], len(rules) // 2
    if revised:
        rules[half:] = [words.RULES[i] for i in rng.permutation(len(words.RULES))[: max(2, len(rules) - half)]]
    head = f"{role}\n" + " ".join(rules[:half])
    return head, "\n".join([" ".join(rules[half:]), *([shown] if examples else [])])


def _templates(state: State, who: tuple[str, str, str, str]) -> dict[str, str]:
    out = {}
    line = "{{account}}".join(who[:2]) + "{{plan}}" + who[2] + "{{locale}}" + who[3]
    asks = f"{line}\n{{{{account_note}}}} User {{{{user}}}} {{{{user_note}}}}. Today is {{{{date}}}}."
    for number, feature in enumerate(state.product.features):
        mine = state.traffic.feature == number
        for version in state.dims["prompt_version"].at(np.flatnonzero(mine)).used():
            head, rest = _fixed(feature, revised=version != feature.version, examples=True)
            out[f"{feature.prompt}@{version}"] = f"{head}\n{asks}\n{rest}"
    return out


def _prompts(rng: np.random.Generator, state: State, who: tuple[str, str, str, str]) -> pa.Array:
    """Head, who asks, notes of account and user, rest, and whatever blocks there are; a volatile line before all."""
    traffic, n = state.traffic, len(state.traffic)
    variants = [(f, r, e) for f in state.product.features for r in (False, True) for e in (False, True)]
    made = [_fixed(f, revised=r, examples=e) for f, r, e in variants]
    which = traffic.feature * 4 + state.revised * 2 + state.examples
    heads, rests = (texts(pa.array([m[i] for m in made]), which) for i in (0, 1))
    block = _join(pa.scalar("\n\n"), texts(pa.array(words.BLOCKS), state.block))
    block = pc.if_else(pa.array(state.block >= 0), block, pa.scalar(""))
    benign = _join(pa.scalar("\n"), texts(pa.array(words.BENIGN_BLOCKS), state.benign))
    benign = pc.if_else(pa.array(state.benign >= 0), benign, pa.scalar(""))
    inline = bool(rng.random() < 0.4)
    volatile = _join(pa.scalar("Request "), _numbers(rng, n), pa.scalar(" at "), _stamp(state), pa.scalar("\n"))
    volatile = pc.if_else(pa.array(state.volatile), volatile, pa.scalar(""))
    parts = [
        volatile,
        heads,
        block if inline else pa.scalar(""),
        pa.scalar("\n"),
        *_who(rng, state, who),
        pa.scalar("\n"),
        rests,
        benign,
    ]
    return _join(*parts, pa.scalar("") if inline else block)


def _numbers(rng: np.random.Generator, n: int) -> pa.Array:
    return pa.array(rng.integers(10**8, 10**9, n)).cast(pa.string())


def _stamp(state: State) -> pa.Array:
    at = np.datetime64(state.product.start.replace(tzinfo=None), "us") + state.traffic.at.astype("timedelta64[us]")
    return pc.strftime(pa.array(at), "%Y-%m-%dT%H:%M:%S")


def _who(rng: np.random.Generator, state: State, who: tuple[str, str, str, str]) -> list:
    """The line about account, plan and locale, a note of the account, one of the user with the date."""
    traffic, users = state.traffic, len(state.product.users.tenant)
    before, plan, locale, after = (pa.scalar(t) for t in who)
    tenant, tier, tongue = (state.dims[r].arrow() for r in ("tenant", "tier", "locale"))
    notes = rng.integers(0, len(words.TENANT_NOTES), len(state.product.tenants.share))[traffic.tenant]
    likes = rng.integers(0, len(words.USER_NOTES), users)[traffic.user]
    days = [str(np.datetime64(state.product.start.date()) + d) for d in range(state.product.days)]
    names = pa.array([f"u-{u:05d}" for u in range(users)])
    return [
        before, tenant, plan, tier, locale, tongue, after, pa.scalar("\n"), texts(pa.array(words.TENANT_NOTES), notes),
        pa.scalar(" User "), texts(names, traffic.user), pa.scalar(" "), texts(pa.array(words.USER_NOTES), likes),
        pa.scalar(". Today is "), texts(pa.array(days), traffic.at // DAY), pa.scalar("."),
    ]  # fmt: skip
