"""Tokens and cost of one LangSmith run.

They are those of the run itself where it says so (``usage_metadata``), else the server's columns. The server writes the
totals of the whole subtree on chains (API v1, and v2 with include_subtree_usage), and an export of root runs holds nothing
else, so they are given as reported: what repeats its descendants is told apart where the whole trace is known.
"""

from __future__ import annotations

from .. import chat

LEAVES = ("llm", "embedding", "retriever", "reranker")
_EPHEMERAL = ("ephemeral_5m", "ephemeral_1h")
_NONE = [None] * 3


def kind(run: dict) -> str:
    """The run type in lower case (v1 writes lower case, v2 upper case)."""
    return (chat.word(run.get("run_type")) or "").lower()


def own(run: dict, meta: dict, outputs: dict) -> dict:
    """The usage that the run reports of itself; an answer nested in a chain's output is its child's, not its own."""
    spots = [outputs.get("usage_metadata"), meta.get("usage_metadata")]
    if kind(run) == "llm":
        spots.insert(1, chat.reply(outputs).get("usage_metadata"))
        spots += [chat.response_metadata(outputs).get("token_usage"), outputs.get("usage")]
    return next((m for m in map(chat.mapping, spots) if m), {})


def tokens(run: dict, said: dict, *, failed: bool) -> dict:
    """Token counts as reported. Zeros that only fill a column (of an unmeasured run, of a failure) are none."""
    counts = [
        chat.count(chat.first(*(said.get(k) for k in names)))
        for names in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"), ("total_tokens",))
    ]
    if not any(c is not None for c in counts):
        counts = [chat.count(run.get(k)) for k in ("prompt_tokens", "completion_tokens", "total_tokens")]
        counts = counts if any(counts) else [None] * 3
    if failed and not any(counts):
        counts = [None] * 3
    if counts == [None] * 3:
        return {}
    into, out = _details(run, said, "input", "prompt"), _details(run, said, "output", "completion")
    return {
        **dict(zip(("_tokens_in", "_tokens_out", "_tokens_total"), counts, strict=True)),
        "_tokens_cache_read": into.get("cache_read"),
        "_tokens_cache_write": into.get("cache_creation"),
        "_tokens_reasoning": out.get("reasoning"),
        "_tokens_in_parts": sum(into.values()) if into else None,
        "_tokens_out_parts": sum(out.values()) if out else None,
    }


def _details(run: dict, said: dict, side: str, column: str) -> dict[str, int]:
    """The parts of one side: {name: tokens}. v2 wraps them in ``raw``; cache writes by lifetime are parts of cache_creation."""
    spots = (said.get(f"{side}_token_details"), said.get(f"{column}_tokens_details"), run.get(f"{column}_token_details"))
    found = next((m for m in map(chat.mapping, spots) if m), {})
    found = chat.mapping(found["raw"]) if isinstance(found.get("raw"), (dict, str)) else found
    parts = {k: n for k, n in ((k, chat.count(v)) for k, v in found.items()) if n is not None}
    written = sum(parts.pop(k) for k in list(parts) if k.startswith(_EPHEMERAL))
    for theirs, ours in (("cached_tokens", "cache_read"), ("reasoning_tokens", "reasoning"), ("audio_tokens", "audio")):
        if theirs in parts:
            parts[ours] = parts.pop(theirs)
    if written or "cache_creation" in parts:
        parts["cache_creation"] = max(written, parts.get("cache_creation", 0))
    return parts


def cost(run: dict, said: dict, *, failed: bool) -> float | None:
    """The recorded cost in USD, negative ones as they stand. A zero counts where the run itself says it of an llm call.

    The server's own zero is no price: it writes it on every run without one, tokens or not.
    """
    told = _total_cost(said, "input_cost", "output_cost")
    if told is not None and (told != 0 or (kind(run) == "llm" and not failed)):
        return told
    return _total_cost(run, "prompt_cost", "completion_cost") or None


def _total_cost(body: dict, one: str, other: str) -> float | None:
    total = chat.number(body.get("total_cost"))
    parts = [c for c in (chat.number(body.get(one)), chat.number(body.get(other))) if c is not None]
    return total if total is not None else sum(parts) if parts else None
