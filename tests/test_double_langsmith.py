"""The double of the LangSmith API serves what the facts say, and the vendor's own SDK reads it with its own models."""

import json
import threading
import typing
import uuid
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pydantic
import pytest
import requests
from doubles.clock import FastClock
from doubles.faults import Faults
from doubles.http import Request, serving
from doubles.langsmith import LangsmithDouble
from doubles.langsmith_lists import Dataset, Example, Experiment, Queue, QueueItem
from doubles.langsmith_rows import PRICES
from doubles.traffic import START, Traffic, traffic

TRAFFIC = traffic(0, traces=20)
SPANS = {s.id: s for s in TRAFFIC.spans}
KEY = "lsv2_pt_test"
SINCE = START.isoformat()
DATASET = Dataset("golden", tuple(Example(f"e{n}", {"input": f"q{n}"}, {"output": "a"}) for n in range(3)))


@pytest.fixture(autouse=True)
def no_tracing(monkeypatch):
    """Nothing of the user's own LangSmith reaches these tests, and they trace nothing."""
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    for name in (
        "LANGSMITH_API_KEY",
        "LANGSMITH_ENDPOINT",
        "LANGSMITH_TENANT_ID",
        "LANGCHAIN_BASE_URL",
        "LANGSMITH_WORKSPACE_ID",
    ):
        monkeypatch.delenv(name, raising=False)


def double(given: Traffic = TRAFFIC, **settings) -> LangsmithDouble:
    return LangsmithDouble(given, **{"limits": False, **settings})


def ask(server: LangsmithDouble, method: str, path: str, body: dict | None = None, token: str | None = KEY, **query):
    """(status, parsed body) of one request; a query value may be a list."""
    found = {k: [str(v) for v in vs] if isinstance(vs, list) else [str(vs)] for k, vs in query.items()}
    answer = server.handle(Request(method, path, found, {"x-api-key": token} if token else {}, body))
    return answer.status, json.loads(answer.content)


def v2(server: LangsmithDouble, **body):
    told = {"project_ids": [server.project_id], "min_start_time": SINCE, "page_size": 1000, **body}
    return ask(server, "POST", "/api/v2/runs/query", {k: v for k, v in told.items() if v is not None})


def items(server: LangsmithDouble, **body) -> list[dict]:
    status, found = v2(server, **body)
    assert status == 200, found
    return found["items"]


def ids(server: LangsmithDouble, **body) -> set[str]:
    return {r["id"] for r in items(server, **body)}


def v1(server: LangsmithDouble, **body) -> list[dict]:
    """All rows of a v1 query."""
    rows, told = [], {"session": [server.project_id], **body}
    while True:
        status, found = ask(server, "POST", "/runs/query", told)
        assert status == 200, found
        rows += found["runs"]
        if found["cursors"]["next"] is None:
            return rows
        told["cursor"] = found["cursors"]["next"]


@contextmanager
def sdk(server: LangsmithDouble):
    """The SDK's v2 client (its models check every answer) and its v1 client, over a socket."""
    from langsmith import Client, Langsmith

    with (
        serving(server) as url,
        requests.Session() as session,
        Langsmith(base_url=url, api_key=KEY, max_retries=0, _strict_response_validation=True) as modern,
    ):
        yield modern, Client(api_url=url, api_key=KEY, session=session, auto_batch_tracing=False)


def all_selects() -> list[str]:
    from langsmith.types.run_select_field import RunSelectField

    return list(typing.get_args(RunSelectField))


def traces_where(test) -> list:
    return [t for t in TRAFFIC.traces if test(t)]


# --- API v2 ---------------------------------------------------------------------------------------------------------------


def test_the_sdk_pages_through_all_runs_and_each_is_what_the_traffic_says():
    server = double()
    with sdk(server) as (modern, _):
        found = list(
            modern.runs.query(project_ids=[server.project_id], min_start_time=START, selects=all_selects(), page_size=17)
        )
    assert len(found) == len(SPANS) and {r.id for r in found} == set(SPANS)
    assert [r.start_time for r in found] == sorted((r.start_time for r in found), reverse=True)
    for run in found:
        span = SPANS[run.id]
        assert (run.start_time, run.end_time, run.first_token_time) == (span.start, span.end, span.first_token)
        assert run.run_type == span.kind.upper() and run.is_root is (span.parent_id is None)
        assert run.status == ("ERROR" if span.error else "SUCCESS")
        assert (run.parent_run_ids or [None])[-1] == span.parent_id
        assert run.dotted_order.split("Z")[-1] == run.id and run.dotted_order[22:58] == run.trace_id == span.trace_id


def test_an_llm_run_carries_model_usage_and_texts_where_langsmith_keeps_them():
    found = {r["id"]: r for r in items(double(), selects=all_selects())}
    for span in (s for s in SPANS.values() if s.kind == "llm" and not s.error):
        run = found[span.id]
        usage = run["outputs"]["usage_metadata"]
        assert run["metadata"]["ls_model_name"] == run["outputs"]["model"] == span.model
        assert run["metadata"]["usage_metadata"] == usage
        assert usage["input_tokens"] == run["prompt_tokens"] == span.tokens_in
        assert usage["input_token_details"]["cache_read"] == span.tokens_cache_read
        assert run["total_tokens"] == span.tokens_in + span.tokens_out and run["total_cost"] == span.cost_usd
        assert run["prompt_token_details"] == {"raw": {"cache_read": span.tokens_cache_read}}
        assert run["inputs"]["messages"][0]["content"] == span.input
        assert run["outputs"]["choices"][0]["message"]["content"] == span.output


def test_a_trace_shows_in_name_thread_tags_and_metadata():
    found = {r["id"]: r for r in items(double(), selects=all_selects())}
    for trace in TRAFFIC.traces:
        root = found[trace.id]
        assert root["name"] == trace.name and root["tags"] == list(trace.tags)
        assert root["thread_id"] == root["metadata"]["session_id"] == trace.session_id
        told = {k: root["metadata"][k] for k in ("user_id", "environment", "release", "tenant_id")}
        assert told == {
            "user_id": trace.user_id,
            "environment": trace.environment,
            "release": trace.release,
            "tenant_id": trace.metadata["tenant_id"],
        }


def test_a_failure_keeps_its_traceback_and_a_null_output():
    failed = items(double(), has_error=True, selects=["ERROR", "OUTPUTS", "IS_ROOT", "TOTAL_TOKENS"])
    assert len(failed) == sum(s.error is not None for s in SPANS.values()) > 0
    assert all(r["error"].startswith("RateLimitError('429 Too Many Requests')\n\nTraceback (most") for r in failed)
    assert {json.dumps(r["outputs"]) for r in failed if r["is_root"]} == {'{"output": null}'}
    assert {r["total_tokens"] for r in failed} == {0}


def test_without_selects_there_is_only_the_id():
    assert {tuple(r) for r in items(double(), selects=None)} == {("id",)}


def test_only_what_is_selected_is_given():
    assert {tuple(r) for r in items(double(), selects=["NAME", "STATUS"])} == {("name", "status")}


def test_without_bounds_the_window_is_the_last_24_hours():
    now = START + timedelta(days=3)
    server = double(now=lambda: now)
    wanted = {s.id for s in SPANS.values() if now - timedelta(days=1) <= s.start < now}
    assert 0 < len(wanted) < len(SPANS)
    assert ids(server, min_start_time=None) == wanted
    assert ids(server) == {s.id for s in SPANS.values() if s.start < now}


def test_windows_are_half_open_and_cover_all_without_overlap():
    server, cut = double(), sorted(s.start for s in SPANS.values())[30]
    before, after = ids(server, max_start_time=cut.isoformat()), ids(server, min_start_time=cut.isoformat())
    assert before | after == set(SPANS) and not before & after
    assert next(s.id for s in SPANS.values() if s.start == cut) in after


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"page_size": 1001}, 400, "page_size must be between 1 and 1000, got 1001"),
        ({"page_size": 0}, 400, "page_size must be between 1 and 1000"),
        ({"min_start_time": "2025-09-01T00:00:00Z", "max_start_time": "2026-10-08T00:00:00Z"}, 400, "must not exceed 401 days"),
        ({"min_start_time": "yesterday"}, 400, "invalid time 'yesterday'"),
        ({"run_type": "llm"}, 400, "run_type must be one of TOOL, CHAIN"),
        ({"selects": ["ID", "COSTS"]}, 400, "unknown select 'COSTS'"),
        ({"project_ids": None}, 400, "exactly one of project_ids and reference_dataset_id"),
        ({"reference_dataset_id": str(uuid.uuid4())}, 400, "exactly one of project_ids and reference_dataset_id"),
        ({"project_ids": ["prod"]}, 400, "project_ids must be a UUID, got 'prod'"),
        ({"project_ids": [str(uuid.UUID(int=7))]}, 404, "project 00000000-0000-0000-0000-000000000007 not found"),
        ({"ai_search": "angry users"}, 406, "text/event-stream"),
        ({"min_feedback_modified_at": SINCE}, 400, "require a feedback condition"),
        ({"min_feedback_modified_at": SINCE, "filter": 'eq(status, "error")'}, 400, "require a feedback condition"),
        ({"cursor": "bm9uc2Vuc2U="}, 400, "invalid cursor"),
    ],
)
def test_a_query_that_the_server_refuses_gets_a_problem_body(body, status, says):
    found, problem = v2(double(), **body)
    assert (found, problem["status"]) == (status, status) and says in problem["detail"]
    assert set(problem) == {"type", "title", "status", "detail", "instance", "remedy"}


def test_the_sdk_raises_on_a_page_size_above_1000():
    from langsmith import BadRequestError

    server = double()
    with sdk(server) as (modern, _), pytest.raises(BadRequestError, match="page_size must be between 1 and 1000"):
        modern.runs.query(project_ids=[server.project_id], page_size=1001)
    assert server.answered == {400: 1} and server.asked == {"POST /v2/runs/query": 1}


def test_conditions_choose_the_runs():
    server, trace = double(), TRAFFIC.traces[3]
    some = sorted(SPANS)[:5]
    assert ids(server, ids=some) == set(some)
    assert ids(server, trace_id=trace.id) == {s.id for s in trace.spans}
    assert ids(server, is_root=True) == {t.id for t in TRAFFIC.traces}
    assert ids(server, run_type="LLM") == {s.id for s in SPANS.values() if s.kind == "llm"}
    assert ids(server, has_error=False) == {s.id for s in SPANS.values() if not s.error}


MIDDLE = sorted(s.start for s in SPANS.values())[30]


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ('eq(status, "error")', lambda s, t: s.error),
        ('eq(run_type, "LLM")', lambda s, t: s.kind == "llm"),
        (f'gte(start_time, "{MIDDLE.isoformat()}")', lambda s, t: s.start >= MIDDLE),
        (f'gt(start_time, "{MIDDLE.isoformat()}")', lambda s, t: s.start > MIDDLE),
        ('and(lt(start_time, "2026-11-04"), not(eq(is_root, true)))', lambda s, t: s.start < MIDDLE and s.parent_id),
        ("or(eq(name, 'tool'), gt(latency, 3.5))", lambda s, t: s.name == "tool" or (s.end - s.start).total_seconds() > 3.5),
        ('has(tags, "eu")', lambda s, t: "eu" in t.tags),
        ('and(eq(metadata_key, "auth"), eq(metadata_value, "sso"))', lambda s, t: t.metadata["auth"] == "sso"),
        ('in(run_type, ["llm", "tool"])', lambda s, t: s.kind in ("llm", "tool")),
        ('eq(feedback_key, "thumb")', lambda s, t: s.parent_id is None and any(c.name == "thumb" for c in t.scores)),
        ('and(eq(feedback_key, "thumb"), eq(feedback_source, "app"), neq(id, ""))', lambda s, t: s.parent_id is None and {"thumb", "helpful_human"} <= {c.name for c in t.scores}),
        ('search("ANSWER 9")', lambda s, t: s.output and "answer 9" in s.output.lower()),
    ],
)  # fmt: skip
def test_a_filter_chooses_what_it_says_in_both_versions(text, test):
    server = double()
    wanted = {s.id for t in TRAFFIC.traces for s in t.spans if test(s, t)}
    assert ids(server, filter=text) == wanted
    assert {r["id"] for r in v1(server, filter=text)} == wanted


def test_trace_and_tree_filters_look_at_the_root_and_at_any_run():
    server = double()
    assert ids(server, trace_filter='eq(name, "search")') == {
        s.id for t in traces_where(lambda t: t.name == "search") for s in t.spans
    }
    with_tool = traces_where(lambda t: any(s.kind == "tool" for s in t.spans))
    assert 0 < len(with_tool) < 20
    assert ids(server, tree_filter='eq(run_type, "tool")') == {s.id for t in with_tool for s in t.spans}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("status = error", "cannot read filter at ' = error'"),
        ('eq[name, "x"]', "expected ( before '['"),
        ('like(name, "x")', "unknown operator 'like'"),
        ('eq(color, "red")', "unknown attribute 'color'"),
        ('eq(name, "x"', "before 'the end'"),
        ('eq(name, "x"))', "unexpected"),
        ('gt(start_time, "soon")', "invalid time 'soon'"),
        ("eq(name, %)", "cannot read filter at"),
        ("in(name, [1,", "expected a value"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_in_both_versions(text, says):
    server = double()
    for status, found in (
        v2(server, filter=text),
        ask(server, "POST", "/runs/query", {"session": [server.project_id], "filter": text}),
    ):
        assert status == 400 and "invalid filter" in found["detail"] and says in found["detail"]


def test_parents_carry_usage_only_where_the_subtree_is_asked_for():
    select = ["ID", "TOTAL_TOKENS", "TOTAL_COST", "FIRST_TOKEN_TIME"]
    server, trace = double(), traces_where(lambda t: t.spans[2].tokens_in)[0]
    own = {r["id"]: r for r in items(server, trace_id=trace.id, selects=select)}
    assert [own[s.id]["total_tokens"] > 0 for s in trace.spans] == [False, False, True]
    assert (own[trace.id]["total_cost"], own[trace.id]["first_token_time"]) == (0.0, None)
    rolled = {r["id"]: r for r in items(server, trace_id=trace.id, selects=select, include_subtree_usage=True)}
    root, helper, llm = (rolled[s.id] for s in trace.spans)
    assert {k: v for k, v in root.items() if k != "id"} == {k: v for k, v in llm.items() if k != "id"}
    assert llm == own[llm["id"]] and helper == own[helper["id"]]


def test_feedback_modified_since_is_found_by_runs():
    now = [START + timedelta(days=10)]
    server, scored = double(now=lambda: now[0]), traces_where(lambda t: t.scores)
    condition = {"filter": 'eq(feedback_key, "helpful")', "min_feedback_modified_at": now[0].isoformat()}
    assert ids(server, **condition) == set()
    server.edit_feedback(scored[0].scores[0].id, score=0.9)
    assert ids(server, **condition) == {scored[0].id}
    assert ids(server, **condition | {"filter": 'eq(feedback_key, "thumb")'}) == set()
    assert ids(server, **condition, max_feedback_modified_at=now[0].isoformat()) == set()


def test_both_styles_of_path_reach_the_same_route():
    server = double()
    for path in ("/info", "/api/v1/info", "/v1/info", "/api/info", "/info/"):
        assert ask(server, "GET", path)[0] == 200
    for path in ("/api/v2/runs/query", "/v2/runs/query"):
        assert ask(server, "POST", path, {"project_ids": [server.project_id]})[0] == 200
    assert server.asked == {"GET /info": 5, "POST /v2/runs/query": 2}
    assert ask(server, "GET", "/api/v3/info") == (404, {"detail": "Not Found"})


def test_single_runs_traces_and_threads_answer_the_sdk():
    server, trace = double(), TRAFFIC.traces[0]
    with sdk(server) as (modern, _):
        run = modern.runs.retrieve(trace.id, project_id=server.project_id, selects=["ID", "NAME"])
        assert (run.id, run.name) == (trace.id, trace.name)
        tree = modern.traces.list_runs(trace.id, project_id=server.project_id, selects=["ID"])
        assert {r.id for r in tree.items} == {s.id for s in trace.spans}
        found = list(
            modern.traces.query(project_id=server.project_id, min_start_time=START, page_size=7, selects=["ID", "TOTAL_COST"])
        )
        assert {t.root_run.id for t in found} == {t.id for t in TRAFFIC.traces} and len(found) == 20
        cost = sum(s.cost_usd or 0 for s in SPANS.values())
        assert sum(t.trace_aggregates.total_cost for t in found) == pytest.approx(cost)
        threads = list(modern.threads.query(project_id=server.project_id, min_start_time=START, page_size=3))
    assert {t.thread_id for t in threads} == {t.session_id for t in TRAFFIC.traces}
    assert sum(t.count for t in threads) == 20 and sum(t.total_cost for t in threads) == pytest.approx(cost)
    assert ask(server, "GET", f"/runs/{uuid.uuid4()}")[0] == 404


# --- API v1 ---------------------------------------------------------------------------------------------------------------


def test_the_deprecated_sdk_call_gives_every_run_once_in_the_old_form():
    server = double(traffic(1, traces=80))
    with sdk(server) as (_, client), pytest.warns(DeprecationWarning, match="list_runs"):
        found = list(client.list_runs(project_name="prod"))
    spans = {s.id: s for s in server.store.traces[str(found[0].trace_id)].trace.spans}
    assert len(found) == len({r.id for r in found}) == 240
    run = next(r for r in found if str(r.id) in spans)
    assert (run.run_type, run.start_time) == (spans[str(run.id)].kind, spans[str(run.id)].start)
    assert server.asked["POST /runs/query"] == 3


def test_a_v1_row_is_lower_case_with_money_as_text_naive_times_and_usage_on_parents():
    server, trace = double(), traces_where(lambda t: t.spans[2].tokens_in)[0]
    found = {r["id"]: r for r in v1(server, trace=trace.id)}
    root, llm = found[trace.id], found[trace.spans[2].id]
    assert (root["run_type"], root["status"], root["parent_run_id"], llm["parent_run_id"]) == ("chain", "success", None, trace.id)
    assert Decimal(llm["total_cost"]) == Decimal(repr(trace.spans[2].cost_usd))
    details = [r["prompt_cost_details"]["cache_read"] for r in v1(server) if r["prompt_cost_details"]]
    assert "0.0000064" in details and not any("e" in d for d in details)
    assert root["start_time"] == trace.spans[0].start.replace(tzinfo=None).isoformat(timespec="microseconds")
    assert (root["total_tokens"], root["total_cost"]) == (llm["total_tokens"], llm["total_cost"])
    assert llm["prompt_token_details"] == {"cache_read": trace.spans[2].tokens_cache_read}
    assert llm["session_id"] == server.project_id and llm["extra"]["metadata"]["session_id"] == trace.session_id


@pytest.mark.parametrize("limit", [101, 0])
def test_a_v1_limit_out_of_1_to_100_is_refused(limit):
    server = double()
    status, found = ask(server, "POST", "/runs/query", {"session": [server.project_id], "limit": limit})
    assert (status, found) == (400, {"detail": f"limit must be between 1 and 100, got {limit}"})


def test_the_sdk_sends_a_limit_of_101_as_it_is_and_fails():
    from langsmith.utils import LangSmithError

    with sdk(double()) as (_, client), pytest.warns(DeprecationWarning), pytest.raises(LangSmithError, match="between 1 and 100"):
        list(client.list_runs(project_name="prod", limit=101))


def test_a_narrow_v1_select_is_honoured_literally_and_breaks_the_sdks_model():
    with (
        sdk(double()) as (_, client),
        pytest.warns(DeprecationWarning),
        pytest.raises(pydantic.ValidationError, match="start_time"),
    ):
        list(client.list_runs(project_name="prod", select=["id", "name"]))


def test_v1_end_time_is_about_the_end_of_a_run_and_start_time_about_its_start():
    server = double()
    span = sorted((s for s in SPANS.values() if s.kind == "llm"), key=lambda s: s.start)[7]
    inside = span.start + timedelta(milliseconds=1)
    ended = {r["id"] for r in v1(server, end_time=inside.isoformat())}
    assert ended == {s.id for s in SPANS.values() if s.end <= inside} and span.id not in ended
    begun = {r["id"] for r in v1(server, start_time=inside.isoformat())}
    assert begun == {s.id for s in SPANS.values() if s.start >= inside}


def test_v1_can_go_from_old_to_new():
    starts = [r["start_time"] for r in v1(double(), order="asc", limit=7)]
    assert starts == sorted(starts) and len(starts) == 60


def test_v1_needs_something_to_look_in():
    assert ask(double(), "POST", "/runs/query", {})[1]["detail"].startswith("at least one of session, id")


# --- backends, keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backend", "v2_status"), [("smithdb", 200), ("dual", 200), ("clickhouse", 404)])
def test_the_sdk_tells_the_backend_from_info(backend, v2_status):
    from langsmith._internal._v2_migration_utils import get_query_backend

    server = double(backend=backend)
    with sdk(server) as (modern, client):
        found = get_query_backend(client.info.instance_flags)
        assert modern.info.list().batch_ingest_config.size_limit == 100
    assert found.value == {"smithdb": "smithdb_only", "dual": "dual", "clickhouse": "clickhouse_only"}[backend]
    assert v2(server)[0] == v2_status and len(v1(server)) == 60


def test_the_old_routes_may_be_gone():
    server = double(v1=False)
    assert ask(server, "POST", "/api/v1/runs/query", {"session": [server.project_id]})[0] == 410
    assert ask(server, "POST", "/api/v1/runs/stats", {"session": [server.project_id]})[0] == 200


def test_a_key_is_needed_and_may_be_too_weak():
    server = double(forbidden=["GET /feedback"])
    assert ask(server, "GET", "/sessions", token=None) == (401, {"detail": "Invalid token"})
    assert ask(server, "GET", "/sessions", token="lsv2_pt_other")[0] == 401
    assert ask(server, "GET", "/info", token=None)[0] == 200
    assert ask(server, "GET", "/feedback") == (403, {"detail": "Forbidden"})
    scoped = double(workspace_id="w-1")
    assert ask(scoped, "GET", "/sessions")[0] == 403
    assert scoped.handle(Request("GET", "/sessions", {}, {"x-api-key": KEY, "x-tenant-id": "w-1"})).status == 200


# --- projects, datasets, queues, prices -----------------------------------------------------------------------------------


def test_the_sdk_lists_projects_experiments_and_their_examples():
    runs = traffic(3, traces=5)
    server = double(projects={f"p-{n}": Traffic() for n in range(120)}, experiments=[Experiment("exp-1", DATASET, runs)])
    with sdk(server) as (modern, client):
        assert len({p.id for p in client.list_projects()}) == 122
        assert {p.name for p in client.list_projects(reference_free=False)} == {"exp-1"}
        prod = client.read_project(project_name="prod", include_stats=True)
        assert (str(prod.id), prod.run_count, prod.reference_dataset_id) == (server.project_id, 20, None)
        assert prod.total_cost == pytest.approx(Decimal(sum(s.cost_usd or 0 for s in SPANS.values())))
        assert client.read_project(project_id=server.project_id).run_count is None
        (golden,) = client.list_datasets()
        examples = list(client.list_examples(dataset_id=golden.id))
        assert (golden.example_count, golden.session_count, len(examples)) == (3, 1, 3)
        found = list(modern.runs.query(reference_dataset_id=str(golden.id), selects=["ID", "REFERENCE_EXAMPLE_ID", "IS_ROOT"]))
        one = list(modern.runs.query(reference_dataset_id=str(golden.id), reference_examples=[str(examples[0].id)]))
    assert {r.id for r in found} == {s.id for s in runs.spans}
    assert {r.reference_example_id for r in found if r.is_root} == {str(e.id) for e in examples}
    assert {r.reference_example_id for r in found if not r.is_root} == {None} and len(one) == 2


@pytest.mark.parametrize("path", ["/sessions", "/feedback", "/datasets", "/annotation-queues", "/feedback-configs"])
def test_no_list_gives_more_than_100_rows_a_page(path):
    server = double()
    assert ask(server, "GET", path, limit=100)[0] == 200
    assert ask(server, "GET", path, limit=101) == (400, {"detail": "limit must be between 1 and 100, got '101'"})


def test_the_sdk_reads_annotation_queues_in_both_ways():
    done = QueueItem(TRAFFIC.traces[0].id, None, "completed", reviewed=START + timedelta(days=1))
    waiting = [QueueItem(t.id, t.spans[2].id) for t in TRAFFIC.traces[1:4]]
    server = double(queues=[Queue("review", (done, *waiting))])
    with sdk(server) as (modern, client):
        (queue,) = client.list_annotation_queues()
        rows = list(client.list_runs_from_annotation_queue(queue.id))
        found = list(modern.annotation_queues.items.list(str(queue.id), status="needs_my_review", page_size=2))
        (archived,) = modern.annotation_queues.items.list(str(queue.id), status="archived")
    assert [str(r.id) for r in rows] == [done.trace_id, *(i.span_id for i in waiting)]
    assert [i.run_id for i in found] == [i.span_id for i in waiting] and archived.run_id == done.trace_id
    assert ask(server, "GET", f"/platform/annotation-queues/{queue.id}/items")[1]["detail"].startswith("status must be one of")


def test_the_price_map_explains_the_recorded_costs():
    told = {p["name"]: p for p in ask(double(), "GET", "/model-price-map")[1]}
    assert set(told) == set(PRICES)
    for span in (s for s in SPANS.values() if s.cost_usd):
        price = told[span.model]
        fresh = (span.tokens_in - span.tokens_cache_read) * price["prompt_cost"]
        cached = span.tokens_cache_read * price["prompt_cost_details"]["cache_read"]
        assert fresh + cached + span.tokens_out * price["completion_cost"] == pytest.approx(span.cost_usd)


# --- feedback -------------------------------------------------------------------------------------------------------------


def test_the_sdk_lists_every_judgement_once_newest_first_with_who_gave_it():
    given = traffic(4, traces=150)
    server, scores = double(given), {s.id: s for s in given.scores}
    with sdk(server) as (_, client):
        found = list(client.list_feedback(session=[server.project_id], include_user_names=True))
    assert len(found) == len(scores) > 100 and {str(f.id) for f in found} == set(scores)
    assert [f.created_at for f in found] == sorted((f.created_at for f in found), reverse=True)
    for row in found:
        score = scores[str(row.id)]
        source = row.feedback_source
        assert (row.key, row.score, row.comment, str(row.run_id)) == (score.name, score.value, score.comment, score.trace_id)
        assert source.type == {"human": "app", "judge": "auto_eval", "api": "api"}[score.rater]
        assert source.user_name == score.author and ("__run" in source.metadata) is (score.rater == "judge")
        assert row.created_at.replace(tzinfo=UTC) == score.created and row.created_at == row.modified_at


def test_feedback_is_chosen_by_run_key_source_and_creation():
    server, scores = double(), TRAFFIC.scores

    def found(**query) -> set[str]:
        status, rows = ask(server, "GET", "/feedback", **query)
        assert status == 200, rows
        return {r["id"] for r in rows}

    moment = sorted(s.created for s in scores)[4]
    some = [t.id for t in traces_where(lambda t: t.scores)][:2]
    assert found(run=some) == {s.id for s in scores if s.trace_id in some}
    assert found(key=["thumb", "helpful_human"]) == {s.id for s in scores if s.name != "helpful"}
    assert found(source="app") == {s.id for s in scores if s.rater == "human"}
    assert found(min_created_at=moment.isoformat()) == {s.id for s in scores if s.created >= moment}
    assert found(max_created_at=moment.isoformat()) == {s.id for s in scores if s.created <= moment}
    assert found(has_comment="true") == {s.id for s in scores if s.comment}
    assert found(level="session") == set()
    assert {r["feedback_source"]["user_name"] for r in ask(server, "GET", "/feedback")[1]} == {None}


def test_an_edit_moves_modified_at_and_leaves_created_at():
    server, score = double(), TRAFFIC.scores[0]
    server.edit_feedback(score.id, score=0.123, correction={"score": 1.0})
    row = next(r for r in ask(server, "GET", "/feedback", run=score.trace_id)[1] if r["id"] == score.id)
    assert (row["score"], row["correction"]) == (0.123, {"score": 1.0})
    assert datetime.fromisoformat(row["created_at"] + "Z") == score.created
    assert datetime.fromisoformat(row["modified_at"] + "Z") > max(s.created for s in TRAFFIC.scores)
    stats = items(server, ids=[score.trace_id], selects=["ID", "FEEDBACK_STATS"])[0]["feedback_stats"]
    assert (stats["helpful"]["n"], stats["helpful"]["avg"]) == (1, 0.123)


def test_added_feedback_may_be_a_label_of_a_span_or_belong_to_the_whole_project():
    server, trace = double(Traffic(TRAFFIC.traces[:1])), TRAFFIC.traces[0]
    one = server.add_feedback(trace.id, "tone", span_id=trace.spans[2].id, rater="human", value="warm", author="user-3")
    all_of_it = server.add_feedback(None, "accuracy", 0.8, rater="model")
    rows = {r["id"]: r for r in ask(server, "GET", "/feedback", session=server.project_id)[1]}
    assert (rows[one]["value"], rows[one]["run_id"], rows[one]["is_root"]) == ("warm", trace.spans[2].id, False)
    assert (rows[all_of_it]["run_id"], rows[all_of_it]["feedback_source"]["type"]) == (None, "model")
    assert [r["id"] for r in ask(server, "GET", "/feedback", level="session")[1]] == [all_of_it]
    (run,) = items(server, ids=[trace.spans[2].id], selects=["FEEDBACK_STATS", "ID"])
    assert run["feedback_stats"]["tone"]["values"] == {"warm": 1}


def test_the_sdk_reads_feedback_configs():
    with sdk(double()) as (_, client):
        found = {c.feedback_key: c.feedback_config for c in client.list_feedback_configs()}
    assert {k: c["type"] for k, c in found.items()} == {
        "helpful": "continuous",
        "helpful_human": "categorical",
        "thumb": "freeform",
    }


# --- statistics -----------------------------------------------------------------------------------------------------------


def test_the_sdks_statistics_agree_with_the_traffic_for_llm_runs_and_for_roots():
    server = double()
    tokens, cost = (
        sum((s.tokens_in or 0) + (s.tokens_out or 0) for s in SPANS.values()),
        sum(s.cost_usd or 0 for s in SPANS.values()),
    )
    with sdk(server) as (_, client):
        llm = client.get_run_stats(project_names=["prod"], run_type="llm")
        roots = client.get_run_stats(project_ids=[server.project_id], is_root=True)
        all_runs = client.get_run_stats(project_ids=[server.project_id])
    assert (llm["run_count"], roots["run_count"], all_runs["run_count"]) == (20, 20, 60)
    assert llm["total_tokens"] == roots["total_tokens"] == tokens and llm["total_cost"] == pytest.approx(cost)
    assert all_runs["total_tokens"] == 2 * tokens  # parents count their subtree once more
    assert roots["error_rate"] == pytest.approx(sum(t.spans[0].error is not None for t in TRAFFIC.traces) / 20)


def test_statistics_of_a_day_are_bounded_by_start_with_a_filter():
    server, day = double(), START + timedelta(days=1)
    until = day + timedelta(days=1)
    body = {"session": [server.project_id], "start_time": day.isoformat(), "filter": f'lt(start_time, "{until.isoformat()}")'}
    assert ask(server, "POST", "/runs/stats", body)[1]["run_count"] == sum(day <= s.start < until for s in SPANS.values()) > 0


def test_statistics_by_group_give_the_five_largest_groups_unless_told():
    server = double(traffic(6, traces=60))
    body = {"session": [server.project_id], "is_root": True, "group_by": {"attribute": "metadata", "path": "tenant_id"}}
    five = ask(server, "POST", "/runs/stats", body)[1]
    body["group_by"]["max_groups"] = 50
    every = ask(server, "POST", "/runs/stats", body)[1]
    assert len(five) == 5 and len(every) == 8 and sum(g["run_count"] for g in every.values()) == 60
    assert min(g["run_count"] for g in five.values()) >= sorted(g["run_count"] for g in every.values())[3]


# --- limits, faults, pages ------------------------------------------------------------------------------------------------


def days(n: float) -> dict:
    return {"min_start_time": START.isoformat(), "max_start_time": (START + timedelta(days=n)).isoformat()}


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        (days(7), 10),
        (days(7.01), 3),
        ({"min_start_time": None}, 3),
        (days(1) | {"filter": 'search("invoice")'}, 1),
        (days(1) | {"filter": 'eq(status, "error")'}, 10),
    ],
)
def test_v2_is_limited_by_the_window_of_the_query(body, calls):
    clock = FastClock()
    server = double(limits=True, clock=clock, retry_after=0.0)
    for _ in range(2):
        assert [v2(server, **body)[0] for _ in range(calls + 1)] == [200] * calls + [429]
        clock.wait(9.9)
        assert v2(server, **body)[0] == 429
        clock.wait(0.1)


@pytest.mark.parametrize(
    ("body", "calls"),
    [({"start_time": SINCE, "filter": 'lt(start_time, "2026-11-05")'}, 10), ({}, 3), ({"start_time": SINCE, "select": ["id", "child_run_ids"]}, 1)],
)  # fmt: skip
def test_v1_is_limited_by_its_window_too(body, calls):
    server = double(limits=True, clock=FastClock())
    told = {"session": [server.project_id], **body}
    assert [ask(server, "POST", "/runs/query", told)[0] for _ in range(calls + 1)] == [200] * calls + [429]


def test_single_runs_are_limited_to_30_a_minute_and_a_key_to_2000():
    server = double(limits=True, clock=FastClock())
    assert [ask(server, "GET", f"/runs/{TRAFFIC.traces[0].id}")[0] for _ in range(31)] == [200] * 30 + [429]
    assert [ask(server, "GET", "/datasets")[0] for _ in range(1971)] == [200] * 1970 + [429]


@pytest.mark.parametrize(("share", "headers"), [(0.0, 0), (1.0, 50)])
def test_a_429_rarely_says_when_to_come_again(share, headers):
    server = double(limits=True, clock=FastClock(), retry_after=share)
    request = Request("POST", "/v2/runs/query", {}, {"x-api-key": KEY}, {"project_ids": [server.project_id]})
    found = [server.handle(request) for _ in range(53)][3:]
    assert {a.status for a in found} == {429} and sum("retry-after" in a.headers for a in found) == headers
    assert {a.headers["retry-after"] for a in found if a.headers} <= {"10"}


def test_a_fault_comes_before_everything_else():
    server = double(faults=Faults(("503",), rate=1.0, most_in_a_row=2))
    assert [ask(server, "GET", "/sessions", token=None)[0] for _ in range(3)] == [503, 503, 401]
    assert server.answered == {503: 2, 401: 1}


def test_a_cursor_serves_only_the_query_that_gave_it():
    server = double()
    cursor = v2(server, page_size=5)[1]["next_cursor"]
    assert v2(server, page_size=9, cursor=cursor)[0] == 200
    assert v2(server, cursor=cursor, is_root=True)[1]["detail"] == "the cursor belongs to another query"


def pages(server: LangsmithDouble, size: int) -> list[list[str]]:
    found, cursor = [], None
    while True:
        page = v2(server, page_size=size, cursor=cursor)[1]
        found.append([r["id"] for r in page["items"]])
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            return found


def test_duplicates_stand_on_the_next_page_and_displace_nothing():
    found = pages(double(duplicates=0.4, seed=3), 7)
    rows = [i for page in found for i in page]
    assert set(rows) == set(SPANS) and len(rows) > len(SPANS)
    assert all(len(p) == 7 for p in found[:-1])


def test_a_repeated_cursor_never_ends_but_a_slice_of_one_page_does():
    server = double(repeat_cursor=True)
    first = v2(server, page_size=20)[1]["next_cursor"]
    assert v2(server, page_size=20, cursor=first)[1]["next_cursor"] == first
    assert v2(server, page_size=60)[1]["next_cursor"] is None


def test_a_page_can_be_too_big_or_too_slow_and_a_smaller_one_goes_through():
    big = double(page_bytes=20_000)
    assert [v2(big, page_size=n, selects=all_selects())[0] for n in (60, 30, 4)] == [413, 413, 200]
    slow = double(slow_above=20)
    assert {v2(slow, page_size=21)[0] for _ in range(20)} == {422, 504} and v2(slow, page_size=20)[0] == 200


# --- time and change ------------------------------------------------------------------------------------------------------


def test_base_traces_expire_after_14_days_and_feedback_but_not_of_the_ui_keeps_them():
    plain = traces_where(lambda t: not t.scores)
    server = double(retention_days=14, now=lambda: START + timedelta(days=40))
    server.add_feedback(plain[0].id, "tone", 1.0, rater="api")
    server.add_feedback(plain[1].id, "tone", 1.0, rater="human")
    kept = {t.id for t in traces_where(lambda t: t.scores)} | {plain[0].id}
    assert ids(server, is_root=True) == kept
    assert {r["trace_id"] for r in ask(server, "GET", "/feedback")[1]} == kept
    assert {r["trace_tier"] for r in v1(server, select=["trace_tier"])} == {"longlived"}


def test_a_trace_can_come_late_and_shows_when_it_was_received():
    given = Traffic(TRAFFIC.traces[:-1])
    server, trace = double(given), TRAFFIC.traces[-1]
    server.late(replace(trace, spans=tuple(replace(s, start=s.start - timedelta(days=2)) for s in trace.spans)))
    assert len(items(server)) == 60
    row = next(r for r in v1(server, select=["id", "start_time", "inserted_at"]) if r["id"] == trace.id)
    assert row["inserted_at"] > row["start_time"]
    on_time = double(given)
    on_time.add(trace)
    row = next(r for r in v1(on_time, select=["id", "start_time", "inserted_at"]) if r["id"] == trace.id)
    assert row["inserted_at"] == row["start_time"]


def test_what_has_not_arrived_yet_is_not_served():
    now, trace = [START + timedelta(days=5)], TRAFFIC.traces[0]
    later = now[0] + timedelta(hours=1)
    spans = (*trace.spans[:2], replace(trace.spans[2], arrived=later))
    server = double(Traffic([replace(trace, spans=spans)]), now=lambda: now[0])
    judged = server.add_feedback(trace.id, "tone", 1.0, arrived=later)
    assert ids(server) == {s.id for s in trace.spans[:2]}
    before = {r["id"] for r in ask(server, "GET", "/feedback")[1]}
    now[0] = later
    assert ids(server) == {s.id for s in trace.spans}
    assert {r["id"] for r in ask(server, "GET", "/feedback")[1]} == before | {judged}


def test_a_pending_run_has_no_end_no_output_and_no_usage_until_it_ends():
    trace = traces_where(lambda t: t.spans[2].tokens_in and t.scores)[0]
    open_trace = replace(trace, spans=(*trace.spans[:2], replace(trace.spans[2], end=None)))
    server, llm = double(Traffic([open_trace])), trace.spans[2]
    select = ["ID", "STATUS", "END_TIME", "OUTPUTS", "TOTAL_TOKENS", "FEEDBACK_STATS"]
    (row,) = items(server, ids=[llm.id], selects=select)
    assert (row["status"], row["end_time"], row["outputs"], row["total_tokens"]) == ("PENDING", None, None, 0)
    server.end_run(llm.id, llm.end)
    (row,) = items(server, ids=[llm.id], selects=select)
    assert row["status"] == "SUCCESS" and row["total_tokens"] == llm.tokens_in + llm.tokens_out and row["outputs"]
    (root,) = items(server, ids=[trace.id], selects=select, include_subtree_usage=True)
    assert root["total_tokens"] == row["total_tokens"] and "helpful" in root["feedback_stats"]


def test_a_deleted_trace_goes_with_its_feedback():
    server, trace = double(), traces_where(lambda t: t.scores)[0]
    server.delete(trace.id)
    assert ids(server) == set(SPANS) - {s.id for s in trace.spans}
    assert trace.id not in {r["trace_id"] for r in ask(server, "GET", "/feedback")[1]}
    assert ask(server, "GET", f"/runs/{trace.id}")[0] == 404
    with pytest.raises(KeyError):
        server.edit_feedback(trace.scores[0].id, score=0.0)


def test_hub_prompts_stand_before_some_llm_runs_and_only_there():
    assert not items(double(), run_type="PROMPT")
    found = items(double(hub_prompts=True), selects=["ID", "RUN_TYPE", "METADATA", "PARENT_RUN_IDS", "START_TIME"])
    prompts = [r for r in found if r["run_type"] == "PROMPT"]
    models = {r["parent_run_ids"][0]: r for r in found if r["run_type"] == "LLM"}
    assert 0 < len(prompts) < 20 and len(found) == 60 + len(prompts)
    assert all(r["start_time"] < models[r["parent_run_ids"][0]]["start_time"] for r in prompts)
    named = {r["run_type"] for r in found if "lc_hub_commit_hash" in r["metadata"]}
    assert named == {"PROMPT"}


def test_ids_that_are_no_uuids_become_uuids_that_still_fit_together():
    trace = TRAFFIC.traces[0]
    named = {s.id: f"step-{n}" for n, s in enumerate(trace.spans)}
    spans = tuple(replace(s, id=named[s.id], trace_id="t-1", parent_id=named.get(s.parent_id)) for s in trace.spans)
    found = items(double(Traffic([replace(trace, id="t-1", spans=spans, scores=())])), selects=all_selects())
    root = next(r for r in found if r["is_root"])
    assert str(uuid.UUID(root["id"])) == root["id"] == root["trace_id"] and len({r["id"] for r in found}) == 3
    assert all(r["trace_id"] == root["id"] and r["dotted_order"].startswith(root["dotted_order"]) for r in found)


def test_many_threads_may_read_while_traces_come_and_go():
    server, more = double(), traffic(9, traces=40, start=START - timedelta(days=30))
    errors = []

    def read():
        try:
            for _ in range(15):
                assert set(SPANS) <= {i for page in pages(server, 13) for i in page}
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for trace in more.traces:
        server.add(trace)
        server.delete(trace.id)
    for thread in threads:
        thread.join()
    assert not errors
