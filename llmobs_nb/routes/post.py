"""One POST of JSON, tried again where that may help; neither the address (it may hold a key) nor a header is ever told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import httpx2
import orjson

from ..sources.transport.http import PASSING
from ..text import terminal

TRIES, FIRST_WAIT, LONGEST_WAIT, ANSWER_SECONDS = 4, 0.5, 20.0, 10.0


class Undelivered(Exception):
    """It did not arrive; the message says why, without address and key."""


def post(
    url: str, body: Mapping, *, headers: Mapping[str, str] | None = None, wait: Callable[[float], None] = time.sleep,
    transport: httpx2.BaseTransport | None = None,
) -> None:  # fmt: skip
    """POST a document. Raises Undelivered after four tries, or at once where another try cannot help (4xx but 408, 409, 425, 429).

    Waits between tries double from half a second; a Retry-After of seconds is obeyed up to 20 s. Redirects are not followed.
    """
    content = orjson.dumps(body)
    head = {"content-type": "application/json", "user-agent": "llmobs_nb", **(headers or {})}
    why, pause = "", FIRST_WAIT
    with _client(transport) as client:
        for tried in range(TRIES):
            if tried:
                wait(pause)
            pause = FIRST_WAIT * 2**tried
            try:
                answer = client.post(url, content=content, headers=head)
            except (httpx2.TransportError, httpx2.InvalidURL) as error:
                why = f"no answer ({type(error).__name__})"
                continue
            if 200 <= answer.status_code < 300:
                return
            why = f"HTTP {answer.status_code}{_said(answer, url, head)}"
            if answer.status_code not in (*PASSING, 429) and answer.status_code < 500:
                raise Undelivered(why)
            pause = _asked(answer, pause)
    raise Undelivered(f"{why}, {TRIES} times")


def _client(transport: httpx2.BaseTransport | None) -> httpx2.Client:
    try:
        return httpx2.Client(timeout=ANSWER_SECONDS, transport=transport)
    except OSError:
        raise Undelivered(
            "the certificates to trust cannot be read; correct SSL_CERT_FILE and SSL_CERT_DIR, or unset them"
        ) from None


def _asked(answer: httpx2.Response, pause: float) -> float:
    told = answer.headers.get("retry-after", "").strip()
    return min(float(told), LONGEST_WAIT) if told.isdigit() else pause


def _said(answer: httpx2.Response, url: str, head: Mapping[str, str]) -> str:
    """What a receiver says of its refusal, short and without what we sent as a secret."""
    words = terminal(answer.text[:400], 120)
    for secret in (url, url.rsplit("/", 1)[-1], *head.values(), *(v.rpartition(" ")[2] for v in head.values())):
        words = words.replace(secret, "***") if len(secret) > 3 else words
    return f": {words}" if words else ""
