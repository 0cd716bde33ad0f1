"""What every double speaks: a request in, an answer out; over a socket on loopback, or straight into an httpx2 client."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx2


@dataclass(frozen=True)
class Request:
    """One request: ``query`` holds every value of a name, ``body`` parsed JSON or None; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: object = None

    def one(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True)
class Answer:
    """One answer. ``cut``: the connection breaks in the middle of the body; ``late``: seconds before it comes."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    late: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Wire(httpx2.BaseTransport):
    """A double without a socket. A late answer is a read timeout when it is later than the client waits."""

    def __init__(self, double, clock=None):
        self.double, self.clock = double, clock

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        told = urlsplit(str(request.url))
        body = request.read()
        answer = self.double.handle(
            Request(
                request.method,
                told.path,
                parse_qs(told.query, keep_blank_values=True),
                {k.lower(): v for k, v in request.headers.items()},
                json.loads(body) if body else None,
            )
        )
        patience = (request.extensions.get("timeout") or {}).get("read")
        if patience is not None and answer.late > patience:
            if self.clock is not None:
                self.clock.wait(patience)
            raise httpx2.ReadTimeout("the answer is late", request=request)
        if self.clock is not None and answer.late:
            self.clock.wait(answer.late)
        if answer.cut:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body", request=request)
        headers = {"content-type": "application/json", **answer.headers}
        return httpx2.Response(answer.status, headers=headers, content=answer.content, request=request)


@contextlib.contextmanager
def serving(double) -> Iterator[str]:
    """The double on a free port of loopback; gives its address. Ends its threads when left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(double))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(double):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def answer(self):
            told = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = double.handle(
                Request(
                    self.command,
                    told.path,
                    parse_qs(told.query, keep_blank_values=True),
                    {k.lower(): v for k, v in self.headers.items()},
                    json.loads(body) if body else None,
                )
            )
            if answer.late:
                threading.Event().wait(answer.late)
            content = answer.content
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(answer.status)
                for name, value in {"content-type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answer.cut else content)
                self.wfile.flush()
            if answer.cut:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, *args):
            pass

    return Handler
