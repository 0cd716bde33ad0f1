"""A double of the Langfuse API, written from what is known of the server: v4 as it is, or v3 with its old routes."""

from __future__ import annotations

import base64
import re
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote

from llmobs_nb.sources.transport.clock import Clock

from . import langfuse_content, langfuse_legacy, langfuse_metrics, langfuse_pages
from .faults import Faults
from .http import Answer, Request
from .langfuse_content import content
from .langfuse_data import Data
from .langfuse_rows import GROUPS, parts
from .langfuse_scores import Score, share
from .langfuse_wire import Bad, Limiter, Route, whole
from .traffic import TraceT, Traffic

BASE = "/api/public/"
VERSIONS = {"v4": "4.16.0", "v3": "3.179.0"}
WRONG_KEY = "Invalid credentials. Confirm that you've configured the correct host."
GONE = "This endpoint is not available on deployments running in Langfuse v4 events_only mode."
KEPT = 2000


def health(double, request: Request) -> Answer:
    """health: the server's version; the only route without a key."""
    return Answer(body={"status": "OK", "version": VERSIONS[double.server]})


def projects(double, request: Request) -> Answer:
    """projects: the one that the key belongs to."""
    organization = {"id": "org-1", "name": "Example"}
    row = {"id": double.data.project, "name": double.project_name, "organization": organization, "metadata": {}}
    return Answer(body={"data": [row]})


ROUTES = (
    Route("health", None, health),
    Route("projects", "public-api", projects),
    *langfuse_pages.ROUTES,
    *langfuse_metrics.ROUTES,
    *langfuse_content.ROUTES,
    *langfuse_legacy.ROUTES,
)


def _pattern(name: str) -> re.Pattern:
    """A route's path; a prompt's name may hold slashes."""
    inside = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(name))
    return re.compile(inside.replace("[^/]+", ".+") if name.startswith("v2/prompts/") else inside)


_PATTERNS = [(_pattern(route.name), route) for route in ROUTES]


class LangfuseDouble:
    """One project of one server, made from neutral traffic.

    ``server`` is v4 (old routes are 404) or v3 (new ones are). ``plan`` hobby, core or pro limits the requests, by ``clock``;
    None is self-hosted, without limits. ``faults`` meets each request first. ``duplicates`` and ``extras`` see Data, ``extra``
    are rows behind those of the small lists. ``dropped_scores`` is the share of scores that no page gives though its cursor
    goes past them, ``repeat_cursor`` answers every cursor with itself, ``slow_above`` a limit above which pages are 422,
    ``page_bytes`` a size above which answers are 413. ``calls`` counts requests by route, ``statuses`` answers by status,
    ``asked`` holds the latest requests. All of it may be called from several threads.
    """

    def __init__(
        self,
        traffic: Traffic,
        *,
        project: str = "project-1",
        project_name: str = "Example project",
        public_key: str = "pk-lf-test",
        secret_key: str = "sk-lf-test",
        server: str = "v4",
        plan: str | None = None,
        clock=None,
        faults: Faults | None = None,
        seed: int = 0,
        duplicates: float = 0.0,
        dropped_scores: float = 0.0,
        repeat_cursor: bool = False,
        page_bytes: int | None = None,
        slow_above: int | None = None,
        extras: Iterable[str] = ("corrections",),
        extra: Mapping[str, Sequence[dict]] | None = None,
    ):
        self.data = Data(traffic, project=project, seed=seed, duplicates=duplicates, extras=extras)
        self.content = content(self.data, extra or {})
        self.project_name, self.server, self.seed, self.faults = project_name, server, seed, faults
        self.dropped_scores, self.repeat_cursor = dropped_scores, repeat_cursor
        self.page_bytes, self.slow_above = page_bytes, slow_above
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.asked: deque[Request] = deque(maxlen=KEPT)
        self._key = "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self._limiter = Limiter(plan, clock or Clock())
        self._lock = threading.RLock()

    def handle(self, request: Request) -> Answer:
        """The answer to one request."""
        path = unquote(request.path).removeprefix(BASE).strip("/")
        route, named = next(((r, m.groupdict()) for p, r in _PATTERNS if (m := p.fullmatch(path))), (None, {}))
        with self._lock:
            self.calls[route.name if route else path] += 1
            self.asked.append(request)
            answer = self._meet(request) or self._answer(request, route, named)
            self.statuses[answer.status] += 1
        return answer

    def _meet(self, request: Request) -> Answer | None:
        return self.faults.meet(request) if self.faults else None

    def _answer(self, request: Request, route: Route | None, named: dict[str, str]) -> Answer:
        """In the order of the server: absent, unknown key, too often, wrong, too much."""
        if route is None or request.method != "GET":
            return Answer(404 if route is None else 405, {"message": "Not found" if route is None else "Method not allowed"})
        if route.server not in (None, self.server):
            return Answer(404, {"message": GONE})
        if route.handler is not health and request.headers.get("authorization") != self._key:
            return Answer(401, {"message": WRONG_KEY if request.headers.get("authorization") else "No authorization header"})
        if refused := self._limiter.refuse(route.bucket):
            return refused
        try:
            answer = self._slow(request) or route.handler(self, request, **named)
        except Bad as error:
            return error.answer
        if self.page_bytes is not None and len(answer.content) > self.page_bytes:
            return Answer(413, {"message": "Response payload too large"})
        return answer

    def _slow(self, request: Request) -> Answer | None:
        """The database is out of breath above a limit."""
        if self.slow_above is None or whole(request, "limit", 0, 0, 10**9) <= self.slow_above:
            return None
        return Answer(422, {"error": "Request timed out"})

    def drops(self, score: Score) -> bool:
        """Whether the score fails its conversion, as it does every time."""
        return share(self.seed, f"dropped {score.id}") < self.dropped_scores

    def warm(self, fields: str = ",".join(GROUPS)) -> None:
        """Serialise every row for these field groups now, so that a benchmark measures its client."""
        names = parts({"core", *fields.split(",")}, metadata="metadata_whole" if "io" in fields.split(",") else "metadata")
        with self._lock:
            for row in self.data.rows.down():
                row.body(names)

    def add(self, trace: TraceT) -> None:
        """See Data.add."""
        with self._lock:
            self.data.add(trace)

    def late(self, trace: TraceT) -> None:
        """See Data.late."""
        with self._lock:
            self.data.late(trace)

    def edit_score(self, id: str, value: float | bool | str, author: str | None = None) -> None:
        """See Data.edit_score."""
        with self._lock:
            self.data.edit_score(id, value, author)

    def end_span(self, id: str, end: datetime) -> None:
        """See Data.end_span."""
        with self._lock:
            self.data.end_span(id, end)

    def delete(self, trace_id: str) -> None:
        """See Data.delete."""
        with self._lock:
            self.data.delete(trace_id)
