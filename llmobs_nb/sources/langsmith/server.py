"""One LangSmith server: where its routes are, which generation of run queries it speaks, how fast it may be asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import SourceError
from ..transport.bucket import Bucket
from ..transport.clock import Clock
from ..transport.http import Absent, Cures, Http, TooMuch

if TYPE_CHECKING:
    import httpx2

    from .credentials import Credentials

# Calls in seconds: run queries over at most 7 days (10 are allowed), over more (3), and all else, of 2,000 calls a minute
# that a key has. One call is left free, and to the last what run queries take at most.
NARROW, WIDE, OTHER = (9, 10.0), (2, 10.0), (1900, 60.0)
LIST_PAGE = 100
TRIES, FIRST_WAIT = 5, 1.0
CURES = Cures(
    key="set LANGSMITH_API_KEY to a key of this server, and LANGSMITH_ENDPOINT to the server (region) that the key is from",
    host="set LANGSMITH_ENDPOINT to the address of the API, such as https://api.smith.langchain.com or https://eu.api.smith.langchain.com",
    permission="use a key (LANGSMITH_API_KEY) whose role may read all of the workspace, and name that in LANGSMITH_WORKSPACE_ID",
)


class Route(NamedTuple):
    """Where runs are asked for, and in which generation of the API: ``v2`` or ``v1``."""

    api: str
    path: str


class Server:
    """The routes of one server. Methods raise what ``Http`` raises, and SourceError where an answer is no answer."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        limited: bool = True,
    ):
        headers = {"x-api-key": credentials.api_key}
        if credentials.workspace_id:
            headers["x-tenant-id"] = credentials.workspace_id
        self.http = Http(credentials.api_url, cures=CURES, headers=headers, transport=transport, clock=clock, seed=seed)
        made = (Bucket(*limit, self.http.clock) if limited else None for limit in (NARROW, WIDE, OTHER))
        self._narrow, self._wide, self._other = made
        self._lock = threading.Lock()
        self._prefix: str | None = None
        self._routes: tuple[Route, ...] = ()

    @property
    def address(self) -> str:
        return self.http.base_url

    @property
    def api(self) -> str:
        """The generation of run queries as far as it is known: ``v2`` or ``v1``. Asks nobody."""
        return self._routes[0].api if self._routes else "v2"

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET of API v1; ``path`` without prefix."""
        return self.http.get(self._base() + path, _given(params), bucket=self._other)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a POST of API v1 that only reads; ``path`` without prefix."""
        return self.http.post(self._base() + path, body, bucket=self._other)

    def insist(self, ask: Callable[..., Any], *told: Any) -> Any:
        """The answer to what cannot be asked for in smaller pieces: what is too much for the server now may not be in a moment."""
        for tried in range(TRIES - 1):
            try:
                return ask(*told)
            except TooMuch:
                self.http.clock.wait(FIRST_WAIT * 2**tried)
        return ask(*told)

    def rows(self, path: str, params: Mapping[str, Any] | None = None) -> list[dict]:
        """The rows of a GET that gives a plain list."""
        return self.checked(self.get(path, params), path)

    def every(self, path: str, params: Mapping[str, Any]) -> Iterator[dict]:
        """The rows of all pages of a list that is paged by offset."""
        offset = 0
        while rows := self.insist(self.rows, path, {**params, "limit": LIST_PAGE, "offset": offset}):
            yield from rows
            if len(rows) < LIST_PAGE:
                return
            offset += len(rows)

    def checked(self, rows: Any, path: str) -> list[dict]:
        """The rows themselves; raises SourceError for what is no list of objects."""
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SourceError(f"{self.address} answers {path} with something else than a list of objects; {CURES.host}")
        return rows

    def query(self, body: Callable[[str], Mapping[str, Any]], *, wide: bool) -> tuple[str, dict]:
        """(generation, answer) of a run query; ``body`` says it in a generation's words.

        The first route that is there is kept. ``wide``: the window is longer than 7 days.
        """
        self._base()
        routes, bucket = self._routes, self._wide if wide else self._narrow
        for route in routes:
            try:
                answer = self.http.post(route.path, body(route.api), bucket=bucket)
            except Absent:
                if route is routes[-1]:
                    raise
                continue
            if not isinstance(answer, dict):
                raise SourceError(f"{self.address} answers {route.path} with something else than an object; {CURES.host}")
            self._routes = (route,)
            return route.api, answer
        raise Absent("no route for run queries")

    def _base(self) -> str:
        """``/api/v1`` or nothing, whichever the server answers under; found out once."""
        with self._lock:
            if self._prefix is None:
                self._prefix, flags = self._probe()
                self._routes = _routes(self._prefix, flags)
            return self._prefix

    def _probe(self) -> tuple[str, Mapping]:
        for prefix in ("/api/v1", ""):
            try:
                told = self.insist(self.http.get, f"{prefix}/info")
            except Absent:
                continue
            flags = told.get("instance_flags") if isinstance(told, dict) else None
            return prefix, flags if isinstance(flags, dict) else {}
        raise SourceError(f"{self.address} has neither /api/v1/info nor /info, so it is no LangSmith API; {CURES.host}")


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (params or {}).items() if v is not None}


def _routes(prefix: str, flags: Mapping) -> tuple[Route, ...]:
    """Where runs may be asked for, the likeliest first. Flags that an older server does not have mean ClickHouse alone."""
    newer = (Route("v2", "/api/v2/runs/query"), Route("v2", "/v2/runs/query"))
    older = (Route("v1", f"{prefix}/runs/query"),)
    return newer + older if flags.get("sdb_query_enabled", False) else older + newer
