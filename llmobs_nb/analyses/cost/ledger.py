"""The ledger: what was spent, on which line, against which list price, and what in the figures needs care.

Every sum is over spans that start in the window. A parent that repeats the usage of its calls lost it when it was stored, so that
lines add up to the total. A recorded cost stands as it was recorded, a negative one too (a refund lowers what was spent); findings
say how much of the total rests on costs that look wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pandas as pd

from ... import units
from ... import windows as w
from ...columns import literal
from ...prices import PriceBook, Unpriced, marks, normalise
from ...prices.marks import CALL
from ...text import terminal
from ..reductions import rows
from ..result import Finding
from .lines import LINE, MODEL, TOLD
from .result import empty
from .window import Plan, inside

BUCKET = timedelta(minutes=15)  # every time zone of today is off by a multiple of it
ABSURD_FACTOR, ABSURD_LEAST_USD, ABSURD_USD = 10, 0.001, 100
LINES = ("line", "told", "spans", "cost_usd", "recorded_usd", "list_usd", "share")
GAPS = ("provider", "model", "spans", "recorded_usd", "list_usd", "factor")
UNPRICED = ("model", "reason", "spans")
MOST_NAMED = 3
_COSTLESS = f"{CALL} AND cost_usd IS NULL AND coalesce(price_reason, '') <> {literal(marks.REPEATS)}"
# Reasons that name counts are one reason.
_REASON = (
    "CASE WHEN price_reason LIKE '%exceed input_tokens%' THEN 'cache tokens exceed input tokens' "
    "WHEN price_reason LIKE '%must not be negative' THEN 'token counts are negative' ELSE coalesce(price_reason, 'no reason known') END"
)
_TIMES = f"cost_recorded_usd > {ABSURD_FACTOR} * cost_list_usd OR cost_list_usd > {ABSURD_FACTOR} * cost_recorded_usd"
_FAR = f"abs(cost_recorded_usd - cost_list_usd) > {ABSURD_LEAST_USD}"
# What needs care -> (condition on spans, severity, what the finding says after the count).
FLAGS = {
    "cache_counted_twice": (
        marks.flagged("cache_counted_twice"),
        "warning",
        "have cached tokens inside their input: the recorded cost may count them twice",
    ),
    "cache_exceeds_input": (
        marks.flagged("cache_exceeds_input"),
        "warning",
        "report more cached than input tokens: cache tokens may be counted twice",
    ),
    "total_mismatch": (marks.flagged("total_mismatch"), "warning", "report a token total that is not that of their parts"),
    "negative_tokens": (marks.flagged("negative"), "warning", "report negative tokens"),
    "repeated": (
        marks.REPEATED,
        "info",
        "repeat the usage of the spans below them, which is counted once, below",
    ),
    "negative": (marks.NEGATIVE, "warning", "have a negative recorded cost; it stands in the total as a refund"),
    "absurd": (
        f"abs(cost_recorded_usd) > {ABSURD_USD} OR cost_recorded_usd > 0 AND cost_list_usd > 0 AND ({_TIMES}) AND {_FAR}",
        "warning",
        f"have a recorded cost above ${ABSURD_USD} or more than {ABSURD_FACTOR} times off the list price",
    ),
    "silent_zero": (
        marks.SILENT_ZERO,
        "warning",
        "are recorded as free in spite of their tokens",
    ),
}
_OF_ONE = {"have": "has", "report": "reports", "repeat": "repeats", "are": "is", "were": "was", "carry": "carries"}
_SNAPSHOT = re.compile(
    r"([-@:._](\d{4}-?\d{2}-?\d{2}|\d{2}-\d{2}|\d{2}-\d{4}|\d{3,4}|v\d+:\d+|latest|preview|exp|experimental))+$"
)
_CLAUDE = re.compile(r"^claude-(\d(?:-\d)?)-([a-z]+)")  # older names have the version first
_VENDOR = re.compile(r"^([a-z][a-z-]*\.)+(?=[a-z])")


@dataclass(frozen=True)
class Ledger:
    """What was spent (USD): used, recorded and at list price, by line; how many calls with usage have no price.

    ``lines``, ``gaps`` and ``unpriced`` have the columns of :class:`~llmobs_nb.analyses.cost.result.CostResult`, biggest first; the lines
    add up to ``total_usd``.
    """

    total_usd: float = 0.0
    recorded_usd: float = 0.0
    list_usd: float = 0.0
    unpriced_spans: int = 0
    lines: pd.DataFrame = field(default_factory=lambda: empty(*LINES))
    gaps: pd.DataFrame = field(default_factory=lambda: empty(*GAPS))
    unpriced: pd.DataFrame = field(default_factory=lambda: empty(*UNPRICED))
    findings: tuple[Finding, ...] = ()


def ledger(obs, plan: Plan) -> Ledger:
    """The lines of a window with their sums, what differs from the list price, what has none, and what is wrong; one scan."""
    keys = {
        "line": LINE,
        "provider": "provider",
        "of_model": MODEL,
        "asked": "CASE WHEN model_requested <> model THEN model_requested END",
    }
    bits = {"unpriced": marks.UNPRICED, "apart": marks.APART} | {name: when for name, (when, _, _) in FLAGS.items()}
    keys |= {"reason": f"CASE WHEN {_COSTLESS} THEN {_REASON} END"}
    keys |= {"marks": " + ".join(f"CASE WHEN {when} THEN {1 << i} ELSE 0 END" for i, when in enumerate(bits.values()))}
    made = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
    found = rows(
        obs,
        f"""SELECT {", ".join(keys)}, count(*) AS n, count(cost_usd) AS spans, sum(cost_usd) AS cost_usd,
          sum(cost_recorded_usd) AS recorded_usd, sum(cost_list_usd) AS list_usd
        FROM (SELECT {made}, cost_usd, cost_recorded_usd, cost_list_usd FROM spans WHERE {inside(plan.window)}) s
        GROUP BY {", ".join(keys)}""",
    )
    found = [r | {name: r["marks"] >> i & 1 for i, name in enumerate(bits)} for r in found]
    total, recorded, listed = (_sum(found, name) for name in ("cost_usd", "recorded_usd", "list_usd"))
    missing = sum(r["n"] for r in found if r["unpriced"])
    told = _findings(found, missing, w.local_date(plan.window.end - timedelta(microseconds=1), plan.tz))
    findings = sorted([*told, *_undated(obs)], key=lambda f: f.severity != "warning")
    return Ledger(total, recorded, listed, missing, _lines(found, total), _gaps(found), _unpriced(found), tuple(findings))


def _lines(found: Sequence[Mapping], total: float) -> pd.DataFrame:
    """The lines that hold a cost, biggest first; a sum of nothing known is null."""
    told = []
    for line, words in TOLD.items():
        own = [r for r in found if r["line"] == line and r["spans"]]
        if own:
            cost = _sum(own, "cost_usd")
            told.append((line, words, sum(r["spans"] for r in own), cost, *(_known(own, f"{k}_usd") for k in ("recorded", "list")),
                         cost / total if total else None))  # fmt: skip
    return pd.DataFrame(sorted(told, key=lambda r: -r[3]), columns=list(LINES))


def _gaps(found: Sequence[Mapping]) -> pd.DataFrame:
    """Sums of the spans that were recorded at another cost than the list price, by model, the largest difference first."""
    told = []
    for (provider, model), own in _grouped([r for r in found if r["apart"]], "provider", "of_model").items():
        recorded, listed = _sum(own, "recorded_usd"), _sum(own, "list_usd")
        told.append((provider, model, sum(r["n"] for r in own), recorded, listed, recorded / listed))
    return pd.DataFrame(sorted(told, key=lambda r: (-abs(r[3] - r[4]), str(r[:2]))), columns=list(GAPS))


def _unpriced(found: Sequence[Mapping]) -> pd.DataFrame:
    """Calls without a cost by model and reason, most frequent first."""
    groups = _grouped([r for r in found if r["reason"] is not None], "of_model", "reason")
    told = [(model, reason, sum(r["n"] for r in own)) for (model, reason), own in groups.items()]
    return pd.DataFrame(sorted(told, key=lambda r: (-r[2], str(r[:2]))), columns=list(UNPRICED))


def _grouped(found: Sequence[Mapping], *keys: str) -> dict[tuple, list[Mapping]]:
    out: dict[tuple, list[Mapping]] = {}
    for r in found:
        out.setdefault(tuple(r[k] for k in keys), []).append(r)
    return out


def daily(obs, plan: Plan) -> pd.DataFrame:
    """Cost and requests by day of the time zone and line; requests are traces with a cost on that line that day."""
    days = w.days(plan.window, plan.tz)
    found = rows(
        obs,
        f"""SELECT {day_number(days)} AS at, {LINE} AS line, sum(cost_usd) AS cost_usd,
          count(DISTINCT trace_id) AS requests FROM spans WHERE {inside(plan.window)} AND cost_usd IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    told = [(days[int(r["at"])].label, r["line"], r["cost_usd"], r["requests"]) for r in found]
    frame = pd.DataFrame(told, columns=["day", "line", "cost_usd", "requests"])
    frame["day"] = pd.to_datetime(frame["day"]).dt.date
    return frame


def day_number(days: Sequence[w.Window], column: str = "start_time") -> str:
    """The place of a span's day among ``days`` as SQL; a stretch of days without a clock change is one division."""
    stretches: list[tuple[int, w.Window]] = []
    for i, day in enumerate(days):
        if not stretches or day.seconds != 86_400 or days[i - 1].seconds != 86_400:
            stretches.append((i, day))
    first, *later = (
        f"{i} + CAST(floor((epoch_us({column}) - {_us(d.start)}) / {86_400_000_000}) AS INTEGER)"
        if d.seconds == 86_400
        else f"{i}"
        for i, d in stretches
    )
    cases = [
        f"WHEN epoch_us({column}) >= {_us(d.start)} THEN {sql}" for (_, d), sql in zip(stretches[:0:-1], later[::-1], strict=True)
    ]
    return f"CASE {' '.join(cases)} ELSE {first} END" if cases else first


def rhythm(obs, plan: Plan) -> pd.DataFrame:
    """Cost by weekday (0 Monday) and hour of the time zone, and how many such days the window has."""
    start, width = _us(plan.window.start), BUCKET // timedelta(microseconds=1)
    found = rows(
        obs,
        f"""SELECT CAST(floor((epoch_us(start_time) - {start}) / {width}) AS INTEGER) AS at, sum(cost_usd) AS cost_usd
        FROM spans WHERE {inside(plan.window)} AND cost_usd IS NOT NULL GROUP BY 1 ORDER BY 1""",
    )
    zone = w.zone(plan.tz)
    sums: dict[tuple[int, int], list[float]] = {}
    for r in found:
        at = (plan.window.start + r["at"] * BUCKET).astimezone(zone)
        sums.setdefault((at.weekday(), at.hour), []).append(r["cost_usd"])
    weekdays = [d.start.astimezone(zone).weekday() for d in w.days(plan.window, plan.tz)]
    told = [(d, h, math.fsum(v), weekdays.count(d)) for (d, h), v in sorted(sums.items())]
    return pd.DataFrame(told, columns=["weekday", "hour", "cost_usd", "days"])


def family(provider: str | None, model: str | None) -> str | None:
    """A model's name without route, vendor, snapshot date and the like, so that ``gpt-4o`` and ``gpt-4o-2024-08-06`` are one.

    None where the name does not say which model it is.
    """
    name = normalise(provider, model).model
    if name is None:
        return None
    plain = _VENDOR.sub("", name.rsplit("/", 1)[-1].replace(" ", "-"))
    if plain.startswith("claude"):
        plain = _CLAUDE.sub(r"claude-\2-\1", plain.replace(".", "-"))
    return _SNAPSHOT.sub("", plain) or plain


def _us(at) -> int:
    return round(at.timestamp() * 1_000_000)


def _sum(found: Sequence[Mapping], name: str) -> float:
    return math.fsum(r[name] or 0.0 for r in found)


def _known(found: Sequence[Mapping], name: str) -> float | None:
    """The sum of what is known; None where nothing is."""
    return _sum(found, name) if any(r[name] is not None for r in found) else None


def _findings(found: Sequence[Mapping], missing: int, day: date) -> list[Finding]:
    """What a reader of the total must know."""
    out = []
    if missing:
        models = _grouped([r for r in found if r["unpriced"]], "of_model")
        text = _named([((m or "no model")[:60], sum(r["n"] for r in own)) for (m,), own in models.items()])
        out.append(_finding("warning", missing, f"have usage and no known price, and so no cost: {text}"))
    for name, (_, severity, text) in FLAGS.items():
        if own := [r for r in found if r[name]]:
            out.append(_finding(severity, sum(r["n"] for r in own), text + _weighed(own)))
    return [*out, *_gap([r for r in found if r["apart"]]), *_rerouted([r for r in found if r["asked"] is not None], day)]


def _finding(severity, count: int, text: str) -> Finding:
    """``text`` follows "3 spans"; its verb is the first word."""
    if count == 1:
        verb, _, rest = text.partition(" ")
        text = f"{_OF_ONE[verb]} {rest}"
    return Finding(severity, terminal(f"{count:,} span{'' if count == 1 else 's'} {text}", 400), count)


def _weighed(own: Sequence[Mapping]) -> str:
    """What these spans cost, as used and at list price, where they carry a cost at all."""
    if not any(r["spans"] for r in own):
        return ""
    listed = _known(own, "list_usd")
    return f" ({units.money(_sum(own, 'cost_usd'))}{'' if listed is None else f', at list price {units.money(listed)}'})"


def _named(counts: Sequence[tuple[str, int]]) -> str:
    """The most frequent few, and how many more there are."""
    ordered = sorted(counts, key=lambda c: (-c[1], c[0]))
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    return ", ".join(f"{name} ({n:,})" for name, n in ordered[:MOST_NAMED]) + more


def _gap(own: Sequence[Mapping]) -> list[Finding]:
    if not own:
        return []
    recorded, listed = _sum(own, "recorded_usd"), _sum(own, "list_usd")
    text = f"were recorded at another cost than the list price of their day: together {units.money(recorded)} for {units.money(listed)}"
    return [_finding("warning", sum(r["n"] for r in own), f"{text}, {recorded / listed:.2f} of it")]


def _rerouted(found: Sequence[Mapping], day: date) -> list[Finding]:
    """Calls answered by a model of another family than the one asked for, where the price table knows both."""
    book, told, named = PriceBook(), [], []
    for (provider, asked, model), own in _grouped(found, "provider", "asked", "of_model").items():
        if _other(book, day, provider, asked, model):
            told += own
            named.append((f"{asked[:60]} → {model[:60]}", sum(r["n"] for r in own)))
    if not told:
        return []
    text = f"were answered by another model than asked for ({units.money(_sum(told, 'cost_usd'))}): {_named(named)}"
    return [_finding("warning", sum(r["n"] for r in told), text)]


def _other(book: PriceBook, day: date, provider: str | None, *names: str) -> bool:
    """Whether the price table knows the model asked for and the one that answered as two."""
    if len({family(provider, n) for n in names}) == 1:
        return False
    found = [book.unit_prices(provider, n, day) for n in names]
    return not any(isinstance(f, Unpriced) for f in found) and len({f[0].provenance.split("; ")[1] for f in found}) == 2


def _undated(obs) -> list[Finding]:
    """Spans with a cost and no start stand in no window."""
    (row,) = rows(
        obs,
        "SELECT count(*) AS n, sum(cost_usd) AS cost FROM spans WHERE day = DATE '1970-01-01' AND start_time IS NULL AND cost_usd IS NOT NULL",
    )
    if not row["n"]:
        return []
    return [_finding("warning", row["n"], f"carry a cost ({units.money(row['cost'])}) and no start time: no window holds them")]
