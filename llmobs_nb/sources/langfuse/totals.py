"""What Langfuse itself counts per UTC day, to hold beside what was pulled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from ..transport.job import DAY, Job, days
from .slices import when

Ask = Callable[..., dict]

YEAR = timedelta(days=365)
MOST_ROWS = 1000
# The boolean view is left out: its scores stand in the numeric one too.
SCORE_VIEWS = ("scores-numeric", "scores-categorical")
SUMS = {"tokens_in": "inputTokens", "tokens_out": "outputTokens", "cost_usd": "totalCost"}


def whole_days(job: Job) -> list[date]:
    """The UTC days that lie inside what the pull is to be complete for, oldest first; none where it is shorter than one."""
    since, until = job.since.astimezone(UTC), job.until.astimezone(UTC)
    first = since.date() + DAY if since.time() != time() else since.date()
    return [first + n * DAY for n in range((until.date() - first).days)]


def spans(ask: Ask, job: Job) -> Iterator[dict]:
    """Per day: observations, their tokens in (with cached ones) and out, their cost. Needs a server of version 4."""
    metrics = [{"measure": m, "aggregation": "sum"} for m in SUMS.values()]
    found = {str(row["time_dimension"])[:10]: row for row in _metrics(ask, job, "observations", metrics, [])}
    for day in whole_days(job):
        row = found.get(day.isoformat(), {})
        sums = {ours: _number(row.get(f"sum_{theirs}")) or 0.0 for ours, theirs in SUMS.items()}
        yield _total("spans", day, row.get("count_count"), **sums)


def scores(ask: Ask, job: Job) -> Iterator[dict]:
    """Per day: scores without corrections, which are no scores here. Texts are in the number where the server counts them."""
    found: Counter[str] = Counter()
    for view in SCORE_VIEWS:
        for row in _metrics(ask, job, view, [], [{"field": "dataType"}]):
            if row.get("dataType") != "CORRECTION":
                found[str(row["time_dimension"])[:10]] += int(_number(row.get("count_count")) or 0)
    for day in whole_days(job):
        yield _total("scores", day, found[day.isoformat()])


def _metrics(ask: Ask, job: Job, view: str, metrics: list[dict], dimensions: list[dict]) -> Iterator[dict]:
    """The rows of a metrics query by the day, beside a count; a year at a time, for the answer has at most 1,000 rows."""
    for start, end in _stretches(job):
        query = {
            "view": view,
            "dimensions": dimensions,
            "metrics": [{"measure": "count", "aggregation": "count"}, *metrics],
            "timeDimension": {"granularity": "day"},
            "fromTimestamp": when(start),
            "toTimestamp": when(end),
            "config": {"row_limit": MOST_ROWS},
        }
        rows = ask("v2/metrics", {"query": json.dumps(query)}, bucket="metrics").get("data") or ()
        yield from (row for row in rows if row.get("time_dimension"))


def _stretches(job: Job) -> list[tuple[datetime, datetime]]:
    whole = whole_days(job)
    return days(_midnight(whole[0]), _midnight(whole[-1] + DAY), YEAR) if whole else []


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def daily(ask: Ask, job: Job) -> Iterator[dict]:
    """Per day: observations and their cost, as an older server counts them. Its tokens leave cached ones out, so they are not used.

    It picks observations by the time of their trace, so a day more on each side is asked for.
    """
    whole = whole_days(job)
    found: dict[str, dict] = {}
    page, pages = 1, 1 if whole else 0
    while page <= pages:
        window = {"fromTimestamp": when(_midnight(whole[0] - DAY)), "toTimestamp": when(_midnight(whole[-1] + 2 * DAY))}
        answer = ask("metrics/daily", window | {"page": page, "limit": 100}, bucket="daily")
        found |= {str(row.get("date"))[:10]: row for row in answer.get("data") or ()}
        pages, page = int((answer.get("meta") or {}).get("totalPages") or 1), page + 1
    for day in whole:
        row = found.get(day.isoformat(), {})
        yield _total("spans", day, row.get("countObservations"), cost_usd=_number(row.get("totalCost")) or 0.0)


def _total(entity: str, day: date, rows: object, *, tokens_in=None, tokens_out=None, cost_usd=None) -> dict:
    tokens = {k: None if v is None else int(v) for k, v in (("tokens_in", tokens_in), ("tokens_out", tokens_out))}
    return {"entity": entity, "day": day, "rows": int(_number(rows) or 0), **tokens, "cost_usd": cost_usd}


def _number(told: object) -> float | None:
    """A number that may stand as text, as ClickHouse writes large ones; None where it is none."""
    try:
        return float(told) if told is not None else None
    except (TypeError, ValueError):
        return None
