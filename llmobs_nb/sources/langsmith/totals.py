"""What LangSmith counts of a project: its runs by day, to hold beside what was pulled, and the keys of its feedback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from .. import chat
from ..transport.http import Absent, TooMuch
from ..transport.job import DAY, Job, days
from .queries import WIDEST, stamp
from .server import Server

# The kinds of run that use tokens themselves; on others the server may write the sums of what lies below.
SPENDERS = ("llm", "embedding")


def by_day(server: Server, job: Job) -> Iterator[dict]:
    """One dict per whole UTC day of the job, oldest first: the project's runs, and the tokens and cost of those that spend.

    Raises what ``Http`` raises, and Absent where the answer holds no count.
    """
    for start, end in reversed(days(job.since, job.until)):
        if end - start == DAY:
            rows = chat.count(_stats(server, job.project.id, start, end).get("run_count"))
            if rows is None:
                raise Absent("the statistics hold no run_count")
            spent = [_stats(server, job.project.id, start, end, run_type=kind) for kind in SPENDERS] if rows else []
            yield {
                "entity": "spans",
                "day": start.date(),
                "rows": rows,
                "tokens_in": _sum(spent, "prompt_tokens"),
                "tokens_out": _sum(spent, "completion_tokens"),
                "cost_usd": _sum(spent, "total_cost"),
            }


def feedback_keys(server: Server, project: str, until: datetime) -> list[str]:
    """The keys of all feedback of a project, over a year where the server manages that, else a month; else none."""
    for back in (WIDEST, timedelta(days=30)):
        try:
            return list(chat.mapping(_stats(server, project, until - back, until).get("feedback_stats")))
        except TooMuch:
            continue
    return []


def _stats(server: Server, project: str, start: datetime, end: datetime, **more: str) -> dict:
    """Statistics of runs that start in [start, end); ``end_time`` would bound their ends."""
    bounds = {"start_time": stamp(start), "filter": f'lt(start_time, "{stamp(end)}")'}
    return chat.mapping(server.insist(server.post, "/runs/stats", {"session": [project], **bounds, **more}))


def _sum(found: list[dict], name: str) -> float | None:
    """The sum of what was told; None where nothing was."""
    told = [n for n in (chat.number(one.get(name)) for one in found) if n is not None]
    return sum(told) if told else None
