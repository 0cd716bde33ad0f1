"""Queries over runs: POST /api/v2/runs/query, the deprecated POST /runs/query, traces, threads, single runs."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

import orjson

from .http import Request
from .langsmith_feedback import Feedback, feedback_stats
from .langsmith_filter import BadFilter, Filter, compiled, instant
from .langsmith_rows import FIELDS, V1_FIELDS, Run, naive, stamp, v1_row
from .langsmith_store import FIRST, LAST, Place, Project, Store

RUN_TYPES = ("TOOL", "CHAIN", "LLM", "RETRIEVER", "EMBEDDING", "PROMPT", "PARSER")
SELECTS = {f.upper(): at for at, f in enumerate(FIELDS)}
AGGREGATES = ("TOTAL_TOKENS", "TOTAL_COST", "FIRST_TOKEN_TIME")
V1_DEFAULT = tuple(f for f in V1_FIELDS if f not in ("child_run_ids", "inserted_at", "trace_tier", "ttl_seconds"))
DAY, MOST_DAYS = timedelta(days=1), 401


class Refusal(Exception):
    """A request that the server does not answer as asked: the status and what it says."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Window:
    """Runs that begin in [since, until); ``told`` says whether the request itself named where it begins."""

    since: datetime
    until: datetime
    told: bool


def body_of(request: Request) -> dict:
    """The JSON object of a request."""
    body = request.body or {}
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body


def read_filter(text: object) -> Filter:
    if text is not None and not isinstance(text, str):
        raise Refusal(400, "filter must be a string")
    try:
        return compiled(text)
    except BadFilter as error:
        raise Refusal(400, f"invalid filter: {error}") from None


def read_time(text: object) -> datetime | None:
    try:
        return None if text is None else instant(text)
    except BadFilter as error:
        raise Refusal(400, str(error)) from None


def window_v2(store: Store, body: Mapping) -> Window:
    """The window of a v2 query: the last 24 hours unless it names its bounds, 401 days at most."""
    now = store.now()
    since, until = read_time(body.get("min_start_time")), read_time(body.get("max_start_time")) or now
    told = since is not None
    since = since if told else now - DAY
    if until - since > MOST_DAYS * DAY:
        raise Refusal(400, f"time range must not exceed {MOST_DAYS} days")
    return Window(since, until, told)


def window_v1(body: Mapping) -> Window:
    """The window of a v1 query: ``start_time`` bounds the start; ``end_time`` bounds the end and is no part of it."""
    found, since = read_filter(body.get("filter")), read_time(body.get("start_time"))
    since = max((t for t in (since, found.since) if t), default=None)
    return Window(since or FIRST, found.until or LAST, since is not None)


class Pager:
    """Cursors. They are opaque, hold a place in time, and fit only the query that gave them.

    ``duplicates`` is the share of a page's rows that the next page gives again; ``repeat`` gives a cursor back as it came.
    """

    def __init__(self, chance: Callable[[], float], *, duplicates: float, repeat: bool):
        self._chance, self.duplicates, self.repeat = chance, duplicates, repeat
        self._given: dict[str, list] = {}

    def place(self, body: Mapping) -> Place | None:
        """Where the page begins; None at the start. Raises Refusal for a cursor of another query."""
        cursor = body.get("cursor")
        if cursor is None:
            return None
        try:
            at, id, query = json.loads(base64.urlsafe_b64decode(cursor))
            if query != _fingerprint(body):
                raise Refusal(400, "the cursor belongs to another query")
            return datetime.fromisoformat(at), id
        except (ValueError, TypeError):
            raise Refusal(400, "invalid cursor") from None

    def page(self, found: Iterator[tuple[Place, object]], size: int, body: Mapping) -> tuple[list, str | None]:
        """The next ``size`` things and the cursor behind them; no cursor when these were the last."""
        cursor, things = body.get("cursor"), []
        things += [t for t in self._given.get(cursor, ()) if self._chance() < self.duplicates][: size - 1]
        last = None
        for place, thing in found:
            last = place
            things.append(thing)
            if len(things) == size:
                break
        if next(found, None) is None:
            return things, None
        following = cursor if self.repeat and cursor else _cursor(last, body)
        if self.duplicates:
            self._given[following] = list(things)
        return things, following


def _cursor(place: Place, body: Mapping) -> str:
    return base64.urlsafe_b64encode(json.dumps([place[0].isoformat(), place[1], _fingerprint(body)]).encode()).decode()


def _fingerprint(body: Mapping) -> int:
    """What the query asks for: all but where it stands and how much it wants at once."""
    asked = {k: v for k, v in body.items() if k not in ("cursor", "page_size", "limit")}
    return zlib.crc32(json.dumps(asked, sort_keys=True).encode())


def size_of(value: object, *, most: int, default: int, name: str) -> int:
    """A page size of 1 to ``most``."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Refusal(400, f"{name} must be between 1 and {most}, got {value!r}")
    return value


def id_of(value: object, name: str) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise Refusal(400, f"{name} must be a UUID, got {value!r}") from None


def projection(selects: object, *, aggregates: bool = False) -> Callable[[tuple[bytes, ...]], orjson.Fragment]:
    """How a prepared row becomes what was selected; ``id`` alone without selects."""
    names = list(dict.fromkeys(selects or ["ID"]))
    unknown = [n for n in names if n not in SELECTS]
    if unknown:
        raise Refusal(400, f"unknown select {unknown[0]!r}")
    names = [n for n in names if not (aggregates and n in AGGREGATES)] or ["ID"]
    pick = itemgetter(*(SELECTS[n] for n in names))
    if len(names) == 1:
        return lambda row: orjson.Fragment(b"{" + pick(row) + b"}")
    return lambda row: orjson.Fragment(b"{" + b",".join(pick(row)) + b"}")


def projects_of(store: Store, ids: object, dataset: object = None) -> list[Project]:
    """The projects of a query: by id, or the experiments of a dataset. Exactly one of both must be told."""
    if bool(ids) == bool(dataset):
        raise Refusal(400, "exactly one of project_ids and reference_dataset_id is required")
    if dataset:
        return [p for p in store.projects.values() if p.dataset_id == id_of(dataset, "reference_dataset_id")]
    wanted = [id_of(i, "project_ids") for i in ids]
    missing = [i for i in wanted if i not in store.projects]
    if missing:
        raise Refusal(404, f"project {missing[0]} not found")
    return [store.projects[i] for i in dict.fromkeys(wanted)]


class Match:
    """Whether a run meets all conditions of a query, in the words of either version."""

    def __init__(self, store: Store, body: Mapping, *, filters: Sequence[str] = ("filter", "trace_filter", "tree_filter")):
        self.store = store
        self._filters = {name: read_filter(body.get(name)) for name in filters if body.get(name)}
        self._modified = (read_time(body.get("min_feedback_modified_at")), read_time(body.get("max_feedback_modified_at")))
        if any(self._modified) and not any(f.feedback for f in self._filters.values()):
            raise Refusal(400, "min_feedback_modified_at and max_feedback_modified_at require a feedback condition in a filter")
        self._tests: list[Callable[[Run], bool]] = []

    def where(self, test: Callable[[Run], bool]) -> None:
        """One more condition."""
        self._tests.append(test)

    def one_of(self, ids: object, name: str, read: Callable[[Run], object]) -> None:
        """The condition that a field is one of some ids, where any are told."""
        if ids is not None:
            wanted = {id_of(i, name) for i in ids}
            self.where(lambda run: read(run) in wanted)

    def __call__(self, found: Iterator[tuple[Place, Run]]) -> Iterator[tuple[Place, Run]]:
        """Those that meet all conditions."""
        return (p for p in found if self.meets(p[1])) if self._tests or self._filters else found

    def meets(self, run: Run) -> bool:
        return all(t(run) for t in self._tests) and all(self._passes(n, f, run) for n, f in self._filters.items())

    def _passes(self, name: str, condition: Filter, run: Run) -> bool:
        filed = self.store.traces[run.trace_id]
        runs = {"filter": [run], "trace_filter": [self.store.runs[run.trace_id]]}.get(name)
        runs = runs if runs is not None else [self.store.runs[r] for r in filed.runs]
        return any(condition.test(r, self._feedback(r)) for r in runs)

    def _feedback(self, run: Run) -> list[Feedback]:
        since, until = self._modified
        given = self.store.heard(self.store.judged.get(run.id, ()))
        return [f for f in given if (since is None or f.modified >= since) and (until is None or f.modified < until)]


def runs_v2(double, request: Request) -> dict:
    """POST /api/v2/runs/query: no order, no limit; 24 hours and ``id`` only unless told."""
    body, store = body_of(request), double.store
    if body.get("ai_search"):
        raise Refusal(406, "ai_search requires Accept: text/event-stream")
    projects = projects_of(store, body.get("project_ids"), body.get("reference_dataset_id"))
    window, match = window_v2(store, body), Match(store, body)
    if body.get("reference_dataset_id") and not window.told:
        window = Window(FIRST, window.until, told=False)
    size = size_of(body.get("page_size"), most=1000, default=100, name="page_size")
    kind = body.get("run_type")
    if kind is not None and kind not in RUN_TYPES:
        raise Refusal(400, f"run_type must be one of {', '.join(RUN_TYPES)}, got {kind!r}")
    if kind:
        match.where(lambda run: run.kind.upper() == kind)
    if body.get("is_root") is not None:
        match.where(lambda run: (not run.parents) is body["is_root"])
    if body.get("has_error") is not None:
        match.where(lambda run: (run.status == "error") is body["has_error"])
    if body.get("trace_id") is not None:
        match.one_of([body["trace_id"]], "trace_id", lambda run: run.trace_id)
    match.one_of(body.get("ids"), "ids", lambda run: run.id)
    match.one_of(body.get("reference_examples"), "reference_examples", lambda run: run.example)
    pick, rolled = projection(body.get("selects")), bool(body.get("include_subtree_usage"))
    found = store.walk(projects, window.since, window.until, after=double.pager.place(body))
    runs, cursor = double.pager.page(match(found), size, body)
    items = [pick(r.rolled if rolled else r.values) for r in runs]
    return {"items": items, "next_cursor": cursor, "has_more": cursor is not None}


def match_v1(store: Store, body: Mapping) -> Match:
    """The conditions of a v1 body, which queries and statistics share. ``end_time`` is about when a run ended."""
    match, ends = Match(store, body), read_time(body.get("end_time"))
    if ends is not None:
        match.where(lambda run: run.span.end is not None and run.span.end <= ends)
    if body.get("run_type") is not None:
        match.where(lambda run: run.kind == body["run_type"])
    if body.get("is_root") is not None:
        match.where(lambda run: (not run.parents) is body["is_root"])
    if body.get("error") is not None:
        match.where(lambda run: (run.status == "error") is body["error"])
    if body.get("parent_run") is not None:
        match.one_of([body["parent_run"]], "parent_run", lambda run: run.parents[-1] if run.parents else None)
    if body.get("trace") is not None:
        match.one_of([body["trace"]], "trace", lambda run: run.trace_id)
    match.one_of(body.get("id"), "id", lambda run: run.id)
    match.one_of(body.get("reference_example"), "reference_example", lambda run: run.example)
    return match


def select_v1(store: Store, select: object) -> Callable[[Run], dict]:
    """How a run becomes its v1 row: only what is selected, even where the SDK's model wants more."""
    names = list(select or V1_DEFAULT)
    unknown = [n for n in names if n not in V1_FIELDS]
    if unknown:
        raise Refusal(400, f"unknown select {unknown[0]!r}")

    def picked(run: Run) -> dict:
        row = v1_row(run, feedback_stats(store.judged.get(run.id, ())), store.tier(run.trace_id))
        return {n: row[n] for n in names}

    return picked


def projects_v1(store: Store, body: Mapping) -> list[Project]:
    """The projects of a v1 body: ``session``, else whatever holds the trace, runs or examples that are asked for."""
    if body.get("session"):
        return projects_of(store, body["session"])
    if not any(body.get(k) for k in ("id", "trace", "parent_run", "reference_example")):
        raise Refusal(400, "at least one of session, id, parent_run, trace and reference_example is required")
    return list(store.projects.values())


def runs_v1(double, request: Request) -> dict:
    """POST /runs/query: 100 rows a page at most; by default newest first."""
    body, store = body_of(request), double.store
    size = size_of(body.get("limit"), most=100, default=100, name="limit")
    projects, window, match = projects_v1(store, body), window_v1(body), match_v1(store, body)
    picked, up = select_v1(store, body.get("select")), body.get("order") == "asc"
    found = store.walk(projects, window.since, window.until, after=double.pager.place(body), up=up)
    runs, cursor = double.pager.page(match(found), size, body)
    rows = [picked(r) for r in runs]
    return {"runs": rows, "cursors": {"next": cursor, "prev": None}, "search_cursors": None, "parsed_query": None}


def run_v1(double, request: Request, id: str) -> dict:
    """GET /runs/{id}."""
    return select_v1(double.store, None)(_run(double.store, id))


def run_v2(double, request: Request, id: str) -> dict:
    """GET /api/v2/runs/{id}: of one project."""
    run = _run(double.store, id)
    if run.project_id != id_of(request.one("project_id"), "project_id"):
        raise Refusal(404, f"run {id} not found")
    return projection(request.query.get("selects"))(run.values)


def _run(store: Store, id: str) -> Run:
    run = store.runs.get(id_of(id, "run_id"))
    if run is None or not store.visible(run, store.now()):
        raise Refusal(404, f"run {id} not found")
    return run


def trace_runs(double, request: Request, id: str) -> dict:
    """GET /api/v2/traces/{id}/runs: all runs of a trace at once."""
    store = double.store
    filed = store.traces.get(id_of(id, "trace_id"))
    if filed is None or filed.project.id != id_of(request.one("project_id"), "project_id"):
        raise Refusal(404, f"trace {id} not found")
    pick, now = projection(request.query.get("selects")), store.now()
    return {"items": [pick(store.runs[r].values) for r in filed.runs if store.visible(store.runs[r], now)]}


def traces(double, request: Request) -> dict:
    """POST /api/v2/traces/query: root runs of one project, with the totals of their trees beside them."""
    body, store = body_of(request), double.store
    projects, window = projects_of(store, [body.get("project_id")]), window_v2(store, body)
    match = Match(store, body, filters=("trace_filter", "tree_filter"))
    match.where(lambda run: not run.parents)
    match.one_of(body.get("trace_ids"), "trace_ids", lambda run: run.trace_id)
    size = size_of(body.get("page_size"), most=100, default=20, name="page_size")
    wanted = [s.lower() for s in body.get("selects") or () if s in AGGREGATES]
    pick = projection(body.get("selects"), aggregates=True)
    found = store.walk(projects, window.since, window.until, after=double.pager.place(body))
    runs, cursor = double.pager.page(match(found), size, body)
    items = [{"root_run": pick(r.values), "trace_aggregates": {k: v for k, v in r.rollup().items() if k in wanted}} for r in runs]
    return {"items": items, "next_cursor": cursor, "has_more": cursor is not None}


def threads(double, request: Request) -> dict:
    """POST /api/v2/threads/query: conversations by their latest trace in the window, newest first."""
    body, store = body_of(request), double.store
    projects, window = projects_of(store, [body.get("project_id")]), window_v2(store, body)
    match = Match(store, body)
    size = size_of(body.get("page_size"), most=100, default=20, name="page_size")
    kept: dict[str, list[Run]] = {}
    for _, run in store.walk(projects, window.since, window.until):
        if not run.parents and match.meets(run):
            kept.setdefault(run.trace.session_id, []).append(run)
    after = double.pager.place(body)
    places = sorted(((r[0].span.start, name) for name, r in kept.items()), reverse=True)
    found = ((p, p[1]) for p in places if after is None or p < after)
    names, cursor = double.pager.page(found, size, body)
    items = [_thread(store, name, kept[name]) for name in names]
    return {"items": items, "next_cursor": cursor, "has_more": cursor is not None}


def _thread(store: Store, name: str, roots: list[Run]) -> dict:
    """A conversation; ``roots`` are its traces, newest first."""
    last, first = roots[0], roots[-1]
    return {
        "thread_id": name,
        "count": len(roots),
        "first_trace_id": first.trace_id,
        "last_trace_id": last.trace_id,
        "trace_id": last.trace_id,
        "start_time": stamp(last.span.start),
        "min_start_time": stamp(first.span.start),
        "max_start_time": stamp(last.span.start),
        "first_inputs": first.span.input,
        "last_outputs": last.span.output,
        "last_error": next((r.span.error for r in roots if r.span.error), None),
        "num_errored_turns": sum(r.status == "error" for r in roots),
        "total_tokens": sum(r.tree.total for r in roots),
        "total_cost": sum(r.tree.cost for r in roots),
        "feedback_stats": feedback_stats([f for r in roots for f in store.judged.get(r.id, ())]),
    }


def queued_run(store: Store, run: Run, notes: Mapping[str, object]) -> dict:
    """A v1 run as an annotation queue lists it, with the queue's notes on it."""
    times = {k: naive(v) if isinstance(v, datetime) else v for k, v in notes.items()}
    return select_v1(store, None)(run) | times
