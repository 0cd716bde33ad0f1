"""The parts of a calibration: agreement by design, slices, drift, biases, maps, thresholds, label plans, the alternative annotator, reading."""

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import llmobs_nb as lm
from llmobs_nb.analyses.calibration import agree, bias, curve, drift, maps, planner, reading
from llmobs_nb.analyses.calibration import replace as alternative
from llmobs_nb.analyses.calibration.result import AGREEMENT, Paired
from llmobs_nb.analyses.calibration.slices import slices
from llmobs_nb.analyses.review.subjects import drawn_by
from llmobs_nb.errors import InputError, UsageError
from llmobs_nb.stats.estimate import Estimate
from tests import calibrationkit as kit
from tests.storekit import put, score, span


def used(name, reason=""):
    return SimpleNamespace(used=name, reason=reason)


def with_maps(found):
    return SimpleNamespace(maps=found, judge_name="quality", human_name="label")


RANDOM = used("random")


def pairs(judge, human, *, kind="continuous", pass_at=0.5, cluster=None, **columns) -> Paired:
    """Hand-made pairs of traces t0, t1, …"""
    n = len(judge)
    numbers = kind in ("binary", "continuous", "ordinal")
    cut = [(np.asarray(v, float) >= pass_at).astype(float) if numbers else np.nan for v in (judge, human)]
    frame = {
        "source": "test", "project": "p", "trace_id": [f"t{i}" for i in range(n)], "span_id": None, "session_id": None, "judge": judge,
        "human": human, "judge_pass": cut[0], "human_pass": cut[1], "cluster": np.arange(n) if cluster is None else cluster,
        "stratum": None, "inclusion_prob": np.nan, "at": pd.Timestamp(kit.START), "judge_version": "1", "judge_model": "gpt-5-mini",
    }  # fmt: skip
    cuts = {"pass_at": pass_at, "human_pass_at": pass_at} if numbers else {}
    return Paired(
        pairs=pd.DataFrame(frame | columns), kind=kind, judge_name="quality", human_name="label", judged=n, labelled=n, **cuts
    )


def graded(seed=0, n=300, noise=0.15):
    rng = np.random.default_rng(seed)
    human = rng.random(n)
    return np.clip(human + rng.normal(0, noise, n), 0, 1), human


def store(tmp_path, frame, **options):
    frame = frame.assign(at=frame["at"].dt.floor("us"))
    put(tmp_path / "s", scores=kit.score_rows(frame, **options), spans=kit.span_rows(frame))
    return lm.open(tmp_path / "s")


# agreement


def test_each_kind_of_score_has_its_own_agreement():
    judge, human = graded()
    names = {
        "binary": pairs(*((v > 0.5).astype(float) for v in (judge, human)), kind="binary"), "continuous": pairs(judge, human),
        "ordinal": pairs(*(np.ceil(v * 5) for v in (judge, human)), kind="ordinal", pass_at=3),
        "categorical": pairs(*(np.where(v > 0.5, "good", "bad") for v in (judge, human)), kind="categorical"),
    }  # fmt: skip
    found = {kind: {k for k, v in agree.agreement(p, RANDOM).items() if v is not None} for kind, p in names.items()}
    nominal = {"raw", "kappa", "ac1", "pabak", "alpha_nominal"}
    assert found["binary"] == found["categorical"] == nominal
    assert found["ordinal"] == set(AGREEMENT)
    assert found["continuous"] == nominal | {"alpha_interval", "spearman", "pearson", "kendall_tau_b", "icc"}
    assert list(agree.agreement(names["binary"], RANDOM)) == list(AGREEMENT)


def test_means_of_several_raters_agree_as_the_nearest_grade():
    p = pairs([4.0, 3, 5, 2, 1, 4], [4.5, 3, 5, 2, 1, 3.6], kind="ordinal", pass_at=3)
    assert agree.agreement(p, RANDOM)["raw"].value == pytest.approx(5 / 6)


def test_labels_by_verdict_and_by_label_are_weighted_to_what_was_judged():
    truth = {"raw": 0.935, "kappa": 0.675}  # p = .9, TPR .95, TNR .8
    for design in ("by_verdict", "by_label", "weights"):
        p = kit.paired(kit.drawn(1, design=design, n=2000, traffic=20_000, p=0.9))
        told, plain = (agree.agreement(p, used(d)) for d in (design, "random"))
        assert told["raw"].value == pytest.approx(truth["raw"], abs=0.02)
        assert told["kappa"].value == pytest.approx(truth["kappa"], abs=0.06)
        assert plain["raw"].value < truth["raw"] - 0.04


def test_each_design_tells_the_rates_it_can_and_refuses_the_others_with_the_reason():
    world = {"n": 1000, "traffic": 20_000, "p": 0.9, "tpr": 0.95, "tnr": 0.8}
    truth = {"tpr": 0.95, "tnr": 0.8, "ppv": 0.855 / 0.875, "npv": 0.08 / 0.125}
    told = {"random": 4, "weights": 4, "by_verdict": 4, "by_label": 2, "period": 2, "none": 0}
    for design, count in told.items():
        drawn = "random" if design in ("period", "none") else design
        found = agree.rates(kit.paired(kit.drawn(2, design=drawn, **world)), used(design, "the labels are of nobody knows what"))
        assert sum(e.ok for e in found.values()) == count
        assert all(e.ci_low - 0.01 <= truth[k] <= e.ci_high + 0.01 for k, e in found.items() if e.ok)
        assert all(e.reason for e in found.values() if not e.ok)
    p = replace(
        kit.paired(kit.drawn(2, design="by_verdict", **world)), production=kit.paired(kit.drawn(2, **world)).production[:0]
    )
    assert agree.rates(p, used("by_verdict"))["tpr"].reason.endswith("production's share of verdicts is not known")
    assert agree.rates(p, used("none", "too old"))["ppv"].reason == "no design is valid for these labels: too old"


def test_the_confusion_matrix_counts_judge_passes_as_positive():
    p = pairs([1.0, 1, 1, 0, 0], [1.0, 1, 0, 1, 0], kind="binary", pass_at=1)
    assert agree.confusion(p) == {"tp": 2, "fp": 1, "fn": 1, "tn": 1}
    assert agree.confusion(pairs(["a"], ["b"], kind="categorical")) == {}


def test_the_area_under_the_curve_needs_a_scale():
    assert agree.auc_of(pairs(*graded()), RANDOM).value > 0.9
    assert "no scores to order" in agree.auc_of(kit.paired(kit.drawn(1)), RANDOM).reason


def test_ceiling_and_floor_are_alphas_over_what_was_said_twice():
    p = pairs(*graded())
    assert agree.ceiling(p).reason == "no target has labels of two humans"
    assert agree.floor(p).reason == "the judge judged no target twice"
    rng = np.random.default_rng(3)
    truth = np.repeat(rng.random(100), 2)
    humans = pd.DataFrame(
        {"target": np.repeat(np.arange(100), 2), "rater_id": ["a", "b"] * 100, "value": truth + rng.normal(0, 0.3, 200)}
    )
    repeats = pd.DataFrame(
        {"target": np.repeat(np.arange(100), 2), "judge_version": None, "value": truth + rng.normal(0, 0.05, 200)}
    )
    both = replace(p, humans=humans, repeats=repeats)
    assert agree.ceiling(both).ci_high < agree.floor(both).ci_low
    apart = replace(p, repeats=repeats.assign(judge_version=["1", "2"] * 100))
    assert agree.floor(apart).reason == "no version of the judge judged two targets twice"


# slices


def test_a_slice_whose_labels_are_corrupt_is_found_at_chance(tmp_path):
    frame = kit.drawn(3, corrupt=True, n=400, p=0.85)
    found = slices(store(tmp_path, frame), kit.paired(frame), RANDOM, ())
    assert list(found["where"]) == ["locale=de", "locale=en"]
    assert list(found["verdict"]) == ["at_chance", "better"]
    assert found["q"].max() < 0.001


def test_slices_alike_are_seldom_told_apart(tmp_path):
    obs = store(tmp_path, kit.drawn(0, traffic=600, n=400))
    said = [
        slices(obs, kit.paired(kit.drawn(0, traffic=600, n=400).assign(**_redrawn(seed))), RANDOM, ["locale"])
        for seed in range(25)
    ]
    assert sum(bool((s["q"] < 0.05).any()) for s in said) <= 3


def _redrawn(seed):
    rng = np.random.default_rng(seed)
    human = rng.random(600) < 0.85
    return {"human": human.astype(float), "judge": (rng.random(600) < np.where(human, 0.95, 0.2)).astype(float)}


def test_slices_that_nobody_knows_are_named_and_scores_alone_have_none(tmp_path):
    frame = kit.drawn(4, n=100, traffic=300)
    obs = store(tmp_path, frame)
    with pytest.raises(UsageError, match=r"by: 'langauge' is neither a column nor a metadata key; choose from: .*locale"):
        slices(obs, kit.paired(frame), RANDOM, ["langauge"])
    put(tmp_path / "bare", scores=kit.score_rows(frame.assign(at=frame["at"].dt.floor("us"))))
    bare = lm.open(tmp_path / "bare")
    assert slices(bare, kit.paired(frame), RANDOM, ()).empty


# drift


def weekly(seed, *, p=(0.9, 0.9), judge_from=None, n=600):
    """Two weeks; from the week ``judge_from`` on the judge passes four fifths of what it used to fail."""
    frame = kit.drawn(seed, p=p, n=n, traffic=2400)
    if judge_from is not None:
        rng = np.random.default_rng(seed)
        frame["judge"] = np.where((frame["week"] >= judge_from) & (rng.random(len(frame)) < 0.8), 1.0, frame["judge"])
    return frame


def verdicts(tmp_path, frame, paired=None, by="week"):
    found = drift.drift(store(tmp_path, frame), paired or kit.paired(frame), RANDOM)
    return list(found[found["by"] == by]["verdict"])


def test_a_judge_that_turns_lenient_is_judge_drift_and_a_worse_product_is_product_drift(tmp_path):
    assert verdicts(tmp_path / "j", weekly(1, p=(0.7, 0.7), judge_from=1))[-1] == "judge_drift"
    assert verdicts(tmp_path / "p", weekly(1, p=(0.95, 0.7)))[-1] == "product_drift"
    assert verdicts(tmp_path / "n", weekly(1))[-1] == "none"
    assert verdicts(tmp_path / "f", weekly(1, n=30))[-1] == "cannot_tell"


def test_steady_thumbs_tell_judge_drift_where_labels_are_few(tmp_path):
    frame = weekly(2, p=(0.7, 0.7), judge_from=1, n=12)
    frame = frame.assign(at=frame["at"].dt.floor("us"))
    rng = np.random.default_rng(0)
    thumbs = [
        score(f"u{r.Index}", trace_id=r.trace_id, name="thumbs", value=float(rng.random() < 0.5), rater="user", created_at=r.at.to_pydatetime())
        for r in frame.itertuples()
    ]  # fmt: skip
    quiet = [t | {"value": float(i % 2)} for i, t in enumerate(thumbs)]
    put(tmp_path / "t", scores=[*kit.score_rows(frame), *quiet], spans=kit.span_rows(frame))
    found = drift.drift(lm.open(tmp_path / "t"), kit.paired(frame), RANDOM)
    assert found.iloc[-1]["verdict"] == "judge_drift"
    assert "thumbs stayed" in found.iloc[-1]["reason"]


def test_answers_judged_again_by_another_version_are_anchors(tmp_path):
    frame = kit.drawn(5, traffic=300, n=100)
    rng = np.random.default_rng(5)
    target = np.repeat([f"test p trace t{i:06d}" for i in range(60)], 2)
    for lift, verdict in ((0.3, "judge_drift"), (0.0, "none")):
        value = np.repeat(rng.random(60), 2) + np.tile([0, lift], 60) + rng.normal(0, 0.05, 120)
        repeats = pd.DataFrame({"target": target, "judge_version": ["1", "2"] * 60, "value": value})
        (row,) = (
            drift.drift(store(tmp_path / verdict, frame), replace(kit.paired(frame), repeats=repeats), RANDOM)
            .query("by == 'anchor'")
            .itertuples()
        )
        assert (row.period, row.n, row.verdict) == ("2 against 1", 60, verdict)
        assert row.difference.value == pytest.approx(lift, abs=0.03)


def test_a_later_version_that_judges_otherwise_is_judge_drift_by_version_too(tmp_path):
    frame = weekly(8, p=(0.7, 0.7), judge_from=1)
    one = kit.paired(frame)
    version = np.where(frame.loc[frame["labelled"], "week"] == 1, "b", "a")
    found = verdicts(tmp_path, frame, replace(one, pairs=one.pairs.assign(judge_version=version)), by="version")
    assert found == ["cannot_tell", "judge_drift"]


def test_recalibration_goes_by_the_weighted_correlation_and_its_interval(tmp_path):
    frame = kit.drawn(6, traffic=300, n=100)
    obs = store(tmp_path, frame)
    said = {noise: drift.drift(obs, pairs(*graded(n=400, noise=noise)), RANDOM).iloc[0] for noise in (0.05, 0.6)}
    assert [said[k]["verdict"] for k in (0.05, 0.6)] == ["none", "recalibrate"]
    assert "below 0.7" in said[0.6]["reason"]
    rng = np.random.default_rng(7)
    human = rng.normal(size=6000)
    judge = 0.6 * human + 0.8 * rng.normal(size=6000)
    extreme = np.abs(human) > 1
    keep = extreme | (rng.random(6000) < 0.05)  # the lowest and the highest rated, as reviewers like to pick them
    p = pairs(judge[keep], human[keep], pass_at=0, inclusion_prob=np.where(extreme, 1.0, 0.05)[keep])
    assert drift.correlation(p, RANDOM).ci_low > 0.65
    weighted = drift.correlation(p, used("weights"))
    assert weighted.ci_low <= 0.6 <= weighted.ci_high


# biases


def biased(tmp_path, *, lean, seed=0, n=900):
    """Answers of which the longer are better, judged with some points for length, with texts."""
    rng = np.random.default_rng(seed)
    chars = np.exp(rng.normal(6, 0.7, n))
    z = (np.log1p(chars) - np.log1p(chars).mean()) / np.log1p(chars).std()
    good = rng.random(n) < 1 / (1 + np.exp(-(1.4 + 0.8 * z)))
    judge = rng.random(n) < np.clip(np.where(good, 0.9, 0.25) + lean * z, 0, 1)
    p = pairs(judge.astype(float), good.astype(float), kind="binary", pass_at=1)
    spans = [
        span(f"s{i}", trace_id=f"t{i}", output_chars=int(chars[i]), input_chars=100, model=("gpt-4o", "claude-sonnet-4-5")[i % 2])
        for i in range(n)
    ]
    texts = [
        {"trace_id": f"t{i}", "span_id": f"s{i}", "source": "test", "project": "p", "output": "# Head\n- one\n- two\ntext" if i % 3 else "text",
         "day": dt.date(2026, 1, 5)}
        for i in range(n)
    ]  # fmt: skip
    said = [
        score(f"c{i}", trace_id=f"t{i}", rater="user", name="feedback", comment="great, thanks" if i % 5 else "terrible")
        for i in range(n)
    ]
    said += [score(f"h{i}", trace_id=f"t{i}", rater="human", name="label") for i in range(n)]
    put(
        tmp_path / f"b{lean}",
        spans=spans,
        payloads=texts,
        scores=[*said, score("j", trace_id="t0", rater="judge", name="quality")],
    )
    return bias.bias(lm.open(tmp_path / f"b{lean}"), p, RANDOM).set_index("covariate")


def test_a_judge_that_likes_length_is_flagged_and_an_honest_one_is_not(tmp_path):
    honest, leaning = (biased(tmp_path, lean=lean) for lean in (0.0, 0.08))
    assert {"length", "verbosity", "self_family", "formatting", "sentiment"} <= set(honest.index)
    assert not honest["flagged"].any()
    assert leaning.loc["length", "flagged"]
    assert leaning.loc["length", "given_human"].value == pytest.approx(6.5, abs=3)
    assert not leaning.loc[["self_family", "formatting", "sentiment"], "flagged"].any()
    assert leaning.loc["self_family", "unit"] == "points, yes against no"


def test_the_judge_s_own_maker_is_its_kin_whatever_serves_the_model():
    models = pd.Series(["azure/gpt-4o", "claude-sonnet-4-5", None, "gpt-5-mini-2025-08-07"])
    assert list(bias._kin(pd.Series(["gpt-5-mini"] * 4), models))[:2] == [1, 0]
    assert np.isnan(bias._kin(pd.Series(["gpt-5-mini"] * 4), models)[2])


def test_humans_who_differ_widen_what_is_allowed_for():
    p = pairs(*(np.ones(40), np.ones(40)), kind="binary", pass_at=1)
    humans = pd.DataFrame(
        {"target": np.repeat(np.arange(100), 2), "rater_id": ["a", "b"] * 100, "value": [1.0, 1] * 82 + [1.0, 0] * 18}
    )
    assert bias._wrong(p) == 0
    assert bias._wrong(replace(p, humans=humans)) == pytest.approx(0.1, abs=1e-9)  # 2 · 0.1 · 0.9 = 0.18


def test_categories_without_pass_and_fail_have_no_biases(tmp_path):
    put(tmp_path / "e", scores=[score("a", rater="judge"), score("b", name="label", rater="human")])
    assert bias.bias(lm.open(tmp_path / "e"), pairs(["a"] * 30, ["b"] * 30, kind="categorical"), RANDOM).empty


# scores as probabilities


def test_maps_are_better_than_the_score_they_map_and_survive_a_file(tmp_path):
    rng = np.random.default_rng(8)
    score_ = rng.random(800)
    human = (rng.random(800) < score_**3).astype(float)
    found = curve.curve(pairs(score_, human), RANDOM)
    assert found["ece"].ci_low > 0.1
    assert len(found["curve"]) == 10
    for kind, map_ in found["maps"].items():
        assert map_["brier"] < map_["brier_raw"] - 0.02
        result = with_maps(found["maps"])
        maps.save_map(result, tmp_path / kind, kind=kind)
        again = maps.load_map(tmp_path / kind)
        assert maps.apply_map(again, [0.8]) == pytest.approx(maps.apply_map(map_, [0.8]))
        assert maps.apply_map(again, np.linspace(0, 1, 101)).mean() == pytest.approx(0.25, abs=0.04)
        assert np.isnan(maps.apply_map(again, [np.nan])[0])


def test_verdicts_and_labels_have_no_maps():
    found = curve.curve(kit.paired(kit.drawn(1)), RANDOM)
    assert found["maps"] == {}
    assert "without a scale" in found["ece"].reason
    assert len(found["curve"]) == 2
    assert curve.curve(pairs(["a"] * 20, ["b"] * 20, kind="categorical"), RANDOM)["curve"].empty


def test_files_that_are_no_maps_are_told(tmp_path):
    (tmp_path / "x").write_text('{"kind": "platt"}')
    with pytest.raises(InputError, match=r"is no map of scores; write one with save_map"):
        maps.load_map(tmp_path / "x")
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        maps.load_map(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"this calibration has no maps of scores"):
        maps.save_map(with_maps({}), tmp_path / "y")
    good = {"isotonic": {"kind": "isotonic", "scores": [0, 1], "probabilities": [0, 1], "brier": 0.1}}
    with pytest.raises(UsageError, match=r"kind='platt' is not known; choose one of: isotonic"):
        maps.save_map(with_maps(good), tmp_path / "y", kind="platt")
    with pytest.raises(InputError, match=r"cannot be written: .*choose another"):
        maps.save_map(with_maps(good), tmp_path / "no" / "y")
    with pytest.raises(UsageError, match=r"map kind=None is not known"):
        maps.apply_map({}, [0.5])


def test_the_threshold_follows_the_costs_and_tells_what_is_in_use():
    p = pairs(*graded(9, n=600))
    even, strict = (curve.threshold(p, RANDOM, cost, 1.0) for cost in (1.0, 10.0))
    assert even["ci_low"] <= even["value"] <= even["ci_high"]
    assert strict["value"] > even["value"]
    assert even["now"]["threshold"] >= 0.5
    assert even["curve"]["cost"].min() == pytest.approx(even["curve"].set_index("threshold")["cost"][even["value"]])


@pytest.mark.parametrize(
    ("paired", "design", "reason"),
    [
        (kit.paired(kit.drawn(1)), RANDOM, "verdicts without a scale"),
        (pairs(*graded()), used("none", "too old"), "no design is valid for these labels: too old"),
        (pairs(graded()[0], np.ones(300)), RANDOM, "humans pass all of the labelled answers, or none"),
    ],
)
def test_a_threshold_without_grounds_is_none_with_the_reason(paired, design, reason):
    found = curve.threshold(paired, design, 1, 1)
    assert found["value"] is None
    assert reason in found["reason"]


# label plans


def test_a_plan_by_verdict_needs_four_fifths_of_random_labels_or_less_and_reaches_its_width():
    """p = .9, TPR .95, TNR .8: the interval's width over 400 data sets labelled by the plan, and by chance."""
    weight, rate, verdict, target = np.array([0.125, 0.875]), np.array([0.36, 0.855 / 0.875]), np.array([0.0, 1.0]), 0.03
    spread, none = np.sqrt(rate * (1 - rate)), np.zeros(2)
    planned = planner.shares(weight, spread, none, np.array([5e3, 35e3]), verdict, target)
    by_chance = planner.at_random(weight, spread, none, verdict, target)
    assert planned.sum() <= 0.8 * by_chance
    assert by_chance == pytest.approx(206, abs=4)
    rng = np.random.default_rng(1)
    for labels in (np.tile(planned, (400, 1)), rng.multinomial(by_chance, weight, 400)):
        passed = rng.binomial(labels, rate)
        p = (passed + 0.5) / (labels + 1)
        half = 1.96 * np.sqrt((weight**2 * p * (1 - p) / (labels + 1)).sum(axis=1))
        assert half.mean() == pytest.approx(target, rel=0.06)
        assert np.std((weight * p).sum(axis=1)) <= target / 1.96 * 1.1


def test_labels_at_hand_count_and_what_a_stratum_holds_is_the_most_it_gives():
    weight, spread, verdict = np.array([0.5, 0.5]), np.array([0.5, 0.1]), np.array([0.0, 1.0])
    fresh = planner.shares(weight, spread, np.zeros(2), np.array([1e4, 1e4]), verdict, 0.02)
    later = planner.shares(weight, spread, fresh.astype(float), np.array([1e4, 1e4]), verdict, 0.02)
    assert later.sum() == 0
    assert (planner.shares(weight, spread, np.zeros(2), np.array([30.0, 40.0]), verdict, 0.001) == [30, 40]).all()


def test_the_plan_names_unlabelled_traces_of_both_verdicts_for_the_review_queue(tmp_path):
    frame = kit.drawn(10, n=60, traffic=2000)
    obs = store(tmp_path, frame)
    plan = planner.plan_labels(obs, kit.paired(frame), RANDOM, target_half_width=0.03)
    labelled = set(frame.loc[frame["labelled"], "trace_id"])
    assert plan.labels == len(plan.next_labels) == plan.plan["labels"].sum() > 0
    assert not labelled & set(plan.next_labels)
    assert plan.labels < plan.labels_random
    judged = dict(zip(frame["trace_id"], frame["judge"], strict=True))
    for row in plan.next.itertuples():
        assert row.stratum == ("pass" if judged[row.trace_id] else "fail")
    assert set(drawn_by(plan)) == set(plan.next_labels)
    assert plan.json()["labels"] == plan.labels
    again = planner.plan_labels(obs, kit.paired(frame), RANDOM, target_half_width=0.03)
    assert again.next_labels == plan.next_labels


def test_slices_are_strata_where_there_are_some(tmp_path):
    frame = kit.drawn(11, n=60, traffic=1500).assign(at=lambda d: d["at"].dt.floor("us"))
    spans = [s | {"feature": ("chat", "search")[i % 2]} for i, s in enumerate(kit.span_rows(frame))]
    put(tmp_path / "f", scores=kit.score_rows(frame), spans=spans)
    plan = planner.plan_labels(lm.open(tmp_path / "f"), kit.paired(frame), RANDOM, target_half_width=0.03)
    assert list(plan.plan["stratum"]) == ["fail × chat", "fail × search", "pass × chat", "pass × search"]
    assert plan.plan["size"].sum() == 1500 - 60
    assert plan.plan["labelled"].sum() == 60


def test_a_plan_without_a_pass_mark_or_without_traces_tells_why(tmp_path):
    frame = kit.drawn(12, n=100, traffic=100)
    obs = store(tmp_path, frame)
    assert (
        "give pass_at" in planner.plan_labels(obs, pairs(["a"], ["b"], kind="categorical"), RANDOM, target_half_width=0.03).reason
    )
    assert (
        planner.plan_labels(obs, kit.paired(frame), RANDOM, target_half_width=0.03).reason == "no judged trace is left to label"
    )


# the alternative annotator


def raters(seed, *, errors, judge_error, n=150):
    """Targets that several humans labelled, each wrong as often as told, and the judge as well."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.6).astype(float)

    def says(error):
        return np.where(rng.random(n) < error, 1 - truth, truth)

    humans = pd.concat(
        pd.DataFrame({"target": [f"test p trace t{i}" for i in range(n)], "rater_id": f"h{k}", "value": says(e)})
        for k, e in enumerate(errors)
    )
    return replace(pairs(says(judge_error), truth, kind="binary", pass_at=1), humans=humans)


def test_a_judge_as_good_as_the_humans_may_replace_them_and_a_worse_one_may_not():
    good, bad = (alternative.may_replace(raters(1, errors=(0.1, 0.1, 0.1, 0.1), judge_error=e)) for e in (0.08, 0.45))
    assert good["replace"] is True
    assert good["winning_rate"] == 1
    assert bad["replace"] is False
    assert bad["winning_rate"] == 0
    assert good["advantage"] > 0.85 > bad["advantage"]
    assert [r["n"] for r in good["raters"]] == [150] * 4


def test_the_alternative_annotator_test_needs_three_humans_and_thirty_targets_each():
    assert alternative.may_replace(raters(2, errors=(0.1, 0.1), judge_error=0.1)) is None
    assert alternative.may_replace(pairs(*graded())) is None
    few = alternative.may_replace(raters(3, errors=(0.1, 0.1, 0.1), judge_error=0.1, n=20))
    assert few["replace"] is None
    assert few["reason"] == "3 of 3 humans share fewer than 30 targets with others"


def test_a_panel_of_versions_is_set_beside_each_of_them():
    p = raters(4, errors=(0.05, 0.05, 0.05), judge_error=0.2)
    rng = np.random.default_rng(4)
    target, truth = [f"test p trace t{i}" for i in range(150)], p.pairs["human"].to_numpy()
    repeats = pd.concat(
        pd.DataFrame({"target": target, "judge_version": v, "value": np.where(rng.random(150) < 0.25, 1 - truth, truth)})
        for v in "abc"
    )
    found = alternative.may_replace(replace(p, repeats=repeats))["panel"]
    assert set(found["raw"]) == {"a", "b", "c", "majority"}
    assert found["raw"]["majority"]["value"] > max(found["raw"][v]["value"] for v in "abc")


# what to read


def test_the_pairs_furthest_apart_come_first_with_what_both_wrote(tmp_path):
    p = pairs([0.9, 0.2, 0.5, 0.6], [0.1, 0.3, 0.5, 0.2])
    hostile = "<script>alert(1)</script>\x1b[31m"
    put(
        tmp_path / "r",
        scores=[
            score("j", trace_id="t0", name="quality", rater="judge", comment=hostile),
            score("h", trace_id="t0", name="label", rater="human", comment="wrong answer"),
            score("x", trace_id="t0", name="other", rater="judge", comment="of something else"),
        ],
        spans=[span("s", trace_id="t0", source_url="https://example.org/t0")],
    )
    found = reading.disagreements(lm.open(tmp_path / "r"), p)
    assert list(found["trace_id"]) == ["t0", "t3", "t1"]
    assert found.iloc[0]["comment"] == hostile
    assert found.iloc[0]["human_comment"] == "wrong answer"
    assert found.iloc[0]["url"] == "https://example.org/t0"
    assert found.iloc[1]["comment"] is None
    assert len(reading.disagreements(lm.open(tmp_path / "r"), p, most=1)) == 1
    same = reading.disagreements(lm.open(tmp_path / "r"), pairs([1.0, 0], [1.0, 0]))
    assert same.empty
    assert list(same.columns) == list(reading.COLUMNS)


def test_refusals_are_estimates_too():
    assert isinstance(agree.ceiling(pairs(*graded())), Estimate)
