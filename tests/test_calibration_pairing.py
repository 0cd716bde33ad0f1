"""Which label belongs to which judgement: targets, sources, raters, versions, scales, and nothing lost in silence."""

import pytest

import llmobs_nb as lm
from llmobs_nb.analyses.calibration.pairing import pair
from llmobs_nb.errors import UsageError
from tests import calibrationkit as kit
from tests.storekit import at, put, score, span

JUDGE = {"rater": "judge", "name": "quality"}
HUMAN = {"rater": "human", "name": "label", "rater_id": "h1"}


def paired(root, *scores, spans=(), cluster="session_id", **asked):
    put(root, scores=list(scores), spans=list(spans))
    given = dict.fromkeys(("judge", "human", "pass_at", "human_pass_at")) | asked
    return pair(lm.open(str(root)), cluster=cluster, **given)


def j(i, value=1.0, **more):
    return score(
        f"j{i}-{len(more)}-{more.get('judge_version')}-{more.get('created_at')}", trace_id=f"t{i}", value=value, **(JUDGE | more)
    )


def h(i, value=1.0, **more):
    return score(
        f"h{i}-{more.get('rater_id')}-{more.get('created_at')}-{more.get('span_id')}",
        trace_id=f"t{i}",
        value=value,
        **(HUMAN | more),
    )


def lost(found) -> dict:
    return dict(zip(found.dropped["reason"], found.dropped["count"], strict=True))


def test_a_store_of_scores_only_pairs_by_trace_and_counts_production(tmp_path):
    found = paired(tmp_path, *[j(i, i % 2) for i in range(6)], h(0, 0.0), h(1, 1.0), h(9))
    assert found.pairs[["trace_id", "judge", "human", "judge_pass"]].values.tolist() == [
        ["t0", 0.0, 0.0, 0.0],
        ["t1", 1.0, 1.0, 1.0],
    ]
    assert (found.kind, found.judged, found.labelled) == ("binary", 6, 2)
    assert found.production[["judge_pass", "n"]].values.tolist() == [[1.0, 3], [0.0, 3]]
    assert lost(found) == {"label of a target that was not judged": 1}


def test_what_the_generator_says_is_what_the_store_gives(tmp_path):
    frame = kit.drawn(5, n=60, traffic=400, p=(0.7, 0.9), session=4, icc=0.3, design="weights")
    put(tmp_path, scores=kit.score_rows(frame), spans=kit.span_rows(frame))
    found = pair(lm.open(str(tmp_path)), judge=None, human=None, pass_at=None, human_pass_at=None, cluster="session_id")
    made = kit.paired(frame)
    mine, theirs = (f.pairs.set_index("trace_id").sort_index() for f in (found, made))
    for name in ("judge_pass", "human_pass", "cluster", "inclusion_prob", "at"):
        assert mine[name].tolist() == theirs[name].tolist()
    keys = ["week", "judge_pass"]
    mine, theirs = (f.production.sort_values(keys).reset_index(drop=True) for f in (found, made))
    assert (
        mine[["n", "clusters", "square", "cross"]].astype(float).values.tolist()
        == theirs[["n", "clusters", "square", "cross"]].astype(float).values.tolist()
    )


def test_a_span_s_label_pairs_with_its_trace_s_judgement_when_it_is_the_only_one(tmp_path):
    found = paired(tmp_path, j(1), j(2), h(1, 0.0, span_id="a"), h(2, span_id="a"), h(2, span_id="b"))
    assert found.pairs["trace_id"].tolist() == ["t1"]
    assert lost(found) == {"label of one of several spans of a trace that was judged as a whole or elsewhere": 2}


def test_a_trace_s_label_pairs_with_the_only_span_that_was_judged(tmp_path):
    found = paired(tmp_path, j(1, 0.0, span_id="a"), h(1), j(2, span_id="a"), j(2, span_id="b", judge_version="x"), h(2))
    assert found.pairs["trace_id"].tolist() == ["t1"]
    assert found.pairs["judge"].tolist() == [0.0]
    assert lost(found) == {"label of a target that was not judged": 1}


def test_span_and_session_targets_pair_with_their_own_kind(tmp_path):
    about = {"trace_id": None, "session_id": "s1"}
    found = paired(
        tmp_path,
        j(1, span_id="a"),
        h(1, span_id="a"),
        score("x", value=0.0, **(JUDGE | about)),
        score("y", value=0.0, **(HUMAN | about)),
    )
    assert sorted(found.pairs["judge"].tolist()) == [0.0, 1.0]
    assert "s1" in found.pairs["cluster"].tolist()


def test_a_label_from_another_source_pairs_by_trace_where_one_source_was_judged(tmp_path):
    found = paired(tmp_path, j(1), h(1, source="sheet", project=""), j(2), j(2, source="other"), h(2, source="sheet"))
    assert found.pairs[["source", "trace_id"]].values.tolist() == [["test", "t1"]]
    assert lost(found) == {"label of a target that several sources judged, and its own did not": 1}


def test_of_several_raters_the_majority_counts_and_the_single_labels_are_kept(tmp_path):
    votes = [h(1, v, rater_id=r) for r, v in (("a", 1.0), ("b", 1.0), ("c", 0.0))]
    split = [h(2, v, rater_id=r) for r, v in (("a", 1.0), ("b", 0.0))]
    found = paired(tmp_path, j(1), j(2), *votes, *split)
    assert found.pairs["human"].tolist() == [1.0]
    assert len(found.humans) == 5
    assert lost(found) == {"target of which as many raters say one thing as another": 1}


def test_graded_labels_are_averaged(tmp_path):
    found = paired(tmp_path, j(1, 0.7), j(2, 0.2), h(1, 0.9, rater_id="a"), h(1, 0.5, rater_id="b"))
    assert found.kind == "continuous"
    assert found.pairs["human"].tolist() == [pytest.approx(0.7)]


def test_a_rater_s_newest_label_counts(tmp_path):
    old, new = (h(1, v, created_at=at(s), updated_at=at(s)) for v, s in ((0.0, 0), (1.0, 60)))
    found = paired(tmp_path, j(1), old, new)
    assert found.pairs["human"].tolist() == [1.0]
    assert lost(found) == {"older label of a rater who labelled the target again": 1}
    assert len(found.humans) == 0


def test_repeats_are_averaged_and_the_newest_version_counts(tmp_path):
    first = [j(1, 0.1, judge_version="1", created_at=at(s)) for s in (0, 1)]
    second = [j(1, v, judge_version="2", created_at=at(s)) for v, s in ((0.6, 10), (0.8, 11))]
    found = paired(tmp_path, *first, *second, j(2, 0.5, judge_version="1"), h(1, 0.5))
    assert found.pairs[["judge", "judge_version"]].values.tolist() == [[pytest.approx(0.7), "2"]]
    assert sorted(found.repeats["judge_version"]) == ["1", "1", "2", "2"]
    assert found.versions.set_index("judge_version")["labelled"].to_dict() == {"2": 1, "1": 0}


def test_a_trace_s_session_and_start_come_from_its_spans(tmp_path):
    spans = [span("a", trace_id="t1", session_id="s7", start_time=at(-86400))]
    found = paired(tmp_path, j(1), h(1), spans=spans)
    assert found.pairs["cluster"].tolist() == ["s7"]
    assert found.pairs["at"].tolist() == [at(-86400)]
    assert str(found.production["week"].iloc[0]) == "2025-12-29"


@pytest.mark.parametrize(
    ("cluster", "clusters"), [("session_id", {"s"}), ("trace_id", {"t1", "t2"}), ("none", {"trace t1", "trace t2"})]
)
def test_clusters_are_what_was_asked(tmp_path, cluster, clusters):
    rows = [f(i, session_id="s") for f in (j, h) for i in (1, 2)]
    assert set(paired(tmp_path, *rows, cluster=cluster).pairs["cluster"]) == clusters


def test_words_of_praise_and_blame_are_passes_and_fails(tmp_path):
    words = {"value": None, "data_type": "categorical"}
    found = paired(
        tmp_path,
        j(1, **words, label="Pass"),
        j(2, **words, label="FAIL"),
        h(1, **words, label="good"),
        h(2, **words, label="good"),
    )
    assert found.kind == "binary"
    assert found.pairs[["judge_pass", "human_pass"]].values.tolist() == [[1.0, 1.0], [0.0, 1.0]]


def test_other_words_are_categories_without_a_pass(tmp_path):
    words = {"value": None, "data_type": "categorical"}
    found = paired(tmp_path, j(1, **words, label="billing"), h(1, **words, label="refund"))
    assert (found.kind, found.pass_at) == ("categorical", None)
    assert found.pairs["judge_pass"].isna().all()
    assert lost(found)["judged without a verdict (a tie, or a word that is neither praise nor blame)"] == 1


def test_a_preference_asked_in_the_other_order_is_turned_round(tmp_path):
    words = {"value": None, "label": "A"}
    turned = {"metadata": [("swapped", "true")]}
    rows = [j(1, **words), j(1, **words, **turned), j(2, **words), h(1, **words), h(2, value=None, label="B")]
    found = paired(tmp_path, *rows)
    assert found.kind == "preference"
    assert found.pairs.set_index("trace_id")["judge"].to_dict() == {"t1": 0.0, "t2": 1.0}
    assert found.pairs["human_pass"].tolist() == [1.0, 0.0]
    assert found.pairs["judge_pass"].isna().tolist() == [True, False]


def test_different_scales_have_thresholds_of_their_own(tmp_path):
    rows = [j(i, v) for i, v in enumerate((1.0, 3.0, 5.0))] + [h(i, v) for i, v in enumerate((0.0, 0.0, 1.0))]
    found = paired(tmp_path, *rows)
    assert (found.kind, found.pass_at, found.human_pass_at) == ("ordinal", 3.0, 0.5)
    assert found.pairs[["judge_pass", "human_pass"]].values.tolist() == [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]


def test_a_label_without_a_value_or_a_target_is_counted(tmp_path):
    found = paired(tmp_path, j(1), h(1), h(2, None), score("z", value=1.0, **(HUMAN | {"trace_id": None})))
    assert lost(found) == {"label without a value": 1, "label of no trace, span or session": 1}


def test_users_and_code_take_part_when_they_are_named(tmp_path):
    rows = [
        score(f"{r}{i}", trace_id=f"t{i}", name=n, rater=r) for i in (1, 2) for r, n in (("code", "check"), ("user", "thumbs"))
    ]
    found = paired(tmp_path, *rows, judge="check", human="thumbs")
    assert len(found.pairs) == 2
    assert pair(lm.open(str(tmp_path)), judge=None, human=None, pass_at=None, human_pass_at=None, cluster="none") is None


def test_the_pair_of_names_that_most_targets_have_is_taken(tmp_path):
    rows = [j(1), j(2), h(1), h(2), j(1, name="tone", judge_version="t"), h(1, name="tone", rater_id="h2")]
    found = paired(tmp_path, *rows)
    assert (found.judge_name, found.human_name) == ("quality", "label")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"judge": "qualty"}, r"judge='qualty' is no score that judge or code or unknown gave; choose one of: quality$"),
        ({"human": "x\x1b[31m"}, r"human='x.*' is no score that human or user or unknown gave; choose one of: label$"),
        ({"pass_at": 7}, r"pass_at=7 lies outside of what was scored, 0 to 1; give a value between them"),
        ({"human_pass_at": -1}, r"human_pass_at=-1 lies outside of what was scored, 0 to 1"),
    ],
)
def test_wrong_names_and_thresholds_are_one_line_with_the_cure(tmp_path, asked, message):
    with pytest.raises(UsageError, match=message) as told:
        paired(tmp_path, j(1), j(2, 0.0), h(1), h(2, 0.0), **asked)
    assert "\n" not in str(told.value)
    assert "\x1b" not in str(told.value)


def test_one_score_is_not_compared_with_itself(tmp_path):
    with pytest.raises(UsageError, match="are the same scores of one kind of rater; name two that differ"):
        paired(tmp_path, score("a", name="x", rater="unknown"), judge="x", human="x")


def test_words_take_no_threshold(tmp_path):
    words = {"value": None, "data_type": "categorical", "label": "billing"}
    with pytest.raises(UsageError, match=r"pass_at=0\.5 does not fit categorical scores, which have no threshold; leave it out"):
        paired(tmp_path, j(1, **words), h(1, **words), pass_at=0.5)
