"""What history would have cost otherwise, and what an experiment costs: hand-worked savings, intervals that cover, honest words."""

import datetime as dt
import json

import costkit as ck
import numpy as np
import pytest
import storekit

from llmobs_nb.analyses.cost.experiments import experiment_cost
from llmobs_nb.analyses.cost.whatif import what_if
from llmobs_nb.errors import UsageError

HASH = "0" * 32


def asked(trace, *, day=0.0, read=0, fresh=1000, out=100, **fields):
    """A call of gpt-4o at list price: 2.50, 1.25 and 10 USD per million tokens in, read from the cache and out."""
    usd = fresh * 2.5e-6 + read * 1.25e-6 + out * 10e-6
    given = {"tokens_in": fresh + read, "tokens_cache_read": read, "tokens_out": out, "cost_recorded_usd": None}
    return ck.call(trace, day=day, **(given | {"cost_list_usd": usd, "cost_source": "list"} | fields))


def saved(result, name):
    """What one measure saves, in USD."""
    return float(result.measures.set_index("name").loc[name, "saving_usd"])


def test_nothing_asked_changes_nothing(tmp_path):
    obs = ck.opened(tmp_path, ck.product())
    found = what_if(obs)
    assert found.usd == pytest.approx(found.base_usd, rel=1e-12)
    assert found.base_usd == pytest.approx(obs.sql("SELECT sum(cost_usd) AS c FROM spans")["c"][0], rel=1e-12)
    assert "nothing was asked to be different" in found.headline


def test_another_model_is_priced_at_its_list_price_call_by_call(tmp_path):
    obs = ck.opened(tmp_path, [asked("a", out=100), asked("b", fresh=5000, out=700)])
    found = what_if(obs, model={"gpt-4o-2024*": "gpt-4o-mini"})
    assert found.usd == pytest.approx(6000 * 0.15e-6 + 800 * 0.6e-6)
    assert saved(found, "model") == pytest.approx(found.base_usd - found.usd)
    assert "as many tokens" in found.measures.loc[0, "assumed"]


def test_the_model_may_be_named_as_it_was_asked_for_and_belong_to_another_provider(tmp_path):
    obs = ck.opened(tmp_path, [asked("a", out=100)])
    one = what_if(obs, model={"gpt-4o": "anthropic/claude-haiku-4-5"})
    assert one.usd == pytest.approx(1000 * 1e-6 + 100 * 5e-6)
    assert what_if(obs, model={"gpt-4o": "claude-haiku-4-5"}).usd == pytest.approx(one.usd)


def test_own_prices_hold_as_they_stand_and_a_day_keeps_the_discount_that_was_paid(tmp_path):
    half = {"cost_recorded_usd": (1000 * 2.5e-6 + 100 * 10e-6) / 2, "cost_source": "recorded"}
    obs = ck.opened(tmp_path, [asked("a", **half)])
    own = [{"model_pattern": "gpt-4o*", "input_usd_per_mtok": 4, "output_usd_per_mtok": 20}]
    assert what_if(obs, prices=own).usd == pytest.approx(1000 * 4e-6 + 100 * 20e-6)
    assert what_if(obs, prices="2026-10-01").usd == pytest.approx(half["cost_recorded_usd"])


def test_a_day_before_a_price_cut_is_dearer(tmp_path):
    # o3 went from 10 and 40 to 2 and 8 USD per million on 10 June 2025.
    row = ck.call(
        "a", provider="openai", model="o3", model_requested="o3", cost_recorded_usd=None, cost_list_usd=1000 * 2e-6 + 100 * 8e-6
    )
    assert what_if(ck.opened(tmp_path, [row]), prices=dt.date(2025, 6, 1)).usd == pytest.approx(1000 * 10e-6 + 100 * 40e-6)


def test_a_share_of_the_input_from_the_cache(tmp_path):
    found = what_if(ck.opened(tmp_path, [asked("a", fresh=1000)]), cache=0.6)
    assert saved(found, "cache") == pytest.approx(600 * 1.25e-6)


def prompted(n, *, gap, prompt="p" * 9000, chars=1000, hash_=HASH, first=0.0):
    """Calls with one system prompt of nine tenths of their characters, so many seconds apart, and the texts."""
    spans, texts = [], []
    for k in range(n):
        day = first + k * gap / 86_400
        spans.append(
            asked(f"{hash_[0]}{k}", day=day, fresh=5000, system_prompt_hash=hash_, input_chars=chars, input_hash=f"i{k}")
        )
        same = {c: spans[-1][c] for c in ("source", "project", "trace_id", "span_id", "updated_at", "day")}
        texts.append(same | {"system_prompt": prompt, "input": "x" * chars})
    return spans, texts


def stored(root, spans, texts):
    storekit.put(root, spans=spans, payloads=texts)
    return ck.lm.open(str(root), threads=1)


def test_a_system_prompt_that_repeats_within_minutes_is_read_from_the_cache(tmp_path):
    obs = stored(tmp_path, *prompted(4, gap=60))
    # 4,500 of 5,000 tokens are the prompt; the first call is cold.
    assert saved(what_if(obs, cache=True), "cache") == pytest.approx(3 * 4500 * 1.25e-6)


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        (prompted(4, gap=3600), "an hour apart"),
        (prompted(4, gap=60, prompt="p" * 200), "fewer tokens than providers cache"),
        (prompted(1, gap=60), "seen once"),
    ],
)
def test_caching_saves_nothing_where_prompts_are_rare_or_short(tmp_path, spans, why):
    assert saved(what_if(stored(tmp_path, *spans), cache=True), "cache") == 0, why


def test_shorter_prompts_save_their_share_of_the_tokens(tmp_path):
    found = what_if(stored(tmp_path, *prompted(3, gap=60)), prompt=0.8)
    assert saved(found, "prompt") == pytest.approx(3 * 0.2 * 4500 * 2.5e-6)


def test_identical_requests_are_answered_once(tmp_path):
    same = {"input_hash": "h", "system_prompt_hash": HASH}
    rows = [asked(f"a{k}", day=k / 10, **same) for k in range(3)]
    rows += [asked("b", day=0.5, **(same | {"system_prompt_hash": "1" * 32})), asked("c", day=0.6)]
    found = what_if(ck.opened(tmp_path, rows), deduplicate=True)
    assert saved(found, "deduplicate") == pytest.approx(2 * (1000 * 2.5e-6 + 100 * 10e-6))


def test_fewer_judgements_save_their_part_of_the_judging_only(tmp_path):
    rows = [asked("a"), asked("j", purpose="judging", out=500)]
    found = what_if(ck.opened(tmp_path, rows), judge_sample=0.5)
    assert saved(found, "judge_sample") == pytest.approx((1000 * 2.5e-6 + 500 * 10e-6) / 2)


def test_measures_together_are_not_their_sum(tmp_path):
    found = what_if(ck.opened(tmp_path, [asked("a"), asked("b")]), volume=2.0, cache=0.5, price=0.5)
    calls = 4 * (500 * 2.5e-6 + 500 * 1.25e-6 + 100 * 10e-6) / 2
    assert found.usd == pytest.approx(calls)
    assert found.saving_usd == pytest.approx(found.base_usd - calls)
    assert found.measures["name"].tolist() == ["volume", "cache", "price"]


def test_spans_without_tokens_grow_with_the_traffic_and_have_no_prompt(tmp_path):
    tool = ck.step("a", "tool", kind="tool", cost_usd=0.5, cost_source="recorded")
    found = what_if(ck.opened(tmp_path, [asked("a"), tool]), volume=2.0, cache=0.5)
    assert saved(found, "volume") == pytest.approx(-(0.5 + 0.0035))
    assert saved(found, "cache") == pytest.approx(500 * 1.25e-6)


def test_the_parameters_give_the_result_again_and_the_json_is_strict(tmp_path):
    obs = ck.opened(tmp_path, [asked("a"), asked("b", day=2)])
    found = what_if(
        obs, since="2026-10-05", until="2026-10-06", model={"gpt-4o": "gpt-4o-mini"}, prices=dt.date(2026, 10, 1), volume=1.5
    )
    again = what_if(obs, **json.loads(json.dumps(found.parameters)))
    assert (again.usd, again.measures.to_dict()) == (found.usd, found.measures.to_dict())
    json.dumps(found.json(), allow_nan=False)
    assert {c["id"] for c in found.claims()} >= {"what_if:base_usd", "what_if:usd", "what_if:saving_usd:model"}


def test_the_quality_of_the_cheaper_model_is_shown_where_it_was_tried(tmp_path):
    rng, rows, scores = np.random.default_rng(0), [], []
    for k in range(60):
        mini = k % 3 == 0
        more = {"model": "gpt-4o-mini-2024-07-18", "model_requested": "gpt-4o-mini"} if mini else {}
        feature = "chat" if k < 50 else "search"
        rows.append(asked(f"t{k}", day=k / 60, feature=feature, **(more if feature == "chat" else {})))
        scores.append(
            storekit.score(
                f"s{k}",
                trace_id=f"t{k}",
                name="helpfulness",
                rater="judge",
                value=float((0.6 if mini else 0.8) + rng.normal(0, 0.05)),
            )
        )
    found = what_if(ck.opened(tmp_path, rows, scores), model={"gpt-4o": "gpt-4o-mini"}).quality
    assert found[["feature", "role", "n"]].values.tolist() == [["chat", "current", 33], ["chat", "new", 17]]
    assert found["value"].tolist() == pytest.approx([0.8, 0.6], abs=0.03)
    assert (found["ci_low"] < found["value"]).all()
    assert (found["ci_high"] > found["value"]).all()


def test_a_model_that_was_tried_nowhere_has_no_quality(tmp_path):
    score = storekit.score("s", trace_id="a", name="helpfulness", rater="judge", value=0.5)
    assert len(what_if(ck.opened(tmp_path, [asked("a")], [score]), model={"gpt-4o": "gpt-4o-mini"}).quality) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"volume": -1}, r"volume=-1 is not a number from 0 or more; give 0\.8"),
        ({"judge_sample": 1.5}, r"judge_sample=1\.5 is not a number from 0 to 1"),
        ({"prompt": "half"}, "prompt='half' is not a number from 0 to 1"),
        ({"model": {"claude-9": "gpt-4o-mini"}}, "model='claude-9' was not called; choose from: gpt-4o-2024-08-06"),
        ({"model": {"gpt-4o": "nobody-1"}}, "no list price is known for any of nobody-1; write provider/model"),
        (
            {"prices": [{"model_pattern": "x*", "input_usd_per_mtok": 1}]},
            "prices: no row names a model that was called; the models are gpt-4o-2024-08-06",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_cure(tmp_path, given, message):
    with pytest.raises(UsageError, match=message):
        what_if(ck.opened(tmp_path, [asked("a")]), **given)


def test_an_empty_store_says_so(tmp_path):
    score = storekit.score("s", trace_id="a", value=0.5)
    found = what_if(ck.opened(tmp_path, [], [score]), volume=2.0)
    assert found.headline.startswith("The store holds no dated spans")


def experiment(seed=0, *, users=60, lift=0.002, noise=0.3, before=True, both=False, judged=True):
    """Users of two arms over four days, each with a level of spending of its own, and four days before in which they had none."""
    rng, rows, scores = np.random.default_rng(seed), [], []
    for u in range(users):
        level, arm = rng.lognormal(0, 0.8) * 0.01, ("old", "new")[int(rng.integers(2))]
        for day in range(0 if before else 4, 8):
            for k in range(2):
                trace = f"u{u}-{day}-{k}"
                shown = {"experiment": "new" if both and u == 0 and k else arm} if day >= 4 else None
                usd = level * rng.lognormal(0, noise) + (lift if day >= 4 and arm == "new" else 0)
                at = day + (u + 0.5 + k / 3) / (users + 1)
                rows.append(
                    ck.call(trace, day=at, user_id=f"u{u}", session_id=f"s{u}-{day}", metadata=shown, cost_recorded_usd=usd)
                )
                if judged and day >= 4:
                    value = float((0.6 if arm == "new" else 0.7) + rng.normal(0, 0.1))
                    scores.append(storekit.score(trace, trace_id=trace, name="helpfulness", rater="judge", value=value))
    return rows, scores


def compared(root, *data, **options):
    return experiment_cost(ck.opened(root, *data), treatment="new", control="old", **options)


def test_the_treatment_costs_what_it_costs_and_the_past_narrows_the_interval(tmp_path):
    found = compared(tmp_path, *experiment())
    assert found.unit == "user_id"
    assert found.difference.ci_low < 0.002 < found.difference.ci_high
    assert found.difference.ci_high - found.difference.ci_low < 0.5 * (
        found.plain_difference.ci_high - found.plain_difference.ci_low
    )
    assert found.reduction > 0.75
    assert found.difference.n == 60 * 4 * 2
    assert found.quality.loc[0, "difference"] == pytest.approx(-0.1, abs=0.04)
    assert "helpfulness" in found.headline


def test_the_plain_difference_is_that_of_the_ratios(tmp_path):
    rows, scores = experiment(2, users=20)
    found = compared(tmp_path, rows, scores)
    arms = {name: [r["cost_usd"] for r in rows if r["metadata"] == {"experiment": name}] for name in ("new", "old")}
    assert found.treatment.value == pytest.approx(np.mean(arms["new"]))
    assert found.plain_difference.value == pytest.approx(np.mean(arms["new"]) - np.mean(arms["old"]))


def test_without_a_past_nothing_is_adjusted_and_it_is_said(tmp_path):
    found = compared(tmp_path, *experiment(before=False))
    assert found.reduction is None
    assert found.difference == found.plain_difference
    assert any("Nothing could be adjusted" in f.text or "nothing could be adjusted" in f.text for f in found.findings)


def test_a_user_of_both_arms_is_left_out_and_counted(tmp_path):
    rows, scores = experiment(1, both=True)
    for r in rows:
        if r["user_id"] == "u0" and r["metadata"]:
            r["metadata"] = {"experiment": "new" if r["trace_id"].endswith("1") else "old"}
    found = compared(tmp_path, rows, scores)
    assert found.difference.n == 59 * 4 * 2
    assert [f.count for f in found.findings] == [1]


def test_sessions_or_traces_serve_where_users_are_not_logged(tmp_path):
    rows, scores = experiment(users=12)
    sessions = [r | {"user_id": None} for r in rows]
    assert compared(tmp_path / "s", sessions, scores).unit == "session_id"
    traces = [r | {"session_id": None} for r in sessions]
    found = compared(tmp_path / "t", traces, scores)
    assert found.unit == "trace_id"
    assert any("Each trace is taken as assigned by itself" in f.text for f in found.findings)


def test_calls_whose_cost_is_not_known_are_told(tmp_path):
    rows, scores = experiment(users=12)
    rows[-1] = rows[-1] | {"cost_usd": None, "cost_recorded_usd": None, "cost_source": "none"}
    assert any("1 calls of the arms have no known cost" in f.text for f in compared(tmp_path, rows, scores).findings)


def test_an_arm_of_one_unit_is_refused_with_the_reason(tmp_path):
    rows, scores = experiment(users=1)
    other = ck.call(
        "x", day=4.5, user_id="x", metadata={"experiment": "new" if rows[-1]["metadata"]["experiment"] == "old" else "old"}
    )
    found = compared(tmp_path, [*rows, other], scores)
    assert not found.difference.ok
    assert "fewer than two units" in found.headline
    json.dumps(found.json(), allow_nan=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arm": "experimant"}, "arm='experimant' is neither a column nor a metadata key"),
        ({"treatment": "newer"}, "treatment='newer': no span has it as experiment; choose from: (new, old|old, new)"),
        ({"unit": "tenant"}, "unit='tenant' is not known; choose one of: user_id, session_id, trace_id"),
    ],
)
def test_an_experiment_that_is_none_is_refused_with_the_choices(tmp_path, given, message):
    obs = ck.opened(tmp_path, *experiment(users=6, judged=False))
    with pytest.raises(UsageError, match=message):
        experiment_cost(obs, **({"treatment": "new", "control": "old"} | given))


def test_a_past_of_too_few_units_is_not_fitted(tmp_path):
    found = compared(tmp_path, *experiment(5, users=8, judged=False))
    assert found.difference.ok
    assert found.reduction is None


def test_an_arm_may_be_a_column(tmp_path):
    rows = [r | {"release": (r["metadata"] or {}).get("experiment")} for r in experiment(users=10)[0]]
    found = compared(tmp_path, rows, arm="release")
    assert found.difference.ok
    assert found.claims()[2]["value"] == pytest.approx(found.difference.value)
