"""What becomes of incidents: remembered in the store and known again, and whether a fix worked."""

import errno
import json
import os
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import fixtures_incident as fx
import incidentkit as kit
import numpy as np
import pytest

import llmobs_nb as lm
from llmobs_nb.analyses.incident import Cause, IncidentResult, Onset, known, remember
from llmobs_nb.analyses.incident.memory import MOST, recognise
from llmobs_nb.errors import LockedError, StoreError, UsageError
from llmobs_nb.stats.estimate import Estimate
from llmobs_nb.store.place import Bucket
from llmobs_nb.store.store import Store

SCORE = "score:q:judge"
DAY_16 = kit.moment(16)


def found(at=DAY_16, *, kind="prompt_text", where=None, store=None, **more) -> IncidentResult:
    """An incident as an analysis gives it."""
    cause = Cause(kind, where or {"auth": "sso"}, Estimate(-0.3, -0.4, -0.2, 90), None, 0.9, ("so",), "undo it")
    whole = IncidentResult(
        name="incident", headline="It fell.", verdict="incident", metric=SCORE, label="q (judge)", direction="down", causes=(cause,),
        onset=Onset(at, at - timedelta(hours=6), at + timedelta(hours=1), "step"), provenance={"store": store} if store else {},
    )  # fmt: skip
    return replace(whole, **more)


# Remembered


def test_an_incident_is_remembered_and_read_back_as_it_was(root):
    one = remember(found(store=root))
    assert known(root) == (one,)
    assert (one.kind, one.where, one.metric, one.onset, one.end) == ("prompt_text", {"auth": "sso"}, SCORE, kit.moment(16), None)
    assert one.headline == "It fell." and one.open
    assert one.first_reported == one.last_reported <= datetime.now(UTC)


def test_the_same_incident_stays_one_with_its_first_report(root):
    first = remember(found(store=root))
    again = remember(found(kit.moment(17.2), store=root, headline="It fell again."))
    assert known(root) == (again,)
    assert (again.id, again.onset, again.first_reported) == (first.id, first.onset, first.first_reported)
    assert again.last_reported > first.last_reported
    assert again.headline == "It fell again."


@pytest.mark.parametrize("other", [
    {"at": kit.moment(24)}, {"kind": "price"}, {"where": {"auth": "saml"}}, {"where": {"auth": "sso", "feature": "chat"}},
])  # fmt: skip
def test_another_kind_slice_or_time_is_another_incident(root, other):
    remember(found(store=root))
    assert recognise(found(**other), root) is None
    remember(found(**other), store=root)
    assert len({k.id for k in known(root)}) == 2


@pytest.mark.parametrize(("days", "same"), [(-3.9, True), (3.9, True), (4.1, False), (-4.1, False)])
def test_four_days_apart_is_still_the_same(root, days, same):
    remember(found(store=root))
    assert (recognise(found(kit.moment(16 + days)), root) is not None) is same


def test_a_wide_interval_of_the_onset_reaches_further_back(root):
    remember(found(kit.moment(8), store=root))
    wide = Onset(kit.moment(16), kit.moment(7), kit.moment(17), "ramp")
    assert recognise(found(onset=wide), root).onset == kit.moment(8)


def test_the_latest_comes_first_and_the_oldest_reports_are_forgotten(root):
    remember(found(where={"n": "0"}, store=root))
    store = Store(root)
    (told,) = store.head()["incidents"]
    more = [told | {"id": str(n), "where": {"n": str(n)}, "onset": kit.moment(10 * n).isoformat()} for n in range(1, MOST)]
    store.write_head(store.head() | {"incidents": [told, *more]})
    remember(found(kit.moment(-50), where={"n": "old"}), store=root)
    kept = known(root)
    assert len(kept) == MOST
    assert [k.where["n"] for k in kept] == [*(str(n) for n in range(MOST - 1, 0, -1)), "old"]


@pytest.mark.parametrize(
    "verdict", ["no_change", "not_enough_evidence", "judge_changed", "traffic_mix_changed", "sampling_changed"]
)
def test_what_is_no_incident_is_not_remembered(root, verdict):
    assert remember(fx.quiet(verdict), store=root) is None
    assert known(root) == ()
    assert recognise(fx.quiet(verdict), root) is None


def test_a_store_without_a_memory_knows_nothing(root):
    assert known(root) == ()
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    assert known(root) == ()
    assert recognise(found(), root) is None


def test_hostile_words_are_kept_as_they_are_and_make_no_second_head(root):
    where = {'it\'s "x"\x1b[31m': "o'pro\ud800\u202e</script>"}
    remember(found(where=where, headline="a\x00b\ud800"), store=root)
    assert known(root)[0].where == where
    assert recognise(found(where=where), root) is not None


def test_remembering_leaves_the_data_as_it_was(root):
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    before = Store(root).head()
    remember(found(store=root))
    after = Store(root).head()
    assert after.pop("incidents") and after == before
    assert len(lm.open(root, threads=1).spans()) == 1
    kit.put(root, [kit.trace("u", kit.MONDAY)])
    assert len(known(root)) == 1


def test_a_later_report_says_what_became_of_it(root):
    open_one = remember(found(store=root))
    assert open_one.words == "the one of 21 October, still open"
    fixed = remember(found(store=root), fixed_at=kit.moment(20))
    assert (fixed.words, fixed.open) == ("the one of 21 October, fixed on 25 October", False)
    assert remember(found(store=root)).fixed_at == kit.moment(20)
    over = remember(found(store=root, where={"a": "b"}, end=kit.moment(18)))
    assert (over.words, over.open) == ("the one of 21 October, over since 23 October", False)


def test_remembering_needs_a_store():
    with pytest.raises(UsageError, match=r"remember: the result names no store; give store=, the folder or address it came from"):
        lm.remember(found())


def test_writers_wait_for_each_other_and_lose_nothing(root):
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    threads = [threading.Thread(target=remember, args=(found(where={"n": str(n)}),), kwargs={"store": root}) for n in range(6)]
    held = Store(root)
    with held.writing():
        for thread in threads:
            thread.start()
        assert known(root) == ()
    for thread in threads:
        thread.join(timeout=30)
    assert {k.where["n"] for k in known(root)} == set("012345")


def test_a_writer_that_does_not_let_go_is_named(root, monkeypatch):
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    writing = Store.writing
    with Store(root).writing():
        monkeypatch.setattr(Store, "writing", lambda self: writing(self, wait_seconds=0.1))
        with pytest.raises(LockedError):
            remember(found(store=root))
    assert known(root) == ()


REFUSED = OSError("When initiating multipart upload: AWS Error ACCESS_DENIED during PutObject operation: user x may not")
UNWRITABLE = {
    "a folder that is read-only": (
        PermissionError(errno.EACCES, "Permission denied", "s/_llmobs/head.old.json.1"),
        r"store '\S+' cannot be written: Permission denied; give a folder that you may write",
    ),
    "a disk that is read-only": (
        OSError(errno.EROFS, "Read-only file system", "s/_llmobs/head.json.1"),
        r"store '\S+' cannot be written: Read-only file system; give a folder that you may write",
    ),
    "a bucket without the right": (
        Bucket("s3://bucket/s").refusal(REFUSED),
        r"store 's3://bucket/s': access is refused; check AWS_ACCESS_KEY_ID, .* and what they allow",
    ),
    "an error that is hostile": (
        OSError("a\x1b[31mb\n\u202esk-abcdefgh12345678"),
        r"store '\S+' cannot be written: ab sk-…; give a folder that you may write",
    ),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_a_store_that_cannot_be_written_gives_the_same_answer_and_one_line(root, monkeypatch, capsys, case):
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    error, words = UNWRITABLE[case]

    def refuse(self, head):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_head", refuse)
        one = remember(found(store=root))
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(
        rf"llmobs: note: the incident is not remembered, later reports will not know it again: {words}\n", told.err
    )
    assert known(root) == ()
    later = remember(found(store=root))
    assert replace(one, first_reported=later.first_reported, last_reported=later.last_reported) == later
    assert known(root) == (later,) and capsys.readouterr().err == ""


def test_a_lock_that_cannot_be_opened_is_a_store_that_cannot_be_written(root, capsys):
    kit.put(root, [kit.trace("t", kit.MONDAY)])
    lock = os.path.join(root, "_llmobs", "lock")
    os.remove(lock)
    os.mkdir(lock)
    assert remember(found(store=root)).where == {"auth": "sso"}
    assert "cannot be written: Is a directory; give a folder that you may write\n" in capsys.readouterr().err
    assert known(root) == ()


def test_a_memory_that_cannot_be_read_is_an_error(root):
    remember(found(store=root))
    store = Store(root)
    store.write_head(store.head() | {"incidents": [{"id": "x"}]})
    for ask in (known, lambda root: remember(found(store=root))):
        with pytest.raises(StoreError, match=r"what it remembers of incidents cannot be read; remove 'incidents' from its head"):
            ask(root)


def test_next_week_s_report_knows_the_incident_again(tmp_path):
    root = kit.put(tmp_path / "s", kit.product(days=24, per_day=60))
    asked = {"metric": "score:help:ful'ness:judge"}
    first = lm.incident(lm.open(root, threads=1), **asked)
    assert (first.verdict, first.causes[0].where) == ("incident", {kit.HOSTILE_KEY: kit.HOSTILE_VALUE})
    assert (first.known, first.json()["known"]) == (None, None)
    assert not kit.BAD_CHARACTERS.search(first.headline)
    lm.remember(first)
    again = lm.incident(lm.open(root, threads=1), **asked)
    assert again.known == "the one of 21 October, still open"
    assert again.headline == f"{first.headline} Known: the one of 21 October, still open."
    lm.remember(again, fixed_at=kit.moment(22))
    assert recognise(again, root).words == "the one of 21 October, fixed on 27 October"
    assert json.loads(json.dumps(again.json(), allow_nan=False))["known"] == again.known


# Did it work


def history(root, *, later, noise=0.05, per_day=16, days=32, judged=1.0):
    """Judged traffic: .8 before day 12, .5 for single sign-on until day 24, then ``later``; the others stay at .8."""
    rng = np.random.default_rng(5)
    rows = []
    for day in range(days):
        for k in range(per_day):
            sso = k % 2 == 0
            level = 0.8 if not sso or day < 12 else 0.5 if day < 24 else later
            scores = {"q": float(rng.normal(level, noise))} if rng.random() < judged else None
            rows.append(
                kit.trace(
                    f"{day}-{k}",
                    kit.moment(day + (k + 0.5) / per_day),
                    metadata={"auth": "sso" if sso else "mail"},
                    scores=scores,
                )
            )
    return kit.put(root, rows)


@pytest.fixture(scope="module")
def healed(tmp_path_factory):
    return history(tmp_path_factory.mktemp("healed") / "s", later=0.8)


def test_a_fix_that_worked(healed):
    done = lm.did_it_work(found(kit.moment(12), store=healed), fixed_at=kit.moment(24))
    assert done.verdict == "worked"
    assert done.recovered.value == pytest.approx(1.0, abs=0.06)
    assert done.recovered.ci_low < 1 < done.recovered.ci_high
    assert done.change.value == pytest.approx(0.3, abs=0.03)
    assert done.headline.startswith("The fix worked: ") and "q (judge) since 29 October 2026 00:00 UTC" in done.headline


def test_a_fix_may_be_given_as_text_in_a_time_zone(healed):
    incident = found(kit.moment(12), store=healed)
    done = lm.did_it_work(incident, fixed_at="2026-10-29T02:00", tz="Europe/Helsinki", obs=lm.open(healed, threads=1))
    assert done.fixed_at == kit.moment(24)
    assert done.verdict == "worked"


@pytest.mark.parametrize(("later", "verdict", "share"), [(0.5, "did_not_work", 0.0), (0.65, "partly", 0.5)])
def test_the_share_of_the_loss_that_is_back_decides(root, later, verdict, share):
    done = lm.did_it_work(found(kit.moment(12), store=history(root, later=later, noise=0.05)), fixed_at=kit.moment(24))
    assert done.recovered.value == pytest.approx(share, abs=0.08)
    assert done.verdict == verdict


def test_a_few_noisy_judgements_are_not_enough(root):
    store = history(root, later=0.8, noise=0.6, per_day=6, days=27, judged=0.5)
    done = lm.did_it_work(found(kit.moment(12), store=store), fixed_at=kit.moment(24))
    assert done.verdict == "not_enough_evidence"
    assert done.headline.startswith("Not enough evidence yet whether the fix worked")
    assert done.recovered.ci_low < 0.5 < done.recovered.ci_high


def test_the_answer_is_strict_json_and_claims_its_numbers(healed):
    done = lm.did_it_work(found(kit.moment(12), store=healed), fixed_at=kit.moment(24))
    told = json.loads(json.dumps(done.json(), allow_nan=False))
    assert (told["verdict"], told["fixed_at"]) == ("worked", "2026-10-29T00:00:00+00:00")
    claims = {c["id"]: c for c in done.claims()}
    for name in ("recovered", "change"):
        assert all(claims[name][k] == told[name][k] for k in ("value", "ci_low", "ci_high", "n"))


def test_the_version_that_came_with_the_incident_is_no_part_of_the_slice_that_is_watched(root):
    rng = np.random.default_rng(6)
    rows = []
    for k in range(700):
        day = k / 20
        bad = 12 <= day < 24
        call = {"prompt_name": "p", "prompt_version": "2" if bad else "1"}
        rows.append(kit.trace(f"t{k}", kit.moment(day), call=call, scores={"q": float(rng.normal(0.5 if bad else 0.8, 0.1))}))
    incident = found(
        kit.moment(12), kind="prompt_version", where={"prompt_version": "2", "prompt_name": "p"}, store=kit.put(root, rows)
    )
    done = lm.did_it_work(incident, fixed_at=kit.moment(24))
    assert (done.verdict, done.recovered.value) == ("worked", pytest.approx(1.0, abs=0.15))


@pytest.mark.parametrize("at", [kit.moment(11), kit.moment(12), kit.moment(31.5), kit.moment(99)])
def test_a_fix_outside_of_the_data_is_refused(healed, at):
    with pytest.raises(
        UsageError, match=r"fixed_at=.* must lie after the onset \(2026-10-17 00:00\) and a day before the end of the data"
    ):
        lm.did_it_work(found(kit.moment(12), store=healed), fixed_at=at)


def test_a_fix_that_is_no_time_is_refused(healed):
    with pytest.raises(UsageError, match=r"'yesterday-ish'"):
        lm.did_it_work(found(kit.moment(12), store=healed), fixed_at="yesterday-ish")


@pytest.mark.parametrize("verdict", ["no_change", "judge_changed"])
def test_only_incidents_can_be_fixed(verdict):
    with pytest.raises(UsageError, match=rf"did_it_work: the result says '{verdict}'; give one whose verdict is 'incident'"):
        lm.did_it_work(fx.quiet(verdict), fixed_at=kit.moment(24))


def test_a_metric_that_the_store_lacks_is_refused_with_the_choices(healed):
    with pytest.raises(
        UsageError, match=r"did_it_work: metric 'score:other:judge' is not in the store; choose one of: score:q:judge, error_rate"
    ):
        lm.did_it_work(found(kit.moment(12), store=healed, metric="score:other:judge"), fixed_at=kit.moment(24))


def test_an_empty_store_has_nothing_to_compare(root):
    kit.put(root, [kit.trace("t", kit.MONDAY, purpose="evaluation")])
    with pytest.raises(UsageError, match=r"a day before the end of the data \(no data\)"):
        lm.did_it_work(found(kit.moment(12), store=root), fixed_at=kit.moment(24))
