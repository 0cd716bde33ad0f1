"""A map from a judge's score to what humans pass, made by a calibration and used by the weekly review."""

import json
from datetime import timedelta

import duckdb
import numpy as np
import pytest
from weeklykit import DAY, MONDAY, Store, score, span

from llmobs_nb.analyses.calibration.maps import FORMAT, apply_map, map_sql
from llmobs_nb.analyses.weekly import weekly
from llmobs_nb.errors import InputError, UsageError

STEPS = {"format": FORMAT, "score": "helpful", "kind": "isotonic", "scores": [0.2, 0.5, 0.9], "probabilities": [0.1, 0.4, 0.8]}
CURVE = {"format": FORMAT, "score": "helpful", "kind": "platt", "intercept": -2.0, "slope": 5.0}


@pytest.fixture(scope="module")
def store():
    names = [(d, j) for d in range(14) for j in range(12)]
    spans = [span(f"t{d}-{j}", MONDAY + d * DAY + timedelta(minutes=10 * j)) for d, j in names]
    return Store(spans, [score(f"t{d}-{j}", ((j + d) % 11) / 10) for d, j in names])


@pytest.mark.parametrize("map", [STEPS, CURVE], ids=["isotonic", "platt"])
def test_the_map_in_sql_is_the_map(map):
    values = np.concatenate([np.linspace(-0.2, 1.2, 57), STEPS["scores"]])
    listed = ", ".join(f"({i}, {v!r}::DOUBLE)" for i, v in enumerate(values.tolist()))
    found = duckdb.sql(f"SELECT {map_sql(map)} AS p FROM (VALUES {listed}) t(i, value) ORDER BY i").fetchall()
    assert [p for (p,) in found] == pytest.approx(apply_map(map, values), abs=1e-12)


@pytest.mark.parametrize("map", [STEPS, CURVE], ids=["isotonic", "platt"])
def test_the_review_shows_what_the_scores_mean_in_answers_that_pass(store, map, tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(map))
    for given in (map, str(path)):
        kpis = weekly(store, week="2026-W42", judge_map=given).kpis
        found = kpis[kpis["name"] == "score:helpful calibrated:judge"].iloc[0]
        values = [((j + d) % 11) / 10 for d in range(7, 14) for j in range(12)]
        assert found["this_value"] == pytest.approx(apply_map(map, values).mean())
        assert found["this_n"] == len(values)


def test_a_map_of_another_score_is_named_with_those_there_are(store):
    with pytest.raises(UsageError, match=r"judge_map: the score 'tone' is not in the weeks under review; there are: helpful"):
        weekly(store, week="2026-W42", judge_map=STEPS | {"score": "tone"})


def test_a_file_that_is_no_map_is_refused(store, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="is no map of scores; write one with save_map"):
        weekly(store, week="2026-W42", judge_map=str(tmp_path / "x.json"))
