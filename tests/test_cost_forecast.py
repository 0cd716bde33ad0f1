"""The month's end and the budgets: what is known, what is to come, what is refused and in which words."""

import datetime as dt

import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.cost.budgets import Budget, burn_down, read_budgets
from llmobs_nb.analyses.cost.forecast import forecast
from llmobs_nb.analyses.cost.window import make_plan
from llmobs_nb.errors import InputError, UsageError

MONDAY = dt.datetime(2026, 9, 7, tzinfo=dt.UTC)
HOSTILE = "u'1\x1b[31m"


def spans(days: float, *, each=0.5):
    """A call an hour and a half, dearer by day, of two features and three users, from a Monday on."""
    for k in range(int(days * 16)):
        at = MONDAY + k * dt.timedelta(minutes=90)
        usd = each * (1.0 + 0.1 * (k * 7 % 5)) * (0.5 if at.weekday() >= 5 else 1.0)
        yield storekit.span(
            f"s{k}",
            trace_id=f"t{k}",
            start_time=at,
            end_time=at,
            cost_usd=usd,
            feature=f"f{k % 2}",
            user_id=("a", "b", HOSTILE)[k % 3],
        )


@pytest.fixture(scope="module")
def six_weeks(tmp_path_factory):
    root = tmp_path_factory.mktemp("cost") / "s"
    storekit.put(root, spans=list(spans(43.5)))  # until Tuesday, 20 October, noon
    return lm.open(root)


@pytest.fixture
def few_days(tmp_path):
    storekit.put(tmp_path / "s", spans=list(spans(9)))
    return lm.open(tmp_path / "s")


@pytest.fixture
def nothing(tmp_path):
    storekit.put(tmp_path / "s", spans=[storekit.span("s1", start_time=None, updated_at=MONDAY)])
    return lm.open(tmp_path / "s")


def usd(obs, low, high):
    sql = f"SELECT sum(cost_usd) AS c FROM spans WHERE start_time >= TIMESTAMPTZ '{low}' AND start_time < TIMESTAMPTZ '{high}'"
    return obs.query(sql)["c"][0].as_py()


def test_the_month_is_what_was_spent_and_what_usually_comes(six_weeks):
    told = forecast(six_weeks)
    assert told.month == "2026-10" and told.reason is None and told.n == 43
    assert told.spent_usd == pytest.approx(usd(six_weeks, "2026-10-01", "2026-11-01"), rel=1e-9)
    same = usd(six_weeks, "2026-10-06 12:00:00+00", "2026-10-13") + usd(six_weeks, "2026-10-14", "2026-10-18 00:00:00+00")
    assert told.low95 < told.low80 < told.value < told.high80 < told.high95
    assert told.value > told.spent_usd + 0.8 * same
    assert told.value == pytest.approx(usd(six_weeks, "2026-09-07", "2026-10-05") / 28 * 31, rel=0.06)


def test_days_and_running_total_tell_past_today_and_future(six_weeks):
    told = forecast(six_weeks)
    days, total = told.days.set_index("day"), told.total.set_index("day")
    assert len(days) == len(total) == 31
    past, today, later = (days.loc[dt.date(2026, 10, d)] for d in (7, 20, 25))
    assert past.spent_usd == past.expected_usd == past.low95 == past.high95
    assert today.spent_usd < today.low80 < today.high80
    assert later.isna()["spent_usd"] and later.low95 < later.expected_usd < later.high95
    assert total.expected_usd.iloc[-1] == pytest.approx(told.value)
    assert total.expected_usd.is_monotonic_increasing


def test_the_back_test_stands_beside_seasonal_naive(six_weeks):
    told = forecast(six_weeks).backtest
    assert list(told["method"]) == ["seasonal model", "seasonal naive"]
    assert (told["origins"] == 4).all(), "43 whole days: every seventh from day 15 on, with a week to come"
    assert told["cover80_rate"].between(0, 1).all() and (told["pinball_usd"] > 0).all()


def test_a_scenario_multiplies_what_is_to_come_only(six_weeks):
    plain, more = forecast(six_weeks), forecast(six_weeks, scenario={"volume": 1.5, "price": 0.8})
    assert more.value - more.spent_usd == pytest.approx(1.2 * (plain.value - plain.spent_usd))
    assert more.spent_usd == plain.spent_usd and more.scenario == {"volume": 1.5, "price": 0.8}
    assert forecast(six_weeks, scenario={"volume": 0}).value == pytest.approx(plain.spent_usd)


def test_a_month_that_is_over_is_what_was_spent(six_weeks):
    told = forecast(six_weeks, month="2026-09")
    assert told.value == told.low95 == told.high95 == pytest.approx(told.spent_usd)
    assert told.days["spent_usd"].isna().sum() == 6, "the data begin on the seventh"


def test_the_next_month_is_forecast_and_one_far_away_is_not(six_weeks):
    told = forecast(six_weeks, month="2026-11")
    assert told.spent_usd == 0 and told.low80 < told.value < told.high80
    assert told.value == pytest.approx(usd(six_weeks, "2026-09-07", "2026-10-05") / 28 * 30, rel=0.2)
    far = forecast(six_weeks, month="2027-06")
    assert far.value is None and "reaches 62 days" in far.reason


def test_a_day_is_that_of_the_time_zone(six_weeks):
    told = forecast(six_weeks, tz="America/New_York").days.set_index("day")
    want = usd(six_weeks, "2026-10-07 04:00:00+00", "2026-10-08 04:00:00+00")
    assert told.loc[dt.date(2026, 10, 7), "spent_usd"] == pytest.approx(want, rel=1e-9)
    half = forecast(six_weeks, tz="Asia/Kolkata").days.set_index("day")
    want = usd(six_weeks, "2026-10-06 18:30:00+00", "2026-10-07 18:30:00+00")
    assert half.loc[dt.date(2026, 10, 7), "spent_usd"] == pytest.approx(want, rel=1e-9)


def test_nine_days_give_a_reason_and_no_value(few_days):
    told = forecast(few_days)
    assert told.value is None and told.low80 is None and told.spent_usd > 0
    assert told.reason == "8 whole days of data; a forecast needs 14"
    assert told.json()["value"] is None


def test_a_store_that_is_mostly_idle_gives_a_reason(tmp_path):
    storekit.put(tmp_path / "s", spans=[s for k, s in enumerate(spans(43.5)) if k % 80 == 0])
    assert (
        forecast(lm.open(tmp_path / "s")).reason == "8 of the last 40 days have a cost; a forecast needs 14"
    )  # a call every fifth day; the ninth is on the day that has begun


def test_a_store_without_dated_spans_gives_nothing(nothing):
    assert forecast(nothing) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"month": "2026-13"}, r"month='2026-13' is no month; write it as 2026-11"),
        ({"month": "November"}, r"month='November' is no month; write it as 2026-11"),
        (
            {"month": "2026-08"},
            r"month='2026-08' lies before the data, which begin on 2026-09-07; give that month or a later one",
        ),
        ({"scenario": {"growth": 2}}, r"scenario='growth' is not known; choose one of: volume, price, mix"),
        ({"scenario": {"price": "low"}}, r"scenario: price='low' is no factor; give a number from 0 on"),
        ({"scenario": {"price": -1}}, r"scenario: price='-1' is no factor"),
    ],
)
def test_months_and_scenarios_that_are_none_are_named(six_weeks, options, words):
    with pytest.raises(UsageError, match=words):
        forecast(six_weeks, **options)


def test_budgets_are_read_from_a_file_a_dict_and_a_list(tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text(
        "budgets:\n  - {scope: user, per: day, limit_usd: 2, name: people}\n  - {scope: feature, per: day, limit_usd: 1, value: f1}\n"
    )
    want = (Budget("people", "user", "day", 2.0), Budget("feature/day/f1", "feature", "day", 1.0, "f1"))
    assert read_budgets(path) == read_budgets(str(path)) == want
    assert read_budgets({"total/month": 900}) == (Budget("total/month", "total", "month", 900.0),)
    assert read_budgets(list(want)) == want
    assert read_budgets(None) == read_budgets({}) == ()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (7, r"budgets='7' are no budgets; give a YAML file or a dict"),
        ({"month": 7}, r"budget 'month' is not understood; write it as scope/period, such as user/day"),
        ({"team/day": 7}, r"budget 1: scope='team' is not known; choose one of: total, user, tenant, feature"),
        ({"user/week": 7}, r"budget 1: per='week' is not known; choose one of: hour, day, month"),
        ({"user/day": -7}, r"budget 1: limit_usd='-7' is no number above 0; give such as 0.9"),
        ({"user/day": True}, r"budget 1: limit_usd='True' is no number above 0"),
        ([{"scope": "user", "per": "day"}], r"budget 1 has no limit_usd; a budget needs scope, per and limit_usd"),
        ([{"scop": "user"}], r"budget 1: key='scop' is not known; choose one of: name, scope, per"),
        (["user"], r"budget 1: 'user' is no budget; give name, scope"),
        (
            [{"scope": "total", "per": "day", "limit_usd": 1, "value": "x"}],
            r"budget 1: value='x' does not go with scope total; remove it",
        ),
        (
            [{"scope": "user", "per": "day", "limit_usd": 1, "warn_at": 2}],
            r"budget 1: warn_at='2' is no number above 0 and up to 1",
        ),
        (
            [{"scope": "user", "per": "day", "limit_usd": 1}] * 2,
            r"budget 'user/day' stands twice; give each budget a name of its own",
        ),
    ],
)
def test_budgets_that_are_not_understood_are_named(told, words):
    with pytest.raises(UsageError, match=words):
        read_budgets(told)


def test_budget_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"budgets '.*none.yaml' cannot be read: No such file"):
        read_budgets(tmp_path / "none.yaml")
    path = tmp_path / "b.yaml"
    path.write_text("a: [")
    with pytest.raises(InputError, match=r"are no YAML: .* write one budget a line"):
        read_budgets(path)
    path.write_text("")
    with pytest.raises(UsageError, match=r"hold nothing; write one budget a line, such as 'total/month: 900'"):
        read_budgets(path)


def state_of(obs, budgets):
    return burn_down(obs, make_plan(obs), budgets)


def test_a_budget_is_used_by_the_fullest_day_of_each_value(six_weeks):
    told = state_of(six_weeks, {"feature/day": 100, "total/day": 1}).set_index("scope")
    fullest = max(six_weeks.query("SELECT sum(cost_usd) AS c FROM spans WHERE feature = 'f1' GROUP BY day")["c"].to_pylist())
    assert told.loc["feature f1", "spent_usd"] == pytest.approx(fullest, rel=1e-9)
    assert told.loc["feature f1", "state"] == "within" and told.loc["total", "state"] == "exceeded"
    assert told.loc["feature f1", "share"] == pytest.approx(fullest / 100)


def test_hours_and_named_values_have_budgets(six_weeks):
    told = state_of(six_weeks, [{"scope": "user", "per": "hour", "limit_usd": 0.8, "value": HOSTILE}])
    assert list(told["scope"]) == [f"user_id {HOSTILE}"]
    assert told["spent_usd"][0] == pytest.approx(0.7)
    assert told["state"][0] == "warning" and "an hour on 2026-09-" in told["told"][0]


def test_the_forecast_says_whether_the_month_will_be_exceeded(six_weeks):
    coming = forecast(six_weeks)
    limits = {"within": coming.high80 * 1.6, "will_exceed": coming.value * 0.99, "exceeded": coming.spent_usd * 0.9}
    for state, limit in limits.items():
        assert state_of(six_weeks, {"total/month": limit})["state"][0] == state
    between = (coming.value + coming.high80) / 2
    assert state_of(six_weeks, {"total/month": between})["state"][0] == "warning"


def test_a_window_that_ends_before_the_data_is_forecast_as_of_its_end(six_weeks):
    until = MONDAY + dt.timedelta(days=31)
    told = burn_down(six_weeks, make_plan(six_weeks, until=until), {"total/month": 1000.0})
    coming = forecast(six_weeks.between(until=until))
    assert told["spent_usd"][0] == pytest.approx(coming.spent_usd, rel=1e-9)
    assert f"will come to ${coming.value:.2f}" in told["told"][0]


def test_one_feature_s_month_is_its_share_of_the_total_s(six_weeks):
    told = state_of(six_weeks, {"feature/month": 1000.0})
    want = forecast(six_weeks).value / forecast(six_weeks).spent_usd * told["spent_usd"][0]
    assert f"will come to ${want:.2f}" in told["told"][0]


def test_a_budget_day_is_one_of_the_time_zone(six_weeks):
    plan = make_plan(six_weeks, tz="America/New_York")
    told = burn_down(six_weeks, plan, {"total/day": 100})
    days = six_weeks.query("SELECT sum(cost_usd) AS c FROM spans GROUP BY CAST(start_time - INTERVAL 4 HOUR AS DATE)")[
        "c"
    ].to_pylist()
    assert told["spent_usd"][0] == pytest.approx(max(days), rel=1e-9)


def test_a_budget_of_somebody_who_spent_nothing_is_within(six_weeks):
    told = state_of(six_weeks, [{"scope": "tenant", "per": "day", "limit_usd": 1, "value": "nobody"}])
    assert told["state"][0] == "within" and told["spent_usd"][0] == 0 and told["told"][0] == "nothing was spent"


def test_without_budgets_or_spans_there_are_no_rows(six_weeks, nothing):
    assert len(state_of(six_weeks, None)) == 0
    plan = make_plan(six_weeks)
    assert len(burn_down(nothing, plan, {"total/day": 1})) == 0
