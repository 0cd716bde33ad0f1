"""Incident root cause: what moved, since when, for whom, because of what, and which traces show it; or that nothing did."""

from .result import Cause, IncidentResult, Onset, PromptDiff
from .run import incident

__all__ = ["Cause", "IncidentResult", "Onset", "PromptDiff", "incident"]
