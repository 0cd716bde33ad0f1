"""Review queues: a label is in the store before anything else, nobody's word over another's, nothing said is lost."""

import datetime as dt
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import reviewkit as kit
import storekit

import llmobs_nb as lm
from llmobs_nb.analyses.review import categories, content, labels, queue, rename_category, review_queue
from llmobs_nb.analyses.review.suggest import Said, Suggester
from llmobs_nb.errors import UsageError
from llmobs_nb.store.store import Store
from llmobs_nb.writeback import push

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    return kit.store(tmp_path_factory.mktemp("shop") / "store")


@pytest.fixture
def shop(stocked, root):
    """A store of its own for each test; a copy is made faster than a store."""
    return shutil.copytree(stocked, root)


def review_rows(root, name="review:verdict"):
    """Rows of one review score, by trace and reviewer."""
    return {(r["trace_id"], r["rater_id"]): r for r in storekit.rows(root, "scores") if r["name"] == name}


def categories_of(root):
    return sorted(
        (r["trace_id"], r["label"]) for r in storekit.rows(root, "scores") if r["name"] == "review:category" and r["label"]
    )


# --- into the store


def test_a_label_is_a_row_of_scores_with_who_what_and_how_it_was_drawn(shop):
    desk = kit.queue(shop, plan=kit.plan({"t000": 0.25}, "search"), rubric=("tone",))
    before = dt.datetime.now(dt.UTC)
    saved = desk.label("t000", "fail", note="cites #no-page", categories=["too long"], ratings={"tone": 2})
    assert (saved.state, saved.reason) == ("saved", "")
    row = review_rows(shop)["t000", "ana"]
    told = {
        k: row[k] for k in ("value", "label", "rater", "comment", "stratum", "inclusion_prob", "session_id", "source", "project")
    }
    assert told == {
        "value": 0.0, "label": "fail", "rater": "human", "comment": "cites #no-page", "stratum": "search", "inclusion_prob": 0.25,
        "session_id": "s0", "source": "review", "project": "shop",
    }  # fmt: skip
    assert before <= row["created_at"] <= dt.datetime.now(dt.UTC)
    assert categories_of(shop) == [("t000", "no-page"), ("t000", "too long")]
    assert review_rows(shop, "review:tone")["t000", "ana"]["value"] == 2.0


@pytest.mark.parametrize(("verdict", "value"), [("pass", 1.0), ("fail", 0.0), ("unsure", None)])
def test_a_verdict_has_its_number(shop, verdict, value):
    kit.queue(shop).label("t001", verdict)
    row = review_rows(shop)["t001", "ana"]
    assert (row["value"], row["label"]) == (value, verdict)


def test_a_second_word_replaces_the_first_and_takes_back_what_it_leaves_out(shop):
    desk = kit.queue(shop, rubric=("tone",))
    desk.label("t000", "fail", note="bad", categories=["a", "b"], ratings={"tone": 1})
    desk.label("t000", "pass", categories=["b"])
    assert review_rows(shop)["t000", "ana"]["label"] == "pass"
    assert categories_of(shop) == [("t000", "b")]
    again = kit.queue(shop, rubric=("tone",))
    assert again.mine("t000") == desk.mine("t000")
    assert (again.mine("t000").note, again.mine("t000").ratings) == ("", {})
    assert len(review_rows(shop)) == 1


def test_ratings_of_another_rubric_stay(shop):
    kit.queue(shop, rubric=("tone",)).label("t000", "pass", ratings={"tone": 5})
    kit.queue(shop, rubric=("depth",)).label("t000", "fail", ratings={"depth": 1})
    assert kit.queue(shop).mine("t000").ratings == {"tone": 5, "depth": 1}


def test_an_erased_trace_takes_its_labels_along(shop):
    kit.queue(shop).label("t000", "fail", categories=["a"])
    lm.open(shop).erase(trace_id="t000")
    assert review_rows(shop) == {} and categories_of(shop) == []


def test_labels_can_be_sent_to_the_vendor_that_the_trace_came_from(shop):
    kit.queue(shop).label("t000", "fail")
    obs = lm.open(shop)
    pushed = push(obs, to="langfuse", scores=obs.scores())
    assert [line.what for line in pushed.of("would")] == ["label review:verdict = fail by ana on trace t000"]


# --- several reviewers


def test_two_reviewers_both_stay_and_see_that_but_not_what_the_other_said(shop):
    ana, ben = kit.queue(shop), kit.queue(shop, reviewer="ben")
    ana.label("t000", "fail", note="secret opinion")
    ben.label("t000", "pass")
    assert ana.done_by("t000") == ()
    ana.refresh()
    assert ana.done_by("t000") == ("ben",)
    assert {who: r["label"] for (_, who), r in review_rows(shop).items()} == {"ana": "fail", "ben": "pass"}
    later = kit.queue(shop, reviewer="cleo")
    assert later.done_by("t000") == ("ana", "ben")
    assert "secret opinion" not in repr(later.content("t000")) and "review:" not in repr(later.content("t000"))
    assert vars(later.progress) == {"done": 0, "total": 6, "unsaved": 0, "others": 1}


def test_the_same_reviewer_at_two_desks_overwrites_nothing_unseen(shop):
    first, second = kit.queue(shop), kit.queue(shop)
    first.label("t000", "fail", note="first")
    kept = second.label("t000", "pass", note="second")
    assert kept.state == "kept"
    assert "ana has said fail at" in kept.reason and "elsewhere in the meantime; retry to replace it" in kept.reason
    assert review_rows(shop)["t000", "ana"]["comment"] == "first"
    assert second.mine("t000").note == "second"
    assert second.retry()["t000"].state == "saved"
    assert review_rows(shop)["t000", "ana"]["comment"] == "second"
    assert first.label("t000", "unsure").state == "kept"
    first.discard("t000")
    assert (first.mine("t000").note, first.unsaved) == ("second", {})


def test_two_processes_at_once_lose_nothing(shop):
    code = (
        "import sys, reviewkit as kit\n"
        "desk = kit.queue(sys.argv[1], reviewer=sys.argv[2], count=4)\n"
        "for t in desk.items: desk.label(t, 'fail', categories=[sys.argv[2]])\n"
        "while desk.unsaved: desk.retry()\n"  # on a busy machine the other one may hold the store for longer than a label waits
        "print(desk)"
    )
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    running = [
        subprocess.Popen([sys.executable, "-c", code, shop, who], stdout=subprocess.PIPE, text=True, env=path)
        for who in ("ana", "ben")
    ]
    said = [p.communicate(timeout=400)[0].strip() for p in running]
    assert said == [f"<ReviewQueue 4 of 4 done by {who}>" for who in ("ana", "ben")]
    assert sorted(review_rows(shop)) == [(t, who) for t in kit.names(4) for who in ("ana", "ben")]
    assert categories_of(shop) == sorted((t, who) for t in kit.names(4) for who in ("ana", "ben"))


# --- what cannot be saved


def test_a_label_that_finds_the_store_locked_is_kept_and_goes_with_the_next_try(shop, monkeypatch):
    desk = kit.queue(shop)
    monkeypatch.setattr(queue, "save", partial(labels.save, wait_seconds=0.1))
    with Store(shop).writing():
        kept = desk.label("t000", "fail", note="so long in coming")
    assert kept.state == "kept" and "is being written by process" in kept.reason
    assert repr(desk) == "<ReviewQueue 0 of 6 done by ana, 1 not saved>"
    assert desk.mine("t000").note == "so long in coming" and review_rows(shop) == {}
    assert desk.retry()["t000"].state == "saved"
    assert review_rows(shop)["t000", "ana"]["comment"] == "so long in coming"
    assert (desk.unsaved, desk.retry()) == ({}, {})


def test_whatever_goes_wrong_the_label_is_kept_and_the_reason_is_clean(shop, monkeypatch):
    def broken(*_):
        raise RuntimeError("disk \x1b[31m gone, password=hunter2hunter2")

    desk = kit.queue(shop)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "save", broken)
        assert desk.label("t000", "pass").reason == "disk gone, password=…"
        desk.label("t001", "fail")
    assert {t: one.state for t, one in desk.retry().items()} == {"t000": "saved", "t001": "saved"}
    assert {t for t, _ in review_rows(shop)} == {"t000", "t001"}


def test_a_store_that_was_taken_away_loses_no_label(shop, tmp_path):
    desk = kit.queue(shop)
    Path(shop).rename(tmp_path / "elsewhere")
    Path(shop).write_text("no folder")
    assert desk.label("t000", "fail").state == "kept"
    Path(shop).unlink()
    (tmp_path / "elsewhere").rename(shop)
    assert desk.retry()["t000"].state == "saved"


# --- which traces


def test_a_queue_is_made_of_ids_of_a_reading_list_or_of_the_lowest_scores(shop):
    obs = lm.open(shop)
    assert list(review_queue(obs, traces=SimpleNamespace(reading_list=("t003", "t001", "t003")), reviewer="a").items) == [
        "t003",
        "t001",
    ]
    assert list(review_queue(obs, traces="t002", reviewer="a").items) == ["t002"]
    assert list(review_queue(obs, low="helpful", most=3, reviewer="a").items) == ["t000", "t010", "t001"]


def test_a_plan_is_read_in_one_random_order_by_everybody(root):
    obs = lm.open(kit.store(root, 40))
    table = kit.plan(dict.fromkeys(kit.names(40), 0.5))
    first = list(review_queue(obs, plan=table, reviewer="a").items)
    second = list(review_queue(obs, plan=SimpleNamespace(draw=lambda: table.iloc[::-1]), reviewer="b").items)
    assert first == second and sorted(first) == kit.names(40) and first != kit.names(40)
    assert review_queue(obs, plan=table, reviewer="a").items["t007"].inclusion_prob == 0.5


def test_who_reviews_is_named_or_told_by_the_environment(shop, monkeypatch):
    for name in ("LLMOBS_REVIEWER", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"reviewer='' names nobody; give reviewer='ana', or set LLMOBS_REVIEWER"):
        kit.queue(shop, reviewer=None)
    monkeypatch.setenv("JUPYTERHUB_USER", "hub")
    assert kit.queue(shop, reviewer=None).reviewer == "hub"
    monkeypatch.setenv("LLMOBS_REVIEWER", "eve")
    assert kit.queue(shop, reviewer=None).reviewer == "eve"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"review_queue: nothing given; give one of traces=.ids., plan=a sampling plan and low="),
        ({"traces": ["t000"], "low": "helpful"}, r"review_queue: traces and low given; give one of"),
        ({"traces": ["t000", "no", "nor"]}, r"the store holds no no, nor \(2 of 3 are unknown\); pull or ingest them first"),
        ({"traces": []}, r"traces is empty; give trace ids"),
        ({"traces": 7}, r"traces='7' are no trace ids; give ids, or a result with a reading list"),
        ({"traces": [7]}, r"traces holds '7', which is no trace id; give them as texts"),
        ({"low": "x"}, r"low='x' is not known; choose one of: helpful"),
        ({"plan": pd.DataFrame({"trace_id": ["t000"]})}, r"plan has no column stratum, inclusion_prob; give trace_id"),
        ({"plan": kit.plan({"t000": 0.0})}, r"inclusion_prob=0.0 of trace t000 is no probability above 0 and at most 1"),
        ({"plan": kit.plan({"t000": None})}, r"plan: inclusion_prob=None of trace t000 is no probability"),
        ({"plan": kit.plan({"t000": 0.5}).head(0)}, r"plan draws no trace; raise its rates, or widen its window"),
        ({"traces": ["t000"], "rubric": ("verdict",)}, r"rubric: 'verdict' cannot be a dimension; give words such as"),
        ({"traces": ["t000"], "reviewer": "a\x1b[31mb"}, r"reviewer='ab' names nobody"),
    ],
)  # fmt: skip
def test_a_queue_that_cannot_be_made_says_why_and_what_to_do(shop, given, said):
    with pytest.raises(UsageError, match=said):
        review_queue(lm.open(shop), **({"reviewer": "ana"} | given))


def test_words_that_are_not_on_the_menu_are_refused_and_nothing_is_kept(shop):
    desk = kit.queue(shop, rubric=("tone",))
    with pytest.raises(UsageError, match=r"verdict='good' is not known; choose one of: pass, fail, unsure"):
        desk.label("t000", "good")
    with pytest.raises(UsageError, match=r"rubric='depth' is not known; choose one of: tone"):
        desk.label("t000", "pass", ratings={"depth": 1})
    with pytest.raises(UsageError, match=r"rating of tone=6 is not known; choose one of: 1, 2, 3, 4, 5"):
        desk.label("t000", "pass", ratings={"tone": 6})
    with pytest.raises(UsageError, match=r"note has 10,001 characters; shorten it to 10,000"):
        desk.label("t000", "pass", note="x" * 10_001)
    with pytest.raises(UsageError, match=r"trace 'zz' is not in this queue"):
        desk.label("zz", "pass")
    assert desk.unsaved == {} and review_rows(shop) == {}


# --- what is read


def test_a_reviewer_reads_question_answer_documents_prompt_and_scores(shop):
    told = kit.queue(shop).content("t004")
    assert told["input"] == "How about the password reset link that never arrives? (4)"
    assert told["output"] == "For the password reset link that never arrives see page 4."
    assert [(c["id"], c["score"]) for c in told["contexts"]] == [("doc-4", "0.90"), ("doc-x", "0.40")]
    assert told["contexts"][0]["text"] == "Page 4: password reset link that never arrives."
    assert told["system_prompt"] == "You answer customers."
    assert [(s["name"], s["value"], s["rater"]) for s in told["scores"]] == [("helpful", "0.40", "judge")]
    assert {"prompt": "answer, v12", "latency": "2.00 s", "cost": "$0.0100"}.items() <= dict(told["facts"]).items()


def test_hostile_text_is_read_clean_and_without_secrets(shop):
    told = repr(kit.queue(shop).content("t000"))
    assert "<script>" in told
    assert not any(bad in told for bad in ("\\x1b", "\x1b", "\u202e", "\\u202e", "abcdefgh12345678"))


def test_a_chat_is_read_as_its_messages_and_long_texts_are_cut_with_a_count(root):
    made = kit.trace(0)
    chat = '{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]}'
    made["payloads"][0] |= {"input": chat, "output": "y" * 30_000}
    storekit.put(root, **made)
    told = kit.queue(root, count=1).content("t000")
    assert told["input"] == "user: Hello?"
    assert told["output"].startswith("y" * 20_000) and told["output"].endswith("more]")


def test_a_trace_whose_root_has_no_texts_is_read_from_its_model_calls(root):
    made = kit.trace(0)
    made["payloads"][0] |= {"input": None, "output": None}
    made["payloads"][2] |= {"input": "asked", "output": "said"}
    made["payloads"].pop(1)
    storekit.put(root, **made)
    told = kit.queue(root, count=1).content("t000")
    assert (told["input"], told["output"]) == ("asked", "said")
    assert told["contexts"][0] == {"id": "doc-0", "score": "0.90", "text": ""}


def test_of_one_id_in_two_projects_one_trace_is_read(root):
    twice = [kit.trace(0), kit.trace(0)]
    for rows in twice[1].values():
        for row in rows:
            row |= {"project": "other"}
    storekit.put(root, **{name: [r for one in twice for r in one[name]] for name in twice[0]})
    assert content.traces(lm.open(root), ["t000"])["t000"].project == kit.queue(root, count=1).items["t000"].project == "other"


# --- categories


@pytest.mark.parametrize(
    ("note", "found"),
    [
        ("cites #wrong-page, #wrong-page and #too_long.", ("wrong-page", "too_long")),
        ("issue #12 at https://a.example/x#part &#39; a#b ##", ()),
        ("#Überlänge-", ("Überlänge",)),
        ("", ()),
    ],
)
def test_the_tags_of_a_note_are_categories(note, found):
    assert categories.tags(note) == found


def test_a_category_is_one_clean_line(shop):
    desk = kit.queue(shop)
    desk.label("t000", "fail", categories=["  wrong\n \x1b[31mpage ", "#wrong page", "", "x" * 99])
    assert desk.mine("t000").categories == ("wrong page", "x" * 60)


def test_the_next_trace_is_suggested_what_its_like_was_said_to_be(shop):
    desk = kit.queue(shop, count=12)
    assert desk.suggest("t003") == []
    desk.label("t000", "fail", note="promises money", categories=["wrong refund"])
    desk.label("t001", "fail", categories=["dead link"])
    desk.label("t002", "pass")
    assert desk.suggest("t003") == ["wrong refund"]
    assert desk.suggest("t004") == ["dead link"]
    assert desk.suggest("t005") == []
    desk.label("t003", "fail", categories=["wrong refund"])
    assert desk.suggest("t003") == []


def test_categories_of_others_are_learned_on_refresh(shop):
    desk = kit.queue(shop, count=12)
    kit.queue(shop, reviewer="ben").label("t000", "fail", categories=["wrong refund"])
    assert (desk.suggest("t003"), desk.categories) == ([], [])
    desk.refresh()
    assert (desk.suggest("t003"), desk.categories) == (["wrong refund"], ["wrong refund"])


@pytest.mark.parametrize("answers", [{}, {"a": ""}, {"a": "", "b": "!!! …"}])
def test_nothing_is_suggested_where_there_is_nothing_to_read(answers):
    assert Suggester(answers, {"a": Said("", ("x",))})("b") == []


def test_a_category_is_renamed_merged_and_renamed_back(shop):
    desk = kit.queue(shop)
    for trace, name in (("t000", "bad cite"), ("t001", "wrong citation"), ("t002", "bad cite")):
        desk.label(trace, "fail", categories=[name])
    obs = lm.open(shop)
    assert rename_category(obs, "bad cite", "citation") == 2
    assert rename_category(obs, "citation", "wrong citation") == 2
    desk.refresh()
    assert desk.categories == ["wrong citation"]
    assert categories_of(shop)[0] == ("t000", "bad cite")
    with pytest.raises(UsageError, match=r"category='bad cite' is not known; choose one of: wrong citation"):
        rename_category(obs, "bad cite", "x")
    assert rename_category(obs, "wrong citation", "bad cite") == 3
    desk.refresh()
    assert desk.categories == ["bad cite"]
    with pytest.raises(UsageError, match=r"rename_category: the new name is empty; give a word or two"):
        rename_category(obs, "bad cite", " ")


def test_a_label_given_after_a_renaming_bears_the_new_name_alone(shop):
    desk = kit.queue(shop)
    desk.label("t000", "fail", categories=["old"])
    rename_category(lm.open(shop), "old", "new")
    again = kit.queue(shop)
    assert again.mine("t000").categories == ("new",)
    again.label("t000", "fail", categories=again.mine("t000").categories)
    assert categories_of(shop) == [("t000", "new")]
