"""Which scores are compared: the judge's and the humans', by name and by who gave them; chosen by what most targets have both of."""

from __future__ import annotations

from dataclasses import dataclass

from ...columns import literal
from ...errors import UsageError
from ...text import terminal
from ..reductions import rows

JUDGES, HUMANS = ("judge", "code", "unknown"), ("human", "user", "unknown")
_SHOWN = 25


@dataclass(frozen=True)
class Named:
    """A score by its name and its kind of rater."""

    name: str
    rater: str

    @property
    def sql(self) -> str:
        """The condition that a row of scores is one of it."""
        return f"name = {literal(self.name)} AND coalesce(rater, 'unknown') = {literal(self.rater)}"


def choose_scores(obs, judge: str | None, human: str | None) -> tuple[Named, Named] | None:
    """The judge's score and the humans'; None where no target has both. A name that is given may be any rater's, the likeliest first.

    UsageError for names that nobody scored under, and where one name of one rater would be compared with itself.
    """
    given: dict[str, set] = {}
    for row in rows(obs, "SELECT name, coalesce(rater, 'unknown') AS rater, count(*) AS n FROM scores GROUP BY 1, 2"):
        given.setdefault(row["name"], set()).add(row["rater"])
    mine = _named("judge", judge, given, JUDGES) if judge else None
    theirs = _named("human", human, given, HUMANS) if human else None
    if mine and theirs:
        if mine == theirs:
            raise UsageError(
                f"judge={judge!r} and human={human!r} are the same scores of one kind of rater; name two that differ"
            )
        return mine, theirs
    sides = mine.sql if mine else "rater = 'judge'", theirs.sql if theirs else "rater = 'human'"
    of = "SELECT DISTINCT name, rater, coalesce(trace_id, session_id) AS unit FROM scores WHERE"
    best = rows(
        obs,
        f"""SELECT j.name AS judge, coalesce(j.rater, 'unknown') AS judged_by, h.name AS human, coalesce(h.rater, 'unknown') AS labelled_by,
        count(*) AS n FROM ({of} {sides[0]}) j JOIN ({of} {sides[1]}) h ON j.unit = h.unit GROUP BY 1, 2, 3, 4
        ORDER BY n DESC, CASE WHEN j.name = h.name THEN 0 ELSE 1 END, j.name, h.name LIMIT 1""",
    )
    return (Named(best[0]["judge"], best[0]["judged_by"]), Named(best[0]["human"], best[0]["labelled_by"])) if best else None


def _named(what: str, name: str, given: dict[str, set], raters: tuple[str, ...]) -> Named:
    found = next((r for r in raters if r in given.get(name, ())), None)
    if found is None:
        menu = sorted(n for n, by in given.items() if by & set(raters))
        shown = ", ".join(terminal(n, 40) for n in menu[:_SHOWN]) or "none: ingest or pull scores first"
        raise UsageError(f"{what}={terminal(name, 60)!r} is no score that {' or '.join(raters)} gave; choose one of: {shown}")
    return Named(name, found)
