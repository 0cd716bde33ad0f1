"""What is told: one alert that fires or is over, or one finished report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Message:
    """One thing to tell.

    ``key`` names the incident: a receiver that knows it already shows it once. ``lines`` are sentences for people, ``details`` is
    the same for machines (strict JSON), ``report`` a finished HTML file: mail carries it along, the others name it.
    """

    title: str
    key: str
    severity: Literal["info", "warning", "critical"] = "info"
    state: Literal["firing", "resolved", "report"] = "firing"
    lines: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    report: Path | None = None

    @property
    def text(self) -> str:
        """Title and lines, one below the other."""
        return "\n".join((self.title, *self.lines))

    def json(self) -> dict:
        """The document of a webhook or a JSON line."""
        out = {"key": self.key, "state": self.state, "severity": self.severity, "title": self.title, "lines": list(self.lines)}
        return out | {"details": dict(self.details), "report": self.report.name if self.report else None}
