"""v2/metrics: counts and sums per time and dimension, with the numbers as ClickHouse writes them (whole ones as text)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import orjson

from . import langfuse_rows as rows
from . import langfuse_scores as scores
from .http import Answer, Request
from .langfuse_filters import tests
from .langfuse_pages import ABSENT
from .langfuse_wire import Bad, Route, iso, ms, when

DIMENSIONS = (
    "environment", "type", "name", "level", "version", "tags", "release", "traceName", "providedModelName", "promptName",
    "promptVersion", "isRootObservation",
)  # fmt: skip
SCORE_DIMENSIONS = ("environment", "name", "source", "dataType", "configId", "timestampDay", "timestampMonth")
TOO_MANY = ("id", "traceId", "userId", "sessionId", "parentObservationId", "observationId")
# The data types of each view; CORRECTION is in none.
KINDS = {
    "scores-numeric": ("NUMERIC", "BOOLEAN"),
    "scores-boolean": ("BOOLEAN",),
    "scores-categorical": ("CATEGORICAL", "TEXT"),
}
VALUES = {"scores-numeric": ("value",), "scores-boolean": ("booleanValue",), "scores-categorical": ("stringValue",)}
MEASURES = {
    "count": lambda r: 1,
    **{k: rows.COLUMNS[k] for k in ("inputTokens", "outputTokens", "totalTokens", "inputCost", "outputCost", "totalCost")},
    "latency": lambda r: _thousand(rows.COLUMNS["latency"](r)),
    "timeToFirstToken": lambda r: _thousand(rows.COLUMNS["timeToFirstToken"](r)),
}
SCORE_MEASURES = {"count": lambda s: 1, "value": scores.COLUMNS["value"]}
WHOLE = ("inputTokens", "outputTokens", "totalTokens", "latency", "timeToFirstToken")
AGGREGATIONS: dict[str, Callable[[list], object]] = {
    "count": lambda v: len(v),
    "sum": lambda v: sum(v) if v else None,
    "avg": lambda v: sum(v) / len(v) if v else None,
    "min": lambda v: min(v, default=None),
    "max": lambda v: max(v, default=None),
}
STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
MOST, FEW = 1000, 100


def _thousand(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def metrics(double, request: Request) -> Answer:
    """One query. From and to are both inclusive; without an order, a time dimension comes with the empty times as zeros."""
    if double.server != "v4":
        raise Bad(f"The metrics v2 API is {ABSENT}", 404)
    told = _query(request)
    start, end = (when(told.get(n), n) for n in ("fromTimestamp", "toTimestamp"))
    if start is None or end is None or start >= end:
        raise Bad("fromTimestamp must be before toTimestamp")
    found = [_row(told, key, group) for key, group in _groups(double.data, told, start, end).items()]
    step = _granularity(told, start, end)
    order = told.get("orderBy") or []
    if step and not order:
        found += _filled(told, found, step, start, end)
        order = [{"field": "time_dimension", "direction": "asc"}]
    order = order or [{"field": "_".join(_named(told)[0]), "direction": "desc"}]
    for by in reversed(order):
        if found and by["field"] not in found[0]:
            raise Bad(f"Invalid orderBy field: {by['field']}. Must be one of the dimension or metric fields.")
        found.sort(key=lambda r, f=by["field"]: _sortable(r[f]), reverse=by["direction"] == "desc")
    return Answer(body=orjson.dumps({"data": found[: _most(told)]}))


def _sortable(value: object) -> tuple:
    if value is None or isinstance(value, bool):
        return (0, 0.0, "")
    try:
        return (1, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def _query(request: Request) -> dict:
    try:
        told = orjson.loads(request.one("query") or "")
    except orjson.JSONDecodeError:
        raise Bad("Invalid JSON in query parameter") from None
    view = told.get("view")
    if view != "observations" and view not in KINDS:
        raise Bad(f"view: Invalid option: expected one of 'observations'|{'|'.join(map(repr, KINDS))}")
    if not told.get("metrics"):
        raise Bad("metrics: Too small: expected array to have >=1 items")
    for field in (d["field"] for d in told.get("dimensions") or ()):
        if field in TOO_MANY:
            raise Bad(f"High cardinality dimension(s) '{field}' cannot be used as grouping dimensions.")
        if field not in _dimensions(view):
            raise Bad(f"Invalid dimension {field}. Must be one of {', '.join(_dimensions(view))}")
    for name, measure in _named(told):
        if measure not in _measures(view) or name not in AGGREGATIONS:
            raise Bad(f"Invalid metric {name} of {measure}. Must be one of {', '.join(_measures(view))}")
    _most(told)
    return told


def _named(told: dict) -> list[tuple[str, str]]:
    return [(m["aggregation"], m["measure"]) for m in told["metrics"]]


def _dimensions(view: str) -> tuple[str, ...]:
    return DIMENSIONS if view == "observations" else (*SCORE_DIMENSIONS, *VALUES[view])


def _measures(view: str) -> dict[str, Callable]:
    return MEASURES if view == "observations" else SCORE_MEASURES


def _most(told: dict) -> int:
    limit = (told.get("config") or {}).get("row_limit", FEW)
    if not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise Bad(f"config.row_limit: expected a number from 1 to {MOST}")
    return limit


def _groups(data, told: dict, start: datetime, end: datetime) -> dict[tuple, list]:
    """Rows per (time, dimension ...); one group with nothing where nothing is asked for but totals."""
    columns = rows.COLUMNS if told["view"] == "observations" else scores.COLUMNS
    conditions = tests(told.get("filters") or [], columns)
    dimensions = [columns[d["field"]] for d in told.get("dimensions") or ()]
    step = _granularity(told, start, end)
    groups: dict[tuple, list] = {} if dimensions or step else {("",): []}
    for at, row in _inside(data, told["view"], ms(start), ms(end) + 1):
        if all(c(row) for c in conditions):
            key = (_time(at, step) if step else "", *(_plain(get(row)) for get in dimensions))
            groups.setdefault(key, []).append(row)
    return groups


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _inside(data, view: str, start: int, end: int) -> Iterator[tuple[datetime, object]]:
    if view == "observations":
        yield from ((r.span.start, r) for r in data.current(data.rows.down(start=start, end=end)))
    else:
        yield from ((s.at, s) for s in data.scores.down(start=start, end=end) if s.data_type in KINDS[view])


def _granularity(told: dict, start: datetime, end: datetime) -> str | None:
    step = (told.get("timeDimension") or {}).get("granularity")
    if step == "auto":
        hours = (end - start) / timedelta(hours=1)
        step = "minute" if hours < 2 else "hour" if hours < 72 else "day" if hours < 1440 else "week"
    if step is not None and step not in STEPS:
        raise Bad(f"timeDimension.granularity: Invalid option: expected one of {', '.join(STEPS)}")
    return step


def _time(at: datetime, step: str) -> str:
    """The beginning of a step: a date for days and weeks (Monday), else a time without fractions."""
    if step in ("minute", "hour"):
        return iso(at.replace(second=0, minute=at.minute if step == "minute" else 0))[:19] + "Z"
    return f"{at - timedelta(days=at.weekday() if step == 'week' else 0):%Y-%m-%d}"


def _row(told: dict, key: tuple, group: list) -> dict:
    names = [d["field"] for d in told.get("dimensions") or ()]
    time = {"time_dimension": key[0]} if key[0] else {}
    return dict(zip(names, key[1:], strict=True)) | time | _numbers(told, group)


def _numbers(told: dict, group: list) -> dict:
    out = {}
    for name, measure in _named(told):
        get = _measures(told["view"])[measure]
        result = AGGREGATIONS[name]([v for v in map(get, group) if v is not None])
        if name == "count" or (measure in WHOLE and name != "avg"):
            result = str(result or 0)
        out[f"{name}_{measure}"] = result
    return out


def _filled(told: dict, found: list[dict], step: str, start: datetime, end: datetime) -> Iterator[dict]:
    """A row of nothing for each time without rows, up to but not with the one that holds the end."""
    have, names = {r["time_dimension"] for r in found}, [d["field"] for d in told.get("dimensions") or ()]
    at, last = start, _time(end, step)
    while (now := _time(at, step)) < last:
        if now not in have:
            yield dict.fromkeys(names) | {"time_dimension": now} | _numbers(told, [])
        at += STEPS[step]


ROUTES = (Route("v2/metrics", "v2-metrics", metrics),)
