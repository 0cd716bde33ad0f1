"""The deployment gate over small stores: designs, verdicts, numbers by hand, and what it refuses."""

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest
import storekit
from incidentkit import MONDAY, put, trace

import llmobs_nb as lm
from llmobs_nb.analyses.gate import eval_runs, gate
from llmobs_nb.analyses.incident import metric
from llmobs_nb.errors import UsageError

HOSTILE = "it's <b>v2</b> \x1b[31m"
GOOD, BAD = 0.85, 0.6


def call(version="v1", **more):
    return {"prompt_name": "support", "prompt_version": version, "model": "m", "status": "ok", "ttft_ms": 100.0, "output_chars": 300,
            "cost_usd": 0.002} | more  # fmt: skip


def runs(name, quality, *, items=120, seed=1, at=MONDAY, dataset="gold", judge="1", spread=0.05, purpose="experiment"):
    """One run of a dataset: a trace and an item each; the item's difficulty is the same in every run."""
    hard = np.random.default_rng(0).normal(0, 0.1, items)
    rng = np.random.default_rng(seed)
    traces, linked = [], []
    for k in range(items):
        id = f"{name}-{k}"
        value = float(np.clip(quality + hard[k] + rng.normal(0, spread), 0, 1))
        one = trace(id, at + dt.timedelta(minutes=k), call=call(cost_usd=float(rng.lognormal(-6, 0.3))), scores={"correct": value},
                    latency_ms=float(rng.lognormal(7, 0.2)), purpose=purpose)  # fmt: skip
        for row in one["scores"]:
            row["judge_version"] = judge
        traces.append(one)
        linked.append({"experiment_id": f"id-{name}", "experiment": name, "dataset_id": dataset, "item_id": f"item-{k}",
                       "trace_id": id, "started_at": at, "source": "test", "project": "p"})  # fmt: skip
    return traces, linked


def lab(root, **runs_of):
    """A store with the runs: name = (traces, items)."""
    dataset = {"item_id": "item-0", "dataset_id": "gold", "dataset": "golden set", "source": "test", "project": "p"}
    items = [row for _, linked in runs_of.values() for row in linked]
    put(root, [t for traces, _ in runs_of.values() for t in traces], experiment_items=items, dataset_items=[dataset])
    return lm.open(str(root), threads=1)


@pytest.fixture(scope="module")
def evals(tmp_path_factory):
    root = tmp_path_factory.mktemp("evals") / "store"
    return lab(root, old=runs("old", GOOD), same=runs("same", GOOD, seed=2, at=MONDAY + dt.timedelta(days=7)),
               worse=runs("worse", BAD, seed=3), few=runs("few", GOOD, seed=4, items=12))  # fmt: skip


def row(result, name):
    found = result.dimensions[result.dimensions["name"] == name]
    assert len(found) == 1
    return found.iloc[0]


NAMES = ["correct", "cost_usd", "latency_ms"]


def test_a_run_that_is_as_good_passes_item_by_item(evals):
    result = gate(evals, baseline="experiment=old", candidate="experiment=same", metrics=NAMES)
    assert (result.verdict, result.exit_code, result.design) == ("pass", 0, "paired_by_item")
    assert result.arms[0].pairs == 120 and "passes" in result.headline


def test_the_paired_change_is_the_mean_of_the_items_differences(evals):
    result = gate(evals, baseline="experiment=old", candidate="experiment=worse", metrics=["correct"])
    scores = evals.sql("SELECT e.experiment, e.item_id, s.value FROM scores s JOIN experiment_items e USING (trace_id)")
    wide = scores.pivot(index="item_id", columns="experiment", values="value")
    d = (wide["worse"] - wide["old"]).dropna()
    one = row(result, "score:correct:judge")
    assert one.change_value == pytest.approx(d.mean()) and one.change_n == 120
    half = 1.9801 * d.std() / math.sqrt(120)
    assert one.change_low < d.mean() - half and one.change_high > d.mean() + half
    assert one.change_high - one.change_low < 2.6 * half + 0.06
    assert one.baseline_value == pytest.approx(wide["old"].mean())


def test_a_run_that_is_worse_beyond_its_margin_blocks_with_the_traces_to_read(evals):
    result = gate(evals, baseline="experiment=old", candidate="experiment=worse", metrics=NAMES)
    assert (result.verdict, result.exit_code) == ("blocked", 1)
    assert row(result, "score:correct:judge").verdict == "fail" and "correct (judge) -0.2" in result.headline
    assert 0 < len(result.reading_list) <= 20 and all(t.startswith("worse-") for t in result.traces["score:correct:judge"])


def test_too_few_items_are_inconclusive_with_the_n_that_it_takes(evals):
    result = gate(evals, baseline="experiment=old", candidate="experiment=few", metrics=["correct"])
    one = row(result, "score:correct:judge")
    assert (result.verdict, result.exit_code, one.verdict) == ("inconclusive", 1, "inconclusive")
    assert result.design == "independent" or one.change_n == 12
    assert one.n_needed > one.change_n and 0 <= one.power < 0.8 and "a power of 0.8 takes" in one.reason


def test_the_json_is_strict_and_every_number_is_claimed(evals):
    result = gate(evals, baseline="experiment=old", candidate="experiment=worse")
    document = json.loads(json.dumps(result.json(), allow_nan=False))
    assert document["verdict"] == "blocked" and document["baseline"]["selection"] == "experiment=old"
    assert {d["name"] for d in document["dimensions"]} >= {
        "score:correct:judge",
        "error_rate",
        "cost_usd",
        "latency_ms",
        "ttft_ms",
    }
    assert {"value", "ci_low", "ci_high", "n"} <= set(document["dimensions"][0]["change"])
    ids = [c["id"] for c in result.claims()]
    assert len(ids) == len(set(ids)) and "gate.score:correct:judge.change" in ids


def test_a_dataset_keeps_its_own_runs_by_name_or_id(evals):
    for name in ("golden set", "gold"):
        assert (
            gate(evals, baseline="experiment=old", candidate="experiment=same", dataset=name, metrics=NAMES).arms[0].pairs == 120
        )
    with pytest.raises(UsageError, match=r"dataset='silver': no experiment ran on it; choose one of: golden set"):
        gate(evals, baseline="experiment=old", candidate="experiment=same", dataset="silver")


def test_a_dataset_pairs_prompt_versions_of_its_runs(tmp_path):
    old, new = runs("old", GOOD), runs("new", GOOD, seed=2)
    for one in new[0]:
        one["spans"][1]["prompt_version"] = "v2"
    obs = lab(tmp_path / "s", old=old, new=new)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", dataset="golden set", metrics=NAMES)
    assert (result.design, result.arms[0].pairs) == ("paired_by_item", 120)


def test_margins_are_the_users(evals):
    wide = {"correct": 0.4, "cost_usd": 0.5}
    asked = {"baseline": "experiment=old", "candidate": "experiment=worse", "metrics": NAMES}
    result = gate(evals, **asked, margin=wide)
    assert row(result, "score:correct:judge").verdict == "pass" and row(result, "cost_usd").margin == 0.5
    assert row(gate(evals, **asked, margin=0.4), "score:correct:judge").margin == 0.4
    assert row(gate(evals, **asked, margin=0.4), "cost_usd").margin == 0.15
    with pytest.raises(UsageError, match=r"margin: 'speed' is not measured here; choose from: score:correct:judge"):
        gate(evals, **asked, margin={"speed": 1})
    for bad in (0, -1, "x", float("nan")):
        with pytest.raises(UsageError, match=r"margin=.* is not a number above 0; give the loss"):
            gate(evals, **asked, margin=bad)


def test_a_metric_of_ones_own_is_a_dimension(evals):
    long = metric(
        "long_rate", sql="max(CASE WHEN output_chars > 1000 THEN 1e0 ELSE 0e0 END)", unit="rate", kind="rate", margin=0.05
    )
    result = gate(evals, baseline="experiment=old", candidate="experiment=same", metrics=["correct", long])
    assert list(result.dimensions["name"]) == ["score:correct:judge", "long_rate"]
    assert row(result, "long_rate").verdict == "pass"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"baseline": "old"}, r"baseline='old' is not a selection; give KEY=VALUE"),
        ({"baseline": ""}, r"baseline='' is not a selection"),
        ({"baseline": None}, r"baseline='' is not a selection"),
        ({"candidate": "release="}, r"candidate='release=' is not a selection"),
        ({"candidate": "release=1,release=2"}, r"names a key twice"),
        ({"candidate": "colour=red"}, r"candidate: 'colour' is neither a column nor a metadata key"),
        (
            {"candidate": "experiment=nope"},
            r"candidate='experiment=nope' selects no trace; experiment: choose one of: few, old, same, worse",
        ),
        ({"candidate": "release=7"}, r"selects no trace; release: the store holds none"),
        ({"candidate": "experiment=old"}, r"every trace of the baseline is in the other arm too"),
        ({"metrics": ["speed"]}, r"metrics: 'speed' is not measured here; choose from: error_rate"),
        ({"level": 95}, r"level=95 is not between 0.5 and 1"),
    ],
)
def test_bad_input_is_one_line_with_the_cure(evals, asked, message):
    with pytest.raises(UsageError, match=message) as caught:
        gate(evals, **({"baseline": "experiment=old", "candidate": "experiment=same"} | asked))
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_changed_judge_is_said(tmp_path):
    obs = lab(tmp_path / "s", old=runs("old", GOOD), new=runs("new", GOOD, seed=2, judge="2"))
    result = gate(obs, baseline="experiment=old", candidate="experiment=new", metrics=["correct"])
    assert any(f.severity == "critical" and "different judges" in f.text and "correct" in f.text for f in result.findings)


def traffic(*, shares=(0.5, 0.5), quality=(0.8, 0.8), n=600, seed=1, same_inputs=False):
    """Production traffic of two versions: feature ``easy`` scores .95 and ``hard`` .65; ``shares`` of easy by version."""
    rng = np.random.default_rng(seed)
    for k in range(n):
        arm = k % 2
        easy = rng.random() < shares[arm]
        value = float(np.clip(quality[arm] + (0.15 if easy else -0.15) + rng.normal(0, 0.05), 0, 1))
        asked = f"Question  {k // 2}?" if same_inputs else f"question {k}?"
        yield trace(
            f"t{k}", MONDAY + dt.timedelta(minutes=10 * k), call=call(f"v{arm + 1}", status="error" if rng.random() < 0.01 else "ok"),
            scores={"correct": value}, feature="easy" if easy else "hard", session_id=f"s{k // 2 if same_inputs else k // 4}-{arm}",
            texts={"input": asked.upper() if arm else asked, "output": "Sorry, I cannot help with that." if arm and k % 3 == 0 else "Yes."},
        )  # fmt: skip


def test_a_shift_of_the_mix_is_no_loss(tmp_path):
    obs = lm.open(put(tmp_path / "s", traffic(shares=(0.8, 0.2))), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["correct"])
    one = row(result, "score:correct:judge")
    assert result.design == "independent" and one.verdict == "pass" and abs(one.change_value) < 0.02
    raw = obs.sql(
        "SELECT c.prompt_version AS v, avg(s.value) AS mean FROM scores s JOIN spans c USING (trace_id) WHERE c.kind = 'llm' GROUP BY 1"
    )
    gap = raw.set_index("v")["mean"]
    assert gap["v2"] - gap["v1"] < -0.15


def test_the_weighted_change_is_the_mix_of_the_strata_by_hand(tmp_path):
    obs = lm.open(put(tmp_path / "s", traffic(shares=(0.8, 0.3), quality=(0.8, 0.75))), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["correct"])
    sql = """SELECT c.prompt_version AS v, r.feature AS f, count(*) AS n, avg(s.value) AS mean FROM scores s
        JOIN spans c ON c.trace_id = s.trace_id AND c.kind = 'llm' JOIN spans r ON r.trace_id = s.trace_id AND r.is_root GROUP BY 1, 2"""
    by = obs.sql(sql)
    mix = by.groupby("f")["n"].sum() / by["n"].sum()
    mean = by.pivot(index="f", columns="v", values="mean")
    one = row(result, "score:correct:judge")
    assert one.change_value == pytest.approx(float((mix * (mean["v2"] - mean["v1"])).sum()))
    assert one.baseline_value == pytest.approx(float((mix * mean["v1"]).sum()))


def test_the_same_inputs_are_pairs_whatever_their_case(tmp_path):
    obs = lm.open(put(tmp_path / "s", traffic(same_inputs=True)), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["correct", "refusal_rate"])
    assert (result.design, result.arms[0].pairs) == ("paired_by_input", 300)
    assert row(result, "refusal_rate").verdict == "fail" and row(result, "refusal_rate").baseline_value == 0


def test_a_few_questions_asked_again_and_again_are_no_pairs(tmp_path):
    traces = list(traffic(n=200))
    for k, one in enumerate(traces):
        one["payloads"][0]["input"] = f"question {k // 2 % 5}"
    obs = lm.open(put(tmp_path / "s", traces), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["correct"])
    assert result.design == "independent" and row(result, "score:correct:judge").change_n == 200


def test_experiments_and_judging_are_not_production(tmp_path):
    other = [
        trace(f"e{k}", MONDAY, call=call("v2", status="error", purpose="experiment"), purpose="experiment") for k in range(50)
    ]
    obs = lm.open(put(tmp_path / "s", [*traffic(), *other]), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["error_rate"])
    assert result.arms[1].traces == 300


def test_a_score_that_only_one_arm_has_keeps_the_gate_open(tmp_path):
    traces = list(traffic())
    for k, one in enumerate(traces):
        one["scores"] = [] if k % 2 else one["scores"]
    obs = lm.open(put(tmp_path / "s", traces), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["correct"])
    one = row(result, "score:correct:judge")
    assert (result.verdict, one.verdict, one.candidate_n) == ("inconclusive", "inconclusive", 0)
    assert "the baseline has none on traffic that both arms have" in one.reason or "the candidate has none" in one.reason
    assert math.isnan(one.change_value)


def test_arms_at_different_times_are_said(tmp_path):
    traces = [trace(f"t{k}", MONDAY + dt.timedelta(hours=k), call=call("v1" if k < 40 else "v2")) for k in range(80)]
    obs = lm.open(put(tmp_path / "s", traces), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate="prompt_version=v2", metrics=["error_rate"])
    assert any("ran at different times" in f.text for f in result.findings)


def test_hostile_names_are_only_values(tmp_path):
    traces = [
        trace(f"t{k}", MONDAY + dt.timedelta(minutes=k), call=call("v1" if k % 2 else HOSTILE), scores={HOSTILE: k % 7 / 7},
              feature=HOSTILE, metadata={"it's": HOSTILE}) for k in range(60)
    ]  # fmt: skip
    obs = lm.open(put(tmp_path / "s", traces), threads=1)
    result = gate(obs, baseline="prompt_version=v1", candidate=f"prompt_version={HOSTILE.strip()}")
    assert "\x1b" not in result.headline and result.arms[1].traces == 30
    assert f"score:{HOSTILE}:judge" in set(result.dimensions["name"])
    assert gate(obs, baseline="prompt_version=v1", candidate=f"prompt_version={HOSTILE},it's={HOSTILE}").arms[1].traces == 30


def test_eval_runs_stand_beside_the_weeks_of_production(tmp_path):
    made = runs("old", GOOD, items=30), runs("new", BAD, seed=2, items=30, at=MONDAY + dt.timedelta(days=7))
    items = [i for _, linked in made for i in linked]
    put(tmp_path / "s", [*made[0][0], *made[1][0], *traffic(n=200)], experiment_items=items)
    frame = eval_runs(lm.open(str(tmp_path / "s"), threads=1))
    assert list(frame.columns) == ["of", "dataset", "run", "at", "metric", "rater", "mean", "low", "high", "n"]
    by = frame[frame["of"] == "eval"].set_index("run")
    values = [row["value"] for one in made[0][0] for row in one["scores"]]
    assert by.loc["old", "mean"] == pytest.approx(np.mean(values)) and by.loc["old", "n"] == 30
    half = 2.0452 * np.std(values, ddof=1) / math.sqrt(30)
    assert by.loc["old", "high"] - by.loc["old", "mean"] == pytest.approx(half, rel=1e-3)
    weeks = frame[frame["of"] == "production"]
    assert weeks["n"].sum() == 200 and weeks["run"].iloc[0] == "2026-W41" and by.loc["old", "dataset"] == "gold"


def test_a_store_without_experiments_has_no_runs(root):
    storekit.put(root, spans=[storekit.span("a")])
    frame = eval_runs(lm.open(root, threads=1))
    assert isinstance(frame, pd.DataFrame) and not len(frame)


# --- the page


@pytest.fixture(scope="module")
def blocked(evals):
    return gate(evals, baseline="experiment=old", candidate="experiment=worse", metrics=NAMES)


def test_the_page_says_the_verdict_the_numbers_and_what_to_read(blocked):
    from llmobs_nb.views import gate_page

    view = gate_page.gate(blocked)
    page = str(view.html)
    assert "✗ " in page and "blocked" in page and "correct (judge)" in page and "n for 80 %" in page
    assert blocked.reading_list[0] in page and "data:image/png" in page and "<script" not in page
    assert view.text.startswith("BLOCKED: experiment=worse is blocked") and "fail: correct (judge)" in view.text
    assert "4 eval runs; production has none of their scores" in page


def test_the_chart_of_runs_draws_each_run_with_its_interval(blocked):
    from llmobs_nb.views import gate_page

    (ax,) = gate_page.runs_chart(blocked).axes
    (bars,) = ax.containers
    assert len(bars.lines[0].get_xdata()) == 4 and ax.get_title(loc="left") == "correct (judge)"


def test_hostile_names_are_escaped_on_the_page(tmp_path):
    from llmobs_nb.views import gate_page

    traces = [
        trace(f"t{k}", MONDAY + dt.timedelta(minutes=k), call=call("v1" if k % 2 else HOSTILE), scores={HOSTILE: k % 7 / 7})
        for k in range(40)
    ]
    obs = lm.open(put(tmp_path / "s", traces), threads=1)
    view = gate_page.gate(gate(obs, baseline="prompt_version=v1", candidate=f"prompt_version={HOSTILE}"))
    assert "<b>v2" not in str(view.html) and "\x1b" not in str(view.html) + view.text
