"""Kitagawa's decomposition: by hand, by its identities, and its standard errors by simulation."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats.cells import Cells
from llmobs_nb.stats.mix import cell_mix, decompose

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=5)
LEVELS = st.floats(-10, 10)


def window(counts, means, sd=1.0) -> np.ndarray:
    n, mean = np.asarray(counts, float), np.asarray(means, float)
    return np.stack([n, n * mean, n * mean**2 + np.maximum(n - 1, 0) * sd**2])


@st.composite
def windows(draw):
    """Two windows over the same groups, neither empty."""
    one = draw(COUNTS)
    two = draw(st.lists(st.integers(0, 500), min_size=len(one), max_size=len(one)))
    assume(sum(one) and sum(two))
    means = [draw(st.lists(LEVELS, min_size=len(one), max_size=len(one))) for _ in range(2)]
    return window(one, means[0]), window(two, means[1])


def test_two_groups_by_hand():
    """Shares .5, .5 → .75, .25; levels 10, 20 → 11, 18. Kitagawa (1955): rates at mean shares, shares at mean rates."""
    out = decompose(window([100, 100], [10, 20]), window([150, 50], [11, 18]))
    assert out.within_of == pytest.approx([0.625 * 1, 0.375 * -2])
    assert out.within.value == pytest.approx(-0.125)
    assert out.mix.value == pytest.approx(0.25 * 10.5 - 0.25 * 19.0)
    assert out.total.value == pytest.approx(12.75 - 15.0)
    middle = 0.625 * 10.5 + 0.375 * 19
    assert out.mix_of == pytest.approx([0.25 * (10.5 - middle), -0.25 * (19 - middle)])
    assert out.share_before.tolist() == [0.5, 0.5]
    assert out.share_after.tolist() == [0.75, 0.25]
    assert (out.total.n, out.within.n, out.mix.n) == (400, 400, 400)


@given(windows())
@settings(max_examples=80, deadline=None)
def test_the_parts_add_up(both):
    out = decompose(*both)
    assert out.within.value + out.mix.value == pytest.approx(out.total.value, abs=1e-9)
    assert out.within_of.sum() == pytest.approx(out.within.value, abs=1e-9)
    assert out.mix_of.sum() == pytest.approx(out.mix.value, abs=1e-9)


@given(windows())
@settings(max_examples=40, deadline=None)
def test_swapping_the_windows_turns_the_sign(both):
    there, back = decompose(*both), decompose(*both[::-1])
    assert back.within_of == pytest.approx(-there.within_of, abs=1e-9)
    assert back.mix_of == pytest.approx(-there.mix_of, abs=1e-9)
    for name in ("total", "within", "mix"):
        assert getattr(back, name).se == pytest.approx(getattr(there, name).se)
        assert getattr(back, name).p == pytest.approx(getattr(there, name).p)


@given(windows(), st.integers(0, 4), st.floats(0.1, 0.9))
@settings(max_examples=40, deadline=None)
def test_splitting_a_group_at_equal_level_changes_nothing(both, k, share):
    k %= both[0].shape[1]
    parts = [np.column_stack([np.delete(w, k, axis=1), share * w[:, k], (1 - share) * w[:, k]]) for w in both]
    whole, split = decompose(*both), decompose(*parts)
    for name in ("total", "within", "mix"):
        assert getattr(split, name).value == pytest.approx(getattr(whole, name).value, abs=1e-9)
    assert split.within_of[-2:].sum() == pytest.approx(whole.within_of[k], abs=1e-9)
    assert split.mix_of[-2:].sum() == pytest.approx(whole.mix_of[k], abs=1e-9)


@given(windows(), LEVELS, st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_zero_and_unit_of_the_metric_do_not_matter(both, shift, scale):
    moved = [np.stack([n, scale * s + shift * n, scale**2 * q + 2 * scale * shift * s + shift**2 * n]) for n, s, q in both]
    one, other = decompose(*both), decompose(*moved)
    assert other.within_of == pytest.approx(scale * one.within_of, abs=1e-7)
    assert other.mix_of == pytest.approx(scale * one.mix_of, abs=1e-7)


def test_equal_levels_are_no_mix_and_equal_shares_are_all_within():
    still = decompose(window([10, 90], [3, 3]), window([80, 20], [3, 3]))
    assert still.mix.value == pytest.approx(0) and still.within.value == pytest.approx(0)
    moved = decompose(window([10, 90], [3, 7]), window([20, 180], [4, 5]))
    assert moved.mix.value == pytest.approx(0)
    assert moved.within.value == pytest.approx(moved.total.value)


def test_a_group_that_is_new_is_all_mix():
    out = decompose(window([100, 0], [5, 0]), window([100, 100], [5, 1]))
    assert out.within.value == pytest.approx(0)
    assert out.mix.value == pytest.approx(out.total.value) == pytest.approx(-2)
    assert decompose(window([0, 0], [1, 1]), window([1, 2], [1, 1])) is None
    assert decompose(window([1, 2], [1, 1]), window([0, 0], [1, 1])) is None


def test_the_standard_error_of_the_total_is_welchs():
    out = decompose(window([400, 600], [3, 3], sd=2), window([500, 300], [3.2, 3.2], sd=2))
    theirs = stats.ttest_ind_from_stats(3.2, 2, 800, 3.0, 2, 1000, equal_var=False)
    assert out.total.value / out.total.se == pytest.approx(theirs.statistic, rel=2e-3)
    assert out.total.p == pytest.approx(theirs.pvalue, rel=0.02)
    clustered = decompose(window([400, 600], [3, 3], sd=2), window([500, 300], [3.2, 3.2], sd=2), deff=4.0, level=0.9)
    assert clustered.total.se == pytest.approx(2 * out.total.se)
    assert (clustered.mix.level, clustered.mix.se) == (0.9, pytest.approx(2 * out.mix.se))


def test_standard_errors_are_the_scatter_of_repeated_samples():
    rng, parts = np.random.default_rng(1), []
    levels = np.array([[1.0, 2.0, 4.0], [1.3, 2.0, 3.5]])
    shares = [[0.5, 0.3, 0.2], [0.3, 0.3, 0.4]]
    errors = []
    for _ in range(600):
        sampled = []
        for level, share in zip(levels, shares, strict=True):
            n = rng.multinomial(400, share).astype(float)
            mean = level + rng.normal(size=3) / np.sqrt(n)
            sampled.append(np.stack([n, n * mean, n * mean**2 + rng.chisquare(n - 1)]))
        out = decompose(*sampled)
        parts.append([out.total.value, out.within.value, out.mix.value])
        errors.append([out.total.se, out.within.se, out.mix.se])
    assert np.mean(errors, axis=0) == pytest.approx(np.std(parts, axis=0), rel=0.1)
    assert np.mean(parts, axis=0) == pytest.approx([0.49, 0.4 * 0.3 - 0.3 * 0.5, 0.52], abs=0.02)


def test_a_cell_against_the_rest_is_two_groups():
    rng = np.random.default_rng(3)
    n = rng.poisson(20, (3, 10)).astype(float)
    s = n * [[1.0], [2.0], [5.0]]
    cells = Cells(n, s, s * [[1.0], [2.0], [5.0]], np.stack([n.sum(0), s.sum(0), (s * [[1.0], [2.0], [5.0]]).sum(0)]), [1, 1, 1])
    out = cell_mix(cells, 2, 6)
    own = [np.array([x[2, part].sum() for x in (cells.n, cells.s, cells.q)]) for part in (slice(6), slice(6, None))]
    every = [cells.total[:, part].sum(axis=1) for part in (slice(6), slice(6, None))]
    theirs = decompose(*(np.stack([o, e - o], axis=1) for o, e in zip(own, every, strict=True)))
    assert out.mix_of == pytest.approx(theirs.mix_of)
    assert out.within_of[0] == pytest.approx(0)
    burst = cell_mix(cells, 2, 3, 5)
    assert burst.share_after[0] == pytest.approx(n[2, 3:5].sum() / n[:, 3:5].sum())
    assert cell_mix(cells, 2, 0) is None
