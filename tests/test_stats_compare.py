"""Comparisons: differences, relative changes, pairs of days, shocks of days; and adjusted p values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats import compare as c
from llmobs_nb.stats import days as d
from llmobs_nb.stats import intervals as i
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.stats.moments import moments
from llmobs_nb.stats.multiplicity import benjamini_hochberg, holm

# Newcombe (1998), Statistics in Medicine 17:873, table II, method 10
NEWCOMBE_TABLE_2 = [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (5, 56, 0, 29, -0.0381, 0.1926)]
# Colditz et al. (1994), log relative risks of 13 trials and their variances, as in the R package metafor (dat.bcg)
BCG_Y = [-0.8893, -1.5854, -1.3481, -1.4416, -0.2175, -0.7861, -1.6209, 0.0120, -0.4694, -1.3713, -0.3394, 0.4459, -0.0173]
BCG_V = [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230, 0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]
# Benjamini and Hochberg (1995), section 4
BH_EXAMPLE = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]


def test_difference_is_welchs():
    a, b = np.array([5.1, 4.9, 6.2, 5.7, 6.0]), np.array([4.0, 4.4, 3.1, 5.2, 4.8, 4.1, 3.9])
    theirs = stats.ttest_ind(a, b, equal_var=False)
    e, limits = c.difference(i.mean(a), i.mean(b)), theirs.confidence_interval()
    assert (e.ci_low, e.ci_high, e.p, e.df) == pytest.approx((limits.low, limits.high, theirs.pvalue, theirs.df))
    assert e.n == 12


def test_relative_change_by_hand():
    this, last = Estimate(12.0, 10, 14, 50, se=1.2), Estimate(10.0, 9, 11, 40, se=0.5)
    e = c.relative_change(this, last)
    se = math.sqrt(0.1**2 + 0.05**2)
    assert e.value == pytest.approx(0.2) and e.n == 90
    assert e.ci_low == pytest.approx(1.2 * math.exp(-1.959964 * se) - 1)
    assert e.p == pytest.approx(2 * stats.norm.sf(math.log(1.2) / se))


@pytest.mark.parametrize(("a", "n", "b", "m", "low", "high"), NEWCOMBE_TABLE_2)
def test_newcombe_agrees_with_the_published_table(a, n, b, m, low, high):
    e = c.newcombe(a, n, b, m)
    assert (e.ci_low, e.ci_high) == pytest.approx((low, high), abs=5e-5)
    assert (e.p < 0.05) == (low > 0)


def test_mover_of_symmetric_intervals_is_the_normal_difference():
    this, last = Estimate(5.0, 4.0, 6.0, 10), Estimate(3.0, 2.5, 3.5, 10)
    e = c.mover(this, last)
    assert (e.value, e.ci_low, e.ci_high) == pytest.approx((2, 2 - math.sqrt(1.25), 2 + math.sqrt(1.25)))


def test_mover_relative_is_mover_of_logs():
    this, last = Estimate(200.0, 180.0, 260.0, 10), Estimate(100.0, 90.0, 120.0, 10)
    e = c.mover_relative(this, last)
    down = math.hypot(math.log(200 / 180), math.log(120 / 100))
    up = math.hypot(math.log(260 / 200), math.log(100 / 90))
    assert (e.value, e.ci_low, e.ci_high) == pytest.approx((1.0, 2 * math.exp(-down) - 1, 2 * math.exp(up) - 1))


limits = st.tuples(st.floats(0.1, 50), st.floats(0.01, 5), st.floats(0.01, 5)).map(
    lambda t: Estimate(t[0] + t[1], t[0], t[0] + t[1] + t[2], 9, se=t[2])
)


@given(limits, limits, st.sampled_from([c.mover, c.difference]))
def test_swapping_the_weeks_turns_the_sign(a, b, compare):
    there, back = compare(a, b), compare(b, a)
    assert (there.value, there.ci_low, there.ci_high) == pytest.approx((-back.value, -back.ci_high, -back.ci_low))
    assert there.p == pytest.approx(back.p)


@given(limits, limits, st.sampled_from([c.mover, c.mover_relative, c.difference, c.relative_change]))
def test_p_and_interval_agree(a, b, compare):
    e = compare(a, b)
    if abs(e.p - 0.05) > 1e-6:
        assert (e.p < 0.05) == (e.ci_low > 0 or e.ci_high < 0)


def test_what_cannot_be_compared_is_refused_with_the_reason():
    good, none = Estimate(1.0, 0.5, 1.5, 10, se=0.2), Estimate.refused("no values", n=1)
    assert c.difference(good, none).reason == "last: no values"
    assert c.mover(none, good).reason == "this: no values"
    assert c.difference(good, Estimate(1.0, 0.5, 1.5, 10)).reason == "last: no standard error"
    assert c.relative_change(Estimate(0.0, -1, 1, 10, se=0.5), good).reason == "this is 0: no relative change"
    assert c.mover_relative(Estimate(1.0, 0.0, 2, 10), good).reason == "an interval reaches 0: no relative change"
    with pytest.raises(ValueError, match=r"levels differ: 0.95 and 0.9; give both estimates the same"):
        c.difference(good, Estimate(1.0, 0.5, 1.5, 10, level=0.9, se=0.2))


def test_paired_change_by_hand():
    # leaving out either pair gives log ratios log(1.1) and 0; their jackknife se is log(1.1) / 2
    e = d.paired_change([100, 110], [100, 100])
    se = math.log(1.1) / 2
    assert e.value == pytest.approx(0.05) and e.n == 410 and e.df == 1
    assert e.se == pytest.approx(se)
    assert e.p == pytest.approx(2 * stats.t.sf(math.log(1.05) / se, 1))


def test_counts_know_no_less_noise_than_poissons():
    e = d.paired_change([50, 50, 50], [50, 50, 50], counts=True)
    assert e.se == pytest.approx(math.sqrt(2 / 150)) and e.value == 0
    assert d.paired_change([5.0, 5.0], [5.0, 5.0]).reason.startswith("all pairs of days changed by the same factor")


def test_paired_changes_that_cannot_be_told():
    assert d.paired_change([5], [4]).reason == "1 pair of days: a change from day to day needs 2 or more"
    assert d.paired_change([5, 0, 0], [4, 4, 4]).reason == "one of the two windows has all of it, or nothing, on one day"
    with pytest.raises(ValueError, match=r"2 days against 3: days come in pairs"):
        d.paired_change([1, 2], [1, 2, 3])


def test_the_shock_of_days_agrees_with_metafor():
    # R: metafor::rma(yi, vi, data = dat.bcg, method = "PM") gives tau^2 = 0.3181
    tau2 = d._paule_mandel(np.array(BCG_Y), np.array(BCG_V), np.ones((13, 1)), 12)
    assert tau2 == pytest.approx(0.318, abs=5e-4)


def test_levels_of_weeks_and_weekdays_are_no_shock():
    rng = np.random.default_rng(3)
    week, weekday = np.divmod(np.arange(14), 7)
    noise = [np.tile(rng.normal(size=40), 1) for _ in range(14)]
    days = [moments(noise[k] - noise[k].mean() + 5 * week[k] + 3 * weekday[k]) for k in range(14)]
    assert d.day_shock(days, week=week, weekday=weekday) == d.DayShock(0.0, 6.0)


def test_a_shock_is_found_and_spread_over_the_days_of_a_window():
    rng = np.random.default_rng(4)
    week, weekday = np.divmod(np.arange(70), 7)
    days = [moments(rng.normal(shock, 0.5, 100)) for shock in rng.normal(0, 0.3, 70)]
    shock = d.day_shock(days, week=week, weekday=weekday)
    # 0.09 expected; a chi-square of 54 degrees of freedom leaves 99.9 % within a factor of 0.5 to 1.7
    assert 0.045 < shock.variance < 0.155 and shock.df == 70 - 16
    assert shock.extra([100] * 7) == pytest.approx((shock.variance / 7, 54))


def test_no_days_no_shock():
    assert d.day_shock([], week=[], weekday=[]) == (0.0, 0.0)
    assert d.day_shock([moments([1.0, 2.0])], week=[0], weekday=[0]).extra([2]) == (0.0, math.inf)


def test_benjamini_hochberg_agrees_with_scipy_and_the_paper():
    q = benjamini_hochberg(BH_EXAMPLE)
    assert q == pytest.approx(stats.false_discovery_control(BH_EXAMPLE))
    assert (q < 0.05).sum() == 4


def test_holm_agrees_with_r():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_adjusted_p_keeps_order_and_the_missing(p):
    asked = [v for v in p if v is not None]
    for adjust in (benjamini_hochberg, holm):
        out = adjust(p)
        assert [math.isnan(v) for v in out] == [v is None for v in p]
        inside = out[~np.isnan(out)]
        assert (inside >= np.array(asked) - 1e-12).all() and (inside <= 1).all()
        assert (np.diff(inside[np.argsort(asked, kind="stable")]) >= 0).all()


def test_a_p_outside_the_unit_is_an_error():
    with pytest.raises(ValueError, match=r"p=\[1.2\] holds values outside 0 to 1"):
        holm([1.2])
