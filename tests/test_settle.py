"""Settling: what a trace says of itself reaches its spans, and usage that is reported twice is counted once."""

import itertools
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storekit import at, column, load, observation, put, rows, span, write_lines

from llmobs_nb.store.settle import INHERITED, REPEATS, ROLLED


def fact(**fields) -> dict:
    return {"source": "test", "project": "p", "trace_id": "t1", "updated_at": at(0)} | fields


def llm(span_id: str, tokens_in: int | None = None, tokens_out: int | None = None, cost: float | None = None, **fields) -> dict:
    """A span with usage, priced as recorded."""
    source = "none" if cost is None else "recorded"
    used = {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost_recorded_usd": cost, "cost_usd": cost, "cost_source": source}
    return span(span_id, **used | fields)


def total(root) -> float:
    return sum(r["cost_usd"] for r in rows(root) if r["cost_usd"] is not None)


# Inheritance


@pytest.mark.parametrize("name", INHERITED)
def test_every_span_takes_what_the_root_says(root, name):
    put(root, spans=[span("root", **{name: "said"}), span("child", parent_id="root"), span("elsewhere", trace_id="t2")])
    assert column(root, name) == {"root": "said", "child": "said", "elsewhere": None}


def test_facts_go_before_the_root_and_the_root_before_the_first_span(root):
    spans = [
        span("early", parent_id="root", start_time=at(-5), user_id="early", session_id="early", feature="early"),
        span("root", start_time=at(0), user_id="root", session_id="root"),
        span("late", parent_id="root", start_time=at(5)),
    ]
    put(root, spans=spans, trace_facts=[fact(user_id="fact")])
    found = {r["span_id"]: (r["user_id"], r["session_id"], r["feature"]) for r in rows(root)}
    assert found == {"early": ("early", "early", "early"), "root": ("root", "root", "early"), "late": ("fact", "root", "early")}


def test_without_a_root_the_first_span_that_knows_tells_the_rest(root):
    orphans = [
        span("b", parent_id="gone", start_time=at(2), user_id="second"),
        span("a", parent_id="gone", start_time=at(1), user_id="first"),
        span("c", parent_id="gone", start_time=at(0)),
        span("d", parent_id="gone", start_time=None),
    ]
    put(root, spans=orphans)
    assert column(root, "user_id") == {"a": "first", "b": "second", "c": "first", "d": "first"}
    assert set(column(root, "parent_id").values()) == {"gone"}
    assert set(column(root, "is_root").values()) == {False}


def test_of_equal_starts_the_smaller_id_tells(root):
    put(root, spans=[span("x", user_id="x"), span("a", user_id="a"), span("z")])
    assert column(root, "user_id") == {"a": "a", "x": "x", "z": "a"}


def test_a_judge_inside_a_trace_of_the_product_makes_no_judge_of_the_rest(root):
    spans = [
        span("root"),
        span("judge", parent_id="root", purpose="judging"),
        span("after", parent_id="root", start_time=at(5)),
        span("orphan", trace_id="t2", parent_id="gone", purpose="judging"),
        span("other", trace_id="t2", parent_id="gone", start_time=at(5)),
        span("late", trace_id="t3", parent_id="gone"),
    ]
    put(root, spans=spans, trace_facts=[fact(trace_id="t3", purpose="experiment")])
    found = {"root": None, "judge": "judging", "after": None, "orphan": "judging", "other": None, "late": "experiment"}
    assert column(root, "purpose") == found


def test_an_inherited_value_follows_a_newer_root_and_an_own_one_stays(root):
    put(
        root,
        spans=[
            span("root", user_id="u1", updated_at=at(1)),
            span("own", parent_id="root", user_id="mine"),
            span("child", parent_id="root"),
        ],
    )
    assert column(root, "user_id") == {"root": "u1", "own": "mine", "child": "u1"}
    put(root, spans=[span("root", user_id="u2", updated_at=at(2))])
    assert column(root, "user_id") == {"root": "u2", "own": "mine", "child": "u2"}
    put(root, spans=[span("root", user_id=None, updated_at=at(3))])
    assert column(root, "user_id") == {"root": "mine", "own": "mine", "child": "mine"}
    assert column(root, "own") == {"root": {"user_id": None}, "own": None, "child": {"user_id": None}}


def test_a_value_that_nobody_says_any_more_is_gone(root):
    put(root, spans=[span("root", user_id="u1", updated_at=at(1)), span("child", parent_id="root")])
    put(root, spans=[span("root", updated_at=at(2))])
    assert column(root, "user_id") == {"root": None, "child": None}
    assert column(root, "own") == {"root": None, "child": None}


@pytest.mark.parametrize("order", list(itertools.permutations(["root", "child", "fact"])), ids="-".join)
def test_parts_of_a_trace_settle_in_any_order_of_arrival(root, order):
    parts = {
        "root": {"spans": [span("root", user_id="u", feature="f")]},
        "child": {"spans": [span("child", parent_id="root", feature="own")]},
        "fact": {"trace_facts": [fact(session_id="s", user_id="other")]},
    }
    for part in order:
        put(root, **parts[part])
    assert column(root, "user_id") == {"root": "u", "child": "other"}
    assert column(root, "session_id") == {"root": "s", "child": "s"}
    assert column(root, "feature") == {"root": "f", "child": "own"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_facts_of_equal_age_settle_on_the_facts_that_are_stored(root, order):
    """Both say one thing each: the one that is kept as the trace's facts is the one that its spans take."""
    said = [fact(user_id="x"), fact(session_id="x")]
    put(root, spans=[span("a")])
    for number in order:
        put(root, trace_facts=[said[number]])
    (kept,) = rows(root, "trace_facts")
    assert (column(root, "user_id")["a"], column(root, "session_id")["a"]) == (kept["user_id"], kept["session_id"])


def test_newer_facts_replace_older_ones(root):
    put(root, spans=[span("a")], trace_facts=[fact(user_id="old", updated_at=at(1))])
    put(root, trace_facts=[fact(user_id="new", updated_at=at(2))])
    put(root, trace_facts=[fact(user_id="older", updated_at=at(0))])
    assert column(root, "user_id") == {"a": "new"}


def test_traces_of_other_projects_and_sources_tell_nothing(root):
    put(root, spans=[span("root", user_id="u"), span("a", project="q"), span("b", source="other"), span("c", trace_id="t2")])
    assert column(root, "user_id") == {"root": "u", "a": None, "b": None, "c": None}


# Roll-ups


def test_an_agent_that_repeats_its_calls_is_not_counted_again(root):
    put(
        root,
        spans=[
            llm("agent", 30, 3, 0.3, kind="agent"),
            llm("x", 10, 1, 0.1, parent_id="agent"),
            llm("y", 20, 2, 0.2, parent_id="agent"),
        ],
    )
    assert column(root, "tokens_in") == {"agent": None, "x": 10, "y": 20}
    assert column(root, "cost_usd") == {"agent": None, "x": 0.1, "y": 0.2}
    assert column(root, "price_reason") == {"agent": REPEATS, "x": None, "y": None}
    assert column(root, "cost_source")["agent"] == "none"
    own = column(root, "own")["agent"]
    assert own == {
        "tokens_in": "30",
        "tokens_out": "3",
        "cost_recorded_usd": "0.3",
        "cost_usd": "0.3",
        "cost_source": "recorded",
        "price_reason": None,
    }


@pytest.mark.parametrize("kind", ["agent", "chain", "tool", "retriever", "guardrail", "evaluator", "event"])
def test_whatever_is_no_model_call_gives_way_to_the_calls_below(root, kind):
    put(
        root,
        spans=[
            llm("top", 99, 9, 9.0, kind=kind),
            span("between", kind="chain", parent_id="top"),
            llm("call", 10, 1, 0.1, parent_id="between"),
        ],
    )
    assert total(root) == 0.1


CALLS_IN_CALLS = {
    "equal": ([(10, 1, 0.1), (10, 1, 0.1)], 0.1),
    "equal to one of two": ([(10, 1, 0.1), (10, 1, 0.1), (5, 5, 0.05)], 0.1 + 0.05),
    "sum of two": ([(30, 3, 0.3), (10, 1, 0.1), (20, 2, 0.2)], 0.1 + 0.2),
    "sum within one per cent": ([(1000, 0, 1.0), (995, 0, 0.9)], 0.9),
    "two per cent off": ([(1000, 0, 1.0), (980, 0, 0.9)], 1.0 + 0.9),
    "different": ([(50, 5, 0.5), (10, 1, 0.1)], 0.5 + 0.1),
    "only costs, equal": ([(None, None, 0.3), (None, None, 0.1), (None, None, 0.2)], 0.1 + 0.2),
    "only costs, different": ([(None, None, 0.5), (None, None, 0.1)], 0.5 + 0.1),
    "child without usage": ([(50, 5, 0.5), (None, None, None)], 0.5),
    "parent without usage": ([(None, None, None), (10, 1, 0.1)], 0.1),
}


@pytest.mark.parametrize("case", CALLS_IN_CALLS)
def test_a_call_inside_a_call(root, case):
    (top, *below), expected = CALLS_IN_CALLS[case]
    put(root, spans=[llm("top", *top), *(llm(f"c{n}", *used, parent_id="top") for n, used in enumerate(below))])
    assert total(root) == pytest.approx(expected, abs=1e-12)


def test_a_tower_of_repeats_is_counted_once(root):
    tower = [llm("s0", 30, 3, 0.3, kind="agent")]
    tower += [llm(f"s{n}", 30, 3, 0.3, kind="agent" if n % 2 else "llm", parent_id=f"s{n - 1}") for n in range(1, 30)]
    put(root, spans=[*tower, llm("x", 10, 1, 0.1, parent_id="s29"), llm("y", 20, 2, 0.2, parent_id="s29")])
    assert total(root) == pytest.approx(0.3)


def test_children_that_come_later_take_their_parents_usage_away(root):
    put(root, spans=[llm("agent", 30, 3, 0.3, kind="agent")])
    assert total(root) == 0.3
    put(root, spans=[llm("x", 10, 1, 0.1, parent_id="agent")])
    assert total(root) == 0.1
    put(root, spans=[llm("y", 20, 2, 0.2, parent_id="x")])
    assert total(root) == pytest.approx(0.3)


def test_a_parent_gets_its_own_usage_back_when_its_child_turns_out_to_have_none(root):
    put(root, spans=[llm("agent", 30, 3, 0.1 + 0.2, kind="agent"), llm("x", 10, 1, 0.1, parent_id="agent", updated_at=at(1))])
    put(root, spans=[span("x", parent_id="agent", updated_at=at(2))])
    (agent,) = [r for r in rows(root) if r["span_id"] == "agent"]
    given = llm("agent", 30, 3, 0.1 + 0.2, kind="agent")
    assert {c: agent[c] for c in ROLLED} == {c: given.get(c) for c in ROLLED}
    assert agent["own"] is None


def test_a_newer_version_of_a_rolled_up_parent_is_rolled_up_again(root):
    put(root, spans=[llm("agent", 30, 3, 0.3, kind="agent", updated_at=at(1)), llm("x", 10, 1, 0.1, parent_id="agent")])
    put(root, spans=[llm("agent", 40, 4, 0.4, kind="agent", updated_at=at(2))])
    assert total(root) == 0.1
    assert column(root, "own")["agent"]["tokens_in"] == "40"
    put(root, spans=[llm("agent", 35, 3, 0.3, kind="agent", updated_at=at(1))])
    assert column(root, "own")["agent"]["tokens_in"] == "40"


def test_an_orphan_chain_counts_what_is_there(root):
    chain = [
        llm("b", 20, 2, 0.2, kind="agent", parent_id="lost"),
        llm("c", 20, 2, 0.2, parent_id="b"),
        llm("z", 5, 0, 0.05, parent_id="also lost"),
    ]
    put(root, spans=chain)
    assert column(root, "cost_usd") == {"b": None, "c": 0.2, "z": 0.05}
    put(root, spans=[llm("lost", 20, 2, 0.2, kind="agent")])
    assert column(root, "cost_usd") == {"lost": None, "b": None, "c": 0.2, "z": 0.05}


CIRCLES = {
    "itself": [llm("a", 10, 1, 0.1, parent_id="a")],
    "two calls": [llm("a", 10, 1, 0.1, parent_id="b"), llm("b", 10, 1, 0.1, parent_id="a")],
    "two agents": [llm("a", 10, 1, 0.1, kind="agent", parent_id="b"), llm("b", 10, 1, 0.1, kind="agent", parent_id="a")],
    "three": [llm(n, 10, 1, 0.1, kind="agent", parent_id=p) for n, p in ("ab", "bc", "ca")],
    "a call under a circle": [
        *(llm(n, 10, 1, 0.1, kind="agent", parent_id=p) for n, p in ("ab", "ba")),
        llm("call", 10, 1, 0.1, parent_id="b"),
    ],
}


@pytest.mark.parametrize("case", CIRCLES)
def test_spans_that_are_their_own_ancestors_are_counted_once(root, case):
    put(root, spans=CIRCLES[case])
    put(root, spans=CIRCLES[case])
    assert total(root) == 0.1
    assert len(rows(root)) == len(CIRCLES[case])


def test_usage_of_other_traces_projects_and_sources_is_nobodys_repeat(root):
    put(
        root,
        spans=[
            llm("agent", 30, 3, 0.3, kind="agent"),
            *(llm("x", 10, 1, 0.1, parent_id="agent", **{k: "other"}) for k in ("trace_id", "project", "source")),
        ],
    )
    assert total(root) == pytest.approx(0.6)


trees = st.lists(
    st.tuples(st.integers(-1, 6), st.sampled_from(["llm", "agent", "chain", "embedding"]), st.sampled_from([None, 0, 5, 10, 15])),
    min_size=1,
    max_size=7,
)


@given(tree=trees, order=st.randoms(use_true_random=False), cuts=st.sets(st.integers(1, 6), max_size=2))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_tree_in_any_order_settles_alike_and_never_counts_above_its_leaves(tmp_path_factory, tree, order, cuts):
    spans = [
        llm(
            f"s{n}",
            used,
            0 if used is not None else None,
            used and used / 100,
            kind=kind,
            parent_id=None if parent < 0 else f"s{parent}",
            user_id="u" if used == 5 else None,
        )
        for n, (parent, kind, used) in enumerate(tree)
    ]
    whole, parts = (str(tmp_path_factory.mktemp("settle") / name) for name in ("whole", "parts"))
    put(whole, spans=spans)
    mixed = list(spans)
    order.shuffle(mixed)
    bounds = [0, *sorted(c for c in cuts if c < len(mixed)), len(mixed)]
    for start, end in itertools.pairwise(bounds):
        put(parts, spans=mixed[start:end])
    assert [{k: v for k, v in r.items() if k != "day"} for r in rows(whole)] == [
        {k: v for k, v in r.items() if k != "day"} for r in rows(parts)
    ]
    counted = {r["span_id"]: r for r in rows(whole)}
    given_ = {s["span_id"]: s for s in spans}
    for name, row in counted.items():
        assert row["cost_usd"] in (None, given_[name]["cost_usd"])
        if row["cost_usd"] is None and given_[name]["cost_usd"] is not None:
            assert _below(name, given_, lambda s: s["tokens_in"] is not None)


def _below(name: str, spans: dict, wanted) -> bool:
    """Whether any other span that stands below this one is wanted."""
    seen, todo = {name}, [name]
    while todo:
        above = todo.pop()
        new = [n for n, s in spans.items() if s["parent_id"] == above and n not in seen]
        seen.update(new)
        todo += new
    return any(wanted(spans[n]) for n in seen - {name})


def test_through_the_readers_an_agents_usage_is_counted_once(root, tmp_path):
    """Langfuse: an agent that reports what its two generations used, the children in a later export."""
    agent = observation(
        "agent", type="AGENT", usageDetails={"input": 30, "output": 3, "total": 33}, costDetails={"total": 0.3}, userId="u"
    )
    calls = [
        observation(f"c{n}", parentObservationId="agent", usageDetails={"input": 15, "output": n}, costDetails={"total": 0.15})
        for n in (1, 2)
    ]
    load(root, write_lines(tmp_path / "a.jsonl", [agent]))
    load(root, write_lines(tmp_path / "b.jsonl", calls))
    assert column(root, "cost_usd") == {"agent": None, "c1": 0.15, "c2": 0.15}
    assert column(root, "user_id") == {"agent": "u", "c1": "u", "c2": "u"}


# Size


def test_a_trace_of_many_thousand_spans_settles_at_once(root):
    """Joins that pair the spans of a trace with each other took minutes here, and the recursive query would not be stopped."""
    calls = [llm(f"s{n}", 10, 1, 0.01, parent_id=f"step{n % 50}") for n in range(15_000)]
    steps = [span(f"step{n}", kind="chain", parent_id="root", tokens_in=3000, tokens_out=300) for n in range(50)]
    began = time.monotonic()
    put(root, spans=[span("root", kind="chain", tokens_in=150_000, tokens_out=15_000), *steps, *calls])
    assert total(root) == pytest.approx(150)
    assert {s for s, tokens in column(root, "tokens_in").items() if tokens is None} == {"root", *(f"step{n}" for n in range(50))}
    assert time.monotonic() - began < 30


def test_a_chain_of_calls_inside_calls_is_followed_to_its_end(root):
    chain = [span(f"s{n:03}", parent_id=f"s{n - 1:03}" if n else None, tokens_in=7, tokens_out=1) for n in range(120)]
    put(root, spans=[*chain, llm("leaf", 7, 1, 0.5, parent_id="s119")])
    assert {s for s, tokens in column(root, "tokens_in").items() if tokens is not None} == {"leaf"}
