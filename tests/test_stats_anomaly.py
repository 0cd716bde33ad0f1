"""Departures from a usual level: what is found, what is not, and how exact counts and rates are."""

import numpy as np
import pytest
from scipy.stats import nbinom, norm

from llmobs_nb.stats.anomaly import slide
from llmobs_nb.stats.counts import rate_per


def days(count=56, *, seed=0, n=50, level=0.8, sd=0.1, weekday=0.0):
    """n, s, q of days whose rows are normal, with one level on workdays and another at weekends."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(level, sd, (count, n)) - weekday * (np.arange(count) % 7 >= 5)[:, None]
    return np.full(count, float(n)), rows.sum(axis=1), (rows**2).sum(axis=1)


def test_a_fall_of_the_last_week_is_found_with_its_level_and_size():
    n, s, q = days()
    s[-7:] -= 0.05 * n[-7:]
    q[-7:] += n[-7:] * 0.05**2 - 2 * 0.05 * (s[-7:] + 0.05 * n[-7:])
    found = slide(n, s, q, side=-1)
    assert found.look == 7 and found.z < -5
    assert found.level == pytest.approx(s[-7:].sum() / 350)
    assert found.expected - found.level == pytest.approx(0.05, abs=0.01)


def test_the_side_that_is_asked_for_decides():
    n, s, q = days()
    s[-3:] += 0.1 * n[-3:]
    q[-3:] += n[-3:] * 0.1**2 + 2 * 0.1 * (s[-3:] - 0.1 * n[-3:])
    assert slide(n, s, q, side=1).z > 5
    assert slide(n, s, q, side=-1).z > -2
    assert slide(n, s, q).z > 5


def test_the_rhythm_of_the_week_is_no_departure():
    n, s, q = days(54, weekday=0.1)  # the last days are a Friday and a half of a weekend
    assert abs(slide(n, s, q).z) < 3
    assert abs(slide(n, s, q, looks=(1,)).z) < 3


def test_an_old_incident_does_not_hide_a_new_one():
    n, s, q = days()
    s[-7:] -= 0.05 * n[-7:]
    clean = slide(n, s, q, side=-1).z
    s[20] -= 0.6 * n[20]
    assert slide(n, s, q, side=-1).z < 0.7 * clean


def test_days_that_swing_by_themselves_need_more_to_be_unusual():
    n, s, q = days(n=2000)
    swings = 0.03 * np.random.default_rng(1).standard_normal(56)
    shaken = s + n * swings
    more = q + 2 * swings * s + n * swings**2
    for a, b in ((s, q), (shaken, more)):
        a[-3:] -= 0.03 * n[-3:]
        b[-3:] -= 2 * 0.03 * a[-3:]
    assert slide(n, s, q, side=-1).z < -8
    assert slide(n, shaken, more, side=-1).z > -4


@pytest.mark.parametrize("p", [0.002, 0.01, 0.5])
def test_quiet_rates_are_seldom_unusual(p):
    rng = np.random.default_rng(5)
    far = [slide(np.full(42, 90.0), k, k, side=1).z for k in rng.binomial(90, p, (300, 42)).astype(float)]
    assert np.mean(np.array(far) > 3.4) <= 0.01
    assert np.mean(np.array(far) > 2) < 0.2


def test_few_events_are_judged_by_their_exact_chance():
    k = np.zeros(42)
    k[::6] = 1.0  # seven events in 41 days of 90 rows; then four in one
    k[-1] = 4.0
    n = np.full(42, 90.0)
    # The limit of rare events: a rate known from 7 events in 41 days (Jeffreys: gamma 7.5), so negative binomial; mid-p of four or more.
    chance = nbinom.sf(4, 7.5, 41 / 42) + nbinom.pmf(4, 7.5, 41 / 42) / 2
    assert norm.sf(slide(n, k, k, looks=(1,), side=1).z) == pytest.approx(chance, rel=0.1)


@pytest.mark.parametrize(
    ("n", "s"),
    [(np.full(13, 9.0), np.full(13, 4.0)), (np.zeros(40), np.zeros(40)), (np.zeros(0), np.zeros(0))],
    ids=["two weeks are too few", "no rows", "no days"],
)
def test_where_nothing_can_be_said_there_is_none(n, s):
    assert slide(n, s, s) is None


def test_levels_that_never_vary_are_none():
    n = np.full(40, 10.0)
    assert slide(n, 3.0 * n, 9.0 * n) is None


def test_days_without_rows_are_left_out():
    n, s, q = days()
    empty = np.arange(56) % 9 == 4
    n[empty], s[empty], q[empty] = 0, 0, 0
    assert np.isfinite(slide(n, s, q).z)
    n[-3:], s[-3:], q[-3:] = 0, 0, 0
    assert slide(n, s, q).look in (7, 14)


def test_a_rate_of_counted_things_has_garwood_s_interval():
    """Limits of a Poisson mean as tabled by Garwood (1936) and in Ulm (1990): 0 → 3.69; 1 → .0253, 5.57; 10 → 4.80, 18.39."""
    assert rate_per(0, 1).ci_high == pytest.approx(3.689, abs=1e-3)
    assert (rate_per(1, 1).ci_low, rate_per(1, 1).ci_high) == (pytest.approx(0.0253, abs=1e-4), pytest.approx(5.572, abs=1e-3))
    assert (rate_per(10, 2).value, rate_per(10, 2).ci_low, rate_per(10, 2).ci_high) == (
        5,
        pytest.approx(4.795 / 2, abs=1e-3),
        pytest.approx(18.390 / 2, abs=1e-3),
    )
    assert rate_per(3, 0).reason == "no time was observed"
