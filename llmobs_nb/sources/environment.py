"""Keys and addresses out of the environment: tidied as the vendors' own SDKs do, checked, and never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import UsageError


class Sealed:
    """Mix-in of what holds a key: not to be pickled or copied, so that no key travels with something else."""

    def __reduce__(self):
        raise TypeError("credentials are neither pickled nor copied; resolve them again where they are needed")


def found(env: Mapping[str, str], names: Sequence[str]) -> tuple[str, str] | None:
    """(name, value) of the first variable that says something, without blanks and quotes around it; None where none does."""
    tidy = ((name, env.get(name, "").strip().strip("\"'").strip()) for name in names)
    return next(((name, value) for name, value in tidy if value), None)


def key(env: Mapping[str, str], names: Sequence[str], *, cure: str) -> str:
    """A key. Raises UsageError where none is set, or where it holds what no header can carry; the key is not shown."""
    told = found(env, names)
    if told is None:
        raise UsageError(f"{' or '.join(names)} is not set; {cure}")
    name, value = told
    if not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(f"{name} holds a character that no key has; {cure}")
    return value


def address(env: Mapping[str, str], names: Sequence[str], *, default: str, endings: Sequence[str]) -> str:
    """The address of a server without what callers add themselves (``endings`` such as ``/api``); the default where none is set.

    Raises UsageError for what is no such address. The value is not shown: a key may have been put there by mistake.
    """
    name, value = found(env, names) or ("", default)
    url = value.rstrip("/")
    while ending := next((e for e in endings if url.endswith(e)), ""):
        url = url.removesuffix(ending).rstrip("/")
    if not _is_server(url):
        raise UsageError(f"{name} is not the address of a server; give it like {default}, without login, query or blanks")
    return url


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(" @?#\\\"'<>")
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
