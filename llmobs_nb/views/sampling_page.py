"""What is drawn, what rules say of it, what the judge said: one page each, as tables that need no script."""

from __future__ import annotations

from .. import units
from ..html import Head, Html, bar, heading, paragraph, stack, table
from ..text import terminal
from .bundle import View
from .common_words import level, share
from .parts import findings, left_out, number_heads, page_head, provenance, trace_name
from .theme import is_number

MAX_ROWS = 60
MAX_TRACES = 30


def sampling(result) -> View:
    """The page of a SamplingPlan: strata with their rates and costs."""
    static = stack(
        page_head(result, paragraph(_cost(result), small=True)),
        heading("Strata"),
        _strata(result),
        findings(result),
        provenance(result),
    )
    return View(static, f"{terminal(result.headline, 600)}\n{_cost(result)}")


def shadow(result) -> View:
    """The page of a ShadowResult: the share of each verdict in the window, and the traces that failed."""
    shares = [[name, level(e, "rate")] for name, e in result.shares.items()]
    failed = result.traces[result.traces["verdict"] == "fail"]
    rows = [[trace_name(r["trace_id"]), terminal(r["reason"], 300)] for r in failed.head(MAX_TRACES).to_dict("records")]
    static = stack(
        page_head(result), heading("What rules alone say of the window"), table(shares, [Head("verdict"), Head("share", number=True)]),
        heading("Failed"), table(rows, [Head("trace"), Head("why")], empty="none"), left_out(len(failed) - len(rows)),
        findings(result), provenance(result),
    )  # fmt: skip
    return View(static, terminal(result.headline, 600))


def judged(result) -> View:
    """The page of a JudgeResult: the mean of each rubric, the cost, and the lowest answers with the judge's reason."""
    means = [[name, level(e, "score")] for name, e in result.means.items()]
    low = result.judgements[result.judgements["value"].notna()].sort_values(["value", "trace_id"]).head(MAX_TRACES)
    rows = [
        [trace_name(r["trace_id"]), r["rubric"], units.number(r["score"]), terminal(r["reason"], 300)]
        for r in low.to_dict("records")
    ]
    spent = "not known" if result.cost_usd is None else units.money(result.cost_usd)
    static = stack(
        page_head(result, paragraph(f"Cost of this run: {spent}.", small=True)),
        heading("Means of the window, from 0 to 1"), table(means, [Head("rubric"), Head("mean", number=True)]),
        heading("Lowest"), table(rows, [Head("trace"), Head("rubric"), Head("score of 5", number=True), Head("the judge's reason")], empty="nothing was scored"),
        findings(result), provenance(result),
    )  # fmt: skip
    return View(static, terminal(result.headline, 600))


def _cost(result) -> str:
    if result.cost_usd is None:
        return f"The cost of judging is not known: {terminal(result.cost.reason or 'no price', 200)}."
    return f"Judging is expected to cost {units.money(result.cost_usd)} ({terminal(result.cost.price_version, 160)})."


def _strata(result) -> Html:
    rows = result.strata.to_dict("records")
    head = [Head("stratum"), Head("drawn for"), *number_heads("traces", "expected", "probability", "cost")]
    return stack(table([_row(r) for r in rows[:MAX_ROWS]], head, empty="no traces"), left_out(len(rows) - MAX_ROWS))


def _row(row: dict) -> list:
    why = row["certain"] if isinstance(row["certain"], str) else f"{row['factor']:g} times the rate" if row["factor"] != 1 else ""
    cost = units.money(row["cost_usd"]) if is_number(row["cost_usd"]) else units.MISSING
    chance = bar(row["inclusion_prob"], share(row["inclusion_prob"]))
    return [terminal(row["stratum"], 160), why, units.count(row["traces"]), f"{row['expected_n']:,.1f}", chance, cost]
