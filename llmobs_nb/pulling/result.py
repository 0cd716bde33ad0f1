"""What a pull did, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from .. import completeness
from ..observations import Observations
from ..sources.transport.drain import Undone
from ..sources.transport.job import Project
from ..text import terminal

if TYPE_CHECKING:
    from ..ingest.run import Ingested

SHOWN = 5


@dataclass(repr=False)
class Pulled:
    """One project's pull: rows fetched per entity, what was kept of them, what is missing and how it compares with the source.

    ``undone`` are the slices that could not be fetched to their end; ``differing`` the days on which the source counts other
    than what the store holds. ``vanished``: stored rows that a full pull no longer found.
    """

    source: str
    project: Project
    since: datetime
    until: datetime
    resumed: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    ingested: Ingested | None = None
    undone: Sequence[Undone] = ()
    notes: Sequence[str] = ()
    checked: Sequence[dict] = ()
    vanished: int = 0
    seconds: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether everything that was asked for was fetched."""
        return not self.undone

    @property
    def differing(self) -> list[dict]:
        """Days of this pull of which rows, tokens or cost are missing here."""
        return [row for row in self.checked if row["state"] == "incomplete"]

    @property
    def complete(self) -> bool:
        """Whether all was fetched, and nothing that the source counts is missing."""
        return self.finished and not self.differing

    def compare(self, obs: Observations) -> None:
        """Set what the source counted on the days of this pull beside what a handle holds."""
        mine = (self.source, self.project.id, self.since.date().isoformat(), self.until.date().isoformat())
        self.checked = [
            row for row in completeness.compare(obs.query)
            if (row["source"], row["project"]) == mine[:2] and mine[2] <= row["day"] <= mine[3]
        ]  # fmt: skip

    def followed(self, later: Pulled) -> Pulled:
        """This pull and the one right after it as one."""
        rows = {n: self.rows.get(n, 0) + later.rows.get(n, 0) for n in (*self.rows, *later.rows)}
        return replace(later, since=self.since, resumed=True, rows=rows, seconds=self.seconds + later.seconds)

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """What happened, for a terminal: one fact a line."""
        name = terminal(self.project.name, 60)
        rows = ", ".join(f"{n:,} {entity.replace('_', ' ')}" for entity, n in self.rows.items()) or "nothing new"
        verb = "resumed and pulled" if self.resumed else "pulled"
        yield f"{self.source} {name}: {verb} {rows}, {_span(self.since)} to {_span(self.until)} UTC, in {self.seconds:.1f} s"
        if self.ingested is not None:
            yield terminal(self.ingested.summary(), 600)
        if self.vanished:
            yield f"{self.vanished:,} stored rows are no longer at the source; they are kept and marked in the table vanished"
        for row in completeness.summary(self.checked):
            told = "all there" if not row["missing"] else f"{row['missing']:,} MISSING"
            yield f"checked {row['entity']} on {row['days']:,} days: {row['there']:,} at the source, {row['here']:,} here, {told}"
        yield from self.missing()

    def missing(self) -> Iterator[str]:
        """What could not be fetched, and how to go on."""
        for undone in self.undone[:SHOWN]:
            yield f"missing: {terminal(str(undone), 300)}"
        if len(self.undone) > SHOWN:
            yield f"missing: {len(self.undone) - SHOWN:,} more slices"
        if self.undone:
            yield "what was fetched is kept; run the same command again to go on from there"


def _span(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
