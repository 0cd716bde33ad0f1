"""The names of failures: as reviewers wrote them, as they are called now, and the ones that a note holds as #tags."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...columns import literal
from ...errors import UsageError, choose
from ...store.store import Store
from ...text import terminal
from ..reductions import rows

SOURCE, PREFIX = "review", "review:"
CATEGORY = PREFIX + "category"
KEY = "review_categories"
LONGEST = 60
_TAG = re.compile(r"(?<![\w#&/])#([^\W\d_][\w-]{1,59})")


def tidy(name: str) -> str:
    """A category on one line, without controls and secrets, at most 60 characters; empty for what is none."""
    return terminal(name, None)[:LONGEST].strip().removeprefix("#")


def tags(note: str) -> tuple[str, ...]:
    """The #tags of a note, each once, without the sign; ``#12`` and what stands in an address are none."""
    return tuple(dict.fromkeys(m.rstrip("-") for m in _TAG.findall(note)))


def renamed(store: str) -> dict[str, str]:
    """What the categories of a store that were renamed are called now, by their old name; empty where none was."""
    told = Store(store).head().get(KEY, {})
    return {str(old): str(new) for old, new in told.items()} if isinstance(told, dict) else {}


def current_name(name: str, names: Mapping[str, str]) -> str:
    """What a category is called now."""
    return names.get(name, name)


def rename_category(obs, old: str, new: str) -> int:
    """Call a failure category by another name, or merge it into one that is there; how many labels bear the new name for it.

    What the reviewers wrote stays as it is: the store's head says how it is to be read, so that the same call with the names
    swapped takes a renaming back (what was merged before it stays merged). Raises UsageError for a category that nobody named,
    LockedError while another writes to the store.
    """
    old, new = tidy(old), tidy(new)
    if not new:
        raise UsageError("rename_category: the new name is empty; give a word or two, such as 'wrong citation'")
    held = Store(obs.store)
    with held.writing():
        names = renamed(obs.store)
        written = _written(obs)
        now = {name: current_name(name, names) for name in written}
        choose("category", old, sorted(set(now.values())))
        moved = {name for name, called in now.items() if called == old}
        names = {k: v for k, v in (names | dict.fromkeys(moved, new)).items() if k != v}
        held.write_head(held.head() | {KEY: names})
    return sum(written[name] for name in moved)


def _written(obs) -> dict[str, int]:
    """Categories as they were written, with how many labels bear them."""
    found = rows(
        obs,
        f"""SELECT label, count(*) AS n FROM scores WHERE source = {literal(SOURCE)} AND name = {literal(CATEGORY)} AND label IS NOT NULL GROUP BY label""",
    )
    return {row["label"]: row["n"] for row in found}
