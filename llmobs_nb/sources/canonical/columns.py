"""The canonical interchange: our own names, and the older ones that are still accepted."""

from ...columns import Column, quote
from ...schema import CHANGES, CORRECTIONS, PROMPTS, SCORES, SERIES, SPANS

_OLDER = {
    "guardrails": ("guardrail_decisions",),
    "parent_id": ("parent_span_id",),
    "tokens_cache_read": ("cached_tokens",),
    "model": ("model_resolved",),
    "cost_recorded_usd": ("cost_usd",),
    "error_class": ("error",),
}
_RATER_WORDS = {
    "human": "human", "annotation": "human", "judge": "judge", "eval": "judge", "llm": "judge", "user": "user", "code": "code",
}  # fmt: skip
_ERROR_CLASSES = {"server_error": "provider_5xx"}
_NOT_READ = ("day", "own", "is_root", "cost_usd", "cost_list_usd", "cost_source", "price_version", "price_reason")


def _plain(table) -> list[Column]:
    return [Column(f.name, f.name, also=_OLDER.get(f.name, ())) for f in table if f.name not in _NOT_READ]


def spans() -> list[Column]:
    """The columns of ``spans``: every canonical one, texts included."""
    replaced = {
        "status": Column("status", "status"),
        "error_class": Column("error_class", "error_class", also=("error",), values=_ERROR_CLASSES),
        "usage_rule": Column("usage_rule", default="inclusive"),
    }
    kept = [c for c in _plain(SPANS) if c.name not in replaced]
    return [*kept, *replaced.values(), *(Column(n, n) for n in ("input", "output", "system_prompt", "tokens_total"))]


def scores() -> list[Column]:
    """The columns of ``scores``; ``source`` is the rater where no ``rater`` is given."""
    replaced = {
        "rater": Column("rater", "rater", also=("source",), values=_RATER_WORDS, other="unknown"),
        "source": Column("source", sql="CASE WHEN rater IS NOT NULL THEN llm_blank(source) END", needs=("rater", "source")),
        "value": Column("value_text", "value"),
    }
    kept = [c for c in _plain(SCORES) if c.name not in replaced]
    return [*kept, *replaced.values()]


def series() -> list[Column]:
    return _plain(SERIES)


def prompts() -> list[Column]:
    return _plain(PROMPTS)


def changes() -> list[Column]:
    return _plain(CHANGES)


def corrections() -> list[Column]:
    return _plain(CORRECTIONS)


def with_extras(columns: list[Column], header: list[str], into: str = "metadata") -> list[Column]:
    """The columns plus whatever else a table has, folded into its map: extra columns become dimensions."""
    known = {p[0] for c in columns for p in c.paths} | {n for c in columns for n in c.needs} | set(_NOT_READ)
    more = [h for h in header if h not in known]
    if not more:
        return columns
    entries = ", ".join("{'k': '" + h.replace("'", "''") + f"', 'v': llm_blank({quote(h)})" + "}" for h in more)
    folded = f"map_from_entries(list_filter([{entries}], lambda e: e.v IS NOT NULL))"
    whole = f"map_concat({folded}, coalesce(llm_map({quote(into)}), MAP {{}}::MAP(VARCHAR, VARCHAR)))"
    return [c for c in columns if c.name != into] + [Column(into, sql=whole, needs=(into, *more))]
