"""The parts of the incident analysis on hand-made traffic: metrics, plan, cube, slices, passages, dates, the judge's mean, words."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import duckdb
import incidentkit as kit
import numpy as np
import pandas as pd
import pytest
import sqlglot
import storekit
from hypothesis import given, settings
from hypothesis import strategies as st

import llmobs_nb as lm
from llmobs_nb.analyses.incident import axes as ax
from llmobs_nb.analyses.incident import evidence, overall, refine, suspects, theories, words
from llmobs_nb.analyses.incident import traces as tr
from llmobs_nb.analyses.incident.answer import at_hours, sure
from llmobs_nb.analyses.incident.cube import covering
from llmobs_nb.analyses.incident.dating import date
from llmobs_nb.analyses.incident.log import change_log
from llmobs_nb.analyses.incident.result import Cause, Onset
from llmobs_nb.analyses.incident.watched import WATCHED, score_metric
from llmobs_nb.errors import UsageError
from llmobs_nb.stats.estimate import Estimate

NAMES = {m.name for m in WATCHED}
STAGES = {"llm": "llm", "retrieval": "retriever", "tool": "tool"}
TOLD = {"source": "test", "project": "p", "updated_at": kit.MONDAY}


def raw(root, **windows):
    """One row per trace as the analysis sees it, with the names of metrics and dimensions instead of places."""
    obs = lm.open(root, threads=1)
    plan = tr.make_plan(obs, **windows)
    frame = obs.sql(tr.raw_sql(plan)).set_index("trace_id")
    named = {f"m{i}": m.name for i, m in enumerate(plan.metrics)} | {
        f"d{i}": f"by {d.name}" for i, d in enumerate(plan.dimensions)
    }
    return frame.rename(columns=named), plan


def named(room, label):
    return {room.counter.axes[a].name: room.counter.axes[a].values[v] for a, v in label}


def label_of(room, **where):
    """The codes of a slice that is given in names (``plan`` for the hostile key) and values."""
    names = {a.name: (k, a) for k, a in enumerate(room.counter.axes)}
    found = [(names[kit.HOSTILE_KEY if n == "plan" else n], v) for n, v in where.items()]
    return tuple((k, axis.values.index(v)) for (k, axis), v in found)


# Metrics of a trace


def random_spans(rng, traces=60):
    """Traces of one to six spans of any kind, some without a root, in which every column that a metric reads may be missing."""

    def some(value):
        return value if rng.random() < 0.7 else None

    out = []
    for t in range(traces):
        at = kit.moment(t / 20)
        for k in range(int(t % 10 == 9), int(rng.integers(2, 7))):
            kind = str(rng.choice(["llm", "tool", "retriever"])) if k else "chain"
            row = {
                "trace_id": f"t{t}",
                "parent_id": f"t{t}/0" if k else None,
                "kind": kind,
                "start_time": at + timedelta(seconds=k),
            }
            row |= {"status": some("error" if rng.random() < 0.3 else "ok"), "latency_ms": some(float(rng.uniform(1, 9)))}
            row |= {"output_chars": some(int(rng.integers(1, 99))), "cost_usd": some(float(rng.uniform(0, 1)))}
            if kind == "llm":
                row |= {"finish_reason": some(str(rng.choice(["stop", "length"]))), "ttft_ms": some(float(rng.uniform(1, 9)))}
                row |= {"tokens_in": some(int(rng.integers(1, 99))), "tokens_out": some(int(rng.integers(1, 99)))}
                row |= {"tokens_cache_read": some(int(rng.integers(0, 2))), "cost_recorded_usd": some(float(rng.uniform(0.1, 1)))}
                row |= {"cost_list_usd": some(float(rng.uniform(0.1, 1)))}
            if kind == "tool":
                row |= {"input_hash": some(str(rng.integers(2)))}
            if kind == "retriever":
                row |= {"retrieval_scores": some([float(rng.uniform()), 0.1])}
            if rng.random() < 0.3:
                row |= {"guardrails": json.dumps([{"action": str(rng.choice(["block", "blocked", "allow"]))}])}
            out.append(storekit.span(f"t{t}/{k}", **row))
    return out


def expected_metrics(spans: pd.DataFrame) -> pd.DataFrame:
    """What every watched metric of every trace is, by pandas."""
    spans = spans.assign(llm=spans["kind"] == "llm")
    calls, root = spans[spans["llm"]], spans[spans["is_root"]].set_index("trace_id")
    by, of = spans.groupby("trace_id"), calls.groupby("trace_id")
    total = {"min_count": 1}
    asked = spans[spans["llm"] | spans["is_root"]]
    guarded = spans[spans["guardrails"].notna()]
    plain = calls[
        (calls["tokens_cache_read"].fillna(0) == 0) & calls["cost_recorded_usd"].notna() & calls["cost_list_usd"].notna()
    ]
    priced = calls[calls["cost_usd"].notna()]
    per = priced.assign(tokens=priced["tokens_in"] + priced["tokens_out"]).groupby("trace_id")["tokens"].sum(**total)
    tools = spans[spans["kind"] == "tool"]
    said = tools.assign(what=tools["input_hash"].fillna(tools["span_id"])).groupby("trace_id")["what"]
    found = spans[spans["retrieval_scores"].notna()]
    first = found.assign(top=found["retrieval_scores"].map(lambda s: s[0])).groupby("trace_id")["top"].mean()
    out = {
        "error_rate": asked.groupby("trace_id")["status"].agg(lambda s: float((s == "error").any())),
        "guardrail_block_rate": guarded.groupby("trace_id")["guardrails"].agg(lambda s: float(s.str.contains('"block').any())),
        "length_rate": calls.dropna(subset="finish_reason").groupby("trace_id")["finish_reason"].agg(lambda s: float((s == "length").any())),
        **{f"{stage}_latency_ms": spans[spans["kind"] == kind].groupby("trace_id")["latency_ms"].sum(**total) for stage, kind in STAGES.items()},
        "ttft_ms": of["ttft_ms"].mean(), "latency_ms": root["latency_ms"], "cost_usd": by["cost_usd"].sum(**total),
        "unit_price": plain.groupby("trace_id")["cost_recorded_usd"].sum() / plain.groupby("trace_id")["cost_list_usd"].sum(),
        "cost_per_token": of["cost_usd"].sum(**total) / per, "tokens_in": of["tokens_in"].sum(**total),
        "output_chars": root["output_chars"].reindex(by.size().index).fillna(of["output_chars"].max()), "spans_per_trace": by.size().astype(float),
        "repeated_tool_rate": (said.size() - said.nunique() >= 3).astype(float),
        "cache_read_share": of["tokens_cache_read"].sum() / of["tokens_in"].sum(**total), "retrieval_top_score": first,
    }  # fmt: skip
    return pd.DataFrame(out, index=sorted(spans["trace_id"].unique()))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The metrics of random traces as the analysis computes them, as pandas does, and their scores."""
    rng = np.random.default_rng(4)
    spans = random_spans(rng)
    judged = [f"t{t}" for t in range(60) if t % 3]
    scores = [
        storekit.score(f"s{t}{k}", trace_id=t, name="q:a", rater="judge", value=float(rng.uniform()), created_at=kit.MONDAY)
        for t in judged
        for k in (1, 2)
    ]
    root = str(tmp_path_factory.mktemp("measured") / "s")
    storekit.put(root, spans=spans, scores=scores)
    frame = lm.open(root, threads=1).sql("SELECT * FROM spans")  # as committed: what a root only sums up is taken out
    return raw(root)[0], expected_metrics(frame), pd.DataFrame(scores)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_metric_is_what_pandas_gives_and_null_where_it_has_nothing_to_say(measured, name):
    got, expected, _ = measured
    wanted = expected[name].astype(float)
    assert wanted.notna().any() and (name == "spans_per_trace" or wanted.isna().any())
    pd.testing.assert_series_equal(got[name].sort_index(), wanted.sort_index(), check_names=False, check_dtype=False)


def test_a_score_is_the_mean_of_its_judgements_and_null_where_nobody_judged(measured):
    got, _, scores = measured
    wanted = scores.groupby("trace_id")["value"].mean().reindex(got.index)
    assert wanted.isna().sum() == 20
    pd.testing.assert_series_equal(got["score:q:a:judge"], wanted, check_names=False, check_dtype=False)


@pytest.mark.parametrize("metric", WATCHED, ids=lambda m: m.name)
def test_the_declaration_of_a_metric_can_be_read_by_other_engines_too(metric):
    parsed = sqlglot.parse_one(f"SELECT {metric.sql} AS m FROM spans GROUP BY trace_id", read="duckdb")
    assert parsed.find(sqlglot.exp.AggFunc) is not None
    assert metric.margin > 0 and metric.better in ("up", "down", "")


@pytest.mark.parametrize(("low", "high", "margin"), [(0, 1, 0.05), (0.2, 0.6, 0.05), (1, 5, 0.2), (-1, 1, 0.1), (7, 7, 0.05)])
def test_the_margin_of_a_score_is_a_twentieth_of_its_range(low, high, margin):
    assert score_metric("q", "judge", low, high).margin == pytest.approx(margin)


# The plan


@pytest.mark.parametrize(("days", "kept"), [(1, 1), (70, 56)])
def test_the_window_is_the_last_eight_weeks_of_whole_days(root, days, kept):
    kit.put(root, [kit.trace(f"t{d}", kit.moment(d + 0.99)) for d in {0, days - 1}])
    plan = tr.make_plan(lm.open(root, threads=1))
    assert (plan.days, plan.start, plan.end) == (kept, kit.moment(days - kept), kit.moment(days))


def test_a_store_without_spans_or_scores_has_no_plan(root):
    storekit.put(root, changes=[TOLD | {"change_id": "c", "at": kit.MONDAY, "kind": "release"}])
    assert tr.make_plan(lm.open(root, threads=1)) is None


def environments(root, *named):
    kit.put(root, [kit.trace(f"t{k}", kit.moment(k / 9), environment=named[k % len(named)]) for k in range(36)])
    frame, plan = raw(root)
    return plan.environments, set(frame["environment"].fillna("none"))


def test_what_is_not_production_is_left_out(root):
    assert environments(root, "production", "Staging-2", None) == (("Staging-2",), {"production", "none"})


@pytest.mark.parametrize("name", ["staging", "Dev", "qa-2", "preprod", "sandbox", "load-test", "uat", "ci", "localhost"])
def test_names_of_environments_that_are_not_production(name):
    assert tr.NOT_PRODUCTION.search(name)


@pytest.mark.parametrize("name", ["production", "prod-eu", "live", "default", "main", "canary", "social"])
def test_names_of_environments_that_are_production(name):
    assert not tr.NOT_PRODUCTION.search(name)


def test_where_all_is_staging_nothing_is_left_out(root):
    assert environments(root, "staging", "dev") == ((), {"staging", "dev"})


def test_evaluations_are_no_traffic_of_the_product(root):
    kit.put(root, [kit.trace(f"t{k}", kit.moment(k / 9), purpose="evaluation" if k % 2 else None) for k in range(10)])
    assert set(raw(root)[0].index) == {f"t{k}" for k in range(0, 10, 2)}


HOSTILE_KEYS = ("it's", 'say "x"', "a]b['c", "key; DROP TABLE spans --", "name\x1b[31m", "{braces} %s $1", "x GROUP BY source y")


def test_hostile_metadata_keys_and_values_are_dimensions_like_any_other(root):
    values = {f"t{k}": {key: f"{key}'{k % 2}\"" for key in HOSTILE_KEYS} for k in range(36)}
    kit.put(root, [kit.trace(t, kit.moment(k / 9), metadata=m) for k, (t, m) in enumerate(values.items())])
    frame, plan = raw(root)
    assert {d.name for d in plan.dimensions} >= set(HOSTILE_KEYS)
    for key in HOSTILE_KEYS:
        assert frame[f"by {key}"].to_dict() == {t: m[key] for t, m in values.items()}


def test_a_column_goes_before_a_key_of_its_name_and_before_the_keys_that_filled_it(root):
    rows = [kit.trace(f"t{k}", kit.moment(k / 9), feature=f"f{k % 2}", tenant_id=f"a{k % 2}",
                      metadata={"feature": f"key{k % 2}", "tenant": f"a{k % 2}", "auth": f"x{k % 2}"}) for k in range(36)]  # fmt: skip
    kit.put(root, rows)
    frame, plan = raw(root)
    told = [d.name for d in plan.dimensions]
    assert {"feature", "tenant_id", "auth"} <= set(told) and "tenant" not in told
    assert len(told) == len(set(told))
    assert set(frame["by feature"]) == {"f0", "f1"}


def test_what_the_answering_call_says_is_that_of_the_last_call(root):
    one = kit.trace("t", kit.MONDAY, call={"provider": "late", "start_time": kit.moment(0.01)})
    one["spans"].append(storekit.span("t/early", trace_id="t", parent_id="t/r", provider="early", start_time=kit.MONDAY))
    kit.put(root, [one, kit.trace("u", kit.MONDAY, call={"provider": "third"}), kit.trace("v", kit.MONDAY)])
    frame, _ = raw(root)
    assert frame["by provider"].fillna("none").to_dict() == {"t": "late", "u": "third", "v": "none"}
    assert frame.loc["t", "call_id"] == "t/c"


def test_a_score_needs_thirty_values_that_differ_and_judges_come_first(root):
    wanted = {("few", "judge"): 29, ("many", "judge"): 30, ("thumbs", "user"): 200, ("gold", "human"): 90, ("same", "judge"): 80}
    scores = [
        storekit.score(f"{name}{k}", trace_id=f"t{k}", name=name, rater=rater, created_at=kit.MONDAY, value=1.0 if name == "same" else float(k % 2))
        for (name, rater), n in wanted.items() for k in range(n)
    ]  # fmt: skip
    kit.put(root, [kit.trace("t0", kit.MONDAY)], scores=scores)
    plan = tr.make_plan(lm.open(root, threads=1))
    assert [m.name for m in plan.metrics][:3] == ["score:many:judge", "score:thumbs:user", "score:gold:human"]
    assert {m.name for m in plan.metrics[3:]} == NAMES


# A product to which much happens, and the room in which it is looked at


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    with kit.room_of(kit.put(tmp_path_factory.mktemp("product") / "s", kit.product(days=28, per_day=80))) as made:
        yield made


@pytest.fixture(scope="module")
def coded(room):
    return room.counter.obs.sql(f"SELECT * FROM {ax.CODED}")


def test_staging_is_not_in_the_room(room, coded):
    assert room.plan.environments == ("staging",)
    kept = room.counter.obs.sql("SELECT count(*) AS n FROM spans WHERE is_root AND environment = 'production'")["n"][0]
    assert len(coded) == kept < 28 * 80


def test_sums_of_the_cube_are_those_of_pandas(room, coded):
    some = [c for c in range(len(room.cube.labels)) if c not in room.cube.exposures]
    pairs = [c for c in some if len(room.cube.labels[c]) == 2]
    assert pairs and len(some) > len(pairs)
    for c in [*some[:4], *pairs[:: len(pairs) // 6]]:
        mine = coded
        for axis, code in room.cube.labels[c]:
            mine = mine[mine[f"c{axis}"] == code]
        for i in range(len(room.plan.metrics)):
            values = mine.groupby("day")[f"m{i}"]
            wanted = [values.count(), values.sum(), mine.assign(q=mine[f"m{i}"] ** 2).groupby("day")["q"].sum()]
            for got, told in zip(room.cube.sums[:, i, c], wanted, strict=True):
                np.testing.assert_allclose(got, told.reindex(range(28), fill_value=0), rtol=1e-5, atol=1e-6)


def test_all_traffic_of_the_cube_is_that_of_pandas(room, coded):
    for i in range(len(room.plan.metrics)):
        values = coded.groupby("day")[f"m{i}"]
        np.testing.assert_allclose(room.cube.total[0, i], values.count(), atol=1e-9)
        np.testing.assert_allclose(room.cube.total[1, i], values.sum(), atol=1e-6)


def test_sums_by_parts_of_a_day_add_up_to_those_of_the_day(room):
    parts = room.fine.per_day
    np.testing.assert_allclose(room.hours.total.reshape(3, -1, 28, parts).sum(axis=-1), room.cube.total, atol=1e-9)
    assert {len(label) for label in room.hours.labels} == {1}
    assert not room.hours.exposures
    for c, label in enumerate(room.hours.labels):
        days = room.hours.sums[:, :, c].reshape(3, -1, 28, parts).sum(axis=-1)
        np.testing.assert_allclose(days, suspects.sums_of(room.counter, room.cube, label), rtol=1e-5, atol=1e-5)


def test_what_is_asked_for_together_is_what_is_asked_for_alone(room):
    wanted = [(0,), (1,), (0, 1), (1, 3), (2, 4)]
    got = dict(room.counter.margins(wanted))
    assert set(got) == set(wanted)
    for some in wanted:
        np.testing.assert_allclose(got[some], room.counter.by(some), atol=1e-9)


@given(st.lists(st.integers(2, 60), min_size=2, max_size=9), st.integers(4, 4000), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_every_tuple_is_in_one_group_and_groups_stay_small(sizes, most, seed):
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(len(sizes)) for b in range(a + 1, len(sizes)) if rng.random() < 0.7]
    wanted = [*pairs, *((k,) for k in range(len(sizes)))]
    groups = covering(wanted, sizes, most)
    assert sorted(t for _, mine in groups for t in mine) == sorted(wanted)
    for group, mine in groups:
        assert all(set(group) >= set(t) for t in mine)
        assert np.prod([sizes[k] for k in group]) <= most or tuple(group) in mine


def test_what_fits_into_one_group_is_asked_for_at_once():
    ((group, mine),) = covering([(0, 1), (1, 2), (0, 2), (0,)], [2, 3, 4], 24)
    assert (group, len(mine)) == ((0, 1, 2), 4)


def test_no_slice_is_there_twice_and_each_has_its_rows(room):
    labels = [tuple(sorted(label)) for c, label in enumerate(room.cube.labels) if c not in room.cube.exposures]
    assert len(labels) == len(set(labels))
    assert room.cube.sums.shape[2] == len(room.cube.labels) == len(room.cube.rows)
    assert (room.cube.rows[: len(labels)] >= 40).all()


def test_a_version_that_is_new_in_its_context_is_set_against_what_was_there_before(room, coded):
    found = [(c, e) for c, e in room.cube.exposures.items() if room.counter.axes[e.axis].name == "prompt_version"]
    ((cell, one),) = found
    assert named(room, room.cube.labels[cell]) == {"prompt_version": "2", "prompt_name": "p-f1"}
    assert one.since == 20
    ((around, place),) = [pair for pair in room.cube.labels[cell] if pair[0] != one.axis]
    context = coded[coded[f"c{around}"] == place]
    days = context.groupby("day").size().reindex(range(28), fill_value=0)
    spans = room.names["spans_per_trace"]
    np.testing.assert_allclose(room.cube.sums[0, spans, cell], days)


def test_missing_scores_stay_missing_and_outliers_are_held(room, coded):
    raw_rows = room.counter.obs.sql(f"SELECT trace_id, m0 FROM {tr.RAW}").set_index("trace_id")["m0"]
    net = coded.set_index("trace_id")["m0"]
    assert raw_rows.isna().sum() > 10
    assert (net.isna() == raw_rows.reindex(net.index).isna()).all()
    assert net.dropna().nunique() > 1000
    expected = ax.expect(room.counter.obs, room.plan, room.counter.axes).of[0]
    assert net.min() >= expected.low - 1e-9 and net.max() <= expected.high + 1e-9


def test_a_metric_that_is_absent_everywhere_is_zero_rows_and_not_zeros(room):
    absent = room.names["retrieval_top_score"]
    assert room.cube.sums[:, absent].sum() == 0 == room.cube.total[:, absent].sum()


# Passages and the slices that they reached


def test_passages_are_found_where_they_began_or_ceased(room):
    found = {s.suspect.wording.kind: s.suspect for s in room.suspects if s.suspect.wording is not None}
    assert kit.PASSAGE.strip().startswith(found["prompt_new"].wording.text[:40])
    assert found["prompt_new"].day == 16
    assert named(room, found["prompt_new"].label) == {kit.HOSTILE_KEY: kit.HOSTILE_VALUE}
    assert found["prompt_new"].presence == pytest.approx(0.95, abs=0.05)
    assert found["input_new"].wording.text.strip("? ") in kit.TOPIC
    assert named(room, found["input_new"].label) == {"feature": "f0"}
    assert found["input_new"].day == 22


def test_a_passage_is_looked_for_in_every_trace(room):
    flag = next(i for i, m in enumerate(room.plan.metrics) if m.name.startswith("text:prompt_new"))
    got = room.counter.obs.sql(f"SELECT trace_id, m{flag} AS m FROM {ax.CODED}").set_index("trace_id")["m"]
    has = room.counter.obs.sql("SELECT trace_id, system_prompt AS t FROM payloads").set_index("trace_id")["t"]
    wanted = has.str.contains(kit.PASSAGE, regex=False).astype(float).reindex(got.index)
    assert wanted.sum() > 100
    pd.testing.assert_series_equal(got, wanted, check_names=False)


def test_a_harmless_version_is_no_theory_of_a_metric_that_it_left_alone(room):
    best = max(room.suspects, key=lambda t: t.support)
    assert best.suspect.wording.kind == "prompt_new"
    assert room.plan.metrics[best.metric].name == "score:help:ful'ness:judge"
    version = [t for t in room.suspects if t.suspect.version is not None]
    assert all(t.support < best.support / 2 for t in version)


def test_the_sums_of_a_slice_that_the_cube_lacks_are_asked_for(room, coded):
    label = label_of(room, feature="f0", tenant_id="t1", plan="free")
    assert label not in room.cube.labels
    got = suspects.sums_of(room.counter, room.cube, label)
    mine = coded
    for axis, code in label:
        mine = mine[mine[f"c{axis}"] == code]
    np.testing.assert_allclose(got[0, 0].sum(), mine["m0"].count())
    np.testing.assert_allclose(got[1, 0].sum(), mine["m0"].sum(), atol=1e-6)
    assert suspects.sums_of(room.counter, room.cube, ()).shape == got.shape


def test_a_slice_costs_by_attribute_and_technical_ones_cost_more(room):
    one, two = label_of(room, feature="f0"), label_of(room, feature="f0", plan="free")
    version = label_of(room, prompt_version="1")
    costs = [suspects.penalty(room.counter, label) for label in ((), one, version, two)]
    assert costs == sorted(costs) and len(set(costs)) == 4


@pytest.mark.parametrize(("metric", "day", "end", "sign", "where"), [
    ("score:help:ful'ness:judge", 16, None, -1, {kit.HOSTILE_KEY: kit.HOSTILE_VALUE}),
    ("error_rate", 9, 10, 1, {"provider": "acme"}), ("latency_ms", 12, None, 1, {"feature": "f2", "tenant_id": "t3"}),
])  # fmt: skip
def test_the_likeliest_slice_is_the_one_to_which_it_happened(room, metric, day, end, sign, where):
    label = refine.best_slice(room.counter, room.cube, room.names[metric], day, end, sign)
    assert named(room, label) == where


# When


def theory_of(room, where, metric, day, end, **more):
    label = label_of(room, **where)
    sums = suspects.sums_of(room.counter, room.cube, label)
    tests = room.tests(sums, day, end)
    kind = "provider_errors" if metric == "error_rate" else "model_behaviour"
    return theories.Theory(kind, label, sums, day, end, room.names[metric], 9.0, tests, **more)


def test_a_burst_is_dated_to_the_hours_of_its_begin_and_end(room):
    onset, end = date(room, theory_of(room, {"provider": "acme"}, "error_rate", 9, 10))
    assert abs(onset.time - kit.moment(9.25)) <= timedelta(hours=3)
    assert abs(end - kit.moment(9.75)) <= timedelta(hours=3)
    assert onset.low <= kit.moment(9.25) <= onset.high + timedelta(hours=1)
    assert onset.shape == "burst"


@pytest.mark.parametrize("hours", [(220, 232), (224, 236)])
def test_a_burst_of_hours_is_dated_in_its_hours(room, hours):
    onset, end = date(room, theory_of(room, {"provider": "acme"}, "error_rate", 9, 10, hours=hours))
    assert abs(onset.time - kit.moment(9.25)) <= timedelta(hours=3)
    assert abs(end - kit.moment(9.75)) <= timedelta(hours=3)
    assert onset.low <= kit.moment(9.25) <= onset.high + timedelta(hours=1)


def test_the_search_over_hours_finds_the_burst_and_where_it_was(room):
    found = [t for t in theories.of_leads(room) if t.hours]
    assert found
    assert (named(room, found[0].label), found[0].kind) == ({"provider": "acme"}, "provider_errors")
    assert found[0].hours[0] <= 9 * 24 + 8
    assert found[0].hours[1] >= 9 * 24 + 16


def test_a_burst_is_told_by_the_level_of_its_hours_and_not_of_its_day(room, coded):
    plain = theory_of(room, {"provider": "acme"}, "error_rate", 9, 10)
    onset, end = date(room, plain)
    told = at_hours(room, plain, onset, end)
    metric = room.names["error_rate"]
    ((k, code),) = label_of(room, provider="acme")
    mine = coded[coded[f"c{k}"] == code]
    size = 24 // room.fine.per_day
    inside = (mine["hour"] >= told.hours[0] // size * size) & (mine["hour"] < -(-told.hours[1] // size) * size)
    before, after, _ = told.tests[metric]
    assert after.value == pytest.approx(mine[f"m{metric}"][inside].mean())
    assert before.value == pytest.approx(mine[f"m{metric}"][~inside].mean())
    assert after.value > plain.tests[metric][1].value + 0.1


def test_a_lead_needs_values_from_before_to_be_sure(room):
    plain = theory_of(room, {"plan": kit.HOSTILE_VALUE}, "score:help:ful'ness:judge", 16, None)
    before, after, effect = plain.tests[plain.metric]
    assert sure(room, plain)
    few = replace(plain, tests={plain.metric: (replace(before, n=24), after, effect)})
    assert not sure(room, few)
    assert sure(room, replace(few, tests={plain.metric: (replace(before, n=25), after, effect)}))


def test_a_step_is_left_in_its_days(room):
    plain = theory_of(room, {"plan": kit.HOSTILE_VALUE}, "score:help:ful'ness:judge", 16, None)
    assert at_hours(room, plain, *date(room, plain)) is plain


def test_an_end_is_later_than_its_onset_even_where_the_search_was_a_day_off(room):
    onset, end = date(room, theory_of(room, {"provider": "acme"}, "error_rate", 8, 9))
    assert end > onset.time


def test_a_step_without_a_suspect_is_dated_in_its_own_series(room):
    onset, end = date(room, theory_of(room, {"plan": kit.HOSTILE_VALUE}, "score:help:ful'ness:judge", 16, None))
    assert abs(onset.time - kit.moment(16 + 10 / 24)) <= timedelta(days=1)
    assert (onset.shape, end) == ("step", None)
    assert onset.low <= onset.time <= onset.high


def test_a_suspect_is_dated_by_the_first_trace_that_has_it(room):
    first = max(room.suspects, key=lambda t: t.support)
    onset, end = date(room, first)
    assert timedelta(0) <= onset.time - kit.moment(16 + 10 / 24) <= timedelta(hours=3)
    assert end is None


def test_a_given_onset_is_taken_as_it_is(room, monkeypatch):
    given = kit.moment(15.3)
    monkeypatch.setattr(room, "plan", replace(room.plan, onset=given))
    onset, _ = date(room, theory_of(room, {"plan": kit.HOSTILE_VALUE}, "score:help:ful'ness:judge", 15, None))
    assert (onset.time, onset.low, onset.high) == (given, given, given)


# The judge's mean


def judged_room(rows: pd.DataFrame, days: int, metric=None):
    """What ``overall`` needs of a room, on hand-made rows of the coded table."""
    con = duckdb.connect(config={"threads": 1})
    con.register(ax.CODED, rows)
    plan = tr.Plan(kit.MONDAY, days, (metric or score_metric("q", "judge", 0, 1), *WATCHED), (), ())
    obs = SimpleNamespace(query=lambda sql, params=None: con.sql(sql).to_arrow_table())
    return SimpleNamespace(plan=plan, counter=SimpleNamespace(obs=obs), judged={0})


def judged_rows(*, mix=0.5, late_mix=None, sampled=0.3, late_sampled=None, drop=0.0, days=42, onset=24, per_day=150):
    """Traffic of two groups, one that is answered well (.9) and one badly (.5); from the onset on with other shares, sample or level."""
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(days), per_day)
    late = day >= onset
    bad = rng.random(len(day)) < np.where(late, mix if late_mix is None else late_mix, mix)
    level = np.where(bad, 0.5, 0.9)
    chance = np.where(bad & late & (late_sampled is not None), late_sampled or sampled, sampled)
    seen = rng.random(len(day)) < chance
    value = level - drop * late + rng.normal(0, 0.08, len(day))
    raw = pd.array(value, dtype="Float64")
    raw[~seen] = pd.NA
    return pd.DataFrame({"day": day, "raw0": raw, "plain0": level, "expected0": level})


@pytest.mark.parametrize(("changes", "verdict"), [
    ({"late_mix": 0.8}, "traffic_mix_changed"), ({"late_sampled": 0.95}, "sampling_changed"), ({"drop": 0.12}, "within"),
])  # fmt: skip
def test_a_move_of_the_judges_mean_is_told_apart(changes, verdict):
    found = overall.overall(judged_room(judged_rows(**changes), 42))
    assert abs(found.change.onset - 24) <= 1
    assert found.raw.value < -0.05
    assert found.verdict == verdict
    assert sum(found.parts.values()) == pytest.approx(found.raw.value, abs=0.03)


def test_where_the_judges_mean_stands_still_there_is_nothing_to_tell():
    assert overall.overall(judged_room(judged_rows(), 42)) is None


def test_without_a_judge_there_is_nothing_to_tell():
    assert overall.overall(judged_room(judged_rows(drop=0.12), 42, score_metric("thumbs", "user", 0, 1))) is None


@pytest.mark.parametrize(
    ("changes", "held"), [({"late_mix": 0.8}, False), ({"late_sampled": 0.95}, False), ({"drop": 0.12}, True)]
)
def test_a_slice_is_held_up_only_by_what_mix_and_sample_leave(changes, held):
    assert overall.held_up(judged_room(judged_rows(**changes), 42), 0, (), 24, None, -0.12) is held


# The change log


def test_entries_of_the_change_log_near_the_onset_are_told_and_those_shortly_before_are_matched(root):
    at = {"old": -20, "week": -7, "day": -1.2, "hour": -0.01, "after": 0.1, "later": 2, "late": 20}
    told = [TOLD | {"change_id": k, "at": kit.moment(25 + d), "kind": "release", "ref": k, "note": "x"} for k, d in at.items()]
    storekit.put(root, changes=told)
    obs = lm.open(root, threads=1)
    onset = Onset(kit.moment(25), kit.moment(24.9), kit.moment(25.05), "step")
    found = change_log(SimpleNamespace(counter=SimpleNamespace(obs=obs)), onset)
    assert [r["ref"] for r in found] == ["week", "day", "hour", "after", "later"]
    assert [r["ref"] for r in found if r["matched"]] == ["day", "hour", "after"]


def test_an_empty_change_log_tells_nothing(room):
    assert change_log(room, Onset(kit.moment(16), kit.moment(16), kit.moment(16), "step")) == []


# Words


def test_evidence_is_clean_and_cut_although_passage_key_and_value_are_hostile(room):
    first = max(room.suspects, key=lambda t: t.support)
    onset = Onset(kit.moment(16), kit.moment(16), kit.moment(16), "step")
    entry = {"matched": True, "kind": "release\x1b[2J", "ref": "r\u202e", "note": "n" * 5000, "at": kit.moment(15.9)}
    told = evidence.sentences(room, first, named(room, first.label), onset, [entry])
    assert not [t for t in (*told, evidence.undo(room, first, named(room, first.label))) if kit.BAD_CHARACTERS.search(t)]
    assert "Policy of 'pro' accounts: <script>alert(1)</script> answer in one short sentence" in told[0]
    assert re.search(r"… \[\d+ characters more\]", told[0])
    assert "release r nnn" in told[-1]
    assert max(map(len, told)) < 1200


def test_the_diff_keeps_the_passage_as_it_is_and_takes_prompts_of_the_slice(room):
    first = max(room.suspects, key=lambda t: t.support)
    diff = evidence.prompt_diff(room, first)
    assert kit.PASSAGE.strip() in diff.after and kit.PASSAGE.strip() not in diff.before
    assert kit.HEAD in diff.before
    assert (diff.sign, diff.passage in diff.after) == ("+", True)
    assert diff.since == first.suspect.at


@pytest.mark.parametrize("kind", sorted(evidence.UNDO))
def test_every_kind_says_what_to_do_and_what_it_is(room, kind):
    first = max(room.suspects, key=lambda t: t.support)
    told = evidence.undo(room, replace(first, kind=kind), named(room, first.label))
    assert "{" not in told and len(told) > 20
    assert set(evidence.UNDO) == set(words.KINDS)


def test_a_slice_without_attributes_is_all_traffic():
    assert evidence.where_text({}) == "all traffic"
    assert evidence.where_text({"a\x1b[31m": "x" * 200}).startswith("a = xxx")


@pytest.mark.parametrize(("shape", "end", "told"), [
    ("step", None, "since 21 October 2026 12:00 UTC: the provider fails."),
    ("burst", kit.moment(17), "since 21 October 2026 12:00 UTC until 22 October 00:00: the provider fails."),
    ("ramp", None, "since about 21 October 2026, slowly: the provider fails."),
])  # fmt: skip
def test_the_headline_says_what_for_whom_since_when_and_why(shape, end, told):
    one = next(m for m in WATCHED if m.name == "error_rate")
    cause = Cause("provider_errors", {"provider": "ac\x1b[31mme"}, Estimate(0.2, 0.1, 0.3, 9), None, 0.9, (), "")
    onset = Onset(kit.moment(16.5), kit.moment(16), kit.moment(17), shape)
    text = words.headline(one, cause, onset, end, Estimate(0.01, 0, 0.02, 9), Estimate.refused("none"))
    assert text == f"Error rate went from 1.0 % to unknown for provider = acme {told}"


# Windows to compare


@pytest.mark.parametrize(("before", "after"), [
    ((10, 5), (12, 20)), ((5, 10), (8, 20)), ((-9, -5), (12, 20)), ((5, 10), (40, 50)),
])  # fmt: skip
def test_windows_that_overlap_or_hold_no_data_are_refused(before, after):
    pairs = (tuple(map(kit.moment, w)) for w in (before, after))
    with pytest.raises(
        UsageError, match=r"before=2026-.* and after=2026-.*: give two windows, the first before the second, within the data"
    ):
        tr.windows_of(*pairs, kit.moment(0), kit.moment(28))


def test_a_window_that_is_not_given_is_all_the_rest():
    low, high = kit.moment(0), kit.moment(28)
    assert tr.windows_of(None, None, low, high) == ()
    assert tr.windows_of((kit.moment(3), kit.moment(9)), None, low, high) == (
        (kit.moment(3), kit.moment(9)),
        (kit.moment(9), high),
    )
    assert tr.windows_of(None, (kit.moment(9), high), low, high) == ((low, kit.moment(9)), (kit.moment(9), high))


def test_of_two_windows_nothing_outside_counts_whatever_the_keys_are_called(root):
    key = "x GROUP BY source y"
    kit.put(root, [kit.trace(f"t{k}", kit.moment(k), metadata={key: f"v{k % 2}"}) for k in range(12)])
    frame, plan = raw(root, before=(kit.moment(1), kit.moment(4)), after=(kit.moment(6), kit.moment(9)))
    assert (plan.start, plan.end, plan.onset) == (kit.moment(1), kit.moment(9), kit.moment(6))
    assert frame[f"by {key}"].to_dict() == {f"t{k}": f"v{k % 2}" for k in (1, 2, 3, 6, 7, 8)}
