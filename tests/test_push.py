"""Write-back: nothing without being told, nothing twice, no longer retention, no key in sight; the real SDKs on loopback."""

import ast
import datetime as dt
import io
import logging
import pickle
import random
import subprocess
import sys
import threading
import uuid
from logging.handlers import SocketHandler
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from doubles.http import serving
from pushkit import LANGSMITH_KEY, PROJECT, PUBLIC, SECRET, Langfuse, LangSmith
from storekit import put, span

import llmobs_nb as lm
from llmobs_nb.errors import SourceError, UsageError
from llmobs_nb.sources import pushing
from llmobs_nb.sources.langfuse import credentials as langfuse
from llmobs_nb.sources.langsmith import credentials as langsmith
from llmobs_nb.writeback import VENDORS, push

ROOT = Path(__file__).parents[1]
DAY = dt.datetime(2026, 11, 2, 23, 30, tzinfo=dt.UTC)
TRACES = [str(uuid.UUID(int=n + 1)) for n in range(4)]
RECORDERS = {"langfuse": Langfuse, "langsmith": LangSmith}
KEYS = {"langfuse": (PUBLIC, SECRET), "langsmith": (LANGSMITH_KEY,)}
VARIABLES = {*langfuse.PUBLIC_KEY, *langfuse.SECRET_KEY, *langfuse.ADDRESS}
VARIABLES |= {*langsmith.API_KEY, *langsmith.ADDRESS, *langsmith.WORKSPACE, "LANGCHAIN_CUSTOM_HEADERS"}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No credentials of whoever runs this, no proxy on the way, and short pauses."""
    for name in (*VARIABLES, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pushing, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture(params=sorted(VENDORS))
def to(request):
    return request.param


@pytest.fixture
def recorder(to, monkeypatch):
    """The vendor on loopback, its variables set."""
    found = RECORDERS[to]()
    with serving(found) as url:
        for name, value in found.env(url).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """For each vendor a store of three of its traces (one with a second span) and one of somebody else's."""
    made = {}
    for vendor, project in (("langfuse", "prj"), ("langsmith", "shop")):
        more = {"source": vendor, "project": project}
        spans = [span(t, trace_id=t, start_time=DAY, end_time=DAY, **more) for t in TRACES[:3]]
        spans.append(span(str(uuid.UUID(int=99)), trace_id=TRACES[0], parent_id=TRACES[0], start_time=DAY, **more))
        spans.append(span(TRACES[3], trace_id=TRACES[3], source="otel", start_time=DAY))
        root = tmp_path_factory.mktemp(vendor)
        put(root, spans=spans)
        made[vendor] = lm.open(root)
    return made


@pytest.fixture
def obs(to, stores):
    return stores[to]


def labels(*values, **more):
    """One label per trace by alice; what is not given is as a person would leave it."""
    rows = [
        {"trace_id": t, "name": "helpful", "value": v, "rater": "human", "rater_id": "alice"}
        for t, v in zip(TRACES, values, strict=False)
    ]
    return pd.DataFrame([row | {"created_at": pd.Timestamp(DAY)} | more for row in rows])


def words(pushed):
    return [line.word for line in pushed.lines]


def kept(recorder):
    """Values of the labels that the vendor holds, sorted; one that is held twice is there twice."""
    if isinstance(recorder, Langfuse):
        return sorted(s["value"] for s in recorder.scores.values())
    return sorted(f["score"] for f in recorder.feedback)


def items_of(recorder):
    return list(recorder.items.values() if isinstance(recorder, Langfuse) else recorder.examples.values())


def send(obs, to, **what):
    return push(obs, to=to, dry_run=False, **what)


GOLD = pd.DataFrame(
    {
        "input": ["Where is my invoice?", '{"question": "Who may see it?"}'],
        "expected": ["Under Billing.", None],
        "metadata": [{"difficulty": "easy"}, None],
        "trace_id": [TRACES[0], None],
    }
)


# Nothing without being told


def test_a_dry_run_is_the_default_makes_no_connection_and_says_what_would_go(recorder, obs, to):
    pushed = push(obs, to=to, scores=labels(1, 0), dataset=("gold", GOLD), queue=("queue 1", TRACES[:2]))
    assert recorder.requests == []
    assert words(pushed) == ["would"] * 6
    text = pushed.text()
    assert f"dry run, nothing was sent to {VENDORS[to]}: 6 would go" in text
    assert f"label helpful = 1 by alice on trace {TRACES[0]}" in text
    assert "item Where is my invoice?" in text
    assert f"queue entry: trace {TRACES[1]}" in text
    assert "--push" in text


def test_a_dry_run_needs_no_credentials(obs, to):
    assert words(push(obs, to=to, scores=labels(1))) == ["would"]


def test_importing_the_push_loads_no_sdk():
    code = "import sys, llmobs_nb.writeback; print(sorted({'langfuse', 'langsmith', 'httpx', 'httpx2', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_push_leaves_no_thread_behind(recorder, obs, to):
    before = {t.ident for t in threading.enumerate()}
    send(obs, to, scores=labels(1), dataset=("gold", GOLD), queue=("queue 1", TRACES[:1]))
    ours = [t.name for t in threading.enumerate() if t.ident not in before and "process_request_thread" not in t.name]
    assert ours == []


# What goes


def test_labels_reach_langfuse_as_its_own_model_wants_them(stores):
    from langfuse.api.scores import CreateScoreRequest

    table = pd.DataFrame(
        {
            "trace_id": [TRACES[0], TRACES[0], TRACES[1], None],
            "span_id": [None, str(uuid.UUID(int=99)), None, None],
            "session_id": [None, None, None, "s-1"],
            "name": ["helpful", "polite", "topic", "solved"],
            "value": [0.5, True, None, 1],
            "label": [None, None, "billing", None],
            "data_type": [None, "boolean", "numeric", None],
            "comment": ["good", None, None, None],
            "created_at": ["2026-11-02T10:00:00+01:00"] * 4,
        }
    )
    recorder = Langfuse()
    with serving(recorder) as url, client_of(recorder, url) as client:
        assert words(send(stores["langfuse"], "langfuse", scores=table, client=client)) == ["went"] * 4
    bodies = [r.body[0] for r in recorder.asked("POST")]
    for body in bodies:
        CreateScoreRequest.model_validate({_snake(k): v for k, v in body.items()}, strict=False)
    assert [(b["dataType"], b["value"]) for b in bodies] == [
        ("NUMERIC", 0.5),
        ("BOOLEAN", 1),
        ("CATEGORICAL", "billing"),
        ("NUMERIC", 1),
    ]
    assert [(b.get("traceId"), b.get("observationId"), b.get("sessionId")) for b in bodies] == [
        (TRACES[0], None, None), (TRACES[0], str(uuid.UUID(int=99)), None), (TRACES[1], None, None), (None, None, "s-1"),
    ]  # fmt: skip
    assert bodies[0]["comment"] == "good"
    assert {b["timestamp"] for b in bodies} == {"2026-11-02T09:00:00Z"}
    assert bodies[0]["metadata"] == {"rater": "human"}


def client_of(recorder, url):
    """An SDK client that the caller made."""
    import contextlib

    import httpx
    from langfuse.api import LangfuseAPI

    @contextlib.contextmanager
    def made():
        with httpx.Client() as http:
            yield LangfuseAPI(base_url=url, username=PUBLIC, password=SECRET, httpx_client=http)

    return made()


def _snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_feedback_names_run_project_and_start_so_that_no_run_is_read(recorder, obs):
    inner = str(uuid.UUID(int=99))
    table = pd.concat([labels(0.5, True, comment="good"), labels(0.25, span_id=inner)])
    assert words(send(obs, "langsmith", scores=table)) == ["went"] * 3
    first, second, third = recorder.feedback
    assert (first["run_id"], first["trace_id"], first["session_id"]) == (TRACES[0], TRACES[0], PROJECT)
    assert (third["run_id"], third["trace_id"]) == (inner, TRACES[0])
    assert (first["start_time"], first["created_at"]) == ("2026-11-02T23:30:00Z", "2026-11-02T23:30:00Z")
    assert (first["score"], second["score"], first["comment"]) == (0.5, True, "good")
    assert first["feedback_source"] == {"type": "api", "metadata": {"rater": "human", "rater_id": "alice"}}
    assert not recorder.asked("GET", "/runs|/info")
    assert len(recorder.asked("GET", "/sessions")) == 1


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_a_category_is_a_word_and_a_number_where_there_is_one(recorder, obs):
    table = labels(None, 2, label="billing", data_type="categorical")
    send(obs, "langsmith", scores=table)
    assert [(f.get("score"), f["value"]) for f in recorder.feedback] == [(None, "billing"), (2.0, "billing")]


def test_golden_items_go_to_a_dataset_that_is_made_and_json_text_is_opened(recorder, obs, to):
    assert words(send(obs, to, dataset=("gold/en: 1", GOLD))) == ["went", "went"]
    first, second = items_of(recorder)
    wrapped = to == "langsmith"
    assert first["inputs" if wrapped else "input"] == ({"input": "Where is my invoice?"} if wrapped else "Where is my invoice?")
    assert first["outputs" if wrapped else "expectedOutput"] == ({"output": "Under Billing."} if wrapped else "Under Billing.")
    assert first["metadata"]["difficulty"] == "easy"
    assert second["inputs" if wrapped else "input"] == {"question": "Who may see it?"}
    assert first["source_run_id" if wrapped else "sourceTraceId"] == TRACES[0]
    assert second.get("source_run_id" if wrapped else "sourceTraceId") is None
    assert [r.body["name"] for r in recorder.asked("POST", "datasets$")] == ["gold/en: 1"]


def test_an_item_of_another_source_s_trace_names_it_and_does_not_link_it(recorder, obs, to):
    send(obs, to, dataset=("gold", pd.DataFrame({"input": ["q"], "trace_id": [TRACES[3]]})))
    (item,) = items_of(recorder)
    assert item["metadata"]["trace_id"] == TRACES[3]
    assert item.get("source_run_id") is None
    assert item.get("sourceTraceId") is None


@pytest.mark.parametrize("name", ["queue 2", "id"])
def test_only_the_missing_traces_enter_a_queue_found_by_name_or_id(recorder, obs, to, name):
    queue = recorder.queues[1]["id"]
    there = {
        "queueId": queue,
        "objectId": TRACES[0],
        "objectType": "TRACE",
        "status": "COMPLETED",
        "id": "e",
        "createdAt": "2026-11-01T00:00:00Z",
        "updatedAt": "2026-11-01T00:00:00Z",
    }
    recorder.entries.append(
        there if to == "langfuse" else {"id": "e", "queue_id": queue, "section": "archived", "run_id": TRACES[0]}
    )
    pushed = send(obs, to, queue=(name if name != "id" else queue, pd.Series(TRACES[:3])))
    assert words(pushed) == ["stood", "went", "went"]
    assert [r.path.split("/")[-2] for r in recorder.asked("POST")] == [queue, queue]


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_a_queue_entry_names_run_project_and_start(recorder, obs):
    send(obs, "langsmith", queue=("queue 1", TRACES[:1]))
    (entry,) = recorder.asked("POST")[0].body["items"]
    assert dt.datetime.fromisoformat(entry.pop("start_time")) == DAY
    assert entry == {"item_type": "RUN", "run_id": TRACES[0], "session_id": PROJECT}


def test_long_lists_are_read_page_by_page(recorder, obs, to):
    queue = recorder.queues[0]["id"]
    for n in range(250):
        recorder.entries.append(
            {"queueId": queue, "objectId": f"o{n}", "objectType": "TRACE", "status": "PENDING", "id": f"e{n}",
             "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-01T00:00:00Z"}
            if to == "langfuse" else {"id": f"e{n}", "queue_id": queue, "section": "needs_my_review", "run_id": f"o{n}"}
        )  # fmt: skip
    recorder.entries[-1]["objectId" if to == "langfuse" else "run_id"] = TRACES[0]
    recorder.queues[:0] = [{"id": str(uuid.UUID(int=1000 + n)), "name": f"other {n}"} for n in range(150)]
    assert words(send(obs, to, queue=("queue 1", TRACES[:1]))) == ["stood"]


# Nothing twice


def test_the_same_push_again_sends_nothing(recorder, obs, to):
    what = {"scores": labels(0.5, True), "dataset": ("gold", GOLD), "queue": ("queue 1", TRACES[:2])}
    assert words(send(obs, to, **what)) == ["went"] * 6
    recorder.requests.clear()
    assert words(send(obs, to, **what)) == ["stood"] * 6
    assert recorder.writes == []


def test_a_changed_label_replaces_the_old_one_even_on_another_day(recorder, obs, to):
    send(obs, to, scores=labels(1, 1))
    changed = labels(0, 1, created_at=pd.Timestamp(DAY + dt.timedelta(days=3)))
    assert words(send(obs, to, scores=changed)) == ["went", "stood"]
    assert kept(recorder) == [0, 1]


def test_a_changed_item_replaces_the_old_one(recorder, obs, to):
    send(obs, to, dataset=("gold", GOLD))
    assert words(send(obs, to, dataset=("gold", GOLD.assign(expected=["Under Payments.", None])))) == ["went", "stood"]
    assert len(items_of(recorder)) == 2
    assert "Under Payments." in str(items_of(recorder)[0])


def test_a_server_that_does_not_show_yet_what_it_took_doubles_nothing(recorder, obs, to):
    recorder.blind = True
    for _ in range(2):
        assert words(send(obs, to, scores=labels(1, 0), dataset=("gold", GOLD))) == ["went"] * 4
    assert kept(recorder) == [0, 1]
    assert len(items_of(recorder)) == 2


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("scores|feedback", {"scores": labels(1)}),
        ("datasets$", {"dataset": ("gold", GOLD.head(1))}),
        ("dataset-items|examples", {"dataset": ("gold", GOLD.head(1))}),
        ("annotation-queues", {"queue": ("queue 1", TRACES[:1])}),
    ],
    ids=["label", "dataset", "item", "entry"],
)
def test_a_connection_cut_after_the_vendor_took_it_doubles_nothing(recorder, obs, to, path, what):
    recorder.cut("POST", path)
    assert words(send(obs, to, **what)) == ["went"]
    assert recorder.faults == []
    held = len(kept(recorder)) if "scores" in what else len(items_of(recorder)) if "dataset" in what else len(recorder.entries)
    assert held == 1
    assert words(send(obs, to, **what)) == ["stood"]


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_a_cut_connection_where_the_id_then_conflicts_is_a_label_that_went(recorder, obs):
    recorder.replaces = False
    recorder.cut("POST", "feedback")
    assert words(send(obs, "langsmith", scores=labels(1))) == ["went"]
    assert kept(recorder) == [1]


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_labelled_again_a_rater_has_one_value_per_target_and_name(recorder, obs, to, seed):
    chance, wanted = random.Random(seed), {}
    for value in range(10):
        target = chance.choice(TRACES[:3]), chance.choice(["a", "b"]), chance.choice(["ann", "bo", None])
        when = pd.Timestamp(DAY + dt.timedelta(days=chance.randrange(9)))
        send(obs, to, scores=labels(value, trace_id=target[0], name=target[1], rater_id=target[2], created_at=when))
        wanted[target] = value
    assert len(wanted) < 10
    assert kept(recorder) == sorted(wanted.values())


def test_an_id_is_the_same_in_another_process():
    code = "from llmobs_nb.sources.pushing import identity; print(identity('langfuse', 'score', 't', None, None, 'helpful', 'alice'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == pushing.identity("langfuse", "score", "t", None, None, "helpful", "alice")
    assert uuid.UUID(done.stdout.strip()).version == 5


# Retention


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
@pytest.mark.parametrize("replaces", [True, False])
def test_no_request_lets_langsmith_keep_a_trace_longer(recorder, obs, replaces):
    recorder.replaces = replaces
    for value in (1, 0):
        send(obs, "langsmith", scores=labels(value, value), dataset=("gold", GOLD), queue=("queue 1", TRACES[:2]))
    assert len(recorder.asked("POST", "feedback$")) == 4
    assert len(recorder.asked("POST", "annotation-queues")) == 2
    assert recorder.extended == []


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_a_label_that_could_be_changed_only_at_that_price_is_not_changed(recorder, obs):
    send(obs, "langsmith", scores=labels(1))
    recorder.replaces = False
    (line,) = send(obs, "langsmith", scores=labels(0)).of("failed")
    assert "may extend the trace's retention; change it in LangSmith" in line.reason
    assert kept(recorder) == [1]


def test_no_code_path_can_ask_for_a_longer_retention():
    said = []
    for path in (ROOT / "llmobs_nb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.arg) and node.arg == "extend_trace_retention"), path
            if isinstance(node, ast.keyword) and node.arg == "extend_trace_retention":
                said.append(isinstance(node.value, ast.Constant) and node.value.value is False)
    assert said == [True, True]


# What is not sent


def test_labels_of_others_than_humans_and_the_vendor_s_own_stay_here(recorder, obs, to):
    table = pd.concat([labels(1, rater="judge"), labels(1, rater="user"), labels(1, source=to), labels(0.5, rater=None)])
    pushed = send(obs, to, scores=table)
    assert words(pushed) == ["left", "left", "stood", "went"]
    assert "only labels of humans are written back" in pushed.of("left")[0].reason
    assert pushed.of("stood")[0].reason == f"it came from {to}"
    assert kept(recorder) == [0.5]


def test_a_trace_that_did_not_come_from_the_vendor_is_refused(recorder, obs, to):
    pushed = send(obs, to, scores=labels(1, trace_id=TRACES[3]), queue=("queue 1", [TRACES[3]]))
    assert [line.reason for line in pushed.of("failed")] == [
        f"the store holds no trace {TRACES[3]} that came from {VENDORS[to]}"
    ] * 2
    (line,) = send(obs, to, scores=labels(1, span_id="lost")).of("failed")
    assert line.reason.startswith(f"the store holds no span lost of trace {TRACES[0]}")
    assert recorder.requests == []


def test_of_two_labels_of_one_rater_the_newer_goes(recorder, obs, to):
    table = pd.concat([labels(0, created_at=pd.Timestamp(DAY + dt.timedelta(hours=1))), labels(1), labels(0.5, rater_id="bo")])
    pushed = send(obs, to, scores=table)
    assert words(pushed) == ["left", "went", "went"]
    assert "helpful = 1 by alice" in pushed.of("left")[0].what
    assert kept(recorder) == [0, 0.5]


def test_of_two_rows_about_one_item_the_later_goes(recorder, obs, to):
    table = pd.DataFrame({"input": ["q", "q", "r"], "expected": ["outdated", "new", "x"]})
    assert words(send(obs, to, dataset=("gold", table))) == ["left", "went", "went"]
    assert "outdated" not in str(items_of(recorder))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"name": None}, "it needs a name, and a trace_id or a session_id"),
        ({"trace_id": None}, "it needs a name, and a trace_id or a session_id"),
        ({"value": None}, "it has neither a value nor a label"),
        ({"value": float("inf")}, "it has neither a value nor a label"),
        ({"created_at": "yesterday"}, "its created_at or start_time is no time; give ISO 8601"),
    ],
)
def test_a_row_that_is_no_label_fails_and_the_rest_goes(recorder, obs, to, row, reason):
    pushed = send(obs, to, scores=pd.concat([labels(1, **row), labels(0)]))
    assert [line.reason for line in pushed.of("failed")] == [reason]
    assert kept(recorder) == [0]


def test_an_item_without_input_fails_and_the_rest_goes(recorder, obs, to):
    pushed = send(obs, to, dataset=("gold", pd.DataFrame({"input": [None, "q"]})))
    assert [(line.word, line.reason) for line in pushed.lines] == [("failed", "it has no input"), ("went", "")]


@pytest.mark.parametrize("to", ["langfuse"], indirect=True)
def test_a_text_too_long_for_langfuse_fails_before_anything_is_sent(recorder, obs):
    (line,) = push(obs, to="langfuse", scores=labels(None, label="x" * 501, data_type="text")).of("failed")
    assert line.reason == "a text score of Langfuse has at most 500 characters, this one has 501"


@pytest.mark.parametrize("to", ["langfuse"], indirect=True)
def test_a_label_without_a_time_takes_its_trace_s_or_fails(recorder, obs):
    table = labels(1).drop(columns="created_at")
    (line,) = send(None, "langfuse", scores=table).of("failed")
    assert line.reason.startswith("it has no created_at, by which Langfuse knows a score again")
    assert words(send(obs, "langfuse", scores=table)) == ["went"]
    assert next(iter(recorder.scores.values()))["timestamp"] == "2026-11-02T23:30:00Z"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"scores": labels(1)}, "its project is not known; give the store that holds the trace"),
        ({"queue": ("queue 1", TRACES[:1])}, "its project is not known; give the store that holds the trace"),
        ({"scores": labels(1, trace_id="t1", project="shop")}, "'t1' is no id of a LangSmith run"),
        ({"scores": labels(1, session_id="s").drop(columns="trace_id")}, "LangSmith takes labels of traces and spans, not of sessions"),
    ],
)  # fmt: skip
def test_what_langsmith_could_not_place_fails_before_anything_is_sent(what, reason):
    (line,) = push(None, to="langsmith", **what).of("failed")
    assert line.reason == reason


@pytest.mark.parametrize("to", ["langsmith"], indirect=True)
def test_labels_from_elsewhere_may_name_their_project_themselves(recorder):
    assert words(send(None, "langsmith", scores=labels(1, project=PROJECT))) == ["went"]
    (line,) = send(None, "langsmith", scores=labels(1, project="gone")).of("failed")
    assert line.reason == "LangSmith has no project 'gone'; it was renamed or deleted"


# Refusals


def test_a_refused_label_is_named_with_the_reason_and_the_rest_goes(recorder, obs, to):
    pushed = send(obs, to, scores=pd.concat([labels(1, name="refused"), labels(0)]))
    (line,) = pushed.of("failed")
    assert ("breaks its config" if to == "langfuse" else "feedback config forbids it") in line.reason
    assert kept(recorder) == [0]
    assert "1 failed, 1 went" in pushed.text()
    assert "run the same again" in pushed.text()


def test_a_refusal_that_repeats_our_key_is_shown_without_it(recorder, obs, to):
    recorder.fail("POST", "scores|feedback", 400, {"message": f"bad {KEYS[to][-1]}\x1b[31m and {'x' * 3000}"})
    (line,) = send(obs, to, scores=labels(1)).of("failed")
    assert line.reason.startswith("HTTP 400: bad … and xxx")
    assert len(line.reason) < 300


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"refuses the key or what it asks for \(HTTP 401\); check LANG\w+_KEY"),
        (403, r"refuses the key or what it asks for \(HTTP 403\); check LANG\w+_KEY"),
        (302, r"answers as its API never does \(HTTP 302\); check the address in LANG"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_no_record_can_survive_stops_everything(recorder, obs, to, status, said, method):
    recorder.fail(method, "scores|feedback", status, {"message": f"no {KEYS[to][-1]}"}, times=9, location="http://127.0.0.1:9/")
    with pytest.raises(SourceError, match=said) as caught:
        send(obs, to, scores=labels(1, 0))
    assert len(recorder.requests) == (1 if method == "GET" else 3 if to == "langsmith" else 2)
    assert not any(key in str(caught.value) for key in KEYS[to])
    assert caught.value.exit_code == 3


def test_a_web_page_in_place_of_the_api_is_said(recorder, obs, to):
    recorder.fail("GET", ".", 200, b"<html>log in</html>", **{"content-type": "text/html"})
    with pytest.raises(SourceError, match=r"answers as its API never does.*; check the address in LANG"):
        send(obs, to, scores=labels(1))


def test_an_answer_of_another_shape_is_said(recorder, obs, to):
    recorder.fail("GET", "annotation-queues", 200, {"rows": 1})
    with pytest.raises(
        SourceError, match="answers what this langfuse package cannot read" if to == "langfuse" else "as its API never does"
    ):
        send(obs, to, queue=("queue 1", TRACES[:1]))


def test_an_api_that_is_not_there_is_said(recorder, obs, to):
    recorder.fail("GET", "scores|feedback", 404, {"message": "not found"})
    with pytest.raises(
        SourceError, match=r"has no such API \(HTTP 404: not found\); " + ("it needs" if to == "langfuse" else "check")
    ):
        send(obs, to, scores=labels(1))


def test_a_dataset_that_may_not_be_made_is_said(recorder, obs, to):
    recorder.fail("POST", "datasets$", 400, {"message": "name is taken by a folder"})
    with pytest.raises(SourceError, match=r"makes no dataset 'gold': HTTP 400: name is taken by a folder; choose another name"):
        send(obs, to, dataset=("gold", GOLD))


def test_an_unknown_queue_is_said_with_those_there_are(recorder, obs, to):
    with pytest.raises(
        SourceError, match=r"annotation queue 'no such' is not there; there are: queue 1, queue 2, queue 3; make it"
    ):
        send(obs, to, queue=("no such", TRACES[:1]))
    recorder.queues[1]["name"] = "queue 1"
    with pytest.raises(SourceError, match=r"annotation queue 'queue 1' is the name of 2; give the id of one: "):
        send(obs, to, queue=("queue 1", TRACES[:1]))
    assert recorder.entries == []


def test_a_server_out_of_reach_is_said_with_the_variable(to, obs, monkeypatch):
    for name, value in RECORDERS[to]().env("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        SourceError, match=r"at http://127.0.0.1:9 cannot be reached \(ConnectError\); check the address in LANG\w+"
    ) as caught:
        send(obs, to, scores=labels(1))
    assert not any(key in str(caught.value) for key in KEYS[to])


def test_too_many_requests_are_waited_for_as_long_as_asked(recorder, obs, to, monkeypatch):
    slept = []
    monkeypatch.setattr(pushing.time, "sleep", slept.append)
    recorder.fail("POST", "scores|feedback", 429, {"message": "slow down"}, **{"retry-after": "7"})
    recorder.fail("POST", "annotation-queues", 429, {"message": "slow down"}, **{"retry-after": "3600"})
    assert words(send(obs, to, scores=labels(1), queue=("queue 1", TRACES[:1]))) == ["went", "went"]
    assert slept == [7.0, pushing.LONGEST_WAIT]


def test_what_stops_halfway_says_how_far_it_came_and_going_on_is_running_it_again(recorder, obs, to):
    send(obs, to, scores=labels(1))
    recorder.fail("POST", "dataset-items|examples", 503, {"message": "down"}, times=4)
    with pytest.raises(
        SourceError, match=r"does not get to it \(HTTP 503\).*; 2 of 4 were dealt with before, run the same again"
    ):
        send(obs, to, scores=labels(1, 0), dataset=("gold", GOLD))
    assert words(send(obs, to, scores=labels(1, 0), dataset=("gold", GOLD))) == ["stood", "stood", "went", "went"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({}, r"push: nothing to send; give scores, dataset or queue"),
        ({"to": "phoenix", "scores": labels(1)}, r"to='phoenix' is not known; choose one of: langfuse, langsmith"),
        ({"scores": pd.DataFrame({"trace_id": ["t"], "value": [1]})}, r"scores: there is no column name among: trace_id, value; rename one"),
        ({"scores": labels(1).drop(columns="trace_id")}, r"scores: there is no column trace_id or session_id among: name"),
        ({"dataset": ("gold", pd.DataFrame({"question": ["q"]}))}, r"dataset: there is no column input among: question; rename one"),
        ({"dataset": GOLD}, r"dataset='.*is not understood; give a pair of a name and a table with a column input"),
        ({"dataset": (" ", GOLD)}, r"dataset=.*is not understood"),
        ({"queue": ("queue 1", "t1")}, r"queue: 't1' is no list of trace ids; give \(queue, \[id, id\]\)"),
        ({"queue": ("queue 1", ["t1", None])}, r"queue: '' is no trace id; give them as texts, without missing ones"),
        ({"scores": 7}, r"scores is no table"),
    ],
)  # fmt: skip
def test_wrong_use_is_told_in_one_line(what, said):
    with pytest.raises(UsageError, match=said) as caught:
        push(None, **{"to": "langfuse"} | what)
    assert "\n" not in str(caught.value)


def test_an_unknown_word_of_the_answer_is_told(obs, to):
    with pytest.raises(UsageError, match="word='sent' is not known; choose one of: failed, would, left, stood, went"):
        push(obs, to=to, scores=labels(1)).of("sent")


# Hostile text, shapes of tables, the answer


def test_text_of_a_trace_goes_as_data_and_never_reaches_a_terminal_raw(recorder, obs, to):
    evil = "\x1b]8;;http://evil\x07hi\x1b]8;;\x07 {{7*7}} ../../x?y#z ‮ sk-live-abcdefgh12345678"
    table = pd.DataFrame({"input": [evil], "expected": [evil]})
    pushed = send(obs, to, scores=labels(1, comment=evil, name=evil, rater_id=evil), dataset=(evil, table))
    assert words(pushed) == ["went", "went"]
    assert [r.body["name"] for r in recorder.asked("POST", "datasets$")] == [evil]
    (item,) = items_of(recorder)
    assert (item["input"] if to == "langfuse" else item["inputs"]["input"]) == evil
    assert evil in (next(iter(recorder.scores))[1] if to == "langfuse" else recorder.feedback[0]["key"])
    for shown in (pushed.text(), repr(pushed)):
        assert not any(c in shown for c in "\x1b\x07‮")
        assert "abcdefgh12345678" not in shown


def test_arrow_tables_and_uuids_are_taken_as_well(recorder, obs, to):
    table = pa.Table.from_pandas(labels(1, 0)).append_column("note", pa.array([1, 2]))
    pushed = send(obs, to, scores=table, queue=("queue 1", [uuid.UUID(TRACES[0]), TRACES[0]]))
    assert words(pushed) == ["went", "went", "went"]


def test_empty_tables_send_nothing_and_make_nothing(recorder, obs, to):
    pushed = send(obs, to, scores=labels(1).head(0), dataset=("gold", GOLD.head(0)), queue=("queue 1", []))
    assert pushed.lines == ()
    assert recorder.requests == []
    assert "there is nothing to send" in repr(pushed)


def test_a_long_answer_is_cut_with_a_count_and_failures_come_first(obs, to):
    table = pd.concat([labels(1, name=f"n{n}") for n in range(60)] + [labels(None)])
    lines = push(obs, to=to, scores=table).text(limit=5).splitlines()
    assert lines[1].startswith("  failed label helpful")
    assert lines[-2:] == ["  … and 56 more", "to send it: --push, or dry_run=False in Python"]
    assert len(lines) == 8


def test_progress_counts(recorder, obs, to):
    said = []
    send(obs, to, scores=labels(1, 0), progress=said.append)
    assert said == [f"{VENDORS[to]}: 1 of 2", f"{VENDORS[to]}: 2 of 2"]


# Credentials


def resolve(to, env):
    return {"langfuse": langfuse, "langsmith": langsmith}[to].resolve(env)


FULL = {
    "langfuse": {"LANGFUSE_PUBLIC_KEY": "pk-1", "LANGFUSE_SECRET_KEY": "sk-1"},
    "langsmith": {"LANGSMITH_API_KEY": "key-1"},
}


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "https://cloud.langfuse.com"),
        ({"LANGFUSE_HOST": "https://old.example"}, "https://old.example"),
        ({"LANGFUSE_HOST": "https://old.example", "LANGFUSE_BASE_URL": "https://new.example"}, "https://new.example"),
        ({"LANGFUSE_HOST": "https://old.example", "LANGFUSE_BASE_URL": " '' "}, "https://old.example"),
        ({"LANGFUSE_BASE_URL": ' "https://us.example/api/public/" '}, "https://us.example"),
        ({"LANGFUSE_BASE_URL": "http://localhost:3000/langfuse/"}, "http://localhost:3000/langfuse"),
    ],
)
def test_langfuse_is_where_its_sdk_would_look(env, url):
    assert resolve("langfuse", FULL["langfuse"] | env) == langfuse.Credentials(url, "pk-1", "sk-1")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("https://api.smith.langchain.com", "key-1", None)),
        ({"LANGCHAIN_API_KEY": "key-2"}, ("https://api.smith.langchain.com", "key-1", None)),
        ({"LANGSMITH_API_KEY": " ", "LANGCHAIN_API_KEY": "'key-2'"}, ("https://api.smith.langchain.com", "key-2", None)),
        ({"LANGCHAIN_ENDPOINT": "https://b.example", "LANGSMITH_ENDPOINT": "https://a.example/api/v1/"}, ("https://a.example", "key-1", None)),
        ({"LANGCHAIN_BASE_URL": "https://c.example", "LANGCHAIN_ENDPOINT": "https://b.example/api"}, ("https://b.example", "key-1", None)),
        ({"LANGCHAIN_BASE_URL": "https://c.example"}, ("https://c.example", "key-1", None)),
        ({"LANGSMITH_TENANT_ID": PROJECT}, ("https://api.smith.langchain.com", "key-1", PROJECT)),
        ({"LANGSMITH_TENANT_ID": "no", "LANGSMITH_WORKSPACE_ID": PROJECT}, ("https://api.smith.langchain.com", "key-1", PROJECT)),
        ({"LANGSMITH_RUNS_ENDPOINTS": '[{"api_url": "https://d.example", "api_key": "k"}]'}, ("https://api.smith.langchain.com", "key-1", None)),
    ],
)  # fmt: skip
def test_langsmith_is_where_its_sdk_would_look(env, expected):
    assert resolve("langsmith", FULL["langsmith"] | env) == langsmith.Credentials(*expected)


def test_the_names_and_defaults_are_those_that_the_sdks_themselves_use(monkeypatch):
    from langfuse._client import environment_variables as theirs
    from langsmith import Client

    assert (*langfuse.PUBLIC_KEY, *langfuse.SECRET_KEY) == (theirs.LANGFUSE_PUBLIC_KEY, theirs.LANGFUSE_SECRET_KEY)
    assert (theirs.LANGFUSE_BASE_URL, theirs.LANGFUSE_HOST) == langfuse.ADDRESS
    for names, read in (
        (langsmith.API_KEY, "api_key"),
        (langsmith.ADDRESS[:2], "api_url"),
        (langsmith.WORKSPACE[:2], "_workspace_id"),
    ):
        with monkeypatch.context() as patch:
            for name in reversed(names):
                patch.setenv(name, f"http://127.0.0.1/{name}")
                client = Client(**{"api_key": "k"} if read != "api_key" else {}, auto_batch_tracing=False, info={})
                assert getattr(client, read) == f"http://127.0.0.1/{name}"
                client.session.close()


@pytest.mark.parametrize("missing", ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGSMITH_API_KEY"])
def test_a_key_that_is_not_set_is_named_with_the_cure(missing):
    vendor = "langfuse" if "FUSE" in missing else "langsmith"
    env = {k: v for k, v in FULL[vendor].items() if k != missing}
    with pytest.raises(UsageError, match=rf"{missing}.* is not set; copy .*{missing}") as caught:
        resolve(vendor, env)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("to", ["langfuse", "langsmith"])
def test_a_push_without_a_key_says_so_before_anything_is_sent(to, stores):
    with pytest.raises(UsageError, match=r"LANG\w+_KEY.* is not set"):
        send(stores[to], to, scores=labels(1))


@pytest.mark.parametrize("url", ["cloud.example", "ftp://a.example", "https://", "https://u:p@a.example", "https://a.example?x=1", "https://a b.example", "https://a.example:0", "https://[a", "https://a.example:http", "lsv2_pt_secret"])  # fmt: skip
def test_an_address_that_is_none_is_told_without_showing_it(to, url):
    name = {"langfuse": "LANGFUSE_HOST", "langsmith": "LANGSMITH_ENDPOINT"}[to]
    with pytest.raises(UsageError, match=rf"{name} is not the address of a server; give it like https://") as caught:
        resolve(to, FULL[to] | {name: url})
    assert url not in str(caught.value).replace("https://cloud", "").replace("https://api", "")


@pytest.mark.parametrize("key", ["hunter2\nx-evil: 1", "hunter2 hunter2", "hunter2é", "hunter2\x00"])
def test_a_key_that_no_header_can_carry_is_told_without_showing_it(to, key):
    name = {"langfuse": "LANGFUSE_SECRET_KEY", "langsmith": "LANGSMITH_API_KEY"}[to]
    with pytest.raises(UsageError, match=rf"{name} holds a character that no key has; copy") as caught:
        resolve(to, FULL[to] | {name: key})
    assert "hunter2" not in str(caught.value)


def test_swapped_keys_and_a_workspace_that_is_none_are_told():
    with pytest.raises(UsageError, match="LANGFUSE_PUBLIC_KEY holds the secret key and LANGFUSE_SECRET_KEY the public one; swap"):
        resolve("langfuse", {"LANGFUSE_PUBLIC_KEY": "sk-lf-hunter2", "LANGFUSE_SECRET_KEY": "pk-lf-1"})
    with pytest.raises(UsageError, match="LANGSMITH_WORKSPACE_ID is not the id of a workspace; copy it from") as caught:
        resolve("langsmith", FULL["langsmith"] | {"LANGSMITH_WORKSPACE_ID": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_no_key_is_in_a_repr_a_text_a_log_or_a_pickle(to):
    told = resolve(to, FULL[to] | RECORDERS[to]().env("https://a.example"))
    record = logging.getLogger("x").makeRecord("x", logging.INFO, "f", 1, "with %s and %r", (told, told), None)
    shown = [repr(told), str(told), f"{told}", record.getMessage(), repr(SocketHandler("127.0.0.1", 9).makePickle(record))]
    assert not [s for s in shown for key in KEYS[to] if key in s]
    assert all("https://a.example" in s for s in shown)
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        pickle.dump(told, io.BytesIO())


def test_no_key_is_in_any_log_of_a_push_that_fails_in_every_way(recorder, obs, to, caplog):
    caplog.set_level(logging.DEBUG)
    recorder.cut("POST", "scores|feedback")
    recorder.fail("POST", "annotation-queues", 400, {"message": KEYS[to][-1]})
    pushed = send(obs, to, scores=pd.concat([labels(1), labels(1, name="refused")]), queue=("queue 1", TRACES[:1]))
    recorder.fail("GET", ".", 401, {"message": KEYS[to][-1]})
    with pytest.raises(SourceError):
        send(obs, to, scores=labels(1))
    sent = caplog.text.replace(f'"message": "{KEYS[to][-1]}"', "")
    assert not [key for key in KEYS[to] if key in sent or key in repr(pushed) + pushed.text()]


def test_a_redirect_carries_no_key_elsewhere(recorder, obs, to):
    elsewhere = RECORDERS[to]()
    with serving(elsewhere) as url:
        recorder.fail("GET", ".", 307, None, location=f"{url}/")
        with pytest.raises(SourceError, match="HTTP 307"):
            send(obs, to, scores=labels(1))
    assert elsewhere.requests == []
