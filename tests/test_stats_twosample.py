"""Two windows as distributions: permutations of whole days, distances, classifier AUC, what moved."""

import numpy as np
import pytest
from scipy import sparse, stats

from llmobs_nb.stats import twosample as two

DAYS = np.repeat(np.arange(35), 40)
LATER, WEEKDAY = DAYS >= 28, DAYS % 7
SESSION = np.arange(len(DAYS)) // 4


def design(**more):
    return two.design(LATER, DAYS, WEEKDAY, SESSION, permutations=499, **more)


D = design()


def test_whole_days_change_sides_within_their_weekday():
    assert D.unit == "days"
    assert len(D.side) == 35 and D.side.sum() == 7
    for k in range(7):
        assert (D.chosen[:, D.stratum == k].sum(axis=1) == 1).all()
    assert (D.chosen[0] == D.side).all()
    assert len(np.unique(D.chosen, axis=0)) > 450


def test_two_weeks_are_too_few_days_so_whole_sessions_change_sides():
    last = DAYS >= 21
    d = two.design(LATER[last], DAYS[last], WEEKDAY[last], SESSION[last], permutations=99)
    assert d.unit == "sessions"
    of_session = {}
    for session, group in zip(SESSION[last], d.group, strict=True):
        assert of_session.setdefault(session, group) == group
    assert all(d.side[g] == late for g, late in zip(d.group, LATER[last], strict=True))
    assert set(np.unique(d.stratum)) == set(range(two.FOLDS))


def test_the_same_seed_gives_the_same_permutations_and_another_one_others():
    assert (design(seed=3).chosen == design(seed=3).chosen).all()
    assert (design(seed=3).chosen != design(seed=4).chosen).any()


def test_distances_agree_with_scipy_where_there_is_one_stratum_weight():
    rng = np.random.default_rng(1)
    x = rng.normal(LATER * 0.5, 1)
    codes, size = two.ordered_codes(x, bins=len(x))
    every = two.Design(D.group, D.side, np.zeros(35, int), "days", D.chosen)
    assert two.compare_counts(every, codes, size, ordered=True).effect.value == pytest.approx(
        stats.ks_2samp(x[LATER], x[~LATER]).statistic, abs=2e-3
    )
    u = stats.mannwhitneyu(x[LATER], x[~LATER]).statistic / (LATER.sum() * (~LATER).sum())
    assert two.dominance(every, codes, size) == pytest.approx(2 * u - 1, abs=2e-3)


def test_jensen_shannon_is_the_root_of_the_divergence_in_bits():
    from scipy.spatial.distance import jensenshannon

    codes = np.where(LATER, np.arange(len(DAYS)) % 4 == 0, np.arange(len(DAYS)) % 2 == 0).astype(int)
    found = two.compare_counts(D, codes, 2, ordered=False).effect
    assert found.value == pytest.approx(jensenshannon([0.75, 0.25], [0.5, 0.5], base=2), abs=1e-9)


def test_p_and_interval_agree():
    rng = np.random.default_rng(2)
    for shift in (0, 0.05, 0.1, 0.15, 0.2, 0.5):
        codes, size = two.ordered_codes(rng.normal(LATER * shift, 1))
        e = two.compare_counts(D, codes, size, ordered=True).effect
        assert (e.ci_low > 0) == (e.p < 0.05)
        assert e.ci_low <= e.value <= e.ci_high


def test_a_shock_that_one_day_shares_is_no_drift():
    rng = np.random.default_rng(3)
    alarms = rows = 0
    for _ in range(40):
        x = rng.normal(0, 0.5, 35)[DAYS] + rng.normal(0, 1, len(DAYS))
        codes, size = two.ordered_codes(x)
        alarms += two.compare_counts(D, codes, size, ordered=True).effect.p < 0.05
        rows += stats.ks_2samp(x[LATER], x[~LATER]).pvalue < 0.05
    assert alarms <= 6 < 20 <= rows


def test_another_mix_of_weekdays_is_no_drift():
    keep = ~(LATER & (WEEKDAY < 3) & (np.arange(len(DAYS)) % 4 > 0))  # three of four early in the later week are lost
    d = two.design(LATER[keep], DAYS[keep], WEEKDAY[keep], SESSION[keep], permutations=199)
    codes = (WEEKDAY[keep] < 3).astype(int)
    assert two.compare_counts(d, codes, 2, ordered=False).effect.value == pytest.approx(0, abs=1e-6)


def test_missing_values_are_left_out_of_n():
    x = np.where(np.arange(len(DAYS)) % 2, np.nan, 1.0 * SESSION)
    codes, size = two.ordered_codes(x)
    found = two.compare_counts(D, codes, size, ordered=True)
    assert (found.n_before, found.n_after) == (28 * 20, 7 * 20)


def test_few_rows_are_refused_and_one_value_is_bounded():
    codes = np.where(LATER & (np.arange(len(DAYS)) % 20 > 0), -1, 0)
    few = two.compare_counts(D, codes, 1, ordered=True)
    assert not few.effect.ok and "needed on each side" in few.effect.reason and few.n_after == 14
    one = two.compare_counts(D, np.zeros(len(DAYS), int), 1, ordered=True).effect
    assert (one.value, one.ci_low, one.p) == (0, 0, None)
    assert one.ci_high == pytest.approx(3 / 280)


def vectors(share, seed=4, columns=60):
    """Rows with a few of many words; a share of the later ones has words that no other row has."""
    rng = np.random.default_rng(seed)
    x = (rng.random((len(DAYS), columns)) < 0.1).astype(float)
    new = (LATER & (rng.random(len(DAYS)) < share))[:, None] & (rng.random((len(DAYS), 10)) < 0.3)
    return np.hstack([x, new])


def test_a_new_topic_is_told_apart_and_none_is_not():
    none, new = (two.compare_vectors(D, vectors(s)).effect for s in (0.0, 0.4))
    assert none.ci_low < 0.5 < none.ci_high and none.p > 0.05
    assert new.ci_low > 0.5 and new.p < 0.01
    assert 0.6 < new.value <= 0.5 + 0.4 / 2 + 0.05


def test_sparse_and_dense_vectors_give_the_same():
    x = vectors(0.2)
    dense, thin = two.compare_vectors(D, x).effect, two.compare_vectors(D, sparse.csr_array(x)).effect
    assert thin.value == pytest.approx(dense.value) and thin.p == dense.p


def test_vectors_are_refused_for_few_rows_or_few_weekdays():
    some = np.flatnonzero(~LATER | (np.arange(len(DAYS)) % 20 == 0))
    assert "needed on each side" in two.compare_vectors(D.of(some), vectors(0)[some]).effect.reason
    monday = np.flatnonzero(WEEKDAY == 0)
    assert "only 1 weekdays" in two.compare_vectors(D.of(monday), vectors(0)[monday]).effect.reason


def test_vectors_without_spread_cannot_be_told_apart():
    found = two.compare_vectors(D, np.ones((len(DAYS), 3))).effect
    assert (found.value, found.p) == (pytest.approx(0.5), 1.0)


def test_what_moved_is_found_with_limits_and_what_did_not_is_not():
    rng = np.random.default_rng(5)
    has = rng.random((len(DAYS), 40)) < 0.2
    has[:, 0] = rng.random(len(DAYS)) < np.where(LATER, 0.5, 0.2)
    has[:, 1] = rng.random(len(DAYS)) < np.where(LATER, 0.02, 0.2)
    counts = D.member @ has.astype(float)
    found = two.moved(D, counts, np.bincount(D.group).astype(float))
    true = np.log(0.5 / 0.5) - np.log(0.2 / 0.8)
    assert found.low[0] > 0 and found.low[0] < true < found.high[0]
    assert found.high[1] < 0
    assert ((found.low[2:] <= 0) & (found.high[2:] >= 0)).all()
    assert found.share_after[0] == pytest.approx(has[LATER, 0].mean())


def test_the_stability_index_is_that_of_the_textbook():
    codes = np.where(LATER, np.arange(len(DAYS)) % 4 == 0, np.arange(len(DAYS)) % 2 == 0).astype(int)
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert two.stability_index(D, codes, 2) == pytest.approx(expected, rel=0.02)
