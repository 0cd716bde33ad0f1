"""``lm.drift``: from a store to what drifted between two windows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ...errors import UsageError
from ...stats import twosample, wording
from ...stats.twosample import Design
from ...windows import Window
from ..result import Finding, provenance
from . import compute, sample
from . import measures as m
from .blocks import READ, blocks
from .compute import Said, Shift
from .pair import choose
from .plain import answers, questions
from .result import DriftResult, frames, headline
from .sample import Dimension, Rows, Sample, dimension
from .verdicts import judge

COLUMNS = ("feature", "tenant_id", "user_tier", "locale", "environment", "trace_name", "error_class")
OF_CALLS = ("provider", "model", "model_requested", "prompt_name", "prompt_version", "finish_reason")
MOST_KEYS, MOST_KEY_VALUES, LEAST_COVERAGE = 10, 30, 0.05
ON_MAP = 600

Embed = Callable[[list[str]], Any]
Labels = Mapping[tuple[str, str], tuple[Rows, list[str]]]


def drift(
    obs,
    *,
    before: Any = None,
    after: Any = None,
    where: Mapping[str, Any] | None = None,
    embed: Embed | None = None,
    column: str | None = None,
    sample: int = 4000,
    seed: int = 0,
    tz: str = "UTC",
) -> DriftResult:
    """What is different between two windows: wording, topics, language, tone, length, retrieval, prompts, and every mix of labels.

    ``after`` is an ISO week (``2026-W46``) or two times (``2026-11-01/2026-11-14``); by default the last complete week. ``before``
    likewise; by default the four weeks before. ``where`` looks at some traffic only. Texts are read of about ``sample`` traces of the later
    window and at the same rate before (at most four times as many), in whole sessions. ``embed`` turns a list of questions into an array of vectors,
    ``column`` names a metadata key or extra column that holds one (a JSON list); either adds a measure. Whole days change sides in the
    permutations, or whole sessions where there are too few days, which a finding says. In quiet weeks at most one in twenty has any drift. A measure without
    rows is refused with its reason. Raises UsageError for windows that are none, vectors that do not fit, a sample below 100.
    """
    began = time.perf_counter()
    asked = {
        "before": _text(before),
        "after": _text(after),
        "where": dict(where or {}),
        "column": column,
        "sample": sample,
        "seed": seed,
        "tz": tz,
    }
    if not isinstance(sample, int) or sample < 100:
        raise UsageError(f"sample={sample!r} is no number of traces from 100 on; 4000 is the default")
    obs = obs.where(**where) if where else obs
    pair = choose(obs, before, after, tz)
    if pair is None:
        text = "The store holds no spans of the product: there is nothing to compare."
        never = Window(*(pd.Timestamp(0, tz="UTC").to_pydatetime(),) * 2, "no window")
        return DriftResult(
            name="drift", headline=text, parameters=asked, before=never, after=never, findings=(Finding("warning", text),)
        )
    with threadpool_limits(1, user_api="blas"):
        result = _compare(obs, *pair, asked, embed)
    result.provenance.update(provenance(obs, {"start": pair[0].start.isoformat(), "end": pair[1].end.isoformat()}, began))
    return result


def _compare(obs, before: Window, after: Window, asked: dict, embed: Embed | None) -> DriftResult:
    dimensions, column = _dimensions(obs), asked["column"]
    extra = (_vector_column(obs, column),) if column else ()
    with sample.traces(obs, before, after, (*dimensions, *extra)):
        drawn = sample.draw(
            obs, (*dimensions, *extra), sample.days(before, after), sample=asked["sample"], seed=asked["seed"], tz=asked["tz"]
        )
        labels = sample.labels(obs, asked["tz"])
    if not len(drawn.rows):
        text = f"no traces in {before.label} and {after.label}"
        nothing = (Finding("warning", text),)
        return DriftResult(
            name="drift", headline=headline((), before, after), parameters=asked, before=before, after=after, findings=nothing
        )
    d = design_of(drawn.rows, asked["seed"])
    asks, said = questions(drawn.columns["input"]), answers(drawn.columns["output"])
    spoken = text_shifts(d, asks, said, asked["seed"])
    shifts = [*plain_shifts(d, drawn, dimensions, labels, asked["seed"]), *(s for one in spoken for s in one.shifts)]
    rendered, passages = _prompts(d, drawn.columns["system_prompt"])
    held = drawn.columns.get(f"column:{column}") if column else None
    shifts = judge([*shifts, *rendered, *_embedded(d, asks, embed, held, column)])
    tables = frames(shifts, passages) | {"places": _places(d, drawn, spoken)}
    return DriftResult(name="drift", headline=headline(shifts, before, after), parameters=asked, before=before, after=after,
                       shifts=shifts, findings=tuple(_findings(drawn, d, spoken, after)), **tables)  # fmt: skip


def text_shifts(d: Design, asks: Sequence[str], said: Sequence[str], seed: int) -> list[Said]:
    """What the sampled questions and answers say, each column by itself."""
    return [one for column, given in (("input", asks), ("output", said)) for one in compute.texts(d, column, given, seed=seed)]


def plain_shifts(d: Design, drawn: Sample, dimensions: Sequence[Dimension], labels: Labels, seed: int) -> list[Shift]:
    """Numbers that a trace has, categorical columns, labels of scores."""
    shifts = [compute.number(d, measure, drawn.columns[name]) for name, measure in m.NUMBERS.items() if _any(drawn.columns[name])]
    shifts += [compute.category(d, m.column(x.name), drawn.columns[f"column:{x.name}"], missing=True) for x in dimensions]
    return shifts + [compute.category(design_of(rows, seed), m.label(*key), values) for key, (rows, values) in labels.items()]


def design_of(rows: Rows, seed: int) -> Design:
    """How rows may change sides."""
    return twosample.design(rows.later, rows.day, rows.weekday, rows.cluster, seed=seed)


def _dimensions(obs) -> tuple[Dimension, ...]:
    """The product's categorical columns that are filled, and metadata keys with few values."""
    found = obs.dimensions()
    known = set(found.loc[found["kind"] == "column", "name"])
    out = [dimension(c, kind="call") for c in OF_CALLS if c in known] + [dimension(c, kind="span") for c in COLUMNS if c in known]
    keys = found[
        (found["kind"] == "metadata") & (found["values"] <= MOST_KEY_VALUES) & (found["coverage_rate"] >= LEAST_COVERAGE)
    ]
    keys = keys[~keys["name"].isin(known)].sort_values(["coverage_rate", "name"], ascending=[False, True])
    return (*out, *(dimension(k, kind="metadata") for k in keys["name"][:MOST_KEYS]))


def _prompts(d: Design, given: Sequence[str | None]) -> tuple[list[Shift], tuple]:
    rows = np.flatnonzero([bool(t) for t in given])
    rows = rows[:: max(1, -(-len(rows) // READ))]
    if not len(rows):
        return [], ()
    some, part = [given[i] for i in rows], d.of(rows)
    return [compute.prompts(part, wording.read(some, split=wording.parts_of))], blocks(part, some)


# --- a user's vectors


def _vector_column(obs, name: str) -> Dimension:
    from ...columns import literal, quote

    if name in obs.query("SELECT * FROM spans LIMIT 0").column_names:
        return Dimension(name, f"max(CAST({quote(name)} AS VARCHAR))")
    found = Dimension(name, f"max(metadata[{literal(name)}])")
    (row,) = obs.query(f"SELECT {found.sql} AS v FROM spans").to_pylist()
    if row["v"] is None:
        raise UsageError(
            f"column={name!r} is neither a column nor a metadata key of the spans; lm.open(…).dimensions() lists some, a column of vectors is not among them"
        )
    return found


def _embedded(
    d: Design, asks: Sequence[str], embed: Embed | None, held: Sequence[str | None] | None, name: str | None
) -> list[Shift]:
    out = []
    if held is not None:
        rows, vectors = _parsed(held, name)
        out.append(compute.of_embedding(d.of(rows), m.embedding(name), vectors))
    if embed is not None:
        rows = np.flatnonzero([bool(t.strip()) for t in asks])
        vectors = np.asarray(embed([asks[i] for i in rows]), float) if len(rows) else np.zeros((0, 1))
        if vectors.ndim != 2 or len(vectors) != len(rows) or not np.isfinite(vectors).all():
            raise UsageError(
                f"embed gave an array of shape {vectors.shape} for {len(rows):,} texts; give one row of finite numbers a text"
            )
        out.append(compute.of_embedding(d.of(rows), m.embedding(None), vectors))
    return out


def _parsed(held: Sequence[str | None], name: str | None) -> tuple[np.ndarray, np.ndarray]:
    rows = np.array([i for i, v in enumerate(held) if v is not None], int)
    try:
        vectors = np.array([json.loads(held[i]) for i in rows], float).reshape(len(rows), -1)
    except (ValueError, TypeError):
        raise UsageError(
            f"column={name!r} does not hold vectors; give each span a JSON list of numbers, all of one length"
        ) from None
    if not np.isfinite(vectors).all():
        raise UsageError(f"column={name!r} holds vectors with NaN or infinity; give finite numbers")
    return rows, vectors


# --- the map and what a reader must know


def _places(d: Design, drawn: Sample, spoken: Sequence[Said]) -> pd.DataFrame:
    """At most 600 questions a window on the map, evenly over time."""
    parts = []
    for one in (s for s in spoken if s.topics is not None):
        later = d.side[d.group[one.rows]]
        for window, side in (("before", ~later), ("after", later)):
            at = np.flatnonzero(side & (one.topics.topic >= 0))
            at = at[:: max(1, -(-len(at) // ON_MAP))]
            names = [one.topics.names[t] for t in one.topics.topic[at]]
            ids = [drawn.columns["trace_id"][i] for i in one.rows[at]]
            parts.append(
                pd.DataFrame(
                    {
                        "window": window,
                        "topic": names,
                        "x": one.topics.place[at, 0],
                        "y": one.topics.place[at, 1],
                        "trace_id": ids,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["window", "topic", "x", "y", "trace_id"])


def _findings(drawn: Sample, d: Design, spoken: Sequence[Said], after: Window):
    total, n = drawn.total_before + drawn.total_after, len(drawn.rows)
    if n < total:
        yield Finding(
            "info",
            f"of {total:,} traces {n:,} are read, whole sessions at one rate in both windows, of a session 20 traces at most",
            n,
        )
    if not drawn.total_after:
        yield Finding("warning", f"no traces in {after.label}", 0)
    if d.unit == "sessions":
        yield Finding(
            "warning",
            "too few days to exchange whole days: whole sessions are exchanged, so a shock that a day shares can look like drift",
            len(d.side),
        )
    if not spoken:
        yield Finding(
            "warning", "no texts of questions or answers are in the store: wording, topics, language and tone are not compared", 0
        )


def _any(values: Sequence) -> bool:
    return any(v is not None for v in values)


def _text(value: Any) -> str | None:
    return None if value is None else value.label if isinstance(value, Window) else str(value)
