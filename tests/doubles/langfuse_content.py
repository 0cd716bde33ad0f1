"""The small lists of the Langfuse double: configs, queues, comments, datasets, prompts, models, experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice

import orjson

from .http import Answer, Request
from .langfuse_data import Data
from .langfuse_rows import PRICES
from .langfuse_scores import QUEUE, v3
from .langfuse_wire import Bad, Route, iso, paged, when, whole
from .traffic import START, TraceT

MADE = "2026-10-01T09:00:00.000Z"
STAMPS = {"createdAt": MADE, "updatedAt": MADE}
DATASET = {"id": "dataset-golden", "name": "golden"}
ITEMS = 3


def content(data: Data, extra: Mapping[str, Sequence[dict]]) -> dict[str, list[dict]]:
    """Rows per list, made from the traffic, with those of ``extra`` behind them."""
    traces = list(islice((t for t in data.traces.values() if t.scores), 2 * ITEMS))
    items = [_dataset_item(data, t, at) for at, t in enumerate(traces[:ITEMS])]
    runs = {"baseline": traces[:ITEMS], "candidate": traces[ITEMS:]}
    made = {
        "score-configs": _configs(data),
        "annotation-queues": _queues(data),
        "queue-items": _queue_items(data),
        "comments": [_comment(data, t, at) for at, t in enumerate(traces[:ITEMS])],
        "datasets": _datasets(data),
        "dataset-items": items,
        "prompts": _prompts(),
        "models": _models(),
        "experiments": [_experiment(run, of) for run, of in runs.items() if of],
        "experiment-items": [
            _experiment_item(data, run, trace, item) for run, of in runs.items() for trace, item in zip(of, items, strict=False)
        ],
    }
    if unknown := sorted(set(extra) - set(made)):
        raise ValueError(f"extra holds {', '.join(unknown)}; possible are {', '.join(made)}")
    return {name: [*rows, *extra.get(name, ())] for name, rows in made.items()}


def _humans(data: Data) -> list[str]:
    return sorted({s.name for t in data.traces.values() for s in t.scores if s.rater == "human"})


def _configs(data: Data) -> list[dict]:
    plain = {"projectId": data.project, "isArchived": False, "minValue": None, "maxValue": None, "description": None} | STAMPS
    yes_no = [{"value": 1, "label": "True"}, {"value": 0, "label": "False"}]
    return [
        *(plain | {"id": f"config-{n}", "name": n, "dataType": "BOOLEAN", "categories": yes_no} for n in _humans(data)),
        plain | {"id": "config-old", "name": "old", "dataType": "NUMERIC", "isArchived": True, "minValue": 0, "maxValue": 5,
                 "categories": None},
    ]  # fmt: skip


def _queues(data: Data) -> list[dict]:
    ids = [f"config-{n}" for n in _humans(data)]
    return [{"id": QUEUE, "name": "Weekly review", "description": None, "scoreConfigIds": ids} | STAMPS]


def _queue_items(data: Data) -> list[dict]:
    """A finished item per trace with a human's label, and an open one for a trace without."""
    labelled = [(t, s) for t in data.traces.values() for s in t.scores if s.rater == "human"][:5]
    waiting = list(islice((t for t in data.traces.values() if not t.scores), 1))
    done = [(t.id, "COMPLETED", iso(s.created)) for t, s in labelled] + [(t.id, "PENDING", None) for t in waiting]
    return [
        {"id": f"queue-item-{at}", "queueId": QUEUE, "objectId": id, "objectType": "TRACE", "status": status,
         "completedAt": ended} | STAMPS
        for at, (id, status, ended) in enumerate(done)
    ]  # fmt: skip


def _comment(data: Data, trace: TraceT, at: int) -> dict:
    kind, id = ("TRACE", trace.id) if at % 2 == 0 else ("OBSERVATION", trace.spans[-1].id)
    return {
        "id": f"comment-{at}", "projectId": data.project, "objectType": kind, "objectId": id,
        "content": "The answer misses the second question.", "authorUserId": "user-7",
        "createdAt": iso(trace.spans[0].start), "updatedAt": iso(trace.spans[0].start),
    }  # fmt: skip


def _datasets(data: Data) -> list[dict]:
    plain = {"projectId": data.project, "description": None, "metadata": {}, "inputSchema": None, "expectedOutputSchema": None}
    return [DATASET | plain | STAMPS, {"id": "dataset-empty", "name": "empty"} | plain | STAMPS]


def _dataset_item(data: Data, trace: TraceT, at: int) -> dict:
    root = trace.spans[0]
    return {
        "id": f"item-{at}", "projectId": data.project, "datasetId": DATASET["id"], "datasetName": DATASET["name"],
        "status": "ACTIVE" if at < 2 else "ARCHIVED", "input": {"question": root.input}, "expectedOutput": {"answer": "42"},
        "metadata": {"source": "production"}, "sourceTraceId": trace.id, "sourceObservationId": None, "mediaReferences": [],
    } | STAMPS  # fmt: skip


def _prompts() -> list[dict]:
    def version(name: str, number: int, kind: str, prompt, *labels: str) -> dict:
        at = iso(START - timedelta(days=30 - number))
        return {
            "id": f"prompt-{name}-{number}", "name": name, "version": number, "type": kind, "prompt": prompt,
            "config": {"temperature": 0.2}, "labels": list(labels), "tags": ["chat"], "commitMessage": None,
            "resolutionGraph": None, "createdBy": "user-7", "createdAt": at, "updatedAt": at,
        }  # fmt: skip

    chat = [{"type": "chatmessage", "role": "system", "content": "Sort the question into {{topics}}."}]
    return [
        version("answer", 1, "text", "Answer the question: {{question}}"),
        version("answer", 2, "text", "Answer the question shortly: {{question}}", "production", "latest"),
        version("routing/triage", 1, "chat", chat, "production", "latest"),
    ]


def _models() -> list[dict]:
    def model(name: str, prices: Mapping[str, float]) -> dict:
        tier = {"id": "tier-standard", "name": "Standard", "isDefault": True, "priority": 0, "conditions": [], "prices": prices}
        return {
            "id": f"model-{name}", "modelName": name, "matchPattern": f"(?i)^({name})(-[0-9-]+)?$", "startDate": None,
            "unit": "TOKENS", "inputPrice": prices["input"], "outputPrice": prices["output"], "totalPrice": None,
            "tokenizerId": "openai", "tokenizerConfig": {}, "isLangfuseManaged": True, "createdAt": MADE,
            "prices": {k: {"price": p} for k, p in prices.items()}, "pricingTiers": [tier],
        }  # fmt: skip

    return [model(name, prices) for name, prices in PRICES.items()]


def _experiment(run: str, traces: list[TraceT]) -> dict:
    starts = [t.spans[0].start for t in traces]
    return {
        "id": f"experiment-{run}", "name": run, "description": None, "startTime": iso(min(starts)),
        "endTime": iso(max(starts) + timedelta(seconds=4)), "itemCount": len(traces), "datasetId": DATASET["id"],
        "metadata": {"prompt": run}, "scores": [],
    }  # fmt: skip


def _experiment_item(data: Data, run: str, trace: TraceT, item: dict) -> dict:
    root = trace.spans[0]
    given = sorted((s for s in data.by_score.values() if s.of_trace == trace.id), key=lambda s: s.id)
    return {
        "id": root.id, "traceId": trace.id, "startTime": iso(root.start), "endTime": iso(root.end),
        "level": "ERROR" if root.error else "DEFAULT", "environment": trace.environment,
        "experimentId": f"experiment-{run}", "experimentName": run, "experimentItemId": item["id"],
        "experimentDatasetId": DATASET["id"], "experimentItemVersion": MADE, "input": item["input"],
        "output": root.output, "expectedOutput": item["expectedOutput"], "metadata": {}, "experimentItemMetadata": item["metadata"],
        "experimentMetadata": {"prompt": run}, "experimentDescription": None,
        "scores": [v3(s, {"details", "subject", "annotation"}) for s in given],
    }  # fmt: skip


def _plain(name: str, *filters: str):
    """The answer to a list that is paged by numbers; ``filters`` are parameters that name a field of its rows."""

    def answer(double, request: Request) -> Answer:
        asked = {f: request.one(f) for f in filters if request.one(f)}
        return paged([r for r in double.content[name] if all(r.get(f) == v for f, v in asked.items())], request)

    return answer


def queue_items(double, request: Request, queue: str) -> Answer:
    """The items of a queue. Raises Bad (404) for an unknown one."""
    if not any(q["id"] == queue for q in double.content["annotation-queues"]):
        raise Bad("Annotation queue not found", 404)
    status = request.one("status")
    rows = (r for r in double.content["queue-items"] if r["queueId"] == queue)
    return paged([r for r in rows if status in (None, r["status"])], request)


def prompts(double, request: Request) -> Answer:
    """One row per prompt name: its versions, without their texts."""
    versions: dict[str, list[dict]] = {}
    low, high = (when(request.one(n), n) for n in ("fromUpdatedAt", "toUpdatedAt"))
    for row in double.content["prompts"]:
        if (not low or row["updatedAt"] >= iso(low)) and (not high or row["updatedAt"] < iso(high)):
            versions.setdefault(row["name"], []).append(row)
    asked = {n: v for n in ("name", "label", "tag") if (v := request.one(n))}
    rows = [_prompt_meta(rows) for rows in versions.values()]
    kept = {"name": lambda r, v: r["name"] == v, "label": lambda r, v: v in r["labels"], "tag": lambda r, v: v in r["tags"]}
    return paged([r for r in rows if all(kept[n](r, v) for n, v in asked.items())], request)


def _prompt_meta(rows: list[dict]) -> dict:
    last = rows[-1]
    return {
        "name": last["name"], "type": last["type"], "versions": [r["version"] for r in rows],
        "labels": sorted({label for r in rows for label in r["labels"]}), "tags": last["tags"],
        "lastUpdatedAt": last["updatedAt"], "lastConfig": last["config"],
    }  # fmt: skip


def prompt(double, request: Request, name: str) -> Answer:
    """One version of a prompt with its text: the one asked for, else the one labelled production. Raises Bad (404)."""
    number, label = whole(request, "version", 0, 1, 10**6), request.one("label") or "production"
    for row in double.content["prompts"]:
        if row["name"] == name and (row["version"] == number if number else label in row["labels"]):
            return Answer(body=orjson.dumps(row))
    raise Bad(f"Prompt not found: '{name}' with {f'version {number}' if number else f'label {label!r}'}", 404)


ROUTES = (
    Route("score-configs", "public-api", _plain("score-configs")),
    Route("annotation-queues", "annotation-queues", _plain("annotation-queues")),
    Route("annotation-queues/{queue}/items", "annotation-queues", queue_items),
    Route("comments", "public-api", _plain("comments", "objectType", "objectId", "authorUserId")),
    Route("v2/datasets", "datasets", _plain("datasets")),
    Route("dataset-items", "datasets", _plain("dataset-items", "datasetName", "sourceTraceId", "sourceObservationId")),
    Route("models", "public-api", _plain("models")),
    Route("v2/prompts", None, prompts),
    Route("v2/prompts/{name}", None, prompt),
)
