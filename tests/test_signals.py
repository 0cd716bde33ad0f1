"""Hallucination signals over a small product in which it is known what each answer does wrong."""

import datetime as dt
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.sampling.texts import Exchange, answered, asked
from llmobs_nb.analyses.signals import measures, signals, week
from llmobs_nb.analyses.weekly.company import USUAL
from llmobs_nb.analyses.weekly.plan import plan_days
from llmobs_nb.errors import UsageError
from llmobs_nb.reports.checker import check
from llmobs_nb.views import stakeholder_sentences as sentences
from llmobs_nb.views.weekly_signals import section
from llmobs_nb.views.weekly_traces import names
from llmobs_nb.windows import Window, back

MONDAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
FACTS = (
    "Refunds are paid within 14 days of the return of the goods. The form is called Return slip and stands under Billing. "
    "A return is free of charge for members of the club; all other customers pay 4.90 euros for the parcel."
)
GOOD = "Refunds are paid within 14 days of the return of the goods; the form stands under Billing [kb-1]."
CITES = "Refunds are paid within 14 days of the return of the goods; the form stands under Billing [kb-9]."
INVENTS = "Every astronaut gets a golden watch from our lawyers on Christmas morning, with velvet lining."
CONTRADICTS = "The refund takes 14 days for customers. The refund takes 30 days for customers."


# Of two answers of the last week that have little in common with their context: where they open, and what must be no link.
URLS = {"t0227": "https://eu.cloud.example/trace/7", "t0237": "javascript:alert(1)"}


def exchange(name: str, at: dt.datetime, answer: str, *, question: str | None = None, documents: str | None = FACTS, **root):
    """The rows of one trace: a root with its texts, a retriever with documents and an id, a call."""
    base = {"trace_id": name, "start_time": at, "end_time": at + dt.timedelta(seconds=1)}
    question = question or f"Question {name} about refunds?"
    given = {"retrieval_ids": ["kb-1", "kb-2"]}
    parts = [
        ("r", {"kind": "chain", "session_id": f"s-{name}", "input_hash": question, **root}, question, answer),
        ("k", {"kind": "retriever", "parent_id": "r", **given}, question, documents),
        ("c", {"kind": "llm", "parent_id": "r", "model": "gpt-4o"}, question, answer),
    ]
    spans = [storekit.span(span_id, **base, **fields) for span_id, fields, _, _ in parts]
    texts = [
        {"trace_id": name, "span_id": i, "source": "test", "project": "p", "input": asked, "output": told, "updated_at": at, "day": at.date()}
        for i, _, asked, told in parts
    ]  # fmt: skip
    return spans, texts


def build(root, answers, **more) -> lm.Observations:
    """A store with (day, answer) traces, in order."""
    spans, payloads = [], []
    for k, (day, answer) in enumerate(answers):
        name, at = f"t{k:04d}", MONDAY + dt.timedelta(days=day, minutes=k % 1400)
        one = exchange(name, at, answer, source_url=URLS.get(name))
        spans += one[0]
        payloads += one[1]
    storekit.put(root, spans=spans, payloads=payloads, **more)
    return lm.open(root, threads=1)


@pytest.fixture(scope="module")
def moved(tmp_path_factory) -> lm.Observations:
    """Five weeks: sound answers, and in the last week three in ten that cite what is not there."""
    before = [(d, GOOD) for d in range(28) for _ in range(8)]
    last = [(28 + k % 7, CITES if k % 10 < 3 else INVENTS if k % 10 == 3 else GOOD) for k in range(100)]
    rated = [
        storekit.score("u1", trace_id="t0224", name="thumbs", value=0.0, rater="user", comment="This is made up!"),
        storekit.score("u2", trace_id="t0225", name="thumbs", value=0.0, rater="user", comment="too slow"),
        storekit.score("u3", trace_id="t0226", name="thumbs", value=0.0, rater="user", label="down"),
        storekit.score("u4", trace_id="t0227", name="thumbs", value=1.0, rater="user", label="up"),
    ]
    return build(str(tmp_path_factory.mktemp("signals") / "store"), before + last, scores=rated)


@pytest.fixture(scope="module")
def whole(moved):
    """The signals of all traces of the last week."""
    return signals(moved)


def test_each_signal_has_its_own_column_and_is_null_where_it_does_not_apply(whole):
    rows = whole.traces.set_index("trace_id")
    assert rows.loc["t0224", "unknown_citation"] == 1 and rows.loc["t0228", "unknown_citation"] == 0
    assert rows.loc["t0227", "low_overlap"] == 1 and rows.loc["t0228", "low_overlap"] == 0
    assert np.isnan(rows.loc["t0227", "unknown_citation"])
    assert rows["disagreement"].isna().all() and rows["low_confidence"].isna().all() and rows["external"].isna().all()
    assert list(rows.loc[["t0224", "t0225", "t0226", "t0227"], "user_report"]) == [1, 0, 0.5, 0]
    assert rows["user_report"].notna().sum() == 4


def test_what_got_worse_is_called_and_names_its_traces(whole):
    by = {p.name: p for p in whole.prevalences}
    cites = by["unknown_citation"]
    assert cites.verdict == "worse" and cites.q < 0.05
    assert cites.this.value == pytest.approx(30 / 90) and cites.before.value == 0
    assert set(cites.traces) <= {f"t{224 + k:04d}" for k in range(100) if k % 10 < 3}
    assert by["hedging"].verdict == "cannot_tell" and by["hedging"].change.ci_high > 0.02  # 0 of 90 may still be 4 %
    assert not by["contradiction"].this.ok and by["contradiction"].this.reason == "it applies to no trace"
    assert "cites what was not retrieved" in whole.headline


def test_the_risk_is_renormalised_over_what_is_known_and_null_where_nothing_is():
    known = dict.fromkeys(measures.NAMES)
    assert measures.risk(known, measures.SEED_WEIGHTS) is None
    assert measures.risk(known | {"hedging": 1.0}, measures.SEED_WEIGHTS) is None
    assert measures.risk(known | {"unknown_citation": 1.0, "low_overlap": 0.5}, measures.SEED_WEIGHTS) == pytest.approx(0.5 / 0.7)
    full = known | {"unknown_citation": 1.0, "low_overlap": 0.5, "contradiction": 0.0}
    assert measures.risk(full, measures.SEED_WEIGHTS) == pytest.approx(0.5)
    assert [measures.band(v, (0.5, 0.7)) for v in (None, 0.49, 0.5, 0.69, 0.7)] == [None, "low", "medium", "medium", "high"]


def test_the_traces_at_high_risk_are_read_first_and_counted(whole):
    high = whole.traces[whole.traces["band"] == "high"]
    assert len(high) == 10 and set(whole.reading_list[:10]) == set(high["trace_id"])
    assert (whole.high_risk.value, whole.high_risk.ci_low, whole.high_risk.ci_high) == (10, 10, 10)


def test_a_smaller_sample_is_random_and_its_intervals_hold_the_whole(moved, whole):
    part = signals(moved, sample=60, seed=3)
    assert 30 < len(part.traces) < 90
    assert set(part.traces["trace_id"]) < set(whole.traces["trace_id"])
    name = "unknown_citation"
    truth, told = (next(p.this for p in r.prevalences if p.name == name) for r in (whole, part))
    assert told.ci_low < truth.value < told.ci_high
    assert part.traces["inclusion_prob"].iloc[0] == pytest.approx(0.6)
    assert list(signals(moved, sample=60, seed=3).traces["trace_id"]) == list(part.traces["trace_id"])
    assert any("drawn at random" in f.text for f in part.findings)


def test_weights_and_bands_are_the_user_s(moved):
    result = signals(moved, weights={"user_report": 1}, bands=(0.3, 0.9))
    rows = result.traces.set_index("trace_id")
    assert rows["risk"].notna().sum() == 4
    assert list(rows.loc[["t0224", "t0225", "t0226"], "band"]) == ["high", "low", "medium"]


def test_a_check_of_the_user_s_own_is_a_column_and_its_failures_are_counted(moved):
    def check(question, answer, context):
        if answer == INVENTS:
            raise RuntimeError("no \x1b[31mnet")
        return None if answer == GOOD else True

    result = signals(moved, validate=check, weights={"external": 1})
    rows = result.traces.set_index("trace_id")
    assert rows.loc["t0224", "external"] == 1
    assert np.isnan(rows.loc["t0227", "external"]) and np.isnan(rows.loc["t0228", "external"])
    finding = next(f for f in result.findings if f.severity == "warning")
    assert finding.count == 10 and finding.text == "validate failed on 10 answers (such as: RuntimeError: no net)"
    assert any(p.name == "external" for p in result.prevalences)


def test_a_check_that_gives_no_risk_is_a_failure_that_says_so():
    with pytest.raises(ValueError, match=r"validate gave 7; a risk is a number from 0 to 1, true, false or None"):
        measures.external(Exchange("s", "p", "t", answer="x"), lambda *_: 7)


def test_contradiction_and_disagreement_are_found_in_the_store(root):
    spans, payloads = exchange("a", MONDAY, CONTRADICTS, question="How long?")
    for name, days, question in (("b", 14, "How long?"), ("c", 30, "how LONG"), ("d", 14, "How long?")):
        more = exchange(name, MONDAY + dt.timedelta(hours=1), f"The limit is {days} days for every customer.", question=question)
        spans, payloads = spans + more[0], payloads + more[1]
    storekit.put(root, spans=spans, payloads=payloads)
    rows = signals(lm.open(root, threads=1)).traces.set_index("trace_id")
    assert rows.loc["a", "contradiction"] == 1
    assert rows.loc["c", "disagreement"] == pytest.approx(2 / 3)
    assert rows.loc["b", "disagreement"] == pytest.approx(1 / 3)


def test_an_empty_store_says_so_and_gives_no_number(root):
    storekit.put(root, scores=[storekit.score("a")])
    result = signals(lm.open(root, threads=1))
    assert result.headline == "No traces of the product in the window: there is nothing to look at."
    assert result.traces.empty and not result.high_risk.ok and result.prevalences == ()
    json.dumps(result.json(), allow_nan=False)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"weights": {"halucination": 1}}, r"weights='halucination' is not known; choose one of: unknown_citation, low_overlap"),
        ({"weights": {"hedging": -1}}, r"weights: hedging=-1 is no weight; give a number from 0 on"),
        ({"weights": {}}, r"weights: all are 0; give at least one signal a weight"),
        ({"bands": (0.7, 0.5)}, r"bands=\(0.7, 0.5\) are not in order; give where medium and high begin, such as \(0.5, 0.7\)"),
        ({"sample": 0}, r"sample=0 is too small; give how many traces to look at, such as 2000"),
        ({"since": "2026-11-01", "until": "2026-10-01"}, r"since='2026-11-01' is not before until='2026-10-01'; swap them"),
    ],
)
def test_wrong_use_is_an_error_that_names_the_cure(moved, told, error):
    with pytest.raises(UsageError, match=error):
        signals(moved, **told)


def test_every_number_is_a_claim_and_json_is_strict(whole):
    document = json.loads(json.dumps(whole.json(), allow_nan=False))
    claims = {c["id"]: c for c in whole.claims()}
    assert len(claims) == len(whole.claims())
    for told in document["signals"]:
        for at in ("this", "before", "change"):
            assert claims[f"signals.{told['name']}.{at}"]["value"] == told[at]["value"]
    assert claims["signals.high_risk"]["value"] == 10


def test_texts_of_chat_requests_are_read_as_the_user_s_question_and_the_answer():
    body = json.dumps({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How long?"}]})
    assert asked(body) == "How long?"
    assert answered(json.dumps({"choices": [{"message": {"role": "assistant", "content": "14 days"}}]})) == "14 days"
    assert (asked("[1] is what?"), answered('{"total": 3}'), asked(None)) == ("[1] is what?", '{"total": 3}', "")


def test_signals_of_real_agent_trials_stay_in_range(shared_data):
    path = shared_data / "agent" / "taubench_gpt4o_airline.json"
    if not path.is_file():
        pytest.skip("the real agent trials of ../shared/data are not here")
    trials = json.loads(path.read_text())[:40]
    for trial in trials:
        said = [m["content"] for m in trial["traj"] if m["role"] == "assistant" and m.get("content")]
        seen = "\n".join(m["content"] for m in trial["traj"] if m["role"] == "tool" and m.get("content"))
        values = measures.measure(Exchange("s", "p", "t", answer="\n".join(said), context=seen), (), None)
        assert values["low_overlap"] is None or 0 <= values["low_overlap"] <= 1
        assert values["hedging"] is not None


def test_the_page_says_everything_without_a_script_and_tames_what_is_hostile(whole):
    from llmobs_nb.views.signals_page import signals as page

    hostile = whole.traces.assign(trace_id=[f"<img src=x onerror=alert(1)>\x1b[31m{t}" for t in whole.traces["trace_id"]])
    worst = hostile.sort_values("risk", ascending=False)["trace_id"].head(3)
    view = page(replace(whole, traces=hostile, reading_list=tuple(worst)))
    assert "<script" not in view.html and "<img src=x" not in view.html and "\x1b" not in view.html + view.text
    for p in whole.prevalences:
        assert p.label in view.html and p.label in view.text
    assert view.html.count("data:image/png") == 2 and "Signs, not proof" in view.html
    assert view.widget is None


def test_the_page_of_no_traces_says_so(root):
    from llmobs_nb.views.signals_page import signals as page

    storekit.put(root, scores=[storekit.score("a")])
    view = page(signals(lm.open(root, threads=1)))
    assert "there is nothing to look at" in view.html and "no traces" in view.html


# --- beside the weekly review

LAST = Window(MONDAY + dt.timedelta(days=28), MONDAY + dt.timedelta(days=35), "2026-W45")
PLAN = plan_days(LAST, back(LAST, 1), tz="UTC")


@pytest.fixture(scope="module")
def reviewed(moved):
    """The review of the last week with its signals and nothing else beside it."""
    return lm.weekly(moved, week="2026-W45", beside={"signals": week.beside})


def test_the_usual_review_has_signals_beside_it():
    assert USUAL["signals"] is week.beside


def test_the_review_compares_samples_of_both_weeks_and_says_that_signs_are_no_labels(reviewed):
    told = reviewed.json()["signals"]
    assert told["drawn"] == told["of"] == {"this": 100, "last": 56}
    assert "not labels" in told["note"]
    rows = {r["name"]: r for r in told["rows"]}
    assert list(rows)[:2] == ["band.high", "band.medium"]
    assert (rows["band.high"]["this"]["value"], rows["band.high"]["last"]["value"]) == (0.1, 0)
    assert rows["unknown_citation"]["verdict"] == "worse"
    assert rows["unknown_citation"]["this"]["value"] == pytest.approx(30 / 90)


def test_a_sample_of_the_review_is_bounded_and_says_of_how_many(moved, monkeypatch):
    monkeypatch.setattr(week, "SAMPLE", 30)
    told = week.beside(moved, PLAN)
    assert told["of"] == {"this": 100, "last": 56}
    assert 10 < told["drawn"]["this"] < 60 and 10 < told["drawn"]["last"] < 56
    assert told["rows"][0]["this"]["n"] <= told["drawn"]["this"]


def test_weekdays_that_the_review_leaves_out_are_left_out_of_the_signals(moved):
    told = week.beside(moved, replace(PLAN, kept=(0, 1, 2)))
    assert told["of"] == {"this": 15 + 15 + 14, "last": 3 * 8}  # 100 in turn over seven days; eight a day


def test_the_section_of_the_page_is_covered_by_claims_and_by_a_sentence_for_everybody(reviewed):
    told = reviewed.beside["signals"]
    unsure = [r | {"verdict": "cannot_tell"} for r in told["rows"]]
    assert sentences._invented(replace(reviewed, beside={"signals": told | {"rows": unsure}})) == ()
    html, claims = section(reviewed), week.claims(told)
    assert check(str(html), claims) == []
    assert "nobody validated them" in html and "100 of 100 traces of this week and 56 of 56 traces of last week" in html
    (sentence,) = sentences._invented(reviewed)
    assert "in 10 of every 100 of the answers looked at, 0 of every 100 last week" in re.sub(r"\.\d+", "", sentence.text)
    assert set(sentence.ids) <= {c["id"] for c in claims}


def test_without_texts_the_review_has_no_section_of_signals(root):
    storekit.put(root, spans=[storekit.span("r", trace_id="t", start_time=MONDAY, end_time=MONDAY)])
    assert week.beside(lm.open(root, threads=1), PLAN) == {} and week.claims({}) == []
    assert section(SimpleNamespace(beside={"signals": {}})) == section(SimpleNamespace(beside={})) == ""


def test_traces_that_are_named_open_in_their_product_where_the_address_is_plain(reviewed):
    assert {t: reviewed.urls[t] for t in URLS} == URLS and set(reviewed.urls) == set(URLS)
    assert reviewed.json()["urls"] == URLS
    for html in (names(reviewed, URLS), section(reviewed)):
        assert 'href="https://eu.cloud.example/trace/7"' in html and "javascript:" not in html
