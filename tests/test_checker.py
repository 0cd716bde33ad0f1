"""The checker of numbers in a page: what it proves, what it leaves out by rule, and that it fails when it must."""

import re

import fixtures_weekly as fx
import pytest
from weeklykit import Store, traffic

from llmobs_nb import views
from llmobs_nb.analyses.result import Estimate, claim
from llmobs_nb.analyses.weekly import weekly
from llmobs_nb.reports.checker import Problem, check, examine, numbers
from llmobs_nb.views.stakeholder_page import stakeholder
from llmobs_nb.views.weekly_claims import page_claims

ERRORS = claim("errors.this", "Error rate", Estimate(0.02, 0.014, 0.029, 1400), unit="rate", how="x")
MOVED = claim("errors.change", "Error rate, change", Estimate(0.01, 0.002, 0.018, 2688), unit="rate", how="x")
SLOWER = claim("slow.change", "Latency, change", Estimate(-300.0, -500.0, -100.0, 1400), unit="ms", how="x")
COST = claim("cost", "Cost", Estimate(1204.5, None, None, 90), unit="usd", how="x")
CLAIMS = [ERRORS, MOVED, SLOWER, COST]


@pytest.fixture(scope="module")
def result():
    return weekly(Store(*traffic()))


@pytest.fixture(scope="module")
def claims(result):
    return [*result.claims(), *page_claims(result)]


@pytest.fixture(scope="module", params=["weekly", "stakeholder"])
def page(request, result):
    return {"weekly": views.weekly, "stakeholder": stakeholder}[request.param](result).html


def found(html, claims=CLAIMS):
    return [p.number for p in check(html, claims)]


# --- pages


def test_every_number_of_both_pages_comes_from_a_claim(page, claims):
    assert check(page, claims) == []


def test_ids_of_claims_are_unique(claims):
    ids = [c["id"] for c in claims]
    assert len(ids) == len(set(ids))


def test_a_number_planted_in_a_page_is_found(page, claims):
    (problem,) = check(page + "<p>and 31,337 more</p>", claims)
    assert (problem.number, problem.reason) == ("31,337", "no claim carries it")


def test_a_wrong_digit_in_a_cell_is_found(result, claims):
    page = views.kpi_table(result).html
    level = re.search(r"<td[^>]*><div data-claims=\"[^\"]*requests[^\"]*\">([\d,]+)", page)[1]
    wrong = str((int(level[-1]) + 1) % 10)
    assert level[:-1] + wrong in found(page.replace(level, level[:-1] + wrong, 1), claims)


def test_the_number_of_another_claim_does_not_prove_a_marked_cell(result, claims):
    n = next(c for c in claims if c["id"] == "kpi.users.all.this")["value"]
    (problem,) = check(f'<p data-claims="kpi.error_rate.all.*">{n:,.0f}</p>', claims)
    assert problem.reason == "none of the claims that it names carries it"
    assert check(f"<p>{n:,.0f}</p>", claims) == []


# --- what is proved


@pytest.mark.parametrize(
    "text",
    [
        "2.0 % of 1,400 (1.4 % to 2.9 %)",
        "+1.0 pp (+0.2 pp to +1.8 pp)",
        "2.0 of every 100 requests failed, 1.0 more than last week (between 0.2 and 1.8 more)",
        "300 ms shorter (between 100 and 500 ms shorter)",
        "$1,204.50",
        "-300 ms",
    ],
)
def test_numbers_as_the_pages_write_them_are_proved(text):
    assert found(f"<p>{text}</p>".replace("$", "<span>$</span>")) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.1 %", "2.1 %"),  # a wrong digit
        ("2.00 %", "2.00 %"),  # more digits than its interval deserves
        ("-1.0 pp", "-1.0 pp"),  # a swapped sign
        ("1.0 less than last week", "1.0"),  # a swapped direction
        ("300 ms longer", "300 ms"),
        ("2.0 s", "2.0 s"),  # the number of a claim with another unit
        ("1,400 %", "1,400 %"),
        ("$1,400", "$1,400"),
        ("1204.50", "1204.50"),
        ("about 12k requests", "12k"),
        ("1,400 and 7 days", "7"),
        ("x=7", "7"),
        ("n 1,400/9", "9"),
        ("٣", "٣"),
    ],
)
def test_a_number_that_no_claim_carries_is_named(text, number):
    assert found(f"<p>{text}</p>") == [number]


def test_a_claim_that_is_not_there_is_named():
    (problem,) = check('<p data-claims="errors.this nobody">2.0 %</p>', CLAIMS)
    assert (problem.number, problem.reason) == ("nobody", "the page names a claim that is not there")


def test_marks_hold_for_what_is_inside_and_end_with_it():
    assert found('<div data-claims="cost"><p>2.0 %</p></div><p>2.0 %</p>') == ["2.0 %"]
    assert found('<p>2.0 % <span data-claims="cost">1,400</span> 2.0 %</p>') == ["1,400"]
    assert found('<p data-claims="errors.*">2.0 % +1.0 pp</p>') == []


def test_the_words_of_a_picture_are_read():
    assert found('<img src="data:," alt="9 of 1,400">') == ["9"]


def test_a_number_over_several_tags_is_one_number():
    assert found("<p>1,<b>400</b></p>") == []
    assert found("<table><tr><td>1</td><td>400</td></tr></table>") == ["1", "400"]


def test_a_problem_is_one_safe_line():
    told = str(Problem("9", "a\x1b[31m\nb", "no claim carries it"))
    assert told == "9 in 'a b': no claim carries it"


# --- what is left out


@pytest.mark.parametrize(
    "text",
    [
        "2026-W46, 2026-Q4, 2026-11, Mon 2026-11-09, 2026-10-26 07:00 UTC, 2026-10-25T06:53:10.557+00:00",
        "Mon 9 Nov to 15 November 2026, 03:00",
        "latency p95 of gpt-4o-2024-08-06, support@3, t-01, v1.2",
        "95 % interval, 90 % intervals, the slowest 5 %",
        "<code>tr-1 99</code> <a href='https://x/7'>8</a> <samp>HTTP 500</samp>",
        "<script>9</script><style>p{margin:9px}</style>",
        "a long text… [1,234 characters more]",
        "n/a, three",
    ],
)
def test_dates_names_and_levels_are_no_numbers(text):
    assert found(f"<p>{text}</p>") == []


def test_a_name_from_the_data_is_one_elsewhere_too():
    assert found("<td><samp>HTTP 500</samp></td><p>HTTP 500 came 1,400 times, 500 of them late</p>") == ["500"]


def test_arguments_are_left_out_and_what_follows_is_not():
    html = "<details><summary>How this was made</summary><table><tr><td>seconds</td><td>1.5</td></tr></table></details><p>7</p>"
    assert found(html) == ["7"]


def test_a_sentence_of_a_claim_may_be_quoted_word_for_word():
    told = claim("finding.0", "calls without a price: 40 of 1,204", Estimate(40, 40, 40, 40), unit="count", how="x")
    assert found("<li><span>! warning</span> calls without a price: 40 of 1,204</li>", [told]) == []
    assert found("<li>calls without a price: 41 of 1,204</li>", [told]) == ["41", "1,204"]


def test_an_empty_page_and_no_claims_are_fine():
    assert check("", []) == []
    assert check("<p>nothing</p>", []) == []


def test_a_range_shares_its_unit():
    assert [n.key for n in numbers("between 0.1 and 0.5 s, 3 min 05 s")] == [
        ("", "0.1", "s"),
        ("", "0.5", "s"),
        ("", "3 min 05 s", "long"),
    ]


def test_hostile_names_do_not_stop_the_check():
    result = fx.weekly()
    marks = page_claims(result)
    assert {p.reason for p in check(views.kpi_table(result).html, [*result.claims(), *marks])} <= {
        "no claim carries it",
        "none of the claims that it names carries it",
        "the page names a claim that is not there",
    }


# --- what a page marks as no claim


def test_what_is_marked_is_left_out_and_only_there():
    html = '<p>2.0 % <span data-unclaimed="">fell by 7 to 0.9 in 5</span> and 8</p><p>fell by 7 to 0.9 in 5</p>'
    assert found(html) == ["8", "7", "0.9", "5"]
    assert found('<pre data-unclaimed=""><ins>1 of 9</ins></pre><p>1 of 9</p>') == ["1", "9"]


def test_texts_that_a_mark_lists_are_left_out_inside_it_only():
    mark = "<div data-unclaimed='[\"search 7\"]'><p>2.0 % in search 7</p><img alt='1.9 % in search 7'></div><p>search 7</p>"
    assert found(mark) == ["1.9 %", "7"]


@pytest.mark.parametrize("mark", ['["7"]', '["7.5 %", 7]', "7", "[", "{}", '["search 71", "h 7"]'])
def test_a_text_without_a_letter_or_a_part_of_a_word_or_a_broken_list_leaves_nothing_out(mark):
    assert found(f"<p data-unclaimed='{mark}'>in search 7</p>") == ["7"]


def test_a_name_is_left_out_elsewhere_as_a_whole_word_only():
    assert found("<td><code>n 9</code></td><p>n 9 of n 99</p>") == ["99"]
    assert found("<pre>fell to 9 points</pre><p>it fell to 9 points</p>") == ["9"]


def test_numbers_are_counted():
    checked = examine("<h2>Now</h2><p>2.0 % of 1,400, 9 more <code>5</code></p><p data-claims='nobody'>1 and 2</p>", CLAIMS)
    assert (checked.numbers, checked.claimed) == (5, 2)
    assert [(p.number, p.heading) for p in checked.problems] == [("9", "Now"), ("nobody", "Now")]


def test_a_change_may_be_told_without_its_plus_but_not_without_its_minus():
    down = claim("down", "Change", Estimate(-0.05, -0.08, -0.02, 9), unit="rate", how="x")
    assert found("<p>1.0 pp</p>") == []
    assert found("<p>5.0 pp</p>", [down]) == ["5.0 pp"]
