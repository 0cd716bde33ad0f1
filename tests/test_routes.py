"""Messages go out to Slack, PagerDuty, a webhook and mail on the loopback: tried again, told apart, and never with a secret in an error."""

import http.server
import io
import json
import re

import pytest
from mailkit import served

from llmobs_nb.errors import UsageError
from llmobs_nb.routes import Message, RouteError, read_routes, send
from llmobs_nb.routes.post import TRIES, Undelivered, post
from llmobs_nb.routes.routes import failures
from llmobs_nb.routes.vendors import pagerduty, slack

FIRES = Message(
    "judge_score fires (critical)", "llmobs-abc", "critical", "firing", ("0.70 against 0.78", "Owner: ml"), {"rows": [{"n": 24}]}
)
OVER = Message("judge_score is over", "llmobs-abc", "critical", "resolved")
SECRET = "T0SECRET0HOOK"


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with the codes in ``answers`` in turn, then with 200; keeps what it was told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.told, self.retry_after = [], [], None
        self.url = f"http://127.0.0.1:{self.server_port}/{SECRET}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.told.append((self.path, dict(self.headers), body))
        code = self.server.answers.pop(0) if self.server.answers else 200
        said = f"no_service for {SECRET} \x1b[31m".encode()
        self.send_response(code)
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with served(Receiver()) as server:
        yield server


def no_wait(_):
    pass


def test_slack_gets_colour_words_and_a_foot_by_the_address_in_the_environment(receiver):
    send(FIRES, "slack", env={"SLACK_WEBHOOK_URL": receiver.url})
    ((path, _, body),) = receiver.told
    (attachment,) = body["attachments"]
    assert (path, body["text"]) == (f"/{SECRET}", FIRES.title)
    assert "0.70 against 0.78\nOwner: ml" in attachment["blocks"][0]["text"]["text"]
    assert attachment["color"] != slack(OVER)["attachments"][0]["color"]


def test_words_of_traces_make_no_markup_in_slack():
    hostile = Message("<!channel> & \x1b[31m<http://bad|here>", "k", lines=("<@U1>" * 2000,))
    told = slack(hostile)
    text = told["attachments"][0]["blocks"][0]["text"]["text"]
    assert "<" not in text + told["text"] and "\x1b" not in json.dumps(told)
    assert len(text) <= 3000


def test_pagerduty_is_triggered_and_resolved_under_one_key(receiver):
    ways = read_routes("r", {"pagerduty": {"key_env": "PD", "url": receiver.url}})
    for message in (FIRES, OVER):
        send(message, ways, env={"PD": "R0UTING"})
    first, second = (body for _, _, body in receiver.told)
    assert (first["event_action"], second["event_action"]) == ("trigger", "resolve")
    assert first["dedup_key"] == second["dedup_key"] == "llmobs-abc"
    assert (first["routing_key"], first["payload"]["severity"], first["payload"]["custom_details"]["rows"]) == (
        "R0UTING",
        "critical",
        [{"n": 24}],
    )


def test_a_pagerduty_summary_stays_within_its_limit():
    assert len(pagerduty(Message("x" * 5000, "k"), "key")["payload"]["summary"]) <= 1024


def test_a_webhook_gets_the_document_with_a_key_and_a_token(receiver):
    send(FIRES, {"webhook": {"token_env": "HOOK_TOKEN"}}, env={"LLMOBS_WEBHOOK_URL": receiver.url, "HOOK_TOKEN": "tok-123456"})
    ((_, head, body),) = receiver.told
    head = {k.lower(): v for k, v in head.items()}
    assert (head["authorization"], head["idempotency-key"]) == ("Bearer tok-123456", "llmobs-abc/firing")
    assert (body["key"], body["state"], body["lines"]) == ("llmobs-abc", "firing", ["0.70 against 0.78", "Owner: ml"])


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_what_passes_is_tried_again(receiver, code):
    receiver.answers, waits = [code, code], []
    post(receiver.url, {"a": 1}, wait=waits.append)
    assert len(receiver.told) == 3
    assert waits == [0.5, 1.0]


def test_the_wait_that_is_asked_for_is_kept_up_to_a_limit(receiver):
    receiver.answers, waits, receiver.retry_after = [429, 429], [], "7"
    post(receiver.url, {}, wait=waits.append)
    receiver.answers, receiver.retry_after = [429], "9999"
    post(receiver.url, {}, wait=waits.append)
    assert waits == [7.0, 7.0, 20.0]


def test_what_never_works_is_given_up_and_says_so_without_the_address(receiver):
    receiver.answers = [500] * TRIES
    with pytest.raises(
        RouteError, match=r"slack: HTTP 500: no_service for \*\*\*, 4 times; it is tried again with the next check"
    ) as raised:
        send(FIRES, "slack", env={"SLACK_WEBHOOK_URL": receiver.url}, wait=no_wait)
    assert len(receiver.told) == TRIES
    assert SECRET not in str(raised.value) and "127.0.0.1" not in str(raised.value) and "\x1b" not in str(raised.value)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 302])
def test_what_cannot_work_is_not_tried_again(receiver, code):
    receiver.answers = [code]
    with pytest.raises(Undelivered, match=f"HTTP {code}"):
        post(receiver.url, {}, wait=no_wait)
    assert len(receiver.told) == 1


def test_nobody_at_the_address_is_one_line(receiver):
    with pytest.raises(RouteError, match=r"webhook: no answer \(ConnectError\), 4 times") as raised:
        send(FIRES, "webhook", env={"LLMOBS_WEBHOOK_URL": "http://127.0.0.1:9/K3Y"}, wait=no_wait)
    assert "K3Y" not in str(raised.value)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, r"slack: SLACK_WEBHOOK_URL is not set; set it in the environment of the check, or name another variable"),
        (
            {"SLACK_WEBHOOK_URL": "hooks.slack/abc"},
            r"slack: SLACK_WEBHOOK_URL is no address of a webhook; give one that starts with https://",
        ),
        ({"SLACK_WEBHOOK_URL": "https://a b"}, r"slack: SLACK_WEBHOOK_URL holds a character that no key has"),
    ],
)
def test_a_missing_or_wrong_credential_is_told_by_its_name_only(env, told):
    with pytest.raises(RouteError, match=told) as raised:
        send(FIRES, "slack", env=env)
    assert not any(v in str(raised.value) for v in env.values())


def test_one_route_that_fails_does_not_keep_the_others(receiver):
    out = io.StringIO()
    ways = read_routes("r", ["slack", "stdout", {"webhook": None}])
    bad = failures(FIRES, ways, out=out, env={"LLMOBS_WEBHOOK_URL": receiver.url})
    assert list(bad) == ["slack:SLACK_WEBHOOK_URL"]
    assert out.getvalue() == "[critical] firing: judge_score fires (critical)\n"
    assert len(receiver.told) == 1


def test_certificates_that_are_not_there_keep_no_other_route(receiver, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    out = io.StringIO()
    (why,) = failures(FIRES, read_routes("r", ["slack", "stdout"]), out=out, env={"SLACK_WEBHOOK_URL": receiver.url}).values()
    assert re.match(
        r"slack: the certificates to trust cannot be read; correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them;", why
    )
    assert out.getvalue() and not receiver.told


def test_json_lines_are_strict_json():
    out = io.StringIO()
    send(FIRES, "json", out=out)
    assert json.loads(out.getvalue()) == FIRES.json()


def test_a_report_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"send: report='.*gone.html' is no file; give the HTML file that llmobs report wrote"):
        send(report=tmp_path / "gone.html", routes="stdout")
    with pytest.raises(UsageError, match=r"send: nothing to send; give a message, or report="):
        send(routes="stdout")


WRONG = [
    ("pigeon", r"r: route='pigeon' is not known; choose one of: stdout, json, slack, pagerduty, webhook, smtp"),
    (5, r"r: route='5' is not understood; give one of stdout, json"),
    ({"slack": {"url": "https://hooks.slack.com/x"}}, r"r: route: slack has no key 'url'; choose from: url_env"),
    ({"slack": {"url_env": "https://hooks.slack.com/S3CR3T"}}, r"slack: url_env is no name of an environment variable; put the secret into a variable"),
    ({"slack": "x"}, r"slack='x' is no mapping; its keys are: url_env"),
    ({"stdout": {"a": 1}}, r"stdout has no key 'a'; choose from: none"),
    ({"pagerduty": {"url": "ftp://x"}}, r"pagerduty: url is no address; give one that starts with https://"),
    ({"smtp": {"host": "h"}}, r"smtp needs from, to; give host, from and to"),
    ({"smtp": {"host": "h", "from": "a@b.test", "to": "nobody"}}, r"smtp: to is no list of addresses; correct it"),
    ({"smtp": {"host": "h", "from": "a@b.test", "to": ["a@b.test"], "user_env": "U"}}, r"smtp has a login of one half"),
    ({"smtp": {"port": "25"}}, r"smtp: port is no whole number; correct it"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "error"), WRONG, ids=range(len(WRONG)))
def test_a_route_that_is_not_understood_is_refused_without_its_secret(told, error):
    with pytest.raises(UsageError, match=error) as raised:
        read_routes("r", told)
    assert "S3CR3T" not in str(raised.value)
