"""Mail by SMTP: one message, the report attached; STARTTLS unless it is switched off, a login where one is named."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate

from ..text import safe, terminal
from .message import Message
from .post import FIRST_WAIT, TRIES, Undelivered

SECONDS, MOST_BYTES = 15.0, 20_000_000


def mail(message: Message, options: Mapping, login: tuple[str, str] | None, wait: Callable[[float], None] = time.sleep) -> None:
    """Send it. Raises Undelivered after four tries, or at once where the server refuses login, sender or recipient for good."""
    letter = _letter(message, options)
    why = ""
    for tried in range(TRIES):
        if tried:
            wait(FIRST_WAIT * 2**tried)
        try:
            with smtplib.SMTP(options["host"], options["port"], timeout=SECONDS) as server:
                if options["starttls"]:
                    server.starttls(context=ssl.create_default_context())
                if login:
                    server.login(*login)
                server.send_message(letter)
            return
        except smtplib.SMTPAuthenticationError:
            raise Undelivered("the mail server refuses the login") from None
        except smtplib.SMTPNotSupportedError as error:
            raise Undelivered(f"the mail server cannot do it: {terminal(error, 80)}") from None
        except (smtplib.SMTPException, OSError) as error:
            why = _why(error)
            if _final(error):
                raise Undelivered(why) from None
    raise Undelivered(f"{why}, {TRIES} times")


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
    """Whether the server said no for good (5xx); a recipient's refusal is one per address."""
    codes = [c for c, _ in error.recipients.values()] if isinstance(error, smtplib.SMTPRecipientsRefused) else []
    codes += [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    return bool(codes) and all(c >= 500 for c in codes)


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refuses the recipients"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server says {error.smtp_code}"
    return f"the mail server does not answer ({type(error).__name__})"
