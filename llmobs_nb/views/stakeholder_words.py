"""How a KPI is said to somebody who does not work with it: subject, verb, what a change is called, and how much of it there is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..text import terminal

MORE, LESS, LONGER, HIGHER = ("more", "fewer"), ("more", "less"), ("longer", "shorter"), ("higher", "lower")
_RATERS = {"judge": "as a model judges it", "human": "as our reviewers judge it", "user": "as users rate it"}
_TIMES = {
    "latency": "the whole answer",
    "ttft": "the wait for the first word",
    "llm_latency": "one call of the model",
    "retrieval_latency": "one search in the documents",
    "tool_latency": "one call of a tool",
}
_SLOWEST = {"50": "half", "95": "5 %", "99": "1 %"}
_QUANTILE = re.compile(r"(\w+)_p(50|95|99)")
_SCORE = re.compile(r"(session_)?score:(.+):([^:]+)", re.DOTALL)


@dataclass(frozen=True)
class Saying:
    """``{value}`` in ``told`` is the level; ``words`` are what a change upwards and downwards is called; ``units`` what is counted.

    ``known`` is false for one that has only its label.
    """

    told: str
    short: str
    words: tuple[str, str] = MORE
    counted: str = "requests"
    known: bool = True


_SAID = {
    "requests": Saying("{value} requests came in", "Requests"),
    "users": Saying("{value} people used it", "Users"),
    "sessions": Saying("{value} conversations were held", "Conversations"),
    "turns_per_session": Saying("A conversation had {value} questions on average", "Questions in a conversation"),
    "total_cost": Saying("All answers together cost {value}", "Cost of all answers", LESS),
    "error_rate": Saying("{value} requests failed", "Failed requests"),
    "retries_per_request": Saying("A request was tried again {value} times on average", "Repeated tries"),
    "guardrail_block_rate": Saying("{value} requests were blocked by a safety rule", "Blocked requests"),
    "false_block_rate": Saying("{value} blocked requests should have passed", "Wrong blocks", MORE, "reviewed blocks"),
    "refusal_rate": Saying("{value} answers refused to help", "Refusals"),
    "follow_up_rate": Saying("{value} questions had to be asked again", "Questions asked again"),
    "escalation_rate": Saying("{value} requests asked for a person or complained", "Complaints"),
    "good_rate": Saying("{value} rated answers were good", "Good answers", MORE, "rated answers"),
    "satisfaction": Saying("Satisfaction was {value} on average", "Satisfaction", HIGHER),
    "decode_speed": Saying("The text of an answer came at {value} pieces of a word a second", "Speed of the text", HIGHER),
    "cost_per_request": Saying("One answer cost {value} on average", "Cost of one answer", LESS),
    "cost_per_user": Saying("One user cost {value} on average", "Cost of one user", LESS, "users"),
    "cost_per_good_answer": Saying("One good answer cost {value} on average", "Cost of a good answer", LESS, "rated answers"),
    "retrieval_hit_rate": Saying("{value} searches found a fitting document", "Searches that found something", MORE, "searches"),
    "retrieval_top_score": Saying("The best document fitted the question with a score of {value}", "Fit of the documents", HIGHER),
    "chunk_utilisation": Saying("{value} documents that were found are named in the answer", "Documents used", MORE, "searches"),
}  # fmt: skip


def saying(row: dict) -> Saying:
    """How a row of the KPI table is said; by its label where nothing better is known."""
    if row["name"] in _SAID:
        return _SAID[row["name"]]
    name = braces(terminal(row["label"], 60))
    time, score = _QUANTILE.fullmatch(row["name"]), _SCORE.fullmatch(row["name"])
    if time and time[1] in _TIMES:
        return _time(_TIMES[time[1]], time[2])
    if score:
        what = braces(terminal(score[2], 40))
        rater = braces(terminal(score[3], 20))
        judged = _RATERS.get(score[3], f"rated by {rater}")
        return Saying(f"{_capital(what)}, {judged}, was {{value}}", f"{_capital(what)} ({rater})", HIGHER, "rated answers")
    return Saying(f"{_capital(name)} was {{value}}", _capital(name), HIGHER, known=False)


def _time(what: str, level: str) -> Saying:
    which = "in the slower half of requests" if level == "50" else f"in the slowest {_SLOWEST[level]} of requests"
    short = "slower half" if level == "50" else f"slowest {_SLOWEST[level]}"
    return Saying(f"{_capital(what)} took {{value}} or more {which}", f"{_capital(what)}, {short}", LONGER)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def braces(text: str) -> str:
    """Text from outside with its braces doubled, so that it is no place for a number."""
    return text.replace("{", "{{").replace("}", "}}")
