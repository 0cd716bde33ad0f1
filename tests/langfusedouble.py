"""For tests of the Langfuse double: requests to it, its pages to the end, small traffic, and the vendor's SDK on it."""

import base64
import json
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx
from doubles.http import Answer, Request, serving
from doubles.langfuse import LangfuseDouble
from doubles.traffic import START, ScoreT, SpanT, TraceT, Traffic
from langfuse.api import LangfuseAPI

KEY = {"authorization": "Basic " + base64.b64encode(b"pk-lf-test:sk-lf-test").decode()}
ALL = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"


def ask(double: LangfuseDouble, route: str, key=KEY, **query) -> Answer:
    told = {k: v if isinstance(v, list) else [str(v)] for k, v in query.items()}
    return double.handle(Request("GET", f"/api/public/{route}", told, key))


def get(double: LangfuseDouble, route: str, **query) -> dict:
    answer = ask(double, route, **query)
    assert answer.status == 200, answer.content
    return json.loads(answer.content)


def rows(double: LangfuseDouble, route: str = "v2/observations", **query) -> list[dict]:
    """All pages of a route that pages by a cursor."""
    out, cursor = [], {}
    while True:
        page = get(double, route, **query, **cursor)
        out += page["data"]
        if "cursor" not in page["meta"]:
            return out
        cursor = {"cursor": page["meta"]["cursor"]}


def refused(double: LangfuseDouble, route: str, **query) -> str:
    answer = ask(double, route, **query)
    assert answer.status == 400
    return json.loads(answer.content)["message"]


@contextmanager
def sdk(double: LangfuseDouble):
    with serving(double) as url, httpx.Client(timeout=10) as http:
        yield LangfuseAPI(base_url=url, username="pk-lf-test", password="sk-lf-test", httpx_client=http)


def span(id: str, start: datetime = START, *, trace: str = "t1", **told) -> SpanT:
    return SpanT(**{"id": id, "trace_id": trace, "parent_id": None, "kind": "llm", "name": "answer", "start": start,
                    "end": start + timedelta(seconds=1)} | told)  # fmt: skip


def one(*spans: SpanT, scores: tuple[ScoreT, ...] = (), **told) -> Traffic:
    """The traffic of one trace."""
    return Traffic([trace(*spans, scores=scores, **told)])


def trace(*spans: SpanT, scores: tuple[ScoreT, ...] = (), **told) -> TraceT:
    plain = {"name": "chat", "user_id": "u", "session_id": "s", "environment": "production", "release": "1", "tags": ("a",)}
    return TraceT(**plain | {"id": spans[0].trace_id, "metadata": {}, "spans": spans, "scores": scores} | told)


def tied(count: int = 23) -> Traffic:
    """Traces that all start at the same moment."""
    return Traffic([trace(span(f"s{n}", trace=f"t{n}")) for n in range(count)])


def by_day(double: LangfuseDouble, view: str, *metrics: tuple[str, str], start=START, days: int = 8, **more) -> list[dict]:
    query = {
        "view": view, "timeDimension": {"granularity": "day"}, "fromTimestamp": start.isoformat(),
        "toTimestamp": (start + timedelta(days=days)).isoformat(),
        "metrics": [{"aggregation": a, "measure": m} for a, m in (*metrics, ("count", "count"))],
    } | more  # fmt: skip
    return get(double, "v2/metrics", query=json.dumps(query))["data"]
