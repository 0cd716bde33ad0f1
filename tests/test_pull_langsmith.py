"""The LangSmith client of a pull against the double: every trap that is known of its API, and what a user meets who sets it up wrong."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from doubles.clock import FastClock
from doubles.faults import KINDS, Faults
from doubles.http import Answer, Wire
from doubles.langsmith import LangsmithDouble
from doubles.langsmith_lists import Dataset, Example, Experiment, Queue, QueueItem
from doubles.traffic import START, ScoreT, SpanT, TraceT, Traffic, traffic

from llmobs_nb.errors import SourceError, UsageError
from llmobs_nb.sources import registry
from llmobs_nb.sources.files import expand
from llmobs_nb.sources.langsmith import lists, texts
from llmobs_nb.sources.langsmith.client import LangsmithClient
from llmobs_nb.sources.langsmith.credentials import Credentials
from llmobs_nb.sources.transport.drain import drain
from llmobs_nb.sources.transport.job import Job, Slice
from llmobs_nb.sources.transport.spool import Spool

KEY = "lsv2_pt_test"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
END = START + 4 * DAY
BACKENDS = ("smithdb", "dual", "clickhouse")
V2, V1 = "POST /v2/runs/query", "POST /runs/query"


class Taped:
    """A double with what it was asked on tape; ``instead`` may answer in its place."""

    def __init__(self, double=None, instead=lambda request: None):
        self.double, self.instead, self.tape = double, instead, []

    def handle(self, request):
        self.tape.append(request)
        return self.instead(request) or self.double.handle(request)

    def bodies(self, ending="/runs/query"):
        return [r.body for r in self.tape if r.path.endswith(ending)]

    def queries(self, ending):
        return [r.query for r in self.tape if r.path.endswith(ending)]


def made(found=None, *, instead=lambda request: None, key=KEY, workspace=None, default=None, **settings):
    """(client, tape, double, clock) over a double of some traffic."""
    clock = FastClock()
    double = LangsmithDouble(found if found is not None else traffic(), clock=clock, **settings)
    tape = Taped(double, instead)
    who = SimpleNamespace(api_url="https://api.smith.langchain.com", api_key=key, workspace_id=workspace)
    client = LangsmithClient(
        who, transport=Wire(tape, clock), clock=clock, seed=1, default_project=default, today=lambda: END + HOUR
    )
    return client, tape, double, clock


def job_of(client, since=START, until=END + DAY, *, project="prod", windows=None, **more):
    windows = windows or dict.fromkeys(client.overlaps, ((since, until),))
    return Job(client.projects([project])[0], since, until, windows=windows, **more)


def pull(client, clock, spool, job):
    """All stages of a job into the spool; what could not be finished."""
    undone = []
    for stage in client.stages(job):
        undone += drain(client, spool, stage(spool), clock=clock, workers=client.workers)
    return undone


def pulled(tmp_path, found=None, *, io="none", job=None, **settings):
    """(spool, client, tape, double) after a pull of everything, none of it undone."""
    client, tape, double, clock = made(found, **settings)
    spool = Spool(tmp_path / "spool")
    assert pull(client, clock, spool, job_of(client, io=io, **(job or {}))) == []
    return spool, client, tape, double


def ids(spool, entity):
    return {row["id"] for row in spool.rows(entity)}


def theirs(double):
    """(ids of the runs, ids of the feedback) of the double's own project."""
    own = [r.id for r in double.store.runs.values() if r.project_id == double.project_id]
    return set(own), {f.id for f in double.store.feedback.values() if f.project_id == double.project_id}


def records(spool, entity, format):
    """What the reader of a format makes of an entity."""
    item = expand([spool.joined(entity)])[0]
    return list(registry.formats()[format].read(item, registry.head_of(item)))


def span_ids(found):
    return {s.id for s in found.spans}


# ---- everything, once


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_run_and_every_feedback_comes_whatever_the_backend(tmp_path, backend):
    spool, _, tape, double = pulled(tmp_path, backend=backend, duplicates=0.3)
    assert (ids(spool, "runs"), ids(spool, "feedback")) == theirs(double)
    assert double.answered[429] == 0
    asked = {"/api/v2/runs/query": V2, "/api/v1/runs/query": V1}
    used = {asked[r.path] for r in tape.tape if r.path in asked and r.path}
    assert (V1 in used) is (backend == "clickhouse")


def test_each_row_comes_once_where_the_server_gives_none_twice(tmp_path):
    spool, _, _, double = pulled(tmp_path, traffic(traces=100))
    for entity, wanted in zip(("runs", "feedback"), theirs(double), strict=True):
        assert sorted(row["id"] for row in spool.rows(entity)) == sorted(wanted)


@pytest.mark.parametrize("backend", ("smithdb", "clickhouse"))
def test_no_row_is_lost_whatever_goes_wrong_on_the_way(tmp_path, backend):
    met = set()
    for seed in range(5):
        faults = Faults(KINDS, rate=0.4, seed=seed)
        spool, _, _, double = pulled(tmp_path / str(seed), traffic(seed), backend=backend, duplicates=0.2, faults=faults)
        assert (ids(spool, "runs"), ids(spool, "feedback")) == theirs(double)
        met |= faults.met.keys()
    assert len(met) >= 10


def test_a_pull_that_was_stopped_goes_on_where_it_was(tmp_path):
    client, tape, double, clock = made(traffic(traces=200))
    job, spool = job_of(client), Spool(tmp_path)
    slices = next(client.stages(job))(spool)
    assert drain(client, spool, slices[:-2], clock=clock) == []
    before = len(tape.bodies())
    assert pull(client, clock, spool, job) == []
    assert (ids(spool, "runs"), ids(spool, "feedback")) == theirs(double)
    asked = Counter(json.dumps(b, sort_keys=True) for b in tape.bodies())
    assert before
    assert max(asked.values()) == 1


# ---- run queries


def test_every_run_query_names_its_window_and_what_it_selects(tmp_path):
    _, _, tape, _ = pulled(tmp_path)
    for body in tape.bodies():
        assert {"min_start_time", "max_start_time"} <= body.keys()
        assert {"ID", "TRACE_ID", "DOTTED_ORDER", "EXTRA", "METADATA", "PROMPT_TOKEN_DETAILS", "THREAD_ID"} <= set(
            body["selects"]
        )


def test_runs_older_than_a_day_come_since_windows_are_named(tmp_path):
    spool, _, _, double = pulled(tmp_path, now=lambda: END + 300 * DAY)
    assert ids(spool, "runs") == theirs(double)[0]


def test_usage_is_asked_for_as_each_run_used_it_itself(tmp_path):
    spool, _, tape, _ = pulled(tmp_path)
    assert not any("include_subtree_usage" in body for body in tape.bodies())
    assert all(not row["total_tokens"] for row in spool.rows("runs") if row["is_root"])


def test_v1_is_asked_for_the_token_details_that_its_defaults_leave_out(tmp_path):
    spool, _, _, _ = pulled(tmp_path, backend="clickhouse")
    details = {"prompt_token_details", "completion_token_details", "thread_id", "reference_dataset_id"}
    assert all(details <= row.keys() for row in spool.rows("runs"))


def test_v1_is_never_asked_for_more_than_100_rows(tmp_path):
    _, _, tape, double = pulled(tmp_path, traffic(traces=200, days=2), backend="clickhouse")
    assert {body["limit"] for body in tape.bodies()} == {100}
    assert double.answered[400] == 0


def test_v1_bounds_the_start_of_runs_not_their_end(tmp_path):
    night = _trace("t-night", END - timedelta(seconds=1), lasts=HOUR)
    spool, _, tape, _ = pulled(tmp_path, Traffic([night]), backend="clickhouse", job={"until": END})
    assert ids(spool, "runs") == span_ids(Traffic([night]))
    assert not any("end_time" in body for body in tape.bodies())


def test_the_window_of_a_pull_is_half_open(tmp_path):
    found = Traffic([_trace(f"t-{n}", at) for n, at in enumerate((START - timedelta(microseconds=1), START, END))])
    for backend in BACKENDS:
        spool, *_ = pulled(tmp_path / backend, found, backend=backend, job={"until": END})
        assert ids(spool, "runs") == {s.id for s in found.traces[1].spans}


@pytest.mark.parametrize("status", (404, 501))
def test_a_server_without_v2_is_asked_in_v1_whatever_its_flags_say(tmp_path, status):
    def no_v2(request):
        return Answer(status, {"detail": "Not Found"}) if "/v2/" in request.path else None

    spool, client, tape, double = pulled(tmp_path, instead=no_v2, backend="dual")
    assert ids(spool, "runs") == theirs(double)[0]
    assert sum("/v2/" in r.path for r in tape.tape) <= 2 * client.workers


def test_a_server_that_has_removed_v1_is_asked_in_v2_whatever_its_flags_say(tmp_path):
    def older_flags(request):
        return Answer(200, {"version": "0.16.0"}) if request.path.endswith("/info") else None

    spool, _, _, double = pulled(tmp_path, instead=older_flags, backend="smithdb", v1=False)
    assert ids(spool, "runs") == theirs(double)[0]


def test_a_project_that_is_gone_is_no_server_without_v2(tmp_path):
    client, _, double, clock = made()
    job = job_of(client)
    gone = Job(job.project.__class__("00000000-0000-4000-8000-000000000000", "gone"), START, END, windows=job.windows)
    spool = Spool(tmp_path)
    assert {str(u).partition(": ")[2] for u in pull(client, clock, spool, gone)} == {"the source does not have it any more"}
    assert pull(client, clock, spool, job) == []
    assert double.asked[V2] > 0
    assert ids(spool, "runs") == theirs(double)[0]


def test_a_cursor_of_the_other_generation_begins_the_slice_anew():
    client, tape, _, _ = made(traffic(traces=60))
    slice = Slice("runs", START, END, params={"projects": {job_of(client).project.id: None}})
    first = client.fetch(slice, None, 50)
    assert first.cursor.startswith("v2:")
    client.fetch(slice, first.cursor, 50)
    client.fetch(slice, "v1:somewhere", 50)
    assert [body.get("cursor") for body in tape.bodies()] == [None, first.cursor[3:], None]


def test_no_window_is_wider_than_the_401_days_that_are_answered(tmp_path):
    old = _trace("t-old", START - 380 * DAY)
    job = {"open_spans": [(old.id, s.id) for s in old.spans]}
    spool, _, tape, double = pulled(tmp_path, Traffic([old]), job=job, now=lambda: END)
    assert double.answered[400] == 0
    assert ids(spool, "runs") == span_ids(Traffic([old]))
    widest = max(_time(b["max_start_time"]) - _time(b["min_start_time"]) for b in tape.bodies())
    assert timedelta(days=390) < widest <= timedelta(days=401)


def test_queries_keep_below_the_limits_of_narrow_and_of_wide_windows(tmp_path):
    client, _, double, clock = made(traffic(traces=160, days=4))
    own = sorted(theirs(double)[0])
    again = [("", run) for run in own]
    job = job_of(client, START - 40 * DAY, open_spans=again)
    assert pull(client, clock, Spool(tmp_path), job) == []
    assert double.answered[429] == 0
    assert double.asked[V2] > 40
    assert clock.now() > 30


def test_pages_that_are_too_large_or_too_slow_are_made_smaller(tmp_path):
    for fault in ({"page_bytes": 90_000}, {"slow_above": 60}):
        spool, _, _, double = pulled(tmp_path / str(fault), traffic(traces=120), io="all", **fault)
        assert ids(spool, "runs") == theirs(double)[0]


def test_a_cursor_that_repeats_does_not_keep_a_pull_for_ever(tmp_path):
    client, _, double, clock = made(traffic(traces=450, days=1), repeat_cursor=True)
    spool = Spool(tmp_path)
    pull(client, clock, spool, job_of(client, START, START + DAY))
    assert ids(spool, "runs") == theirs(double)[0]


def test_a_hub_prompt_is_joined_to_its_run_across_midnight(tmp_path):
    found = Traffic([_trace(f"{n}", START + DAY + timedelta(milliseconds=n - 2)) for n in range(8)])
    spool, _, _, double = pulled(tmp_path, found, hub_prompts=True)
    rendered = [r for r in double.store.runs.values() if r.kind == "prompt"]
    assert any(r.span.start < START + DAY <= double.store.runs[_beside(double, r)].span.start for r in rendered)
    named = {r.data["_span_id"] for r in records(spool, "runs", "langsmith.runs") if r.data["_prompt_version"]}
    assert named == {_beside(double, r) for r in rendered} | {r.id for r in rendered}


# ---- texts


@pytest.mark.parametrize("backend", BACKENDS)
def test_texts_come_only_where_they_are_asked_for(tmp_path, backend):
    none, *_ = pulled(tmp_path / "none", backend=backend, io="none")
    every, *_ = pulled(tmp_path / "all", backend=backend, io="all")
    assert not any({"inputs", "outputs", "events"} & row.keys() for row in none.rows("runs"))
    assert all({"inputs", "outputs", "events"} <= row.keys() for row in every.rows("runs"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_errors_whole_traces_with_an_error_have_texts_and_no_others(tmp_path, backend):
    found = traffic(3)
    spool, *_ = pulled(tmp_path, found, backend=backend, io="errors")
    failed = {s.id for t in found.traces if any(x.error for x in t.spans) for s in t.spans}
    assert failed
    assert {row["id"] for row in spool.rows("runs") if "inputs" in row} == failed


def test_the_sample_is_errors_what_was_judged_and_200_traces_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "SAMPLE_A_DAY", 5)
    found = traffic(5, traces=120)
    spool, *_ = pulled(tmp_path / "a", found, io="sampled")
    again, *_ = pulled(tmp_path / "b", found, io="sampled", backend="clickhouse")
    chosen = {row["trace_id"] for row in spool.rows("runs") if "inputs" in row}
    assert chosen == {row["trace_id"] for row in again.rows("runs") if "inputs" in row}
    must = {t.id for t in found.traces if t.scores or any(s.error for s in t.spans)}
    assert must <= chosen
    more = Counter(t.spans[0].start.date() for t in found.traces if t.id in chosen - must)
    assert 0 < max(more.values()) <= 5


def test_the_sample_of_a_busy_day_is_200_and_does_not_depend_on_order():
    runs = [{"id": f"t{n}", "trace_id": f"t{n}", "start_time": "2026-11-02T10:00:00Z"} for n in range(5000)]
    one, other = (texts.chosen(_Rows(runs=order), "sampled") for order in (runs, runs[::-1]))
    assert len(one) == 200
    assert one == other


def test_texts_are_asked_for_in_chunks_of_100_runs_within_a_week():
    runs = [
        {"id": f"{t}-{r}", "trace_id": f"t{t}", "start_time": (START + timedelta(hours=20 * t, seconds=r)).isoformat()}
        for t in range(60)
        for r in range(7)
    ]
    found = list(texts.chunks_of(_Rows(runs=runs), {f"t{t}" for t in range(60)}))
    assert sorted(i for ids, _, _ in found for i in ids) == sorted(r["id"] for r in runs)
    assert all(len(ids) <= 100 and end - start <= timedelta(days=7) for ids, start, end in found)
    assert len(found) < 12


# ---- feedback


def test_feedback_comes_with_who_gave_it(tmp_path):
    spool, *_ = pulled(tmp_path, traffic(2))
    sources = {row["feedback_source"]["type"]: row["feedback_source"]["user_name"] for row in spool.rows("feedback")}
    assert sources["app"] == "user-7"
    assert set(sources) == {"app", "auto_eval", "api"}


def test_feedback_is_never_paged_deep_its_window_is_cut_instead(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "DEEPEST", 200)
    busy = _trace("busy", START, scores=900)
    spool, _, tape, double = pulled(tmp_path, Traffic([busy]))
    assert ids(spool, "feedback") == theirs(double)[1]
    assert len(ids(spool, "feedback")) == 900
    assert max(int(q["offset"][0]) for q in tape.queries("/feedback")) < 200


def test_a_short_page_of_feedback_is_not_taken_for_the_last(tmp_path):
    rows = [{"id": f"f{n}", "key": "k", "run_id": None, "session_id": "p"} for n in range(250)]

    def short(request):
        if not request.path.endswith("/feedback"):
            return None
        offset = int(request.one("offset"))
        return Answer(200, [r for n, r in enumerate(rows[offset : offset + 100]) if n % 50 or not offset])

    client, _, _, clock = made(instead=short)
    spool = Spool(tmp_path)
    slice = Slice("feedback", START, END, params={"projects": {"p": None}})
    assert drain(client, spool, [slice], clock=clock) == []
    assert len(ids(spool, "feedback")) >= 246


def test_late_feedback_brings_the_old_run_it_is_about(tmp_path):
    found = traffic(traces=30)
    client, _, double, clock = made(found, now=lambda: END + 40 * DAY)
    late = END + 39 * DAY
    one = found.traces[0]
    double.add_feedback(one.id, "thumb", 1.0, span_id=one.spans[2].id, created=late)
    double.add_feedback(found.traces[1].id, "thumb", 0.0, created=late)
    spool = Spool(tmp_path)
    job = job_of(client, late - DAY, late + DAY, unknown=lambda ids: [i for i in ids if i == one.id])
    assert pull(client, clock, spool, job) == []
    assert ids(spool, "runs") == {one.id, one.spans[2].id}
    assert len(ids(spool, "feedback")) == 2


def test_runs_that_this_pull_has_are_not_asked_for_again_for_their_feedback(tmp_path):
    _, _, tape, _ = pulled(tmp_path)
    assert not any("ids" in body for body in tape.bodies())


def test_edited_feedback_is_found_by_when_its_run_s_feedback_changed(tmp_path):
    found = traffic(traces=40)
    moment = [END]
    client, _, double, clock = made(found, now=lambda: moment[0])
    score = next(s for t in found.traces for s in t.scores)
    odd = double.add_feedback(found.traces[5].id, 'a "quoted" key é', 0.25, created=START + DAY)
    moment[0] = END + 20 * DAY
    double.edit_feedback(score.id, score=0.125)
    double.edit_feedback(odd, score=0.75)
    until = END + 20 * DAY + HOUR
    windows = {"runs": ((until - DAY, until),), "feedback": ((until - 2 * HOUR, until),)}
    job = job_of(client, until - DAY, until, windows=windows)
    spool = Spool(tmp_path)
    assert pull(client, clock, spool, job) == []
    changed = {row["id"]: row["score"] for row in spool.rows("feedback")}
    assert changed[score.id] == 0.125
    assert changed[odd] == 0.75
    assert len(ids(spool, "edited")) == 2


def test_a_server_too_slow_to_tell_all_keys_of_feedback_is_asked_for_those_it_declares(tmp_path):
    def slow(request):
        return Answer(504, {"detail": "timeout"}) if request.path.endswith("/runs/stats") else None

    found = traffic(traces=40)
    client, _, double, clock = made(found, instead=slow, now=lambda: END + HOUR)
    score = next(s for t in found.traces for s in t.scores)
    double.edit_feedback(score.id, score=0.125)
    windows = {"runs": ((END - DAY, END + DAY),), "feedback": ((END, END + DAY),)}
    spool = Spool(tmp_path)
    assert pull(client, clock, spool, job_of(client, START, END + DAY, windows=windows)) == []
    assert {row["id"]: row["score"] for row in spool.rows("feedback")}[score.id] == 0.125


def test_a_pull_of_all_feedback_asks_for_no_edits(tmp_path):
    _, _, tape, _ = pulled(tmp_path)
    assert not any("min_feedback_modified_at" in body for body in tape.bodies())


def test_a_server_of_v1_is_not_asked_for_edits_and_the_reader_is_told(tmp_path):
    client, tape, _, clock = made(backend="clickhouse")
    windows = {"runs": ((END - DAY, END),), "feedback": ((END - HOUR, END),)}
    job = job_of(client, START, END, windows=windows)
    assert pull(client, clock, Spool(tmp_path), job) == []
    assert not any("feedback_key" in str(body.get("filter")) for body in tape.bodies())
    assert any("edits come with feedback of the last hour and with --full" in note for note in client.notes(job))


def test_runs_that_were_open_are_pulled_again_whenever_they_began(tmp_path):
    open_one = _trace("open", START, ended=False)
    client, _, double, clock = made(Traffic([open_one]), now=lambda: END + 60 * DAY)
    llm = open_one.spans[1]
    double.end_run(llm.id, llm.start + timedelta(seconds=3))
    spool = Spool(tmp_path)
    until = END + 60 * DAY
    assert pull(client, clock, spool, job_of(client, until - DAY, until, open_spans=[(open_one.id, llm.id)])) == []
    assert [row["status"] for row in spool.rows("runs")] == ["SUCCESS"]


def test_the_overlaps_are_two_days_of_runs_and_an_hour_of_feedback():
    client, *_ = made()
    assert client.overlaps == {"runs": timedelta(hours=48), "feedback": timedelta(hours=1)}


# ---- what belongs to the workspace


def _workspace():
    golden = Dataset("golden", tuple(Example(_id(f"e{n}"), {"q": n}, {"a": n}) for n in range(3)))
    tried = traffic(9, traces=6)
    return {
        "datasets": [Dataset("empty")],
        "experiments": [Experiment("try-1", golden, tried)],
        "queues": [Queue("to read", (QueueItem(traffic().traces[0].id), QueueItem(traffic().traces[1].id, status="completed")))],
        "projects": {"other": traffic(8, traces=5)},
    }, tried


@pytest.mark.parametrize("backend", BACKENDS)
def test_experiments_come_with_their_names_their_runs_and_their_feedback(tmp_path, backend):
    settings, tried = _workspace()
    spool, _, _, _ = pulled(tmp_path, backend=backend, **settings)
    rows = list(spool.rows("experiment_runs"))
    assert {r["id"] for r in rows} == span_ids(tried)
    assert {r["session_name"] for r in rows} == {"try-1"}
    assert {r["reference_dataset_id"] for r in rows} == {settings["experiments"][0].dataset.id}
    assert {r["reference_example_id"] for r in rows if r["id"] == r["trace_id"]} == {_id(f"e{n}") for n in range(3)}
    named = {f["id"] for f in spool.rows("feedback") if f.get("session_name") == "try-1"}
    assert named == {s.id for s in tried.scores}
    assert not ids(spool, "runs") & span_ids(tried)


def test_examples_queue_items_configs_and_prices_come_with_what_their_readers_need(tmp_path):
    settings, _ = _workspace()
    spool, client, _, _ = pulled(tmp_path, **settings)
    assert {(r["id"], r["dataset_name"]) for r in spool.rows("examples")} == {(_id(f"e{n}"), "golden") for n in range(3)}
    items = {r["run_id"]: (r["queue_name"], r["queue_status"]) for r in spool.rows("queue_items")}
    assert sorted(items.values()) == [("to read", "archived"), ("to read", "needs_my_review")]
    assert all(_time(r["pulled_at"]) for e in ("queue_items", "feedback_configs", "prices") for r in spool.rows(e))
    shapes = {"examples": "example", "queue_items": "queue_item", "feedback_configs": "feedback_config", "prices": "price"}
    for entity, shape in shapes.items():
        assert {r.shape for r in records(spool, entity, client.pages[entity].format)} == {shape}


def test_a_project_without_dataset_is_no_experiment_even_if_it_is_listed_among_them(tmp_path):
    client, *_ = made()
    job = job_of(client)
    rows = _Rows(experiments=[{"id": job.project.id, "name": "prod", "reference_dataset_id": None}])
    _, details, _ = client.stages(job)
    assert details(rows) == []


def test_what_belongs_to_the_workspace_comes_with_the_first_project_only(tmp_path):
    settings, _ = _workspace()
    client, _, _, _ = made(**settings)
    there = client.projects([])
    assert [p.name for p in there] == ["prod", "other"]
    asked = [{s.entity for s in next(client.stages(Job(p, START, END)))(Spool(tmp_path))} for p in there]
    assert asked == [{"feedback_configs", "datasets", "experiments", "queues", "prices"}, set()]


def test_a_server_without_queues_or_prices_is_pulled_and_the_reader_is_told(tmp_path):
    def without(request):
        return Answer(404, {"detail": "Not Found"}) if re.search("annotation-queues|model-price-map", request.path) else None

    spool, client, _, double = pulled(tmp_path, instead=without)
    assert ids(spool, "runs") == theirs(double)[0]
    told = [note for note in client.notes(job_of(client)) if note.startswith("This server has no")]
    assert told == [
        "This server has no prices of models, or gives none; none were pulled.",
        "This server has no annotation queues, or gives none; none were pulled.",
    ]


# ---- projects


def test_projects_are_found_by_name_and_by_id_each_once():
    client, _, double, _ = made(projects={"other": traffic(1, traces=2)})
    there = client.projects(["other", "prod", double.project_id])
    assert [p.name for p in there] == ["other", "prod"]
    assert there[1].id == double.project_id


def test_without_a_wish_the_default_project_is_pulled_else_all_that_are_no_experiments():
    settings, _ = _workspace()
    assert [p.name for p in made(**settings, default="other")[0].projects([])] == ["other"]
    assert [p.name for p in made(**settings)[0].projects([])] == ["prod", "other"]


def test_projects_beyond_the_first_page_are_found():
    client, *_ = made(projects={f"p-{n}": Traffic() for n in range(230)})
    assert len(client.projects([])) == 231
    assert client.projects(["p-229"])[0].name == "p-229"


def test_an_unknown_project_is_named_with_at_most_ten_that_are_like_it():
    client, *_ = made(projects={f"prod-{n}": Traffic() for n in range(30)})
    with pytest.raises(SourceError, match=r"^project 'prod-77' is not in this LangSmith workspace; choose one of: ") as told:
        client.projects(["prod-77"])
    assert str(told.value).count("prod") == 11
    assert str(told.value).endswith(" (and 21 more)")
    assert "prod-7," in str(told.value)


def test_the_names_of_projects_are_hostile_text():
    client, *_ = made(projects={"ev\x1b[31mil\n": Traffic()})
    with pytest.raises(SourceError, match=r"project 'x' is not in .*; choose one of: ") as told:
        client.projects(["x\x1b[2J"])
    assert "\x1b" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_workspace_without_projects_says_which_variable_names_the_right_one():
    client, *_ = made(instead=lambda request: Answer(200, []) if request.path.endswith("/sessions") else None)
    with pytest.raises(
        SourceError, match=r"the key sees no tracing project at .*; name the workspace .* in LANGSMITH_WORKSPACE_ID"
    ):
        client.projects([])


# ---- who asks, and where


def test_the_key_and_the_workspace_go_with_every_request_that_needs_them(tmp_path):
    _, _, tape, _ = pulled(tmp_path, workspace="ws-1", workspace_id="ws-1")
    assert {(r.headers["x-api-key"], r.headers["x-tenant-id"]) for r in tape.tape} == {(KEY, "ws-1")}


def test_nothing_is_ever_written(tmp_path):
    settings, _ = _workspace()
    _, _, tape, _ = pulled(tmp_path, io="sampled", **settings)
    posted = {r.path for r in tape.tape if r.method != "GET"}
    assert posted == {"/api/v2/runs/query"}


def test_a_wrong_key_is_one_line_with_the_cure_and_without_the_key():
    client, *_ = made(key="lsv2_pt_wrong_and_secret")
    with pytest.raises(SourceError, match=r"refuses the key \(HTTP 401: Invalid token\); set LANGSMITH_API_KEY to a key") as told:
        client.projects([])
    assert "wrong_and_secret" not in str(told.value) + repr(client)
    assert "\n" not in str(told.value)


def test_a_key_that_needs_a_workspace_is_one_line_with_the_cure():
    client, *_ = made(workspace_id="ws-1")
    with pytest.raises(SourceError, match=r"does not allow this \(HTTP 403.*name that in LANGSMITH_WORKSPACE_ID"):
        client.projects([])


def test_what_the_key_may_not_see_ends_the_pull_in_one_line(tmp_path):
    client, _, _, clock = made(forbidden=["GET /feedback"])
    with pytest.raises(
        SourceError, match=r"does not allow this \(HTTP 403: Forbidden\); use a key \(LANGSMITH_API_KEY\) whose role"
    ):
        pull(client, clock, Spool(tmp_path), job_of(client))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"<html></html>", {"content-type": "text/html"}), "answers with a web page, not with JSON"),
        (Answer(404, {"detail": "Not Found"}), "has neither /api/v1/info nor /info, so it is no LangSmith API"),
    ],
)
def test_a_wrong_host_is_one_line_with_the_cure(answer, words):
    client, *_ = made(instead=lambda request: answer)
    with pytest.raises(SourceError, match=f"{words}; set LANGSMITH_ENDPOINT to the address of the API"):
        client.projects([])


@pytest.mark.parametrize(("path", "answer"), [("/sessions", {"data": []}), ("/sessions", ["x"]), ("/runs/query", [1])])
def test_an_answer_that_is_none_is_one_line_with_the_cure(tmp_path, path, answer):
    client, _, _, clock = made(instead=lambda request: Answer(200, answer) if request.path.endswith(path) else None)
    with pytest.raises(SourceError, match=r"with something else than an? .*object.*; set LANGSMITH_ENDPOINT to the address"):
        pull(client, clock, Spool(tmp_path), job_of(client))


def test_a_server_that_cannot_list_its_projects_now_is_one_line():
    def slow(request):
        return Answer(504, {"detail": "timeout"}) if request.path.endswith("/sessions") else None

    client, *_ = made(instead=slow)
    with pytest.raises(SourceError, match=r"does not list its projects \(HTTP 504: timeout\); try again later"):
        client.projects([])


def test_a_server_that_answers_without_the_prefix_is_asked_without_it(tmp_path):
    def bare(request):
        return Answer(404, {"detail": "Not Found"}) if request.path.startswith("/api/") else None

    for backend in ("smithdb", "clickhouse"):
        spool, _, tape, double = pulled(tmp_path / backend, instead=bare, backend=backend)
        assert (ids(spool, "runs"), ids(spool, "feedback")) == theirs(double)
        assert sum(r.path.endswith("/info") for r in tape.tape) == 2


def test_info_is_asked_once(tmp_path):
    _, _, tape, _ = pulled(tmp_path)
    assert sum(r.path.endswith("/info") for r in tape.tape) == 1


# ---- the proof, and what a reader must know


@pytest.mark.parametrize("backend", BACKENDS)
def test_totals_are_the_days_own_counts_and_no_tree_is_counted_twice(backend):
    found = traffic(4)
    client, *_ = made(found, backend=backend)
    told = list(client.totals(job_of(client, START, END)))
    assert [t["day"] for t in told] == [(START + n * DAY).date() for n in range(4)]
    for one in told:
        spans = [s for s in found.spans if s.start.date() == one["day"]]
        assert one["entity"] == "spans"
        assert one["rows"] == len(spans)
        assert one["tokens_in"] == sum(s.tokens_in or 0 for s in spans)
        assert one["tokens_out"] == sum(s.tokens_out or 0 for s in spans)
        assert one["cost_usd"] == pytest.approx(sum(s.cost_usd or 0 for s in spans))


def test_only_days_that_lie_wholly_inside_are_counted():
    client, *_ = made()
    job = job_of(client, START + HOUR, END - HOUR)
    assert [t["day"] for t in client.totals(job)] == [(START + n * DAY).date() for n in (1, 2)]


def test_totals_survive_what_goes_wrong_on_the_way():
    client, *_ = made(faults=Faults(KINDS, rate=0.4, seed=2))
    assert len(list(client.totals(job_of(client, START, END)))) == 4


@pytest.mark.parametrize(("status", "words"), [(404, "HTTP 404: No"), (403, "does not allow this"), (504, "HTTP 504: No")])
def test_a_server_that_does_not_count_is_no_failure_and_the_reader_is_told(status, words):
    client, *_ = made(instead=lambda r: Answer(status, {"detail": "No"}) if r.path.endswith("/stats") else None)
    job = job_of(client)
    assert list(client.totals(job)) == []
    assert any(n.startswith("LangSmith did not tell its counts (") and words in n for n in client.notes(job))


def test_the_reader_is_told_when_traces_may_have_gone_and_what_that_does():
    client, *_ = made()
    young, old = (job_of(client, END - n * DAY, END) for n in (10, 20))
    banner = "drops a trace after 14 days .* before 2026-10-23 are mostly traces with feedback, no picture of all traffic"
    assert any(re.search(banner, n) for n in client.notes(old))
    assert not any("14 days" in n for n in client.notes(young))


@pytest.mark.parametrize("io", ("none", "errors", "sampled", "all"))
def test_the_reader_is_told_what_is_not_known_without_texts(io):
    client, *_ = made()
    told = [n for n in client.notes(job_of(client, io=io)) if "the model that answered" in n]
    assert len(told) == (io != "all")
    assert all(f"--io {io}" in n for n in told)


def test_the_reader_is_told_that_scores_are_unchecked_and_api_raters_unknown():
    client, *_ = made()
    notes = " ".join(client.notes(job_of(client)))
    assert "whether all scores are here is unchecked" in notes
    assert "its rater is unknown until you map it" in notes


# ---- helpers


class _Rows:
    def __init__(self, **rows):
        self._rows = rows

    def rows(self, entity):
        return iter(self._rows.get(entity, ()))


def _id(name):
    from doubles.langsmith_rows import uid

    return uid(name)


def _time(text):
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _trace(name, at, *, lasts=timedelta(seconds=2), ended=True, scores=0):
    """A root and an llm run that begins with it."""
    trace_id = _id(name)
    end = at + lasts if ended else None
    root = SpanT(trace_id, trace_id, None, "chain", "handle", at, end, input="q", output="a" if ended else None)
    llm = SpanT(
        _id(f"{name} llm"), trace_id, trace_id, "llm", "answer", at, end, model="gpt-4.1-2025-04-14", tokens_in=10, tokens_out=5
    )
    given = tuple(
        ScoreT(_id(f"{name} {n}"), trace_id, None, "thumb", "api", 1.0, at + timedelta(seconds=20 * n)) for n in range(scores)
    )
    return TraceT(trace_id, "chat", "user-1", "session-1", "production", "1.0", ("prod",), {}, (root, llm), given)


def _beside(double, prompt):
    """The llm run that a prompt run was rendered for."""
    return next(r.id for r in double.store.runs.values() if r.kind == "llm" and r.trace_id == prompt.trace_id)


def test_an_own_server_is_asked_without_limits():
    clock = FastClock()
    client = LangsmithClient(Credentials("http://langsmith.test", "lsv2_pt_test", None), plan="self-hosted", clock=clock)
    assert client._server._narrow is None
    with pytest.raises(UsageError, match="plan='gold' is not known; choose one of: cloud, self-hosted"):
        LangsmithClient(Credentials("http://langsmith.test", "lsv2_pt_test", None), plan="gold")
