"""What is true about a case."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Truth:
    """The answer that an analysis should give.

    ``where`` is in the names and values of the written data. ``affected`` are the ids of all traces that the change reached,
    ``details`` what the kind did (the block, the version, the ceiling …). ``z`` has the oracle's z of every metric that the
    change moves and that can be read off the tables, the affected one first; ``oracle_z`` is that of the affected one.
    ``reach`` is the Jaccard of the slice after the onset with the affected traces: less than 1 for a rollout. A false
    incident is everywhere: it has no ``where`` and no affected traces.
    """

    seed: int
    verdict: str
    kind: str
    metrics: tuple[str, ...] = ()
    onset: datetime | None = None
    end: datetime | None = None
    shape: str | None = None
    ramp_days: float = 0.0
    where: dict[str, str] = field(default_factory=dict)
    affected: frozenset[str] = frozenset()
    oracle_z: float = 0.0
    z: dict[str, float] = field(default_factory=dict)
    reach: float = 1.0
    details: dict = field(default_factory=dict)
    decoys: dict[str, str] = field(default_factory=dict)

    @property
    def incident(self) -> bool:
        return self.verdict == "incident"
