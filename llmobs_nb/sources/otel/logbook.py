"""Log records that wait for their span, kept in a temporary database on disk, so that memory does not grow with them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from ..base import Bad
from .messages import TEXT_EVENTS
from .spans import Event, Log

WAITING = TEXT_EVENTS | {"exception", "gen_ai.guardrail.result"}
_TABLE = """CREATE TABLE logs (trace TEXT, span TEXT, line INT, name TEXT, body TEXT, used INT DEFAULT 0);
CREATE INDEX at ON logs (trace, span)"""


class LogBook:
    """The events of a file's log records by span. Use it in a ``with``: its database is gone afterwards."""

    def __enter__(self) -> LogBook:
        self._db = sqlite3.connect("")
        self._db.executescript(_TABLE)
        self._filled = False
        return self

    def __exit__(self, *error) -> None:
        self._db.close()

    def keep(self, line: int, log: Log) -> None:
        """Remember a log record that tells of a span; others (an application's own log lines, evaluations) are not for here."""
        if log.event.name in WAITING:
            self._filled = True
            row = (log.trace_id, log.span_id, line, log.event.name, json.dumps([log.event.time, log.event.attributes]))
            self._db.execute("INSERT INTO logs (trace, span, line, name, body) VALUES (?, ?, ?, ?, ?)", row)

    def events(self, trace_id: str, span_id: str) -> list[Event]:
        """The events of one span in the order in which they were logged; the span may ask again."""
        if not self._filled:
            return []
        found = self._db.execute(
            "UPDATE logs SET used = 1 WHERE trace = ? AND span = ? RETURNING rowid, name, body", (trace_id, span_id)
        ).fetchall()
        return [Event(name, *json.loads(body)) for _, name, body in sorted(found)]

    def left(self) -> Iterator[Bad]:
        """The records whose span never came."""
        for trace, span, line, name, body in self._db.execute(
            "SELECT trace, span, line, name, body FROM logs WHERE used = 0 ORDER BY rowid"
        ):
            where = f"span {span} of trace {trace} is not in this file" if span else "it names no span"
            yield Bad(line, f"log event {name}: {where}; read spans and logs from one file", body)
