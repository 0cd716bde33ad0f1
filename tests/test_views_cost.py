"""The cost views, asked by their artists, their words, their widgets and the checker of claims; numbers are those of the fixture."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import fixtures_cost as fx
import pandas as pd
import pytest
from costkit import opened, product
from fixtures_cost import HOSTILE
from matplotlib.colors import to_hex
from PIL import Image

from llmobs_nb.analyses.said import Quoted, Said
from llmobs_nb.errors import UsageError
from llmobs_nb.reports.checker import check
from llmobs_nb.views import cost_charts as charts
from llmobs_nb.views import cost_numbers as numbers
from llmobs_nb.views import cost_words as words
from llmobs_nb.views.bundle import WIDGET_MIME
from llmobs_nb.views.cost_drill import ALL, spenders
from llmobs_nb.views.cost_finance_page import cost_finance
from llmobs_nb.views.cost_page import cost, waterfall
from llmobs_nb.views.cost_page_claims import cost_claims
from llmobs_nb.views.cost_sliders import SLIDERS, what_if
from llmobs_nb.views.theme import DARK

CHARTS = {"trend": charts.trend, "month": charts.month, "waterfall": charts.waterfall, "rhythm": charts.rhythm, "by": charts.by}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def result():
    return fx.cost()


@pytest.fixture
def page(result):
    return cost(result)


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def words_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- charts


@pytest.mark.parametrize("name", [n for n in CHARTS if n != "waterfall"])
def test_the_message_is_the_title(result, name):
    message = getattr(words, name)(result)
    assert title(CHARTS[name](result)) == message[0].upper() + message[1:]


def test_messages_are_made_from_the_numbers(result):
    assert (
        words.trend(result)
        == "$140.00 spent, $10.00 on a usual day; 2026-11 will come to $270.00 ($255.00 to $285.00, 80 % interval)"
    )
    assert words.month(result).endswith("80 % interval); the limit is $200.00")
    assert words.change(result) == "Cost rose from $100.00 to $140.00, most of it by length of prompts (+$20.00)"
    assert words.rhythm(result) == "Tue 14:00 costs most: $0.900 an hour, a usual one $0.400"
    assert words.spenders(result, "feature") == "feature chat takes 50.0 % of cost; 2 of 3 make four fifths of it"
    assert words.by(result) == "Most goes to chat, model-large: 50.0 % of $140.00"
    assert words.waste(result) == "The largest of 2 lines: judges and other evaluators, $28.00"


def test_the_trend_has_what_was_spent_and_what_is_to_come_with_both_intervals():
    (ax,) = charts.trend(fx.cost()).axes
    spent, expected = ax.lines
    assert list(spent.get_ydata()) == [10.0] * 14
    assert len(expected.get_ydata()) == 15
    assert expected.get_linestyle() == "--"
    assert [b.get_label() for b in ax.collections] == ["95 % interval", "80 % interval"]
    outer = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (outer.min(), outer.max()) == pytest.approx((4 * 0.6, 10 * 1.5))


def test_the_trend_without_a_forecast_says_why(result):
    bare = replace(result, forecast=replace(fx.forecast(), value=None, reason="14 days are needed, there are 9."))
    (ax,) = charts.trend(bare).axes
    assert len(ax.lines) == 1
    assert title(charts.trend(bare)).endswith("no forecast: 14 days are needed, there are 9")


def test_the_month_is_drawn_against_its_limit(result):
    (ax,) = charts.month(result).axes
    assert [line.get_label() for line in ax.lines] == ["spent so far", "expected", "limit of the month"]
    assert set(ax.lines[2].get_ydata()) == {200.0}
    assert ax.lines[1].get_ydata()[-1] == 270.0


def test_the_waterfall_adds_up_and_tells_more_from_less_twice(result):
    (ax,) = charts.waterfall(result).axes
    bars = ax.patches
    steps = [b.get_height() for b in bars[2:]]
    assert steps == list(fx.PARTS.values())
    assert bars[0].get_height() + sum(steps) == bars[1].get_height() == 140.0
    for bar in bars[2:]:
        assert bool(bar.get_hatch()) == (bar.get_height() > 0)
        assert to_hex(bar.get_facecolor()) == ("#d55e00" if bar.get_height() > 0 else "#0072b2")
    assert "-$9.00" in [t.get_text() for t in ax.texts]
    assert ax.get_ylim()[0] == 0


def test_a_small_change_of_a_large_cost_is_shown_close_and_says_so(result):
    change = replace(fx.change(), before_usd=10_000.0, after_usd=10_040.0)
    (ax,) = charts.waterfall(replace(result, change=change)).axes
    assert ax.get_ylim()[0] > 9_000
    assert ax.get_title(loc="left") == "The axis does not begin at zero"


@pytest.mark.parametrize(
    ("before", "after", "parts", "message"),
    [
        (5.0, 5.0, {"volume": 1.0, "price": -1.0}, "Cost stayed at $5.00"),
        (9.0, 5.0, {"volume": 1.0, "price": -5.0}, "Cost fell from $9.00 to $5.00, most of it by prices (-$5.00)"),
    ],
)
def test_the_message_of_a_change(result, before, after, parts, message):
    assert words.change(replace(result, change=replace(fx.change(), before_usd=before, after_usd=after, parts=parts))) == message


def test_the_heatmap_holds_the_cost_of_one_hour_and_frames_the_dearest(result):
    ax = charts.rhythm(result).axes[0]
    grid = ax.images[0].get_array()
    assert grid.shape == (7, 24)
    assert (grid[1, 14], grid[0, 0]) == (0.9, 0.4)
    assert (ax.lines[0].get_xdata()[0], ax.lines[0].get_ydata()[0]) == (14, 1)
    assert ax.images[0].get_cmap().name == "cividis_r"
    assert charts.rhythm(result, theme=DARK).axes[0].images[0].get_cmap().name == "cividis"


def test_hours_that_never_came_are_blank(result):
    frame = fx.hours()
    ax = charts.rhythm(replace(result, hours=frame[frame.weekday != 6].assign(days=1))).axes[0]
    assert ax.images[0].get_array().mask[6].all()


def test_spenders_are_bars_and_all_others_one_more(result):
    (ax,) = charts.spenders(result, "tenant_id", value="tenant-2").axes
    assert [b.get_width() for b in ax.patches] == [91, 21, pytest.approx(28)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["tenant-7", "▶ tenant-2", "all others"]
    assert [bool(b.get_hatch()) for b in ax.patches] == [False, False, True]


def test_the_partition_draws_the_interval_of_a_request_and_none_where_it_is_refused(result):
    left, right = charts.by(result).axes
    assert [b.get_width() for b in left.patches] == [70, 42, 28]
    segments = right.containers[0][2][0].get_segments()
    assert [tuple(s[:, 0]) for s in segments] == [pytest.approx((0.0211, 0.0255)), pytest.approx((0.0079, 0.0089))]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_of_nothing_says_so(name):
    empty = fx.nothing()
    figure = CHARTS[name](empty)
    assert "nothing to draw" in [t.get_text() for t in figure.axes[0].texts]


# --- numbers


def test_splits_add_up_to_the_total(result):
    for key in numbers.splits(result):
        assert numbers.split(result, key).cost_usd.sum() == pytest.approx(result.total_usd, rel=1e-9)


def test_what_a_value_is_spent_on_is_found_on_either_side_of_a_pair(result):
    assert [(r["column"], r["of"]) for r in numbers.crossed(result, "feature", "chat")] == [("model", "model-large")]
    hostile, missing = numbers.crossed(result, "model", "model-small")
    assert hostile["of"] == HOSTILE
    assert pd.isna(missing["of"])
    assert [r["cost_usd"] for r in numbers.crossed(result, "feature", float("nan"))] == [28.0]


# --- the pages


@pytest.mark.parametrize("draw", [cost, cost_finance])
def test_every_number_of_both_pages_comes_from_a_claim(result, draw):
    assert check(draw(result).html, [*result.claims(), *cost_claims(result)]) == []


def test_a_wrong_digit_is_found(result, page):
    wrong = page.html.replace("</span>98.00", "</span>98.01")
    assert wrong != page.html
    assert {p.number for p in check(wrong, [*result.claims(), *cost_claims(result)])} == {"$98.01"}


def test_ids_of_claims_are_unique(result):
    ids = [c["id"] for c in (*result.claims(), *cost_claims(result))]
    assert len(ids) == len(set(ids))


def test_the_page_has_every_part_without_a_script(page):
    headings = re.findall(r"<h3[^>]*>(.*?)</h3>", page.html)
    assert [words_of(h) for h in headings] == [
        "What was spent", "Why it moved: 2026-11-02 to 2026-11-15 against as long before", "Where it moved", "What goes with it",
        "Day by day", "What the month will come to", "Budgets", "How well such forecasts did", "Who and what spends", "By feature, model",
        "What one of each costs", "When it is spent", "Where the waste is", "What was unusual",
        "Recorded cost that is not the list price", "Calls without a price", "About the data",
    ]  # fmt: skip
    assert page.html.count("prefers-color-scheme: dark") == 6  # five charts and the spenders of the first column


def test_a_chart_has_a_picture_for_light_and_for_dark_pages(result):
    shown = waterfall(result).html
    pictures = [b64decode(part) for part in re.findall(r"data:image/png;base64,([^\"]+)", shown)]
    corners = [Image.open(BytesIO(p)).convert("RGB").getpixel((0, 0)) for p in pictures]
    assert sorted(corners) == [(27, 27, 29), (255, 255, 255)]
    assert 'alt="Cost rose from $100.00 to $140.00' in shown


@pytest.mark.parametrize("draw", [cost, cost_finance])
def test_texts_from_the_data_cannot_act(result, draw):
    html = draw(result).html
    assert "<script" not in html
    assert "\x1b" not in html
    assert "abcdefgh12345678" not in html


def test_an_empty_store_has_a_page_that_says_so():
    assert words_of(cost(fx.nothing()).html).startswith("The store holds no dated spans")
    assert cost(fx.nothing()).widget is None
    assert words_of(cost_finance(fx.nothing()).html).startswith("Cost There is no cost to show yet.")


def test_a_result_without_the_later_parts_still_has_a_page(result):
    bare = {
        name: getattr(fx.nothing(), name)
        for name in ("change", "forecast", "budgets", "anomalies", "waste", "gaps", "unpriced", "pairs")
    }
    first = replace(result, headline="$140.00 were spent.", **bare)
    html = cost(first).html
    assert check(html, [*first.claims(), *cost_claims(first)]) == []
    assert "Nothing lies before this window" in html
    told = cost_finance(first).text
    assert "No waste was found." in told
    assert "There is no forecast: there is nothing to forecast from." in told


def test_long_tables_say_how_much_is_left_out(result):
    many = pd.concat([fx.by()] * 20, ignore_index=True)
    longer = replace(result, by=many)
    assert "20 more are in result.json" in words_of(cost(longer).html)
    assert check(cost(longer).html, [*longer.claims(), *cost_claims(longer)]) == []


def test_the_finance_page_says_it_in_plain_words(result):
    told = cost_finance(result).text.splitlines()
    assert told[:2] == ["Cost, 2 November to 15 November 2026", "$140.00 was spent."]
    for line in (
        "  $98.00 (70.0 % of all) went to model calls that worked at the first try.",
        "  The customer that costs most is tenant-7: $91.00 (65.0 % of all).",
        "  One request cost $0.0175 (between $0.0161 and $0.0189).",
        "  $20.00 more because of the length of prompts.",
        "  The budget “total/month” will be exceeded: $132.00 of $200.00 is spent.",
        "  For 1 model what was recorded is not the list price of the day; what was recorded counts.",
    ):
        assert line in told


def test_a_budget_of_many_values_is_told_once_and_that_of_all_cost_first(result):
    users = [
        ("user/day", Said("user_id ", Quoted(f"u-{n}")), 5.0, 9.0 - n, 1.8 - n / 5, "exceeded", Said("told")) for n in range(3)
    ]
    rows = pd.concat([pd.DataFrame(users, columns=fx.budgets().columns), fx.budgets()], ignore_index=True)
    crowded = replace(result, budgets=rows)
    told = [line for line in cost_finance(crowded).text.splitlines() if "budget" in line]
    assert told == [
        "  The budget “total/month” will be exceeded: $132.00 of $200.00 is spent.",
        "  The budget “user/day” is exceeded: $9.00 of $5.00 is spent by user_id u-0.",
    ]
    assert check(cost_finance(crowded).html, [*crowded.claims(), *cost_claims(crowded)]) == []


def test_a_part_that_lowers_the_cost_is_less(result):
    parts = {"price": -60.0, "volume": 100.0}
    told = cost_finance(replace(result, change=replace(fx.change(), parts=parts))).text
    assert "  $60.00 less because of the prices." in told.splitlines()


# --- the drill-down


def test_the_drill_down_reads_back_as_arguments(result):
    drill = spenders(result, split="tenant_id", value="tenant-7")
    assert drill.params == {"split": "tenant_id", "value": "tenant-7"}
    assert drill.kwargs() == {"by": ["feature", "model"], "tz": "UTC", "where": {"tenant_id": "tenant-7"}}
    assert "where" not in spenders(result).kwargs()
    assert spenders(result, split="feature", value="(none)").kwargs()["where"] == {"feature": None}


def test_the_value_of_a_drill_is_that_of_the_data_and_the_filter_stays(result):
    kept = replace(result, parameters={"where": {"environment": "prod"}})
    drill = spenders(kept, split="feature")
    offered = [name for name, _ in drill.widget.children[0].children[1].options]
    view = spenders(kept, split="feature", value=next(n for n in offered if n.startswith("<script>")))
    assert view.kwargs() == {"where": {"environment": "prod", "feature": HOSTILE}}


def test_the_menus_of_the_page_drive_its_arguments(result):
    shown = cost(result)
    drill = shown.widget.children[1]
    split, value = drill.children[0].children
    split.value = "tenant_id"
    assert [o for o, _ in value.options] == [ALL, "tenant-7", "tenant-2"]
    value.value = "tenant-2"
    assert shown.params == {"split": "tenant_id", "value": "tenant-2"}
    assert shown.kwargs()["where"] == {"tenant_id": "tenant-2"}
    assert "tenant-2" in drill.children[1].value
    split.value = "feature"
    assert shown.params == {"split": "feature", "value": ALL}


def test_the_page_has_three_forms(page):
    assert {"text/plain", "text/html", WIDGET_MIME} <= set(page._repr_mimebundle_())


def test_a_drill_that_is_not_on_the_menu_is_named(result):
    with pytest.raises(UsageError, match=r"split='colour' is not known; choose one of: .*feature"):
        spenders(result, split="colour")
    with pytest.raises(UsageError, match=r"value='nobody' is not known; choose one of: .*tenant-7"):
        spenders(result, split="tenant_id", value="nobody")


# --- what if


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("what_if"), product(days=14))


def test_the_static_form_shows_one_change_of_each_slider(obs):
    explorer = what_if(obs)
    assert explorer.params == {name: slider[4] for name, slider in SLIDERS.items()}
    assert explorer.kwargs() == {"tz": "UTC"}
    assert set(explorer.result.measures.name) == set(SLIDERS)
    assert check(explorer.html, explorer.claims()) == []


def test_the_sliders_price_history_again_and_read_back(obs):
    explorer = what_if(obs, price=0.5)
    sliders, shown = explorer.widget.children
    price = next(s for s in sliders.children if s.description.startswith("prices"))
    assert price.value == 0.5
    price.value = 2.0
    assert explorer.kwargs() == {"tz": "UTC", "price": 2.0}
    assert f"${2 * explorer.result.base_usd:,.2f}" in words_of(shown.value).replace("$ ", "$")


def test_a_result_is_shown_without_sliders(obs):
    made = what_if(what_if(obs, volume=2.0).result)
    assert made.widget is None
    assert made.kwargs() == {"volume": 2.0}


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"speed": 2.0}, r"what_if: 'speed' is no slider; choose one of: volume, price"),
        ({"prompt": 1.5}, r"what_if: prompt=1.5 lies outside of its slider; give a number from 0.1 to 1"),
        ({"cache": None}, r"what_if: cache=\(none\) lies outside of its slider"),
    ],
)
def test_a_slider_that_is_none_is_named(obs, start, message):
    with pytest.raises(UsageError, match=message):
        what_if(obs, **start)


# --- the terminal


def test_the_summary_has_at_most_thirty_lines_and_no_control_characters(result):
    crowded = replace(
        result,
        by=pd.concat([fx.by()] * 9, ignore_index=True), waste=pd.concat([fx.waste()] * 9, ignore_index=True),
        anomalies=pd.concat([fx.anomalies()] * 9, ignore_index=True), budgets=pd.concat([fx.budgets()] * 9, ignore_index=True),
        findings=result.findings * 30,
    )  # fmt: skip
    lines = words.summary(crowded).splitlines()
    assert len(lines) == 30
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(lines))
    assert sum(line.startswith("unusual:") for line in lines) == 5


def test_the_summary_says_totals_spenders_change_forecast_waste_and_anomalies(result):
    lines = words.summary(result).splitlines()
    assert lines[0] == result.headline
    assert lines[1] == "recorded $139.00, list price $140.50, 12 model calls without a price"
    assert lines[2] == "  chat, model-large: $70.00 (50 %), a request $0.023 ($0.021 to $0.025)"
    assert "budget total/month: will be exceeded, $132.00 of $200.00" in lines
    assert "waste: judges and other evaluators $28.00 (20 %)" in lines
    assert (
        "unusual: 2026-11-10 07:00 UTC, Tenant tenant-7 spent $18.00 in 2 hours, where $2.00 are usual: 9.0 times as much"
        in lines
    )
    assert lines[-1].startswith("warning: 3 spans have a negative recorded cost")


def test_the_summary_of_nothing_is_one_line():
    assert words.summary(fx.nothing()) == "The store holds no dated spans: there is no cost to attribute."
