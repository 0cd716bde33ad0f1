"""Lists that Langfuse gives by page number, whose pages may shift between two requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

QUIET = 5
SMALLER = 0.7

Rows = Sequence[dict]
Ask = Callable[[int, int, str | None], tuple[Rows, int | None]]
Tell = Callable[[str], None]


class _Place(NamedTuple):
    """A cursor: which pass, rows before the page, the moment that is read alone. Rows, because pages may become smaller."""

    turn: int = 0
    done: int = 0
    moment: str | None = None

    @classmethod
    def of(cls, cursor: str) -> _Place:
        turn, done, moment = cursor.split("|")
        return cls(int(turn), int(done), moment or None)

    def __str__(self) -> str:
        return f"{self.turn}|{self.done}|{self.moment or ''}"


@dataclass
class _List:
    """What was seen of a list, or of one moment of it.

    ``ids`` of all ``passes`` and of the running one (``now``, of so many ``rows``); ``quiet``: passes in a row that brought no
    new id. ``torn``: moments on both sides of a page's edge; ``last``, where the page before ended; ``falls``: times never rise.
    """

    falls: bool
    passes: int = 0
    ids: set[str] = field(default_factory=set)
    now: set[str] = field(default_factory=set)
    rows: int = 0
    before: int = 0
    quiet: int = 0
    last: str | None = None
    torn: list[str] = field(default_factory=list)

    def note(self, rows: Rows, time: str | None) -> None:
        found = [str(row.get("id") or row.get("name")) for row in rows]
        self.now.update(found)
        self.ids.update(found)
        self.rows += len(found)
        if self.falls and rows:
            times = [str(row.get(time)) for row in rows]
            self.falls = all(a >= b for a, b in pairwise(times))
            if times[0] == self.last and times[0] not in self.torn:
                self.torn.append(times[0])
            self.last = times[-1]

    def whole(self, total: int | None) -> bool:
        """Whether a pass that came to its end missed nothing: all ids that the server counts are there, or no row came twice,
        for a list has a fixed length. Where pages go down in time, only torn moments can have lost a row.
        """
        return self.falls or self.rows == len(self.now) or (total is not None and len(self.ids) >= total)

    def given_up(self) -> bool:
        """Whether too many passes brought no new id; else all is set for the next one."""
        self.quiet = self.quiet + 1 if len(self.ids) == self.before else 0
        self.before, self.rows, self.passes = len(self.ids), 0, self.passes + 1
        self.now.clear()
        return self.quiet >= QUIET


class Numbered:
    """Reads lists to their end, once more where that is needed, and says where to go on.

    The server orders by time alone, or not at all. So between two pages rows of one moment change places: one comes twice,
    another not at all. Where the times are known, a moment that stands on both sides of a page's edge is read once more,
    alone. Where they are not, or a moment fills more than a page, the list is read again in smaller pages, until it is whole.
    May be called from several threads, for different lists.
    """

    def __init__(self):
        self._lists: dict[str, _List] = {}

    def page(
        self, key: str, cursor: str | None, limit: int, ask: Ask, *, time: str | None = None, tell: Tell = lambda doubt: None
    ) -> tuple[Rows, str | None]:
        """The next page of the list ``key`` and the cursor after it.

        ``ask(page, size, moment)`` gives rows and the server's count, of one moment where one is given; ``time`` is the field
        that says a row's. A pull that goes on later has forgotten what it saw, so it begins another pass. After ``QUIET``
        passes in a row without a new id the list ends, and ``tell`` gets the doubt in words.
        """
        place = _Place.of(cursor) if cursor else _Place()
        seen = self._lists.get(key)
        if seen is None:
            seen = self._lists[key] = _List(falls=time is not None)
            place = _Place(place.turn + 1) if cursor else place
        size = max(int(limit * SMALLER**seen.passes), 1)
        number = place.done // size + 1
        rows, total = ask(number, size, place.moment)
        seen.note(rows, time)
        if len(rows) == size if total is None else rows and number * size < total:
            return rows, str(place._replace(done=number * size))
        if number > 1 and not seen.whole(total):
            if not seen.given_up():
                return rows, str(_Place(place.turn + 1, 0, place.moment))
            of = f" at {place.moment}" if place.moment else ""
            tell(f"the server's pages shift; {len(seen.ids):,} of the {total or 0:,} rows that it counts{of} came")
        torn = seen.torn if seen.falls or place.moment else []
        if not torn:
            del self._lists[key]
            return rows, None
        self._lists[key] = _List(falls=False, torn=torn[1:])
        return rows, str(_Place(place.turn + 1, 0, torn[0]))
