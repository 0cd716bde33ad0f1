"""The deployment gate: may the candidate replace the baseline, in every quality dimension; and eval runs beside production."""

from .result import GateResult
from .run import gate
from .runs import eval_runs

__all__ = ["GateResult", "eval_runs", "gate"]
