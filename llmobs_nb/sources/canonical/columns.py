"""The canonical interchange: our own names, and the older ones that are still accepted."""

from collections.abc import Iterable, Sequence

from ...columns import Column, literal, quote
from ...schema import CHANGES, CORRECTIONS, PROMPTS, SCORES, SERIES, SPANS, TABLES

_OLDER = {
    "guardrails": ("guardrail_decisions",),
    "parent_id": ("parent_span_id",),
    "tokens_cache_read": ("cached_tokens",),
    "model": ("model_resolved",),
}
_RATER_WORDS = {
    "human": "human", "annotation": "human", "judge": "judge", "eval": "judge", "llm": "judge", "user": "user", "code": "code",
}  # fmt: skip
# ``error`` may also be a plain yes or no.
_ERROR_CLASSES = {"server_error": "provider_5xx", "true": "other", "false": "", "none": "", "null": ""}
NOT_READ = ("day", "own", "is_root", "cost_usd", "cost_list_usd", "cost_source", "price_version", "price_reason")

# The cost that was used is the recorded one where nothing says what it was made of.
_COST = """coalesce(llm_number(cost_recorded_usd),
  CASE WHEN llm_blank(cost_list_usd) IS NULL AND llm_blank(cost_source) IS NULL THEN llm_number(cost_usd) END)"""


def _plain(table) -> list[Column]:
    computed = NOT_READ if table.partitioned else ()
    return [Column(f.name, f.name, also=_OLDER.get(f.name, ())) for f in table if f.name not in computed]


def _with(columns: list[Column], *others: Column, but: Sequence[str] = ()) -> list[Column]:
    """The columns with others in place of those of the same name, and without some."""
    new = {c.name for c in others} | set(but)
    return [*(c for c in columns if c.name not in new), *others]


def spans() -> list[Column]:
    """The columns of ``spans``: every canonical one, texts included."""
    return _with(
        _plain(SPANS),
        Column("error_class", "error_class", also=("error",), values=_ERROR_CLASSES),
        Column("cost_recorded_usd", sql=_COST, needs=("cost_recorded_usd", "cost_usd", "cost_list_usd", "cost_source")),
        Column("usage_rule", default="inclusive"),
        *(Column(n, n) for n in ("input", "output", "system_prompt", "tokens_total")),
    )


def scores() -> list[Column]:
    """The columns of ``scores``; ``source`` is the rater where no ``rater`` is given."""
    return _with(
        _plain(SCORES),
        Column("rater", "rater", also=("source",), values=_RATER_WORDS, other="unknown"),
        Column("source", sql="CASE WHEN llm_blank(rater) IS NOT NULL THEN llm_blank(source) END", needs=("rater", "source")),
        Column("value_text", "value"),
        but=("value",),
    )


def series() -> list[Column]:
    return _plain(SERIES)


def prompts() -> list[Column]:
    return _plain(PROMPTS)


def changes() -> list[Column]:
    return _plain(CHANGES)


def corrections() -> list[Column]:
    return _plain(CORRECTIONS)


def source_totals() -> list[Column]:
    return _plain(TABLES["source_totals"])


def vanished() -> list[Column]:
    return _plain(TABLES["vanished"])


MAPS = {"spans": "metadata", "scores": "metadata", "series": "dimensions"}


def fields_read(columns: Iterable[Column]) -> set[str]:
    """The fields of a record that are spoken for: those the columns read, and those that are always computed anew."""
    return {p[0] for c in columns for p in c.paths} | {n for c in columns for n in c.needs} | set(NOT_READ)


def with_extras(columns: Sequence[Column], header: Sequence[str], into: str) -> list[Column]:
    """The columns plus whatever else a table has, folded into its map: extra columns become dimensions."""
    known = fields_read(columns)
    more = [h for h in header if h not in known]
    mapped = next(c for c in columns if c.name == into)
    if not more or mapped.sql is not None:
        return list(columns)
    told = " ".join(f"WHEN llm_blank({quote(p[0])}) IS NOT NULL THEN {quote(p[0])}" for p in mapped.paths if len(p) == 1)
    entries = ", ".join(f"{{'k': {literal(h)}, 'v': llm_blank({quote(h)})}}" for h in more)
    folded = f"map_from_entries(list_filter([{entries}], lambda e: e.v IS NOT NULL))"
    whole = f"map_concat({folded}, coalesce(llm_map(CASE {told} END), MAP {{}}::MAP(VARCHAR, VARCHAR)))" if told else folded
    return _with(list(columns), Column(into, sql=whole, needs=(*(p[0] for p in mapped.paths), *more)))


def with_extra_keys(row: dict, known: set[str], into: str) -> dict:
    """A record whose unknown keys stand in its map too; a key of the map itself goes before one beside it."""
    extra = {k: v for k, v in row.items() if k not in known and v not in (None, "")}
    if not extra:
        return row
    from ..reading import embedded

    told = embedded(row.get(into))
    return row | {into: extra | told if isinstance(told, dict) else extra}
