"""The incident views, asked by their artists, their HTML and their text; expected numbers are worked out from the fixture."""

import datetime as dt
import json
import re
from html.parser import HTMLParser

import fixtures_incident as fx
import pandas as pd
import pytest
from matplotlib.dates import date2num

from llmobs_nb import units, views
from llmobs_nb.analyses.incident.result import FRAMES, Onset, frame
from llmobs_nb.reports.sanitize import sanitize
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.views import bundle, common_words, incident_charts, incident_page, incident_words, theme, wording_diff

CHARTS = {"timeline": incident_charts.timeline, "slices": incident_charts.slices}
PIECES = ("incident", "timeline", "slices", "prompt_diff", "checklist", "waterfall", "slice_explorer")
MAKERS = {"incident": fx.incident, "burst": fx.burst, "empty": fx.empty, "hostile": fx.hostile}
MAKERS |= {verdict: lambda v=verdict: fx.quiet(v) for verdict in fx.QUIET}
BAD_CHARACTERS = re.compile("[\x00\x1b\u202e\u202c]|abcdefgh12345678|secretsecret")


@pytest.fixture(scope="module")
def page():
    return views.incident(fx.incident())


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


class Reader(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs


@pytest.fixture
def unrendered(monkeypatch):
    """Charts are drawn but not made into pictures, where a test is about words."""
    monkeypatch.setattr(bundle, "png", lambda figure: b"\x89PNG")


def tables(html):
    """The tables of a page as rows of cell texts."""
    found = re.findall(r"<table.*?</table>", html, re.DOTALL)
    return [
        [
            [words_of(c) for c in re.findall(r"<t[dh][ >].*?</t[dh]>", r, re.DOTALL)]
            for r in re.findall(r"<tr>.*?</tr>", t, re.DOTALL)
        ]
        for t in found
    ]


# --- charts


def test_the_timeline_draws_slice_and_rest_with_their_intervals():
    ax = incident_charts.timeline(fx.incident()).axes[0]
    lines = {line.get_label(): line for line in ax.lines if "interval" in line.get_label() and "onset" not in line.get_label()}
    part = lines["the slice, 95 % interval"]
    assert list(part.get_ydata()) == [0.79] * 4 + [0.45] * 5  # ten days, one of them without a value
    assert len(lines["the rest of traffic, 95 % interval"].get_ydata()) == 10
    bands = [c.get_paths()[0].get_extents() for c in ax.collections]
    assert [(round(b.y0, 6), round(b.y1, 6)) for b in bands] == [(0.775, 0.815), (0.37, 0.87)]


def test_a_day_stands_at_its_noon_and_the_onset_where_it_is():
    ax = incident_charts.timeline(fx.incident()).axes[0]
    first = next(line for line in ax.lines if line.get_label().startswith("the slice"))
    assert date2num(first.get_xdata()[0]) == date2num(dt.datetime(2026, 10, 21, 12))
    (mark,) = [line for line in ax.lines if line.get_label() == "onset"]
    assert mark.get_xdata()[0] == dt.datetime(2026, 10, 26, 7)
    (band,) = [p for p in ax.patches if p.get_label() == "onset, 90 % interval"]
    assert band.get_x() == date2num(dt.datetime(2026, 10, 25, 7))
    assert band.get_width() == pytest.approx(3)


def test_moments_stand_on_the_clock_of_the_result():
    ax = incident_charts.timeline(fx.incident(parameters={"tz": "Asia/Tokyo"})).axes[0]
    (mark,) = [line for line in ax.lines if line.get_label() == "onset"]
    assert mark.get_xdata()[0] == dt.datetime(2026, 10, 26, 16)


def test_the_end_of_a_burst_is_drawn():
    labels = {line.get_label() for line in incident_charts.timeline(fx.burst()).axes[0].lines}
    assert {"onset", "end"} <= labels
    assert "end" not in {line.get_label() for line in incident_charts.timeline(fx.incident()).axes[0].lines}


def test_the_change_log_is_marked_with_its_numbers_and_its_matches():
    ax = incident_charts.timeline(fx.incident()).axes[0]
    marks = [(line.get_label(), line.get_markerfacecolor()) for line in ax.lines if line.get_marker() == "v"]
    look = theme.LIGHT
    assert marks == [("change log", look.card), ("change log, matching", look.ink)]  # the first one lies before the days drawn
    assert [t.get_text() for t in ax.texts] == ["2", "3"]


def test_parts_of_the_timeline_differ_by_more_than_colour():
    lines = [line for line in incident_charts.timeline(fx.incident()).axes[0].lines if "95 %" in line.get_label()]
    assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 2
    assert len({line.get_markerfacecolor() for line in lines}) == 2


def test_slice_bars_have_intervals_and_the_picked_one_two_cues():
    ax = incident_charts.slices(fx.incident()).axes[0]
    widths = {round(bar.get_width(), 6): (bar.get_hatch(), bar.get_facecolor()) for bar in ax.patches}
    assert set(widths) == {-0.34, -0.22, -0.31, -0.01}
    assert [w for w, (hatch, _) in widths.items() if hatch] == [-0.34]
    assert len({colour for _, colour in widths.values()}) == 2
    ends = [tuple(round(x, 6) for x in s[:, 0]) for s in ax.containers[-1][2][0].get_segments()]
    assert ends == [(-0.39, -0.29), (-0.30, -0.14), (-0.41, -0.21), (-0.03, 0.01)]
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["▶ auth = sso", "tenant_id = t-01"]


def test_of_many_slices_the_picked_one_is_always_drawn():
    row = fx.slices().iloc[1]
    many = pd.DataFrame([row.to_dict() | {"slice": f"tenant_id=t-{i}", "picked": i == 30} for i in range(31)])
    ax = incident_charts.slices(fx.incident(slices=many)).axes[0]
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert len(names) == incident_charts.MAX_SLICES
    assert names[-1] == "▶ tenant_id = t-30"


def test_messages_are_made_from_the_numbers():
    assert incident_words.timeline(fx.incident()) == "helpfulness (judge) fell from 0.79 to 0.45 in auth = sso on 2026-10-26"
    assert incident_words.timeline(fx.burst()) == "Error rate rose from 1.0 % to 32 % in provider = acme on 2026-10-26"
    assert incident_words.timeline(fx.quiet("no_change")) == "No daily levels: no change"
    quiet = fx.incident(onset=None, verdict="no_change")
    assert incident_words.timeline(quiet) == "helpfulness (judge) by day: no change"
    assert incident_words.slices(fx.incident()) == "The slice auth = sso moved by -0.34 net of the rest of traffic"
    calm = fx.incident(slices=fx.slices().assign(picked=False))
    assert incident_words.slices(calm) == "No slice of helpfulness (judge) stands out"


@pytest.mark.parametrize("name", CHARTS)
def test_the_message_is_the_title(name):
    message = getattr(incident_words, name)(fx.incident())
    assert title(CHARTS[name](fx.incident())) == message[0].upper() + message[1:]


@pytest.mark.parametrize("name", CHARTS)
def test_an_empty_chart_says_so(name):
    figure = CHARTS[name](fx.empty())
    assert [t.get_text() for t in figure.axes[0].texts] == ["nothing to draw"]
    assert title(figure).startswith("No ")


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("made", ["incident", "burst", "hostile", "empty"])
def test_charts_are_small_pictures_in_light_and_dark_with_nothing_cut_off(name, made):
    for look in (theme.LIGHT, theme.DARK):
        figure = CHARTS[name](MAKERS[made](), theme=look)
        figure.draw_without_rendering()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert drawn.x0 >= 0 and drawn.y0 >= 0 and drawn.x1 <= width and drawn.y1 <= height
        picture = theme.png(figure)
        assert picture[:4] == b"\x89PNG" and len(picture) < 60_000


def test_missing_numbers_are_left_out_of_the_charts():
    gone = fx.incident(timeline=fx.timeline().assign(low=None, high=None), slices=fx.slices().assign(low=None, high=None))
    assert theme.png(incident_charts.timeline(gone))[:4] == b"\x89PNG"
    assert theme.png(incident_charts.slices(gone))[:4] == b"\x89PNG"
    unknown = fx.incident(slices=fx.slices().assign(effect=None))
    assert [t.get_text() for t in incident_charts.slices(unknown).axes[0].texts] == ["nothing to draw"]
    assert units.MISSING in words_of(incident_page.slice_table(unknown))


# --- the page


def test_the_static_page_says_everything(page):
    text = words_of(page.html)
    for told in (
        "✗ incident", "helpfulness (judge) in auth = sso: 0.79 (0.77 to 0.81, n 620) before, 0.45 (0.40 to 0.50, n 141) after.",
        "Began 2026-10-26 07:00 UTC, step by step (90 % interval 2026-10-25 07:00 UTC to 2026-10-28 07:00 UTC); still going on.",
        "1. A passage in the prompt", "Effect there: -0.34 (-0.39 to -0.29, n 141); it explains 91 % of the whole change.",
        "Confidence 97 %.", "the prompt version did not change", "Without it helpfulness (judge) would have been 0.789 (0.771 to 0.807, n 141).",
        "To undo it: take the passage out", "96 % of the traces of auth = sso have this passage since 2026-10-26 07:00 UTC",
        "▶ picked", "! unusual", "1,903 ; usually 640 to 812", "? cannot tell", "◆ matches", "output_chars ✗ incident 2026-10-26 07:00 UTC",
        "85 % of traces have no judge score",
    ):  # fmt: skip
        assert told in text
    assert page.html.count("<img") == page.html.count("<source") == len(page.figures) == 2


def test_a_burst_says_that_it_is_over_and_has_no_diff(unrendered):
    page = views.incident(fx.burst())
    text = words_of(page.html)
    assert "as a burst" in text and "ended 2026-10-26 13:00 UTC." in text
    assert "What the prompt says now" not in text and "To undo it" not in text
    assert "it explains" not in text
    assert "31 % more errors" in text


@pytest.mark.parametrize("verdict", fx.QUIET)
def test_every_other_verdict_is_calm_and_names_the_smallest_change(verdict, unrendered):
    page = views.incident(fx.quiet(verdict))
    text = words_of(page.html)
    icon, told, _ = incident_words.VERDICTS[verdict]
    assert f"{icon} {told}" in text and incident_words.MEANING[verdict] in text
    assert "The smallest change of helpfulness (judge) that this data could have shown is 0.06." in text
    assert not re.search("Why, the likeliest|Read these traces|Began|✗", text)
    assert told in repr(page)


def test_verdicts_and_checks_have_a_cue_that_is_no_colour(unrendered):
    for menu in (incident_words.VERDICTS, incident_words.CHECKS):
        assert all(icon for icon, _, _ in menu.values())
        assert len({told for _, told, _ in menu.values()}) == len(menu)
    page = views.incident(fx.quiet("judge_changed")).html
    assert "≠ the judge changed" in words_of(page)


def test_every_kind_of_cause_has_words():
    kinds = "prompt_text prompt_version model_version model_behaviour configuration retrieval guardrail truncation input_mix agent_loop prompt_cache price provider_latency provider_errors"
    assert set(incident_words.KINDS) == set(kinds.split())
    assert incident_words.kind(fx.cause(kind="solar_flare")) == "solar_flare"


@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("name", PIECES)
def test_each_piece_of_each_result_is_a_view_that_cannot_act(name, made, unrendered):
    view = getattr(views, name)(MAKERS[made]())
    data = view._repr_mimebundle_()
    assert data["text/plain"] and data["text/plain"] == repr(view)
    page = Reader(data["text/html"])
    assert not page.tags & {"script", "style", "svg", "iframe", "object", "form", "link"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"url\(|var\(|currentcolor|(?:^|;)\s*color:", " ".join(v for k, v in page.attributes if k == "style"))
    addresses = [v for k, v in page.attributes if k in ("href", "src", "srcset")]
    assert all(a == fx.URL or a.startswith("data:image/png;") for a in addresses)
    assert not BAD_CHARACTERS.search(data["text/html"] + data["text/plain"])


def test_hostile_text_is_escaped_and_shown(unrendered):
    html = views.incident(fx.hostile()).html
    assert html.count("&lt;script&gt;") > 20
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img src=x" not in html


@pytest.mark.parametrize("name", list(FRAMES))
def test_the_page_stands_without_any_one_table(name, unrendered):
    text = words_of(views.incident(fx.incident(**{name: frame(name)})).html)
    assert "A passage in the prompt" in text


def test_the_page_survives_the_report_s_sanitizer(page):
    kept = words_of(sanitize(page.html))
    assert "Keep every answer under two sentences." in kept and "trace-0" in kept and "▶ picked" in kept
    assert f'<a href="{fx.URL}"' in sanitize(page.html)


def test_each_number_with_an_interval_is_a_claim(unrendered):
    for result in (fx.incident(), fx.burst()):
        claims = {c["id"]: c for c in result.claims()}
        assert len(claims) == len(result.claims())
        told = {
            common_words.level(Estimate(c["value"], c["ci_low"], c["ci_high"], c["n"]), c["unit"])
            for c in claims.values()
            if c["value"] is not None
        }
        told |= {
            common_words.effect(Estimate(c["value"], c["ci_low"], c["ci_high"], c["n"]), c["unit"])
            for c in claims.values()
            if c["value"] is not None
        }
        text = words_of(views.incident(result).html)
        shown = re.findall(r"[-+]?[\d.,]+(?: %| pp)? \([^()]* to [^()]*, n [\d,]+\)", text)
        assert len(shown) >= 3 and set(shown) <= told


def test_the_tables_show_what_is_claimed(unrendered):
    result = fx.incident()
    claims = {c["id"]: c for c in result.claims()}
    html = views.slices(result).html
    rows = next(t for t in tables(html) if t[0][0] == "slice")[1:]
    for k, row in enumerate(rows):
        c = claims[f"slice.{k}"]
        between = units.interval(c["ci_low"], c["ci_high"], "score", kind="absolute")
        assert row[3] == f"{units.change(c['value'], 'score', 'absolute', low=c['ci_low'], high=c['ci_high'])} {between}"
        assert row[5] == units.count(c["n"])
    days = next(t for t in tables(views.timeline(result).html) if t[0][0] == "day")[1:]
    assert len(days) == len([c for c in claims if c.startswith("timeline.")]) == 20
    assert days[1] == ["Wed 2026-10-21", "the slice", "0.79 (0.71 to 0.87)", "30"]


# --- traces


def test_the_exemplars_are_listed_with_their_links(page):
    rows = next(t for t in tables(page.html) if "matched on" in t[0])
    assert rows[1] == ["trace-0", "after", "2026-10-27 07:00 UTC", "0.31", "feature, intent"]
    assert rows[2][0] == "trace-1"
    assert re.findall(r'<a href="([^"]*)".*?>(.*?)</a>', page.html) == [(fx.URL, "trace-0")]


def test_without_exemplars_the_trace_ids_are_listed(unrendered):
    text = words_of(views.incident(fx.incident(exemplars=frame("exemplars"))).html)
    assert "Read these traces" in text and "trace-7" in text


def test_the_checklist_is_a_matrix_of_traces_and_checks():
    view = views.checklist(fx.incident())
    (rows,) = tables(view.html)
    assert rows[0] == ["trace", *fx.CHECKS]
    assert rows[1] == ["trace-0", "✓ ok", "✓ ok", "✓ ok", "! unusual 1,903 ; usually 640 to 812"]
    assert rows[2] == ["trace-1", "? cannot tell usually gpt-4o", "", "", ""]
    assert view.text == "2 of 5 checks are not as usual"


# --- the prompt diff


def diff_lines(html):
    return [
        re.sub(r"<[^>]+>", "", m).rstrip("\n")
        for m in re.findall(r"<(?:ins|del|span|i) style=.*?</(?:ins|del|span|i)>", html, re.DOTALL)
    ]


def test_the_passage_is_shown_with_a_sign_and_then_the_whole_prompt():
    html = views.prompt_diff(fx.incident()).html
    passage, whole = html.split("<details")
    assert diff_lines(passage) == ["+ " + line for line in fx.PASSAGE.split("\n")]
    assert diff_lines(whole) == [
        "  … 4 lines as before",
        "  No secrets.",
        "  Go.",
        "+ ",
        *("+ " + line for line in fx.PASSAGE.split("\n")),
    ]
    assert whole.count("<ins") == 3 and "<del" not in whole


def test_a_passage_that_left_has_a_minus():
    d = fx.diff()
    gone = fx.cause(diff=type(d)(d.after, d.before, d.passage, "-", d.since, 0.5))
    html = views.prompt_diff(fx.incident(causes=(gone,))).html
    assert diff_lines(html.split("<details")[0]) == ["- " + line for line in fx.PASSAGE.split("\n")]
    assert "50 % of the traces of auth = sso lack this passage" in words_of(html)
    assert html.count("<del") == 5 and "<ins" not in html


def test_a_diff_shows_what_lies_around_a_change_and_counts_the_rest():
    before = [f"line {i}" for i in range(20)]
    after = [*before[:10], "new", *before[11:]]
    shown = diff_lines("".join(wording_diff._compared(before, after)))
    assert shown == [
        "  … 8 lines as before", "  line 8", "  line 9", "- line 10", "+ new", "  line 11", "  line 12", "  … 7 lines as before",
    ]  # fmt: skip


def test_a_huge_prompt_is_cut_and_says_so():
    d = fx.diff()
    huge = fx.cause(diff=type(d)("", "a\n" * 5_000_000, "b" * 10_000_000, "+", d.since, 0.5))
    html = views.prompt_diff(fx.incident(causes=(huge,))).html
    assert len(html) < 400_000
    assert "characters more]" in html and "lines more]" in html


def test_without_a_diff_it_says_so():
    assert "No change in the wording" in views.prompt_diff(fx.burst()).html


# --- words


@pytest.mark.parametrize(
    ("slice", "found"),
    [
        ("auth=sso", {"auth": "sso"}),
        ("auth=sso, feature=search, maps", {"auth": "sso", "feature": "search, maps"}),
        ("params={\"a\": 1, \"b\": 2}", {"params": '{"a": 1, "b": 2}'}),
        ("query=a=b", {"query": "a=b"}),
        ("all", {}), ("", {}), (None, {}), (float("nan"), {}),
    ],
)  # fmt: skip
def test_a_slice_is_read_as_its_equalities(slice, found):
    assert incident_words.pairs(slice) == found


def test_the_summary_for_a_terminal_is_one_line_a_thing():
    lines = incident_words.summary(fx.incident()).split("\n")
    assert lines[0] == fx.incident().headline
    assert "1. A passage in the prompt: auth = sso, confidence 97 %" in lines
    assert "   effect -0.34 (-0.39 to -0.29, n 141)" in lines
    assert (
        "   + Account policy for single sign-on: Keep every answer under two sentences. Do not cite internal documents." in lines
    )
    assert lines[-1] == "read first: trace-0, trace-1, trace-2, trace-3, trace-4 and 3 more"


def test_the_summary_of_hostile_text_is_harmless_and_keeps_its_lines():
    text = incident_words.summary(fx.hostile())
    assert not BAD_CHARACTERS.search(text)
    assert len(text.split("\n")) == len(incident_words.summary(fx.incident(causes=fx.hostile().causes)).split("\n"))


def test_a_moment_that_is_none_is_not_invented():
    assert common_words.moment(None, "UTC") == common_words.moment(pd.NaT, "UTC") == "n/a"
    naive = Onset(dt.datetime(2026, 10, 26, 7), dt.datetime(2026, 10, 26), dt.datetime(2026, 10, 27), "step")
    assert "Began 2026-10-26 07:00 UTC, at once" in incident_words.onset(fx.incident(onset=naive))


def test_the_fixture_is_what_the_contract_says():
    for made in MAKERS.values():
        json.dumps(made().json(), allow_nan=False)
