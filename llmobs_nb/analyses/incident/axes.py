"""The values of each dimension that are worth slicing by, and what a trace is expected to score by what it is.

Expectations come from an additive model of the dimensions that stand still (ridge regression on a sample). Metrics are
compared net of them, so that a change of the mix moves nothing, and slices of different level can be pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...columns import literal
from ..reductions import rows
from .traces import RAW, Plan
from .wording import TEXTS

CODED = "incident_coded"
MOST_VALUES = 80
LEAST_ROWS = 30
LEAST_SHARE = 0.002
SAMPLE = 30_000
OUTER = (0.001, 0.999)  # values beyond these quantiles count as if they were there: one timeout is not a change
RIDGE = 2.0
TURN = "turn_band"
DOCUMENTS = "documents"
LENGTH, THUMBS = "length_band", "user_said"
DERIVED = (TURN, DOCUMENTS, LENGTH, THUMBS)
# Names that go with a product dimension, or that only say what was new in one: told last, and in no pair.
TECHNICAL = {"model_params", "retrieval_index_version", "prompt_name", "prompt_version", "model"}
# Versions of something: what carries one after the other, and within what.
VERSIONS = {
    "prompt_version": ("prompt_name", "feature"), "model": ("model_requested", "feature"),
    "retrieval_index_version": ("feature", "prompt_name"), "model_params": ("feature", "prompt_name"),
    DOCUMENTS: ("feature", "prompt_name"),
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One dimension: the values kept (their place is their code).

    ``still`` says that its values are there all the time, so that before and after can be compared within them.
    """

    name: str
    column: str
    values: tuple[str, ...]
    still: bool


def find_axes(obs, plan: Plan) -> tuple[Axis, ...]:
    """Every dimension with two values or more among the traces."""
    named = [(d.name, f"d{i}") for i, d in enumerate(plan.dimensions)]
    named += _derived(plan)
    total = rows(obs, f"SELECT count(*) AS n FROM {RAW}")[0]["n"]
    out = []
    for name, column in named:
        found = rows(
            obs,
            f"""SELECT {column} AS v, count(*) AS n, min(hour) // 24 AS first, max(hour) // 24 AS last FROM {RAW}
            WHERE {column} IS NOT NULL GROUP BY 1 HAVING count(*) >= {max(LEAST_ROWS, LEAST_SHARE * total)}
            ORDER BY n DESC, v LIMIT {MOST_VALUES}""",
        )
        if len(found) >= (2 if name not in ("model", "model_requested", "prompt_name", "feature") else 1):
            n, first, last = (np.array([r[k] for r in found], float) for k in ("n", "first", "last"))
            out.append(Axis(name, column, tuple(r["v"] for r in found), _still(plan, n, first, last)))
    return tuple(out)


def _derived(plan: Plan) -> list[tuple[str, str]]:
    """What is made of other columns: not for slices to be told by, but for who gets judged and what a setting was."""
    out = [(TURN, "CASE WHEN turn <= 2 THEN CAST(turn AS VARCHAR) WHEN turn > 2 THEN '3+' END")]
    out.append((DOCUMENTS, "CAST(documents AS VARCHAR)"))
    chars = next(i for i, m in enumerate(plan.metrics) if m.name == "output_chars")
    out.append((LENGTH, f"CAST(CAST(round(2.5 * ln(m{chars} + 1)) AS INTEGER) AS VARCHAR)"))
    thumbs = [i for i, m in enumerate(plan.metrics) if m.name.startswith("score:") and m.name.endswith(":user")]
    if thumbs:
        out.append((THUMBS, f"CASE WHEN m{thumbs[0]} IS NULL THEN 'nothing' WHEN m{thumbs[0]} > 0.5 THEN 'up' ELSE 'down' END"))
    return out


def _still(plan: Plan, n, first, last) -> bool:
    return float(n[(last - first) >= 0.8 * plan.days].sum()) >= 0.5 * float(n.sum())


@dataclass(frozen=True)
class Expectation:
    """What a metric is expected to be: per axis what each value adds. What is left is held within ``low`` and ``high``; its ``skew``."""

    parts: dict[int, np.ndarray]
    low: float
    high: float
    skew: float


@dataclass(frozen=True)
class Expectations:
    """By metric; ``judged`` are, by score of a judge, the parts of what it is expected to say of any trace."""

    of: dict[int, Expectation]
    judged: dict[int, dict[int, np.ndarray]]


def coded_sql(plan: Plan, axes: Sequence[Axis], expected: Expectations) -> str:
    """Per trace: day, hour, code per axis (c0 …, null for a rare value), metrics net of expectation (m0 …).

    What the texts say stands in the table of wordings. For every score i of a judge, ``raw{i}`` is that score,
    ``plain{i}`` what the trace is expected to get by who asked for what, judged or not, and ``expected{i}`` the same by all that
    is known of it, length of the answer and the user's thumbs included.
    """
    joins, codes = [], []
    for k, axis in enumerate(axes):
        wanted = {f"b{m}": e.parts[k] for m, e in expected.of.items() if k in e.parts}
        wanted |= {f"e{m}": parts[k] for m, parts in expected.judged.items() if k in parts}
        names = ", ".join(["v", "code", *wanted])
        lines = ", ".join(
            f"({literal(v)}, {c}{''.join(f', {part[c]:.6e}' for part in wanted.values())})" for c, v in enumerate(axis.values)
        )
        joins.append(f"LEFT JOIN (VALUES {lines}) a{k}({names}) ON {axis.column} = a{k}.v")
        codes.append(f"a{k}.code AS c{k}")
    metrics = [f"{_net(plan, i, expected.of.get(i))} AS m{i}" for i in range(len(plan.metrics))]
    for i, parts in expected.judged.items():
        plain = " + ".join(f"coalesce(a{k}.b{i}, 0)" for k in expected.of[i].parts) if i in expected.of else "0e0"
        whole = " + ".join(f"coalesce(a{k}.e{i}, 0)" for k in parts)
        metrics += [f"m{i} AS raw{i}", f"{plain} AS plain{i}", f"{whole} AS expected{i}"]
    joins.append(f"LEFT JOIN {TEXTS} USING (source, project, trace_id)")
    columns = ", ".join(["source", "project", "trace_id", "started", "hour // 24 AS day", "hour", *codes, *metrics])
    return f"SELECT {columns} FROM {RAW} {' '.join(joins)}"


def judges(plan: Plan) -> list[int]:
    """The metrics that are scores of a judge."""
    return [i for i, m in enumerate(plan.metrics) if m.name.startswith("score:") and m.name.endswith(":judge")]


def value_sql(plan: Plan, i: int) -> str:
    """The metric as it is compared: the logarithm of what only a ratio says something about."""
    return f"CASE WHEN m{i} > 0 THEN ln(m{i}) END" if plan.metrics[i].kind == "log" else f"m{i}"


def _net(plan: Plan, i: int, expected: Expectation | None) -> str:
    value = value_sql(plan, i)
    if expected is None:
        return value
    net = " - ".join([f"({value})", *(f"coalesce(a{k}.b{i}, 0)" for k in expected.parts)])
    if expected.high <= expected.low:
        return net
    # Not greatest(least()): these skip what is missing.
    return f"CASE WHEN {net} > {expected.high:.9e} THEN {expected.high:.9e} WHEN {net} < {expected.low:.9e} THEN {expected.low:.9e} ELSE {net} END"


def expect(obs, plan: Plan, axes: Sequence[Axis]) -> Expectations:
    """Fit every metric that is no rate; how long an answer is and what its user said count for the judge's score of any trace only."""
    usable = [k for k, a in enumerate(axes) if a.still and a.name not in VERSIONS]
    causes = [k for k in usable if axes[k].name not in (LENGTH, THUMBS)]
    scores = [i for i, m in enumerate(plan.metrics) if m.is_score]
    others = [i for i, m in enumerate(plan.metrics) if not m.is_score and not m.name.startswith("text:") and m.kind != "rate"]
    out, judged = {}, {}
    for metrics, where in ((scores, " OR ".join(f"m{i} IS NOT NULL" for i in scores)), (others, "true")):
        if not metrics:
            continue
        frame = _sample(obs, plan, axes, usable, metrics, where)
        codes = {k: pd.Index(axes[k].values).get_indexer(frame[f"a{k}"]) for k in usable}
        for i in metrics:
            y = frame[f"m{i}"].to_numpy(float, na_value=np.nan)
            parts = _ridge({k: codes[k] for k in causes}, [len(axes[k].values) for k in causes], y)
            if parts:
                out[i] = _held(y, codes, parts)
            if parts and i in judges(plan):
                judged[i] = _ridge(codes, [len(axes[k].values) for k in usable], y)
    return Expectations(out, judged)


def _held(y: np.ndarray, codes: dict[int, np.ndarray], parts: dict[int, np.ndarray]) -> Expectation:
    """Limits and skewness of what the parts leave."""
    left = y - sum(np.where(codes[k] >= 0, part[codes[k]], 0.0) for k, part in parts.items())
    left = left[np.isfinite(left)]
    low, high = (float(x) for x in np.quantile(left, OUTER))
    held = np.clip(left, low, high)
    spread = float(held.std())
    skew = float(((held - held.mean()) ** 3).mean() / spread**3) if spread > 1e-12 else 0.0
    return Expectation(parts, low, high, float(np.clip(skew, -6, 6)))


def _sample(obs, plan: Plan, axes, usable, metrics, where: str) -> pd.DataFrame:
    (row,) = rows(obs, f"SELECT count(*) AS n FROM {RAW} WHERE {where}")
    every = max(1, -(-row["n"] // SAMPLE))
    columns = [f"{axes[k].column} AS a{k}" for k in usable] + [f"{value_sql(plan, i)} AS m{i}" for i in metrics]
    return obs.sql(f"SELECT {', '.join(columns)} FROM {RAW} WHERE ({where}) AND hash(trace_id) % {every} = 0")


def _ridge(codes: dict[int, np.ndarray], sizes: Sequence[int], y: np.ndarray) -> dict[int, np.ndarray]:
    known = np.isfinite(y)
    if known.sum() < 200:
        return {}
    starts = np.cumsum([0, *sizes])
    x = np.zeros((int(known.sum()), starts[-1] + 1), np.float32)
    at = np.arange(len(x))
    for (_, code), start in zip(codes.items(), starts[:-1], strict=True):
        code = code[known]
        x[at[code >= 0], start + code[code >= 0]] = 1
    x[:, -1] = 1
    y = y[known]
    low, high = np.quantile(y, OUTER)
    gram = (x.T @ x).astype(float)
    gram[np.diag_indices(len(gram) - 1)] += RIDGE
    beta = np.linalg.solve(gram + 1e-6 * np.eye(len(gram)), x.T.astype(float) @ np.clip(y, low, high))
    return {k: beta[a : a + s] for k, a, s in zip(codes, starts[:-1], sizes, strict=True)}
