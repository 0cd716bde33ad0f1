"""A user's own table: every column is the user's; these are the ones tried when the mapping does not say."""

from ...columns import Column
from ...schema import draft_fields


def same_names(table: str) -> list[Column]:
    """One column per field of the table under its own name."""
    return [Column(name, name) for name in draft_fields(table) if name not in ("day", "own", "is_root", "source")]
