"""The Langfuse double: its answers parse with the vendor's SDK, its limits and faults hold, what it holds can change."""

import base64
import json
import threading
from datetime import timedelta

import pytest
from doubles.clock import FastClock
from doubles.faults import Faults
from doubles.langfuse import LangfuseDouble
from doubles.langfuse_data import EXTRAS
from doubles.traffic import START, ScoreT, traffic
from langfuse.api.core.api_error import ApiError
from langfusedouble import ALL, ask, get, one, refused, rows, sdk, span, trace

FOREVER = {"from_start_time": START - timedelta(days=1)}


@pytest.fixture(scope="module")
def busy() -> LangfuseDouble:
    """Sixty traces with everything that Langfuse has beyond them; only for tests that read."""
    return LangfuseDouble(traffic(3), extras=EXTRAS)


def test_the_sdk_pages_through_every_observation_once_and_reads_every_field(busy):
    found, cursor, told = [], None, traffic(3)
    with sdk(busy) as api:
        while True:
            page = api.observations.get_many(fields=ALL, limit=37, cursor=cursor)
            found += page.data
            if (cursor := page.meta.cursor) is None:
                break
    ours = {o.id: o for o in found if o.environment != "langfuse-llm-as-a-judge"}
    assert len({o.id for o in found}) == len(found)
    assert set(ours) == {s.id for s in told.spans}
    for s in told.spans:
        o = ours[s.id]
        assert (o.trace_id, o.parent_observation_id, o.start_time, o.end_time) == (s.trace_id, s.parent_id, s.start, s.end)
        assert (o.model, o.input, o.output, o.status_message) == (s.model, s.input, s.output, s.error)
        assert (o.level == "ERROR") == bool(s.error)
        assert o.usage_details.get("total", 0) == (s.tokens_in or 0) + (s.tokens_out or 0)
        assert o.total_cost == pytest.approx(s.cost_usd or 0)
    assert ours[told.traces[0].id].user_id == told.traces[0].user_id


def test_the_sdk_pages_through_every_score_once(busy):
    found, cursor, told = [], None, traffic(3)
    with sdk(busy) as api:
        while True:
            page = api.scores.get_many(fields="details,subject,annotation", limit=7, cursor=cursor)
            found += page.data
            assert page.meta.limit == 7
            if (cursor := page.meta.cursor) is None:
                break
    ours = {s.id: s for s in found}
    assert len(ours) == len(found)
    assert {s.data_type for s in found} == {"NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"}
    assert {s.subject.kind for s in found} == {"trace", "observation", "session"}
    for s in told.scores:
        assert (float(ours[s.id].value), ours[s.id].timestamp) == (s.value, s.created)
        assert ours[s.id].source == {"human": "ANNOTATION", "judge": "EVAL", "api": "API"}[s.rater]
        assert ours[s.id].author_user_id == s.author


LISTS = {
    "projects": lambda api: api.projects.get().data,
    "score configs": lambda api: api.score_configs.get().data,
    "queues": lambda api: api.annotation_queues.list_queues().data,
    "queue items": lambda api: api.annotation_queues.list_queue_items("queue-1").data,
    "open queue items": lambda api: api.annotation_queues.list_queue_items("queue-1", status="PENDING").data,
    "comments": lambda api: api.comments.get(object_type="TRACE").data,
    "datasets": lambda api: api.datasets.list().data,
    "dataset items": lambda api: api.dataset_items.list(dataset_name="golden").data,
    "prompts": lambda api: api.prompts.list(label="production").data,
    "models": lambda api: api.models.list().data,
    "experiments": lambda api: api.experiments.list(**FOREVER, fields="core,metadata,scores").data,
    "experiment items": lambda api: api.experiments.list_items(**FOREVER, fields="core,dataset,io,metadata,scores").data,
}


def test_the_sdk_reads_every_small_list(busy):
    with sdk(busy) as api:
        for name, read in LISTS.items():
            assert read(api), name
        assert api.health.health().version.startswith("4.")
        assert api.projects.get().data[0].id == "project-1"
        assert {s.status for s in LISTS["queue items"](api)} == {"PENDING", "COMPLETED"}
        assert [p.name for p in LISTS["prompts"](api)] == ["answer", "routing/triage"]


def test_the_sdk_reads_prompts_by_version_by_label_and_with_slashes_in_the_name(busy):
    with sdk(busy) as api:
        assert api.prompts.get("answer").version == 2
        assert api.prompts.get("answer", version=1).prompt.startswith("Answer the question: ")
        assert api.prompts.get("routing/triage").type == "chat"
        with pytest.raises(ApiError, match="Prompt not found: 'answer' with version 9"):
            api.prompts.get("answer", version=9)


def test_the_sdk_reads_metrics(busy):
    query = {
        "view": "observations", "metrics": [{"measure": "count", "aggregation": "count"}], "dimensions": [{"field": "type"}],
        "fromTimestamp": "2026-11-01T00:00:00Z", "toTimestamp": "2026-12-01T00:00:00Z",
        "filters": [{"type": "string", "column": "environment", "operator": "=", "value": "staging"}],
    }  # fmt: skip
    with sdk(busy) as api:
        found = {r["type"]: int(r["count_count"]) for r in api.metrics.metrics(query=json.dumps(query)).data}
    staging = [t for t in traffic(3).traces if t.environment == "staging"]
    assert found["SPAN"] == found["GENERATION"] == found["TOOL"] + found["RETRIEVER"] == len(staging)


# Keys, limits, faults


def test_a_wrong_key_is_401_and_health_needs_none(busy):
    wrong = ask(busy, "projects", key={"authorization": "Basic " + base64.b64encode(b"pk-lf-test:other").decode()})
    assert wrong.status == 401
    assert "Invalid credentials" in json.loads(wrong.content)["message"]
    assert json.loads(ask(busy, "v2/observations", key={}).content) == {"message": "No authorization header"}
    assert ask(busy, "health", key={}).status == 200


def test_of_n_requests_a_minute_the_nth_is_refused_until_the_window_is_over():
    clock = FastClock()
    double = LangfuseDouble(traffic(0), plan="hobby", clock=clock)
    assert {ask(double, "v3/scores").status for _ in range(29)} == {200}
    clock.wait(18)
    answer = ask(double, "v2/observations")
    assert (answer.status, answer.headers["retry-after"], answer.headers["x-ratelimit-limit"]) == (429, "42", "30")
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["x-ratelimit-reset"].endswith("GMT+0000 (Coordinated Universal Time)")
    clock.wait(41)
    assert ask(double, "comments").status == 429
    clock.wait(1)
    assert ask(double, "comments").status == 200


def test_each_bucket_counts_for_itself_and_prompts_have_none():
    double = LangfuseDouble(traffic(0), plan="hobby", clock=FastClock())
    assert [ask(double, "models").status for _ in range(40)].count(429) == 11
    assert [ask(double, "v2/prompts").status for _ in range(200)].count(429) == 0
    assert [ask(double, "v2/datasets").status for _ in range(105)].count(429) == 6
    query = '{"view": "observations", "metrics": [{"measure": "count", "aggregation": "count"}], "fromTimestamp": '
    query += '"2026-11-01T00:00:00Z", "toTimestamp": "2026-11-02T00:00:00Z"}'
    assert [ask(double, "v2/metrics", query=query).status for _ in range(110)].count(429) == 11
    old = LangfuseDouble(traffic(0), plan="hobby", clock=FastClock(), server="v3")
    assert [ask(old, "traces", limit=1).status for _ in range(20)].count(429) == 6
    assert double.statuses[429] == 28


def test_faults_come_first_and_calls_are_counted_by_route():
    faults = Faults(kinds=("502",), rate=1.0, most_in_a_row=2)
    double = LangfuseDouble(traffic(0), faults=faults)
    assert [ask(double, "v2/observations").status for _ in range(3)] == [502, 502, 200]
    ask(double, "annotation-queues/queue-1/items")
    assert double.calls == {"v2/observations": 3, "annotation-queues/{queue}/items": 1}
    assert double.statuses == {502: 3, 200: 1}
    assert double.asked[0].path == "/api/public/v2/observations"


def test_too_large_a_limit_is_422_and_too_large_an_answer_413():
    slow = LangfuseDouble(traffic(0), slow_above=100)
    answer = ask(slow, "v2/observations", limit=101)
    assert (answer.status, json.loads(answer.content)) == (422, {"error": "Request timed out"})
    assert ask(slow, "v2/observations", limit=100).status == 200
    small = LangfuseDouble(traffic(0), page_bytes=20_000)
    assert ask(small, "v2/observations", limit=100, fields=ALL).status == 413
    assert ask(small, "v2/observations", limit=10, fields=ALL).status == 200


@pytest.mark.parametrize(
    ("route", "most"),
    [("v2/observations", 1000), ("v3/scores", 100), ("experiments", 100), ("experiment-items", 100), ("score-configs", 100),
     ("annotation-queues/queue-1/items", 100), ("v2/datasets", 100), ("v2/prompts", 100), ("comments", 100)],
)  # fmt: skip
def test_a_limit_above_the_cap_is_400(busy, route, most):
    more = {"fromStartTime": "2026-01-01T00:00:00Z"} if route.startswith("experiment") else {}
    assert f"<={most}" in refused(busy, route, limit=most + 1, **more)
    assert ask(busy, route, limit=most, **more).status == 200


def test_a_page_holds_50_rows_unless_asked_otherwise(busy):
    assert len(get(busy, "v2/observations")["data"]) == 50
    assert len(get(busy, "v2/observations", limit=51)["data"]) == 51
    assert {get(busy, route)["meta"]["limit"] for route in ("v3/scores", "models", "dataset-items", "v2/prompts")} == {50}


def test_lists_by_number_say_how_many_pages_there_are(busy):
    whole = get(busy, "v2/prompts")["data"]
    first, second = (get(busy, "v2/prompts", limit=1, page=p) for p in (1, 2))
    assert first["data"] + second["data"] == whole
    assert second["meta"] == {"page": 2, "limit": 1, "totalItems": 2, "totalPages": 2}
    assert get(busy, "v2/prompts", limit=1, page=3)["data"] == []


# Experiments, queues


def test_experiments_need_a_start_and_page_by_a_cursor(busy):
    since = {"fromStartTime": "2026-01-01T00:00:00Z"}
    assert "fromStartTime" in refused(busy, "experiments")
    assert "fromStartTime" in refused(busy, "experiment-items")
    whole = rows(busy, "experiment-items", fields="core,io,scores", **since)
    assert rows(busy, "experiment-items", fields="core,io,scores", limit=2, **since) == whole
    assert len({r["id"] for r in whole}) == len(whole) == 6
    assert "expectedOutput" in whole[0]
    assert "expectedOutput" not in rows(busy, "experiment-items", **since)[0]
    baseline = rows(busy, "experiment-items", experimentName="baseline", **since)
    assert {r["experimentId"] for r in baseline} == {"experiment-baseline"}
    assert [e["itemCount"] for e in rows(busy, "experiments", limit=1, **since)] == [3, 3]
    assert ask(busy, "annotation-queues/none/items").status == 404


def test_more_rows_can_be_put_into_a_list():
    more = {"id": "d", "name": "more", "projectId": "project-1", "metadata": None}
    double = LangfuseDouble(traffic(0), extra={"datasets": [more]})
    assert [d["name"] for d in get(double, "v2/datasets")["data"]] == ["golden", "empty", "more"]
    with pytest.raises(ValueError, match=r"extra holds dataset; possible are score-configs"):
        LangfuseDouble(traffic(0), extra={"dataset": []})
    with pytest.raises(ValueError, match=r"extras holds judge; possible are corrections, labels"):
        LangfuseDouble(traffic(0), extras=("judge",))


# What changes


def test_a_late_trace_stands_at_its_old_time_with_a_new_update():
    double = LangfuseDouble(traffic(0))
    before = rows(double, fields="time")
    double.late(trace(span("late", START - timedelta(days=3), trace="late")))
    found = rows(double, fields="time")
    assert [r["id"] for r in found if r not in before] == ["late"] == [found[-1]["id"]]
    assert found[-1]["updatedAt"] > max(r["updatedAt"] for r in before)
    double.add(trace(span("new", START + timedelta(days=30), trace="new")))
    assert rows(double)[0]["id"] == "new"
    double.add(trace(span("new", START + timedelta(days=30), trace="new", name="again")))
    assert [r["name"] for r in rows(double)][:2].count("again") == 1
    assert len(rows(double)) == len(found) + 1


def test_an_edited_score_keeps_its_timestamp_and_moves_its_update():
    given = (ScoreT("s1", "t1", None, "good", "human", 1.0, START, author="user-1"),)
    double = LangfuseDouble(one(span("a"), scores=given), extras=())
    before = rows(double, "v3/scores", fields="annotation")[0]
    double.edit_score("s1", False, "user-2")
    after = rows(double, "v3/scores", fields="annotation")
    assert len(after) == 1
    assert (after[0]["value"], after[0]["authorUserId"], after[0]["timestamp"]) == (False, "user-2", before["timestamp"])
    assert after[0]["updatedAt"] > before["updatedAt"]


def test_an_open_span_gets_its_end():
    double = LangfuseDouble(one(span("a", end=None)))
    before = rows(double, fields="time")[0]
    assert (before["endTime"], before["latency"]) == (None, None)
    double.end_span("a", START + timedelta(hours=2))
    after = rows(double, fields="time")[0]
    assert (after["endTime"], after["latency"]) == ("2026-11-02T02:00:00.000Z", 7200.0)
    assert after["updatedAt"] > before["updatedAt"]


def test_a_deleted_trace_is_gone_everywhere():
    told = traffic(0)
    double = LangfuseDouble(told, extras=())
    gone = next(t for t in told.traces if t.scores)
    double.delete(gone.id)
    assert {r["traceId"] for r in rows(double)} == {t.id for t in told.traces} - {gone.id}
    assert len(rows(double, "v3/scores")) == len(told.scores) - len(gone.scores)
    assert rows(double, traceId=gone.id) == []


def test_pulls_in_four_threads_see_whole_pages_while_rows_arrive():
    double, found = LangfuseDouble(traffic(0)), []

    def pull():
        for _ in range(5):
            found.append([r["id"] for r in rows(double, limit=20)])

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(40):
        double.add(trace(span(f"n{n}", START + timedelta(hours=n), trace=f"n{n}")))
    for thread in threads:
        thread.join()
    old = {s.id for s in traffic(0).spans}
    assert len(found) == 20
    assert all(len(set(ids)) == len(ids) and old <= set(ids) for ids in found)


def test_judges_have_rows_of_their_own_that_name_their_target(busy):
    told = [s for s in traffic(3).scores if s.rater == "judge"]
    found = rows(busy, environment="langfuse-llm-as-a-judge", fields="basic,metadata,usage")
    assert {r["metadata"]["target_trace_id"] for r in found} == {s.trace_id for s in told}
    assert len(found) == len(told)
    assert all(r["totalCost"] > 0 for r in found)
    evaluators = {r["metadata"]["evaluator_id"] for r in found}
    assert evaluators == {s["metadata"]["evaluator_id"] for s in rows(busy, "v3/scores", source="EVAL", fields="details")}
    linked = {(r["promptName"], r["promptVersion"]) for r in rows(busy, type="GENERATION", fields="prompt", limit=500)}
    assert linked == {("answer", 1), ("answer", 2)}
