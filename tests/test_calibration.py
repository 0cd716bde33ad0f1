"""The calibration end to end: designs found and contradicted, the true pass rate, the verdict's rules, findings and claims."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import llmobs_nb as lm
from llmobs_nb.analyses.calibration import calibrate
from llmobs_nb.analyses.calibration.design import Design, find_design
from llmobs_nb.analyses.calibration.findings import findings_of
from llmobs_nb.analyses.calibration.passrate import WEEKLY, pass_rate
from llmobs_nb.analyses.calibration.result import VERDICTS, empty
from llmobs_nb.analyses.calibration.verdict import agreement_of, verdict
from llmobs_nb.errors import UsageError
from llmobs_nb.stats.estimate import Estimate
from tests import calibrationkit as kit
from tests.storekit import put

RANDOM = Design("random", "random", "", None, "")
NOTHING = Estimate.refused("not measured")


def store(root, frame, **options):
    put(root, scores=kit.score_rows(frame, **options), spans=kit.span_rows(frame))
    return lm.open(str(root))


def pairs(seed=1, **options):
    return kit.paired(kit.drawn(seed, **options))


def used(one, declared="auto"):
    found = find_design(one, declared)
    return found.used, found.misdeclared


# --- the design


@pytest.mark.parametrize("declared", ["auto", "random"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_sample_is_seen_to_be_one(declared, seed):
    assert used(pairs(seed), declared) == ("random", False)


@pytest.mark.parametrize("session", [1, 5])
@pytest.mark.parametrize("truth", ["by_verdict", "by_label"])
def test_equal_numbers_of_a_kind_give_the_design_away(truth, session):
    one = pairs(design=truth, p=0.85, session=session, icc=0.4 if session > 1 else 0.0)
    assert used(one) == (truth, False)
    assert used(one, "random") == (truth, True)


def test_labels_drawn_by_label_are_not_taken_for_ones_by_verdict_nor_the_other_way():
    assert used(pairs(design="by_label", p=0.8), "by_verdict") == ("by_label", True)
    assert used(pairs(design="by_verdict", p=0.8), "by_label") == ("by_verdict", True)


def test_a_declared_design_stands_where_nothing_speaks_against_it():
    for declared in ("by_verdict", "by_label"):
        assert used(pairs(design=declared, p=0.8), declared) == (declared, False)


def test_recorded_probabilities_go_before_what_was_declared():
    one = pairs(design="weights")
    assert used(one) == ("weights", False)
    assert used(one, "random") == ("weights", True)


def test_declared_weights_that_were_not_recorded_are_refused():
    found = find_design(pairs(), "weights")
    assert found.used == "none"
    assert "record inclusion_prob" in found.repair


def test_recorded_strata_give_a_design_away_that_numbers_do_not():
    one = pairs(design="by_verdict", n=100, p=0.8)
    one = replace(one, pairs=one.pairs.iloc[10:].assign(stratum=lambda d: np.where(d["judge_pass"] > 0, "ok", "flagged")))
    assert used(one) == ("by_verdict", False)


def test_labels_of_another_week_carry_errors_over_and_not_what_verdicts_were_worth():
    one = pairs(design="period", p=(0.6, 0.9), n=300)
    assert used(one) == ("period", False)
    assert used(one, "by_verdict") == ("none", False)
    assert used(one, "random") == ("period", True)


def test_labels_picked_by_complaint_are_refused_with_a_repair():
    frame = kit.drawn(3, n=0)
    rng = np.random.default_rng(3)
    picked = rng.random(len(frame)) < np.where(frame["human"] > 0, 0.03, 0.25)
    found = find_design(kit.paired(frame.assign(labelled=picked)), "random")
    assert (found.used, found.misdeclared) == ("none", True)
    assert found.p_value < 0.01
    assert "random sample" in found.repair
    assert json.loads(json.dumps(found.json()))["used"] == "none"


def test_a_version_of_the_judge_without_labels_is_not_corrected_by_another_s():
    found = find_design(kit.with_versions(pairs(), **{"1": 1000, "2": 2000}), "auto")
    assert found.used == "none"
    assert "67% of production" in found.reason


def test_scores_without_a_verdict_have_no_design():
    one = pairs()
    one = replace(one, pairs=one.pairs.assign(judge_pass=np.nan, human_pass=np.nan))
    assert find_design(one, "auto").used == "none"


# --- the pass rate


@pytest.mark.parametrize("design", ["random", "by_verdict", "by_label", "weights", "period"])
def test_the_true_rate_lies_in_the_interval_under_each_design_and_the_judge_s_own_does_not(design):
    hits, naive = 0, 0
    for seed in range(20):
        p = (0.6, 0.8) if design == "period" else 0.8
        one = pairs(seed, design=design, n=300, p=p, tnr=0.7)
        rate = pass_rate(one, find_design(one, "auto"))
        true = float(np.mean(p))
        hits += rate["corrected"].ci_low <= true <= rate["corrected"].ci_high
        naive += rate["naive"].ci_low <= true <= rate["naive"].ci_high
    assert hits >= 17
    assert naive <= 10


def test_no_valid_estimator_is_a_refusal_that_says_how_to_repair_it():
    rate = pass_rate(pairs(), Design("auto", "none", "", None, "Labels are odd.", repair="label at random"))
    assert not rate["corrected"].ok
    assert rate["corrected"].reason == "Labels are odd. To repair it: label at random."
    assert rate["naive"].ok
    assert rate["weekly"]["value"].isna().all()


def test_weeks_follow_the_product_and_not_the_mean():
    one = pairs(design="random", p=(0.6, 0.95), n=400)
    weekly = pass_rate(one, RANDOM)["weekly"]
    assert tuple(weekly.columns) == WEEKLY
    assert weekly["how"].tolist() == ["labels of the week"] * 2
    for row, true in zip(weekly.itertuples(), (0.6, 0.95), strict=True):
        assert row.ci_low <= true <= row.ci_high


def test_a_week_with_few_labels_and_another_verdict_rate_goes_by_the_judge_s_errors():
    frame = kit.drawn(4, n=300, p=(0.7, 0.95), design="period")
    weekly = pass_rate(kit.paired(frame), RANDOM)["weekly"]
    assert weekly["how"].tolist() == ["labels of the week", "labels of all weeks, by the judge's errors"]
    assert weekly["ci_low"][1] <= 0.95 <= weekly["ci_high"][1]
    by_verdict = pass_rate(kit.paired(frame), Design("by_verdict", "by_verdict", "", None, ""))["weekly"]
    assert "what a verdict is worth may differ" in by_verdict["reason"][1]


def test_nothing_judged_is_refused():
    one = replace(pairs(), production=pairs().production[:0])
    rate = pass_rate(one, find_design(one, "auto"))
    assert not rate["naive"].ok
    assert not rate["corrected"].ok
    assert tuple(rate["weekly"].columns) == WEEKLY


# --- the verdict


def said(
    one,
    *,
    kappa=(0.8, 0.7, 0.9),
    rate=(0.8, 0.77, 0.83),
    naive=0.8,
    ceiling=NOTHING,
    floor=NOTHING,
    slices=None,
    bias=None,
    drift=None,
):
    frames = (pd.DataFrame() if f is None else f for f in (slices, bias, drift))
    told = {"kappa": Estimate(*kappa, len(one.pairs))}
    rates = {
        "naive": Estimate(naive, naive, naive, 3000),
        "corrected": Estimate(*rate, 200) if rate else Estimate.refused("no design is valid"),
    }
    return verdict(one, RANDOM, told, rates, ceiling, floor, *frames)


def test_a_good_judge_is_trusted():
    found = said(pairs(p=0.8))
    assert found.verdict == "trust"
    assert "80.0% (77.0% to 83.0%)" in found.headline


@pytest.mark.parametrize(
    ("changed", "expected", "word"),
    [
        ({"kappa": (-0.3, -0.4, -0.2)}, "do_not_trust", "less than chance"),
        ({"kappa": (0.1, 0.0, 0.2)}, "do_not_trust", "hardly better than chance"),
        ({"floor": Estimate(0.3, 0.2, 0.4, 50)}, "do_not_trust", "does not agree with itself"),
        ({"drift": pd.DataFrame([{"verdict": "judge_drift", "reason": "moved"}])}, "do_not_trust", "drifted: moved"),
        ({"rate": None}, "cannot_tell", "no design is valid"),
        ({"rate": (0.8, 0.6, 0.95)}, "cannot_tell", "too wide"),
        ({"kappa": (0.5, 0.4, 0.58)}, "trust_with_correction", "below 0.60"),
        ({"naive": 0.9}, "trust_with_correction", "it passes 90.0% where humans would pass 80.0%"),
        ({"slices": pd.DataFrame([{"verdict": "at_chance"}])}, "trust_with_correction", "worse in 1 slice"),
        ({"bias": pd.DataFrame([{"covariate": "length", "flagged": True}])}, "trust_with_correction", "leans by length"),
        ({"kappa": (0.5, 0.4, 0.58), "ceiling": Estimate(0.45, 0.4, 0.5, 90)}, "trust", "kappa 0.50"),
    ],
)
def test_each_rule_of_the_verdict_decides(changed, expected, word):
    found = said(pairs(p=0.8), **changed)
    assert found.verdict == expected
    assert word in found.headline + found.reason


def test_where_nearly_all_labels_pass_the_rules_go_by_ac1_and_not_by_kappa():
    one = pairs(p=0.97, n=300)
    told = {"kappa": Estimate(0.3, 0.05, 0.5, 300), "ac1": Estimate(0.9, 0.85, 0.95, 300)}
    found, called = agreement_of(one, told)
    assert (found, called) == (told["ac1"], "AC1")
    assert agreement_of(pairs(p=0.8), told) == (told["kappa"], "kappa")


def test_without_any_agreement_nothing_can_be_told():
    found, _ = agreement_of(pairs(), {"kappa": None})
    assert found.reason == "no agreement could be computed"


def test_too_few_pairs_sessions_or_labels_of_a_kind_cannot_be_judged():
    assert "too few" in said(pairs(n=20)).reason
    assert "of 8 sessions are too few" in said(pairs(n=40, session=5)).reason
    rare = pairs(p=1.0, n=100)
    assert "0 of 100 labels say fail" in said(rare).reason


def test_a_judge_of_whom_all_labels_pass_may_still_be_below_chance_only_by_interval():
    found = said(pairs(p=0.8), kappa=(-0.05, -0.2, 0.1))
    assert found.verdict == "do_not_trust"
    assert "hardly better than chance" in found.reason


# --- end to end


def test_calibrate_answers_from_a_store_and_all_of_it_is_strict_json(tmp_path):
    result = calibrate(store(tmp_path, kit.drawn(7, n=300, p=0.8, traffic=1500, session=3, icc=0.2)))
    assert result.verdict in VERDICTS
    assert result.verdict == "trust_with_correction" or result.verdict == "trust"
    assert result.design["used"] == "random"
    assert result.pass_rate["corrected"].ci_low <= 0.8 <= result.pass_rate["corrected"].ci_high
    told = json.loads(json.dumps(result.json(), allow_nan=False))
    assert told["pass_rate"]["corrected"]["n"] == 300
    assert told["n"] == {"paired": 300, "judged": 1500, "human": 300, "clusters": result.n["clusters"]}


def test_every_estimate_of_the_result_is_a_claim_with_an_id_of_its_own(tmp_path):
    result = calibrate(store(tmp_path, kit.drawn(7, n=200, traffic=1000, p=0.8)))
    made = {c["id"]: c for c in result.claims()}
    assert len(made) == len(result.claims())
    for name, found in (
        ("agreement.kappa", result.agreement["kappa"]),
        ("tpr", result.tpr),
        ("pass_rate.naive", result.pass_rate["naive"]),
    ):
        assert (made[name]["value"], made[name]["ci_low"]) == (found.value, found.ci_low)
    assert made["confusion.fp"]["value"] == result.confusion["fp"]
    assert {f"pass_rate.weekly.{w}" for w in result.pass_rate["weekly"]["week"]} <= set(made)


def test_a_judge_below_chance_is_found_by_itself(tmp_path):
    result = calibrate(store(tmp_path, kit.drawn(8, n=200, traffic=800, p=0.6, tpr=0.3, tnr=0.3)))
    assert result.verdict == "do_not_trust"
    assert result.findings[0].severity == "critical"
    assert "less than chance" in result.findings[0].text


def test_a_slice_with_corrupt_labels_is_found_by_itself(tmp_path):
    result = calibrate(store(tmp_path, kit.drawn(9, n=400, traffic=1200, p=0.8, corrupt=True)), by=["locale"])
    assert any(f.severity == "critical" and "locale=de" in f.text for f in result.findings)
    assert result.verdict != "trust"


def test_two_annotators_give_a_ceiling_and_one_gives_a_finding(tmp_path):
    frame = kit.drawn(10, n=60, traffic=300, p=0.7)
    alone = calibrate(store(tmp_path / "a", frame))
    two = calibrate(store(tmp_path / "b", frame, raters=("h1", "h2")))
    assert any("no ceiling" in f.text for f in alone.findings)
    assert not any("no ceiling" in f.text for f in two.findings)
    assert two.n["paired"] == alone.n["paired"] == 60


def test_langfuse_s_one_label_per_target_is_said():
    one = pairs()
    told = [
        f.text for f in findings_of(replace(one, pairs=one.pairs.assign(source="langfuse")), RANDOM, empty(), empty(), empty())
    ]
    assert any("a second annotator overwrites the first" in t for t in told)


def test_what_was_left_out_is_a_finding_each():
    one = replace(pairs(), dropped=pd.DataFrame([{"reason": "label without a value", "count": 7}]))
    (found,) = [f for f in findings_of(one, RANDOM, empty(), empty(), empty()) if "left out" in f.text]
    assert (found.text, found.count) == ("left out: label without a value", 7)


def test_nothing_to_compare_is_an_answer_and_not_an_error(tmp_path):
    frame = kit.drawn(1, n=0, traffic=20)
    result = calibrate(store(tmp_path, frame))
    assert result.verdict == "cannot_tell"
    assert "nothing to compare" in result.headline
    assert result.claims() == []


def test_two_pairs_are_enough_for_an_answer(tmp_path):
    result = calibrate(store(tmp_path, kit.drawn(1, n=2, traffic=20)))
    assert result.verdict == "cannot_tell"
    json.dumps(result.json(), allow_nan=False)


def test_a_design_that_is_not_known_is_refused_with_the_menu(tmp_path):
    with pytest.raises(
        UsageError, match="design='rand' is not known; choose one of: random, by_verdict, by_label, weights, period, auto"
    ):
        calibrate(store(tmp_path, kit.drawn(1, n=2, traffic=20)), design="rand")
