"""What a check finds on a small product with known numbers: levels, baselines, burn rates, splits, events, no data."""

import datetime as dt
import json

import alertkit
import incidentkit as kit
import pytest
import storekit
from alertkit import DAYS, END, at_end, rule

import llmobs_nb as lm
from llmobs_nb.analyses.alerts import check
from llmobs_nb.errors import UsageError

HOUR = dt.timedelta(hours=1)


def later(day, k, one):
    """Much happens on the last day: failures, one dear user, a slow afternoon, a new model and prompt version, an error class."""
    one = alertkit.failing(day, k, one)
    if day == DAYS - 1:
        one["call"] |= {"model": "m-2" if k >= 20 else "m-1", "prompt_version": "2" if k >= 12 else "1"}
        one["call"] |= {"cost_usd": 0.5} if one["root"]["user_id"] == "u1" else {}
        one["root"] |= {"latency_ms": 4000.0} if k >= 20 else {}
        one["scores"] = {"quality": one["scores"]["quality"] - 0.3}
    return one


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    root = tmp_path_factory.mktemp("alerts") / "store"
    return lm.open(kit.put(root, alertkit.product(change=later)), threads=1)


def one(obs, at=END, **more):
    """The single row of one rule, nothing remembered."""
    (row,) = check(obs, rule(**more), at=at, state=False).rows
    return row


def test_a_level_above_its_threshold_fires_with_its_value_and_traces(obs):
    row = one(obs)
    assert (row.state, row.value, row.threshold, row.n, row.baseline) == ("firing", 0.5, 0.1, 24, None)
    assert row.since == END
    assert len(row.traces) == 5 and all(t.startswith("27-") and int(t[3:]) % 2 for t in row.traces)


def test_the_day_before_is_in_order(obs):
    row = one(obs, at=at_end(days=-1))
    assert (row.state, row.value, row.n, row.traces) == ("ok", 0.0, 24, ())


def test_the_rows_are_those_of_the_contract_in_strict_json(obs):
    (row,) = json.loads(json.dumps(check(obs, rule(owner="sre", runbook="Look."), at=END, state=False).json(), allow_nan=False))
    wanted = {"rule", "severity", "state", "value", "threshold", "baseline", "n", "since", "runbook", "owner", "traces"}
    assert wanted <= set(row)
    assert (row["rule"], row["state"], row["since"], row["owner"]) == ("errors", "firing", END.isoformat(), "sre")


@pytest.mark.parametrize(("severity", "code"), [("info", 0), ("warning", 1), ("critical", 2)])
def test_the_worst_severity_gives_the_exit_code(obs, severity, code):
    both = [rule(severity=severity), rule(name="fine", compare={"above": 0.9}, severity="critical")]
    result = check(obs, both, at=END, state=False)
    assert (result.severity, result.exit_code) == (severity, code)
    assert [r.state for r in result.rows] == ["firing", "ok"]


def test_nothing_that_fires_is_severity_none(obs):
    result = check(obs, rule(compare={"above": 0.9}), at=END, state=False)
    assert (result.severity, result.exit_code, result.headline) == (None, 0, "Nothing fires: 1 rule checked.")


@pytest.mark.parametrize(
    ("metric", "compare", "window", "value", "baseline"),
    [
        ("requests", {"below": 30}, "1d", 24, None),
        ("requests", {"below": 3}, "1h", 1, None),
        ("users", {"above": 5}, "1d", 6, None),
        ("sessions", {"above": 5}, "1d", 24, None),
        ("total_cost", {"rise": "3x", "baseline": "7d"}, "1d", 4 * 0.5 + 20 * 0.01, 0.24),
        ("total_cost", {"rise": "3x", "baseline": "2w"}, "1d", 2.2, 0.24),
        ("cost_usd", {"rise": "3x", "baseline": "7d"}, "1d", 2.2 / 24, 0.01),
        ("latency_ms", {"rise": 2000, "baseline": "7d"}, "4h", 4000, 1000),
        ("latency_p95", {"above": 3000}, "1d", 4000, None),
        ("latency_p50", {"above": 500}, "1d", 1000, None),
    ],
)  # fmt: skip
def test_totals_means_and_quantiles_have_the_value_that_was_put_in(obs, metric, compare, window, value, baseline):
    row = one(obs, metric=metric, compare=compare, window=window)
    assert row.state == "firing"
    assert row.value == pytest.approx(value, rel=0.006)
    assert row.baseline == (None if baseline is None else pytest.approx(baseline, rel=0.006))


def test_a_drop_is_measured_against_its_baseline_and_its_threshold_is_told_in_the_unit(obs):
    row = one(obs, metric="score:quality:judge", compare={"drop": 0.2, "baseline": "7d"})
    assert row.state == "firing"
    assert row.baseline - row.value == pytest.approx(0.3, abs=0.06)
    assert row.threshold == pytest.approx(row.baseline - 0.2)
    assert one(obs, metric="score:quality:judge", compare={"drop": "70%", "baseline": "7d"}).state == "ok"


def test_a_pinned_baseline_is_its_window(obs):
    pinned = [kit.MONDAY.date(), "2026-10-12"]
    row = one(obs, metric="total_cost", compare={"rise": "3x", "baseline": {"pinned": pinned}})
    assert (row.state, row.baseline) == ("firing", pytest.approx(0.24))


def test_a_baseline_before_the_data_begin_is_no_data(obs):
    row = one(obs, at=kit.moment(3), metric="total_cost", compare={"rise": "3x", "baseline": "7d"})
    assert (row.state, row.detail) == ("no_data", "there are too few data before the window for its baseline")


def test_a_burn_rate_needs_both_windows_to_burn(obs):
    burn = {"burn_rate": {"factor": 4, "budget": 0.1, "long": "6h", "short": "1h"}}
    # The last call of the last day fails, the one before it does not: half of six hours are bad, of one hour all or nothing.
    assert one(obs, compare=burn).state == "firing"
    assert one(obs, at=at_end(hours=-1), compare=burn).state == "ok"
    assert one(obs, compare={"burn_rate": {"factor": 6, "budget": 0.1, "long": "6h", "short": "1h"}}).state == "ok"


def test_slow_requests_burn_a_budget_of_their_own(obs):
    bad = {"factor": 5, "budget": 0.1, "long": "6h", "short": "1h", "bad_above": 3000}
    row = one(obs, metric="latency_ms", compare={"burn_rate": bad})
    assert (row.state, row.value) == ("firing", pytest.approx(4 / 6))


def test_a_condition_must_have_held_for_as_long_as_the_rule_says(obs):
    hourly = {"window": "6h", "compare": {"above": 0.3}}
    assert one(obs, **hourly, **{"for": "12h"}).state == "firing"
    assert one(obs, **hourly, **{"for": "24h"}).state == "ok"


def test_a_split_shows_what_fires_and_nothing_else(obs):
    result = check(obs, rule(metric="total_cost", by="user_id", compare={"above": 1.0}), at=END, state=False)
    (row,) = result.rows
    assert (row.state, row.by, row.value) == ("firing", {"user_id": "u1"}, pytest.approx(2.0))
    assert set(row.traces) <= {f"27-{k:03d}" for k in range(1, 24, 6)}


def test_a_split_where_all_is_well_shows_the_nearest_to_its_threshold(obs):
    row = one(obs, metric="total_cost", by="user_id", compare={"above": 9.0})
    assert (row.state, row.by) == ("ok", {"user_id": "u1"})


def test_a_split_by_two_and_a_filter_go_together(obs):
    row = one(obs, metric="total_cost", by=["feature", "user_id"], where={"feature": ["f1", "other"]}, compare={"above": 1.0})
    assert row.by == {"feature": "f1", "user_id": "u1"}
    assert one(obs, where={"feature": "f0"}).value == 0.0
    assert one(obs, where={"feature": "f1"}).value == 1.0


def test_values_of_a_split_beyond_fifty_are_counted(tmp_path):
    def crowd(day, k, one):
        one["root"] |= {"user_id": f"u{40 * day + k}"}
        return one

    obs = lm.open(kit.put(tmp_path / "s", alertkit.product(days=3, per_day=40, change=crowd)), threads=1)
    result = check(obs, rule(metric="total_cost", by="user_id", compare={"above": 1}), at=kit.moment(3), state=False)
    assert "rule errors: 30 values of user_id beyond the first 50 are not looked at" in [f.text for f in result.findings]


def test_an_unknown_dimension_is_refused_with_the_choices(obs):
    with pytest.raises(UsageError, match=r"where: 'nothing' is neither a column nor a metadata key; choose one of: "):
        one(obs, where={"nothing": "x"})


def test_new_things_are_told_by_name(obs):
    told = {r.rule: r for r in check(obs, "events", at=END, state=False).rows}
    assert {n: r.state for n, r in told.items()} == dict.fromkeys(
        ("prompt_changed", "unexpected_model", "new_error_class"), "firing"
    )
    assert (told["prompt_changed"].detail, told["prompt_changed"].n) == ("new: p@2", 12)
    assert (told["unexpected_model"].detail, told["unexpected_model"].traces[0][:3]) == ("new: m-2", "27-")
    assert told["new_error_class"].detail == "new: timeout"


def test_what_was_new_yesterday_is_known_today(obs):
    before = {r.rule: r.state for r in check(obs, "events", at=at_end(days=-1), state=False).rows}
    assert before == {"prompt_changed": "ok", "unexpected_model": "ok", "new_error_class": "no_data"}


def test_models_that_are_not_allowed_fire_however_old_they_are(obs):
    row = one(obs, at=at_end(days=-1), metric="unexpected_model", compare={"above": 0, "allowed": ["m-2"]})
    assert (row.state, row.detail) == ("firing", "new: m-1")
    assert one(obs, metric="unexpected_model", compare={"above": 0, "allowed": ["m-1", "m-2"]}).state == "ok"


def test_prompts_without_versions_are_known_by_their_rendered_text(tmp_path):
    def rendered(day, k, one):
        one["call"] |= {"prompt_version": None, "system_prompt_hash": "b" * 20 if day == 3 else "a" * 20}
        return one

    obs = lm.open(kit.put(tmp_path / "s", alertkit.product(days=4, change=rendered)), threads=1)
    (row,) = check(obs, "prompt_changed", at=kit.moment(4), state=False).rows
    assert (row.state, row.detail) == ("firing", "new: p bbbbbbbbbbbb")


@pytest.mark.parametrize(
    ("policy", "state", "severity"), [("ok", "no_data", None), ("warn", "no_data", "warning"), ("firing", "firing", "critical")]
)
def test_what_cannot_be_said_follows_the_rule_s_policy(obs, policy, state, severity):
    result = check(obs, rule(metric="score:nobody:judge", no_data=policy, severity="critical"), at=END, state=False)
    (row,) = result.rows
    assert (row.state, result.severity, row.detail) == (state, severity, "0 of the 1 rows that it needs")


def test_too_few_rows_say_nothing(obs):
    row = one(obs, min_n=25)
    assert (row.state, row.detail) == ("no_data", "24 of the 25 rows that it needs")


@pytest.mark.parametrize("metric", ["drift:input_wording", "calibration:r", "forecast:month_over_budget"])
def test_metrics_of_other_analyses_say_that_they_wait(obs, metric):
    row = one(obs, metric=metric, compare={"above": 0.1})
    assert row.state == "no_data"
    assert row.detail.startswith(f"{metric} is not computed by a check; run the ")


def test_a_pattern_stands_for_every_score_that_is_there(obs):
    result = check(
        obs,
        [rule(name="judges", metric="score:*:judge", compare={"below": 0.7}), rule(metric="score:*:human")],
        at=END,
        state=False,
    )
    (row,) = result.rows
    assert (row.rule, row.metric, row.state) == ("judges[quality]", "score:quality:judge", "firing")
    assert "errors: the store holds no score:*:human of this time" in [f.text for f in result.findings]


def test_an_anomaly_finds_a_fall_and_tells_the_level_expected(obs):
    row = one(obs, metric="score:quality:judge", compare={"anomaly": 4, "baseline": "3w"})
    assert (row.state, row.detail) == ("firing", "last 1 day")
    assert row.baseline == pytest.approx(0.795, abs=0.02)
    assert row.baseline - row.value == pytest.approx(0.3, abs=0.06)
    assert row.z > 6 and row.value < row.threshold < row.baseline


def test_an_anomaly_on_the_good_side_is_none(obs):
    assert one(obs, metric="score:quality:judge", compare={"anomaly": {"z": 4, "side": "up"}, "baseline": "3w"}).state == "ok"


def test_an_anomaly_of_an_hour_is_compared_with_the_same_hour_of_other_days(obs):
    row = one(
        obs, metric="total_cost", window="1h", at=at_end(hours=-4), compare={"anomaly": {"z": 3, "side": "up"}, "baseline": "3w"}
    )
    assert (row.state, row.value, row.baseline) == ("firing", pytest.approx(0.5, rel=0.01), pytest.approx(0.01, rel=0.01))


@pytest.mark.parametrize(
    ("method", "metric"), [({"method": "sigma", "z": 3}, "total_cost"), ({"method": "ks", "p": 0.01}, "score:quality:judge")]
)
def test_the_ways_people_bring_along_find_it_too(obs, method, metric):
    row = one(obs, metric=metric, compare={"anomaly": method, "baseline": "14d"})
    assert row.state == "firing"
    assert one(obs, at=at_end(days=-1), metric=metric, compare={"anomaly": method, "baseline": "14d"}).state == "ok"


def test_without_a_moment_the_end_of_the_data_is_checked_and_their_age_is_told(obs):
    result = check(obs, rule(), state=False)
    assert (result.rows[0].state, result.rows[0].n) == ("firing", 24)
    if dt.datetime.now(dt.UTC) - END > dt.timedelta(days=2):
        assert "old: checked as of 2026-11-01 23:00 UTC; at='now' checks as of now" in result.findings[0].text


def test_now_finds_no_data_in_an_archive(tmp_path):
    old = kit.trace("t", dt.datetime(2024, 1, 1, tzinfo=dt.UTC), call={})
    obs = lm.open(kit.put(tmp_path / "s", [old]), threads=1)
    (row,) = check(obs, rule(), at="now", state=False).rows
    assert row.state == "no_data"


def test_an_empty_store_is_no_data_and_says_so(tmp_path):
    storekit.put(tmp_path / "s", spans=[], scores=[storekit.score("s", value=None)])
    result = check(lm.open(str(tmp_path / "s"), threads=1), "default", state=False)
    assert {r.state for r in result.rows} == {"no_data"}
    assert "the store holds no spans of the product" in result.findings[0].text or result.rows[0].detail


def test_judging_is_costed_apart_from_the_product(tmp_path):
    spans = [
        storekit.span(f"j{k}", trace_id=f"j{k}", purpose="judging", cost_usd=1.0, start_time=kit.moment(9.5)) for k in range(3)
    ]
    obs = lm.open(kit.put(tmp_path / "s", alertkit.product(days=10)), threads=1)
    storekit.put(tmp_path / "s", spans=spans)
    obs = lm.open(str(tmp_path / "s"), threads=1)
    row = one(obs, at=kit.moment(10), metric="judge_cost", compare={"above": 2})
    assert (row.state, row.value, row.n) == ("firing", 3.0, 3)
    assert one(obs, at=kit.moment(10), metric="total_cost", compare={"above": 2}).value == pytest.approx(0.24)


def test_hostile_words_reach_no_terminal_and_break_no_query(tmp_path):
    def hostile(day, k, one):
        one["root"] |= {"feature": kit.HOSTILE_VALUE, "metadata": {kit.HOSTILE_KEY: "o'x\x1b[2J"}}
        return one

    obs = lm.open(kit.put(tmp_path / "s", alertkit.product(days=3, change=hostile)), threads=1)
    asked = rule(metric="requests", compare={"above": 1}, by=["feature", kit.HOSTILE_KEY], where={kit.HOSTILE_KEY: "o'x\x1b[2J"})
    result = check(obs, asked, at=kit.moment(3), state=False)
    assert result.rows[0].by == {"feature": kit.HOSTILE_VALUE, kit.HOSTILE_KEY: "o'x\x1b[2J"}
    assert not kit.BAD_CHARACTERS.search(result.text())


def test_the_answer_in_words_names_rule_slice_value_and_threshold(obs):
    told = check(obs, rule(metric="total_cost", by="user_id", compare={"above": 1.0}), at=END, state=False).text()
    assert "1 of 1 rules fire (warning): errors" in told
    assert "errors (user_id u1): firing; $2.00, threshold $1.00, n 4" in told


def test_claims_hold_the_numbers_of_what_fires(obs):
    (claim,) = check(obs, [rule(), rule(name="fine", compare={"above": 0.9})], at=END, state=False).claims()
    assert (claim["id"], claim["value"], claim["n"], len(claim["traces"])) == ("alert:errors", 0.5, 24, 5)
