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


def find_dimensions(query: Callable[[str], pa.Table], *, extra: Mapping[str, str]) -> pd.DataFrame:
    """One row per dimension with two values or more and at most 1,000: name, kind, values, coverage_rate, top."""
    import pandas as pd

    total = query("SELECT count(*) AS n FROM spans")["n"][0].as_py()
    rows = [*_of_columns(query, extra, total), *_of_metadata(query, total), *_of_tags(query, total)]
    frame = pd.DataFrame(rows, columns=["name", "kind", "values", "coverage_rate", "top"])
    kept = frame[(frame["values"] >= 2) & (frame["values"] <= MOST_VALUES)]
    return kept.sort_values(["kind", "coverage_rate", "name"], ascending=[True, False, True]).reset_index(drop=True)


def _of_columns(query, extra: Mapping[str, str], total: int):
    names = [*COLUMNS, *(n for n, t in extra.items() if t in ("text", "bool", "int"))]
    parts = ", ".join(
        f"{{'n': count({quote(c)}), 'd': approx_count_distinct({quote(c)}), 'top': approx_top_k({quote(c)}::VARCHAR, 3)}}"
        for c in names
    )
    found = query(f"SELECT [{parts}] AS d FROM spans")["d"][0].as_py() or []
    for name, one in zip(names, found, strict=False):
        yield name, "column", one["d"], one["n"] / total if total else 0.0, _top(one["top"])


def _of_metadata(query, total: int):
    found = query("""SELECT e.key AS name, count(*) AS n, approx_count_distinct(e.value) AS d, approx_top_k(left(e.value, 60), 3) AS top
        FROM (SELECT unnest(map_entries(metadata)) AS e FROM spans) GROUP BY 1""").to_pylist()
    for one in found:
        if not NOT_DIMENSIONS.search(one["name"]):
            yield one["name"], "metadata", one["d"], one["n"] / total, _top(one["top"])


def _of_tags(query, total: int):
    found = query("""SELECT count(*) FILTER (WHERE len(tags) > 0) AS n, (SELECT count(DISTINCT t) FROM (SELECT unnest(tags) AS t FROM spans)) AS d,
        approx_top_k(array_to_string(tags, ', '), 3) FILTER (WHERE len(tags) > 0) AS top FROM spans""").to_pylist()[0]
    if found["n"]:
        yield "tags", "tag", found["d"], found["n"] / total, _top(found["top"])


def _top(values) -> str:
    return ", ".join(str(v) for v in values or () if v is not None)
