"""The weekly page: KPI table with change, interval and verdict, four charts, what to read. Each piece is a view of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import units
from ..errors import choose
from ..html import Head, Html, badge, bar, bullets, details, escape, heading, interval, join, paragraph, stack, table, tag
from ..text import terminal
from . import weekly_charts as charts
from . import weekly_words as words
from .bundle import View, drawn
from .theme import is_number, label

if TYPE_CHECKING:
    from ipywidgets import Widget

MAX_SLICE_ROWS = 200
MAX_TRACES = 50
ALL_SCORES = "all scores"
_LINES = {"better": "#0072b2", "worse": "#d55e00"}
_HEAD = (
    Head("KPI"),
    Head("this week", number=True, hint="value, and 95 % interval below it"),
    Head("last week", number=True, hint="value, and 95 % interval below it"),
    Head("change", number=True, hint="this week minus last week, and 95 % interval below it"),
    Head("", hint="the change: dark is its interval, blue its value, the line is zero, the faint zone the margin"),
    Head("n", number=True, hint="this week, and last week below it"),
    Head("verdict"),
)


# --- the views


def kpi_table(result, *, slice: str = "all") -> View:
    """The KPI table of one slice ("all" is everything); its widget offers the other slices.

    ``slice`` is a value of the result's ``kpis.slice``. Without KPIs the table says so.
    """
    _check_slice(result, slice)
    others = [s for s in slices(result) if s != slice]
    static = stack(_table(result, slice), _sliced(result, others))
    build = partial(_table_widget, result) if others else None
    return View(static, _table_text(result, slice), widget=build, params={"slice": slice})


def volume(result) -> View:
    """Requests and failures by day."""
    return _chart(charts.volume, words.volume(result), result, _volume_rows)


def latency(result) -> View:
    """Median and 95th percentile by day, time to first token apart."""
    return _chart(charts.latency, words.latency(result), result, _latency_rows)


def cost(result) -> View:
    """Cost by feature, and of one request."""
    return _chart(charts.cost, words.cost(result), result, _cost_rows)


def quality(result, *, score: str | None = None) -> View:
    """Every score by day, or one; its widget offers them one by one."""
    if score is not None:
        choose("score", score, _scores(result))
    view = _chart(
        partial(charts.quality, score=score), words.quality(result, score=score), result, partial(_quality_rows, score=score)
    )
    build = partial(_quality_widget, result, view.html) if len(_scores(result)) > 1 else None
    return View(view.html, view.text, widget=build, params={"score": score}, figures=view.figures)


def weekly(result, *, slice: str = "all", score: str | None = None) -> View:
    """The whole page. ``slice`` and ``score`` are what its two menus start with; ``view.params`` is where they stand."""
    top = _top(result)
    table_view = kpi_table(result, slice=slice)
    views = {"Volume and errors": volume(result), "Latency": latency(result), "Cost": cost(result)}
    last = quality(result, score=score)
    parts = [heading("KPIs against last week"), table_view.html]
    for name, view in (*views.items(), ("Quality", last)):
        parts += [heading(name), view.html]
    below = _below(result)
    static = stack(top, *parts, below)
    build = partial(_page_widget, result, top, {**views, "Quality": last}, below)
    figures = tuple(f for v in (*views.values(), last) for f in v.figures)
    text = f"{terminal(result.headline)}\n{table_view.text}"
    return View(static, text, widget=build, params={"slice": slice, "score": score}, figures=figures)


def slices(result) -> list[str]:
    """The slices the KPIs were computed for, "all" first."""
    found = dict.fromkeys(["all", *result.kpis["slice"]])
    return list(found)


def _scores(result) -> list[str]:
    return sorted(set(result.quality["score"]))


def _check_slice(result, slice: str) -> None:
    choose("slice", slice, slices(result))


# --- the KPI table


def _table(result, slice: str) -> Html:
    rows = words.kpi_rows(result, slice=slice)
    return table([_row(r) for r in rows], _HEAD, caption=_caption(result, slice), empty="no KPI could be computed")


def _caption(result, slice: str) -> str:
    what = "all traffic" if slice == "all" else terminal(slice)
    return f"{terminal(result.week.label)} against {terminal(result.against.label)}, {what}"


def _row(row: dict) -> list[object]:
    unit, kind = row["unit"], row["change_kind"]
    moved = units.change(row["change_value"], unit, kind, low=row["change_low"], high=row["change_high"])
    between = units.interval(row["change_low"], row["change_high"], unit, kind=kind)
    counts = join([units.count(row["this_n"]), tag("small", units.count(row["last_n"]), style="opacity:.8;")], "<br>")
    level = [_two(_level(row, side), _between(row, side)) for side in ("this", "last")]
    return [
        tag("span", terminal(row["label"]), title=row.get("how")),
        *level,
        _two(moved, between),
        _strip(row, between),
        counts,
        _verdict(row),
    ]


def _level(row: dict, side: str) -> str:
    return units.quantity(row[f"{side}_value"], row["unit"], low=row[f"{side}_low"], high=row[f"{side}_high"])


def _between(row: dict, side: str) -> str:
    """The interval of a level; an exact count has none."""
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    return units.MISSING if low == high else units.interval(low, high, row["unit"])


def _two(value: str, between: str) -> Html:
    small = tag("small", between, style="opacity:.8;") if between != units.MISSING else ""
    return join([value, small], "<br>") if small else escape(value)


def _strip(row: dict, between: str) -> Html:
    low, value, high, margin = (row[k] for k in ("change_low", "change_value", "change_high", "margin"))
    if not all(is_number(v) for v in (low, value, high)):
        return Html("")
    margin = margin if is_number(margin) else None
    limit = 1.1 * max(abs(low), abs(high), abs(value), margin or 0)
    return interval(low, value, high, limit=limit, margin=margin, title=between) if limit else Html("")


def _verdict(row: dict) -> Html:
    icon, _, line = words.VERDICTS.get(row["verdict"], ("", "", "solid"))
    mark = badge(words.verdict_word(row["verdict"]), icon, line=line, colour=_LINES.get(row["verdict"], "rgba(127,127,127,.85)"))
    reason = row.get("reason")
    why = tag("small", reason, style="opacity:.8;display:inline-block;min-width:11em;") if isinstance(reason, str) else None
    return join([mark, why], "<br>") if why else mark


def _sliced(result, others: list[str]) -> Html:
    """The other slices in one closed table, for readers without the widget."""
    if not others:
        return Html("")
    rows = [(label(s, 60), *_row(r)) for s in others for r in words.kpi_rows(result, slice=s)]
    shown = table(rows[:MAX_SLICE_ROWS], (Head("slice"), *_HEAD))
    rest = (
        paragraph(f"{len(rows) - MAX_SLICE_ROWS} more rows are in result.json", small=True) if len(rows) > MAX_SLICE_ROWS else ""
    )
    return details(f"By slice ({len(others)})", shown, rest)


def _table_text(result, slice: str) -> str:
    rows = words.kpi_rows(result, slice=slice)
    lines = [f"{_caption(result, slice)}: {len(rows)} KPIs", *(f"  {_row_text(r)}" for r in rows[:8])]
    return "\n".join(lines + ([f"  … {len(rows) - 8} more"] if len(rows) > 8 else []))


def _row_text(row: dict) -> str:
    this, last = _level(row, "this"), _level(row, "last")
    return f"{terminal(row['label'], 40)} {this}, {last} last week: {words.verdict_word(row['verdict'])}"


# --- the charts and the numbers behind them


def _chart(draw, message: str, result, rows) -> View:
    picture, figure = drawn(lambda theme: draw(result, theme=theme), alt=message)
    return View(stack(picture, rows(result)), message, figures=(figure,))


def _numbers(head: list[Head], rows: list[list[object]]) -> Html:
    return details("The numbers", table(rows, head)) if rows else Html("")


def _numbered(*names: str) -> list[Head]:
    return [Head(n, number=True) for n in names]


def _by_day(frame) -> list[dict]:
    return frame.sort_values(["day"], kind="stable").to_dict("records") if len(frame) else []


def _with_interval(value: str, low, high, unit: str) -> str:
    between = units.interval(low, high, unit)
    return value if between == units.MISSING else f"{value} ({between})"


def _estimate(row: dict, value: str, low: str, high: str, unit: str) -> str:
    shown = units.quantity(row[value], unit, low=row[low], high=row[high])
    return _with_interval(shown, row[low], row[high], unit)


def _date(row: dict) -> str:
    return f"{row['day']:%a %Y-%m-%d}"


def _volume_rows(result) -> Html:
    heads = [Head("day"), *_numbered("requests", "failed", "share, 95 % interval")]
    rows = []
    for r in _by_day(result.daily):
        share = _estimate(r, "error_rate", "error_low", "error_high", "rate")
        rows.append([_date(r), units.count(r["requests"]), units.count(r["errors"]), share])
    return _numbers(heads, rows)


def _latency_rows(result) -> Html:
    heads = [Head("day"), Head("stage"), *_numbered("quantile", "value, 95 % interval", "n")]
    rows = []
    for r in _by_day(result.latency):
        value = _estimate(r, "value_ms", "low_ms", "high_ms", "ms")
        rows.append([_date(r), terminal(r["stage"]), f"p{100 * r['quantile']:.0f}", value, units.count(r["n"])])
    return _numbers(heads, rows)


def _cost_rows(result) -> Html:
    heads = [Head("feature"), *_numbered("this week", "last week", "change", "share", "requests", "one request, 95 % interval")]
    rows = []
    for r in result.cost.to_dict("records"):
        money = [units.money(r["this_usd"]), units.money(r["last_usd"]), units.change(r["change_usd"], "usd", "absolute")]
        one = _estimate(r, "cost_per_request", "low", "high", "usd")
        rows.append([label(r["feature"], 60), *money, bar(r["share"], units.rate(r["share"])), units.count(r["requests"]), one])
    return _numbers(heads, rows)


def _quality_rows(result, *, score: str | None) -> Html:
    heads = [Head("day"), Head("score"), Head("rater"), *_numbered("mean, 95 % interval", "n")]
    rows = []
    for r in _by_day(result.quality):
        if score in (None, r["score"]):
            mean = _estimate(r, "mean", "low", "high", "score")
            rows.append([_date(r), label(r["score"], 60), label(r["rater"]), mean, units.count(r["n"])])
    return _numbers(heads, rows)


# --- what stands above and below


def _top(result) -> Html:
    tz = terminal(result.parameters.get("tz") or "UTC")
    when = f"{result.week.start:%Y-%m-%d %H:%M} to {result.week.end:%Y-%m-%d %H:%M} UTC"
    line = f"{terminal(result.week.label)} ({when}) against {terminal(result.against.label)}; weeks are cut in {tz}."
    return stack(paragraph(tag("b", terminal(result.headline, 600))), paragraph(line, small=True))


_ICONS = {"info": "i", "warning": "!", "critical": "‼"}


def _below(result) -> Html:
    return stack(_findings(result), _errors(result), _reading(result), _provenance(result))


def _findings(result) -> Html:
    found = [stack(badge(f.severity, _ICONS.get(f.severity, "")), f" {terminal(f.text, 400)}") for f in result.findings]
    return stack(heading("About the data"), bullets(found)) if found else Html("")


def _errors(result) -> Html:
    rows = [
        [label(r["error_class"], 60), units.count(r["n"]), ", ".join(label(t, 40) for t in list(r["traces"])[:5])]
        for r in result.new_error_classes.to_dict("records")
    ]
    head = [Head("error class"), Head("n", number=True), Head("traces")]
    return stack(heading("Errors not seen last week"), table(rows, head)) if rows else Html("")


def _reading(result) -> Html:
    traces = [tag("code", label(t, 80)) for t in result.reading_list[:MAX_TRACES]]
    if not traces:
        return Html("")
    more = len(result.reading_list) - len(traces)
    rest = paragraph(f"{more} more are in result.json", small=True) if more else ""
    return stack(heading("Read these traces"), paragraph(join(traces, " &nbsp; ")), rest)


def _provenance(result) -> Html:
    given = {**result.parameters, **result.provenance}
    rows = [[terminal(k), terminal(v, 300)] for k, v in given.items()]
    return details("How this was made", table(rows, [Head("what"), Head("value")]))


# --- the widgets


def _html(value: Html) -> Widget:
    from ipywidgets import HTML

    return HTML(value=str(value))


def _menu(view: View, key: str, options: list[tuple[str, object]], redraw) -> Widget:
    """A menu that writes its choice into ``view.params`` and redraws."""
    from ipywidgets import Dropdown

    menu = Dropdown(options=options, value=view.params[key], description=key)

    def chosen(change: dict) -> None:
        view.params[key] = change["new"]
        redraw(change["new"])

    menu.observe(chosen, names="value")
    return menu


def _table_widget(result, view: View) -> Widget:
    from ipywidgets import VBox

    shown = _html(_table(result, view.params["slice"]))

    def redraw(slice: str) -> None:
        shown.value = str(_table(result, slice))

    options = [("all traffic" if s == "all" else label(s, 60), s) for s in slices(result)]
    return VBox([_menu(view, "slice", options, redraw), shown])


def _quality_widget(result, first: Html, view: View) -> Widget:
    from ipywidgets import VBox

    shown = _html(first)

    def redraw(score: str | None) -> None:
        shown.value = str(quality(result, score=score).html)

    options = [(ALL_SCORES, None), *((label(s, 60), s) for s in _scores(result))]
    return VBox([_menu(view, "score", options, redraw), shown])


def _page_widget(result, top: Html, views: dict[str, View], below: Html, view: View) -> Widget:
    from ipywidgets import Tab, VBox

    pages = [_html(v.html) for v in views.values()]
    if views["Quality"].widget is not None:
        pages[-1] = _quality_widget(result, views["Quality"].html, view)
    tabs = Tab(children=pages, titles=list(views))
    return VBox([_html(top), _table_widget(result, view), tabs, _html(below)])
