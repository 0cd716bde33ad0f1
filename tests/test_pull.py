"""llmobs pull, end to end: everything once, only what is new, late and edited rows found, nothing lost by a stop, and proved."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from doubles.faults import Faults
from doubles.http import Wire, serving
from doubles.langfuse import LangfuseDouble
from doubles.traffic import traffic
from pullkit import NOW, SERVERS, SINCE, UNTIL, Bench, double_of, env_of

from llmobs_nb import cli
from llmobs_nb.errors import SourceError, UsageError
from llmobs_nb.pulling.folder import alone, folder_of
from llmobs_nb.pulling.marks import Mark
from llmobs_nb.sources.clients import client_of

ROOT = Path(__file__).parents[1]
NEW = ("langfuse v4", "langsmith v2")
# What only one vendor has, or says in its own words.
OWN = {
    "source", "project", "source_url", "updated_at", "trace_name", "own", "metadata", "price_version", "day", "tags", "model_params",
    "model_requested", "provider", "kind", "name", "feature",
}  # fmt: skip


@pytest.fixture(params=NEW)
def bench(request, root) -> Bench:
    return Bench(request.param, root, traffic(7, traces=40, days=4, text_chars=80))


def spans_of(bench: Bench) -> list[str]:
    return sorted(s.id for s in bench.data.spans)


def scores_of(bench: Bench) -> list[str]:
    return sorted(s.id for s in bench.data.scores)


# All of it


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("io", ["none", "all"])
def test_everything_is_there_once_and_proved(server, io, root):
    bench = Bench(server, root, traffic(8, traces=40, days=4, text_chars=80))
    done = bench.pull(io=io)
    assert bench.ids() == spans_of(bench)
    assert bench.ids("scores", "score_id") == scores_of(bench)
    assert done.complete
    assert {row["entity"] for row in done.checked} >= {"spans"}
    with_texts = bench.obs().query("SELECT count(*) AS n FROM payloads WHERE output IS NOT NULL")["n"][0].as_py()
    assert with_texts == (sum(s.output is not None for s in bench.data.spans) if io == "all" else 0)


def test_both_vendors_give_the_same_tables(tmp_path):
    """The same traffic through both doubles, but for ids and what only one vendor has."""
    data = traffic(9, traces=40, days=3, text_chars=80)
    told = {}
    for server in NEW:
        bench = Bench(server, str(tmp_path / server.split()[0]), data)
        bench.pull(io="all")
        spans = bench.obs().spans(texts=True)
        told[server] = spans[[c for c in spans.columns if c not in OWN]].sort_values("span_id", ignore_index=True)
    one, other = told.values()
    differing = {c: (one[c][d].iloc[0], other[c][d].iloc[0]) for c in one if (d := _differs(one[c], other[c])).any()}
    # LangSmith's model calls are sent messages and tell why they ended, its errors come with a traceback, and a failed call has
    # no answered model; Langfuse has no bucket for what was not cached.
    assert differing.keys() <= {
        "input",
        "input_chars",
        "input_hash",
        "tokens_cache_read",
        "error_message",
        "model",
        "finish_reason",
    }
    calls = one["model"].notna()
    assert one["model"][one["status"] == "ok"].equals(other["model"][one["status"] == "ok"])
    assert all(b.startswith(a) for a, b in zip(one["error_message"].dropna(), other["error_message"].dropna(), strict=True))
    assert all(a in b for a, b in zip(one["input"][calls], other["input"][calls], strict=True))
    assert one["input"][~calls].equals(other["input"][~calls])
    assert one["tokens_cache_read"].fillna(0).equals(other["tokens_cache_read"].fillna(0))
    assert len(one) == len(data.spans)


def _differs(a, b):
    if a.dtype.kind == "f":
        return ~((a - b).abs().le(1e-9 + 1e-9 * a.abs()) | (a.isna() & b.isna()))
    return a.astype(object).where(a.notna(), "missing").astype(str) != b.astype(object).where(b.notna(), "missing").astype(str)


def test_the_scores_of_both_vendors_agree(tmp_path):
    data = traffic(10, traces=40, days=3)
    told = []
    for server in NEW:
        bench = Bench(server, str(tmp_path / server.split()[0]), data)
        bench.pull()
        told.append(
            bench.obs()
            .query("SELECT score_id, trace_id, span_id, name, value, rater, created_at FROM scores ORDER BY 1")
            .to_pylist()
        )
    assert told[0] == told[1]
    assert {r["rater"] for r in told[0]} == {"judge", "human", "unknown"}


@pytest.mark.parametrize("io", ["errors", "sampled"])
def test_texts_come_for_the_traces_that_were_asked(bench, io):
    bench.pull(io=io)
    failed = {s.trace_id for s in bench.data.spans if s.error}
    have = set(bench.obs().query("SELECT DISTINCT trace_id FROM payloads").column(0).to_pylist())
    assert bench.ids() == spans_of(bench)
    assert have == failed if io == "errors" else have >= failed | {s.trace_id for s in bench.data.scores}


# Only what is new


def test_a_second_pull_begins_at_the_watermark(bench):
    bench.pull(until=None)
    more = traffic(11, traces=6, days=1, start=NOW - timedelta(hours=24))
    for trace in more.traces:
        bench.double.add(trace)
    asked = _calls(bench)
    bench.later(days=1)
    done = bench.goes_on()
    assert done.since == NOW - timedelta(minutes=15) - bench_overlap(bench)
    assert bench.ids() == sorted([*spans_of(bench), *(s.id for s in more.spans)])
    assert _calls(bench) - asked < asked


def bench_overlap(bench: Bench) -> timedelta:
    return timedelta(hours=24 if bench.vendor == "langfuse" else 48)


def _calls(bench: Bench) -> int:
    return sum((bench.double.calls if bench.vendor == "langfuse" else bench.double.asked).values())


def test_the_same_pull_twice_changes_nothing(bench):
    bench.pull()
    before = bench.obs().spans()
    done = bench.pull()
    assert bench.obs().spans().equals(before)
    assert done.ingested.repeated()["spans"] == len(spans_of(bench))


def test_an_open_span_is_pulled_again_until_it_has_ended(root, tmp_path):
    for server in NEW:
        data = traffic(12, traces=12, days=2)
        trace = data.traces[0]
        data.traces[0] = replace(trace, spans=(replace(trace.spans[0], end=None), *trace.spans[1:]))
        bench = Bench(server, str(tmp_path / server.split()[0]), data)
        bench.pull(until=None)
        assert _end_of(bench, trace.spans[0].id) is None
        bench.later(days=5)
        bench.double.end_span(trace.id, trace.spans[0].end) if "fuse" in server else bench.double.end_run(
            trace.id, trace.spans[0].end
        )
        bench.goes_on()
        assert _end_of(bench, trace.spans[0].id) == trace.spans[0].end


def _end_of(bench: Bench, span_id: str):
    return bench.obs().query("SELECT end_time FROM spans WHERE span_id = ?", [span_id])["end_time"][0].as_py()


def test_a_late_score_for_an_old_trace_is_found(bench):
    bench.pull(until=None)
    bench.later(days=3)
    trace = bench.data.traces[0]
    if bench.vendor == "langfuse":
        given = replace(bench.data.scores[0], id="late-score", trace_id=trace.id, created=bench.now - timedelta(hours=5))
        bench.double.late(replace(trace, scores=(given,)))
    else:
        bench.double.add_feedback(trace.id, "late", score=1.0, created=bench.now - timedelta(hours=5))
    bench.goes_on()
    assert len(bench.ids("scores", "score_id")) == len(scores_of(bench)) + 1


def test_an_edited_human_label_is_found_though_its_time_stands_still(bench):
    bench.pull(until=None)
    label = next(s for s in bench.data.scores if s.rater == "human")
    bench.later(days=12)
    if bench.vendor == "langfuse":
        bench.double.edit_score(label.id, 1.0 - label.value, "user-9")
    else:
        bench.double.edit_feedback(label.id, score=1.0 - label.value)
    bench.later(hours=1)
    bench.goes_on()
    found = bench.obs().query("SELECT value FROM scores WHERE score_id = ?", [label.id])["value"].to_pylist()
    assert found == [1.0 - label.value]


def test_a_score_brings_the_trace_it_is_for(bench):
    """A judgement of a trace from before the pull's window; LangSmith gives the judged run and the root of its trace."""
    label = next(s for s in bench.data.scores)
    bench.pull(since=label.created - timedelta(seconds=1))
    whole = {s.id for s in bench.data.spans if s.trace_id == label.trace_id}
    assert set(bench.ids()) >= (whole if bench.vendor == "langfuse" else {label.trace_id})


def test_a_full_pull_marks_what_has_vanished_and_what_came_back(bench):
    bench.pull(until=None)
    gone = bench.data.traces[3]
    bench.double.delete(gone.id)
    done = bench.goes_on(full=True)
    noticed = bench.obs().query("SELECT row_id FROM vanished WHERE gone ORDER BY 1").column(0).to_pylist()
    assert noticed == sorted([*(s.id for s in gone.spans), *(s.id for s in gone.scores)])
    assert done.vanished == len(noticed)
    assert set(bench.ids()) >= {s.id for s in gone.spans}
    bench.double.add(gone)
    bench.later(hours=1)
    assert bench.goes_on(full=True).vanished == 0
    assert bench.obs().query("SELECT count(*) AS n FROM vanished WHERE gone")["n"][0].as_py() == 0


def test_an_end_before_the_watermark_needs_a_beginning(bench):
    bench.pull(until=None)
    with pytest.raises(
        UsageError, match=r"until=2026-11-01 00:00 lies before what a pull goes on from, 2026-11-0.*; give since, too"
    ):
        bench.goes_on(until="2026-11-01")


# Stopped and gone on


def test_a_pull_that_could_not_finish_says_what_is_missing_and_goes_on_from_there(root):
    bench = Bench("langfuse v4", root, traffic(13, traces=40, days=4))
    bench.double.faults = Faults(("503",), rate=1.0, most_in_a_row=10**9)
    real = bench.double._meet
    bench.double._meet = lambda request: real(request) if "2026-11-03" in str(request.query.get("fromStartTime")) else None
    done = bench.pull()
    assert not done.finished
    assert "missing: observations 2026-11-03 to 2026-11-04: HTTP 503, 8 times" in list(done.missing())
    assert list(done.missing())[-1] == "what was fetched is kept; run the same command again to go on from there"
    assert 0 < len(bench.ids()) < len(spans_of(bench))
    calls = bench.double.calls["v2/observations"]
    bench.double.faults.kinds = ()
    done = bench.pull()
    assert done.resumed
    assert done.complete
    assert bench.ids() == spans_of(bench)
    assert bench.double.calls["v2/observations"] - calls <= 3


def test_an_unfinished_pull_does_not_move_the_watermark(root):
    bench = Bench("langfuse v4", root, traffic(13, traces=20, days=2))
    bench.double.faults = Faults(("503",), rate=1.0, most_in_a_row=10**9)
    real = bench.double._meet
    bench.double._meet = lambda request: real(request) if request.path.endswith("v3/scores") else None
    bench.pull(until=None, since=None)
    bench.double.faults.kinds = ()
    bench.later(days=1)
    done = bench.goes_on()
    assert done.resumed
    assert done.since == NOW - timedelta(days=14)
    assert done.until == bench.now
    assert bench.ids("scores", "score_id") == scores_of(bench)


def _serve(tmp_path, server="langfuse v4", **settings):
    data = traffic(14, traces=600, days=6, text_chars=400)
    return data, double_of(server, data, **settings)


@pytest.mark.parametrize("server", NEW)
def test_a_killed_pull_goes_on_and_loses_nothing(server, tmp_path):
    data, double = _serve(tmp_path, server)
    vendor, store = server.split()[0], str(tmp_path / "store")
    slow = double.handle
    double.handle = lambda request: (time.sleep(0.15), slow(request))[1]
    with serving(double) as url:
        for attempt in range(3):
            child = _child(vendor, store, url)
            _wait_for_rows(store, attempt + 1)
            child.send_signal(signal.SIGKILL)
            child.communicate()
        double.handle = slow
        child = _child(vendor, store, url)
        out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "resumed and pulled" in out
    from llmobs_nb.observations import open_store

    ids = open_store(store).query("SELECT span_id FROM spans").column(0).to_pylist()
    assert sorted(ids) == sorted(s.id for s in data.spans)


def _child(vendor: str, store: str, url: str, *more: str) -> subprocess.Popen:
    asked = ["--since", SINCE.isoformat(), "--until", UNTIL.isoformat(), "--io", "all", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "llmobs_nb", "pull", vendor, "--store", store, *asked],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | env_of(vendor, url),
    )  # fmt: skip


def _wait_for_rows(store: str, files: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list(Path(store).glob("_llmobs/pull/*/*/*/*.jsonl"))) > files * 2:
            return
        time.sleep(0.02)


def test_ctrl_c_is_exit_130_and_keeps_what_was_fetched(tmp_path):
    _, double = _serve(tmp_path)
    slow = double.handle
    double.handle = lambda request: (time.sleep(1.5), slow(request))[1]
    store = str(tmp_path / "store")
    with serving(double) as url:
        child = _child("langfuse", store, url)
        _wait_for_rows(store, 1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "llmobs: interrupted; what was fetched is kept, the same command goes on from there" in err
    assert list(Path(store).glob("_llmobs/pull/*/*/plan.json"))


def test_two_pulls_of_one_project_at_once_are_told(bench):
    bench.pull()
    from llmobs_nb.store.store import Store

    project = "project-1" if bench.vendor == "langfuse" else bench.double.project_id
    with (
        alone(folder_of(Store(bench.store).place, f"{bench.vendor} {project}"), "it"),
        pytest.raises(UsageError, match="is being pulled into this store already; wait until that has ended"),
    ):
        bench.pull()


# The proof


def test_rows_that_the_source_drops_are_missed_and_said(root):
    bench = Bench("langfuse v4", root, traffic(15, traces=80, days=3), {"dropped_scores": 0.2})
    done = bench.pull()
    lost = len(scores_of(bench)) - len(bench.ids("scores", "score_id"))
    assert lost > 0
    assert done.finished
    assert not done.complete
    assert sum(row["missing"] for row in done.differing) == lost
    assert any(f"{lost:,} MISSING" in line for line in done.lines())
    findings = [f["text"] for f in bench.obs().status()["findings"]]
    assert any(text.startswith(f"{lost} rows that langfuse counts are not here") for text in findings)


def test_strict_is_exit_1_when_the_source_has_more(tmp_path, capsys, monkeypatch):
    double = LangfuseDouble(traffic(15, traces=80, days=3), dropped_scores=0.2)
    code, out, _ = _cli(monkeypatch, capsys, double, tmp_path, "--strict")
    assert code == 1
    assert "MISSING" in out
    assert _cli(monkeypatch, capsys, double, tmp_path)[0] == 0


def _cli(monkeypatch, capsys, double, tmp_path, *more: str, vendor: str = "langfuse", env=None):
    """The command line against a double without a socket."""
    wire = Wire(double)
    given = env_of(vendor) | (env or {})
    monkeypatch.setattr(
        "llmobs_nb.sources.clients.client_of", lambda v, **told: client_of(v, **told | {"transport": wire, "env": given})
    )
    asked = ["pull", vendor, "--store", str(tmp_path / "store"), "--since", "2026-11-01", "--until", "2026-11-08", *more]
    code = cli.main(asked)
    told = capsys.readouterr()
    return code, told.out, told.err


# Refusals, each in one line


@pytest.mark.parametrize(
    ("vendor", "env", "said"),
    [
        ("langfuse", {"LANGFUSE_SECRET_KEY": "sk-lf-wrong-key"}, "check LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"),
        ("langsmith", {"LANGSMITH_API_KEY": "lsv2_pt_wrong_key"}, "LANGSMITH_API_KEY"),
    ],
)
def test_a_wrong_key_is_exit_3_without_the_key(vendor, env, said, tmp_path, capsys, monkeypatch):
    double = double_of({"langfuse": "langfuse v4", "langsmith": "langsmith v2"}[vendor], traffic(1, traces=4))
    code, out, err = _cli(monkeypatch, capsys, double, tmp_path, vendor=vendor, env=env)
    assert (code, out) == (3, "")
    assert said in err
    assert err.count("\n") == 1
    assert not any(value in err for value in env.values())


@pytest.mark.parametrize("server", NEW)
def test_an_unknown_project_is_exit_3_with_the_choices(server, tmp_path, capsys, monkeypatch):
    vendor = server.split()[0]
    code, _, err = _cli(
        monkeypatch, capsys, double_of(server, traffic(1, traces=4)), tmp_path, "--project", "nosuch", vendor=vendor
    )
    assert code == 3
    assert "project 'nosuch' is not" in err
    assert ("Example project" if vendor == "langfuse" else "prod") in err


@pytest.mark.parametrize("vendor", ["langfuse", "langsmith"])
def test_nobody_at_the_address_is_exit_3(vendor, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "llmobs_nb", "pull", vendor, "--store", str(tmp_path / "s"), "--quiet"],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | env_of(vendor, "http://127.0.0.1:9"),
    )  # fmt: skip
    assert done.returncode == 3
    assert "http://127.0.0.1:9 cannot be reached (ConnectError)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["pull", "nobody"], "vendor='nobody' is not known; choose one of: langfuse, langsmith"),
        (["pull", "langfuse", "--io", "some"], "io='some' is not known; choose one of: all, errors, sampled, none"),
        (["pull", "langfuse", "--plan", "gold"], "plan='gold' is not known"),
        (["pull", "langfuse", "--since", "2026-11-09", "--until", "2026-11-08"], "is not before until"),
    ],
)
def test_wrong_use_is_one_line(argv, said, capsys, monkeypatch, tmp_path):
    for name, value in env_of("langfuse").items():
        monkeypatch.setenv(name, value)
    assert cli.main([*argv, "--store", str(tmp_path / "s")]) == 3
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_missing_key_is_exit_3_with_its_variable(capsys, monkeypatch, tmp_path):
    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["pull", "langfuse", "--store", str(tmp_path / "s")]) == 3
    assert "LANGFUSE_PUBLIC_KEY is not set" in capsys.readouterr().err


# In a notebook, and a report of what came


def test_a_pull_works_inside_a_running_loop(bench):
    async def cell():
        return bench.pull()

    assert asyncio.run(cell()).complete
    assert bench.ids() == spans_of(bench)


@pytest.mark.parametrize("server", NEW)
def test_the_weekly_report_renders_on_what_was_pulled(server, tmp_path):
    bench = Bench(server, str(tmp_path / "store"), traffic(16, traces=150, days=7))
    bench.pull(io="sampled")
    from llmobs_nb.reports import report

    done = report("weekly_quality_review", store=bench.store, out=tmp_path / "out", quiet=True)
    assert done.exit_code == 0
    page = done.html.read_text(encoding="utf-8")
    assert "<script" not in page
    told = json.loads(done.result_json.read_text(encoding="utf-8"))
    volume = next(k for k in told["kpis"] if k["name"] in ("requests", "traces", "volume"))
    assert volume["this"]["value"] > 0


# The marks


def test_stretches_that_touch_become_one():
    day = timedelta(days=1)
    mark = Mark().adding((NOW, NOW + day)).adding((NOW - day, NOW)).adding((NOW + 3 * day, NOW + 4 * day))
    assert mark.covered == ((NOW - day, NOW + day), (NOW + 3 * day, NOW + 4 * day))
    assert mark.covers(NOW, NOW + day)
    assert not mark.covers(NOW, NOW + 4 * day)
    assert mark.until == NOW + 4 * day


def test_a_refusal_of_the_project_list_ends_the_pull(root):
    bench = Bench("langfuse v4", root, traffic(1, traces=4))
    bench.double.faults = Faults(("500",), rate=1.0, most_in_a_row=10**9)
    with pytest.raises(SourceError, match="does not answer"):
        bench.pull()
