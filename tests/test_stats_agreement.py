"""Agreement of two raters against outside authorities, published numbers, simulations, and the data that break the formulas."""

import csv
import gzip
import json
from collections import defaultdict

import krippendorff
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from llmobs_nb.stats import agreement as a
from llmobs_nb.stats import association as s
from llmobs_nb.stats.preference import NAMES, both_orders


def ratings(k: int, n: int = 300, seed: int = 0):
    """Two raters on k categories who agree in about 60 %, one label in ten missing."""
    rng = np.random.default_rng([seed, k])
    judge = rng.integers(1, k + 1, n).astype(float)
    human = np.where(rng.random(n) < 0.6, judge, rng.integers(1, k + 1, n))
    judge[rng.random(n) < 0.1], human[rng.random(n) < 0.1] = np.nan, np.nan
    return judge, human


@pytest.mark.parametrize("k", [2, 3, 5, 7])
def test_kappa_equals_scikit_learn(k):
    judge, human = ratings(k)
    both = np.isfinite(judge) & np.isfinite(human)
    x, y = judge[both].astype(int), human[both].astype(int)
    assert a.kappa(judge, human).value == pytest.approx(cohen_kappa_score(x, y), abs=1e-9)
    assert a.kappa(judge, human).n == both.sum()
    for weights in ("linear", "quadratic"):
        assert a.weighted_kappa(judge, human, weights=weights).value == pytest.approx(
            cohen_kappa_score(x, y, weights=weights), abs=1e-9
        )


@pytest.mark.parametrize("k", [2, 3, 5, 7])
@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
def test_alpha_equals_the_krippendorff_package(k, metric):
    judge, human = ratings(k)
    expected = krippendorff.alpha(np.stack([judge, human]), level_of_measurement=metric)
    assert a.krippendorff_alpha(judge, human, metric=metric).value == pytest.approx(expected, abs=1e-9)


def test_weighted_rows_are_repeated_rows():
    judge, human = ratings(4, 120)
    both = np.isfinite(judge) & np.isfinite(human)
    x, y, times = judge[both], human[both], np.tile([1, 2, 3], both.sum())[: both.sum()]
    for f in (a.raw, a.kappa, a.weighted_kappa, a.ac1, a.ac2, a.pabak, s.pearson, s.spearman):
        weighted, repeated = f(x, y, sample_weight=times), f(np.repeat(x, times), np.repeat(y, times))
        assert weighted.value == pytest.approx(repeated.value, abs=1e-12), f.__name__


def test_ac1_and_pabak_by_hand():
    """Gwet 2008: 118 of 125 pass by both, 5 by the judge only, 2 by the human only: po .944, AC1 chance 2q(1-q), q = 243/250."""
    judge = np.array([1] * 123 + [0] * 2)
    human = np.array([1] * 118 + [0] * 5 + [1] * 2)
    q, po = 243 / 250, 118 / 125
    chance = 2 * q * (1 - q)
    assert a.ac1(judge, human).value == pytest.approx((po - chance) / (1 - chance), abs=1e-12)
    assert a.pabak(judge, human).value == pytest.approx(2 * po - 1, abs=1e-12)
    assert a.kappa(judge, human).value < 0 < a.ac1(judge, human).value


def test_icc_equals_the_analysis_of_variance():
    judge, human = ratings(5)
    both = np.isfinite(judge) & np.isfinite(human)
    table = np.stack([judge[both], human[both]], axis=1)
    n, grand = len(table), table.mean()
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    msr, msc = 2 * ((rows - grand) ** 2).sum() / (n - 1), n * ((columns - grand) ** 2).sum()
    mse = ((table - rows - columns + grand) ** 2).sum() / (n - 1)
    expected = (msr - mse) / (msr + mse + 2 * (msc - mse) / n)
    assert a.icc(judge, human).value == pytest.approx(expected, abs=1e-12)
    assert a.icc(judge + 1e6, human + 1e6).value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("grid", [2, 12, 4000])
def test_rank_statistics_equal_scipy(grid):
    rng = np.random.default_rng(grid)
    z = rng.normal(size=300)
    x, y = (np.round((z + rng.normal(size=300)) * grid / 4) for _ in range(2))
    assert s.pearson(x, y).value == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-9)
    assert s.spearman(x, y).value == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-9)
    assert s.kendall_tau_b(x, y).value == pytest.approx(stats.kendalltau(x, y)[0], abs=1e-9)
    assert s.auc(x, y > 0).value == pytest.approx(roc_auc_score(y > 0, x), abs=1e-9)


@pytest.mark.parametrize("f", [s.spearman, s.kendall_tau_b])
def test_the_influence_of_a_pair_is_what_leaving_it_out_moves(f):
    """The standard error by influences is close to that of the plain jackknife, ties included."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=150)
    x, y = np.round(2 * (z + rng.normal(size=150))), np.round(2 * (z + rng.normal(size=150)))
    left = np.array([f(np.delete(x, i), np.delete(y, i)).value for i in range(150)])
    plain = np.sqrt(149 / 150 * ((left - left.mean()) ** 2).sum())
    assert f(x, y).se == pytest.approx(plain, rel=0.03)


def sessions(rng, groups: int, size: int, kappa: float):
    """Binary pairs in sessions: the item's truth and the raters' slips go together inside a session."""
    easy = np.repeat(rng.beta(1.2, 0.6, groups), size)
    truth = rng.random(groups * size) < np.repeat(rng.beta(1.5, 1.5, groups), size)
    slip = (1 - easy) * (1 - kappa)
    judge, human = (truth ^ (rng.random(groups * size) < slip) for _ in range(2))
    return judge.astype(int), human.astype(int), np.repeat(np.arange(groups), size)


@pytest.mark.parametrize("f", [a.kappa, a.ac1, a.krippendorff_alpha, s.spearman], ids=lambda f: f.__name__)
def test_clustered_intervals_cover(f):
    rng = np.random.default_rng(11)
    big = sessions(rng, 60_000, 5, 0.6)
    truth = f(*big[:2]).value
    hits = []
    for _ in range(300):
        judge, human, group = sessions(rng, 40, 5, 0.6)
        e = f(judge, human, clusters=group)
        hits.append(e.ci_low <= truth <= e.ci_high)
    assert 0.915 <= np.mean(hits) <= 0.985  # 300 of a true .95 lie within .925 and .975


def test_clusters_of_one_are_no_clusters():
    judge, human = ratings(3)
    alone, plain = a.kappa(judge, human, clusters=np.arange(len(judge))), a.kappa(judge, human)
    assert (alone.ci_low, alone.ci_high) == pytest.approx((plain.ci_low, plain.ci_high), rel=1e-9)


def test_a_session_that_is_repeated_widens_the_interval():
    judge, human = ratings(2, 200)
    twice = [np.repeat(x, 4) for x in (judge, human, np.arange(200))]
    apart, together = a.kappa(*twice[:2]), a.kappa(*twice[:2], clusters=twice[2])
    assert together.ci_high - together.ci_low > 1.7 * (apart.ci_high - apart.ci_low)


def test_labels_may_be_words_and_missing_ones_are_left_out():
    judge = np.array(["good", "bad", None, "good", "bad", "good"], object)
    human = np.array(["good", "bad", "good", "bad", "bad", None], object)
    e = a.kappa(judge, human)
    assert (e.n, e.value) == (4, pytest.approx(0.5))


def test_perfect_agreement_has_an_interval_that_reaches_one():
    e = a.kappa([0, 1] * 20, [0, 1] * 20)
    assert (e.value, e.ci_high) == (1.0, 1.0) and 0.6 < e.ci_low < 0.95


def test_a_judge_below_chance_breaks_nothing():
    human = np.tile([0, 1], 50)
    judge = np.where(np.arange(100) < 80, 1 - human, human)
    for f in (
        a.raw,
        a.kappa,
        a.weighted_kappa,
        a.ac1,
        a.ac2,
        a.pabak,
        a.krippendorff_alpha,
        a.icc,
        s.pearson,
        s.spearman,
        s.kendall_tau_b,
    ):
        e = f(judge, human)
        assert e.ok and e.ci_low <= e.value <= e.ci_high, f.__name__
    assert a.kappa(judge, human).ci_high < 0


@pytest.mark.parametrize(
    ("judge", "human", "reason"),
    [
        ([], [], "no pairs"),
        ([1, 1, 1, 1], [1, 1, 1, 1], "both say one and the same thing"),
        ([None, None], [1, 0], "no pairs"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_reason(judge, human, reason):
    e = a.kappa(judge, human)
    assert not e.ok and reason in e.reason


def test_constant_raters_have_no_order():
    assert "no order" in s.spearman([1] * 9, range(9)).reason
    assert "fewer than 5" in s.kendall_tau_b([1, 2], [2, 1]).reason
    assert "only one of" in s.auc([0.1, 0.2], [1, 1]).reason
    assert "no numbers" in a.icc(["a", "b", "a"], ["a", "b", "b"]).reason


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: a.kappa([1], [1, 0]), "1 judgements and 2 human labels"),
        (lambda: a.kappa([1, 0], [1, 0], sample_weight=[1, -1]), "sample_weight: give one finite number"),
        (lambda: a.weighted_kappa([1], [1], weights="cubic"), "weights='cubic' are not known; choose one of: linear, quadratic"),
        (lambda: a.krippendorff_alpha([1], [1], metric="ratio"), "metric='ratio' is not known; choose one of: nominal"),
        (lambda: a.weighted_kappa([1], [4], categories=[1, 2]), "are used and not among those given"),
        (lambda: both_orders([1], [1, 2], [1]), "1, 2 and 1 verdicts and labels"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_every_published_number_of_llmbar(shared_data):
    published = json.loads((shared_data / "judge" / "llmbar_published_statistics.json").read_text())
    rows = defaultdict(list)
    with gzip.open(shared_data / "judge" / "llmbar_judgments.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            rows[f"{row['subset']}|{row['evaluator']}"].append(row)
    told = ("correct_False", "correct_True", "correct_average", "correct_both", "equal")
    for key, expected in published.items():
        found = both_orders(*([r[c] for r in rows[key]] for c in ("winner_orig", "winner_swap", "label")))
        for name, theirs in zip(NAMES, told, strict=False):
            number = float(str(expected[theirs]).split("=")[-1].strip(" %"))
            assert 100 * found[name].value == pytest.approx(number, abs=1e-9), (key, name)
    assert len(published) == 499


def test_the_published_kappas_of_pandalm(shared_data):
    with open(shared_data / "judge" / "pandalm.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    people = [[r[f"annotator{i}"] for r in rows] for i in (1, 2, 3)]
    found = [a.kappa(people[i], people[j]).value for i, j in ((0, 1), (0, 2), (1, 2))]
    assert np.round(found, 2).tolist() == pytest.approx([0.85, 0.88, 0.86])
