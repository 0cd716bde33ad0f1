"""List prices of model calls: names are normalised, dated prices looked up once per key, unknown stays null with a reason.

``names.normalise`` → ``book.PriceBook`` → ``apply.price``.
"""

from .book import PriceBook, PriceRow, Unpriced
from .names import Name, normalise, provider_name

__all__ = ["Name", "PriceBook", "PriceRow", "Unpriced", "normalise", "price", "provider_name"]


def __getattr__(name: str):
    if name == "price":
        from .apply import price

        return price
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
