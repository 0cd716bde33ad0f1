"""Where did it change: cells, contrasts against the rest of traffic, the search with its null, effects."""

from dataclasses import replace

import changekit as kit
import numpy as np
import pytest
from changekit import BINS, disjoint, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats import cells as parts
from llmobs_nb.stats import contrast, nulls
from llmobs_nb.stats.cells import Cells
from llmobs_nb.stats.scan import Finding, effects, scan, search

SEEDS = st.integers(0, 9_999)


def in_order(cells: Cells, order) -> Cells:
    return replace(cells, n=cells.n[:, order], s=cells.s[:, order], q=cells.q[:, order], total=cells.total[:, order])


# contrasts


def gain_by_least_squares(y, w, place, inside) -> float:
    """By how much a shape lowers the weighted squares of y, rhythm fitted with and without it."""
    rhythm = (place[:, None] == np.unique(place)).astype(float)
    root = np.sqrt(w)[:, None]
    left = []
    for design in (rhythm, np.column_stack([rhythm, inside])):
        fit = np.linalg.lstsq(design * root, y * root[:, 0], rcond=None)[0]
        left.append(w @ (y - design @ fit) ** 2)
    return left[0] - left[1]


@given(SEEDS, st.sampled_from([1, 7]))
@settings(max_examples=12, deadline=None)
def test_running_sums_are_weighted_least_squares_candidate_by_candidate(seed, period):
    some = tiny(seed, cells=3, period=period)
    some = some.on(np.random.default_rng(seed).random(BINS) < 0.9)
    s = contrast.standardise(some)
    order = np.random.default_rng(seed).permutation(4)[:, None] * 7 + np.arange(7)
    order, onsets, length = order.ravel(), range(3, 25), 5
    (value,) = contrast.largest_contrasts(s, contrast.Candidates(onsets, (length,), 2.0), order[None])
    best = contrast.best_contrasts(replace(s, w=s.w[order], r=s.r[order]), contrast.Candidates(onsets, (length,), 2.0))
    bins = np.arange(BINS)
    for c in range(3):
        w = s.w[order, c]
        y = np.divide(s.r[order, c], w, out=np.zeros(BINS), where=w > 0)
        gains = {(a, BINS): gain_by_least_squares(y, w, s.place[order], bins >= a) for a in onsets}
        for a in range(3, BINS - length):
            gains[a, a + length] = gain_by_least_squares(y, w, s.place[order], (bins >= a) & (bins < a + length)) - 2
        assert value[c] == pytest.approx(max(gains.values()), rel=1e-3, abs=1e-3)
        assert best.value[c] == pytest.approx(max(gains.values()), rel=1e-3, abs=1e-3)
        assert gains[best.start[c], best.stop[c]] == pytest.approx(best.value[c], rel=1e-3, abs=1e-3)


def test_against_large_shocks_the_effect_is_that_of_two_way_fixed_effects():
    """Group and bin dummies on bin means weighted by rows: the regression that textbooks call difference in differences."""
    some = tiny(3, cells=2, rows=4_000, jump=0.2)
    n, y = some.n, some.s / some.n
    bins, ones = np.eye(BINS), np.ones(BINS)
    weekdays = (np.arange(BINS)[:, None] % 7 == np.arange(7)).astype(float)
    step = (np.arange(BINS) >= 14).astype(float)
    other = np.column_stack([bins, 0 * weekdays, 0 * ones])
    own = np.column_stack([bins, weekdays, step])
    design, root = np.vstack([own, other]), np.sqrt(n.ravel())
    theirs = np.linalg.lstsq(design * root[:, None], y.ravel() * root, rcond=None)[0][-1]
    assert effects(some, [0], 14)[0][2].value == pytest.approx(theirs, abs=2e-3)
    assert theirs == pytest.approx(0.2, abs=0.03)


def test_a_cell_without_shocks_is_students_t_of_its_rows():
    n = np.full((1, BINS), 50.0)
    mean = np.where(np.arange(BINS) < 10, 1.0, 1.1)
    s = n * mean
    alone = disjoint(n, s, s**2 / n + 49.0, period=1)
    before, after, change = effects(alone, [0], 10, shock=0.0)[0]
    theirs = stats.ttest_ind_from_stats(1.1, np.sqrt(49 * 18 / 899), 900, 1.0, np.sqrt(49 * 10 / 499), 500)
    assert (before.value, after.value, change.value) == pytest.approx((1.0, 1.1, 0.1))
    assert change.value / change.se == pytest.approx(theirs.statistic, rel=0.01)
    assert (before.n, after.n) == (500, 900)
    assert change.p == pytest.approx(2 * stats.t.sf(change.value / change.se, change.df))
    assert (change.ci_high - change.value) / change.se == pytest.approx(stats.t.ppf(0.975, change.df))


def test_of_known_shocks_the_rest_tells_as_much_as_its_rows_allow():
    """Weight of a bin: one over (own sampling + what is left of the shock once the rest was seen), in row variances."""
    some = tiny(1, cells=2, rows=30)
    rows, sums, squares = some.total.sum(axis=1)
    floor, shock = (squares - sums**2 / rows) / (rows - 1), 0.05
    s = contrast.standardise(some, shock=shock)
    left = 1 / (floor / shock + some.n[1])
    assert s.w[:, 0] == pytest.approx(1 / (1 / some.n[0] + left))
    plain, alone = contrast.standardise(some), contrast.standardise(some, shock=0.0)
    assert plain.w[:, 0] == pytest.approx(1 / (1 / some.n[0] + 1 / some.n[1]))
    assert alone.w[:, 0] == pytest.approx(some.n[0])


@pytest.mark.parametrize(
    ("k0", "n0", "k1", "n1"), [(40, 4000, 30, 1000), (25, 5000, 18, 800), (90, 3000, 8, 1000), (300, 600, 130, 200)]
)
def test_the_cumulant_brings_z_close_to_the_binomial_deviance(k0, n0, k1, n1):
    deviance = 0.0
    for k, n in ((k0, n0), (k1, n1)):
        for seen, expected in ((k, n * (k0 + k1) / (n0 + n1)), (n - k, n - n * (k0 + k1) / (n0 + n1))):
            deviance += 2 * seen * np.log(seen / expected)
    n = np.array([[n0 / 4] * 4 + [n1 / 4] * 4])
    k = np.array([[k0 / 4] * 4 + [k1 / 4] * 4])
    z2 = []
    for rate in (True, False):
        s = contrast.standardise(disjoint(n, k, k, rate=rate, period=1), shock=0.0)
        z2.append(float(contrast.best_contrasts(s, contrast.Candidates([4])).value[0]))
    assert z2[0] == pytest.approx(deviance, rel=0.12)
    assert abs(z2[0] - deviance) < 0.6 * abs(z2[1] - deviance)


@given(SEEDS, st.floats(0.05, 0.95), st.sampled_from([0.02, 0.3, 0.9]))
@settings(max_examples=15, deadline=None)
def test_two_cells_that_are_all_traffic_moved_as_much_as_each_other(seed, share, level):
    """A spike of errors in a small rest must not count as their absence in the cell."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(60 * np.array([[share], [1 - share]]), (2, BINS)).astype(float)
    k = rng.binomial(n.astype(int), level).astype(float)
    k[0, 9] = n[0, 9]
    found = scan([disjoint(n, k, k, rate=True)], bursts=(1,))
    assert found.score[0, 0] == pytest.approx(found.score[0, 1], rel=1e-4)
    assert found.z[0, 0] == pytest.approx(-found.z[0, 1], rel=1e-4)


def test_taking_a_change_out_leaves_the_residuals_of_its_fit():
    s = contrast.standardise(tiny(2, jump=2.0))
    out = contrast.without(s, np.array([0]), np.array([14]), np.array([BINS]))
    gain = contrast.best_contrasts(s, contrast.Candidates([14])).value
    assert contrast.best_contrasts(out, contrast.Candidates([14])).value[0] == pytest.approx(0, abs=1e-3)
    assert s.scatter[0] - out.scatter[0] == pytest.approx(gain[0], rel=1e-4)
    assert (out.df - s.df).tolist() == [-1, 0, 0, 0, 0]
    best = contrast.best_contrasts(s, contrast.Candidates(range(2, 26), (2,)))
    assert contrast.left_over(s, best) == pytest.approx(s.scatter - best.value, rel=1e-4)
    assert (out.r[:, 1:] == s.r[:, 1:]).all()


def test_metrics_searched_together_share_their_bins():
    with pytest.raises(ValueError, match="need the same bins, period and phase"):
        contrast.join([contrast.standardise(tiny(phase=k)) for k in (0, 1)])


def test_one_cell_as_a_series_is_its_levels_net_of_the_rest():
    some = tiny(4, jump=1.0)
    alone, net = contrast.adjusted(some, 0, shock=0.0), contrast.adjusted(some, 0)
    assert alone.level == pytest.approx(some.s[0] / some.n[0])
    rest = some.total - np.stack([some.n[0], some.s[0], some.q[0]])
    plain = some.s[0] / some.n[0] - rest[1] / rest[0]
    assert np.corrcoef(net.level, plain)[0, 1] > 0.99
    assert (net.variance > alone.variance).all()
    assert contrast.adjusted(some.on(np.arange(BINS) != 3), 0).n[3] == 0


# the scan


@given(SEEDS, st.floats(-50, 50), st.floats(0.01, 100), st.sampled_from([-1, 1]))
@settings(max_examples=12, deadline=None)
def test_units_and_zero_of_a_metric_do_not_matter(seed, shift, scale, sign):
    one = tiny(seed)
    n, s, q = one.n, one.s, one.q
    other = disjoint(n, sign * scale * s + shift * n, scale**2 * q + 2 * sign * scale * shift * s + shift**2 * n)
    a, b = (scan([x], bursts=(2,)) for x in (one, other))
    assert b.score == pytest.approx(a.score, rel=2e-3, abs=2e-3)
    assert b.z == pytest.approx(sign * a.z, rel=2e-3, abs=2e-3)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_order_of_cells_does_not_matter_and_an_empty_cell_has_no_candidate(seed):
    some = tiny(seed, cells=6)
    some = disjoint(*(np.vstack([x, np.zeros((1, BINS))]) for x in (some.n, some.s, some.q)))
    turn = np.random.default_rng(seed).permutation(7)
    a, b = scan([some]), scan([replace(some, n=some.n[turn], s=some.s[turn], q=some.q[turn])])
    assert b.score[0] == pytest.approx(a.score[0][turn])
    assert a.score[0, 6] == -np.inf
    assert 6 not in [f.cell for f in a.top(7)]
    assert [turn[f.cell] for f in b.top(7)] == [f.cell for f in a.top(7)]


def test_each_attribute_more_costs_its_penalty():
    plain = tiny(5, jump=1.0)
    dear = replace(plain, order=[2, 1, 1, 1, 3])
    gone = scan([plain]).score[0] - scan([dear]).score[0]
    assert gone[[0, 4]] == pytest.approx([3.0, 6.0])
    assert (gone[1:4] == 0).all()


def test_a_finding_says_when_and_which_way():
    up, down = tiny(6, jump=1.0), tiny(6, jump=-1.0)
    found = scan([up, down], bursts=(3,))
    first, second = found.top(1, metric=0)[0], found.top(1, metric=1)[0]
    assert (first.cell, first.onset, first.end, np.sign(first.z)) == (0, 14, None, 1)
    assert (second.cell, second.onset, np.sign(second.z), second.metric) == (0, 14, -1, 1)
    assert len(found.top(3)) == 3
    assert [f.score for f in found.top(5)] == sorted((f.score for f in found.top(5)), reverse=True)
    short = tiny(6, jump=1.5)
    burst = np.arange(BINS) < 17
    quiet = tiny(6)
    mixed = disjoint(*(np.where(burst, getattr(short, k), getattr(quiet, k)) for k in ("n", "s", "q")))
    best = scan([mixed], bursts=(1, 3)).top(1)[0]
    assert (best.cell, best.onset, best.end) == (0, 14, 17)


def test_bad_arguments_are_refused_by_name():
    some = tiny()
    with pytest.raises(ValueError, match=r"same cells and bins, and a cell at least: \[\(5, 28\), \(4, 28\)\]"):
        scan([some, tiny(cells=4)])
    with pytest.raises(ValueError, match=r"a cell at least: \[\(0, 28\)\]"):
        scan([Cells(np.zeros((0, 28)), np.zeros((0, 28)), np.zeros((0, 28)), np.ones((3, 28)), [])])
    with pytest.raises(ValueError, match=r"a cell at least: \[\]"):
        search([])
    with pytest.raises(ValueError, match="onsets 0 to 9: give bins from 1 to 27"):
        scan([some], onsets=range(10))
    with pytest.raises(ValueError, match=r"bursts=\(0, 3\): give lengths from 1 to 27 bins"):
        scan([some], bursts=(0, 3))
    with pytest.raises(ValueError, match="1 metrics and 2 shocks: give each metric its shock"):
        scan([some], shocks=[0.1, 0.1])
    with pytest.raises(ValueError, match="permutations=0: give 1 or more"):
        search([some], permutations=0)


# the search and its null


def test_the_null_is_the_whole_scan_of_shuffled_weeks():
    some = [tiny(7), tiny(8, rows=8)]
    found = search(some, bursts=(1, 2), permutations=5, seed=3)
    for row, order in zip(found.null, nulls.week_permutations(BINS, 5, blocks=2, seed=3), strict=True):
        again = scan([in_order(c, order) for c in some], bursts=(1, 2))
        assert row == pytest.approx(again.score.max(axis=1), rel=1e-4)


def test_the_p_of_any_finding_pays_for_the_search_in_all_metrics():
    found = search([tiny(9), tiny(10)], permutations=60)
    scores = np.linspace(found.null[:, 1].min(), found.null[:, 1].max() + 9.0, 12)
    p = [found.p_of(Finding(1, 0, 14, None, 3.0, score)) for score in scores]
    assert p == sorted(p, reverse=True) and p[0] > 0.5 and p[-1] < 0.01
    alone = [nulls.exponential_tail(found.null[:, 1], score) for score in scores]
    assert (np.array(p) >= alone).all()
    assert found.p_of(found.best) == pytest.approx(found.p, rel=1e-6)
    assert found.p_metric.argmin() == found.best.metric


def test_where_no_cell_can_have_moved_p_is_one():
    n = np.full((3, BINS), 9.0)
    found = search([disjoint(n, n, n, rate=True)], permutations=20)
    assert (found.best, found.p, found.p_metric.tolist()) == (None, 1.0, [1.0])
    assert search([tiny(bins=3)], permutations=5).best is None


def test_quiet_worlds_raise_few_alarms():
    p = []
    for seed in range(12):
        _, metrics = kit.cells(kit.world(seed, rows=2_000, own=0.03 * (seed % 2)))
        p.append(search(metrics, bursts=(1, 2, 6), permutations=25, seed=seed).p)
    assert np.sum(np.array(p) < 0.05) <= stats.binom.ppf(0.999, len(p), 0.05)
    assert min(p) > 1e-4


@pytest.mark.parametrize(
    ("shape", "start", "length", "label"),
    [("step", 30, 0, ((3, 1),)), ("burst", 30, 1, ((3, 1),)), ("burst", 29, 2, ((6, 0),)), ("step", 36, 0, ((1, 1), (3, 0)))],
)
def test_a_planted_slice_is_found(shape, start, length, label):
    w = kit.world(5, rows=4_000)
    kit.harm(w, label, shape, start, length, 12.0)
    labels, metrics = kit.cells(w)
    found = search(metrics, bursts=(1, 2, 6), permutations=20)
    assert labels[found.best.cell] == label
    assert (found.best.onset, found.best.end) == (start, start + length if length else None)
    assert (found.best.metric, np.sign(found.best.z)) == (0, -1)
    assert found.p < 1e-3


def test_without_steps_only_bursts_are_candidates():
    w = kit.world(5, rows=4_000)
    kit.harm(w, ((3, 1),), "burst", 29, 2, 12.0)
    labels, metrics = kit.cells(w)
    found = search(metrics, bursts=(1, 2), steps=False, permutations=20)
    assert (labels[found.best.cell], found.best.onset, found.best.end) == (((3, 1),), 29, 31)
    tried = np.isfinite(found.scan.score)
    assert tried.any()
    assert ((found.scan.stop - found.scan.onset)[tried] <= 2).all()
    assert found.p < 1e-3


@given(st.integers(1, 80), st.sampled_from([1, 5, 7]), st.data())
@settings(max_examples=40, deadline=None)
def test_shuffled_weeks_keep_weekdays_and_runs(length, period, data):
    blocks = data.draw(st.integers(1, period))
    orders = nulls.week_permutations(length, 3, period=period, blocks=blocks, seed=length)
    assert (np.sort(orders, axis=1) == np.arange(length)).all()
    assert (orders % period == np.arange(length) % period).all()
    for places in np.array_split(np.arange(period), blocks):
        for k in range(length // period):
            assert (np.diff(orders[:, k * period + places]) == 1).all()


def test_blocks_are_from_one_to_a_period():
    for blocks in (0, 8):
        with pytest.raises(ValueError, match=f"blocks={blocks}: give 1 to 7, the bins of a period"):
            nulls.week_permutations(28, 2, blocks=blocks)


def test_the_tail_of_an_exponential_is_itself():
    null = stats.expon.ppf((np.arange(4_000) + 0.5) / 4_000)
    for observed in (0.5, 1.0, 4.0, 12.0, 30.0):
        assert np.log(nulls.exponential_tail(null, observed)) == pytest.approx(-observed, abs=0.02 * observed + 0.01)


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=60), st.floats(-5, 2_000), st.floats(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_larger_score_never_has_a_larger_p(null, observed, more):
    low, high = (nulls.exponential_tail(np.array(null), x) for x in (observed + more, observed))
    assert 0 < low <= high <= 1


def test_equal_draws_promise_no_short_tail():
    """A burst of one bin is the same in every order: a rounding error above such a null is no finding."""
    assert nulls.exponential_tail(np.full(40, 7.0), 7.0 + 1e-6) == 1.0
    assert nulls.exponential_tail(np.full(40, 7.0), 9.0) > 1e-3
    assert nulls.exponential_tail(np.full(40, -np.inf), 3.0) == pytest.approx(1 / 41)
    assert nulls.exponential_tail(np.full(40, -np.inf), -np.inf) == 1


def test_the_smallest_p_is_westfall_and_youngs_by_counting():
    rng = np.random.default_rng(2)
    null = rng.exponential([1.0, 30.0], (40, 2))
    observed = np.array([0.7, 25.0])
    rank = lambda x, column: (1 + sum(v >= x for v in column)) / 41  # noqa: E731
    each = [rank(observed[m], null[:, m]) for m in (0, 1)]
    smallest = [min(rank(null[b, m], null[:, m]) for m in (0, 1)) for b in range(40)]
    ours = nulls.smallest_p(observed, null)
    assert ours[0] == pytest.approx(each)
    assert ours[1] == pytest.approx((1 + sum(v <= min(each) for v in smallest)) / 41)
    twice = nulls.smallest_p(observed[[0, 0]], null[:, [0, 0]])
    assert twice[1] == pytest.approx(twice[0][0])


def test_a_huge_score_has_a_tiny_p():
    null = np.random.default_rng(1).exponential(size=(40, 2))
    each, p = nulls.smallest_p(np.array([5_000.0, 1.0]), null)
    assert 0 < p < 1e-50
    assert 0 < each[0] < 1e-50


# effects


def test_levels_are_plain_and_the_effect_is_net_of_the_rest():
    some = tiny(11, jump=0.8)
    before, after, change = effects(some, [0], 14)[0]
    assert before.value == pytest.approx(some.s[0, :14].sum() / some.n[0, :14].sum())
    assert after.value == pytest.approx(some.s[0, 14:].sum() / some.n[0, 14:].sum())
    assert change.ci_low < 0.8 < change.ci_high
    moved = np.where(np.arange(BINS) >= 14, 0.3, 0.0)
    together = disjoint(some.n, some.s + moved * some.n, some.q + 2 * moved * some.s + moved**2 * some.n)
    assert effects(together, [0], 14)[0][2].value == pytest.approx(change.value, abs=0.08)
    wider = effects(some, [0], 14, level=0.99)[0][2]
    assert wider.ci_low < change.ci_low and wider.level == 0.99


def test_intervals_of_known_onsets_cover():
    held = 0
    for seed in range(60):
        change = effects(tiny(seed, jump=0.3, cells=3), [0], 14)[0][2]
        held += change.ci_low <= 0.3 <= change.ci_high
    assert stats.binom.ppf(0.001, 60, 0.95) <= held


def test_an_effect_without_two_sides_is_refused_with_a_reason():
    some = tiny()
    gone = some.on(np.arange(BINS) < 14)
    assert {e.reason for e in effects(gone, [0], 14)[0]} == {"no rows on one side of the onset"}
    alone = parts.whole(some)
    assert "nothing to compare with" in effects(alone, [5], 14)[0][2].reason
    assert effects(alone, [5], 14, shock=0.01)[0][2].ok
    assert effects(some, [0], 0)[0][0].reason == "no rows on one side of the onset"


# cells


def test_cells_refuse_what_does_not_fit():
    n, total = np.ones((2, 3)), np.full((3, 3), 2.0)
    with pytest.raises(ValueError, match=r"n, s, q must be cells × bins alike: \(2, 3\), \(2, 3\), \(3,\)"):
        Cells(n, n, n[0], total, [1, 1])
    with pytest.raises(ValueError, match=r"total is \(3, 2\), order \(2,\); \(3, 3\) and \(2,\) belong to it"):
        Cells(n, n, n, total[:, :2], [1, 1])
    with pytest.raises(ValueError, match=r"order \(1,\); \(3, 3\) and \(2,\)"):
        Cells(n, n, n, total, [1])
    for wrong in (-n, 3 * n):
        with pytest.raises(ValueError, match="fewer than 0 rows, or more than all traffic"):
            Cells(wrong, n, n, total, [1, 1])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="must be numbers: leave missing values out of the sums"):
            Cells(n, n * bad, n, total, [1, 1])
    with pytest.raises(ValueError, match="period=0: give 7 for days, 168 for hours"):
        Cells(n, n, n, total, [1, 1], period=0)


def test_all_traffic_is_one_more_cell_of_order_0():
    some = tiny()
    assert len(parts.whole(some)) == 6
    assert (parts.whole(some).n[5] == some.total[0]).all()
    assert parts.whole(some).order[5] == 0
