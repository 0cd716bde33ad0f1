"""Hours that cost too much: a loop is named by its tenant, once, within the hour; a quiet store has none."""

import datetime as dt

import numpy as np
import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.cost.anomalies import COLUMNS, Scope, anomalies, events
from llmobs_nb.analyses.cost.hours import make_clock
from llmobs_nb.analyses.cost.window import make_plan

MONDAY = dt.datetime(2026, 9, 7, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
LOOP = 24 * 19 + 14
LOUD = "o'tenant\x1b[31m"


def quiet(days=21, *, seed=1):
    """Spans by tenant: (tenant, moment, usd)."""
    rng = np.random.default_rng(seed)
    for tenant, rate in ((LOUD, 2.0), ("b", 3.0), ("c", 1.0)):
        for hour in range(24 * days):
            busy = 1.0 if 8 <= hour % 24 < 20 else 0.25
            for minute in rng.integers(0, 60, rng.poisson(rate * busy)):
                yield tenant, MONDAY + hour * HOUR + int(minute) * dt.timedelta(minutes=1), float(rng.lognormal(-4, 0.5))


def loop(hours=1, usd=0.1, count=40):
    for h in range(hours):
        for k in range(count):
            yield LOUD, MONDAY + (LOOP + h) * HOUR + k * dt.timedelta(minutes=1), usd


def store(root, told, *, until=None):
    made = [
        storekit.span(f"s{k}", trace_id=f"t{k}", start_time=at, end_time=at, cost_usd=usd, tenant_id=tenant, feature="chat")
        for k, (tenant, at, usd) in enumerate(told)
        if until is None or at < until
    ]
    storekit.put(root, spans=made)
    return lm.open(root)


@pytest.fixture(scope="module")
def looped(tmp_path_factory):
    return store(tmp_path_factory.mktemp("loop") / "s", [*quiet(), *loop(3)])


def test_a_loop_is_one_row_that_names_tenant_hours_and_traces(looped):
    told = anomalies(looped, make_plan(looped))
    assert tuple(told.columns) == COLUMNS
    (row,) = told.to_dict("records")
    assert (row["scope"], row["key"], row["value"]) == ("tenant_id", "tenant_id", LOUD)
    assert row["at"] == MONDAY + LOOP * HOUR and row["hours"] == 3
    sql = f"SELECT sum(cost_usd) AS c FROM spans WHERE tenant_id LIKE 'o%' AND start_time >= TIMESTAMPTZ '{row['at']}' AND start_time < TIMESTAMPTZ '{row['at'] + 3 * HOUR}'"
    assert row["cost_usd"] == pytest.approx(looped.query(sql)["c"][0].as_py(), rel=1e-9)
    assert row["usual_usd"] == pytest.approx(3 * 2 * np.exp(-4 + 0.125), rel=0.35)
    assert row["factor"] == pytest.approx(row["cost_usd"] / row["usual_usd"]) and row["z"] > 4
    assert len(row["traces"]) == 5
    costs = looped.query(f"SELECT min(cost_usd) AS c FROM spans WHERE trace_id IN ({', '.join(map(repr, row['traces']))})")["c"][
        0
    ].as_py()
    assert costs >= 0.1
    assert row["told"].startswith(f"Tenant {LOUD} spent $") and " in 3 hours, where $" in row["told"]
    assert LOUD in row["told"].parts, "the value is quoted, for it comes from the data"


def test_an_hour_is_enough(tmp_path):
    at = MONDAY + (LOOP + 1) * HOUR
    obs = store(tmp_path / "s", [*quiet(), *loop()], until=at)
    told = anomalies(obs, make_plan(obs))
    assert list(told["value"]) == [LOUD]


def test_a_quiet_store_has_none(tmp_path):
    obs = store(tmp_path / "s", quiet(seed=5))
    told = anomalies(obs, make_plan(obs))
    assert len(told) == 0 and tuple(told.columns) == COLUMNS


def test_only_the_window_is_told(looped):
    plan = make_plan(looped, since=MONDAY + 20 * 24 * HOUR)
    assert len(anomalies(looped, plan)) == 0


def test_a_store_without_dated_spans_has_none(looped, tmp_path):
    storekit.put(tmp_path / "s", spans=[storekit.span("s1", start_time=None, updated_at=MONDAY)])
    assert len(anomalies(lm.open(tmp_path / "s"), make_plan(looped))) == 0


def test_a_store_that_is_mostly_idle_has_none(tmp_path):
    obs = store(tmp_path / "s", [s for k, s in enumerate(quiet()) if k % 400 == 0])
    assert len(anomalies(obs, make_plan(obs))) == 0


def sums(seed=0, days=28, tenants=4):
    rng = np.random.default_rng(seed)
    t = np.arange(24 * days)
    rate = np.where((t % 24 >= 8) & (t % 24 < 20), 20.0, 2.0)
    y = rng.poisson(rate, (tenants, len(t))) * 0.01
    clock = make_clock(MONDAY, MONDAY + days * 24 * HOUR - dt.timedelta(seconds=1))
    return y, clock


def told_of(y, clock):
    scopes = [Scope(None, None), *(Scope("tenant_id", f"t{k}") for k in range(len(y)))]
    return events(scopes, np.vstack([y.sum(axis=0), y]), clock)


def test_what_all_tenants_do_together_is_said_of_all_traffic():
    y, clock = sums()
    y[:, 24 * 20 + 12] *= 4
    found = told_of(y, clock)
    assert Scope(None, None) in {e.scope for e in found}


def test_a_tenant_that_is_loud_all_day_is_found_though_no_hour_is():
    y, clock = sums()
    y[2, 24 * 22 : 24 * 23] *= 3.2
    found = told_of(y, clock)
    assert {e.scope.value for e in found} == {"t2"}
    assert any(e.low <= 24 * 22 + 12 < e.high for e in found)


def test_hours_that_follow_each_other_are_one_event_and_others_are_two():
    y, clock = sums()
    for place in (24 * 20 + 10, 24 * 20 + 12, 24 * 24 + 10):
        y[1, place] += 3.0
    found = [e for e in told_of(y, clock) if e.scope.value == "t1"]
    assert [(e.low, e.high) for e in found] == [(24 * 20 + 10, 24 * 20 + 13), (24 * 24 + 10, 24 * 24 + 11)]
