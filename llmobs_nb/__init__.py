"""llmobs_nb: the statistician over your LLM traces. ``import llmobs_nb as lm``; nothing heavy is loaded before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import reports, views
    from .analyses.incident import did_it_work, incident, metric, remember
    from .analyses.weekly import weekly
    from .columns import Column
    from .observations import Observations, demo, load
    from .observations import open_store as open
    from .pulling.run import pull
    from .writeback import push as push

_DOORS = {
    "open": ("observations", "open_store"),
    "load": ("observations", "load"),
    "demo": ("observations", "demo"),
    "Observations": ("observations", "Observations"),
    "Column": ("columns", "Column"),
    "pull": ("pulling.run", "pull"),
    "push": ("writeback", "push"),
    "incident": ("analyses.incident", "incident"),
    "did_it_work": ("analyses.incident", "did_it_work"),
    "remember": ("analyses.incident", "remember"),
    "metric": ("analyses.incident", "metric"),
    "weekly": ("analyses.weekly", "weekly"),
    "views": ("views", None),
    "reports": ("reports", None),
    "schema": ("schema", None),
    "errors": ("errors", None),
}

__all__ = [
    "Column",
    "Observations",
    "__version__",
    "demo",
    "did_it_work",
    "errors",
    "incident",
    "load",
    "metric",
    "open",
    "pull",
    "remember",
    "reports",
    "schema",
    "views",
    "weekly",
]


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'llmobs_nb' has no attribute {name!r}; it has: {', '.join(__all__)}")
    module, attribute = _DOORS[name]
    found = import_module(f".{module}", __name__)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
