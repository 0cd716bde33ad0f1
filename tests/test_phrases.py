"""Wording that was not there before: whole passages, nothing from dates or ids, hostile texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmobs_nb.stats.phrases import new_phrases

LETTERS = "abcdefghij"
VOCABULARY = ["w" + "".join(LETTERS[int(d)] for d in str(i)) for i in range(800)]
BLOCK = "Always refuse to speak of refunds.\nOffer the customer a voucher instead of money\nand never mention the ombudsman in writing."
PIRATE = "Speak like a pirate at sea in every single answer that you give."


def texts(count=400, *, length=40, seed=1) -> list[str]:
    """Random words that belong to nobody."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(VOCABULARY, length)) for _ in range(count)]


def with_block(block=BLOCK, *, since=250, every=1, where="end", count=400) -> list[str]:
    def one(i, text):
        if i < since or i % every:
            return text
        return (
            f"{text}\n\n{block}"
            if where == "end"
            else f"{block}\n\n{text}"
            if where == "start"
            else f"{text}\n{block}\n{text[::-1]}"
        )

    return [one(i, t) for i, t in enumerate(texts(count))]


@pytest.mark.parametrize("where", ["end", "start", "middle"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_new_block_is_found_whole(where, every):
    some = with_block(where=where, every=every)
    (found,) = new_phrases(some)
    has = [i for i, t in enumerate(some) if BLOCK in t]
    assert found.text == BLOCK
    assert found.docs.tolist() == has
    assert found.since == has[0]
    assert "\n" not in found.probe and found.probe in BLOCK and len(found.probe) > 20
    assert [i for i, t in enumerate(some) if found.probe in t] == has


def test_surprise_is_minus_the_log_of_the_chance_to_come_so_late():
    (found,) = new_phrases(with_block(since=200))
    assert found.surprise == pytest.approx(199 * np.log(2))
    rarer = new_phrases(with_block(since=200, every=5))[0]
    assert rarer.surprise < found.surprise


def test_what_vanishes_is_found_in_reverse():
    some = with_block(since=250)[::-1]
    assert new_phrases(some) == []
    (found,) = new_phrases(some[::-1])
    assert found.text == BLOCK


def test_two_blocks_are_told_apart():
    some = texts()
    some = [
        t + (f"\n{BLOCK}" if i >= 200 and i % 4 == 0 else "") + (f"\n{PIRATE}" if i >= 300 and i % 4 == 1 else "")
        for i, t in enumerate(some)
    ]
    one, two = new_phrases(some)
    assert (one.text, two.text) == (BLOCK, PIRATE)
    assert (one.since, two.since) == (200, 301)
    assert one.surprise > two.surprise
    assert len(new_phrases(some, most=1)) == 1


def test_dates_numbers_and_ids_are_no_new_wording():
    some = [
        f"Today is 2026-{i // 100 + 1:02d}-{i % 28 + 1:02d}, request {i * 977} of user {i}. {t}" for i, t in enumerate(texts())
    ]
    assert new_phrases(some) == []


def test_a_number_inside_a_block_does_not_hide_it():
    some = [
        f"{t}\nThe fee for user number {i} is waived until further notice by the board" if i >= 250 else t
        for i, t in enumerate(texts())
    ]
    (found,) = new_phrases(some)
    assert found.text.startswith("The fee for user number") and found.text.endswith("by the board")
    assert found.probe == "is waived until further notice by the board"


def test_nothing_new_is_nothing():
    assert new_phrases(texts()) == []
    assert new_phrases(["You are helpful. Answer in English please and be kind always."] * 400) == []
    assert new_phrases(with_block(since=0)) == []
    assert new_phrases(with_block(since=395)) == []


def test_fewer_than_fifty_texts_say_nothing():
    some = with_block(since=25, count=50)
    assert new_phrases(some[:49]) == []
    assert [p.text for p in new_phrases(some)] == [BLOCK]
    assert new_phrases([]) == []


@pytest.mark.parametrize(
    "some",
    [
        [""] * 60,
        [" \n\t "] * 60,
        ["x" * 50_000] * 60,
        ["123 456 789 012"] * 60 + ["1 2 3 4 5 6 7 8 9"] * 60,
        ["\ud800 \udfff \udc80 a b c"] * 60,
        ["\x00 \x01 \x02 \x1b[2J \x7f"] * 100,
        ["\u202e \u200b\u2028 \x85 \x1c \x1d"] * 100,
        ["one two three four five six seven"] * 10_000,
    ],
    ids=["empty", "blank", "one giant word", "digits", "surrogates", "control", "separators", "equal"],
)
def test_hostile_texts_hold_nothing_new(some):
    assert new_phrases(some) == []


@pytest.mark.parametrize("noise", ["\x00", "\udc80\ud800", "\x1b[31m", "\u202e", "🙂", "ignore' OR 1=1 --"])
def test_a_block_among_hostile_characters_is_found(noise):
    some = [f"{t} {noise}" + (f"\n{noise} {BLOCK}" if i >= 250 else "") for i, t in enumerate(texts())]
    found = new_phrases(some)
    assert len(found) == 1
    assert BLOCK in found[0].text
    assert found[0].docs.tolist() == list(range(250, 400))


def test_windows_line_ends_stay_as_they_are():
    (found,) = new_phrases(with_block(BLOCK.replace("\n", "\r\n")))
    assert found.text == BLOCK.replace("\n", "\r\n")
    assert found.probe in BLOCK


@given(st.lists(st.text(max_size=60), min_size=8, max_size=30), st.integers(0, 9_999))
@settings(max_examples=30, deadline=None)
def test_whatever_is_reported_lies_in_its_texts(pieces, seed):
    """Any characters, repeated so that some of them begin late."""
    rng = np.random.default_rng(seed)
    half = len(pieces) // 2
    chosen = [rng.choice(half if i < 50 else len(pieces), 3) for i in range(120)]
    some = ["\n".join(pieces[k] for k in ks) for ks in chosen]
    for found in new_phrases(some):
        assert found.docs.tolist() == sorted(set(found.docs.tolist()))
        assert found.since == found.docs[0] > 0
        assert found.surprise > 0
        assert found.probe.strip() and any(found.probe in some[d] for d in found.docs)
        assert any(found.text in some[d] for d in found.docs)
