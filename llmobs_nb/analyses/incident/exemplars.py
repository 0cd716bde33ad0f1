"""The traces that a person reads: affected ones, clearest first, their like from before, and what is usual or not about each."""

from __future__ import annotations

from datetime import datetime

from ...columns import literal
from ..reductions import rows
from .axes import CODED
from .expectations import compared
from .result import Onset
from .suspects import where_sql
from .theories import Room, Theory
from .traces import RAW

MOST = 20
SHOWN = 5
SPANS = 300


def affected(room: Room, theory: Theory, onset: Onset, end: datetime | None) -> tuple[str, ...]:
    """Up to 20 traces of the slice after the onset; those with the passage or version, and those in which the metric is worst, first."""
    conditions = [where_sql(theory.label), f"started >= TIMESTAMPTZ {literal(onset.time.isoformat())}"]
    if end is not None:
        conditions.append(f"started < TIMESTAMPTZ {literal(end.isoformat())}")
    order = [*_marked(room, theory), *(["day DESC"] if onset.shape == "ramp" else []), _worst(room, theory)]
    sql = f"SELECT trace_id FROM {CODED} WHERE {' AND '.join(conditions)} ORDER BY {', '.join(order)}, trace_id LIMIT {MOST}"
    return tuple(r["trace_id"] for r in rows(room.counter.obs, sql))


def _marked(room: Room, theory: Theory) -> list[str]:
    """Orders that put traces with the passage or the version first."""
    if theory.suspect is None:
        return []
    out, flag = [], theory.suspect.flag
    if flag is not None:
        out.append(f"coalesce(m{flag}, 0) DESC")
    if theory.suspect.version is not None:
        name, value = theory.suspect.version
        k = next(k for k, a in enumerate(room.counter.axes) if a.name == name)
        out.append(f"CASE WHEN c{k} = {room.counter.axes[k].values.index(value)} THEN 0 ELSE 1 END")
    return out


def _worst(room: Room, theory: Theory) -> str:
    sign = room.bad(theory.metric) or 1
    return f"coalesce(m{theory.metric}, {-1e9 * sign}) {'DESC' if sign > 0 else 'ASC'}"


def matched(room: Room, theory: Theory, onset: Onset, traces: tuple[str, ...]) -> list[dict]:
    """Some affected traces, each with one from before the onset of the same feature and, where there is one, the same tenant."""
    names = {a.name: k for k, a in enumerate(room.counter.axes)}
    same = [names[n] for n in ("feature", "prompt_name", "tenant_id", "model_requested") if n in names][:3]
    out = []
    for trace in traces[:SHOWN]:
        (row,) = rows(room.counter.obs, _one(room, theory, f"c.trace_id = {literal(trace)}", same, "c.trace_id"))[:1] or [None]
        if row is None:
            continue
        out.append(_exemplar(room, theory, row, "after", ()))
        tests = [(k, row[f"k{k}"]) for k in same if row[f"k{k}"] is not None]
        for kept in (tests, tests[:1]):
            like = " AND ".join([f"c.c{k} = {code}" for k, code in kept] or ["true"])
            before = (
                f"{like} AND {where_sql(_lasting(room, theory))} AND c.started < TIMESTAMPTZ {literal(onset.low.isoformat())}"
            )
            found = rows(room.counter.obs, _one(room, theory, before, same, "value IS NULL, c.started DESC"))
            if found:
                out.append(_exemplar(room, theory, found[0], "before", [room.counter.axes[k].name for k, _ in kept]))
                break
    return out


def _lasting(room: Room, theory: Theory):
    """The slice without the version that only came with the change."""
    version = theory.suspect.version[0] if theory.suspect is not None and theory.suspect.version else None
    return tuple(pair for pair in theory.label if room.counter.axes[pair[0]].name != version)


def _one(room: Room, theory: Theory, condition: str, same: list[int], order: str) -> str:
    codes = "".join(f", c.c{k} AS k{k}" for k in same)
    m = room.plan.metrics[theory.metric]
    value = f"r.m{theory.metric}" if m.sql or m.is_score else f"c.m{theory.metric}"
    return f"""SELECT c.trace_id, c.source, c.project, c.started, {value} AS value{codes} FROM {CODED} c JOIN {RAW} r
        ON c.source = r.source AND c.project = r.project AND c.trace_id = r.trace_id
        WHERE {condition} ORDER BY {order} LIMIT 1"""


def _exemplar(room: Room, theory: Theory, row: dict, side: str, on) -> dict:
    url = rows(room.counter.obs, f"SELECT max(source_url) AS u FROM spans WHERE trace_id = {literal(row['trace_id'])}")[0]["u"]
    return {
        "trace_id": row["trace_id"],
        "side": side,
        "started": row["started"],
        "value": row["value"],
        "matched_on": ", ".join(on),
        "url": url,
    }


def spans_of(room: Room, traces: list[str]) -> list[dict]:
    """The spans of some traces, for the waterfall: start counted from the first span of the trace."""
    if not traces:
        return []
    listed = ", ".join(map(literal, traces))
    found = rows(
        room.counter.obs,
        f"""SELECT trace_id, span_id, parent_id, name, kind, latency_ms, status, cost_usd,
        coalesce(tokens_in, 0) + coalesce(tokens_out, 0) AS tokens, epoch_us(start_time) AS us FROM spans
        WHERE trace_id IN ({listed}) ORDER BY trace_id, start_time, span_id LIMIT {SPANS * len(traces)}""",
    )
    begin: dict[str, int] = {}
    for r in found:
        begin[r["trace_id"]] = min(r["us"], begin.get(r["trace_id"], r["us"]))
    return [{**{k: v for k, v in r.items() if k != "us"}, "start_ms": (r["us"] - begin[r["trace_id"]]) / 1000} for r in found]


CHECKS = (
    ("error", "error_rate", "rate"), ("guardrail", "guardrail_block_rate", "rate"), ("truncation", "length_rate", "rate"),
    ("tokens", "tokens_in", "range"), ("answer length", "output_chars", "range"), ("time to first token", "ttft_ms", "range"),
    ("latency", "latency_ms", "range"), ("cost", "cost_usd", "range"), ("steps", "spans_per_trace", "range"),
    ("retrieval", "retrieval_top_score", "range"),
)  # fmt: skip


def checklist(room: Room, theory: Theory, onset: Onset, traces: list[str]) -> list[dict]:
    """Per trace and check: ok, unusual (outside of 1 to 99 % of the slice before the onset), wrong (it failed, or is not what was expected), cannot_tell."""
    if not traces:
        return []
    names = {m.name: i for i, m in enumerate(room.plan.metrics)}
    checks = [(label, names[name], how, room.plan.metrics[names[name]].unit) for label, name, how in CHECKS if name in names]
    usual = _usual(room, theory, onset, checks)
    listed = ", ".join(map(literal, traces))
    values = rows(
        room.counter.obs,
        f"SELECT trace_id, {', '.join(f'm{i}' for _, i, _, _ in checks)} FROM {RAW} WHERE trace_id IN ({listed})",
    )
    expected = compared(room.counter.obs, room.plan.expected, traces)
    out = []
    for row in sorted(values, key=lambda r: traces.index(r["trace_id"])):
        out += [_check(row, usual, *check) for check in checks]
        out += _versions(room, theory, row["trace_id"], expected)
    return out


def _usual(room: Room, theory: Theory, onset: Onset, checks) -> dict[int, tuple[float, float]]:
    ranges = ", ".join(f"quantile_cont(r.m{i}, 0.01) AS l{i}, quantile_cont(r.m{i}, 0.99) AS h{i}" for _, i, _, _ in checks)
    (row,) = rows(
        room.counter.obs,
        f"""SELECT {ranges} FROM {RAW} r JOIN (SELECT source, project, trace_id FROM {CODED}
        WHERE {where_sql(_lasting(room, theory))} AND started < TIMESTAMPTZ {literal(onset.low.isoformat())}) c
        ON c.source = r.source AND c.project = r.project AND c.trace_id = r.trace_id""",
    )
    return {i: (row[f"l{i}"], row[f"h{i}"]) for _, i, _, _ in checks if row[f"l{i}"] is not None}


def _check(row: dict, usual, label: str, i: int, how: str, unit: str) -> dict:
    """One check of a trace: of a range the number, its unit and between what it usually lies, else yes or no."""
    value, (low, high) = row[f"m{i}"], usual.get(i, (None, None))
    told = {"trace_id": row["trace_id"], "check": label, "verdict": "cannot_tell", "value": None, "usual": ""}
    if value is None:
        return told
    if how == "rate":
        return told | {"verdict": "wrong" if value > 0 else "ok", "value": "yes" if value else "no"}
    verdict = "cannot_tell" if low is None else "ok" if low <= value <= high else "unusual"
    return told | {"verdict": verdict, "value": value, "low": low, "high": high, "unit": _COUNTED.get(unit, unit)}


_COUNTED = {"characters": "count", "spans": "count"}
VERSIONS = {"model_requested": "model requested", "model": "model", "prompt_version": "prompt version",
            "retrieval_index_version": "retrieval index"}  # fmt: skip


def _versions(room: Room, theory: Theory, trace: str, expected: dict) -> list[dict]:
    """Model, prompt version and retrieval index of a trace against what is expected; where nothing is, against the slice before.

    The model that was asked for is only told of where it is expected.
    """
    axes, out = {a.name: k for k, a in enumerate(room.counter.axes)}, []
    for name, label in VERSIONS.items():
        if (trace, name) in expected:
            met, value, usual = expected[trace, name]
            out.append({"trace_id": trace, "check": label, "verdict": "ok" if met else "wrong", "value": value, "usual": usual})
        elif name in axes and name != "model_requested":
            out.append({"trace_id": trace, "check": label} | _against_before(room, theory, trace, axes[name]))
    return out


def _against_before(room: Room, theory: Theory, trace: str, k: int) -> dict:
    """A version of a trace against those that the slice had before."""
    axis = room.counter.axes[k]
    (mine,) = rows(room.counter.obs, f"SELECT max(c{k}) AS c FROM {CODED} WHERE trace_id = {literal(trace)}")
    usual = rows(
        room.counter.obs,
        f"""SELECT c{k} AS c, count(*) AS n FROM {CODED} WHERE {where_sql(_lasting(room, theory))}
        AND day < {theory.day} AND c{k} IS NOT NULL GROUP BY 1 ORDER BY n DESC, c""",
    )
    seen = [axis.values[int(r["c"])] for r in usual]
    value = None if mine["c"] is None else axis.values[int(mine["c"])]
    verdict = "cannot_tell" if value is None or not seen else "ok" if value in seen else "unusual"
    return {"verdict": verdict, "value": value, "usual": ", ".join(seen[:3])}
