"""What of the input repeats: system prompts and whole requests, counted in the engine; and the calls without those tokens."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from ...prices.marks import CALL
from .lines import MODEL
from .reprice import Usage

KEPT = "cost_prompts"
MOST_PROMPTS = 2000
WARM_MINUTES, LEAST = 5, 1024  # what providers keep a prefix for, and from how many tokens on
_SAME = f"provider, {MODEL}, system_prompt_hash"
# Questions that were answered at the first try, at a cost: what the waste counts as repeated where all of it is the same.
ASKED = (
    "kind = 'llm' AND input_hash IS NOT NULL AND status = 'ok' AND purpose IS NULL AND cost_usd > 0 AND coalesce(attempt, 1) = 1"
)
# Tokens of the system prompt of a call: its share of the characters. Where the input logged holds the prompt too, this is too few.
_PREFIX = "(tokens_in * 1e0 * prompt_chars / nullif(prompt_chars + coalesce(input_chars, 0), 0))"


def source(obs, kept: ExitStack, where: str, *, repeats: bool, texts: bool) -> tuple[str, dict[str, str]]:
    """What to read instead of the spans, and the further sums: cost of calls that repeat, tokens of system prompts, repeated or not."""
    if not (repeats or texts):
        return "spans", {}
    columns = ["s.*"]
    if repeats:
        same = f"s.input_hash, s.system_prompt_hash, s.tokens_in, {MODEL}"
        columns.append(
            f"CASE WHEN {ASKED} THEN row_number() OVER (PARTITION BY {same}, CASE WHEN {ASKED} THEN 1 ELSE 0 END ORDER BY s.start_time, s.span_id) END AS nth"
        )
    if texts:
        kept.enter_context(obs.kept(KEPT, _lengths(where)))
        columns += ["w.prompt_chars", f"CASE WHEN s.start_time <= lag(s.start_time) OVER (PARTITION BY {_SAME} ORDER BY s.start_time, s.span_id) + INTERVAL {WARM_MINUTES} MINUTE THEN 1 ELSE 0 END AS warm"]  # fmt: skip
    join = f" LEFT JOIN {KEPT} w ON w.hash = s.system_prompt_hash" if texts else ""
    return f"(SELECT {', '.join(columns)} FROM spans s{join} WHERE {where}) s", _sums(repeats, texts)


def _sums(repeats: bool, texts: bool) -> dict[str, str]:
    out = {"repeated": "CASE WHEN nth > 1 THEN cost_usd ELSE 0 END"} if repeats else {}
    if texts:
        long = f"CASE WHEN {_PREFIX} >= {LEAST} AND warm = {{}} THEN {_PREFIX} ELSE 0 END"
        out |= {"prefix": f"coalesce({_PREFIX}, 0)", "warm": long.format(1), "cold": long.format(0)}
    return out


def _lengths(where: str) -> str:
    """Characters of the system prompts that stand in most calls, read from one call each."""
    identity = ("source", "project", "trace_id", "span_id")
    same = " AND ".join(f"p.{c} = s.{c}" for c in identity)
    return f"""SELECT s.system_prompt_hash AS hash, max(length(p.system_prompt)) AS prompt_chars
        FROM (SELECT system_prompt_hash AS hash, min(span_id) AS span_id FROM spans WHERE {where} AND {CALL} AND system_prompt_hash IS NOT NULL
          GROUP BY system_prompt_hash HAVING count(*) > 1 ORDER BY count(*) DESC, system_prompt_hash LIMIT {MOST_PROMPTS}) e
        JOIN spans s ON s.system_prompt_hash = e.hash AND s.span_id = e.span_id JOIN payloads p ON p.day = s.day AND {same}
        GROUP BY s.system_prompt_hash"""


def once(used: Usage) -> Usage:
    """Without the calls that repeat an earlier one."""
    share = np.divide(used.more["repeated"], used.cost, out=np.zeros(len(used)), where=used.cost > 0)
    return used.scaled(1 - np.clip(share, 0, 1))


def shortened(used: Usage, stays: float) -> Usage:
    """With system prompts of which a part stays; what was read from the cache goes first, then what was written, then the rest."""
    calls, fresh, read, write, out = used.amounts.T
    less = np.minimum((1 - stays) * used.more["prefix"], fresh + read + write)
    of_read = np.minimum(less, read)
    of_write = np.minimum(less - of_read, write)
    amounts = np.stack([calls, fresh - (less - of_read - of_write), read - of_read, write - of_write, out], axis=1)
    shorter = {name: used.more[name] * stays for name in ("prefix", "warm", "cold")}
    return replace(used, amounts=amounts, more=used.more | shorter)


def cached(used: Usage) -> Usage:
    """With every long system prompt read from the cache where it was used a short while before, else written to it; where that pays."""
    calls, fresh, read, write, out = used.amounts.T
    total = fresh + read + write
    more_read = np.minimum(np.maximum(read, used.more["warm"]), total)
    more_write = np.minimum(np.where(used.more["warm"] > 0, np.maximum(write, used.more["cold"]), write), total - more_read)
    amounts = np.stack([calls, total - more_read - more_write, more_read, more_write, out], axis=1)
    pays = ((amounts - used.amounts) * used.prices).sum(axis=1) < 0
    return replace(used, amounts=np.where(pays[:, None], amounts, used.amounts))


def read_share(used: Usage, share: float) -> Usage:
    """With that share of the input read from the cache, whatever it was; what is written stays, as far as there is room."""
    calls, fresh, read, write, out = used.amounts.T
    total = fresh + read + write
    now, kept = share * total, np.minimum(write, (1 - share) * total)
    return replace(used, amounts=np.stack([calls, total - now - kept, now, kept, out], axis=1))
