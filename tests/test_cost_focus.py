"""The FOCUS export: names of the specification, sums of the ledger, safe texts, errors."""

import datetime as dt
import json

import costkit
import pandas as pd
import pytest
from costkit import HOSTILE, call, opened

from llmobs_nb.analyses.cost.focus import COLUMNS, focus
from llmobs_nb.analyses.cost.ledger import ledger
from llmobs_nb.analyses.cost.window import make_plan
from llmobs_nb.errors import UsageError

# Of FOCUS 1.2: the columns that every data set must have.
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip


def read(path) -> pd.DataFrame:
    return pd.read_parquet(path) if str(path).endswith("parquet") else pd.read_csv(path)


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    return opened(str(tmp_path_factory.mktemp("focus") / "store"), costkit.product())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_both_kinds_of_file_add_up_to_the_ledger(obs, tmp_path, ending):
    path = tmp_path / f"focus.{ending}"
    told, found = focus(obs, path), read(path)
    assert (told.rows, told.unpriced_spans, told.path) == (len(found), 0, str(path))
    total = ledger(obs, make_plan(obs)).total_usd
    for column in ("BilledCost", "EffectiveCost", "ContractedCost"):
        assert found[column].sum() == pytest.approx(total, rel=1e-9)
    assert told.total_usd == pytest.approx(total, rel=1e-12)
    assert found["ConsumedQuantity"].sum() == obs.sql("SELECT sum(tokens_in + tokens_out) AS n FROM spans")["n"][0]
    assert tuple(found.columns) == COLUMNS


def test_names_and_fixed_words_are_those_of_the_specification(obs, tmp_path):
    focus(obs, tmp_path / "focus.parquet")
    found = read(tmp_path / "focus.parquet")
    assert set(found.columns) >= MANDATORY
    assert all(c.startswith("x_") for c in found.columns if not c[0].isupper())
    fixed = {
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ServiceCategory": "AI and Machine Learning",
        "ConsumedUnit": "Tokens",
    }
    assert {c: set(found[c]) for c in fixed} == {c: {v} for c, v in fixed.items()}
    never_null = MANDATORY - {"ChargeClass", "ListCost"}
    assert not found[sorted(never_null)].isna().any().any()
    assert found["BillingPeriodStart"].min() == pd.Timestamp("2026-10-01", tz="UTC")
    assert found["BillingPeriodEnd"].max() == pd.Timestamp("2026-12-01", tz="UTC")
    assert ((found["ChargePeriodEnd"] - found["ChargePeriodStart"]) == dt.timedelta(days=1)).all()


def test_tags_say_whose_it_was_and_days_are_those_of_the_zone(root, tmp_path):
    obs = opened(root, [call("a", day=22.5 / 24, tenant_id="t1", environment="production"), call("b", feature=None)])
    focus(obs, tmp_path / "f.csv", tz="Asia/Kolkata")
    found = read(tmp_path / "f.csv")
    assert [json.loads(t) for t in found["Tags"]] == [{}, {"feature": "chat", "tenant_id": "t1", "environment": "production"}]
    assert list(found["ChargePeriodStart"]) == ["2026-10-04 18:30:00+00:00", "2026-10-05 18:30:00+00:00"]


def test_refunds_are_credits_and_what_is_not_known_is_in_no_row(root, tmp_path):
    spans = [
        call("a"), call("b", cost_recorded_usd=-0.004), call("c", cost_list_usd=None), call("d", cost_recorded_usd=None, cost_list_usd=None),
        call("e", kind="embedding", model="text-embedding-3-small", tokens_out=None),
    ]  # fmt: skip
    told = focus(opened(root, spans), tmp_path / "f.parquet")
    found = read(tmp_path / "f.parquet")
    credit = found[found["ChargeCategory"] == "Credit"]
    assert (list(credit["BilledCost"]), credit["ConsumedQuantity"].isna().all()) == ([-0.004], True)
    assert (told.unpriced_spans, told.total_usd) == (1, pytest.approx(0.026))
    assert set(found["ServiceName"]) == {"Model inference", "Embeddings"}
    mixed = found[(found["ChargeCategory"] == "Usage") & (found["ServiceName"] == "Model inference")]
    assert (list(mixed["x_Calls"]), list(mixed["BilledCost"]), mixed["ListCost"].isna().all()) == (
        [2],
        [pytest.approx(0.02)],
        True,
    )


def test_who_serves_a_model_and_who_makes_it_are_told_apart(root, tmp_path):
    spans = [
        call("a", provider="aws", model="us.anthropic.claude-sonnet-4-5-20250929-v1:0"), call("b", provider=None, model="gpt-4o"),
        call("c", provider=None, model="my-own"),
    ]  # fmt: skip
    focus(opened(root, spans), tmp_path / "f.parquet")
    found = read(tmp_path / "f.parquet").set_index("x_Calls")
    assert sorted(zip(found["ProviderName"], found["PublisherName"], strict=True)) == [
        ("aws", "anthropic"), ("not said", "not said"), ("openai", "openai"),
    ]  # fmt: skip


def test_a_spreadsheet_computes_nothing_that_a_trace_wrote(root, tmp_path):
    spans = [call("a", model="=cmd|' /C calc'!A0", provider="+1", tenant_id=HOSTILE)]
    focus(opened(root, spans), tmp_path / "f.csv")
    row = read(tmp_path / "f.csv").iloc[0]
    assert (row["SkuId"], row["ProviderName"]) == ("'=cmd|' /C calc'!A0", "'+1")
    assert json.loads(row["Tags"])["tenant_id"] == HOSTILE
    focus(opened(str(tmp_path / "other"), spans), tmp_path / "f.parquet")
    assert read(tmp_path / "f.parquet")["SkuId"][0] == "=cmd|' /C calc'!A0"


def test_a_window_bounds_the_export(obs, tmp_path):
    told = focus(obs, tmp_path / "f.csv", since="2026-10-06", until="2026-10-08")
    assert told.total_usd == pytest.approx(
        ledger(obs, make_plan(obs, since="2026-10-06", until="2026-10-08")).total_usd, rel=1e-12
    )
    assert set(read(tmp_path / "f.csv")["ChargePeriodStart"]) == {"2026-10-06 00:00:00+00:00", "2026-10-07 00:00:00+00:00"}


def test_what_cannot_be_written_is_told(obs, tmp_path):
    with pytest.raises(UsageError, match=r"f.xlsx' ends in neither .csv nor .parquet; name the file with one of the two"):
        focus(obs, tmp_path / "f.xlsx")
    with pytest.raises(UsageError, match=r"f.csv cannot be written \(.*\); name a folder that is there"):
        focus(obs, tmp_path / "no such folder" / "f.csv")
    with pytest.raises(UsageError, match=r"f.parquet cannot be written"):
        focus(obs, tmp_path / "no such folder" / "f.parquet")


def test_an_empty_store_is_told(root, tmp_path):
    with pytest.raises(UsageError, match=r"focus: the store .* holds no dated spans; ingest or pull some first"):
        focus(opened(root, [call("a", start_time=None, updated_at=costkit.MONDAY)]), tmp_path / "f.csv")
