"""Every number of the incident page and of the store's card is a claim: on made results, with hostile text, with a wrong digit."""

import datetime as dt
import re

import fixtures_incident as fx
import pytest

from llmobs_nb import views
from llmobs_nb.analyses.incident import words as headlines
from llmobs_nb.analyses.incident.result import frame
from llmobs_nb.analyses.incident.watched import WATCHED
from llmobs_nb.analyses.result import Finding
from llmobs_nb.analyses.said import Quoted, Said
from llmobs_nb.reports.checker import check, examine
from llmobs_nb.reports.sanitize import sanitize
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.status import to_html
from llmobs_nb.views import bundle, claimed
from llmobs_nb.views.store_claims import store_claims

FULL = "99 of 1,234 fell from 0.79 to 31,337 (7.5 % to 88 %), $4.25 more in 12 min 05 s, n 620"
SHARE = Estimate(0.682, None, None, 141)
SAID = Said("“", Quoted(FULL), "” is new since 2026-10-26 07:22 UTC (68.2 % of its traces)", numbers=[(SHARE, "rate")])


@pytest.fixture(autouse=True)
def unrendered(monkeypatch):
    """Charts are drawn but not made into pictures: the page is read for its words."""
    monkeypatch.setattr(bundle, "png", lambda figure: b"\x89PNG")


def page(result):
    """The whole report page of a result, as the report keeps it."""
    parts = (views.incident, views.waterfall, views.slice_explorer)
    return sanitize("".join(part(result).html for part in parts))


def told(result):
    """A result whose cause has evidence with numbers, and what else a real one has."""
    return fx.incident(causes=(fx.cause(evidence=(SAID,)),), **result)


def numbers_in_every_name():
    """An incident of which every name and text from the data is full of numbers."""
    diff = fx.PromptDiff(f"{FULL}\n1", f"{FULL}\n1\n{FULL} 2", f"{FULL} 2", "+", fx.BEGAN, 0.96)
    evil = fx.cause(
        where={"feature": FULL, "n 141": "7.5"}, evidence=(SAID,), undo=Said("roll ", Quoted(FULL), " back"), diff=diff
    )
    return fx.incident(
        headline=f"helpfulness (judge) went from 0.79 to 0.45 for {headlines.where_text(evil.where)}.", causes=(evil,),
        slices=frame("slices", [(f"feature={FULL}", 0.79, 0.45, -0.34, -0.39, -0.29, 141, -13.1, True)]),
        exemplars=frame("exemplars", [(FULL, "after", fx.at(1), 0.31, FULL, None)]),
        checklist=frame("checklist", [(FULL, "retrieval index", "unusual", FULL, FULL, None, None, None)]),
        spans=frame("spans", [(FULL, FULL, None, FULL, FULL, 0.0, 900.0, 1903, 0.0123, "ok")]),
        changes=frame("changes", [(fx.BEGAN, FULL, FULL, "2026.44", True)]),
        others=({"metric": f"score:{FULL}:judge", "verdict": "incident", "onset": fx.BEGAN, "kind": "price", "where": {"feature": FULL}},),
    )  # fmt: skip


BOUNDS = (
    {"metric": "latency_ms", "verdict": "inside", "onset": None, "low": -0.0312, "high": 0.0871, "margin": 0.15, "unit": "log"},
    {"metric": "error_rate", "verdict": "open", "onset": None, "low": -0.0123, "high": 0.0251, "margin": 0.02, "unit": "rate"},
)
SERIES = {"metric": "series:nps", "verdict": "moved", "direction": "down", "onset": {"time": "2026-10-13T06:02:06+00:00"}}
MADE = {
    "whole": lambda: told({}),
    "burst": fx.burst,
    "empty": fx.empty,
    "hostile": fx.hostile,
    "full of numbers": numbers_in_every_name,
    "quiet": lambda: fx.incident(causes=(), verdict="no_change", others=(*BOUNDS, SERIES)),
    "latency": lambda: told({"unit": "ms", "minimum_detectable": 0.0712, "detectable_unit": "log"}),
    "findings": lambda: told({"findings": (Finding("info", "85 % of 20,000 traces have no judge score", 17000),)}),
}
MADE |= {verdict: lambda v=verdict: fx.quiet(v) for verdict in fx.QUIET}


@pytest.mark.parametrize("name", MADE)
def test_every_number_of_the_incident_page_comes_from_a_claim(name):
    result = MADE[name]()
    assert [str(p) for p in check(page(result), result.claims())] == []


def test_ids_of_claims_are_unique():
    for made in MADE.values():
        ids = [c["id"] for c in made().claims()]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("0.79 (0.77 to 0.81, n 620)", "0.78 (0.77 to 0.81, n 620)"),
        ("0.45 (0.40 to 0.50, n 141)", "0.45 (0.40 to 0.50, n 142)"),
        ("it explains 91 %", "it explains 90 %"),
        ("(68.2 % of its traces)", "(68.3 % of its traces)"),
        ("96 % of the traces of", "95 % of the traces of"),
        ("fell from 0.79 to 0.45 in", "fell from 0.79 to 0.44 in"),  # the words of a picture
        ("-0.22", "-0.23"),
        ("640 to 812", "641 to 812"),
        (">700 ms<", ">710 ms<"),
        ("0.0123</span>", "0.0133</span>"),
        ("5 checks", "6 checks"),
        ("4 spans", "5 spans"),
        ("0.31</span>", "0.32</span>"),
    ],
)
def test_a_wrong_digit_in_the_page_is_found(right, wrong):
    result = told({})
    html = page(result)
    assert html.count(right) >= 1
    assert check(html.replace(right, wrong, 1), result.claims())


def test_a_text_full_of_numbers_hides_no_wrong_digit():
    result = numbers_in_every_name()
    html = page(result)
    assert html.count("31,337") > 10
    for right, wrong in (("0.45 (0.40", "31,337 (0.40"), ("n 141)", "n 620)"), ("68.2 %", "7.5 %"), ("1,903", "31,337")):
        assert right in html
        assert check(html.replace(right, wrong, 1), result.claims()), wrong


def test_other_metrics_are_a_table_of_words():
    result = fx.incident(others=(*BOUNDS, SERIES))
    cells = re.sub("<[^>]+>", "|", views.incident(result).html.split("Other metrics")[1].split("About the data")[0])
    assert "{" not in cells and "T06" not in cells
    assert re.search(r"latency_ms\|+= inside its margin\|+-3\.1 % to \+9\.1 %\|+16\.2 %", cells)  # exp(x) - 1 of the logarithms
    assert re.search(r"error_rate\|+\? cannot be told\|+-1\.2 pp to \+2\.5 pp\|+2\.0 pp", cells)
    assert re.search(r"series:nps\|+moved\|+2026-10-13 06:02 UTC", cells)


def test_an_onset_of_another_metric_is_told_with_its_interval_and_place():
    onset = {"time": "2026-10-27T09:16:56+00:00", "low": "2026-10-26T09:16:56+00:00", "high": "2026-10-27T10:16:56+00:00"}
    row = {"metric": "output_chars", "verdict": "incident", "onset": onset, "kind": "price", "where": {"feature": "chat"}}
    summary = views.incident_words.other(row, "UTC")
    assert summary == (
        "output_chars: incident since 2026-10-27 09:16 UTC (2026-10-26 09:16 UTC to 2026-10-27 10:16 UTC) in feature = chat, A changed price"
    )
    assert views.incident_words.other({"metric": "m", "verdict": "moved", "onset": "soon"}, "UTC") == "m: moved since n/a"


@pytest.mark.parametrize("opened", [0, 1])
def test_the_headline_that_nothing_was_found_has_its_numbers_in_claims(opened):
    class Plan:
        start, days = fx.BEGAN, 14

        @staticmethod
        def at(days):
            return fx.BEGAN + dt.timedelta(days=days)

    first, others = WATCHED[0], tuple(b | {"margin": 0.02} for b in BOUNDS)
    verdict = "not_enough_evidence" if opened else "no_change"
    least = 0.0451 if opened else None
    line = headlines.nothing(verdict, Plan, first, least, others)
    result = fx.incident(
        headline=line, verdict=verdict, causes=(), others=others, minimum_detectable=least, unit="rate", findings=()
    )
    without = [c | {"text": ""} for c in result.claims()]  # so that no number is there only because the sentence is quoted
    assert ("1 of 2 metrics" in line and "4.5 pp" in line and "6 times" in line) if opened else "(2 of 2 inside)" in line
    assert check(page(result), without) == []


def test_a_sentence_marks_what_it_quotes_and_nothing_else():
    assert claimed.said(Said("a 1 ", Quoted("<b>2"), " 3")) == 'a 1 <span data-unclaimed="">&lt;b&gt;2</span> 3'
    assert claimed.said("plain 1") == "plain 1"
    assert str(SAID).startswith("“99 of 1,234") and "".join(SAID.parts) == SAID


# --- the store's card


STATUS = {
    "spans": 77068, "traces": 20000, "scores": 6442, "sources": {"demo 7,500": 77060, "x": 8},
    "window": {"start": "2026-09-21T02:35:00+00:00", "end": "2026-11-15T22:20:00+00:00"}, "coverage": {"model": 0.7391, "release": None},
    "findings": [{"severity": "warning", "text": "40 model calls with usage have no price: m 5 (31), n (9)", "count": 40}],
    "completeness": [{"source": "x", "project": "p 9", "entity": "spans", "day": "2026-10-01", "there": 1200, "here": 1100,
                      "missing": 100, "state": "incomplete"}],
}  # fmt: skip


def test_every_number_of_the_store_s_card_comes_from_a_claim():
    card, claims = sanitize(to_html(STATUS, "s3://bucket 5/x")), store_claims(STATUS)
    assert check(card, claims) == []
    found = examine(card, claims)
    assert found.numbers == found.claimed > 10
    by_id = {c["id"]: (c["value"], c["n"], c["unit"]) for c in claims}
    assert by_id["store.spans"] == (77068, 77068, "count")
    assert by_id["store.coverage.model"] == (0.7391, 77068, "rate")
    assert by_id["store.differs.0.missing"][0] == 100 and by_id["store.finding.0"][0] == 40


@pytest.mark.parametrize(
    ("right", "wrong"), [("77,068 spans", "77,069 spans"), ("73.9 %", "73.8 %"), ("1,100", "1,101"), ("40 model", "41 model")]
)
def test_a_wrong_digit_in_the_card_is_found(right, wrong):
    card = to_html(STATUS, "s")
    assert right in card
    assert check(card.replace(right, wrong, 1), store_claims(STATUS))


def test_the_card_of_an_empty_store_has_its_claims():
    bare = {
        "spans": 0,
        "traces": 0,
        "scores": 0,
        "sources": {},
        "window": {"start": None, "end": None},
        "coverage": {"model": None},
    }
    bare |= {"findings": [], "completeness": []}
    assert check(to_html(bare, "s"), store_claims(bare)) == []
