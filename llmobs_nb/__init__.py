"""llmobs_nb: the statistician over your LLM traces. ``import llmobs_nb as lm``; nothing heavy is loaded before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import reports, routes, views
    from .analyses.alerts import backtest, check
    from .analyses.calibration import calibrate
    from .analyses.calibration.maps import apply_map, load_map, save_map
    from .analyses.cost import cost
    from .analyses.cost.experiments import experiment_cost
    from .analyses.cost.focus import focus
    from .analyses.cost.reconcile import reconcile
    from .analyses.cost.whatif import what_if
    from .analyses.drift import drift
    from .analyses.gate import eval_runs, gate
    from .analyses.incident import did_it_work, incident, metric, remember
    from .analyses.review import gold, promote, push_gold, rename_category, review_queue, taxonomy
    from .analyses.sampling.judging import judge
    from .analyses.sampling.plan import sampling_plan
    from .analyses.sampling.shadow import shadow
    from .analyses.signals import signals
    from .analyses.weekly import weekly
    from .columns import Column
    from .judges import OpenAIJudge
    from .judges.pairs import prefer
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
    "cost": ("analyses.cost", "cost"),
    "what_if": ("analyses.cost.whatif", "what_if"),
    "experiment_cost": ("analyses.cost.experiments", "experiment_cost"),
    "focus": ("analyses.cost.focus", "focus"),
    "reconcile": ("analyses.cost.reconcile", "reconcile"),
    "calibrate": ("analyses.calibration", "calibrate"),
    "save_map": ("analyses.calibration.maps", "save_map"),
    "load_map": ("analyses.calibration.maps", "load_map"),
    "apply_map": ("analyses.calibration.maps", "apply_map"),
    "check": ("analyses.alerts", "check"),
    "backtest": ("analyses.alerts", "backtest"),
    "drift": ("analyses.drift", "drift"),
    "gate": ("analyses.gate", "gate"),
    "eval_runs": ("analyses.gate", "eval_runs"),
    "review_queue": ("analyses.review", "review_queue"),
    "taxonomy": ("analyses.review", "taxonomy"),
    "promote": ("analyses.review", "promote"),
    "gold": ("analyses.review", "gold"),
    "push_gold": ("analyses.review", "push_gold"),
    "rename_category": ("analyses.review", "rename_category"),
    "routes": ("routes", None),
    "signals": ("analyses.signals", "signals"),
    "sampling_plan": ("analyses.sampling.plan", "sampling_plan"),
    "shadow": ("analyses.sampling.shadow", "shadow"),
    "judge": ("analyses.sampling.judging", "judge"),
    "OpenAIJudge": ("judges", "OpenAIJudge"),
    "prefer": ("judges.pairs", "prefer"),
    "views": ("views", None),
    "reports": ("reports", None),
    "schema": ("schema", None),
    "errors": ("errors", None),
}

__all__ = [
    "Column",
    "Observations",
    "OpenAIJudge",
    "__version__",
    "apply_map",
    "backtest",
    "calibrate",
    "check",
    "cost",
    "demo",
    "did_it_work",
    "drift",
    "errors",
    "eval_runs",
    "experiment_cost",
    "focus",
    "gate",
    "gold",
    "incident",
    "judge",
    "load",
    "load_map",
    "metric",
    "open",
    "prefer",
    "promote",
    "pull",
    "push",
    "push_gold",
    "reconcile",
    "remember",
    "rename_category",
    "reports",
    "review_queue",
    "routes",
    "sampling_plan",
    "save_map",
    "schema",
    "shadow",
    "signals",
    "taxonomy",
    "views",
    "weekly",
    "what_if",
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
