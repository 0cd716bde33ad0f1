"""What else the incident analysis watches (scores of sessions, stages, tone) and what it holds against what should be live."""

import json
from datetime import timedelta

import incidentkit as kit
import numpy as np
import pandas as pd
import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.incident import expectations as ex
from llmobs_nb.analyses.incident import traces as tr
from llmobs_nb.analyses.incident import wording as wo
from llmobs_nb.analyses.incident.watched import score_metric, score_of
from llmobs_nb.cli import main
from llmobs_nb.errors import UsageError

HOSTILE = "v1\x1b[31m'; DROP TABLE spans --\u202e"


def metrics_of(root) -> pd.DataFrame:
    """One row per trace with the metrics under their names, as the analysis sees them."""
    obs = lm.open(root, threads=1)
    plan = tr.make_plan(obs)
    frame = obs.sql(tr.raw_sql(plan)).set_index("trace_id")
    return frame.rename(columns={f"m{i}": m.name for i, m in enumerate(plan.metrics)})


# Scores of sessions


def session_score(id: str, session: str, value: float, **more) -> dict:
    given = {
        "trace_id": None,
        "session_id": session,
        "name": "solved",
        "rater": "judge",
        "value": value,
        "created_at": kit.MONDAY,
    }
    return storekit.score(id, **(given | more))


def sessions(n: int, project: str = "p", each: int = 3):
    """Sessions of some traces; the last trace by start is s{k}-{each - 1}."""
    for k in range(n):
        for turn in range(each):
            yield kit.trace(f"{project}-s{k}-{turn}", kit.moment(k / 10 + turn / 1000), session_id=f"s{k}", project=project)


def test_a_score_of_a_session_stands_once_at_its_last_trace(tmp_path):
    rng = np.random.default_rng(2)
    given = [(k, float(rng.uniform())) for k in range(40) for _ in range(2)]
    scores = [session_score(f"a{j}", f"s{k}", v) for j, (k, v) in enumerate(given)]
    root = kit.put(tmp_path / "s", sessions(40), scores=scores)
    got = metrics_of(root)["session_score:solved:judge"].dropna()
    wanted = pd.DataFrame(given, columns=["k", "v"]).groupby("k")["v"].mean()
    assert set(got.index) == {f"p-s{k}-2" for k in range(40)}
    np.testing.assert_allclose([got[f"p-s{k}-2"] for k in range(40)], wanted)


def test_sessions_of_one_name_in_two_projects_are_two(tmp_path):
    scores = [session_score(f"a{k}", f"s{k}", float(k % 2)) for k in range(30)]
    root = kit.put(tmp_path / "s", [*sessions(30, each=1), *sessions(30, "other", each=1)], scores=scores)
    got = metrics_of(root)["session_score:solved:judge"].dropna()
    assert got.to_dict() == {f"p-s{k}-0": float(k % 2) for k in range(30)}


def test_a_score_of_a_trace_that_knows_its_session_stays_the_trace_s(tmp_path):
    scores = [session_score(f"a{k}", f"s{k}", float(k % 2), trace_id=f"p-s{k}-0") for k in range(30)]
    got = metrics_of(kit.put(tmp_path / "s", sessions(30), scores=scores))
    assert got["score:solved:judge"].dropna().to_dict() == {f"p-s{k}-0": float(k % 2) for k in range(30)}
    assert not [c for c in got.columns if c.startswith("session_score")]


def test_of_scores_of_sessions_three_count_that_have_thirty_values_which_differ(tmp_path):
    wanted = {
        ("few", "judge"): 29,
        ("a", "judge"): 33,
        ("b", "user"): 40,
        ("c", "human"): 39,
        ("d", "code"): 31,
        ("same", "user"): 50,
    }
    scores = [
        session_score(f"{name}{k}", f"s{k}", 1.0 if name == "same" else float(k % 2), name=name, rater=rater)
        for (name, rater), n in wanted.items() for k in range(n)
    ]  # fmt: skip
    root = kit.put(tmp_path / "s", sessions(50, each=1), scores=scores)
    plan = tr.make_plan(lm.open(root, threads=1))
    assert [m.name for m in plan.metrics if m.is_score] == [
        "session_score:a:judge", "session_score:b:user", "session_score:c:human",
    ]  # fmt: skip


def test_sessions_that_went_worse_are_found_and_counted_once(tmp_path):
    rng = np.random.default_rng(7)
    traces, scores, late = [], [], 0
    for k in range(28 * 40):
        feature, day = f"f{rng.integers(3)}", k / 40
        bad = feature == "f1" and day >= 16
        for turn in range(int(rng.integers(1, 4))):
            traces.append(kit.trace(f"s{k}-{turn}", kit.moment(day + turn / 2000), session_id=f"s{k}", feature=feature, call={}))
        value = float(np.clip(rng.normal(0.5 if bad else 0.8, 0.1), 0, 1))
        scores.append(session_score(f"a{k}", f"s{k}", value, created_at=kit.moment(day)))
        late += bad
    result = lm.incident(lm.open(kit.put(tmp_path / "s", traces, scores=scores), threads=1))
    assert (result.verdict, result.metric, result.direction) == ("incident", "session_score:solved:judge", "down")
    assert result.causes[0].where == {"feature": "f1"}
    assert abs(result.onset.time - kit.moment(16)) <= timedelta(days=1)
    assert result.after.n == late and result.after.value == pytest.approx(0.5, abs=0.05)
    assert result.exemplars["value"].notna().all()


@pytest.mark.parametrize("name", ["q", "a:b", "session_score:x", "score:y", "it's"])
@pytest.mark.parametrize("session", [True, False])
def test_name_and_rater_can_be_read_back_from_the_metric_of_a_score(name, session):
    metric = score_metric(name, "judge", 0, 1, session=session)
    assert metric.is_score and score_of(metric) == (name, "judge")


def test_other_metrics_are_no_scores():
    assert not lm.metric("scored", sql="max(cost_usd)", unit="usd").is_score


# Stages and ceilings


def test_an_answer_without_a_finish_reason_is_neither_cut_nor_whole(tmp_path):
    calls = {"cut": "length", "whole": "stop", "unknown": None}
    got = metrics_of(kit.put(tmp_path / "s", [kit.trace(n, kit.MONDAY, call={"finish_reason": r}) for n, r in calls.items()]))
    assert got["length_rate"].dropna().to_dict() == {"cut": 1.0, "whole": 0.0}


def test_a_stage_that_became_slower_is_found_where_the_request_did_not_wait_for_it(tmp_path):
    rng = np.random.default_rng(5)

    def traces():
        for k in range(28 * 60):
            name, at, feature = f"t{k}", kit.moment((k + 0.5) / 60), f"f{rng.integers(3)}"
            one = kit.trace(
                name,
                at,
                feature=feature,
                call={"latency_ms": float(rng.lognormal(6, 0.3))},
                latency_ms=float(rng.lognormal(7, 0.3)),
            )
            slow = 2.0 if feature == "f1" and k >= 16 * 60 else 1.0
            took = {
                "kind": "tool",
                "latency_ms": slow * float(rng.lognormal(5, 0.3)),
                "feature": feature,
                "source": "test",
                "project": "p",
            }
            one["spans"].append(storekit.span(f"{name}/t", trace_id=name, parent_id=f"{name}/r", start_time=at, **took))
            yield one

    result = lm.incident(lm.open(kit.put(tmp_path / "s", traces()), threads=1))
    assert (result.verdict, result.metric, result.unit, result.direction) == ("incident", "tool_latency_ms", "ms", "up")
    assert result.causes[0].where == {"feature": "f1"}
    assert abs(result.onset.time - kit.moment(16)) <= timedelta(days=1)


# Tone


NEGATIVE = (
    "Sorry for the wait, here is your invoice", "I'm afraid that this is closed.", "We’re afraid not.", "Unfortunately it is gone.",
    "We apologise for that.", "I sincerely apologize.", "Apologies for the delay.", "I could not find the order.",
    "we couldn’t load it", "I was unable to open the file", "Something went wrong on our side.", "That is your own fault.",
    "You should have read the terms.", "We regret to tell you", "Regrettably, no.", "x" * 380 + " unfortunately",
)  # fmt: skip
ORDINARY = (
    "No problem, here is your invoice.", "You're welcome!", "Happy to help: open the settings.", "If the upload failed, try it again.",
    "You should have received a mail by now.", "Could you not find the page? It is under Billing.", "Correct your error message here.",
    "This feature is regretted by none.", "You can dispute a faulty charge.", "It fails over to the second region.", "",
    "No apology is needed.", "x" * 400 + " unfortunately",
)  # fmt: skip
REFUSED = ("I'm sorry, I cannot help with that.", "We cannot share this.")
LATE = "y" * 200 + " I'm sorry, I cannot help"


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(refusal, tone) of each answer as the analysis tells it; by None that of a call without an answer."""
    texts = dict(enumerate((*NEGATIVE, *ORDINARY, *REFUSED, LATE, None)))
    traces = [kit.trace(f"t{k}", kit.MONDAY, call={}, texts={"input": "?", "output": t}) for k, t in texts.items()]
    obs = lm.open(kit.put(tmp_path_factory.mktemp("said") / "s", traces), threads=1)
    names = [m.name for m in wo.metrics(())]
    assert names == ["refusal_rate", "negative_tone_rate"]
    with obs.kept(tr.RAW, tr.raw_sql(tr.make_plan(obs))):
        frame = obs.sql(wo.texts_sql((), 7)).set_index("trace_id")
    return {t: tuple(frame.loc[f"t{k}", ["m7", "m8"]]) for k, t in texts.items()}


@pytest.mark.parametrize("text", NEGATIVE)
def test_regret_failure_and_blame_are_a_negative_tone(said, text):
    assert said[text][1] == 1


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_answers_and_what_comes_late_in_one_are_not(said, text):
    assert said[text] == (0, 0)


def test_a_refusal_is_told_by_the_first_words_and_the_tone_by_more_of_them(said):
    assert [said[t][0] for t in REFUSED] == [1, 1]
    assert said[LATE] == (0, 1)
    assert sum(refused for refused, _ in map(said.get, NEGATIVE)) == 1  # I'm afraid
    assert all(np.isnan(v) for v in said[None])


# What should be live


def calls(days: int = 10, per_day: int = 100, of=lambda k: {}):
    """Calls of two prompts in two features, all with model m-1 and version 1; ``of`` changes what the k-th says."""
    for k in range(days * per_day):
        half = "ab"[k % 2]
        call = {"model_requested": "m", "model": "m-1", "prompt_name": f"p-{half}", "prompt_version": "1", "provider": "x"}
        changes = of(k)
        root = {"feature": f"f-{half}"} | {c: changes[c] for c in ("environment", "purpose") if c in changes}
        yield kit.trace(f"t{k:05d}", kit.moment(k / per_day), call=call | changes, **root)


def warned(root, expected, **plan) -> list[str]:
    """The texts of the findings about what should be live."""
    obs = lm.open(root, threads=1)
    return [f.text for f in ex.differing(obs, tr.make_plan(obs, expected=ex.find_expected(obs, expected), **plan))]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A store in which every 50th call is of another model, and prompt a is at version 2 since day 8."""

    def of(k):
        return {"model": "m-2" if k % 50 == 7 else "m-1", "prompt_version": "2" if k >= 800 and k % 2 == 0 else "1"}

    return kit.put(tmp_path_factory.mktemp("plain") / "s", calls(of=of))


def test_calls_that_carry_another_model_than_declared_are_counted(plain):
    assert warned(plain, {"model": "m-1"}) == ["model: 14 of 700 calls in the last 7 days are not m-1 but m-2"]
    assert warned(plain, {"model": ["m-1", "m-2"]}) == []
    assert warned(plain, None) == []


def test_a_declaration_of_one_prompt_or_feature_goes_before_that_of_all(plain):
    assert warned(plain, {"prompt_version": {"p-a": ["1", 2]}}) == []
    assert warned(plain, "prompt_version=p-a:1, prompt_version=f-a:3, prompt_version=p-a:2, prompt_version=2") == [
        "prompt_version of f-a: there is no call in the last 7 days to compare with 3",
        "prompt_version: 350 of 350 calls in the last 7 days are not 2 but 1",
    ]
    assert warned(plain, {"prompt_version": {"f-a": "1"}}) == [
        "prompt_version of f-a: 100 of 350 calls in the last 7 days are not 1 but 2"
    ]


def test_text_and_mapping_say_the_same(plain):
    obs = lm.open(plain, threads=1)
    text = "model=m-1, prompt_version=p-a:1,prompt_version=p-a:2 , model_requested=f-b:m"
    mapping = {"model": "m-1", "prompt_version": {"p-a": ("1", "2")}, "model_requested": {"f-b": "m"}}
    assert ex.find_expected(obs, text) == ex.find_expected(obs, mapping)
    assert ex.find_expected(obs, "") == ex.find_expected(obs, None) == ()


def test_the_colon_in_the_name_of_a_model_is_its_own(plain):
    (one,) = ex.find_expected(lm.open(plain, threads=1), "model=ft:m-1:org")
    assert (one.values, one.column) == (("ft:m-1:org",), "")
    (one,) = ex.find_expected(lm.open(plain, threads=1), "model=p-a:ft:m-1:org")
    assert (one.values, one.column, one.name) == (("ft:m-1:org",), "prompt_name", "p-a")


@pytest.mark.parametrize(("wrong", "warns"), [(0, 0), (1, 0), (2, 1)])
def test_one_call_in_a_thousand_is_let_go(tmp_path, wrong, warns):
    root = kit.put(tmp_path / "s", calls(5, 200, lambda k: {"model": "m-2" if k < wrong else "m-1"}))
    found = warned(root, {"model": "m-1"})
    assert len(found) == warns
    assert not warns or found[0].startswith("model: 2 of 1,000 calls in the last 5 days are not")


def test_only_calls_of_the_product_that_say_it_in_the_last_week_are_compared(tmp_path):
    def of(k):
        other = {3: {"environment": "staging"}, 5: {"purpose": "judging"}, 7: {"model": None}}.get(k % 10, {})
        return {"model": "m-1" if k >= 300 and not other else "m-2", "environment": "production"} | other

    assert warned(kit.put(tmp_path / "s", calls(of=of)), {"model": "m-1"}) == []
    found = warned(str(tmp_path / "s"), {"model": "m-2"})
    assert found == ["model: 490 of 490 calls in the last 7 days are not m-2 but m-1"]


def test_where_no_call_says_what_was_declared_that_is_told_too(plain):
    obs = lm.open(plain, threads=1)
    plan = tr.make_plan(obs, expected=ex.find_expected(obs, {"model": {"f-a": "m-1"}}))
    (found,) = ex.differing(obs.where(feature="f-b"), plan)
    assert (found.severity, found.count) == ("info", 0)
    assert found.text == "model of f-a: there is no call in the last 7 days to compare with m-1"


def test_values_from_outside_are_clean_and_only_the_most_frequent_are_named(tmp_path):
    names = [HOSTILE] * 20 + ["b"] * 9 + ["c"] * 8 + ["d", "e"]
    root = kit.put(tmp_path / "s", calls(1, 100, lambda k: {"model": names[k] if k < len(names) else HOSTILE + "2"}))
    (found,) = warned(root, {"model": HOSTILE + "2"})
    clean = "v1'; DROP TABLE spans --"
    assert found == f"model: 39 of 100 calls in the last day are not {clean}2 but {clean} (20), b (9), c (8), 2 more"


@pytest.mark.parametrize(("expected", "told"), [
    ({"modle": "m-1"}, r"expected='modle' is not known; choose one of: model, model_requested, prompt_version"),
    ("provider=x", r"expected='provider' is not known; choose one of: model, model_requested, prompt_version"),
    ("m-1", r"expected='m-1': 'm-1' has no '='; write model=NAME or prompt_version=PROMPT:VERSION"),
    (["model"], r"expected=\['model'\] is no mapping; give one of model, model_requested, prompt_version with its value"),
    ({"model": None}, r"expected: model=None holds no value; give a text, a list of texts, or a mapping"),
    ({"model": []}, r"expected: model=\[\] holds no value; give a text"),
    ("model=", r"expected: model=\[''\] holds no value; give a text"),
    ({"prompt_version": {"p-c": "1"}}, r"expected: prompt_version of 'p-c': no call has a prompt or a feature of that name; choose one of: f-a, f-b, p-a, p-b"),
    ("prompt_version=p-c:1", r"expected: prompt_version of 'p-c': no call has a prompt or a feature of that name; choose one of: f-a, f-b"),
])  # fmt: skip
def test_an_expectation_that_cannot_be_read_names_key_value_choices_and_cure(plain, expected, told):
    with pytest.raises(UsageError, match=told):
        lm.incident(lm.open(plain, threads=1), expected=expected)


def test_where_nothing_has_a_name_the_error_says_to_leave_it_out(tmp_path):
    root = kit.put(tmp_path / "s", [kit.trace("t", kit.MONDAY, call={"model": "m"})])
    with pytest.raises(
        UsageError, match=r"no call has a prompt or a feature of that name; choose one of: none \(leave the name out\)"
    ):
        ex.find_expected(lm.open(root, threads=1), {"model": {"f": "m"}})


# What labels say is live


def labelled(root, *versions, kind="list_text"):
    """A store of calls, prompt a at version 2 from day 8 on, and versions of prompts with labels."""
    of = lambda k: {"prompt_version": "2" if k >= 240 and k % 2 == 0 else "1"}  # noqa: E731
    prompts = [{"name": n, "version": v, "labels": told, "first_seen": kit.moment(day)} for n, v, told, day in versions]
    storekit.put(root, extra={"prompts": {"labels": kind}}, prompts=prompts)
    return kit.put(root, calls(per_day=30, of=of))


def test_a_label_says_what_is_live_from_its_first_use_on(tmp_path):
    root = labelled(tmp_path / "s", ("p-a", "2", ["production", "latest"], 2), ("p-b", "1", ["production"], 0))
    assert warned(root, None) == []
    (one, _) = ex.find_expected(lm.open(root, threads=1), None)
    assert (one.name, one.values, one.labelled) == ("p-a", ("2",), True)
    assert one.since == kit.moment(8) + timedelta(milliseconds=5)


def test_calls_that_do_not_carry_the_version_that_is_labelled_live_are_told(tmp_path):
    root = labelled(tmp_path / "s", ("p-a", "1", ["live"], 0), ("p-b", "9", ["production"], 5), ("p-c", "1", ["production"], 0))
    assert warned(root, None) == [
        "prompt_version of p-a: 30 of 105 calls in the last 7 days are not 1, which is labelled live, but 2",
        "prompt_version of p-b: 75 of 75 calls in the last 7 days are not 9, which is labelled live, but 1",
    ]


def test_what_was_declared_goes_before_labels_and_other_labels_say_nothing(tmp_path):
    root = labelled(tmp_path / "s", ("p-a", "1", '["production"]', 0), ("p-b", "9", "latest, non-production", 0), kind="text")
    assert warned(root, {"prompt_version": {"f-a": ["1", "2"]}}) == []
    assert len(warned(root, None)) == 1


# The answer


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The answer about a product in which version 2 of one prompt was not to be, and a model never was."""
    root = kit.put(tmp_path_factory.mktemp("answer") / "s", kit.product(days=23, per_day=50))
    return lm.incident(
        lm.open(root, threads=1), expected={"model": {"f1": "m-0"}, "model_requested": "m", "prompt_version": {"p-f1": "1"}}
    )


def test_the_checklist_holds_each_trace_against_what_was_declared(result):
    checks = result.checklist.set_index(["check", "trace_id"])
    feature = {r.trace_id: r for r in result.exemplars.itertuples()}
    assert result.verdict == "incident" and len(feature) > 3
    asked, model, version = (checks.loc[c] for c in ("model requested", "model", "prompt version"))
    assert set(asked["verdict"]) == {"ok"} and set(asked["usual"]) == {"declared: m"}
    wrong = model[model["verdict"] == "wrong"]
    assert set(wrong["usual"]) == {"declared: m-0"} and set(wrong["value"]) == {"m-1"}
    others = model[model["verdict"] != "wrong"]
    assert set(others["usual"]) == {"m-1"}
    held = version.loc[wrong.index]
    assert set(held["usual"]) == {"declared: 1"}
    assert ((held["verdict"] == "ok") == (held["value"] == "1")).all()
    assert not set(version.drop(wrong.index)["usual"]) & {"declared: 1"}


def test_parameters_and_findings_tell_what_was_declared(result):
    assert result.json()["parameters"]["expected"]["prompt_version"] == {"p-f1": "1"}
    texts = [f.text for f in result.findings if f.severity == "warning"]
    assert len(texts) == 2
    assert texts[0].startswith("model of f1: ") and texts[0].endswith("are not m-0 but m-1")
    assert texts[1].startswith("prompt_version of p-f1: ") and texts[1].endswith("are not 1 but 2")


def test_a_trace_is_wrong_when_any_of_its_calls_is(tmp_path):
    one = kit.trace("t", kit.MONDAY, call={"model": "m-1"})
    one["spans"].append(
        storekit.span("t/early", trace_id="t", parent_id="t/r", model="m-0", start_time=kit.MONDAY, source="test", project="p")
    )
    obs = lm.open(kit.put(tmp_path / "s", [one, kit.trace("u", kit.MONDAY, call={"model": None})]), threads=1)
    expected = ex.find_expected(obs, {"model": "m-1"})
    assert ex.compared(obs, expected, ["t", "u"]) == {("t", "model"): (False, "m-0", "declared: m-1")}
    assert ex.compared(obs, expected, []) == ex.compared(obs, (), ["t"]) == {}


def test_the_command_line_takes_expectations_one_by_one(plain, capsys):
    asked = ["incident", "--store", plain, "--json", "--quiet", "--expected", "model=m-1", "--expected", "prompt_version=p-a:1"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"]["expected"] == "model=m-1, prompt_version=p-a:1"
    assert [f["count"] for f in told["findings"] if "are not" in f["text"]] == [14, 100]


def test_the_command_line_says_what_is_wrong_with_an_expectation(plain, capsys):
    assert main(["incident", "--store", plain, "--expected", "model"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("llmobs: expected='model': 'model' has no '='; write model=NAME")
