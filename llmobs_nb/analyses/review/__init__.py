"""Review: traces put in front of people, what they say of them, the failures they name, and the ones that become gold."""

from .categories import rename_category
from .failures import TaxonomyResult, taxonomy
from .golden import gold, promote, promoted, push_gold
from .queue import ReviewQueue, review_queue

__all__ = [
    "ReviewQueue",
    "TaxonomyResult",
    "gold",
    "promote",
    "promoted",
    "push_gold",
    "rename_category",
    "review_queue",
    "taxonomy",
]
