"""Which of many cells that moved is the cause, and what is left when its traffic is set aside.

Attributes go together: a fault of one sign-on moves the tier and the tenants that use it. The cell with the best score explains
the others; whether it does is checked on the parts that two cells do not share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .cells import Cells, Overlap
from .estimate import Estimate
from .scan import Finding, Scan, Search, effects, search


@dataclass(frozen=True)
class Rival:
    """Another cell that moved with the pick: how far they are the same traffic, and what each does without the other.

    ``jaccard`` is rows of both over rows of either, from the onset on. ``pick_alone`` is the change of the pick's rows outside the
    rival, ``rival_alone`` that of the rival's rows outside the pick, both against traffic of neither; refused where there are
    none. The pick explains the rival when the first differs from 0 and the second does not.
    """

    cell: int
    score: float
    jaccard: float
    pick_alone: Estimate
    rival_alone: Estimate


def rivals(cells: Cells, scan: Scan, pick: Finding, overlap: Cells, *, k: int = 5, same: float = 0.98) -> list[Rival]:
    """The k best other cells of the pick's metric, each against the pick at the pick's onset.

    ``overlap`` is what each cell shares with the pick. Cells with a larger ``jaccard`` than ``same`` are the pick by another
    name; they are listed too, with both parts refused when nothing is left of them.
    """
    others = [f for f in scan.top(k + 1, metric=pick.metric) if f.cell != pick.cell][:k]
    return [_rival(cells, pick, overlap, f, same) for f in others]


def _rival(cells: Cells, pick: Finding, overlap: Cells, other: Finding, same: float) -> Rival:
    inside = slice(pick.onset, pick.end)
    mine, theirs, both = (_rows(x, c) for x, c in ((cells, pick.cell), (cells, other.cell), (overlap, other.cell)))
    either = mine + theirs - both
    rows = either[0, inside].sum()
    jaccard = float(both[0, inside].sum() / rows) if rows else 0.0
    if jaccard > same:
        refused = Estimate.refused("the two cells are the same traffic", n=int(rows))
        return Rival(other.cell, other.score, jaccard, refused, refused)
    alone = (_change(cells, part - both, cells.total - either, pick) for part in (mine, theirs))
    return Rival(other.cell, other.score, jaccard, *alone)


def _change(cells: Cells, part: np.ndarray, control: np.ndarray, pick: Finding) -> Estimate:
    """Change of some rows (3 × T) against others."""
    n, s, q = part
    one = replace(cells, n=[n], s=[s], q=[q], total=part + control, order=[1])
    return effects(one, [0], pick.onset, pick.end)[0][2]


def _rows(cells: Cells, c: int) -> np.ndarray:
    return np.stack([cells.n[c], cells.s[c], cells.q[c]])


@dataclass(frozen=True, eq=False)
class Explained:
    """One cause after the other: the picks with the p of each, and the search that found each (on the traffic left by then)."""

    picks: list[Finding]
    p: list[float]
    searches: list[Search]


def explain(metrics: Sequence[Cells], overlap: Overlap, *, alpha: float = 0.01, most: int = 3, **options) -> Explained:
    """Search, set the traffic of the best cell aside, search again, until p reaches alpha or ``most`` are found.

    ``overlap`` gives, for the cells picked so far, what each cell shares with their union, in every metric. Two attributes
    that name the same traffic yield one pick, two faults at once two. The last search, which found nothing more, is kept too.
    ``options`` are those of :func:`~llmobs_nb.stats.scan.search`.
    """
    out, left = Explained([], [], []), list(metrics)
    while len(out.picks) < most:
        found = search(left, **options)
        out.searches.append(found)
        if found.best is None or found.p >= alpha:
            break
        out.picks.append(found.best)
        out.p.append(found.p)
        taken = overlap([f.cell for f in out.picks])
        left = [m.without(part) for m, part in zip(metrics, taken, strict=True)]
    return out
