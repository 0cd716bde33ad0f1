"""Reports: template notebooks, run with parameters, frozen, exported to one static file. Nothing is loaded before it is used."""

from importlib import import_module

_HOMES = {
    "ReportFiles": "runner",
    "deliver": "delivery",
    "find": "templates",
    "names": "templates",
    "pairs": "templates",
    "report": "runner",
}
__all__ = ["ReportFiles", "deliver", "find", "names", "pairs", "report"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
