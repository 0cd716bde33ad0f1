"""What the comparisons mean together: drift, the same, or not to be told, corrected for how many were asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ...stats.multiplicity import benjamini_hochberg
from .compute import Shift

ALPHA = 0.04
VERDICTS = ("drift", "same", "cannot_tell")


def judge(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    """Verdicts of all measures together; drift first, the furthest beyond its margin leading.

    ``same`` when the whole interval lies inside the margin, whatever q; ``drift`` when Benjamini-Hochberg's q over all measures is
    below 0.05; else ``cannot_tell`` with what would have been seen.
    """
    qs = benjamini_hochberg([s.comparison.effect.p for s in shifts])
    asked = sum(s.comparison.effect.ok for s in shifts)
    told = [_judged(s, None if math.isnan(q) else float(q), asked) for s, q in zip(shifts, qs, strict=True)]
    return tuple(sorted(told, key=_rank))


def _judged(shift: Shift, q: float | None, asked: int) -> Shift:
    effect, measure = shift.comparison.effect, shift.measure
    if not effect.ok:
        return replace(shift, reason=effect.reason)
    if effect.ci_high - measure.null <= measure.margin:
        return replace(
            shift, q=q, verdict="same", reason="it moved, but less than the margin" if q is not None and q < ALPHA else None
        )
    if q is None:
        return replace(shift, reason="all rows have one value, but they are too few to say that it is the only one")
    if q < ALPHA:
        return replace(shift, q=q, verdict="drift")
    corrected = f"; p = {effect.p:.2g} alone, q = {q:.2g} among {asked}" if effect.p < ALPHA else ""
    return replace(shift, q=q, reason=f"from {shift.comparison.detectable:.2f} on it would have been seen{corrected}")


def _rank(shift: Shift) -> tuple[int, float]:
    effect = shift.comparison.effect
    beyond = (effect.value - shift.measure.null) / shift.measure.margin if effect.ok else -1.0
    return VERDICTS.index(shift.verdict), -beyond
