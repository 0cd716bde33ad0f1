"""Langfuse as a pull uses it: which server answers, what is asked of it in which order, and what it counts itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ...errors import SourceError
from ...text import terminal
from ..transport.clock import Clock
from ..transport.http import Absent, Cures, Forbidden, Http, Refused, TooMuch, Unfinished
from ..transport.job import DAY, Job, Page, Pages, Project, Rows, Slice
from . import limits, pull_legacy, pull_v4, totals
from .credentials import Credentials
from .numbered import Numbered
from .slices import one_of, query_of, when

Ask = Callable[[Mapping[str, object]], dict]

FORMAT = "langfuse.export"
LATER = ""  # rows that only a later stage reads: nothing to ingest
TRIES, FIRST_WAIT = 4, 1.0
CURES = Cures(
    key="check LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY: both of one project, and of this server (LANGFUSE_BASE_URL)",
    host="check LANGFUSE_BASE_URL: the address of your Langfuse server, such as https://cloud.langfuse.com",
    permission="use the keys of a project (its settings, API keys) in LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY",
)
PAGES = {
    "observations": Pages(1000, 10, FORMAT),
    "traces": Pages(100, 10, FORMAT),
    "documents": Pages(1, 1, FORMAT),
    "scores": Pages(100, 10, FORMAT),
    "score_configs": Pages(100, 10, FORMAT),
    "models": Pages(100, 10, FORMAT),
    "comments": Pages(100, 10, FORMAT),
    "dataset_items": Pages(100, 10, FORMAT),
    "experiment_items": Pages(100, 10, FORMAT),
    "queue_items": Pages(100, 10, FORMAT),
    "prompts": Pages(1, 1, FORMAT),
    "queues": Pages(100, 10, LATER),
    "prompt_names": Pages(100, 10, LATER),
    "datasets": Pages(100, 10, LATER),
    "dataset_runs": Pages(100, 10, LATER),
}
# Nothing can be asked for by when it changed: long spans arrive at their end, labels are edited under their old time.
OVERLAPS = {"observations": DAY, "scores": 7 * DAY, "annotations": 30 * DAY}
UNREAD = (
    "Inputs and outputs were not pulled (io is none): what reads them (reading lists, changes of wording, texts of prompts)"
    " has nothing to read; pull with io sampled or all."
)
CAPPED = (
    "Langfuse cuts metadata values after 200 characters; whole are those of the keys named for the pull, and all of the"
    " traces that were pulled with their texts."
)
ONE_LABEL = (
    "Langfuse keeps one human label per target and score config: a second annotator overwrites the first, so how far"
    " annotators agree cannot be told from it; items of its queues do not say who worked on them."
)
OLDER = (
    "The server is older than version 4: it counts no scores, and of spans only their number and cost, so no more than that"
    " could be checked."
)


class LangfuseClient:
    """One project of one Langfuse server; implements ``transport.job.Client``.

    ``plan`` is the organisation's on Langfuse Cloud (hobby, core, pro), or self-hosted; unnamed, the smallest is assumed on
    Cloud. ``keys`` are metadata keys whose values are wanted whole. ``transport`` and ``clock`` are the tests'.
    Raises UsageError for an unknown plan; SourceError, with the cure, where no try can help.
    """

    source = "langfuse"
    traffic = ("observations", "scores")
    pages: Mapping[str, Pages] = PAGES
    overlaps: Mapping[str, timedelta] = OVERLAPS

    def __init__(
        self,
        credentials: Credentials,
        *,
        transport: Any = None,
        clock: Clock | None = None,
        plan: str | None = None,
        keys: Sequence[str] = (),
        seed: int | None = None,
    ):
        self.clock = clock or Clock()
        self.plan = limits.plan_of(plan, credentials.base_url)
        self.workers = limits.WORKERS[self.plan]
        self.keys = tuple(keys)
        self._http = Http(
            credentials.base_url,
            cures=CURES,
            auth=(credentials.public_key, credentials.secret_key),
            transport=transport,
            clock=self.clock,
            seed=seed,
        )
        self._buckets = limits.buckets(self.plan, self.clock)
        self._numbered = Numbered()
        self._is_v4: bool | None = None
        self._told: list[str] = []
        self._readers = {"cursor": self._by_cursor, "numbered": self._by_number, "each": self._one_by_one}

    def __repr__(self) -> str:
        return f"LangfuseClient({self._http.base_url!r}, plan={self.plan!r})"

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def projects(self, wanted: Sequence[str]) -> list[Project]:
        """The project of the keys, which is all they open. Raises SourceError where another is wanted by id or name."""
        try:
            answer = self._surely("projects")
        except Absent:
            raise SourceError(f"{self._http.base_url} has no Langfuse API (HTTP 404); {CURES.host}") from None
        told = [row for row in self._data(answer) if row.get("id")]
        found = [Project(str(row["id"]), str(row.get("name") or row["id"])) for row in told]
        self._note_retention(told)
        opened = ", ".join(f"{terminal(p.name, 60)} ({terminal(p.id, 60)})" for p in found) or "none"
        for name in wanted:
            if not any(name in (p.id, p.name) for p in found):
                raise SourceError(
                    f"project {terminal(name, 60)!r} is not what the keys open at {self._http.base_url}: {opened}; name that one,"
                    " or set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY of the other"
                )
        return found

    def _note_retention(self, projects: Sequence[dict]) -> None:
        for days in (row.get("retentionDays") for row in projects):
            if isinstance(days, int) and days > 0:
                self._tell(f"The project keeps its data for {days:,} days: what is older is gone, and no pull brings it back.")

    def stages(self, job: Job) -> Iterator[Callable[[Rows], list[Slice]]]:
        """The stages for the version that the server is, found out once."""
        if self._v4():
            yield from pull_v4.stages(job, keys=self.keys, alone=self.workers == 1)
        else:
            yield from pull_legacy.stages(job)

    def _v4(self) -> bool:
        """Whether the server has version 4 of observations; older ones answer 404."""
        if self._is_v4 is None:
            try:
                since = when(datetime.now(UTC) - DAY)
                self._surely("v2/observations", {"limit": 1, "fields": "core", "fromStartTime": since})
                self._is_v4 = True
            except Absent:
                self._is_v4 = False
        return self._is_v4

    def fetch(self, slice: Slice, cursor: str | None, limit: int) -> Page:
        """One page of a slice; may be called from several threads. Raises what ``Http.get`` raises.

        A list that this server does not have, not any more or not for these keys, has no rows; ``notes`` says so.
        """
        params = slice.params
        last = limit <= PAGES[slice.entity].least and not slice.halves()
        ask = partial(self._insist if last else self._get, params["path"], bucket=params["bucket"])
        try:
            return self._readers[params["reader"]](ask, slice, cursor, max(limit // params.get("share", 1), 1))
        except (Absent, Forbidden) as error:
            if not params.get("optional"):
                raise
            why = "has no" if isinstance(error, Absent) else "does not show these keys its"
            self._tell(f"This Langfuse server {why} {terminal(params['path'])}; nothing was pulled of it.")
            return Page(())

    def _by_cursor(self, ask: Ask, slice: Slice, cursor: str | None, limit: int) -> Page:
        answer = ask(query_of(slice) | {"limit": limit} | ({"cursor": cursor} if cursor else {}))
        return Page(_completed(self._data(answer), slice), _meta(answer).get("cursor") or None)

    def _by_number(self, ask: Ask, slice: Slice, cursor: str | None, limit: int) -> Page:
        def page(number: int, size: int, moment: str | None) -> tuple[list[dict], int | None]:
            answer = ask(query_of(slice, moment) | {"page": number, "limit": size})
            return _completed(self._data(answer), slice), _meta(answer).get("totalItems")

        def doubt(words: str) -> None:
            self._tell(f"{slice}: {words}, however often they were read.")

        return Page(*self._numbered.page(slice.key, cursor, limit, page, time=slice.params.get("time"), tell=doubt))

    def _one_by_one(self, ask: Ask, slice: Slice, cursor: str | None, limit: int) -> Page:
        at = int(cursor or 0)
        try:
            rows = [self._insist(*one_of(slice, at), bucket=slice.params["bucket"])]
        except Absent:
            rows = []
        return Page(_completed(rows, slice), str(at + 1) if at + 1 < len(slice.ids) else None)

    def totals(self, job: Job) -> Iterator[dict]:
        """What Langfuse counts per whole UTC day inside the job; nothing of what it does not tell, and ``notes`` says why."""
        counts = (totals.spans, totals.scores) if self._v4() else (totals.daily,)
        for count in counts:
            what = "scores" if count is totals.scores else "spans"
            try:
                yield from list(count(self._insist, job))
            except (Absent, Refused, TooMuch, Unfinished, SourceError) as error:
                self._tell(f"Langfuse did not tell its own counts of {what}, so they were not checked: {terminal(str(error))}.")

    def notes(self, job: Job) -> list[str]:
        """What a reader of the pulled data must know."""
        out = [*self._told, ONE_LABEL]
        if job.io == "none":
            out.append(UNREAD)
        if self._is_v4 and job.io != "all":
            out.append(CAPPED)
        if self._is_v4 is False:
            out.append(OLDER)
        return out

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.append(sentence)

    def _get(self, path: str, query: Mapping[str, object] | None = None, *, bucket: str = "public") -> dict:
        answer = self._http.get(f"/api/public/{path}", query, bucket=self._buckets.get(bucket))
        if not isinstance(answer, dict):
            raise self._nonsense()
        return answer

    def _insist(self, path: str, query: Mapping[str, object] | None = None, *, bucket: str = "public") -> dict:
        """The answer to what cannot be asked in smaller pieces: too much for the server now may not be in a moment."""
        for tried in range(TRIES - 1):
            try:
                return self._get(path, query, bucket=bucket)
            except TooMuch:
                self.clock.wait(FIRST_WAIT * 2**tried)
        return self._get(path, query, bucket=bucket)

    def _surely(self, path: str, query: Mapping[str, object] | None = None) -> dict:
        """The answer without which no pull can begin. Raises SourceError, or Absent where there is no such route."""
        try:
            return self._insist(path, query)
        except (TooMuch, Unfinished, Refused) as error:
            told = terminal(str(error))
            raise SourceError(
                f"{self._http.base_url} does not answer /api/public/{path} ({told}); run the same again later"
            ) from None

    def _data(self, answer: dict) -> list[dict]:
        """The rows of an answer. Raises SourceError for what is no answer of this API."""
        rows = answer.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._nonsense()
        return rows

    def _nonsense(self) -> SourceError:
        return SourceError(f"{self._http.base_url} answers with JSON that is not Langfuse's; {CURES.host}")


def _meta(answer: dict) -> dict:
    told = answer.get("meta")
    return told if isinstance(told, dict) else {}


def _completed(rows: list[dict], slice: Slice) -> list[dict]:
    """The rows with what they do not say themselves, without what nobody asked for; as they are where that is nothing."""
    add, drop = slice.params["add"], slice.params.get("drop") or ()
    for row in rows if drop else ():
        for one in (row, *(o for o in row.get("observations") or () if isinstance(o, dict))):
            for name in drop:
                one.pop(name, None)
    if rows and not add.keys() <= rows[0].keys():
        for row in rows:
            for name, value in add.items():
                row.setdefault(name, value)
    return rows
