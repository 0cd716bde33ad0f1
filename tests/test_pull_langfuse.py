"""The Langfuse client of the pull, driven through the loopback double: every row once, whatever the server does."""

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from doubles.clock import FastClock
from doubles.faults import KINDS, Faults
from doubles.http import Answer, Wire
from doubles.langfuse import LangfuseDouble
from doubles.traffic import START, ScoreT, Traffic, traffic

from llmobs_nb.errors import SourceError, UsageError
from llmobs_nb.sources.langfuse import picking
from llmobs_nb.sources.langfuse.client import LangfuseClient
from llmobs_nb.sources.langfuse.credentials import Credentials
from llmobs_nb.sources.langfuse.export import FORMATS, shape_of
from llmobs_nb.sources.langfuse.numbered import Numbered
from llmobs_nb.sources.langfuse.slices import query_of, uncovered
from llmobs_nb.sources.transport.clock import Stopped
from llmobs_nb.sources.transport.drain import drain
from llmobs_nb.sources.transport.job import Job, Project, Slice
from llmobs_nb.sources.transport.spool import Spool

DAY = timedelta(days=1)
SINCE, UNTIL = START, START + 6 * DAY
KEYS = ("pk-lf-test", "sk-lf-test")
EVERYTHING = ("corrections", "labels", "subjects", "judges", "prompts")
SERVERS = pytest.mark.parametrize("server", ["v4", "v3"])


def connected(double, clock=None, *, base_url="http://langfuse.test", sign=KEYS, **options) -> LangfuseClient:
    clock = clock or FastClock()
    return LangfuseClient(Credentials(base_url, *sign), transport=Wire(double, clock), clock=clock, **options)


def job_of(*, since=SINCE, until=UNTIL, windows=None, **more) -> Job:
    whole = [(since, until)]
    windows = windows if windows is not None else {"observations": whole, "scores": whole, "annotations": whole}
    return Job(Project("project-1", "Example project"), since, until, windows=windows, **more)


def pull(client: LangfuseClient, job: Job, folder) -> tuple[Spool, list]:
    """All stages, as the pull runs them: the spool and what could not be finished."""
    spool, undone = Spool(folder), []
    for stage in client.stages(job):
        undone += drain(client, spool, stage(spool), clock=client.clock, workers=client.workers)
    return spool, undone


def pulled(double, folder, job=None, **options) -> Spool:
    spool, undone = pull(connected(double, **options), job or job_of(), folder)
    assert not undone
    return spool


def ids(spool: Spool, entity: str) -> set[str]:
    return {row["id"] for row in spool.rows(entity)}


def newest(spool: Spool, entity: str) -> dict[str, dict]:
    """One row per id, the one updated last, as the store keeps it."""
    out: dict[str, dict] = {}
    for row in spool.rows(entity):
        if row["id"] not in out or row["updatedAt"] >= out[row["id"]]["updatedAt"]:
            out[row["id"]] = row
    return out


def crowded(count, at=START + timedelta(hours=5)) -> Traffic:
    """Many observations of one moment, as a batch job makes them."""
    made = traffic(3, traces=count, days=1)
    return Traffic([replace(t, spans=tuple(replace(s, start=at) for s in t.spans), scores=()) for t in made.traces])


@SERVERS
def test_every_observation_and_score_is_there_once(server, tmp_path):
    made = traffic(1, traces=120)
    double = LangfuseDouble(made, server=server, extras=EVERYTHING)
    spool = pulled(double, tmp_path)
    assert ids(spool, "observations") == set(double.data.by_span) >= {s.id for s in made.spans}
    assert ids(spool, "scores") == set(double.data.by_score) >= {s.id for s in made.scores}
    assert len(list(spool.rows("observations"))) == len(double.data.by_span)


def test_both_servers_give_the_same_observations_scores_and_traces(tmp_path):
    found = {}
    for server in ("v4", "v3"):
        spool = pulled(LangfuseDouble(traffic(1), server=server), tmp_path / server)
        found[server] = {
            e: ids(spool, e) for e in ("observations", "scores", "comments", "dataset_items", "queue_items", "models")
        }
        of_row = {row["traceId"] for row in spool.rows("observations")}
        assert server == "v4" or {row["id"] for row in spool.rows("traces")} == of_row
    assert found["v4"] == found["v3"]


def test_a_row_that_comes_twice_keeps_its_last_version(tmp_path):
    double = LangfuseDouble(traffic(1), duplicates=0.5)
    spool = pulled(double, tmp_path)
    assert len(list(spool.rows("observations"))) > len(double.data.by_span)
    assert all(row["endTime"] for row in newest(spool, "observations").values())


@SERVERS
def test_everything_pulled_for_the_store_is_something_the_reader_maps(server, tmp_path):
    double = LangfuseDouble(traffic(1), server=server, extras=EVERYTHING)
    client = connected(double)
    spool, _ = pull(client, job_of(io="errors"), tmp_path)
    known = {f.name for f in FORMATS}
    assert set(spool.entities()) <= set(client.pages)
    for entity in spool.entities():
        if client.pages[entity].format:
            assert client.pages[entity].format in known
            assert {shape_of(row) for row in spool.rows(entity)}.isdisjoint({"other"}), entity


def test_windows_that_touch_share_no_row_and_lose_none(tmp_path):
    made = traffic(1)
    edge = made.spans[4].start
    double = LangfuseDouble(made, extras=())
    halves = [
        pulled(double, tmp_path / name, job_of(since=a, until=b))
        for name, a, b in (("before", SINCE, edge), ("after", edge, UNTIL))
    ]
    before, after = (ids(half, "observations") for half in halves)
    assert before | after == {s.id for s in made.spans}
    assert made.spans[4].id in after
    assert not before & after


def test_times_go_out_in_utc_whatever_zone_the_job_speaks(tmp_path):
    double = LangfuseDouble(traffic(1))
    india = timedelta(hours=5, minutes=30)
    zone = datetime.now(UTC).astimezone(UTC).tzinfo.__class__(india)
    pulled(double, tmp_path, job_of(since=SINCE.astimezone(zone), until=UNTIL.astimezone(zone)))
    told = [r.one(n) for r in double.asked for n in ("fromStartTime", "toStartTime", "fromTimestamp", "toTimestamp") if r.one(n)]
    assert told
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t) for t in told)
    assert "2026-11-02T00:00:00.000Z" in told


def test_the_version_of_the_server_is_asked_once(tmp_path):
    double = LangfuseDouble(traffic(1, traces=2), server="v3")
    client = connected(double)
    for name in ("one", "two"):
        pull(client, job_of(), tmp_path / name)
    assert double.calls["v2/observations"] == 1


@SERVERS
def test_texts_stay_where_they_are_unless_asked_for(server, tmp_path):
    spool = pulled(LangfuseDouble(traffic(1), server=server), tmp_path, job_of(io="none"))
    for entity in ("observations", "traces"):
        assert not [row for row in spool.rows(entity) if "input" in row or "output" in row]


@SERVERS
def test_texts_of_everything_come_in_smaller_pages(server, tmp_path):
    double = LangfuseDouble(traffic(1), server=server)
    spool = pulled(double, tmp_path, job_of(io="all"))
    assert all(row["input"] for row in spool.rows("observations"))
    path = "/api/public/v2/observations" if server == "v4" else "/api/public/observations"
    limits = {int(r.one("limit")) for r in double.asked if r.path == path} - {1}
    assert limits == ({200} if server == "v4" else {100})


@SERVERS
def test_texts_of_errors_come_for_the_whole_trace_of_an_error_and_for_no_other(server, tmp_path):
    made = traffic(1)
    spool = pulled(LangfuseDouble(made, server=server, extras=()), tmp_path, job_of(io="errors"))
    rows = list(spool.rows("observations")) + [o for d in spool.rows("documents") for o in d["observations"]]
    failed = {s.trace_id for s in made.spans if s.error}
    assert {row["traceId"] for row in rows if "input" in row} == failed
    assert {row["id"] for row in rows if "input" in row} == {s.id for s in made.spans if s.trace_id in failed}


def test_a_sample_of_texts_holds_errors_scored_traces_and_so_many_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(picking, "SAMPLE_A_DAY", 3)
    made = traffic(1, traces=80)
    found = [pulled(LangfuseDouble(made, extras=("judges",)), tmp_path / n, job_of(io="sampled")) for n in ("one", "two")]
    with_texts = [{row["traceId"] for row in spool.rows("observations") if "input" in row} for spool in found]
    must = {s.trace_id for s in made.spans if s.error} | {s.trace_id for s in made.scores}
    assert must < with_texts[0] == with_texts[1]
    by_day = Counter(t.spans[0].start.date() for t in made.traces if t.id in with_texts[0] - must)
    assert set(by_day.values()) <= {1, 2, 3}
    assert not [trace for trace in with_texts[0] if trace.startswith("judge-")]


def test_metadata_is_cut_but_for_named_keys_and_rows_with_texts(tmp_path):
    first = traffic(1, traces=1).traces[0]
    double = LangfuseDouble(Traffic([replace(first, metadata={"tenant_id": "t" * 500, "note": "n" * 500})]), extras=())
    plain = pulled(double, tmp_path / "plain", keys=("tenant_id",))
    whole = pulled(double, tmp_path / "whole", job_of(io="all"))
    assert {len(row["metadata"]["tenant_id"]) for row in plain.rows("observations")} == {500}
    assert {len(row["metadata"]["note"]) for row in plain.rows("observations")} == {200}
    assert {len(row["metadata"]["note"]) for row in whole.rows("observations")} == {500}


def test_a_short_page_of_scores_is_not_the_last_one(tmp_path):
    double = LangfuseDouble(traffic(1, traces=600, days=1), dropped_scores=0.4, extras=())
    spool = pulled(double, tmp_path)
    kept = {s.id for s in double.data.by_score.values() if not double.drops(s)}
    assert len(kept) > 150
    assert ids(spool, "scores") == kept


def test_scores_say_their_project_subject_author_and_queue(tmp_path):
    spool = pulled(LangfuseDouble(traffic(1)), tmp_path)
    human = [row for row in spool.rows("scores") if row["source"] == "ANNOTATION"]
    assert {"projectId", "subject", "authorUserId", "queueId", "configId", "comment"} <= human[0].keys()


@SERVERS
def test_a_human_label_edited_long_after_its_time_is_found(server, tmp_path):
    made = traffic(1)
    double = LangfuseDouble(made, server=server, extras=())
    labels = [s for s in made.scores if s.rater == "human"]
    for label in labels:
        double.edit_score(label.id, 1 - label.value, "user-8")
    late = UNTIL + 7 * DAY
    windows = {"observations": [], "scores": [(late, late + DAY)], "annotations": [(SINCE, late + DAY)]}
    spool = pulled(double, tmp_path, job_of(since=late, until=late + DAY, windows=windows))
    assert {row["id"]: row["authorUserId"] for row in spool.rows("scores")} == {label.id: "user-8" for label in labels}


def test_windows_of_labels_leave_out_what_the_scores_cover():
    a, b, c, d = (SINCE + n * DAY for n in range(4))
    assert uncovered([(a, d)], [(b, c)]) == [(a, b), (c, d)]
    assert uncovered([(a, d)], [(a, d)]) == []
    assert uncovered([(a, b)], [(c, d)]) == [(a, b)]


def test_overlaps_are_as_long_as_spans_and_labels_may_be_late():
    assert LangfuseClient.overlaps == {"observations": DAY, "scores": 7 * DAY, "annotations": 30 * DAY}


def test_calls_of_judges_are_kept(tmp_path):
    double = LangfuseDouble(traffic(1), extras=("judges",))
    spool = pulled(double, tmp_path)
    assert [row for row in spool.rows("observations") if row["environment"] == "langfuse-llm-as-a-judge"]
    assert not [r for r in double.asked if "environment" in r.query]


@SERVERS
def test_the_trace_of_a_score_that_nobody_has_is_fetched_and_one_of_the_store_is_not(server, tmp_path):
    made = traffic(1)
    old, stored = made.traces[0], made.traces[1]
    given = [
        ScoreT(f"late-{t.id}", t.id, None, "thumb", "api", 1.0, START + 20 * DAY) for t in (old, stored)
    ]  # fmt: skip
    late = Traffic([replace(t, scores=(s,)) for t, s in zip((old, stored), given, strict=True)])
    double = LangfuseDouble(late, server=server, extras=())
    job = job_of(since=START + 19 * DAY, until=START + 21 * DAY, unknown=lambda ids: [i for i in ids if i != stored.id])
    spool = pulled(double, tmp_path, job)
    rows = list(spool.rows("observations")) + [o for d in spool.rows("documents") for o in d["observations"]]
    assert {row["id"] for row in rows} == {s.id for s in old.spans}
    assert not [row for row in rows if row.get("input")]


@SERVERS
def test_an_open_span_is_asked_for_again_through_its_trace(server, tmp_path):
    made = traffic(1, traces=3)
    trace = replace(made.traces[0], spans=(replace(made.traces[0].spans[0], end=None), *made.traces[0].spans[1:]))
    double = LangfuseDouble(Traffic([trace, *made.traces[1:]]), server=server, extras=())
    root = trace.spans[0]
    double.end_span(root.id, root.start + 2 * DAY)
    late = START + 8 * DAY
    job = job_of(since=late, until=late + DAY, open_spans=[(trace.id, root.id)])
    spool = pulled(double, tmp_path, job)
    rows = list(spool.rows("observations")) + [o for d in spool.rows("documents") for o in d["observations"]]
    assert {row["id"] for row in rows} == {s.id for s in trace.spans}
    assert next(row for row in rows if row["id"] == root.id)["endTime"]


def test_many_traces_are_asked_for_in_one_request(tmp_path):
    made = traffic(1, traces=60)
    double = LangfuseDouble(made, extras=())
    late = START + 9 * DAY
    spool = pulled(
        double, tmp_path, job_of(since=late, until=late + DAY, open_spans=[(t.id, t.spans[0].id) for t in made.traces])
    )
    assert ids(spool, "observations") == {s.id for s in made.spans}
    asked = [json.loads(r.one("filter"))[0]["value"] for r in double.asked if r.one("filter")]
    assert sorted(map(len, asked)) == [10, 50]


@SERVERS
def test_every_version_of_every_prompt_comes_with_its_text(server, tmp_path):
    spool = pulled(LangfuseDouble(traffic(1), server=server), tmp_path)
    rows = {(row["name"], row["version"]): row["prompt"] for row in spool.rows("prompts")}
    assert rows.keys() == {("answer", 1), ("answer", 2), ("routing/triage", 1)}
    assert all(rows.values())


@SERVERS
def test_queue_items_say_the_name_of_their_queue(server, tmp_path):
    rows = list(pulled(LangfuseDouble(traffic(1), server=server), tmp_path).rows("queue_items"))
    assert {(row["queueId"], row["queueName"], row["projectId"]) for row in rows} == {("queue-1", "Weekly review", "project-1")}


@SERVERS
def test_items_of_experiments_say_their_experiment_item_trace_and_dataset(server, tmp_path):
    rows = list(pulled(LangfuseDouble(traffic(1), server=server), tmp_path).rows("experiment_items"))
    names = ("experimentId", "experimentItemId", "traceId", "experimentDatasetId")
    if server == "v3":
        names = ("datasetRunId", "datasetItemId", "traceId", "datasetId")
    assert len(rows) == 6
    assert all(row.get(name) for row in rows for name in names)
    assert not [row for row in rows if "input" in row]


def test_prices_say_when_they_were_read(tmp_path):
    rows = list(pulled(LangfuseDouble(traffic(1)), tmp_path).rows("models"))
    assert rows
    assert {row["pulledAt"] for row in rows} == {UNTIL.isoformat()}


def test_pages_of_an_older_server_that_shift_lose_nothing(tmp_path):
    made = crowded(100)
    double = LangfuseDouble(made, server="v3", extras=())
    spool = pulled(double, tmp_path)
    assert ids(spool, "observations") == {s.id for s in made.spans}


def test_a_moment_torn_by_the_edge_of_a_page_is_read_once_more_alone(tmp_path):
    moments = [crowded(20, START + timedelta(hours=n)) for n in range(5)]
    made = Traffic(list({t.id + str(n): renamed(t, n) for n, m in enumerate(moments) for t in m.traces}.values()))
    double = LangfuseDouble(made, server="v3", extras=())
    spool = pulled(double, tmp_path)
    assert ids(spool, "observations") == {s.id for s in made.spans}
    alone = [r for r in double.asked if r.path.endswith("/observations") and r.one("toStartTime", "").endswith(".001Z")]
    assert {r.one("fromStartTime") for r in alone} == {"2026-11-02T01:00:00.000Z", "2026-11-02T03:00:00.000Z"}
    assert len(alone) == 2


def renamed(trace, n: int):
    """The same trace under other ids."""
    spans = tuple(replace(s, id=f"{s.id}-{n}", trace_id=f"{trace.id}-{n}", parent_id=None) for s in trace.spans)
    return replace(trace, id=f"{trace.id}-{n}", spans=spans)


def test_a_trace_of_an_older_server_comes_with_its_metadata_and_without_totals_it_did_not_count(tmp_path):
    double = LangfuseDouble(traffic(1), server="v3")
    rows = list(pulled(double, tmp_path).rows("traces"))
    assert all(row["metadata"] and row["userId"] and row["sessionId"] for row in rows)
    assert not [r for r in double.asked if "metrics" in (r.one("fields") or "")]


def listed(rows: list[dict], total=None, turn=lambda rows, page: rows):
    """A list that a server gives by page, and the pages asked for."""
    asked = []

    def ask(page, size, moment):
        asked.append((page, size, moment))
        kept = turn([row for row in rows if moment in (None, row.get("at"))], page)
        return kept[(page - 1) * size : page * size], total if total is not None else len(kept)

    return ask, asked


def read(numbered: Numbered, ask, *, limit: int, cursor: str | None = None, **more) -> list[str]:
    """The ids of a list in the order they came; no cursor may come twice."""
    out, seen = [], {cursor}
    while True:
        rows, cursor = numbered.page("list", cursor, limit, ask, **more)
        out += [row["id"] for row in rows]
        if cursor is None:
            return out
        assert cursor not in seen
        seen.add(cursor)


def numbers(n: int) -> list[dict]:
    return [{"id": str(i)} for i in range(n)]


def test_a_clean_pass_is_the_only_one_though_the_server_counts_versions_it_does_not_list():
    ask, asked = listed(numbers(95), total=102)
    assert read(Numbered(), ask, limit=10) == [str(n) for n in range(95)]
    assert asked == [(n, 10, None) for n in range(1, 12)]


def test_a_list_whose_pages_shift_is_read_until_all_of_it_was_seen():
    ask, asked = listed(numbers(100), turn=lambda rows, page: rows[:10] + rows[10:90][:: -1 if page % 2 else 1] + rows[90:])
    assert set(read(Numbered(), ask, limit=40)) == {str(n) for n in range(100)}
    assert len(asked) > 3


def test_a_list_that_does_not_go_down_in_time_is_not_trusted_to():
    rows = [{"id": str(n), "at": f"{n % 7}"} for n in range(100)]
    ask, asked = listed(rows, turn=lambda rows, page: rows[:: -1 if page % 2 else 1])
    assert set(read(Numbered(), ask, limit=30, time="at")) == {row["id"] for row in rows}
    assert {moment for _, _, moment in asked} == {None}


def test_a_list_of_which_some_rows_never_come_is_not_read_for_ever_and_said():
    ask, asked = listed([{"id": str(n % 30)} for n in range(60)])
    doubts = []
    assert set(read(Numbered(), ask, limit=10, tell=doubts.append)) == {str(n) for n in range(30)}
    assert doubts == ["the server's pages shift; 30 of the 60 rows that it counts came"]
    assert len(asked) < 200


def test_a_list_that_goes_on_after_a_stop_or_with_smaller_pages_misses_nothing():
    ask, _ = listed(numbers(100))
    first = Numbered()
    _, cursor = first.page("list", None, 30, ask)
    smaller, _ = first.page("list", cursor, 15, ask)
    assert smaller[0]["id"] == "30"
    assert read(Numbered(), ask, limit=30, cursor=cursor) == [str(n) for n in range(100)]


def test_a_cursor_that_repeats_ends_and_loses_nothing(tmp_path):
    made = traffic(1, traces=450, days=1)
    double = LangfuseDouble(made, repeat_cursor=True, extras=())
    spool = pulled(double, tmp_path)
    assert ids(spool, "observations") == {s.id for s in made.spans}
    assert ids(spool, "scores") == {s.id for s in made.scores}


def test_pages_that_are_too_much_become_smaller(tmp_path):
    made = traffic(1, traces=400, days=1)
    spool = pulled(LangfuseDouble(made, slow_above=130, extras=()), tmp_path)
    assert ids(spool, "observations") == {s.id for s in made.spans}


def test_answers_above_the_cap_of_the_cloud_become_smaller(tmp_path):
    made = traffic(1, traces=200, days=1, text_chars=2000)
    spool = pulled(LangfuseDouble(made, page_bytes=200_000, extras=()), tmp_path, job_of(io="all"))
    assert ids(spool, "observations") == {s.id for s in made.spans}


@SERVERS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_mix_of_all_faults_loses_nothing(server, seed, tmp_path):
    made = traffic(seed, traces=150)
    double = LangfuseDouble(made, server=server, faults=Faults(KINDS, 0.4, seed), duplicates=0.1, extras=())
    spool = pulled(double, tmp_path, job_of(io="errors"), seed=seed)
    assert sum(double.faults.met.values()) > 5
    assert ids(spool, "observations") == {s.id for s in made.spans}
    assert ids(spool, "scores") == {s.id for s in made.scores}


@SERVERS
def test_a_pull_that_was_stopped_goes_on_with_another_client(server, tmp_path):
    made = traffic(1, traces=400, days=1)
    double = LangfuseDouble(made, server=server, extras=())
    client = connected(double)
    fetch, left = client.fetch, [4]

    def until_the_stop(*args):
        left[0] -= 1
        if not left[0]:
            client.clock.stop()
            raise Stopped
        return fetch(*args)

    client.fetch = until_the_stop
    with pytest.raises(Stopped):
        pull(client, job_of(), tmp_path)
    assert not ids(Spool(tmp_path), "observations") >= {s.id for s in made.spans}
    assert ids(pulled(double, tmp_path), "observations") == {s.id for s in made.spans}


@pytest.mark.parametrize(("plan", "server"), [("hobby", "v4"), ("core", "v4"), ("hobby", "v3")])
def test_no_plan_is_asked_more_often_than_it_allows(plan, server, tmp_path):
    clock = FastClock()
    double = LangfuseDouble(traffic(1, traces=20), plan=plan, clock=clock, server=server, extras=())
    client = connected(double, clock, plan=plan)
    for name in range(6):
        _, undone = pull(client, job_of(io="errors"), tmp_path / str(name))
        assert not undone
    list(client.totals(job_of()))
    assert double.statuses[429] == 0
    assert clock.now() > 60


def test_a_plan_that_nobody_named_is_the_smallest_on_the_cloud_and_none_elsewhere():
    cloud = connected(None, base_url="https://eu.cloud.langfuse.com")
    own = connected(None, base_url="https://langfuse.example.org")
    lookalike = connected(None, base_url="https://langfuse.com.example.org")
    assert (cloud.plan, cloud.workers, own.plan, lookalike.plan) == ("unknown", 1, "self-hosted", "self-hosted")
    assert own.workers > 1
    clock = cloud.clock
    for _ in range(26):
        cloud._buckets["public"].take()
    assert clock.now() >= 60
    with pytest.raises(UsageError, match="plan='gold' is not known; choose one of: hobby, core, pro, self-hosted"):
        connected(None, plan="gold")


def test_the_server_s_own_counts_are_those_of_the_traffic_on_whole_days_only():
    made = traffic(1)
    double = LangfuseDouble(made, extras=("labels", "corrections"))
    rows = list(connected(double).totals(job_of(since=SINCE + timedelta(hours=1), until=SINCE + 3 * DAY + timedelta(hours=2))))
    days = [date(2026, 11, 3), date(2026, 11, 4)]
    spans = {r["day"]: r for r in rows if r["entity"] == "spans"}
    scores = {r["day"]: r for r in rows if r["entity"] == "scores"}
    assert sorted(spans) == sorted(scores) == days
    for day in days:
        of_day = [s for s in made.spans if s.start.date() == day]
        assert spans[day]["rows"] == len(of_day)
        assert spans[day]["tokens_in"] == sum(s.tokens_in or 0 for s in of_day)
        assert spans[day]["tokens_out"] == sum(s.tokens_out or 0 for s in of_day)
        assert spans[day]["cost_usd"] == pytest.approx(sum(s.cost_usd or 0 for s in of_day))
        given = [s for s in double.data.by_score.values() if s.at.date() == day and s.data_type != "CORRECTION"]
        assert scores[day]["rows"] == len(given)
    assert double.calls["v2/metrics"] == 3


def test_an_older_server_counts_spans_and_cost_and_no_tokens_as_ours():
    made = traffic(1)
    rows = list(connected(LangfuseDouble(made, server="v3")).totals(job_of()))
    assert {r["entity"] for r in rows} == {"spans"}
    assert {r["day"]: r["rows"] for r in rows if r["rows"]} == Counter(s.start.date() for s in made.spans if s.start < UNTIL)
    assert {r["tokens_in"] for r in rows} == {None}


def test_a_span_of_less_than_a_day_has_no_counts():
    double = LangfuseDouble(traffic(1))
    client = connected(double)
    assert list(client.totals(job_of(since=SINCE, until=SINCE + timedelta(hours=23)))) == []
    assert not double.calls["v2/metrics"]


class Only:
    """A double with one answer for some paths, so many times."""

    def __init__(self, answer: Answer, path="", double=None, times=10**9):
        self.answer, self.path, self.double, self.left = answer, path, double, times

    def handle(self, request):
        if self.path not in request.path or not self.left:
            return self.double.handle(request)
        self.left -= 1
        return self.answer


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_counts_that_the_server_refuses_are_left_out_and_said(status):
    refused = Only(Answer(status, {"message": "not on this plan"}), "v2/metrics", LangfuseDouble(traffic(1)))
    client = connected(refused)
    assert list(client.totals(job_of())) == []
    told = [n for n in client.notes(job_of()) if "were not checked" in n]
    assert len(told) == 2
    assert f"HTTP {status}: not on this plan" in told[0]


def test_a_short_list_that_is_too_much_for_a_while_is_waited_for(tmp_path):
    double = LangfuseDouble(traffic(1))
    refused = Only(Answer(422, {"error": "Request timed out"}), "/comments", double, times=7)
    client = connected(refused)
    spool, undone = pull(client, job_of(), tmp_path)
    assert not undone
    assert ids(spool, "comments") == {"comment-0", "comment-1", "comment-2"}


def test_a_list_that_the_server_does_not_have_is_said_and_nothing_more(tmp_path):
    client = connected(Only(Answer(404, {"message": "Not found"}), "/comments", LangfuseDouble(traffic(1))))
    _, undone = pull(client, job_of(), tmp_path)
    assert not undone
    assert "This Langfuse server has no comments; nothing was pulled of it." in client.notes(job_of())


def test_a_list_that_the_keys_may_not_see_is_said_and_stops_nothing(tmp_path):
    client = connected(Only(Answer(403, {"message": "no"}), "/comments", LangfuseDouble(traffic(1))))
    _, undone = pull(client, job_of(), tmp_path)
    assert not undone
    assert "This Langfuse server does not show these keys its comments; nothing was pulled of it." in client.notes(job_of())


def test_scores_that_the_server_does_not_have_are_undone_and_not_none(tmp_path):
    client = connected(Only(Answer(404, {"message": "Not found"}), "/v3/scores", LangfuseDouble(traffic(1))))
    _, undone = pull(client, job_of(), tmp_path)
    assert {u.slice.entity for u in undone} == {"scores"}


def test_notes_say_what_a_reader_must_know(tmp_path):
    job = job_of(io="none")
    v4, v3 = (connected(LangfuseDouble(traffic(1, traces=1), server=s)) for s in ("v4", "v3"))
    for client, name in ((v4, "v4"), (v3, "v3")):
        pull(client, job, tmp_path / name)
    assert any("one human label per target and score config" in n for n in v4.notes(job))
    assert any("Inputs and outputs were not pulled" in n for n in v4.notes(job))
    assert any("cuts metadata values after 200 characters" in n for n in v4.notes(job))
    assert not any("not pulled" in n or "200 characters" in n for n in v4.notes(job_of(io="all")))
    assert any("older than version 4" in n for n in v3.notes(job))


def test_the_keys_project_is_found_by_name_and_id():
    client = connected(LangfuseDouble(traffic(1, traces=1)))
    mine = [Project("project-1", "Example project")]
    assert client.projects([]) == client.projects(["Example project"]) == client.projects(["project-1"]) == mine


def test_retention_of_the_project_is_said():
    body = {"data": [{"id": "p", "name": "P", "retentionDays": 30}]}
    client = connected(Only(Answer(200, body)))
    client.projects([])
    assert "The project keeps its data for 30 days: what is older is gone, and no pull brings it back." in client.notes(job_of())


REFUSALS = {
    "wrong key": (Answer(401, {"message": "Invalid credentials for sk-lf-test"}), "refuses the key .*check LANGFUSE_PUBLIC_KEY"),
    "no permission": (Answer(403, {"message": "organization key"}), "does not allow this .*use the keys of a project"),
    "no Langfuse": (Answer(404, b"<html></html>", {"content-type": "text/html"}), "has no Langfuse API .*check LANGFUSE_BASE_URL"),
    "a web page": (Answer(200, b"<html></html>", {"content-type": "text/html"}), "answers with a web page.*check LANGFUSE_BASE_URL"),
    "elsewhere": (Answer(301, b"", {"location": "https://login.example.org"}), "sends requests on to https://login.example.org"),
    "other JSON": (Answer(200, ["hello"]), "answers with JSON that is not Langfuse's; check LANGFUSE_BASE_URL"),
    "rows of nothing": (Answer(200, {"data": ["hello"]}), "answers with JSON that is not Langfuse's; check LANGFUSE_BASE_URL"),
    "always too much": (Answer(422, {"error": "Request timed out"}), r"does not answer /api/public/projects \(HTTP 422: Request timed"),
    "wrong request": (Answer(400, {"message": "bad\x1b[31m"}), r"does not answer /api/public/projects \(HTTP 400: bad\)"),
    "down": (Answer(503, {"message": "down"}), r"does not answer /api/public/projects \(HTTP 503, 8 times\); run the same again"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_one_line_with_the_cure_and_without_the_key(case):
    answer, words = REFUSALS[case]
    with pytest.raises(SourceError, match=words) as caught:
        connected(Only(answer)).projects([])
    told = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in told
    assert "sk-lf-test" not in told
    assert "pk-lf-test" not in told


def test_another_project_is_one_line_with_what_the_keys_open():
    words = r"project 'Other' is not what the keys open at http://langfuse.test: Example project \(project-1\); name that one, or set LANGFUSE_PUBLIC_KEY"
    with pytest.raises(SourceError, match=words):
        connected(LangfuseDouble(traffic(1, traces=1))).projects(["Example project", "Other"])


def test_a_wrong_key_of_the_double_ends_the_pull():
    with pytest.raises(SourceError, match=r"HTTP 401: Invalid credentials\. Confirm"):
        connected(LangfuseDouble(traffic(1, traces=1)), sign=("pk-lf-other", "sk-lf-other")).projects([])


def test_nothing_about_the_client_shows_a_key():
    client = connected(LangfuseDouble(traffic(1, traces=1)))
    slices = [s for stage in client.stages(job_of()) for s in stage(Spool("/nowhere"))]
    assert slices
    told = repr(client) + "".join(str(s.json()) + str(query_of(s)) for s in slices)
    assert not [key for key in KEYS if key in told]


@SERVERS
def test_slices_that_were_written_down_are_the_same_when_read(server):
    client = connected(LangfuseDouble(traffic(1, traces=1), server=server))
    slices = [s for stage in client.stages(job_of(io="sampled")) for s in stage(Spool("/nowhere"))]
    again = [Slice.of(json.loads(json.dumps(s.json()))) for s in slices]
    assert [s.key for s in again] == [s.key for s in slices]
    assert len({s.key for s in slices}) == len(slices)
    assert [query_of(s) for s in again] == [query_of(s) for s in slices]


def test_a_job_without_windows_asks_for_no_rows(tmp_path):
    double = LangfuseDouble(traffic(1))
    spool = pulled(double, tmp_path, job_of(windows={}))
    assert not ids(spool, "observations")
    assert not double.calls["v3/scores"]
