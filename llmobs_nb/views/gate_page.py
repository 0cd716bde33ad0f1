"""The deployment gate as a page: the verdict, every dimension with its interval and margin, eval runs beside production."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from .. import units
from ..analyses.gate.run import DESIGNS
from ..html import Head, Html, heading, join, paragraph, stack, table, tag
from ..text import terminal
from .bundle import View, chart
from .chart_parts import finish, nothing_to_draw, reach, value_axis
from .common_words import Cue, cue, moment, with_interval
from .parts import (
    BLUE,
    ORANGE,
    findings,
    left_out,
    number_heads,
    numbers,
    page_head,
    provenance,
    strip,
    trace_names,
    two_lines,
    verdict_badge,
)
from .theme import LIGHT, Theme, is_number, label, new_figure, themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 4
MAX_RUNS = 60
VERDICTS: dict[str, Cue] = {
    "pass": ("✓", "pass", "solid"),
    "fail": ("✗", "fail", "double"),
    "blocked": ("✗", "blocked", "double"),
    "inconclusive": ("?", "inconclusive", "dashed"),
}
_COLOURS = {"pass": BLUE, "fail": ORANGE, "blocked": ORANGE}
_BETTER = {"up": "higher is better", "down": "lower is better"}
_HEAD = (
    Head("dimension"),
    Head("baseline", number=True, hint="value, and 95 % interval below it"),
    Head("candidate", number=True, hint="value, and 95 % interval below it"),
    Head("change", number=True, hint="candidate minus baseline, and its interval below it"),
    Head("", hint="the change: dark is its interval, blue its value, the line is zero, the faint zone the margin"),
    Head("margin", number=True, hint="the loss that starts to matter"),
    Head("power", number=True, hint="the chance to pass at this n if there is no difference, and the n for 0.8 below it"),
    Head("verdict"),
)


def gate(result) -> View:
    """The whole page of a :class:`~llmobs_nb.analyses.gate.GateResult`: verdict, dimensions, eval runs, traces to read."""
    drawn = chart(runs_chart, result, _runs_message(result), _runs_rows(result)) if len(result.eval_runs) else None
    parts = [_top(result), _table(result)]
    parts += [heading("Eval runs beside production"), drawn.html] if drawn else []
    static = stack(*parts, _reading(result), findings(result), provenance(result))
    return View(static, summary(result), figures=drawn.figures if drawn else ())


def summary(result) -> str:
    """The answer as lines for a terminal: verdict, headline, one line a dimension, what a reader must know, first traces."""
    lines = [f"{cue(VERDICTS, result.verdict)[1].upper()}: {terminal(result.headline, 600)}", _design(result)]
    lines += [f"  {_line(r)}" for r in result.dimensions.to_dict("records")]
    lines += [f"{f.severity}: {terminal(f.text, 300)}" for f in result.findings if f.severity != "info"]
    if result.reading_list:
        lines.append(f"read first: {', '.join(label(t, 60) for t in result.reading_list[:5])}")
    return "\n".join(lines)


def _line(row: dict) -> str:
    name = f"{cue(VERDICTS, row['verdict'])[1]}: {terminal(row['label'], 60)}"
    why = f"; {terminal(row['reason'], 200)}" if isinstance(row["reason"], str) else ""
    if not is_number(row["change_value"]):
        return f"{name}{why}"
    level = f"{_level(row, 'baseline')} to {_level(row, 'candidate')}"
    moved = f"change {_change(row)} ({_between(row)}, n {units.count(row['change_n'])})"
    return f"{name} {level}, {moved}, margin {_margin(row)}{why}"


def _top(result) -> Html:
    mark = verdict_badge(VERDICTS, result.verdict, _COLOURS)
    return page_head(result, paragraph(_design(result), small=True), mark=mark)


def _design(result) -> str:
    base, new = result.arms
    told = f"Compared: {DESIGNS[result.design]}; {units.count(base.traces)} requests of the baseline, {units.count(new.traces)} of the candidate"
    return f"{told}, {units.count(base.pairs)} pairs." if base.pairs is not None else f"{told}."


def _table(result) -> Html:
    rows = [_row(r) for r in result.dimensions.to_dict("records")]
    caption = f"{terminal(result.parameters['candidate'], 80)} against {terminal(result.parameters['baseline'], 80)}"
    return table(rows, _HEAD, caption=caption, empty="nothing is measured in either arm")


def _row(row: dict) -> list[object]:
    levels = [two_lines(_level(row, at), _level_between(row, at)) for at in ("baseline", "candidate")]
    why = row["reason"]
    mark = verdict_badge(VERDICTS, row["verdict"], _COLOURS)
    told = (
        tag("small", terminal(why, 200), style="opacity:.8;display:inline-block;min-width:13em;")
        if isinstance(why, str)
        else None
    )
    power = units.rate(row["power"]) if is_number(row["power"]) else units.MISSING
    needed = f"n for 80 %: {units.count(row['n_needed'])}" if is_number(row["n_needed"]) else units.MISSING
    name = join(
        [terminal(row["label"], 80), tag("small", _BETTER.get(row["better"], "either way matters"), style="opacity:.8;")], "<br>"
    )
    n = f"n {units.count(row['change_n'])}"
    return [
        tag("span", name, title=terminal(row["how"], 400)),
        *levels,
        two_lines(_change(row), f"{_between(row)}, {n}" if is_number(row["change_value"]) else units.MISSING),
        strip(row["change_low"], row["change_value"], row["change_high"], margin=row["margin"], title=_between(row)),
        _margin(row),
        two_lines(power, needed),
        join([mark, told], "<br>") if told else mark,
    ]


def _level(row: dict, at: str) -> str:
    return units.quantity(row[f"{at}_value"], row["unit"], low=row[f"{at}_low"], high=row[f"{at}_high"])


def _level_between(row: dict, at: str) -> str:
    return units.interval(row[f"{at}_low"], row[f"{at}_high"], row["unit"])


def _change(row: dict) -> str:
    return units.change(row["change_value"], row["unit"], row["change_kind"], low=row["change_low"], high=row["change_high"])


def _between(row: dict) -> str:
    return units.interval(row["change_low"], row["change_high"], row["unit"], kind=row["change_kind"])


def _margin(row: dict) -> str:
    told = units.change(row["margin"], row["unit"], row["change_kind"])
    return {"up": f"-{told[1:]}", "down": told}.get(row["better"], f"±{told[1:]}")


def _reading(result) -> Html:
    traces = result.reading_list
    return stack(heading("Read these traces of the candidate"), trace_names(traces)) if traces else Html("")


# --- eval runs


@themed
def runs_chart(result, *, figure: Figure | None = None, theme: Theme = LIGHT) -> Figure:
    """Every score of every run by time (filled), the same score's weeks in production beside it (hollow), one panel a score."""
    groups = list(result.eval_runs.groupby(["metric", "rater"], sort=True))[:MAX_PANELS]
    if not groups:
        return nothing_to_draw(figure, _runs_message(result), theme)
    figure = figure or new_figure(1.3 + 1.9 * len(groups))
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True).ravel()
    looks = {
        "production": {"color": theme.last, "fmt": "D--", "mfc": theme.card, "lw": 1.1, "elinewidth": 0.9},
        "eval": {"color": theme.this, "fmt": "o", "elinewidth": 1.6, "capsize": 2.5},
    }
    for ax, ((metric, rater), frame) in zip(panels, groups, strict=True):
        for of, look in looks.items():
            part = frame[(frame["of"] == of) & frame["mean"].notna() & frame["at"].notna()]
            if len(part):
                name = "eval run, 95 % interval" if of == "eval" else "production by week"
                ax.errorbar(
                    part["at"].dt.tz_convert(None),
                    part["mean"],
                    yerr=reach(part["mean"], part["low"], part["high"]),
                    label=name,
                    **look,
                )
        ax.set_title(f"{label(metric, 40)} ({label(rater, 20)})")
        value_axis(ax, units.number)
    figure.autofmt_xdate(rotation=0, ha="center")
    return finish(figure, _runs_message(result), panels[0], theme, first="eval")


def _runs_message(result) -> str:
    runs = result.eval_runs[result.eval_runs["of"] == "eval"] if len(result.eval_runs) else result.eval_runs
    names = runs["run"].nunique() if len(runs) else 0
    weeks = result.eval_runs[result.eval_runs["of"] == "production"]["at"].nunique() if len(result.eval_runs) else 0
    beside = (
        f" beside {weeks} {'week' if weeks == 1 else 'weeks'} of production" if weeks else "; production has none of their scores"
    )
    return textwrap.shorten(f"{names} eval {'run' if names == 1 else 'runs'}{beside}", 160)


def _runs_rows(result) -> Html:
    heads = [Head("at"), Head("run"), Head("dataset"), Head("score"), *number_heads("mean, 95 % interval", "n")]
    rows = []
    for r in result.eval_runs.tail(MAX_RUNS).to_dict("records"):
        run = label(r["run"], 60) if r["of"] == "eval" else f"production {label(r['run'], 20)}"
        mean = with_interval(r["mean"], r["low"], r["high"], "score")
        name = f"{label(r['metric'], 40)} ({label(r['rater'], 20)})"
        rows.append([moment(r["at"], "UTC"), run, label(r["dataset"], 40), name, mean, units.count(r["n"])])
    return stack(numbers(heads, rows), left_out(len(result.eval_runs) - MAX_RUNS, "earlier rows"))
