"""Cost attribution: partitions add up, unit costs have intervals, spenders, waste, claims and the provider's bill."""

import costkit
import numpy as np
import pytest
from costkit import HOSTILE, call, event, opened, step

from llmobs_nb.analyses.cost.attribution import attribute, per_unit, spread
from llmobs_nb.analyses.cost.claims import claims
from llmobs_nb.analyses.cost.reconcile import reconcile
from llmobs_nb.analyses.cost.result import CostResult
from llmobs_nb.analyses.cost.waste import waste
from llmobs_nb.analyses.cost.window import make_plan
from llmobs_nb.errors import InputError, UsageError
from llmobs_nb.stats.intervals import ratio


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    return opened(str(tmp_path_factory.mktemp("cost") / "store"), costkit.product())


@pytest.fixture(scope="module")
def plan(obs):
    return make_plan(obs)


@pytest.fixture(scope="module")
def rows():
    return costkit.product()


def total(rows) -> float:
    return sum(r["cost_usd"] for r in rows)


# --- partitions


SPLITS = [
    (), ("feature",), ("feature", "model"), ("tenant_id", "user_id", "status"), ("tags",), ("plan",), ("plan", "feature", "environment"),
]  # fmt: skip


@pytest.mark.parametrize("keys", SPLITS, ids=" ".join)
def test_a_partition_adds_up_to_the_total(obs, plan, rows, keys):
    found = attribute(obs, plan, keys)
    assert found["cost_usd"].sum() == pytest.approx(total(rows), rel=1e-9)
    assert found["share"].sum() == pytest.approx(1, rel=1e-9)
    assert not found.duplicated(list(keys)).any() if keys else len(found) == 1


def test_each_row_is_the_sum_of_its_spans_and_null_is_one_of_them(obs, plan, rows):
    expected: dict = {}
    for r in rows:
        sums = expected.setdefault((r["feature"], r["tenant_id"]), [0.0, set()])
        sums[0] += r["cost_usd"]
        sums[1].add(r["trace_id"])
    found = attribute(obs, plan, ["feature", "tenant_id"])
    told = {tuple(None if v != v else v for v in (r.feature, r.tenant_id)): (r.cost_usd, r.requests) for r in found.itertuples()}
    assert told.keys() == expected.keys()
    assert all(told[k] == (pytest.approx(cost, rel=1e-12), len(traces)) for k, (cost, traces) in expected.items())
    assert list(found["cost_usd"]) == sorted(found["cost_usd"], reverse=True)


def test_tags_split_by_their_combination_whatever_their_order(obs, plan):
    found = attribute(obs, plan, ["tags"])
    assert {None if v != v else v for v in found["tags"]} == {"a, b", "a", None}


def test_a_metadata_key_of_the_root_counts_for_the_calls_below(root):
    spans = [
        step("t1", "r", metadata={"team": "red"}), call("t1", parent_id="t1/r"),
        call("t2", metadata={"team": "blue"}), call("t3"),
    ]  # fmt: skip
    obs = opened(root, spans)
    found = attribute(obs, make_plan(obs), "team")
    assert {None if v != v else v: c for v, c in zip(found["team"], found["cost_usd"], strict=True)} == {
        "red": 0.01,
        "blue": 0.01,
        None: 0.01,
    }


def test_cost_per_request_is_the_ratio_over_sessions_with_its_interval(obs, plan, rows):
    found = attribute(obs, plan, ["model"]).set_index("model")
    own = [r for r in rows if r["model"].startswith("gpt-4o-mini")]
    traces = {r["trace_id"]: (r["session_id"], sum(o["cost_usd"] for o in own if o["trace_id"] == r["trace_id"])) for r in own}
    expected = ratio([c for _, c in traces.values()], np.ones(len(traces)), clusters=[s for s, _ in traces.values()])
    one = found["cost_per_request"]["gpt-4o-mini-2024-07-18"]
    assert (one.value, one.ci_low, one.ci_high, one.n) == pytest.approx(
        (expected.value, expected.ci_low, expected.ci_high, expected.n)
    )


def test_a_row_without_a_known_cost_is_null_and_counted(root):
    unknown = {"model": "my-own", "cost_recorded_usd": None, "cost_list_usd": None}
    obs = opened(root, [call("a"), call("b", **unknown), call("c", **unknown)])
    row = attribute(obs, make_plan(obs), ["model"]).set_index("model").loc["my-own"]
    assert np.isnan(row["cost_usd"]) and row["requests"] == 2
    assert row["cost_per_request"].reason == "no values"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["team"], r"by: 'team' is neither a column nor a metadata key; choose from: .*plan"),
        ([HOSTILE], r"by: .*DROP TABLE spans --.* is neither a column nor a metadata key"),
        (["feature", "feature"], r"by=feature, feature: a key is named twice; name each once"),
    ],
)
def test_keys_that_are_none_are_told(obs, plan, keys, message):
    with pytest.raises(UsageError, match=message) as caught:
        attribute(obs, plan, keys)
    assert "\x1b" not in str(caught.value)


def test_too_fine_a_partition_is_refused(obs, plan, monkeypatch):
    monkeypatch.setattr("llmobs_nb.analyses.cost.attribution.MOST_ROWS", 10)
    with pytest.raises(
        UsageError, match=r"by=session_id makes more than 10 rows; choose coarser keys, or some of the traffic by where="
    ):
        attribute(obs, plan, ["session_id"])


# --- spenders and pairs


def test_spenders_have_their_exact_shares_and_splits_of_one_value_are_left_out(obs, plan, rows):
    found = spread(obs, plan).spenders
    assert set(found["key"]) == {"feature", "model", "tenant_id", "user_id"}
    for key, part in found.groupby("key"):
        sums = {v: sum(r["cost_usd"] for r in rows if r[key] == v) for v in {r[key] for r in rows}}
        assert {None if v != v else v: c for v, c in zip(part["value"], part["cost_usd"], strict=True)} == pytest.approx(sums)
        assert part["share"].sum() == pytest.approx(1)
        assert part["cost_usd"].is_monotonic_decreasing


def test_only_the_ten_largest_spenders_are_shown(root):
    obs = opened(root, [call(f"t{n}", user_id=f"u{n:02d}", cost_recorded_usd=float(n)) for n in range(1, 31)])
    found = spread(obs, make_plan(obs))
    assert list(found.spenders["value"]) == [f"u{n}" for n in range(30, 20, -1)]
    (row,) = found.concentration.to_dict("records")
    assert (row["key"], row["values"], row["top_1_share"], row["top_10_share"]) == ("user_id", 30, 30 / 465, 255 / 465)
    assert row["for_80_percent"] == 17  # 30 + … + 14 = 374 ≥ 372 = 0.8 · 465; one fewer makes 360


def test_pairs_cross_two_splits_and_add_up(obs, plan, rows):
    found = spread(obs, plan).pairs
    assert list(dict.fromkeys(zip(found["key"], found["other_key"], strict=True))) == [
        ("feature", "model"),
        ("tenant_id", "feature"),
    ]
    for _, part in found.groupby("key"):
        assert part["cost_usd"].sum() == pytest.approx(total(rows), rel=1e-9)


# --- what a unit costs


def test_unit_costs_are_means_over_the_product_alone(root):
    spans = [
        call("a", session_id="s1", user_id="u1", cost_recorded_usd=1.0), call("b", session_id="s1", user_id="u1", cost_recorded_usd=3.0),
        call("c", session_id="s2", user_id="u2", cost_recorded_usd=2.0), call("d", cost_recorded_usd=4.0),
        call("e", cost_recorded_usd=None, cost_list_usd=None), call("j", cost_recorded_usd=100.0, purpose="judging"),
    ]  # fmt: skip
    obs = opened(root, spans)
    found = per_unit(obs, make_plan(obs))
    assert {k: (e.value, e.n) for k, e in found.items()} == {
        "request": (2.5, 4), "session": (3.0, 2), "user": (3.0, 2), "good_answer": (None, 0),
    }  # fmt: skip
    assert found["good_answer"].reason == "no judge of quality tells which answers are good"
    assert found["session"].ci_low < 3.0 < found["session"].ci_high


def scored(prob=None):
    """Two strata: every second trace is bad; a designed sample draws the bad ones five times as often."""
    spans, scores = [], []
    for n in range(400):
        bad = n % 2 == 0
        spans.append(call(f"t{n}", day=n / 100, cost_recorded_usd=0.01 + 0.0001 * (n % 7)))
        if prob is None or n % (2 if bad else 10) < 2:
            more = {"inclusion_prob": prob[bad]} if prob else {}
            scores.append(event(f"t{n}", "helpfulness", day=n / 100, value=0.2 if bad else 0.9, rater="judge", **more))
    return spans, scores


def test_cost_per_good_answer_is_cost_over_requests_times_the_good_rate(root):
    obs = opened(root, *scored())
    found = per_unit(obs, make_plan(obs))
    one = found["good_answer"]
    assert one.value == pytest.approx(found["request"].value / 0.5, rel=1e-9)
    assert one.ci_low < one.value < one.ci_high
    stricter = per_unit(obs, make_plan(obs), good=("helpfulness", 0.95))
    assert stricter["good_answer"].value is None
    named = per_unit(obs, make_plan(obs), good=("no such", 0.5))
    assert named["good_answer"].reason == "no score 'no such' of a trace tells which answers are good"


def test_the_good_rate_is_weighted_by_how_answers_were_drawn(root):
    """All bad and one in five good answers were judged: unweighted a sixth would be good, by design half of them are."""
    spans, scores = scored(prob={True: 1.0, False: 0.2})
    obs = opened(root, spans, scores)
    found = per_unit(obs, make_plan(obs))
    assert len(scores) == 240
    assert found["good_answer"].value == pytest.approx(found["request"].value / 0.5, rel=1e-9)
    assert found["good_answer"].n == 240


# --- waste


def wasted(root, spans, scores=()):
    obs = opened(root, spans, scores)
    return waste(obs, make_plan(obs)).set_index("line")


def test_tax_and_failures_are_lines_that_may_overlap(root):
    spans = [
        call("a", cost_recorded_usd=1.0), call("b", purpose="judging", cost_recorded_usd=0.5), call("c", kind="embedding", cost_recorded_usd=0.25),
        call("d", status="error", attempt=2, cost_recorded_usd=0.125), call("e", status="error", cost_recorded_usd=None, cost_list_usd=None),
    ]  # fmt: skip
    found = wasted(root, spans)
    assert found["cost_usd"].to_dict() == {"judging": 0.5, "embedding": 0.25, "retry": 0.125, "failed": 0.125}
    assert found["requests"].to_dict() == {"judging": 1, "embedding": 1, "retry": 1, "failed": 2}
    assert found["share"]["judging"] == pytest.approx(0.5 / 1.875)
    assert found["traces"]["failed"] == ["d", "e"]


def test_tries_that_are_not_numbered_are_told_by_their_request(root):
    spans = [
        call("a", request_id="r1", input_hash="x", status="error"), call("a", part="d", request_id="r1", input_hash="x", day=0.001),
        call("b", request_id="r2", input_hash="x"), call("b", part="d", request_id="r2", input_hash="y", day=0.001),
    ]  # fmt: skip
    found = wasted(root, spans)
    assert (found["cost_usd"]["retry"], found["traces"]["retry"]) == (0.01, ["a"])


def test_a_loop_costs_the_steps_that_led_back_to_the_same_call(root):
    """Ask, search, ask, search again, ask: the second model call led to the repetition; the tool call itself cost something too."""

    def look(trace, part, at, hash):
        return call(trace, part=part, day=at, kind="tool", tool_name="search", input_hash=hash, cost_recorded_usd=0.001)

    spans = [
        call("a", cost_recorded_usd=1.0), look("a", "t1", 0.001, "x"), call("a", part="m2", day=0.002, cost_recorded_usd=0.5),
        look("a", "t2", 0.003, "x"), call("a", part="m3", day=0.004, cost_recorded_usd=0.25),
        call("b"), look("b", "t1", 0.001, "x"), call("b", part="m2", day=0.002), look("b", "t2", 0.003, "y"),
    ]  # fmt: skip
    found = wasted(root, spans)
    assert found["cost_usd"]["loop"] == pytest.approx(0.501)
    assert (found["requests"]["loop"], found["traces"]["loop"]) == (1, ["a"])


def test_answers_that_users_threw_away_cost_their_whole_trace(root):
    spans = [call(t, cost_recorded_usd=c) for t, c in (("a", 1.0), ("b", 0.5), ("c", 0.25), ("d", 0.125))]
    scores = [
        event("a", "Regenerated"),
        event("b", "abandoned", value=None),
        event("c", "regenerated", value=0.0),
        event("d", "thumbs"),
    ]
    assert wasted(root, spans, scores)["cost_usd"].to_dict() == {"regenerated": 1.0, "abandoned": 0.5}


def test_the_same_question_is_waste_from_the_second_time_on(root):
    same = {"input_hash": "q", "system_prompt_hash": "p"}
    spans = [
        call("a", **same, cost_recorded_usd=1.0), call("b", **same, day=1, cost_recorded_usd=0.5),
        call("c", **same | {"model": "other"}, day=2), call("d", **same | {"system_prompt_hash": "p2"}, day=3),
        call("e", **same | {"tokens_in": 1500}, day=4), call("f", **same, day=5, attempt=2), call("g", **same, day=6, status="error"),
        call("h", input_hash="q2"),
    ]  # fmt: skip
    found = wasted(root, spans)
    assert (found["cost_usd"]["repeated"], found["traces"]["repeated"]) == (0.5, ["b"])


def test_clean_traffic_has_no_waste(root):
    assert len(wasted(root, [call("a"), call("b", day=1)])) == 0


# --- claims


def test_every_number_of_the_tables_is_a_claim_with_an_id_of_its_own(obs, plan):
    from fixtures_cost import cost

    result = cost(by=attribute(obs, plan, ["feature", "model"]), per=per_unit(obs, plan), keys=("feature", "model"))
    made = {c["id"]: c for c in claims(result)}
    assert len(made) == len(claims(result))
    assert made["total_usd"]["value"] == result.total_usd
    assert [made[f"by.{i}.cost_usd"]["value"] for i in range(len(result.by))] == list(result.by["cost_usd"])
    assert sum(made[f"change.{p}"]["value"] for p in result.change.parts) == pytest.approx(
        result.change.after_usd - result.change.before_usd
    )
    assert (made["forecast.80"]["ci_low"], made["forecast.95"]["ci_high"]) == (result.forecast.low80, result.forecast.high95)
    assert {i.split(".")[0] for i in made} >= {"line", "by", "per", "change", "waste", "forecast", "anomaly"}
    assert all("\x1b" not in c["text"] and "\u202e" not in c["text"] for c in made.values())
    assert claims(CostResult(name="cost", headline="")) == []


# --- the provider's bill


ANTHROPIC = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n"
OPENAI = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item\n"


@pytest.fixture
def billed(root):
    """Five dollars of gpt-4o a day for four days, one of claude, one judged; the last day has a call without a price."""
    big = [call(f"g{d}", day=d + 0.5, cost_recorded_usd=5.0) for d in range(4)]
    judge = call("j", day=1.5, model="gpt-4o-mini-2024-07-18", purpose="judging", cost_recorded_usd=1.0)
    claude = call("c", day=0.5, provider="anthropic", model="claude-haiku-4-5-20251001", cost_recorded_usd=2.0)
    return opened(root, [*big, judge, claude, call("x", day=3.6, cost_recorded_usd=None, cost_list_usd=None)])


def compared(obs, tmp_path, text, **options):
    path = tmp_path / "costs.csv"
    path.write_text(text, encoding="utf-8")
    return reconcile(obs, path, **options)


def test_a_plain_export_that_agrees_has_no_gap(billed, tmp_path):
    text = "day,model,cost_usd\n" + "".join(f"2026-10-0{5 + d},gpt-4o,5.004\n" for d in range(3))
    found = compared(billed, tmp_path, text, provider="openai")
    assert list(found.rows["state"]) == ["only_here", "matched", "matched", "matched"]
    assert dict(zip(found.lines["line"], found.lines["gap_usd"], strict=True)) == pytest.approx(
        {"judging": -1.0, "rounding": 0.012}
    )
    assert found.gap_usd == pytest.approx(found.lines["gap_usd"].sum(), abs=1e-12)


def test_the_gap_is_explained_line_by_line(billed, tmp_path):
    """Unpriced calls, a model that the store lacks, one at another price, and the judge that runs on another account."""
    text = OPENAI + "".join(
        f"{1791158400 + 86400 * d},0,2026-10-0{5 + d}T00:00:00+00:00,,{usd},usd,\"{item}\"\n"
        for d, usd, item in (
            (0, 3.0, "gpt-4o-2024-08-06, input"), (0, 1.0, "gpt-4o-2024-08-06, output"), (1, 5.0, "gpt-4o, input"), (2, 5.0, "gpt-4o, input"),
            (3, 7.5, "gpt-4o, input"), (2, 0.4, "Web search tool calls"),
        )
    )  # fmt: skip
    found = compared(billed, tmp_path, text, provider="openai")
    lines = dict(zip(found.lines["line"], found.lines["gap_usd"], strict=True))
    assert lines == pytest.approx({"price": -1.0, "unpriced": 2.5, "judging": -1.0, "not_here": 0.4, "rounding": 0.0}, abs=1e-9)
    assert found.gap_usd == pytest.approx(0.9)
    assert "$21.00 here, $21.90 in the export" in found.headline
    assert found.json()["lines"][0]["line"] == "unpriced"


def test_charges_booked_on_the_next_day_are_no_gap_of_price(billed, tmp_path):
    text = ANTHROPIC + "".join(
        f"2026-10-06,Claude Haiku 4.5,Default,k,message,≤ 200k,{kind},{usd},{usd},token\n"
        for kind, usd in (("output", 1.5), ("input_no_cache", 0.5))
    )
    found = compared(billed, tmp_path, text, provider="anthropic", since="2026-10-05", until="2026-10-07")
    assert list(found.rows["state"]) == ["only_here", "only_there"]
    assert list(found.lines["line"]) == ["days"]
    assert found.gap_usd == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"costs.csv has no column for day .*model .*cost .*its columns are: a, b; give a cost export"),
        ("day,model,cost_usd\n", r"costs.csv holds no charge; export the days that the store has"),
        ("day,model,cost_usd\nmonday,m,1\n", r"line 2: day='monday' is not a day; write it like 2026-11-02"),
        ("day,model,cost_usd\n2026-10-05,m,lots\n", r"line 2: cost_usd='lots' is not a number; write it like 1.25"),
        ("day,model,cost_usd\n2026-10-05,m,nan\n", r"line 2: cost_usd='nan' is not a number"),
        ("day,model,amount,currency\n2026-10-05,m,1,EUR\n", r"line 2: 'eur' is not USD; convert the costs first"),
    ],
)
def test_an_export_that_cannot_be_read_is_told(billed, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        compared(billed, tmp_path, text)


def test_a_missing_export_is_told(billed, tmp_path):
    with pytest.raises(InputError, match=r"none.csv cannot be read as CSV .*give the cost export of the provider"):
        reconcile(billed, tmp_path / "none.csv")


def test_the_cost_of_one_request_is_not_below_nothing(tmp_path):
    rows = [call(f"t{i}", cost_recorded_usd=c) for i, c in enumerate((0.0001, 0.0001, 0.02))]
    obs = opened(str(tmp_path / "s"), rows)
    one = per_unit(obs, make_plan(obs))["request"]
    assert one.ci_low == 0.0 < one.value < one.ci_high
