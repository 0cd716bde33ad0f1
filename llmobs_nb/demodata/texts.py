"""Short questions and answers from word lists: no persons, no companies, no real documents.

Each maker gives (question, full answer, short answer); the short one is what the appended block makes of the full one.
"""

from __future__ import annotations

from random import Random

PLACES = ("Settings", "Billing", "Team", "Security", "Exports", "Integrations", "Reports", "Notifications")
TASKS = (
    ("change the invoice address", "Billing", "Invoice details"),
    ("add a colleague to my workspace", "Team", "Invite"),
    ("export last month's records", "Exports", "New export"),
    ("turn off the weekly mail", "Notifications", "Digest"),
    ("rotate an access key", "Security", "Access keys"),
    ("connect the calendar", "Integrations", "Calendar"),
    ("share a report with a guest", "Reports", "Share"),
    ("restore a deleted folder", "Settings", "Recycle bin"),
    ("split an invoice by department", "Billing", "Cost centres"),
    ("set a retention period", "Security", "Retention"),
    ("rename a workspace", "Settings", "General"),
    ("schedule an export", "Exports", "Schedule"),
)
LIMITS = ("seats", "stored records", "exports a day", "requests a minute", "attachments a ticket", "open projects")
TROUBLES = (
    ("the export stops at half", "ran it again on a smaller range", "ask for the file size limit"),
    ("the calendar shows entries twice", "disconnected and connected again", "look for a second connection"),
    ("an invited user gets no mail", "sent the invitation again", "check the address for a typing error"),
    ("a report shows last week's numbers", "reloaded the page", "wait for the nightly refresh"),
    ("the access key is refused", "made a new key", "check the clock of the calling machine"),
)
TABLES = (("tickets", "status"), ("exports", "format"), ("users", "region"), ("invoices", "month"), ("reports", "owner"))


def support(rng: Random, cites: list[str]) -> tuple[str, str, str]:
    """How do I … ?"""
    task, place, item = rng.choice(TASKS)
    opener = rng.choice(("How do I", "How can I", "Where do I go to", "Please help me to"))
    question = f"{opener} {task}{rng.choice(('?', ' on the mobile app?', ' as an admin?', ' for one team only?'))}"
    steps = [
        f"1. Open {place}.",
        f"2. Choose {item}.",
        f"3. {rng.choice(('Fill in the form', 'Pick the entry you want', 'Check the preview'))} and save.",
        rng.choice(
            ("4. Reload the page to see the change.", "4. Everyone in the workspace sees it at once.", "4. A mail confirms it.")
        ),
    ]
    note = rng.choice(("You need the admin role for this.", "It can be undone for 30 days.", "Changes show within five minutes."))
    return (
        question,
        f"Here is how to {task}.\n" + "\n".join(steps) + f"\n{note}\n{_sources(cites)}",
        f"Open {place} and choose {item}.",
    )


def search(rng: Random, cites: list[str]) -> tuple[str, str, str]:
    """What is the limit of … ?"""
    limit, amount = rng.choice(LIMITS), rng.choice((5, 10, 20, 50, 100, 250, 1000))
    question = f"{rng.choice(('What is the limit of', 'How many', 'Is there a cap on'))} {limit}?"
    full = (
        f"The limit is {amount} {limit} on your plan. It is counted {rng.choice(('per day', 'per month', 'per workspace'))} "
        f"and resets at midnight UTC. To raise it:\n1. Open {rng.choice(PLACES)}.\n2. Choose Limits.\n"
        f"3. Ask for a higher value; an admin has to confirm it.\n{_sources(cites)}"
    )
    return question, full, f"The limit is {amount}."


def summary(rng: Random, cites: list[str]) -> tuple[str, str, str]:
    """A ticket to be summarised."""
    what, tried, then = rng.choice(TROUBLES)
    number, replies = rng.randrange(1000, 9999), rng.randrange(2, 7)
    question = f"Ticket {number}: {what}. The user {tried}, it did not help. {replies} replies so far, last one yesterday."
    full = (
        f"Problem: {what}.\nTried: the user {tried}, without effect.\nOpen: the cause is not known after {replies} replies.\n"
        f"Next steps:\n1. Try to reproduce it.\n2. {then[0].upper()}{then[1:]}.\n3. Write back within a day.\n{_sources(cites)}"
    )
    return question, full, f"Ticket {number}: {what}."


def analysis(rng: Random, cites: list[str]) -> tuple[str, str, str]:
    """A question to the account's own data."""
    table, column = rng.choice(TABLES)
    days, total = rng.choice((7, 14, 30, 90)), rng.randrange(40, 4000)
    question = f"How many {table} by {column} in the last {days} days?"
    parts = ", ".join(f"{column} {letter}: {round(total * share)}" for letter, share in (("A", 0.5), ("B", 0.3), ("C", 0.2)))
    full = (
        f"There were {total} {table} in the last {days} days. By {column}: {parts}.\n"
        f"Steps: I counted rows by {column} and sorted.\n"
        f"Query: {sql(table, column, days)}\nSource: table {table}."
    )
    return question, full, f"There were {total}."


def sql(table: str, column: str, days: int) -> str:
    """The query the agent runs."""
    return f"SELECT {column}, count(*) FROM {table} WHERE created > now() - interval '{days} days' GROUP BY 1 ORDER BY 2 DESC"


def _sources(cites: list[str]) -> str:
    return "Sources: " + ", ".join(f"[{c}]" for c in cites) + "." if cites else "Source: the ticket itself."


MAKERS = {"support_chat": support, "search_answers": search, "summarise": summary, "sql_agent": analysis}
