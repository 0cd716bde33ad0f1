"""How a Result looks: charts, tables and pages. Each name gives a view that a notebook displays; nothing is loaded before."""

from importlib import import_module

_HOMES = {
    "View": "bundle",
    "cost": "weekly_page",
    "kpi_table": "weekly_page",
    "latency": "weekly_page",
    "quality": "weekly_page",
    "volume": "weekly_page",
    "weekly": "weekly_page",
}
__all__ = ["View", "cost", "kpi_table", "latency", "quality", "volume", "weekly"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
