"""The KPIs of the review recomputed by hand from small weeks: what is logged shows, what is not is named."""

from datetime import timedelta

import numpy as np
import pytest
from weeklykit import DAY, MONDAY, Store, score, span

from llmobs_nb.analyses.incident import metric
from llmobs_nb.analyses.weekly import weekly
from llmobs_nb.analyses.weekly.levels import detectable
from llmobs_nb.errors import UsageError
from llmobs_nb.stats.estimate import Estimate

BLOCK = '[{"stage": "output", "action": "block", "dimension": "personal_data", "policy": "p-2"}]'
ALLOW = BLOCK.replace("block", "allow")
PER_DAY = 20


def moment(d, j):
    return MONDAY + d * DAY + timedelta(minutes=10 * j)


def payload(trace, at, asked, said):
    return {
        "trace_id": trace,
        "span_id": f"{trace}/r",
        "source": "langfuse",
        "project": "",
        "input": asked,
        "output": said,
        "day": at.date(),
    }


def product():
    """Two weeks of twenty requests a day, two a session, with everything that can be logged; j numbers the requests of a day.

    Every other session lies above the mean by what the next lies below (``sign``).
    """
    spans, scores, texts = [], [], []
    for d in range(14):
        for j in range(PER_DAY):
            t, at = f"t{d}-{j}", moment(d, j) - (timedelta(minutes=9) if j % 2 else timedelta())
            sign = 1 if (j // 2) % 2 else -1
            own = {"session_id": f"s{d}-{j // 2}", "user_id": f"u{j % 5}", "feature": f"f{j % 2}"}
            spans.append(span(t, at, output_chars=9, input_chars=9, **own))
            call = {"tokens_in": 100 + (50 + 10 * sign) * (j % 2) + d, "tokens_out": 101 + sign, "ttft_ms": 100.0, "attempt": 1}
            call["cost_usd"] = 0.01 + 0.001 * sign
            call |= {
                "response_cached": j % 4 == 0,
                "tokens_cache_read": 20,
                "model": "gpt-4o",
                "provider": "openai",
                "model_requested": "gpt-4o",
            }
            spans.append(span(t, at + timedelta(milliseconds=1), root=False, ms=1100.0, **own, **call))
            if j % 5 == 0:
                spans.append(
                    span(t, at + timedelta(milliseconds=2), root=False, **own, attempt=2, status="error", error_class="timeout")
                )
            guard = {"kind": "guardrail", "guardrails": BLOCK if j % 10 == 3 else ALLOW}
            spans.append(span(t, at + timedelta(milliseconds=3), root=False, **own) | guard)
            found = {
                "kind": "retriever",
                "retrieval_ids": [f"doc-{k}{j}" for k in range(4)],
                "retrieval_scores": [0.5 + 0.01 * d, 0.1],
            }
            found |= {"metadata": {"relevant_ids": f'["doc-{0 if sign > 0 else 3}{j}"]' if j % 2 else '["doc-9"]'}}
            spans.append(span(t, at + timedelta(milliseconds=4), root=False, **own) | found)
            for k in range(1 + sign if j % 2 else 0):
                spans.append(span(t, at + timedelta(milliseconds=5 + k), root=False, ms=20.0 + j, **own) | {"kind": "tool"})
            asked = {1: "No, that is not what I asked", 4: '[{"role": "user", "content": "let me talk to a human"}]'}.get(
                j % 10, "hello"
            )
            texts.append(payload(t, at, asked, "I am sorry, I cannot help" if j % 10 == 7 else f"see doc-0{j} and doc-2{j}"))
            if j % 10 == 3:
                scores.append(score(t, j // 10, name="review:verdict", rater="human", label="pass" if j // 10 else "fail"))
            if j % 10 == 2:
                scores.append(score(t, 1.0, name="regenerated", rater="user"))
            scores.append(score(t, float(j % 4 != 1), name="thumbs", rater="user"))
    return spans, scores, texts


@pytest.fixture(scope="module")
def result():
    spans, scores, texts = product()
    return weekly(Store(spans, scores, texts), week="2026-W42", by=("feature",), slo={"latency_p50": 50.0, "error_rate": 0.5})


def row(result, name, slice="all"):
    rows = result.kpis[(result.kpis["name"] == name) & (result.kpis["slice"] == slice)]
    assert len(rows) == 1, name
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history_growth", 50.0),
        ("error_rate", 0.2),
        ("retries_per_request", 0.2),
        ("response_cache_rate", 0.25),
        ("decode_speed", 100.0),  # 100 tokens after the first in one second
        ("tool_calls_per_request", 1.0),  # half of the requests, those of the feature that uses tools
        ("guardrail_block_rate", 0.1),
        ("false_block_rate", 0.5),
        ("refusal_rate", 0.1),
        ("retrieval_top_score", 0.5 + 0.01 * 10),  # days 7 to 13
        ("retrieval_hit_rate", 0.5),
        ("retrieval_mrr", (1 + 1 / 4) / 4),  # first and fourth place in a quarter of them each
        ("follow_up_rate", 0.1),
        ("escalation_rate", 0.1),
        ("prompt_cache_share", 20 / (125 + 10)),
        ("cost_per_request", 0.01),
        ("event:regenerated", 0.1),
    ],
)
def test_levels_by_hand(result, name, value):
    found = row(result, name)
    assert found["this_value"] == pytest.approx(value)
    assert found["this_low"] < value < found["this_high"]


@pytest.mark.parametrize(("name", "n"), [("turns_per_session", 70), ("cost_per_user", 5)])
def test_what_is_the_same_for_all_is_refused(result, name, n):
    found = row(result, name)
    assert found["reason"] == f"this: all {n} clusters have the same value: no spread to estimate from" and found["this_n"] == n


def test_half_of_what_was_retrieved_is_named(result):
    # nine answers in ten name two of four documents
    assert row(result, "chunk_utilisation")["this_value"] == pytest.approx(0.45)


def test_blocks_are_told_by_dimension(result):
    assert row(result, "guardrail_block_rate", "dimension=personal_data")["this_value"] == pytest.approx(0.1)


def test_slices_have_their_own_rows_in_the_same_correction(result):
    parts = result.kpis[result.kpis["slice"].str.startswith("feature=")]
    assert set(parts["name"]) == {
        "requests",
        "error_rate",
        "cost_per_request",
        "latency_p95",
        "score:thumbs:user",
        "score:review:verdict:human",
    }
    assert row(result, "requests", "feature=f0")["this_value"] == 70
    thumbs = [row(result, "score:thumbs:user", f"feature=f{k}")["this_value"] for k in (0, 1)]
    assert thumbs == pytest.approx([1.0, 0.5])


def test_objectives_are_met_or_missed(result):
    assert (row(result, "latency_p50")["slo_verdict"], row(result, "error_rate")["slo_verdict"]) == ("missed", "met")
    assert any(c["id"] == "kpi.latency_p50.all.slo" for c in result.claims())


def test_satisfaction_is_the_documented_mean(result):
    # thumbs up .75 (weight .4), not regenerated .9 (.2), no follow-up .9 (.2), no escalation .9 (.1)
    found = row(result, "satisfaction")
    assert found["this_value"] == pytest.approx((0.4 * 0.75 + 0.5 * 0.9) / 0.9)
    assert "0.4 × thumbs up, 0.2 × no regenerated, 0.2 × no follow up, 0.1 × no escalation" in found["how"]


def test_examples_to_read_are_of_the_kpi(result):
    kinds = {kind: ids for kind, ids in result.exemplars.items() if kind in ("blocked", "refused", "escalated", "wrong_block")}
    assert {kind: {int(t.split("-")[1]) % 10 for t in ids} for kind, ids in kinds.items()} == {
        "blocked": {3}, "refused": {7}, "escalated": {4}, "wrong_block": {3},
    }  # fmt: skip


def test_weighted_scores_count_by_how_they_were_drawn():
    # good answers are drawn one in ten, bad ones always: ten good ones stand for a hundred
    spans = [span(f"t{d}-{j}", moment(d, j)) for d in range(14) for j in range(20)]
    given = [
        (f"t{d}-{j}", 0.9 + 0.01 * (j % 3), 0.1) if j < 10 else (f"t{d}-{j}", 0.2, 1.0) for d in range(14) for j in range(20)
    ]
    scores = [score(t, v, inclusion_prob=p) for t, v, p in given]
    found = row(weekly(Store(spans, scores), week="2026-W42"), "score:helpful:judge")
    assert found["this_value"] == pytest.approx(np.average([v for _, v, _ in given], weights=[1 / p for *_, p in given]))
    assert found["this_n"] == 140 and "weighted by 1 / inclusion probability" in found["how"]


def test_good_answers_and_the_composite_count_as_the_scores_that_they_are_made_of():
    # 10 good answers drawn one in ten and 10 bad ones drawn always, a day: 100 of 110 are good
    spans = [span(f"t{d}-{j}", moment(d, j)) for d in range(14) for j in range(20)]
    drawn = {"quality": (0.9, 0.2), "relevance": (0.9, 0.2), "correctness": (0.8, 0.1)}
    scores = [
        score(f"t{d}-{j}", (good if j < 10 else bad) + 0.01 * (j % 2), name=name, inclusion_prob=0.1 if j < 10 else 1.0)
        for d in range(14) for j in range(20) for name, (good, bad) in drawn.items()
    ]  # fmt: skip
    result = weekly(Store(spans, scores), week="2026-W42")
    good, mixed = row(result, "good_rate"), row(result, "score:composite:judge")
    assert good["this_value"] == pytest.approx(100 / 110)
    each = [(100 * a + 10 * b) / 110 + 0.005 for a, b in (drawn["relevance"], drawn["correctness"])]
    assert mixed["this_value"] == pytest.approx((0.4 * each[0] + 0.3 * each[1]) / 0.7)


def test_scores_whose_probabilities_are_not_all_known_count_the_same_and_say_so():
    spans = [span(f"t{d}-{j}", moment(d, j)) for d in range(14) for j in range(4)]
    scores = [score(f"t{d}-{j}", j / 4, inclusion_prob=None if j == 0 else 0.1 * j) for d in range(14) for j in range(4)]
    result = weekly(Store(spans, scores), week="2026-W42")
    assert row(result, "score:helpful:judge")["this_value"] == pytest.approx(0.375)
    assert any(
        f.text == "helpful (judge): 14 of 56 judgements have no inclusion probability: all count the same"
        for f in result.findings
    )


def test_the_composite_weighs_its_parts_on_a_scale_of_0_to_1():
    spans = [span(f"t{d}-{j}", moment(d, j)) for d in range(14) for j in range(6)]
    scores = [
        score(f"t{d}-{j}", v, name=name)
        for d in range(14) for j in range(6) for name, v in (("relevance", 1 + j % 5), ("Correctness", 5 - j % 2), ("other", 1.0))
        if not (name == "Correctness" and j == 5)
    ]  # fmt: skip
    result = weekly(Store(spans, scores), week="2026-W42")
    each = [(0.4 * (j % 5) / 4 + 0.3 * (4 - j % 2) / 4) / 0.7 for j in range(5)]  # the sixth lacks a part
    assert row(result, "score:composite:judge")["this_value"] == pytest.approx(np.mean(each))
    assert any(f.text == "composite of relevance, Correctness, over traces that carry all of them" for f in result.findings)


def test_the_cost_of_a_good_answer_is_cost_over_their_share():
    spans = [span(f"t{d}-{j}", moment(d, j), cost_usd=0.01 + 0.001 * (j % 3)) for d in range(14) for j in range(30)]
    scores = [score(f"t{d}-{j}", 0.9 if j % 3 else 0.1 + 0.01 * (d % 2)) for d in range(14) for j in range(30)]
    result = weekly(Store(spans, scores), week="2026-W42", good=("helpful", 0.5))
    assert row(result, "good_rate")["this_value"] == pytest.approx(2 / 3)
    assert row(result, "cost_per_good_answer")["this_value"] == pytest.approx(row(result, "cost_per_request")["this_value"] * 1.5)


def test_sessions_are_judged_apart_and_labels_counted():
    spans = [span(f"t{d}-{j}", moment(d, j), session_id=f"s{d}-{j}") for d in range(14) for j in range(4)]
    sessions = [score(None, 0.2 * j, session_id=f"s{d}-{j}", at=moment(d, j), k=f"{d}-{j}") for d in range(14) for j in range(4)]
    reasons = [
        score(f"t{d}-{j}", None, name="reason", rater="user", label="slow" if j else "wrong") for d in range(14) for j in range(4)
    ]
    result = weekly(Store(spans, [*sessions, *reasons]), week="2026-W42")
    assert row(result, "session_score:helpful:judge")["this_value"] == pytest.approx(0.3)
    assert row(result, "label:reason:user", "label=slow")["this_value"] == pytest.approx(0.75)


def test_series_from_outside_have_their_own_n():
    series = [{"name": "nps", "time": moment(d, 0), "value": 30.0 + d % 7, "n": 1.0 + d % 2} for d in range(14)]
    found = row(weekly(Store([span(f"t{d}", moment(d, 1)) for d in range(14)], series=series), week="2026-W42"), "series:nps")
    assert found["this_value"] == pytest.approx(
        np.average([30 + d % 7 for d in range(7, 14)], weights=[1 + d % 2 for d in range(7, 14)])
    )
    assert found["this_n"] == sum(1 + d % 2 for d in range(7, 14))


def test_own_metrics_are_kpis():
    spans = [
        span(f"t{d}-{j}", moment(d, j), metadata={"resolved": "true" if j % 4 else "false"}) for d in range(14) for j in range(8)
    ]
    own = metric(
        "resolved",
        sql="max(CASE WHEN metadata['resolved'] = 'true' THEN 1e0 ELSE 0e0 END)",
        unit="rate",
        better="up",
        kind="rate",
    )
    found = row(weekly(Store(spans), week="2026-W42", metrics=[own]), "resolved")
    assert (found["this_value"], found["better"], found["unit"]) == (0.75, "up", "rate")


def test_hooks_fill_what_stands_beside_the_kpis():
    spans = [span(f"t{d}", moment(d, 0)) for d in range(14)]
    hooks = {"promoted": lambda obs, plan: 3, "versions": lambda obs, plan: [{"version": plan.week.label}]}
    document = weekly(Store(spans), week="2026-W42", beside=hooks).json()
    assert (document["promoted"], document["versions"], document["drift"]) == (3, [{"version": "2026-W42"}], [])


def test_wrong_objectives_weights_and_slices_are_named():
    store = Store([span(f"t{d}", moment(d, 0)) for d in range(14)])
    with pytest.raises(UsageError, match=r"slo: 'speed' is no KPI of this page; choose from: .*error_rate"):
        weekly(store, slo={"speed": 1.0})
    with pytest.raises(UsageError, match=r"satisfaction: 'smiles' is no known signal; choose from: thumbs, regenerated"):
        weekly(store, satisfaction={"smiles": 1.0})
    with pytest.raises(
        UsageError, match=r"satisfaction: the weight of thumbs is 0; give a positive number, or leave the signal out"
    ):
        weekly(store, satisfaction={"thumbs": 0})


def test_what_could_have_been_found_is_beyond_what_would_be_called():
    from llmobs_nb.analyses.weekly.kpis import score_kpi

    kpi = score_kpi("good", "judge", low=0, high=1, binary=False)
    change = Estimate(0.0, -0.02, 0.02, 100, se=0.01)
    assert detectable(kpi, change, 1.0) == pytest.approx((1.959964 + 0.841621) * 0.01)  # the interval must leave 0 out
    assert detectable(kpi, change, 1 / 50) == pytest.approx((3.090232 + 0.841621) * 0.01)  # 0.05 / 50 on the side of worse
