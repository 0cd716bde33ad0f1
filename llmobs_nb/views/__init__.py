"""How a Result looks: charts, tables and pages. Each name gives a view that a notebook displays; nothing is loaded before."""

from importlib import import_module

_HOMES = {
    "View": "bundle",
    "calibration": "calibration_page",
    "calibration_claims": "calibration_page_claims",
    "checklist": "incident_page",
    "cost": "cost_page",
    "cost_claims": "cost_page_claims",
    "cost_finance": "cost_finance_page",
    "cost_month": "cost_page.month",
    "cost_rhythm": "cost_page.rhythm",
    "cost_trend": "cost_page.trend",
    "cost_waterfall": "cost_page.waterfall",
    "drift": "drift_page",
    "gate": "gate_page",
    "incident": "incident_page",
    "judged": "sampling_page",
    "kpi_table": "weekly_page",
    "latency": "weekly_page",
    "page_claims": "weekly_claims",
    "prompt_diff": "incident_page",
    "quality": "weekly_page",
    "review": "review_widget",
    "sampling": "sampling_page",
    "shadow": "sampling_page",
    "signals": "signals_page",
    "slice_explorer": "slice_widget",
    "slices": "incident_page",
    "spend": "weekly_page",
    "spenders": "cost_drill",
    "stakeholder": "stakeholder_page",
    "taxonomy": "taxonomy_page",
    "threshold": "calibration_threshold",
    "timeline": "incident_page",
    "versions_table": "versions_page",
    "volume": "weekly_page",
    "waterfall": "waterfall_widget",
    "weekly": "weekly_page",
    "what_if": "cost_sliders",
}
__all__ = [
    "View",
    "calibration",
    "calibration_claims",
    "checklist",
    "cost",
    "cost_claims",
    "cost_finance",
    "cost_month",
    "cost_rhythm",
    "cost_trend",
    "cost_waterfall",
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
    "spend",
    "spenders",
    "stakeholder",
    "taxonomy",
    "threshold",
    "timeline",
    "versions_table",
    "volume",
    "waterfall",
    "weekly",
    "what_if",
]


def __getattr__(name: str):
    if name in _HOMES:
        home, _, other = _HOMES[name].partition(".")
        return getattr(import_module(f".{home}", __name__), other or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
