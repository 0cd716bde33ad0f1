"""Completeness: what the source counts per day against what is here, the days that differ, the old traces that survive."""

import datetime as dt

import pytest
from storekit import at, put, score, span

import llmobs_nb as lm
from llmobs_nb import completeness
from llmobs_nb.status import to_html, to_text

MONDAY = dt.date(2026, 1, 5)
DAY = dt.timedelta(days=1)


def total(rows: int, entity: str = "spans", *, day: int = 0, **more) -> dict:
    """What the source counts on a day after the test's Monday."""
    row = {"source": "test", "project": "p", "entity": entity, "day": MONDAY + day * DAY, "rows": rows}
    return row | {"complete": True, "checked_at": at(0)} | more


def status(root, **tables) -> dict:
    put(root, **tables)
    return lm.open(root).status()


def found(told: dict, words: str) -> list[tuple[str, int]]:
    return [(f["severity"], f["count"]) for f in told["findings"] if words in f["text"]]


def states(told: dict) -> dict:
    return {(c["entity"], c["day"]): (c["there"], c["here"], c["missing"], c["state"]) for c in told["completeness"]}


def test_a_store_that_asked_no_source_compares_nothing(root):
    told = status(root, spans=[span("a")])
    assert told["completeness"] == []
    assert "compared" not in to_text(told, "s")


def test_each_day_has_a_state(root):
    late = 86_400
    told = status(
        root,
        spans=[span("a"), span("b"), span("c", start_time=at(late)), span("d", start_time=at(2 * late))],
        scores=[score("x"), score("y", created_at=at(late))],
        source_totals=[
            total(2), total(3, day=1), total(0, day=2), total(9, day=3, complete=False), total(1, day=4),
            total(1, "scores"), total(2, "scores", day=1), total(5, "galaxies"),
        ],
    )  # fmt: skip
    assert states(told) == {
        ("spans", "2026-01-05"): (2, 2, 0, "complete"),
        ("spans", "2026-01-06"): (3, 1, 2, "incomplete"),
        ("spans", "2026-01-07"): (0, 1, 0, "more"),
        ("spans", "2026-01-08"): (9, 0, 9, "unchecked"),
        ("spans", "2026-01-09"): (1, 0, 1, "incomplete"),
        ("scores", "2026-01-05"): (1, 1, 0, "complete"),
        ("scores", "2026-01-06"): (2, 1, 1, "incomplete"),
        ("galaxies", "2026-01-05"): (5, None, None, "unchecked"),
    }


def test_missing_rows_are_a_warning_with_days_and_cure(root):
    told = status(root, spans=[span("a")], source_totals=[total(5, day=n) for n in range(5)])
    text = next(f["text"] for f in told["findings"] if "not here" in f["text"])
    assert text == (
        "24 rows that test counts are not here: 2026-01-05 p spans (4), 2026-01-06 p spans (5), 2026-01-07 p spans (5) and 2 more;"
        " get them with: llmobs pull test --since 2026-01-05"
    )
    assert found(told, "not here") == [("warning", 24)]


def test_more_rows_than_the_source_has_are_told_but_no_loss(root):
    told = status(root, spans=[span("a"), span("b")], source_totals=[total(1)])
    assert found(told, "first on 2026-01-05: deleted there, or here from files") == [("info", 1)]
    assert found(told, "not here") == []


def test_a_row_is_compared_under_the_day_of_its_time_not_that_of_its_file(root):
    put(root, spans=[span("a")])
    told = status(
        root, spans=[span("a", start_time=at(86_400), updated_at=at(90_000))], source_totals=[total(0), total(1, day=1)]
    )
    assert {s[-1] for s in states(told).values()} == {"complete"}


def test_other_projects_and_sources_do_not_help(root):
    told = status(root, spans=[span("a", project="q"), span("b", source="x")], source_totals=[total(1)])
    assert states(told) == {("spans", "2026-01-05"): (1, 0, 1, "incomplete")}


@pytest.mark.parametrize(
    ("there", "state"),
    [
        ({"cost_usd": 1.0}, "complete"),
        ({"cost_usd": 1.004}, "complete"),
        ({"cost_usd": 1.006}, "incomplete"),
        ({"cost_usd": 0.5}, "complete"),
        ({"tokens_in": 100, "tokens_out": 10}, "complete"),
        ({"tokens_in": 101}, "incomplete"),
        ({"tokens_out": 11}, "incomplete"),
        ({}, "complete"),
    ],
)
def test_tokens_and_cost_may_fall_short_by_half_a_per_cent(root, there, state):
    used = {"tokens_in": 100, "tokens_out": 10, "cost_recorded_usd": 1.0}
    told = status(root, spans=[span("a", **used)], source_totals=[total(1, **there)])
    assert [c["state"] for c in told["completeness"]] == [state]
    assert len(found(told, "less of its tokens or cost")) == (state == "incomplete")


def test_a_negative_total_that_agrees_is_complete(root):
    told = status(root, spans=[span("a", cost_recorded_usd=-1.0)], source_totals=[total(1, cost_usd=-1.0)])
    assert [c["state"] for c in told["completeness"]] == ["complete"]


def test_usage_that_a_parent_repeats_counts_as_the_source_counts_it(root):
    used = {"tokens_in": 100, "tokens_out": 10, "cost_recorded_usd": 1.0, "cost_usd": 1.0, "cost_source": "recorded"}
    told = status(
        root,
        spans=[span("a", kind="agent", **used), span("b", parent_id="a", **used)],
        source_totals=[total(2, tokens_in=200, cost_usd=2.0)],
    )
    (day,) = told["completeness"]
    assert (day["tokens_in_here"], day["cost_usd_here"], day["state"]) == (200, 2.0, "complete")
    assert lm.open(root).sql("SELECT sum(cost_usd) AS c FROM spans")["c"][0] == 1.0


def test_tokens_of_a_day_with_a_flagged_span_are_not_compared(root):
    told = status(
        root,
        spans=[span("a", tokens_in=100, usage_flag="cache_counted_twice")],
        source_totals=[total(1, tokens_in=190)],
    )
    (day,) = told["completeness"]
    assert (day["tokens_in_here"], day["state"]) == (None, "complete")


def test_the_page_sums_up_and_lists_at_most_twenty_days_that_differ(root):
    told = status(root, spans=[span("a")], source_totals=[total(1), *(total(n, day=n) for n in range(1, 31))])
    text = to_text(told, "s")
    assert "compared   test p spans on 31 days: 466 there, 1 here, 465 missing" in text
    assert text.count("differs ") == 20
    assert "differs    test p spans on 2026-02-04: 30 there, 0 here, 30 missing" in text
    page = str(to_html(told, "s"))
    assert ">465<" in page
    assert "2026-01-16" in page
    assert "2026-01-15" not in page


def test_a_day_that_lacks_cost_says_how_much(root):
    told = status(root, spans=[span("a", cost_recorded_usd=1.0)], source_totals=[total(1, cost_usd=2.0)])
    assert "test p spans on 2026-01-05: 1 there, 1 here, 0 missing, cost_usd 1 of 2" in to_text(told, "s")


def test_names_from_outside_cannot_reach_the_terminal_or_the_page(root):
    told = status(root, source_totals=[total(1, project="<b>\x1b[31mred", complete=True)], spans=[span("a")])
    assert "\x1b" not in to_text(told, "s")
    assert "&lt;b&gt;" in str(to_html(told, "s"))
    assert "\x1b" not in str(to_html(told, "s"))


@pytest.mark.parametrize(
    ("narrow", "days"),
    [
        ({"since": "2026-01-06"}, ["2026-01-06", "2026-01-07"]),
        ({"since": "2026-01-05T06:00", "until": "2026-01-07"}, ["2026-01-06"]),
        ({"until": "2026-01-06T23:00"}, ["2026-01-05"]),
    ],
)
def test_a_narrower_handle_compares_whole_days_of_spans_only(root, narrow, days):
    put(root, spans=[span("a")], source_totals=[*(total(1, day=n) for n in range(3)), total(1, "scores")])
    told = lm.open(root).between(**narrow).status()
    assert [c["day"] for c in told["completeness"]] == days


def test_a_handle_for_some_values_compares_nothing(root):
    put(root, spans=[span("a", feature="x")], source_totals=[total(1)])
    assert lm.open(root).where(feature="x").status()["completeness"] == []


# Rows that vanished, and the traces that survive


def lost(row_id: str, **more) -> dict:
    row = {"source": "test", "project": "p", "entity": "spans", "trace_id": "t1", "row_id": row_id, "gone": True}
    return row | {"noticed_at": at(0)} | more


def test_vanished_rows_are_counted_by_where_they_were(root):
    told = status(root, spans=[span("a")], vanished=[lost("a"), lost("b"), lost("c", entity="scores"), lost("d", gone=False)])
    assert found(told, "no longer had when all of it was compared: test scores (1), test spans (2)") == [("info", 3)]


def langsmith(n: int, days_ago: float) -> dict:
    return span(f"r{n}", source="langsmith", trace_id=f"t{n}", start_time=at(-86_400 * days_ago))


def survivors(root, *, old: int, old_judged: int, young: int, young_judged: int, source="langsmith", **tables) -> list:
    spans = [langsmith(n, 20) for n in range(old)] + [langsmith(n + 1000, 1) for n in range(young)]
    judged = [*range(old_judged), *range(1000, 1000 + young_judged)]
    put(root, spans=spans, scores=[score(f"s{n}", source=source, trace_id=f"t{n}") for n in judged], **tables)
    return found(lm.open(root).status(), "lean towards judged traces")


@pytest.mark.parametrize(
    ("case", "count"),
    [
        ({"old": 50, "old_judged": 45, "young": 50, "young_judged": 5}, 50),
        ({"old": 50, "old_judged": 6, "young": 50, "young_judged": 5}, None),
        ({"old": 50, "old_judged": 5, "young": 50, "young_judged": 45}, None),
        ({"old": 3, "old_judged": 3, "young": 3, "young_judged": 2}, None),
        ({"old": 50, "old_judged": 50, "young": 0, "young_judged": 0}, None),
        ({"old": 0, "old_judged": 0, "young": 50, "young_judged": 25}, None),
    ],
)
def test_old_langsmith_traces_that_carry_more_feedback_are_told(root, case, count):
    assert survivors(root, **case) == ([("warning", count)] if count else [])


def test_old_is_before_the_newest_pull(root):
    pulled = [total(1, source="langsmith", checked_at=at(-10 * 86_400))]
    assert survivors(root, old=50, old_judged=45, young=50, young_judged=5, source_totals=pulled) == []


def test_langsmith_spans_that_vanished_are_told_whatever_the_feedback(root):
    gone = [lost("r1", source="langsmith"), lost("r2", source="langsmith", gone=False), lost("x")]
    assert survivors(root, old=5, old_judged=0, young=5, young_judged=0, vanished=gone) == [("warning", 1)]


def test_other_sources_have_no_such_finding(root):
    put(root, spans=[span("a")], vanished=[lost("a")])
    obs = lm.open(root)
    assert completeness.survivors(obs.query) == []
