"""What each factor contributed to a change: the average over every order in which the factors could have moved (Shapley 1953)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import factorial
from typing import Any

import numpy as np

MOST = 16


def shapley(old: Mapping[str, Any], new: Mapping[str, Any], value: Callable[[dict[str, Any]], Any]) -> dict[str, np.ndarray]:
    """The part of each named factor in ``value(new) - value(old)``; the parts add up to it, whatever the order of the factors.

    ``value`` takes all factors by name, each at its old or its new state (numbers or arrays), and gives a number or an array of
    cells; it is called once per combination, 2 to the power of the number of factors. Cells are split one by one, so sums of
    parts over cells are the parts of the sum. A factor whose two states are alike has no part. ValueError for factors that differ
    between the two, none, or more than 16.
    """
    names = list(old)
    if sorted(names) != sorted(new):
        raise ValueError(f"factors differ: {', '.join(sorted(names))} before, {', '.join(sorted(new))} after")
    if not 1 <= len(names) <= MOST:
        raise ValueError(f"{len(names)} factors: give 1 to {MOST}, their combinations are all tried")
    tried = [np.asarray(value(_mixed(names, old, new, moved)), float) for moved in range(2 ** len(names))]
    return {name: _part(tried, i, len(names)) for i, name in enumerate(names)}


def _mixed(names: list[str], old: Mapping, new: Mapping, moved: int) -> dict[str, Any]:
    """The state in which the factors whose bits are set have moved."""
    return {name: (new if moved >> i & 1 else old)[name] for i, name in enumerate(names)}


def _part(tried: list[np.ndarray], i: int, k: int) -> np.ndarray:
    """Of the factor at ``i``: what it adds to each set of others that moved before it, by the share of orders with that set."""
    out = np.zeros_like(tried[0])
    for moved in range(2**k):
        if not moved >> i & 1:
            before = moved.bit_count()
            weight = factorial(before) * factorial(k - before - 1) / factorial(k)
            out = out + weight * (tried[moved | 1 << i] - tried[moved])
    return out
