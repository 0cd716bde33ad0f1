"""The true pass rate from labels: exact cases, an outside authority, clusters and weights, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from llmobs_nb.stats import beta
from llmobs_nb.stats import passrate as pr
from llmobs_nb.stats.moments import Moments, moments

JUDGED = moments(np.r_[np.ones(1800), np.zeros(200)])


def labels(tp: int, fp: int, fn: int, tn: int):
    """Judge and human of so many pairs."""
    cells = ((1, 1, tp), (1, 0, fp), (0, 1, fn), (0, 0, tn))
    return tuple(np.repeat([c[i] for c in cells], [c[2] for c in cells]) for i in (0, 1))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (1, 20), (20, 20), (180.3, 200.7), (3000, 5000)])
def test_quantiles_are_those_of_the_beta_posterior(successes, trials):
    exact = stats.beta.ppf((np.arange(beta.POINTS) + 0.5) / beta.POINTS, successes + 0.5, trials - successes + 0.5)
    assert np.abs(beta.quantiles(successes, trials) - exact).max() < 0.02 * exact.std()


def test_the_lattice_visits_every_quantile_of_each_rate_once():
    assert all(sorted(order) == list(range(beta.POINTS)) for order in beta.lattice(3))


def test_post_stratification_agrees_with_simulated_posteriors():
    found = pr.post_stratified(*labels(170, 10, 8, 12), JUDGED)
    rng = np.random.default_rng(1)
    q, a, b = (rng.beta(k + 0.5, n - k + 0.5, 400_000) for k, n in ((1800, 2000), (170, 180), (8, 20)))
    low, high = np.quantile(q * a + (1 - q) * b, (0.025, 0.975))
    assert found.value == pytest.approx(0.9 * 170 / 180 + 0.1 * 8 / 20)
    assert (found.ci_low, found.ci_high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_rogan_and_gladen_s_point_is_theirs_and_its_interval_that_of_simulated_posteriors():
    judge, human = labels(95, 20, 5, 80)
    found = pr.rogan_gladen(judge, human, JUDGED, inside=False)
    rng = np.random.default_rng(2)
    q, a, b = (rng.beta(k + 0.5, n - k + 0.5, 400_000) for k, n in ((1800, 2000), (95, 100), (20, 100)))
    low, high = np.quantile(np.clip((q - b) / (a - b), 0, 1), (0.025, 0.975))
    assert found.value == pytest.approx((0.9 - 0.2) / (0.95 - 0.2))
    assert (found.ci_low, found.ci_high) == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))


def test_labels_among_the_judged_do_not_count_their_chance_twice():
    judge, human = labels(95, 20, 5, 80)
    small = moments(np.r_[np.ones(250), np.zeros(150)])
    among, apart = (pr.rogan_gladen(judge, human, small, inside=i) for i in (True, False))
    assert among.value == apart.value
    assert among.ci_high - among.ci_low < apart.ci_high - apart.ci_low


def test_the_same_data_give_the_same_interval():
    assert pr.post_stratified(*labels(50, 5, 5, 40), JUDGED) == pr.post_stratified(*labels(50, 5, 5, 40), JUDGED)


def test_one_session_said_five_times_widens_the_interval():
    judge, human = labels(50, 10, 10, 30)
    alone = pr.post_stratified(judge, human, JUDGED)
    five = pr.post_stratified(np.repeat(judge, 5), np.repeat(human, 5), JUDGED, clusters=np.repeat(np.arange(100), 5))
    blind = pr.post_stratified(np.repeat(judge, 5), np.repeat(human, 5), JUDGED)
    widths = [e.ci_high - e.ci_low for e in (blind, alone, five)]
    assert widths[0] < 0.6 * widths[2]
    assert widths[2] == pytest.approx(widths[1], rel=0.1)


def test_clusters_of_one_change_nothing():
    judge, human = labels(50, 10, 10, 30)
    assert pr.post_stratified(judge, human, JUDGED, clusters=np.arange(100)) == pr.post_stratified(judge, human, JUDGED)


def test_weights_that_undo_a_slice_drawn_too_often_move_the_rate_back():
    rng = np.random.default_rng(3)
    bad = rng.random(40_000) < 0.2
    human, judge = np.where(bad, rng.random(40_000) < 0.3, rng.random(40_000) < 0.95), np.ones(40_000)
    prob = np.where(bad, 0.08, 0.02)
    drawn = rng.random(40_000) < prob
    all_judged = moments(judge)
    naive = pr.post_stratified(judge[drawn], human[drawn], all_judged)
    fair = pr.post_stratified(judge[drawn], human[drawn], all_judged, weights=1 / prob[drawn])
    assert naive.ci_high < human.mean()
    assert fair.ci_low < human.mean() < fair.ci_high


def test_equal_weights_are_no_weights():
    judge, human = labels(50, 10, 10, 30)
    assert pr.post_stratified(judge, human, JUDGED, weights=np.full(100, 7.0)) == pr.post_stratified(judge, human, JUDGED)


def test_a_verdict_without_a_label_widens_the_interval_by_its_share():
    found = pr.post_stratified(*labels(90, 10, 0, 0), JUDGED)
    assert found.ok
    assert found.ci_high - found.ci_low > 0.1


def test_all_labels_pass_and_the_upper_limit_is_one():
    found = pr.post_stratified(*labels(90, 0, 10, 0), JUDGED)
    assert (found.value, found.ci_high) == (1.0, 1.0)
    assert found.ci_low < 0.97


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: pr.post_stratified([], [], JUDGED), "no labels"),
        (lambda: pr.post_stratified([1], [1], Moments(0, 0, 0, 0, 0, 0)), "nothing was judged"),
        (lambda: pr.rogan_gladen([1], [1], Moments(0, 0, 0, 0, 0, 0)), "nothing was judged"),
        (lambda: pr.rogan_gladen([1, 0, 1], [1, 1, 1], JUDGED), "all 3 labels say the same"),
        (lambda: pr.rogan_gladen(*labels(25, 25, 25, 25), JUDGED), "too much alike to correct by"),
        (lambda: pr.rogan_gladen(*labels(5, 45, 45, 5), JUDGED), "too much alike to correct by"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_its_reason(call, reason):
    found = call()
    assert not found.ok
    assert reason in found.reason


def test_no_cell_of_a_small_table_is_too_empty():
    for tp in (0, 1, 3):
        for fp in (0, 2):
            for fn in (0, 1):
                for tn in (0, 2):
                    judge, human = labels(tp, fp, fn, tn)
                    who = np.arange(len(judge)) // 2
                    for one in (
                        pr.post_stratified(judge, human, JUDGED, clusters=who),
                        pr.rogan_gladen(judge, human, JUDGED, clusters=who),
                    ):
                        assert one.reason if not one.ok else 0 <= one.ci_low <= one.value <= one.ci_high <= 1


def test_coverage_of_a_small_clustered_sample_is_about_nominal():
    hits, sets, p = 0, 400, 0.8
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        rate = np.repeat(rng.beta(p * 1.5, (1 - p) * 1.5, 400), 5)
        human = rng.random(2000) < rate
        judge = rng.random(2000) < np.where(human, 0.95, 0.2)
        code = np.arange(2000) // 5
        found = pr.post_stratified(judge[:100], human[:100], moments(judge, clusters=code), clusters=code[:100])
        hits += found.ci_low <= p <= found.ci_high
    assert 0.92 <= hits / sets <= 0.985
