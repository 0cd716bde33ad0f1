"""A judge that picks the better of two answers, asked in both orders: right, right both times, the same both times, drawn to a place."""

from __future__ import annotations

import numpy as np

from .design import hajek_mean
from .estimate import Estimate
from .intervals import proportion

NAMES = ("accuracy", "accuracy_swapped", "accuracy_average", "both_right", "consistent", "first_shown")


def both_orders(winner, winner_swapped, label, *, sample_weight=None, clusters=None, level: float = 0.95) -> dict[str, Estimate]:
    """Shares by the names of ``NAMES``; winners are named alike in both orders (1 is the answer that stood first in the original one).

    A missing winner (None, NaN, "") is a verdict that is not right; two missing ones are the same. ``first_shown`` is the share of
    given verdicts for the answer shown first (1/2: no bias by position); it and ``accuracy_average`` count both verdicts of an item
    and are clustered by item where no ``clusters`` are given. Items without a label are left out. Intervals are Wilson's at the
    effective number. ValueError for lengths that differ.
    """
    first, second, truth = (_codes(x) for x in (winner, winner_swapped, label))
    if not len(first) == len(second) == len(truth):
        raise ValueError(f"{len(first)}, {len(second)} and {len(truth)} verdicts and labels: give one of each for every item")
    keep = np.array([t is not None for t in truth], bool)
    items = np.arange(len(keep)) if clusters is None else np.asarray(clusters)
    weight = None if sample_weight is None else np.asarray(sample_weight, float)[keep]
    first, second, truth, items = (x[keep] for x in (first, second, truth, items))
    one, two = first == truth, second == truth
    given = np.array([v is not None for v in np.concatenate([first, second])], bool)
    shown = np.concatenate([first == "1", second == "2"])
    twice = np.concatenate([items, items])
    single = None if clusters is None else items

    def share(said, clusters, weight) -> Estimate:
        if not len(said):
            return Estimate.refused("no items", level=level)
        if weight is None:
            return proportion(said.astype(float), clusters=clusters, level=level)
        return hajek_mean(said.astype(float), weight.min() / weight, clusters=clusters, level=level)

    doubled = None if weight is None else np.concatenate([weight, weight])
    return {
        "accuracy": share(one, single, weight),
        "accuracy_swapped": share(two, single, weight),
        "accuracy_average": share(np.concatenate([one, two]), twice, doubled),
        "both_right": share(one & two, single, weight),
        "consistent": share(first == second, single, weight),
        "first_shown": share(shown[given], twice[given], None if doubled is None else doubled[given]),
    }


def _codes(values) -> np.ndarray:
    """Verdicts as text, whole numbers without decimals; None for what is missing."""
    return np.array([_code(v) for v in np.asarray(values, object)], object)


def _code(value) -> str | None:
    if value is None or value != value or value == "":
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
