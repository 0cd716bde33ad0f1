"""Sampling plans: exact probabilities, the same draw again, costs said before, rules before the judge."""

import datetime as dt
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.sampling.cells import Cell, fitted, rated, total_cost
from llmobs_nb.analyses.sampling.plan import sampling_plan
from llmobs_nb.analyses.sampling.population import threshold
from llmobs_nb.analyses.sampling.shadow import Rules, shadow
from llmobs_nb.analyses.sampling.texts import Exchange
from llmobs_nb.errors import InputError, UsageError
from llmobs_nb.stats.design import hajek_mean

MONDAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
HOSTILE = 'it\'s \x1b[31m"x"; DROP TABLE spans --'
SIZES = {"chat": 700, "search": 250, HOSTILE: 50}


@pytest.fixture(scope="module")
def obs(tmp_path_factory) -> lm.Observations:
    """A week of 1,000 traces of three features: 20 errors, 11 blocks, 4 % rated low, a judge's scores on some."""
    spans, payloads, scores, k = [], [], [], 0
    for feature, size in SIZES.items():
        for j in range(size):
            at, name = MONDAY + dt.timedelta(minutes=10 * k), f"t{k:04d}"
            block = json.dumps([{"stage": "output", "action": "block"}]) if j % 100 == 7 else None
            told = {"status": "error" if j % 50 == 3 else "ok", "guardrails": block, "session_id": f"s{k // 3}"}
            spans.append(
                storekit.span(
                    "r", trace_id=name, start_time=at, kind="llm", feature=feature, input_chars=400, output_chars=1200, **told
                )
            )
            payloads.append({"trace_id": name, "span_id": "r", "source": "test", "project": "p", "input": "q", "output": f"Answer {k}.", "updated_at": at,
                             "day": at.date()})  # fmt: skip
            if j % 25 == 1:
                scores.append(storekit.score(f"u{k}", trace_id=name, name="thumbs", value=0.0, rater="user", created_at=at))
            elif j % 10 == 2:
                scores.append(storekit.score(f"u{k}", trace_id=name, name="thumbs", value=1.0, rater="user", created_at=at))
            if j % 4 == 0:
                scores.append(
                    storekit.score(f"j{k}", trace_id=name, name="ground", value=(j % 12) / 12, rater="judge", created_at=at)
                )
            k += 1
    spans.append(storekit.span("x", trace_id="eval", start_time=MONDAY, kind="llm", purpose="judging"))
    root = str(tmp_path_factory.mktemp("sampling") / "store")
    storekit.put(root, spans=spans, payloads=payloads, scores=scores)
    return lm.open(root, threads=1)


def plan(obs, **more):
    return sampling_plan(obs, **{"n": 120, "random": 80, "since": MONDAY, "until": MONDAY + dt.timedelta(days=7), **more})


def test_all_errors_and_blocks_are_drawn_and_the_rest_as_often_as_said(obs):
    p, draw = plan(obs), plan(obs).draw()
    assert p.traces == 1000
    certain = draw[draw["rules"].str.contains("all_of")]
    assert len(certain) == 20 + 11 and set(certain["inclusion_prob"]) == {1.0}
    assert p.expected_n == pytest.approx(sum(c.expected_n for c in p.cells))
    assert abs(len(draw) - p.expected_n) < 4 * math.sqrt(p.expected_n)
    assert abs(draw["at_random"].sum() - 80) < 4 * math.sqrt(80)
    assert draw["trace_id"].is_unique and "eval" not in set(draw["trace_id"])


def test_the_probability_is_that_of_any_of_the_rules(obs):
    p = plan(obs, balance="proportional", oversample={})
    for c in p.cells:
        own = 1.0 if c.certain else 120 / 969
        assert c.inclusion_prob == pytest.approx(1 - (1 - own) * (1 - 0.08))


def test_low_ratings_are_drawn_five_times_as_often_as_their_neighbours(obs):
    p = plan(obs, random=0)
    for name in {c.stratum for c in p.cells}:
        rates = {c.factor: c.rate for c in p.cells if c.stratum == name and not c.certain}
        assert rates[5.0] == pytest.approx(min(1.0, 5 * rates[1.0])) or rates[5.0] == 1.0
    assert sum(c.expected_n for c in p.cells if not c.certain) == pytest.approx(120)


def test_the_draw_frequency_of_a_trace_over_many_seeds_is_its_probability(obs):
    p = plan(obs, n=300, random=200)
    seen = pd.concat([replace(p, seed=s).draw() for s in range(1_000_000, 1_000_025)])
    often, said = seen["trace_id"].value_counts(), seen.drop_duplicates("trace_id").set_index("trace_id")["inclusion_prob"]
    for low, high in ((0, 0.35), (0.35, 0.6), (0.6, 0.999)):
        names = said[(said > low) & (said <= high)].index
        if len(names):
            expected = 25 * sum(c.traces * c.inclusion_prob for c in p.cells if low < c.inclusion_prob <= high)
            assert often[names].sum() == pytest.approx(expected, rel=0.08)


def test_the_same_plan_draws_the_same_traces_and_another_seed_others(obs):
    first, again, other = (plan(obs, seed=s).draw() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert set(first["trace_id"]) != set(other["trace_id"])


def test_a_larger_plan_of_the_same_seed_holds_the_smaller_one(obs):
    small, large = (set(plan(obs, n=n, oversample={}).draw()["trace_id"]) for n in (60, 200))
    assert small < large


def test_a_weighted_mean_of_the_draw_finds_the_mean_of_the_window_over_many_seeds(obs):
    values = {f"t{k:04d}": (k * 7919 % 1000) / 1000 for k in range(1000)}
    p, truth, hits = plan(obs), np.mean(list(values.values())), 0
    for seed in range(1_000_100, 1_000_125):
        d = replace(p, seed=seed).draw()
        e = hajek_mean([values[t] for t in d["trace_id"]], d["inclusion_prob"])
        hits += e.ci_low <= truth <= e.ci_high
    assert hits >= 20


def test_strata_may_be_bands_of_a_score_and_metadata_is_a_stratum_too(obs):
    p = plan(obs, strata=[("ground", (0.3, 0.6))])
    assert {c.stratum for c in p.cells} == {"ground=(none)", "ground=below 0.3", "ground=0.3 to 0.6", "ground=0.6 and above"}
    whole = plan(obs, strata=[])
    assert {c.stratum for c in whole.cells} == {"all"}


@pytest.mark.parametrize(("bits", "text"), [(0.0, "000000000000"), (0.5, "800000000000"), (1.0, "g")])
def test_a_probability_is_compared_as_hexadecimal_text(bits, text):
    assert threshold(bits) == text


def test_the_cost_is_said_before_the_judge_is_run_and_an_unknown_price_is_said(obs):
    p = plan(obs, judge="openai/gpt-4o-mini", until=MONDAY + dt.timedelta(days=7), rubrics=("groundedness", "relevance"))
    twice = plan(
        obs, judge="openai/gpt-4o-mini", until=MONDAY + dt.timedelta(days=7), rubrics=("groundedness", "relevance"), repeats=2
    )
    assert p.cost_usd > 0 and twice.cost_usd == pytest.approx(2 * p.cost_usd)
    tokens = (2 * 1600 + p.cost.fixed_chars) / 4
    assert p.cost_usd == pytest.approx(
        p.expected_n * (tokens * 0.15e-6 + 240 * 0.6e-6)
    )  # list price of gpt-4o-mini: $0.15 and $0.60 a million
    unknown = plan(obs, judge="openai/no-such-model")
    assert unknown.cost_usd is None and "no-such-model" in unknown.cost.reason and "cost not known" in unknown.headline
    assert plan(obs).cost.reason == "no judge is named"


def test_a_budget_shrinks_the_sample_until_it_fits_and_says_where_it_cannot(obs):
    full = plan(obs, judge="openai/gpt-4o-mini")
    half = plan(obs, judge="openai/gpt-4o-mini", budget_usd=0.7 * full.cost_usd)
    assert 0.69 * full.cost_usd < half.cost_usd <= 0.7 * full.cost_usd
    tiny = plan(obs, judge="openai/gpt-4o-mini", budget_usd=0.0001)
    assert any("more than the budget of" in f.text for f in tiny.findings)
    blind = plan(obs, judge=print, budget_usd=1.0)
    assert any("the budget could not be kept to: the judge is a callable that names no model" in f.text for f in blind.findings)


def test_rates_and_budgets_hold_for_cells_alone():
    cells = [Cell("a", "s", 100, 1.0, (), 0.01), Cell("b", "s", 10, 5.0, (), 0.01), Cell("c", "t", 5, 1.0, ("error",), 0.02)]
    done = {c.key: c for c in rated(cells, 60, 0.0, 1.0)}
    assert (done["a"].rate, done["b"].rate, done["c"].rate) == (pytest.approx(0.5), 1.0, 1.0)
    assert total_cost(fitted(cells, 60, 0.1, 1.0, 0.4)) <= 0.4
    assert fitted(cells, 60, 0.1, 1.0, 10.0) == rated(cells, 60, 0.1, 1.0)


def test_the_plan_says_what_a_hundred_random_traces_can_show(obs):
    texts = [f.text for f in plan(obs, random=100).findings]
    assert (
        "a slice of 1 % of the traffic is seen five times or more with probability 0.00 in 100 random traces, 0.97 in 1,000"
        in texts
    )


def test_a_draw_is_written_as_json_lines(obs, tmp_path):
    p = plan(obs)
    assert p.to_jsonl(tmp_path / "draw.jsonl") == len(p.draw())
    rows = [json.loads(line) for line in (tmp_path / "draw.jsonl").read_text().splitlines()]
    assert {"trace_id", "stratum", "inclusion_prob"} <= set(rows[0]) and "\x1b" not in (tmp_path / "draw.jsonl").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["draw.jsonl"]
    with pytest.raises(InputError, match=r"cannot be written: .*; choose another"):
        p.to_jsonl(tmp_path / "none" / "draw.jsonl")


def test_a_draw_goes_to_a_queue_only_when_told_and_foreign_traces_are_said(obs):
    pushed = plan(obs).to_queue("langfuse", "weekly")
    assert pushed.dry_run and len(pushed.of("failed")) == len(plan(obs).draw())
    assert "the store holds no trace" in pushed.lines[0].reason


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"strata": ["featur"]}, r"'featur' is neither a column nor a metadata key"),
        ({"strata": [("ground", ())]}, r"strata: the score 'ground' has no cut points; give \('ground', \(0.5, 0.7\)\)"),
        ({"all_of": ["errors"]}, r"all_of='errors' is not known; choose one of: error, guardrail_block, low_rating"),
        ({"oversample": {"low": 2}}, r"oversample='low' is not known"),
        ({"balance": "even"}, r"balance='even' is not known; choose one of: proportional, sqrt, equal"),
        ({"n": -1}, r"n is too small; give 0 or more"),
        ({"repeats": 0}, r"repeats is too small; give 0 or more \(repeats: 1 or more\)"),
        ({"strata": ["trace_id"]}, r"cut the window into .* cells, more than 500; name columns of fewer values"),
    ],
)
def test_wrong_use_is_an_error_that_names_the_cure(obs, told, error):
    with pytest.raises(UsageError, match=error):
        plan(obs, **told)


def test_an_empty_window_gives_a_plan_that_says_so(obs):
    p = plan(obs, since="2020-01-01", until="2020-01-08")
    assert p.headline == "No traces of the product in the window: there is nothing to draw."
    assert p.draw().empty and p.strata.empty
    json.dumps(p.json(), allow_nan=False)


def test_every_number_of_a_plan_is_a_claim_and_hostile_names_are_tamed(obs):
    p = plan(obs, judge="openai/gpt-4o-mini")
    document, claims = json.loads(json.dumps(p.json(), allow_nan=False)), {c["id"]: c for c in p.claims()}
    assert claims["sampling.expected_n"]["value"] == document["expected_n"]
    assert claims["sampling.cost"]["value"] == document["cost"]["usd"]
    assert not any("\x1b" in c["text"] for c in claims.values())


ANSWER = Exchange("test", "p", "t", answer="Free for 14 days [kb-9]. Trust me.", retrieved=("kb-1",))


def test_rules_fail_for_a_reason_hold_or_do_not_apply():
    rules = Rules(banned=("trust me", "ust"), schema={"type": "object"}, length=(0, 10))
    told = rules.check(ANSWER)
    assert told["citations"] == "cites what was not retrieved: kb-9"
    assert told["banned"] == "holds a banned phrase: trust me"
    assert told["schema"] == "is no JSON"
    assert told["length"] == "has 34 characters, not 0 to 10"
    assert set(Rules(citations=False).check(ANSWER).values()) == {None}


@pytest.mark.parametrize(
    ("answer", "why"),
    [('{"days": 14}', ""), ('{"days": "14"}', "breaks the schema at days: type"), ("[1]", "breaks the schema at the top: type")],
)
def test_json_answers_are_held_against_their_schema(answer, why):
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    assert Rules(schema=schema).check(Exchange("s", "p", "t", answer=answer))["schema"] == why


def test_only_what_rules_leave_open_goes_on_and_shares_are_weighted(obs):
    p = plan(obs)
    result = shadow(obs, p, {"banned": ["Answer 1", "nothing"], "length": [1, 100]})
    assert set(result.traces["verdict"]) == {"inconclusive"}
    failed = shadow(obs, p, {"length": [1, 10]})
    long = failed.traces["verdict"] == "fail"
    assert list(failed.traces.loc[long, "length"].unique()) == ["fail"] and len(failed.open) == (~long).sum()
    truth = sum(len(f"Answer {k}.") > 10 for k in range(1000)) / 1000
    assert failed.shares["fail"].ci_low < truth < failed.shares["fail"].ci_high
    passed = shadow(obs, p, {"length": [1, 100], "decisive": ["length"]})
    assert set(passed.traces["verdict"]) == {"pass"} and passed.open.empty
    json.dumps(passed.json(), allow_nan=False)
    assert len(passed.claims()) == 3


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"langth": 3}, r"rules='langth' is not known; choose one of: citations, banned, schema, length, decisive"),
        ({"banned": "no"}, r"banned='no' is one text; give a list of phrases"),
        ({"length": [5, 1]}, r"length=\(5, 1\) is no pair \(least, most\) of characters"),
        ({"schema": {"type": "objekt"}}, r"schema is no JSON schema: .*; correct it"),
        ({"decisive": ["judge"]}, r"decisive='judge' is not known"),
    ],
)
def test_rules_that_cannot_be_used_are_an_error(obs, rules, error):
    with pytest.raises(UsageError, match=error):
        shadow(obs, plan(obs), rules)


def test_a_frame_without_a_design_is_refused(obs):
    with pytest.raises(
        UsageError, match=r"plan: the frame has no column stratum, inclusion_prob, source, project; give a SamplingPlan"
    ):
        shadow(obs, pd.DataFrame({"trace_id": ["t0001"]}))


def test_pages_of_plan_and_shadow_say_their_numbers_and_tame_what_is_hostile(obs):
    from llmobs_nb.views import sampling_page as pages

    p = plan(obs, judge="openai/gpt-4o-mini")
    view = pages.sampling(p)
    assert (
        "Judging is expected to cost" in view.html and "of judging is not known" not in view.html and "feature=chat" in view.html
    )
    assert "\x1b" not in view.html + view.text and '"x"; DROP' not in view.html
    assert "The cost of judging is not known: no judge is named." in pages.sampling(plan(obs)).html
    told = pages.shadow(shadow(obs, p, {"length": [1, 10]}))
    assert "length: has 11 characters, not 1 to 10" in told.html
    empty = pages.sampling(plan(obs, since="2020-01-01", until="2020-01-08"))
    assert "there is nothing to draw" in empty.html
