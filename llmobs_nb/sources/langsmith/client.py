"""LangSmith as a pull uses it: its projects, the slices to fetch, the pages of each, and what it counts itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...errors import SourceError, choose
from ...text import terminal
from ..transport.clock import Clock
from ..transport.http import Absent, Forbidden, Refused, TooMuch, Unfinished
from ..transport.job import Job, Page, Pages, Project, Rows, Slice
from . import lists, totals
from .plan import Plan
from .queries import MOST, RunQuery, named, page
from .server import LIST_PAGE, Server

if TYPE_CHECKING:
    import httpx2

    from .credentials import Credentials

RETENTION = timedelta(days=14)
LATER = ""  # rows that only a later stage reads: nothing to ingest
PLANS = ("cloud", "self-hosted")
RUNS = ("runs", "experiment_runs", "edited")
# What an older server, or one without the feature, need not have.
OPTIONAL = {
    "feedback_configs": "configurations of feedback",
    "feedback_keys": "counts of feedback",
    "queues": "annotation queues",
    "queue_items": "items of annotation queues",
    "prices": "prices of models",
}
_WITHOUT_TEXTS = (
    "what LangSmith keeps in them is not known either: the model that answered, finish reasons, retrieved documents, tool calls"
)
_TEXTS = {
    "none": "Inputs and outputs were not pulled (--io none)",
    "errors": "Inputs and outputs were pulled of traces with an error only (--io errors); of the others",
    "sampled": "Inputs and outputs were pulled of traces with an error or feedback and of at most 200 a day more (--io sampled); of the others",
}


class LangsmithClient:
    """One workspace of LangSmith; implements ``transport.job.Client``.

    ``default_project`` is pulled where none is wanted. ``plan`` ``self-hosted`` asks without limits; LangSmith's cloud limits all plans alike. ``keys`` is there so that all clients
    are made alike: LangSmith gives metadata whole.
    """

    source = "langsmith"
    traffic = ("runs", "feedback")
    overlaps: Mapping[str, timedelta] = {"runs": timedelta(hours=48), "feedback": timedelta(hours=1)}
    workers = 3

    def __init__(
        self,
        credentials: Credentials,
        *,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
        plan: str | None = None,
        keys: Sequence[str] = (),
        seed: int | None = None,
        default_project: str | None = None,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self.clock = clock or Clock()
        limited = plan is None or choose("plan", plan, PLANS) != "self-hosted"
        self._server = Server(credentials, transport=transport, clock=self.clock, seed=seed, limited=limited)
        self._default, self._today = default_project, today
        self._first_project: str | None = None
        self._absent: set[str] = set()
        self._uncounted = ""

    def __repr__(self) -> str:
        return f"LangsmithClient({self._server.address!r})"

    def close(self) -> None:
        """Close the connections."""
        self._server.http.close()

    @property
    def pages(self) -> Mapping[str, Pages]:
        """How each entity is paged and read; runs by the generation of the API as far as it is known."""
        most = MOST[self._server.api]
        runs, entities = _paged(most, "langsmith.runs"), _paged(LIST_PAGE, "langsmith.entities")
        return {
            "runs": runs,
            "experiment_runs": runs,
            "edited": _paged(most, LATER),
            "feedback": _paged(LIST_PAGE, "langsmith.feedback"),
            **dict.fromkeys(("feedback_configs", "examples", "queue_items", "prices"), entities),
            **dict.fromkeys(("datasets", "experiments", "queues", "feedback_keys"), _paged(LIST_PAGE, LATER)),
        }

    def projects(self, wanted: Sequence[str]) -> list[Project]:
        """Tracing projects by name or id; none wanted: the default one, else all. Raises SourceError for one that is not there."""
        asked = list(wanted) or [name for name in (self._default,) if name]
        try:
            listed = list(self._server.every("/sessions", {"reference_free": True, "include_stats": False}))
        except (Absent, Refused, TooMuch, Unfinished) as error:
            raise SourceError(f"{self._server.address} does not list its projects ({error}); try again later") from None
        there = [_project(row) for row in listed if row.get("id")]
        if not there:
            raise SourceError(
                f"the key sees no tracing project at {self._server.address}; name the workspace that has them in LANGSMITH_WORKSPACE_ID"
            )
        found = list(dict.fromkeys(_wanted(name, there) for name in asked)) if asked else there
        self._first_project = found[0].id
        return found

    def stages(self, job: Job) -> Iterator[Callable[[Rows], list[Slice]]]:
        """The stages of a pull of one project; the first project brings what belongs to the workspace along."""
        first = self._first_project in (None, job.project.id)

        def planned(rows: Rows) -> Plan:
            return Plan(job, workspace=first, edits=self._server.api == "v2")

        yield lambda rows: planned(rows).traffic(rows)
        yield lambda rows: planned(rows).details(rows)
        yield lambda rows: planned(rows).rejudged(rows)

    def fetch(self, slice: Slice, cursor: str | None, limit: int) -> Page:
        """One page of a slice; raises what ``Http`` raises, and TooMuch where pages lie too deep."""
        if slice.entity in RUNS:
            return self._runs(slice, cursor, limit)
        try:
            return lists.page(self._server, slice, cursor, limit)
        except (Absent, Forbidden):
            if slice.entity not in OPTIONAL:
                raise
            self._absent.add(slice.entity)
            return Page([])

    def _runs(self, slice: Slice, cursor: str | None, limit: int) -> Page:
        """A page of runs. A cursor is good for one generation of the API; with the other the slice begins anew."""
        query = RunQuery.of(slice)
        begun, _, place = (cursor or "").partition(":")
        api, answer = self._server.query(lambda api: query.body(api, place if api == begun else None, limit), wide=query.wide)
        rows, after = page(api, answer)
        found = Page(self._server.checked(rows, f"a query for {slice.entity}"), f"{api}:{after}" if after else None)
        return named(found, slice.params["projects"])

    def totals(self, job: Job) -> Iterator[dict]:
        """Rows, tokens and cost of each whole UTC day of the job, as LangSmith counts; it does not count feedback by day.

        Where it does not tell, there are fewer, and ``notes`` says why.
        """
        try:
            yield from totals.by_day(self._server, job)
        except (Absent, Refused, TooMuch, Unfinished, SourceError) as error:
            self._uncounted = str(error)

    def notes(self, job: Job) -> list[str]:
        """What a reader of the pulled project must know, in whole sentences."""
        out = []
        kept_since = self._today() - RETENTION
        if job.since < kept_since:
            out.append(
                f"LangSmith drops a trace after 14 days unless feedback or a rule extended that: what it still has of the time before "
                f"{kept_since:%Y-%m-%d} are mostly traces with feedback, no picture of all traffic."
            )
        if job.io in _TEXTS:
            out.append(f"{_TEXTS[job.io]}; {_WITHOUT_TEXTS}.")
        out.append(
            "Feedback that came through the API may be an end user's or a program's: its rater is unknown until you map it."
        )
        out.append("LangSmith does not count feedback by day, so whether all scores are here is unchecked.")
        if self._uncounted:
            out.append(f"LangSmith did not tell its counts ({self._uncounted}), so whether all runs are here is unchecked.")
        if self._server.api == "v1":
            out.append(
                "This server cannot be asked for edited feedback: edits come with feedback of the last hour and with --full."
            )
        out += [f"This server has no {OPTIONAL[name]}, or gives none; none were pulled." for name in sorted(self._absent)]
        return out


def _paged(most: int, format: str) -> Pages:
    return Pages(most, most // 20, format)


def _project(row: Mapping[str, Any]) -> Project:
    return Project(str(row["id"]), str(row.get("name") or row["id"]))


def _wanted(name: str, there: Sequence[Project]) -> Project:
    """The project of a name or id; raises SourceError with those that are most like it."""
    found = next((p for p in there if name in (p.name, p.id)), None)
    if found is None:
        like = difflib.get_close_matches(name, [p.name for p in there], 10, 0.0)
        more = f" (and {len(there) - len(like):,} more)" if len(there) > len(like) else ""
        raise SourceError(
            f"project {terminal(name, 60)!r} is not in this LangSmith workspace; choose one of: "
            f"{', '.join(terminal(n, 60) for n in like)}{more}"
        )
    return found
