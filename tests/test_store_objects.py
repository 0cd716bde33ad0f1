"""A store in an object store, against an S3 server on this machine: the same answers as in a folder, and clear errors."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
import storekit
from storekit import langfuse_score, load, observation, put, score, span, write_lines

from llmobs_nb import observations
from llmobs_nb.cli import main
from llmobs_nb.errors import LockedError, StoreError, UsageError
from llmobs_nb.schema import TABLES
from llmobs_nb.store import lock
from llmobs_nb.store.delta import Change, CommitFailedError
from llmobs_nb.store.place import Bucket, Folder, place_of
from llmobs_nb.store.store import Store

pytest.importorskip("moto.server", reason="these tests need moto: pip install 'moto[s3,server]'")
boto3 = pytest.importorskip("boto3", reason="these tests need moto: pip install 'moto[s3,server]'")

SECRET = "wJalr-a-very-secret-key"
LATER = {"updatedAt": "2026-01-05T11:00:00Z"}


SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def endpoint():
    """A server in a process of its own: some calls of deltalake hold Python's lock while they wait for an answer."""
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], **quiet) as server:
        yield server.stdout.readline().strip()
        server.stdin.close()
        server.wait(20)


@pytest.fixture
def s3(endpoint, monkeypatch, tmp_path):
    """A client, and an environment as users set it; no file of theirs is read."""
    told = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST"}
    told |= {
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": str(tmp_path / "no"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no"),
    }
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    yield client
    for name in keys(client):
        client.delete_object(Bucket="bucket", Key=name)
    client.delete_bucket(Bucket="bucket")
    client.close()


@pytest.fixture
def url(s3) -> str:
    return "s3://bucket/team/llm"


def keys(s3) -> list[str]:
    return [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bucket") for o in page.get("Contents", [])]


def holding(s3, marker: str, folder) -> list[str]:
    """The objects that hold a text, in their bytes or in any value of a Parquet file."""
    for number, name in enumerate(keys(s3)):
        (folder / f"{number}{os.path.splitext(name)[1]}").write_bytes(s3.get_object(Bucket="bucket", Key=name)["Body"].read())
    return storekit.holding(str(folder), marker)


def answers(store, sql: str) -> list[tuple]:
    return [tuple(r.values()) for r in observations.open_store(store, threads=1).query(sql).to_pylist()]


@pytest.fixture
def export(tmp_path) -> str:
    found = [observation("a"), observation("b", traceId="t2", startTime="2026-01-06T10:00:00Z"), langfuse_score("s")]
    return write_lines(tmp_path / "export.jsonl", found)


def test_an_ingest_answers_as_one_into_a_folder(url, export, root):
    load(url, export)
    load(root, export)
    for sql in (
        "SELECT span_id, trace_id, day::VARCHAR, tokens_in, cost_usd FROM spans ORDER BY 1",
        "SELECT span_id, input, output FROM payloads ORDER BY 1",
        "SELECT score_id, value FROM scores",
    ):
        assert answers(url, sql) == answers(root, sql) != []
    assert answers(url, "SELECT span_id, day::VARCHAR FROM spans ORDER BY 1") == [("a", "2026-01-05"), ("b", "2026-01-06")]


def test_nothing_but_the_prefix_is_written_and_nothing_here(url, s3, export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    load(url, export)
    assert all(k.startswith("team/llm/") for k in keys(s3))
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_the_same_export_twice_changes_nothing(url, export):
    load(url, export)
    first = Store(url).snapshot().files
    again = load(url, export)
    assert again.commit.duplicates["spans"] == 2
    assert Store(url).snapshot().files == first


def test_a_newer_version_replaces_the_stored_row(url, tmp_path):
    load(url, write_lines(tmp_path / "a.jsonl", [observation("a", name="old"), observation("b")]))
    load(url, write_lines(tmp_path / "b.jsonl", [observation("a", name="new", **LATER)]))
    assert answers(url, "SELECT span_id, name FROM spans ORDER BY 1") == [("a", "new"), ("b", "answer")]


def test_spans_status_and_filters_read_the_store(url, export):
    load(url, export)
    obs = observations.open_store(url)
    assert list(obs.spans()["span_id"]) == ["a", "b"]
    assert list(obs.spans(texts=True)["input"]) == ["hi", "hi"]
    assert list(obs.between("2026-01-06").spans()["span_id"]) == ["b"]
    status = obs.status()
    assert (status["spans"], status["traces"], status["scores"]) == (2, 2, 1)
    assert repr(obs).startswith("<Observations s3://bucket/team/llm: 2 spans, 1 scores")


def test_the_command_line_takes_the_url(url, export, capsys):
    assert main(["ingest", export, "--store", url, "--quiet"]) == 0
    told = capsys.readouterr()
    assert (told.out.splitlines()[0], told.err) == ("kept 3 of 3 records", "")
    assert main(["status", "--store", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spans"] == 2
    assert main(["weekly", "--store", url, "--json"]) == 0
    assert "kpis" in json.loads(capsys.readouterr().out)


def test_a_process_of_its_own_ends_without_a_word_on_stderr(url, export):
    load(url, export)
    done = subprocess.run([sys.executable, "-m", "llmobs_nb", "status", "--store", url, "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["spans"] == 2


def test_erasure_leaves_no_object_that_holds_the_data(url, s3, tmp_path):
    mine = observation("a", userId="user-alpha", input="marker-one", metadata={"k": "marker-two"})
    load(url, write_lines(tmp_path / "a.jsonl", [mine, observation("b", traceId="t2", userId="user-beta", input="stays")]))
    load(url, write_lines(tmp_path / "b.jsonl", [mine | {"output": "marker-three"} | LATER]))
    for number, marker in enumerate(("marker-one", "marker-two", "marker-three", "stays")):
        (tmp_path / f"before{number}").mkdir()
        assert holding(s3, marker, tmp_path / f"before{number}"), marker
    removed = observations.open_store(url).erase(trace_id="t1")
    assert (removed["spans"], removed["payloads"]) == (1, 1)
    (tmp_path / "after").mkdir()
    for marker in ("marker-one", "marker-two", "marker-three", "user-alpha"):
        assert holding(s3, marker, tmp_path / "after") == []
    assert holding(s3, "stays", tmp_path / "after")
    assert answers(url, "SELECT span_id FROM spans") == [("b",)]


def test_a_reader_keeps_its_version_during_a_write(url):
    put(url, spans=[span("a", name="old")])
    obs = observations.open_store(url)
    put(url, spans=[span("a", name="new", updated_at=span("a")["start_time"].replace(hour=12)), span("b")])
    assert list(obs.spans()["name"]) == ["old"]
    assert list(observations.open_store(url).spans()["span_id"]) == ["a", "b"]


def test_a_reader_whose_files_were_erased_is_told_to_open_again(url):
    put(url, spans=[span("a")])
    obs = observations.open_store(url)
    observations.open_store(url).erase(trace_id="t1")
    with pytest.raises(StoreError, match=r"an object of it is gone, as after an erasure; open the store again$"):
        obs.spans()


def test_the_head_is_whole_whenever_it_is_read(url):
    """A reader meanwhile sees one of the heads written, never a part."""
    store, seen, ended = Store(url), [], threading.Event()
    store.write_head({"versions": {"spans": 0}, "commits": 0, "log": []})

    def watch():
        mine = Store(url)
        while not ended.is_set():
            head = mine.head()
            seen.append((head["versions"]["spans"], head["commits"]))

    reader = threading.Thread(target=watch)
    reader.start()
    for n in range(1, 30):
        store.write_head({"versions": {"spans": n}, "commits": n, "log": ["x" * (n * 7919 % 50_000)]})
    ended.set()
    reader.join()
    assert len(seen) > 1
    assert all(version == commits for version, commits in seen)
    assert seen == sorted(seen)


def test_an_unfinished_commit_is_taken_back(url):
    put(url, spans=[span("a")], scores=[score("s")])
    store = Store(url)
    stager = store.stager()
    stager.write("scores", pa.Table.from_pylist([score("half")], TABLES["scores"].arrow()))
    store.tables["scores"].commit(Change(add=stager.close()["scores"]), {})
    assert answers(url, "SELECT score_id FROM scores") == [("s",)]
    put(url, spans=[span("b")])
    assert answers(url, "SELECT score_id FROM scores") == [("s",)]


def test_a_refused_ingest_leaves_no_object_behind(url, s3, export, monkeypatch):
    load(url, export)
    before = [k for k in keys(s3) if k.endswith(".parquet")]

    def stop(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(url, export, progress=stop)
    assert [k for k in keys(s3) if k.endswith(".parquet")] == before
    assert not tickets(s3)


def test_of_two_commits_on_one_version_the_second_is_refused(url):
    """What still protects a store whose lock fails: the log itself is written only where nothing stands."""
    put(url, spans=[span("a")])
    first, second = (Store(url).tables["spans"].at() for _ in range(2))
    first.delete()
    with pytest.raises(CommitFailedError):
        second.delete()


# One writer


def tickets(s3) -> list[str]:
    return [k for k in keys(s3) if "/_llmobs/lock/" in k and not k.endswith("/")]


def test_a_second_writer_is_told_who_writes(url, s3):
    with (
        Store(url).writing(),
        pytest.raises(LockedError, match=rf"store 's3://bucket/team/llm' is being written by process {os.getpid()} on "),
    ):
        put_at_once(url)
    assert not tickets(s3)
    put(url, spans=[span("a")])


def put_at_once(url):
    with Store(url).writing(wait_seconds=0):
        raise AssertionError("two writers")


def test_writers_at_once_never_overlap(url):
    inside, most, done = [], [], []

    def write():
        with place_of(url).lock(wait_seconds=60):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
            done.append(1)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (len(done), max(most)) == (4, 1)


def test_the_ticket_of_a_dead_writer_is_stale_after_a_while(url, s3, monkeypatch):
    s3.put_object(Bucket="bucket", Key="team/llm/_llmobs/lock/dead", Body=b"{}")
    with pytest.raises(LockedError, match="is being written by another process"):
        put_at_once(url)
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.5)
    time.sleep(2.1)
    put(url, spans=[span("a")])
    assert not tickets(s3)


def test_a_long_writer_renews_its_ticket(url, monkeypatch):
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.05)
    place = place_of(url)
    with place.lock(wait_seconds=0):
        began = place.renewed
        deadline = time.monotonic() + 10
        while place.renewed == began and time.monotonic() < deadline:
            time.sleep(0.02)
        assert place.renewed > began


def test_a_writer_that_slept_too_long_commits_nothing(url):
    put(url, spans=[span("a")])
    store = Store(url)
    with (
        pytest.raises(StoreError, match=r"may have another writer by now: the lock was not renewed in time; run the same again"),
        store.writing(),
    ):
        store.place.renewed -= lock.LOST_SECONDS + 1
        store.note({})
    assert Store(url).head()["log"] == []


# What goes wrong is said in one line, without a secret


def told(run) -> str:
    with pytest.raises(StoreError) as caught:
        run()
    text = str(caught.value)
    assert "\n" not in text and SECRET not in text and "AKIATEST" not in text and "Traceback" not in text
    assert caught.value.exit_code == 3
    return text


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_bucket_that_is_not_there_is_named(s3, how, export):
    run = {"read": lambda: observations.open_store("s3://nobucket/x"), "write": lambda: load("s3://nobucket/x", export)}[how]
    assert told(run) == "store 's3://nobucket/x': there is no bucket 'nobucket'; make it, or correct --store"


def test_no_store_under_the_prefix_is_named_with_the_cure(url):
    assert told(lambda: observations.open_store(url)) == (
        "store 's3://bucket/team/llm' does not exist; make one with: llmobs ingest PATH --store s3://bucket/team/llm"
    )


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_store_that_cannot_be_reached_is_named(url, how, export, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    run = {"read": lambda: observations.open_store(url), "write": lambda: load(url, export)}[how]
    assert "it cannot be reached; check the network, and AWS_ENDPOINT_URL" in told(run)


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        (
            "When getting information for key 'x': AWS Error ACCESS_DENIED during HeadObject operation: No response body.",
            "access is refused",
        ),
        (
            "AWS Error UNKNOWN (HTTP status 400) during GetObject operation: ExpiredToken",
            "access is refused; check AWS_ACCESS_KEY_ID",
        ),
        (
            "Kernel error -> Generic S3 error\n PUT http://169.254.169.254/latest/api/token\n 403 Forbidden",
            "there are no credentials; set AWS_",
        ),
        ("Generic S3 error: Received redirect without LOCATION: 301", "in another region; set AWS_REGION"),
        ("Generic S3 error: error performing PUT: 503 Slow Down", "a request to it failed; run the same again"),
    ],
)
def test_complaints_of_the_libraries_are_told_in_our_words(complaint, words):
    assert words in told(lambda: raise_told(OSError(f"{complaint} {SECRET}")))


def raise_told(error):
    with Bucket("s3://bucket/x").telling():
        raise error


def test_other_errors_are_left_as_they_are():
    with pytest.raises(OSError, match="disk full"):
        raise_told(OSError("disk full"))


def test_a_server_that_goes_away_while_reading_is_told(url, s3, endpoint, monkeypatch):
    put(url, spans=[span("a")])
    obs = observations.open_store(url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "it cannot be reached" in told(obs.spans)


def test_a_failed_query_is_still_a_wrong_query(url):
    put(url, spans=[span("a")])
    with pytest.raises(UsageError, match=r"query failed: .*nix"):
        observations.open_store(url).query("SELECT nix FROM spans")


@pytest.mark.parametrize(
    "bad",
    [
        f"s3://AKIA:{SECRET}@bucket/x",
        f"s3://bucket/x?sig={SECRET}",
        "s3://",
        "s3:///x",
        "ftp://host/x",
        "s3://b/../x",
        "s3://b//x",
        "s3://b/a=b",
    ],
)
def test_a_url_that_cannot_be_a_store_is_refused_without_repeating_it(bad):
    assert "cannot be one; give s3://, gs:// or az:// with a bucket and plain names after it" in told(lambda: Store(bad))


def test_places_by_their_names(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert {place_of(u).root for u in ("s3://b/x/", "s3://b/x", str(Path("s3://b/x")))} == {"s3://b/x"}
    assert [type(place_of(u)) for u in ("gs://b", "az://b/x", "folder", "./s3:/b")] == [Bucket, Bucket, Folder, Folder]
    assert place_of("gs://b").join("spans", "f") == "gs://b/spans/f"
    assert place_of("gs://b").key("gs://b/spans/f") == "b/spans/f"


def test_no_place_shows_a_secret(url):
    place = place_of(url)
    place.exists(place.join("x"))
    assert SECRET not in repr(vars(place)) + repr(place.arrow)
