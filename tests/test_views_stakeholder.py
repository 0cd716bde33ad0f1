"""The page for stakeholders: what it says of known numbers, that it is short and plain, and that each sentence names its claims."""

import re

import fixtures_weekly as fx
import pandas as pd
import pytest
from fixtures_weekly import HOSTILE

from llmobs_nb.reports.checker import check
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.views import stakeholder_charts, stakeholder_numbers, theme
from llmobs_nb.views.stakeholder_page import stakeholder
from llmobs_nb.views.stakeholder_sentences import needed, story
from llmobs_nb.views.stakeholder_words import saying
from llmobs_nb.views.weekly_claims import page_claims

JARGON = re.compile(r"\bp\d\d\b|\bq\b|\bCI\b|\bpp\b|interval|quantile|percentile|KPI|margin|token|score:|\bn =", re.IGNORECASE)


def kpi_claims(result):
    """The claims that the analysis makes of the rows of the fixture."""
    out = []
    for row in result.kpis.to_dict("records"):
        relative = row["change_kind"] == "relative"
        for side in ("this", "last", "baseline", "change"):
            e = Estimate(*(row[f"{side}_{k}"] for k in ("value", "low", "high")), row[f"{side}_n"])
            unit = "relative" if relative and side == "change" else row["unit"]
            out.append({"id": f"kpi.{row['name']}.{row['slice']}.{side}", "text": row["label"], "unit": unit, **e.json()})
    errors = result.new_error_classes.to_dict("records")
    return out + [
        {"id": f"new_error.{r['error_class']}", "text": "new", "value": r["n"], "n": r["n"], "unit": "count"} for r in errors
    ]


def sentences(result):
    told = story(result)
    return [told.lead, *(s for said in told.sections.values() for s in said)]


def texts(part):
    return [s.text for s in part]


def test_what_got_better_and_worse_is_said_in_numbers_with_between():
    told = story(fx.weekly())
    assert told.lead.text == "Of 7 numbers 2 got worse, 1 got better, 2 stayed the same, 2 cannot be told yet."
    assert texts(told.improved) == [
        "The whole answer took 2.40 s or more in the slowest 5 % of requests, 200 ms shorter than last week (between 20 ms and 380 ms shorter)."
    ]
    assert texts(told.watch) == [
        "Helpfulness, as a model judges it, was 0.71, 0.05 lower than last week (between 0.02 and 0.08 lower).",
        "2.0 of every 100 requests failed, 1.0 more than last week (between 0.2 and 1.8 more).",
        "7 requests failed in a way not seen before: timeout.",
    ]
    assert texts(told.focus) == ["The team reads 2 conversations to find out why this got worse: Helpfulness (judge)."]


def test_what_cannot_be_told_says_how_many_more_would():
    kpis = fx.kpis()
    kpis = kpis[kpis["name"] == "ttft_p95"].assign(detectable=60.0)  # three times the margin of 20: nine times the 1,400
    (sentence,) = story(fx.weekly(kpis=kpis)).unsure
    assert sentence.text == (
        "The wait for the first word took 510 ms or more in the slowest 5 % of requests, between 60 ms shorter and 70 ms longer "
        "than last week; about 11,000 more requests a week would tell."
    )
    assert sentence.ids == tuple(f"kpi.ttft_p95.all.{part}" for part in ("this", "change", "needed"))


@pytest.mark.parametrize(("detectable", "more"), [(60.0, 11_000), (20.0, None), (None, None), (float("nan"), None)])
def test_how_many_more_are_needed(detectable, more):
    row = fx.kpis().set_index("name", drop=False).loc["ttft_p95"].to_dict() | {"detectable": detectable}
    assert needed(row) == more


def test_every_number_comes_from_the_claims_that_its_sentence_names():
    result = fx.weekly()
    claims = [*kpi_claims(result), *page_claims(result)]
    page = stakeholder(result).html
    assert check(page, claims) == []
    assert [p.number for p in check(page.replace("0.05 lower", "0.06 lower"), claims)] == ["0.06"]
    assert [p.number for p in check(page.replace("0.05 lower", "0.05 higher"), claims)] == ["0.05"]
    assert [p.number for p in check(page.replace("1.0 more than", "1.0 fewer than"), claims)] == ["1.0"]
    for sentence in sentences(result):
        assert bool(re.search(r"\d", sentence.text)) <= bool(sentence.ids), sentence.text


@pytest.mark.parametrize("make", [fx.weekly, fx.empty, fx.refused])
def test_it_is_short_and_plain(make):
    told = sentences(make())
    assert 4 <= len(told) <= 12
    assert not [s.text for s in told if JARGON.search(s.text)]


def test_with_much_to_tell_it_stays_within_a_dozen_sentences():
    rows = [fx.kpis().assign(name=lambda f, i=i: f["name"] + f":{i}") for i in range(4)]
    kpis = pd.concat(rows, ignore_index=True).assign(detectable=1e6)
    alert = {"rule": "errors", "state": "firing"}
    undo = {"axis": "model", "name": "m", "rollback": "pin m to a"}
    result = fx.weekly(kpis=kpis, beside={"alerts": [alert], "versions": [undo], "promoted": 3})
    assert len(sentences(result)) == 12


def test_a_quiet_week_says_so():
    result = fx.weekly(kpis=fx.kpis().assign(verdict="same"), new_error_classes=fx.weekly().new_error_classes.iloc[:0])
    told = story(result)
    assert told.lead.text == "Of 7 numbers none got worse, 7 stayed the same."
    assert texts(told.improved) == ["Nothing improved beyond doubt."]
    assert texts(told.watch) == ["Nothing got worse beyond doubt."]
    assert texts(told.unsure) == ["Every number could be told."]


def test_an_empty_week_says_that_nothing_can_be_compared():
    view = stakeholder(fx.empty())
    assert "Nothing can be compared with last week." in view.text
    assert view.html.count("<img") == 1


def test_the_week_is_named_by_its_days():
    assert stakeholder(fx.weekly()).text.startswith("9 November to 15 November 2026, compared with 2 November to 8 November 2026")


def test_sentences_name_their_claims_in_the_page():
    html = stakeholder(fx.weekly()).html
    assert '<li data-claims="kpi.error_rate.all.this kpi.error_rate.all.change">2.0 of every 100 requests failed' in html


def test_hostile_names_are_inert():
    kpis = fx.kpis().assign(name=f"score:{HOSTILE}{{0}}:{{x}}", label=HOSTILE)
    view = stakeholder(fx.weekly(kpis=kpis))
    assert "<script" not in view.html.lower()
    assert not re.search("[\x00\x1b\u202e]|abcdefgh12345678", view.html + view.text)


def test_the_picture_draws_what_moved_first_and_better_to_the_right():
    figure = stakeholder_charts.moves(fx.weekly())
    (ax,) = figure.axes
    names = [t.get_text() for t in ax.get_yticklabels()][::-1]
    assert names[:3] == ["Helpfulness (judge)", "Failed requests", "The whole answer, slowest 5 %"]
    marks = {line.get_label(): line for line in ax.lines if line.get_label() in ("worse", "better")}
    assert marks["worse"].get_xdata()[0] < -1 and marks["better"].get_xdata()[0] > 1
    assert {line.get_marker() for line in marks.values()} == {"v", "^"}
    assert figure.get_suptitle() == "Of 7 numbers 2 got worse and 1 got better beyond doubt"


def test_an_interval_that_goes_on_beyond_the_picture_ends_in_an_arrow():
    kpis = fx.kpis()
    (ax,) = stakeholder_charts.moves(fx.weekly(kpis=kpis[kpis["name"] == "error_rate"].assign(change_high=9.0))).axes
    assert [line.get_marker() for line in ax.lines if line.get_marker() in "<>"] == ["<"]


def test_without_rows_the_picture_says_so():
    figure = stakeholder_charts.moves(fx.empty())
    assert [t.get_text() for t in figure.axes[0].texts] == ["nothing to draw"]
    assert theme.png(figure)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ((0.002, 0.018), "between 0.2 and 1.8 more"),
        ((-0.018, -0.002), "between 0.2 and 1.8 fewer"),
        ((-0.01, 0.018), "between 1.0 fewer and 1.8 more"),
    ],
)
def test_limits_say_their_direction(limits, told):
    assert stakeholder_numbers.between("rate", limits, ("more", "fewer")) == told


def test_what_has_no_plain_name_is_said_by_its_label():
    said = saying({"name": "own_thing", "label": "own {thing}"})
    assert said.told.format(value="3") == "Own {thing} was 3" and not said.known
