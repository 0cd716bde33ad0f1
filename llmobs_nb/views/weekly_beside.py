"""What stands beside the KPIs when other analyses have put it there: alerts, versions, signals, drift, gold; with its claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from .. import units
from ..analyses import versions
from ..analyses.result import Estimate, claim
from ..html import Head, Html, heading, join, paragraph, stack, table, tag
from ..stats.estimate import finite
from ..text import terminal
from . import weekly_pass_rate as pass_rate
from . import weekly_signals as signals
from .claimed import claimed
from .common_words import moment, tz_of, with_interval
from .parts import BLUE, ORANGE, number_heads, verdict_badge
from .theme import is_number, label
from .versions_page import versions_table
from .weekly_traces import names

MAX_ROWS = 40
DRIFT = {
    "drift": ("✗", "drift", "double"),
    "same": ("=", "same", "dotted"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}
SEVERITY = {
    "critical": ("‼", "critical", "double"),
    "warning": ("!", "warning", "solid"),
    "info": ("i", "info", "dotted"),
}
_COLOURS = {"drift": ORANGE, "critical": ORANGE, "warning": ORANGE, "info": BLUE}


def rows_of(result, name: str) -> list[dict]:
    """The rows another analysis put beside the KPIs under ``name``; [] where none did."""
    found = getattr(result, "beside", {}).get(name)
    return list(found) if isinstance(found, Sequence) and not isinstance(found, str) else []


def sections(result) -> Html:
    """All of them, each with its heading; nothing where there is nothing."""
    return stack(
        _alerts(result), _versions(result), pass_rate.section(result), signals.section(result), _drift(result), _promoted(result)
    )


def claims(result) -> Iterable[dict]:
    """A claim for every number of the sections."""
    yield from versions.claims(rows_of(result, "versions"))
    yield from pass_rate.claims(result)
    yield from signals.claims(result)
    yield from _drift_claims(result)
    yield from _alert_claims(result)
    made = promoted(result)
    if made is not None:
        yield _exact("promoted", "failures promoted to gold", made, "count")


def promoted(result) -> int | None:
    """How many failures became gold examples; None where nobody counted."""
    found = getattr(result, "beside", {}).get("promoted")
    return int(found) if is_number(found) else None


def firing(result) -> list[dict]:
    """The alerts that fire, in their order."""
    return [r for r in rows_of(result, "alerts") if r.get("state") == "firing"]


def _versions(result) -> Html:
    rows = rows_of(result, "versions")
    return stack(heading("Versions against their predecessors"), versions_table(rows).html) if rows else Html("")


# --- drift


def _drift(result) -> Html:
    rows = sorted(rows_of(result, "drift"), key=lambda r: list(DRIFT).index(r["verdict"]) if r["verdict"] in DRIFT else 9)
    if not rows:
        return Html("")
    head = [Head("what"), Head("verdict"), Head("measure"), *number_heads("value, 95 % interval", "n"), Head("what moved")]
    return stack(heading("Drift against the baseline"), table([_drift_row(r) for r in rows[:MAX_ROWS]], head))


def _drift_row(row: dict) -> list[object]:
    ids = [f"drift.{row['name']}.*"]
    mark = verdict_badge(DRIFT, row["verdict"], _COLOURS)
    below = (
        f"would have seen {units.number(row['detectable'])}"
        if row["verdict"] == "cannot_tell" and is_number(row.get("detectable"))
        else ""
    )
    words = ", ".join(label(w["word"], 30) for w in row.get("words") or ())
    value = with_interval(row["value"], row["ci_low"], row["ci_high"], "number")
    counts = join([units.count(row["n_after"]), tag("small", units.count(row["n_before"]), style="opacity:.8;")], "<br>")
    return [
        _name(row.get("label") or row["name"]),
        claimed("div", join([mark, tag("small", below)], "<br>") if below else mark, ids=ids),
        _name(row.get("statistic")),
        claimed("div", value, ids=ids),
        claimed("div", counts, ids=ids),
        _name(words, 200),
    ]


def _drift_claims(result) -> Iterable[dict]:
    for row in rows_of(result, "drift"):
        at, text = f"drift.{row['name']}", f"drift of {terminal(row.get('label') or row['name'], 80)}"
        value, n = finite(row["value"]), int(row["n_after"] or 0)
        e = Estimate.refused(row.get("reason") or "not estimated", n=n) if value is None else Estimate(
            value, finite(row["ci_low"]), finite(row["ci_high"]), n
        )  # fmt: skip
        yield claim(f"{at}.value", text, e, unit="number", how=str(row.get("how") or row.get("statistic")))
        yield _exact(f"{at}.before", f"{text}, n of the baseline", int(row["n_before"] or 0), "count")
        if is_number(row.get("detectable")):
            yield _exact(f"{at}.detectable", f"{text}: what would have been seen", row["detectable"], "number", n)


# --- alerts


def _alerts(result) -> Html:
    if not rows_of(result, "alerts"):
        return Html("")
    rows, head = (
        firing(result),
        [Head("rule"), Head("severity"), Head("what"), *number_heads("value", "against", "n"), Head("since"), Head("read")],
    )
    told = paragraph(claimed("span", f"{len(rows)} of {len(rows_of(result, 'alerts'))} firing", ids=["alerts.*"]))
    shown = table([_alert_row(at, r, result) for at, r in enumerate(rows[:MAX_ROWS])], head) if rows else ""
    return stack(heading("Alerts"), told, shown)


def _alert_row(at: int, row: dict, result) -> list[object]:
    ids, unit = [f"alert.{at}.*"], str(row.get("unit") or "")
    where = ", ".join(f"{k} = {v}" for k, v in dict(row.get("by") or {}).items())
    against = row.get("baseline") if is_number(row.get("baseline")) else row.get("threshold")
    begun = row.get("since")
    since = moment(datetime.fromisoformat(begun) if isinstance(begun, str) else begun, tz_of(result))
    return [
        _name(row["rule"]),
        verdict_badge(SEVERITY, row.get("severity"), _COLOURS),
        _name(" ".join(filter(None, (where, row.get("detail")))), 160),
        *(
            claimed("div", t, ids=ids)
            for t in (units.quantity(row.get("value"), unit), units.quantity(against, unit), units.count(row.get("n")))
        ),
        since,
        names(result, list(row.get("traces") or ())[:3]),
    ]


def _alert_claims(result) -> Iterable[dict]:
    rows = firing(result)
    if rows_of(result, "alerts"):
        yield _exact("alerts.all", "alert rules looked at", len(rows_of(result, "alerts")), "count")
        yield _exact("alerts.firing", "alerts that fire", len(rows), "count")
    for at, row in enumerate(rows):
        for part in ("value", "threshold", "baseline"):
            if is_number(row.get(part)):
                text = f"alert {terminal(row['rule'], 80)}: {part}"
                yield _exact(
                    f"alert.{at}.{part}", text, row[part], str(row.get("unit") or ""), row.get("n") or 0, row.get("traces") or ()
                )


# --- gold


def _promoted(result) -> Html:
    made = promoted(result)
    if made is None:
        return Html("")
    return stack(heading("Failures promoted to gold"), claimed("p", f"{units.count(made)} this week", ids=["promoted"]))


# --- shared


def _name(text: object, limit: int = 60) -> Html:
    """A name or a note from the data: whatever numbers it holds are its own."""
    return tag("samp", label(text, limit) if text else "", style="font-family:inherit;")


def _exact(id: str, text: str, value: float, unit: str, n: int | None = None, traces: Sequence[str] = ()) -> dict:
    return claim(
        id, text, Estimate(value, None, None, int(value if n is None else n)), unit=unit, how="see the text", traces=traces
    )
