"""Why the cost moved: the parts add up, each factor is told from the others, and the slices that moved apart are found."""

import datetime as dt
import json
from dataclasses import replace

import costkit as ck
import numpy as np
import pandas as pd
import pytest

from llmobs_nb.analyses.cost.change import FACTORS, change
from llmobs_nb.analyses.cost.reprice import KINDS, usage
from llmobs_nb.analyses.cost.slices import inflation
from llmobs_nb.analyses.cost.window import inside, make_plan

MODEL, OTHER = "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"
OWN = {"model": "house-1", "provider": "house", "cost_list_usd": None}


def calls(day, n, *, name="a", **fields):
    """So many requests of one call each on one day, spread over its hours."""
    return [ck.call(f"{name}{day}-{k}", day=day + (k + 0.5) / n, **fields) for k in range(n)]


def listed(**tokens):
    """What a call of gpt-4o costs by the list: 2.50, 1.25 and 10 USD per million tokens in, read from the cache and out."""
    read = tokens.get("tokens_cache_read", 0)
    cost = (tokens["tokens_in"] - read) * 2.5e-6 + read * 1.25e-6 + tokens["tokens_out"] * 10e-6
    return tokens | {"cost_recorded_usd": None, "cost_list_usd": cost, "cost_source": "list"}


def moved(root, before, after, **options):
    """The change between day 0 and day 1 of a store that holds these spans."""
    obs = ck.opened(root, [*before, *after])
    plan = make_plan(obs, since="2026-10-06", until="2026-10-07", **options)
    return change(obs, plan)


def parts_of(found):
    """The parts that are not 0, beyond rounding."""
    return {k: v for k, v in found.parts.items() if abs(v) > 1e-12}


def test_twice_the_traffic_is_volume_and_nothing_else(tmp_path):
    found = moved(tmp_path, calls(0, 5), calls(1, 10))
    assert (found.before_usd, found.after_usd) == pytest.approx((0.05, 0.10))
    assert parts_of(found) == pytest.approx({"volume": 0.05})


def test_the_same_calls_at_another_recorded_price_are_price(tmp_path):
    found = moved(tmp_path, calls(0, 6), calls(1, 6, cost_recorded_usd=0.012))
    assert parts_of(found) == pytest.approx({"price": 0.012})


@pytest.mark.parametrize(
    ("factor", "tokens", "usd"),
    [
        ("tokens_in", {"tokens_in": 3000, "tokens_out": 100}, 4 * 2000 * 2.5e-6),
        ("tokens_out", {"tokens_in": 1000, "tokens_out": 400}, 4 * 300 * 10e-6),
        ("cache", {"tokens_in": 1000, "tokens_out": 100, "tokens_cache_read": 600}, 4 * 600 * -1.25e-6),
    ],
)
def test_tokens_and_cache_are_told_apart_at_list_prices(tmp_path, factor, tokens, usd):
    before = calls(0, 4, **listed(tokens_in=1000, tokens_out=100))
    assert parts_of(moved(tmp_path, before, calls(1, 4, **listed(**tokens)))) == pytest.approx({factor: usd})


def test_one_model_for_another_within_a_feature_is_model(tmp_path):
    found = moved(tmp_path, calls(0, 4), calls(1, 4, model=OTHER, cost_recorded_usd=0.001, tokens_out=300))
    assert parts_of(found) == pytest.approx({"model": -0.036})


def test_a_feature_that_is_new_is_mix(tmp_path):
    before = calls(0, 8)
    after = [*calls(1, 4), *calls(1, 4, name="b", feature="search", cost_recorded_usd=0.03)]
    found = moved(tmp_path, before, after)
    assert parts_of(found) == pytest.approx({"mix": 0.08})
    by = found.features.set_index("feature")
    assert by.loc["search", ["before_usd", "after_usd", "mix"]].tolist() == pytest.approx([0, 0.12, 0.12])
    assert by.loc["chat", ["before_usd", "after_usd", "mix"]].tolist() == pytest.approx([0.08, 0.04, -0.04])


def test_more_calls_for_a_request_are_model(tmp_path):
    before, after = calls(0, 3), calls(1, 3)
    again = [ck.call(s["trace_id"], day=1.9, part="d") for s in after]
    assert parts_of(moved(tmp_path, before, [*after, *again])) == pytest.approx({"model": 0.03})


def test_two_factors_at_once_share_what_they_do_together(tmp_path):
    # 10 calls of 100 tokens out become 20 of 200: volume 10 x the mean call, output 100 tokens x the mean number of calls.
    before = calls(0, 10, **listed(tokens_in=0, tokens_out=100))
    found = moved(tmp_path, before, calls(1, 20, **listed(tokens_in=0, tokens_out=200)))
    assert parts_of(found) == pytest.approx({"volume": 10 * 150 * 10e-6, "tokens_out": 15 * 100 * 10e-6})


def test_cost_without_tokens_or_a_model_moves_volume_and_mix_only(tmp_path):
    def tool(day, usd):
        return ck.step(f"a{day}-0", "tool", day=day, kind="tool", cost_usd=usd, cost_source="recorded", feature="chat")

    found = moved(tmp_path, [*calls(0, 2), tool(0, 0.5)], [*calls(1, 4), tool(1, 2.0)])
    # Of the tool: 0.25 to 0.5 per request at 2 to 4 requests; of the calls: 2 to 4 at a cent.
    assert parts_of(found) == pytest.approx({"volume": 2 * 0.375 + 0.02, "mix": 3 * 0.25})
    assert found.after_usd == pytest.approx(2.04)


def test_judges_are_no_requests_and_no_feature_of_the_product(tmp_path):
    judge = {"purpose": "judging", "cost_recorded_usd": 0.002}
    after = [*calls(1, 5), *calls(1, 5, name="j", **judge)]
    found = moved(tmp_path, calls(0, 5), after)
    assert parts_of(found) == pytest.approx({"mix": 0.01})
    assert set(found.features["feature"]) == {"chat", "judges and other evaluators"}


def test_calls_whose_cost_is_not_known_are_left_out(tmp_path):
    unknown = {"model": "nobody-1", "cost_recorded_usd": None, "cost_list_usd": None, "cost_source": "none"}
    rows = [ck.call("u", day=1.5, **unknown)]
    found = moved(tmp_path, calls(0, 3), [*calls(1, 3), *rows])
    assert found.after_usd == pytest.approx(0.03)
    assert sum(found.parts.values()) == pytest.approx(0)


def test_a_model_without_a_list_price_is_split_by_what_was_recorded_of_it(tmp_path):
    def own(day, out):
        # 1 and 4 USD per million: found from the recorded costs of days that differ.
        made = []
        for k, tokens in enumerate((500, 900, 1400)):
            usd = tokens * 1e-6 + out * 4e-6
            made += [ck.call(f"o{day}{k}", day=day + k, tokens_in=tokens, tokens_out=out, cost_recorded_usd=usd, **OWN)]
        return made

    obs = ck.opened(tmp_path, [*own(0, 100), *own(3, 200)])
    found = change(obs, make_plan(obs, since="2026-10-08", until="2026-10-11"))
    assert parts_of(found) == pytest.approx({"tokens_out": 3 * 100 * 4e-6})


def test_what_no_price_explains_costs_one_price_per_token(tmp_path):
    found = moved(tmp_path, calls(0, 3, **OWN), calls(1, 3, tokens_out=1200, **OWN))
    assert sum(found.parts.values()) == pytest.approx(0, abs=1e-12)
    assert found.parts["tokens_out"] == pytest.approx(-found.parts["price"])


@pytest.mark.parametrize("against", [None, "2026-10-07/2026-10-11"])
def test_the_parts_add_up_overall_and_by_feature(tmp_path, against):
    obs = ck.opened(tmp_path, ck.product())
    plan = make_plan(obs, since="2026-10-19", until="2026-10-31", against=against)
    found = change(obs, plan)
    for window, usd in ((plan.against, found.before_usd), (plan.now, found.after_usd)):
        assert usd == pytest.approx(obs.sql(f"SELECT sum(cost_usd) AS c FROM spans WHERE {inside(window)}")["c"][0], rel=1e-12)
    assert sum(found.parts.values()) == pytest.approx(found.after_usd - found.before_usd, rel=1e-9)
    each = found.features
    assert each[list(FACTORS)].sum(axis=1).to_numpy() == pytest.approx(
        (each["after_usd"] - each["before_usd"]).to_numpy(), rel=1e-9
    )
    assert each["after_usd"].sum() == pytest.approx(found.after_usd, rel=1e-12)
    assert each["feature"].isna().sum() == 1


def test_a_window_before_the_data_gives_volume_and_nothing_before_gives_none(tmp_path):
    obs = ck.opened(tmp_path, calls(1, 4))
    found = change(obs, make_plan(obs, since="2026-10-06", until="2026-10-07", against="2026-10-01/2026-10-02"))
    assert (found.before_usd, parts_of(found)) == (0, pytest.approx({"volume": 0.04}))
    plan = make_plan(obs)
    assert change(obs, replace(plan, against=None)) is None


def test_the_json_is_strict_and_has_the_names_of_the_contract(tmp_path):
    told = moved(tmp_path, calls(0, 5), calls(1, 10)).json()
    assert {"before_usd", "after_usd", *FACTORS} <= set(told)
    json.dumps(told, allow_nan=False)


def test_long_calls_are_summed_apart_at_the_price_of_their_tier(tmp_path):
    gemini = {"provider": "google", "model": "gemini-2.5-pro", "model_requested": "gemini-2.5-pro", "cost_recorded_usd": None}
    rows = [
        ck.call("short", tokens_in=1000, tokens_out=0, cost_list_usd=1000 * 1.25e-6, **gemini),
        ck.call("long", tokens_in=300_000, tokens_out=0, cost_list_usd=300_000 * 2.5e-6, **gemini),
    ]
    obs = ck.opened(tmp_path, rows)
    used = usage(obs, "true", {})
    at = KINDS.index("input")
    assert sorted(used.prices[:, at].tolist()) == pytest.approx([1.25e-6, 2.5e-6])
    assert used.known.all()
    assert used.spend().sum() == pytest.approx(used.cost.sum(), rel=1e-12)


def weeks(seed=0, *, days=28, per_day=40, cost=lambda row, day: 0.01, more=None):
    """Four weeks of calls of three features and four tenants in random turns; the cost as given."""
    rng = np.random.default_rng(seed)
    out = []
    for day in range(days):
        for k in range(per_day):
            row = {
                "feature": f"f{rng.integers(3)}",
                "tenant_id": f"t{rng.integers(4)}",
                "user_tier": ("free", "pro")[rng.integers(2)],
            }
            usd = cost(row, day) * rng.lognormal(0, 0.4)
            out.append(ck.call(f"{day}-{k}", day=day + (k + 0.5) / per_day, cost_recorded_usd=usd, **row))
    return [*out, *(more or [])]


def sliced(root, spans):
    obs = ck.opened(root, spans)
    return change(obs, make_plan(obs, since="2026-10-19", until="2026-11-02")).slices


def test_the_tenant_that_grew_dearer_is_the_slice_that_explains_it(tmp_path):
    found = sliced(tmp_path, weeks(cost=lambda row, day: 0.03 if row["tenant_id"] == "t2" and day >= 14 else 0.01))
    first = found.iloc[0]
    assert first["where"] == {"tenant_id": "t2"}
    assert first["share"] == pytest.approx(1, abs=0.15)
    assert first["effect_low"] < 2 < first["effect_high"]
    assert len(found) == 1


def test_a_slice_of_two_columns_is_named_with_both(tmp_path):
    def cost(row, day):
        return 0.05 if row["tenant_id"] == "t2" and row["feature"] == "f1" and day >= 14 else 0.01

    assert sliced(tmp_path, weeks(cost=cost)).iloc[0]["where"] == {"feature": "f1", "tenant_id": "t2"}


def test_a_tenant_that_sends_more_is_found_though_no_call_is_dearer(tmp_path):
    extra = [
        ck.call(f"x{d}-{k}", day=d + 0.5, feature="f0", tenant_id="t1", user_tier="pro") for d in range(14, 28) for k in range(40)
    ]
    first = sliced(tmp_path, weeks(more=extra)).iloc[0]
    assert first["where"]["tenant_id"] == "t1"
    assert first["change_usd"] > 4


def test_a_tenant_that_is_new_is_found(tmp_path):
    extra = [
        ck.call(f"x{d}-{k}", day=d + 0.5, feature=f"f{k % 3}", tenant_id="new", user_tier=("free", "pro")[k % 2])
        for d in range(14, 28)
        for k in range(30)
    ]
    first = sliced(tmp_path, weeks(more=extra)).iloc[0]
    assert (first["where"], first["before_usd"]) == ({"tenant_id": "new"}, 0)
    assert first["effect"] is None or np.isnan(first["effect"])


def test_two_slices_are_both_found_the_larger_first(tmp_path):
    def cost(row, day):
        late = day >= 14
        return 0.06 if row["feature"] == "f2" and late else 0.03 if row["tenant_id"] == "t0" and late else 0.01

    found = sliced(tmp_path, weeks(cost=cost, per_day=80))
    assert found["where"].tolist()[:2] == [{"feature": "f2"}, {"tenant_id": "t0"}]


def test_where_nothing_moved_apart_there_is_no_slice(tmp_path):
    quiet = [len(sliced(tmp_path / str(seed), weeks(seed, per_day=20))) for seed in range(3)]
    assert sum(quiet) <= 1
    grown = weeks(3, per_day=20, cost=lambda row, day: 0.02 if day >= 14 else 0.01)
    assert len(sliced(tmp_path / "grown", grown)) == 0


@pytest.mark.parametrize(("goes_on", "low", "high"), [(0.0, 1.0, 1.3), (0.6, 2.5, 5.5)])
def test_days_that_go_together_widen_the_intervals(goes_on, low, high):
    rng, noise = np.random.default_rng(7), np.zeros((60, 56))
    for day in range(1, 56):
        noise[:, day] = goes_on * noise[:, day - 1] + rng.normal(0, 0.2, 60)
    costs = np.exp(noise)
    # (1 + r) / (1 - r) is 4 at an autocorrelation of 0.6.
    assert low <= inflation(list(costs), costs.sum(axis=0), np.arange(56) >= 28) < high


def test_hours_serve_where_days_are_too_few(tmp_path):
    rows = [*calls(0, 96, tenant_id="t0"), *calls(0, 96, name="b", tenant_id="t1")]
    rows += [*calls(1, 96, tenant_id="t0"), *calls(1, 96, name="b", tenant_id="t1", cost_recorded_usd=0.05)]
    found = moved(tmp_path, rows, [])
    assert found.slices.iloc[0]["where"] in ({"tenant_id": "t1"}, {"tenant_id": "t0"})


def test_what_goes_with_it_is_told_by_hand_worked_measures(tmp_path):
    def timed(day, turn, tokens, out, ms):
        begun = ck.moment(day + turn / 100)
        more = {"start_time": begun, "end_time": begun + dt.timedelta(milliseconds=ms), "latency_ms": float(ms)}
        return ck.call(f"{day}-{turn}", turn=turn, tokens_in=tokens, tokens_out=out, tokens_cache_read=tokens // 2, **more)

    before = [timed(0, turn, 1000 + 200 * turn, 100, 1000) for turn in (1, 2, 3)]
    after = [timed(1, turn, 1000 + 500 * turn, 300, 1500) for turn in (1, 2, 3)]
    found = moved(tmp_path, before, after).beside.set_index("name")
    assert found.loc["input tokens added per turn", ["before", "after"]].tolist() == pytest.approx([200, 500])
    assert found.loc["output tokens per call", ["before", "after"]].tolist() == pytest.approx([100, 300])
    assert found.loc["latency per output token", ["before", "after"]].tolist() == pytest.approx([10, 5])
    assert found.loc["share of the context window filled", ["before", "after"]].tolist() == pytest.approx(
        [1400 / 128_000, 2000 / 128_000]
    )
    assert found.loc["share of input read from the cache", ["before", "after"]].tolist() == pytest.approx([0.5, 0.5])
    assert found.loc["model calls per request", ["before", "after"]].tolist() == [1, 1]


def test_measures_that_are_not_logged_are_not_told(tmp_path):
    found = moved(tmp_path, calls(0, 2), calls(1, 2)).beside
    assert isinstance(found, pd.DataFrame)
    assert "turn of a call in its conversation" not in set(found["name"])


def test_hostile_values_stay_values(tmp_path):
    extra = [
        ck.call(f"x{d}-{k}", day=d + 0.5, feature="f0", tenant_id=ck.HOSTILE, user_tier="pro")
        for d in range(14, 28)
        for k in range(40)
    ]
    assert sliced(tmp_path, weeks(more=extra)).iloc[0]["where"]["tenant_id"] == ck.HOSTILE
