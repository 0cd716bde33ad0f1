"""A pick that is not flattered by having been picked, its rivals, and one cause after the other."""

import numpy as np
import pytest
from changekit import BINS, tiny
from scipy import stats

from llmobs_nb.stats import cells as parts
from llmobs_nb.stats import crossfit, explain
from llmobs_nb.stats.scan import effect, scan


def test_overlaps_of_base_cells_are_counted_once():
    some = tiny(cells=4)
    members = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    all_cells, overlap = parts.of_base(some.n, some.s, some.q, members, [1, 1, 2])
    assert all_cells.n[0] == pytest.approx(some.n[0] + some.n[1])
    assert all_cells.total == pytest.approx(some.total)
    (shared,) = overlap([0, 1])
    assert shared.n == pytest.approx(np.stack([some.n[0] + some.n[1], some.n[1] + some.n[2], np.zeros(BINS)]))
    assert shared.total[0] == pytest.approx(some.n[:3].sum(axis=0))
    left = all_cells.without(shared)
    assert (left.n[:2] == 0).all() and left.n[2] == pytest.approx(some.n[3])
    assert left.total[0] == pytest.approx(some.n[3])


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
        naive.append(effect(some, scan([some]).top(1)[0])[2])
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
    each = [effect(h, pick)[2] for h, pick in zip(halves[::-1], fit.picks, strict=True)]
    weight = np.array([1 / e.se**2 for e in each])
    assert fit.effect.value == pytest.approx(np.average([e.value for e in each], weights=weight))
    assert fit.effect.se == pytest.approx(weight.sum() ** -0.5)
    among = crossfit.crossfit(*halves, among=[2, 3])
    assert {p.cell for p in among.picks} <= {2, 3}
    assert crossfit.crossfit(some, some.on(np.zeros(BINS, bool))) is None


def faults(seed=0, moved=(0, 1), jump=1.0):
    """Six base cells; cells: 0+1 (the fault), 0, 1, 2+3 (overlaps nothing), 0+1 again by another name, 1+2 (half of it)."""
    base = tiny(seed, cells=6, rows=60)
    s, q = base.s.copy(), base.q.copy()
    for k in moved:
        q[k, 14:] += 2 * jump * s[k, 14:] + jump**2 * base.n[k, 14:]
        s[k, 14:] += jump * base.n[k, 14:]
    members = [
        [1, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
    ]
    return parts.of_base(base.n, s, q, members, [1, 2, 2, 1, 1, 1])


def test_the_pick_explains_its_rivals_and_not_the_other_way_round():
    some, overlap = faults()
    found = scan([some])
    pick = found.top(1)[0]
    assert pick.cell == 0
    by = {r.cell: r for r in explain.rivals(some, found, pick, overlap([0])[0])}
    assert by[4].jaccard == 1 and by[4].pick_alone.reason == "the two cells are the same traffic"
    half = by[5]
    assert half.jaccard == pytest.approx(1 / 3, abs=0.03)
    assert half.pick_alone.ci_low > 0.5
    assert half.rival_alone.ci_low < 0 < half.rival_alone.ci_high
    assert by[1].pick_alone.ci_low > 0.5 and by[1].rival_alone.reason == "no rows on one side of the onset"


def test_one_cause_after_the_other_until_nothing_is_left():
    some, overlap = faults(moved=(0, 1))
    once = explain.explain([some], overlap, permutations=30)
    assert [p.cell for p in once.picks] == [0]
    assert len(once.searches) == 2 and once.searches[1].p >= 0.01
    some, overlap = faults(moved=(0, 1, 2, 3))
    both = explain.explain([some], overlap, permutations=30)
    assert {p.cell for p in both.picks} == {0, 3}
    assert max(both.p) < 0.01
    some, overlap = faults(moved=())
    assert explain.explain([some], overlap, permutations=30).picks == []
