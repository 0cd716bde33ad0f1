"""One MLflow trace and its spans, whatever version wrote them."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import chat
from ..otel.attributes import safe_value, span_data
from ..otel.messages import as_text, system_of
from ..otel.spans import Span, child, events, ids, list_of, object_of, status_of
from ..otel.values import hex_id, moment, number, opened, text_of
from ..reading import embedded
from . import columns

_LITERALS = {"true": True, "false": False, "null": None}
_INFO_KEYS = ("trace_metadata", "request_metadata", "state", "execution_duration", "request_time", "timestamp_ms")


class Trace(NamedTuple):
    """A trace: what it says of itself, its tags and metadata in one, its spans as they stand, its assessments."""

    trace_id: str | None
    info: dict
    about: dict
    spans: list
    assessments: list
    record: dict


def trace_of(record: dict) -> Trace:
    """The parts of a trace out of its JSON, a REST answer or a row of a search result."""
    inner = opened(record.get("trace"))
    if isinstance(inner, dict) and (found := info_of(inner)) is not None:
        return _trace(found, inner, record)
    return _trace(info_of(record) or record, record, record)


def info_of(record: dict) -> dict | None:
    """The ``info`` of a trace; None where it has none."""
    info = opened(child(record, "info", "trace_info"))
    return info if isinstance(info, dict) else None


def _trace(info: dict, holder: dict, record: dict) -> Trace:
    data = object_of(opened(holder.get("data")))
    spans = list_of(opened(data.get("spans"))) or list_of(opened(holder.get("spans")))
    assessments = list_of(opened(info.get("assessments"))) or list_of(opened(holder.get("assessments")))
    return Trace(text_of(child(info, "trace_id", "request_id")), info, _about(info), spans, assessments, record)


def _about(info: dict) -> dict[str, Any]:
    """Tags and metadata of a trace in one; they may be JSON text or lists of ``{key, value}``."""
    parts = (_pairs(opened(info.get(k))) for k in ("request_metadata", "trace_metadata", "tags"))
    return {k: v for part in parts for k, v in part.items() if v is not None}


def _pairs(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    return {p["key"]: p.get("value") for p in list_of(given) if isinstance(p, dict) and isinstance(p.get("key"), str)}


def project_of(info: dict) -> str | None:
    """The experiment, which is MLflow's project."""
    location = object_of(object_of(info.get("trace_location")).get("mlflow_experiment"))
    return text_of(location.get("experiment_id")) or text_of(info.get("experiment_id"))


def decoded(attributes: Any) -> dict[str, Any]:
    """A span's attributes, each of which MLflow stores as JSON text; a value that is none stays as it is."""
    return {k: d for k, v in _pairs(attributes).items() if (d := _decoded(v)) is not None}


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value in _LITERALS:
        return _LITERALS[value]
    if value[:1] == '"':
        return embedded(value, value)
    return opened(value, value)


def as_span(record: dict, trace: Trace) -> Span:
    """A span of a trace; its trace id is the trace's own (``tr-…``), its other ids are hex."""
    context = object_of(record.get("context"))
    attributes = decoded(record.get("attributes"))
    trace_id, span_id = ids(
        context.get("trace_id") or record.get("trace_id"), context.get("span_id") or record.get("span_id"), record
    )
    status = object_of(record.get("status"))
    return Span(
        trace.trace_id or text_of(attributes.get("mlflow.traceRequestId")) or trace_id,
        span_id,
        hex_id(child(record, "parent_span_id", "parent_id")),
        text_of(record.get("name")),
        moment(child(record, "start_time_unix_nano", "start_time_ns", "start_time")),
        moment(child(record, "end_time_unix_nano", "end_time_ns", "end_time")),
        status_of(child(status, "code", "status_code") or record.get("status_code")),
        text_of(child(status, "message", "description")) or text_of(record.get("status_message")),
        attributes,
        events(record.get("events")),
        {},
        {},
    )


def span_record(span: Span, trace: Trace) -> dict[str, Any]:
    """The record of one span, which ``columns.SPAN`` reads."""
    own = {k: v for k, v in span.attributes.items() if k in columns.OWN}
    data = span_data(span._replace(attributes={k: v for k, v in span.attributes.items() if k not in columns.OWN}))
    sent, came = own.get(columns.INPUTS), own.get(columns.OUTPUTS)
    kind = columns.KINDS.get(str(own.get(columns.KIND, "")).lower(), data["kind"])
    ids_, scores = _documents(came) if kind == "retriever" else (None, None)
    return {
        **data,
        "kind": "llm" if columns.KIND not in own and columns.USAGE in own else kind,
        "input": data["input"] if sent is None else as_text(sent),
        "output": data["output"] if came is None else as_text(came),
        "system_prompt": data["system_prompt"] or system_of(sent),
        "finish_reason": data["finish_reason"] or chat.finish_reason(came),
        "model_params": data["model_params"] or chat.params(sent),
        "request_model": text_of(object_of(sent).get("model")) if kind in ("llm", "embedding") else None,
        "response_model": chat.answered_model(came) if kind in ("llm", "embedding") else None,
        "cost": _cost(own.get(columns.COST)),
        "prompt": _only(own.get(columns.PROMPTS)) or _only(opened(trace.about.get(columns.PROMPTS))),
        "mlflow_tool": (text_of(own.get("mlflow.spanFunctionName")) or span.name) if kind == "tool" else None,
        "retrieval_ids": data["retrieval_ids"] or ids_,
        "retrieval_scores": data["retrieval_scores"] or scores,
        "attributes": {**data["attributes"], **{k: v for k, v in own.items() if k not in (columns.INPUTS, columns.OUTPUTS)}},
        "trace": trace.about,
        "project": project_of(trace.info),
        "client_request_id": text_of(trace.info.get("client_request_id")),
        "metadata": {**trace_metadata(trace), **data["metadata"]},
    }


def trace_metadata(trace: Trace) -> dict[str, Any]:
    """The trace's tags and metadata that are dimensions; linked prompts stay where they are several."""
    found = {k: v for k, v in trace.about.items() if k not in columns.BOOKKEEPING}
    prompts = opened(trace.about.get(columns.PROMPTS))
    if prompts and _only(prompts) is None:
        found[columns.PROMPTS] = prompts
    return {k: safe_value(k, v) for k, v in found.items()}


def _only(prompts: Any) -> dict | None:
    """The linked prompt where there is exactly one: of several nobody knows which one a call used."""
    return prompts[0] if isinstance(prompts, list) and len(prompts) == 1 and isinstance(prompts[0], dict) else None


def _cost(given: Any) -> float | None:
    """Cost of input and output where MLflow gives no total."""
    parts = [n for n in (number(object_of(given).get(k)) for k in ("input_cost", "output_cost")) if n is not None]
    return sum(parts) if parts else None


def _documents(came: Any) -> tuple[list | None, list | None]:
    documents = [d for d in list_of(came) if isinstance(d, dict)]
    about = [object_of(d.get("metadata")) for d in documents]
    found = [
        text_of(d.get("id")) or text_of(child(m, "id", "doc_uri", "chunk_id", "source"))
        for d, m in zip(documents, about, strict=True)
    ]
    scores = [
        number(child(d, "score") if "score" in d else child(m, "score", "similarity_score"))
        for d, m in zip(documents, about, strict=True)
    ]
    return found if any(found) else None, scores if any(s is not None for s in scores) else None


def with_trace_sums(spans: list[Span], trace: Trace) -> list[Span]:
    """The spans, the trace's own token usage and cost put on its root where no span has any."""
    for own, sums in ((columns.USAGE, columns.TRACE_USAGE), (columns.COST, columns.TRACE_COST)):
        told = opened(trace.about.get(sums))
        at = next((n for n, s in enumerate(spans) if s.parent_id is None), None)
        if at is not None and isinstance(told, dict) and not any(_counts(s, own) for s in spans):
            spans = [*spans]
            spans[at] = spans[at]._replace(attributes={**spans[at].attributes, own: told})
    return spans


def _counts(span: Span, key: str) -> bool:
    known = ("llm.token_count.", "gen_ai.usage.") if key == columns.USAGE else ("llm.cost.", "gen_ai.usage.cost")
    return isinstance(span.attributes.get(key), dict) or any(k.startswith(known) for k in span.attributes)


def with_trace_state(spans: list[Span], trace: Trace) -> list[Span]:
    """The spans, the root's status taken from the trace where the root has none."""
    state = status_of(child(trace.info, "state", "status"))
    return [s._replace(status=state) if s.parent_id is None and s.status is None else s for s in spans]


def is_info(record: dict) -> bool:
    """Whether a record is a trace's ``info``, or a row of a search result, which holds the same fields."""
    has_id = "trace_id" in record or "request_id" in record
    return has_id and sum(k in record for k in _INFO_KEYS) >= 2
