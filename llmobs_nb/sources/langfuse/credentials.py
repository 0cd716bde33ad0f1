"""Who we are to Langfuse, and where it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import UsageError
from .. import environment

PUBLIC_KEY, SECRET_KEY = ("LANGFUSE_PUBLIC_KEY",), ("LANGFUSE_SECRET_KEY",)
ADDRESS = ("LANGFUSE_BASE_URL", "LANGFUSE_HOST")
CLOUD = "https://cloud.langfuse.com"
_CURE = "copy LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY from the settings of your Langfuse project, API keys"


@dataclass(frozen=True)
class Credentials(environment.Sealed):
    """A project's pair of keys and the server they are for; its repr shows the server only."""

    base_url: str
    public_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def resolve(env: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials that the variables of the environment say, in the order in which Langfuse's own SDK reads them.

    Raises UsageError, which names the variable and the cure and never the value.
    """
    public, secret = environment.key(env, PUBLIC_KEY, cure=_CURE), environment.key(env, SECRET_KEY, cure=_CURE)
    if public.startswith("sk-lf-") and secret.startswith("pk-lf-"):
        raise UsageError("LANGFUSE_PUBLIC_KEY holds the secret key and LANGFUSE_SECRET_KEY the public one; swap the two")
    base_url = environment.address(env, ADDRESS, default=CLOUD, endings=("/api/public", "/api/v1", "/api"))
    return Credentials(base_url, public, secret)
