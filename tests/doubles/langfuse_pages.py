"""The routes that page by a cursor: v2/observations, v3/scores, experiments, experiment-items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import orjson
import xxhash

from . import langfuse_scores as scores
from .http import Answer, Request
from .langfuse_data import Ordered
from .langfuse_filters import parsed, tests
from .langfuse_rows import COLUMNS, Row, parts
from .langfuse_wire import Bad, Route, decode, encode, iso, listed, ms, when, whole

ABSENT = "only available in a Langfuse v4 write mode. Learn more at: https://langfuse.com/docs/v4"
# A parameter that gives way to a condition on the same column.
COLUMN_OF = {"fromStartTime": "startTime", "toStartTime": "startTime"}
SCORE_GROUPS = {"core", "details", "subject", "annotation"}
SCORE_LISTS = (
    "id", "name", "source", "dataType", "environment", "configId", "queueId", "authorUserId", "traceId", "sessionId",
    "observationId", "experimentId",
)  # fmt: skip
SCORE_MENUS = {
    "source": ("API", "ANNOTATION", "EVAL"),
    "dataType": ("NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"),
}
SCORE_PARAMETERS = {*SCORE_LISTS, "limit", "cursor", "fields", "value", "valueMin", "valueMax", "fromTimestamp", "toTimestamp"}


def observations(double, request: Request) -> Answer:
    """v2/observations, of which each row remembers its JSON."""
    _v4(double, "The observations v2 API is")
    if request.one("parseIoAsJson") == "true":
        raise Bad("parseIoAsJson: parseIoAsJson=true is no longer supported on the v2 observations endpoint")
    limit = whole(request, "limit", 50, 0, 1000)
    told = decode(request.one("cursor"), "lastStartTimeTo", "lastTraceId", "lastId")
    below = told and (told["lastTime"], xxhash.xxh32_intdigest(told["lastTraceId"].encode()), told["lastId"], told.get("copy", 0))
    found = list(islice(_matching(double, request, below), limit + 1))
    page, cursor = found[:limit], None
    if len(found) > limit > 0:
        last = page[-1]
        copy = {"copy": last.copy} if double.data.duplicates else {}
        at = {"lastStartTimeTo": iso(last.span.start), "lastTraceId": last.span.trace_id, "lastId": last.span.id}
        cursor = encode(at | copy, url=False)
    return _cut(_bodies(page, request), _again(double, request, cursor), {})


def _bodies(page: list[Row], request: Request) -> list[bytes]:
    groups = {"core", *(listed(request, "fields") if request.one("fields") else ("basic",))}
    expand = frozenset(listed(request, "expandMetadata"))
    names = parts(groups, metadata="metadata_whole" if "io" in groups else "metadata")
    if "io" in groups or "metadata" not in groups or not expand:
        return [row.body(names) for row in page]
    return [orjson.dumps(row.object(names) | row.metadata(expand)) for row in page]


def _matching(double, request: Request, below: tuple | None) -> Iterable[Row]:
    told = parsed(request.one("filter"))
    if any(c.get("column") in ("input", "output") for c in told) and not any(
        c.get("column") in ("input", "output") and c.get("operator") in ("=", "matches") for c in told
    ):
        raise Bad("filter: input and output need at least one '=' or 'matches' condition")
    over = {c.get("column") for c in told}
    conditions = tests(told, COLUMNS) + _parameters(request, over)
    start, end = (_bound(request, n, over) for n in ("fromStartTime", "toStartTime"))
    wanted = set(listed(request, "traceId")) if "traceId" not in over else set()
    if wanted:
        few = Ordered(r for t in wanted for r in double.data.by_trace.get(t, ()))
        rows = few.down(below=below, start=start, end=end)
    else:
        rows = double.data.rows.down(below=below, start=start, end=end)
    return (r for r in rows if all(c(r) for c in conditions)) if conditions else rows


def _bound(request: Request, name: str, over: set) -> int | None:
    at = when(request.one(name), name)
    return None if at is None or COLUMN_OF.get(name) in over else ms(at)


def _parameters(request: Request, over: set) -> list[Callable[[Row], bool]]:
    """The plain parameters as tests of a row, but those whose column has a condition."""
    found = []
    for name in ("name", "userId", "sessionId", "type", "level", "version", "parentObservationId", "environment"):
        given = request.query.get(name)
        if given is None or name in over or (given == [""] and name != "parentObservationId"):
            continue
        wanted = {None if name == "parentObservationId" and v == "" else v for v in given}
        found.append(lambda row, get=COLUMNS[name], wanted=wanted: get(row) in wanted)
    root = request.one("isRootObservation")
    if root and "isRootObservation" not in over:
        if root not in ("true", "false"):
            raise Bad("isRootObservation: Invalid option: expected one of 'true'|'false'")
        found.append(lambda row: (row.span.parent_id is None) == (root == "true"))
    return found


def all_scores(double, request: Request) -> Answer:
    """v3/scores. A dropped row is missing from its page, the cursor goes on as if it were there."""
    _v4(double, "The scores v3 API is")
    if unknown := sorted(set(request.query) - SCORE_PARAMETERS):
        raise Bad(f"Unrecognized keys: {', '.join(unknown)}")
    limit = whole(request, "limit", 50, 1, 100)
    groups = set(listed(request, "fields"))
    if unknown := sorted(groups - SCORE_GROUPS):
        raise Bad(f"Unknown field group: {', '.join(unknown)}. Allowed: core, details, subject, annotation")
    conditions = _score_conditions(request)
    told = decode(request.one("cursor"), "lastTimestamp", "lastId")
    start, end = (when(request.one(n), n) for n in ("fromTimestamp", "toTimestamp"))
    rows = double.data.scores.down(
        below=told and (told["lastTime"], told["lastId"]), start=start and ms(start), end=end and ms(end)
    )
    found = list(islice((s for s in rows if all(c(s) for c in conditions)), limit + 1))
    page, cursor = found[:limit], None
    if len(found) > limit:
        cursor = encode({"v": 1, "lastTimestamp": iso(page[-1].at), "lastId": page[-1].id}, url=True)
    kept = (s for s in page if not double.drops(s))
    return _cut([orjson.dumps(scores.v3(s, groups)) for s in kept], _again(double, request, cursor), {"limit": limit})


def _score_conditions(request: Request) -> list[Callable[[scores.Score], bool]]:
    asked = {name: listed(request, name) for name in SCORE_LISTS if listed(request, name)}
    for name, menu in SCORE_MENUS.items():
        asked |= {name: [v.upper() for v in asked[name]]} if name in asked else {}
        if wrong := [v for v in asked.get(name, ()) if v not in menu]:
            raise Bad(f'Invalid {name} value: "{wrong[0]}". Allowed: {", ".join(menu)}')
    if "observationId" in asked and "traceId" not in asked:
        raise Bad("observationId requires traceId")
    if len({"traceId", "sessionId", "experimentId"} & set(asked)) > 1:
        raise Bad("traceId, sessionId and experimentId are mutually exclusive")
    found = [lambda s, get=scores.COLUMNS[n], v=set(v): get(s) in v for n, v in asked.items()]
    return found + _value_conditions(request, asked.get("dataType", []))


def _value_conditions(request: Request, kinds: list[str]) -> list[Callable[[scores.Score], bool]]:
    exact, least, most = listed(request, "value"), request.one("valueMin"), request.one("valueMax")
    if exact and (len(kinds) != 1 or kinds[0] not in ("NUMERIC", "BOOLEAN", "CATEGORICAL")):
        raise Bad("value requires a single dataType from NUMERIC, BOOLEAN, CATEGORICAL")
    if (least or most) and kinds != ["NUMERIC"]:
        raise Bad("valueMin and valueMax require dataType=NUMERIC")
    wanted = {_value(v, kinds[0]) for v in exact}
    return (
        ([lambda s: s.value in wanted] if exact else [])
        + ([lambda s: s.value >= _value(least, "NUMERIC")] if least else [])
        + ([lambda s: s.value <= _value(most, "NUMERIC")] if most else [])
    )


def _value(text: str, kind: str) -> float | bool | str:
    if kind == "CATEGORICAL":
        return text
    try:
        return {"true": True, "false": False}[text] if kind == "BOOLEAN" else float(text)
    except (KeyError, ValueError):
        raise Bad(f"value {text!r} is no {kind}") from None


def experiments(double, request: Request) -> Answer:
    """experiments: the runs of a dataset, latest first."""
    _v4(double, "The experiments API is")
    groups = _groups(request, ("core", "metadata", "scores"), ("core",))
    rows = [r for r in _since(double.content["experiments"], request) if _asked(r, request, ("id", "name", "datasetId"))]
    return _small(double, request, [{k: v for k, v in r.items() if k not in ("metadata", "scores") or k in groups} for r in rows])


ITEM_GROUPS = {
    "experimentDatasetId": "dataset", "experimentItemVersion": "dataset", "input": "io", "output": "io", "expectedOutput": "io",
    "metadata": "metadata", "experimentItemMetadata": "itemMetadata", "experimentMetadata": "experimentMetadata",
    "experimentDescription": "experimentMetadata", "scores": "scores",
}  # fmt: skip


def experiment_items(double, request: Request) -> Answer:
    """experiment-items: what each run made of each item, latest first."""
    _v4(double, "The experiment items API is")
    groups = _groups(request, ("core", *dict.fromkeys(ITEM_GROUPS.values())), ("core", "dataset"))
    names = ("experimentId", "experimentName", "experimentItemId")
    datasets = set(listed(request, "datasetId"))
    rows = [
        r
        for r in _since(double.content["experiment-items"], request)
        if _asked(r, request, names) and (not datasets or r["experimentDatasetId"] in datasets)
    ]
    return _small(double, request, [{k: v for k, v in r.items() if ITEM_GROUPS.get(k, "core") in groups} for r in rows])


def _groups(request: Request, known: tuple[str, ...], default: tuple[str, ...]) -> set[str]:
    told = set(listed(request, "fields"))
    if unknown := sorted(told - set(known)):
        raise Bad(f"fields: Invalid option {', '.join(unknown)}; expected one of {', '.join(known)}")
    return {"core", *(told or default)}


def _since(rows: list[dict], request: Request) -> list[dict]:
    start, end = (when(request.one(n), n) for n in ("fromStartTime", "toStartTime"))
    if start is None:
        raise Bad("fromStartTime: Invalid input: expected string, received undefined")
    low, high = iso(start), iso(end) if end else "9999"
    return sorted((r for r in rows if low <= r["startTime"] < high), key=lambda r: (r["startTime"], r["id"]), reverse=True)


def _asked(row: dict, request: Request, names: tuple[str, ...]) -> bool:
    return all(row[n] in listed(request, n) for n in names if listed(request, n))


def _small(double, request: Request, rows: list[dict]) -> Answer:
    limit = whole(request, "limit", 50, 1, 100)
    whole(request, "scoreLimit", 50, 1, 50)
    told = decode(request.one("cursor"), "lastStartTimeTo", "lastId")
    if told:
        rows = [r for r in rows if (r["startTime"], r["id"]) < (told["lastStartTimeTo"], told["lastId"])]
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = encode({"v": 1, "lastStartTimeTo": last["startTime"], "lastTraceId": "", "lastId": last["id"]}, url=True)
    return _cut([orjson.dumps(r) for r in rows[:limit]], _again(double, request, cursor), {})


def _v4(double, what: str) -> None:
    if double.server != "v4":
        raise Bad(f"{what} {ABSENT}", 404)


def _again(double, request: Request, cursor: str | None) -> str | None:
    """The cursor to answer; where cursors repeat, the one that came."""
    return (double.repeat_cursor and request.one("cursor")) or cursor


def _cut(bodies: list[bytes], cursor: str | None, meta: dict) -> Answer:
    told = orjson.dumps(meta | ({"cursor": cursor} if cursor else {}))
    return Answer(body=b'{"data":[' + b",".join(bodies) + b'],"meta":' + told + b"}")


ROUTES = (
    Route("v2/observations", "public-api", observations),
    Route("v3/scores", "public-api", all_scores),
    Route("experiments", "public-api", experiments),
    Route("experiment-items", "public-api", experiment_items),
)
