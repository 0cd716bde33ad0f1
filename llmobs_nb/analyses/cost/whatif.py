"""What history would have cost: another model, another price table, caching, shorter prompts, no repeats, fewer judgements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ... import units
from ...errors import UsageError
from ...prices import PriceBook
from ...windows import Window
from ..result import Estimate, Finding, Result, claim, plain, provenance
from . import prompts
from .otherprices import at_other_prices, renamed, tried
from .reprice import Usage, usage
from .result import empty
from .window import inside, make_plan

COLUMNS = ("name", "told", "usd", "saving_usd", "share", "assumed")
Prices = str | Path | date | Iterable[Mapping]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WhatIfResult(Result):
    """The answer of :func:`what_if`; all money is USD.

    ``measures`` has one row per measure asked for (name, told, usd: what it would have cost with this measure alone, saving_usd,
    share of the cost, assumed), ``usd`` is what it would have cost with all of them. ``quality`` is what judges said where a new model
    was tried in the feature of the old one (feature, model, role ``current`` or ``new``, score, value, ci_low, ci_high, n): not a
    promise. ``parameters`` are the keyword arguments that give this result again.
    """

    window: Window | None = None
    tz: str = "UTC"
    base_usd: float = 0.0
    usd: float = 0.0
    saving_usd: float = 0.0
    measures: pd.DataFrame = field(default_factory=lambda: empty(*COLUMNS))
    quality: pd.DataFrame = field(default_factory=empty)

    def json(self) -> dict:
        """The whole result as strict JSON can carry it."""
        names = ("window", "tz", "base_usd", "usd", "saving_usd", "measures", "quality")
        return super().json() | {n: plain(getattr(self, n)) for n in names}

    def claims(self) -> list[dict]:
        """Every number: the cost as it was, with everything, and the saving of each measure."""
        made = [
            ("base_usd", "Cost as it was", self.base_usd),
            ("usd", "Cost with all measures", self.usd),
            ("saving_usd", "Saved by all", self.saving_usd),
        ]
        made += [(f"saving_usd:{m.name}", f"Saved: {m.told}", m.saving_usd) for m in self.measures.itertuples()]
        n, how = int(self.provenance.get("calls", 0)), "history repriced from sums of tokens by model, day and price tier"
        return [claim(f"what_if:{id}", text, Estimate(value, None, None, n), unit="usd", how=how) for id, text, value in made]


@dataclass(frozen=True, eq=False)
class _State:
    """What is spent: model calls, and by purpose what else has a cost."""

    used: Usage
    rest: dict[str | None, float]

    @property
    def usd(self) -> float:
        return float(self.used.spend().sum()) + sum(self.rest.values())


@dataclass(frozen=True)
class _Measure:
    name: str
    told: str
    assumed: str
    apply: Callable[[_State], _State]


def what_if(
    obs,
    *,
    since: Any = None,
    until: Any = None,
    tz: str = "UTC",
    volume: float = 1.0,
    judge_sample: float = 1.0,
    deduplicate: bool = False,
    prompt: float = 1.0,
    cache: bool | float = False,
    model: Mapping[str, str] | None = None,
    prices: Prices | None = None,
    price: float = 1.0,
) -> WhatIfResult:
    """What the spans of a window would have cost otherwise, in USD: each measure alone, and all of them one after the other.

    ``volume`` times the traffic; ``judge_sample`` the part of today's judging that stays; ``deduplicate`` answers a request that
    was asked before (same input, system prompt, tokens in and model) without a call; ``prompt`` the part of the system prompts' tokens that
    stays; ``cache=True`` reads system prompts that repeat within five minutes from the cache, ``cache=0.6`` reads that share of the input;
    ``model`` maps models (as logged, with ``*`` for anything) to others (``name`` or ``provider/name``); ``prices`` is a day whose list
    prices hold, or a table of own prices; ``price`` times every price. ``since``, ``until`` and ``tz`` as in ``lm.cost``.

    What each saving assumes is in its row; tokens and answers are taken to stay what they were. Calls whose cost is not known are
    left out, those without a list price keep theirs. UsageError for models that no call used or no table prices, and values that are none.
    """
    began = time.perf_counter()
    asked = _asked(since=since, until=until, tz=tz, volume=volume, judge_sample=judge_sample, deduplicate=deduplicate, prompt=prompt,
                   cache=cache, model=model, prices=prices, price=price)  # fmt: skip
    _check(volume, judge_sample, prompt, cache, price)
    plan = make_plan(obs, since=since, until=until, tz=tz)
    if plan is None:
        text = "The store holds no dated spans: there is no cost to change."
        return WhatIfResult(name="what_if", headline=text, parameters=asked, findings=(Finding("warning", text),), tz=tz)
    book = PriceBook()
    base = _read(obs, inside(plan.window), book, deduplicate=deduplicate, texts=prompt != 1 or cache is True)
    measures = [
        *_amounts(base.used, volume, judge_sample, deduplicate, prompt, cache),
        *_prices(book, base.used, model, prices, price),
    ]
    table, end = _apply(base, measures)
    known = provenance(obs, plan.window.json(), began) | {"prices": book.version, "calls": int(base.used.amounts[:, 0].sum())}
    return WhatIfResult(
        name="what_if", headline=_headline(plan.window, base.usd, end.usd, measures), parameters=asked, provenance=known,
        findings=_findings(base), window=plan.window, tz=tz, base_usd=base.usd, usd=end.usd, saving_usd=base.usd - end.usd,
        measures=table, quality=tried(obs, inside(plan.window), base.used, model or {}),
    )  # fmt: skip


def _asked(**given: Any) -> dict[str, Any]:
    """The arguments as they can be given again: what is left at its default is left out."""
    plainly = {k: str(v) if isinstance(v, (date, Path)) else v for k, v in given.items()}
    plainly["prices"] = plainly["prices"] if isinstance(plainly["prices"], str | None) else [dict(r) for r in plainly["prices"]]
    default = {"tz": "UTC", "volume": 1.0, "judge_sample": 1.0, "prompt": 1.0, "price": 1.0, "deduplicate": False, "cache": False}
    return {k: v for k, v in plainly.items() if v is not None and not (k in default and v == default[k])}


def _check(volume, judge_sample, prompt, cache, price) -> None:
    for name, value, most in (("volume", volume, math.inf), ("judge_sample", judge_sample, 1), ("prompt", prompt, 1),
                              ("cache", cache, 1), ("price", price, math.inf)):  # fmt: skip
        if not isinstance(value, (int, float)) or not 0 <= value <= most or math.isinf(value):
            limits = "0 to 1" if most == 1 else "0 or more"
            raise UsageError(f"{name}={value!r} is not a number from {limits}; give 0.8 for four fifths of what it was")


def _read(obs, where: str, book: PriceBook, *, deduplicate: bool, texts: bool) -> _State:
    with ExitStack() as kept:
        source, more = prompts.source(obs, kept, where, repeats=deduplicate, texts=texts)
        keys = {"purpose": "purpose", "feature": "feature", "asked": "model_requested"}
        used = usage(obs, where, keys, more=more, book=book, source=source)
    rest: dict[str | None, float] = {}
    for (purpose, _, _), usd in used.bare.items():
        rest[purpose] = rest.get(purpose, 0.0) + usd
    return _State(used, rest)


def _amounts(used: Usage, volume, judge_sample, deduplicate, prompt, cache) -> list[_Measure]:
    """Measures that change how much is used."""
    judged = np.array([p == "judging" for p in used.keys["purpose"]], bool)
    out = []
    if volume != 1:
        out.append(
            _Measure(
                "volume",
                f"{volume:g} times the traffic",
                "every kind of traffic grows alike",
                lambda s: _times(s, lambda p: volume),
            )
        )
    if judge_sample != 1:
        text = f"judges see {units.rate(judge_sample)} of what they see now"
        fewer = "a judgement costs what it did; the intervals of judged numbers get wider" + (
            "" if judged.any() else "; no judge logs its calls here"
        )
        out.append(_Measure("judge_sample", text, fewer, lambda s: _times(s, lambda p: judge_sample if p == "judging" else 1.0)))
    if deduplicate:
        text = "the answer of the first call holds for every later one with the same input, system prompt, tokens in and model, whoever asks and whenever"
        out.append(
            _Measure(
                "deduplicate",
                "no call for a request that was answered before",
                text,
                lambda s: replace(s, used=prompts.once(s.used)),
            )
        )
    if prompt != 1:
        told = f"system prompts at {units.rate(prompt)} of their tokens"
        text = "tokens go to the system prompt by its share of the characters; what was read from the cache is shortened first"
        out.append(_Measure("prompt", told, text, lambda s: replace(s, used=prompts.shortened(s.used, prompt))))
    if cache is True:
        text = f"identical system prompts of {prompts.LEAST:,} tokens or more that repeat within {prompts.WARM_MINUTES} minutes are read, others written, where that pays"
        out.append(
            _Measure(
                "cache",
                "repeated system prompts are read from the cache",
                text,
                lambda s: replace(s, used=prompts.cached(s.used)),
            )
        )
    elif cache is not False:
        text = "so much of every input repeats, and its model reads it at its price for cached input"
        out.append(_Measure("cache", f"{units.rate(float(cache))} of the input is read from the cache", text,
                            lambda s: replace(s, used=prompts.read_share(s.used, float(cache)))))  # fmt: skip
    return out


def _times(state: _State, factor: Callable[[str | None], float]) -> _State:
    """So many times the traffic of each purpose."""
    used = state.used.scaled(np.array([factor(p) for p in state.used.keys["purpose"]], float))
    return _State(used, {p: usd * factor(p) for p, usd in state.rest.items()})


def _prices(book: PriceBook, used: Usage, model, prices, price) -> list[_Measure]:
    """Measures that change what it costs."""
    out = []
    if model:
        told = ", ".join(f"{old} becomes {name}" for old, name in model.items())
        text = "as many tokens in and out, at the list price of the new model on the day of the call" + _left(
            renamed(book, used, model)[1]
        )
        out.append(_Measure("model", told, text, lambda s: replace(s, used=renamed(book, s.used, model)[0])))
    if prices is not None:
        day = _day(prices)
        other = book if day else PriceBook(prices)
        told, text = (
            (f"list prices of {day}", "what was paid stays the same share of the list price")
            if day
            else ("own prices", "own prices hold for the models they name")
        )
        text += _left(at_other_prices(book, used, other, day)[1])
        out.append(_Measure("prices", told, text, lambda s: replace(s, used=at_other_prices(book, s.used, other, day)[0])))
    if price != 1:
        out.append(_Measure("price", f"{price:g} times every price", "what is paid for each token changes alike",
                            lambda s: _State(replace(s.used, prices=s.used.prices * price), {p: usd * price for p, usd in s.rest.items()})))  # fmt: skip
    return out


def _day(prices: Prices) -> date | None:
    if isinstance(prices, date):
        return prices
    try:
        return date.fromisoformat(prices) if isinstance(prices, str) else None
    except ValueError:
        return None


def _left(calls: float) -> str:
    return f"; {units.count(calls)} calls have no price there and keep theirs" if calls else ""


def _apply(base: _State, measures: list[_Measure]) -> tuple[pd.DataFrame, _State]:
    """Each measure alone, and the state after all of them in their order."""
    lines, end = [], base
    for m in measures:
        usd, end = m.apply(base).usd, m.apply(end)
        lines.append((m.name, m.told, usd, base.usd - usd, (base.usd - usd) / base.usd if base.usd else None, m.assumed))
    return pd.DataFrame(lines, columns=list(COLUMNS)), end


def _findings(base: _State) -> tuple[Finding, ...]:
    calls = int(base.used.amounts[~base.used.known, 0].sum())
    text = f"{units.count(calls)} calls have a cost but no list price: their tokens are taken at what was recorded for them."
    return (Finding("info", text, calls),) if calls else ()


def _headline(window: Window, before: float, after: float, measures: list[_Measure]) -> str:
    if not measures:
        return f"{units.money(before)} were spent, {window.label}; nothing was asked to be different."
    share = f" ({units.rate(abs(after / before - 1))} {'less' if after <= before else 'more'})" if before else ""
    return f"{units.money(before)} were spent, {window.label}; it would have been {units.money(after)}{share} with: {'; '.join(m.told for m in measures)}."
