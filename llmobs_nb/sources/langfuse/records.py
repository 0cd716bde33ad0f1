"""What Langfuse records say in ways no path can tell, put where the columns look for it."""

from __future__ import annotations

from ..reading import embedded

_SUBJECTS = {
    "trace": "_trace", "observation": "_observation", "session": "_session", "experiment": "_experiment", "prompt": "_prompt",
}  # fmt: skip
# Kept beside the score: which judge run gave it, and by which config or queue it was asked for.
_KEPT = {
    "executionTraceId": "execution_trace_id",
    "execution_trace_id": "execution_trace_id",
    "configId": "config_id",
    "config_id": "config_id",
    "queueId": "queue_id",
    "queue_id": "queue_id",
    "environment": "environment",
}
_TEXTS = ("stringValue", "string_value", "longStringValue", "long_string_value")


def score(row: dict) -> dict:
    """A score with its value, label and target; the number of a category is its place in the config, not a value."""
    kind = str(row.get("dataType") or row.get("data_type") or "NUMERIC").upper()
    value, text = row.get("value"), _text(row)
    out = row | _subject(row)
    extra = _metadata(row)
    if kind in ("CATEGORICAL", "TEXT"):
        label = text if text is not None else value if isinstance(value, str) else None
        place = value if value not in (None, "", label) else None
        out |= {"_label": label, "_value": None if label is not None else place}
        if kind == "CATEGORICAL" and label is not None and place is not None:
            extra["category_index"] = place
    else:
        out["_value"] = value if value not in (None, "") else text
    run = row.get("datasetRunId") or row.get("dataset_run_id") or out.get("_experiment")
    return out | {"_metadata": extra | ({"experiment_id": run} if run else {}), "_rater": _pushed_by(row, extra)}


def _pushed_by(row: dict, extra: dict) -> str | None:
    """Who judged, of a label that we pushed: such come back as the API's."""
    return extra.get("rater") if str(row.get("source")).upper() == "API" else None


def correction(row: dict) -> dict:
    """A correction with the right answer and its target; its ``value`` is 0 where the text stands apart."""
    text, value = _text(row), row.get("value")
    return row | _subject(row) | {"_expected": text if text is not None else value if isinstance(value, str) else None}


def about(row: dict) -> dict:
    """A comment or queue item with the id of its object under the name of what it is."""
    key = _SUBJECTS.get(str(row.get("objectType")).lower())
    return row | ({key: row.get("objectId")} if key else {})


def price(row: dict) -> dict:
    """A model with all its prices in one place."""
    told = {ours: row[theirs] for theirs, ours in (("prices", "prices"), ("pricingTiers", "tiers")) if row.get(theirs)}
    return row | {"_prices": told or None}


def _text(row: dict) -> str | None:
    return next((v for v in (row.get(n) for n in _TEXTS) if isinstance(v, str) and v), None)


def _metadata(row: dict) -> dict:
    told = embedded(row.get("metadata"))
    kept = {ours: row[theirs] for theirs, ours in _KEPT.items() if row.get(theirs) not in (None, "")}
    return kept | (told if isinstance(told, dict) else {})


def _subject(row: dict) -> dict:
    """The target of a v3 score, which stands in ``subject``."""
    subject = embedded(row.get("subject"))
    if not isinstance(subject, dict):
        return {}
    key = _SUBJECTS.get(str(subject.get("kind")).lower())
    return ({key: subject.get("id")} if key else {}) | ({"_trace": subject["traceId"]} if subject.get("traceId") else {})
