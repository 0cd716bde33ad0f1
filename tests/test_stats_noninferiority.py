"""Non-inferiority: intervals against published examples, the verdicts, power and n, and the awkward shapes."""

import math

import numpy as np
import pytest
from scipy import stats

from llmobs_nb.stats import noninferiority as ni
from llmobs_nb.stats.moments import moments

# (up, down, n, low, high): Cavo et al. 2012 in Fagerland, Lydersen and Laake (2017), chapter 8; PropCIs::scoreci.mp(25, 28, 618)
TANGO = [(6, 16, 161, -0.1240, -0.0054), (25, 28, 618, -0.0287, 0.0188)]


@pytest.mark.parametrize(("up", "down", "n", "low", "high"), TANGO)
def test_paired_rates_agree_with_published_score_intervals(up, down, n, low, high):
    assert ni.PairedRates(up, down, n).limits(0.95) == pytest.approx((low, high), abs=5e-5)


def test_the_p_of_paired_rates_is_tangos_test_of_equivalence():
    # Tango (1998), soft contact lenses: 44 pairs, one discordant, margin 0.1: Z = 1.709, one-sided p = 0.044
    (judged,) = ni.judge([(ni.PairedRates(0, 1, 44), 0.1, "up")])
    assert judged.p_pass == pytest.approx(stats.norm.sf(1.709), abs=5e-5) and judged.verdict == "inconclusive"


def test_pairs_without_a_change_are_bounded_by_the_score_interval_of_zero():
    z = stats.norm.ppf(0.975)
    assert ni.PairedRates(0, 0, 50).limits(0.95) == pytest.approx((-z * z / (50 + z * z), z * z / (50 + z * z)))


@pytest.mark.parametrize(("up", "down", "end"), [(20, 0, 1), (0, 20, -1)])
def test_pairs_that_all_changed_end_at_the_scale_s_end(up, down, end):
    limits = ni.PairedRates(up, down, 20).limits(0.95)
    assert end in limits and all(-1 <= v <= 1 for v in limits)


def test_two_rates_are_newcombes():
    # Newcombe (1998), table II, method 10: 56/70 against 48/80
    arms = [ni.arm(moments(np.arange(n) < k), rate=True) for k, n in ((56, 70), (48, 80))]
    assert arms[0].value == 0.8
    assert ni.TwoRates(0.8, 70, 0.6, 80, 150).limits(0.95) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert ni.two_rates(*arms).limits(0.95) == pytest.approx((0.0524, 0.3339), abs=5e-3)  # wider by the df of the variance


def test_means_on_an_open_scale_are_welchs():
    a, b = np.random.default_rng(1).normal(0, 1, 40), np.random.default_rng(2).normal(0.2, 2, 25)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    shift = ni.two_means(*(ni.arm(moments(x), rate=False) for x in (a, b)))
    assert shift.limits(0.95) == pytest.approx((theirs.low, theirs.high))


def test_paired_means_on_an_open_scale_are_student_s():
    d = np.random.default_rng(1).normal(0.1, 1, 30)
    theirs = stats.ttest_1samp(d, 0).confidence_interval()
    assert ni.paired_means(moments(d)).limits(0.95) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("n", [40, 72, 200, 1000])
def test_equal_grades_bound_a_mean_about_as_zeros_bound_a_rate(n):
    low, high = ni.paired_means(moments(np.zeros(n)), bounds=(0.0, 1.0)).limits(0.95)
    exact = 1 - 0.025 ** (1 / n)
    assert low == -high and 0.97 * exact < high < 1.1 * exact


def test_a_paired_ratio_has_fiellers_limits():
    rng = np.random.default_rng(3)
    b = rng.lognormal(0, 0.5, 60)
    a = b * rng.lognormal(0.1, 0.3, 60)
    low, high = (math.exp(v) for v in ni.paired_ratio(moments(a, n=b)).limits(0.95))
    for r in (low, high):
        assert abs(stats.ttest_1samp(a - r * b, 0).pvalue) == pytest.approx(0.05)
    assert low < a.sum() / b.sum() < high


def test_a_ratio_that_may_be_anything_has_no_limits_and_stays_inconclusive():
    c = ni.paired_ratio(moments(np.array([1.0, 100.0, 1.0]), n=np.array([50.0, 0.1, 0.2])))
    assert c.limits(0.95) == (-math.inf, math.inf)
    (judged,) = ni.judge([(c, 0.1, "down")])
    assert judged.verdict == "inconclusive" and judged.change.json()["ci_high"] is None


def test_a_small_arm_borrows_the_spread_of_the_large_one():
    dear = np.exp(1.5 * stats.norm.ppf((np.arange(400) + 0.5) / 400))
    cheap = np.full(20, 1.0) + np.arange(20) * 1e-3
    arms = [ni.arm(moments(x), rate=False) for x in (cheap, dear)]
    shift = ni.two_ratios(*arms)
    own = math.hypot(*(one.se / one.value for one in arms))
    assert shift.se > 3 * own and shift.value == pytest.approx(math.log(cheap.mean() / dear.mean()))


def test_clusters_widen_a_rate():
    x, sessions = np.repeat([1, 0, 1, 1, 0, 1, 1, 1, 0, 1], 6), np.repeat(np.arange(10), 6)
    alone, clustered = ni.arm(moments(x), rate=True), ni.arm(moments(x, clusters=sessions), rate=True)
    assert clustered.n == alone.n == 60 and clustered.n_eff < 15 < alone.n_eff


def verdict(value, se, better="up", margin=0.05):
    (judged,) = ni.judge([(ni.Shift(value, se, math.inf, 100), margin, better)])
    return judged.verdict


@pytest.mark.parametrize(
    ("value", "better", "expected"),
    [
        (0.0, "up", "pass"), (-0.02, "up", "pass"), (-0.04, "up", "inconclusive"), (-0.09, "up", "fail"), (0.3, "up", "pass"),
        (0.02, "down", "pass"), (0.09, "down", "fail"), (-0.3, "down", "pass"),
        (0.0, "", "pass"), (0.09, "", "fail"), (-0.09, "", "fail"), (0.04, "", "inconclusive"),
    ],
)  # fmt: skip
def test_the_verdict_is_where_the_interval_lies(value, better, expected):
    assert verdict(value, 0.01, better) == expected


def test_pass_agrees_with_the_interval_shown():
    for value in np.linspace(-0.06, 0.0, 25):
        (judged,) = ni.judge([(ni.Shift(value, 0.012, 30, 40), 0.05, "up")])
        assert (judged.verdict == "pass") == (judged.change.ci_low > -0.05) == (judged.p_pass < 0.025)


def test_failures_are_corrected_for_the_number_of_dimensions_and_passes_are_not():
    bad = (ni.Shift(-0.073, 0.01, math.inf, 100), 0.05, "up")
    fine = (ni.Shift(0.0, 0.01, math.inf, 100), 0.05, "up")
    assert ni.judge([bad])[0].verdict == "fail"
    together = ni.judge([bad, *[fine] * 9])
    assert together[0].verdict == "inconclusive" and {j.verdict for j in together[1:]} == {"pass"}


def test_power_and_n_are_those_of_the_textbook():
    # n = ((z.975 + z.8) sd / margin)²: Julious (2004), one-sided 2.5 %
    c = ni.Shift(0.0, 1 / math.sqrt(100), 1e9, 100)
    n = ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 0.2) ** 2
    assert ni.n_needed(c, 0.2, "up") == pytest.approx(n, rel=0.01)
    assert ni.power(c, 0.2, "up") == pytest.approx(stats.norm.cdf(2 - stats.norm.ppf(0.975)), abs=1e-6)
    assert ni.power(c, 0.2, "up", times=n / 100) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(
    "contrast",
    [
        ni.PairedRates(3, 5, 90), ni.PairedRates(0, 0, 40), ni.TwoRates(0.99, 80, 0.97, 300, 400), ni.Shift(-0.01, 0.05, 20, 21, -0.02, 0.02),
        ni.PairedRatio(2.0, 2.2, 1.0, 0.8, 1.2, 50),
    ],
)  # fmt: skip
def test_more_data_have_more_power_and_the_n_that_is_named_has_enough(contrast):
    powers = [ni.power(contrast, 0.05, "up", times=k) for k in (1, 4, 16, 64)]
    assert powers == sorted(powers) and all(0 <= p <= 1 for p in powers)
    n = ni.n_needed(contrast, 0.05, "up")
    assert ni.power(contrast, 0.05, "up", times=n / contrast.n) == pytest.approx(0.8, abs=0.1) or contrast.se == 0


def test_the_net_of_a_control_adds_both_uncertainties():
    net = ni.net(ni.Shift(-0.1, 0.03, 10, 50), ni.Shift(-0.08, 0.04, 10, 500))
    assert (net.value, net.se, net.n) == (pytest.approx(-0.02), pytest.approx(0.05), 50) and 10 < net.df < 20


def test_p_of_no_difference_agrees_with_the_interval():
    assert ni.p_no_difference(ni.Shift(0.2, 0.1, 25, 30)) == pytest.approx(2 * stats.t.sf(2, 25))
    assert ni.p_no_difference(ni.Shift(0.0, 0.1, 25, 30)) == pytest.approx(1.0, abs=1e-5)


def test_what_cannot_be_estimated_is_inconclusive():
    assert ni.arm(moments([1.0]), rate=False) is None and ni.paired_means(moments([0.5])) is None
    assert ni.paired_means(moments([0.5, 0.5])) is None and ni.paired_ratio(moments([0.0, 0.0], n=[1.0, 2.0])) is None
    free = ni.arm(moments([0.0, 0.0]), rate=False)
    assert ni.two_ratios(free, free) is None and ni.two_means(free, free) is None
    (judged,) = ni.judge([(None, 0.05, "up")])
    assert judged.verdict == "inconclusive" and not judged.change.ok


@pytest.mark.parametrize("margin", [0, -0.1, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match=r"margin=.* is not above 0; give the loss that starts to matter"):
        ni.judge([(ni.Shift(0, 1, 5, 6), margin, "up")])


def test_at_the_margin_few_pass():
    rng, hits = np.random.default_rng(5), 0
    for _ in range(400):
        a, b = rng.random(60) < 0.93, rng.random(60) < 0.98
        d = a.astype(float) - b
        low, _ = ni.PairedRates(float((d > 0).sum()), float((d < 0).sum()), 60).limits(0.95)
        hits += low > -0.05
    assert hits / 400 < 0.05
