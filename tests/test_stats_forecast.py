"""Sums of coming days and usual sums of hours: what they learn, what they refuse, how they scale."""

import numpy as np
import pytest

from llmobs_nb.stats import forecast as f
from llmobs_nb.stats.hourly import Calendar, departures, profile


def days(count=42, *, seed=0, noise=0.05, growth=0.0, weekend=0.4):
    """Daily sums around 10 from a Monday on, less at weekends."""
    rng = np.random.default_rng(seed)
    t = np.arange(count)
    return 10 * np.exp(growth * t + noise * rng.standard_normal(count)) * np.where(t % 7 >= 5, weekend, 1.0)


def hours(count=28, *, tenants=2, seed=0):
    """Hourly sums of a whole and its tenants over days from a Monday on, with their calendar."""
    rng = np.random.default_rng(seed)
    t = np.arange(24 * count)
    calendar = Calendar(t // 24, (t // 24) % 7, t % 24, np.ones(len(t)))
    rate = np.where((t % 24 >= 8) & (t % 24 < 20), 20.0, 2.0)
    y = rng.poisson(rate, (tenants, len(t))) * 0.01
    return np.vstack([y.sum(axis=0), y]), calendar


def test_each_coming_day_has_the_level_of_its_weekday():
    told = np.median(f.draws(days(), ahead=7), axis=0)
    assert told[:5] == pytest.approx([10] * 5, rel=0.06)
    assert told[5:] == pytest.approx([4, 4], rel=0.1)


def test_the_first_weekday_is_what_it_is_said_to_be():
    y = days(44)[2:]
    told = np.median(f.draws(y, ahead=7, phase=2), axis=0)
    assert told[3:5] == pytest.approx([4, 4], rel=0.1), "2 + 42 days later is a Wednesday again"


def test_money_in_another_unit_scales_all_draws():
    y = days()
    assert f.draws(1000 * y, ahead=5) == pytest.approx(1000 * f.draws(y, ahead=5), rel=1e-9)


def test_the_same_history_gives_the_same_draws():
    assert (f.draws(days(), ahead=3) == f.draws(days(), ahead=3)).all()


def test_growth_goes_on_but_not_for_ever():
    y = days(56, growth=0.02, noise=0.02)
    told = np.median(f.draws(y, ahead=14), axis=0)
    assert told[7] > 1.05 * y[-7:].max()
    assert told[7] < 10 * np.exp(0.02 * 63) * 1.05


def test_longer_stretches_and_wilder_histories_are_less_certain():
    def width(y, ahead):
        low, high = np.quantile(f.draws(y, ahead=ahead).sum(axis=1), (0.1, 0.9))
        return (high - low) / ahead

    calm, wild = days(noise=0.03), days(noise=0.2)
    assert width(wild, 7) > 2 * width(calm, 7)
    few = f.draws(days(14), ahead=7).sum(axis=1)
    many = f.draws(days(70), ahead=7).sum(axis=1)
    assert few.std() > many.std()


def test_a_day_that_has_begun_gives_only_its_rest():
    free = f.draws(days(), ahead=3)
    rest = f.draws(days(), ahead=3, begun=f.Begun(7.5, 0.75))
    assert np.median(rest[:, 0]) == pytest.approx(0.25 * np.median(free[:, 0]), rel=0.15)
    assert np.median(rest[:, 2]) == pytest.approx(np.median(free[:, 2]), rel=0.1)
    assert (f.draws(days(), ahead=1, begun=f.Begun(10.0, 1.0)) == 0).all()


def test_a_busy_morning_raises_the_rest_of_the_day():
    usual, busy = (f.draws(days(), ahead=1, begun=f.Begun(v, 0.5)) for v in (5.0, 10.0))
    assert np.median(busy) > 1.1 * np.median(usual)


def test_one_wild_day_long_ago_hardly_matters():
    y = days()
    odd = y.copy()
    odd[20] *= 30
    a, b = (np.median(f.draws(v, ahead=7).sum(axis=1)) for v in (y, odd))
    assert b == pytest.approx(a, rel=0.08)


def test_days_of_nothing_are_days():
    y = days()
    y[np.arange(42) % 7 >= 5] = 0.0
    told = f.draws(y, ahead=7)
    assert np.isfinite(told).all() and (told >= 0).all()
    assert np.median(told[:, 5]) < 2 < np.median(told[:, 1])


@pytest.mark.parametrize("y", [days(13), np.zeros(30), []])
def test_too_little_to_learn_from_gives_none(y):
    assert f.draws(y, ahead=3) is None


def test_intervals_hold_what_they_say_on_months_that_the_model_does_not_generate():
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = days(50, seed=seed, noise=0.0) * rng.gamma(100, 0.01, 50) * np.exp(rng.uniform(-0.003, 0.006) * np.arange(50))
        q = np.quantile(f.draws(y[:35], ahead=15, count=500).sum(axis=1), f.QUANTILES)
        inside.append((q[1] <= y[35:].sum() <= q[3], q[0] <= y[35:].sum() <= q[4]))
    at80, at95 = np.mean(inside, axis=0)
    assert 0.66 < at80 < 0.97
    assert at95 > 0.86


def test_seasonal_naive_repeats_the_last_week():
    y = np.tile(np.arange(1.0, 8), 3)
    assert f.seasonal_naive(y, 9) == pytest.approx([28 + 1 + 2] * 5)
    y[-7:] += 2
    low, *_, high = f.seasonal_naive(y, 7)
    assert high - low == pytest.approx(2 * 1.959964 * np.sqrt(2.0 * 7), rel=1e-6), (
        "errors of half of the days are 2, of the others 0"
    )


def test_pinball_of_a_median_is_half_the_distance():
    assert f.pinball([3.0], 5.0, levels=[0.5]) == pytest.approx(1.0)
    assert f.pinball([3.0, 3.0], 5.0, levels=[0.9, 0.1]) == pytest.approx((1.8 + 0.2) / 2)


def test_shares_of_hours_add_up_and_follow_the_traffic():
    y, c = hours()
    told = profile(y, c.weekday, c.hour)
    assert told.sum(axis=2) == pytest.approx(np.ones((3, 2)))
    assert told[0, 0, 12] == pytest.approx(20 / 264, rel=0.1)
    assert profile(np.zeros((1, 48)), c.weekday[:48], c.hour[:48])[0, 0] == pytest.approx(np.full(24, 1 / 24))


def test_the_usual_sum_is_known_and_a_loop_stands_out():
    y, c = hours()
    place = 24 * 25 + 12
    y[1, place] += 5 * np.quantile(y[1], 0.99)
    y[0, place] = y[1:, place].sum()
    told = departures(y, c)
    assert told.usual[2, place] == pytest.approx(0.2, rel=0.15)
    assert told.z[1, place] > 5
    assert told.z[2, place] < 4
    assert np.nanmax(np.delete(told.z[1], place)) < 4


def test_half_an_hour_is_compared_with_half_an_hour():
    y, c = hours()
    half = Calendar(c.day, c.weekday, c.hour, np.where(np.arange(len(c.day)) == len(c.day) - 1, 0.5, 1.0))
    full, part = departures(y, c), departures(y, half)
    assert part.usual[0, -1] == pytest.approx(full.usual[0, -1] / 2, rel=0.05)


def test_a_scope_that_is_new_is_not_judged():
    y, c = hours()
    y[1, : 24 * 25] = 0.0
    told = departures(y, c)
    assert np.isnan(told.z[1]).all()
    assert np.isfinite(told.z[2]).all()


def test_what_starts_late_in_an_hour_shows_in_two():
    y, c = hours()
    place = 24 * 25 + 12
    y[1, place : place + 2] += 0.7 * np.quantile(y[1], 0.99)
    one, two = (departures(y, c, looks=looks).z[1, place : place + 2].max() for looks in ((1,), (1, 2)))
    assert two >= one
