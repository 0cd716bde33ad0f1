"""Counts, sums and sums of squares of every metric by slice and day: the only thing that leaves the engine for the search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...stats.cells import Cells
from .axes import CODED, DERIVED, TECHNICAL, VERSIONS, Axis
from .traces import Plan

LEAST = 40
TOGETHER = 56_000  # sums of one metric that are asked for in one scan
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
    """Per slice (a conjunction of codes by axis), metric and bin: counts, sums, sums of squares (3 × M × C × T); of all traffic 3 × M × T.

    A bin is a day, or one of the ``per_day`` parts of it. Days go by the week; parts by the day only, a week has too many of them.
    """

    labels: list[Label]
    sums: np.ndarray
    total: np.ndarray
    rows: np.ndarray
    exposures: dict[int, Exposure] = field(default_factory=dict)
    skew: dict[int, float] = field(default_factory=dict)
    per_day: int = 1

    def cells(self, plan: Plan, i: int, one: np.ndarray | None = None) -> Cells:
        """One metric of all slices, or of the one whose sums are given, beside all traffic."""
        order = [len(label) for label in self.labels] if one is None else [1]
        n, s, q = self.sums[:, i] if one is None else one[:, i, None]
        total = self.total[:, i] if one is None else np.where(one[0, i] > self.total[0, i], one[:, i], self.total[:, i])
        rhythm = {"period": 7, "phase": plan.start.weekday()} if self.per_day == 1 else {"period": self.per_day}
        return Cells(
            n, s, q, total, order, rate=plan.metrics[i].kind == "rate", skew=self.skew.get(i, 0.0), **rhythm, **_least(plan, i)
        )


def _least(plan: Plan, i: int) -> dict[str, float]:
    metric = plan.metrics[i]
    return {"least": (metric.margin / 2) ** 2} if metric.kind == "log" else {}


class Counter:
    """Asks the engine for sums by some axes and bins: days, or some ``hours`` that divide a day."""

    def __init__(self, obs, plan: Plan, axes: Sequence[Axis], hours: int = 24) -> None:
        self.obs, self.plan, self.axes = obs, plan, axes
        self.per_day = 24 // hours
        self.bins, self.bin_sql = plan.days * self.per_day, "day" if hours == 24 else f"(hour // {hours})"
        there = self._there()
        self.scores = [i for i in there if plan.metrics[i].is_score]
        self.others = [i for i in there if not plan.metrics[i].is_score]

    def _there(self) -> list[int]:
        """The metrics that have a value at all: nothing is summed of the others."""
        counts = ", ".join(f"count(m{i})" for i in range(len(self.plan.metrics)))
        (found,) = self.obs.query(f"SELECT [{counts}] AS n FROM {CODED}")["n"].to_pylist()
        return [i for i, n in enumerate(found) if n]

    def by(self, axes: Sequence[int]) -> np.ndarray:
        """4 × M × K × T: counts, sums, sums of squares, and all rows; K runs over the product of the codes."""
        got = self._of_group(axes)
        got = got[(slice(None), slice(None), *(slice(-1) for _ in axes))]
        return got.reshape(4, len(self.plan.metrics), -1, self.bins)

    def of(self, label: Label) -> np.ndarray:
        """3 × M × T of one slice."""
        return self._of_group((), f" AND {where_sql(label)}")[:3]

    def margins(self, wanted: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """:meth:`by` for many tuples of axes: some axes are asked for together, and the tuples among them are sums of that answer."""
        sizes = [len(a.values) + 1 for a in self.axes]
        for group, tuples in covering(wanted, sizes, TOGETHER // self.bins):
            whole = self._of_group(group)
            for some in tuples:
                others = tuple(2 + at for at, k in enumerate(group) if k not in some)
                got = whole.sum(axis=others)[(slice(None), slice(None), *(slice(-1) for _ in some))]
                yield some, got.reshape(4, len(self.plan.metrics), -1, self.bins)

    def _of_group(self, axes: Sequence[int], within: str = "") -> np.ndarray:
        """4 × M × codes of each axis, the last for none × T bins."""
        sizes = [len(self.axes[k].values) + 1 for k in axes]
        out = np.zeros((4, len(self.plan.metrics), math.prod(sizes), self.bins))
        for metrics, where in ((self.others, "true"), (self.scores, self._scored())):
            if metrics:
                self._fill(out, axes, sizes, metrics, f"({where}){within}")
        return out.reshape(4, len(self.plan.metrics), *sizes, self.bins)

    def _scored(self) -> str:
        return " OR ".join(f"m{i} IS NOT NULL" for i in self.scores) or "false"

    def _fill(self, out, axes, sizes, metrics, where) -> None:
        keys = [f"coalesce(c{k}, {size - 1}) AS k{k}" for k, size in zip(axes, sizes, strict=True)]
        by = ", ".join([*(f"k{k}" for k in axes), "bin"])
        picked = ", ".join([*keys, f"{self.bin_sql} AS bin", self._sums(metrics)])
        answer = self.obs.query(f"SELECT {picked} FROM {CODED} WHERE {where} GROUP BY {by}")
        got = {c: np.nan_to_num(answer[c].to_numpy()) for c in answer.column_names}
        bin, at = got["bin"].astype(int), np.zeros(answer.num_rows, int)
        for k, size in zip(axes, sizes, strict=True):
            at = at * size + got[f"k{k}"].astype(int)
        for i in metrics:
            out[0, i, at, bin], out[1, i, at, bin] = got[f"n{i}"], got[f"s{i}"]
            out[2, i, at, bin], out[3, i, at, bin] = got.get(f"q{i}", got[f"s{i}"]), got["rows"]

    def _sums(self, metrics: Sequence[int]) -> str:
        columns = ["count(*) AS rows"]
        for i in metrics:
            columns += [f"count(m{i}) AS n{i}", f"sum(m{i}) AS s{i}"]
            columns += [] if self.plan.metrics[i].kind == "rate" else [f"sum(m{i} * m{i}) AS q{i}"]
        return ", ".join(columns)


def where_sql(label: Label) -> str:
    """The condition on the coded table that a slice stands for."""
    return " AND ".join(f"c{axis} = {code}" for axis, code in label) or "true"


def covering(
    wanted: Sequence[tuple[int, ...]], sizes: Sequence[int], most: int
) -> list[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Groups of axes, few and of at most ``most`` cells (or a single tuple), with the tuples that each of them answers."""
    left = sorted(set(wanted), key=lambda w: (-math.prod(sizes[k] for k in w), w))
    out = []
    while left:
        group = set(left[0])
        while (more := _more(group, left, sizes, most)) is not None:
            group.add(more)
        mine = [w for w in left if group.issuperset(w)]
        left = [w for w in left if not group.issuperset(w)]
        out.append((tuple(sorted(group)), mine))
    return out


def _more(group: set[int], left: list[tuple[int, ...]], sizes: Sequence[int], most: int) -> int | None:
    """The axis that brings most tuples to a group for its size; None where none brings any, or it would grow too large."""
    cells = math.prod(sizes[k] for k in group)
    best, found = 0.0, None
    for k in sorted({k for w in left for k in w} - group):
        gain = sum(k in w and group.issuperset({*w} - {k}) for w in left) / math.log(sizes[k])
        if gain > best and cells * sizes[k] <= most:
            best, found = gain, k
    return found


def build(counter: Counter, skew: dict[int, float]) -> Cube:
    """All slices of one and two attributes with enough rows, none twice, and the versions that are new in their context.

    Of parts of a day only the slices of one attribute.
    """
    axes, daily = counter.axes, counter.per_day == 1
    still = [k for k, a in enumerate(axes) if a.still and a.name not in DERIVED]
    plain = [k for k in still if axes[k].name not in TECHNICAL]
    total = counter.by([])[:3, :, 0]
    everyone = float(total[0].max(axis=0).sum())
    least = max(LEAST, LEAST_SHARE * everyone)
    ones = {k: got for (k,), got in counter.margins([(k,) for k in (range(len(axes)) if daily else still)])}
    single = {k: _rows(counter, ones[k]) for k in still}
    labels: list[Label] = []
    parts = [np.zeros((3, len(counter.plan.metrics), 0, counter.bins))]
    for k in still:
        kept = np.flatnonzero((single[k] >= least) & (single[k] < SAME * everyone))
        labels += [((k, int(v)),) for v in kept]
        parts.append(ones[k][:3][:, :, kept])
    for (a, b), got in counter.margins(list(combinations(plain, 2))) if daily else ():
        count = _rows(counter, got)
        first, second = np.divmod(np.arange(len(count)), len(axes[b].values))
        narrow = (count < SAME * single[a][first]) & (count < SAME * single[b][second])
        kept = np.flatnonzero((count >= least) & narrow)
        labels += [((a, int(first[v])), (b, int(second[v]))) for v in kept]
        parts.append(got[:3][:, :, kept].astype(np.float32))
    cube = Cube(labels, np.concatenate(parts, axis=2), total, np.zeros(0), skew=skew, per_day=counter.per_day)
    if daily:
        _add_exposures(counter, cube, ones)
    cube.rows = cube.sums[0].max(axis=0).sum(axis=1)
    return cube


def _rows(counter: Counter, got: np.ndarray) -> np.ndarray:
    i = counter.others[0] if counter.others else 0
    return got[3, i].sum(axis=1)


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
