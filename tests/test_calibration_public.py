"""The calibration on public data: a scorer below chance is found without being asked for, people are held against one another."""

import csv
import gzip

import pandas as pd

import llmobs_nb as lm

AT = "2026-01-05T00:00:00Z"
BELOW = ("LLMBar/Adversarial/Neighbor", "ChatGPT/Vanilla_2shot")  # published: 13.4 % right, where a coin has half


def of(trace: str, name: str, value: float, rater: str, who: str) -> dict:
    return {
        "trace_id": trace,
        "name": name,
        "value": value,
        "rater": rater,
        "rater_id": who,
        "created_at": AT,
        "source": "public",
    }


def test_a_judge_below_chance_is_a_finding(shared_data, tmp_path):
    rows = []
    with gzip.open(shared_data / "judge" / "llmbar_judgments.csv.gz", "rt", newline="") as file:
        for r in csv.DictReader(file):
            if (r["subset"], r["evaluator"]) == BELOW:
                rows += [of(r["item"], "better", float(r["label"] == "1"), "human", "gold")]
                rows += [of(r["item"], "better", float(r["winner_orig"] == "1"), "judge", "gpt")] if r["winner_orig"] else []
    result = lm.calibrate(lm.load(scores=pd.DataFrame(rows), store=tmp_path / "s", threads=1))
    assert result.verdict == "do_not_trust"
    assert result.agreement["kappa"].ci_high < 0
    assert any("less than chance would" in f.text for f in result.findings)


def test_people_who_agree_are_the_ceiling(shared_data, tmp_path):
    with open(shared_data / "judge" / "pandalm.csv", newline="") as file:
        found = [r for r in csv.DictReader(file) if r["judge_pandalm7b"]]
    rows = [of(r["idx"], "winner", float(r["judge_pandalm7b"]), "judge", "pandalm") for r in found]
    rows += [of(r["idx"], "winner", float(r[f"annotator{i}"]), "human", f"a{i}") for r in found for i in (1, 2, 3)]
    result = lm.calibrate(lm.load(scores=pd.DataFrame(rows), store=tmp_path / "s", threads=1))
    assert 0.8 < result.ceiling.value < 0.95  # pairwise kappas of .85 to .88 are published
    assert result.n["paired"] == len(found)
