"""Whether every number of a finished page comes from a claim: kept with the result, and told in one line where it does not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..text import terminal
from .checker import Checked, Problem, examine
from .delivery import write

CHECKED = "checked"
MOST = 200
_EXAMPLES = 3


def prove(page: str, result: Path, claims: Path) -> str | None:
    """Check ``page`` against the file ``claims`` and note the outcome as ``checked`` in the file ``result``; a warning in one line.

    The outcome is ``{"numbers", "claimed", "unclaimed": [{"number", "sentence", "reason", "heading"}]}``, 200 of them at most. A page
    or claims that cannot be checked (a notebook may deliver anything) give ``{"error"}`` and a warning, never an exception.
    """
    try:
        found = examine(page, json.loads(claims.read_text(encoding="utf-8")))
        outcome, warning = _told(found), _warning(found)
    except Exception as error:  # claims of a user's own notebook: the report stands without its proof
        outcome = {"error": terminal(f"{type(error).__name__}: {error}", 200)}
        warning = f"the numbers of the page could not be checked ({outcome['error']}); claims.json needs a list of claims"
    document = json.loads(result.read_text(encoding="utf-8"))
    if isinstance(document, dict):
        write(result, document | {CHECKED: outcome})
    return warning


def _told(found: Checked) -> dict:
    unclaimed = [{k: terminal(v, 300) for k, v in asdict(p).items()} for p in found.problems[:MOST]]
    return {"numbers": found.numbers, "claimed": found.claimed, "unclaimed": unclaimed}


def _warning(found: Checked) -> str | None:
    if not found.problems:
        return None
    examples = "; ".join(map(_place, found.problems[:_EXAMPLES]))
    rest = f"; and {len(found.problems) - _EXAMPLES:,} more" if len(found.problems) > _EXAMPLES else ""
    return f"{len(found.problems):,} of {found.numbers:,} numbers in the page come from no claim: {examples}{rest}"


def _place(problem: Problem) -> str:
    under = f" under {terminal(problem.heading, 60)!r}" if problem.heading else ""
    return f"{terminal(problem.number, 40)} in {terminal(problem.sentence, 60)!r}{under}"
