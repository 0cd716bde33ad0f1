"""Names of models and providers as logs write them, turned into the (provider, model) a price table knows.

Nothing is guessed: a name that does not say which model it is, or who served it, keeps a null and a note with the reason.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_WORDS = {
    "openai": "openai open_ai chat_openai openai_chat openai-responses openai_responses openai-chat text-completion-openai",
    "azure": "azure azure_openai azureopenai azure-openai azure_ai azure-ai azure.ai.openai azure.ai.inference az.ai.openai"
    " az.ai.inference azure_text azure-inference azure_ai_inference azure_openai_chat",
    "anthropic": "anthropic claude chat_anthropic chatanthropic",
    "aws": "aws bedrock aws.bedrock aws_bedrock aws-bedrock amazon_bedrock amazon-bedrock amazon bedrock_converse chat_bedrock"
    " bedrock_mantle",
    "google": "google gcp gemini vertex vertexai vertex_ai vertex-ai vertex_ai_beta google_genai google-genai google_vertexai"
    " google-vertex google_vertex google-gla google-vertex-ai google_ai_studio google_ai google-ai gcp.vertex_ai gcp.gemini"
    " gcp.gen_ai google.generative-ai google.vertex google.genai google-generativeai google_anthropic_vertex",
    "x-ai": "x-ai x_ai xai x.ai grok",
    "mistral": "mistral mistralai mistral_ai mistral-ai",
    "moonshotai": "moonshotai moonshot moonshot_ai moonshot-ai",
    "deepseek": "deepseek deepseek_ai deepseek-ai",
    "cohere": "cohere cohere_chat cohere-ai",
    "perplexity": "perplexity pplx",
    "voyageai": "voyageai voyage voyage_ai",
    "minimax": "minimax",
    "zai": "zai z-ai z.ai z_ai",
    "cerebras": "cerebras",
    "groq": "groq",
    "together": "together together_ai together-ai togetherai",
    "fireworks": "fireworks fireworks_ai fireworks-ai",
    "openrouter": "openrouter open_router",
    "databricks": "databricks",
    "cloudflare": "cloudflare workers-ai",
    "novita": "novita novita-ai",
    "ovhcloud": "ovhcloud ovh",
    "github-copilot": "github-copilot github_copilot",
}
PROVIDERS = {word: provider for provider, words in _WORDS.items() for word in words.split()}

# Frameworks and gateways that some logs name as the provider: they say nothing about who served the model.
_NOBODY = (
    "langchain langgraph langchain_core llamaindex llama_index llama-index microsoft.agent_framework gcp.vertex.agent google_adk"
    " google-adk crewai autogen semantic_kernel semantic-kernel haystack strands strands-agents pydantic-ai pydantic_ai litellm"
    " litellm_proxy agno smolagents dspy instructor koog beeai gateway ai-sdk unknown other _other custom none null"
)
NOBODY = frozenset(_NOBODY.split())

# Hosts of many vendors' models: their names for models hold a vendor's name, which is not a route.
HOSTS = frozenset(
    ("groq", "together", "fireworks", "openrouter", "databricks", "cloudflare", "novita", "ovhcloud", "github-copilot")
)
CLOUDS = frozenset(("aws", "azure", "google"))

LONGEST = 500
_FAMILIES = (
    ("openai", r"(chatgpt|gpt)-|o[134](-|$)|text-embedding-(3-|ada)|text-davinci|davinci|babbage|ft:(gpt|davinci|babbage)"),
    ("anthropic", r"claude-"),
    ("google", r"gemini-|text-embedding-00|gemini-embedding"),
    ("x-ai", r"grok-"),
    ("mistral", r"(open-)?(mistral|mixtral|codestral|ministral|magistral|devstral|pixtral)-"),
    ("cohere", r"command(-|$)|embed-(english|multilingual|v4)|rerank-(english|multilingual|v)"),
    ("deepseek", r"deepseek-(chat|reasoner)$"),
    ("moonshotai", r"(kimi|moonshot)-"),
    ("voyageai", r"voyage-"),
    ("perplexity", r"sonar(-|$)"),
)
_FAMILIES = tuple((provider, re.compile(rx)) for provider, rx in _FAMILIES)

_BEDROCK = re.compile(
    r"^((us|eu|apac|jp|au|ca|in|us-gov|global|regional)\.)?"
    r"(anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|nvidia|google|moonshotai|zai|minimax|stability)\.[a-z]"
)
_ARN = re.compile(r"^arn:aws[a-z-]*:[a-z-]+:[^:]*:[^:]*:(?P<what>[a-z-]+)/(?P<rest>.+)$")
_VERTEX = re.compile(r"^(projects/[^/]+/locations/[^/]+/)?publishers/(?P<vendor>[^/]+)/models/(?P<model>[^/]+)$")
_ROUTE = re.compile(r"^(?P<word>[a-z0-9_.-]+)(?P<mark>[/:])(?P<rest>.+)$")
_BEDROCK_STEP = re.compile(r"^(converse|converse_like|invoke|mantle|[a-z]{2}(-gov)?-[a-z]+-\d)/")
_AZURE_STEP = re.compile(r"^(eu|us|global|global-standard|standard|datazone|openai|responses)/")
_SDK_STEP = re.compile(r"\.(chat|responses|messages|completion|embedding|text-embedding|image)$")


class Name(NamedTuple):
    """A normalised name. ``provider`` or ``model`` is null where it is not known; ``note`` says why, or what was inferred."""

    provider: str | None
    model: str | None
    note: str | None = None


def short(text: str, width: int = 80) -> str:
    """A name out of a log, quoted and cut for a message; control characters are escaped."""
    return repr(text if len(text) <= width else text[:width] + "…")


def provider_name(word: str | None) -> str | None:
    """The normalised provider of the word in a log; an unknown word stays, in lower case; blank or a framework is null."""
    text = (word or "").strip().lower()
    if not text or text in NOBODY:
        return None
    return PROVIDERS.get(text) or PROVIDERS.get(_SDK_STEP.sub("", text)) or text


@lru_cache(maxsize=65536)
def normalise(provider: str | None, model: str | None) -> Name:
    """(provider, model, note) from the raw words of a log, in lower case.

    Routes (``azure/``, ``bedrock/converse/``, ``vertex_ai/``, ``openrouter/``, ``openai:``), resource paths and ARNs are taken
    off. A route in the model's name outranks the provider, unless that is a cloud or a host that serves the route's vendor.
    Regions of Bedrock (``us.``, ``eu.``, ``global.``) and dates stay: prices depend on them. A blank model gives a null model.

    >>> normalise(None, "azure/gpt-4o")
    Name(provider='azure', model='gpt-4o', note=None)
    """
    owner, text = provider_name(provider), (model or "").strip().lower()
    if not text:
        return Name(owner, None, "no model")
    if len(text) > LONGEST:
        return Name(owner, None, f"a model name of {len(text)} characters is none")
    name = _resource(owner, text) or _routed(owner, text)
    if name.model is None or name.provider is not None:
        return name
    return _by_family(name.model)


def _resource(owner: str | None, text: str) -> Name | None:
    """Names that are paths or ARNs of a cloud; None where the text is neither."""
    if arn := _ARN.match(text):
        if arn["what"] in ("foundation-model", "inference-profile"):
            return Name("aws", arn["rest"])
        return Name("aws", None, f"the ARN of a {arn['what']} does not name the model")
    if path := _VERTEX.match(text):
        return Name("google", path["model"])
    if text.startswith("projects/"):
        return Name("google", None, f"{short(text)} does not name the model")
    if text.startswith("models/"):
        return Name(owner or "google", text[len("models/") :])
    if text.startswith("accounts/fireworks/"):
        return Name("fireworks", text)
    return None


def _routed(owner: str | None, text: str) -> Name:
    """Names with a route in front, taken off step by step."""
    note = None
    while (match := _ROUTE.match(text)) and (word := PROVIDERS.get(match["word"])):
        if owner in HOSTS and word != owner:
            break
        if owner not in CLOUDS | {None, word}:
            note = _differs(owner, word)
        owner = owner if owner in CLOUDS and word not in CLOUDS | HOSTS else word
        text = match["rest"]
        if found := _resource(owner, text):
            return found
    return _stepped(owner, text, note)


def _stepped(owner: str | None, text: str, note: str | None) -> Name:
    """Names with a region or an API of the cloud in front; dotted names of Bedrock, whoever was logged as provider."""
    if owner in (None, "aws") and _BEDROCK_STEP.match(text):
        owner, text = "aws", _BEDROCK_STEP.sub("", _BEDROCK_STEP.sub("", text))
    if owner == "azure" and _AZURE_STEP.match(text):
        text, note = _AZURE_STEP.sub("", text), "regional prices of azure are not told apart"
    if owner == "openai":
        text = text.removeprefix("responses/")
    if owner in (None, "anthropic", "openai") and _BEDROCK.match(text):
        note = note or (owner and _differs(owner, "aws"))
        owner = "aws"
    return Name(owner, text, note)


def _differs(logged: str, said: str) -> str:
    return f"the provider was logged as {short(logged)}, the model's name says {said}"


def _by_family(text: str) -> Name:
    for provider, family in _FAMILIES:
        if family.match(text):
            return Name(provider, text, "the provider was taken from the model's name")
    return Name(None, text, f"no provider, and model {short(text)} does not tell it")
