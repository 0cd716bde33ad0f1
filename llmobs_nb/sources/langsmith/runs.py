"""One LangSmith run, as it stands in any of its shapes, with what no path can say put beside it under ``_`` keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from .. import chat
from ..base import Bad
from . import usage

THREAD_KEYS = ("thread_id", "session_id", "conversation_id")
ENVIRONMENT = ("LANGSMITH_", "LANGCHAIN_")
HAVE_COLUMNS = {
    "usage_metadata", "ls_provider", "ls_model_name", "ls_temperature", "ls_max_tokens", "ls_stop", "ls_invocation_params",
    "user_id", "revision_id", "release", "environment", "env", "app_version",
}  # fmt: skip
_STEP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{6})Z(.+)", re.S)
_CLASS = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(?:\(|:|$)")


def lineage(dotted: Any) -> list[tuple[str, str]]:
    """(start time, run id) of the root down to the run, out of its ``dotted_order``; empty where that is none."""
    steps = [_STEP.fullmatch(s) for s in dotted.split(".")] if isinstance(dotted, str) else []
    if not steps or None in steps:
        return []
    return [(f"{y}-{mo}-{d}T{h}:{mi}:{s}.{us}Z", run) for y, mo, d, h, mi, s, us, run in (m.groups() for m in steps)]


def instant(value: Any) -> float | None:
    """A time as seconds since 1970: ISO text (naive is UTC) or an epoch in s, ms, us or ns; None for anything else."""
    found = chat.number(value)
    if found is not None:
        return next((found / scale for scale in (1, 1e3, 1e6, 1e9) if abs(found / scale) < 1e11), None)
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def identity(run: dict) -> dict | str:
    """``_span_id``, ``_trace_id``, ``_parent_id`` and, from ``dotted_order``, ``_start_time``; else why there are none."""
    path = lineage(run.get("dotted_order"))
    above = [p for p in map(chat.word, chat.sequence(run.get("parent_run_ids"))) if p]
    span = chat.word(run.get("id")) or (path[-1][1] if path else None)
    parent = chat.word(run.get("parent_run_id")) or (above[-1] if above else None) or (path[-2][1] if len(path) > 1 else None)
    trace = chat.word(run.get("trace_id")) or (path[0][1] if path else None) or (above[0] if above else None)
    if span is None:
        return "a run without id and dotted_order"
    if trace is None and (parent is not None or chat.word(run.get("is_root")) != "true"):
        if set(run) == {"id"}:
            return "only an id: the v2 API gives nothing else unless selects are named; pull again with selects"
        return "a run without trace_id and dotted_order; export these fields too"
    return {
        "_span_id": span,
        "_trace_id": trace or span,
        "_parent_id": parent if parent != span else None,
        "_start_time": path[-1][0] if path else None,
    }


def metadata(run: dict) -> dict:
    """The run's metadata: ``extra.metadata`` (v1, tracer, Parquet) under the top-level one (v2)."""
    return {**chat.mapping(chat.mapping(run.get("extra")).get("metadata")), **chat.mapping(run.get("metadata"))}


def enrich(run: dict, prompt: tuple[str | None, str | None]) -> dict | str:
    """The run with its ``_`` keys; text instead where it cannot be kept. ``prompt`` is the (name, version) it was sent with."""
    ids = identity(run)
    if isinstance(ids, str):
        return ids
    meta, inputs, outputs = metadata(run), chat.mapping(run.get("inputs")), chat.mapping(run.get("outputs"))
    named, outcome = hub_prompt(meta), _outcome(run, meta)
    own, failed = usage.own(run, meta, outputs), outcome["_status"] == "error"
    cost = usage.cost(run, own, failed=failed)
    return {
        **run,
        **ids,
        **outcome,
        **_texts(run, inputs, outputs),
        **_model(run, meta, inputs, outputs),
        **usage.tokens(run, own, failed=failed),
        **_retrieved(run, outputs),
        "_cost": cost,
        "_usage_flag": "negative" if cost is not None and cost < 0 else None,
        "_first_token_time": _first_token(run),
        "_trace_name": run.get("name") if ids["_parent_id"] is None else None,
        "_prompt_name": named[0] or prompt[0],
        "_prompt_version": named[1] or prompt[1],
        "_session_id": thread(run, meta),
        "_purpose": purpose(run, meta),
        "_metadata": user_metadata(run, meta),
        "_metadata_all": meta,
        "_tool_name": run.get("name") if usage.kind(run) == "tool" else None,
        "_project": chat.first(*(chat.word(run.get(k)) for k in ("project_id", "session_id", "session_name", "project_name"))),
        "_source_url": _url(run, meta),
    }


def hub_prompt(meta: dict) -> tuple[str | None, str | None]:
    """(name, commit) of the hub prompt that a run's own metadata name."""
    return chat.word(meta.get("lc_hub_repo")), chat.word(meta.get("lc_hub_commit_hash"))


def thread(run: dict, meta: dict) -> str | None:
    """The conversation: v2's ``thread_id``, else the first of the metadata keys that LangSmith groups threads by."""
    return chat.first(*(chat.word(v) for v in (run.get("thread_id"), *(meta.get(k) for k in THREAD_KEYS))))


def purpose(run: dict, meta: dict) -> str | None:
    """Why the run was made: an evaluator names the run it judges, a run of an experiment its example; None for the product."""
    if meta.get("reference_run_id"):
        return "judging"
    return "experiment" if run.get("reference_example_id") else None


def user_metadata(run: dict, meta: dict) -> dict | None:
    """What is left for slicing: no credentials, no environment variables of the SDK, nothing that has a column."""
    thread_id = thread(run, meta)
    kept = {
        k: v
        for k, v in meta.items()
        if v is not None
        and k not in HAVE_COLUMNS
        and not k.startswith(ENVIRONMENT)
        and not chat.is_secret(k)
        and not (k in THREAD_KEYS and chat.word(v) == thread_id)
    }
    kept.update({k: run[k] for k in ("reference_example_id", "reference_dataset_id") if run.get(k)})
    return kept or None


def _outcome(run: dict, meta: dict) -> dict:
    """Status and error. An interrupt that waits for a person (``ls_is_error_interrupt``) is no error."""
    text = chat.first(run.get("error"), run.get("error_preview"))
    text = text if isinstance(text, str) else chat.raw(text) if text else None
    word = (chat.word(run.get("status")) or "").lower()
    failed = text is not None or word == "error"
    if chat.word(meta.get("ls_is_error_interrupt")) == "true":
        failed = False
    named = _CLASS.match(text) if text and failed else None
    return {
        "_status": "error" if failed else "ok" if word == "success" or text else None,
        "_error_type": named.group(1).rpartition(".")[2] if named else None,
        "_error_message": text,
    }


def _texts(run: dict, inputs: dict, outputs: dict) -> dict:
    """Input, output and rendered system prompt: messages and answers of llm runs, whole bodies of others."""
    model = usage.kind(run) == "llm"
    return {
        "_input": (chat.asked(inputs) if inputs else None) if model else _only(inputs, "input", run.get("inputs")),
        "_output": (chat.answer(outputs) if model or _is_message(outputs) else None)
        or _only(outputs, "output", run.get("outputs")),
        "_system_prompt": chat.system_prompt(inputs) if model else None,
    }


def _is_message(outputs: dict) -> bool:
    """Whether a chain gave back the assistant's message as it was."""
    inner = outputs.get("output")
    return set(outputs) == {"output"} and isinstance(inner, dict) and inner.get("type") in ("ai", "AIMessageChunk")


def _only(body: dict, key: str, whole: Any) -> Any:
    """The value under ``key`` where the SDK put it there as the only one; else the body; None for an empty one."""
    if set(body) == {key}:
        return body[key]
    return body or (whole if isinstance(whole, str) and whole not in ("", "{}", "null") else None)


def _model(run: dict, meta: dict, inputs: dict, outputs: dict) -> dict:
    if usage.kind(run) not in usage.LEAVES:
        return {}
    notes, extra = chat.response_metadata(outputs), chat.mapping(run.get("extra"))
    asked_with = chat.mapping(extra.get("invocation_params"))
    listed = {k: meta.get(f"ls_{k}") for k in ("temperature", "max_tokens", "stop")}
    spots = (meta.get("ls_model_name"), asked_with.get("model"), asked_with.get("model_name"), inputs.get("model"))
    return {
        "_model_requested": chat.first(*map(chat.word, spots)),
        "_model": chat.answered_model(outputs, notes=notes),
        "_model_params": chat.params(asked_with, meta.get("ls_invocation_params"), listed, inputs),
        "_finish_reason": chat.finish_reason(outputs, notes=notes),
        "_provider_request_id": chat.provider_id(outputs, notes=notes),
    }


def _first_token(run: dict) -> Any:
    """When the first token came, from the run's events; the first_token_time column goes before it."""
    events = [e for e in chat.sequence(run.get("events")) if isinstance(e, dict) and e.get("name") == "new_token"]
    return next((e["time"] for e in events if instant(e.get("time")) is not None), None)


def _retrieved(run: dict, outputs: dict) -> dict:
    """Ids and scores of the documents that a retriever (or reranker) gave, best first as they stand."""
    if usage.kind(run) not in ("retriever", "reranker"):
        return {}
    found = chat.sequence(outputs.get("documents")) or chat.sequence(outputs.get("output")) or chat.sequence(run.get("outputs"))
    documents = [(d, chat.mapping(d.get("metadata"))) for d in found if isinstance(d, dict)]
    ids = [chat.word(chat.first(d.get("id"), *(m.get(k) for k in ("id", "doc_id", "source")))) for d, m in documents]
    scores = [chat.number(chat.first(*(x.get(k) for x in (m, d) for k in ("score", "relevance_score")))) for d, m in documents]
    return {
        "_retrieval_ids": ids if any(i is not None for i in ids) else None,
        "_retrieval_scores": scores if any(s is not None for s in scores) else None,
    }


def _url(run: dict, meta: dict) -> str | None:
    """The page of the run: ``app_path`` on the host of the endpoint that the SDK noted, else of the US cloud."""
    path = run.get("app_path")
    if not isinstance(path, str) or not path.startswith(("/o/", "https://", "http://")):
        return None
    return path if not path.startswith("/") else _host(meta.get("LANGSMITH_ENDPOINT")) + path


def _host(endpoint: Any) -> str:
    found = re.match(r"https?://[\w.:-]+", endpoint) if isinstance(endpoint, str) else None
    if found is None:
        return "https://smith.langchain.com"
    return re.sub(r"//(?:(\w+)\.)?api\.smith\.", lambda m: f"//{m[1]}.smith." if m[1] else "//smith.", found.group())


def bad(line: int, reason: str, run: Any) -> Bad:
    """A record for the quarantine."""
    return Bad(line, reason, chat.raw(run))
