"""The weekly review in words: KPIs by family and verdict, what could have been seen, and the sentence on each chart.

Each number is one that the KPI table shows, so that each has a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .. import units
from ..text import terminal
from .common_words import cue
from .theme import is_number, label

FAMILIES = {
    "quality": "Quality",
    "reliability": "Reliability",
    "latency": "Speed",
    "cost": "Cost",
    "volume": "Volume",
    "feedback": "Feedback",
    "retrieval": "Retrieval",
    "guardrails": "Safety",
    "outside": "From outside",
    "own": "Own metrics",
}
VERDICTS = {
    "better": ("✓", "better", "solid"),
    "worse": ("✗", "worse", "double"),
    "same": ("=", "same", "dotted"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}


SLO = {
    "met": ("✓", "objective met", "solid"),
    "missed": ("✗", "objective missed", "double"),
    "cannot_tell": ("?", "objective: cannot tell", "dashed"),
}
MAX_SLICE_ROWS, MAX_MOVED, MAX_TRACES = 200, 12, 50
ORDER = ("worse", "better", "same", "cannot_tell")


# --- rows of the KPI table


def verdict_word(verdict: object) -> str:
    """The verdict as a reader says it; an unknown one as it stands, a missing one as n/a."""
    return cue(VERDICTS, verdict)[1]


def kpi_rows(result, *, slice: str = "all", names: Iterable[str] = ()) -> list[dict]:
    """KPI rows of one slice as dicts, in the result's order; only those named when names are given."""
    wanted = set(names)
    rows = result.kpis[result.kpis["slice"] == slice].to_dict("records")
    return [r for r in rows if not wanted or r["name"] in wanted]


def slices(result) -> list[str]:
    """The slices the KPIs were computed for, "all" first."""
    return list(dict.fromkeys(["all", *result.kpis["slice"]]))


def span(result) -> str:
    """What is reviewed: week, month or quarter."""
    return str(result.parameters.get("period") or "week")


def both(result) -> str:
    """The two that are compared: ``these two weeks``."""
    return f"these two {span(result)}s"


def by_family(rows: Iterable[dict]) -> dict[str, list[dict]]:
    """Rows by family, in the order of the page; families of nobody's list come last."""
    found: dict[str, list[dict]] = {name: [] for name in FAMILIES}
    for row in rows:
        found.setdefault(str(row["family"] or "own"), []).append(row)
    return {name: part for name, part in found.items() if part}


def family_title(name: str) -> str:
    """A family as a heading."""
    return FAMILIES.get(name) or label(name, 40)


def family_claim(name: str, slice: str, what: str) -> str:
    """The id of the claim of how many KPIs of a family have a verdict."""
    return f"page.family.{name}.{slice}.{what}"


def moved(rows: Iterable[dict]) -> list[dict]:
    """Rows that got worse, then those that got better, each in its order."""
    rows = list(rows)
    return [r for verdict in ("worse", "better") for r in rows if r["verdict"] == verdict]


def moved_first(rows: Iterable[dict]) -> list[dict]:
    """All rows, by verdict: worse, better, the same, cannot tell."""
    return sorted(rows, key=lambda r: ORDER.index(r["verdict"]) if r["verdict"] in ORDER else len(ORDER))


def counts(rows: Iterable[dict]) -> dict[str, int]:
    """How many rows have each verdict; one that none has is left out."""
    found = [r["verdict"] for r in rows]
    return {v: found.count(v) for v in dict.fromkeys((*ORDER, *found)) if v in found}


def counts_text(rows: Iterable[dict]) -> str:
    """``✗ 1 worse, = 2 same``."""
    return ", ".join(f"{cue(VERDICTS, v)[0]} {n} {cue(VERDICTS, v)[1]}".strip() for v, n in counts(rows).items())


def why(row: dict) -> str:
    """Why a KPI cannot be told, as the analysis says; "" where the interval and what could have been seen say it already."""
    reason, low, high = row.get("reason"), row["change_low"], row["change_high"]
    plain = all(map(is_number, (low, high, row.get("detectable")))) and low <= 0 <= high
    return terminal(reason, 200) if isinstance(reason, str) and not plain else ""


def detectable(row: dict) -> str:
    """The smallest change that would have been called; "" where it is not known."""
    value = row.get("detectable")
    if not is_number(value):
        return ""
    return f"too few data: {units.change(value, row['unit'], row['change_kind']).lstrip('+-')} worse would have been seen"


def mix_matters(row: dict) -> bool:
    """Whether a change and the change at the same traffic tell two stories: traffic mix alone moved the KPI by more than half its margin."""
    known = all(is_number(row.get(k)) for k in ("mix_value", "within_value", "margin"))
    return known and abs(row["mix_value"]) > 0.5 * row["margin"]


def objective(row: dict) -> str:
    """The objective of a level."""
    return f"objective {units.quantity(row['slo'], row['unit'])}"


# --- the sentence on each chart


def sums(result) -> dict[str, tuple[float, str, int]]:
    """What the charts add up, by name: value, unit, n. Requests, failures and money of both weeks; a share of nothing is missing."""
    this, last = (_days(result, week) for week in ("this", "last"))
    out = {f"requests.{k}": (d["requests"], "count", int(d["requests"])) for k, d in (("this", this), ("last", last))}
    out |= {
        f"failed.{k}": (_part(d["errors"], d["requests"]), "rate", int(d["requests"]))
        for k, d in (("this", this), ("last", last))
    }
    spent = {k: float(result.cost[f"{k}_usd"].sum()) if len(result.cost) else 0.0 for k in ("this", "last")}
    n = int(result.cost["requests"].sum()) if len(result.cost) else 0
    out |= {f"spent.{k}": (v, "usd", n) for k, v in spent.items()}
    out["requests.change"] = (_part(this["requests"] - last["requests"], last["requests"]), "relative", int(this["requests"]))
    out["spent.change"] = (_part(spent["this"] - spent["last"], spent["last"]), "relative", n)
    return out | {"spent.top": (_part(float(result.cost["this_usd"].max()) if n else 0.0, spent["this"]), "rate", n)}


def _days(result, week: str) -> dict[str, float]:
    frame = result.daily
    return {k: float(frame.loc[frame["week"] == week, k].sum()) if len(frame) else 0.0 for k in ("requests", "errors")}


def _part(value: float, whole: float) -> float:
    return value / whole if whole else float("nan")


def volume(result) -> str:
    """How many requests and how many failed, against last week."""
    added = {name: value for name, (value, _, _) in sums(result).items()}
    this, last = added["requests.this"], added["requests.last"]
    if not this:
        return (
            f"No requests this {span(result)}; {units.count(last)} last {span(result)}"
            if last
            else f"No requests in {both(result)}"
        )
    failed = units.rate(added["failed.this"])
    if not last:
        return f"{units.count(this)} requests, {failed} failed; nothing to compare with last {span(result)}"
    before = units.rate(added["failed.last"])
    judged = _judged(result, "error_rate")
    more = _relative(result, added["requests.change"])
    return f"{units.count(this)} requests ({more}); {failed} failed, {before} last {span(result)}{judged}"


def _relative(result, change: float) -> str:
    return f"{units.relative(change)} on last {span(result)}" if change else f"as many as last {span(result)}"


def _judged(result, name: str) -> str:
    rows = kpi_rows(result, names=[name])
    return f": {verdict_word(rows[0]['verdict'])}" if rows else ""


def latency(result) -> str:
    """The weekly p95 and the time to first token where the KPIs have them, else that there is none."""
    if not len(result.latency):
        return f"No latencies in {both(result)}"
    if result.latency["value_ms"].isna().all():
        return "Too few requests to estimate latency by day"
    rows = [r for r in kpi_rows(result) if r["unit"] == "ms" and is_number(r["this_value"])]
    return "; ".join(_moved(result, r) for r in _tails(rows)) or "Latency by day: median and 95th percentile"


def _tails(rows: list[dict]) -> list[dict]:
    tails = [r for r in rows if "95" in r["name"]] or rows
    whole = [r for r in tails if "ttft" not in r["name"]][:1]
    return whole + [r for r in tails if "ttft" in r["name"]][:1]


def _moved(result, row: dict) -> str:
    this = units.quantity(row["this_value"], row["unit"], low=row["this_low"], high=row["this_high"])
    last = units.quantity(row["last_value"], row["unit"], low=row["last_low"], high=row["last_high"])
    when = f"last {span(result)}"
    before = f", {last} {when}: {verdict_word(row['verdict'])}" if is_number(row["last_value"]) else f" (no {when})"
    return f"{label(row['label'], 40)} {this}{before}"


def cost(result) -> str:
    """What was spent, against last week, and which feature takes most."""
    added = {name: value for name, (value, _, _) in sums(result).items()}
    this, last = added["spent.this"], added["spent.last"]
    if not this:
        nothing = f"No priced requests in {both(result)}"
        return f"Nothing spent this {span(result)}; {units.money(last)} last {span(result)}" if last else nothing
    top = result.cost.iloc[result.cost["this_usd"].fillna(0).to_numpy().argmax()]
    part = f"{label(top['feature'])} takes {units.rate(added['spent.top'])}"
    more = _relative(result, added["spent.change"]) if last else f"nothing last {span(result)}"
    return f"{units.money(this)} spent ({more}); {part}"


def quality(result, *, score: str | None = None) -> str:
    """Which scores moved, worse ones first; what cannot be told is said. ``score`` speaks of one alone."""
    if not len(result.quality):
        return f"No scores in {both(result)}"
    rows = score_rows(result, score=score)
    if score is not None and rows:
        return "; ".join(_moved(result, r) for r in rows)
    if not rows:
        return "Scores by day" if score is None else f"{label(score, 40)} by day"
    n, told = score_counts(rows), moved(rows)
    if told:
        rest = f"; {n['open']} more with no change we can be sure of" if n["open"] else ""
        return "; ".join(_moved(result, r) for r in told[:2]) + (f"; {n['more']} more moved" if n["more"] else "") + rest
    if n["same"] == n["all"]:
        return f"Quality held: {_scores(n['all'])} the same as last {span(result)}"
    said = f"{_scores(n['same'])} the same, {n['unsure']}" if n["same"] else _scores(n["all"])
    return f"No change in quality we can be sure of: {said} cannot be told"


def score_counts(rows: Sequence[dict]) -> dict[str, int]:
    """How many scores there are, moved beyond the two that are named, did not move, stayed the same, cannot be told."""
    told, same = len(moved(rows)), counts(rows).get("same", 0)
    out = {"all": len(rows), "more": max(told - 2, 0), "open": len(rows) - told, "same": same}
    return out | {"unsure": len(rows) - same}


def _scores(n: int) -> str:
    return f"{n} score" if n == 1 else f"{n} scores"


def score_rows(result, *, score: str | None = None) -> list[dict]:
    """The overall KPI rows that are scores (of one name)."""
    start = "score:" if score is None else f"score:{score}:"
    return [r for r in kpi_rows(result) if str(r["name"]).startswith(start)]


def beside(result, name: str) -> Mapping:
    """What another analysis put beside the KPIs under ``name``, where that is a table of its own; else {}."""
    found = getattr(result, "beside", {}).get(name)
    return found if isinstance(found, Mapping) else {}
