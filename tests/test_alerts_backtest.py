"""Rules and caps over history: alarms are those a check would have raised, delays and rates are exact, caps cut what they say."""

import datetime as dt
import json
import sys
from pathlib import Path

import alertkit
import incidentkit as kit
import numpy as np
import pytest
import storekit
from alertkit import rule

import llmobs_nb as lm
from llmobs_nb.analyses.alerts import backtest, check, read_rules
from llmobs_nb.analyses.alerts.reduce import Reducer
from llmobs_nb.analyses.alerts.replay import Replay, replay
from llmobs_nb.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
DAY = dt.timedelta(days=1)
ENDS = 32
ANOMALY = {"name": "judged", "metric": "score:quality:judge", "compare": {"anomaly": {"z": 4, "looks": [1, 3]}, "baseline": "3w"}}


def story(day, k, one):
    """From day 24 on the judge's score is .25 lower; on day 10 half the calls fail; user u1 is dear from day 20 on."""
    if day >= 24:
        one["scores"] = {"quality": one["scores"]["quality"] - 0.25}
    if day == 10 and k % 2:
        one["call"] |= {"status": "error", "error_class": "timeout"}
    one["call"] |= {"cost_usd": 1.0 if day >= 20 and one["root"]["user_id"] == "u1" else 0.01}
    return one


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    root = tmp_path_factory.mktemp("backtest") / "store"
    return lm.open(kit.put(root, alertkit.product(days=ENDS, per_day=12, change=story)), threads=1)


def test_alarms_are_those_a_daily_check_would_have_raised(obs):
    rules = [rule(), ANOMALY]
    alarms = backtest(rules, obs).alarms
    seen = {name: [] for name in ("errors", "judged")}
    for day in (10, 11, 12, 24, 25, 26):
        for row in check(obs, rules, at=kit.moment(day), state=False).rows:
            if row.state == "firing":
                seen[row.rule].append(kit.moment(day))
    assert list(alarms[alarms.rule == "errors"]["at"]) == seen["errors"] == [kit.moment(11)]
    assert list(alarms[alarms.rule == "judged"]["at"]) == seen["judged"][:1]


def test_the_first_alarm_after_the_onset_is_the_detection_and_its_delay_is_exact(obs):
    result = backtest(ANOMALY, obs, truth=[kit.moment(24)])
    (row,) = result.rules.to_dict("records")
    assert (row["detected"], row["onsets"], row["false_alarms"]) == (1, 1, 0)
    assert row["delay_days"] in (1.0, 2.0)


def test_alarms_outside_of_what_happened_are_false_and_their_rate_has_an_exact_interval(obs):
    happened = backtest(rule(), obs, truth=[(kit.moment(10), kit.moment(11))]).rules.iloc[0]
    quiet = backtest(rule(), obs, truth="quiet").rules.iloc[0]
    assert (happened.false_alarms, happened.detected, quiet.false_alarms) == (0, 1, 1)
    months = quiet.days / 30.4375
    assert quiet.false_per_month == pytest.approx(1 / months)
    assert quiet.low == pytest.approx(0.0253 / months, rel=1e-2) and quiet.high == pytest.approx(5.572 / months, rel=1e-2)
    assert backtest(rule(), obs).rules.iloc[0].false_alarms is None


def test_the_suggested_threshold_keeps_false_alarms_within_what_is_wanted(obs):
    row = backtest(rule(compare={"above": 0.1}), obs, truth="quiet", wanted=0).rules.iloc[0]
    assert row.suggested == pytest.approx(0.5)
    again = backtest(rule(compare={"above": row.suggested}), obs, truth="quiet").rules.iloc[0]
    assert again.alarms == 0
    below = backtest(rule(metric="requests", compare={"below": 13}), obs, truth="quiet", wanted=0).rules.iloc[0]
    assert below.alarms == 1 and below.suggested == 12


def test_nothing_that_comes_later_moves_an_earlier_day(obs):
    (one,) = read_rules(ANOMALY)

    def statistics(end):
        reducer = Reducer(obs.between(until=end), [one], end, end - kit.MONDAY)
        with reducer.open():
            return replay(one, reducer.sums(one)).statistic[:, 0]

    early, late = statistics(kit.moment(22)), statistics(kit.moment(ENDS))
    assert np.isfinite(early).sum() >= 5
    np.testing.assert_allclose(late[: len(early)], early)


def test_a_split_is_one_alarm_that_names_the_clearest(obs):
    alarms = backtest(rule(metric="total_cost", by="user_id", compare={"above": 1.5}, cooldown="60d"), obs).alarms
    assert list(alarms["by"]) == ["u1"]
    assert alarms["at"].iloc[0] == kit.moment(21)
    assert alarms["value"].iloc[0] == pytest.approx(2.0)


def test_scores_given_late_are_waited_for(tmp_path):
    rows = list(alertkit.product(days=6, per_day=4))
    for one in rows:
        for score in one["scores"]:
            score["created_at"] += dt.timedelta(days=2)
    obs = lm.open(kit.put(tmp_path / "s", rows), threads=1)
    result = backtest(rule(metric="score:quality:judge", compare={"above": 0.1}, cooldown="60d"), obs)
    assert "errors: nine in ten scores are given within 48 h; the replay waits for them" in [f.text for f in result.findings]
    assert result.alarms["at"].iloc[0] == kit.moment(1) + 2 * DAY


def made(statistic, **more):
    """A replay of given statistics, a day each, limit 1."""
    (one,) = read_rules(rule(compare={"above": 1.0}, **more))
    values = np.array(statistic, float)[:, None]
    return Replay(one, ((),), tuple(kit.moment(d) for d in range(len(values))), values, values, 1.0)


@pytest.mark.parametrize(
    ("statistic", "more", "days"),
    [
        ([0, 2, 2, 0, 2], {"cooldown": "1d"}, [1, 4]),
        ([0, 2, 0, 2, 2, 2], {"cooldown": "4d"}, [1, 5]),
        ([0, 2, np.nan, 2, 0], {"cooldown": "1d"}, [1]),
        ([2, 2, 0, 2, 2, 2], {"cooldown": "1d", "for": "2d"}, [5]),
        ([np.nan, np.nan], {}, []),
    ],
)
def test_alarms_begin_as_a_check_a_day_would_raise_them(statistic, more, days):
    assert list(np.flatnonzero(made(statistic, **more).starts())) == days


def test_a_cap_on_a_day_cuts_what_begins_after_it_is_reached(obs):
    (row,) = backtest(rule(), obs, caps=[{"per": "user_id", "usd": 1.0}]).caps.to_dict("records")
    # Two dear requests a day for twelve days; the first one of each day reaches the cap.
    assert (row["requests_cut"], row["who_cut"], row["saved_usd"]) == (12, 1, pytest.approx(12.0))
    assert (row["requests"], row["who"]) == (ENDS * 12, [{"who": "u1", "requests_cut": 12, "saved_usd": pytest.approx(12.0)}])


def test_a_cap_on_a_request_saves_what_lies_beyond_it(obs):
    (row,) = backtest(rule(), obs, caps=[{"per": "request", "usd": 0.25}]).caps.to_dict("records")
    assert (row["cap"], row["requests_cut"], row["saved_usd"]) == ("$0.25 a request", 24, pytest.approx(18.0))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"caps": {"per": "request"}}, r"caps=.* is no list; give such as"),
        ({"caps": [{"usd": 1}]}, r"cap 1: per='' is no dimension; give request, or a name such as user_id"),
        ({"caps": [{"per": "request", "usd": -1}]}, r"cap 1: usd='-1' is no number; give one from 0 on"),
        (
            {"caps": [{"per": "user_id", "usd": 1, "window": "week"}]},
            r"cap 1: window='week' is not known; choose one of: day, hour",
        ),
        ({"truth": "calm"}, r"truth='calm' is not understood; give 'quiet', or a list of starts or \(start, end\)"),
        ({"truth": [("2026-10-08", "2026-10-01")]}, r"truth: an incident ends at 2026-10-01 and starts at 2026-10-08; swap them"),
        ({"wanted": -1}, r"wanted='-1' is no rate; give false alarms a month, such as 1"),
    ],
)
def test_what_is_not_understood_is_refused(obs, more, told):
    with pytest.raises(UsageError, match=told):
        backtest(rule(), obs, **more)


def test_the_result_is_strict_json_and_its_claims_have_intervals(obs):
    result = backtest([rule(), ANOMALY], obs, truth="quiet", caps=[{"per": "request", "usd": 0.25}])
    told = json.loads(json.dumps(result.json(), allow_nan=False))
    assert [r["rule"] for r in told["rules"]] == ["errors", "judged"]
    claims = {c["id"]: c for c in result.claims()}
    assert claims["backtest:errors"]["ci_low"] < claims["backtest:errors"]["value"] < claims["backtest:errors"]["ci_high"]
    assert claims["backtest:cap0"]["value"] == pytest.approx(18.0)


def test_an_empty_store_says_so(tmp_path):
    storekit.put(tmp_path / "s", spans=[storekit.span("a", purpose="judging")])
    result = backtest("default", lm.open(str(tmp_path / "s"), threads=1))
    assert result.headline == "The store holds no spans of the product and no scores: there is nothing to replay."
    assert not len(result.alarms) and not len(result.rules)


@pytest.mark.parametrize("name", ["error_rate", "latency_p95", "cost_usd", "score:quality:judge"])
def test_the_benchmark_sums_as_the_engine_does(obs, name):
    import alerts as bench

    (one,) = read_rules(rule(metric=name, compare={"anomaly": {"z": 4, "side": "both"}, "baseline": "3w"}))
    column = {"error_rate": "error_rate", "latency_p95": "latency_ms"}.get(name, name)
    end = kit.moment(ENDS)
    reducer = Reducer(obs, [one], end, end - kit.MONDAY)
    with reducer.open():
        sql = reducer.sums(one)
        value = f"m{reducer._column(one.measure.metric)}"
        table = obs.query(f"SELECT epoch_us(started) AS began, {value} AS v FROM alert_traces ORDER BY began")
    at = table["began"].to_numpy() - int(kit.MONDAY.timestamp() * 1e6)
    store = bench.Store(at, ENDS, 0, {column: table["v"].to_numpy()})
    ours = bench.sums_of(one, store)
    assert sql.bins == ours.bins
    for low, high in ((0, 24), (0, 24 * ENDS), (100, 333)):
        for a, b in zip(sql.over(low, high), ours.over(low, high), strict=True):
            np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(replay(one, sql).statistic, replay(one, ours).statistic, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", ["error_rate", "judge"])
def test_the_benchmark_writes_the_slide_that_its_oracle_sees(name):
    import alerts as bench

    made = bench.case(3, traces=1000, kind="quiet")
    store = bench.values_of(made)
    name = next(m for m in store.values if m.endswith(name))
    ramp = (store.at > np.median(store.at)).astype(float)
    slid = bench._moved(store.values[name], ramp, 0.4, np.random.default_rng(1).random(len(ramp)))
    assert (slid != store.values[name])[~np.isnan(slid)].mean() > 0.1
    np.testing.assert_allclose(bench.measured(name, bench._with(made.written, name, slid)), slid)
