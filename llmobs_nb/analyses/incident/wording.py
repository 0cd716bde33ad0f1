"""Passages that begin or cease to occur in prompts, questions and answers: found on a sample, then looked for in every trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ...columns import literal
from ...stats.phrases import new_phrases
from .traces import RAW
from .watched import NEGATIVE, REFUSAL, REFUSES, TONE, Metric

TEXTS = "incident_texts"
SAMPLE = 6_000
LONGEST = 4_000
REPEATED = 0.5
REFUSAL_CHARS, TONE_CHARS = 160, 400
MOST = {"prompt_new": 4, "prompt_gone": 2, "input_new": 2, "output_new": 2}
_COLUMN = {"prompt_new": "system_prompt", "prompt_gone": "system_prompt", "input_new": "input", "output_new": "output"}


@dataclass(frozen=True)
class Wording:
    """A passage: where it stands (prompt_new, prompt_gone, input_new, output_new), its text, what to look for, when it began or ceased."""

    kind: str
    text: str
    probe: str
    seen: datetime

    @property
    def column(self) -> str:
        return _COLUMN[self.kind]


def read_texts(obs) -> pa.Table:
    """When it began and the texts of a sample of 6,000 traces, in the order of time; no rows where texts were not pulled."""
    (total,) = obs.query(f"SELECT count(*) AS n FROM {RAW} WHERE call_id IS NOT NULL")["n"].to_pylist()
    every = max(1, -(-total // SAMPLE))
    return obs.query(f"""SELECT r.started, left(p.system_prompt, {LONGEST}) AS system_prompt, left(p.input, {LONGEST}) AS input,
        left(p.output, {LONGEST}) AS output FROM (SELECT * FROM {RAW} WHERE hash(trace_id) % {every} = 0) r
        JOIN payloads p ON p.trace_id = r.trace_id AND p.span_id = r.call_id AND p.source = r.source AND p.project = r.project
        ORDER BY r.started""")


def find_wordings(texts: pa.Table) -> tuple[Wording, ...]:
    """The passages that begin or cease to occur in a sample of :func:`read_texts`; asks the engine nothing."""
    started, asked, out = texts["started"].to_pylist(), [], []
    for kind, most in MOST.items():
        column = texts[_COLUMN[kind]].to_pylist()
        known = [row for row, text in enumerate(column) if text]
        known = known[::-1] if kind == "prompt_gone" else known
        for phrase in new_phrases([column[row] for row in known], most=most):
            where = {known[d] for d in phrase.docs}
            # An answer repeats what the question brought: that is no news of the model's.
            if kind == "output_new" and any(len(where & q) > REPEATED * len(where) for q in asked):
                continue
            asked += [where] if kind == "input_new" else []
            out.append(Wording(kind, phrase.text, phrase.probe, started[known[phrase.since]]))
    return tuple(out)


def metrics(wordings: tuple[Wording, ...]) -> tuple[Metric, ...]:
    """What the texts say of each trace: whether the answer refuses, its tone, and each passage (its lack, where it ceased), which is neither good nor bad."""
    names = {"prompt_new": "Prompts with a new passage", "prompt_gone": "Prompts without a passage they had",
             "input_new": "Questions with new wording", "output_new": "Answers with new wording"}  # fmt: skip
    passages = (Metric(f"text:{w.kind}:{k}", names[w.kind], "", "rate", "rate", "", 1.0) for k, w in enumerate(wordings))
    return (REFUSAL, TONE, *passages)


def texts_sql(wordings: tuple[Wording, ...], first: int) -> str:
    """Per trace whose answering call has a text: 1 or 0 for a refusal, for the tone, and per passage, as m{first} and on.

    Both patterns are first looked for at once, since few answers have either.
    """
    either = f"regexp_matches(left(p.output, {TONE_CHARS}), {literal(f'{REFUSES}|{NEGATIVE}')})"
    parts = [
        f"CASE WHEN p.either AND regexp_matches(left(p.output, {chars}), {literal(said)}) THEN 1e0 WHEN p.output IS NOT NULL THEN 0e0 END"
        for chars, said in ((REFUSAL_CHARS, REFUSES), (TONE_CHARS, NEGATIVE))
    ]
    for w in wordings:
        there = f"contains(p.{w.column}, {literal(w.probe)})"
        there = f"NOT {there}" if w.kind == "prompt_gone" else there
        parts.append(f"CASE WHEN {there} THEN 1e0 WHEN p.{w.column} IS NOT NULL THEN 0e0 END")
    columns = ", ".join(f"{part} AS m{k}" for k, part in enumerate(parts, first))
    return f"""SELECT source, project, trace_id, {columns} FROM (SELECT r.source, r.project, r.trace_id, p.input, p.output,
          p.system_prompt, {either} AS either FROM {RAW} r JOIN payloads p
          ON p.trace_id = r.trace_id AND p.span_id = r.call_id AND p.source = r.source AND p.project = r.project) p"""
