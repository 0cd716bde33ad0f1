"""The claims of the card that a handle shows of its store: rows, shares of the key columns, what was compared, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..analyses.result import Estimate, claim
from ..completeness import differing, summary
from ..text import terminal

_ROWS = "counted over the rows of the store"


def store_claims(status: Mapping) -> list[dict]:
    """Every number on the card of a store with this ``status``; all are exact."""
    return [one for part in (_rows, _coverage, _compared, _findings) for one in part(status)]


def _rows(status: Mapping) -> Iterable[dict]:
    for name in ("spans", "traces", "scores"):
        yield _exact(f"store.{name}", f"{name} in the store", status[name])
    for source, n in status["sources"].items():
        yield _exact(f"store.source.{source}", f"rows of {source}", n)


def _coverage(status: Mapping) -> Iterable[dict]:
    for column, share in status["coverage"].items():
        if share is not None:
            how = "spans that have it over all spans"
            yield _exact(f"store.coverage.{column}", f"coverage of {column}", share, "rate", how, status["spans"])


def _compared(status: Mapping) -> Iterable[dict]:
    """What the sources count beside what is here, in all and on the days that differ."""
    for name, rows in (("compared", summary(status["completeness"])), ("differs", differing(status["completeness"]))):
        for at, row in enumerate(rows):
            for key in ("days", "there", "here", "missing"):
                if row.get(key) is not None:
                    yield _exact(f"store.{name}.{at}.{key}", f"{key}, {row['entity']} of {row['source']}", row[key])


def _findings(status: Mapping) -> Iterable[dict]:
    for at, one in enumerate(status["findings"]):
        yield _exact(f"store.finding.{at}", terminal(one["text"], 400), one["count"])


def _exact(id: str, text: str, value: float, unit: str = "count", how: str = _ROWS, n: int | None = None) -> dict:
    return claim(id, text, Estimate(value, value, value, int(value if n is None else n)), unit=unit, how=how)
