"""The largest binomial likelihood against scipy's probabilities."""

import numpy as np
import pytest
from scipy import stats

from llmobs_nb.stats.likelihood import binomial_fit


@pytest.mark.parametrize(
    ("k", "n"), [((3, 9), (10, 12)), ((0, 7), (40, 9)), ((5, 5), (5, 800)), ((120, 310), (4_000, 900)), ((0, 6), (3, 6))]
)
def test_two_levels_gain_over_one_what_scipys_probabilities_say(k, n):
    together = sum(k) / sum(n)
    theirs = sum(stats.binom.logpmf(a, b, a / b) - stats.binom.logpmf(a, b, together) for a, b in zip(k, n, strict=True))
    ours = binomial_fit(k, n).sum() - binomial_fit(sum(k), sum(n))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-5)


def test_no_other_share_is_likelier():
    k, n = 7, 30
    others = [stats.binom.logpmf(k, n, p) - stats.binom.logpmf(k, n, k / n) for p in np.linspace(0.01, 0.99, 99)]
    at_each = [k * np.log(p) + (n - k) * np.log(1 - p) - binomial_fit(k, n) for p in np.linspace(0.01, 0.99, 99)]
    assert at_each == pytest.approx(others)
    assert max(at_each) <= 0


def test_none_all_and_no_rows_have_a_finite_likelihood():
    assert binomial_fit([0, 50, 0], [50, 50, 0]) == pytest.approx([0, 0, 0], abs=1e-6)
    assert binomial_fit(0, 0) == 0
    assert binomial_fit(np.ones((2, 3)), np.full((2, 3), 2.0)) == pytest.approx(np.full((2, 3), 2 * np.log(0.5)))
