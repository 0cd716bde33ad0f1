"""The effect of a pick that is not flattered by having been picked."""

import numpy as np
import pytest
from changekit import BINS, tiny
from scipy import stats

from llmobs_nb.stats import crossfit
from llmobs_nb.stats.scan import effects, scan


def effect(some, pick):
    """The change of a finding at its own onset."""
    return effects(some, [pick.cell], pick.onset, pick.end)[0][2]


def test_both_halves_of_the_days_see_every_weekday_and_every_week():
    first = crossfit.day_halves(56)
    assert first.sum() == 28
    assert (first.reshape(8, 7).sum(axis=0) == 4).all()
    assert set(first.reshape(8, 7).sum(axis=1)) == {3, 4}
    one, two = crossfit.by_days(tiny())
    assert one.n + two.n == pytest.approx(tiny().n)
    assert not ((one.n > 0) & (two.n > 0)).any()


def test_where_nothing_happened_the_search_flatters_and_cross_fitting_does_not():
    naive, fair = [], []
    for seed in range(40):
        some = tiny(seed, cells=12, rows=30)
        naive.append(effect(some, scan([some]).top(1)[0]))
        fair.append(crossfit.crossfit(*crossfit.by_days(some)).effect)
    wrong = [np.mean([e.p < 0.05 for e in found]) for found in (naive, fair)]
    assert wrong[0] > 0.5
    assert wrong[1] <= stats.binom.ppf(0.999, 40, 0.05) / 40


def test_cross_fitting_finds_what_is_there_and_pools_by_inverse_variance():
    some = tiny(1, jump=1.0, rows=80)
    halves = crossfit.by_days(some)
    fit = crossfit.crossfit(*halves)
    assert fit.agree and fit.picks[0].cell == 0
    assert fit.effect.ci_low < 1.0 < fit.effect.ci_high
    each = [effect(h, pick) for h, pick in zip(halves[::-1], fit.picks, strict=True)]
    weight = np.array([1 / e.se**2 for e in each])
    assert fit.effect.value == pytest.approx(np.average([e.value for e in each], weights=weight))
    assert fit.effect.se == pytest.approx(weight.sum() ** -0.5)
    among = crossfit.crossfit(*halves, among=[2, 3])
    assert {p.cell for p in among.picks} <= {2, 3}
    assert crossfit.crossfit(some, some.on(np.zeros(BINS, bool))) is None
