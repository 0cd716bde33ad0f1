"""What the LangSmith double lists by offset: projects, feedback, datasets, examples, annotation queues, prices."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from .http import Request
from .langsmith_feedback import Feedback
from .langsmith_query import Refusal, id_of, projects_of, queued_run, read_time
from .langsmith_rows import NAMES, PRICES, TENANT, naive, stamp, uid
from .langsmith_stats import figures
from .langsmith_store import FIRST, LAST, Project, Store
from .traffic import START, Traffic

QUEUE_STATUS = ("needs_my_review", "needs_others_review", "completed")
ITEM_STATUS = {"needs_my_review": "needs_my_review", "needs_others_review": "needs_others_review", "archived": "completed"}
CONFIGS = {
    "helpful": {"type": "continuous", "min": 0.0, "max": 1.0, "categories": None},
    "helpful_human": {
        "type": "categorical", "min": None, "max": None,
        "categories": [{"value": 1.0, "label": "yes"}, {"value": 0.0, "label": "no"}],
    },
    "thumb": {"type": "freeform", "min": None, "max": None, "categories": None},
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """One golden item of a dataset."""

    id: str
    inputs: dict
    outputs: dict | None = None
    metadata: dict = field(default_factory=dict)
    created: datetime = START
    source_run_id: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A dataset and its examples."""

    name: str
    examples: tuple[Example, ...] = ()
    description: str | None = None
    created: datetime = START

    @property
    def id(self) -> str:
        return str(uuid.uuid5(NAMES, f"dataset {self.name}"))


@dataclass(frozen=True)
class Experiment:
    """A run of a product over a dataset: the n-th trace answers the n-th example, over and over."""

    name: str
    dataset: Dataset
    traffic: Traffic


@dataclass(frozen=True)
class QueueItem:
    """A run (by neutral ids; the root without a span) that waits in a queue, or was reviewed."""

    trace_id: str
    span_id: str | None = None
    status: str = "needs_my_review"
    added: datetime = START
    reviewed: datetime | None = None


@dataclass(frozen=True)
class Queue:
    """An annotation queue."""

    name: str
    items: tuple[QueueItem, ...] = ()
    created: datetime = START

    @property
    def id(self) -> str:
        return str(uuid.uuid5(NAMES, f"queue {self.name}"))


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    told = request.one(name, str(default))
    if not told.isdigit() or not least <= int(told) <= most:
        raise Refusal(400, f"{name} must be between {least} and {most}, got {told!r}")
    return int(told)


def _offset_page(request: Request, rows: Iterable, default: int = 100) -> list:
    """The page of ``limit`` and ``offset``; 100 rows at most."""
    limit, offset = _number(request, "limit", default, 1, 100), _number(request, "offset", 0, 0, 10**9)
    return list(islice(rows, offset, offset + limit))


def _yes(request: Request, name: str, default: bool) -> bool:
    return request.one(name, str(default)).lower() in ("true", "1")


def _named(request: Request, rows: Iterable, ids: str = "id") -> Iterable:
    """The conditions ``id``, ``name`` and ``name_contains``, which most lists know."""
    wanted = request.query.get(ids)
    name, part = request.one("name"), request.one("name_contains")
    return (
        r
        for r in rows
        if (wanted is None or r.id in wanted)
        and (name is None or r.name == name)
        and (part is None or part.lower() in r.name.lower())
    )


def _found(things: Iterable, id: str, what: str):
    wanted = id_of(id, f"{what}_id")
    thing = next((t for t in things if t.id == wanted), None)
    if thing is None:
        raise Refusal(404, f"{what} {id} not found")
    return thing


def sessions(double, request: Request) -> list[dict]:
    """GET /sessions: projects, newest first; with figures unless ``include_stats`` is false."""
    found = _named(request, double.store.projects.values())
    if request.one("reference_free") is not None:
        free = _yes(request, "reference_free", False)
        found = (p for p in found if (p.dataset_id is None) is free)
    if (datasets := request.query.get("reference_dataset")) is not None:
        found = (p for p in found if p.dataset_id in datasets)
    stats = _yes(request, "include_stats", True)
    return [_session(double.store, p, stats) for p in _offset_page(request, found)]


def session(double, request: Request, id: str) -> dict:
    """GET /sessions/{id}."""
    return _session(double.store, _found(double.store.projects.values(), id, "project"), _yes(request, "include_stats", True))


def _session(store: Store, project: Project, stats: bool) -> dict:
    first, last = (next((r for _, r in store.walk([project], up=up) if not r.parents), None) for up in (True, False))
    row = {
        "id": project.id,
        "name": project.name,
        "tenant_id": TENANT,
        "description": None,
        "start_time": naive(first.span.start if first else START),
        "end_time": naive(last.span.end) if last and project.dataset_id else None,
        "extra": {"metadata": {}},
        "default_dataset_id": None,
        "reference_dataset_id": project.dataset_id,
        "trace_tier": "shortlived",
        "last_run_start_time_live": naive(last.span.start) if last else None,
    }
    if not stats:
        return row
    return row | figures(store, [r for _, r in store.walk([project]) if not r.parents]) | {"session_feedback_stats": {}}


def feedback(double, request: Request) -> list[dict]:
    """GET /feedback: newest created first; there is no condition on when one was modified."""
    store, names = double.store, _yes(request, "include_user_names", False)
    since, until = read_time(request.one("min_created_at")) or FIRST, read_time(request.one("max_created_at")) or LAST
    found = store.heard(_candidates(store, request, since, until))
    for name, read in (("key", lambda f: f.key), ("source", lambda f: f.source), ("user", lambda f: f.author and uid(f.author))):
        found = _among(request.query.get(name), read, found)
    if (level := request.one("level")) is not None:
        found = (f for f in found if (f.run is not None) is (level == "run"))
    for name, read in (("has_comment", lambda f: f.comment), ("has_score", lambda f: f.score)):
        if request.one(name) is not None:
            found = _having(_yes(request, name, True), read, found)
    return [f.row(names=names) for f in _offset_page(request, found)]


def _candidates(store: Store, request: Request, since: datetime, until: datetime) -> Iterable[Feedback]:
    """Feedback of the runs, else of the projects, else all; created in [since, until]."""
    sessions, runs = request.query.get("session"), request.query.get("run")
    if runs is not None:
        given = [f for r in dict.fromkeys(runs) for f in store.judged.get(id_of(r, "run"), ())]
        given = [f for f in given if since <= f.created <= until and (sessions is None or f.project_id in sessions)]
        return sorted(given, key=lambda f: (f.created, f.id), reverse=True)
    projects = projects_of(store, sessions) if sessions else store.projects.values()
    walks = [p.feedback.walk(since, until, closed=True) for p in projects]
    if len(walks) == 1:
        return (f for _, f in walks[0])
    return (f for _, f in sorted((pair for walk in walks for pair in walk), key=lambda pair: pair[0], reverse=True))


def _among(wanted: Sequence[str] | None, read, found: Iterable[Feedback]) -> Iterable[Feedback]:
    return found if wanted is None else (f for f in found if read(f) in wanted)


def _having(wanted: bool, read, found: Iterable[Feedback]) -> Iterable[Feedback]:
    return (f for f in found if (read(f) is not None) is wanted)


def feedback_configs(double, request: Request) -> list[dict]:
    """GET /feedback-configs: how the values of each key are meant."""
    keys, part = request.query.get("key"), request.one("name_contains") or ""
    rows = (
        {
            "feedback_key": key,
            "feedback_config": config,
            "tenant_id": TENANT,
            "modified_at": naive(START),
            "is_lower_score_better": False,
            "is_enforced": False,
        }
        for key, config in double.configs.items()
        if (keys is None or key in keys) and part in key
    )
    return _offset_page(request, rows)


def datasets(double, request: Request) -> list[dict]:
    """GET /datasets."""
    return [_dataset(double, d) for d in _offset_page(request, _named(request, double.datasets))]


def dataset(double, request: Request, id: str) -> dict:
    """GET /datasets/{id}."""
    return _dataset(double, _found(double.datasets, id, "dataset"))


def _dataset(double, one: Dataset) -> dict:
    experiments = [p for p in double.store.projects.values() if p.dataset_id == one.id]
    starts = [r.span.start for p in experiments for _, r in p.runs.walk()]
    return {
        "id": one.id,
        "tenant_id": TENANT,
        "name": one.name,
        "description": one.description,
        "data_type": "kv",
        "created_at": naive(one.created),
        "modified_at": naive(max([one.created, *(e.created for e in one.examples)])),
        "example_count": len(one.examples),
        "session_count": len(experiments),
        "last_session_start_time": naive(max(starts, default=None)),
        "inputs_schema_definition": None,
        "outputs_schema_definition": None,
        "metadata": None,
    }


def examples(double, request: Request) -> list[dict]:
    """GET /examples: of a dataset or by id."""
    wanted, ids = request.query.get("dataset"), request.query.get("id")
    if wanted is None and ids is None:
        raise Refusal(400, "one of dataset and id is required")
    found = (
        _example(d, e)
        for d in double.datasets
        if wanted is None or d.id in wanted
        for e in d.examples
        if ids is None or uid(e.id) in ids
    )
    return _offset_page(request, found)


def _example(of: Dataset, one: Example) -> dict:
    return {
        "id": uid(one.id),
        "dataset_id": of.id,
        "name": f"#{uid(one.id)[:4]} @ {of.name}",
        "inputs": one.inputs,
        "outputs": one.outputs,
        "metadata": {"dataset_split": ["base"], **one.metadata},
        "created_at": naive(one.created),
        "modified_at": naive(one.created),
        "source_run_id": one.source_run_id,
    }


def queues(double, request: Request) -> list[dict]:
    """GET /annotation-queues."""
    return [_queue(q) for q in _offset_page(request, _named(request, double.queues, ids="ids"))]


def queue(double, request: Request, id: str) -> dict:
    """GET /annotation-queues/{id}."""
    return _queue(_found(double.queues, id, "queue")) | {"rubric_instructions": None, "rubric_items": []}


def _queue(one: Queue) -> dict:
    return {
        "id": one.id,
        "tenant_id": TENANT,
        "name": one.name,
        "description": None,
        "queue_type": "single",
        "created_at": naive(one.created),
        "updated_at": naive(one.created),
        "total_runs": len(one.items),
        "num_reviewers_per_item": 1,
        "enable_reservations": False,
    }


def queue_runs(double, request: Request, id: str) -> list[dict]:
    """GET /annotation-queues/{id}/runs: whole v1 runs with the queue's notes."""
    status = request.one("status")
    if status is not None and status not in QUEUE_STATUS:
        raise Refusal(400, f"status must be one of {', '.join(QUEUE_STATUS)}, got {status!r}")
    one = _found(double.queues, id, "queue")
    found = (i for i in one.items if status is None or i.status == status)
    return [_queued(double.store, one, item) for item in _offset_page(request, found)]


def _queued(store: Store, one: Queue, item: QueueItem) -> dict:
    run = store.run_of(item.trace_id, item.span_id)
    notes = {
        "queue_run_id": str(uuid.uuid5(NAMES, f"{one.id} {run.id}")),
        "added_at": item.added,
        "effective_added_at": item.added,
        "last_reviewed_time": item.reviewed,
        "completed_by": [uid("user-7")] if item.status == "completed" else [],
    }
    return queued_run(store, run, notes)


def queue_items(double, request: Request, id: str) -> dict:
    """GET /platform/annotation-queues/{id}/items: by status, which must be told; cursors instead of offsets."""
    status, one = request.one("status"), _found(double.queues, id, "queue")
    if status not in ITEM_STATUS:
        raise Refusal(400, f"status must be one of {', '.join(ITEM_STATUS)}, got {status!r}")
    size, start = _number(request, "page_size", 20, 1, 100), _number(request, "cursor", 0, 0, 10**9)
    found = [i for i in one.items if i.status == ITEM_STATUS[status]]
    more = start + size < len(found)
    items = [_item(double.store, one, i) for i in found[start : start + size]]
    return {"items": items, "next_cursor": str(start + size) if more else None}


def _item(store: Store, one: Queue, item: QueueItem) -> dict:
    run = store.run_of(item.trace_id, item.span_id)
    return {
        "id": str(uuid.uuid5(NAMES, f"{one.id} {run.id}")),
        "queue_id": one.id,
        "item_type": "RUN",
        "run_id": run.id,
        "project_id": run.project_id,
        "start_time": stamp(run.span.start),
        "thread_id": None,
        "added_at": stamp(item.added),
        "effective_added_at": stamp(item.added),
        "last_reviewed_time": stamp(item.reviewed),
        "completed_by": [uid("user-7")] if item.status == "completed" else [],
        "reserved_by": [],
    }


def prices(double, request: Request) -> list[dict]:
    """GET /model-price-map: USD per token."""
    rows = (
        {
            "id": str(uuid.uuid5(NAMES, model)),
            "tenant_id": None,
            "name": model,
            "provider": "openai",
            "match_path": ["model", "model_name", "model_id", "model_path", "endpoint_name"],
            "match_pattern": f"^{model.replace('.', chr(92) + '.')}$",
            "prompt_cost": into,
            "completion_cost": out,
            "prompt_cost_details": {"cache_read": cached},
            "completion_cost_details": None,
            "start_time": None,
        }
        for model, (into, out, cached) in PRICES.items()
    )
    return _offset_page(request, rows)
