"""The incident analysis end to end: the story of the demo data, cases with known truth, awkward stores, errors."""

import json
from datetime import UTC, datetime, timedelta

import incidentkit as kit
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import storekit
from incidents import case
from incidents.marks import mark

import llmobs_nb as lm
from llmobs_nb import demodata
from llmobs_nb.analyses.incident.result import FRAMES, VERDICTS
from llmobs_nb.analyses.incident.words import KINDS
from llmobs_nb.cli import main
from llmobs_nb.errors import UsageError

TRUTH = json.loads((demodata.data_folder() / "truth.json").read_text())
BEGAN = datetime.fromisoformat(TRUTH["onset"])
BLOCK = TRUTH["block"]
NUMBER = (int, float)


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    return lm.load(demodata.data_folder(), store=tmp_path_factory.mktemp("demo") / "s", threads=1)


@pytest.fixture(scope="module")
def result(obs):
    return lm.incident(obs)


@pytest.fixture(scope="module")
def told(result):
    """The JSON as a reader of strict JSON gets it."""
    return json.loads(json.dumps(result.json(), allow_nan=False))


@pytest.fixture(scope="module")
def judged(obs):
    """Judged production traces of the demo by pandas: value, when, whether sso, whether the block stood in a prompt."""
    spans = obs.sql("SELECT trace_id, start_time, environment, metadata['auth'] AS auth FROM spans WHERE is_root").set_index(
        "trace_id"
    )
    scores = obs.sql("SELECT trace_id, value FROM scores WHERE name = 'helpfulness' AND rater = 'judge'")
    prompts = obs.sql("SELECT trace_id, system_prompt FROM payloads WHERE system_prompt IS NOT NULL")
    spans["block"] = spans.index.isin(prompts.loc[prompts["system_prompt"].str.contains(BLOCK, regex=False), "trace_id"])
    spans["value"] = scores.groupby("trace_id")["value"].mean()
    spans = spans[(spans["environment"] == "production") & spans["value"].notna()]
    return spans.assign(late=spans["start_time"] >= pd.Timestamp(BEGAN).floor("D"), sso=spans["auth"] == "sso")


# The story of the demo


def test_the_demo_is_an_incident_of_a_prompt_for_single_sign_on(result):
    assert result.verdict == "incident"
    assert (result.metric, result.direction) == ("score:helpfulness:judge", "down")
    assert (result.causes[0].kind, result.causes[0].where) == ("prompt_text", {"auth": "sso"})
    assert result.causes[0].confidence > 0.5


def test_it_is_dated_within_three_days(result):
    assert abs(result.onset.time - BEGAN) <= timedelta(days=3)
    assert result.onset.low <= BEGAN <= result.onset.high
    assert result.end is None


def test_the_block_is_in_the_evidence_and_in_the_diff(result):
    first = result.causes[0]
    assert any(" ".join(BLOCK.split()) in sentence for sentence in first.evidence)
    assert first.diff.passage == BLOCK
    assert BLOCK in first.diff.after and BLOCK not in first.diff.before
    assert first.diff.sign == "+"
    assert abs(first.diff.since - BEGAN) <= timedelta(days=1)


def test_the_headline_says_it_to_a_manager(result):
    for word in ("helpfulness", "auth = sso", "26 October 2026", "a passage entered the rendered system prompt"):
        assert word in result.headline
    assert "auth = sso" in result.causes[0].undo


def test_twenty_traces_nearly_all_with_the_block(obs, result):
    listed = ", ".join(f"'{t}'" for t in result.traces)
    found = obs.sql(
        f"SELECT DISTINCT trace_id FROM payloads WHERE trace_id IN ({listed}) AND contains(system_prompt, $$Keep every answer under two$$)"
    )
    assert len(set(result.traces)) == len(result.traces) == 20
    assert len(found) >= 19
    (first,) = obs.sql(f"SELECT min(start_time) AS a FROM spans WHERE trace_id IN ({listed})")["a"]
    assert first >= BEGAN


def test_before_and_after_are_the_means_of_pandas(result, judged):
    sso = judged[judged["sso"]]
    for side, late in ((result.before, False), (result.after, True)):
        values = sso.loc[sso["late"] == late, "value"]
        assert (side.value, side.n) == (pytest.approx(values.mean(), abs=1e-9), len(values))
        assert side.ci_low < side.value < side.ci_high


def test_the_effect_is_that_of_differences_and_what_would_have_been_is_near_the_rest(result, judged):
    mean = judged.groupby(["sso", "late"])["value"].mean()
    plain = (mean[True, True] - mean[True, False]) - (mean[False, True] - mean[False, False])
    first = result.causes[0]
    assert first.effect.value == pytest.approx(plain, abs=0.02)
    assert first.effect.ci_low <= plain <= first.effect.ci_high < 0
    assert first.without.value == pytest.approx(result.after.value - first.effect.value)
    assert first.share_explained > 0.8


def test_the_share_of_the_slice_that_has_the_passage_is_right(obs, result):
    since = f"TIMESTAMPTZ '{result.onset.time.date()}'"
    rows = obs.sql(f"""SELECT s.trace_id, max(contains(p.system_prompt, $$Keep every answer under two$$)::INT) AS has FROM spans s
        JOIN payloads p USING (source, project, trace_id, span_id) WHERE s.start_time >= {since} AND s.environment = 'production'
        AND s.trace_id IN (SELECT trace_id FROM spans WHERE metadata['auth'] = 'sso') AND p.system_prompt IS NOT NULL GROUP BY 1""")
    assert result.causes[0].diff.share_rate == pytest.approx(rows["has"].mean(), abs=0.02)


def test_decoys_are_not_the_first_cause_and_are_far_less_likely(result):
    assert max(c.confidence for c in result.causes[1:]) < 0.2
    assert sum(c.confidence for c in result.causes) <= 1


def test_staging_is_named_as_left_out(result):
    assert any("staging" in f.text for f in result.findings)


def test_exemplars_are_matched_with_their_like_from_before(obs, result):
    feature = obs.sql("SELECT trace_id, max(feature) AS f FROM spans GROUP BY 1").set_index("trace_id")["f"]
    rows = result.exemplars
    assert set(rows["side"]) == {"before", "after"}
    assert set(rows.loc[rows["side"] == "after", "trace_id"]) <= set(result.traces)
    assert (rows.loc[rows["side"] == "before", "started"] < result.onset.time).all()
    pairs = rows["trace_id"].to_list()
    for place in range(0, len(pairs) - 1, 2):
        assert feature[pairs[place]] == feature[pairs[place + 1]]
    assert set(result.checklist["trace_id"]) == set(result.spans["trace_id"]) == set(pairs)
    assert set(result.checklist["verdict"]) <= {"ok", "unusual", "wrong", "cannot_tell"}


def test_the_timeline_has_a_row_per_day_and_part(result, judged):
    assert not result.timeline.duplicated(["day", "part"]).any()
    days = judged[judged["sso"]].groupby(judged["start_time"].dt.date)["value"].agg(["mean", "size"])
    mine = result.timeline[result.timeline["part"] == "slice"].set_index("day")
    assert mine["n"].to_dict() == days["size"].to_dict()
    np.testing.assert_allclose(mine["value"], days["mean"].reindex(mine.index), atol=1e-9)
    assert (mine["low"] <= mine["value"]).all() and (mine["value"] <= mine["high"]).all()


def test_of_the_slices_the_picked_one_is_shown_in_units(result):
    picked = result.slices[result.slices["picked"]]
    assert list(picked["slice"]) == ["auth=sso"]
    row = picked.iloc[0]
    assert row["before"] == pytest.approx(result.before.value)
    assert row["after"] == pytest.approx(result.after.value)
    assert row["effect"] == pytest.approx(result.causes[0].effect.value)


# The contract


def is_estimate(value):
    assert {"value", "ci_low", "ci_high", "n"} <= set(value)
    assert isinstance(value["n"], int)
    if value["value"] is None:
        assert value["reason"]
    else:
        assert value["ci_low"] <= value["value"] <= value["ci_high"]
    return True


def is_time(text):
    return datetime.fromisoformat(text).tzinfo is not None


def keeps_the_contract(told):
    assert told["verdict"] in VERDICTS
    assert told["metric"] is None or isinstance(told["metric"], str)
    assert told["direction"] in ("up", "down", None)
    assert is_estimate(told["before"]) and is_estimate(told["after"])
    assert told["minimum_detectable"] is None or isinstance(told["minimum_detectable"], NUMBER)
    if told["onset"] is not None:
        assert {"time", "low", "high", "shape"} <= set(told["onset"])
        assert all(is_time(told["onset"][k]) for k in ("time", "low", "high"))
        assert told["onset"]["low"] <= told["onset"]["time"] <= told["onset"]["high"]
        assert told["onset"]["shape"] in ("step", "ramp", "burst")
    assert told["end"] is None or is_time(told["end"])
    assert bool(told["causes"]) == (told["verdict"] == "incident")
    for cause in told["causes"]:
        assert cause["kind"] in KINDS
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in cause["where"].items())
        assert is_estimate(cause["effect"])
        assert cause["share_explained"] is None or 0 <= cause["share_explained"] <= 1
        assert 0 <= cause["confidence"] <= 1
        assert cause["evidence"] and all(isinstance(e, str) and e for e in cause["evidence"])
        assert isinstance(cause["undo"], str)
    assert [c["confidence"] for c in told["causes"]] == sorted((c["confidence"] for c in told["causes"]), reverse=True)
    assert all(isinstance(t, str) for t in told["traces"]) and len(told["traces"]) <= 20
    for other in told["others"]:
        assert {"metric", "verdict", "onset"} <= set(other)
    assert isinstance(told["seconds"], NUMBER)
    return True


def test_the_json_keeps_the_contract(told):
    assert keeps_the_contract(told)
    assert len(told["traces"]) == 20


def estimates(value):
    """Every estimate with a number in a JSON document."""
    if isinstance(value, dict):
        if {"value", "ci_low", "ci_high", "n"} <= set(value):
            yield value
        for inner in value.values():
            yield from estimates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from estimates(inner)


def test_every_estimate_of_the_json_is_claimed_once_and_carries_its_n(result, told):
    claims = result.claims()
    assert len({c["id"] for c in claims}) == len(claims)
    carried = {(c["value"], c["ci_low"], c["ci_high"], c["n"]) for c in claims}
    shown = [e for e in estimates(told) if e["value"] is not None]
    assert len(shown) >= 4
    for e in shown:
        assert (e["value"], e["ci_low"], e["ci_high"], e["n"]) in carried
    assert json.dumps(claims, allow_nan=False)


def test_the_numbers_without_an_interval_are_claimed_too(result, told):
    values = {c["value"] for c in result.claims()}
    assert told["minimum_detectable"] in values
    for cause in told["causes"]:
        assert cause["confidence"] in values
        assert cause["share_explained"] is None or cause["share_explained"] in values


def test_the_provenance_says_from_what_it_was_computed(obs, result):
    assert result.provenance["store"] == obs.store
    assert result.provenance["versions"] == obs.versions
    assert result.provenance["window"] == {"start": "2026-09-21T00:00:00+00:00", "end": "2026-11-16T00:00:00+00:00"}
    assert result.parameters == {"metric": "auto", "onset": None, "tz": "UTC", "where": {}}


def test_without_any_prompt_version_it_is_found_too(tmp_path):
    tables = {name: pq.read_table(demodata.data_folder() / f"{name}.parquet") for name in ("spans", "scores")}
    tables["spans"] = tables["spans"].drop_columns(["prompt_version", "prompt_name"])
    for name, table in tables.items():
        last = pc.utf8_slice_codeunits(table["trace_id"], -1)
        pq.write_table(table.filter(pc.is_in(last, pa.array(["0", "3", "7"]))), tmp_path / f"{name}.parquet")
    found = lm.incident(lm.load(tmp_path, store=tmp_path / "s", threads=1))
    assert (found.verdict, found.causes[0].kind, found.causes[0].where) == ("incident", "prompt_text", {"auth": "sso"})
    assert abs(found.onset.time - BEGAN) <= timedelta(days=3)
    assert found.causes[0].diff.passage == BLOCK


# Cases with known truth (tuning seeds)


def made(seed, kind):
    """Four weeks and 2,500 traces; ``oracle_z`` is 8 or more where something happened."""
    one = case(seed, traces=2500, kind=kind, weeks=4)
    assert kind == "quiet" or abs(one.truth.oracle_z) >= 8
    return one


def answer(one, folder):
    return json.loads(
        json.dumps(lm.incident(lm.load(one.write(folder / "data"), store=folder / "s", threads=1)).json(), allow_nan=False)
    )


def test_a_burst_of_provider_errors_is_found_with_its_hours(tmp_path):
    one = made(71, "provider_errors")
    told = answer(one, tmp_path)
    assert keeps_the_contract(told)
    found = mark(one, told)
    assert found.all_right
    assert told["metric"] in one.truth.metrics
    assert (told["direction"], told["onset"]["shape"]) == ("up", "burst")
    assert told["end"] > told["onset"]["time"]
    assert abs(datetime.fromisoformat(told["end"]) - one.truth.end) <= timedelta(hours=12)
    assert found.first >= 0.9


def test_a_model_that_changed_behind_its_name_is_found_with_what_to_pin(tmp_path):
    one = made(27, "model_version")
    told = answer(one, tmp_path)
    assert keeps_the_contract(told)
    found = mark(one, told)
    assert found.all_right
    assert one.truth.details["to"] in " ".join(told["causes"][0]["evidence"])
    assert told["causes"][0]["undo"].startswith("pin ")
    assert found.first >= 0.9


def test_quiet_weeks_are_no_incident_and_say_what_could_have_been_seen(tmp_path):
    one = made(27, "quiet")
    told = answer(one, tmp_path)
    assert keeps_the_contract(told)
    assert told["verdict"] in ("no_change", "not_enough_evidence")
    assert (told["causes"], told["traces"], told["onset"]) == ([], [], None)
    assert told["minimum_detectable"] > 0
    assert {o["verdict"] for o in told["others"]} <= {"inside", "open"}
    for o in told["others"]:
        assert (o["verdict"] == "inside") == (-o["margin"] < o["low"] and o["high"] < o["margin"])


# Awkward stores


def few(n, days, **fields):
    """Traces spread over some days; no model call, no text."""
    return [kit.trace(f"t{k}", kit.moment(days * k / n), feature="ab"[k % 2], **fields) for k in range(n)]


def looked_at(root, **asked):
    found = lm.incident(lm.open(root, threads=1), **asked)
    assert keeps_the_contract(json.loads(json.dumps(found.json(), allow_nan=False)))
    assert json.dumps(found.claims(), allow_nan=False)
    assert all(list(getattr(found, name).columns) == list(columns) for name, columns in FRAMES.items())
    return found


def test_a_store_without_a_span_of_the_product_says_so(root):
    kit.put(root, few(40, 20, purpose="evaluation"))
    found = looked_at(root)
    assert found.verdict == "not_enough_evidence"
    assert found.headline == "The store holds no spans of the product: there is nothing to look at."


def test_a_store_of_scores_only_is_not_enough(root):
    storekit.put(
        root,
        scores=[
            storekit.score(f"s{k}", trace_id=f"t{k}", value=k % 7 / 7, rater="judge", created_at=kit.moment(k / 9))
            for k in range(250)
        ],
    )
    found = looked_at(root)
    assert found.verdict == "not_enough_evidence"
    assert "no metric has enough values" in found.headline


def test_one_day_is_not_enough_and_is_said_in_a_finding(root):
    rows = [
        kit.trace(f"t{k}", kit.moment(k / 300), call={"tokens_in": 9 + k % 3}, feature="ab"[k % 2], scores={"q": k % 5 / 5})
        for k in range(290)
    ]
    kit.put(root, rows)
    found = looked_at(root)
    assert (found.verdict, found.minimum_detectable) == ("not_enough_evidence", None)
    assert "inf" not in found.headline
    assert [f.text for f in found.findings] == ["1 day of data: slices are searched from 14 days on"]


def test_one_trace_is_not_enough(root):
    kit.put(root, [kit.trace("t", kit.MONDAY, call={})])
    assert looked_at(root).verdict == "not_enough_evidence"


def test_traces_without_a_model_call_are_looked_at_all_the_same(root):
    kit.put(root, few(400, 20, latency_ms=100.0))
    assert looked_at(root).verdict in ("no_change", "not_enough_evidence")
    with pytest.raises(UsageError, match=r"metric='score:q:judge' is not known; choose one of: auto, error_rate"):
        lm.incident(lm.open(root, threads=1), metric="score:q:judge")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three weeks in which no metric has enough values."""
    return kit.put(tmp_path_factory.mktemp("small") / "s", few(60, 20, status=None))


@pytest.mark.parametrize("asked", [{}, {"metric": "ttft_ms"}, {"onset": kit.moment(12)}, {"before": "2026-10-05/2026-10-14"}])
def test_where_every_metric_is_null_there_is_not_enough_evidence(small, asked):
    found = looked_at(small, **asked)
    assert found.verdict == "not_enough_evidence"
    assert "no metric has enough values" in found.headline


# Wrong use


WRONG = [
    ({"metric": "qualty"}, r"metric='qualty' is not known; choose one of: auto, error_rate, guardrail_block_rate"),
    ({"onset": "2025-01-01"}, r"onset='2025-01-01' is outside of the data; give a time between 2026-10-05 and 2026-10-25"),
    ({"onset": datetime(2027, 1, 1, tzinfo=UTC)}, r"onset=datetime.* is outside of the data; give a time between 2026-10-05"),
    ({"onset": datetime(2025, 1, 1)}, r"is outside of the data"),
    ({"onset": "soon"}, r"'soon'"),
    ({"tz": "Mars/Olympus", "onset": "2026-10-10"}, r"Mars/Olympus"),
    ({"where": {"nothing": "x"}}, r"where: 'nothing' is neither a column nor a metadata key; choose one of: "),
    (
        {"before": "2026-10-06"},
        r"before='2026-10-06' is no window; give two times with a slash between them, such as 2026-10-01/",
    ),
    ({"before": "2026-10-12/2026-10-06", "after": "2026-10-14/2026-10-16"}, r"give two windows, the first before the second"),
    (
        {"after": "2026-12-01/2026-12-09"},
        r"give two windows, the first before the second, within the data \(2026-10-05 to 2026-10-25\)",
    ),
]


@pytest.mark.parametrize(("asked", "match"), WRONG, ids=[" ".join(w[0]) + str(k) for k, w in enumerate(WRONG)])
def test_wrong_use_is_one_line_with_the_cure(small, asked, match):
    with pytest.raises(UsageError, match=match) as caught:
        lm.incident(lm.open(small, threads=1), **asked)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("argv", "said"), [
    (["--metric", "qualty"], "metric='qualty' is not known"), (["--onset", "2025-01-01"], "is outside of the data"),
    (["--onset", "soon"], "'soon'"), (["--since", "soon"], "'soon'"),
])  # fmt: skip
def test_the_command_line_exits_with_3_and_one_line(small, capsys, argv, said):
    code = main(["incident", "--store", small, *argv])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("llmobs: ") and said in err


def test_the_command_line_gives_the_json_whatever_the_verdict(small, capsys):
    code = main(["incident", "--store", small, "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert keeps_the_contract(told)
    assert told["verdict"] in ("no_change", "not_enough_evidence")


def test_a_part_of_the_traffic_can_be_looked_at_alone(small):
    found = lm.incident(lm.open(small, threads=1), where={"feature": "a"})
    assert found.parameters["where"] == {"feature": "a"}
    assert found.verdict in ("no_change", "not_enough_evidence")


@pytest.mark.parametrize("days", [13, 14, 15])
def test_a_fortnight_of_data_has_an_answer(tmp_path, days):
    store = kit.put(tmp_path / "s", kit.product(days=days, per_day=40))
    assert lm.incident(lm.open(store, threads=1)).json()["verdict"] in ("no_change", "not_enough_evidence", "incident")
