"""Counts, sums and sums of squares of every metric by slice and day: the only thing that leaves the engine for the search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...stats.cells import Cells
from .axes import CODED, DERIVED, TECHNICAL, VERSIONS, Axis
from .traces import Plan

LEAST = 40
TOGETHER = 16
LEAST_SHARE = 0.006
SAME = 0.97
NEW_AFTER = 3
MOST_EXPOSURES = 60

Label = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Exposure:
    """A version that is new in its context: what was there before it is what it is compared with."""

    axis: int
    value: int
    since: int


@dataclass(eq=False)
class Cube:
    """Per slice (a conjunction of codes by axis), metric and day: counts, sums, sums of squares (3 × M × C × T); of all traffic 3 × M × T."""

    labels: list[Label]
    sums: np.ndarray
    total: np.ndarray
    rows: np.ndarray
    exposures: dict[int, Exposure] = field(default_factory=dict)
    skew: dict[int, float] = field(default_factory=dict)

    def cells(self, plan: Plan, i: int) -> Cells:
        """One metric of all slices, all traffic at the end."""
        order = [len(label) for label in self.labels]
        n, s, q = self.sums[:, i]
        kind = plan.metrics[i].kind
        return Cells(
            n, s, q, self.total[:, i], order, rate=kind == "rate", skew=self.skew.get(i, 0.0), phase=plan.start.weekday()
        )


class Counter:
    """Asks the engine for sums by some axes and days."""

    def __init__(self, obs, plan: Plan, axes: Sequence[Axis]) -> None:
        self.obs, self.plan, self.axes = obs, plan, axes
        self.scores = [i for i, m in enumerate(plan.metrics) if m.name.startswith("score:")]
        self.others = [i for i in range(len(plan.metrics)) if i not in self.scores]

    def by(self, axes: Sequence[int]) -> np.ndarray:
        """4 × M × K × T: counts, sums, sums of squares, and all rows; K runs over the product of the codes."""
        sizes = [len(self.axes[k].values) for k in axes]
        out = np.zeros((4, len(self.plan.metrics), int(np.prod(sizes)), self.plan.days))
        for metrics, where in ((self.others, "true"), (self.scores, self._scored())):
            if metrics:
                self._fill(out, axes, sizes, metrics, where)
        return out

    def _scored(self) -> str:
        return " OR ".join(f"m{i} IS NOT NULL" for i in self.scores) or "false"

    def _fill(self, out, axes, sizes, metrics, where) -> None:
        keys = [f"c{k}" for k in axes]
        known = "".join(f" AND {k} IS NOT NULL" for k in keys)
        by = ", ".join([*keys, "day"])
        answer = self.obs.query(f"SELECT {by}, {self._sums(metrics)} FROM {CODED} WHERE ({where}){known} GROUP BY {by}")
        got = {c: np.nan_to_num(answer[c].to_numpy()) for c in answer.column_names}
        self._place(out, metrics, [(got[k], size) for k, size in zip(keys, sizes, strict=True)], got, slice(None))

    def pairs(self, wanted: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """:meth:`by` for many pairs of axes, some at a time in one scan."""
        for start in range(0, len(wanted), TOGETHER):
            some = wanted[start : start + TOGETHER]
            sizes = {k: len(self.axes[k].values) for pair in some for k in pair}
            outs = {p: np.zeros((4, len(self.plan.metrics), sizes[p[0]] * sizes[p[1]], self.plan.days)) for p in some}
            for metrics, where in ((self.others, "true"), (self.scores, self._scored())):
                if metrics:
                    self._fill_pairs(outs, sorted(sizes), sizes, metrics, where)
            yield from outs.items()

    def _fill_pairs(self, outs, used, sizes, metrics, where) -> None:
        keys = ", ".join(f"c{k}" for k in used)
        sets = ", ".join(f"(c{a}, c{b}, day)" for a, b in outs)
        answer = self.obs.query(
            f"SELECT GROUPING({keys}) AS which, {keys}, day, {self._sums(metrics)} FROM {CODED} WHERE {where} GROUP BY GROUPING SETS ({sets})"
        )
        got = {c: answer[c].to_numpy() for c in answer.column_names}
        bits = {k: 1 << (len(used) - 1 - at) for at, k in enumerate(used)}
        for (a, b), out in outs.items():
            ours = got["which"] == sum(bits.values()) - bits[a] - bits[b]
            ours &= ~np.isnan(got[f"c{a}"].astype(float)) & ~np.isnan(got[f"c{b}"].astype(float))
            here = np.flatnonzero(ours)
            self._place(out, metrics, [(got[f"c{k}"][here], sizes[k]) for k in (a, b)], got, here)

    def _sums(self, metrics: Sequence[int]) -> str:
        columns = ["count(*) AS rows"]
        for i in metrics:
            columns += [f"count(m{i}) AS n{i}", f"sum(m{i}) AS s{i}"]
            columns += [] if self.plan.metrics[i].kind == "rate" else [f"sum(m{i} * m{i}) AS q{i}"]
        return ", ".join(columns)

    def _place(self, out, metrics, keys, got, here) -> None:
        """Put the rows ``here`` of an answer where their codes and days say."""
        day = got["day"][here].astype(int)
        at = np.zeros(len(day), int)
        for codes, size in keys:
            at = at * size + codes.astype(int)
        for i in metrics:
            out[0, i, at, day], out[1, i, at, day] = (np.nan_to_num(got[f"{k}{i}"][here]) for k in "ns")
            out[2, i, at, day] = np.nan_to_num(got.get(f"q{i}", got[f"s{i}"])[here])
            out[3, i, at, day] = got["rows"][here]


def build(counter: Counter, skew: dict[int, float]) -> Cube:
    """All slices of one and two attributes with enough rows, none twice, and the versions that are new in their context."""
    plan, axes = counter.plan, counter.axes
    ones = {k: counter.by([k]) for k in range(len(axes))}
    total = counter.by([])[:3, :, 0]
    least = max(LEAST, LEAST_SHARE * _everyone(counter, total))
    labels: list[Label] = []
    parts: list[np.ndarray] = []
    still = [k for k, a in enumerate(axes) if a.still and a.name not in DERIVED]
    single: dict[int, np.ndarray] = {}
    for k in still:
        count = _rows(counter, ones[k])
        single[k] = count
        kept = [v for v in np.flatnonzero(count >= least) if count[v] < SAME * _everyone(counter, total)]
        labels += [((k, int(v)),) for v in kept]
        parts.append(ones[k][:3][:, :, kept])
    cube = Cube(
        labels, np.concatenate(parts, axis=2) if parts else np.zeros((3, len(plan.metrics), 0, plan.days)), total, np.zeros(0)
    )
    extra_labels, extra_parts = [], []
    plain = [k for k in still if axes[k].name not in TECHNICAL]
    for (a, b), got in counter.pairs(list(combinations(plain, 2))):
        count, size = _rows(counter, got), len(axes[b].values)
        first, second = np.divmod(np.arange(len(count)), size)
        narrow = (count < SAME * single[a][first]) & (count < SAME * single[b][second])
        kept = np.flatnonzero((count >= least) & narrow)
        extra_labels += [((a, int(first[v])), (b, int(second[v]))) for v in kept]
        extra_parts.append(got[:3][:, :, kept].astype(np.float32))
    cube.labels += extra_labels
    cube.sums = np.concatenate([cube.sums, *extra_parts], axis=2) if extra_parts else cube.sums
    cube.skew = skew
    _add_exposures(counter, cube, ones)
    cube.rows = cube.sums[0].max(axis=0).sum(axis=1)
    return cube


def _rows(counter: Counter, got: np.ndarray) -> np.ndarray:
    i = counter.others[0] if counter.others else 0
    return got[3, i].sum(axis=1)


def _everyone(counter: Counter, total: np.ndarray) -> float:
    return float(total[0].max(axis=0).sum())


def _add_exposures(counter: Counter, cube: Cube, ones) -> None:
    names = {a.name: k for k, a in enumerate(counter.axes)}
    for name, contexts in VERSIONS.items():
        if name not in names:
            continue
        axis = names[name]
        context = next((names[c] for c in contexts if c in names), None)
        got = counter.by([axis] if context is None else [axis, context])
        around = None if context is None else ones[context]
        _new_versions(counter, cube, axis, context, got, around)


def _new_versions(counter: Counter, cube: Cube, axis: int, context: int | None, got: np.ndarray, around) -> None:
    i = counter.others[0] if counter.others else 0
    size = 1 if context is None else len(counter.axes[context].values)
    for cell in np.flatnonzero(got[3, i].sum(axis=1) >= LEAST):
        value, place = divmod(int(cell), size)
        everyone = cube.total if around is None else around[:3, :, place]
        days = np.flatnonzero(got[3, i, cell] > 0)
        there = np.flatnonzero(everyone[0].max(axis=0) > 0)
        since = int(days[0])
        if since < there[0] + NEW_AFTER or len(cube.exposures) >= MOST_EXPOSURES:
            continue
        pooled = got[:3, :, cell].copy()
        pooled[:, :, :since] = everyone[:, :, :since]
        label = ((axis, value),) if context is None else ((axis, value), (context, place))
        cube.exposures[len(cube.labels)] = Exposure(axis, value, since)
        cube.labels.append(label)
        cube.sums = np.concatenate([cube.sums, pooled[:, :, None]], axis=2)
