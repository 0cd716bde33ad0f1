"""The cells of a plan: traces that are drawn alike. Their sizes come from one SQL reduction, their rates from the allocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...columns import literal
from ...stats.design import allocate, union_probability
from ...windows import Window
from . import population as pop
from .cost import Priced

MISSING, _SEPARATOR = "(none)", "\x1f"
SIZES = ("question_chars", "answer_chars", "retrieved_chars", "prompt_chars")


@dataclass(frozen=True)
class Wish:
    """What a plan was asked for, as far as its cells depend on it."""

    window: Window
    columns: tuple[str, ...]
    bands: Mapping[str, tuple[float, ...]]
    all_of: tuple[str, ...]
    oversample: Mapping[str, float]

    def keyed(self) -> str:
        """The traces of the window with ``key``, the text of everything that their rate depends on."""
        parts = [f"coalesce({name}, {literal(MISSING)})" for name in self._labels]
        parts += [f"CAST({flag} AS VARCHAR)" for flag in self._flags]
        key = f", {literal(_SEPARATOR)}, ".join(parts) or "''"
        return f"SELECT x.*, concat('', {key}) AS key FROM ({pop.traces_sql(self.window, self.columns, self.bands)}) x"

    def sizes(self) -> str:
        """One row per key: traces, flags, mean characters, and the labels of its stratum."""
        columns = [f"max({name}) AS {name}" for name in (*self._flags, *self._labels)]
        columns += [f"avg({size}) AS {size}" for size in SIZES]
        return f"SELECT key, count(*) AS traces, {', '.join(columns)} FROM ({self.keyed()}) k GROUP BY key ORDER BY key"

    def stratum(self, row: Mapping) -> str:
        """How the stratum of a cell is called."""
        names = (*self.columns, *self.bands)
        told = zip(names, (row[label] for label in self._labels), strict=True)
        return ", ".join(f"{name}={MISSING if value is None else value}" for name, value in told) or "all"

    @property
    def _labels(self) -> list[str]:
        return [*(f"c{i}" for i in range(len(self.columns))), *(f"b{i}" for i in range(len(self.bands)))]

    @property
    def _flags(self) -> list[str]:
        return sorted({*self.all_of, *self.oversample})


@dataclass(frozen=True)
class Cell:
    """Traces that are drawn alike: how many, why, with what rate, and with what probability by any rule."""

    key: str
    stratum: str
    traces: int
    factor: float
    certain: tuple[str, ...]
    usd_each: float | None
    rate: float = 0.0
    inclusion_prob: float = 0.0

    @property
    def expected_n(self) -> float:
        """Traces expected in the sample."""
        return self.inclusion_prob * self.traces

    @property
    def cost_usd(self) -> float | None:
        """Expected dollars; None where the price is not known."""
        return None if self.usd_each is None else self.usd_each * self.expected_n


def read_cells(obs, wish: Wish, price: Priced) -> list[Cell]:
    """The cells of a wish in a store, without rates yet; empty where the window is."""
    out = []
    for row in obs.query(wish.sizes()).to_pylist():
        factor = max([f for name, f in wish.oversample.items() if row[name]], default=1.0)
        certain = tuple(name for name in wish.all_of if row[name])
        out.append(Cell(row["key"], wish.stratum(row), row["traces"], factor, certain, price.per_trace(row)))
    return out


def rated(cells: Sequence[Cell], wanted: float, random_rate: float, power: float) -> list[Cell]:
    """The cells with rates such that ``wanted`` traces are expected from those that are not drawn for certain.

    Strata share by size ** power; within a stratum the rate goes with the factor, up to 1.
    """
    names = sorted({c.stratum for c in cells})
    open_ = {name: [c for c in cells if c.stratum == name and not c.certain] for name in names}
    parts = allocate([sum(c.traces for c in open_[name]) for name in names], wanted, power=power)
    own: dict[str, float] = {}
    for name, part in zip(names, parts, strict=True):
        within = allocate([c.traces for c in open_[name]], float(part), spreads=[c.factor for c in open_[name]])
        own |= {c.key: float(take / c.traces) for c, take in zip(open_[name], within, strict=True)}
    return [_with_rate(c, 1.0 if c.certain else min(1.0, own[c.key]), random_rate) for c in cells]


def fitted(cells: Sequence[Cell], wanted: float, random_rate: float, power: float, budget: float | None) -> list[Cell]:
    """As :func:`rated`, with as many of ``wanted`` as the budget (dollars) allows; all of them where no price is known."""
    full = rated(cells, wanted, random_rate, power)
    if budget is None or total_cost(full) is None or total_cost(full) <= budget:
        return full
    low, high = 0.0, wanted
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if total_cost(rated(cells, middle, random_rate, power)) <= budget else (low, middle)
    return rated(cells, low, random_rate, power)


def total_cost(cells: Sequence[Cell]) -> float | None:
    """Expected dollars of all cells; None where the price is not known."""
    costs = [c.cost_usd for c in cells]
    return None if None in costs else sum(costs)


def _with_rate(cell: Cell, rate: float, random_rate: float) -> Cell:
    return replace(cell, rate=rate, inclusion_prob=float(union_probability(rate, random_rate)[0]))
