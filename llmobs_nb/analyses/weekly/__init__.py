"""The quality review: is this week (month, quarter) better or worse than the one before, and are we sure."""

from .result import WeeklyResult
from .run import weekly

__all__ = ["WeeklyResult", "weekly"]
