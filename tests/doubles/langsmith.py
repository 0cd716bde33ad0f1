"""A loopback double of the LangSmith API, both generations of it, written from what is known of the servers.

Where nothing is known it takes the stricter side, and says so at the place: ``/runs/stats`` counts a subtree's usage on every
parent, v2 bounds are half-open and those of feedback closed, narrow v1 selects are honoured literally.
"""

from __future__ import annotations

import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import orjson

from . import langsmith_lists as lists
from . import langsmith_query as query
from .faults import Faults
from .http import Answer, Request
from .langsmith_feedback import SOURCES, Feedback
from .langsmith_limits import Limiter, limits_of
from .langsmith_lists import CONFIGS, Dataset, Experiment, Queue
from .langsmith_rows import NAMES, uid
from .langsmith_stats import run_stats
from .langsmith_store import Project, Store, project_id
from .traffic import TraceT, Traffic

BACKENDS = {
    "smithdb": ("0.18.2", {"ch_query_enabled": False, "sdb_query_enabled": True}),
    "dual": ("0.17.4", {"ch_query_enabled": True, "sdb_query_enabled": True}),
    "clickhouse": ("0.13.9", {"ch_query_enabled": True}),
}
INGEST = {
    "use_multipart_endpoint": False, "size_limit": 100, "size_limit_bytes": 20_971_520, "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 16, "scale_down_nempty_trigger": 4,
}  # fmt: skip


def info(double, request: Request) -> dict:
    """GET /info: which backends answer queries. Asks for no key."""
    version, flags = BACKENDS[double.backend]
    return {"version": version, "instance_flags": flags, "batch_ingest_config": INGEST}


ROUTES: dict[str, Callable] = {
    "GET /info": info,
    "GET /sessions": lists.sessions,
    "GET /sessions/{id}": lists.session,
    "POST /v2/runs/query": query.runs_v2,
    "GET /v2/runs/{id}": query.run_v2,
    "POST /v2/traces/query": query.traces,
    "GET /v2/traces/{id}/runs": query.trace_runs,
    "POST /v2/threads/query": query.threads,
    "POST /runs/query": query.runs_v1,
    "POST /runs/stats": run_stats,
    "GET /runs/{id}": query.run_v1,
    "GET /feedback": lists.feedback,
    "GET /feedback-configs": lists.feedback_configs,
    "GET /datasets": lists.datasets,
    "GET /datasets/{id}": lists.dataset,
    "GET /examples": lists.examples,
    "GET /annotation-queues": lists.queues,
    "GET /annotation-queues/{id}": lists.queue,
    "GET /annotation-queues/{id}/runs": lists.queue_runs,
    "GET /platform/annotation-queues/{id}/items": lists.queue_items,
    "GET /model-price-map": lists.prices,
}
_PATTERNS = [(re.compile(r.replace("{id}", "([^/]+)")), r) for r in ROUTES]
_LEGACY = ("POST /runs/query", "GET /runs/{id}")


class LangsmithDouble:
    """One workspace. ``traffic`` is the project ``project``; ``projects`` and ``experiments`` stand beside it.

    ``now`` gives the server's time, ``clock`` the seconds of its rate limits (an object with ``now()``). ``retry_after`` is the
    share of 429s that carry the header; ``page_bytes`` answers 413 above, ``slow_above`` is the page size above which 422 or
    504 comes; ``v1=False`` has the deprecated routes gone (410); ``forbidden`` names routes of ``ROUTES`` answered with 403.
    With ``workspace_id`` the key needs the X-Tenant-Id header. ``asked`` counts requests by route, ``answered`` by status.
    """

    def __init__(
        self,
        traffic: Traffic,
        *,
        project_id: str = str(uuid.uuid5(NAMES, "project prod")),
        project: str = "prod",
        api_key: str = "lsv2_pt_test",
        workspace_id: str | None = None,
        backend: str = "smithdb",
        v1: bool = True,
        limits: bool = True,
        retry_after: float = 0.1,
        clock=None,
        now: Callable[[], datetime] | None = None,
        faults: Faults | None = None,
        seed: int = 0,
        duplicates: float = 0.0,
        repeat_cursor: bool = False,
        page_bytes: int | None = None,
        slow_above: int | None = None,
        retention_days: int | None = None,
        hub_prompts: bool = False,
        forbidden: Iterable[str] = (),
        projects: Mapping[str, Traffic] | None = None,
        experiments: Sequence[Experiment] = (),
        datasets: Sequence[Dataset] = (),
        queues: Sequence[Queue] = (),
    ):
        self.api_key, self.workspace_id, self.backend, self.v1 = api_key, workspace_id, backend, v1
        self.faults, self.page_bytes, self.slow_above = faults or Faults(), page_bytes, slow_above
        self.forbidden, self.retry_after = set(forbidden), retry_after
        self.asked: Counter[str] = Counter()
        self.answered: Counter[int] = Counter()
        self._chance = random.Random(seed)
        self._limiter = Limiter(clock.now if clock else time.monotonic) if limits else None
        self._lock = threading.RLock()
        self.pager = query.Pager(self._chance.random, duplicates=duplicates, repeat=repeat_cursor)
        self.store = Store(now=now, retention_days=retention_days, hub_prompts=hub_prompts)
        self.project_id = self._project(project, traffic, id=project_id).id
        for name, other in (projects or {}).items():
            self._project(name, other)
        for experiment in experiments:
            self._experiment(experiment)
        self.datasets = list({d.id: d for d in (*datasets, *(e.dataset for e in experiments))}.values())
        self.queues = list(queues)
        self.configs = CONFIGS

    def _project(self, name: str, traffic: Traffic, id: str | None = None) -> Project:
        made = Project(id or project_id(name), name)
        self.store.projects[made.id] = made
        for trace in traffic.traces:
            self.store.add(trace, made)
        return made

    def _experiment(self, experiment: Experiment) -> None:
        made = Project(project_id(experiment.name), experiment.name, experiment.dataset.id)
        self.store.projects[made.id] = made
        examples = experiment.dataset.examples
        for at, trace in enumerate(experiment.traffic.traces):
            self.store.add(trace, made, example=uid(examples[at % len(examples)].id))

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        with self._lock:
            route, args = _routed(request)
            self.asked[route] += 1
            answer = self.faults.meet(request) or self._answer(request, route, args)
            self.answered[answer.status] += 1
            return answer

    def _answer(self, request: Request, route: str, args: tuple[str, ...]) -> Answer:
        try:
            self._admit(request, route)
            if self._limiter and (wait := self._limiter.wait(limits_of(route, request.body, self.store))):
                header = {"retry-after": str(wait)} if self._chance.random() < self.retry_after else {}
                return Answer(429, {"detail": "Rate limit exceeded"}, header)
            self._heavy(request)
            body = orjson.dumps(ROUTES[route](self, request, *args))
            if self.page_bytes is not None and len(body) > self.page_bytes:
                raise query.Refusal(413, "response too large")
            return Answer(200, body)
        except query.Refusal as error:
            return _refused(request, route, error)

    def _admit(self, request: Request, route: str) -> None:
        """Raise for a route that this server does not have, and for a key that may not use it."""
        if route not in ROUTES or ("/v2/" in route and self.backend == "clickhouse"):
            raise query.Refusal(404, "Not Found")
        if route in _LEGACY and not self.v1:
            raise query.Refusal(410, "this endpoint was removed; use /api/v2/runs/query")
        if route == "GET /info":
            return
        if request.headers.get("x-api-key") != self.api_key:
            raise query.Refusal(401, "Invalid token")
        if self.workspace_id and request.headers.get("x-tenant-id") != self.workspace_id:
            raise query.Refusal(403, "This API key requires the workspace to be named in the X-Tenant-Id header")
        if route in self.forbidden:
            raise query.Refusal(403, "Forbidden")

    def _heavy(self, request: Request) -> None:
        """Raise for a page that is too much for the server: 422 or 504 by chance."""
        body = request.body if isinstance(request.body, dict) else {}
        size = body.get("page_size") or body.get("limit") or 0
        if self.slow_above is not None and isinstance(size, int) and size > self.slow_above:
            raise query.Refusal(self._chance.choice((422, 504)), "the query timed out")

    def add(self, trace: TraceT, project_id: str | None = None) -> None:
        """A trace that happens now, in the double's own project unless another is told."""
        with self._lock:
            self.store.add(trace, self.store.projects[project_id or self.project_id])

    def late(self, trace: TraceT, project_id: str | None = None) -> None:
        """A trace of the past that the server gets only now (``inserted_at`` of API v1 shows it)."""
        with self._lock:
            self.store.add(trace, self.store.projects[project_id or self.project_id], received=self.store.now())

    def add_feedback(
        self,
        trace_id: str | None,
        key: str,
        score: float | bool | None = None,
        *,
        span_id: str | None = None,
        rater: str = "api",
        created: datetime | None = None,
        project_id: str | None = None,
        **more: object,
    ) -> str:
        """A judgement of a neutral trace (of one span with ``span_id``; of a whole project without a trace); its id.

        ``rater`` is human, judge or api, or a source of LangSmith's; ``more`` are value, comment, correction, author, arrived.
        """
        with self._lock:
            run = self.store.run_of(trace_id, span_id) if trace_id is not None else None
            at = created or self.store.now()
            project = run.project_id if run else project_id or self.project_id
            id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
            made = Feedback(id, key, SOURCES.get(rater, rater), project, at, at, run=run, score=score, **more)
            self.store.judge_late(made)
            return made.id

    def edit_feedback(self, id: str, **changes: object) -> None:
        """Change score, value, comment or correction: ``modified_at`` moves to now, ``created_at`` stays."""
        with self._lock:
            self.store.edit(uid(id), changes)

    def end_run(self, id: str, end: datetime) -> None:
        """A pending run ends; its outputs and usage show from now on. ``id`` is a run's, or a neutral span's."""
        with self._lock:
            self.store.end(uid(id), end)

    def delete(self, trace_id: str) -> None:
        """A trace goes, with its runs and feedback."""
        with self._lock:
            self.store.delete(trace_id)


def _routed(request: Request) -> tuple[str, tuple[str, ...]]:
    """The route and the ids in the path; with or without /api and /api/v1 before it. The plain path where it is none."""
    path = re.sub(r"^/api(?=/|$)", "", request.path.rstrip("/"))
    asked = f"{request.method} {path.removeprefix('/v1')}"
    for pattern, route in _PATTERNS:
        if match := pattern.fullmatch(asked):
            return route, match.groups()
    return asked, ()


def _refused(request: Request, route: str, error: query.Refusal) -> Answer:
    """A refusal as either generation writes it: RFC 7807 of v2, ``detail`` of v1."""
    if "/v2/" not in route:
        return Answer(error.status, {"detail": error.detail})
    body = {
        "type": "about:blank",
        "title": f"HTTP {error.status}",
        "status": error.status,
        "detail": error.detail,
        "instance": request.path,
        "remedy": None,
    }
    return Answer(error.status, body, {"content-type": "application/problem+json"})
