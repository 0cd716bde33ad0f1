"""What a span's cost was spent on, as SQL: one line of the ledger each, so that the lines add up to the total.

Only leaves carry cost: a parent that repeats the usage of its calls lost it when it was stored.
"""

from __future__ import annotations

from ...columns import literal
from ...prices.marks import CALL

MODEL = "coalesce(model, model_requested)"
# In this order: the first that holds is the line. ``judging`` and ``experiment`` are not the product's own traffic.
LINES = {
    "judging": "purpose = 'judging'",
    "experiment": "purpose = 'experiment'",
    "platform": "purpose = 'platform'",
    "failed": f"{CALL} AND status = 'error'",
    "retry": f"{CALL} AND attempt > 1",
    "embedding": "kind = 'embedding'",
    "reranking": "kind = 'reranker'",
    "answering": CALL,
    "other": "true",
}
LINE = "CASE " + " ".join(f"WHEN {when} THEN {literal(name)}" for name, when in LINES.items()) + " END"
TOLD = {
    "answering": "model calls that worked at the first try",
    "embedding": "embeddings",
    "reranking": "rerankers",
    "retry": "model calls made again for the same request",
    "failed": "model calls that ended in an error",
    "judging": "judges and other evaluators",
    "experiment": "experiments and evaluation runs",
    "platform": "traffic of the platform itself",
    "other": "spans that are no model call and carry a cost",
}
