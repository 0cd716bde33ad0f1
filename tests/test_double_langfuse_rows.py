"""The rows of the Langfuse double: observations, scores and metrics follow the rules of the server."""

import base64
import json
from collections import Counter
from datetime import timedelta

import pytest
from doubles.langfuse import LangfuseDouble
from doubles.langfuse_data import EXTRAS
from doubles.traffic import START, ScoreT, traffic
from langfusedouble import by_day, get, one, refused, rows, span, tied


@pytest.fixture(scope="module")
def busy() -> LangfuseDouble:
    """Sixty traces with everything that Langfuse has beyond them; only for tests that read."""
    return LangfuseDouble(traffic(3), extras=EXTRAS)


# v2/observations


def test_rows_come_newest_first_and_a_cursor_goes_on_between_rows_of_one_moment():
    double = LangfuseDouble(tied())
    whole = [r["id"] for r in rows(double, limit=1000)]
    for limit in (1, 2, 7):
        assert [r["id"] for r in rows(double, limit=limit)] == whole
    assert sorted(whole) == sorted(f"s{n}" for n in range(23))
    starts = [r["startTime"] for r in rows(LangfuseDouble(traffic(1)), limit=10)]
    assert starts == sorted(starts, reverse=True)
    cursor = json.loads(base64.b64decode(get(double, "v2/observations", limit=5)["meta"]["cursor"]))
    assert cursor == {"lastStartTimeTo": "2026-11-02T00:00:00.000Z", "lastTraceId": f"t{whole[4][1:]}", "lastId": whole[4]}


def test_windows_are_half_open():
    double = LangfuseDouble(one(span("a"), span("b", START + timedelta(seconds=5)), span("c", START + timedelta(seconds=10))))
    window = {"fromStartTime": "2026-11-02T00:00:00Z", "toStartTime": "2026-11-02T01:00:10+01:00"}
    assert [r["id"] for r in rows(double, **window)] == ["b", "a"]
    given = tuple(ScoreT(f"s{n}", "t1", None, "x", "api", 1.0, START + timedelta(seconds=n)) for n in (0, 5, 10))
    scored = LangfuseDouble(one(span("a"), scores=given), extras=())
    window = {"fromTimestamp": "2026-11-02T00:00:00Z", "toTimestamp": "2026-11-02T00:00:10Z"}
    assert [s["id"] for s in rows(scored, "v3/scores", **window)] == ["s5", "s0"]


def test_groups_that_are_not_asked_for_are_absent():
    double = LangfuseDouble(traffic(0))
    always = {"modelId", "inputPrice", "outputPrice", "totalPrice", "latency", "timeToFirstToken"}
    core = {"id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type"}
    plain = get(double, "v2/observations")["data"][0]
    assert core | always <= plain.keys()
    assert {"name", "level", "userId", "isRootObservation"} <= plain.keys()
    assert not {"input", "metadata", "model", "usageDetails", "updatedAt", "tags", "promptName"} & plain.keys()
    assert get(double, "v2/observations", fields="core")["data"][0].keys() == core | always
    assert get(double, "v2/observations", fields="tools")["data"][0].keys() == core | always
    assert "name" not in get(double, "v2/observations", fields="io")["data"][0]


def test_prices_need_model_and_the_first_token_needs_time_or_metrics():
    timed = span("a", first_token=START, end=START, model="gpt-4.1-mini", tokens_in=10, tokens_out=5, cost_usd=0.1)
    double = LangfuseDouble(one(timed))

    def row(fields: str) -> dict:
        return get(double, "v2/observations", fields=fields)["data"][0]

    assert (row("core")["latency"], row("core")["timeToFirstToken"]) == (0.0, None)
    assert (row("time")["latency"], row("time")["timeToFirstToken"]) == (0.0, 0.0)
    assert (row("metrics")["latency"], row("time,metrics")["timeToFirstToken"]) == (None, None)
    assert (row("usage")["modelId"], row("usage")["inputPrice"]) == (None, None)
    assert [row("model")[k] for k in ("modelId", "inputPrice", "outputPrice")] == ["model-gpt-4.1-mini", "4e-7", "0.0000016"]


def test_tokens_are_in_buckets_that_exclude_each_other_and_no_price_is_no_cost():
    plain = {"tokens_in": 100, "tokens_out": 20, "tokens_cache_read": 60}
    known = span("a", model="gpt-4.1-2025-04-14", cost_usd=40 * 2e-6 + 60 * 0.5e-6 + 20 * 8e-6, **plain)
    unknown = span("b", START + timedelta(seconds=1), model="home-made", **plain)
    first, second = rows(LangfuseDouble(one(known, unknown)), fields="usage,model")[::-1]
    assert first["usageDetails"] == {"input": 40, "input_cached_tokens": 60, "output": 20, "total": 120}
    assert first["costDetails"] == {"input": 8e-5, "input_cached_tokens": 3e-5, "output": 1.6e-4, "total": pytest.approx(2.7e-4)}
    assert (first["inputUsage"], first["internalModelId"]) == (100, "model-gpt-4.1")
    assert (second["costDetails"], second["internalModelId"], second["inputPrice"]) == ({}, None, None)
    assert second["usageDetails"] == first["usageDetails"]


def test_metadata_is_cut_to_200_characters_unless_expanded_or_asked_for_with_io():
    held = {"long": "x" * 300, "flag": "true", "object": json.dumps({"k": "v" * 300}), "small": '{"k": 1}', "name": "nobody"}
    double = LangfuseDouble(one(span("a"), metadata=held))

    def metadata(**query) -> dict:
        return get(double, "v2/observations", **query)["data"][0]["metadata"]

    cut = metadata(fields="metadata")
    assert (cut["long"], cut["object"], cut["small"]) == ("x" * 200, held["object"][:200], {"k": 1})
    assert (cut["flag"], cut["name"]) == (True, "nobody")
    some = metadata(fields="metadata", expandMetadata="long,other")
    assert (some["long"], some["object"]) == ("x" * 300, held["object"][:200])
    assert metadata(fields="metadata,io")["object"] == {"k": "v" * 300}
    assert metadata(fields="metadata") == cut


FILTERS = {
    "traceId": ({"traceId": "{0},{1}"}, lambda s, t, ids: t.id in ids),
    "environment": ({"environment": ["staging", "nowhere"]}, lambda s, t, ids: t.environment == "staging"),
    "level": ({"level": "ERROR"}, lambda s, t, ids: s.error),
    "root": ({"isRootObservation": "true"}, lambda s, t, ids: s.parent_id is None),
    "not root": ({"isRootObservation": "false"}, lambda s, t, ids: s.parent_id),
    "no parent": ({"parentObservationId": ""}, lambda s, t, ids: s.parent_id is None),
    "type": ({"type": "RETRIEVER"}, lambda s, t, ids: s.kind == "retriever"),
    "name and user": ({"name": "handle", "userId": "user-5"}, lambda s, t, ids: (s.name, t.user_id) == ("handle", "user-5")),
    "session": ({"sessionId": "session-1"}, lambda s, t, ids: t.session_id == "session-1"),
    "one of": ([("stringOptions", "traceId", "any of", ["{0}", "{1}"])], lambda s, t, ids: t.id in ids),
    "none of": ([("stringOptions", "environment", "none of", ["staging"])], lambda s, t, ids: t.environment != "staging"),
    "text": ([("string", "traceName", "=", "chat")], lambda s, t, ids: t.name == "chat"),
    "time": ([("datetime", "startTime", ">=", "2026-11-04T00:00:00Z")], lambda s, t, ids: s.start >= START + timedelta(days=2)),
    "tags": ([("arrayOptions", "tags", "all of", ["prod", "eu"])], lambda s, t, ids: "eu" in t.tags),
    "number": ([("number", "totalCost", ">", 0.001)], lambda s, t, ids: (s.cost_usd or 0) > 0.001),
    "null": ([("null", "model", "is null", None)], lambda s, t, ids: s.model is None),
    "two": ([("string", "type", "=", "SPAN"), ("string", "level", "=", "ERROR")], lambda s, t, ids: s.kind == "chain" and s.error),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_what_it_names_and_nothing_else(busy, name):
    told, wanted = FILTERS[name]
    ids = sorted(t.id for t in traffic(3).traces)[:2]
    if isinstance(told, list):
        told = {"filter": json.dumps([dict(zip(("type", "column", "operator", "value"), c, strict=True)) for c in told])}
    query = {k: v.replace("{0}", ids[0]).replace("{1}", ids[1]) if isinstance(v, str) else v for k, v in told.items()}
    found = {r["id"] for r in rows(busy, limit=11, **query) if r["environment"] != "langfuse-llm-as-a-judge"}
    expected = {s.id for t in traffic(3).traces for s in t.spans if wanted(s, t, ids)}
    assert expected
    assert found == expected


def test_a_condition_wins_over_the_parameter_of_its_column_and_is_and_with_the_others(busy):
    condition = json.dumps([{"type": "string", "column": "environment", "operator": "=", "value": "staging"}])
    found = rows(busy, environment="production", type="TOOL", filter=condition)
    assert {(r["environment"], r["type"]) for r in found} == {("staging", "TOOL")}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"parseIoAsJson": "true"}, "no longer supported"),
        ({"fromStartTime": "2026-11-02T00:00:00"}, "Invalid ISO datetime"),
        ({"cursor": "bm90aGluZw=="}, "Invalid cursor format"),
        ({"filter": "{"}, "Invalid JSON in filter parameter"),
        ({"filter": '[{"type": "string", "column": "colour", "operator": "=", "value": "red"}]'}, "Invalid filter column colour"),
        (
            {"filter": '[{"type": "string", "column": "name", "operator": "is", "value": "a"}]'},
            "unknown operator 'is' for string",
        ),
        ({"filter": '[{"type": "string", "column": "input", "operator": "contains", "value": "a"}]'}, "at least one '='"),
        ({"isRootObservation": "yes"}, "isRootObservation"),
        ({"limit": "many"}, "received NaN"),
    ],
)
def test_a_wrong_parameter_is_400_with_its_reason(busy, query, words):
    assert words in refused(busy, "v2/observations", **query)


def test_duplicates_come_within_a_page_and_across_its_edge_and_the_newest_is_whole():
    told = traffic(0, traces=8)
    double = LangfuseDouble(told, duplicates=1.0)
    for limit in (1, 5, 1000):
        found = rows(double, fields="core,time", limit=limit)
        assert Counter(r["id"] for r in found) == Counter({s.id: 2 for s in told.spans})
        newest = {r["id"]: r for r in sorted(found, key=lambda r: r["updatedAt"])}
        assert all(newest[s.id]["endTime"] is not None for s in told.spans)
    assert 0 < len(rows(LangfuseDouble(told, duplicates=0.3))) - len(told.spans) < len(told.spans)


def test_a_repeating_cursor_never_ends():
    double = LangfuseDouble(tied(), repeat_cursor=True)
    first = get(double, "v2/observations", limit=10)
    for _ in range(4):
        page = get(double, "v2/observations", limit=10, cursor=first["meta"]["cursor"])
        assert page["meta"] == first["meta"]


# v3/scores


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"userId": "u"}, "Unrecognized keys: userId"),
        ({"fields": "details,trace"}, "Unknown field group: trace"),
        ({"observationId": "o"}, "observationId requires traceId"),
        ({"traceId": "t", "sessionId": "s"}, "mutually exclusive"),
        ({"source": "nobody"}, 'Invalid source value: "NOBODY"'),
        ({"valueMin": "0.5"}, "require dataType=NUMERIC"),
        ({"value": "1"}, "requires a single dataType"),
    ],
)
def test_a_wrong_score_query_is_400(busy, query, words):
    assert words in refused(busy, "v3/scores", **query)


def test_scores_are_filtered_and_ordered_by_time_and_id_downwards(busy):
    human = rows(busy, "v3/scores", source="annotation", dataType="boolean", fields="annotation,details", limit=3)
    assert {s["id"] for s in human} == {s.id for s in traffic(3).scores if s.rater == "human"}
    assert {(s["authorUserId"], s["queueId"], s["configId"]) for s in human} == {("user-7", "queue-1", "config-helpful_human")}
    order = [(s["timestamp"], s["id"]) for s in rows(busy, "v3/scores", limit=5)]
    assert order == sorted(order, reverse=True)
    high = rows(busy, "v3/scores", dataType="NUMERIC", valueMin="0.5")
    assert {s["id"] for s in high} == {s.id for s in traffic(3).scores if s.rater == "judge" and s.value >= 0.5}
    session = next(s for s in rows(busy, "v3/scores", fields="subject") if s["subject"]["kind"] == "session")
    assert session in rows(busy, "v3/scores", fields="subject", sessionId=f"nowhere,{session['subject']['id']}")
    assert rows(busy, "v3/scores", traceId=session["subject"]["id"]) == []
    assert not {"comment", "subject", "queueId"} & rows(busy, "v3/scores")[0].keys()


def test_dropped_scores_make_pages_short_but_the_cursor_goes_on_and_the_metrics_count_them():
    told = traffic(2, traces=120)
    double = LangfuseDouble(told, dropped_scores=0.4, extras=())
    pages, cursor = [], {}
    while True:
        page = get(double, "v3/scores", limit=5, **cursor)
        pages.append(len(page["data"]))
        if "cursor" not in page["meta"]:
            break
        cursor = {"cursor": page["meta"]["cursor"]}
    assert len(pages) == -(-len(told.scores) // 5)
    assert min(pages[:-1]) < 5
    assert 0 < sum(pages) < len(told.scores)
    assert sum(int(d["count_count"]) for d in by_day(double, "scores-numeric")) == len(told.scores)


def test_metrics_prove_rows_tokens_and_cost_per_day():
    told = traffic(5, traces=90)
    double = LangfuseDouble(told, duplicates=0.3)
    sums = (("sum", "inputTokens"), ("sum", "outputTokens"), ("sum", "totalCost"))
    found = {d["time_dimension"]: d for d in by_day(double, "observations", *sums)}
    for n in range(4):
        day = START + timedelta(days=n)
        spans = [s for s in told.spans if s.start.date() == day.date()]
        row = found[f"{day:%Y-%m-%d}"]
        assert row["count_count"] == str(len(spans))
        assert row["sum_inputTokens"] == str(sum(s.tokens_in or 0 for s in spans))
        assert row["sum_outputTokens"] == str(sum(s.tokens_out or 0 for s in spans))
        assert row["sum_totalCost"] == pytest.approx(sum(s.cost_usd or 0 for s in spans))


def test_days_without_rows_are_zeros_unless_an_order_is_asked_for():
    double = LangfuseDouble(one(span("a", START + timedelta(days=2))))
    assert [(d["time_dimension"][-2:], d["count_count"]) for d in by_day(double, "observations", days=4)] == [
        ("02", "0"), ("03", "0"), ("04", "1"), ("05", "0")
    ]  # fmt: skip
    order = [{"field": "time_dimension", "direction": "asc"}]
    assert [d["time_dimension"] for d in by_day(double, "observations", orderBy=order)] == ["2026-11-04"]
    assert len(by_day(double, "observations", days=400)) == 100
    assert len(by_day(double, "observations", days=400, config={"row_limit": 1000})) == 400


def test_the_end_of_a_metrics_query_is_inclusive():
    double = LangfuseDouble(one(span("a"), span("b", START + timedelta(days=1))))
    assert sum(int(d["count_count"]) for d in by_day(double, "observations", days=1)) == 2


def test_latency_is_in_milliseconds_in_metrics():
    assert by_day(LangfuseDouble(one(span("a"))), "observations", ("avg", "latency"), days=1)[0]["avg_latency"] == 1000


def test_a_correction_is_in_no_score_view(busy):
    kinds = Counter(s["dataType"] for s in rows(busy, "v3/scores", limit=100))
    assert kinds["CORRECTION"] > 0
    counts = {v: sum(int(d["count_count"]) for d in by_day(busy, f"scores-{v}")) for v in ("numeric", "boolean", "categorical")}
    assert counts == {
        "numeric": kinds["NUMERIC"] + kinds["BOOLEAN"], "boolean": kinds["BOOLEAN"],
        "categorical": kinds["CATEGORICAL"] + kinds["TEXT"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"dimensions": [{"field": "userId"}]}, "High cardinality"),
        ({"dimensions": [{"field": "sessionId"}]}, "High cardinality"),
        ({"dimensions": [{"field": "traceId"}]}, "High cardinality"),
        ({"dimensions": [{"field": "id"}]}, "High cardinality"),
        ({"config": {"row_limit": 1001}}, "row_limit"),
        ({"view": "traces"}, "view: Invalid option"),
        ({"metrics": []}, "metrics: Too small"),
        ({"metrics": [{"measure": "colour", "aggregation": "sum"}]}, "Invalid metric sum of colour"),
        ({"toTimestamp": "2026-11-01T00:00:00Z"}, "fromTimestamp must be before toTimestamp"),
        ({"orderBy": [{"field": "sum_totalCost", "direction": "desc"}]}, "Invalid orderBy field: sum_totalCost"),
    ],
)
def test_a_wrong_metrics_query_is_400(busy, more, words):
    query = {
        "view": "observations", "metrics": [{"measure": "count", "aggregation": "count"}],
        "fromTimestamp": "2026-11-02T00:00:00Z", "toTimestamp": "2026-11-09T00:00:00Z",
    }  # fmt: skip
    assert words in refused(busy, "v2/metrics", query=json.dumps(query | more))
