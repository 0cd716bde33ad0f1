"""The tables of a case as a product would have logged them: spans, scores, change log, prompts; in canonical or older names."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import spans as layout
from .behaviour import State
from .coded import Coded, texts
from .decoys import Decoys
from .judging import Scores
from .kinds import Work
from .product import Axis
from .slices import OF_CALLS
from .spans import Rows
from .story import HOUR, Story
from .texts import Texts

OLDER = {
    "guardrails": "guardrail_decisions", "parent_id": "parent_span_id", "tokens_cache_read": "cached_tokens",
    "model": "model_resolved", "error_class": "error",
}  # fmt: skip
TIME = pa.timestamp("us", tz="UTC")


@dataclass
class Kept:
    """What is left after spans were lost and fields went missing: spans by index, dimensions by role."""

    spans: np.ndarray
    dims: dict[str, Coded]


def survive(rng: np.random.Generator, state: State, rows: Rows, decoys: Decoys) -> Kept:
    """Lose spans (never the only one of a trace's steps) and fields."""
    sizes = np.bincount(rows.trace)
    gone = (rng.random(len(rows.trace)) < decoys.lost) & (sizes[rows.trace] > 1)
    dims = {}
    for axis in state.product.axes:
        dims[axis.role] = state.dims[axis.role].copy()
        if axis.role in decoys.missing:
            dims[axis.role].put(rng.random(len(state.traffic)) < decoys.missing[axis.role], None)
    return Kept(np.flatnonzero(~gone), dims | {role: state.dims[role] for role in OF_CALLS})


def trace_ids(rng: np.random.Generator, state: State) -> pa.Array:
    """Ids that do not tell the order."""
    n = len(state.traffic)
    numbers = pc.utf8_lpad(pa.array(rng.permutation(n) + 1).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise(pa.scalar(state.product.writing.prefix), numbers, "")


def spans_table(rng: np.random.Generator, state: State, rows: Rows, made: Texts, kept: Kept, ids: pa.Array) -> pa.Table:
    """One row per span that was not lost."""
    at = kept.spans
    columns = (
        _identity(state, rows, at, ids)
        | _outcome(state, rows, at)
        | _call(state, rows, at, kept)
        | _usage(state, rows, at)
        | _retrieval(rng, state, rows, at, kept)
        | _dimensions(state, rows, at, kept)
        | _payload(rows, at, made)
    )
    return _named(pa.table(columns), state)


def _named(table: pa.Table, state: State) -> pa.Table:
    """The table in the names and types that the product uses."""
    if state.product.writing.json_text:
        for name in ("retrieval_ids", "retrieval_scores"):
            lists = [None if v is None else json.dumps(v) for v in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(lists, pa.string()))
    if state.product.writing.older_names:
        table = table.rename_columns([OLDER.get(n, n) for n in table.column_names])
    return table


def _times(state: State, micros: np.ndarray) -> pa.Array:
    start = np.datetime64(state.product.start.replace(tzinfo=None), "us")
    return pa.array(start + micros.astype("timedelta64[us]")).cast(TIME)


def _identity(state: State, rows: Rows, at: np.ndarray, ids: pa.Array) -> dict:
    trace = texts(ids, rows.trace[at])
    step = pa.array(rows.step[at]).cast(pa.string())
    return {
        "trace_id": trace,
        "span_id": pc.binary_join_element_wise(trace, step, "-"),
        "parent_id": pc.if_else(pa.array(rows.root[at]), None, pc.binary_join_element_wise(trace, pa.scalar("0"), "-")),
        "kind": texts(pa.array(layout.KINDS), rows.kind[at]),
        "name": layout.names(state, rows).at(at).arrow(),
        "start_time": _times(state, rows.start[at]),
        "end_time": _times(state, rows.start[at] + (rows.ms[at] * 1000).astype(np.int64)),
    }


def _outcome(state: State, rows: Rows, at: np.ndarray) -> dict:
    error = rows.error.at(at).arrow()
    told = pc.binary_join_element_wise(error, pa.scalar("reported by the upstream service"), " ")
    return {
        "status": pc.if_else(pa.array(rows.failed[at]), pa.scalar("error"), pa.scalar("ok")),
        "error_class": error,
        "error_message": told,
        "finish_reason": rows.finish.at(at).arrow(),
        "guardrails": layout.guard_words(state, rows).take(pa.array(at)),
    }


def _call(state: State, rows: Rows, at: np.ndarray, kept: Kept) -> dict:
    """What model calls say of model and prompt; an embedding has a model of its own."""
    trace, kind = rows.trace[at], rows.kind[at]
    of_llm = np.where(kind == layout.LLM, trace, -1)
    provider, embedder = state.product.writing.embedder or (None, None)
    out = {}
    for role, own in (("provider", provider), ("model_requested", embedder), ("model", embedder)):
        column = kept.dims[role].at(of_llm)
        column.put(kind == layout.EMBED, own)
        out[role] = column
    out["model"].codes[(kind == layout.LLM) & rows.failed[at]] = -1
    out |= {role: kept.dims[role].at(of_llm) for role in ("prompt_name", "prompt_version")}
    return {n: c.arrow() for n, c in out.items()} | {"model_params": state.params.at(of_llm).arrow()}


def _usage(state: State, rows: Rows, at: np.ndarray) -> dict:
    def number(values, type_):
        return pa.array(values[at], mask=np.isnan(values[at])).cast(type_)

    out = {
        "ttft_ms": number(rows.ttft, pa.float64()),
        "tokens_in": number(rows.tokens_in, pa.int64()),
        "tokens_out": number(rows.tokens_out, pa.int64()),
        "tokens_cache_read": number(rows.tokens_cached, pa.int64()),
    }
    if state.product.writing.retries:
        calls = rows.kind[at] == layout.LLM
        request = pc.binary_join_element_wise(pa.scalar("r"), pa.array(rows.trace[at]).cast(pa.string()), "-")
        once = calls & ~rows.planned[at]
        out["request_id"] = pc.if_else(pa.array(once), request, pa.scalar(None, pa.string()))
        out["attempt"] = pa.array(rows.attempt[at], mask=~once)
    if state.product.writing.costs:
        out["cost_recorded_usd"] = number(rows.cost, pa.float64())
    return out


def _retrieval(rng: np.random.Generator, state: State, rows: Rows, at: np.ndarray, kept: Kept) -> dict:
    """Ids and falling scores of the documents found, and the version of the index."""
    trace = np.where(rows.kind[at] == layout.RETRIEVE, rows.trace[at], -1)
    counts = np.where(trace >= 0, state.documents[trace], 0)
    offsets = np.concatenate([[0], counts.cumsum()])
    of_row = np.repeat(trace, counts)
    rank = np.arange(len(of_row)) - np.repeat(offsets[:-1], counts)
    scores = np.round(state.top_score[of_row] * 0.96**rank, 4)
    documents = texts(pa.array([f"kb-{n:03d}" for n in range(1, 300)]), rng.integers(0, 299, len(of_row)))
    none = pa.array(trace < 0)
    lists = (pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), v) for v in (documents, pa.array(scores)))
    ids, found = (pc.if_else(none, pa.scalar(None, v.type), v) for v in lists)
    return {
        "retrieval_ids": ids,
        "retrieval_scores": found,
        "retrieval_index_version": kept.dims["index"].at(trace).arrow(),
        "tool_name": _tools(state, rows, at),
    }


def _tools(state: State, rows: Rows, at: np.ndarray) -> pa.Array:
    names = layout.names(state, rows).at(at)
    names.codes[rows.kind[at] != layout.TOOL] = -1
    return names.arrow()


def _dimensions(state: State, rows: Rows, at: np.ndarray, kept: Kept) -> dict:
    """The axes of the product where it puts them: columns, further columns, one map."""
    everywhere = state.product.writing.everywhere
    trace = np.where(everywhere | rows.root[at], rows.trace[at], -1)
    users = pa.array([f"u-{n:05d}" for n in range(len(state.product.users.tenant))])
    out = {
        "user_id": texts(users, np.where(trace >= 0, state.traffic.user[trace], -1)),
        "session_id": _sessions(state, trace),
        "turn": pa.array(state.traffic.turn[trace], mask=trace < 0),
    }
    mapped = []
    for axis in state.product.axes:
        column = kept.dims[axis.role].at(trace)
        if axis.place == "metadata":
            mapped.append((axis, column))
        else:
            out[axis.name] = column.arrow()
    return out | ({"metadata": _maps(state, mapped)} if mapped else {})


def _sessions(state: State, trace: np.ndarray) -> pa.Array:
    numbers = pa.array(state.traffic.session[trace], mask=trace < 0).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar("s"), numbers, "-")


def _maps(state: State, mapped: list[tuple[Axis, Coded]]) -> pa.Array:
    """One map per span of the keys that have a value, null where none has; JSON text for some products."""
    there = np.stack([c.codes >= 0 for _, c in mapped], axis=1)
    offsets = pa.array(np.concatenate([[0], there.sum(1).cumsum()]), pa.int32())
    which = there.nonzero()
    keys = texts(pa.array([a.name for a, _ in mapped]), which[1])
    known = [w for _, c in mapped for w in c.words]
    base = np.cumsum([0, *(len(c.words) for _, c in mapped)])[:-1]
    codes = np.stack([c.codes + b for (_, c), b in zip(mapped, base, strict=True)], axis=1)
    values = texts(pa.array(known, pa.string()), codes[which])
    none = pa.array(~there.any(1))
    if not state.product.writing.json_text:
        return pc.if_else(none, None, pa.MapArray.from_arrays(offsets, keys, values))
    quoted = pc.binary_join_element_wise(pa.scalar('"'), keys, pa.scalar('": "'), values, pa.scalar('"'), "")
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, quoted), ", ")
    return pc.if_else(none, pa.scalar(None, pa.string()), pc.binary_join_element_wise("{", joined, "}", ""))


def _payload(rows: Rows, at: np.ndarray, made: Texts) -> dict:
    asked = pa.concat_arrays([made.question, layout.tool_inputs()])
    of_llm = np.where(rows.kind[at] == layout.LLM, rows.trace[at], -1)
    said = texts(made.answer, rows.said[at])
    return {
        "input": texts(asked, rows.asked[at]),
        "output": pc.if_else(pa.array(rows.planned[at]), pa.scalar("call of a tool"), said),
        "system_prompt": texts(made.prompt, of_llm),
    }


def scores_table(state: State, scores: Scores, ids: pa.Array) -> pa.Table:
    """One row per judgement."""
    text = lambda values: pa.array(values, pa.string())  # noqa: E731
    order = np.argsort(scores.created, kind="stable")
    booleans = scores.name[order] == state.product.judging.thumbs
    columns = {
        "trace_id": texts(ids, scores.trace[order]),
        "name": text(scores.name[order]),
        "value": pa.array(scores.value[order]),
        "data_type": pc.if_else(pa.array(booleans), pa.scalar("boolean"), pa.scalar("numeric")),
        "rater": text(scores.rater[order]),
        "rater_id": text(scores.rater_id[order]),
        "judge_model": text(scores.model[order]),
        "judge_version": text(scores.version[order]),
        "created_at": _times(state, scores.created[order]),
    }
    if state.product.judging.logs_chance:
        columns["inclusion_prob"] = pa.array(scores.chance[order], mask=np.isnan(scores.chance[order]))
    if state.product.writing.older_names:
        columns["source"] = columns.pop("rater")
    return pa.table(columns)


# What a team writes down of its own changes; nobody logs what a provider does.
LOGGED = {
    "prompt_text": ("prompt", 0.25), "prompt_version": ("prompt", 0.7), "configuration": ("config", 0.6), "retrieval": ("index", 0.6),
    "guardrail": ("policy", 0.6), "truncation": ("config", 0.2), "agent_loop": ("release", 0.4), "prompt_cache": ("release", 0.4),
    "judge_changed": ("judge", 0.3), "sampling_changed": ("config", 0.3), "model_version": ("model", 0.15), "price": ("contract", 0.2),
}  # fmt: skip
HARMLESS = (
    ("release", "dependency updates"), ("release", "faster start page"), ("config", "alert threshold lowered"),
    ("experiment", "colour of a button"), ("index", "monthly rebuild"), ("prompt", "wording of a feature not yet live"),
    ("model", "evaluation in a notebook only"), ("release", "new settings page"),
)  # fmt: skip


def change_log(rng: np.random.Generator, state: State, story: Story, work: Work | None, decoys: Decoys) -> str | None:
    """A change log as CSV text, with harmless changes (one of them often close to the onset) and sometimes the true one."""
    if rng.random() < 0.3:
        return None
    entries = []
    for _ in range(int(rng.integers(2, 9))):
        kind, note = HARMLESS[int(rng.integers(len(HARMLESS)))]
        entries.append((int(rng.uniform(0, state.product.days) * 24 * HOUR), kind, f"{kind}-{rng.integers(10, 99)}", note))
    if story.onset and rng.random() < 0.6:
        kind, note = HARMLESS[int(rng.integers(len(HARMLESS)))]
        entries.append((story.onset - int(rng.uniform(-20, 40) * HOUR), kind, f"{kind}-{rng.integers(10, 99)}", note))
        decoys.named["close_change"] = f"{kind}: {note}, within two days of the onset"
    kind, chance = LOGGED.get(story.kind, ("", 0))
    if rng.random() < chance:
        entries.append((story.onset - int(rng.uniform(0, 1) * HOUR), kind, *_true_entry(work, story)))
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("at", "kind", "ref", "note", "author"))
    for at, kind, ref, note in sorted(entries):
        when = state.product.start + timedelta(microseconds=at)
        lines.writerow((f"{when:%Y-%m-%dT%H:%M:%SZ}", kind, ref, note, f"dev-{rng.integers(1, 9):02d}"))
    return file.getvalue()


def _true_entry(work: Work | None, story: Story) -> tuple[str, str]:
    """Reference and note of the true change."""
    told = work.details if work else {}
    if "prompt" in told:
        return f"{told['prompt']}@{told['to']}", "new version"
    for key in ("index", "policy", "changed", "to"):
        if key in told:
            return str(told[key]), f"{key} changed"
    return story.kind.replace("_", "-"), "rolled out"
