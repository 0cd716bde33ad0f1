"""What every analysis returns: an immutable Result of tables, parameters, provenance, findings and claims."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from importlib import metadata
from typing import Any, Literal

from ..stats.estimate import Estimate, finite
from ..windows import Window

__all__ = ["Estimate", "Finding", "Result", "claim", "plain", "provenance"]


@dataclass(frozen=True)
class Finding:
    """Something about the data or the analysis that a reader must know."""

    severity: Literal["info", "warning", "critical"]
    text: str
    count: int = 0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """Base of all results.

    ``headline`` is one sentence a manager can read, ``parameters`` the arguments that reproduce the result, ``provenance``
    says from what it was computed (store, versions, window, package, seconds), ``findings`` what is wrong or special.
    """

    name: str
    headline: str
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def json(self) -> dict:
        """The result as a dict that strict JSON can carry (no NaN; times ISO 8601)."""
        return plain({k: getattr(self, k) for k in ("name", "headline", "parameters", "provenance", "findings")})

    def claims(self) -> list[dict]:
        """Every number the report shows: id, text, value, ci_low, ci_high, n, unit, how, traces."""
        return []

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}: {self.headline}", *(f"  {f.severity}: {f.text}" for f in self.findings[:4])]
        if len(self.findings) > 4:
            lines.append(f"  and {len(self.findings) - 4} more findings")
        return "\n".join(line if len(line) <= 240 else line[:237] + "..." for line in lines)


def provenance(obs, window: dict, began: float) -> dict[str, Any]:
    """What a result was computed from: store and versions, window, package, when, and the seconds since ``began`` (perf_counter)."""
    try:
        version = metadata.version("llmobs_nb")
    except metadata.PackageNotFoundError:
        version = "unknown"
    seconds = round(time.perf_counter() - began, 3)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    store = {"store": getattr(obs, "store", None), "versions": getattr(obs, "versions", None)}
    return {**store, "window": window, "package": f"llmobs_nb {version}", "computed_at": at, "seconds": seconds}


def claim(id: str, text: str, estimate: Estimate, *, unit: str, how: str, traces=()) -> dict:
    """One claim: a number with its interval, its n, how it was computed and the traces behind it."""
    numbers = {k: v for k, v in estimate.json().items() if k != "level"}
    return {"id": id, "text": text, **numbers, "unit": unit, "how": how, "traces": list(traces)}


def plain(value: Any) -> Any:
    """``value`` as strict JSON can carry it: NaN is null, times ISO 8601, a DataFrame a list of records."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Estimate):
        return value.json()
    if isinstance(value, Window):
        return value.json()
    if isinstance(value, Finding):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (datetime, date)):
        return value.isoformat() if value == value else None
    if hasattr(value, "to_dict"):
        return [plain(row) for row in value.to_dict("records")]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    return finite(value) if isinstance(value, float) else str(value)
