"""Which days are compared: weeks, months and quarters by pairs of weekdays, and baselines of one's own."""

from datetime import date, datetime, timedelta

import pytest
from weeklykit import DAY, MONDAY, Store, span, traffic

from llmobs_nb.analyses.weekly import weekly
from llmobs_nb.analyses.weekly.plan import calendar, earlier, named, pinned_window, plan_days
from llmobs_nb.errors import UsageError

WEEK = named("2026-W46", "week", "UTC")


def weekdays(plan, days):
    return [date.fromisoformat(plan.days[d].label).weekday() for d in plan.chosen(days)]


@pytest.mark.parametrize(("period", "name", "before"), [("month", "2026-11", "2026-10"), ("quarter", "2026-Q4", "2026-Q3")])
def test_longer_periods_have_names_and_come_before_each_other(period, name, before):
    window = named(name, period, "UTC")
    assert (window.label, earlier(window, 1, "UTC", period).label) == (name, before)
    assert named("2026-11-12", period, "UTC") == window == calendar(date(2026, 11, 30), period, "UTC")


def test_the_quarter_before_the_first_is_in_the_year_before():
    assert earlier(named("2026-Q1", "quarter", "UTC"), 1, "UTC", "quarter").label == "2025-Q4"
    assert earlier(named("2026-01", "month", "UTC"), 1, "UTC", "month").label == "2025-12"


def test_days_of_a_month_have_the_days_of_its_zone():
    assert named("2026-10", "month", "Europe/Berlin").seconds == 31 * 86_400 + 3_600  # the clock goes back on the 25th


def test_a_month_is_compared_on_pairs_of_same_weekdays():
    window = named("2026-10", "month", "UTC")
    plan = plan_days(window, earlier(window, 1, "UTC", "month"), tz="UTC", period="month")
    assert weekdays(plan, plan.this) == weekdays(plan, plan.last)
    assert len(plan.kept) == 28  # October has five Thursdays, Fridays, Saturdays; September five Tuesdays, Wednesdays
    assert len(plan.of_this()) == 31


def test_a_pinned_baseline_is_cut_into_weeks_of_the_same_weekdays():
    plan = plan_days(
        WEEK, earlier(WEEK, 1, "UTC", "week"), tz="UTC", pinned=pinned_window("2026-09-02/2026-09-18", WEEK, "UTC", "week")
    )
    assert [len(plan.chosen(b)) for b in plan.baseline] == [7, 7, 3]
    assert len(plan.whole()) == 2 and len(plan.members()["baseline"]) == 17
    assert weekdays(plan, plan.baseline[0]) == weekdays(plan, plan.this)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-09-01/soon", r"baseline='2026-09-01/soon' is not understood; give two dates \(2026-09-01/2026-09-14\) or a week"),
        ("2026-09-14/2026-09-01", r"baseline='2026-09-14/2026-09-01' ends before it starts; swap the dates"),
        ("2026-11-01/2026-11-09", r"overlaps 2026-W46, which is under review; choose days before it"),
    ],
)
def test_wrong_baselines_are_named(text, message):
    with pytest.raises(UsageError, match=message):
        pinned_window(text, WEEK, "UTC", "week")


@pytest.mark.parametrize(("text", "period", "example"), [("2026-Q4", "month", "2026-11"), ("2026-W46", "quarter", "2026-Q4")])
def test_a_wrong_name_of_a_longer_period_is_refused(text, period, example):
    with pytest.raises(UsageError, match=f"{period} '{text}' is not understood; give it as {example}, or a date in it"):
        named(text, period, "UTC")


def test_an_unknown_period_is_refused():
    with pytest.raises(UsageError, match=r"period='year' is not known; choose one of: week, month, quarter"):
        weekly(Store(), period="year")


def test_a_month_is_reviewed_by_the_same_code():
    spans = [span(f"t{d}-{k}", MONDAY - 40 * DAY + timedelta(days=d, hours=k)) for d in range(85) for k in range(6)]
    result = weekly(Store(spans), period="month")
    assert (result.week.label, result.against.label) == ("2026-10", "2026-09")
    row = result.kpis.set_index("name").loc["requests"]
    assert (row["this_value"], row["last_value"]) == (28 * 6, 28 * 6)
    assert any(
        "2026-10 and 2026-09 are compared on 28 pairs of same weekdays; days without a partner: 3" in f.text
        for f in result.findings
    )


def test_a_pinned_baseline_stands_beside_the_weeks():
    spans, scores = traffic(errors=lambda week: 0.5 if week == 0 else 0.05)
    result = weekly(Store(spans, scores), baseline="2026-10-05/2026-10-11")
    rows = result.kpis[result.kpis["slice"] == "all"].set_index("name")
    first = [s for s in spans if s["is_root"] and s["start_time"] < MONDAY + 7 * DAY]
    assert rows.loc["requests", "baseline_value"] == len(first)
    assert rows.loc["error_rate", "baseline_value"] == pytest.approx(sum(s["status"] == "error" for s in first) / len(first))
    assert result.json()["windows"]["baseline"]["label"] == "2026-10-05 to 2026-10-11"
    assert any("2026-10-05 to 2026-10-11" in c["text"] for c in result.claims())


def test_a_week_can_be_given_as_a_moment():
    assert named(datetime(2026, 11, 12, 8), "month", "UTC").label == "2026-11"
