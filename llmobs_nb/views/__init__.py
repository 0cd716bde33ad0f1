"""How a Result looks: charts, tables and pages. Each name gives a view that a notebook displays; nothing is loaded before."""

from importlib import import_module

_HOMES = {
    "View": "bundle",
    "checklist": "incident_page",
    "cost": "weekly_page",
    "drift": "drift_page",
    "gate": "gate_page",
    "incident": "incident_page",
    "kpi_table": "weekly_page",
    "latency": "weekly_page",
    "page_claims": "weekly_claims",
    "prompt_diff": "incident_page",
    "quality": "weekly_page",
    "review": "review_widget",
    "judged": "sampling_page",
    "sampling": "sampling_page",
    "shadow": "sampling_page",
    "signals": "signals_page",
    "slice_explorer": "slice_widget",
    "slices": "incident_page",
    "stakeholder": "stakeholder_page",
    "taxonomy": "taxonomy_page",
    "timeline": "incident_page",
    "versions_table": "versions_table",
    "volume": "weekly_page",
    "waterfall": "waterfall_widget",
    "weekly": "weekly_page",
}
__all__ = [
    "View",
    "checklist",
    "cost",
    "drift",
    "gate",
    "incident",
    "judged",
    "kpi_table",
    "latency",
    "page_claims",
    "prompt_diff",
    "quality",
    "review",
    "sampling",
    "shadow",
    "signals",
    "slice_explorer",
    "slices",
    "stakeholder",
    "taxonomy",
    "timeline",
    "versions_table",
    "volume",
    "waterfall",
    "weekly",
]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
