"""Statistics of the LangSmith double: POST /runs/stats, and the figures of a project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .http import Request
from .langsmith_feedback import feedback_stats
from .langsmith_query import Refusal, body_of, match_v1, projects_v1, window_v1
from .langsmith_rows import Run, Usage, naive
from .langsmith_store import Store


def run_stats(double, request: Request) -> dict:
    """POST /runs/stats: one row of figures, or one per group.

    Every matching run counts with what API v1 shows of it, so a parent counts the usage of its subtree once more: ask for
    roots or for llm runs. Amounts are numbers; an old server (``clickhouse``) writes them as text.
    """
    body, store = body_of(request), double.store
    window, match = window_v1(body), match_v1(store, body)
    found = [r for _, r in match(store.walk(projects_v1(store, body), window.since, window.until))]
    text = double.backend == "clickhouse"
    if not body.get("group_by"):
        return figures(store, found, text=text)
    groups: dict[str, list[Run]] = {}
    for run in found:
        for name in _groups(body["group_by"], run):
            groups.setdefault(name, []).append(run)
    largest = sorted(groups, key=lambda name: -len(groups[name]))[: body["group_by"].get("max_groups") or 5]
    return {name: figures(store, groups[name], text=text) for name in largest}


def _groups(by: dict, run: Run) -> Iterable[str]:
    """The groups that a run belongs to. Raises Refusal for what cannot be grouped by."""
    attribute = by.get("attribute")
    if attribute == "metadata" and by.get("path"):
        return [str(run.metadata[by["path"]])] if by["path"] in run.metadata else []
    if attribute not in ("name", "run_type", "tag"):
        raise Refusal(400, f"group_by.attribute must be one of name, run_type, tag, metadata (with path), got {attribute!r}")
    return {"name": [run.name], "run_type": [run.kind], "tag": run.trace.tags}[attribute]


def figures(store: Store, runs: Sequence[Run], *, text: bool = True) -> dict:
    """Counts, times in seconds, tokens, USD and feedback of some runs, as /runs/stats and a project show them."""
    used = sum((r.tree for r in runs), Usage())
    latencies = [r.seconds for r in runs if r.seconds is not None]
    first = [(r.tree_first_token - r.span.start).total_seconds() for r in runs if r.tree_first_token]
    tokens = [r.tree.total for r in runs]
    write = (lambda usd: format(usd, ".12f")) if text else float
    last = max((r.span.start for r in runs), default=None)
    return {
        "run_count": len(runs),
        "latency_p50": _quantile(latencies, 0.5),
        "latency_p99": _quantile(latencies, 0.99),
        "first_token_p50": _quantile(first, 0.5),
        "first_token_p99": _quantile(first, 0.99),
        "total_tokens": used.total,
        "prompt_tokens": used.tokens_in,
        "completion_tokens": used.tokens_out,
        "median_tokens": _quantile(tokens, 0.5),
        "total_cost": write(used.cost),
        "prompt_cost": write(used.cost - used.cost_out),
        "completion_cost": write(used.cost_out),
        "error_rate": sum(r.status == "error" for r in runs) / len(runs) if runs else None,
        "streaming_rate": len(first) / len(runs) if runs else None,
        "last_run_start_time": naive(last),
        "feedback_stats": feedback_stats([f for r in runs for f in store.judged.get(r.id, ())]),
        "run_facets": [],
    }


def _quantile(numbers: Sequence[float], share: float) -> float | None:
    ordered = sorted(numbers)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
