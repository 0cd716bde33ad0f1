"""Scoreboards of versions: side by side, before and after with a control, verdicts, hints, and awkward stores."""

import datetime as dt
import json

import numpy as np
import pytest
import storekit
from incidentkit import MONDAY, moment, put, trace

import llmobs_nb as lm
from llmobs_nb.analyses import versions
from llmobs_nb.errors import UsageError
from llmobs_nb.windows import Window

HOSTILE = "it's <b>v2</b> \x1b[31m"


def traffic(*, days=14, per_day=40, switch=7, canary=0.0, loss=0.0, season=0.0, prompts=("support", "search"), new="v12", seed=1,
            axis="prompt_version"):  # fmt: skip
    """Two prompts; the first goes from v11 to ``new`` on day ``switch`` (a share ``canary`` all the time); ``season`` hits everybody from then on."""
    rng = np.random.default_rng(seed)
    for day in range(days):
        for k in range(per_day):
            prompt = prompts[k % len(prompts)]
            changed = prompt == prompts[0] and (rng.random() < canary if canary else day >= switch)
            value = 0.8 - loss * changed - season * (day >= switch) + rng.normal(0, 0.05)
            call = {
                "cost_usd": float(rng.lognormal(-6, 0.2)),
                "output_chars": int(rng.lognormal(6, 0.2)),
                "model_requested": "gpt",
                "model": "gpt-1",
            }
            if axis == "prompt_version":
                call |= {"prompt_name": prompt, "prompt_version": new if changed else "v11"}
            else:
                call |= {"model_requested": prompt, "model": new if changed else "v11"}
            at = moment(day + (k + 0.5) / per_day)
            yield trace(f"{day}-{k}", at, call=call, scores={"correct": float(np.clip(value, 0, 1))}, feature=prompt, session_id=f"s{day}-{k // 4}",
                        latency_ms=float(rng.lognormal(7, 0.2)))  # fmt: skip


def board(tmp_path, when=None, axis="prompt_version", **world):
    obs = lm.open(put(tmp_path / "s", traffic(axis=axis, **world)), threads=1)
    return versions.scoreboard(obs, when, axis=axis)


def of(rows, metric):
    (one,) = [r for r in rows if r["metric"] == metric]
    return one


SCORE = "score:correct:judge"


def test_a_canary_is_compared_on_the_days_both_ran_and_a_loss_is_rolled_back(tmp_path):
    rows = board(tmp_path, canary=0.5, loss=0.12)
    one = of(rows, SCORE)
    assert (one["name"], one["version"], one["against"], one["design"], one["live"]) == (
        "support",
        "v12",
        "v11",
        "side_by_side",
        True,
    )
    assert one["verdict"] == "worse" and one["change"]["ci_low"] < -0.12 < one["change"]["ci_high"]
    assert one["rollback"].startswith("roll support back to v11: correct (judge) -0.1")
    assert one["change"]["n"] == one["this"]["n"] + one["last"]["n"] == 280
    assert of(rows, "cost_usd")["rollback"] is None and of(rows, "cost_usd")["verdict"] in ("same", "cannot_tell")


def test_a_switch_is_told_apart_from_what_hit_everybody(tmp_path):
    one = of(board(tmp_path, season=0.2), SCORE)
    assert one["design"] == "before_after_with_control" and one["verdict"] == "same"
    assert one["this"]["value"] - one["last"]["value"] < -0.15 and abs(one["change"]["value"]) < 0.03
    assert "net of the rest of traffic" in one["how"]


def test_a_switch_that_hurt_is_rolled_back_net_of_the_rest(tmp_path):
    one = of(board(tmp_path, season=-0.05, loss=0.15), SCORE)
    assert one["verdict"] == "worse" and one["change"]["ci_low"] < -0.15 < one["change"]["ci_high"]
    assert "roll support back to v11" in one["rollback"]


def test_without_other_traffic_only_time_may_have_changed_so_there_is_no_hint(tmp_path):
    one = of(board(tmp_path, loss=0.15, prompts=("support",)), SCORE)
    assert (one["design"], one["verdict"], one["rollback"]) == ("before_after", "worse", None)


def test_models_are_compared_by_what_was_asked_for(tmp_path):
    one = of(board(tmp_path, axis="model", canary=0.5, loss=0.12), SCORE)
    assert (one["axis"], one["name"], one["version"]) == ("model", "support", "v12")
    assert one["rollback"].startswith("pin support to v11:")


def test_no_change_gives_no_better_and_no_worse(tmp_path):
    rows = board(tmp_path, canary=0.5)
    assert {r["verdict"] for r in rows} <= {"same", "cannot_tell"} and of(rows, SCORE)["verdict"] == "same"


def test_the_window_decides_what_is_seen(tmp_path):
    early = Window(MONDAY, MONDAY + dt.timedelta(days=6))
    assert board(tmp_path, when=early) == []


def test_rows_are_strict_json_and_every_number_is_claimed(tmp_path):
    rows = board(tmp_path, canary=0.5, new=HOSTILE, loss=0.12)
    json.dumps(rows, allow_nan=False)
    claims = versions.claims(rows)
    assert len(claims) == 3 * len(rows) == len({c["id"] for c in claims})
    assert all("\x1b" not in c["text"] for c in claims) and "\x1b" not in of(rows, SCORE)["rollback"] + of(rows, SCORE)["label"]


def test_a_version_that_few_have_used_has_no_row(tmp_path):
    assert board(tmp_path, days=14, switch=13, per_day=40) == []


def test_a_review_takes_both_axes(tmp_path):
    from llmobs_nb.analyses.weekly.plan import plan_days
    from llmobs_nb.windows import back, week_of

    obs = lm.open(put(tmp_path / "s", traffic(canary=0.5)), threads=1)
    week = week_of(MONDAY + dt.timedelta(days=7))
    rows = versions.beside(obs, plan_days(week, back(week, 1), tz="UTC"))
    assert {r["axis"] for r in rows} == {"prompt_version"} and of(rows, SCORE)["this"]["n"] > 100


def test_an_empty_store_and_an_unknown_axis(root):
    storekit.put(root, scores=[storekit.score("s")])
    obs = lm.open(root, threads=1)
    assert versions.scoreboard(obs) == []
    with pytest.raises(UsageError, match=r"axis='release' is not known; choose one of: prompt_version, model"):
        versions.scoreboard(obs, axis="release")


def test_the_table_puts_what_to_undo_first(tmp_path):
    from llmobs_nb.views.versions_page import versions_table

    rows = board(tmp_path, canary=0.5, loss=0.12, new=HOSTILE)
    view = versions_table(rows)
    page = str(view.html)
    assert page.index("To undo") < page.index("roll support back to v11") < page.index("<table")
    assert "worse" in page and "The rest (" in page and "<b>v2" not in page and "\x1b" not in page + view.text
    assert "1 versions against their predecessors: 1 of" in view.text


def test_a_table_without_rows_says_why():
    from llmobs_nb.views.versions_page import versions_table

    assert "No prompt or model version has a predecessor" in versions_table([]).text
