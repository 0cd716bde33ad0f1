"""The demo data: what the README of data/ promises is counted here from the shipped files, not from the generator's own truth."""

import csv
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmobs_nb import demodata as demo
from llmobs_nb.demodata import build
from llmobs_nb.errors import InputError, UsageError
from llmobs_nb.schema import ARROW, ERROR_CLASSES, KINDS, RATERS, SCORES, draft_fields

FOLDER = demo.data_folder()
START = datetime(2026, 9, 21, tzinfo=UTC)
BLOCK = "Keep every answer under two sentences. Do not cite internal documents."


@pytest.fixture(scope="module")
def spans():
    return pq.read_table(FOLDER / "spans.parquet").to_pylist(maps_as_pydicts="strict")


@pytest.fixture(scope="module")
def scores():
    return pq.read_table(FOLDER / "scores.parquet").to_pylist()


@pytest.fixture(scope="module")
def truth():
    return json.loads((FOLDER / "truth.json").read_text())


@pytest.fixture(scope="module")
def roots(spans):
    return {row["trace_id"]: row for row in spans if row["parent_id"] is None}


@pytest.fixture(scope="module")
def made():
    return demo.generate()


def week(at):
    return (at - START).days // 7


def weekly_mean(pairs):
    """Means and counts of (week, value) by week 0 to 7."""
    found = defaultdict(list)
    for at, value in pairs:
        found[at].append(value)
    return [sum(found[w]) / len(found[w]) for w in range(8)], [len(found[w]) for w in range(8)]


def helpfulness(scores, roots):
    return [(roots[s["trace_id"]], s["value"]) for s in scores if (s["name"], s["rater"]) == ("helpfulness", "judge")]


@pytest.mark.parametrize("name", ["spans", "scores"])
def test_the_shipped_copy_is_what_the_generator_writes(made, name):
    assert pq.read_table(FOLDER / f"{name}.parquet").equals(made[name])


def test_the_shipped_texts_are_what_the_generator_writes(made, truth):
    assert (FOLDER / "changes.csv").read_text() == made["changes"]
    assert json.loads((FOLDER / "prompts.json").read_text()) == made["prompts"]
    assert truth == made["truth"]


def test_the_same_seed_gives_the_same_bytes_and_another_gives_other_rows(tmp_path):
    files = [demo.write(tmp_path / name, seed=seed, traces=150) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    first, again, other = ([path.read_bytes() for path in some] for some in files)
    assert first == again
    assert first[0] != other[0]


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4_000_000


@pytest.mark.parametrize(("name", "known"), [("spans", draft_fields("spans")), ("scores", {f.name: f for f in SCORES})])
def test_every_column_is_canonical_or_a_declared_extra(name, known):
    for field in pq.read_schema(FOLDER / f"{name}.parquet"):
        assert field.type == (ARROW[known[field.name].type] if field.name in known else build.EXTRA[field.name])


def test_words_are_canonical(spans, scores):
    assert {s["kind"] for s in spans} <= set(KINDS)
    assert {s["error_class"] for s in spans} - {None} <= set(ERROR_CLASSES)
    assert {s["rater"] for s in scores} == {"judge", "user", "human"} <= set(RATERS)


def test_ids_only(spans, scores):
    patterns = {"tenant_id": r"t-\d\d", "user_id": r"u-\d{5}", "session_id": r"s-\d{4}-\d{3,4}", "trace_id": r"tr-\d{6}"}
    for column, pattern in patterns.items():
        assert all(re.fullmatch(pattern, value) for value in {s[column] for s in spans})
    assert all(re.fullmatch(r"u-\d{5}|h-[123]|judge-quality", s["rater_id"]) for s in scores)
    texts = {s[c] for s in spans for c in ("input", "output", "system_prompt")} - {None}
    assert not [t for t in texts if re.search(r"@\w|https?:|\+\d{6}", t)]


def test_no_text_is_empty_and_nothing_missing_is_zero(spans):
    for row in spans:
        assert "" not in (row["input"], row["output"], row["system_prompt"], row["tenant_id"])
        assert row["tokens_out"] != 0 and row["tokens_in"] != 0


def test_traces_are_trees_and_times_nest(spans, roots):
    assert len({(s["trace_id"], s["span_id"]) for s in spans}) == len(spans)
    for row in spans:
        root = roots[row["trace_id"]]
        assert row["parent_id"] in (None, root["span_id"])
        assert root["start_time"] <= row["start_time"] <= row["end_time"] <= root["end_time"]


def test_tokens_and_first_token_are_possible(spans):
    for row in spans:
        if row["kind"] == "llm" and row["status"] == "ok":
            assert 0 <= row["tokens_cache_read"] <= row["tokens_in"]
            assert timedelta(milliseconds=row["ttft_ms"]) <= row["end_time"] - row["start_time"]


def test_eight_full_weeks(roots, scores):
    days = {r["start_time"].date() for r in roots.values()}
    assert days == {date(2026, 9, 21) + timedelta(days=n) for n in range(56)}
    assert max(s["created_at"] for s in scores) < START + timedelta(weeks=8)


def test_rhythm_of_the_week_and_the_day_and_mild_growth(roots):
    starts = [r["start_time"] for r in roots.values()]
    by_day, by_hour = Counter(s.weekday() for s in starts), Counter(s.hour for s in starts)
    assert max(by_day[5], by_day[6]) < 0.6 * min(by_day[n] for n in range(5))
    assert min(by_hour[h] for h in range(9, 17)) > 5 * max(by_hour[h] for h in range(5))
    counts = Counter(map(week, starts))
    assert 1.05 <= counts[7] / counts[0] <= 1.09  # 1 % a week for seven weeks


def test_shares_of_the_product(spans, roots, scores):
    assert len({r["tenant_id"] for r in roots.values()}) == 12
    assert Counter(r["feature"] for r in roots.values()).keys() == {"support_chat", "search_answers", "summarise", "sql_agent"}
    assert 0.17 <= sum(r["metadata"]["auth"] == "sso" for r in roots.values()) / len(roots) <= 0.20
    raters = Counter((s["rater"], s["name"]) for s in scores)
    assert 0.14 <= raters["judge", "helpfulness"] / len(roots) <= 0.16
    assert 0.01 <= raters["human", "helpfulness"] / raters["judge", "helpfulness"] <= 0.02
    assert 0.04 <= raters["user", "thumbs"] / len(roots) <= 0.07
    assert max(r["turn"] for r in roots.values()) >= 4
    assert {"retriever", "llm", "guardrail", "embedding", "tool", "agent"} <= {s["kind"] for s in spans}


def test_sso_goes_with_tier_and_tenant_but_is_neither(roots):
    users = {r["user_id"]: (r["user_tier"], r["tenant_id"], r["metadata"]["auth"]) for r in roots.values()}
    share = {tier: sum(u[2] == "sso" for u in users.values() if u[0] == tier) for tier in ("enterprise", "business", "free")}
    assert share["free"] == 0 < share["business"] < share["enterprise"]
    for tenant in ("t-01", "t-02", "t-03", "t-04", "t-05", "t-06"):
        assert len({u[2] for u in users.values() if u[1] == tenant}) > 1


def with_block(spans):
    return {s["trace_id"] for s in spans if BLOCK in (s["system_prompt"] or "")}


def test_the_block_is_in_the_rendered_prompt_of_sso_traffic_only_and_in_no_template(spans, roots, truth):
    affected = with_block(spans)
    assert len(affected) == truth["affected_traces"]
    assert {roots[t]["metadata"]["auth"] for t in affected} == {"sso"}
    assert min(roots[t]["start_time"] for t in affected) >= datetime(2026, 10, 26, 7, tzinfo=UTC)
    last = [r for r in roots.values() if r["start_time"] >= datetime(2026, 11, 9, 7, tzinfo=UTC)]
    sso = {r["trace_id"] for r in last if r["metadata"]["auth"] == "sso" and r["environment"] == "production"}
    assert sso == {r["trace_id"] for r in last} & affected
    assert not [t for t in json.loads((FOLDER / "prompts.json").read_text()).values() if BLOCK in t]
    assert truth["block"].endswith(BLOCK)


def test_the_rollout_reaches_two_tenants_a_week(spans, roots):
    seen = defaultdict(set)
    for trace in with_block(spans):
        seen[week(roots[trace]["start_time"])].add(roots[trace]["tenant_id"])
    assert dict(seen) == {
        5: {"t-01", "t-02"},
        6: {"t-01", "t-02", "t-03", "t-04"},
        7: {"t-01", "t-02", "t-03", "t-04", "t-05", "t-06"},
    }


def test_the_prompt_version_did_not_change(spans):
    calls = [s for s in spans if s["prompt_name"] == "support_answer"]
    assert {s["prompt_version"] for s in calls} == {"7"}
    affected = with_block(spans)
    versions = Counter((s["prompt_name"], s["prompt_version"]) for s in spans if s["trace_id"] in affected and s["prompt_name"])
    assert {name for name, _ in versions} == {"support_answer", "search_answer", "summarise_ticket", "sql_analyst"}


def test_affected_answers_are_short_and_cite_nothing(spans, roots):
    affected = with_block(spans)
    answers = {True: [], False: []}
    for trace, root in roots.items():
        if root["output"]:
            answers[trace in affected].append(root["output"])
    assert all(len(re.findall(r"[.?!](\s|$)", a)) <= 1 and "Source" not in a for a in answers[True])
    mean = {which: sum(map(len, texts)) / len(texts) for which, texts in answers.items()}
    assert mean[True] < 0.3 * mean[False]


def test_satisfaction_is_flat_and_then_slides_two_to_three_percent_a_week(scores, roots, truth):
    means, counts = weekly_mean((week(root["start_time"]), value) for root, value in helpfulness(scores, roots))
    assert min(counts) >= 300
    flat = sum(means[:5]) / 5
    assert max(abs(m / flat - 1) for m in means[:5]) < 0.015
    for last, now in pairwise(means[4:]):
        assert 0.015 <= 1 - now / last <= 0.035  # three weeks of 2 to 3 %, give or take the sampling error of 0.6 points
    assert 0.06 <= 1 - means[7] / flat <= 0.09
    assert all(-3 <= w["change_all_pct"] <= -2 for w in truth["weeks"][5:])
    assert [round(m, 4) for m in means] == [w["satisfaction_judged"] for w in truth["weeks"]]


def test_only_the_slice_lost(scores, roots, spans):
    affected = with_block(spans)
    values = {True: [], False: []}
    for root, value in helpfulness(scores, roots):
        if root["start_time"] >= datetime(2026, 10, 26, 7, tzinfo=UTC):
            values[root["trace_id"] in affected].append(value)
    mean = {which: sum(some) / len(some) for which, some in values.items()}
    assert mean[False] == pytest.approx(0.795, abs=0.012)
    assert mean[False] - mean[True] == pytest.approx(0.34, abs=0.03)


def test_thumbs_of_affected_users_fall(scores, roots, spans):
    affected = with_block(spans)
    thumbs = {True: [], False: []}
    for s in scores:
        if s["name"] == "thumbs":
            thumbs[s["trace_id"] in affected].append(s["value"])
    up = {which: sum(some) / len(some) for which, some in thumbs.items()}
    assert up[False] - up[True] > 0.2


def test_error_rate_and_latency_stay_green(roots):
    errors, counts = weekly_mean((week(r["start_time"]), r["status"] == "error") for r in roots.values())
    rate = sum(e * n for e, n in zip(errors, counts, strict=True)) / sum(counts)
    assert 0.006 <= rate <= 0.014
    chi2 = sum(n * (e - rate) ** 2 / (rate * (1 - rate)) for e, n in zip(errors, counts, strict=True))
    assert chi2 < 18.5  # 99 % of chi-squared with 7 degrees of freedom
    good = [r for r in roots.values() if r["status"] == "ok"]
    latency, _ = weekly_mean((week(r["start_time"]), (r["end_time"] - r["start_time"]).total_seconds()) for r in good)
    assert max(latency[5:]) <= 1.03 * max(latency[:5])


def test_the_decoys_are_there_and_harmless(scores, roots, spans):
    canary = {s["trace_id"] for s in spans if (s["prompt_name"], s["prompt_version"]) == ("search_answer", "6")}
    first = min(roots[t]["start_time"] for t in canary)
    assert datetime(2026, 10, 27, 9, tzinfo=UTC) <= first < datetime(2026, 10, 28, tzinfo=UTC)
    affected = with_block(spans)
    after = [(r, v) for r, v in helpfulness(scores, roots) if r["start_time"] >= first and r["trace_id"] not in affected]
    mine = [v for r, v in after if r["trace_id"] in canary]
    others = [v for r, v in after if r["trace_id"] not in canary and r["feature"] == "search_answers"]
    assert len(mine) >= 15
    assert abs(sum(mine) / len(mine) - sum(others) / len(others)) < 0.05
    releases = {r["release"] for r in roots.values() if r["start_time"] >= datetime(2026, 10, 28, 8, tzinfo=UTC)}
    assert releases == {"2026.44"}


def test_the_change_log_holds_benign_entries_only():
    with (FOLDER / "changes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["at", "kind", "ref", "note", "author"]
    assert [r["ref"] for r in rows] == ["2026.41", "kb-2026-10", "email_digest@2", "search_answer@6", "2026.44", "alerts"]
    assert not re.search("sso|sign|block|two sentences", (FOLDER / "changes.csv").read_text(), re.I)


def test_every_prompt_version_seen_is_registered(spans):
    seen = {f"{s['prompt_name']}@{s['prompt_version']}" for s in spans if s["prompt_name"]}
    assert seen == set(json.loads((FOLDER / "prompts.json").read_text()))


def test_every_model_has_a_list_price():
    pytest.importorskip("genai_prices")
    from llmobs_nb.prices import PriceBook, price

    table = price(pq.read_table(FOLDER / "spans.parquet"), PriceBook())
    reasons = Counter(table["price_reason"].to_pylist())
    failed = sum(s == "error" for s, k in zip(table["status"].to_pylist(), table["kind"].to_pylist(), strict=True) if k == "llm")
    assert reasons == {None: len(table) - failed, "no usage": failed}


def test_another_end_moves_the_story():
    here = demo.generate(seed=1, traces=300)
    later = demo.generate(seed=1, traces=300, end=datetime(2027, 1, 4, tzinfo=UTC))
    assert later["truth"]["onset"] == "2026-12-14T07:00:00+00:00"  # three weeks before, at 07:00
    assert later["truth"]["affected_traces"] == here["truth"]["affected_traces"] > 0
    moved = [b - a for a, b in zip(*(m["spans"]["start_time"].to_pylist() for m in (here, later)), strict=True)]
    assert set(moved) == {timedelta(weeks=7)}
    assert [w["week"] for w in later["truth"]["weeks"]][-1] == "2026-W53"
    assert later["changes"].splitlines()[1].startswith("2026-11-25T08:00:00Z,release,2026.41,")


def test_without_the_story_nothing_happens():
    made = demo.generate(seed=1, traces=300, story=False)
    prompts = pa.compute.unique(made["spans"]["system_prompt"]).to_pylist()
    assert not [p for p in prompts if p and BLOCK in p]
    assert made["truth"]["cause"] is None
    assert {w["affected_share"] for w in made["truth"]["weeks"]} == {0.0}


@pytest.mark.parametrize("end", [datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 11, 16)])
def test_an_end_that_is_no_monday(end):
    with pytest.raises(
        UsageError, match=r"end=2026-11-1\d.* is not a Monday 00:00 UTC; give one, like 2026-11-16T00:00:00\+00:00"
    ):
        demo.generate(end=end)


def test_the_folder_is_named_when_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "llmobs_nb" / "demo" / "__init__.py"))
    with pytest.raises(
        InputError, match=r"the demo data is not beside the package; write it with: python -m llmobs_nb.demodata data"
    ):
        demo.data_folder()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spans.parquet").touch()
    assert demo.data_folder() == tmp_path / "data"
