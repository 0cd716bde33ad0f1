"""What a text says against what it was given and against itself: found, not found, and not applicable."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmobs_nb.stats import grounding as g

CONTEXT = """Refunds are paid within 14 days of the return. The form is called Return slip and stands under Billing.
A return is free of charge for members; others pay 4.90 euros. Opened software cannot be returned."""


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("It is free [1]. See [2, 3].", ["1", "2", "3"]),
        ("Sources: [kb-222], [kb-157].", ["kb-222", "kb-157"]),
        ("As written (source: refund_policy.pdf).", ["refund_policy.pdf"]),
        ("Footnote[^1] and https://a.example/x?y=1.", ["https://a.example/x?y=1"]),
        ("Read [the form](https://a.example/form) first.", ["https://a.example/form"]),
        ("Take rows[1] of `a[2]` and fill in [your name]; tick [x].", []),
        ("```\nprint(a, [3])\n```\nNothing else.", []),
    ],
)
def test_citations_are_found_and_what_only_looks_like_one_is_not(answer, cited):
    assert g.citations(answer) == cited


@pytest.mark.parametrize(
    ("answer", "ids", "unknown"),
    [
        ("Free [1], fast [4].", ["a", "b", "c"], ["4"]),
        ("See [kb-12] and [kb-99].", ["kb-12#3", "kb-13"], ["kb-99"]),
        ("See [DOC-3].", ["docs/doc-3.md"], []),
        ("See https://help.example/refunds/.", ["https://www.help.example/refunds"], []),
        ("See https://help.example/made-up.", ["https://help.example/refunds"], ["https://help.example/made-up"]),
        ("As written (source: Return slip).", ["x"], []),
    ],
)
def test_a_citation_is_unknown_where_nothing_retrieved_bears_its_name(answer, ids, unknown):
    assert g.unknown_citations(answer, ids, CONTEXT)[0] == unknown


def test_citations_are_not_judged_where_nothing_is_cited_or_nothing_was_retrieved():
    assert g.unknown_citations("Nothing is cited.", ["a"]) is None
    assert g.unknown_citations("See [kb-1].", [], "") is None


def test_an_id_is_not_known_by_a_part_of_another_one():
    assert g.unknown_citations("See [kb-1].", ["kb-12"], "kb-12 says so")[0] == ["kb-1"]


def test_a_copy_is_contained_an_invention_is_not_and_a_paraphrase_lies_between():
    copy = "Refunds are paid within 14 days of the return."
    reworded = "You get the refund paid in 14 days after returning; the slip stands under Billing."
    invention = "Our lawyers send every customer a golden watch before Christmas morning."
    values = [g.containment(text, CONTEXT) for text in (copy, reworded, invention)]
    assert values[0] == 1 and values[2] == 0
    assert 0.25 < values[1] < 0.9


def test_overlap_is_not_said_of_a_short_answer_or_without_a_context():
    assert g.containment("Yes, within 14 days.", CONTEXT) is None
    assert g.containment("Refunds are paid within fourteen working days after return.", "") is None


def test_overlap_works_in_a_script_without_blanks():
    assert g.containment("退款将在十四天内支付", "退款将在十四天内支付。表格在账单下。") == 1
    assert g.containment("每位客户都会收到金表", "退款将在十四天内支付。") == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("The limit is 20 seats a team. As said, the limit is 50 seats a team.", "number"),
        ("The refund takes 14 days.\n- The refund takes 1,400 days.", "number"),
        ("The fee is $5.00 a month. The fee is $7 a month.", "number"),
        ("The contract ends on 3 March 2026. The contract ends on 2026-04-03.", "date"),
        ("The export holds deleted records. The export does not hold deleted records.", "negation"),
    ],
)
def test_an_answer_that_contradicts_itself_is_caught(answer, kind):
    assert [c.kind for c in g.contradictions(answer)] == [kind]


@pytest.mark.parametrize(
    "answer",
    [
        "The free plan has 5 seats. The team plan has 20 seats.",
        "The limit is 20 seats. The limit of projects is 50.",
        "The fee is $5 a month. The fee is 5.00 $ a month, as agreed.",
        "The contract ends on 3 March. The contract ends on March 3, 2026.",
        "If you are a member, the return costs 0 euros. The return costs 4.90 euros otherwise.",
        "1. Open Billing.\n2. Open Billing limits.\n3. Save.",
        "The key is not shown. Deleted folders can be restored.",
        "- Departure: 17:00 EST\n- Price: $364\n\n- Departure: 13:00 EST\n- Price: $580",
        "**Flight Option 1:**\n**Flight Option 2:**",
    ],
)
def test_sentences_about_different_things_do_not_contradict(answer):
    assert not g.contradictions(answer)


def test_contradiction_is_not_applicable_where_no_two_sentences_share_a_topic():
    assert g.contradictions("Open Billing. Refunds take 14 days.") is None
    assert g.contradictions("") is None
    assert g.contradictions("The refund takes 14 days. The refund takes 14 working days.") == []


def test_answers_to_one_question_disagree_by_number_by_denial_and_by_yes_and_no():
    first = "The limit is 20 attachments on your plan."
    assert g.disagreement(first, ["The limit is 50 attachments on your plan.", "The limit is 20 attachments."]) == 0.5
    assert g.disagreement("Yes, exports hold deleted records as well.", ["No, they are gone for good after a month."]) == 1
    assert g.disagreement("Paris", ["Lyon", "paris"]) == 0.5
    assert g.disagreement("Exports hold deleted records.", ["Exports do not hold deleted records."]) == 1
    assert g.disagreement(first, []) is None


def test_hedging_is_the_share_of_sentences_that_hedge():
    assert g.hedging("I think it is free. It takes 14 days. Perhaps longer. Please verify.") == 0.75
    assert g.hedging("It is free.") == 0
    assert g.hedging(" \n ") is None


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("It is free. Confidence: 0.7", 0.7),
        ('{"answer": "free", "confidence": 85}', 0.85),
        ("I am 60% sure.", 0.6),
        ("Confidence level: 4/10", 0.4),
        ("confidence: very low", 0.1),
        ("Confidence: 900", None),
        ("I have every confidence in you.", None),
    ],
)
def test_stated_confidence_is_read_where_it_stands(answer, value):
    assert g.stated_confidence(answer) == (value if value is None else pytest.approx(value))


def test_questions_that_differ_in_dress_only_are_the_same():
    assert g.question_key("  How many SEATS?! ") == g.question_key("how many seats")
    assert g.question_key("How many seats") != g.question_key("How many rows")


@given(st.text(max_size=400), st.text(max_size=200))
def test_no_text_breaks_a_signal_and_all_values_stay_in_the_unit(answer, context):
    values = [g.containment(answer, context), g.hedging(answer), g.stated_confidence(answer), g.disagreement(answer, [context])]
    assert all(v is None or 0 <= v <= 1 for v in values)
    g.contradictions(answer)
    g.unknown_citations(answer, [context], context)


@pytest.mark.parametrize("unit", ["[", "a ", "1.", "https://", "not ", "confidence: ", "3 March ", "```", "x" * 50])
def test_a_long_hostile_text_takes_no_long_time(unit):
    text = unit * (50_000 // len(unit))
    began = time.perf_counter()
    g.unknown_citations(text, ["a"], text)
    g.contradictions(text)
    g.hedging(text)
    g.stated_confidence(text)
    assert time.perf_counter() - began < 10
