"""A report says whether its numbers come from claims: the incident of the demo, planted numbers, claims that are none."""

import json
import re

import fixtures_incident as fx
import pytest

import llmobs_nb as lm
from llmobs_nb import reports
from llmobs_nb.reports import delivery, runner
from llmobs_nb.reports.checker import examine
from llmobs_nb.reports.proof import prove

CLAIMS = [{"id": "a", "text": "errors", "value": 0.02, "ci_low": 0.014, "ci_high": 0.029, "n": 1400, "unit": "rate"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("incident")
    return reports.report("incident_root_cause", store=lm.demo().store, out=out, quiet=True)


@pytest.fixture
def files(tmp_path):
    """The two files of a report: (result, claims)."""
    paths = tmp_path / "result.json", tmp_path / "claims.json"
    for path, document in zip(paths, ({"headline": "h"}, CLAIMS), strict=True):
        path.write_text(json.dumps(document))
    return paths


def checked(files):
    return json.loads(files[0].read_text())["checked"]


def test_every_number_of_the_incident_report_of_the_demo_comes_from_a_claim(made):
    found = json.loads(made.result_json.read_text())["checked"]
    assert (found["unclaimed"], made.warning, made.exit_code) == ([], None, 0)
    assert found["numbers"] == found["claimed"] > 300
    ids = {c["id"] for c in json.loads(made.claims_json.read_text())}
    assert {"before", "after", "store.spans", "store.coverage.model", "checks", "others"} <= ids


@pytest.mark.parametrize("digit", [r'data-claims="after">\d\.(\d)', r"<b>(\d)[\d,]+ spans", r"usually <span[^>]*>(\d)"])
def test_a_wrong_digit_in_the_report_of_the_demo_is_found(made, digit):
    page, claims = made.html.read_text(), json.loads(made.claims_json.read_text())
    at = re.search(digit, page).start(1)
    wrong = page[:at] + str((int(page[at]) + 5) % 10) + page[at + 1 :]
    assert examine(page, claims).problems == ()
    assert len(examine(wrong, claims).problems) == 1


def test_the_outcome_stands_with_the_result(files):
    assert prove("<h2>Now</h2><p>2.0 % of 1,400</p>", *files) is None
    assert checked(files) == {"numbers": 2, "claimed": 2, "unclaimed": []}
    assert json.loads(files[0].read_text())["headline"] == "h"


def test_numbers_without_a_claim_are_named_in_one_line(files):
    page = "<h2>Now</h2><p>2.0 % of 1,400</p><p>7 \x1b[31mx</p><p>8</p><p>9</p><p>10</p>"
    warning = prove(page, *files)
    assert warning == (
        "4 of 6 numbers in the page come from no claim: 7 in '7 x' under 'Now'; 8 in '8' under 'Now'; 9 in '9' under 'Now'; and 1 more"
    )
    found = checked(files)
    assert (found["numbers"], found["claimed"]) == (6, 2)
    assert found["unclaimed"][0] == {"number": "7", "sentence": "7 x", "reason": "no claim carries it", "heading": "Now"}


def test_of_many_unclaimed_numbers_only_some_are_kept(files):
    assert prove("".join(f"<p>{k}</p>" for k in range(3000, 3500)), *files).startswith("500 of 500 numbers")
    assert len(checked(files)["unclaimed"]) == 200 and checked(files)["numbers"] == 500


@pytest.mark.parametrize("claims", ["[1]", '[{"text": "no id"}]', "{", '{"a": 1}', '[{"id": "a", "value": "x"}]'])
def test_claims_that_are_none_give_a_warning_and_no_exception(files, claims):
    files[1].write_text(claims)
    warning = prove("<p>1</p>", *files)
    assert (
        warning.startswith("the numbers of the page could not be checked (") and "claims.json needs a list of claims" in warning
    )
    assert "\n" not in warning and set(checked(files)) == {"error"}


def test_a_result_that_is_no_document_is_left_as_it_is(files):
    files[0].write_text("[1]")
    assert prove("<p>1,400</p>", *files) is None
    assert files[0].read_text() == "[1]"


def test_the_warning_is_told_on_stderr_and_kept(files, capsys):
    done = runner.ReportFiles(files[0], files[0], *files)
    warning = runner._proved("<p>31,337</p>", done)
    told = capsys.readouterr()
    assert told.err == f"llmobs: warning: {warning}\n" and not told.out
    assert warning == "1 of 1 numbers in the page come from no claim: 31,337 in '31,337'"


def test_the_claims_of_the_store_s_card_are_delivered_with_those_of_the_result(tmp_path, monkeypatch):
    class Handle:
        @staticmethod
        def status():
            return {"spans": 5, "traces": 2, "scores": 0, "sources": {"x": 5}, "coverage": {}, "completeness": [], "findings": []}

    monkeypatch.setenv(delivery.FOLDER, str(tmp_path))
    reports.deliver(fx.empty(), [{"id": "mine"}], store=Handle)
    ids = [c["id"] for c in json.loads((tmp_path / "claims.json").read_text())]
    assert ids[-5:] == ["mine", "store.spans", "store.traces", "store.scores", "store.source.x"]
