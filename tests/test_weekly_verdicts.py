"""What many KPIs mean together: two one-sided questions, headline KPIs that count more, and tails that days widen."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.analyses.weekly.kpis import rate, score_kpi
from llmobs_nb.analyses.weekly.levels import Review, corrected, judge, review_ratio, student
from llmobs_nb.analyses.weekly.plan import plan_days
from llmobs_nb.analyses.weekly.sql import WINDOWS
from llmobs_nb.stats.days import day_shock
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.stats.intervals import variance
from llmobs_nb.stats.moments import Moments, add
from llmobs_nb.stats.multiplicity import benjamini_hochberg, weighted_benjamini_hochberg
from llmobs_nb.windows import Window, back

SCORE = score_kpi("good", "judge", low=0, high=1, binary=False)
PART = replace(SCORE, slice="feature=chat")
E = Estimate(0.5, 0.4, 0.6, 100)


def review(z, kpi=SCORE):
    """A change of so many standard errors."""
    change = Estimate(0.01 * z, 0.01 * z - 0.0196, 0.01 * z + 0.0196, 200, se=0.01, p=float(2 * stats.norm.sf(abs(z))))
    return Review(kpi, E, E, E, change)


# --- weights


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30), st.floats(0.1, 10))
def test_equal_weights_are_no_weights(p, weight):
    assert weighted_benjamini_hochberg(p, [weight] * len(p)) == pytest.approx(benjamini_hochberg(p), nan_ok=True)


def test_weights_are_scaled_to_a_mean_of_one_over_what_was_asked():
    # by hand: weights 3 and 1 are 1.5 and 0.5; p over weight is 0.02 and 0.04, and the larger bounds the smaller times two
    assert weighted_benjamini_hochberg([0.03, None, 0.02], [3, 99, 1]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
    assert weighted_benjamini_hochberg([0.9, 0.9], [9, 1]) == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("p", "weights", "error"),
    [
        ([0.1], [0.0], r"weights=\[0.0\] holds values that are not above 0"),
        ([0.1, 0.2], [1.0], "2 p values against 1 weights: each question has one of both"),
        ([1.5], [1.0], r"p=\[1.5\] holds values outside 0 to 1"),
    ],
)
def test_weights_that_are_none_are_errors(p, weights, error):
    with pytest.raises(ValueError, match=error):
        weighted_benjamini_hochberg(p, weights)


# --- verdicts


def test_worse_and_better_are_two_questions_each_one_sided():
    page = [review(-3.0), *[review(0.1)] * 29]
    worse = corrected(page)[0]
    assert worse == pytest.approx(30 * stats.norm.sf(3.0))  # not 60 times
    assert judge(page)[0].verdict == "worse" and judge([review(3.0), *page[1:]])[0].verdict == "better"


def test_many_that_got_better_do_not_make_it_easier_to_be_called_worse():
    page = [review(-2.4), *[review(6.0)] * 9]
    assert corrected(page)[0] == pytest.approx(10 * stats.norm.sf(2.4))
    assert [r.verdict for r in judge(page)] == ["cannot_tell", *["better"] * 9]


@given(st.floats(-5, 5))
def test_no_verdict_contradicts_an_interval_that_holds_0(z):
    (only,) = judge([review(z)])
    assert (only.verdict in ("better", "worse")) <= (abs(z) > 1.95)
    assert only.q >= only.change.p


def test_a_headline_kpi_is_called_before_a_slice_and_the_slices_pay_for_it():
    quiet = [*[review(0.1)] * 9, *[review(0.1, PART)] * 30]
    headline, part = judge([review(-3.0), *quiet])[0], judge([review(-3.0, PART), *quiet])[0]
    assert (headline.verdict, part.verdict) == ("worse", "cannot_tell")
    mean = (10 * 4 + 30) / 40
    assert headline.q == pytest.approx(40 * stats.norm.sf(3.0) / (4 / mean))
    errors = rate("error_rate", "Error rate", "down", "failed", "1", "", family="reliability")
    assert errors.weight == 4 and replace(errors, slice="error_class=timeout").weight == 1


def test_what_has_no_direction_does_not_count_among_those_that_have():
    neither = replace(SCORE, better="none")
    assert corrected([review(-3.0), *[review(0.1, neither)] * 50])[0] == pytest.approx(2 * stats.norm.sf(3.0))
    (told,) = judge([review(-3.0, neither)])
    assert told.verdict == "cannot_tell" and told.reason == "it changed, but neither direction is better by itself"


# --- tails


def test_the_p_of_few_degrees_of_freedom_agrees_with_the_interval_and_has_students_tail():
    # an interval that reaches just to 0 under 5 degrees of freedom: its p is 0.05 whatever they are
    for z, p in ((1.959964, 0.05), (3.3, 2 * stats.t.sf(3.3 / 1.959964 * stats.t.ppf(0.975, 5), 5))):
        change = Estimate(1.0, 0.0, 2.0, 9, p=float(2 * stats.norm.sf(z)))
        assert student(change, 5).p == pytest.approx(p, abs=1e-6)
    assert student(change, math.inf) is change
    assert student(Estimate.refused("none"), 5).reason == "none"


def test_shocks_of_days_leave_as_many_degrees_of_freedom_as_there_are_days_to_see_them_in():
    week = Window(datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC) + timedelta(days=7), "2026-W46")
    plan, rng = plan_days(week, back(week, 1), tz="UTC"), np.random.default_rng(3)
    days = {}
    for d in range(len(plan.days)):
        x = rng.normal(5 + rng.normal(0, 0.5), 1, 50)  # days differ far more than their means are uncertain
        days[d] = Moments(50.0, 50.0, x.sum(), (x * x).sum(), 50.0, x.sum())
    windows = {WINDOWS[w]: add([days[d] for d in at]) for w, at in plan.members().items()}
    positions = [plan.positions[d] for d in days]
    shock = day_shock(list(days.values()), week=[p[0] for p in positions], weekday=[p[1] for p in positions])
    assert shock.variance > 10 * variance(windows[WINDOWS["this"]])
    told = review_ratio(SCORE, plan, days | windows)
    assert shock.df == 24  # 35 days less 5 weeks and 6 weekdays
    assert told.this.df == pytest.approx(24, rel=0.05) and told.change.df == pytest.approx(24, rel=0.05)
