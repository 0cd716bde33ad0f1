"""Hallucination signals without a model call: each its own column, together a risk with stated weights."""

from .result import SignalsResult
from .run import signals

__all__ = ["SignalsResult", "signals"]
