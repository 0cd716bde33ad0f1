"""Drift as a page: one table of all measures, the words that moved, the map of the questions, passages of the prompts."""

from __future__ import annotations

from functools import partial

from .. import units
from ..html import Head, Html, heading, paragraph, stack, table
from ..text import terminal
from . import drift_charts as charts
from .bundle import View, chart
from .common_words import Cue
from .parts import (
    ORANGE,
    findings,
    left_out,
    number_heads,
    numbers,
    page_head,
    provenance,
    two_lines,
    verdict_badge,
)  # fmt: skip
from .theme import is_number, label

VERDICTS: dict[str, Cue] = {
    "drift": ("◆", "drift", "double"),
    "same": ("=", "the same", "solid"),
    "cannot_tell": ("?", "cannot tell", "dashed"),
}
COLOURS = {"drift": ORANGE}
NAMES = {"classifier_auc": "AUC, 0.5 is alike", "ks": "Kolmogorov-Smirnov", "jensen_shannon": "Jensen-Shannon"}
MOST_ROWS, MOST_CHARTS, MOST_BLOCKS = 60, 3, 8


def drift(result) -> View:
    """The whole page of a :class:`~llmobs_nb.analyses.drift.DriftResult`."""
    shown = [_words(result, name) for name in _charted(result)]
    shown += [chart(charts.places, result, charts.map_message(result), _topics(result))] if len(result.places) else []
    top = page_head(result, paragraph(_when(result), small=True))
    pictures = [v.html for v in shown]
    html = stack(top, _table(result), *pictures, _blocks(result), findings(result), provenance(result))
    return View(html, _text(result), figures=tuple(f for v in shown for f in v.figures))


def _when(result) -> str:
    def told(w) -> str:
        return f"{terminal(w.label, 60)} ({w.start:%Y-%m-%d %H:%M} to {w.end:%Y-%m-%d %H:%M} UTC)"

    return f"{told(result.after)} against {told(result.before)}."


def _charted(result) -> list[str]:
    """The measures whose words get a chart: those that drifted, texts before mixes of values."""
    rows = result.rows[result.rows["verdict"] == "drift"]
    drifted = rows.sort_values("statistic", key=lambda s: s != "classifier_auc", kind="stable")["name"]
    moved = set(result.moved["name"])
    return [n for n in drifted if n in moved][:MOST_CHARTS]


def _words(result, name: str) -> View:
    found = result.moved[result.moved["name"] == name]
    rows = [
        [label(r["word"], 80), units.rate(r["share_before"]), units.rate(r["share_after"]), _limits(r["log_odds"], r)]
        for r in found.to_dict("records")
    ]
    below = numbers([Head("word, line or value"), *number_heads("before", "after", "log odds, simultaneous 95 %")], rows)
    return chart(partial(charts.words, name=name), result, charts.words_message(result, name), below)


def _limits(value: float, row: dict) -> str:
    return f"{value:+.2f} ({row['ci_low']:+.2f} to {row['ci_high']:+.2f})"


# --- the table


def _table(result) -> Html:
    head = [
        Head("measure"),
        *number_heads("distance, 95 % interval", "before → after", "n before", "n after", "q"),
        Head("verdict"),
        Head("what moved"),
    ]
    rows = [_row(r) for r in result.rows.to_dict("records")[:MOST_ROWS]]
    return stack(table(rows, head, empty="nothing was compared"), left_out(len(result.rows) - MOST_ROWS))


def _row(row: dict) -> list:
    known = is_number(row["value"])
    value = f"{row['value']:.3f}" if known else units.MISSING
    between = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}, margin {row['margin']:.2f}" if known else units.MISSING
    counts = [units.count(row["n_before"]), units.count(row["n_after"])]
    q = f"{row['q']:.2g}" if is_number(row["q"]) else units.MISSING
    mark = verdict_badge(VERDICTS, row["verdict"], COLOURS)
    return [
        label(row["label"], 60),
        two_lines(value, f"{NAMES[row['statistic']]}: {between}"),
        _levels(row),
        *counts,
        q,
        mark,
        _moved(row),
    ]


def _levels(row: dict) -> str:
    if not (is_number(row["before"]) and is_number(row["after"])):
        return units.MISSING
    return " → ".join(units.quantity(row[side], row["unit"]) for side in ("before", "after"))


def _moved(row: dict) -> str:
    """What moved, or why nothing can be told."""
    told = [f"{label(w['word'], 40)} {'↑' if w['log_odds'] > 0 else '↓'}" for w in row["words"][:4]]
    if row["verdict"] == "drift" and told:
        return ", ".join(told)
    return terminal(row["reason"], 200) if isinstance(row["reason"], str) else ""


# --- below


def _topics(result) -> Html:
    counted = result.places.groupby(["topic", "window"]).size().unstack(fill_value=0)
    rows = [[label(t, 60), *(units.count(r.get(w, 0)) for w in ("before", "after"))] for t, r in counted.to_dict("index").items()]
    return numbers([Head("topic"), *number_heads("drawn before", "drawn after")], rows)


def _blocks(result) -> Html:
    if not len(result.blocks):
        return Html("")
    rows = []
    for r in result.blocks.to_dict("records")[:MOST_BLOCKS]:
        what = "entered" if r["kind"] == "new" else "left"
        named = label(r["example"], 60) if isinstance(r["example"], str) else "no"
        rows.append(
            [
                what,
                terminal(r["text"], 400),
                named,
                units.rate(r["share_before"]),
                units.rate(r["share_after"]),
                units.count(r["n"]),
            ]
        )
    head = [Head(""), Head("passage"), Head("few-shot example"), *number_heads("before", "after", "n")]
    return stack(heading("Passages of the rendered prompts"), table(rows, head))


def _text(result) -> str:
    rows = result.rows.to_dict("records")
    lines = [terminal(result.headline, 600), *(f"  {label(r['label'], 60)}: {VERDICTS[r['verdict']][1]}" for r in rows[:8])]
    return "\n".join(lines + ([f"  … {len(rows) - 8} more"] if len(rows) > 8 else []))
