"""Who we are to LangSmith, and where it is."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import UsageError
from .. import environment

# The SDK's own order: LANGSMITH_ before LANGCHAIN_. Its generated client alone reads LANGCHAIN_BASE_URL and LANGSMITH_TENANT_ID.
# LANGSMITH_RUNS_ENDPOINTS is not read: it names the places that an application sends its runs to.
API_KEY = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
ADDRESS = ("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "LANGCHAIN_BASE_URL")
WORKSPACE = ("LANGSMITH_WORKSPACE_ID", "LANGCHAIN_WORKSPACE_ID", "LANGSMITH_TENANT_ID")
CLOUD = "https://api.smith.langchain.com"
_CURE = "copy a key from the settings of LangSmith, API keys, into LANGSMITH_API_KEY"


@dataclass(frozen=True)
class Credentials(environment.Sealed):
    """A key, the server it is for (without ``/api/v1``) and, where a key opens several, the workspace; its repr shows no key."""

    api_url: str
    api_key: str = field(repr=False)
    workspace_id: str | None = None


def resolve(env: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials that the variables of the environment say, in the order in which LangSmith's own SDK reads them.

    Raises UsageError, which names the variable and the cure and never the value.
    """
    api_key = environment.key(env, API_KEY, cure=_CURE)
    api_url = environment.address(env, ADDRESS, default=CLOUD, endings=("/api/v1", "/api"))
    name, workspace = environment.found(env, WORKSPACE) or ("", None)
    try:
        return Credentials(api_url, api_key, workspace and str(uuid.UUID(workspace)))
    except ValueError:
        raise UsageError(f"{name} is not the id of a workspace; copy it from the settings of LangSmith, Workspaces") from None
