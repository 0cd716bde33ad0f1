"""Drift: what users ask, what they are answered, and how it is distributed, this week against the weeks before."""

from .result import DriftResult, drift_rows
from .run import drift

__all__ = ["DriftResult", "drift", "drift_rows"]
