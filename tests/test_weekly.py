"""The weekly review over a store stand-in: numbers recomputed by hand from the rows, verdicts, and awkward stores."""

import dataclasses
import json
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import sqlglot
from weeklykit import DAY, MONDAY, Store, score, span, traffic

from llmobs_nb.analyses import reductions
from llmobs_nb.analyses.result import Estimate, Finding, Result, plain
from llmobs_nb.analyses.weekly import WeeklyResult, weekly
from llmobs_nb.analyses.weekly.kpis import score_kpi
from llmobs_nb.analyses.weekly.levels import Review, judge
from llmobs_nb.errors import UsageError


@pytest.fixture(scope="module")
def quiet():
    return traffic()


@pytest.fixture(scope="module")
def result(quiet):
    return weekly(Store(*quiet))


def kpi(result, name, slice="all"):
    rows = result.kpis[(result.kpis["name"] == name) & (result.kpis["slice"] == slice)]
    assert len(rows) == 1
    return rows.iloc[0]


def roots(spans, week):
    start = MONDAY + 7 * week * DAY
    return [s for s in spans if s["is_root"] and start <= s["start_time"] < start + 7 * DAY]


def test_the_last_complete_week_is_compared_with_the_one_before(result):
    assert (result.week.label, result.against.label) == ("2026-W46", "2026-W45")
    (absent,) = result.findings
    assert absent.text.startswith("not logged, left out: Retries per request, ") and absent.count == len(result.absent)


def test_levels_are_those_of_the_rows(quiet, result):
    spans, scores = quiet
    this, last = roots(spans, 5), roots(spans, 4)
    assert (kpi(result, "requests")["this_value"], kpi(result, "requests")["last_value"]) == (len(this), len(last))
    assert kpi(result, "users")["this_value"] == len({s["user_id"] for s in this})
    assert kpi(result, "sessions")["this_value"] == len({s["session_id"] for s in this})
    assert kpi(result, "error_rate")["this_value"] == pytest.approx(np.mean([s["status"] == "error" for s in this]))
    for name, p in (("latency_p50", 0.5), ("latency_p95", 0.95)):
        assert kpi(result, name)["this_value"] == pytest.approx(np.quantile([s["latency_ms"] for s in this], p))
        assert kpi(result, name)["last_value"] == pytest.approx(np.quantile([s["latency_ms"] for s in last], p))
    ids = {s["trace_id"] for s in this}
    calls = [s for s in spans if s["trace_id"] in ids and not s["is_root"]]
    assert kpi(result, "ttft_p95")["this_value"] == pytest.approx(np.quantile([s["ttft_ms"] for s in calls], 0.95))
    assert kpi(result, "tokens_in_per_request")["this_value"] == pytest.approx(sum(s["tokens_in"] for s in calls) / len(this))
    assert kpi(result, "total_cost")["this_value"] == pytest.approx(sum(s["cost_usd"] for s in calls))
    assert kpi(result, "cost_per_request")["this_value"] == pytest.approx(sum(s["cost_usd"] for s in calls) / len(this))
    judged = [s["value"] for s in scores if s["trace_id"] in ids]
    assert kpi(result, "score:helpful:judge")["this_value"] == pytest.approx(np.mean(judged))
    assert kpi(result, "score:helpful:judge")["this_n"] == len(judged)


def test_the_baseline_is_the_four_weeks_before(quiet, result):
    before = [s for week in (1, 2, 3, 4) for s in roots(quiet[0], week)]
    assert kpi(result, "requests")["baseline_value"] == len(before) / 4
    assert kpi(result, "error_rate")["baseline_value"] == pytest.approx(np.mean([s["status"] == "error" for s in before]))
    assert kpi(result, "error_rate")["baseline_n"] == len(before)


def test_frames_hold_the_days_of_both_weeks(quiet, result):
    assert result.daily["week"].value_counts().to_dict() == {"last": 7, "this": 7}
    assert result.daily["requests"].sum() == len(roots(quiet[0], 4)) + len(roots(quiet[0], 5))
    assert set(result.latency["stage"]) == {"total", "ttft"} and set(result.latency["quantile"]) == {0.5, 0.95}
    medians = result.latency[result.latency["quantile"] == 0.5]
    assert (medians["low_ms"] <= medians["value_ms"]).all() and (medians["value_ms"] <= medians["high_ms"]).all()
    assert result.latency[result.latency["quantile"] == 0.95]["value_ms"].isna().all()  # 60-odd requests do not bound a p95
    assert list(result.cost["feature"].sort_values()) == ["f0", "f1", "f2"]
    assert result.cost["share"].sum() == pytest.approx(1)
    assert result.cost["this_usd"].sum() == pytest.approx(kpi(result, "total_cost")["this_value"])
    assert len(result.quality) == 14 and (result.quality["low"] < result.quality["mean"]).all()


def test_a_quiet_week_is_not_called_anything(result):
    assert not set(result.kpis["verdict"]) & {"better", "worse"}
    assert "no KPI is better or worse beyond doubt" in result.headline


def test_a_bad_week_is_called_worse_and_its_traces_are_read():
    spans, scores = traffic(errors=lambda w: 0.20 if w == 5 else 0.03, quality=lambda w: 0.60 if w == 5 else 0.7, seed=2)
    spans.append(span("new", MONDAY + 36 * DAY, status="error", error_class="rate_limit"))
    result = weekly(Store(spans, scores))
    assert kpi(result, "error_rate")["verdict"] == "worse" and kpi(result, "score:helpful:judge")["verdict"] == "worse"
    assert kpi(result, "error_rate")["q"] < 0.05 and kpi(result, "error_rate")["change_low"] > 0.1
    assert "worse: Error rate +" in result.headline and "helpful (judge) -0.0" in result.headline
    assert result.new_error_classes.to_dict("records") == [{"error_class": "rate_limit", "n": 1, "traces": ["new"]}]
    assert result.reading_list[0] == "new" and len(result.reading_list) == len(set(result.reading_list)) > 5
    lowest = sorted(
        (s["value"], s["trace_id"]) for s in scores if s["trace_id"].startswith(tuple(f"t{d}-" for d in range(35, 42)))
    )
    assert {t for _, t in lowest[:5]} <= set(result.reading_list)


def test_a_good_week_is_called_better():
    result = weekly(Store(*traffic(errors=lambda w: 0.02 if w == 5 else 0.15, seed=3)))
    assert kpi(result, "error_rate")["verdict"] == "better" and "better: Error rate -" in result.headline


def test_json_is_strict_and_in_the_contracts_shape(result):
    document = json.loads(json.dumps(result.json(), allow_nan=False))
    assert {"week", "against", "kpis", "versions", "drift", "promoted", "new_error_classes", "alerts", "reading_list"} <= set(
        document
    )
    assert document["week"] == "2026-W46" and document["provenance"]["store"] == "stand-in"
    for one in document["kpis"]:
        assert {"name", "unit", "slice", "this", "last", "baseline", "change", "verdict", "margin", "q"} <= set(one)
        for level in ("this", "last", "baseline", "change"):
            assert {"value", "ci_low", "ci_high", "n"} <= set(one[level])
            assert one[level]["value"] is not None or one[level]["reason"]


def test_every_number_of_the_tables_is_a_claim(result):
    claims = result.claims()
    json.dumps(claims, allow_nan=False)
    assert all(set(c) >= {"id", "text", "value", "ci_low", "ci_high", "n", "unit", "how", "traces"} for c in claims)
    by = {c["id"]: c for c in claims}
    assert len(by) == len(claims)
    for row in result.kpis.to_dict("records"):
        for at in ("this", "last", "baseline", "change"):
            found = by[f"kpi.{row['name']}.{row['slice']}.{at}"]["value"]
            assert found == pytest.approx(row[f"{at}_value"]) if found is not None else math.isnan(row[f"{at}_value"])
    values = {c["value"] for c in claims}
    frames = {"daily": ["requests", "errors", "error_rate"], "latency": ["value_ms"], "quality": ["mean"]}
    frames["cost"] = ["this_usd", "last_usd", "change_usd", "share", "requests", "cost_per_request"]
    for frame, columns in frames.items():
        shown = getattr(result, frame)[columns].to_numpy().ravel()
        assert {float(v) for v in shown if not math.isnan(v)} <= values
    assert len(by["kpi.latency_p50.all.this"]["traces"]) == 5


def test_the_repr_is_short_and_the_result_frozen(result):
    assert len(repr(dataclasses.replace(result, findings=(Finding("info", "x" * 500, 1),) * 9)).splitlines()) <= 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.headline = "all is well"


def test_weeks_can_be_chosen(quiet):
    result = weekly(Store(*quiet), week="2026-10-28", against="2026-W42")
    assert (result.week.label, result.against.label) == ("2026-W44", "2026-W42")
    assert kpi(result, "requests")["last_value"] == len(roots(quiet[0], 1))
    assert "reach back 3 of the 4 baseline weeks" in result.findings[0].text


def test_wrong_weeks_and_zones_are_named(quiet):
    store = Store(quiet[0][:2])
    with pytest.raises(UsageError, match=r"against=2026-W46 overlaps week=2026-W46; choose another week to compare with"):
        weekly(store, week="2026-W46", against="2026-11-12")
    with pytest.raises(UsageError, match=r"tz='Nowhere' is not a known time zone"):
        weekly(store, tz="Nowhere")
    with pytest.raises(UsageError, match=r"week='soon'|week 'soon' is not understood"):
        weekly(store, week="soon")


def test_filters_apply_to_everything(quiet):
    result = weekly(Store(*quiet), where={"feature": "f1"})
    assert kpi(result, "requests")["this_value"] == sum(s["feature"] == "f1" for s in roots(quiet[0], 5))
    assert list(result.cost["feature"]) == ["f1"] and result.parameters["where"] == {"feature": "f1"}


def test_days_are_those_of_the_zone():
    # one request a day at 23:30 UTC, three on Sunday the 11th: Monday the 12th in Berlin
    times = [MONDAY + k * DAY - timedelta(minutes=30) for k in range(22)] + [MONDAY + 7 * DAY - timedelta(minutes=30)] * 2
    store = Store([span(f"t{k}", at) for k, at in enumerate(times)])
    berlin, utc = (weekly(store, week="2026-W42", tz=tz) for tz in ("Europe/Berlin", "UTC"))
    assert (kpi(berlin, "requests")["this_value"], kpi(utc, "requests")["this_value"]) == (9, 7)
    assert (kpi(berlin, "requests")["last_value"], kpi(utc, "requests")["last_value"]) == (7, 9)
    first = berlin.daily[berlin.daily["week"] == "this"].iloc[0]
    assert (str(first["day"]), first["requests"]) == ("2026-10-12", 3)


def test_an_incomplete_week_is_compared_on_the_same_weekdays():
    spans, scores = traffic(weeks=3)
    until = MONDAY + 17 * DAY  # Thursday of the third week, 00:00
    result = weekly(Store([s for s in spans if s["start_time"] < until], scores), week="2026-W43")
    last = [s for s in roots(spans, 1) if s["start_time"] < MONDAY + 10 * DAY]
    assert kpi(result, "requests")["last_value"] == len(last)
    assert kpi(result, "error_rate")["last_n"] == len(last)
    (finding,) = (f for f in result.findings if f.severity == "warning")
    assert finding.text == "one of the two weeks is incomplete: 2026-W43 and 2026-W42 are compared on Mon, Tue, Wed only"
    assert kpi(result, "requests")["verdict"] != "worse"


def test_a_half_day_is_left_out_too():
    spans, _ = traffic(weeks=2, per_day=72)
    until = MONDAY + 10 * DAY + timedelta(hours=9)  # Thursday morning; Thursday before was busy until midnight
    result = weekly(Store([s for s in spans if s["start_time"] < until]), week="2026-W42")
    assert any("compared on Mon, Tue, Wed only" in f.text for f in result.findings)


def test_without_a_complete_week_the_last_seven_days_stand_in():
    spans, scores = traffic(weeks=2)
    some = [s for s in spans if MONDAY + 2 * DAY <= s["start_time"] < MONDAY + 12 * DAY]
    result = weekly(Store(some, scores))
    assert result.week.label == "7 days to 2026-10-16" and result.week.seconds == 7 * 86400
    assert any("no ISO week is complete" in f.text for f in result.findings)
    assert len(result.daily) == 14


def test_only_the_products_own_traffic_counts(quiet, result):
    spans, scores = quiet
    at = MONDAY + 36 * DAY
    others = [
        span(f"x{n}", at + n * timedelta(minutes=1), ms=1e6, purpose=purpose, cost_usd=9.0, status="error", error_class="other",
             kind="llm", tokens_in=10**6, user_id=f"x{n}", feature="judge", ttft_ms=9e4)
        for n, purpose in enumerate(("judging", "experiment", "platform"))
    ]  # fmt: skip
    later = span("x-last", MONDAY + 44 * DAY, purpose="judging")
    mixed = weekly(Store([*spans, *others, later], scores))
    pd.testing.assert_frame_equal(mixed.kpis, result.kpis)
    pd.testing.assert_frame_equal(mixed.cost, result.cost)
    assert mixed.json()["new_error_classes"] == result.json()["new_error_classes"]
    assert mixed.reading_list == result.reading_list
    assert [f.count for f in mixed.findings if "judging, experiments or the platform" in f.text] == [3]
    assert not any("judging" in f.text for f in result.findings)


def test_scores_of_an_experiment_stay_on_the_day_of_its_trace():
    spans, scores = traffic(weeks=2)
    extra = [span("x", MONDAY + 8 * DAY, purpose="experiment")], [score("x", 1.0, name="only", at=MONDAY + 13 * DAY)]
    found = weekly(Store([*spans, *extra[0]], [*scores, *extra[1]]), week="2026-W42").quality
    assert found[found["score"] == "only"]["day"].tolist() == [(MONDAY + 8 * DAY).date()]


def test_an_empty_store_says_so():
    result = weekly(Store())
    assert result.headline == "The store holds no spans of the product and no scores: there is nothing to review."
    assert (result.week.label, result.against.label) == ("no week", "no week")
    assert len(result.kpis) == 0 and "this_value" in result.kpis and result.reading_list == ()
    json.dumps([result.json(), result.claims()], allow_nan=False)


def test_one_trace_only_is_refused_kindly():
    result = weekly(Store([span("only", MONDAY)], [score("only", 0.5)]))
    assert kpi(result, "requests")["this_value"] == 1
    assert set(result.kpis["verdict"]) == {"cannot_tell"} and result.kpis["reason"].notna().all()
    assert math.isnan(kpi(result, "error_rate")["this_value"]) and kpi(result, "error_rate")["this_n"] == 1
    assert result.headline == "7 days to 2026-10-05 (requests: 1): nothing can be compared with 7 days to 2026-09-28."
    assert result.reading_list == ("only",)
    json.dumps([result.json(), result.claims()], allow_nan=False)


def test_a_handful_of_traces_over_nine_months():
    at = [MONDAY - 270 * DAY + timedelta(days=14 * k) for k in range(19)]
    result = weekly(Store([span(f"t{k}", a) for k, a in enumerate(at)], [score("t18", 1.0), score("t3", 0.0)]))
    assert at[17] in result.week and kpi(result, "requests")["this_value"] == 1  # the last trace lies in an unfinished week
    assert set(result.kpis["verdict"]) == {"cannot_tell"}
    json.dumps([result.json(), result.claims()], allow_nan=False)


def test_what_is_not_logged_is_left_out_and_named_once():
    bare = ("trace_id", "span_id", "source", "project", "start_time", "day")
    spans = [{k: s[k] for k in bare} for s in traffic(weeks=2)[0] if s["is_root"]]
    result = weekly(Store(spans))
    assert set(result.kpis["name"]) == {"requests", "error_rate"}
    (told,) = (f for f in result.findings if f.text.startswith("not logged, left out: "))
    for label in ("Users", "Sessions", "Total cost", "Latency", "Time to first token", "Cost per request", "Decode speed"):
        assert label in told.text.removeprefix("not logged, left out: ").split(", ")
    assert kpi(result, "error_rate")["this_value"] == 0 and kpi(result, "error_rate")["this_high"] > 0
    assert result.cost.empty and result.quality.empty and result.latency.empty


def test_scores_without_spans_are_reviewed():
    scores = [score(f"t{k}", 0.5 + 0.01 * (k % 9), at=MONDAY + timedelta(hours=8 * k)) for k in range(63)]
    result = weekly(Store((), scores))
    row = kpi(result, "score:helpful:judge")
    assert (result.week.label, row["this_n"], row["last_n"]) == ("2026-W43", 21, 21)
    assert row["change_value"] == pytest.approx(row["this_value"] - row["last_value"])


def test_repeated_judgements_of_a_trace_are_averaged_first():
    spans = [span(f"t{k}", MONDAY + k * DAY) for k in range(14)]
    scores = [score(f"t{k}", 0.5 + 0.1 * (k % 2)) for k in range(14)] + [score("t8", 0.1, k=1), score("t8", 0.3, k=2)]
    row = kpi(weekly(Store(spans, scores)), "score:helpful:judge")
    # t8 is judged .5, .1 and .3: mean .3 in place of .5
    assert row["this_n"] == 7 and row["this_value"] == pytest.approx((0.6 + 0.3 + 0.6 + 0.5 + 0.6 + 0.5 + 0.6) / 7)


def test_a_score_given_late_counts_in_the_week_of_its_trace():
    spans = [span(f"t{k}", MONDAY + k * DAY) for k in range(21)]
    scores = [score(f"t{k}", k % 2, at=MONDAY + 20 * DAY, rater="user") for k in range(21)]
    row = kpi(weekly(Store(spans, scores), week="2026-W42"), "score:helpful:user")
    assert (row["this_n"], row["last_n"]) == (7, 7)


def test_latency_without_a_single_root_is_last_end_minus_first_start():
    spans = []
    for k in range(14):
        at = MONDAY + k * DAY
        spans += [span(f"t{k}", at, ms=100), span(f"t{k}", at + timedelta(seconds=1), ms=500 + k, root=False) | {"is_root": True}]
    row = kpi(weekly(Store(spans)), "latency_p50")
    assert row["this_value"] == 1000 + 500 + 10  # the middle of days 7 to 13


def test_a_session_over_days_is_one_cluster():
    spans = [span(f"t{k}", MONDAY + k * DAY, session_id="one", status="error" if k % 2 else "ok") for k in range(14)]
    row = kpi(weekly(Store(spans)), "error_rate")
    assert math.isnan(row["this_value"]) and "1 cluster only" in row["reason"]


def test_equal_trace_ids_of_two_projects_are_two_requests():
    spans = [span(f"t{k}", MONDAY + k * DAY, project=p) for k in range(14) for p in ("a", "b")]
    assert kpi(weekly(Store(spans)), "requests")["this_value"] == 14


def test_hostile_names_stay_text():
    name = "<script>'; DROP TABLE spans; --\x1b[31m"
    spans, _ = traffic(weeks=2, per_day=6)
    spans = [s | {"feature": name} for s in spans]
    scores = [score(s["trace_id"], (k % 7) / 7, name=name) for k, s in enumerate(spans) if s["is_root"]]
    result = weekly(Store(spans, scores))
    assert list(result.cost["feature"]) == [name]
    assert kpi(result, f"score:{name}:judge")["this_n"] > 10
    assert "\x1b" not in result.headline + repr(result) + "".join(c["text"] for c in result.claims())


def test_gaps_are_findings():
    spans, _ = traffic(weeks=6, per_day=4)
    spans = [s | {"cost_usd": None} if s["trace_id"] == "t40-0" else s for s in spans]
    scores = [score("t40-1", None, name="reason", label="slow")] + [score(f"t{40}-1", 0.5, name=f"n{k}") for k in range(41)]
    texts = [f.text for f in weekly(Store(spans, scores)).findings]
    assert "llm calls of the week without a cost, left out of the sums: 1" in texts
    assert "scores with a label and no number, left out of the means: 1" in texts
    assert "of 41 scores the 40 most frequent are reviewed" in texts


def test_directions_and_margins_of_scores():
    assert score_kpi("Hallucination_risk", "judge", low=0, high=1, binary=False).better == "down"
    assert score_kpi("helpfulness", "human", low=0, high=1, binary=True).kind == "rate"
    assert score_kpi("stars", "user", low=1, high=5, binary=False).margin == pytest.approx(0.08)
    assert score_kpi("quality", "judge", low=0.2, high=0.9, binary=False).margin == 0.02


def review(value, low, high, p, **more):
    change = Estimate(value, low, high, 100, p=p)
    level = Estimate(0.5, 0.4, 0.6, 50)
    made = dataclasses.replace(score_kpi("good", "judge", low=0, high=1, binary=False), **more)
    return Review(made, level, level, level, change)


def test_verdicts_need_q_and_same_needs_the_margin():
    up, same, wide, none = judge(
        [review(0.1, 0.05, 0.15, 1e-4), review(0.0, -0.01, 0.01, 0.9), review(0.0, -0.1, 0.1, 0.9),
         review(0.1, 0.05, 0.15, 1e-4, better="none")]
    )  # fmt: skip
    assert [r.verdict for r in (up, same, wide, none)] == ["better", "same", "cannot_tell", "cannot_tell"]
    assert wide.reason == "the interval holds 0 and reaches beyond the margin: too few data"
    assert none.reason == "it changed, but neither direction is better by itself"
    assert judge([review(-0.1, -0.15, -0.05, 1e-4)])[0].verdict == "worse"
    assert judge([review(-0.1, -0.15, -0.05, 1e-4, better="down")])[0].verdict == "better"


def test_many_kpis_correct_each_other():
    found = judge([review(0.1, 0.01, 0.19, 0.03), *(review(0.0, -0.1, 0.1, 0.9) for _ in range(9))])[0]
    assert found.verdict == "cannot_tell" and found.q == pytest.approx(0.15)  # .03 / 2 · 10, on the side of worse
    assert found.reason == "the interval leaves out 0, but not after correction for 10 KPIs (q = 0.15)"


def test_a_sure_but_small_change_is_said_to_be_small():
    (small,) = judge([review(0.01, 0.005, 0.015, 1e-4)])
    assert (small.verdict, small.reason) == ("better", "smaller than the margin")


def test_the_sql_is_plain_enough_for_spark(quiet):
    store = Store(*quiet)
    weekly(store)
    assert len(store.asked) > 8
    for query in store.asked:
        assert sqlglot.transpile(query, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)


def test_what_travels_is_small(quiet):
    sizes = []

    class Counting(Store):
        def query(self, sql, params=None):
            table = super().query(sql, params)
            sizes.append(table.num_rows)
            return table

    weekly(Counting(*quiet))
    assert max(sizes) < 300  # five weeks of days and a few ranks of each, never rows


def test_rows_reads_times_without_pytz():
    (row,) = reductions.rows(
        Store([span("t", MONDAY)]), "SELECT min(start_time) AS at, CAST(NULL AS TIMESTAMPTZ) AS none FROM spans"
    )
    assert row == {"at": MONDAY, "none": None}


def test_plain_makes_anything_strict():
    value = {
        1: np.float64("nan"),
        "t": MONDAY,
        "d": MONDAY.date(),
        "a": np.arange(2),
        "x": (np.int64(3), {"k": None}),
        "o": Ellipsis,
    }
    assert plain(value) == {
        "1": None,
        "t": MONDAY.isoformat(),
        "d": "2026-10-05",
        "a": [0, 1],
        "x": [3, {"k": None}],
        "o": "Ellipsis",
    }
    assert plain(pd.DataFrame({"a": [1.5, None], "b": ["x", None]})) == [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]
    assert Result(name="n", headline="h").claims() == []
    assert isinstance(weekly(Store()), WeeklyResult)
