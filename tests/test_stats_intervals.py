"""Levels: proportion, mean, ratio, quantile; each against an outside authority, a property, and a degenerate case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats import intervals as i
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.stats.moments import NOTHING, Moments, add, moments

# Newcombe (1998), Statistics in Medicine 17:857, table I, method 3
NEWCOMBE_TABLE_1 = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


@pytest.mark.parametrize(("x", "n", "low", "high"), NEWCOMBE_TABLE_1)
def test_wilson_agrees_with_the_published_table(x, n, low, high):
    e = i.wilson(x, n)
    assert (e.ci_low, e.ci_high) == pytest.approx((low, high), abs=5e-5)
    assert (e.value, e.n) == (x / n, n)


@pytest.mark.parametrize(("x", "n"), [(3, 17), (50, 60)])
def test_wilson_agrees_with_scipy_at_another_level(x, n):
    theirs = stats.binomtest(x, n).proportion_ci(0.9, method="wilson")
    ours = i.wilson(x, n, level=0.9)
    assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.low, theirs.high))


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_in_the_unit_and_holds_its_value(pair):
    e = i.wilson(*pair)
    assert 0 <= e.ci_low <= e.value <= e.ci_high <= 1


def test_wilson_of_nothing_is_refused_and_of_nonsense_an_error():
    assert i.wilson(0, 0) == Estimate(None, None, None, 0, reason="nothing counted")
    with pytest.raises(ValueError, match=r"successes=5 is not between 0 and n=4"):
        i.wilson(5, 4)
    with pytest.raises(ValueError, match=r"level=95 is not between 0 and 1; give 0.95 for 95 %"):
        i.wilson(1, 4, level=95)


def test_mean_agrees_with_scipy():
    x = np.array([2.1, 3.4, 1.9, 5.6, 4.4, np.nan])
    e, theirs = i.mean(x), stats.ttest_1samp(x[:-1], 0).confidence_interval()
    assert (e.ci_low, e.ci_high) == pytest.approx((theirs.low, theirs.high))
    assert e.n == 5 and e.df == 4


def test_clustered_mean_is_a_t_interval_of_cluster_means_when_clusters_are_equal():
    x = np.array([1.0, 2, 2, 4, 5, 9, 0, 1])
    clusters = np.repeat(list("abcd"), 2)
    theirs = stats.ttest_1samp(x.reshape(4, 2).mean(axis=1), 0).confidence_interval()
    e = i.mean(x, clusters=clusters)
    assert (e.ci_low, e.ci_high) == pytest.approx((theirs.low, theirs.high))
    assert (e.n, e.df) == (8, 3)


def test_ratio_by_hand():
    # R = 7/5; residuals -.4, -.8, 1.2; their squares sum to 2.24; variance = 3/2 · 2.24 / 25
    e = i.ratio([1, 2, 4], [1, 2, 2])
    assert e.value == pytest.approx(1.4)
    assert e.se == pytest.approx(np.sqrt(1.5 * 2.24 / 25))
    assert e.ci_high - e.value == pytest.approx(stats.t.ppf(0.975, 2) * e.se)


def test_an_extra_variance_widens_and_mixes_the_degrees_of_freedom():
    m = moments([1.0, 2, 4, 5])
    own = i.variance(m)
    e = i.ratio_from(m, extra=(own, 6))
    assert e.se == pytest.approx(np.sqrt(2 * own))
    assert e.df == pytest.approx(4 * own**2 / (own**2 / 3 + own**2 / 6))  # Satterthwaite


@pytest.mark.parametrize("x", [[], [3.0], [np.nan, np.nan], [1.0, np.nan]])
def test_too_few_clusters_are_refused(x):
    assert i.mean(x).reason in ("no values", "1 cluster only: no spread to estimate from")


def test_no_spread_is_refused_even_with_rounding_dust():
    e = i.mean([0.1] * 1000, clusters=np.arange(1000) // 3)
    assert not e.ok and e.reason == "all 334 clusters have the same value: no spread to estimate from" and e.n == 1000


def test_a_proportion_of_independent_values_is_wilson():
    # effective n is p(1-p) / ((n/(n-1)) p(1-p)/n) = n - 1, times (z/t)²
    x = np.repeat([1.0, 0.0], [30, 70])
    n = 99 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 99)) ** 2
    e, theirs = i.proportion(x), i.wilson(0.3 * n, n)
    assert (e.ci_low, e.ci_high, e.n) == (pytest.approx(theirs.ci_low), pytest.approx(theirs.ci_high), 100)


def test_a_proportion_of_identical_twins_knows_half_as_much():
    x = np.repeat([1.0, 0.0], [300, 700])
    once, twice = moments(x), moments(np.repeat(x, 2), clusters=np.repeat(np.arange(1000), 2))
    assert i.effective_n(twice) == pytest.approx(i.effective_n(once))


def test_a_proportion_without_an_event_counts_clusters():
    e = i.proportion(np.zeros(90), clusters=np.arange(90) // 3)
    assert (e.value, e.ci_low, e.n) == (0, 0, 90)
    assert e.ci_high == pytest.approx(i.wilson(0, 30).ci_high)
    assert not i.proportion([0.0]).ok


def test_ranks_of_the_median_of_ten_are_the_textbook_ones():
    ranks = i.quantile_ranks(0.5, 10)
    assert (ranks.low, ranks.high) == (2, 9)
    assert ranks.coverage == pytest.approx(1 - 22 / 1024)  # P(2 <= B(10, 1/2) <= 8)


@pytest.mark.parametrize(("p", "n"), [(0.5, 25), (0.95, 200), (0.95, 72), (0.1, 60)])
def test_quantile_agrees_with_scipy_and_numpy(p, n):
    x = np.random.default_rng(5).lognormal(size=n)
    theirs = stats.quantile_test(x, p=p).confidence_interval()
    e = i.quantile(x, p)
    assert (e.ci_low, e.ci_high) == pytest.approx((theirs.low, theirs.high))
    assert e.value == pytest.approx(np.quantile(x, p))


def test_the_smallest_samples_that_bound_a_quantile():
    assert (i.smallest_n(0.5), i.smallest_n(0.95)) == (6, 72)  # .5^6 <= .025 < .5^5; .95^72 <= .025 < .95^71
    assert i.quantile_ranks(0.95, 72) is not None and i.quantile_ranks(0.95, 71) is None
    e = i.quantile(np.arange(71.0), 0.95)
    assert e.reason == "71 values do not bound the 95 % quantile on both sides: 72 independent ones do" and e.n == 71
    assert not i.quantile([], 0.5).ok
    with pytest.raises(ValueError, match=r"p=1 is not between 0 and 1"):
        i.quantile_ranks(1, 10)


def test_clusters_widen_a_quantile_interval():
    x = np.random.default_rng(2).normal(size=200)
    alone = i.quantile(x, 0.5)
    fives = i.quantile(np.repeat(x, 5), 0.5, clusters=np.repeat(np.arange(200), 5))
    assert fives.ci_low <= alone.ci_low and fives.ci_high >= alone.ci_high and fives.n == 1000


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.sampled_from([0.05, 0.5, 0.95]))
def test_quantile_position_is_numpys(x, p):
    low, high, weight = i.quantile_position(p, len(x))
    ordered = np.sort(x)
    value = ordered[low - 1] + weight * (ordered[high - 1] - ordered[low - 1])
    assert value == pytest.approx(np.quantile(x, p), abs=1e-6)


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 4)), min_size=2, max_size=40), st.integers(0, 40))
def test_moments_add_up_over_disjoint_clusters(rows, cut):
    x, g = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    inside = g < cut % 5
    parts = add([moments(x[inside], clusters=g[inside]), moments(x[~inside], clusters=g[~inside])])
    assert parts == pytest.approx(moments(x, clusters=g), abs=1e-6)


def test_moments_by_hand():
    assert moments([1, 2, 3], clusters=["a", "a", "b"]) == Moments(2, 3, 6, 18, 5, 9)
    assert add([]) == NOTHING


def test_estimates_write_strict_json():
    assert Estimate(float("nan"), 0.0, float("inf"), 3).json() == {"value": None, "ci_low": 0.0, "ci_high": None, "n": 3}
    assert Estimate.refused("why", n=2, level=0.9).json() == {
        "value": None, "ci_low": None, "ci_high": None, "n": 2, "level": 0.9, "reason": "why",
    }  # fmt: skip
