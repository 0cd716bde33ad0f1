"""The weekly page: KPI table with change, interval and verdict, four charts, what to read. Each piece is a view of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import units
from ..errors import choose
from ..html import Head, Html, bar, heading, paragraph, stack, table, tag
from ..text import terminal
from . import weekly_beside as beside
from . import weekly_charts as charts
from . import weekly_table as kpis
from . import weekly_words as words
from .bundle import View, chart
from .claimed import claimed
from .common_words import day_name, tz_of, with_interval
from .parts import findings, left_out, number_heads, numbers, page_head, provenance
from .theme import label
from .weekly_traces import names
from .widget_parts import html_widget, menu

if TYPE_CHECKING:
    from ipywidgets import Widget

READ_FIRST = 6
ALL_SCORES = "all scores"


# --- the views


def kpi_table(result, *, slice: str = "all") -> View:
    """The KPI table of one slice ("all" is everything); its widget offers the other slices.

    ``slice`` is a value of the result's ``kpis.slice``. Without KPIs the table says so.
    """
    _check_slice(result, slice)
    others = [s for s in words.slices(result) if s != slice]
    static = stack(kpis.kpi_html(result, slice), kpis.sliced_html(result, others))
    build = partial(_table_widget, result) if others else None
    return View(static, _table_text(result, slice), widget=build, params={"slice": slice})


def volume(result) -> View:
    """Requests and failures by day."""
    return chart(charts.volume, result, words.volume(result), _volume_rows(result))


def latency(result) -> View:
    """Median and 95th percentile by day, time to first token apart."""
    return chart(charts.latency, result, words.latency(result), _latency_rows(result))


def spend(result) -> View:
    """Cost by feature, and of one request."""
    return chart(charts.cost, result, words.cost(result), _cost_rows(result))


def quality(result, *, score: str | None = None) -> View:
    """Every score by day, or one; its widget offers them one by one."""
    if score is not None:
        choose("score", score, _scores(result))
    draw, message = partial(charts.quality, score=score), words.quality(result, score=score)
    view = chart(draw, result, message, _quality_rows(result, score=score))
    build = partial(_quality_widget, result, view.html) if len(_scores(result)) > 1 else None
    return View(view.html, view.text, widget=build, params={"score": score}, figures=view.figures)


def weekly(result, *, slice: str = "all", score: str | None = None) -> View:
    """The whole page. ``slice`` and ``score`` are what its two menus start with; ``view.params`` is where they stand."""
    top = _top(result)
    table_view = kpi_table(result, slice=slice)
    views = {"Volume and errors": volume(result), "Latency": latency(result), "Cost": spend(result)}
    last = quality(result, score=score)
    parts = [heading(f"KPIs against last {words.span(result)}"), table_view.html]
    for name, view in (*views.items(), ("Quality", last)):
        parts += [heading(name), view.html]
    below = _below(result)
    static = stack(top, *parts, below)
    build = partial(_page_widget, result, top, {**views, "Quality": last}, below)
    figures = tuple(f for v in (*views.values(), last) for f in v.figures)
    text = f"{terminal(result.headline)}\n{table_view.text}"
    return View(static, text, widget=build, params={"slice": slice, "score": score}, figures=figures)


def _scores(result) -> list[str]:
    return sorted(set(result.quality["score"]))


def _check_slice(result, slice: str) -> None:
    choose("slice", slice, words.slices(result))


# --- the KPI table


def _table_text(result, slice: str) -> str:
    rows = words.moved_first(words.kpi_rows(result, slice=slice))
    lines = [f"{kpis.caption(result, slice)}: {len(rows)} KPIs", *(f"  {_row_text(result, r)}" for r in rows[:8])]
    return "\n".join(lines + ([f"  … {len(rows) - 8} more"] if len(rows) > 8 else []))


def _row_text(result, row: dict) -> str:
    this, last = kpis.level(row, "this"), kpis.level(row, "last")
    return f"{terminal(row['label'], 40)} {this}, {last} last {words.span(result)}: {words.verdict_word(row['verdict'])}"


# --- the charts and the numbers behind them


def _by_day(frame) -> list[dict]:
    return frame.sort_values(["day"], kind="stable").to_dict("records") if len(frame) else []


def _volume_rows(result) -> Html:
    heads = [Head("day"), *number_heads("requests", "failed", "share, 95 % interval")]
    rows = []
    for r in _by_day(result.daily):
        share = with_interval(r["error_rate"], r["error_low"], r["error_high"], "rate")
        rows.append([day_name(r["day"]), units.count(r["requests"]), units.count(r["errors"]), share])
    return numbers(heads, rows)


def _latency_rows(result) -> Html:
    heads = [Head("day"), Head("stage"), *number_heads("quantile", "value, 95 % interval", "n")]
    rows = []
    for r in _by_day(result.latency):
        value = with_interval(r["value_ms"], r["low_ms"], r["high_ms"], "ms")
        rows.append([day_name(r["day"]), terminal(r["stage"]), f"p{100 * r['quantile']:.0f}", value, units.count(r["n"])])
    return numbers(heads, rows)


def _cost_rows(result) -> Html:
    heads = [
        Head("feature"),
        *number_heads(
            *(f"{k} {words.span(result)}" for k in ("this", "last")), "change", "share", "requests", "one request, 95 % interval"
        ),
    ]
    rows = []
    for r in result.cost.to_dict("records"):
        money = [units.money(r["this_usd"]), units.money(r["last_usd"]), units.change(r["change_usd"], "usd", "absolute")]
        one = with_interval(r["cost_per_request"], r["low"], r["high"], "usd")
        rows.append([_name(r["feature"]), *money, bar(r["share"], units.rate(r["share"])), units.count(r["requests"]), one])
    return numbers(heads, rows)


def _quality_rows(result, *, score: str | None) -> Html:
    heads = [Head("day"), Head("score"), Head("rater"), *number_heads("mean, 95 % interval", "n")]
    rows = []
    for r in _by_day(result.quality):
        if score in (None, r["score"]):
            mean = with_interval(r["mean"], r["low"], r["high"], "score")
            rows.append([day_name(r["day"]), _name(r["score"]), label(r["rater"]), mean, units.count(r["n"])])
    return numbers(heads, rows)


# --- what stands above and below


def _top(result) -> Html:
    """The first screen: is it worse, are we sure, what do we read."""
    tz = terminal(tz_of(result))
    when = f"{result.week.start:%Y-%m-%d %H:%M} to {result.week.end:%Y-%m-%d %H:%M} UTC"
    line = f"{terminal(result.week.label)} ({when}) against {terminal(result.against.label)}; days are cut in {tz}."
    rows = words.kpi_rows(result)
    counts = kpis.counts_html(rows, ["page.all.*"]) if rows else ""
    return page_head(result, paragraph(line, small=True), counts, kpis.moved_html(result), _read_first(result))


def _read_first(result) -> Html:
    """The first traces to read, and why those."""
    traces = result.reading_list[:READ_FIRST]
    if not traces:
        return Html("")
    why = ["errors not seen before"] * bool(len(result.new_error_classes))
    why.append("what got worse" if "worse" in words.counts(result.kpis.to_dict("records")) else "the extremes")
    return paragraph(tag("b", "Read first"), f" ({', then '.join(why)}): ", names(result, traces))


def _below(result) -> Html:
    return stack(beside.sections(result), _errors(result), _reading(result), findings(result), provenance(result))


def _errors(result) -> Html:
    rows = [
        [
            _name(r["error_class"]),
            claimed("span", units.count(r["n"]), ids=[f"new_error.{r['error_class']}"]),
            paragraph(names(result, list(r["traces"])[:5])),
        ]
        for r in result.new_error_classes.to_dict("records")
    ]
    head = [Head("error class"), Head("n", number=True), Head("traces")]
    return stack(heading(f"Errors not seen last {words.span(result)}"), table(rows, head)) if rows else Html("")


def _name(text: object) -> Html:
    return tag("samp", label(text, 60), style="font-family:inherit;")


def _reading(result) -> Html:
    traces = result.reading_list
    if not traces:
        return Html("")
    rest = claimed("div", left_out(len(traces) - words.MAX_TRACES), ids=["page.traces.left_out"])
    return stack(heading("Read these traces"), paragraph(names(result, traces[: words.MAX_TRACES])), rest)


# --- the widgets


def _table_widget(result, view: View) -> Widget:
    from ipywidgets import VBox

    shown = html_widget(kpis.kpi_html(result, view.params["slice"]))

    def redraw(slice: str) -> None:
        shown.value = str(kpis.kpi_html(result, slice))

    options = [("all traffic" if s == "all" else label(s, 60), s) for s in words.slices(result)]
    return VBox([menu(view, "slice", options, redraw), shown])


def _quality_widget(result, first: Html, view: View) -> Widget:
    from ipywidgets import VBox

    shown = html_widget(first)

    def redraw(score: str | None) -> None:
        shown.value = str(quality(result, score=score).html)

    options = [(ALL_SCORES, None), *((label(s, 60), s) for s in _scores(result))]
    return VBox([menu(view, "score", options, redraw), shown])


def _page_widget(result, top: Html, views: dict[str, View], below: Html, view: View) -> Widget:
    from ipywidgets import Tab, VBox

    pages = [html_widget(v.html) for v in views.values()]
    if views["Quality"].widget is not None:
        pages[-1] = _quality_widget(result, views["Quality"].html, view)
    tabs = Tab(children=pages, titles=list(views))
    return VBox([html_widget(top), _table_widget(result, view), tabs, html_widget(below)])
