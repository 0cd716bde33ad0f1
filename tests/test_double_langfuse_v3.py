"""The Langfuse double as a v3 server: the old routes answer, the new ones are absent, and the other way round."""

import json
from collections import Counter

import pytest
from doubles.langfuse import LangfuseDouble
from doubles.traffic import START, Traffic, traffic
from langfuse.api.commons.types.score import Score
from langfuse.api.core.pydantic_utilities import parse_obj_as
from langfusedouble import ask, get, refused, span, tied, trace

OLD = (
    "traces",
    "traces/x",
    "observations",
    "v2/scores",
    "sessions",
    "metrics/daily",
    "datasets/golden/runs",
    "dataset-run-items",
)
NEW = ("v2/observations", "v3/scores", "v2/metrics", "experiments", "experiment-items")


@pytest.fixture(scope="module")
def old() -> LangfuseDouble:
    """Sixty traces on a v3 server; only for tests that read."""
    return LangfuseDouble(traffic(3), server="v3", duplicates=0.5, extras=("corrections", "labels"))


def pages(double: LangfuseDouble, route: str, **query) -> list[dict]:
    """All pages of a route that pages by numbers."""
    out, page = [], 1
    while True:
        told = get(double, route, page=page, **query)
        out += told["data"]
        if page >= told["meta"]["totalPages"]:
            return out
        page += 1


def test_each_server_answers_404_to_the_routes_of_the_other(old):
    new = LangfuseDouble(traffic(0))
    assert {ask(new, route, key={}).status for route in OLD} == {404}
    assert "events_only mode" in json.loads(ask(new, "traces").content)["message"]
    assert {ask(old, route).status for route in NEW} == {404}
    assert {ask(old, route, key={}).status for route in NEW} == {401}
    for route in NEW:
        assert "only available in a Langfuse v4 write mode" in json.loads(ask(old, route).content)["message"]
    assert get(old, "health")["version"].startswith("3.")
    assert ask(old, "v2/evaluators").status == 404


def test_traces_come_newest_first_with_what_was_asked_for(old):
    found = pages(old, "traces", limit=7)
    told = {t.id: t for t in traffic(3).traces}
    assert Counter(t["id"] for t in found) == Counter(list(told))
    assert [t["timestamp"] for t in found] == sorted((t["timestamp"] for t in found), reverse=True)
    for row in found:
        t = told[row["id"]]
        assert (row["userId"], row["sessionId"], row["tags"], row["metadata"]) == (
            t.user_id,
            t.session_id,
            list(t.tags),
            t.metadata,
        )
        assert row["totalCost"] == pytest.approx(sum(s.cost_usd or 0 for s in t.spans))
        assert len(row["observations"]) == 3
    bare = pages(old, "traces", limit=100, fields="core", orderBy="timestamp.asc")
    assert {(t["totalCost"], t["latency"], len(t["observations"]), len(t["scores"])) for t in bare} == {(-1, -1, 0, 0)}
    assert [t["id"] for t in bare] == [t["id"] for t in found][::-1]
    assert "input" not in bare[0]
    assert "orderBy" in refused(old, "traces", orderBy="name.asc")
    assert "<=100" in refused(old, "traces", limit=101)


def test_traces_are_filtered_by_a_half_open_window_and_by_their_fields(old):
    day = {"fromTimestamp": "2026-11-03T00:00:00Z", "toTimestamp": "2026-11-04T00:00:00Z"}
    expected = {t.id for t in traffic(3).traces if t.spans[0].start.day == 3}
    assert {t["id"] for t in pages(old, "traces", **day)} == expected
    both = pages(old, "traces", environment="staging", tags=["prod", "eu"])
    assert {t["id"] for t in both} == {t.id for t in traffic(3).traces if t.environment == "staging" and "eu" in t.tags}


def test_one_trace_comes_with_its_observations_and_scores(old):
    told = next(t for t in traffic(3).traces if len(t.scores) > 1)
    found = get(old, f"traces/{told.id}")
    assert {o["id"] for o in found["observations"]} == {s.id for s in told.spans}
    assert {s.id for s in told.scores} <= {s["id"] for s in found["scores"]}
    assert ask(old, "traces/nobody").status == 404


def test_observations_of_the_old_api_know_nothing_of_their_trace_s_user(old):
    found = {o["id"]: o for o in pages(old, "observations", limit=50)}
    assert set(found) == {s.id for s in traffic(3).spans}
    for s in traffic(3).spans:
        row = found[s.id]
        assert row["usage"]["total"] == row["totalTokens"] == (s.tokens_in or 0) + (s.tokens_out or 0)
        assert row["calculatedTotalCost"] == pytest.approx(s.cost_usd or 0)
        assert not {"userId", "sessionId", "tags", "isRootObservation"} & row.keys()
    priced = next(o for o in found.values() if o["modelId"] == "model-gpt-4.1")
    assert priced["inputPrice"] == 2e-6


def test_rows_of_one_moment_shift_between_the_pages_of_the_old_api():
    double = LangfuseDouble(tied(60), server="v3")
    counts = Counter(o["id"] for o in pages(double, "observations", limit=10))
    assert sum(counts.values()) == 60
    assert len(counts) < 60
    apart = Traffic([trace(span(f"s{n}", START.replace(minute=n), trace=f"t{n}")) for n in range(60)])
    assert len({o["id"] for o in pages(LangfuseDouble(apart, server="v3"), "observations", limit=10)}) == 60


def test_scores_of_the_old_api_say_a_category_beside_a_number(old):
    found = pages(old, "v2/scores", limit=9)
    assert {s.id for s in traffic(3).scores} < {s["id"] for s in found}
    read = [parse_obj_as(Score, s) for s in found]
    assert {s.data_type for s in read} == {"NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"}
    category = next(s for s in found if s["dataType"] == "CATEGORICAL")
    assert (category["value"], category["stringValue"]) == (0, "billing")
    human = pages(old, "v2/scores", source="ANNOTATION", dataType="BOOLEAN")
    assert {s["id"] for s in human} == {s.id for s in traffic(3).scores if s.rater == "human"}
    assert all(s["trace"]["userId"] for s in human)


def test_sessions_begin_with_their_first_trace(old):
    first: dict[str, str] = {}
    for t in sorted(traffic(3).traces, key=lambda t: t.spans[0].start):
        first.setdefault(t.session_id, f"{t.spans[0].start:%Y-%m-%dT%H:%M:%S}")
    assert {s["id"]: s["createdAt"][:19] for s in pages(old, "sessions", limit=4)} == first


def test_daily_metrics_count_each_row_once_and_sum_its_cost(old):
    found = {d["date"]: d for d in pages(old, "metrics/daily", limit=2)}
    for date, day in found.items():
        spans = [s for s in traffic(3).spans if f"{s.start:%Y-%m-%d}" == date]
        assert day["countObservations"] == len(spans) == sum(u["countObservations"] for u in day["usage"])
        assert day["totalCost"] == pytest.approx(sum(s.cost_usd or 0 for s in spans))
    assert sum(d["countTraces"] for d in found.values()) == 60


def test_runs_of_a_dataset_and_their_items_are_the_experiments_of_v4(old):
    assert [r["name"] for r in pages(old, "datasets/golden/runs", limit=1)] == ["baseline", "candidate"]
    items = pages(old, "dataset-run-items", datasetId="dataset-golden", runName="candidate")
    assert [i["datasetItemId"] for i in items] == ["item-0", "item-1", "item-2"]
    assert "required" in refused(old, "dataset-run-items", datasetId="dataset-golden")
    assert ask(old, "datasets/nobody/runs").status == 404
