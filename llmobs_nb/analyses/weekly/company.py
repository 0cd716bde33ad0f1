"""What other analyses say of the same week: versions, what fires, what became gold, signs of invention, the true pass rate; where asked for, what drifted."""

from __future__ import annotations

from .. import versions
from ..alerts import check
from ..calibration import week as pass_rate
from ..drift import drift, drift_rows
from ..review.golden import promoted
from ..signals import week as signals
from .plan import Plan


def _alerts(obs, plan: Plan) -> list[dict]:
    return check(obs, at=plan.week.end, state=False).json()


def _drift(obs, plan: Plan) -> list[dict]:
    return drift_rows(drift(obs, after=(plan.week.start, plan.week.end), tz=plan.tz))


def _promoted(obs, plan: Plan) -> int:
    return promoted(obs, plan.week.start, plan.week.end)


USUAL = {
    "versions": versions.beside,
    "alerts": _alerts,
    "promoted": _promoted,
    "signals": signals.beside,
    "pass_rate": pass_rate.beside,
}
ALL = USUAL | {"drift": _drift}
