"""List prices onto a batch of spans: each (provider, model, day) is looked up once, the rest is numpy."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..schema import MODEL_KINDS
from .book import DAY_SECONDS, PriceBook, Unpriced

TOKENS = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning")
_EPOCH = date(1970, 1, 1)
_NO_DAY = np.iinfo(np.int32).min
_NOTES = ("no cache_read price: charged as input", "no cache_write price: charged as input", "no output tokens reported")


def price(table: pa.Table, book: PriceBook) -> pa.Table:
    """The same batch of spans with list price, cost used and their provenance; columns are replaced or appended.

    Sets cost_list_usd, cost_usd (recorded where there is one, else list), cost_source (recorded, list, none), price_version
    and price_reason. Only kinds llm, embedding and reranker are priced; ``model``, else ``model_requested``, at the UTC day of
    ``start_time``. ``tokens_in`` includes cache tokens and decides the tier. A price that is not known is null with a reason.
    Absent columns count as null; an empty batch gives an empty batch.
    """
    due = np.asarray(pc.fill_null(pc.is_in(_column(table, "kind", pa.string()), pa.array(MODEL_KINDS)), False))
    cost, version, reason = _list_prices(table.filter(pa.array(due)), book)
    recorded = _floats(table, "cost_recorded_usd")
    listed = np.full(len(table), np.nan)
    listed[due] = cost
    has_recorded, has_list = np.isfinite(recorded), np.isfinite(listed)
    source = np.where(has_recorded, "recorded", np.where(has_list, "list", "none"))
    new = {
        "cost_list_usd": _nullable(listed),
        "cost_usd": _nullable(np.where(has_recorded, recorded, listed)),
        "cost_source": pa.array(source, pa.string()),
        "price_version": _spread(version, due),
        "price_reason": _spread(reason, due),
    }
    for name, values in new.items():
        at = table.schema.get_field_index(name)
        table = table.append_column(name, values) if at < 0 else table.set_column(at, name, values)
    return table


def _list_prices(table: pa.Table, book: PriceBook) -> tuple[np.ndarray, pa.Array, pa.Array]:
    """Cost in USD (nan where unknown), price version and reason of rows that are all due a price."""
    codes, keys, second = _keys(table)
    answers = [book.unit_prices(*key) for key in keys]
    rows, chosen = _choose(answers, codes, _ints(table, "tokens_in")[0], second)
    cost, flags = _multiply(table, rows, chosen)
    reason = _reasons(table, answers, codes, rows, chosen)
    priced = np.asarray(pc.is_null(reason))
    version = _coded(np.where(priced, chosen * 8 + flags, -1), lambda code: _version(rows[code // 8], code % 8))
    return np.where(priced, cost, np.nan), version, reason


def _keys(table: pa.Table) -> tuple[np.ndarray, list[tuple], np.ndarray]:
    """Code of each row's (provider, model, day), the distinct keys, and the second of the day each row starts in."""
    text = pa.string()
    model = pc.coalesce(_column(table, "model", text), _column(table, "model_requested", text))
    parts = [_encode(_column(table, "provider", text)), _encode(model)]
    start = _column(table, "start_time", pa.timestamp("us", tz="UTC"))
    known = np.asarray(pc.is_valid(start))
    micros = np.asarray(pc.fill_null(start.cast(pa.int64()), 0))
    days = np.where(known, micros // (DAY_SECONDS * 1_000_000), _NO_DAY)
    seen, day_code = np.unique(days, return_inverse=True)
    code = (parts[0][0] * (len(parts[1][1]) + 1) + parts[1][0]) * len(seen) + day_code
    _, first, codes = np.unique(code, return_index=True, return_inverse=True)
    keys = [(parts[0][1][parts[0][0][i]], parts[1][1][parts[1][0][i]], _day(days[i])) for i in first]
    return codes, keys, micros // 1_000_000 % DAY_SECONDS


def _day(number: int) -> date | None:
    try:
        return None if number == _NO_DAY else _EPOCH + timedelta(days=int(number))
    except OverflowError:
        return None


def _encode(column: pa.Array) -> tuple[np.ndarray, list]:
    """Codes of a text column and the text behind each code; null is the last one."""
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), len(texts))), [*texts, None]


def _choose(answers: list, codes: np.ndarray, tokens: np.ndarray, second: np.ndarray) -> tuple[list, np.ndarray]:
    """All price rows of the batch in one list, and for each span the index of the one that holds for it (-1: none)."""
    priced = [[] if isinstance(answer, Unpriced) else answer for answer in answers]
    rows = [row for some in priced for row in some]
    first = np.cumsum([0, *map(len, priced)])[:-1]
    chosen = np.full(len(codes), -1)
    if not rows:
        return rows, chosen
    low, high, start, stop = (
        np.array([getattr(r, name) if getattr(r, name) is not None else np.iinfo(np.int64).max for r in rows])
        for name in ("min_tokens", "max_tokens", "from_second", "to_second")
    )
    count = np.array([len(some) for some in priced])
    for step in range(max(count)):
        at = np.where(step < count[codes], first[codes] + step, 0)
        holds = (step < count[codes]) & (tokens >= low[at]) & (tokens < high[at]) & (second >= start[at]) & (second < stop[at])
        chosen[holds] = at[holds]
    return rows, chosen


def _multiply(table: pa.Table, rows: list, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost in USD of each span at its price row, and which of the ``_NOTES`` apply (bits)."""
    (total, _), (out, no_out), (read, _), (write, _), (reason, _) = (_ints(table, name) for name in TOKENS)

    def unit(part: str, instead: str) -> np.ndarray:
        values = [getattr(r, part) if getattr(r, part) is not None else getattr(r, instead) for r in rows]
        return np.array([*values, 0.0], float)[chosen]

    cost = (total - read - write) * unit("input", "input") + read * unit("cache_read", "input") + unit("request", "request")
    output = np.nan_to_num(unit("output", "output"))
    thought = np.nan_to_num(unit("reasoning", "output"))
    reason = np.clip(reason, 0, out)
    cost = cost + write * unit("cache_write", "input") + (out - reason) * output + reason * thought
    lacks = [np.array([*(getattr(r, part) is None for r in rows), False])[chosen] for part in ("cache_read", "cache_write")]
    expects = np.asarray(pc.fill_null(pc.equal(_column(table, "kind", pa.string()), "llm"), False))
    flags = (lacks[0] & (read > 0)) * 1 + (lacks[1] & (write > 0)) * 2 + (no_out & expects) * 4
    return cost, flags


def _version(row, flags: int) -> str:
    return "; ".join([row.provenance, *(note for bit, note in enumerate(_NOTES) if flags >> bit & 1)])


def _reasons(table: pa.Table, answers: list, codes: np.ndarray, rows: list, chosen: np.ndarray) -> pa.Array:
    """Why each span has no list price; null where it has one. The first that applies of: usage, then model and day."""
    counts = {name: _ints(table, name) for name in TOKENS[:4]}
    (total, no_in), (out, no_out), (read, _), (write, _) = counts.values()
    reasons = [*(a.reason if isinstance(a, Unpriced) else None for a in answers), "no price row holds for this call"]
    known = len(reasons)
    code = np.where(chosen >= 0, -1, codes)
    code[(chosen < 0) & np.array([r is None for r in reasons])[codes]] = known - 1
    no_price = np.array([*(r.output is None for r in rows), False])[chosen]
    for bad, text in (
        (no_price & (out > 0), lambda row: "output_tokens have no price for this model"),
        (_flagged(table, "cache_exceeds_input"), lambda row: "flagged: cache tokens exceed input tokens"),
        (_flagged(table, "negative"), lambda row: "flagged: negative token counts"),
        (read.astype(float) + write > total, _exceeds),
        (np.logical_or.reduce([values < 0 for values, _ in counts.values()]), _negative),
        (no_in & ~no_out, lambda row: "no input tokens"),
        (no_in & no_out, lambda row: "no usage"),
    ):
        at = np.flatnonzero(bad)
        distinct, inverse = np.unique(np.stack([total, out, read, write], axis=1)[at], axis=0, return_inverse=True)
        code[at] = len(reasons) + inverse.reshape(-1)
        reasons.extend(text([int(v) for v in row]) for row in distinct)
    return _coded(code, reasons.__getitem__)


def _flagged(table: pa.Table, flag: str) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.equal(_column(table, "usage_flag", pa.string()), flag), False))


def _exceeds(row: list[int]) -> str:
    parts = [f"{name} ({n})" for name, n in (("cache_read_tokens", row[2]), ("cache_write_tokens", row[3])) if n]
    return f"{' + '.join(parts)} exceed input_tokens ({row[0]})"


def _negative(row: list[int]) -> str:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return f"{', '.join(f'{name} ({n})' for name, n in zip(names, row, strict=True) if n < 0)} must not be negative"


def _coded(codes: np.ndarray, text) -> pa.Array:
    """A text column from codes, null where the code is below 0; each distinct code is worded once."""
    distinct, inverse = np.unique(codes, return_inverse=True)
    return pa.array([None if c < 0 else text(int(c)) for c in distinct], pa.string()).take(pa.array(inverse))


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(len(table), kind)
    column = table[name].combine_chunks()
    return column.cast(kind) if column.type != kind else column


def _ints(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A count column as integers with 0 for null, and where it was null."""
    column = _column(table, name, pa.int64())
    return np.asarray(pc.fill_null(column, 0)), np.asarray(pc.is_null(column))


def _floats(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(pc.fill_null(_column(table, name, pa.float64()), np.nan))


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _spread(values: pa.Array, where: np.ndarray) -> pa.Array:
    """Values of the chosen rows put back among all rows, null elsewhere."""
    at = np.cumsum(where) - 1
    return values.take(pa.array(at, mask=~where))
