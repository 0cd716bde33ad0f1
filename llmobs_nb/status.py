"""What a store holds, how complete it is and what is wrong with it: the same numbers for terminal, notebook and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from . import completeness, html, units
from .columns import literal
from .prices import marks
from .schema import PURPOSES, TABLES
from .text import terminal

COVERED = (
    "parent_id", "end_time", "latency_ms", "ttft_ms", "model", "provider", "prompt_version", "system_prompt_hash", "tokens_in", "tokens_out",
    "cost_usd", "feature", "tenant_id", "user_id", "user_tier", "session_id", "environment", "release", "retrieval_ids", "finish_reason",
)  # fmt: skip
_COUNTS = {
    "spans": "count(*)",
    "traces": "count(DISTINCT (source, project, trace_id))",
    "open_spans": "count(*) FILTER (WHERE end_time IS NULL AND latency_ms IS NULL AND kind <> 'event')",
    "no_start": "count(*) FILTER (WHERE start_time IS NULL)",
    "reversed": "count(*) FILTER (WHERE end_time < start_time)",
    "model_calls": f"count(*) FILTER (WHERE {marks.CALL})",
    "unpriced": f"count(*) FILTER (WHERE {marks.UNPRICED})",
    "no_usage": f"count(*) FILTER (WHERE {marks.CALL} AND coalesce(tokens_in, tokens_out, cost_usd) IS NULL)",
    "silent_zero": f"count(*) FILTER (WHERE {marks.SILENT_ZERO})",
    "negative_cost": f"count(*) FILTER (WHERE {marks.NEGATIVE})",
    "gap_spans": f"count(*) FILTER (WHERE {marks.APART})",
    "gap_recorded": f"sum(cost_recorded_usd) FILTER (WHERE {marks.APART})",
    "gap_list": f"sum(cost_list_usd) FILTER (WHERE {marks.APART})",
    "total_mismatch": f"count(*) FILTER (WHERE {marks.flagged('total_mismatch')})",
    "cache_exceeds_input": f"count(*) FILTER (WHERE {marks.flagged('cache_exceeds_input')})",
    "cache_counted_twice": f"count(*) FILTER (WHERE {marks.flagged('cache_counted_twice')})",
    "negative_tokens": f"count(*) FILTER (WHERE {marks.flagged('negative')})",
    "rollups": f"count(*) FILTER (WHERE {marks.REPEATED})",
    **{purpose: f"count(*) FILTER (WHERE purpose = {literal(purpose)})" for purpose in PURPOSES},
    "judging_usd": "sum(cost_usd) FILTER (WHERE purpose = 'judging')",
    "recorded_usd": "sum(cost_recorded_usd)",
    "list_usd": "sum(cost_list_usd)",
    "used_usd": "sum(cost_usd)",
}


def describe(query: Callable[[str], pa.Table], window: tuple[datetime, datetime] | None, *, log: Sequence[dict] = ()) -> dict:
    """The status of a store as one JSON-able dict, in the shape of ``llmobs status --json``."""
    numbers = _numbers(query)
    tables = {
        name: query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py() for name in TABLES if name not in ("spans", "payloads")
    }
    sources = query("SELECT source, count(*) AS n FROM spans GROUP BY 1 ORDER BY 2 DESC").to_pylist()
    sources = sources or query("SELECT source, count(*) AS n FROM scores GROUP BY 1 ORDER BY 2 DESC").to_pylist()
    sources = {r["source"]: r["n"] for r in sources}
    compared = completeness.compare(query) if tables["source_totals"] else []
    beside = [
        *completeness.findings(compared),
        *(completeness.vanished(query) if tables["vanished"] else ()),
        *(completeness.survivors(query) if "langsmith" in sources else ()),
    ]
    return {
        "spans": numbers["spans"],
        "traces": numbers["traces"],
        "scores": tables["scores"],
        "corrections": tables["corrections"],
        "quarantined": tables["quarantine"],
        "window": {"start": window[0].isoformat() if window else None, "end": window[1].isoformat() if window else None},
        "sources": sources,
        "coverage": numbers["coverage"],
        "cost": {
            "recorded_usd": numbers["recorded_usd"],
            "list_usd": numbers["list_usd"],
            "used_usd": numbers["used_usd"],
            "unpriced_spans": numbers["unpriced"],
        },
        "tables": {"spans": numbers["spans"], **tables},
        "duplicates_dropped": sum(sum(e.get("duplicates", {}).values()) for e in log),
        "open_spans": numbers["open_spans"],
        "completeness": compared,
        "findings": _findings(query, numbers, tables, window, log, beside),
    }


def _numbers(query) -> dict:
    """Every count that one scan of the spans can answer."""
    parts = [f"{sql} AS {name}" for name, sql in _COUNTS.items()]
    parts += [f"count({c}) AS has_{c}" for c in COVERED]
    found = query(f"SELECT {', '.join(parts)} FROM spans").to_pylist()[0]
    total = found["spans"]
    coverage = {c: (found[f"has_{c}"] / total if total else None) for c in COVERED}
    return {k: v for k, v in found.items() if not k.startswith("has_")} | {"coverage": coverage}


def _findings(query, n: dict, tables: dict, window, log, beside: Sequence[tuple]) -> list[dict]:
    """What is wrong with the data, worst first; each with how many rows it touches."""
    out = [
        *(_finding(*told) for told in beside),
        _finding(
            "warning", n["unpriced"], f"model calls with usage have no price: {_unpriced_models(query) if n['unpriced'] else ''}"
        ),
        _finding("warning", n["silent_zero"], "model calls with tokens are recorded as free"),
        _finding("warning", n["negative_cost"], "spans have a negative recorded cost"),
        _finding(
            "warning", n["cache_exceeds_input"], "spans report more cached than input tokens: cache tokens may be counted twice"
        ),
        _finding(
            "warning",
            n["cache_counted_twice"],
            "spans have cached tokens inside their input: the recorded cost may count them twice",
        ),
        _finding("warning", n["total_mismatch"], "spans report a token total that is neither their sum nor that of their parts"),
        _finding("warning", n["negative_tokens"], "spans report negative tokens"),
        _gap(n),
        _finding(
            "warning",
            tables["quarantine"],
            f"records are in quarantine: {_quarantine_reasons(query) if tables['quarantine'] else ''}",
        ),
        _finding("warning", _orphans(query, n), "spans have a parent that is not in the store"),
        _finding("info", _rootless(query, n), "traces have no root span; none is invented"),
        _finding("info", n["open_spans"], "spans are still open (no end)"),
        _finding("warning", n["reversed"], "spans end before they start: their latency is unknown"),
        _finding("warning", n["no_start"], "spans have no start time and stand under 1970-01-01"),
        _finding("info", n["no_usage"], "model calls report no usage and stay unpriced"),
        _finding("info", n["rollups"], "spans repeat the usage of the spans below them and are not counted again"),
        _no_product(n),
        _gaps_in_time(query, window),
        _finding("info", _strangers(query, tables), "scores point to a trace that is not in the store"),
        _finding(
            "info", _unknown_raters(query, tables), "scores do not say who judged: map their names to human, judge, user or code"
        ),
        _finding(
            "info",
            sum(sum(e.get("duplicates", {}).values()) for e in log),
            "rows came again or were older than what is stored, and were dropped",
        ),
    ]
    out += [
        {"severity": "info", "text": terminal(note, 400), "count": 1}
        for note in dict.fromkeys(x for e in log for x in e.get("notes", []))
    ]
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted((f for f in out if f), key=lambda f: order[f["severity"]])


def _finding(severity: str, count: int | None, text: str) -> dict | None:
    return {"severity": severity, "text": terminal(f"{count:,} {text}", 400), "count": int(count)} if count else None


def _gap(n: dict) -> dict | None:
    if not n["gap_spans"]:
        return None
    factor = n["gap_recorded"] / n["gap_list"] if n["gap_list"] else float("nan")
    text = f"spans were recorded at a cost that differs from the list price, together {factor:.2f} of it"
    return _finding("warning", n["gap_spans"], text)


def _no_product(n: dict) -> dict | None:
    parts = ", ".join(f"{n[p]:,} {p}" for p in PURPOSES if n[p])
    cost = f"; judging cost {units.money(n['judging_usd'])}" if n["judging_usd"] else ""
    text = f"spans are not the product's own traffic and count in no KPI: {parts}{cost}"
    return _finding("info", sum(n[p] for p in PURPOSES), text)


def _unpriced_models(query) -> str:
    found = query(f"""SELECT coalesce(model, model_requested, 'no model') AS m, count(*) AS n FROM spans
        WHERE {marks.UNPRICED} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3""").to_pylist()
    return ", ".join(f"{r['m'][:60]} ({r['n']:,})" for r in found)


def _quarantine_reasons(query) -> str:
    found = query(
        "SELECT split_part(reason, ': ', 1) AS r, count(*) AS n FROM quarantine GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"
    ).to_pylist()
    return ", ".join(f"{r['r'][:60]} ({r['n']:,})" for r in found)


def _orphans(query, n: dict) -> int:
    if not n["spans"]:
        return 0
    return query("""SELECT count(*) AS n FROM spans c ANTI JOIN spans p
        ON p.source = c.source AND p.project = c.project AND p.trace_id = c.trace_id AND p.span_id = c.parent_id
        WHERE c.parent_id IS NOT NULL""")["n"][0].as_py()


def _rootless(query, n: dict) -> int:
    return n["traces"] - query("SELECT count(DISTINCT (source, project, trace_id)) AS n FROM spans WHERE is_root")["n"][0].as_py()


def _strangers(query, tables: dict) -> int:
    if not tables["scores"]:
        return 0
    return query(
        "SELECT count(*) AS n FROM scores s WHERE trace_id IS NOT NULL AND trace_id NOT IN (SELECT trace_id FROM spans)"
    )["n"][0].as_py()


def _unknown_raters(query, tables: dict) -> int:
    return query("SELECT count(*) AS n FROM scores WHERE rater = 'unknown'")["n"][0].as_py() if tables["scores"] else 0


def _gaps_in_time(query, window) -> dict | None:
    """Days without a span between the first and the last; only where most days have some."""
    if window is None or window[1] - window[0] < timedelta(days=3):
        return None
    days = [r["day"] for r in query("SELECT DISTINCT day FROM spans WHERE day > DATE '1970-01-01' ORDER BY 1").to_pylist()]
    if len(days) < 2:
        return None
    span = (days[-1] - days[0]).days + 1
    missing = span - len(days)
    if not missing:
        return None
    known = set(days)
    first = next(days[0] + timedelta(days=i) for i in range(span) if days[0] + timedelta(days=i) not in known)
    severity = "warning" if missing <= span / 2 else "info"
    return _finding(severity, missing, f"days between {days[0]} and {days[-1]} have no span, first {first}")


def to_text(status: dict, store: str) -> str:
    """The status for a terminal."""
    window = status["window"]
    lines = [
        f"store      {terminal(store)}",
        f"window     {_when(window['start'])} to {_when(window['end'])} UTC" if window["start"] else "window     empty",
        "rows       " + ", ".join(f"{n:,} {t}" for t, n in status["tables"].items() if n) + f" in {status['traces']:,} traces",
        "sources    " + ", ".join(f"{terminal(s)} {n:,}" for s, n in status["sources"].items()),
        f"cost       used {_money(status['cost']['used_usd'])}, recorded {_money(status['cost']['recorded_usd'])}, list {_money(status['cost']['list_usd'])}",
        "coverage   " + ", ".join(f"{c} {v:.0%}" for c, v in status["coverage"].items() if v is not None),
    ]
    lines += [f"{word:<10} {text}" for word, text in completeness.lines(status["completeness"])]
    lines += [f"{f['severity']:<10} {f['text']}" for f in status["findings"]] or ["findings   none"]
    return "\n".join(lines)


def _money(value: float | None) -> str:
    return "unknown" if value is None else units.money(value)


def _when(text: str | None) -> str:
    return (text or "")[:16].replace("T", " ")


def to_html(status: dict, store: str) -> html.Html:
    """The status for a notebook."""
    window = status["window"]
    between = f"{_when(window['start'])} to {_when(window['end'])} UTC" if window["start"] else "empty"
    sources = html.join([html.join([html.tag("code", s), f" {n:,}"]) for s, n in status["sources"].items()], ", ")
    head = html.paragraph(
        html.tag("b", f"{status['spans']:,} spans, {status['traces']:,} traces, {status['scores']:,} scores"),
        f" · {between} · ", sources, " · ", html.tag("code", store),
    )  # fmt: skip
    shares = [(c, html.bar(v, units.rate(v))) for c, v in status["coverage"].items() if v is not None]
    findings = html.bullets([html.join([html.badge(f["severity"]), f" {f['text']}"]) for f in status["findings"]])
    covered = html.details("coverage of the key columns", html.table(shares, ["column", "share of spans"]))
    # The attribute is read by the checker of reports: these numbers come from the claims of the store's card.
    return html.tag("div", head, findings, *completeness.tables(status["completeness"]), covered, **{"data-claims": "store.*"})
