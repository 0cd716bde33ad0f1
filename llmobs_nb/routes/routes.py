"""Routes as a rule names them, checked when they are read; a message goes out by each of them."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from ..errors import UsageError, choose
from ..sources.environment import key
from ..text import terminal
from .login import login, loopback
from .message import Message

# How a mail connection is encrypted, and the port where none is given.
PORTS = {"starttls": 587, "implicit": 465, "none": 25}
# Options of each kind with their defaults; a tuple is a menu whose first choice is the default.
KINDS: dict[str, dict[str, Any]] = {
    "stdout": {},
    "json": {},
    "slack": {"url_env": "SLACK_WEBHOOK_URL"},
    "pagerduty": {"key_env": "PAGERDUTY_ROUTING_KEY", "url": ""},
    "webhook": {"url_env": "LLMOBS_WEBHOOK_URL", "token_env": ""},
    "smtp": {"host": "", "port": 0, "tls": (*PORTS,), "from": "", "to": [], "user_env": "", "password_env": ""},
}

# An address, bare or behind a name; the mail library fails on odder ones.
_BARE = r"[^\s@<>()\[\],;:\"\\]+@[^\s@<>()\[\],;:\"\\]+"
ADDRESS = re.compile(rf"{_BARE}|[^@<>()\[\],;:\"\\]*<{_BARE}>")


class RouteError(UsageError):
    """A message that did not arrive; says by which route and why, never an address that holds a key."""


@dataclass(frozen=True)
class Route:
    """One way out: ``kind`` and its options; options that end in _env name variables of the environment, never hold a secret."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the route is known again: its kind and what tells it apart from another of the kind."""
        told = [str(self.options[k]) for k in ("url_env", "key_env", "host") if self.options.get(k)]
        to = self.options.get("to") or []
        return ":".join([self.kind, *told, *to])


def read_routes(where: str, told: Any) -> tuple[Route, ...]:
    """The routes of a rule: a name, ``{slack: {url_env: NAME}}``, or a list of both. UsageError for what is not understood."""
    if told is None:
        return ()
    many = told if isinstance(told, list) else [told]
    return tuple(_route(f"{where}: route", one) for one in many)


def _route(what: str, told: Any) -> Route:
    if isinstance(told, str):
        told = {told: {}}
    if not isinstance(told, Mapping) or len(told) != 1:
        raise UsageError(
            f"{what}={terminal(told, 60)!r} is not understood; give one of {', '.join(KINDS)}, or {{slack: {{url_env: NAME}}}}"
        )
    ((kind, given),) = told.items()
    choose(what, kind, KINDS)
    options = {name: value[0] if isinstance(value, tuple) else value for name, value in KINDS[kind].items()}
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"{what}: {kind}={terminal(given, 60)!r} is no mapping; its keys are: {', '.join(options) or 'none'}")
    for name, value in (given or {}).items():
        if name not in options:
            raise UsageError(f"{what}: {kind} has no key {terminal(name, 60)!r}; choose from: {', '.join(options) or 'none'}")
        options[name] = _option(f"{what}: {kind}: {name}", value, KINDS[kind][name])
    if kind == "smtp":
        _check_mail(what, options)
    if options.get("url") and urlsplit(options["url"]).scheme not in ("http", "https"):
        raise UsageError(f"{what}: {kind}: url is no address; give one that starts with https://")
    return Route(kind, options)


def _option(what: str, value: Any, default: Any) -> Any:
    """A value of the default's type. What looks like a secret is not shown."""
    if isinstance(default, tuple):
        return choose(what, value, default)
    if isinstance(default, list):
        value = [value] if isinstance(value, str) else value
        good = isinstance(value, list) and all(isinstance(v, str) and v.isprintable() and ADDRESS.fullmatch(v) for v in value)
    elif what.endswith("_env"):
        good = isinstance(value, str) and value.isidentifier()
        if not good:
            raise UsageError(
                f"{what} is no name of an environment variable; put the secret into a variable and give its name, such as SLACK_WEBHOOK_URL"
            )
    else:
        good = type(value) is type(default) and (not isinstance(value, str) or (value.isprintable() and bool(value.strip())))
    if not good:
        kind = {list: "list of addresses", int: "whole number"}.get(type(default), "text")
        raise UsageError(f"{what} is no {kind}; correct it")
    return value


def _check_mail(what: str, options: dict[str, Any]) -> None:
    """Raise UsageError for what cannot be sent or must not; fill in the port."""
    missing = [k for k in ("host", "from", "to") if not options[k]]
    if missing:
        raise UsageError(f"{what}: smtp needs {', '.join(missing)}; give host, from and to")
    if not ADDRESS.fullmatch(options["from"]):
        raise UsageError(
            f"{what}: smtp: from={terminal(options['from'], 60)!r} is no address; give one such as alerts@example.com"
        )
    if bool(options["user_env"]) != bool(options["password_env"]):
        raise UsageError(f"{what}: smtp has a login of one half; give user_env and password_env, or neither")
    if options["user_env"] and options["tls"] == "none" and not loopback(options["host"]):
        raise UsageError(
            f"{what}: smtp: the login would go to {terminal(options['host'], 80)} unencrypted; set tls to starttls or implicit"
        )
    options["port"] = options["port"] or PORTS[options["tls"]]
    if not 0 < options["port"] < 65536:
        raise UsageError(f"{what}: smtp: port={options['port']} is no port; give one from 1 to 65535")


def send(
    message: Message | None = None, routes: Any = (), *, report: str | os.PathLike | None = None, title: str | None = None,
    out: TextIO | None = None, env: Mapping[str, str] | None = None, wait: Callable[[float], None] = time.sleep,
) -> None:  # fmt: skip
    """Send a message, or a finished report (the HTML file), by routes: Route objects, or what a rule's ``route`` may say.

    ``out`` takes what stdout and json print (standard output by default). All routes are tried; RouteError names those that
    failed, UsageError a report that is not there.
    """
    message = message or _of_report(report, title)
    ways = (
        tuple(routes) if isinstance(routes, tuple) and all(isinstance(r, Route) for r in routes) else read_routes("send", routes)
    )
    if failed := failures(message, ways, out=out, env=env, wait=wait):
        raise RouteError("; ".join(failed.values()))


def failures(
    message: Message, routes: Iterable[Route], *, out: TextIO | None = None, env: Mapping[str, str] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, str]:  # fmt: skip
    """Send by each route; which did not work, by name, and why."""
    from .post import Undelivered

    bad = {}
    for route in routes:
        try:
            _by(message, route, out or sys.stdout, os.environ if env is None else env, wait)
        except Undelivered as error:
            bad[route.name] = f"{route.kind}: {error}; it is tried again with the next check"
        except UsageError as error:
            bad[route.name] = f"{route.kind}: {error}"
    return bad


def _of_report(report: str | os.PathLike | None, title: str | None) -> Message:
    if report is None:
        raise UsageError("send: nothing to send; give a message, or report=, the HTML file of a finished report")
    path = Path(report)
    if not path.is_file():
        raise UsageError(f"send: report={terminal(path, 200)!r} is no file; give the HTML file that llmobs report wrote")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Message(
        title or f"Report {path.stem}",
        f"llmobs-report-{path.stem}-{digest}",
        state="report",
        lines=(f"File: {path.name}",),
        report=path,
    )


def _by(message: Message, route: Route, out: TextIO, env: Mapping[str, str], wait: Callable[[float], None]) -> None:
    options = route.options
    if route.kind == "stdout":
        print(terminal(f"[{message.severity}] {message.state}: {message.title}", 1000), file=out, flush=True)
    elif route.kind == "json":
        import orjson

        print(orjson.dumps(message.json()).decode(), file=out, flush=True)
    elif route.kind == "smtp":
        from .mail import mail

        mail(message, options, login(env, options["user_env"], options["password_env"]) if options["user_env"] else None, wait)
    else:
        _post(message, route, env, wait)


def _post(message: Message, route: Route, env: Mapping[str, str], wait: Callable[[float], None]) -> None:
    from . import vendors
    from .post import post

    options = route.options
    if route.kind == "pagerduty":
        post(options["url"] or vendors.PAGERDUTY, vendors.pagerduty(message, _secret(env, options["key_env"])), wait=wait)
        return
    url = _secret(env, options["url_env"])
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{options['url_env']} is no address of a webhook; give one that starts with https://")
    if route.kind == "slack":
        post(url, vendors.slack(message), wait=wait)
    else:
        token = _secret(env, options["token_env"]) if options["token_env"] else None
        body, head = vendors.webhook(message, token)
        post(url, body, headers=head, wait=wait)


def _secret(env: Mapping[str, str], name: str) -> str:
    return key(env, (name,), cure="set it in the environment of the check, or name another variable in the route")


__all__ = ["KINDS", "Route", "RouteError", "failures", "read_routes", "send"]
