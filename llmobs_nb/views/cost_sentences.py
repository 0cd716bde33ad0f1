"""The sentences of the cost page for finance: a few to a part, each made from claims and naming them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from .. import units
from ..text import terminal
from . import cost_numbers as numbers
from . import cost_words as words
from .common_words import cue, moment
from .stakeholder_sentences import Sentence
from .theme import is_number, label

EACH = 3
LEAST = 0.001
_UNITS = {"request": "One request", "good_answer": "One good answer"}
_SPLITS = {
    "feature": "feature", "model": "model", "tenant_id": "customer", "user_id": "user", "user_tier": "tier of users",
    "name": "operation", "prompt_version": "prompt version", "environment": "environment",
}  # fmt: skip


@dataclass(frozen=True)
class Story:
    """The page: one sentence that sums up, the parts under their headings, and the names from the data in it."""

    lead: Sentence
    sections: dict[str, tuple[Sentence, ...]]
    texts: tuple[str, ...]


def story(result) -> Story:
    """What the ledger says to somebody who does not work with it; a part with nothing to say says so."""
    if result.window is None:
        return Story(Sentence("There is no cost to show yet.", ()), {}, ())
    lead = Sentence(f"{units.money(result.total_usd)} was spent.", ("total_usd",))
    sections = {
        "What was spent": _spent(result),
        "Why it moved": _moved(result),
        "What the month will come to": _coming(result),
        "Where the waste is": _wasted(result),
        "What was unusual": _odd(result),
        "What is not known": _unknown(result),
    }
    return Story(lead, {name: said for name, said in sections.items() if said}, tuple(_texts(result)))


def _texts(result) -> list[str]:
    """Names from the data that stand in the sentences."""
    rows = [label(v, 40) for v in result.spenders["value"]] if len(result.spenders) else []
    odd = [terminal(t, 200) for t in result.anomalies["value"]] if len(result.anomalies) else []
    budgets = [text for r in result.budgets.to_dict("records") for text in (label(r["name"], 40), terminal(r["scope"], 80))]
    return [*rows, *odd, *budgets]


# --- the parts


def _spent(result) -> tuple[Sentence, ...]:
    rows = _worth_telling(result.lines.to_dict("records"))
    out = [Sentence(f"{_of_all(r)} went to {label(r['told'], 80)}.", (f"line.{r['line']}.*",)) for r in rows]
    for key in [k for k in _SPLITS if k in numbers.splits(result)][:EACH]:
        row = numbers.split(result, key).iloc[0].to_dict()
        out.append(
            Sentence(f"The {_SPLITS[key]} that costs most is {label(row['value'], 40)}: {_of_all(row)}.", (f"{row['id']}.*",))
        )
    for name, told in _UNITS.items():
        e = result.per.get(name)
        if e is not None and e.ok:
            out.append(Sentence(f"{told} cost {_money(e)}.", (f"per.{name}",)))
    return tuple(out)


def _moved(result) -> tuple[Sentence, ...]:
    moved = result.change
    if moved is None:
        return (Sentence("Nothing lies before this time to compare it with.", ()),)
    by = moved.after_usd - moved.before_usd
    levels = f"{units.money(moved.after_usd)} was spent in {terminal(moved.after.label, 60)}, {units.money(moved.before_usd)} in the time before it"
    out = [Sentence(f"{levels}: {_more(by)}." if by else f"{levels}.", ("change.*", "page.change.*"))]
    parts = sorted(numbers.parts(moved), key=lambda p: -abs(p[1]))
    for name, value in [p for p in parts if p[1]][:EACH]:
        out.append(Sentence(f"{_more(value)} because of the {words.part(name)}.", ("change.*",)))
    return tuple(out)


def _coming(result) -> tuple[Sentence, ...]:
    found = result.forecast
    if found is None or found.value is None:
        why = terminal((found.reason if found else None) or "there is nothing to forecast from", 200).rstrip(".")
        out = [Sentence(f"There is no forecast: {why}.", ("page.forecast.reason",))]
    else:
        name = f"{date.fromisoformat(found.month + '-01'):%B}"
        text = f"{name} will come to {units.money(found.value)}, in four of five such months between {_range(found, '80')}"
        out = [Sentence(f"{text}, in nearly all between {_range(found, '95')}.", ("forecast.*",))]
        if is_number(found.spent_usd):
            out.append(Sentence(f"{units.money(found.spent_usd)} of it is spent already.", ("forecast.*",)))
    return (*out, *_budgets(result))


def _budgets(result) -> list[Sentence]:
    """One sentence on each budget that is nearly spent or more, that of all cost first; of its values the fullest counts."""
    named: dict[str, tuple[int, dict]] = {}
    for at, r in enumerate(result.budgets.to_dict("records")):
        if r["state"] != "within":
            named.setdefault(r["name"], (at, r))
    out = []
    for at, r in sorted(named.values(), key=lambda found: found[1]["scope"] != "total")[:EACH]:
        whose = "" if r["scope"] == "total" else f" by {terminal(r['scope'], 80)}"
        told = f"{units.money(r['spent_usd'])} of {units.money(r['limit_usd'])} is spent{whose}"
        out.append(
            Sentence(f"The budget “{label(r['name'], 40)}” {_is(cue(words.STATES, r['state'])[1])}: {told}.", (f"budget.{at}.*",))
        )
    return out


def _wasted(result) -> tuple[Sentence, ...]:
    rows = _worth_telling(numbers.wasted(result))
    out = [Sentence(f"{_of_all(r)} went to {label(r['told'], 110)}.", (f"waste.{r['line']}.*",)) for r in rows]
    if not out:
        return (Sentence("No waste was found.", ()),)
    return (
        (*out, Sentence("The same dollar can stand in more than one of these, so they are not added up.", ()))
        if len(out) > 1
        else tuple(out)
    )


def _odd(result) -> tuple[Sentence, ...]:
    out = []
    for at, r in enumerate(result.anomalies.head(EACH).to_dict("records")):
        where = "In all" if r["value"] is None or r["value"] != r["value"] else f"For {terminal(r['value'], 200)}"
        told = f"{where}, {units.money(r['cost_usd'])} was spent from {moment(r['at'], result.tz)} on where {units.money(r['usual_usd'])} is usual."
        out.append(Sentence(told, (f"anomaly.{at}.*",)))
    return tuple(out) or (Sentence("No hour and no day stood out.", ()),)


def _unknown(result) -> tuple[Sentence, ...]:
    out = []
    if result.unpriced_spans:
        text = f"{units.count(result.unpriced_spans)} model calls used tokens at no known price; they are in no sum on this page."
        out.append(Sentence(text, ("unpriced_spans",)))
    if len(result.gaps):
        n = len(result.gaps)
        text = f"For {units.count(n)} {'model' if n == 1 else 'models'} what was recorded is not the list price of the day; what was recorded counts."
        out.append(Sentence(text, ("page.gaps.all",)))
    return tuple(out) or (
        Sentence("Every model call whose tokens are known has a price, and what was recorded agrees with the list price.", ()),
    )


def _worth_telling(rows: list[dict]) -> list[dict]:
    """The largest rows, without those that are next to nothing of the total."""
    kept = [r for r in rows if is_number(r["share"]) and r["share"] >= LEAST]
    return sorted(kept, key=lambda r: -r["cost_usd"])[:EACH]


# --- numbers in words


def _of_all(row: dict) -> str:
    """``$28.00 (20.0 % of all)``."""
    return f"{units.money(row['cost_usd'])} ({units.rate(row['share'])} of all)"


def _more(value: float) -> str:
    return f"{units.money(abs(value))} {'more' if value > 0 else 'less'}"


def _money(estimate) -> str:
    low, high = estimate.ci_low, estimate.ci_high
    told = units.money(estimate.value, low=low, high=high)
    if low is None or high is None:
        return told
    return f"{told} (between {units.money(low, low=low, high=high)} and {units.money(high, low=low, high=high)})"


def _range(forecast, level: str) -> str:
    return " and ".join(units.money(getattr(forecast, f"{side}{level}")) for side in ("low", "high"))


def _is(state: str) -> str:
    return state if state.startswith("will") else f"is {state}"
