"""The canonical tables as data."""

import pyarrow as pa
import pytest

from llmobs_nb.schema import ARROW, DRAFT, SCORES, SPANS, SQL, TABLES, Field, Table, draft_fields, markdown

DESIGN_SPANS = [
    "trace_id",
    "span_id",
    "parent_id",
    "kind",
    "name",
    "trace_name",
    "start_time",
    "end_time",
    "latency_ms",
    "ttft_ms",
    "status",
    "error_class",
    "error_message",
    "model_requested",
    "model",
    "provider",
    "model_params",
    "prompt_name",
    "prompt_version",
    "input_chars",
    "output_chars",
    "system_prompt_hash",
    "tokens_in",
    "tokens_out",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_reasoning",
    "cost_recorded_usd",
    "cost_list_usd",
    "cost_usd",
    "cost_source",
    "price_version",
    "request_id",
    "provider_request_id",
    "attempt",
    "input_hash",
    "output_hash",
    "turn",
    "response_cached",
    "finish_reason",
    "feature",
    "tenant_id",
    "user_id",
    "user_tier",
    "session_id",
    "environment",
    "release",
    "app_version",
    "locale",
    "tags",
    "metadata",
    "retrieval_ids",
    "retrieval_scores",
    "retrieval_index_version",
    "tool_name",
    "guardrails",
    "is_root",
    "source",
    "project",
    "source_url",
    "updated_at",
    "day",
]
DESIGN_SCORES = [
    "score_id",
    "trace_id",
    "span_id",
    "session_id",
    "name",
    "value",
    "label",
    "data_type",
    "rater",
    "rater_id",
    "judge_model",
    "judge_version",
    "comment",
    "created_at",
    "updated_at",
    "source",
    "stratum",
    "inclusion_prob",
]


def test_the_columns_of_the_design_are_there():
    assert set(DESIGN_SPANS) <= set(SPANS.names)
    assert set(DESIGN_SCORES) <= set(SCORES.names)
    assert {"input", "output", "system_prompt"} <= set(TABLES["payloads"].names)
    assert TABLES["series"].names == ["name", "time", "value", "n", "dimensions"]
    assert TABLES["prompts"].names == ["name", "version", "template", "first_seen", "last_seen", "author"]
    assert TABLES["changes"].names == ["at", "kind", "ref", "note", "author"]


def test_identity_of_a_span():
    assert SPANS.identity == ("source", "project", "trace_id", "span_id")


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_table_is_consistent(table):
    assert len(set(table.names)) == len(table.names)
    assert all(f.type in ARROW and f.type in SQL for f in table)
    assert all(f.meaning for f in table)
    assert set(table.identity) | set(table.newest) <= set(table.names)
    assert table.empty().num_rows == 0
    assert table.empty().schema == table.arrow()
    assert table.problems(table.arrow()) == []
    assert not table.partitioned or "day" in table.names


def test_problems_names_what_is_missing_and_what_differs():
    schema = SPANS.arrow().remove(0)
    at = schema.get_field_index("tokens_in")
    schema = schema.set(at, pa.field("tokens_in", pa.string()))
    assert SPANS.problems(schema) == ["spans.trace_id is missing", "spans.tokens_in is string, not int64"]


def test_units_stand_in_the_declaration():
    units = {f.name: f.unit for f in SPANS}
    assert {units[n] for n in SPANS.names if n.endswith("_ms")} == {"ms"}
    assert {units[n] for n in SPANS.names if n.endswith("_usd")} == {"USD"}
    assert {units[n] for n in SPANS.names if n.startswith("tokens_")} == {"tokens"}


def test_the_page_has_one_line_a_column():
    page = markdown()
    assert page.count("### ") == len(TABLES)
    table = Table("t", "thing", (Field("a", "text", "x | y", "", False),), ("a",))
    assert table.markdown().splitlines()[-1] == "| a | text |  | no | x / y |"


def test_looking_a_field_up():
    assert SPANS["tokens_in"].sql == "BIGINT"
    assert "tokens_in" in SPANS
    assert "tokens_total" not in SPANS
    with pytest.raises(KeyError):
        SPANS["tokens_total"]


def test_draft_fields_add_to_the_canonical_ones_and_replace_none():
    for table, more in DRAFT.items():
        assert not {f.name for f in more} & set(TABLES[table].names)
        assert set(draft_fields(table)) == set(TABLES[table].names) | {f.name for f in more}
    assert set(draft_fields("changes")) == set(TABLES["changes"].names)
