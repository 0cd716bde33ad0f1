"""Incident root cause: what moved, since when, for whom, because of what, and which traces show it; or that nothing did."""

from .fix import FixResult, did_it_work
from .memory import Known, known, remember
from .result import Cause, IncidentResult, Onset, PromptDiff
from .run import incident
from .watched import Metric, metric

__all__ = [
    "Cause",
    "FixResult",
    "IncidentResult",
    "Known",
    "Metric",
    "Onset",
    "PromptDiff",
    "did_it_work",
    "incident",
    "known",
    "metric",
    "remember",
]
