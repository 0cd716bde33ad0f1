"""The price book: a user's dated rows first, then the genai-prices table, then nothing. Unknown is a reason, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from . import overrides as own
from .names import Name, normalise, short

DAY_SECONDS = 86_400
MILLION = Decimal(1_000_000)
_PARTS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}


@dataclass(frozen=True)
class Unpriced:
    """Why a model has no price on a day."""

    reason: str


@dataclass(frozen=True)
class PriceRow:
    """Prices of one model on one UTC day, in USD per token (``request`` in USD per call).

    Holds for calls whose ``tokens_in`` is in [``min_tokens``, ``max_tokens``) and that start in the seconds
    [``from_second``, ``to_second``) of the day; the tier's price is that of all tokens of the call. A null part has no price
    of its own: cache tokens are then charged as input and reasoning as output; a null output prices no output at all.
    """

    provenance: str
    input: float
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None
    request: float = 0.0
    min_tokens: int = 0
    max_tokens: int | None = None
    from_second: int = 0
    to_second: int = DAY_SECONDS


class PriceBook:
    """Unit prices by provider, model and day; every answer is remembered.

    ``overrides`` is a path to a .csv or .yaml table, or mappings with its columns (see ``overrides.COLUMNS``); the first row
    that covers a model and day wins. ``version`` names the package's version and the digest of the user's table.
    """

    def __init__(self, overrides: str | Path | Iterable[Mapping] | None = None):
        self.overrides = own.read(overrides)
        self._table = _table()
        self._own = f"own prices {own.digest(self.overrides)}" if self.overrides else None
        self.version = "; ".join(v for v in (self._own, self._table and self._table.version) if v) or "no price table"
        self._days: dict[tuple, list[PriceRow] | Unpriced] = {}

    def __repr__(self) -> str:
        return f"PriceBook({self.version}; {len(self.overrides)} own rows)"

    def unit_prices(self, provider: str | None, model: str | None, day: date | None) -> list[PriceRow] | Unpriced:
        """The price rows of a model (names as logged) on a UTC day, together covering every token count and second once."""
        key = (provider, model, day)
        if key not in self._days:
            self._days[key] = self._price(provider, model, day)
        return self._days[key]

    def _price(self, provider: str | None, model: str | None, day: date | None) -> list[PriceRow] | Unpriced:
        name = normalise(provider, model)
        if name.model is None and not model:
            return Unpriced("no model")
        if day is None:
            return Unpriced("no start time")
        for row in self.overrides:
            if row.covers(name, model, day):
                return [_own_row(row, f"{self._own}; {_own_label(row)}")]
        if name.model is None or name.provider is None:
            return Unpriced(name.note or "no model")
        if self._table is None:
            return Unpriced("no price table: genai-prices is not installed")
        return self._table.unit_prices(name, day)


def _own_label(row: own.Override) -> str:
    parts = [f"{row.provider or '*'}/{row.model_pattern}", f"from {row.valid_from}" if row.valid_from else "undated"]
    return "; ".join([*parts, row.source] if row.source else parts)


def _own_row(row: own.Override, provenance: str) -> PriceRow:
    parts = {part: getattr(row, part) for part in ("input", "output", "cache_read", "cache_write")}
    return PriceRow(provenance, **{part: None if v is None else float(v / MILLION) for part, v in parts.items()})


@cache
def _table() -> GenaiTable | None:
    """The installed table, or None where genai-prices is not installed."""
    try:
        return GenaiTable()
    except ImportError:
        return None


class GenaiTable:
    """genai-prices as a source of unit prices: the bundled data only, never an automatic update."""

    def __init__(self):
        from genai_prices import __version__, data, data_snapshot

        self.version = f"genai-prices {__version__}"
        self._snapshot = data_snapshot.DataSnapshot(providers=data.providers, from_auto_update=False)
        self._providers = {p.id for p in data.providers}
        self._found: dict[Name, object] = {}

    def unit_prices(self, name: Name, day: date) -> list[PriceRow] | Unpriced:
        """Price rows of a normalised name on a UTC day."""
        if name not in self._found:
            self._found[name] = self._find(name)
        found = self._found[name]
        if isinstance(found, Unpriced):
            return found
        model = found
        rows = [row for span in _spans(model, day) for row in self._rows(name, model, day, *span)]
        return rows or Unpriced(f"{name.provider}/{model.id} is not priced by the token in {self.version}")

    def _find(self, name: Name):
        if name.provider not in self._providers:
            return Unpriced(f"provider {short(name.provider)} is not in {self.version}")
        try:
            return self._snapshot.find_provider_model(name.model, None, name.provider, None)[1]
        except LookupError:
            what = "fine-tuned model" if name.model.startswith("ft:") else "model"
            return Unpriced(f"{what} {short(name.model)} of {name.provider} is not in {self.version}")

    def _rows(self, name: Name, model, day: date, start: int, stop: int) -> list[PriceRow]:
        prices = model.get_prices(_at(day, start))
        parts = {part: getattr(prices, key) for part, key in _PARTS.items()}
        if parts["input"] is None:
            return []
        edges = sorted({0, *(tier.start + 1 for price in parts.values() for tier in getattr(price, "tiers", ()))})
        row = PriceRow(
            f"{self.version}; {name.provider}/{model.id}; {_since(model, prices)}",
            0.0,
            request=_request(prices),
            from_second=start,
            to_second=stop,
        )
        return [
            replace(row, min_tokens=low, max_tokens=high, **{part: _per_token(price, low) for part, price in parts.items()})
            for low, high in zip(edges, [*edges[1:], None], strict=True)
        ]


def _per_token(price, tokens: int) -> float | None:
    """USD per token of a flat or tiered price per million, for a call with that many input tokens."""
    if price is None:
        return None
    flat = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        flat = tier.price if tokens > tier.start else flat
    return float(flat / MILLION)


def _request(prices) -> float:
    price = prices.requests_kcount
    return 0.0 if price is None else float(getattr(price, "base", price) / 1000)


def _at(day: date, second: int) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(seconds=second)


def _spans(model, day: date) -> list[tuple[int, int]]:
    """The parts of a UTC day, in seconds, within which one price holds: the whole day but for peak-hour prices."""
    conditions = [c.constraint for c in model.prices] if isinstance(model.prices, list) else []
    clocks = [t for c in conditions if hasattr(c, "start_time") for t in (c.start_time, c.end_time)]
    edges = sorted({0, *(_second(t) for t in clocks)})
    return list(zip(edges, [*edges[1:], DAY_SECONDS], strict=True))


def _second(clock: time) -> int:
    moment = datetime.combine(date(2000, 1, 1), clock, clock.tzinfo or UTC).astimezone(UTC)
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _since(model, prices) -> str:
    """From when the chosen price holds, as the table says it."""
    if not isinstance(model.prices, list):
        return "undated"
    chosen = next((c.constraint for c in model.prices if c.prices is prices), None)
    if chosen is None:
        dates = [c.constraint.start_date for c in model.prices if hasattr(c.constraint, "start_date")]
        return f"before {min(dates)}" if dates else "undated"
    if hasattr(chosen, "start_date"):
        return f"from {chosen.start_date}"
    return f"{chosen.start_time:%H:%M}-{chosen.end_time:%H:%M} UTC"
