"""Cost attribution: every cent placed, explained and forecast."""

from .run import cost

__all__ = ["cost"]
