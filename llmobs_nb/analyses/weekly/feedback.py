"""What users and reviewers say of a trace, joined to it: events such as regenerated, wrong blocks, and the satisfaction score."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...columns import literal
from ...errors import UsageError
from ..reductions import rows
from .judged import Survey
from .kpis import FALSE_BLOCKS, SATISFACTION_HOW, Kpi, event_kpi, mean
from .logged import Logged

REVIEWS = ("review:verdict", "block_review", "false_positive")
# The seed's satisfaction score: thumbs are 1 or 0; each of the others is 1 where the user did not do it.
SATISFACTION = {"thumbs": 0.4, "regenerated": 0.2, "edited": 0.1, "follow_up": 0.2, "escalation": 0.1}
_NAMED = {
    "thumbs": r"thumbs?|user_feedback",
    "regenerated": r"regenerat\w*",
    "edited": r"edit(ed|s)?",
    "abandoned": r"abandon\w*",
}
_OF_TEXTS = {"follow_up": "clarified", "escalation": "escalated"}
LEAST_SIGNALS = 2


@dataclass(frozen=True)
class Feedback:
    """SQL of what is joined to the traces (empty where nothing is), and the KPIs over it."""

    sql: str
    kpis: tuple[Kpi, ...]


def feedback(obs, seen: Survey, told: Logged, weights: Mapping[str, float]) -> Feedback:
    """What the scores of the store give per trace; ``weights`` are those of the satisfaction score, by signal."""
    signals = check_weights(weights)
    columns = {f"ev_{i}": _event(literal(name)) for i, name in enumerate(seen.events)}
    kpis = [event_kpi(name, f"coalesce(ev_{i}, 0)") for i, name in enumerate(seen.events)]
    if told["guardrails"] and _reviewed(obs):
        columns["reviewed_wrong"] = _wrong()
        kpis.append(
            Kpi(**FALSE_BLOCKS.__dict__ | {"x": _blocked("reviewed_wrong"), "n": _blocked("1", "reviewed_wrong IS NOT NULL")})
        )
    parts = {name: sql for name in signals if (sql := _signal(name, seen, told, columns)) is not None}
    if len(parts) >= LEAST_SIGNALS and set(parts) - set(_OF_TEXTS):
        kpis.append(_satisfaction(parts, signals))
    if not columns:
        return Feedback("", tuple(kpis))
    made = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    return Feedback(f"SELECT trace_id AS of_trace, {made} FROM scores WHERE trace_id IS NOT NULL GROUP BY trace_id", tuple(kpis))


def check_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the satisfaction score; UsageError for a signal that is not known or a weight that is not positive."""
    known = [*_NAMED, *_OF_TEXTS]
    for name, weight in weights.items():
        if name not in known:
            raise UsageError(f"satisfaction: {name!r} is no known signal; choose from: {', '.join(known)}")
        if not weight > 0:
            raise UsageError(f"satisfaction: the weight of {name} is {weight!r}; give a positive number, or leave the signal out")
    return dict(weights)


def _event(name: str) -> str:
    return f"max(CASE WHEN name = {name} AND coalesce(value, 1) <> 0 THEN 1 END)"


def _wrong() -> str:
    """1 where a reviewer of a block calls it wrong: the verdict fails, or the block is said to be a false positive."""
    names = ", ".join(literal(n) for n in REVIEWS)
    return (
        "max(CASE WHEN name = 'false_positive' THEN CASE WHEN value <> 0 THEN 1 WHEN value = 0 THEN 0 END "
        f"WHEN name IN ({names}) THEN CASE WHEN value = 0 OR lower(label) = 'fail' THEN 1 WHEN value = 1 OR lower(label) = 'pass' THEN 0 END END)"
    )


def _blocked(what: str, condition: str = "TRUE") -> str:
    return f"CASE WHEN blocked = 1 AND {condition} THEN {what} END"


def _reviewed(obs) -> bool:
    names = ", ".join(literal(n) for n in REVIEWS)
    (row,) = rows(obs, f"SELECT count(*) AS n FROM scores WHERE name IN ({names}) AND trace_id IS NOT NULL")
    return row["n"] > 0


def _signal(name: str, seen: Survey, told: Logged, columns: dict[str, str]) -> str | None:
    """A signal of a trace between 0 and 1 as SQL; None where nothing logs it. Adds the column it needs."""
    if name in _OF_TEXTS:
        return f"1 - {_OF_TEXTS[name]}" if told["texts"] and (name != "follow_up" or told["sessions"]) else None
    logged = [*(r["name"] for r in seen.numbers), *seen.events]
    found = _matching(logged, _NAMED[name])
    if not found:
        return None
    among = ", ".join(literal(n) for n in found)
    if name == "thumbs":
        columns["thumbs"] = f"avg(CASE WHEN name IN ({among}) AND value >= 0 AND value <= 1 THEN value END)"
        return "thumbs"
    columns[f"of_{name}"] = f"max(CASE WHEN name IN ({among}) AND coalesce(value, 1) <> 0 THEN 1 END)"
    return f"1 - coalesce(of_{name}, 0)"


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    return list(dict.fromkeys(n for n in names if re.fullmatch(pattern, n, re.IGNORECASE)))


def _satisfaction(parts: Mapping[str, str], weights: Mapping[str, float]) -> Kpi:
    top = " + ".join(f"coalesce({weights[n]!r} * ({sql}), 0e0)" for n, sql in parts.items())
    below = " + ".join(f"CASE WHEN ({sql}) IS NOT NULL THEN {weights[n]!r} ELSE 0e0 END" for n, sql in parts.items())
    formula = ", ".join(f"{weights[n]:g} × {'thumbs up' if n == 'thumbs' else f'no {n}'}".replace("_", " ") for n in parts)
    value = f"({top}) / nullif({below}, 0e0)"
    made = mean("satisfaction", "Satisfaction score", "score", "up", value, f"CASE WHEN ({below}) > 0 THEN 1 END",
                SATISFACTION_HOW.format(formula), 0.02, family="feedback", bounds=(0.0, 1.0))  # fmt: skip
    return Kpi(**made.__dict__ | {"change_kind": "absolute"})
