"""The vendors that can be pulled from, each with its credentials out of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import choose

if TYPE_CHECKING:
    from .transport.clock import Clock
    from .transport.job import Client

VENDORS = ("langfuse", "langsmith")
_DEFAULT_PROJECT = ("LANGSMITH_PROJECT", "LANGCHAIN_PROJECT")


def client_of(
    vendor: str,
    *,
    plan: str | None = None,
    keys: Sequence[str] = (),
    transport: Any = None,
    clock: Clock | None = None,
    env: Mapping[str, str] = os.environ,
) -> Client:
    """The client of a vendor. Raises UsageError for an unknown vendor, and where a key or an address is not set right."""
    choose("vendor", vendor, VENDORS)
    credentials = import_module(f".{vendor}.credentials", __package__).resolve(env)
    told = {"transport": transport, "clock": clock, "plan": plan, "keys": keys}
    if vendor == "langfuse":
        from .langfuse.client import LangfuseClient

        return LangfuseClient(credentials, **told)
    from .langsmith.client import LangsmithClient

    default = next((env[name] for name in _DEFAULT_PROJECT if env.get(name)), None)
    return LangsmithClient(credentials, **told, default_project=default)
