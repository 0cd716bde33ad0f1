"""What a pull brings besides traffic: from the API's rows to tables, out of them again, and why a span was made."""

import datetime as dt
import json

import pandas as pd
import pytest
from langfusekit import ROW
from rows import extracted
from storekit import at, load, observation, put, rows, score, span, write_lines

import llmobs_nb as lm
from llmobs_nb.ingest.run import ingest
from llmobs_nb.schema import PULLED, TABLES
from llmobs_nb.store.store import ERASED, Store

NOON = "2026-11-20T12:00:00.000Z"
WHEN = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DATED = {"createdAt": NOON, "updatedAt": NOON}
MADE = {"created_at": WHEN, "updated_at": WHEN}


def told(path, *records) -> dict[str, list[dict]]:
    """{table: rows without nulls} of API rows, one a line."""
    return extracted(write_lines(path / "rows.jsonl", records))[1]


def one(path, record) -> tuple[str, dict]:
    """(table, row) of the only row that a record gives."""
    ((table, (row,)),) = told(path, record).items()
    return table, row


LANGFUSE = {
    "score config": (
        {"id": "c", "projectId": "p", "name": "quality", "dataType": "NUMERIC", "minValue": 0, "maxValue": 5, "isArchived": False,
         "categories": None, "description": "how good"} | DATED,
        "score_configs",
        {"config_id": "c", "name": "quality", "data_type": "numeric", "min_value": 0.0, "max_value": 5.0, "is_archived": False,
         "description": "how good"} | MADE,
    ),
    "dataset item": (
        {"id": "i", "projectId": "p", "status": "ARCHIVED", "input": {"q": "?"}, "expectedOutput": "a", "metadata": {"lang": "en"},
         "sourceTraceId": "t", "sourceObservationId": "o", "datasetId": "d", "datasetName": "qa"} | DATED,
        "dataset_items",
        {"item_id": "i", "status": "archived", "input": '{"q":"?"}', "expected": "a", "metadata": {"lang": "en"}, "trace_id": "t",
         "span_id": "o", "dataset_id": "d", "dataset": "qa"} | MADE,
    ),
    "experiment item": (
        {"id": "root", "projectId": "p", "traceId": "t", "startTime": NOON, "endTime": None, "level": "DEFAULT",
         "environment": "sdk-experiment", "experimentId": "e", "experimentName": "baseline", "experimentItemId": "i",
         "experimentDatasetId": "d", "experimentItemMetadata": {"lang": "en"}, "expectedOutput": "a", "scores": []},
        "experiment_items",
        {"experiment_id": "e", "experiment": "baseline", "dataset_id": "d", "item_id": "i", "trace_id": "t", "span_id": "root",
         "metadata": {"lang": "en"}, "started_at": WHEN},
    ),
    "dataset run item": (
        {"id": "link", "projectId": "p", "datasetRunId": "e", "datasetRunName": "baseline", "datasetItemId": "i", "traceId": "t",
         "observationId": None} | DATED,
        "experiment_items",
        {"experiment_id": "e", "experiment": "baseline", "item_id": "i", "trace_id": "t", "started_at": WHEN},
    ),
    "queue item": (
        {"id": "i", "projectId": "p", "queueId": "q", "queueName": "weekly", "objectId": "t", "objectType": "TRACE",
         "status": "COMPLETED", "completedAt": NOON} | DATED,
        "queue_items",
        {"item_id": "i", "queue_id": "q", "queue": "weekly", "trace_id": "t", "status": "completed", "completed_at": WHEN} | MADE,
    ),
    "comment": (
        {"id": "c", "projectId": "p", "objectType": "TRACE", "objectId": "t", "content": "why?", "authorUserId": "u"} | DATED,
        "comments",
        {"comment_id": "c", "trace_id": "t", "text": "why?", "author": "u"} | MADE,
    ),
    "model": (
        {"id": "m", "projectId": "p", "modelName": "gpt-4o", "matchPattern": "(?i)^gpt-4o$", "startDate": NOON, "unit": "TOKENS",
         "inputPrice": 2.5e-06, "outputPrice": 1e-05, "createdAt": NOON, "prices": {"input": {"price": 2.5e-06}},
         "pricingTiers": [{"name": "long"}]},
        "source_prices",
        {"model_id": "m", "model_name": "gpt-4o", "match_pattern": "(?i)^gpt-4o$", "unit": "tokens", "input_usd": 2.5e-06,
         "output_usd": 1e-05, "prices": {"prices": {"input": {"price": 2.5e-06}}, "tiers": [{"name": "long"}]}, "start_date": WHEN,
         "updated_at": WHEN},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("record", "table", "expected"), LANGFUSE.values(), ids=list(LANGFUSE))
def test_what_langfuse_lists_beside_traffic(tmp_path, record, table, expected):
    found, row = one(tmp_path, record)
    if "prices" in row:
        row["prices"] = json.loads(row["prices"])
    assert (found, row) == (table, {"source": "langfuse", "project": "p"} | expected)


@pytest.mark.parametrize(
    ("kind", "column"), [("TRACE", "trace_id"), ("OBSERVATION", "span_id"), ("SESSION", "session_id"), ("PROMPT", "prompt_id")]
)
def test_a_comment_stands_under_what_it_is_about(tmp_path, kind, column):
    record = {"id": "c", "projectId": "p", "objectType": kind, "objectId": "x", "content": "why?"}
    _, row = one(tmp_path, record)
    assert {c: v for c, v in row.items() if c.endswith("_id") and c != "comment_id"} == {column: "x"}


def test_an_object_of_a_new_type_costs_no_row(tmp_path):
    record = {"id": "i", "projectId": "p", "queueId": "q", "objectType": "PLANET", "objectId": "x", "status": "SLEEPING"}
    _, row = one(tmp_path, record)
    assert row["status"] == "SLEEPING"
    assert not {"trace_id", "span_id", "session_id"} & row.keys()


@pytest.mark.parametrize(
    ("prompt", "template"),
    [
        ("Answer {{question}}.", "Answer {{question}}."),
        ([{"role": "system", "content": "Hi"}], '[{"role":"system","content":"Hi"}]'),
    ],
)
def test_a_prompt_of_langfuse_is_a_template_with_a_version(tmp_path, prompt, template):
    record = {"id": "x", "projectId": "p", "name": "answer", "version": 7, "prompt": prompt, "type": "text", "labels": [],
              "createdBy": "ada"}  # fmt: skip
    table, row = one(tmp_path, record | DATED)
    assert (table, row) == (
        "prompts",
        {"name": "answer", "version": "7", "template": template, "first_seen": WHEN, "author": "ada"},
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"id": "i", "queueId": "", "objectType": "TRACE", "objectId": "t"}, "no queue_id"),
        ({"id": "link", "datasetRunId": "e", "datasetItemId": "i", "traceId": None}, "no trace_id"),
        ({"id": "c", "name": "q", "isArchived": False, "minValue": "low"}, "minValue is not a number: low"),
        ({"name": "p", "versions": [1], "labels": []}, "not a span, score or trace: a list of prompt versions"),
    ],
)
def test_what_cannot_be_kept_says_why(tmp_path, record, reason):
    found = told(tmp_path, ROW, record)
    assert [q["reason"] for q in found["quarantine"]] == [reason]


LANGSMITH = {
    "feedback config": (
        {"feedback_key": "quality", "feedback_config": {"type": "continuous", "min": 0, "max": 1, "categories": None},
         "tenant_id": "w", "modified_at": NOON, "is_lower_score_better": True},
        "score_configs",
        {"config_id": "quality", "name": "quality", "data_type": "numeric", "min_value": 0.0, "max_value": 1.0,
         "lower_is_better": True, "updated_at": WHEN},
    ),
    "freeform config": (
        {"feedback_key": "note", "feedback_config": {"type": "freeform"}, "tenant_id": "w", "modified_at": NOON},
        "score_configs",
        {"config_id": "note", "name": "note", "data_type": "text", "updated_at": WHEN},
    ),
    "example": (
        {"id": "x", "dataset_id": "d", "dataset_name": "qa", "inputs": {"q": "?"}, "outputs": {"a": "!"}, "source_run_id": "r",
         "metadata": {"dataset_split": ["train", "base"]}, "created_at": NOON, "modified_at": NOON},
        "dataset_items",
        {"item_id": "x", "dataset_id": "d", "dataset": "qa", "input": '{"q":"?"}', "expected": '{"a":"!"}', "span_id": "r",
         "split": "train, base", "metadata": {"dataset_split": '["train","base"]'}} | MADE,
    ),
    "queue item": (
        {"id": "i", "queue_id": "q", "queue_name": "weekly", "item_type": "RUN", "run_id": "r", "project_id": "p", "added_at": NOON,
         "last_reviewed_time": None},
        "queue_items",
        {"item_id": "i", "queue_id": "q", "queue": "weekly", "span_id": "r", "project": "p", "status": "pending"} | MADE,
    ),
    "thread in a queue": (
        {"id": "i", "queue_id": "q", "item_type": "THREAD", "thread_id": "s", "session_name": "bot", "project_id": "p",
         "added_at": NOON, "last_reviewed_time": NOON, "queue_status": "archived"},
        "queue_items",
        {"item_id": "i", "queue_id": "q", "session_id": "s", "project": "p", "status": "completed", "completed_at": WHEN} | MADE,
    ),
    "reviewed by some": (
        {"id": "i", "queue_id": "q", "run_id": "r", "project_id": "p", "added_at": NOON, "last_reviewed_time": NOON,
         "queue_status": "needs_others_review"},
        "queue_items",
        {"item_id": "i", "queue_id": "q", "span_id": "r", "project": "p", "status": "pending"} | MADE,
    ),
    "root run as a queue lists it": (
        {"id": "t", "trace_id": "t", "queue_run_id": "i", "queue_id": "q", "name": "bot", "run_type": "chain", "session_id": "p",
         "status": "error", "thread_id": "s", "added_at": NOON, "last_reviewed_time": NOON},
        "queue_items",
        {"item_id": "i", "queue_id": "q", "trace_id": "t", "project": "p", "status": "completed", "completed_at": WHEN} | MADE,
    ),
    "price": (
        {"id": "m", "name": "gpt-4o", "match_pattern": "^gpt-4o", "prompt_cost": "0.0000025", "completion_cost": "0.00001",
         "prompt_cost_details": {"cache_read": "0.00000125"}, "provider": "openai", "start_time": NOON, "pulled_at": NOON},
        "source_prices",
        {"model_id": "m", "model_name": "gpt-4o", "match_pattern": "^gpt-4o", "unit": "tokens", "input_usd": 2.5e-06,
         "output_usd": 1e-05, "prices": '{"input":{"cache_read":"0.00000125"},"provider":"openai"}', "start_date": WHEN,
         "updated_at": WHEN},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("record", "table", "expected"), LANGSMITH.values(), ids=list(LANGSMITH))
def test_what_langsmith_lists_beside_runs(tmp_path, record, table, expected):
    assert one(tmp_path, record) == (table, {"source": "langsmith", "project": ""} | expected)


RUN = {"id": "r", "trace_id": "r", "run_type": "chain", "name": "bot", "session_id": "p-1", "session_name": "qa-1",
       "start_time": NOON, "reference_example_id": "x", "reference_dataset_id": "d"}  # fmt: skip


def test_the_root_of_an_experiments_run_is_also_an_item_of_the_experiment(tmp_path):
    child = {k: v for k, v in RUN.items() if not k.startswith("reference")} | {"id": "c", "parent_run_id": "r"}
    found = told(tmp_path, RUN, child, RUN | {"id": "n", "parent_run_id": "r"})
    assert [s["span_id"] for s in found["spans"]] == ["r", "c", "n"]
    assert found["experiment_items"] == [
        {"experiment_id": "p-1", "experiment": "qa-1", "dataset_id": "d", "item_id": "x", "trace_id": "r", "started_at": WHEN,
         "source": "langsmith", "project": "p-1"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "purpose"),
    [
        ("langfuse-llm-as-a-judge", "judging"),
        ("langfuse-evaluation", "judging"),
        ("langfuse-code-eval", "judging"),
        ("langfuse-prompt-experiment", "experiment"),
        ("sdk-experiment", "experiment"),
        ("langfuse-natural-language-filter", "platform"),
        ("langfuse-in-app-agent", "platform"),
        ("langfuse-staging", None),
        ("production", None),
        (None, None),
    ],
)
def test_langfuse_tells_the_purpose_by_the_environment(tmp_path, environment, purpose):
    trace = {"id": "t1", "projectId": "prj", "timestamp": NOON, "userId": "u", "environment": environment}
    found = told(tmp_path, ROW | {"environment": environment}, trace)
    assert [found[t][0].get("purpose") for t in ("spans", "trace_facts")] == [purpose, purpose]


@pytest.mark.parametrize(
    ("changes", "purpose"),
    [
        ({}, "experiment"),
        ({"reference_example_id": None}, None),
        ({"extra": {"metadata": {"reference_run_id": "judged"}}}, "judging"),
        ({"reference_example_id": None, "metadata": {"reference_run_id": "judged", "reference_example_id": "x"}}, "judging"),
    ],
)
def test_langsmith_tells_the_purpose_by_the_example_or_the_run_that_is_judged(tmp_path, changes, purpose):
    assert told(tmp_path, RUN | changes)["spans"][0].get("purpose") == purpose


@pytest.mark.parametrize(("word", "purpose"), [("Judging", "judging"), ("support", None)])
def test_only_known_words_take_a_span_out_of_the_kpis(tmp_path, word, purpose):
    frame = pd.DataFrame([{"trace_id": "t", "span_id": "s", "start_time": WHEN, "purpose": word}])
    assert lm.load(frame, store=tmp_path).query("SELECT purpose FROM spans")["purpose"].to_pylist() == [purpose]


def test_the_cost_of_judging_is_told_by_its_target(tmp_path):
    judged = {"evaluator_id": "e", "job_execution_id": "j", "target_trace_id": "t9", "target_observation_id": "o9"}
    path = write_lines(
        tmp_path / "a.jsonl",
        [
            observation("a", totalCost=0.25, costDetails={"total": 0.25}, environment="langfuse-llm-as-a-judge", metadata=judged),
            observation("b", traceId="t9"),
        ],
    )
    found = lm.load(path, store=tmp_path / "s").sql("""SELECT metadata['target_trace_id'] AS t, metadata['target_observation_id'] AS o,
        sum(cost_usd) AS cost FROM spans WHERE purpose = 'judging' GROUP BY ALL""")
    assert found.to_dict("records") == [{"t": "t9", "o": "o9", "cost": 0.25}]


# Our own notes: what a source counts, what it no longer has.

TOTAL = {"source": "langfuse", "project": "p", "entity": "spans", "day": dt.date(2026, 1, 5), "rows": 3, "tokens_in": 30,
         "cost_usd": 0.5, "complete": True, "checked_at": at(0)}  # fmt: skip
LOST = {
    "source": "langfuse",
    "project": "p",
    "entity": "spans",
    "trace_id": "t1",
    "row_id": "a",
    "gone": True,
    "noticed_at": at(0),
}


def note(root, **frames):
    return ingest([], Store(root), frames=[(table, pd.DataFrame(found)) for table, found in frames.items()], threads=1)


def test_totals_come_as_a_frame_and_the_newest_count_of_a_day_stands(root):
    other = TOTAL | {"day": dt.date(2026, 1, 6)}
    note(root, source_totals=[TOTAL, other])
    note(root, source_totals=[TOTAL | {"rows": 4, "checked_at": at(60)}, other | {"rows": 1, "checked_at": at(-60)}])
    found = {r["day"]: r for r in rows(root, "source_totals")}
    assert {day: r["rows"] for day, r in found.items()} == {TOTAL["day"]: 4, other["day"]: 3}
    assert {k: found[other["day"]][k] for k in TOTAL} == other


def test_notes_come_as_lines_too(root, tmp_path):
    lines = [json.loads(json.dumps(r, default=str)) for r in (TOTAL, LOST)]
    load(root, *(write_lines(tmp_path / f"{n}.jsonl", [line]) for n, line in enumerate(lines)))
    assert [{k: r[k] for k in TOTAL} for r in rows(root, "source_totals")] == [TOTAL]
    assert [{k: r[k] for k in LOST} for r in rows(root, "vanished")] == [LOST]


def test_a_day_that_is_none_is_quarantined(root):
    note(root, source_totals=[TOTAL | {"day": "2026-01-05"}, TOTAL | {"day": "soon"}, TOTAL | {"day": None}])
    assert sorted(r["reason"] for r in rows(root, "quarantine")) == ["day is not a day: soon", "no day"]


def test_a_row_that_is_found_again_has_not_vanished(root):
    note(root, vanished=[LOST, LOST | {"row_id": "b"}])
    note(root, vanished=[LOST | {"gone": False, "noticed_at": at(60)}])
    assert {r["row_id"]: r["gone"] for r in rows(root, "vanished")} == {"a": False, "b": True}


def test_a_newer_version_of_a_pulled_row_replaces_the_older(root, tmp_path):
    item, table, _ = LANGFUSE["queue item"]
    later = item | {"status": "PENDING", "completedAt": None, "updatedAt": "2026-11-21T12:00:00Z"}
    load(root, write_lines(tmp_path / "a.jsonl", [later]))
    load(root, write_lines(tmp_path / "b.jsonl", [item]))
    assert [(r["status"], r["completed_at"]) for r in rows(root, table)] == [("pending", None)]


# Erasing


def test_every_table_that_names_a_trace_is_erased_from():
    assert set(ERASED) == {t.name for t in TABLES.values() if "trace_id" in t} | {"quarantine"}
    assert ERASED[-1] == "spans"


def test_erasing_takes_what_was_pulled_about_a_trace_and_leaves_its_neighbours(root):
    owned = {"source": "test", "project": "p"}
    traces = {"t1": ("a", "s1"), "t2": ("b", "s2")}
    items = [owned | {"item_id": f"of-{t}", "queue_id": "q", "trace_id": t} for t in traces]
    items += [owned | {"item_id": f"of-{s}", "queue_id": "q", "span_id": s} for s, _ in traces.values()]
    items += [owned | {"item_id": f"of-{s}", "queue_id": "q", "session_id": s} for _, s in traces.values()]
    put(
        root,
        spans=[span(s, trace_id=t, session_id=session, user_id=f"u-{t}") for t, (s, session) in traces.items()],
        queue_items=items,
        comments=[owned | {"comment_id": f"of-{t}", "trace_id": t} for t in traces],
        dataset_items=[owned | {"item_id": f"of-{t}", "trace_id": t, "input": "said"} for t in traces],
        experiment_items=[owned | {"experiment_id": "e", "item_id": "i", "trace_id": t} for t in traces],
        vanished=[owned | {"entity": "spans", "trace_id": t, "row_id": s} for t, (s, _) in traces.items()],
    )
    removed = lm.open(root).erase(user_id="u-t1")
    assert {t.name: removed.get(t.name) for t in PULLED if t.name in removed} == {
        "queue_items": 3, "comments": 1, "dataset_items": 1, "experiment_items": 1, "vanished": 1,
    }  # fmt: skip
    assert sorted(r["item_id"] for r in rows(root, "queue_items")) == ["of-b", "of-s2", "of-t2"]
    assert [
        r["trace_id"] for name in ("comments", "dataset_items", "experiment_items", "vanished") for r in rows(root, name)
    ] == ["t2"] * 4


def test_a_span_of_another_source_with_the_same_id_keeps_its_comments(root):
    comments = [{"source": s, "project": "p", "comment_id": "c", "span_id": "a"} for s in ("test", "other")]
    put(root, spans=[span("a", trace_id="t1")], comments=comments)
    assert lm.open(root).erase(trace_id="t1")["comments"] == 1
    assert [r["source"] for r in rows(root, "comments")] == ["other"]


# Narrower handles


def test_what_is_of_a_trace_goes_with_it_into_a_narrower_handle(root):
    owned = {"source": "test", "project": "p"}
    put(
        root,
        spans=[span("a", trace_id="t1", feature="x"), span("b", trace_id="t2", start_time=at(86_400))],
        queue_items=[owned | {"item_id": t, "queue_id": "q", "trace_id": t} for t in ("t1", "t2")],
        comments=[owned | {"comment_id": str(n), "session_id": "s", "created_at": at(n * 86_400)} for n in (0, 1)],
        dataset_items=[owned | {"item_id": t, "trace_id": t} for t in ("t1", "t2")],
    )
    obs = lm.open(root)
    day = obs.between("2026-01-05", "2026-01-06")
    assert day.sql("SELECT item_id FROM queue_items")["item_id"].tolist() == ["t1"]
    assert day.sql("SELECT comment_id FROM comments")["comment_id"].tolist() == ["0"]
    assert len(day.sql("SELECT * FROM dataset_items")) == 2
    assert obs.where(feature="x").sql("SELECT item_id FROM queue_items")["item_id"].tolist() == ["t1"]


def test_a_store_of_scores_alone_is_narrowed_by_their_time(root):
    put(root, scores=[score("x"), score("y", created_at=at(86_400))])
    assert lm.open(root).between("2026-01-06").scores()["score_id"].tolist() == ["y"]
