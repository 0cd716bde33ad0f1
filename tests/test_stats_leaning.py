"""What a judge leans on: both questions against least squares, honest judges with length and quality entangled, and degenerate data."""

import numpy as np
import pytest

from llmobs_nb.stats import leaning

SETS = 60


def draw(seed, *, n=800, lean=0.0, error=0.0, tpr=0.9, tnr=0.75, rise=0.8):
    """Longer answers are better; the judge sees quality (and length, by ``lean``), humans err in ``error`` of their labels."""
    rng = np.random.default_rng(seed)
    length = rng.normal(size=n)
    good = rng.random(n) < 1 / (1 + np.exp(-(1.4 + rise * length)))
    judge = rng.random(n) < np.clip(np.where(good, tpr, 1 - tnr) + lean * length, 0, 1)
    human = np.where(rng.random(n) < error, ~good, good)
    return judge.astype(float), human.astype(float), length


def flagged(how, **world):
    found = [how(*draw(seed, **world)) for seed in range(SETS)]
    return sum(e.p < 0.05 for e in found) / SETS


def test_the_marginal_effect_is_the_slope_of_judge_less_human():
    judge, human, length = draw(1)
    found = leaning.marginal(judge, human, length)
    assert found.value == pytest.approx(np.polyfit(length, judge - human, 1)[0], abs=1e-12)
    assert found.n == 800


def test_of_numbers_without_error_the_effect_given_the_human_is_least_squares():
    rng = np.random.default_rng(2)
    human, length = rng.normal(3, 1, 300), rng.normal(size=300)
    judge = 1 + 0.7 * human + 0.2 * length + rng.normal(0, 0.3, 300)
    found = leaning.given(judge, human, length, error=0)
    design = np.stack([np.ones(300), length, human], axis=1)
    assert found.value == pytest.approx(np.linalg.lstsq(design, judge, rcond=None)[0][1], abs=1e-10)


def test_the_standard_error_is_the_jackknife_of_sessions():
    judge, human, length = draw(3, n=120)
    session = np.arange(120) // 4
    found = leaning.marginal(judge, human, length, clusters=session)
    left = [leaning.marginal(judge[m], human[m], length[m]).value for m in (session != s for s in range(30))]
    assert found.se == pytest.approx(np.sqrt(29 / 30 * ((left - np.mean(left)) ** 2).sum()), rel=1e-9)


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_an_honest_judge_is_flagged_marginally_but_not_given_the_human_label(error):
    assert flagged(leaning.marginal, error=0.0) > 0.4
    assert flagged(leaning.given, error=error) <= 0.1


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_a_judge_that_leans_by_five_points_per_deviation_is_found_in_800_labels(error):
    assert flagged(leaning.given, lean=0.05, error=error) >= 0.85


def test_more_wrong_labels_than_were_allowed_for_are_told_apart_by_allowing_for_them():
    leaky = flagged(leaning.given, error=0.15, n=3000)
    allowed = flagged(lambda j, h, x: leaning.given(j, h, x, error=0.15), error=0.15, n=3000)
    assert leaky > 0.5
    assert allowed <= 0.1


def test_noisy_numbers_of_humans_do_not_make_the_judge_lean():
    def world(seed):
        rng = np.random.default_rng(seed)
        length = rng.normal(size=1500)
        truth = 0.5 * length + rng.normal(size=1500)
        return truth + rng.normal(0, 0.3, 1500), truth + rng.normal(0, 0.25, 1500), length

    found = [leaning.given(*world(s)) for s in range(30)]
    naive = [leaning.given(*world(s), error=0) for s in range(30)]
    assert sum(e.p < 0.05 for e in naive) >= 12
    assert sum(e.p < 0.05 for e in found) <= 3


def test_weights_undo_how_labels_were_drawn():
    judge, human, length = draw(5, n=20_000)
    keep = np.random.default_rng(6).random(20_000) < np.where(human > 0.5, 0.2, 1.0)
    weight = np.where(human > 0.5, 5.0, 1.0)
    whole, drawn = (
        leaning.marginal(judge, human, length),
        leaning.marginal(judge[keep], human[keep], length[keep], sample_weight=weight[keep]),
    )
    assert drawn.ci_low <= whole.value <= drawn.ci_high
    plain = leaning.marginal(judge[keep], human[keep], length[keep])
    assert abs(plain.value - whole.value) > abs(drawn.value - whole.value)


def test_copies_of_an_answer_in_a_session_do_not_make_the_interval_narrower():
    judge, human, length = draw(7, n=200)
    once = leaning.given(judge, human, length)
    many = leaning.given(*(np.repeat(v, 5) for v in (judge, human, length)), clusters=np.repeat(np.arange(200), 5))
    assert many.ci_high - many.ci_low == pytest.approx(once.ci_high - once.ci_low, rel=0.05)


@pytest.mark.parametrize("how", [leaning.marginal, leaning.given])
def test_too_little_and_the_same_everywhere_are_refused(how):
    assert how([], [], []).reason == "fewer than 10 answers with a value"
    assert how(np.ones(9), np.ones(9), np.arange(9.0)).reason == "fewer than 10 answers with a value"
    assert how(*draw(1)[:2], np.ones(800)).reason == "it is the same for all answers"
    assert how(np.ones(50), np.ones(50), np.arange(50.0)).reason == "no spread to estimate from"
    judge, human, length = draw(1, n=40)
    assert how(judge, human, length, clusters=np.zeros(40)).reason == "1 cluster only: no spread to estimate from"


def test_one_human_label_only_is_a_stratum_of_its_own():
    judge, _, length = draw(8, lean=0.08)
    found = leaning.given(judge, np.ones(800), length)
    assert found.value == pytest.approx(np.polyfit(length, judge, 1)[0], abs=1e-12)


def test_rows_with_a_missing_value_are_left_out():
    judge, human, length = draw(9)
    holes = length.copy()
    holes[::3] = np.nan
    at = np.isfinite(holes)
    assert leaning.given(judge, human, holes) == leaning.given(judge[at], human[at], length[at])


def test_a_judge_that_takes_the_first_answer_is_seen_in_both_questions():
    rng = np.random.default_rng(10)
    human = (rng.random(2000) < 0.5).astype(float)
    honest = np.where(rng.random(2000) < 0.2, 1 - human, human)
    first = np.where(rng.random(2000) < 0.15, 1.0, honest)
    marginal, given = leaning.position(first, human)
    assert marginal.value == pytest.approx(0.075, abs=0.03)
    assert given.p < 1e-6
    assert given.value > 0
    assert leaning.position(honest, human)[1].p > 0.05
