"""The failure taxonomy: shares weighted by the design, refused without one, lifts over passing traces with an exact p."""

import json
import shutil

import numpy as np
import pytest
import reviewkit as kit
import storekit
from scipy import stats

import llmobs_nb as lm
from llmobs_nb import views
from llmobs_nb.analyses.review import labels, rename_category, taxonomy
from llmobs_nb.analyses.review.failures import CATEGORIES, LIFTS
from llmobs_nb.errors import UsageError
from llmobs_nb.stats.design import hajek_mean
from llmobs_nb.stats.strata import exact_association
from llmobs_nb.views.taxonomy_page import taxonomy as page


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    return kit.store(tmp_path_factory.mktemp("shop") / "store", 40)


@pytest.fixture
def shop(stocked, root):
    return shutil.copytree(stocked, root)


def said(root, words, *, probs=None, strata=None, reviewer="ana"):
    """Labels of many traces in one commit: ``{trace: (verdict, categories)}``."""
    queue = kit.queue(root, reviewer=reviewer, count=40)
    entries = []
    for trace, (verdict, names) in words.items():
        one = queue.items[trace]
        drawn = {"inclusion_prob": (probs or {}).get(trace), "stratum": (strata or {}).get(trace)}
        entries.append(
            (
                labels.Subject(one.trace_id, one.source, one.project, one.session_id, **drawn),
                labels.Label(verdict, f"note {trace}", names),
            )
        )
    assert all(outcome.saved for outcome in labels.save(root, reviewer, entries))


def reviewed(root):
    """Forty traces: the even ones (feature search) drawn one in ten, the odd ones (support) for certain.

    Of support every second is a failure "citation", of search one is; t002 and t006 are "too long", t004 is unsure.
    """
    names = kit.names(40)
    words = dict.fromkeys(names, ("pass", ()))
    words |= dict.fromkeys([*names[1::4], "t000"], ("fail", ("citation",)))
    words |= {"t002": ("fail", ("too long",)), "t006": ("fail", ("too long", "citation")), "t004": ("unsure", ())}
    probs = {t: (1.0, 0.1)[n % 2 == 0] for n, t in enumerate(names)}
    said(root, words, probs=probs, strata={t: ("all", "tenth")[n % 2 == 0] for n, t in enumerate(names)})
    return words, probs


@pytest.fixture(scope="module")
def result(tmp_path_factory, stocked):
    root = shutil.copytree(stocked, tmp_path_factory.mktemp("reviewed") / "store")
    reviewed(root)
    return taxonomy(lm.open(root))


def row(frame, **where):
    found = frame[np.logical_and.reduce([frame[k] == v for k, v in where.items()])]
    assert len(found) == 1
    return found.iloc[0]


# --- shares


def test_a_share_is_about_the_traffic_and_not_about_the_sample(result):
    weight = 20 * 10 + 20
    one = row(result.categories, category="citation")
    assert one.share == pytest.approx((10 + 2 * 10) / weight)
    assert (one.n, one.traces) == (40, 12)
    assert one.low < one.share < one.high
    assert row(result.categories, category="too long").share == pytest.approx(20 / weight)
    assert result.passing.value == pytest.approx((10 + 10 * 16) / (weight - 10))


def test_the_interval_is_that_of_the_design_over_sessions(result):
    values = [n % 4 == 1 or n in (0, 6) for n in range(40)]
    want = hajek_mean(values, [(1.0, 0.1)[n % 2 == 0] for n in range(40)], clusters=[n // 2 for n in range(40)])
    one = row(result.categories, category="citation")
    assert (one.low, one.high) == pytest.approx((want.ci_low, want.ci_high))


def test_a_category_has_examples_and_the_words_of_its_reviewers(result):
    one = row(result.categories, category="too long")
    assert (list(one.examples), list(one.notes)) == (["t002", "t006"], ["note t002", "note t006"])
    assert list(result.categories.category) == ["citation", "too long"]


def test_without_probabilities_shares_are_refused_with_the_cure_and_a_table_repairs_it(shop):
    names = kit.names(4)
    said(
        shop,
        dict.fromkeys(names[:2], ("fail", ("a",))) | dict.fromkeys(names[2:], ("pass", ())),
        probs={names[0]: 0.5, names[2]: 0.5},
    )
    obs = lm.open(shop)
    refused = taxonomy(obs)
    assert refused.categories.share.isna().all() and not refused.passing.ok and len(refused.lifts) == 0
    reason = "2 of 4 labelled traces have no inclusion_prob; label a queue made with plan="
    assert refused.passing.reason.startswith(reason) and refused.categories.reason[0].startswith(reason)
    assert all(cure in refused.findings[0].text for cure in ("lm.sampling_plan", "design=", "undesigned='leave_out'"))
    assert "how often they happen in the traffic cannot be told" in refused.headline
    repaired = taxonomy(obs, design=kit.plan(dict(zip(names, (0.5, 0.25, 0.5, 1.0), strict=True))))
    assert repaired.categories.share[0] == pytest.approx((2 + 4) / (2 + 4 + 2 + 1))
    some = taxonomy(obs, undesigned="leave_out")
    assert (some.categories.share[0], some.categories.n[0]) == (0.5, 2)
    assert [f.text for f in some.findings] == ["labelled traces without inclusion_prob, left out: 2"]


def test_what_several_reviewers_say_of_a_trace_is_averaged(shop):
    probs = dict.fromkeys(kit.names(3), 1.0)
    said(shop, {"t000": ("fail", ("a",)), "t001": ("pass", ()), "t002": ("pass", ())}, probs=probs)
    said(shop, {"t000": ("pass", ()), "t001": ("pass", ())}, probs=probs, reviewer="ben")
    found = taxonomy(lm.open(shop))
    assert found.categories.share[0] == pytest.approx(0.5 / 3)
    assert found.categories.low[0] >= 0
    assert found.passing.value == pytest.approx(2.5 / 3)


def test_a_merged_category_is_one(shop):
    probs = dict.fromkeys(kit.names(4), 1.0)
    said(shop, {"t000": ("fail", ("a", "b")), "t001": ("fail", ("b",)), "t002": ("pass", ()), "t003": ("pass", ())}, probs=probs)
    rename_category(lm.open(shop), "a", "b")
    found = taxonomy(lm.open(shop))
    assert list(found.categories.category) == ["b"]
    assert found.categories.share[0] == pytest.approx(0.5)


def test_a_trace_that_is_gone_counts_no_more(shop):
    said(shop, dict.fromkeys(("t000", "t001"), ("fail", ("a",))) | {"t002": ("pass", ())}, probs=dict.fromkeys(kit.names(3), 1.0))
    lm.open(shop).erase(trace_id="t000")
    assert taxonomy(lm.open(shop)).categories.n[0] == 2


# --- lifts


def test_a_lift_compares_traces_of_a_failure_with_passing_ones(result):
    one = row(result.lifts, category="citation", attribute="feature", value="support")
    assert one.share_with == pytest.approx(10 / (10 + 20))
    assert one.share_passing == pytest.approx(10 / (10 + 160))
    assert one.lift == pytest.approx(one.share_with / one.share_passing)
    assert (one.traces, one.passing) == (10, 10)
    assert one.low < one.lift < one.high
    assert 0 <= one.p <= one.q <= 1


def test_a_failure_that_goes_with_the_sampling_rate_alone_is_no_finding(result):
    # Support was drawn more often: unweighted, citation seems to gather there; within strata nothing is to be compared.
    one = row(result.lifts, category="citation", attribute="feature", value="support")
    assert one.p == pytest.approx(1.0)


def test_a_failure_of_one_slice_is_found_among_many(root):
    names, made = kit.names(40), [kit.trace(n, session_id=f"s{n}", user_tier=f"tier {n % 3}") for n in range(40)]
    storekit.put(root, **{name: [r for one in made for r in one[name]] for name in made[0]})
    said(
        root,
        {t: ("fail", ("citation",)) if n % 4 == 1 else ("pass", ()) for n, t in enumerate(names)},
        probs=dict.fromkeys(names, 0.2),
    )
    found = taxonomy(lm.open(root)).lifts
    first = found.iloc[0]
    assert (first.attribute, first.value, first.traces, first.passing) == ("feature", "support", 10, 10)
    assert first.lift == pytest.approx(3.0) and 1 < first.low < 3 < first.high
    assert first.p == pytest.approx(stats.fisher_exact([[10, 0], [10, 20]]).pvalue)
    assert first.q < 0.01 < found.q[1:].min()


def test_a_session_has_one_vote(shop):
    names = kit.names(40)
    said(
        shop,
        {t: ("fail", ("citation",)) if n % 4 == 1 else ("pass", ()) for n, t in enumerate(names)},
        probs=dict.fromkeys(names, 0.2),
    )
    one = row(taxonomy(lm.open(shop)).lifts, category="citation", attribute="feature", value="support")
    assert one.lift == pytest.approx(3.0)
    assert stats.fisher_exact([[10, 0], [10, 20]]).pvalue < one.p <= 1


def test_slices_that_everybody_or_hardly_anybody_lies_in_are_not_compared(result):
    assert set(result.lifts.attribute) == {"feature"}
    assert "too long" not in set(result.lifts.category)


def test_a_metadata_key_slices_and_what_is_no_word_is_refused(shop):
    said(shop, {"t000": ("fail", ("a",))}, probs={"t000": 1.0})
    assert len(taxonomy(lm.open(shop), by="plan").lifts) == 0
    with pytest.raises(UsageError, match=r"by: 'tokens_in' is not a word but int; slice by feature, tenant_id"):
        taxonomy(lm.open(shop), by=("tokens_in",))
    with pytest.raises(UsageError, match=r"undesigned='x' is not known; choose one of: refuse, leave_out"):
        taxonomy(lm.open(shop), undesigned="x")


# --- the exact test


def test_with_one_stratum_it_is_fisher_s_test():
    rng = np.random.default_rng(3)
    for _ in range(40):
        a, b = rng.random(30) < rng.random(), rng.random(30) < 0.4
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        assert exact_association(a, b) == pytest.approx(stats.fisher_exact(table).pvalue)


def test_it_agrees_with_r_on_the_rabbits_of_mantelhaen_test():
    # R, ?mantelhaen.test: Rabbits (Agresti 1990, page 234), exact = TRUE gives p = 0.03994 (S = 16).
    cells = [(0, 0, 6, 5), (3, 0, 3, 6), (6, 2, 0, 4), (5, 6, 1, 0), (2, 5, 0, 0)]  # none/1.5h cured, none/1.5h died
    delay, cured, level = [], [], []
    for at, (none_cured, late_cured, none_died, late_died) in enumerate(cells):
        for n, late, well in ((none_cured, 0, 1), (late_cured, 1, 1), (none_died, 0, 0), (late_died, 1, 0)):
            delay, cured, level = delay + [late] * n, cured + [well] * n, level + [at] * n
    assert exact_association(delay, cured, level) == pytest.approx(0.03994, abs=5e-6)


def test_it_keeps_its_level_where_strata_have_other_rates_and_other_slices():
    rng = np.random.default_rng(11)
    strata = np.repeat([0, 1], 30)
    p = [exact_association(rng.random(60) < 0.1 + 0.5 * strata, rng.random(60) < 0.1 + 0.7 * strata, strata) for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) <= 0.05


def test_without_rows_or_with_wrong_ones_it_says_so():
    assert exact_association([], []) == 1.0
    with pytest.raises(ValueError, match=r"2, 1 and 2 rows: give each row both properties and its stratum"):
        exact_association([1, 0], [1])


# --- result and page


def test_an_unreviewed_store_and_one_without_failures_say_so(shop):
    empty = taxonomy(lm.open(shop))
    assert empty.headline == "No trace has been reviewed yet: there are no failures to count."
    assert (list(empty.categories.columns), list(empty.lifts.columns)) == (list(CATEGORIES), list(LIFTS))
    assert "no failure has been named" in page(empty).html
    said(shop, dict.fromkeys(kit.names(6), ("pass", ())), probs=dict.fromkeys(kit.names(6), 0.5))
    none = taxonomy(lm.open(shop))
    assert none.headline.startswith("6 traces reviewed, no failure named; verdicts pass: 100")
    json.dumps(none.json(), allow_nan=False)


def test_json_is_strict_and_every_number_is_a_claim(result):
    told = json.loads(json.dumps(result.json(), allow_nan=False))
    assert told["categories"][0]["share"]["n"] == 40
    assert set(told["categories"][0]) == {"category", "share", "traces", "examples", "notes"}
    found = {c["id"]: c for c in result.claims()}
    assert len(found) == 1 + len(result.categories) + len(result.lifts)
    share = found["taxonomy.citation.share"]
    assert share["value"] == pytest.approx(30 / 220) and share["traces"][0] == "t000"
    assert share["text"].startswith("citation: 14") and "n 40" in share["text"]
    assert found["taxonomy.citation.lift.feature.support"]["value"] == pytest.approx((1 / 3) / (1 / 17))


def test_the_page_shows_shares_lifts_and_notes_and_nothing_hostile(result, shop):
    view = page(result)
    assert isinstance(view, views.View)
    for told in ("citation", "feature = support", "note t002", "How often", "Where it gathers", "t006"):
        assert told in view.html
    bad = "<script>alert(1)</script>\x1b[31m"
    said(shop, {"t000": ("fail", (bad,)), "t001": ("pass", ())}, probs=dict.fromkeys(kit.names(2), 0.5))
    html = page(taxonomy(lm.open(shop))).html
    assert "<script" not in html and "\x1b" not in html and "alert(1)" in html
