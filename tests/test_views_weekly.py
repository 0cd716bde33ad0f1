"""The weekly views, asked by their artists, their HTML and their widgets; expected numbers are worked out from the fixture."""

import datetime as dt
import re
from itertools import pairwise

import fixtures_weekly as fx
import matplotlib
import numpy as np
import pandas as pd
import pytest
from fixtures_weekly import HOSTILE
from matplotlib.colors import to_rgb

from llmobs_nb import views
from llmobs_nb.errors import UsageError
from llmobs_nb.html import Html
from llmobs_nb.views import bundle, theme, weekly_charts, weekly_words
from llmobs_nb.windows import Window

CHARTS = {name: getattr(weekly_charts, name) for name in ("volume", "latency", "cost", "quality")}


@pytest.fixture(scope="module")
def page():
    return views.weekly(fx.weekly())


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def intervals(ax, label):
    """Ends of the error bars of the series with this label."""
    (container,) = [c for c in ax.containers if c.get_label() == label]
    return [tuple(np.round(segment[:, 1], 6)) for segment in container[2][0].get_segments()]


# --- charts


def test_volume_draws_the_days_of_both_weeks():
    top, below = weekly_charts.volume(fx.weekly()).axes
    assert [bar.get_height() for bar in top.patches] == [200] * 7
    assert list(top.lines[0].get_ydata()) == [184] * 7
    assert [t.get_text() for t in below.get_xticklabels()][:2] == ["Mon 9 Nov", "Tue 10 Nov"]
    assert top.get_ylim()[0] == 0


def test_volume_draws_the_interval_of_the_error_rate():
    _, below = weekly_charts.volume(fx.weekly()).axes
    assert intervals(below, "this week") == [(0.008, 0.044)] * 7  # 4 of 200, times 0.4 and 2.2
    assert len(intervals(below, "last week")) == 7


def test_messages_are_made_from_the_numbers():
    result = fx.weekly()
    assert weekly_words.volume(result) == "1,400 requests (+8.7 % on last week); 2.0 % failed, 1.0 % last week: worse"
    assert weekly_words.cost(result) == "$100.00 spent (+25.0 % on last week); chat takes 61.0 %"
    assert weekly_words.latency(result) == (
        "Latency p95 2.40 s, 2.60 s last week: better; Time to first token p95 510 ms, 505 ms last week: cannot tell"
    )
    assert weekly_words.quality(result) == (
        "helpfulness (judge) 0.71, 0.76 last week: worse; 1 more with no change we can be sure of"
    )


@pytest.mark.parametrize("name", CHARTS)
def test_the_message_is_the_title(name):
    message = getattr(weekly_words, name)(fx.weekly())
    assert title(CHARTS[name](fx.weekly())) == message[0].upper() + message[1:]


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ("same", "Quality held: 1 score the same as last week"),
        ("cannot_tell", "No change in quality we can be sure of: 1 score cannot be told"),
        ("better", "helpfulness (judge) 0.71, 0.76 last week: better"),
    ],
)
def test_quality_message_by_verdict(verdict, message):
    kpis = fx.kpis()
    kpis = kpis[kpis["name"] == "score:helpfulness:judge"].assign(verdict=verdict)
    assert weekly_words.quality(fx.weekly(kpis=kpis)) == message


def test_a_first_week_has_nothing_to_compare_with():
    full = fx.weekly()
    first = fx.weekly(daily=full.daily[full.daily.week == "this"], cost=full.cost.assign(last_usd=0.0))
    assert weekly_words.volume(first) == "1,400 requests, 2.0 % failed; nothing to compare with last week"
    assert weekly_words.cost(first) == "$100.00 spent (nothing last week); chat takes 61.0 %"
    assert len(weekly_charts.volume(first).axes[0].patches) == 7


def test_latency_keeps_first_token_apart():
    figure = weekly_charts.latency(fx.weekly())
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Whole request", "Time to first token"]
    labels = {c.get_label() for c in figure.axes[1].containers}
    assert labels == {"p50 this week", "p50 last week", "p95 this week", "p95 last week"}
    low, high = intervals(figure.axes[1], "p95 this week")[0]  # Monday: 510 * 0.92, times 0.9 and 1.15
    assert (low, high) == pytest.approx((422.28, 539.58))


def test_latency_without_first_tokens_has_one_panel():
    frame = fx.latency()
    figure = weekly_charts.latency(fx.weekly(latency=frame[frame.stage == "total"]))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Whole request"]


def test_cost_draws_features_by_size_and_the_interval_of_one_request():
    left, right = weekly_charts.cost(fx.weekly()).axes
    assert [bar.get_width() for bar in left.patches] == [61, 25, 9, 5]
    assert list(left.lines[0].get_xdata()) == [48, 22, 10, 0]
    assert [t.get_text() for t in left.get_yticklabels()][::3] == ["chat", "(none)"]
    segments = right.containers[0][2][0].get_segments()
    assert segments[0][:, 0] == pytest.approx([61 / 900 * 0.9, 61 / 900 * 1.12])


def test_many_features_are_summed_in_one_row():
    rows = pd.concat([fx.cost().iloc[[0]].assign(feature=f"f{i:02d}", this_usd=float(20 - i), last_usd=1.0) for i in range(12)])
    left, right = weekly_charts.cost(fx.weekly(cost=rows)).axes
    names = [t.get_text() for t in left.get_yticklabels()]
    assert names == [f"f{i:02d}" for i in range(7)] + ["5 others"]
    assert left.patches[-1].get_width() == 13 + 12 + 11 + 10 + 9
    assert len(right.containers[0][2][0].get_segments()) == 7


def test_quality_has_a_panel_a_score():
    figure = weekly_charts.quality(fx.weekly())
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["helpfulness (judge)", "relevance (judge)", "thumbs (user)"]
    assert len(intervals(figure.axes[2], "this week")) == 3  # thumbs came on three days
    (low, high) = intervals(figure.axes[0], "this week")[0]
    assert (low, high) == pytest.approx((0.66, 0.74))  # 0.71 - 0.01 and 0.04 around it


def test_quality_of_one_score():
    figure = weekly_charts.quality(fx.weekly(), score="thumbs")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["thumbs (user)"]
    assert title(figure) == "Thumbs (user) n/a, 0.80 last week: cannot tell"


@pytest.mark.parametrize("name", CHARTS)
def test_weeks_differ_by_more_than_colour(name):
    ax = CHARTS[name](fx.weekly()).axes[-1 if name == "volume" else 0]
    if name == "cost":
        assert ax.lines[0].get_marker() == "D" and ax.patches
        return
    looks = [(c[0].get_marker(), c[0].get_linestyle(), c[0].get_markerfacecolor()) for c in ax.containers]
    assert len({marker for marker, _, _ in looks}) == len(looks)
    assert {line for _, line, _ in looks} == {"-", "--"}
    assert len({fill for _, _, fill in looks}) == 2


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("make", [fx.weekly, fx.empty, fx.refused])
def test_nothing_is_cut_off(name, make):
    figure = CHARTS[name](make())
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 >= 0 and drawn.y0 >= 0 and drawn.x1 <= width and drawn.y1 <= height


@pytest.mark.parametrize("name", CHARTS)
def test_day_labels_do_not_overlap(name):
    figure = CHARTS[name](fx.weekly())
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = [t.get_window_extent() for t in ax.get_xticklabels() if t.get_text() and t.get_visible()]
        inside = sorted((b for b in boxes if figure.bbox.x0 <= b.x0 <= figure.bbox.x1), key=lambda b: b.x0)
        assert all(a.x1 < b.x0 for a, b in pairwise(inside))


@pytest.mark.parametrize("name", CHARTS)
def test_an_empty_week_says_so(name):
    figure = CHARTS[name](fx.empty())
    assert [t.get_text() for t in figure.axes[0].texts] == ["nothing to draw"]
    assert title(figure).startswith(("No ", "Nothing"))


def test_a_week_of_refusals_is_drawn_and_says_so():
    result = fx.refused()
    page = views.weekly(result)
    assert page.html.count("? cannot tell") == len(result.kpis)
    assert weekly_words.latency(result) == "Too few requests to estimate latency by day"
    assert [t.get_text() for t in weekly_charts.volume(result).axes[1].texts] == ["too few for an estimate"]
    assert [t.get_text() for t in weekly_charts.quality(result).axes[0].texts] == ["too few for an estimate"]
    assert len(weekly_charts.volume(result).axes[0].patches) == 7  # counts need no estimate
    assert views.weekly(result)._repr_mimebundle_()


@pytest.mark.parametrize("name", CHARTS)
def test_refused_numbers_are_left_out(name):
    result = fx.weekly()
    frames = {"volume": "daily", "latency": "latency", "cost": "cost", "quality": "quality"}
    frame = getattr(result, frames[name]).copy()
    columns = [c for c in frame if c.endswith(("_rate", "low", "high", "_ms", "mean", "per_request"))]
    frame.loc[frame.index[:3], columns] = np.nan
    assert theme.png(CHARTS[name](fx.weekly(**{frames[name]: frame})))[:4] == b"\x89PNG"


def test_days_are_placed_in_the_time_zone_of_the_week():
    hour = dt.timedelta(hours=1)
    shifted = {n: Window(w.start - hour, w.end - hour, w.label) for n, w in (("week", fx.WEEK), ("against", fx.AGAINST))}
    result = fx.weekly(parameters={"tz": "Europe/Berlin"}, **shifted)
    top, _ = weekly_charts.volume(result).axes
    assert [round(bar.get_x() + bar.get_width() / 2, 6) for bar in top.patches] == list(range(7))


def test_hostile_names_are_no_formulas():
    labels = [t.get_text() for t in weekly_charts.cost(fx.weekly()).axes[0].get_yticklabels()]
    assert labels[2] == "<script>alert(1)</scrip…"
    frame = fx.cost().assign(feature=["$x^{2$", "\\frac{$", "日本語", "a\nb\x1b[31m"])
    figure = weekly_charts.cost(fx.weekly(cost=frame))
    assert theme.png(figure)[:4] == b"\x89PNG"
    assert figure.axes[0].get_yticklabels()[3].get_text() == "a b"


# --- theme


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one, two):
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK], ids=lambda t: t.name)
def test_contrast_is_enough_to_read(look):
    assert contrast(look.ink, look.card) >= 7
    assert contrast(look.muted, look.card) >= 4.5
    assert contrast(look.this, look.card) >= 3
    assert contrast(look.last, look.card) >= 3


def test_settings_of_the_user_come_back():
    before = dict(matplotlib.rcParams)
    with theme.style(theme.DARK):
        assert matplotlib.rcParams["text.parse_math"] is False
    assert dict(matplotlib.rcParams) == before


def test_pictures_are_small():
    with theme.style(theme.LIGHT):
        assert len(theme.png(weekly_charts.latency(fx.weekly()))) < 60_000


# --- views


def test_a_bundle_has_three_forms(page):
    data = page._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", bundle.WIDGET_MIME}
    assert data["text/plain"] == repr(page)
    assert len(repr(page).splitlines()) <= 12
    assert set(page._repr_mimebundle_(include={"text/html"})) == {"text/html"}
    assert "text/html" not in page._repr_mimebundle_(exclude={"text/html"})


def test_the_page_holds_charts_for_light_and_dark_with_words(page):
    assert page.html.count("<img") == page.html.count("<source") == 4
    alts = re.findall(r'<img[^>]* alt="([^"]*)"', page.html)
    assert alts[0] == "1,400 requests (+8.7 % on last week); 2.0 % failed, 1.0 % last week: worse"
    assert len(page.figures) == 4


def test_the_static_page_says_everything(page):
    text = re.sub(r"<[^>]+>", " ", page.html)
    for words in (
        "Errors went from 1.0 % to 2.0 %",
        "2026-W46",
        "2026-W45",
        "1.4 % to 2.9 %",
        "+1.0 pp",
        "✗ worse",
        "? cannot tell",
    ):
        assert words in text
    for words in ("3 ratings this week, 10 needed", "By slice (2)", "feature=chat", "timeout", "trace-1", "no price"):
        assert words in text


def test_hostile_text_is_inert_everywhere(page):
    pages = [page.html, *(w.value for w in _htmls(page.widget))]
    assert not [p for p in pages if "<script" in p.lower()]
    for text in (*pages, page.text):
        assert not re.search("[\x00\x1b\u202e]|abcdefgh12345678|secretsecret", text)
    assert "&lt;script&gt;" in page.html


def test_the_page_survives_what_notebooks_strip(page):
    plain = re.sub(r'base64,[^"]*', "", page.html).lower()
    assert not re.search(r"<style|<svg|var\(|currentcolor|[;\"\s]color:|http|<script", plain)


def _htmls(widget):
    inner = [w for child in getattr(widget, "children", ()) for w in _htmls(child)]
    return ([widget] if type(widget).__name__ == "HTML" else []) + inner


def _menus(widget):
    inner = [w for child in getattr(widget, "children", ()) for w in _menus(child)]
    return ([widget] if type(widget).__name__ == "Dropdown" else []) + inner


def test_the_widget_is_drawn_before_anyone_clicks(page):
    shown = "".join(w.value for w in _htmls(page.widget))
    assert shown.count("<img") == 4
    assert "Errors went from" in shown and "✗ worse" in shown


def test_a_choice_redraws_and_is_read_back_as_arguments():
    result = fx.weekly()
    view = views.weekly(result)
    menus = {m.description: m for m in _menus(view.widget)}
    before = [w.value for w in _htmls(view.widget)]
    menus["slice"].value = "feature=chat"
    menus["score"].value = "thumbs"
    after = [w.value for w in _htmls(view.widget)]
    assert view.params == {"slice": "feature=chat", "score": "thumbs"}
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 2
    again = views.weekly(result, **view.params)
    assert [w.value for w in _htmls(again.widget)] == after


@pytest.mark.parametrize("name", ["kpi_table", "volume", "latency", "spend", "quality"])
def test_each_piece_is_a_view(name):
    view = getattr(views, name)(fx.weekly())
    assert isinstance(view, views.View)
    assert isinstance(view.html, Html) and view.text
    assert (view.widget is not None) == (name in ("kpi_table", "quality"))


@pytest.mark.parametrize("name", ["weekly", "kpi_table", "volume", "latency", "spend", "quality"])
def test_an_empty_week_has_every_view(name):
    view = getattr(views, name)(fx.empty())
    data = view._repr_mimebundle_()
    assert {"text/plain", "text/html"} <= set(data)


def cells(html, name):
    """The texts of the first row that begins with this name."""
    row = next(r for r in re.findall(r"<tr>.*?</tr>", html) if f">{name}<" in r)
    found = [re.sub(r"<br>|<[^>]+>", " ", c).split() for c in re.findall(r"<t[dh][ >].*?</t[dh]>", row)]
    return [" ".join(c) for c in found], row


def test_the_table_has_interval_n_and_verdict():
    text, row = cells(views.kpi_table(fx.weekly()).html, "Error rate")
    assert text[1:3] == ["✗ worse", "+1.0 pp +0.2 pp to +1.8 pp"]
    assert text[3:] == ["2.0 % 1.4 % to 2.9 %", "1.0 % 0.6 % to 1.7 %", "1.0 % 0.6 % to 1.7 %", "1,400 1,400"]
    assert "linear-gradient" in row


def with_kpis(count, verdict="same", **columns):
    """So many copies of one KPI."""
    row = fx.kpis().iloc[[0]].assign(verdict=verdict, **columns)
    return fx.weekly(kpis=pd.concat([row.assign(name=f"kpi_{i}", label=f"KPI {i}") for i in range(count)], ignore_index=True))


def test_a_hundred_kpis_are_folded_by_family_and_what_moved_stands_open_first():
    result = with_kpis(100)
    kpis = result.kpis.assign(family=["cost", "quality"] * 50)
    kpis.loc[8, "verdict"] = "worse"
    html = views.kpi_table(fx.weekly(kpis=kpis)).html
    assert re.findall(r"<b>(\w+)</b> \((\d+)\): ([^<]*)", html) == [
        ("Quality", "50", "= 50 same"),
        ("Cost", "50", "✗ 1 worse, = 49 same"),
    ]
    assert [bool(o) for o in re.findall(r"<details( open)?", html)] == [False, True]
    assert re.findall(r">(KPI \d+)<", html.split("<b>Cost</b>")[1])[:2] == ["KPI 8", "KPI 0"]


def test_few_kpis_stand_open():
    html = views.kpi_table(fx.weekly()).html
    assert html.count("<details open") == len(set(fx.kpis()["family"]))


def test_what_cannot_be_told_says_what_could_have_been_seen():
    kpis = fx.kpis()
    kpis = kpis[kpis["name"] == "ttft_p95"].assign(detectable=90.0, reason="the interval holds 0 and reaches beyond the margin")
    text, _ = cells(views.kpi_table(fx.weekly(kpis=kpis)).html, "Time to first token p95")
    assert text[1] == "? cannot tell too few data: 90 ms worse would have been seen"


def test_a_change_that_traffic_mix_made_is_split():
    parts = {
        "mix_value": 0.008,
        "mix_low": 0.006,
        "mix_high": 0.01,
        "within_value": 0.002,
        "within_low": -0.006,
        "within_high": 0.01,
    }
    kpis = fx.kpis()
    html = views.kpi_table(fx.weekly(kpis=kpis[kpis["name"] == "error_rate"].assign(**parts))).html
    assert cells(html, "Error rate")[0][1] == (
        "✗ worse at the same traffic +0.2 pp (-0.6 pp to +1.0 pp), by traffic mix +0.8 pp (+0.6 pp to +1.0 pp)"
    )


def test_an_objective_has_its_own_verdict():
    kpis = fx.kpis()
    html = views.kpi_table(fx.weekly(kpis=kpis[kpis["name"] == "latency_p95"].assign(slo=2000.0, slo_verdict="missed"))).html
    assert cells(html, "Latency p95")[0][1] == "✓ better ✗ objective missed objective 2.00 s"


def test_the_first_screen_answers_whether_it_is_worse_and_what_to_read(page):
    first = re.sub(r"<[^>]+>", " ", page.html[: page.html.index("KPIs against last week")])
    first = " ".join(first.split())
    assert "All traffic: ✗ 2 worse ✓ 1 better = 2 same ? 2 cannot tell" in first
    assert first.index("Error rate") < first.index("helpfulness (judge)") < first.index("Latency p95")
    assert "Read first (errors not seen before, then what got worse): trace-1" in first


def test_another_period_is_called_by_its_name():
    result = fx.weekly(parameters={"tz": "UTC", "period": "month"})
    assert weekly_words.volume(result).startswith("1,400 requests (+8.7 % on last month)")
    assert {c.get_label() for c in weekly_charts.latency(result).axes[1].containers} == {
        f"{p} {when} month" for p in ("p50", "p95") for when in ("this", "last")
    }
    assert "last week" not in views.weekly(result).html


DRIFT = {"name": "length", "label": "Length of answers", "statistic": "KS", "value": 0.31, "ci_low": 0.22, "ci_high": 0.4, "n_before": 800,
         "n_after": 200, "verdict": "drift", "words": [{"word": HOSTILE}], "detectable": None, "reason": None, "how": "KS"}  # fmt: skip
ALERT = {"rule": "errors", "severity": "critical", "state": "firing", "value": 0.04, "threshold": 0.02, "baseline": None, "n": 900,
         "unit": "rate", "by": {"feature": HOSTILE}, "since": "2026-11-12T03:00:00+00:00", "traces": ["trace-9"], "detail": None}  # fmt: skip


def test_drift_alerts_and_gold_stand_below_the_kpis_when_somebody_put_them_there():
    beside = {"drift": [DRIFT], "alerts": [ALERT, ALERT | {"state": "ok"}], "promoted": 12}
    html = views.weekly(fx.weekly(beside=beside)).html
    assert cells(html, "Length of answers")[0][1:5] == ["✗ drift", "KS", "0.31 (0.22 to 0.40)", "200 800"]
    row, _ = cells(html, "errors")
    assert row[1] == "‼ critical" and row[3:7] == ["4.0 %", "2.0 %", "900", "2026-11-12 03:00 UTC"]
    text = re.sub(r"<[^>]+>", " ", html)
    assert "1 of 2 firing" in text and "12 this week" in text
    assert "<script" not in html
    assert "Drift against" not in views.weekly(fx.weekly()).html


def test_one_slice():
    view = views.kpi_table(fx.weekly(), slice="feature=chat")
    assert view.params == {"slice": "feature=chat"}
    assert "2026-W46 against 2026-W45, feature=chat: 1 KPIs" in view.text


def test_wrong_choices_name_the_right_ones():
    with pytest.raises(UsageError, match=r"slice='x' is not known; choose one of: all, feature=chat"):
        views.kpi_table(fx.weekly(), slice="x")
    with pytest.raises(UsageError, match=r"score='x' is not known; choose one of: helpfulness, relevance, thumbs"):
        views.quality(fx.weekly(), score="x")
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'; it has: View, calibration, .*checklist, cost"):
        _ = views.nothing


def test_many_slices_are_cut_with_a_note():
    more = pd.concat([fx.kpis().iloc[[1]].assign(slice=f"tenant={i}") for i in range(250)])
    page = views.kpi_table(fx.weekly(kpis=more))
    assert f"{250 - weekly_words.MAX_SLICE_ROWS} more rows are in result.json" in page.html


def test_a_slice_with_a_hostile_name_can_be_chosen():
    result = fx.weekly()
    view = views.kpi_table(result, slice=f"feature={HOSTILE}")
    assert view.widget.children[0].value == f"feature={HOSTILE}"
    assert all("\x00" not in label and "\u202e" not in label for label, _ in view.widget.children[0].options)
