"""Spend by kind of token: calls summed by model, day and price tier, with list prices looked up once per sum, never per call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from ...prices import PriceBook, Unpriced
from ...prices.book import PriceRow
from ...prices.marks import USED
from ..reductions import rows
from .lines import MODEL

KINDS = ("request", "input", "cache_read", "cache_write", "output")
TOKENS = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning")
FITS = 1e-4
_SECOND = "(3600 * extract(hour FROM start_time) + 60 * extract(minute FROM start_time) + extract(second FROM start_time))"


@dataclass(frozen=True, eq=False)
class Usage:
    """Calls summed by ``keys``, model, UTC day and price tier: one entry per sum in every array.

    ``amounts`` (sums × KINDS) are calls, input that is neither read from nor written to the cache, cache reads, cache writes and output;
    ``prices`` (the same shape) USD per unit of each, which reproduce ``cost``: list prices at the rate that was paid. Where no
    list price is known (``known`` is false) they are the prices that explain all that was recorded of the model, else one for all tokens. ``thought`` are the tokens of output that were reasoning.
    ``bare`` is, by the values of the keys, the cost of spans without tokens or a model.
    """

    keys: dict[str, list]
    provider: list[str | None]
    model: list[str]
    day: list[date]
    tier: np.ndarray
    second: np.ndarray
    amounts: np.ndarray
    thought: np.ndarray
    cost: np.ndarray
    prices: np.ndarray
    known: np.ndarray
    more: dict[str, np.ndarray]
    bare: dict[tuple, float]

    def __len__(self) -> int:
        return len(self.model)

    def spend(self) -> np.ndarray:
        """USD of every sum and kind."""
        return self.amounts * self.prices

    def scaled(self, factor: np.ndarray) -> Usage:
        """So many times the calls of every sum."""
        more = {name: values * factor for name, values in self.more.items()}
        return replace(
            self, amounts=self.amounts * factor[:, None], thought=self.thought * factor, cost=self.cost * factor, more=more
        )


def usage(
    obs,
    where: str,
    keys: Mapping[str, str],
    *,
    more: Mapping[str, str] | None = None,
    book: PriceBook | None = None,
    source: str = "spans",
) -> Usage:
    """What the spans with a known cost used, summed in the engine.

    ``where`` is SQL over spans, ``keys`` SQL by name to sum by, ``more`` further sums by name (SQL inside ``sum``), ``source`` what to
    read instead of the spans, with their columns. Spans whose cost is not known are left out.
    """
    book, more = book or PriceBook(), dict(more or {})
    tiers, seconds = _edges(obs, where, book)
    by = {**keys, "provider": "provider", "model": f"CASE WHEN {USED} THEN {MODEL} END", "price_day": "CAST(start_time AS DATE)"}
    by |= {"tier": _bucket("coalesce(tokens_in, 0)", tiers), "second": _bucket(_SECOND, seconds)}
    sums = {"calls": "1"} | {name: name for name in (*TOKENS, "cost_usd")} | more
    picked = ", ".join(
        [*(f"{sql} AS {n}" for n, sql in by.items()), *(f"sum(CAST({sql} AS DOUBLE)) AS {n}_" for n, sql in sums.items())]
    )
    places = ", ".join(str(i) for i in range(1, len(by) + 1))
    found = rows(obs, f"SELECT {picked} FROM {source} WHERE {where} AND cost_usd IS NOT NULL GROUP BY {places} ORDER BY {places}")
    bare: dict[tuple, float] = {}
    for r in found:
        if r["model"] is None:
            key = tuple(r[k] for k in keys)
            bare[key] = bare.get(key, 0.0) + r["cost_usd_"]
    return _priced([r for r in found if r["model"] is not None], list(keys), list(more), bare, book)


def unit_prices(
    book: PriceBook, used: Usage, i: int, *, model: tuple[str | None, str] | None = None, day: date | None = None
) -> np.ndarray | None:
    """List prices in USD of each of KINDS for the calls of one sum, as another model or on another day where given; None: not known."""
    provider, name = model or (used.provider[i], used.model[i])
    row = _row(book, provider, name, day or used.day[i], float(used.tier[i]), float(used.second[i]))
    return None if row is None else _kinds(row, used.amounts[i, 4], used.thought[i])


def _edges(obs, where: str, book: PriceBook) -> tuple[list[int], list[int]]:
    """At how many input tokens, and in which second of the day, a price of some model changes."""
    found = rows(
        obs,
        f"""SELECT provider, {MODEL} AS model, min(day) AS first, max(day) AS last FROM spans
        WHERE {where} AND tokens_in IS NOT NULL GROUP BY provider, {MODEL}""",
    )
    answers = [book.unit_prices(r["provider"], r["model"], _day(day)) for r in found for day in {r["first"], r["last"]}]
    known = [row for some in answers if not isinstance(some, Unpriced) for row in some]
    return sorted({r.min_tokens for r in known if r.min_tokens}), sorted({r.from_second for r in known if r.from_second})


def _bucket(value: str, edges: list[int]) -> str:
    cases = " ".join(f"WHEN {value} >= {edge} THEN {edge}" for edge in reversed(edges))
    return f"CASE {cases} ELSE 0 END" if edges else "CAST(0 AS INTEGER)"


def _priced(found: list[dict], keys: list[str], more: list[str], bare: dict, book: PriceBook) -> Usage:
    got = {n: np.array([r[f"{n}_"] or 0.0 for r in found], float) for n in ("calls", *TOKENS, "cost_usd", *more)}
    read, write = got["tokens_cache_read"], got["tokens_cache_write"]
    amounts = np.stack([got["calls"], got["tokens_in"] - read - write, read, write, got["tokens_out"]], axis=1)
    unpriced = Usage(
        {k: [r[k] for r in found] for k in keys}, [r["provider"] for r in found], [r["model"] for r in found], [_day(r["price_day"]) for r in found],
        np.array([r["tier"] for r in found], float), np.array([r["second"] for r in found], float), amounts,
        np.clip(got["tokens_reasoning"], 0, got["tokens_out"]), got["cost_usd"], np.zeros_like(amounts), np.zeros(len(found), bool),
        {n: got[n] for n in more}, bare,
    )  # fmt: skip
    listed = [unit_prices(book, unpriced, i) for i in range(len(found))]
    prices = np.array([np.full(len(KINDS), np.nan) if p is None else p for p in listed]).reshape(amounts.shape)
    total = (amounts * prices).sum(axis=1)
    known = np.isfinite(total) & ((total > 0) | (unpriced.cost == 0))
    scale = np.divide(unpriced.cost, total, out=np.ones(len(found)), where=known & (total > 0))
    paid = np.where(known[:, None], prices * scale[:, None], _unlisted(unpriced, known))
    return replace(unpriced, prices=np.where((unpriced.cost == 0)[:, None], 0.0, paid), known=known)


def _unlisted(used: Usage, known: np.ndarray) -> np.ndarray:
    """Prices of calls without a list price: fitted per model (and first key), else one price for all tokens of a sum."""
    out = _one_price(used.amounts, used.cost)
    first = next(iter(used.keys.values()), [None] * len(used))
    groups: dict[tuple, list[int]] = {}
    for i in np.flatnonzero(~known):
        groups.setdefault((first[i], used.provider[i], used.model[i]), []).append(int(i))
    for at in groups.values():
        prices = _fitted(used.amounts[at], used.cost[at])
        if prices is not None:
            total = used.amounts[at] @ prices
            out[at] = prices * (used.cost[at] / total)[:, None]
    return out


def _fitted(amounts: np.ndarray, cost: np.ndarray) -> np.ndarray | None:
    """The prices of tokens that give every cost to one in ten thousand; None where there are none, or more than one such set."""
    used = [k for k in range(1, len(KINDS)) if amounts[:, k].any()]
    if not used or len(cost) <= len(used) or (cost <= 0).any():
        return None
    per_dollar = amounts[:, used] / cost[:, None]
    size = per_dollar.max(axis=0)
    found, _, rank, _ = np.linalg.lstsq(per_dollar / size, np.ones(len(cost)), rcond=1e-6)
    out = np.zeros(len(KINDS))
    out[used] = found / size
    return out if rank == len(used) and (found >= 0).all() and np.abs(per_dollar @ out[used] - 1).max() <= FITS else None


def _one_price(amounts: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """All tokens at one price; the calls themselves where there are no tokens."""
    tokens = amounts[:, 1:].sum(axis=1)
    each = np.divide(cost, tokens, out=np.zeros(len(cost)), where=tokens > 0)
    out = np.repeat(each[:, None], len(KINDS), axis=1)
    out[:, 0] = np.where(tokens > 0, 0.0, cost / amounts[:, 0])
    return out


def _row(book: PriceBook, provider: str | None, model: str, day: date, tokens: float, second: float) -> PriceRow | None:
    answer = book.unit_prices(provider, model, day)
    if isinstance(answer, Unpriced):
        return None
    holds = (r for r in answer if _within(tokens, r.min_tokens, r.max_tokens) and _within(second, r.from_second, r.to_second))
    return next(holds, None)


def _within(value: float, low: float, high: float | None) -> bool:
    return value >= low and (high is None or value < high)


def _kinds(row: PriceRow, output: float, thought: float) -> np.ndarray | None:
    """USD per unit of each kind; output at the mean of what was said and what was thought. None: output that has no price."""
    if row.output is None and output > 0:
        return None
    read = row.input if row.cache_read is None else row.cache_read
    write = row.input if row.cache_write is None else row.cache_write
    said = row.output or 0.0
    mean = said + ((row.reasoning if row.reasoning is not None else said) - said) * (thought / output if output > 0 else 0.0)
    return np.array([row.request, row.input, read, write, mean])


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value
