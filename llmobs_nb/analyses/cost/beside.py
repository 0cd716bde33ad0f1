"""What goes with a change of the cost: length of the answers and how long they take, how full the context is, how histories grow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..weekly.logged import context_window
from .reprice import Usage

_TIMED = "CASE WHEN latency_ms IS NOT NULL AND tokens_out IS NOT NULL THEN {} END"
_TURNED = "CASE WHEN turn IS NOT NULL AND tokens_in IS NOT NULL THEN {} END"
# Sums over model calls that the split asks for in its own scan.
SUMS = {
    "timed": _TIMED.format("1"), "latency": _TIMED.format("latency_ms"), "timed_out": _TIMED.format("tokens_out"),
    "turned": _TURNED.format("1"), "turns": _TURNED.format("turn"), "turns_squared": _TURNED.format("turn * turn"),
    "turn_tokens": _TURNED.format("tokens_in"), "turns_by_tokens": _TURNED.format("turn * tokens_in"),
}  # fmt: skip
COLUMNS = ("name", "before", "after", "unit")


def beside(used: Usage, requests: Mapping[str, int], spans: Mapping[str, int]) -> pd.DataFrame:
    """One row per measure that the spans carry in both windows; units ``tokens``, ``ms``, ``rate`` and ``number``."""
    told = {}
    for name in ("before", "after"):
        mine = np.array([one == name for one in used.keys["side"]], bool)
        told[name] = _of(used, mine)
        told[name]["model calls per request"] = (_over(used.amounts[mine, 0].sum(), requests.get(name, 0)), "number")
        told[name]["spans per request"] = (_over(spans.get(name, 0), requests.get(name, 0)), "number")
    lines = [(n, v, told["after"][n][0], unit) for n, (v, unit) in told["before"].items()]
    return pd.DataFrame([x for x in lines if x[1] is not None and x[2] is not None], columns=list(COLUMNS))


def _of(used: Usage, mine: np.ndarray) -> dict[str, tuple[float | None, str]]:
    calls, tokens = used.amounts[mine, 0].sum(), used.amounts[mine, 1:4].sum()
    more = {name: float(values[mine].sum()) for name, values in used.more.items()}
    spread = more["turns_squared"] - _square(more["turns"], more["turned"])
    grown = more["turns_by_tokens"] - _over(more["turns"] * more["turn_tokens"], more["turned"], 0.0)
    return {
        "output tokens per call": (_over(used.amounts[mine, 4].sum(), calls), "tokens"),
        "latency per call": (_over(more["latency"], more["timed"]), "ms"),
        "latency per output token": (_over(more["latency"], more["timed_out"]), "ms"),
        "input tokens per call": (_over(tokens, calls), "tokens"),
        "share of the context window filled": (_fill(used, mine), "rate"),
        "share of input read from the cache": (_over(used.amounts[mine, 2].sum(), tokens), "rate"),
        "turn of a call in its conversation": (_over(more["turns"], more["turned"]), "number"),
        "input tokens added per turn": (_over(grown, spread) if spread > 1e-9 else None, "tokens"),
    }


def _fill(used: Usage, mine: np.ndarray) -> float | None:
    """Input tokens over what the models take, of the models whose context window is known."""
    at = np.flatnonzero(mine)
    sizes = {key: context_window(*key) for key in {(used.provider[i], used.model[i]) for i in at}}
    room = np.array([float(sizes[used.provider[i], used.model[i]] or 0) for i in at])
    amounts = used.amounts[at][room > 0]
    return _over(amounts[:, 1:4].sum(), (amounts[:, 0] * room[room > 0]).sum())


def _square(total: float, n: float) -> float:
    return _over(total * total, n, 0.0)


def _over(above: float, below: float, otherwise: float | None = None) -> float | None:
    return float(above) / float(below) if below else otherwise
