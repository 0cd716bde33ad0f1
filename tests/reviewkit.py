"""For tests of reviewing: a small store of traces to read, some of them hostile, and a page that speaks to the widget as a notebook does."""

import datetime as dt
import json

import pandas as pd
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.review import review_queue

DAY = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\x1b[31m\u202eevil sk-lf-abcdefgh12345678"
TOPICS = ("refund of an order paid by card", "password reset link that never arrives", "invoice with the wrong tax number")


def trace(n: int, **root):
    """One trace: root, retriever, model call, their texts, a judge's score."""
    name, at, topic = f"t{n:03d}", DAY + dt.timedelta(minutes=n), TOPICS[n % 3]
    base = {"trace_id": name, "source": "langfuse", "project": "shop", "start_time": at, "end_time": at + dt.timedelta(seconds=2)}
    root = {
        "feature": ("search", "support")[n % 2],
        "session_id": f"s{n // 2}",
        "source_url": f"https://shop.example/{name}",
    } | root
    call = {"parent_id": f"{name}/r", "model": "m-1", "prompt_name": "answer", "prompt_version": "v12", "cost_usd": 0.01}
    found = {
        "parent_id": f"{name}/r",
        "kind": "retriever",
        "retrieval_ids": [f"doc-{n}", "doc-x"],
        "retrieval_scores": [0.9, 0.4],
    }
    spans = [
        storekit.span(f"{name}/r", **(base | {"kind": "chain", "latency_ms": 2000.0} | root)),
        storekit.span(f"{name}/d", **(base | {k: root[k] for k in ("feature", "session_id")} | found)),
        storekit.span(f"{name}/c", **(base | {k: root[k] for k in ("feature", "session_id")} | call)),
    ]
    texts = {
        "r": {"input": f"How about the {topic}? ({n})", "output": f"For the {topic} see page {n}."},
        "d": {"output": json.dumps([{"page_content": f"Page {n}: {topic}."}, {"text": HOSTILE}])},
        "c": {"system_prompt": "You answer customers."},
    }
    ids = {k: base[k] for k in ("trace_id", "source", "project")}
    payloads = [ids | {"span_id": f"{name}/{k}", "updated_at": at, "day": at.date()} | v for k, v in texts.items()]
    given = {"trace_id": name, "name": "helpful", "value": (n % 10) / 10, "rater": "judge", "comment": HOSTILE, "created_at": at}
    return {"spans": spans, "payloads": payloads, "scores": [storekit.score(f"{name}/h", **given)]}


def store(root, count: int = 12, **more) -> str:
    """A store of so many traces, t000 and on."""
    made = [trace(n) for n in range(count)]
    tables = {name: [row for one in made for row in one[name]] for name in ("spans", "payloads", "scores")}
    storekit.put(root, **tables, **more)
    return str(root)


def names(count: int) -> list[str]:
    return [f"t{n:03d}" for n in range(count)]


def queue(root, *, reviewer: str = "ana", count: int = 6, **more):
    """A queue of the first traces of a store."""
    given = {} if "plan" in more or "low" in more else {"traces": names(count)}
    return review_queue(lm.open(root, threads=1), reviewer=reviewer, **given, **more)


def plan(probs: dict[str, float], stratum: str = "all") -> pd.DataFrame:
    """A sampling plan as a table."""
    return pd.DataFrame([{"trace_id": t, "stratum": stratum, "inclusion_prob": p} for t, p in probs.items()])
