"""Each finding fires on the rows it names, counts them, and is silent on clean data."""

import datetime as dt

import pandas as pd
import pytest

import llmobs_nb as lm

START = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def span(n: int, **more) -> dict:
    at = START + dt.timedelta(minutes=n)
    row = {
        "trace_id": f"t{n}", "span_id": f"s{n}", "kind": "llm", "start_time": at, "end_time": at + dt.timedelta(seconds=1),
        "model": "gpt-4o", "provider": "openai", "tokens_in": 100, "tokens_out": 10, "source": "app", "project": "p",
    }  # fmt: skip
    return row | more


def status(tmp_path, *spans, **more):
    return lm.load(pd.DataFrame(list(spans)), store=tmp_path, **more).status()


def found(told: dict, words: str) -> int:
    """The count of the one finding that has these words; 0 where there is none."""
    hits = [f["count"] for f in told["findings"] if words in f["text"]]
    assert len(hits) < 2
    return hits[0] if hits else 0


def test_clean_data_has_no_finding(tmp_path):
    assert status(tmp_path, span(1), span(2))["findings"] == []


# Recorded price of a clean call: 100 tokens in at 2.50 and 10 out at 10.00 USD per million.
CLEAN = 100 * 2.5e-6 + 10 * 10e-6


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"model": "no-such-model-9"}, "have no price: no-such-model-9 (1)"),
        ({"cost_recorded_usd": 0.0}, "are recorded as free"),
        ({"cost_recorded_usd": -0.1}, "have a negative recorded cost"),
        ({"tokens_cache_read": 200}, "more cached than input tokens"),
        ({"tokens_total": 999}, "neither their sum nor that of their parts"),
        ({"tokens_in": -5}, "report negative tokens"),
        ({"cost_recorded_usd": CLEAN * 2}, "differs from the list price, together 2.00 of it"),
        ({"parent_id": "gone"}, "have a parent that is not in the store"),
        ({"parent_id": "gone"}, "have no root span; none is invented"),
        ({"end_time": None}, "are still open"),
        ({"end_time": START - dt.timedelta(days=1)}, "end before they start"),
        ({"start_time": None, "end_time": None, "latency_ms": 5.0}, "have no start time"),
        ({"tokens_in": None, "tokens_out": None}, "report no usage"),
    ],
)
def test_a_finding_counts_the_rows_it_is_about(tmp_path, bad, words):
    told = status(tmp_path, span(1), span(2, **bad))
    assert found(told, words) == 1


def test_a_recorded_price_that_agrees_is_no_finding(tmp_path):
    assert status(tmp_path, span(1, cost_recorded_usd=CLEAN))["findings"] == []


def test_usage_on_an_agent_above_its_calls_is_counted_once(tmp_path):
    agent = span(1, kind="agent", span_id="a", trace_id="t", cost_recorded_usd=CLEAN)
    call = span(1, span_id="b", trace_id="t", parent_id="a", cost_recorded_usd=CLEAN)
    told = status(tmp_path, agent, call)
    assert found(told, "repeat the usage of the spans below them") == 1
    assert told["cost"]["used_usd"] == pytest.approx(CLEAN)


def test_what_is_not_the_products_own_traffic_is_told_with_the_cost_of_judging(tmp_path):
    judges = [span(n, purpose="judging", cost_recorded_usd=CLEAN) for n in (1, 2)]
    told = status(tmp_path, *judges, span(3, purpose="experiment"), span(4))
    assert found(told, "count in no KPI: 2 judging, 1 experiment; judging cost $0.000700") == 3
    assert found(told, "platform") == 0


def test_a_gap_in_time_is_named_with_its_first_day(tmp_path):
    told = status(
        tmp_path,
        *(span(n, start_time=START + dt.timedelta(days=d), end_time=None, latency_ms=1.0) for n, d in enumerate((0, 1, 4, 5, 6))),
    )
    assert found(told, "days between 2026-03-02 and 2026-03-08 have no span, first 2026-03-04") == 2


def test_scores_of_strangers_and_of_unknown_raters(tmp_path):
    scores = pd.DataFrame(
        [
            {"trace_id": "t1", "name": "x", "value": 1.0, "rater": "judge", "created_at": START},
            {"trace_id": "nobody", "name": "x", "value": 1.0, "rater": "alien", "created_at": START},
        ]
    )
    told = status(tmp_path, span(1), scores=scores)
    assert found(told, "point to a trace that is not in the store") == 1
    assert found(told, "do not say who judged") == 1


def test_rows_that_come_again_are_counted(tmp_path):
    status(tmp_path, span(1), span(2))
    told = status(tmp_path, span(1), span(2))
    assert told["spans"] == 2
    assert told["duplicates_dropped"] == 2


def test_coverage_is_the_share_of_spans(tmp_path):
    told = status(tmp_path, span(1, user_id="u"), span(2), span(3), span(4))
    assert told["coverage"]["user_id"] == 0.25
    assert told["coverage"]["end_time"] == 1.0


def test_an_empty_window_is_all_zeros_and_nulls(tmp_path):
    told = lm.load(pd.DataFrame([span(1)]), store=tmp_path).between("2030-01-01").status()
    assert (told["spans"], told["traces"]) == (0, 0)
    assert told["window"] == {"start": None, "end": None}
    assert set(told["coverage"].values()) == {None}
    assert told["cost"]["used_usd"] is None


def test_what_a_run_noted_stays_readable(tmp_path):
    from llmobs_nb.ingest.run import ingest
    from llmobs_nb.store.store import Store

    folder = tmp_path / "in"
    folder.mkdir()
    pd.DataFrame([span(1)]).to_parquet(folder / "spans.parquet")
    (folder / "alien.jsonl").write_text('{"colour": "red"}\n')
    ingest([folder], Store(tmp_path / "s"))
    assert found(lm.open(tmp_path / "s").status(), "left out: file") == 1


def test_cached_tokens_inside_the_input_are_named(tmp_path):
    assert found(status(tmp_path, span(1, usage_flag="cache_counted_twice"), span(2)), "cached tokens inside their input") == 1
