"""The routes of a Langfuse v3 server that v4 took away: pages by number, traces apart from observations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import orjson
import xxhash

from .http import Answer, Request
from .langfuse_rows import COLUMNS, GROUPS, PRICES, Row, costs, parts, priced, seconds, side, usage
from .langfuse_scores import COLUMNS as SCORE_COLUMNS
from .langfuse_scores import Score, v2
from .langfuse_wire import Bad, Route, iso, listed, ms, paged, when, whole
from .traffic import TraceT

EVERYTHING = parts({*GROUPS} - {"trace_context"}, metadata="metadata_whole")
ONLY_V4 = ("isRootObservation", "userId", "sessionId", "bookmarked", "public", "internalModelId")


def _window(rows: Iterable, get, request: Request, low: str, high: str) -> list:
    start, end = when(request.one(low), low), when(request.one(high), high)
    return [r for r in rows if (not start or get(r) >= start) and (not end or get(r) < end)]


def _having(rows: Iterable, columns, request: Request, names: tuple[str, ...]) -> list:
    asked = {n: set(request.query[n]) for n in names if request.one(n)}
    return [r for r in rows if all(columns[n](r) in v for n, v in asked.items())]


TRACE_COLUMNS = {
    "name": lambda t: t.name,
    "userId": lambda t: t.user_id,
    "sessionId": lambda t: t.session_id,
    "release": lambda t: t.release,
    "environment": lambda t: t.environment,
}


def traces(double, request: Request) -> Answer:
    """traces: newest first unless ``orderBy`` says timestamp.asc; ``fields`` leaves groups out, metrics then are -1."""
    data = double.data
    order = request.one("orderBy") or "timestamp.desc"
    if order not in ("timestamp.asc", "timestamp.desc"):
        raise Bad(f"orderBy: the double orders by timestamp.asc and timestamp.desc, not by {order}")
    found = _window(data.traces.values(), lambda t: t.spans[0].start, request, "fromTimestamp", "toTimestamp")
    found = _having(found, TRACE_COLUMNS, request, tuple(TRACE_COLUMNS))
    found = [t for t in found if set(request.query.get("tags", ())) <= set(t.tags)]
    found.sort(key=lambda t: (t.spans[0].start, t.id), reverse=order.endswith("desc"))
    groups = set(listed(request, "fields")) or {"core", "io", "scores", "observations", "metrics"}
    return _lazily(found, request, lambda t: _trace(double, t, groups))


def _lazily(rows: list, request: Request, make) -> Answer:
    """A numbered page of which only the rows that go out are made."""
    told = orjson.loads(paged(list(range(len(rows))), request).content)
    return Answer(body=orjson.dumps(told | {"data": [make(rows[at]) for at in told["data"]]}))


def _trace(double, trace: TraceT, groups: set[str]) -> dict:
    data, root = double.data, trace.spans[0]
    rows = list(data.current(data.by_trace[trace.id]))
    io = {"input": root.input, "output": root.output, "metadata": rows[0].metadata(frozenset(trace.metadata))["metadata"]}
    spent = sum(costs(r.span).get("total", 0) for r in rows)
    lasted = seconds(min(r.span.start for r in rows), max(r.span.end or r.span.start for r in rows))
    return {
        "id": trace.id, "externalId": None, "projectId": data.project, "timestamp": iso(root.start), "name": trace.name,
        "userId": trace.user_id, "sessionId": trace.session_id, "release": trace.release, "version": None,
        "environment": trace.environment, "tags": list(trace.tags), "public": False, "bookmarked": False,
        "htmlPath": f"/project/{data.project}/traces/{trace.id}",
        "createdAt": iso(rows[0].created), "updatedAt": iso(max(r.updated for r in rows)),
        **(io if "io" in groups else {}),
        "observations": [r.span.id for r in rows] if "observations" in groups else [],
        "scores": [s.id for s in _scores_of(double, trace.id)] if "scores" in groups else [],
        "totalCost": spent if "metrics" in groups else -1, "latency": lasted if "metrics" in groups else -1,
    }  # fmt: skip


def _scores_of(double, trace_id: str) -> list[Score]:
    return [s for s in double.data.by_score.values() if s.of_trace == trace_id]


def trace(double, request: Request, id: str) -> Answer:
    """traces/{id}: the trace with its observations and scores as objects. Raises Bad (404)."""
    found = double.data.traces.get(id)
    if found is None:
        raise Bad(f"Trace {id} not found within authorized project", 404)
    whole_ = _trace(double, found, {"core", "io", "scores", "observations", "metrics"})
    rows = double.data.current(double.data.by_trace[id])
    given = [v2(s, found) for s in _scores_of(double, id)]
    return Answer(body=orjson.dumps(whole_ | {"observations": [_observation(r) for r in rows], "scores": given}))


def observations(double, request: Request) -> Answer:
    """observations (v1): ordered by start time alone, so rows of one moment stand elsewhere on each page."""
    data, page = double.data, whole(request, "page", 1, 1, 10**9)
    found = _window(data.current(data.rows.down()), lambda r: r.span.start, request, "fromStartTime", "toStartTime")
    found = _having(
        found, COLUMNS, request, ("name", "userId", "type", "level", "traceId", "parentObservationId", "environment", "version")
    )
    found.sort(key=lambda r: (-ms(r.span.start), xxhash.xxh32_intdigest(f"{page} {r.span.id}".encode())))
    return _lazily(found, request, _observation)


def _observation(row: Row) -> dict:
    told = {k: v for k, v in row.object(EVERYTHING).items() if k not in ONLY_V4}
    price, used = PRICES.get(priced(row.span.model), {}), usage(row.span)
    counts = {"input": side(used, "input"), "output": side(used, "output"), "total": used.get("total", 0)}
    paid = costs(row.span)
    return told | {
        "inputPrice": price.get("input"), "outputPrice": price.get("output"), "totalPrice": None,
        "usage": counts | {"unit": "TOKENS"}, "unit": "TOKENS", "promptTokens": counts["input"],
        "completionTokens": counts["output"], "totalTokens": counts["total"], "calculatedInputCost": side(paid, "input"),
        "calculatedOutputCost": side(paid, "output"), "calculatedTotalCost": paid.get("total", 0),
    }  # fmt: skip


def scores(double, request: Request) -> Answer:
    """v2/scores: newest first."""
    found = _window(double.data.scores.down(), lambda s: s.at, request, "fromTimestamp", "toTimestamp")
    found = _having(
        found, SCORE_COLUMNS, request, ("name", "source", "dataType", "configId", "queueId", "environment", "traceId")
    )
    kept = [s for s in found if not double.drops(s)]
    return _lazily(kept, request, lambda s: v2(s, double.data.traces.get(s.of_trace)))


def sessions(double, request: Request) -> Answer:
    """sessions: newest first, created with their first trace."""
    first: dict[str, TraceT] = {}
    for one in sorted(double.data.traces.values(), key=lambda t: t.spans[0].start):
        if one.session_id:
            first.setdefault(one.session_id, one)
    found = _window(first.values(), lambda t: t.spans[0].start, request, "fromTimestamp", "toTimestamp")
    rows = [
        {"id": t.session_id, "createdAt": iso(t.spans[0].start), "projectId": double.data.project, "environment": t.environment}
        for t in reversed(found)
    ]
    return paged(rows, request)


def daily(double, request: Request) -> Answer:
    """metrics/daily: per UTC day, newest first; the window is that of the traces."""
    data = double.data
    days: dict[str, list[Row]] = defaultdict(list)
    begun: dict[str, int] = defaultdict(int)
    for one in _window(data.traces.values(), lambda t: t.spans[0].start, request, "fromTimestamp", "toTimestamp"):
        begun[f"{one.spans[0].start:%Y-%m-%d}"] += 1
        for row in data.current(data.by_trace[one.id]):
            days[f"{row.span.start:%Y-%m-%d}"].append(row)
    return paged([_day(day, days[day], begun[day]) for day in sorted(days, reverse=True)], request)


def _day(day: str, rows: list[Row], traces: int) -> dict:
    models: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        models[row.span.model].append(row)
    return {
        "date": day, "countTraces": traces, "countObservations": len(rows), "totalCost": _sum(rows, "totalCost"),
        "usage": [
            {
                "model": model, "inputUsage": sum(usage(r.span).get("input", 0) for r in of),
                "outputUsage": _sum(of, "outputTokens"), "totalUsage": _sum(of, "totalTokens"), "totalCost": _sum(of, "totalCost"),
                "countObservations": len(of), "countTraces": len({r.span.trace_id for r in of}),
            }
            for model, of in models.items()
        ],
    }  # fmt: skip


def _sum(rows: list[Row], column: str) -> float:
    return sum(COLUMNS[column](r) or 0 for r in rows)


def runs(double, request: Request, name: str) -> Answer:
    """datasets/{name}/runs: what v4 calls experiments. Raises Bad (404) for an unknown dataset."""
    found = [d for d in double.content["datasets"] if d["name"] == name]
    if not found:
        raise Bad("Dataset not found", 404)
    rows = [e for e in double.content["experiments"] if e["datasetId"] == found[0]["id"]]
    return paged([_run(e, name) for e in rows], request)


def _run(told: dict, dataset: str) -> dict:
    plain = {k: told[k] for k in ("id", "name", "description", "metadata", "datasetId")}
    return plain | {"datasetName": dataset, "createdAt": told["startTime"], "updatedAt": told["endTime"]}


def run_items(double, request: Request) -> Answer:
    """dataset-run-items of one run. Raises Bad without ``datasetId`` and ``runName``."""
    dataset, run = request.one("datasetId"), request.one("runName")
    if not dataset or not run:
        raise Bad("datasetId and runName are required")
    rows = [
        {
            "id": f"run-item-{run}-{i['experimentItemId']}", "datasetRunId": i["experimentId"], "datasetRunName": run,
            "datasetItemId": i["experimentItemId"], "traceId": i["traceId"], "observationId": None,
            "createdAt": i["startTime"], "updatedAt": i["startTime"],
        }
        for i in double.content["experiment-items"]
        if i["experimentName"] == run and i["experimentDatasetId"] == dataset
    ]  # fmt: skip
    return paged(rows, request)


ROUTES = (
    Route("traces", "public-api-legacy", traces, "v3"),
    Route("traces/{id}", "public-api-legacy", trace, "v3"),
    Route("observations", "public-api-legacy", observations, "v3"),
    Route("v2/scores", "public-api", scores, "v3"),
    Route("sessions", "public-api-legacy", sessions, "v3"),
    Route("metrics/daily", "daily-metrics", daily, "v3"),
    Route("datasets/{name}/runs", "datasets", runs, "v3"),
    Route("dataset-run-items", "datasets", run_items, "v3"),
)
