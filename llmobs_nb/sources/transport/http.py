"""JSON in, JSON out, with patience: what passes is tried again inside a time budget, what does not is said in one line."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import orjson

from ...errors import SourceError
from ...text import terminal
from .bucket import Bucket
from .clock import Clock

PASSING = (408, 409, 425, 500, 502, 503)
TOO_MUCH = (413, 422, 504, 524)
ABSENT = (404, 405, 410, 501)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
TRIES = 8


class TooMuch(Exception):
    """The source could not answer so much at once: ask for less."""


class Unfinished(Exception):
    """The source did not answer in spite of all patience; the rest may be pulled later."""


class Absent(Exception):
    """The source has no such route or thing."""


class Forbidden(SourceError):
    """The key may not see this; it may see other things."""


class Refused(Exception):
    """The source calls the request wrong (400)."""


@dataclass(frozen=True)
class Cures:
    """What a user can do: about the key, about the address, about what the key may see."""

    key: str
    host: str
    permission: str


class Http:
    """One vendor's API.

    ``transport`` is an httpx2 transport (tests inject one); ``budget_seconds`` bounds all waiting for one answer. Errors
    never hold a header, and ``secrets`` are struck out of what the source says.
    """

    def __init__(
        self,
        base_url: str,
        *,
        cures: Cures,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
        budget_seconds: float = 900.0,
        answer_seconds: float = 60.0,
        seed: int | None = None,
    ):
        self.base_url, self.cures = base_url.rstrip("/"), cures
        self.clock = clock or Clock()
        self.budget_seconds, self.answer_seconds = budget_seconds, answer_seconds
        self._secrets = [s for s in (*(headers or {}).values(), *(auth or ())) if len(s) > 3]
        self._random = random.Random(seed)
        self._client = httpx2.Client(
            base_url=self.base_url,
            headers={"accept": "application/json", "user-agent": "llmobs_nb", **(headers or {})},
            auth=auth,
            transport=transport,
            timeout=httpx2.Timeout(answer_seconds, connect=10.0, pool=None),
            limits=httpx2.Limits(max_connections=16, keepalive_expiry=30.0),
        )

    def __repr__(self) -> str:
        return f"Http({self.base_url!r})"

    def close(self) -> None:
        """Let go of the connections, also of one that a stopped worker still waits on."""
        with contextlib.suppress(RuntimeError):
            self._client.close()

    def get(self, path: str, params: Any = None, *, bucket: Bucket | None = None) -> Any:
        """The JSON of a GET. Raises TooMuch, Unfinished, Absent, Refused; SourceError where no later try can help."""
        return self._ask("GET", path, bucket, params=params)

    def post(self, path: str, body: Any, *, bucket: Bucket | None = None) -> Any:
        """The JSON of a POST that only reads; raises what ``get`` raises."""
        return self._ask(
            "POST", path, bucket, content=orjson.dumps(body, default=str), headers={"content-type": "application/json"}
        )

    def _ask(self, method: str, path: str, bucket: Bucket | None, **request) -> Any:
        patience = _Patience(self)
        while True:
            if bucket is not None:
                bucket.take()
            try:
                response = self._client.request(method, path, **request)
            except (httpx2.ReadTimeout, httpx2.WriteTimeout):
                raise TooMuch(f"no answer within {self.answer_seconds:g} s") from None
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
                patience.unreachable(error)
                continue
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                patience.wait(f"the connection broke ({type(error).__name__})")
                continue
            if response.status_code == 200:
                try:
                    return orjson.loads(response.content)
                except orjson.JSONDecodeError:
                    patience.not_json(response)
                    continue
            self._judge(response, patience, bucket)

    def _judge(self, response: httpx2.Response, patience: _Patience, bucket: Bucket | None) -> None:
        """Wait where another try may help; raise where it cannot."""
        code = response.status_code
        if code == 429:
            patience.limited(response, bucket)
        elif code in PASSING:
            patience.wait(f"HTTP {code}", asked=_retry_after(response))
        elif code in TOO_MUCH:
            raise TooMuch(f"HTTP {code}{self.said(response)}")
        elif code in ABSENT:
            raise Absent(f"HTTP {code}{self.said(response)}")
        elif code == 401:
            raise SourceError(f"{self.base_url} refuses the key (HTTP 401{self.said(response)}); {self.cures.key}")
        elif code == 403:
            raise Forbidden(f"{self.base_url} does not allow this (HTTP 403{self.said(response)}); {self.cures.permission}")
        elif 300 <= code < 400:
            where = terminal(response.headers.get("location", "elsewhere"), 120)
            raise SourceError(f"{self.base_url} sends requests on to {where}; {self.cures.host}")
        elif code >= 500:
            patience.wait(f"HTTP {code}", asked=_retry_after(response))
        else:
            raise Refused(f"HTTP {code}{self.said(response)}")

    def said(self, response: httpx2.Response) -> str:
        """What the source said of its refusal, short, on one line and without our secrets."""
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            return ""
        told = body if isinstance(body, dict) else {}
        words = next((told[k] for k in ("message", "detail", "error", "title") if isinstance(told.get(k), str)), "")
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return f": {terminal(words, 160)}" if words.strip() else ""


class _Patience:
    """The tries for one answer and the time they may still take."""

    def __init__(self, http: Http):
        self.http, self.tries = http, 0
        self.ends = http.clock.now() + http.budget_seconds

    def wait(self, why: str, *, asked: float | None = None) -> None:
        """Wait for the next try: as long as asked, else longer each time, with jitter; raises Unfinished at the end."""
        self.tries += 1
        pause = asked if asked is not None else self._pause()
        if self.tries >= TRIES:
            raise Unfinished(f"{why}, {self.tries} times")
        self._sleep(pause, why)

    def limited(self, response: httpx2.Response, bucket: Bucket | None) -> None:
        """Rate limited: wait the whole Retry-After, and let the other workers wait as well. Only time bounds these tries."""
        asked = _retry_after(response)
        self.tries += asked is None
        pause = asked + 0.05 * self.http._random.random() if asked is not None else max(1.0, self._pause())
        if bucket is not None:
            bucket.close(pause)
        self._sleep(pause, "rate limited (HTTP 429)")

    def unreachable(self, error: Exception) -> None:
        """Nobody answers at the address; after some tries it is the address that is wrong."""
        self.tries += 1
        if self.tries >= 4 or isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
            raise SourceError(
                f"{self.http.base_url} cannot be reached ({type(error).__name__}); {self.http.cures.host}"
            ) from None
        self._sleep(self._pause(), "no connection")

    def not_json(self, response: httpx2.Response) -> None:
        """An answer cut short is asked for again; a web page means that this is not the API."""
        kind = response.headers.get("content-type", "").split(";")[0]
        if kind == "text/html":
            raise SourceError(f"{self.http.base_url} answers with a web page, not with JSON; {self.http.cures.host}")
        self.wait("an answer that is no JSON")

    def _pause(self) -> float:
        return min(FIRST_WAIT * 2**self.tries, LONGEST_WAIT) * (0.5 + self.http._random.random())

    def _sleep(self, pause: float, why: str) -> None:
        if self.http.clock.now() + pause > self.ends:
            raise Unfinished(f"{why}; it would take another {pause:.0f} s, more than the {self.http.budget_seconds:g} s allowed")
        self.http.clock.wait(pause)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds of a Retry-After header: a number, or a date as HTTP allows; None without one that can be read."""
    told = response.headers.get("retry-after", "").strip()
    try:
        return max(float(told), 0.0) if told else None
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
