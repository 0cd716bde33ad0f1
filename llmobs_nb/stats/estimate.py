"""What every statistic returns: a value with its interval and its n, or a refusal with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number that may be shown: value, confidence limits, n; a refused one has nulls and a ``reason``.

    ``se`` and ``df`` (degrees of freedom of ``se``) serve later comparisons; ``p`` is that of "no difference" and is set
    by comparisons only. None of the three is part of the JSON form.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    level: float = 0.95
    reason: str | None = None
    se: float | None = None
    df: float = math.inf
    p: float | None = None

    @classmethod
    def refused(cls, reason: str, *, n: int = 0, level: float = 0.95) -> Estimate:
        """No number, and why."""
        return cls(None, None, None, int(n), level, reason)

    @property
    def ok(self) -> bool:
        """Whether there is a number to show."""
        return self.value is not None

    def json(self) -> dict:
        """``{"value", "ci_low", "ci_high", "n"}``, plus ``level`` when not 0.95 and ``reason`` when refused."""
        out = {"value": finite(self.value), "ci_low": finite(self.ci_low), "ci_high": finite(self.ci_high), "n": int(self.n)}
        if self.level != 0.95:
            out["level"] = self.level
        if self.reason:
            out["reason"] = self.reason
        return out


def finite(value: float | None) -> float | None:
    """The value as a plain float; None for what is missing, NaN or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None
