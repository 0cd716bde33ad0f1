"""An alert goes out once per incident, again where a route failed, and its end once; what a check may not write it does not send."""

import datetime as dt
import io
import json
import threading
from pathlib import Path

import alertkit
import incidentkit as kit
import pytest
from alertkit import END, at_end, rule

import llmobs_nb as lm
from llmobs_nb.analyses.alerts import check, send_report
from llmobs_nb.analyses.alerts import state as memory
from llmobs_nb.analyses.alerts.state import Outcome, alert_key, recall, step
from llmobs_nb.errors import StoreError, UsageError
from llmobs_nb.store.store import Store

DAY = dt.timedelta(days=1)
DAILY = {"cooldown": "1d", "route": "json", "severity": "critical"}


def swinging(day, k, one):
    """Half the calls fail on days 20, 21 and 24."""
    if day in (20, 21, 24) and k % 2:
        one["call"] |= {"status": "error", "error_class": "timeout"}
    return one


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return kit.put(tmp_path_factory.mktemp("state") / "store", alertkit.product(days=26, per_day=8, change=swinging))


@pytest.fixture
def store(template):
    """A store that remembers nothing yet; its head is put back afterwards."""
    held = Store(template)
    before = held.head()
    yield template
    held.write_head(before)


def told(store, day: float, rules=None, **more):
    """One check at the end of a day; the result and what it sent."""
    out = io.StringIO()
    result = check(lm.open(store, threads=1), rules or rule(**DAILY), at=kit.moment(day), out=out, **more)
    return result, [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_incident_is_told_once_and_its_end_once(store):
    states, sent = [], []
    for day in (20, 21, 22, 23, 24):
        result, messages = told(store, day)
        states.append(result.rows[0].state)
        sent += messages
    assert states == ["ok", "firing", "firing", "resolved", "ok"]
    assert [(m["state"], m["severity"]) for m in sent] == [("firing", "critical"), ("resolved", "critical")]
    assert sent[0]["key"] == sent[1]["key"] == alert_key("errors", (), kit.moment(21))


def test_a_firing_rule_keeps_the_moment_at_which_it_began(store):
    told(store, 21)
    result, _ = told(store, 22)
    assert result.rows[0].since == kit.moment(21)


def test_within_the_cooldown_nothing_new_is_told(store):
    slow = rule(**DAILY | {"cooldown": "7d"})
    for day in (21, 22, 23):
        told(store, day, slow)
    result, sent = told(store, 25, slow)
    assert (result.rows[0].state, result.severity, sent) == ("cooldown", None, [])
    result, sent = told(store, 25.01, rule(**DAILY))
    assert result.rows[0].state == "firing"
    assert sent[0]["key"] != alert_key("errors", (), kit.moment(21))


def test_without_state_nothing_is_kept_and_nothing_sent(store):
    result, sent = told(store, 21, state=False)
    assert (result.rows[0].state, sent, recall(store)) == ("firing", [], {})


def test_values_that_begin_together_are_one_alert_that_names_the_clearest(store):
    result, (message,) = told(store, 21, rule(**DAILY, by="user_id", metric="error_rate"))
    assert {r.by["user_id"] for r in result.rows} == {"u1", "u3", "u5"}
    assert message["title"].startswith(f"errors user_id {result.rows[0].by['user_id']} and 2 more: fires")
    assert len(message["details"]["rows"]) == 3
    assert [m["state"] for m in told(store, 23, rule(**DAILY, by="user_id"))[1]] == ["resolved"]


def test_a_route_that_failed_is_tried_again_and_the_others_are_not(store, monkeypatch):
    both = rule(**DAILY | {"route": ["json", "slack"]})
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    result, sent = told(store, 21, both)
    assert len(sent) == 1
    assert "the alert of errors did not go out by slack: SLACK_WEBHOOK_URL is not set" in result.findings[0].text
    got = []
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.test/x")
    monkeypatch.setattr("llmobs_nb.routes.post.post", lambda url, body, **_: got.append(body))
    for day in (22, 22.01):
        assert told(store, day, both)[1] == []
    assert [g["text"] for g in got] == ["errors: fires (critical)"]


def test_the_end_of_what_never_went_out_is_not_told(store, monkeypatch):
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    slack = rule(**DAILY | {"route": "slack"})
    told(store, 21, slack)
    result, _ = told(store, 23, slack)
    assert (result.rows[0].state, result.findings) == ("resolved", ())


def test_two_checks_that_race_send_one_alert(store):
    obs, out = [lm.open(store, threads=1) for _ in range(2)], [io.StringIO() for _ in range(2)]
    work = [
        threading.Thread(target=check, args=(o, rule(**DAILY)), kwargs={"at": kit.moment(21), "out": s})
        for o, s in zip(obs, out, strict=True)
    ]
    for one in work:
        one.start()
    for one in work:
        one.join()
    assert sum(len(s.getvalue().splitlines()) for s in out) == 1


def test_an_alert_claimed_by_a_check_that_died_goes_out_later(store):
    held = Store(store)
    outcome = Outcome("errors", (), True, 0.5, DAY, ("json",))
    died = dt.datetime.now(dt.UTC) - memory.CLAIM - dt.timedelta(seconds=1)
    memory.remember(held, [outcome], kit.moment(21), died)
    assert len(told(store, 21.01)[1]) == 1
    memory.remember(held, [Outcome("other", (), True, 0.5, DAY, ("json",))], kit.moment(21.02), dt.datetime.now(dt.UTC))
    assert told(store, 21.03, rule(**DAILY | {"name": "other"}))[1] == []


def test_a_check_of_an_earlier_moment_changes_nothing(store):
    told(store, 22)
    before = recall(store)
    result, sent = told(store, 20)
    assert (result.rows[0].state, sent, recall(store)) == ("ok", [], before)
    assert "was made already: this one of an earlier moment is not remembered, nothing is sent" in result.findings[0].text


def test_a_store_that_cannot_be_written_is_checked_without_state(store, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Store, "write_head", refuse)
    result, sent = told(store, 21)
    assert (result.rows[0].state, result.exit_code, sent) == ("firing", 2, [])
    assert "the store cannot be written: alerts are not remembered, and not sent (Permission denied)" in result.findings[0].text


def test_a_memory_that_cannot_be_read_is_refused_with_the_cure(store):
    held = Store(store)
    held.write_head(held.head() | {"alerts": [{"rule": "x"}]})
    with pytest.raises(StoreError, match=r"what it remembers of alerts cannot be read; remove 'alerts' from its head file"):
        recall(store)


def test_data_and_other_memories_stay_as_they_were(store):
    before = Store(store).head()
    told(store, 21)
    after = Store(store).head()
    assert after.pop("alerts") and after == before


def test_no_secret_of_a_route_is_written_to_the_store(store, monkeypatch):
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://127.0.0.1:9/S3CR3T")
    monkeypatch.setattr("llmobs_nb.routes.post.TRIES", 1)
    told(store, 21, rule(**DAILY | {"route": "slack"}))
    head = Path(store, "_llmobs", "head.json").read_text(encoding="utf-8")
    assert "slack:SLACK_WEBHOOK_URL" in head and "S3CR3T" not in head


def outcome(holds, by=(), rule="r"):
    return Outcome(rule, by, holds, 1.0, 3 * DAY)


def walk(*holds):
    """States of one by-value, a check a day."""
    known, out = {}, []
    for day, one in enumerate(holds):
        known, (shown,) = step(known, [outcome(one)], END + day * DAY)
        out.append(shown.state)
    return out


def test_no_data_neither_begins_nor_ends_an_alert():
    assert walk(None, True, None, None, False, False) == ["no_data", "firing", "firing", "firing", "resolved", "ok"]


def test_after_the_cooldown_the_same_trouble_is_a_new_incident():
    assert walk(True, False, True, True, True) == ["firing", "resolved", "cooldown", "firing", "firing"]


def test_a_value_that_joins_later_is_an_alert_of_its_own():
    known, _ = step({}, [outcome(True, ("a",)), outcome(True, ("b",))], END)
    known, _ = step(known, [outcome(True, ("a",)), outcome(True, ("b",)), outcome(True, ("c",))], at_end(days=1))
    assert known["r", ("a",)].alert == known["r", ("b",)].alert != known["r", ("c",)].alert


def test_what_is_long_over_is_forgotten_and_what_fires_is_not():
    known, _ = step({}, [outcome(True), outcome(True, rule="other")], END)
    known, _ = step(known, [outcome(False)], at_end(days=1))
    known, _ = step(known, [], at_end(days=200))
    assert set(known) == {("other", ())}


def test_a_value_that_is_no_longer_looked_at_is_over(store):
    told(store, 21, rule(**DAILY, by="user_id"))
    result, _ = told(store, 21.01, rule(**DAILY, by="user_id", where={"user_id": ["u1", "u3"]}))
    assert {(r.by["user_id"], r.state) for r in result.rows if r.state != "ok"} == {
        ("u1", "firing"),
        ("u3", "firing"),
        ("u5", "resolved"),
    }
    assert recall(store)["errors", ("u5",)].state == "resolved"


def test_a_finished_report_goes_once_by_each_route_of_the_rules(tmp_path):
    page, out = tmp_path / "weekly.html", io.StringIO()
    page.write_text("<p>week</p>", encoding="utf-8")
    send_report(page, [rule(**DAILY), rule(**DAILY | {"name": "other"})], out=out)
    assert [json.loads(line)["report"] for line in out.getvalue().splitlines()] == ["weekly.html"]
    with pytest.raises(UsageError, match=r"the report has no way to go: no rule names a route; give one, such as route: slack"):
        send_report(page, "default")
