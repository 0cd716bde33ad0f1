"""A change split into traffic mix and what happened within its cells: exact sums, a worked example, and the engine against rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weeklykit import DAY, MONDAY, Store, span

from llmobs_nb.analyses.weekly import weekly
from llmobs_nb.stats import intervals
from llmobs_nb.stats.mix import estimate, split

counts = st.lists(st.integers(0, 500), min_size=4, max_size=4)


def test_kitagawas_parts_by_hand():
    # last 100 at .1 and 100 at .3; this 150 at .2 and 50 at .4: at the old mix .3 instead of .2, the new mix takes .05 off
    s = split([150, 50], [30, 20], [100, 100], [10, 30])
    assert (s.within, s.mix) == pytest.approx((0.1, -0.05))


@given(counts, counts, st.lists(st.floats(0, 1), min_size=8, max_size=8), st.booleans())
def test_the_parts_add_up_to_the_change(n1, n0, levels, relative):
    x1, x0 = np.array(n1) * levels[:4], np.array(n0) * levels[4:]
    s = split(n1, x1, n0, x0, relative=relative)
    if s is None:
        assert not sum(n1) or not sum(n0) or x0.sum() <= 0
        return
    r1, r0 = x1.sum() / sum(n1), x0.sum() / sum(n0)
    assert s.within + s.mix == pytest.approx(r1 / r0 - 1 if relative else r1 - r0, abs=1e-6 * (r1 / r0 if relative else 1))


def test_a_feature_that_is_gone_and_one_that_is_new_are_mix():
    s = split([100, 0, 100], [50, 0, 90], [100, 100, 0], [50, 10, 0])
    assert s.within == pytest.approx(0) and s.mix == pytest.approx(0.4)


def test_small_cells_are_pooled():
    s = split([100, 5, 3], [20, 5, 0], [100, 3, 5], [20, 0, 0])
    assert s.level[1] == s.level[2] == pytest.approx(5 / 16)


def test_influences_of_a_window_add_up_to_nothing():
    n1, x1, n0, x0 = np.array([[120.0, 60, 40], [20, 30, 8], [90, 90, 30], [30, 20, 9]])
    s = split(n1, x1, n0, x0, pooled=(n1 + 2 * n0, x1 + x0), relative=True)
    for by_x, by_n in ((s.within_x, s.within_n), (s.mix_x, s.mix_n)):
        assert by_x[0] @ x1 + by_n[0] @ n1 == pytest.approx(0, abs=1e-12)
        assert by_x[1] @ x0 + by_n[1] @ n0 == pytest.approx(0, abs=1e-12)


def test_with_one_cell_the_variance_is_that_of_the_difference():
    rng = np.random.default_rng(3)
    this, last = rng.normal(size=50), rng.normal(size=60)
    s = split([50], [this.sum()], [60], [last.sum()])
    squares = [float(((s.within_x[w, 0] * v + s.within_n[w, 0]) ** 2).sum()) for w, v in enumerate((this, last))]
    e = estimate(s.within, (50, squares[0]), (60, squares[1]), [], n=110)
    assert e.se == pytest.approx(np.hypot(intervals.mean(this).se, intervals.mean(last).se))


def test_too_few_clusters_are_refused():
    assert estimate(0.1, (1, 0.1), (5, 0.1), [], n=6).reason == "1 cluster only: no spread to estimate from"
    assert estimate(0.1, (5, 0.0), (5, 0.0), [], n=6).reason == "no spread to estimate from"


def test_a_shift_of_traffic_is_told_apart_from_a_change_within():
    # slow requests fail four times as often, in both weeks; their share goes from a quarter to three quarters
    spans = []
    for d in range(14):
        for j in range(80):
            slow = j % 4 == 0 if d < 7 else j % 4 != 0
            failed = (j * 7 + d * 3) % 20 < (8 if slow else 2)
            spans.append(
                span(f"t{d}-{j}", MONDAY + d * DAY, feature="slow" if slow else "fast", status="error" if failed else "ok")
            )
    row = weekly(Store(spans), week="2026-W42").kpis.set_index("name").loc["error_rate"]
    assert row["mix_value"] + row["within_value"] == pytest.approx(row["change_value"])
    assert row["mix_low"] > 0.08 and row["within_low"] < 0 < row["within_high"]


def test_one_kind_of_traffic_has_nothing_to_split_by():
    result = weekly(
        Store([span(f"t{d}-{j}", MONDAY + d * DAY, feature="one") for d in range(14) for j in range(5)]), week="2026-W42"
    )
    assert result.kpis["mix_value"].isna().all() and result.json()["kpis"][0]["within"] is None
