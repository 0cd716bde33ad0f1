"""Simulated quiet weeks: nothing happened, so 95 % intervals of the change must hold 0 about 95 times in 100."""

import numpy as np
import pytest
from scipy import stats

from llmobs_nb.stats import compare, days
from llmobs_nb.stats import intervals as i
from llmobs_nb.stats.moments import add, moments

REPEATS = 300
RHYTHM = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.4, 0.35])
LOW, HIGH = stats.binom.ppf([0.0005, 0.9995], REPEATS, 0.95)


def sessions(rng, size):
    """Cluster numbers of the requests of a day: sessions of one to five requests."""
    lengths = rng.integers(1, 6, size)
    return np.repeat(np.arange(size), lengths)


def day_of_scores(rng, k):
    g = sessions(rng, rng.poisson(40 * RHYTHM[k]) + 2)
    own = rng.normal(0, 0.1, g.max() + 1)[g]
    return moments(0.7 + 0.03 * (k > 4) + rng.normal(0, 0.02) + own + rng.normal(0, 0.15, len(g)), clusters=g)


def day_of_errors(rng, k):
    g = sessions(rng, rng.poisson(60 * RHYTHM[k]) + 2)
    logit = -3.2 + 0.3 * (k > 4) + rng.normal(0, 0.5, g.max() + 1)[g]
    return moments(rng.random(len(g)) < 1 / (1 + np.exp(-logit)), clusters=g)


def held(rng, draw, level, difference):
    """Whether the interval of the change between two quiet weeks holds 0; the three weeks before tell of shocks."""
    found = [draw(rng, k % 7) for k in range(35)]
    week, weekday = np.divmod(np.arange(35), 7)
    shock = days.day_shock(found, week=week, weekday=weekday)
    this, last = (level(add(part), extra=shock.extra([m.n for m in part])) for part in (found[28:], found[21:28]))
    change = difference(this, last)
    return change.ci_low <= 0 <= change.ci_high


@pytest.mark.parametrize(
    ("draw", "level", "difference", "seed"),
    [
        (day_of_scores, i.ratio_from, compare.difference, 11),
        (day_of_scores, i.ratio_from, compare.relative_change, 12),
        (day_of_errors, i.proportion_from, compare.mover, 13),
    ],
)
def test_changes_of_clustered_weeks_are_covered(draw, level, difference, seed):
    rng = np.random.default_rng(seed)
    covered = sum(held(rng, draw, level, difference) for _ in range(REPEATS))
    assert LOW <= covered <= HIGH + 2  # at a bound of 0 for the shock variance the interval is a little wide


def test_without_clusters_and_shocks_the_same_weeks_raise_false_alarms():
    rng = np.random.default_rng(11)

    def naive(part):
        m = add(part)
        return i.wilson(m.x, m.n) if m.x == m.xx else i.ratio_from(m)

    covered = 0
    for _ in range(REPEATS):
        found = [day_of_scores(rng, k % 7) for k in range(14)]
        e = compare.difference(naive(found[7:]), naive(found[:7]))
        covered += e.ci_low <= 0 <= e.ci_high
    assert covered < LOW


def test_changes_of_volumes_are_covered():
    rng = np.random.default_rng(14)
    draws = (rng.poisson(200 * RHYTHM * np.exp(rng.normal(0, 0.1, (2, 7)))) for _ in range(REPEATS))
    changes = [days.paired_change(this, last, counts=True) for this, last in draws]
    covered = sum(e.ci_low <= 0 <= e.ci_high for e in changes)
    assert LOW <= covered <= HIGH


def test_a_clustered_quantile_is_covered():
    rng = np.random.default_rng(15)
    truth = np.exp(stats.norm.ppf(0.95) * np.sqrt(0.3**2 + 0.5**2))
    covered = 0
    for _ in range(REPEATS):
        g = sessions(rng, 300)
        e = i.quantile(np.exp(rng.normal(0, 0.3, 300)[g] + rng.normal(0, 0.5, len(g))), 0.95, clusters=g)
        covered += e.ci_low <= truth <= e.ci_high
    assert LOW <= covered <= HIGH + 2  # order statistics cover a little more than asked
