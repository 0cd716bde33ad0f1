"""A judge behind any OpenAI-compatible endpoint: chat completions over HTTP, with patience, a limit of rate, and no key ever shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import SourceError, UsageError
from ..sources import chat
from ..sources.environment import Sealed, address, found, key
from ..sources.transport.bucket import Bucket
from ..sources.transport.clock import Clock
from ..sources.transport.http import Absent, Cures, Http, Refused, TooMuch, Unfinished
from .prompts import Prompt
from .replies import Reply

KEYS = ("LLMOBS_JUDGE_API_KEY", "OPENAI_API_KEY")
ADDRESSES = ("LLMOBS_JUDGE_BASE_URL", "OPENAI_BASE_URL")
DEFAULT = "https://api.openai.com/v1"
REPLY_TOKENS = 400
TIMEOUTS = 3


class OpenAIJudge(Sealed):
    """A model that judges: ``OpenAIJudge("gpt-4o-mini")``.

    Address and key come from the environment (LLMOBS_JUDGE_BASE_URL, else OPENAI_BASE_URL; LLMOBS_JUDGE_API_KEY, else
    OPENAI_API_KEY); an endpoint other than the default may need no key. ``calls_per_minute`` is kept on our side; a 429 is waited
    out as its Retry-After asks; ``budget_seconds`` bounds all tries of one judgement. Raises UsageError without a key
    for the default address.
    """

    def __init__(
        self,
        model: str,
        *,
        provider: str = "openai",
        temperature: float | None = 0.0,
        json_mode: bool = True,
        calls_per_minute: int = 300,
        answer_seconds: float = 60.0,
        budget_seconds: float = 300.0,
        env: Mapping[str, str] = os.environ,
        transport: Any = None,
        clock: Clock | None = None,
    ):
        if not model or not isinstance(model, str):
            raise UsageError(f"model={model!r} names no model; give one such as gpt-4o-mini")
        self.model, self.provider = model, provider
        self.params = {"temperature": temperature, "json_mode": json_mode, "max_tokens": REPLY_TOKENS}
        self.base_url = address(env, ADDRESSES, default=DEFAULT, endings=("/chat/completions",))
        secret = key(env, KEYS, cure="set it to the key of the judge's endpoint") if self._needs_key(env) else None
        self._http = Http(
            self.base_url, headers={"authorization": f"Bearer {secret}"} if secret else None, transport=transport, clock=clock,
            answer_seconds=answer_seconds, budget_seconds=budget_seconds,
            cures=Cures(key=f"check {KEYS[0]}", host=f"check {ADDRESSES[0]}", permission="use a key that may call this model"),
        )  # fmt: skip
        self._bucket = Bucket(calls_per_minute, 60.0, self._http.clock)

    def _needs_key(self, env: Mapping[str, str]) -> bool:
        return found(env, KEYS) is not None or self.base_url == DEFAULT

    def __repr__(self) -> str:
        return f"OpenAIJudge({self.model!r}, base_url={self.base_url!r})"

    @property
    def identity(self) -> dict[str, Any]:
        """Everything beside the prompt that a score depends on; part of the key in the cache."""
        return {"model": self.model, "base_url": self.base_url, **self.params}

    def __call__(self, prompt: Prompt) -> Reply:
        """Ask once, with patience. Raises SourceError where no later try can help, Unanswered where this one did not come."""
        body = {
            "model": self.model,
            "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            "max_tokens": REPLY_TOKENS,
        }
        if self.params["temperature"] is not None:
            body["temperature"] = self.params["temperature"]
        if self.params["json_mode"]:
            body["response_format"] = {"type": "json_object"}
        return _reply(self._answer(body))

    def _answer(self, body: dict) -> Any:
        tried = 0
        while True:
            try:
                return self._http.post("/chat/completions", body, bucket=self._bucket)
            except TooMuch as error:
                tried += 1
                if tried == TIMEOUTS:
                    raise Unanswered(f"{error}, {tried} times") from None
            except (Unfinished, Refused) as error:
                raise Unanswered(str(error)) from None
            except Absent as error:
                told = f"{self.base_url} has no chat completions or no model {self.model!r} ({error}); check both"
                raise SourceError(told) from None

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()


class Unanswered(Exception):
    """The endpoint did not answer this one, in spite of all patience; the next may go through."""


def _reply(body: Any) -> Reply:
    message, usage = chat.reply(body), chat.mapping(chat.mapping(body).get("usage"))
    refused = bool(message.get("refusal")) or chat.finish_reason(body) == "content_filter"
    tokens = (chat.count(usage.get(name)) or 0 for name in ("prompt_tokens", "completion_tokens"))
    return Reply(chat.content_text(message.get("content")), *tokens, model=chat.answered_model(body), refused=refused)
