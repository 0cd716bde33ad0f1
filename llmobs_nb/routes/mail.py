"""Mail by SMTP: one message, the report attached; encrypted by STARTTLS or from the first byte, a login where one is named."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate

from ..text import safe, terminal
from .login import Login, loopback
from .message import Message
from .post import FIRST_WAIT, TRIES, Undelivered

SECONDS, MOST_BYTES = 15.0, 20_000_000


def mail(message: Message, options: Mapping, login: Login | None, wait: Callable[[float], None] = time.sleep) -> None:
    """Send it. Raises Undelivered after four tries, or at once where another try cannot help.

    That is where the server refuses login, sender or recipient for good, has no certificate that this machine trusts for its
    name, offers no TLS (nothing is sent in the clear instead), or would get the login unencrypted over a network.
    """
    letter = _letter(message, options)
    why = ""
    for tried in range(TRIES):
        if tried:
            wait(FIRST_WAIT * 2**tried)
        try:
            _deliver(letter, options, login)
            return
        except (smtplib.SMTPException, OSError) as error:
            why = _why(error)
            if _final(error):
                raise Undelivered(why) from None
    raise Undelivered(f"{why}, {TRIES} times")


def _deliver(letter: EmailMessage, options: Mapping, login: Login | None) -> None:
    server = _connected(options)
    try:
        if login:
            _log_in(server, login)
        server.send_message(letter)
    finally:
        # A server that fails at the goodbye has the letter: to send it again would be to send it twice.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _connected(options: Mapping) -> smtplib.SMTP:
    """A connection, encrypted unless ``tls`` is none; the certificate must be trusted and name the host."""
    host, port, how = options["host"], options["port"], options["tls"]
    trusted = ssl.create_default_context()
    if how == "implicit":
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=trusted)
    server = smtplib.SMTP(host, port, timeout=SECONDS)
    try:
        if how == "starttls":
            _encrypt(server, trusted)
    except BaseException:
        server.close()
        raise
    return server


def _encrypt(server: smtplib.SMTP, trusted: ssl.SSLContext) -> None:
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("starttls"):
        raise Undelivered(
            "the mail server offers no STARTTLS; give tls: implicit and its port, or tls: none for one that takes no login"
        )
    server.starttls(context=trusted)


def _log_in(server: smtplib.SMTP, login: Login) -> None:
    """The connection is asked what it is: a name may lead elsewhere than it says."""
    if not isinstance(server.sock, ssl.SSLSocket) and not loopback(server.sock.getpeername()[0]):
        raise Undelivered("the login would go out unencrypted; set tls to starttls or implicit")
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("auth"):
        raise Undelivered("the mail server takes no login; leave out user_env and password_env, or give its port for submission")
    server.login(login.user, login.password)


def _letter(message: Message, options: Mapping) -> EmailMessage:
    """Plain text; the same key gives the same Message-ID, so that a mailbox keeps one of two copies."""
    letter = EmailMessage()
    letter["Subject"] = terminal(message.title, 200)
    letter["From"], letter["To"] = options["from"], ", ".join(options["to"])
    letter["Date"] = formatdate(localtime=False)
    letter["Message-ID"] = f"<{message.key}.{message.state}@llmobs-nb>"
    letter.set_content(safe(message.text, 20_000) + "\n")
    if message.report is not None:
        page = message.report.read_bytes()
        if len(page) > MOST_BYTES:
            raise Undelivered(f"the report is of {len(page):,} bytes, more than the {MOST_BYTES:,} that a mail carries")
        letter.add_attachment(page, maintype="text", subtype="html", filename=message.report.name)
    return letter


def _final(error: Exception) -> bool:
    """Whether another try cannot help: TLS that fails, what the server cannot do, or a no for good (5xx) to everyone."""
    if _no_tls(error) or _no_way_in(error) or isinstance(error, smtplib.SMTPNotSupportedError):
        return True
    codes = [c for c, _ in error.recipients.values()] if isinstance(error, smtplib.SMTPRecipientsRefused) else []
    codes += [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    return bool(codes) and all(c >= 500 for c in codes)


def _why(error: Exception) -> str:
    """The reason, without words of the server: it may repeat what it was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = terminal(error.verify_message, 120)
        return f"the mail server's certificate is not trusted ({said}); name the file of your own authority in SSL_CERT_FILE"
    if _no_tls(error):
        return f"TLS with the mail server fails ({error.reason}); tls: implicit is for port 465, tls: starttls for 587 and 25"
    if _no_way_in(error):
        return "the mail server takes a login in ways only that are not known here (PLAIN, LOGIN and CRAM-MD5 are)"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"the mail server cannot do it: {terminal(error, 80)}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refuses the login ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refuses the recipients"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server says {error.smtp_code}"
    return f"the mail server does not answer ({type(error).__name__})"


def _no_tls(error: Exception) -> bool:
    """TLS that cannot be had; a line that broke off (EOF) may be better next time."""
    return isinstance(error, ssl.SSLError) and bool(error.reason) and not isinstance(error, ssl.SSLEOFError)


def _no_way_in(error: Exception) -> bool:
    """How smtplib says that it knows none of the server's ways to log in: its root error and no other class."""
    return type(error) is smtplib.SMTPException
