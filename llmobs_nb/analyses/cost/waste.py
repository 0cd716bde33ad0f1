"""Spend that bought no new answer: judges, retries, failures, loops, answers thrown away, the same question paid for again.

The lines may overlap: a failed retry is both. They are no promise of savings, but where to look first.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...columns import literal
from ...prices.marks import CALL
from ..reductions import rows
from .attribution import TRACE
from .lines import MODEL, TOLD
from .window import Plan, inside

MOST_TRACES = 5
KEPT = "cost_waste"
COLUMNS = ("line", "told", "cost_usd", "share", "requests", "traces")
# What users did with an answer, by the name of the score that says so.
EVENTS = {"regenerated": r"(?i)^regenerat\w*$", "abandoned": r"(?i)^abandon\w*$"}
TELLING = {name: TOLD[name] for name in ("judging", "embedding", "retry", "failed")} | {
    "loop": "steps of agents that led back to a tool call made before, with the same input",
    "regenerated": "answers that users had made again",
    "abandoned": "answers that users left",
    "repeated": "the same question asked of the same model again, in the same words",
}
_SPENT = f"{TRACE}, cost_usd"
_AGAIN = "row_number() OVER (PARTITION BY source, project, request_id, kind, input_hash ORDER BY start_time, span_id)"


def waste(obs, plan: Plan) -> pd.DataFrame:
    """One row per line that happened, most expensive first.

    Columns: line, told, cost_usd (null where none of it is known), share of the total, requests (traces it happened in), traces (the
    ids of the five most expensive ones).
    """
    window = inside(plan.window)
    lines = {
        "loop": _looped(window),
        "retry": f"SELECT {_SPENT} FROM ({_tries(window)}) t WHERE nth > 1",
        "repeated": f"SELECT {_SPENT} FROM ({_asked(window)}) a WHERE start_time > first",
    }
    union = " UNION ALL ".join(f"SELECT {literal(name)} AS line, {_SPENT} FROM ({sql}) l" for name, sql in lines.items())
    union += f" UNION ALL {_marked(window)}"
    traces = f"SELECT line, {TRACE}, sum(cost_usd) AS cost_usd FROM ({union}) u GROUP BY line, {TRACE}"
    with obs.kept(KEPT, traces):
        sums = rows(obs, f"SELECT line, sum(cost_usd) AS line_usd, count(*) AS requests FROM {KEPT} GROUP BY line")
        found = [r | {"traces": _dearest(obs, r["line"])} for r in sums]
    (whole,) = rows(obs, f"SELECT sum(cost_usd) AS total FROM spans WHERE {window}")
    return _frame(found, whole["total"])


def _dearest(obs, line: str) -> list[str]:
    """The most expensive traces of a line."""
    order = f"ORDER BY coalesce(cost_usd, 0) DESC, trace_id LIMIT {MOST_TRACES}"
    return [r["trace_id"] for r in rows(obs, f"SELECT trace_id FROM {KEPT} WHERE line = {literal(line)} {order}")]


def _frame(found: list[Mapping], total: float | None) -> pd.DataFrame:
    told = []
    for line, words in TELLING.items():
        for row in (r for r in found if r["line"] == line):
            cost = row["line_usd"]
            share = cost / total if total and cost is not None else None
            told.append((line, words, cost, share, row["requests"], row["traces"]))
    return pd.DataFrame(sorted(told, key=lambda r: -(r[2] or 0.0)), columns=list(COLUMNS))


def _tries(window: str) -> str:
    """Calls of requests whose tries are not numbered, in their order."""
    return f"SELECT {_SPENT}, {_AGAIN} AS nth FROM spans WHERE {window} AND {CALL} AND request_id IS NOT NULL AND attempt IS NULL"


def _marked(window: str) -> str:
    """Spans of the lines that a span, or what users said of its trace, tells by itself; events as the weekly review reads them."""
    said = ", ".join(
        f"max(CASE WHEN regexp_matches(name, {literal(pattern)}) THEN 1 END) AS {name}" for name, pattern in EVENTS.items()
    )
    when = {
        "judging": "purpose = 'judging'", "embedding": "kind = 'embedding' AND purpose IS NULL", "retry": f"{CALL} AND attempt > 1",
        "failed": f"{CALL} AND status = 'error'", **{name: f"purpose IS NULL AND {name} = 1" for name in EVENTS},
    }  # fmt: skip
    marks = ", ".join(f"CASE WHEN {sql} THEN 1 END AS is_{name}" for name, sql in when.items())
    names = ", ".join(f"({literal(name)})" for name in when)
    some = ", ".join(f"is_{name}" for name in when)
    return f"""SELECT line, {_SPENT} FROM (SELECT * FROM (SELECT {_SPENT}, {marks} FROM spans
        LEFT JOIN (SELECT trace_id, {said} FROM scores WHERE coalesce(value, 1) <> 0 AND trace_id IS NOT NULL GROUP BY trace_id) e
        USING (trace_id) WHERE {window}) m WHERE coalesce({some}) = 1) s
        JOIN (VALUES {names}) AS known(line) ON {" OR ".join(f"line = {literal(name)} AND is_{name} = 1" for name in when)}"""


def _looped(window: str) -> str:
    """Spans between a tool call and the last time that its trace made it again with the same input, that one included; each once."""
    same = " AND ".join(f"c.{c} = s.{c}" for c in TRACE.split(", "))
    calls = f"""SELECT {TRACE}, min(start_time) AS first, max(start_time) AS last FROM spans
        WHERE {window} AND kind = 'tool' AND input_hash IS NOT NULL
        GROUP BY {TRACE}, coalesce(tool_name, name), input_hash HAVING count(*) > 1"""
    return f"""SELECT DISTINCT s.source, s.project, s.trace_id, s.span_id, s.cost_usd FROM spans s JOIN ({calls}) c ON {same}
        WHERE {window} AND s.start_time > c.first AND s.start_time <= c.last"""


def _asked(window: str) -> str:
    """Questions that were answered at the first try, at a cost, and when the same one was first: same text, prompt, length and model."""
    asked = f"{window} AND kind = 'llm' AND input_hash IS NOT NULL AND status = 'ok' AND purpose IS NULL AND cost_usd > 0"
    same = {"asked": "input_hash", "prompt": "coalesce(system_prompt_hash, '')", "length": "coalesce(tokens_in, -1)",
            "of_model": f"coalesce({MODEL}, '')"}  # fmt: skip
    named = ", ".join(f"{sql} AS {name}" for name, sql in same.items())
    calls = f"SELECT {_SPENT}, start_time, {named} FROM spans WHERE {asked} AND coalesce(attempt, 1) = 1"
    firsts = f"""SELECT {", ".join(same)}, min(start_time) AS first FROM ({calls}) f GROUP BY {", ".join(same)}
        HAVING max(start_time) > min(start_time)"""
    return f"SELECT {_SPENT}, start_time, first FROM ({calls}) c JOIN ({firsts}) f USING ({', '.join(same)})"
