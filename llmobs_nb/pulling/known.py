"""What the store already knows of a project, as far as a pull asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..columns import literal
from ..errors import StoreError
from ..observations import Observations
from ..store.store import Store

MOST_OPEN = 20_000
OPEN_FOR = timedelta(days=30)


class Known:
    """One project's rows in a store that may not exist yet."""

    def __init__(self, store: Store, source: str, project: str):
        self._store = store
        self._mine = f"source = {literal(source)} AND project = {literal(project)}"
        self._obs: Observations | None = None

    def _handle(self) -> Observations | None:
        if self._obs is None and self._store.exists:
            try:
                self._obs = Observations(self._store.snapshot())
            except StoreError:
                return None
        return self._obs

    def open_spans(self, before: datetime) -> list[tuple[str, str]]:
        """(trace_id, span_id) of spans without an end that started in the month before ``before``."""
        if (obs := self._handle()) is None:
            return []
        found = obs.query(f"""SELECT trace_id, span_id FROM spans WHERE {self._mine} AND end_time IS NULL AND kind <> 'event'
            AND start_time >= TIMESTAMPTZ {literal((before - OPEN_FOR).isoformat())}
            AND start_time < TIMESTAMPTZ {literal(before.isoformat())} ORDER BY start_time DESC LIMIT {MOST_OPEN}""")
        return list(zip(found["trace_id"].to_pylist(), found["span_id"].to_pylist(), strict=True))

    def unknown(self, trace_ids: Sequence[str]) -> list[str]:
        """Those of some trace ids of which there is no span."""
        if (obs := self._handle()) is None or not trace_ids:
            return list(trace_ids)
        have = obs.query(
            f"SELECT DISTINCT trace_id FROM spans WHERE {self._mine} AND trace_id IN (SELECT unnest(?))", [list(trace_ids)]
        )
        return sorted(set(trace_ids) - set(have["trace_id"].to_pylist()))
