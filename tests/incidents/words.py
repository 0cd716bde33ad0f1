"""What the made-up products are made of: features, topics, sentences, prompt texts, models, names of keys. No persons, no companies."""

from __future__ import annotations

# Feature: form of its traces, stem of its prompt, topics its users ask about.
FEATURES = {
    "support_chat": ("chat", "support_answer", (
        "change the invoice address", "add a colleague to the workspace", "turn off the weekly mail", "restore a deleted folder",
        "rename a workspace", "reset two-factor login",
    )),
    "help_search": ("rag", "help_answer", (
        "raise the limit of exports", "set a retention period", "connect the calendar", "share a report with a guest",
        "schedule an export", "find the audit log",
    )),
    "doc_qa": ("rag", "doc_answer", (
        "find the notice period in the agreement", "compare two versions of a policy", "list the obligations of a supplier",
        "explain the warranty clause", "look up the travel rules", "check who signs an order",
    )),
    "product_advisor": ("rag", "advise", (
        "choose a plan for a small team", "compare two add-ons", "estimate the seats we need", "move from monthly to yearly billing",
        "pick a storage size", "combine two discounts",
    )),
    "ticket_summary": ("single", "summarise_ticket", (
        "an export that stops at half", "a calendar that shows entries twice", "an invitation that never arrives",
        "a report with last week's numbers", "an access key that is refused", "a page that loads slowly",
    )),
    "email_draft": ("single", "draft_reply", (
        "a late delivery", "a wrong amount on an invoice", "a request for a demo", "a cancelled meeting", "a missing attachment",
        "a change of contact",
    )),
    "meeting_notes": ("single", "note_meeting", (
        "the weekly planning", "a review of open risks", "a call about renewals", "the budget round", "an incident review",
        "a handover between shifts",
    )),
    "contract_extract": ("single", "extract_terms", (
        "payment terms", "termination rights", "liability caps", "renewal dates", "data processing duties", "service levels",
    )),
    "onboarding_guide": ("chat", "guide", (
        "import the first records", "invite a whole department", "set up roles", "connect the identity provider", "choose a theme",
        "switch on notifications",
    )),
    "code_helper": ("chat", "help_code", (
        "page through an endpoint", "retry a failed call", "sign a webhook", "batch uploads", "parse the export format",
        "rotate a token",
    )),
    "sql_agent": ("agent", "analyse", (
        "count tickets by status", "list invoices by month", "compare exports by format", "rank reports by owner",
        "sum hours by project", "find users by region",
    )),
    "research_agent": ("agent", "research", (
        "collect the changes of a regulation", "compare three suppliers", "trace a number to its source", "summarise recent filings",
        "check a claim against documents", "build a reading list",
    )),
    "booking_agent": ("agent", "book", (
        "move an appointment", "find a free room", "cancel a booking", "book a recurring slot", "swap two shifts",
        "reserve equipment",
    )),
}  # fmt: skip
TOOLS = {"sql_agent": "run_sql", "research_agent": "fetch_document", "booking_agent": "find_slot"}
NEW_TOPICS = (
    "merge two accounts after an acquisition", "prove data residency for the new regulation", "file the tax form for contractors",
    "migrate from the retired desktop client", "recover from the outage of the payment partner",
    "export everything in the archive format", "apply the new accessibility rules", "explain the surcharge on last month's bill",
)  # fmt: skip

OPENERS = ("How do I", "How can I", "Please help me to", "What is the way to", "I need to", "Is there a quick way to")
ASKED = {"single": ("Text about", "Notes on", "Please work on", "New item:"), "agent": ("Please", "I want you to", "Can you")}
TAILS = (
    "?", " on the mobile app?", " as an admin?", " for one team only?", " without losing data?", ", the short way?",
    " before the end of the month?", " in a shared workspace?",
)  # fmt: skip
DOCUMENT = (
    "It was reported on Monday and has been open since.", "The first answer did not help.", "Two people can reproduce it.",
    "The page was reloaded several times.", "Someone attached a screen image.", "The amount differs by a few cents.",
    "The other side asked for a date.", "It happens only in one workspace.", "The log shows nothing unusual.",
    "A second team sees the same.", "The earlier agreement says otherwise.", "Nobody has touched the settings.",
    "They would like an answer this week.", "It worked before the last release.", "The list has forty entries.",
    "A reply was sent and not answered.",
)  # fmt: skip

# Sentences of answers; {t} is the topic.
FIRST = (
    "Here is how to handle this: {t}.", "This is what applies to {t}.", "The short version for {t} comes first.",
    "Below are the steps for {t}.",
)  # fmt: skip
ABOUT = (
    "For {t}, start on the settings page and open the section of that name.", "The usual reason people ask for {t} is a changed team.",
    "Once it is done, {t} shows up in the history.", "Only an admin can finish {t}.",
)  # fmt: skip
SENTENCES = (
    "Open the menu at the top and choose the second entry.", "Check the preview before you save.", "It can be undone for 30 days.",
    "Everyone in the workspace sees it at once.", "A mail confirms the change within five minutes.",
    "If the entry is grey, ask for the role that allows it.", "The limit is counted per month and resets at midnight UTC.",
    "Fill in the form and leave the optional fields empty.", "Reload the page to see the result.",
    "Repeat this for each team that needs it.", "The same setting exists on the mobile app.", "Keep the old value until the new one works.",
    "The list is sorted by the date of the last change.", "You will be asked to confirm once more.",
    "Nothing is sent to guests.", "See the article on roles for the details.", "The export runs in the background.",
    "Large files take a few minutes.", "Totals are rounded to two digits.", "Older entries stay as they were.",
    "The first row holds the names of the columns.", "A copy is kept in the archive.", "You can filter by owner and by month.",
    "Contact the owner of the workspace if it stays locked.",
)  # fmt: skip
REFUSALS = (
    "I'm sorry, but I can't help with that request.", "I am not able to assist with this topic.",
    "Unfortunately I cannot provide that information.",
)  # fmt: skip
BLOCKED = "This answer was withheld by a policy."
HEDGES = (
    "I may be wrong about this, so please double-check.", "As an assistant I cannot be certain, but in general:",
    "Great question! Let's dive right in!", "Certainly! Here's everything you need to know:",
)  # fmt: skip

ROLES = (
    "You are the assistant for {f} in a business application.", "You work inside the product and take care of {f}.",
    "Your task is {f}; you serve the people who use the product every day.",
)  # fmt: skip
RULES = (
    "Answer in full, with steps and sources.", "Write for a reader who has not done this before.", "Never invent a document.",
    "Use the articles given and cite each by its id.", "Say plainly when you do not know.", "Keep numbers exactly as they are given.",
    "Prefer the newest article where two disagree.", "Use short paragraphs and numbered steps.", "Do not promise dates.",
    "Ask one question back when the request is unclear.", "Repeat the request in your own words first.",
    "Name the menu entries exactly as they appear.", "Leave out greetings.", "Point to the article on roles where a role is needed.",
    "Mention what cannot be undone.", "Close with the next step.",
)  # fmt: skip
EXAMPLES = (
    "Examples:\nQ: Where do I see my usage?\nA: Open Reports, choose Usage, pick the month. The total is at the bottom [kb-101].",
    "Examples:\nQ: Can a guest export?\nA: No. Only members with the export role can; an admin grants it under Team [kb-077].",
    "Example of a good answer:\nThe entry is under Security. 1. Open Security. 2. Choose Keys. 3. Rotate. It takes effect at once.",
)  # fmt: skip
# Around tenant, tier and locale in the line of the prompt that says who asks.
WHO = (
    ("Account: ", ". Plan: ", ". Locale: ", "."), ("Customer ", ", plan ", ", language ", "."), ("[account=", " plan=", " locale=", "]"),
)  # fmt: skip
USER_NOTES = (
    "prefers short paragraphs", "asked for metric units", "works with the archive daily", "reads on a small screen",
    "is new to the product", "manages two workspaces", "uses the keyboard only", "wants links to articles",
)  # fmt: skip
TENANT_NOTES = (
    "The account is in its first year.", "The account uses custom field names.", "Exports of this account are reviewed.",
    "The account has a dedicated workspace for audits.", "The account renews in autumn.", "Guests are not allowed here.",
    "The account calls tickets requests.", "The account works in two time zones.",
)  # fmt: skip

# Blocks of text that appear in rendered prompts: harmful ones, and ones that change nothing.
BLOCKS = (
    "Account policy for single sign-on:\nKeep every answer under two sentences. Do not cite internal documents.",
    "Compliance notice: before each answer state that it is not advice, and leave out any figure that was not asked for.",
    "Brand voice update. Write warmly, avoid lists, avoid technical words, and close with an invitation to contact sales.",
    "Security addendum: never mention menu paths, identifiers or file names. Point the reader to the administrator instead.",
    "When the request has several parts, answer the first one only and ask the user to open a new conversation for the rest.",
    "Cost control: do not use the retrieved articles unless the user insists. Rely on what you already know.",
    "Use the legacy terminology of the 2019 handbook for all features, roles and limits.",
    "Regional rule: answers must be given as a single paragraph without numbers, steps or links.",
)  # fmt: skip
BENIGN_BLOCKS = (
    "The status page is in the footer.", "Office hours are on the contact page.", "Spell the product name in lower case.",
    "The new colour theme is called Dusk.", "The yearly survey is open this month.",
)  # fmt: skip

# Provider, requested name, resolved name, the one it resolves to later, first token ms, ms per token, USD per million in and out.
MODELS = (
    ("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", "gpt-5-mini-2026-01-20", 420, 9, 0.25, 2.0),
    ("openai", "gpt-4.1", "gpt-4.1-2025-04-14", "gpt-4.1-2026-02-03", 600, 12, 2.0, 8.0),
    ("openai", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", 520, 11, 2.5, 10.0),
    ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-haiku-4-5-20260115", 520, 8, 1.0, 5.0),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20260210", 800, 14, 3.0, 15.0),
    ("google", "gemini-2.5-flash", "gemini-2.5-flash", "gemini-2.5-flash-preview-09-2025", 380, 6, 0.3, 2.5),
    ("google", "gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-pro-preview-06-05", 900, 13, 1.25, 10.0),
    ("mistral", "mistral-small-latest", "mistral-small-2506", "mistral-small-2601", 350, 7, 0.1, 0.3),
    ("mistral", "mistral-large-latest", "mistral-large-2411", "mistral-large-2512", 650, 12, 2.0, 6.0),
)  # fmt: skip
TRIALS = {
    "openai": "gpt-5-nano", "anthropic": "claude-opus-4-5", "google": "gemini-2.5-flash-lite", "mistral": "mistral-medium-latest",
}  # fmt: skip
EMBEDDERS = (("voyageai", "voyage-3.5"), ("cohere", "embed-v4.0"), ("openai", "text-embedding-3-small"))

# Role of an axis: the places and names under which products log it, its values.
NAMES = {
    "feature": (("column", "feature"), ("column", "feature"), ("column", "feature"), ("metadata", "feature")),
    "tenant": (("column", "tenant_id"), ("column", "tenant_id"), ("metadata", "tenant"), ("metadata", "account"), ("metadata", "org")),
    "tier": (("column", "user_tier"), ("metadata", "plan"), ("metadata", "segment"), ("extra", "plan"), ("metadata", "tier")),
    "auth": (("metadata", "auth"), ("metadata", "auth_method"), ("metadata", "login"), ("extra", "auth")),
    "locale": (("column", "locale"), ("column", "locale"), ("metadata", "lang")),
    "region": (("metadata", "region"), ("extra", "region"), ("metadata", "geo"), ("metadata", "data_center")),
    "client": (("metadata", "client"), ("metadata", "platform"), ("extra", "channel"), ("metadata", "surface")),
    "environment": (("column", "environment"),),
    "release": (("column", "release"), ("column", "app_version")),
    "bucket": (("metadata", "ab_bucket"), ("metadata", "cohort")),
    "worker": (("metadata", "worker"), ("metadata", "pod")),
}  # fmt: skip
TIERS = (("free", "business", "enterprise"), ("starter", "pro", "enterprise"), ("basic", "team", "scale", "enterprise"))
AUTHS = (("sso", "password", "magic_link"), ("saml", "oidc", "password"), ("sso", "google", "password", "api_key"))
LOCALES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "pt-BR", "ja-JP", "nl-NL")
REGIONS = (("eu-west", "us-east", "ap-south"), ("eu", "us", "apac", "latam"), ("fra", "iad", "sin"))
CLIENTS = (("web", "mobile", "api"), ("web", "ios", "android", "api"), ("browser", "desktop", "widget"))
POLICIES = ("personal_data", "medical_advice", "competitors", "toxicity", "secrets")
JUDGED = ("helpfulness", "quality", "overall", "correctness", "answer_quality")
CRITERIA = ("groundedness", "completeness", "tone", "relevance", "conciseness")
THUMBS = ("thumbs", "user_feedback", "rating")
