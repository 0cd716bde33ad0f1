"""Change points of one series: candidates, noise, steps, ramps, bursts, and what bounds them when nothing changed."""

from dataclasses import replace

import changekit as kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmobs_nb.stats import candidates as cand
from llmobs_nb.stats import changes, margins, noise
from llmobs_nb.stats import series as ser

# Annual flow of the Nile at Aswan 1871-1970 (Cobb 1978; the dataset Nile of R). Zeileis, Kleiber, Krämer and Hornik (2003,
# Computational Statistics and Data Analysis 44:109) date its one break after 1898, i.e. after 28 values, with supF = 75.93, means
# 1097.75 and 849.97, and a 95 % interval of 1895 to 1902. ruptures 1.1.10, Dynp(model="l2"), says 28 as well.
NILE = [
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140, 1100, 1210,
    1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702,
    1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771,
    676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901,
    1170, 912, 746, 919, 718, 714, 740,
]  # fmt: skip


def nile() -> ser.Series:
    return ser.Series(NILE, np.full(100, 128.0**2), np.ones(100), period=1)


def scores(seed=1, shape="step", start=30, length=0, size=-0.1, **kw) -> ser.Series:
    return ser.of_sums(*kit.series(seed, size * kit.bent(shape, start, length), **kw))


def test_the_nile_changed_after_1898():
    found = changes.find(nile())
    assert (found.shape, found.onset, found.end) == ("step", 28, None)
    assert 24 <= found.low <= 28 <= found.high <= 32
    assert found.p < 1e-4
    assert found.before.value == pytest.approx(1097.75, abs=8)
    assert found.after.value == pytest.approx(849.97, abs=8)


def test_a_known_onset_is_estimated_without_a_search():
    found = changes.at(nile(), 28)
    assert found.effect.value == pytest.approx(849.97 - 1097.75, abs=8)
    assert found.after.value - found.before.value == pytest.approx(found.effect.value)
    assert (found.low, found.high, found.before.n, found.after.n) == (28, 28, 28, 72)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


def test_without_shocks_a_step_is_the_difference_of_volume_weighted_means():
    x = replace(scores(), period=1)
    model, what = noise.models(x)[0], cand.candidates(x.present)
    k = np.flatnonzero((what.shape == cand.STEP) & (what.start == 30))
    info = cand.information(what, model.precision)[k]
    effect = cand.scores(what, model.precision @ x.level[:, None])[k, 0] / info
    means = [np.average(x.level[part], weights=x.n[part]) for part in (slice(30), slice(30, None))]
    assert effect == pytest.approx(means[1] - means[0])
    row = x.variance[0] * x.n[0]
    assert 1 / info == pytest.approx(row / x.n[:30].sum() + row / x.n[30:].sum())


@given(st.integers(0, 10_000), st.integers(8, 30))
@settings(max_examples=30, deadline=None)
def test_all_candidates_at_once_are_each_candidate_by_itself(seed, length):
    rng = np.random.default_rng(seed)
    present = rng.random(length) < 0.8
    root = rng.normal(size=(length, length)) * present[:, None]
    precision, y = root @ root.T, rng.normal(size=(length, 2))
    what = cand.candidates(present, edge=2)
    curves = np.array([cand.curve(*(int(x) for x in row), length) for row in zip(*what[:3], strict=True)]).reshape(-1, length)
    assert cand.scores(what, y) == pytest.approx(curves @ y)
    assert cand.information(what, precision) == pytest.approx(np.einsum("kt,tu,ku->k", curves, precision, curves), abs=1e-8)
    assert np.exp(what.log_prior).sum() == pytest.approx(1) if len(what) else True


def test_a_candidate_begins_on_a_bin_with_rows_and_leaves_some_on_either_side():
    present = np.ones(20, bool)
    present[[0, 9, 10, 19]] = False
    what = cand.candidates(present, edge=3)
    assert present[what.start].all()
    steps = what.start[what.shape == cand.STEP]
    assert (steps.min(), steps.max()) == (4, 16)
    assert 9 not in steps and 11 in steps


def test_the_log_likelihood_is_that_of_contrasts_free_of_the_rhythm():
    x = scores()
    design = ser.rhythm(len(x), 7)
    free = np.linalg.svd(design)[0][:, 7:]
    y = np.column_stack([x.level, scores(seed=2).level])
    for model in noise.models(x)[::7]:
        assert model.precision @ design == pytest.approx(0, abs=1e-6 * np.abs(model.precision).max())
        cov = model.root @ model.root.T
        theirs = stats.multivariate_normal(cov=free.T @ cov @ free).logpdf(y.T @ free)
        ours = model.log_likelihood(y, model.precision @ y)
        assert ours[0] - ours[1] == pytest.approx(theirs[0] - theirs[1])


def test_simulated_quiet_series_have_the_covariance_of_their_model():
    x = scores()
    grid = noise.models(x)
    k = next(i for i, m in enumerate(grid) if m.rho == 0.4)
    drawn = noise.simulate(grid, np.eye(len(grid))[k], 20_000, x, np.random.default_rng(1))
    assert np.cov(drawn)[:3, :3] == pytest.approx((grid[k].root @ grid[k].root.T)[:3, :3], rel=0.1, abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "start", "length", "size"), [("step", 30, 0, -0.1), ("burst", 25, 4, -0.2), ("ramp", 18, 21, -0.16)]
)
def test_shape_onset_and_effect_are_found(shape, start, length, size):
    found = changes.find(scores(5, shape, start, length, size))
    assert found.shape == shape
    assert found.p < 1e-3
    assert abs(found.onset - start) <= (4 if shape == "ramp" else 1)
    assert found.low <= start <= found.high
    assert found.effect.ci_low <= size <= found.effect.ci_high
    assert found.end == (29 if shape == "burst" else None)
    assert abs(found.full - {"step": 30, "burst": 25, "ramp": 38}[shape]) <= (7 if shape == "ramp" else 1)
    assert sum(found.shapes.values()) == pytest.approx(1)
    assert found.curve(kit.DAYS)[found.full] == 1


@given(st.lists(st.floats(-1, 1), min_size=7, max_size=7), st.integers(5, 50))
@settings(max_examples=15, deadline=None)
def test_the_rhythm_does_not_eat_the_change(weekly, start):
    level = np.tile(weekly, 8) + 0.5 * (np.arange(56) >= start) + 1e-4 * np.random.default_rng(0).normal(size=56)
    found = changes.find(ser.Series(level, np.full(56, 1e-8), np.full(56, 40.0)), draws=50)
    assert (found.shape, found.onset) == ("step", start)
    assert found.effect.value == pytest.approx(0.5, abs=1e-3)
    assert found.before.value == pytest.approx(np.mean(weekly), abs=1e-3)


@given(st.floats(-100, 100), st.floats(0.01, 100), st.sampled_from([-1, 1]))
@settings(max_examples=10, deadline=None)
def test_units_do_not_matter(shift, scale, sign):
    x = scores()
    one, other = (
        changes.find(y, draws=60) for y in (x, replace(x, level=shift + sign * scale * x.level, variance=x.variance * scale**2))
    )
    assert (one.onset, one.low, one.high, one.shape) == (other.onset, other.low, other.high, other.shape)
    assert one.p == pytest.approx(other.p, rel=1e-3)
    assert one.effect.value * sign * scale == pytest.approx(other.effect.value, rel=1e-5)
    assert one.z * sign == pytest.approx(other.z, rel=1e-5)


def test_missing_days_are_no_change_and_hide_none():
    n, s, q = kit.series(2, -0.2 * kit.bent("step", 30, 0))
    kept = np.ones(56, bool)
    kept[[3, 4, 17, 40, 55]] = False
    found = changes.find(ser.of_sums(n * kept, s * kept, q * kept), draws=60)
    assert (found.shape, found.onset) == ("step", 30)
    assert found.p < 1e-4


def test_a_change_on_missing_days_is_dated_to_the_first_day_after_them():
    """How it came about cannot be told from days that are not there: step or ramp, its interval holds the day."""
    kept = np.ones(56, bool)
    kept[28:32] = False
    for seed, tau in ((2, 0.015), (3, 0.015), (6, 0.004)):
        n, s, q = kit.series(seed, -0.2 * kit.bent("step", 30, 0), tau=tau)
        found = changes.find(ser.of_sums(n * kept, s * kept, q * kept), draws=60)
        assert found.p < 1e-4
        assert found.low <= 32 <= found.high
        assert found.effect.ci_low <= -0.2 <= found.effect.ci_high
    assert (found.shape, found.onset) == ("step", 32)


def test_a_metric_without_any_noise_changes_on_its_day():
    price = np.where(np.arange(56) < 20, 0.002, 0.003)
    n = np.full(56, 50.0)
    found = changes.find(ser.of_sums(n, n * price, n * price**2))
    assert (found.shape, found.onset, found.low, found.high) == ("step", 20, 20, 20)
    assert found.effect.value == pytest.approx(0.001)
    assert found.p < 1e-6


def test_nothing_to_look_at_is_none():
    n = np.full(56, 5.0)
    assert changes.find(ser.of_sums(n, n, n)) is None
    assert changes.find(ser.of_sums(n * 0, n * 0, n * 0)) is None
    assert changes.find(ser.of_sums(n[:6], np.arange(6.0), np.arange(6.0) ** 2)) is None
    assert changes.at(ser.of_sums(n, n, n), 20) is None
    some = scores()
    assert changes.at(replace(some, n=some.n * (np.arange(56) < 20)), 30) is None


def test_a_single_weekday_that_is_always_empty_is_no_obstacle():
    n, s, q = (x * (np.arange(56) % 7 != 6) for x in kit.series(2, -0.2 * kit.bent("step", 30, 0)))
    assert changes.find(ser.of_sums(n, s, q)).onset == 30


def test_after_one_change_is_taken_out_the_next_is_found():
    true = -0.2 * kit.bent("step", 18, 0) + 0.25 * kit.bent("burst", 40, 3)
    x = ser.of_sums(*kit.series(4, true))
    first = changes.find(x)
    second = changes.find(changes.without(x, first))
    assert {(first.shape, first.onset), (second.shape, second.onset)} == {("step", 18), ("burst", 40)}
    third = changes.find(changes.without(changes.without(x, first), second))
    assert third.p > 0.01


def test_an_outage_of_hours_is_dated_to_the_hour():
    rng = np.random.default_rng(3)
    hours = np.arange(336)
    n = rng.poisson(15 * (1 + 0.6 * np.sin(hours / 24 * 2 * np.pi))).astype(float)
    p = np.where((hours >= 200) & (hours < 206), 0.4, 0.02 + 0.01 * (hours % 24 < 6))
    s = rng.binomial(n.astype(int), p).astype(float)
    found = changes.find(ser.of_sums(n, s, s, period=ser.HOURLY, phase=24), draws=60)
    assert (found.shape, found.onset, found.end) == ("burst", 200, 206)
    assert found.p < 1e-4


def test_quiet_series_raise_few_alarms():
    p = np.array([changes.find(ser.of_sums(*kit.series(seed)), draws=60).p for seed in range(50)])
    assert (p < 0.05).sum() <= stats.binom.ppf(0.999, 50, 0.05)
    assert 0.3 < np.mean(p > 0.5) < 0.8


def test_onset_intervals_and_effects_cover_the_truth():
    held = []
    for seed in range(48):
        shape, start, length, size = [("step", 28, 0, -0.1), ("ramp", 20, 14, -0.12), ("burst", 33, 5, -0.15)][seed % 3]
        found = changes.find(scores(seed, shape, start, length, size), draws=2)
        held.append((found.low <= start <= found.high, found.effect.ci_low <= size <= found.effect.ci_high))
    assert np.sum(held, axis=0).min() >= stats.binom.ppf(0.001, 48, 0.9)


def test_bad_series_are_refused_by_name():
    with pytest.raises(ValueError, match=r"must be of one length: \{'level': \(3,\), 'variance': \(2,\), 'n': \(3,\)\}"):
        ser.Series([1, 2, 3], [1, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="no finite level or a negative variance"):
        ser.Series([1, np.nan], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="period=0: give 7 for days, 168 for hours"):
        ser.Series([1, 2], [1, 1], [1, 1], period=0)
    with pytest.raises(ValueError, match=r"onset=56, end=None: give bins with 0 < onset < end <= 56"):
        changes.at(scores(), 56)


def test_row_variance_is_pooled_within_bins():
    rows = [[1.0, 2.0, 3.0], [10.0, 14.0]]
    n, s, q = (np.array([f(r) for r in rows]) for f in (len, sum, lambda r: sum(v * v for v in r)))
    assert ser.row_variance(n, s, q) == pytest.approx((2 * np.var(rows[0], ddof=1) + np.var(rows[1], ddof=1)) / 3)
    singles = np.ones(4), np.array([1.0, 2, 4, 5]), np.array([1.0, 4, 16, 25])
    assert ser.row_variance(*singles) == pytest.approx(np.var(singles[1], ddof=1))
    assert ser.row_variance(np.ones(1), np.ones(1), np.ones(1)) == 0


def test_hours_have_a_profile_for_weekdays_and_one_for_weekends():
    design = ser.rhythm(336, ser.HOURLY, phase=24)
    assert design.shape == (336, 48)
    assert (design.sum(axis=1) == 1).all()
    friday, saturday, sunday = design[:24].argmax(axis=1), design[96:120].argmax(axis=1), design[120:144].argmax(axis=1)
    assert (saturday == sunday).all() and not set(friday) & set(saturday)


def test_step_effects_agree_with_known_onsets():
    x = scores()
    every = changes.step_effects(x)
    assert every.onset.tolist() == list(range(7, 50))
    k = every.onset.tolist().index(30)
    known = changes.at(x, 30)
    assert every.effect[k] == pytest.approx(known.effect.value, rel=0.02)
    assert np.diag(every.correlation) == pytest.approx(1)
    assert every.correlation[k, k + 1] > 0.9
    assert len(changes.step_effects(replace(x, n=x.n * 0)).onset) == 0


def test_simultaneous_z_of_independent_effects_is_sidaks():
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 12)) / 2)
    assert margins.simultaneous_z([np.eye(4)] * 3) == pytest.approx(sidak, abs=0.08)
    assert margins.simultaneous_z([np.ones((5, 5))]) == pytest.approx(1.96, abs=0.08)
    assert margins.simultaneous_z([]) == np.inf


def test_no_change_is_claimed_within_margins_only():
    quiet, moved = (changes.step_effects(scores(size=size, rows=100_000)) for size in (0.0, -0.05))
    wide, narrow = (margins.bounds([quiet], [m])[0] for m in (0.1, 0.005))
    assert wide.inside and not narrow.inside
    assert not margins.bounds([moved], [0.05])[0].inside
    both = margins.bounds([quiet, moved], [0.1, 0.1])
    assert both[0].low < wide.low < 0 < wide.high < both[0].high
    nothing = margins.bounds([changes.step_effects(replace(scores(), n=np.zeros(56))), quiet], [1.0, 0.1])
    assert not nothing[0].inside and nothing[1].inside
    with pytest.raises(ValueError, match="2 metrics and 1 margins"):
        margins.bounds([quiet, moved], [0.1])


def test_the_smallest_detectable_change_is_found_four_times_in_five():
    assert margins.minimum_detectable(0.01, 3.0) == pytest.approx(0.01 * (3.0 + 0.8416), abs=1e-5)
    assert stats.norm.sf(3.0 - margins.minimum_detectable(0.01, 3.0) / 0.01) == pytest.approx(0.8)
