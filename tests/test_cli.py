"""The command line as a user meets it: exit codes, what goes to stdout, one clear line for bad input."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import fixtures_incident as fx
import pytest

from llmobs_nb.cli import main
from llmobs_nb.reports.runner import ReportFiles

ROOT = Path(__file__).parents[1]


def observation(n: int, **more) -> dict:
    row = {
        "id": f"o{n}", "traceId": f"t{n // 2}", "projectId": "prj", "type": "GENERATION", "name": "answer", "level": "DEFAULT",
        "startTime": "2026-11-20T10:00:00Z", "endTime": "2026-11-20T10:00:02Z", "parentObservationId": None, "model": "gpt-4o",
        "usageDetails": {"input": 100, "output": 10, "total": 110}, "updatedAt": "2026-11-20T10:00:03Z", "bookmarked": False,
    }  # fmt: skip
    return row | more


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(observation(n)) + "\n" for n in range(4)))
    return path


def run(capsys, *argv) -> tuple[int, str, str]:
    code = main([str(a) for a in argv])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_ingest_says_what_it_kept_and_what_it_recognised(capsys, lines, tmp_path):
    with open(lines, "a") as out:
        out.write('{"id": "broken\n')
    code, out, err = run(capsys, "ingest", lines, "--store", tmp_path / "s")
    assert code == 0
    assert out.startswith("kept 4 of 5 records; 1 quarantined, first reasons: not JSON (1)")
    assert "recognised: langfuse.export (1 file)" in err


def test_quiet_ingest_leaves_stderr_empty(capsys, lines, tmp_path):
    assert run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")[2] == ""


def test_status_json_has_the_contract_s_shape(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    code, out, err = run(capsys, "status", "--store", tmp_path / "s", "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["spans"], told["traces"], told["scores"], told["corrections"], told["quarantined"]) == (4, 2, 0, 0, 0)
    assert told["window"] == {"start": "2026-11-20T10:00:00+00:00", "end": "2026-11-20T10:00:02+00:00"}
    assert told["sources"] == {"langfuse": 4}
    assert told["coverage"]["model"] == 1.0
    # 4 calls of gpt-4o at 2.50 and 10.00 USD per million: nothing was recorded, the list price is used.
    assert told["cost"]["recorded_usd"] is None
    assert told["cost"]["used_usd"] == pytest.approx(4 * (100 * 2.5e-6 + 10 * 10e-6))
    assert told["cost"]["unpriced_spans"] == 0
    assert all(set(f) == {"severity", "text", "count"} for f in told["findings"])


def test_the_store_comes_from_the_environment(capsys, lines, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMOBS_STORE", str(tmp_path / "env"))
    run(capsys, "ingest", lines, "--quiet")
    assert json.loads(run(capsys, "status", "--json")[1])["spans"] == 4


def test_since_and_until_narrow_the_status(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    narrowed = run(capsys, "status", "--store", tmp_path / "s", "--json", "--since", "2026-11-21")[1]
    assert json.loads(narrowed)["spans"] == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ingest", "nowhere.jsonl"], "path 'nowhere.jsonl' does not exist; name a file, a glob or a folder that holds exports"),
        (["status", "--store", "nowhere"], "store 'nowhere' does not exist; make one with: llmobs ingest PATH --store nowhere"),
        (["status", "--store", "nowhere", "--engine", "abacus"], "engine='abacus' is not known; choose one of: duckdb"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        ([], "required: COMMAND"),
        (["ingest"], "required: PATH"),
        (["status", "--bogus"], "unrecognized arguments: --bogus"),
        (["status", "--threads", "two"], "invalid int value: 'two'"),
        (["report", "no_such_report", "--out", "x"], "no_such_report"),
    ],
)
def test_wrong_use_is_one_line_and_exit_3(capsys, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out) == (3, "")
    assert words in err
    assert err.count("\n") == 1
    assert err.startswith("llmobs: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has a format that is not known (empty)"),
        ("\x00\x01\x02binary", "no JSON, CSV or Parquet"),
        ('{"colour": "red"}\n', "lines, first record has colour"),
        ("a,b\n1,2\n", "csv, first record has a, b"),
        ("PAR1 but not really", "is not readable Parquet"),
    ],
)
def test_what_is_not_known_is_said_with_the_choices(capsys, tmp_path, text, words):
    (tmp_path / "file.jsonl").write_text(text)
    code, _, err = run(capsys, "ingest", tmp_path / "file.jsonl", "--store", tmp_path / "s")
    assert code == 3
    assert words in err
    assert err.strip().count("\n") == 0


def test_nothing_readable_is_exit_3_and_leaves_no_rows(capsys, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": 1, "traceId": null, "startTime": "soon", "type": "SPAN", "projectId": "p"}\n')
    code, out, err = run(capsys, "ingest", tmp_path / "x.jsonl", "--store", tmp_path / "s", "--format", "langfuse")
    assert (code, out) == (3, "")
    assert "nothing to keep in" in err
    assert "--mapping" in err


def test_an_unknown_format_names_the_choices(capsys, lines, tmp_path):
    code, _, err = run(capsys, "ingest", lines, "--store", tmp_path / "s", "--format", "langfuze")
    assert code == 3
    assert "format='langfuze' is not known; choose one of: auto, canonical, langfuse" in err


def test_hostile_text_does_not_reach_the_terminal(capsys, tmp_path):
    evil = "\x1b[31mred\u202egnp.exe\x07 sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    (tmp_path / "x.jsonl").write_text(json.dumps(observation(1, model=evil, usageDetails={"input": 5, "total": 5})) + "\n")
    code, out, err = run(capsys, "ingest", tmp_path / "x.jsonl", "--store", tmp_path / "s")
    told = run(capsys, "status", "--store", tmp_path / "s")[1] + out + err
    assert code == 0
    assert "red" in told
    assert not any(c in told for c in "\x1b\u202e\x07")
    assert "abcdefghijklmnopqrstuvwxyz" not in told


def test_formats_lists_every_format(capsys):
    found = json.loads(run(capsys, "formats", "--json")[1])
    wanted = {
        "canonical.spans",
        "langfuse.export",
        "langsmith.runs",
        "otel.otlp",
        "mlflow.traces",
        "litellm.payload",
        "helicone.requests",
        "logs.calls",
    }
    assert wanted <= set(found)


@pytest.mark.parametrize("name", ["weekly_quality_review", "incident_root_cause"])
def test_new_copies_a_template_and_never_overwrites(capsys, tmp_path, name):
    code, out, _ = run(capsys, "new", name, tmp_path)
    assert code == 0
    assert Path(out.strip()).read_text() == (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    code, _, err = run(capsys, "new", name, tmp_path)
    assert code == 3
    assert f"{name}.ipynb" in err


def test_weekly_json_is_strict(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    code, out, _ = run(capsys, "weekly", "--store", tmp_path / "s", "--json")
    told = json.loads(out, parse_constant=lambda c: pytest.fail(f"{c} in JSON"))
    assert code == 0
    assert {"week", "against", "kpis", "versions", "drift", "promoted", "new_error_classes", "alerts", "reading_list"} <= set(
        told
    )


@pytest.fixture
def incident_of(monkeypatch):
    """Makes the incident analysis answer with a result, and gives what it was asked."""
    asked = []

    def answer(result):
        monkeypatch.setattr("llmobs_nb.analyses.incident.incident", lambda obs, **given: asked.append(given) or result)
        return asked

    return answer


def test_incident_tells_verdict_levels_onset_causes_and_traces(capsys, lines, tmp_path, incident_of):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    asked = incident_of(fx.incident())
    code, out, err = run(capsys, "incident", "--store", tmp_path / "s", "--metric", "m", "--onset", "2026-10-26")
    assert (code, err) == (0, "")
    assert asked == [{"metric": "m", "onset": "2026-10-26", "before": None, "after": None, "tz": "UTC", "expected": ""}]
    for told in (
        fx.incident().headline,
        "0.79 (0.77 to 0.81, n 620) before",
        "Began 2026-10-26 07:00 UTC",
        "the prompt version did not change",
    ):
        assert told in out
    assert out.endswith("read first: trace-0, trace-1, trace-2, trace-3, trace-4 and 3 more\n")


def test_incident_exits_0_whatever_the_verdict(capsys, lines, tmp_path, incident_of):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    for verdict in fx.QUIET:
        incident_of(fx.quiet(verdict))
        code, out, _ = run(capsys, "incident", "--store", tmp_path / "s")
        assert code == 0 and "The smallest change of helpfulness (judge)" in out


def test_incident_json_is_strict_and_has_the_contract_s_shape(capsys, lines, tmp_path, incident_of):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    incident_of(fx.incident())
    told = json.loads(run(capsys, "incident", "--store", tmp_path / "s", "--json")[1], parse_constant=lambda c: pytest.fail(c))
    wanted = "verdict metric direction before after minimum_detectable onset end causes traces others seconds"
    assert set(wanted.split()) <= set(told)
    assert told["causes"][0]["where"] == {"auth": "sso"}


def test_hostile_text_of_an_incident_does_not_reach_the_terminal(capsys, lines, tmp_path, incident_of):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    incident_of(fx.hostile())
    code, out, _ = run(capsys, "incident", "--store", tmp_path / "s")
    assert code == 0 and "alert(1)" in out
    assert not any(c in out for c in "\x1b\x00\u202e") and "abcdefgh12345678" not in out


def test_the_demo_prints_the_verdict_of_the_incident_and_the_file(capsys, lines, tmp_path, monkeypatch):
    made = []

    def report(name, *, store, out, quiet):
        made.append((name, store))
        (out / "result.json").write_text(json.dumps({"headline": "helpfulness fell \x1b[31mfor auth = sso"}))
        return ReportFiles(out / f"{name}.ipynb", out / f"{name}.html", out / "result.json", out / "claims.json")

    monkeypatch.setattr("llmobs_nb.demodata.data_folder", lambda: lines)
    monkeypatch.setattr("llmobs_nb.reports.report", report, raising=False)
    out_folder = tmp_path / "demo"
    code, out, _ = run(capsys, "demo", "--out", out_folder)
    assert (code, made) == (0, [("incident_root_cause", str(out_folder / "store"))])
    assert out.splitlines() == ["helpfulness fell for auth = sso", str(out_folder / "incident_root_cause.html")]


def test_a_fault_of_ours_is_exit_4_without_a_traceback(capsys, monkeypatch):
    monkeypatch.setattr("llmobs_nb.cli._formats", lambda args: 1 / 0)
    code, _, err = run(capsys, "formats")
    assert code == 4
    assert "ZeroDivisionError: division by zero; this is a fault of ours" in err


def test_help_and_version_exit_0(capsys):
    for argv in (["--version"], ["--help"], ["ingest", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 0
        assert "llmobs" in capsys.readouterr().out


def test_ctrl_c_is_exit_130_and_keeps_nothing(tmp_path):
    big = tmp_path / "big.jsonl"
    row = json.dumps(observation(1, input="x" * 2000))
    with open(big, "w") as out:
        out.writelines(row.replace('"o1"', f'"o{n}"') + "\n" for n in range(60_000))
    store = tmp_path / "s"
    child = subprocess.Popen(
        [sys.executable, "-m", "llmobs_nb", "ingest", str(big), "--store", str(store)], stderr=subprocess.PIPE, cwd=ROOT
    )
    deadline = time.monotonic() + 60
    while not list(store.glob("payloads/day=*/*.parquet")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    try:
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130, err
    assert b"interrupted; nothing half done is kept, run the same command again" in err
    assert not list(store.rglob("*.parquet"))


def test_a_stranger_in_a_folder_is_counted_and_stops_nothing(capsys, lines, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    lines.rename(folder / "spans.jsonl")
    (folder / "other.jsonl").write_text('{"colour": "red"}\n')
    code, out, err = run(capsys, "ingest", folder, "--store", tmp_path / "s")
    assert code == 0
    assert out.startswith("kept 4 of 5 records; 1 quarantined, first reasons: unreadable file (1)")
    assert "left out: file" in err
    assert json.loads(run(capsys, "status", "--store", tmp_path / "s", "--json")[1])["quarantined"] == 1


def test_a_folder_of_strangers_only_is_exit_3(capsys, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"colour": "red"}\n')
    code, _, err = run(capsys, "ingest", tmp_path, "--store", tmp_path / "s")
    assert code == 3
    assert "none of 2 files can be read, first: file" in err


def test_push_is_a_dry_run_until_it_is_told_to_push(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    labels = tmp_path / "labels.csv"
    labels.write_text("name,trace_id,value,rater_id\nhelpful,t1,1,r-7\n")
    code, out, _ = run(capsys, "push", "langfuse", "--store", tmp_path / "s", "--scores", labels)
    assert code == 0
    assert out.startswith("dry run, nothing was sent to Langfuse: 1 would go")
    assert "to send it: --push" in out


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels.txt", "x", "ends with none of .csv, .jsonl, .parquet; save the table as one of them"),
        ("labels.jsonl", '{"name": \n}', "cannot be read as .jsonl"),
        ("queue.csv", "id\n1\n", "has no column 'trace_id', only id; name it so"),
    ],
)
def test_a_table_to_push_that_cannot_be_read_is_exit_3(capsys, lines, tmp_path, name, text, said):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    (tmp_path / name).write_text(text)
    asked = ["--queue", "q", tmp_path / name] if name.startswith("queue") else ["--scores", tmp_path / name]
    code, _, err = run(capsys, "push", "langfuse", "--store", tmp_path / "s", *asked)
    assert code == 3
    assert said in err


# The commands of the review week


def test_check_says_what_fires_and_exits_by_its_severity(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    rules = tmp_path / "rules.yaml"
    rules.write_text("- {name: any_call, metric: requests, window: 30d, compare: {above: 0}, severity: critical, min_n: 1}\n")
    code, out, _ = run(capsys, "check", "--store", tmp_path / "s", "--rules", rules, "--no-state", "--json")
    (row,) = json.loads(out)
    assert (code, row["rule"], row["state"], row["severity"]) == (2, "any_call", "firing", "critical")
    code, _, err = run(capsys, "check", "--store", tmp_path / "s", "--rules", tmp_path / "none.yaml")
    assert code == 3 and err.count("\n") == 1


def test_gate_refuses_a_selection_of_nothing_in_one_line(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    code, out, err = run(capsys, "gate", "--store", tmp_path / "s", "--baseline", "release=x", "--candidate", "release=y")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "selects no trace" in err
    mixed = ["--margin", "0.1", "--margin", "cost_usd=0.2"]
    code, _, err = run(capsys, "gate", "--store", tmp_path / "s", "--baseline", "release=x", "--candidate", "release=y", *mixed)
    assert code == 3 and "give one number, or NAME=X for each" in err


def test_drift_prints_strict_json(capsys, lines, tmp_path):
    run(capsys, "ingest", lines, "--store", tmp_path / "s", "--quiet")
    code, out, _ = run(capsys, "drift", "--store", tmp_path / "s", "--json")
    told = json.loads(out, parse_constant=lambda c: pytest.fail(c))
    assert code == 0 and told["name"] == "drift"
