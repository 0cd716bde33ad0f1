"""What to judge or read: a rate per stratum, some traces for certain, some at random, each with the probability of being drawn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from ...columns import literal
from ...errors import InputError, UsageError, choose
from ...stats.design import seen_at_least
from ...stats.estimate import Estimate
from ...text import terminal
from ...units import count, money
from ...windows import Window
from ..result import Finding, Result, claim, plain, provenance
from . import population as pop
from .cells import Cell, Wish, fitted, read_cells, total_cost
from .cost import Priced, priced

DRAWN = ("trace_id", "stratum", "inclusion_prob", "rules", "at_random", "session_id", "started", "source", "project")
BALANCE = {"proportional": 1.0, "sqrt": 0.5, "equal": 0.0}
CELL = ("stratum", "certain", "factor", "traces", "rate", "inclusion_prob", "expected_n", "cost_usd")
MOST_STRATA = 500
_WEEK = 7 * 86_400
_HOW = "expected size: sum over traces of the probability of being drawn, 1 - (1 - rate of its stratum) · (1 - random / traces)"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SamplingPlan(Result):
    """A plan over the traces of one window; nothing is drawn before ``draw``.

    ``strata``: one row per cell (a stratum, what it is drawn for ``certain`` for, the ``factor`` of its rate): traces, rate,
    inclusion_prob (by any rule), expected_n, cost_usd (null where the price is not known).
    """

    window: Window | None
    seed: int = 0
    random_rate: float = 0.0
    cost: Priced = field(default_factory=Priced)
    cost_usd: float | None = None
    cells: tuple[Cell, ...] = ()
    wish: Wish | None = None
    obs: Any = None

    @property
    def traces(self) -> int:
        """Traces of the product in the window."""
        return sum(c.traces for c in self.cells)

    @property
    def expected_n(self) -> float:
        """Traces expected in the sample."""
        return sum(c.expected_n for c in self.cells)

    @property
    def strata(self) -> pd.DataFrame:
        """One row per cell."""
        rows = [[", ".join(c.certain) or None if n == "certain" else getattr(c, n) for n in CELL] for c in self.cells]
        return pd.DataFrame(rows, columns=list(CELL)).astype({"cost_usd": float})

    def json(self) -> dict:
        """The plan as strict JSON: window, expected size, cost, strata."""
        cost = {
            "usd": self.cost_usd,
            "model": self.cost.model,
            "price_version": self.cost.price_version,
            "reason": self.cost.reason,
        }
        out = {
            "window": plain(self.window),
            "traces": self.traces,
            "expected_n": self.expected_n,
            "random_rate": self.random_rate,
        }
        return super().json() | out | {"cost": cost, "strata": plain(self.strata)}

    def claims(self) -> list[dict]:
        """The size of the window, the expected size of the sample and of each cell, and the expected cost."""
        told = [
            ("traces", "traces in the window", self.traces, "count"),
            ("expected_n", "traces expected in the sample", self.expected_n, "count"),
        ]
        told += (
            [("cost", f"expected cost of {terminal(self.cost.model, 80)}", self.cost_usd, "usd")]
            if self.cost_usd is not None
            else []
        )
        for i, c in enumerate(self.cells):
            told.append((f"cell.{i}", f"traces expected from {terminal(c.stratum, 120)}", c.expected_n, "count"))
        how, n = _HOW, self.traces
        return [claim(f"sampling.{i}", f"{text}: {money(v) if unit == 'usd' else count(v)}", Estimate(v, v, v, n), unit=unit, how=how)
                for i, text, v, unit in told]  # fmt: skip

    def draw(self) -> pd.DataFrame:
        """One row per drawn trace, in the order of time: trace_id, stratum, inclusion_prob, rules (those that drew it), at_random
        (by the random rule: a plain random part of the window), session_id, started, source, project.

        The same plan over the same store draws the same traces.
        """
        if not self.cells:
            return pd.DataFrame(columns=list(DRAWN))
        frame = self.obs.sql(self.draw_sql())
        fired = zip(frame.pop("certain"), frame.pop("by_stratum"), frame["at_random"], strict=True)
        frame["rules"] = [
            "+".join(n for n, yes in zip(("all_of", "stratum", "random"), row, strict=True) if yes) for row in fired
        ]
        return frame.astype({"at_random": bool})[list(DRAWN)]

    def draw_sql(self) -> str:
        """The SELECT behind ``draw``: one row per drawn trace."""
        values = ", ".join(
            f"({literal(c.key)}, {literal(c.stratum)}, {literal(pop.threshold(c.rate))}, CAST({c.inclusion_prob!r} AS DOUBLE), {int(bool(c.certain))})"
            for c in self.cells
        )
        by_random = pop.below(literal(pop.threshold(self.random_rate)), "random", self.seed)
        return f"""WITH traces AS ({self.wish.keyed()}),
          cell(key, stratum, bound, inclusion_prob, certain) AS (VALUES {values}),
          flagged AS (SELECT traces.*, cell.stratum, cell.inclusion_prob, cell.certain,
              CASE WHEN cell.certain = 0 AND {pop.below("cell.bound", "stratum", self.seed)} THEN 1 ELSE 0 END AS by_stratum,
              CASE WHEN {by_random} THEN 1 ELSE 0 END AS at_random
            FROM traces JOIN cell ON traces.key = cell.key)
          SELECT trace_id, stratum, inclusion_prob, certain, by_stratum, at_random, session_id, started, source, project
          FROM flagged WHERE certain + by_stratum + at_random > 0 ORDER BY started, source, project, trace_id"""

    def to_jsonl(self, path: str | os.PathLike) -> int:
        """Write the draw to a file, one JSON object a line; how many. An existing file is replaced as a whole."""
        rows = [plain(row) for row in self.draw().to_dict("records")]
        beside = f"{os.fspath(path)}.part"
        try:
            with open(beside, "w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
            os.replace(beside, path)
        except OSError as error:
            raise InputError(f"file {os.fspath(path)!r} cannot be written: {error.strerror or error}; choose another") from None
        return len(rows)

    def to_queue(self, vendor: Literal["langfuse", "langsmith"], queue: str, *, dry_run: bool = True, client: Any = None):
        """Put the drawn traces into a vendor's annotation queue (its name or id); with ``dry_run`` only say what would go.

        What :func:`llmobs_nb.push` gives and raises.
        """
        from ...writeback import push

        return push(self.obs, to=vendor, queue=(queue, self.draw()["trace_id"].tolist()), dry_run=dry_run, client=client)


def sampling_plan(
    obs,
    *,
    n: int | None = None,
    per_week: int = 200,
    strata: Sequence[str | tuple[str, Sequence[float]]] = ("feature",),
    all_of: Sequence[str] = ("error", "guardrail_block"),
    oversample: Mapping[str, float] | None = None,
    random: int = 100,
    balance: Literal["proportional", "sqrt", "equal"] = "sqrt",
    budget_usd: float | None = None,
    judge: Any = None,
    rubrics: Sequence[str] = ("groundedness",),
    repeats: int = 1,
    since: Any = None,
    until: Any = None,
    tz: str = "UTC",
    seed: int = 0,
) -> SamplingPlan:
    """Plan which traces of a window to judge or read, and what the judge would cost.

    Each trace is drawn by itself, by a hash of ``seed`` and its id. ``all_of`` (``error``, ``guardrail_block``, ``low_rating``) are
    drawn for certain. Of the others ``n`` (``per_week`` times the weeks of the window) are expected, shared over ``strata``: columns,
    metadata keys, or ``(score, cut points)``. ``balance`` says how: in proportion to size, to its square root, or the same from
    each; ``oversample`` multiplies the rate of flagged traces. ``random`` more are drawn from all, whatever their stratum. A trace
    that several rules may draw has the probability of any of them. With ``budget_usd`` and a priced ``judge``
    (``provider/model`` or an OpenAIJudge), n shrinks until the expected cost fits.

    The window defaults to the last seven days of data. An empty one gives a plan that says so. Raises UsageError for unknown
    flags and columns.
    """
    began = time.perf_counter()
    columns = tuple(s for s in strata if isinstance(s, str))
    bands = {s[0]: tuple(s[1]) for s in strata if not isinstance(s, str)}
    oversample = dict({pop.LOW_RATING: 5.0} if oversample is None else oversample)
    _check(obs, columns, bands, all_of, oversample, {"n": n, "per_week": per_week, "random": random, "repeats": repeats - 1})
    power = BALANCE[choose("balance", balance, BALANCE)]
    asked = {"n": n, "per_week": per_week, "strata": list(strata), "all_of": list(all_of), "oversample": oversample, "random": random,
             "balance": balance, "budget_usd": budget_usd, "rubrics": list(rubrics), "repeats": repeats, "tz": tz, "seed": seed}  # fmt: skip
    window = pop.window_of(obs, since, until, tz=tz)
    wish = window and Wish(window, columns, bands, tuple(all_of), oversample)
    price = priced(judge, rubrics, repeats, window.end) if window else Priced()
    cells = read_cells(obs, wish, price) if wish else []
    if not cells:
        text = "No traces of the product in the window: there is nothing to draw."
        return SamplingPlan(
            name="sampling_plan", headline=text, parameters=asked, findings=(Finding("warning", text),), window=window, seed=seed
        )
    if len(cells) > MOST_STRATA:
        raise UsageError(
            f"strata={list(strata)!r} cut the window into {len(cells):,} cells, more than {MOST_STRATA}; name columns of fewer values"
        )
    wanted = n if n is not None else per_week * window.seconds / _WEEK
    rate = min(1.0, random / sum(c.traces for c in cells))
    cells = fitted(cells, wanted, rate, power, budget_usd)
    found = _findings(cells, rate, price, budget_usd)
    origin = provenance(obs, window.json(), began)
    return SamplingPlan(name="sampling_plan", headline=_headline(cells, window, price), parameters=asked, provenance=origin, findings=found,
                        window=window, seed=seed, random_rate=rate, cost=price, cost_usd=total_cost(cells), cells=tuple(cells), wish=wish,
                        obs=obs)  # fmt: skip


def _check(obs, columns, bands, all_of, oversample, counts: Mapping[str, float | None]) -> None:
    flags = (*pop.CERTAIN_RULES, pop.LOW_RATING)
    for name, given in (("all_of", all_of), ("oversample", oversample)):
        for one in given:
            choose(name, one, flags)
    for name, cuts in bands.items():
        if not cuts:
            raise UsageError(f"strata: the score {name!r} has no cut points; give ({name!r}, (0.5, 0.7))")
    for name, value in {**counts, **oversample}.items():
        if value is not None and value < 0:
            raise UsageError(f"{name} is too small; give 0 or more (repeats: 1 or more)")
    pop.check_columns(obs, columns)


def _headline(cells: Sequence[Cell], window: Window, price: Priced) -> str:
    usd = total_cost(cells)
    told = f"about {money(usd)} of {terminal(price.model, 80)}" if usd is not None else f"cost not known ({price.reason})"
    drawn = sum(c.expected_n for c in cells)
    return f"{window.label}: {count(drawn)} of {count(sum(c.traces for c in cells))} traces are expected in the sample; {told}."


def _findings(cells: Sequence[Cell], rate: float, price: Priced, budget: float | None) -> tuple[Finding, ...]:
    total, usd = sum(c.traces for c in cells), total_cost(cells)
    random = round(rate * total)
    few, many = (seen_at_least(5, size, 0.01) for size in (random, 1000))
    out = [
        Finding(
            "info",
            f"a slice of 1 % of the traffic is seen five times or more with probability {few:.2f} in {random:,} random traces, {many:.2f} in 1,000",
            random,
        )
    ]
    sure = sum(c.traces for c in cells if c.certain)
    if sure > total / 2:
        out.append(
            Finding("warning", f"{sure:,} of {total:,} traces are drawn for certain; is every one of them to be read?", sure)
        )
    if budget is not None and usd is None:
        out.append(Finding("warning", f"the budget could not be kept to: {price.reason}"))
    elif budget is not None and usd > budget + 1e-9:
        text = f"the traces drawn for certain and at random alone cost {money(usd)}, more than the budget of {money(budget)}; name fewer"
        out.append(Finding("warning", text))
    return tuple(out)
