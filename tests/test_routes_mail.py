"""Mail goes out encrypted and with a login of the environment; a login is never shown, and never sent in the clear over a network."""

import base64
import io
import json
import pickle
import re
import socket
from types import SimpleNamespace

import pytest
from mailkit import Mailbox, certificate, served

from llmobs_nb.errors import UsageError
from llmobs_nb.routes import Message, RouteError, read_routes, send
from llmobs_nb.routes.login import login, loopback
from llmobs_nb.routes.mail import _log_in
from llmobs_nb.routes.post import TRIES, Undelivered
from llmobs_nb.routes.routes import failures

FIRES = Message("judge_score fires (critical)", "llmobs-abc", "critical", "firing", ("0.70 against 0.78", "Owner: ml"))
PASSWORD = "hor5e battery"
ENV = {"MAIL_USER": "robot-7", "MAIL_PASSWORD": PASSWORD}
PLAIN = base64.b64encode(f"\0{ENV['MAIL_USER']}\0{PASSWORD}".encode()).decode()
WITH_LOGIN = {"user_env": "MAIL_USER", "password_env": "MAIL_PASSWORD"}


def by_mail(port=25, **more):
    return {"smtp": {"host": "127.0.0.1", "port": port, "from": "llmobs@here.test", "to": "sre@here.test", "tls": "none"} | more}


def told_by(box, waits=None, **more):
    """Why a message could not be sent to a mail box; None where it was."""
    with served(box):
        waits = [] if waits is None else waits
        return next(iter(failures(FIRES, read_routes("r", by_mail(box.port, **more)), env=ENV, wait=waits.append).values()), None)


@pytest.fixture
def mailbox():
    with served(Mailbox()) as server:
        yield server


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A certificate for the loopback, its file and the server's side."""
    return certificate(tmp_path_factory.mktemp("here"), "127.0.0.1")


@pytest.fixture
def trusted(here, monkeypatch):
    """The server's side of a certificate that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(here[0]))
    return here[1]


def test_mail_carries_the_words_and_the_same_id_for_the_same_alert(mailbox):
    for _ in range(2):
        send(FIRES, by_mail(mailbox.port))
    first, second = mailbox.letters
    assert "Subject: judge_score fires (critical)" in first
    assert "Message-ID: <llmobs-abc.firing@llmobs-nb>" in first and "Message-ID: <llmobs-abc.firing@llmobs-nb>" in second
    assert "0.70 against 0.78" in first


def test_a_title_makes_no_second_header(mailbox):
    send(Message("a\r\nBcc: x@y.test", "k"), by_mail(mailbox.port))
    head = mailbox.letters[0].partition("\r\n\r\n")[0]
    assert "Subject: a Bcc: x@y.test" in head and "\nBcc:" not in head


def test_a_finished_report_goes_out_by_mail_and_by_name_elsewhere(mailbox, tmp_path):
    page, out = tmp_path / "weekly.html", io.StringIO()
    page.write_text("<p>the week</p>", encoding="utf-8")
    send(report=page, title="The week", routes=[by_mail(mailbox.port), "json"], out=out)
    assert 'filename="weekly.html"' in mailbox.letters[0] and "Subject: The week" in mailbox.letters[0]
    told = json.loads(out.getvalue())
    assert (told["report"], told["state"]) == ("weekly.html", "report")


def test_a_name_may_stand_before_an_address(mailbox):
    send(
        FIRES, by_mail(mailbox.port, **{"from": "LLM Obs <llmobs@here.test>", "to": ["On call <sre@here.test>", "ml@here.test"]})
    )
    head = mailbox.letters[0].partition("\r\n\r\n")[0]
    assert "From: LLM Obs <llmobs@here.test>" in head and "To: On call <sre@here.test>, ml@here.test" in head
    assert mailbox.heard.count("rcpt") == 2


def test_a_report_that_no_mail_carries_is_refused(mailbox, tmp_path, monkeypatch):
    monkeypatch.setattr("llmobs_nb.routes.mail.MOST_BYTES", 1000)
    page = tmp_path / "weekly.html"
    page.write_bytes(b"x" * 1001)
    with pytest.raises(RouteError, match=r"smtp: the report is of 1,001 bytes, more than the 1,000 that a mail carries"):
        send(report=page, routes=by_mail(mailbox.port))
    assert not mailbox.heard


@pytest.mark.parametrize(
    ("refuse", "told", "letters"),
    [
        ({"MAIL": ["451 later"]}, None, 1),
        ({"MAIL": ["550 never"]}, r"smtp: the mail server says 550", 0),
        ({"RCPT": ["550 nobody"]}, r"smtp: the mail server refuses the recipients;", 0),
        ({"DATA": ["451 full"] * TRIES}, r"smtp: the mail server says 451, 4 times", 0),
    ],
)
def test_a_mail_server_that_says_no_for_now_is_asked_again(refuse, told, letters):
    box = Mailbox(refuse)
    why = told_by(box)
    assert len(box.letters) == letters
    assert why is None if told is None else re.match(told, why)


def test_a_server_that_fails_at_the_goodbye_gets_no_second_letter():
    box = Mailbox({"QUIT": ["451 not now"]})
    assert told_by(box) is None
    assert len(box.letters) == 1


def test_an_address_that_the_server_cannot_take_is_told_at_once(mailbox):
    with pytest.raises(RouteError, match=r"smtp: the mail server cannot do it: One or more source or delivery addresses require"):
        send(FIRES, by_mail(mailbox.port, to="\u00fc@here.test"), wait=lambda _: pytest.fail("it waited"))
    assert not mailbox.letters


def test_nobody_at_the_port_is_told_after_four_tries():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waits = []
    with pytest.raises(RouteError, match=r"smtp: the mail server does not answer \(ConnectionRefusedError\), 4 times"):
        send(FIRES, by_mail(port), wait=waits.append)
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("how", ["starttls", "implicit"])
def test_login_and_letter_arrive_encrypted(trusted, how):
    box = Mailbox(offers=("STARTTLS", "AUTH PLAIN"), tls=trusted, implicit=how == "implicit")
    assert told_by(box, tls=how, **WITH_LOGIN) is None
    assert box.logins == [PLAIN] and box.encrypted == [True, True]
    assert "0.70 against 0.78" in box.letters[0]
    assert ("STARTTLS" in box.heard) == (how == "starttls")


@pytest.mark.parametrize("how", ["starttls", "implicit"])
def test_a_certificate_that_nobody_signed_gets_nothing(here, how):
    box, waits = Mailbox(offers=("STARTTLS", "AUTH PLAIN"), tls=here[1], implicit=how == "implicit"), []
    why = told_by(box, waits, tls=how, **WITH_LOGIN)
    assert re.match(
        r"smtp: the mail server's certificate is not trusted \(self-signed certificate\); name the file of your own authority in SSL_CERT_FILE",
        why,
    )
    assert not box.logins and not box.letters and not waits


def test_a_certificate_for_another_name_gets_nothing(tmp_path, monkeypatch):
    file, context = certificate(tmp_path, "mail.other.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    box = Mailbox(offers=("STARTTLS", "AUTH PLAIN"), tls=context)
    why = told_by(box, tls="starttls", **WITH_LOGIN)
    assert re.match(
        r"smtp: the mail server's certificate is not trusted \(IP address mismatch, certificate is not valid for", why
    )
    assert not box.logins and not box.letters


def test_a_server_that_offers_no_tls_gets_nothing():
    box, waits = Mailbox(offers=("AUTH PLAIN",)), []
    why = told_by(box, waits, tls="starttls", **WITH_LOGIN)
    assert re.match(r"smtp: the mail server offers no STARTTLS; give tls: implicit and its port, or tls: none for one that", why)
    assert set(box.heard) <= {"ehlo", "quit", "QUIT"} and not waits


def test_the_wrong_kind_of_tls_is_told():
    box, waits = Mailbox(offers=("STARTTLS",)), []
    why = told_by(box, waits, tls="implicit")
    assert re.match(r"smtp: TLS with the mail server fails \(\w+\); tls: implicit is for port 465, tls: starttls for 587", why)
    assert not box.letters and not waits


def test_the_loopback_may_have_a_login_in_the_clear():
    box = Mailbox(offers=("AUTH PLAIN",))
    assert told_by(box, **WITH_LOGIN) is None
    assert box.logins == [PLAIN] and box.encrypted == [False, False]


@pytest.mark.parametrize("host", ["mail.here.test", "192.0.2.7", "10.0.0.5", "localhost.evil.test", "2001:db8::1"])
def test_a_route_with_a_login_in_the_clear_over_a_network_is_refused(host):
    with pytest.raises(UsageError, match=r"smtp: the login would go to \S+ unencrypted; set tls to starttls or implicit"):
        read_routes("r", by_mail(host=host, **WITH_LOGIN))
    assert read_routes("r", by_mail(host=host)) and read_routes("r", by_mail(host=host, tls="implicit", **WITH_LOGIN))


def test_a_name_that_leads_to_a_network_gets_no_login_in_the_clear():
    elsewhere = SimpleNamespace(sock=SimpleNamespace(getpeername=lambda: ("192.0.2.7", 25)))
    with pytest.raises(Undelivered, match=r"the login would go out unencrypted; set tls to starttls or implicit"):
        _log_in(elsewhere, login(ENV, "MAIL_USER", "MAIL_PASSWORD"))


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("h", False)],
)
def test_the_loopback_is_known(host, own):
    assert loopback(host) == own


ECHO = f"{PASSWORD} {PLAIN}"


@pytest.mark.parametrize(
    ("refuse", "offers", "told"),
    [
        ({"AUTH": [f"535 wrong: {ECHO}"] * 9}, "AUTH PLAIN", r"smtp: the mail server refuses the login \(535\); it is tried"),
        ({"AUTH": [f"454 later: {ECHO}"] * 9}, "AUTH PLAIN", r"smtp: the mail server refuses the login \(454\), 4 times"),
        (
            {},
            "SIZE",
            r"smtp: the mail server takes no login; leave out user_env and password_env, or give its port for submission",
        ),
        (
            {},
            "AUTH GSSAPI",
            r"smtp: the mail server takes a login in ways only that are not known here \(PLAIN, LOGIN and CRAM-MD5",
        ),
    ],
)
def test_a_login_that_the_server_does_not_take_is_told_without_it(refuse, offers, told):
    box = Mailbox(refuse, offers=(offers,))
    why = told_by(box, **WITH_LOGIN)
    assert re.match(told, why)
    assert not any(secret in why for secret in (*ENV.values(), PLAIN, "hor5e"))
    assert not box.letters


def test_a_login_that_is_refused_for_now_is_tried_again():
    box, waits = Mailbox({"AUTH": ["454 later"]}, offers=("AUTH PLAIN",)), []
    assert told_by(box, waits, **WITH_LOGIN) is None
    assert len(box.letters) == 1 and waits == [1.0]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (
            {"MAIL_USER": "robot-7"},
            r"smtp: MAIL_PASSWORD is not set; set it in the environment of the check, or name another variable",
        ),
        (
            ENV | {"MAIL_PASSWORD": "gehe\u00efm"},
            r"smtp: MAIL_PASSWORD holds a character that SMTP cannot carry; give a login of ASCII",
        ),
        (ENV | {"MAIL_USER": "robot-7\r\nRSET"}, r"smtp: MAIL_USER holds a character that SMTP cannot carry"),
    ],
)
def test_a_missing_or_impossible_login_is_told_by_its_name(mailbox, env, told):
    with pytest.raises(RouteError, match=told) as raised:
        send(FIRES, by_mail(mailbox.port, **WITH_LOGIN), env=env)
    assert not any(value in str(raised.value) for value in env.values())
    assert not mailbox.heard


def test_a_login_is_in_no_repr_and_no_pickle():
    both = login(ENV, "MAIL_USER", "MAIL_PASSWORD")
    assert (both.user, both.password) == tuple(ENV.values())
    assert not any(value in f"{both!r} {both} {[both]} {read_routes('r', by_mail(**WITH_LOGIN))!r}" for value in ENV.values())
    with pytest.raises(TypeError, match="credentials are neither pickled nor copied"):
        pickle.dumps(both)


@pytest.mark.parametrize(("how", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(how, port):
    given = by_mail(tls=how)["smtp"]
    del given["port"]
    (route,) = read_routes("r", {"smtp": given})
    assert route.options["port"] == port


def test_mail_is_encrypted_unless_one_says_otherwise():
    (route,) = read_routes("r", {"smtp": {"host": "mail.here.test", "from": "a@here.test", "to": "b@here.test"}})
    assert (route.options["tls"], route.options["port"]) == ("starttls", 587)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"tls": False}, r"r: route: smtp: tls=False is not known; choose one of: starttls, implicit, none"),
        ({"from": "alerts"}, r"r: route: smtp: from='alerts' is no address; give one such as alerts@example.com"),
        ({"from": "a@["}, r"r: route: smtp: from='a@\[' is no address"),
        ({"to": ["a@b.test", "a@"]}, r"r: route: smtp: to is no list of addresses; correct it"),
        ({"to": "a@b.test, c@d.test"}, r"r: route: smtp: to is no list of addresses; correct it"),
        ({"host": 5}, r"r: route: smtp: host is no text; correct it"),
        ({"port": 70000}, r"r: route: smtp: port=70000 is no port; give one from 1 to 65535"),
        (
            {"password": "S3CR3T"},
            r"r: route: smtp has no key 'password'; choose from: host, port, tls, from, to, user_env, password_env",
        ),
    ],
)
def test_what_is_not_understood_is_refused(more, told):
    with pytest.raises(UsageError, match=told) as raised:
        read_routes("r", by_mail(**more))
    assert "S3CR3T" not in str(raised.value)
