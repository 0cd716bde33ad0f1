"""What a spending cap would have done: who would have been cut, how many requests, what would have been saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...columns import literal
from ...errors import UsageError, choose
from ...text import terminal
from ..reductions import rows
from .compare import mapping, number
from .reduce import dimension

MOST_NAMED = 20
WINDOWS = ("day", "hour")


@dataclass(frozen=True)
class Cap:
    """``usd`` a day or hour for each value of ``per`` (a dimension such as user_id), or for each single ``request``."""

    per: str
    usd: float
    window: str = "day"

    @property
    def name(self) -> str:
        return f"${self.usd:g} a request" if self.per == "request" else f"${self.usd:g} a {self.window} for each {self.per}"


def read_caps(told: Any) -> tuple[Cap, ...]:
    """Caps from a list of ``{per: user_id, usd: 1.5, window: day}``; a request has no window."""
    if told is None:
        return ()
    if not isinstance(told, (list, tuple)):
        raise UsageError(f"caps={terminal(told, 60)!r} is no list; give such as [{{'per': 'user_id', 'usd': 1.0}}]")
    out = []
    for k, one in enumerate(told, 1):
        where = f"cap {k}"
        one = mapping(where, one, ("per", "usd", "window"))
        if not isinstance(one.get("per"), str) or not one["per"]:
            raise UsageError(
                f"{where}: per={terminal(one.get('per'), 60)!r} is no dimension; give request, or a name such as user_id"
            )
        usd = number(f"{where}: usd", one.get("usd"), low=0.0)
        out.append(Cap(one["per"], usd, choose(f"{where}: window", one.get("window", "day"), WINDOWS)))
    return tuple(out)


def replay_caps(obs, caps: Sequence[Cap]) -> list[dict]:
    """One record per cap: requests, requests_cut, who_cut (count), spent_usd, saved_usd, and the twenty who lose most (``who``).

    Of a period, requests that begin after the cap is reached are cut whole; of a single request what it costs beyond the cap is saved.
    Requests without a cost or without a value of the dimension are never cut.
    """
    return [_request(obs, c) if c.per == "request" else _period(obs, c) for c in caps]


def _request(obs, cap: Cap) -> dict:
    saved = f"CASE WHEN cost > {cap.usd!r} THEN cost - {cap.usd!r} END"
    return _told(obs, cap, f"SELECT coalesce(who, 'unknown') AS who, cost, {saved} AS saved FROM ({_traces(obs, 'user_id')}) t")


def _period(obs, cap: Cap) -> dict:
    spent = f"""SELECT who, cost, coalesce(sum(cost) OVER (PARTITION BY who, date_trunc({literal(cap.window)}, started)
        ORDER BY started, trace_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM ({_traces(obs, cap.per)}) t
        WHERE who IS NOT NULL"""
    return _told(obs, cap, f"SELECT who, cost, CASE WHEN before >= {cap.usd!r} THEN cost END AS saved FROM ({spent}) s")


def _traces(obs, per: str) -> str:
    of = dimension(obs, per).sql
    return f"""SELECT trace_id, min(start_time) AS started, {of} AS who, sum(cost_usd) AS cost FROM spans WHERE purpose IS NULL
        GROUP BY source, project, trace_id"""


def _told(obs, cap: Cap, sql: str) -> dict:
    (total,) = rows(
        obs,
        f"""SELECT count(*) AS requests, count(saved) AS cut, coalesce(sum(cost), 0) AS spent, coalesce(sum(saved), 0) AS saved,
        count(DISTINCT CASE WHEN saved IS NOT NULL THEN who END) AS many FROM ({sql}) c""",
    )
    named = rows(
        obs,
        f"""SELECT who, count(saved) AS requests_cut, sum(saved) AS saved_usd FROM ({sql}) c WHERE saved IS NOT NULL
        GROUP BY who ORDER BY saved_usd DESC, who LIMIT {MOST_NAMED}""",
    )
    return {
        "cap": cap.name, "requests": total["requests"], "requests_cut": total["cut"], "who_cut": total["many"], "spent_usd": total["spent"],
        "saved_usd": total["saved"], "who": named,
    }  # fmt: skip
