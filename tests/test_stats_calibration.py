"""Agreement of many raters, and scores as probabilities: against the reference libraries, by properties, and where nothing can be said."""

import numpy as np
import pytest
from scipy import special

from llmobs_nb.stats import calibration as cal
from llmobs_nb.stats.raters import METRICS, alpha


def ratings(seed, raters=4, units=40, missing=0.3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, units)
    table = np.clip(truth + rng.integers(-1, 2, (raters, units)), 1, 5).astype(float)
    table[rng.random(table.shape) < missing] = np.nan
    return table


def long(table):
    return np.tile(np.arange(table.shape[1]), table.shape[0]), table.ravel()


@pytest.mark.parametrize("metric", METRICS)
def test_alpha_of_many_raters_with_missing_values_is_that_of_the_reference_library(metric):
    krippendorff = pytest.importorskip("krippendorff")
    for seed in range(20):
        table = ratings(seed)
        expected = krippendorff.alpha(table, level_of_measurement=metric)
        assert alpha(*long(table), metric=metric).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_of_alpha_is_the_jackknife_of_units(metric):
    table = ratings(3, units=25)
    found = alpha(*long(table), metric=metric)
    kept = [u for u in range(25) if np.isfinite(table[:, u]).sum() > 1]
    left = np.array([alpha(*long(np.delete(table, u, axis=1)), metric=metric).value for u in kept])
    g = len(kept)
    assert found.n == g
    assert found.se == pytest.approx(np.sqrt((g - 1) / g * ((left - left.mean()) ** 2).sum()), rel=1e-9)


def test_labels_may_be_texts_and_clusters_of_copies_do_not_narrow_the_interval():
    units, values = long(ratings(5))
    named = np.array([None if v != v else f"grade {v:.0f}" for v in values], object)
    assert alpha(units, named).value == pytest.approx(alpha(units, values).value)
    twice = alpha(np.r_[units, units + 1000], np.r_[values, values], metric="interval", clusters=np.r_[units, units])
    once = alpha(units, values, metric="interval", clusters=units)
    assert twice.ci_high - twice.ci_low == pytest.approx(once.ci_high - once.ci_low, rel=0.05)


def test_alpha_is_refused_where_nothing_can_be_said():
    assert alpha([], []).reason == "fewer than 2 units with two values"
    assert alpha([1, 1, 2], [0, 1, 1]).reason == "fewer than 2 units with two values"
    assert "one and the same thing" in alpha([1, 1, 2, 2], [1, 1, 1, 1]).reason
    assert "no interval distance" in alpha([1, 1, 2, 2], ["a", "b", "a", "a"], metric="interval").reason
    assert "cut them into at most 60" in alpha(np.repeat(np.arange(50), 2), np.arange(100.0)).reason
    with pytest.raises(ValueError, match="metric='cosine' is not known; choose one of: nominal, ordinal, interval, ratio"):
        alpha([1, 1], [1, 0], metric="cosine")


def test_raters_who_never_differ_have_an_alpha_of_one_with_an_honest_lower_limit():
    found = alpha([1, 1, 2, 2, 3, 3], [1, 1, 0, 0, 1, 1])
    assert found.value == found.ci_high == 1
    assert found.ci_low < 0.5


def scored(seed, n=400, truth=lambda s: s):
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return score, (rng.random(n) < truth(score)).astype(float)


def test_isotonic_and_platt_maps_are_those_of_the_reference_library():
    isotonic = pytest.importorskip("sklearn.isotonic").IsotonicRegression
    logistic = pytest.importorskip("sklearn.linear_model").LogisticRegression
    score, passed = scored(1)
    weight = np.random.default_rng(2).uniform(0.5, 2, len(score))
    grid = np.linspace(-0.2, 1.2, 301)
    reference = isotonic(out_of_bounds="clip").fit(score, passed, sample_weight=weight).predict(grid)
    assert np.interp(grid, *cal.isotonic(score, passed, weight)) == pytest.approx(reference, abs=1e-9)
    many, said = scored(1, n=50_000)  # Platt's counts stop to matter
    fit = logistic(C=np.inf, tol=1e-8).fit(many[:, None], said)
    assert cal.platt(many, said) == pytest.approx((fit.intercept_[0], fit.coef_[0, 0]), abs=5e-3)


def test_a_platt_map_stays_finite_where_scores_separate_or_do_not_vary():
    intercept, slope = cal.platt([0, 0, 1, 1], [0, 0, 1, 1])
    assert special.expit(intercept) == pytest.approx(0.25, abs=1e-3)
    assert special.expit(intercept + slope) == pytest.approx(0.75, abs=1e-3)
    intercept, slope = cal.platt([1.0, 1, 1], [1, 0, 1])
    assert slope == 0


def test_the_reliability_curve_has_bins_of_equal_weight_and_the_share_that_humans_pass():
    score, passed = scored(4, n=1000, truth=lambda s: s**2)
    found = cal.reliability(score, passed)
    assert len(found) == 10
    assert {b.rate.n for b in found} <= set(range(95, 106))
    assert all(b.rate.ci_low <= b.score**2 <= b.rate.ci_high for b in found[1:9:2])
    graded = cal.reliability([1, 1, 2, 3, 3, 3], [0, 1, 1, 1, 1, 0])
    assert [(b.low, b.high, b.rate.n) for b in graded] == [(1, 1, 2), (2, 2, 1), (3, 3, 3)]
    assert cal.reliability([], []) == []


def test_a_calibrated_judge_has_no_calibration_error_and_a_shifted_one_its_shift():
    shift = [cal.calibration_error(0.2 + 0.6 * s, p) for s, p in (scored(i, truth=lambda s: 0.1 + 0.6 * s) for i in range(30))]
    calm = [cal.calibration_error(s, p) for s, p in map(scored, range(30))]
    assert sum(e.ci_low == 0 for e in calm) >= 26
    assert np.mean([e.value for e in calm]) < 0.03  # the plug-in has .06
    assert sum(e.ci_low <= 0.1 <= e.ci_high for e in shift) >= 26
    assert np.mean([e.value for e in shift]) == pytest.approx(0.1, abs=0.015)


def test_sessions_widen_the_interval_of_the_calibration_error_and_few_refuse_it():
    score, passed = scored(7, truth=lambda s: 0.5 + 0 * s)
    copies = [np.repeat(v, 4) for v in (score, passed, np.arange(len(score)))]
    alone, together = cal.calibration_error(*copies[:2]), cal.calibration_error(*copies[:2], clusters=copies[2])
    assert together.ci_high - together.ci_low > 1.6 * (alone.ci_high - alone.ci_low)
    assert cal.calibration_error(score[:9], passed[:9]).reason == "fewer than 10 clusters"


def test_a_crossfitted_row_is_judged_by_a_map_that_never_saw_its_session():
    session = np.repeat(np.arange(30), 3)
    said = cal.crossfitted(np.zeros(90), session.astype(float), lambda s, p, w: set(p), lambda seen, s: np.full(len(s), len(seen)),
                           clusters=session)  # fmt: skip
    assert set(said) == {27.0}
    assert (np.bincount(session, cal.folds(session)) == 3 * cal.folds(np.arange(30))).all()


def test_the_threshold_is_the_one_that_costs_least_and_moves_with_the_costs():
    score = np.repeat([1.0, 2, 3, 4, 5], 100)
    passed = np.concatenate([np.r_[np.ones(k), np.zeros(100 - k)] for k in (5, 30, 60, 90, 99)])
    even, strict, lax = (cal.best_threshold(score, passed, *costs) for costs in ((1, 1), (5, 1), (1, 5)))
    assert (even.value, strict.value, lax.value) == (3, 4, 2)
    assert even.low <= 3 <= even.high
    at = list(even.candidates).index(3)
    assert even.false_pass[at] == pytest.approx((40 + 10 + 1) / 500)
    assert even.false_fail[at] == pytest.approx((5 + 30) / 500)
    assert even.passes[at] == pytest.approx(0.6)
    assert even.candidates[-1] > 5
    assert even.passes[-1] == 0


def test_the_threshold_counts_weights_and_its_interval_shrinks_with_more_sessions():
    score, passed = scored(8, n=300)
    heavy = np.where(passed > 0.5, 1.0, 6.0)
    assert cal.best_threshold(score, passed, 1, 1, weight=heavy).value > cal.best_threshold(score, passed, 1, 1).value
    narrow, wide = (cal.best_threshold(*scored(9, n=n), 1, 1) for n in (20_000, 200))
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.value == pytest.approx(0.5, abs=0.06)
