"""The scoreboards of prompt and model versions as one table: each version against its predecessor, hints first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import units
from ..analyses.versions import DESIGNS, change_text
from ..html import Head, Html, bullets, details, heading, join, paragraph, stack, table, tag
from ..text import terminal
from .bundle import View
from .parts import BLUE, ORANGE, left_out, strip, two_lines, verdict_badge
from .theme import label
from .weekly_words import VERDICTS

MAX_ROWS = 200
_AXES = {"prompt_version": "prompt", "model": "model"}
_COLOURS = {"better": BLUE, "worse": ORANGE}
_HEAD = (
    Head("prompt or model"),
    Head("version"),
    Head("metric"),
    Head("version", number=True, hint="its level"),
    Head("predecessor", number=True, hint="its level on the same traffic"),
    Head("change", number=True, hint="with its 95 % interval"),
    Head("", hint="the change: dark is its interval, blue its value, the line is zero, the faint zone the margin"),
    Head("n", number=True, hint="version, and predecessor below it"),
    Head("verdict"),
)


def versions_table(rows: Sequence[Mapping]) -> View:
    """The rows of :func:`llmobs_nb.analyses.versions.scoreboard` (or ``versions`` of a weekly result): hints, what moved, the rest.

    ``rows`` may be a DataFrame as well. Without rows it says that no version has a predecessor to compare with.
    """
    given = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    if not given:
        said = "No prompt or model version has a predecessor with 30 requests to compare with."
        return View(paragraph(said), said)
    moved = [r for r in given if r["verdict"] in ("better", "worse")]
    rest = [r for r in given if r not in moved]
    top = _hints(given)
    shown = table([_row(r) for r in moved[:MAX_ROWS]], _HEAD, empty="no version is better or worse beyond doubt")
    folded = details(f"The rest ({len(rest)})", table([_row(r) for r in rest[:MAX_ROWS]], _HEAD), left_out(len(rest) - MAX_ROWS))
    static = stack(top, shown, left_out(len(moved) - MAX_ROWS), folded if rest else Html(""), _legend(given))
    return View(static, _text(given, moved))


def _hints(rows: Sequence[Mapping]) -> Html:
    told = [terminal(r["rollback"], 300) for r in rows if r["rollback"]]
    return stack(heading("To undo"), bullets(told)) if told else Html("")


def _row(row: Mapping) -> list[object]:
    e, unit = row["change"], row["unit"]
    levels = [_level(row[side], unit) for side in ("this", "last")]
    told, _, between = change_text(row).partition(" (")
    counts = join([units.count(row["this"]["n"]), tag("small", units.count(row["last"]["n"]), style="opacity:.8;")], "<br>")
    mark = verdict_badge(VERDICTS, row["verdict"], _COLOURS)
    why = (
        tag("small", terminal(row["reason"], 200), style="opacity:.8;display:inline-block;min-width:11em;")
        if row["reason"]
        else None
    )
    return [
        f"{_AXES.get(row['axis'], '')} {label(row['name'], 40)}",
        two_lines(label(row["version"], 40), f"after {label(row['against'], 40)}"),
        tag("span", terminal(row["label"], 80), title=f"{row['how']}; {DESIGNS.get(row['design'], '')}"),
        *levels,
        two_lines(told, between.rstrip(")") or units.MISSING),
        strip(e["ci_low"], e["value"], e["ci_high"], margin=row["margin"], title=change_text(row)),
        counts,
        join([mark, why], "<br>") if why else mark,
    ]


def _level(e: Mapping, unit: str) -> Html:
    value = units.quantity(e["value"], unit, low=e["ci_low"], high=e["ci_high"])
    return two_lines(value, units.interval(e["ci_low"], e["ci_high"], unit))


def _legend(rows: Sequence[Mapping]) -> Html:
    used = dict.fromkeys(r["design"] for r in rows)
    return paragraph("; ".join(f"{d.replace('_', ' ')}: {DESIGNS[d]}" for d in used if d in DESIGNS), small=True)


def _text(rows: Sequence[Mapping], moved: Sequence[Mapping]) -> str:
    pairs = len({(r["axis"], r["name"], r["version"]) for r in rows})
    lines = [f"{pairs} versions against their predecessors: {len(moved)} of {len(rows)} dimensions better or worse beyond doubt"]
    for r in moved[:8]:
        lines.append(
            f"  {r['verdict']}: {label(r['name'], 40)} {label(r['version'], 40)}, {terminal(r['label'], 60)} {change_text(r)}"
        )
    return "\n".join([*lines, *(f"  {terminal(r['rollback'], 300)}" for r in rows if r["rollback"])])
