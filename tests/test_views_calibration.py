"""The calibration views, asked by their artists, their words, their widgets and the checker of claims; numbers are those of the fixture."""

import datetime as dt
import inspect
import re
from base64 import b64decode
from dataclasses import replace
from functools import cache
from html import unescape
from io import BytesIO

import calibrationkit as kit
import fixtures_calibration as fx
import numpy as np
import pandas as pd
import pytest
from fixtures_calibration import HOSTILE, at
from matplotlib.colors import to_hex
from PIL import Image
from storekit import put, score

import llmobs_nb as lm
from llmobs_nb.analyses.calibration import calibrate
from llmobs_nb.errors import UsageError
from llmobs_nb.reports.checker import check, examine
from llmobs_nb.views import bundle
from llmobs_nb.views import calibration_charts as charts
from llmobs_nb.views import calibration_numbers as numbers
from llmobs_nb.views import calibration_page as pages
from llmobs_nb.views import calibration_words as words
from llmobs_nb.views.bundle import WIDGET_MIME
from llmobs_nb.views.calibration_page import calibration
from llmobs_nb.views.calibration_page_claims import calibration_claims
from llmobs_nb.views.calibration_summary import summary
from llmobs_nb.views.calibration_threshold import threshold
from llmobs_nb.views.theme import DARK

CHARTS = ("pass_rate", "agreement", "confusion", "curve", "threshold", "bias", "slices", "drift")
KINDS = (fx.trust, fx.cannot_tell, fx.below_chance, fx.bare, fx.nothing)


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def result():
    return fx.trust()


@cache
def drawn(make):
    """A result and its page, drawn once, without pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "png", lambda figure: b"")
        made = make()
        return made, calibration(made)


@pytest.fixture
def page():
    return drawn(fx.trust)[1]


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def words_of(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def segments(container):
    """The intervals of error bars, lying ones as pairs of x, standing ones as pairs of y."""
    return [s for line in container[2] for s in line.get_segments()]


# --- charts


@pytest.mark.parametrize("name", CHARTS)
def test_the_message_is_the_title(result, name):
    message = getattr(words, name)(result)
    assert title(getattr(charts, name)(result)) == message[0].upper() + message[1:]


def test_messages_are_made_from_the_numbers(result):
    assert words.pass_rate(result) == "81 % of answers pass in truth (78 % to 83 %); the judge alone says 87.2 %"
    assert words.agreement(result) == "Cohen's kappa is 0.66 (0.58 to 0.74); humans reach 0.78 (0.71 to 0.85) with one another"
    assert words.confusion(result) == "Judge and humans agree on 436 of 480; the judge passes 30 that humans fail"
    assert words.curve(result) == "Where the judge says 0.94, humans pass 80 % (74 % to 85 %)"
    assert (
        words.bias(result) == "At the same human label the judge leans on length of the answer: +5 points per standard deviation"
    )
    assert words.slices(result) == "In locale = de judge and humans agree on 52 % only (42 % to 62 %): no better than chance"
    assert words.drift(result) == "same answers, judge-2 against judge-1: the judge moved"
    assert words.threshold(result).endswith("mistakes cost least at a threshold of 0.5 (0.3 to 0.7)")
    assert (
        words.planner(result)
        == "155 more labels bring the pass rate to ± 3.0 pp; drawn at random it would take 206; now it is ± 4.1 pp"
    )


def test_the_other_mistake_is_told_when_it_is_the_more_frequent():
    told = words.confusion(fx.below_chance())
    assert told == "Judge and humans agree on 135 of 480; the judge fails 175 that humans pass"
    assert (
        words.confusion(replace(fx.trust(), confusion={"tp": 9, "fp": 0, "fn": 0, "tn": 2}))
        == "Judge and humans agree on 11 of 11"
    )


def test_nothing_found_is_said_as_such(result):
    calm = replace(
        result, bias=fx.bias().assign(flagged=False), slices=fx.slices().iloc[1:], drift=fx.drift().head(2), planner={},
        ceiling=fx.FEW, pass_rate=fx.cannot_tell().pass_rate,
    )  # fmt: skip
    assert words.bias(calm) == "No leaning that is larger than chance, at the same human label"
    assert words.bias(replace(calm, bias=calm.bias.tail(1))) == "No leaning can be told, at the same human label"
    assert words.slices(calm) == "No slice agrees less than the rest by more than chance"
    assert words.drift(calm) == "neither judge nor product moved"
    assert words.drift(replace(calm, drift=fx.drift().iloc[[0, 3]])) == "whether judge or product moved cannot be told"
    assert (
        words.drift(replace(calm, drift=fx.drift().iloc[[0, 1, 3]])) == "no move of judge or product that is larger than chance"
    )
    assert words.slices(replace(calm, slices=fx.slices().tail(1))).startswith(
        "Whether a slice agrees less than the rest cannot be told"
    )
    assert words.planner(calm) == "No labels can be planned"
    assert (
        words.planner(replace(result, planner=fx.planner() | {"labels": 0}))
        == "No more labels are needed for ± 3.0 pp; now it is ± 4.1 pp"
    )
    assert (
        words.planner(replace(result, planner={"labels": None, "reason": "no judged trace is left"})) == "no judged trace is left"
    )
    assert words.agreement(calm).endswith("how well humans agree with one another is not known")
    assert words.pass_rate(calm).startswith("The true pass rate cannot be told: No label was drawn at random")


def test_the_corrected_rate_is_filled_and_the_judge_s_own_hollow_and_dashed(result):
    (ax,) = charts.pass_rate(result).axes
    naive, corrected = ax.containers
    assert list(corrected[0].get_xdata()) == [0.8063, 0.846, 0.832, 0.741]
    assert [t.get_text() for t in ax.texts] == ["cannot be told"]
    assert list(naive[0].get_xdata()) == [0.8724]
    assert tuple(segments(corrected)[0][:, 0]) == pytest.approx((0.7781, 0.8327))
    assert to_hex(naive[0].get_markerfacecolor()) == "#ffffff"
    assert naive[2][0].get_linestyle()[0][1] is not None
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["the judge alone", "corrected by labels"]


def test_a_refused_rate_is_said_on_its_line_of_the_chart():
    (ax,) = charts.pass_rate(fx.cannot_tell()).axes
    assert [t.get_text() for t in ax.texts] == ["cannot be told"]
    assert len(ax.containers) == 1


def test_agreement_stands_beside_ceiling_and_floor(result):
    (ax,) = charts.agreement(result).axes
    measures, beside = ax.containers
    assert list(measures[0].get_xdata()) == [e.value for _, e in numbers.agreed(result)]
    assert list(beside[0].get_xdata()) == [0.78, 0.88]
    lines = {
        line.get_linestyle(): line.get_xdata()[0]
        for line in ax.lines
        if len(set(line.get_xdata())) == 1 and line.get_linestyle() in "--:"
    }
    assert lines == {"--": 0.78, ":": 0.88}


def test_the_matrix_holds_the_counts_and_frames_what_disagrees(result):
    (ax,) = charts.confusion(result).axes
    assert ax.images[0].get_array().tolist() == [[380, 14], [30, 56]]
    assert [t.get_text() for t in ax.texts] == ["380\nagree", "14\ndisagree", "30\ndisagree", "56\nagree"]
    middles = sorted((p.get_x() + p.get_width() / 2, p.get_y() + p.get_height() / 2) for p in ax.patches)
    assert middles == [pytest.approx((0, 1)), pytest.approx((1, 0))]
    assert ax.images[0].get_cmap().name == "cividis_r"
    assert charts.confusion(result, theme=DARK).axes[0].images[0].get_cmap().name == "cividis"


def test_the_reliability_curve_has_intervals_and_the_line_of_a_true_score(result):
    (ax,) = charts.curve(result).axes
    (drawn,) = ax.containers
    assert list(drawn[0].get_ydata()) == list(fx.curve().human_rate)
    assert next(tuple(s[:, 1]) for s in segments(drawn)) == pytest.approx((0.03, 0.2))
    assert [list(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "--"] == [[0, 1]]


def test_scores_that_are_no_shares_have_no_such_line(result):
    wide = replace(result, curve=fx.curve().assign(score=[1.0, 2.0, 3.0, 5.0]))
    (ax,) = charts.curve(wide).axes
    assert not [line for line in ax.lines if line.get_linestyle() == "--"]
    assert words.curve(wide) == "What humans pass, by score"


def test_a_score_that_means_what_it_says_is_told_so(result):
    true = replace(result, curve=fx.curve().head(3))
    assert words.curve(true) == "Nowhere do humans pass more or less than the score says, by more than chance"
    assert [line for line in charts.curve(true).axes[0].lines if line.get_linestyle() == "--"]


def test_both_mistakes_are_drawn_and_the_cheapest_threshold_with_its_interval(result):
    top, below = charts.threshold(result).axes
    assert [line.get_label() for line in top.lines] == ["false passes", "false fails", "cheapest"]
    assert [line.get_linestyle() for line in top.lines[:2]] == ["-", "--"]
    assert top.lines[2].get_xdata()[0] == 0.5
    (span,) = top.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((0.3, 0.7))
    assert list(below.lines[0].get_ydata()) == pytest.approx([0.16, 0.11, 0.0917, 0.1, 0.22])


def test_a_flagged_leaning_is_an_orange_triangle_and_the_other_question_hollow(result):
    (ax,) = charts.bias(result).axes
    main, flag, beside = ax.containers
    assert list(flag[0].get_xdata()) == [5.2]
    assert (flag[0].get_marker(), to_hex(flag[0].get_color())) == ("^", "#d55e00")
    assert list(main[0].get_xdata()) == [1.0, -0.2]
    assert list(beside[0].get_xdata()) == [6.1, 3.0, -0.4]
    assert all(line.get_linestyle()[0][1] is not None for line in beside[2])
    assert [t.get_text() for t in ax.texts] == ["cannot be told"]


def test_the_heatmap_of_slices_writes_the_intervals_and_frames_the_worse(result):
    (ax,) = charts.slices(result).axes
    assert ax.images[0].get_array()[0].tolist() == [0.52, 0.04]
    assert ax.images[0].get_array().mask[3].all()
    told = [t.get_text() for t in ax.texts]
    assert told[:3] == ["52 % (42 % to 62 %)", "0.0 (-0.2 to 0.2)", "97 % (95 % to 99 %)"]
    assert told[-2:] == ["cannot be told"] * 2
    assert len(ax.patches) == 1
    assert next(t.get_text() for t in ax.get_yticklabels()) == "✗ locale = de, n 90"


def test_what_moved_has_a_mark_of_its_own(result):
    above, below = charts.drift(result).axes
    quiet, moved, unsure = above.containers
    assert list(quiet[0].get_ydata()) == [0.93]
    assert (list(moved[0].get_ydata()), moved[0].get_marker()) == ([0.81], "^")
    assert list(unsure[0].get_ydata()) == [0.7]
    judge, human, users = below.containers
    assert list(judge[0].get_ydata()) == [0.84, 0.91, 0.9]
    assert (list(users[0].get_ydata()), users[0].get_marker()) == ([0.71], "v")
    assert len({c[0].get_marker() for c in (judge, human, users)}) == 3


def test_a_judge_below_the_rule_of_correlation_is_to_be_calibrated_again(result):
    low = fx.drift()
    low.loc[0, "verdict"], low.at[0, "agreement"] = "recalibrate", at(0.5, 0.1)
    told = words.drift(replace(result, drift=low))
    assert told.startswith("Recalibrate: judge and humans correlate by 0.50 (0.40 to 0.60) only; same answers")


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_of_nothing_says_so(name):
    figure = getattr(charts, name)(fx.nothing())
    assert "nothing to draw" in [t.get_text() for t in figure.axes[0].texts]


# --- the page


@pytest.mark.parametrize("make", KINDS, ids=lambda f: f.__name__)
def test_every_number_of_the_page_comes_from_a_claim(make):
    made, page = drawn(make)
    assert check(page.html, [*made.claims(), *calibration_claims(made)]) == []


@pytest.mark.parametrize(("told", "wrong"), [("380", "381"), ("+0.6 to +1.0", "+0.6 to +1.1"), ("62 %", "63 %")])
def test_a_wrong_digit_is_found(result, page, told, wrong):
    assert told in page.html
    problems = check(page.html.replace(told, wrong), [*result.claims(), *calibration_claims(result)])
    assert any(p.number in wrong for p in problems)


@pytest.mark.parametrize("make", KINDS, ids=lambda f: f.__name__)
def test_ids_of_claims_are_unique(make):
    made = make()
    ids = [c["id"] for c in (*made.claims(), *calibration_claims(made))]
    assert len(ids) == len(set(ids))


def test_the_page_has_every_part_without_a_script(page):
    headings = [words_of(h) for h in re.findall(r"<h3[^>]*>(.*?)</h3>", page.html)]
    assert headings == [
        "What passes in truth", "How the labels were drawn", "How far judge and humans agree", "Which mistakes it makes",
        "Does a score mean what it says", "Where the threshold lies", "What the judge leans on", "Where it agrees less",
        "Did the judge move, or the product", "What to label next", "May the judge replace a human here", "Read these disagreements",
        "About the data",
    ]  # fmt: skip
    assert page.html.count("prefers-color-scheme: dark") == len(CHARTS)
    told = words_of(page.html)
    for part in ("± trust with correction", "Label these next", "t-901", "2,420", "It cites a page that does not exist."):
        assert part in told


@pytest.mark.parametrize(
    ("make", "mark"),
    [(fx.trust, "± trust with correction"), (fx.cannot_tell, "? cannot tell"), (fx.below_chance, "✗ do not trust")],
)
def test_the_card_says_the_verdict_why_and_what_follows(make, mark):
    made, page = drawn(make)
    told = words_of(page.html)
    assert told.startswith(f"{mark} {made.headline} Why: {made.reason} So: {words.ADVICE[made.verdict]}")


def test_a_chart_has_a_picture_for_light_and_for_dark_pages(result):
    shown = pages.confusion(result).html
    pictures = [b64decode(part) for part in re.findall(r"data:image/png;base64,([^\"]+)", shown)]
    corners = [Image.open(BytesIO(p)).convert("RGB").getpixel((0, 0)) for p in pictures]
    assert sorted(corners) == [(27, 27, 29), (255, 255, 255)]
    assert 'alt="Judge and humans agree on 436 of 480' in shown


def test_texts_from_the_data_cannot_act(page):
    assert "<script" not in page.html
    assert "\x1b" not in page.html + page.text
    assert "abcdefgh12345678" not in page.html + page.text
    assert "javascript:" not in page.html
    assert page.html.count('href="https://lf.example/trace/t-17"') == 1
    assert words_of(page.html).count("session s-3") == 1


def test_what_is_not_there_has_no_part():
    html = drawn(fx.bare)[1].html
    headings = [words_of(h) for h in re.findall(r"<h3[^>]*>(.*?)</h3>", html)]
    assert "Does a score mean what it says" not in headings
    assert "May the judge replace a human here" not in headings
    assert "the judge gives verdicts without a scale" in words_of(html)


def test_a_result_of_nothing_has_a_page_that_says_so():
    shown = drawn(fx.nothing)[1]
    assert words_of(shown.html).startswith("No target has both a judge's score and a human label")
    assert (shown.widget, shown.params, shown.kwargs()) == (None, {}, {})


def test_long_tables_say_how_much_is_left_out(result):
    long = replace(
        result, slices=pd.concat([fx.slices()] * 12, ignore_index=True), next_labels=tuple(f"t-{i}" for i in range(40)),
        disagreements=pd.concat([fx.disagreements()] * 20, ignore_index=True),
    )  # fmt: skip
    html = calibration(long).html
    told = words_of(html)
    for left in ("8 more are in result.json", "10 more are in result.json", "20 more are in result.json"):
        assert left in told
    assert check(html, [*long.claims(), *calibration_claims(long)]) == []


# --- results of stores, of every kind of score


def scores_of(kind):
    """The scores of 240 traces, three to a session: a judge that sees most of what humans see; hostile names and comments."""
    rng, rows = np.random.default_rng(11), []
    for i in range(240):
        q = rng.random()
        seen = np.clip(q + rng.normal(0, 0.15), 0, 0.999)
        values = {
            "continuous": (round(q, 3), float(seen > 0.4)),
            "categorical": tuple(("good", HOSTILE, "4")[int(v * 2.99)] for v in (q, seen)),
            "preference": tuple("A" if v > 0.5 else "B" for v in (q, seen)),
            "binary": (float(q > 0.3), float(seen > 0.3)),
        }[kind]
        judge, human = ({"value": v} if isinstance(v, float) else {"value": None, "label": v} for v in values)
        about = {"trace_id": f"t{i}", "session_id": f"s{i // 3}", "created_at": kit.START + dt.timedelta(hours=5 * i)}
        version = f"judge 7 {'b' if i > 160 else 'a'}"
        rows.append(score(f"j{i}", **about, name=HOSTILE, rater="judge", rater_id="g", judge_version=version, **judge))
        named = {"name": "label 2", "rater": "human", "comment": f"{HOSTILE} 17"}
        rows += [score(f"h{i}-{r}", **about, **named, rater_id=f"rater {r}", **human) for r in range(3 if i % 3 == 0 else i % 2)]
    return rows


@pytest.mark.parametrize("kind", ["binary", "continuous", "categorical", "preference"])
def test_the_page_of_a_store_is_proved_whatever_its_scores_are(root, kind):
    put(root, scores=scores_of(kind))
    made = calibrate(lm.open(root))
    shown = calibration(made)
    claims = [*made.claims(), *calibration_claims(made)]
    assert made.kind == kind
    assert examine(shown.html, claims).numbers > 100
    assert check(shown.html, claims) == []
    assert len({c["id"] for c in claims}) == len(claims)
    assert "<script" not in shown.html
    assert not re.search(r"\x1b|\u202e|abcdefgh12345678", shown.html + shown.text)


def test_what_the_explorer_reads_back_asks_for_the_same_human_labels(root):
    put(root, scores=scores_of("continuous"))
    first = calibrate(lm.open(root), by=["session_id"], human_pass_at=0.7)
    explorer = threshold(first, cost_false_pass=6.0)
    assert explorer.params["pass_at"] > first.threshold["value"]
    again = calibrate(lm.open(root), **explorer.kwargs())
    assert (again.parameters["pass_at"], again.parameters["human_pass_at"]) == (explorer.params["pass_at"], 0.7)
    assert again.threshold["value"] == explorer.params["pass_at"]
    assert again.confusion["fp"] < first.confusion["fp"]


# --- the threshold explorer


def test_the_explorer_starts_at_the_cheapest_threshold_of_the_given_costs(result):
    assert threshold(result).params == {"pass_at": 0.5, "cost_false_pass": 1.0, "cost_false_fail": 1.0}
    assert threshold(result, cost_false_pass=5.0).params["pass_at"] == 0.7
    assert threshold(result, cost_false_fail=3.0).params["pass_at"] == 0.3
    assert threshold(result, pass_at=0.9, cost_false_pass=0.0).params["pass_at"] == 0.9


def test_the_static_form_marks_the_chosen_and_the_cheapest(result):
    rows = re.findall(r"<tr>.*?</tr>", threshold(result, pass_at=0.9).html)[1:]
    told = [words_of(r) for r in rows]
    assert told[2] == "0.50 6.2 % 2.9 % 0.09 85.4 % ★ costs least"
    assert told[4] == "0.90 1.0 % 21.0 % 0.22 62.1 % ▶ chosen"


def test_of_many_thresholds_some_are_shown_and_those_that_matter_always(result):
    many = pd.DataFrame({"threshold": [i / 100 for i in range(101)]})
    many = many.assign(
        false_pass_rate=1 - many.threshold, false_fail_rate=(many.threshold - 0.33).abs() * 2, pass_rate=0.5, cost=0.0
    )
    wide = replace(result, threshold=fx.threshold() | {"curve": many})
    explorer = threshold(wide, pass_at=0.41)
    assert explorer.html.count("<tr>") == 1 + numbers.MAX_THRESHOLDS + 2
    assert "0.41" in words_of(explorer.html)
    assert "0.33" in words_of(explorer.html)
    assert check(explorer.html, calibration_claims(wide)) == []


def test_the_slider_and_the_costs_read_back_as_arguments_of_calibrate(result):
    explorer = threshold(result)
    controls, shown = explorer.widget.children
    slider, false_pass, false_fail = controls.children
    false_pass.value = 4.0
    slider.value = 0.7
    false_fail.value = 0.5
    assert explorer.params == {"pass_at": 0.7, "cost_false_pass": 4.0, "cost_false_fail": 0.5}
    told = words_of(shown.value)
    assert told.startswith("At 0.70: 3.0 % false passes, 7.0 % false fails; the judge passes 78.1 %, an answer costs 0.15")
    assert "0.90 1.0 % 21.0 % 0.14 62.1 %" in told.replace(" ★ costs least", "")
    inspect.signature(calibrate).bind("observations", **explorer.params)


def test_all_arguments_that_ask_again_keep_the_filter(result):
    kept = replace(
        result, parameters={"judge": "j", "human": None, "by": ["locale"], "where": {"environment": "prod"}, "tz": "UTC"}
    )
    given = threshold(kept).kwargs()
    assert given == {
        "judge": "j", "by": ["locale"], "where": {"environment": "prod"}, "tz": "UTC",
        "pass_at": 0.5, "cost_false_pass": 1.0, "cost_false_fail": 1.0,
    }  # fmt: skip
    inspect.signature(calibrate).bind("observations", **given)


def test_the_page_holds_the_explorer_and_has_three_forms(result):
    page = calibration(result)
    assert {"text/plain", "text/html", WIDGET_MIME} <= set(page._repr_mimebundle_())
    page.widget.children[1].children[0].children[0].value = 0.9
    assert page.params["pass_at"] == 0.9
    assert page.kwargs()["pass_at"] == 0.9


def test_a_score_without_thresholds_has_no_slider():
    explorer = threshold(fx.bare())
    assert (explorer.widget, explorer.params) == (None, {})


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"pass_at": 0.4}, r"pass_at=0.4 is not known; choose one of: 0.1, 0.3, 0.5, 0.7, 0.9"),
        ({"cost_false_pass": -1.0}, r"threshold: cost_false_pass=-1.0 is no cost; give a number from 0 to 1000"),
        ({"cost_false_fail": float("nan")}, r"threshold: cost_false_fail=\(none\) is no cost"),
    ],
)
def test_a_start_that_is_none_is_named(result, start, message):
    with pytest.raises(UsageError, match=message):
        threshold(result, **start)


# --- the terminal


def test_the_summary_has_at_most_thirty_lines_and_no_control_characters(result):
    crowded = replace(result, findings=result.findings * 40, reason=HOSTILE, judge_name=HOSTILE)
    lines = summary(crowded).splitlines()
    assert len(lines) == 30
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]|abcdefgh12345678", "".join(lines))


def test_the_summary_says_verdict_why_rate_agreement_mistakes_and_labels(result):
    lines = summary(result).splitlines()
    assert lines[0] == f"TRUST WITH CORRECTION: {result.headline}"
    assert lines[1] == f"why: {result.reason}"
    assert lines[2] == "judge helpfulness against human helpfulness: 480 pairs in 210 clusters, 2,900 judged, 512 labelled"
    assert lines[3] == "labels drawn at random (said: not said)"
    for line in (
        "  Cohen's kappa 0.66 (0.58 to 0.74, n 480)",
        "  humans with one another (ceiling) 0.78 (0.71 to 0.85, n 120)",
        "  of what humans fail, the judge fails: 65 % (55 % to 75 %, n 86)",
        f"labels: {words.planner(result)}; next: t-901, t-902, t-903",
        "read first: t-17, t-18, s-3",
    ):
        assert line in lines
    assert lines[-1].startswith("warning: In locale = de")


def test_the_summary_of_nothing_is_one_line():
    text = "No target has both a judge's score and a human label: there is nothing to compare."
    assert summary(fx.nothing()) == f"CANNOT TELL: {text}"


def test_a_kappa_of_few_pairs_is_refused_with_its_reason():
    few = replace(fx.cannot_tell(), agreement=dict.fromkeys(fx.AGREEMENT) | {"kappa": fx.FEW, "raw": at(0.9, 0.1, 11)})
    assert "  Cohen's kappa n/a (fewer than 20 pairs)" in summary(few).splitlines()


# --- the notebook


def test_the_cells_of_the_notebook_run_and_ask_what_the_parameters_say(monkeypatch):
    from llmobs_nb import views
    from llmobs_nb.reports import templates

    asked, delivered = [], []
    monkeypatch.setattr(lm, "open", lambda store: store, raising=False)
    monkeypatch.setattr(lm, "calibrate", lambda obs, **given: asked.append((obs, given)) or fx.trust(), raising=False)
    monkeypatch.setattr(views, "calibration", calibration, raising=False)
    monkeypatch.setattr(views, "calibration_claims", calibration_claims, raising=False)
    monkeypatch.setattr(lm.reports, "deliver", lambda result, claims, store: delivered.append((result, claims)), raising=False)
    book = templates.read(templates.find("judge_calibration"))
    room: dict = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            exec(cell.source, room)
    ((store, given),) = asked
    inspect.signature(calibrate).bind(store, **given)
    assert store == ".llmobs"
    assert set(given) == set(inspect.signature(calibrate).parameters) - {"obs"}
    assert {k: v for k, v in given.items() if v} == {
        "tz": "UTC", "design": "auto", "cluster": "session_id", "cost_false_pass": 1.0, "cost_false_fail": 1.0, "target_half_width": 0.03,
    }  # fmt: skip
    assert delivered[0][0] is room["result"]
    assert room["page"].kwargs()["pass_at"] == 0.5


def test_every_option_of_calibrate_is_a_parameter_of_the_notebook():
    from llmobs_nb.reports import templates

    declared = templates.parameters(templates.read(templates.find("judge_calibration")))
    options = inspect.signature(calibrate).parameters
    assert set(declared) == (set(options) - {"obs"}) | {"store"}
    same = ("design", "cluster", "tz", "cost_false_pass", "cost_false_fail", "target_half_width")
    assert {name: declared[name].default for name in same} == {name: options[name].default for name in same}
    for name in ("pass_at", "human_pass_at"):  # papermill reads no "float | None": empty text is None
        assert (declared[name].default, options[name].default) == ("", None)
    assert all(p.help for p in declared.values())
