"""The rendered system prompt of model calls that carry it inside their input."""

from __future__ import annotations

import re

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ..schema import MODEL_KINDS
from ..sources import chat
from .fill import text_hash

_ROLES = ('"system"', '"developer"')
# The usual case, told without parsing the rest: the first message is the only one that is the system's.
_FIRST = re.compile(
    r'(?:\{"messages": ?)?\[\{"role": ?"(?:system|developer)", ?"content": ?("(?:[^"\\\x00-\x1f]|\\[^u]|\\u(?!d[89a-f])[0-9a-f]{4})*+")\}'
)


def with_system_prompts(rows: pa.Table) -> pa.Table:
    """Spans with ``system_prompt`` and its hash filled from the input's messages where the source gave none."""
    due = pc.and_(pc.is_in(rows["kind"], pa.array(MODEL_KINDS)), pc.is_null(rows["system_prompt"]))
    places = pc.indices_nonzero(pc.and_(due, pc.is_valid(rows["input"])))
    if len(places) == 0:
        return rows
    found = [system_prompt(text) for text in rows["input"].take(places).to_pylist()]
    prompts, hashes = rows["system_prompt"].to_pylist(), rows["system_prompt_hash"].to_pylist()
    known: dict[str, str] = {}
    for at, prompt in zip(places.to_pylist(), found, strict=True):
        if prompt:
            prompts[at] = prompt
            hashes[at] = known.get(prompt) or known.setdefault(prompt, text_hash(prompt.encode()))
    for name, values in (("system_prompt", prompts), ("system_prompt_hash", hashes)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, pa.string()))
    return rows


def system_prompt(text: str) -> str | None:
    """The system prompt inside a model call's input (JSON text of messages, or of an object that holds them); else None."""
    named = sum(text.count(role) for role in _ROLES)
    if not named:
        return None
    quick = _FIRST.match(text)
    return orjson.loads(quick[1]) if quick and named == 1 else chat.system_prompt(text)
