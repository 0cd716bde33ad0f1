"""The made-up product: who uses it, what it offers, which models and prompts stand behind it, and what changed when.

Everything the generator draws from is a constant here, so the story can be read without reading the generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

SEED = 43  # of the seeds 1 to 59, one whose judged sample shows the story as clearly as all traffic does
TRACES = 20_000
WEEKS = 8
END = datetime(2026, 11, 16, tzinfo=UTC)  # a Monday, excluded: the last week ends on Sunday 2026-11-15 at 24:00 UTC


@dataclass(frozen=True)
class Tenant:
    """A customer account: share of traffic in percent, share of its users who sign in through SSO, rollout wave of the block."""

    id: str
    tier: str
    weight: int
    sso: float = 0.0
    wave: int | None = None


TENANTS = (
    Tenant("t-01", "enterprise", 8, 0.45, 1),
    Tenant("t-02", "enterprise", 6, 0.45, 1),
    Tenant("t-03", "enterprise", 7, 0.50, 2),
    Tenant("t-04", "enterprise", 5, 0.50, 2),
    Tenant("t-05", "business", 12, 0.30, 3),
    Tenant("t-06", "business", 10, 0.25, 3),
    Tenant("t-07", "business", 9),
    Tenant("t-08", "business", 8),
    Tenant("t-09", "free", 11),
    Tenant("t-10", "free", 9),
    Tenant("t-11", "free", 8),
    Tenant("t-12", "free", 7),
)
USERS_PER_WEIGHT = 5
LOCALES = (("en-GB", 5), ("en-US", 4), ("en-IN", 2))
REGIONS = (("eu-west", 5), ("us-east", 4), ("ap-south", 2))
CLIENTS = (("web", 7), ("mobile", 2), ("api", 1))


@dataclass(frozen=True)
class Model:
    """A model behind a feature: names, time to first token (median, ms), output speed (ms per token)."""

    provider: str
    requested: str
    resolved: str
    ttft_ms: float
    ms_per_token: float


FAST = Model("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", 420, 9)
CAREFUL = Model("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", 520, 8)
SEARCH = Model("google", "gemini-2.5-flash", "gemini-2.5-flash", 380, 6)
CODE = Model("openai", "gpt-4.1", "gpt-4.1-2025-04-14", 600, 12)
EMBEDDER = Model("openai", "text-embedding-3-small", "text-embedding-3-small", 0, 0)


@dataclass(frozen=True)
class Feature:
    """A product feature: share of traffic in percent, models with weights, prompt, mean helpfulness, chance of a next turn."""

    name: str
    weight: int
    models: tuple[tuple[Model, int], ...]
    prompt: str
    version: str
    helpfulness: float
    next_turn: float


FEATURES = (
    Feature("support_chat", 42, ((FAST, 7), (CAREFUL, 3)), "support_answer", "7", 0.80, 0.55),
    Feature("search_answers", 28, ((SEARCH, 1),), "search_answer", "5", 0.80, 0.20),
    Feature("summarise", 16, ((CAREFUL, 1),), "summarise_ticket", "3", 0.82, 0.0),
    Feature("sql_agent", 14, ((CODE, 1),), "sql_analyst", "4", 0.77, 0.40),
)

_RULES = "Answer in full, with steps and sources. Write for a reader who has not done this before. Never invent a document."
_WHO = "Account: {{account}}. Plan: {{plan}}. Locale: {{locale}}. Date: {{date}}."
PROMPTS = {
    "support_answer@7": f"You are the support assistant of the product. {_RULES}\n"
    f"Use the articles given and cite each by its id.\n{_WHO}",
    "search_answer@5": f"You answer questions from the help centre. {_RULES}\nSay which article each fact comes from.\n{_WHO}",
    "search_answer@6": f"You answer questions from the help centre. {_RULES}\nSay which article each fact comes from.\n"
    f"Prefer the article that was changed last.\n{_WHO}",
    "summarise_ticket@3": f"You summarise support tickets for the next agent. {_RULES}\n"
    f"List what was tried and what is open.\n{_WHO}",
    "sql_analyst@4": f"You answer questions about the account's own data with SQL. {_RULES}\n"
    f"Show the query and the table used.\n{_WHO}",
}

# The story. The block is added when the prompt is rendered, so no version changes and no entry in changes.csv tells of it.
BLOCK = "Account policy for single sign-on:\nKeep every answer under two sentences. Do not cite internal documents."
WAVES = {
    1: datetime(2026, 10, 26, 7, tzinfo=UTC),
    2: datetime(2026, 11, 2, 7, tzinfo=UTC),
    3: datetime(2026, 11, 9, 7, tzinfo=UTC),
}
ONSET = WAVES[1]
HELPFULNESS_LOST = 0.34
GROUNDEDNESS_LOST = 0.12

# Decoys: true, logged, and harmless.
CANARY = ("search_answers", "6", 0.10, datetime(2026, 10, 27, 9, tzinfo=UTC))
RELEASES = (
    ("2026.38", datetime(2026, 9, 14, tzinfo=UTC)),
    ("2026.41", datetime(2026, 10, 7, 8, tzinfo=UTC)),
    ("2026.44", datetime(2026, 10, 28, 8, tzinfo=UTC)),
)
INDEXES = (("kb-2026-09", datetime(2026, 9, 1, tzinfo=UTC)), ("kb-2026-10", datetime(2026, 10, 13, 5, tzinfo=UTC)))
CHANGES = (
    (RELEASES[1][1], "release", "2026.41", "faster start page, no change to answers", "dev-02"),
    (INDEXES[1][1], "index", "kb-2026-10", "monthly rebuild of the help centre index", "dev-05"),
    (datetime(2026, 10, 21, 10, tzinfo=UTC), "prompt", "email_digest@2", "wording of a feature not yet live", "dev-03"),
    (CANARY[3], "experiment", "search_answer@6", "canary on 10 % of search_answers", "dev-03"),
    (RELEASES[2][1], "release", "2026.44", "new settings page, dependency updates", "dev-02"),
    (datetime(2026, 11, 5, 13, tzinfo=UTC), "config", "alerts", "error-rate alert lowered from 3 % to 2 %", "dev-01"),
)

DECOYS = (
    "release 2026.44 in the first week of the slide changes nothing",
    "canary search_answer@6 on 10 % of search_answers, from a day after the onset, changes nothing",
    "index kb-2026-10, two weeks before the onset, changes nothing",
    "SSO goes with the enterprise tier and with six tenants; their users who sign in otherwise are not affected",
)

# Rhythm and noise.
WEEKDAYS = (1.00, 1.05, 1.07, 1.04, 0.94, 0.42, 0.36)
HOURS = (1, 1, 1, 1, 1, 2, 5, 12, 22, 30, 32, 30, 26, 30, 32, 31, 28, 22, 15, 11, 9, 7, 4, 2)
GROWTH_PER_WEEK = 0.01
STAGING = 0.015
ERRORS = (("rate_limit", 30), ("timeout", 25), ("provider_5xx", 25), ("content_filter", 12), ("invalid_output", 8))
ERROR_RATE = 0.010
TOOL_ERROR_RATE = 0.006
BLOCKED = 0.01
REDACTED = 0.03
JUDGED = 0.15
THUMBS = 0.06
HUMAN = 0.015
JUDGE = ("judge-quality", "gpt-5.4-mini", "2")
