"""What the texts of a trace say: refusals, clarifying follow-ups and calls for a person, by word lists in SQL (English only).

Texts are dear to read: of more than 60,000 traces a sample of whole sessions is read.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from ...columns import literal
from ..incident.watched import REFUSES
from ..reductions import rows
from .logged import Logged
from .plan import Plan
from .sql import partitions

SAID, BASE = "weekly_said", "weekly_base"
MOST_READ = 60_000
ANSWER_CHARS, QUESTION_CHARS = 160, 300
CLARIFIES = (
    r"(?i)^\W*(no,? (i|that|not|it)\b|that('?s| is) not\b|not what i|i (mean|meant|asked|said)\b|what do you mean|(could|can) you "
    r"(please )?(clarify|explain|rephrase|be more specific)|please (clarify|explain|rephrase)|sorry,? (i|what|but)\b"
    r"|you (didn'?t|did not|misunderstood)\b|but (i|what|how|why)\b|huh\b|\?+$)"
)
ESCALATES = (
    r"(?i)(speak|talk|chat|connect( me)?|put me through|transfer( me)?) (to|with) (a|an|the|your|some|any)? ?(real |live |actual )?"
    r"(human|person|people|agent|manager|supervisor|representative|someone|somebody)|\b(human|live|real) (agent|operator|support"
    r"|person|being)\b|\bescalate\b|\b(file|make|lodge) a complaint\b|\bcustomer (service|support) (number|phone|agent)\b"
)
# The last thing said in a JSON list of messages, or in an object that names its question.
_LAST = r'(?s).*"(?:content|text|question|query|input|message)"\s*:\s*"((?:[^"\\]|\\.){0,300})'
FOLLOWED = (
    "CASE WHEN session_id IS NOT NULL AND clarifies IS NOT NULL THEN CASE WHEN lead(clarifies) OVER turns = 1 "
    "AND lead(started) OVER turns <= started + INTERVAL '2' MINUTE THEN 1 ELSE 0 END END"
).replace("OVER turns", "OVER (PARTITION BY source, project, session_id ORDER BY started, trace_id)")


@dataclass(frozen=True)
class Join:
    """A kept table with one row per trace and the columns it brings."""

    table: str
    columns: tuple[str, ...]


def sampled(obs) -> str:
    """The condition that picks the traces whose texts are read: all, or whole sessions by the hash of their name."""
    (row,) = rows(obs, f"SELECT count(*) AS n FROM {BASE} WHERE text_id IS NOT NULL")
    every = max(1, -(-row["n"] // MOST_READ))
    return f"hash(coalesce(b.session_id, b.trace_id)) % {every} = 0" if every > 1 else "TRUE"


def keep(stack: ExitStack, obs, plan: Plan, told: Logged) -> list[Join]:
    """Keep what the texts say while ``stack`` lasts; nothing where no texts were pulled."""
    if not told["texts"]:
        return []
    question = f"left(CASE WHEN left(p.input, 1) IN ('{{', '[') THEN regexp_extract(right(p.input, 4000), {literal(_LAST)}, 1) ELSE p.input END, {QUESTION_CHARS})"
    sql = f"""SELECT source, project, trace_id,
        CASE WHEN answer IS NOT NULL THEN CASE WHEN regexp_matches(answer, {literal(REFUSES)}) THEN 1 ELSE 0 END END AS refused,
        CASE WHEN asked IS NOT NULL THEN CASE WHEN regexp_matches(asked, {literal(CLARIFIES)}) THEN 1 ELSE 0 END END AS clarifies,
        CASE WHEN asked IS NOT NULL THEN CASE WHEN regexp_matches(asked, {literal(ESCALATES)}) THEN 1 ELSE 0 END END AS escalated
      FROM (SELECT b.source, b.project, b.trace_id, left(p.output, {ANSWER_CHARS}) AS answer, {question} AS asked
        FROM {BASE} b JOIN payloads p ON b.trace_id = p.trace_id AND b.text_id = p.span_id AND b.source = p.source AND b.project = p.project
        WHERE {sampled(obs)} AND {partitions(plan)}) texts"""
    stack.enter_context(obs.kept(SAID, sql))
    return [Join(SAID, ("refused", "clarifies", "escalated"))]
