"""The handle: filters pushed down, tidy frames, dimensions, repr, erasure."""

import datetime as dt

import pandas as pd
import pytest

import llmobs_nb as lm
from llmobs_nb.errors import InputError, StoreError, UsageError

DAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def span(trace, span_id, *, parent=None, hours=0.0, kind="llm", **more):
    start = DAY + dt.timedelta(hours=hours)
    row = {"trace_id": trace, "span_id": span_id, "parent_id": parent, "kind": kind, "name": kind, "start_time": start}
    return row | {"end_time": start + dt.timedelta(seconds=2), "source": "app", "project": "p"} | more


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    """Three traces on two days: a and b on Monday, c on Tuesday; only a's root says that it came by SSO."""
    spans = [
        span("a", "1", kind="chain", user_id="u1", tenant_id="t1", feature="chat", metadata={"auth": "sso"}, tags=["x"]),
        span("a", "2", parent="1", model="gpt-4o", provider="openai", tokens_in=1000, tokens_out=100, input="hi", output="<script>"),
        span("b", "1", hours=1, model="gpt-4o", provider="openai", tokens_in=10, tokens_out=1, feature="search", status="error",
             error_message="429 from provider", metadata={"auth": "password"}),
        span("c", "1", hours=30, user_id="u2", feature="chat", model="no-such-model", tokens_in=5, tokens_out=5, cost_recorded_usd=0.5,
             metadata={"auth": "password"}),
    ]  # fmt: skip
    scores = [
        {"trace_id": "a", "name": "helpful", "value": 0.5, "rater": "judge", "created_at": DAY + dt.timedelta(days=5)},
        {"trace_id": "c", "name": "thumb", "value": True, "rater": "user", "created_at": DAY + dt.timedelta(days=1)},
    ]
    return lm.load(pd.DataFrame(spans), scores=pd.DataFrame(scores), store=tmp_path_factory.mktemp("store"))


def test_spans_are_tidy_and_what_the_trace_says_reaches_every_span(obs):
    frame = obs.spans()
    assert list(frame["span_id"]) == ["1", "2", "1", "1"]
    assert list(frame["user_id"].fillna("")) == ["u1", "u1", "", "u2"]
    assert str(frame["start_time"].dtype) == "datetime64[us, UTC]"
    assert "input" not in frame
    assert frame["latency_ms"].tolist() == [2000.0] * 4


def test_texts_come_on_demand_only(obs):
    frame = obs.spans(columns=["span_id", "output"])
    assert frame["output"].dropna().tolist() == ["<script>"]
    assert obs.spans(texts=True)["input"].dropna().tolist() == ["hi"]


def test_list_price_by_hand(obs):
    # gpt-4o since October 2024: 2.50 and 10.00 USD per million tokens; 1,000 in and 100 out.
    cost = obs.spans(columns=["trace_id", "span_id", "cost_usd", "cost_source"]).set_index(["trace_id", "span_id"])
    assert cost.loc[("a", "2"), "cost_usd"] == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6, rel=1e-12)
    assert cost.loc[("a", "2"), "cost_source"] == "list"
    assert cost.loc[("c", "1"), "cost_usd"] == 0.5
    assert cost.loc[("c", "1"), "cost_source"] == "recorded"


def test_traces_have_one_row_each(obs):
    traces = obs.traces().set_index("trace_id")
    assert traces.loc["a", ["spans", "llm_calls", "errors", "status"]].tolist() == [2, 1, 0, "ok"]
    assert traces.loc["b", "status"] == "error"
    assert traces.loc["a", "models"].tolist() == ["gpt-4o"]
    assert list(obs.traces(limit=1)["trace_id"]) == ["a"]
    assert obs.traces(texts=True).set_index("trace_id")["input"].isna().all()  # a's root has no text of its own


def test_between_is_half_open_and_scores_go_with_their_trace(obs):
    monday = obs.between(DAY, DAY + dt.timedelta(days=1))
    assert set(monday.spans()["trace_id"]) == {"a", "b"}
    assert monday.scores()["name"].tolist() == ["helpful"]  # given on Saturday, for a trace of Monday
    assert obs.between(DAY + dt.timedelta(hours=1)).traces()["trace_id"].tolist() == ["b", "c"]
    assert obs.between(None, DAY + dt.timedelta(hours=1)).traces()["trace_id"].tolist() == ["a"]


def test_between_twice_narrows(obs):
    assert obs.between(DAY, "2026-03-04").between("2026-03-03").traces()["trace_id"].tolist() == ["c"]


def test_between_the_wrong_way_round(obs):
    with pytest.raises(UsageError, match=r"since='2026-03-05' is not before until='2026-03-04'; swap them"):
        obs.between("2026-03-05", "2026-03-04")


def test_where_on_a_column_takes_spans_and_on_metadata_whole_traces(obs):
    assert obs.where(feature="chat").spans()["trace_id"].tolist() == ["a", "a", "c"]
    assert obs.where(auth="sso").spans()["span_id"].tolist() == ["1", "2"]
    assert obs.where(auth=["sso", "password"], kind="llm").spans()["trace_id"].tolist() == ["a", "b", "c"]
    assert obs.where(user_id=None).spans()["trace_id"].tolist() == ["b"]
    assert obs.where(auth="sso").scores()["name"].tolist() == ["helpful"]


def test_where_on_nothing_known_lists_what_is(obs):
    with pytest.raises(UsageError, match=r"'aut' is neither a column nor a metadata key; choose one of: .*auth"):
        obs.where(aut="sso")


def test_columns_and_limits_that_do_not_fit(obs):
    with pytest.raises(UsageError, match=r"columns: 'cost' is not known; choose from: trace_id"):
        obs.spans(columns=["cost"])
    with pytest.raises(UsageError, match=r"limit=-1 is negative"):
        obs.spans(limit=-1)


def test_sql_gives_frames_and_a_clear_error(obs):
    assert obs.sql("SELECT count(*) AS n FROM spans")["n"].tolist() == [4]
    assert obs.sql("SELECT span_id FROM spans WHERE trace_id = $t ORDER BY 1", {"t": "a"})["span_id"].tolist() == ["1", "2"]
    with pytest.raises(UsageError, match=r"query failed: .*nothere.*the views are spans, payloads"):
        obs.sql("SELECT nothere FROM spans")


def test_dimensions_are_columns_metadata_and_tags_with_several_values(obs):
    found = obs.dimensions().set_index("name")
    assert found.loc["auth", ["kind", "values", "coverage_rate"]].tolist() == ["metadata", 2, 0.75]
    assert found.loc["feature", "kind"] == "column"
    assert "tags" not in found.index  # one value only


def test_copies_of_the_environment_are_no_dimensions(tmp_path):
    rows = [span("a", str(i), metadata={"LANGSMITH_PROJECT": f"p{i}", "plan": f"x{i}"}) for i in range(3)]
    assert lm.load(pd.DataFrame(rows), store=tmp_path).dimensions()["name"].tolist() == ["plan"]


def test_a_hostile_metadata_key_is_only_a_name(tmp_path):
    key = "x'); DROP VIEW spans; --\"\u202e"
    rows = [span("a", "1", metadata={key: "1"}), span("b", "1", metadata={key: "2"})]
    found = lm.load(pd.DataFrame(rows), store=tmp_path)
    assert found.where(**{key: "2"}).spans()["trace_id"].tolist() == ["b"]
    assert key in set(found.dimensions()["name"])


def test_reprs_say_window_counts_and_what_is_wrong(obs):
    assert "4 spans, 2 scores, 2026-03-02 00:00 to 2026-03-03 06:00 UTC" in repr(obs)
    page = obs._repr_html_()
    assert "4 spans, 3 traces, 2 scores" in page
    assert "<script" not in page


def test_window_and_versions(obs):
    assert obs.window == (DAY, DAY + dt.timedelta(hours=30, seconds=2))
    assert set(obs.versions) >= {"spans", "payloads", "scores"}


def test_a_handle_keeps_its_version(tmp_path):
    first = lm.load(pd.DataFrame([span("a", "1")]), store=tmp_path)
    lm.load(pd.DataFrame([span("b", "1")]), store=tmp_path)
    assert len(first.spans()) == 1
    assert len(lm.open(tmp_path).spans()) == 2


def test_scores_only_is_enough(tmp_path):
    scores = pd.DataFrame([{"trace_id": "a", "name": "x", "value": 1.0, "rater": "human", "created_at": DAY}])
    found = lm.load(scores=scores, store=tmp_path)
    assert found.status()["spans"] == 0
    assert found.window == (DAY, DAY)
    assert len(found.between(DAY, DAY + dt.timedelta(days=1)).scores()) == 1
    assert len(found.between(DAY + dt.timedelta(days=1)).scores()) == 0


def test_a_series_flows_in_with_its_dimensions(tmp_path):
    series = pd.DataFrame([{"name": "nps", "time": DAY, "value": 31.0, "n": 50, "region": "eu"}])
    found = lm.load(pd.DataFrame([span("a", "1")]), series=series, store=tmp_path)
    row = found.sql("SELECT name, value, n, dimensions['region'] AS region FROM series").iloc[0]
    assert row.tolist() == ["nps", 31.0, 50.0, "eu"]


def test_your_own_table_in_one_line(tmp_path):
    mine = pd.DataFrame([{"req": "r1", "ts": 1772409600, "took": 1.5, "who": "u9", "team": "blue", "shade": 3}])
    mapping = {
        "trace_id": "req",
        "span_id": "req",
        "start_time": "ts",
        "latency_ms": {"path": "took", "unit": "s"},
        "user_id": "who",
        "team": "team",
    }
    row = lm.load(mine, mapping=mapping, store=tmp_path).spans().iloc[0]
    assert row["start_time"] == pd.Timestamp("2026-03-02", tz="UTC")
    assert (row["latency_ms"], row["user_id"], row["team"], row["source"]) == (1500.0, "u9", "blue", "tables")


def test_erasing_needs_a_name(obs):
    with pytest.raises(UsageError, match=r"erase: nothing named; give trace_id, user_id or tenant_id"):
        obs.erase()


def test_opening_nothing_says_how_to_make_a_store(tmp_path):
    with pytest.raises(StoreError, match=r"does not exist; make one with: llmobs ingest PATH --store"):
        lm.open(tmp_path / "none")


def test_loading_nothing_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nothing to keep in the data: it holds no record; check the file"):
        lm.load(pd.DataFrame([{"trace_id": None}]).iloc[:0], store=tmp_path)


def test_memory_and_threads_are_checked(tmp_path):
    lm.load(pd.DataFrame([span("a", "1")]), store=tmp_path)
    with pytest.raises(UsageError, match=r"memory='much' is not a size; give a number and a unit, such as 600MB or 2GB"):
        lm.open(tmp_path, memory="much").spans()
    with pytest.raises(UsageError, match=r"threads=0 is not a count; give 1 or more"):
        lm.open(tmp_path, threads=0).spans()
