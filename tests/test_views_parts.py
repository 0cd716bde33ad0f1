"""What all pages are made of: HTML parts, chart parts, widget parts and the words they share."""

import ast
import datetime as dt
import re
from pathlib import Path

import fixtures_incident as fx
import numpy as np
import pandas as pd
import pytest

from llmobs_nb import units, views
from llmobs_nb.analyses.result import Finding, Result
from llmobs_nb.html import STRONG, Html
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.views import bundle, chart_parts, common_words, parts, widget_parts
from llmobs_nb.views.theme import DARK, LIGHT, new_figure

MENU = {"good": ("✓", "is good", "solid"), "bad": ("✗", "is bad", "double")}


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def result(**given):
    return Result(name="any", headline="All <is> well.", **given)


def test_no_view_borrows_what_another_keeps_to_itself():
    for path in Path(views.__file__).parent.glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        taken = [a.name for n in tree if isinstance(n, ast.ImportFrom) and n.level for a in n.names]
        assert not [name for name in taken if name.startswith("_")], path.name


# --- HTML


def test_a_page_begins_with_its_verdict_and_headline():
    mark = parts.verdict_badge(MENU, "bad", {"bad": parts.ORANGE})
    head = parts.page_head(result(), Html("<p>below</p>"), mark=mark)
    assert words_of(head) == "✗ is bad All &lt;is&gt; well. below"
    assert words_of(parts.page_head(result())) == "All &lt;is&gt; well."


@pytest.mark.parametrize(
    ("value", "words", "look"),
    [
        ("good", "✓ is good", f"solid {STRONG}"),
        ("bad", "✗ is bad", f"double {parts.ORANGE}"),
        ("<new>", "&lt;new&gt;", f"solid {STRONG}"),
        (None, "n/a", f"solid {STRONG}"),
        (float("nan"), "n/a", f"solid {STRONG}"),
        ("", "n/a", f"solid {STRONG}"),
    ],
)
def test_a_verdict_has_icon_word_and_line_and_colour_comes_last(value, words, look):
    made = parts.verdict_badge(MENU, value, {"bad": parts.ORANGE})
    assert words_of(made) == words and f"border:1.5px {look};" in made


def test_findings_have_a_severity_and_none_has_no_heading():
    told = (Finding("critical", "no <price>", 3), Finding("info", "sampled"))
    assert words_of(parts.findings(result(findings=told))) == "About the data ‼ critical no &lt;price&gt; i info sampled"
    assert parts.findings(result()) == ""


def test_provenance_tells_arguments_and_origin_and_no_secret():
    given = {"parameters": {"tz": "UTC"}, "provenance": {"store": "s3://key:secretsecret@bucket/x"}}
    told = words_of(parts.provenance(result(**given)))
    assert told == "How this was made what value tz UTC store s3://…@bucket/x"


def test_numbers_are_a_table_to_open_or_nothing():
    heads = ["day", *parts.number_heads("level", "n")]
    assert words_of(parts.numbers(heads, [["Mon", "0.5", "3"]])) == "The numbers day level n Mon 0.5 3"
    assert parts.numbers(heads, []) == ""


def test_an_interval_stands_below_its_number_and_a_missing_one_nowhere():
    assert parts.two_lines("0.5", "0.4 to 0.6") == '0.5<br><small style="opacity:.8;">0.4 to 0.6</small>'
    assert parts.two_lines("<5", units.MISSING) == "&lt;5"


def test_a_strip_reaches_a_tenth_beyond_what_it_draws():
    assert parts.strip(-1.0, 1.0, 2.0) == parts.strip(-1.0, 1.0, 2.0, limit=2.2)
    assert parts.strip(-1.0, 1.0, 2.0, margin=4.0) == parts.strip(-1.0, 1.0, 2.0, margin=4.0, limit=4.4)
    assert parts.strip(-1.0, 1.0, 2.0, margin=float("nan")) == parts.strip(-1.0, 1.0, 2.0)


@pytest.mark.parametrize("numbers", [(None, 1.0, 2.0), (1.0, float("nan"), 2.0), (1.0, 2.0, float("inf")), (0.0, 0.0, 0.0)])
def test_a_strip_of_nothing_is_nothing(numbers):
    assert parts.strip(*numbers) == ""


def test_what_is_left_out_is_counted():
    assert words_of(parts.left_out(3, "more rows")) == "3 more rows are in result.json"
    assert parts.left_out(0) == parts.left_out(-4) == ""


def test_a_trace_is_its_id_and_a_link_where_its_address_is_known():
    assert parts.trace_name("<t>") == "<code>&lt;t&gt;</code>"
    assert re.fullmatch(rf'<code><a href="{fx.URL}"[^>]*>t…</a></code>', parts.trace_name("trace", fx.URL, limit=2))
    assert parts.trace_name("t", "javascript:x") == "<code>t</code>"
    assert words_of(parts.trace_names(["a", "b"])) == "a &nbsp; b"


# --- words


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ((0.794, 0.71, 0.87, "score"), "0.79 (0.71 to 0.87)"),
        ((0.794, None, None, "score"), "0.79"),
        ((None, None, None, "score"), "n/a"),
        ((0.02, 0.014, 0.029, "rate"), "2.0 % (1.4 % to 2.9 %)"),
    ],
)
def test_a_level_from_a_table_has_its_interval(given, shown):
    assert common_words.with_interval(*given) == shown


def test_an_estimate_has_its_n_and_a_refused_one_its_reason():
    assert common_words.level(Estimate(0.79, 0.77, 0.81, 1204), "score") == "0.79 (0.77 to 0.81, n 1,204)"
    assert common_words.effect(Estimate(-0.34, -0.39, -0.29, 141), "score") == "-0.34 (-0.39 to -0.29, n 141)"
    assert common_words.level(Estimate.refused("too few"), "score") == "n/a (too few)"


def test_days_and_shares():
    assert common_words.day_name(dt.date(2026, 10, 26)) == "Mon 2026-10-26"
    assert (common_words.share(0.914), common_words.share(None)) == ("91 %", "n/a")


def test_the_time_zone_of_a_result_is_utc_where_none_was_given():
    assert common_words.tz_of(result()) == common_words.tz_of(result(parameters={"tz": None})) == "UTC"
    assert common_words.tz_of(result(parameters={"tz": "Asia/Tokyo"})) == "Asia/Tokyo"


# --- charts


def test_nothing_to_draw_says_so_under_its_message():
    figure = chart_parts.nothing_to_draw(None, "no <cost> yet", LIGHT)
    assert figure.get_suptitle() == "No <cost> yet"
    assert [t.get_text() for t in figure.axes[0].texts] == ["nothing to draw"]


def test_a_long_message_has_three_lines():
    figure = new_figure()
    chart_parts.chart_title(figure, "word " * 200, LIGHT)
    assert figure.get_suptitle().count("\n") == 2 and figure.get_suptitle().endswith(" …")


def test_the_legend_leads_with_what_is_asked_for():
    figure = new_figure()
    ax = figure.subplots()
    for name in ("last week", "this week", "_hidden"):
        ax.plot([1], [1], label=name)
    chart_parts.finish(figure, "message", ax, LIGHT, first="this")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["this week", "last week"]
    other = chart_parts.finish(new_figure(), "message", ax, LIGHT)
    assert [t.get_text() for t in other.legends[0].get_texts()] == ["last week", "this week"]


def test_axes_write_their_values_in_our_words():
    ax = new_figure().subplots()
    chart_parts.value_axis(ax, units.rate)
    assert ax.yaxis.get_major_formatter()(0.5, 0) == "50.0 %"
    chart_parts.value_axis_across(ax, units.money)
    assert ax.xaxis.get_major_formatter()(2.5, 0) == "$2.50"
    ax.set_xlim(0, 7.3)
    assert len(ax.get_xticks()) <= 6


def test_whole_numbers_have_ticks_at_whole_numbers():
    ticks = chart_parts.few_ticks(whole=True).tick_values(0, 3)
    assert set(ticks) == {round(t) for t in ticks}


def test_an_axis_of_days_goes_from_the_first_to_the_end_of_the_last():
    from matplotlib.dates import num2date

    ax = new_figure().subplots()
    days = pd.Series([chart_parts.noon(dt.date(2026, 10, 26)), chart_parts.noon(dt.datetime(2026, 10, 28, 7))])
    ax.plot(days, [1, 2])
    chart_parts.date_axis(ax, days)
    low, high = (num2date(x).replace(tzinfo=None) for x in ax.get_xlim())
    assert (low, high) == (dt.datetime(2026, 10, 26), dt.datetime(2026, 10, 29))


def test_error_bars_reach_to_the_interval_and_never_backwards():
    value, low, high = (pd.Series(v) for v in ([1.0, 1.0, 1.0], [0.5, np.nan, 2.0], [2.0, np.nan, 3.0]))
    down, up = chart_parts.reach(value, low, high)
    assert (list(down), list(up)) == ([0.5, 0, 0], [1.0, 0, 2.0])


def test_a_chart_is_drawn_for_both_kinds_of_page_and_keeps_the_light_one(monkeypatch):
    asked = []

    def draw(given, *, theme):
        asked.append((given, theme))
        return new_figure(1.0)

    monkeypatch.setattr(bundle, "png", lambda figure: b"\x89PNG")
    view = bundle.chart(draw, "result", "a <message>", Html("<p>numbers</p>"))
    assert asked == [("result", LIGHT), ("result", DARK)]
    assert view.text == "a <message>" and len(view.figures) == 1
    assert 'alt="a &lt;message&gt;"' in view.html and view.html.index("</figure>") < view.html.index("<p>numbers</p>")


# --- widgets


def test_a_choice_is_written_into_the_view_before_it_is_redrawn():
    view = bundle.View(Html(""), "", params={"slice": "a"})
    shown = widget_parts.html_widget(Html("<b>a</b>"))

    def redraw(chosen):
        shown.value = f"{chosen} {view.params}"

    menu = widget_parts.menu(view, "slice", [("A", "a"), ("B", "b")], redraw)
    assert (menu.value, menu.description, shown.value) == ("a", "slice", "<b>a</b>")
    menu.value = "b"
    assert shown.value == "b {'slice': 'b'}"
