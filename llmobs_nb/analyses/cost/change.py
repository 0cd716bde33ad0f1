"""Why the cost moved between two windows: seven factors, each with its share of the change in USD, and nothing left over.

cost = requests × requests of a feature per request × calls of a model per request of the feature × cost per call, and the cost
of a call is its input at the prices of plain, cached and cache-writing tokens, its output at its price, and the call itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...columns import literal
from ...stats.shapley import shapley
from ..reductions import rows
from .beside import SUMS, beside
from .lines import TOLD
from .reprice import Usage, usage
from .result import Change
from .slices import slices
from .window import Plan, inside

FACTORS = ("volume", "mix", "model", "tokens_in", "tokens_out", "cache", "price")
AFTER = "after"
# Traffic that is not the product's own is no feature, and its traces are no requests.
FEATURE = "CASE " + " ".join(
    f"WHEN purpose = {literal(p)} THEN {literal(TOLD[p])}" for p in ("judging", "experiment", "platform")
)
FEATURE += " ELSE feature END"
_TRACE = "source, project, trace_id"


def change(obs, plan: Plan) -> Change | None:
    """Cost in ``plan.now`` against ``plan.against`` and the parts of the difference; None where nothing lies before.

    Requests are traces of the product; where a window has none of them, all traces. A feature or a model that exists in one window
    only has the tokens and prices of that window in both, so that it moves mix or model and no price is made up. Calls whose cost
    is not known are left out; cost of spans without tokens or a model moves volume and mix only.
    """
    if plan.against is None:
        return None
    when = side(plan)
    where = f"({inside(plan.now)} OR {inside(plan.against)})"
    used = usage(obs, where, {"side": when, "feature": FEATURE}, more=SUMS)
    traffic = _traffic(obs, where, when)
    features, parts = _cells(used, traffic)
    before, after = (float(features[f"{name}_usd"].sum()) for name in ("before", AFTER))
    return Change(
        after=plan.now, before=plan.against, before_usd=before, after_usd=after, parts=parts, features=features,
        slices=slices(obs, plan, when, where), beside=beside(used, traffic.requests, traffic.spans),
    )  # fmt: skip


def side(plan: Plan) -> str:
    """Which window a span starts in, as SQL; a moment in both counts for the later one."""
    return f"CASE WHEN {inside(plan.now)} THEN {literal(AFTER)} ELSE 'before' END"


@dataclass(frozen=True)
class _Traffic:
    """Traces by window and feature; requests and spans by window: traces of the product, or all where a window has none of them."""

    of: dict[tuple, int]
    requests: dict[str, int]
    spans: dict[str, int]


def _traffic(obs, where: str, when: str) -> _Traffic:
    found = rows(
        obs,
        f"""WITH seen AS (SELECT {when} AS side, {FEATURE} AS feature, max(CASE WHEN purpose IS NULL THEN 1 ELSE 0 END) AS own, {_TRACE},
          count(*) AS spans FROM spans WHERE {where} GROUP BY 1, 2, {_TRACE})
        SELECT side, feature, count(*) AS n, 0 AS own, sum(spans) AS spans, 0 AS whole FROM seen GROUP BY side, feature
        UNION ALL SELECT side, NULL, count(*), sum(own), sum(spans), 1 FROM (SELECT side, {_TRACE}, max(own) AS own, sum(spans) AS spans
          FROM seen GROUP BY side, {_TRACE}) t GROUP BY side""",
    )
    whole = [r for r in found if r["whole"]]
    counted = "own" if all(r["own"] for r in whole) else "n"
    of = {(r["side"], r["feature"]): int(r["n"]) for r in found if not r["whole"]}
    return _Traffic(of, {r["side"]: int(r[counted]) for r in whole}, {r["side"]: int(r["spans"]) for r in whole})


def _cells(used: Usage, traffic: _Traffic) -> tuple[pd.DataFrame, dict[str, float]]:
    """One row per feature with its parts, and the parts of all."""
    cells, amounts, spend = _summed(used)
    names = list(dict.fromkeys([*(f for f, _ in cells), *(f for _, f in used.bare)]))
    sides = [_states(s, cells, names, amounts[s], spend[s], traffic, used.bare) for s in ("before", AFTER)]
    old, new = _filled(*sides)
    split = shapley(_grouped(old), _grouped(new), _value)
    feature = np.array([names.index(f) for f, _ in cells] + list(range(len(names))), int)
    frame = pd.DataFrame({"feature": pd.Series(names, dtype=object)})
    for name, state in (("before_usd", old), ("after_usd", new)):
        frame[name] = np.bincount(feature, _value(_grouped(state)), minlength=len(names))
    for name in FACTORS:
        frame[name] = np.bincount(feature, split[name], minlength=len(names))
    order = (frame["after_usd"] - frame["before_usd"]).abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True), {name: float(frame[name].sum()) for name in FACTORS}


def _summed(used: Usage) -> tuple[list[tuple], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Features × models, and for each window amounts and USD by kind of each."""
    keys = list(zip(used.keys["feature"], used.provider, used.model, strict=True))
    cells = list(dict.fromkeys(keys))
    code = {key: i for i, key in enumerate(cells)}
    at, when = np.array([code[k] for k in keys], int), np.array(used.keys["side"], object)
    amounts, spend = {}, {}
    for name in ("before", AFTER):
        mine = when == name
        amounts[name], spend[name] = np.zeros((len(cells), 5)), np.zeros((len(cells), 5))
        np.add.at(amounts[name], at[mine], used.amounts[mine])
        np.add.at(spend[name], at[mine], used.spend()[mine])
    return [(feature, (provider, model)) for feature, provider, model in cells], amounts, spend


def _states(name: str, cells: list, names: list, amounts, spend, traffic: _Traffic, bare: Mapping) -> dict[str, np.ndarray]:
    """The factors of each cell in one window, not a number where the window has nothing to tell them by.

    After the cells comes one more per feature: its spans without tokens or a model.
    """
    total = float(traffic.requests.get(name, 0))
    of = np.array([float(traffic.of.get((name, f), 0)) for f, _ in cells])
    rest = np.array([bare.get((name, f), 0.0) for f in names])
    calls, fresh, read, write, out = amounts.T
    tokens, nothing = fresh + read + write, np.zeros(len(names))
    states = {
        "volume": np.full(len(cells) + len(names), total),
        "mix": np.concatenate([_over(of, total), _over(rest, total)]),
        "model": np.concatenate([_over(calls, of), np.ones(len(names))]),
        "tokens_in": np.concatenate([_over(tokens, calls), nothing]),
        "tokens_out": np.concatenate([_over(out, calls), nothing]),
        "read": np.concatenate([_over(read, tokens), nothing]),
        "write": np.concatenate([_over(write, tokens), nothing]),
    }
    units = (_over(usd, amount) for usd, amount in zip(spend.T, amounts.T, strict=True))
    firsts = (np.ones(len(names)), *(nothing,) * 4)
    return states | {f"price{k}": np.concatenate(pair) for k, pair in enumerate(zip(units, firsts, strict=True))}


def _over(above, below) -> np.ndarray:
    """The quotient; not a number where there is nothing below."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def _filled(old: dict, new: dict) -> tuple[dict, dict]:
    """Both states without gaps: what a window does not tell is taken from the other, and is 0 where neither tells it."""
    both = ({}, {})
    for name in old:
        for mine, other, out in ((old, new, both[0]), (new, old, both[1])):
            out[name] = np.nan_to_num(np.where(np.isnan(mine[name]), other[name], mine[name]))
    return both


def _grouped(state: dict[str, np.ndarray]) -> dict[str, object]:
    """The seven factors; a cache has two shares, a price five."""
    plain = {name: state[name] for name in ("volume", "mix", "model", "tokens_in", "tokens_out")}
    return plain | {"cache": (state["read"], state["write"]), "price": [state[f"price{k}"] for k in range(5)]}


def _value(at: Mapping) -> np.ndarray:
    """USD of each cell."""
    read, write = at["cache"]
    request, fresh, cached, written, said = at["price"]
    inward = (1 - read - write) * fresh + read * cached + write * written
    return at["volume"] * at["mix"] * at["model"] * (request + at["tokens_in"] * inward + at["tokens_out"] * said)
