"""Designed samples: means, totals and allocations, each against an outside authority, a property, and a degenerate case."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats import design as d
from llmobs_nb.stats.intervals import mean

# One made-up sample of a rating, whether it is 4 or more, probabilities and sessions. The standard errors below are those of
# samplics 0.6.1 (TaylorEstimator, mean, samp_weight=1/p, psu) and, equal to 1e-14, of statsmodels 0.15.0 (WLS on a constant,
# weights=1/p, cov_type="cluster" with use_correction, and "HC1").
RATING = np.array([4.0, 3, 5, 2, 4, 1, 5, 3, 3, 2, 4, 5])
PROBS = np.array([1, 1, 0.5, 0.5, 0.25, 0.25, 0.1, 0.1, 0.1, 0.05, 0.05, 0.2])
SESSIONS = np.array(list("aabbbccddeef"))


@pytest.mark.parametrize(
    ("clusters", "se"), [(SESSIONS, 0.2300643069862149), (None, 0.4342402204603099)], ids=["clustered", "each row its own"]
)
def test_a_weighted_mean_agrees_with_samplics_and_statsmodels(clusters, se):
    e = d.hajek_mean(RATING, PROBS, clusters)
    assert (e.value, e.se) == pytest.approx((3.325842696629213, se), rel=1e-12)
    assert e.n == 12


def test_a_weighted_share_has_the_value_and_the_effective_size_that_samplics_standard_error_gives():
    e = d.hajek_mean((RATING >= 4).astype(float), PROBS)
    assert e.value == pytest.approx(0.47191011235955055, rel=1e-12)
    size = e.value * (1 - e.value) / 0.20004386138955704**2
    t, z = stats.t.ppf(0.975, e.df), stats.norm.ppf(0.975)
    at = size * (z / t) ** 2  # Wilson's limits are where the score statistic is z
    for limit in (e.ci_low, e.ci_high):
        assert abs(e.value - limit) == pytest.approx(z * np.sqrt(limit * (1 - limit) / at), rel=1e-9)


def test_equal_probabilities_give_the_ordinary_clustered_mean():
    same = d.hajek_mean(RATING, np.full(12, 0.3), SESSIONS)
    plain = mean(RATING, clusters=SESSIONS)
    assert (same.value, same.se) == pytest.approx((plain.value, plain.se))


def test_only_equal_clusters_have_as_many_degrees_of_freedom_as_clusters_less_one():
    assert d.hajek_mean(RATING, np.full(12, 0.3)).df == pytest.approx(11)
    assert d.hajek_mean(RATING, PROBS).df < 11


def test_missing_values_are_left_out_and_a_missing_probability_is_an_error():
    with_gap = d.hajek_mean([*RATING, np.nan], [*PROBS, 0.5], [*SESSIONS, "z"])
    assert with_gap == d.hajek_mean(RATING, PROBS, SESSIONS)
    with pytest.raises(ValueError, match=r"probs holds nan; a probability of being drawn is above 0 and at most 1"):
        d.hajek_mean([1.0, 2.0], [0.5, np.nan])
    with pytest.raises(ValueError, match=r"probs holds 0; a probability"):
        d.horvitz_thompson_total([1.0, 2.0], [0.5, 0.0])
    with pytest.raises(ValueError, match=r"2 values and 3 probabilities: give each value its own"):
        d.hajek_mean([1, 2], [1, 1, 1])


def test_what_has_no_spread_is_refused_with_a_reason():
    assert d.hajek_mean([], []).reason == "no values"
    assert d.hajek_mean([0.4, 0.5], [1, 1], ["s", "s"]).reason == "1 cluster only: no spread to estimate from"
    assert d.hajek_mean([0.4, 0.4], [0.5, 1]).reason == "all 2 clusters have the same value: no spread to estimate from"
    assert d.horvitz_thompson_total([], []).reason == "no values"
    assert d.horvitz_thompson_total([0, 0], [0.5, 1]).reason == "all that was drawn by chance is 0: no spread to estimate from"


def test_a_share_of_nothing_found_still_has_an_upper_limit_that_unequal_weights_widen():
    even, uneven = (d.hajek_mean(np.zeros(60), p) for p in (np.full(60, 0.1), np.r_[np.full(50, 1.0), np.full(10, 0.02)]))
    assert even.value == uneven.value == even.ci_low == 0
    assert even.ci_high == pytest.approx(stats.norm.ppf(0.975) ** 2 / (60 + stats.norm.ppf(0.975) ** 2))
    assert uneven.ci_high > 2 * even.ci_high


def test_totals_and_their_variance_are_exact_in_expectation_over_every_possible_sample():
    y, p = np.array([3.0, 10, 7, 2, 4]), np.array([0.2, 0.9, 0.5, 0.3, 1.0])
    chance, totals, spreads = [], [], []
    for taken in product((False, True), repeat=len(y)):
        taken = np.array(taken)
        weight = np.prod(np.where(taken, p, 1 - p))
        if weight == 0:
            continue
        e = d.horvitz_thompson_total(y[taken], p[taken])
        chance.append(weight)
        totals.append(e.value)
        spreads.append(e.se**2)
    chance, totals, spreads = map(np.array, (chance, totals, spreads))
    assert chance.sum() == pytest.approx(1)
    assert chance @ totals == pytest.approx(y.sum())
    assert chance @ spreads == pytest.approx(chance @ (totals - y.sum()) ** 2)


def test_a_total_of_units_drawn_for_certain_is_exact():
    e = d.horvitz_thompson_total([3, 4], [1, 1])
    assert (e.value, e.ci_low, e.ci_high, e.se) == (7, 7, 7, 0)


def test_a_total_is_never_said_to_be_less_than_what_was_seen():
    assert d.horvitz_thompson_total([1, 1, 1], [0.5, 0.5, 0.5]).ci_low == 3


def coverage(interval, truth, repeats: int, seed: int) -> float:
    hits = [truth in one for one in (interval(np.random.default_rng(seed + k)) for k in range(repeats))]
    return float(np.mean(hits))


class Limits:
    def __init__(self, e):
        self.e = e

    def __contains__(self, value):
        return self.e.ci_low <= value <= self.e.ci_high


def drawn(rng, graded: bool):
    """A stratified draw with a random part from 1,000 traces in sessions, three strata of different quality."""
    stratum, session = rng.choice(3, 1000, p=[0.8, 0.15, 0.05]), rng.integers(0, 350, 1000)
    shared, own = rng.normal(size=350)[session], rng.normal(size=1000)
    if graded:
        y = 0.75 - 0.15 * stratum + 0.1 * shared + 0.15 * own
    else:
        y = (0.5 * shared + np.sqrt(0.75) * own < np.array([-1.5, -0.6, 0.3])[stratum]).astype(float)
    rate = d.allocate(np.bincount(stratum, minlength=3), 150, power=0.5) / np.bincount(stratum, minlength=3)
    p = d.union_probability(rate[stratum], np.full(1000, 0.02))
    taken = rng.random(1000) < p
    return y[taken], p[taken], session[taken]


@pytest.mark.parametrize("graded", [True, False], ids=["mean", "share"])
def test_the_interval_of_a_drawn_and_clustered_sample_covers_as_it_says(graded):
    share = np.array([0.8, 0.15, 0.05])
    truth = share @ (0.75 - 0.15 * np.arange(3)) if graded else share @ stats.norm.cdf([-1.5, -0.6, 0.3])
    found = coverage(lambda rng: Limits(d.hajek_mean(*drawn(rng, graded))), truth, 2000, 1_000_000)
    assert 0.93 <= found <= 0.97


def test_the_interval_of_a_total_covers_as_it_says():
    y = np.random.default_rng(3).gamma(2, 3, 1500)
    p = np.clip(0.02 * y, 0.02, 1)

    def one(rng):
        taken = rng.random(len(y)) < p
        return Limits(d.horvitz_thompson_total(y[taken], p[taken]))

    assert 0.93 <= coverage(one, y.sum(), 1000, 1_010_000) <= 0.97


def test_neyman_s_allocation_agrees_with_cochran_s_formula_and_beats_the_proportional_one():
    sizes, spreads = np.array([400, 300, 300]), np.array([1.0, 3.0, 6.0])
    best, even = d.allocate(sizes, 100, spreads=spreads), d.allocate(sizes, 100)
    assert best == pytest.approx(100 * sizes * spreads / (sizes @ spreads))  # Cochran 1977, (5.26)
    assert even == pytest.approx([40, 30, 30])
    assert (sizes**2 * spreads**2 / best).sum() < (sizes**2 * spreads**2 / even).sum()


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=8),
    st.floats(0, 3000, allow_nan=False),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_an_allocation_spends_the_total_and_never_more_than_a_stratum_holds(sizes, total, power):
    out = d.allocate(sizes, total, power=power)
    assert (out >= 0).all() and (out <= np.array(sizes) + 1e-9).all()
    assert out.sum() == pytest.approx(min(total, sum(sizes)), abs=1e-6)


def test_an_allocation_of_less_than_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"total=-1, sizes and spreads must not be negative"):
        d.allocate([5], -1)


def test_rules_that_each_may_draw_add_up_as_independent_chances():
    assert d.union_probability([0.5, 1.0, 0.0], [0.2, 0.3, 0.1]) == pytest.approx([0.6, 1.0, 0.1])
    rng = np.random.default_rng(1_020_000)
    seen = (rng.random(200_000) < 0.5) | (rng.random(200_000) < 0.2)
    assert seen.mean() == pytest.approx(0.6, abs=0.005)


def test_a_slice_of_one_per_cent_is_missed_by_a_hundred_traces_and_seen_by_a_thousand():
    assert d.seen_at_least(5, 100, 0.01) < 0.005
    assert d.seen_at_least(5, 1000, 0.01) == pytest.approx(1 - stats.binom.cdf(4, 1000, 0.01))
    assert round(d.seen_at_least(5, 1000, 0.01), 2) == 0.97
