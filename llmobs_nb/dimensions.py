"""What can be sliced by: canonical columns, metadata keys and tags, with how many values each has and how many spans it covers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from .columns import quote

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "feature", "tenant_id", "user_tier", "environment", "release", "app_version", "locale", "provider", "model_requested", "model",
    "prompt_name", "prompt_version", "system_prompt_hash", "retrieval_index_version", "tool_name", "kind", "name", "trace_name",
    "status", "error_class", "finish_reason", "response_cached", "source", "project",
)  # fmt: skip
# Copies of the environment and of the instrumentation, not of the product.
NOT_DIMENSIONS = re.compile(r"^(LANGSMITH|LANGCHAIN|LANGFUSE)_|^(resourceAttributes|scope|attributes)$|^ls_run_depth$")
MOST_VALUES = 1000
SAMPLE = 200_000


def find_dimensions(query: Callable[[str], pa.Table], *, extra: Mapping[str, str]) -> pd.DataFrame:
    """One row per dimension with two values or more and at most 1,000: name, kind, values, coverage_rate, top.

    From 400,000 spans on, a sample of whole traces with 200,000 spans or more is counted.
    """
    import pandas as pd

    total = query("SELECT count(*) AS n FROM spans")["n"][0].as_py()
    if (every := total // SAMPLE) > 1:
        among = f"(SELECT * FROM spans WHERE hash(trace_id) % {every} = 0)"
        total = query(f"SELECT count(*) AS n FROM {among}")["n"][0].as_py()
    else:
        among = "spans"
    rows = [*_of_columns(query, among, extra, total), *_of_metadata(query, among, total), *_of_tags(query, among, total)]
    frame = pd.DataFrame(rows, columns=["name", "kind", "values", "coverage_rate", "top"])
    kept = frame[(frame["values"] >= 2) & (frame["values"] <= MOST_VALUES)]
    return kept.sort_values(["kind", "coverage_rate", "name"], ascending=[True, False, True]).reset_index(drop=True)


def _of_columns(query, among: str, extra: Mapping[str, str], total: int):
    names = [*COLUMNS, *(n for n, t in extra.items() if t in ("text", "bool", "int"))]
    parts = ", ".join(
        f"{{'n': count({quote(c)}), 'd': approx_count_distinct({quote(c)}), 'top': approx_top_k({quote(c)}::VARCHAR, 3)}}"
        for c in names
    )
    found = query(f"SELECT [{parts}] AS d FROM {among}")["d"][0].as_py() or []
    for name, one in zip(names, found, strict=False):
        yield name, "column", one["d"], one["n"] / total if total else 0.0, _top(one["top"])


def _of_metadata(query, among: str, total: int):
    found = query(f"""SELECT e.key AS name, count(*) AS n, approx_count_distinct(e.value) AS d, approx_top_k(left(e.value, 60), 3) AS top
        FROM (SELECT unnest(map_entries(metadata)) AS e FROM {among}) GROUP BY 1""").to_pylist()
    for one in found:
        if not NOT_DIMENSIONS.search(one["name"]):
            yield one["name"], "metadata", one["d"], one["n"] / total, _top(one["top"])


def _of_tags(query, among: str, total: int):
    found = query(f"""SELECT count(*) FILTER (WHERE len(tags) > 0) AS n, (SELECT count(DISTINCT t) FROM (SELECT unnest(tags) AS t FROM {among})) AS d,
        approx_top_k(array_to_string(tags, ', '), 3) FILTER (WHERE len(tags) > 0) AS top FROM {among}""").to_pylist()[0]
    if found["n"]:
        yield "tags", "tag", found["d"], found["n"] / total, _top(found["top"])


def _top(values) -> str:
    return ", ".join(str(v) for v in values or () if v is not None)
