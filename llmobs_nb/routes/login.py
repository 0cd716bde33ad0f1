"""The login of a mail server: out of the environment, over TLS, or unencrypted to the loopback and nowhere else."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import UsageError
from ..sources.environment import Sealed, found


class _Both(NamedTuple):
    user: str
    password: str


class Login(Sealed, _Both):
    """User and password; neither is in its repr, and it is not pickled."""

    def __repr__(self) -> str:
        return "Login(***)"


def login(env: Mapping[str, str], user: str, password: str) -> Login:
    """The values of two variables. Raises UsageError, which names the variable, where one is not set or is no ASCII text."""
    return Login(_value(env, user), _value(env, password))


def _value(env: Mapping[str, str], name: str) -> str:
    told = found(env, (name,))
    if told is None:
        raise UsageError(f"{name} is not set; set it in the environment of the check, or name another variable in the route")
    if not (told[1].isascii() and told[1].isprintable()):
        raise UsageError(
            f"{name} holds a character that SMTP cannot carry; give a login of ASCII letters, digits, signs and blanks"
        )
    return told[1]


def loopback(host: str) -> bool:
    """Whether a host name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
