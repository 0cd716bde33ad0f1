"""Drift from a store to rows and pages: what moved is named, what did not is not, and nothing hostile gets through."""

import datetime as dt
import json

import incidentkit as kit
import numpy as np
import pytest
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.drift import drift, drift_rows
from llmobs_nb.analyses.drift.blocks import example_name
from llmobs_nb.analyses.drift.pair import choose, parse
from llmobs_nb.analyses.drift.plain import answers, questions
from llmobs_nb.analyses.drift.tone import languages, sentiment
from llmobs_nb.errors import UsageError
from llmobs_nb.stats import wording
from llmobs_nb.views.drift_page import drift as page

WORDS = ("invoice", "seat", "export", "calendar", "folder", "workspace", "report", "guest", "limit", "digest", "mail", "token")
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m wormhole sk-abcdefgh12345678"
EXAMPLE = "Example 3: asked for a refund, answer with the form and the deadline, never with an apology."
HEAD = "You answer the questions of customers in full and with sources."


def rows(*, changed: bool, days: int = 35, per_day: int = 24, seed: int = 1):
    """Five weeks from a Monday on. In the last one, where ``changed``: three of ten ask about wormholes and half of those in German,
    answers are longer, a model is new, thumbs fall, and the prompt of every call has one more example."""
    rng = np.random.default_rng(seed)
    for day in range(days):
        for k in range(per_day):
            late = changed and day >= 28
            new = late and rng.random() < 0.3
            asked = f"how do I change the {rng.choice(WORDS)} of my {rng.choice(WORDS)} and the {rng.choice(WORDS)} please"
            if new:
                asked = (
                    f"wie komme ich bitte durch das {rng.choice(WORDS)} zur anderen Seite {HOSTILE}"
                    if k % 2
                    else f"does the {HOSTILE} reach the {rng.choice(WORDS)}"
                )
            said = " ".join(
                ["you change it in the settings of your account, thanks for asking"] * int(rng.integers(1, 4) + 2 * late)
            )
            call = {"model": "m-2" if late and k % 2 else "m-1", "finish_reason": "stop", "output_chars": len(said)}
            texts = {
                "input": json.dumps({"messages": [{"role": "user", "content": asked}]}),
                "output": said,
                "system_prompt": f"{HEAD}\n{EXAMPLE}" if late else HEAD,
            }
            metadata = {
                "vector": json.dumps([float(v) for v in rng.normal(2.0 * new, 1, 3)]),
                "plan": str(rng.choice(["free", "pro"])),
            }
            name = f"{day:02d}-{k:03d}"
            one = kit.trace(
                name,
                kit.moment(day + (k + 0.5) / per_day),
                call=call,
                texts=texts,
                session_id=f"s{day}-{k // 2}",
                metadata=metadata,
            )
            if k % 3 == 0:
                up = rng.random() < (0.3 if late else 0.8)
                given = {
                    "name": "thumbs",
                    "value": None,
                    "label": "up" if up else "down",
                    "data_type": "categorical",
                    "rater": "user",
                }
                one["scores"].append(storekit.score(f"{name}/t", trace_id=name, created_at=kit.moment(day + 0.9), **given))
            yield one


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    return lm.open(kit.put(tmp_path_factory.mktemp("moved") / "store", rows(changed=True)), threads=1)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return lm.open(kit.put(tmp_path_factory.mktemp("still") / "store", rows(changed=False)), threads=1)


@pytest.fixture(scope="module")
def result(moved):
    return drift(moved, column="vector", embed=lambda texts: [[len(t), "wormhole" in t] for t in texts])


def verdicts(result) -> dict:
    return {s.measure.name: s.verdict for s in result.shifts}


def test_everything_that_changed_is_called_drift(result):
    called = {name for name, verdict in verdicts(result).items() if verdict == "drift"}
    assert called >= {
        "input_wording",
        "input_language",
        "output_length",
        "column:model",
        "label:thumbs:user",
        "prompt_wording",
        "input_embedding",
        "embedding:vector",
    }
    assert "column:plan" not in called
    assert result.headline.startswith("2026-W45 against the 4 weeks before: drift in ")


def test_the_words_that_moved_are_named_with_limits(result):
    words = result.moved[result.moved["name"] == "input_wording"].set_index("word")
    assert words.loc["wormhole", "ci_low"] > 0
    assert words.loc["wormhole", "share_before"] == 0 and 0.2 < words.loc["wormhole", "share_after"] < 0.4
    assert words.loc["change", "ci_high"] < 0
    models = result.moved[result.moved["name"] == "column:model"].set_index("word")
    assert models.loc["m-2", "log_odds"] > 0 > models.loc["m-1", "log_odds"]


def test_the_example_that_entered_the_prompt_is_named(result):
    (block,) = result.blocks.to_dict("records")
    assert (block["kind"], block["example"], block["text"]) == ("new", "Example 3", EXAMPLE)
    assert (block["share_before"], block["share_after"]) == (0, 1)
    assert block["ci_low"] > 0


def test_a_quiet_store_has_no_drift(still):
    result = drift(still)
    assert "drift" not in verdicts(result).values()
    assert "no drift found" in result.headline
    told = result.rows.set_index("name")
    unsure = told[(told["verdict"] == "cannot_tell") & told["value"].notna()]
    assert unsure["reason"].str.contains("would have been seen").all()


def test_same_means_that_the_interval_lies_inside_the_margin(result, still):
    for one in (result, drift(still)):
        rows = one.rows[one.rows["value"].notna()]
        null = (rows["statistic"] == "classifier_auc") * 0.5
        assert ((rows["verdict"] == "same") == (rows["ci_high"] - null <= rows["margin"])).all()
        assert (rows.loc[rows["verdict"] == "drift", "q"] < 0.05).all()


def test_json_rows_are_strict_and_carry_the_fields_of_the_weekly_document(result):
    document = json.loads(json.dumps(result.json(), allow_nan=False))
    assert document["drift"] == json.loads(json.dumps(drift_rows(result)))
    fields = {"name", "statistic", "value", "ci_low", "ci_high", "n_before", "n_after", "p", "q", "verdict", "words"}
    assert all(fields <= set(row) for row in document["drift"])
    assert {"word", "log_odds", "ci_low", "ci_high"} <= set(document["drift"][0]["words"][0])
    claims = result.claims()
    assert len({c["id"] for c in claims}) == len(claims) >= len(result.shifts)


def test_two_weeks_exchange_sessions_and_a_finding_says_so(moved):
    result = drift(moved, before="2026-W44", after="2026-W45")
    assert any("whole sessions are exchanged" in f.text for f in result.findings)
    assert verdicts(result)["input_wording"] == "drift"


def test_a_sample_takes_both_windows_at_one_rate(moved):
    result = drift(moved, sample=100)
    before, after = result.rows.set_index("name").loc["column:plan", ["n_before", "n_after"]]
    assert 60 <= after <= 140 and 2.5 <= before / after <= 5.5
    assert any("traces" in f.text and "are read" in f.text for f in result.findings)
    assert result.json()["drift"] == drift(moved, sample=100).json()["drift"]
    assert result.json()["drift"] != drift(moved, sample=100, seed=1).json()["drift"]


def test_where_narrows_and_nothing_before_is_refused(moved, tmp_path):
    few = drift(moved, where={"model": "m-2"})
    assert "nothing can be compared" in few.headline or "drift" not in verdicts(few).values()
    empty = drift(lm.open(kit.put(tmp_path / "one", rows(changed=False, days=3, per_day=5))))
    assert all(s.verdict == "cannot_tell" for s in empty.shifts)
    assert "30 are needed on each side" in empty.shifts[0].reason


def test_an_empty_store_says_so(tmp_path):
    storekit.put(tmp_path / "s", scores=[storekit.score("a")])
    result = drift(lm.open(tmp_path / "s"))
    assert result.shifts == () or "nothing" in result.headline
    assert json.dumps(result.json(), allow_nan=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample": 5}, r"sample=5 is no number of traces from 100 on; 4000 is the default"),
        ({"after": "2026-W44", "before": "2026-W45"}, r"give two windows, the first before the second; the data begin on 2026-10-05"),
        ({"after": 7}, r"after=7 is no window; give an ISO week such as 2026-W46, or two times"),
        ({"column": "nowhere"}, r"column='nowhere' is neither a column nor a metadata key of the spans"),
        ({"column": "plan"}, r"column='plan' does not hold vectors; give each span a JSON list of numbers"),
        ({"embed": lambda texts: np.zeros((2, 3))}, r"embed gave an array of shape \(2, 3\) for 840 texts; give one row of finite numbers a text"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_with_the_cure(moved, given, message):
    with pytest.raises(UsageError, match=message):
        drift(moved, **given)


def test_the_page_shows_all_measures_words_and_the_map_and_lets_nothing_hostile_through(result):
    view = page(result)
    for row in result.rows["label"]:
        assert row in view.html
    assert "wormhole" in view.html and "Example 3" in view.html
    assert "<script>" not in view.html and "\x1b" not in view.html + view.text and "sk-abcdefgh" not in view.html
    assert view.html.count("<img") == len(view.figures) == 4
    assert "prefers-color-scheme: dark" in view.html and "◆ " in view.html
    assert "Wording of the questions: drift" in view.text


def test_bars_and_map_draw_what_the_tables_hold(result):
    from llmobs_nb.views import drift_charts as charts

    bars = charts.words(result, name="input_wording").axes[0]
    found = result.moved[result.moved["name"] == "input_wording"].head(charts.MOST_BARS)
    assert sorted(p.get_width() for p in bars.patches) == pytest.approx(sorted(found["log_odds"]))
    assert {p.get_hatch() for p in bars.patches} == {None, "////"}
    spots = sum(len(c.get_offsets()) for c in charts.places(result).axes[0].collections)
    assert spots == len(result.places) > 300


def test_the_page_of_a_store_without_texts_says_so(tmp_path):
    bare = [one | {"payloads": []} for one in rows(changed=False, per_day=8)]
    result = drift(lm.open(kit.put(tmp_path / "s", bare)))
    assert any("no texts" in f.text for f in result.findings)
    assert "no texts" in page(result).html


# --- windows


def test_the_last_complete_week_is_compared_with_the_four_before(moved):
    before, after = choose(moved, None, None, "UTC")
    assert after.label == "2026-W45" and before.label == "the 4 weeks before"
    assert before.end == after.start == dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


def test_a_window_is_a_week_or_two_times():
    assert parse("after", "2026-W45", "UTC").label == "2026-W45"
    whole = parse("after", "2026-11-01/2026-11-14", "UTC")
    assert (whole.start.day, whole.end.day, whole.end.hour) == (1, 15, 0)
    assert parse("after", whole, "UTC") is whole


# --- texts


def test_questions_and_answers_are_taken_out_of_their_wrapping():
    chat = json.dumps(
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "old"}, {"role": "user", "content": "new"}]}
    )
    assert questions([chat, '{"question": "why"}', "plain", None, "[broken"]) == ["new", "why", "plain", "", "[broken"]
    assert answers([json.dumps({"role": "assistant", "content": "so"}), '{"answer": "thus"}', "plain", None]) == [
        "so",
        "thus",
        "plain",
        "",
    ]


def test_tfidf_vectors_have_length_one_and_rare_words_weigh_more():
    v = wording.tfidf(wording.read(["common rare"] * 3 + ["common"] * 7 + ["12 34"]))
    norms = np.sqrt(v.matrix.multiply(v.matrix).sum(axis=1))
    assert norms[:10] == pytest.approx(1) and norms[10] == 0
    row = v.matrix[[0]].toarray().ravel()
    assert row[v.terms.index("rare")] / row[v.terms.index("common")] == pytest.approx(
        (np.log(12 / 4) + 1) / (np.log(12 / 11) + 1)
    )


@pytest.mark.parametrize("window", [3, 25])
def test_richness_is_the_mean_share_of_different_words_in_a_moving_window(window):
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, n)) for n in (2, 3, 25, 26, 90)]
    expected = []
    for text in texts:
        words = text.split()
        shares = [len(set(words[i : i + window])) / window for i in range(len(words) - window + 1)]
        expected.append(np.mean(shares) if shares else np.nan)
    assert wording.richness(wording.read(texts), window=window) == pytest.approx(expected, nan_ok=True)


def test_sentiment_turns_round_after_a_denial_and_knows_what_it_does_not_know():
    texts = ["this is great", "this is not great", "it failed, terrible", "good but slow", "der Ordner ist blau", ""]
    assert sentiment(wording.read(texts)) == pytest.approx([1, -1, -1, 0, np.nan, np.nan], nan_ok=True)


def test_languages_are_told_and_short_texts_are_not():
    texts = [
        "How do I change the address of my account?",
        "Wie ändere ich bitte die Adresse meines Kontos?",
        "ok",
        None,
        "12345 67890 12345 67890",
    ]
    assert languages(texts) == ["en", "de", None, None, None]


def test_topics_part_what_has_no_word_in_common():
    texts = [
        " ".join(w)
        for k in range(100)
        for w in (("apple", "pear", "plum", "fig")[: k % 3 + 2], ("bolt", "screw", "nail", "saw")[: k % 3 + 2])
    ]
    found = wording.topics(wording.tfidf(wording.read(texts)), count=2)
    fruit, tools = set(found.topic[::2]), set(found.topic[1::2])
    assert len(fruit) == len(tools) == 1 and fruit != tools
    assert "apple" in found.names[fruit.pop()]
    assert wording.topics(wording.tfidf(wording.read(texts[:50]))) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("Example 2: do this", "Example 2"), ("Q: what\nA: that", "Q: what A: that"), ("Be brief and cite sources.", None)],
)
def test_few_shot_examples_are_named(text, name):
    assert example_name(text) == name


def test_texts_that_differ_in_one_direction_only_lie_on_a_line():
    texts = ["how do I pay"] * 80 + ["how do I pay how do I pay"] * 80
    found = wording.topics(wording.tfidf(wording.read(texts)))
    assert found is None or found.place.shape == (160, 2)
    same = wording.topics(
        wording.tfidf(wording.read(["alpha beta gamma delta"] * 120 + ["alpha beta gamma delta epsilon"] * 120))
    )
    assert same is not None
    assert same.place.shape == (240, 2)
    assert np.isfinite(same.place).all()
