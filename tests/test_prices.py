"""Names, price book and pricing of batches; expectations are worked out by hand from published list prices and facts/."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from llmobs_nb.errors import InputError, UsageError
from llmobs_nb.prices import PriceBook, Unpriced, normalise, price, provider_name

pytest.importorskip("genai_prices")

SHARED = Path(__file__).parents[2] / "shared"
DAY = date(2026, 9, 1)

NAMES = [
    # provider as logged, model as logged, provider, model
    ("openai", "gpt-4o", "openai", "gpt-4o"),
    ("OpenAI", "GPT-4o-2024-08-06", "openai", "gpt-4o-2024-08-06"),
    (None, "gpt-4o", "openai", "gpt-4o"),
    (None, "o3-mini", "openai", "o3-mini"),
    (None, "openai/gpt-4o", "openai", "gpt-4o"),
    (None, "openai:gpt-4o", "openai", "gpt-4o"),
    ("openai", "openai/responses/gpt-5-mini", "openai", "gpt-5-mini"),
    (None, "text-embedding-3-small", "openai", "text-embedding-3-small"),
    (None, "ft:gpt-4o-mini-2024-07-18:org::id", "openai", "ft:gpt-4o-mini-2024-07-18:org::id"),
    (None, "openai/ft:gpt-4o-mini-2024-07-18:org::id", "openai", "ft:gpt-4o-mini-2024-07-18:org::id"),
    (None, "azure/gpt-4o", "azure", "gpt-4o"),
    (None, "azure/eu/gpt-4o", "azure", "gpt-4o"),
    (None, "azure_ai/mistral-large-3", "azure", "mistral-large-3"),
    ("azure.ai.openai", "gpt-35-turbo", "azure", "gpt-35-turbo"),
    ("azure.ai.inference", "openai/gpt-4o", "azure", "gpt-4o"),
    ("openai", "azure/gpt-4o", "azure", "gpt-4o"),
    (None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("aws.bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("anthropic", "apac.anthropic.claude-sonnet-4-20250514-v1:0", "aws", "apac.anthropic.claude-sonnet-4-20250514-v1:0"),
    (None, "global.anthropic.claude-sonnet-4-20250514-v1:0", "aws", "global.anthropic.claude-sonnet-4-20250514-v1:0"),
    (None, "bedrock/us.amazon.nova-lite-v1:0", "aws", "us.amazon.nova-lite-v1:0"),
    (None, "bedrock/converse/us-east-1/amazon.nova-lite-v1:0", "aws", "amazon.nova-lite-v1:0"),
    (None, "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "aws", "amazon.nova-lite-v1:0"),
    (
        "aws.bedrock",
        "bedrock/arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
        "aws",
        "eu.amazon.nova-lite-v1:0",
    ),
    (None, "vertex_ai/claude-sonnet-4@20250514", "google", "claude-sonnet-4@20250514"),
    (None, "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "google", "gemini-2.5-flash"),
    ("gcp.vertex_ai", "publishers/anthropic/models/claude-sonnet-4@20250514", "google", "claude-sonnet-4@20250514"),
    (None, "models/gemini-2.5-flash", "google", "gemini-2.5-flash"),
    ("gcp.gemini", "models/gemini-2.5-flash", "google", "gemini-2.5-flash"),
    ("google.generative-ai", "gemini-2.5-pro", "google", "gemini-2.5-pro"),
    (None, "google-gla:gemini-2.5-pro", "google", "gemini-2.5-pro"),
    (None, "anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
    ("anthropic.messages", "claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5-20250929"),
    (None, "claude-sonnet-4@20250514", "anthropic", "claude-sonnet-4@20250514"),
    (None, "openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
    ("openrouter", "openai/gpt-4o", "openrouter", "openai/gpt-4o"),
    ("groq", "openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
    (None, "accounts/fireworks/models/deepseek-v3p2", "fireworks", "accounts/fireworks/models/deepseek-v3p2"),
    ("x_ai", "grok-4", "x-ai", "grok-4"),
    ("mistral_ai", "mistral-large-2411", "mistral", "mistral-large-2411"),
    ("moonshot_ai", "kimi-k2", "moonshotai", "kimi-k2"),
    ("ollama", "llama3", "ollama", "llama3"),
    ("gcp.vertex.agent", "gemini-2.0-flash", "google", "gemini-2.0-flash"),
    ("microsoft.agent_framework", "gpt-5-mini", "openai", "gpt-5-mini"),
    ("langchain", "openai/gpt-4o", "openai", "gpt-4o"),
    ("litellm", "azure/gpt-4o", "azure", "gpt-4o"),
]


@pytest.mark.parametrize(("provider", "model", "to_provider", "to_model"), NAMES)
def test_names(provider, model, to_provider, to_model):
    assert normalise(provider, model)[:2] == (to_provider, to_model)


@pytest.mark.parametrize(
    ("provider", "model", "known", "note"),
    [
        ("openai", None, ("openai", None), "no model"),
        (None, "  ", (None, None), "no model"),
        (None, "llama3", (None, "llama3"), "no provider, and model 'llama3' does not tell it"),
        (None, "meta-llama/llama-3-70b", (None, "meta-llama/llama-3-70b"), "no provider"),
        (None, "projects/p/locations/l/endpoints/123", ("google", None), "does not name the model"),
        (None, "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", ("aws", None), "does not name the model"),
        ("openai", "x" * 501, ("openai", None), "a model name of 501 characters is none"),
    ],
)
def test_what_is_not_known_stays_null_with_a_reason(provider, model, known, note):
    name = normalise(provider, model)
    assert name[:2] == known
    assert note in name.note
    assert isinstance(PriceBook().unit_prices(provider, model, DAY), Unpriced)


def test_a_provider_that_was_overruled_or_inferred_is_said():
    assert normalise("openai", "azure/gpt-4o").note == "the provider was logged as 'openai', the model's name says azure"
    assert normalise(None, "gpt-4o").note == "the provider was taken from the model's name"
    assert normalise("openai", "gpt-4o").note is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [("AWS.Bedrock", "aws"), ("openai.chat", "openai"), ("", None), ("langchain", None), ("my_box", "my_box")],
)
def test_provider_words(word, expected):
    assert provider_name(word) == expected


def usd_per_mtok(row):
    return round(row.input * 1e6, 6), round(row.output * 1e6, 6)


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        (None, "azure/gpt-4o", (2.5, 10)),
        (None, "ft:gpt-4o-mini-2024-07-18:org::id", (0.3, 1.2)),
        (None, "bedrock/us.amazon.nova-lite-v1:0", (0.06, 0.24)),
        (None, "vertex_ai/claude-sonnet-4@20250514", (3, 15)),
        (None, "models/gemini-2.5-flash", (0.3, 2.5)),
        ("azure.ai.openai", "gpt-35-turbo", (0.5, 1.5)),
        (None, "claude-haiku-4-5-20251001", (1, 5)),
        ("openai", "GPT-4O-MINI", (0.15, 0.6)),
    ],
)
def test_list_prices_of_well_known_models(provider, model, usd):
    (row,) = PriceBook().unit_prices(provider, model, DAY)
    assert usd_per_mtok(row) == usd


def test_regional_bedrock_costs_a_tenth_more_than_global():
    book = PriceBook()
    for prefix, usd in (("us.", 3.3), ("eu.", 3.3), ("global.", 3.0)):
        (row,) = book.unit_prices(None, prefix + "anthropic.claude-sonnet-4-5-20250929-v1:0", DAY)
        assert row.input * 1e6 == pytest.approx(usd)


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        (
            "openai",
            "ft:gpt-4.1-mini-2025-04-14:org::id",
            "fine-tuned model 'ft:gpt-4.1-mini-2025-04-14:org::id' of openai is not in",
        ),
        ("openai", "gpt-4o-2025-01-01", "model 'gpt-4o-2025-01-01' of openai is not in genai-prices"),
        ("ollama", "llama3", "provider 'ollama' is not in genai-prices"),
        ("openai", "whisper-1", "openai/whisper-1 is not priced by the token"),
        ("openai", "<script>\x1b[31m\u202e", r"model '<script>\x1b[31m\u202e' of openai"),
    ],
)
def test_unpriced_with_a_reason(provider, model, reason):
    answer = PriceBook().unit_prices(provider, model, DAY)
    assert isinstance(answer, Unpriced)
    assert reason in answer.reason


def test_dated_prices_and_their_provenance():
    book = PriceBook()
    (before,) = book.unit_prices("openai", "o3", date(2025, 6, 9))
    (after,) = book.unit_prices("openai", "o3", date(2025, 6, 10))
    assert (usd_per_mtok(before), usd_per_mtok(after)) == ((10, 40), (2, 8))
    assert before.provenance == f"{book.version}; openai/o3; before 2025-06-10"
    assert after.provenance == f"{book.version}; openai/o3; from 2025-06-10"


def test_tiers_cover_every_token_count_once():
    low, high = PriceBook().unit_prices("anthropic", "claude-sonnet-4-5", DAY)
    assert (low.min_tokens, low.max_tokens) == (0, 200_001)
    assert (high.min_tokens, high.max_tokens) == (200_001, None)
    assert (usd_per_mtok(low), usd_per_mtok(high)) == ((3, 15), (6, 22.5))


def test_peak_hours_cover_the_day_once():
    rows = PriceBook().unit_prices("deepseek", "deepseek-chat", date(2025, 6, 1))
    assert [(r.from_second, r.to_second) for r in rows] == [(0, 1800), (1800, 59400), (59400, 86400)]
    assert rows[0].input == rows[2].input < rows[1].input


def test_answers_are_remembered():
    book = PriceBook()
    assert book.unit_prices("openai", "gpt-4o", DAY) is book.unit_prices("openai", "gpt-4o", DAY)


def span(**values):
    start = datetime(2026, 9, 1, 12, tzinfo=UTC)
    row = {"kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "start_time": start}
    return {**row, "tokens_in": 1000, "tokens_out": 500, **values}


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("kind", "provider", "model", "model_requested", "usage_flag")),
        ("start_time", pa.timestamp("us", tz="UTC")),
        *((f"tokens_{name}", pa.int64()) for name in ("in", "out", "cache_read", "cache_write", "reasoning")),
        ("cost_recorded_usd", pa.float64()),
    ]
)


def priced(*rows, book=None):
    return price(pa.Table.from_pylist(list(rows), SCHEMA), book or PriceBook()).to_pylist()


@pytest.mark.parametrize(
    ("values", "usd"),
    [
        ({}, 1000 * 0.15e-6 + 500 * 0.6e-6),
        ({"tokens_cache_read": 400}, 600 * 0.15e-6 + 400 * 0.075e-6 + 500 * 0.6e-6),
        ({"tokens_in": 0, "tokens_out": 0}, 0.0),
        ({"model": None, "model_requested": "gpt-4o"}, 1000 * 2.5e-6 + 500 * 10e-6),
        ({"model": "claude-sonnet-4-5", "provider": None, "tokens_cache_write": 200}, 800 * 3e-6 + 200 * 3.75e-6 + 500 * 15e-6),
        ({"model": "claude-sonnet-4-5", "provider": None, "tokens_in": 200_000}, 200_000 * 3e-6 + 500 * 15e-6),
        ({"model": "claude-sonnet-4-5", "provider": None, "tokens_in": 200_001}, 200_001 * 6e-6 + 500 * 22.5e-6),
        ({"model": "gpt-5-mini", "tokens_reasoning": 300}, 1000 * 0.25e-6 + 500 * 2e-6),
        ({"kind": "embedding", "model": "text-embedding-3-small", "tokens_out": None}, 1000 * 0.02e-6),
        ({"model": "sonar", "provider": "perplexity"}, 1000 * 1e-6 + 500 * 1e-6 + 0.012),
        ({"model": "o3", "start_time": datetime(2025, 6, 9, 23, 59, tzinfo=UTC)}, 1000 * 10e-6 + 500 * 40e-6),
        ({"model": "o3", "start_time": datetime(2025, 6, 10, tzinfo=UTC)}, 1000 * 2e-6 + 500 * 8e-6),
        ({"usage_flag": "total_mismatch"}, 1000 * 0.15e-6 + 500 * 0.6e-6),
    ],
)
def test_hand_computed_costs(values, usd):
    (row,) = priced(span(**values))
    assert row["cost_list_usd"] == pytest.approx(usd, rel=1e-12, abs=1e-15)
    assert row["cost_usd"] == row["cost_list_usd"]
    assert (row["cost_source"], row["price_reason"]) == ("list", None)
    assert row["price_version"].startswith(PriceBook().version)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tokens_in": None, "tokens_out": None}, "no usage"),
        ({"tokens_in": None}, "no input tokens"),
        ({"tokens_in": 10, "tokens_cache_read": 12}, "cache_read_tokens (12) exceed input_tokens (10)"),
        (
            {"tokens_in": 10, "tokens_cache_read": 8, "tokens_cache_write": 3},
            "cache_read_tokens (8) + cache_write_tokens (3) exceed input_tokens (10)",
        ),
        ({"tokens_out": -3}, "output_tokens (-3) must not be negative"),
        ({"start_time": None}, "no start time"),
        ({"model": None}, "no model"),
        ({"provider": None, "model": "llama3"}, "no provider, and model 'llama3' does not tell it"),
        ({"model": "text-embedding-3-small"}, "output_tokens have no price for this model"),
        ({"usage_flag": "negative"}, "flagged: negative token counts"),
        ({"usage_flag": "cache_exceeds_input"}, "flagged: cache tokens exceed input tokens"),
    ],
)
def test_no_price_is_null_with_a_reason(values, reason):
    (row,) = priced(span(**values))
    assert row["cost_list_usd"] is None and row["cost_usd"] is None and row["price_version"] is None
    assert (row["cost_source"], row["price_reason"]) == ("none", reason)


def test_recorded_cost_is_used_and_list_cost_kept_beside_it():
    listed, unknown = priced(span(cost_recorded_usd=0.5), span(model="nope", cost_recorded_usd=0.25))
    assert (listed["cost_usd"], listed["cost_source"]) == (0.5, "recorded")
    assert listed["cost_list_usd"] == pytest.approx(0.00045)
    assert (unknown["cost_usd"], unknown["cost_source"], unknown["cost_list_usd"]) == (0.25, "recorded", None)
    assert unknown["price_reason"].startswith("model 'nope' of openai is not in")


def test_only_model_calls_are_priced():
    tool, guardrail, nothing = priced(span(kind="tool"), span(kind="guardrail", cost_recorded_usd=0.1), span(kind=None))
    for row in (tool, guardrail, nothing):
        assert row["cost_list_usd"] is None and row["price_reason"] is None
    assert [r["cost_source"] for r in (tool, guardrail, nothing)] == ["none", "recorded", "none"]


def test_what_the_price_row_lacks_is_said_on_the_row():
    cached, half = priced(span(tokens_cache_write=100), span(tokens_out=None))
    assert cached["price_version"].endswith("; no cache_write price: charged as input")
    assert cached["cost_list_usd"] == pytest.approx(0.00045)
    assert half["price_version"].endswith("; no output tokens reported")
    assert half["cost_list_usd"] == pytest.approx(0.00015)


def test_columns_are_replaced_rows_keep_their_order_and_absent_columns_are_null():
    rows = [span(kind=k, tokens_in=n) for n, k in enumerate(["tool", "llm", "chain", "llm"])]
    table = pa.Table.from_pylist(rows).append_column("cost_usd", pa.array([9.0] * 4))
    out = price(table, PriceBook())
    assert out["tokens_in"].to_pylist() == [0, 1, 2, 3]
    expected = [None, 1 * 0.15e-6 + 500 * 0.6e-6, None, 3 * 0.15e-6 + 500 * 0.6e-6]
    assert out["cost_usd"].to_pylist() == [e if e is None else pytest.approx(e) for e in expected]
    assert out.column_names.count("cost_usd") == 1


def test_an_empty_batch():
    out = price(SCHEMA.empty_table(), PriceBook())
    assert len(out) == 0
    assert out.schema.field("cost_usd").type == pa.float64()
    assert out.schema.field("price_reason").type == pa.string()


CSV = """provider,model_pattern,valid_from,valid_to,input_usd_per_mtok,output_usd_per_mtok,\
cache_read_usd_per_mtok,cache_write_usd_per_mtok,currency,source
openai,gpt-4o-mini,2026-09-01,2026-09-14,1,2,,,USD,contract 7
openai,gpt-4o-mini,2026-09-15,,0.5,1,0.25,,USD,contract 8
ollama,*,,,0,0,,,,own machines
"""


def test_overrides_go_before_the_table_and_change_within_a_month(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(CSV)
    book = PriceBook(path)
    days = [datetime(2026, 8, 31, tzinfo=UTC), datetime(2026, 9, 14, 23, tzinfo=UTC), datetime(2026, 9, 15, tzinfo=UTC)]
    table, first, second = priced(*(span(start_time=day, tokens_cache_read=100) for day in days), book=book)
    assert table["cost_usd"] == pytest.approx(900 * 0.15e-6 + 100 * 0.075e-6 + 500 * 0.6e-6)
    assert first["cost_usd"] == pytest.approx(1000 * 1e-6 + 500 * 2e-6)
    assert second["cost_usd"] == pytest.approx(900 * 0.5e-6 + 100 * 0.25e-6 + 500 * 1e-6)
    assert first["price_version"].endswith(
        "; openai/gpt-4o-mini; from 2026-09-01; contract 7; no cache_read price: charged as input"
    )
    assert first["price_version"].startswith("own prices ")


def test_an_override_prices_what_no_table_knows(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(CSV)
    (row,) = priced(span(provider="ollama", model="llama3"), book=PriceBook(path))
    assert (row["cost_usd"], row["price_reason"]) == (0.0, None)


def test_overrides_from_yaml_and_from_rows_agree(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n- {model_pattern: GPT-4o*, valid_from: 2026-01-01, input_usd_per_mtok: 1.5}\n")
    rows = PriceBook([{"model_pattern": "gpt-4o*", "valid_from": "2026-01-01", "input_usd_per_mtok": "1.5"}])
    assert PriceBook(path).version == rows.version
    (row,) = rows.unit_prices(None, "azure/gpt-4o", DAY)
    assert (row.input, row.output) == (1.5e-6, None)


def test_the_version_follows_the_table_of_the_user():
    row = {"model_pattern": "x", "input_usd_per_mtok": 1}
    versions = {PriceBook().version, PriceBook([row]).version, PriceBook([{**row, "input_usd_per_mtok": 2}]).version}
    assert len(versions) == 3
    assert PriceBook().version.startswith("genai-prices ")


GOOD = {"model_pattern": "x", "input_usd_per_mtok": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**GOOD, "currency": "EUR"}], r"price override 1: currency='EUR' is not known; choose one of: USD"),
        ([GOOD, {**GOOD, "input": 1}], r"price override 2: column='input' is not known; choose one of: provider, model_pattern"),
        ([{"model_pattern": "x"}], r"price override 1: input_usd_per_mtok is missing"),
        ([{"input_usd_per_mtok": 1}], r"price override 1: model_pattern is missing"),
        ([{**GOOD, "output_usd_per_mtok": "cheap"}], r"output_usd_per_mtok='cheap' is not a price; give USD per million"),
        ([{**GOOD, "input_usd_per_mtok": -1}], r"input_usd_per_mtok='-1' is not a price"),
        ([{**GOOD, "valid_from": "1 May"}], r"valid_from='1 May' is not a date; write it like 2026-01-31"),
        ([{**GOOD, "valid_from": "2026-02-01", "valid_to": "2026-01-01"}], r"valid_from 2026-02-01 is after valid_to 2026-01-01"),
        (["gpt-4o"], r"price override 1: 'gpt-4o' is not a row"),
    ],
)
def test_bad_overrides(rows, message):
    with pytest.raises(UsageError, match=message):
        PriceBook(rows)


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("prices.txt", "", UsageError, r"price file type='.txt' is not known; choose one of: .csv, .yaml, .yml"),
        ("prices.csv", None, InputError, r"prices.csv' cannot be read"),
        ("prices.yaml", "a: [", InputError, r"prices.yaml' is not YAML"),
        ("prices.yaml", "a: 1", InputError, r"prices.yaml' holds no list of rows"),
        (
            "prices.csv",
            "model_pattern,input_usd_per_mtok\nx,\n",
            UsageError,
            r"prices.csv, price row 1: input_usd_per_mtok is missing",
        ),
    ],
)
def test_bad_override_files(tmp_path, name, text, error, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        PriceBook(path)


def test_without_the_table_everything_is_null_with_a_reason(monkeypatch):
    monkeypatch.setattr("llmobs_nb.prices.book._table", lambda: None)
    book = PriceBook()
    (row,) = priced(span(), book=book)
    assert (row["cost_usd"], row["price_reason"]) == (None, "no price table: genai-prices is not installed")
    assert book.version == "no price table"


def langfuse_row(observation):
    """One leaf generation by the rule of the facts: parts inside where total == in + out, beside where total == sum of all."""
    usage = observation["usageDetails"]
    into, out, total = usage.get("input"), usage.get("output"), usage["total"]
    extra = {k: v for k, v in usage.items() if k not in ("input", "output", "total")}
    if total != into + (out or 0) and total == sum(usage.values()) - total:
        into += sum(v for k, v in extra.items() if k.startswith("input"))
        out += sum(v for k, v in extra.items() if k.startswith("output"))
    start = datetime.fromisoformat(observation["startTime"])
    return span(
        provider=None,
        model=observation["model"],
        start_time=start,
        tokens_in=into,
        tokens_out=out,
        cost_recorded_usd=observation["totalCost"],
    )


def test_recorded_costs_of_the_real_exports_agree_but_for_four():
    folder = SHARED / "data" / "langfuse" / "framework-traces"
    if not folder.is_dir():
        pytest.skip("the real exports of ../shared/data are not beside this repository")
    seen = [o for path in sorted(folder.glob("*.json")) for o in json.loads(path.read_text())["observations"]]
    costed = [o for o in seen if o["type"] == "GENERATION" and o["usageDetails"]]
    rows = priced(*map(langfuse_row, costed))
    apart = {(r["model"].split("/")[-1], r["tokens_in"], r["tokens_out"]) for r in rows if not close(r)}
    assert len(rows) == 40
    assert apart == {
        ("gpt-4o", 41, 3),
        ("gpt-4o-2024-08-06", 60, 15),
        ("gpt-4o-2024-08-06", 108, 51),
        ("gemini-2.5-flash", 5, 845),
    }
    assert [r["price_reason"] for r in rows] == [None] * 40


def close(row):
    return abs(row["cost_list_usd"] / row["cost_recorded_usd"] - 1) <= 0.005
