"""A message as each receiver takes it: Slack's incoming webhook, PagerDuty's Events API v2, a webhook of one's own."""

from __future__ import annotations

from typing import Any

from ..text import safe, terminal
from .message import Message

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_COLOURS = {"critical": "#b3261e", "warning": "#b26a00", "info": "#3b6ea5"}
_SLACK_MOST, _SUMMARY_MOST = 2900, 900


def slack(message: Message) -> dict:
    """Blocks with the text in full; ``text`` is what a notification shows. Markup of Slack's is escaped: words of traces stay words."""
    colour = "#2e7d32" if message.state == "resolved" else _COLOURS[message.severity]
    body = _escaped(safe("\n".join(message.lines), _SLACK_MOST - 200))[:_SLACK_MOST]
    block = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(terminal(message.title, 300))}*\n{body}"}}
    foot = {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": f"{message.severity} · {message.state} · {_escaped(message.key)}"}],
    }
    return {"text": _escaped(terminal(message.title, 300)), "attachments": [{"color": colour, "blocks": [block, foot]}]}


def pagerduty(message: Message, key: str) -> dict:
    """An event: trigger or resolve under the message's key, so that one incident is one incident there; a report is a trigger of severity info."""
    out: dict[str, Any] = {"routing_key": key, "dedup_key": message.key[:255], "client": "llmobs_nb"}
    if message.state == "resolved":
        return out | {"event_action": "resolve"}
    payload = {"summary": terminal(message.title, _SUMMARY_MOST), "source": "llmobs_nb", "severity": message.severity}
    told = {"lines": [safe(line, 1000) for line in message.lines], **message.details}
    return out | {"event_action": "trigger", "payload": payload | {"custom_details": told}}


def webhook(message: Message, token: str | None) -> tuple[dict, dict]:
    """Document and headers; the key goes along as Idempotency-Key."""
    head = {"idempotency-key": f"{message.key}/{message.state}"}
    return message.json(), head | ({"authorization": f"Bearer {token}"} if token else {})


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
