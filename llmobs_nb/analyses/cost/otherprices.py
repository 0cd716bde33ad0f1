"""The same calls at other prices: those of another model, of another day, or of a table of one's own; and how the other model did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from ...columns import literal
from ...errors import UsageError
from ...prices import PriceBook, Unpriced, normalise
from ...prices.marks import CALL
from .lines import MODEL
from .quality import judged
from .reprice import Usage, unit_prices

COLUMNS = ("feature", "model", "role", "score", "value", "ci_low", "ci_high", "n", "reason")


def renamed(book: PriceBook, used: Usage, models: Mapping[str, str]) -> tuple[Usage, float]:
    """Calls of some models as calls of others, and how many keep theirs because the other has no price on their day.

    The first entry that fits a model holds. UsageError for an entry that fits no call, and for a model that has no list price.
    """
    to = _chosen(used, models)
    out, left = replace(used, provider=list(used.provider), model=list(used.model), prices=used.prices.copy()), 0.0
    for i, name in to.items():
        other = _named(book, name, used.provider[i], used.day[i])
        prices = unit_prices(book, used, i, model=other)
        if prices is None:
            left += used.amounts[i, 0]
        else:
            out.provider[i], out.model[i], out.prices[i] = *other, prices
    if to and left == sum(used.amounts[i, 0] for i in to):
        raise UsageError(
            f"model={dict(models)!r}: no list price is known for any of {', '.join(sorted(set(to.values())))}; write provider/model"
        )
    return out, left


def at_other_prices(book: PriceBook, used: Usage, other: PriceBook, day: date | None) -> tuple[Usage, float]:
    """The calls at the list prices of a day, as far below list as was paid, or at the own prices of a book; and how many keep theirs.

    UsageError for own prices that name no model that was called.
    """
    new, left = used.prices.copy(), 0.0
    for i in range(len(used)):
        now, then = unit_prices(other, used, i, day=day), unit_prices(book, used, i)
        if now is None or (day and then is None) or not (day or _covered(other, used, i)):
            left += used.amounts[i, 0]
        else:
            new[i] = used.prices[i] * np.divide(now, then, out=np.ones_like(now), where=then > 0) if day else now
    if len(used) and not day and left == used.amounts[:, 0].sum():
        raise UsageError(
            f"prices: no row names a model that was called; the models are {', '.join(sorted(set(used.model))[:12])}"
        )
    return replace(used, prices=new), left


def tried(obs, where: str, used: Usage, models: Mapping[str, str]) -> pd.DataFrame:
    """What judges said of features in which both a model and the one it would become have answered.

    One row per feature, model and score, of traces whose model calls all went to one of the two; the interval counts a session once. No rows
    where the new model was never tried beside the old one.
    """
    if not models:
        return pd.DataFrame(columns=list(COLUMNS))
    roles = {}
    for provider, model, asked in zip(used.provider, used.model, used.keys["asked"], strict=True):
        if any(_fits(old, provider, model, asked) for old in models):
            roles[model] = "current"
        elif any(_fits(new.rpartition("/")[2], provider, model, asked) for new in models.values()):
            roles[model] = "new"
    traces = f"""SELECT source, project, trace_id, max(feature) AS feature, max({MODEL}) AS model, coalesce(max(session_id), trace_id) AS cluster
        FROM spans WHERE {where} AND {CALL} AND kind = 'llm' AND purpose IS NULL GROUP BY source, project, trace_id
        HAVING min({MODEL}) = max({MODEL}) AND max({MODEL}) IN ({", ".join(map(literal, roles)) or "NULL"})"""
    found = judged(obs, traces, ("feature", "model")) if len(set(roles.values())) == 2 else []
    lines = [
        (k["feature"], k["model"], roles[k["model"]], score, e.value, e.ci_low, e.ci_high, e.n, e.reason) for k, score, e in found
    ]
    compared = Counter((feature, score) for feature, score in {(x[0], x[3], x[2]): (x[0], x[3]) for x in lines}.values())
    both = sorted((x for x in lines if compared[x[0], x[3]] == 2), key=lambda x: (str(x[0]), x[3], x[2], x[1]))
    return pd.DataFrame(both, columns=list(COLUMNS))


def _chosen(used: Usage, models: Mapping[str, str]) -> dict[int, str]:
    """Which sums become which model."""
    out: dict[int, str] = {}
    for old, new in models.items():
        fits = [i for i in range(len(used)) if _fits(old, used.provider[i], used.model[i], used.keys["asked"][i])]
        if not fits and len(used):
            raise UsageError(f"model={old!r} was not called; choose from: {', '.join(sorted(set(used.model))[:12])}")
        out = dict.fromkeys(fits, new) | out
    return out


def _fits(pattern: str, provider: str | None, model: str, asked: str | None) -> bool:
    """Whether a name, with ``*`` for anything, is that of a model as it answered, as it was asked for, or as it is normalised."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in (model, asked, normalise(provider, model).model) if name)


def _named(book: PriceBook, name: str, provider: str | None, day: date) -> tuple[str | None, str]:
    """The provider and the name of a model: as written, else of the provider that has it, the same one first."""
    own, mark, rest = name.partition("/")
    if mark:
        return own, rest
    return (provider, name) if not isinstance(book.unit_prices(provider, name, day), Unpriced) else (None, name)


def _covered(book: PriceBook, used: Usage, i: int) -> bool:
    name = normalise(used.provider[i], used.model[i])
    return any(row.covers(name, used.model[i], used.day[i]) for row in book.overrides)
